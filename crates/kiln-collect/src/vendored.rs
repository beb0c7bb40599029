//! Distributions that lie inside something else: copied into a folder of the application, or carried along by another
//! distribution. Their metadata says what they are, else a list beside them, else nothing but their place; no lock names them.

use crate::CollectError;
use crate::collection::Collection;
use crate::part::component;
use kiln_audit::{FoundDistribution, distributions_in_tree};
use kiln_record::{Component, ComponentId, DistributionName, Ecosystem, Entry, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Names of folders that are for what others have made, by a convention that pip, setuptools and botocore share.
const FOLDERS: [&str; 3] = ["_vendor", "_vendored", "vendored"];

/// The largest module whose version is looked for, in bytes.
const LARGEST_MODULE: u64 = 1 << 20;
/// The longest version.
const LONGEST_VERSION: usize = 64;

/// Makes a component of each distribution whose `*.dist-info` lies below another folder than the one that distributions are
/// installed in. It owns that folder and what its RECORD lists, as far as whoever brought the metadata brought that, too. What
/// lies in a folder for vendored code without metadata is a component by the name of its module; its version is the one that
/// a `vendor.txt` beside it has, else the one that its own code states as `__version__`, or unknown.
///
/// # Errors
/// If a file cannot be read any more.
pub fn own_vendored(
    store: &Store,
    collection: &mut Collection,
    installed_in: Option<&str>,
) -> Result<(), CollectError> {
    let folders: BTreeSet<String> = collection
        .owners
        .keys()
        .map(TreePath::parent)
        .filter(|folder| folder.ends_with(".dist-info"))
        .map(|folder| folder.rsplit_once('/').map_or("", |(above, _)| above).to_owned())
        .filter(|folder| folder != installed_in.unwrap_or_default())
        .collect();
    for folder in folders {
        let read = &mut |path: &TreePath| collection.read(store, path);
        for found in distributions_in_tree(&collection.tree, Some(&folder), read)? {
            add(store, collection, &folder, &found)?;
        }
    }
    for (folder, modules) in plain_modules(collection) {
        let versions = listed_versions(store, collection, &folder)?;
        for (module, paths) in modules {
            let key = module.to_lowercase().replace('_', "-");
            let (name, version) = match versions.get(&key) {
                Some(listed) => listed.clone(),
                None => {
                    let version = stated_version(store, collection, &folder, &module)?;
                    (module, version.unwrap_or_default())
                }
            };
            let found = Found { name: &name, version: &version, folder: &folder };
            let Some(holder) = paths.first().and_then(|path| collection.owners.get(path)).cloned() else {
                continue;
            };
            take(collection, &holder, &found, paths);
        }
    }
    collection.components.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(())
}

/// A distribution inside something else.
struct Found<'a> {
    name: &'a str,
    /// Empty if nothing says it.
    version: &'a str,
    folder: &'a str,
}

fn add(
    store: &Store,
    collection: &mut Collection,
    folder: &str,
    found: &FoundDistribution,
) -> Result<(), CollectError> {
    let in_dist_info = |name: &str| TreePath::new(&format!("{}/{name}", found.dist_info)).ok();
    let Some(holder) = in_dist_info("METADATA").and_then(|path| collection.owners.get(&path)).cloned() else {
        return Ok(());
    };
    let mut paths: BTreeSet<TreePath> =
        collection.owners.keys().filter(|path| path.is_within(found.dist_info.as_str())).cloned().collect();
    if let Some(record) = in_dist_info("RECORD").filter(|path| collection.tree.get(path).is_some()) {
        let text = collection.read(store, &record)?;
        let rows = String::from_utf8_lossy(&text).into_owned();
        // Names with a comma in them are in quotes; such a file stays with whoever brought it.
        let names = rows.lines().filter_map(|line| line.split(',').next());
        paths.extend(names.filter_map(|name| TreePath::new(&format!("{folder}/{name}")).ok()));
    }
    let found = Found { name: found.name.as_str(), version: &found.version, folder };
    take(collection, &holder, &found, paths);
    Ok(())
}

/// Makes a component of files that another one holds so far.
fn take(
    collection: &mut Collection,
    holder: &ComponentId,
    found: &Found<'_>,
    paths: impl IntoIterator<Item = TreePath>,
) {
    let mut sizes: BTreeMap<TreePath, u64> = BTreeMap::new();
    for path in paths {
        if collection.owners.get(&path) == Some(holder)
            && let Some(entry) = collection.tree.get(&path)
        {
            sizes.insert(path, entry.size());
        }
    }
    let Found { name, version, folder } = found;
    let mut id = ComponentId::new(Ecosystem::Python, name);
    if collection.components.iter().any(|known| known.id == id) {
        id = ComponentId::new(Ecosystem::Python, &format!("{name}/{folder}"));
    }
    let mut own = Component {
        version: Some((*version).to_owned()).filter(|version| !version.is_empty()),
        within: Some(holder.clone()),
        ..component(id.clone(), Ecosystem::Python, name)
    };
    (own.files, own.bytes) = (sizes.len() as u64, sizes.values().sum());
    if let Some(holder) = collection.components.iter_mut().find(|known| known.id == *holder) {
        holder.files -= own.files;
        holder.bytes -= own.bytes;
    }
    let is_gone = |known: &Component| known.files == 0 && known.ecosystem == Ecosystem::Application;
    collection.components.retain(|known| !is_gone(known));
    collection.owners.extend(sizes.into_keys().map(|path| (path, id.clone())));
    collection.components.push(own);
}

/// The modules in folders for vendored code that no metadata claims, with their files, by folder.
fn plain_modules(collection: &Collection) -> BTreeMap<String, BTreeMap<String, Vec<TreePath>>> {
    let claimed: BTreeSet<&ComponentId> =
        collection.components.iter().filter(|known| known.within.is_some()).map(|known| &known.id).collect();
    let mut found: BTreeMap<String, BTreeMap<String, Vec<TreePath>>> = BTreeMap::new();
    for path in collection.owners.iter().filter(|(_, owner)| !claimed.contains(owner)).map(|(path, _)| path) {
        let parts: Vec<&str> = path.as_str().split('/').collect();
        let Some(at) = parts.iter().position(|part| FOLDERS.contains(part)) else { continue };
        let module = match parts.get(at + 1..) {
            Some([file]) => file.strip_suffix(".py"),
            Some([folder, _, ..]) => Some(*folder),
            _ => None,
        };
        let Some(module) = module.filter(|module| is_module(module)) else { continue };
        let modules = found.entry(parts[..=at].join("/")).or_default();
        modules.entry(module.to_owned()).or_default().push(path.clone());
    }
    for modules in found.values_mut() {
        modules.retain(|_, paths| paths.iter().any(|path| path.as_str().ends_with(".py")));
    }
    found
}

/// Whether a name can be that of a module which somebody else made.
fn is_module(name: &str) -> bool {
    !name.starts_with('_') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What the `vendor.txt` of a folder pins, by the name of the distribution with dashes.
fn listed_versions(
    store: &Store,
    collection: &Collection,
    folder: &str,
) -> Result<BTreeMap<String, (String, String)>, CollectError> {
    let Some(list) = TreePath::new(&format!("{folder}/vendor.txt"))
        .ok()
        .filter(|path| matches!(collection.tree.get(path), Some(Entry::File { .. })))
    else {
        return Ok(BTreeMap::new());
    };
    let text = collection.read(store, &list)?;
    Ok(pins(&String::from_utf8_lossy(&text)))
}

/// The version that the code of a module states of itself.
fn stated_version(
    store: &Store,
    collection: &Collection,
    folder: &str,
    module: &str,
) -> Result<Option<String>, CollectError> {
    for file in [format!("{folder}/{module}.py"), format!("{folder}/{module}/__init__.py")] {
        let Ok(path) = TreePath::new(&file) else { continue };
        let Some(Entry::File { size, .. }) = collection.tree.get(&path) else { continue };
        if *size <= LARGEST_MODULE
            && let Some(version) = version_in(&String::from_utf8_lossy(&collection.read(store, &path)?))
        {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// What is assigned to `__version__` at the left margin, if it is a plain text that can be a version.
fn version_in(code: &str) -> Option<String> {
    let is_version = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_digit())
            && text.len() <= LONGEST_VERSION
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-!".contains(&b))
    };
    code.lines().find_map(|line| {
        let value = line.strip_prefix("__version__")?.trim_start().strip_prefix('=')?.trim();
        let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
        let (text, _) = value[1..].split_once(quote)?;
        is_version(text).then(|| text.to_owned())
    })
}

fn pins(text: &str) -> BTreeMap<String, (String, String)> {
    let lines = text.lines().filter_map(|line| {
        let (name, version) = line.split(['#', ';', ' ']).find(|part| !part.is_empty())?.split_once("==")?;
        let name: DistributionName = name.parse().ok()?;
        Some((name.to_string(), (name.to_string(), version.to_owned())))
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_pins_what_it_names() {
        let found = pins(
            "CacheControl==0.14.1\n# a comment\nrequests==2.32.4\n    idna==3.10  # for requests\nwithout\n",
        );
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, (_, version))| (name.as_str(), version.as_str())).collect();
        assert_eq!(found, [("cachecontrol", "0.14.1"), ("idna", "3.10"), ("requests", "2.32.4")]);
    }

    #[test]
    fn code_states_its_version_as_a_plain_text() {
        let six = "import sys\n\n__author__ = \"Benjamin\"\n__version__ = \"1.16.0\"\n";
        assert_eq!(version_in(six).as_deref(), Some("1.16.0"));
        assert_eq!(version_in("__version__='2.0.post1'  # of 2024").as_deref(), Some("2.0.post1"));
        for none in [
            "__version__ = version()",
            "    __version__ = '1.0'",
            "__version__ = 'main'",
            "__version__ = '1.0",
            "__version__ = \"1 <b>\"",
            "__version_info__ = '1.0'",
        ] {
            assert_eq!(version_in(none), None, "{none}");
        }
    }
}
