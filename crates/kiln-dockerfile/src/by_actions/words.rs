//! Words of a Dockerfile: quotes, escapes and variables (Dockerfile reference, "Environment replacement"), as BuildKit reads them.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// How deep one replacement may stand in another.
const DEEPEST: u32 = 16;

/// A text with its variables replaced, and without quotes and escapes.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn expanded(text: &str, values: &BTreeMap<String, String>) -> Result<String, String> {
    let mut chars = text.chars().peekable();
    word(&mut chars, None, values, 0)
}

fn word(
    chars: &mut Peekable<Chars<'_>>,
    end: Option<char>,
    values: &BTreeMap<String, String>,
    depth: u32,
) -> Result<String, String> {
    if depth > DEEPEST {
        return Err(format!("variables stand in each other more than {DEEPEST} deep"));
    }
    let mut expanded = String::new();
    loop {
        match chars.next() {
            None if end.is_some() => return Err("a `{` is without its `}`".to_owned()),
            None => return Ok(expanded),
            Some(c) if Some(c) == end => return Ok(expanded),
            Some('\'') => loop {
                match chars.next() {
                    None => return Err("a quote does not end".to_owned()),
                    Some('\'') => break,
                    Some(c) => expanded.push(c),
                }
            },
            Some('"') => loop {
                match chars.next() {
                    None => return Err("a quote does not end".to_owned()),
                    Some('"') => break,
                    Some('$') => expanded.push_str(&variable(chars, values, depth)?),
                    Some('\\') => match chars.next() {
                        None => return Err("a quote does not end".to_owned()),
                        Some(c @ ('"' | '$' | '\\')) => expanded.push(c),
                        Some(c) => expanded.extend(['\\', c]),
                    },
                    Some(c) => expanded.push(c),
                }
            },
            Some('\\') => expanded.extend(chars.next()),
            Some('$') => expanded.push_str(&variable(chars, values, depth)?),
            Some(c) => expanded.push(c),
        }
    }
}

/// What stands for a variable, after its dollar.
fn variable(
    chars: &mut Peekable<Chars<'_>>,
    values: &BTreeMap<String, String>,
    depth: u32,
) -> Result<String, String> {
    let is_braced = chars.next_if_eq(&'{').is_some();
    let mut name = String::new();
    while let Some(c) = chars.next_if(|c| *c == '_' || c.is_ascii_alphanumeric()) {
        name.push(c);
    }
    if name.starts_with(|c: char| c.is_ascii_digit())
        || chars.peek().is_some_and(|c| name.is_empty() && "@*#?!".contains(*c))
    {
        return Err("a variable of shells alone is not read here".to_owned());
    }
    if !is_braced {
        return Ok(match name.as_str() {
            "" => "$".to_owned(),
            _ => values.get(&name).cloned().unwrap_or_default(),
        });
    }
    let unread = || format!("`${{{name}…}}` replaces in a way that is not read here");
    let value = values.get(&name).cloned();
    match chars.next() {
        _ if name.is_empty() => Err("`${` names nothing".to_owned()),
        Some('}') => Ok(value.unwrap_or_default()),
        Some(':') => {
            let kind = chars.next().ok_or_else(unread)?;
            let other = word(chars, Some('}'), values, depth + 1)?;
            let value = value.filter(|value| !value.is_empty());
            chosen(kind, value, other).ok_or_else(unread)
        }
        Some(kind) => {
            let other = word(chars, Some('}'), values, depth + 1)?;
            chosen(kind, value, other).ok_or_else(unread)
        }
        None => Err("a `{` is without its `}`".to_owned()),
    }
}

fn chosen(kind: char, value: Option<String>, other: String) -> Option<String> {
    match kind {
        '-' => Some(value.unwrap_or(other)),
        '+' => Some(value.map_or_else(String::new, |_| other)),
        _ => None,
    }
}

/// The words of a text, quotes and escapes kept: blanks in quotes separate nothing.
pub(super) fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None | Some('"'), '\\') => {
                word.push(c);
                word.extend(chars.next());
                continue;
            }
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Names and values as ENV and LABEL have them: `NAME=value …`, or one name and the rest of the line.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let words = words(text);
    match words.first() {
        Some(first) if !first.contains('=') => {
            let rest = text.trim_start()[first.len()..].trim();
            match rest {
                "" => Err(format!("`{first}` has no value")),
                _ => Ok(vec![(first.clone(), rest.to_owned())]),
            }
        }
        _ => words
            .iter()
            .map(|word| match word.split_once('=') {
                Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
                _ => Err(format!("`{word}` is no name with a value")),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_builders_read_them() {
        let values = [("A", "one"), ("E", ""), ("B", "t w o")];
        let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for (text, expected) in [
            ("$A/${A}b", "one/oneb"),
            ("'$A' \"$A \\\" $E.\"", "$A one \" ."),
            ("\\$A\\ x", "$A x"),
            ("${X:-d$A}|${X-e}|${E:-f}|${E-g}", "done|e|f|"),
            ("${A:+y}${E:+n}${E+s}${X+n}", "ys"),
            ("$X$", "$"),
            ("\"a\\b\"", "a\\b"),
        ] {
            assert_eq!(expanded(text, &values).unwrap(), expected, "{text}");
        }
        for text in ["${A", "\"x", "${A/o/p}", "${A:?x}", "$1", "${}"] {
            assert!(expanded(text, &values).is_err(), "{text}");
        }
        assert_eq!(words("a \"b c\"  d\\ e 'f g'h"), ["a", "\"b c\"", "d\\ e", "'f g'h"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pairs("A=1 B=\"2 3\"").unwrap(), [pair("A", "1"), pair("B", "\"2 3\"")]);
        assert_eq!(pairs("A some words").unwrap(), [pair("A", "some words")]);
        assert!(pairs("A=1 B").is_err() && pairs("A").is_err());
    }
}
