//! Paths in a file system: where they lead through its links, what patterns match, and folders that are made on the way.

use kiln_image::{FileSystem, Node, NodeContent};
use kiln_record::TreePath;
use std::collections::{BTreeMap, VecDeque};

/// How many links a path may go through.
const MOST_LINKS: u32 = 40;

/// A folder of an owner.
pub(super) fn folder((user, group): (u32, u32)) -> Node {
    let (user, group) = (u64::from(user), u64::from(group));
    Node { content: NodeContent::Folder, mode: 0o755, user, group, xattrs: BTreeMap::new() }
}

/// What is at a path below the root; none for the root itself and for what is not there.
pub(super) fn at<'f>(files: &'f FileSystem, path: &str) -> Option<&'f Node> {
    TreePath::new(path).ok().and_then(|path| files.get(&path))
}

/// Whether a folder is there: the root always is.
pub(super) fn is_folder(files: &FileSystem, path: &str) -> bool {
    path.is_empty() || at(files, path).is_some_and(|node| node.content == NodeContent::Folder)
}

/// Where a path leads through the links of a file system, below the root. What is not there ends as it is stated.
///
/// # Errors
/// If there are too many links on the way.
pub(super) fn resolved(files: &FileSystem, path: &str) -> Result<String, String> {
    let names = |path: &str| -> Vec<String> {
        path.split('/').filter(|name| !matches!(*name, "" | ".")).map(str::to_owned).collect()
    };
    let mut left: VecDeque<String> = names(path).into();
    let (mut found, mut links): (Vec<String>, u32) = (Vec::new(), 0);
    while let Some(name) = left.pop_front() {
        if name == ".." {
            found.pop();
            continue;
        }
        found.push(name);
        let Some(NodeContent::Symlink { target }) = at(files, &found.join("/")).map(|node| &node.content)
        else {
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(format!("`{path}` goes through too many links"));
        }
        found.pop();
        if target.starts_with('/') {
            found.clear();
        }
        names(target).into_iter().rev().for_each(|name| left.push_front(name));
    }
    Ok(found.join("/"))
}

/// A path from a working folder, cleaned, with its leading slash.
pub(super) fn absolute(working_dir: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("{working_dir}/{path}") };
    let mut clean: Vec<&str> = Vec::new();
    for name in whole.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(clean.pop()),
            name => clean.push(name),
        }
    }
    format!("/{}", clean.join("/"))
}

/// Makes the folders of a resolved path that are not there.
///
/// # Errors
/// If something else is in the way, in words.
pub(super) fn make_folders(files: &mut FileSystem, path: &str, owner: (u32, u32)) -> Result<(), String> {
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    for end in ends.filter(|end| *end > 0) {
        match at(files, &path[..end]).map(|node| &node.content) {
            Some(NodeContent::Folder) => {}
            Some(_) => return Err(format!("`/{}` is no folder", &path[..end])),
            None => files.put(tree_path(&path[..end])?, folder(owner)),
        }
    }
    Ok(())
}

pub(super) fn tree_path(path: &str) -> Result<TreePath, String> {
    TreePath::new(path).map_err(|error| error.to_string())
}

/// Whether a path is a pattern.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '\\'])
}

/// The paths that a pattern matches, name by name (Go, `filepath.Match`), in their order.
///
/// # Errors
/// If the pattern is none, in words.
pub(super) fn matching(files: &FileSystem, pattern: &str) -> Result<Vec<String>, String> {
    let names: Vec<&str> = pattern.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
    if names.contains(&"..") || pattern.contains(['[', '\\']) {
        return Err(format!("`{pattern}` is a pattern that is not read here"));
    }
    let matches = |path: &TreePath| {
        let path: Vec<&str> = path.as_str().split('/').collect();
        path.len() == names.len()
            && path.iter().zip(&names).all(|(name, pattern)| matches_name(pattern, name))
    };
    Ok(files.iter().map(|(path, _)| path).filter(|path| matches(path)).map(ToString::to_string).collect())
}

/// Whether one name matches a pattern.
pub(crate) fn matches_name(pattern: &str, name: &str) -> bool {
    let mut after = pattern.chars();
    match after.next() {
        None => name.is_empty(),
        Some('*') => {
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.into_iter().any(|at| matches_name(after.as_str(), &name[at..]))
        }
        Some(wanted) => {
            let mut rest = name.chars();
            rest.next().is_some_and(|found| wanted == '?' || wanted == found)
                && matches_name(after.as_str(), rest.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(paths: &[(&str, NodeContent)]) -> FileSystem {
        let mut files = FileSystem::new();
        for (path, content) in paths {
            files.put(TreePath::new(path).unwrap(), Node { content: content.clone(), ..folder((0, 0)) });
        }
        files
    }

    #[test]
    fn paths_lead_where_links_do() {
        let link = |target: &str| NodeContent::Symlink { target: target.to_owned() };
        let mut files = files(&[
            ("usr/lib/x", NodeContent::Folder),
            ("lib", link("usr/lib")),
            ("a/up", link("../lib/x")),
            ("a/abs", link("/a/up")),
            ("loop", link("loop")),
        ]);
        for (path, expected) in
            [("/lib/x/new", "usr/lib/x/new"), ("a/abs", "usr/lib/x"), ("../../lib/../y", "usr/y"), ("/", "")]
        {
            assert_eq!(resolved(&files, path).unwrap(), expected, "{path}");
        }
        assert!(resolved(&files, "loop/x").is_err());
        assert_eq!(absolute("/a/b", "../c/./d/"), "/a/c/d");
        make_folders(&mut files, "new/sub", (5, 6)).unwrap();
        assert_eq!(at(&files, "new").unwrap().user, 5);
        assert!(make_folders(&mut files, "lib/y", (0, 0)).is_err());
    }

    #[test]
    fn patterns_match_name_by_name() {
        let files = files(&[
            ("d/a.txt", NodeContent::Folder),
            ("d/b.md", NodeContent::Folder),
            ("e/a.txt", NodeContent::Folder),
        ]);
        for (pattern, expected) in [
            ("*/a.*", vec!["d/a.txt", "e/a.txt"]),
            ("./d/?.md", vec!["d/b.md"]),
            ("*", vec!["d", "e"]),
            ("d/*x", vec![]),
        ] {
            assert_eq!(matching(&files, pattern).unwrap(), expected, "{pattern}");
        }
        assert!(matching(&files, "[a]").is_err());
    }
}
