//! Here-documents (Dockerfile reference, "Here-Documents"). Builders before Docker 23 do not know them and take what is in
//! them for instructions; so none is sent: what they hold goes on as files of the context and as scripts of a RUN.

use std::ops::Range;

/// How a line opens a here-document.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    /// The word that ends it, which is also the name of the file.
    pub(super) word: String,
    /// Whether it was opened by `<<-`.
    pub(super) strips_tabs: bool,
    /// Whether variables in it are replaced.
    pub(super) expands: bool,
    /// Where it is in the line.
    pub(super) range: Range<usize>,
}

/// A here-document with what is in it, every line with its end.
pub(super) struct Heredoc {
    pub(super) opening: Opening,
    pub(super) text: String,
}

impl Heredoc {
    /// What it holds, without the tabs that `<<-` takes away.
    pub(super) fn content(&self) -> String {
        if !self.opening.strips_tabs {
            return self.text.clone();
        }
        self.text.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// The mark of a here-document.
pub(super) const MARK: &str = "<<";

/// What could be a here-document, and is none that is read here.
pub(super) struct Unclear {
    /// Where it is in the line.
    pub(super) range: Range<usize>,
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// The here-documents that an instruction in one line opens. A mark that begins none by any reading is let be.
///
/// # Errors
/// [`Unclear`] if one could begin.
pub(super) fn openings(text: &str) -> Result<Vec<Opening>, Unclear> {
    if !text.contains(MARK) {
        return Ok(Vec::new());
    }
    let keyword = text.split(char::is_whitespace).next().unwrap_or_default().to_ascii_uppercase();
    if !matches!(keyword.as_str(), "RUN" | "COPY" | "ADD") {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    let words = words(text).ok_or_else(|| Unclear {
        range: 0..text.len(),
        message: format!(
            "it has `{MARK}` and a quote that does not end, so that nobody can tell whether a here-document begins"
        ),
        help: "end the quote, or write the script in a file and run that",
    })?;
    for range in words {
        let word = &text[range.clone()];
        let Some(rest) = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix(MARK) else {
            continue;
        };
        let (strips_tabs, name) = rest.strip_prefix('-').map_or((false, rest), |name| (true, name));
        if name.contains('<') {
            // A here-string is the shell's alone.
            continue;
        }
        let unquoted = ['"', '\'']
            .iter()
            .find_map(|quote| name.strip_prefix(*quote)?.strip_suffix(*quote))
            .unwrap_or(name);
        let is_plain = unquoted.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && unquoted.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if !is_plain {
            let message = format!("`{word}` opens a here-document whose word is not read here");
            let help = "name it with letters, digits and `_.-`, in quotes or not, and put a space after it";
            return Err(Unclear { range, message, help });
        }
        found.push(Opening {
            word: unquoted.to_owned(),
            strips_tabs,
            expands: unquoted.len() == name.len(),
            range,
        });
    }
    Ok(found)
}

/// The words of a line as shells separate them; none if a quote does not end.
fn words(text: &str) -> Option<Vec<Range<usize>>> {
    let (mut words, mut start, mut quote, mut escaped) = (Vec::new(), None, None, false);
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match (quote, c) {
            (None | Some('"'), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() => {
                words.extend(start.take().map(|start| start..at));
                continue;
            }
            _ => {}
        }
        start.get_or_insert(at);
    }
    words.extend(start.take().map(|start| start..text.len()));
    quote.is_none().then_some(words)
}
