//! Puts a tree on its base: layers, config, and what the record says of both.

use super::{layers, start};
use crate::BuildError;
use kiln_collect::{Collection, component};
use kiln_dockerfile::Made;
use kiln_guest::{AssembledImage, BaseImage, PackageHashes, numeric_user};
use kiln_image::{CarriedDistribution, Image, OsPackage, Stated, WheelDigests};
use kiln_pack::LayerCodec;
use kiln_plan::{ArtifactPlan, BaseKind, Compression, ENGINE_BASES, Manifest};
use kiln_record::{
    Component, ComponentId, Ecosystem, Entry, ImageBase, ImageLayer, ImageRecord, LayerRole, Metadata,
    Origin, Supplier, SystemPackage, is_license_expression,
};
use kiln_store::Store;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the layers of an image are compressed.
fn codec(manifest: &Manifest) -> LayerCodec {
    match manifest.image.as_ref().map(|image| image.compression).unwrap_or_default() {
        Compression::Gzip => LayerCodec::Gzip,
        Compression::Zstd => LayerCodec::Zstd,
        Compression::None => LayerCodec::None,
    }
}

/// Puts the tree on its base.
pub(crate) fn assemble(
    store: &Store,
    plan: &ArtifactPlan,
    collection: &Collection,
    base: &Arc<BaseImage>,
    made: Option<&Made>,
    hashes: &PackageHashes,
) -> Result<AssembledImage, BuildError> {
    let codec = codec(&plan.manifest);
    let (layers, runs) = match made {
        Some(made) => (layers::of_made(store, made, codec)?, made.whole.config.runs.clone()),
        None => {
            let layers = layers::layers(store, plan, collection, base, codec)?;
            (layers, start::runs(plan, collection, base))
        }
    };
    let name = &plan.base.definition.name;
    let reference = match &plan.base.definition.kind {
        BaseKind::Registry(registry) => registry.reference.clone(),
        // An image of kiln's own has no registry; this is the name that engines have it by.
        BaseKind::Debian(_) => format!("{ENGINE_BASES}{name}"),
        BaseKind::Scratch => name.to_string(),
    };
    let mut annotations =
        plan.manifest.image.as_ref().map(|image| image.annotations.clone()).unwrap_or_default();
    if plan.base.definition.kind != BaseKind::Scratch {
        let digest = plan.base.lock.manifest.to_string();
        annotations.insert("org.opencontainers.image.base.name".to_owned(), reference.clone());
        annotations.insert("org.opencontainers.image.base.digest".to_owned(), digest);
    }
    let stated = Stated { runs: &runs, annotations: annotations.clone(), created: plan.epoch };
    let (of_base, own): (Vec<_>, Vec<_>) = layers.iter().partition(|layer| layer.role == LayerRole::Base);
    let image = Image::on_base(
        &base.config,
        of_base.into_iter().map(|layer| layer.layer.clone()).collect(),
        own.into_iter().map(|layer| (layer.layer.clone(), layer.role.as_str())).collect(),
        &stated,
    )?;
    let mut components = match made {
        Some(made) => {
            let mut components = base_components(plan, &made.whole, Some(base), hashes);
            for component in components.iter_mut().filter(|component| !component.from_base) {
                // What it owns in the tree, where it was installed over the base.
                let own = collection.owners.iter().filter(|(_, owner)| **owner == component.id);
                let sizes = own.filter_map(|(path, _)| collection.tree.get(path)).map(Entry::size);
                (component.bytes, component.files) = sizes.fold((0, 0), |(sum, n), size| (sum + size, n + 1));
            }
            components
        }
        None => base_components(plan, base, None, hashes),
    };
    components.extend(carried(base, made, collection));
    components.sort_by(|one, other| one.id.cmp(&other.id));
    let (files, bytes) = base.contents.size();
    let owned: u64 =
        components.iter().filter(|component| component.from_base).map(|component| component.bytes).sum();
    let record = ImageRecord {
        manifest: image.manifest_digest,
        config: image.config_digest,
        variant: image.variant.clone(),
        base: ImageBase {
            name: name.clone(),
            reference,
            manifest: plan.base.lock.manifest,
            manifest_sha512: base.manifest_sha512.clone(),
            files,
            bytes,
            unowned_bytes: bytes.saturating_sub(owned),
            surface: Some(base.contents.surface()),
        },
        size: layers.iter().map(|layer| layer.layer.size).sum(),
        unpacked_size: match made {
            Some(made) => made.whole.contents.size().1,
            None => bytes.saturating_add(collection.tree.size()),
        },
        layers: layers
            .iter()
            .map(|layer| ImageLayer {
                role: layer.role,
                digest: layer.layer.digest,
                diff_id: layer.layer.diff_id,
                size: layer.layer.size,
                media_type: layer.layer.media_type.clone(),
            })
            .collect(),
        python_folder: plan
            .manifest
            .python
            .as_ref()
            .map(|_| plan.manifest.python_folder().unwrap_or_default().to_owned()),
        attributes: made.map(|made| made.attributes.clone()).unwrap_or_default(),
        removed: made.map(|made| made.removed.clone()).unwrap_or_default(),
        runs,
        annotations,
    };
    let user = match made {
        Some(made) => made.user.clone(),
        None => numeric_user(&record.runs),
    };
    let python = made.and_then(Made::python);
    Ok(AssembledImage { image, codec, record, components, user, python })
}

/// The packages of an image as components: what its own database says, and the `.deb` of each where the lock has it. `below`
/// is what it stands on: packages that are not there in the same version are not the base's.
fn base_components(
    plan: &ArtifactPlan,
    base: &BaseImage,
    below: Option<&Arc<BaseImage>>,
    hashes: &PackageHashes,
) -> Vec<Component> {
    let is_same = |one: &OsPackage, other: &OsPackage| {
        (one.ecosystem, &one.name, &one.version) == (other.ecosystem, &other.name, &other.version)
    };
    let is_below = |package: &OsPackage| {
        below
            .is_none_or(|below| below.contents.packages.iter().flatten().any(|other| is_same(package, other)))
    };
    let locked: BTreeMap<&str, &kiln_plan::LockedPackage> =
        plan.base.lock.packages.iter().map(|package| (package.name.as_str(), package)).collect();
    let mut components = BTreeMap::new();
    for package in base.contents.packages.iter().flatten() {
        let from_base = is_below(package);
        let deb = locked.get(package.name.as_str()).filter(|_| from_base);
        let origin = deb.map(|deb| Origin {
            file_name: deb.path.rsplit('/').next().unwrap_or(&deb.path).to_owned(),
            size: deb.size,
            digest: deb.digest,
            sha512: hashes.get(&deb.digest).cloned(),
            source: None,
        });
        let mut id = ComponentId::new(package.ecosystem, &package.name);
        if components.contains_key(&id) {
            // rpm lets a system have one package in several versions, and for several architectures.
            let name = format!("{}-{}.{}", package.name, package.version, package.architecture);
            id = ComponentId::new(package.ecosystem, &name);
        }
        let component = Component {
            version: Some(package.version.clone()),
            bytes: package.bytes,
            files: package.files,
            origin,
            package: Some(system_package(package, base)),
            requires: package.requires.iter().map(|name| ComponentId::new(package.ecosystem, name)).collect(),
            metadata: Metadata {
                license_expression: package.license.clone().filter(|license| is_license_expression(license)),
                license: package.license.clone().filter(|license| !is_license_expression(license)),
                supplier: package.maintainer.as_deref().map(supplier),
                summary: package.summary.clone(),
                homepage: package.homepage.clone(),
                ..Metadata::default()
            },
            from_base,
            ..component(id.clone(), package.ecosystem, &package.name)
        };
        components.insert(id, component);
    }
    components.into_values().collect()
}

/// The distributions that a base brings, installed or as wheels, and the wheels that a Dockerfile leaves in an image: what is installed there
/// has components of its own. Their files are those of the packages that they came in, and are counted there. An image may have one
/// more than once: each is known by the folder in which it lies, so that another version there is another version of it, and by its
/// own path where that folder has several.
fn carried(base: &BaseImage, made: Option<&Made>, collection: &Collection) -> Vec<Component> {
    let of = |found: CarriedDistribution, from_base: bool, is_alone: bool| {
        let folder = found.path.parent();
        let place = if is_alone && !folder.is_empty() { folder } else { found.path.as_str() };
        let id = ComponentId::new(Ecosystem::Python, &format!("{}/{place}", found.name));
        let within = collection.owners.get(&found.path).filter(|_| !from_base).cloned();
        let origin = found.wheel.map(|(WheelDigests { digest, sha512 }, size)| Origin {
            file_name: found.path.file_name().to_owned(),
            size,
            digest,
            sha512: Some(sha512),
            source: None,
        });
        Component {
            version: Some(found.version),
            origin,
            from_base,
            within,
            ..component(id, Ecosystem::Python, found.name.as_str())
        }
    };
    let of_base = base.contents.distributions();
    let is_left = |found: &CarriedDistribution| {
        found.path.file_name().ends_with(".whl")
            && collection.owners.contains_key(&found.path)
            && !of_base.contains(found)
    };
    let left = made.map(|made| made.whole.contents.distributions()).unwrap_or_default();
    let left: Vec<CarriedDistribution> = left.into_iter().filter(is_left).collect();
    let place = |found: &CarriedDistribution| (found.name.clone(), found.path.parent().to_owned());
    let mut places = BTreeMap::<_, usize>::new();
    for found in of_base.iter().chain(&left) {
        *places.entry(place(found)).or_default() += 1;
    }
    let all =
        of_base.into_iter().map(|found| (found, true)).chain(left.into_iter().map(|found| (found, false)));
    all.map(|(found, from_base)| {
        let is_alone = places.get(&place(&found)) == Some(&1);
        of(found, from_base, is_alone)
    })
    .collect()
}

/// What identifies a package of a system beyond its name and version.
fn system_package(package: &OsPackage, image: &BaseImage) -> SystemPackage {
    SystemPackage {
        architecture: package.architecture.clone(),
        source: package.source.clone(),
        source_version: package.source_version.clone(),
        distribution: image.contents.distribution.clone(),
    }
}

/// `Name <address>`, as Debian writes it.
fn supplier(text: &str) -> Supplier {
    match text.rsplit_once('<') {
        Some((name, address)) => Supplier {
            name: Some(name.trim().to_owned()).filter(|name| !name.is_empty()),
            email: Some(address.trim_end_matches('>').trim().to_owned()),
        },
        None => Supplier { name: Some(text.trim().to_owned()), email: None },
    }
}
