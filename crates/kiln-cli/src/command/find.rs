//! `kiln find`.

use crate::args::Format;
use crate::args::find::Find;
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use crate::settings::{Call, Needs, Settings};
use crate::signals;
use kiln_find::{Found, Hit, Query, records_below, search_ledger, search_records};
use kiln_publish::{is_registry_repository, pull_record, tagged_records};
use kiln_record::{Exit, counted, exit};
use kiln_report::{Align, Markdown};
use kiln_store::Ledger;
use serde::Serialize;

/// How many builds or places that could not be looked at are shown to a person.
const SHOWN: usize = 10;

pub(crate) fn run(call: &Call<'_>, command: &Find, printer: Printer) -> Result<Exit, Failure> {
    let query = Query::parse(&command.query)?;
    let mut found = Found::default();
    for ledger in &command.ledger {
        if !ledger.is_dir() {
            return Err(Failure::input(format!("--ledger {}: there is no such folder", ledger.display())));
        }
        search_ledger(&query, &Ledger::open(ledger), &ledger.display().to_string(), &mut found)?;
    }
    for place in &command.places {
        records_below(&query, place, &mut found)?;
    }
    let elsewhere = !(command.ledger.is_empty() && command.places.is_empty() && command.registry.is_empty());
    if !command.registry.is_empty() || !elsewhere {
        let settings = Settings::new(
            call.global,
            call.variables,
            if elsewhere { Needs::Nothing } else { Needs::Workspace },
        )
        .map_err(|failure| {
            failure
                .hint("without a workspace, name where to look: kiln find QUERY FOLDER, or --ledger FOLDER")
        })?;
        for reference in &command.registry {
            let (environment, text, plain) =
                (settings.environment.clone(), reference.clone(), command.plain_http);
            if is_registry_repository(reference) {
                let tagged = signals::run(|_| {
                    Box::pin(async move { tagged_records(&environment, &text, plain).await })
                })?;
                let label = |label: &str, tags: &[String]| format!("{label} ({})", tags.join(", "));
                let builds = tagged.builds.into_iter();
                let builds: Vec<_> = builds.map(|one| (label(&one.label, &one.tags), one.record)).collect();
                search_records(&query, &builds, &mut found);
                let unread = tagged.unread.into_iter();
                found.unread.extend(unread.map(|(tag, reason)| format!("{reference}:{tag}: {reason}")));
                continue;
            }
            let build = signals::run(|_| {
                Box::pin(async move { pull_record(&environment, &text, None, plain).await })
            })?;
            search_records(&query, &[(build.label, build.record)], &mut found);
        }
        if !elsewhere {
            let root = settings.environment.state.join("ledger");
            search_ledger(&query, &Ledger::open(&root), "ledger", &mut found)?;
        }
    }
    let document = Document {
        format: "1.0",
        query: &command.query,
        builds: found.builds,
        found: found.hits.iter().map(Row::from).collect(),
        undecided: found.undecided.iter().map(Row::from).collect(),
        not_looked_at: &found.unread,
    };
    match call.global.format {
        Format::Json => printer.data(&super::document(&document)?),
        Format::Markdown => printer.data(markdown(&document).text()),
        _ => printer.data(&text(&document, printer)),
    }
    // Whoever asks where something is must not take silence for an answer.
    match found.unread.len() {
        0 => Ok(exit::SUCCESS),
        count => {
            printer.talk(&format!("{count} could not be looked at: what they hold is not known"));
            Ok(exit::INPUT_INVALID)
        }
    }
}

/// The document of `--format json`. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    query: &'a str,
    /// How many builds were looked at.
    builds: u64,
    found: Vec<Row<'a>>,
    /// What has the name, and a version that cannot be compared with what is asked.
    undecided: Vec<Row<'a>>,
    /// Builds and records that could not be looked at, and why.
    not_looked_at: &'a [String],
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Row<'a> {
    artifact: &'a str,
    /// `python`, `debian`, `base`, `file` and others.
    kind: &'static str,
    name: &'a str,
    version: Option<&'a str>,
    digest: Option<String>,
    licenses: &'a [String],
    /// What brings it in, from what nothing requires; of a file its owner.
    via: &'a [String],
    /// The ledger, or the record.
    place: &'a str,
    /// Builds of the ledger, as ranges with both ends.
    builds: &'a [(u64, u64)],
    /// When the first of them was entered.
    since: Option<String>,
    /// Whether the newest build of the ledger holds it.
    in_newest: bool,
}

impl<'a> From<&'a Hit> for Row<'a> {
    fn from(hit: &'a Hit) -> Self {
        Self {
            artifact: hit.artifact.as_str(),
            kind: hit.fact.kind.as_str(),
            name: &hit.fact.name,
            version: hit.fact.version.as_deref(),
            digest: hit.fact.digest.map(|digest| digest.to_string()),
            licenses: &hit.fact.licenses,
            via: &hit.fact.via,
            place: &hit.place,
            builds: &hit.builds,
            since: hit.since.map(|since| since.to_string()),
            in_newest: hit.in_newest,
        }
    }
}

impl Row<'_> {
    fn what(&self) -> String {
        format!("{} {}", self.name, self.version.unwrap_or_default()).trim_end().to_owned()
    }

    /// Where it is: `@3-7, @9 of ledger since …`, or the record.
    fn builds(&self) -> String {
        let range = |range: &(u64, u64)| match range {
            (first, last) if first == last => format!("@{first}"),
            (first, last) => format!("@{first}-{last}"),
        };
        let ranges: Vec<String> = self.builds.iter().map(range).collect();
        match (ranges.is_empty(), &self.since) {
            (true, _) => self.place.to_owned(),
            (false, Some(since)) => format!("{} since {since}", ranges.join(", ")),
            (false, None) => ranges.join(", "),
        }
    }

    /// What brings it in.
    fn brought(&self) -> String {
        match self.via {
            [] => "required by nothing else".to_owned(),
            via if self.kind == "file" => format!("of {}", via.join(", ")),
            via => format!("through {}", via.join(" > ")),
        }
    }
}

fn text(document: &Document<'_>, printer: Printer) -> String {
    let mut text = String::new();
    let mut before = "";
    for row in &document.found {
        if row.artifact != before {
            text.push_str(&format!("{}\n", printer.on_stdout(Style::Strong, row.artifact)));
            before = row.artifact;
        }
        let newest = if row.in_newest { ", the newest among them" } else { "" };
        text.push_str(&format!("  {:<11} {}  {}{newest}\n", row.kind, row.what(), row.builds()));
        text.push_str(&printer.on_stdout(Style::Faint, &format!("              {}\n", row.brought())));
    }
    let builds = counted(document.builds, "builds");
    let artifacts: std::collections::BTreeSet<&str> = document.found.iter().map(|row| row.artifact).collect();
    text.push_str(&match artifacts.len() {
        0 => format!("nothing in {builds}\n"),
        count => format!("{}, in {builds} looked at\n", counted(count, "artifacts")),
    });
    for row in &document.undecided {
        text.push_str(&format!(
            "  not decided: {} {} {} ({}): the order of its versions is not known here\n",
            row.artifact,
            row.what(),
            row.builds(),
            row.kind
        ));
    }
    for one in document.not_looked_at.iter().take(SHOWN) {
        text.push_str(&format!("  not looked at: {one}\n"));
    }
    if document.not_looked_at.len() > SHOWN {
        text.push_str(&format!("  and {} more: --format json\n", document.not_looked_at.len() - SHOWN));
    }
    text
}

fn markdown(document: &Document<'_>) -> Markdown {
    let mut out = Markdown::default();
    out.heading(document.query);
    let row = |row: &Row<'_>| {
        let newest = if row.in_newest { "yes" } else { "no" };
        [
            row.artifact.to_owned(),
            format!("{} {}", row.kind, row.name),
            row.version.unwrap_or_default().to_owned(),
            row.builds(),
            newest.to_owned(),
            row.brought(),
        ]
    };
    let head = ["artifact", "what", "version", "builds", "in the newest", "brought in"]
        .map(|name| (name, Align::Left));
    out.table(head, document.found.iter().map(row));
    out.paragraph(&format!("builds looked at: {}", document.builds));
    let undecided = document
        .undecided
        .iter()
        .map(|row| format!("not decided: {} {} {}", row.artifact, row.what(), row.builds()));
    out.list(undecided);
    out.list(document.not_looked_at.iter().map(|one| format!("not looked at: {one}")));
    out
}
