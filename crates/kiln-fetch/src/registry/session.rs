//! Requests to one registry: logins, redirects, and answers that are bounded while they come.

use super::challenge::{Challenge, token_in};
use super::login::RegistryLogin;
use crate::attempt::{Body, Failure, is_redirect, text_of, transport_failure};
use crate::transport::Transport;
use crate::{FetchError, NetworkSettings, redacted, without_credentials};
use bytes::Bytes;
use futures_util::stream;
use kiln_record::excerpt;
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER,
};
use reqwest::{Method, StatusCode};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use url::Url;

/// Redirects that one request may follow.
const REDIRECTS: usize = 10;
/// The largest answer of a realm, in bytes: a token and when it expires.
const LARGEST_TOKEN_ANSWER: u64 = 1 << 20;
/// The most that is read of an answer that says why something was refused, in bytes.
const LARGEST_REFUSAL: u64 = 64 << 10;
/// The longest time that a whole document may take, its first byte included: it is a few megabytes at most.
const DOCUMENT_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes that are read of a file at once.
const PIECE: usize = 1 << 20;

/// What is sent along with a request.
#[derive(Clone)]
pub(super) enum Payload<'a> {
    Nothing,
    Bytes(&'a [u8]),
    /// A part of a file: its offset and its length in bytes.
    Part(&'a Path, u64, u64),
}

/// One request to the registry.
#[derive(Clone)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) accept: Option<&'a str>,
    pub(super) content_type: Option<HeaderValue>,
    pub(super) payload: Payload<'a>,
}

impl Request<'_> {
    pub(super) fn new(method: Method, url: Url) -> Self {
        Self { method, url, accept: None, content_type: None, payload: Payload::Nothing }
    }
}

/// What a token is asked for: a repository, and whether to write to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Scope {
    pub(super) repository: String,
    pub(super) to_write: bool,
}

/// What a registry answered; its body is still to come.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) location: Option<Url>,
    pub(super) link: Option<String>,
    retry_after: Option<Duration>,
    pub(super) body: Body,
}

impl Answer {
    /// The whole body, if it has at most `limit` bytes and comes in time.
    pub(super) async fn document(mut self, limit: u64) -> Result<Vec<u8>, Failure> {
        let read = self.body.read_all(limit);
        tokio::time::timeout(DOCUMENT_DEADLINE, read).await.unwrap_or_else(|_| {
            Err(Failure::Silent { why: format!("it took longer than {DOCUMENT_DEADLINE:?}") })
        })
    }

    /// Why the registry refuses: its status, and what the beginning of its answer says (distribution specification,
    /// "Error Codes").
    pub(super) async fn refusal(self, asked: &Url) -> Failure {
        let (status, retry_after) = (self.status, self.retry_after);
        let text = self.document(LARGEST_REFUSAL).await.unwrap_or_default();
        let said = said_in(&text).map(|said| format!(": {said}")).unwrap_or_default();
        let why = format!("{} answered {status}{said}", excerpt(&redacted(asked)));
        let passes = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        let url = redacted(asked);
        match status {
            _ if passes => Failure::Passing { why, retry_after },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Failure::Final(FetchError::Forbidden { url, why })
            }
            _ => Failure::Final(FetchError::BadReply { url, why }),
        }
    }
}

/// The first error that an answer names.
fn said_in(text: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        errors: Vec<Said>,
    }
    #[derive(serde::Deserialize)]
    struct Said {
        code: Option<String>,
        message: Option<String>,
    }
    let envelope: Envelope = serde_json::from_slice(text).ok()?;
    let first = envelope.errors.into_iter().next()?;
    let words: Vec<String> = [first.code, first.message].into_iter().flatten().collect();
    (!words.is_empty()).then(|| excerpt(&words.join(" ")))
}

/// Connections to one registry, with what it was told of who asks.
#[derive(Clone)]
pub(super) struct Session {
    shared: Arc<Shared>,
}

struct Shared {
    base: Url,
    transport: Transport,
    login: Option<RegistryLogin>,
    read_timeout: Duration,
    /// The `Authorization` header of each scope.
    known: Mutex<BTreeMap<Scope, HeaderValue>>,
}

/// Where a registry is asked: Docker's own is known by one name and answers at another.
fn asked_at(host: &str) -> String {
    if host == "docker.io" { format!("registry-1.{host}") } else { host.to_owned() }
}

impl Session {
    pub(super) fn new(
        scheme: &str,
        host: &str,
        settings: &NetworkSettings,
        login: Option<&RegistryLogin>,
    ) -> Result<Self, FetchError> {
        let base = Url::parse(&format!("{scheme}://{}/v2/", asked_at(host))).map_err(|error| {
            FetchError::BadReply {
                url: host.to_owned(),
                why: format!("it is no host of a registry: {error}"),
            }
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                base,
                transport: Transport::new(settings)?,
                login: login.cloned(),
                read_timeout: settings.read_timeout,
                known: Mutex::default(),
            }),
        })
    }

    /// `/v2/`, which every other address begins with.
    pub(super) fn base(&self) -> &Url {
        &self.shared.base
    }

    /// Asks once who may do what, so that a wrong login is told before anything is sent.
    pub(super) async fn log_in(&self, scope: &Scope) -> Result<(), Failure> {
        let url = self.shared.base.clone();
        let answer = self.send_once(&Request::new(Method::GET, url.clone()), &url, scope).await?;
        match answer.status() {
            StatusCode::UNAUTHORIZED => self.authorise(&answer, scope).await,
            status if status.is_server_error() => Err(self.answer(answer, &url).refusal(&url).await),
            _ => Ok(()),
        }
    }

    /// Sends a request, with a login if the registry wants one, and follows redirects. The login stays at the registry:
    /// what another host serves is checked by its digest, and needs none.
    pub(super) async fn send(&self, request: &Request<'_>, scope: &Scope) -> Result<Answer, Failure> {
        let bad = |why: String| Failure::Final(FetchError::BadReply { url: redacted(&request.url), why });
        let mut url = request.url.clone();
        let mut asked_for_login = false;
        for _ in 0..=REDIRECTS {
            let reply = self.send_once(request, &url, scope).await?;
            if reply.status() == StatusCode::UNAUTHORIZED && !asked_for_login && self.is_registry(&url) {
                asked_for_login = true;
                self.authorise(&reply, scope).await?;
                continue;
            }
            let reads = matches!(request.method, Method::GET | Method::HEAD);
            let keeps_method = matches!(reply.status().as_u16(), 307 | 308);
            if !is_redirect(reply.status()) || !(reads || keeps_method) {
                return Ok(self.answer(reply, &url));
            }
            let next = text_of(&reply, LOCATION).and_then(|location| url.join(&location).ok());
            url = next.ok_or_else(|| bad("a redirect without an address".to_owned()))?;
            self.check_protection(&url).map_err(bad)?;
        }
        Err(bad(format!("more than {REDIRECTS} redirects")))
    }

    /// No address that a registry names may be less protected than the registry.
    fn check_protection(&self, url: &Url) -> Result<(), String> {
        match (self.shared.base.scheme(), url.scheme()) {
            (_, "https") | ("http", "http") => Ok(()),
            (from, _) => Err(format!("it leads from {from} to {}", excerpt(&redacted(url)))),
        }
    }

    fn is_registry(&self, url: &Url) -> bool {
        url.origin() == self.shared.base.origin()
    }

    async fn send_once(
        &self,
        request: &Request<'_>,
        url: &Url,
        scope: &Scope,
    ) -> Result<reqwest::Response, Failure> {
        let client = self.shared.transport.for_url(url)?;
        let mut builder = client.request(request.method.clone(), without_credentials(url));
        if let Some(accept) = request.accept {
            builder = builder.header(ACCEPT, accept);
        }
        if let Some(content_type) = &request.content_type {
            builder = builder.header(CONTENT_TYPE, content_type.clone());
        }
        if self.is_registry(url) {
            let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(header) = known.get(scope) {
                builder = builder.header(AUTHORIZATION, header.clone());
            }
        }
        builder = match &request.payload {
            // Some registries want to be told that there is nothing.
            Payload::Nothing if matches!(request.method, Method::POST | Method::PUT) => {
                builder.header(CONTENT_LENGTH, 0)
            }
            Payload::Nothing => builder,
            Payload::Bytes(bytes) => builder.body(bytes.to_vec()),
            Payload::Part(path, offset, size) => {
                let body = file_part(path, *offset, *size).await;
                let source = |source| FetchError::Sink { url: path.display().to_string(), source };
                builder.header(CONTENT_LENGTH, *size).body(body.map_err(source)?)
            }
        };
        builder.send().await.map_err(|error| self.transport_failure(url, &error))
    }

    /// Does what a challenge asks for and keeps the header that comes of it.
    async fn authorise(&self, reply: &reqwest::Response, scope: &Scope) -> Result<(), Failure> {
        let registry = &self.shared.base;
        let forbidden = |why: String| Failure::Final(FetchError::Forbidden { url: redacted(registry), why });
        let challenge = Challenge::of(reply.headers(), registry).map_err(forbidden)?;
        let login = self.shared.login.as_ref();
        let header = match (challenge, login) {
            (None, _) => {
                return Err(forbidden("it wants a login of a kind that kiln does not know".to_owned()));
            }
            (Some(Challenge::Basic), None) => {
                return Err(forbidden("it wants a login; log in with docker login".to_owned()));
            }
            (Some(Challenge::Basic), Some(login)) => {
                let pair = format!("{}:{}", login.username, login.password);
                format!("Basic {}", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, pair))
            }
            (Some(Challenge::Bearer { realm, service }), login) => {
                let token = self.token(&realm, service.as_deref(), scope, login).await?;
                format!("Bearer {token}")
            }
        };
        let mut header = HeaderValue::try_from(header).map_err(|_| {
            forbidden("the login for it holds characters that no header can carry".to_owned())
        })?;
        header.set_sensitive(true);
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).insert(scope.clone(), header);
        Ok(())
    }

    /// A token of the realm, by user and password, by an identity token (which stands for both), or for nobody.
    async fn token(
        &self,
        realm: &Url,
        service: Option<&str>,
        scope: &Scope,
        login: Option<&RegistryLogin>,
    ) -> Result<String, Failure> {
        let actions = if scope.to_write { "pull,push" } else { "pull" };
        let mut fields = vec![("scope", format!("repository:{}:{actions}", scope.repository))];
        fields.extend(service.map(|service| ("service", service.to_owned())));
        let client = self.shared.transport.for_url(realm)?;
        let identity = login.and_then(|login| login.identity_token.as_deref());
        let request = if let Some(identity) = identity {
            // Distribution project, "Token Authentication", OAuth2: an identity token is a refresh token.
            fields.extend([
                ("grant_type", "refresh_token".to_owned()),
                ("client_id", "kiln".to_owned()),
                ("refresh_token", identity.to_owned()),
            ]);
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
            client.post(realm.clone()).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
        } else {
            let mut url = realm.clone();
            url.query_pairs_mut().extend_pairs(fields);
            let request = client.get(url);
            match login {
                Some(login) => request.basic_auth(&login.username, Some(&login.password)),
                None => request,
            }
        };
        let reply = request.send().await.map_err(|error| self.transport_failure(realm, &error))?;
        let answer = self.answer(reply, realm);
        if answer.status != StatusCode::OK {
            return Err(answer.refusal(realm).await);
        }
        let bytes = answer.document(LARGEST_TOKEN_ANSWER).await?;
        token_in(&bytes).map_err(|why| Failure::Final(FetchError::BadReply { url: redacted(realm), why }))
    }

    fn answer(&self, reply: reqwest::Response, url: &Url) -> Answer {
        let location = text_of(&reply, LOCATION).and_then(|location| url.join(&location).ok());
        Answer {
            status: reply.status(),
            location: location.filter(|location| self.check_protection(location).is_ok()),
            link: text_of(&reply, reqwest::header::LINK),
            retry_after: text_of(&reply, RETRY_AFTER)
                .and_then(|text| text.trim().parse().ok())
                .map(Duration::from_secs),
            body: Body::new(reply, redacted(url), without_credentials(url), self.shared.read_timeout),
        }
    }

    fn transport_failure(&self, url: &Url, error: &reqwest::Error) -> Failure {
        transport_failure(&redacted(url), self.shared.read_timeout, error)
            .through(self.shared.transport.proxy_of(url))
    }
}

/// A part of a file as the body of a request, in pieces.
async fn file_part(path: &Path, offset: u64, size: u64) -> io::Result<reqwest::Body> {
    let mut file = tokio::fs::File::open(path).await?;
    file.seek(io::SeekFrom::Start(offset)).await?;
    let pieces = stream::try_unfold(file.take(size), |mut file| async move {
        let mut piece = vec![0; PIECE];
        let length = file.read(&mut piece).await?;
        piece.truncate(length);
        io::Result::Ok((length > 0).then(|| (Bytes::from(piece), file)))
    });
    Ok(reqwest::Body::wrap_stream(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_asked_at_its_own_name_but_for_one() {
        let settings = NetworkSettings::default();
        let base = |host| Session::new("https", host, &settings, None).unwrap().base().to_string();
        assert!(base("docker.io").starts_with("https://registry-1."));
        assert_eq!(base("registry.example.org:5000"), "https://registry.example.org:5000/v2/");
    }

    #[test]
    fn what_a_registry_says_is_shown_in_part_and_without_control_characters() {
        let said = said_in(br#"{"errors":[{"code":"DENIED","message":"no \u001b[31m entry"}]}"#).unwrap();
        assert!(said.starts_with("DENIED no ") && !said.contains('\u{1b}'), "{said}");
        let long = format!("{{\"errors\":[{{\"code\":\"{}\"}}]}}", "A".repeat(60_000));
        assert!(said_in(long.as_bytes()).unwrap().chars().count() < 300);
        for nothing in [&b""[..], b"<html>", b"{\"errors\":[]}", b"{\"errors\":[{}]}"] {
            assert_eq!(said_in(nothing), None);
        }
    }
}
