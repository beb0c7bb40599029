use crate::files_below;
use kiln_record::{
    Architecture, ArtifactKind, ArtifactName, ComponentId, Digest, Ecosystem, Entry, Epoch, FORMAT_VERSION,
    FileRecord, Mode, Output, Record, Target, Tree, TreePath,
};
use kiln_store::{Ledger, StoreError};
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) fn artifact() -> ArtifactName {
    "web".parse().unwrap()
}

pub(crate) fn record(archive: &[u8]) -> Record {
    let file = FileRecord {
        path: TreePath::new("index.py").unwrap(),
        entry: Entry::File { digest: Digest::of(b"code"), size: 1000, mode: Mode::Plain },
        component: ComponentId::new(Ecosystem::Application, "web"),
    };
    let tree: Tree = [(file.path.clone(), file.entry.clone())].into_iter().collect();
    Record {
        binaries: BTreeMap::new(),
        organization: None,
        stated: Vec::new(),
        policy: None,
        format: FORMAT_VERSION,
        artifact: artifact(),
        kind: ArtifactKind::LambdaZip,
        target: Target { runtime: "python3.13".to_owned(), architecture: Architecture::Amd64 },
        handler: None,
        layers: Vec::new(),
        plan: Digest::of(b"plan"),
        epoch: Epoch::from_seconds(0).unwrap(),
        inputs: Vec::new(),
        tree: tree.digest(),
        unpacked_size: 1000,
        image: None,
        files: vec![file],
        components: Vec::new(),
        environment: Vec::new(),
        transformations: Vec::new(),
        gaps: Vec::new(),
        findings: Vec::new(),
        checks: Vec::new(),
        imports: None,
        tools: BTreeMap::new(),
        outputs: vec![Output {
            file_name: "web.zip".to_owned(),
            media_type: "application/zip".to_owned(),
            size: archive.len() as u64,
            digest: Digest::of(archive),
            sha256_base64: Digest::of(archive).base64(),
            sha512: None,
        }],
    }
}

pub(crate) fn ledger_of(folder: &Path, builds: &[&[u8]]) -> Ledger {
    let ledger = Ledger::open(&folder.join("ledger"));
    for (second, archive) in (0..).zip(builds) {
        ledger.append(&artifact(), &record(archive), Epoch::from_seconds(second).unwrap(), None).unwrap();
    }
    ledger
}

#[test]
fn entries_are_numbered_and_chained() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), &[b"1", b"22", b"333"]);
    let entries = ledger.entries(&artifact()).unwrap();
    assert_eq!(
        entries.iter().map(|e| (e.number, e.archive_size)).collect::<Vec<_>>(),
        [(1, 1), (2, 2), (3, 3)]
    );
    assert_eq!(entries[0].previous, None);
    let second = fs_err::read(ledger.root().join("web/000002/entry.json")).unwrap();
    assert_eq!(entries[2].previous, Some(Digest::of(&second)));
    assert_eq!(entries[2].unpacked_size, 1000);
    assert_eq!(ledger.latest(&artifact()).unwrap().as_ref(), entries.last());
    assert_eq!(ledger.record(&artifact(), 2).unwrap(), record(b"22"));
    assert_eq!(ledger.artifacts().unwrap(), [artifact()]);
}

#[test]
fn an_artifact_that_was_never_built_has_no_history() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger"));
    assert_eq!(ledger.entries(&artifact()).unwrap(), []);
    assert_eq!(ledger.latest(&artifact()).unwrap(), None);
    assert_eq!(ledger.artifacts().unwrap(), []);
    assert_eq!(ledger.sweep().unwrap(), 0);
    assert!(matches!(ledger.record(&artifact(), 1), Err(StoreError::NoSuchEntry { newest: None, .. })));
    assert!(!ledger.root().exists(), "reading makes nothing");
    let error = ledger_of(folder.path(), &[b"1"]).record(&artifact(), 7).unwrap_err();
    assert_eq!(error.to_string(), "web has no build 7 in the ledger; the newest is 1");
}

#[test]
fn a_killed_append_is_ignored_and_swept() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), &[b"1"]);
    let unfinished = ledger.root().join("web/.append-000002-99-0");
    fs_err::create_dir(&unfinished).unwrap();
    fs_err::write(unfinished.join("entry.json"), b"{\"format\":").unwrap();
    assert_eq!(ledger.entries(&artifact()).unwrap().len(), 1);
    assert_eq!(
        ledger.append(&artifact(), &record(b"2"), Epoch::from_seconds(9).unwrap(), None).unwrap().number,
        2
    );
    assert_eq!(ledger.sweep().unwrap(), 1);
    let expected = ["000001/entry.json", "000001/record.json", "000002/entry.json", "000002/record.json"];
    assert_eq!(files_below(&ledger.root().join("web")), expected);
}

#[test]
fn appends_side_by_side_each_get_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), &[]);
    std::thread::scope(|scope| {
        for n in 0..4_u8 {
            let ledger = &ledger;
            scope.spawn(move || {
                ledger.append(&artifact(), &record(&[n]), Epoch::from_seconds(0).unwrap(), None).unwrap()
            });
        }
    });
    assert_eq!(ledger.entries(&artifact()).unwrap().len(), 4);
}

/// Changes a three-entry ledger and expects an error that names the place.
fn broken(change: impl Fn(&Path), place: &str) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), &[b"1", b"22", b"333"]);
    change(&ledger.root().join("web"));
    match ledger.entries(&artifact()).unwrap_err() {
        StoreError::LedgerBroken { path, reason } => {
            assert!(path.ends_with(place), "{} is not {place}: {reason}", path.display());
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_changed_lost_or_moved_entry_breaks_the_chain() {
    broken(
        |web| {
            let path = web.join("000001/entry.json");
            let text = fs_err::read_to_string(&path).unwrap();
            fs_err::write(&path, text.replace("\"archive_size\": 1", "\"archive_size\": 9")).unwrap();
        },
        "000002/entry.json",
    );
    broken(|web| fs_err::remove_dir_all(web.join("000002")).unwrap(), "000002");
    broken(|web| fs_err::remove_file(web.join("000003/entry.json")).unwrap(), "000003/entry.json");
    broken(|web| fs_err::write(web.join("000003/entry.json"), b"{}").unwrap(), "000003/entry.json");
    broken(
        |web| {
            fs_err::rename(web.join("000001"), web.join("x")).unwrap();
            fs_err::rename(web.join("000002"), web.join("000001")).unwrap();
            fs_err::rename(web.join("x"), web.join("000002")).unwrap();
        },
        "000001/entry.json",
    );
}

#[test]
fn a_changed_record_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), &[b"1"]);
    let path = ledger.root().join("web/000001/record.json");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("python3.13", "python3.12")).unwrap();
    let error = ledger.record(&artifact(), 1).unwrap_err();
    assert!(matches!(&error, StoreError::LedgerBroken { path: p, .. } if *p == path), "{error}");
}

#[test]
fn going_back_reads_no_further_than_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), &[b"1", b"22", b"333", b"4444", b"55555"]);
    let name = artifact();
    let numbers = |last: u64| -> Vec<u64> {
        ledger.back_from(&name, last).unwrap().map(|entry| entry.unwrap().number).collect()
    };
    assert_eq!(numbers(u64::MAX), [5, 4, 3, 2, 1]);
    assert_eq!(numbers(3), [3, 2, 1]);
    assert_eq!(numbers(0), Vec::<u64>::new());
    let backwards: Vec<_> = ledger.back(&name).unwrap().map(Result::unwrap).collect();
    let mut forwards = ledger.entries(&name).unwrap();
    forwards.reverse();
    assert_eq!(backwards, forwards);
    // Another entry in the place of one is noticed by the one after it, and nothing is given out from there on.
    let second = ledger.root().join("web/000002/entry.json");
    let text = fs_err::read_to_string(&second).unwrap();
    fs_err::write(&second, text.replace("\"archive_size\": 2", "\"archive_size\": 9")).unwrap();
    let mut back = ledger.back(&name).unwrap();
    let intact: Vec<u64> = back.by_ref().take(3).map(|entry| entry.unwrap().number).collect();
    assert_eq!(intact, [5, 4, 3]);
    match back.next().unwrap().unwrap_err() {
        StoreError::LedgerBroken { path, .. } => assert!(path.ends_with("000003/entry.json"), "{path:?}"),
        other => panic!("{other}"),
    }
    assert!(back.next().is_none());
    // Nothing is before the first.
    fs_err::write(&second, text).unwrap();
    let first = ledger.root().join("web/000001/entry.json");
    let text = fs_err::read_to_string(&first).unwrap();
    let other = text.replace("\"previous\": null", &format!("\"previous\": \"{}\"", Digest::of(b"0")));
    assert_ne!(other, text);
    fs_err::write(&first, other).unwrap();
    assert!(ledger.back_from(&name, 1).unwrap().next().unwrap().is_err());
}
