//! A repository of a registry: connecting to it, and what is read from it.

use crate::PublishError;
use crate::published::digest_of;
use kiln_engine::registry_credentials;
use kiln_fetch::{Registry, RegistryLogin};
use kiln_image::{ArtifactManifest, ImageError, IndexEntry, Reference};
use kiln_invocation::Environment;
use kiln_record::Digest;
use std::path::{Path, PathBuf};

/// The media type of a bill of materials.
pub(crate) const CYCLONEDX: &str = "application/vnd.cyclonedx+json";
/// The media type of a provenance statement.
pub(crate) const IN_TOTO: &str = "application/vnd.in-toto+json";
/// The media type of a DSSE envelope.
pub(crate) const DSSE: &str = "application/vnd.dsse.envelope.v1+json";
/// The media type of a checkpoint, and of a proof with one below it.
pub(crate) const SIGNED_NOTE: &str = "application/vnd.kiln.signed-note.v1+text";
/// The media type of a record.
pub(crate) const RECORD: &str = "application/vnd.kiln.record.v1+json";
/// The media type of what is published of an index.
pub(crate) const INDEX_RECORD: &str = "application/vnd.kiln.index.v1+json";
/// The media type of what is stated of the ledger that a build is in.
pub(crate) const LEDGER_HEAD: &str = "application/vnd.kiln.ledger-head.v1+json";
/// A repository of a registry.
pub(crate) struct Repository {
    pub(crate) registry: Registry,
    pub(crate) reference: Reference,
}

impl Repository {
    pub(crate) fn name(&self) -> &str {
        self.reference.repository()
    }

    /// The whole name with a digest.
    pub(crate) fn at(&self, digest: &Digest) -> String {
        format!("{}/{}@{digest}", self.reference.registry(), self.name())
    }

    /// The manifest that an index names.
    pub(crate) async fn manifest(&self, entry: &IndexEntry) -> Result<Found, PublishError> {
        let digest = entry.descriptor.digest;
        let bytes = self.registry.manifest(self.name(), &digest.to_string()).await?;
        let bytes = bytes.ok_or_else(|| PublishError::Repository {
            text: self.at(&digest),
            reason: "an index names it, but the registry does not have it".to_owned(),
        })?;
        Found::read(digest, bytes, &self.at(&digest))
    }
}

/// A manifest of a registry that was read by its digest.
pub(crate) struct Found {
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
    pub(crate) manifest: ArtifactManifest,
}

impl Found {
    /// Reads what a registry gave for a place.
    pub(crate) fn read(digest: Digest, bytes: Vec<u8>, place: &str) -> Result<Self, PublishError> {
        let manifest = ArtifactManifest::from_json(&bytes).map_err(in_registry(place))?;
        Ok(Self { digest, bytes, manifest })
    }
}

/// Says of what a registry gave where it is from.
pub(crate) fn in_registry(place: &str) -> impl FnOnce(ImageError) -> PublishError {
    let place = place.to_owned();
    move |source| PublishError::InRegistry { place, source }
}

/// A registry, with the login that Docker has for it.
pub(crate) async fn connect(
    environment: &Environment,
    reference: &Reference,
    plain_http: bool,
) -> Result<Registry, PublishError> {
    let host = reference.registry();
    let login = registry_credentials(&environment.engine, host).await?;
    let login = login.map(|found| RegistryLogin {
        username: found.username,
        password: found.password,
        identity_token: found.identity_token,
    });
    Ok(Registry::new(host, &environment.network, login.as_ref(), plain_http)?)
}

/// A reference for people: what stands before an `@` that no digest follows is a login.
pub(crate) fn without_login(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) if !rest.starts_with("sha256:") => format!("***@{rest}"),
        _ => text.to_owned(),
    }
}

/// Gives a checked file its name. What is there stays, if it is the same.
pub(crate) fn keep(
    temporary: tempfile::NamedTempFile,
    path: &Path,
    digest: &Digest,
) -> Result<PathBuf, PublishError> {
    use std::os::unix::fs::PermissionsExt as _;
    if path.is_file() {
        if digest_of(path)?.0 == *digest {
            return Ok(path.to_owned());
        }
        return Err(PublishError::NotUsable {
            what: path.display().to_string(),
            reason: "there is another file of this name; name an empty folder with --into".to_owned(),
        });
    }
    temporary.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    temporary.as_file().sync_all()?;
    temporary.persist_noclobber(path).map_err(|error| error.error)?;
    Ok(path.to_owned())
}
