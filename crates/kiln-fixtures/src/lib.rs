//! What tests of several crates stand on: a workspace on disk whose one base is pinned and in an engine in memory
//! ([`Sandbox`]), a Python that a test scripts ([`Python`]), distributions made on the spot ([`wheel`], [`sdist`]), a cache
//! that machines share ([`CacheServer`]), a server that says it runs programs ([`ExecutionServer`]), and TLS and tokens before
//! either ([`Door`]).
//!
//! Nothing here reaches a network, an engine of the machine, or its clock. Nothing but tests depends on this crate.

#![expect(clippy::unwrap_used, reason = "a fixture that meets the unexpected fails the test where it does")]

mod cache_server;
mod distribution;
mod door;
mod execution_server;
mod python;
mod sandbox;

pub use cache_server::{CacheServer, Lie};
pub use distribution::{Distribution, sdist, wheel};
pub use door::Door;
pub use execution_server::{ExecutionServer, Fault};
pub use python::{PYTHON, Python, imported, interpreter, report};
pub use sandbox::{BASE, FUNCTION, Sandbox, base_layer};
