//! References to builds: what `diff`, `show` and `verify` take on the command line.

use crate::PublishError;
use crate::content::beside;
use crate::deployment::is_deployment_index;
use crate::document::{documents, index_documents, written};
use crate::indexed_folders::verify_deployment_index;
use crate::named_build::NamedBuild;
use crate::published::digest_of;
use crate::published_index::published_index;
use crate::row::State;
use fs_err as fs;
use kiln_collect::tree_of_archive;
use kiln_invocation::{Environment, InvocationError};
use kiln_record::{Architecture, ArtifactName, Digest, Entry, IndexRecord, Record};
use kiln_store::{Approval, Ledger, LedgerEntry, WorkspaceLock, read_regular};
use std::path::{Path, PathBuf};

/// The builds of an artifact in the ledger, oldest first.
///
/// # Errors
/// As the ledger.
pub fn history(environment: &Environment, artifact: &ArtifactName) -> Result<Vec<LedgerEntry>, PublishError> {
    Ok(ledger_of(environment).entries(artifact)?)
}

/// The newest build of an artifact in the ledger that is as asked for. The history is read back to there, and no further.
///
/// # Errors
/// As the ledger.
pub fn entry_where(
    environment: &Environment,
    artifact: &ArtifactName,
    is_it: impl Fn(&LedgerEntry) -> bool,
) -> Result<Option<LedgerEntry>, PublishError> {
    let ledger = ledger_of(environment);
    let mut entries = ledger.back(artifact)?;
    Ok(entries.find(|entry| entry.as_ref().map_or(true, &is_it)).transpose()?)
}

/// The build of an artifact in the ledger that was entered before the one of a number; none for the first.
///
/// # Errors
/// As the ledger.
pub fn entry_before(
    environment: &Environment,
    artifact: &ArtifactName,
    number: u64,
) -> Result<Option<LedgerEntry>, PublishError> {
    let ledger = ledger_of(environment);
    let mut entries = ledger.back_from(artifact, number.saturating_sub(1))?;
    Ok(entries.next().transpose()?)
}

/// Every artifact that has a build in the ledger.
///
/// # Errors
/// As the ledger.
pub fn artifacts_with_history(environment: &Environment) -> Result<Vec<ArtifactName>, PublishError> {
    Ok(ledger_of(environment).artifacts()?)
}

/// The approval of an artifact that counts: the last one. None where nothing was approved yet, or there is no workspace.
///
/// # Errors
/// As the ledger.
pub fn baseline(
    environment: &Environment,
    artifact: &ArtifactName,
) -> Result<Option<Approval>, PublishError> {
    Ok(ledger_of(environment).approvals(artifact)?.pop())
}

/// Approves a build of the ledger. The caller holds the workspace's lock.
///
/// # Errors
/// As the ledger.
pub fn approve(
    environment: &Environment,
    artifact: &ArtifactName,
    number: u64,
    reason: &str,
    _lock: &WorkspaceLock,
) -> Result<Approval, PublishError> {
    Ok(ledger_of(environment).approve(artifact, number, reason, environment.now)?)
}

/// The ledger of a workspace.
pub(crate) fn ledger_of(environment: &Environment) -> Ledger {
    environment.ledger()
}

/// The newest build of an artifact in the ledger.
///
/// # Errors
/// As the ledger, and if there is none.
pub fn newest_build(environment: &Environment, artifact: &ArtifactName) -> Result<NamedBuild, PublishError> {
    build_of_ledger(environment, artifact.as_str())
}

/// The build of the ledger that a text names: `artifact`, `artifact@n`, `artifact@latest`, `artifact@previous` or
/// `artifact@baseline`, the one that was approved last.
///
/// # Errors
/// [`PublishError::Reference`] that says which forms were tried.
pub(crate) fn build_of_ledger(environment: &Environment, text: &str) -> Result<NamedBuild, PublishError> {
    let error = |reason: String| PublishError::Reference { text: text.to_owned(), reason };
    let (name, which) = text.split_once('@').unwrap_or((text, "latest"));
    let forms = "there is no such file, and it is not of the form ARTIFACT, ARTIFACT@N, ARTIFACT@latest, ARTIFACT@previous or ARTIFACT@baseline";
    let name: ArtifactName = name.parse().map_err(|_| error(forms.to_owned()))?;
    if !environment.has_workspace() {
        return Err(error(format!(
            "there is no such file, and no workspace here whose ledger could know an artifact `{name}`; name a record.json, an \
             archive, a dist folder or a reference to a registry, or the workspace with --workspace FOLDER"
        )));
    }
    let ledger = ledger_of(environment);
    let newest = ledger.newest(&name)?;
    let Some(newest) = newest else {
        let known = ledger.artifacts()?;
        let platforms: Vec<ArtifactName> = known
            .iter()
            .filter(|known| {
                let platform =
                    known.as_str().strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('.'));
                platform.is_some_and(|platform| platform.parse::<Architecture>().is_ok())
            })
            .cloned()
            .collect();
        if !platforms.is_empty() {
            return Err(InvocationError::SeveralPlatforms { name, artifacts: platforms }.into());
        }
        let known: Vec<String> = known.iter().map(ToString::to_string).collect();
        let known = if known.is_empty() {
            "nothing was built in this workspace yet".to_owned()
        } else {
            format!("built here: {}", known.join(", "))
        };
        return Err(error(format!("`{name}` has no build in the ledger; {known}")));
    };
    let number = match which {
        "latest" => newest,
        "baseline" => {
            baseline(environment, &name)?
                .ok_or_else(|| {
                    error(format!(
                        "no build of `{name}` is approved; approve one: kiln approve {name}@N --reason TEXT"
                    ))
                })?
                .number
        }
        "previous" if newest > 1 => newest - 1,
        "previous" => return Err(error(format!("`{name}` has one build only"))),
        number => number.parse().ok().filter(|n| (1..=newest).contains(n)).ok_or_else(|| {
            error(format!(
                "`{name}` has builds 1 to {newest}, latest and previous, and baseline once one is approved"
            ))
        })?,
    };
    let record = ledger.record(&name, number)?;
    // What the build after it says of it is held as well.
    ledger.at(&name, number)?;
    let content = beside(&environment.dist.join(name.as_str()), &record).content();
    let run = ledger.run_details(&name, number)?;
    let label = format!("{name}@{number}");
    Ok(NamedBuild { number: Some(number), run, content, ..NamedBuild::recorded(record, label) })
}

/// The build whose archive has this digest, if the ledger has one: of several builds of one artifact the newest, and an error where they
/// are of several artifacts. Different records describe these bytes then, and what was chosen of them is said.
pub(crate) fn build_of_archive(
    environment: &Environment,
    digest: Digest,
    text: &str,
) -> Result<Option<NamedBuild>, PublishError> {
    let builds = builds_with(environment, digest)?;
    let Some((newest, others)) = builds.split_first() else { return Ok(None) };
    let named: Vec<String> = builds.iter().map(label_of).collect();
    if others.iter().any(|build| build.artifact != newest.artifact) {
        let reason = format!("its bytes are those of {}: name one of these", named.join(" and "));
        return Err(PublishError::Reference { text: text.to_owned(), reason });
    }
    let record = ledger_of(environment).record(&newest.artifact, newest.number)?;
    let label = match others.is_empty() {
        true => text.to_owned(),
        false => {
            format!("{text} (as {}; its bytes are those of {}, too)", named[0], named[1..].join(" and "))
        }
    };
    Ok(Some(NamedBuild::recorded(record, label)))
}

/// What describes a file.
enum Found {
    /// The record that is given or lies beside it, and where that is.
    Beside(Box<Record>, String),
    /// The builds of the ledger whose archive it is.
    InLedger(Vec<LedgerEntry>),
}

fn label_of(build: &LedgerEntry) -> String {
    format!("{}@{}", build.artifact, build.number)
}

/// Says what describes a file.
fn find_record(environment: &Environment, file: &Path, record: Option<&Path>) -> Result<Found, PublishError> {
    let digest = digest_of(file)?.0;
    let beside = record_beside(file);
    let candidate = record.map(Path::to_owned).or_else(|| beside.is_file().then_some(beside));
    if let Some(candidate) = candidate {
        let found = Record::from_json(&read_regular(&candidate)?)
            .map_err(|reason| PublishError::UnreadRecord { path: candidate.display().to_string(), reason })?;
        // The record beside a file says what that file should be, whatever else is known of these bytes.
        return Ok(Found::Beside(Box::new(found), candidate.display().to_string()));
    }
    Ok(Found::InLedger(builds_with(environment, digest)?))
}

/// The record beside a file; that of a file in a layout is beside the layout.
pub(crate) fn record_beside(file: &Path) -> PathBuf {
    let inside = file.ancestors().skip(1).take(4).find(|folder| folder.ends_with("oci"));
    inside.unwrap_or(file).with_file_name("record.json")
}

/// The builds in the ledger with an archive of this digest, one for each record, by artifact and the newest first.
fn builds_with(environment: &Environment, digest: Digest) -> Result<Vec<LedgerEntry>, PublishError> {
    let ledger = ledger_of(environment);
    let mut builds: Vec<LedgerEntry> = Vec::new();
    // A history that is broken keeps nobody from finding a file in another one.
    let mut broken = None;
    for artifact in ledger.artifacts()? {
        let entries = match ledger.entries(&artifact) {
            Ok(entries) => entries,
            Err(error) => {
                broken = Some(error);
                continue;
            }
        };
        for entry in entries.into_iter().rev().filter(|entry| entry.archive == Some(digest)) {
            if builds.iter().all(|build| build.record != entry.record) {
                builds.push(entry);
            }
        }
    }
    match broken {
        Some(error) if builds.is_empty() => Err(error.into()),
        _ => Ok(builds),
    }
}

/// What the ledger of the workspace says of a record that a file was held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerVerdict {
    /// It is that of the build with this number.
    Build(u64),
    /// It is published under `dist/`, and the newest build is this one, with another record: the file and the record that
    /// describes it may have been changed together.
    Other {
        /// The newest build's number.
        number: u64,
        /// The digest of its record.
        expected: Digest,
        /// The digest of the record that is published.
        found: Digest,
    },
    /// An index is over this build of one of its platforms, and that platform was built again since.
    Superseded {
        /// The number of the build that the index is over.
        number: u64,
        /// The newest build's number.
        newest: u64,
    },
    /// An index names this many artifacts, and each with its newest build.
    Newest(usize),
    /// The ledger has no such build, or there is no ledger: this was not checked.
    NotChecked,
}

impl FileVerdict {
    /// Whether the file is what its record describes, and that is what was built as far as the ledger tells.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.bytes_equal && !matches!(self.ledger, LedgerVerdict::Other { .. })
    }
}

/// What verifying a file told.
#[derive(Clone, Debug)]
pub struct FileVerdict {
    /// The file's digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it was held against: a record's file or `artifact@n`.
    pub record: Option<String>,
    /// The artifact that the record describes.
    pub artifact: Option<ArtifactName>,
    /// Whether the record describes exactly these bytes.
    pub bytes_equal: bool,
    /// Whether the file unpacks to the tree of the record; not looked at where the bytes are equal.
    pub tree_equal: Option<bool>,
    /// What the ledger says of the record.
    pub ledger: LedgerVerdict,
    /// Paths that differ from the record's tree, at most twenty, with what is different.
    pub differences: Vec<String>,
    /// Other builds of the ledger that have this archive under another record.
    pub also: Vec<String>,
}

/// Holds a file against the record that is given or found: beside it, or in the ledger by digest.
///
/// # Errors
/// If the file or the record cannot be read.
pub fn verify_file(
    environment: &Environment,
    file: &Path,
    record: Option<&Path>,
) -> Result<FileVerdict, PublishError> {
    let (digest, size) = digest_of(file)?;
    let mut verdict = FileVerdict {
        digest,
        size,
        record: None,
        artifact: None,
        bytes_equal: false,
        tree_equal: None,
        ledger: LedgerVerdict::NotChecked,
        differences: Vec::new(),
        also: Vec::new(),
    };
    if record.is_none()
        && (of_index(environment, file, &mut verdict)? || of_deployment(environment, file, &mut verdict)?)
    {
        return Ok(verdict);
    }
    let given = record.map(Path::to_owned).unwrap_or_else(|| record_beside(file));
    let (record, label) = match find_record(environment, file, record)? {
        Found::Beside(record, label) => (*record, label),
        Found::InLedger(builds) => {
            let Some((newest, others)) = builds.split_first() else { return Ok(verdict) };
            verdict.also = others.iter().map(label_of).collect();
            (ledger_of(environment).record(&newest.artifact, newest.number)?, label_of(newest))
        }
    };
    verdict.ledger = in_ledger(environment, &record, &given)?;
    let documents = documents(&record)?;
    let document = file.file_name().and_then(|name| documents.get(name.to_str()?));
    verdict.bytes_equal = match document {
        Some(expected) => Digest::of(expected) == digest,
        None => record.outputs.iter().any(|output| output.digest == digest && output.size == size),
    };
    if document.is_some() {
        if !verdict.bytes_equal {
            verdict.differences = vec!["this document does not follow from the record".to_owned()];
        }
    } else if !verdict.bytes_equal && record.kind.is_image() {
        verdict.differences.extend(whose(environment, digest)?);
    } else if !verdict.bytes_equal {
        match tree_of_archive(file) {
            Ok(tree) => {
                verdict.tree_equal = Some(tree.digest() == record.tree);
                verdict.differences = differences(&tree, &record.to_tree());
            }
            Err(error) => {
                verdict.differences = vec![format!(
                    "it is none of the documents that follow from that record, and cannot be read as a zip: {error}"
                )];
            }
        }
        verdict.differences.splice(0..0, whose(environment, digest)?);
    }
    verdict.record = Some(label);
    verdict.artifact = Some(record.artifact);
    Ok(verdict)
}

/// A line for bytes that are those of other builds than the one asked about.
fn whose(environment: &Environment, digest: Digest) -> Result<Option<String>, PublishError> {
    let builds: Vec<String> = builds_with(environment, digest)?.iter().map(label_of).collect();
    Ok((!builds.is_empty()).then(|| format!("these bytes are those of {}", builds.join(" and "))))
}

/// Holds a record against the ledger: what is published has to be the newest build that was published there; a copy elsewhere may be an older one, or
/// come from elsewhere.
fn in_ledger(environment: &Environment, record: &Record, file: &Path) -> Result<LedgerVerdict, PublishError> {
    let ledger = ledger_of(environment);
    let found = match read_regular(file) {
        Ok(bytes) => Digest::of(&bytes),
        Err(_) => Digest::of(&written(record.to_json())?),
    };
    let newest = ledger.published(&record.artifact)?;
    if is_in_dist(environment, file, &record.artifact)
        && let Some(newest) = newest
        && newest.record != found
    {
        return Ok(LedgerVerdict::Other { number: newest.number, expected: newest.record, found });
    }
    let build = entry_where(environment, &record.artifact, |entry| entry.record == found)?;
    Ok(build.map_or(LedgerVerdict::NotChecked, |entry| LedgerVerdict::Build(entry.number)))
}

/// Whether a file lies in the folder that an artifact is published in.
fn is_in_dist(environment: &Environment, file: &Path, artifact: &ArtifactName) -> bool {
    let folder = file.parent().and_then(|folder| {
        fs::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()
    });
    let published = fs::canonicalize(environment.dist.join(artifact.as_str())).ok();
    folder.is_some() && folder == published
}

/// Holds a file against the index that it is published with. Says whether there is one.
fn of_index(environment: &Environment, file: &Path, verdict: &mut FileVerdict) -> Result<bool, PublishError> {
    let beside = record_beside(file).with_file_name(IndexRecord::FILE);
    let Some(index) = beside.parent().map(published_index).transpose()?.flatten() else { return Ok(false) };
    let documents = index_documents(&index)?;
    verdict.bytes_equal = match file.file_name().and_then(|name| documents.get(name.to_str()?)) {
        Some(document) => Digest::of(document) == verdict.digest,
        None => {
            index.outputs.iter().any(|output| (output.digest, output.size) == (verdict.digest, verdict.size))
        }
    };
    // An index follows from the records of its platforms, and these are what the ledger has.
    let ledger = ledger_of(environment);
    for one in &index.platforms {
        let newest = ledger.published(&one.artifact)?;
        if let Some(newest) = newest.filter(|_| is_in_dist(environment, &beside, &index.artifact)) {
            let (number, expected, found) = (newest.number, newest.record, one.record);
            verdict.ledger = LedgerVerdict::Build(number);
            if expected != found {
                let older = entry_where(environment, &one.artifact, |entry| entry.record == found)?;
                verdict.ledger = match older {
                    Some(older) => LedgerVerdict::Superseded { number: older.number, newest: number },
                    None => LedgerVerdict::Other { number, expected, found },
                };
                break;
            }
        }
    }
    verdict.record = Some(beside.display().to_string());
    verdict.artifact = Some(index.artifact);
    Ok(true)
}

/// Holds the index over all artifacts against the folders beside it, and against the ledger where it is the one of the workspace. Says
/// whether the file is such an index.
fn of_deployment(
    environment: &Environment,
    file: &Path,
    verdict: &mut FileVerdict,
) -> Result<bool, PublishError> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !is_deployment_index(file) {
        return Ok(false);
    }
    let is_own = environment.has_workspace()
        && fs::canonicalize(folder).ok() == fs::canonicalize(&environment.dist).ok();
    let ledger = is_own.then(|| ledger_of(environment));
    let (row, artifacts) = verify_deployment_index(folder, ledger.as_ref())?;
    verdict.bytes_equal = row.state != State::Differs;
    verdict.record = Some("the record of each artifact beside it".to_owned());
    // What is not wrong but worth to know comes after how many there are.
    let noted = if verdict.bytes_equal { 1 } else { 0 };
    verdict.differences = row.lines.into_iter().skip(noted).collect();
    let is_known = ledger.is_some_and(|ledger| ledger.artifacts().is_ok_and(|all| !all.is_empty()));
    if is_known && verdict.bytes_equal {
        verdict.ledger = LedgerVerdict::Newest(artifacts);
    }
    Ok(true)
}

/// What differs about one path: its content, or only whether it is a program.
fn difference(path: &str, expected: &Entry, found: &Entry) -> String {
    match (expected, found) {
        (Entry::File { digest: was, mode: before, .. }, Entry::File { digest, mode, .. })
            if was == digest =>
        {
            format!("{path} has the mode {:04o}, and {:04o} is expected", mode.bits(), before.bits())
        }
        _ => format!("{path} differs"),
    }
}

fn differences(found: &kiln_record::Tree, expected: &kiln_record::Tree) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, entry) in expected.iter() {
        match found.get(path) {
            None => lines.push(format!("{path} is missing")),
            Some(other) if other != entry => lines.push(difference(path.as_str(), entry, other)),
            Some(_) => {}
        }
    }
    lines.extend(
        found
            .iter()
            .filter(|(path, _)| expected.get(path).is_none())
            .map(|(path, _)| format!("{path} was added")),
    );
    if lines.len() > 20 {
        let rest = lines.len() - 20;
        lines.truncate(20);
        lines.push(format!("and {rest} more"));
    }
    lines
}
