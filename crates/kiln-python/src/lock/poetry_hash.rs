//! Whether a `poetry.lock` belongs to the `pyproject.toml` beside it.
//!
//! Poetry writes a `content-hash` into the lock: the SHA-256 of the relevant parts of the project file, as
//! Python's `json.dumps(…, sort_keys=True)` writes them (`poetry/packages/locker.py`). Which parts are
//! relevant has changed with its releases, so the rule is chosen by the lock's own version fields.

use super::python_json::{json, object};
use kiln_record::Digest;
use std::collections::BTreeMap;
use toml::de::DeTable;

/// Keys of `[tool.poetry]` that are hashed as `null` when absent, unless `[project]` replaces them.
const LEGACY: [&str; 4] = ["dependencies", "source", "extras", "dev-dependencies"];

/// Whether a content hash is that of a project file, by the rule of any Poetry that writes this lock version.
pub(crate) fn is_fresh(project: &DeTable<'_>, lock_version: (u64, u64), content_hash: &str) -> bool {
    let candidates = if lock_version >= (2, 1) {
        // Since 2.3, `[dependency-groups]` is part of it.
        vec![second(project, true), second(project, false)]
    } else if lock_version >= (2, 0) {
        // Poetry 2 reads it, too, and holds it against a project by its own rule.
        vec![first(project, true), second(project, true), second(project, false)]
    } else {
        // Groups are a part of it since 1.2; 1.1 wrote the same lock version.
        vec![first(project, true), first(project, false)]
    };
    candidates.iter().any(|json| Digest::of(json.as_bytes()).hex() == content_hash)
}

/// The content hash that Poetry 1 writes, and Poetry 2 for a project without `[project]`.
#[cfg(test)]
pub(crate) fn content_hash(project: &DeTable<'_>) -> String {
    Digest::of(first(project, true).as_bytes()).hex()
}

/// Poetry 1: the keys of `[tool.poetry]`.
fn first(project: &DeTable<'_>, groups: bool) -> String {
    let poetry = table(project, "tool").and_then(|tool| table(tool, "poetry"));
    let mut content = BTreeMap::new();
    for key in LEGACY {
        content.insert(
            key,
            poetry.and_then(|p| p.get(key)).map_or_else(|| "null".to_owned(), |v| json(v.get_ref())),
        );
    }
    if groups && let Some(group) = poetry.and_then(|p| p.get("group")) {
        content.insert("group", json(group.get_ref()));
    }
    object(content.iter().map(|(k, v)| (*k, v.clone())))
}

/// Poetry 2: also `[project]`, which makes the old keys optional.
fn second(project: &DeTable<'_>, groups: bool) -> String {
    let mut standard = BTreeMap::new();
    for key in ["requires-python", "dependencies", "optional-dependencies"] {
        if let Some(value) = table(project, "project").and_then(|p| p.get(key)) {
            standard.insert(key, json(value.get_ref()));
        }
    }
    let groups = project
        .get("dependency-groups")
        .filter(|g| groups && g.get_ref().as_table().is_none_or(|table| !table.is_empty()));
    if standard.is_empty() && groups.is_none() {
        return first(project, true);
    }
    let poetry = table(project, "tool").and_then(|tool| table(tool, "poetry"));
    let mut own = BTreeMap::new();
    for key in LEGACY.into_iter().chain(["group"]) {
        if let Some(value) = poetry.and_then(|p| p.get(key)) {
            own.insert(key, json(value.get_ref()));
        }
    }
    let own = object(own.iter().map(|(k, v)| (*k, v.clone())));
    let mut content = BTreeMap::new();
    if let Some(groups) = groups {
        content.insert("dependency-groups", json(groups.get_ref()));
    }
    if !standard.is_empty() {
        content.insert("project", object(standard.iter().map(|(k, v)| (*k, v.clone()))));
    }
    content.insert("tool", object([("poetry", own)]));
    object(content.iter().map(|(k, v)| (*k, v.clone())))
}

fn table<'a, 'i>(table: &'a DeTable<'i>, key: &str) -> Option<&'a DeTable<'i>> {
    table.get(key)?.get_ref().as_table()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(project: &str, version: (u64, u64), hash: &str) {
        let parsed = DeTable::parse(project).unwrap();
        assert!(is_fresh(parsed.get_ref(), version, hash), "{}", second(parsed.get_ref(), true));
        let changed = project.replace("1.17", "1.16");
        let parsed = DeTable::parse(&changed).unwrap();
        assert!(!is_fresh(parsed.get_ref(), version, hash));
    }

    const OLD_STYLE: &str = r#"
[tool.poetry]
name = "waf"
version = "0.1.0"
description = "Prüft ☃"
authors = ["A <a@example.org>"]
package-mode = false

[tool.poetry.dependencies]
python = "^3.9"
six = "1.17.0"
jinja2 = "^3.1"
anyio = {version = "^4.0", optional = true}
tomli = {version = "^2.0", python = "<3.11"}
colorama = {version = "*", platform = "win32"}
uvicorn = {version = "<0.40", extras = ["standard"]}
attrs = [
  {version = "<24", python = "<3.10"},
  {version = ">=24", python = ">=3.10"},
]

[tool.poetry.extras]
async = ["anyio"]

[tool.poetry.group.dev.dependencies]
pytest = "^8"
"#;

    const NEW_STYLE: &str = r#"
[project]
name = "waf"
version = "0.1.0"
requires-python = ">=3.11,<3.14"
dependencies = [
  "six (==1.17.0)",
  "jinja2>=3.1 ; python_version < '3.99'",
  "colorama ; sys_platform == 'win32'",
]

[project.optional-dependencies]
async = ["anyio>=4", "uvicorn[standard]<0.40"]

[tool.poetry]
package-mode = false

[tool.poetry.dependencies]
python = ">=3.11,<3.14"

[tool.poetry.group.dev.dependencies]
pytest = "^8"

[dependency-groups]
lint = ["idna>=3"]
all = [{include-group = "lint"}, "certifi"]
"#;

    /// Hashes made by `poetry.packages.locker.Locker` of releases 1.8.5 and 2.5.1, which agree on the old
    /// style.
    #[test]
    fn old_style_projects() {
        let hash = "951eebd373b27d10dfe3bd3f8e90d9ce3d61385fe2e8c00eb7f1a1e13d6378ca";
        check(OLD_STYLE, (2, 0), hash);
        check(OLD_STYLE, (2, 1), hash);
    }

    /// Hashes made by `poetry.packages.locker.Locker` of release 2.5.1, as since 2.3 and as before.
    #[test]
    fn new_style_projects() {
        check(NEW_STYLE, (2, 1), "31f5b123b6bd4f5be842cd420042e41ec59af17c22f31ad2d0844607c29c510a");
        check(NEW_STYLE, (2, 0), "31f5b123b6bd4f5be842cd420042e41ec59af17c22f31ad2d0844607c29c510a");
        check(NEW_STYLE, (2, 1), "4145cba6b84a764709583bb6a517dbefa24b0580dfaf9bd5043277d5e2fe4395");
    }
}
