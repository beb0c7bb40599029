//! Distributions that lie inside something else: copied into a folder of the application, or carried along by another
//! distribution. Their metadata says what they are; no lock names them.

use crate::CollectError;
use crate::collection::Collection;
use crate::part::component;
use kiln_audit::{FoundDistribution, distributions_in_tree};
use kiln_record::{Component, ComponentId, Ecosystem, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};

/// Makes a component of each distribution whose `*.dist-info` lies below another folder than the one that distributions are
/// installed in. It owns that folder and what its RECORD lists, as far as whoever brought the metadata brought that, too.
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
    collection.components.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(())
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
    let name = found.name.as_str();
    let mut id = ComponentId::new(Ecosystem::Python, name);
    if collection.components.iter().any(|known| known.id == id) {
        id = ComponentId::new(Ecosystem::Python, &format!("{name}/{folder}"));
    }
    let mut own = Component {
        version: Some(found.version.clone()).filter(|version| !version.is_empty()),
        within: Some(holder.clone()),
        ..component(id.clone(), Ecosystem::Python, name)
    };
    let mut sizes: BTreeMap<TreePath, u64> = BTreeMap::new();
    for path in paths {
        if collection.owners.get(&path) == Some(&holder)
            && let Some(entry) = collection.tree.get(&path)
        {
            sizes.insert(path, entry.size());
        }
    }
    (own.files, own.bytes) = (sizes.len() as u64, sizes.values().sum());
    if let Some(holder) = collection.components.iter_mut().find(|known| known.id == holder) {
        holder.files -= own.files;
        holder.bytes -= own.bytes;
    }
    let is_gone = |known: &Component| known.files == 0 && known.ecosystem == Ecosystem::Application;
    collection.components.retain(|known| !is_gone(known));
    collection.owners.extend(sizes.into_keys().map(|path| (path, id.clone())));
    collection.components.push(own);
    Ok(())
}
