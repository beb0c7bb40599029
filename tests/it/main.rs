//! End-to-end tests: the real binary, a real engine, real packages.
//!
//! They need Docker and the package registries that the machine is configured for. A machine without them fails these
//! tests: nothing is skipped in silence.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod bases;
mod binaries;
mod conformance;
mod container_images;
mod diff;
mod documents;
mod engine;
mod explain;
mod harness;
mod imports;
mod incremental;
mod invoke;
mod killed;
mod lock_artifact;
mod lock_formats;
mod packaging;
mod pip_oracle;
mod python_lock;
mod records;
mod registry;
mod reproducible;
mod smoke;
mod tree;
