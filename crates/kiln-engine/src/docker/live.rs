//! The containers of this process: known from before they exist until after they are gone, so that none is left behind
//! whatever ends the work: success, an error, a dropped future, or a signal.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// All containers that this process has asked for and not yet removed.
#[derive(Debug, Default)]
pub(super) struct Live {
    stopping: AtomicBool,
    containers: Mutex<BTreeMap<String, Phase>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The request is under way: the engine may or may not know the name.
    Creating,
    Created,
}

impl Live {
    pub(super) fn containers(&self) -> MutexGuard<'_, BTreeMap<String, Phase>> {
        // The map is valid after every statement, so a panic elsewhere cannot have left it half changed.
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, name: &str, phase: Phase) {
        self.containers().insert(name.to_owned(), phase);
    }

    pub(super) fn forget(&self, name: &str) {
        self.containers().remove(name);
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
