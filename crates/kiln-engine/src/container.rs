//! Containers, by the labels that say whose they are.

use crate::Session;

/// A container that some kiln made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContainerInfo {
    /// The engine's name for it.
    pub container: String,
    /// The name of the run, from [`RunSpec::name`](crate::RunSpec::name).
    pub name: String,
    /// The process that made it.
    pub session: Session,
}

impl ContainerInfo {
    /// Whether its process was on the host of `here` and is gone.
    #[must_use]
    pub fn is_left_over(&self, here: &Session) -> bool {
        let theirs = &self.session;
        theirs.host == here.host && theirs.id != here.id && !Session::is_alive(theirs.pid, theirs.started)
    }
}
