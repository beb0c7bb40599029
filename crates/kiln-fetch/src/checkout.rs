//! Checkouts of git on this machine: which commit is checked out, and whether files are what it has.
//!
//! git is asked for stored objects and for names only. Whether a file is the commit's is computed here from its bytes:
//! `git status` would run the filters and monitors that the repository's configuration names.

use crate::git_command::{Bounds, GitFailure, git, run};
use crate::{Url, without_credentials};
use kiln_record::excerpt;
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest time for one question: all of them are about what is on this disk.
const LONGEST: Duration = Duration::from_secs(60);
/// The longest list that is read, in bytes.
const LARGEST_LIST: usize = 64 << 20;
/// The most tags that are told of one commit.
const MOST_TAGS: usize = 20;

/// A repository that is checked out around a folder.
#[derive(Clone, Debug)]
pub struct Checkout {
    root: PathBuf,
}

/// A file or link of a commit, as the repository stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    mode: String,
    id: String,
}

/// A line of a file that has git ignore something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoreRule {
    /// The file, as git names it: from the root of the repository, or by its whole path where it lies elsewhere.
    pub file: String,
    /// The line, counted from 1.
    pub line: u64,
    /// What it says.
    pub pattern: String,
}

impl IgnoreRule {
    /// Reads `FILE:LINE:PATTERN<tab>PATH` (git-check-ignore(1)). A rule that begins with `!` takes back what another one ignores.
    fn read(told: &str) -> Option<Self> {
        let (rule, _) = told.lines().next()?.rsplit_once('\t')?;
        // A file's name may have colons; the first number between two of them is the line.
        rule.match_indices(':').find_map(|(at, _)| {
            let (line, pattern) = rule[at + 1..].split_once(':')?;
            let line = line.parse().ok().filter(|_| !pattern.starts_with('!'))?;
            Some(Self { file: excerpt(&rule[..at]), line, pattern: excerpt(pattern) })
        })
    }
}

impl Checkout {
    /// The checkout that a folder is in, if it is in one.
    #[must_use]
    pub fn around(folder: &Path) -> Option<Self> {
        let root = folder.ancestors().find(|folder| folder.join(".git").exists())?;
        Some(Self { root: root.to_owned() })
    }

    /// The root of the working tree.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The commit that is checked out.
    ///
    /// # Errors
    /// Why that cannot be told.
    pub fn commit(&self) -> Result<String, String> {
        self.line(&["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])?
            .ok_or_else(|| "the git repository has no commit yet".to_owned())
    }

    /// Whether a commit is in the repository.
    ///
    /// # Errors
    /// If git cannot be asked.
    pub fn has(&self, commit: &str) -> Result<bool, String> {
        Ok(self.line(&["rev-parse", "--verify", "--quiet", &format!("{commit}^{{commit}}")])?.is_some())
    }

    /// The tags of a commit, sorted; the first twenty of them.
    ///
    /// # Errors
    /// Why they cannot be told.
    pub fn tags(&self, commit: &str) -> Result<Vec<String>, String> {
        let format = "--format=%(refname:strip=2)";
        let text = self.text(&["for-each-ref", "--points-at", commit, format, "refs/tags"])?;
        let mut tags: Vec<String> = text.unwrap_or_default().lines().map(excerpt).collect();
        tags.sort();
        tags.truncate(MOST_TAGS);
        Ok(tags)
    }

    /// The address of the repository that this one was cloned from, without credentials: that of `origin`, or of its only
    /// remote. None where that is a folder of this machine: its path tells nobody else anything but the machine's.
    ///
    /// # Errors
    /// Why it cannot be told.
    pub fn remote(&self) -> Result<Option<String>, String> {
        let text = self.text(&["config", "--get-regexp", r"^remote\..*\.url$"])?.unwrap_or_default();
        let remotes: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let origin = remotes.iter().find(|(name, _)| *name == "remote.origin.url");
        let only = (remotes.len() == 1).then(|| remotes.first()).flatten();
        let address = origin.or(only).map(|(_, address)| *address).filter(|address| is_elsewhere(address));
        Ok(address.map(|address| excerpt(&without_login(address))))
    }

    /// The name of the tree that a folder is in a commit; none if the commit has no such folder.
    ///
    /// # Errors
    /// If git cannot be asked.
    pub fn tree(&self, commit: &str, folder: &str) -> Result<Option<String>, String> {
        if folder.is_empty() {
            return self.line(&["rev-parse", "--verify", "--quiet", &format!("{commit}^{{tree}}")]);
        }
        let listed = self.line(&["ls-tree", "-d", "--full-tree", commit, "--", folder])?;
        // `040000 tree <name>\t<path>`
        Ok(listed.and_then(|line| line.split([' ', '\t']).nth(2).map(str::to_owned)))
    }

    /// The files of a folder of a commit, by their paths from the root of the repository.
    ///
    /// # Errors
    /// If git cannot list them.
    pub fn files(&self, commit: &str, folder: &str) -> Result<BTreeMap<String, StoredFile>, String> {
        let mut arguments = vec!["ls-tree", "-r", "-z", "--full-tree", commit];
        if !folder.is_empty() {
            arguments.extend(["--", folder]);
        }
        self.stored(&arguments)
    }

    /// What `git ls-tree -z` lists.
    fn stored(&self, arguments: &[&str]) -> Result<BTreeMap<String, StoredFile>, String> {
        let listed = self.ask(arguments)?.ok_or("git cannot list the commit's files")?;
        let mut files = BTreeMap::new();
        for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            // A name that is no text is of no file that can be packed.
            let Ok(line) = std::str::from_utf8(line) else { continue };
            let Some((facts, path)) = line.split_once('\t') else { continue };
            let mut facts = facts.split(' ');
            if let (Some(mode), Some(_), Some(id)) = (facts.next(), facts.next(), facts.next()) {
                files.insert(path.to_owned(), StoredFile { mode: mode.to_owned(), id: id.to_owned() });
            }
        }
        Ok(files)
    }

    /// The bytes of an object, without any filter or program that attributes name; none if git has no such object.
    ///
    /// # Errors
    /// If git cannot be asked, or the object has more than `most` bytes.
    pub fn object(folder: &Path, name: &str, most: usize) -> Result<Option<Vec<u8>>, String> {
        ask(folder, &["cat-file", "blob", name], most)
    }

    /// The files that a revision has below a folder, by paths relative to `folder`; none if git has no such revision.
    ///
    /// # Errors
    /// If git cannot be asked.
    pub fn files_at(folder: &Path, revision: &str, below: &str) -> Result<Option<Vec<String>>, String> {
        let arguments = ["ls-tree", "-r", "-z", "--name-only", revision, "--", below];
        let listed = ask(folder, &arguments, LARGEST_LIST)?;
        Ok(listed.map(|bytes| {
            let names = bytes.split(|byte| *byte == 0).filter(|name| !name.is_empty());
            names.map(|name| String::from_utf8_lossy(name).into_owned()).collect()
        }))
    }

    /// The rule that has git ignore a path relative to `folder`; none if git does not ignore it.
    ///
    /// # Errors
    /// If git cannot be asked.
    pub fn ignored_by(folder: &Path, path: &str) -> Result<Option<IgnoreRule>, String> {
        // What git tracks already is told as well, and the index is not read.
        let arguments = ["check-ignore", "--verbose", "--no-index", "--", path];
        let told = ask(folder, &arguments, LARGEST_LIST)?.unwrap_or_default();
        Ok(IgnoreRule::read(&String::from_utf8_lossy(&told)))
    }

    /// The last commit up to a revision that changed a file, by its path relative to `folder`; none if git knows none.
    ///
    /// # Errors
    /// If git cannot be asked.
    pub fn last_change(folder: &Path, revision: &str, path: &str) -> Result<Option<String>, String> {
        let arguments = ["rev-list", "--max-count=1", revision, "--", path];
        let found = ask(folder, &arguments, LARGEST_LIST)?;
        let line = found.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        Ok(line.filter(|line| !line.is_empty()))
    }

    /// When each of these files was last changed by a commit, in seconds since 1970, by its path from the root of the repository. A
    /// file that is not what the commit that is checked out has is in none.
    ///
    /// # Errors
    /// Why that cannot be told: no commit yet, or a clone that does not have all of its history.
    pub fn last_changes(&self, paths: &[String]) -> Result<BTreeMap<String, u64>, String> {
        let commit = self.commit()?;
        if self.line(&["rev-parse", "--is-shallow-repository"])?.is_none_or(|line| line != "false") {
            return Err("the clone does not have the whole history".to_owned());
        }
        let literal: Vec<String> = paths.iter().map(|path| format!(":(top,literal){path}")).collect();
        let literal = literal.iter().map(String::as_str);
        let mut arguments = vec!["-c", "core.quotePath=false", "log", "--no-renames", "--name-only"];
        // A merge names what it has otherwise than all of its parents. A repository's own settings would have signatures looked at, by
        // a program that they name, and one file followed under other names.
        arguments.extend(["-c", "--no-show-signature", "--no-follow"]);
        arguments.extend(["--format=%x00%ct", &commit, "--"]);
        arguments.extend(literal);
        let log = self.text(&arguments)?.ok_or("git cannot tell its history")?;
        let mut changes = BTreeMap::new();
        // The newest commit is first.
        for entry in log.split('\0') {
            let mut lines = entry.lines();
            let Some(time) = lines.next().and_then(|line| line.parse::<u64>().ok()) else { continue };
            for path in lines.filter(|line| !line.is_empty()) {
                changes.entry(path.to_owned()).or_insert(time);
            }
        }
        let mut arguments = vec!["ls-tree", "-r", "-z", "--full-tree", &commit, "--"];
        arguments.extend(paths.iter().map(String::as_str));
        let stored = self.stored(&arguments)?;
        changes.retain(|path, _| stored.get(path).is_some_and(|file| file.is(&self.root.join(path))));
        Ok(changes)
    }

    fn ask(&self, arguments: &[&str]) -> Result<Option<Vec<u8>>, String> {
        ask(&self.root, arguments, LARGEST_LIST)
    }

    fn text(&self, arguments: &[&str]) -> Result<Option<String>, String> {
        Ok(self.ask(arguments)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    fn line(&self, arguments: &[&str]) -> Result<Option<String>, String> {
        let text = self.text(arguments)?;
        Ok(text.map(|text| text.trim().to_owned()).filter(|line| !line.is_empty()))
    }
}

impl StoredFile {
    /// Whether a file on the disk has the bytes, the kind and the mode of this one.
    #[must_use]
    pub fn is(&self, file: &Path) -> bool {
        let Ok(metadata) = fs_err::symlink_metadata(file) else { return false };
        let content = match self.mode.as_str() {
            "120000" if metadata.is_symlink() => {
                fs_err::read_link(file).map(|target| target.as_os_str().as_bytes().to_vec())
            }
            "100644" | "100755" if metadata.is_file() => {
                if (metadata.permissions().mode() & 0o100 != 0) != (self.mode == "100755") {
                    return false;
                }
                fs_err::read(file)
            }
            _ => return false,
        };
        content.is_ok_and(|content| object_id(&content, self.id.len()) == self.id)
    }
}

/// The name of a blob in a repository whose names have so many digits.
fn object_id(content: &[u8], digits: usize) -> String {
    let algorithm = if digits == 64 { &SHA256 } else { &SHA1_FOR_LEGACY_USE_ONLY };
    let mut context = Context::new(algorithm);
    context.update(format!("blob {}\0", content.len()).as_bytes());
    context.update(content);
    context.finish().as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An address without user name and password. What is no URL (`host:path`) has no password in it.
/// Whether an address of a repository is one by which others may find it: neither a folder of this machine nor a program.
#[must_use]
pub fn is_elsewhere(address: &str) -> bool {
    if let Some((scheme, _)) = address.split_once("://") {
        return !scheme.eq_ignore_ascii_case("file");
    }
    // `user@host:path`, as scp writes it, and `helper::address`: a colon, and no slash before it (gitremote-helpers(7)).
    let is_local_helper = ["ext::", "fd::"].iter().any(|helper| address.starts_with(helper));
    address.split_once(':').is_some_and(|(host, _)| !host.contains('/')) && !is_local_helper
}

fn without_login(address: &str) -> String {
    match address.parse::<Url>() {
        Ok(url) if url.has_host() => without_credentials(&url).to_string(),
        _ => address.to_owned(),
    }
}

/// What git prints; none if it ends with another exit code than 0. Nothing is fetched for it: what is not here is not known.
fn ask(folder: &Path, arguments: &[&str], most: usize) -> Result<Option<Vec<u8>>, String> {
    let mut command = git(Some(folder), LONGEST, arguments);
    command.env("GIT_NO_LAZY_FETCH", "1").env("GIT_OPTIONAL_LOCKS", "0");
    let bounds = Bounds { silence: LONGEST, time: LONGEST, output: most, folder: u64::MAX };
    // A thread of its own: whoever asks may be in the middle of asynchronous work.
    let said = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| format!("git cannot be run: {error}"))?;
            runtime.block_on(async { run(command, None, bounds).await }).map_err(|failure| match failure {
                GitFailure::NotStarted(error) => format!("git cannot be run: {error}"),
                GitFailure::Ended(why) => why,
            })
        });
        asking.join().unwrap_or_else(|_| Err("git cannot be run".to_owned()))
    })?;
    if said.status.success() {
        return Ok(Some(said.output));
    }
    // A repository of somebody else, or one that is damaged, is another thing than an object that is not there.
    match said.talk.lines().find(|line| line.starts_with("fatal: ")) {
        Some(line) if line.contains("dubious ownership") || line.contains("not a git repository") => {
            Err(excerpt(line.trim_start_matches("fatal: ")))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_has_the_name_that_git_gives_it() {
        // `printf 'hello\n' | git hash-object --stdin`, with SHA-1 and with SHA-256.
        assert_eq!(object_id(b"hello\n", 40), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(
            object_id(b"hello\n", 64),
            "2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4"
        );
    }

    #[test]
    fn a_rule_that_ignores_is_read_as_git_tells_it() {
        let read = |told: &str| IgnoreRule::read(told).map(|rule| (rule.file, rule.line, rule.pattern));
        let rule = |file: &str, line, pattern: &str| Some((file.to_owned(), line, pattern.to_owned()));
        assert_eq!(read(".gitignore:2:.kiln/\theads.json\n"), rule(".gitignore", 2, ".kiln/"));
        assert_eq!(read("/srv/a:b/ignore:10:*.l:3:g\tx\n"), rule("/srv/a:b/ignore", 10, "*.l:3:g"));
        assert_eq!(read(".gitignore:3:!.kiln/heads.json\theads.json\n"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn what_is_on_this_machine_is_no_address() {
        let here =
            ["/srv/git/a", "../a", "a/b:c", "a", "file:///srv/git/a", "FILE:///a", "ext::ssh -i /k %S", ""];
        assert_eq!(here.map(is_elsewhere), [false; 8]);
        let elsewhere =
            ["https://example.org/a.git", "ssh://git@example.org/a", "git@example.org:a.git", "host:/srv/a"];
        assert_eq!(elsewhere.map(is_elsewhere), [true; 4]);
        assert!(is_elsewhere("codecommit::eu-west-1://a"));
    }

    #[test]
    fn an_address_is_told_without_its_login() {
        for (address, told) in [
            ("https://user:secret@example.org/a.git", "https://example.org/a.git"),
            ("git@example.org:a.git", "git@example.org:a.git"),
            ("/srv/git/a", "/srv/git/a"),
        ] {
            assert_eq!(without_login(address), told);
        }
    }
}
