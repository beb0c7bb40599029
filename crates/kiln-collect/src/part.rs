//! A part of an artifact: what one maker gives, whichever ecosystem it is of, and what every judge reads.

use kiln_audit::ElfFacts;
use kiln_record::{
    Component, ComponentId, Digest, Ecosystem, Entry, Metadata, Tree, TreePath, TreePathError,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the content of a file is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A member of an archive in the store, such as a wheel.
    Member {
        /// The archive.
        archive: Digest,
        /// The member's stream in it.
        stream: MemberStream,
    },
    /// In memory: what installing made.
    Made(Arc<[u8]>),
    /// In a file of the workspace, which must still have the digest of the tree.
    File(PathBuf),
    /// In the store.
    Stored(Digest),
}

/// The stream of one member, as its archive has it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct MemberStream {
    /// Where it begins, in bytes from the start of the archive.
    pub offset: u64,
    /// Its length in the archive, in bytes.
    pub compressed_size: u64,
    /// Its length unpacked, in bytes.
    pub size: u64,
    /// The CRC-32 of what it unpacks to.
    pub crc32: u32,
    /// Whether it is deflated; else it is stored.
    pub deflated: bool,
}

/// Who brings a part: it decides what a collision means and how it is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BroughtBy {
    /// A distribution, whose installer decides which paths it has.
    Distribution,
    /// The artifact's own source.
    Source,
    /// An upstream source.
    Upstream,
    /// A step.
    Step,
}

/// A file of a part.
#[derive(Clone, Debug)]
pub struct PartFile {
    /// Where the artifact has it.
    pub path: TreePath,
    /// Where its maker has it, for messages about what to leave out.
    pub stated: TreePath,
    /// What it is.
    pub entry: Entry,
    /// Where its content is; none for links.
    pub content: Option<Content>,
    /// What is known of it, if it is an ELF file that its maker looked at.
    pub elf: Option<ElfFacts>,
    /// Whether it is a library that the part bundles, which is a component of its own.
    pub bundled: bool,
}

/// What one maker gives.
#[derive(Clone, Debug)]
pub struct Part {
    /// What it is; its bytes and files are counted when parts are merged.
    pub component: Component,
    /// Who brings it.
    pub brought_by: BroughtBy,
    /// The folder of the workspace that it is, if it is one.
    pub folder: Option<String>,
    /// Its files.
    pub files: Vec<PartFile>,
    /// The modules that it offers to be imported, dotted, if it is of a language that has such.
    pub modules: Vec<String>,
    /// ELF files that could not be understood, with the reason, where the artifact would have them.
    pub unreadable_elf: BTreeMap<TreePath, String>,
}

impl Part {
    /// Files that no distribution brings, below the folder `into` of the artifact. Where `files` has no path, the content is
    /// in the store.
    #[must_use]
    pub fn own(
        component: Component,
        brought_by: BroughtBy,
        tree: &Tree,
        files: &BTreeMap<TreePath, PathBuf>,
        into: Option<&str>,
    ) -> Self {
        let files = tree.iter().filter_map(|(stated, entry)| {
            let path = below(stated, into).ok()?;
            let content = match (files.get(stated), entry) {
                (Some(file), _) => Some(Content::File(file.clone())),
                (None, Entry::File { digest, .. }) => Some(Content::Stored(*digest)),
                (None, Entry::Symlink { .. }) => None,
            };
            let (stated, entry) = (stated.clone(), entry.clone());
            Some(PartFile { path, stated, entry, content, elf: None, bundled: false })
        });
        Self {
            files: files.collect(),
            component,
            brought_by,
            folder: None,
            modules: Vec::new(),
            unreadable_elf: BTreeMap::new(),
        }
    }
}

/// A path as it is below a folder, if there is one.
///
/// # Errors
/// If the two together are no path of a tree.
pub fn below(path: &TreePath, folder: Option<&str>) -> Result<TreePath, TreePathError> {
    match folder {
        Some(folder) => path.below(folder),
        None => Ok(path.clone()),
    }
}

/// A component of which nothing is known but what it is called.
#[must_use]
pub fn component(id: ComponentId, ecosystem: Ecosystem, name: &str) -> Component {
    Component {
        id,
        ecosystem,
        name: name.to_owned(),
        version: None,
        bytes: 0,
        files: 0,
        origin: None,
        file_sha512: None,
        metadata: Metadata::default(),
        requires: BTreeSet::new(),
        within: None,
        from_base: false,
        embedded: Vec::new(),
        unread_sboms: BTreeMap::new(),
        license_files: BTreeMap::new(),
        package: None,
        upstream: None,
        built_from: None,
        made_by: None,
    }
}
