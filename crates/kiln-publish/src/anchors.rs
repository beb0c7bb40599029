//! What is stated of the ledger outside of the workspace, and whether the ledger still continues it.
//!
//! Whoever can write to a workspace can make all of it fit. A commit, a file that is kept elsewhere and a registry each say
//! what the newest builds once were; what they say must still be in the ledger, in its place.

use crate::PublishError;
use crate::committed::{Committed, committed_heads};
use crate::continued::{against, against_all};
use crate::pull::stated_in_registry;
use crate::row::{Row, State, in_workspace};
use kiln_invocation::Environment;
use kiln_store::{Heads, Ledger, open_regular};
use std::io::Read as _;
use std::path::PathBuf;

/// The largest statement that is read, in bytes.
const MAX_HEADS: u64 = 16 << 20;

/// What the ledger is to be held against, besides the commit that is checked out.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// Copies of `.kiln/heads.json` that are kept elsewhere.
    pub heads: Vec<PathBuf>,
    /// What was pushed: `registry/repository:tag` or `registry/repository@digest`.
    pub registry: Vec<String>,
    /// Whether to connect without TLS to a registry on another machine.
    pub plain_http: bool,
}

/// Holds the ledger against each statement.
pub(crate) async fn anchored(
    environment: &Environment,
    ledger: &Ledger,
    anchors: &Anchors,
) -> Result<Vec<Row>, PublishError> {
    let mut rows = Vec::new();
    // A workspace that never built anything has nothing to hold, unless it is asked to.
    if !ledger.artifacts()?.is_empty() || ledger.heads_path().exists() {
        rows.extend(commit(environment, ledger).await);
    }
    for path in &anchors.heads {
        let mut bytes = Vec::new();
        open_regular(path)?.take(MAX_HEADS + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_HEADS {
            let reason =
                format!("it has more than {MAX_HEADS} bytes: it is no copy of .kiln/{}", Heads::FILE);
            return Err(PublishError::NotUsable { what: path.display().to_string(), reason });
        }
        let heads = Heads::from_json(&bytes, path)?;
        let (state, lines) = against(environment, ledger, &heads);
        rows.push(Row { subject: path.display().to_string(), state, lines });
    }
    for reference in &anchors.registry {
        let stated = stated_in_registry(environment, reference, anchors.plain_http).await?;
        let (state, lines) = against_all(environment, ledger, &stated);
        rows.push(Row { subject: reference.clone(), state, lines });
    }
    Ok(rows)
}

/// The ledger against what the newest commit has of its heads; nothing where there is no repository.
async fn commit(environment: &Environment, ledger: &Ledger) -> Option<Row> {
    let subject = format!("{} in HEAD", in_workspace(environment, &ledger.heads_path()));
    let (state, lines) = match committed_heads(&environment.state) {
        Committed::NoRepository => return None,
        Committed::Unknown(reason) => (State::NotChecked, vec![reason]),
        Committed::Heads(heads) => against(environment, ledger, &heads),
    };
    Some(Row { subject, state, lines })
}
