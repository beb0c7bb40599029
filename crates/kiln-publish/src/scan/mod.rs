//! Reading what somebody else built: a zip, a folder, an image. What it holds is told as a record tells it: distributions by their
//! metadata at any depth, native libraries, packages of the system, files, modes and links. What only whoever built it knows is
//! left out, and [`kiln_audit::Known`] says so.

mod files;
mod image;
mod inventory;

pub(crate) use files::{folder_files, zip_files};
pub(crate) use image::{ImagePlace, image_files, laid, layer_tars};
pub(crate) use inventory::{Found, listed_record, record_of};

use kiln_record::{Attributes, Digest, Tree, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

/// The largest file of metadata that is kept, and the most that all of them may have together, in bytes.
const LARGEST_METADATA: u64 = 8 << 20;
const MOST_METADATA: u64 = 256 << 20;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Paths, modes and content.
    pub(crate) tree: Tree,
    /// The content of files that say what others are.
    pub(crate) metadata: BTreeMap<TreePath, Vec<u8>>,
    /// ELF files.
    pub(crate) elf: BTreeSet<TreePath>,
    /// Modes, owners and attributes that are not the usual ones.
    pub(crate) attributes: BTreeMap<TreePath, Attributes>,
    /// The content of the files that were asked for.
    pub(crate) wanted: BTreeMap<TreePath, Vec<u8>>,
    /// How many bytes stand before the first member of a zip.
    pub(crate) leading: u64,
    kept: u64,
}

/// Whether a file says what other files are.
fn is_metadata(path: &TreePath) -> bool {
    let parent = path.parent();
    let of_distribution =
        parent.ends_with(".dist-info") && ["METADATA", "RECORD", "top_level.txt"].contains(&path.file_name());
    of_distribution || (parent == "var/lib/dpkg/info" && path.file_name().ends_with(".list"))
}

impl Files {
    /// Takes the content of a file, and gives its digest and length.
    fn take(
        &mut self,
        path: &TreePath,
        content: &mut dyn Read,
        wanted: &BTreeSet<TreePath>,
    ) -> io::Result<(Digest, u64)> {
        let mut hasher = kiln_record::Hasher::default();
        let (mut size, mut kept) = (0_u64, Vec::new());
        let is_wanted = wanted.contains(path);
        let keeps = is_wanted || is_metadata(path);
        let mut buffer = vec![0; 1 << 16];
        let mut start = [0; 4];
        loop {
            let n = content.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            for (at, byte) in buffer[..n].iter().enumerate().take(4) {
                if let Some(place) = usize::try_from(size).ok().and_then(|before| start.get_mut(before + at))
                {
                    *place = *byte;
                }
            }
            hasher.update(&buffer[..n]);
            size += n as u64;
            if keeps && size <= kiln_audit::LARGEST_EXPLAINED.max(LARGEST_METADATA) {
                kept.extend_from_slice(&buffer[..n]);
            }
        }
        if start == *b"\x7fELF" {
            self.elf.insert(path.clone());
        }
        if is_wanted && size <= kiln_audit::LARGEST_EXPLAINED {
            self.wanted.insert(path.clone(), kept.clone());
        }
        if is_metadata(path) && size <= LARGEST_METADATA && self.kept + size <= MOST_METADATA {
            self.kept += size;
            self.metadata.insert(path.clone(), kept);
        }
        Ok((hasher.finish(), size))
    }
}
