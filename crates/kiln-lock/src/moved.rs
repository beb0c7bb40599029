//! What the indexes say of distributions that a lock moves, before and after: how long their files are, and their licences.

use crate::indexes::Indexes;
use kiln_fetch::{Client, IndexFile};
use kiln_guest::Bases;
use kiln_python::{
    LockChange, Pinned, TargetEnvironment, best_sdist, best_wheel, license_in_metadata, parse_requirements,
};
use kiln_record::{Digest, DistributionName};
use std::collections::{BTreeMap, BTreeSet};

/// The longest metadata that is read, in bytes.
const LONGEST_METADATA: u64 = 2 << 20;

/// What an index says of the file that a target takes of a distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// Its length in bytes, where the index says that.
    pub bytes: Option<u64>,
    /// Its licence, where the index offers the file's metadata and that names one: an expression of SPDX, or other words in
    /// quotes.
    pub license: Option<String>,
}

/// What became of a distribution's file from one lock to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MovedFile {
    /// The file that the lock before means; none of what is new.
    pub before: Option<FileFacts>,
    /// The file that the lock means now; none of what is gone.
    pub after: Option<FileFacts>,
}

impl MovedFile {
    /// Whether both are known to have a licence, and another one.
    #[must_use]
    pub fn is_relicensed(&self) -> bool {
        let license = |facts: &Option<FileFacts>| facts.as_ref().and_then(|facts| facts.license.clone());
        matches!((license(&self.before), license(&self.after)), (Some(before), Some(after)) if before != after)
    }
}

/// Asks the indexes about everything that moved. What they do not say, or cannot be asked, is left open: it decides nothing.
pub(crate) async fn moved_files(
    bases: &Bases,
    indexes: &Indexes<'_>,
    target: &TargetEnvironment,
    (before, after): (Option<&str>, &[Pinned]),
    changes: &[LockChange],
) -> BTreeMap<DistributionName, MovedFile> {
    let Ok(client) = bases.network().client().await else { return BTreeMap::new() };
    let was: BTreeMap<DistributionName, BTreeSet<Digest>> = before
        .and_then(|text| parse_requirements("lock", text, &mut |_| None).ok())
        .into_iter()
        .flat_map(|lock| lock.distributions)
        .map(|locked| (locked.name, locked.files.iter().map(|file| file.digest).collect()))
        .collect();
    let asked = changes.iter().map(|change| {
        let was = was.get(&change.name).filter(|_| change.before.is_some());
        let is = after.iter().find(|one| one.name == change.name && change.after.is_some());
        let is: Option<BTreeSet<Digest>> = is.map(|one| one.hashes.iter().copied().collect());
        async move {
            let Ok(index) = indexes.of(bases, &change.name).await else { return None };
            let files = index.files(client, &change.name).await.ok()?;
            let of = |hashes: Option<BTreeSet<Digest>>| {
                let files = &files;
                async move { Some(facts(client, files, &hashes?, target).await) }
            };
            let (before, after) = futures_util::future::join(of(was.cloned()), of(is)).await;
            Some((change.name.clone(), MovedFile { before, after }))
        }
    });
    futures_util::future::join_all(asked).await.into_iter().flatten().collect()
}

/// How many bytes are to bring for what moved; none where an index does not say.
pub(crate) fn bytes_to_bring(
    changes: &[LockChange],
    moved: &BTreeMap<DistributionName, MovedFile>,
) -> Option<u64> {
    let new = changes.iter().filter(|change| change.after.is_some());
    new.map(|change| moved.get(&change.name)?.after.as_ref()?.bytes).sum()
}

/// What is said of the file that a target takes among those of some hashes.
async fn facts(
    client: &Client,
    files: &[IndexFile],
    hashes: &BTreeSet<Digest>,
    target: &TargetEnvironment,
) -> FileFacts {
    let is_locked = |file: &&IndexFile| file.digest.is_some_and(|digest| hashes.contains(&digest));
    let locked: Vec<&IndexFile> = files.iter().filter(is_locked).collect();
    let wheel = best_wheel(&locked, |file| &file.file_name, target).ok().copied();
    let Some(file) = wheel.or_else(|| best_sdist(&locked, |file| &file.file_name).copied()) else {
        return FileFacts::default();
    };
    FileFacts { bytes: file.size, license: license(client, file).await }
}

async fn license(client: &Client, file: &IndexFile) -> Option<String> {
    if !file.metadata {
        return None;
    }
    let mut url = file.url.clone();
    url.set_path(&format!("{}.metadata", file.url.path()));
    let answer = client.get(&url, LONGEST_METADATA, None).await.ok()?;
    license_in_metadata(&String::from_utf8_lossy(&answer.bytes))
}
