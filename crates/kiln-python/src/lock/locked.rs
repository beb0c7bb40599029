//! What a lock says, whatever its format: which distributions, of which version, with which files, and under
//! which condition.

use super::file_place::FilePlace;
use crate::input::Remark;
use crate::project::{Declared, RequiresPython};
use crate::specifier::Constraint;
use kiln_record::{Digest, DistributionName, Place};

/// The formats that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockFormat {
    /// A requirements file in which every line has a version and hashes.
    Requirements,
    /// `poetry.lock` with its `pyproject.toml`.
    Poetry,
    /// `pylock.toml` (PEP 751).
    Pylock,
    /// `uv.lock` with the `pyproject.toml` of one of its projects.
    Uv,
    /// `Pipfile.lock`, with its `Pipfile` if that is there.
    Pipfile,
}

impl LockFormat {
    /// Whether the lock says who requires what, so that a distribution is needed if something chosen leads to
    /// it. In the other formats each distribution stands for itself, with its marker and its groups.
    #[must_use]
    pub fn is_graph(self) -> bool {
        matches!(self, Self::Poetry | Self::Uv)
    }
}

/// A complete lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The format it was read from.
    pub format: LockFormat,
    /// The lock's file name, for messages.
    pub name: String,
    /// Which Pythons the project is for, if it says so.
    pub requires_python: Option<RequiresPython>,
    /// What the project asks for directly, in the order of the file.
    pub declared: Vec<Declared>,
    /// What the lock holds, in the order of the file.
    pub distributions: Vec<Locked>,
    /// Every dependency group that the project has, sorted; `main` is always there.
    pub groups: Vec<String>,
    /// Every extra that the project offers, sorted.
    pub extras: Vec<String>,
    /// The groups that belong to `main` under another name (`default-groups` of PEP 751).
    pub default_groups: Vec<String>,
    /// The environments that the lock is for, as markers of which one has to hold; empty if it names none.
    pub environments: Vec<String>,
    /// Groups and extras of the project of which at most one may be chosen, as lists.
    pub conflicts: Vec<Vec<ConflictItem>>,
    /// Distributions of which the project decides the version, whatever others require (`override-dependencies`).
    pub overridden: Vec<DistributionName>,
    /// The place in `distributions` of the project itself, where the lock lists it with what it requires.
    pub root: Option<usize>,
    /// The command that the file says it was made by.
    pub made_by: Option<String>,
    /// What the files ask for and kiln passes over, because it changes nothing.
    pub remarks: Vec<Remark>,
}

/// A group or an extra that excludes others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConflictItem {
    /// An extra of the project.
    Extra(String),
    /// A dependency group.
    Group(String),
}

/// A distribution of the lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locked {
    /// The distribution.
    pub name: DistributionName,
    /// The version, as the lock writes it.
    pub version: String,
    /// The file that names it, if that is another than the lock itself: one that the lock includes.
    pub file: Option<String>,
    /// Where that file names it, from 1.
    pub line: usize,
    /// The conditions that it is locked under, as written: it is needed if any holds. None means always.
    pub markers: Vec<String>,
    /// The dependency groups that need it, where the format says so; empty where it does not.
    pub groups: Vec<String>,
    /// Whether only an extra of the project needs it.
    pub optional: bool,
    /// The extras of it that the lock asks for, in normal form.
    pub extras: Vec<String>,
    /// Its files. None if it is not from an index.
    pub files: Vec<LockedFile>,
    /// Files that the lock names by another hash than SHA-256 alone.
    pub weak: Vec<WeakFile>,
    /// What it requires, where the format says so.
    pub dependencies: Vec<LockedDependency>,
    /// Where it is from, if that is not an index: `git https://…`.
    pub not_from_index: Option<String>,
    /// Where it is from, where the format says so: the URL of a package index, or what `not_from_index` says.
    /// Two distributions of one name and version can differ in it.
    pub source: Option<String>,
    /// Which package index the lock takes it from.
    pub index: LockedIndex,
    /// The place that the lock names for it instead of asking an index.
    pub place: Option<FilePlace>,
    /// The folder of the same source tree that it is, if it is one: a project of the workspace.
    pub folder: Option<SourceFolder>,
}

/// What a lock says of the package index that a distribution is from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockedIndex {
    /// Nothing: its format has no place for it, or whoever wrote it left it out.
    Unsaid,
    /// The default index: its format names every other one.
    Default,
    /// The index of this name in `kiln.toml`.
    Named(String),
    /// The index at this URL, without credentials.
    Url(String),
}

/// A project that a lock names as a distribution although it lies in the same source tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFolder {
    /// Relative to the folder of the lock; `.` is that folder.
    pub path: String,
    /// Whether it is installed as a distribution. A project that is not a package only has requirements.
    pub is_package: bool,
}

/// A file of a distribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedFile {
    /// Its name, where the format has it.
    pub file_name: Option<String>,
    /// Its digest.
    pub digest: Digest,
}

/// A file of a distribution that no SHA-256 pins.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WeakFile {
    /// Its name, where the format has it.
    pub file_name: Option<String>,
    /// The algorithm of its hash, such as `md5`.
    pub algorithm: String,
}

/// What one locked distribution requires of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedDependency {
    /// The distribution required.
    pub name: DistributionName,
    /// The condition.
    pub marker: Option<String>,
    /// The versions that are required, if any are.
    pub constraint: Option<Constraint>,
    /// The extras required of it, in normal form.
    pub extras: Vec<String>,
    /// Where it is required from, where the format says so, as in [`Locked::source`].
    pub source: Option<String>,
}

impl Lock {
    /// Whether a distribution of the lock is the project that the lock belongs to: the one in the lock's own folder, or
    /// the member of a workspace that is chosen.
    #[must_use]
    pub fn is_own_project(&self, index: usize) -> bool {
        let folder = self.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let in_folder = |locked: &Locked| match &locked.place {
            Some(FilePlace::Folder(path)) => self.root.is_none() && path == folder,
            _ => false,
        };
        self.root == Some(index) || self.distributions.get(index).is_some_and(in_folder)
    }

    /// Where a distribution of the lock is named.
    #[must_use]
    pub fn place(&self, locked: &Locked) -> Place {
        Place::line(locked.file.as_ref().unwrap_or(&self.name), locked.line)
    }
}
