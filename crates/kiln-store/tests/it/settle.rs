//! A process may end at any moment of a publication: dropping a value that [`std::mem::forget`] keeps from cleaning up is
//! what a kill is. The next command brings folder and ledger to one truth.

use crate::files_below;
use crate::ledger::{artifact, record};
use kiln_record::{Digest, Epoch};
use kiln_store::{Head, HeadState, Ledger, Publication, Sealed, is_unsettled, settle};
use std::path::Path;

const NOW: u64 = 7;

/// How far a publication gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Begun,
    Written,
    Sealed,
    Entered,
    Placed,
}

fn written(dist: &Path, archive: &[u8]) -> Publication {
    let mut publication = Publication::begin(dist, &artifact()).unwrap();
    let json = record(archive).to_json().unwrap();
    publication.write("web.zip", archive).unwrap();
    publication.write("record.json", &json).unwrap();
    let sums = format!("{}  record.json\n{}  web.zip\n", Digest::of(&json).hex(), Digest::of(archive).hex());
    publication.write("SHA256SUMS", sums.as_bytes()).unwrap();
    publication
}

fn enter(ledger: &Ledger, archive: &[u8]) {
    ledger.append(&artifact(), &record(archive), Epoch::from_seconds(NOW).unwrap(), None).unwrap();
}

/// Publishes until a moment, at which the process ends.
fn publish_until(moment: Moment, dist: &Path, ledger: &Ledger, archive: &[u8]) {
    if moment == Moment::Begun {
        return std::mem::forget(Publication::begin(dist, &artifact()).unwrap());
    }
    let publication = written(dist, archive);
    if moment == Moment::Written {
        return std::mem::forget(publication);
    }
    let sealed: Sealed = publication.seal().unwrap();
    if moment == Moment::Sealed {
        return std::mem::forget(sealed);
    }
    enter(ledger, archive);
    if moment == Moment::Entered {
        return std::mem::forget(sealed);
    }
    sealed.place().unwrap();
}

fn published(dist: &Path) -> Vec<u8> {
    fs_err::read(dist.join("web/web.zip")).unwrap()
}

#[test]
fn whenever_a_process_ends_folder_and_ledger_come_to_one_truth() {
    for moment in [Moment::Begun, Moment::Written, Moment::Sealed, Moment::Entered, Moment::Placed] {
        let root = tempfile::tempdir().unwrap();
        let dist = root.path().join("dist");
        let ledger = Ledger::open(&root.path().join("ledger"));
        publish_until(Moment::Placed, &dist, &ledger, b"old");
        publish_until(moment, &dist, &ledger, b"new");
        // The entry is what decides.
        let expected: &[u8] = if moment < Moment::Entered { b"old" } else { b"new" };
        assert_eq!(is_unsettled(&dist).unwrap(), moment != Moment::Placed, "{moment:?}");
        let settled = settle(&dist, &ledger).unwrap();
        assert_eq!(settled.completed.len(), usize::from(moment == Moment::Entered), "{moment:?}");
        assert_eq!(published(&dist), expected, "{moment:?}");
        let newest = ledger.latest(&artifact()).unwrap().unwrap();
        assert_eq!(newest.archive, Some(Digest::of(expected)), "{moment:?}");
        assert_eq!(newest.record, Digest::of(&fs_err::read(dist.join("web/record.json")).unwrap()));
        assert_eq!(files_below(&dist), ["web/SHA256SUMS", "web/record.json", "web/web.zip"], "{moment:?}");
        // Once more there is nothing to do.
        assert_eq!(settle(&dist, &ledger).unwrap(), kiln_store::Settled::default(), "{moment:?}");
    }
}

#[test]
fn a_first_publication_is_completed_too() {
    let root = tempfile::tempdir().unwrap();
    let dist = root.path().join("dist");
    let ledger = Ledger::open(&root.path().join("ledger"));
    publish_until(Moment::Entered, &dist, &ledger, b"one");
    assert_eq!(settle(&dist, &ledger).unwrap().completed, [artifact()]);
    assert_eq!(published(&dist), b"one");
}

#[test]
fn what_is_not_complete_is_not_put_in_place() {
    for spoil in ["web.zip", "SHA256SUMS", "record.json"] {
        let root = tempfile::tempdir().unwrap();
        let dist = root.path().join("dist");
        let ledger = Ledger::open(&root.path().join("ledger"));
        publish_until(Moment::Placed, &dist, &ledger, b"old");
        publish_until(Moment::Entered, &dist, &ledger, b"new");
        let staging = fs_err::read_dir(&dist).unwrap().map(|entry| entry.unwrap().path());
        let staging =
            staging.into_iter().find(|path| path.display().to_string().contains(".staging-")).unwrap();
        fs_err::write(staging.join(spoil), b"spoilt").unwrap();
        let settled = settle(&dist, &ledger).unwrap();
        assert_eq!((settled.completed, settled.removed), (Vec::new(), 1), "{spoil}");
        assert_eq!(published(&dist), b"old", "{spoil}");
    }
}

#[test]
fn what_cannot_be_put_in_place_waits_for_the_next_command() {
    let root = tempfile::tempdir().unwrap();
    let dist = root.path().join("dist");
    let ledger = Ledger::open(&root.path().join("ledger"));
    let sealed = written(&dist, b"new").seal().unwrap();
    enter(&ledger, b"new");
    fs_err::create_dir(dist.join("web")).unwrap();
    fs_err::write(dist.join("web/mine"), b"in the way").unwrap();
    assert!(sealed.place().is_err());
    fs_err::remove_dir_all(dist.join("web")).unwrap();
    assert_eq!(settle(&dist, &ledger).unwrap().completed, [artifact()]);
    assert_eq!(published(&dist), b"new");
}

#[test]
fn a_process_that_ends_between_entry_and_head_leaves_a_chain_that_can_be_built_upon() {
    let root = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&root.path().join("ledger"));
    enter(&ledger, b"1");
    let stated = fs_err::read(ledger.heads_path()).unwrap();
    enter(&ledger, b"2");
    assert_eq!(ledger.head(&artifact()).unwrap(), HeadState::Stated);
    fs_err::write(ledger.heads_path(), stated).unwrap();
    assert_eq!(ledger.head(&artifact()).unwrap(), HeadState::Ahead);
    enter(&ledger, b"3");
    assert_eq!(ledger.head(&artifact()).unwrap(), HeadState::Stated);
    let heads = ledger.heads().unwrap().unwrap();
    let newest = fs_err::read(ledger.root().join("web/000003/entry.json")).unwrap();
    assert_eq!(heads.artifacts[&artifact()], Head { number: 3, entry: Digest::of(&newest) });
}
