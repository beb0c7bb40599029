//! Packages that lie in several folders of the module search path, and own files inside packages of others.
//!
//! Python searches `/var/task` before `/opt/python`. A folder without `__init__.py` is a portion of a namespace package (PEP
//! 420), and portions in several places are joined; but the first folder with an `__init__.py` is the whole package, and what
//! the other places hold under its name cannot be imported, unless that `__init__.py` extends its path by itself.

use kiln_record::{Code, ComponentId, Ecosystem, Entry, Finding, Tree, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// A tree on the module search path.
#[derive(Clone, Copy, Debug)]
pub struct SearchedTree<'a> {
    /// What it is called: the function, or a layer.
    pub name: &'a str,
    /// Its files.
    pub tree: &'a Tree,
    /// The folder in it that is searched; the top if absent.
    pub prefix: Option<&'a str>,
}

/// What one place of the search path has under a folder's name.
struct Portion<'a> {
    owner: &'a str,
    /// Its `__init__` file, if it has one.
    init: Option<(usize, TreePath)>,
    /// A module below it.
    module: &'a str,
}

/// Finds packages that are hidden by a regular package of the same name in another place. `function` is searched first,
/// `layers` lie in one folder together. `init` reads an `__init__.py`: of the function (index 0) or of a layer (from 1).
///
/// # Errors
/// Whatever `init` returns.
pub fn check_namespaces<E>(
    function: SearchedTree<'_>,
    layers: &[SearchedTree<'_>],
    mut init: impl FnMut(usize, &TreePath) -> Result<Vec<u8>, E>,
) -> Result<Vec<Finding>, E> {
    let own = portions(&[function], 0);
    let theirs = portions(layers, 1);
    let mut findings = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    for (folder, here) in &own {
        let Some(there) = theirs.get(folder) else { continue };
        if told.iter().any(|above| folder.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))) {
            continue;
        }
        let (regular, hidden) = match (&here.init, &there.init) {
            (Some(_), None) => (here, there),
            (None, Some(_)) => (there, here),
            // Two regular packages of one name are two versions of one thing, which the layers check tells; two portions
            // are joined.
            _ => continue,
        };
        told.push(folder);
        let Some((index, path)) = &regular.init else { continue };
        if extends_its_path(&init(*index, path)?) {
            continue;
        }
        let package = folder.replace('/', ".");
        findings.push(
            Finding::new(
                Code::NamespaceBroken,
                package.as_str(),
                format!(
                    "`{path}` of {} makes `{package}` a regular package, so that {} with `{}` cannot be imported beside it",
                    regular.owner, hidden.owner, hidden.module
                ),
            )
            .detail("Python takes the first folder with an `__init__.py` for the whole package, and joins only folders without one")
            .remedy(format!("remove `{path}`, if it is your own and empty: without it the folders are joined"))
            .remedy("or put everything below that name into one place: the function, or one layer"),
        );
    }
    Ok(findings)
}

fn portions<'a>(trees: &[SearchedTree<'a>], first: usize) -> BTreeMap<&'a str, Portion<'a>> {
    let mut portions: BTreeMap<&str, Portion<'_>> = BTreeMap::new();
    for (index, searched) in trees.iter().enumerate() {
        for (path, _) in searched.tree.iter() {
            let Some(below) = below(path.as_str(), searched.prefix) else { continue };
            let Some((folder, file)) = below.rsplit_once('/') else { continue };
            if !(file.ends_with(".py") || file.ends_with(".so")) || !folder.split('/').all(is_identifier) {
                continue;
            }
            // Every folder above holds this module, too.
            let mut above = Some(folder);
            while let Some(each) = above {
                let portion = portions.entry(each).or_insert(Portion {
                    owner: searched.name,
                    init: None,
                    module: below,
                });
                if each == folder && file.starts_with("__init__.") && portion.init.is_none() {
                    portion.init = Some((first + index, path.clone()));
                    portion.owner = searched.name;
                }
                above = each.rsplit_once('/').map(|(parent, _)| parent);
            }
        }
    }
    portions
}

/// Whether an `__init__.py` looks for other portions by itself (`pkgutil.extend_path`, `pkg_resources.declare_namespace`).
fn extends_its_path(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    ["extend_path", "declare_namespace", "__path__"].iter().any(|word| text.contains(word))
}

/// Files of the artifact's own source inside a package that a distribution brings: they belong to nobody's RECORD, and a new
/// version of the distribution may bring a file of that name.
#[must_use]
pub fn check_unowned(
    tree: &Tree,
    owners: &BTreeMap<TreePath, ComponentId>,
    prefix: Option<&str>,
) -> Vec<Finding> {
    let is = |path: &TreePath, ecosystem: Ecosystem| {
        owners.get(path).is_some_and(|owner| owner.ecosystem() == ecosystem)
    };
    let packages: BTreeMap<&str, &ComponentId> = tree
        .iter()
        .filter(|(path, _)| path.file_name() == "__init__.py" && is(path, Ecosystem::Python))
        .filter_map(|(path, _)| Some((path.parent(), owners.get(path)?)))
        .collect();
    let mut strangers: BTreeMap<&ComponentId, BTreeSet<&TreePath>> = BTreeMap::new();
    for (path, entry) in tree.iter() {
        if !is(path, Ecosystem::Application)
            || !matches!(entry, Entry::File { .. })
            || below(path.as_str(), prefix).is_none()
        {
            continue;
        }
        let mut folder = path.parent();
        while !folder.is_empty() {
            if let Some(owner) = packages.get(folder) {
                strangers.entry(owner).or_default().insert(path);
                break;
            }
            folder = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
    strangers
        .into_iter()
        .map(|(owner, paths)| {
            let name = owner.as_str().split('/').nth(1).unwrap_or_default();
            let first = paths.first().map(ToString::to_string).unwrap_or_default();
            let mut finding = Finding::new(
                Code::UnownedFile,
                first.clone(),
                format!(
                    "{} of the artifact's own files {} inside a package of {name}, whose RECORD does not list {}",
                    paths.len(),
                    if paths.len() == 1 { "lies" } else { "lie" },
                    if paths.len() == 1 { "it" } else { "them" }
                ),
            );
            for path in paths.iter().take(5) {
                finding = finding.detail(path.to_string());
            }
            finding
                .remedy(format!("move them into a package of your own: a later {name} may bring a file of that name"))
                .remedy(format!("or patch {name} where it is made, and lock that"))
        })
        .collect()
}

fn below<'a>(path: &'a str, prefix: Option<&str>) -> Option<&'a str> {
    match prefix {
        None => Some(path),
        Some(prefix) => path.strip_prefix(prefix)?.strip_prefix('/'),
    }
}

fn is_identifier(part: &str) -> bool {
    !part.starts_with(|c: char| c.is_ascii_digit())
        && !part.is_empty()
        && part.chars().all(|c| c == '_' || c.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::{Digest, Mode};
    use std::convert::Infallible;

    fn tree(paths: &[&str]) -> Tree {
        let entry =
            |path: &str| Entry::File { digest: Digest::of(path.as_bytes()), size: 1, mode: Mode::Plain };
        paths.iter().map(|path| (TreePath::new(path).unwrap(), entry(path))).collect()
    }

    #[track_caller]
    fn check(function: &[&str], layer: &[&str], init: &str, expected: &[&str]) {
        let (function, layer) = (tree(function), tree(layer));
        let found = check_namespaces(
            SearchedTree { name: "app", tree: &function, prefix: None },
            &[SearchedTree { name: "tools", tree: &layer, prefix: Some("python") }],
            |_, _| Ok::<_, Infallible>(init.as_bytes().to_vec()),
        )
        .unwrap();
        let subjects: Vec<&str> = found.iter().map(|finding| finding.subject.as_str()).collect();
        assert_eq!(subjects, expected, "{found:?}");
    }

    #[test]
    fn one_regular_package_hides_the_portions_elsewhere() {
        let portion = ["python/google/cloud/storage/__init__.py"];
        check(&["google/__init__.py", "google/own.py"], &portion, "", &["google"]);
        // The other way round, too: a regular package that comes later still wins over a portion.
        check(&["google/own/x.py"], &["python/google/__init__.py"], "", &["google"]);
        check(&["google/own/x.py"], &portion, "", &[]);
        check(&["google/__init__.py"], &["python/google/__init__.py"], "", &[]);
        check(
            &["google/__init__.py"],
            &portion,
            "__path__ = __import__('pkgutil').extend_path(__path__, __name__)",
            &[],
        );
        check(&["a/__init__.py"], &["google/x.py", "python/b/c.py"], "", &[]);
        check(&["g/a/__init__.py", "g/a/x.py"], &["python/g/a/y.py"], "", &["g.a"]);
    }

    #[test]
    fn own_files_inside_a_package_of_others_are_told() {
        let tree =
            tree(&["requests/__init__.py", "requests/api.py", "requests/mine.py", "mine/x.py", "space/a.py"]);
        let owners: BTreeMap<TreePath, ComponentId> = tree
            .iter()
            .map(|(path, _)| {
                let own = path.as_str().contains("mine") || path.as_str().starts_with("space");
                let id = match own {
                    true => ComponentId::new(Ecosystem::Application, "app"),
                    false => ComponentId::new(Ecosystem::Python, "requests"),
                };
                (path.clone(), id)
            })
            .collect();
        let found = check_unowned(&tree, &owners, None);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].subject, "requests/mine.py");
        assert!(found[0].cause.contains("requests"), "{found:?}");
    }
}
