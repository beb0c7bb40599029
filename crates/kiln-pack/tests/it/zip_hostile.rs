use crate::forged_zip::{Forged, forge, stored};
use kiln_pack::{Limits, PackError, ZipReader, compress};
use std::io::Cursor;

/// Opens an archive and reads everything; returns the refusal.
fn refusal(bytes: &[u8], limits: &Limits) -> PackError {
    let mut reader = match ZipReader::open(Cursor::new(bytes), limits) {
        Ok(reader) => reader,
        Err(error) => return error,
    };
    for member in reader.members().to_vec() {
        if let Err(error) = reader.read(&member) {
            return error;
        }
    }
    panic!("accepted");
}

/// Expects a refusal whose message contains a text.
fn refused(members: &[Forged], why: &str) {
    let text = refusal(&forge(members), &Limits::default()).to_string();
    assert!(text.contains(why), "{text:?} does not say {why:?}");
}

#[test]
fn the_forger_can_make_an_honest_archive() {
    let bytes = forge(&[stored("a", b"1"), stored("b/", b""), stored("b/c", b"2")]);
    let mut reader = ZipReader::open(Cursor::new(bytes), &Limits::default()).unwrap();
    let members = reader.members().to_vec();
    assert_eq!(members.iter().map(|m| m.path.as_str()).collect::<Vec<_>>(), ["a", "b/c"]);
    assert_eq!(reader.read(&members[1]).unwrap(), b"2");
}

#[test]
fn paths_that_leave_the_tree_are_refused() {
    for name in [
        "../etc/passwd",
        "a/../../b",
        "/etc/passwd",
        "a\\..\\b",
        "a/./b",
        "a//b",
        "",
        "/",
        "..",
        "a\0b",
        "a/../",
    ] {
        refused(&[stored(name, b"")], "not a path inside a tree");
    }
    refused(&[stored("é", b"")], "not ASCII and not marked");
    let invalid = Forged {
        name: b"\xff\xfe".to_vec(),
        local_name: b"\xff\xfe".to_vec(),
        flags: 1 << 11,
        ..stored("", b"")
    };
    refused(&[invalid], "marked as UTF-8, but is not");
}

#[test]
fn two_members_cannot_have_one_place() {
    refused(&[stored("a", b"1"), stored("a", b"2")], "`a` appears twice");
    refused(&[stored("a", b"1"), stored("a/b", b"2")], "`a` is a file or link, but `a/b`");
    refused(&[stored("a/b", b"1"), stored("a", b"2")], "`a` is a file or link, but `a/b`");
    refused(&[stored("a", b"1"), stored("a/", b"")], "`a` is a file or link");
    let link = Forged { unix_mode: 0o120_777, ..stored("a", b"/etc") };
    refused(&[link, stored("a/passwd", b"x")], "`a` is a file or link, but `a/passwd`");
}

#[test]
fn headers_and_directory_must_agree() {
    let honest = stored("a", b"1");
    refused(&[Forged { local_name: b"b".to_vec(), ..honest.clone() }], "disagree about its name");
    refused(&[Forged { local_size: 2, ..honest.clone() }], "disagree about its size");
    refused(&[Forged { crc32: 1, ..honest.clone() }], "checksum is not the one announced");
    refused(&[Forged { size: 2, local_size: 2, ..honest.clone() }], "its two sizes differ");
    refused(&[Forged { offset: Some(3), ..honest.clone() }], "belong to no member");
    refused(&[Forged { offset: Some(u32::MAX - 1), ..honest.clone() }], "belong to no member");
    refused(&[Forged { before: b"MZ".to_vec(), ..honest.clone() }], "belong to no member");
    refused(&[honest.clone(), Forged { before: b"x".to_vec(), ..stored("b", b"") }], "belong to no member");
    let extended = Forged { compressed_size: 900, size: 900, local_size: 900, ..honest };
    refused(&[extended], "reaches into the directory");
}

/// The trick of the zip bomb that needs no nesting: many members share one stream.
#[test]
fn overlapping_members_are_refused() {
    let first = stored("a", b"1");
    let second = Forged { offset: Some(0), ..stored("a2", b"1") };
    refused(&[first, second], "overlaps");
    let inner = forge(&[stored("b", b"hidden")]);
    let outer = stored("a", &inner[..40]);
    let nested = Forged { offset: Some(31), data: Vec::new(), ..stored("b", b"hidden") };
    refused(&[outer, nested], "overlaps");
}

#[test]
fn bombs_are_refused_before_they_are_unpacked() {
    let zeros = compress(&vec![0; 3_000_000]);
    let bomb = |name: &str| Forged {
        method: 8,
        size: 3_000_000,
        local_size: 3_000_000,
        crc32: zeros.crc32,
        compressed_size: u32::try_from(zeros.stream.len()).unwrap(),
        data: zeros.stream.clone(),
        ..stored(name, b"")
    };
    let all = forge(&[bomb("a"), bomb("b"), bomb("c")]);
    let limits = Limits { max_total_size: 8_000_000, ..Limits::default() };
    let text = refusal(&all, &limits).to_string();
    assert_eq!(text, "unpacked bytes up to `c`: 9000000 where at most 8000000 are allowed");
    let limits = Limits { max_member_size: 2_999_999, ..Limits::default() };
    assert!(matches!(refusal(&all, &limits), PackError::Limit { found: 3_000_000, .. }));
    let limits = Limits { max_ratio: 100, ..Limits::default() };
    assert!(refusal(&all, &limits).to_string().contains("compressed bytes"));
    let limits = Limits { max_members: 2, ..Limits::default() };
    assert_eq!(refusal(&all, &limits).to_string(), "number of members: 3 where at most 2 are allowed");
    let deep = forge(&[stored("a/b/c/1", b""), stored("a/b/c/2", b"")]);
    let text = refusal(&deep, &limits).to_string();
    assert_eq!(text, "number of members and folders: 4 where at most 2 are allowed");

    // A size that the stream cannot have, announced to provoke an allocation.
    let liar = Forged { size: 1 << 30, local_size: 1 << 30, ..bomb("a") };
    refused(&[liar], "compressed bytes");
    let understated = Forged { size: 10, local_size: 10, ..bomb("a") };
    refused(&[understated], "more than the 10 bytes");
}

#[test]
fn what_is_not_supported_is_named() {
    let honest = stored("a", b"1");
    refused(&[Forged { flags: 1, ..honest.clone() }], "`a` is encrypted");
    refused(&[Forged { flags: 1 << 6 | 1, ..honest.clone() }], "`a` is encrypted");
    refused(&[Forged { flags: 1 << 5, ..honest.clone() }], "`a` is a patch");
    refused(&[Forged { method: 14, ..honest.clone() }], "`a` is compressed by method 14");
    for kind in [0o010_644, 0o020_644, 0o060_644, 0o140_644, 0o040_755] {
        refused(&[Forged { unix_mode: kind, ..honest.clone() }], "neither a file nor a folder");
    }
    refused(
        &[Forged { name: b"d/".to_vec(), local_name: b"d/".to_vec(), ..honest.clone() }],
        "neither a file",
    );
    refused(&[Forged { flags: 1 << 3, ..honest }], "not its descriptor");
}

#[test]
fn a_second_name_must_be_the_first() {
    let extra = |name: &[u8]| {
        let length = u16::try_from(5 + name.len()).unwrap().to_le_bytes();
        [&[0x75, 0x70], &length[..], b"\x01\0\0\0\0", name].concat()
    };
    let member = Forged { extra: extra(b"other"), ..stored("a", b"1") };
    refused(&[member], "second name that differs");
    let twice = Forged { extra: [extra(b"a"), extra(b"a")].concat(), ..stored("a", b"1") };
    refused(&[twice], "one extra field twice");
    refused(&[Forged { extra: vec![1, 2, 200, 0, 5], ..stored("a", b"1") }], "extra fields are damaged");
    let same = forge(&[Forged { extra: extra(b"a"), ..stored("a", b"1") }]);
    assert!(ZipReader::open(Cursor::new(same), &Limits::default()).is_ok());
}

#[test]
fn the_end_of_the_archive_is_unambiguous() {
    let limits = Limits::default();
    let honest = forge(&[stored("a", b"1")]);
    let message = |bytes: &[u8]| refusal(bytes, &limits).to_string();
    assert!(message(b"").contains("not a zip"));
    assert!(message(b"PK\x05\x06").contains("not a zip"));
    assert!(message(&honest[..honest.len() - 1]).contains("not a zip"));
    assert!(message(&[&honest[..], b"x"].concat()).contains("not a zip"));
    assert!(message(&[b"#!/bin/sh\n", &honest[..]].concat()).contains("does not reach"));

    // A comment that is itself an end record: some readers take the first, some the last.
    let mut two_ends = honest.clone();
    let length = two_ends.len();
    two_ends[length - 2..].copy_from_slice(&22_u16.to_le_bytes());
    two_ends.extend(b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert!(message(&two_ends).contains("two end records"));

    // A harmless comment is fine.
    let mut commented = honest.clone();
    commented[length - 2..].copy_from_slice(&5_u16.to_le_bytes());
    commented.extend(b"hello");
    assert!(ZipReader::open(Cursor::new(commented), &limits).is_ok());

    for (place, what) in [(length - 14, "count on this disk"), (length - 12, "count"), (length - 18, "disk")]
    {
        let mut wrong = honest.clone();
        wrong[place] ^= 3;
        assert!(ZipReader::open(Cursor::new(wrong), &limits).is_err(), "{what}");
    }
}
