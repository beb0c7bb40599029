//! Reading what somebody else built: a zip, a folder, an image. What it holds is told as a record tells it: distributions by their
//! metadata at any depth, native libraries, packages of the system, files, modes and links. What only whoever built it knows is
//! left out, and [`kiln_audit::Known`] says so.

mod files;
mod image;
mod inventory;

pub(crate) use files::{ZipBefore, ZipPlace, folder_contents, folder_files, zip_contents, zip_files};
pub(crate) use image::{ImagePlace, KeptLayer, image_files, kept_layers, laid};
pub(crate) use inventory::{Found, listed_record, record_of};

use kiln_audit::LARGEST_EXPLAINED;
use kiln_record::{Attributes, Digest, Hasher, Tree, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

/// The largest file of metadata that is kept, and the most that all of them may have together, in bytes.
const LARGEST_METADATA: u64 = 8 << 20;
const MOST_METADATA: u64 = 256 << 20;

/// What ELF files begin with.
const ELF: &[u8] = b"\x7fELF";

/// Files by their paths.
pub(crate) type Contents = BTreeMap<TreePath, Vec<u8>>;

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Files {
    /// Paths, modes and content.
    pub(crate) tree: Tree,
    /// The content of files that say what others are.
    pub(crate) metadata: Contents,
    /// ELF files in the folders of bundled libraries.
    pub(crate) elf: BTreeSet<TreePath>,
    /// Modes, owners and attributes that are not the usual ones.
    pub(crate) attributes: BTreeMap<TreePath, Attributes>,
    /// The content of the files that were asked for.
    pub(crate) wanted: Contents,
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

/// Whether a file is in a folder of libraries that a distribution bundles, as auditwheel names them.
fn is_bundled(path: &TreePath) -> bool {
    path.parent().ends_with(".libs")
}

/// The content of a file, as far as it is kept.
pub(crate) struct ReadFile {
    digest: Digest,
    size: u64,
    is_elf: bool,
    kept: Vec<u8>,
}

/// What is written into it: its digest, its first bytes, and all of it where that is kept.
#[derive(Default)]
struct Taken {
    hasher: Hasher,
    size: u64,
    start: Vec<u8>,
    kept: Option<Vec<u8>>,
}

impl Taken {
    /// For the content of a file, which is kept if it says what others are or is `wanted`.
    fn of(path: &TreePath, wanted: bool) -> Self {
        Self { kept: (wanted || is_metadata(path)).then(Vec::new), ..Self::default() }
    }

    fn read(self) -> ReadFile {
        let Self { hasher, size, start, kept } = self;
        ReadFile { digest: hasher.finish(), size, is_elf: start == ELF, kept: kept.unwrap_or_default() }
    }
}

impl Write for Taken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        let missing = ELF.len() - self.start.len();
        self.start.extend(bytes.iter().take(missing));
        if let Some(kept) =
            self.kept.as_mut().filter(|_| self.size <= LARGEST_EXPLAINED.max(LARGEST_METADATA))
        {
            kept.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Files {
    /// Takes the content of a file from what writes it, and gives its digest and length.
    fn take<E>(
        &mut self,
        path: &TreePath,
        wanted: &BTreeSet<TreePath>,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(Digest, u64), E> {
        let is_wanted = wanted.contains(path);
        let mut taken = Taken::of(path, is_wanted);
        write(&mut taken)?;
        Ok(self.put(path, is_wanted, taken.read()))
    }

    /// Adds a file whose content was read, and gives its digest and length.
    fn put(&mut self, path: &TreePath, is_wanted: bool, read: ReadFile) -> (Digest, u64) {
        let ReadFile { digest, size, is_elf, kept } = read;
        if is_elf && is_bundled(path) {
            self.elf.insert(path.clone());
        }
        if is_wanted && size <= LARGEST_EXPLAINED {
            self.wanted.insert(path.clone(), kept.clone());
        }
        if is_metadata(path) && size <= LARGEST_METADATA && self.kept + size <= MOST_METADATA {
            self.kept += size;
            self.metadata.insert(path.clone(), kept);
        }
        (digest, size)
    }
}
