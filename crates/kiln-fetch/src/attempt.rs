//! One attempt at one request: redirects, logins, the meaning of statuses, and a bounded body.

use crate::credentials::{Credentials, redacted_text};
use crate::transport::{Transport, innermost};
use crate::{FetchError, redacted, without_credentials};
use bytes::Bytes;
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, LOCATION, RETRY_AFTER,
};
use reqwest::{StatusCode, header};
use std::error::Error;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Redirects that one request may follow.
const REDIRECTS: usize = 10;
/// A body slower than this many bytes a second, on average, counts as stalled: a server that sends a byte now and
/// then never runs into the limit on silence.
const SLOWEST: u64 = 1 << 10;

/// Why an attempt failed.
pub(crate) enum Failure {
    /// Another attempt may succeed.
    Passing { why: String, retry_after: Option<Duration> },
    /// Nothing came for as long as a server may be silent. Whoever waited that long twice has waited long enough.
    Silent { why: String },
    /// No attempt will succeed.
    Final(FetchError),
}

/// How many attempts may follow one that failed, of those that are left.
pub(crate) fn attempts_after(failure: &Failure, left: u32) -> u32 {
    match failure {
        Failure::Passing { .. } => left,
        Failure::Silent { .. } => left.min(1),
        Failure::Final(_) => 0,
    }
}

impl Failure {
    /// The same, with the proxy that is in between, if there is one: it may be what does not answer.
    pub(crate) fn through(mut self, proxy: Option<String>) -> Self {
        if let (Some(proxy), Self::Passing { why, .. } | Self::Silent { why }) = (proxy, &mut self) {
            why.push_str(&format!("; {proxy}, so that the proxy was asked"));
        }
        self
    }

    pub(crate) fn passing(why: &str) -> Self {
        Self::Passing { why: why.to_owned(), retry_after: None }
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::Final(error)
    }
}

/// What is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) url: &'a Url,
    pub(crate) accept: Option<&'a str>,
    pub(crate) compressed: bool,
}

/// What an attempt works with.
pub(crate) struct Attempt<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) credentials: &'a Mutex<Credentials>,
    pub(crate) read_timeout: Duration,
}

impl Attempt<'_> {
    /// Sends the request and follows redirects until a server has the file.
    ///
    /// Redirects are followed here and not by the HTTP library, so that every hop gets the login of its own origin
    /// and none other's, and none leads from TLS to plain text.
    pub(crate) async fn open(&self, wanted: &Wanted<'_>) -> Result<Body, Failure> {
        let asked = redacted(wanted.url);
        let bad = |why: String| Failure::Final(FetchError::BadReply { url: asked.clone(), why });
        let mut current = wanted.url.clone();
        for _ in 0..=REDIRECTS {
            let mut request = self.transport.for_url(&current)?.get(without_credentials(&current));
            if let Some(accept) = wanted.accept {
                request = request.header(ACCEPT, accept);
            }
            request = request
                .header(ACCEPT_ENCODING, if wanted.compressed { "gzip, identity" } else { "identity" });
            let login = self.credentials.lock().unwrap_or_else(PoisonError::into_inner).login_for(&current);
            if let Some(login) = login {
                request = request.basic_auth(login.user, login.password);
            }
            let reply =
                request.send().await.map_err(|error| self.transport_failure(&asked, &current, &error))?;
            if !is_redirect(reply.status()) {
                return accepted(reply, &asked).map(|reply| {
                    Body::new(reply, asked.clone(), without_credentials(&current), self.read_timeout)
                });
            }
            let location = text_of(&reply, LOCATION)
                .ok_or_else(|| bad(format!("a redirect ({}) without a location", reply.status().as_u16())))?;
            let next = current
                .join(&location)
                .map_err(|_| bad(format!("a redirect to `{}`, which is no URL", redacted_text(&location))))?;
            let safe = match (current.scheme(), next.scheme()) {
                (_, "https") => true,
                (from, "http") => from == "http",
                _ => false,
            };
            if !safe {
                return Err(bad(format!("a redirect from {} to {}", current.scheme(), redacted(&next))));
            }
            current = next;
        }
        Err(bad(format!("more than {REDIRECTS} redirects")))
    }

    fn transport_failure(&self, asked: &str, current: &Url, error: &reqwest::Error) -> Failure {
        transport_failure(asked, self.read_timeout, error).through(self.transport.proxy_of(current))
    }
}

/// A reply whose body is still to come.
pub(crate) struct Body {
    reply: reqwest::Response,
    final_url: Url,
    asked: String,
    stated: Option<u64>,
    received: u64,
    began: Instant,
    read_timeout: Duration,
}

impl Body {
    /// The body of a reply: what was asked for, in a form for messages, and where it was found.
    pub(crate) fn new(
        reply: reqwest::Response,
        asked: String,
        final_url: Url,
        read_timeout: Duration,
    ) -> Self {
        let stated = reply.content_length();
        Self { reply, final_url, asked, stated, received: 0, began: Instant::now(), read_timeout }
    }

    /// Where it was found, without credentials.
    pub(crate) fn final_url(&self) -> &Url {
        &self.final_url
    }

    /// The length in its header, in bytes.
    pub(crate) fn stated_length(&self) -> Option<u64> {
        self.stated
    }

    /// The media type in lower case, without parameters.
    pub(crate) fn content_type(&self) -> Option<String> {
        let text = text_of(&self.reply, CONTENT_TYPE)?;
        Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// How it was compressed for the transfer.
    pub(crate) fn content_encoding(&self) -> Option<String> {
        text_of(&self.reply, CONTENT_ENCODING).map(|text| text.trim().to_ascii_lowercase())
    }

    /// The next piece, or `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, Failure> {
        let piece = self
            .reply
            .chunk()
            .await
            .map_err(|error| transport_failure(&self.asked, self.read_timeout, &error))?;
        self.received += piece.as_ref().map_or(0, |piece: &Bytes| piece.len() as u64);
        // The first silence allowed is also the time in which no pace is asked for.
        let late = self.began.elapsed().saturating_sub(self.read_timeout);
        if piece.is_some() && self.received < late.as_secs().saturating_mul(SLOWEST) {
            return Err(Failure::passing("the server sends almost nothing"));
        }
        Ok(piece)
    }

    /// The whole body, if it has at most `limit` bytes.
    pub(crate) async fn read_all(&mut self, limit: u64) -> Result<Vec<u8>, Failure> {
        let too_large = |asked: &str| FetchError::TooLarge { url: asked.to_owned(), limit };
        if self.stated.is_some_and(|stated| stated > limit) {
            return Err(too_large(&self.asked).into());
        }
        let mut bytes = Vec::new();
        while let Some(piece) = self.chunk().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > limit {
                return Err(too_large(&self.asked).into());
            }
        }
        Ok(bytes)
    }
}

/// Passes on a reply that brings the file, and says what the others mean.
fn accepted(reply: reqwest::Response, asked: &str) -> Result<reqwest::Response, Failure> {
    let status = reply.status();
    let url = asked.to_owned();
    match status {
        StatusCode::OK => Ok(reply),
        StatusCode::NOT_FOUND | StatusCode::GONE => Err(FetchError::NotFound { url }.into()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            Err(FetchError::Forbidden { url, why: format!("the server answered {status}") }.into())
        }
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Err(Failure::Passing {
            why: format!("the server answered {status}"),
            // Seconds only: the other form is a date, and kiln does not read the clock.
            retry_after: text_of(&reply, RETRY_AFTER)
                .and_then(|text| text.trim().parse().ok())
                .map(Duration::from_secs),
        }),
        other => Err(FetchError::BadReply { url, why: format!("the server answered {other}") }.into()),
    }
}

pub(crate) fn transport_failure(asked: &str, read_timeout: Duration, error: &reqwest::Error) -> Failure {
    if let Some(why) = certificate_problem(error) {
        return Failure::Final(FetchError::Untrusted { url: asked.to_owned(), why });
    }
    if error.is_timeout() {
        return Failure::Silent {
            why: match error.is_connect() {
                true => "no connection was made in time".to_owned(),
                false => format!("the server was silent for {read_timeout:?}; KILN_SILENCE allows more"),
            },
        };
    }
    Failure::passing(&innermost(error))
}

/// Finds what TLS has against a certificate in a chain of errors; `io::Error` hides its content from `source`.
fn certificate_problem(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(problem)) = error.downcast_ref::<rustls::Error>() {
            return Some(problem.to_string());
        }
        let hidden = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match hidden {
            Some(hidden) => Some(hidden as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

pub(crate) fn text_of(reply: &reqwest::Response, name: HeaderName) -> Option<String> {
    let value: &header::HeaderValue = reply.headers().get(name)?;
    value.to_str().ok().map(str::to_owned)
}
