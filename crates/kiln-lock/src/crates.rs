//! `kiln lock --crates`: the archives of crates that distributions have inside, each by its digests.
//!
//! A bill of materials inside a wheel states SHA-256 at most, and of what only the bytes show it states nothing. The registry has
//! the archives: each is brought once, so that every build, with or without a network, says the same of it.

use crate::LockError;
use crate::tool::read_tools;
use kiln_guest::{Bases, EngineSlot};
use kiln_invocation::{Environment, Event, Events, lock};
use kiln_plan::{CrateArchive, NamedCrate, TOOLS_LOCK, TOOLS_LOCK_FORMAT, ToolsLock};
use kiln_record::{Defect, Digest, counted};
use kiln_store::write_atomically;
use std::collections::{BTreeMap, BTreeSet};

/// How many crates that cannot be had are told one by one.
const TOLD: usize = 5;

/// What to lock.
#[derive(Clone, Debug, Default)]
pub struct CratesLockRequest {
    /// The crates that distributions have inside.
    pub named: BTreeSet<NamedCrate>,
    /// Whether that is all of the workspace, so that others are no longer needed.
    pub is_whole: bool,
    /// Whether only to say what would be written.
    pub check: bool,
}

/// What locking crates told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CratesLock {
    /// The lock, relative to the workspace.
    pub file: String,
    /// How many crates it has.
    pub crates: usize,
    /// The crates that are new in it, as `NAME VERSION`.
    pub added: Vec<String>,
    /// The crates that are no longer in it.
    pub removed: Vec<String>,
    /// Whether the lock differs from the one that was there.
    pub differs: bool,
    /// Whether it was written.
    pub written: bool,
    /// What else should be known, such as crates that cannot be had.
    pub remarks: Vec<String>,
}

/// Locks the archives of crates that distributions of the workspace have inside. What is locked already is not asked for again;
/// what cannot be had is told, and stays as it was.
///
/// # Errors
/// If the lock that is there cannot be read, or the new one not be written.
pub async fn lock_crates(
    environment: &Environment,
    request: &CratesLockRequest,
    events: &Events,
) -> Result<CratesLock, LockError> {
    let CratesLockRequest { named, is_whole, check } = request;
    let lock = lock(environment, events).await?;
    let bases = Bases::open(environment, events, EngineSlot::default(), lock)?;
    let root = bases.run().root();
    let before = read_tools(root)?.unwrap_or(ToolsLock {
        format: TOOLS_LOCK_FORMAT,
        tool: BTreeMap::new(),
        crates: Vec::new(),
    });
    let locked: BTreeMap<(&str, &str), &CrateArchive> =
        before.crates.iter().map(|one| ((one.name.as_str(), one.version.as_str()), one)).collect();
    let wanted = wanted(named);
    let missing: Vec<NamedCrate> =
        wanted.values().filter(|one| !locked.contains_key(&key(one))).cloned().collect();
    let mut remarks = Vec::new();
    if !missing.is_empty() {
        bases.run().tell(Event::Locking { subject: counted(missing.len(), "crates"), activity: "bring" });
    }
    let mut after: BTreeMap<(String, String), CrateArchive> = BTreeMap::new();
    // Of what could not be read, nothing is known that would be no longer there.
    let stays = |key: &(&str, &str)| !*is_whole || wanted.contains_key(&(key.0.to_owned(), key.1.to_owned()));
    for (_, one) in locked.iter().filter(|(key, _)| stays(key)) {
        after.insert((one.name.clone(), one.version.clone()), (*one).clone());
    }
    match kiln_step::archives(bases.network(), &missing).await {
        Ok(archives) => {
            let mut lost = Vec::new();
            for (named, archive) in missing.iter().zip(archives) {
                match archive {
                    Ok(archive) => {
                        after.insert((archive.name.clone(), archive.version.clone()), archive);
                    }
                    Err(reason) => lost.push(format!("{} {}: {reason}", named.name, named.version)),
                }
            }
            let more = lost.len().saturating_sub(TOLD);
            remarks.extend(lost.into_iter().take(TOLD));
            remarks.extend((more > 0).then(|| format!("and {} more", counted(more, "crates"))));
        }
        // Whether the lock would change was not found out.
        Err(error) if *check => return Err(error.into()),
        Err(error) => {
            remarks.push(format!("{} cannot be had: {error}", counted(missing.len(), "crates")));
        }
    }
    for one in after.values() {
        let stated = wanted.get(&(one.name.clone(), one.version.clone())).and_then(|named| named.stated);
        remarks.extend(contradicted(one, stated));
    }
    let lock = ToolsLock { crates: after.into_values().collect(), ..before.clone() };
    let differs = lock.crates != before.crates;
    if differs && !*check {
        bases.run().go_on()?;
        let text = lock.to_toml().map_err(|error| Defect::new(error.to_string()))?;
        write_atomically(&root.join(TOOLS_LOCK), text.as_bytes())?;
    }
    let told = |some: &[CrateArchive], others: &[CrateArchive]| {
        let are_new = some.iter().filter(|one| !others.contains(one));
        are_new.map(|one| format!("{} {}", one.name, one.version)).collect()
    };
    Ok(CratesLock {
        file: TOOLS_LOCK.to_owned(),
        crates: lock.crates.len(),
        added: told(&lock.crates, &before.crates),
        removed: told(&before.crates, &lock.crates),
        differs,
        written: differs && !*check,
        remarks,
    })
}

/// Each crate once, with the digest that somebody states of it.
fn wanted(named: &BTreeSet<NamedCrate>) -> BTreeMap<(String, String), NamedCrate> {
    let mut wanted: BTreeMap<(String, String), NamedCrate> = BTreeMap::new();
    for one in named {
        let known = wanted.entry((one.name.clone(), one.version.clone())).or_insert_with(|| one.clone());
        known.stated = known.stated.or(one.stated);
    }
    wanted
}

fn key(named: &NamedCrate) -> (&str, &str) {
    (&named.name, &named.version)
}

/// That a distribution states another digest of a crate than its archive has.
fn contradicted(archive: &CrateArchive, stated: Option<Digest>) -> Option<String> {
    let stated = stated.filter(|stated| *stated != archive.digest)?;
    let CrateArchive { name, version, digest, .. } = archive;
    Some(format!("{name} {version}: the registry has {digest}, and a distribution states {stated}"))
}
