//! Container registries (OCI distribution specification 1.1): blobs and manifests in both directions, and what refers to a
//! manifest.
//!
//! A registry is trusted with what is pushed to it and with the login for it, and with nothing else: what it answers is
//! bounded while it comes, and has the digest and the size that were asked for.

mod challenge;
mod login;
mod session;

pub use login::RegistryLogin;

use crate::attempt::{Failure, attempts_after};
use crate::client::LONGEST_RETRY_AFTER;
use crate::{FetchError, NetworkSettings, Sink, without_queries};
use kiln_record::{Digest, Hasher, excerpt};
use reqwest::header::HeaderValue;
use reqwest::{Method, StatusCode};
use session::{Answer, Payload, Request, Scope, Session};
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::time::Duration;
use url::Url;

/// The wait before the second attempt; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The largest manifest that registries must take (distribution specification, "Pushing Manifests"), and the largest that
/// is read.
const LARGEST_MANIFEST: u64 = 4 << 20;
/// The most manifests that may refer to one. Each is read, and what it leads to.
const MOST_REFERRERS: usize = 1_000;
/// The most tags that a repository may have to be read as a whole: each leads to a manifest and a record.
const MOST_TAGS: usize = 1_000;
/// What manifests may be.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                        application/vnd.docker.distribution.manifest.v2+json, \
                        application/vnd.docker.distribution.manifest.list.v2+json";
/// What a list of referrers is.
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// One registry, with the login for it.
#[derive(Clone)]
pub struct Registry {
    host: String,
    session: Session,
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
        let scheme = if plain_http || is_this_machine(host) { "http" } else { "https" };
        Self::over(scheme, host, settings, login)
    }

    /// As [`Registry::new`], and with TLS wherever the registry is.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub fn with_tls(
        host: &str,
        settings: &NetworkSettings,
        login: Option<&RegistryLogin>,
    ) -> Result<Self, FetchError> {
        Self::over("https", host, settings, login)
    }

    fn over(
        scheme: &str,
        host: &str,
        settings: &NetworkSettings,
        login: Option<&RegistryLogin>,
    ) -> Result<Self, FetchError> {
        if settings.offline {
            return Err(FetchError::Offline { url: host.to_owned() });
        }
        let session = Session::new(scheme, host, settings, login)?;
        Ok(Self { host: host.to_owned(), session, attempts: settings.attempts.max(1) })
    }

    /// Logs in for a repository, to read or to write. Asked for once before the first request.
    ///
    /// # Errors
    /// [`FetchError::Registry`] if the registry does not answer, refuses the login, or would have it sent where it is less
    /// protected than at the registry.
    pub async fn log_in(&self, repository: &str, to_write: bool) -> Result<(), FetchError> {
        let scope = Scope { repository: repository.to_owned(), to_write };
        self.tried(repository, "log in", || self.session.log_in(&scope)).await
    }

    /// Whether a repository has a blob.
    ///
    /// # Errors
    /// [`FetchError::Registry`] if that cannot be asked.
    pub async fn has_blob(&self, repository: &str, digest: &Digest) -> Result<bool, FetchError> {
        let request = Request::new(Method::HEAD, self.url(repository, &["blobs", &digest.to_string()])?);
        self.tried(repository, "look for a blob", || async {
            let answer = self.send(&request, repository, false).await?;
            match answer.status {
                StatusCode::OK => Ok(true),
                StatusCode::NOT_FOUND => Ok(false),
                _ => Err(answer.refusal(&request.url).await),
            }
        })
        .await
    }

    /// Takes a blob over from another repository of the registry. `false` if the registry does not do that, which is its
    /// right: the blob is then to be pushed.
    pub async fn mount_blob(&self, repository: &str, from: &str, digest: &Digest) -> bool {
        let Ok(mut url) = self.url(repository, &["blobs", "uploads", ""]) else { return false };
        url.query_pairs_mut().append_pair("mount", &digest.to_string()).append_pair("from", from);
        let answer = self.send(&Request::new(Method::POST, url), repository, true).await;
        answer.is_ok_and(|answer| answer.status == StatusCode::CREATED)
    }

    /// Pushes a part of a file as a blob; begins again where the connection breaks. The pair is the offset of its first byte
    /// and its length.
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
        self.upload(repository, digest, Payload::Part(file, offset, size)).await?;
        progress(size);
        Ok(())
    }

    /// Pushes bytes as a blob.
    ///
    /// # Errors
    /// [`FetchError::Registry`] after the last attempt.
    pub async fn push_bytes(&self, repository: &str, bytes: &[u8]) -> Result<(), FetchError> {
        self.upload(repository, &Digest::of(bytes), Payload::Bytes(bytes)).await
    }

    /// Pushes a blob in one piece (distribution specification, "POST then PUT").
    async fn upload(
        &self,
        repository: &str,
        digest: &Digest,
        payload: Payload<'_>,
    ) -> Result<(), FetchError> {
        let begin = Request::new(Method::POST, self.url(repository, &["blobs", "uploads", ""])?);
        self.tried(repository, &format!("push {digest}"), || async {
            let begun = self.send(&begin, repository, true).await?;
            if begun.status != StatusCode::ACCEPTED {
                return Err(begun.refusal(&begin.url).await);
            }
            let mut url = begun.location.ok_or_else(|| {
                let why = "it names no address to push to that is as safe as its own".to_owned();
                Failure::Final(FetchError::BadReply { url: self.name(repository), why })
            })?;
            url.query_pairs_mut().append_pair("digest", &digest.to_string());
            let mut end = Request::new(Method::PUT, url);
            end.content_type = Some(HeaderValue::from_static("application/octet-stream"));
            end.payload = payload.clone();
            let ended = self.send(&end, repository, true).await?;
            if !ended.status.is_success() {
                return Err(ended.refusal(&end.url).await);
            }
            Ok(())
        })
        .await
    }

    /// The manifest that a tag or digest names: its bytes. `None` if there is none. Bytes under a digest have that digest.
    ///
    /// # Errors
    /// [`FetchError::Registry`] if it cannot be asked for, [`FetchError::TooLarge`] above 4 MiB,
    /// [`FetchError::DigestMismatch`] for other bytes.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Option<Vec<u8>>, FetchError> {
        let url = self.url(repository, &["manifests", reference])?;
        let (bytes, _) = self.document(repository, &format!("read {reference}"), url, ACCEPTED).await?;
        let Some(bytes) = bytes else { return Ok(None) };
        if let Ok(expected) = reference.parse::<Digest>() {
            let found = Digest::of(&bytes);
            if found != expected {
                let (url, file) = (self.name(repository), "the manifest".to_owned());
                return Err(FetchError::DigestMismatch { url, file, expected, found });
            }
        }
        Ok(Some(bytes))
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
        let action = format!("push the manifest {reference}");
        let media_type = media_type
            .parse::<HeaderValue>()
            .map_err(|error| self.error(repository, &action, &error.to_string()))?;
        let mut request = Request::new(Method::PUT, self.url(repository, &["manifests", reference])?);
        request.content_type = Some(media_type);
        request.payload = Payload::Bytes(bytes);
        self.tried(repository, &action, || async {
            let answer = self.send(&request, repository, true).await?;
            match answer.status.is_success() {
                true => Ok(()),
                false => Err(answer.refusal(&request.url).await),
            }
        })
        .await
    }

    /// The digests of the manifests that refer to one with the types that they are listed with: through the registry's own
    /// list, or where it has none the one that is kept under a tag (distribution specification, "Listing Referrers").
    ///
    /// # Errors
    /// [`FetchError::Registry`] if it cannot be asked, or if there are more than 1,000.
    pub async fn referrers(
        &self,
        repository: &str,
        subject: &Digest,
    ) -> Result<Vec<(Digest, Option<String>)>, FetchError> {
        let action = "list referrers";
        let mut all = Vec::new();
        let mut next = Some(self.url(repository, &["referrers", &subject.to_string()])?);
        let mut pages = 0;
        while let Some(url) = next.take() {
            pages += 1;
            let (bytes, link) = self.document(repository, action, url.clone(), INDEX).await?;
            let (bytes, link) = match bytes {
                Some(bytes) => (bytes, link),
                None if pages > 1 => break,
                None => {
                    let tag = subject.to_string().replace(':', "-");
                    let url = self.url(repository, &["manifests", &tag])?;
                    let (bytes, _) = self.document(repository, action, url, ACCEPTED).await?;
                    let Some(bytes) = bytes else { break };
                    (bytes, None)
                }
            };
            all.extend(listed(&bytes).map_err(|why| self.error(repository, action, &why))?);
            if all.len() > MOST_REFERRERS || pages > MOST_REFERRERS {
                let why = format!("more than {MOST_REFERRERS} manifests refer to {subject}");
                return Err(self.error(repository, action, &why));
            }
            next = link.and_then(|link| next_page(&link, &url));
        }
        Ok(all)
    }

    /// The tags of a repository, as the registry lists them (distribution specification, "Listing Tags"). `None` if it has no
    /// such repository.
    ///
    /// # Errors
    /// [`FetchError::Registry`] if it cannot be asked, or if there are more than 1,000.
    pub async fn tags(&self, repository: &str) -> Result<Option<Vec<String>>, FetchError> {
        let action = "list tags";
        let mut all = Vec::new();
        let mut next = Some(self.url(repository, &["tags", "list"])?);
        let mut pages = 0;
        while let Some(url) = next.take() {
            pages += 1;
            let (bytes, link) = self.document(repository, action, url.clone(), "application/json").await?;
            let Some(bytes) = bytes else { return Ok((pages > 1).then_some(all)) };
            all.extend(tags_in(&bytes).map_err(|why| self.error(repository, action, &why))?);
            if all.len() > MOST_TAGS || pages > MOST_TAGS {
                let why = format!("it has more than {MOST_TAGS} tags: name those that are meant");
                return Err(self.error(repository, action, &why));
            }
            next = link.and_then(|link| next_page(&link, &url));
        }
        Ok(Some(all))
    }

    /// Brings a blob into a sink. What comes must have the digest and the size, neither fewer bytes nor more.
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
        let request = Request::new(Method::GET, self.url(repository, &["blobs", &expected.to_string()])?);
        let (mut wait, mut left) = (FIRST_WAIT, self.attempts);
        loop {
            match self.pull_once(repository, &request, (expected, size), sink).await {
                Ok(()) => return Ok(()),
                Err(failure) => {
                    left = self
                        .wait_after(failure, left, wait)
                        .await
                        .map_err(|failure| self.failed(repository, &format!("pull {expected}"), failure))?;
                }
            }
            wait *= 2;
        }
    }

    /// Waits before the next attempt, and says how many are left with it; gives the failure back if there is none.
    async fn wait_after(&self, failure: Failure, left: u32, wait: Duration) -> Result<u32, Failure> {
        let left = attempts_after(&failure, left.saturating_sub(1));
        match &failure {
            _ if left == 0 => Err(failure),
            Failure::Passing { retry_after, .. } => {
                tokio::time::sleep(retry_after.map_or(wait, |asked| asked.min(LONGEST_RETRY_AFTER))).await;
                Ok(left)
            }
            Failure::Silent { .. } | Failure::Final(_) => Ok(left),
        }
    }

    async fn pull_once(
        &self,
        repository: &str,
        request: &Request<'_>,
        (expected, size): (&Digest, u64),
        sink: &mut dyn Sink,
    ) -> Result<(), Failure> {
        let url = self.name(repository);
        let disk = |source: std::io::Error| FetchError::Sink { url: url.clone(), source };
        let other_size = |found: u64| FetchError::SizeMismatch {
            url: url.clone(),
            file: "a blob".to_owned(),
            expected: size,
            found,
        };
        let mut answer = self.send(request, repository, false).await?;
        if answer.status != StatusCode::OK {
            return Err(answer.refusal(&request.url).await);
        }
        if let Some(stated) = answer.body.stated_length().filter(|stated| *stated != size) {
            return Err(other_size(stated).into());
        }
        sink.restart().map_err(disk)?;
        let (mut hasher, mut found) = (Hasher::default(), 0);
        while let Some(piece) = answer.body.chunk().await? {
            found += piece.len() as u64;
            if found > size {
                return Err(other_size(found).into());
            }
            hasher.update(&piece);
            sink.write_all(&piece).map_err(disk)?;
        }
        let digest = hasher.finish();
        if digest != *expected {
            // Without a stated length, a connection that was cut looks like the end of the blob.
            if found < size && answer.body.stated_length().is_none() {
                return Err(Failure::passing("the transfer ended early"));
            }
            let file = "a blob".to_owned();
            return Err(FetchError::DigestMismatch { url, file, expected: *expected, found: digest }.into());
        }
        if found != size {
            return Err(other_size(found).into());
        }
        Ok(())
    }

    /// A document of the registry with its `Link` header. `None` if there is none.
    async fn document(
        &self,
        repository: &str,
        action: &str,
        url: Url,
        accept: &str,
    ) -> Result<(Option<Vec<u8>>, Option<String>), FetchError> {
        let mut request = Request::new(Method::GET, url);
        request.accept = Some(accept);
        self.tried(repository, action, || async {
            let answer = self.send(&request, repository, false).await?;
            let link = answer.link.clone();
            match answer.status {
                StatusCode::OK => Ok((Some(answer.document(LARGEST_MANIFEST).await?), link)),
                StatusCode::NOT_FOUND => Ok((None, None)),
                _ => Err(answer.refusal(&request.url).await),
            }
        })
        .await
    }

    async fn send(&self, request: &Request<'_>, repository: &str, to_write: bool) -> Result<Answer, Failure> {
        self.session.send(request, &Scope { repository: repository.to_owned(), to_write }).await
    }

    /// The address of something in a repository.
    fn url(&self, repository: &str, rest: &[&str]) -> Result<Url, FetchError> {
        let mut url = self.session.base().clone();
        match url.path_segments_mut() {
            Ok(mut path) => {
                path.pop_if_empty().extend(repository.split('/')).extend(rest);
            }
            Err(()) => return Err(self.error(repository, "name it", "it is no host of a registry")),
        }
        Ok(url)
    }

    /// Tries a request as often as the settings say, as long as it fails for a reason that may pass.
    async fn tried<T, F: Future<Output = Result<T, Failure>>>(
        &self,
        repository: &str,
        action: &str,
        mut request: impl FnMut() -> F,
    ) -> Result<T, FetchError> {
        let (mut wait, mut left) = (FIRST_WAIT, self.attempts);
        loop {
            match request().await {
                Ok(value) => return Ok(value),
                Err(failure) => {
                    let after = self.wait_after(failure, left, wait).await;
                    left = after.map_err(|failure| self.failed(repository, action, failure))?;
                }
            }
            wait *= 2;
        }
    }

    fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.host)
    }

    /// A failure as an error that says what was to be done. What is a fact about bytes or this host stays what it is.
    fn failed(&self, repository: &str, action: &str, failure: Failure) -> FetchError {
        match failure {
            Failure::Passing { why, .. }
            | Failure::Silent { why }
            | Failure::Final(FetchError::BadReply { why, .. } | FetchError::Untrusted { why, .. }) => {
                self.error(repository, action, &why)
            }
            Failure::Final(FetchError::Forbidden { why, .. }) => FetchError::Registry {
                repository: self.name(repository),
                action: action.to_owned(),
                why: without_queries(&why),
                refused: true,
            },
            Failure::Final(FetchError::TooLarge { limit, .. }) => {
                FetchError::TooLarge { url: format!("{} ({action})", self.name(repository)), limit }
            }
            Failure::Final(other) => other,
        }
    }

    fn error(&self, repository: &str, action: &str, why: &str) -> FetchError {
        FetchError::Registry {
            repository: self.name(repository),
            action: action.to_owned(),
            why: without_queries(why),
            refused: false,
        }
    }
}

/// The manifests that an index lists.
fn listed(bytes: &[u8]) -> Result<Vec<(Digest, Option<String>)>, String> {
    #[derive(serde::Deserialize)]
    struct List {
        manifests: Vec<Entry>,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry {
        digest: String,
        artifact_type: Option<String>,
    }
    let list: List = serde_json::from_slice(bytes)
        .map_err(|error| format!("the list is not an image index: {}", excerpt(&error.to_string())))?;
    let entries = list.manifests.into_iter();
    Ok(entries.filter_map(|entry| Some((entry.digest.parse().ok()?, entry.artifact_type))).collect())
}

/// The tags of a list; `null` stands for none in registries that are written in Go.
fn tags_in(bytes: &[u8]) -> Result<Vec<String>, String> {
    #[derive(serde::Deserialize)]
    struct List {
        tags: Option<Vec<String>>,
    }
    let list: List = serde_json::from_slice(bytes)
        .map_err(|error| format!("the list is not one of tags: {}", excerpt(&error.to_string())))?;
    Ok(list.tags.unwrap_or_default())
}

/// The next page of a list (RFC 8288: `<url>; rel="next"`), if it is one of the same registry.
fn next_page(link: &str, page: &Url) -> Option<Url> {
    let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    let is_next = parameters.split(';').any(|parameter| {
        let parameter: String = parameter.chars().filter(|c| !c.is_whitespace() && *c != '"').collect();
        parameter.eq_ignore_ascii_case("rel=next")
    });
    let next = page.join(address).ok()?;
    (is_next && next.origin() == page.origin() && next != *page).then_some(next)
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
    fn a_list_goes_on_at_the_same_registry() {
        let page: Url = "https://r.example/v2/a/referrers/sha256:0".parse().unwrap();
        let next = |link: &str| next_page(link, &page).map(|url| url.to_string());
        assert_eq!(next("</v2/a?n=2>; rel=\"next\"").as_deref(), Some("https://r.example/v2/a?n=2"));
        for none in [
            "",
            "</v2/a>; rel=prev",
            "<https://evil.example/>; rel=next",
            "<",
            "</v2/a",
            &format!("<{page}>; rel=next"),
        ] {
            assert_eq!(next(none), None, "{none}");
        }
    }

    #[test]
    fn a_list_of_tags_is_one_or_an_error() {
        assert_eq!(tags_in(br#"{"name":"a","tags":["v1","v2"]}"#).unwrap(), ["v1", "v2"]);
        assert_eq!(tags_in(br#"{"name":"a","tags":null}"#).unwrap(), [""; 0]);
        for wrong in [&b"["[..], br#"{"tags":[1]}"#, br#"{"tags":"v1"}"#] {
            assert!(tags_in(wrong).unwrap_err().starts_with("the list is not one of tags"));
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
