//! The files of a zip, and those of a folder.

use super::{Contents, ELF, Files, ReadFile, Taken, is_bundled, is_metadata};
use crate::PublishError;
use fs_err as fs;
use fs_err::os::unix::fs::FileExt as _;
use kiln_audit::LARGEST_EXPLAINED;
use kiln_pack::{Limits, Member, PackError, ZipReader, member_at};
use kiln_record::{Attributes, Digest, Entry, Mode, Record, TreePath};
use kiln_store::{open_regular, read_regular};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Bits of a mode that let a file run as its owner or group.
const PRIVILEGED: u32 = 0o6000;
/// Bytes of two members that are held against each other at once.
const PIECE: usize = 1 << 16;
/// Bytes that are read for a header before a member: most names are shorter.
const AROUND_HEADER: usize = 256;
/// Members that a thread takes at once: a few may take as long as all the others.
const TAKEN_AT_ONCE: usize = 16;
/// The most entries of a folder.
const MOST_ENTRIES: usize = 200_000;

/// A zip at a place. What its directory says is read once, when it is first asked for.
#[derive(Clone, Debug)]
pub(crate) struct ZipPlace {
    path: PathBuf,
    directory: Arc<OnceLock<Directory>>,
}

#[derive(Debug)]
struct Directory {
    members: Vec<Member>,
    leading: u64,
}

impl ZipPlace {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), directory: Arc::default() }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes stand before the first member, if its directory was read.
    pub(crate) fn leading(&self) -> Option<u64> {
        self.directory.get().map(|directory| directory.leading)
    }

    fn directory(&self) -> Result<&Directory, PublishError> {
        if let Some(directory) = self.directory.get() {
            return Ok(directory);
        }
        let file = open_regular(&self.path)?;
        let file = BufReader::with_capacity(AROUND_HEADER, Reading { file: &file, at: 0 });
        let archive = ZipReader::open_after_leading(file, &Limits::default())
            .map_err(|reason| not_a_zip(&self.path, &reason))?;
        let leading = archive.leading();
        Ok(self.directory.get_or_init(|| Directory { members: archive.into_members(), leading }))
    }

    /// The content of a member.
    fn read(&self, file: &fs::File, member: &Member) -> Result<Vec<u8>, PublishError> {
        let mut content = Vec::new();
        member
            .copy_from(&mut Reading { file, at: 0 }, &mut content)
            .map_err(|reason| not_a_zip(&self.path, &reason))?;
        Ok(content)
    }
}

/// A file that is read at a place of the reader's own: several threads share it.
struct Reading<'a> {
    file: &'a fs::File,
    at: u64,
}

impl Read for Reading<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read_at(bytes, self.at)?;
        self.at += length as u64;
        Ok(length)
    }
}

impl Seek for Reading<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (start, by) = match to {
            SeekFrom::Start(at) => (at, 0),
            SeekFrom::End(by) => (self.file.metadata()?.len(), by),
            SeekFrom::Current(by) => (self.at, by),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the file's beginning");
        self.at = start.checked_add_signed(by).ok_or_else(before)?;
        Ok(self.at)
    }
}

fn not_a_zip(path: &Path, reason: &PackError) -> PublishError {
    let reason = format!("it cannot be read as a zip: {reason}");
    PublishError::NotUsable { what: path.display().to_string(), reason }
}

/// The content of some files of a zip, within the limits of all archives. No other member is unpacked.
pub(crate) fn zip_contents(zip: &ZipPlace, wanted: &BTreeSet<TreePath>) -> Result<Contents, PublishError> {
    let file = open_regular(&zip.path)?;
    let is_wanted = |member: &&Member| {
        !member.is_symlink && member.size <= LARGEST_EXPLAINED && wanted.contains(&member.path)
    };
    let members = zip.directory()?.members.iter().filter(is_wanted);
    members.map(|member| Ok((member.path.clone(), zip.read(&file, member)?))).collect()
}

/// The content of some files of a folder. Links are not followed.
pub(crate) fn folder_contents(root: &Path, wanted: &BTreeSet<TreePath>) -> Result<Contents, PublishError> {
    let mut contents = Contents::new();
    for path in wanted {
        let place = root.join(path.as_str());
        let is_small = fs::symlink_metadata(&place)
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= LARGEST_EXPLAINED);
        if is_small {
            contents.insert(path.clone(), read_regular(&place)?);
        }
    }
    Ok(contents)
}

/// A zip that was read before another one is: what is the same in both need not be unpacked again.
pub(crate) struct ZipBefore<'a> {
    /// Where it is.
    pub(crate) zip: &'a ZipPlace,
    /// What it is known to hold.
    pub(crate) record: &'a Record,
}

impl<'a> ZipBefore<'a> {
    /// Its members and the digests of their content, by path. Without any where it cannot be read: then nothing is the same.
    fn members(&self) -> BTreeMap<&'a TreePath, (&'a Member, Digest)> {
        let Ok(directory) = self.zip.directory() else { return BTreeMap::new() };
        let files: BTreeMap<&TreePath, &Entry> =
            self.record.files.iter().map(|file| (&file.path, &file.entry)).collect();
        let known = directory.members.iter().filter_map(|member| match files.get(&member.path) {
            Some(Entry::File { digest, size, .. }) if *size == member.size && !member.is_symlink => {
                Some((&member.path, (member, *digest)))
            }
            _ => None,
        });
        known.collect()
    }
}

/// A file, and one before it with room for a piece of each.
struct Pair<'a> {
    file: &'a fs::File,
    before: Option<(&'a fs::File, [Vec<u8>; 2])>,
}

impl Pair<'_> {
    /// The content of a member that a zip before had at the same path and in the same bytes, compressed as they are. A checksum that is
    /// equal says only that it is worth to look.
    fn unchanged(
        &mut self,
        member: &Member,
        old: Option<&(&Member, Digest)>,
    ) -> Result<Option<ReadFile>, PackError> {
        let told = |one: &Member| (one.method, one.crc32, one.size, one.compressed_size, one.is_symlink);
        let Some((old, digest)) = old.filter(|(old, _)| told(old) == told(member)) else { return Ok(None) };
        if is_metadata(&member.path) || !self.is_alike(old, member)? {
            return Ok(None);
        }
        let is_elf = is_bundled(&member.path) && {
            let mut start = Vec::new();
            let reading = Reading { file: self.file, at: 0 };
            let content = member_at(reading, member.data_offset, member.compressed_size, member.method)?;
            content.take(ELF.len() as u64).read_to_end(&mut start)?;
            start == ELF
        };
        Ok(Some(ReadFile { digest: *digest, size: member.size, is_elf, kept: Vec::new() }))
    }

    /// Whether two members, each of its file, have the same bytes in it.
    fn is_alike(&mut self, old: &Member, new: &Member) -> io::Result<bool> {
        let Some((before, [ours, theirs])) = &mut self.before else { return Ok(false) };
        let mut at = 0;
        while at < new.compressed_size {
            let length = usize::try_from(new.compressed_size - at).map_or(PIECE, |left| left.min(PIECE));
            self.file.read_exact_at(&mut ours[..length], new.data_offset + at)?;
            before.read_exact_at(&mut theirs[..length], old.data_offset + at)?;
            if ours[..length] != theirs[..length] {
                return Ok(false);
            }
            at += length as u64;
        }
        Ok(true)
    }
}

/// Reads a zip within the limits of all archives: every member is checked, or is one of `before` byte for byte. Bytes may stand
/// before the first member, as in a pex or what unpacks itself.
pub(crate) fn zip_files(zip: &ZipPlace, before: Option<&ZipBefore<'_>>) -> Result<Files, PublishError> {
    let error = |reason: PackError| not_a_zip(&zip.path, &reason);
    let directory = zip.directory()?;
    let mut files = Files { leading: directory.leading, ..Files::default() };
    let known = before.map(ZipBefore::members).unwrap_or_default();
    let file = open_regular(&zip.path)?;
    let old_file =
        before.filter(|_| !known.is_empty()).and_then(|before| open_regular(&before.zip.path).ok());
    let pair =
        || Pair { file: &file, before: old_file.as_ref().map(|old| (old, [(); 2].map(|()| vec![0; PIECE]))) };
    // Side by side; what is wrong first in the archive's order ends all of it.
    let members = directory.members.par_iter().with_max_len(TAKEN_AT_ONCE);
    let read = members.map_init(pair, |pair, member| {
        if let Some(read) = pair.unchanged(member, known.get(&member.path)).map_err(error)? {
            return Ok(read);
        }
        let mut taken = Taken::of(&member.path, false);
        // Length and checksum are held against what is announced at its end.
        member.copy_from(&mut Reading { file: &file, at: 0 }, &mut taken).map_err(error)?;
        Ok(taken.read())
    });
    let read: Vec<Result<ReadFile, PublishError>> = read.collect();
    for (member, read) in directory.members.iter().zip(read) {
        let read = read?;
        let entry = if member.is_symlink {
            let target = zip.read(&file, member)?;
            Entry::Symlink { target: String::from_utf8_lossy(&target).into_owned() }
        } else {
            let (digest, size) = files.put(&member.path, false, read);
            Entry::File { digest, size, mode: Mode::from_bits(member.unix_mode.unwrap_or(0o644)) }
        };
        let mode = member.unix_mode.unwrap_or_default();
        if mode & PRIVILEGED != 0 && !member.is_symlink {
            privileged(&mut files, &member.path, mode);
        }
        files.tree.insert(member.path.clone(), entry).map_err(|reason| PublishError::NotUsable {
            what: zip.path.display().to_string(),
            reason: reason.to_string(),
        })?;
    }
    Ok(files)
}

fn privileged(files: &mut Files, path: &TreePath, mode: u32) {
    let attributes =
        Attributes { mode: mode & 0o7777, user: 0, group: 0, xattrs: std::collections::BTreeMap::new() };
    files.attributes.insert(path.clone(), attributes);
}

/// Reads a folder that an archive was unpacked to. Links are read and not followed; empty folders, devices, pipes and sockets are no
/// part of what is told.
pub(crate) fn folder_files(root: &Path) -> Result<Files, PublishError> {
    let error = |reason: String| PublishError::NotUsable { what: root.display().to_string(), reason };
    let (mut files, none) = (Files::default(), BTreeSet::new());
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let relative = path.strip_prefix(root).ok().and_then(|path| path.to_str());
            let relative = relative.ok_or_else(|| error(format!("{} is no UTF-8", path.display())))?;
            let metadata = fs::symlink_metadata(&path)?;
            if metadata.is_dir() {
                folders.push(path);
                continue;
            }
            let place = TreePath::new(relative).map_err(|reason| error(reason.to_string()))?;
            if files.tree.len() == MOST_ENTRIES {
                return Err(error(format!("it has more than {MOST_ENTRIES} files")));
            }
            let entry = if metadata.is_symlink() {
                Entry::Symlink { target: fs::read_link(&path)?.to_string_lossy().into_owned() }
            } else if metadata.is_file() {
                let mut file = open_regular(&path)?;
                let copy = |sink: &mut dyn Write| io::copy(&mut file, sink).map(drop);
                let (digest, size) = files.take(&place, &none, copy)?;
                let mode = metadata.permissions().mode();
                if mode & PRIVILEGED != 0 {
                    privileged(&mut files, &place, mode);
                }
                Entry::File { digest, size, mode: Mode::from_bits(mode) }
            } else {
                continue;
            };
            files.tree.insert(place, entry).map_err(|reason| error(reason.to_string()))?;
        }
    }
    Ok(files)
}
