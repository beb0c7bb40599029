use kiln_pack::{Limits, PackError, TarContent, TarItem, read_tar};
use tar::{EntryType, Header};

/// One entry with a literal name.
fn entry(kind: u8, name: &str, target: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let fields = header.as_ustar_mut().unwrap();
    fields.name[..name.len()].copy_from_slice(name.as_bytes());
    fields.linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(EntryType::new(kind));
    header.set_mode(0o4755);
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().div_ceil(512) * 512, 0);
    bytes
}

fn pax(key: &str, value: &str) -> Vec<u8> {
    let body = format!(" {key}={value}\n");
    let digits = (1..).find(|digits| (body.len() + digits).to_string().len() == *digits).unwrap();
    entry(b'x', "pax", "", format!("{}{body}", body.len() + digits).as_bytes())
}

fn read(entries: &[Vec<u8>], limits: &Limits) -> Result<Vec<TarItem>, PackError> {
    let mut bytes = entries.concat();
    bytes.resize(bytes.len() + 1024, 0);
    let mut items = Vec::new();
    read_tar(bytes.as_slice(), limits, |item| {
        items.push(item);
        Ok::<(), PackError>(())
    })?;
    Ok(items)
}

fn refused(entries: &[Vec<u8>], why: &str) {
    let text = read(entries, &Limits::default()).unwrap_err().to_string();
    assert!(text.contains(why), "{text:?} does not say {why:?}");
}

#[test]
fn what_containers_hand_back_is_understood() {
    let long = "long/".repeat(40);
    let entries = [
        entry(b'g', "global", "", b"13 comment=x\n"),
        entry(b'5', "./", "", b""),
        entry(b'5', "./out/", "", b""),
        entry(b'0', "./out/a", "", b"one"),
        entry(b'1', "out/b", "./out/a", b""),
        entry(b'2', "out/c", "../anywhere", b""),
        pax("path", &format!("out/{long}é")),
        entry(b'0', "ignored", "", b"two"),
        entry(b'L', "././@LongLink", "", format!("out/{long}f\0").as_bytes()),
        entry(b'0', "out/long", "", b"three"),
        pax("SCHILY.xattr.security.capability", "x"),
        entry(b'\0', "out/z", "", b""),
    ];
    let items = read(&entries, &Limits::default()).unwrap();
    let shown: Vec<String> = items.iter().map(|item| item.path.to_string()).collect();
    let expected =
        ["out", "out/a", "out/b", "out/c", &format!("out/{long}é"), &format!("out/{long}f"), "out/z"];
    assert_eq!(shown, expected);
    assert_eq!(items[1].content, TarContent::File(b"one".to_vec()));
    assert_eq!(items[1].mode, 0o4755);
    assert_eq!(items[2].content, TarContent::HardLink("out/a".parse().unwrap()));
    assert_eq!(items[3].content, TarContent::Symlink("../anywhere".to_owned()));
    assert_eq!(items[5].content, TarContent::File(b"three".to_vec()));
}

#[test]
fn paths_that_leave_the_tree_are_refused() {
    for name in ["../a", "/etc/passwd", "a/../../b", "a\\b", ".", "./../a", "a//b", "././a"] {
        refused(&[entry(b'0', name, "", b"")], "not a path inside a tree");
    }
    refused(&[entry(b'5', "/", "", b"")], "not a path inside a tree");
    refused(&[pax("path", "../a"), entry(b'0', "a", "", b"")], "not a path inside a tree");
    refused(
        &[entry(b'0', "a", "", b""), entry(b'1', "b", "../../etc/passwd", b"")],
        "not a path inside a tree",
    );
    refused(&[entry(b'1', "b", "a", b"")], "no file before it");
    refused(&[entry(b'2', "b", "a", b""), entry(b'1', "c", "b", b"")], "no file before it");
}

#[test]
fn nothing_is_written_through_a_link_or_twice() {
    refused(&[entry(b'2', "a", "/etc", b""), entry(b'0', "a/passwd", "", b"x")], "`a` is a file or link");
    refused(&[entry(b'0', "a", "", b"1"), entry(b'0', "a", "", b"2")], "`a` appears twice");
    refused(&[entry(b'0', "a", "", b"1"), entry(b'5', "a/", "", b"")], "`a` is a file or link");
    refused(&[entry(b'5', "a/", "", b""), entry(b'0', "a", "", b"")], "`a` is a file or link");
    refused(&[entry(b'2', "a", "", b"")], "has a target that is empty");
}

#[test]
fn what_is_not_supported_is_named() {
    for kind in [b'3', b'4', b'6', b'S', b'V'] {
        refused(&[entry(kind, "a", "", b"")], &format!("`a` has type `{}`", char::from(kind)));
    }
    refused(&[pax("GNU.sparse.major", "1"), entry(b'0', "a", "", b"")], "sparse");
}

#[test]
fn contradictions_are_refused() {
    refused(&[pax("size", "4"), entry(b'0', "a", "", b"123")], "two sizes");
    refused(&[pax("path", "b"), pax("path", "c"), entry(b'0', "a", "", b"")], "two long names");
    refused(&[pax("path", "b")], "ends after an extension header");
    refused(&vec![pax("comment", "b"); 20], "too many extension headers");
    refused(&[entry(b'g', "g", "", b"9 path=b\n")], "global header names");
    refused(&[entry(b'5', "a", "", b"content")], "is not a file");
    for damaged in [
        &b"999 a=b\n"[..],
        b"5 a=b\n",
        b"x",
        b"7 a=b  ",
        b"6 abc\n",
        b"0 a=b\n",
        b"99999999999999999999 a=b\n",
    ] {
        refused(&[entry(b'x', "p", "", damaged), entry(b'0', "a", "", b"")], "extended header is damaged");
    }
    let mut wrong_sum = entry(b'0', "a", "", b"");
    wrong_sum[0] = b'b';
    refused(&[wrong_sum], "header is damaged");
}

#[test]
fn sizes_are_bounded_before_anything_is_allocated() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.as_gnu_mut().unwrap().name[0] = b'a';
    header.set_mode(0o644);
    header.set_size(1 << 60);
    header.set_cksum();
    refused(&[header.as_bytes().to_vec()], "unpacked bytes of `a`");
    // Within the limit, but not there.
    header.set_size(1 << 29);
    header.set_cksum();
    refused(&[header.as_bytes().to_vec()], "cut off within `a`");
    header.set_entry_type(EntryType::GNULongName);
    header.set_cksum();
    refused(&[header.as_bytes().to_vec()], "bytes of an extension header");

    let files: Vec<Vec<u8>> = ["a", "b", "c"].map(|name| entry(b'0', name, "", &[0; 700])).into();
    let limits = Limits { max_total_size: 2000, ..Limits::default() };
    assert!(matches!(read(&files, &limits), Err(PackError::Limit { found: 2100, limit: 2000, .. })));
    let limits = Limits { max_members: 2, ..Limits::default() };
    assert!(matches!(read(&files, &limits), Err(PackError::Limit { found: 3, limit: 2, .. })));
    assert_eq!(read(&files, &Limits::default()).unwrap().len(), 3);
    // Folders that only paths name are made as well.
    let deep: Vec<Vec<u8>> = ["a/b/c/1", "a/b/c/2"].map(|name| entry(b'0', name, "", b"")).into();
    assert_eq!(read(&deep, &Limits { max_members: 5, ..Limits::default() }).unwrap().len(), 2);
    let limits = Limits { max_members: 4, ..Limits::default() };
    assert!(matches!(read(&deep, &limits), Err(PackError::Limit { found: 5, limit: 4, .. })));
}

/// The caller's own error comes through, and ends the reading.
#[test]
fn the_callers_error_stops_the_reading() {
    #[derive(Debug)]
    enum Mine {
        Pack,
        Stop,
    }
    impl From<PackError> for Mine {
        fn from(_: PackError) -> Self {
            Self::Pack
        }
    }
    let bytes = [entry(b'0', "a", "", b""), entry(b'0', "../b", "", b"")].concat();
    let error = read_tar(bytes.as_slice(), &Limits::default(), |_| Err(Mine::Stop)).unwrap_err();
    assert!(matches!(error, Mine::Stop));
    let error = read_tar(bytes.as_slice(), &Limits::default(), |_| Ok::<(), Mine>(())).unwrap_err();
    assert!(matches!(error, Mine::Pack));
}
