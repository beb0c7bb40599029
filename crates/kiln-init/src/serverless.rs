//! `serverless.yml`: functions of one service.

use crate::artifact::{Artifact, Kind, Source, Told};
use crate::folder::{Folder, name_of, parent, resolve};
use crate::handler::artifact_name;
use crate::reading::Reading;
use crate::sam::architecture;
use crate::yaml::Yaml;

/// Whether a file is one of Serverless, by its name.
pub(crate) fn is_service(path: &str) -> bool {
    matches!(name_of(path), "serverless.yml" | "serverless.yaml")
}

/// How many variables are looked up for one value, those in each other included.
const LOOKED_UP: u32 = 100;
/// How long a value may become, in bytes.
const LONGEST: usize = 4096;

/// A text with those of Serverless's variables that the file itself tells: `${self:…}`, the stage, and what has a default.
fn written_out(service: &Yaml, value: &Yaml) -> Option<String> {
    filled_in(service, value.text()?, &mut { LOOKED_UP })
}

fn filled_in(service: &Yaml, text: &str, left: &mut u32) -> Option<String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, after) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&looked_up(service, variable, left)?);
        rest = after;
        if filled.len() > LONGEST {
            return None;
        }
    }
    filled.push_str(rest);
    Some(filled)
}

/// What stands for a variable, which is `PLACE` or `PLACE, DEFAULT`.
fn looked_up(service: &Yaml, variable: &str, left: &mut u32) -> Option<String> {
    *left = left.checked_sub(1)?;
    let (place, default) = match variable.split_once(',') {
        Some((place, default)) => (place.trim(), Some(default.trim())),
        None => (variable.trim(), None),
    };
    let mut at = |path: &str| {
        let keys: Vec<&str> = path.split('.').collect();
        filled_in(service, service.at(&keys)?.text()?, left)
    };
    let told = match place.split_once(':') {
        Some(("self", path)) => at(path),
        // What a command line would choose among, it chooses this where it says nothing.
        Some(("sls", "stage")) => at("provider.stage").or_else(|| Some("dev".to_owned())),
        _ => literal(place),
    };
    match (told, default) {
        (Some(told), _) => Some(told),
        (None, Some(default)) => looked_up(service, default, left),
        (None, None) => None,
    }
}

/// A text in quotes, a number or a truth.
fn literal(text: &str) -> Option<String> {
    let quoted = ['\'', '"']
        .iter()
        .find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote))
        .map(str::to_owned);
    let is_plain = matches!(text, "true" | "false") || text.parse::<f64>().is_ok_and(f64::is_finite);
    quoted.or_else(|| is_plain.then(|| text.to_owned()))
}

/// Reads one service.
pub(crate) fn read(folder: &Folder, path: &str, text: &str, reading: &mut Reading) {
    let service = match Yaml::parse(text) {
        Ok(service) => service,
        Err(why) => return reading.remark(format!("{path}: it cannot be read as YAML: {why}")),
    };
    let provider = service.get("provider");
    let Some(functions) = service.get("functions") else { return };
    if functions.entries().is_empty() {
        return reading.remark(format!("{path}: its functions are in other files, which were not read"));
    }
    for (id, function) in functions.entries() {
        let of = |key: &str| function.get(key).or_else(|| provider?.get(key));
        let stated = format!("{id} in {path}");
        if function.get("image").is_some() {
            reading.remark(format!(
                "{stated}: an image; write its manifest with: kiln new artifact {id} --kind lambda-image"
            ));
            continue;
        }
        let told = |key: &str, such_as: &str| match of(key).map(|value| written_out(&service, value)) {
            Some(Some(text)) => Told::Is(text),
            Some(None) => Told::Not {
                why: format!("{key} in {path} is made when it is deployed"),
                such_as: such_as.to_owned(),
            },
            None => Told::Not { why: format!("{path} has no {key}"), such_as: such_as.to_owned() },
        };
        let runtime = told("runtime", "python3.13");
        if let Some(name) = runtime.value().filter(|name| !name.starts_with("python")) {
            reading.remark(format!("{stated}: `{name}` is no Python, and was passed over"));
            continue;
        }
        let Some(name) = reading.named(path, artifact_name(id)) else { continue };
        let mut artifact = Artifact::new(name, Kind::Zip, stated);
        artifact.runtime = runtime;
        artifact.handler = told("handler", "app.handler");
        artifact.timeout = of("timeout").and_then(Yaml::number).or(Some(6));
        artifact.memory = of("memorySize").and_then(Yaml::number).or(Some(1024));
        let stated_architecture = of("architecture").and_then(|value| written_out(&service, value));
        if let Some(known) = stated_architecture.as_deref().and_then(architecture) {
            (artifact.architecture, artifact.architecture_is_stated) = (known, true);
        }
        for environment in
            [provider.and_then(|provider| provider.get("environment")), function.get("environment")]
        {
            for (name, value) in environment.map(Yaml::entries).unwrap_or_default() {
                artifact.env.insert(name.clone(), written_out(&service, value).into());
            }
        }
        // The plugin for Python's requirements calls the folder of a function its module.
        let below = function.get("module").and_then(|value| written_out(&service, value));
        artifact.source = match resolve(parent(path), below.as_deref().unwrap_or("."))
            .filter(|path| folder.has_folder(path))
        {
            Some(path) => Told::Is(Source { path, include: Vec::new(), exclude: Vec::new() }),
            None => {
                Told::Not { why: format!("`module` of {id} is no folder here"), such_as: "../src".to_owned() }
            }
        };
        reading.add(artifact);
    }
}
