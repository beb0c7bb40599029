//! A workspace in a folder of its own.

use super::{Kiln, LocalIndex, Outcome, bases, repository};
use fs_err as fs;
use kiln_record::exit;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A workspace that is gone when the test ends.
#[derive(Debug)]
pub(crate) struct Sandbox {
    folder: tempfile::TempDir,
}

impl Sandbox {
    /// An empty workspace with the bases of this repository, pinned.
    pub(crate) fn new() -> Self {
        let sandbox = Self::bare();
        bases::copy_into(&sandbox.path("images"));
        sandbox
    }

    /// A workspace with a `kiln.toml` and nothing else.
    pub(crate) fn bare() -> Self {
        let sandbox = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(sandbox.home()).unwrap();
        sandbox.write("kiln.toml", "format = \"1\"\n");
        sandbox
    }

    /// A copy of this repository's own workspace, with what git knows of it.
    pub(crate) fn of_repository() -> Self {
        let sandbox = Self::bare();
        let listed = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
                "kiln.toml",
                "kiln.lock",
                "images",
                "manifests",
            ])
            .current_dir(repository())
            .output()
            .unwrap();
        assert!(listed.status.success(), "git lists the files of the workspace");
        for name in String::from_utf8(listed.stdout).unwrap().split_terminator('\0') {
            let target = sandbox.path(name);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(repository().join(name), target).unwrap();
        }
        bases::copy_into(&sandbox.path("images"));
        sandbox
    }

    /// The same workspace in another place, with all that was built there.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::bare();
        copy_folder(&self.root(), &copy.root());
        copy
    }

    /// The folder that holds everything.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the workspace.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("workspace")
    }

    /// A home folder beside it, empty at first.
    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A path in the workspace.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file of the workspace.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// Reads a file of the workspace.
    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap()
    }

    /// Names the index in `kiln.toml`.
    pub(crate) fn with_index(self, index: &LocalIndex) -> Self {
        self.write("kiln.toml", format!("format = \"1\"\n[python]\nindex = \"{}\"\n", index.url()));
        self
    }

    /// A function with one source file and, if `requirements` is not empty, that text as its hashed requirements.
    pub(crate) fn function(&self, name: &str, python: &str, code: &str, requirements: &str) -> &Self {
        let mut manifest = format!(
            "kind = \"lambda-zip\"\nbase = \"python-{python}\"\nhandler = \"app.handler\"\n\n[target]\nruntime = \
             \"python{python}\"\narchitecture = \"x86_64\"\n\n[source]\npath = \"{name}/src\"\n"
        );
        if !requirements.is_empty() {
            manifest.push_str(&format!("\n[python]\nlock = \"{name}/requirements.txt\"\n"));
            self.write(&format!("manifests/{name}/requirements.txt"), requirements);
        }
        self.write(&format!("manifests/{name}.toml"), manifest);
        self.write(&format!("manifests/{name}/src/app.py"), code)
    }

    /// A function of a Poetry project, whose two files lie beside its source.
    pub(crate) fn poetry_function(
        &self,
        name: &str,
        python: &str,
        code: &str,
        project: &str,
        lock: &str,
    ) -> &Self {
        self.function(name, python, code, "")
            .append(
                &format!("manifests/{name}.toml"),
                &format!("\n[python]\nlock = \"{name}/poetry.lock\"\n"),
            )
            .write(&format!("manifests/{name}/pyproject.toml"), project)
            .write(&format!("manifests/{name}/poetry.lock"), lock)
    }

    /// Adds to the end of a file.
    pub(crate) fn append(&self, path: &str, text: &str) -> &Self {
        let there = String::from_utf8(self.read(path)).unwrap();
        self.write(path, there + text)
    }

    /// Replaces a text that is in a file.
    #[track_caller]
    pub(crate) fn replace(&self, path: &str, old: &str, new: &str) -> &Self {
        let there = String::from_utf8(self.read(path)).unwrap();
        assert!(there.contains(old), "{path} holds {old:?}:\n{there}");
        self.write(path, there.replace(old, new))
    }

    /// Builds everything. It must be denied, and nothing may be published or remembered.
    #[track_caller]
    pub(crate) fn denied(&self) -> Outcome {
        let outcome =
            self.kiln().run(["build", "--all", "--color", "never"]).ends_with(exit::FINDINGS_DENIED);
        self.assert_nothing_published();
        outcome
    }

    /// Fails the test if there is anything in `dist/` or in the ledger.
    #[track_caller]
    pub(crate) fn assert_nothing_published(&self) {
        let names: Vec<String> = self.dist().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [""; 0], "nothing is published");
        let history = self.kiln().run(["history", "--format", "json"]).ends_with(exit::SUCCESS);
        assert_eq!(history.json(), serde_json::json!({}), "the ledger is empty");
    }

    /// The binary for this workspace.
    pub(crate) fn kiln(&self) -> Kiln {
        Kiln::new(&self.root(), &self.home())
    }

    /// Every file under `dist/` with its content, sorted; empty if there is no `dist/`.
    pub(crate) fn dist(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let root = self.path("dist");
        let mut pending = vec![root.clone()];
        while let Some(folder) = pending.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    pending.push(path);
                } else {
                    files.push((relative(&root, &path), fs::read(&path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }
}

/// Copies a folder with all that is in it.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap().to_str().unwrap().to_owned()
}
