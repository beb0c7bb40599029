//! Bases of Debian packages: brought by the digests of their lock, unpacked side by side, and put together in our own
//! process.

use crate::GuestError;
use kiln_fetch::{Archive, ArchiveFile, FetchError, Mirror, Reopened};
use kiln_image::debian::{RootFs, RootFsRules, UnpackedPackage};
use kiln_image::{Image, ImageSpec, Layer};
use kiln_invocation::{Event, InvocationError, Network, blocking};
use kiln_plan::{BaseDefinition, BaseKind, DebianDefinition, InvalidFiles, LockedPackage, PinnedBase};
use kiln_record::{BaseName, Defect, Digest, Epoch, HashingWriter, LongHasher, Platform, counted};
use kiln_store::{Store, StoreError, has_room};
use std::collections::BTreeMap;
use std::io::{self, BufReader};
use tokio::task::JoinSet;

/// The kind of cache value: the SHA-512 of a file in lower-case hexadecimal, by its digest.
pub const LONG_HASHES: &str = "sha512";

/// The SHA-512 of packages in lower-case hexadecimal, by their digests.
pub type PackageHashes = BTreeMap<Digest, String>;

/// The one time in a base image: packages decide its content, not when it was assembled.
const IMAGE_EPOCH: u64 = 0;

/// The image documents and layers of an earlier assembly, if the store still has all of them.
pub fn stored_image(store: &Store, base: &PinnedBase) -> Result<Option<Image>, GuestError> {
    let Some(layers) = store.cache_get::<Vec<StoredLayer>>("base-layers", &base.lock.manifest)? else {
        return Ok(None);
    };
    if !layers.iter().all(|layer| store.contains(&layer.digest)) {
        return Ok(None);
    }
    let layers = layers
        .into_iter()
        .map(|layer| Layer {
            digest: layer.digest,
            diff_id: layer.digest,
            size: layer.size,
            media_type: kiln_image::LAYER_MEDIA_TYPE.to_owned(),
        })
        .collect();
    let image = Image::assemble(&spec(&base.definition, base.platform)?, layers)?;
    Ok((image.manifest_digest == base.lock.manifest).then_some(image))
}

#[derive(serde::Serialize, serde::Deserialize)]
struct StoredLayer {
    digest: Digest,
    size: u64,
}

fn spec(definition: &BaseDefinition, platform: Platform) -> Result<ImageSpec, GuestError> {
    Ok(ImageSpec {
        platform,
        env: definition.image.env.iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
        user: None,
        working_dir: None,
        entrypoint: Vec::new(),
        command: vec![definition.image.python.clone()],
        labels: BTreeMap::new(),
        created: image_epoch()?,
    })
}

fn image_epoch() -> Result<Epoch, GuestError> {
    Epoch::from_seconds(IMAGE_EPOCH).map_err(|error| Defect::new(error.to_string()).into())
}

/// Downloads the packages that are missing, unpacks them side by side, and writes the layer into the store.
pub async fn assemble(
    network: &Network,
    definition: &BaseDefinition,
    debian: &DebianDefinition,
    platform: Platform,
    packages: &[LockedPackage],
) -> Result<Image, GuestError> {
    bring_packages(network, &definition.name, debian, packages).await?;
    network.run().tell(Event::Base { base: definition.name.clone(), activity: "assemble" });
    let mut unpacking = JoinSet::new();
    for package in packages {
        let (store, package) = (network.store().clone(), image_package(package));
        unpacking.spawn_blocking(move || -> Result<UnpackedPackage, GuestError> {
            let blob = store.open_blob(&package.digest)?;
            Ok(UnpackedPackage::read(&package, BufReader::with_capacity(1 << 16, blob))?)
        });
    }
    let mut root = RootFs::new();
    while let Some(unpacked) = unpacking.join_next().await {
        match unpacked {
            Ok(package) => root.add(package?)?,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(InvocationError::Interrupted.into()),
        }
    }
    let rules = RootFsRules { epoch: image_epoch()?, architecture: platform.architecture };
    let spec = spec(definition, platform)?;
    let network = network.clone();
    blocking(move || {
        let assembled = root.finish(&rules)?;
        let mut writer = network.store().writer()?;
        let layer = assembled.write_layer(&mut writer)?;
        writer.commit(Some(&layer.digest))?;
        let stored = vec![StoredLayer { digest: layer.digest, size: layer.size }];
        let image = Image::assemble(&spec, vec![layer])?;
        network.store().cache_put("base-layers", &image.manifest_digest, &stored)?;
        Ok(image)
    })
    .await
}

fn image_package(package: &LockedPackage) -> kiln_image::debian::LockedPackage {
    kiln_image::debian::LockedPackage {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        size: package.size,
        digest: package.digest,
    }
}

/// Brings the packages of a base into the store that are not there.
///
/// # Errors
/// If one cannot be had, or the mirror serves something else.
pub async fn bring_packages(
    network: &Network,
    base: &BaseName,
    debian: &DebianDefinition,
    packages: &[LockedPackage],
) -> Result<(), GuestError> {
    let missing: Vec<&LockedPackage> =
        packages.iter().filter(|package| !network.store().contains(&package.digest)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let size = missing.iter().map(|package| package.size).fold(0, u64::saturating_add);
    has_room(
        network.store().root(),
        &format!("{} of base {base}", counted(missing.len(), "packages")),
        size,
    )?;
    network.run().tell(Event::Base { base: base.clone(), activity: "download" });
    network.may_ask(|| {
        let names: Vec<&str> = missing.iter().take(3).map(|package| package.name.as_str()).collect();
        let more = if missing.len() > names.len() { ", …" } else { "" };
        let (names, count) = (names.join(", "), missing.len());
        let all = counted(packages.len(), "packages");
        format!("of {all} that images/{base}.lock names {count} ({names}{more})")
    })?;
    let archive = archive(network, base, debian)?;
    let client = network.client().await?;
    let archive = &archive;
    let each = missing.into_iter().map(|package| async move {
        let file = package.path.rsplit('/').next().unwrap_or(&package.path).to_owned();
        let _flight = network.flight(&package.digest).await;
        if network.store().contains(&package.digest) {
            return Ok::<_, GuestError>(());
        }
        if network.shared().fetch(&package.digest, Some(package.size)).await? {
            return Ok(());
        }
        network.run().tell(Event::DownloadStarted { file: file.clone(), size: Some(package.size) });
        let store = network.store().clone();
        let mut sink = Reopened::new(move || store.writer().map_err(io::Error::other));
        let progress = |bytes| network.run().tell(Event::Downloaded { file: file.clone(), bytes });
        let wanted = ArchiveFile { path: &package.path, digest: package.digest, size: package.size };
        let outcome = archive.deb(client, &wanted, &mut sink, &progress).await;
        network.run().tell(Event::DownloadEnded { file: file.clone() });
        outcome.map_err(|source| match source {
            FetchError::PackageGone { .. } => {
                GuestError::PackageGone { base: base.clone(), file: file.clone(), source: Box::new(source) }
            }
            other => other.into(),
        })?;
        let Some(writer) = sink.into_inner() else {
            return Err(Defect::new("a download ended well and nothing was written").into());
        };
        let digest = package.digest;
        blocking::<_, GuestError>(move || Ok(writer.commit(Some(&digest))?)).await?;
        Ok(network.shared().send(&digest).await?)
    });
    futures_util::future::try_join_all(each).await?;
    Ok(())
}

/// The SHA-512 of the packages of a base, by their digests. Each follows from the file, so that it is worked out once and remembered; a
/// file that the store has lost is brought for it, so that whoever builds says the same.
///
/// # Errors
/// As [`bring_packages`]; if the store has something else than its name says.
pub async fn package_hashes(network: &Network, base: &PinnedBase) -> Result<PackageHashes, GuestError> {
    let BaseKind::Debian(debian) = &base.definition.kind else { return Ok(PackageHashes::new()) };
    let (mut hashes, mut missing) = (PackageHashes::new(), Vec::new());
    for package in &base.lock.packages {
        match network.store().cache_get::<String>(LONG_HASHES, &package.digest)? {
            Some(known) => drop(hashes.insert(package.digest, known)),
            None => missing.push(package.clone()),
        }
    }
    bring_packages(network, &base.definition.name, debian, &missing).await?;
    let store = network.store().clone();
    blocking(move || {
        for package in missing {
            let mut hasher = HashingWriter::new(LongHasher::default());
            io::copy(&mut store.open_blob(&package.digest)?, &mut hasher)?;
            let (hasher, found, _) = hasher.finish();
            if found != package.digest {
                store.discard(&package.digest)?;
                return Err(StoreError::BlobDamaged { digest: package.digest, found }.into());
            }
            let hash = hasher.finish();
            store.cache_put(LONG_HASHES, &package.digest, &hash)?;
            hashes.insert(package.digest, hash);
        }
        Ok(hashes)
    })
    .await
}

/// Where a base's packages come from: its own mirror, the workspace's, or the environment's.
pub fn archive(network: &Network, base: &BaseName, debian: &DebianDefinition) -> Result<Archive, GuestError> {
    let named = |text: &Option<String>, from: &str| -> Result<Option<Mirror>, GuestError> {
        let Some(text) = text else { return Ok(None) };
        let url = text.parse().map_err(|error| {
            let message = format!("the mirror or snapshot is not a URL: {error}");
            InvalidFiles::from(kiln_plan::Problem::in_file(&format!("images/{base}.toml"), message))
        })?;
        Ok(Some(Mirror { url, from: from.to_owned() }))
    };
    let mirror = match named(&debian.mirror, "the base's definition")? {
        Some(mirror) => mirror,
        None => match network.debian_mirrors().first() {
            Some(mirror) => mirror.clone(),
            None => return Err(GuestError::NoMirror { base: base.clone() }),
        },
    };
    let snapshots = named(&debian.snapshot, "the base's definition")?.into_iter().collect();
    Ok(Archive { mirror, snapshots })
}
