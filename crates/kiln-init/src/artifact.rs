//! What a project states about one artifact.

use kiln_record::{Architecture, ArtifactName};
use std::collections::BTreeMap;

/// What something is, or why no file tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told<T> {
    /// It is this.
    Is(T),
    /// It is not told: why, and what could stand there.
    Not {
        /// Why, as a clause.
        why: String,
        /// What the line would say, such as `python3.13`.
        such_as: String,
    },
}

impl<T> Told<T> {
    /// The value, if it is told.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Not { .. } => None,
        }
    }
}

/// What an environment variable is when the function is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// This, as it is written out.
    Is(String),
    /// What a resource of the template is called when it is made. It has this name in the template, which is what `sam local`
    /// gives to the function.
    Named(String),
    /// What a file with values of a deployment gives, which may be a secret: where it is given, as a clause.
    Given(String),
    /// What no file tells.
    Unknown,
}

impl From<Option<String>> for Variable {
    fn from(value: Option<String>) -> Self {
        value.map_or(Self::Unknown, Self::Is)
    }
}

/// The kind of an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A function as a zip.
    Zip,
    /// A layer.
    Layer,
    /// A function as a container image.
    LambdaImage,
    /// Another service as a container image.
    Image,
}

impl Kind {
    /// The value of `kind` in a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zip => "lambda-zip",
            Self::Layer => "lambda-layer",
            Self::LambdaImage => "lambda-image",
            Self::Image => "image",
        }
    }

    /// Whether it has a handler.
    #[must_use]
    pub fn is_function(self) -> bool {
        matches!(self, Self::Zip | Self::LambdaImage)
    }
}

/// A folder of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The folder, relative to the workspace; empty for the workspace itself.
    pub path: String,
    /// Patterns of what is taken; everything if there are none.
    pub include: Vec<String>,
    /// Patterns of what is left out.
    pub exclude: Vec<String>,
}

/// The lock of an artifact's distributions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// The lock, relative to the workspace.
    pub path: String,
    /// What kiln is to make it from, relative to the workspace.
    pub requirements: Option<String>,
    /// The project file, where it is not beside the lock.
    pub project: Option<String>,
}

/// An artifact as the project's files state it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its name.
    pub name: ArtifactName,
    /// Who states it, as a clause: `OrdersFunction in template.yaml`.
    pub stated_by: String,
    /// What it is.
    pub kind: Kind,
    /// `module.attribute`; of a function only.
    pub handler: Told<String>,
    /// Lambda's name of the runtime.
    pub runtime: Told<String>,
    /// The machine; nothing where no file states one, which is Lambda's default.
    pub architecture: Option<Told<Architecture>>,
    /// Its code.
    pub source: Told<Source>,
    /// Its distributions, if it has any.
    pub lock: Option<Lock>,
    /// The Dockerfile that makes it, relative to the workspace, with the folder that it copies from.
    pub dockerfile: Option<(String, String)>,
    /// Which base stands for an image that the Dockerfile names.
    pub bases: BTreeMap<String, String>,
    /// The layers that it is deployed with, by their names here.
    pub layers: Vec<ArtifactName>,
    /// The layers that it is deployed with and that have no code here, each as a clause with its file and line.
    pub untold_layers: Vec<String>,
    /// Seconds.
    pub timeout: Option<u32>,
    /// Megabytes, as Lambda counts them.
    pub memory: Option<u32>,
    /// Environment variables.
    pub env: BTreeMap<String, Variable>,
    /// Where the values of keys are from that a file states by another name, by key: `the default of var.arch in main.tf`.
    pub origins: BTreeMap<&'static str, String>,
    /// Where the project states keys of the manifest, by key: `target.runtime` at `template.yaml:12`.
    pub places: BTreeMap<String, String>,
}

impl Artifact {
    /// One of which nothing is known yet.
    #[must_use]
    pub fn new(name: ArtifactName, kind: Kind, stated_by: String) -> Self {
        Self {
            name,
            stated_by,
            kind,
            handler: Told::Not { why: "no file tells it".to_owned(), such_as: "app.handler".to_owned() },
            runtime: Told::Not { why: "no file tells it".to_owned(), such_as: "python3.13".to_owned() },
            architecture: None,
            source: Told::Not { why: "no file tells it".to_owned(), such_as: "../src".to_owned() },
            lock: None,
            dockerfile: None,
            bases: BTreeMap::new(),
            layers: Vec::new(),
            untold_layers: Vec::new(),
            timeout: None,
            memory: None,
            env: BTreeMap::new(),
            origins: BTreeMap::new(),
            places: BTreeMap::new(),
        }
    }

    /// The machine, Lambda's default where none is stated; nothing where one is stated and not told.
    #[must_use]
    pub fn machine(&self) -> Option<Architecture> {
        self.architecture.as_ref().map_or(Some(Architecture::Amd64), |told| told.value().copied())
    }
}
