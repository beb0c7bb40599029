//! Libraries that a base has to be linked into programs statically: the C library's and Rust's, by what the lists of its packages say.

use crate::GuestError;
use crate::debian::{bring_packages, package_hashes};
use kiln_image::debian::listed_files;
use kiln_invocation::{Network, blocking};
use kiln_plan::{BaseKind, LockedPackage, PinnedBase};
use kiln_record::{Archive, TreePath};
use kiln_store::Store;

/// The kind of cache value: the static libraries that a package lists, by its digest.
const CACHE: &str = "static-libraries";

/// What packages are called that have such libraries. Which do, their own lists say.
const PACKAGES: [&str; 3] = ["libc6-dev", "libstd-rust", "musl-dev"];

/// A library of a base that programs are linked with statically.
#[derive(Clone, Debug)]
pub struct StaticLibrary {
    /// Where it is in the base.
    pub path: TreePath,
    /// The version of the package that brings it.
    pub version: String,
    /// That package.
    pub package: Archive,
}

/// The static libraries of a base of Debian packages. What a package has follows from the file, so that it is read once and
/// remembered; a file that the store has lost is brought for it.
///
/// # Errors
/// If a package cannot be had or read.
pub async fn static_libraries(
    network: &Network,
    base: &PinnedBase,
) -> Result<Vec<StaticLibrary>, GuestError> {
    let BaseKind::Debian(debian) = &base.definition.kind else { return Ok(Vec::new()) };
    let mut only = base.clone();
    only.lock.packages.retain(|package| PACKAGES.iter().any(|name| package.name.starts_with(name)));
    let hashes = package_hashes(network, &only).await?;
    let mut libraries = Vec::new();
    for package in &only.lock.packages {
        let known = network.store().cache_get::<Vec<TreePath>>(CACHE, &package.digest)?;
        let paths = match known {
            Some(known) => known,
            None => {
                let alone = std::slice::from_ref(package);
                bring_packages(network, &base.definition.name, debian, alone).await?;
                let (store, package) = (network.store().clone(), package.clone());
                blocking(move || read(&store, &package)).await?
            }
        };
        let Some(sha512) = hashes.get(&package.digest) else { continue };
        libraries.extend(paths.into_iter().map(|path| StaticLibrary {
            version: package.version.clone(),
            package: archive(package, sha512, &path),
            path,
        }));
    }
    Ok(libraries)
}

fn archive(package: &LockedPackage, sha512: &str, path: &TreePath) -> Archive {
    Archive {
        file_name: file_name(package).to_owned(),
        digest: package.digest,
        sha512: sha512.to_owned(),
        license: None,
        member: Some(path.to_string()),
    }
}

fn file_name(package: &LockedPackage) -> &str {
    package.path.rsplit('/').next().unwrap_or(&package.path)
}

fn read(store: &Store, package: &LockedPackage) -> Result<Vec<TreePath>, GuestError> {
    let bytes = store.read_blob(&package.digest)?;
    let is_library = |path: &TreePath| {
        let name = path.file_name();
        name.ends_with(".a") || name.ends_with(".rlib")
    };
    let paths = listed_files(file_name(package), bytes.as_slice(), &is_library)?;
    store.cache_put(CACHE, &package.digest, &paths)?;
    Ok(paths)
}
