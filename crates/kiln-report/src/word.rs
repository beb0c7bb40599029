//! Values that are one word in documents, as that word.

use serde::Serialize;

/// The word that a value is in JSON; nothing if it is no word there.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}
