//! The tree of a source distribution: unpacked as something hostile, and packed again for a container.

use crate::WheelError;
use flate2::bufread::MultiGzDecoder;
use kiln_collect::link_stays_inside;
use kiln_engine::InputTree;
use kiln_guest::input_tree;
use kiln_invocation::InvocationError;
use kiln_pack::{Limits, PackError, TarContent, ZipReader, read_tar};
use kiln_record::{Digest, Mode, TreePath};
use kiln_store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a source distribution may ask for; the largest in use have a few hundred megabytes.
const LIMITS: Limits =
    Limits { max_members: 100_000, max_member_size: 256 << 20, max_total_size: 1 << 30, max_ratio: u64::MAX };

/// Endings of sources that are compiled to native code.
const NATIVE_ENDINGS: [&str; 8] = ["c", "cc", "cpp", "cxx", "f90", "pyx", "rs", "zig"];

/// One entry of a source distribution.
#[derive(Clone, Debug)]
enum SourceEntry {
    File { mode: Mode, content: Arc<[u8]> },
    Symlink { target: String },
}

/// The files of a source distribution, relative to its one folder.
#[derive(Clone, Debug, Default)]
pub struct UnpackedSource {
    entries: BTreeMap<TreePath, SourceEntry>,
}

impl UnpackedSource {
    /// Unpacks a source distribution of the store into memory.
    pub fn read(store: &Store, file_name: &str, digest: &Digest) -> Result<Self, WheelError> {
        // What was fetched long ago is held against its digest before anything in it is believed.
        let bytes = store.read_blob(digest)?;
        Self::from_bytes(file_name, &bytes)
            .map_err(|source| InvocationError::Archive { file: file_name.to_owned(), source }.into())
    }

    fn from_bytes(file_name: &str, bytes: &[u8]) -> Result<Self, PackError> {
        let mut members: BTreeMap<TreePath, SourceEntry> = BTreeMap::new();
        if file_name.ends_with(".zip") {
            let mut archive = ZipReader::open(std::io::Cursor::new(bytes), &LIMITS)?;
            for member in archive.members().to_vec() {
                let content = archive.read(&member)?;
                let entry = if member.is_symlink {
                    SourceEntry::Symlink { target: String::from_utf8_lossy(&content).into_owned() }
                } else {
                    SourceEntry::File { mode: member.mode(), content: content.into() }
                };
                members.insert(member.path.clone(), entry);
            }
        } else {
            read_tar(MultiGzDecoder::new(bytes), &LIMITS, |item| {
                let entry = match item.content {
                    TarContent::Folder => return Ok(()),
                    TarContent::File(content) => {
                        SourceEntry::File { mode: Mode::from_bits(item.mode), content: content.into() }
                    }
                    TarContent::Symlink(target) => SourceEntry::Symlink { target },
                    TarContent::HardLink(first) => match members.get(&first) {
                        Some(entry) => entry.clone(),
                        None => {
                            return Err(malformed(item.path.as_str(), "it is a link to what is not there"));
                        }
                    },
                };
                members.insert(item.path, entry);
                Ok::<(), PackError>(())
            })?;
        }
        let mut source = Self::default();
        let mut top: Option<String> = None;
        for (path, entry) in members {
            let Some((first, rest)) = path.as_str().split_once('/') else {
                return Err(malformed(
                    path.as_str(),
                    "it lies beside the one folder of a source distribution",
                ));
            };
            if top.get_or_insert_with(|| first.to_owned()) != first {
                return Err(malformed(
                    path.as_str(),
                    "a source distribution has one folder, and it is in a second",
                ));
            }
            let path = TreePath::new(rest)?;
            if let SourceEntry::Symlink { target } = &entry
                && link_stays_inside(path.as_str(), target).is_err()
            {
                return Err(malformed(path.as_str(), "it is a link out of the source distribution"));
            }
            source.entries.insert(path, entry);
        }
        Ok(source)
    }

    /// The text of `pyproject.toml`, if there is one.
    pub fn pyproject(&self) -> Option<String> {
        text(self.entries.get(&TreePath::new("pyproject.toml").ok()?)?)
    }

    /// The first file that a compiler would take, outside of tests and documentation.
    pub fn native_source(&self) -> Option<String> {
        let is_aside = |path: &TreePath| {
            let mut parts = path.as_str().split('/');
            parts.any(|part| {
                matches!(part, "test" | "tests" | "testing" | "doc" | "docs" | "examples" | "benchmarks")
            })
        };
        let is_native = |path: &TreePath| {
            path.file_name().rsplit_once('.').is_some_and(|(_, ending)| NATIVE_ENDINGS.contains(&ending))
        };
        self.entries.keys().find(|path| is_native(path) && !is_aside(path)).map(ToString::to_string)
    }

    /// The text of `PKG-INFO`, if there is one.
    pub fn pkg_info(&self) -> Option<String> {
        text(self.entries.get(&TreePath::new("PKG-INFO").ok()?)?)
    }

    /// The text of setuptools' `requires.txt`, if there is one.
    pub fn egg_requires(&self) -> Option<String> {
        let mut all = self.entries.iter();
        let found = all.find(|(path, _)| path.as_str().ends_with(".egg-info/requires.txt"));
        text(found?.1)
    }

    /// The files as an input of a container.
    pub async fn input(
        self: &Arc<Self>,
        store: &Store,
        path: &str,
        epoch: u64,
    ) -> Result<InputTree, WheelError> {
        let this = Arc::clone(self);
        input_tree(store, path, epoch, move |tar| {
            for (path, entry) in &this.entries {
                match entry {
                    SourceEntry::File { mode, content } => tar.add_file(path, *mode, content)?,
                    SourceEntry::Symlink { target } => tar.add_symlink(path, target)?,
                }
            }
            Ok(())
        })
        .await
    }
}

fn text(entry: &SourceEntry) -> Option<String> {
    match entry {
        SourceEntry::File { content, .. } => Some(String::from_utf8_lossy(content).into_owned()),
        SourceEntry::Symlink { .. } => None,
    }
}

fn malformed(place: &str, reason: &str) -> PackError {
    PackError::Malformed { place: format!("`{place}`"), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use kiln_pack::TarWriter;
    use std::io::Write as _;

    fn sdist(files: &[(&str, Option<&str>)]) -> Vec<u8> {
        let mut tar = TarWriter::new(Vec::new(), 0);
        for (path, link) in files {
            let path = TreePath::new(path).unwrap();
            match link {
                Some(target) => tar.add_symlink(&path, target).unwrap(),
                None => tar.add_file(&path, Mode::Plain, path.as_str().as_bytes()).unwrap(),
            }
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&tar.finish().unwrap()).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn files_are_relative_to_the_one_folder() {
        let bytes =
            sdist(&[("a-1/pyproject.toml", None), ("a-1/src/a.py", None), ("a-1/z", Some("src/a.py"))]);
        let source = UnpackedSource::from_bytes("a-1.tar.gz", &bytes).unwrap();
        let paths: Vec<&str> = source.entries.keys().map(TreePath::as_str).collect();
        assert_eq!(paths, ["pyproject.toml", "src/a.py", "z"]);
        assert_eq!(source.pyproject().unwrap(), "a-1/pyproject.toml");
    }

    #[test]
    fn what_is_no_source_distribution_is_refused() {
        for (files, part) in [
            (&[("a-1/x", None), ("b-1/x", None)][..], "one folder"),
            (&[("x", None)][..], "beside"),
            (&[("a-1/x", Some("/etc/passwd"))][..], "link out"),
            (&[("a-1/b/x", Some("../../y"))][..], "link out"),
        ] {
            let error = UnpackedSource::from_bytes("a-1.tar.gz", &sdist(files)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(UnpackedSource::from_bytes("a-1.tar.gz", b"no gzip").is_err());
        let whole = sdist(&[("a-1/x", None)]);
        assert!(UnpackedSource::from_bytes("a-1.tar.gz", &whole[..whole.len() / 2]).is_err());
    }
}
