use crate::sample::{Item, Items, fixed, path, tar, tree};
use kiln_pack::{Limits, PackError, TarContent, TarItem, TarWriter, read_tar};
use kiln_record::{Digest, Mode};
use proptest::prelude::*;

fn items_of(bytes: &[u8]) -> Result<Vec<TarItem>, PackError> {
    let mut items = Vec::new();
    read_tar(bytes, &Limits::default(), |item| {
        items.push(item);
        Ok::<(), PackError>(())
    })?;
    Ok(items)
}

fn unpack(bytes: &[u8]) -> Items {
    items_of(bytes)
        .unwrap()
        .into_iter()
        .filter_map(|item| match item.content {
            TarContent::File(content) => Some((item.path, Item::File(content, Mode::from_bits(item.mode)))),
            TarContent::Symlink(target) => Some((item.path, Item::Link(target))),
            TarContent::Folder => None,
            TarContent::HardLink(_) => panic!("none was written"),
        })
        .collect()
}

#[test]
fn a_fixed_tree_has_a_fixed_digest() {
    let golden = "sha256:4006248c5ba6e4197e77b97a0f71d3000e42f13a970b2f45a4e80ed0623caabc";
    assert_eq!(Digest::of(&tar(&fixed(), 1_700_000_000)).to_string(), golden);
}

#[test]
fn folders_come_once_and_before_what_is_in_them() {
    let bytes = tar(&fixed(), 0);
    let items = items_of(&bytes).unwrap();
    let names: Vec<&str> = items.iter().map(|item| item.path.as_str()).take(5).collect();
    assert_eq!(names, ["bin", "bin/tool", "data", "data/noise.bin", "data/text.txt"]);
    let folders: Vec<&TarItem> = items.iter().filter(|item| item.content == TarContent::Folder).collect();
    assert!(folders.iter().all(|item| item.mode == 0o755));
    assert_eq!(folders.len(), 4 + 30);
}

/// The tar crate reads names and targets by its own rules for long names.
#[test]
fn another_reader_agrees() {
    let mut archive = ::tar::Archive::new(std::io::Cursor::new(tar(&fixed(), 1_700_000_000)));
    let mut seen = 0;
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(
            (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
            (0, 0, 1_700_000_000)
        );
        assert_eq!((header.username().unwrap(), header.groupname().unwrap()), (Some(""), Some("")));
        let text = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        if let Some(Item::Link(target)) = fixed().get(&path(text.trim_end_matches('/'))) {
            assert_eq!(entry.link_name_bytes().unwrap().as_ref(), target.as_bytes());
        }
        seen += 1;
    }
    assert_eq!(seen, items_of(&tar(&fixed(), 0)).unwrap().len());
}

#[test]
fn order_and_collisions_are_checked() {
    let mut writer = TarWriter::new(Vec::new(), 0);
    writer.add_file(&path("b/c"), Mode::Plain, b"").unwrap();
    assert!(matches!(writer.add_file(&path("a"), Mode::Plain, b""), Err(PackError::Order { .. })));
    assert!(matches!(writer.add_file(&path("b/c"), Mode::Plain, b""), Err(PackError::Duplicate(_))));
    assert!(matches!(writer.add_file(&path("b/c/d"), Mode::Plain, b""), Err(PackError::FileAsFolder { .. })));
    assert!(matches!(writer.add_symlink(&path("d"), ""), Err(PackError::LinkTarget { .. })));
}

proptest! {
    #[test]
    fn any_tree_comes_back(items in tree(), mtime in 0..4_000_000_000_u64) {
        let bytes = tar(&items, mtime);
        prop_assert_eq!(bytes.len() % 512, 0);
        prop_assert_eq!(unpack(&bytes), items);
    }

    /// Whatever is changed, no more comes out than is in the archive.
    #[test]
    fn damage_is_refused_or_bounded(items in tree(), places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>()) {
        let mut bytes = tar(&items, 0);
        for (place, value) in places {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let unpacked = |bytes: &[u8]| {
            let files = items_of(bytes).into_iter().flatten().map(|item| match item.content {
                TarContent::File(content) => content.len(),
                _ => 0,
            });
            files.sum::<usize>()
        };
        prop_assert!(unpacked(&bytes) <= bytes.len());
        bytes.truncate(cut.index(bytes.len()));
        prop_assert!(unpacked(&bytes) <= bytes.len());
    }

    /// A download that breaks off is never taken for a smaller tree.
    #[test]
    fn an_archive_that_is_cut_off_is_refused(items in tree(), cut in any::<prop::sample::Index>()) {
        let bytes = tar(&items, 0);
        // The end mark is two blocks, of which one is needed.
        let cut = cut.index(bytes.len() - 1023);
        prop_assert!(items_of(&bytes[..cut]).is_err());
    }
}

#[test]
fn a_file_that_is_copied_is_as_one_that_is_given_and_has_the_size_that_was_announced() {
    let content = b"some text that is read in pieces".repeat(100);
    let size = content.len() as u64;
    let (mut given, mut copied) = (TarWriter::new(Vec::new(), 7), TarWriter::new(Vec::new(), 7));
    given.add_file(&path("a/b"), Mode::Executable, &content).unwrap();
    copied.copy_file(&path("a/b"), Mode::Executable, size, &mut content.as_slice()).unwrap();
    assert_eq!(given.finish().unwrap(), copied.finish().unwrap());
    for announced in [size - 1, size + 1] {
        let mut writer = TarWriter::new(Vec::new(), 7);
        let refused = writer.copy_file(&path("a/b"), Mode::Plain, announced, &mut content.as_slice());
        assert!(refused.unwrap_err().to_string().contains("announced"), "{announced}");
    }
}
