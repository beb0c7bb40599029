//! The layers of an image: one for each reason to change. Those that are in the store already are not made again.

use crate::BuildError;
use kiln_collect::Collection;
use kiln_dockerfile::Made;
use kiln_guest::{BaseImage, BaseLayer, in_image};
use kiln_image::{ContentEntry, LAYER_MEDIA_TYPE, Layer};
use kiln_pack::{LayerCodec, LayerSums, LayerWriter, Limits, TarContent, TarWriter, layer_tar, read_tar};
use kiln_plan::ArtifactPlan;
use kiln_record::{
    ComponentId, Defect, Digest, Ecosystem, Entry, LayerRole, Mode, Tree, TreePath, digest_of_value,
};
use kiln_store::Store;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, BufWriter, Write as _};

/// The version of the rules by which a tree becomes layers and a config. A step means that equal trees may come out as other
/// images.
const IMAGE_RULES: u32 = 2;
/// The time of every entry of a layer: a constant, as in the bases that kiln makes, so that equal trees are equal layers
/// whatever base was pinned when.
const LAYER_TIME: u64 = 0;

/// A layer with what it holds.
pub(super) struct RoleLayer {
    pub(super) role: LayerRole,
    pub(super) layer: Layer,
}

/// What is remembered of a layer in the store.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Stored {
    digest: Digest,
    size: u64,
    diff_id: Digest,
}

impl From<LayerSums> for Stored {
    fn from(sums: LayerSums) -> Self {
        Self { digest: sums.digest, size: sums.size, diff_id: sums.diff_id }
    }
}

impl Stored {
    fn layer(self, role: LayerRole, codec: LayerCodec) -> RoleLayer {
        let suffix = match codec {
            LayerCodec::Gzip => "+gzip",
            LayerCodec::Zstd => "+zstd",
            LayerCodec::None => "",
        };
        let media_type = format!("{LAYER_MEDIA_TYPE}{suffix}");
        let layer = Layer { digest: self.digest, diff_id: self.diff_id, size: self.size, media_type };
        RoleLayer { role, layer }
    }
}

/// The layers of the base, then that of the dependencies and that of the application, where there are such.
pub(super) fn layers(
    store: &Store,
    plan: &ArtifactPlan,
    collection: &Collection,
    base: &BaseImage,
    codec: LayerCodec,
) -> Result<Vec<RoleLayer>, BuildError> {
    let mut layers = Vec::new();
    for layer in &base.layers {
        layers.push(of_base_layer(store, layer, codec)?.layer(LayerRole::Base, codec));
    }
    let application = ComponentId::new(Ecosystem::Application, plan.manifest.name.as_str());
    for role in [LayerRole::Dependencies, LayerRole::Application] {
        let mut tree = Tree::new();
        for (path, entry) in collection.tree.iter() {
            let is_own = collection.owners.get(path) == Some(&application);
            if is_own == (role == LayerRole::Application) {
                tree.insert(path.clone(), entry.clone()).map_err(|error| Defect::new(error.to_string()))?;
            }
        }
        if !tree.is_empty() {
            layers.push(of_tree(store, plan, collection, &tree, base, codec)?.layer(role, codec));
        }
    }
    Ok(layers)
}

/// The layers of what a Dockerfile made: those of the base, then its own, each as it was brought into its form.
pub(super) fn of_made(store: &Store, made: &Made, codec: LayerCodec) -> Result<Vec<RoleLayer>, BuildError> {
    let of_base = made.whole.layers.len() - made.own_layers;
    let layers = made.whole.layers.iter().enumerate().map(|(index, layer)| {
        let role = if index < of_base { LayerRole::Base } else { LayerRole::Application };
        Ok(of_base_layer(store, layer, codec)?.layer(role, codec))
    });
    layers.collect()
}

/// A base's layer, compressed like the others. Its tar, and so its place in engines, stays what it is.
fn of_base_layer(store: &Store, layer: &BaseLayer, codec: LayerCodec) -> Result<Stored, BuildError> {
    const CACHE: &str = "compressed-layer";
    if codec == LayerCodec::None {
        return Ok(Stored { digest: layer.diff_id, size: layer.size, diff_id: layer.diff_id });
    }
    let key = digest_of_value(&(layer.diff_id, codec.id()))?;
    if let Some(known) = known(store, CACHE, &key)? {
        return Ok(known);
    }
    let mut tar = BufReader::with_capacity(1 << 18, store.open_blob(&layer.diff_id)?);
    let mut writer = LayerWriter::new(store.writer()?, codec);
    io::copy(&mut tar, &mut writer)?;
    let (writer, sums) = writer.finish()?;
    if sums.diff_id != layer.diff_id {
        // The next run finds the damage and makes the layer anew.
        return Err(kiln_store::StoreError::BlobDamaged { digest: layer.diff_id, found: sums.diff_id }.into());
    }
    writer.commit(Some(&sums.digest))?;
    remember(store, CACHE, &key, sums.into())
}

/// A part of the artifact's tree as a layer, at the place that the tree has in the image.
fn of_tree(
    store: &Store,
    plan: &ArtifactPlan,
    collection: &Collection,
    tree: &Tree,
    base: &BaseImage,
    codec: LayerCodec,
) -> Result<Stored, BuildError> {
    const CACHE: &str = "image-layer";
    let mount = plan.manifest.kind.mount().trim_start_matches('/');
    let there = folders_of_base(tree, mount, base)?;
    let unusual = &base.contents.folders;
    let unusual: BTreeMap<TreePath, (u32, u64, u64)> =
        there.iter().filter_map(|folder| Some((folder.clone(), *unusual.get(folder)?))).collect();
    let key = digest_of_value(&(IMAGE_RULES, mount, tree.digest(), (&there, &unusual), codec.id()))?;
    if let Some(known) = known(store, CACHE, &key)? {
        return Ok(known);
    }
    let layer = LayerWriter::new(store.writer()?, codec);
    let mut tar = TarWriter::new(BufWriter::with_capacity(1 << 18, layer), LAYER_TIME)
        .over(there)
        .with_folders(unusual);
    for (path, entry) in tree.iter() {
        let place = in_image(path, mount)?;
        match entry {
            Entry::File { .. } => collection.add_to(&mut tar, store, path, &place)?,
            Entry::Symlink { target } => tar.add_symlink(&place, target)?,
        }
    }
    let mut buffer = tar.finish()?;
    buffer.flush()?;
    let layer = buffer.into_inner().map_err(io::IntoInnerError::into_error)?;
    let (writer, sums) = layer.finish()?;
    writer.commit(Some(&sums.digest))?;
    remember(store, CACHE, &key, sums.into())
}

fn known(store: &Store, cache: &str, key: &Digest) -> Result<Option<Stored>, BuildError> {
    let known = store.cache_get::<Stored>(cache, key)?;
    Ok(known.filter(|stored| store.contains(&stored.digest)))
}

fn remember(store: &Store, cache: &str, key: &Digest, stored: Stored) -> Result<Stored, BuildError> {
    store.cache_put(cache, key, &stored)?;
    Ok(stored)
}

/// Folders on the way to the tree's files that the base has: they keep the mode and owner that they have there.
fn folders_of_base(tree: &Tree, mount: &str, base: &BaseImage) -> Result<BTreeSet<TreePath>, BuildError> {
    let mut folders = BTreeSet::new();
    for (path, _) in tree.iter() {
        let place = in_image(path, mount)?;
        for (end, _) in place.as_str().match_indices('/') {
            let folder =
                TreePath::new(&place.as_str()[..end]).map_err(|error| Defect::new(error.to_string()))?;
            if base.contents.entries.get(&folder) == Some(&ContentEntry::Folder) {
                folders.insert(folder);
            }
        }
    }
    Ok(folders)
}

/// The tree that own layers hold, every entry read back and hashed.
pub(super) fn read_back(
    store: &Store,
    layers: &[(Digest, LayerCodec)],
    mount: &str,
) -> Result<Tree, BuildError> {
    // What we wrote ourselves has no limit but what the artifact was allowed.
    let limits = Limits {
        max_members: u64::MAX,
        max_member_size: u64::MAX,
        max_total_size: u64::MAX,
        ..Limits::default()
    };
    let mut tree = Tree::new();
    for (digest, codec) in layers {
        let blob = BufReader::with_capacity(1 << 18, store.open_blob(digest)?);
        read_tar(layer_tar(blob, *codec)?, &limits, |item| -> Result<(), BuildError> {
            let entry = match item.content {
                TarContent::File(bytes) => Entry::File {
                    digest: Digest::of(&bytes),
                    size: bytes.len() as u64,
                    mode: Mode::from_bits(item.mode),
                },
                TarContent::Symlink(target) => Entry::Symlink { target },
                _ => return Ok(()),
            };
            // What takes away from the base is no file.
            if item.path.file_name().starts_with(".wh.") {
                return Ok(());
            }
            let path = match mount {
                "" => item.path.clone(),
                mount => {
                    let inside = item.path.as_str().strip_prefix(mount).and_then(|p| p.strip_prefix('/'));
                    TreePath::new(inside.unwrap_or(item.path.as_str()))
                        .map_err(|error| Defect::new(error.to_string()))?
                }
            };
            // What a later layer has takes the place of it.
            tree.remove(&path);
            tree.insert(path, entry).map_err(|error| Defect::new(error.to_string()))?;
            Ok(())
        })?;
    }
    Ok(tree)
}
