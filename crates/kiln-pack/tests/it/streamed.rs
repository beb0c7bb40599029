//! Large members go through piece by piece, and are held to what the archive says of them.

use kiln_pack::{Limits, Member, ZipReader, raw_stream_at};
use std::io::{Seek as _, SeekFrom, Write};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// Counts what comes, and keeps nothing.
#[derive(Default)]
struct Counted {
    bytes: u64,
    largest: usize,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes += bytes.len() as u64;
        self.largest = self.largest.max(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// An archive with one member of zeros, open, and what its directory says of that.
fn zeros(mebibytes: u64, method: CompressionMethod) -> (ZipReader<std::fs::File>, Member) {
    let mut writer = ZipWriter::new(tempfile::tempfile().unwrap());
    writer.start_file("zeros", SimpleFileOptions::default().compression_method(method)).unwrap();
    for _ in 0..mebibytes {
        writer.write_all(&[0; 1 << 20]).unwrap();
    }
    let mut file = writer.finish().unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    let reader = ZipReader::open(file, &Limits::default()).unwrap();
    let member = reader.members()[0].clone();
    (reader, member)
}

/// The most memory that this process has had so far, in bytes (proc(5), `VmHWM`).
fn peak() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn a_gibibyte_of_zeros_needs_little_memory() {
    let (mut reader, member) = zeros(1 << 10, CompressionMethod::Deflated);
    let before = peak();
    let mut sink = Counted::default();
    reader.copy(&member, &mut sink).unwrap();
    assert_eq!(sink.bytes, 1 << 30);
    assert!(sink.largest <= 1 << 20, "{}", sink.largest);
    let grown = peak() - before;
    assert!(grown < 32 << 20, "it took {grown} bytes more");
}

#[test]
fn small_and_large_members_are_held_to_what_is_announced() {
    for (mebibytes, method) in [
        (1, CompressionMethod::Deflated),
        (24, CompressionMethod::Deflated),
        (1, CompressionMethod::Stored),
        (24, CompressionMethod::Stored),
    ] {
        let (mut reader, honest) = zeros(mebibytes, method);
        let mut copy = |member: &Member| {
            let mut sink = Counted::default();
            reader.copy(member, &mut sink).map(|()| sink.bytes).map_err(|error| error.to_string())
        };
        assert_eq!(copy(&honest), Ok(mebibytes << 20));
        let wrong_sum = Member { crc32: honest.crc32 ^ 1, ..honest.clone() };
        assert!(copy(&wrong_sum).unwrap_err().contains("checksum"));
        for size in [honest.size - 1, honest.size + 1] {
            assert!(copy(&Member { size, ..honest.clone() }).is_err(), "{method} {mebibytes} {size}");
        }
        if method == CompressionMethod::Deflated {
            for compressed_size in [honest.compressed_size - 1, honest.compressed_size + 1] {
                let lied = Member { compressed_size, ..honest.clone() };
                assert!(copy(&lied).is_err(), "{mebibytes} {compressed_size}");
            }
        }
    }
}

#[test]
fn an_archive_that_became_shorter_ends_within_a_member() {
    for mebibytes in [1, 24] {
        let (reader, member) = zeros(mebibytes, CompressionMethod::Stored);
        let (mut file, end) = (reader.into_inner(), member.data_offset + member.compressed_size);
        let mut stream = || raw_stream_at(&mut file, member.data_offset, member.compressed_size);
        assert_eq!(stream().unwrap().len() as u64, member.compressed_size);
        file.set_len(end - 1).unwrap();
        let error = raw_stream_at(&mut file, member.data_offset, member.compressed_size).unwrap_err();
        assert!(error.to_string().contains("it ends within a member"), "{error}");
        assert!(member.copy_from(&mut file, &mut Counted::default()).is_err());
    }
}
