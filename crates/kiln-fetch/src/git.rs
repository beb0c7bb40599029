//! Git repositories: which commit a revision is, and the files of a commit as the repository stores them.
//!
//! The host's own git speaks to the repository, since it knows agents, credential helpers and proxies. What is taken are
//! the stored objects and not a checkout: no filter, line ending, attribute or hook of the host has a say in them.

use crate::{FetchError, redacted};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

/// Most files that are taken of one commit.
const MOST_FILES: usize = 100_000;
/// Largest file, in bytes.
const LARGEST: u64 = 1 << 30;
/// Variables of git that point at another repository: they are set where kiln runs in a hook.
const OTHER_REPOSITORY: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];

/// A repository, by an address that git understands.
#[derive(Clone, Debug)]
pub struct Repository {
    address: String,
}

/// What a revision was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A commit's own name.
    Commit,
    /// A tag.
    Tag,
    /// A branch.
    Branch,
}

/// The commit that a revision means now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitCommit {
    /// Its name: 40 hexadecimal digits, or 64 in a repository with SHA-256.
    pub id: String,
    /// What the revision is.
    pub reference: Reference,
    /// The ref it was found as; absent for a commit's own name.
    pub name: Option<String>,
}

/// A file or link of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitObject {
    /// Its path below the folder, with `/`.
    pub path: String,
    /// Whether the repository says that it is a program.
    pub executable: bool,
    /// Whether it is a symbolic link; the content is then its target.
    pub link: bool,
    id: String,
}

impl Repository {
    /// Names a repository. The address is handed to git as it is: whoever takes it from a user checks it first.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned() }
    }

    /// Asks which commit a revision is.
    ///
    /// # Errors
    /// If the repository cannot be reached or has no such tag or branch, or has both.
    pub async fn resolve(&self, revision: &str) -> Result<GitCommit, FetchError> {
        if is_object_id(revision) {
            return Ok(GitCommit { id: revision.to_owned(), reference: Reference::Commit, name: None });
        }
        let (tag, branch) = (format!("refs/tags/{revision}"), format!("refs/heads/{revision}"));
        let peeled = format!("{tag}^{{}}");
        let output = self.git(None, &["ls-remote", "--", &self.address, &tag, &peeled, &branch]).await?;
        let text = String::from_utf8_lossy(&output);
        let find = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once('\t'))
                .find(|(id, found)| *found == name && is_object_id(id))
                .map(|(id, _)| id.to_owned())
        };
        match (find(&peeled).or_else(|| find(&tag)), find(&branch)) {
            (Some(_), Some(_)) => Err(self.lacks(format!(
                "`{revision}` is a tag and a branch: name the commit, or remove one of them"
            ))),
            (Some(id), None) => Ok(GitCommit { id, reference: Reference::Tag, name: Some(tag) }),
            (None, Some(id)) => Ok(GitCommit { id, reference: Reference::Branch, name: Some(branch) }),
            (None, None) => Err(self.lacks(format!("it has no tag or branch `{revision}`"))),
        }
    }

    /// Brings a commit into an empty folder, which then holds it and as little else as the server allows. `name` is a ref
    /// that led to it, for servers that do not give a commit by its name alone.
    ///
    /// # Errors
    /// If the repository cannot be reached or does not have it.
    pub async fn fetch(&self, commit: &str, name: Option<&str>, into: &Path) -> Result<(), FetchError> {
        let format = if commit.len() == 64 { "sha256" } else { "sha1" };
        self.git(Some(into), &["init", "--quiet", "--bare", "--object-format", format]).await?;
        let fetch = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc"];
        let ask = |more: &[&str]| {
            let arguments: Vec<&str> = fetch.iter().chain(more).copied().collect();
            let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
            async move {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                self.git(Some(into), &arguments).await
            }
        };
        let alone = match ask(&["--depth=1", "--", &self.address, commit]).await {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        // A ref may have moved on since: what it led to is looked for in its history.
        let all = "+refs/*:refs/kiln/*";
        let refspec = name.map_or_else(|| all.to_owned(), |name| format!("+{name}:refs/kiln/it"));
        if ask(&["--", &self.address, &refspec]).await.is_err() || !self.has(commit, into).await {
            ask(&["--", &self.address, all]).await.map_err(|_| alone)?;
        }
        if self.has(commit, into).await {
            return Ok(());
        }
        Err(self.error(format!("it has no commit {commit} any more: its history was rewritten, or it moved")))
    }

    async fn has(&self, commit: &str, repository: &Path) -> bool {
        self.git(Some(repository), &["cat-file", "-e", &format!("{commit}^{{commit}}")]).await.is_ok()
    }

    /// The files of a folder of a commit that was fetched, sorted by path.
    ///
    /// # Errors
    /// If there is no such folder, or if it holds what has no place in an artifact: a submodule, a name that is not UTF-8.
    pub async fn files(
        &self,
        commit: &str,
        folder: Option<&str>,
        repository: &Path,
    ) -> Result<Vec<GitObject>, FetchError> {
        let tree = format!("{commit}:{}", folder.unwrap_or_default());
        let kind = self.git(Some(repository), &["cat-file", "-t", &tree]).await;
        if kind.as_deref().map(<[u8]>::trim_ascii).ok() != Some(b"tree") {
            let folder = folder.unwrap_or(".");
            return Err(self.lacks(format!("commit {commit} has no folder `{folder}`")));
        }
        let listed = self.git(Some(repository), &["ls-tree", "-r", "-z", "--full-tree", &tree]).await?;
        let mut files = Vec::new();
        for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let line = std::str::from_utf8(line).map_err(|_| {
                self.lacks(format!(
                    "commit {commit} has the file name {}, which is not UTF-8",
                    line.escape_ascii()
                ))
            })?;
            let unreadable = || self.error(format!("git lists `{}`", line.escape_debug()));
            let (facts, path) = line.split_once('\t').ok_or_else(unreadable)?;
            let mut facts = facts.split(' ');
            let (Some(mode), Some(_), Some(id)) = (facts.next(), facts.next(), facts.next()) else {
                return Err(unreadable());
            };
            if mode == "160000" {
                return Err(self.lacks(format!(
                    "`{path}` is a submodule, whose files are another repository's: name that one as an upstream source, \
                     or take a folder without it"
                )));
            }
            if files.len() == MOST_FILES {
                return Err(self.lacks(format!("commit {commit} has more than {MOST_FILES} files")));
            }
            files.push(GitObject {
                path: path.to_owned(),
                executable: mode == "100755",
                link: mode == "120000",
                id: id.to_owned(),
            });
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }

    /// Reads the content of files, in order, one at a time.
    ///
    /// # Errors
    /// If git fails, if a file is larger than 1 GiB, or what `take` says.
    pub async fn read<E: From<FetchError>>(
        &self,
        files: &[GitObject],
        repository: &Path,
        mut take: impl FnMut(&GitObject, Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let broken = |error: std::io::Error| self.error(format!("reading its objects: {error}"));
        let mut child = self
            .command(Some(repository), &["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| self.not_started(&error))?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(self.error("git has no output".to_owned()).into());
        };
        let mut output = BufReader::with_capacity(1 << 16, output);
        for file in files {
            input.write_all(format!("{}\n", file.id).as_bytes()).await.map_err(broken)?;
            input.flush().await.map_err(broken)?;
            let mut head = String::new();
            (&mut output).take(256).read_line(&mut head).await.map_err(broken)?;
            let size = head.trim_end().rsplit_once(' ').and_then(|(_, size)| size.parse::<u64>().ok());
            let size =
                size.ok_or_else(|| self.error(format!("`{}` cannot be read: {}", file.path, head.trim())))?;
            if size > LARGEST {
                return Err(self.lacks(format!("`{}` is larger than {LARGEST} bytes", file.path)).into());
            }
            let mut content = Vec::new();
            (&mut output).take(size + 1).read_to_end(&mut content).await.map_err(broken)?;
            if content.pop() != Some(b'\n') || content.len() as u64 != size {
                return Err(self.error(format!("`{}` cannot be read", file.path)).into());
            }
            take(file, content)?;
        }
        drop(input);
        child.wait().await.map_err(broken)?;
        Ok(())
    }

    async fn git(&self, folder: Option<&Path>, arguments: &[&str]) -> Result<Vec<u8>, FetchError> {
        let output =
            self.command(folder, arguments).output().await.map_err(|error| self.not_started(&error))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).take(8).collect();
        let said = if said.is_empty() { output.status.to_string() } else { said.join("\n  ") };
        Err(self.error(format!(
            "git cannot do it:\n  {}",
            said.replace(&self.address, &redacted_address(&self.address))
        )))
    }

    fn command(&self, folder: Option<&Path>, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        // Nothing is asked of a person, and no program is run because an address says so (git-config, "protocol.allow").
        if let Some(folder) = folder {
            command.arg("-C").arg(folder);
        }
        command
            .args(["-c", "core.hooksPath=/dev/null", "-c", "transfer.fsckObjects=true"])
            .args(arguments)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for variable in OTHER_REPOSITORY {
            command.env_remove(variable);
        }
        command
    }

    fn not_started(&self, error: &std::io::Error) -> FetchError {
        self.error(format!("git cannot be started ({error}): upstream sources need it on this machine"))
    }

    /// What whoever asked has to change.
    fn lacks(&self, why: String) -> FetchError {
        FetchError::NotInRepository { url: redacted_address(&self.address), why }
    }

    fn error(&self, why: String) -> FetchError {
        FetchError::Git { url: redacted_address(&self.address), why }
    }
}

fn redacted_address(address: &str) -> String {
    address.parse().map_or_else(|_| address.to_owned(), |url| redacted(&url))
}

fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
