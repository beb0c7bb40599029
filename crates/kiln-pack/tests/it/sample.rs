//! Trees to pack.

use kiln_pack::{TarWriter, ZipWriter, compress};
use kiln_record::{Mode, TreePath};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    File(Vec<u8>, Mode),
    Link(String),
}

pub(crate) type Items = BTreeMap<TreePath, Item>;

pub(crate) fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// A tree with everything that an archive can hold.
pub(crate) fn fixed() -> Items {
    let repetitive = b"the same line again and again\n".repeat(200);
    let noise: Vec<u8> =
        (0..3000_u32).map(|i| i.wrapping_mul(2_654_435_761).rotate_left(13).to_le_bytes()[1]).collect();
    let file = |content: &[u8], mode| Item::File(content.to_vec(), mode);
    [
        (path("bin/tool"), file(b"#!/usr/bin/python3\nprint(1)\n", Mode::Executable)),
        (path("data/noise.bin"), file(&noise, Mode::Plain)),
        (path("data/text.txt"), file(&repetitive, Mode::Plain)),
        (path("empty"), file(b"", Mode::Plain)),
        (path("lib/current"), Item::Link("../data/text.txt".to_owned())),
        (path("naïve/ünï.py"), file(b"x = 1\n", Mode::Plain)),
        (path("z-after-lower-case"), file(b"z", Mode::Plain)),
        (
            path(&format!("{}/module.py", "deep/".repeat(30).trim_end_matches('/'))),
            file(b"deep", Mode::Plain),
        ),
    ]
    .into()
}

pub(crate) fn zip(items: &Items) -> Vec<u8> {
    let mut writer = ZipWriter::new(Vec::new());
    for (path, item) in items {
        match item {
            Item::File(content, mode) => writer.add_file(path, *mode, &compress(content)).unwrap(),
            Item::Link(target) => writer.add_symlink(path, target).unwrap(),
        }
    }
    writer.finish().unwrap()
}

pub(crate) fn tar(items: &Items, mtime: u64) -> Vec<u8> {
    let mut writer = TarWriter::new(Vec::new(), mtime);
    for (path, item) in items {
        match item {
            Item::File(content, mode) => writer.add_file(path, *mode, content).unwrap(),
            Item::Link(target) => writer.add_symlink(path, target).unwrap(),
        }
    }
    writer.finish().unwrap()
}

/// Any tree of a few files, without a file that is also a folder.
pub(crate) fn tree() -> impl Strategy<Value = Items> {
    let component = "[a-cé .+-]{0,3}[a-cß]";
    let path = proptest::collection::vec(component, 1..5).prop_map(|parts| path(&parts.join("/")));
    let content = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..600),
        (any::<u8>(), 0..5000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ];
    let mode = prop_oneof![Just(Mode::Plain), Just(Mode::Executable)];
    let item = prop_oneof![
        8 => (content, mode).prop_map(|(content, mode)| Item::File(content, mode)),
        1 => "[a-z./]{1,150}".prop_map(Item::Link),
    ];
    proptest::collection::btree_map(path, item, 0..24).prop_map(|items| {
        let is_folder =
            |path: &TreePath| items.keys().any(|other| other != path && other.is_within(path.as_str()));
        items
            .iter()
            .filter(|(path, _)| !is_folder(path))
            .map(|(path, item)| (path.clone(), item.clone()))
            .collect()
    })
}
