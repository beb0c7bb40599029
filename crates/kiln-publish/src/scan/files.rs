//! The files of a zip, and those of a folder.

use super::Files;
use crate::PublishError;
use fs_err as fs;
use kiln_pack::{Limits, PackError, ZipReader, member_at};
use kiln_record::{Attributes, Entry, Mode, TreePath};
use std::collections::BTreeSet;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Bits of a mode that let a file run as its owner or group.
const PRIVILEGED: u32 = 0o6000;
/// The most entries of a folder.
const MOST_ENTRIES: usize = 200_000;

/// Reads a zip within the limits of all archives: every member is checked. The content of `wanted` is kept. Bytes may stand before the
/// first member, as in a pex or what unpacks itself.
pub(crate) fn zip_files(path: &Path, wanted: &BTreeSet<TreePath>) -> Result<Files, PublishError> {
    let error = |reason: PackError| PublishError::NotUsable {
        what: path.display().to_string(),
        reason: format!("it cannot be read as a zip: {reason}"),
    };
    let mut archive =
        ZipReader::open_after_leading(BufReader::new(fs::File::open(path)?), &Limits::default())
            .map_err(error)?;
    let mut files = Files { leading: archive.leading(), ..Files::default() };
    for member in archive.members().to_vec() {
        let entry = if member.is_symlink {
            let target = archive.read(&member).map_err(error)?;
            Entry::Symlink { target: String::from_utf8_lossy(&target).into_owned() }
        } else {
            // Length and checksum are held against what is announced before anything is taken.
            archive.copy(&member, &mut std::io::sink()).map_err(error)?;
            let file = BufReader::new(fs::File::open(path)?);
            let mut content =
                member_at(file, member.data_offset, member.compressed_size, member.method).map_err(error)?;
            let (digest, size) = files.take(&member.path, &mut content, wanted)?;
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
pub(crate) fn folder_files(root: &Path, wanted: &BTreeSet<TreePath>) -> Result<Files, PublishError> {
    let error = |reason: String| PublishError::NotUsable { what: root.display().to_string(), reason };
    let mut files = Files::default();
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
                let (digest, size) = files.take(&place, &mut fs::File::open(&path)?, wanted)?;
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
