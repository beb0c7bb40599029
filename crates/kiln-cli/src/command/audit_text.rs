//! What `kiln audit` found, for a person and for a review comment.

use super::audit_document::{BuildRow, Document, FindingRow, NotCheckedRow};
use crate::printer::{Printer, Style};
use kiln_report::{Align, Markdown};
use std::collections::BTreeMap;

/// How many names are shown of those that were not looked up for one reason, and how many documents that could not be read.
const SHOWN: usize = 8;
/// How many files are shown.
const FILES: usize = 3;

/// `1 vulnerability`, `2 vulnerabilities`.
pub(super) fn vulnerabilities(count: usize) -> String {
    if count == 1 { "1 vulnerability".to_owned() } else { format!("{count} vulnerabilities") }
}

pub(super) fn text(document: &Document<'_>, printer: Printer) -> String {
    let mut text = String::new();
    for build in &document.builds {
        text.push_str(&format!("{}: {}\n", printer.on_stdout(Style::Strong, build.build), summary(build)));
        for finding in &build.findings {
            let what = format!("{} {}", finding.name, finding.version);
            let fixed = finding.fixed.first().map(|fixed| format!(", fixed in {fixed}")).unwrap_or_default();
            text.push_str(&format!("  {:<13} {:<19} {what}{fixed}\n", rank(finding), finding.id));
            for line in details(finding) {
                text.push_str(&printer.on_stdout(Style::Faint, &format!("                {line}\n")));
            }
        }
        for absent in &build.absent {
            let what = format!("{} {}", absent.name, absent.version);
            text.push_str(&format!("  {:<13} {:<19} {what}: {}\n", "not in it", absent.id, absent.reason));
        }
        for (reason, names) in by_reason(&build.not_checked) {
            text.push_str(&format!("  not checked: {}: {reason}\n", short(&names)));
        }
    }
    let export = &document.export;
    let newest = export.newest.map(|at| format!(", the newest of {at}")).unwrap_or_default();
    let documents = if export.documents == 1 {
        "1 document".to_owned()
    } else {
        format!("{} documents", export.documents)
    };
    text.push_str(&format!("export: {documents}{newest}\n        {}\n", export.digest));
    if export.withdrawn > 0 {
        text.push_str(&format!("        {} of them are withdrawn and do not count\n", export.withdrawn));
    }
    for one in export.not_read.iter().take(SHOWN) {
        text.push_str(&format!("  not read: {}: {}\n", one.path, one.reason));
    }
    if export.not_read_count > SHOWN as u64 {
        text.push_str(&format!("  and {} more: --format json\n", export.not_read_count - SHOWN as u64));
    }
    for place in &document.statements_about_nothing {
        text.push_str(&format!("  about nothing that was found: {place}\n"));
    }
    text
}

fn summary(build: &BuildRow<'_>) -> String {
    let open = build.findings.iter().filter(|one| one.silenced.is_none() && one.undecided.is_none()).count();
    let undecided =
        build.findings.iter().filter(|one| one.silenced.is_none() && one.undecided.is_some()).count();
    let silenced = build.findings.len() - open - undecided;
    let mut words = vec![vulnerabilities(open)];
    words.extend((undecided > 0).then(|| format!("{undecided} that cannot be told")));
    words.extend((silenced > 0).then(|| format!("{silenced} silenced")));
    let parts = if build.checked == 1 { "part" } else { "parts" };
    format!("{}; {} {parts} looked up, {} not", words.join(", "), build.checked, build.not_checked.len())
}

/// How severe it is, or why that does not matter.
fn rank(finding: &FindingRow<'_>) -> String {
    match (&finding.silenced, finding.undecided) {
        (Some(_), _) => "silenced".to_owned(),
        (None, Some(_)) => "not decided".to_owned(),
        (None, None) => {
            let score = finding.score.as_deref().map(|score| format!(" {score}")).unwrap_or_default();
            format!("{}{score}", finding.severity.unwrap_or("not rated"))
        }
    }
}

/// What there is to say of it beyond its name.
pub(super) fn details(finding: &FindingRow<'_>) -> Vec<String> {
    let mut lines: Vec<String> = finding.summary.iter().map(|summary| (*summary).to_owned()).collect();
    let mut place = match finding.via {
        // Of an entry of a bill, neither files nor what requires it is known.
        [] if finding.file_count == 0 => String::new(),
        [] => "required by nothing else".to_owned(),
        via => format!("through {}", via.join(" > ")),
    };
    if let Some(more) = finding.file_count.checked_sub(FILES.min(finding.files.len()) as u64)
        && finding.file_count > 0
    {
        let named: Vec<&str> = finding.files.iter().take(FILES).map(String::as_str).collect();
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        place.push_str(&format!("; {}{more}", named.join(", ")));
    }
    lines.extend((!place.is_empty()).then_some(place));
    lines.extend(finding.undecided.iter().map(|reason| (*reason).to_owned()));
    lines.extend(finding.silenced.iter().map(|said| {
        let why = said.justification.map(|why| format!(" ({why})")).unwrap_or_default();
        let until = said.until.map(|until| format!(", until {:.10}", until.to_string())).unwrap_or_default();
        let reason = said.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        format!("{}{why}, by {} in {}{until}{reason}", said.status, said.author, said.place)
    }));
    lines.extend(finding.told.iter().cloned());
    lines.extend(
        finding.draft.filter(|_| finding.silenced.is_none()).map(|draft| format!("to be confirmed: {draft}")),
    );
    lines
}

fn by_reason<'a>(rows: &'a [NotCheckedRow<'a>]) -> BTreeMap<&'a str, Vec<String>> {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows {
        let version = row.version.map(|version| format!(" {version}")).unwrap_or_default();
        all.entry(row.reason).or_default().push(format!("{}{version}", row.name));
    }
    all
}

fn short(names: &[String]) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len().min(SHOWN)].join(", ");
    if more == 0 { shown } else { format!("{shown} and {more} more") }
}

pub(super) fn markdown(document: &Document<'_>) -> String {
    let mut page = Markdown::default();
    for build in &document.builds {
        page.subheading(build.build).paragraph(&summary(build));
        let left = |text| (text, Align::Left);
        page.table(
            [left("severity"), left("vulnerability"), left("in"), left("fixed in"), left("what is known")],
            build.findings.iter().map(|one| {
                let what = format!("{} {}", one.name, one.version);
                [rank(one), one.id.to_owned(), what, one.fixed.join(", "), details(one).join("; ")]
            }),
        );
        page.list(
            build
                .absent
                .iter()
                .map(|one| format!("{} is not in it: {} {}: {}", one.id, one.name, one.version, one.reason)),
        );
        page.list(
            by_reason(&build.not_checked)
                .into_iter()
                .map(|(reason, names)| format!("not checked: {}: {reason}", short(&names))),
        );
    }
    page.list(document.unread.iter().map(|one| format!("{} was not read: {}", one.artifact, one.reason)));
    let export = &document.export;
    let newest = export.newest.map(|at| format!(", the newest of {at}")).unwrap_or_default();
    page.paragraph(&format!("{} documents{newest}, {}", export.documents, export.digest));
    if export.not_read_count > 0 {
        page.paragraph(&format!("{} documents could not be read.", export.not_read_count));
    }
    page.text().to_owned()
}
