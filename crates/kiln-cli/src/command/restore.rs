//! `kiln restore`.

use super::expected_build::{Named, Wanted, built};
use crate::args::Format;
use crate::args::restore::Restore;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::{Call, Needs, Settings};
use crate::signals;
use kiln_rebuild::{RebuildError, Release, RestoreRequest, Restored, keep_rebuilt, restore};
use kiln_record::{Exit, exit};
use serde::Serialize;
use std::path::PathBuf;

pub(crate) fn run(call: &Call<'_>, command: &Restore, printer: Printer) -> Result<Exit, Failure> {
    let settings = Settings::new(call.global, call.variables, Needs::Nothing)?;
    let named = call.named(&command.build)?;
    let label = named.label.clone();
    let release = match &named.wanted {
        Wanted::Index(index) => Release::of_index(index)?,
        Wanted::Build(expected) => match &expected.record {
            Some(record) => Release::of_record(record)?,
            None => {
                return Err(Failure::usage(format!("{label} does not list the files of the build"))
                    .hint("name its record.json, or ARTIFACT@N"));
            }
        },
    };
    let artifact = named.wanted.artifact();
    let output = match (&command.output, named.number) {
        (Some(output), _) => output.clone(),
        (None, Some(number)) => PathBuf::from(format!("restored/{artifact}@{number}")),
        (None, None) => PathBuf::from(format!("restored/{artifact}")),
    };
    let output = std::path::absolute(&output).map_err(RebuildError::from)?;
    let request = RestoreRequest {
        label: label.clone(),
        release,
        output,
        registry: command.registry.clone(),
        plain_http: command.plain_http,
    };
    let progress = Progress::new(printer);
    let (asked, events) = (request.clone(), progress.events());
    let found =
        signals::run(|_| Box::pin(async move { restore(&settings.environment, &asked, &events).await }))?;
    let restored = match found {
        Ok(restored) => restored,
        Err(tried) => again(call, command, &named, &request, tried, &progress)?,
    };
    drop(progress);
    let files = restored
        .files
        .iter()
        .map(|(path, digest)| File { path: path.display().to_string(), digest: digest.to_string() })
        .collect();
    let document = Document {
        format: "1.0",
        build: &label,
        from: &restored.from,
        folder: restored.folder.display().to_string(),
        files,
        tried: &restored.tried,
    };
    match call.global.format {
        Format::Json => printer.data(&super::document(&document)?),
        _ => {
            let from = printer.on_stdout(Style::Good, &restored.from);
            printer.data(&format!("{label}: from {from}\n  in {}\n", document.folder));
            for one in &restored.tried {
                printer.data(&format!("  not from {one}\n"));
            }
        }
    }
    Ok(exit::SUCCESS)
}

/// Builds it again, where a source is known.
fn again(
    call: &Call<'_>,
    command: &Restore,
    named: &Named,
    request: &RestoreRequest,
    mut tried: Vec<String>,
    progress: &Progress,
) -> Result<Restored, Failure> {
    let nowhere = |tried| RebuildError::NotToBeHad { what: request.label.clone(), reasons: tried };
    if command.source.is_none() && named.link.as_ref().and_then(|link| link.commit()).is_none() {
        let why = named
            .link
            .as_ref()
            .map_or_else(|| "nothing says which commit it was made of".to_owned(), ToString::to_string);
        tried.push(format!("building again: {why}"));
        return Err(nowhere(tried).into());
    }
    let (source, scratch, _) = call.place(named, command.source.as_deref())?;
    let (_scratch, again) = built(scratch, &named.wanted, progress)?;
    Ok(keep_rebuilt(request, again.folder(), &source.to_string(), tried)?)
}

/// The document of `--format json`. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    build: &'a str,
    /// Where it came from.
    from: &'a str,
    folder: String,
    files: Vec<File>,
    /// The places that did not have it, and why.
    tried: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct File {
    path: String,
    digest: String,
}
