//! Stripping native code, each file once for all artifacts.

use crate::{CollectError, Collection, Content};
use kiln_pack::{STRIP_RULES, StripLevel, Stripped, strip_elf};
use kiln_plan::Strip;
use kiln_record::{Digest, Ecosystem, Entry, Transformation, TreePath, digest_of_value};
use kiln_store::{Memo, Store};
use serde::{Deserialize, Serialize};

/// What stripping a file gave, remembered by its digest.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Remembered {
    Smaller { digest: Digest, size: u64 },
    Unchanged,
    LeftAlone(String),
}

impl Memo for Remembered {
    const KIND: &'static str = "stripped";

    fn content(&self) -> Vec<Digest> {
        match self {
            Self::Smaller { digest, .. } => vec![*digest],
            Self::Unchanged | Self::LeftAlone(_) => Vec::new(),
        }
    }
}

/// Strips every ELF file of the artifact, its own source's too.
///
/// # Errors
/// If a file cannot be read or stored.
pub fn strip(store: &Store, level: Strip, collection: &mut Collection) -> Result<(), CollectError> {
    let (level, rule) = match level {
        Strip::None => return Ok(()),
        Strip::Debug => (StripLevel::Debug, "strip-debug"),
        Strip::Symbols => (StripLevel::Symbols, "strip-symbols"),
    };
    let candidates: Vec<(TreePath, Digest, u64)> = collection
        .tree
        .iter()
        .filter_map(|(path, entry)| match entry {
            Entry::File { digest, size, .. } => Some((path.clone(), *digest, *size)),
            Entry::Symlink { .. } => None,
        })
        .filter(|(path, ..)| {
            // Facts about wheels are remembered; own files have to be looked at.
            collection.elf.contains_key(path)
                || collection
                    .owners
                    .get(path)
                    .is_some_and(|owner| owner.ecosystem() == Ecosystem::Application)
        })
        .collect();
    let mut done = Transformation::new(rule, STRIP_RULES);
    for (path, digest, before) in candidates {
        match stripped(store, collection, &path, &digest, level, rule)? {
            Remembered::Smaller { digest: after, size } => {
                if let Some(owner) = collection.owners.get(&path) {
                    done.count(owner, before, size);
                }
                done.changed.insert(path.clone(), Some(digest));
                collection.replace(&path, after, size, Content::Stored(after));
            }
            Remembered::Unchanged => {}
            Remembered::LeftAlone(reason) => {
                done.left.insert(path, reason);
            }
        }
    }
    collection.transformations.push(done);
    Ok(())
}

fn stripped(
    store: &Store,
    collection: &Collection,
    path: &TreePath,
    digest: &Digest,
    level: StripLevel,
    rule: &str,
) -> Result<Remembered, CollectError> {
    let key = digest_of_value(&(rule, STRIP_RULES, digest))?;
    if let Some(remembered) = store.recall(&key)? {
        return Ok(remembered);
    }
    let result = match strip_elf(&collection.read(store, path)?, level) {
        Stripped::Smaller(bytes) => {
            let digest = store.put(&bytes)?;
            Remembered::Smaller { digest, size: bytes.len() as u64 }
        }
        Stripped::Unchanged => Remembered::Unchanged,
        Stripped::LeftAlone(reason) => Remembered::LeftAlone(reason.to_owned()),
    };
    store.remember(&key, &result)?;
    Ok(result)
}
