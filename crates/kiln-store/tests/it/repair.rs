//! What is damaged or gone in a history is found by name, blocks nothing else, and is set right from what is left.

use crate::ledger::{artifact, ledger_of, record};
use kiln_record::{Digest, Epoch};
use kiln_store::{HeadState, Ledger, StoreError};
use std::path::Path;

/// What may become of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Harm {
    Empty,
    Truncated,
    Garbage,
    Missing,
}

const HARMS: [Harm; 4] = [Harm::Empty, Harm::Truncated, Harm::Garbage, Harm::Missing];

impl Harm {
    fn to(self, path: &Path) {
        let bytes = fs_err::read(path).unwrap();
        match self {
            Self::Empty => fs_err::write(path, b"").unwrap(),
            Self::Truncated => fs_err::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            Self::Garbage => fs_err::write(path, b"\x00\xffnothing of ours").unwrap(),
            Self::Missing => fs_err::remove_file(path).unwrap(),
        }
    }
}

const FOUND: u64 = 99;

fn repaired(ledger: &Ledger, records: &dyn Fn(&Digest) -> Option<Vec<u8>>) -> Vec<String> {
    let done = ledger.repair(&artifact(), Epoch::from_seconds(FOUND).unwrap(), records).unwrap();
    ledger.restate_heads().unwrap();
    done
}

fn append(ledger: &Ledger, archive: &[u8]) -> Result<u64, StoreError> {
    let at = Epoch::from_seconds(50).unwrap();
    ledger.append(&artifact(), &record(archive), at, None).map(|entry| entry.number)
}

#[test]
fn a_damaged_entry_is_recorded_as_lost_and_the_chain_goes_on() {
    for harm in HARMS {
        for number in 1..=3 {
            let told = format!("{harm:?} of {number}");
            let folder = tempfile::tempdir().unwrap();
            let ledger = ledger_of(folder.path(), &[b"1", b"22", b"333"]);
            let path = ledger.root().join(format!("web/00000{number}/entry.json"));
            let original = Digest::of(&fs_err::read(&path).unwrap());
            harm.to(&path);
            let survey = ledger.survey(&artifact()).unwrap();
            assert_eq!(survey.damage.len(), 1, "{told}: {survey:?}");
            assert_eq!(survey.damage[0].path, path, "{told}");
            // The other builds can be read all the same.
            for other in (1..=3).filter(|other| *other != number) {
                ledger.record(&artifact(), other).unwrap();
            }
            assert!(number < 3 || append(&ledger, b"4").is_err(), "{told}: nothing is built upon it");

            let done = repaired(&ledger, &|_| None);
            assert_eq!(done.len(), 1, "{told}: {done:?}");
            let survey = ledger.survey(&artifact()).unwrap();
            assert_eq!((survey.damage.as_slice(), survey.head), (&[][..], Some(HeadState::Stated)), "{told}");
            let lost = &survey.lost[0];
            assert_eq!((lost.number, lost.entry), (number, Some(original)), "{told}");
            assert_eq!(lost.found.seconds(), FOUND);
            assert_eq!(path.with_extension("json.damaged").is_file(), harm != Harm::Missing, "{told}");
            let numbers: Vec<u64> = ledger.entries(&artifact()).unwrap().iter().map(|e| e.number).collect();
            assert_eq!(numbers, (1..=3).filter(|n| *n != number).collect::<Vec<_>>(), "{told}");
            let refused = ledger.record(&artifact(), number).unwrap_err();
            assert!(matches!(refused, StoreError::EntryLost { .. }), "{told}: {refused}");
            assert_eq!(append(&ledger, b"4").unwrap(), 4, "{told}");
            assert_eq!(ledger.entries(&artifact()).unwrap().len(), 3, "{told}");
            assert_eq!(repaired(&ledger, &|_| None), Vec::<String>::new(), "{told}: nothing is left to do");
        }
    }
}

#[test]
fn a_damaged_record_comes_back_from_what_is_published_or_stays_lost() {
    for harm in HARMS {
        for kept in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let ledger = ledger_of(folder.path(), &[b"1", b"22"]);
            let path = ledger.root().join("web/000002/record.json");
            let bytes = fs_err::read(&path).unwrap();
            harm.to(&path);
            assert_eq!(ledger.survey(&artifact()).unwrap().damage[0].path, path, "{harm:?}");
            let done = repaired(&ledger, &|digest| {
                // Something else than was asked for is never taken.
                Some(if kept && *digest == Digest::of(&bytes) { bytes.clone() } else { b"other".to_vec() })
            });
            assert!(done[0].contains("000002/record.json"), "{done:?}");
            assert_eq!(ledger.record(&artifact(), 2).is_ok(), kept, "{harm:?}");
            assert_eq!(append(&ledger, b"3").unwrap(), 3, "the entry is whole");
        }
    }
}

#[test]
fn damaged_heads_are_named_and_stated_anew() {
    for harm in HARMS {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger_of(folder.path(), &[b"1", b"22"]);
        let before = fs_err::read(ledger.heads_path()).unwrap();
        harm.to(&ledger.heads_path());
        match ledger.head(&artifact()) {
            Ok(state) => assert_eq!((harm, state), (Harm::Missing, HeadState::NotStated)),
            Err(StoreError::StateDamaged { path, .. }) => assert_eq!(path, ledger.heads_path()),
            Err(other) => panic!("{other}"),
        }
        assert_eq!(append(&ledger, b"3").is_ok(), harm == Harm::Missing);
        assert_eq!(ledger.record(&artifact(), 2).unwrap(), record(b"22"), "reading goes on");
        assert_eq!(ledger.restate_heads().unwrap(), harm != Harm::Missing, "the append stated them anew");
        assert_eq!(fs_err::read(ledger.heads_path()).unwrap() == before, harm != Harm::Missing);
        assert_eq!(ledger.head(&artifact()).unwrap(), HeadState::Stated);
    }
}

/// Changes a history of three whose newest entry nothing follows.
fn found_in_newest(change: impl Fn(&Path), says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger_of(folder.path(), &[b"1", b"22", b"333"]);
    change(&ledger.root().join("web"));
    let error = ledger.head(&artifact()).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
    assert_eq!(ledger.survey(&artifact()).unwrap().damage.len(), 1);
    assert!(append(&ledger, b"4").is_err(), "nothing is built upon it");
    repaired(&ledger, &|_| None);
    let survey = ledger.survey(&artifact()).unwrap();
    assert_eq!((survey.places, survey.lost.len(), survey.damage.len()), (3, 1, 0));
    assert_eq!(append(&ledger, b"4").unwrap(), 4);
}

#[test]
fn the_newest_entry_cannot_be_edited_deleted_or_replaced_unseen() {
    found_in_newest(
        |web| {
            let path = web.join("000003/entry.json");
            let text = fs_err::read_to_string(&path).unwrap();
            fs_err::write(&path, text.replace("\"archive_size\": 3", "\"archive_size\": 9")).unwrap();
        },
        "one of the two was changed",
    );
    found_in_newest(|web| fs_err::remove_dir_all(web.join("000003")).unwrap(), "it is missing");
    found_in_newest(
        |web| {
            // Made to fit: another record with an entry that names it.
            let (entry, other) = (web.join("000003/entry.json"), record(b"4444").to_json().unwrap());
            let text = fs_err::read_to_string(&entry).unwrap();
            let was = Digest::of(&fs_err::read(web.join("000003/record.json")).unwrap()).to_string();
            fs_err::write(&entry, text.replace(&was, &Digest::of(&other).to_string())).unwrap();
            fs_err::write(web.join("000003/record.json"), other).unwrap();
        },
        "one of the two was changed",
    );
}
