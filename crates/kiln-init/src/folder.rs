//! The files of a project, by their paths in it.

use crate::InitError;
use fs_err as fs;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many files and folders are looked at.
const MOST_ENTRIES: usize = 50_000;
/// How deep folders are looked into.
const DEEPEST: usize = 12;
/// How long a file may be that is read, in bytes.
const LONGEST_FILE: u64 = 2 << 20;
/// Folders that tools make, which state nothing.
const MADE: [&str; 8] =
    ["node_modules", "__pycache__", "dist", "build", "site-packages", "cdk.out", "htmlcov", "venv"];

/// A folder with what is in it. Links are not followed.
pub(crate) struct Folder {
    root: PathBuf,
    files: BTreeSet<String>,
    folders: BTreeSet<String>,
    /// What was read of them.
    texts: BTreeMap<String, String>,
    /// What could not be.
    pub(crate) remarks: Vec<String>,
}

impl Folder {
    /// Lists a folder.
    pub(crate) fn read(root: &Path) -> Result<Self, InitError> {
        let mut folder = Self {
            root: root.to_owned(),
            files: BTreeSet::new(),
            folders: BTreeSet::from([String::new()]),
            texts: BTreeMap::new(),
            remarks: Vec::new(),
        };
        folder.list("", 0)?;
        let named: Vec<String> = folder.files.iter().filter(|path| is_read(path)).cloned().collect();
        for path in named {
            folder.text_of(path);
        }
        Ok(folder)
    }

    fn list(&mut self, below: &str, depth: usize) -> Result<(), InitError> {
        let path = self.root.join(below);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if depth == 0 => return Err(InitError::Unreadable { path, error }),
            Err(_) => {
                self.remarks.push(format!("{below}: the folder cannot be read, and was passed over"));
                return Ok(());
            }
        };
        for entry in entries.flatten() {
            // A name that is not UTF-8 is named by no file that is read here.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let Ok(kind) = entry.file_type() else { continue };
            let path = join(below, &name);
            if self.files.len() + self.folders.len() >= MOST_ENTRIES {
                return Err(InitError::TooLarge { path: self.root.clone(), most: MOST_ENTRIES });
            }
            if kind.is_file() {
                self.files.insert(path);
            } else if kind.is_dir() && !is_made(&name) && !self.root.join(&path).join("pyvenv.cfg").exists() {
                if depth == DEEPEST {
                    self.remarks.push(format!("{path}: deeper than {DEEPEST} folders, and was passed over"));
                    continue;
                }
                self.folders.insert(path.clone());
                self.list(&path, depth + 1)?;
            }
        }
        Ok(())
    }

    fn text_of(&mut self, path: String) {
        let place = self.root.join(&path);
        let size = fs::metadata(&place).map_or(u64::MAX, |metadata| metadata.len());
        if size > LONGEST_FILE {
            self.remarks.push(format!("{path}: longer than {LONGEST_FILE} bytes, and was not read"));
            return;
        }
        match fs::read(&place).map(String::from_utf8) {
            Ok(Ok(text)) => {
                self.texts.insert(path, text);
            }
            Ok(Err(_)) => self.remarks.push(format!("{path}: it is not UTF-8, and was not read")),
            Err(_) => self.remarks.push(format!("{path}: it cannot be read")),
        }
    }

    /// Whether there is such a file.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    /// Whether there is such a folder.
    pub(crate) fn has_folder(&self, path: &str) -> bool {
        self.folders.contains(path)
    }

    /// The text of a file that was read.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Every file that was read, sorted by its path.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The names of files and folders right below a folder.
    pub(crate) fn children(&self, folder: &str) -> impl Iterator<Item = &str> {
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let length = start.len();
        self.files
            .iter()
            .chain(&self.folders)
            .filter(move |path| path.starts_with(&start))
            .map(move |path| &path[length..])
            .filter(|name| !name.is_empty() && !name.contains('/'))
    }
}

/// What states something: settings of deployment tools, projects, requirements, Dockerfiles, and Python code.
fn is_read(path: &str) -> bool {
    let name = name_of(path);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    matches!(ending, "yaml" | "yml" | "tf" | "tfvars" | "py" | "toml" | "in" | "lock")
        || (ending == "json" && (name.contains("template") || name.ends_with(".tfvars.json")))
        || (ending == "txt" && name.contains("requirements"))
        || matches!(name, "Pipfile" | "Pipfile.lock" | ".python-version" | ".gitignore")
        || is_dockerfile(name)
}

/// Whether a file is a Dockerfile, by its name.
pub(crate) fn is_dockerfile(name: &str) -> bool {
    name == "Dockerfile" || name.starts_with("Dockerfile.") && !name.ends_with(".dockerignore")
}

/// Whether a folder is one that tools make, by its name.
pub(crate) fn is_made(name: &str) -> bool {
    name.starts_with('.') || name.ends_with(".egg-info") || MADE.contains(&name)
}

/// The last part of a path.
pub(crate) fn name_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The folder that a path is in; empty for the project itself.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// A folder and the folders above it, up to the project itself.
pub(crate) fn upwards(folder: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(folder), |folder| (!folder.is_empty()).then(|| parent(folder)))
}

pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// What a relative path of a file means in the project; nothing if it leads out of it or is absolute.
pub(crate) fn resolve(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains(['\\', '\0', ':']) {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_project() {
        let check = |folder: &str, path: &str, expected: Option<&str>| {
            assert_eq!(resolve(folder, path).as_deref(), expected, "{folder} {path}");
        };
        check("", "src/orders/", Some("src/orders"));
        check("infra", "../src", Some("src"));
        check("infra", "./.", Some("infra"));
        check("", "../src", None);
        check("a", "../../src", None);
        check("", "/etc", None);
        check("", "s3://bucket/key", None);
    }
}
