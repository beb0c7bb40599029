//! Archives and files of others, two beside each other, and images as others keep them.

use crate::invariant::holds;
use crate::sections::sections;
use kiln_audit::{FirstDifference, LARGEST_EXPLAINED, first_difference};
use kiln_image::{Laid, archived_blobs, archived_files, blob_path, read_laid_out};
use kiln_pack::{FieldDifference, Limits, Result, gzip_differences, tar_differences, zip_differences};
use kiln_record::Digest;
use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Seek as _, SeekFrom};

/// More than any text that a difference is told in has, in characters: quotes are cut at 200, each of which may be written in ten.
const TOLD: usize = 3_000;

/// Two parts of one input: its first two bytes say how many of those that follow are the first one's.
fn halves(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = data.split_at_checked(2)?;
    let first = usize::from(u16::from_le_bytes([head[0], head[1]]));
    Some(rest.split_at_checked(first).unwrap_or((rest, &[])))
}

/// The fields around the members of two zips, or of two tars: an archive does not differ from itself, and what differs one
/// way differs the other way.
pub fn container_fields(data: &[u8]) {
    let Some((before, after)) = halves(data) else { return };
    let limits = Limits { max_members: 4_000, ..Limits::default() };
    differ_both_ways(before, after, |a, b| zip_differences(Cursor::new(a), Cursor::new(b), &limits));
    differ_both_ways(before, after, |a, b| tar_differences(a, b, &limits));
    differ_both_ways(before, after, gzip_differences);
}

fn differ_both_ways(
    before: &[u8],
    after: &[u8],
    differences: impl Fn(&[u8], &[u8]) -> Result<Vec<FieldDifference>>,
) {
    for one in [before, after] {
        if let Ok(found) = differences(one, one) {
            assert_eq!(found, [], "nothing differs from itself");
        }
    }
    let Ok(found) = differences(before, after) else { return };
    let turned = holds(differences(after, before), "what is compared one way is compared the other way");
    let fields = |all: &[FieldDifference]| -> BTreeMap<&'static str, u64> {
        all.iter().map(|one| (one.field, one.members)).collect()
    };
    assert_eq!(fields(&found), fields(&turned), "what differs one way differs the other way");
    for one in &found {
        assert_ne!(one.before, one.after, "{}", one.field);
    }
}

/// Where two files differ first, read as one format after the other: somewhere if they differ, and nowhere else; what is
/// told of it is short and does nothing to a terminal.
pub fn file_difference(data: &[u8]) {
    let Some((before, after)) = halves(data) else { return };
    assert!(data.len() as u64 <= LARGEST_EXPLAINED);
    for path in ["a.pyc", "a-1.dist-info/RECORD", "a.json", "a.so"] {
        assert_eq!(first_difference(path, before, before), None);
        let found = first_difference(path, before, after);
        assert_eq!(found.is_some(), before != after, "{path}");
        if let Some(FirstDifference { place, before, after, notes }) = found {
            for told in [&place, &before, &after].into_iter().chain(&notes) {
                assert!(told.chars().count() <= TOLD, "{path}: {} characters", told.chars().count());
                assert!(!told.chars().any(char::is_control), "{path}: {told:?}");
            }
        }
    }
}

/// Images as others keep them. A tar: places of files are within it. Text in sections: the files of a layout, in which
/// `@NAME@` is the digest of a section before; what is found are files of the layout by the digests that name them.
pub fn laid_out(data: &[u8]) {
    if let Ok(places) = archived_files(Cursor::new(data)) {
        let mut archive = Cursor::new(data);
        let read = &mut |name: &str| {
            let Some((offset, size)) = places.get(name).copied() else { return Ok(None) };
            let mut bytes = Vec::new();
            archive.seek(SeekFrom::Start(offset))?;
            archive.by_ref().take(size).read_to_end(&mut bytes)?;
            Ok(Some(bytes))
        };
        let _ = read_laid_out(None, read);
    }
    let _ = archived_blobs(Cursor::new(data));

    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut digests: BTreeMap<&str, Digest> = BTreeMap::new();
    for (name, text) in sections(data).into_iter().take(32) {
        let mut text = text.trim_end_matches('\n').to_owned();
        for (of, digest) in &digests {
            text = text.replace(&format!("@{of}@"), &digest.to_string());
            if text.len() > 1 << 20 {
                return;
            }
        }
        let digest = Digest::of(text.as_bytes());
        digests.insert(name, digest);
        files.insert(blob_path(&digest), text.clone().into_bytes());
        files.insert(name.to_owned(), text.into_bytes());
    }
    let mut asked = 0;
    let mut open = |wanted: Option<&Digest>| {
        read_laid_out(wanted, &mut |name| {
            asked += 1;
            Ok(files.get(name).cloned())
        })
    };
    match open(None) {
        Ok(Laid::Image(image)) => {
            if let Some(manifest) = image.manifest {
                assert!(files.contains_key(&blob_path(&manifest)), "its manifest is there");
                assert!(files.values().any(|bytes| *bytes == image.config), "its config is there");
                assert_eq!(open(Some(&manifest)).ok(), Some(Laid::Image(image)), "it is found by its digest");
            }
        }
        Ok(Laid::Several(all)) => {
            assert_ne!(all.len(), 1, "one of several is chosen");
            for (_, digest) in all.iter().take(8) {
                match open(Some(digest)) {
                    Ok(Laid::Image(image)) => assert_eq!(image.manifest, Some(*digest)),
                    Ok(Laid::Several(_)) => panic!("{digest} is listed, and not found"),
                    Err(_) => {}
                }
            }
        }
        Err(_) => {}
    }
    assert!(asked < 100_000, "{asked} files were asked for");
}
