//! Where two files differ first, in the words of their format: what a person would look for with a hex viewer.
//!
//! Files may come from anybody: every format is read within bounds, and what cannot be read is compared as bytes.

use crate::elf::inspect_elf;
use object::{Object as _, ObjectSection as _};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// The largest file that is looked into, in bytes.
pub const LARGEST_EXPLAINED: u64 = 16 << 20;
/// How deep JSON is followed.
const DEEPEST: usize = 64;
/// Bytes that are shown of a place in a binary file.
const SHOWN_BYTES: usize = 8;

/// Where two files differ first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FirstDifference {
    /// The place: `line 3`, `/metadata/name`, `section .text, byte 16`.
    pub place: String,
    /// What is there before.
    pub before: String,
    /// What is there now.
    pub after: String,
    /// What else the two tell by their format, such as a library that is needed now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A short text without anything that a terminal would act on. Quotes need no escape here.
fn excerpt(text: &str) -> String {
    kiln_record::excerpt(text).replace("\\'", "'").replace("\\\"", "\"")
}

impl FirstDifference {
    fn at(place: impl Into<String>, before: impl Into<String>, after: impl Into<String>) -> Self {
        Self { place: place.into(), before: before.into(), after: after.into(), notes: Vec::new() }
    }
}

/// Where two contents of the file `path` differ first; none if they are equal.
#[must_use]
pub fn first_difference(path: &str, before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    if before == after {
        return None;
    }
    let by_format = if path.ends_with(".pyc") {
        bytecode(before, after)
    } else if path.ends_with(".dist-info/RECORD") {
        record(before, after)
    } else if path.ends_with(".json") {
        json(before, after)
    } else {
        elf(before, after)
    };
    by_format.or_else(|| text(before, after)).or_else(|| bytes("", before, after))
}

/// Bytecode (CPython's `importlib._bootstrap_external`): magic, flags, then time and size of the source, or its hash.
fn bytecode(before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    let word = |bytes: &[u8], at: usize| bytes.get(at..at + 4).and_then(|word| word.try_into().ok());
    let number = |bytes: &[u8], at: usize| word(bytes, at).map(u32::from_le_bytes);
    let field = |name: &str, at: usize| {
        let (a, b) = (number(before, at)?, number(after, at)?);
        (a != b)
            .then(|| FirstDifference::at(format!("header of bytecode, {name}"), a.to_string(), b.to_string()))
    };
    let version = |bytes: &[u8]| bytes.get(..2).map(|magic| u16::from_le_bytes([magic[0], magic[1]]));
    let (a, b) = (version(before)?, version(after)?);
    if a != b {
        return Some(FirstDifference::at(
            "header of bytecode, magic of the interpreter",
            a.to_string(),
            b.to_string(),
        ));
    }
    let flags = field("flags", 4);
    let (time, size) = match number(before, 4)? {
        0 => ("time of the source", "size of the source"),
        _ => ("hash of the source", "hash of the source"),
    };
    flags
        .or_else(|| field(time, 8))
        .or_else(|| field(size, 12))
        .or_else(|| bytes("code of the module, ", before.get(16..)?, after.get(16..)?))
}

/// RECORD: the first line that differs, by the path that it is about; and whether it is only that lines are in another order, as
/// installers do not agree on one.
fn record(before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    let sorted = |bytes| {
        let mut lines: Vec<&str> = std::str::from_utf8(bytes).ok()?.lines().collect();
        lines.sort_unstable();
        Some(lines)
    };
    let is_order = sorted(before)? == sorted(after)?;
    let mut found = text(before, after)?;
    let path = [&found.before, &found.after]
        .into_iter()
        .find(|line| line.contains(','))
        .and_then(|line| line.split(',').next())?
        .to_owned();
    found.place = format!("{} of RECORD, about {path}", found.place);
    if is_order {
        found.place = format!("the order of its lines alone, {}", found.place);
    }
    Some(found)
}

fn json(before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    let (a, b): (Value, Value) = (serde_json::from_slice(before).ok()?, serde_json::from_slice(after).ok()?);
    let shown =
        |value: Option<&Value>| value.map_or("nothing".to_owned(), |value| excerpt(&value.to_string()));
    let (place, a, b) = json_place(&a, &b, String::new(), 0)?;
    let place = if place.is_empty() { "/".to_owned() } else { excerpt(&place) };
    Some(FirstDifference::at(place, shown(a), shown(b)))
}

type Place<'a> = (String, Option<&'a Value>, Option<&'a Value>);

/// The JSON pointer (RFC 6901) of the first difference; keys in their order by bytes.
fn json_place<'a>(a: &'a Value, b: &'a Value, at: String, depth: usize) -> Option<Place<'a>> {
    if a == b {
        return None;
    }
    match (a, b) {
        (Value::Object(old), Value::Object(new)) if depth < DEEPEST => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            keys.into_iter().find_map(|key| {
                let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
                match (old.get(key), new.get(key)) {
                    (Some(a), Some(b)) => json_place(a, b, place, depth + 1),
                    (a, b) => Some((place, a, b)),
                }
            })
        }
        (Value::Array(old), Value::Array(new)) if depth < DEEPEST => {
            (0..old.len().max(new.len())).find_map(|index| {
                let place = format!("{at}/{index}");
                match (old.get(index), new.get(index)) {
                    (Some(a), Some(b)) => json_place(a, b, place, depth + 1),
                    (a, b) => Some((place, a, b)),
                }
            })
        }
        _ => Some((at, Some(a), Some(b))),
    }
}

/// ELF files: the first section that differs, and the libraries that are needed on one side only.
fn elf(before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    if !before.starts_with(b"\x7fELF") || !after.starts_with(b"\x7fELF") {
        return None;
    }
    let notes = needs(before, after);
    let mut found = sections(before, after).or_else(|| bytes("outside of sections, ", before, after))?;
    found.notes = notes;
    Some(found)
}

fn sections(before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    let (a, b) = (object::File::parse(before).ok()?, object::File::parse(after).ok()?);
    let (mut old, mut new) = (a.sections(), b.sections());
    for _ in 0..u16::MAX {
        let (x, y) = match (old.next(), new.next()) {
            (Some(x), Some(y)) => (x, y),
            (None, None) => return None,
            (x, y) => {
                let name = |name: Option<&str>| name.map_or("none".to_owned(), excerpt);
                let (x, y) = (x.as_ref().and_then(|x| x.name().ok()), y.as_ref().and_then(|y| y.name().ok()));
                return Some(FirstDifference::at("a section that only one has", name(x), name(y)));
            }
        };
        let (x_name, y_name) = (x.name().unwrap_or_default(), y.name().unwrap_or_default());
        if x_name != y_name {
            return Some(FirstDifference::at("names of sections", excerpt(x_name), excerpt(y_name)));
        }
        let (Ok(x), Ok(y)) = (x.data(), y.data()) else { continue };
        if x != y {
            return bytes(&format!("section {}, ", excerpt(x_name)), x, y);
        }
    }
    None
}

/// What the two need of libraries, as far as that differs.
fn needs(before: &[u8], after: &[u8]) -> Vec<String> {
    let (Ok(Some(old)), Ok(Some(new))) = (inspect_elf(before), inspect_elf(after)) else { return Vec::new() };
    let gained = new.needed.iter().filter(|name| !old.needed.contains(name));
    let lost = old.needed.iter().filter(|name| !new.needed.contains(name));
    let mut notes: Vec<String> = gained.map(|name| format!("needs {} now", excerpt(name))).collect();
    notes.extend(lost.map(|name| format!("does not need {} any more", excerpt(name))));
    for (interface, version) in &new.versions {
        let was = old.versions.get(interface);
        if was.is_none_or(|was| was.number < version.number) {
            let was = was.map_or("nothing of it".to_owned(), |was| excerpt(&was.text));
            notes.push(format!("needs {} now, and {was} before", excerpt(&version.text)));
        }
    }
    notes
}

/// Text: the first line that differs.
fn text(before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    let readable = |bytes: &[u8]| !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
    if !readable(before) || !readable(after) {
        return None;
    }
    let (a, b) = (std::str::from_utf8(before).ok()?, std::str::from_utf8(after).ok()?);
    let (mut old, mut new) = (a.split('\n'), b.split('\n'));
    for number in 1_usize.. {
        match (old.next(), new.next()) {
            (None, None) => break,
            (x, y) if x == y => {}
            (x, y) => {
                let shown = |line: Option<&str>| line.map_or("no such line".to_owned(), excerpt);
                return Some(FirstDifference::at(format!("line {number}"), shown(x), shown(y)));
            }
        }
    }
    None
}

/// Bytes: the first that differs, with those that follow.
fn bytes(within: &str, before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    let common = before.iter().zip(after).take_while(|(a, b)| a == b).count();
    if common == before.len() && common == after.len() {
        return None;
    }
    let shown = |bytes: &[u8]| match bytes.get(common..).unwrap_or_default() {
        [] => "its end".to_owned(),
        rest => {
            let hex: Vec<String> = rest.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
            hex.join(" ")
        }
    };
    Some(FirstDifference::at(format!("{within}byte {common}"), shown(before), shown(after)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, before: &[u8], after: &[u8]) -> (String, String, String) {
        let found = first_difference(path, before, after).unwrap();
        (found.place, found.before, found.after)
    }

    fn is(place: &str, before: &str, after: &str) -> (String, String, String) {
        (place.to_owned(), before.to_owned(), after.to_owned())
    }

    #[test]
    fn each_format_tells_its_place() {
        assert_eq!(first_difference("a.py", b"x", b"x"), None);
        assert_eq!(found("a.py", b"a\nb\nc\n", b"a\nB\nc\n"), is("line 2", "b", "B"));
        assert_eq!(found("a.py", b"a\n", b"a\nb"), is("line 2", "", "b"));
        assert_eq!(found("a.bin", &[0, 1, 2], &[0, 1]), is("byte 2", "02", "its end"));
        assert_eq!(
            found("a.json", br#"{"b": [1, {"c/d": 2}], "a": 1}"#, br#"{"a": 1, "b": [1, {"c/d": 3}]}"#),
            is("/b/1/c~1d", "2", "3")
        );
        assert_eq!(found("a.json", b"[1]", b"[1, 2]"), is("/1", "nothing", "2"));
        // The same value, written in another way: the text is all that differs.
        assert_eq!(found("a.json", b"[1, 2]", b"[1,2]"), is("line 1", "[1, 2]", "[1,2]"));
        assert_eq!(
            found("x-1.dist-info/RECORD", b"x.py,sha256=a,1\n", b"x.py,sha256=b,1\n"),
            is("line 1 of RECORD, about x.py", "x.py,sha256=a,1", "x.py,sha256=b,1")
        );
        assert_eq!(
            found("x-1.dist-info/RECORD", b"x.py,,1\ny.py,,2\n", b"y.py,,2\nx.py,,1\n"),
            is("the order of its lines alone, line 1 of RECORD, about x.py", "x.py,,1", "y.py,,2")
        );
    }

    #[test]
    fn bytecode_is_told_by_the_fields_of_its_header() {
        let module = |magic: u16, flags: u32, time: u32, size: u32, code: u8| {
            let mut bytes = magic.to_le_bytes().to_vec();
            bytes.extend(b"\r\n");
            for word in [flags, time, size] {
                bytes.extend(word.to_le_bytes());
            }
            bytes.push(code);
            bytes
        };
        let module_1 = module(3571, 0, 100, 7, 9);
        let name = "__pycache__/a.cpython-313.pyc";
        for (other, place) in [
            (module(3495, 0, 100, 7, 9), "header of bytecode, magic of the interpreter"),
            (module(3571, 3, 100, 7, 9), "header of bytecode, flags"),
            (module(3571, 0, 101, 7, 9), "header of bytecode, time of the source"),
            (module(3571, 0, 100, 8, 9), "header of bytecode, size of the source"),
            (module(3571, 0, 100, 7, 8), "code of the module, byte 0"),
        ] {
            assert_eq!(found(name, &module_1, &other).0, place);
        }
        // Cut off, so that there is no header.
        assert_eq!(found(name, &module_1, b"x").0, "byte 0");
    }

    #[test]
    fn hostile_files_are_survived() {
        let deep = |end: &str| format!("{}{end}{}", "[".repeat(100), "]".repeat(100));
        assert!(first_difference("a.json", deep("1").as_bytes(), deep("2").as_bytes()).is_some());
        for bytes in [
            &b"\x7fELF"[..],
            b"\x7fELF\x02\x01\x01",
            &[b"\x7fELF\x02\x01\x01".as_slice(), &[0xff; 80]].concat(),
        ] {
            assert!(first_difference("a.so", bytes, b"\x7fELFx").is_some());
        }
        let escape = found("a.txt", b"\x1b[2J", b"x");
        assert!(!escape.1.contains('\u{1b}'));
    }
}
