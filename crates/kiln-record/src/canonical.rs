//! Canonical JSON: the only serialisation that kiln hashes.

use crate::{Defect, Digest};
use serde::Serialize;
use serde_json::Value;

/// Serialises a value as JSON with object keys in byte order, two-space indentation and a final line feed.
///
/// Keys are sorted explicitly, because whether `serde_json` keeps insertion order is a cargo feature that any
/// dependency could switch on.
///
/// # Errors
/// Only what `serde_json` reports for a type that has no JSON form (for example a map with non-string keys).
pub fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(&sorted(serde_json::to_value(value)?))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The digest of a value's canonical JSON.
///
/// # Errors
/// A defect: what kiln hashes has a JSON form.
#[track_caller]
pub fn digest_of_value<T: Serialize>(value: &T) -> Result<Digest, Defect> {
    match canonical_json(value) {
        Ok(bytes) => Ok(Digest::of(&bytes)),
        Err(error) => Err(Defect::new(format!("a value that is hashed has no JSON form: {error}"))),
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<(String, Value)> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value = serde_json::json!({"b": {"z": 1, "a": [{"y": 1, "x": 2}]}, "a": null});
        let text = String::from_utf8(canonical_json(&value).unwrap()).unwrap();
        assert_eq!(
            text,
            "{\n  \"a\": null,\n  \"b\": {\n    \"a\": [\n      {\n        \"x\": 2,\n        \"y\": 1\n      }\n    ],\n    \"z\": 1\n  }\n}\n"
        );
    }
}
