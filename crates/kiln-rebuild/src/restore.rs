//! Gives an earlier artifact back: from where it is published, from the store, from a registry, or built again.
//!
//! Whatever a place gives is held against the digests of the record before it gets its name.

use crate::RebuildError;
use fs_err as fs;
use kiln_invocation::{Environment, Events};
use kiln_publish::{PullRequest, documents, index_documents, pull};
use kiln_record::{ArtifactName, Digest, HashingWriter, IndexRecord, Output, Record};
use kiln_store::Store;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// All files of a build, as its record knows them.
#[derive(Clone, Debug)]
pub struct Release {
    artifact: ArtifactName,
    outputs: Vec<Output>,
    documents: BTreeMap<String, Vec<u8>>,
}

impl Release {
    /// Those of a build.
    ///
    /// # Errors
    /// If the record has no form as a document, which the types rule out.
    pub fn of_record(record: &Record) -> Result<Self, RebuildError> {
        let (artifact, outputs) = (record.artifact.clone(), record.outputs.clone());
        Ok(Self { artifact, outputs, documents: documents(record)? })
    }

    /// Those of an image for several platforms.
    ///
    /// # Errors
    /// As [`Self::of_record`].
    pub fn of_index(record: &IndexRecord) -> Result<Self, RebuildError> {
        let (artifact, outputs) = (record.artifact.clone(), record.outputs.clone());
        Ok(Self { artifact, outputs, documents: index_documents(record)? })
    }
}

/// What to give back, and where to.
#[derive(Clone, Debug)]
pub struct RestoreRequest {
    /// How to call the build.
    pub label: String,
    /// Its files.
    pub release: Release,
    /// The folder to write; it must not be there.
    pub output: PathBuf,
    /// A reference in a registry that may have it.
    pub registry: Option<String>,
    /// Whether to connect without TLS to a registry on another machine.
    pub plain_http: bool,
}

/// What was given back.
#[derive(Clone, Debug)]
pub struct Restored {
    /// Where it came from, as a clause.
    pub from: String,
    /// The folder with all its files.
    pub folder: PathBuf,
    /// Each file with its digest.
    pub files: Vec<(PathBuf, Digest)>,
    /// The places that did not have it, and why.
    pub tried: Vec<String>,
}

/// Looks for the files of a build where files are kept: published, in the store, in a registry. If none has them, each
/// place is given with its reason, and building again is left.
///
/// # Errors
/// If the folder is there already, or a file cannot be written.
pub async fn restore(
    environment: &Environment,
    request: &RestoreRequest,
    events: &Events,
) -> Result<Result<Restored, Vec<String>>, RebuildError> {
    free(&request.output)?;
    let mut tried = Vec::new();
    let published = environment.dist.join(request.release.artifact.as_str());
    let of_dist = |name: &str, _: &Digest| Some(published.join(name)).filter(|path| path.is_file());
    match write(request, &of_dist, format!("published in {}", published.display()), &tried)? {
        Ok(restored) => return Ok(Ok(restored)),
        Err(reason) => tried.push(format!("{}: {reason}", published.display())),
    }
    let store = Store::open(&environment.store)?;
    let of_store = |_: &str, digest: &Digest| store.contains(digest).then(|| store.path_of(digest));
    match write(request, &of_store, format!("the store {}", environment.store.display()), &tried)? {
        Ok(restored) => return Ok(Ok(restored)),
        Err(reason) => tried.push(format!("the store: {reason}")),
    }
    let Some(reference) = &request.registry else {
        tried.push("a registry: none was named".to_owned());
        return Ok(Err(tried));
    };
    let folder = store.temporary_folder()?;
    let asked = PullRequest {
        reference: reference.clone(),
        platform: None,
        into: folder.path().to_owned(),
        plain_http: request.plain_http,
    };
    let pulled = match pull(environment, &asked, events).await {
        Ok(pulled) => pulled,
        Err(error) => {
            tried.push(format!("{reference}: {error}"));
            return Ok(Err(tried));
        }
    };
    let by_digest: BTreeMap<Digest, PathBuf> =
        pulled.files.into_iter().map(|(path, digest)| (digest, path)).collect();
    let of_registry = |_: &str, digest: &Digest| by_digest.get(digest).cloned();
    match write(request, &of_registry, format!("the registry: {}", pulled.reference), &tried)? {
        Ok(restored) => Ok(Ok(restored)),
        Err(reason) => {
            tried.push(format!("{reference}: {reason}"));
            Ok(Err(tried))
        }
    }
}

/// Gives back what was built again, and lies in the folder `rebuilt`, if it is what was built then.
///
/// # Errors
/// As [`restore`]; [`RebuildError::NotToBeHad`] if it came out otherwise.
pub fn keep_rebuilt(
    request: &RestoreRequest,
    rebuilt: &Path,
    source: &str,
    tried: Vec<String>,
) -> Result<Restored, RebuildError> {
    free(&request.output)?;
    let built = |name: &str, _: &Digest| Some(rebuilt.join(name)).filter(|path| path.is_file());
    match write(request, &built, format!("built again from {source}"), &tried)? {
        Ok(restored) => Ok(restored),
        Err(reason) => {
            let mut reasons = tried;
            reasons.push(format!("built again from {source}: {reason}"));
            Err(RebuildError::NotToBeHad { what: request.label.clone(), reasons })
        }
    }
}

fn free(folder: &Path) -> Result<(), RebuildError> {
    if fs::symlink_metadata(folder).is_ok() {
        return Err(RebuildError::InTheWay { folder: folder.display().to_string() });
    }
    Ok(())
}

/// Writes all files of a build beside the folder that they get when each is what it should be; or says which one is not.
fn write(
    request: &RestoreRequest,
    place: &dyn Fn(&str, &Digest) -> Option<PathBuf>,
    from: String,
    tried: &[String],
) -> Result<Result<Restored, String>, RebuildError> {
    let Release { outputs, documents, .. } = &request.release;
    let mut found = Vec::new();
    for output in outputs {
        match place(&output.file_name, &output.digest) {
            Some(path) => found.push((output, path)),
            None => return Ok(Err(format!("it does not have {} ({})", output.file_name, output.digest))),
        }
    }
    if found.is_empty() {
        return Ok(Err("the record lists no file".to_owned()));
    }
    let above =
        request.output.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(above)?;
    let temporary = tempfile::Builder::new().prefix(".kiln-restore-").tempdir_in(above)?;
    let mut files = Vec::new();
    for (output, path) in found {
        let target = temporary.path().join(&output.file_name);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut writer = HashingWriter::new(fs::File::create(&target)?);
        io::copy(&mut fs::File::open(&path)?, &mut writer)?;
        let (file, digest, size) = writer.finish();
        file.sync_all()?;
        if (digest, size) != (output.digest, output.size) {
            return Ok(Err(format!("its {} has digest {digest}, not {}", output.file_name, output.digest)));
        }
        files.push((request.output.join(&output.file_name), digest));
    }
    for (name, bytes) in documents {
        fs::write(temporary.path().join(name), bytes)?;
        files.push((request.output.join(name), Digest::of(bytes)));
    }
    fs::set_permissions(temporary.path(), std::fs::Permissions::from_mode(0o755))?;
    fs::rename(temporary.path(), &request.output)?;
    // It has another name now: nothing is removed.
    let _ = temporary.keep();
    files.sort();
    Ok(Ok(Restored { from, folder: request.output.clone(), files, tried: tried.to_vec() }))
}
