//! `kiln verify --key`: a release in any folder, without a workspace. First who signed it, then whether every file is the one
//! that was signed, and only then what the files say.

use crate::PublishError;
use crate::release::aspects::{bills, index, ledger, policy, provenance, runs, trees};
use crate::release::files::{
    CHECKPOINT, RELEASE, digests, files_and_signatures, manifest_signature, proof, signature_files,
    signed_bill, signed_provenance, signed_run, without_prefix,
};
use crate::release::signed::{Aspect, CheckRequest, CheckedRelease, Signed, verified_line};
use crate::row::State;
use kiln_attest::{Release, Statement};
use kiln_record::{ArtifactName, Digest, Record, counted, excerpt};
use kiln_store::read_regular;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How many files are named of those that are not as they were signed.
const SHOWN: usize = 20;

/// Looks at a release.
///
/// # Errors
/// If a file cannot be read. What is in it and is wrong is in the aspects.
pub fn check_release(request: &CheckRequest) -> Result<CheckedRelease, PublishError> {
    let mut checked = CheckedRelease::default();
    let statement = match statement(request)? {
        Ok((statement, keys)) => {
            let algorithm = |id: &str| {
                let key = request.keys.iter().find(|key| key.id().to_string() == id);
                key.map_or(String::new(), |key| key.algorithm().to_string())
            };
            let by: Vec<String> = keys.iter().map(|id| format!("{} key {id}", algorithm(id))).collect();
            checked.keys = keys;
            checked.aspects.push(Aspect::new(
                "signature",
                State::Same,
                format!("by the {}", by.join(" and the ")),
            ));
            statement
        }
        Err(reason) => {
            checked.aspects.push(Aspect::new("signature", State::Differs, reason));
            return Ok(nothing_else(checked));
        }
    };
    let release = match Release::of(&statement) {
        Ok(release) => release,
        Err(error) => {
            checked.aspects.push(Aspect::new("release", State::Differs, error.to_string()));
            return Ok(nothing_else(checked));
        }
    };
    checked.aspects.push(said(&release));
    checked.release = Some(release.clone());
    let subjects: BTreeMap<String, Digest> =
        statement.subjects.into_iter().map(|one| (one.name, one.digest)).collect();
    let (signed, files) = files(request, release, subjects)?;
    checked.aspects.push(files);
    for look in [trees, bills, provenance, runs, policy, index, ledger] {
        checked.aspects.push(look(&signed)?);
    }
    Ok(checked)
}

/// That the rest was not looked at, as nobody vouches for it.
fn nothing_else(mut checked: CheckedRelease) -> CheckedRelease {
    let reason = "nobody who is believed vouches for the release";
    for name in ["files", "trees", "sbom", "provenance", "runs", "policy", "index", "ledger"] {
        checked.aspects.push(Aspect::new(name, State::NotChecked, reason));
    }
    checked
}

/// A statement with the keys that signed it; or why there is none.
type Stated = Result<(Statement, BTreeSet<String>), String>;

/// The signed statement. Where a registry has several, the one that was signed last of those that are signed by a key that is
/// believed.
fn statement(request: &CheckRequest) -> Result<Stated, PublishError> {
    let mut newest: Option<(Statement, BTreeSet<String>)> = None;
    let mut reason = format!("{RELEASE} is missing: nobody signed this (kiln sign writes it)");
    let at = |statement: &Statement| Release::of(statement).ok().map(|release| release.signed_at);
    for (number, bytes) in signature_files(&request.folder, RELEASE)?.iter().enumerate() {
        match verified_line(bytes, &request.keys) {
            Ok(found) if newest.as_ref().is_none_or(|(known, _)| at(known) < at(&found.0)) => {
                newest = Some(found)
            }
            Ok(_) => {}
            Err(error) if number == 0 => reason = format!("{RELEASE}: {error}"),
            Err(_) => {}
        }
    }
    Ok(newest.ok_or(reason))
}

/// What the statement says of itself: a release that is older than the one that was meant is told by its time and commits.
fn said(release: &Release) -> Aspect {
    let mut commits: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (name, artifact) in &release.artifacts {
        let of = match &artifact.source {
            None => "no known commit".to_owned(),
            Some(source) => {
                let short: String = excerpt(&source.commit).chars().take(12).collect();
                let tags = if source.tags.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", excerpt(&source.tags.join(", ")))
                };
                let state = if source.changed == 0 { "clean" } else { "dirty" };
                format!("commit {short}{tags}, {state}")
            }
        };
        commits.entry(of).or_default().push(name.as_str());
    }
    // The whole version is in the statement; its commit is told by as much as tells it from others.
    let (version, commit) = release.kiln.split_once('+').unwrap_or((&release.kiln, ""));
    let commit: String = commit.chars().take(12).collect();
    let kiln = if commit.is_empty() { version.to_owned() } else { format!("{version}+{commit}") };
    let (at, count) = (release.signed_at, release.artifacts.len());
    let mut lines = vec![format!("signed at {at}, {}, kiln {}", counted(count, "artifacts"), excerpt(&kiln))];
    let all = commits.len() == 1;
    lines.extend(commits.into_iter().map(|(of, names)| match all {
        true => of,
        false => format!("{of}: {}", names.join(", ")),
    }));
    Aspect { name: "release", state: State::Same, lines }
}

/// Whether every file that was signed is here with its bytes, and no other.
fn files(
    request: &CheckRequest,
    release: Release,
    subjects: BTreeMap<String, Digest>,
) -> Result<(Signed<'_>, Aspect), PublishError> {
    let folder = &request.folder;
    // A folder of one artifact, as a registry gives it, has the files without the artifact's name before them.
    let part = part(folder, &release);
    let prefix = part.as_ref().map_or_else(String::new, |name| format!("{name}/"));
    let (found, signatures) = match files_and_signatures(folder) {
        Ok((files, signatures)) => (digests(&files)?, signatures),
        Err(PublishError::NotUsable { what, reason }) => {
            let aspect = Aspect::new("files", State::Differs, format!("{what}: {reason}"));
            let signed = Signed {
                request,
                release,
                subjects,
                here: BTreeMap::new(),
                records: BTreeMap::new(),
                elsewhere: Vec::new(),
                is_part: part.is_some(),
            };
            return Ok((signed, aspect));
        }
        Err(error) => return Err(error),
    };
    let expected: BTreeMap<&str, &Digest> = subjects
        .iter()
        .filter_map(|(name, digest)| Some((name.strip_prefix(prefix.as_str())?, digest)))
        .collect();
    let names: BTreeMap<&Digest, &str> = expected.iter().map(|(name, digest)| (*digest, *name)).collect();
    let mut wrong = Vec::new();
    for (name, digest) in &expected {
        match found.get(*name) {
            // A registry has none: the digests are in its manifests.
            None if part.is_some() && *name == "SHA256SUMS" => {}
            None => wrong.push(format!("{} is missing", excerpt(name))),
            Some(there) if there != *digest => {
                let whose = names.get(there).map_or_else(
                    || format!("it has {there}, and {digest} was signed"),
                    |other| format!("it is what was signed as {other}"),
                );
                wrong.push(format!("{} was changed: {whose}", excerpt(name)));
            }
            Some(_) => {}
        }
    }
    let strangers: Vec<&String> = found.keys().filter(|name| !expected.contains_key(name.as_str())).collect();
    let mut beside = Vec::new();
    for name in strangers {
        // What a registry has beside an artifact was never in the folder that was signed.
        if part.is_some() {
            beside.push(excerpt(name));
        } else {
            wrong.push(format!("{} is not in the release", excerpt(name)));
        }
    }
    let beside_them = signatures_as_signed(folder, &release, part.as_ref(), &mut wrong)?;
    let more = wrong.len().saturating_sub(SHOWN);
    if more > 0 {
        wrong.truncate(SHOWN);
        wrong.push(format!("and {more} more"));
    }
    let present = expected.keys().filter(|name| found.contains_key(**name)).count();
    let with_signatures = match release.signatures {
        Some(_) => format!(" and {} with signatures", beside_them.present),
        None => String::new(),
    };
    let mut aspect = Aspect::of("files", wrong, || {
        format!("{}{with_signatures}, each as it was signed", counted(present, "files"))
    });
    let sums = (part.is_some() && !found.contains_key("SHA256SUMS")).then(|| "SHA256SUMS".to_owned());
    let not_here: Vec<String> = sums.into_iter().chain(beside_them.elsewhere).collect();
    if !not_here.is_empty() {
        aspect.lines.push(format!("not here: {}, which no registry has as a file", not_here.join(", ")));
    }
    if release.signatures.is_none() {
        let kiln = excerpt(&release.kiln);
        aspect.lines.push(format!(
            "not known: which files with signatures there were, as kiln {kiln} did not state it; sign again to have it told"
        ));
    }
    if !beside.is_empty() {
        aspect.lines.push(format!("not part of the release: {}", beside.join(", ")));
    }
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        release.artifacts.keys().cloned().partition(|name| part.as_ref().is_none_or(|part| part == name));
    let here: BTreeMap<ArtifactName, PathBuf> = here
        .into_iter()
        .map(|name| {
            let at = if part.is_some() { folder.clone() } else { folder.join(name.as_str()) };
            (name, at)
        })
        .collect();
    let mut records = BTreeMap::new();
    for (name, at) in &here {
        let as_signed = release.artifacts.get(name).map(|one| one.record);
        if let Ok(bytes) = read_regular(at.join("record.json"))
            && as_signed == Some(Digest::of(&bytes))
        {
            match Record::from_json(&bytes) {
                Ok(record) => drop(records.insert(name.clone(), record)),
                Err(error) => {
                    aspect.state = State::Differs;
                    aspect.lines.push(format!("the record of {name} cannot be used: {error}"));
                }
            }
        }
    }
    let is_part = part.is_some();
    let signed = Signed { request, release, subjects, here, records, elsewhere, is_part };
    let unread = not_looked_at(&signed, &signatures);
    if !unread.is_empty() {
        aspect.lines.push(format!("not looked at: {}", unread.join(", ")));
    }
    Ok((signed, aspect))
}

/// What became of the files with signatures that a statement names.
#[derive(Default)]
struct BesideThem {
    /// How many are there as they were signed.
    present: usize,
    /// Those that a registry has in another form.
    elsewhere: Vec<String>,
}

/// Whether every file with signatures that the statement names is there with its bytes. Who has keys reads in each what it says; that
/// one was taken away, only the statement tells.
fn signatures_as_signed(
    folder: &Path,
    release: &Release,
    part: Option<&ArtifactName>,
    wrong: &mut Vec<String>,
) -> Result<BesideThem, PublishError> {
    let mut found = BesideThem::default();
    for (stated, digest) in release.signatures.iter().flatten() {
        // In the folder of one artifact are its own files, and those of the release.
        let name = match (part, stated.split_once('/')) {
            (Some(part), Some((artifact, name))) if artifact == part.as_str() => name,
            (Some(_), Some(_)) => continue,
            _ => stated,
        };
        let (within, file) = match name.rsplit_once('/') {
            Some((within, file)) => (folder.join(within), file),
            None => (folder.to_owned(), name),
        };
        let there = signature_files(&within, file)?;
        if there.iter().any(|bytes| Digest::of(bytes) == *digest) {
            found.present += 1;
        } else if let Some(other) = there.first() {
            let other = Digest::of(other);
            wrong.push(format!("{} was changed: it has {other}, and {digest} was signed", excerpt(name)));
        } else if part.is_some_and(|part| file == manifest_signature(part)) {
            found.elsewhere.push(excerpt(name));
        } else {
            wrong.push(format!("{} is missing", excerpt(name)));
        }
    }
    Ok(found)
}

/// Signatures in the folder that are not of this release: verdicts of rebuilders, whose keys are others, and what belongs to nothing.
fn not_looked_at(signed: &Signed<'_>, signatures: &BTreeSet<String>) -> Vec<String> {
    let has_ledger = signed.release.ledger.is_some();
    let at = |name: &ArtifactName, file: String| if signed.is_part { file } else { format!("{name}/{file}") };
    let mut read = BTreeSet::from([RELEASE.to_owned()]);
    read.extend(has_ledger.then(|| CHECKPOINT.to_owned()));
    for name in signed.here.keys() {
        let files = [signed_provenance(name), signed_run(name), signed_bill(name), manifest_signature(name)];
        read.extend(files.into_iter().chain(has_ledger.then(|| proof(name))).map(|file| at(name, file)));
    }
    read.extend(signed.indexes().map(|(name, _)| at(&name, manifest_signature(&name))));
    let is_read = |path: &&String| match path.rsplit_once('/') {
        Some(_) => read.contains(*path),
        // What a registry has several of is read by each name.
        None => read.contains(without_prefix(path)),
    };
    let mut unread: Vec<String> =
        signatures.iter().filter(|path| !is_read(path)).map(|path| excerpt(path)).collect();
    let more = unread.len().saturating_sub(SHOWN);
    if more > 0 {
        unread.truncate(SHOWN);
        unread.push(format!("and {more} more"));
    }
    unread
}

/// The artifact that a folder is of, if it is the folder of one. A folder with the index or with artifacts of the release below it is that of
/// the whole release, whatever else was put there: of a part, nothing but its own files would be looked at.
fn part(folder: &Path, release: &Release) -> Option<ArtifactName> {
    let has_more = folder.join("index.json").exists()
        || release.artifacts.keys().any(|name| folder.join(name.as_str()).join("record.json").exists());
    let bytes = read_regular(folder.join("record.json")).ok().filter(|_| !has_more)?;
    let named = Record::from_json(&bytes).ok()?.artifact;
    release.artifacts.contains_key(&named).then_some(named)
}
