//! Debian archives and packages: from a signed `InRelease` to a root file system.
//!
//! The way of a base image: [`verify_cleartext`] checks `InRelease` against a [`Keyring`]; [`Release`] names the
//! digests of the package indexes; [`PackageIndex`] and [`resolve`] choose packages; [`RootFs`] unpacks them into one
//! deterministic layer. No maintainer script ever runs.

mod control;
mod copyright;
mod deb;
mod generated;
mod installed;
mod keyring;
mod layer;
mod loader_cache;
mod nodes;
mod openpgp;
mod packages;
mod relation;
mod release;
mod resolve;
mod rootfs;
mod rules;
mod signature;
mod version;
mod xz;

pub use deb::listed_files;
pub(crate) use installed::{installed_packages, is_copyright};
pub use keyring::Keyring;
pub use packages::{Package, PackageIndex};
pub use relation::{Alternatives, Relation, VersionOperator};
pub use release::{Release, parse_date};
pub use resolve::resolve;
pub use rootfs::{AssembledRootFs, LockedPackage, RootFs, RootFsReport, RootFsRules, UnpackedPackage};
pub use rules::{LEFT_OUT, LeftOut, is_left_out};
pub use signature::{Signed, verify_cleartext};
pub use version::Version;
pub use xz::decompress_xz;
