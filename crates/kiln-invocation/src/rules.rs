//! Which code a run is made of.

use kiln_record::Digest;

/// The digests of the code that decides something: what another kiln published is made again where its makers were
/// others, and judged again where only its judges were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Of the code that decides bytes and documents.
    pub makers: Digest,
    /// Of the code that decides nothing but findings and checks.
    pub judges: Digest,
}
