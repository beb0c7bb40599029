//! Reads tars from elsewhere, such as what a container hands back.

use crate::limits::{Budget, Limits};
use crate::path_guard::{PathGuard, check_target};
use crate::read_or::read_or;
use crate::{PackError, Result};
use kiln_record::TreePath;
use std::collections::BTreeSet;
use std::io::{self, Read, Take};
use tar::{EntryType, Header};

/// Everything in a tar comes in blocks of this many bytes.
const BLOCK: u64 = 512;
/// The most that a long name or an extended header may have, in bytes.
const MAX_EXTENSION: u64 = 1 << 20;
/// Extension headers before one entry: a long name, a long link, a local and a global extended header.
const MAX_EXTENSIONS: usize = 8;

/// One entry of a tar, with its content: whole, or as a [`TarFile`] to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TarItem<F = Vec<u8>> {
    /// Where it is; the archive's root itself is not reported.
    pub path: TreePath,
    /// Permission bits, with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// What it is.
    pub content: TarContent<F>,
}

/// What is at a path of a tar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TarContent<F = Vec<u8>> {
    /// A regular file.
    File(F),
    /// A folder.
    Folder,
    /// A symbolic link with its target, which may lead anywhere.
    Symlink(String),
    /// Another name of a file that came before.
    HardLink(TreePath),
}

/// The content of a file of a tar. What is not read of it is passed over.
pub struct TarFile<'a> {
    rest: Take<&'a mut dyn Read>,
    size: u64,
}

impl TarFile<'_> {
    /// How long it is stated to be. Where the tar is cut off, fewer bytes come, and reading the tar fails after them.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for TarFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.rest.read(buffer)
    }
}

/// Reads a tar (POSIX ustar and pax, GNU) and hands over its entries in order. Owners, times and extended attributes are
/// ignored. Reading stops at the end mark; what follows it is left in the reader.
///
/// # Errors
/// What `item` returns; or [`PackError`] if the archive is malformed or cut off, holds a path that leaves the tree, a path
/// twice, a path below a link, anything but files, folders and links, or exceeds a limit. Entries before the fault have
/// been handed over by then.
pub fn read_tar<R, E>(
    reader: R,
    limits: &Limits,
    mut item: impl FnMut(TarItem) -> Result<(), E>,
) -> Result<(), E>
where
    R: Read,
    E: From<PackError>,
{
    stream_tar(reader, limits, |TarItem { path, mode, content }| {
        let content = match content {
            TarContent::File(file) => {
                // Memory grows with what is really there, not with what is announced.
                let mut bytes = Vec::with_capacity(usize::try_from(file.size.min(1 << 20)).unwrap_or(0));
                file.read_to_end(&mut bytes).map_err(PackError::from)?;
                if bytes.len() as u64 != file.size {
                    return Err(cut_off(path.as_str()).into());
                }
                TarContent::File(bytes)
            }
            TarContent::Folder => TarContent::Folder,
            TarContent::Symlink(target) => TarContent::Symlink(target),
            TarContent::HardLink(first) => TarContent::HardLink(first),
        };
        item(TarItem { path, mode, content })
    })
}

/// Reads a tar as [`read_tar`] does, and hands over files to be read instead of their bytes.
///
/// # Errors
/// As [`read_tar`].
pub fn stream_tar<R, E>(
    mut reader: R,
    limits: &Limits,
    mut item: impl FnMut(TarItem<&mut TarFile<'_>>) -> Result<(), E>,
) -> Result<(), E>
where
    R: Read,
    E: From<PackError>,
{
    let mut state =
        State { budget: Budget::new(limits), guard: PathGuard::new(false), files: BTreeSet::new() };
    while let Some(entry) = read_entry(&mut reader)? {
        let size = entry.size;
        let Some(TarItem { path, mode, content }) = state.accept(entry)? else { continue };
        let content = match content {
            TarContent::File(()) => {
                let name = path.clone();
                let source: &mut dyn Read = &mut reader;
                let mut file = TarFile { rest: source.take(size), size };
                item(TarItem { path, mode, content: TarContent::File(&mut file) })?;
                io::copy(&mut file, &mut io::sink()).map_err(PackError::from)?;
                if file.rest.limit() != 0 {
                    return Err(cut_off(name.as_str()).into());
                }
                skip_padding(&mut reader, size, name.as_str())?;
                continue;
            }
            TarContent::Folder => TarContent::Folder,
            TarContent::Symlink(target) => TarContent::Symlink(target),
            TarContent::HardLink(first) => TarContent::HardLink(first),
        };
        item(TarItem { path, mode, content })?;
    }
    Ok(())
}

/// A header with what its extension headers say.
struct RawEntry {
    header: Header,
    name: Vec<u8>,
    target: Option<Vec<u8>>,
    size: u64,
}

/// What the entries so far imply for the next.
struct State {
    budget: Budget,
    guard: PathGuard,
    files: BTreeSet<TreePath>,
}

impl State {
    /// Checks an entry, whose content is still to be read; none for the root.
    fn accept(&mut self, entry: RawEntry) -> Result<Option<TarItem<()>>> {
        let name = utf8(entry.name, "a name")?;
        let target =
            entry.target.map(|target| utf8(target, &format!("the target of `{name}`"))).transpose()?;
        let kind = entry.header.entry_type();
        self.budget.count(&name, entry.size, entry.size)?;
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous);
        if !is_file && entry.size != 0 {
            return Err(PackError::malformed(format!("`{name}`"), "it has content, but is not a file"));
        }
        let relative = name.strip_prefix("./").unwrap_or(&name);
        if kind == EntryType::Directory
            && matches!(relative.trim_end_matches('/'), "" | ".")
            && !name.starts_with('/')
        {
            return Ok(None);
        }
        let path = if kind == EntryType::Directory {
            TreePath::new(relative.strip_suffix('/').unwrap_or(relative))?
        } else {
            TreePath::new(relative)?
        };
        let mode = entry.header.mode().map_err(|_| bad_header())? & 0o7777;
        let content = match kind {
            EntryType::Directory => {
                self.budget.count_more(self.guard.add_folder(&path)?.len())?;
                TarContent::Folder
            }
            EntryType::Regular | EntryType::Continuous => {
                self.budget.count_more(self.guard.add_file(&path)?.len())?;
                self.files.insert(path.clone());
                TarContent::File(())
            }
            EntryType::Symlink => {
                self.budget.count_more(self.guard.add_file(&path)?.len())?;
                let target = target.unwrap_or_default();
                check_target(&path, &target)?;
                TarContent::Symlink(target)
            }
            EntryType::Link => {
                self.budget.count_more(self.guard.add_file(&path)?.len())?;
                let target = target.unwrap_or_default();
                let target = TreePath::new(target.strip_prefix("./").unwrap_or(&target))?;
                if !self.files.contains(&target) {
                    let reason = format!("it is a hard link to `{target}`, which is no file before it");
                    return Err(PackError::malformed(format!("`{path}`"), reason));
                }
                self.files.insert(path.clone());
                TarContent::HardLink(target)
            }
            other => {
                let feature = format!("has type `{}`", char::from(other.as_byte()).escape_default());
                return Err(PackError::Unsupported { member: name, feature });
            }
        };
        Ok(Some(TarItem { path, mode, content }))
    }
}

/// Reads up to the next header that is not an extension; `None` at the end mark.
fn read_entry<R: Read>(reader: &mut R) -> Result<Option<RawEntry>> {
    let mut long_name = None;
    let mut long_target = None;
    let mut pax_size: Option<u64> = None;
    for extensions in 0..=MAX_EXTENSIONS {
        let mut header = Header::new_old();
        read_or(reader, header.as_mut_bytes(), || {
            PackError::malformed("the tar", "it is cut off: its end mark is missing")
        })?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            if extensions != 0 {
                return Err(PackError::malformed("the tar", "it ends after an extension header"));
            }
            return Ok(None);
        }
        check_sum(&header)?;
        let size = header.entry_size().map_err(|_| bad_header())?;
        let kind = header.entry_type();
        if !matches!(kind.as_byte(), b'L' | b'K' | b'x' | b'g') {
            if pax_size.is_some_and(|pax| pax != size) {
                return Err(PackError::malformed("the tar", "an entry has two sizes"));
            }
            let name = long_name.unwrap_or_else(|| header.path_bytes().into_owned());
            let target = long_target.or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
            return Ok(Some(RawEntry { header, name, target, size }));
        }
        if size > MAX_EXTENSION {
            return Err(PackError::Limit {
                what: "bytes of an extension header".to_owned(),
                found: size,
                limit: MAX_EXTENSION,
            });
        }
        let data = read_padded(reader, size, "an extension header")?;
        let twice = || PackError::malformed("the tar", "an entry has two long names");
        match kind.as_byte() {
            b'L' if long_name.replace(until_zero(&data)).is_some() => return Err(twice()),
            b'K' if long_target.replace(until_zero(&data)).is_some() => return Err(twice()),
            b'x' => {
                for (key, value) in pax_records(&data)? {
                    match key {
                        "path" if long_name.replace(value.to_vec()).is_some() => return Err(twice()),
                        "linkpath" if long_target.replace(value.to_vec()).is_some() => return Err(twice()),
                        "size" => {
                            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
                            pax_size = Some(number.ok_or_else(bad_header)?);
                        }
                        key if key.starts_with("GNU.sparse.") => {
                            let feature = "is a sparse file".to_owned();
                            return Err(PackError::Unsupported { member: "an entry".to_owned(), feature });
                        }
                        _ => {}
                    }
                }
            }
            // A global header may not rename what follows: nobody writes that, and readers differ about it.
            b'g' if pax_records(&data)?
                .iter()
                .any(|(key, _)| matches!(*key, "path" | "linkpath" | "size")) =>
            {
                return Err(PackError::malformed("the tar", "a global header names a path or size"));
            }
            _ => {}
        }
    }
    Err(PackError::malformed("the tar", "it has too many extension headers before one entry"))
}

/// Splits an extended header into its records: `<length> <key>=<value>\n` (POSIX pax).
fn pax_records(data: &[u8]) -> Result<Vec<(&str, &[u8])>> {
    let wrong = || PackError::malformed("the tar", "an extended header is damaged");
    let mut records = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        let space = rest.iter().take(20).position(|byte| *byte == b' ').ok_or_else(wrong)?;
        let length: usize =
            std::str::from_utf8(&rest[..space]).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
        let (record, after) = rest.split_at_checked(length).ok_or_else(wrong)?;
        let body = record.get(space + 1..).and_then(|body| body.strip_suffix(b"\n")).ok_or_else(wrong)?;
        let equals = body.iter().position(|byte| *byte == b'=').ok_or_else(wrong)?;
        let key = std::str::from_utf8(&body[..equals]).map_err(|_| wrong())?;
        records.push((key, &body[equals + 1..]));
        rest = after;
    }
    Ok(records)
}

fn check_sum(header: &Header) -> Result<()> {
    let bytes = header.as_bytes();
    // The checksum's own field counts as spaces.
    let sum: u32 = bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>()
        - bytes[148..156].iter().map(|byte| u32::from(*byte)).sum::<u32>()
        + 8 * u32::from(b' ');
    if header.cksum().is_ok_and(|announced| announced == sum) { Ok(()) } else { Err(bad_header()) }
}

/// Reads what an extension header says, with its padding.
fn read_padded<R: Read>(reader: &mut R, size: u64, name: &str) -> Result<Vec<u8>> {
    let mut content = Vec::with_capacity(usize::try_from(size.min(MAX_EXTENSION)).unwrap_or(0));
    reader.by_ref().take(size).read_to_end(&mut content)?;
    if content.len() as u64 != size {
        return Err(cut_off(name));
    }
    skip_padding(reader, size, name)?;
    Ok(content)
}

/// Passes over what fills the last block of a content.
fn skip_padding<R: Read>(reader: &mut R, size: u64, name: &str) -> Result<()> {
    let mut padding = [0; BLOCK as usize];
    let length = usize::try_from((BLOCK - size % BLOCK) % BLOCK).unwrap_or(0);
    read_or(reader, &mut padding[..length], || cut_off(name))
}

fn cut_off(name: &str) -> PackError {
    PackError::malformed("the tar", format!("it is cut off within `{name}`"))
}

fn until_zero(data: &[u8]) -> Vec<u8> {
    data.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn utf8(bytes: Vec<u8>, what: &str) -> Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        PackError::malformed("the tar", format!("{what} is not UTF-8: {}", error.as_bytes().escape_ascii()))
    })
}

fn bad_header() -> PackError {
    PackError::malformed("the tar", "a header is damaged")
}
