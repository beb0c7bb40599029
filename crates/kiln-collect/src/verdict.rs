//! What a judge says, and when it stops a build.

use crate::policy::audit_policy;
use kiln_plan::ArtifactPlan;
use kiln_record::{Check, Epoch, Finding, Level};

/// What was found, and what was looked at to find it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong or worth telling.
    pub findings: Vec<Finding>,
    /// What was checked, and what was not.
    pub checks: Vec<Check>,
}

impl Verdict {
    /// Nothing wrong, as far as these checks go.
    #[must_use]
    pub fn of_checks(checks: Vec<Check>) -> Self {
        Self { findings: Vec::new(), checks }
    }

    /// Takes in what another judge says.
    pub fn extend(&mut self, other: Self) {
        self.findings.extend(other.findings);
        self.checks.extend(other.checks);
    }
}

/// Stops a build before it is published: everything found so far, with at least one denial.
#[derive(Debug)]
pub struct Denied(pub Vec<Finding>);

/// A stage's result: the next stage, or the findings that stop the build.
pub type Judged<T, E> = Result<Result<T, Denied>, E>;

/// Findings under the policy at a time. Stages keep them as they were made, and judge copies: a policy applied twice
/// would excuse what it has excused already.
#[must_use]
pub fn judge(plan: &ArtifactPlan, findings: &[Finding], at: Epoch) -> Vec<Finding> {
    audit_policy(&plan.policy, &plan.manifest.policy).apply(findings.to_vec(), at)
}

/// The same of all findings that a build came to, with the exceptions of the manifest that accept none of them.
#[must_use]
pub fn judge_whole(plan: &ArtifactPlan, findings: &[Finding], at: Epoch) -> Vec<Finding> {
    let policy = audit_policy(&plan.policy, &plan.manifest.policy);
    let unused = policy.unused(findings, at);
    policy.apply([findings, &unused].concat(), at)
}

/// The findings under the policy at a time, if they stop the build.
#[must_use]
pub fn denied(plan: &ArtifactPlan, findings: &[Finding], at: Epoch) -> Option<Denied> {
    let judged = judge(plan, findings, at);
    judged.iter().any(|finding| finding.level == Level::Deny).then_some(Denied(judged))
}
