//! How equal two builds are: byte for byte, or by which named rules.

use crate::comparison::{Comparison, EntryDifference, Judge, Level, differing_keys, digest_of};
use crate::content::Contents;
use crate::image_equivalence::compare_image;
use crate::{Expected, RebuildError, Rebuilt};
use kiln_collect::{how_differ, tree_of_archive};
use kiln_record::{Record, Tree, TreePath};
use kiln_store::Store;
use std::collections::BTreeSet;
use std::path::Path;

/// Holds a rebuild against what was published. `published` is a file that is said to be that: it is judged by its own bytes.
///
/// # Errors
/// If a file cannot be read.
pub fn compare(
    expected: &Expected,
    published: Option<&Path>,
    rebuilt: &Rebuilt,
    store: &Store,
) -> Result<Comparison, RebuildError> {
    let record = &rebuilt.record;
    let found = record.archive().map(|output| output.digest);
    let of_expected = record.archive().and_then(|output| expected.outputs.get(&output.file_name)).copied();
    // A layout is a folder: what it holds has a digest.
    let of_file = published.filter(|path| !path.is_dir()).map(digest_of).transpose()?;
    let mut comparison = Comparison {
        level: Level::E0,
        expected: of_file.or(of_expected),
        found,
        differences: Vec::new(),
        stabilised: Vec::new(),
        record_keys: expected.record.as_ref().map(|other| differing_keys(other, record)).unwrap_or_default(),
        not_compared: Vec::new(),
    };
    if expected.record.is_none() {
        comparison.not_compared.push("the record: provenance does not have it".to_owned());
    }
    let same = match of_file {
        None if published.is_some() => false,
        Some(digest) => record.outputs.iter().any(|output| output.digest == digest),
        None => {
            record.outputs.len() == expected.outputs.len()
                && record
                    .outputs
                    .iter()
                    .all(|output| expected.outputs.get(&output.file_name) == Some(&output.digest))
        }
    };
    if same {
        return Ok(comparison);
    }
    if let (Some(published), Some(image)) = (published, &record.image) {
        compare_image(&mut comparison, published, image, rebuilt, store)?;
        return Ok(comparison);
    }
    let now = record.to_tree();
    // What a file holds is what counts, and not what its record says of it; of an image only the record tells.
    let known = of_file.is_none_or(|digest| expected.outputs.values().any(|known| *known == digest));
    let before = match published.map(tree_of_archive) {
        Some(Ok(tree)) => Some(tree),
        _ => expected.record.as_ref().filter(|_| known).map(Record::to_tree),
    };
    let tree = before.as_ref().map(Tree::digest).or((known && of_file.is_none()).then_some(expected.tree));
    let around_is_same = match (&expected.record, &record.image) {
        (_, None) => true,
        (Some(other), Some(image)) => other.image.as_ref().is_some_and(|other| {
            (&other.base, &other.runs, &other.attributes, &other.removed)
                == (&image.base, &image.runs, &image.attributes, &image.removed)
        }),
        (None, Some(_)) => false,
    };
    if tree == Some(now.digest()) && around_is_same {
        comparison.level = Level::E1;
        comparison.differences.push(container(published, &rebuilt.folder, record));
        return Ok(comparison);
    }
    comparison.level = Level::X;
    let Some(before) = before else {
        let why = match tree {
            Some(tree) => format!("its files have tree digest {tree} there and {} here", now.digest()),
            None => "it is no zip, and no record describes it".to_owned(),
        };
        comparison
            .not_compared
            .push(format!("file by file: nothing lists the files that were published ({why})"));
        return Ok(comparison);
    };
    let archive = record.archive().map(|output| rebuilt.folder.join(&output.file_name));
    let mut then = Contents::new(published, store);
    let mut here = Contents::new(archive.as_deref(), store);
    let mut judge = Judge::new(record, "");
    let paths: BTreeSet<&TreePath> = before.iter().chain(now.iter()).map(|(path, _)| path).collect();
    for path in paths {
        let pair = (before.get(path), now.get(path));
        if pair.0 != pair.1 {
            comparison.differences.push(judge.difference(path, pair, &mut then, &mut here));
        }
    }
    if !around_is_same {
        comparison.differences.push(EntryDifference {
            path: String::new(),
            how: "the image has another base, or other settings, owners or modes".to_owned(),
            component: None,
            excused: None,
        });
    }
    comparison.judged_by(&judge);
    Ok(comparison)
}

/// The first byte in which two containers of one tree differ.
fn container(published: Option<&Path>, folder: &Path, record: &Record) -> EntryDifference {
    let ours = record.archive().and_then(|output| fs_err::read(folder.join(&output.file_name)).ok());
    let theirs = published.and_then(|file| fs_err::read(file).ok());
    let how = match (theirs, ours) {
        (Some(a), Some(b)) => how_differ(&a, &b),
        _ => "the container differs; where is not known without the file that was published".to_owned(),
    };
    EntryDifference {
        path: String::new(),
        how,
        component: None,
        excused: Some("the files are the same".to_owned()),
    }
}
