//! Verdicts of those who built again: how many of them came to the same bytes.

use crate::PublishError;
use crate::published::digest_of;
use crate::release::files::{VERDICT, signature_file};
use crate::release::signed::{Aspect, verified_line};
use crate::row::State;
use fs_err as fs;
use kiln_attest::{PublicKey, Summary, SummaryResult};
use kiln_image::{Laid, read_laid_out};
use kiln_record::{ArtifactName, Digest, Record, excerpt};
use kiln_store::read_regular;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The folder of an image that is published as a layout.
const LAYOUT: &str = "oci";

/// The most verdicts that are read.
const MAX_VERDICTS: usize = 10_000;

/// How many rebuilders of how many have to come to the same bytes: `2/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threshold {
    needed: usize,
    of: usize,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (needed, of) = text.split_once('/').ok_or("write how many of how many, such as 2/3")?;
        let number = |text: &str| text.parse::<usize>().map_err(|error| error.to_string());
        let (needed, of) = (number(needed)?, number(of)?);
        if needed == 0 || needed > of || of > 1_000 {
            return Err(
                "the first number is at least 1 and at most the second, and that at most 1000".to_owned()
            );
        }
        Ok(Self { needed, of })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.needed, self.of)
    }
}

/// Whose verdicts count, how many are needed, and where they are.
#[derive(Clone, Debug)]
pub struct RebuildersRequest {
    /// How many are needed.
    pub require: Threshold,
    /// The keys of the rebuilders: one rebuilder for each.
    pub keys: Vec<PublicKey>,
    /// Files with verdicts, and folders of them, besides those that lie beside the artifacts.
    pub verdicts: Vec<PathBuf>,
}

/// What each rebuilder says of one artifact.
#[derive(Default)]
struct Votes {
    passed: BTreeSet<String>,
    /// With what they came to.
    failed: BTreeMap<String, String>,
}

/// Counts the rebuilders that came to the bytes that are published.
///
/// # Errors
/// [`PublishError::NotUsable`] if the keys are not as many as stated; if a file cannot be read.
pub fn rebuilt_by(folder: &Path, request: &RebuildersRequest) -> Result<Aspect, PublishError> {
    let distinct: BTreeSet<&PublicKey> = request.keys.iter().collect();
    if distinct.len() != request.require.of {
        return Err(PublishError::NotUsable {
            what: format!("--require {}", request.require),
            reason: format!("there are {} different keys: name one for each rebuilder", distinct.len()),
        });
    }
    let artifacts = archives(folder)?;
    let mut votes: BTreeMap<Digest, Votes> = BTreeMap::new();
    let mut unread = Vec::new();
    for path in verdict_files(folder, artifacts.values().map(|(folder, _)| folder), &request.verdicts)? {
        match verdict(&path, &request.keys) {
            Ok((subjects, keys, summary)) => {
                for digest in subjects {
                    let votes = votes.entry(digest).or_default();
                    for key in &keys {
                        match summary.verification_result {
                            SummaryResult::Passed => {
                                votes.passed.insert(key.clone());
                            }
                            SummaryResult::Failed => {
                                let how = format!("{} at {}", summary.equality, summary.time_verified);
                                votes.failed.insert(key.clone(), excerpt(&how));
                            }
                        }
                    }
                }
            }
            Err(reason) => unread.push(format!("not counted: {}: {reason}", path.display())),
        }
    }
    let (mut wrong, mut lines) = (Vec::new(), Vec::new());
    for (artifact, (folder, digest)) in &artifacts {
        wrong.extend(layout_of_another(artifact, &folder.join(LAYOUT), digest)?);
    }
    for (artifact, (_, digest)) in &artifacts {
        let votes = votes.remove(digest).unwrap_or_default();
        // Whoever says both is not believed to have come to the same bytes.
        let same = votes.passed.iter().filter(|key| !votes.failed.contains_key(*key)).count();
        let against: Vec<String> =
            votes.failed.iter().map(|(key, how)| format!("{artifact}: failed by key {key}: {how}")).collect();
        let counted =
            format!("{artifact}: rebuilt to the same bytes by {same} of {} rebuilders", request.require.of);
        if same < request.require.needed {
            wrong.push(format!("{counted}, and {} are required", request.require.needed));
        } else {
            lines.push(counted);
        }
        lines.extend(against);
    }
    if artifacts.is_empty() {
        wrong.push("there is no artifact here with a record".to_owned());
    }
    let state = if wrong.is_empty() { State::Same } else { State::Differs };
    Ok(Aspect { name: "rebuilds", state, lines: wrong.into_iter().chain(lines).chain(unread).collect() })
}

/// What a file says: about which digests, by which of the keys, and what.
fn verdict(path: &Path, keys: &[PublicKey]) -> Result<(Vec<Digest>, BTreeSet<String>, Summary), String> {
    let bytes = signature_file(path).map_err(|error| error.to_string())?.ok_or("it is gone")?;
    let (statement, keys) = verified_line(&bytes, keys).map_err(|error| error.to_string())?;
    let summary = Summary::of(&statement).map_err(|error| error.to_string())?;
    Ok((statement.subjects.into_iter().map(|one| one.digest).collect(), keys, summary))
}

/// The folder and the digest of the archive of each artifact: of what lies there, not of what a record says. A folder below is called
/// as the artifact is, so that none is judged by the archive of another.
fn archives(folder: &Path) -> Result<BTreeMap<ArtifactName, (PathBuf, Digest)>, PublishError> {
    let mut folders = vec![(folder.to_owned(), None)];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        folders.push((entry.path(), Some(entry.file_name())));
    }
    let mut archives = BTreeMap::new();
    for (folder, name) in folders {
        let Ok(bytes) = read_regular(folder.join("record.json")) else { continue };
        let unusable =
            |reason: String| PublishError::NotUsable { what: folder.display().to_string(), reason };
        let record = Record::from_json(&bytes).map_err(|error| unusable(error.to_string()))?;
        let artifact = record.artifact.clone();
        if name.is_some_and(|name| name != artifact.as_str()) {
            return Err(unusable(format!("its record is that of {artifact}: name one folder by itself")));
        }
        let archive = record.archive().ok_or_else(|| unusable("its record lists no output".to_owned()))?;
        let digest = digest_of(&folder.join(&archive.file_name))?.0;
        if archives.insert(artifact.clone(), (folder.clone(), digest)).is_some() {
            return Err(unusable(format!("another folder has a record of {artifact}, too")));
        }
    }
    Ok(archives)
}

/// Why a layout is not that of the image that a verdict is about, if there is one: that names its manifest, which names the rest, and whoever
/// loads it starts from the index, which nothing names.
fn layout_of_another(
    artifact: &ArtifactName,
    layout: &Path,
    manifest: &Digest,
) -> Result<Vec<String>, PublishError> {
    if !layout.is_dir() {
        return Ok(Vec::new());
    }
    let mut wrong = Vec::new();
    for entry in fs::read_dir(layout.join("blobs/sha256"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if Digest::from_hex(&name).ok() != Some(digest_of(&entry.path())?.0) {
            wrong.push(format!(
                "{artifact}: {LAYOUT}/blobs/sha256/{} is not what its name says",
                excerpt(&name)
            ));
        }
    }
    wrong.sort();
    let mut read = |name: &str| match read_regular(layout.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    };
    match read_laid_out(None, &mut read) {
        Ok(Laid::Image(image)) if image.manifest == Some(*manifest) => {
            let missing = image.layers.iter().filter(|layer| !layout.join(layer).is_file());
            wrong.extend(missing.map(|layer| format!("{artifact}: {LAYOUT}/{layer} is missing")));
        }
        Ok(_) => wrong.push(format!(
            "{artifact}: {LAYOUT}/index.json leads to another image than {manifest}, which the verdicts are about"
        )),
        Err(error) => wrong.push(format!("{artifact}: {LAYOUT}: {}", excerpt(&error.to_string()))),
    }
    Ok(wrong)
}

/// Files with verdicts: those that are named, and those that lie in folders.
fn verdict_files<'a>(
    folder: &'a Path,
    artifacts: impl Iterator<Item = &'a PathBuf>,
    named: &'a [PathBuf],
) -> Result<BTreeSet<PathBuf>, PublishError> {
    let mut files = BTreeSet::new();
    for place in artifacts.map(PathBuf::as_path).chain([folder]).chain(named.iter().map(PathBuf::as_path)) {
        if !place.is_dir() {
            files.insert(place.to_owned());
            continue;
        }
        for entry in fs::read_dir(place)? {
            let path = entry?.path();
            if path.to_str().is_some_and(|name| name.ends_with(VERDICT)) {
                files.insert(path);
            }
        }
        if files.len() > MAX_VERDICTS {
            let reason = format!("there are more than {MAX_VERDICTS} verdicts");
            return Err(PublishError::NotUsable { what: place.display().to_string(), reason });
        }
    }
    Ok(files)
}
