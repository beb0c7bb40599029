//! What was built, to be run or looked at again: its archive, and the base that it was made with.

use crate::BuildError;
use kiln_invocation::Environment;
use kiln_plan::{PinnedBase, Workspace};
use kiln_publish::PublishError;
use kiln_record::{Digest, InputRole, Platform, Record};
use std::path::{Path, PathBuf};

/// The zip of a build: the file that was named, or the published one if it is still the build's.
pub(crate) fn archive(environment: &Environment, build: &str, record: &Record) -> Option<PathBuf> {
    let file = Path::new(build);
    let output = record.archive()?;
    let zip = output.file_name.rsplit_once('.').map(|(_, ending)| ending);
    if file.is_file() && file.extension().and_then(std::ffi::OsStr::to_str) == zip {
        return Some(file.to_owned());
    }
    let published = if file.is_file() {
        file.with_file_name(&output.file_name)
    } else {
        environment.dist.join(record.artifact.as_str()).join(&output.file_name)
    };
    let bytes = fs_err::read(&published).ok()?;
    (Digest::of(&bytes) == output.digest).then_some(published)
}

/// That the published file of a build was changed; nothing where there is none, or it is that of another build.
pub(crate) fn changed(environment: &Environment, record: &Record) -> Option<BuildError> {
    let folder = environment.dist.join(record.artifact.as_str());
    let path = folder.join(&record.archive()?.file_name);
    let own = record.to_json().ok()?;
    let is_of_another = fs_err::read(folder.join("record.json")).is_ok_and(|there| there != own);
    (path.is_file() && !is_of_another).then(|| PublishError::not_as_recorded(&record.artifact, &path).into())
}

/// The base that a build was made with, or why the workspace does not have it any more.
pub(crate) fn pinned_base(
    workspace: &Workspace,
    record: &Record,
) -> Result<Result<PinnedBase, String>, BuildError> {
    let Some(input) = record.inputs.iter().find(|input| input.role == InputRole::Base) else {
        return Ok(Err("its record names no base".to_owned()));
    };
    let name = input.name.split(' ').next().unwrap_or_default();
    let platform = Platform { architecture: record.target.architecture };
    let base = workspace.bases.iter().find(|(known, _)| known.as_str() == name).map(|(_, base)| base);
    let Some((definition, lock)) = base else {
        return Ok(Err(format!("its base {name} is not in this workspace")));
    };
    let base = PinnedBase::new(definition, lock.as_ref(), platform).map_err(BuildError::Denied)?;
    if base.lock.manifest != input.digest {
        return Ok(Err(format!(
            "it was built with {name} as {}, which is now pinned as {}: build it again",
            input.digest, base.lock.manifest
        )));
    }
    Ok(Ok(base))
}
