//! Git repositories: which commit a revision is, and the files of a commit as the repository stores them.
//!
//! The host's own git speaks to the repository, since it knows agents, credential helpers and proxies. What is taken are
//! the stored objects and not a checkout: no filter, line ending, attribute or hook of the host has a say in them.

use crate::git_command::{Bounds, GitFailure, git, run, ssh_setting};
use crate::{FetchError, redacted};
use kiln_record::excerpt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

/// Most files that are taken of one commit.
const MOST_FILES: usize = 100_000;
/// Largest file, in bytes.
const LARGEST: u64 = 1 << 30;
/// What is said in one go: a list of refs, or of the files of a commit.
const LARGEST_LIST: usize = 64 << 20;
/// The most that a repository may bring, in bytes.
const LARGEST_REPOSITORY: u64 = 8 << 30;
/// The longest silence of a server.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest time for one request to a server.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// A repository, by an address that git understands.
#[derive(Clone, Debug)]
pub struct Repository {
    address: String,
    silence: Duration,
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
        Self { address: address.to_owned(), silence: SILENCE }
    }

    /// The same repository with another limit on the silence of its server; 60 seconds otherwise.
    #[must_use]
    pub fn silent_for(self, silence: Duration) -> Self {
        Self { silence, ..self }
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
        let output = self.remote(None, &["ls-remote", "--", &self.address, &tag, &peeled, &branch]).await?;
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
        // Its progress tells a slow server from a silent one.
        let fetch = ["fetch", "--progress", "--no-tags", "--no-write-fetch-head", "--no-auto-gc"];
        let ask = |more: &[&str]| {
            let arguments: Vec<&str> = fetch.iter().chain(more).copied().collect();
            let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
            async move {
                let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
                self.remote(Some(into), &arguments).await
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
            let unreadable = || self.error(format!("git lists `{}`", excerpt(line)));
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
        let mut child = git(Some(repository), self.silence, &["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
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

    /// Runs git with what is on this machine.
    async fn git(&self, folder: Option<&Path>, arguments: &[&str]) -> Result<Vec<u8>, FetchError> {
        self.ran(git(folder, self.silence, arguments), folder).await
    }

    /// Runs git for what it asks the repository's server.
    async fn remote(&self, folder: Option<&Path>, arguments: &[&str]) -> Result<Vec<u8>, FetchError> {
        let ssh = ssh_setting(self.silence).await;
        let all: Vec<&str> = ssh
            .as_deref()
            .map(|ssh| ["-c", ssh])
            .into_iter()
            .flatten()
            .chain(arguments.iter().copied())
            .collect();
        self.ran(git(folder, self.silence, &all), folder).await
    }

    async fn ran(&self, command: Command, folder: Option<&Path>) -> Result<Vec<u8>, FetchError> {
        let bounds = Bounds {
            // git's own limit speaks first: it says more.
            silence: self.silence + self.silence / 4,
            time: LONGEST,
            output: LARGEST_LIST,
            folder: LARGEST_REPOSITORY,
        };
        let said = run(command, folder, bounds).await.map_err(|failure| match failure {
            GitFailure::NotStarted(error) => self.not_started(&error),
            GitFailure::Ended(why) => self.error(why),
        })?;
        if said.status.success() {
            return Ok(said.output);
        }
        // Lines of progress end in a carriage return; the last of them is what stands.
        let lines = said.talk.lines().map(|line| line.rsplit('\r').next().unwrap_or_default().trim());
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).map(excerpt).collect();
        let lines = &lines[lines.len().saturating_sub(8)..];
        let talk = if lines.is_empty() { said.status.to_string() } else { lines.join("\n  ") };
        Err(self.error(format!(
            "git cannot do it:\n  {}",
            talk.replace(&self.address, &redacted_address(&self.address))
        )))
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

/// A file as the commit has it that is checked out around a folder. Only what is on this machine is asked, without any filter
/// or program that attributes name.
///
/// # Errors
/// Why it cannot be had, for people: git is not there, has no such file, is silent for half a minute, or has more than `most`
/// bytes.
pub async fn committed_file(folder: &Path, name: &str, most: usize) -> Result<Vec<u8>, String> {
    let mut command = git(Some(folder), SILENCE, &["cat-file", "blob", &format!("HEAD:./{name}")]);
    // Nothing is fetched for it: what is not here is not known.
    command.env("GIT_NO_LAZY_FETCH", "1");
    let bounds = Bounds { silence: SILENCE / 2, time: SILENCE, output: most, folder: u64::MAX };
    match run(command, None, bounds).await {
        Ok(said) if said.status.success() => Ok(said.output),
        Ok(_) => Err("git has no such file in HEAD".to_owned()),
        Err(GitFailure::NotStarted(error)) => Err(format!("git cannot be run: {error}")),
        Err(GitFailure::Ended(why)) => Err(why),
    }
}

fn redacted_address(address: &str) -> String {
    address.parse().map_or_else(|_| address.to_owned(), |url| redacted(&url))
}

fn is_object_id(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
