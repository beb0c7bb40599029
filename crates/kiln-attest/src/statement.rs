//! in-toto statements (attestation framework, Statement v1).

use crate::{AttestError, strict_json};
use kiln_record::Digest;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The statement's type.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The most subjects that a statement may have.
const MAX_SUBJECTS: usize = 1_000_000;

/// What a statement is about: a file by its name and digest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Its name; a path with `/` below the folder that was signed.
    pub name: String,
    /// Its SHA-256.
    pub digest: Digest,
}

/// A statement whose predicate is yet to be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// What it is about, each name once.
    pub subjects: Vec<Subject>,
    /// What kind of thing it says.
    pub predicate_type: String,
    /// What it says.
    pub predicate: Value,
}

impl Statement {
    /// One line of JSON with sorted keys.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let subjects: Vec<Value> = self
            .subjects
            .iter()
            .map(|one| json!({"name": one.name, "digest": {"sha256": one.digest.hex()}}))
            .collect();
        let statement = json!({
            "_type": STATEMENT_TYPE,
            "subject": subjects,
            "predicateType": self.predicate_type,
            "predicate": sorted(&self.predicate),
        });
        sorted(&statement).to_string().into_bytes()
    }

    /// Reads a statement. A subject without SHA-256, or a name that comes twice, is refused.
    ///
    /// # Errors
    /// [`AttestError::Malformed`].
    pub fn from_json(bytes: &[u8]) -> Result<Self, AttestError> {
        let malformed = |reason: String| AttestError::malformed("an in-toto statement", reason);
        let mut value = strict_json(bytes).map_err(|error| malformed(error.to_string()))?;
        let kind = value.get("_type").and_then(Value::as_str).unwrap_or_default();
        if kind != STATEMENT_TYPE {
            return Err(malformed(format!("its type is `{kind}`")));
        }
        let listed = value.get("subject").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| malformed("it has no list of subjects".to_owned()))?;
        if listed.is_empty() || listed.len() > MAX_SUBJECTS {
            return Err(malformed(format!("it has {} subjects", listed.len())));
        }
        let mut seen = BTreeSet::new();
        let subjects = listed.iter().map(|one| {
            let name = one.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            let digest = one.pointer("/digest/sha256").and_then(Value::as_str);
            let digest = digest.and_then(|hex| Digest::from_hex(hex).ok());
            let digest = digest.ok_or_else(|| malformed(format!("the subject `{name}` has no SHA-256")))?;
            if !seen.insert(name.clone()) {
                return Err(malformed(format!("the subject `{name}` comes twice")));
            }
            Ok(Subject { name, digest })
        });
        let subjects = subjects.collect::<Result<_, AttestError>>()?;
        let predicate_type = value.get("predicateType").and_then(Value::as_str).map(str::to_owned);
        let predicate_type =
            predicate_type.ok_or_else(|| malformed("it has no predicate type".to_owned()))?;
        let predicate = value.get_mut("predicate").map(Value::take).unwrap_or_default();
        Ok(Self { subjects, predicate_type, predicate })
    }
}

/// The same value with the keys of every object in byte order, whatever features `serde_json` was compiled with.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let pairs = keys.into_iter().map(|key| (key.clone(), sorted(&map[key])));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
