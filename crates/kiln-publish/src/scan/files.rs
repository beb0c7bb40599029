//! The files of a zip, and those of a folder.

use super::{Contents, Files};
use crate::PublishError;
use fs_err as fs;
use kiln_audit::LARGEST_EXPLAINED;
use kiln_pack::{Limits, Member, PackError, ZipReader};
use kiln_record::{Attributes, Entry, Mode, TreePath};
use kiln_store::{open_regular, read_regular};
use std::collections::BTreeSet;
use std::io::{self, BufReader, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Bits of a mode that let a file run as its owner or group.
const PRIVILEGED: u32 = 0o6000;
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

/// Reads a zip within the limits of all archives: every member is checked. Bytes may stand before the first member, as in a pex or
/// what unpacks itself.
pub(crate) fn zip_files(path: &Path) -> Result<Files, PublishError> {
    let error = |reason: PackError| not_a_zip(path, &reason);
    let mut archive = open_zip(path)?;
    let mut files = Files { leading: archive.leading(), ..Files::default() };
    let none = BTreeSet::new();
    for member in archive.members().to_vec() {
        let entry = if member.is_symlink {
            let target = archive.read(&member).map_err(error)?;
            Entry::Symlink { target: String::from_utf8_lossy(&target).into_owned() }
        } else {
            // Length and checksum are held against what is announced at its end; what is wrong ends all of it.
            let copy = |sink: &mut dyn Write| archive.copy(&member, sink).map_err(error);
            let (digest, size) = files.take(&member.path, &none, copy)?;
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
