//! The files of a zip, and those of a folder.

use super::{Contents, ELF, Files, ReadFile, Taken, is_bundled, is_metadata};
use crate::PublishError;
use fs_err as fs;
use kiln_audit::LARGEST_EXPLAINED;
use kiln_pack::{Limits, Member, PackError, ZipReader, member_at, raw_stream_at};
use kiln_record::{Attributes, Digest, Entry, Mode, Record, TreePath};
use kiln_store::{open_regular, read_regular};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Bits of a mode that let a file run as its owner or group.
const PRIVILEGED: u32 = 0o6000;
/// The largest member that is held against another as a whole, in bytes.
const LARGEST_COMPARED: u64 = 16 << 20;
/// The most entries of a folder.
const MOST_ENTRIES: usize = 200_000;

type Zip = ZipReader<BufReader<fs::File>>;

fn open_zip(path: &Path) -> Result<Zip, PublishError> {
    ZipReader::open_after_leading(BufReader::new(open_regular(path)?), &Limits::default())
        .map_err(|reason| not_a_zip(path, &reason))
}

fn not_a_zip(path: &Path, reason: &PackError) -> PublishError {
    let reason = format!("it cannot be read as a zip: {reason}");
    PublishError::NotUsable { what: path.display().to_string(), reason }
}

/// The content of some files of a zip, within the limits of all archives. No other member is unpacked.
pub(crate) fn zip_contents(path: &Path, wanted: &BTreeSet<TreePath>) -> Result<Contents, PublishError> {
    let mut archive = open_zip(path)?;
    let is_wanted = |member: &&Member| {
        !member.is_symlink && member.size <= LARGEST_EXPLAINED && wanted.contains(&member.path)
    };
    let members: Vec<Member> = archive.members().iter().filter(is_wanted).cloned().collect();
    let read = members.into_iter().map(|member| match archive.read(&member) {
        Ok(content) => Ok((member.path, content)),
        Err(reason) => Err(not_a_zip(path, &reason)),
    });
    read.collect()
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
    pub(crate) path: &'a Path,
    /// What it is known to hold.
    pub(crate) record: &'a Record,
}

impl ZipBefore<'_> {
    /// Its members and the digests of their content, by path. Without any where it cannot be read: then nothing is the same.
    fn members(&self) -> BTreeMap<TreePath, (Member, Digest)> {
        let Ok(archive) = open_zip(self.path) else { return BTreeMap::new() };
        let files: BTreeMap<&TreePath, &Entry> =
            self.record.files.iter().map(|file| (&file.path, &file.entry)).collect();
        let known = archive.members().iter().filter_map(|member| match files.get(&member.path) {
            Some(Entry::File { digest, size, .. }) if *size == member.size && !member.is_symlink => {
                Some((member.path.clone(), (member.clone(), *digest)))
            }
            _ => None,
        });
        known.collect()
    }
}

/// Two files, each read by one thread alone.
struct Pair {
    file: fs::File,
    before: Option<fs::File>,
}

/// The content of a member that a zip before had at the same path and in the same bytes, compressed as they are. A checksum that is
/// equal says only that it is worth to look.
fn unchanged(
    pair: &mut Pair,
    member: &Member,
    old: Option<&(Member, Digest)>,
) -> Result<Option<ReadFile>, PackError> {
    let same = |old: &Member| {
        let told = |one: &Member| (one.method, one.crc32, one.size, one.compressed_size, one.is_symlink);
        told(old) == told(member) && member.compressed_size <= LARGEST_COMPARED
    };
    let (Some(before), Some((old, digest))) = (&mut pair.before, old.filter(|(old, _)| same(old))) else {
        return Ok(None);
    };
    if is_metadata(&member.path) {
        return Ok(None);
    }
    let a = raw_stream_at(before, old.data_offset, old.compressed_size)?;
    let b = raw_stream_at(&mut pair.file, member.data_offset, member.compressed_size)?;
    if a != b {
        return Ok(None);
    }
    let is_elf = is_bundled(&member.path) && {
        let mut start = Vec::new();
        let content = member_at(io::Cursor::new(&b), 0, member.compressed_size, member.method)?;
        content.take(ELF.len() as u64).read_to_end(&mut start)?;
        start == ELF
    };
    Ok(Some(ReadFile { digest: *digest, size: member.size, is_elf, kept: Vec::new() }))
}

/// Reads a zip within the limits of all archives: every member is checked, or is one of `before` byte for byte. Bytes may stand
/// before the first member, as in a pex or what unpacks itself.
pub(crate) fn zip_files(path: &Path, before: Option<&ZipBefore<'_>>) -> Result<Files, PublishError> {
    let error = |reason: PackError| not_a_zip(path, &reason);
    let mut archive = open_zip(path)?;
    let mut files = Files { leading: archive.leading(), ..Files::default() };
    let known = before.map(ZipBefore::members).unwrap_or_default();
    let open = || -> io::Result<Pair> {
        let before = before.and_then(|before| open_regular(before.path).ok());
        Ok(Pair { file: open_regular(path)?, before })
    };
    // Side by side, each through files of its own; what is wrong first in the archive's order ends all of it.
    let read = archive.members().par_iter().map_init(open, |pair, member| {
        let pair = pair.as_mut().map_err(|reason| io::Error::new(reason.kind(), reason.to_string()))?;
        if let Some(read) = unchanged(pair, member, known.get(&member.path)).map_err(error)? {
            return Ok(read);
        }
        let mut taken = Taken::of(&member.path, false);
        // Length and checksum are held against what is announced at its end.
        member.copy_from(&mut pair.file, &mut taken).map_err(error)?;
        Ok(taken.read())
    });
    let read: Vec<Result<ReadFile, PublishError>> = read.collect();
    for (member, read) in archive.members().to_vec().iter().zip(read) {
        let read = read?;
        let entry = if member.is_symlink {
            let target = archive.read(member).map_err(error)?;
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
            what: path.display().to_string(),
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
