//! Files that a plan names by digest.

use crate::WheelError;
use kiln_collect::CollectError;
use kiln_invocation::text_file;
use kiln_plan::{ArtifactPlan, InvalidFiles, Problem, TextFile};
use kiln_record::{Digest, InputRole};
use std::path::Path;

/// Reads a file that the plan names by digest: an edit in between would build something else than was planned.
pub fn planned_file(
    root: &Path,
    plan: &ArtifactPlan,
    role: InputRole,
    path: &str,
) -> Result<TextFile, WheelError> {
    if !root.join(path).is_file() {
        return Err(InvalidFiles(vec![
            Problem::in_file(&plan.manifest.file, format!("it needs {path}, which does not exist"))
                .help("put it there, or name another one with `project` or `requirements` in [python]"),
        ])
        .into());
    }
    let file = text_file(root, path)?;
    let planned = plan.inputs.iter().find(|i| i.role == role && i.name == path).map(|input| input.digest);
    if planned != Some(Digest::of(file.text.as_bytes())) {
        return Err(CollectError::SourceChanged { path: path.to_owned() }.into());
    }
    Ok(file)
}
