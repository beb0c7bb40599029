//! Says which kiln this is: the version and, in a checkout, the commit that its sources are of.
//!
//! git is asked, because it knows worktrees, packed references and whatever comes after them. A tree without `.git`, and a
//! machine without git, have a version alone. An enclosing repository is another project's, and is not asked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace, seen from the folder of this package, in which cargo runs its build script.
const ROOT: &str = "../..";

fn main() {
    let (sources, mut watched) = (sources(), Vec::new());
    let build = Checkout::of_workspace().and_then(|checkout| {
        watched = checkout.watched();
        checkout.commit(&sources)
    });
    for path in sources.iter().chain(&watched) {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let plus = build.map(|build| format!("+{build}")).unwrap_or_default();
    println!("cargo::rustc-env=KILN_VERSION={}{plus}", env!("CARGO_PKG_VERSION"));
}

/// What kiln is compiled from. Tests are not part of it: to change one does not make another kiln.
fn sources() -> Vec<PathBuf> {
    let root = Path::new(ROOT);
    let mut crates: Vec<PathBuf> =
        fs::read_dir(root.join("crates")).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    crates.sort();
    let parts = ["Cargo.toml", "build.rs", "src"];
    let of_crates = crates.iter().flat_map(|folder| parts.map(|part| folder.join(part)));
    let of_workspace = ["Cargo.lock", "Cargo.toml"].map(|name| root.join(name));
    of_workspace.into_iter().chain(of_crates).filter(|path| path.exists()).collect()
}

/// A checkout that git can be asked about.
struct Checkout {
    head: String,
}

impl Checkout {
    fn of_workspace() -> Option<Self> {
        // In a worktree `.git` is a file.
        let is_there = Path::new(ROOT).join(".git").exists();
        let head = is_there.then(|| git(&["rev-parse", "--verify", "--quiet", "HEAD"])).flatten()?;
        Some(Self { head })
    }

    /// The commit; marked where the sources are no longer what it holds.
    fn commit(&self, sources: &[PathBuf]) -> Option<String> {
        let mut status = vec!["status", "--porcelain", "--untracked-files=normal", "--"];
        // git runs in the root.
        status.extend(sources.iter().filter_map(|path| path.strip_prefix(ROOT).ok()?.to_str()));
        let changes = git(&status)?;
        Some(if changes.is_empty() { self.head.clone() } else { format!("{}.modified", self.head) })
    }

    /// The files that change when another commit is checked out. One that is not there is not named, because cargo would
    /// take it for changed every time; the folder in which it would appear is.
    fn watched(&self) -> Vec<PathBuf> {
        let path = |name: &str| Some(Path::new(ROOT).join(git(&["rev-parse", "--git-path", name])?));
        let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
        let branch = branch.and_then(|name| {
            let path = path(&name)?;
            path.ancestors().find(|path| path.exists()).map(Path::to_path_buf)
        });
        let others = ["HEAD", "packed-refs"].into_iter().filter_map(path).filter(|path| path.exists());
        others.chain(branch).collect()
    }
}

/// What git answers, without the line's end; nothing if there is no git, or if it refuses.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(["--no-optional-locks", "-C", ROOT])
        .args(arguments)
        // A hook of another repository would have git look there.
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .output()
        .ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| answer.trim_end_matches('\n').to_owned())
}
