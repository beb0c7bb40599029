//! The client: settings, documents in memory, and verified downloads into a sink.

use crate::attempt::{Attempt, Body, Failure, Wanted};
use crate::credentials::{Credentials, percent_decoded};
use crate::transport::Transport;
use crate::{FetchError, Sink, local_file, redacted};
use kiln_record::{Digest, Hasher};
use std::fmt;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;

/// The most a download may bring if nobody knows its size beforehand: 4 GiB, more than any wheel or `.deb`.
const UNSIZED_LIMIT: u64 = 4 << 30;
/// The wait before the second attempt; it doubles each time up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait between two attempts that kiln chooses itself.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// The longest wait that a server may ask for with `Retry-After`.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// How to use the network.
#[derive(Clone)]
pub struct NetworkSettings {
    /// A file of PEM certificates to trust *instead of* the host's trust store.
    pub ca_bundle: Option<PathBuf>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The longest time to connect to a server, TLS included.
    pub connect_timeout: Duration,
    /// The longest silence of a server, before and within its reply.
    pub read_timeout: Duration,
    /// How often a request is tried before it fails; 0 counts as 1.
    pub attempts: u32,
    /// How many requests run at once; 0 counts as 1.
    pub parallel: usize,
    /// The text of a netrc file, for servers that want a login.
    pub netrc: Option<String>,
    /// Refuses every request but those for `file:` URLs.
    pub offline: bool,
}

impl Default for NetworkSettings {
    /// The host's trust store, 10 s to connect, 30 s of silence, 4 attempts, 8 requests at once.
    fn default() -> Self {
        Self {
            ca_bundle: None,
            user_agent: "kiln".to_owned(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            attempts: 4,
            parallel: 8,
            netrc: None,
            offline: false,
        }
    }
}

impl fmt::Debug for NetworkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkSettings")
            .field("ca_bundle", &self.ca_bundle)
            .field("user_agent", &self.user_agent)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("attempts", &self.attempts)
            .field("parallel", &self.parallel)
            .field("netrc", &self.netrc.as_ref().map(|_| "***"))
            .field("offline", &self.offline)
            .finish()
    }
}

/// Fetches from servers and `file:` URLs. Clones share connections, logins and the limit on parallel requests.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    settings: NetworkSettings,
    transport: Transport,
    credentials: Mutex<Credentials>,
    permits: Semaphore,
}

/// A document that fits in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// Its bytes, decompressed if the server compressed them for the transfer.
    pub bytes: Vec<u8>,
    /// Where it was found after redirects, without credentials: what relative links in it refer to.
    pub final_url: Url,
    /// The `Content-Type` header in lower case, without parameters.
    pub content_type: Option<String>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.shared.settings).finish_non_exhaustive()
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("bytes", &self.bytes.len())
            .field("final_url", &redacted(&self.final_url))
            .field("content_type", &self.content_type)
            .finish()
    }
}

impl Client {
    /// Makes a client. It opens no connection yet.
    ///
    /// # Errors
    /// [`FetchError::Setting`] if the CA bundle cannot be read or holds no certificate, or the netrc text is broken.
    pub fn new(settings: &NetworkSettings) -> Result<Self, FetchError> {
        let credentials = match &settings.netrc {
            Some(text) => Credentials::from_netrc(text)?,
            None => Credentials::default(),
        };
        let transport = Transport::new(settings)?;
        let parallel = settings.parallel.clamp(1, Semaphore::MAX_PERMITS);
        Ok(Self {
            shared: Arc::new(Shared {
                settings: settings.clone(),
                transport,
                credentials: Mutex::new(credentials),
                permits: Semaphore::new(parallel),
            }),
        })
    }

    /// Remembers the user information in a URL for all requests to the same scheme, host and port, so that files of
    /// an index can be fetched from URLs that carry no credentials.
    pub fn remember_credentials(&self, url: &Url) {
        self.shared.credentials.lock().unwrap_or_else(PoisonError::into_inner).remember(url);
    }

    /// Fetches a document of at most `limit` bytes into memory. `accept` is the `Accept` header.
    ///
    /// A `file:` URL of a folder gives its `index.html`.
    ///
    /// # Errors
    /// Any [`FetchError`] but those of digests and sinks.
    pub async fn get(&self, url: &Url, limit: u64, accept: Option<&str>) -> Result<Response, FetchError> {
        if url.scheme() == "file" {
            return local_file::read(url, limit);
        }
        let wanted = Wanted { url, accept, compressed: true };
        let mut tries = self.tries(url)?;
        loop {
            match self.try_get(&wanted, limit).await {
                Ok(response) => return Ok(response),
                Err(failure) => tries.wait_after(failure).await?,
            }
        }
    }

    /// Streams a file into a sink and returns its digest and length in bytes.
    ///
    /// With `expected` or `size`, anything else is refused; the sink then holds bytes that must not be used. A
    /// transfer that breaks off begins again with an empty sink; `progress` is told of new bytes only, never of the
    /// same ones twice.
    ///
    /// # Errors
    /// Any [`FetchError`]; [`FetchError::DigestMismatch`] and [`FetchError::SizeMismatch`] come without a retry.
    pub async fn download(
        &self,
        url: &Url,
        expected: Option<&Digest>,
        size: Option<u64>,
        sink: &mut dyn Sink,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(Digest, u64), FetchError> {
        let target = Target { url, expected, size, progress };
        if url.scheme() == "file" {
            let (digest, found) = local_file::copy(url, &target, sink)?;
            return target.check(digest, found);
        }
        let wanted = Wanted { url, accept: None, compressed: false };
        let mut tries = self.tries(url)?;
        let mut reported = 0;
        loop {
            match self.try_download(&wanted, &target, sink, &mut reported).await {
                Ok((digest, found)) => return target.check(digest, found),
                Err(failure) => tries.wait_after(failure).await?,
            }
        }
    }

    async fn try_get(&self, wanted: &Wanted<'_>, limit: u64) -> Result<Response, Failure> {
        let _permit = self.shared.permits.acquire().await;
        let mut body = self.attempt().open(wanted).await?;
        let bytes = body.read_all(limit).await?;
        let bytes = decoded(bytes, &body, wanted.url, limit)?;
        Ok(Response { bytes, final_url: body.final_url().clone(), content_type: body.content_type() })
    }

    async fn try_download(
        &self,
        wanted: &Wanted<'_>,
        target: &Target<'_>,
        sink: &mut dyn Sink,
        reported: &mut u64,
    ) -> Result<(Digest, u64), Failure> {
        let _permit = self.shared.permits.acquire().await;
        let mut body = self.attempt().open(wanted).await?;
        target.receive(&mut body, sink, reported).await
    }

    /// Begins the count of attempts, unless the request may not be made at all.
    fn tries(&self, url: &Url) -> Result<Tries, FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            let why = format!("kiln does not speak `{}`; use https, http or file", url.scheme());
            return Err(FetchError::BadReply { url: redacted(url), why });
        }
        if self.shared.settings.offline {
            return Err(FetchError::Offline { url: redacted(url) });
        }
        Ok(Tries {
            url: redacted(url),
            left: self.shared.settings.attempts.max(1),
            made: 0,
            wait: FIRST_WAIT,
        })
    }

    fn attempt(&self) -> Attempt<'_> {
        Attempt {
            transport: &self.shared.transport,
            credentials: &self.shared.credentials,
            read_timeout: self.shared.settings.read_timeout,
        }
    }
}

/// Counts attempts and the time between them. No permit is held while waiting: a server in trouble must not hold up
/// requests to others.
struct Tries {
    url: String,
    left: u32,
    made: u32,
    wait: Duration,
}

impl Tries {
    /// Waits before the next attempt, or says that there is none.
    async fn wait_after(&mut self, failure: Failure) -> Result<(), FetchError> {
        self.made += 1;
        self.left -= 1;
        match failure {
            Failure::Final(error) => Err(error),
            Failure::Passing { why, .. } if self.left == 0 => {
                Err(FetchError::Unreachable { url: self.url.clone(), attempts: self.made, why })
            }
            Failure::Passing { retry_after, .. } => {
                let asked = retry_after.map(|asked| asked.min(LONGEST_RETRY_AFTER));
                tokio::time::sleep(asked.unwrap_or(self.wait)).await;
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
                Ok(())
            }
        }
    }
}

/// What a download must be.
pub(crate) struct Target<'a> {
    pub(crate) url: &'a Url,
    pub(crate) expected: Option<&'a Digest>,
    pub(crate) size: Option<u64>,
    pub(crate) progress: &'a (dyn Fn(u64) + Sync),
}

impl Target<'_> {
    async fn receive(
        &self,
        body: &mut Body,
        sink: &mut dyn Sink,
        reported: &mut u64,
    ) -> Result<(Digest, u64), Failure> {
        if let (Some(size), Some(stated)) = (self.size, body.stated_length())
            && size != stated
        {
            return Err(Failure::Final(self.size_mismatch(stated)));
        }
        sink.restart().map_err(|source| self.sink_error(source))?;
        let mut hasher = Hasher::default();
        let mut found = 0_u64;
        while let Some(chunk) = body.chunk().await? {
            found += chunk.len() as u64;
            self.check_growth(found)?;
            hasher.update(&chunk);
            sink.write_all(&chunk).map_err(|source| self.sink_error(source))?;
            if found > *reported {
                (self.progress)(found - *reported);
                *reported = found;
            }
        }
        if body.stated_length().is_none() && self.size.is_some_and(|size| found < size) {
            // Without a stated length, a connection that was cut looks like the end of the file.
            return Err(Failure::passing("the transfer ended early"));
        }
        sink.flush().map_err(|source| self.sink_error(source))?;
        Ok((hasher.finish(), found))
    }

    /// Stops a reply that is longer than it may be while it is still coming.
    pub(crate) fn check_growth(&self, found: u64) -> Result<(), FetchError> {
        match self.size {
            Some(size) if found > size => Err(self.size_mismatch(found)),
            None if found > UNSIZED_LIMIT => {
                Err(FetchError::TooLarge { url: redacted(self.url), limit: UNSIZED_LIMIT })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn sink_error(&self, source: std::io::Error) -> FetchError {
        FetchError::Sink { url: redacted(self.url), source }
    }

    fn check(&self, digest: Digest, found: u64) -> Result<(Digest, u64), FetchError> {
        match (self.size, self.expected) {
            (Some(size), _) if size != found => Err(self.size_mismatch(found)),
            (_, Some(&expected)) if expected != digest => Err(FetchError::DigestMismatch {
                url: redacted(self.url),
                file: file_name(self.url),
                expected,
                found: digest,
            }),
            _ => Ok((digest, found)),
        }
    }

    fn size_mismatch(&self, found: u64) -> FetchError {
        FetchError::SizeMismatch {
            url: redacted(self.url),
            file: file_name(self.url),
            expected: self.size.unwrap_or_default(),
            found,
        }
    }
}

/// The last component of a URL's path, decoded.
pub(crate) fn file_name(url: &Url) -> String {
    percent_decoded(url.path().rsplit('/').next().unwrap_or_default())
}

/// Undoes the compression that the client offered for the transfer, within the limit.
fn decoded(bytes: Vec<u8>, body: &Body, url: &Url, limit: u64) -> Result<Vec<u8>, Failure> {
    let bad = |why: String| Failure::Final(FetchError::BadReply { url: redacted(url), why });
    match body.content_encoding().as_deref() {
        None | Some("" | "identity") => Ok(bytes),
        Some("gzip" | "x-gzip") => {
            let mut plain = Vec::new();
            flate2::read::MultiGzDecoder::new(bytes.as_slice())
                .take(limit.saturating_add(1))
                .read_to_end(&mut plain)
                .map_err(|error| bad(format!("its gzip stream is broken: {error}")))?;
            if plain.len() as u64 > limit {
                return Err(Failure::Final(FetchError::TooLarge { url: redacted(url), limit }));
            }
            Ok(plain)
        }
        Some(other) => {
            Err(bad(format!("it is compressed with `{}`, which was not asked for", other.escape_debug())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Callers run downloads side by side on several threads.
    #[test]
    fn futures_can_move_between_threads() {
        fn sent<T: Send>(_: T) {}
        let client = Client::new(&NetworkSettings::default()).unwrap();
        let url = Url::parse("https://mirror.example/x").unwrap();
        sent(client.get(&url, 1, None));
        sent(client.download(&url, None, None, &mut Vec::new(), &|_| ()));
    }

    #[test]
    fn secrets_are_not_in_debug() {
        let settings = NetworkSettings {
            netrc: Some("machine a.example login b password hunter2".to_owned()),
            ..NetworkSettings::default()
        };
        let client = Client::new(&settings).unwrap();
        client.remember_credentials(&Url::parse("https://u:hunter2@b.example/").unwrap());
        assert!(!format!("{settings:?} {client:?}").contains("hunter2"));
    }
}
