//! `kiln rebuild`.

use super::expected_build::{Again, Named, Wanted, built};
use super::rebuild_verdict;
use crate::args::Format;
use crate::args::rebuild::Rebuild;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Call;
use crate::signals;
use crate::signing::{no_key, signer};
use kiln_rebuild::{
    Comparison, EntryDifference, Level, RebuildError, Scratch, Varied, compare, compare_index, vary,
};
use kiln_record::{Exit, counted, exit};
use kiln_store::Store;
use serde::Serialize;
use std::path::Path;

/// How many differences are shown to a person.
const SHOWN: usize = 20;

pub(crate) fn run(call: &Call<'_>, command: &Rebuild, printer: Printer) -> Result<Exit, Failure> {
    // A key that cannot be read is told before anything is built.
    let attest = match &command.attest {
        Some(file) => {
            let signer = signer(&command.key, call.variables, printer)?.ok_or_else(no_key)?;
            Some((file, signer))
        }
        None => None,
    };
    let named = call.named(&command.build)?;
    only_one_platform(&named, command)?;
    let (source, scratch, remarks) = call.place(&named, command.source.as_deref())?;
    for remark in &remarks {
        printer.problem(&format!("{}: {remark}", printer.on_stderr(Style::Warn, "warning")));
    }
    printer.talk(&format!("building {} again from {source}", named.label));
    let progress = Progress::new(printer);
    let scratch = scratch.with_second_engine(command.second_engine.clone());
    let (scratch, again) = built(scratch, &named.wanted, &progress)?;
    let published = command.against.as_deref().or(named.file.as_deref());
    let comparison = held(&scratch, &named.wanted, published, &again)?;
    let varied = match (&named.wanted, again) {
        (Wanted::Build(expected), Again::Build(rebuilt)) if command.vary => {
            let (events, expected) = (progress.events(), expected.clone());
            let vary =
                move |engine| async move { vary(&scratch, &expected, &rebuilt, &events, engine).await };
            Some(signals::run(|engine| Box::pin(vary(engine)))?)
        }
        _ => None,
    };
    drop(progress);
    let document = Document {
        format: "1.0",
        build: &named.label,
        artifact: named.wanted.artifact().as_str(),
        against: published.map(|file| file.display().to_string()),
        source: source.to_string(),
        remarks: &remarks,
        level: comparison.level.as_str(),
        meaning: comparison.level.meaning(),
        expected: comparison.expected.map(|digest| digest.to_string()),
        found: comparison.found.map(|digest| digest.to_string()),
        differences: comparison.differences.iter().map(Difference::from).collect(),
        stabilised: comparison
            .stabilised
            .iter()
            .map(|one| Stabilised { rule: one.rule, files: one.files })
            .collect(),
        record_keys: &comparison.record_keys,
        not_compared: &comparison.not_compared,
        varied: varied.as_ref().map(VariedDocument::from),
    };
    match call.global.format {
        Format::Json => printer.data(&super::document(&document)?),
        Format::Markdown => printer.data(&markdown(&document)),
        _ => printer.data(&text(&document, &comparison, printer)),
    }
    if let Some((file, signer)) = attest {
        let is_equal = varied.as_ref().is_none_or(|varied| varied.guilty.is_empty());
        rebuild_verdict::attest(call, &signer, &named.wanted, &comparison, is_equal, file)?;
        printer.talk(&format!("the verdict is signed by key {}: {}", signer.public().id(), file.display()));
    }
    Ok(match varied {
        Some(varied) if !varied.guilty.is_empty() && comparison.level == Level::E0 => exit::NOT_REPRODUCIBLE,
        _ => comparison.level.exit(),
    })
}

/// What is varied are the surroundings of steps, and the steps of each platform are run for it alone.
fn only_one_platform(named: &Named, command: &Rebuild) -> Result<(), Failure> {
    match &named.wanted {
        Wanted::Index(index) if command.vary => {
            let names: Vec<String> = index.platforms.iter().map(|one| one.artifact.to_string()).collect();
            Err(Failure::usage(format!(
                "{} is an image for several platforms: one is varied at a time",
                named.label
            ))
            .hint(format!("name one of them: {}", names.join(", "))))
        }
        _ => Ok(()),
    }
}

/// What was built again against what was published.
fn held(
    scratch: &Scratch,
    wanted: &Wanted,
    published: Option<&Path>,
    again: &Again,
) -> Result<Comparison, Failure> {
    match (wanted, again) {
        (Wanted::Build(expected), Again::Build(rebuilt)) => {
            let store = Store::open(&scratch.environment().store).map_err(RebuildError::from)?;
            Ok(compare(expected, published, rebuilt, &store)?)
        }
        (Wanted::Index(index), Again::Index(rebuilt)) => Ok(compare_index(index, published, rebuilt)?),
        _ => Err(Failure::unexpected("a build and an index are not held against each other")),
    }
}

/// The document of `--format json`. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    /// What was named.
    build: &'a str,
    artifact: &'a str,
    /// The file that was judged, if one was.
    #[serde(skip_serializing_if = "Option::is_none")]
    against: Option<String>,
    /// What it was built from.
    source: String,
    /// What the source lacks of what was built.
    remarks: &'a [String],
    /// `E0` to `E3`, or `X`.
    level: &'static str,
    meaning: &'static str,
    /// The digest of what was published.
    expected: Option<String>,
    /// The digest of what was built.
    found: Option<String>,
    differences: Vec<Difference<'a>>,
    /// The rules that were needed, with the number of files.
    stabilised: Vec<Stabilised>,
    /// The keys in which the records differ.
    record_keys: &'a [String],
    not_compared: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    varied: Option<VariedDocument<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Difference<'a> {
    /// Empty for the container.
    path: &'a str,
    how: &'a str,
    component: Option<&'a str>,
    /// Why it does not count, if it does not.
    excused: Option<&'a str>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Stabilised {
    rule: &'static str,
    files: usize,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct VariedDocument<'a> {
    varied: Vec<&'static str>,
    not_varied: Vec<NotVaried<'a>>,
    /// What the result depends on.
    depends_on: Vec<Guilty<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct NotVaried<'a> {
    what: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Guilty<'a> {
    /// Several where only all of them together show; `time-or-chance` where nothing was varied.
    variations: Vec<&'static str>,
    first: Difference<'a>,
    entries: usize,
}

impl<'a> From<&'a EntryDifference> for Difference<'a> {
    fn from(one: &'a EntryDifference) -> Self {
        Self {
            path: &one.path,
            how: &one.how,
            component: one.component.as_deref(),
            excused: one.excused.as_deref(),
        }
    }
}

impl<'a> From<&'a Varied> for VariedDocument<'a> {
    fn from(report: &'a Varied) -> Self {
        let guilty = report.guilty.iter().map(|one| Guilty {
            variations: match one.variations.as_slice() {
                [] => vec!["time-or-chance"],
                some => some.iter().map(|variation| variation.as_str()).collect(),
            },
            first: Difference::from(&one.first),
            entries: one.entries,
        });
        Self {
            varied: report.varied.iter().map(|variation| variation.as_str()).collect(),
            not_varied: report.not_varied.iter().map(|(what, why)| NotVaried { what, why }).collect(),
            depends_on: guilty.collect(),
        }
    }
}

fn text(document: &Document<'_>, comparison: &Comparison, printer: Printer) -> String {
    let style = if comparison.level == Level::E0 { Style::Good } else { Style::Bad };
    let level = printer.on_stdout(style, &comparison.level.to_string());
    let mut text = format!("{}: {level}\n", document.build);
    let mut line = |key: &str, value: &str| text.push_str(&format!("  {key:<12} {value}\n"));
    line("source", &document.source);
    if let Some(against) = &document.against {
        line("judged", against);
    }
    line("published", document.expected.as_deref().unwrap_or("not known"));
    line("rebuilt", document.found.as_deref().unwrap_or("nothing"));
    if !document.record_keys.is_empty() {
        line("record", &format!("differs in {}", document.record_keys.join(", ")));
    }
    for one in &document.stabilised {
        line("rule", &format!("{} was needed for {}", one.rule, counted(one.files, "files")));
    }
    for one in document.differences.iter().take(SHOWN) {
        line("differs", &difference(one));
    }
    if document.differences.len() > SHOWN {
        line("", &format!("and {} more: --format json", document.differences.len() - SHOWN));
    }
    for one in document.not_compared {
        line("not compared", one);
    }
    let Some(varied) = &document.varied else { return text };
    line("varied", &varied.varied.join(", "));
    for one in &varied.depends_on {
        line("depends on", &format!("{}: {}", one.variations.join(" with "), difference(&one.first)));
    }
    if varied.depends_on.is_empty() && !varied.varied.is_empty() {
        line("depends on", "none of these, and not on the time that passed");
    }
    for one in &varied.not_varied {
        line("not varied", &format!("{}: {}", one.what, one.why));
    }
    text
}

fn difference(one: &Difference<'_>) -> String {
    let path = if one.path.is_empty() { "the container" } else { one.path };
    let component = one.component.map(|component| format!(" of {component}")).unwrap_or_default();
    let excused = one.excused.map(|why| format!(" ({why})")).unwrap_or_default();
    format!("{path}{component}: {}{excused}", one.how)
}

fn markdown(document: &Document<'_>) -> String {
    // The runner of GitHub Actions takes `##[` for a command, wherever it stands.
    let code = |text: &str| format!("`{}`", text.replace(['`', '|', '\n', '\r'], " ").replace("##[", "# #["));
    let mut text = format!("### Rebuild of {}: {}\n\n", code(document.build), document.level);
    text.push_str(&format!("{}, from {}.\n\n", document.meaning, code(&document.source)));
    text.push_str("| | digest |\n|---|---|\n");
    for (what, digest) in [("published", &document.expected), ("rebuilt", &document.found)] {
        text.push_str(&format!("| {what} | {} |\n", code(digest.as_deref().unwrap_or("not known"))));
    }
    let mut list = |head: &str, items: Vec<String>| {
        if !items.is_empty() {
            let items: String = items.iter().map(|item| format!("- {item}\n")).collect();
            text.push_str(&format!("\n**{head}**\n\n{items}"));
        }
    };
    list("Differences", document.differences.iter().take(SHOWN).map(|one| code(&difference(one))).collect());
    list("Not compared", document.not_compared.iter().map(|one| code(one)).collect());
    if let Some(varied) = &document.varied {
        let guilty = |one: &Guilty<'_>| {
            format!("{}: {}", one.variations.join(" with "), code(&difference(&one.first)))
        };
        list("Varied", varied.varied.iter().map(|one| (*one).to_owned()).collect());
        list("Depends on", varied.depends_on.iter().map(guilty).collect());
        list(
            "Not varied",
            varied.not_varied.iter().map(|one| format!("{}: {}", one.what, one.why)).collect(),
        );
    }
    text
}
