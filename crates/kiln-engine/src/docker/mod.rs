//! A Docker engine, or one that answers as Docker does, through bollard.
//!
//! bollard is pinned to one release; what works around a fault of that release says so where it is done.

mod account;
mod backend;
mod bound;
mod build;
mod build_limits;
mod connect;
mod container;
mod credentials;
mod health;
mod images;
mod live;
mod podman;
mod podman_run;
mod pull;
mod run;
mod seen;
mod sweep;

pub use credentials::registry_credentials;

use crate::{EngineError, EngineInfo, Session, Unkept};
use bollard::errors::Error as BollardError;
use bollard::models::{SystemInfo, SystemVersion};
use live::Live;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// The storage drivers with which a folder that one instruction removed and made again is empty for the next one of the classic
/// builder, as the tests have seen it (`overlayfs` is that of containerd's image store). That builder makes a layer of what the
/// driver tells of a step's container, and runs the next step on the layer. `fuse-overlayfs` does not tell that a folder is a
/// new one, so that all that was in it is there again, in later steps and in containers of the image.
const KEEP_REMOVALS: [&str; 3] = ["overlay2", "overlayfs", "vfs"];

/// The first release whose BuildKit reads a context with containerd's image store, too.
const READS_CONTEXT: u32 = 28;

/// A connection to a Docker engine. Cloning it is cheap; all clones share what they know about running containers.
#[derive(Clone, Debug)]
pub(crate) struct Docker {
    shared: Arc<Shared>,
    live: Arc<Live>,
    session: Arc<Session>,
}

#[derive(Debug)]
struct Shared {
    /// For requests that are answered at once.
    client: bollard::Docker,
    /// For uploads and loads, which are answered only when all bytes have arrived.
    transfers: bollard::Docker,
    endpoint: String,
    api_version: String,
    /// What it says about its version.
    version: SystemVersion,
    /// What it says about itself and its machine, once it was asked.
    said: OnceCell<SystemInfo>,
    /// What it says of its machine, if it is Podman.
    podman: Option<podman::Host>,
    config_dir: Option<PathBuf>,
    /// Whether BuildKit is asked for, or refused.
    buildkit: Option<bool>,
    /// How long the engine may say nothing of a registry.
    silence: std::time::Duration,
    /// The folders of this machine that containers see.
    seen: seen::Seen,
}

impl Shared {
    fn is_podman(&self) -> bool {
        self.podman.is_some()
    }
}

impl Docker {
    /// What the engine says about itself.
    pub(crate) async fn info(&self) -> Result<EngineInfo, EngineError> {
        let (info, version) = (self.said().await?, &self.shared.version);
        let architecture = info.architecture.as_ref().or(version.arch.as_ref()).cloned().unwrap_or_default();
        let platform =
            architecture.parse().map_err(|e: kiln_record::PlatformError| EngineError::Settings {
                what: self.shared.endpoint.clone(),
                why: format!("the engine's architecture {e}"),
            })?;
        let storage_driver = info.driver.clone().unwrap_or_default();
        let version = info.server_version.as_ref().or(version.version.as_ref()).cloned().unwrap_or_default();
        let mut status = info.driver_status.iter().flatten().flatten();
        let containerd_store = status.any(|word| word.starts_with("io.containerd.snapshotter"));
        Ok(EngineInfo {
            endpoint: self.shared.endpoint.clone(),
            buildkit_reads_context: !containerd_store || major(&version) >= Some(READS_CONTEXT),
            version: if self.shared.is_podman() { format!("Podman {version}") } else { version },
            api_version: self.shared.api_version.clone(),
            platform: kiln_record::Platform { architecture: platform },
            classic_keeps_removals: KEEP_REMOVALS.contains(&storage_driver.as_str()),
            storage_driver,
            cpus: info.ncpu.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1),
            memory: info.mem_total.and_then(|n| u64::try_from(n).ok()).unwrap_or(0),
            containerd_store,
            unkept: self.shared.podman.as_ref().map_or_else(|| unkept(info), podman::Host::unkept),
        })
    }

    /// What the engine says about itself and its machine. It is asked once: what changes of that concerns nobody here.
    async fn said(&self) -> Result<&SystemInfo, EngineError> {
        let ask = || async { self.shared.client.info().await };
        self.shared.said.get_or_try_init(ask).await.map_err(|e| self.failed("ask the engine about itself", e))
    }

    /// The same engine, asked by another process: containers carry the other session's labels.
    pub(crate) fn with_session(&self, session: Session) -> Self {
        Self { shared: Arc::clone(&self.shared), live: Arc::default(), session: Arc::new(session) }
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Turns a failed request into an error that names what was asked.
    fn failed(&self, action: impl Into<String>, error: BollardError) -> EngineError {
        failed(&self.shared.endpoint, action, error)
    }
}

fn failed(endpoint: &str, action: impl Into<String>, error: BollardError) -> EngineError {
    match error {
        BollardError::DockerResponseServerError { status_code, message } => {
            EngineError::Refused { action: action.into(), status: status_code, why: message }
        }
        BollardError::HyperLegacyError { err } if err.is_connect() => unreachable(endpoint, causes(&err)),
        BollardError::SocketNotFoundError(path) => EngineError::Unavailable {
            endpoint: endpoint.to_owned(),
            why: format!("there is no socket {path}"),
        },
        BollardError::RequestTimeoutError => {
            EngineError::Broken { action: action.into(), why: "the engine did not answer in time".to_owned() }
        }
        other => EngineError::Broken { action: action.into(), why: causes(&other) },
    }
}

/// That nothing answers, or that nobody is let in: the daemon runs then, and starting it changes nothing.
fn unreachable(endpoint: &str, why: String) -> EngineError {
    match why.contains("Permission denied") {
        true => EngineError::Forbidden { endpoint: endpoint.to_owned() },
        false => {
            EngineError::Unavailable { endpoint: endpoint.to_owned(), why: without_wrapping(&why).to_owned() }
        }
    }
}

/// The cause alone: which layers of the client it came through says nothing to whoever started no engine.
fn without_wrapping(why: &str) -> &str {
    let layers = ["Error in the hyper legacy client: ", "client error (Connect): ", "tcp connect error: "];
    layers.iter().fold(why, |why, layer| why.strip_prefix(layer).unwrap_or(why))
}

/// An error with everything that caused it; the outer text alone is often just `client error (Connect)`.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

/// The limits that programs of Docker do not have: it starts them all the same where nobody gave its user control groups.
fn unkept(info: &SystemInfo) -> Vec<Unkept> {
    let limits = [(Unkept::Memory, info.memory_limit), (Unkept::Processes, info.pids_limit)];
    limits.into_iter().filter(|(_, kept)| *kept == Some(false)).map(|(limit, _)| limit).collect()
}

/// The first number of a version; none of one that has none.
fn major(version: &str) -> Option<u32> {
    version.split('.').next().and_then(|first| first.parse().ok())
}

/// The HTTP status with which the engine refused, if it did.
fn status(error: &BollardError) -> Option<u16> {
    match error {
        // What Podman says of a container that goes away while it is asked about it.
        BollardError::DockerResponseServerError { status_code: 500, message }
            if message.ends_with("no such container") =>
        {
            Some(404)
        }
        BollardError::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}
