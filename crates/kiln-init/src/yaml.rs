//! YAML as values, with the tags of CloudFormation kept and bounds on depth and number.

use saphyr_parser::{Event, Parser, ScalarStyle};
use std::borrow::Cow;

/// How deep values are in each other.
const DEEPEST: usize = 64;
/// How many values a file has.
const MOST_VALUES: usize = 20_000;

/// A value. What an alias stands for is not looked up, so that no file is larger than it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Yaml {
    Scalar {
        text: String,
        /// Whether it is written without quotes, so that it may be a number or a name of nothing.
        plain: bool,
        /// Such as `Ref` or `GetAtt`.
        tag: Option<String>,
        /// Where it is in the file.
        line: usize,
    },
    List(Vec<Yaml>),
    Map(Vec<(String, Yaml)>),
    /// A list or map with a tag of CloudFormation, or an alias.
    Other {
        /// How it begins, such as `!If …`; nothing if the file is empty.
        text: String,
        /// Where it is in the file.
        line: usize,
    },
}

impl Yaml {
    /// The first document of a text.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut open: Vec<(Open, Option<String>, usize)> = Vec::new();
        let mut values = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                format!(
                    "line {}: {}",
                    error.marker().line(),
                    error.info().chars().take(200).collect::<String>()
                )
            })?;
            let value = match event {
                Event::Scalar(text, style, _, tag) => Self::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                    tag: tag
                        .map(Cow::into_owned)
                        .filter(|tag| !tag.is_yaml_core_schema())
                        .map(|tag| tag.suffix),
                    line: span.start.line(),
                },
                Event::Alias(_) => Self::Other { text: "an alias".to_owned(), line: span.start.line() },
                Event::SequenceStart(_, tag) => {
                    open.push((Open::List(Vec::new()), function(tag.as_deref()), span.start.line()));
                    Self::bounded(&open)?;
                    continue;
                }
                Event::MappingStart(_, tag) => {
                    open.push((Open::Map(Vec::new(), None), function(tag.as_deref()), span.start.line()));
                    Self::bounded(&open)?;
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                    Some((_, Some(text), line)) => Self::Other { text, line },
                    Some((Open::List(list), None, _)) => Self::List(list),
                    Some((Open::Map(map, _), None, _)) => Self::Map(map),
                    None => continue,
                },
                Event::Nothing
                | Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(_)
                | Event::DocumentEnd => continue,
            };
            values += 1;
            if values > MOST_VALUES {
                return Err(format!("it has more than {MOST_VALUES} values"));
            }
            match open.last_mut() {
                None => return Ok(value),
                Some((Open::List(list), ..)) => list.push(value),
                Some((Open::Map(map, key), ..)) => match key.take() {
                    Some(key) => map.push((key, value)),
                    None => {
                        *key = Some(match value {
                            Self::Scalar { text, .. } => text,
                            _ => String::new(),
                        });
                    }
                },
            }
        }
        Ok(Self::Other { text: String::new(), line: 1 })
    }

    fn bounded(open: &[(Open, Option<String>, usize)]) -> Result<(), String> {
        match open.len() > DEEPEST {
            true => Err(format!("its values are more than {DEEPEST} deep in each other")),
            false => Ok(()),
        }
    }

    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Self::Map(map) = self else { return None };
        map.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The value at several keys.
    pub(crate) fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The text that is written there, in which no function has a say.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, plain, tag: None, .. }
                if !(*plain && matches!(text.as_str(), "" | "~" | "null")) =>
            {
                Some(text)
            }
            _ => None,
        }
    }

    /// The logical name in `!Ref NAME` and `Ref: NAME`.
    pub(crate) fn reference(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, tag: Some(tag), .. } if tag == "Ref" => Some(text),
            _ => self.get("Ref")?.text(),
        }
    }

    /// The text of `!Sub TEXT` and `Fn::Sub: TEXT`.
    pub(crate) fn substituted(&self) -> Option<&str> {
        match self {
            Self::Scalar { text, tag: Some(tag), .. } if tag == "Sub" => Some(text),
            _ => self.get("Fn::Sub")?.text(),
        }
    }

    /// The first text in it, as it is written, with its line.
    pub(crate) fn first(&self) -> Option<(String, usize)> {
        match self {
            Self::Scalar { text, tag, line, .. } => {
                let function = tag.as_ref().map(|tag| format!("!{tag} ")).unwrap_or_default();
                Some((format!("{function}{text}"), *line))
            }
            Self::List(list) => list.iter().find_map(Self::first),
            Self::Map(map) => map.iter().find_map(|(_, value)| value.first()),
            Self::Other { text, line } => (!text.is_empty()).then(|| (text.clone(), *line)),
        }
    }

    /// Keys and values of a map; nothing of another value.
    pub(crate) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Map(map) => map,
            _ => &[],
        }
    }

    /// The values of a list; nothing of another value.
    pub(crate) fn items(&self) -> &[Self] {
        match self {
            Self::List(list) => list,
            _ => &[],
        }
    }
}

enum Open {
    List(Vec<Yaml>),
    /// With the key whose value comes next.
    Map(Vec<(String, Yaml)>, Option<String>),
}

/// How a call of a function of CloudFormation begins, if a list or map is what it is called with.
fn function(tag: Option<&saphyr_parser::Tag>) -> Option<String> {
    tag.filter(|tag| !tag.is_yaml_core_schema()).map(|tag| format!("!{} …", tag.suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_cloudformation_are_values() {
        let text = "A: !Ref Table\nB: !GetAtt Table.Arn\nC: !Sub\n  - '${X}'\n  - {X: 1}\nD: !If [A, b, c]\nE: {Ref: Layer}\nF: '3'\nG: ~\n";
        let yaml = Yaml::parse(text).unwrap();
        assert_eq!(yaml.get("A").unwrap().reference(), Some("Table"));
        assert_eq!(yaml.get("A").unwrap().text(), None);
        assert_eq!(yaml.get("B").unwrap().text(), None);
        assert!(matches!(yaml.get("C"), Some(Yaml::Other { .. })));
        assert_eq!(yaml.get("D").unwrap().first(), Some(("!If …".to_owned(), 6)));
        assert_eq!(yaml.get("E").unwrap().reference(), Some("Layer"));
        assert_eq!(yaml.get("F").unwrap().text(), Some("3"));
        assert_eq!(yaml.get("B").unwrap().first(), Some(("!GetAtt Table.Arn".to_owned(), 2)));
        assert_eq!(yaml.get("E").unwrap().first(), Some(("Layer".to_owned(), 7)));
        assert_eq!(yaml.get("G").unwrap().text(), None);
    }

    #[test]
    fn hostile_files_are_bounded() {
        assert!(Yaml::parse(&"[".repeat(100_000)).is_err());
        assert!(Yaml::parse(&"- ".repeat(100_000)).is_err());
        assert!(Yaml::parse(&"{a: ".repeat(1000)).is_err());
        assert!(Yaml::parse("a: [b").is_err());
        assert!(Yaml::parse("a: *nowhere").is_err());
        let many = format!("[{}]", "x,".repeat(MOST_VALUES + 2));
        assert!(Yaml::parse(&many).unwrap_err().contains("more than"));
        // Ten aliases of ten aliases are ten values.
        let bomb = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        let bomb = Yaml::parse(bomb).unwrap();
        assert!(matches!(bomb.get("c").unwrap().items(), [Yaml::Other { .. }, Yaml::Other { .. }]));
        for bytes in ["\u{0}", "%YAML 9.9\n---\n", "!!", "? ", ": :", "\t"] {
            let _ = Yaml::parse(bytes);
        }
    }
}
