//! `kiln pull`: what was pushed, back as files; and the record of what a registry has.

use crate::PublishError;
use crate::continued::departures;
use crate::document::documents;
use crate::named_build::NamedBuild;
use crate::published_index::index_bytes;
use crate::pull_image::{Form, pull_image_files, pull_index_files};
use crate::release::is_signature;
use crate::repository::{
    CYCLONEDX, DSSE, Found, IN_TOTO, INDEX_RECORD, LEDGER_HEAD, RECORD, Repository, SIGNED_NOTE, connect,
    in_registry, keep, without_login,
};
use crate::space::ask_for_space;
use fs_err as fs;
use kiln_image::{
    CONFIG_MEDIA_TYPE, Descriptor, INDEX_MEDIA_TYPE, IndexEntry, MANIFEST_MEDIA_TYPE, Reference, TITLE,
    read_image_index,
};
use kiln_invocation::{Environment, Event, Events};
use kiln_record::{Digest, IndexRecord, Platform, Record};
use kiln_store::{Heads, read_regular};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The largest document that is read, in bytes.
const LARGEST_DOCUMENT: u64 = 64 << 20;
/// The most that the documents of one manifest may have together, in bytes: they are held in memory.
const LARGEST_DOCUMENTS: u64 = 256 << 20;
/// The most manifests that an index may lead to.
const MOST_PLATFORMS: usize = 64;

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
    /// The records of each manifest that has several which differ: nothing says which of them is true.
    pub contested: Vec<Contested>,
    /// Where the ledger of this workspace, which has builds of it, is not what any statement there says that it was.
    pub departures: Vec<String>,
}

/// Different records of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// `registry/repository@digest`.
    pub reference: String,
    /// Each record as it can be told from the others.
    pub records: Vec<String>,
}

/// What to pull, and where to.
#[derive(Clone, Debug)]
pub struct PullRequest {
    /// `registry/repository:tag` or `registry/repository@digest`.
    pub reference: String,
    /// The platform of an index; all of it if absent.
    pub platform: Option<Platform>,
    /// The folder to write to.
    pub into: PathBuf,
    /// Whether to connect without TLS to a registry on another machine.
    pub plain_http: bool,
}

/// What a reference means in a registry.
#[derive(Debug)]
pub enum InRegistry {
    /// A build, by the record that refers to it.
    Build(Box<NamedBuild>),
    /// An index over manifests of several platforms.
    Index(RegistryIndex),
}

/// An index of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryIndex {
    /// `registry/repository@digest`.
    pub reference: String,
    /// The platforms in its order, such as `linux/arm64`, with the digests of their manifests.
    pub platforms: Vec<(String, Digest)>,
}

/// What a reference names.
enum Named {
    Manifest(Found),
    Index(Digest, Vec<u8>, Vec<IndexEntry>),
}

/// A document that refers to a manifest.
struct Attached {
    manifest: Digest,
    file_name: String,
    artifact_type: String,
    bytes: Vec<u8>,
}

/// Brings an artifact and the documents that refer to it into a folder. Each blob must have the digest that its manifest
/// names; nothing gets its name before that was checked. An image comes in the form that its record says, without one as an OCI layout
/// in one tar; an index with all its platforms, and the documents of each in a folder of its own.
///
/// # Errors
/// If the registry does not have it, if it is nothing that kiln can write down, or if a file is there already and differs.
pub async fn pull(
    environment: &Environment,
    request: &PullRequest,
    events: &Events,
) -> Result<Pulled, PublishError> {
    let PullRequest { reference, platform, into, plain_http } = request;
    let (repository, named) = find(environment, reference, *platform, *plain_http).await?;
    fs::create_dir_all(into)?;
    match named {
        Named::Manifest(found) => {
            let (documents, stated) = documents_and_heads(&repository, &found.digest).await?;
            let pulled = pull_one(&repository, found, &documents, (into, reference), events).await?;
            Ok(Pulled { departures: departures(environment, &stated), ..pulled })
        }
        Named::Index(digest, bytes, entries) => {
            let foreign = entries.iter().find(|entry| entry.descriptor.media_type != MANIFEST_MEDIA_TYPE);
            if let Some(foreign) = foreign {
                let kind = &foreign.descriptor.media_type;
                return Err(PublishError::NotUsable {
                    what: reference.clone(),
                    reason: format!("it leads to `{kind}`, which is no OCI manifest of an image"),
                });
            }
            if entries.len() > MOST_PLATFORMS {
                let reason = format!("it leads to {} manifests: {MOST_PLATFORMS} are allowed", entries.len());
                return Err(PublishError::NotUsable { what: reference.clone(), reason });
            }
            let mut manifests = Vec::new();
            for entry in &entries {
                manifests.push(repository.manifest(entry).await?);
            }
            let of_index = attached(&repository, &digest).await?;
            let of_records = index_records(&digest, &of_index);
            // What it is called where it was built is in the archive's bytes, and only its record knows.
            let of_repository = repository.name().rsplit('/').next().unwrap_or("image").to_owned();
            let (name, form) = match of_records.values().next() {
                Some(record) if of_records.len() == 1 => {
                    (record.artifact.to_string(), Form::of(&record.outputs))
                }
                _ => (of_repository, Form::default()),
            };
            let files =
                pull_index_files(&repository, (&name, form), &bytes, &manifests, into, events).await?;
            let mut pulled = Pulled {
                reference: repository.at(&digest),
                artifact_type: INDEX_MEDIA_TYPE.to_owned(),
                files,
                foreign: Vec::new(),
                contested: Vec::new(),
                departures: Vec::new(),
            };
            write_documents(&of_index, &described_by_index(&of_index, &of_records), into, &mut pulled)?;
            for (entry, found) in entries.iter().zip(&manifests) {
                let folder = into.join(folder_name(entry));
                fs::create_dir_all(&folder)?;
                let (documents, stated) = documents_and_heads(&repository, &found.digest).await?;
                let records = records(found, &documents);
                pulled.departures.extend(departures(environment, &stated));
                pulled.contested.extend(contested(&repository, found, &records));
                write_documents(&documents, &described(&records)?, &folder, &mut pulled)?;
            }
            Ok(pulled)
        }
    }
}

/// Brings what one manifest leads to: an archive that kiln pushed, or an image.
async fn pull_one(
    repository: &Repository,
    found: Found,
    documents: &[Attached],
    (into, text): (&Path, &str),
    events: &Events,
) -> Result<Pulled, PublishError> {
    let error = |reason: String| PublishError::NotUsable { what: text.to_owned(), reason };
    let artifact_type = found.manifest.artifact_type.clone();
    let records = records(&found, documents);
    let mut files = Vec::new();
    if artifact_type == CONFIG_MEDIA_TYPE {
        // What it is called where it was built is in its index's annotation, and so in the archive's bytes.
        let named: BTreeMap<&str, Form> =
            records.values().map(|record| (record.artifact.as_str(), Form::of(&record.outputs))).collect();
        let of_repository = repository.name().rsplit('/').next().unwrap_or("image");
        let named = match named.first_key_value() {
            Some((name, form)) if named.len() == 1 => (*name, *form),
            _ => (of_repository, Form::default()),
        };
        files.extend(pull_image_files(repository, named, &found, into, events).await?);
    } else if artifact_type.starts_with("application/vnd.kiln.") {
        ask_for_space(&found.manifest.layers, 1, into, text)?;
        for layer in &found.manifest.layers {
            let name = file_name(layer)
                .ok_or_else(|| error("it has a blob without a usable file name".to_owned()))?;
            events.send(Event::DownloadStarted { file: name.clone(), size: Some(layer.size) });
            let mut temporary = tempfile::NamedTempFile::new_in(into)?;
            let file = temporary.as_file_mut();
            let outcome =
                repository.registry.pull_blob(repository.name(), &layer.digest, layer.size, file).await;
            events.send(Event::DownloadEnded { file: name.clone() });
            outcome?;
            files.push((keep(temporary, &into.join(&name), &layer.digest)?, layer.digest));
        }
    } else {
        return Err(error(format!(
            "it is `{artifact_type}`: neither an OCI image nor an archive that kiln pushed"
        )));
    }
    let mut pulled = Pulled {
        reference: repository.at(&found.digest),
        artifact_type,
        files,
        foreign: Vec::new(),
        contested: contested(repository, &found, &records).into_iter().collect(),
        departures: Vec::new(),
    };
    write_documents(documents, &described(&records)?, into, &mut pulled)?;
    Ok(pulled)
}

/// Writes documents beside what they refer to, and notes those that follow from no record. Those have no name that one which does
/// would have, and none of them is what is read as the record.
fn write_documents(
    documents: &[Attached],
    described: &BTreeMap<Digest, String>,
    into: &Path,
    pulled: &mut Pulled,
) -> Result<(), PublishError> {
    let is_described = |document: &&Attached| {
        let is_signature = [DSSE, SIGNED_NOTE].contains(&document.artifact_type.as_str())
            || is_signature(&document.file_name);
        // No record describes a signature: whose it is, is told by the key.
        is_signature || described.contains_key(&Digest::of(&document.bytes))
    };
    let (own, foreign): (Vec<_>, Vec<_>) = documents.iter().partition(is_described);
    let all = own.into_iter().map(|document| (document, true));
    for (document, is_described) in all.chain(foreign.into_iter().map(|document| (document, false))) {
        let digest = Digest::of(&document.bytes);
        let mut path = into.join(&document.file_name);
        // Two builds may have given the same bytes, with documents of their own.
        let is_taken = path.is_file() && Digest::of(&read_regular(&path)?) != digest;
        if is_taken || !is_described && document.file_name == "record.json" {
            path = into.join(format!("{}-{}", &document.manifest.hex()[..12], document.file_name));
        }
        let mut temporary = tempfile::NamedTempFile::new_in(into)?;
        std::io::Write::write_all(&mut temporary, &document.bytes)?;
        let path = keep(temporary, &path, &digest)?;
        if !is_described {
            pulled.foreign.push(path.clone());
        }
        pulled.files.push((path, digest));
    }
    Ok(())
}

/// The build of what a registry has: the record that refers to it.
///
/// # Errors
/// If the registry does not have it, nothing that refers to it is its record, or it is an index and no platform is named.
/// [`PublishError::SeveralRecords`] if different records describe it: whoever may push may attach one.
pub async fn pull_record(
    environment: &Environment,
    reference: &str,
    platform: Option<Platform>,
    plain_http: bool,
) -> Result<NamedBuild, PublishError> {
    match look_up(environment, reference, platform, plain_http).await? {
        InRegistry::Build(build) => Ok(*build),
        InRegistry::Index(index) => Err(PublishError::NotUsable {
            what: reference.to_owned(),
            reason: format!(
                "it is an index over several platforms; name the manifest of one by its digest: {}",
                index
                    .platforms
                    .iter()
                    .map(|(platform, digest)| format!("{platform} {digest}"))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }),
    }
}

/// What a registry has under a reference: a build, by the record that refers to it, or an index, if no platform of it is
/// named.
///
/// # Errors
/// As [`pull_record`].
pub async fn look_up(
    environment: &Environment,
    reference: &str,
    platform: Option<Platform>,
    plain_http: bool,
) -> Result<InRegistry, PublishError> {
    let (repository, named) = find(environment, reference, platform, plain_http).await?;
    let found = match named {
        Named::Manifest(found) => found,
        Named::Index(digest, _, entries) => {
            let platforms = entries.into_iter().map(|entry| (entry.platform, entry.descriptor.digest));
            return Ok(InRegistry::Index(RegistryIndex {
                reference: repository.at(&digest),
                platforms: platforms.collect(),
            }));
        }
    };
    let attached = attached(&repository, &found.digest).await?;
    let mut records = records(&found, &attached);
    if let Some(Contested { reference, records }) = contested(&repository, &found, &records) {
        return Err(PublishError::SeveralRecords { reference, records });
    }
    let Some((_, record)) = records.pop_first() else {
        return Err(PublishError::NotUsable {
            what: reference.to_owned(),
            reason: "no record refers to it: it was not pushed by kiln, or without its documents".to_owned(),
        });
    };
    let label = repository.at(&found.digest);
    Ok(InRegistry::Build(Box::new(NamedBuild::recorded(record, label))))
}

/// What differing records of one manifest are to be told by. `None` if there are not several.
fn contested(
    repository: &Repository,
    found: &Found,
    records: &BTreeMap<Digest, Record>,
) -> Option<Contested> {
    let tell = |(digest, record): (&Digest, &Record)| {
        format!("{digest} (artifact {}, plan {}, epoch {})", record.artifact, record.plan, record.epoch)
    };
    (records.len() > 1).then(|| Contested {
        reference: repository.at(&found.digest),
        records: records.iter().map(tell).collect(),
    })
}

/// Whether a text can only mean something in a registry.
#[must_use]
pub fn is_registry_reference(text: &str) -> bool {
    !Path::new(text).exists()
        && text.contains('/')
        && text.parse::<Reference>().is_ok_and(|found| found.tag().is_some() || found.digest().is_some())
}

async fn find(
    environment: &Environment,
    text: &str,
    platform: Option<Platform>,
    plain_http: bool,
) -> Result<(Repository, Named), PublishError> {
    let error = |reason: String| PublishError::Repository { text: without_login(text), reason };
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
        .ok_or_else(|| PublishError::NotInRegistry { text: without_login(text) })?;
    let repository = Repository { registry, reference };
    let digest = Digest::of(&bytes);
    let index = read_image_index(&bytes).map_err(in_registry(text))?;
    let named = match (index, platform) {
        (Some(entries), None) => Named::Index(digest, bytes, entries),
        (Some(entries), Some(platform)) => {
            let fitting: Vec<&IndexEntry> = entries.iter().filter(|entry| entry.is_for(platform)).collect();
            match fitting.as_slice() {
                [one] => Named::Manifest(repository.manifest(one).await?),
                [] => {
                    let all: Vec<&str> = entries.iter().map(|entry| entry.platform.as_str()).collect();
                    let all = all.join(", ");
                    return Err(error(format!("it is an index without {platform}; it has: {all}")));
                }
                _ => {
                    let reason = format!("it has several manifests for {platform}: name one by its digest");
                    return Err(error(reason));
                }
            }
        }
        (None, Some(_)) => {
            let reason = "it is a single manifest and no index: leave --platform out".to_owned();
            return Err(error(reason));
        }
        (None, None) => Named::Manifest(Found::read(digest, bytes, text)?),
    };
    Ok((repository, named))
}

/// The folder for the documents of one platform.
fn folder_name(entry: &IndexEntry) -> String {
    let name: String =
        entry.platform.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if name.is_empty() { entry.descriptor.digest.hex()[..12].to_owned() } else { name }
}

/// The documents of the kinds that kiln attaches to a manifest or index, sorted by the digests of their manifests.
async fn attached(place: &Repository, to: &Digest) -> Result<Vec<Attached>, PublishError> {
    let repository = place.name();
    let mut listed = place.registry.referrers(repository, to).await?;
    listed.sort();
    listed.dedup();
    let (mut all, mut total) = (Vec::new(), 0_u64);
    let is_document = |kind: &str| {
        [RECORD, CYCLONEDX, IN_TOTO, INDEX_RECORD, LEDGER_HEAD, DSSE, SIGNED_NOTE].contains(&kind)
    };
    for (digest, kind) in listed {
        // What others attach is not asked for. A list may leave the kind out.
        if kind.is_some_and(|kind| !is_document(&kind)) {
            continue;
        }
        let Some(bytes) = place.registry.manifest(repository, &digest.to_string()).await? else { continue };
        let Found { manifest, .. } = Found::read(digest, bytes, &place.at(&digest))?;
        let is_ours = is_document(&manifest.artifact_type);
        let subject = manifest.subject.as_ref().map(|subject| subject.digest);
        let (true, [layer], true) = (is_ours, manifest.layers.as_slice(), subject == Some(*to)) else {
            continue;
        };
        let Some(file_name) = file_name(layer) else { continue };
        let too_large = |url: String, limit: u64| kiln_fetch::FetchError::TooLarge { url, limit };
        if layer.size > LARGEST_DOCUMENT {
            return Err(too_large(format!("{file_name} of {}", place.at(to)), LARGEST_DOCUMENT).into());
        }
        total += layer.size;
        if total > LARGEST_DOCUMENTS {
            return Err(too_large(format!("all that refers to {}", place.at(to)), LARGEST_DOCUMENTS).into());
        }
        let mut bytes = Vec::new();
        place.registry.pull_blob(repository, &layer.digest, layer.size, &mut bytes).await?;
        all.push(Attached { manifest: digest, file_name, artifact_type: manifest.artifact_type, bytes });
    }
    Ok(all)
}

/// The same, and apart from them what is stated of ledgers. What cannot be understood states nothing.
async fn documents_and_heads(
    place: &Repository,
    to: &Digest,
) -> Result<(Vec<Attached>, Vec<Heads>), PublishError> {
    let all = attached(place, to).await?;
    let (heads, documents): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|document| document.artifact_type == LEDGER_HEAD);
    let read = |document: Attached| Heads::from_json(&document.bytes, Path::new(&document.file_name)).ok();
    Ok((documents, heads.into_iter().filter_map(read).collect()))
}

/// Everything that is stated of ledgers beside what a reference names, and beside the manifests of an index.
pub(crate) async fn stated_in_registry(
    environment: &Environment,
    reference: &str,
    plain_http: bool,
) -> Result<Vec<Heads>, PublishError> {
    let (repository, named) = find(environment, reference, None, plain_http).await?;
    let manifests = match named {
        Named::Manifest(found) => vec![found.digest],
        Named::Index(_, _, entries) => {
            entries.iter().take(MOST_PLATFORMS).map(|entry| entry.descriptor.digest).collect()
        }
    };
    let mut stated = Vec::new();
    for digest in manifests {
        stated.extend(documents_and_heads(&repository, &digest).await?.1);
    }
    Ok(stated)
}

/// The records among the documents that describe what they refer to, by the digests of their bytes: one that was attached
/// twice is one.
fn records(found: &Found, attached: &[Attached]) -> BTreeMap<Digest, Record> {
    let describes = |record: &Record| {
        record.outputs.iter().any(|output| {
            record.image.as_ref().is_some_and(|image| image.manifest == found.digest)
                || found.manifest.layers.iter().any(|layer| layer.digest == output.digest)
        })
    };
    attached
        .iter()
        .filter(|document| document.artifact_type == RECORD)
        .filter_map(|document| {
            let record = Record::from_json(&document.bytes).ok()?;
            Some((Digest::of(&document.bytes), record))
        })
        .filter(|(_, record)| describes(record))
        .collect()
}

/// The documents that follow from the records, by digest.
fn described(records: &BTreeMap<Digest, Record>) -> Result<BTreeMap<Digest, String>, PublishError> {
    let mut all = BTreeMap::new();
    for record in records.values() {
        all.extend(documents(record)?.into_iter().map(|(name, bytes)| (Digest::of(&bytes), name)));
    }
    Ok(all)
}

/// The records among the documents of an index from which it follows, by the digests of their bytes.
fn index_records(index: &Digest, attached: &[Attached]) -> BTreeMap<Digest, IndexRecord> {
    let records = attached.iter().filter(|document| document.artifact_type == INDEX_RECORD);
    let read = records.filter_map(|document| {
        let record = IndexRecord::from_json(&document.bytes).ok()?;
        let follows =
            record.index == *index && index_bytes(&record).is_ok_and(|bytes| Digest::of(&bytes) == *index);
        follows.then(|| (Digest::of(&document.bytes), record))
    });
    read.collect()
}

/// The documents of an index that are its records.
fn described_by_index(
    attached: &[Attached],
    records: &BTreeMap<Digest, IndexRecord>,
) -> BTreeMap<Digest, String> {
    let all = attached.iter().map(|document| (Digest::of(&document.bytes), document.file_name.clone()));
    all.filter(|(digest, _)| records.contains_key(digest)).collect()
}

/// The name that a blob says it has, if it is one that can be written into a folder.
fn file_name(layer: &Descriptor) -> Option<String> {
    let name = layer.annotations.get(TITLE)?;
    let is_plain = !name.starts_with('.')
        && name.len() <= 200
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-+".contains(c));
    is_plain.then(|| name.clone())
}
