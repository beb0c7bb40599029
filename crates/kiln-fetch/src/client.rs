//! The client: documents in memory, and verified downloads into a sink.

use crate::attempt::{Attempt, Body, Failure, Wanted, attempts_after};
use crate::credentials::Credentials;
use crate::target::Target;
use crate::transport::Transport;
use crate::{FetchError, NetworkSettings, Response, Sink, local_file, redacted};
use kiln_record::Digest;
use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use url::Url;

/// The wait before the second attempt; it doubles each time up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait between two attempts that kiln chooses itself.
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// The longest wait that a server may ask for with `Retry-After`.
pub(crate) const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

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

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.shared.settings).finish_non_exhaustive()
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
        self.left = attempts_after(&failure, self.left - 1);
        match failure {
            Failure::Final(error) => Err(error),
            Failure::Passing { why, .. } | Failure::Silent { why } if self.left == 0 => {
                Err(FetchError::Unreachable { url: self.url.clone(), attempts: self.made, why })
            }
            Failure::Silent { .. } => Ok(()),
            Failure::Passing { retry_after, .. } => {
                let asked = retry_after.map(|asked| asked.min(LONGEST_RETRY_AFTER));
                tokio::time::sleep(asked.unwrap_or(self.wait)).await;
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
                Ok(())
            }
        }
    }
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
