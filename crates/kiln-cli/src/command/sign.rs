//! `kiln sign`.

use crate::args::Format;
use crate::args::signing::Sign;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use crate::signals;
use crate::signing::{no_key, signer};
use crate::variables::Variables;
use kiln_invocation::read_usable_workspace;
use kiln_publish::{SignRequest, SignedRelease, origin_of, require_signable, settle_published, sign_release};
use kiln_record::{Exit, counted, exit};
use kiln_store::WorkspaceLock;
use serde::Serialize;

pub(crate) fn run(
    settings: &Settings,
    command: &Sign,
    variables: &Variables,
    printer: Printer,
) -> Result<Exit, Failure> {
    let environment = settings.published_in(command.dist.as_deref())?;
    let signer = signer(&command.key, variables, printer)?.ok_or_else(no_key)?;
    let lock = WorkspaceLock::acquire(&environment.state, environment.lock_wait)?;
    settle_published(&environment, &read_usable_workspace(&environment.root)?)?;
    let given = environment.clone();
    let not_checked = signals::run(|_| Box::pin(async move { require_signable(&given).await }))?;
    let origin = origin_of(&environment, command.origin.as_deref())?;
    let request = SignRequest { origin, not_checked, bills: command.jsf };
    let signed = sign_release(&environment, &signer, request, &lock)?;
    let (key, algorithm) = (signer.public().id().to_string(), signer.public().algorithm().to_string());
    match settings.format {
        Format::Json => printer.data(&super::document(&Document::new(&signed, &key))?),
        _ => print(&signed, &key, &algorithm, printer),
    }
    Ok(exit::SUCCESS)
}

fn print(signed: &SignedRelease, key: &str, algorithm: &str, printer: Printer) {
    for line in &signed.not_checked {
        printer.problem(&format!("{}: not checked: {line}", printer.on_stderr(Style::Warn, "warning")));
    }
    let release = &signed.release;
    let head = printer.on_stdout(Style::Good, "signed");
    printer.data(&format!(
        "{head} {}, {}\n",
        counted(release.artifacts.len(), "artifacts"),
        counted(signed.files, "files")
    ));
    let line = |key: &str, value: &str| printer.data(&format!("  {key:<10} {value}\n"));
    line("key", &format!("{key} ({algorithm})"));
    line("at", &release.signed_at.to_string());
    match &release.ledger {
        Some(ledger) => {
            line("ledger", &format!("{}: {}", ledger.log.origin, counted(ledger.log.size, "builds")))
        }
        None => line("ledger", "none here: nothing was held against one"),
    }
    if let Some(path) = signed.written.last() {
        line("statement", &path.display().to_string());
    }
    line("verify", "kiln verify --key PUBLIC.pem FOLDER");
}

/// What was signed. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    /// The key that signed: the SHA-256 of its SubjectPublicKeyInfo.
    key: &'a str,
    /// How many files the statement is about.
    files: usize,
    /// What was written; the statement is last.
    written: Vec<String>,
    /// What could not be held against anything before it was signed.
    not_checked: &'a [String],
    /// What was stated.
    release: &'a kiln_attest::Release,
}

impl<'a> Document<'a> {
    fn new(signed: &'a SignedRelease, key: &'a str) -> Self {
        Self {
            format: "1.0",
            key,
            files: signed.files,
            written: signed.written.iter().map(|path| path.display().to_string()).collect(),
            not_checked: &signed.not_checked,
            release: &signed.release,
        }
    }
}
