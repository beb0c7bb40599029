//! Templates of SAM and CloudFormation: functions and layers with code in this project.

use crate::artifact::{Artifact, Kind, Source, Told, Variable};
use crate::folder::{Folder, name_of, parent, resolve};
use crate::handler::artifact_name;
use crate::reading::Reading;
use crate::stated::{LONGEST, LOOKED_UP, Origins, Stated, code, runtime_of_layer};
use crate::yaml::Yaml;

/// Whether a file is a template, by its name; its content says the rest.
pub(crate) fn is_template(path: &str) -> bool {
    let name = name_of(path);
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, ""));
    matches!(ending, "yaml" | "yml" | "json") && stem.contains("template")
}

/// Reads one template.
pub(crate) fn read(folder: &Folder, path: &str, text: &str, reading: &mut Reading) {
    let template = match Yaml::parse(text) {
        Ok(template) => template,
        Err(why) => return reading.remark(format!("{path}: it cannot be read as YAML: {why}")),
    };
    let Some(resources) = template.get("Resources") else { return };
    let globals = template.at(&["Globals", "Function"]);
    for (id, resource) in resources.entries() {
        let kind = resource.get("Type").and_then(Yaml::text).unwrap_or_default();
        let Some(properties) = resource.get("Properties") else { continue };
        // They are of SAM's own resources alone.
        let globals = globals.filter(|_| kind == "AWS::Serverless::Function");
        let one = Resource { folder, path, template: &template, id, resource, properties, globals };
        match kind {
            "AWS::Serverless::Function" | "AWS::Lambda::Function" => one.function(kind, reading),
            "AWS::Serverless::LayerVersion" | "AWS::Lambda::LayerVersion" => one.layer(kind, reading),
            _ => {}
        }
    }
}

struct Resource<'a> {
    folder: &'a Folder,
    path: &'a str,
    template: &'a Yaml,
    id: &'a str,
    resource: &'a Yaml,
    properties: &'a Yaml,
    globals: Option<&'a Yaml>,
}

impl Resource<'_> {
    /// A property, or what holds for all functions.
    fn property(&self, key: &str) -> Option<&Yaml> {
        self.properties.get(key).or_else(|| self.globals?.get(key))
    }

    fn stated(&self, key: &str) -> Stated {
        self.property(key).map_or(Stated::Nothing, |value| self.stated_by(value))
    }

    /// What a value says: a text, or the default of a parameter that is named in its place.
    fn stated_by(&self, value: &Yaml) -> Stated {
        if let Some(text) = value.text() {
            return Stated::Text(text.to_owned(), None);
        }
        let told = match (value.reference(), value.substituted()) {
            (Some(name), _) => self.default_of(name).map(|default| (default.to_owned(), vec![name])),
            (None, Some(text)) => self.filled_in(text),
            (None, None) => None,
        };
        told.map_or(Stated::Later, |(text, names)| {
            let defaults: Vec<String> = names.iter().map(|name| format!("the Default of {name}")).collect();
            Stated::Text(text, Some(format!("{} in {}", defaults.join(" and "), self.path)))
        })
    }

    /// The default of a parameter, unless that is the name of something that is looked up, or the settings of a deployment
    /// beside the template give another.
    fn default_of(&self, name: &str) -> Option<&str> {
        let parameter = self.template.at(&["Parameters", name])?;
        let is_looked_up =
            parameter.get("Type").and_then(Yaml::text).is_some_and(|kind| kind.starts_with("AWS::SSM::"));
        let settings = resolve(parent(self.path), "samconfig.toml")?;
        let is_given = self.folder.text(&settings).is_some_and(|text| overrides(text, name));
        let default = parameter.get("Default").and_then(Yaml::text).filter(|text| text.len() <= LONGEST);
        // What is not to be seen is not to be committed either.
        let is_secret = parameter.get("NoEcho").and_then(Yaml::text).is_some_and(|text| text != "false");
        default.filter(|_| !is_looked_up && !is_given && !is_secret)
    }

    /// What `!Sub` makes of parameters with a default, and the names of these.
    fn filled_in<'t>(&self, text: &'t str) -> Option<(String, Vec<&'t str>)> {
        let (mut filled, mut names, mut rest) = (String::new(), Vec::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            if names.len() == LOOKED_UP as usize || filled.len() > LONGEST {
                return None;
            }
            let (name, after) = after.split_once('}')?;
            filled.push_str(before);
            filled.push_str(self.default_of(name)?);
            names.push(name);
            rest = after;
        }
        filled.push_str(rest);
        Some((filled, names))
    }

    /// The one architecture that the template has for it. Two that a layer is compatible with choose none.
    fn architecture(&self, kind: Kind) -> Stated {
        let stated = match kind {
            Kind::Layer => self.properties.get("CompatibleArchitectures"),
            _ => self.property("Architectures"),
        };
        match stated {
            None => Stated::Nothing,
            Some(Yaml::List(list)) => match list.as_slice() {
                [one] => self.stated_by(one),
                [] => Stated::Nothing,
                _ if kind == Kind::Layer => Stated::Nothing,
                _ => Stated::Later,
            },
            Some(value) => self.stated_by(value),
        }
    }

    /// Notes where keys of a manifest are stated, each by its property's name.
    fn note(&self, artifact: &mut Artifact, keys: &[(&str, &str)]) {
        for (key, name) in keys {
            if let Some((_, line)) = self.property(name).and_then(Yaml::first) {
                artifact.places.insert((*key).to_owned(), format!("{}:{line}", self.path));
            }
        }
    }

    fn start(&self, kind: Kind, reading: &mut Reading) -> Option<Artifact> {
        let name = reading.named(self.path, artifact_name(self.id))?;
        let mut artifact = Artifact::new(name, kind, format!("{} in {}", self.id, self.path));
        let key = if kind == Kind::Layer { "CompatibleArchitectures" } else { "Architectures" };
        artifact.architecture = self.architecture(kind).architecture(key, self.path, &mut artifact.origins);
        if artifact.architecture.is_some() {
            self.note(&mut artifact, &[("target.architecture", key)]);
        }
        Some(artifact)
    }

    fn function(&self, kind: &str, reading: &mut Reading) {
        let stated = format!("{} in {}", self.id, self.path);
        if self.properties.get("InlineCode").is_some() || self.properties.at(&["Code", "ZipFile"]).is_some() {
            return reading.remark(format!("{stated}: its code is in the template, and no artifact"));
        }
        if self.stated("PackageType").text() == Some("Image") {
            return self.image(&stated, reading);
        }
        let runtime = self.stated("Runtime");
        if let Some(name) = runtime.text().filter(|name| !name.starts_with("python")) {
            return reading.remark(format!("{stated}: `{name}` is no Python, and was passed over"));
        }
        let Some(mut artifact) = self.start(Kind::Zip, reading) else { return };
        artifact.runtime = runtime.told("runtime", "Runtime", self.path, &mut artifact.origins);
        artifact.handler =
            self.stated("Handler").told("handler", "Handler", self.path, &mut artifact.origins);
        let code = match kind {
            "AWS::Serverless::Function" => self.property("CodeUri"),
            _ => self.properties.get("Code"),
        };
        artifact.source = self.code(code, &mut artifact.origins);
        // Lambda's own defaults, by the reference of AWS::Lambda::Function.
        let origins = &mut artifact.origins;
        artifact.timeout = self.stated("Timeout").number("timeout", 3, "Lambda", origins);
        artifact.memory = self.stated("MemorySize").number("memory", 128, "Lambda", origins);
        let keys = [
            ("target.runtime", "Runtime"),
            ("handler", "Handler"),
            ("source.path", if kind == "AWS::Serverless::Function" { "CodeUri" } else { "Code" }),
            ("layers", "Layers"),
            ("check.timeout", "Timeout"),
            ("check.memory", "MemorySize"),
        ];
        self.note(&mut artifact, &keys);
        for environment in
            [self.globals.and_then(|globals| globals.get("Environment")), self.properties.get("Environment")]
        {
            let variables = environment.and_then(|environment| environment.get("Variables"));
            for (name, value) in variables.map(Yaml::entries).unwrap_or_default() {
                artifact.env.insert(name.clone(), self.variable(value));
                if let Some((_, line)) = value.first() {
                    artifact.places.insert(format!("check.env.{name}"), format!("{}:{line}", self.path));
                }
            }
        }
        // SAM appends a function's layers to those of all.
        for layers in [self.globals.and_then(|globals| globals.get("Layers")), self.properties.get("Layers")]
        {
            match layers {
                None => {}
                Some(Yaml::List(layers)) => {
                    layers.iter().for_each(|layer| self.deployed_with(layer, &mut artifact));
                }
                Some(other) => self.deployed_with(other, &mut artifact),
            }
        }
        reading.add(artifact);
    }

    /// Adds a layer of the template to a function, or that it is none of it.
    fn deployed_with(&self, layer: &Yaml, artifact: &mut Artifact) {
        let is_here = |id: &str| {
            let kind = self.template.at(&["Resources", id, "Type"]).and_then(Yaml::text);
            kind.is_some_and(|kind| kind.ends_with("::LayerVersion"))
        };
        match layer.reference().filter(|id| is_here(id)).and_then(|id| artifact_name(id).ok()) {
            Some(name) => artifact.layers.push(name),
            None => artifact.untold_layers.push(untold_layer(layer, self.path)),
        }
    }

    /// What a variable of the environment is.
    fn variable(&self, value: &Yaml) -> Variable {
        if let Some(text) = value.text() {
            return Variable::Is(text.to_owned());
        }
        if let Some((text, _)) = value.substituted().and_then(|text| self.filled_in(text)) {
            return Variable::Is(text);
        }
        let Some(name) = value.reference() else { return Variable::Unknown };
        match (self.default_of(name), self.template.at(&["Resources", name])) {
            (Some(default), _) => Variable::Is(default.to_owned()),
            (None, Some(resource)) => match self.name_of(resource) {
                Some(stated) => Variable::Is(stated),
                None => Variable::Named(name.to_owned()),
            },
            (None, None) => Variable::Unknown,
        }
    }

    /// The name that a resource states, where a reference to it gives its name.
    fn name_of(&self, resource: &Yaml) -> Option<String> {
        let kind = resource.get("Type")?.text()?;
        let key = match kind.rsplit("::").next()? {
            "Table" | "SimpleTable" => "TableName",
            "Bucket" => "BucketName",
            "Function" => "FunctionName",
            "LogGroup" => "LogGroupName",
            "Stream" => "Name",
            _ => return None,
        };
        Some(self.stated_by(resource.at(&["Properties", key])?).text()?.to_owned())
    }

    fn image(&self, stated: &str, reading: &mut Reading) {
        let metadata = self.resource.get("Metadata");
        let text = |key: &str| metadata.and_then(|metadata| metadata.get(key)).and_then(Yaml::text);
        let context = text("DockerContext").and_then(|context| resolve(parent(self.path), context));
        let file =
            context.as_ref().and_then(|context| resolve(context, text("Dockerfile").unwrap_or("Dockerfile")));
        let (Some(context), Some(file)) = (context, file) else {
            return reading.remark(format!("{stated}: an image without a DockerContext in this project"));
        };
        let Some(mut artifact) = self.start(Kind::LambdaImage, reading) else { return };
        artifact.dockerfile = Some((file, context));
        // It comes before that of the Dockerfile.
        if let Some(Yaml::List(command)) = self.properties.at(&["ImageConfig", "Command"])
            && let [handler] = command.as_slice()
        {
            let stated = self.stated_by(handler);
            artifact.handler = stated.told("handler", "ImageConfig", self.path, &mut artifact.origins);
        }
        reading.add(artifact);
    }

    fn layer(&self, kind: &str, reading: &mut Reading) {
        let Some(mut artifact) = self.start(Kind::Layer, reading) else { return };
        let runtimes = self.properties.get("CompatibleRuntimes").map(Yaml::items).unwrap_or_default();
        let runtimes: Vec<Stated> = runtimes.iter().map(|name| self.stated_by(name)).collect();
        artifact.runtime = runtime_of_layer(&runtimes, self.path, &mut artifact.origins);
        self.note(&mut artifact, &[("target.runtime", "CompatibleRuntimes")]);
        let content = match kind {
            "AWS::Serverless::LayerVersion" => self.properties.get("ContentUri"),
            _ => self.properties.get("Content"),
        };
        artifact.source = self.code(content, &mut artifact.origins);
        // A manifest names what goes below python/; a folder as SAM has it brings that itself.
        if let Told::Is(source) = &mut artifact.source {
            let python = format!("{}/python", source.path);
            let python = python.trim_start_matches('/').to_owned();
            if self.folder.has_folder(&python) {
                source.path = python;
            }
        }
        reading.add(artifact);
    }

    fn code(&self, value: Option<&Yaml>, origins: &mut Origins) -> Told<Source> {
        let stated = value.map_or(Stated::Text(".".to_owned(), None), |value| self.stated_by(value));
        let Stated::Text(text, by) = stated else {
            return Told::Not {
                why: format!("the code in {} is no folder that is written out", self.path),
                such_as: "../src".to_owned(),
            };
        };
        origins.extend(by.map(|by| ("source", by)));
        code(self.folder, self.path, &text)
    }
}

/// Whether the settings of `sam deploy` give a parameter: `NAME=…` or `ParameterKey=NAME,…`.
fn overrides(settings: &str, name: &str) -> bool {
    let is_of_name = |c: char| c.is_ascii_alphanumeric();
    settings.match_indices(name).any(|(start, _)| {
        let (before, after) = (&settings[..start], &settings[start + name.len()..]);
        let is_whole = !before.ends_with(is_of_name) && !after.starts_with(is_of_name);
        let after = after.trim_start_matches(['"', '\\', ' ']);
        is_whole && (after.starts_with('=') || before.ends_with("ParameterKey="))
    })
}

/// That a function's layer has no code in the project, with the place where it is named.
pub(crate) fn untold_layer(layer: &Yaml, path: &str) -> String {
    match layer.first() {
        Some((text, line)) => {
            let text: String = text.chars().take(120).collect();
            format!("its layer {text} in {path}:{line} has no code here; what it brings is not known")
        }
        None => format!("one of its layers in {path} has no code here; what it brings is not known"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_deployment_give_parameters() {
        for (settings, expected) in [
            ("parameter_overrides = \"Arch=arm64 Stage=dev\"", true),
            ("parameter_overrides = [\"Stage=dev\", \"Arch=arm64\"]", true),
            ("parameter_overrides = \"ParameterKey=Arch,ParameterValue=arm64\"", true),
            ("parameter_overrides = \"MyArch=arm64 ArchOf=x\"", false),
            ("stack_name = \"Arch\"", false),
        ] {
            assert_eq!(overrides(settings, "Arch"), expected, "{settings}");
        }
    }
}
