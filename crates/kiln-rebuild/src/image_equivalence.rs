//! How equal a rebuilt image is to one in a file or a layout, which is read whole and judged by its own bytes: by its manifest, its config,
//! and its files.

use crate::comparison::{Comparison, EntryDifference, Judge, Level, differing_keys, digest_of};
use crate::content::Contents;
use crate::{RebuildError, Rebuilt, RebuiltIndex};
use kiln_collect::how_differ;
use kiln_publish::{HeldImages, ReadImage, read_image};
use kiln_record::{Attributes, Digest, ImageRecord, IndexRecord, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The most files whose contents are held against each other.
const MOST_EXPLAINED: usize = 1000;

/// Holds a published image, whose file is not the one that was rebuilt, against the rebuild.
pub(crate) fn compare_image(
    comparison: &mut Comparison,
    published: &Path,
    image: &ImageRecord,
    rebuilt: &Rebuilt,
    store: &Store,
) -> Result<(), RebuildError> {
    let none = BTreeSet::new();
    let here = place_of(rebuilt);
    let theirs = one(published, &image.manifest, &none)?;
    let ours = one(&here, &image.manifest, &none)?;
    let of_container = |how: String, excused: &str| EntryDifference {
        path: String::new(),
        how,
        component: None,
        excused: Some(excused.to_owned()),
    };
    if published.is_dir() {
        comparison.expected = theirs.manifest;
        comparison.found = ours.manifest;
    }
    if theirs.manifest.is_some() && theirs.manifest == ours.manifest {
        if published.is_dir() && is_published_layout(published, rebuilt)? {
            return Ok(());
        }
        comparison.level = Level::E1;
        let how = format!("the manifest is the same ({}), in other files", image.manifest);
        comparison.differences.push(of_container(how, "the image is the same"));
        return Ok(());
    }
    if theirs.config == ours.config {
        comparison.level = Level::E1;
        let how = format!(
            "config and unpacked layers are the same ({}), compressed or listed otherwise",
            image.config
        );
        comparison.differences.push(of_container(how, "the image is the same"));
        return Ok(());
    }
    comparison.level = Level::X;
    let mount = rebuilt.record.kind.mount().trim_start_matches('/');
    let mut judge = Judge::new(&rebuilt.record, mount);
    let paths: BTreeSet<&TreePath> =
        theirs.tree.iter().chain(ours.tree.iter()).map(|(path, _)| path).collect();
    let differing: BTreeSet<TreePath> =
        paths.into_iter().filter(|path| theirs.tree.get(path) != ours.tree.get(path)).cloned().collect();
    let explained: BTreeSet<TreePath> = differing.iter().take(MOST_EXPLAINED).cloned().collect();
    let contents = |path: &Path| one(path, &image.manifest, &explained).map(|image| image.contents);
    let mut then = Contents::of_image(contents(published)?, store);
    let mut now = Contents::of_image(contents(&here)?, store);
    for path in &differing {
        let pair = (theirs.tree.get(path), ours.tree.get(path));
        comparison.differences.push(judge.difference(path, pair, &mut then, &mut now));
    }
    let attributes = |image: &ReadImage, path: &TreePath| image.attributes.get(path).cloned();
    let owned: BTreeSet<&TreePath> = theirs.attributes.keys().chain(ours.attributes.keys()).collect();
    for path in owned {
        let pair = (attributes(&theirs, path), attributes(&ours, path));
        if pair.0 != pair.1 && !differing.contains(path) {
            let how =
                format!("owner and mode were {} and are {}", told(pair.0.as_ref()), told(pair.1.as_ref()));
            comparison.differences.push(EntryDifference {
                path: path.to_string(),
                how,
                component: judge.owner(path).map(ToString::to_string),
                excused: None,
            });
        }
    }
    if comparison.differences.is_empty() || is_started_otherwise(&theirs, &ours) {
        comparison.differences.push(EntryDifference {
            path: String::new(),
            how: format!(
                "the config of the image is another: {}",
                how_differ(&pretty(&theirs), &pretty(&ours))
            ),
            component: None,
            excused: None,
        });
    }
    comparison.judged_by(&judge);
    Ok(())
}

/// Holds an image for several platforms against what was published: by its files, else by the manifests that it is over.
///
/// # Errors
/// If a file cannot be read, or is no image.
pub fn compare_index(
    expected: &IndexRecord,
    published: Option<&Path>,
    rebuilt: &RebuiltIndex,
) -> Result<Comparison, RebuildError> {
    let record = &rebuilt.record;
    let main = |record: &IndexRecord| record.outputs.first().map(|output| output.digest);
    let of_file = published.filter(|path| !path.is_dir()).map(digest_of).transpose()?;
    let mut comparison = Comparison {
        level: Level::E0,
        expected: of_file.or(main(expected)),
        found: main(record),
        differences: Vec::new(),
        stabilised: Vec::new(),
        record_keys: differing_keys(expected, record),
        not_compared: Vec::new(),
    };
    let is_same = match (published, of_file) {
        (None, _) => record.outputs == expected.outputs,
        (Some(_), Some(digest)) => record.outputs.iter().any(|output| output.digest == digest),
        (Some(folder), None) => is_layout(folder, &record.outputs)?,
    };
    if is_same {
        return Ok(comparison);
    }
    let platforms = |record: &IndexRecord| -> BTreeMap<Digest, String> {
        record.platforms.iter().map(|one| (one.manifest, one.platform.to_string())).collect()
    };
    let then: BTreeMap<Digest, String> = match published {
        None => platforms(expected),
        Some(path) => match read_image(path, None, &BTreeSet::new())? {
            HeldImages::Several(all) => {
                all.into_iter().map(|(platform, digest)| (digest, platform)).collect()
            }
            HeldImages::One(image) => {
                image.manifest.into_iter().map(|digest| (digest, "one platform".to_owned())).collect()
            }
        },
    };
    let now = platforms(record);
    let difference = |how: String, excused: Option<&str>| EntryDifference {
        path: String::new(),
        how,
        component: None,
        excused: excused.map(str::to_owned),
    };
    if then.keys().eq(now.keys()) {
        comparison.level = Level::E1;
        let how = "the images of all platforms are the same, in another index or archive".to_owned();
        comparison.differences.push(difference(how, Some("the images are the same")));
        return Ok(comparison);
    }
    comparison.level = Level::X;
    for (digest, platform) in then.iter().filter(|(digest, _)| !now.contains_key(*digest)) {
        let how = format!("the image for {platform} was {digest}, which is not in the rebuild");
        comparison.differences.push(difference(how, None));
    }
    for (digest, platform) in now.iter().filter(|(digest, _)| !then.contains_key(*digest)) {
        let how = format!("the image for {platform} is {digest}, which is in the rebuild only");
        comparison.differences.push(difference(how, None));
    }
    let names: Vec<String> = expected.platforms.iter().map(|one| one.artifact.to_string()).collect();
    comparison.not_compared.push(format!(
        "file by file: each platform is a build of its own with a record, to be rebuilt by it: {}",
        names.join(", ")
    ));
    Ok(comparison)
}

/// Where a rebuilt image is.
fn place_of(rebuilt: &Rebuilt) -> PathBuf {
    match rebuilt.record.archive() {
        Some(output) if !output.file_name.starts_with("oci/") => rebuilt.folder.join(&output.file_name),
        _ => rebuilt.folder.join("oci"),
    }
}

/// The image of a file or a layout; of several the one with a manifest.
fn one(path: &Path, manifest: &Digest, contents: &BTreeSet<TreePath>) -> Result<ReadImage, RebuildError> {
    match read_image(path, Some(manifest), contents)? {
        HeldImages::One(image) => Ok(*image),
        HeldImages::Several(all) => {
            let all: Vec<String> =
                all.iter().map(|(platform, digest)| format!("{platform} {digest}")).collect();
            Err(RebuildError::NotUsable {
                what: path.display().to_string(),
                reason: format!(
                    "it holds images for several platforms, none of which has manifest {manifest}: {}",
                    all.join(", ")
                ),
            })
        }
    }
}

/// Whether a layout has every file that the rebuild publishes, with the same bytes.
fn is_published_layout(layout: &Path, rebuilt: &Rebuilt) -> Result<bool, RebuildError> {
    is_layout(layout, &rebuilt.record.outputs)
}

fn is_layout(layout: &Path, outputs: &[kiln_record::Output]) -> Result<bool, RebuildError> {
    for output in outputs {
        let Some(inside) = output.file_name.strip_prefix("oci/") else { return Ok(false) };
        let file = layout.join(inside);
        if !file.is_file() || digest_of(&file)? != output.digest {
            return Ok(false);
        }
    }
    Ok(!outputs.is_empty())
}

/// Whether configs differ in more than what layers they list, and when these were made.
fn is_started_otherwise(theirs: &ReadImage, ours: &ReadImage) -> bool {
    let started = |image: &ReadImage| {
        let config: serde_json::Value = serde_json::from_slice(&image.config).unwrap_or_default();
        config.get("config").cloned()
    };
    started(theirs) != started(ours)
}

/// A config with a line for each value, so that the first that differs can be told.
fn pretty(image: &ReadImage) -> Vec<u8> {
    let config: Option<serde_json::Value> = serde_json::from_slice(&image.config).ok();
    config.and_then(|config| serde_json::to_vec_pretty(&config).ok()).unwrap_or_else(|| image.config.clone())
}

fn told(attributes: Option<&Attributes>) -> String {
    match attributes {
        Some(one) => {
            let xattrs: String = one.xattrs.keys().map(|name| format!(" {name}")).collect();
            format!("{}:{} {:04o}{xattrs}", one.user, one.group, one.mode)
        }
        None => "the usual ones".to_owned(),
    }
}
