//! The lines of a requirements file, and the words of a line (pip documentation, "requirements file format").

/// Joins lines that end in a backslash, as pip does: a comment line ends the joining. Gives the number of the
/// first.
pub(crate) fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    // A carriage return alone ends a line, too, as it does for pip.
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    for (index, line) in text.lines().enumerate() {
        let line = if index == 0 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
        let comment = line.trim_start().starts_with('#');
        let joined = if comment { None } else { line.strip_suffix('\\') };
        let (number, mut content) = open.take().unwrap_or((index + 1, String::new()));
        if comment {
            // The space lets the comment be recognised after what was joined before it.
            content.push(' ');
        }
        content.push_str(joined.unwrap_or(line));
        if joined.is_some() {
            content.push(' ');
            open = Some((number, content));
        } else {
            lines.push((number, content));
        }
    }
    lines.extend(open);
    lines
}

/// A comment begins at a `#` that starts the line or follows white space.
pub(crate) fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        if c == '#' && before.is_whitespace() {
            return &line[..at];
        }
        before = c;
    }
    line
}

/// The index that the comment of a line names: `# index: acme`.
pub(crate) fn index_comment(line: &str) -> Option<&str> {
    let (_, comment) = line.split_at_checked(without_comment(line).len())?;
    let name = comment.trim_start_matches('#').trim_start().strip_prefix("index:")?.trim();
    let is_name = !name.is_empty()
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'));
    is_name.then_some(name)
}

/// The words of an option line. White space in quotes separates nothing, and the quotes are taken away.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Most files that may be inside each other.
pub(crate) const DEEPEST: usize = 16;

/// Most files that one requirements file may lead to.
pub(crate) const MOST_FILES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_comments_end_them() {
        let lines = logical_lines("\u{feff}a \\\n b\n# c \\\nd # e\nf#g\\");
        let lines: Vec<(usize, &str)> =
            lines.iter().map(|(line, text)| (*line, without_comment(text).trim())).collect();
        assert_eq!(lines, [(1, "a   b"), (3, ""), (4, "d"), (5, "f#g")]);
        let texts = |text: &str| logical_lines(text).into_iter().map(|(_, line)| line).collect::<Vec<_>>();
        assert_eq!(texts("a\r\nb\rc\r"), ["a", "b", "c"]);
    }

    #[test]
    fn a_comment_names_an_index() {
        assert_eq!(index_comment("    # index: acme"), Some("acme"));
        assert_eq!(index_comment("a==1 --hash=sha256:00  # index: acme-2"), Some("acme-2"));
        for other in ["a==1", "# via index: acme", "# index:", "# index: a b", "a#index: acme"] {
            assert_eq!(index_comment(other), None, "{other}");
        }
    }

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(words(" -r  'a b.txt' --x=\"c d\"e '' \""), ["-r", "a b.txt", "--x=c de", "", ""]);
        assert!(words("  ").is_empty());
    }
}
