//! Terraform: `aws_lambda_function` and `aws_lambda_layer_version` whose archive is made of a folder here, by `archive_file`.

use crate::artifact::{Artifact, Kind, Source, Told, Variable};
use crate::folder::{Folder, join, name_of, parent, resolve};
use crate::handler::artifact_name;
use crate::reading::Reading;
use crate::stated::{LONGEST, LOOKED_UP, Origins, Stated, code, code_of_layer, runtime_of_layer};
use crate::yaml::Yaml;
use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, TraversalOperator};
use hcl_edit::structure::{Block, Body};
use hcl_edit::template::Element;
use kiln_record::ArtifactName;
use std::collections::{BTreeMap, BTreeSet};

/// Whether a file states something, by its name: a file of a module, or one with values of variables that is always read.
pub(crate) fn is_read(path: &str) -> bool {
    path.ends_with(".tf") || is_of_values(path)
}

fn is_of_values(path: &str) -> bool {
    name_of(path) == "terraform.tfvars" || path.ends_with(".auto.tfvars")
}

/// Whether a file that Terraform reads by itself has values as JSON.
fn has_json_values(name: &str) -> bool {
    name == "terraform.tfvars.json" || name.ends_with(".auto.tfvars.json")
}

/// Reads all modules of Terraform, each with all of its files: what one names, another states.
pub(crate) fn read(folder: &Folder, modules: &BTreeMap<&str, Vec<(&str, &str)>>, reading: &mut Reading) {
    let mut parsed: BTreeMap<&str, Vec<File<'_>>> = BTreeMap::new();
    for (place, files) in modules {
        for &(path, text) in files {
            match text.parse::<Body>() {
                Ok(body) => parsed.entry(place).or_default().push(File { path, text, body }),
                Err(error) => {
                    let line = error.location().line();
                    reading.remark(format!("{path}: it cannot be read as HCL: line {line}"));
                }
            }
        }
    }
    let given = given(&parsed);
    for (place, files) in &parsed {
        let mut module = Module::new(folder, place, files, &given);
        module.archives = module.read_archives();
        module.layers = module.read_layers(reading);
        for (file, name, block) in module.resources("aws_lambda_function") {
            module.function(file, name, &block.body, reading);
        }
    }
}

/// The variables that modules are given by those that use them: by the folder of the module.
fn given<'a>(parsed: &'a BTreeMap<&str, Vec<File<'_>>>) -> BTreeSet<(String, &'a str)> {
    let mut given = BTreeSet::new();
    for (place, files) in parsed {
        for block in files.iter().flat_map(|file| file.body.get_blocks("module")) {
            let source = block.body.get_attribute("source").and_then(|source| source.value.as_str());
            let Some(used) = source.and_then(|source| resolve(place, source)) else { continue };
            given.extend(block.body.attributes().map(|attribute| (used.clone(), attribute.key.as_str())));
        }
    }
    given
}

struct File<'a> {
    path: &'a str,
    text: &'a str,
    body: Body,
}

impl File<'_> {
    /// An expression as it is written, with its line.
    fn written(&self, value: &Expression) -> Option<(String, usize)> {
        let span = value.span()?;
        let text = self.text.get(span.clone())?.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = self.text.get(..span.start)?.matches('\n').count() + 1;
        Some((text.chars().take(120).collect(), line))
    }

    /// Notes where a key of a manifest is stated.
    fn note(&self, artifact: &mut Artifact, key: &str, value: &Expression) {
        if let Some((_, line)) = self.written(value) {
            artifact.places.insert(key.to_owned(), format!("{}:{line}", self.path));
        }
    }

    /// That a layer has no code in the project, with the place where it is named.
    fn untold_layer(&self, layer: &Expression) -> String {
        match self.written(layer) {
            Some((text, line)) => {
                format!(
                    "its layer {text} in {}:{line} has no code here; what it brings is not known",
                    self.path
                )
            }
            None => {
                format!("one of its layers in {} has no code here; what it brings is not known", self.path)
            }
        }
    }
}

/// All that the files of a module state.
struct Module<'a> {
    folder: &'a Folder,
    /// Its folder.
    place: &'a str,
    files: &'a [File<'a>],
    /// The variables that modules are given.
    given: &'a BTreeSet<(String, &'a str)>,
    /// Its blocks, by their kind and labels.
    blocks: BTreeMap<(&'a str, Vec<&'a str>), Vec<Stating<'a>>>,
    /// Its files of values, the one that wins first.
    values: Vec<&'a File<'a>>,
    /// The variables whose values are in a file of JSON, which is not looked into further and may win; none if one cannot be read, so
    /// that it may be any.
    given_as_json: Option<BTreeSet<String>>,
    /// What archives are made of, by the names of their blocks and by the files that are made.
    archives: BTreeMap<Archive<'a>, (&'a File<'a>, &'a Body)>,
    /// Its layers, by the names of their resources.
    layers: BTreeMap<&'a str, ArtifactName>,
}

/// A block, and the file that it is in.
type Stating<'a> = (&'a File<'a>, &'a Block);

/// How an archive is named by what is made of it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Archive<'a> {
    Block(&'a str),
    File(String),
}

/// One value that is looked up.
struct Lookup {
    /// How many more names are.
    left: u32,
    /// What stood in place of the value, as clauses.
    by: Vec<String>,
    /// Whether the value is that of a deployment: one that a file of values or the user of a module gives is that, and no
    /// default is. Else it is one that a check can work with, and defaults are; a file of values may hold secrets.
    is_deployed: bool,
}

impl<'a> Module<'a> {
    fn new(
        folder: &'a Folder,
        place: &'a str,
        files: &'a [File<'a>],
        given: &'a BTreeSet<(String, &'a str)>,
    ) -> Self {
        let mut blocks: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for file in files {
            for block in file.body.blocks() {
                blocks.entry((block.ident.as_str(), labels(block))).or_default().push((file, block));
            }
        }
        // `terraform.tfvars` is read first, then the others by their names, and what is read last holds.
        let mut values: Vec<&File<'_>> = files.iter().filter(|file| is_of_values(file.path)).collect();
        values.sort_by_key(|file| (name_of(file.path) != "terraform.tfvars", file.path));
        values.reverse();
        // JSON is YAML.
        let keys = |name: &str| -> Option<Vec<String>> {
            let values = Yaml::parse(folder.text(&join(place, name))?).ok()?;
            Some(values.entries().iter().map(|(key, _)| key.clone()).collect())
        };
        let of_json = folder.children(place).filter(|name| has_json_values(name)).map(keys);
        let given_as_json =
            of_json.collect::<Option<Vec<_>>>().map(|all| all.into_iter().flatten().collect());
        let (archives, layers) = (BTreeMap::new(), BTreeMap::new());
        Self { folder, place, files, given, blocks, values, given_as_json, archives, layers }
    }

    /// The blocks of a kind that make something, in the order of the files.
    fn resources(&self, kind: &str) -> Vec<(&'a File<'a>, &'a str, &'a Block)> {
        self.named("resource", kind)
    }

    fn named(&self, block: &'static str, kind: &str) -> Vec<(&'a File<'a>, &'a str, &'a Block)> {
        let mut found = Vec::new();
        for file in self.files {
            for block in file.body.get_blocks(block) {
                if let [of_kind, name] = labels(block)[..]
                    && of_kind == kind
                {
                    found.push((file, name, block));
                }
            }
        }
        found
    }

    fn read_archives(&self) -> BTreeMap<Archive<'a>, (&'a File<'a>, &'a Body)> {
        let mut found = BTreeMap::new();
        // One that is looked up is made by that.
        for block in ["resource", "data"] {
            for (file, name, block) in self.named(block, "archive_file") {
                found.entry(Archive::Block(name)).or_insert((file, &block.body));
                if let Some(made) = self.stated(&block.body, "output_path").text() {
                    found.entry(Archive::File(made.to_owned())).or_insert((file, &block.body));
                }
            }
        }
        found
    }

    /// The attribute of the one block of this kind with these labels that has it, and its file.
    fn attribute(&self, kind: &str, names: &[&str], key: &str) -> Option<(&'a File<'a>, &'a Expression)> {
        let blocks = self.blocks.get(&(kind, names.to_vec()))?;
        blocks.iter().find_map(|(file, block)| Some((*file, &block.body.get_attribute(key)?.value)))
    }

    /// The expression that stands for one: what a variable, a local value, or a key of these is. Others stand for themselves.
    fn followed(&self, value: &'a Expression, lookup: &mut Lookup) -> Option<&'a Expression> {
        lookup.left = lookup.left.checked_sub(1)?;
        if let Some(inside) = value.as_parenthesis() {
            return self.followed(inside.inner(), lookup);
        }
        let Some((root, attributes)) = traversal(value) else { return Some(value) };
        let (found, keys) = match (root, attributes.as_slice()) {
            ("var", [name, keys @ ..]) => (self.value_of(name, lookup)?, keys),
            ("local", [name, keys @ ..]) => {
                let (file, found) = self.attribute("locals", &[], name)?;
                lookup.by.push(format!("local.{name} in {}", file.path));
                (found, keys)
            }
            _ => return Some(value),
        };
        let mut found = self.followed(found, lookup)?;
        for key in keys {
            let of_key = |(name, value): (&'a hcl_edit::expr::ObjectKey, &'a hcl_edit::expr::ObjectValue)| {
                let is_it = name.as_ident().is_some_and(|ident| ident.as_str() == *key)
                    || name.as_expr().and_then(Expression::as_str) == Some(*key);
                is_it.then(|| value.expr())
            };
            found = self.followed(found.as_object()?.iter().find_map(of_key)?, lookup)?;
        }
        Some(found)
    }

    /// What a variable is: what a file of values gives it, or its default.
    fn value_of(&self, name: &str, lookup: &mut Lookup) -> Option<&'a Expression> {
        if lookup.is_deployed {
            if self.given_as_json.as_ref().is_none_or(|given| given.contains(name)) {
                return None;
            }
            let values = self.values.iter().find_map(|file| Some((file, file.body.get_attribute(name)?)));
            if let Some((file, value)) = values {
                lookup.by.push(format!("var.{name} in {}", file.path));
                return Some(&value.value);
            }
            if self.given.iter().any(|(place, given)| place == self.place && *given == name) {
                return None;
            }
        }
        let (file, default) = self.attribute("variable", &[name], "default")?;
        lookup.by.push(format!("the default of var.{name} in {}", file.path));
        Some(default)
    }

    /// A text, in which names may stand for parts of it.
    fn text(&self, value: &'a Expression, lookup: &mut Lookup) -> Option<String> {
        let value = self.followed(value, lookup)?;
        if let Some(text) = value.as_str() {
            return Some(text.to_owned());
        }
        if matches!(traversal(value), Some(("path", names)) if names == ["module"]) {
            return Some(".".to_owned());
        }
        let mut all = String::new();
        for element in value.as_string_template()? {
            match element {
                Element::Literal(literal) => all.push_str(literal),
                Element::Interpolation(inside) => all.push_str(&self.text(&inside.expr, lookup)?),
                Element::Directive(_) => return None,
            }
            if all.len() > LONGEST {
                return None;
            }
        }
        Some(all)
    }

    fn stated_by(&self, value: &'a Expression) -> Stated {
        let mut lookup = Lookup { left: LOOKED_UP, by: Vec::new(), is_deployed: true };
        match self.text(value, &mut lookup) {
            Some(text) => Stated::Text(text, (!lookup.by.is_empty()).then(|| lookup.by.join(", "))),
            None => Stated::Later,
        }
    }

    fn stated(&self, body: &'a Body, key: &str) -> Stated {
        body.get_attribute(key).map_or(Stated::Nothing, |attribute| self.stated_by(&attribute.value))
    }

    /// The values of a list; nothing if it has no such key, and one that is told later if it is no list that is written out.
    fn list(&self, body: &'a Body, key: &str) -> Option<Vec<Stated>> {
        let value = &body.get_attribute(key)?.value;
        let mut lookup = Lookup { left: LOOKED_UP, by: Vec::new(), is_deployed: true };
        let Some(list) = self.followed(value, &mut lookup).and_then(Expression::as_array) else {
            return Some(vec![Stated::Later]);
        };
        let through = |stated: Stated| match stated {
            Stated::Text(text, by) => {
                let by: Vec<String> = lookup.by.iter().cloned().chain(by).collect();
                Stated::Text(text, (!by.is_empty()).then(|| by.join(", ")))
            }
            other => other,
        };
        Some(list.iter().map(|value| through(self.stated_by(value))).collect())
    }

    /// A number, as a text.
    fn number(&self, body: &'a Body, key: &str) -> Stated {
        let Some(attribute) = body.get_attribute(key) else { return Stated::Nothing };
        let mut lookup = Lookup { left: LOOKED_UP, by: Vec::new(), is_deployed: true };
        let value = self.followed(&attribute.value, &mut lookup).and_then(Expression::as_number);
        match value.and_then(|number| number.as_u64()) {
            Some(number) => {
                Stated::Text(number.to_string(), (!lookup.by.is_empty()).then(|| lookup.by.join(", ")))
            }
            None => Stated::Later,
        }
    }

    /// What a variable of the environment is: a text, one that a default or a local value states, or what a resource is named.
    fn variable(&self, value: &'a Expression) -> Variable {
        let mut lookup = Lookup { left: LOOKED_UP, by: Vec::new(), is_deployed: false };
        if let Some(text) = self.text(value, &mut lookup) {
            return Variable::Is(text);
        }
        let mut deployed = Lookup { left: LOOKED_UP, by: Vec::new(), is_deployed: true };
        if self.text(value, &mut deployed).is_some() {
            return Variable::Given(deployed.by.join(", "));
        }
        let Some((kind, attributes)) = traversal(value) else { return Variable::Unknown };
        let [name, attribute] = attributes[..] else { return Variable::Unknown };
        let is_here = self.files.iter().flat_map(|file| file.body.get_blocks("resource"));
        if !is_here.into_iter().any(|block| labels(block) == [kind, name]) {
            return Variable::Unknown;
        }
        let stated = self.attribute("resource", &[kind, name], attribute);
        match (stated.and_then(|(_, value)| self.text(value, &mut lookup)), attribute) {
            (Some(text), _) => Variable::Is(text),
            // What it is called when it is made; an address or a number is something else.
            (None, "name" | "id" | "bucket") => Variable::Named(name.to_owned()),
            (None, _) => Variable::Unknown,
        }
    }

    /// The folder that the archive in `filename` is made of.
    fn source(&self, body: &'a Body, origins: &mut Origins) -> Told<Source> {
        let mut lookup = Lookup { left: LOOKED_UP, by: Vec::new(), is_deployed: true };
        let filename = body.get_attribute("filename").and_then(|one| self.followed(&one.value, &mut lookup));
        let named = filename.and_then(|filename| match archive_named(filename) {
            Some(name) => Some(Archive::Block(name)),
            None => Some(Archive::File(self.stated_by(filename).text()?.to_owned())),
        });
        match named.and_then(|named| self.archives.get(&named)) {
            Some((file, body)) => self.archived(file, body, origins),
            None => Told::Not {
                why: format!(
                    "its archive is of no archive_file in {}",
                    if self.place.is_empty() { "this folder" } else { self.place }
                ),
                such_as: "../src".to_owned(),
            },
        }
    }

    fn archived(&self, file: &File<'_>, body: &'a Body, origins: &mut Origins) -> Told<Source> {
        if let Stated::Text(text, by) = self.stated(body, "source_dir") {
            origins.extend(by.map(|by| ("source", by)));
            return code(self.folder, file.path, &text);
        }
        if let Stated::Text(text, by) = self.stated(body, "source_file") {
            let path = resolve(parent(file.path), &text).filter(|path| self.folder.has_file(path));
            let Some(path) = path else { return code(self.folder, file.path, &text) };
            origins.extend(by.map(|by| ("source", by)));
            let include = vec![name_of(&path).to_owned()];
            return Told::Is(Source { path: parent(&path).to_owned(), include, exclude: Vec::new() });
        }
        Told::Not {
            why: format!("the archive is of no folder that is written out in {}", file.path),
            such_as: "../src".to_owned(),
        }
    }

    fn read_layers(&self, reading: &mut Reading) -> BTreeMap<&'a str, ArtifactName> {
        let functions = self.resources("aws_lambda_function");
        let mut names = BTreeMap::new();
        for (file, id, block) in self.resources("aws_lambda_layer_version") {
            let runtimes = self.list(&block.body, "compatible_runtimes").unwrap_or_default();
            let is_foreign = |name: &Stated| name.text().is_some_and(|name| !name.starts_with("python"));
            if !runtimes.is_empty() && runtimes.iter().all(is_foreign) {
                reading.remark(format!("{id} in {}: a layer for no Python, and was passed over", file.path));
                continue;
            }
            let is_taken =
                reading.is_taken(id) || functions.iter().any(|(_, name, _)| name.eq_ignore_ascii_case(id));
            let name = if is_taken { format!("{id}-layer") } else { id.to_owned() };
            let Some(name) = reading.named(file.path, artifact_name(&name)) else { continue };
            let mut artifact = Artifact::new(name.clone(), Kind::Layer, format!("{id} in {}", file.path));
            artifact.runtime = runtime_of_layer(&runtimes, file.path, &mut artifact.origins);
            let key = "compatible_architectures";
            if let Some([one]) = self.list(&block.body, key).as_deref() {
                artifact.architecture = one.clone().architecture(key, file.path, &mut artifact.origins);
            }
            let source = self.source(&block.body, &mut artifact.origins);
            artifact.source = code_of_layer(self.folder, file.path, source);
            reading.add(artifact);
            names.insert(id, name);
        }
        names
    }

    fn function(&self, file: &'a File<'a>, id: &str, body: &'a Body, reading: &mut Reading) {
        let path = file.path;
        let stated = format!("{id} in {path}");
        if self.stated(body, "package_type").text() == Some("Image") {
            return reading.remark(format!(
                "{stated}: an image; write its manifest with: kiln new artifact {id} --kind lambda-image"
            ));
        }
        let runtime = self.stated(body, "runtime");
        if let Some(name) = runtime.text().filter(|name| !name.starts_with("python")) {
            return reading.remark(format!("{stated}: `{name}` is no Python, and was passed over"));
        }
        let Some(name) = reading.named(path, artifact_name(id)) else { return };
        let mut artifact = Artifact::new(name, Kind::Zip, stated);
        let origins = &mut artifact.origins;
        artifact.runtime = runtime.told("runtime", "runtime", path, origins);
        artifact.handler = self.stated(body, "handler").told("handler", "handler", path, origins);
        let architectures = match self.list(body, "architectures").as_deref() {
            None | Some([]) => Stated::Nothing,
            Some([one]) => one.clone(),
            Some(_) => Stated::Later,
        };
        artifact.architecture = architectures.architecture("architectures", path, origins);
        artifact.source = self.source(body, origins);
        artifact.timeout = self.number(body, "timeout").number("timeout", 3, "Lambda", origins);
        artifact.memory = self.number(body, "memory_size").number("memory", 128, "Lambda", origins);
        for (key, name) in [
            ("target.runtime", "runtime"),
            ("handler", "handler"),
            ("target.architecture", "architectures"),
            ("layers", "layers"),
            ("check.timeout", "timeout"),
            ("check.memory", "memory_size"),
        ] {
            if let Some(attribute) = body.get_attribute(name) {
                file.note(&mut artifact, key, &attribute.value);
            }
        }
        if let Some(layers) = body.get_attribute("layers") {
            self.deployed_with(file, &layers.value, &mut artifact);
        }
        let variables =
            body.get_blocks("environment").next().and_then(|block| block.body.get_attribute("variables"));
        let variables = variables.and_then(|variables| variables.value.as_object());
        for (key, value) in variables.into_iter().flatten() {
            let name = key.as_ident().map(|ident| ident.as_str());
            if let Some(name) = name.or_else(|| key.as_expr()?.as_str()) {
                artifact.env.insert(name.to_owned(), self.variable(value.expr()));
                file.note(&mut artifact, &format!("check.env.{name}"), value.expr());
            }
        }
        reading.add(artifact);
    }

    /// Adds the layers of a function, and those that are none of this module.
    fn deployed_with(&self, file: &File<'_>, layers: &'a Expression, artifact: &mut Artifact) {
        let mut lookup = Lookup { left: LOOKED_UP, by: Vec::new(), is_deployed: true };
        let Some(list) = self.followed(layers, &mut lookup).and_then(Expression::as_array) else {
            return artifact.untold_layers.push(file.untold_layer(layers));
        };
        // One in a list of another file is told at the place of the function.
        let is_elsewhere = !lookup.by.is_empty();
        for layer in list.iter() {
            let named = match self.followed(layer, &mut lookup).and_then(traversal) {
                Some(("aws_lambda_layer_version", names)) => match names[..] {
                    [name, "arn"] => self.layers.get(name),
                    _ => None,
                },
                _ => None,
            };
            match named {
                Some(name) => artifact.layers.push(name.clone()),
                None => {
                    artifact.untold_layers.push(file.untold_layer(if is_elsewhere { layers } else { layer }))
                }
            }
        }
        artifact.untold_layers.dedup();
    }
}

/// `ROOT.NAME.NAME…`, also where it stands alone in a template.
fn traversal(value: &Expression) -> Option<(&str, Vec<&str>)> {
    if let Some(template) = value.as_string_template() {
        let mut elements = template.into_iter();
        return match (elements.next(), elements.next()) {
            (Some(Element::Interpolation(alone)), None) => traversal(&alone.expr),
            _ => None,
        };
    }
    let traversal = value.as_traversal()?;
    let attributes = traversal.operators.iter().map(|operator| match operator.value() {
        TraversalOperator::GetAttr(name) => Some(name.as_str()),
        _ => None,
    });
    Some((traversal.expr.as_variable()?.as_str(), attributes.collect::<Option<_>>()?))
}

fn labels(block: &Block) -> Vec<&str> {
    block.labels.iter().map(|label| label.as_str()).collect()
}

/// `NAME` of `data.archive_file.NAME.output_path` and `archive_file.NAME.output_path`.
fn archive_named(value: &Expression) -> Option<&str> {
    let (root, attributes) = traversal(value)?;
    match (root, attributes.as_slice()) {
        ("data", ["archive_file", name, "output_path"]) | ("archive_file", [name, "output_path"]) => {
            Some(name)
        }
        _ => None,
    }
}
