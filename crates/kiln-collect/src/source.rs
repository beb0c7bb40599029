//! An artifact's own files: from folders on disk to a tree.

mod git_index;
mod gitignore;
mod rules;

use crate::CollectError;
use fs_err as fs;
use git_index::WorkTree;
use gitignore::GitIgnores;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use kiln_plan::{InvalidFiles, Problem, SourceSection, Tracked};
use kiln_record::{Defect, Entry, Mode, Tree, TreePath};
use kiln_store::StatCache;
use rules::{Candidate, SourceRules, names_it};
pub use rules::{SOURCE_RULES, SourceRule, is_local_settings};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Folders that no context and no step is given: version control, and bytecode that depends on who ran the code last.
const NEVER: [&str; 4] = [".git", ".hg", ".svn", "__pycache__"];

/// Folders of kiln's own, which no source is where that is the workspace itself.
const OWN: [&str; 2] = ["dist", ".kiln"];

/// Who takes the files of a context, for messages.
const CONTEXT: &str = "`dockerfile.context`";

/// The files of a `[source]` section.
#[derive(Clone, Debug, Default)]
pub struct SourceTree {
    /// What is there.
    pub tree: Tree,
    /// Where each regular file's content is.
    pub files: BTreeMap<TreePath, PathBuf>,
    /// What the rules of a source folder made of it, and what git knows of it; the latter alone of a context.
    pub ruled: Ruled,
}

/// What the rules of source folders left out, and what git knows of the rest. All of it follows from the folder, and what a
/// repository does not track is not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ruled {
    /// By rule, what it left out, relative to the source folder; a folder has a `/` at its end. Of a repository, what git
    /// tracks: the rest is of one machine. Bytecode and the folders of version control are not listed.
    pub left_out: BTreeMap<&'static str, BTreeSet<String>>,
    /// Files that git tracks, and that a rule for what people do not track left out.
    pub tracked_left_out: BTreeMap<String, &'static str>,
    /// Files that are taken and that git does not track.
    pub untracked: Vec<String>,
    /// Whether the folder is in a repository, or why that could not be read.
    pub git: Git,
}

/// What git knows of a source folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Git {
    /// It is in no repository.
    #[default]
    Absent,
    /// What is tracked is known.
    Known,
    /// Why it is not.
    Unknown(String),
}

/// Reads the tree of a source folder, without what [`SourceRule`]s leave out. `stated` are the paths in the workspace of the
/// locks and project files that the manifest names. File content is only read where the stat cache does not know it.
///
/// # Errors
/// If the folder is not there, takes no file, or holds what cannot be packed.
pub fn read_source(
    root: &Path,
    manifest_file: &str,
    section: &SourceSection,
    stated: &BTreeSet<String>,
    stat: &StatCache,
) -> Result<SourceTree, CollectError> {
    let folder = root.join(&section.path);
    let (git, outside) = OfGit::around(root, manifest_file, &folder)?;
    let mut rules = Ruling {
        rules: SourceRules::new(&section.path, stated)?,
        include: &section.include,
        ignores: BTreeMap::from([(folder, outside)]),
        git,
        ruled: Ruled::default(),
    };
    let mut source =
        read_folder(root, manifest_file, "`source.path`", section, &|_| false, Some(&mut rules), stat)?;
    source.ruled = rules.finish(&source.tree);
    Ok(source)
}

/// What git knows of a folder.
struct OfGit {
    git: Git,
    tracked: Option<Tracked>,
    /// The folder in the working tree.
    within: String,
}

impl OfGit {
    /// The same with the `.gitignore` files above the folder.
    fn around(root: &Path, manifest_file: &str, folder: &Path) -> Result<(Self, GitIgnores), CollectError> {
        let work_tree = WorkTree::around(folder);
        let top = work_tree.as_ref().map_or(root, |tree| tree.root.as_path());
        let ignores = |error: String| -> CollectError {
            InvalidFiles(vec![Problem::in_file(manifest_file, error).help("make it readable, or smaller")])
                .into()
        };
        let outside = GitIgnores::down_to(top, folder).map_err(ignores)?;
        // A folder that is itself ignored is not the repository's, whatever is in it.
        let own = folder.ancestors().take_while(|at| *at != top).all(|at| !outside.ignores(at, true));
        let (git, tracked) = match work_tree.as_ref().filter(|_| own).map(WorkTree::tracked) {
            None => (Git::Absent, None),
            Some(Ok(tracked)) => (Git::Known, Some(tracked)),
            Some(Err(reason)) => (Git::Unknown(reason), None),
        };
        let within = folder.strip_prefix(top).ok().and_then(Path::to_str).unwrap_or_default().to_owned();
        Ok((Self { git, tracked, within }, outside))
    }

    /// A path of the folder as the repository has it.
    fn in_repository(&self, relative: &str) -> String {
        match self.within.as_str() {
            "" => relative.to_owned(),
            within => format!("{within}/{relative}"),
        }
    }

    /// What of the folder git does not track, where that is known.
    fn untracked(&self, tree: &Tree) -> Vec<String> {
        let Some(tracked) = &self.tracked else { return Vec::new() };
        let paths = tree.iter().map(|(path, _)| path.as_str());
        paths.filter(|path| !tracked.has(&self.in_repository(path))).map(str::to_owned).collect()
    }
}

/// The rules of one source folder while it is read.
struct Ruling<'a> {
    rules: SourceRules,
    include: &'a [String],
    /// The `.gitignore` files that hold in each folder.
    ignores: BTreeMap<PathBuf, GitIgnores>,
    git: OfGit,
    ruled: Ruled,
}

impl Ruling<'_> {
    /// Whether something is left out.
    fn leaves_out(&mut self, path: &Path, relative: &str, folder: bool) -> Result<bool, String> {
        let above = path.parent().and_then(|above| self.ignores.get(above)).cloned().unwrap_or_default();
        let ignored = above.ignores(path, folder);
        let candidate = Candidate { path: relative, folder, has: &|name| path.join(name).is_file() };
        let rule = self.rules.of(&candidate, ignored).filter(|rule| {
            !rule.can_be_overruled() || !self.include.iter().any(|pattern| names_it(pattern, relative))
        });
        let Some(rule) = rule else {
            if folder {
                self.ignores.insert(path.to_owned(), above.with(path)?);
            }
            return Ok(false);
        };
        let in_git = self.git.in_repository(relative);
        let is_tracked = self.git.tracked.as_ref().map(|tracked| tracked.has_below(&in_git));
        let silent = matches!(rule, SourceRule::Bytecode)
            || rule == SourceRule::VersionControl && (folder || relative.ends_with(".git"))
            // What kiln itself makes is not there in the first build, and is in the second.
            || rule == SourceRule::Workspace && is_tracked.is_none() && matches!(relative, "dist" | ".kiln");
        if !silent && is_tracked != Some(false) {
            let name = format!("{relative}{}", if folder { "/" } else { "" });
            let expected =
                matches!(rule, SourceRule::ProjectFile | SourceRule::Workspace | SourceRule::VersionControl);
            if is_tracked == Some(true) && !expected {
                self.ruled.tracked_left_out.insert(name.clone(), rule.as_str());
            }
            self.ruled.left_out.entry(rule.as_str()).or_default().insert(name);
        }
        Ok(true)
    }

    /// What came of it, once the tree is read.
    fn finish(self, tree: &Tree) -> Ruled {
        Ruled { untracked: self.git.untracked(tree), git: self.git.git, ..self.ruled }
    }
}

/// Reads the folder that a Dockerfile copies from, and what git knows of it. `ignored` says which files it cannot see; it may be
/// that it sees none.
///
/// # Errors
/// If the folder is not there, or holds what cannot be copied.
pub fn read_context(
    root: &Path,
    manifest_file: &str,
    folder: &str,
    ignored: &dyn Fn(&TreePath) -> bool,
    stat: &StatCache,
) -> Result<SourceTree, CollectError> {
    let section = SourceSection {
        path: folder.to_owned(),
        include: vec!["**".to_owned()],
        exclude: Vec::new(),
        into: None,
    };
    let mut source = read_folder(root, manifest_file, CONTEXT, &section, ignored, None, stat)?;
    let (git, _) = OfGit::around(root, manifest_file, &root.join(folder))?;
    source.ruled = Ruled { untracked: git.untracked(&source.tree), git: git.git, ..Ruled::default() };
    Ok(source)
}

/// Reads what a step is given: a folder, or one file under its own name. `what` is who takes it, for messages.
///
/// # Errors
/// If it is not there, takes no file, or holds what cannot be given.
pub fn read_given(
    root: &Path,
    manifest_file: &str,
    what: &str,
    section: &SourceSection,
    stat: &StatCache,
) -> Result<SourceTree, CollectError> {
    let path = root.join(&section.path);
    if !path.is_file() {
        return read_folder(root, manifest_file, what, section, &|_| false, None, stat);
    }
    let mut source = SourceTree::default();
    let name = section.path.rsplit('/').next().unwrap_or_default();
    let name = TreePath::new(name).map_err(|error| -> CollectError {
        InvalidFiles(vec![Problem::in_file(manifest_file, error.to_string()).help("rename the file")]).into()
    })?;
    let (digest, size) = stat.digest_of(&path)?;
    let mode = Mode::from_bits(fs::metadata(&path)?.permissions().mode());
    source
        .tree
        .insert(name.clone(), Entry::File { digest, size, mode })
        .map_err(|error| Defect::new(error.to_string()))?;
    source.files.insert(name, path);
    Ok(source)
}

fn read_folder(
    root: &Path,
    manifest_file: &str,
    what: &str,
    section: &SourceSection,
    ignored: &dyn Fn(&TreePath) -> bool,
    mut ruling: Option<&mut Ruling<'_>>,
    stat: &StatCache,
) -> Result<SourceTree, CollectError> {
    let folder = root.join(&section.path);
    let problem = |message: String, help: &str| {
        InvalidFiles(vec![Problem::in_file(manifest_file, message).help(help.to_owned())]).into()
    };
    if !folder.is_dir() {
        return Err(problem(
            format!(
                "{what} names {}, which is not {}",
                section.path,
                if what.starts_with('`') { "a folder" } else { "there" }
            ),
            "name a folder beside the manifest",
        ));
    }
    stays_in_workspace(root, &folder).map_err(|message| {
        problem(
            format!("{what} names {}, {message}", section.path),
            "name the folder itself; what is not in the workspace comes from a repository with `[[upstream]]`",
        )
    })?;
    let include = globs(&section.include).map_err(|message| problem(message, "see docs/manifests.md"))?;
    let exclude = globs(&section.exclude).map_err(|message| problem(message, "see docs/manifests.md"))?;

    let mut source = SourceTree::default();
    let mut pending = vec![folder.clone()];
    while let Some(current) = pending.pop() {
        for entry in fs::read_dir(&current)? {
            let entry = entry?;
            let path = entry.path();
            let kind = entry.file_type()?;
            let name = entry.file_name();
            if ruling.is_none() && NEVER.iter().any(|never| name == *never) {
                continue;
            }
            let relative = path.strip_prefix(&folder).unwrap_or(&path);
            if let (Some(ruling), Some(relative)) = (ruling.as_mut(), relative.to_str()) {
                let left_out = ruling.leaves_out(&path, relative, kind.is_dir());
                if left_out.map_err(|message| problem(message, "make it readable, or smaller"))? {
                    continue;
                }
            }
            if kind.is_dir() {
                // What rules leave out is told, whether it would be taken or not.
                let holds = ruling.is_some()
                    || relative.to_str().is_none_or(|folder| {
                        section.include.iter().any(|pattern| can_hold(pattern, folder))
                            && !(section.path == "." && OWN.contains(&folder))
                    });
                if holds {
                    pending.push(path);
                }
                continue;
            }
            let Some(relative) = relative.to_str() else {
                return Err(problem(
                    format!("the file name {} is not UTF-8", relative.display()),
                    "rename it, or exclude it",
                ));
            };
            if !include.is_match(relative) || exclude.is_match(relative) || relative.ends_with(".pyc") {
                continue;
            }
            let tree_path = TreePath::new(relative)
                .map_err(|error| problem(error.to_string(), "rename the file, or exclude it"))?;
            if ignored(&tree_path) {
                continue;
            }
            let found = if kind.is_symlink() {
                Entry::Symlink {
                    target: link_target(&path, relative).map_err(|m| {
                        let help = match what == CONTEXT {
                            true => {
                                "link to a file inside the context, or leave the link out by .dockerignore"
                            }
                            false => "link to a file inside the source folder, or exclude the link",
                        };
                        problem(m, help)
                    })?,
                }
            } else if kind.is_file() {
                let (digest, size) = stat.digest_of(&path)?;
                let mode = Mode::from_bits(entry.metadata()?.permissions().mode());
                source.files.insert(tree_path.clone(), path);
                Entry::File { digest, size, mode }
            } else {
                return Err(problem(
                    format!("{relative} is neither a file, a folder nor a link"),
                    "exclude it: sockets, pipes and devices cannot be packed",
                ));
            };
            source
                .tree
                .insert(tree_path, found)
                .map_err(|error| problem(error.to_string(), "rename one of them"))?;
        }
    }
    if source.tree.is_empty() && what != CONTEXT {
        return Err(problem(
            format!("{what} takes no file from {}", section.path),
            "check `include` and `exclude`; docs/manifests.md says what is left out unless `include` names it",
        ));
    }
    Ok(source)
}

/// Refuses a folder that a link leads out of the workspace to: it is what the link says, and not what its name says.
fn stays_in_workspace(root: &Path, folder: &Path) -> Result<(), String> {
    let real = |path: &Path| fs::canonicalize(path).map_err(|error| error.to_string());
    if real(folder)?.starts_with(real(root)?) {
        return Ok(());
    }
    Err("which a link leads out of the workspace".to_owned())
}

/// The target of a link that stays inside the source folder.
fn link_target(path: &Path, relative: &str) -> Result<String, String> {
    let target = fs::read_link(path).map_err(|error| error.to_string())?;
    let Some(target) = target.to_str().map(str::to_owned) else {
        return Err(format!("the link {relative} has a target that is not UTF-8"));
    };
    link_stays_inside(relative, &target)?;
    Ok(target)
}

/// Refuses a link that leads out of the folder that `relative` is relative to.
///
/// # Errors
/// Why the link is refused.
pub fn link_stays_inside(relative: &str, target: &str) -> Result<(), String> {
    let mut depth = relative.split('/').count() - 1;
    for component in target.split('/') {
        match component {
            "" if target.starts_with('/') => {
                return Err(format!("the link {relative} points to the absolute path {target}"));
            }
            "" | "." => {}
            ".." if depth == 0 => {
                return Err(format!("the link {relative} points out of the source folder, to {target}"));
            }
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    Ok(())
}

/// Whether a pattern can match a file below a folder. It may say so of one that has none: what does not match is not taken.
fn can_hold(pattern: &str, folder: &str) -> bool {
    // An alternative may have a `/`, which is then not between parts.
    if pattern.contains(['{', '\\']) {
        return true;
    }
    let mut parts = pattern.split('/');
    for name in folder.split('/') {
        match parts.next() {
            Some("**") => return true,
            Some(part) if part == name || part.contains(['*', '?', '[']) => {}
            _ => return false,
        }
    }
    parts.next().is_some()
}

/// Patterns as the workspace writes them: `*` stays within a folder, `**` does not.
///
/// # Errors
/// The first pattern that is none.
pub fn globs(patterns: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(|error| format!("`{pattern}` is not a glob: {}", error.kind()))?;
        set.add(glob);
    }
    set.build().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(include: &[&str], exclude: &[&str]) -> SourceSection {
        let own = |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect();
        SourceSection {
            path: "manifests/app".to_owned(),
            include: own(include),
            exclude: own(exclude),
            into: None,
        }
    }

    fn read(root: &Path, section: &SourceSection) -> Result<SourceTree, CollectError> {
        let stat = StatCache::load(&root.join("stat"));
        read_source(root, "manifests/app.toml", section, &BTreeSet::new(), &stat)
    }

    fn workspace() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let app = root.path().join("manifests/app");
        for folder in ["lib/__pycache__", "tests", ".git"] {
            fs::create_dir_all(app.join(folder)).unwrap();
        }
        for file in ["a.py", "lib/b.py", "lib/__pycache__/b.pyc", "tests/t.py", ".git/HEAD", ".hidden"] {
            fs::write(app.join(file), file).unwrap();
        }
        root
    }

    #[test]
    fn folders_that_nothing_is_taken_of_are_not_read() {
        for (pattern, folder) in [
            ("**", "a"),
            ("**/x.rs", "a/b"),
            ("a/**", "a"),
            ("a/**", "a/b"),
            ("a/b.rs", "a"),
            ("*/b.rs", "a"),
            ("[a]/b/**", "a/b/c"),
            ("{a/b,c}/d", "a/b"),
        ] {
            assert!(can_hold(pattern, folder), "{pattern} {folder}");
        }
        for (pattern, folder) in
            [("a/**", "b"), ("Cargo.*", "target"), ("a/b.rs", "a/b"), ("a/*", "a/b"), ("a/b/**", "a/c")]
        {
            assert!(!can_hold(pattern, folder), "{pattern} {folder}");
        }
    }

    #[test]
    fn the_workspace_itself_is_given_without_what_kiln_writes() {
        let root = tempfile::tempdir().unwrap();
        for file in ["kiln.toml", "dist/app/app.zip", ".kiln/ledger/x", "app/dist/index.html", "app/a.py"] {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "x").unwrap();
        }
        let stat = StatCache::load(&root.path().join("stat"));
        let of = |include: &[&str]| {
            let whole = SourceSection { path: ".".to_owned(), ..section(include, &[]) };
            let given = read_given(root.path(), "manifests/app.toml", "the step `x`", &whole, &stat).unwrap();
            given.tree.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of(&["**"]), ["app/a.py", "app/dist/index.html", "kiln.toml"]);
        assert_eq!(of(&["app/*.py", "dist/**"]), ["app/a.py"]);
    }

    fn check(include: &[&str], exclude: &[&str], expect: &[&str]) {
        let root = workspace();
        let source = read(root.path(), &section(include, exclude)).unwrap();
        let paths: Vec<&str> = source.tree.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, expect);
    }

    #[test]
    fn globs_choose_files() {
        check(&["**"], &[], &[".hidden", "a.py", "lib/b.py", "tests/t.py"]);
        check(&["**"], &["tests/**", ".*"], &["a.py", "lib/b.py"]);
        check(&["*.py"], &[], &["a.py"]);
        check(&["lib/**", "a.py"], &[], &["a.py", "lib/b.py"]);
    }

    #[test]
    fn links_stay_inside() {
        let root = workspace();
        let app = root.path().join("manifests/app");
        std::os::unix::fs::symlink("../a.py", app.join("lib/good")).unwrap();
        let read = || read(root.path(), &section(&["**"], &[]));
        assert!(read().is_ok());
        for target in ["/etc/passwd", "../../secret"] {
            std::os::unix::fs::symlink(target, app.join("lib/bad")).unwrap();
            assert!(read().unwrap_err().to_string().contains("lib/bad"), "{target}");
            fs::remove_file(app.join("lib/bad")).unwrap();
        }
    }

    #[test]
    fn rules_leave_out_what_include_does_not_name() {
        let root = workspace();
        let app = root.path().join("manifests/app");
        // No repository, so that all that is left out is told.
        fs::remove_dir_all(app.join(".git")).unwrap();
        fs::create_dir_all(app.join("generated")).unwrap();
        for file in [".gitignore", ".env", "generated/x.json", "generated/y.json", "pyproject.toml", "a.py~"]
        {
            fs::write(app.join(file), "generated\n").unwrap();
        }
        let taken = |include: &[&str]| -> (Vec<String>, Ruled) {
            let source = read(root.path(), &section(include, &["tests/**"])).unwrap();
            (source.tree.iter().map(|(path, _)| path.to_string()).collect(), source.ruled)
        };
        let (files, ruled) = taken(&["**"]);
        assert_eq!(files, [".hidden", "a.py", "lib/b.py"]);
        let names: Vec<(&str, Vec<&str>)> = ruled
            .left_out
            .iter()
            .map(|(rule, names)| (*rule, names.iter().map(String::as_str).collect()))
            .collect();
        assert_eq!(
            names,
            [
                ("source-editor-debris", vec!["a.py~"]),
                ("source-git-ignored", vec!["generated/"]),
                ("source-local-settings", vec![".env"]),
                ("source-project-file", vec!["pyproject.toml"]),
                ("source-version-control", vec![".gitignore"]),
            ]
        );
        let (files, _) = taken(&["*.py", ".env", "generated/x.json"]);
        assert_eq!(files, [".env", "a.py", "generated/x.json"]);
    }

    #[test]
    fn a_folder_is_where_its_link_leads() {
        let root = workspace();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("a.py"), "").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), root.path().join("manifests/out")).unwrap();
        std::os::unix::fs::symlink("app", root.path().join("manifests/within")).unwrap();
        let of = |path: &str| {
            let section = SourceSection { path: path.to_owned(), ..section(&["**"], &[]) };
            read(root.path(), &section).map_err(|error| error.to_string())
        };
        assert!(of("manifests/within").is_ok());
        assert!(of("manifests/out").unwrap_err().contains("leads out of the workspace"));
    }

    #[test]
    fn an_empty_choice_is_a_problem() {
        let root = workspace();
        let error = read(root.path(), &section(&["*.rs"], &[])).unwrap_err();
        assert!(error.to_string().contains("takes no file"), "{error}");
    }
}
