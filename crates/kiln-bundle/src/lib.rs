//! Bundles: all that builds need of servers, as one OCI layout in a tar or a folder.
//!
//! A bundle is an artifact of the OCI image specification 1.1: its config says what it is for and what was chosen
//! ([`Content`]), and its layers are the files, each under its digest. Equal content gives equal bytes, so that the digest of
//! its manifest stands for all of it. [`write()`] makes one of what is in a store; [`Bundle`] reads one, which is hostile until
//! every digest was checked, and only then fills a store.

mod content;
mod error;
mod layout;
mod read;
mod write;

pub use content::{Content, Program, Remembered};
pub use error::BundleError;
pub use read::{Bundle, Filled};
pub use write::{Form, Written, write};
