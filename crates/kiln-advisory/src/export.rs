//! An export of advisories: documents in a folder, in a zip, or in zips in a folder, however many they are.
//!
//! Documents are read side by side and forgotten again, so that memory holds the advisories that are about something wanted
//! and one line for each of the others: what the export's digest is made of.

use crate::AdvisoryError;
use crate::osv::{Advisory, Head, LARGEST, read_advisory};
use crate::subject::{Registry, Subject, normalised};
use fs_err as fs;
use kiln_pack::{Limits, ZipReader};
use kiln_record::{Digest, Epoch, HashingWriter, excerpt};
use rayon::prelude::*;
use std::collections::BTreeSet;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

/// The most documents of an export: OSV's own, of all ecosystems, is a third of that.
const MOST: usize = 1_000_000;
/// The most advisories that are kept, which all are about something wanted.
const MOST_KEPT: usize = 100_000;
/// Documents and bytes that are read before they are looked at.
const AT_ONCE: (usize, u64) = (1_024, 64 << 20);
/// The most unreadable documents that are named; all are counted.
const NAMED: usize = 50;
/// The deepest folder that is looked into.
const DEEPEST: usize = 16;

/// The packages whose advisories are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted(BTreeSet<(&'static str, String)>);

impl Wanted {
    /// Those of some subjects.
    pub fn of<'a>(subjects: impl IntoIterator<Item = &'a Subject>) -> Self {
        Self(subjects.into_iter().map(|one| (one.registry.ecosystem(), one.name.clone())).collect())
    }

    fn has(&self, ecosystem: &str, name: &str) -> bool {
        let Some(ecosystem) = Registry::known(ecosystem) else { return false };
        self.0.contains(&(ecosystem, normalised(ecosystem, name)))
    }
}

/// What was read of an export.
#[derive(Clone, Debug)]
pub struct Export {
    /// How many documents it has.
    pub documents: u64,
    /// Of those, the ones that their database took back. They do not count.
    pub withdrawn: u64,
    /// Files that are no documents, such as a README.
    pub passed_over: u64,
    /// The SHA-256 of the list of all documents: a line for each, its SHA-256 in hexadecimal, two spaces and its path, sorted by
    /// path. A zip has the digest of the folder that it unpacks to.
    pub digest: Digest,
    /// When the newest of them last changed.
    pub newest: Option<Epoch>,
    /// How many documents could not be read.
    pub unread_count: u64,
    /// The first of those, by path.
    pub unread: Vec<Unread>,
    /// What is about something wanted, sorted by id.
    pub advisories: Vec<Advisory>,
}

/// A document that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unread {
    /// Its path in the export.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What is known of one document once it was read.
struct Seen {
    path: String,
    digest: Digest,
    modified: Option<Epoch>,
    withdrawn: bool,
    result: Result<Option<Advisory>, String>,
}

/// A document that waits to be looked at.
enum Waiting {
    Bytes { path: String, bytes: Vec<u8> },
    File { path: String, at: PathBuf },
}

/// Reads an export, and keeps what is wanted.
///
/// # Errors
/// [`AdvisoryError::Export`] if there is no document in it, or more than is read; [`AdvisoryError::Io`].
pub fn read_export(path: &Path, wanted: &Wanted) -> Result<Export, AdvisoryError> {
    let mut reading = Reading {
        root: path,
        wanted,
        waiting: Vec::new(),
        bytes: 0,
        seen: Vec::new(),
        kept: 0,
        passed_over: 0,
    };
    if path.is_dir() {
        reading.folder(path, "", 0)?;
    } else if path.is_file() {
        reading.zip(path, "")?;
    } else {
        return Err(reading.error("there is no such folder or file"));
    }
    reading.look()?;
    reading.export()
}

struct Reading<'a> {
    root: &'a Path,
    wanted: &'a Wanted,
    waiting: Vec<Waiting>,
    bytes: u64,
    seen: Vec<Seen>,
    kept: usize,
    passed_over: u64,
}

impl Reading<'_> {
    fn error(&self, reason: impl Into<String>) -> AdvisoryError {
        AdvisoryError::Export { path: self.root.display().to_string(), reason: reason.into() }
    }

    /// Links are not followed: an export is what lies there.
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<(), AdvisoryError> {
        if depth > DEEPEST {
            return Err(self.error(format!("`{}` is too deep", excerpt(prefix))));
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                self.passed_over += 1;
                continue;
            };
            let (at, path, kind) = (entry.path(), format!("{prefix}{name}"), entry.file_type()?);
            if kind.is_dir() {
                self.folder(&at, &format!("{path}/"), depth + 1)?;
            } else if kind.is_file() && name.ends_with(".json") {
                let size = entry.metadata()?.len();
                self.wait(Waiting::File { path, at }, size)?;
            } else if kind.is_file() && name.ends_with(".zip") {
                self.zip(&at, &format!("{path}/"))?;
            } else {
                self.passed_over += 1;
            }
        }
        Ok(())
    }

    fn zip(&mut self, at: &Path, prefix: &str) -> Result<(), AdvisoryError> {
        let limits = Limits { max_members: MOST as u64, max_total_size: 64 << 30, ..Limits::default() };
        let broken = |this: &Self, reason: kiln_pack::PackError| {
            this.error(format!("{} cannot be read as a zip: {reason}", at.display()))
        };
        let mut archive = ZipReader::open(BufReader::new(fs::File::open(at)?), &limits)
            .map_err(|reason| broken(self, reason))?;
        for member in archive.members().to_vec() {
            let path = format!("{prefix}{}", member.path);
            if member.is_symlink || !path.ends_with(".json") {
                self.passed_over += 1;
            } else if member.size > LARGEST {
                let mut sink = HashingWriter::new(std::io::sink());
                archive.copy(&member, &mut sink).map_err(|reason| broken(self, reason))?;
                let (_, digest, size) = sink.finish();
                self.seen.push(too_large(path, digest, size));
            } else {
                let bytes = archive.read(&member).map_err(|reason| broken(self, reason))?;
                self.wait(Waiting::Bytes { path, bytes }, member.size)?;
            }
        }
        Ok(())
    }

    fn wait(&mut self, document: Waiting, size: u64) -> Result<(), AdvisoryError> {
        self.waiting.push(document);
        self.bytes = self.bytes.saturating_add(size.min(LARGEST));
        if self.waiting.len() >= AT_ONCE.0 || self.bytes >= AT_ONCE.1 { self.look() } else { Ok(()) }
    }

    /// Looks at what waits.
    fn look(&mut self) -> Result<(), AdvisoryError> {
        let waiting = std::mem::take(&mut self.waiting);
        self.bytes = 0;
        let wanted = self.wanted;
        let seen: Result<Vec<Seen>, std::io::Error> =
            waiting.into_par_iter().map(|one| look_at(one, wanted)).collect();
        let seen = seen?;
        self.kept += seen.iter().filter(|one| matches!(one.result, Ok(Some(_)))).count();
        self.seen.extend(seen);
        if self.seen.len() > MOST {
            return Err(self.error(format!("it has more than {MOST} documents")));
        }
        if self.kept > MOST_KEPT {
            return Err(self
                .error(format!("more than {MOST_KEPT} of its documents are about what is in these builds")));
        }
        Ok(())
    }

    fn export(mut self) -> Result<Export, AdvisoryError> {
        if self.seen.is_empty() {
            return Err(self.error("it holds no JSON document"));
        }
        let root = self.root.display().to_string();
        self.seen.sort_by(|a, b| a.path.cmp(&b.path));
        let mut list = String::new();
        for one in &self.seen {
            list.push_str(&format!("{}  {}\n", one.digest.hex(), one.path));
        }
        let mut export = Export {
            documents: self.seen.len() as u64,
            withdrawn: 0,
            passed_over: self.passed_over,
            digest: Digest::of(list.as_bytes()),
            newest: self.seen.iter().filter_map(|one| one.modified).max(),
            unread_count: 0,
            unread: Vec::new(),
            advisories: Vec::new(),
        };
        for one in self.seen {
            export.withdrawn += u64::from(one.withdrawn);
            match one.result {
                Ok(advisory) => export.advisories.extend(advisory),
                Err(reason) => {
                    export.unread_count += 1;
                    if export.unread.len() < NAMED {
                        export.unread.push(Unread { path: excerpt(&one.path), reason });
                    }
                }
            }
        }
        if let (true, Some(Unread { path, reason })) =
            (export.unread_count == export.documents, export.unread.first())
        {
            let reason = format!("none of its documents is an advisory that can be read; {path}: {reason}");
            return Err(AdvisoryError::Export { path: root, reason });
        }
        export.advisories.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(export)
    }
}

fn too_large(path: String, digest: Digest, size: u64) -> Seen {
    let result = Err(format!("it has {size} bytes, and {LARGEST} are read"));
    Seen { path, digest, modified: None, withdrawn: false, result }
}

fn look_at(document: Waiting, wanted: &Wanted) -> std::io::Result<Seen> {
    let (path, bytes) = match document {
        Waiting::Bytes { path, bytes } => (path, bytes),
        Waiting::File { path, at } => {
            let mut file = fs::File::open(&at)?;
            let mut bytes = Vec::new();
            (&mut file).take(LARGEST + 1).read_to_end(&mut bytes)?;
            if bytes.len() as u64 > LARGEST {
                let mut sink = HashingWriter::new(std::io::sink());
                std::io::copy(&mut bytes.as_slice(), &mut sink)?;
                std::io::copy(&mut file, &mut sink)?;
                let (_, digest, size) = sink.finish();
                return Ok(too_large(path, digest, size));
            }
            (path, bytes)
        }
    };
    let digest = Digest::of(&bytes);
    let head = match Head::read(&bytes) {
        Ok(head) => head,
        Err(reason) => {
            return Ok(Seen { path, digest, modified: None, withdrawn: false, result: Err(reason) });
        }
    };
    let (modified, withdrawn) = (head.modified(), head.is_withdrawn());
    let is_wanted = !withdrawn && head.packages().any(|(ecosystem, name)| wanted.has(ecosystem, name));
    let result = if is_wanted {
        read_advisory(&bytes).map(|mut advisory| {
            // What else a distribution's advisory is about may be thousands of packages.
            advisory.affected.retain(|one| wanted.has(&one.ecosystem, &one.name));
            Some(advisory)
        })
    } else {
        Ok(None)
    };
    Ok(Seen { path, digest, modified, withdrawn, result })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::tests::python;
    use serde_json::json;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn document(id: &str, package: &str, modified: &str) -> String {
        json!({"id": id, "modified": modified, "affected": [{"package": {"ecosystem": "PyPI", "name": package}, "versions": ["1"]}]})
            .to_string()
    }

    #[test]
    fn what_is_wanted_is_kept_and_everything_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        write(at, "PyPI/A.json", &document("A", "Some.Words", "2025-01-01T00:00:00Z"));
        write(at, "PyPI/B.json", &document("B", "other", "2026-01-01T00:00:00.5Z"));
        let withdrawn = document("C", "some-words", "2024-01-01T00:00:00Z").replacen(
            '{',
            "{\"withdrawn\": \"2024-01-02T00:00:00Z\",",
            1,
        );
        write(at, "PyPI/C.json", &withdrawn);
        write(at, "README", "no document");
        write(at, "broken.json", "{");
        let wanted = Wanted::of(&[python("some-words", "1")]);
        let export = read_export(at, &wanted).unwrap();
        assert_eq!((export.documents, export.withdrawn, export.passed_over), (4, 1, 1));
        assert_eq!(export.newest.unwrap().to_string(), "2026-01-01T00:00:00Z");
        let ids: Vec<&str> = export.advisories.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["A"]);
        assert_eq!((export.unread_count, export.unread[0].path.as_str()), (1, "broken.json"));
        // One byte more in any document is another export.
        let before = export.digest;
        write(at, "PyPI/B.json", &(document("B", "other", "2026-01-01T00:00:00.5Z") + " "));
        assert_ne!(read_export(at, &wanted).unwrap().digest, before);
    }

    #[test]
    fn what_is_no_export_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "a.txt", "");
        let reason = |path: &Path| read_export(path, &Wanted::default()).unwrap_err().to_string();
        assert!(reason(folder.path()).contains("no JSON document"));
        assert!(reason(&folder.path().join("a.txt")).contains("cannot be read as a zip"));
        assert!(reason(&folder.path().join("none")).contains("no such folder"));
    }
}
