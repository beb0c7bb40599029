//! `kiln init`: a project that kiln does not know yet becomes a workspace.

use crate::args::Format;
use crate::args::start::Init;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Call;
use fs_err as fs;
use kiln_init::{Found, InitPlan, Options, PlannedFile, plan};
use kiln_record::{Exit, exit};
use kiln_store::write_atomically;
use serde::Serialize;
use std::path::{Path, PathBuf};

pub(crate) fn run(call: &Call<'_>, command: &Init, printer: Printer) -> Result<Exit, Failure> {
    let root = folder(call.global.workspace.as_deref())?;
    let options =
        Options { runtime: command.runtime.clone(), architecture: command.architecture.map(Into::into) };
    let plan = plan(&root, &options).map_err(|error| Failure::input(error.to_string()))?;
    if plan.found.is_empty() {
        let mut failure = Failure::input(format!("nothing in {} states an artifact", root.display()))
            .hint("a function is found in a template of SAM, a serverless.yml, Terraform's aws_lambda_function, a Dockerfile, or by its code: def handler(event, context)")
            .hint("or write one manifest: kiln new artifact NAME");
        for remark in &plan.remarks {
            failure = failure.hint(remark.clone());
        }
        return Err(failure);
    }
    for file in &plan.files {
        through_no_link(&root, &file.path)?;
    }
    if !command.dry_run {
        for file in &plan.files {
            write(&root, file)?;
        }
    }
    match call.global.format {
        Format::Json => printer.data(&super::document(&Document::new(&plan, command.dry_run))?),
        _ => print(&plan, command.dry_run, printer),
    }
    Ok(exit::SUCCESS)
}

/// The folder that is to become a workspace; unlike for other commands it need not be one.
pub(crate) fn folder(given: Option<&Path>) -> Result<PathBuf, Failure> {
    #[expect(clippy::disallowed_methods, reason = "the command line is where the current folder comes in")]
    let current = std::env::current_dir()
        .map_err(|error| Failure::usage(format!("the current folder cannot be read: {error}")))?;
    let folder = given.map_or_else(|| current.clone(), |given| current.join(given));
    fs::canonicalize(folder).map_err(|error| Failure::usage(error.to_string()))
}

/// Refuses to write through a link: what the project chooses the name of would come to be somewhere else.
fn through_no_link(root: &Path, file: &str) -> Result<(), Failure> {
    let parts =
        Path::new(file).ancestors().filter(|part| root.join(part).is_symlink() && *part != Path::new(""));
    match parts.last() {
        None => Ok(()),
        Some(link) => {
            Err(Failure::input(format!("{} is a link, and {file} is written through none", link.display()))
                .hint("put what it leads to in its place; nothing was written"))
        }
    }
}

/// Writes one file. What is there is never replaced, be it made in this very moment.
fn write(root: &Path, file: &PlannedFile) -> Result<(), Failure> {
    let place = root.join(&file.path);
    let broken = |error: std::io::Error| Failure::store(error.to_string());
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).map_err(broken)?;
    }
    let mut content = Vec::new();
    match file.appends {
        true => content = fs::read(&place).map_err(broken)?,
        false if !file.replaces && place.symlink_metadata().is_ok() => {
            return Err(Failure::store(format!("{} came into being, and was not replaced", place.display())));
        }
        false => {}
    }
    content.extend_from_slice(&file.content);
    write_atomically(&place, &content).map_err(|error| Failure::store(error.to_string()))
}

fn print(plan: &InitPlan, dry_run: bool, printer: Printer) {
    for found in &plan.found {
        printer.data(&format!(
            "{}  {}, {}\n",
            printer.on_stdout(Style::Strong, found.artifact.as_str()),
            found.kind,
            found.stated_by
        ));
        for untold in &found.untold {
            printer.data(&format!("  {} {untold}\n", printer.on_stdout(Style::Warn, "not told:")));
        }
    }
    printer.data("\n");
    for PlannedFile { path, appends, replaces, .. } in &plan.files {
        let done = match (dry_run, appends, replaces) {
            (false, false, false) => "written",
            (false, true, _) => "lines added",
            (false, false, true) => "written again",
            (true, false, false) => "would be written",
            (true, true, _) => "lines would be added",
            (true, false, true) => "would be written again",
        };
        printer.data(&format!("{}: {done}\n", printer.on_stdout(Style::Good, path)));
    }
    for path in &plan.kept {
        printer.data(&format!("{path}: there already, left as it is\n"));
        for difference in plan.differences.iter().filter(|one| one.path == *path) {
            printer.data(&format!("  {} {difference}\n", printer.on_stdout(Style::Warn, "differs:")));
        }
    }
    for remark in &plan.remarks {
        printer.problem(&format!("{}: {remark}", printer.on_stderr(Style::Warn, "warning")));
    }
    if !plan.differences.is_empty() {
        printer.talk(
            "what differs is for you to change in the file; or remove it, and kiln init writes it anew",
        );
    }
    for (runtime, reference) in &plan.from_registries {
        printer.talk(&from_registry(runtime, reference));
    }
    printer.talk(&next(plan, dry_run));
}

/// That a base is not made of packages, but is brought from a registry.
pub(crate) fn from_registry(runtime: &str, reference: &str) -> String {
    format!(
        "{runtime}: its base is the image {reference}, whose registry must be reachable, or a mirror that [[registry]] in kiln.toml names; kiln doctor asks it"
    )
}

/// The manifest of an artifact that was found.
fn path_of(found: &Found) -> String {
    format!("manifests/{}.toml", found.artifact)
}

/// What to do after it.
fn next(plan: &InitPlan, dry_run: bool) -> String {
    if dry_run {
        return "\nnothing was written; next: kiln init".to_owned();
    }
    // A layer without code may stay out; only a manifest that is new has a line for it.
    let is_open = |found: &Found| {
        let is_new = !plan.kept.contains(&path_of(found));
        found.untold.iter().any(|untold| is_new || !untold.starts_with("layers: "))
    };
    let open: Vec<String> = plan.found.iter().filter(|found| is_open(found)).map(path_of).collect();
    match open.as_slice() {
        [] => "\nnext: kiln lock --all, then kiln build --all".to_owned(),
        files => {
            // These can be told on the command line, and a base is written with them.
            let options = [("runtime: ", "--runtime python3.13"), ("architecture: ", "--architecture arm64")];
            let untold: Vec<&String> = plan.found.iter().flat_map(|found| &found.untold).collect();
            let is_of = |key: &str| untold.iter().any(|untold| untold.starts_with(key));
            let given: Vec<&str> =
                options.iter().filter(|(key, _)| is_of(key)).map(|(_, option)| *option).collect();
            let is_option = |untold: &String| options.iter().any(|(key, _)| untold.starts_with(key));
            let way = if untold.iter().all(|untold| is_option(untold)) {
                format!(
                    "kiln init {}, or whichever it is, tells it for all of them;\n      or ",
                    given.join(" ")
                )
            } else {
                String::new()
            };
            format!(
                "\nnext: {way}fill in the commented lines of {};\n      then kiln lock --all, and kiln build --all",
                files.join(", ")
            )
        }
    }
}

/// What `kiln init` did. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    /// Whether nothing was written.
    dry_run: bool,
    artifacts: Vec<ArtifactRow<'a>>,
    files: Vec<FileRow<'a>>,
    /// Files that are there and were left as they are.
    kept: &'a [String],
    /// What manifests among these say otherwise than the project.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    differences: Vec<DifferenceRow<'a>>,
    /// What was passed over, and why.
    remarks: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct DifferenceRow<'a> {
    /// The manifest.
    path: &'a str,
    key: &'a str,
    /// The key's value there, as TOML writes it, if it has one.
    there: Option<&'a str>,
    /// Its value by the project, as TOML writes it.
    project: &'a str,
    /// Where the project states that, if it is one place.
    stated_by: Option<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct ArtifactRow<'a> {
    artifact: &'a str,
    kind: &'a str,
    stated_by: &'a str,
    /// The keys that no file tells, each with the reason.
    untold: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct FileRow<'a> {
    path: &'a str,
    /// Whether lines are added to a file that is there.
    appends: bool,
    /// Whether it takes the place of what an earlier `kiln init` wrote, and nobody changed since.
    replaces: bool,
}

impl<'a> Document<'a> {
    fn new(plan: &'a InitPlan, dry_run: bool) -> Self {
        Self {
            format: "1.0",
            dry_run,
            artifacts: plan
                .found
                .iter()
                .map(|found| ArtifactRow {
                    artifact: found.artifact.as_str(),
                    kind: found.kind,
                    stated_by: &found.stated_by,
                    untold: &found.untold,
                })
                .collect(),
            files: plan
                .files
                .iter()
                .map(|file| FileRow { path: &file.path, appends: file.appends, replaces: file.replaces })
                .collect(),
            kept: &plan.kept,
            differences: plan
                .differences
                .iter()
                .map(|one| DifferenceRow {
                    path: &one.path,
                    key: &one.key,
                    there: one.there.as_deref(),
                    project: &one.project,
                    stated_by: one.stated_by.as_deref(),
                })
                .collect(),
            remarks: &plan.remarks,
        }
    }
}
