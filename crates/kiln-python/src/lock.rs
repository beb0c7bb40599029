//! What a lock says, whatever its format: which distributions, of which version, with which files, and when.

use crate::file_place::FilePlace;
use crate::poetry_constraint::Constraint;
use kiln_record::{Code, Digest, DistributionName, Finding};
use std::fmt;

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
    /// Whether the lock says who requires what, so that a distribution is needed if something chosen leads to it. In
    /// the other formats each distribution stands for itself, with its marker and its groups.
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

/// Something that a file says and that is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is passed over and why: a lower-case fragment. It never holds a URL, which may carry a password.
    pub message: String,
}

/// A `requires-python` with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiresPython {
    /// As written.
    pub text: String,
    /// The file that says so.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The versions it accepts.
    pub constraint: Constraint,
}

impl RequiresPython {
    /// Whether a Python of this version is accepted. Text that is no version is not.
    #[must_use]
    pub fn accepts(&self, version: &str) -> bool {
        version.parse().is_ok_and(|version| self.constraint.contains(&version))
    }
}

/// Something that the project asks for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// The distribution.
    pub name: DistributionName,
    /// The requirement as written, without its hashes.
    pub text: String,
    /// The file that says so.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The condition that it is asked for under.
    pub marker: Option<String>,
    /// The versions that are asked for, if any are.
    pub constraint: Option<Constraint>,
    /// The dependency group; `main` where a format has none.
    pub group: String,
    /// The extras of the distribution that are asked for, in normal form.
    pub extras: Vec<String>,
    /// The project's extras that ask for it; empty if it is always asked for.
    pub enabled_by: Vec<String>,
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
    /// What it requires, where the format says so.
    pub dependencies: Vec<LockedDependency>,
    /// Where it is from, if that is not an index: `git https://…`.
    pub not_from_index: Option<String>,
    /// Where it is from, where the format says so: the URL of a package index, or what `not_from_index` says. Two
    /// distributions of one name and version can differ in it.
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

/// Something that a user wrote, or did not write, and that has to change before a build can start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputProblem {
    /// What sort of problem.
    pub kind: ProblemKind,
    /// The file concerned.
    pub file: String,
    /// The line, from 1, if there is one.
    pub line: Option<usize>,
    /// What is wrong: a lower-case fragment.
    pub message: String,
    /// What to do, one way out each.
    pub remedy: Vec<String>,
}

/// Sorts of problems with an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// A line is not pinned to one version with hashes.
    LockMissingHashes,
    /// The lock does not belong to the project file beside it.
    LockStale,
    /// The file asks for something that kiln does not do.
    Unsupported,
    /// The file cannot be understood.
    Invalid,
}

impl Lock {
    /// Where a distribution of the lock is named: `file:line`.
    #[must_use]
    pub fn place(&self, locked: &Locked) -> String {
        format!("{}:{}", locked.file.as_ref().unwrap_or(&self.name), locked.line)
    }
}

impl InputProblem {
    pub(crate) fn new(
        kind: ProblemKind,
        file: &str,
        line: Option<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self { kind, file: file.to_owned(), line, message: message.into(), remedy: Vec::new() }
    }

    pub(crate) fn remedy(mut self, line: impl Into<String>) -> Self {
        self.remedy.push(line.into());
        self
    }

    /// `file:line`, or the file alone.
    #[must_use]
    pub fn place(&self) -> String {
        self.line.map_or_else(|| self.file.clone(), |line| format!("{}:{line}", self.file))
    }

    /// The finding that this problem is, where a finding code exists for it: an incomplete or stale lock. Anything
    /// else is an invalid input.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        let code = match self.kind {
            ProblemKind::LockMissingHashes => Code::LockMissing,
            ProblemKind::LockStale => Code::LockStale,
            ProblemKind::Unsupported | ProblemKind::Invalid => return None,
        };
        let mut finding = Finding::new(code, self.place(), self.message.clone());
        finding.remedy.clone_from(&self.remedy);
        Some(finding)
    }
}

impl fmt::Display for InputProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place(), self.message)
    }
}

impl std::error::Error for InputProblem {}

/// Longest lock or project file that is read, in bytes.
pub(crate) const LONGEST_FILE: usize = 16 * 1024 * 1024;
/// Most distributions that a lock may hold; the largest real locks have some two thousand.
pub(crate) const MOST_DISTRIBUTIONS: usize = 20_000;

/// The problem of a file that exceeds one of these bounds.
pub(crate) fn too_large(file: &str, length: usize, distributions: usize) -> Option<InputProblem> {
    let message = if length > LONGEST_FILE {
        format!("the file is longer than {LONGEST_FILE} bytes")
    } else if distributions > MOST_DISTRIBUTIONS {
        format!("the file holds more than {MOST_DISTRIBUTIONS} distributions")
    } else {
        return None;
    };
    Some(InputProblem::new(ProblemKind::Invalid, file, None, message))
}

/// A URL without the user name and password that it may carry.
pub(crate) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The lines of a text, to turn an offset into a line number.
pub(crate) struct Lines(Vec<usize>);

impl Lines {
    pub(crate) fn new(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line of a byte offset, from 1.
    pub(crate) fn of(&self, offset: usize) -> usize {
        self.0.partition_point(|start| *start <= offset).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_taken_out_of_urls() {
        assert_eq!(without_credentials("https://me:p@ss@example.org/a@b"), "https://example.org/a@b");
        assert_eq!(without_credentials("git+ssh://git@example.org"), "git+ssh://example.org");
        assert_eq!(without_credentials("../a@b"), "../a@b");
    }

    #[test]
    fn offsets_have_lines() {
        let lines = Lines::new("a\nbc\n\nd");
        assert_eq!([0, 1, 2, 4, 5, 6, 99].map(|at| lines.of(at)), [1, 1, 2, 2, 3, 4, 4]);
    }
}
