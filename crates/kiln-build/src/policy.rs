//! The policy that a user writes, as the one that judges.

use kiln_audit::{Exception, Policy, PolicyLevel};
use kiln_plan::PolicySection;
use kiln_record::Epoch;

/// Turns the policy of manifests and settings into the audit's.
pub(crate) fn audit_policy(section: &PolicySection) -> Policy {
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

/// Exceptions that have ended by `now`: their end changes what a build is judged by.
pub(crate) fn ended(section: &PolicySection, now: Epoch) -> Vec<String> {
    section
        .exceptions
        .iter()
        .filter(|exception| end_of_day(&exception.until).is_some_and(|until| until < now))
        .map(|exception| {
            format!("{} {} {}", exception.code, exception.subject.as_deref().unwrap_or("*"), exception.until)
        })
        .collect()
}

/// The last second of a day written `YYYY-MM-DD`, which was checked when the policy was read.
fn end_of_day(day: &str) -> Option<Epoch> {
    format!("{day}T23:59:59Z").parse().ok()
}
