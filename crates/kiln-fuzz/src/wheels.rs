//! Wheels: whole archives, or what is in one as text.

use crate::archives::limits;
use crate::invariant::holds;
use crate::python::target;
use crate::sections::sections;
use kiln_audit::{Whose, check_leaks, distributions_in_tree, reconcile};
use kiln_pack::ZipReader;
use kiln_python::{
    Choice, FileSource, Wheel, WheelMember, install, parse_requirements, read_wheel, requires, select,
};
use kiln_record::{Digest, Entry, TreePath};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Cursor;

/// The file name of the wheel.
const NAME: &str = "demo-1.0-py3-none-any.whl";

type Files = BTreeMap<TreePath, (bool, Vec<u8>)>;

/// A wheel: a zip, or sections with the paths of its files, to which `RECORD` is added if it is not there. What is installed
/// of it is what its new `RECORD` lists, and its metadata is found in the tree.
pub fn wheel(data: &[u8]) {
    let files = if data.starts_with(b"PK") { archived(data) } else { written(data) };
    let Some(files) = files else { return };
    let members: Vec<WheelMember> = files
        .iter()
        .map(|(path, (executable, bytes))| WheelMember {
            path: path.clone(),
            executable: *executable,
            size: bytes.len() as u64,
            digest: Digest::of(bytes),
        })
        .collect();
    let mut content = |path: &TreePath| -> Result<Vec<u8>, String> {
        files.get(path).map(|(_, bytes)| bytes.clone()).ok_or_else(|| format!("{path} is not there"))
    };
    let Ok(wheel) = read_wheel(NAME, &members, &mut content) else { return };
    is_complete(&wheel, &files);
    let target = target();
    if let Ok(lock) = parse_requirements("lock", "", &mut |_| None) {
        let choice = Choice { has_source: true, ..Choice::default() };
        let selection = select(&lock, &target.environment, &target.runtime, &choice);
        let _ = requires(&[&wheel], &target.environment, &selection, &choice, &target.runtime);
    }
}

/// Everything that the wheel says is in the tree, and nothing else.
fn is_complete(wheel: &Wheel, files: &Files) {
    let bytes_of = |source: &FileSource| match source {
        FileSource::Generated(bytes) => bytes.clone(),
        FileSource::Member(member) => {
            holds(files.get(member).ok_or("no such member"), "it is a member").1.clone()
        }
    };
    let mut content = BTreeMap::new();
    for file in &wheel.files {
        let bytes = bytes_of(&file.source);
        assert_eq!((file.digest, file.size), (Digest::of(&bytes), bytes.len() as u64), "{}", file.path);
        let _ = check_leaks(&file.path, Whose::Project, &bytes);
        assert!(content.insert(file.path.clone(), bytes).is_none(), "{} is there once", file.path);
    }
    let installed = install(&[wheel], None);
    if !installed.findings.is_empty() {
        return;
    }
    assert_eq!(installed.tree.len(), content.len());
    for (path, entry) in installed.tree.iter() {
        let bytes = holds(content.get(path).ok_or("no such file"), "a file of the wheel");
        assert!(matches!(entry, Entry::File { digest, .. } if *digest == Digest::of(bytes)), "{path}");
    }
    let mut read = |path: &TreePath| -> Result<Vec<u8>, Infallible> {
        Ok(content.get(path).cloned().unwrap_or_default())
    };
    let found = holds(distributions_in_tree(&installed.tree, None, &mut read), "reading does not fail");
    let own: Vec<_> = found.iter().filter(|found| found.dist_info.as_str() == wheel.dist_info).collect();
    let [own] = own.as_slice() else { panic!("it is found once, not {} times", own.len()) };
    assert_eq!(own.name, wheel.name);
    assert!(own.record_problems.is_empty(), "RECORD is true and complete: {:?}", own.record_problems);
    let _ = reconcile(&[], &found);
}

/// The files of a zip.
fn archived(data: &[u8]) -> Option<Files> {
    let mut reader = ZipReader::open(Cursor::new(data), &limits()).ok()?;
    let mut files = Files::new();
    for member in reader.members().to_vec() {
        let bytes = reader.read(&member).ok()?;
        let executable = member.unix_mode.is_some_and(|mode| mode & 0o111 != 0);
        files.insert(member.path, (executable, bytes));
    }
    Some(files)
}

/// The files of sections.
fn written(data: &[u8]) -> Option<Files> {
    let mut files = Files::new();
    for (path, text) in sections(data) {
        files.insert(TreePath::new(path).ok()?, (false, text.as_bytes().to_vec()));
    }
    let record = TreePath::new("demo-1.0.dist-info/RECORD").ok()?;
    if !files.contains_key(&record) {
        let listed: Vec<(TreePath, Digest, u64)> = files
            .iter()
            .map(|(path, (_, bytes))| (path.clone(), Digest::of(bytes), bytes.len() as u64))
            .collect();
        let listed = listed.iter().map(|(path, digest, size)| (path, *digest, *size));
        let text = kiln_python::render_record(listed, &record);
        files.insert(record, (false, text.into_bytes()));
    }
    Some(files)
}
