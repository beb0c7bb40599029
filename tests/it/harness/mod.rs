//! What every test stands on: sandboxes with a workspace, the binary with a clean environment, wheels made on the spot
//! and an index that serves them.

mod assembled;
mod aws_image;
mod bases;
mod casd;
mod conformance;
mod engine;
mod engine_build;
mod git;
mod index;
mod judges;
mod junit;
mod kept;
mod kiln;
pub(crate) mod many;
mod messages;
mod mirror;
mod other_engine;
pub(crate) mod page;
mod poetry;
mod published;
mod registry;
mod release;
mod running;
mod sandbox;
pub(crate) mod schemas;
mod sdist;
mod server;
pub(crate) mod signed;
mod wheel;

pub(crate) use assembled::{assembled, busybox, debian_base};
pub(crate) use aws_image::{AWS_PYTHON, push_aws_python, python_312};
pub(crate) use bases::{committed_base, with_packages};
pub(crate) use casd::{Casd, certificate};
pub(crate) use conformance::{locked, rarer_distributions};
pub(crate) use engine::{block_on, engine, engine_at, engine_of, limits, ran_in_engine};
pub(crate) use engine_build::EngineBuild;
pub(crate) use index::LocalIndex;
pub(crate) use judges::{needs, needs_image_tools, python_with, runs};
pub(crate) use junit::validate_junit;
pub(crate) use kiln::{Kiln, Outcome, copy_cargo_home};
pub(crate) use mirror::{LocalMirror, machines_mirror};
pub(crate) use other_engine::{NEWER, NEWEST, OLDER, OtherEngine};
pub(crate) use poetry::poetry_lock;
pub(crate) use published::published_repository;
pub(crate) use registry::{FaultyProxy, INDEX_TYPE, LyingProxy, MANIFEST_TYPE, Registry, forget};
pub(crate) use release::{Release, audit, python};
pub(crate) use running::{Running, containers_of};
pub(crate) use sandbox::Sandbox;
pub(crate) use schemas::validate_sarif;
pub(crate) use sdist::{gzip, sdist, self_building};
pub(crate) use server::{LocalServer, Reply, Request};
pub(crate) use wheel::{
    WheelFile, compiled_with, shared_object, shared_object_linked_to, shared_object_needing, wheel,
    wheel_saying,
};

use std::path::PathBuf;

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are in a folder of the repository").to_owned()
}
