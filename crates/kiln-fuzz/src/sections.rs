//! Inputs of more than one file: a line `=== NAME` begins a file, whose text goes on to the next such line.

/// The files of an input, in order. What is before the first such line has no name; what is not UTF-8 is no input.
pub(crate) fn sections(data: &[u8]) -> Vec<(&str, &str)> {
    let Ok(text) = std::str::from_utf8(data) else { return Vec::new() };
    let mut found = Vec::new();
    let (mut name, mut start, mut at) = ("", 0, 0);
    for line in text.split_inclusive('\n') {
        if let Some(next) = line.strip_prefix("=== ") {
            found.push((name, &text[start..at]));
            name = next.trim();
            start = at + line.len();
        }
        at += line.len();
    }
    found.push((name, &text[start..]));
    found.retain(|(name, text)| !name.is_empty() || !text.is_empty());
    found
}

/// The text of the first file of a name.
pub(crate) fn text_of<'a>(sections: &[(&'a str, &'a str)], wanted: &str) -> Option<&'a str> {
    sections.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text)
}
