//! Collecting: parts from whichever maker become one tree in which every path has an owner.
//!
//! A maker gives a [`Part`]; [`Collection::new`] merges parts; judges read a [`Collection`] and give a [`Verdict`]. Nothing
//! here knows where parts come from, so that a new kind of part needs no change here.

mod archive;
mod collection;
mod difference;
mod error;
mod layer;
mod part;
mod policy;
mod source;
mod source_verdict;
mod strip;
mod vendored;
mod verdict;

pub use archive::tree_of_archive;
pub use collection::{Collection, OpenArchives};
pub use difference::how_differ;
pub use error::CollectError;
pub use layer::ReadyLayer;
pub use part::{BroughtBy, Content, MemberStream, Part, PartFile, below, component};
pub use policy::{audit_policy, has_ended};
pub use source::{
    Git, Ruled, SOURCE_RULES, SourceRule, SourceTree, globs, is_local_settings, link_stays_inside,
    read_context, read_given, read_source,
};
pub use source_verdict::{context_verdict, source_transformations, source_verdict};
pub use strip::strip;
pub use vendored::own_vendored;
pub use verdict::{Denied, Judged, Verdict, denied, judge, judge_whole};
