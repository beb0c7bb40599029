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

/// A text without the variables that Serverless puts in when it deploys.
fn written_out(value: &Yaml) -> Option<&str> {
    value.text().filter(|text| !text.contains("${"))
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
        let told = |key: &str, such_as: &str| match of(key).map(|value| (value, written_out(value))) {
            Some((_, Some(text))) => Told::Is(text.to_owned()),
            Some((_, None)) => Told::Not {
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
        if let Some(known) = of("architecture").and_then(written_out).and_then(architecture) {
            (artifact.architecture, artifact.architecture_is_stated) = (known, true);
        }
        for environment in
            [provider.and_then(|provider| provider.get("environment")), function.get("environment")]
        {
            for (name, value) in environment.map(Yaml::entries).unwrap_or_default() {
                artifact.env.insert(name.clone(), written_out(value).map(str::to_owned).into());
            }
        }
        // The plugin for Python's requirements calls the folder of a function its module.
        let below = function.get("module").and_then(written_out).unwrap_or(".");
        artifact.source = match resolve(parent(path), below).filter(|path| folder.has_folder(path)) {
            Some(path) => Told::Is(Source { path, include: Vec::new(), exclude: Vec::new() }),
            None => {
                Told::Not { why: format!("`module` of {id} is no folder here"), such_as: "../src".to_owned() }
            }
        };
        reading.add(artifact);
    }
}
