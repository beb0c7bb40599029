//! JSON as Python's `json.dumps` writes it, for hashes that tools take of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use toml::de::DeValue;

/// An object as `json.dumps` writes it. The pairs come sorted.
pub(crate) fn object<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let inside: Vec<String> =
        pairs.into_iter().map(|(key, value)| format!("{}: {value}", string(key))).collect();
    format!("{{{}}}", inside.join(", "))
}

pub(crate) fn json(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => string(text),
        DeValue::Boolean(true) => "true".to_owned(),
        DeValue::Boolean(false) => "false".to_owned(),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| number.as_str().to_owned(), |n| n.to_string()),
        DeValue::Float(number) => {
            number.as_str().parse::<f64>().map_or_else(|_| number.as_str().to_owned(), |n| format!("{n:?}"))
        }
        // Python's json cannot write a date, so Poetry cannot have hashed one: no match is the right answer.
        DeValue::Datetime(_) => "datetime".to_owned(),
        DeValue::Array(items) => {
            let inside: Vec<String> = items.iter().map(|item| json(item.get_ref())).collect();
            format!("[{}]", inside.join(", "))
        }
        DeValue::Table(table) => {
            // Python sorts by code points, which is the byte order of UTF-8.
            let sorted: BTreeMap<&str, String> =
                table.iter().map(|(key, value)| (key.get_ref().as_ref(), json(value.get_ref()))).collect();
            object(sorted)
        }
    }
}

/// A string as `json.dumps` writes it: everything but printable ASCII is escaped, beyond the basic plane as a
/// surrogate pair.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(c),
            other => {
                for unit in other.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_python_does() {
        assert_eq!(string("a\"\\\n\u{1}\u{7f}é😀"), "\"a\\\"\\\\\\n\\u0001\\u007f\\u00e9\\ud83d\\ude00\"");
    }
}
