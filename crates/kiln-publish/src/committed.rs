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
        Ok(None) => Committed::Unknown(not_committed(state)),
        Err(reason) => Committed::Unknown(reason),
    }
}

/// Why no commit has the heads. What is ignored and committed all the same is lost from the next commit of everything, so that the rule is
/// what has to change.
fn not_committed(state: &Path) -> String {
    let ignored = [Heads::FILE, "ledger"].into_iter().find_map(|name| {
        // What git does not tell is advised as if nothing were ignored: git refuses to add it then, and says why.
        Checkout::ignored_by(state, name).ok().flatten().map(|rule| (name, rule))
    });
    match ignored {
        None => {
            "git has no such file in HEAD; to have the history stated there, commit both: git add .kiln/heads.json .kiln/ledger".to_owned()
        }
        Some((name, rule)) => format!(
            "git ignores .kiln/{name} by `{}` in {}, line {}; how a commit states the history: docs/security.md",
            rule.pattern, rule.file, rule.line
        ),
    }
}
