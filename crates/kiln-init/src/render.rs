//! A manifest as text: what is told as keys, what is not as comments.

use crate::artifact::{Artifact, Kind, Told, Variable};
use kiln_plan::usual_base_name;
use kiln_record::{Architecture, Runtime};
use std::fmt::Write as _;

/// A text as TOML writes it.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.chars().take(4000).collect()).to_string()
}

/// A path of the workspace, relative to `manifests/`.
pub(crate) fn relative(path: &str) -> String {
    match (path, path.strip_prefix("manifests/")) {
        ("", _) => "..".to_owned(),
        (_, Some(below)) => below.to_owned(),
        (path, None) => format!("../{path}"),
    }
}

fn list(values: &[String]) -> String {
    values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ")
}

/// A comment of one line, whatever is in the text.
fn comment(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The base of a runtime that is told.
pub(crate) fn base_of(artifact: &Artifact) -> Option<String> {
    Some(usual_base_name(Runtime::named(artifact.runtime.value()?)?))
}

/// The text of an artifact's manifest. What no file tells is a commented line.
#[must_use]
pub fn manifest(artifact: &Artifact) -> String {
    let mut text = format!("# {}.\nkind = \"{}\"\n", comment(&artifact.stated_by), artifact.kind.as_str());
    let told = |key: &str, value: &Told<String>| match value {
        Told::Is(value) => format!("{key} = {}{}\n", quoted(value), origin(artifact, key)),
        Told::Not { why, such_as } => format!("# {}:\n# {key} = {}\n", comment(why), quoted(such_as)),
    };
    if artifact.dockerfile.is_none() {
        text += &match base_of(artifact) {
            Some(base) => format!("base = {}\n", quoted(&base)),
            None => {
                let runtime = match &artifact.runtime {
                    Told::Is(name) => name,
                    Told::Not { such_as, .. } => such_as,
                };
                let base =
                    Runtime::named(runtime).map(|runtime| usual_base_name(runtime)).unwrap_or_default();
                format!("# the base of the runtime below:\n# base = {}\n", quoted(&base))
            }
        };
    }
    if artifact.kind.is_function() {
        text += &told("handler", &artifact.handler);
    }
    layers(&mut text, artifact);
    text += "\n[target]\n";
    if matches!(artifact.kind, Kind::Zip | Kind::Layer) {
        text += &told("runtime", &artifact.runtime);
    }
    let is = |architecture: Architecture| format!("architecture = \"{}\"", architecture.lambda());
    text += &match &artifact.architecture {
        Some(Told::Is(one)) => format!("{}{}\n", is(*one), origin(artifact, "architecture")),
        Some(Told::Not { why, .. }) => {
            format!("# {}:\n# {}   # or \"arm64\"\n", comment(why), is(Architecture::Amd64))
        }
        None if artifact.kind == Kind::Image => format!("{}   # or \"arm64\"\n", is(Architecture::Amd64)),
        None => format!("{}   # Lambda's default; or \"arm64\"\n", is(Architecture::Amd64)),
    };
    if let Some((file, context)) = &artifact.dockerfile {
        let _ = write!(text, "\n[dockerfile]\npath = {}\n", quoted(&relative(file)));
        if context != crate::folder::parent(file) {
            let _ = writeln!(text, "context = {}", quoted(&relative(context)));
        }
        if !artifact.bases.is_empty() {
            let pairs =
                artifact.bases.iter().map(|(image, base)| format!("{} = {}", quoted(image), quoted(base)));
            let _ = writeln!(text, "bases = {{ {} }}", pairs.collect::<Vec<_>>().join(", "));
        }
        text += "# There is no network in a build. Distributions come from a lock, as files of the context:\n# wheels = \"wheels\"\n";
        return text;
    }
    source(&mut text, artifact);
    if let Some(lock) = &artifact.lock {
        let _ = write!(text, "\n[python]\nlock = {}\n", quoted(&relative(&lock.path)));
        if let Some(requirements) = &lock.requirements {
            let _ = writeln!(text, "requirements = {}", quoted(&relative(requirements)));
        }
        if let Some(project) = &lock.project {
            let _ = writeln!(text, "project = {}", quoted(&relative(project)));
        }
    }
    check(&mut text, artifact);
    text
}

/// Where a key's value is from, as a comment behind it, if the file names something else in its place.
fn origin(artifact: &Artifact, key: &str) -> String {
    artifact.origins.get(key).map(|from| format!("   # {}", comment(from))).unwrap_or_default()
}

fn layers(text: &mut String, artifact: &Artifact) {
    let mut names: Vec<String> = artifact.layers.iter().map(ToString::to_string).collect();
    if !names.is_empty() {
        let _ = writeln!(text, "layers = [{}]", list(&names));
    }
    if artifact.untold_layers.is_empty() {
        return;
    }
    for layer in &artifact.untold_layers {
        let _ = writeln!(text, "# {}.", comment(layer));
    }
    names.push("NAME".to_owned());
    let _ = write!(
        text,
        "# To have it here, too, make an artifact of its files (kiln new artifact NAME --kind layer) and name that. Until then the\n\
         # function is built and checked without it, and kiln export does not list it:\n# layers = [{}]\n",
        list(&names)
    );
}

fn source(text: &mut String, artifact: &Artifact) {
    match &artifact.source {
        Told::Is(source) => {
            let _ = write!(
                text,
                "\n[source]\npath = {}{}\n",
                quoted(&relative(&source.path)),
                origin(artifact, "source")
            );
            if !source.include.is_empty() {
                let _ = writeln!(text, "include = [{}]", list(&source.include));
            }
            if !source.exclude.is_empty() {
                let _ = writeln!(text, "exclude = [{}]", list(&source.exclude));
            }
        }
        Told::Not { why, such_as } => {
            let _ = write!(text, "\n# {}:\n# [source]\n# path = {}\n", comment(why), quoted(such_as));
        }
    }
}

fn check(text: &mut String, artifact: &Artifact) {
    if !artifact.kind.is_function() {
        return;
    }
    let timeout = artifact.timeout.filter(|seconds| (1..=900).contains(seconds));
    let memory = artifact.memory.filter(|megabytes| (128..=10240).contains(megabytes));
    if timeout.is_none() && memory.is_none() && artifact.env.is_empty() {
        return;
    }
    *text += "\n[check]\n";
    if let Some(seconds) = timeout {
        let _ = writeln!(text, "timeout = \"{seconds} s\"{}", origin(artifact, "timeout"));
    }
    if let Some(megabytes) = memory {
        let _ = writeln!(text, "memory = \"{megabytes} MB\"{}", origin(artifact, "memory"));
    }
    let (mut known, mut named, mut given, mut unknown) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (name, value) in &artifact.env {
        match value {
            Variable::Is(value) => known.push(format!("{} = {}", quoted(name), quoted(value))),
            Variable::Named(value) => {
                known.push(format!("{} = {}", quoted(name), quoted(value)));
                named.push(comment(name));
            }
            Variable::Given(by) => given.push((comment(name), comment(by))),
            Variable::Unknown => unknown.push(comment(name)),
        }
    }
    if !named.is_empty() {
        let _ = writeln!(
            text,
            "# Made when it is deployed; here, as with `sam local`, the name in the file that states it: {}",
            named.join(", ")
        );
    }
    for (name, by) in &given {
        let _ = writeln!(
            text,
            "# {by}: it may be a secret, and is not copied; the code may need a value in order to be imported: {name}"
        );
    }
    if !unknown.is_empty() {
        let _ = writeln!(
            text,
            "# Made or given when it is deployed; the code may need a value in order to be imported: {}",
            unknown.join(", ")
        );
    }
    if !known.is_empty() {
        let _ = writeln!(text, "env = {{ {} }}", known.join(", "));
    } else if let Some(first) = given.iter().map(|(name, _)| name).chain(&unknown).next() {
        let _ = writeln!(text, "# env = {{ {} = \"…\" }}", quoted(first));
    }
}
