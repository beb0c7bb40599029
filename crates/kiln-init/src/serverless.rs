//! `serverless.yml`: functions of one service.

use crate::artifact::{Artifact, Kind, Told};
use crate::folder::{Folder, name_of};
use crate::handler::artifact_name;
use crate::reading::Reading;
use crate::sam::untold_layer;
use crate::stated::{LONGEST, LOOKED_UP, Stated, code, code_of_layer, runtime_of_layer};
use crate::yaml::Yaml;
use kiln_record::ArtifactName;
use std::collections::BTreeMap;

/// Whether a file is one of Serverless, by its name.
pub(crate) fn is_service(path: &str) -> bool {
    matches!(name_of(path), "serverless.yml" | "serverless.yaml")
}

/// A text with those of Serverless's variables that the file itself tells: `${self:…}`, the stage, and what has a default.
fn written_out(service: &Yaml, value: &Yaml) -> Option<String> {
    filled_in(service, value.text()?, &mut { LOOKED_UP })
}

/// What a value says, and through which variables.
fn stated(service: &Yaml, path: &str, value: Option<&Yaml>) -> Stated {
    let Some(value) = value else { return Stated::Nothing };
    let written: Option<String> = value.text().map(|text| text.chars().take(120).collect());
    match (written_out(service, value), written) {
        (Some(text), Some(written)) => {
            let by = written.contains("${").then(|| format!("{written} in {path}"));
            Stated::Text(text, by)
        }
        _ => Stated::Later,
    }
}

fn filled_in(service: &Yaml, text: &str, left: &mut u32) -> Option<String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, after) = split_outside(after, '}')?;
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

/// A text before and after the first such character that is in no variable.
fn split_outside(text: &str, wanted: char) -> Option<(&str, &str)> {
    let mut open = 0;
    for (place, c) in text.char_indices() {
        match c {
            c if c == wanted && open == 0 => return Some((&text[..place], &text[place + c.len_utf8()..])),
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

/// What stands for a variable, which is `PLACE` or `PLACE, DEFAULT`.
fn looked_up(service: &Yaml, variable: &str, left: &mut u32) -> Option<String> {
    *left = left.checked_sub(1)?;
    let (place, default) = match split_outside(variable, ',') {
        Some((place, default)) => (place.trim(), Some(default.trim())),
        None => (variable.trim(), None),
    };
    if place.contains("${") {
        // A variable by itself is what it stands for; in the name of another it is a part of that.
        let told = filled_in(service, place, left);
        let told = if place.starts_with("${") {
            told
        } else {
            told.and_then(|place| looked_up(service, &place, left))
        };
        return told.or_else(|| looked_up(service, default?, left));
    }
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
    let layers = layers(folder, path, &service, reading);
    for (id, function) in functions.entries() {
        let of = |key: &str| function.get(key).or_else(|| provider?.get(key));
        let stated = format!("{id} in {path}");
        if function.get("image").is_some() {
            reading.remark(format!(
                "{stated}: an image; write its manifest with: kiln new artifact {id} --kind lambda-image"
            ));
            continue;
        }
        let stated_of = |key: &str| self::stated(&service, path, of(key));
        let runtime = stated_of("runtime");
        if let Some(name) = runtime.text().filter(|name| !name.starts_with("python")) {
            reading.remark(format!("{stated}: `{name}` is no Python, and was passed over"));
            continue;
        }
        let Some(name) = reading.named(path, artifact_name(id)) else { continue };
        let mut artifact = Artifact::new(name, Kind::Zip, stated);
        let origins = &mut artifact.origins;
        artifact.runtime = runtime.told("runtime", "runtime", path, origins);
        artifact.handler = stated_of("handler").told("handler", "handler", path, origins);
        artifact.architecture = stated_of("architecture").architecture("architecture", path, origins);
        artifact.timeout = stated_of("timeout").number("timeout", 6, "Serverless", origins);
        artifact.memory = stated_of("memorySize").number("memory", 1024, "Serverless", origins);
        for (key, name) in [
            ("target.runtime", "runtime"),
            ("handler", "handler"),
            ("target.architecture", "architecture"),
            ("layers", "layers"),
            ("check.timeout", "timeout"),
            ("check.memory", "memorySize"),
        ] {
            if let Some((_, line)) = of(name).and_then(Yaml::first) {
                artifact.places.insert(key.to_owned(), format!("{path}:{line}"));
            }
        }
        match of("layers") {
            None => {}
            Some(Yaml::List(list)) => {
                for layer in list {
                    match layer.reference().and_then(|id| layers.get(id)) {
                        Some(name) => artifact.layers.push(name.clone()),
                        None => artifact.untold_layers.push(untold_layer(layer, path)),
                    }
                }
            }
            Some(other) => artifact.untold_layers.push(untold_layer(other, path)),
        }
        for environment in
            [provider.and_then(|provider| provider.get("environment")), function.get("environment")]
        {
            for (name, value) in environment.map(Yaml::entries).unwrap_or_default() {
                artifact.env.insert(name.clone(), written_out(&service, value).into());
                if let Some((_, line)) = value.first() {
                    artifact.places.insert(format!("check.env.{name}"), format!("{path}:{line}"));
                }
            }
        }
        // The plugin for Python's requirements calls the folder of a function its module.
        artifact.source = match self::stated(&service, path, function.get("module")) {
            Stated::Nothing => code(folder, path, "."),
            Stated::Text(below, by) => {
                artifact.origins.extend(by.map(|by| ("source", by)));
                code(folder, path, &below)
            }
            Stated::Later => Told::Not {
                why: format!("`module` of {id} in {path} is made when it is deployed"),
                such_as: "../src".to_owned(),
            },
        };
        reading.add(artifact);
    }
}

/// Reads the layers of a service. Gives their names here by those that they have in its template.
fn layers(
    folder: &Folder,
    path: &str,
    service: &Yaml,
    reading: &mut Reading,
) -> BTreeMap<String, ArtifactName> {
    let mut names = BTreeMap::new();
    let functions = service.get("functions").map(Yaml::entries).unwrap_or_default();
    for (id, layer) in service.get("layers").map(Yaml::entries).unwrap_or_default() {
        let list = |key: &str| -> Vec<Stated> {
            match layer.get(key) {
                Some(Yaml::List(items)) => {
                    items.iter().map(|item| stated(service, path, Some(item))).collect()
                }
                // What is no list is made one when it is deployed.
                Some(value) if value.first().is_some_and(|(text, _)| !text.is_empty()) => vec![Stated::Later],
                _ => Vec::new(),
            }
        };
        let runtimes = list("compatibleRuntimes");
        let is_foreign = |name: &Stated| name.text().is_some_and(|name| !name.starts_with("python"));
        if !runtimes.is_empty() && runtimes.iter().all(is_foreign) {
            reading.remark(format!("{id} in {path}: a layer for no Python, and was passed over"));
            continue;
        }
        let is_taken =
            reading.is_taken(id) || functions.iter().any(|(name, _)| name.eq_ignore_ascii_case(id));
        let name = if is_taken { format!("{id}-layer") } else { id.clone() };
        let Some(name) = reading.named(path, artifact_name(&name)) else { continue };
        let mut artifact = Artifact::new(name.clone(), Kind::Layer, format!("{id} in {path}"));
        artifact.runtime = runtime_of_layer(&runtimes, path, &mut artifact.origins);
        if let [one] = list("compatibleArchitectures").as_slice() {
            let key = "compatibleArchitectures";
            artifact.architecture = one.clone().architecture(key, path, &mut artifact.origins);
        }
        let source = match stated(service, path, layer.get("path")) {
            Stated::Text(below, by) => {
                artifact.origins.extend(by.map(|by| ("source", by)));
                code(folder, path, &below)
            }
            Stated::Nothing | Stated::Later => Told::Not {
                why: format!("the layer {id} in {path} has no folder that is written out"),
                such_as: "../layers".to_owned(),
            },
        };
        artifact.source = code_of_layer(folder, path, source);
        reading.add(artifact);
        names.insert(logical_name(id), name);
    }
    names
}

/// What Serverless calls a layer in the template that it makes.
fn logical_name(id: &str) -> String {
    let plain = id.replace('-', "Dash").replace('_', "Underscore");
    let mut rest = plain.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    format!("{}{}LambdaLayer", first.map(String::from).unwrap_or_default(), rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_have_names_in_the_template() {
        assert_eq!(logical_name("common"), "CommonLambdaLayer");
        assert_eq!(logical_name("my-own_one"), "MyDashownUnderscoreoneLambdaLayer");
    }

    #[test]
    fn variables_are_looked_up_and_named() {
        let text = "custom: {arch: arm64}\nprovider: {a: '${self:custom.arch}', b: '${env:ARCH}', c: '${param:arch}', d: \"${opt:arch, 'arm64'}\", e: x86_64}\n";
        let service = Yaml::parse(text).unwrap();
        let of = |key: &str| stated(&service, "serverless.yml", service.at(&["provider", key]));
        let by = |name: &str| Stated::Text("arm64".to_owned(), Some(format!("{name} in serverless.yml")));
        assert_eq!(of("a"), by("${self:custom.arch}"));
        assert_eq!(of("d"), by("${opt:arch, 'arm64'}"));
        assert_eq!((of("b"), of("c"), of("f")), (Stated::Later, Stated::Later, Stated::Nothing));
        assert_eq!(of("e"), Stated::Text("x86_64".to_owned(), None));
        let looked_up = |text: &str| filled_in(&service, text, &mut { LOOKED_UP });
        for text in [
            "${opt:arch, ${self:custom.arch}}",
            "${self:custom.${opt:key, 'arch'}}",
            "${self:${env:X, 'no'}, 'arm64'}",
        ] {
            assert_eq!(looked_up(text).as_deref(), Some("arm64"), "{text}");
        }
        for text in ["${opt:arch, ${env:ARCH}}", "${self:custom.${env:KEY}}", "${opt:a, '}", "}${", "${${${"]
        {
            assert_eq!(looked_up(text), None, "{text}");
        }
        assert_eq!(looked_up(&"${".repeat(100_000)), None);
    }
}
