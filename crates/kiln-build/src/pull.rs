//! `kiln pull`: what was pushed, back as files; and the record of what a registry has.

use crate::document::documents;
use crate::push::{CYCLONEDX, IN_TOTO, RECORD, connect, without_login};
use crate::{BuildError, Environment, Event, Events, NamedBuild};
use fs_err as fs;
use kiln_fetch::Registry;
use kiln_image::{ArtifactManifest, Descriptor, Reference, TITLE};
use kiln_record::{Digest, Record};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The largest document that is read, in bytes.
const LARGEST_DOCUMENT: u64 = 256 << 20;

/// What came of pulling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// `registry/repository@digest`.
    pub reference: String,
    /// The media type that says what it is.
    pub artifact_type: String,
    /// The files that were written, in order, with their digests.
    pub files: Vec<(PathBuf, Digest)>,
    /// Documents that are not what the record describes: others may have attached them.
    pub foreign: Vec<PathBuf>,
}

/// A manifest of a registry that was read by its digest.
struct Found {
    registry: Registry,
    reference: Reference,
    digest: Digest,
    manifest: ArtifactManifest,
}

/// A document that refers to a manifest.
struct Attached {
    manifest: Digest,
    file_name: String,
    artifact_type: String,
    bytes: Vec<u8>,
}

/// Brings an artifact and the documents that refer to it into a folder. Each blob must have the digest that its manifest
/// names; nothing gets its name before that was checked.
///
/// # Errors
/// If the registry does not have it, if it is no artifact of kiln, or if a file is there already and differs.
pub async fn pull(
    environment: &Environment,
    reference: &str,
    into: &Path,
    plain_http: bool,
    events: &Events,
) -> Result<Pulled, BuildError> {
    let found = find(environment, reference, plain_http).await?;
    let error = |reason: String| BuildError::NotUsable { what: reference.to_owned(), reason };
    if !found.manifest.artifact_type.starts_with("application/vnd.kiln.") {
        return Err(error(format!(
            "it is `{}`, not an archive that kiln pushed; an image is pulled by a container engine",
            found.manifest.artifact_type
        )));
    }
    fs::create_dir_all(into)?;
    let repository = found.reference.repository();
    let mut files = Vec::new();
    for layer in &found.manifest.layers {
        let name =
            file_name(layer).ok_or_else(|| error("it has a blob without a usable file name".to_owned()))?;
        events.send(Event::DownloadStarted { file: name.clone(), size: Some(layer.size) });
        let mut temporary = tempfile::NamedTempFile::new_in(into)?;
        let outcome =
            found.registry.pull_blob(repository, &layer.digest, layer.size, temporary.as_file_mut()).await;
        events.send(Event::DownloadEnded { file: name.clone() });
        outcome?;
        files.push((keep(temporary, &into.join(&name), &layer.digest)?, layer.digest));
    }

    let attached = attached(&found).await?;
    let described = described(&found, &attached)?;
    let mut foreign = Vec::new();
    for document in attached {
        let digest = Digest::of(&document.bytes);
        let mut path = into.join(&document.file_name);
        // Two builds may have given the same bytes, with documents of their own.
        if path.is_file() && Digest::of(&fs::read(&path)?) != digest {
            path = into.join(format!("{}-{}", &document.manifest.hex()[..12], document.file_name));
        }
        let mut temporary = tempfile::NamedTempFile::new_in(into)?;
        std::io::Write::write_all(&mut temporary, &document.bytes)?;
        let path = keep(temporary, &path, &digest)?;
        if !described.contains_key(&digest) {
            foreign.push(path.clone());
        }
        files.push((path, digest));
    }
    Ok(Pulled {
        reference: format!("{}/{repository}@{}", found.reference.registry(), found.digest),
        artifact_type: found.manifest.artifact_type,
        files,
        foreign,
    })
}

/// The build of what a registry has: the record that refers to it. Of several, that of the latest epoch.
///
/// # Errors
/// If the registry does not have it, or nothing that refers to it is its record.
pub async fn pull_record(
    environment: &Environment,
    reference: &str,
    plain_http: bool,
) -> Result<NamedBuild, BuildError> {
    let found = find(environment, reference, plain_http).await?;
    let attached = attached(&found).await?;
    let newest = records(&found, &attached).max_by_key(|record| (record.epoch, record.plan));
    let Some(record) = newest else {
        return Err(BuildError::NotUsable {
            what: reference.to_owned(),
            reason: "no record refers to it: it was not pushed by kiln, or without its documents".to_owned(),
        });
    };
    let label = format!("{}/{}@{}", found.reference.registry(), found.reference.repository(), found.digest);
    Ok(NamedBuild { record, number: None, label, run: None })
}

/// Whether a text can only mean something in a registry.
#[must_use]
pub fn is_registry_reference(text: &str) -> bool {
    !Path::new(text).exists()
        && text.contains('/')
        && text.parse::<Reference>().is_ok_and(|found| found.tag().is_some() || found.digest().is_some())
}

async fn find(environment: &Environment, text: &str, plain_http: bool) -> Result<Found, BuildError> {
    let error = |reason: String| BuildError::Repository { text: without_login(text), reason };
    if without_login(text) != text {
        return Err(error("it holds a login; log in with docker login instead".to_owned()));
    }
    let reference = text.parse::<Reference>().map_err(|reason| error(reason.to_string()))?;
    let named = match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.to_owned(),
        (None, None) => {
            return Err(error("it names neither a tag nor a digest: add :TAG or @sha256:…".to_owned()));
        }
    };
    let registry = connect(environment, &reference, plain_http).await?;
    registry.log_in(reference.repository(), false).await?;
    let bytes = registry
        .manifest(reference.repository(), &named)
        .await?
        .ok_or_else(|| error("the registry has no such tag or digest".to_owned()))?;
    let manifest = ArtifactManifest::from_json(&bytes)?;
    Ok(Found { registry, reference, digest: Digest::of(&bytes), manifest })
}

/// The documents of the kinds that kiln attaches, sorted by the digests of their manifests.
async fn attached(found: &Found) -> Result<Vec<Attached>, BuildError> {
    let repository = found.reference.repository();
    let mut listed = found.registry.referrers(repository, &found.digest).await?;
    listed.sort();
    let mut all = Vec::new();
    for (digest, _) in listed {
        let Some(bytes) = found.registry.manifest(repository, &digest.to_string()).await? else { continue };
        let manifest = ArtifactManifest::from_json(&bytes)?;
        let is_ours = [RECORD, CYCLONEDX, IN_TOTO].contains(&manifest.artifact_type.as_str());
        let subject = manifest.subject.as_ref().map(|subject| subject.digest);
        let (true, [layer], true) = (is_ours, manifest.layers.as_slice(), subject == Some(found.digest))
        else {
            continue;
        };
        let Some(file_name) = file_name(layer) else { continue };
        if layer.size > LARGEST_DOCUMENT {
            return Err(kiln_fetch::FetchError::TooLarge { url: file_name, limit: LARGEST_DOCUMENT }.into());
        }
        let mut bytes = Vec::new();
        found.registry.pull_blob(repository, &layer.digest, layer.size, &mut bytes).await?;
        all.push(Attached { manifest: digest, file_name, artifact_type: manifest.artifact_type, bytes });
    }
    Ok(all)
}

/// The records among the documents that describe what they refer to.
fn records<'a>(found: &'a Found, attached: &'a [Attached]) -> impl Iterator<Item = Record> + 'a {
    attached
        .iter()
        .filter(|document| document.artifact_type == RECORD)
        .filter_map(|document| Record::from_json(&document.bytes).ok())
        .filter(|record| {
            record.outputs.iter().any(|output| {
                record.image.as_ref().is_some_and(|image| image.manifest == found.digest)
                    || found.manifest.layers.iter().any(|layer| layer.digest == output.digest)
            })
        })
}

/// The documents that follow from the records, by digest.
fn described(found: &Found, attached: &[Attached]) -> Result<BTreeMap<Digest, String>, BuildError> {
    let mut all = BTreeMap::new();
    for record in records(found, attached) {
        all.extend(documents(&record)?.into_iter().map(|(name, bytes)| (Digest::of(&bytes), name)));
    }
    Ok(all)
}

/// The name that a blob says it has, if it is one that can be written into a folder.
fn file_name(layer: &Descriptor) -> Option<String> {
    let name = layer.annotations.get(TITLE)?;
    let is_plain = !name.starts_with('.')
        && name.len() <= 200
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c));
    is_plain.then(|| name.clone())
}

/// Gives a checked file its name. What is there stays, if it is the same.
fn keep(temporary: tempfile::NamedTempFile, path: &Path, digest: &Digest) -> Result<PathBuf, BuildError> {
    use std::os::unix::fs::PermissionsExt as _;
    if path.is_file() {
        if crate::reference::digest_of(path)?.0 == *digest {
            return Ok(path.to_owned());
        }
        return Err(BuildError::NotUsable {
            what: path.display().to_string(),
            reason: "there is another file of this name; name an empty folder with --into".to_owned(),
        });
    }
    temporary.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    temporary.as_file().sync_all()?;
    temporary.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(path.to_owned())
}
