//! A function in its base: how it is started, what it gets, and events that it handles one after the other under the Lambda
//! Runtime API.

use crate::CheckError;
use crate::environment::{environment, environment_in_image, layer_paths};
use crate::supervised::{Parted, numbers};
use kiln_engine::InputTree;
use kiln_guest::{Bases, Ending, NOBODY, Program, Ran, input_tree};
use kiln_plan::{Manifest, PinnedBase};
use kiln_python::{
    FunctionRequest, RUNTIME_API, RequestedEvent, SmokeLimits, SmokeReport, SmokeRequest, function_script,
};
use kiln_record::{Defect, Environment, ImageRuns, Mode, Runtime, TreePath};
use kiln_store::Store;
use std::time::Duration;

/// Where the server's own files are in the container.
const OWN: &str = "/kiln";
/// What serving the API takes, in bytes.
const OVERHEAD: u64 = 48 << 20;

/// A function, and what it runs in.
pub struct Function<'a> {
    /// Its handler, layers and environment, and what it is configured with.
    pub manifest: &'a Manifest,
    /// What it runs in, unless it is an image; and the Python that serves the API.
    pub base: &'a PinnedBase,
    /// What it is for.
    pub runtime: &'a Runtime,
    /// The image that it runs in, by the engine's id.
    pub image: &'a str,
    /// How that image is started, where it is the function itself.
    pub runs: Option<&'a ImageRuns>,
    /// Its files and those of its layers, where they are not in that image.
    pub trees: Vec<InputTree>,
    /// The program of a runtime without a language.
    pub bootstrap: Option<&'static str>,
}

/// An event for a function.
pub struct FunctionEvent {
    /// What to call it.
    pub name: String,
    /// Its JSON.
    pub content: Vec<u8>,
    /// Whether a new process handles it.
    pub cold: bool,
}

/// What came of events.
pub enum Served {
    /// What the function made of them, and what it was allowed to use.
    Handled {
        /// Event by event.
        report: SmokeReport,
        /// Time and memory.
        limits: SmokeLimits,
    },
    /// The base has no Python that could serve the API.
    NoServer,
    /// What came is not what the server reports, for this reason.
    Tampered(String),
}

/// The program of a runtime without a language, where Lambda looks for it: whether the artifact and its layers have one.
#[must_use]
pub fn bootstrap_path(in_task: bool, in_layer: bool) -> &'static str {
    if in_layer && !in_task { "/opt/bootstrap" } else { "/var/task/bootstrap" }
}

impl Function<'_> {
    /// Lets it handle events, in their order. `what` says in messages what that is for.
    ///
    /// # Errors
    /// If the engine does not do its part, or the server of the API breaks.
    pub async fn serve(
        self,
        bases: &Bases,
        what: &'static str,
        events: &[FunctionEvent],
    ) -> Result<Served, CheckError> {
        let Self { manifest, base, runtime, image, runs, trees, bootstrap } = self;
        let lambda = Environment::of(runtime, &manifest.environment);
        let python = &base.definition.image.python;
        let env = match runs {
            Some(runs) => environment_in_image(manifest, &lambda, runs),
            None => environment(manifest, base, &lambda),
        };
        let parted = Parted::new(env, manifest.mount());
        let seconds = manifest.check.timeout.unwrap_or_else(|| lambda.checked_timeout_seconds());
        let init_seconds = lambda.checked_init_seconds();
        let memory =
            manifest.check.memory.map_or_else(|| lambda.checked_memory_bytes(), |mb| u64::from(mb) << 20);
        let request = SmokeRequest {
            argv: match (runs, bootstrap) {
                // As Lambda starts it: by its entrypoint, which must have a client that asks for events.
                (Some(runs), _) => runs.entrypoint.iter().chain(&runs.command).cloned().collect(),
                (None, Some(program)) => vec![program.to_owned()],
                (None, None) => python_program(python, manifest, runtime, &lambda),
            },
            working_dir: "/var/task".to_owned(),
            arn: format!(
                "arn:aws:lambda:{}:123456789012:function:{}",
                parted.own.get("AWS_REGION").map_or("us-east-1", String::as_str),
                manifest.name
            ),
            init_seconds,
            seconds,
            answer_bytes: lambda.answer_bytes(),
            user: bases.has_second_user().then(|| numbers(NOBODY)).transpose()?,
            environment: parted.judged,
            events: events
                .iter()
                .enumerate()
                .map(|(number, event)| RequestedEvent {
                    name: event.name.clone(),
                    file: format!("{OWN}/events/{number:03}.json"),
                    cold: event.cold,
                })
                .collect(),
        };
        // Every event might need a process of its own.
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let deadline = (u64::from(init_seconds) + u64::from(seconds) + 5).saturating_mul(count) + 60;
        let argv = [python.as_str(), "-I", "-S", "-B", "-c", RUNTIME_API, &request.to_json()];
        let program =
            Program::new(format!("{} {what}", manifest.name), image, argv.map(str::to_owned).to_vec())
                .environment(parted.own)
                .working_dir("/var/task")
                .supervised()
                .reports()
                .inputs([own_files(bases.store(), events).await?])
                .inputs(trees)
                .as_in_lambda(&lambda, memory + OVERHEAD)
                .output_bytes(80 << 20)
                .deadline(Duration::from_secs(deadline));
        let ran = program.run(bases.engine().await?, bases.run().events(), manifest.name.as_str()).await?;
        let report = match SmokeReport::from_stdout(&ran.stdout) {
            Ok(report) => report,
            Err(_) if ran.ending == Ending::NoSuchProgram => return Ok(Served::NoServer),
            Err(_) => return Err(ran.failed("the server of its events", &base.definition.name).into()),
        };
        // Where memory ran out, the kernel ended the function, and the server told of it and ended with 3.
        if let Err(why) = report.hold(&request, if ran.ending.is_success() { 0 } else { ended_with(&ran) }) {
            return Ok(Served::Tampered(why));
        }
        let limits = SmokeLimits {
            timeout: seconds,
            init: init_seconds,
            lambda_init: lambda.init_seconds(),
            memory: memory >> 20,
            out_of_memory: ran.ending == Ending::OutOfMemory,
            timeout_stated: manifest.check.timeout.is_some(),
            memory_stated: manifest.check.memory.is_some(),
        };
        Ok(Served::Handled { report, limits })
    }
}

/// The program that runs a handler of Python.
fn python_program(python: &str, manifest: &Manifest, runtime: &Runtime, lambda: &Environment) -> Vec<String> {
    let function = FunctionRequest {
        handler: manifest.handler.clone().unwrap_or_default(),
        task_root: "/var/task".to_owned(),
        layer_paths: if manifest.layers.is_empty() { Vec::new() } else { layer_paths(lambda) },
        runtime_modules: runtime.provides.iter().flat_map(|p| p.modules.iter().cloned()).collect(),
    };
    let script = format!("{OWN}/function.py");
    let words = [python, "-I", "-S", "-B", "-u", &script];
    words.map(str::to_owned).into_iter().chain([function.to_json()]).collect()
}

/// What the server ended with: the engine says that memory ran out instead, where it did.
fn ended_with(ran: &Ran) -> i64 {
    match ran.ending {
        Ending::OutOfMemory => 3,
        _ => ran.ending.code().unwrap_or(-1),
    }
}

/// The function's script and the events, as files.
async fn own_files(store: &Store, events: &[FunctionEvent]) -> Result<InputTree, CheckError> {
    let contents: Vec<Vec<u8>> = events.iter().map(|event| event.content.clone()).collect();
    input_tree(store, OWN, 0, move |tar| {
        let path = |text: &str| TreePath::new(text).map_err(|error| Defect::new(error.to_string()));
        for (number, content) in contents.iter().enumerate() {
            tar.add_file(&path(&format!("events/{number:03}.json"))?, Mode::Plain, content)?;
        }
        tar.add_file(&path("function.py")?, Mode::Plain, function_script().as_bytes())?;
        Ok(())
    })
    .await
}
