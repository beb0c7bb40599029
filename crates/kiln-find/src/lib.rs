//! Which builds hold something: a distribution in some versions, a licence, a base, a file, a library.
//!
//! What a record holds are [`Fact`]s. A ledger of many builds repeats most of them from build to build, so the index beside
//! it has each fact once, with the builds that it holds for. The index follows from the ledger: whoever loses it makes it
//! again, and one that does not belong to the ledger counts as lost.

mod error;
mod fact;
mod index;
mod query;
mod search;
mod versions;

pub use error::FindError;
pub use fact::{Fact, FactKind, ways_to};
pub use query::Query;
pub use search::{Found, Hit, records_below, search_ledger, search_records};
