//! `kiln push`: published artifacts to a registry, with the documents that refer to them.

use crate::PublishError;
use crate::archive_manifest::{archive, empty};
use crate::cosign;
use crate::document::{documents, written};
use crate::held::Held;
use crate::published::newest_record;
use crate::published_image::{Blob, Content, manifest_and_blobs};
use crate::published_index::{checked_index, index_bytes};
use crate::reference::ledger_of;
use crate::release::{manifest_payload, signature_of_manifest, signatures};
use crate::repository::{
    CYCLONEDX, DSSE, IN_TOTO, INDEX_RECORD, LEDGER_HEAD, RECORD, SIGNED_NOTE, connect, without_login,
};
use kiln_attest::ImageSignature;
use kiln_fetch::Registry;
use kiln_image::{
    ArtifactManifest, Descriptor, INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, Reference, Referrer, TITLE,
    referrers_tag, with_referrers,
};
use kiln_invocation::{Environment, Event, Events, blocking};
use kiln_record::{ArtifactName, Digest, Epoch, IndexRecord, Platform};
use kiln_store::{Heads, Ledger};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How often the list of referrers under a tag is written again where another wrote it at the same time.
const LIST_ATTEMPTS: usize = 5;

/// What to push, and where to.
#[derive(Clone, Debug)]
pub struct PushRequest {
    /// The artifacts; each has to be published.
    pub artifacts: Vec<ArtifactName>,
    /// Registry and the beginning of the repositories' path: an artifact goes to `<to>/<artifact>`.
    pub to: String,
    /// The tag; if absent, the beginning of the manifest's digest.
    pub tag: Option<String>,
    /// Whether a tag that names something else may be moved.
    pub move_tag: bool,
    /// Whether to connect without TLS to a registry on another machine.
    pub plain_http: bool,
}

/// What came of pushing an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The artifact.
    pub artifact: ArtifactName,
    /// `registry/repository@digest`: what a deployment names.
    pub reference: String,
    /// The tag that names it as well.
    pub tag: String,
    /// Its manifests in the order in which they were sent: one, or that of each platform and then the index.
    pub manifests: Vec<PushedManifest>,
}

/// What came of pushing a manifest or an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its platform, if it is one of an index.
    pub platform: Option<Platform>,
    /// Blobs that were sent, with their bytes in total.
    pub sent: (usize, u64),
    /// Blobs that were there, or taken over from another repository.
    pub there: usize,
    /// The documents that refer to it: file name and digest of the manifest, and whether it is new there.
    pub documents: Vec<(String, Digest, bool)>,
    /// Whether the registry keeps no list of referrers, so that one is kept under a tag.
    pub list_under_tag: bool,
}

/// Everything that is pushed of one artifact.
struct Pushable {
    artifact: ArtifactName,
    repository: Reference,
    /// What is sent in this order, and what the tag names: the artifact's manifest, or the index over those of its platforms.
    platforms: Vec<Part>,
    named: Part,
}

/// A manifest or index with all that it leads to, and all that refers to it.
struct Part {
    platform: Option<Platform>,
    media_type: &'static str,
    manifest: Vec<u8>,
    blobs: Vec<Blob>,
    documents: Vec<Document>,
    /// The signature of this very manifest.
    signature: Option<ImageSignature>,
}

/// A document with the manifest that makes it refer to the artifact.
struct Document {
    file_name: String,
    bytes: Vec<u8>,
    manifest: Vec<u8>,
    artifact_type: &'static str,
    annotations: BTreeMap<String, String>,
}

/// Pushes published artifacts with their bills of materials, provenance and records, and with what the ledger says of the
/// builds, side by side.
///
/// What is pushed is what the records describe, and the records are those of the ledger's newest builds: what was changed
/// since is refused, and the documents are made
/// from the record. A tag names the new manifest only when everything else is there.
///
/// # Errors
/// If an artifact is not published, or is not what its record says; if the registry refuses; if a tag names something else
/// and may not be moved.
pub async fn push(
    environment: &Environment,
    request: &PushRequest,
    events: &Events,
) -> Result<Vec<Pushed>, PublishError> {
    let mut pushables = Vec::new();
    // Everything that can be refused is refused before the first byte is sent.
    for name in &request.artifacts {
        let (dist, ledger) = (environment.dist.clone(), ledger_of(environment));
        let (name, to) = (name.clone(), request.to.clone());
        pushables.push(blocking(move || pushable(&ledger, &dist, &name, &to)).await?);
    }
    let Some(first) = pushables.first() else { return Ok(Vec::new()) };
    let registry = connect(environment, &first.repository, request.plain_http).await?;
    for pushable in &pushables {
        registry.log_in(pushable.repository.repository(), true).await?;
    }
    // Which repository has a blob: what two artifacts share is sent once.
    let known = Mutex::new(BTreeMap::new());
    let each = pushables.iter().map(|pushable| push_one(&registry, pushable, request, &known, events));
    futures_util::future::try_join_all(each).await
}

fn pushable(
    ledger: &Ledger,
    dist: &Path,
    artifact: &ArtifactName,
    to: &str,
) -> Result<Pushable, PublishError> {
    let help = "write registry and path without tag, digest or login, such as registry.example.org/team";
    let refused = |reason: String| PublishError::Repository { text: without_login(to), reason };
    if to.contains('@') {
        return Err(refused(format!("it holds a digest or a login; {help}")));
    }
    // Registries have no capitals.
    let parsed = format!("{to}/{}", artifact.as_str().to_ascii_lowercase()).parse::<Reference>();
    let repository = parsed.map_err(|reason| refused(format!("{reason}; {help}")))?;
    let artifact = artifact.clone();
    let Some(index) = checked_index(ledger, dist, &artifact)? else {
        let named = part(ledger, dist, &artifact)?;
        return Ok(Pushable { artifact, repository, platforms: Vec::new(), named });
    };
    let platforms = index.platforms.iter().map(|one| {
        let part = part(ledger, dist, &one.artifact)?;
        Ok(Part { platform: Some(one.platform), ..part })
    });
    let platforms = platforms.collect::<Result<_, PublishError>>()?;
    let bytes = index_bytes(&index)?;
    let subject = Descriptor::of(INDEX_MEDIA_TYPE, &bytes);
    let described = written(index.to_json())?;
    let (mut attached, signature) = signed_documents(dist, &artifact, &described, &subject, index.epoch)?;
    attached.insert(0, Document::new(IndexRecord::FILE, described, INDEX_RECORD, &subject, index.epoch)?);
    let named = Part {
        platform: None,
        media_type: INDEX_MEDIA_TYPE,
        manifest: bytes,
        blobs: Vec::new(),
        documents: attached,
        signature,
    };
    Ok(Pushable { artifact, repository, platforms, named })
}

/// The manifest of a published artifact, with its blobs and documents.
fn part(ledger: &Ledger, dist: &Path, artifact: &ArtifactName) -> Result<Part, PublishError> {
    let folder = &dist.join(artifact.as_str());
    let (record, held) = newest_record(ledger, folder, artifact)?;
    let (manifest, blobs) = match &record.image {
        Some(image) => manifest_and_blobs(folder, &record, image)?,
        None => archive(folder, &record)?,
    };
    let subject = Descriptor::of(MANIFEST_MEDIA_TYPE, &manifest);
    let mut attached = Vec::new();
    for (file_name, bytes) in documents(&record)? {
        let artifact_type = match file_name.as_str() {
            "record.json" => RECORD,
            name if name.ends_with(".cdx.json") => CYCLONEDX,
            name if name.ends_with(".intoto.jsonl") => IN_TOTO,
            // The digests are in the manifests.
            _ => continue,
        };
        attached.push(Document::new(&file_name, bytes, artifact_type, &subject, record.epoch)?);
    }
    // Whoever changes this ledger afterwards cannot change what is stated there.
    if let Held::Newest(number) = held {
        let stated = ledger.head_at(artifact, number)?.to_json()?;
        attached.push(Document::new(Heads::FILE, stated, LEDGER_HEAD, &subject, record.epoch)?);
    }
    let described = written(record.to_json())?;
    let (signed, signature) = signed_documents(dist, artifact, &described, &subject, record.epoch)?;
    attached.extend(signed);
    Ok(Part {
        platform: None,
        media_type: MANIFEST_MEDIA_TYPE,
        manifest,
        blobs,
        documents: attached,
        signature,
    })
}

/// What was signed of a build, and the signature of its manifest.
fn signed_documents(
    dist: &Path,
    artifact: &ArtifactName,
    record: &[u8],
    subject: &Descriptor,
    created: Epoch,
) -> Result<(Vec<Document>, Option<ImageSignature>), PublishError> {
    let mut attached = Vec::new();
    for (file_name, bytes) in signatures(dist, artifact, record)? {
        let artifact_type = match file_name.as_str() {
            name if name.ends_with(".jsonl") => DSSE,
            name if name.ends_with(".cdx.json") => CYCLONEDX,
            _ => SIGNED_NOTE,
        };
        attached.push(Document::new(&file_name, bytes, artifact_type, subject, created)?);
    }
    let signature = signature_of_manifest(dist, artifact, &subject.digest)?;
    if let Some(signature) = &signature {
        attached.push(Document::of_signature(artifact, signature, subject, created)?);
    }
    Ok((attached, signature))
}

impl Document {
    fn new(
        file_name: &str,
        bytes: Vec<u8>,
        artifact_type: &'static str,
        subject: &Descriptor,
        created: Epoch,
    ) -> Result<Self, PublishError> {
        let annotations = annotations(file_name, created);
        let layer = Descriptor::of(artifact_type, &bytes);
        Self::with_layer(file_name, bytes, layer, artifact_type, (subject, annotations))
    }

    /// The signature of a manifest, in the form that cosign has for what refers to it.
    fn of_signature(
        artifact: &ArtifactName,
        signature: &ImageSignature,
        subject: &Descriptor,
        created: Epoch,
    ) -> Result<Self, PublishError> {
        let (file_name, bytes) = (manifest_payload(artifact), signature.payload().to_vec());
        let annotations = annotations(&file_name, created);
        Self::with_layer(
            &file_name,
            bytes,
            cosign::layer(signature),
            cosign::ARTIFACT,
            (subject, annotations),
        )
    }

    fn with_layer(
        file_name: &str,
        bytes: Vec<u8>,
        mut layer: Descriptor,
        artifact_type: &'static str,
        (subject, annotations): (&Descriptor, BTreeMap<String, String>),
    ) -> Result<Self, PublishError> {
        layer.annotations.insert(TITLE.to_owned(), file_name.to_owned());
        let manifest = ArtifactManifest {
            artifact_type: artifact_type.to_owned(),
            layers: vec![layer],
            subject: Some(subject.clone()),
            annotations: annotations.clone(),
        };
        let manifest = manifest.to_json()?;
        Ok(Self { file_name: file_name.to_owned(), bytes, manifest, artifact_type, annotations })
    }
}

fn annotations(file_name: &str, created: Epoch) -> BTreeMap<String, String> {
    BTreeMap::from([
        (TITLE.to_owned(), file_name.to_owned()),
        ("org.opencontainers.image.created".to_owned(), created.to_string()),
    ])
}

async fn push_one(
    registry: &Registry,
    pushable: &Pushable,
    request: &PushRequest,
    known: &Mutex<BTreeMap<Digest, String>>,
    events: &Events,
) -> Result<Pushed, PublishError> {
    let repository = pushable.repository.repository();
    let named = &pushable.named;
    let digest = Digest::of(&named.manifest);
    let tag = request.tag.clone().unwrap_or_else(|| digest.hex()[..12].to_owned());
    // A tag that may not be moved is refused before anything is sent.
    let there = registry.manifest(repository, &tag).await?.map(|bytes| Digest::of(&bytes));
    if let Some(taken) = there.filter(|there| *there != digest)
        && !request.move_tag
    {
        return Err(PublishError::TagTaken {
            reference: format!("{}:{tag}", pushable.repository),
            there: taken,
            ours: digest,
        });
    }

    let mut manifests = Vec::new();
    // One after the other: what two platforms share is sent once.
    for part in pushable.platforms.iter().chain([named]) {
        manifests.push(push_part(registry, repository, part, known, events).await?);
    }
    if there != Some(digest) {
        registry.push_manifest(repository, &tag, named.media_type, &named.manifest).await?;
    }
    Ok(Pushed {
        artifact: pushable.artifact.clone(),
        reference: format!("{}@{digest}", pushable.repository),
        tag,
        manifests,
    })
}

/// Sends a manifest, what it leads to, and what refers to it.
async fn push_part(
    registry: &Registry,
    repository: &str,
    part: &Part,
    known: &Mutex<BTreeMap<Digest, String>>,
    events: &Events,
) -> Result<PushedManifest, PublishError> {
    let digest = Digest::of(&part.manifest);
    let documents = part.documents.iter().map(|document| Blob::of(document.artifact_type, &document.bytes));
    let mut seen = BTreeSet::new();
    let blobs: Vec<Blob> = part
        .blobs
        .iter()
        .cloned()
        .chain(documents)
        .chain([empty()])
        .filter(|blob| seen.insert(blob.digest))
        .collect();
    let each = blobs.iter().map(|blob| push_blob(registry, repository, blob, known, events));
    let sent: Vec<bool> = futures_util::future::try_join_all(each).await?;
    let sent_bytes = blobs.iter().zip(&sent).filter(|(_, sent)| **sent).map(|(blob, _)| blob.size).sum();
    let sent = sent.iter().filter(|sent| **sent).count();

    registry.push_manifest(repository, &digest.to_string(), part.media_type, &part.manifest).await?;
    let before: BTreeSet<Digest> =
        registry.referrers(repository, &digest).await?.into_iter().map(|(digest, _)| digest).collect();
    let mut attached = Vec::new();
    let mut referrers = Vec::new();
    for document in &part.documents {
        let mut descriptor = Descriptor::of(MANIFEST_MEDIA_TYPE, &document.manifest);
        descriptor.annotations.clone_from(&document.annotations);
        registry
            .push_manifest(
                repository,
                &descriptor.digest.to_string(),
                MANIFEST_MEDIA_TYPE,
                &document.manifest,
            )
            .await?;
        let is_new = !before.contains(&descriptor.digest);
        attached.push((document.file_name.clone(), descriptor.digest, is_new));
        referrers.push(Referrer { descriptor, artifact_type: document.artifact_type.to_owned() });
    }
    let list_under_tag = list_referrers(registry, repository, &digest, &referrers).await?;
    if let Some(signature) = &part.signature {
        cosign::list(registry, repository, &digest, signature).await?;
    }
    Ok(PushedManifest {
        digest,
        platform: part.platform,
        sent: (sent, sent_bytes),
        there: blobs.len() - sent,
        documents: attached,
        list_under_tag,
    })
}

/// Sends a blob, unless the registry has it. Says whether it was sent.
async fn push_blob(
    registry: &Registry,
    repository: &str,
    blob: &Blob,
    known: &Mutex<BTreeMap<Digest, String>>,
    events: &Events,
) -> Result<bool, PublishError> {
    let elsewhere = {
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&blob.digest).cloned()
    };
    let note = || {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(blob.digest).or_insert_with(|| repository.to_owned());
    };
    if registry.has_blob(repository, &blob.digest).await? {
        note();
        return Ok(false);
    }
    if let Some(elsewhere) = elsewhere.filter(|elsewhere| elsewhere != repository)
        && registry.mount_blob(repository, &elsewhere, &blob.digest).await
    {
        return Ok(false);
    }
    match &blob.content {
        Content::Bytes(bytes) => registry.push_bytes(repository, bytes).await?,
        Content::File(path, offset) => {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            events.send(Event::UploadStarted { file: file.clone(), size: blob.size });
            let progress = |bytes| events.send(Event::Downloaded { file: file.clone(), bytes });
            let outcome =
                registry.push_blob(repository, &blob.digest, path, (*offset, blob.size), &progress).await;
            events.send(Event::DownloadEnded { file: file.clone() });
            outcome?;
        }
    }
    note();
    Ok(true)
}

/// Makes sure that the referrers of a manifest are listed. A registry with a list of its own has them in it by now; for others
/// it is kept under a tag, by whoever pushes. Says whether it is.
async fn list_referrers(
    registry: &Registry,
    repository: &str,
    subject: &Digest,
    referrers: &[Referrer],
) -> Result<bool, PublishError> {
    let tag = referrers_tag(subject);
    for _ in 0..LIST_ATTEMPTS {
        let listed: BTreeSet<Digest> =
            registry.referrers(repository, subject).await?.into_iter().map(|(digest, _)| digest).collect();
        if referrers.iter().all(|referrer| listed.contains(&referrer.descriptor.digest)) {
            return Ok(registry.manifest(repository, &tag).await?.is_some());
        }
        // Another may write it between these two requests: what it then holds is read again.
        let there = registry.manifest(repository, &tag).await?;
        if let Some(list) = with_referrers(there.as_deref(), referrers)? {
            registry.push_manifest(repository, &tag, INDEX_MEDIA_TYPE, &list).await?;
        }
    }
    Err(PublishError::ReferrersNotListed { repository: format!("{repository}:{tag}") })
}
