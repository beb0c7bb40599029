//! `kiln explain` of a build that is named by a file or a reference: what its record alone says. No workspace is needed, and
//! what only a workspace knows (what is declared, and where) is said to be not known.

use crate::args::{Explain, Format};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::Settings;
use fs_err as fs;
use kiln_audit::{Known, format_size};
use kiln_build::{ExplainedPath, explain_path};
use kiln_publish::{NamedBuild, has_name_of_archive};
use kiln_record::{
    ArtifactName, Cause, Component, ComponentId, Ecosystem, Entry, Exit, Importable, Record, exit,
};
use kiln_report::{Align, Markdown};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

/// Whether a text names builds, and no artifact of a workspace: a file, a folder with a record or of artifacts, or what cannot be a name.
pub(crate) fn is_operand(text: &str) -> bool {
    let path = Path::new(text);
    let is_build = ["record.json", "oci-layout", "index.json"].iter().any(|name| path.join(name).is_file());
    // A folder with the name of an artifact may be its source.
    text.parse::<ArtifactName>().is_err() || path.is_file() || is_build || is_of_artifacts(path)
}

/// Whether there is nothing in a folder but archives, their documents, and folders of artifacts.
fn is_of_artifacts(folder: &Path) -> bool {
    let paths = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let (mut is_one, mut has_others) = (false, false);
    for path in paths {
        let is_artifact = has_name_of_archive(&path) || path.join("record.json").is_file();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_beside = name == "SHA256SUMS" || [".json", ".jsonl"].iter().any(|end| name.ends_with(end));
        is_one |= is_artifact;
        has_others |= !is_artifact && !is_beside;
    }
    is_one && !has_others
}

pub(crate) fn run(settings: &Settings, command: &Explain, printer: Printer) -> Result<Exit, Failure> {
    let build = super::named(settings, &command.artifact)?;
    super::note_absent(&build, printer);
    let record = &build.record;
    let subject = command.subject.as_deref();
    let rows: Vec<Row<'_>> =
        rows(record).into_iter().filter(|row| subject.is_none_or(|subject| row.is_called(subject))).collect();
    let path = subject.filter(|_| rows.is_empty()).map(|subject| explain_path(record, subject));
    let path = match path {
        Some(None) => return Err(nowhere(&build, subject.unwrap_or_default())),
        // Without a record nothing tells how it came in.
        Some(Some(found)) if build.known != Known::Record => {
            Some(ExplainedPath { origin: NO_RECORD.to_owned(), ..found })
        }
        Some(found) => found,
        None => None,
    };
    if settings.format == Format::Json {
        let document = Document {
            format: "1.0",
            build: &build.label,
            artifact: &record.artifact,
            components: rows,
            path: path.as_ref().map(PathRow::new),
        };
        printer.data(&super::document(&document)?);
        return Ok(exit::SUCCESS);
    }
    let about = match (&path, subject) {
        (Some(path), _) => Some(vec![(path.path.clone(), path_facts(path))]),
        (None, Some(_)) => Some(rows.iter().map(|row| (row.title(), row.facts(build.known))).collect()),
        (None, None) => None,
    };
    if settings.format == Format::Markdown {
        printer.data(markdown(&build.label, about, &rows).text());
    } else {
        printer.data(&format!("{}\n", printer.on_stdout(Style::Strong, &build.label)));
        printer.data(&about.map_or_else(|| overview(&rows), |about| text(&about)));
    }
    printer.talk(match build.known {
        Known::Record => {
            "what the project declares is not in a record: kiln explain ARTIFACT in the workspace tells it"
        }
        _ => {
            "there is no record of it, so that only what it holds is told: kiln explain ARTIFACT in the workspace tells what the project declares"
        }
    });
    Ok(exit::SUCCESS)
}

/// What is told of what only a record would tell.
const NO_RECORD: &str = "not known: there is no record of it";

/// What is told of one thing: a key and a value each.
type Facts = Vec<(String, String)>;

fn text(about: &[(String, Facts)]) -> String {
    let mut text = String::new();
    for (title, facts) in about {
        text.push_str(&format!("{title}\n"));
        facts.iter().for_each(|(key, value)| text.push_str(&format!("  {key:<12} {value}\n")));
    }
    text
}

/// The same as a comment has it: names of files and versions are whatever the archive says.
fn markdown(label: &str, about: Option<Vec<(String, Facts)>>, rows: &[Row<'_>]) -> Markdown {
    let mut out = Markdown::default();
    out.heading(label);
    let Some(about) = about else {
        let head = [
            ("name", Align::Left),
            ("version", Align::Left),
            ("size", Align::Right),
            ("needed by", Align::Left),
        ];
        let cells = |row: &Row<'_>| {
            [row.name.to_owned(), row.version.unwrap_or_default().to_owned(), row.size(), row.why()]
        };
        out.table(head, rows.iter().map(cells));
        return out;
    };
    for (title, facts) in about {
        out.subheading(&title).facts(&facts);
    }
    out
}

fn nowhere(build: &NamedBuild, subject: &str) -> Failure {
    let near = build.record.components.iter().map(|component| component.name.as_str());
    let near: Vec<&str> =
        near.filter(|name| name.contains(subject) || subject.contains(name)).take(8).collect();
    let failure =
        Failure::input(format!("there is no component, path or module `{subject}` in {}", build.label));
    if near.is_empty() { failure } else { failure.hint(format!("there are: {}", near.join(", "))) }
}

/// What a record says of its components, or of one path. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    /// The build, as it was named.
    build: &'a str,
    artifact: &'a ArtifactName,
    /// What is in it, and what the lock has and it does not.
    components: Vec<Row<'a>>,
    /// The path that was asked for.
    path: Option<PathRow<'a>>,
}

/// A component, or a distribution that is left out.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Row<'a> {
    /// None for what is left out.
    id: Option<&'a ComponentId>,
    name: &'a str,
    version: Option<&'a str>,
    bytes: u64,
    /// The file that it was taken from.
    origin: Option<&'a str>,
    /// The shortest way from the artifact's own code to it, itself included; empty if the record has none.
    chain: Vec<&'a str>,
    /// The components that require it.
    required_by: Vec<&'a str>,
    /// The component that carries it inside.
    within: Option<&'a ComponentId>,
    importable: Option<&'a Importable>,
    /// Why it is left out, if it is.
    gap: Option<&'a Cause>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct PathRow<'a> {
    path: &'a str,
    component: &'a str,
    origin: &'a str,
    entry: &'a Entry,
}

impl<'a> PathRow<'a> {
    fn new(found: &'a ExplainedPath) -> Self {
        Self { path: &found.path, component: &found.component, origin: &found.origin, entry: &found.entry }
    }
}

fn rows(record: &Record) -> Vec<Row<'_>> {
    let came_from = came_from(record);
    let mut requirers: BTreeMap<&ComponentId, Vec<&str>> = BTreeMap::new();
    for component in &record.components {
        for id in &component.requires {
            requirers.entry(id).or_default().push(&component.name);
        }
    }
    let imports = record.imports.as_ref();
    let there = record.components.iter().map(|component| Row {
        id: Some(&component.id),
        name: &component.name,
        version: component.version.as_deref(),
        bytes: component.bytes,
        origin: component.origin.as_ref().map(|origin| origin.file_name.as_str()),
        chain: chain(&component.id, &came_from),
        required_by: requirers.get(&component.id).cloned().unwrap_or_default(),
        within: component.within.as_ref(),
        importable: imports
            .filter(|_| component.ecosystem == Ecosystem::Python)
            .and_then(|imports| imports.distributions.get(&component.name)),
        gap: None,
    });
    let left_out = record.gaps.iter().map(|gap| Row {
        id: None,
        name: &gap.distribution,
        version: Some(&gap.version),
        bytes: 0,
        origin: None,
        chain: Vec::new(),
        required_by: Vec::new(),
        within: None,
        importable: None,
        gap: Some(&gap.cause),
    });
    there.chain(left_out).collect()
}

/// For each component that the own code leads to, the one before it on the shortest way.
fn came_from(record: &Record) -> BTreeMap<&ComponentId, Option<&Component>> {
    let by_id: BTreeMap<&ComponentId, &Component> =
        record.components.iter().map(|component| (&component.id, component)).collect();
    let own = record.components.iter().filter(|component| component.ecosystem == Ecosystem::Application);
    let mut came_from: BTreeMap<&ComponentId, Option<&Component>> =
        own.clone().map(|component| (&component.id, None)).collect();
    let mut next: VecDeque<&Component> = own.collect();
    while let Some(component) = next.pop_front() {
        for id in &component.requires {
            if !came_from.contains_key(id)
                && let Some(required) = by_id.get(id)
            {
                came_from.insert(&required.id, Some(component));
                next.push_back(required);
            }
        }
    }
    came_from
}

fn chain<'a>(to: &'a ComponentId, came_from: &BTreeMap<&ComponentId, Option<&'a Component>>) -> Vec<&'a str> {
    if !came_from.contains_key(to) {
        return Vec::new();
    }
    let (mut names, mut at, mut seen) = (vec![to.name()], to, BTreeSet::new());
    while let Some(Some(before)) = came_from.get(at).filter(|_| seen.insert(at)) {
        names.push(&before.name);
        at = &before.id;
    }
    names.reverse();
    names
}

impl Row<'_> {
    fn is_called(&self, subject: &str) -> bool {
        let plain = |text: &str| text.to_lowercase().replace(['_', '.'], "-");
        plain(self.name) == plain(subject) || self.id.is_some_and(|id| id.as_str() == subject)
    }

    fn title(&self) -> String {
        format!("{} {}", self.name, self.version.unwrap_or("(no version)"))
    }

    fn size(&self) -> String {
        if self.gap.is_some() { "-".to_owned() } else { format_size(self.bytes) }
    }

    /// Why it is there, or is not.
    fn why(&self) -> String {
        match (self.gap, &self.chain[..]) {
            (Some(gap), _) => format!("left out: {gap}"),
            (None, [] | [_]) => self.within.map(|id| format!("inside {id}")).unwrap_or_default(),
            (None, chain) => chain.join(" → "),
        }
    }

    fn facts(&self, known: Known) -> Facts {
        let mut facts = Facts::new();
        let mut line = |key: &str, value: &str| facts.push((key.to_owned(), value.to_owned()));
        if let Some(gap) = self.gap {
            line("left out", &gap.to_string());
            return facts;
        }
        if let Some(id) = self.id {
            line("in as", id.as_str());
        }
        line("size", &format_size(self.bytes));
        if let Some(origin) = self.origin {
            line("from", origin);
        }
        if let Some(within) = self.within {
            line("inside", within.as_str());
        }
        match &self.chain[..] {
            [] if known != Known::Record => line("needed by", NO_RECORD),
            [] => line("needed by", "the record does not say"),
            [_] => {}
            chain => line("needed by", &chain.join(" → ")),
        }
        let others: Vec<&str> =
            self.required_by.iter().copied().filter(|name| !self.chain.contains(name)).collect();
        if !others.is_empty() {
            line("also by", &others.join(", "));
        }
        match self.importable {
            Some(Importable::Yes) => line("importable", "yes"),
            Some(Importable::No { reason }) => line("importable", &format!("no: {reason}")),
            Some(Importable::NotChecked { reason }) => line("importable", &format!("not checked: {reason}")),
            None => {}
        }
        facts
    }
}

fn overview(rows: &[Row<'_>]) -> String {
    let name = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or_default().min(40);
    let line = |row: &Row<'_>| {
        let (size, why) = (row.size(), row.why());
        format!("  {:<name$}  {:<14} {size:>10}  {why}", row.name, row.version.unwrap_or("-"))
            .trim_end()
            .to_owned()
            + "\n"
    };
    rows.iter().map(line).collect()
}

fn path_facts(found: &ExplainedPath) -> Facts {
    let content = match &found.entry {
        Entry::File { digest, size, mode } => format!("{digest}, {}, mode {mode}", format_size(*size)),
        Entry::Symlink { target } => format!("a link to {target}"),
    };
    let facts =
        [("belongs to", found.component.clone()), ("comes from", found.origin.clone()), ("content", content)];
    facts.map(|(key, value)| (key.to_owned(), value)).into()
}
