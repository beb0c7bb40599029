//! An artifact's own files: from folders on disk to a tree.

use crate::CollectError;
use fs_err as fs;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use kiln_plan::{InvalidFiles, Problem, SourceSection};
use kiln_record::{Defect, Entry, Mode, Tree, TreePath};
use kiln_store::StatCache;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Folders that are never part of an artifact: version control, and bytecode that depends on who ran the code last.
const NEVER: [&str; 4] = [".git", ".hg", ".svn", "__pycache__"];

/// Who takes the files of a context, for messages.
const CONTEXT: &str = "`dockerfile.context`";

/// The files of a `[source]` section.
#[derive(Clone, Debug, Default)]
pub struct SourceTree {
    /// What is there.
    pub tree: Tree,
    /// Where each regular file's content is.
    pub files: BTreeMap<TreePath, PathBuf>,
}

/// Reads the tree of a source folder. File content is only read where the stat cache does not know it.
///
/// # Errors
/// If the folder is not there, takes no file, or holds what cannot be packed.
pub fn read_source(
    root: &Path,
    manifest_file: &str,
    section: &SourceSection,
    stat: &StatCache,
) -> Result<SourceTree, CollectError> {
    read_folder(root, manifest_file, "`source.path`", section, &|_| false, stat)
}

/// Reads the folder that a Dockerfile copies from. `ignored` says which files it cannot see; it may be that it sees none.
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
    read_folder(root, manifest_file, CONTEXT, &section, ignored, stat)
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
        return read_folder(root, manifest_file, what, section, &|_| false, stat);
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
            if NEVER.iter().any(|never| name == *never) {
                continue;
            }
            if kind.is_dir() {
                pending.push(path);
                continue;
            }
            let relative = path.strip_prefix(&folder).unwrap_or(&path);
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
            "check `include` and `exclude`",
        ));
    }
    Ok(source)
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

    fn check(include: &[&str], exclude: &[&str], expect: &[&str]) {
        let root = workspace();
        let stat = StatCache::load(&root.path().join("stat"));
        let source =
            read_source(root.path(), "manifests/app.toml", &section(include, exclude), &stat).unwrap();
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
        let read = || {
            let stat = StatCache::load(&root.path().join("stat"));
            read_source(root.path(), "manifests/app.toml", &section(&["**"], &[]), &stat)
        };
        assert!(read().is_ok());
        for target in ["/etc/passwd", "../../secret"] {
            std::os::unix::fs::symlink(target, app.join("lib/bad")).unwrap();
            assert!(read().unwrap_err().to_string().contains("lib/bad"), "{target}");
            fs::remove_file(app.join("lib/bad")).unwrap();
        }
    }

    #[test]
    fn an_empty_choice_is_a_problem() {
        let root = workspace();
        let stat = StatCache::load(&root.path().join("stat"));
        let error =
            read_source(root.path(), "manifests/app.toml", &section(&["*.rs"], &[]), &stat).unwrap_err();
        assert!(error.to_string().contains("takes no file"), "{error}");
    }
}
