//! Ending what killed runs began: folders, ledger and index of `dist/` come to one truth.

use crate::PublishError;
use crate::deployment::{is_up_to_date, write_index};
use crate::reference::ledger_of;
use kiln_invocation::{Environment, read_usable_workspace};
use kiln_plan::Workspace;
use kiln_store::{Settled, WorkspaceLock, is_unsettled, settle};
use std::collections::BTreeMap;

/// Ends the publications of killed runs and brings the index up to date. The caller holds the workspace's lock.
///
/// # Errors
/// If something cannot be moved, removed or written.
pub fn settle_published(environment: &Environment, workspace: &Workspace) -> Result<Settled, PublishError> {
    let ledger = ledger_of(environment);
    if !environment.dist.is_dir() {
        return Ok(Settled::default());
    }
    let settled = settle(&environment.dist, &ledger)?;
    if !is_up_to_date(&environment.dist, &ledger, workspace) {
        // A record that cannot be read is told where it is used; it is left out of the index.
        match write_index(&environment.dist, &ledger, workspace, true, &BTreeMap::new(), &[]) {
            Err(PublishError::Store(kiln_store::StoreError::Record { .. })) => {}
            other => drop(other?),
        }
    }
    Ok(settled)
}

/// The same for whoever hands on what is published: where nothing is left to do, nobody is waited for and nothing is written. While
/// another kiln has the workspace, it is left to that.
///
/// # Errors
/// As [`settle_published`].
pub fn settle_for_reading(environment: &Environment) -> Result<Settled, PublishError> {
    let Ok(workspace) = read_usable_workspace(&environment.root) else { return Ok(Settled::default()) };
    let is_settled = !is_unsettled(&environment.dist)?
        && is_up_to_date(&environment.dist, &ledger_of(environment), &workspace);
    if is_settled {
        return Ok(Settled::default());
    }
    match WorkspaceLock::try_acquire(&environment.state) {
        Ok(Some(_lock)) => settle_published(environment, &workspace),
        // A workspace that cannot be written to is read as it is.
        _ => Ok(Settled::default()),
    }
}
