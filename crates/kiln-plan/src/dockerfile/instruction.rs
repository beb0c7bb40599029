//! One instruction of a Dockerfile: its keyword, its flags and what it says, each in the one way that is written for
//! builders. What is not known here is refused: a builder that knows it would do what nobody has judged.

use super::heredoc::MARK;
use super::text::{BLANK, Line};
use crate::problem::Problems;
use std::ops::Range;

/// Instructions with the flags that they may have (Dockerfile reference).
const KEYWORDS: [(&str, Keyword, &[&str]); 17] = [
    ("ADD", Keyword::Add, &["chown", "chmod", "checksum", "keep-git-dir", "link", "exclude"]),
    ("ARG", Keyword::Arg, &[]),
    ("CMD", Keyword::Cmd, &[]),
    ("COPY", Keyword::Copy, &["from", "chown", "chmod", "link", "parents", "exclude"]),
    ("ENTRYPOINT", Keyword::Entrypoint, &[]),
    ("ENV", Keyword::Env, &[]),
    ("EXPOSE", Keyword::Expose, &[]),
    ("FROM", Keyword::From, &["platform"]),
    (
        "HEALTHCHECK",
        Keyword::Healthcheck,
        &["interval", "timeout", "start-period", "start-interval", "retries"],
    ),
    ("LABEL", Keyword::Label, &[]),
    ("MAINTAINER", Keyword::Maintainer, &[]),
    ("RUN", Keyword::Run, &["mount", "network", "security"]),
    ("SHELL", Keyword::Shell, &[]),
    ("STOPSIGNAL", Keyword::Stopsignal, &[]),
    ("USER", Keyword::User, &[]),
    ("VOLUME", Keyword::Volume, &[]),
    ("WORKDIR", Keyword::Workdir, &[]),
];
/// Flags that may be there more than once.
const REPEATED: [&str; 2] = ["mount", "exclude"];
/// Flags in which builders replace variables, and that name nothing from elsewhere.
const EXPANDED: [&str; 5] = ["chown", "chmod", "checksum", "exclude", "platform"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keyword {
    Add,
    Arg,
    Cmd,
    Copy,
    Entrypoint,
    Env,
    Expose,
    From,
    Healthcheck,
    Label,
    Maintainer,
    Run,
    Shell,
    Stopsignal,
    User,
    Volume,
    Workdir,
}

impl Keyword {
    /// As it is written.
    pub(super) fn word(self) -> &'static str {
        KEYWORDS.iter().find(|(_, keyword, _)| *keyword == self).map_or("", |(word, ..)| word)
    }
}

/// A flag, as in `--name=value`.
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) value: Option<String>,
    /// Where it is in the line.
    pub(super) range: Range<usize>,
}

impl Flag {
    /// Where its value begins in the line.
    pub(super) fn value_start(&self) -> usize {
        self.range.start + "--".len() + self.name.len() + "=".len()
    }

    /// As it is written.
    pub(super) fn written(&self) -> String {
        match &self.value {
            Some(value) => format!("--{}={value} ", self.name),
            None => format!("--{} ", self.name),
        }
    }
}

/// What an instruction says after its flags.
pub(super) enum Says {
    /// A list in JSON.
    List(Vec<String>),
    /// Anything else.
    Text(String),
}

pub(super) struct Instruction<'a> {
    pub(super) line: &'a Line,
    pub(super) keyword: Keyword,
    pub(super) flags: Vec<Flag>,
    pub(super) says: Says,
    /// Where that is in the line.
    pub(super) range: Range<usize>,
}

impl<'a> Instruction<'a> {
    /// Reads a line; none, and a problem, if it is none that is known.
    pub(super) fn read(line: &'a Line, problems: &mut Problems<'_>) -> Option<Self> {
        let text = line.text.as_str();
        let end = text.find(BLANK).unwrap_or(text.len());
        let word = text[..end].to_ascii_uppercase();
        if word == "ONBUILD" {
            problems.at(
                line.whole(),
                "`ONBUILD` is for images that others build on, and builders differ in when they do it",
                "write what it does where it is to be done; kiln builds what runs",
            );
            return None;
        }
        let Some((_, keyword, known)) = KEYWORDS.iter().find(|(known, ..)| *known == word) else {
            problems.at(
                line.span(0..end),
                format!("`{}` is no instruction", shortened(&text[..end])),
                "write one of the Dockerfile reference; if it goes on from the line before, end that in a backslash",
            );
            return None;
        };
        let (flags, start) = flags(line, end, known, problems)?;
        let range = start..text.len();
        let says = if range.is_empty() { None } else { says(*keyword, line, range.clone(), problems) };
        if range.is_empty() {
            problems.at(
                line.whole(),
                format!("`{word}` says nothing"),
                "write what it is to do, or remove it",
            );
        }
        let this = Self { line, keyword: *keyword, flags, says: says?, range };
        this.is_clear(problems).then_some(this)
    }

    /// Whether no builder could find a here-document in what is written of it.
    fn is_clear(&self, problems: &mut Problems<'_>) -> bool {
        let flags = self.flags.iter().filter_map(|flag| flag.value.as_ref());
        let is_marked = flags.chain(match &self.says {
            Says::Text(text) => Some(text),
            Says::List(_) => None,
        });
        // What a RUN has of it becomes a list; files take the place of those of COPY and ADD.
        let clear = !is_marked.into_iter().any(|text| text.contains(MARK))
            || self.keyword == Keyword::Run
            || !self.line.heredocs.is_empty();
        if !clear {
            problems.at(
                self.line.whole(),
                format!(
                    "it has `{MARK}`, which begins a here-document to one builder and stands for itself to another"
                ),
                "write it where a RUN or a file of the context has it; of a command, write the list in JSON",
            );
        }
        clear
    }

    /// The words that it says: the list, or what blanks separate.
    pub(super) fn words(&self) -> Vec<String> {
        match &self.says {
            Says::List(list) => list.clone(),
            Says::Text(text) => {
                text.split(BLANK).filter(|word| !word.is_empty()).map(str::to_owned).collect()
            }
        }
    }

    /// What it says, in the file.
    pub(super) fn span(&self) -> Range<usize> {
        self.line.span(self.range.clone())
    }
}

/// The flags of a line from where its keyword ends, and where they end.
fn flags(
    line: &Line,
    mut at: usize,
    known: &[&'static str],
    problems: &mut Problems<'_>,
) -> Option<(Vec<Flag>, usize)> {
    let text = line.text.as_str();
    let mut flags: Vec<Flag> = Vec::new();
    loop {
        at += text[at..].len() - text[at..].trim_start_matches(BLANK).len();
        let Some(rest) = text[at..].strip_prefix("--") else { return Some((flags, at)) };
        let length = rest.find(BLANK).unwrap_or(rest.len());
        let range = at..at + 2 + length;
        let (name, value) = match rest[..length].split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&rest[..length], None),
        };
        let mut refuse = |message: String, help: &str| {
            problems.at(line.span(range.clone()), message, help);
        };
        let flag = shortened(&text[range.clone()]).to_owned();
        let Some(name) = known.iter().find(|known| **known == name) else {
            let known: Vec<String> = known.iter().map(|name| format!("--{name}")).collect();
            let help = match known.is_empty() {
                true => "this instruction has no flags; of a command, write the list in JSON".to_owned(),
                false => format!("it may have: {}", known.join(", ")),
            };
            refuse(format!("`{flag}` is not known here"), &help);
            return None;
        };
        if !REPEATED.contains(name) && flags.iter().any(|flag| flag.name == *name) {
            refuse(format!("`--{name}` is there twice"), "remove one of the two");
            return None;
        }
        let text = value.as_deref().unwrap_or_default();
        if text.contains(['"', '\'', '\\']) || text.contains('$') && !EXPANDED.contains(name) {
            let (message, help) = match *name {
                "mount" => (
                    format!("`{flag}` has a quote, a variable or a backslash, which is not read here"),
                    "write it plainly: --mount=type=bind,from=STAGE,source=PATH,target=PATH",
                ),
                "from" => (
                    format!("`{text}` depends on a variable or a quote, which engines do not replace here"),
                    "name a stage: FROM image AS name before it",
                ),
                _ => (
                    format!("`{flag}` has a quote, a variable or a backslash, which is not read here"),
                    "write it plainly",
                ),
            };
            refuse(message, help);
            return None;
        }
        at = range.end;
        flags.push(Flag { name, value, range });
    }
}

/// What stands after the flags. A list is one for every reader of JSON, or none for any.
fn says(keyword: Keyword, line: &Line, range: Range<usize>, problems: &mut Problems<'_>) -> Option<Says> {
    let text = &line.text[range.clone()];
    let has_lists = matches!(
        keyword,
        Keyword::Add
            | Keyword::Cmd
            | Keyword::Copy
            | Keyword::Entrypoint
            | Keyword::Healthcheck
            | Keyword::Run
            | Keyword::Shell
            | Keyword::Volume
    );
    let (before, list) = match keyword {
        // What is tested is said after a word of its own.
        Keyword::Healthcheck => match text.split_once(BLANK) {
            Some((word, rest)) if word.eq_ignore_ascii_case("CMD") => {
                ("CMD ", rest.trim_start_matches(BLANK))
            }
            _ => ("", text),
        },
        _ => ("", text),
    };
    if !has_lists || !list.starts_with('[') {
        return Some(Says::Text(format!("{before}{list}")));
    }
    // Go's decoder is content with the first value, and forgives halves of characters.
    let mut values = serde_json::Deserializer::from_str(list).into_iter::<serde_json::Value>();
    let first = values.next();
    let is_whole = list[values.byte_offset()..].trim_matches(BLANK).is_empty();
    match first {
        Some(Ok(value)) if is_whole => {
            if let Ok(words) = serde_json::from_value::<Vec<String>>(value)
                && (keyword == Keyword::Volume || !words.is_empty())
            {
                return Some(match before {
                    "" => Says::List(words),
                    _ => Says::Text(format!("{before}{}", json(&words))),
                });
            }
        }
        Some(Err(_)) if !has_half_a_character(list) => return Some(Says::Text(format!("{before}{list}"))),
        _ => {}
    }
    problems.at(
        line.span(range),
        "it begins as a list in JSON, and is none of texts alone: builders read that as a list or as words",
        "write [\"…\", \"…\"] and nothing after it; or do not begin with a bracket",
    );
    None
}

/// Whether there is an escape for half a character (JSON, "Strings"; UTF-16 surrogates).
fn has_half_a_character(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["\\ud8", "\\ud9", "\\uda", "\\udb", "\\udc", "\\udd", "\\ude", "\\udf"]
        .iter()
        .any(|half| lower.contains(half))
}

/// A list in JSON that holds neither here-documents nor white space that builders do not agree about.
pub(super) fn json(words: &[String]) -> String {
    let list = serde_json::Value::from(words.to_vec()).to_string().replace(MARK, "\\u003c\\u003c");
    let mut written = String::with_capacity(list.len());
    for c in list.chars() {
        match c {
            ' ' => written.push(c),
            c if c.is_control() || c.is_whitespace() => written.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => written.push(c),
        }
    }
    written
}

/// The beginning of a text, for a message.
pub(super) fn shortened(text: &str) -> &str {
    let end = text.char_indices().nth(80).map_or(text.len(), |(end, _)| end);
    &text[..end]
}
