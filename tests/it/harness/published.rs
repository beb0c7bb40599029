//! This repository's own workspace, built once for the tests that begin there.

use super::Sandbox;
use super::kept::keep;
use kiln_record::exit;
use std::sync::OnceLock;

/// The workspace with everything published. It is shared: copy it before changing it.
pub(crate) fn published_repository() -> &'static Sandbox {
    static SHARED: OnceLock<Sandbox> = OnceLock::new();
    SHARED.get_or_init(|| {
        let sandbox = Sandbox::of_repository();
        keep(sandbox.folder());
        let kiln = sandbox
            .kiln()
            .with_variable("TZ", "UTC")
            .with_variable("LC_ALL", "C")
            .in_shell("umask 022; exec \"$@\"");
        kiln.run(["build", "--all", "--jobs", "4"]).ends_with(exit::SUCCESS);
        sandbox
    })
}
