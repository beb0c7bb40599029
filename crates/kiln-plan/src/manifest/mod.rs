//! Manifests: what the user states about one artifact. Each section has a file of its own.

mod budget;
mod check;
mod dockerfile;
mod image;
mod kind;
mod package;
mod python;
mod reproducible;
mod smoke;
mod source;
mod step;
mod target;
mod upstream;

pub use budget::BudgetSection;
pub use check::CheckSection;
pub use dockerfile::{DockerfileSection, dockerfile_of};
pub use image::{Compression, ImageOutput, ImageSection};
pub use package::{Bytecode, DropRule, PackageSection, Strip};
pub use python::{BUILD_VARIABLES, BuildSection, Installer, LockKind, PythonSection};
pub use reproducible::Reproducible;
pub use smoke::{SmokeEvent, SmokeMatch, SmokeStatus};
pub use source::{APP_FOLDER, SourceSection};
pub use step::{STEP_SCRATCH, STEP_VARIABLES, StepInput, StepOutput, StepSection, StepSpans};
pub(crate) use target::platform_name;
pub use upstream::{UpstreamSection, artifact_lock_path};

use crate::Problem;
use crate::dockerfile::Dockerfile;
use crate::settings::{PolicySection, check_policy};
use crate::size::parse_size;
use crate::workspace_path::in_workspace;
use budget::BudgetTable;
use check::{CheckTable, parse_memory, parse_timeout};
use dockerfile::DockerfileKey;
use image::{ImageTable, image_section};
use kiln_record::{
    Architecture, ArtifactKind, ArtifactName, BaseName, OperatingSystem, Runtime, Target, TreePath, runtimes,
};
use kind::a;
use python::{problems_of_building, problems_of_folder, problems_of_requirements};
use serde::Deserialize;
use smoke::{SmokeTable, smoke_events};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use step::{StepTable, steps};
use target::{TargetTable, architectures};
use toml::Spanned;
use upstream::problems_of_upstreams;

/// A validated manifest.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// The artifact's name: the stem of the file name, with the platform where the manifest is for several.
    pub name: ArtifactName,
    /// The stem of the file name, where this is one platform of several.
    pub stated_as: Option<ArtifactName>,
    /// What the manifest is for, sorted; the target has one of them.
    pub architectures: Vec<Architecture>,
    /// Whether they are an image index together.
    pub is_index: bool,
    /// The file it was read from, relative to the workspace.
    pub file: String,
    /// Its text, for messages that point into it.
    pub text: Arc<str>,
    /// What is built.
    pub kind: ArtifactKind,
    /// The base that it is built and checked in; that of its wanted stage if a Dockerfile builds it.
    pub base: BaseName,
    /// The runtime and architecture it is for.
    pub target: Target,
    /// The runtime's facts. Those of an image are its base's, which are known when that is there: until then this says
    /// nothing but a name.
    pub runtime: Arc<Runtime>,
    /// `module.attribute`, for functions.
    pub handler: Option<String>,
    /// Layers that the function is used with, in order.
    pub layers: Vec<ArtifactName>,
    /// The artifact's own files.
    pub source: Option<SourceSection>,
    /// Files that it takes from git repositories, in order.
    pub upstreams: Vec<UpstreamSection>,
    /// Programs that make files of it, in the order of the manifest.
    pub steps: Vec<StepSection>,
    /// Its Python distributions.
    pub python: Option<PythonSection>,
    /// What the checks need.
    pub check: CheckSection,
    /// What it is as a container image, for the kinds that are one.
    pub image: Option<ImageSection>,
    /// The Dockerfile that it is built by, if it is.
    pub dockerfile: Option<DockerfileSection>,
    /// That file, read; the workspace reads it.
    pub recipe: Option<Arc<Dockerfile>>,
    /// What packing leaves out or changes, if the manifest has that section.
    pub package: Option<PackageSection>,
    /// The events it must be able to handle, in order.
    pub smoke: Vec<SmokeEvent>,
    /// The sizes it may have.
    pub budget: BudgetSection,
    /// Levels and exceptions for its findings.
    pub policy: PolicySection,
    /// Where the base is named, for messages.
    pub base_span: std::ops::Range<usize>,
    /// Where each layer is named, for messages.
    pub layer_spans: Vec<std::ops::Range<usize>>,
}

/// What stands for the base until the Dockerfile that names it is read.
const PENDING: &str = "dockerfile";
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    kind: ArtifactKind,
    base: Option<Spanned<String>>,
    dockerfile: Option<Spanned<DockerfileKey>>,
    handler: Option<Spanned<String>>,
    #[serde(default)]
    layers: Vec<Spanned<String>>,
    target: TargetTable,
    source: Option<SourceSection>,
    #[serde(default)]
    upstream: Vec<UpstreamSection>,
    #[serde(default)]
    step: Vec<StepTable>,
    python: Option<Spanned<PythonSection>>,
    image: Option<Spanned<ImageTable>>,
    package: Option<PackageSection>,
    #[serde(default)]
    check: CheckTable,
    #[serde(default)]
    smoke: Vec<SmokeTable>,
    #[serde(default)]
    budget: BudgetTable,
    #[serde(default)]
    policy: PolicySection,
}

impl Manifest {
    /// Reads and checks a manifest on its own; what it refers to is checked with the workspace. `own` are the targets that
    /// the workspace adds to Lambda's runtimes.
    ///
    /// # Errors
    /// All problems that could be found, each pointing at its place.
    pub fn parse(
        name: ArtifactName,
        file: &str,
        text: &Arc<str>,
        own: &[Arc<Runtime>],
    ) -> Result<Self, Vec<Problem>> {
        let parsed: File = Problem::toml(file, text).map_err(|problem| vec![problem])?;
        let mut problems = Vec::new();
        let mut problem = |span: std::ops::Range<usize>, message: String, help: &str| {
            problems.push(Problem::in_file(file, message).at(text, span).help(help));
        };

        let dockerfile_span = parsed.dockerfile.as_ref().map(Spanned::span).unwrap_or_default();
        let by_dockerfile = parsed.dockerfile.is_some();
        let dockerfile = parsed.dockerfile.and_then(|key| {
            key.into_inner()
                .section(parsed.kind, &mut |message, help| problem(dockerfile_span.clone(), message, help))
        });
        let base_span = parsed.base.as_ref().map(Spanned::span).unwrap_or_default();
        let base = match (&parsed.base, by_dockerfile) {
            (Some(stated), true) => {
                let message = "`base` is given, but the Dockerfile says what it starts from".to_owned();
                problem(
                    stated.span(),
                    message,
                    "remove it; under [dockerfile], `bases` says which base stands for an image",
                );
                None
            }
            // Until the file is read.
            (None, true) => PENDING.parse::<BaseName>().ok(),
            (None, false) => {
                problem(
                    0..0,
                    "`base` is missing".to_owned(),
                    "name a file of images/ without its ending: base = \"python-3.13\"",
                );
                None
            }
            (Some(stated), false) => match stated.get_ref().parse::<BaseName>() {
                Ok(base) => Some(base),
                Err(error) => {
                    problem(
                        base_span.clone(),
                        error.to_string(),
                        "name a file of images/ without its ending",
                    );
                    None
                }
            },
        };

        let runtime = match (&parsed.target.runtime, parsed.kind.is_image()) {
            (Some(stated), true) => {
                problem(
                    stated.span(),
                    format!(
                        "`target.runtime` has no meaning for {}: it has its base's system inside",
                        a(parsed.kind)
                    ),
                    "remove it; `architecture` is all that the target of an image says",
                );
                None
            }
            (None, true) => {
                Some(unknown_runtime(parsed.base.as_ref().map_or(PENDING, |base| base.get_ref().as_str())))
            }
            (None, false) => {
                problem(
                    0..0,
                    format!("`target.runtime` is missing: {} is for a Lambda runtime", a(parsed.kind)),
                    "add, for example, runtime = \"python3.13\" under [target]",
                );
                None
            }
            (Some(stated), false) => {
                let name = stated.get_ref();
                let found = own.iter().find(|runtime| runtime.name == *name).or_else(|| Runtime::named(name));
                if found.is_none() {
                    let known: Vec<&str> =
                        runtimes().iter().chain(own).map(|runtime| runtime.name.as_str()).collect();
                    problem(
                        stated.span(),
                        format!("`{name}` is not a Lambda runtime that kiln knows"),
                        &format!(
                            "use one of: {}; or describe it in kiln.toml with [[runtime]]",
                            known.join(", ")
                        ),
                    );
                }
                found.cloned()
            }
        };

        let output = parsed.image.as_ref().map(|image| image.get_ref().output).unwrap_or_default();
        let (architectures, is_index) =
            architectures(parsed.kind, &name, &parsed.target, output, &mut problem);

        let handler = parsed.handler.as_ref();
        match (parsed.kind, handler) {
            (kind, None) if kind.is_function() => {
                problem(0..0, format!("{} needs a handler", a(kind)), "add handler = \"module.function\"")
            }
            (ArtifactKind::LambdaLayer, Some(handler)) => problem(
                handler.span(),
                "a lambda-layer has no handler".to_owned(),
                "remove it, or make this a lambda-zip",
            ),
            (ArtifactKind::Image, Some(handler)) => problem(
                handler.span(),
                "an image has no handler".to_owned(),
                "remove it and say under [image] what starts the service, or make this a lambda-image",
            ),
            (_, Some(handler)) if !is_handler(handler.get_ref()) => problem(
                handler.span(),
                format!("`{}` is not a handler", handler.get_ref()),
                "write module.function; everything before the last dot is the module",
            ),
            _ => {}
        }

        let mut layers = Vec::new();
        let mut layer_spans = Vec::new();
        for layer in &parsed.layers {
            match layer.get_ref().parse::<ArtifactName>() {
                Ok(name) => {
                    layers.push(name);
                    layer_spans.push(layer.span());
                }
                Err(error) => {
                    problem(layer.span(), error.to_string(), "name another manifest without its ending")
                }
            }
        }
        if parsed.kind == ArtifactKind::LambdaLayer && !layers.is_empty() {
            problem(layer_spans[0].clone(), "a layer cannot use layers".to_owned(), "remove `layers`");
        }
        if parsed.kind.is_image()
            && let Some(span) = layer_spans.first()
        {
            problem(
                span.clone(),
                format!("{} cannot use layers: Lambda gives them to zips only", a(parsed.kind)),
                "remove `layers`, and lock what they hold",
            );
        }
        if layers.len() > 5 {
            problem(
                layer_spans[5].clone(),
                format!("{} layers are named; Lambda takes five", layers.len()),
                "merge some of them",
            );
        }
        let has_files = by_dockerfile
            || parsed.source.is_some()
            || !parsed.upstream.is_empty()
            || !parsed.step.is_empty();
        if !has_files && parsed.python.is_none() {
            problem(
                0..0,
                "there is neither [source], [[upstream]], [[step]] nor [python]: nothing would be in the artifact"
                    .to_owned(),
                "add one of them",
            );
        }
        if let (Some(python), Some(runtime)) = (&parsed.python, &runtime)
            && runtime.python.is_none()
            && !parsed.kind.is_image()
        {
            problem(
                python.span(),
                format!("the runtime `{}` has no Python, but there is a [python] section", runtime.name),
                "name a python runtime, or remove the section",
            );
        }
        let mut size = |text: Option<&Spanned<String>>| {
            let text = text?;
            match parse_size(text.get_ref()) {
                Ok(size) => Some(size),
                Err(message) => {
                    problem(text.span(), message, "for example zip = \"6 MB\"");
                    None
                }
            }
        };
        let budget = BudgetSection {
            zip: size(parsed.budget.zip.as_ref()),
            unpacked: size(parsed.budget.unpacked.as_ref()),
            image: size(parsed.budget.image.as_ref()),
        };
        let foreign = if parsed.kind.is_image() { &parsed.budget.zip } else { &parsed.budget.image };
        if let Some(foreign) = foreign {
            problem(
                foreign.span(),
                format!("{} has no such size", a(parsed.kind)),
                "`zip` is the size of a zip, `image` that of all layers of an image",
            );
        }
        let mut amount =
            |text: Option<&Spanned<String>>, read: fn(&str) -> Result<u32, String>, help: &str| {
                let text = text?;
                read(text.get_ref()).map_err(|message| problem(text.span(), message, help)).ok()
            };
        let check = CheckSection {
            timeout: amount(parsed.check.timeout.as_ref(), parse_timeout, "for example timeout = \"10 s\""),
            memory: amount(parsed.check.memory.as_ref(), parse_memory, "for example memory = \"256 MB\""),
            env: parsed.check.env,
            modules: parsed.check.modules,
            skip: parsed.check.skip,
        };
        if by_dockerfile {
            if dockerfile.as_ref().is_some_and(|section| section.wheels.is_some()) && parsed.python.is_none()
            {
                problem(
                    dockerfile_span.clone(),
                    "`wheels` under [dockerfile] has no meaning without a [python] section".to_owned(),
                    "add [python] with the `lock` whose wheels are meant",
                );
            }
            problems_of_sections(
                &parsed.source,
                parsed.package.is_some(),
                parsed.python.as_ref(),
                &mut problem,
            );
        }
        let mut source = parsed.source;
        let mut python = parsed.python.map(Spanned::into_inner);
        let paths = source.iter_mut().map(|source| &mut source.path);
        if let Some(python) = &python {
            problems_of_requirements(python, &mut problem);
            problems_of_building(python, &mut problem);
            problems_of_folder(parsed.kind, python, &mut problem);
        }
        let files = python.iter_mut().flat_map(|python| {
            let own = std::iter::once(&mut python.lock).chain(&mut python.project);
            own.chain(&mut python.requirements).chain(python.build.iter_mut().flat_map(BuildSection::paths))
        });
        for path in paths.chain(files) {
            match in_workspace("manifests", path) {
                Ok(inside) => *path = inside,
                Err(message) => problem(
                    0..0,
                    message,
                    "write a path relative to the manifest's folder, inside the workspace",
                ),
            }
        }
        problems_of_upstreams(&name, &parsed.upstream, &mut |message, help| problem(0..0, message, help));
        if let Some(python) = python.as_ref().filter(|_| !parsed.upstream.is_empty())
            && python.lock == artifact_lock_path(&name)
        {
            problem(
                0..0,
                format!("`python.lock` is {}, where the lock of the upstream sources is", python.lock),
                "give the dependency lock another name",
            );
        }
        for name in check.env.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                problem(
                    0..0,
                    format!("`check.env` has the variable `{}`, which cannot be set", name.escape_debug()),
                    "a name is not empty and has no `=`",
                );
            }
        }
        if parsed.layers.iter().map(Spanned::get_ref).collect::<BTreeSet<_>>().len() < parsed.layers.len() {
            problem(parsed.layers[0].span(), "a layer is named twice".to_owned(), "name each layer once");
        }
        for glob in source.iter().flat_map(|source| source.include.iter().chain(&source.exclude)) {
            if let Err(error) = globset::Glob::new(glob) {
                problem(
                    0..0,
                    format!("`{glob}` is not a glob: {}", error.kind()),
                    "see docs/manifests.md for the patterns",
                );
            }
        }
        if let Some(into) = source.as_ref().and_then(|source| source.into.as_deref())
            && into != "."
            && let Err(error) = TreePath::new(into)
        {
            problem(
                0..0,
                format!("`source.into`: {error}"),
                "name a folder of the artifact, such as \"lib\" or \"bin\", or \".\" for its root",
            );
        }
        let taken: Vec<&str> = parsed.upstream.iter().map(|upstream| upstream.name.as_str()).collect();
        let steps = steps(file, text, &name, &taken, parsed.step, &mut problems);
        let smoke = smoke_events(file, text, parsed.kind, parsed.smoke, &mut problems);
        let image = match (parsed.kind.is_image(), parsed.image) {
            (true, table) => {
                Some(image_section(file, text, parsed.kind, by_dockerfile, table, &mut problems))
            }
            (false, None) => None,
            (false, Some(table)) => {
                let message = format!("{} has no [image] section", a(parsed.kind));
                let help = "remove it, or make this a lambda-image";
                problems.push(Problem::in_file(file, message).at(text, table.span()).help(help));
                None
            }
        };
        if let Err(error) = check_policy(file, &parsed.policy) {
            problems.push(error);
        }
        problems.extend(parsed.package.iter().flat_map(|package| package.problems(file)));

        match (base, runtime, architectures.first(), problems.is_empty()) {
            (Some(base), Some(runtime), Some(architecture), true) => Ok(Self {
                name,
                stated_as: None,
                file: file.to_owned(),
                text: Arc::clone(text),
                kind: parsed.kind,
                base,
                target: Target { runtime: runtime.name.clone(), architecture: *architecture },
                architectures,
                is_index,
                runtime,
                handler: parsed.handler.map(Spanned::into_inner),
                layers,
                source,
                upstreams: parsed.upstream,
                steps,
                python,
                image,
                dockerfile,
                recipe: None,
                package: parsed.package,
                check,
                smoke,
                budget,
                policy: parsed.policy,
                base_span,
                layer_spans,
            }),
            _ => Err(problems),
        }
    }
}

impl Manifest {
    /// Takes the Dockerfile that it names, read: with it the base is known.
    pub(crate) fn take_recipe(&mut self, recipe: Dockerfile) {
        self.base = recipe.base.clone();
        self.target.runtime = recipe.base.to_string();
        self.runtime = unknown_runtime(recipe.base.as_str());
        self.recipe = Some(Arc::new(recipe));
    }

    /// Where the artifact's tree is mounted: what its kind says, and the root for all that a Dockerfile makes.
    #[must_use]
    pub fn mount(&self) -> &'static str {
        if self.dockerfile.is_some() { "" } else { self.kind.mount() }
    }

    /// The folder of the tree that distributions are installed in; none where that is the tree's root. Lambda looks for the
    /// modules of a layer in `/opt/python`.
    #[must_use]
    pub fn python_folder(&self) -> Option<&str> {
        match self.kind {
            ArtifactKind::LambdaZip | ArtifactKind::LambdaImage => None,
            ArtifactKind::LambdaLayer => Some("python"),
            ArtifactKind::Image => {
                let into = self.python.as_ref().and_then(|python| python.into.as_deref());
                Some(into.unwrap_or(APP_FOLDER))
            }
        }
    }

    /// The folder of the tree that the artifact's own files are in; none where that is the tree's root.
    #[must_use]
    pub fn source_folder(&self) -> Option<&str> {
        self.own_folder(self.source.as_ref().and_then(|source| source.into.as_deref()))
    }

    /// The folder of the tree that files go to which no distribution brings; `into` is what the manifest says of it.
    #[must_use]
    pub fn own_folder<'a>(&'a self, into: Option<&'a str>) -> Option<&'a str> {
        match into {
            Some(".") => None,
            Some(folder) => Some(folder),
            // Of its context.
            None if self.dockerfile.is_some() => None,
            None if self.kind == ArtifactKind::Image => Some(APP_FOLDER),
            None => self.python_folder(),
        }
    }
}

/// What stands for the runtime of an image until its base was looked at.
fn unknown_runtime(base: &str) -> Arc<Runtime> {
    Arc::new(Runtime {
        name: base.to_owned(),
        system: OperatingSystem {
            name: format!("the base {base}"),
            glibc: (0, 0),
            interfaces: BTreeMap::new(),
            libraries: Vec::new(),
            loaders: Vec::new(),
        },
        python: None,
        provides: Vec::new(),
    })
}

/// Sections that have no meaning where a Dockerfile says what is in the image.
fn problems_of_sections(
    source: &Option<SourceSection>,
    has_package: bool,
    python: Option<&Spanned<PythonSection>>,
    problem: &mut impl FnMut(std::ops::Range<usize>, String, &str),
) {
    if source.is_some() {
        problem(
            0..0,
            "there is a [source] section, but the Dockerfile copies what it wants from its context"
                .to_owned(),
            "remove the section; name the folder with `context` under [dockerfile]",
        );
    }
    if has_package {
        problem(
            0..0,
            "there is a [package] section, but the Dockerfile says what is in the image".to_owned(),
            "remove the section, and what it left out in the Dockerfile",
        );
    }
    let Some(python) = python else { return };
    let section = python.get_ref();
    for (key, given) in [
        ("into", section.into.is_some()),
        ("install", section.install != Installer::Kiln),
        ("sdists", !section.sdists.is_empty()),
    ] {
        if given {
            problem(
                python.span(),
                format!("`python.{key}` is given, but the Dockerfile installs the distributions"),
                "remove it: kiln compares what is installed with the lock, and gives the wheels (`wheels` under [dockerfile])",
            );
        }
    }
}

/// A module path with dots or slashes, a dot, an attribute.
fn is_handler(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && part.chars().all(|c| c == '_' || c.is_alphanumeric())
            && !part.starts_with(|c: char| c.is_ascii_digit())
    };
    text.rsplit_once('.')
        .is_some_and(|(module, attribute)| part(attribute) && module.split(['.', '/']).all(part))
}
