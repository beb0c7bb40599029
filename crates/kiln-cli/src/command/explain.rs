//! `kiln explain`: why something is in an artifact, or why it is not.

use super::explain_build;
use super::explain_document::{Distribution, Overview, Path};
use crate::args::{Explain, Format};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::progress::Progress;
use crate::settings::Settings;
use crate::{findings, signals};
use kiln_audit::format_size;
use kiln_build::{ExplainedDistribution, ExplainedMarker, ExplainedPath, Explanation, explain_path};
use kiln_invocation::InvocationError;
use kiln_plan::nearest;
use kiln_record::{
    ArtifactName, Cause, Code, DistributionName, Entry, Exit, Importable, InputRole, Level, NameError,
    Runtime, counted, exit,
};
use kiln_report::{Align, Judgement, Markdown, Remark};

/// How many native files, and how many files that were not taken, are named to a person.
const SHOWN: usize = 8;

/// One word that names no artifact may be a code that was mistyped, or what somebody wants explained of an artifact.
fn with_other_meanings(failure: Failure, command: &Explain) -> Failure {
    let word = &command.artifact;
    if command.subject.is_some() || !failure.message().starts_with("there is no artifact") {
        return failure;
    }
    let failure = match nearest(word, Code::ALL.iter().map(|code| code.as_str())) {
        Some(code) => failure.hint(format!("or did you mean the finding? kiln explain {code}")),
        None => failure,
    };
    failure.hint(format!(
        "a distribution, file or module is asked for after its artifact: kiln explain ARTIFACT {word}"
    ))
}

pub(crate) fn run(settings: &Settings, command: &Explain, printer: Printer) -> Result<Exit, Failure> {
    if let (Some(code), None) = (super::explain_code::of(&command.artifact), &command.subject) {
        return super::explain_code::run(&code, settings.format, printer);
    }
    if explain_build::is_operand(&command.artifact) {
        return explain_build::run(settings, command, printer);
    }
    let artifact: ArtifactName =
        command.artifact.parse().map_err(|error: NameError| Failure::usage(error.to_string()))?;
    let progress = Progress::new(printer);
    let events = progress.events();
    let environment = settings.environment.clone();
    let explanation = signals::run(|engine| {
        Box::pin(async move { kiln_build::explain(&environment, &artifact, &events, engine).await })
    })
    .map_err(|failure| with_other_meanings(failure, command))?;
    drop(progress);
    let (json, markdown) = (settings.format == Format::Json, settings.format == Format::Markdown);
    let Some(subject) = &command.subject else {
        if json {
            printer.data(&super::document(&Overview::new(&explanation))?);
        } else if markdown {
            printer.data(markdown_overview(&explanation).text());
        } else {
            printer.data(&overview(&explanation, printer));
            // What is left out on purpose stands in the table; what stops a build needs its way out.
            let denials: Vec<_> =
                explanation.findings.iter().filter(|finding| finding.level == Level::Deny).cloned().collect();
            findings::print(printer, explanation.artifact.as_str(), &denials);
        }
        return Ok(exit::SUCCESS);
    };
    let name = subject.parse::<DistributionName>();
    let rows: Vec<&ExplainedDistribution> = explanation
        .distributions
        .iter()
        .filter(|row| name.as_ref().is_ok_and(|name| name.as_str() == row.name))
        .collect();
    if !rows.is_empty() {
        if json {
            let rows: Vec<Distribution<'_>> = rows.into_iter().map(Distribution::new).collect();
            printer.data(&super::document(&rows)?);
        } else {
            for row in rows {
                let facts = distribution(&explanation, row);
                printer.data(&told(&distribution_head(&explanation, row), &facts, settings.format, printer));
            }
        }
        return Ok(exit::SUCCESS);
    }
    let found = explanation.build.as_ref().and_then(|build| explain_path(&build.record, subject));
    match found {
        Some(found) if json => printer.data(&super::document(&Path::new(&found))?),
        Some(found) => {
            let head = (found.path.clone(), format!("in {}", explanation.artifact));
            printer.data(&told(&head, &path(&explanation, &found), settings.format, printer));
        }
        None => {
            return Err(of_layer(&explanation, subject)
                .or_else(|| of_runtime(&explanation, subject))
                .unwrap_or_else(|| nowhere(&explanation, subject).into()));
        }
    }
    Ok(exit::SUCCESS)
}

/// What is told of a module that the artifact does not bring, and that was imported from one of its layers.
fn of_layer(explanation: &Explanation, subject: &str) -> Option<Failure> {
    let record = &explanation.build.as_ref()?.record;
    let mut findings = record.findings.iter().filter(|finding| finding.code == Code::ProvidedByLayer);
    let cause = &findings.find(|finding| finding.subject == subject)?.cause;
    let failure = Failure::input(format!("{} does not bring `{subject}`: {cause}", explanation.artifact));
    let layers = record.inputs.iter().filter(|input| input.role == InputRole::Layer);
    let named = layers.filter(|layer| cause.split(' ').any(|word| word == layer.name));
    Some(named.fold(failure, |failure, layer| {
        failure.hint(format!("where it is from: kiln explain {} {subject}", layer.name))
    }))
}

/// What is told of a distribution or module that the artifact does not bring, and the runtime has.
fn of_runtime(explanation: &Explanation, subject: &str) -> Option<Failure> {
    let runtime = Runtime::named(&explanation.target.runtime)?;
    let provided = runtime.provides.iter().find(|provided| {
        provided.distribution == subject.to_lowercase()
            || provided.modules.iter().any(|module| module == subject)
    })?;
    let (name, artifact) = (&provided.distribution, &explanation.artifact);
    Some(
        Failure::input(format!(
            "{artifact} does not bring `{subject}`: {name} is from the runtime, {}, in a version that moves without notice",
            runtime.name
        ))
        .hint(format!("to bring a version of its own, ask for {name} and lock it")),
    )
}

/// The error for a subject that is neither a distribution nor a path.
fn nowhere(explanation: &Explanation, subject: &str) -> InvocationError {
    let plain = |text: &str| text.to_lowercase().replace(['_', '.'], "-");
    let wanted = plain(subject);
    let near = |name: &str| {
        let name = plain(name);
        name.contains(&wanted)
            || wanted.contains(&name)
            || name.get(..4).is_some_and(|s| wanted.starts_with(s))
    };
    let mut known: Vec<String> =
        explanation.distributions.iter().map(|row| row.name.clone()).filter(|name| near(name)).collect();
    known.truncate(SHOWN);
    InvocationError::Unknown { kind: "distribution, path or module", name: subject.to_owned(), known }
}

/// One line for each distribution over the five lists.
fn overview(explanation: &Explanation, printer: Printer) -> String {
    let mut text = format!(
        "{}  {} on {}, base {}\n",
        printer.on_stdout(Style::Strong, explanation.artifact.as_str()),
        explanation.target.runtime,
        explanation.target.architecture.lambda(),
        explanation.base
    );
    let Some(lock) = &explanation.lock else {
        text.push_str("  the manifest has no [python] section: there are no distributions\n");
        return text;
    };
    text.push_str(&format!("  lock {lock}; {}\n\n", build_line(explanation)));
    let rows = &explanation.distributions;
    let name = rows.iter().map(|row| row.name.len()).max().unwrap_or(0).max("distribution".len());
    let version =
        rows.iter().filter_map(|row| row.version.as_ref()).map(String::len).max().unwrap_or(0).max(7);
    text.push_str(&printer.on_stdout(
        Style::Faint,
        &format!(
            "  {:name$}  {:version$}  declared  locked  fetched  installed  importable",
            "distribution", "version"
        ),
    ));
    text.push('\n');
    // What is in comes first, then what is not, each with its reason.
    let (inside, outside): (Vec<_>, Vec<_>) =
        rows.iter().partition(|row| row.gap.is_none() && row.locked.is_some());
    for row in inside.into_iter().chain(outside) {
        let mark = |yes: bool| if yes { "yes" } else { "-" };
        let ((installed, importable), reason) = (installed(row), reason(row));
        text.push_str(
            format!(
                "  {:name$}  {:version$}  {:8}  {:6}  {:7}  {installed:9}  {importable:10}  {reason}",
                row.name,
                row.version.as_deref().unwrap_or("-"),
                mark(!row.declared.is_empty()),
                mark(row.locked.is_some()),
                mark(row.wheel.is_some()),
            )
            .trim_end(),
        );
        text.push('\n');
    }
    text
}

fn build_line(explanation: &Explanation) -> String {
    match &explanation.build {
        None => "not built yet".to_owned(),
        Some(build) if explanation.build_is_current => format!("built as {}", build.label),
        Some(build) => format!("last built as {}, and changed since", build.label),
    }
}

fn importable_word(state: Option<&Importable>, there: bool) -> &'static str {
    match state {
        Some(Importable::Yes) => "yes",
        Some(Importable::No { .. }) => "no",
        Some(Importable::NotChecked { .. }) => "not tried",
        None if there => "not tried",
        None => "-",
    }
}

/// The reason of a gap; where nothing requires the distribution any more, with those that did.
fn because(row: &ExplainedDistribution, cause: &str) -> String {
    match &row.parents_left_out[..] {
        _ if !matches!(row.gap, Some(Cause::Unreachable)) => cause.to_owned(),
        [] => cause.to_owned(),
        parents => {
            let names: Vec<String> = parents.iter().map(|(name, why)| format!("{name} ({why})")).collect();
            format!("{cause}; required by what is left out: {}", names.join(", "))
        }
    }
}

/// What is asked about, and the rest of its headline.
type Head = (String, String);
/// A key and a value each; the key of a line that goes on is empty.
type Facts = Vec<(String, String)>;

/// Facts below their head.
fn told((subject, rest): &Head, facts: &Facts, format: Format, printer: Printer) -> String {
    if format == Format::Markdown {
        let mut out = Markdown::default();
        return out.heading(&format!("{subject} {rest}")).facts(facts).text().to_owned();
    }
    let lines: String = facts.iter().map(|(key, value)| format!("  {key:<12} {value}\n")).collect();
    format!("{} {rest}\n{lines}", printer.on_stdout(Style::Strong, subject))
}

fn markdown_overview(explanation: &Explanation) -> Markdown {
    let mut out = Markdown::default();
    out.heading(&format!(
        "{}: {} on {}, base {}",
        explanation.artifact,
        explanation.target.runtime,
        explanation.target.architecture.lambda(),
        explanation.base
    ));
    match &explanation.lock {
        None => out.paragraph("The manifest has no [python] section: there are no distributions."),
        Some(lock) => out.paragraph(&format!("Lock {lock}; {}.", build_line(explanation))),
    };
    let mark = |yes: bool| if yes { "yes" } else { "-" }.to_owned();
    let rows = explanation.distributions.iter().map(|row| {
        let (installed, importable) = installed(row);
        [
            row.name.clone(),
            row.version.clone().unwrap_or_default(),
            mark(!row.declared.is_empty()),
            mark(row.locked.is_some()),
            mark(row.wheel.is_some()),
            installed.to_owned(),
            importable.to_owned(),
            reason(row),
        ]
    });
    let head =
        ["distribution", "version", "declared", "locked", "fetched", "installed", "importable", "why not"];
    out.table(head.map(|name| (name, Align::Left)), rows);
    let denials = Judgement {
        name: "Denied".to_owned(),
        remarks: explanation
            .findings
            .iter()
            .filter(|finding| finding.level == Level::Deny)
            .map(Remark::from)
            .collect(),
        ..Judgement::default()
    };
    out.append(&kiln_report::markdown(&[denials]));
    out
}

/// Whether a distribution is installed and can be imported, in words.
fn installed(row: &ExplainedDistribution) -> (&'static str, &'static str) {
    match (row.installed, &row.importable) {
        (None, _) => ("not built", "not built"),
        (Some(there), state) => (if there { "yes" } else { "-" }, importable_word(state.as_ref(), there)),
    }
}

/// Why a distribution is not in the artifact; nothing if it is.
fn reason(row: &ExplainedDistribution) -> String {
    match (&row.gap, row.locked.is_some()) {
        (Some(cause), _) => because(row, &cause.to_string()),
        (None, false) => "declared, but not in the lock".to_owned(),
        (None, true) => String::new(),
    }
}

fn distribution_head(explanation: &Explanation, row: &ExplainedDistribution) -> Head {
    let version = row.version.as_deref().unwrap_or("(no version)");
    (row.name.clone(), format!("{version} in {}", explanation.artifact))
}

/// Everything about one distribution.
fn distribution(explanation: &Explanation, row: &ExplainedDistribution) -> Facts {
    let mut facts = Facts::new();
    let mut line = |key: &str, value: &str| facts.push((key.to_owned(), value.to_owned()));
    // What is wrong with it as it is locked: until that is changed, no build has it.
    let mut denied = explanation.findings.iter();
    let denied = denied.find(|finding| finding.level == Level::Deny && finding.subject == row.name);
    match (&row.gap, &row.locked) {
        (Some(cause), _) => line("left out", &cause.to_string()),
        (None, None) => line("missing", "it is declared, but the lock does not have it"),
        (None, Some(_)) => line("in", "the lock has it, and the target needs it"),
    }
    if let Some(finding) = denied {
        line("denied", &format!("no build can bring it as it is: {}", finding.cause));
    }
    for (name, why) in &row.parents_left_out {
        line("", &format!("{name} requires it, and is left out: {why}"));
    }
    for (what, at) in &row.declared {
        line("declared", &format!("{what}  ({at})"));
    }
    if row.declared.is_empty() {
        line("declared", "no");
    }
    line("locked", row.locked.as_deref().unwrap_or("no"));
    for marker in &row.markers {
        line("marker", &marker_text(marker));
    }
    if row.chain.len() > 1 {
        line("needed by", &row.chain.join(" → "));
    }
    let others: Vec<&str> = row
        .required_by
        .iter()
        .map(String::as_str)
        .filter(|name| !row.chain.iter().any(|c| c == name))
        .collect();
    if !others.is_empty() {
        line("also by", &others.join(", "));
    }
    match &row.wheel {
        Some(wheel) => {
            line("wheel", &wheel.file_name);
            line("", &wheel.digest.to_string());
            if let Some(built) = &wheel.built_from {
                line("built from", &built.sdist.file_name);
                line("", &built.sdist.digest.to_string());
                line("because", &built.reason);
                line(
                    "built in",
                    &format!("base {} ({}), by {}", built.base, built.base_digest, built.backend),
                );
                let with = built.requirements.iter().map(|r| format!("{} {}", r.name, r.version));
                line("built with", &with.collect::<Vec<_>>().join(", "));
                let twice = if built.reproducible { "the same wheel" } else { "different wheels" };
                line("built twice", &format!("to {twice}"));
            }
            if let Some(tag) = &wheel.tag {
                line("chosen by", &format!("the tag {tag}, the best that base and target both load"));
            }
            line(
                "size",
                &format!(
                    "{} packed, {} in {}",
                    format_size(wheel.size),
                    format_size(wheel.bytes),
                    counted(wheel.files, "files")
                ),
            );
            for (path, size) in &wheel.largest {
                line("", &format!("{:>10}  {path}", format_size(*size)));
            }
            for (index, path) in wheel.native.iter().take(SHOWN).enumerate() {
                line(if index == 0 { "native" } else { "" }, path);
            }
            more(&mut line, wheel.native.len());
        }
        None if row.gap.is_none() && row.locked.is_some() => match &row.place {
            Some(place) => line("wheel", &format!("of this workspace: {place}")),
            None if denied.is_some() => {}
            None => line("wheel", "not fetched yet: kiln build brings it"),
        },
        None => {}
    }
    for (index, (name, why)) in row.other_files.iter().take(SHOWN).enumerate() {
        line(if index == 0 { "not taken" } else { "" }, &format!("{name}: {why}"));
    }
    more(&mut line, row.other_files.len());
    // Before one of them is fetched, nothing says which of them is taken.
    if row.unnamed_files > 0 && row.wheel.is_some() {
        line(
            "not taken",
            &format!("{} that the lock names by hash alone", counted(row.unnamed_files, "files")),
        );
    }
    match row.installed {
        None => line("installed", "not built yet"),
        Some(there) => {
            line("installed", &format!("{} ({})", if there { "yes" } else { "no" }, build_line(explanation)))
        }
    }
    if row.installed == Some(true) {
        match &row.importable {
            Some(Importable::Yes) => line("importable", "yes"),
            Some(Importable::No { reason }) => line("importable", &format!("no: {reason}")),
            Some(Importable::NotChecked { reason }) => line("importable", &format!("not checked: {reason}")),
            None => line("importable", "not checked"),
        }
    }
    facts
}

fn more(line: &mut impl FnMut(&str, &str), all: usize) {
    if all > SHOWN {
        line("", &format!("and {} more (--format json has them)", all - SHOWN));
    }
}

fn marker_text(marker: &ExplainedMarker) -> String {
    let values = marker.values.join(", ");
    match marker.value {
        Some(value) => format!("{} is {value} ({values})", marker.marker),
        None => format!("{} cannot be evaluated: {values}", marker.marker),
    }
}

fn path(explanation: &Explanation, found: &ExplainedPath) -> Facts {
    let mut facts = Facts::new();
    let mut line = |key: &str, value: &str| facts.push((key.to_owned(), value.to_owned()));
    line("belongs to", &found.component);
    line("comes from", &found.origin);
    match &found.entry {
        Entry::File { digest, size, mode } => {
            line("content", &digest.to_string());
            line("size", &format_size(*size));
            line("mode", &format!("{:04o}", mode.bits()));
        }
        Entry::Symlink { target } => line("link to", target),
    }
    for (rule, before) in &found.rules {
        match before {
            Some(digest) => line("changed by", &format!("{rule}, from {digest}")),
            None => line("made by", rule),
        }
    }
    line("as of", &build_line(explanation));
    facts
}
