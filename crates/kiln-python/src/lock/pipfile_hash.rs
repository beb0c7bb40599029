//! Whether a `Pipfile.lock` belongs to a `Pipfile`.
//!
//! Pipenv writes into the lock the SHA-256 of the `Pipfile`'s relevant parts, as Python's
//! `json.dumps(…, sort_keys=True, separators=(",", ":"))` writes them (`plette.Pipfile.get_hash`).

use super::python_json::{self, string};
use kiln_record::Digest;
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};

/// Keys of a `Pipfile` that are no category of packages.
const NOT_CATEGORIES: [&str; 10] = [
    "source",
    "packages",
    "dev-packages",
    "requires",
    "scripts",
    "pipfile",
    "pipenv",
    "default",
    "develop",
    "_meta",
];

/// Whether `hash` is that of a `Pipfile`. A file without sources has Pipenv's own; which that are, `sources`
/// of the lock says.
pub(crate) fn is_fresh(pipfile: &DeTable<'_>, sources: Option<&serde_json::Value>, hash: &str) -> bool {
    // Categories beside the two are a part of it since Pipenv 2022.10.
    [true, false]
        .into_iter()
        .any(|categories| Digest::of(content(pipfile, sources, categories).as_bytes()).hex() == hash)
}

fn content(pipfile: &DeTable<'_>, sources: Option<&serde_json::Value>, categories: bool) -> String {
    let part = |key: &str| pipfile.get(key).map_or_else(|| "{}".to_owned(), |value| json(value.get_ref()));
    let sources = match pipfile.get("source") {
        Some(own) => json(own.get_ref()),
        None => sources.map_or_else(|| "[]".to_owned(), of_lock),
    };
    let meta = BTreeMap::from([("requires", part("requires")), ("sources", sources)]);
    let mut parts = BTreeMap::from([
        ("_meta", object(meta.into_iter())),
        ("default", part("packages")),
        ("develop", part("dev-packages")),
    ]);
    for (key, value) in pipfile.iter().filter(|_| categories) {
        if !NOT_CATEGORIES.contains(&key.get_ref().as_ref()) {
            parts.insert(key.get_ref().as_ref(), json(value.get_ref()));
        }
    }
    object(parts.into_iter())
}

fn object<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> String {
    let inside: Vec<String> = pairs.map(|(key, value)| format!("{}:{value}", string(key))).collect();
    format!("{{{}}}", inside.join(","))
}

fn json(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(items) => {
            let inside: Vec<String> = items.iter().map(|item| json(item.get_ref())).collect();
            format!("[{}]", inside.join(","))
        }
        DeValue::Table(table) => {
            let sorted: BTreeMap<&str, String> =
                table.iter().map(|(key, value)| (key.get_ref().as_ref(), json(value.get_ref()))).collect();
            object(sorted.into_iter())
        }
        scalar => python_json::json(scalar),
    }
}

/// The same for a value of the lock; its objects are sorted already.
fn of_lock(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(of_lock).collect::<Vec<_>>().join(","))
        }
        Value::Object(map) => {
            let sorted: BTreeMap<&str, String> =
                map.iter().map(|(key, value)| (key.as_str(), of_lock(value))).collect();
            object(sorted.into_iter())
        }
        Value::String(text) => string(text),
        other => other.to_string(),
    }
}
