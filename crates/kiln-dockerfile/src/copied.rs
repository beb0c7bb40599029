//! What of its context a Dockerfile takes: files that a COPY, an ADD or a mount can reach. Where a name depends on a variable or on
//! a pattern that is not read here, all that it could mean counts.

use crate::by_actions::matches_name;
use kiln_collect::{Ruled, SourceTree};
use kiln_plan::ArtifactPlan;
use kiln_record::{Entry, Tree};
use std::collections::BTreeSet;

/// The files of a context that an artifact's Dockerfile takes; nothing if it has none.
#[must_use]
pub fn copied(plan: &ArtifactPlan, context: &SourceTree) -> SourceTree {
    let Some(recipe) = &plan.recipe else { return SourceTree::default() };
    let taken = followed(&context.tree, &recipe.dockerfile.taken);
    let is_taken = |path: &str| taken.iter().any(|names| reaches(names, path));
    let mut tree = Tree::new();
    for (path, entry) in context.tree.iter().filter(|(path, _)| is_taken(path.as_str())) {
        // What was in one tree is in another.
        let _ = tree.insert(path.clone(), entry.clone());
    }
    let files = context.files.iter().filter(|(path, _)| tree.get(path).is_some());
    let untracked = context.ruled.untracked.iter().filter(|path| is_taken(path));
    SourceTree {
        files: files.map(|(path, file)| (path.clone(), file.clone())).collect(),
        ruled: Ruled { untracked: untracked.cloned().collect(), ..context.ruled.clone() },
        tree,
    }
}

/// The names of what is taken, part by part, with those that links of the context lead to.
fn followed(context: &Tree, taken: &BTreeSet<String>) -> BTreeSet<Vec<String>> {
    let mut pending: Vec<Vec<String>> = taken.iter().map(|path| parts(path)).collect();
    let mut found = BTreeSet::new();
    while let Some(names) = pending.pop() {
        if !found.insert(names.clone()) {
            continue;
        }
        for (link, entry) in context.iter() {
            let Entry::Symlink { target } = entry else { continue };
            let depth = link.as_str().split('/').count();
            if depth <= names.len() && reaches(&names[..depth], link.as_str()) {
                let rest = names[depth..].join("/");
                pending.push(parts(&format!("{}/{target}/{rest}", link.parent())));
            }
        }
    }
    found
}

/// The parts of a path, cleaned as builders do it: nothing is above the context.
pub(crate) fn parts(path: &str) -> Vec<String> {
    let mut clean: Vec<String> = Vec::new();
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(clean.pop()),
            name => clean.push(name.to_owned()),
        }
    }
    clean
}

/// Whether a name means a path, or a folder that it is in.
fn reaches(names: &[String], path: &str) -> bool {
    let mut parts = path.split('/');
    for name in names {
        if name.contains('$') || name == "**" {
            return true;
        }
        let is_open = name.contains(['[', '\\']);
        if !parts.next().is_some_and(|part| is_open || matches_name(name, part)) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::{Digest, Mode, TreePath};

    #[test]
    fn files_that_a_name_can_mean_are_taken() {
        let mut tree = Tree::new();
        for path in ["a.py", "b.txt", "sub/a.py", "sub/deep/c", "other/d"] {
            let entry = Entry::File { digest: Digest::of(b"x"), size: 1, mode: Mode::Plain };
            tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
        }
        for (path, target) in [("link", "sub/deep"), ("loop", "loop")] {
            let entry = Entry::Symlink { target: target.to_owned() };
            tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
        }
        let all = ["a.py", "b.txt", "link", "loop", "other/d", "sub/a.py", "sub/deep/c"];
        for (taken, expect) in [
            (".", &all[..]),
            ("", &all),
            ("/", &all),
            ("$WHAT", &all),
            ("*.py", &["a.py"]),
            ("./sub/", &["sub/a.py", "sub/deep/c"]),
            ("sub/../b.txt", &["b.txt"]),
            ("*/a.py", &["sub/a.py"]),
            ("sub/$X", &["sub/a.py", "sub/deep/c"]),
            ("[ab].py", &["a.py", "b.txt", "link", "loop", "other/d", "sub/a.py", "sub/deep/c"]),
            ("link/c", &["sub/deep/c"]),
            ("loop", &["loop"]),
            ("gone", &[]),
        ] {
            let found = followed(&tree, &BTreeSet::from([taken.to_owned()]));
            let paths = tree.iter().map(|(path, _)| path.as_str());
            let taken_paths: Vec<&str> =
                paths.filter(|path| found.iter().any(|names| reaches(names, path))).collect();
            assert_eq!(taken_paths, expect, "{taken}");
        }
    }
}
