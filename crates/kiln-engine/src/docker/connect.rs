//! Opening a connection, and mending requests on their way out.

use super::{Docker, Shared, causes, failed, podman, unreachable};
use crate::endpoint::{Address, Endpoint};
use crate::{EngineError, EngineSettings};
use bollard::errors::Error as BollardError;
use bollard::{API_DEFAULT_VERSION, BollardRequest, ClientVersion};
use kiln_record::excerpt;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

// Until the head of a response arrives; containers that run for hours are not concerned.
const ANSWER: Duration = Duration::from_secs(120);
const TRANSFER: Duration = Duration::from_secs(3600);
// Docker 20.10, the oldest engine that the contract suite has run against.
const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 41 };

impl Docker {
    /// Connects to the engine that the settings mean and agrees on an API version with it.
    pub(crate) async fn connect(settings: &EngineSettings) -> Result<Self, EngineError> {
        if !settings.session.has_usable_id() {
            return Err(EngineError::Settings {
                what: format!("session id `{}`", excerpt(&settings.session.id)),
                why: "use 1 to 64 letters, digits and _.-".to_owned(),
            });
        }
        let endpoint = Endpoint::of(settings)?;
        let client = open(&endpoint).map_err(|e| match e {
            missing @ BollardError::SocketNotFoundError(_) => failed(&endpoint.shown, "connect", missing),
            // Nothing was sent yet: what can fail is reading certificates and addresses.
            other => EngineError::Settings { what: endpoint.shown.clone(), why: causes(&other) },
        })?;
        let client = client.negotiate_version().await.map_err(|e| match e {
            BollardError::DockerResponseServerError { .. } => {
                failed(&endpoint.shown, "ask for the version", e)
            }
            other => unreachable(&endpoint.shown, causes(&other)),
        })?;
        let version = client.client_version();
        if version < OLDEST {
            return Err(EngineError::TooOld {
                endpoint: endpoint.shown,
                found: format!("API {version}"),
                needed: format!("API {OLDEST}"),
            });
        }
        let answer = client.version().await.map_err(|e| failed(&endpoint.shown, "ask for the version", e))?;
        let podman = match podman::version_of(&answer) {
            Some(found) if !podman::is_new_enough(found) => {
                return Err(EngineError::TooOld {
                    endpoint: endpoint.shown,
                    found: format!("Podman {found}"),
                    needed: podman::OLDEST.to_owned(),
                });
            }
            Some(_) => Some(
                podman::Host::ask(&client)
                    .await
                    .map_err(|e| failed(&endpoint.shown, "ask Podman about its machine", e))?,
            ),
            None => None,
        };
        let is_podman = podman.is_some();
        let prefix = format!("/v{version}");
        let client = client.with_request_modifier(move |request| {
            let request = mended(request, &prefix);
            if is_podman { podman::with_no_other_variables(request) } else { request }
        });
        let shared = Shared {
            transfers: client.clone().with_timeout(TRANSFER),
            client,
            endpoint: endpoint.shown,
            api_version: version.to_string(),
            version: answer,
            said: OnceCell::new(),
            podman,
            config_dir: settings.config_dir.clone(),
            buildkit: settings.buildkit,
            silence: settings.silence,
            seen: super::seen::Seen::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            live: Arc::default(),
            session: Arc::new(settings.session.clone()),
        })
    }
}

fn open(endpoint: &Endpoint) -> Result<bollard::Docker, BollardError> {
    let seconds = ANSWER.as_secs();
    match &endpoint.address {
        Address::Unix(path) => bollard::Docker::connect_with_unix(path, seconds, API_DEFAULT_VERSION),
        Address::Http(address) => bollard::Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION),
        Address::Tls { address, certificates } => bollard::Docker::connect_with_ssl(
            address,
            &certificates.key,
            &certificates.certificate,
            &certificates.authority,
            seconds,
            API_DEFAULT_VERSION,
        ),
        Address::Ssh(address) => {
            bollard::Docker::connect_with_ssh(address, seconds, API_DEFAULT_VERSION, None)
        }
    }
}

/// bollard 0.21.1 drops the version from the path, so that every engine answers in its newest form; and it writes
/// registry credentials in standard base64 where the engine expects the URL alphabet (RFC 4648, section 5).
fn mended(mut request: BollardRequest, prefix: &str) -> BollardRequest {
    let uri = request.uri();
    if !uri.path().starts_with("/v1.")
        && let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority())
    {
        let rest = uri.path_and_query().map_or("/", |text| text.as_str());
        if let Ok(versioned) = format!("{scheme}://{authority}{prefix}{rest}").parse() {
            *request.uri_mut() = versioned;
        }
    }
    for name in ["x-registry-auth", "x-registry-config"] {
        if let Some(value) = request.headers_mut().get_mut(name)
            && let Ok(text) = value.to_str()
            && let Ok(mended) = text.replace('+', "-").replace('/', "_").parse()
        {
            *value = mended;
        }
    }
    request
}
