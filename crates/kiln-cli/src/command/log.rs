//! `kiln log`.

use crate::args::Format;
use crate::args::signing::Log;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use crate::signing::{public_keys, signer};
use crate::variables::Variables;
use kiln_publish::{checkpoint_of, consistency_proof, hold_log, log_state, origin_of};
use kiln_record::{Exit, counted, exit};
use kiln_store::WorkspaceLock;
use serde::Serialize;

pub(crate) fn run(
    settings: &Settings,
    command: &Log,
    variables: &Variables,
    printer: Printer,
) -> Result<Exit, Failure> {
    let environment = &settings.environment;
    if let Some(older) = &command.since {
        let proof = consistency_proof(environment, older)?.to_text();
        match settings.format {
            Format::Json => {
                printer.data(&super::document(&Document { proof: Some(proof), ..Document::empty() })?)
            }
            _ => printer.data(&proof),
        }
        return Ok(exit::SUCCESS);
    }
    let keys = public_keys(&command.key)?;
    let mut held = Vec::new();
    for path in &command.checkpoint {
        let older = hold_log(environment, path, command.origin.as_deref(), &keys)?;
        held.push(HeldCheckpoint {
            file: path.display().to_string(),
            size: older.size,
            signature: if keys.is_empty() { "not-checked" } else { "ok" },
        });
    }
    let note = match signer(&command.sign, variables, printer)? {
        Some(signer) => {
            let lock = WorkspaceLock::acquire(&environment.state, environment.lock_wait)?;
            let origin = origin_of(environment, command.origin.as_deref())?;
            Some(checkpoint_of(environment, &signer, &origin, &lock)?.to_text())
        }
        None => None,
    };
    let state = log_state(environment)?;
    let document = Document {
        origin: Some(state.now.origin.clone()),
        size: Some(state.now.size),
        root: Some(state.now.root.to_string()),
        signed: state.signed,
        held,
        checkpoint: note,
        ..Document::empty()
    };
    match (settings.format, &document.checkpoint) {
        (Format::Json, _) => printer.data(&super::document(&document)?),
        (_, Some(note)) => printer.data(note),
        _ => print(&document, printer),
    }
    Ok(exit::SUCCESS)
}

fn print(document: &Document, printer: Printer) {
    let line = |key: &str, value: &str| printer.data(&format!("{key:<8} {value}\n"));
    let size = document.size.unwrap_or(0);
    line("log", document.origin.as_deref().unwrap_or_default());
    line("entries", &size.to_string());
    line("root", document.root.as_deref().unwrap_or_default());
    line(
        "signed",
        &match document.signed {
            None => "never here: kiln sign, or kiln log --key-file FILE".to_owned(),
            Some(signed) if signed == size => "all of it".to_owned(),
            Some(signed) => format!("the first {signed}"),
        },
    );
    for one in &document.held {
        let word = printer.on_stdout(Style::Good, "ok");
        let by = if one.signature == "ok" {
            ""
        } else {
            "; by whom it is signed was not checked: --key PUBLIC.pem"
        };
        printer.data(&format!(
            "{word}       {} of {} is continued{by}\n",
            one.file,
            counted(one.size, "entries")
        ));
    }
}

/// The log. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document {
    format: &'static str,
    /// What it is called.
    origin: Option<String>,
    /// How many entries it has.
    size: Option<u64>,
    /// The root over them.
    root: Option<String>,
    /// How many entries the last checkpoint that was signed here is over.
    signed: Option<u64>,
    /// Older checkpoints that it continues.
    held: Vec<HeldCheckpoint>,
    /// The checkpoint that was signed now.
    checkpoint: Option<String>,
    /// The proof that was asked for.
    proof: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct HeldCheckpoint {
    file: String,
    size: u64,
    /// `ok`, or `not-checked` where no key was given.
    signature: &'static str,
}

impl Document {
    fn empty() -> Self {
        Self {
            format: "1.0",
            origin: None,
            size: None,
            root: None,
            signed: None,
            held: Vec::new(),
            checkpoint: None,
            proof: None,
        }
    }
}
