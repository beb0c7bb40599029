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
pub(crate) mod sign;
pub(crate) mod store;
pub(crate) mod util;
pub(crate) mod verify;
pub(crate) mod verify_release;
pub(crate) mod verify_workspace;

use crate::failure::Failure;
use crate::settings::Settings;
use crate::signals;
use kiln_publish::{NamedBuild, Operand, is_registry_reference, operand_beside, pull_record, resolve};
use kiln_record::canonical_json;
use serde::Serialize;

/// The build that a text names: of this workspace, of a file or folder, or of a registry.
fn named(settings: &Settings, text: &str) -> Result<NamedBuild, Failure> {
    if !is_registry_reference(text) {
        return Ok(resolve(&settings.environment, text)?);
    }
    let (environment, text) = (settings.environment.clone(), text.to_owned());
    signals::run(|_| Box::pin(async move { pull_record(&environment, &text, None, false).await }))
}

/// The same where a whole workspace may be named, too. `before` is what it is compared with.
fn operand(settings: &Settings, text: &str, before: Option<&Operand>) -> Result<Operand, Failure> {
    if is_registry_reference(text) {
        return named(settings, text).map(|build| Operand::Build(Box::new(build)));
    }
    Ok(operand_beside(&settings.environment, text, before)?)
}

/// A JSON document for stdout.
pub(crate) fn document<T: Serialize>(value: &T) -> Result<String, Failure> {
    let bytes = canonical_json(value).map_err(|error| Failure::unexpected(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Failure::unexpected(error.to_string()))
}

/// A value of such a document.
fn json<T: Serialize>(value: &T) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::unexpected(error.to_string()))
}
