//! Manifests that are there, held against what the project states now.

use crate::artifact::{Artifact, Kind, Variable};
use crate::folder::Folder;
use crate::render::manifest;
use kiln_record::ArtifactName;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use toml::{Table, Value};

/// A key of a manifest that is there, whose value is another by the project's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The manifest, relative to the workspace.
    pub path: String,
    /// The key, such as `target.runtime`.
    pub key: String,
    /// Its value there, as TOML writes it, if it has one.
    pub there: Option<String>,
    /// Its value by the project, as TOML writes it.
    pub project: String,
    /// Where the project states it, as a clause, if that is one place: `template.yaml:12`.
    pub stated_by: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let there = self.there.as_deref().unwrap_or("not");
        let by = self.stated_by.as_deref().unwrap_or("the project");
        write!(f, "{} is {there} there, and {} by {by}", self.key, self.project)
    }
}

/// The keys that are compared, each with the name of its origin.
const KEYS: [(&str, &str); 7] = [
    ("handler", "handler"),
    ("layers", "layers"),
    ("target.runtime", "runtime"),
    ("target.architecture", "architecture"),
    ("source.path", "source"),
    ("check.timeout", "timeout"),
    ("check.memory", "memory"),
];

/// What the manifest at `path` says otherwise than the project. What cannot be read is told when it is built.
pub(crate) fn differences(artifact: &Artifact, path: &str, there: &str) -> Vec<Difference> {
    let (Ok(there), Ok(planned)) = (there.parse::<Table>(), manifest(artifact).parse::<Table>()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut compare = |key: &str, there: Option<&Value>, planned: &Value, stated_by: Option<String>| {
        // What is not in it may be left out on purpose, where no file states it either.
        let is_told = there.is_some() || artifact.places.contains_key(key);
        if is_told && !there.is_some_and(|there| is_same(there, planned)) {
            let plain = |text: String| -> String {
                text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
            };
            found.push(Difference {
                path: path.to_owned(),
                key: plain(key.to_owned()),
                there: there.map(|value| plain(value.to_string())),
                project: plain(planned.to_string()),
                stated_by: stated_by.map(plain),
            });
        }
    };
    for (key, origin) in KEYS {
        // A folder of several is more than the project's files say.
        let is_own = key == "source.path" && at(&there, key).is_none();
        // The architecture of a service is stated by no file.
        let is_free =
            origin == "architecture" && artifact.architecture.is_none() && artifact.kind == Kind::Image;
        let Some(planned) = at(&planned, key).filter(|_| !is_own && !is_free) else { continue };
        let there = at(&there, key);
        // Others may be named for those that are not told.
        let is_filled_in = key == "layers" && !artifact.untold_layers.is_empty();
        if is_filled_in && there.is_some_and(|there| has_all(there, planned)) {
            continue;
        }
        let is_default = origin == "architecture" && artifact.architecture.is_none();
        let default = is_default.then(|| "Lambda's default".to_owned());
        let origin = artifact.origins.get(origin).cloned().or(default);
        let stated_by: Vec<String> = artifact.places.get(key).cloned().into_iter().chain(origin).collect();
        compare(key, there, planned, (!stated_by.is_empty()).then(|| stated_by.join(", ")));
    }
    for (name, value) in &artifact.env {
        // A name that stands for what a deployment makes is there to be replaced.
        if let Variable::Is(value) = value {
            let key = format!("check.env.{name}");
            let there = at(&there, "check.env").and_then(|env| env.get(name));
            compare(&key, there, &Value::String(value.clone()), artifact.places.get(&key).cloned());
        }
    }
    found
}

/// Whether a manifest states a key, by the name of its origin. Of sources there may be several.
pub(crate) fn states(there: &str, origin: &str) -> bool {
    let Ok(there) = there.parse::<Table>() else { return false };
    let key = KEYS.iter().find(|(_, name)| *name == origin).map(|(key, _)| *key);
    key.is_some_and(|key| at(&there, key).is_some() || there.get(origin).is_some_and(Value::is_array))
}

/// The value of a key, which may be one of a section.
fn at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((section, key)) => table.get(section)?.get(key),
        None => table.get(key),
    }
}

/// Whether two values mean the same: `12 s` and `12s`, `src` and `src/` do.
fn is_same(one: &Value, other: &Value) -> bool {
    let plain = |text: &str| text.split_whitespace().collect::<String>().trim_end_matches('/').to_owned();
    match (one, other) {
        (Value::String(one), Value::String(other)) => plain(one) == plain(other),
        _ => one == other,
    }
}

/// Whether a list has all values of another.
fn has_all(list: &Value, wanted: &Value) -> bool {
    match (list.as_array(), wanted.as_array()) {
        (Some(list), Some(wanted)) => wanted.iter().all(|one| list.contains(one)),
        _ => false,
    }
}

/// Gives artifacts without a manifest the name of one that is there, of no other artifact, and of the same code: it was renamed.
/// Each is a remark.
pub(crate) fn take_names(folder: &Folder, artifacts: &mut [Artifact], remarks: &mut Vec<String>) {
    let planned: BTreeSet<ArtifactName> = artifacts.iter().map(|one| one.name.clone()).collect();
    let mut others: BTreeMap<ArtifactName, Code> = BTreeMap::new();
    for (path, text) in folder.texts() {
        let name = path.strip_prefix("manifests/").and_then(|path| path.strip_suffix(".toml"));
        let name = name.and_then(|name| name.parse::<ArtifactName>().ok());
        if let (Some(name), Some(code)) = (name.filter(|name| !planned.contains(name)), code_of(text)) {
            others.insert(name, code);
        }
    }
    let mut taken: BTreeMap<ArtifactName, ArtifactName> = BTreeMap::new();
    for artifact in artifacts.iter_mut() {
        if folder.has_file(&format!("manifests/{}.toml", artifact.name)) {
            continue;
        }
        let Some(code) = code_of(&manifest(artifact)) else { continue };
        let Some(name) = others.iter().find(|(_, other)| **other == code).map(|(name, _)| name.clone())
        else {
            continue;
        };
        others.remove(&name);
        remarks.push(format!(
            "manifests/{name}.toml has the code of {}, and was taken for its manifest: manifests/{}.toml is not written",
            artifact.stated_by, artifact.name
        ));
        taken.insert(std::mem::replace(&mut artifact.name, name.clone()), name);
    }
    for layer in artifacts.iter_mut().flat_map(|artifact| &mut artifact.layers) {
        if let Some(name) = taken.get(layer) {
            layer.clone_from(name);
        }
    }
}

/// What an artifact is made of: its kind, its folder or Dockerfile, and its handler.
type Code = (String, String, Option<String>);

/// What a manifest says of its code, if that is enough to know it again.
fn code_of(manifest: &str) -> Option<Code> {
    let table: Table = manifest.parse().ok()?;
    let text = |key: &str| Some(at(&table, key)?.as_str()?.trim_end_matches('/').to_owned());
    let (kind, handler) = (text("kind")?, text("handler"));
    let dockerfile = text("dockerfile.path").or_else(|| text("dockerfile"));
    let is_known = dockerfile.is_some() || handler.is_some() || kind == Kind::Layer.as_str();
    let code = dockerfile.or_else(|| text("source.path")).filter(|_| is_known)?;
    Some((kind, code, handler))
}
