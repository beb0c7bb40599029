//! Whether Lambda finds what an artifact ships: a program to start, and files where it looks for them.
//!
//! AWS's developer guide, "Building a custom runtime" and "Packaging your layer content": `bootstrap` is an executable file in
//! the function's root or in that of a layer; of a layer, Python's folders, `bin`, `lib` and `extensions` are looked into.

use kiln_collect::{ReadyLayer, Verdict};
use kiln_plan::ArtifactPlan;
use kiln_record::{
    ArtifactKind, ArtifactName, Code, Entry, Environment, Finding, Mode, Runtime, Tree, TreePath,
};
use std::collections::BTreeMap;

/// Links that are followed one after the other.
const LINKS: usize = 8;
/// Files that a finding names.
const NAMED: usize = 5;
/// The folders of a layer that are looked into, whatever the language.
const LAYER_FOLDERS: [&str; 3] = ["bin", "lib", "extensions"];

/// Judges where things lie in a zip.
#[must_use]
pub fn reach(plan: &ArtifactPlan, runtime: &Runtime, tree: &Tree, layers: &[ReadyLayer]) -> Verdict {
    let manifest = &plan.manifest;
    let name = manifest.name.as_str();
    let mut verdict = Verdict::default();
    if manifest.kind.is_image() {
        return verdict;
    }
    if tree.is_empty() {
        verdict.findings.push(
            Finding::new(
                Code::NothingShipped,
                name,
                "the artifact has no file in it, and Lambda takes no empty archive",
            )
            .remedy("see what was left out, and why: `kiln explain` tells it for each distribution")
            .remedy("or remove the manifest, if nothing is left to ship"),
        );
        return verdict;
    }
    match manifest.kind {
        ArtifactKind::LambdaZip if runtime.python.is_none() => {
            let layers: Vec<(&ArtifactName, &Tree)> =
                layers.iter().map(|layer| (&layer.name, &layer.collection.tree)).collect();
            verdict.findings.extend(bootstrap(&runtime.name, tree, &layers));
        }
        ArtifactKind::LambdaLayer => verdict.findings.extend(layer(name, runtime, tree)),
        _ => {}
    }
    verdict
}

/// `bootstrap-missing`: a runtime without a language starts an executable file of that name.
fn bootstrap(runtime: &str, tree: &Tree, layers: &[(&ArtifactName, &Tree)]) -> Option<Finding> {
    let missing = |cause: String| {
        Finding::new(Code::BootstrapMissing, "bootstrap", cause).detail(format!(
            "runtime {runtime} has no language: it starts /var/task/bootstrap, else /opt/bootstrap, whatever `handler` says"
        ))
    };
    // The function's own comes first, also where it cannot be started.
    let places = std::iter::once((None, tree)).chain(layers.iter().map(|(name, tree)| (Some(*name), *tree)));
    for (layer, tree) in places {
        let whose = layer.map_or_else(|| "the artifact".to_owned(), |name| format!("its layer {name}"));
        let there = TreePath::new("bootstrap").ok().and_then(|path| leads_to(tree, &path));
        match there.map(|(_, entry)| entry) {
            Some(Entry::File { mode: Mode::Executable, size, .. }) if *size > 0 => return None,
            Some(Entry::File { size: 0, .. }) => {
                return Some(missing(format!("`bootstrap` of {whose} is empty")).remedy("ship the program"));
            }
            Some(_) => {
                return Some(missing(format!("`bootstrap` of {whose} is not executable")).remedy(
                    "make it executable and commit that: `chmod +x bootstrap`; in a step, make it so there",
                ));
            }
            None => {}
        }
    }
    let at_the_root = TreePath::new("bootstrap").ok();
    let finding =
        missing("there is no file `bootstrap` in the root of the artifact or of a layer".to_owned());
    if let Some(Entry::Symlink { target }) = at_the_root.as_ref().and_then(|path| tree.get(path)) {
        return Some(
            finding
                .detail(format!(
                    "`bootstrap` is a link to `{target}`, which leads to no file of the artifact"
                ))
                .remedy("ship what it leads to, or the program itself under this name"),
        );
    }
    let named = tree.iter().map(|(path, _)| path).find(|path| path.file_name() == "bootstrap");
    Some(match (named, only_program(tree)) {
        (Some(path), _) => finding.detail(format!("there is `{path}`")).remedy(
            "bring it to the root: name its folder as `path` under `[source]`, or set `into = \".\"`",
        ),
        (None, Some(path)) => finding.remedy(format!("if `{path}` is the program, call it `bootstrap`")),
        (None, None) => finding.remedy("ship the program, under this name"),
    })
}

/// What a path is, once links are followed, and where that is; none for what is not in the tree.
pub(crate) fn leads_to<'a>(tree: &'a Tree, path: &TreePath) -> Option<(TreePath, &'a Entry)> {
    let mut at = path.clone();
    for _ in 0..LINKS {
        let entry = tree.get(&at)?;
        let Entry::Symlink { target } = entry else { return Some((at, entry)) };
        let mut parts: Vec<&str> = at.parent().split('/').filter(|part| !part.is_empty()).collect();
        for part in target.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        at = TreePath::new(&parts.join("/")).ok()?;
    }
    None
}

/// The one executable file in the root, if there is one.
fn only_program(tree: &Tree) -> Option<&TreePath> {
    let mut programs = tree.iter().filter(|(path, entry)| {
        path.parent().is_empty() && matches!(entry, Entry::File { mode: Mode::Executable, .. })
    });
    let (path, _) = programs.next()?;
    programs.next().is_none().then_some(path)
}

/// The folders of a layer in which a runtime's Python looks for modules.
fn python_folders(runtime: &Runtime) -> Option<[String; 2]> {
    let lambda = Environment::of(runtime, &[]);
    let mut folders = lambda.search_path().iter().filter_map(|path| path.strip_prefix("/opt/"));
    Some([folders.next()?.to_owned(), folders.next()?.to_owned()])
}

/// The folder because of which Python does not find a file of a layer, with a slash at its end; none for what it finds. Below its
/// own folder that is another Python's, or one that was taken along with what should lie there: `python/lib64/python3.13/`,
/// `python/venv/lib/python3.13/`, `python/site-packages/`, `python/python/`.
fn lost_in(path: &TreePath, [site, top]: &[String; 2], tree: &Tree) -> Option<String> {
    if path.is_within(site) {
        return None;
    }
    let Some(rest) = path.as_str().strip_prefix(top.as_str()).and_then(|rest| rest.strip_prefix('/')) else {
        let first = path.as_str().split_once('/').map_or("", |(first, _)| first);
        return Some(format!("{first}/"));
    };
    let mut folders: Vec<&str> = rest.split('/').collect();
    folders.pop();
    let is_package = |folder: &str| {
        TreePath::new(&format!("{top}/{folder}/__init__.py")).is_ok_and(|path| tree.get(&path).is_some())
    };
    let length = match folders.as_slice() {
        ["lib" | "lib64", version, ..] if version.starts_with("python") => 2,
        [_, "lib" | "lib64", version, ..] if version.starts_with("python") => 3,
        ["site-packages" | "dist-packages", ..] => 1,
        [folder, ..] if *folder == top.as_str() && !is_package(folder) => 1,
        _ => return None,
    };
    Some(format!("{top}/{}/", folders[..length].join("/")))
}

/// `layer-out-of-reach`: files of a layer that its runtime does not look for where they are.
fn layer(name: &str, runtime: &Runtime, tree: &Tree) -> Option<Finding> {
    let looked_into = |path: &TreePath| LAYER_FOLDERS.iter().any(|folder| path.is_within(folder));
    let Some(folders) = python_folders(runtime) else {
        let any = tree.iter().any(|(path, _)| looked_into(path) || path.as_str() == "bootstrap");
        return (!any)
            .then(|| out_of_reach(name, runtime, "bin/, lib/ and extensions/, and a program `bootstrap`"));
    };
    let [site, top] = &folders;
    let mut lost: BTreeMap<String, Vec<&TreePath>> = BTreeMap::new();
    for (path, _) in tree.iter() {
        if path.as_str().ends_with(".py")
            && !looked_into(path)
            && let Some(folder) = lost_in(path, &folders, tree)
        {
            lost.entry(folder).or_default().push(path);
        }
    }
    if lost.is_empty() {
        let any = tree.iter().any(|(path, _)| looked_into(path) || lost_in(path, &folders, tree).is_none());
        return (!any).then(|| {
            out_of_reach(
                name,
                runtime,
                &format!("{top}/ and {site}/ for modules, bin/, lib/ and extensions/"),
            )
        });
    }
    let files: usize = lost.values().map(Vec::len).sum();
    let places: Vec<&str> = lost.keys().map(String::as_str).collect();
    let mut finding = Finding::new(
        Code::LayerOutOfReach,
        name,
        format!(
            "{files} Python {} of the layer {} in {}, where runtime {} does not look for modules: it looks in {top}/ and {site}/",
            if files == 1 { "file" } else { "files" },
            if files == 1 { "lies" } else { "lie" },
            places.join(", "),
            runtime.name
        ),
    );
    for path in lost.values().flatten().take(NAMED) {
        finding = finding.detail(path.to_string());
    }
    // What lies below the right folder is there with folders of its own, whatever `into` says.
    let below = places.iter().find(|place| place.starts_with(&format!("{top}/")));
    let fix = match below {
        Some(folder) => format!("bring what is in {folder} to {top}/: see `path` and `into` under [source]"),
        None => format!("bring them to {top}/: leave `into` away, or set `into = \"{top}\"`"),
    };
    Some(
        finding.remedy(fix).remedy(
            "or accept it, if the function puts that folder on `sys.path` or reads the files as data",
        ),
    )
}

fn out_of_reach(name: &str, runtime: &Runtime, looked: &str) -> Finding {
    let cause = format!("the layer has no file where runtime {} looks: {looked}", runtime.name);
    Finding::new(Code::LayerOutOfReach, name, cause)
        .remedy("give its files a place with `into`, such as `into = \"bin\"` for programs or \"lib\" for libraries")
        .remedy("or accept it, if functions read its files as data from /opt")
}

/// Where a layer has a module that Python does not find there, if it has it at all.
#[must_use]
pub(crate) fn out_of_reach_in(module: &str, runtime: &Runtime, tree: &Tree) -> Option<TreePath> {
    let folders = python_folders(runtime)?;
    let place = module.replace('.', "/");
    let ends = [format!("{place}.py"), format!("{place}/__init__.py")];
    let is_it = |path: &TreePath| {
        ends.iter().any(|end| {
            path.as_str()
                .strip_suffix(end.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('/'))
        })
    };
    tree.iter()
        .map(|(path, _)| path)
        .find(|path| is_it(path) && lost_in(path, &folders, tree).is_some())
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::Digest;

    fn tree(files: &[(&str, Mode)]) -> Tree {
        let mut tree = Tree::new();
        for (path, mode) in files {
            let entry = match path.split_once(" -> ") {
                Some((_, target)) => Entry::Symlink { target: target.to_owned() },
                None => Entry::File { digest: Digest::of(b"x"), size: 1, mode: *mode },
            };
            let path = path.split_once(" -> ").map_or(*path, |(path, _)| path);
            tree.insert(TreePath::new(path).unwrap(), entry).unwrap();
        }
        tree
    }

    fn runtime(name: &str) -> Runtime {
        Runtime::clone(Runtime::named(name).unwrap())
    }

    #[test]
    fn a_program_is_an_executable_file_at_the_root() {
        let cause = |files: &[(&str, Mode)], layer: Option<&[(&str, Mode)]>| {
            let name: ArtifactName = "tools".parse().unwrap();
            let layer = layer.map(tree);
            let layers: Vec<(&ArtifactName, &Tree)> = layer.iter().map(|tree| (&name, tree)).collect();
            bootstrap("provided.al2023", &tree(files), &layers).map(|finding| finding.cause)
        };
        let (run, plain) = (Mode::Executable, Mode::Plain);
        assert_eq!(cause(&[("bootstrap", run)], None), None);
        assert_eq!(cause(&[("bootstrap -> bin/run", plain), ("bin/run", run)], None), None);
        assert_eq!(cause(&[("app.py", plain)], Some(&[("bootstrap", run)])), None);
        for (files, layer, says) in [
            (&[("bootstrap", plain)][..], None, "not executable"),
            (&[("bootstrap", plain)], Some(&[("bootstrap", run)][..]), "of the artifact is not executable"),
            (&[("app.py", plain)], Some(&[("bootstrap", plain)]), "its layer tools is not executable"),
            (&[("bin/bootstrap", run)], None, "no file `bootstrap`"),
            (&[("bootstrap -> gone", plain)], None, "no file `bootstrap`"),
            (&[("bootstrap -> bootstrap", plain)], None, "no file `bootstrap`"),
        ] {
            assert!(cause(files, layer).is_some_and(|cause| cause.contains(says)), "{files:?} {says}");
        }
    }

    #[test]
    fn a_layer_has_its_files_where_they_are_looked_for() {
        let cause = |name: &str, files: &[&str]| {
            let files: Vec<(&str, Mode)> = files.iter().map(|path| (*path, Mode::Plain)).collect();
            layer("tools", &runtime(name), &tree(&files)).map(|finding| finding.cause)
        };
        for fine in [
            "python/a.py",
            "python/lib/python3.13/site-packages/a.py",
            "python/acme/site-packages/a.py",
            "bin/tool",
            "lib/x.py",
            "extensions/x",
        ] {
            assert_eq!(cause("python3.13", &[fine]), None, "{fine}");
        }
        assert_eq!(cause("python3.13", &["python/a.py", "LICENSE"]), None);
        assert_eq!(cause("python3.13", &["python/python/__init__.py", "python/python/a.py"]), None);
        for (files, says) in [
            (&["src/a.py"][..], "1 Python file of the layer lies in src/"),
            (&["a.py", "python/b.py"], "in /"),
            (&["python/lib/python3.12/site-packages/a.py"], "in python/lib/python3.12/"),
            (&["python/lib64/python3.13/site-packages/a.py"], "in python/lib64/python3.13/"),
            (&["python/.venv/lib/python3.13/site-packages/a.py"], "in python/.venv/lib/python3.13/"),
            (&["python/site-packages/a.py"], "in python/site-packages/"),
            (&["python/python/a.py"], "in python/python/"),
            (&["LICENSE"], "no file where runtime python3.13 looks"),
        ] {
            assert!(cause("python3.13", files).is_some_and(|cause| cause.contains(says)), "{files:?}");
        }
        assert!(cause("provided.al2023", &["src/a.py"]).is_some());
        assert_eq!(cause("provided.al2023", &["bootstrap"]), None);
    }

    #[test]
    fn a_module_is_found_elsewhere_in_a_layer() {
        let tree = tree(&[("src/acme/__init__.py", Mode::Plain), ("python/near.py", Mode::Plain)]);
        let of = |module: &str| {
            out_of_reach_in(module, &runtime("python3.13"), &tree).map(|path| path.to_string())
        };
        assert_eq!(of("acme"), Some("src/acme/__init__.py".to_owned()));
        assert_eq!(of("near"), None);
        assert_eq!(of("other"), None);
    }
}
