//! One run: where and when it is, who is told of it, and whether it goes on.

use crate::{Environment, Event, Events, InvocationError, Rules, Variation};
use kiln_record::Epoch;
use kiln_store::{Ledger, WorkspaceLock};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// What all parts of a run share, whether they reach for a server or an engine or not. Cheap to clone.
#[derive(Clone)]
pub struct Run(Arc<Shared>);

struct Shared {
    kiln: String,
    rules: Rules,
    root: PathBuf,
    dist: PathBuf,
    state: PathBuf,
    ledger: Ledger,
    now: Epoch,
    began: Instant,
    source_date_epoch: Option<Epoch>,
    variations: BTreeSet<Variation>,
    recalls: bool,
    events: Events,
    stopped: AtomicBool,
    // Held while something is published: from its entry in the ledger until the index of `dist/` names it.
    publishing: Mutex<()>,
    // Wheels are read whole members at a time: as many at once as there are processors, so that memory stays bounded.
    reading: Semaphore,
    // Held until the last clone is gone: work on other threads may outlive the run that was stopped.
    _lock: WorkspaceLock,
}

impl Run {
    /// Begins a run in a workspace that is locked for it.
    #[must_use]
    pub fn new(environment: &Environment, events: &Events, lock: WorkspaceLock) -> Self {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self(Arc::new(Shared {
            kiln: environment.kiln.clone(),
            rules: environment.rules,
            root: environment.root.clone(),
            dist: environment.dist.clone(),
            state: environment.state.clone(),
            ledger: environment.ledger(),
            now: environment.now,
            began: Instant::now(),
            source_date_epoch: environment.source_date_epoch,
            variations: environment.trial.variations.clone(),
            recalls: environment.recalls,
            events: events.clone(),
            stopped: AtomicBool::new(false),
            publishing: Mutex::new(()),
            reading: Semaphore::new(processors),
            _lock: lock,
        }))
    }

    /// The version of this kiln, with its commit where that is known, as records name it.
    #[must_use]
    pub fn kiln(&self) -> &str {
        &self.0.kiln
    }

    /// The digests of this kiln's code.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.0.rules
    }

    /// The workspace.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// Where artifacts are published.
    #[must_use]
    pub fn dist(&self) -> &Path {
        &self.0.dist
    }

    /// The workspace's own state: the ledger, the lock, what is known of source files.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.0.state
    }

    /// The history of the workspace's builds.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.0.ledger.clone()
    }

    /// The time of the run. It reaches the ledger and the pin times of locks, and no artifact.
    #[must_use]
    pub fn now(&self) -> Epoch {
        self.0.now
    }

    /// How long it has been going on, by a clock that never goes back.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.began.elapsed()
    }

    /// `SOURCE_DATE_EPOCH`, where it is set.
    #[must_use]
    pub fn source_date_epoch(&self) -> Option<Epoch> {
        self.0.source_date_epoch
    }

    /// What is other than usual around the programs that it runs; nothing, but for a trial.
    #[must_use]
    pub fn variations(&self) -> &BTreeSet<Variation> {
        &self.0.variations
    }

    /// Whether answers of checks are taken that an earlier run was given for the same question.
    #[must_use]
    pub fn recalls(&self) -> bool {
        self.0.recalls
    }

    /// Who takes the events.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.0.events
    }

    /// Tells that something happened.
    pub fn tell(&self, event: Event) {
        self.0.events.send(event);
    }

    /// Whether to go on. Asked before anything that cannot be taken back.
    ///
    /// # Errors
    /// [`InvocationError::Interrupted`] once the run was stopped.
    pub fn go_on(&self) -> Result<(), InvocationError> {
        if self.0.stopped.load(Ordering::Acquire) { Err(InvocationError::Interrupted) } else { Ok(()) }
    }

    /// A turn to publish. Whoever has it is waited for when the run is stopped, so that nothing is left half published.
    ///
    /// # Errors
    /// [`InvocationError::Interrupted`] once the run was stopped.
    pub fn publishing_turn(&self) -> Result<MutexGuard<'_, ()>, InvocationError> {
        // It guards files, and a publication that broke off is ended by the next command.
        let turn = self.0.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        self.go_on()?;
        Ok(turn)
    }

    /// A guard that stops the run's other threads when it is dropped, which a run that is interrupted does.
    #[must_use]
    pub fn stop_on_drop(&self) -> StopOnDrop {
        StopOnDrop(self.clone())
    }

    /// Waits for a turn to read a wheel.
    ///
    /// # Errors
    /// [`InvocationError::Interrupted`] if the run ends first.
    pub async fn reading_turn(&self) -> Result<SemaphorePermit<'_>, InvocationError> {
        self.0.reading.acquire().await.map_err(|_| InvocationError::Interrupted)
    }
}

/// See [`Run::stop_on_drop`].
pub struct StopOnDrop(Run);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.stopped.store(true, Ordering::Release);
        // What is being published now takes milliseconds; nothing else begins.
        drop(self.0.0.publishing.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Takes the workspace for this process, waiting for another kiln if there is one.
///
/// # Errors
/// If another kiln does not let go of it in time, or the state folder cannot be written.
pub async fn lock(environment: &Environment, events: &Events) -> Result<WorkspaceLock, InvocationError> {
    if let Some(lock) = WorkspaceLock::try_acquire(&environment.state)? {
        return Ok(lock);
    }
    events.send(Event::WaitingForLock { holder: WorkspaceLock::holder(&environment.state)? });
    let (state, wait) = (environment.state.clone(), environment.lock_wait);
    blocking(move || Ok(WorkspaceLock::acquire(&state, wait.max(Duration::from_millis(1)))?)).await
}

/// Runs work that computes or reads files on a thread that may block.
///
/// # Errors
/// What the work returns; [`InvocationError::Interrupted`] if the runtime ends before it. A panic goes on in the caller.
pub async fn blocking<T: Send + 'static, E: From<InvocationError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(InvocationError::Interrupted.into()),
    }
}
