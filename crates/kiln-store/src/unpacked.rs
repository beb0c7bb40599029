//! Trees as folders, for engines that read this machine's disk: what is bound into a container need not be sent to it.
//!
//! A tree is named by its digest and made once. Its files are links to a pool in which every content is there once for each
//! mode, so that a tree that differs from another in one file costs that file and links. Nothing here is believed for its
//! name: every file is read and hashed whenever a tree is asked for, and what is not as it should be is made again. So
//! nothing waits for the disk, either.

use crate::atomic::{FOLDER_MODE, Unfinished, at, create_new, names_in};
use crate::{Result, Store, StoreError};
use fs_err as fs;
use kiln_record::{Digest, Entry, HashingWriter, Mode, Tree, TreePath};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Read as _, Write};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The folder of the store that they are in.
const FOLDER: &str = "unpacked";
/// A tree that nobody asked for in this time is removed.
const UNUSED: Duration = Duration::from_secs(14 * 24 * 3600);
/// The most threads that unpack a tree.
const THREADS: usize = 4;
/// How much of a file is read at once.
const PIECE: usize = 256 << 10;
/// The time of everything in a tree: the beginning of 1970, as of every input of a container.
const NO_TIME: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: 0 },
    last_modification: Timespec { tv_sec: 0, tv_nsec: 0 },
};

impl Store {
    /// The folder that unpacked trees are in, which is made where it is not there.
    fn unpacked(&self) -> Result<PathBuf> {
        let folder = self.root().join(FOLDER);
        for part in ["trees", "files/0644", "files/0755"] {
            let part = folder.join(part);
            if !part.is_dir() {
                fs::create_dir_all(part)?;
            }
        }
        Ok(folder)
    }

    /// A folder with exactly this tree: files of the modes that it states, everything of the beginning of 1970. It is in use
    /// by others, so that nothing may write to it. `content` writes a file that is not there yet.
    ///
    /// # Errors
    /// What `content` says, [`StoreError::DigestMismatch`] if it writes something else than the tree has, and
    /// [`StoreError::Io`].
    pub fn unpack<E: From<StoreError> + Send>(
        &self,
        tree: &Tree,
        content: impl Fn(&TreePath, &mut dyn Write) -> Result<(), E> + Sync,
    ) -> Result<PathBuf, E> {
        let root = self.unpacked()?;
        let folder = root.join("trees").join(tree.digest().hex());
        touch(&folder.with_extension("used"))?;
        if is_intact(&folder, tree) {
            return Ok(folder);
        }
        let made = self.temporary_folder()?;
        let mut folders: BTreeSet<&str> = BTreeSet::new();
        let mut files = Vec::new();
        for (path, entry) in tree.iter() {
            for above in path.folders() {
                if folders.insert(above) {
                    fs::create_dir_all(made.path().join(above)).map_err(StoreError::from)?;
                }
            }
            match entry {
                Entry::Symlink { target } => {
                    let place = made.path().join(path.as_str());
                    fs::os::unix::fs::symlink(target, &place).map_err(StoreError::from)?;
                    without_time(&place)?;
                }
                Entry::File { digest, mode, .. } => files.push((path, digest, *mode)),
            }
        }
        side_by_side(&files, |(path, digest, mode)| -> Result<(), E> {
            let pooled = pool_path(&root, digest, *mode);
            if !has_content(&pooled, digest, *mode) {
                self.pool(&pooled, digest, *mode, |to| content(path, to))?;
            }
            let place = made.path().join(path.as_str());
            // A file system without links, or one that has as many to this file as it can.
            if fs::hard_link(&pooled, &place).is_err() {
                fs::copy(&pooled, &place).map_err(StoreError::from)?;
                without_time(&place)?;
            }
            Ok(())
        })?;
        let all = folders.iter().rev().map(|folder| made.path().join(folder));
        for folder in all.chain([made.path().to_owned()]) {
            let mode = std::fs::Permissions::from_mode(FOLDER_MODE);
            fs::set_permissions(&folder, mode).map_err(StoreError::from)?;
            without_time(&folder)?;
        }
        self.name_tree(made.path(), &folder, tree)?;
        Ok(folder)
    }

    /// Gives a tree its name. Another run may have been as fast; what is there and is not intact makes room.
    fn name_tree(&self, made: &Path, folder: &Path, tree: &Tree) -> Result<()> {
        if fs::rename(made, folder).is_ok() || is_intact(folder, tree) {
            return Ok(());
        }
        let aside = self.temporary_folder()?;
        match fs::rename(folder, aside.path().join("tree")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        Ok(fs::rename(made, folder)?)
    }

    /// Writes a file of the pool.
    fn pool<E: From<StoreError>>(
        &self,
        pooled: &Path,
        digest: &Digest,
        mode: Mode,
        content: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let (_run, path) = self.temporary_path()?;
        let unfinished = Unfinished(path);
        let file = create_new(&unfinished.0).map_err(StoreError::from)?;
        let mut sink = HashingWriter::new(BufWriter::with_capacity(PIECE, file));
        content(&mut sink)?;
        let (buffer, found, _) = sink.finish();
        let file = buffer.into_inner().map_err(io::IntoInnerError::into_error).map_err(StoreError::from)?;
        if found != *digest {
            return Err(StoreError::DigestMismatch { expected: *digest, found }.into());
        }
        file.set_permissions(std::fs::Permissions::from_mode(mode.bits())).map_err(StoreError::from)?;
        without_time(&unfinished.0)?;
        if let Some(folder) = pooled.parent()
            && !folder.is_dir()
        {
            fs::create_dir_all(folder).map_err(StoreError::from)?;
        }
        fs::rename(&unfinished.0, pooled).map_err(StoreError::from)?;
        Ok(())
    }

    /// Removes trees that nobody asked for of late, and what no tree has any more of the pool.
    pub(crate) fn sweep_unpacked(&self) -> Result<()> {
        let root = self.root().join(FOLDER);
        let trees = root.join("trees");
        let names = names_in(&trees)?;
        if names.is_empty() {
            return Ok(());
        }
        // The clock that gave the markers their times.
        let (_run, path) = self.temporary_path()?;
        let clock = Unfinished(path);
        let now = create_new(&clock.0)?.metadata()?.modified()?;
        let mut removed = false;
        for name in &names {
            let Some(stem) = name.strip_suffix(".used") else { continue };
            let marker = trees.join(name);
            let used = fs::metadata(&marker)?.modified()?;
            if now.duration_since(used).is_ok_and(|unused| unused > UNUSED) {
                let aside = self.temporary_folder()?;
                let _ = fs::rename(trees.join(stem), aside.path().join("tree"));
                fs::remove_file(marker)?;
                removed = true;
            }
        }
        if removed {
            remove_unlinked(&root.join("files"))?;
        }
        Ok(())
    }
}

/// Does the same with each of many things, on a few threads; an error ends it.
fn side_by_side<T: Sync, E: Send>(things: &[T], work: impl Fn(&T) -> Result<(), E> + Sync) -> Result<(), E> {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(THREADS));
    let (next, work) = (AtomicUsize::new(0), &work);
    let some = || {
        // One after the other, so that nobody waits for whoever has the large ones.
        while let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = work(thing) {
                next.store(things.len(), Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(some)).collect();
        others.into_iter().map(|thread| thread.join()).fold(some(), |done, joined| match joined {
            Ok(other) => done.and(other),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// Removes the files below a folder that have no other name.
fn remove_unlinked(folder: &Path) -> Result<()> {
    for name in names_in(folder)? {
        let path = folder.join(name);
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_dir() {
            remove_unlinked(&path)?;
        } else if metadata.nlink() == 1 {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

fn pool_path(root: &Path, digest: &Digest, mode: Mode) -> PathBuf {
    let hex = digest.hex();
    let (first, rest) = hex.split_at(2);
    root.join("files").join(mode.to_string()).join(first).join(rest)
}

/// Whether a folder has exactly a tree, byte for byte, with its modes and without times.
fn is_intact(folder: &Path, tree: &Tree) -> bool {
    let mut expected: BTreeMap<PathBuf, usize> = BTreeMap::from([(PathBuf::new(), 0)]);
    for (path, _) in tree.iter() {
        let mut child = Path::new(path.as_str());
        while let Some(parent) = child.parent() {
            let known = expected.contains_key(parent);
            *expected.entry(parent.to_owned()).or_default() += 1;
            if known {
                break;
            }
            child = parent;
        }
    }
    let folders = || expected.iter().all(|(path, names)| is_folder_of(&folder.join(path), *names));
    let has = |(path, entry): (&TreePath, &Entry)| {
        let place = folder.join(path.as_str());
        match entry {
            Entry::File { digest, mode, .. } => has_content(&place, digest, *mode),
            Entry::Symlink { target } => {
                std::fs::read_link(&place).is_ok_and(|found| found == Path::new(target))
            }
        }
    };
    folders() && tree.iter().all(has)
}

/// Whether a path is a folder with so many names that others may look into.
fn is_folder_of(path: &Path, names: usize) -> bool {
    std::fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_dir() && found.mode() & 0o7777 == FOLDER_MODE && found.mtime() == 0)
        && std::fs::read_dir(path).is_ok_and(|entries| entries.count() == names)
}

/// Whether a path is a regular file of a mode, without a time, whose bytes have a digest.
fn has_content(path: &Path, digest: &Digest, mode: Mode) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return false };
    if !metadata.is_file() || metadata.mode() & 0o7777 != mode.bits() || metadata.mtime() != 0 {
        return false;
    }
    let mut hasher = HashingWriter::new(io::sink());
    let mut piece = vec![0; PIECE.min(usize::try_from(metadata.len()).unwrap_or(PIECE).max(1))];
    let Ok(mut file) = std::fs::File::open(path) else { return false };
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => {
                if hasher.write_all(&piece[..read]).is_err() {
                    return false;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    hasher.finish().1 == *digest
}

fn without_time(path: &Path) -> Result<()> {
    Ok(utimensat(CWD, path, &NO_TIME, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| at(path, "set the time of", error))?)
}

/// Makes an empty file whose time is now.
fn touch(path: &Path) -> Result<()> {
    fs::File::create(path)?.write_all(b"used\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTENT: [(&str, &[u8], Mode); 4] = [
        ("app.py", b"print()\n", Mode::Plain),
        ("lib/__init__.py", b"", Mode::Plain),
        ("lib/deep/er/native.so", b"\x7fELF", Mode::Executable),
        ("lib/deep/same.so", b"\x7fELF", Mode::Plain),
    ];

    fn tree() -> Tree {
        let mut tree = Tree::new();
        for (path, bytes, mode) in CONTENT {
            let entry = Entry::File { digest: Digest::of(bytes), size: bytes.len() as u64, mode };
            tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
        }
        tree.insert(TreePath::new("lib/link").unwrap(), Entry::Symlink { target: "deep".to_owned() })
            .unwrap();
        tree
    }

    /// Unpacks the tree, and says how many files were written for it.
    fn unpack(store: &Store) -> (PathBuf, usize) {
        let written = AtomicUsize::new(0);
        let folder = store
            .unpack(&tree(), |path, to| {
                written.fetch_add(1, Ordering::Relaxed);
                let (_, bytes, _) = CONTENT.iter().find(|(name, ..)| *name == path.as_str()).unwrap();
                to.write_all(bytes).map_err(StoreError::from)
            })
            .unwrap();
        (folder, written.into_inner())
    }

    #[test]
    fn a_tree_is_made_once_and_shares_its_files() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let (folder, written) = unpack(&store);
        assert_eq!(written, 4, "one content has two modes, so it is there twice");
        assert_eq!(fs::read(folder.join("lib/link/er/native.so")).unwrap(), b"\x7fELF");
        let metadata = fs::metadata(folder.join("lib/deep/er/native.so")).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime()), (0o755, 0));
        assert_eq!(unpack(&store), (folder, 0));

        let mut less = tree();
        less.remove(&TreePath::new("app.py").unwrap());
        let nothing = |_: &TreePath, _: &mut dyn Write| -> Result<()> { panic!("everything is there") };
        let other = store.unpack(&less, nothing).unwrap();
        assert!(!other.join("app.py").exists());
        assert_eq!(fs::metadata(other.join("lib/deep/er/native.so")).unwrap().ino(), metadata.ino());
    }

    #[test]
    fn what_was_changed_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let (folder, _) = unpack(&store);
        let native = folder.join("lib/deep/er/native.so");
        let changes: [(&str, &dyn Fn()); 6] = [
            ("a byte, with the time of before", &|| {
                fs::write(&native, b"\x7fELG").unwrap();
                without_time(&native).unwrap();
            }),
            ("a file more", &|| fs::write(folder.join("lib/more.py"), b"").unwrap()),
            ("a file less", &|| fs::remove_file(folder.join("app.py")).unwrap()),
            ("a mode", &|| fs::set_permissions(&native, std::fs::Permissions::from_mode(0o777)).unwrap()),
            ("a link in the place of a file", &|| {
                fs::remove_file(&native).unwrap();
                fs::os::unix::fs::symlink("../same.so", &native).unwrap();
            }),
            ("a folder that others cannot look into", &|| {
                fs::set_permissions(folder.join("lib"), std::fs::Permissions::from_mode(0o700)).unwrap();
            }),
        ];
        for (what, change) in changes {
            change();
            assert!(!is_intact(&folder, &tree()), "{what}");
            assert_eq!(unpack(&store).0, folder);
            assert!(is_intact(&folder, &tree()), "{what}");
        }
    }

    #[test]
    fn other_content_is_refused_and_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let unpacked = store.unpack(&tree(), |_, to| to.write_all(b"other").map_err(StoreError::from));
        assert!(matches!(unpacked, Err(StoreError::DigestMismatch { .. })), "{unpacked:?}");
        let trees = names_in(&root.path().join("unpacked/trees")).unwrap();
        assert!(trees.iter().all(|name| name.ends_with(".used")), "{trees:?}");
    }

    #[test]
    fn what_nobody_used_of_late_is_swept() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let (folder, _) = unpack(&store);
        store.sweep().unwrap();
        assert!(is_intact(&folder, &tree()), "it was used just now");
        without_time(&folder.with_extension("used")).unwrap();
        store.sweep().unwrap();
        assert_eq!(names_in(&root.path().join("unpacked/trees")).unwrap(), Vec::<String>::new());
        let files = root.path().join("unpacked/files");
        let left = [("0644", CONTENT[0].1), ("0644", CONTENT[1].1), ("0755", CONTENT[2].1)]
            .map(|(mode, bytes)| files.join(mode).join(&Digest::of(bytes).hex()[..2]))
            .map(|folder| (folder.is_dir(), names_in(&folder).unwrap()));
        assert_eq!(
            left,
            [(true, vec![]), (true, vec![]), (true, vec![])],
            "folders of contents that are gone"
        );
    }
}
