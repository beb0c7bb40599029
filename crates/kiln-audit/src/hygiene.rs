//! What makes an artifact larger, harder to understand or quietly broken: content that is there several times, bytecode
//! without source, links that lead nowhere.

use crate::quantity;
use kiln_record::{Code, ComponentId, Digest, Entry, Finding, Tree, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// Smaller content may be there twice without a word.
const DUPLICATE_FLOOR: u64 = 100_000;
/// Paths that a finding names.
const NAMED: usize = 5;

/// `duplicate-content`: the same content of 100 kB or more at several paths.
#[must_use]
pub fn check_duplicates(tree: &Tree) -> Vec<Finding> {
    let mut by_content: BTreeMap<Digest, Vec<&TreePath>> = BTreeMap::new();
    let mut sizes: BTreeMap<Digest, u64> = BTreeMap::new();
    for (path, entry) in tree.iter() {
        if let Entry::File { digest, size, .. } = entry
            && *size >= DUPLICATE_FLOOR
        {
            by_content.entry(*digest).or_default().push(path);
            sizes.insert(*digest, *size);
        }
    }
    by_content
        .into_iter()
        .filter(|(_, paths)| paths.len() > 1)
        .map(|(digest, paths)| {
            let size = sizes[&digest];
            let more = size * (paths.len() as u64 - 1);
            let mut finding = Finding::new(
                Code::DuplicateContent,
                paths[0].as_str(),
                format!(
                    "the same {} are there {} times, which costs {}: {}",
                    quantity::binary(size),
                    paths.len(),
                    quantity::binary(more),
                    list(paths.iter().map(|path| path.as_str()))
                ),
            )
            .remedy("if they are copies of one another, keep one and make the others links to it");
            if paths.iter().any(|path| path.file_name().contains(".so")) {
                finding = finding.remedy(
                    "shared libraries are often links that a copy or an archive turned into files: bring them as links",
                );
            }
            finding
        })
        .collect()
}

/// `bytecode-without-source`: `a.pyc` without `a.py`, or `__pycache__/a.cpython-313.pyc` without `../a.py`.
#[must_use]
pub fn check_bytecode(tree: &Tree, owners: &BTreeMap<TreePath, ComponentId>) -> Vec<Finding> {
    let mut orphans: BTreeMap<&ComponentId, Vec<&TreePath>> = BTreeMap::new();
    for (path, _) in tree.iter() {
        let Some(stem) = path.file_name().strip_suffix(".pyc") else { continue };
        let parent = path.parent();
        let source = match parent.strip_suffix("__pycache__") {
            Some(folder) if folder.is_empty() || folder.ends_with('/') => {
                format!("{folder}{}.py", stem.split('.').next().unwrap_or(stem))
            }
            _ if parent.is_empty() => format!("{stem}.py"),
            _ => format!("{parent}/{stem}.py"),
        };
        if TreePath::new(&source).is_ok_and(|source| tree.get(&source).is_none())
            && let Some(owner) = owners.get(path)
        {
            orphans.entry(owner).or_default().push(path);
        }
    }
    orphans
        .into_iter()
        .map(|(owner, paths)| {
            let name = owner.name();
            let files = if paths.len() == 1 { "file" } else { "files" };
            Finding::new(
                Code::BytecodeWithoutSource,
                name,
                format!(
                    "{} bytecode {files} of {name} have no source: {}",
                    paths.len(),
                    list(paths.iter().map(|path| path.as_str()))
                ),
            )
            .detail("what it does cannot be read, and an interpreter of another minor version cannot load it")
            .remedy(format!("use a release of {name} with its source"))
            .remedy("or leave these files out with `exclude` under [package], if nothing imports them")
        })
        .collect()
}

/// `dangling-link`: links whose target is not in the tree.
#[must_use]
pub fn check_links(tree: &Tree) -> Vec<Finding> {
    let links: BTreeSet<&str> = tree
        .iter()
        .filter(|(_, entry)| matches!(entry, Entry::Symlink { .. }))
        .map(|(path, _)| path.as_str())
        .collect();
    let mut findings = Vec::new();
    for (path, entry) in tree.iter() {
        let Entry::Symlink { target } = entry else { continue };
        let mut parts: Vec<&str> = path.parent().split('/').filter(|part| !part.is_empty()).collect();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        let leads_to = parts.join("/");
        let through_link = (1..parts.len()).any(|n| links.contains(parts[..n].join("/").as_str()));
        let is_there = leads_to.is_empty()
            || through_link
            || TreePath::new(&leads_to).is_ok_and(|there| tree.get(&there).is_some())
            || tree.holds(&leads_to);
        if !is_there {
            findings.push(
                Finding::new(
                    Code::DanglingLink,
                    path.as_str(),
                    format!("the link leads to `{leads_to}`, which is not in the artifact"),
                )
                .remedy("take its target, too: see `include` and `exclude` under [source] and [package]")
                .remedy("or leave the link out"),
            );
        }
    }
    findings
}

fn list<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<&str> = texts.collect();
    let shown = texts[..texts.len().min(NAMED)].join(", ");
    match texts.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::{Ecosystem, Mode};

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn file(content: &[u8]) -> Entry {
        Entry::File { digest: Digest::of(content), size: content.len() as u64, mode: Mode::Plain }
    }

    fn tree(entries: &[(&str, Entry)]) -> Tree {
        entries.iter().map(|(text, entry)| (path(text), entry.clone())).collect()
    }

    fn link(target: &str) -> Entry {
        Entry::Symlink { target: target.to_owned() }
    }

    #[test]
    fn large_content_that_is_there_several_times() {
        let large = vec![1; 100_000];
        let small = vec![1; 99_999];
        let found = check_duplicates(&tree(&[
            ("lib/libz.so", file(&large)),
            ("lib/libz.so.1", file(&large)),
            ("lib/libz.so.1.3", file(&large)),
            ("lib/link", link("libz.so")),
            ("a", file(&small)),
            ("b", file(&small)),
        ]));
        let [finding] = &found[..] else { panic!("{found:?}") };
        assert_eq!(finding.subject, "lib/libz.so");
        assert!(
            finding.cause.contains("3 times, which costs 195.3 KiB: lib/libz.so, lib/libz.so.1, "),
            "{finding:?}"
        );
        assert_eq!(finding.remedy.len(), 2);
    }

    #[test]
    fn bytecode_needs_its_source() {
        let paths =
            ["a.py", "__pycache__/a.cpython-313.pyc", "p/b.pyc", "p/__pycache__/c.cpython-313.pyc", "p/c.py"];
        let tree = tree(&paths.map(|text| (text, file(b""))));
        let owners = paths.map(|text| (path(text), ComponentId::new(Ecosystem::Python, "p"))).into();
        let found = check_bytecode(&tree, &owners);
        let [finding] = &found[..] else { panic!("{found:?}") };
        assert_eq!((finding.subject.as_str(), finding.code), ("p", Code::BytecodeWithoutSource));
        assert!(finding.cause.ends_with("p/b.pyc"), "{finding:?}");
    }

    #[test]
    fn links_lead_somewhere() {
        let found = check_links(&tree(&[
            ("lib/libz.so", link("libz.so.1")),
            ("lib/libz.so.1", file(b"")),
            ("folder", link("lib")),
            ("through", link("folder/libz.so")),
            ("up", link("lib/../lib/libz.so.1")),
            ("root", link(".")),
            ("lib/gone", link("../other/x")),
        ]));
        let subjects: Vec<&str> = found.iter().map(|finding| finding.subject.as_str()).collect();
        assert_eq!(subjects, ["lib/gone"]);
        assert!(found[0].cause.contains("`other/x`"), "{found:?}");
    }
}
