//! Container registries (OCI distribution specification 1.1): blobs and manifests in both directions, and what refers to a
//! manifest.

use crate::{FetchError, NetworkSettings, Sink, without_queries};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kiln_record::{Digest, Hasher};
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError as OciError;
use oci_client::manifest::OciDescriptor;
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

/// The wait before the second attempt; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Bytes that are read of a file at once.
const PIECE: usize = 1 << 20;
/// The largest manifest that registries must take (distribution specification, "Pushing Manifests").
const LARGEST_MANIFEST: usize = 4 << 20;
/// What manifests may be.
const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// A login for a registry.
#[derive(Clone)]
pub struct RegistryLogin {
    /// The user; empty for an identity token.
    pub username: String,
    /// The password.
    pub password: String,
    /// A token that stands for both.
    pub identity_token: Option<String>,
}

impl fmt::Debug for RegistryLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryLogin").field("username", &self.username).finish_non_exhaustive()
    }
}

/// One registry, with the login for it.
#[derive(Clone)]
pub struct Registry {
    host: String,
    client: Client,
    login: RegistryAuth,
    attempts: u32,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Registry {
    /// Names a registry by its host, with a port if it has one. `plain_http` allows a connection without TLS; registries on
    /// this very machine need no such leave, as with Docker.
    ///
    /// # Errors
    /// [`FetchError::Setting`] if the CA bundle cannot be read; [`FetchError::Offline`] where the network is switched off.
    pub fn new(
        host: &str,
        settings: &NetworkSettings,
        login: Option<&RegistryLogin>,
        plain_http: bool,
    ) -> Result<Self, FetchError> {
        if settings.offline {
            return Err(FetchError::Offline { url: host.to_owned() });
        }
        // One provider serves the whole process. Whoever installed one first keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = ClientConfig {
            protocol: if plain_http || is_this_machine(host) {
                ClientProtocol::Http
            } else {
                ClientProtocol::Https
            },
            connect_timeout: Some(settings.connect_timeout),
            read_timeout: Some(settings.read_timeout),
            no_proxy: is_this_machine(host).then(|| "*".to_owned()),
            platform_resolver: None,
            ..ClientConfig::default()
        };
        if let Some(bundle) = &settings.ca_bundle {
            let data = fs_err::read(bundle).map_err(|error| FetchError::Setting {
                from: format!("CA bundle {}", bundle.display()),
                why: error.to_string(),
            })?;
            config.tls_certs_only = vec![Certificate { encoding: CertificateEncoding::Pem, data }];
        }
        let client = Client::try_from(config).map_err(|error| FetchError::Setting {
            from: "of the registry client (trust store, proxy)".to_owned(),
            why: error.to_string(),
        })?;
        let login = match login {
            None => RegistryAuth::Anonymous,
            Some(RegistryLogin { identity_token: Some(token), .. }) => RegistryAuth::Bearer(token.clone()),
            Some(login) => RegistryAuth::Basic(login.username.clone(), login.password.clone()),
        };
        Ok(Self { host: host.to_owned(), client, login, attempts: settings.attempts.max(1) })
    }

    /// Logs in for a repository, to read or to write. Asked for once before the first request.
    ///
    /// # Errors
    /// [`FetchError::Registry`] if the registry does not answer or refuses the login.
    pub async fn log_in(&self, repository: &str, to_write: bool) -> Result<(), FetchError> {
        let operation = if to_write { RegistryOperation::Push } else { RegistryOperation::Pull };
        let image = self.at(repository, "latest");
        self.tried(repository, "log in", || self.client.auth(&image, &self.login, operation)).await.map(drop)
    }

    fn at(&self, repository: &str, reference: &str) -> Reference {
        // A digest is given as if it were a tag: the two share one place in a URL, and the client then needs no
        // `Location` in the answer.
        Reference::with_tag(self.host.clone(), repository.to_owned(), reference.to_owned())
    }

    /// Whether a repository has a blob.
    ///
    /// # Errors
    /// [`FetchError::Registry`] if that cannot be asked.
    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool, FetchError> {
        let (image, text) = (self.at(repository, "latest"), digest.to_string());
        self.tried(repository, "look for a blob", || self.client.blob_exists(&image, &text)).await
    }

    /// Takes a blob over from another repository of the registry. `false` if the registry does not do that, which is its
    /// right: the blob is then to be pushed.
    pub async fn mount_blob(&self, repository: &str, from: &str, digest: &Digest) -> bool {
        let (image, source) = (self.at(repository, "latest"), self.at(from, "latest"));
        self.client.mount_blob(&image, &source, &digest.to_string()).await.is_ok()
    }

    /// Pushes a part of a file as a blob, in pieces; begins again where the connection breaks. The pair is the offset of its
    /// first byte and its length.
    ///
    /// # Errors
    /// [`FetchError::Registry`] after the last attempt.
    pub async fn push_blob(
        &self,
        repository: &str,
        digest: &Digest,
        file: &Path,
        (offset, size): (u64, u64),
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), FetchError> {
        let image = self.at(repository, "latest");
        let text = digest.to_string();
        let action = format!("push {text}");
        self.tried(repository, &action, || async {
            let mut opened = tokio::fs::File::open(file).await.map_err(OciError::IoError)?;
            opened.seek(std::io::SeekFrom::Start(offset)).await.map_err(OciError::IoError)?;
            let pieces = stream::try_unfold(opened.take(size), |mut file| async move {
                let mut piece = vec![0; PIECE];
                let length = file.read(&mut piece).await.map_err(OciError::IoError)?;
                piece.truncate(length);
                Ok((length > 0).then(|| (Bytes::from(piece), file)))
            });
            self.client.push_blob_stream(&image, pieces, &text, Some(size)).await?;
            progress(size);
            Ok(())
        })
        .await
    }

    /// Pushes bytes as a blob.
    ///
    /// # Errors
    /// [`FetchError::Registry`] after the last attempt.
    pub async fn push_bytes(&self, repository: &str, bytes: &[u8]) -> Result<(), FetchError> {
        let (image, digest) = (self.at(repository, "latest"), Digest::of(bytes).to_string());
        let action = format!("push {digest}");
        self.tried(repository, &action, || self.client.push_blob(&image, bytes.to_vec(), &digest))
            .await
            .map(drop)
    }

    /// The manifest that a tag or digest names: its bytes. `None` if there is none. Bytes under a digest have that digest.
    ///
    /// # Errors
    /// [`FetchError::Registry`] if it cannot be asked for.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Vec<u8>>, FetchError> {
        let image = self.at(repository, reference);
        let pulled = self
            .tried(repository, &format!("read {reference}"), || async {
                match self.client.pull_manifest_raw(&image, &self.login, &ACCEPTED).await {
                    Ok((bytes, _)) => Ok(Some(bytes)),
                    Err(error) if is_absent(&error) => Ok(None),
                    Err(error) => Err(error),
                }
            })
            .await?;
        let Some(bytes) = pulled else { return Ok(None) };
        if bytes.len() > LARGEST_MANIFEST {
            return Err(FetchError::TooLarge { url: self.name(repository), limit: LARGEST_MANIFEST as u64 });
        }
        if let Ok(expected) = reference.parse::<Digest>() {
            let found = Digest::of(&bytes);
            if found != expected {
                let (url, file) = (self.name(repository), "the manifest".to_owned());
                return Err(FetchError::DigestMismatch { url, file, expected, found });
            }
        }
        Ok(Some(bytes.to_vec()))
    }

    /// Pushes a manifest under a tag, or under its own digest.
    ///
    /// # Errors
    /// [`FetchError::Registry`] after the last attempt.
    pub async fn push_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), FetchError> {
        let image = self.at(repository, reference);
        let refused = |why: String| self.error(repository, &format!("push the manifest {reference}"), why);
        let media_type =
            media_type.parse::<reqwest::header::HeaderValue>().map_err(|error| refused(error.to_string()))?;
        self.tried(repository, &format!("push the manifest {reference}"), || {
            self.client.push_manifest_raw(&image, bytes.to_vec(), media_type.clone())
        })
        .await
        .map(drop)
    }

    /// The digests of the manifests that refer to one, as far as the registry lists them: through its own list, or the one
    /// that is kept under a tag.
    ///
    /// # Errors
    /// [`FetchError::Registry`] if it cannot be asked.
    pub async fn referrers(
        &self,
        repository: &str,
        subject: &Digest,
    ) -> Result<Vec<(Digest, Option<String>)>, FetchError> {
        let image = Reference::with_digest(self.host.clone(), repository.to_owned(), subject.to_string());
        let index =
            self.tried(repository, "list referrers", || self.client.pull_referrers(&image, None)).await?;
        let entries = index.manifests.into_iter();
        Ok(entries.filter_map(|entry| Some((entry.digest.parse().ok()?, entry.artifact_type))).collect())
    }

    /// Brings a blob into a sink. What comes must have the digest and the size.
    ///
    /// # Errors
    /// [`FetchError::Registry`] after the last attempt, [`FetchError::DigestMismatch`] and [`FetchError::SizeMismatch`] at once.
    pub async fn pull_blob(
        &self,
        repository: &str,
        expected: &Digest,
        size: u64,
        sink: &mut dyn Sink,
    ) -> Result<(), FetchError> {
        let image = self.at(repository, "latest");
        let descriptor = OciDescriptor {
            digest: expected.to_string(),
            size: i64::try_from(size).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        };
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            match self.pull_once(repository, &image, &descriptor, (expected, size), sink).await {
                Ok(()) => break,
                Err(Broken::Refused(error)) => return Err(error),
                Err(Broken::Lost(why)) if attempt >= self.attempts => {
                    return Err(self.error(repository, &format!("pull {expected}"), why));
                }
                Err(Broken::Lost(_)) => tokio::time::sleep(wait).await,
            }
            wait *= 2;
        }
        Ok(())
    }

    async fn pull_once(
        &self,
        repository: &str,
        image: &Reference,
        descriptor: &OciDescriptor,
        (expected, size): (&Digest, u64),
        sink: &mut dyn Sink,
    ) -> Result<(), Broken> {
        let url = self.name(repository);
        let disk = |source: std::io::Error| Broken::Refused(FetchError::Sink { url: url.clone(), source });
        let lost = |error: &dyn std::error::Error| Broken::Lost(innermost(error));
        sink.restart().map_err(disk)?;
        let pulled = self.client.pull_blob_stream(image, descriptor).await.map_err(|error| lost(&error))?;
        let mut stream = pulled.stream.boxed();
        let (mut hasher, mut found) = (Hasher::default(), 0);
        let file = || "a blob".to_owned();
        while let Some(piece) = stream.try_next().await.map_err(|error| lost(&error))? {
            found += piece.len() as u64;
            if found > size {
                let error =
                    FetchError::SizeMismatch { url: url.clone(), file: file(), expected: size, found };
                return Err(Broken::Refused(error));
            }
            hasher.update(&piece);
            sink.write_all(&piece).map_err(disk)?;
        }
        let digest = hasher.finish();
        if digest != *expected {
            let error = FetchError::DigestMismatch { url, file: file(), expected: *expected, found: digest };
            return Err(Broken::Refused(error));
        }
        Ok(())
    }

    /// Tries a request as often as the settings say, as long as it fails for a reason that may pass.
    async fn tried<T, F: Future<Output = Result<T, OciError>>>(
        &self,
        repository: &str,
        action: &str,
        mut request: impl FnMut() -> F,
    ) -> Result<T, FetchError> {
        let mut wait = FIRST_WAIT;
        for _ in 1..self.attempts {
            match request().await {
                Ok(value) => return Ok(value),
                Err(error) if may_pass(&error) => tokio::time::sleep(wait).await,
                Err(error) => return Err(self.error(repository, action, innermost(&error))),
            }
            wait *= 2;
        }
        request().await.map_err(|error| self.error(repository, action, innermost(&error)))
    }

    fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.host)
    }

    fn error(&self, repository: &str, action: &str, why: String) -> FetchError {
        FetchError::Registry {
            repository: self.name(repository),
            action: action.to_owned(),
            why: without_queries(&why),
        }
    }
}

/// Why a download ended early.
enum Broken {
    Refused(FetchError),
    Lost(String),
}

fn is_absent(error: &OciError) -> bool {
    match error {
        OciError::ImageManifestNotFoundError(_) | OciError::ServerError { code: 404, .. } => true,
        OciError::RegistryError { envelope, .. } => envelope.errors.iter().any(|error| {
            matches!(
                error.code,
                oci_client::errors::OciErrorCode::ManifestUnknown
                    | oci_client::errors::OciErrorCode::NameUnknown
                    | oci_client::errors::OciErrorCode::NotFound
            )
        }),
        _ => false,
    }
}

fn may_pass(error: &OciError) -> bool {
    match error {
        OciError::RequestError(_) => true,
        OciError::ServerError { code, .. } => *code >= 500 || *code == 429 || *code == 408,
        OciError::RegistryError { envelope, .. } => envelope
            .errors
            .iter()
            .any(|error| error.code == oci_client::errors::OciErrorCode::Toomanyrequests),
        _ => false,
    }
}

/// The cause at the bottom, which says most in few words.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_of_this_machine_are_told_from_others() {
        for here in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "a.localhost"] {
            assert!(is_this_machine(here), "{here}");
        }
        for there in ["registry.example.org", "10.0.0.1:5000", "localhost.example.org", "[fe80::1]:5000"] {
            assert!(!is_this_machine(there), "{there}");
        }
    }

    #[test]
    fn what_an_upload_address_knows_is_not_told() {
        let told = without_queries(
            "Not authorized: url https://registry.example.org/v2/a/blobs?_state=secret, code",
        );
        assert!(!told.contains("secret") && told.contains("registry.example.org"), "{told}");
    }
}
