//! Whether the ledger continues what is stated of it elsewhere.

use crate::row::{State, in_workspace};
use kiln_invocation::Environment;
use kiln_record::counted;
use kiln_store::{Damage, Heads, Ledger};

/// The ledger against one statement.
pub(crate) fn against(environment: &Environment, ledger: &Ledger, heads: &Heads) -> (State, Vec<String>) {
    let departs = ledger.departs_from(heads);
    if departs.is_empty() {
        let line = format!("the ledger continues it, for {}", counted(heads.artifacts.len(), "artifacts"));
        return (State::Same, vec![line]);
    }
    (State::Differs, departs.iter().map(|damage| told(environment, damage)).collect())
}

/// The ledger against everything that a registry states of one thing. Each workspace that pushed it stated its own ledger, so
/// that one of them is what this ledger continues, and the others are told.
pub(crate) fn against_all(
    environment: &Environment,
    ledger: &Ledger,
    stated: &[Heads],
) -> (State, Vec<String>) {
    let mut fitting: Vec<String> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    for heads in stated {
        let departs = ledger.departs_from(heads);
        match departs.as_slice() {
            [] => fitting.extend(
                heads
                    .artifacts
                    .iter()
                    .map(|(name, head)| format!("it states build {} of {name}", head.number)),
            ),
            departs => others.extend(departs.iter().map(|damage| told(environment, damage))),
        }
    }
    match (fitting.is_empty(), others.is_empty()) {
        (true, true) => {
            let line = "it states no build: it was not pushed by kiln, by one that did not state it, or from a \
                        workspace without a ledger";
            (State::Differs, vec![line.to_owned()])
        }
        (false, true) => (State::Same, fitting),
        (true, false) => (State::Differs, others),
        (false, false) => {
            let other = |line: &String| format!("and another, of a ledger that is not this one: {line}");
            (State::Noted, fitting.into_iter().chain(others.iter().map(other)).collect())
        }
    }
}

/// Where the ledger is not what something says that was pushed; nothing where it fits one statement, or has no build of it.
pub(crate) fn departures(environment: &Environment, stated: &[Heads]) -> Vec<String> {
    let ledger = environment.ledger();
    let known = |heads: &&Heads| {
        heads.artifacts.keys().any(|name| ledger.newest(name).is_ok_and(|newest| newest.is_some()))
    };
    let known: Vec<Heads> = stated.iter().filter(known).cloned().collect();
    match against_all(environment, &ledger, &known) {
        (State::Differs, lines) if !known.is_empty() => lines,
        _ => Vec::new(),
    }
}

fn told(environment: &Environment, damage: &Damage) -> String {
    format!("{}: {}", in_workspace(environment, &damage.path), damage.reason)
}
