//! `kiln show` of a folder that several artifacts are published in: a line for each of them.

use crate::args::{Format, Show};
use crate::failure::Failure;
use crate::printer::{Printer, Style};
use kiln_audit::format_size;
use kiln_publish::{NamedBuild, NamedWorkspace};
use kiln_record::{ArtifactKind, ArtifactName, Digest, Ecosystem, Exit, counted, exit};
use kiln_report::{Align, Markdown};
use serde::Serialize;
use std::collections::BTreeMap;

/// How many digits of a digest stand in a line for a person.
const DIGITS: usize = 12;

/// All artifacts of a folder. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    /// The folder, or the index in it, as it was named.
    workspace: &'a str,
    artifacts: Vec<Row<'a>>,
    /// What is named there and cannot be read, with the reason.
    unread: &'a BTreeMap<ArtifactName, String>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Row<'a> {
    artifact: &'a ArtifactName,
    kind: ArtifactKind,
    /// Bytes of the archive, of an image of its layers as a registry keeps them.
    size: u64,
    /// Distributions, and packages of a system.
    packages: usize,
    /// What identifies it: the SHA-256 of the archive, of an image the digest of its manifest.
    digest: Option<Digest>,
    /// That what its record describes is not beside that, in a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    absent: Option<&'a str>,
}

impl<'a> Row<'a> {
    fn of(artifact: &'a ArtifactName, build: &'a NamedBuild) -> Self {
        let record = &build.record;
        let is_package = |ecosystem: Ecosystem| ecosystem == Ecosystem::Python || ecosystem.is_of_system();
        let packages = record.components.iter().filter(|component| is_package(component.ecosystem));
        let image = record.image.as_ref().map(|image| image.manifest);
        Self {
            artifact,
            kind: record.kind,
            size: record.packed_size(),
            packages: packages.count(),
            digest: image.or_else(|| record.archive().map(|output| output.digest)),
            absent: build.absent.as_deref(),
        }
    }

    /// The digest, shortened for a person.
    fn short(&self) -> String {
        self.digest.map_or_else(String::new, |digest| format!("sha256:{}", &digest.hex()[..DIGITS]))
    }
}

/// Lists them. What cannot be read has its reason, and is why the command does not succeed then.
pub(super) fn run(
    format: Format,
    workspace: &NamedWorkspace,
    command: &Show,
    printer: Printer,
) -> Result<Exit, Failure> {
    let about_one = [("--files", command.files), ("--statement", command.statement.is_some())];
    if let Some((option, _)) = about_one.iter().find(|(_, is_asked)| *is_asked) {
        let count = counted(workspace.artifacts.len(), "artifacts");
        return Err(Failure::usage(format!(
            "{option} is about one build, and {} has {count}",
            workspace.label
        ))
        .hint(format!("name one: {}", workspace.operands().join(", "))));
    }
    let rows: Vec<Row<'_>> = workspace.artifacts.iter().map(|(name, build)| Row::of(name, build)).collect();
    printer.data(&match format {
        Format::Json => {
            let (label, unread) = (&workspace.label, &workspace.unread);
            super::document(&Document { workspace: label, artifacts: rows, unread })?
        }
        Format::Markdown => markdown(workspace, &rows),
        _ => text(workspace, &rows, printer),
    });
    Ok(if workspace.unread.is_empty() { exit::SUCCESS } else { exit::INPUT_INVALID })
}

fn text(workspace: &NamedWorkspace, rows: &[Row<'_>], printer: Printer) -> String {
    let count = counted(rows.len(), "artifacts");
    let mut text = format!("{}: {count}\n", printer.on_stdout(Style::Strong, &workspace.label));
    let names = workspace.artifacts.keys().chain(workspace.unread.keys());
    let width = names.map(|name| name.as_str().len()).max().unwrap_or_default();
    for row in rows {
        text.push_str(&format!(
            "  {:<12}  {:<width$}  {:>9}  {:>12}  {}\n",
            row.kind.as_str(),
            row.artifact.as_str(),
            format_size(row.size),
            counted(row.packages, "packages"),
            row.short()
        ));
    }
    for (row, absent) in rows.iter().filter_map(|row| Some((row, row.absent?))) {
        text.push_str(&format!("  {:<12}  {:<width$}  {absent}\n", "note", row.artifact.as_str()));
    }
    for (name, reason) in &workspace.unread {
        let word = printer.on_stdout(Style::Bad, &format!("{:<12}", "not read"));
        text.push_str(&format!("  {word}  {:<width$}  {reason}\n", name.as_str()));
    }
    text
}

fn markdown(workspace: &NamedWorkspace, rows: &[Row<'_>]) -> String {
    let mut out = Markdown::default();
    let (left, right) = (Align::Left, Align::Right);
    let head = [("artifact", left), ("kind", left), ("size", right), ("packages", right), ("digest", left)];
    let read = rows.iter().map(|row| {
        let packages = row.packages.to_string();
        [row.artifact.to_string(), row.kind.as_str().to_owned(), format_size(row.size), packages, row.short()]
    });
    let unread = workspace.unread.iter().map(|(name, reason)| {
        [name.to_string(), "not read".to_owned(), String::new(), String::new(), reason.clone()]
    });
    let absent = rows.iter().filter_map(|row| row.absent);
    out.heading(&workspace.label).table(head, read.chain(unread)).list(absent).text().to_owned()
}
