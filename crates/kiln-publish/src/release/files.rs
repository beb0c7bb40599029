//! The files of a release: what is signed, and what a signature is in.

use crate::PublishError;
use crate::published::digest_of;
use fs_err as fs;
use kiln_record::{ArtifactName, Digest};
use kiln_store::open_regular;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The signed statement about a release, in its folder.
pub const RELEASE: &str = "release.intoto.jsonl";
/// The signed size and root of the ledger's log, in the folder of a release.
pub const CHECKPOINT: &str = "ledger.checkpoint";
/// How the signed provenance of an artifact ends.
const SIGNED_PROVENANCE: &str = ".signed.intoto.jsonl";
/// How the signed statement of the run that made a build ends.
const SIGNED_RUN: &str = ".run.intoto.jsonl";
/// How a bill of materials with the signature inside ends.
const SIGNED_BILL: &str = ".signed.cdx.json";
/// How the proof that a build is in the ledger ends (C2SP `tlog-proof`).
const PROOF: &str = ".tlog-proof";
/// How the signature of an artifact's manifest ends, as cosign has it.
const MANIFEST_SIGNATURE: &str = ".cosign.json";
/// What the payload of such a signature ends with, which is what a registry has.
const MANIFEST_PAYLOAD: &str = ".simplesigning.json";
/// How verdicts of rebuilds end.
pub(crate) const VERDICT: &str = ".vsa.intoto.jsonl";

/// The most files that a release may have.
const MAX_FILES: usize = 1_000_000;
/// How deep folders may be: layouts have four levels.
const MAX_DEPTH: usize = 8;
/// The most files of one name that are tried.
const MAX_OF_ONE_NAME: usize = 64;
/// The largest signature file that is read, in bytes.
const MAX_SIGNATURE_FILE: u64 = 64 << 20;

/// The signed provenance of an artifact.
pub(crate) fn signed_provenance(artifact: &ArtifactName) -> String {
    format!("{artifact}{SIGNED_PROVENANCE}")
}

/// The signed statement of the run that made an artifact.
pub(crate) fn signed_run(artifact: &ArtifactName) -> String {
    format!("{artifact}{SIGNED_RUN}")
}

/// An artifact's bill of materials with the signature inside.
pub(crate) fn signed_bill(artifact: &ArtifactName) -> String {
    format!("{artifact}{SIGNED_BILL}")
}

/// The proof that an artifact's build is in the ledger.
pub(crate) fn proof(artifact: &ArtifactName) -> String {
    format!("{artifact}{PROOF}")
}

/// The signature of an artifact's manifest.
pub(crate) fn manifest_signature(artifact: &ArtifactName) -> String {
    format!("{artifact}{MANIFEST_SIGNATURE}")
}

/// The payload of that signature.
pub(crate) fn manifest_payload(artifact: &ArtifactName) -> String {
    format!("{artifact}{MANIFEST_PAYLOAD}")
}

/// Whether a file is one that `kiln sign` or `kiln rebuild --attest` writes beside what is published: no build makes it, and
/// no record describes it.
#[must_use]
pub fn is_signature(name: &str) -> bool {
    let name = without_prefix(name);
    name == RELEASE
        || name == CHECKPOINT
        || [SIGNED_PROVENANCE, SIGNED_RUN, SIGNED_BILL, PROOF, VERDICT, MANIFEST_SIGNATURE, MANIFEST_PAYLOAD]
            .iter()
            .any(|end| name.ends_with(end))
}

/// Every file below a folder by its path there, with `/`; signatures are left out. What is neither file nor folder is an
/// error: a link could lead anywhere.
pub(crate) fn files_below(folder: &Path) -> Result<BTreeMap<String, PathBuf>, PublishError> {
    Ok(files_and_signatures(folder)?.0)
}

/// Files by path, and the paths of those that are signatures.
type FilesAndSignatures = (BTreeMap<String, PathBuf>, BTreeSet<String>);

/// The same, and beside it the paths of signatures.
pub(crate) fn files_and_signatures(folder: &Path) -> Result<FilesAndSignatures, PublishError> {
    let (mut files, mut signatures) = (BTreeMap::new(), BTreeSet::new());
    let mut waiting = vec![(folder.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = waiting.pop() {
        let refused = |reason: String| PublishError::NotUsable { what: folder.display().to_string(), reason };
        if depth > MAX_DEPTH || files.len() + signatures.len() > MAX_FILES {
            return Err(refused("it has more files or deeper folders than any release has".to_owned()));
        }
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                return Err(refused("it holds a name that is not UTF-8".to_owned()));
            };
            let (kind, path) = (entry.file_type()?, format!("{prefix}{name}"));
            if kind.is_dir() {
                waiting.push((entry.path(), format!("{path}/"), depth + 1));
            } else if !kind.is_file() {
                return Err(refused(format!("{path} is neither a file nor a folder")));
            } else if is_signature(&name) {
                signatures.insert(path);
            } else {
                files.insert(path, entry.path());
            }
        }
    }
    Ok((files, signatures))
}

/// The digests of files.
pub(crate) fn digests(files: &BTreeMap<String, PathBuf>) -> Result<BTreeMap<String, Digest>, PublishError> {
    files.iter().map(|(name, path)| Ok((name.clone(), digest_of(path)?.0))).collect()
}

/// The bytes of a file with signatures; none if it is not there.
pub(crate) fn signature_file(path: &Path) -> Result<Option<Vec<u8>>, PublishError> {
    let file = match open_regular(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_SIGNATURE_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIGNATURE_FILE {
        let reason = format!("it has more than {MAX_SIGNATURE_FILE} bytes");
        return Err(PublishError::NotUsable { what: path.display().to_string(), reason });
    }
    Ok(Some(bytes))
}

/// The name of a file without what `kiln pull` puts before it where a registry has several of one name: twelve digits.
pub(crate) fn without_prefix(name: &str) -> &str {
    let rest = name.split_once('-').filter(|(prefix, _)| {
        prefix.len() == 12 && prefix.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c))
    });
    rest.map_or(name, |(_, rest)| rest)
}

/// The files with signatures that have a name in a folder, in order: several where a registry had several, as anybody who may
/// push can attach one.
pub(crate) fn signature_files(folder: &Path, name: &str) -> Result<Vec<Vec<u8>>, PublishError> {
    let mut paths = vec![folder.join(name)];
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let found = entry.file_name();
            if found.to_str().is_some_and(|found| found != name && without_prefix(found) == name) {
                paths.push(entry.path());
            }
        }
    }
    paths[1..].sort();
    let mut files = Vec::new();
    for path in paths.into_iter().take(MAX_OF_ONE_NAME) {
        files.extend(signature_file(&path)?);
    }
    Ok(files)
}
