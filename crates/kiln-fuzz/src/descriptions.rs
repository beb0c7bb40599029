//! What files say of what they hold: bills of materials of other tools, package databases, licences, native files.

use crate::invariant::holds;
use crate::sections::sections;
use flate2::{Compression, write::ZlibEncoder};
use kiln_audit::{Whose, check_leaks, check_startup, inspect_elf, may_name_build_paths};
use kiln_find::Query;
use kiln_image::{ContentsReader, ImageContents};
use kiln_pack::TarWriter;
use kiln_record::{Linked, Mode, TreePath, is_license_expression, license_expression};
use kiln_sbom::read_listed;
use std::collections::BTreeSet;
use std::io::Write as _;

/// Bills of materials that other tools wrote: components are sorted, none is there twice, and each has a name.
pub fn listed(data: &[u8]) {
    let Ok(json) = serde_json::from_slice::<serde_json::Value>(data) else { return };
    let Ok(Some(listed)) = read_listed(&json) else { return };
    assert!(listed.components.is_sorted_by(|a, b| a.id < b.id), "sorted, and none twice");
    for component in &listed.components {
        assert!(!component.name.is_empty());
        assert!(!component.name.chars().any(char::is_control), "{:?}", component.name);
        assert_eq!((component.bytes, component.files), (0, 0), "a list has no bytes");
    }
    assert!(listed.subject.is_none_or(|subject| subject.chars().count() <= 256));
}

/// Licences, one to a line: what becomes an expression is one, and stays it.
pub fn license(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines().take(64).chain([text]) {
        if is_license_expression(line) && line.trim() == line && !line.is_empty() {
            assert_eq!(license_expression(line).as_deref(), Some(line), "an expression stays as it is");
        }
        let Some(expression) = license_expression(line) else { continue };
        assert!(is_license_expression(&expression), "{line:?} became {expression:?}");
        assert_eq!(license_expression(&expression).as_ref(), Some(&expression));
    }
}

/// A root file system of the files of a layer.
fn contents_of(files: &[(&str, &[u8])]) -> Option<ImageContents> {
    let mut tar = TarWriter::new(Vec::new(), 0);
    for (path, bytes) in files {
        // What is there twice, or below a file, no layer of kiln's holds.
        tar.add_file(&TreePath::new(path).ok()?, Mode::from_bits(0o644), bytes).ok()?;
    }
    let tar = holds(tar.finish(), "a layer is written");
    let mut reader = ContentsReader::new();
    holds(reader.add(tar.as_slice()), "what was written is read");
    reader.finish().ok()
}

/// What dpkg's files say of a system: sections are files by their paths. Licences are expressions.
pub fn dpkg_files(data: &[u8]) {
    let files = sections(data);
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    let Some(contents) = contents_of(&files) else { return };
    for package in contents.packages.iter().flatten() {
        assert!(!package.name.is_empty());
        if let Some(license) = &package.license {
            assert!(is_license_expression(license), "{license:?} of {}", package.name);
        }
    }
    let names: BTreeSet<&String> = contents.packages.iter().flatten().map(|package| &package.name).collect();
    for package in contents.packages.iter().flatten() {
        assert!(package.requires.iter().all(|name| names.contains(name)), "what is needed is there");
    }
}

/// A database of rpm, as each of the kinds that its name would say: it is read, or said not to be.
pub fn rpm_database(data: &[u8]) {
    for path in ["var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages.db", "var/lib/rpm/Packages"] {
        let Some(contents) = contents_of(&[(path, data)]) else { panic!("a database ends no reading") };
        assert!(data.is_empty() || contents.packages.is_some() || !contents.unread_packages.is_empty());
        for package in contents.packages.iter().flatten() {
            assert!(!package.name.is_empty());
            assert!(!package.name.chars().any(char::is_control), "{:?}", package.name);
        }
    }
}

/// What is linked into a native file: the list of `cargo auditable` in the first section, words of libraries after it.
pub fn linkage(data: &[u8]) {
    let (list, words) = match data.iter().position(|byte| *byte == 0xff) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[][..]),
    };
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    holds(packed.write_all(list), "a list is compressed");
    let packed = holds(packed.finish(), "a list is compressed");
    for section in [&packed[..], data] {
        let file = elf_with(section, words);
        let facts = holds(inspect_elf(&file), "an ELF file is read");
        let facts = holds(facts.ok_or("it is none"), "an ELF file is one");
        let ids: BTreeSet<&Linked> = facts.linked.iter().collect();
        assert_eq!(ids.len(), facts.linked.len(), "none is there twice");
        for part in &facts.linked {
            assert!(!part.name.is_empty() && part.name.len() <= 256, "{part:?}");
            assert!(part.purl.starts_with("pkg:"), "{part:?}");
            let told = [Some(&part.name), part.version.as_ref(), Some(&part.purl)];
            assert!(!told.into_iter().flatten().any(|text| text.chars().any(char::is_control)), "{part:?}");
        }
    }
}

/// An object file with a section `.dep-v0`, and bytes outside of all sections.
fn elf_with(section: &[u8], words: &[u8]) -> Vec<u8> {
    const NAMES: &[u8] = b"\0.dep-v0\0.shstrtab\0";
    let (at, names_at) = (64, 64 + section.len());
    let table_at = names_at + NAMES.len() + words.len();
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: usize| file.extend((value as u64).to_le_bytes());
    half(&mut file, 1);
    half(&mut file, 62);
    file.extend(1_u32.to_le_bytes());
    for value in [0, 0, table_at] {
        long(&mut file, value);
    }
    file.extend(0_u32.to_le_bytes());
    for value in [64, 0, 0, 64, 3, 2] {
        half(&mut file, value);
    }
    file.extend(section);
    file.extend(NAMES);
    file.extend(words);
    for (name, kind, offset, size) in
        [(0_u32, 0_u32, 0, 0), (1, 1, at, section.len()), (9, 3, names_at, NAMES.len())]
    {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        for value in [0, 0, offset, size, 0, 1, 0] {
            long(&mut file, value);
        }
    }
    file
}

/// What is looked for with `kiln find`, one query to a line: it is read or refused in a few words.
pub fn find_query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines().take(64) {
        if let Err(error) = Query::parse(line) {
            assert!(error.to_string().chars().count() <= 4096, "{} characters", error.to_string().len());
        }
    }
}

/// Texts of an artifact's own, in which credentials and paths of machines are looked for: what is found is told in a few
/// words, at a line that is there.
pub fn file_text(data: &[u8]) {
    for name in ["app/main.py", "bin/tool", "easy.pth", "README.md"] {
        let path = holds(TreePath::new(name), "a path");
        let _ = may_name_build_paths(&path);
        let lines = data.split(|byte| *byte == b'\n').count();
        for finding in check_leaks(&path, Whose::Project, data).into_iter().chain(check_startup(
            "demo",
            &path,
            Some(data),
        )) {
            assert!(finding.cause.chars().count() <= 512, "{} characters", finding.cause.len());
            assert!(finding.place.is_none_or(|place| place.line.is_none_or(|line| line as usize <= lines)));
        }
    }
}
