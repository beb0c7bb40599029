//! The Debian archive: suite files, package indexes and packages, each verified or for the caller to verify.
//!
//! Source: the Debian repository format (`InRelease`, `by-hash`).

use crate::{Client, FetchError, Mirror, Sink, redacted};
use kiln_record::{Architecture, Digest, TreePath};
use url::Url;

/// The most that an `InRelease` may hold; Debian's have less than 1 MiB.
const IN_RELEASE_LIMIT: u64 = 16 << 20;
/// The most that a package index may hold; Debian's largest have about 15 MiB compressed.
const INDEX_LIMIT: u64 = 256 << 20;

/// A mirror, and the archives of the past that are asked for what it no longer has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The mirror.
    pub mirror: Mirror,
    /// Snapshot archives with the mirror's layout, in the order in which they are asked.
    pub snapshots: Vec<Mirror>,
}

/// A package index of a suite, as its `InRelease` names it.
#[derive(Clone, Copy, Debug)]
pub struct SuiteFile<'a> {
    /// The suite, such as `bookworm`.
    pub suite: &'a str,
    /// The component, such as `main`.
    pub component: &'a str,
    /// The architecture.
    pub architecture: Architecture,
    /// The file name, such as `Packages.xz`.
    pub name: &'a str,
    /// Its digest in the signed `InRelease`.
    pub digest: Digest,
    /// Its length in bytes in the signed `InRelease`.
    pub size: u64,
}

/// A file of the archive's pool.
#[derive(Clone, Copy, Debug)]
pub struct ArchiveFile<'a> {
    /// Its path below the root, as `Filename` in a package index has it.
    pub path: &'a str,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl Archive {
    /// Fetches a suite's `InRelease` from the mirror. Its signature is for the caller to check.
    ///
    /// # Errors
    /// Any [`FetchError`] of [`Client::get`].
    pub async fn in_release(&self, client: &Client, suite: &str) -> Result<Vec<u8>, FetchError> {
        let url = below(&self.mirror, &in_release_path(suite))?;
        Ok(client.get(&url, IN_RELEASE_LIMIT, None).await?.bytes)
    }

    /// Where [`Archive::in_release`] asks, for messages: without credentials.
    #[must_use]
    pub fn in_release_url(&self, suite: &str) -> String {
        below(&self.mirror, &in_release_path(suite))
            .map_or_else(|_| redacted(&self.mirror.url), |url| redacted(&url))
    }

    /// Fetches a package index from the mirror, still compressed: by its digest if the mirror offers that, which is
    /// safe while the mirror is being updated, else by its name.
    ///
    /// # Errors
    /// Any [`FetchError`] of [`Client::download`]. A digest mismatch here usually means that the mirror was updated
    /// after `in_release` was fetched.
    pub async fn package_index(&self, client: &Client, file: &SuiteFile<'_>) -> Result<Vec<u8>, FetchError> {
        let folder = format!("dists/{}/{}/binary-{}", file.suite, file.component, file.architecture.oci());
        let by_hash = below(&self.mirror, &format!("{folder}/by-hash/SHA256/{}", file.digest.hex()))?;
        if file.size > INDEX_LIMIT {
            return Err(FetchError::TooLarge { url: redacted(&by_hash), limit: INDEX_LIMIT });
        }
        let mut bytes = Vec::new();
        let found = client.download(&by_hash, Some(&file.digest), Some(file.size), &mut bytes, &|_| ()).await;
        if let Err(FetchError::NotFound { .. }) = found {
            let by_name = below(&self.mirror, &format!("{folder}/{}", file.name))?;
            client.download(&by_name, Some(&file.digest), Some(file.size), &mut bytes, &|_| ()).await?;
        } else {
            found?;
        }
        Ok(bytes)
    }

    /// Streams a package into a sink, from the mirror or, if that does not have it or does not answer, from the
    /// snapshot archives. It is the same file wherever it comes from, because its digest is known.
    ///
    /// # Errors
    /// [`FetchError::PackageGone`] if every archive answered that it does not have the file; else the first other
    /// problem. An archive that serves other bytes ends the search: that is worth knowing.
    pub async fn deb(
        &self,
        client: &Client,
        file: &ArchiveFile<'_>,
        sink: &mut dyn Sink,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), FetchError> {
        let mut tried = Vec::new();
        let mut problem = None;
        for archive in std::iter::once(&self.mirror).chain(&self.snapshots) {
            let url = below(archive, file.path)?;
            match client.download(&url, Some(&file.digest), Some(file.size), sink, progress).await {
                Ok(_) => return Ok(()),
                Err(FetchError::NotFound { .. }) => tried.push(redacted(&archive.url)),
                Err(error @ (FetchError::Unreachable { .. } | FetchError::Forbidden { .. })) => {
                    problem.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(problem.unwrap_or_else(|| FetchError::PackageGone { file: file.path.to_owned(), tried }))
    }
}

fn in_release_path(suite: &str) -> String {
    format!("dists/{suite}/InRelease")
}

/// A path below an archive's root. Paths come from package indexes and locks, so they are checked first.
fn below(archive: &Mirror, path: &str) -> Result<Url, FetchError> {
    let bad = |why: String| FetchError::BadReply { url: redacted(&archive.url), why };
    let path = TreePath::new(path).map_err(|error| bad(error.to_string()))?;
    let mut url = archive.url.clone();
    url.path_segments_mut()
        .map_err(|()| bad("it cannot be the root of an archive".to_owned()))?
        .pop_if_empty()
        .extend(path.as_str().split('/'));
    Ok(url)
}
