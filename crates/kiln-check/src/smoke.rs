//! The smoke check: the artifact handles events in its base, under the Lambda Runtime API.

use crate::CheckError;
use crate::function::{Function, FunctionEvent, Served, bootstrap_path};
use crate::source_place::of_workspace;
use crate::text::without_addresses;
use kiln_collect::{CollectError, Collection, Part, ReadyLayer, judge};
use kiln_guest::{Bases, Given, Loaded};
use kiln_invocation::{Event, Run};
use kiln_plan::{ArtifactPlan, InvalidFiles, Manifest, Problem, SmokeMatch, SmokeStatus};
use kiln_python::{EventReport, Expectation, Match, SmokeProblem, smoke_outcome};
use kiln_record::{
    ArtifactKind, Check, CheckName, Code, Defect, Digest, Finding, InputRole, Level, Place, Runtime, TreePath,
};
use kiln_store::{EventMeasure, SmokeMeasure};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// What the smoke check found and measured.
#[derive(Debug, Default)]
pub struct Smoke {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What was looked at, and what was not.
    pub checks: Vec<Check>,
    /// What this run measured.
    pub measured: Option<SmokeMeasure>,
}

/// The paths of the files that the events of a manifest name, each with where it is named.
pub fn smoke_files(manifest: &Manifest) -> impl Iterator<Item = &String> {
    manifest.smoke.iter().flat_map(|event| std::iter::once(&event.event).chain(&event.expect))
}

/// The problem of a file that an event names and that is not there.
pub fn smoke_file_missing(manifest: &Manifest, path: &str) -> CheckError {
    InvalidFiles(vec![
        Problem::in_file(&manifest.file, format!("[[smoke]] names {path}, which does not exist"))
            .help("write the file; its path is relative to the manifest's folder"),
    ])
    .into()
}

/// Lets the function handle the events of its manifest.
pub async fn smoke(
    bases: &Bases,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    collection: &Arc<Collection>,
    parts: &[Part],
    layers: &[ReadyLayer],
    loaded: Option<&Loaded>,
) -> Result<Smoke, CheckError> {
    let manifest = &plan.manifest;
    let not_checked = |reason: String| {
        Ok(Smoke { checks: vec![Check::not_checked(CheckName::Smoke, reason)], ..Smoke::default() })
    };
    if manifest.kind == ArtifactKind::LambdaLayer {
        return not_checked("a layer is not invoked; functions that use it can be".to_owned());
    }
    if manifest.smoke.is_empty() {
        return not_checked("the manifest has no [[smoke]]".to_owned());
    }
    if !bases.can_run(&plan.base).await? {
        let architecture = manifest.target.architecture.lambda();
        let finding = Finding::new(
            Code::NotChecked,
            "smoke",
            format!("no event was handled: there is no {architecture} engine here"),
        )
        .remedy(format!("build on a machine, or with an engine, of {architecture}"));
        let checks = vec![Check::not_checked(CheckName::Smoke, format!("no {architecture} engine"))];
        return Ok(Smoke { findings: vec![finding], checks, ..Smoke::default() });
    }
    let image = match loaded {
        Some(loaded) => loaded.id().await?.to_owned(),
        None => bases.image(&plan.base).await?,
    };
    let events = read_events(bases.run().root(), plan)?;
    let bootstrap =
        (loaded.is_none() && runtime.python.is_none()).then(|| bootstrap(collection, layers)).transpose()?;
    let tree = |path: &'static str, trees| Given::new(path, trees, false).bring(bases, &image);
    let mut trees = Vec::new();
    if loaded.is_none() {
        trees.push(tree("/var/task", vec![Arc::clone(collection)]).await?);
    }
    if !layers.is_empty() {
        let of_layers = layers.iter().map(|layer| Arc::clone(&layer.collection)).collect();
        trees.push(tree("/opt", of_layers).await?);
    }
    let function = Function {
        manifest,
        base: &plan.base,
        runtime,
        image: &image,
        runs: loaded.map(|loaded| &loaded.runs),
        trees,
        bootstrap,
    };
    let (events, expected): (Vec<FunctionEvent>, Vec<Expectation>) = events.into_iter().unzip();
    let (report, limits) = match function.serve(bases, "smoke", &events).await? {
        Served::Handled { report, limits } => (report, limits),
        Served::NoServer => {
            return not_checked(format!(
                "base {} has no Python, which serves the Runtime API",
                plan.base.definition.name
            ));
        }
        Served::Tampered(why) => return Ok(tampered(manifest, &why)),
    };
    let lambda_init = limits.lambda_init;
    let judged = smoke_outcome(&report, &expected, runtime, &limits);
    let notes: Vec<String> = report.events.iter().filter_map(|event| slow_init(event, lambda_init)).collect();
    for note in &notes {
        bases.run().tell(Event::Measured { artifact: manifest.name.clone(), note: note.clone() });
    }
    Ok(Smoke {
        measured: Some(SmokeMeasure {
            client: client(bootstrap.is_some(), loaded.is_some(), parts, layers),
            events: report.events.iter().map(|event| measure(event, &judged.problems)).collect(),
            notes,
        }),
        findings: judged
            .problems
            .into_iter()
            .map(|problem| finding(bases.run(), plan, collection, problem))
            .collect(),
        checks: judged.checks,
    })
}

/// What is told of a start that took longer than Lambda waits. It differs from run to run, so it is no finding.
fn slow_init(event: &EventReport, lambda_waits: u64) -> Option<String> {
    let took = Duration::try_from_secs_f64(event.init_ms? / 1000.0).ok()?;
    (took > Duration::from_secs(lambda_waits)).then(|| {
        format!(
            "{}: {:.1} s until it asked for an event; Lambda stops an init after {lambda_waits} s, and starts it again within the time of the event",
            event.name,
            took.as_secs_f64()
        )
    })
}

/// What comes of a report that is none of the server's.
fn tampered(manifest: &Manifest, why: &str) -> Smoke {
    let cause = format!("what came of its events is not what the server of the check reports: {why}");
    let finding = Finding::new(Code::CheckTampered, manifest.name.as_str(), cause).remedy(
        "see what the function does while it handles events: it interferes with processes that are not its own",
    );
    let check = Check::not_checked(CheckName::Smoke, "the check was tampered with");
    Smoke { findings: vec![finding], checks: vec![check], measured: None }
}

/// Reads the files of the events. They must be what was planned, and JSON.
fn read_events(root: &Path, plan: &ArtifactPlan) -> Result<Vec<(FunctionEvent, Expectation)>, CheckError> {
    let read = |path: &str| -> Result<(Vec<u8>, serde_json::Value), CheckError> {
        let bytes = fs_err::read(root.join(path))?;
        let planned = plan.inputs.iter().find(|input| input.role == InputRole::Check && input.name == path);
        if planned.map(|input| input.digest) != Some(Digest::of(&bytes)) {
            return Err(CollectError::SourceChanged { path: path.to_owned() }.into());
        }
        match serde_json::from_slice(&bytes) {
            Ok(value) => Ok((bytes, value)),
            Err(error) => Err(InvalidFiles(vec![
                Problem::in_file(path, format!("it is not JSON: {error}"))
                    .help(format!("{} names it in a [[smoke]]", plan.manifest.file)),
            ])
            .into()),
        }
    };
    plan.manifest
        .smoke
        .iter()
        .map(|stated| {
            let (content, _) = read(&stated.event)?;
            let answer = match &stated.expect {
                Some(path) => Some((path.clone(), read(path)?.1)),
                None => None,
            };
            let expectation = Expectation {
                name: stated.name.clone(),
                fails: stated.status == SmokeStatus::Error,
                error_type: stated.error_type.clone(),
                answer,
                matching: match stated.matching {
                    SmokeMatch::Subset => Match::Subset,
                    SmokeMatch::Exact => Match::Exact,
                    SmokeMatch::Shape => Match::Shape,
                },
            };
            let event = FunctionEvent { name: stated.name.clone(), content, cold: stated.cold };
            Ok((event, expectation))
        })
        .collect()
}

/// The program of a runtime without a language, where Lambda looks for it.
fn bootstrap(collection: &Collection, layers: &[ReadyLayer]) -> Result<&'static str, CheckError> {
    let name = TreePath::new("bootstrap").map_err(|error| Defect::new(error.to_string()))?;
    let in_layer = layers.iter().any(|layer| layer.collection.tree.get(&name).is_some());
    let in_task = collection.tree.get(&name).is_some();
    Ok(bootstrap_path(in_task, in_layer))
}

/// What ran the handler.
fn client(bootstrap: bool, in_image: bool, parts: &[Part], layers: &[ReadyLayer]) -> String {
    const NAME: &str = "awslambdaric";
    if bootstrap {
        return "bootstrap".to_owned();
    }
    let own = parts
        .iter()
        .find(|part| part.component.name == NAME)
        .and_then(|part| part.component.version.as_ref());
    let of_layer = || {
        let mut all = layers.iter().flat_map(|layer| &layer.distributions);
        all.find(|(name, _)| name.as_str() == NAME).map(|(_, version)| version)
    };
    let other = if in_image { "the base's client" } else { "kiln" };
    own.or_else(of_layer).map_or_else(|| other.to_owned(), |version| format!("{NAME} {version}"))
}

/// The finding of a problem. What this run saw is part of it only where the artifact is not published: a record holds
/// nothing that the next run may see otherwise.
fn finding(run: &Run, plan: &ArtifactPlan, collection: &Collection, problem: SmokeProblem) -> Finding {
    let SmokeProblem { mut finding, lines, trace, .. } = problem;
    let judged = judge(plan, std::slice::from_ref(&finding), run.now());
    if judged.iter().any(|finding| finding.level == Level::Deny) {
        finding.detail.extend(lines.iter().map(|line| without_addresses(line)));
        finding.place = trace.iter().rev().find_map(|place| {
            let file = place.file.strip_prefix(plan.manifest.mount())?.strip_prefix('/')?;
            of_workspace(run.root(), collection, &Place { file: file.to_owned(), line: place.line })
        });
    } else {
        finding = finding.remedy(format!("see what the last run saw: kiln show {}", plan.manifest.name));
    }
    finding
}

fn measure(event: &EventReport, problems: &[SmokeProblem]) -> EventMeasure {
    let microseconds = |milliseconds: Option<f64>| {
        milliseconds
            .and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok())
            .map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    };
    let problem = problems.iter().find(|problem| problem.event == event.name);
    EventMeasure {
        name: event.name.clone(),
        outcome: event.outcome.as_str().to_owned(),
        cold: event.cold,
        init_us: microseconds(event.init_ms),
        invoke_us: microseconds(event.invoke_ms),
        peak_kib: event.peak_kib,
        lines: problem
            .map(|problem| {
                std::iter::once(problem.finding.cause.clone()).chain(problem.lines.iter().cloned()).collect()
            })
            .unwrap_or_default(),
    }
}
