//! The paragraph format of Debian control data (Debian policy, chapter 5; deb822(5)), without copying the text.

use crate::ImageError;

/// More fields than any paragraph has; Debian's richest have some 40.
const FIELD_LIMIT: usize = 512;

/// One paragraph: fields in the order of the text.
#[derive(Debug, Clone)]
pub(crate) struct Stanza<'a> {
    /// The line of its first field, counted from 1.
    pub(crate) line: usize,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Stanza<'a> {
    /// A field's value, trimmed at both ends; field names are compared without case (policy 5.1).
    pub(crate) fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// A field that must be there and hold something.
    pub(crate) fn require(&self, what: &str, name: &str) -> Result<&'a str, ImageError> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| self.malformed(what, format!("the paragraph has no `{name}` field")))
    }

    /// An error that points at this paragraph.
    pub(crate) fn malformed(&self, what: &str, reason: String) -> ImageError {
        ImageError::Malformed { what: what.to_owned(), line: self.line, reason }
    }
}

/// Reads the paragraphs of a text one by one.
#[derive(Debug)]
pub(crate) struct Stanzas<'a> {
    what: &'a str,
    text: &'a str,
    offset: usize,
    line: usize,
}

impl<'a> Stanzas<'a> {
    /// Starts at the top of a text; `what` names it in errors.
    pub(crate) fn new(what: &'a str, text: &'a str) -> Self {
        Self { what, text, offset: 0, line: 1 }
    }

    /// The next line without its line feed, and where it starts.
    fn peek(&self) -> Option<(&'a str, usize)> {
        let rest = &self.text[self.offset..];
        if rest.is_empty() {
            return None;
        }
        let end = rest.find('\n').unwrap_or(rest.len());
        Some((&rest[..end], end))
    }

    fn advance(&mut self, line_length: usize) {
        self.offset = (self.offset + line_length + 1).min(self.text.len());
        self.line += 1;
    }

    fn error(&self, reason: &str) -> ImageError {
        ImageError::Malformed { what: self.what.to_owned(), line: self.line, reason: reason.to_owned() }
    }

    fn stanza(&mut self) -> Result<Option<Stanza<'a>>, ImageError> {
        while let Some((line, length)) = self.peek() {
            if !line.trim().is_empty() {
                break;
            }
            self.advance(length);
        }
        let mut stanza = Stanza { line: self.line, fields: Vec::new() };
        while let Some((line, length)) = self.peek() {
            if line.trim().is_empty() {
                break;
            }
            if line.starts_with('#') {
                self.advance(length);
                continue;
            }
            let Some((name, _)) = line.split_once(':') else {
                return Err(self.error("the line is neither `Name: value` nor a continuation"));
            };
            if name.is_empty() || !name.bytes().all(|c| c.is_ascii_graphic()) || name.starts_with('-') {
                return Err(self.error("the field name holds a character that it may not"));
            }
            if stanza.fields.len() >= FIELD_LIMIT {
                return Err(self.error(&format!("the paragraph has more than {FIELD_LIMIT} fields")));
            }
            if stanza.get(name).is_some() {
                return Err(self.error(&format!("the field `{name}` is there twice")));
            }
            let start = self.offset + name.len() + 1;
            self.advance(length);
            let mut end = start - name.len() - 1 + length;
            while let Some((more, length)) = self.peek() {
                if !more.starts_with([' ', '\t']) || more.trim().is_empty() {
                    break;
                }
                end = self.offset + length;
                self.advance(length);
            }
            stanza.fields.push((name, self.text[start..end].trim()));
        }
        Ok((!stanza.fields.is_empty()).then_some(stanza))
    }
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Result<Stanza<'a>, ImageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.stanza().transpose();
        if matches!(result, Some(Err(_))) {
            self.offset = self.text.len();
        }
        result
    }
}

/// The one paragraph of a text that may hold only one.
pub(crate) fn single<'a>(what: &'a str, text: &'a str) -> Result<Stanza<'a>, ImageError> {
    let mut stanzas = Stanzas::new(what, text);
    let first = stanzas.next().unwrap_or_else(|| Err(stanzas.error("there is no paragraph")))?;
    match stanzas.next() {
        None => Ok(first),
        Some(second) => Err(second?.malformed(what, "a second paragraph is not expected".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_fields_and_continuations() {
        let text = "\nPackage: a\nDescription: one\n two\n .\n\n\nPackage:b\nX-Empty:\n";
        let all: Vec<_> = Stanzas::new("t", text).collect::<Result<_, _>>().unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].line, 2);
        assert_eq!(all[0].get("package"), Some("a"));
        assert_eq!(all[0].get("Description"), Some("one\n two\n ."));
        assert_eq!(all[1].get("Package"), Some("b"));
        assert_eq!(all[1].get("X-Empty"), Some(""));
        assert!(all[1].require("t", "X-Empty").is_err());
    }

    #[test]
    fn malformed_lines_are_refused_with_their_number() {
        for (text, line) in [("a: 1\nb\n", 2), (" x: 1\n", 1), ("a: 1\nA: 2\n", 2), (": 1", 1)] {
            let error = Stanzas::new("t", text).next().unwrap().unwrap_err().to_string();
            assert!(error.contains(&format!("line {line}:")), "{text:?}: {error}");
        }
        assert!(single("t", "a: 1\n\nb: 1\n").is_err());
        assert!(single("t", "\n").is_err());
        let many: String = (0..=FIELD_LIMIT).map(|i| format!("f{i}: 1\n")).collect();
        assert!(single("t", &many).is_err());
    }
}
