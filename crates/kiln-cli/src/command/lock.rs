//! `kiln lock`: what a build uses is pinned.

use super::{lock_artifact, pins_check};
use crate::args::{Format, Lock};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::signals;
use kiln_lock::{
    BaseMove, LockReport, WantedBase, bases_are_young_enough, lock_base, lockable_artifacts, unpinned_bases,
};
use kiln_record::{ArtifactName, BaseName, Exit, exit};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn run(settings: &Settings, command: &Lock, printer: Printer) -> Result<Exit, Failure> {
    // Tools before what they make, bases before what is resolved for them.
    let mut documents = Vec::new();
    let mut code = exit::SUCCESS;
    if command.dry_run && (command.tools || !command.bases.is_empty()) {
        let (more, told) = pins_check::preview(settings, &command.bases, command.tools, printer)?;
        documents.extend(more);
        code = told;
    }
    if command.tools && !command.dry_run {
        let wanted = command.tool.as_deref().map(lock_artifact::tool_version).transpose()?;
        documents.push(lock_artifact::tools(settings, wanted, printer)?);
    }
    let wanted = command
        .runtime
        .as_ref()
        .map(|runtime| WantedBase { runtime: runtime.clone(), platforms: command.platforms.clone() });
    let root = &settings.environment.root;
    let unpinned = if command.all { unpinned_bases(root)? } else { Vec::new() };
    let bases = match (command.all, command.writes_nothing()) {
        (_, true) => Vec::new(),
        (true, false) => unpinned.clone(),
        (false, false) => command.bases.clone(),
    };
    // With all of them, what is wrong with one base keeps no artifact from being locked that stands on another.
    let mut failed: BTreeMap<BaseName, Failure> = BTreeMap::new();
    for base in &bases {
        let report = {
            let wanted = wanted.clone();
            let progress = Progress::new(printer);
            let events = progress.events();
            let (environment, base) = (settings.environment.clone(), base.clone());
            signals::run(|engine| {
                Box::pin(
                    async move { lock_base(&environment, &base, wanted.as_ref(), &events, engine).await },
                )
            })
        };
        let report = match report {
            Ok(report) => report,
            Err(failure) if command.all && failure.exit() != exit::INTERRUPTED => {
                failed.insert(base.clone(), failure);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        if settings.format != Format::Json {
            print(&report, printer);
        }
        documents.push(super::json(&BaseDocument::new(&report))?);
    }
    for base in unpinned.iter().filter(|_| command.check) {
        printer.problem(&format!("{}: base {base} is not pinned", printer.on_stderr(Style::Bad, "error")));
        printer.problem(&format!("  {}: kiln lock --base {base}", printer.on_stderr(Style::Note, "help")));
        code = exit::NOT_REPRODUCIBLE;
    }
    if command.all {
        bases_are_young_enough(root, settings.environment.now)?;
    }
    let without = failed.keys().cloned().collect();
    let artifacts = if command.all { lockable_artifacts(root, &without)? } else { command.artifacts.clone() };
    if command.all && unpinned.is_empty() && artifacts.is_empty() {
        printer.talk("every base is pinned, and no artifact has requirements or sources that kiln locks");
    }
    if !artifacts.is_empty() {
        let (upstreams, moved) = lock_artifact::upstreams(settings, command, &artifacts, printer)?;
        documents.extend(upstreams);
        let (more, differs) = lock_artifact::artifacts(settings, command, &artifacts, printer)?;
        documents.extend(more);
        if command.check && (differs || moved) {
            code = exit::NOT_REPRODUCIBLE;
        }
    }
    if command.crates {
        let (document, differs) = lock_artifact::crates(settings, command, printer)?;
        documents.push(document);
        if command.check && differs {
            code = exit::NOT_REPRODUCIBLE;
        }
    }
    let mut failed = failed.into_values();
    if let Some(first) = failed.next() {
        failed.for_each(|failure| failure.print(printer));
        let all = lockable_artifacts(root, &BTreeSet::new())?;
        let left = all.iter().filter(|name| !artifacts.contains(name)).map(ArtifactName::as_str);
        let left: Vec<&str> = left.collect();
        if !left.is_empty() {
            printer.talk(&format!("not locked, as their base could not be pinned: {}", left.join(", ")));
        }
        return Err(first);
    }
    if settings.format == Format::Json {
        printer.data(&super::document(&documents)?);
    }
    Ok(code)
}

fn print(report: &LockReport, printer: Printer) {
    for file in &report.made {
        printer.data(&format!("{}: written\n", printer.on_stdout(Style::Good, file)));
    }
    if report.renewed {
        let file = printer.on_stdout(Style::Good, &report.file);
        printer.data(&format!("{file}: written: nothing moved, and the pin is of today\n"));
    } else if report.written {
        printer.data(&format!("{}: written\n", printer.on_stdout(Style::Good, &report.file)));
    } else {
        printer.data(&format!("{}: nothing moved\n", report.file));
    }
    let widest = report.moves.iter().map(|one| one.what.chars().count()).max().unwrap_or_default();
    for BaseMove { platform, what, before, after } in &report.moves {
        // The whole digest is in the lock; here it only says that it is another.
        let short = |text: &Option<String>| {
            text.as_ref().map(|text| match text.strip_prefix("sha256:") {
                Some(hex) => format!("sha256:{}…", hex.chars().take(12).collect::<String>()),
                None => text.clone(),
            })
        };
        let (before, after) = (short(before), short(after));
        let line = match (before, after) {
            (Some(before), Some(after)) => format!("{before} → {after}"),
            (None, Some(after)) => format!("+ {after}"),
            (Some(before), None) => format!("- {before}"),
            (None, None) => continue,
        };
        printer.data(&format!("  {platform}  {what:<widest$}  {line}\n"));
    }
    for remark in &report.remarks {
        printer.problem(&format!("{}: {remark}", printer.on_stderr(Style::Warn, "warning")));
    }
}

/// What locking a base did. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct BaseDocument<'a> {
    base: &'a str,
    made: &'a [String],
    file: &'a str,
    written: bool,
    moves: Vec<Row<'a>>,
    remarks: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Row<'a> {
    platform: String,
    what: &'a str,
    before: Option<&'a str>,
    after: Option<&'a str>,
}

impl<'a> BaseDocument<'a> {
    fn new(report: &'a LockReport) -> Self {
        Self {
            base: report.base.as_str(),
            made: &report.made,
            file: &report.file,
            written: report.written,
            moves: report
                .moves
                .iter()
                .map(|m| Row {
                    platform: m.platform.to_string(),
                    what: &m.what,
                    before: m.before.as_deref(),
                    after: m.after.as_deref(),
                })
                .collect(),
            remarks: &report.remarks,
        }
    }
}
