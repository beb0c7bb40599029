//! What became of each distribution from one lock to the next.

use super::resolution::Pinned;
use crate::lock::parse_requirements;
use crate::specifier::same_version;
use kiln_record::{Digest, DistributionName};
use pep440_rs::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// What became of a distribution from one lock to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its version is newer.
    Upgraded,
    /// Its version is older.
    Downgraded,
    /// Its version is the same, its files are not.
    Rehashed,
}

impl ChangeKind {
    /// One word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Upgraded => "upgraded",
            Self::Downgraded => "downgraded",
            Self::Rehashed => "rehashed",
        }
    }
}

/// One distribution that differs between two locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockChange {
    /// The distribution.
    pub name: DistributionName,
    /// What became of it.
    pub kind: ChangeKind,
    /// Its version before.
    pub before: Option<String>,
    /// Its version now.
    pub after: Option<String>,
}

/// What differs between a lock, if there is one that can be read, and what was resolved; sorted by name.
#[must_use]
pub fn lock_changes(before: Option<&str>, after: &[Pinned]) -> Vec<LockChange> {
    let before = before.and_then(|text| parse_requirements("lock", text, &mut |_| None).ok());
    let mut old: BTreeMap<DistributionName, (String, BTreeSet<Digest>)> = before
        .into_iter()
        .flat_map(|lock| lock.distributions)
        .map(|locked| (locked.name, (locked.version, locked.files.iter().map(|file| file.digest).collect())))
        .collect();
    let mut changes = Vec::new();
    for now in after {
        let was = old.remove(&now.name);
        let kind = match &was {
            None => ChangeKind::Added,
            Some((version, hashes)) if same_version(version, &now.version) => {
                if *hashes == now.hashes {
                    continue;
                }
                ChangeKind::Rehashed
            }
            Some((version, _)) => match (Version::from_str(version), Version::from_str(&now.version)) {
                (Ok(was), Ok(is)) if is < was => ChangeKind::Downgraded,
                _ => ChangeKind::Upgraded,
            },
        };
        changes.push(LockChange {
            name: now.name.clone(),
            kind,
            before: was.map(|(version, _)| version),
            after: Some(now.version.clone()),
        });
    }
    changes.extend(old.into_iter().map(|(name, (version, _))| LockChange {
        name,
        kind: ChangeKind::Removed,
        before: Some(version),
        after: None,
    }));
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render_lock;
    use crate::resolve::resolution::tests::{header, resolution};

    #[test]
    fn changes_are_told_apart() {
        let before = render_lock(&header(Digest::of(b"")), &resolution());
        let hash = |c: &str| BTreeSet::from([Digest::from_hex(&c.repeat(64)).unwrap()]);
        let one = |name: &str, version: &str, hashes| Pinned {
            name: name.parse().unwrap(),
            extras: Vec::new(),
            version: version.to_owned(),
            hashes,
            via: BTreeSet::new(),
            index: None,
        };
        let kinds = |after: &[Pinned]| -> Vec<(String, &str)> {
            let changes = lock_changes(Some(&before), after);
            changes.iter().map(|change| (change.name.to_string(), change.kind.as_str())).collect()
        };
        let named = |rows: &[(&str, &'static str)]| -> Vec<(String, &str)> {
            rows.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
        };
        assert_eq!(kinds(&resolution()), []);
        assert_eq!(
            kinds(&[one("click", "8.1.10", hash("a")), one("idna", "3", hash("a"))]),
            named(&[("click", "upgraded"), ("idna", "added"), ("uvicorn", "removed")])
        );
        assert_eq!(
            kinds(&[one("click", "8.1.7", hash("c")), one("uvicorn", "0.9", hash("a"))]),
            named(&[("click", "rehashed"), ("uvicorn", "downgraded")])
        );
        assert_eq!(lock_changes(None, &resolution()).len(), 2);
    }
}
