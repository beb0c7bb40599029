//! Templates of SAM and CloudFormation: functions and layers with code in this project.

use crate::artifact::{Artifact, Kind, Source, Told, Variable};
use crate::folder::{Folder, name_of, parent, resolve};
use crate::handler::artifact_name;
use crate::reading::Reading;
use crate::yaml::Yaml;
use kiln_record::Architecture;

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

    fn text(&self, key: &str) -> Option<&str> {
        self.property(key).and_then(Yaml::text)
    }

    /// The key, if it is there and not a text that is written out.
    fn told(&self, key: &str, such_as: &str) -> Told<String> {
        match (self.property(key), self.text(key)) {
            (_, Some(text)) => Told::Is(text.to_owned()),
            (Some(_), None) => Told::Not {
                why: format!("{key} in {} is made when it is deployed", self.path),
                such_as: such_as.to_owned(),
            },
            (None, None) => {
                Told::Not { why: format!("{} has no {key}", self.path), such_as: such_as.to_owned() }
            }
        }
    }

    fn start(&self, kind: Kind, reading: &mut Reading) -> Option<Artifact> {
        let name = reading.named(self.path, artifact_name(self.id))?;
        let mut artifact = Artifact::new(name, kind, format!("{} in {}", self.id, self.path));
        let architectures = match kind {
            Kind::Layer => self.properties.get("CompatibleArchitectures"),
            _ => self.property("Architectures"),
        };
        if let Some([one]) = architectures.map(Yaml::items)
            && let Some(architecture) = one.text().and_then(architecture)
        {
            (artifact.architecture, artifact.architecture_is_stated) = (architecture, true);
        }
        Some(artifact)
    }

    fn function(&self, kind: &str, reading: &mut Reading) {
        let stated = format!("{} in {}", self.id, self.path);
        if self.properties.get("InlineCode").is_some() || self.properties.at(&["Code", "ZipFile"]).is_some() {
            return reading.remark(format!("{stated}: its code is in the template, and no artifact"));
        }
        if self.text("PackageType") == Some("Image") {
            return self.image(&stated, reading);
        }
        let runtime = self.told("Runtime", "python3.13");
        if let Some(name) = runtime.value().filter(|name| !name.starts_with("python")) {
            return reading.remark(format!("{stated}: `{name}` is no Python, and was passed over"));
        }
        let Some(mut artifact) = self.start(Kind::Zip, reading) else { return };
        artifact.runtime = runtime;
        artifact.handler = self.told("Handler", "app.handler");
        let code = match kind {
            "AWS::Serverless::Function" => self.property("CodeUri"),
            _ => self.properties.get("Code"),
        };
        artifact.source = self.code(code);
        artifact.timeout = self.property("Timeout").and_then(Yaml::number);
        artifact.memory = self.property("MemorySize").and_then(Yaml::number);
        for environment in
            [self.globals.and_then(|globals| globals.get("Environment")), self.properties.get("Environment")]
        {
            let variables = environment.and_then(|environment| environment.get("Variables"));
            for (name, value) in variables.map(Yaml::entries).unwrap_or_default() {
                artifact.env.insert(name.clone(), self.variable(value));
            }
        }
        for layer in self.property("Layers").map(Yaml::items).unwrap_or_default() {
            match layer.reference().and_then(|id| artifact_name(id).ok()) {
                Some(name) => artifact.layers.push(name),
                None => reading.remark(format!(
                    "{stated}: one of its layers is not in the template; what it brings is not known here"
                )),
            }
        }
        reading.add(artifact);
    }

    /// What a variable of the environment is.
    fn variable(&self, value: &Yaml) -> Variable {
        if let Some(text) = value.text() {
            return Variable::Is(text.to_owned());
        }
        let Some(name) = value.reference() else { return Variable::Unknown };
        let default = self.template.at(&["Parameters", name, "Default"]).and_then(Yaml::text);
        match (default, self.template.at(&["Resources", name])) {
            (Some(default), _) => Variable::Is(default.to_owned()),
            (None, Some(_)) => Variable::Named(name.to_owned()),
            (None, None) => Variable::Unknown,
        }
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
        reading.add(artifact);
    }

    fn layer(&self, kind: &str, reading: &mut Reading) {
        let Some(mut artifact) = self.start(Kind::Layer, reading) else { return };
        artifact.runtime = match self.properties.get("CompatibleRuntimes").map(Yaml::items) {
            Some([one]) if one.text().is_some_and(|name| name.starts_with("python")) => {
                Told::Is(one.text().unwrap_or_default().to_owned())
            }
            _ => Told::Not {
                why: format!("{} does not name one runtime for it", self.path),
                such_as: "python3.13".to_owned(),
            },
        };
        let content = match kind {
            "AWS::Serverless::LayerVersion" => self.properties.get("ContentUri"),
            _ => self.properties.get("Content"),
        };
        artifact.source = self.code(content);
        // A manifest names what goes below python/; a folder as SAM has it brings that itself.
        if let Told::Is(source) = &mut artifact.source {
            let python = format!("{}/python", source.path);
            if self.folder.has_folder(&python) {
                source.path = python;
            }
        }
        reading.add(artifact);
    }

    fn code(&self, code: Option<&Yaml>) -> Told<Source> {
        let not = |why: String| Told::Not { why, such_as: "../src".to_owned() };
        let text = match code {
            None => ".",
            Some(code) => match code.text() {
                Some(text) => text,
                None => return not(format!("the code in {} is no folder that is written out", self.path)),
            },
        };
        match resolve(parent(self.path), text).filter(|path| self.folder.has_folder(path)) {
            Some(path) => Told::Is(Source { path, include: Vec::new(), exclude: Vec::new() }),
            None => not(format!(
                "`{}` in {} is no folder here",
                text.chars().take(200).collect::<String>(),
                self.path
            )),
        }
    }
}

/// The architecture of Lambda's name for it.
pub(crate) fn architecture(text: &str) -> Option<Architecture> {
    match text {
        "x86_64" => Some(Architecture::Amd64),
        "arm64" => Some(Architecture::Arm64),
        _ => None,
    }
}
