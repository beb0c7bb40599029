//! What the files of a signed release say, each thing by itself.

use crate::PublishError;
use crate::archive_manifest::manifest_of;
use crate::deployment::indexed;
use crate::document::documents;
use crate::release::files::{
    CHECKPOINT, manifest_signature, proof, signature_file, signature_files, signed_bill, signed_provenance,
    signed_run,
};
use crate::release::signed::{Aspect, Signed, verified_line};
use crate::row::State;
use kiln_attest::{
    AttestError, Checkpoint, ImageSignature, InclusionProof, PublicKey, RunStatement, SignedNote, Statement,
    leaf_hash, strict_json, verify_inside,
};
use kiln_collect::tree_of_archive;
use kiln_record::{ArtifactName, CheckOutcome, Code, Digest, IndexRecord, Level, Record, counted, excerpt};
use kiln_store::{LedgerEntry, LogLine, read_regular};
use std::path::Path;

/// An artifact with its folder and its record.
type Released<'a> = (&'a ArtifactName, &'a Path, &'a Record);

impl Signed<'_> {
    fn artifacts(&self) -> impl Iterator<Item = Released<'_>> {
        self.records.iter().filter_map(|(name, record)| Some((name, self.here.get(name)?.as_path(), record)))
    }

    /// Artifacts that cannot be looked at, as their record is not the one that was signed.
    fn unread(&self) -> Vec<String> {
        let unread = self.here.keys().filter(|name| !self.records.contains_key(*name));
        unread
            .map(|name| format!("{name}: not checked, as its record is not the one that was signed"))
            .collect()
    }

    /// An aspect of all artifacts: what is wrong, what could not be checked, else what is right.
    fn told(
        &self,
        name: &'static str,
        wrong: Vec<String>,
        mut unchecked: Vec<String>,
        right: impl FnOnce() -> String,
    ) -> Aspect {
        unchecked.extend(self.unread());
        match (wrong.is_empty(), unchecked.is_empty()) {
            (false, _) => {
                let lines = wrong.into_iter().chain(unchecked).collect();
                Aspect { name, state: State::Differs, lines }
            }
            (true, false) => Aspect { name, state: State::NotChecked, lines: unchecked },
            (true, true) => Aspect::new(name, State::Same, right()),
        }
    }
}

/// Whether each archive holds the tree that its record describes, and is the archive that the record and the statement name.
pub(crate) fn trees(signed: &Signed<'_>) -> Result<Aspect, PublishError> {
    let (mut wrong, mut unchecked) = (Vec::new(), Vec::new());
    let mut files = 0;
    for (name, folder, record) in signed.artifacts() {
        let Some(archive) = record.archive() else {
            wrong.push(format!("{name}: its record lists no output"));
            continue;
        };
        let stated = &signed.release.artifacts[name];
        if (archive.digest, record.tree) != (stated.archive, stated.tree) || record.artifact != *name {
            wrong.push(format!("{name}: its record is about another archive or tree than the statement"));
            continue;
        }
        // An archive that is not as recorded was told among the files.
        let own = manifest_of(folder, record).ok();
        wrong.extend(manifest_signed_wrongly(signed, name, folder, own)?);
        if record.kind.is_image() {
            unchecked
                .push(format!("{name}: an image, whose bytes are held against its digest and not unpacked"));
            continue;
        }
        match tree_of_archive(&folder.join(&archive.file_name)) {
            Ok(tree) if tree.digest() == record.tree => files += record.files.len(),
            Ok(_) => wrong
                .push(format!("{name}: {} unpacks to another tree than its record has", archive.file_name)),
            Err(error) => wrong.push(format!(
                "{name}: {} cannot be unpacked: {}",
                archive.file_name,
                excerpt(&error.to_string())
            )),
        }
    }
    wrong.extend(indexes_signed_wrongly(signed)?);
    Ok(signed.told("trees", wrong, unchecked, || {
        format!("{} unpacked, each as its record has it", counted(files, "files"))
    }))
}

/// What is wrong with the signature of a manifest that is in a folder, if there is one.
fn manifest_signed_wrongly(
    signed: &Signed<'_>,
    name: &ArtifactName,
    folder: &Path,
    own: Option<Digest>,
) -> Result<Option<String>, PublishError> {
    let file = manifest_signature(name);
    let Some(bytes) = signature_file(&folder.join(&file))? else { return Ok(None) };
    let found = ImageSignature::from_json(&bytes).and_then(|one| one.verify(&signed.request.keys));
    Ok(match (found, own) {
        (Err(error), _) => Some(format!("{file}: {error}")),
        (Ok(manifest), Some(own)) if own != manifest => {
            Some(format!("{file}: it is of the manifest {manifest}, and not of {own}"))
        }
        _ => None,
    })
}

/// What is wrong with the signatures of indexes over the platforms of images.
fn indexes_signed_wrongly(signed: &Signed<'_>) -> Result<Vec<String>, PublishError> {
    let mut wrong = Vec::new();
    for (name, folder) in signed.indexes() {
        let bytes = read_regular(folder.join(IndexRecord::FILE)).unwrap_or_default();
        // One that is not as it was signed was told among the files.
        let is_signed =
            signed.subjects.get(&format!("{name}/{}", IndexRecord::FILE)) == Some(&Digest::of(&bytes));
        let own = IndexRecord::from_json(&bytes).ok().filter(|_| is_signed).map(|index| index.index);
        wrong.extend(manifest_signed_wrongly(signed, &name, &folder, own)?);
    }
    Ok(wrong)
}

/// Whether each bill of materials is the one that follows from the record of what was unpacked.
pub(crate) fn bills(signed: &Signed<'_>) -> Result<Aspect, PublishError> {
    let (mut wrong, mut unchecked) = (Vec::new(), Vec::new());
    let mut components = 0;
    for (name, folder, record) in signed.artifacts() {
        let file = format!("{name}.cdx.json");
        match follows(signed, folder, record, &file)? {
            Follows::Yes => components += record.components.len(),
            Follows::No => wrong.push(format!("{name}: {file} does not follow from its record")),
            Follows::OtherKiln(kiln) => unchecked.push(other_kiln(name, &file, &kiln)),
        }
        wrong.extend(bill_signed_wrongly(signed, name, folder, &file)?);
    }
    Ok(signed.told("sbom", wrong, unchecked, || {
        format!("{}, of exactly these trees", counted(components, "components"))
    }))
}

/// What is wrong with the bill of materials that has the signature inside, if there is one: it is the other one, signed.
fn bill_signed_wrongly(
    signed: &Signed<'_>,
    name: &ArtifactName,
    folder: &Path,
    bill: &str,
) -> Result<Option<String>, PublishError> {
    let file = signed_bill(name);
    let tried = signature_files(folder, &file)?;
    if tried.is_empty() {
        return Ok(None);
    }
    let own = read_regular(folder.join(bill)).unwrap_or_default();
    let own = strict_json(&own).ok();
    let tried = tried.iter().map(|bytes| match verify_inside(bytes, &signed.request.keys) {
        Ok((content, _)) if Some(&content) == own.as_ref() => Ok(()),
        Ok(_) => Err(format!("{file} says something else than {bill}")),
        Err(error) => Err(format!("{file}: {error}")),
    });
    Ok(first_that_fits(tried, &file).err())
}

/// Whether a document follows from a record.
enum Follows {
    Yes,
    No,
    /// It does not by the rules of this kiln, and another one wrote it.
    OtherKiln(String),
}

fn follows(signed: &Signed<'_>, folder: &Path, record: &Record, file: &str) -> Result<Follows, PublishError> {
    let there = read_regular(folder.join(file)).unwrap_or_default();
    if documents(record)?.get(file) == Some(&there) {
        return Ok(Follows::Yes);
    }
    let kiln = record.tools.get("kiln").cloned().unwrap_or_default();
    Ok(if kiln == signed.request.kiln { Follows::No } else { Follows::OtherKiln(kiln) })
}

fn other_kiln(name: &ArtifactName, file: &str, kiln: &str) -> String {
    let kiln = if kiln.is_empty() { "an unknown kiln".to_owned() } else { format!("kiln {}", excerpt(kiln)) };
    format!("{name}: not checked: {file} was written by {kiln}, whose rules this one does not have")
}

/// Whether the provenance names nothing but pinned inputs, is about these archives, and is signed as it lies there.
pub(crate) fn provenance(signed: &Signed<'_>) -> Result<Aspect, PublishError> {
    let (mut wrong, mut unchecked) = (Vec::new(), Vec::new());
    let mut inputs = 0;
    for (name, folder, record) in signed.artifacts() {
        let file = format!("{name}.intoto.jsonl");
        let bytes = read_regular(folder.join(&file)).unwrap_or_default();
        let statement = match Statement::from_json(&bytes) {
            Ok(statement) => statement,
            Err(error) => {
                wrong.push(format!("{file}: {error}"));
                continue;
            }
        };
        match pinned(&statement, record) {
            Ok(count) => inputs += count,
            Err(reason) => wrong.push(format!("{file}: {reason}")),
        }
        if record.findings.iter().any(|finding| finding.code == Code::NotHermetic) {
            wrong.push(format!(
                "{name} was built with a network, so that not all of its inputs are pinned (not-hermetic)"
            ));
        }
        match follows(signed, folder, record, &file)? {
            Follows::Yes => {}
            Follows::No => wrong.push(format!("{file} does not follow from its record")),
            Follows::OtherKiln(kiln) => unchecked.push(other_kiln(name, &file, &kiln)),
        }
        let envelope = signed_provenance(name);
        let tried = signature_files(folder, &envelope)?;
        let tried = tried.iter().map(|line| match verified_line(line, &signed.request.keys) {
            Ok((other, _)) if other == statement => Ok(()),
            Ok(_) => Err(format!("{envelope} is about something else than {file}")),
            Err(error) => Err(format!("{envelope}: {error}")),
        });
        wrong.extend(first_that_fits(tried, &envelope).err());
    }
    Ok(signed.told("provenance", wrong, unchecked, || format!("{inputs} inputs, each pinned by a digest")))
}

/// What fits of several files of one name; why the first does not, if none does.
fn first_that_fits<T>(tried: impl Iterator<Item = Result<T, String>>, name: &str) -> Result<T, String> {
    let mut reason = None;
    for one in tried {
        match one {
            Ok(found) => return Ok(found),
            Err(why) => reason = reason.or(Some(why)),
        }
    }
    Err(reason.unwrap_or_else(|| format!("{name} is missing: kiln sign writes it")))
}

/// Whether what is stated of the runs is about these builds.
pub(crate) fn runs(signed: &Signed<'_>) -> Result<Aspect, PublishError> {
    let (mut wrong, mut unchecked, mut stated) = (Vec::new(), Vec::new(), Vec::new());
    for (name, folder, _) in signed.artifacts() {
        let file = signed_run(name);
        let tried = signature_files(folder, &file)?;
        if tried.is_empty() {
            unchecked.push(format!("{name}: nothing is stated of the run that made it"));
            continue;
        }
        let tried = tried.iter().map(|line| match verified_line(line, &signed.request.keys) {
            Ok((statement, _)) => {
                of_run(signed, name, &statement).map_err(|reason| format!("{file}: {reason}"))
            }
            Err(error) => Err(format!("{file}: {error}")),
        });
        match first_that_fits(tried, &file) {
            Ok(run) => stated.push(run),
            Err(reason) => wrong.push(reason),
        }
    }
    Ok(signed.told("runs", wrong, unchecked, || {
        let newest = stated.iter().filter_map(|run| run.finished_on).max();
        let newest = newest.map(|at| format!(", the last ended at {at}")).unwrap_or_default();
        format!("{} runs stated{newest}", stated.len())
    }))
}

/// What is stated of the run of a build of the release.
fn of_run(signed: &Signed<'_>, name: &ArtifactName, statement: &Statement) -> Result<RunStatement, String> {
    let run = RunStatement::of(statement).map_err(|error| error.to_string())?;
    let artifact = &signed.release.artifacts[name];
    let is_about = |digest: Digest| statement.subjects.iter().any(|subject| subject.digest == digest);
    if !is_about(artifact.archive) || !is_about(artifact.record) || artifact.build != Some(run.build) {
        return Err("it is about another build".to_owned());
    }
    Ok(run)
}

/// How many inputs a provenance names, each by a digest, and those of the record; it is about the archive.
fn pinned(statement: &Statement, record: &Record) -> Result<usize, String> {
    let archive = record.archive().map(|archive| archive.digest);
    if !statement.subjects.iter().any(|subject| Some(subject.digest) == archive) {
        return Err("it is about another archive".to_owned());
    }
    let listed = statement.predicate.pointer("/buildDefinition/resolvedDependencies");
    let listed = listed.and_then(|value| value.as_array()).ok_or("it names no inputs")?;
    for (at, input) in listed.iter().enumerate() {
        let digests = input.get("digest").and_then(|digest| digest.as_object());
        let is_pinned = digests.is_some_and(|digests| {
            digests.values().any(|one| one.as_str().is_some_and(|hex| Digest::from_hex(hex).is_ok()))
        });
        if !is_pinned {
            let name = input.get("name").and_then(|name| name.as_str()).unwrap_or_default();
            return Err(format!("input {} (`{}`) is not pinned by a digest", at + 1, excerpt(name)));
        }
    }
    if listed.len() != record.inputs.len() {
        return Err(format!("it names {} inputs, and its record {}", listed.len(), record.inputs.len()));
    }
    Ok(listed.len())
}

/// Whether the policy let each build pass, and the statement says as much of it as the record.
pub(crate) fn policy(signed: &Signed<'_>) -> Result<Aspect, PublishError> {
    let (mut wrong, mut warnings, mut not_run) = (Vec::new(), 0, 0);
    for (name, _, record) in signed.artifacts() {
        let count = |level: Level| record.findings.iter().filter(|one| one.level == level).count() as u64;
        let denied: Vec<&str> = record
            .findings
            .iter()
            .filter(|one| one.level == Level::Deny)
            .map(|one| one.code.as_str())
            .collect();
        if !denied.is_empty() {
            wrong.push(format!("{name}: denied by {}", denied.join(", ")));
        }
        let stated = signed.release.artifacts[name].findings;
        if (stated.deny, stated.warn, stated.note)
            != (count(Level::Deny), count(Level::Warn), count(Level::Note))
        {
            wrong.push(format!("{name}: the statement counts other findings than its record has"));
        }
        warnings += count(Level::Warn);
        not_run +=
            record.checks.iter().filter(|one| matches!(one.outcome, CheckOutcome::NotChecked { .. })).count();
    }
    Ok(signed.told("policy", wrong, Vec::new(), || {
        format!(
            "no finding is denied; {}, {} that did not run",
            counted(warnings, "warnings"),
            counted(not_run, "checks")
        )
    }))
}

/// Whether the index names these artifacts with these digests.
pub(crate) fn index(signed: &Signed<'_>) -> Result<Aspect, PublishError> {
    if signed.is_part {
        let others: Vec<&str> = signed.elsewhere.iter().map(ArtifactName::as_str).collect();
        let line = match others.as_slice() {
            [] => "it is not here: this is the folder of one artifact".to_owned(),
            others => {
                format!("this is the folder of one artifact; the release has {}, too", others.join(", "))
            }
        };
        return Ok(Aspect::new("index", State::NotChecked, line));
    }
    let named = match indexed(&signed.request.folder) {
        Ok(Some(named)) => named,
        Ok(None) if !signed.subjects.contains_key("index.json") => {
            return Ok(Aspect::new("index", State::NotChecked, "the release has none"));
        }
        Ok(None) => return Ok(Aspect::new("index", State::Differs, "index.json is missing")),
        Err(reason) => {
            return Ok(Aspect::new("index", State::Differs, format!("index.json: {}", excerpt(&reason))));
        }
    };
    let mut wrong = Vec::new();
    for (name, there) in &named {
        match signed.release.artifacts.get(name) {
            Some(one) if (one.archive, one.record) == (there.digest, there.of) => {}
            Some(_) => wrong.push(format!("index.json names {name} with other digests than the statement")),
            // The index over the platforms of an image has no record of its own.
            None if signed.subjects.contains_key(&format!("{name}/platforms.json")) => {}
            None => wrong.push(format!("index.json names {name}, which is not in the release")),
        }
    }
    Ok(Aspect::of("index", wrong, || {
        format!("{}, with the digests that were signed", counted(named.len(), "artifacts"))
    }))
}

/// Whether the builds are in the ledger whose root was signed, and that continues the one that is known.
pub(crate) fn ledger(signed: &Signed<'_>) -> Result<Aspect, PublishError> {
    let Some(stated) = &signed.release.ledger else {
        let line = "the release was signed where there is no ledger";
        let state = if signed.request.since.is_some() { State::Differs } else { State::NotChecked };
        return Ok(Aspect::new("ledger", state, line));
    };
    let keys = &signed.request.keys;
    let log = &stated.log;
    let checkpoint = Checkpoint { origin: log.origin.clone(), size: log.size, root: log.root };
    let mut wrong = Vec::new();
    let tried = signature_files(&signed.request.folder, CHECKPOINT)?;
    let tried = tried.iter().map(|bytes| is_checkpoint(bytes, &checkpoint, keys));
    wrong.extend(first_that_fits(tried, CHECKPOINT).err());
    let mut proven = 0;
    for (name, folder) in &signed.here {
        let (file, artifact) = (proof(name), &signed.release.artifacts[name]);
        let Some(number) = artifact.build else {
            wrong.push(format!("{name}: the statement names no build of the ledger"));
            continue;
        };
        let tried = signature_files(folder, &file)?;
        let tried = tried.iter().map(|bytes| match in_log(signed, bytes, name, number, &checkpoint) {
            Ok(record) if record == artifact.record => Ok(()),
            Ok(_) => Err(format!("{file} is about another record of {name}")),
            Err(error) => Err(format!("{file}: {error}")),
        });
        match first_that_fits(tried, &file) {
            Ok(()) => proven += 1,
            Err(reason) => wrong.push(reason),
        }
    }
    wrong.extend(continued(signed, &checkpoint));
    let since = signed
        .request
        .since
        .as_ref()
        .map(|(older, _)| format!(", which continues the one of {}", older.size));
    Ok(Aspect::of("ledger", wrong, || {
        format!(
            "{} proven in the log {} of {}{}",
            counted(proven, "builds"),
            excerpt(&log.origin),
            counted(log.size, "entries"),
            since.unwrap_or_default()
        )
    }))
}

/// Whether a file is a signed checkpoint of the log that the statement names.
fn is_checkpoint(bytes: &[u8], stated: &Checkpoint, keys: &[PublicKey]) -> Result<(), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| format!("{CHECKPOINT} is not UTF-8"))?;
    let note = SignedNote::parse(text).map_err(|error| format!("{CHECKPOINT}: {error}"))?;
    let (there, _) = note.verify(keys).map_err(|error| format!("{CHECKPOINT}: {error}"))?;
    match there == stated {
        true => Ok(()),
        false => Err(format!(
            "{CHECKPOINT} is over {} with root {}, and the statement says {} with {}",
            counted(there.size, "entries"),
            there.root,
            stated.size,
            stated.root
        )),
    }
}

/// The digest of the record that a proof shows to be in the log as a build of an artifact.
fn in_log(
    signed: &Signed<'_>,
    bytes: &[u8],
    artifact: &ArtifactName,
    number: u64,
    checkpoint: &Checkpoint,
) -> Result<Digest, AttestError> {
    let unproven = |reason: &str| AttestError::Unproven { reason: reason.to_owned() };
    let malformed =
        |reason: &str| AttestError::Malformed { expected: "a proof of inclusion", reason: reason.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
    let proof = InclusionProof::parse(text)?;
    let entry = proof.extra.as_deref().ok_or_else(|| malformed("it does not carry the entry"))?;
    let line = LogLine { artifact: artifact.clone(), number, entry: Digest::of(entry) };
    let there = proof.verify(&leaf_hash(line.to_string().as_bytes()), &signed.request.keys)?;
    if there != checkpoint {
        return Err(unproven("it is about another checkpoint than the statement"));
    }
    let entry: LedgerEntry =
        serde_json::from_slice(entry).map_err(|error| malformed(&excerpt(&error.to_string())))?;
    if entry.artifact != *artifact || entry.number != number {
        return Err(unproven("the entry that it carries is of another build"));
    }
    Ok(entry.record)
}

/// Why the release's log does not continue the one that is known; nothing if it does, or none is known.
fn continued(signed: &Signed<'_>, checkpoint: &Checkpoint) -> Option<String> {
    let (older, proof) = signed.request.since.as_ref()?;
    if older.size > checkpoint.size {
        return Some(format!(
            "its log has {}, and the one that you know has {}: this is an older release",
            counted(checkpoint.size, "entries"),
            older.size
        ));
    }
    if older == checkpoint {
        return None;
    }
    let Some(proof) = proof else {
        return Some(if older.size == checkpoint.size {
            "its log has as many entries as the one that you know, and is another: one of them is a fork"
                .to_owned()
        } else {
            "whether its log continues the one that you know needs a proof: kiln log --since CHECKPOINT where it was signed, and --proof here".to_owned()
        });
    };
    match proof.verify(older, &signed.request.keys) {
        Ok(newer) if newer == checkpoint => None,
        Ok(newer) if newer.origin != checkpoint.origin => Some(format!(
            "the proof is of the log {}, and the release's is called {}",
            excerpt(&newer.origin),
            excerpt(&checkpoint.origin)
        )),
        Ok(newer) => Some(format!(
            "the proof is about a log of {}, and the release's has {}",
            counted(newer.size, "entries"),
            checkpoint.size
        )),
        Err(error) => Some(error.to_string()),
    }
}
