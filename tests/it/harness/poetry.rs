//! Poetry's lock file, made as Poetry makes it.

use super::WheelFile;
use kiln_record::Digest;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A `poetry.lock` of version 2.1 that belongs to a project file. Each package comes with further lines of its table,
/// such as `groups` or `markers`; `[package.dependencies]` may follow in them.
pub(crate) fn poetry_lock(project: &str, packages: &[(&WheelFile, &str)]) -> String {
    let mut lock = String::new();
    for (wheel, lines) in packages {
        lock.push_str(&format!(
            "[[package]]\nname = \"{}\"\nversion = \"{}\"\noptional = false\npython-versions = \">=3.8\"\nfiles = \
             [{{file = \"{}\", hash = \"sha256:{}\"}}]\n{lines}\n",
            wheel.name(),
            wheel.version(),
            wheel.file_name,
            wheel.digest().hex()
        ));
    }
    lock.push_str(&format!(
        "[metadata]\nlock-version = \"2.1\"\npython-versions = \"*\"\ncontent-hash = \"{}\"\n",
        content_hash(project)
    ));
    lock
}

/// The SHA-256 of what Poetry 2 finds relevant in a project file, as Python's `json.dumps` writes it.
fn content_hash(project: &str) -> String {
    const LEGACY: [&str; 4] = ["dependencies", "source", "extras", "dev-dependencies"];
    let project: Value = toml::from_str(project).expect("the project file is TOML");
    let poetry = &project["tool"]["poetry"];
    let present = |table: &Value, keys: &[&str]| -> Map<String, Value> {
        keys.iter().filter_map(|key| Some(((*key).to_owned(), table.get(*key)?.clone()))).collect()
    };
    let mut own = present(poetry, &LEGACY);
    own.extend(present(poetry, &["group"]));
    let content = if project.get("project").is_some() {
        let keys = ["requires-python", "dependencies", "optional-dependencies"];
        json!({"project": present(&project["project"], &keys), "tool": {"poetry": own}})
    } else {
        for key in LEGACY {
            own.entry(key).or_insert(Value::Null);
        }
        Value::Object(own)
    };
    Digest::of(dumps(&content).as_bytes()).hex()
}

/// `json.dumps(value, sort_keys=True)`.
fn dumps(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(dumps).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let pairs: Vec<String> =
                sorted.iter().map(|(key, value)| format!("{}: {}", json!(key), dumps(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        other => other.to_string(),
    }
}
