//! `kiln gather`.

use crate::args::{Format, Gather};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use kiln_publish::gather;
use kiln_record::{ArtifactName, Exit, exit};
use kiln_store::WorkspaceLock;
use serde::Serialize;

pub(crate) fn run(settings: &Settings, command: &Gather, printer: Printer) -> Result<Exit, Failure> {
    let environment = &settings.environment;
    let lock = WorkspaceLock::acquire(&environment.state, environment.lock_wait)?;
    let gathered = gather(environment, &command.folders, &lock)?;
    let is_whole = gathered.missing.is_empty();
    if settings.format == Format::Json {
        let document = Document {
            format: "1.0",
            success: is_whole || command.partial,
            published: &gathered.published,
            unchanged: &gathered.unchanged,
            without_ledger: &gathered.without_ledger,
            missing: &gathered.missing,
        };
        printer.data(&super::document(&document)?);
    } else {
        for (style, word, names) in [
            (Style::Good, "published", &gathered.published),
            (Style::Good, "unchanged", &gathered.unchanged),
            (Style::Bad, "missing", &gathered.missing),
        ] {
            for name in names {
                let note = match gathered.without_ledger.contains(name) {
                    true => "  its files fit each other; no ledger came with it to hold them against",
                    false => "",
                };
                let word = printer.on_stdout(style, &format!("{word:<9}"));
                printer.data(&format!("{word} {name}{note}\n"));
            }
        }
    }
    if is_whole || command.partial {
        return Ok(exit::SUCCESS);
    }
    Err(Failure::input(format!(
        "{} of the workspace were built by none of these: every shard must be given",
        gathered.missing.len()
    ))
    .hint("what was there is gathered; give the other folders to another kiln gather")
    .hint("or say that they come later: --partial"))
}

/// What was gathered. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    /// Whether every artifact of the workspace is published, or need not be yet.
    success: bool,
    published: &'a [ArtifactName],
    /// Published before, the same.
    unchanged: &'a [ArtifactName],
    /// What no ledger came with, so that its files could be held against each other alone.
    without_ledger: &'a [ArtifactName],
    /// Artifacts of the workspace that are published nowhere.
    missing: &'a [ArtifactName],
}
