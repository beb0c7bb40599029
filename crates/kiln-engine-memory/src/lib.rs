//! An engine in memory, for tests that must not need one.
//!
//! [`MemoryEngine`] passes the contract that Docker passes: it loads real image archives, keeps their files, and enforces
//! the rules that [`kiln_engine::Engine::run`] promises: owners, modes, read-only root, limits, deadline, removal. It runs
//! no process. The programs that it knows are a few applets of busybox, as far as the contract needs them, and those that a
//! test writes: [`MemoryEngine::with_program`] says what a run of a program prints, exits with and leaves behind.
//!
//! Nothing but tests depends on this crate.

mod applets;
mod engine;
mod filesystem;
mod guest;
mod image;

pub use engine::MemoryEngine;
pub use guest::Guest;
