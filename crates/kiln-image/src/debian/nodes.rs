//! The files of a root file system while it is put together.

use crate::ImageError;
use kiln_record::{Mode, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Folder {
        mode: u32,
    },
    /// Two files with one content index are hard links of each other.
    File {
        content: usize,
        mode: Mode,
    },
    Symlink {
        target: String,
    },
}

impl Node {
    pub(super) const FOLDER: Self = Self::Folder { mode: 0o755 };
}

/// A node with the package that ships it; a folder has the first of them by name.
#[derive(Debug)]
pub(super) struct PlacedNode {
    pub(super) node: Node,
    pub(super) owner: Option<String>,
}

/// A package that was merged, for the package database.
#[derive(Debug)]
pub(super) struct InstalledPackage {
    pub(super) name: String,
    pub(super) architecture: String,
    pub(super) multi_arch_same: bool,
    pub(super) control: String,
    pub(super) paths: BTreeSet<TreePath>,
}

/// All nodes and the content of files.
#[derive(Debug, Default)]
pub(super) struct Nodes {
    pub(super) nodes: BTreeMap<TreePath, PlacedNode>,
    pub(super) contents: Vec<Vec<u8>>,
}

impl Nodes {
    pub(super) fn file(&self, path: &TreePath) -> Option<&[u8]> {
        match self.nodes.get(path)?.node {
            Node::File { content, .. } => self.contents.get(content).map(Vec::as_slice),
            _ => None,
        }
    }

    /// Adds a file that no package ships.
    pub(super) fn generate(&mut self, path: TreePath, content: Vec<u8>) {
        self.contents.push(content);
        let node = Node::File { content: self.contents.len() - 1, mode: Mode::Plain };
        self.nodes.insert(path, PlacedNode { node, owner: None });
    }

    /// Adds folders that are only implied, and refuses paths below something else.
    pub(super) fn add_parents(&mut self) -> Result<(), ImageError> {
        let mut missing = BTreeSet::new();
        for (path, placed) in &self.nodes {
            for parent in path.folders() {
                let folder =
                    TreePath::new(parent).map_err(|e| ImageError::Image { reason: e.to_string() })?;
                match self.nodes.get(&folder) {
                    None => {
                        missing.insert(folder);
                    }
                    Some(PlacedNode { node: Node::Folder { .. }, .. }) => {}
                    Some(other) => {
                        return Err(ImageError::Package {
                            package: placed
                                .owner
                                .clone()
                                .unwrap_or_else(|| "the base's own files".to_owned()),
                            reason: format!(
                                "`/{path}` lies below `/{folder}`, which {} ships as a file or link",
                                other.owner.as_deref().unwrap_or("the base")
                            ),
                        });
                    }
                }
            }
        }
        for folder in missing {
            self.nodes.insert(folder, PlacedNode { node: Node::FOLDER, owner: None });
        }
        Ok(())
    }
}
