//! The engine that the binary under test uses, for tests that look at it from outside.

use kiln_engine::{Engine, EngineError, EngineSettings, Limits, RunOutcome, RunSpec, Session};
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

/// Connects as a session of this process. Such sessions are on a host of their own: no kiln takes their containers for
/// leftovers.
pub(crate) async fn engine(session: &str) -> Engine {
    engine_of(session_of_tests(session)).await
}

/// Connects as any session.
pub(crate) async fn engine_of(session: Session) -> Engine {
    let connected = Engine::connect(&settings(variable("DOCKER_HOST"), session)).await;
    connected.unwrap_or_else(|error| panic!("failed to {error}"))
}

/// Connects to the engine at a `DOCKER_HOST`, as a session of this process.
pub(crate) async fn engine_at(docker_host: String, session: &str) -> Result<Engine, EngineError> {
    Engine::connect(&settings(Some(docker_host), session_of_tests(session))).await
}

fn session_of_tests(session: &str) -> Session {
    let pid = std::process::id();
    let started = Session::start_of(pid);
    Session { id: format!("test-{session}-{pid}"), host: "kiln-tests".to_owned(), pid, started }
}

fn settings(docker_host: Option<String>, session: Session) -> EngineSettings {
    let home = variable("HOME").map(|home| PathBuf::from(home).join(".docker"));
    EngineSettings {
        docker_host,
        tls_verify: variable("DOCKER_TLS_VERIFY").is_some(),
        cert_path: variable("DOCKER_CERT_PATH").map(PathBuf::from),
        config_dir: variable("DOCKER_CONFIG").map(PathBuf::from).or(home),
        context: variable("DOCKER_CONTEXT"),
        buildkit: None,
        silence: std::time::Duration::from_secs(20),
        session,
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::vars().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value)
}

/// Runs a future to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

/// What a short program may use. One that needs more states what.
pub(crate) fn limits() -> Limits {
    Limits {
        memory_bytes: 256 << 20,
        scratch_bytes: None,
        descriptors: None,
        pids: 64,
        cpus: None,
        output_bytes: 1 << 20,
        output_files: 1000,
        deadline: Duration::from_secs(60),
    }
}

/// What a program comes to in a session of its own, of which no container is left.
#[track_caller]
pub(crate) fn ran_in_engine(session: &str, spec: RunSpec) -> RunOutcome {
    block_on(async {
        let engine = engine(session).await;
        let outcome = engine.run(spec, |_| {}).await;
        engine.shutdown().await;
        outcome
    })
    .unwrap()
}
