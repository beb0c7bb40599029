//! The append-only history of builds.
//!
//! Layout: `<ledger>/<artifact>/<number>/{entry.json,record.json}`, numbers from 000001. Each entry names the digest of
//! its record and the digest of the entry before it, so that a changed, lost or reordered entry is noticed. An append
//! makes a folder under another name and renames it. What the newest entries are is stated outside of them
//! ([`crate::Heads`]), and an entry that cannot be had any more has a [`LostEntry`] in its place.

use crate::atomic::{
    FOLDER_MODE, beside, create_shown, names_in, read_or_reason, remove_folder, sync_folder, write_synced,
};
use crate::lost::{Link, continues};
use crate::{Head, HeadState, Heads, LostEntry, Result, SourceLink, StoreError};
use fs_err as fs;
use kiln_record::{
    ArtifactName, Digest, Epoch, FORMAT_VERSION, FormatVersion, Record, canonical_json, counted,
};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest entry that is read, in bytes.
const MAX_ENTRY: u64 = 64 << 10;
/// The largest record that is read, in bytes: one of 65,535 files is about 25 MB.
pub(crate) const MAX_RECORD: u64 = 256 << 20;
/// What the folder of an unfinished append starts with.
const UNFINISHED: &str = ".append-";
/// One writer of the heads at a time in this process; the workspace's lock keeps other processes out.
static WRITING: Mutex<()> = Mutex::new(());
/// How often an append tries again when another process took its number.
const ATTEMPTS: usize = 8;

/// One build in the history of an artifact. The sizes are repeated from the record so that a history can be shown and
/// judged without opening records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LedgerEntry {
    /// The format version it was written under.
    pub format: FormatVersion,
    /// The artifact.
    pub artifact: ArtifactName,
    /// Its place in the history, from 1.
    pub number: u64,
    /// When it was appended, by the clock of whoever built.
    pub at: Epoch,
    /// The digest of `record.json`.
    pub record: Digest,
    /// The digest of the plan ([`Record::plan`]).
    pub plan: Digest,
    /// The digest of the tree ([`Record::tree`]).
    pub tree: Digest,
    /// The digest of the archive, if the record has one.
    pub archive: Option<Digest>,
    /// The digest of the `entry.json` before; none for the first.
    pub previous: Option<Digest>,
    /// Length of the archive in bytes, or of all layers of an image; 0 if the record has none.
    pub archive_size: u64,
    /// Sum of the sizes in the tree in bytes.
    pub unpacked_size: u64,
    /// The same of a whole image, the base included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_unpacked_size: Option<u64>,
    /// The commit that it was built of. Absent where an older kiln entered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceLink>,
    /// The folder that it was published in, relative to the workspace; the workspace's `dist` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_in: Option<String>,
}

/// The history of all artifacts of a workspace.
#[derive(Clone, Debug)]
pub struct Ledger {
    root: PathBuf,
    /// As [`LedgerEntry::published_in`] calls the folder that builds are published in now.
    folder: Option<String>,
    /// What was stated when it was read last. It is one file for all artifacts, and asked for each.
    stated: Arc<Mutex<Option<Stated>>>,
}

/// What a file with heads states, and its bytes: as long as it has these, it is not parsed again.
#[derive(Debug)]
struct Stated {
    bytes: Vec<u8>,
    heads: Arc<Heads>,
}

impl Ledger {
    /// Names the ledger's folder. It need not exist: it is made by the first append.
    #[must_use]
    pub fn open(root: &Path) -> Self {
        Self { root: root.to_owned(), folder: None, stated: Arc::default() }
    }

    /// The same ledger for builds that are published in another folder than the workspace's `dist`, named as
    /// [`LedgerEntry::published_in`] is.
    #[must_use]
    pub fn publishing_in(self, folder: Option<String>) -> Self {
        Self { folder, ..self }
    }

    /// The ledger's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the newest entries are stated: beside the ledger's folder.
    #[must_use]
    pub fn heads_path(&self) -> PathBuf {
        self.root.with_file_name(Heads::FILE)
    }

    /// Adds a build to the history, and states it as the newest one. Either the whole entry is there afterwards or nothing
    /// is; a process that ends between the two leaves an entry that continues what is stated.
    ///
    /// # Errors
    /// As [`Ledger::head`], if the newest entry cannot be built upon; [`StoreError::Io`].
    pub fn append(
        &self,
        artifact: &ArtifactName,
        record: &Record,
        at: Epoch,
        source: Option<SourceLink>,
    ) -> Result<LedgerEntry> {
        let record_json = record
            .to_json()
            .map_err(|source| StoreError::Serialize { what: format!("the record of {artifact}"), source })?;
        let folder = self.folder(artifact);
        create_shown(&self.root)?;
        create_shown(&folder)?;
        let mut attempts = 0;
        loop {
            attempts += 1;
            self.head(artifact)?;
            let (before, previous) = self.newest_link(artifact)?;
            let archive = record.archive();
            let entry = LedgerEntry {
                format: FORMAT_VERSION,
                artifact: artifact.clone(),
                number: before + 1,
                at,
                record: Digest::of(&record_json),
                plan: record.plan,
                tree: record.tree,
                archive: archive.map(|output| output.digest),
                previous,
                archive_size: record.packed_size(),
                unpacked_size: record.unpacked_size,
                image_unpacked_size: record.image.as_ref().map(|image| image.unpacked_size),
                source: source.clone(),
                published_in: self.folder.clone(),
            };
            let entry_json = canonical_json(&entry).map_err(|source| StoreError::Serialize {
                what: format!("an entry of {artifact}"),
                source,
            })?;
            let unfinished = beside(&folder, UNFINISHED, &folder_name(entry.number));
            let finished = folder.join(folder_name(entry.number));
            let renamed = fill(&unfinished, &entry_json, &record_json)
                // Renaming onto a folder that holds files fails, so a number is given once.
                .and_then(|()| std::fs::rename(&unfinished, &finished));
            match renamed {
                Ok(()) => {
                    sync_folder(&folder)?;
                    self.state_head(artifact)?;
                    return Ok(entry);
                }
                Err(error) => {
                    // The error that matters is the first; a leftover is ignored and swept.
                    let _ = remove_folder(&unfinished);
                    let taken = matches!(
                        error.kind(),
                        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
                    );
                    if !taken || attempts == ATTEMPTS {
                        return Err(crate::atomic::at(&finished, "append", error).into());
                    }
                }
            }
        }
    }

    /// The whole history of an artifact, oldest first, with the chain verified. Records are not opened; entries that are
    /// known to be lost are passed over ([`Ledger::lost`]).
    ///
    /// # Errors
    /// [`StoreError::LedgerBroken`] naming the first entry that is missing, unreadable or not the one its successor
    /// names.
    pub fn entries(&self, artifact: &ArtifactName) -> Result<Vec<LedgerEntry>> {
        Ok(self.places(artifact)?.into_iter().filter_map(Place::entry).collect())
    }

    /// The entries that are known to be lost, oldest first, with the chain verified.
    ///
    /// # Errors
    /// As [`Ledger::entries`].
    pub fn lost(&self, artifact: &ArtifactName) -> Result<Vec<LostEntry>> {
        let places = self.places(artifact)?.into_iter();
        Ok(places.filter_map(|place| if let Place::Lost(lost) = place { Some(lost) } else { None }).collect())
    }

    fn places(&self, artifact: &ArtifactName) -> Result<Vec<Place>> {
        let numbers = self.numbers(artifact)?;
        // Side by side, as there may be many; in order again, so that the first that is broken is the one that is told.
        let read: Vec<Result<(Place, Link)>> =
            numbers.par_iter().map(|number| self.place(artifact, *number)).collect();
        let mut places = Vec::with_capacity(read.len());
        let mut before: Option<Link> = None;
        for (number, read) in numbers.into_iter().zip(read) {
            let expected = places.len() as u64 + 1;
            if number != expected {
                return Err(StoreError::LedgerBroken {
                    path: self.folder(artifact).join(folder_name(expected)),
                    reason: format!("it is missing, but there is an entry {number}"),
                });
            }
            let (place, link) = read?;
            if let Err(reason) = continues(before.as_ref(), place.previous()) {
                return Err(StoreError::LedgerBroken { path: self.entry_path(artifact, number), reason });
            }
            before = Some(link);
            places.push(place);
        }
        Ok(places)
    }

    /// The newest entry of an artifact; none if it is known to be lost. Only that one is read: the chain is verified by
    /// [`Ledger::entries`].
    ///
    /// # Errors
    /// [`StoreError::LedgerBroken`] if the entry cannot be read.
    pub fn latest(&self, artifact: &ArtifactName) -> Result<Option<LedgerEntry>> {
        let newest = self.newest(artifact)?;
        Ok(newest
            .map(|number| self.place(artifact, number))
            .transpose()?
            .and_then(|(place, _)| place.entry()))
    }

    /// One entry by its number; none if it is known to be lost. Only that one and the one after it are read, which says what it was.
    ///
    /// # Errors
    /// [`StoreError::LedgerBroken`] if it cannot be read, or is not the one that its successor names.
    pub fn at(&self, artifact: &ArtifactName, number: u64) -> Result<Option<LedgerEntry>> {
        let (place, link) = self.place(artifact, number)?;
        if self.newest(artifact)?.is_some_and(|newest| newest > number) {
            let after = self.place(artifact, number + 1)?.0.previous();
            continues(Some(&link), after).map_err(|reason| StoreError::LedgerBroken {
                path: self.entry_path(artifact, number + 1),
                reason,
            })?;
        }
        Ok(place.entry())
    }

    /// The newest entry among those that were published in the folder of this ledger: the build that is to be found there. Where
    /// none was, the newest of all: what is there is a copy. None if the one looked for may be among the lost.
    ///
    /// # Errors
    /// [`StoreError::LedgerBroken`] if an entry cannot be read.
    pub fn published(&self, artifact: &ArtifactName) -> Result<Option<LedgerEntry>> {
        for number in self.numbers(artifact)?.into_iter().rev() {
            match self.place(artifact, number)?.0 {
                Place::Entry(entry) if self.is_here(&entry) => return Ok(Some(*entry)),
                Place::Entry(_) => {}
                Place::Lost(_) => return Ok(None),
            }
        }
        self.latest(artifact)
    }

    /// Whether a build was published in the folder of this ledger.
    #[must_use]
    pub fn is_here(&self, entry: &LedgerEntry) -> bool {
        entry.published_in == self.folder
    }

    /// What would be stated of an artifact if a build were its newest.
    ///
    /// # Errors
    /// [`StoreError::LedgerBroken`] if the entry cannot be read.
    pub fn head_at(&self, artifact: &ArtifactName, number: u64) -> Result<Heads> {
        let head = Head { number, entry: self.place(artifact, number)?.1.digest };
        Ok(Heads { format: Heads::FORMAT, artifacts: BTreeMap::from([(artifact.clone(), head)]) })
    }

    /// The number of the newest build of an artifact, whatever is left of it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn newest(&self, artifact: &ArtifactName) -> Result<Option<u64>> {
        Ok(self.numbers(artifact)?.last().copied())
    }

    /// Holds the newest entry of an artifact against the one that is stated as such.
    ///
    /// # Errors
    /// [`StoreError::LedgerBroken`] if it is another one, or is gone; [`StoreError::StateDamaged`] if what is stated cannot
    /// be read.
    pub fn head(&self, artifact: &ArtifactName) -> Result<HeadState> {
        let Some(heads) = self.stated()? else { return Ok(HeadState::NotStated) };
        let stated = heads.artifacts.get(artifact);
        let newest = self.newest(artifact)?.unwrap_or(0);
        let ahead = newest.checked_sub(stated.map_or(0, |head| head.number));
        let broken = |number: u64, reason: String| {
            Err(StoreError::LedgerBroken { path: self.entry_path(artifact, number.max(1)), reason })
        };
        let file = Heads::FILE;
        match (stated, ahead) {
            (None, Some(0)) => Ok(HeadState::Stated),
            (Some(head), None) => broken(
                head.number,
                format!("it is missing: {file} states {} as the newest build of {artifact}", head.number),
            ),
            (Some(head), Some(0)) => {
                let (_, link) = self.place(artifact, newest)?;
                if link.digest == head.entry {
                    return Ok(HeadState::Stated);
                }
                broken(
                    newest,
                    format!(
                        "its digest is {}, but {file} states {} for it: one of the two was changed",
                        link.digest, head.entry
                    ),
                )
            }
            (_, Some(1)) => {
                let (place, _) = self.place(artifact, newest)?;
                let before = stated.map(|head| Link { digest: head.entry, stated: None });
                match continues(before.as_ref(), place.previous()) {
                    Ok(()) => Ok(HeadState::Ahead),
                    Err(reason) => broken(newest, reason),
                }
            }
            (_, _) => broken(
                newest,
                format!(
                    "{file} states {} of {artifact}, but there are {newest}: it was set back",
                    counted(stated.map_or(0, |head| head.number), "builds")
                ),
            ),
        }
    }

    /// The newest entries that are stated; none if the file is not there.
    ///
    /// # Errors
    /// As [`Heads::from_json`]; [`StoreError::Io`].
    pub fn heads(&self) -> Result<Option<Heads>> {
        Ok(self.stated()?.map(|heads| Heads::clone(&heads)))
    }

    fn stated(&self) -> Result<Option<Arc<Heads>>> {
        let path = self.heads_path();
        let Some(bytes) = Heads::read(&path)? else { return Ok(None) };
        let mut known = self.stated.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| known.bytes == bytes) {
            return Ok(Some(Arc::clone(&known.heads)));
        }
        let heads = Arc::new(Heads::from_json(&bytes, &path)?);
        *known = Some(Stated { bytes, heads: Arc::clone(&heads) });
        Ok(Some(heads))
    }

    /// States the newest entry of one artifact. Where nothing is stated yet, that of all is.
    fn state_head(&self, artifact: &ArtifactName) -> Result<()> {
        // Nothing in memory is kept under it, so a panic of another thread leaves nothing half done.
        let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut heads = match self.heads()? {
            Some(heads) => heads,
            None => self.newest_entries()?,
        };
        if let (number, Some(entry)) = self.newest_link(artifact)? {
            heads.artifacts.insert(artifact.clone(), Head { number, entry });
        }
        heads.write(&self.heads_path())
    }

    /// The newest entries that the ledger has now; those that cannot be read are left out.
    pub(crate) fn newest_entries(&self) -> Result<Heads> {
        let mut artifacts = BTreeMap::new();
        for artifact in self.artifacts()? {
            if let Ok((number, Some(entry))) = self.newest_link(&artifact) {
                artifacts.insert(artifact, Head { number, entry });
            }
        }
        Ok(Heads { format: Heads::FORMAT, artifacts })
    }

    /// The record of one build, verified against its entry.
    ///
    /// # Errors
    /// [`StoreError::NoSuchEntry`] if there is no such build; [`StoreError::EntryLost`] if it is known to be lost;
    /// [`StoreError::LedgerBroken`] if the record is not the one that the entry names; [`StoreError::Record`] if this kiln
    /// cannot read it.
    pub fn record(&self, artifact: &ArtifactName, number: u64) -> Result<Record> {
        let entry = match self.place(artifact, number) {
            Ok((Place::Entry(entry), _)) => entry,
            Ok((Place::Lost(LostEntry { artifact, found, reason, .. }), _)) => {
                return Err(StoreError::EntryLost { artifact, number, found, reason });
            }
            // All builds are listed for the message alone: who reads each of many would list them as often.
            Err(error) => {
                let numbers = self.numbers(artifact)?;
                if numbers.binary_search(&number).is_ok() {
                    return Err(error);
                }
                let newest = numbers.last().copied();
                return Err(StoreError::NoSuchEntry { artifact: artifact.clone(), number, newest });
            }
        };
        let path = self.record_path(artifact, number);
        let bytes = read_part(&path, MAX_RECORD)?;
        let found = Digest::of(&bytes);
        if found != entry.record {
            let reason = format!("its digest is {found}, but its entry names {}", entry.record);
            return Err(StoreError::LedgerBroken { path, reason });
        }
        Record::from_json(&bytes).map_err(|source| StoreError::Record { path, source })
    }

    /// The artifacts that have a history, sorted by name.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn artifacts(&self) -> Result<Vec<ArtifactName>> {
        let mut artifacts = Vec::new();
        for artifact in self.names(&self.root)?.iter().filter_map(|name| name.parse::<ArtifactName>().ok()) {
            if !self.numbers(&artifact)?.is_empty() {
                artifacts.push(artifact);
            }
        }
        Ok(artifacts)
    }

    /// Removes what killed appends left, and returns how many there were. The caller holds the workspace's lock.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sweep(&self) -> Result<usize> {
        let mut removed = 0;
        for artifact in names_in(&self.root)? {
            let folder = self.root.join(artifact);
            if !folder.is_dir() {
                continue;
            }
            for name in names_in(&folder)?.iter().filter(|name| name.starts_with(UNFINISHED)) {
                remove_folder(&folder.join(name))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    pub(crate) fn folder(&self, artifact: &ArtifactName) -> PathBuf {
        self.root.join(artifact.as_str())
    }

    pub(crate) fn entry_path(&self, artifact: &ArtifactName, number: u64) -> PathBuf {
        self.folder(artifact).join(folder_name(number)).join("entry.json")
    }

    pub(crate) fn lost_path(&self, artifact: &ArtifactName, number: u64) -> PathBuf {
        self.folder(artifact).join(folder_name(number)).join("lost.json")
    }

    pub(crate) fn record_path(&self, artifact: &ArtifactName, number: u64) -> PathBuf {
        self.folder(artifact).join(folder_name(number)).join("record.json")
    }

    /// Where the run details of a build are; see [`crate::RunDetails`].
    pub(crate) fn run_details_path(&self, artifact: &ArtifactName, number: u64) -> PathBuf {
        self.folder(artifact).join(folder_name(number)).join("run.json")
    }

    /// Where the statement of the run is that made a build.
    pub(crate) fn run_statement_path(&self, artifact: &ArtifactName, number: u64) -> PathBuf {
        self.folder(artifact).join(folder_name(number)).join("run.intoto.jsonl")
    }

    /// The names in a folder of the ledger.
    fn names(&self, folder: &Path) -> Result<Vec<String>> {
        names_in(folder).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => {
                StoreError::Shut { folder: self.root.parent().unwrap_or(&self.root).to_owned() }
            }
            _ => error.into(),
        })
    }

    /// The numbers of an artifact's entries, ascending. Other names in the folder are not entries.
    pub(crate) fn numbers(&self, artifact: &ArtifactName) -> Result<Vec<u64>> {
        let mut numbers: Vec<u64> = self
            .names(&self.folder(artifact))?
            .iter()
            .filter_map(|name| name.parse().ok().filter(|number| folder_name(*number) == *name))
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// The number of the newest build, 0 if there is none, and what its successor names.
    pub(crate) fn newest_link(&self, artifact: &ArtifactName) -> Result<(u64, Option<Digest>)> {
        let Some(number) = self.newest(artifact)? else { return Ok((0, None)) };
        Ok((number, Some(self.place(artifact, number)?.1.digest)))
    }

    /// What is at one place of the chain, with what its successor may name.
    pub(crate) fn place(&self, artifact: &ArtifactName, number: u64) -> Result<(Place, Link)> {
        if let Some((entry, digest)) = self.entry(artifact, number)? {
            return Ok((Place::Entry(Box::new(entry)), Link { digest, stated: None }));
        }
        match LostEntry::read(&self.lost_path(artifact, number), artifact, number)? {
            Some((lost, link)) => Ok((Place::Lost(lost), link)),
            None => {
                let path = self.entry_path(artifact, number);
                Err(StoreError::LedgerBroken { path, reason: MISSING.to_owned() })
            }
        }
    }

    /// Reads one entry, with the digest of its file; none if there is no such file.
    fn entry(&self, artifact: &ArtifactName, number: u64) -> Result<Option<(LedgerEntry, Digest)>> {
        let path = self.entry_path(artifact, number);
        let broken = |reason: String| StoreError::LedgerBroken { path: path.clone(), reason };
        let Some(bytes) = read_or_reason(&path, MAX_ENTRY)?.map_err(broken)? else { return Ok(None) };
        let entry: LedgerEntry = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
        if entry.format.major != FORMAT_VERSION.major {
            return Err(StoreError::Format {
                path,
                found: entry.format.to_string(),
                known: FORMAT_VERSION.to_string(),
            });
        }
        if entry.artifact != *artifact || entry.number != number {
            return Err(broken(format!(
                "it says that it is build {} of {}, which its place contradicts",
                entry.number, entry.artifact
            )));
        }
        Ok(Some((entry, Digest::of(&bytes))))
    }
}

/// Why a place of the chain is broken that has no file.
const MISSING: &str = "it is missing";

/// Reads a file that the ledger has to have.
pub(crate) fn read_part(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let read = read_or_reason(path, limit)?.and_then(|bytes| bytes.ok_or_else(|| MISSING.to_owned()));
    read.map_err(|reason| StoreError::LedgerBroken { path: path.to_owned(), reason })
}

/// What is at one place of the chain.
pub(crate) enum Place {
    Entry(Box<LedgerEntry>),
    Lost(LostEntry),
}

impl Place {
    pub(crate) fn entry(self) -> Option<LedgerEntry> {
        if let Self::Entry(entry) = self { Some(*entry) } else { None }
    }

    pub(crate) fn previous(&self) -> Option<Digest> {
        match self {
            Self::Entry(entry) => entry.previous,
            Self::Lost(lost) => lost.previous,
        }
    }
}

fn folder_name(number: u64) -> String {
    format!("{number:06}")
}

fn fill(folder: &Path, entry: &[u8], record: &[u8]) -> io::Result<()> {
    fs::create_dir(folder)?;
    fs::set_permissions(folder, std::fs::Permissions::from_mode(FOLDER_MODE))?;
    write_synced(&folder.join("entry.json"), entry)?;
    write_synced(&folder.join("record.json"), record)?;
    sync_folder(folder)
}
