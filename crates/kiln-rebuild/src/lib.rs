//! Building again: from what a record or its provenance says and a source, in a folder of its own, to be compared with what
//! was published; under other surroundings than usual; and to give an earlier artifact back.
//!
//! Nothing of the user's workspace is written. The store is read for inputs, which have digests, and no result of an earlier
//! build is taken from it.

mod comparison;
mod content;
mod equivalence;
mod error;
mod expected;
mod image_equivalence;
mod place;
mod rebuild;
mod restore;
mod source;
mod stabilise;
mod vary;

pub use comparison::{Comparison, EntryDifference, Level, Stabilised};
pub use equivalence::compare;
pub use error::RebuildError;
pub use expected::Expected;
pub use image_equivalence::compare_index;
pub use place::Place;
pub use rebuild::{Rebuilt, RebuiltIndex, Scratch, rebuild, rebuild_index};
pub use restore::{Release, RestoreRequest, Restored, keep_rebuilt, restore};
pub use source::{Source, linked_source};
pub use vary::{Guilty, Varied, vary};
