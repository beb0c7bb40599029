//! The fields of core metadata (PEP 241 and later), as METADATA, WHEEL and PKG-INFO write them.

/// The fields of a file in the form of a mail header, up to the first empty line. Nothing in it can fail: what is no field is
/// passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataFields(Vec<(String, String)>);

impl MetadataFields {
    /// Reads them. Continuation lines belong to the field before, joined by line feeds.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut fields: Vec<(String, String)> = Vec::new();
        for line in text.trim_start_matches('\u{feff}').lines() {
            if line.is_empty() {
                break;
            }
            if let Some(rest) = line.strip_prefix([' ', '\t']) {
                if let Some((_, value)) = fields.last_mut() {
                    value.push('\n');
                    value.push_str(unindented(rest));
                }
            } else if let Some((key, value)) = line.split_once(':') {
                fields.push((key.trim().to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        Self(fields)
    }

    /// Every value of a field, trimmed and in order. Its name is compared without regard to case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + Clone {
        self.0.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The first value of a field that says something: old builders wrote `UNKNOWN` for what their setup file left out.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .find(|value| !value.is_empty() && *value != "UNKNOWN")
    }
}

/// Builders indent continuation lines by eight spaces, or by seven and a `|`; one space is gone already.
fn unindented(rest: &str) -> &str {
    let spaces = rest.bytes().take(7).take_while(|c| *c == b' ').count();
    let rest = &rest[spaces..];
    if spaces == 6 { rest.strip_prefix('|').unwrap_or(rest) } else { rest }
}

#[cfg(test)]
mod tests {
    use super::MetadataFields;

    #[test]
    fn a_value_may_begin_on_the_line_after_its_field() {
        let fields =
            MetadataFields::read("\u{feff}Name:\n demo\nVERSION : 1\nX: UNKNOWN\nX: \nX: a\n\nName: body\n");
        assert_eq!(fields.one("name"), Some("demo"));
        assert_eq!(fields.one("Version"), Some("1"));
        assert_eq!(fields.one("x"), Some("a"));
        assert_eq!(fields.all("X").collect::<Vec<_>>(), ["UNKNOWN", "", "a"]);
        assert_eq!(fields.all("Name").count(), 1);
    }
}
