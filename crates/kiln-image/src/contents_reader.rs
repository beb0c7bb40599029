//! Reads what an image holds: its layers, one over the other as an engine unpacks them.

use crate::ImageError;
use crate::contents::{ContentEntry, ImageContents, LIBRARY_FOLDERS};
use crate::{WheelDigests, debian, rpm};
use kiln_pack::BoundedTar;
use kiln_record::{Distribution, TreePath, cpe_name};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

/// The version of the rules by which contents are read: what is remembered of a base under other rules is read anew.
pub const CONTENTS_RULES: u32 = 8;

/// Entries of all layers together.
const ENTRY_LIMIT: usize = 1_000_000;
/// The largest file whose bytes are looked at.
const READ_LIMIT: u64 = 64 << 20;
/// Interfaces whose newest version a library tells by the names in it.
const INTERFACES: [(&str, &str); 4] = [
    ("libc.so.6", "GLIBC"),
    ("libstdc++.so.6", "GLIBCXX"),
    ("libstdc++.so.6", "CXXABI"),
    ("libgcc_s.so.1", "GCC"),
];

/// Reads the layers of an image, bottom first; each reader gives an uncompressed tar.
#[derive(Debug, Default)]
pub struct ContentsReader {
    entries: BTreeMap<TreePath, ContentEntry>,
    folders: BTreeMap<TreePath, (u32, u64, u64)>,
    /// The bytes of the files that decide something, by path.
    read: BTreeMap<TreePath, Vec<u8>>,
}

impl ContentsReader {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a layer over those before it (OCI image specification, "Image Layer Filesystem Changeset").
    ///
    /// # Errors
    /// [`ImageError::Image`] if the tar is damaged, names paths outside of the root, or has more entries than any base.
    pub fn add(&mut self, tar: impl Read) -> Result<(), ImageError> {
        let error = |reason: String| ImageError::Image { reason: format!("a layer of the base: {reason}") };
        let mut archive = BoundedTar::new(tar);
        let mut opaque = BTreeSet::new();
        let mut folders = BTreeMap::new();
        let mut layer: BTreeMap<TreePath, (ContentEntry, Option<Vec<u8>>)> = BTreeMap::new();
        for entry in archive.entries().map_err(|e| error(e.to_string()))? {
            let mut entry = entry.map_err(|e| error(format!("it is damaged: {e}")))?;
            if self.entries.len() + layer.len() > ENTRY_LIMIT {
                return Err(error(format!("it has more than {ENTRY_LIMIT} entries")));
            }
            let Some(path) = layer_path(&entry.path_bytes()).map_err(&error)? else { continue };
            let name = path.file_name();
            if name == ".wh..wh..opq" {
                opaque.insert(path.parent().to_owned());
                continue;
            }
            if let Some(gone) = name.strip_prefix(".wh.") {
                let parent = path.parent();
                let gone = if parent.is_empty() { gone.to_owned() } else { format!("{parent}/{gone}") };
                self.remove(&gone, true);
                continue;
            }
            let content = match entry.header().entry_type() {
                tar::EntryType::Directory => {
                    let header = entry.header();
                    let attributes = (
                        header.mode().unwrap_or(0o755) & 0o7777,
                        header.uid().unwrap_or_default(),
                        header.gid().unwrap_or_default(),
                    );
                    folders.insert(path.clone(), attributes);
                    (ContentEntry::Folder, None)
                }
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    let size = entry.size();
                    let mut bytes = None;
                    if is_looked_at(path.as_str()) && size <= READ_LIMIT {
                        let mut read = Vec::new();
                        entry.read_to_end(&mut read).map_err(|e| error(e.to_string()))?;
                        bytes = Some(read);
                    }
                    (
                        ContentEntry::File { size, mode: entry.header().mode().unwrap_or_default() & 0o7777 },
                        bytes,
                    )
                }
                tar::EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    (ContentEntry::Symlink { target: String::from_utf8_lossy(&target).into_owned() }, None)
                }
                tar::EntryType::Link => {
                    let mode = entry.header().mode().unwrap_or_default() & 0o7777;
                    (ContentEntry::File { size: 0, mode }, None)
                }
                _ => (ContentEntry::Other, None),
            };
            layer.insert(path, content);
        }
        for folder in opaque {
            self.remove(&folder, false);
        }
        for (path, (entry, bytes)) in layer {
            if entry != ContentEntry::Folder {
                // What was a folder there is gone with all that was in it.
                if self.entries.get(&path) == Some(&ContentEntry::Folder) {
                    self.remove(path.as_str(), true);
                }
                self.read.remove(&path);
            }
            if let Some(bytes) = bytes {
                self.read.insert(path.clone(), bytes);
            }
            // Folders may be implied by what is in them.
            for (end, _) in path.as_str().match_indices('/') {
                if let Ok(folder) = TreePath::new(&path.as_str()[..end]) {
                    self.entries.entry(folder).or_insert(ContentEntry::Folder);
                }
            }
            match folders.get(&path) {
                Some((0o755, 0, 0)) | None => self.folders.remove(&path),
                Some(attributes) => self.folders.insert(path.clone(), *attributes),
            };
            self.entries.insert(path, entry);
        }
        Ok(())
    }

    /// Forgets everything below a path, and the path itself if asked.
    fn remove(&mut self, path: &str, itself: bool) {
        forget(&mut self.entries, path, itself);
        forget(&mut self.read, path, itself);
        forget(&mut self.folders, path, itself);
    }

    /// What all of them together hold.
    ///
    /// # Errors
    /// [`ImageError::Malformed`] if the package database is malformed.
    pub fn finish(self) -> Result<ImageContents, ImageError> {
        let Self { entries, folders, read } = self;
        let mut contents = ImageContents { entries, folders, ..ImageContents::default() };
        let wheels = read.iter().filter(|(path, _)| is_wheel(path.file_name()));
        contents.wheels = wheels.map(|(path, bytes)| (path.clone(), WheelDigests::of(bytes))).collect();
        contents.packages = debian::installed_packages(&contents, &read)?;
        let (of_rpm, unread) = rpm::installed_packages(&contents, &read);
        contents.packages = match (contents.packages, of_rpm) {
            (Some(mut packages), Some(of_rpm)) => {
                packages.extend(of_rpm);
                Some(packages)
            }
            (packages, of_rpm) => packages.or(of_rpm),
        };
        contents.unread_packages = unread;
        let release = ["etc/os-release", "usr/lib/os-release"]
            .iter()
            .find_map(|path| read.get(&contents.resolve(path)?))
            .map(|bytes| String::from_utf8_lossy(bytes));
        if let Some(release) = release {
            contents.system = os_release(&release, "PRETTY_NAME");
            contents.distribution = os_release(&release, "ID").map(|id| Distribution {
                id,
                version: os_release(&release, "VERSION_ID"),
                cpe: os_release(&release, "CPE_NAME").and_then(|name| cpe_name(&name)),
            });
        }
        for (library, interface) in INTERFACES {
            let newest = LIBRARY_FOLDERS
                .iter()
                .filter_map(|folder| contents.resolve(&format!("{folder}/{library}")))
                .filter_map(|path| newest_version(read.get(&path)?, interface))
                .max();
            if let Some(version) = newest {
                let text: Vec<String> = version.iter().map(u32::to_string).collect();
                contents.interfaces.insert(interface.to_owned(), text.join("."));
            }
        }
        Ok(contents)
    }
}

/// Forgets everything below a path, and the path itself if asked; below the empty path is everything. Takes time by what
/// goes and not by what is there: a layer may take away as many paths as there are.
fn forget<T>(map: &mut BTreeMap<TreePath, T>, path: &str, itself: bool) {
    if path.is_empty() {
        map.clear();
        return;
    }
    if itself && let Ok(path) = TreePath::new(path) {
        map.remove(&path);
    }
    let below = format!("{path}/");
    // No path holds what sorts before a space. Where this is too long for a path, so is all that could be below.
    let Ok(first) = TreePath::new(&format!("{below} ")) else { return };
    let gone: Vec<TreePath> = map
        .range(first..)
        .map(|(found, _)| found)
        .take_while(|found| found.as_str().starts_with(&below))
        .cloned()
        .collect();
    for path in gone {
        map.remove(&path);
    }
}

/// Files whose bytes decide something.
fn is_looked_at(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path == "var/lib/dpkg/status"
        || path.starts_with("var/lib/dpkg/status.d/")
        || (path.starts_with("var/lib/dpkg/info/") && path.ends_with(".list"))
        || debian::is_copyright(path)
        || rpm::is_database(path)
        || path == "etc/os-release"
        || path == "usr/lib/os-release"
        || name == "libc.so.6"
        || (name.starts_with("libc-2.") && name.ends_with(".so"))
        || name.starts_with("libstdc++.so.6")
        || name.starts_with("libgcc_s")
        || is_wheel(name)
}

fn is_wheel(name: &str) -> bool {
    name.ends_with(".whl")
}

/// The path of a layer's entry; `None` for the root itself.
pub(crate) fn layer_path(bytes: &[u8]) -> Result<Option<TreePath>, String> {
    let text =
        str::from_utf8(bytes).map_err(|_| format!("the path `{}` is not UTF-8", bytes.escape_ascii()))?;
    let text = text.trim_start_matches("./").trim_start_matches('/');
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() || text == "." {
        return Ok(None);
    }
    TreePath::new(text).map(Some).map_err(|error| error.to_string())
}

/// A value of os-release(5).
fn os_release(text: &str, key: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty() && value.len() < 200 && !value.chars().any(char::is_control)).then(|| value.to_owned())
}

/// The newest `INTERFACE_1.2.3` among the NUL-terminated strings of a library: it names every version that it has.
fn newest_version(bytes: &[u8], interface: &str) -> Option<Vec<u32>> {
    let prefix = format!("{interface}_");
    bytes
        .split(|byte| *byte == 0)
        .filter(|text| text.len() < 40)
        .filter_map(|text| str::from_utf8(text).ok()?.strip_prefix(&prefix))
        .filter_map(|version| version.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>())
        .max()
}

#[cfg(test)]
mod tests;
