use super::*;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn file(content: &[u8], mode: u32) -> Node {
    Node {
        content: NodeContent::File { digest: Digest::of(content), size: content.len() as u64 },
        mode,
        user: 0,
        group: 0,
        xattrs: BTreeMap::new(),
    }
}

fn folder() -> Node {
    Node::implied()
}

/// A store of a few contents.
const CONTENTS: [&[u8]; 4] = [b"one", b"two", b"three", b""];

fn content(digest: &Digest) -> io::Result<Box<dyn Read>> {
    let found = CONTENTS.into_iter().find(|bytes| Digest::of(bytes) == *digest);
    Ok(Box::new(found.ok_or_else(|| io::Error::other("no such content"))?))
}

fn added(state: &FileSystem, tar: &[u8]) -> FileSystem {
    let mut state = state.clone();
    state
        .add(tar, |_, reader| {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes)?;
            Ok((Digest::of(&bytes), bytes.len() as u64))
        })
        .unwrap();
    state
}

fn state(nodes: &[(&str, Node)]) -> FileSystem {
    let mut state = FileSystem::new();
    nodes.iter().for_each(|(at, node)| state.put(path(at), node.clone()));
    state
}

/// What lies between two states, written and put over the first again, is the second.
fn assert_leads_to(before: &FileSystem, after: &FileSystem) {
    let changes = after.changes_since(before);
    let tar = write_changes(Vec::new(), &changes, 0, content).unwrap();
    assert_eq!(added(before, &tar).nodes, after.nodes, "{changes:?}");
    assert_eq!(write_changes(Vec::new(), &changes, 0, content).unwrap(), tar);
}

#[test]
fn changes_lead_from_one_state_to_the_other() {
    let mut owned = file(b"two", 0o4750);
    owned.user = 1000;
    owned.group = 4_000_000_000;
    owned.xattrs.insert("security.capability".to_owned(), "0100000200".to_owned());
    let link =
        Node { content: NodeContent::Symlink { target: "./../a//b".to_owned() }, mode: 0o777, ..folder() };
    let long =
        Node { content: NodeContent::Symlink { target: "x/".repeat(90) + "x" }, mode: 0o777, ..folder() };
    let states = [
        state(&[]),
        state(&[("a/b", file(b"one", 0o644)), ("a/c/d", file(b"two", 0o755)), ("a.b", file(b"", 0o644))]),
        state(&[("a/b", owned.clone()), ("a.b", file(b"", 0o600))]),
        state(&[("a", file(b"three", 0o644)), ("link", link)]),
        state(&[("a/c", long), ("a/b/deep", Node { mode: 0o1777, user: 7, ..folder() })]),
        state(&[(&"long/".repeat(40), owned)].map(|(at, node)| (at.trim_end_matches('/'), node))),
    ];
    for before in &states {
        for after in &states {
            assert_leads_to(before, after);
        }
    }
}

#[test]
fn layers_are_read_as_engines_unpack_them() {
    let lower =
        state(&[("d/a", file(b"one", 0o644)), ("d/b", file(b"two", 0o644)), ("e/f", file(b"one", 0o644))]);
    let mut builder = Builder::new(Vec::new());
    let mut append = |name: &str, kind: EntryType, link: Option<&str>, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(bytes.len() as u64);
        match link {
            Some(link) => builder.append_link(&mut header, name, link).unwrap(),
            None => builder.append_data(&mut header, name, bytes).unwrap(),
        }
    };
    append("d/.wh..wh..opq", EntryType::Regular, None, b"");
    append("d/new", EntryType::Regular, None, b"three");
    append("d/again", EntryType::Link, Some("d/new"), b"");
    append("lower", EntryType::Link, Some("e/f"), b"");
    append("e/.wh.f", EntryType::Regular, None, b"");
    append("pipe", EntryType::Fifo, None, b"");
    let tar = builder.into_inner().unwrap();
    let found = added(&lower, &tar);
    let names: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["d", "d/again", "d/new", "e", "lower", "pipe"]);
    assert_eq!(found.get(&path("d/again")), Some(&file(b"three", 0o644)));
    assert_eq!(found.get(&path("lower")), Some(&file(b"one", 0o644)));
    assert_eq!(
        found.get(&path("pipe")).unwrap().content,
        NodeContent::Special { what: "a named pipe".to_owned() }
    );
}

#[test]
fn paths_that_leave_the_root_are_refused() {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_size(0);
    header.as_gnu_mut().unwrap().name[..8].copy_from_slice(b"../../up");
    header.set_cksum();
    let mut builder = Builder::new(Vec::new());
    builder.append(&header, io::empty()).unwrap();
    let tar = builder.into_inner().unwrap();
    let error = FileSystem::new().add(tar.as_slice(), |_, _| Ok((Digest::of(b""), 0))).unwrap_err();
    assert!(error.to_string().contains("`..`"), "{error}");
}

/// What few compressed bytes say: a name of megabytes, and a sparse file of terabytes.
#[test]
fn headers_and_sparse_files_of_a_layer_are_bounded() {
    let long = tar_of(tar::EntryType::GNULongName, &vec![b'a'; 2 << 20], None);
    let sparse = tar_of(tar::EntryType::GNUSparse, b"", Some(1 << 42));
    let keep = |_: &TreePath, content: &mut dyn Read| -> io::Result<(Digest, u64)> {
        let size = io::copy(content, &mut io::sink())?;
        Ok((Digest::of(b""), size))
    };
    for (layer, says) in [(&long, "headers before an entry"), (&sparse, "is a sparse file of 4398046511104")]
    {
        let error = FileSystem::new().add(layer.as_slice(), keep).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let error = crate::ContentsReader::new().add(long.as_slice()).unwrap_err().to_string();
    assert!(error.contains("headers before an entry"), "{error}");
    let error = crate::archived_files(io::Cursor::new(&long)).unwrap_err().to_string();
    assert!(error.contains("read the archive"), "{error}");
}

/// A tar of one entry that says `content`, and of one file after it; `real` is the size of a sparse file.
fn tar_of(kind: tar::EntryType, content: &[u8], real: Option<u64>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (kind, path, content, real) in
        [(kind, "x", content, real), (tar::EntryType::Regular, "y", &b""[..], None)]
    {
        let mut header = tar::Header::new_gnu();
        header.set_path(path).unwrap();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        if let (Some(real), Some(gnu)) = (real, header.as_gnu_mut()) {
            gnu.set_real_size(real);
            // One block of nothing at its end.
            gnu.sparse[0].set_offset(real);
            gnu.sparse[0].set_length(0);
        }
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}
