//! The variables that a function is configured with: Lambda takes so many bytes for all of them together.

use kiln_plan::ArtifactPlan;
use kiln_record::{Code, Environment, Finding, Runtime};

/// Variables that a finding names.
const NAMED: usize = 3;

/// Judges the size of the function's own variables, as Lambda measures it: as JSON.
#[must_use]
pub fn variables(plan: &ArtifactPlan, runtime: &Runtime) -> Option<Finding> {
    let manifest = &plan.manifest;
    if !manifest.kind.is_function() {
        return None;
    }
    let limit = Environment::of(runtime, &manifest.environment).variables_bytes();
    let size = |value: &serde_json::Value| value.to_string().len() as u64;
    let all = size(&serde_json::json!(manifest.check.env));
    if all <= limit {
        return None;
    }
    let cause = format!(
        "the {} variables under `env` of [check] have {all} bytes as JSON, {} more than the {limit} that Lambda takes",
        manifest.check.env.len(),
        all - limit
    );
    let mut sizes: Vec<(u64, &str)> = manifest
        .check
        .env
        .iter()
        .map(|(name, value)| (size(&serde_json::json!({ name: value })) - 2, name.as_str()))
        .collect();
    sizes.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let mut finding = Finding::new(Code::VariablesTooLarge, "env", cause);
    for (bytes, name) in sizes.iter().take(NAMED) {
        finding = finding.detail(format!("{name}: {bytes} bytes"));
    }
    Some(
        finding
            .remedy("keep the largest in a file of the artifact, in Parameter Store or in Secrets Manager")
            .remedy("or set `variables-too-large` to `note` in the policy, if the function is not configured with them"),
    )
}
