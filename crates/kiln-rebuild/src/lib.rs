//! Building again: from what a record or its provenance says and a source, in a folder of its own, to be compared with what
//! was published; under other surroundings than usual; and to give an earlier artifact back.
//!
//! Nothing of the user's workspace is written. The store is read for inputs, which have digests, and no result of an earlier
//! build is taken from it.

mod content;
mod equivalence;
mod error;
mod expected;
mod place;
mod rebuild;
mod restore;
mod source;
mod stabilise;
mod vary;

pub use equivalence::{Comparison, EntryDifference, Level, Stabilised, compare};
pub use error::RebuildError;
pub use expected::Expected;
pub use place::Place;
pub use rebuild::{Rebuilt, Scratch, rebuild};
pub use restore::{RestoreRequest, Restored, keep_rebuilt, restore};
pub use source::{Source, linked_source};
pub use vary::{Guilty, Varied, vary};
