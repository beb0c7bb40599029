//! The policy that a user writes, as the one that judges.

use kiln_audit::{Exception, Policy, PolicyLevel};
use kiln_plan::PolicySection;
use kiln_record::Epoch;

/// Turns the policy of manifests and settings into the audit's.
pub fn audit_policy(section: &PolicySection) -> Policy {
    Policy {
        levels: section
            .levels
            .iter()
            .map(|(code, level)| (*code, level.level().map_or(PolicyLevel::Allow, PolicyLevel::Report)))
            .collect(),
        exceptions: section
            .exceptions
            .iter()
            .map(|exception| Exception {
                code: exception.code,
                subject: exception.subject.clone(),
                reason: exception.reason.clone(),
                until: end_of_day(&exception.until),
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
