use crate::sample::{Item, fixed, path, zip};
use kiln_pack::{Compressed, Method, PackError, ZipWriter, compress};
use kiln_record::{Digest, Mode};
use std::io::{Cursor, Read as _, Write};

/// Bytes of equal trees never change within a format version.
#[test]
fn a_fixed_tree_has_a_fixed_digest() {
    let golden = "sha256:f2f7dc4d30958e5a49d526ba09aae1e5346dd4483418031b7c60b97e8f470f55";
    assert_eq!(Digest::of(&zip(&fixed())).to_string(), golden);
    let empty = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(zip(&[].into()), empty);
}

#[test]
fn every_field_is_as_documented() {
    let bytes = zip(&[(path("a/é"), Item::File(b"x".to_vec(), Mode::Executable))].into());
    let local =
        b"PK\x03\x04\x14\0\0\x08\0\0\0\0\x21\0\x83\x16\xdc\x8c\x01\0\0\0\x01\0\0\0\x04\0\0\0a/\xc3\xa9x";
    assert_eq!(&bytes[..local.len()], local);
    let central = b"PK\x01\x02\x14\x03\x14\0\0\x08\0\0\0\0\x21\0\x83\x16\xdc\x8c\x01\0\0\0\x01\0\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\xed\x81\0\0\0\0a/\xc3\xa9";
    assert_eq!(&bytes[local.len()..local.len() + central.len()], central);
    let end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x32\0\0\0\x23\0\0\0\0\0";
    assert_eq!(&bytes[local.len() + central.len()..], end);
}

#[test]
fn the_zip_crate_reads_it() {
    let items = fixed();
    let mut archive = zip::ZipArchive::new(Cursor::new(zip(&items))).unwrap();
    assert_eq!(archive.len(), items.len());
    for (index, (path, item)) in items.iter().enumerate() {
        let mut member = archive.by_index(index).unwrap();
        assert_eq!(member.name().unwrap(), path.as_str());
        let mut content = Vec::new();
        member.read_to_end(&mut content).unwrap();
        match item {
            Item::File(expected, mode) => {
                assert_eq!(&content, expected);
                assert_eq!(member.unix_mode(), Some(0o100_000 | mode.bits()));
            }
            Item::Link(target) => {
                assert_eq!(content, target.as_bytes());
                assert_eq!(member.unix_mode(), Some(0o120_777));
            }
        }
        assert_eq!(member.last_modified().unwrap().to_string(), "1980-01-01 00:00:00");
        assert!(member.extra_data().is_none_or(|extra| extra.is_empty()));
    }
}

/// Python's reader is the one that pip uses.
#[test]
fn python_reads_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all(&zip(&fixed())).unwrap();
    let script = "import sys, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        assert z.testzip() is None\n\
        for i in z.infolist(): print(ascii(i.filename), oct(i.external_attr >> 16), i.file_size, i.date_time, i.create_system)\n";
    let python = std::process::Command::new("python3").args(["-I", "-c", script]).arg(file.path()).output();
    let output = python.expect("python3 is there to judge");
    let (text, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{errors}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), fixed().len());
    assert_eq!(lines[0], "'bin/tool' 0o100755 28 (1980, 1, 1, 0, 0, 0) 3");
    assert!(lines.contains(&"'lib/current' 0o120777 16 (1980, 1, 1, 0, 0, 0) 3"), "{text}");
    assert!(lines.contains(&"'na\\xefve/\\xfcn\\xef.py' 0o100644 6 (1980, 1, 1, 0, 0, 0) 3"), "{text}");
}

/// Adds files in order and returns the error of the last.
fn error_of(paths: &[&str]) -> PackError {
    let mut writer = ZipWriter::new(Vec::new());
    let (last, first) = paths.split_last().unwrap();
    for text in first {
        writer.add_file(&path(text), Mode::Plain, &compress(b"")).unwrap();
    }
    writer.add_file(&path(last), Mode::Plain, &compress(b"")).unwrap_err()
}

#[test]
fn paths_that_cannot_be_together_are_refused() {
    assert!(matches!(error_of(&["b", "a"]), PackError::Order { .. }));
    assert!(matches!(error_of(&["a", "a"]), PackError::Duplicate(_)));
    assert!(matches!(error_of(&["A", "a"]), PackError::Case { .. }));
    assert!(matches!(error_of(&["a/É.py", "a/é.py"]), PackError::Case { .. }));
    assert!(matches!(error_of(&["a", "a-b", "a/b"]), PackError::FileAsFolder { .. }));
    assert!(matches!(error_of(&["A/b", "a"]), PackError::FileAsFolder { .. }));
    assert!(matches!(error_of(&["A", "a/b"]), PackError::FileAsFolder { .. }));
    let text = error_of(&["Readme", "readme"]).to_string();
    assert_eq!(
        text,
        "`readme` and `Readme` differ only in case: on many file systems one would replace the other"
    );
}

#[test]
fn contradictions_are_refused() {
    let mut writer = ZipWriter::new(Vec::new());
    let wrong = Compressed { method: Method::Store, stream: b"abc".to_vec(), crc32: 0, size: 4 };
    assert!(matches!(writer.add_file(&path("a"), Mode::Plain, &wrong), Err(PackError::Inconsistent(_))));
    for target in ["", "a\nb", "a\0", &"x".repeat(5000)] {
        assert!(matches!(writer.add_symlink(&path("a"), target), Err(PackError::LinkTarget { .. })));
    }
}

/// Counts instead of keeping.
struct Nowhere;

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_needs_zip64_is_refused() {
    let mut writer = ZipWriter::new(Vec::new());
    for number in 0..65_535 {
        writer.add_file(&path(&format!("{number:05}")), Mode::Plain, &compress(b"")).unwrap();
    }
    let error = writer.add_file(&path("x"), Mode::Plain, &compress(b"")).unwrap_err();
    assert!(error.to_string().contains("65,535 files"), "{error}");
    let bytes = writer.finish().unwrap();
    let reader = kiln_pack::ZipReader::open(Cursor::new(bytes), &kiln_pack::Limits::default()).unwrap();
    assert_eq!(reader.members().len(), 65_535);

    let mut writer = ZipWriter::new(Nowhere);
    let large = Compressed { method: Method::Store, stream: vec![0; 1 << 30], crc32: 0, size: 1 << 30 };
    for name in ["a", "b", "c", "d"] {
        writer.add_file(&path(name), Mode::Plain, &large).unwrap();
    }
    let error = writer.add_file(&path("e"), Mode::Plain, &large).unwrap_err();
    assert_eq!(
        error.to_string(),
        "at `e` the zip would hold more than 4 GiB, which needs the ZIP64 extension"
    );
    assert!(matches!(writer.finish().err(), Some(PackError::NeedsZip64 { .. })));

    let announced = Compressed { method: Method::Deflate, stream: vec![0; 9], crc32: 0, size: 1 << 32 };
    let mut writer = ZipWriter::new(Nowhere);
    assert!(matches!(
        writer.add_file(&path("a"), Mode::Plain, &announced),
        Err(PackError::NeedsZip64 { .. })
    ));
}
