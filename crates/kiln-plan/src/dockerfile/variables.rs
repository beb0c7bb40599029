//! Variables in the places of a Dockerfile that name images (Dockerfile reference, "Understand how ARG and
//! FROM interact" and "Environment replacement").

use kiln_record::Platform;
use std::collections::BTreeMap;

/// How deep one replacement may stand in another.
const DEEPEST: u32 = 16;
/// The longest text that is replaced in or comes of it, in bytes: no reference of an image is longer.
const LONGEST: usize = 4096;

/// The arguments that are declared before the first stage.
pub(super) struct Variables {
    /// None for what has no value.
    values: BTreeMap<String, Option<String>>,
}

impl Variables {
    /// Those that builders set by themselves. Everything is built on the platform that it is for.
    pub(super) fn new(platform: Platform) -> Self {
        let mut values = BTreeMap::new();
        for prefix in ["TARGET", "BUILD"] {
            for (name, value) in [
                ("PLATFORM", platform.to_string()),
                ("OS", "linux".to_owned()),
                ("ARCH", platform.architecture.oci().to_owned()),
                ("VARIANT", String::new()),
            ] {
                values.insert(format!("{prefix}{name}"), Some(value));
            }
        }
        Self { values }
    }

    /// Takes what an ARG declares; `given` goes before its defaults.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn declare(&mut self, text: &str, given: &BTreeMap<String, String>) -> Result<(), String> {
        for word in words(text) {
            let (name, default) = match word.split_once('=') {
                Some((name, default)) => (name.to_owned(), Some(default.to_owned())),
                None => (word, None),
            };
            let value = match (given.get(&name), default) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(default)) => Some(self.expand(&default)?),
                (None, None) => self.values.get(&name).cloned().flatten(),
            };
            self.values.insert(name, value);
        }
        Ok(())
    }

    /// A text with its variables replaced: `$NAME`, `${NAME}`, and `${NAME:-default}` and `${NAME:+other}`
    /// with or without the colon.
    ///
    /// # Errors
    /// What is wrong, in words: a variable without a value, or braces that mean nothing.
    pub(super) fn expand(&self, text: &str) -> Result<String, String> {
        self.expand_in(text, 0)
    }

    fn expand_in(&self, text: &str, depth: u32) -> Result<String, String> {
        if depth > DEEPEST {
            return Err(format!("variables stand in each other more than {DEEPEST} deep"));
        }
        let bounded = |text: String| match text.len() {
            0..=LONGEST => Ok(text),
            length => {
                Err(format!("there are {length} bytes where variables are replaced, and {LONGEST} are read"))
            }
        };
        let text = &bounded(text.to_owned())?;
        let mut expanded = String::new();
        let mut rest = text.as_str();
        while let Some(at) = rest.find('$') {
            expanded.push_str(&rest[..at]);
            expanded = bounded(expanded)?;
            rest = &rest[at + 1..];
            if let Some(inside) = rest.strip_prefix('{') {
                let end = closing(inside).ok_or_else(|| format!("`{text}` has a `{{` without its `}}`"))?;
                expanded.push_str(&self.braced(&inside[..end], text, depth)?);
                rest = &inside[end + 1..];
            } else {
                let end = rest.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
                if end == 0 {
                    return Err(format!("`{text}` has a `$` that names nothing"));
                }
                expanded.push_str(&self.value(&rest[..end])?);
                rest = &rest[end..];
            }
        }
        expanded.push_str(rest);
        bounded(expanded)
    }

    fn braced(&self, inside: &str, text: &str, depth: u32) -> Result<String, String> {
        let end = inside.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(inside.len());
        let (name, modifier) = inside.split_at(end);
        let value = self.values.get(name).cloned().flatten();
        let (colon, modifier) = match modifier.strip_prefix(':') {
            Some(modifier) => (true, modifier),
            None => (false, modifier),
        };
        let value = if colon { value.filter(|value| !value.is_empty()) } else { value };
        match modifier.chars().next() {
            None if !colon && !name.is_empty() => self.value(name),
            Some('-') => value.map_or_else(|| self.expand_in(&modifier[1..], depth + 1), Ok),
            Some('+') => {
                value.map_or_else(|| Ok(String::new()), |_| self.expand_in(&modifier[1..], depth + 1))
            }
            _ => Err(format!("`{text}` replaces in a way that is not read: `${{{inside}}}`")),
        }
    }

    fn value(&self, name: &str) -> Result<String, String> {
        match self.values.get(name) {
            Some(Some(value)) => Ok(value.clone()),
            Some(None) => Err(format!("the argument `{name}` has no value")),
            None => Err(format!("the argument `{name}` is not declared before the first FROM")),
        }
    }
}

/// Where the brace ends, others inside counted.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The names that an ARG declares.
pub(super) fn names(text: &str) -> Vec<&str> {
    text.split_whitespace().map(|word| word.split('=').next().unwrap_or(word)).collect()
}

/// Words as ARG has them: separated by white space, quotes taken away.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(declared: &[&str], given: &[(&str, &str)]) -> Variables {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut variables = Variables::new("linux/amd64".parse().unwrap());
        declared.iter().for_each(|text| variables.declare(text, &given).unwrap());
        variables
    }

    #[test]
    fn variables_are_replaced_as_builders_do() {
        let variables = variables(
            &["VERSION=3.13 FLAVOUR=\"slim bookworm\"", "TAG=${VERSION}-x", "EMPTY=", "NONE"],
            &[("VERSION", "3.11")],
        );
        for (text, expected) in [
            ("a:$VERSION", "a:3.11"),
            ("a:${TAG}b", "a:3.11-xb"),
            ("$FLAVOUR", "slim bookworm"),
            ("${NONE:-${VERSION}}", "3.11"),
            ("${EMPTY-x}|${EMPTY:-x}", "|x"),
            ("${VERSION:+yes}${NONE+no}", "yes"),
            ("$TARGETARCH on $BUILDPLATFORM", "amd64 on linux/amd64"),
            ("plain", "plain"),
        ] {
            assert_eq!(variables.expand(text).unwrap(), expected, "{text}");
        }
        for (text, why) in [
            ("$NONE", "has no value"),
            ("$MISSING", "is not declared"),
            ("${VERSION", "without its"),
            ("$", "names nothing"),
            ("${VERSION/3/4}", "is not read"),
        ] {
            assert!(variables.expand(text).unwrap_err().contains(why), "{text}");
        }
    }
}
