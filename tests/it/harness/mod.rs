//! What every test stands on: sandboxes with a workspace, the binary with a clean environment, wheels made on the spot
//! and an index that serves them.

mod bases;
mod index;
mod kiln;
mod poetry;
mod sandbox;
mod wheel;

pub(crate) use index::LocalIndex;
pub(crate) use kiln::{Kiln, Outcome};
pub(crate) use poetry::poetry_lock;
pub(crate) use sandbox::Sandbox;
pub(crate) use wheel::{WheelFile, shared_object, shared_object_needing, wheel};

use std::path::PathBuf;

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the tests are in a folder of the repository").to_owned()
}
