//! The containers of this process: known from before they exist until after they are gone, so that none is left behind
//! whatever ends the work: success, an error, a dropped future, or a signal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// All containers that this process has asked for and not yet removed.
#[derive(Debug, Default)]
pub(super) struct Live {
    stopping: AtomicBool,
    containers: Mutex<BTreeMap<String, Phase>>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The request is under way: the engine may or may not know the name.
    Creating,
    Created,
    /// Its removal is under way, and nobody waits for it but who has to.
    Removing,
}

impl Live {
    pub(super) fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Phase>> {
        // The map is valid after every statement, so a panic elsewhere cannot have left it half changed.
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, name: &str, phase: Phase) {
        self.containers().insert(name.to_owned(), phase);
        self.changed.notify_waiters();
    }

    pub(super) fn forget(&self, name: &str) {
        self.containers().remove(name);
        self.changed.notify_waiters();
    }

    /// Whether a container is on its way out.
    pub(super) fn is_removing(&self, name: &str) -> bool {
        self.containers().get(name) == Some(&Phase::Removing)
    }

    /// The containers that are on their way out.
    pub(super) fn removing(&self) -> BTreeSet<String> {
        let containers = self.containers();
        let removing = containers.iter().filter(|(_, phase)| **phase == Phase::Removing);
        removing.map(|(name, _)| name.clone()).collect()
    }

    /// Waits until no removal is under way.
    pub(super) async fn removals(&self) {
        loop {
            let changed = self.changed();
            if self.containers().values().all(|phase| *phase != Phase::Removing) {
                return;
            }
            changed.await;
        }
    }

    /// Waits for the next change from here on.
    pub(super) fn changed(&self) -> impl Future<Output = ()> + '_ {
        let mut changed = Box::pin(self.changed.notified());
        changed.as_mut().enable();
        changed
    }

    /// Refuses new containers from here on.
    pub(super) fn stop(&self) {
        // Under the lock that a creation takes, so that it sees either the flag or is seen itself.
        let _containers = self.containers();
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// Whether [`crate::Engine::shutdown`] was called.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}
