//! Manifests: what the user states about one artifact. Each section has a file of its own.

mod base;
mod budget;
mod check;
mod dockerfile;
mod environment;
mod handler;
mod image;
mod kind;
mod layers;
mod package;
mod path;
mod python;
mod reproducible;
mod smoke;
mod source;
mod step;
mod target;
mod upstream;

pub use base::BaseChoice;
pub use budget::BudgetSection;
pub use check::CheckSection;
pub use dockerfile::{DockerfileSection, dockerfile_of};
pub use image::{Compression, ImageOutput, ImageSection};
pub use package::{Bytecode, DropRule, PackageSection, Strip};
pub use python::{BUILD_VARIABLES, BuildSection, Installer, LockKind, PythonSection};
pub use reproducible::Reproducible;
pub use smoke::{SmokeEvent, SmokeMatch, SmokeStatus};
use source::SourceTables;
pub use source::{APP_FOLDER, SourceSection};
pub use step::{STEP_SCRATCH, STEP_VARIABLES, StepInput, StepOutput, StepSection, StepSpans};
pub use target::TargetSection;
pub(crate) use target::platform_name;
pub use upstream::{UpstreamSection, artifact_lock_path};

use crate::problem::{Problem, Problems};
use crate::settings::{PolicySection, check_policy};
use crate::spanned::Spanned;
use budget::BudgetTable;
use check::CheckTable;
use dockerfile::DockerfileKey;
use environment::EnvironmentTable;
use image::ImageTable;
use kiln_record::{Architecture, ArtifactKind, ArtifactName, FactChange, Runtime};
use serde::Deserialize;
use smoke::SmokeTable;
use std::sync::Arc;
use step::StepTable;
use target::TargetTable;

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
    /// Whether it is built only where it is named, or where what uses it is built.
    pub on_request: bool,
    /// What it is built and checked in. [`Workspace::base_of`](crate::Workspace::base_of) tells which base
    /// that is.
    pub base: BaseChoice,
    /// What it is for.
    pub target: TargetSection,
    /// `module.attribute`, for functions.
    pub handler: Option<String>,
    /// Layers that the function is used with, in order.
    pub layers: Vec<ArtifactName>,
    /// The artifact's own files: folders of the workspace, in order.
    pub sources: Vec<SourceSection>,
    /// Files that it takes from git repositories, in order.
    pub upstreams: Vec<UpstreamSection>,
    /// Programs that make files of it, in the order of the manifest.
    pub steps: Vec<StepSection>,
    /// Its Python distributions.
    pub python: Option<PythonSection>,
    /// What the checks need.
    pub check: CheckSection,
    /// What it finds in Lambda otherwise than kiln's table says.
    pub environment: Vec<FactChange>,
    /// What it is as a container image, for the kinds that are one.
    pub image: Option<ImageSection>,
    /// What packing leaves out or changes, if the manifest has that section.
    pub package: Option<PackageSection>,
    /// The events it must be able to handle, in order.
    pub smoke: Vec<SmokeEvent>,
    /// The sizes it may have.
    pub budget: BudgetSection,
    /// Levels and exceptions for its findings.
    pub policy: PolicySection,
    /// Where each layer is named, for messages.
    pub layer_spans: Vec<std::ops::Range<usize>>,
}

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct File {
    /// What is built.
    kind: ArtifactKind,
    /// `true`: `--all` leaves it out.
    #[serde(default, rename = "on-request")]
    on_request: bool,
    /// The base that it is checked in, and that an image stands on.
    base: Option<Spanned<String>>,
    /// The Dockerfile that makes an image.
    dockerfile: Option<Spanned<DockerfileKey>>,
    /// The handler of a function: `module.attribute`.
    handler: Option<Spanned<String>>,
    /// The layers of a function, in order: artifacts of this workspace.
    #[serde(default)]
    layers: Vec<Spanned<String>>,
    /// What it is for.
    target: TargetTable,
    /// Files of the workspace: one folder, or several.
    #[serde(default)]
    source: SourceTables,
    /// Files of repositories elsewhere.
    #[serde(default)]
    upstream: Vec<UpstreamSection>,
    /// Programs that make files.
    #[serde(default)]
    step: Vec<StepTable>,
    /// Distributions of a lock.
    python: Option<Spanned<PythonSection>>,
    /// How an image is made and how it runs.
    image: Option<Spanned<ImageTable>>,
    /// What is left out and changed.
    package: Option<PackageSection>,
    /// What the checks need.
    #[serde(default)]
    check: CheckTable,
    /// What it finds in Lambda otherwise than kiln's table says.
    #[serde(default)]
    environment: Vec<EnvironmentTable>,
    /// Events that a function is handed when it is checked.
    #[serde(default)]
    smoke: Vec<SmokeTable>,
    /// The largest that it may be.
    #[serde(default)]
    budget: BudgetTable,
    /// Levels and exceptions for findings, over those of the workspace.
    #[serde(default)]
    policy: PolicySection,
}

impl File {
    /// Refuses a manifest of nothing.
    fn check_content(&self, problems: &mut Problems<'_>) {
        let has_files = self.dockerfile.is_some()
            || !self.source.0.is_empty()
            || !self.upstream.is_empty()
            || !self.step.is_empty();
        if !has_files && self.python.is_none() {
            problems.at_top(
                "there is neither [source], [[upstream]], [[step]] nor [python]: nothing would be in the artifact",
                "add one of them",
            );
        }
    }
}

impl Manifest {
    /// What a manifest may say.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn schema(generator: schemars::SchemaGenerator) -> schemars::Schema {
        generator.into_root_schema_for::<File>()
    }

    /// Reads and checks a manifest on its own; what it refers to is checked with the workspace. `own` are the
    /// targets that the workspace adds to Lambda's runtimes.
    ///
    /// # Errors
    /// All problems that could be found, each pointing at its place.
    pub fn parse(
        name: ArtifactName,
        file: &str,
        text: &Arc<str>,
        own: &[Arc<Runtime>],
    ) -> Result<Self, Vec<Problem>> {
        let parsed: File = Problem::toml_all(file, text)?;
        let mut problems = Problems::new(file, text);
        parsed.check_content(&mut problems);

        let kind = parsed.kind;
        let by_dockerfile = parsed.dockerfile.is_some();
        let has_python = parsed.python.is_some();
        let output = parsed.image.as_ref().map(|image| image.get_ref().output).unwrap_or_default();
        let upstream_lock = (!parsed.upstream.is_empty()).then(|| artifact_lock_path(&name));

        let base = BaseChoice::parse(parsed.base, parsed.dockerfile, kind, has_python, &mut problems);
        let runtime = target::runtime(&parsed.target, kind, own, &mut problems);
        let (architectures, is_index) =
            target::architectures(&parsed.target, kind, &name, output, &mut problems);
        let handler = handler::parse(parsed.handler, kind, runtime.as_deref(), &mut problems);
        let (layers, layer_spans) = layers::parse(&parsed.layers, kind, &mut problems);
        let sources = parsed.source.parse(by_dockerfile, &mut problems);
        let upstreams = upstream::parse(parsed.upstream, &name, &mut problems);
        let taken: Vec<&str> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        let steps = step::parse(parsed.step, &name, &taken, &mut problems);
        let beside = python::Beside {
            kind,
            by_dockerfile,
            runtime: runtime.as_deref(),
            upstream_lock: upstream_lock.as_deref(),
        };
        let python = parsed.python.map(|python| PythonSection::parse(python, &beside, &mut problems));
        let image = ImageSection::parse(parsed.image, kind, by_dockerfile, &mut problems);
        let package = parsed.package.map(|package| package.parse(by_dockerfile, &mut problems));
        let check = CheckSection::parse(parsed.check, &mut problems);
        let environment = environment::parse(&parsed.environment, kind, &mut problems);
        let smoke = smoke::parse(parsed.smoke, kind, &mut problems);
        let budget = BudgetSection::parse(&parsed.budget, kind, &mut problems);
        if let Err(problem) = check_policy(file, &parsed.policy) {
            problems.push(problem);
        }

        let (base, architecture) = problems.or(base.zip(architectures.first().copied()))?;
        Ok(Self {
            name,
            stated_as: None,
            file: file.to_owned(),
            text: Arc::clone(text),
            kind,
            on_request: parsed.on_request,
            base,
            target: TargetSection { runtime, architecture },
            architectures,
            is_index,
            handler,
            layers,
            sources,
            upstreams,
            steps,
            python,
            image,
            package,
            check,
            environment,
            smoke,
            budget,
            policy: parsed.policy,
            layer_spans,
        })
    }
}

impl Manifest {
    /// The Dockerfile that it is built by, if it is.
    #[must_use]
    pub fn dockerfile(&self) -> Option<&DockerfileSection> {
        match &self.base {
            BaseChoice::OfDockerfile(section) => Some(section),
            BaseChoice::Named { .. } => None,
        }
    }

    /// Where the artifact's tree is mounted: what its kind says, and the root for all that a Dockerfile
    /// makes.
    #[must_use]
    pub fn mount(&self) -> &'static str {
        if self.dockerfile().is_some() { "" } else { self.kind.mount() }
    }

    /// The folder of the tree that distributions are installed in; none where that is the tree's root. Lambda
    /// looks for the modules of a layer in `/opt/python`.
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

    /// The folder of the tree that the artifact's own files are in, those of its first source folder if it has several; none
    /// where that is the tree's root.
    #[must_use]
    pub fn source_folder(&self) -> Option<&str> {
        self.own_folder(self.sources.first().and_then(|source| source.into.as_deref()))
    }

    /// The folder of the tree that files go to which no distribution brings; `into` is what the manifest says
    /// of it.
    #[must_use]
    pub fn own_folder<'a>(&'a self, into: Option<&'a str>) -> Option<&'a str> {
        match into {
            Some(".") => None,
            Some(folder) => Some(folder),
            // Of its context.
            None if self.dockerfile().is_some() => None,
            None if self.kind == ArtifactKind::Image => Some(APP_FOLDER),
            None => self.python_folder(),
        }
    }
}
