//! A function and its layers: what hides what, as Lambda unpacks layers over one another and Python looks for modules.
//!
//! Layers are unpacked to `/opt` in their order, later files over earlier ones. Modules are looked for in `/var/task`,
//! then in `/opt/python`.

use kiln_record::{
    ArtifactName, Check, CheckName, Code, ComponentId, DistributionName, Entry, Finding, Tree, TreePath,
};
use std::collections::{BTreeMap, BTreeSet};

/// Paths that a finding names.
const NAMED: usize = 5;

/// What is known of a function or a layer.
#[derive(Clone, Copy, Debug)]
pub struct Layered<'a> {
    /// Its name.
    pub name: &'a ArtifactName,
    /// What is in it.
    pub tree: &'a Tree,
    /// Who brought each path.
    pub owners: &'a BTreeMap<TreePath, ComponentId>,
    /// Its distributions with their versions.
    pub distributions: &'a BTreeMap<DistributionName, String>,
}

/// Compares a function with its layers, and its layers with one another.
#[must_use]
pub fn check_layering(function: &Layered<'_>, layers: &[Layered<'_>]) -> (Vec<Finding>, Check) {
    let mut findings = Vec::new();
    for layer in layers {
        findings.extend(shadowed(function, layer));
    }
    for (index, earlier) in layers.iter().enumerate() {
        for later in &layers[index + 1..] {
            findings.extend(overlap(earlier, later));
        }
    }
    (findings, Check::ran(CheckName::Layers, layers.len(), "layers"))
}

/// `layer-shadowed`: what the function has in another version or with other content than the layer.
fn shadowed(function: &Layered<'_>, layer: &Layered<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for (name, version) in function.distributions {
        let Some(other) = layer.distributions.get(name) else { continue };
        told.insert(name.as_str());
        if other != version {
            findings.push(
                Finding::new(
                    Code::LayerShadowed,
                    name.as_str(),
                    format!(
                        "{} ships {name} {version}, and its layer {} has {name} {other}: the function's own is imported, and \
                         the layer's is carried along unused",
                        function.name, layer.name
                    ),
                )
                .detail("what else is in the layer was locked and checked with the layer's version")
                .remedy(format!("lock {name} {other} for the function: what a layer has in the same version is left out"))
                .remedy(format!("or lock {name} {version} for the layer")),
            );
        }
    }
    let owner_of = |side: &Layered<'_>, path: &TreePath| {
        side.owners.get(path).map(|owner| owner.as_str().split('/').nth(1).unwrap_or_default().to_owned())
    };
    let (ours, theirs) = (modules(function, ""), modules(layer, "python/"));
    for (module, paths) in &ours {
        let Some(others) = theirs.get(module) else { continue };
        let owner = paths.values().next().and_then(|path| owner_of(function, path)).unwrap_or_default();
        if told.contains(owner.as_str()) {
            continue;
        }
        let is_package = |paths: &BTreeMap<&str, &TreePath>| {
            paths.keys().any(|path| !path.contains('/') || *path == format!("{module}/__init__.py"))
        };
        let differs = |path: &str| match (paths.get(path), others.get(path)) {
            (Some(our), Some(other)) => content(function.tree, our) != content(layer.tree, other),
            _ => true,
        };
        let (cause, differing): (String, Vec<&str>) = if is_package(paths) {
            let differing = others.keys().copied().filter(|path| differs(path)).collect();
            let cause = format!(
                "{} has `{module}` of {owner}, and its layer {} has it with other content: the function's own is imported, and \
                 nothing of the layer's",
                function.name, layer.name
            );
            (cause, differing)
        } else if is_package(others) {
            let cause = format!(
                "`{module}` of {} has no `__init__.py`, so the package of its layer {} is imported instead, and nothing of the \
                 function's",
                function.name, layer.name
            );
            (cause, paths.keys().copied().filter(|path| differs(path)).collect())
        } else {
            let both =
                paths.keys().copied().filter(|path| others.contains_key(path) && differs(path)).collect();
            let cause = format!(
                "{} and its layer {} have different modules of one name in the namespace `{module}`: the function's are imported",
                function.name, layer.name
            );
            (cause, both)
        };
        if !differing.is_empty() {
            findings.push(
                Finding::new(Code::LayerShadowed, module.as_str(), cause)
                    .detail(format!("different: {}", list(&differing)))
                    .remedy("ship it in one of the two, or give one of them another name"),
            );
        }
    }
    findings
}

/// The modules at the top of a folder, each with its files: relative path to path.
fn modules<'a>(side: &Layered<'a>, root: &str) -> BTreeMap<String, BTreeMap<&'a str, &'a TreePath>> {
    let mut modules: BTreeMap<String, BTreeMap<&str, &TreePath>> = BTreeMap::new();
    for (path, _) in side.tree.iter() {
        let Some(relative) = path.as_str().strip_prefix(root) else { continue };
        let name = match relative.split_once('/') {
            Some((folder, _)) => folder,
            None => match relative.split_once('.') {
                Some((stem, "py")) => stem,
                Some((stem, ending)) if ending.ends_with("so") => stem,
                _ => continue,
            },
        };
        let identifier = name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if identifier && !matches!(name, "bin" | "lib" | "share" | "__pycache__") {
            modules.entry(name.to_owned()).or_default().insert(relative, path);
        }
    }
    modules
}

/// `layer-overlap`: different content at one path of `/opt`, told once for each owner.
fn overlap(earlier: &Layered<'_>, later: &Layered<'_>) -> Vec<Finding> {
    let mut by_owner: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (path, _) in later.tree.iter() {
        if earlier.tree.get(path).is_some() && content(earlier.tree, path) != content(later.tree, path) {
            let owner = later.owners.get(path).map_or("", |owner| owner.as_str());
            by_owner.entry(owner.split('/').nth(1).unwrap_or_default()).or_default().push(path.as_str());
        }
    }
    by_owner
        .into_iter()
        .map(|(owner, paths)| {
            let version = |side: &Layered<'_>| {
                let name = owner.parse::<DistributionName>().ok();
                let version = name.and_then(|name| side.distributions.get(&name).cloned());
                version.map_or_else(String::new, |version| format!(" {version}"))
            };
            let files = if paths.len() == 1 { "file has" } else { "files have" };
            Finding::new(
                Code::LayerOverlap,
                owner,
                format!(
                    "{} {files} other content in the layer {} (with {owner}{}) than in {} (with {owner}{}), which is named \
                     earlier: the later one wins",
                    paths.len(),
                    later.name,
                    version(later),
                    earlier.name,
                    version(earlier)
                ),
            )
            .detail(list(&paths))
            .detail("files of the earlier layer that the later one lacks stay, so that the two are mixed")
            .remedy("ship it in one of the layers, or in the same version in both")
        })
        .collect()
}

/// What is compared: a file's content or a link's target, whatever the mode.
fn content(tree: &Tree, path: &TreePath) -> Option<String> {
    match tree.get(path)? {
        Entry::File { digest, .. } => Some(digest.to_string()),
        Entry::Symlink { target } => Some(target.clone()),
    }
}

fn list(paths: &[&str]) -> String {
    let shown = paths[..paths.len().min(NAMED)].join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::{Digest, Ecosystem, Mode};

    struct Side {
        name: ArtifactName,
        tree: Tree,
        owners: BTreeMap<TreePath, ComponentId>,
        distributions: BTreeMap<DistributionName, String>,
    }

    /// Files as path, owner and content; distributions as name and version.
    fn side(name: &str, files: &[(&str, &str, &str)], distributions: &[(&str, &str)]) -> Side {
        let path = |text: &str| TreePath::new(text).unwrap();
        let entry = |text: &str| Entry::File {
            digest: Digest::of(text.as_bytes()),
            size: text.len() as u64,
            mode: Mode::Plain,
        };
        Side {
            name: name.parse().unwrap(),
            tree: files.iter().map(|(p, _, text)| (path(p), entry(text))).collect(),
            owners: files
                .iter()
                .map(|(p, owner, _)| (path(p), ComponentId::new(Ecosystem::Python, owner)))
                .collect(),
            distributions: distributions.iter().map(|(n, v)| (n.parse().unwrap(), (*v).to_owned())).collect(),
        }
    }

    fn view(side: &Side) -> Layered<'_> {
        Layered {
            name: &side.name,
            tree: &side.tree,
            owners: &side.owners,
            distributions: &side.distributions,
        }
    }

    fn check(function: &Side, layers: &[Side]) -> Vec<String> {
        let layers: Vec<Layered<'_>> = layers.iter().map(view).collect();
        let (findings, _) = check_layering(&view(function), &layers);
        findings
            .iter()
            .map(|f| format!("{} {}: {} {}", f.code, f.subject, f.cause, f.detail.join("; ")))
            .collect()
    }

    #[test]
    fn another_version_in_the_layer() {
        let function = side("f", &[("pydantic/__init__.py", "pydantic", "2.11")], &[("pydantic", "2.11")]);
        let layer = side("l", &[("python/pydantic/__init__.py", "pydantic", "2.9")], &[("pydantic", "2.9")]);
        let found = check(&function, &[layer]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with(
                "layer-shadowed pydantic: f ships pydantic 2.11, and its layer l has pydantic 2.9"
            )
        );
    }

    #[test]
    fn modules_of_one_name() {
        let layer = || {
            side(
                "l",
                &[
                    ("python/shared.py", "l", "1"),
                    ("python/pkg/__init__.py", "l", "1"),
                    ("python/ns/a.py", "l", "1"),
                ],
                &[],
            )
        };
        let same =
            side("f", &[("shared.py", "f", "1"), ("pkg/__init__.py", "f", "1"), ("ns/b.py", "f", "2")], &[]);
        assert_eq!(check(&same, &[layer()]), [""; 0]);
        let other = side("f", &[("shared.py", "f", "2"), ("ns/a.py", "f", "2")], &[]);
        let found = check(&other, &[layer()]);
        assert!(found[0].contains("different modules of one name in the namespace `ns`"), "{found:?}");
        assert!(
            found[1].starts_with("layer-shadowed shared: f has `shared` of f, and its layer l has it"),
            "{found:?}"
        );
        let bare = side("f", &[("pkg/x.py", "f", "2")], &[]);
        let found = check(&bare, &[layer()]);
        assert!(found[0].contains("`pkg` of f has no `__init__.py`"), "{found:?}");
    }

    #[test]
    fn two_layers_at_one_path() {
        let function = side("f", &[("app.py", "f", "")], &[]);
        let one = side("one", &[("python/six.py", "six", "1"), ("lib/x", "one", "1")], &[("six", "1.15")]);
        let two = side("two", &[("python/six.py", "six", "2"), ("lib/x", "two", "1")], &[("six", "1.17")]);
        let found = check(&function, &[one, two]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains(
                "1 file has other content in the layer two (with six 1.17) than in one (with six 1.15)"
            ),
            "{found:?}"
        );
        assert!(found[0].contains("python/six.py"), "{found:?}");
    }
}
