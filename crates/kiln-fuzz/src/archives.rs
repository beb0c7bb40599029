//! Zips, tars and ELF files.

use crate::invariant::holds;
use kiln_audit::{BinaryTarget, check_binary, inspect_elf};
use kiln_pack::{
    Limits, Member, PackError, StripLevel, Stripped, TarContent, TarItem, TarWriter, ZipReader, ZipWriter,
    compress, inflate, inflate_checked, read_tar, strip_elf,
};
use kiln_record::{Architecture, Mode, TreePath, runtimes};
use std::collections::BTreeMap;
use std::io::Cursor;

/// What a file or link of an archive is.
#[derive(Debug, PartialEq)]
enum Content {
    File(Mode, Vec<u8>),
    Link(String),
}

/// Small enough that a bomb is found by the limits and not by the memory.
pub(crate) fn limits() -> Limits {
    Limits { max_members: 4_000, max_member_size: 4 << 20, max_total_size: 8 << 20, ..Limits::default() }
}

/// Zips: what is read is as long as its member says and within the limits, and comes back equal when it is written.
pub fn zip(data: &[u8]) {
    let stream = compress(data);
    let deflated = stream_of(data);
    assert!(holds(inflate(&deflated, stream.size), "what was compressed is read") == data);
    let checked = inflate_checked(&deflated, stream.size, stream.crc32);
    assert!(holds(checked, "what was compressed is read in one pass") == data);
    assert_eq!(stream.size, data.len() as u64);

    let Ok(mut reader) = ZipReader::open(Cursor::new(data), &limits()) else { return };
    let members: Vec<Member> = reader.members().to_vec();
    let behind = [b"#!/bin/sh\n", data].concat();
    let behind = holds(ZipReader::open_after_leading(Cursor::new(&behind), &limits()), "a zip behind a line");
    assert_eq!(behind.leading(), 10);
    assert_eq!(behind.members().len(), members.len());
    assert!(behind.members().iter().zip(&members).all(|(a, b)| a.data_offset == b.data_offset + 10));
    assert!(members.iter().map(|member| member.size).sum::<u64>() <= limits().max_total_size);
    let mut files = BTreeMap::new();
    for member in &members {
        let Ok(content) = reader.read(member) else { return };
        assert_eq!(content.len() as u64, member.size, "a member is as long as it says");
        let mut copied = Vec::new();
        holds(member.copy_from(&mut Cursor::new(data), &mut copied), "what was read is copied");
        assert!(copied == content, "a copy is what was read");
        let content = if member.is_symlink {
            let Ok(target) = String::from_utf8(content) else { return };
            Content::Link(target)
        } else {
            Content::File(member.mode(), content)
        };
        assert!(files.insert(member.path.clone(), content).is_none(), "no path is there twice");
    }
    let mut writer = ZipWriter::new(Vec::new());
    for (path, content) in &files {
        let added = match content {
            Content::File(mode, bytes) => writer.add_file(path, *mode, &compress(bytes)),
            Content::Link(target) => writer.add_symlink(path, target),
        };
        if is_refused(added) {
            return;
        }
    }
    let written = holds(writer.finish(), "what was read is written");
    let mut again =
        holds(ZipReader::open(Cursor::new(&written), &Limits::default()), "what was written opens");
    let members = again.members().to_vec();
    assert_eq!(members.len(), files.len());
    for member in members {
        let bytes = holds(again.read(&member), "what was written is read");
        let content = if member.is_symlink {
            Content::Link(holds(String::from_utf8(bytes), "a target"))
        } else {
            Content::File(member.mode(), bytes)
        };
        assert_eq!(files.get(&member.path), Some(&content), "{} comes back", member.path);
    }
}

/// A deflate stream of the data, whichever method would be shorter.
fn stream_of(data: &[u8]) -> Vec<u8> {
    let compressed = compress(data);
    match compressed.method {
        kiln_pack::Method::Deflate => compressed.stream,
        // One stored block is a deflate stream, too (RFC 1951, 3.2.4).
        kiln_pack::Method::Store => {
            let mut stream = Vec::new();
            let mut blocks = data.chunks(0xffff).peekable();
            if blocks.peek().is_none() {
                return vec![1, 0, 0, 0xff, 0xff];
            }
            while let Some(block) = blocks.next() {
                let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
                stream.push(u8::from(blocks.peek().is_none()));
                stream.extend(length.to_le_bytes());
                stream.extend((!length).to_le_bytes());
                stream.extend(block);
            }
            stream
        }
    }
}

/// Whether a writer refused what a reader accepts: names that one file system takes for one, and targets that no
/// archive of kiln's holds. Anything else must not fail.
fn is_refused(added: Result<(), PackError>) -> bool {
    match added {
        Ok(()) => false,
        Err(PackError::Case { .. } | PackError::FileAsFolder { .. } | PackError::LinkTarget { .. }) => true,
        Err(error) => panic!("what was read is not written: {error}"),
    }
}

/// Tars: what is read is within the limits, and comes back equal when it is written.
pub fn tar(data: &[u8]) {
    let mut items: Vec<TarItem> = Vec::new();
    let read = read_tar::<_, PackError>(data, &limits(), |item| {
        items.push(item);
        Ok(())
    });
    let size = |item: &TarItem| if let TarContent::File(bytes) = &item.content { bytes.len() } else { 0 };
    assert!(items.iter().map(size).sum::<usize>() as u64 <= limits().max_total_size);
    assert!(items.len() as u64 <= limits().max_members);
    if read.is_err() {
        return;
    }
    let mut files: BTreeMap<TreePath, Content> = BTreeMap::new();
    for item in items {
        let content = match item.content {
            TarContent::File(bytes) => Content::File(Mode::from_bits(item.mode), bytes),
            TarContent::Symlink(target) => Content::Link(target),
            TarContent::HardLink(target) => match files.get(&target) {
                Some(Content::File(mode, bytes)) => Content::File(*mode, bytes.clone()),
                other => panic!("a hard link leads to a file before it, not to {other:?}"),
            },
            TarContent::Folder => continue,
        };
        assert!(files.insert(item.path, content).is_none(), "no path is there twice");
    }
    let mut writer = TarWriter::new(Vec::new(), 0);
    for (path, content) in &files {
        let added = match content {
            Content::File(mode, bytes) => writer.add_file(path, *mode, bytes),
            Content::Link(target) => writer.add_symlink(path, target),
        };
        if is_refused(added) {
            return;
        }
    }
    let written = holds(writer.finish(), "what was read is written");
    let mut again = BTreeMap::new();
    let read = read_tar::<_, PackError>(written.as_slice(), &Limits::default(), |item| {
        let content = match item.content {
            TarContent::File(bytes) => Content::File(Mode::from_bits(item.mode), bytes),
            TarContent::Symlink(target) => Content::Link(target),
            TarContent::HardLink(_) | TarContent::Folder => return Ok(()),
        };
        again.insert(item.path, content);
        Ok(())
    });
    holds(read, "what was written is read");
    assert_eq!(again, files, "what was written comes back");
}

/// ELF files: what is stripped says the same of itself as before, is smaller, and has nothing left to strip.
pub fn elf(data: &[u8]) {
    let facts = inspect_elf(data);
    if let (Ok(Some(facts)), Some(runtime), Ok(path)) = (&facts, runtimes().first(), TreePath::new("demo.so"))
    {
        let target = BinaryTarget { runtime, architecture: Architecture::Amd64, python: runtime.python };
        let _ = check_binary(&path, "demo 1.0", facts, &target);
    }
    for level in [StripLevel::Debug, StripLevel::Symbols] {
        let Stripped::Smaller(smaller) = strip_elf(data, level) else { continue };
        assert!(smaller.len() < data.len());
        if let Ok(facts) = &facts {
            let after = holds(inspect_elf(&smaller), "what was stripped is read");
            assert_eq!(&after, facts, "what is loaded says the same");
        }
        assert!(!matches!(strip_elf(&smaller, level), Stripped::Smaller(_)), "nothing is left to strip");
    }
}
