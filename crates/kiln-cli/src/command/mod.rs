//! The commands, one file each.

pub(crate) mod approve;
pub(crate) mod audit;
pub(crate) mod audit_document;
mod audit_text;
pub(crate) mod build;
pub(crate) mod bundle;
pub(crate) mod cross_check;
pub(crate) mod diff;
pub(crate) mod doctor;
mod doctor_registries;
mod doctor_row;
pub(crate) mod expected_build;
pub(crate) mod explain;
pub(crate) mod explain_build;
pub(crate) mod explain_code;
pub(crate) mod explain_document;
pub(crate) mod export;
pub(crate) mod find;
pub(crate) mod gather;
pub(crate) mod history;
pub(crate) mod init;
pub(crate) mod invoke;
pub(crate) mod lock;
pub(crate) mod lock_artifact;
pub(crate) mod log;
pub(crate) mod new;
pub(crate) mod pins;
pub(crate) mod pins_check;
pub(crate) mod pins_document;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rebuild;
mod rebuild_verdict;
pub(crate) mod report;
pub(crate) mod restore;
pub(crate) mod sbom;
pub(crate) mod show;
pub(crate) mod show_environment;
mod show_facts;
pub(crate) mod show_markdown;
pub(crate) mod show_workspace;
pub(crate) mod sign;
pub(crate) mod store;
pub(crate) mod util;
pub(crate) mod verify;
pub(crate) mod verify_release;
mod verify_text;
pub(crate) mod verify_workspace;

use crate::failure::Failure;
use crate::printer::{Printer, Style, json_without_commands};
use crate::settings::Settings;
use crate::signals;
use kiln_publish::{
    Beside, NamedBuild, Operand, is_registry_reference, operand_beside, pull_record, resolve,
};
use kiln_record::{Architecture, ArtifactName, Place, canonical_json};
use serde::Serialize;

/// The build that a text names: of this workspace, of a file or folder, or of a registry.
fn named(settings: &Settings, text: &str) -> Result<NamedBuild, Failure> {
    if !is_registry_reference(text) {
        return Ok(resolve(&settings.environment, text)?);
    }
    let (environment, text) = (settings.environment.clone(), text.to_owned());
    signals::run(|_| Box::pin(async move { pull_record(&environment, &text, None, false).await }))
}

/// The same where a whole workspace may be named, too.
fn operand(settings: &Settings, text: &str, beside: Beside<'_>) -> Result<Operand, Failure> {
    if is_registry_reference(text) {
        return named(settings, text).map(|build| Operand::Build(Box::new(build)));
    }
    Ok(operand_beside(&settings.environment, text, beside)?)
}

/// An artifact in a folder of several that cannot be read.
struct Unread {
    /// The folder, as it was named.
    folder: String,
    name: ArtifactName,
    reason: String,
    place: Option<Place>,
    /// What names the others.
    others: String,
}

impl Unread {
    fn failure(&self) -> Failure {
        Failure::input(format!("{}: {} cannot be read: {}", self.folder, self.name, self.reason))
            .at(self.place.clone())
    }

    /// The same of a command that is about all of them or none.
    fn refusal(&self) -> Failure {
        self.failure().hint(match self.others.as_str() {
            "" => "nothing else is in it".to_owned(),
            others => format!("name the others alone: {others}"),
        })
    }
}

/// Every build that is named; of a folder that several are published in all of them, and what of them cannot be read.
fn named_all(settings: &Settings, named: &[String]) -> Result<(Vec<NamedBuild>, Vec<Unread>), Failure> {
    let (mut builds, mut unread) = (Vec::new(), Vec::new());
    for text in named {
        match operand(settings, text, Beside::default())? {
            Operand::Build(build) => builds.push(*build),
            Operand::Workspace(workspace) => {
                let labels = workspace.operands();
                unread.extend(workspace.unread.into_iter().map(|(name, reason)| Unread {
                    folder: workspace.label.clone(),
                    place: workspace.places.get(&name).cloned(),
                    others: labels.join(" "),
                    name,
                    reason,
                }));
                for (mut build, label) in workspace.artifacts.into_values().zip(labels) {
                    build.label = label;
                    builds.push(build);
                }
            }
        }
    }
    Ok((builds, unread))
}

/// Says of a build whose archive is not beside its record, where what goes to stdout has no place for it.
fn note_absent(build: &NamedBuild, printer: Printer) {
    if let Some(absent) = &build.absent {
        printer.talk(&format!("{}: {absent}", printer.on_stderr(Style::Note, "note")));
    }
}

/// The manifest of an artifact; those of an image's platforms have one.
fn manifest_of(artifact: &ArtifactName) -> String {
    let name = artifact.as_str();
    let image = name.rsplit_once('.').filter(|(_, end)| end.parse::<Architecture>().is_ok());
    format!("manifests/{}.toml", image.map_or(name, |(image, _)| image))
}

/// The same where the workspace has it: the place of what has no other.
fn declared_in(settings: &Settings, artifact: &ArtifactName) -> Option<String> {
    let (environment, manifest) = (&settings.environment, manifest_of(artifact));
    (environment.has_workspace() && environment.root.join(&manifest).is_file()).then_some(manifest)
}

/// A JSON document for stdout.
pub(crate) fn document<T: Serialize>(value: &T) -> Result<String, Failure> {
    let bytes = canonical_json(value).map_err(|error| Failure::unexpected(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|error| Failure::unexpected(error.to_string()))?;
    Ok(json_without_commands(&text))
}

/// A value of such a document.
fn json<T: Serialize>(value: &T) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::unexpected(error.to_string()))
}
