use crate::sample::{Item, Items, fixed, tree, zip};
use kiln_pack::{Compressed, Limits, Method, ZipReader, ZipWriter, compress_all, raw_stream_at};
use kiln_record::Mode;
use proptest::prelude::*;
use std::io::{Cursor, Write as _};

fn unpack(bytes: &[u8]) -> Items {
    let mut reader = ZipReader::open(Cursor::new(bytes), &Limits::default()).unwrap();
    let members = reader.members().to_vec();
    let mut items = Items::new();
    for member in members {
        let content = reader.read(&member).unwrap();
        let item = if member.is_symlink {
            Item::Link(String::from_utf8(content).unwrap())
        } else {
            Item::File(content, member.mode())
        };
        assert!(items.insert(member.path, item).is_none());
    }
    items
}

/// An unchanged member keeps the stream that it came with, byte for byte.
#[test]
fn a_foreign_stream_is_carried_over_unchanged() {
    let mut foreign = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_level(Some(1)).unix_permissions(0o755);
    let content = b"import os\nimport sys\n".repeat(50);
    foreign.start_file("pkg/tool.py", options).unwrap();
    foreign.write_all(&content).unwrap();
    foreign.add_directory("pkg/empty", options).unwrap();
    let bytes = foreign.finish().unwrap().into_inner();

    let mut reader = ZipReader::open(Cursor::new(&bytes), &Limits::default()).unwrap();
    let [member] = reader.members() else { panic!("folders are not members") };
    let member = member.clone();
    assert_eq!(
        (member.path.as_str(), member.mode(), member.method),
        ("pkg/tool.py", Mode::Executable, Method::Deflate)
    );
    assert_eq!(reader.read(&member).unwrap(), content);
    let stream = reader.raw_stream(&member).unwrap();
    assert_eq!(
        raw_stream_at(&mut Cursor::new(&bytes), member.data_offset, member.compressed_size).unwrap(),
        stream
    );
    assert_eq!(stream.len() as u64, member.compressed_size);

    let data =
        Compressed { method: member.method, stream: stream.clone(), crc32: member.crc32, size: member.size };
    let mut writer = ZipWriter::new(Vec::new());
    writer.add_file(&member.path, member.mode(), &data).unwrap();
    let ours = writer.finish().unwrap();
    assert!(ours.windows(stream.len()).any(|window| window == stream));
    let expected = [(member.path, Item::File(content, Mode::Executable))].into();
    assert_eq!(unpack(&ours), expected);
}

/// Writers that cannot seek put sizes behind the data.
#[test]
fn data_descriptors_are_understood() {
    let mut foreign = zip::ZipWriter::new_stream(Vec::new());
    let options = zip::write::SimpleFileOptions::default();
    for (name, content) in [("a", &b"aaaaaaaaaaaaaaaaaaaaaaaa"[..]), ("b", b""), ("c", b"ccc")] {
        foreign.start_file(name, options).unwrap();
        foreign.write_all(content).unwrap();
    }
    let bytes = foreign.finish().unwrap().into_inner();
    let items = unpack(&bytes);
    assert_eq!(items.len(), 3);
    assert_eq!(items.values().next(), Some(&Item::File(b"aaaaaaaaaaaaaaaaaaaaaaaa".to_vec(), Mode::Plain)));
}

#[test]
fn zip64_sizes_of_a_careful_writer_are_understood() {
    let mut foreign = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().large_file(true);
    foreign.start_file("a", options).unwrap();
    foreign.write_all(b"content").unwrap();
    let bytes = foreign.finish().unwrap().into_inner();
    assert_eq!(unpack(&bytes).len(), 1);
}

#[test]
fn the_fixed_tree_comes_back() {
    assert_eq!(unpack(&zip(&fixed())), fixed());
}

proptest! {
    #[test]
    fn any_tree_comes_back(items in tree()) {
        let bytes = zip(&items);
        prop_assert_eq!(unpack(&bytes), items.clone());

        // Compressed side by side, the bytes are the same.
        let contents: Vec<&[u8]> = items.values().map(|item| match item {
            Item::File(content, _) => content.as_slice(),
            Item::Link(_) => &[],
        }).collect();
        let mut writer = ZipWriter::new(Vec::new());
        for ((path, item), data) in items.iter().zip(compress_all(&contents)) {
            match item {
                Item::File(_, mode) => writer.add_file(path, *mode, &data).unwrap(),
                Item::Link(target) => writer.add_symlink(path, target).unwrap(),
            }
        }
        prop_assert_eq!(writer.finish().unwrap(), bytes);
    }

    /// Whatever is changed, there is an answer: content whose checksum holds, or a refusal.
    #[test]
    fn damage_is_refused_or_bounded(items in tree(), places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut in any::<Option<prop::sample::Index>>()) {
        let mut bytes = zip(&items);
        for (place, value) in places {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(mut reader) = ZipReader::open(Cursor::new(&bytes), &Limits::default()) {
            for member in reader.members().to_vec() {
                if let Ok(content) = reader.read(&member) {
                    prop_assert_eq!(content.len() as u64, member.size);
                }
            }
        }
    }
}
