//! `[[step]]` tables: programs that make files of an artifact, each a pure value of what it is given.

use super::path::{beside_manifest, beside_manifest_or_at_it};
use super::reproducible::Reproducible;
use super::source::{SourceSection, check_globs, everything};
use crate::duration::parse_seconds;
use crate::problem::Problems;
use crate::size::parse_size;
use crate::spanned::Spanned;
use kiln_record::{ArtifactName, BaseName, TreePath, excerpt};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a step may use unless it says otherwise.
const MEMORY: u64 = 2 << 30;
const TIMEOUT: u32 = 600;
/// The longest that a step may take, in seconds.
const LONGEST: u32 = 6 * 3600;
/// The least memory that engines start a program with.
const LEAST_MEMORY: u64 = 6 << 20;

/// The folder that every step can write to and that is gone at its end.
pub const STEP_SCRATCH: &str = "/tmp";

/// Variables that kiln gives a value of its own, so that steps are alike.
pub const STEP_VARIABLES: [&str; 8] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHASHSEED",
    "SOURCE_DATE_EPOCH",
    "TMPDIR",
    "TZ",
];

/// Folders of a base that nothing can be laid over without breaking it, or that the engine itself fills.
const TAKEN: [&str; 13] =
    ["bin", "boot", "dev", "etc", "lib", "lib64", "proc", "root", "run", "sbin", "sys", "tmp", "usr"];

/// A validated `[[step]]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepSection {
    /// Its name, among the steps of the artifact.
    pub name: String,
    /// The base that it runs in; the artifact's own if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseName>,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Variables beside those of the base and those that kiln sets.
    pub env: BTreeMap<String, String>,
    /// What it is given, each at a place of its own.
    pub inputs: Vec<StepInput>,
    /// What is taken of what it made.
    pub outputs: Vec<StepOutput>,
    /// The folder that it starts in.
    pub working_dir: String,
    /// Memory that it may use, in bytes.
    pub memory: u64,
    /// Seconds after which it is killed.
    pub timeout: u32,
    /// Whether it is run a second time, to see that it makes the same.
    pub reproducible: Reproducible,
    /// Where its name and its base are written, for messages.
    #[serde(skip)]
    pub spans: StepSpans,
}

/// Places of a step in its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepSpans {
    /// Its name.
    pub name: Range<usize>,
    /// Its base, if it names one.
    pub base: Range<usize>,
}

/// Something that a step is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum StepInput {
    /// A folder or a file of the workspace.
    Files {
        /// Which, with what is taken of it; relative to the workspace.
        source: SourceSection,
        /// The folder of the container that it is laid into.
        at: String,
    },
    /// The crates that a `Cargo.lock` names, as a directory source of cargo.
    Crates {
        /// The lock, relative to the workspace.
        lock: String,
        /// The folder of the container that they are laid into.
        at: String,
    },
    /// Everything that another step of the artifact gave.
    Step {
        /// Its name.
        step: String,
        /// The folder of the container that it is laid into.
        at: String,
    },
}

impl StepInput {
    /// The folder of the container that it is laid into.
    #[must_use]
    pub fn at(&self) -> &str {
        match self {
            Self::Files { at, .. } | Self::Crates { at, .. } | Self::Step { at, .. } => at,
        }
    }

    /// Its name in records and messages.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Files { source, .. } => &source.path,
            Self::Crates { lock, .. } => lock,
            Self::Step { step, .. } => step,
        }
    }
}

/// Something that is taken of what a step made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepOutput {
    /// The file or folder, in the container.
    pub path: String,
    /// The folder of the artifact that it goes to: a file under its own name, a folder with its content. Not
    /// shipped if absent: then it is for other steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// The folder of the container that is writable for it: the input that it lies in, else its own.
    pub folder: String,
}

/// One `[[step]]` as written.
#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StepTable {
    name: Spanned<String>,
    base: Option<Spanned<String>>,
    argv: Spanned<Vec<String>>,
    #[serde(default)]
    env: BTreeMap<Spanned<String>, String>,
    #[serde(default)]
    inputs: Vec<Spanned<InputTable>>,
    #[serde(default)]
    outputs: Vec<Spanned<OutputTable>>,
    working_dir: Option<Spanned<String>>,
    memory: Option<Spanned<String>>,
    timeout: Option<Spanned<String>>,
    #[serde(default)]
    reproducible: Reproducible,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct InputTable {
    path: Option<String>,
    step: Option<String>,
    cargo_lock: Option<String>,
    at: String,
    include: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct OutputTable {
    path: String,
    into: Option<String>,
}

/// Reads the steps of a manifest. `taken` are the names of its other components.
pub(super) fn parse(
    tables: Vec<StepTable>,
    artifact: &ArtifactName,
    taken: &[&str],
    problems: &mut Problems<'_>,
) -> Vec<StepSection> {
    let names: Vec<(String, Range<usize>)> =
        tables.iter().map(|table| (table.name.get_ref().clone(), table.name.span())).collect();
    for (index, (name, span)) in names.iter().enumerate() {
        if !is_name(name) {
            problems.at(
                span.clone(),
                format!("`{}` is not the name of a step", excerpt(name)),
                "a name has lower-case letters, digits and `-`, and begins with a letter",
            );
        } else if name == artifact.as_str() || taken.contains(&name.as_str()) {
            problems.at(
                span.clone(),
                format!("the step `{name}` has the name of the artifact or of an upstream source"),
                "its files are a component of their own: give it another name",
            );
        } else if names[..index].iter().any(|(other, _)| other == name) {
            problems.at(span.clone(), format!("there are two steps `{name}`"), "name each step once");
        }
    }
    let known: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    let steps: Vec<StepSection> = tables.into_iter().map(|table| step(table, &known, problems)).collect();
    if let Some(cycle) = cycle(&steps) {
        let span = steps[cycle[0]].spans.name.clone();
        let mut names: Vec<&str> = cycle.iter().map(|index| steps[*index].name.as_str()).collect();
        names.push(names[0]);
        problems.at(
            span,
            format!("steps wait for each other: {}", names.join(" needs ")),
            "take one of these inputs out",
        );
    }
    steps
}

fn step(table: StepTable, known: &[&str], problems: &mut Problems<'_>) -> StepSection {
    let name = table.name.get_ref().clone();
    let base = table.base.as_ref().and_then(|base| match base.get_ref().parse::<BaseName>() {
        Ok(name) => Some(name),
        Err(error) => {
            problems.at(base.span(), error.to_string(), "name a file of images/ without its ending");
            None
        }
    });
    if table.argv.get_ref().first().is_none_or(String::is_empty) {
        problems.at(
            table.argv.span(),
            format!("the step `{name}` names no program"),
            "write the program and its arguments, such as argv = [\"make\", \"install\"]",
        );
    }
    if table.argv.get_ref().iter().any(|text| text.contains('\0')) {
        problems.at(table.argv.span(), "an argument holds a NUL byte", "remove it");
    }
    for (variable, value) in &table.env {
        let text = variable.get_ref();
        if text.is_empty() || text.contains(['=', '\0']) || value.contains('\0') {
            problems.at(
                variable.span(),
                format!("the variable `{}` cannot be set", excerpt(text)),
                "a name is not empty and has no `=`",
            );
        } else if STEP_VARIABLES.contains(&text.as_str()) {
            problems.at(
                variable.span(),
                format!("the step `{name}` sets {text}, which kiln sets so that steps are alike"),
                "remove it; docs/steps.md lists what kiln sets",
            );
        }
    }
    let inputs = inputs(&name, table.inputs, known, problems);
    let outputs = outputs(&name, &table.name.span(), table.outputs, &inputs, problems);
    let working_dir = match &table.working_dir {
        Some(stated) => {
            if !is_absolute(stated.get_ref()) {
                problems.at(
                    stated.span(),
                    format!("`{}` is not an absolute path", excerpt(stated.get_ref())),
                    "name a folder of the container, such as \"/src\"",
                );
            }
            stated.get_ref().clone()
        }
        None => inputs.first().map_or(STEP_SCRATCH, StepInput::at).to_owned(),
    };
    let memory = table.memory.as_ref().map_or(MEMORY, |stated| match parse_size(stated.get_ref()) {
        Ok(size) if (LEAST_MEMORY..=1 << 40).contains(&size) => size,
        Ok(_) => {
            problems.at(
                stated.span(),
                format!("`{}` is not an amount that a program can run with", stated.get_ref()),
                "write from 6 MiB to 1 TB",
            );
            MEMORY
        }
        Err(message) => {
            problems.at(stated.span(), message, "for example memory = \"4 GB\"");
            MEMORY
        }
    });
    let timeout = table.timeout.as_ref().map_or(TIMEOUT, |stated| {
        parse_seconds(stated.get_ref(), LONGEST).unwrap_or_else(|| {
            problems.at(
                stated.span(),
                format!("`{}` is not a time that a step may take", excerpt(stated.get_ref())),
                "write seconds or minutes, up to 360 min: timeout = \"20 min\"",
            );
            TIMEOUT
        })
    });
    StepSection {
        spans: StepSpans {
            name: table.name.span(),
            base: table.base.as_ref().map(Spanned::span).unwrap_or_default(),
        },
        name,
        base,
        argv: table.argv.into_inner(),
        env: table.env.into_iter().map(|(name, value)| (name.into_inner(), value)).collect(),
        inputs,
        outputs,
        working_dir,
        memory,
        timeout,
        reproducible: table.reproducible,
    }
}

fn inputs(
    name: &str,
    tables: Vec<Spanned<InputTable>>,
    known: &[&str],
    problems: &mut Problems<'_>,
) -> Vec<StepInput> {
    let mut inputs: Vec<StepInput> = Vec::new();
    for table in tables {
        let span = table.span();
        let InputTable { path, step, cargo_lock, at, include, exclude } = table.into_inner();
        if let Err((message, help)) = check_place(&at) {
            problems.at(span.clone(), message, help);
        }
        if let Some(other) = inputs.iter().find(|other| overlap(other.at(), &at)) {
            problems.at(
                span.clone(),
                format!("{at} and {} lie in each other", other.at()),
                "give each input a folder of its own",
            );
        }
        if path.is_none() && (include.is_some() || exclude.is_some()) {
            problems.at(
                span.clone(),
                "`include` and `exclude` choose files of the workspace",
                "remove them: the outputs of a step, and the crates of a lock, are taken whole",
            );
        }
        match (path, step, cargo_lock) {
            (Some(path), None, None) => {
                let include = include.unwrap_or_else(everything);
                let exclude = exclude.unwrap_or_default();
                check_globs(include.iter().chain(&exclude), &span, problems);
                if let Some(path) = beside_manifest_or_at_it(&path, span, problems) {
                    let source = SourceSection { path, include, exclude, into: None };
                    inputs.push(StepInput::Files { source, at });
                }
            }
            (None, None, Some(lock)) => inputs
                .extend(beside_manifest(&lock, span, problems).map(|lock| StepInput::Crates { lock, at })),
            (None, Some(step), None) => {
                if !known.contains(&step.as_str()) {
                    problems.at(
                        span,
                        format!("the step `{name}` takes what `{step}` gives, and there is no such step"),
                        "name a step of this manifest",
                    );
                } else {
                    inputs.push(StepInput::Step { step, at });
                }
            }
            _ => problems.at(
                span,
                "an input is one of a `path` of the workspace, a `step` and a `cargo-lock`",
                "write { path = \"app/web\", at = \"/src\" }, { step = \"schema\", at = \"/schema\" } or { cargo-lock = \"app/Cargo.lock\", at = \"/vendor\" }",
            ),
        }
    }
    inputs
}

fn outputs(
    name: &str,
    of_name: &Range<usize>,
    tables: Vec<Spanned<OutputTable>>,
    inputs: &[StepInput],
    problems: &mut Problems<'_>,
) -> Vec<StepOutput> {
    if tables.is_empty() {
        problems.at(
            of_name.clone(),
            format!("the step `{name}` has no output, so nothing would come of it"),
            "add, for example, outputs = [{ path = \"/out/site\", into = \"site\" }]",
        );
    }
    let mut outputs: Vec<StepOutput> = Vec::new();
    for table in tables {
        let span = table.span();
        let OutputTable { path, into } = table.into_inner();
        if let Err((message, help)) = check_place(&path) {
            problems.at(span.clone(), message, help);
            continue;
        }
        if let Some(into) = into.as_deref().filter(|into| *into != ".")
            && let Err(error) = TreePath::new(into)
        {
            problems.at(
                span.clone(),
                format!("`into`: {error}"),
                "name a folder of the artifact, such as \"bin\", or \".\" for its root",
            );
        }
        if let Some(input) = inputs.iter().find(|input| is_below(input.at(), &path) || input.at() == path) {
            problems.at(
                span.clone(),
                format!("the output {path} holds the input {}", input.at()),
                "let the step write to a folder of its own, or name what it makes below the input",
            );
            continue;
        }
        if let Some(other) = outputs.iter().find(|other| overlap(&other.path, &path)) {
            problems.at(
                span.clone(),
                format!("the outputs {path} and {} lie in each other", other.path),
                "name each file once",
            );
        }
        let input = inputs.iter().find(|input| is_below(&path, input.at()));
        let top = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let folder = input.map_or_else(|| format!("/{top}"), |input| input.at().to_owned());
        if input.is_none()
            && let Some(input) = inputs.iter().find(|input| is_below(input.at(), &folder))
        {
            problems.at(
                span,
                format!(
                    "the output {path} makes {folder} writable and empty, and the input {} lies in it",
                    input.at()
                ),
                "let the step write to another folder, such as /out",
            );
            continue;
        }
        outputs.push(StepOutput { path, into, folder });
    }
    outputs
}

/// Refuses places of the container at which nothing can be laid.
fn check_place(path: &str) -> Result<(), (String, &'static str)> {
    if !is_absolute(path) {
        return Err((
            format!("`{}` is not an absolute path of the container", excerpt(path)),
            "begin with `/`, without `.`, `..`, empty parts and a slash at the end: \"/src\"",
        ));
    }
    let top = path[1..].split('/').next().unwrap_or_default();
    if TAKEN.contains(&top) {
        return Err((
            format!("`{path}` lies in /{top}, which belongs to the base or to the engine"),
            "use a folder of its own, such as /src or /out",
        ));
    }
    Ok(())
}

fn is_absolute(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| TreePath::new(rest).is_ok())
}

/// Whether a path lies below a folder.
fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn overlap(a: &str, b: &str) -> bool {
    a == b || is_below(a, b) || is_below(b, a)
}

fn is_name(name: &str) -> bool {
    name.len() <= 60
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// Steps that wait for each other, in the order in which they do.
fn cycle(steps: &[StepSection]) -> Option<Vec<usize>> {
    let needs = |step: usize| {
        steps[step].inputs.iter().filter_map(|input| match input {
            StepInput::Step { step, .. } => steps.iter().position(|other| other.name == *step),
            StepInput::Files { .. } | StepInput::Crates { .. } => None,
        })
    };
    // Steps are taken away as soon as nothing that is left is needed for them; what stays is in a cycle or
    // behind one.
    let mut left: BTreeSet<usize> = (0..steps.len()).collect();
    loop {
        let free: Vec<usize> =
            left.iter().copied().filter(|step| !needs(*step).any(|other| left.contains(&other))).collect();
        if free.is_empty() {
            break;
        }
        left.retain(|step| !free.contains(step));
    }
    let mut way = vec![*left.first()?];
    loop {
        let last = way[way.len() - 1];
        let next = needs(last).find(|other| left.contains(other))?;
        if let Some(start) = way.iter().position(|step| *step == next) {
            return Some(way.split_off(start));
        }
        way.push(next);
    }
}
