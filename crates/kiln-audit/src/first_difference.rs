//! Where two files differ first, in the words of their format: what a person would look for with a hex viewer.
//!
//! Files may come from anybody: every format is read within bounds, and what cannot be read is compared as bytes.

use crate::difference::{FirstDifference, bytes, excerpt, short};
use crate::elf_difference::elf_difference;
use object::read::archive::ArchiveFile;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The largest file that is looked into, in bytes.
pub const LARGEST_EXPLAINED: u64 = 16 << 20;
/// How deep JSON is followed.
const DEEPEST: usize = 64;
/// The most members of a static library that are looked at, and the longest name of one, in bytes.
const MOST_MEMBERS: usize = 4096;
const LONGEST_NAME: usize = 255;

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
        elf_difference(before, after).or_else(|| library(before, after))
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

/// A static library (`ar`): the first member that differs, by its own format, then fields of the headers before members.
fn library(before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    let (old, new) = (members(before)?, members(after)?);
    let names: BTreeSet<&(String, usize)> = old.keys().chain(new.keys()).collect();
    let place = |name: &str| format!("member {}", short(name));
    let mut field = None;
    for key in names {
        let name = &key.0;
        let (Some((x, header)), Some((y, other))) = (old.get(key), new.get(key)) else {
            let there = |is_there: bool| if is_there { "there" } else { "no such member" };
            return Some(FirstDifference::at(
                place(name),
                there(old.contains_key(key)),
                there(new.contains_key(key)),
            ));
        };
        if x != y {
            let inner = elf_difference(x, y).or_else(|| text(x, y)).or_else(|| bytes("", x, y))?;
            return Some(FirstDifference { place: format!("{}, {}", place(name), inner.place), ..inner });
        }
        let differs = header.iter().zip(other).find(|((_, a), (_, b))| a != b);
        field = field.or_else(|| {
            let ((what, a), (_, b)) = differs?;
            let shown = |value: &Option<u64>| match (value, *what) {
                (None, _) => "none".to_owned(),
                (Some(mode), "mode") => format!("{mode:o}"),
                (Some(value), _) => value.to_string(),
            };
            Some(FirstDifference::at(format!("{what} of {}", place(name)), shown(a), shown(b)))
        });
    }
    field.or_else(|| bytes("outside of members, ", before, after))
}

/// Content and the fields of the header of each member; of those that are called alike, by their place among them.
type Members<'a> = BTreeMap<(String, usize), (&'a [u8], [(&'static str, Option<u64>); 4])>;

fn members(bytes: &[u8]) -> Option<Members<'_>> {
    let archive = ArchiveFile::parse(bytes).ok()?;
    let mut all = Members::new();
    for member in archive.members().take(MOST_MEMBERS) {
        let member = member.ok()?;
        let header = [
            ("date", member.date()),
            ("owner", member.uid()),
            ("group", member.gid()),
            ("mode", member.mode()),
        ];
        let name =
            String::from_utf8_lossy(member.name().get(..LONGEST_NAME).unwrap_or(member.name())).into_owned();
        let nth = (0..).find(|nth| !all.contains_key(&(name.clone(), *nth)))?;
        all.insert((name, nth), (member.data(bytes).ok()?, header));
    }
    Some(all)
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
