//! Publishing an artifact's folder in one step, which comes after its entry in the ledger.
//!
//! The order is: the new folder is complete and on the disk ([`Publication::seal`]); the ledger has its entry; the folder
//! takes the place of the old one ([`Sealed::place`]). The entry is what decides. A process that ends before it has
//! published nothing, and one that ends after it has a complete folder lying ready: [`settle`] puts that in its place.

use crate::atomic::{
    FILE_MODE, FOLDER_MODE, at, create_new, names_in, read_bounded, remove_folder, sweep_unfinished,
    sync_all, sync_folder,
};
use crate::{Ledger, Result, StoreError};
use fs_err as fs;
use kiln_record::{ArtifactName, Digest, HashingWriter, IndexRecord, excerpt};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What the folder of an unfinished publication starts with.
const STAGING: &str = ".staging-";
/// What a published folder is called for the moment of its replacement, on file systems that cannot exchange two names.
const REPLACED: &str = ".replaced-";

/// The folder of an OCI layout in a published folder, and those in it.
const LAYOUT: &str = "oci";
const LAYOUT_FOLDER: &str = "oci/blobs";
const LAYOUT_BLOBS: &str = "oci/blobs/sha256";

/// The largest file of sums that is read, in bytes.
const MAX_SUMS: u64 = 64 << 20;

/// The next content of `<dist>/<artifact>/`, invisible until committed. Dropped before that, it leaves nothing: no `dist` either,
/// if that was made for it.
///
/// All files get mode 0644 and the folders 0755, whatever the umask. A file may be in the folder of an OCI layout:
/// `oci/blobs/sha256/<digest>`.
#[derive(Debug)]
pub struct Publication {
    dist: PathBuf,
    artifact: ArtifactName,
    staging: PathBuf,
    file_names: BTreeSet<String>,
    /// Whether the folder that it is in was made for it.
    made_dist: bool,
}

impl Publication {
    /// Starts with an empty folder beside the published one. Creates `dist` if need be.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn begin(dist: &Path, artifact: &ArtifactName) -> Result<Self> {
        let staging = dist.join(format!("{STAGING}{artifact}-{}", std::process::id()));
        let mut made_dist = false;
        let mut begin = || {
            if !dist.is_dir() {
                fs::create_dir_all(dist)?;
                made_dist = true;
                fs::set_permissions(dist, std::fs::Permissions::from_mode(FOLDER_MODE))?;
            }
            // The workspace's lock is held, so a folder of this name is what a killed process with our id left.
            remove_folder(&staging)?;
            fs::create_dir(&staging)?;
            fs::set_permissions(&staging, std::fs::Permissions::from_mode(FOLDER_MODE))
        };
        loop {
            match begin() {
                // What was begun beside it was dropped at this moment, and took the empty folder with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !dist.is_dir() => {}
                begun => break begun?,
            }
        }
        let (dist, file_names) = (dist.to_owned(), BTreeSet::new());
        Ok(Self { dist, artifact: artifact.clone(), staging, file_names, made_dist })
    }

    /// Adds a file.
    ///
    /// # Errors
    /// As [`Publication::create`].
    pub fn write(&mut self, file_name: &str, bytes: &[u8]) -> Result<()> {
        self.create(file_name)?.write_all(bytes)?;
        Ok(())
    }

    /// Adds a file for the caller to fill before the commit.
    ///
    /// # Errors
    /// [`StoreError::FileName`] if the name is neither a plain file name nor that of a file in a layout;
    /// [`StoreError::Io`] if it is taken.
    pub fn create(&mut self, file_name: &str) -> Result<fs::File> {
        let plain = !file_name.is_empty()
            && file_name.len() <= 255
            && !file_name.starts_with('.')
            && !file_name.contains(|c: char| c == '/' || c.is_control());
        let in_layout = file_name.strip_prefix(LAYOUT).and_then(|rest| rest.strip_prefix('/'));
        if !plain && !in_layout.is_some_and(is_of_layout) {
            return Err(StoreError::FileName(excerpt(file_name)));
        }
        for (end, _) in file_name.match_indices('/') {
            let folder = self.staging.join(&file_name[..end]);
            if !folder.is_dir() {
                fs::create_dir(&folder)?;
                fs::set_permissions(&folder, std::fs::Permissions::from_mode(FOLDER_MODE))?;
            }
        }
        let file = create_new(&self.staging.join(file_name))?;
        self.file_names.insert(file_name.to_owned());
        Ok(file)
    }

    /// Brings everything to the disk, and makes sure that the folder can take its place. Nothing is visible yet.
    ///
    /// # Errors
    /// [`StoreError::NotPublished`] if what is in its place is none of ours; [`StoreError::Io`].
    pub fn seal(self) -> Result<Sealed> {
        let files: Vec<PathBuf> = self.file_names.iter().map(|name| self.staging.join(name)).collect();
        for file in &files {
            fs::set_permissions(file, std::fs::Permissions::from_mode(FILE_MODE))?;
        }
        let layout = [LAYOUT_BLOBS, LAYOUT_FOLDER, LAYOUT].map(|folder| self.staging.join(folder));
        let folders = layout.into_iter().filter(|folder| folder.is_dir());
        let folders = folders.chain([self.staging.clone(), self.dist.clone()]);
        sync_all(&files.into_iter().chain(folders).collect::<Vec<_>>())?;
        let sealed = Sealed(self);
        sealed.0.is_replaceable()?;
        Ok(sealed)
    }

    /// Publishes something that has no entry in the ledger: [`Publication::seal`] and [`Sealed::place`].
    ///
    /// # Errors
    /// As those two.
    pub fn commit(self) -> Result<()> {
        self.seal()?.place()
    }

    /// Whether something is published already, which may be replaced.
    fn is_replaceable(&self) -> Result<bool> {
        let published = self.published();
        match fs::symlink_metadata(&published) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
            Ok(_) if !self.is_ours(&published)? => Err(StoreError::NotPublished(published)),
            Ok(_) => Ok(true),
        }
    }

    fn published(&self) -> PathBuf {
        self.dist.join(self.artifact.as_str())
    }

    /// Whether a folder holds an earlier publication of this artifact: a record of it or of its index, and nothing but plain files. What
    /// somebody else put there is never replaced.
    fn is_ours(&self, published: &Path) -> io::Result<bool> {
        #[derive(serde::Deserialize)]
        struct Head {
            artifact: ArtifactName,
        }
        if !fs::symlink_metadata(published)?.is_dir() {
            return Ok(false);
        }
        for name in names_in(published)? {
            let path = published.join(&name);
            let ours = fs::symlink_metadata(&path)?.is_file() || (name == LAYOUT && is_layout(&path)?);
            if !ours {
                return Ok(false);
            }
        }
        // A record that was damaged since is still a sign of ours; the folder of another artifact is not.
        let mut record = read_bounded(&published.join("record.json"), 1 << 30)?;
        if record.is_none() {
            record = read_bounded(&published.join(IndexRecord::FILE), 1 << 30)?;
        }
        let Some(record) = record else { return Ok(names_in(published)?.is_empty()) };
        Ok(serde_json::from_slice::<Head>(&record).map_or(true, |head| head.artifact == self.artifact))
    }

    fn replace(&self, published: &Path) -> io::Result<()> {
        match renameat_with(CWD, &self.staging, CWD, published, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(()),
            // Some network and user-space file systems cannot exchange. Two renames then leave a moment without the
            // folder; `settle` brings the old one back if the process dies in it.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
                self.replace_in_two_steps(published)
            }
            Err(error) => Err(at(published, "replace", error)),
        }
    }

    fn replace_in_two_steps(&self, published: &Path) -> io::Result<()> {
        let aside = self.dist.join(format!("{REPLACED}{}", self.artifact));
        remove_folder(&aside)?;
        fs::rename(published, &aside)?;
        if let Err(error) = fs::rename(&self.staging, published) {
            fs::rename(&aside, published)?;
            return Err(error);
        }
        remove_folder(&aside)
    }
}

/// A complete folder that is on the disk and not yet in its place. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Sealed(Publication);

impl Sealed {
    /// Where its files are until it is placed.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.staging
    }

    /// Replaces the published folder. A reader sees the old folder or the new one; after a crash one of the two is there.
    ///
    /// # Errors
    /// [`StoreError::NotPublished`], [`StoreError::Io`]. The folder then stays where it is, for [`settle`]: the ledger has
    /// its entry already.
    pub fn place(self) -> Result<()> {
        let placed = self.replace();
        match placed {
            // After an exchange the old folder has the staging name: dropping `self` removes it.
            Ok(()) => drop(self),
            Err(_) => std::mem::forget(self),
        }
        placed
    }

    fn replace(&self) -> Result<()> {
        let (publication, published) = (&self.0, self.0.published());
        if publication.is_replaceable()? {
            publication.replace(&published)?;
        } else {
            fs::rename(&publication.staging, &published)?;
        }
        Ok(sync_folder(&publication.dist)?)
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next sweep.
        let _ = std::fs::remove_dir_all(&self.staging);
        if self.made_dist {
            // Only where nothing else is in it.
            let _ = std::fs::remove_dir(&self.dist);
        }
    }
}

/// Whether a path below a layout's folder is one that a layout has (OCI image specification, "Image Layout").
fn is_of_layout(path: &str) -> bool {
    let is_digest = |name: &str| {
        name.len() == 64 && name.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    matches!(path, "index.json" | "oci-layout") || path.strip_prefix("blobs/sha256/").is_some_and(is_digest)
}

/// Whether a folder is a layout and holds nothing else.
fn is_layout(folder: &Path) -> io::Result<bool> {
    let mut rest = vec![String::new()];
    while let Some(inside) = rest.pop() {
        let at = folder.join(&inside);
        if !fs::symlink_metadata(&at)?.is_dir() {
            return Ok(false);
        }
        for name in names_in(&at)? {
            let path = if inside.is_empty() { name } else { format!("{inside}/{name}") };
            let kind = fs::symlink_metadata(folder.join(&path))?;
            match path.as_str() {
                "blobs" | "blobs/sha256" if kind.is_dir() => rest.push(path),
                path if kind.is_file() && is_of_layout(path) => {}
                _ => return Ok(false),
            }
        }
    }
    Ok(true)
}

/// What [`settle`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// What the ledger said was built, and a killed run could not put in its place any more: it is there now.
    pub completed: Vec<ArtifactName>,
    /// How many unfinished things were removed, or put back where they had been.
    pub removed: usize,
}

/// Whether a killed run left something in `dist` for [`settle`], or a living one is about to publish.
///
/// # Errors
/// [`StoreError::Io`].
pub fn is_unsettled(dist: &Path) -> Result<bool> {
    Ok(names_in(dist)?.iter().any(|name| name.starts_with(STAGING) || name.starts_with(REPLACED)))
}

/// Ends the publications of killed runs: one that the ledger has as its artifact's newest build is put in its place, every
/// other one is removed, and a folder that had been moved aside is brought back. The caller holds the workspace's lock and
/// has no publication open.
///
/// # Errors
/// [`StoreError::Io`]. An entry of the ledger that cannot be read decides nothing: the publication is removed.
pub fn settle(dist: &Path, ledger: &Ledger) -> Result<Settled> {
    let mut settled = Settled { removed: sweep_unfinished(dist)?, ..Settled::default() };
    let names = names_in(dist)?;
    for name in &names {
        let Some(artifact) = name.strip_prefix(REPLACED) else { continue };
        let (path, published) = (dist.join(name), dist.join(artifact));
        if published.exists() {
            remove_folder(&path)?
        } else {
            fs::rename(&path, &published)?
        }
        settled.removed += 1;
    }
    for name in &names {
        let Some(rest) = name.strip_prefix(STAGING) else { continue };
        let staging = dist.join(name);
        let artifact = rest.rsplit_once('-').and_then(|(artifact, _)| artifact.parse::<ArtifactName>().ok());
        match artifact {
            Some(artifact) if is_newest(&staging, &artifact, ledger)? => {
                let publication = Publication {
                    dist: dist.to_owned(),
                    artifact: artifact.clone(),
                    staging,
                    file_names: BTreeSet::new(),
                    made_dist: false,
                };
                Sealed(publication).place()?;
                settled.completed.push(artifact);
            }
            _ => {
                remove_folder(&staging)?;
                settled.removed += 1;
            }
        }
    }
    Ok(settled)
}

/// Whether a staged folder is complete and the newest build that the ledger has, while another one is published.
fn is_newest(staging: &Path, artifact: &ArtifactName, ledger: &Ledger) -> Result<bool> {
    let Some(newest) = ledger.published(artifact).ok().flatten() else { return Ok(false) };
    let record = staging.join("record.json");
    Ok(record.is_file() && digest_of(&record)? == newest.record && is_complete(staging)?)
}

/// Whether every file that the sums of a folder name is there and is what they say.
fn is_complete(folder: &Path) -> Result<bool> {
    let Some(sums) = read_bounded(&folder.join("SHA256SUMS"), MAX_SUMS)? else { return Ok(false) };
    for line in String::from_utf8_lossy(&sums).lines() {
        let Some((digest, name)) = line.split_once("  ") else { return Ok(false) };
        let in_layout = name.strip_prefix(LAYOUT).and_then(|rest| rest.strip_prefix('/'));
        let is_ours = !name.contains('/') || in_layout.is_some_and(is_of_layout);
        let (file, digest) = (folder.join(name), Digest::from_hex(digest));
        if !is_ours || !file.is_file() || digest.ok() != Some(digest_of(&file)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn digest_of(file: &Path) -> Result<Digest> {
    let mut hasher = HashingWriter::new(io::sink());
    io::copy(&mut fs::File::open(file)?, &mut hasher)?;
    Ok(hasher.finish().1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_do_the_same_where_names_cannot_be_exchanged() {
        let dist = tempfile::tempdir().unwrap();
        let artifact: ArtifactName = "web".parse().unwrap();
        let published = dist.path().join("web");
        let mut old = Publication::begin(dist.path(), &artifact).unwrap();
        old.write("a", b"old").unwrap();
        old.commit().unwrap();
        let mut new = Publication::begin(dist.path(), &artifact).unwrap();
        new.write("a", b"new").unwrap();
        new.replace_in_two_steps(&published).unwrap();
        drop(new);
        assert_eq!(fs::read(published.join("a")).unwrap(), b"new");
        assert_eq!(names_in(dist.path()).unwrap(), ["web"]);

        // Killed between the two renames.
        fs::rename(&published, dist.path().join(".replaced-web")).unwrap();
        fs::create_dir(dist.path().join(".staging-web-4711")).unwrap();
        // Killed in the middle of an atomic write; names that only look like it are somebody's own.
        for name in [".index.json.4711-0.tmp", ".index.json.tmp", ".4711-0.tmp", "index.json.4711-0.tmp"] {
            fs::write(dist.path().join(name), b"half").unwrap();
        }
        let settled = settle(dist.path(), &Ledger::open(&dist.path().join("ledger"))).unwrap();
        assert_eq!((settled.removed, settled.completed), (3, Vec::new()));
        assert_eq!(fs::read(published.join("a")).unwrap(), b"new");
        let kept = [".4711-0.tmp", ".index.json.tmp", "index.json.4711-0.tmp", "web"];
        assert_eq!(names_in(dist.path()).unwrap(), kept);
    }
}
