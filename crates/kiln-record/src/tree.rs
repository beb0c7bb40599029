//! Trees: what an artifact contains, without the content itself.

use crate::{Digest, Hasher, excerpt};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// A path inside a tree: relative, `/` between components, valid UTF-8, without empty, `.` or `..` components, without
/// control characters and backslashes; at most 4,096 bytes, 64 components, and 255 bytes in each, which is what file systems
/// take (`PATH_MAX`, `NAME_MAX`) and more than any package has. Paths order by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(String);

/// Why a text is not a tree path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path inside a tree: {reason}")]
pub struct TreePathError {
    /// The text as given, control characters escaped, cut where it is long.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The longest path, in bytes (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;
/// The longest component, in bytes (`NAME_MAX`).
const LONGEST_NAME: usize = 255;
/// The most components. What walks up from a path does that often at most.
const DEEPEST: usize = 64;

impl TreePath {
    /// Checks a path.
    ///
    /// # Errors
    /// [`TreePathError`] if the path is absolute, could leave the tree, or holds characters that no archive format
    /// carries safely.
    pub fn new(text: &str) -> Result<Self, TreePathError> {
        let error = |reason| Err(TreePathError { path: excerpt(text), reason });
        if text.is_empty() {
            return error("it is empty");
        }
        if text.len() > LONGEST_PATH {
            return error("it is longer than 4096 bytes");
        }
        if text.starts_with('/') {
            return error("it is absolute");
        }
        if text.chars().any(|c| c.is_control() || c == '\\') {
            return error("it holds a control character or backslash");
        }
        for (depth, component) in text.split('/').enumerate() {
            if depth == DEEPEST {
                return error("it has more than 64 components");
            }
            match component {
                long if long.len() > LONGEST_NAME => {
                    return error("it has a component longer than 255 bytes");
                }
                "" => return error("it has an empty component"),
                "." | ".." => return error("it has a `.` or `..` component"),
                _ => {}
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Everything before the last component; empty at the top.
    #[must_use]
    pub fn parent(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    /// The folders that it lies in, outermost first.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(end, _)| &self.0[..end])
    }

    /// This path below a folder.
    ///
    /// # Errors
    /// As [`TreePath::new`].
    pub fn below(&self, folder: &str) -> Result<Self, TreePathError> {
        Self::new(&format!("{}/{}", folder.trim_end_matches('/'), self.0))
    }

    /// Whether this path is `folder` itself or lies below it.
    #[must_use]
    pub fn is_within(&self, folder: &str) -> bool {
        self.0.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for TreePath {
    type Err = TreePathError;

    fn from_str(text: &str) -> Result<Self, TreePathError> {
        Self::new(text)
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The two file modes that an artifact may hold. Lambda needs files that everyone can read; anything else depends on
/// the umask of whoever built it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Mode {
    /// Readable by all: 0644.
    #[serde(rename = "0644")]
    Plain,
    /// Readable and executable by all: 0755.
    #[serde(rename = "0755")]
    Executable,
}

impl Mode {
    /// From permission bits: executable if the owner may execute.
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        if bits & 0o100 == 0 { Self::Plain } else { Self::Executable }
    }

    /// The permission bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::Plain => 0o644,
            Self::Executable => 0o755,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.bits())
    }
}

/// One thing at a path. Directories are implied by the paths below them; an empty directory is not part of a tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Entry {
    /// A regular file.
    File {
        /// The digest of its content.
        digest: Digest,
        /// Its length in bytes.
        size: u64,
        /// Its mode.
        mode: Mode,
    },
    /// A symbolic link; its mode is always 0777.
    Symlink {
        /// Where it points, as written in the link.
        target: String,
    },
}

impl Entry {
    /// Bytes this entry occupies when unpacked: a file's size, a link's target length.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Symlink { target } => target.len() as u64,
        }
    }
}

/// A sorted set of paths with what is at each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    // Sorted by path bytes: this order reaches every output.
    entries: BTreeMap<TreePath, Entry>,
}

/// Why an entry cannot be part of a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The same path holds something else already.
    #[error("`{0}` is there already with other content")]
    Collision(TreePath),
    /// One path is a file and also a folder of another path.
    #[error("`{file}` is a file, but `{below}` needs it to be a folder")]
    FileAsFolder {
        /// The path that is a file or link.
        file: TreePath,
        /// A path below it.
        below: TreePath,
    },
}

/// Whether a path lies below a folder.
fn lies_in(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

impl Tree {
    /// An empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry. Adding an equal entry again changes nothing.
    ///
    /// # Errors
    /// [`TreeError::Collision`] if the path holds something else. Files used as folders are found by
    /// [`Tree::check_folders`], once, when the tree is complete.
    pub fn insert(&mut self, path: TreePath, entry: Entry) -> Result<(), TreeError> {
        match self.entries.get(&path) {
            Some(there) if *there != entry => Err(TreeError::Collision(path)),
            Some(_) => Ok(()),
            None => {
                self.entries.insert(path, entry);
                Ok(())
            }
        }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, path: &TreePath) -> Option<Entry> {
        self.entries.remove(path)
    }

    /// Refuses a tree in which a file or link is the folder of another path.
    ///
    /// # Errors
    /// [`TreeError::FileAsFolder`] with the first such pair.
    pub fn check_folders(&self) -> Result<(), TreeError> {
        let texts: BTreeSet<&str> = self.entries.keys().map(TreePath::as_str).collect();
        let mut last = "";
        for path in self.entries.keys() {
            // Folders that the path before lies in as well were looked at with it.
            for folder in path.folders().skip_while(|folder| lies_in(last, folder)) {
                if let Some(file) = texts.get(folder) {
                    return Err(TreeError::FileAsFolder {
                        file: TreePath((*file).to_owned()),
                        below: path.clone(),
                    });
                }
            }
            last = path.as_str();
        }
        Ok(())
    }

    /// What is at a path.
    #[must_use]
    pub fn get(&self, path: &TreePath) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Whether any path lies below a folder, or is it.
    #[must_use]
    pub fn holds(&self, folder: &str) -> bool {
        TreePath::new(folder).is_ok_and(|start| {
            self.entries
                .range(start..)
                .take_while(|(p, _)| p.as_str().starts_with(folder))
                .any(|(p, _)| p.is_within(folder))
        })
    }

    /// The paths that begin with a text, in order.
    pub fn beginning_with<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a TreePath> {
        let from = TreePath(start.to_owned());
        self.entries
            .range(from..)
            .map(|(path, _)| path)
            .take_while(move |path| path.as_str().starts_with(start))
    }

    /// All entries in path order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&TreePath, &Entry)> {
        self.entries.iter()
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sum of the sizes of all entries in bytes: what Lambda's unzipped limit counts. A record from elsewhere may state sizes
    /// that no sum holds; it is the largest number then.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.entries.values().map(Entry::size).fold(0, u64::saturating_add)
    }

    /// A digest of paths, modes and content that no archive format or compressor can change.
    ///
    /// The hashed text is `kiln-tree 1`, then a line for each entry: `file <mode> <size> <digest> <path>` or
    /// `link <length of target> <target> <path>`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = Hasher::default();
        self.lines().for_each(|line| hasher.update(line.as_bytes()));
        hasher.finish()
    }

    /// The text that [`Tree::digest`] hashes, line by line, for who needs another digest of it.
    pub fn lines(&self) -> impl Iterator<Item = String> + '_ {
        let entries = self.entries.iter().map(|(path, entry)| match entry {
            Entry::File { digest, size, mode } => format!("file {mode} {size} {digest} {path}\n"),
            Entry::Symlink { target } => format!("link {} {target} {path}\n", target.len()),
        });
        std::iter::once("kiln-tree 1\n".to_owned()).chain(entries)
    }
}

impl FromIterator<(TreePath, Entry)> for Tree {
    fn from_iter<I: IntoIterator<Item = (TreePath, Entry)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> Entry {
        Entry::File { digest: Digest::of(content), size: content.len() as u64, mode: Mode::Plain }
    }

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn paths_are_bounded_in_length_depth_and_names() {
        assert!(TreePath::new(&"a".repeat(255)).is_ok());
        assert!(TreePath::new(&vec!["a"; 64].join("/")).is_ok());
        for bad in
            ["a".repeat(256), vec!["a"; 65].join("/"), format!("b/{}/c", "é".repeat(128)), "a/".repeat(9_000)]
        {
            let error = TreePath::new(&bad).unwrap_err().to_string();
            assert!(error.len() < 1_000, "{error}");
        }
    }

    #[test]
    fn a_file_that_is_a_folder_is_found_wherever_it_sorts() {
        let file = Entry::File { digest: Digest::of(b""), size: 0, mode: Mode::Plain };
        let tree = |paths: &[&str]| {
            let mut tree = Tree::new();
            for path in paths {
                tree.insert(TreePath::new(path).unwrap(), file.clone()).unwrap();
            }
            tree.check_folders()
        };
        for good in [&["a", "b/c", "b/d/e", "b/d-e", "b-c/d"][..], &["a/b/c/d", "a/b/c/e", "a/f"]] {
            assert_eq!(tree(good), Ok(()));
        }
        for bad in [&["a", "a-b", "a/c"][..], &["a/b", "a/b-c", "a/b.d", "a/b/c/d"], &["a/b/c", "a/b/c/d/e"]]
        {
            assert!(matches!(tree(bad), Err(TreeError::FileAsFolder { .. })), "{bad:?}");
        }
    }

    #[test]
    fn paths_stay_inside() {
        for bad in ["", "/a", "../a", "a/../b", "a//b", "a/", "./a", "a\\b", "a\nb", "a/."] {
            assert!(TreePath::new(bad).is_err(), "{bad:?}");
        }
        assert!(path("a/b").is_within("a"));
        assert!(!path("ab").is_within("a"));
    }

    #[test]
    fn collisions_and_files_as_folders_are_refused() {
        let mut tree = Tree::new();
        tree.insert(path("a"), file(b"1")).unwrap();
        tree.insert(path("a"), file(b"1")).unwrap();
        assert_eq!(tree.insert(path("a"), file(b"2")), Err(TreeError::Collision(path("a"))));
        tree.insert(path("a/b"), file(b"1")).unwrap();
        assert!(matches!(tree.check_folders(), Err(TreeError::FileAsFolder { .. })));
    }

    #[test]
    fn digest_sees_every_field() {
        let base: Tree = [(path("a"), file(b"1"))].into_iter().collect();
        let renamed: Tree = [(path("b"), file(b"1"))].into_iter().collect();
        let changed: Tree = [(path("a"), file(b"2"))].into_iter().collect();
        let Entry::File { digest, size, .. } = file(b"1") else { unreachable!() };
        let executable: Tree =
            [(path("a"), Entry::File { digest, size, mode: Mode::Executable })].into_iter().collect();
        let all = [&base, &renamed, &changed, &executable].map(Tree::digest);
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
    }

    #[test]
    fn folders_are_found() {
        let tree: Tree = [(path("a/b"), file(b"1")), (path("a-b"), file(b"1"))].into_iter().collect();
        assert!(tree.holds("a"));
        assert!(!tree.holds("a/c"));
        assert!(!tree.holds("b"));
    }
}
