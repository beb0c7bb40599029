//! What a run is given: folders, time, settings. Nothing here reads the process's environment.

use crate::base::ReadyBases;
use crate::{BuildError, Events, NamedIndexSetting};
use kiln_engine::{Engine, EngineSettings};
use kiln_fetch::{Client, CrateSetting, Index, IndexSetting, Mirror, NetworkSettings};
use kiln_record::{Digest, Epoch};
use kiln_store::{Ledger, Store, WorkspaceLock};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

/// Everything that the command line hands to a run.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The version of this kiln, with its commit where that is known, as records name it.
    pub kiln: String,
    /// The workspace.
    pub root: PathBuf,
    /// Where artifacts are published.
    pub dist: PathBuf,
    /// The workspace's own state: the ledger, the lock, what is known of source files.
    pub state: PathBuf,
    /// The store.
    pub store: PathBuf,
    /// Artifacts built side by side.
    pub jobs: usize,
    /// The time of the run. It reaches the ledger and the pin times of locks, and no artifact.
    pub now: Epoch,
    /// `SOURCE_DATE_EPOCH`.
    pub source_date_epoch: Option<Epoch>,
    /// How to reach servers.
    pub network: NetworkSettings,
    /// The Python index that the environment is configured for, used where the workspace names none.
    pub index: Option<IndexSetting>,
    /// The indexes that `kiln.toml` names.
    pub indexes: BTreeMap<String, NamedIndexSetting>,
    /// Where pip and uv are told of further indexes, none of which is asked.
    pub further_indexes: Vec<String>,
    /// The Debian mirrors of the environment, used where neither base nor workspace names one.
    pub debian_mirrors: Vec<Mirror>,
    /// The crates registry that the environment's cargo is configured for, if any; or why that cannot be told.
    pub crates: Result<Option<CrateSetting>, String>,
    /// How to reach the engine.
    pub engine: EngineSettings,
    /// Variables that a tool run on this machine needs to reach servers: certificates and proxies.
    pub tool_variables: BTreeMap<String, String>,
    /// How long to wait for another kiln in this workspace.
    pub lock_wait: Duration,
}

/// What the parts of one run share. Clients are made when they are first needed: a run in which nothing changed
/// connects to nothing.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) environment: Arc<Environment>,
    pub(crate) events: Events,
    pub(crate) store: Store,
    pub(crate) bases: Arc<ReadyBases>,
    client: Arc<OnceCell<Client>>,
    // The named indexes that were asked, with their logins.
    pub(crate) named_indexes: Arc<tokio::sync::Mutex<BTreeMap<String, Index>>>,
    engine: EngineSlot,
    // Held until the last clone is gone: work on other threads may outlive the run that was stopped.
    _lock: Arc<WorkspaceLock>,
    stopped: Arc<AtomicBool>,
    // Wheels are read whole members at a time: as many at once as there are processors, so that memory stays bounded.
    reading: Arc<Semaphore>,
    // One download at a time for each file, however many artifacts need it.
    flights: Arc<Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>>,
}

/// The engine, once something needed it; shared with whoever must clean up when the run is interrupted.
pub type EngineSlot = Arc<OnceCell<Engine>>;

impl Context {
    pub(crate) fn new(
        environment: &Environment,
        events: &Events,
        engine: EngineSlot,
        lock: WorkspaceLock,
    ) -> Result<Self, BuildError> {
        Ok(Self {
            environment: Arc::new(environment.clone()),
            events: events.clone(),
            store: Store::open(&environment.store)?,
            bases: Arc::default(),
            client: Arc::default(),
            named_indexes: Arc::default(),
            engine,
            reading: Arc::new(Semaphore::new(
                std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            )),
            flights: Arc::default(),
            _lock: Arc::new(lock),
            stopped: Arc::default(),
        })
    }

    /// Whether to go on: refuses once the run was stopped. Asked before anything that cannot be taken back.
    pub(crate) fn go_on(&self) -> Result<(), BuildError> {
        if self.stopped.load(Ordering::Acquire) { Err(BuildError::Interrupted) } else { Ok(()) }
    }

    /// A guard that stops the run's other threads when it is dropped, which a run that is interrupted does.
    pub(crate) fn stop_on_drop(&self) -> StopOnDrop {
        StopOnDrop(Arc::clone(&self.stopped))
    }

    pub(crate) fn ledger(&self) -> Ledger {
        Ledger::open(&self.environment.state.join("ledger"))
    }

    pub(crate) async fn client(&self) -> Result<&Client, BuildError> {
        let settings = &self.environment.network;
        self.client.get_or_try_init(|| async { Client::new(settings) }).await.map_err(BuildError::from)
    }

    /// The engine; the first call connects and removes what killed runs left behind.
    pub(crate) async fn engine(&self) -> Result<&Engine, BuildError> {
        let settings = &self.environment.engine;
        self.engine
            .get_or_try_init(|| async {
                let engine = Engine::connect(settings).await?;
                engine.sweep().await?;
                Ok(engine)
            })
            .await
    }

    /// Waits for a turn to read a wheel.
    pub(crate) async fn reading_turn(&self) -> Result<SemaphorePermit<'_>, BuildError> {
        self.reading.acquire().await.map_err(|_| BuildError::Interrupted)
    }

    /// Waits until no one else brings the same file, and keeps others waiting until the guard is dropped.
    pub(crate) async fn flight(&self, digest: &Digest) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(flights.entry(*digest).or_default())
        };
        lock.lock_owned().await
    }
}

/// See [`Context::stop_on_drop`].
pub(crate) struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs work that computes or reads files on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BuildError> + Send + 'static,
) -> Result<T, BuildError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(BuildError::Interrupted),
    }
}
