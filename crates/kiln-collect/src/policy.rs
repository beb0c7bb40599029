//! The policy that a user writes, as the one that judges.

use kiln_audit::{Exception, Policy};
use kiln_plan::PolicySection;
use kiln_record::Epoch;

/// Turns a policy into the audit's. `own` is what the manifest states of it; the rest is the workspace's.
pub fn audit_policy(section: &PolicySection, own: &PolicySection) -> Policy {
    Policy {
        levels: section.levels.clone(),
        exceptions: section
            .exceptions
            .iter()
            .map(|exception| Exception {
                code: exception.code,
                subject: exception.subject.clone(),
                reason: exception.reason.clone(),
                owner: exception.owner.clone(),
                until: end_of_day(&exception.until),
                is_own: own.exceptions.contains(exception),
            })
            .collect(),
    }
}

/// Whether an exception has ended by `now`.
pub fn has_ended(section: &PolicySection, now: Epoch) -> bool {
    section.exceptions.iter().any(|exception| end_of_day(&exception.until).is_some_and(|until| until < now))
}

/// The last second of a day written `YYYY-MM-DD`, which was checked when the policy was read.
fn end_of_day(day: &str) -> Option<Epoch> {
    format!("{day}T23:59:59Z").parse().ok()
}
