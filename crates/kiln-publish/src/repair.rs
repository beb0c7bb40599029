//! `kiln verify --repair`: what is damaged is set right from what is left, and nothing is made up.

use crate::PublishError;
use crate::deployment::write_index;
use crate::document::documents;
use crate::held::held;
use crate::published::digest_of;
use crate::reference::ledger_of;
use crate::row::in_workspace;
use kiln_invocation::{Environment, read_usable_workspace};
use kiln_record::{ArtifactName, Digest};
use kiln_store::{Heads, Ledger, Store, WorkspaceLock, read_regular, settle, write_atomically};
use std::collections::{BTreeMap, BTreeSet};

/// Sets the ledger, what is published, the index and the store right, in this order, and says what was done and what could
/// not be. The lock is that of the workspace.
///
/// # Errors
/// If something cannot be read or written.
pub fn repair(environment: &Environment, _lock: &WorkspaceLock) -> Result<Vec<String>, PublishError> {
    let workspace = read_usable_workspace(&environment.root)?;
    let ledger = ledger_of(environment);
    let mut done = Vec::new();
    let heads = ledger.heads();
    let stated: Option<Heads> = heads.ok().flatten();
    let mut artifacts: BTreeSet<ArtifactName> = ledger.artifacts()?.into_iter().collect();
    artifacts.extend(stated.iter().flat_map(|heads| heads.artifacts.keys().cloned()));
    for artifact in &artifacts {
        let published = environment.dist.join(artifact.as_str()).join("record.json");
        let records =
            |digest: &Digest| read_regular(&published).ok().filter(|bytes| Digest::of(bytes) == *digest);
        done.extend(ledger.repair(artifact, environment.now, &records)?);
    }
    if ledger.restate_heads()? {
        done.push(format!("{} states the newest builds as they are now", ledger.heads_path().display()));
    }
    if environment.dist.is_dir() {
        let settled = settle(&environment.dist, &ledger)?;
        done.extend(settled.completed.iter().map(|name| format!("{name} is published, as the ledger says")));
        for artifact in &artifacts {
            if environment.dist.join(artifact.as_str()).is_dir() {
                done.extend(restore(environment, &ledger, artifact)?);
            }
        }
        if write_index(&environment.dist, &ledger, &workspace, true, &BTreeMap::new(), &[])? {
            let index = in_workspace(environment, &environment.dist.join("index.json"));
            done.push(format!("{index} is written anew"));
        }
    }
    let store = Store::open(&environment.store)?;
    store.sweep()?;
    done.extend(store.scrub()?.iter().map(|digest| {
        format!("{digest} in the store was damaged: it is removed, and made anew when needed")
    }));
    Ok(done)
}

/// Writes the record and the documents of the newest build again where the archive is still the one of that build.
fn restore(
    environment: &Environment,
    ledger: &Ledger,
    artifact: &ArtifactName,
) -> Result<Option<String>, PublishError> {
    let folder = environment.dist.join(artifact.as_str());
    let place = in_workspace(environment, &folder);
    let Ok(Some(newest)) = ledger.published(artifact) else { return Ok(None) };
    let Ok(record) = ledger.record(artifact, newest.number) else {
        return match held(ledger, &folder, artifact) {
            Ok(_) => Ok(None),
            Err(_) => Ok(Some(format!(
                "{place} is not build {}, of which the record is lost: kiln build {artifact}",
                newest.number
            ))),
        };
    };
    let all = documents(&record)?;
    let is_whole =
        all.iter().all(|(name, bytes)| read_regular(folder.join(name)).is_ok_and(|there| there == *bytes));
    for output in &record.outputs {
        let file = folder.join(&output.file_name);
        if !file.is_file() || digest_of(&file)? != (output.digest, output.size) {
            return Ok(Some(format!(
                "{place}/{} is not that of build {}, and only a build makes it again: kiln build {artifact}",
                output.file_name, newest.number
            )));
        }
    }
    if is_whole {
        return Ok(None);
    }
    // Each document is what the ledger asks for, so that a repair that breaks off has made nothing worse.
    for (name, bytes) in &all {
        write_atomically(&folder.join(name), bytes)?;
    }
    Ok(Some(format!("{place} has the documents of build {} again", newest.number)))
}
