//! The parts of `kiln lock` that pin tools and make the locks of artifacts.

use crate::args::{Format, Lock};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::signals;
use kiln_audit::format_size;
use kiln_build::bundled_crates;
use kiln_lock::{
    ArtifactLock, ArtifactLockRequest, CratesLock, CratesLockRequest, FileFacts, MovedFile, ToolReport,
    UpstreamLock, UpstreamLockRequest, lock_artifacts, lock_crates, lock_tools, lock_upstreams,
};
use kiln_record::{ArtifactName, counted};
use serde::Serialize;
use serde_json::Value;

/// The version in `uv==1.2.3`.
pub(crate) fn tool_version(text: &str) -> Result<String, Failure> {
    match text.split_once("==") {
        Some(("uv", version)) if !version.is_empty() => Ok(version.to_owned()),
        _ => Err(Failure::usage(format!("`{text}` names no version of a tool that kiln uses"))
            .hint("write --tool uv==VERSION")),
    }
}

/// Pins the tools.
pub(crate) fn tools(settings: &Settings, wanted: Option<String>, printer: Printer) -> Result<Value, Failure> {
    let report = {
        let progress = Progress::new(printer);
        let events = progress.events();
        let environment = settings.environment.clone();
        signals::run(|engine| {
            Box::pin(async move { lock_tools(&environment, wanted.as_deref(), &events, engine).await })
        })?
    };
    if settings.format != Format::Json {
        print_tool(&report, printer);
    }
    super::json(&ToolDocument::new(&report))
}

/// Locks the archives of crates that distributions have inside. The second value says whether the lock differs from what was there.
pub(crate) fn crates(
    settings: &Settings,
    command: &Lock,
    printer: Printer,
) -> Result<(Value, bool), Failure> {
    let check = command.writes_nothing();
    let lock = {
        let progress = Progress::new(printer);
        let events = progress.events();
        let environment = settings.environment.clone();
        let found = signals::run(|engine| {
            let (environment, events) = (environment.clone(), events.clone());
            Box::pin(async move { bundled_crates(&environment, &events, engine).await })
        })?;
        let is_whole = found.left_out.is_empty();
        let request = CratesLockRequest { named: found.crates, is_whole, check };
        let mut lock =
            signals::run(|_| Box::pin(async move { lock_crates(&environment, &request, &events).await }))?;
        let left_out = found.left_out.iter();
        lock.remarks.extend(
            left_out.map(|(name, reason)| format!("{name} is left out, since it cannot be built: {reason}")),
        );
        lock
    };
    if settings.format != Format::Json {
        print_crates(&lock, printer);
    }
    Ok((super::json(&CratesDocument::new(&lock))?, lock.differs))
}

fn print_crates(lock: &CratesLock, printer: Printer) {
    let what = match (lock.written, lock.differs) {
        (true, _) => format!("{}: written", printer.on_stdout(Style::Good, &lock.file)),
        (false, true) => format!("{}: would change", printer.on_stdout(Style::Warn, &lock.file)),
        (false, false) => format!("{}: nothing moved", lock.file),
    };
    printer.data(&format!("{what}: {} that distributions have inside\n", counted(lock.crates, "crates")));
    if lock.differs {
        printer.data(&format!("  {} new, {} no longer there\n", lock.added.len(), lock.removed.len()));
    }
    let warning = printer.on_stderr(Style::Warn, "warning");
    for remark in &lock.remarks {
        printer.problem(&format!("{warning}: {}: {remark}", lock.file));
    }
}

/// Locks the upstream sources of artifacts. The second value says whether one of the locks differs from what was there.
pub(crate) fn upstreams(
    settings: &Settings,
    command: &Lock,
    artifacts: &[ArtifactName],
    printer: Printer,
) -> Result<(Vec<Value>, bool), Failure> {
    let request = UpstreamLockRequest {
        artifacts: artifacts.to_vec(),
        upgrade: command.upgrade,
        check: command.writes_nothing(),
    };
    let locks = {
        let progress = Progress::new(printer);
        let events = progress.events();
        let environment = settings.environment.clone();
        signals::run(|_| Box::pin(async move { lock_upstreams(&environment, &request, &events).await }))?
    };
    if settings.format != Format::Json {
        locks.iter().for_each(|lock| print_upstream(lock, printer));
    }
    let documents = locks.iter().map(|lock| super::json(&UpstreamDocument::new(lock)));
    Ok((documents.collect::<Result<_, _>>()?, locks.iter().any(|lock| lock.differs)))
}

fn print_upstream(lock: &UpstreamLock, printer: Printer) {
    let short = |commit: &str| commit.chars().take(12).collect::<String>();
    let what = match (lock.written, lock.differs) {
        (true, _) => format!("{}: written", printer.on_stdout(Style::Good, &lock.file)),
        (false, true) => format!("{}: would change", printer.on_stdout(Style::Warn, &lock.file)),
        (false, false) => format!("{}: nothing moved", lock.file),
    };
    let commit = match &lock.before {
        Some(before) if *before != lock.after => format!("{} → {}", short(before), short(&lock.after)),
        Some(_) => short(&lock.after),
        None => format!("+ {}", short(&lock.after)),
    };
    printer.data(&format!(
        "{what}: {} {}  {commit}  {}\n",
        lock.name,
        lock.revision,
        counted(lock.files, "files")
    ));
    if let Some(moved) = &lock.moved_to {
        printer.talk(&format!(
            "{}: {}: {} means commit {} now; --upgrade moves the pin",
            printer.on_stderr(Style::Note, "note"),
            lock.artifact,
            lock.revision,
            short(moved)
        ));
    }
}

/// Makes the locks of artifacts. The second value says whether one of them differs from what was there.
pub(crate) fn artifacts(
    settings: &Settings,
    command: &Lock,
    artifacts: &[ArtifactName],
    printer: Printer,
) -> Result<(Vec<Value>, bool), Failure> {
    let request = ArtifactLockRequest {
        artifacts: artifacts.to_vec(),
        upgrade: command.upgrade,
        upgrade_packages: command.upgrade_package.clone(),
        check: command.writes_nothing(),
    };
    let (locks, tool) = {
        let progress = Progress::new(printer);
        let events = progress.events();
        let environment = settings.environment.clone();
        signals::run(|engine| {
            Box::pin(async move { lock_artifacts(&environment, &request, &events, engine).await })
        })?
    };
    let mut documents = Vec::new();
    if let Some(report) = &tool {
        documents.push(super::json(&ToolDocument::new(report))?);
    }
    if settings.format != Format::Json {
        tool.iter().for_each(|report| print_tool(report, printer));
        locks.iter().for_each(|lock| print_artifact(lock, printer));
    }
    for lock in &locks {
        documents.push(super::json(&ArtifactDocument::new(lock))?);
    }
    Ok((documents, locks.iter().any(|lock| lock.differs)))
}

fn print_tool(report: &ToolReport, printer: Printer) {
    let ToolReport { tool, file, written, before, after, platforms } = report;
    if !written {
        printer.data(&format!("{file}: nothing moved: {tool} {after}\n"));
        return;
    }
    let moved = before.as_ref().map_or_else(|| format!("+ {after}"), |before| format!("{before} → {after}"));
    printer.data(&format!("{}: written\n", printer.on_stdout(Style::Good, file)));
    printer.data(&format!("  {tool} {moved}  for {}\n", platforms.join(", ")));
}

fn print_artifact(lock: &ArtifactLock, printer: Printer) {
    let what = match (lock.written, lock.differs) {
        (true, _) => format!("{}: written", printer.on_stdout(Style::Good, &lock.file)),
        (false, true) => format!("{}: would change", printer.on_stdout(Style::Warn, &lock.file)),
        (false, false) => format!("{}: nothing moved", lock.file),
    };
    printer.data(&format!("{what}: {}\n", counted(lock.distributions, "distributions")));
    printer.data(&format!("  from {}, for {}\n", lock.input, lock.target));
    let bytes = lock.bytes.filter(|bytes| *bytes > 0).map(|bytes| format!("{} to bring", format_size(bytes)));
    let told: Vec<String> = bytes.into_iter().chain(without_license(lock)).collect();
    if !told.is_empty() {
        printer.data(&format!("  {}\n", told.join("; ")));
    }
    if lock.differs && lock.changes.is_empty() {
        printer
            .data("  no distribution moved; the input or the target did, or the file was changed by hand\n");
    }
    print_changes(lock, printer);
    let warning = printer.on_stderr(Style::Warn, "warning");
    for held in &lock.held_back {
        printer.problem(&format!("{warning}: {}: {}", lock.artifact, held.line()));
    }
    if !lock.kept.is_empty() {
        const MOST: usize = 5;
        let mut kept: Vec<String> = lock
            .kept
            .iter()
            .take(MOST)
            .map(|kept| format!("{} {} ({} fits)", kept.name, kept.locked, kept.fits))
            .collect();
        if lock.kept.len() > MOST {
            kept.push(format!("{} more", lock.kept.len() - MOST));
        }
        let note = printer.on_stderr(Style::Note, "note");
        printer.talk(&format!(
            "{note}: {}: the lock keeps {}; --upgrade moves them",
            lock.artifact,
            kept.join(", ")
        ));
    }
    for remark in &lock.remarks {
        printer.problem(&format!("{warning}: {}: {remark}", lock.artifact));
    }
}

/// What moved, a line each: versions, and what the index says of bytes and licences.
fn print_changes(lock: &ArtifactLock, printer: Printer) {
    let rows: Vec<[String; 4]> = lock
        .changes
        .iter()
        .map(|change| {
            let versions = match (&change.before, &change.after) {
                (Some(before), Some(after)) if before == after => format!("{after}, other files"),
                (Some(before), Some(after)) => format!("{before} → {after}"),
                (None, Some(after)) => after.clone(),
                (Some(before), None) => before.clone(),
                (None, None) => String::new(),
            };
            let moved = lock.moved.get(&change.name).cloned().unwrap_or_default();
            [change.name.to_string(), versions, bytes_moved(&moved), license_moved(&moved, printer)]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (first, second, third) = (width(0), width(1), width(2));
    for (change, [name, versions, bytes, license]) in lock.changes.iter().zip(&rows) {
        let kind = change.kind.as_str();
        let line = format!("  {kind:<10} {name:<first$}  {versions:<second$}  {bytes:>third$}  {license}");
        printer.data(&format!("{}\n", line.trim_end()));
    }
}

/// Of how much that is new nobody tells the licence.
fn without_license(lock: &ArtifactLock) -> Option<String> {
    let new: Vec<_> = lock.changes.iter().filter(|change| change.after.is_some()).collect();
    let tells = |name| {
        let after = lock.moved.get(name).and_then(|moved| moved.after.as_ref());
        after.is_some_and(|facts| facts.license.is_some())
    };
    match new.iter().filter(|change| !tells(&change.name)).count() {
        0 => None,
        silent if silent == new.len() => Some("the index tells no licences".to_owned()),
        silent => Some(format!("the index tells no licence of {silent} of them")),
    }
}

/// The length of the file that is new or gone, or by how much it is another.
fn bytes_moved(moved: &MovedFile) -> String {
    let bytes = |facts: &Option<FileFacts>| facts.as_ref().and_then(|facts| facts.bytes);
    match (bytes(&moved.before), bytes(&moved.after)) {
        (Some(before), Some(after)) if after < before => format!("-{}", format_size(before - after)),
        (Some(before), Some(after)) => format!("+{}", format_size(after - before)),
        (None, Some(after)) if moved.before.is_none() => format!("+{}", format_size(after)),
        (Some(before), None) if moved.after.is_none() => format!("-{}", format_size(before)),
        (None, _) | (_, None) => String::new(),
    }
}

/// The licence, or both where it is another one now.
fn license_moved(moved: &MovedFile, printer: Printer) -> String {
    let license = |facts: &Option<FileFacts>| facts.as_ref().and_then(|facts| facts.license.clone());
    match (license(&moved.before), license(&moved.after)) {
        (Some(before), Some(after)) if before != after => {
            printer.on_stdout(Style::Warn, &format!("{before} → {after}"))
        }
        (before, after) => after.or(before).unwrap_or_default(),
    }
}

/// What locking an upstream source did. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct UpstreamDocument<'a> {
    artifact: &'a str,
    upstream: &'a str,
    file: &'a str,
    revision: &'a str,
    before: Option<&'a str>,
    after: &'a str,
    moved_to: Option<&'a str>,
    files: usize,
    differs: bool,
    written: bool,
}

impl<'a> UpstreamDocument<'a> {
    fn new(lock: &'a UpstreamLock) -> Self {
        Self {
            artifact: lock.artifact.as_str(),
            upstream: &lock.name,
            file: &lock.file,
            revision: &lock.revision,
            before: lock.before.as_deref(),
            after: &lock.after,
            moved_to: lock.moved_to.as_deref(),
            files: lock.files,
            differs: lock.differs,
            written: lock.written,
        }
    }
}

/// What locking the crates of distributions did. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct CratesDocument<'a> {
    file: &'a str,
    crates: usize,
    added: &'a [String],
    removed: &'a [String],
    differs: bool,
    written: bool,
    remarks: &'a [String],
}

impl<'a> CratesDocument<'a> {
    fn new(lock: &'a CratesLock) -> Self {
        Self {
            file: &lock.file,
            crates: lock.crates,
            added: &lock.added,
            removed: &lock.removed,
            differs: lock.differs,
            written: lock.written,
            remarks: &lock.remarks,
        }
    }
}

/// What pinning a tool did. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct ToolDocument<'a> {
    tool: &'a str,
    file: &'a str,
    written: bool,
    before: Option<&'a str>,
    after: &'a str,
    platforms: &'a [String],
}

impl<'a> ToolDocument<'a> {
    fn new(report: &'a ToolReport) -> Self {
        Self {
            tool: &report.tool,
            file: &report.file,
            written: report.written,
            before: report.before.as_deref(),
            after: &report.after,
            platforms: &report.platforms,
        }
    }
}

/// What locking the distributions of an artifact did. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct ArtifactDocument<'a> {
    artifact: &'a str,
    file: &'a str,
    input: &'a str,
    target: &'a str,
    tool: &'a str,
    distributions: usize,
    differs: bool,
    written: bool,
    changes: Vec<ChangeRow<'a>>,
    held_back: Vec<HeldBackRow<'a>>,
    kept: Vec<KeptRow<'a>>,
    remarks: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct KeptRow<'a> {
    distribution: &'a str,
    locked: &'a str,
    fits: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct ChangeRow<'a> {
    distribution: &'a str,
    kind: &'static str,
    before: Option<&'a str>,
    after: Option<&'a str>,
    /// The length of the file that the target takes, before and now, where the index says it.
    bytes_before: Option<u64>,
    bytes_after: Option<u64>,
    /// Its licence, before and now, where the index tells it.
    license_before: Option<&'a str>,
    license_after: Option<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct HeldBackRow<'a> {
    distribution: &'a str,
    locked: &'a str,
    newest: &'a str,
    releases: usize,
    reason: &'a str,
}

impl<'a> ArtifactDocument<'a> {
    fn new(lock: &'a ArtifactLock) -> Self {
        Self {
            artifact: lock.artifact.as_str(),
            file: &lock.file,
            input: &lock.input,
            target: &lock.target,
            tool: &lock.tool,
            distributions: lock.distributions,
            differs: lock.differs,
            written: lock.written,
            changes: lock
                .changes
                .iter()
                .map(|change| {
                    let moved = lock.moved.get(&change.name);
                    let before = moved.and_then(|moved| moved.before.as_ref());
                    let after = moved.and_then(|moved| moved.after.as_ref());
                    ChangeRow {
                        distribution: change.name.as_str(),
                        kind: change.kind.as_str(),
                        before: change.before.as_deref(),
                        after: change.after.as_deref(),
                        bytes_before: before.and_then(|facts| facts.bytes),
                        bytes_after: after.and_then(|facts| facts.bytes),
                        license_before: before.and_then(|facts| facts.license.as_deref()),
                        license_after: after.and_then(|facts| facts.license.as_deref()),
                    }
                })
                .collect(),
            held_back: lock
                .held_back
                .iter()
                .map(|held| HeldBackRow {
                    distribution: held.name.as_str(),
                    locked: &held.locked,
                    newest: &held.newest,
                    releases: held.releases,
                    reason: &held.reason,
                })
                .collect(),
            kept: lock
                .kept
                .iter()
                .map(|kept| KeptRow {
                    distribution: kept.name.as_str(),
                    locked: &kept.locked,
                    fits: &kept.fits,
                })
                .collect(),
            remarks: &lock.remarks,
        }
    }
}
