//! What git has of the ledger's heads: a statement outside of the state folder, where that is committed.
//!
//! Whoever writes to `.kiln/` can make an entry, its record and `heads.json` fit each other. A commit that has `heads.json`
//! says what the newest entries were then, and those must still be in the ledger.

use kiln_fetch::Checkout;
use kiln_store::Heads;
use std::path::Path;

/// The largest `heads.json` of a commit that is read, in bytes.
const MAX_HEADS: usize = 16 << 20;

/// What the newest commit says of the heads.
pub(crate) enum Committed {
    /// There is no repository around the state folder.
    NoRepository,
    /// It does not have the file, or git did not give it, for this reason.
    Unknown(String),
    /// What it has.
    Heads(Heads),
}

/// Reads `heads.json` of a state folder as the commit that is checked out has it.
pub(crate) fn committed_heads(state: &Path) -> Committed {
    if Checkout::around(state).is_none() {
        return Committed::NoRepository;
    }
    match Checkout::object(state, &format!("HEAD:./{}", Heads::FILE), MAX_HEADS) {
        Ok(Some(bytes)) => Heads::from_json(&bytes, &state.join(Heads::FILE))
            .map_or_else(|error| Committed::Unknown(format!("in HEAD: {error}")), Committed::Heads),
        Ok(None) => Committed::Unknown(
            "git has no such file in HEAD, so that nothing outside this folder says what the history was; to have that: git add -f .kiln/heads.json .kiln/ledger"
                .to_owned(),
        ),
        Err(reason) => Committed::Unknown(reason),
    }
}
