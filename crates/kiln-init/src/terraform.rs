//! Terraform: `aws_lambda_function` whose archive is made of a folder here, by `archive_file`.

use crate::artifact::{Artifact, Kind, Source, Told, Variable};
use crate::folder::{Folder, parent, resolve};
use crate::handler::artifact_name;
use crate::reading::Reading;
use crate::sam::architecture;
use hcl_edit::expr::{Expression, TraversalOperator};
use hcl_edit::structure::{Block, Body};
use hcl_edit::template::Element;
use std::collections::BTreeMap;

/// Reads all files of one module of Terraform: what one names, another states.
pub(crate) fn read(folder: &Folder, files: &[(&str, &str)], reading: &mut Reading) {
    let mut bodies = Vec::new();
    for (path, text) in files {
        match text.parse::<Body>() {
            Ok(body) => bodies.push((*path, body)),
            Err(error) => {
                let line = error.location().line();
                reading.remark(format!("{path}: it cannot be read as HCL: line {line}"));
            }
        }
    }
    let mut archives: BTreeMap<String, Told<Source>> = BTreeMap::new();
    for (path, body) in &bodies {
        for block in body.get_blocks("data").chain(body.get_blocks("resource")) {
            if let [kind, name] = labels(block)[..]
                && kind == "archive_file"
            {
                archives.insert(name.to_owned(), archived(folder, path, &block.body));
            }
        }
    }
    for (path, body) in &bodies {
        for block in body.get_blocks("resource") {
            if let [kind, name] = labels(block)[..]
                && kind == "aws_lambda_function"
            {
                function(path, name, &block.body, &Module { bodies: &bodies, archives: &archives }, reading);
            }
        }
    }
}

/// All that the files of a module state.
struct Module<'a> {
    bodies: &'a [(&'a str, Body)],
    archives: &'a BTreeMap<String, Told<Source>>,
}

impl Module<'_> {
    /// What a variable of the environment is: a text, one that a default or a local value states, or what a resource is named.
    fn variable(&self, value: &Expression) -> Variable {
        if let Some(text) = text(value) {
            return Variable::Is(text);
        }
        let Some((root, attributes)) = traversal(value) else { return Variable::Unknown };
        let mut blocks = self.bodies.iter().flat_map(|(_, body)| body.blocks());
        let is = |block: &Block, kind: &str, names: &[&str]| {
            block.ident.as_str() == kind && labels(block) == names
        };
        let stated = |block: &Block, key: &str| text(&block.body.get_attribute(key)?.value);
        let told = match (root, attributes.as_slice()) {
            ("var", [name]) => {
                blocks.find(|block| is(block, "variable", &[name])).and_then(|block| stated(block, "default"))
            }
            ("local", [name]) => {
                blocks.filter(|block| is(block, "locals", &[])).find_map(|block| stated(block, name))
            }
            (kind, [name, attribute]) => {
                let Some(block) = blocks.find(|block| is(block, "resource", &[kind, name])) else {
                    return Variable::Unknown;
                };
                return match (stated(block, attribute), *attribute) {
                    (Some(text), _) => Variable::Is(text),
                    // What it is called when it is made; an address or a number is something else.
                    (None, "name" | "id" | "bucket") => Variable::Named((*name).to_owned()),
                    (None, _) => Variable::Unknown,
                };
            }
            _ => None,
        };
        told.into()
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

/// The folder that an archive is made of.
fn archived(folder: &Folder, path: &str, body: &Body) -> Told<Source> {
    let not = |why: &str| Told::Not { why: format!("{why} in {path}"), such_as: "../src".to_owned() };
    let local = |key: &str| {
        let text = body.get_attribute(key).and_then(|attribute| text(&attribute.value))?;
        resolve(parent(path), &text)
    };
    if let Some(path) = local("source_dir").filter(|path| folder.has_folder(path)) {
        return Told::Is(Source { path, include: Vec::new(), exclude: Vec::new() });
    }
    if let Some(file) = local("source_file").filter(|path| folder.has_file(path)) {
        let name = crate::folder::name_of(&file).to_owned();
        return Told::Is(Source { path: parent(&file).to_owned(), include: vec![name], exclude: Vec::new() });
    }
    not("the archive is of no folder that is written out")
}

fn function(path: &str, id: &str, body: &Body, module: &Module<'_>, reading: &mut Reading) {
    let stated = format!("{id} in {path}");
    let value = |key: &str| body.get_attribute(key).map(|attribute| &attribute.value);
    let told = |key: &str, such_as: &str| match value(key).map(text) {
        Some(Some(text)) => Told::Is(text),
        Some(None) => Told::Not {
            why: format!("{key} in {path} is made when it is deployed"),
            such_as: such_as.to_owned(),
        },
        None => Told::Not { why: format!("{path} has no {key}"), such_as: such_as.to_owned() },
    };
    if value("package_type").and_then(text).as_deref() == Some("Image") {
        return reading.remark(format!(
            "{stated}: an image; write its manifest with: kiln new artifact {id} --kind lambda-image"
        ));
    }
    let runtime = told("runtime", "python3.13");
    if let Some(name) = runtime.value().filter(|name| !name.starts_with("python")) {
        return reading.remark(format!("{stated}: `{name}` is no Python, and was passed over"));
    }
    let Some(name) = reading.named(path, artifact_name(id)) else { return };
    let mut artifact = Artifact::new(name, Kind::Zip, stated);
    artifact.runtime = runtime;
    artifact.handler = told("handler", "app.handler");
    artifact.source = value("filename")
        .and_then(archive_named)
        .and_then(|name| module.archives.get(name).cloned())
        .unwrap_or_else(|| Told::Not {
            why: format!(
                "its archive is of no archive_file in {}",
                if parent(path).is_empty() { "this folder" } else { parent(path) }
            ),
            such_as: "../src".to_owned(),
        });
    let number = |key: &str| value(key)?.as_number()?.as_u64()?.try_into().ok();
    (artifact.timeout, artifact.memory) =
        (number("timeout").or(Some(3)), number("memory_size").or(Some(128)));
    let mut architectures = value("architectures").and_then(|value| value.as_array()).into_iter().flatten();
    if let (Some(one), None) = (architectures.next(), architectures.next())
        && let Some(known) = text(one).as_deref().and_then(architecture)
    {
        (artifact.architecture, artifact.architecture_is_stated) = (known, true);
    }
    let variables =
        body.get_blocks("environment").next().and_then(|block| block.body.get_attribute("variables"));
    for (key, value) in variables.and_then(|variables| variables.value.as_object()).into_iter().flatten() {
        if let Some(name) =
            key.as_ident().map(|ident| ident.as_str().to_owned()).or_else(|| text(key.as_expr()?))
        {
            artifact.env.insert(name, module.variable(value.expr()));
        }
    }
    reading.add(artifact);
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

/// A text in which nothing has a say but the place of the module.
fn text(value: &Expression) -> Option<String> {
    if let Some(text) = value.as_str() {
        return Some(text.to_owned());
    }
    let mut all = String::new();
    for element in value.as_string_template()? {
        match element {
            Element::Literal(literal) => all.push_str(literal),
            Element::Interpolation(interpolation) => {
                let place = interpolation.expr.as_traversal()?;
                let [operator] = place.operators.as_slice() else { return None };
                let TraversalOperator::GetAttr(name) = operator.value() else { return None };
                let is_place = place.expr.as_variable()?.as_str() == "path" && name.as_str() == "module";
                is_place.then(|| all.push('.'))?;
            }
            Element::Directive(_) => return None,
        }
    }
    Some(all)
}
