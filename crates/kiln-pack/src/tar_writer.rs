//! Writes tars whose bytes follow from their entries alone.

use crate::path_guard::{PathGuard, check_order, check_target};
use crate::{PackError, Result};
use kiln_record::{Mode, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use tar::{Builder, EntryType, Header};

/// Length of a name or link target that fits into a header, in bytes.
const SHORT: usize = 100;

/// Writes a tar in the GNU format from entries in ascending order of their paths, to hand a tree to a container.
///
/// Owner and group are 0 without names, every entry has the same time, and each folder has an entry of mode 0755 before
/// the first path in it.
pub struct TarWriter<W: Write> {
    builder: Builder<W>,
    mtime: u64,
    last: Option<TreePath>,
    guard: PathGuard,
    there: BTreeSet<TreePath>,
    stated: BTreeMap<TreePath, (u32, u64, u64)>,
}

impl<W: Write> std::fmt::Debug for TarWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TarWriter")
            .field("mtime", &self.mtime)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}

impl<W: Write> TarWriter<W> {
    /// Starts an archive in which everything has one modification time, in seconds since 1970.
    pub fn new(writer: W, mtime: u64) -> Self {
        Self {
            builder: Builder::new(writer),
            mtime,
            last: None,
            guard: PathGuard::new(false),
            there: BTreeSet::new(),
            stated: BTreeMap::new(),
        }
    }

    /// Leaves out the entries of folders that are there where the archive will be unpacked: an entry would give them other
    /// modes, owners and times.
    #[must_use]
    pub fn over(mut self, folders: impl IntoIterator<Item = TreePath>) -> Self {
        self.there.extend(folders);
        self
    }

    /// Gives folders the mode, owner and group that they have where the archive will be unpacked: what unpacks it into a
    /// folder of its own would make them otherwise.
    #[must_use]
    pub fn with_folders(mut self, folders: impl IntoIterator<Item = (TreePath, (u32, u64, u64))>) -> Self {
        self.stated.extend(folders);
        self
    }

    /// Adds a file.
    ///
    /// # Errors
    /// [`PackError`] if the path is out of order, there already or used as a folder, or if writing fails.
    pub fn add_file(&mut self, path: &TreePath, mode: Mode, content: &[u8]) -> Result<()> {
        self.begin(path)?;
        let header = self.header(EntryType::Regular, mode.bits(), content.len() as u64);
        self.write(header, path.as_str(), "", &mut &*content)
    }

    /// Adds a file of so many bytes while it is read.
    ///
    /// # Errors
    /// As [`TarWriter::add_file`]; [`PackError::Io`] if `content` has another size. Then the archive is not to be used.
    pub fn copy_file(
        &mut self,
        path: &TreePath,
        mode: Mode,
        size: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        self.begin(path)?;
        let header = self.header(EntryType::Regular, mode.bits(), size);
        let mut counted = content.take(size);
        self.write(header, path.as_str(), "", &mut counted)?;
        let missing = counted.limit();
        if missing > 0 || content.read(&mut [0])? > 0 {
            let reason = format!("`{path}` has not the {size} bytes that were announced");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason).into());
        }
        Ok(())
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// As [`TarWriter::add_file`]; [`PackError::LinkTarget`].
    pub fn add_symlink(&mut self, path: &TreePath, target: &str) -> Result<()> {
        check_target(path, target)?;
        self.begin(path)?;
        let header = self.header(EntryType::Symlink, 0o777, 0);
        self.write(header, path.as_str(), target, &mut io::empty())
    }

    /// Writes the end of the archive and returns the writer.
    ///
    /// # Errors
    /// [`PackError::Io`].
    pub fn finish(self) -> Result<W> {
        let mut writer = self.builder.into_inner()?;
        writer.flush()?;
        Ok(writer)
    }

    /// Checks a path and writes the folders that it is the first to need.
    fn begin(&mut self, path: &TreePath) -> Result<()> {
        check_order(self.last.as_ref(), path)?;
        for folder in self.guard.add_file(path)? {
            let mut header = self.header(EntryType::Directory, 0o755, 0);
            if let Some((mode, user, group)) = self.stated.get(&folder) {
                header.set_mode(*mode);
                header.set_uid(*user);
                header.set_gid(*group);
            } else if self.there.contains(&folder) {
                continue;
            }
            self.write(header, &format!("{folder}/"), "", &mut io::empty())?;
        }
        self.last = Some(path.clone());
        Ok(())
    }

    fn header(&self, kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.mtime);
        header.set_size(size);
        header
    }

    /// Writes one entry; names that do not fit into the header go before it, as GNU tar does.
    fn write(&mut self, mut header: Header, name: &str, target: &str, content: &mut dyn Read) -> Result<()> {
        for (kind, text) in [(EntryType::GNULongLink, target), (EntryType::GNULongName, name)] {
            if text.len() > SHORT {
                let mut long = Header::new_gnu();
                long.set_entry_type(kind);
                long.set_mode(0o644);
                long.set_uid(0);
                long.set_gid(0);
                long.set_mtime(0);
                // A terminating zero is part of the text.
                long.set_size(text.len() as u64 + 1);
                set_text(&mut long, "././@LongLink", "")?;
                long.set_cksum();
                self.builder.append(&long, [text.as_bytes(), b"\0"].concat().as_slice())?;
            }
        }
        set_text(&mut header, name, target)?;
        header.set_cksum();
        self.builder.append(&header, content)?;
        Ok(())
    }
}

/// Puts as much of a name and link target into a header as fits.
fn set_text(header: &mut Header, name: &str, target: &str) -> Result<()> {
    let fields = header.as_gnu_mut().ok_or_else(|| {
        PackError::malformed("the tar", "its header has another format than the one it was made in")
    })?;
    for (field, text) in [(&mut fields.name, name), (&mut fields.linkname, target)] {
        let length = text.len().min(SHORT);
        field[..length].copy_from_slice(&text.as_bytes()[..length]);
    }
    Ok(())
}
