//! Content-addressed blobs.

use crate::atomic::{Unfinished, at, create_private, names_in, read_bounded, sync_folder, write_synced};
use crate::presence::{Company, Presence};
use crate::run_folder::{self, RunFolder};
use crate::spool::Spool;
use crate::verified::{Look, Verified};
use crate::{Result, StoreError};
use fs_err as fs;
use kiln_record::{Digest, HashingWriter, excerpt};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What the `format` file of a store says. A store with another line is refused.
pub const STORE_FORMAT: &str = "kiln-store 1";

/// Permission bits of a blob: its content is its name, so nothing may write to it.
const BLOB_MODE: u32 = 0o444;
/// How long whoever removes from a store is waited for.
const REMOVAL: Duration = Duration::from_secs(600);
/// What is read at once of a blob whose length is not known.
const PIECE: u64 = 1 << 20;

/// The kinds of cached values that tell what is in inputs with known digests: the same whoever asks, and no result of a
/// build. A kind that is not listed is made anew by whoever wants all made anew.
const OF_BLOBS: [&str; 8] = [
    "base-layers",
    "image-contents",
    "interpreter",
    "registry-base",
    "sha512",
    "static-libraries",
    "upstream-tree",
    "wheel",
];

/// A folder of blobs and small cached values, shared by every workspace of a user. Cloning is cheap; a store may be used
/// from many threads and processes at once.
///
/// Layout: `format`, `blobs/sha256/<2 digits>/<62 digits>`, `cache/<kind>/<2 digits>/<62 digits>`, `cache/verified`,
/// `unpacked/` ([`Store::unpack`]), `workspaces/` ([`Store::note_workspace`]), `in-use`, `temp/`. A store that is made here can be looked into by its owner only: what a private index served is in it.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    /// Where results are remembered that a program made; in the store's own cache if absent.
    results: Option<PathBuf>,
    verified: Verified,
    // Made when the first file is written: a run that only reads leaves no trace.
    run: Mutex<Option<Arc<RunFolder>>>,
    _presence: Presence,
}

impl Store {
    /// Opens a store, creating its folders where there are none.
    ///
    /// # Errors
    /// [`StoreError::Format`] if a later kiln wrote it or the folder is something else; [`StoreError::Io`] if it cannot
    /// be created.
    pub fn open(root: &Path) -> Result<Self> {
        Self::opened(root, None, Company::Others, REMOVAL)
    }

    /// Opens a store for its blobs and for what is known of them, and remembers no result of an earlier run: what programs
    /// made ([`crate::Memo`] and whatever else is not known to follow from blobs alone) is kept in the folder `results`,
    /// which is on the store's disk.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_afresh(root: &Path, results: &Path) -> Result<Self> {
        create_private(results)?;
        Self::opened(root, Some(results.to_owned()), Company::Others, REMOVAL)
    }

    pub(crate) fn opened(
        root: &Path,
        results: Option<PathBuf>,
        company: Company,
        wait: Duration,
    ) -> Result<Self> {
        create_private(root)?;
        let presence = Presence::begin(root, company, wait)?;
        for folder in ["blobs/sha256", "cache", "temp"] {
            let folder = root.join(folder);
            if !folder.is_dir() {
                fs::create_dir_all(folder)?;
            }
        }
        let format = root.join("format");
        let (verified, run) = (Verified::new(&root.join("cache").join("verified")), Mutex::new(None));
        let store = Self {
            inner: Arc::new(Inner { root: root.to_owned(), results, verified, run, _presence: presence }),
        };
        let line = format!("{STORE_FORMAT}\n");
        match read_bounded(&format, 4096)? {
            Some(text) if text == line.as_bytes() => {}
            // The beginning of the line is what a disk left that was full or lost its power.
            text if text.as_deref().is_none_or(|text| line.as_bytes().starts_with(text)) => {
                let temporary = store.temporary_path()?.1;
                write_synced(&temporary, line.as_bytes())?;
                fs::rename(temporary, format)?;
                sync_folder(root)?;
            }
            None => {}
            Some(text) => {
                let found = String::from_utf8_lossy(&text);
                let found = excerpt(found.lines().next().unwrap_or_default());
                return Err(StoreError::Format { path: format, found, known: STORE_FORMAT.to_owned() });
            }
        }
        Ok(store)
    }

    /// The store's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// Where values of a kind are cached.
    pub(crate) fn cache_folder(&self, kind: &str) -> PathBuf {
        match &self.inner.results {
            Some(results) if !OF_BLOBS.contains(&kind) => results.join(kind),
            _ => self.inner.root.join("cache").join(kind),
        }
    }

    /// Whether a blob is there and is what its name says: it is read the first time that it is asked for, and again only
    /// once it may have changed. One that was damaged is removed, so that it is brought or made again;
    /// [`Store::take_damaged`] tells of it. A blob that cannot be read counts as absent.
    #[must_use]
    pub fn contains(&self, digest: &Digest) -> bool {
        matches!(self.inner.verified.look(&self.path_of(digest), digest), Ok(Look::Intact))
    }

    /// Where a blob is, or would be.
    #[must_use]
    pub fn path_of(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let (first, rest) = hex.split_at(2);
        self.inner.root.join("blobs/sha256").join(first).join(rest)
    }

    /// The blobs that were found damaged and removed since this was last asked, in the order of their finding. Whatever
    /// needs them brings or makes them again.
    #[must_use]
    pub fn take_damaged(&self) -> Vec<Digest> {
        self.inner.verified.take_damaged()
    }

    /// Opens a blob for reading, verified as by [`Store::contains`].
    ///
    /// # Errors
    /// [`StoreError::BlobMissing`] if it is not there; [`StoreError::BlobDamaged`] if it was not what its name says, in
    /// which case it is removed.
    pub fn open_blob(&self, digest: &Digest) -> Result<fs::File> {
        if let Look::Damaged(found) = self.inner.verified.look(&self.path_of(digest), digest)? {
            return Err(StoreError::BlobDamaged { digest: *digest, found });
        }
        match fs::File::open(self.path_of(digest)) {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::BlobMissing { digest: *digest, root: self.inner.root.clone() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The length of a blob in bytes, verified as by [`Store::contains`].
    ///
    /// # Errors
    /// As [`Store::open_blob`].
    pub fn size_of(&self, digest: &Digest) -> Result<u64> {
        Ok(self.open_blob(digest)?.metadata()?.len())
    }

    /// Reads a blob and verifies it.
    ///
    /// # Errors
    /// As [`Store::open_blob`].
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_blob(digest)?.read_to_end(&mut bytes)?;
        let found = Digest::of(&bytes);
        if found == *digest {
            return Ok(bytes);
        }
        self.discard(digest)?;
        Err(StoreError::BlobDamaged { digest: *digest, found })
    }

    /// Removes a blob, if it is there: for content that turned out not to be what its name says.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn discard(&self, digest: &Digest) -> Result<()> {
        self.inner.verified.forget(digest);
        match fs::remove_file(self.path_of(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Reads every blob and removes those that the disk no longer has as they were stored. Returns their digests, sorted.
    /// For when something built from the store is not what it should be.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn scrub(&self) -> Result<Vec<Digest>> {
        let mut damaged = Vec::new();
        let blobs = self.inner.root.join("blobs/sha256");
        for first in names_in(&blobs)? {
            for rest in names_in(&blobs.join(&first))? {
                let Ok(digest) = Digest::from_hex(&format!("{first}{rest}")) else { continue };
                let mut hasher = kiln_record::HashingWriter::new(io::sink());
                io::copy(&mut fs::File::open(self.path_of(&digest))?, &mut hasher)?;
                if hasher.finish().1 != digest {
                    self.discard(&digest)?;
                    damaged.push(digest);
                }
            }
        }
        damaged.sort();
        Ok(damaged)
    }

    /// Stores bytes. Bytes that are there already are not written again.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if !self.contains(&digest) {
            let mut writer = self.writer()?;
            writer.write_all(bytes)?;
            writer.commit(Some(&digest))?;
        }
        Ok(digest)
    }

    /// Stores many small files at once, and returns their digests in the same order. Waiting for the disk for each would
    /// take milliseconds a file; here it is waited for once, before any of them gets its name.
    ///
    /// # Errors
    /// [`StoreError::Io`]. Some of the files may be in the store by then, each of them whole.
    pub fn put_all<B: AsRef<[u8]>>(&self, files: &[B]) -> Result<Vec<Digest>> {
        let mut batch = self.batch();
        let digests = files.iter().map(|bytes| batch.put(bytes.as_ref())).collect::<Result<_>>()?;
        batch.commit()?;
        Ok(digests)
    }

    /// Begins a number of blobs that are waited for together.
    #[must_use]
    pub fn batch(&self) -> Batch {
        Batch { store: self.clone(), run: None, unnamed: BTreeMap::new() }
    }

    /// A file without a name, for what is written and then read, once or more often. It is gone with the value, however
    /// the run ends.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn spool(&self) -> Result<Spool> {
        let (_run, path) = self.temporary_path()?;
        Spool::create(&path)
    }

    /// Starts a blob whose digest may not be known yet.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn writer(&self) -> Result<BlobWriter> {
        let (run, path) = self.temporary_path()?;
        let file = crate::atomic::create_new(&path)?;
        Ok(BlobWriter {
            store: self.clone(),
            _run: run,
            unfinished: Unfinished(path),
            sink: HashingWriter::new(BufWriter::with_capacity(64 * 1024, file)),
        })
    }

    /// An empty folder for this run, removed with the value; what a killed run leaves is swept like unfinished files.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn temporary_folder(&self) -> Result<TemporaryFolder> {
        let (run, path) = self.temporary_path()?;
        fs::create_dir(&path)?;
        Ok(TemporaryFolder { path, _run: run })
    }

    /// Removes unfinished files that killed runs left, and returns how many runs there were. Living runs are spared.
    /// Unpacked trees that were not used for two weeks go, too.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sweep(&self) -> Result<usize> {
        crate::sweep_unfinished(&self.inner.root.join("cache"))?;
        self.sweep_unpacked()?;
        Ok(run_folder::sweep(&self.inner.root.join("temp"))?)
    }

    /// A new path in this run's folder, with what keeps the folder alive.
    pub(crate) fn temporary_path(&self) -> Result<(Arc<RunFolder>, PathBuf)> {
        // A panic of another thread cannot leave the option half written.
        let mut slot = self.inner.run.lock().unwrap_or_else(PoisonError::into_inner);
        let run = match &*slot {
            Some(run) => Arc::clone(run),
            None => {
                let run = Arc::new(RunFolder::create(&self.inner.root.join("temp"))?);
                *slot = Some(Arc::clone(&run));
                run
            }
        };
        let path = run.new_path();
        Ok((run, path))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.verified.save();
    }
}

/// See [`Store::temporary_folder`].
#[derive(Debug)]
pub struct TemporaryFolder {
    path: PathBuf,
    _run: Arc<RunFolder>,
}

impl TemporaryFolder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next sweep.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// A blob being written. It hashes what it is given; dropped before [`BlobWriter::commit`], it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    // Keeps the run's folder alive if the store is dropped first.
    _run: Arc<RunFolder>,
    unfinished: Unfinished,
    sink: HashingWriter<BufWriter<fs::File>>,
}

impl BlobWriter {
    /// Bytes given so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.sink.written()
    }

    /// Puts the blob into the store and returns its digest and length in bytes.
    ///
    /// # Errors
    /// [`StoreError::DigestMismatch`] if the content is not the expected one; [`StoreError::Io`]. Either way nothing is
    /// kept.
    pub fn commit(self, expected: Option<&Digest>) -> Result<(Digest, u64)> {
        let (buffer, found, size) = self.sink.finish();
        if let Some(expected) = expected
            && *expected != found
        {
            return Err(StoreError::DigestMismatch { expected: *expected, found });
        }
        let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
        let target = self.store.path_of(&found);
        if !self.store.contains(&found) {
            file.set_permissions(std::fs::Permissions::from_mode(BLOB_MODE))?;
            file.sync_data()?;
            give_name(&self.unfinished, &target)?;
            self.store.inner.verified.trust(found, size);
        }
        Ok((found, size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// Blobs on their way into a store; see [`Store::batch`]. They are in it once [`Batch::commit`] is done. Dropped before, it
/// leaves nothing.
#[derive(Debug)]
pub struct Batch {
    store: Store,
    // Keeps the run's folder alive if the store is dropped first.
    run: Option<Arc<RunFolder>>,
    /// Sorted, and each digest once.
    unnamed: BTreeMap<Digest, (Unfinished, u64)>,
}

impl Batch {
    /// Adds bytes. Bytes that are there already are not written again.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn put(&mut self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::of(bytes);
        if !self.has(&digest) {
            let (unfinished, mut file) = self.begin()?;
            file.write_all(bytes)?;
            self.end(digest, (unfinished, bytes.len() as u64), &file)?;
        }
        Ok(digest)
    }

    /// Adds what a reader gives, and says how long it is. Only a piece of it is in memory at a time.
    ///
    /// # Errors
    /// [`StoreError::Io`], also if it is the reader that fails.
    pub fn put_from(&mut self, reader: &mut impl Read) -> Result<(Digest, u64)> {
        let mut first = Vec::new();
        reader.by_ref().take(PIECE).read_to_end(&mut first)?;
        if (first.len() as u64) < PIECE {
            return Ok((self.put(&first)?, first.len() as u64));
        }
        let (unfinished, file) = self.begin()?;
        let mut sink = HashingWriter::new(BufWriter::with_capacity(64 * 1024, file));
        io::copy(&mut first.as_slice().chain(reader), &mut sink)?;
        let (buffer, digest, size) = sink.finish();
        let file = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
        if !self.has(&digest) {
            self.end(digest, (unfinished, size), &file)?;
        }
        Ok((digest, size))
    }

    /// Waits for the disk, and gives each blob its name.
    ///
    /// # Errors
    /// [`StoreError::Io`]. Some of the blobs may be in the store by then, each of them whole.
    pub fn commit(self) -> Result<()> {
        if !self.unnamed.is_empty() {
            sync_file_system(self.store.root())?;
        }
        for (digest, (unfinished, size)) in self.unnamed {
            give_name(&unfinished, &self.store.path_of(&digest))?;
            self.store.inner.verified.trust(digest, size);
        }
        Ok(())
    }

    fn has(&self, digest: &Digest) -> bool {
        self.unnamed.contains_key(digest) || self.store.contains(digest)
    }

    fn begin(&mut self) -> Result<(Unfinished, fs::File)> {
        let (folder, path) = self.store.temporary_path()?;
        self.run = Some(folder);
        let file = crate::atomic::create_new(&path)?;
        Ok((Unfinished(path), file))
    }

    fn end(&mut self, digest: Digest, written: (Unfinished, u64), file: &fs::File) -> Result<()> {
        file.set_permissions(std::fs::Permissions::from_mode(BLOB_MODE))?;
        self.unnamed.insert(digest, written);
        Ok(())
    }
}

/// Makes a complete file a blob. Two runs may do so with the same content: the second replaces a blob by its equal.
fn give_name(unfinished: &Unfinished, target: &Path) -> io::Result<()> {
    if let Some(folder) = target.parent()
        && !folder.is_dir()
    {
        fs::create_dir_all(folder)?;
    }
    fs::rename(&unfinished.0, target)
}

/// Waits until everything written to the file system of a folder is on its disk.
fn sync_file_system(folder: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(fs::File::open(folder)?.file()).map_err(|error| at(folder, "sync", error))?;
    // Elsewhere there is only the call for all file systems at once.
    #[cfg(not(target_os = "linux"))]
    rustix::fs::sync();
    Ok(())
}
