//! This repository's own workspace, built once for the tests that begin there.

use super::Sandbox;
use kiln_record::exit;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The workspace with everything published. It is shared: copy it before changing it. It is gone with its last user.
pub(crate) fn published_repository() -> Arc<Sandbox> {
    static SHARED: Mutex<Weak<Sandbox>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sandbox) = shared.upgrade() {
        return sandbox;
    }
    let sandbox = Arc::new(Sandbox::of_repository());
    let kiln = sandbox
        .kiln()
        .with_variable("TZ", "UTC")
        .with_variable("LC_ALL", "C")
        .in_shell("umask 022; exec \"$@\"");
    kiln.run(["build", "--all", "--jobs", "4"]).ends_with(exit::SUCCESS);
    *shared = Arc::downgrade(&sandbox);
    sandbox
}
