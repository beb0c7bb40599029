//! Revisions of git: what a commit has of published records, or of the ledger.

use crate::PublishError;
use crate::named_build::{NamedBuild, NamedWorkspace, Operand};
use kiln_fetch::Checkout;
use kiln_invocation::Environment;
use kiln_record::{ArtifactName, Record};
use std::collections::BTreeMap;

/// The largest record that is read, in bytes.
const LARGEST_RECORD: usize = 256 << 20;

/// What `git:REVISION` or `git:REVISION:ARTIFACT` names.
pub(super) fn operand(environment: &Environment, named: &str, text: &str) -> Result<Operand, PublishError> {
    let error = |reason: String| PublishError::Reference { text: text.to_owned(), reason };
    let (revision, artifact) = match named.split_once(':') {
        Some((revision, artifact)) => {
            (revision, Some(artifact.parse::<ArtifactName>().map_err(|reason| error(reason.to_string()))?))
        }
        None => (named, None),
    };
    if revision.is_empty() || revision.starts_with('-') {
        return Err(error("it names no revision: git:REVISION or git:REVISION:ARTIFACT".to_owned()));
    }
    let root = &environment.root;
    let files_of = |below: &str| {
        let files = Checkout::files_at(root, revision, below).map_err(error)?;
        files.ok_or_else(|| error(format!("git has no `{revision}` here")))
    };
    let published = files_of("dist")?;
    let mut paths: BTreeMap<ArtifactName, (String, Option<u64>)> = BTreeMap::new();
    for path in &published {
        if let Some(name) = path.strip_prefix("dist/").and_then(|rest| rest.strip_suffix("/record.json"))
            && let Ok(name) = name.parse()
        {
            paths.insert(name, (path.clone(), None));
        }
    }
    if paths.is_empty() {
        // The newest build of each artifact comes last.
        for path in files_of(".kiln/ledger")? {
            let parts: Vec<&str> = path.split('/').collect();
            if let [_, _, name, number, "record.json"] = parts[..]
                && let (Ok(name), Ok(number)) = (name.parse(), number.parse())
            {
                paths.insert(name, (path.clone(), Some(number)));
            }
        }
    }
    if paths.is_empty() {
        return Err(error(format!(
            "revision {revision} has neither dist/ARTIFACT/record.json nor .kiln/ledger/, so that nothing says what it built: commit \
             the records, compare with what was pushed under a tag, or build that revision in a folder of its own (git worktree add \
             FOLDER {revision}) and name its dist"
        )));
    }
    let read = |path: &str, number: Option<u64>, name: &ArtifactName| -> Result<NamedBuild, String> {
        let bytes = Checkout::object(root, &format!("{revision}:./{path}"), LARGEST_RECORD)?
            .ok_or_else(|| format!("git has no `{path}` at {revision}"))?;
        let record = Record::from_json(&bytes).map_err(|reason| reason.to_string())?;
        Ok(NamedBuild { number, ..NamedBuild::recorded(record, format!("git:{revision}:{name}")) })
    };
    if let Some(name) = artifact {
        let known: Vec<String> = paths.keys().map(ToString::to_string).collect();
        let (path, number) = paths.get(&name).ok_or_else(|| {
            error(format!("revision {revision} has no record of {name}; it has: {}", known.join(", ")))
        })?;
        let build = read(path, *number, &name).map_err(error)?;
        return Ok(Operand::Build(Box::new(build)));
    }
    let mut workspace = NamedWorkspace::empty(text);
    for (name, (path, number)) in paths {
        match read(&path, number, &name) {
            Ok(build) => drop(workspace.artifacts.insert(name, build)),
            Err(reason) => drop(workspace.unread.insert(name, reason)),
        }
    }
    Ok(Operand::Workspace(workspace))
}
