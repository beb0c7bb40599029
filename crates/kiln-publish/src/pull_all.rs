//! `kiln pull --all`: what a registry has of a whole workspace under one tag.

use crate::PublishError;
use crate::deployment::write_pulled_index;
use crate::operand::records_below;
use crate::pull::{InRegistry, PullRequest, Pulled, look_up, pull};
use crate::release::RELEASE;
use fs_err as fs;
use kiln_attest::{Envelope, Release, Statement};
use kiln_invocation::{Environment, Events};
use kiln_record::{Architecture, ArtifactName, Digest, IndexRecord, Platform, Record};
use kiln_store::read_regular;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What to bring.
#[derive(Clone, Debug)]
pub struct PullAllRequest {
    /// `registry/path`: an artifact is at `registry/path/ARTIFACT`.
    pub from: String,
    /// The tag of all of them.
    pub tag: String,
    /// The names to begin with: those of the workspace.
    pub artifacts: BTreeSet<ArtifactName>,
    /// The folder that each artifact gets a folder in.
    pub into: PathBuf,
    /// Whether to connect without TLS to a registry on another machine.
    pub plain_http: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PulledAll {
    /// What was brought, by the name of its folder.
    pub pulled: BTreeMap<ArtifactName, Pulled>,
    /// What the registry has nothing of under that tag.
    pub missing: Vec<ArtifactName>,
    /// What the workspace does not have, and release statements that were brought name.
    pub not_here: BTreeSet<ArtifactName>,
    /// What is not in the index over them, with the reason: what only a statement names and cannot be brought, and what has the record
    /// of another artifact.
    pub left_out: BTreeMap<ArtifactName, String>,
    /// What lies in the folder, and was not brought: artifacts, and records of those that were, of another tag or an earlier time. Relative to the
    /// folder.
    pub left: BTreeSet<PathBuf>,
}

/// The most names that statements may add.
const MOST_NAMED: usize = 10_000;

/// Brings all artifacts under a tag, each into a folder of its own as under `dist`, with an index over them, which names none where
/// there were none. Artifacts that the workspace has no more are found by the release statements beside those that it has; whoever
/// signed those, they only say where to look, and what cannot be had of such a name is told and is no error. Each platform of an image for several has a folder of its own.
///
/// # Errors
/// As [`pull`]; that the registry has nothing of an artifact is none.
pub async fn pull_all(
    environment: &Environment,
    request: &PullAllRequest,
    events: &Events,
) -> Result<PulledAll, PublishError> {
    let PullAllRequest { from, tag, artifacts, into, plain_http } = request;
    fs::create_dir_all(into)?;
    let (mut waiting, mut done) = (artifacts.clone(), BTreeSet::new());
    let mut all = PulledAll::default();
    // An index is before its platforms: `web`, `web.amd64`.
    while let Some(name) = waiting.pop_first() {
        if !done.insert(name.clone()) {
            continue;
        }
        let reference = format!("{from}/{name}:{tag}");
        let is_own = artifacts.contains(&name);
        let parts = match look_up(environment, &reference, None, *plain_http).await {
            Ok(InRegistry::Index(index)) => platforms(&name, &index.platforms),
            Err(PublishError::NotInRegistry { .. }) => {
                all.missing.push(name);
                continue;
            }
            // What is wrong with its records is told, and does not keep the rest of it from anybody.
            Ok(InRegistry::Build(_)) | Err(PublishError::SeveralRecords { .. }) => vec![(name, None)],
            Err(error) if !is_own => {
                all.left_out.insert(name, error.to_string());
                continue;
            }
            Err(error) => return Err(error),
        };
        for (name, platform) in parts {
            let folder = into.join(name.as_str());
            let request = PullRequest {
                reference: reference.clone(),
                platform,
                into: folder.clone(),
                plain_http: *plain_http,
            };
            let pulled = match pull(environment, &request, events).await {
                Ok(pulled) => pulled,
                Err(error) if !is_own => {
                    all.left_out.insert(name, error.to_string());
                    continue;
                }
                Err(error) => return Err(error),
            };
            if is_own {
                let released = released(&folder.join(RELEASE)).into_iter();
                let room = (artifacts.len() + MOST_NAMED).saturating_sub(waiting.len() + done.len());
                waiting.extend(released.filter(|name| !done.contains(name)).take(room));
            }
            done.insert(name.clone());
            all.pulled.insert(name, pulled);
        }
    }
    // Platforms that are nothing of their own are no artifacts that are missing.
    let of_workspace = |name: &ArtifactName| artifacts.iter().any(|known| is_of(known, name));
    all.not_here = all.pulled.keys().filter(|name| !of_workspace(name)).cloned().collect();
    let left = records_below(into).into_iter().filter_map(|name| match all.pulled.get(&name) {
        None => Some(PathBuf::from(name.as_str())),
        // The record of another build of the same bytes stays, and the one that was brought lies beside it.
        Some(pulled) => {
            let record = Path::new(name.as_str()).join("record.json");
            let was_brought = pulled.files.iter().any(|(file, _)| *file == into.join(&record));
            (!was_brought).then_some(record)
        }
    });
    all.left = left.collect();
    let (records, of_others) = own_records(into, all.pulled.keys())?;
    all.left_out.extend(of_others);
    write_pulled_index(into, records.into_iter())?;
    Ok(all)
}

/// Records of artifacts, and why others are left out, by the artifact in whose folder they were.
type OwnRecords = (Vec<(Record, Digest)>, BTreeMap<ArtifactName, String>);

/// The records of artifacts in their folders. One that is of another artifact is set aside, with the reason: whoever reads the folder
/// would take it for that of this one.
fn own_records<'a>(
    into: &Path,
    names: impl Iterator<Item = &'a ArtifactName>,
) -> Result<OwnRecords, PublishError> {
    let (mut records, mut left_out) = OwnRecords::default();
    for name in names {
        let path = into.join(name.as_str()).join("record.json");
        let Some((record, digest)) = record_at(&path) else { continue };
        match record.artifact == *name {
            true => records.push((record, digest)),
            false => {
                let aside = path.with_file_name(format!("{}-record.json", &digest.hex()[..12]));
                fs::rename(&path, &aside)?;
                let reason =
                    format!("its record is one of {}, and is {} now", record.artifact, aside.display());
                left_out.insert(name.clone(), reason);
            }
        }
    }
    Ok((records, left_out))
}

fn record_at(path: &Path) -> Option<(Record, Digest)> {
    let bytes = read_regular(path).ok()?;
    Some((Record::from_json(&bytes).ok()?, Digest::of(&bytes)))
}

/// Whether a name is that of an artifact, or of a platform of it.
fn is_of(artifact: &ArtifactName, name: &ArtifactName) -> bool {
    // `web.api` is an artifact of its own.
    let is_platform = |text: &str| text.parse::<Architecture>().is_ok_and(|one| one.oci() == text);
    let rest = name.as_str().strip_prefix(artifact.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('.').is_some_and(is_platform))
}

/// The platforms of an image, by the names that they have where it was built.
fn platforms(name: &ArtifactName, platforms: &[(String, Digest)]) -> Vec<(ArtifactName, Option<Platform>)> {
    let known = platforms.iter().filter_map(|(platform, _)| platform.parse::<Platform>().ok());
    let named = known.filter_map(|platform| {
        let name = format!("{name}.{}", platform.architecture.oci()).parse().ok()?;
        Some((name, Some(platform)))
    });
    named.collect()
}

/// The artifacts that a release statement names, without its signature being looked at: they only say where to look.
fn released(statement: &Path) -> BTreeSet<ArtifactName> {
    let read = || {
        let envelope = Envelope::from_json(read_regular(statement).ok()?.trim_ascii_end()).ok()?;
        let statement = Statement::from_json(envelope.unverified()).ok()?;
        let release = Release::of(&statement).ok()?;
        let indexes = statement.subjects.iter().filter_map(|subject| {
            subject.name.strip_suffix(IndexRecord::FILE)?.strip_suffix('/')?.parse::<ArtifactName>().ok()
        });
        let indexes: BTreeSet<ArtifactName> = indexes.collect();
        let artifacts = release.artifacts.into_keys();
        let artifacts = artifacts.filter(|name| !indexes.iter().any(|index| is_of(index, name)));
        Some(artifacts.chain(indexes.iter().cloned()).collect())
    };
    read().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::listed_record;

    #[test]
    fn the_record_of_another_artifact_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let names: BTreeSet<ArtifactName> = ["api", "web"].map(|name| name.parse().unwrap()).into();
        let of_api = listed_record("api".parse().unwrap(), Vec::new());
        for name in &names {
            fs::create_dir(folder.path().join(name.as_str())).unwrap();
            let path = folder.path().join(name.as_str()).join("record.json");
            fs::write(path, of_api.to_json().unwrap()).unwrap();
        }
        let (records, left_out) = own_records(folder.path(), names.iter()).unwrap();
        let own: Vec<&str> = records.iter().map(|(record, _)| record.artifact.as_str()).collect();
        assert_eq!(own, ["api"]);
        assert!(
            left_out[&"web".parse().unwrap()].starts_with("its record is one of api, and is "),
            "{left_out:?}"
        );
        assert!(!folder.path().join("web/record.json").exists());
    }

    #[test]
    fn a_name_that_goes_on_with_a_dot_is_a_platform_or_an_artifact_of_its_own() {
        let is_of_web = |name: &str| is_of(&"web".parse().unwrap(), &name.parse().unwrap());
        assert!(is_of_web("web") && is_of_web("web.amd64") && is_of_web("web.arm64"));
        assert!(!is_of_web("web.api") && !is_of_web("web.x86_64") && !is_of_web("website"));
    }
}
