//! The engine that the binary under test uses, for tests that look at it from outside.

use kiln_engine::{Engine, EngineSettings, Session};
use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;

/// Connects as a session of this process. Such sessions are on a host of their own: no kiln takes their containers for
/// leftovers.
pub(crate) async fn engine(session: &str) -> Engine {
    let pid = std::process::id();
    let started = Session::start_of(pid);
    let id = format!("test-{session}-{pid}");
    engine_of(Session { id, host: "kiln-tests".to_owned(), pid, started }).await
}

/// Connects as any session.
pub(crate) async fn engine_of(session: Session) -> Engine {
    let variables: BTreeMap<String, String> = std::env::vars().collect();
    let variable = |name: &str| variables.get(name).filter(|value| !value.is_empty()).cloned();
    let home = variable("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let settings = EngineSettings {
        docker_host: variable("DOCKER_HOST"),
        tls_verify: variable("DOCKER_TLS_VERIFY").is_some(),
        cert_path: variable("DOCKER_CERT_PATH").map(PathBuf::from),
        config_dir: variable("DOCKER_CONFIG").map(PathBuf::from).or(home),
        context: variable("DOCKER_CONTEXT"),
        buildkit: None,
        session,
    };
    Engine::connect(&settings).await.unwrap_or_else(|error| panic!("failed to {error}"))
}

/// Runs a future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}
