//! Packages merged into one root file system, without running any of their scripts.

use super::control::single;
use super::deb::{Deb, DebEntryKind, read_deb};
use super::generated;
use super::nodes::{InstalledPackage, Node, Nodes, PlacedNode};
use super::rules::{MERGED, is_left_out, placed};
use crate::ImageError;
use kiln_record::{Architecture, Digest, Epoch, Hasher, TreePath, excerpt};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

/// Unpacked bytes of all packages together. A Python base has some 60 MB.
const TOTAL_LIMIT: u64 = 2 << 30;

/// A `.deb` as a lock names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// The package's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture by Debian name, or `all`.
    pub architecture: String,
    /// The length of the file in bytes.
    pub size: u64,
    /// The digest of the file.
    pub digest: Digest,
}

impl LockedPackage {
    /// Name and version, for messages.
    fn label(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// A package that was read, checked against its lock, and waits to be merged. Reading packages is most of the work and
/// can be done side by side; merging them gives the same result in any order.
#[derive(Debug)]
pub struct UnpackedPackage {
    locked: LockedPackage,
    multi_arch_same: bool,
    size: u64,
    deb: Deb,
}

impl UnpackedPackage {
    /// Reads a `.deb`. Nothing is kept unless the whole file has the locked size and digest.
    ///
    /// # Errors
    /// [`ImageError::PackageDigest`] if the file is another one, [`ImageError::Package`] if it is malformed or holds what a
    /// base may not hold: paths that leave the root, device nodes, names that are not UTF-8.
    pub fn read(package: &LockedPackage, reader: impl Read) -> Result<Self, ImageError> {
        let error = |reason: String| ImageError::Package { package: package.label(), reason };
        // One byte more than is locked shows that the file is longer, without reading all of it.
        let mut counted = HashingReader {
            inner: reader.take(package.size.saturating_add(1)),
            hasher: Hasher::default(),
            count: 0,
        };
        let place = |path: &TreePath| -> Result<Option<TreePath>, String> {
            let path = placed(path)?;
            Ok((!is_left_out(&path)).then_some(path))
        };
        let deb = read_deb(&mut counted, &place);
        io::copy(&mut counted, &mut io::sink()).map_err(|e| error(e.to_string()))?;
        let (found, found_size) = (counted.hasher.finish(), counted.count);
        // A wrong digest is the better message where the content is malformed as well.
        if found != package.digest || found_size != package.size {
            return Err(ImageError::PackageDigest {
                package: package.label(),
                expected: package.digest,
                expected_size: package.size,
                found,
                found_size,
            });
        }
        let deb = deb.map_err(error)?;
        let control = single("control", &deb.control)?;
        for (field, locked) in [
            ("Package", &package.name),
            ("Version", &package.version),
            ("Architecture", &package.architecture),
        ] {
            let found = control.require("control", field)?;
            if found != locked {
                return Err(error(format!("its control file says `{field}: {}`", excerpt(found))));
            }
        }
        let multi_arch_same = control.get("Multi-Arch") == Some("same");
        let size =
            deb.entries
                .iter()
                .map(|entry| {
                    if let DebEntryKind::File { content, .. } = &entry.kind {
                        content.len() as u64
                    } else {
                        0
                    }
                })
                .sum();
        Ok(Self { locked: package.clone(), multi_arch_same, size, deb })
    }
}

struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    count: u64,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.count += n as u64;
        Ok(n)
    }
}

/// What decides the bytes of a root file system besides its packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootFsRules {
    /// The modification time of every entry. One constant, rather than each file's own time: packages that were built
    /// again with equal content give equal layers.
    pub epoch: Epoch,
    /// What the libraries are for.
    pub architecture: Architecture,
}

/// Packages on their way to a root file system.
#[derive(Debug, Default)]
pub struct RootFs {
    // By name: the order in which packages are added cannot be seen in the result.
    packages: BTreeMap<String, UnpackedPackage>,
    size: u64,
}

impl RootFs {
    /// An empty root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a `.deb` and adds it: [`UnpackedPackage::read`] and [`RootFs::add`] in one.
    ///
    /// # Errors
    /// As those two. Nothing is added then.
    pub fn add_deb(&mut self, package: &LockedPackage, reader: impl Read) -> Result<(), ImageError> {
        self.add(UnpackedPackage::read(package, reader)?)
    }

    /// Adds a package.
    ///
    /// # Errors
    /// [`ImageError::Package`] if a package of this name is there, [`ImageError::TooLarge`] if all together are too large.
    pub fn add(&mut self, package: UnpackedPackage) -> Result<(), ImageError> {
        if self.packages.contains_key(&package.locked.name) {
            let reason = "another package of this name is there already".to_owned();
            return Err(ImageError::Package { package: package.locked.label(), reason });
        }
        self.size += package.size;
        if self.size > TOTAL_LIMIT {
            return Err(ImageError::TooLarge { what: "the root file system".to_owned(), limit: TOTAL_LIMIT });
        }
        self.packages.insert(package.locked.name.clone(), package);
        Ok(())
    }

    /// Merges the packages and adds the files that their scripts would have made.
    ///
    /// Rules, in this order: `/bin`, `/lib*` and `/sbin` are links into `/usr`; the folders of [`super::LEFT_OUT`] and
    /// bytecode are left out; everything belongs to root; files are 0644 or 0755, and set-user-ID bits are dropped;
    /// folders are 0755 except `/root` (0700), `/tmp` and `/var/tmp` (1777). A path that two packages ship must be equal in
    /// both; diversions and `Replaces` are not followed. Then the files that the scripts would have made are added (module `generated`).
    ///
    /// # Errors
    /// [`ImageError::Collision`] if two packages ship one path with different content, [`ImageError::Package`] if a path lies
    /// below something that is no folder.
    pub fn finish(self, rules: &RootFsRules) -> Result<AssembledRootFs, ImageError> {
        let mut root = Nodes::default();
        let mut installed = Vec::new();
        let mut privileged = BTreeSet::new();
        for package in self.packages.into_values() {
            privileged.extend(package.deb.privileged.iter().cloned());
            installed.push(root.merge(package)?);
        }
        let shipped: BTreeSet<TreePath> = root.nodes.keys().cloned().collect();
        generated::complete(&mut root, &installed, rules.architecture)?;
        root.add_parents()?;
        let report = RootFsReport {
            files: root.nodes.values().filter(|placed| matches!(placed.node, Node::File { .. })).count()
                as u64,
            bytes: root.contents.iter().map(|content| content.len() as u64).sum(),
            generated: root
                .nodes
                .iter()
                .filter(|(path, placed)| {
                    !matches!(placed.node, Node::Folder { .. }) && !shipped.contains(*path)
                })
                .map(|(path, _)| path.clone())
                .collect(),
            privileged: privileged.into_iter().collect(),
        };
        Ok(AssembledRootFs { root, epoch: rules.epoch, report })
    }
}

/// What became of the packages' content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootFsReport {
    /// Number of regular files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// Files and links that no package ships, in path order.
    pub generated: Vec<TreePath>,
    /// Files that lost a set-user-ID or set-group-ID bit, in path order.
    pub privileged: Vec<TreePath>,
}

/// A complete root file system, to be written as a layer.
#[derive(Debug)]
pub struct AssembledRootFs {
    pub(super) root: Nodes,
    pub(super) epoch: Epoch,
    report: RootFsReport,
}

impl AssembledRootFs {
    /// What became of the packages' content.
    #[must_use]
    pub fn report(&self) -> &RootFsReport {
        &self.report
    }

    /// The content of a regular file.
    #[must_use]
    pub fn file(&self, path: &TreePath) -> Option<&[u8]> {
        self.root.file(path)
    }

    /// Every path in order, with the package that ships it; folders and generated files belong to none.
    pub fn paths(&self) -> impl Iterator<Item = (&TreePath, Option<&str>)> {
        self.root.nodes.iter().map(|(path, placed)| match placed.node {
            Node::Folder { .. } => (path, None),
            _ => (path, placed.owner.as_deref()),
        })
    }
}

impl Nodes {
    fn merge(&mut self, package: UnpackedPackage) -> Result<InstalledPackage, ImageError> {
        let UnpackedPackage { locked, multi_arch_same, deb, .. } = package;
        let mut paths = BTreeSet::new();
        let mut hard_links = Vec::new();
        for entry in deb.entries {
            let node = match entry.kind {
                DebEntryKind::Directory => Node::FOLDER,
                DebEntryKind::File { content, mode } => {
                    self.contents.push(content);
                    Node::File { content: self.contents.len() - 1, mode }
                }
                DebEntryKind::Symlink { target } if is_merge_link(&entry.path, &target) => continue,
                DebEntryKind::Symlink { target } => Node::Symlink { target },
                DebEntryKind::Hardlink { target } => {
                    hard_links.push((entry.path, target));
                    continue;
                }
            };
            self.place(entry.path.clone(), node, &locked)?;
            paths.insert(entry.path);
        }
        for (path, target) in hard_links {
            let file =
                self.nodes.get(&target).filter(|_| paths.contains(&target)).map(|placed| placed.node.clone());
            let Some(node @ Node::File { .. }) = file else {
                let reason =
                    format!("`{path}` is a hard link to `{target}`, which is no file of the package");
                return Err(ImageError::Package { package: locked.label(), reason });
            };
            self.place(path.clone(), node, &locked)?;
            paths.insert(path);
        }
        Ok(InstalledPackage {
            name: locked.name,
            architecture: locked.architecture,
            multi_arch_same,
            control: deb.control,
            paths,
        })
    }

    fn place(&mut self, path: TreePath, node: Node, package: &LockedPackage) -> Result<(), ImageError> {
        let Some(there) = self.nodes.get(&path) else {
            self.nodes.insert(path, PlacedNode { node, owner: Some(package.name.clone()) });
            return Ok(());
        };
        let is_equal = match (&there.node, &node) {
            (Node::File { content: a, mode: mode_a }, Node::File { content: b, mode: mode_b }) => {
                mode_a == mode_b && self.contents[*a] == self.contents[*b]
            }
            (a, b) => a == b,
        };
        if !is_equal {
            let first = there.owner.clone().unwrap_or_default();
            return Err(ImageError::Collision { path, first, second: package.name.clone() });
        }
        // The second copy of an equal file is not kept.
        if let Node::File { content, .. } = node
            && !matches!(there.node, Node::File { content: kept, .. } if kept == content)
        {
            self.contents[content] = Vec::new();
        }
        Ok(())
    }
}

/// Whether a package ships the link `/bin -> usr/bin` or one of its kind, which every root has anyway. The path was
/// placed already: it is `usr/bin` here.
fn is_merge_link(path: &TreePath, target: &str) -> bool {
    path.as_str().strip_prefix("usr/").is_some_and(|name| MERGED.contains(&name))
        && target.trim_start_matches('/') == path.as_str()
}

#[cfg(test)]
mod tests;
