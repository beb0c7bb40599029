//! The commands, one file each.

pub(crate) mod build;
pub(crate) mod cross_check;
pub(crate) mod diff;
pub(crate) mod explain;
pub(crate) mod history;
pub(crate) mod lock;
mod lock_artifact;
pub(crate) mod pins;
pub(crate) mod show;
pub(crate) mod verify;

use crate::failure::Failure;
use kiln_record::canonical_json;
use serde::Serialize;

/// A JSON document for stdout.
fn document<T: Serialize>(value: &T) -> Result<String, Failure> {
    let bytes = canonical_json(value).map_err(|error| Failure::unexpected(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| Failure::unexpected(error.to_string()))
}

/// A value of such a document.
fn json<T: Serialize>(value: &T) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::unexpected(error.to_string()))
}
