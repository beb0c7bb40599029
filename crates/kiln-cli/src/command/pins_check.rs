//! `kiln pins --check`: what is upstream of pins now.

use super::pins_document::Row;
use crate::args::Format;
use crate::failure::{Failure, chain};
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::signals;
use kiln_audit::format_size;
use kiln_lock::{
    ArtifactLock, ArtifactLockRequest, Move, Newer, Pin, PinnedThing, Wanted, lock_artifacts,
    lockable_artifacts, newer, newer_upstreams,
};
use kiln_record::{ArtifactName, BaseName, Exit, exit};
use kiln_report::{Align, Markdown};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// What was asked of one pin, or of the distributions of one artifact.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Asked {
    /// `base`, `tool`, `upstream` or `distributions`.
    kind: &'static str,
    name: String,
    /// What would move.
    moves: Vec<Moved>,
    /// Bytes that moving would bring, as far as that is known beforehand.
    bytes: u64,
    /// Distributions of which there is a newer version that the target does not take.
    held_back: Vec<HeldBack>,
    /// What moves it.
    command: String,
    /// Why it could not be asked, if it could not.
    error: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Moved {
    what: String,
    before: Option<String>,
    /// Absent if it is gone.
    after: Option<String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct HeldBack {
    distribution: String,
    /// The newest that the target takes.
    takes: String,
    /// The newest of all.
    newest: String,
    reason: String,
}

/// What is pinned, and what is upstream of it now. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    pins: Vec<Row<'a>>,
    upstream: &'a [Asked],
}

/// Asks, and tells. What cannot be asked keeps the rest from nothing, and decides the exit code. Gives the artifacts, too, of whose
/// distributions something is newer.
pub(super) fn run(
    settings: &Settings,
    pins: &[Pin],
    printer: Printer,
) -> Result<(Exit, BTreeSet<ArtifactName>), Failure> {
    let (mut asked, mut code, mut outdated) = (Vec::new(), exit::SUCCESS, BTreeSet::new());
    for newer in of_pins(settings, printer)? {
        asked.push(Asked::of_pin(newer, &mut code));
    }
    for artifact in lockable_artifacts(&settings.environment.root, &BTreeSet::new())? {
        match of_upstreams(settings, &artifact, printer) {
            Ok(all) => asked.extend(all.into_iter().map(|newer| Asked::of_pin(newer, &mut code))),
            Err(failure) => asked.push(Asked::failed("upstream", &artifact, &failure, &mut code)),
        }
        match of_distributions(settings, &artifact, printer) {
            Ok(locks) => {
                let newer = locks.iter().filter(|lock| !lock.changes.is_empty());
                outdated.extend(newer.map(|lock| lock.artifact.clone()));
                asked.extend(locks.iter().map(Asked::of_distributions));
            }
            Err(failure) => asked.push(Asked::failed("distributions", &artifact, &failure, &mut code)),
        }
    }
    match settings.format {
        Format::Json => {
            let now = settings.environment.now;
            let pins = pins.iter().map(|pin| Row::new(pin, now)).collect();
            printer.data(&super::document(&Document { format: "1.0", pins, upstream: &asked })?);
        }
        Format::Markdown => printer.data(markdown(&asked).text()),
        _ => asked.iter().for_each(|asked| printer.data(&asked.text(printer))),
    }
    Ok((code, outdated))
}

/// What would move, what is held back, what has nothing newer, and what could not be asked.
fn markdown(asked: &[Asked]) -> Markdown {
    let mut out = Markdown::default();
    let called = |one: &Asked| format!("{} {}", one.kind, one.name);
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".to_owned());
    out.heading("What is newer").table(
        ["pin", "what", "pinned", "now", "moved by"].map(|name| (name, Align::Left)),
        asked.iter().flat_map(|one| {
            one.moves.iter().map(|moved| {
                let (before, after) = (version(&moved.before), version(&moved.after));
                [called(one), moved.what.clone(), before, after, one.command.clone()]
            })
        }),
    );
    out.table(
        ["held back", "distribution", "the newest that fits", "newest", "why"]
            .map(|name| (name, Align::Left)),
        asked.iter().flat_map(|one| {
            one.held_back.iter().map(|held| {
                let HeldBack { distribution, takes, newest, reason } = held;
                [called(one), distribution.clone(), takes.clone(), newest.clone(), reason.clone()]
            })
        }),
    );
    let answered = |one: &&Asked| one.error.is_none() && one.moves.is_empty();
    out.list(asked.iter().filter(answered).map(|one| format!("{}: nothing newer", called(one))));
    let failed = asked.iter().filter_map(|one| Some((one, one.error.as_ref()?)));
    out.list(failed.map(|(one, error)| format!("{}: not asked: {error}", called(one))));
    out
}

fn of_pins(settings: &Settings, printer: Printer) -> Result<Vec<Newer>, Failure> {
    ask(settings, Wanted { bases: None, tools: true }, printer)
}

fn ask(settings: &Settings, wanted: Wanted, printer: Printer) -> Result<Vec<Newer>, Failure> {
    let progress = Progress::new(printer);
    let (events, environment) = (progress.events(), settings.environment.clone());
    signals::run(|engine| Box::pin(async move { newer(&environment, &wanted, &events, engine).await }))
}

/// What pinning bases anew would move; nothing is written.
pub(super) fn preview(
    settings: &Settings,
    bases: &[BaseName],
    tools: bool,
    printer: Printer,
) -> Result<(Vec<Value>, Exit), Failure> {
    let (mut code, mut documents) = (exit::SUCCESS, Vec::new());
    for newer in ask(settings, Wanted { bases: Some(bases.iter().cloned().collect()), tools }, printer)? {
        let asked = Asked::of_pin(newer, &mut code);
        if settings.format != Format::Json {
            printer.data(&asked.text(printer));
        }
        documents.push(super::json(&asked)?);
    }
    Ok((documents, code))
}

fn of_upstreams(
    settings: &Settings,
    artifact: &ArtifactName,
    printer: Printer,
) -> Result<Vec<Newer>, Failure> {
    let progress = Progress::new(printer);
    let (events, environment) = (progress.events(), settings.environment.clone());
    let artifact = artifact.clone();
    signals::run(|_| Box::pin(async move { newer_upstreams(&environment, &artifact, &events).await }))
}

fn of_distributions(
    settings: &Settings,
    artifact: &ArtifactName,
    printer: Printer,
) -> Result<Vec<ArtifactLock>, Failure> {
    let progress = Progress::new(printer);
    let (events, environment) = (progress.events(), settings.environment.clone());
    let request = ArtifactLockRequest {
        artifacts: vec![artifact.clone()],
        upgrade: true,
        upgrade_packages: Vec::new(),
        check: true,
    };
    let asked = signals::run(|engine| {
        Box::pin(async move { lock_artifacts(&environment, &request, &events, engine).await })
    });
    Ok(asked?.0)
}

impl Asked {
    fn of_pin(newer: Newer, code: &mut Exit) -> Self {
        let Newer { thing, name, moves, command } = newer;
        let (moves, error) = match moves {
            Ok(moves) => (moves, None),
            Err(error) => {
                let told = chain(&error);
                *code = Failure::from(error).exit();
                (Vec::new(), Some(told))
            }
        };
        Self {
            kind: PinnedThing::as_str(thing),
            name,
            bytes: moves.iter().filter_map(|moved| moved.bytes).sum(),
            moves: moves
                .into_iter()
                .map(|Move { what, before, after, .. }| Moved { what, before, after })
                .collect(),
            held_back: Vec::new(),
            command,
            error,
        }
    }

    fn of_distributions(lock: &ArtifactLock) -> Self {
        let moves = lock.changes.iter().map(|change| Moved {
            what: change.name.to_string(),
            before: change.before.clone(),
            after: change.after.clone(),
        });
        let held_back = lock.held_back.iter().map(|held| HeldBack {
            distribution: held.name.to_string(),
            takes: held.locked.clone(),
            newest: held.newest.clone(),
            reason: held.reason.clone(),
        });
        Self {
            kind: "distributions",
            name: lock.artifact.to_string(),
            moves: moves.collect(),
            bytes: lock.bytes.unwrap_or_default(),
            held_back: held_back.collect(),
            command: format!("kiln lock {} --upgrade", lock.artifact),
            error: None,
        }
    }

    fn failed(kind: &'static str, artifact: &ArtifactName, failure: &Failure, code: &mut Exit) -> Self {
        *code = failure.exit();
        Self {
            kind,
            name: artifact.to_string(),
            moves: Vec::new(),
            bytes: 0,
            held_back: Vec::new(),
            command: format!("kiln lock {artifact} --upgrade"),
            error: Some(failure.message().to_owned()),
        }
    }

    fn text(&self, printer: Printer) -> String {
        let name = printer.on_stdout(Style::Strong, &self.name);
        if let Some(error) = &self.error {
            let word = printer.on_stdout(Style::Bad, "not asked");
            return format!("{} {name}  {word}: {error}\n", self.kind);
        }
        let mut text = match self.moves.len() {
            0 => format!("{} {name}  nothing newer\n", self.kind),
            number => {
                let bytes = match self.bytes {
                    0 => String::new(),
                    bytes => format!(", {} to bring", format_size(bytes)),
                };
                format!("{} {name}  {number} moved{bytes}: {}\n", self.kind, self.command)
            }
        };
        for Moved { what, before, after } in &self.moves {
            let line = match (before, after) {
                (Some(before), Some(after)) => format!("{before} → {after}"),
                (None, Some(after)) => format!("+ {after}"),
                (Some(before), None) => format!("- {before}, which is there no more"),
                (None, None) => continue,
            };
            text.push_str(&format!("    {what:<32} {line}\n"));
        }
        for HeldBack { distribution, takes, newest, reason } in &self.held_back {
            text.push_str(&format!(
                "    {distribution:<32} {takes} is the newest that fits; {newest} {reason}\n"
            ));
        }
        text
    }
}
