//! Writes zips whose bytes follow from their entries alone.

use crate::path_guard::{PathGuard, check_order, check_target};
use crate::zip_format::{CENTRAL_HEADER, END, LOCAL_HEADER, TYPE_FILE, TYPE_LINK, flag, method};
use crate::{Compressed, Method, PackError, Result};
use kiln_record::{Mode, TreePath};
use std::io::Write;

/// "Made by": Unix (3) and version 2.0 of the specification (APPNOTE 4.4.2).
const MADE_BY: u16 = 3 << 8 | VERSION_NEEDED;
/// Version 2.0 (APPNOTE 4.4.3).
const VERSION_NEEDED: u16 = 20;
/// 00:00:00 (MS-DOS time).
const TIME: u16 = 0;
/// 1980-01-01 (MS-DOS date): the earliest that the format can say.
const DATE: u16 = 1 << 5 | 1;
/// The most entries without ZIP64.
const MAX_ENTRIES: usize = 65_535;

/// Writes a zip from entries in ascending order of their paths.
///
/// Every entry has the same time (1980-01-01 00:00:00, written directly and so without a time zone), host Unix, version
/// 2.0, mode 0644 or 0755 (0777 for links), and no extra field, comment or data descriptor. Folders have no entries. The
/// UTF-8 flag is set only where a name is not ASCII.
#[derive(Debug)]
pub struct ZipWriter<W: Write> {
    writer: W,
    offset: u64,
    entries: usize,
    directory: Vec<u8>,
    last: Option<TreePath>,
    guard: PathGuard,
}

impl<W: Write> ZipWriter<W> {
    /// Starts an archive.
    pub fn new(writer: W) -> Self {
        Self { writer, offset: 0, entries: 0, directory: Vec::new(), last: None, guard: PathGuard::new(true) }
    }

    /// Takes paths that differ only in case, for an archive whose pairs were judged before.
    #[must_use]
    pub fn with_case_pairs(self) -> Self {
        Self { guard: PathGuard::new(false), ..self }
    }

    /// Adds a file. The data may come from [`compress`](crate::compress) or, unchanged, from another archive.
    ///
    /// # Errors
    /// [`PackError`] if the path is out of order, there already, there in other case, or used as a folder; if the archive
    /// would need ZIP64; or if writing fails.
    pub fn add_file(&mut self, path: &TreePath, mode: Mode, data: &Compressed) -> Result<()> {
        if data.method == Method::Store && data.stream.len() as u64 != data.size {
            return Err(PackError::Inconsistent(path.clone()));
        }
        self.add(path, TYPE_FILE | mode.bits(), data)
    }

    /// Adds a symbolic link. Its target is its content.
    ///
    /// # Errors
    /// As [`ZipWriter::add_file`]; [`PackError::LinkTarget`].
    pub fn add_symlink(&mut self, path: &TreePath, target: &str) -> Result<()> {
        check_target(path, target)?;
        let stream = target.as_bytes().to_vec();
        let crc32 = crc32fast::hash(&stream);
        let size = stream.len() as u64;
        self.add(path, TYPE_LINK | 0o777, &Compressed { method: Method::Store, stream, crc32, size })
    }

    /// Writes the directory and returns the writer.
    ///
    /// # Errors
    /// [`PackError::NeedsZip64`] if the archive with its directory passes 4 GiB; [`PackError::Io`].
    pub fn finish(mut self) -> Result<W> {
        let last = self.last.take();
        let too_large = || last.clone().map(needs_4_gib);
        let entries = u16::try_from(self.entries).ok();
        let offset = u32::try_from(self.offset).ok().filter(|offset| *offset < u32::MAX);
        let size = u32::try_from(self.directory.len()).ok().filter(|size| *size < u32::MAX);
        let (Some(entries), Some(offset), Some(size)) = (entries, offset, size) else {
            // Without an entry there is nothing that could be too large.
            return Err(too_large().unwrap_or(PackError::malformed("the zip", "it is inconsistent")));
        };
        self.writer.write_all(&self.directory)?;
        let mut end = Vec::new();
        end.extend(END.to_le_bytes());
        for number in [0, 0, entries, entries] {
            end.extend(number.to_le_bytes());
        }
        end.extend(size.to_le_bytes());
        end.extend(offset.to_le_bytes());
        end.extend(0_u16.to_le_bytes());
        self.writer.write_all(&end)?;
        self.writer.flush()?;
        Ok(self.writer)
    }

    fn add(&mut self, path: &TreePath, unix_mode: u32, data: &Compressed) -> Result<()> {
        check_order(self.last.as_ref(), path)?;
        self.guard.add_file(path)?;
        if self.entries == MAX_ENTRIES {
            return Err(PackError::NeedsZip64 { path: path.clone(), limit: "65,535 files" });
        }
        let fits = |number: u64| {
            u32::try_from(number).ok().filter(|n| *n < u32::MAX).ok_or_else(|| needs_4_gib(path.clone()))
        };
        let offset = fits(self.offset)?;
        let name = path.as_str().as_bytes();
        let flags = if name.is_ascii() { 0 } else { flag::UTF8 };
        let method = match data.method {
            Method::Store => method::STORE,
            Method::Deflate => method::DEFLATE,
        };
        // The fields that the local header and the directory have in common, from "version needed" to "extra length".
        let mut shared = Vec::with_capacity(26);
        for number in [VERSION_NEEDED, flags, method, TIME, DATE] {
            shared.extend(number.to_le_bytes());
        }
        for number in [data.crc32, fits(data.stream.len() as u64)?, fits(data.size)?] {
            shared.extend(number.to_le_bytes());
        }
        // A tree path has at most 4096 bytes.
        let name_length = u16::try_from(name.len()).map_err(|_| needs_4_gib(path.clone()))?;
        for number in [name_length, 0] {
            shared.extend(number.to_le_bytes());
        }

        let mut local = Vec::with_capacity(30 + name.len());
        local.extend(LOCAL_HEADER.to_le_bytes());
        local.extend(&shared);
        local.extend(name);
        self.writer.write_all(&local)?;
        self.writer.write_all(&data.stream)?;

        self.directory.extend(CENTRAL_HEADER.to_le_bytes());
        self.directory.extend(MADE_BY.to_le_bytes());
        self.directory.extend(&shared);
        // Comment length, disk number and internal attributes.
        for number in [0_u16, 0, 0] {
            self.directory.extend(number.to_le_bytes());
        }
        self.directory.extend((unix_mode << 16).to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name);

        self.offset += local.len() as u64 + data.stream.len() as u64;
        self.entries += 1;
        self.last = Some(path.clone());
        Ok(())
    }
}

fn needs_4_gib(path: TreePath) -> PackError {
    PackError::NeedsZip64 { path, limit: "4 GiB" }
}
