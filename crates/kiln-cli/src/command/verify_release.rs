//! `kiln verify --key`: a signed release, in any folder or from a registry.

use crate::args::{Format, Verify};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use crate::signals;
use crate::signing::{public_keys, text};
use fs_err as fs;
use kiln_attest::{ConsistencyProof, PublicKey, SignedNote};
use kiln_invocation::Events;
use kiln_publish::{
    Aspect, CheckRequest, CheckedRelease, PublishError, PullRequest, RELEASE, RebuildersRequest, State,
    check_release, is_registry_reference, pull, rebuilt_by,
};
use kiln_record::{Exit, exit};
use kiln_report::{Align, Markdown};
use serde::Serialize;
use std::path::{Path, PathBuf};

pub(crate) fn run(settings: &Settings, command: &Verify, printer: Printer) -> Result<Exit, Failure> {
    let keys = public_keys(&command.signed.key)?;
    let since = match &command.signed.since {
        None => None,
        Some(path) => Some(known(path, command.signed.proof.as_deref(), &keys)?),
    };
    let (folder, _pulled) = folder(settings, command)?;
    let mut checked = CheckedRelease::default();
    if !keys.is_empty() {
        let (folder, kiln) = (folder.clone(), settings.environment.kiln.clone());
        checked = check_release(&CheckRequest { folder, keys, kiln, since })?;
    }
    if let Some(require) = command.signed.require {
        let (keys, verdicts) = (rebuilders(&command.signed.keys)?, command.signed.verdicts.clone());
        checked.aspects.push(rebuilt_by(&folder, &RebuildersRequest { require, keys, verdicts })?);
    }
    match settings.format {
        Format::Json => printer.data(&super::document(&Document::new(&checked))?),
        Format::Markdown => printer.data(markdown(&checked).text()),
        _ => {
            checked.aspects.iter().for_each(|aspect| printer.data(&line(aspect, printer)));
            printer.talk(&summary(&checked));
        }
    }
    Ok(if checked.holds() { exit::SUCCESS } else { exit::SIGNATURE_REFUSED })
}

/// The keys of rebuilders, in files and in folders.
fn rebuilders(named: &[PathBuf]) -> Result<Vec<PublicKey>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        for entry in fs::read_dir(path).map_err(|error| Failure::input(error.to_string()))? {
            let file = entry.map_err(|error| Failure::input(error.to_string()))?.path();
            if file.extension().is_some_and(|end| end == "pem") {
                files.push(file);
            }
        }
    }
    files.sort();
    public_keys(&files)
}

/// The checkpoint that is known, which has to be signed as well, and the proof.
fn known(
    path: &Path,
    proof: Option<&Path>,
    keys: &[PublicKey],
) -> Result<(kiln_attest::Checkpoint, Option<ConsistencyProof>), Failure> {
    let note = SignedNote::parse(&text(path)?).map_err(PublishError::from)?;
    let checkpoint = note.verify(keys).map_err(PublishError::from)?.0.clone();
    let proof = proof.map(|path| {
        let text = text(path)?;
        ConsistencyProof::parse(&text).map_err(|error| Failure::from(PublishError::from(error)))
    });
    Ok((checkpoint, proof.transpose()?))
}

/// The folder of the release; what a registry has is brought into one that is gone afterwards.
fn folder(settings: &Settings, command: &Verify) -> Result<(PathBuf, Option<tempfile::TempDir>), Failure> {
    let named = match command.files.as_slice() {
        [] => {
            let dist = settings.environment.dist.clone();
            return Ok((if dist.join(RELEASE).is_file() { dist } else { PathBuf::from(".") }, None));
        }
        [one] => one,
        _ => return Err(Failure::usage("with --key one release is looked at: name one folder or reference")),
    };
    if named.is_dir() {
        return Ok((named.clone(), None));
    }
    let reference = named.display().to_string();
    if named.exists() || !is_registry_reference(&reference) {
        let what =
            if named.exists() { "is a file" } else { "is not there, and is no reference to a registry" };
        return Err(Failure::input(format!("{reference} {what}"))
            .hint(format!("name the folder of the release, which holds {RELEASE}")));
    }
    let into = tempfile::tempdir().map_err(|error| Failure::store(error.to_string()))?;
    let (environment, plain_http) = (settings.environment.clone(), command.plain_http);
    let request = PullRequest { reference, platform: None, into: into.path().to_owned(), plain_http };
    let silent = Events::none();
    signals::run(|_| Box::pin(async move { pull(&environment, &request, &silent).await }))?;
    Ok((into.path().to_owned(), Some(into)))
}

fn word(state: State) -> &'static str {
    match state {
        State::Same | State::Noted => "ok",
        State::NotChecked => "not checked",
        State::Differs => "failed",
    }
}

fn line(aspect: &Aspect, printer: Printer) -> String {
    let style = match aspect.state {
        State::Same | State::Noted => Style::Good,
        State::NotChecked => Style::Warn,
        State::Differs => Style::Bad,
    };
    let state = printer.on_stdout(style, &format!("{:<11}", word(aspect.state)));
    let (first, rest) =
        aspect.lines.split_first().map_or(("", [].as_slice()), |(first, rest)| (first.as_str(), rest));
    let rest: String = rest.iter().map(|line| format!("{:<24}{line}\n", "")).collect();
    format!("{state} {:<11} {first}\n{rest}", aspect.name)
}

fn summary(checked: &CheckedRelease) -> String {
    let count = |state| checked.aspects.iter().filter(|aspect| aspect.state == state).count();
    match (count(State::Differs), count(State::NotChecked)) {
        (0, 0) => "everything holds".to_owned(),
        (0, unchecked) => format!("nothing is wrong; {unchecked} not checked"),
        (wrong, _) => format!("{wrong} of {} do not hold: this is not to be used", checked.aspects.len()),
    }
}

fn markdown(checked: &CheckedRelease) -> Markdown {
    let mut out = Markdown::default();
    let rows = checked
        .aspects
        .iter()
        .map(|one| [word(one.state).to_owned(), one.name.to_owned(), one.lines.join("; ")]);
    out.table(["", "what", "found"].map(|name| (name, Align::Left)), rows);
    out
}

/// What was found. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    /// Whether nothing is wrong.
    success: bool,
    /// The keys that signed, of those that were given.
    keys: Vec<&'a str>,
    /// What the statement says, if it is signed.
    release: Option<&'a kiln_attest::Release>,
    aspects: Vec<Row<'a>>,
}

/// One thing that was looked at.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Row<'a> {
    name: &'a str,
    /// `ok`, `failed` or `not-checked`.
    state: String,
    lines: &'a [String],
}

impl<'a> Document<'a> {
    fn new(checked: &'a CheckedRelease) -> Self {
        Self {
            format: "1.0",
            success: checked.holds(),
            keys: checked.keys.iter().map(String::as_str).collect(),
            release: checked.release.as_ref(),
            aspects: checked
                .aspects
                .iter()
                .map(|one| Row {
                    name: one.name,
                    state: word(one.state).replace(' ', "-"),
                    lines: &one.lines,
                })
                .collect(),
        }
    }
}
