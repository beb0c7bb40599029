//! What a base image holds.

use crate::WheelDigests;
use kiln_record::{Check, CheckName, Distribution, Ecosystem, Surface, TreePath, counted};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Folders that the dynamic loader searches on the systems that bases are made of, without the slash in front.
pub(crate) const LIBRARY_FOLDERS: [&str; 9] = [
    "lib",
    "lib64",
    "usr/lib",
    "usr/lib64",
    "usr/local/lib",
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
];
/// Program interpreters by the psABI supplements.
const LOADERS: [&str; 2] = ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-aarch64.so.1"];
/// Links that are followed to find a file.
const MAX_LINKS: usize = 32;

/// What is at a path of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ContentEntry {
    /// A folder.
    Folder,
    /// A file; a further name of a hard-linked one has no bytes.
    File {
        /// Its bytes.
        size: u64,
        /// Its permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads.
        target: String,
    },
    /// A device, pipe or socket.
    Other,
}

/// A package of the base's operating system, as its own database has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OsPackage {
    /// Whose package it is: Debian's or rpm's.
    pub ecosystem: Ecosystem,
    /// Its name.
    pub name: String,
    /// Its version, as its system's tools write it: `2.36-9+deb12u10`, or with epoch and release `1:3.0.8-1.amzn2023.0.3`.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
    /// Whoever maintains it, as the database writes it.
    pub maintainer: Option<String>,
    /// The first line of its description.
    pub summary: Option<String>,
    /// Its home page.
    pub homepage: Option<String>,
    /// Its licence in the words of the database, or as an expression that its copyright file makes; none where neither tells.
    pub license: Option<String>,
    /// The source package that it was built from, where the database says so.
    pub source: Option<String>,
    /// The version of that source package, where the database says one: it is another than the package's own.
    #[serde(default)]
    pub source_version: Option<String>,
    /// Packages of the same system that it depends on, by name; empty where the database was not asked.
    #[serde(default)]
    pub requires: BTreeSet<String>,
    /// Bytes of the files that it accounts for.
    pub bytes: u64,
    /// Number of files and links that it accounts for.
    pub files: u64,
}

/// Everything about an image's files that building on it needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageContents {
    /// Every path.
    pub entries: BTreeMap<TreePath, ContentEntry>,
    /// Folders that are not root's with mode 0755: mode, owner and group.
    #[serde(default)]
    pub folders: BTreeMap<TreePath, (u32, u64, u64)>,
    /// The packages of its operating system, by name; none where it has no database that kiln reads.
    pub packages: Option<Vec<OsPackage>>,
    /// The digests of wheels that lie there to be installed from.
    #[serde(default)]
    pub wheels: BTreeMap<TreePath, WheelDigests>,
    /// The package databases that are there and were not read, each with the reason.
    pub unread_packages: Vec<String>,
    /// What the system is: the distribution and its version, by os-release.
    pub distribution: Option<Distribution>,
    /// The system's name for people (`PRETTY_NAME` of os-release).
    pub system: Option<String>,
    /// The newest versions that its C and C++ libraries have: `GLIBC` is `2.41`.
    pub interfaces: BTreeMap<String, String>,
}

impl ImageContents {
    /// What is at a path, links on the way and at its end followed; none if nothing is.
    #[must_use]
    pub fn resolve(&self, path: &str) -> Option<TreePath> {
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut at: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = rest.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(part),
            }
            let here = TreePath::new(&at.join("/")).ok()?;
            if let Some(ContentEntry::Symlink { target }) = self.entries.get(&here) {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                at.pop();
                if target.starts_with('/') {
                    at.clear();
                }
                rest.extend(target.split('/').rev().map(str::to_owned));
            }
        }
        let path = TreePath::new(&at.join("/")).ok()?;
        self.entries.contains_key(&path).then_some(path)
    }

    /// Whether a file is at a path, given with or without the slash in front.
    #[must_use]
    pub fn has_file(&self, path: &str) -> bool {
        let found = self.resolve(path);
        found.is_some_and(|path| matches!(self.entries.get(&path), Some(ContentEntry::File { .. })))
    }

    /// The shared libraries that the loader finds by name, and those in the folders named besides (`LD_LIBRARY_PATH`).
    #[must_use]
    pub fn libraries(&self, also: &[&str]) -> BTreeSet<String> {
        let folders = LIBRARY_FOLDERS.iter().chain(also);
        let folders: BTreeSet<TreePath> = folders.filter_map(|folder| self.resolve(folder)).collect();
        self.entries
            .iter()
            .filter(|(path, entry)| {
                let name = path.file_name();
                !matches!(entry, ContentEntry::Folder | ContentEntry::Other)
                    && (name.ends_with(".so") || name.contains(".so."))
                    && folders.iter().any(|folder| folder.as_str() == path.parent())
            })
            .map(|(path, _)| path.file_name().to_owned())
            .collect()
    }

    /// The program interpreters that are there, as absolute paths.
    #[must_use]
    pub fn loaders(&self) -> Vec<String> {
        LOADERS.iter().filter(|path| self.has_file(path)).map(|path| format!("/{path}")).collect()
    }

    /// What someone who gets in can use of it.
    #[must_use]
    pub fn surface(&self) -> Surface {
        let mut surface = Surface::default();
        for (path, entry) in &self.entries {
            match entry {
                ContentEntry::File { mode, .. } => {
                    surface.count(path, mode & 0o111 != 0, false, mode & 0o6000 != 0);
                }
                ContentEntry::Symlink { .. } => surface.count(path, false, true, false),
                ContentEntry::Folder | ContentEntry::Other => {}
            }
        }
        surface
    }

    /// Whether the packages of an image are known, as a check of a build. `unit` is what is counted, `what` is the image.
    #[must_use]
    pub fn package_check(&self, unit: &str, what: &str) -> Check {
        let unread = self.unread_packages.join("; ");
        match &self.packages {
            Some(packages) if unread.is_empty() => Check::ran(CheckName::BasePackages, packages.len(), unit),
            Some(packages) => Check::not_checked(
                CheckName::BasePackages,
                format!(
                    "of {what} {} known, and others were not read: {unread}",
                    counted(packages.len(), "packages")
                ),
            ),
            None => {
                let files = self.size().0;
                let reason = match unread.is_empty() {
                    true => "has no package database that kiln reads".to_owned(),
                    false => format!("has a package database that was not read ({unread})"),
                };
                Check::not_checked(
                    CheckName::BasePackages,
                    format!("{what} {reason}, so its {files} files are not told apart"),
                )
            }
        }
    }

    /// Number of files and links, and their bytes.
    #[must_use]
    pub fn size(&self) -> (u64, u64) {
        self.entries.values().fold((0, 0), |(files, bytes), entry| match entry {
            ContentEntry::File { size, .. } => (files + 1, bytes + size),
            ContentEntry::Symlink { .. } => (files + 1, bytes),
            ContentEntry::Folder | ContentEntry::Other => (files, bytes),
        })
    }
}
