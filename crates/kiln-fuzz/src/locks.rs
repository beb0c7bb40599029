//! Locks of every format, project files, and the locks that kiln writes.

use crate::invariant::holds;
use crate::python::target;
use crate::sections::{sections, text_of};
use kiln_plan::{ArtifactLockFile, BaseLock, ToolsLock, parse_cargo_lock};
use kiln_python::{
    BuildSystem, Choice, InputProblem, Lock, LockFormat, LockHeader, LockTarget, NamedText, best_sdist,
    best_wheel, declare_project, declare_requirements, declared_not_locked, dependency_metadata, is_of_input,
    lock_changes, read_lock, read_resolution, read_source_project, render_lock, sdist_metadata, select,
    unmet_build_requirements,
};
use kiln_record::{ArtifactName, Digest};
use std::sync::Arc;

/// Reads a lock in the section `lock`, or the whole input, with its project file in the section `project`; and chooses
/// from it what an artifact with a group and an extra would hold.
fn locked(data: &[u8], format: LockFormat) {
    let files = sections(data);
    let whole = std::str::from_utf8(data).unwrap_or_default();
    let lock = NamedText { path: "app/lock", text: text_of(&files, "lock").unwrap_or(whole) };
    let project = text_of(&files, "project").map(|text| NamedText { path: "app/pyproject.toml", text });
    let mut include = |path: &str| text_of(&files, path).map(str::to_owned);
    match read_lock(format, lock, project, &mut include) {
        Ok(read) => chosen(&read),
        Err(problems) => are_told(&problems, &[lock.text, project.map_or("", |project| project.text)]),
    }
}

/// Problems say where: at a line that the file has. Lines of requirements are Python's, as pip counts them: more than a line
/// feed ends one.
fn are_told(problems: &[InputProblem], texts: &[&str]) {
    assert!(!problems.is_empty(), "who refuses says why");
    let is_end =
        |c: char| matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let lines = texts.iter().map(|text| text.split(is_end).count() + 1).max().unwrap_or(1);
    for problem in problems {
        assert!(!problem.message.is_empty());
        assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{problem:?}");
    }
}

fn chosen(lock: &Lock) {
    let target = target();
    for locked in &lock.distributions {
        assert!(lock.place(locked).line.is_some());
        let names: Vec<String> = locked.files.iter().filter_map(|file| file.file_name.clone()).collect();
        let _ = best_wheel(&names, |name| name, &target.environment);
        let _ = best_sdist(&names, |name| name);
    }
    for groups in [vec![], vec!["dev".to_owned()]] {
        let choice =
            Choice { groups, extras: vec!["extra".to_owned()], has_source: true, ..Choice::default() };
        let ask = || select(lock, &target.environment, &target.runtime, &choice);
        assert_eq!(format!("{:?}", ask()), format!("{:?}", ask()), "one lock, one choice");
    }
}

/// `poetry.lock` with its `pyproject.toml`.
pub fn poetry_lock(data: &[u8]) {
    locked(data, LockFormat::Poetry);
}

/// `uv.lock` with its `pyproject.toml`.
pub fn uv_lock(data: &[u8]) {
    locked(data, LockFormat::Uv);
}

/// `Pipfile.lock` with its `Pipfile`.
pub fn pipfile_lock(data: &[u8]) {
    locked(data, LockFormat::Pipfile);
}

/// `pylock.toml`.
pub fn pylock(data: &[u8]) {
    locked(data, LockFormat::Pylock);
}

/// Requirements files, as a lock, as a declaration, and as what uv prints: what kiln writes of the last is read as the lock
/// that it is.
pub fn requirements(data: &[u8]) {
    locked(data, LockFormat::Requirements);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let files = sections(data);
    let mut include = |path: &str| text_of(&files, path).map(str::to_owned);
    let declaration = match declare_requirements("app/requirements.in", text, &mut include) {
        Ok(declaration) => {
            let digest = declaration.digest();
            assert_eq!(digest, declaration.digest());
            let _ = is_of_input("app/lock", text, Some(&declaration), &target().environment, "kiln lock app");
            Some((declaration, digest))
        }
        Err(problems) => return are_told(&problems, &[text]),
    };
    let _ = LockHeader::read(text).map(|header| header.map(|header| header.to_string()));
    let Ok(pinned) = read_resolution(text, &["app/requirements.in".to_owned()]) else { return };
    let header = LockHeader {
        command: "kiln lock app".to_owned(),
        target: LockTarget { python: (3, 13), machine: "x86_64".to_owned(), glibc: (2, 34) },
        input: "app/requirements.in".to_owned(),
        declared: declaration.map_or(Digest::of(b""), |(_, digest)| digest),
        tool: "uv 1.2.3".to_owned(),
    };
    let written = render_lock(&header, &pinned);
    assert_eq!(LockHeader::read(&written), Some(Ok(header)), "the header is read back");
    let lock = NamedText { path: "app/lock", text: &written };
    let read =
        holds(read_lock(LockFormat::Requirements, lock, None, &mut |_| None), "what kiln writes is a lock");
    let names: std::collections::BTreeSet<_> = pinned.iter().map(|one| &one.name).collect();
    assert_eq!(read.distributions.len(), names.len(), "each is locked once");
    assert!(
        lock_changes(Some(&written), &pinned).is_empty() || names.len() < pinned.len(),
        "nothing changed"
    );
}

/// Project files: what one asks for, what one in the workspace would install, and what builds it. With the sections
/// `PKG-INFO` and `requires.txt`, a source distribution; what kiln tells uv of that is TOML.
pub fn pyproject(data: &[u8]) {
    let Ok(whole) = std::str::from_utf8(data) else { return };
    let files = sections(data);
    let text = text_of(&files, "pyproject.toml").unwrap_or(whole);
    match declare_project("app/pyproject.toml", text, &["dev".to_owned()], &["extra".to_owned()]) {
        Ok(declaration) => {
            assert_eq!(declaration.digest(), declaration.digest());
            let empty = kiln_python::parse_requirements("app/lock", "", &mut |_| None);
            if let Ok(empty) = empty {
                let _ = declared_not_locked(&declaration, &empty, &target().environment, "kiln lock app");
            }
        }
        Err(problems) => are_told(&problems, &[text]),
    }
    let paths: Vec<String> =
        ["pyproject.toml", "src/demo/__init__.py", "demo/__init__.py", "demo.py", "README.md"]
            .map(str::to_owned)
            .to_vec();
    let read =
        read_source_project("app", &paths, &mut |path| (path == "pyproject.toml").then(|| text.to_owned()));
    if let Err(problem) = read {
        are_told(&[problem], &[text]);
    }
    if let Ok(system) = BuildSystem::read(Some(text)) {
        let _ = unmet_build_requirements(&system.requires, &[].into(), &target().environment);
    }
    let metadata = sdist_metadata(text_of(&files, "PKG-INFO"), text_of(&files, "requires.txt"));
    if let Ok(name) = "demo".parse() {
        let written = dependency_metadata([(&name, "1.0", &metadata)]);
        let table = holds(written.parse::<toml::Table>(), "what uv is told is TOML");
        let stated = table["dependency-metadata"][0]["requires-dist"].as_array().map(Vec::len);
        assert_eq!(stated, Some(metadata.requires_dist.len()), "nothing is added");
    }
}

/// The locks that kiln writes as TOML, and `Cargo.lock`: what is written is read back equal, and written again the same.
pub fn lock_files(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data).map(Arc::<str>::from) else { return };
    if let Ok(lock) = BaseLock::parse("images/demo.lock", &text) {
        let written: Arc<str> = holds(lock.to_toml(), "a base's lock is written").into();
        let again = holds(BaseLock::parse("images/demo.lock", &written), "a base's lock is read back");
        assert_eq!(again, lock);
        assert_eq!(holds(again.to_toml(), "a base's lock is written"), *written);
    }
    if let Ok(lock) = ToolsLock::parse("kiln.lock", &text) {
        let written: Arc<str> = holds(lock.to_toml(), "the tools' lock is written").into();
        let again = holds(ToolsLock::parse("kiln.lock", &written), "the tools' lock is read back");
        assert_eq!(again, lock);
    }
    let artifact: Result<ArtifactName, _> = "demo".parse();
    if let Ok(artifact) = artifact
        && let Ok(lock) = ArtifactLockFile::parse(&artifact, &text)
    {
        let written: Arc<str> = holds(lock.to_toml(), "an artifact's lock is written").into();
        let again = holds(ArtifactLockFile::parse(&artifact, &written), "an artifact's lock is read back");
        assert_eq!(again, lock);
    }
    match parse_cargo_lock("Cargo.lock", &text) {
        Ok(crates) => {
            for one in &crates {
                assert!(!one.file_name().contains('/'), "an archive is a file of a folder");
            }
        }
        Err(problems) => assert!(!problems.is_empty(), "who refuses says why"),
    }
}
