//! One connection to a server: what it can do, and calls that end.

use crate::login::Headers;
use crate::notice::{Notice, Notices};
use crate::settings::RemoteSettings;
use crate::{RemoteError, Result};
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use kiln_record::{Digest, excerpt};
use reapi::capabilities_client::CapabilitiesClient;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status};

/// The most bytes of blobs in one message. gRPC's own limit is 4 MiB with all that is around them.
const BATCH: u64 = 3 << 20;
/// How often a call is made again that the server had no ear for, where nothing can be done without it. With the pauses between, that
/// is a minute: a server that is restarted needs some of it.
pub(crate) const TRIES: u32 = 11;
/// How long is waited before the first of them; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long nothing more is told of a server that does not answer: whatever is under way asks again at the same time.
const TOLD_FOR: Duration = Duration::from_secs(1);
/// After how much silence the system asks whether the other side is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A server that was asked what it can do.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) settings: RemoteSettings,
    pub(crate) address: String,
    pub(crate) channel: Channel,
    headers: Headers,
    /// How often a call is made again that it had no ear for.
    pub(crate) tries: u32,
    /// Who is told that it is asked again.
    pub(crate) notices: Notices,
    told: Arc<Mutex<Option<Instant>>>,
    /// The most bytes of blobs in one message.
    pub(crate) batch: u64,
    /// Whether it takes results.
    pub(crate) takes_results: bool,
    /// Whether it runs programs.
    pub(crate) executes: bool,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Connection {
    /// Connects, and asks what the server can do.
    pub(crate) async fn open(settings: &RemoteSettings) -> Result<Self> {
        let address = settings.address.to_string();
        let unreachable = |error: &(dyn Error + 'static)| RemoteError::Unreachable {
            address: settings.address.to_string(),
            why: chain(error),
        };
        let headers = settings.login.headers(&settings.address).await?;
        let mut endpoint = Endpoint::from_shared(settings.address.http())
            .map_err(|error| unreachable(&error))?
            .connect_timeout(settings.limits.connect)
            .tcp_keepalive(Some(KEEPALIVE));
        if settings.address.is_tls() {
            let tls = ClientTlsConfig::new().with_native_roots();
            endpoint = endpoint.tls_config(tls).map_err(|error| unreachable(&error))?;
        }
        // The limit of a connection knows nothing of TLS, nor of HTTP/2.
        let connecting = tokio::time::timeout(settings.limits.connect, endpoint.connect()).await;
        let channel = connecting
            .map_err(|_| RemoteError::Unreachable {
                address: address.clone(),
                why: format!("no connection was made within {:?}", settings.limits.connect),
            })?
            .map_err(|error| unreachable(&error))?;
        let mut this = Self {
            settings: settings.clone(),
            address,
            channel,
            headers,
            tries: 1,
            notices: Notices::none(),
            told: Arc::default(),
            batch: BATCH,
            takes_results: false,
            executes: false,
        };
        let asked = reapi::GetCapabilitiesRequest { instance_name: this.instance() };
        let capabilities = this
            .call("say what it can do", 0, || {
                let (mut client, request) =
                    (CapabilitiesClient::new(this.channel.clone()), this.request(asked.clone()));
                async move { client.get_capabilities(request).await }
            })
            .await?;
        let unfit = |why: &str| RemoteError::Unfit { address: this.address.clone(), why: why.to_owned() };
        let cache = capabilities.cache_capabilities.ok_or_else(|| unfit("it has no cache"))?;
        if !cache.digest_functions.contains(&SHA256) {
            return Err(unfit("it does not keep blobs by their SHA-256"));
        }
        if capabilities.high_api_version.is_some_and(|version| version.major < 2) {
            return Err(unfit("it speaks an older version than 2 of the Remote Execution API"));
        }
        if let Ok(stated @ 1..) = u64::try_from(cache.max_batch_total_size_bytes) {
            this.batch = this.batch.min(stated);
        }
        this.executes = capabilities.execution_capabilities.is_some_and(|can| can.exec_enabled);
        this.takes_results = cache.action_cache_update_capabilities.is_some_and(|can| can.update_enabled);
        Ok(this)
    }

    pub(crate) fn instance(&self) -> String {
        self.settings.address.instance().to_owned()
    }

    /// A message with the login.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, value) in &self.headers {
            request.metadata_mut().append(name.clone(), value.clone());
        }
        request
    }

    /// Makes a call that ends in the time that so many bytes may take. One that the server had no ear for, as it was
    /// restarted or busy, is made again.
    pub(crate) async fn call<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        what: &'static str,
        bytes: u64,
        call: impl Fn() -> F,
    ) -> Result<T> {
        let answer = self.answer(what, bytes, call).await?;
        answer.map_err(|status| self.refused(what, &status))
    }

    /// The same for what the server may not have.
    pub(crate) async fn call_for<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        what: &'static str,
        bytes: u64,
        call: impl Fn() -> F,
    ) -> Result<Option<T>> {
        match self.answer(what, bytes, call).await? {
            Ok(message) => Ok(Some(message)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(self.refused(what, &status)),
        }
    }

    async fn answer<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        what: &'static str,
        bytes: u64,
        call: impl Fn() -> F,
    ) -> Result<Result<T, Status>> {
        let limit = self.settings.limits.time_for(bytes);
        let attempt = async || match tokio::time::timeout(limit, call()).await {
            Ok(answer) => Ok(answer.map(Response::into_inner)),
            Err(_) => Err(self.late(what, limit)),
        };
        let mut tried = 0;
        loop {
            match attempt().await? {
                Err(status) if is_passing(&status) && tried < self.tries => {
                    self.asks_again(&status, tried + 1);
                    tokio::time::sleep(pause(tried)).await;
                    tried += 1;
                }
                answer => return Ok(answer),
            }
        }
    }

    /// Tells that the server is asked again, for this time and not to be told by everything else that is under way.
    pub(crate) fn asks_again(&self, status: &Status, again: u32) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_some_and(|told| told.elapsed() < TOLD_FOR) {
            return;
        }
        *told = Some(Instant::now());
        let (address, why) = (self.address.clone(), why(status));
        self.notices.send(Notice::AskedAgain { address, why, again, of: self.tries });
    }

    /// What was asked for was not done in time.
    pub(crate) fn late(&self, what: &str, limit: Duration) -> RemoteError {
        self.unreachable(format!("asked to {what}, it was not done after {limit:?}"))
    }

    /// Nothing was said to what was asked for.
    pub(crate) fn silent(&self, what: &str, limit: Duration) -> RemoteError {
        self.unreachable(format!("asked to {what}, it said nothing for {limit:?}"))
    }

    fn unreachable(&self, why: String) -> RemoteError {
        RemoteError::Unreachable { address: self.address.clone(), why }
    }

    /// What a status means.
    pub(crate) fn refused(&self, what: &'static str, status: &Status) -> RemoteError {
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                self.unreachable(excerpt(status.message()))
            }
            code => {
                let mut why = format!("{} ({code:?})", excerpt(status.message()));
                if matches!(code, Code::Unauthenticated | Code::PermissionDenied) {
                    why += "; KILN_REMOTE_TOKEN_FILE or KILN_REMOTE_CREDENTIAL_HELPER says who asks";
                }
                RemoteError::Refused { address: self.address.clone(), what, why }
            }
        }
    }

    /// What the server gave is not what it says.
    pub(crate) fn wrong(&self, why: impl Into<String>) -> RemoteError {
        RemoteError::Wrong { address: self.address.clone(), why: why.into() }
    }
}

/// What a status says, in the words of whatever is its cause ("transport error" says little).
fn why(status: &Status) -> String {
    status.source().map_or_else(|| excerpt(status.message()), chain)
}

/// Whether a status says that a connection broke, and not what became of a call.
pub(crate) fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Cancelled | Code::Unknown)
}

/// How long is waited before a call is made again that was made again so often.
pub(crate) fn pause(tried: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(1 << tried.min(16)).min(LONGEST_PAUSE)
}

/// The number of SHA-256 among the digest functions.
pub(crate) const SHA256: i32 = reapi::digest_function::Value::Sha256 as i32;

/// A digest as the API has it.
pub(crate) fn with_size(digest: &Digest, size: u64) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: i64::try_from(size).unwrap_or(i64::MAX) }
}

/// A digest of the API, if it is one.
pub(crate) fn read_digest(digest: Option<&reapi::Digest>) -> Option<(Digest, u64)> {
    let digest = digest?;
    Some((Digest::from_hex(&digest.hash).ok()?, u64::try_from(digest.size_bytes).ok()?))
}

/// A chain of errors as one line: its first message says little ("transport error").
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    excerpt(&deepest.to_string())
}
