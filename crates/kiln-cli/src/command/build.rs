//! `kiln build`.

use super::expected_build::expectation;
use crate::args::{Build, Format};
use crate::failure::Failure;
use crate::forms;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::{findings, signals, transformations};
use kiln_audit::{format_change, format_size};
use kiln_build::{ArtifactResult, BuildReport, BuildRequest, Expectation, build};
use kiln_invocation::Ending;
use kiln_publish::{IndexResult, entry_before, resolve};
use kiln_rebuild::Expected;
use kiln_record::{ArtifactName, Exit, Level, RunError, StatedException, counted, exit};
use kiln_report::{Align, Case, Judgement, Markdown, Remark, github_annotations};
use kiln_store::LedgerEntry;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

pub(crate) fn run(settings: &Settings, command: &Build, printer: Printer) -> Result<Exit, Failure> {
    let mut environment = settings.published_in(command.dist.as_deref())?;
    if let Some(jobs) = command.jobs {
        environment.jobs = usize::from(jobs);
    }
    environment.recalls = !command.check_again;
    let request = BuildRequest {
        artifacts: (!command.all).then(|| command.artifacts.clone()),
        shard: command.shard,
        force: command.force || command.check_again,
        expected: expected(command)?,
    };
    let start = Instant::now();
    let progress = Progress::new(printer);
    let events = progress.events();
    let report =
        signals::run(|engine| Box::pin(async move { build(&environment, &request, &events, engine).await }))?;
    drop(progress);

    let mut noted: Vec<(&ArtifactName, usize)> = Vec::new();
    for result in &report.results {
        let (quiet, loud): (Vec<_>, Vec<_>) =
            result.findings.iter().cloned().partition(|finding| finding.level == Level::Note);
        // Of one that was denied, nothing is there to be shown.
        if !quiet.is_empty() && matches!(result.ending, Ending::Published | Ending::Unchanged) {
            noted.push((&result.artifact, quiet.len()));
        }
        findings::print(printer, result.artifact.as_str(), &loud);
    }
    for result in &report.results {
        for line in result.transformations.iter().filter_map(transformations::line) {
            printer.talk(&format!("{}: {line}", result.artifact));
        }
    }
    for digest in &report.damaged {
        printer.problem(&format!(
            "{}: {digest} in the store was damaged on the disk: it was removed, and is brought or made again where it is needed",
            printer.on_stderr(Style::Warn, "warning")
        ));
    }
    for exception in &report.unused {
        printer.talk(&format!(
            "{}: kiln.toml: the exception for `{}` accepts nothing that was found in any artifact; remove it if what it excused is fixed",
            printer.on_stderr(Style::Note, "note"),
            exception.accepts()
        ));
    }
    for left in &report.left_behind {
        printer.talk(&format!("{}: {left}", printer.on_stderr(Style::Note, "note")));
    }
    let code = exit_code(&report);
    match settings.format {
        Format::Json => printer.data(&json(&report)?),
        Format::Human => printer.data(&table(settings, &report, printer)),
        _ => printer.data(&form(settings, &report)?),
    }
    if settings.format != Format::Github {
        printer.annotations(&github_annotations(&judgements(&report)));
    }
    printer.talk(&summary(&report, start, printer));
    if !report.on_request.is_empty() {
        let names: Vec<&str> = report.on_request.iter().map(ArtifactName::as_str).collect();
        let line = format!("left out of --all, as they are built on request: {}", names.join(", "));
        printer.talk(&printer.on_stderr(Style::Faint, &line));
    }
    if let Some((first, _)) = noted.first() {
        let notes = counted(noted.iter().map(|(_, notes)| notes).sum::<usize>(), "notes");
        let of_others =
            if noted.len() > 1 { format!(", and of {} more", noted.len() - 1) } else { String::new() };
        printer.talk(&printer.on_stderr(Style::Faint, &format!("{notes}: see kiln show {first}{of_others}")));
    }
    for result in report.results {
        if let Some(error) = result.error {
            printer.problem(&format!("{}:", printer.on_stderr(Style::Strong, result.artifact.as_str())));
            Failure::of(&error).tell(printer);
        }
    }
    for index in report.indexes {
        if let Some(error) = index.error {
            printer.problem(&format!("{}:", printer.on_stderr(Style::Strong, index.artifact.as_str())));
            Failure::of(&error).tell(printer);
        }
    }
    if let Some(error) = report.error {
        Failure::of(&error).tell(printer);
    }
    Ok(code)
}

/// What artifacts must come to.
fn expected(command: &Build) -> Result<BTreeMap<ArtifactName, Expectation>, Failure> {
    let mut all = BTreeMap::new();
    for file in &command.expect {
        let label = file.display().to_string();
        let Expected { artifact, outputs, tree, record, .. } = expectation(file, &label)?;
        if !command.all && !command.artifacts.contains(&artifact) {
            return Err(Failure::usage(format!("{label} is of {artifact}, which is not to be built"))
                .hint(format!("name it: kiln build {artifact} --expect {label}")));
        }
        let other = all.insert(artifact.clone(), Expectation { label: label.clone(), outputs, tree, record });
        if let Some(other) = other {
            return Err(Failure::usage(format!("{label} and {} are both of {artifact}", other.label)));
        }
    }
    Ok(all)
}

/// The reason that a person would deal with first, as `docs/findings.md` says: what is wrong in a file that was written,
/// then what is denied, then what failed first by name.
fn exit_code(report: &BuildReport) -> Exit {
    let of_indexes = report.indexes.iter().filter_map(|index| index.error.as_ref()).map(RunError::exit);
    let of_artifacts = report.results.iter().filter_map(|result| result.error.as_ref()).map(RunError::exit);
    let after = report.error.as_ref().map(RunError::exit);
    let codes: Vec<Exit> = of_artifacts.chain(of_indexes).chain(after).collect();
    if codes.contains(&exit::INPUT_INVALID) {
        return exit::INPUT_INVALID;
    }
    if report.results.iter().any(|result| result.ending == Ending::Denied) {
        return exit::FINDINGS_DENIED;
    }
    match codes.first() {
        Some(code) => *code,
        None if report.is_success() => exit::SUCCESS,
        None => exit::UNEXPECTED,
    }
}

/// The forms that others read.
fn form(settings: &Settings, report: &BuildReport) -> Result<String, Failure> {
    let mut judgements = judgements(report);
    for (judgement, result) in judgements.iter_mut().zip(&report.results) {
        judgement.cases.extend(checks(settings, result));
    }
    forms::judged(settings.format, &judgements, || markdown_table(report))
}

/// What came of each artifact, without its checks.
fn judgements(report: &BuildReport) -> Vec<Judgement> {
    let of_artifacts = report.results.iter().map(|result| Judgement {
        name: result.artifact.to_string(),
        declared_in: Some(super::manifest_of(&result.artifact)),
        cases: vec![match (&result.error, &result.without) {
            (Some(error), _) => Failure::of(error).broken("build"),
            (None, Some(layer)) => Case::not_run("build", format!("for want of the layer {layer}")),
            (None, None) => Case::ran("build"),
        }],
        remarks: result.findings.iter().map(Remark::from).collect(),
    });
    let of_indexes = report.indexes.iter().map(|index| Judgement {
        name: index.artifact.to_string(),
        declared_in: Some(super::manifest_of(&index.artifact)),
        cases: vec![match (&index.error, &index.ending) {
            (Some(error), _) => Failure::of(error).broken("index"),
            (None, Ending::Skipped) => Case::not_run("index", "for want of a platform"),
            (None, _) => Case::ran("index"),
        }],
        remarks: Vec::new(),
    });
    let of_run = report.error.as_ref().map(|error| Failure::of(error).judgement());
    of_artifacts.chain(of_indexes).chain(of_run).collect()
}

/// The checks of an artifact, which its record has. What is not published has none.
fn checks(settings: &Settings, result: &ArtifactResult) -> Vec<Case> {
    let Some(entry) = &result.entry else {
        let why =
            "the artifact is not published, and what was checked is recorded of published artifacts alone";
        return vec![Case::not_run("checks", why)];
    };
    match resolve(&settings.environment, &format!("{}@{}", result.artifact, entry.number)) {
        Ok(build) => build.record.checks.iter().map(Case::from).collect(),
        Err(error) => vec![Failure::of(&error).broken("checks")],
    }
}

/// The artifacts as a table for a comment.
fn markdown_table(report: &BuildReport) -> Markdown {
    let mut out = Markdown::default();
    let rows = report.results.iter().map(|result| {
        let entry = result.entry.as_ref();
        let size = |of: fn(&LedgerEntry) -> u64| entry.map(of).map(format_size).unwrap_or_default();
        [
            result.artifact.to_string(),
            word(&result.ending).to_owned(),
            entry.map(|entry| format!("{}@{}", result.artifact, entry.number)).unwrap_or_default(),
            size(|entry| entry.archive_size),
            size(|entry| entry.image_unpacked_size.unwrap_or(entry.unpacked_size)),
            entry.and_then(|entry| entry.archive).map(|digest| digest.to_string()).unwrap_or_default(),
        ]
    });
    let indexes = report.indexes.iter().map(|index| {
        let digest = index.record.as_ref().map(|record| record.index.to_string()).unwrap_or_default();
        let empty = String::new;
        [index.artifact.to_string(), word(&index.ending).to_owned(), empty(), empty(), empty(), digest]
    });
    let head = [
        ("artifact", Align::Left),
        ("ending", Align::Left),
        ("build", Align::Left),
        ("packed", Align::Right),
        ("unpacked", Align::Right),
        ("digest", Align::Left),
    ];
    out.table(head, rows.chain(indexes));
    out
}

fn table(settings: &Settings, report: &BuildReport, printer: Printer) -> String {
    let names = report.results.iter().map(|result| &result.artifact);
    let names = names.chain(report.indexes.iter().map(|index| &index.artifact));
    let width = names.map(|name| name.as_str().len()).max().unwrap_or_default();
    let rows = report.results.iter().map(|result| row(settings, result, width, printer));
    rows.chain(report.indexes.iter().map(|index| index_row(index, width, printer))).collect()
}

fn word(ending: &Ending) -> &'static str {
    match ending {
        Ending::Unchanged => "unchanged",
        Ending::Published => "published",
        Ending::Denied => "denied",
        Ending::Failed => "failed",
        Ending::Skipped => "skipped",
    }
}

/// The word for an ending, in its colour.
fn styled(ending: &Ending, printer: Printer) -> String {
    let style = match ending {
        Ending::Unchanged => Style::Faint,
        Ending::Published => Style::Good,
        Ending::Denied | Ending::Failed => Style::Bad,
        Ending::Skipped => Style::Warn,
    };
    printer.on_stdout(style, &format!("{:<9}", word(ending)))
}

fn row(settings: &Settings, result: &ArtifactResult, width: usize, printer: Printer) -> String {
    let word = styled(&result.ending, printer);
    let name = result.artifact.as_str();
    match &result.entry {
        Some(entry) => {
            let digest = entry.archive.map(|digest| digest.hex()).unwrap_or_default();
            format!(
                "{name:<width$}  {word}  @{:<4} {:>9} {} {:>9} unpacked  {}{}\n",
                entry.number,
                format_size(entry.archive_size),
                if result.kind.is_some_and(kiln_record::ArtifactKind::is_image) { "image" } else { "zip" },
                format_size(entry.image_unpacked_size.unwrap_or(entry.unpacked_size)),
                printer.on_stdout(Style::Faint, &digest.chars().take(16).collect::<String>()),
                grown(settings, result, entry).unwrap_or_default(),
            )
        }
        None => {
            let why = result.without.as_ref().map(|layer| format!("  for want of {layer}"));
            format!("{name:<width$}  {word}{}\n", why.unwrap_or_default())
        }
    }
}

/// By how much an archive that was published now differs in size from the build before it.
fn grown(settings: &Settings, result: &ArtifactResult, entry: &LedgerEntry) -> Option<String> {
    if result.ending != Ending::Published {
        return None;
    }
    let before = entry_before(&settings.environment, &result.artifact, entry.number).ok()??.archive_size;
    let change = i64::try_from(entry.archive_size).ok()?.checked_sub_unsigned(before)?;
    let share = change as f64 * 100.0 / before.max(1) as f64;
    (change != 0).then(|| format!("  {} ({share:+.1} %)", format_change(change)))
}

/// An image for several platforms, after the artifacts that these are.
fn index_row(index: &IndexResult, width: usize, printer: Printer) -> String {
    let (name, word) = (index.artifact.as_str(), styled(&index.ending, printer));
    let Some(record) = &index.record else {
        let why = if index.ending == Ending::Skipped { "  for want of a platform" } else { "" };
        return format!("{name:<width$}  {word}{why}\n");
    };
    let platforms: Vec<String> = record.platforms.iter().map(|one| one.platform.to_string()).collect();
    let digest = printer.on_stdout(Style::Faint, &record.index.hex()[..16]);
    format!("{name:<width$}  {word}  index of {}  {digest}\n", platforms.join(", "))
}

fn summary(report: &BuildReport, start: Instant, printer: Printer) -> String {
    let mut parts = Vec::new();
    for (ending, word) in [
        (Ending::Published, "published"),
        (Ending::Unchanged, "unchanged"),
        (Ending::Denied, "denied"),
        (Ending::Failed, "failed"),
        (Ending::Skipped, "skipped for want of a layer"),
    ] {
        let results = report.results.iter().filter(|result| result.ending == ending);
        let names: Vec<&str> = results.map(|result| result.artifact.as_str()).collect();
        // What is denied was named with its findings.
        let is_named = matches!(ending, Ending::Failed | Ending::Skipped);
        match names.len() {
            0 => {}
            n if is_named => parts.push(format!("{n} {word} ({})", names.join(", "))),
            n => parts.push(format!("{n} {word}")),
        }
    }
    let indexes = |ending: &Ending| report.indexes.iter().filter(|index| index.ending == *ending).count();
    for (ending, what) in [
        (Ending::Published, "published"),
        (Ending::Unchanged, "unchanged"),
        (Ending::Failed, "failed"),
        (Ending::Skipped, "skipped for want of a platform"),
    ] {
        match indexes(&ending) {
            0 => {}
            1 => parts.push(format!("1 index {what}")),
            n => parts.push(format!("{n} indexes {what}")),
        }
    }
    if parts.is_empty() {
        parts.push("nothing to build".to_owned());
    }
    let findings = report.results.iter().flat_map(|result| &result.findings);
    match findings.filter(|finding| finding.level == Level::Warn).count() {
        0 => {}
        1 => parts.push("1 warning".to_owned()),
        n => parts.push(format!("{n} warnings")),
    }
    let style = if report.is_success() { Style::Good } else { Style::Bad };
    printer.on_stderr(style, &format!("{} in {:.1} s", parts.join(", "), start.elapsed().as_secs_f64()))
}

/// The document of `--format json`. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    success: bool,
    artifacts: Vec<Row<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    indexes: Vec<IndexRow<'a>>,
    /// Exceptions of `kiln.toml` that accept nothing that was found in any artifact: the code, and the subject if it is for one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unused_exceptions: Vec<String>,
    /// What `--all` left out, because its manifest says `on-request = true`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on_request: Vec<&'a str>,
    /// Folders of what is published and of no artifact of the workspace, where all of it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_behind: Vec<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct IndexRow<'a> {
    artifact: &'a str,
    ending: &'static str,
    index: Option<String>,
    /// The digest of each platform's manifest.
    platforms: BTreeMap<String, String>,
    error: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Row<'a> {
    artifact: &'a str,
    ending: &'static str,
    number: Option<u64>,
    archive: Option<String>,
    archive_size: Option<u64>,
    unpacked_size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image_unpacked_size: Option<u64>,
    findings: &'a [kiln_record::Finding],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    transformations: &'a [kiln_record::Transformation],
    error: Option<String>,
    /// Where in the workspace the error is: the first thing that is wrong in a file, or the line of a Dockerfile that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_place: Option<kiln_record::Place>,
    /// What to do about the error, one way out each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    error_hints: Vec<String>,
}

fn json(report: &BuildReport) -> Result<String, Failure> {
    let artifacts = report
        .results
        .iter()
        .map(|result| Row {
            artifact: result.artifact.as_str(),
            ending: word(&result.ending),
            number: result.entry.as_ref().map(|entry| entry.number),
            archive: result.entry.as_ref().and_then(|entry| entry.archive).map(|digest| digest.to_string()),
            archive_size: result.entry.as_ref().map(|entry| entry.archive_size),
            unpacked_size: result.entry.as_ref().map(|entry| entry.unpacked_size),
            image_unpacked_size: result.entry.as_ref().and_then(|entry| entry.image_unpacked_size),
            findings: &result.findings,
            transformations: &result.transformations,
            error: result.error.as_ref().map(ToString::to_string),
            error_place: result.error.as_ref().and_then(RunError::place),
            error_hints: result.error.as_ref().map(|error| Failure::of(error).ways_out()).unwrap_or_default(),
        })
        .collect();
    let indexes = report.indexes.iter().map(|index| IndexRow {
        artifact: index.artifact.as_str(),
        ending: word(&index.ending),
        index: index.record.as_ref().map(|record| record.index.to_string()),
        platforms: index
            .record
            .iter()
            .flat_map(|record| &record.platforms)
            .map(|one| (one.platform.to_string(), one.manifest.to_string()))
            .collect(),
        error: index.error.as_ref().map(ToString::to_string),
    });
    let indexes = indexes.collect();
    let unused_exceptions = report.unused.iter().map(StatedException::accepts).collect();
    let success = report.is_success();
    let on_request = report.on_request.iter().map(ArtifactName::as_str).collect();
    let left_behind = report.left_behind.iter().map(|left| left.folder.as_str()).collect();
    super::document(&Document {
        format: "1.0",
        success,
        artifacts,
        indexes,
        unused_exceptions,
        on_request,
        left_behind,
    })
}
