use super::numbers::Order;
use super::{berkeley, header::Header, ndb, sqlite};
use crate::{ContentsReader, ImageContents};
use flate2::read::GzDecoder;
use kiln_record::{Check, CheckOutcome, Ecosystem};
use proptest::prelude::*;
use std::io::Read as _;

const SQLITE: &[u8] = include_bytes!("testdata/rpmdb.sqlite.gz");
const SQLITE_LOG: &[u8] = include_bytes!("testdata/rpmdb.sqlite-wal.gz");
const BERKELEY: &[u8] = include_bytes!("testdata/Packages.gz");

fn unpacked(gzip: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The container of ndb around headers, by the layout of `rpmpkg.c`.
fn ndb_of(blobs: &[Vec<u8>]) -> Vec<u8> {
    let mut slots = Vec::new();
    let mut heap = Vec::new();
    for (number, blob) in (1u32..).zip(blobs) {
        let offset = u32::try_from((4096 + heap.len()) / 16).unwrap();
        let length = u32::try_from(blob.len()).unwrap();
        let blocks = (length + 16 + 12).div_ceil(16);
        slots.extend_from_slice(b"Slot");
        slots.extend([number, offset, blocks].iter().flat_map(|number| number.to_le_bytes()));
        let start = heap.len();
        heap.extend_from_slice(b"BlbS");
        heap.extend([number, 7, length].iter().flat_map(|number| number.to_le_bytes()));
        heap.extend_from_slice(blob);
        heap.resize(start + usize::try_from(blocks * 16).unwrap(), 0);
    }
    let mut file = b"RpmP".to_vec();
    file.extend([0, 1, 1, 9, 0, 0, 0].iter().flat_map(|number: &u32| number.to_le_bytes()));
    file.extend(slots);
    while file.len() < 4096 {
        file.extend_from_slice(b"Slot");
        file.extend_from_slice(&[0; 12]);
    }
    file.extend(heap);
    file
}

fn names(blobs: &[Vec<u8>]) -> Vec<String> {
    blobs.iter().map(|blob| Header::read(blob, &mut (1 << 20)).unwrap().name).collect()
}

/// An image with these files.
fn image(files: &[(&str, &[u8])]) -> ImageContents {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, path, *content).unwrap();
    }
    let mut reader = ContentsReader::new();
    reader.add(&*tar.into_inner().unwrap()).unwrap();
    reader.finish().unwrap()
}

fn reason(check: Check) -> String {
    match check.outcome {
        CheckOutcome::NotChecked { reason } => reason,
        CheckOutcome::Ran { .. } => panic!("{check:?}"),
    }
}

#[test]
fn the_same_packages_in_every_form() {
    let from_sqlite = sqlite::headers(&unpacked(SQLITE), None).unwrap();
    let mut found = names(&from_sqlite);
    found.sort();
    assert_eq!(found, ["glibc", "openssl-libs", "setup"]);
    assert_eq!(berkeley::headers(&unpacked(BERKELEY)).unwrap(), from_sqlite);
    let file = ndb_of(&from_sqlite);
    assert_eq!(ndb::headers(&file).unwrap(), from_sqlite.iter().map(Vec::as_slice).collect::<Vec<_>>());
}

#[test]
fn what_the_log_says_is_newer() {
    let headers = sqlite::headers(&unpacked(SQLITE), Some(&unpacked(SQLITE_LOG))).unwrap();
    assert_eq!(headers.len(), 2, "one was deleted");
    // A log that was reset, and one of a transaction that did not end, count for nothing.
    let mut log = unpacked(SQLITE_LOG);
    log[24] ^= 1;
    assert_eq!(sqlite::headers(&unpacked(SQLITE), Some(&log)).unwrap().len(), 3);
    let log = unpacked(SQLITE_LOG);
    assert_eq!(sqlite::headers(&unpacked(SQLITE), Some(&log[..32 + 24 + 4096])).unwrap().len(), 3);
}

#[test]
fn packages_of_an_image() {
    let release = b"NAME=\"Amazon Linux\"\nID=\"amzn\"\nVERSION_ID=\"2023\"\nPRETTY_NAME=\"Amazon Linux 2023\"\nCPE_NAME=\"cpe:2.3:o:amazon:amazon_linux:2023\"\n";
    let database = unpacked(SQLITE);
    let contents = image(&[
        ("etc/os-release", release),
        ("etc/fixture/glibc/file-1", b"12345"),
        ("etc/fixture/glibc/file-2", b"678"),
        ("var/lib/rpm/rpmdb.sqlite", &database),
        ("var/lib/rpm/rpmdb.sqlite-wal", b""),
    ]);
    assert_eq!(contents.unread_packages, [""; 0]);
    let distribution = contents.distribution.unwrap();
    assert_eq!((distribution.id.as_str(), distribution.version.as_deref()), ("amzn", Some("2023")));
    assert_eq!(distribution.cpe.as_deref(), Some("cpe:2.3:o:amazon:amazon_linux:2023:*:*:*:*:*:*:*"));
    let packages = contents.packages.unwrap();
    let versions: Vec<(&str, &str)> =
        packages.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
    assert_eq!(
        versions,
        [
            ("glibc", "2.34-52.amzn2023.0.8"),
            ("openssl-libs", "1:3.0.8-1.amzn2023.0.12"),
            ("setup", "2.13.7-3.amzn2023.0.2")
        ]
    );
    let glibc = &packages[0];
    assert_eq!((glibc.ecosystem, glibc.bytes, glibc.files), (Ecosystem::Rpm, 8, 2));
    assert_eq!(glibc.architecture, "noarch");
    assert_eq!(glibc.license.as_deref(), Some("LGPLv2+ and GPLv2+"));
    assert_eq!(glibc.source.as_deref(), Some("glibc-2.34-52.amzn2023.0.8.src.rpm"));
    assert_eq!(glibc.maintainer.as_deref(), Some("Amazon Linux"));
    assert_eq!(glibc.summary.as_deref(), Some("The glibc of a test"));
}

#[test]
fn what_cannot_be_read_is_said() {
    let contents = image(&[("var/lib/rpm/Packages", b"not a database")]);
    assert_eq!(contents.packages, None);
    let told = reason(contents.package_check("packages of the base", "the base b"));
    assert!(told.contains("/var/lib/rpm/Packages: it is no hash of Berkeley DB"), "{told}");
    let contents = image(&[("usr/bin/x", b"")]);
    let told = reason(contents.package_check("packages of the base", "the base b"));
    assert!(told.contains("has no package database"), "{told}");
}

#[test]
fn any_cut_is_survived() {
    for (file, read) in [
        (unpacked(SQLITE), (|file| sqlite::headers(file, None).map(drop)) as fn(&[u8]) -> Result<(), String>),
        (unpacked(BERKELEY), |file| berkeley::headers(file).map(drop)),
        (ndb_of(&sqlite::headers(&unpacked(SQLITE), None).unwrap()), |file| ndb::headers(file).map(drop)),
    ] {
        read(&file).unwrap();
        for end in (0..file.len()).step_by(97) {
            let _ = read(&file[..end]);
        }
    }
}

#[test]
fn rows_that_overlap_are_refused() {
    // Every cell of the first leaf of `Packages` is made the first: the rows would be longer than the file in the end.
    let mut file = unpacked(SQLITE);
    for page in file.chunks_exact_mut(4096).skip(1).filter(|page| page[0] == 13) {
        let first = Order::Big.u16(page, 8).unwrap().to_be_bytes();
        page[3..5].copy_from_slice(&2000u16.to_be_bytes());
        for cell in page[8..].chunks_exact_mut(2).take(2000) {
            cell.copy_from_slice(&first);
        }
    }
    assert!(sqlite::headers(&file, None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_change_is_survived(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20)) {
        let log = unpacked(SQLITE_LOG);
        let mut files = [unpacked(SQLITE), unpacked(BERKELEY), log.clone()];
        for file in &mut files {
            for (index, byte) in &changes {
                let place = index.index(file.len());
                file[place] = *byte;
            }
        }
        let _ = sqlite::headers(&files[0], Some(&log));
        let _ = sqlite::headers(&files[0], Some(&files[2]));
        for blob in berkeley::headers(&files[1]).unwrap_or_default() {
            let _ = Header::read(&blob, &mut (1 << 20));
        }
    }
}
