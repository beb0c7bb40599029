//! The `[python]` section: which lock, what of it, and who installs it.

mod build;
mod lock_kind;

pub use build::{BUILD_VARIABLES, BuildSection};
pub use lock_kind::LockKind;

use super::kind::a;
use super::path::beside_manifest;
use crate::problem::Problems;
use crate::spanned::Spanned;
use kiln_record::{ArtifactKind, DistributionName, Runtime, TreePath, excerpt};
use serde::{Deserialize, Serialize};

/// The `[python]` section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PythonSection {
    /// The lock, in one of the formats of [`LockKind`]. Once read, relative to the workspace, as is
    /// `project`.
    pub lock: String,
    /// The project file, for locks that have one; `pyproject.toml` beside the lock if absent.
    pub project: Option<String>,
    /// What `kiln lock` makes the lock from: a requirements file without hashes, or a `pyproject.toml`. Once
    /// read, relative to the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<String>,
    /// Dependency groups to install besides the main one.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Extras of the project to install.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<String>,
    /// Whether the project that the lock belongs to is installed like any other, with its metadata. Otherwise it is left
    /// out: its code is the artifact's own source.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub install_project: bool,
    /// Distributions to leave out.
    #[serde(default)]
    pub exclude: Vec<DistributionName>,
    /// Distributions to leave out because the Lambda runtime has them.
    #[serde(default)]
    pub from_runtime: Vec<DistributionName>,
    /// Distributions that may be built from their source distributions, where no wheel fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sdists: Vec<DistributionName>,
    /// What they are built with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildSection>,
    /// Who installs the wheels.
    #[serde(default, skip_serializing_if = "Installer::is_kiln")]
    pub install: Installer,
    /// The folder of an image that distributions are installed in; [`APP_FOLDER`](crate::APP_FOLDER) if
    /// absent. Of kind `image` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

/// Who installs wheels. Both give the same tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Installer {
    /// kiln itself.
    #[default]
    Kiln,
    /// The base's own pip. Its tree, under the documented rules, must be the one that kiln expects.
    Pip,
}

impl Installer {
    fn is_kiln(&self) -> bool {
        *self == Self::Kiln
    }
}

impl PythonSection {
    /// The format of the lock.
    #[must_use]
    pub fn lock_kind(&self) -> LockKind {
        LockKind::of(&self.lock)
    }

    /// The lock of build requirements, if source distributions may be built and it is named.
    #[must_use]
    pub fn build_lock(&self) -> Option<&str> {
        if self.sdists.is_empty() { None } else { self.build.as_ref()?.lock.as_deref() }
    }

    /// What the lock of build requirements is made from, if source distributions may be built and it is
    /// named.
    #[must_use]
    pub fn build_requirements(&self) -> Option<&str> {
        self.build_lock().and(self.build.as_ref()?.requirements.as_deref())
    }

    /// Whether `requirements` is a project file, and not a list of requirements.
    #[must_use]
    pub fn requirements_are_project(&self) -> bool {
        self.requirements.as_ref().is_some_and(|path| path.ends_with(".toml"))
    }

    /// The project file, relative to the workspace, for a lock that has one: what it was made from.
    #[must_use]
    pub fn project_path(&self) -> Option<String> {
        let beside = match self.lock_kind() {
            LockKind::Poetry | LockKind::Uv => "pyproject.toml",
            LockKind::Pipfile => "Pipfile",
            LockKind::Requirements => return self.requirements.clone(),
            LockKind::Pylock => return None,
        };
        Some(self.project.clone().unwrap_or_else(|| match self.lock.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{beside}"),
            None => beside.to_owned(),
        }))
    }
}

/// What else a manifest says that decides what the section may say.
pub(super) struct Beside<'a> {
    pub(super) kind: ArtifactKind,
    pub(super) by_dockerfile: bool,
    /// The runtime that is stated.
    pub(super) runtime: Option<&'a Runtime>,
    /// Where the lock of the upstream sources is, if there are any.
    pub(super) upstream_lock: Option<&'a str>,
}

impl PythonSection {
    /// Checks the section, and makes its paths relative to the workspace.
    pub(super) fn parse(section: Spanned<Self>, beside: &Beside<'_>, problems: &mut Problems<'_>) -> Self {
        let span = section.span();
        let mut python = section.into_inner();
        if let Some(runtime) = beside.runtime.filter(|runtime| runtime.python.is_none()) {
            problems.at(
                span.clone(),
                format!("the runtime `{}` has no Python, but there is a [python] section", runtime.name),
                "name a python runtime, or remove the section",
            );
        }
        if beside.by_dockerfile {
            for key in python.keys_about_installing() {
                problems.at(
                    span.clone(),
                    format!("`python.{key}` is given, but the Dockerfile installs the distributions"),
                    "remove it: kiln compares what is installed with the lock, and gives the wheels (`wheels` under [dockerfile])",
                );
            }
        }
        problems_of_requirements(&python, problems);
        problems_of_building(&python, problems);
        problems_of_folder(beside.kind, &python, problems);
        let own = std::iter::once(&mut python.lock).chain(&mut python.project);
        let build = python.build.iter_mut().flat_map(BuildSection::paths);
        for path in own.chain(&mut python.requirements).chain(build) {
            if let Some(inside) = beside_manifest(path, 0..0, problems) {
                *path = inside;
            }
        }
        if beside.upstream_lock == Some(&*python.lock) {
            problems.at_top(
                format!("`python.lock` is {}, where the lock of the upstream sources is", python.lock),
                "give the dependency lock another name",
            );
        }
        python
    }

    /// The keys that are there and say how the distributions are installed.
    fn keys_about_installing(&self) -> impl Iterator<Item = &'static str> {
        let given = [
            ("into", self.into.is_some()),
            ("install", self.install != Installer::Kiln),
            ("sdists", !self.sdists.is_empty()),
            ("install-project", self.install_project),
        ];
        given.into_iter().filter_map(|(key, given)| given.then_some(key))
    }
}

/// What is wrong with the place of an image's distributions.
fn problems_of_folder(kind: ArtifactKind, python: &PythonSection, problems: &mut Problems<'_>) {
    let Some(into) = &python.into else { return };
    if kind != ArtifactKind::Image {
        problems.at_top(
            format!("`python.into` is given, but Lambda says where distributions are in {}", a(kind)),
            "remove it",
        );
    } else if let Err(error) = TreePath::new(into) {
        problems.at_top(
            format!("`python.into`: {error}"),
            "name a folder of the image without the slash in front, such as \"opt/service\"",
        );
    }
}

/// What is wrong with the keys about locking, whatever the files say.
fn problems_of_requirements(python: &PythonSection, problems: &mut Problems<'_>) {
    let names = [("group", &python.groups), ("extra", &python.extras)];
    for (what, name) in names.into_iter().flat_map(|(what, names)| names.iter().map(move |name| (what, name)))
    {
        if name.parse::<DistributionName>().is_err() {
            problems.at_top(
                format!("`{}` is not the name of a {what}", excerpt(name)),
                "a name has letters, digits, `-`, `_` and `.`",
            );
        }
    }
    let Some(requirements) = &python.requirements else { return };
    if python.lock_kind() != LockKind::Requirements {
        problems.at_top(
            format!("`python.requirements` is there, but {} is the lock of another tool", python.lock),
            "remove `requirements`, or name a lock for kiln to write, such as lock = \"app/requirements.lock.txt\"",
        );
    }
    if *requirements == python.lock {
        problems.at_top(
            format!("`python.lock` and `python.requirements` are both {requirements}"),
            "keep what you want in one file, such as requirements.in, and let kiln write the other",
        );
    }
    let chooses = !python.groups.is_empty() || !python.extras.is_empty();
    if chooses && !python.requirements_are_project() {
        problems.at_top(
            format!("{requirements} is a list of requirements, which has no groups and extras"),
            "remove `groups` and `extras`, or name a pyproject.toml",
        );
    }
}

/// What is wrong with the keys about building, whatever the files say.
fn problems_of_building(python: &PythonSection, problems: &mut Problems<'_>) {
    for (index, name) in python.sdists.iter().enumerate() {
        if python.sdists[..index].contains(name) {
            problems.at_top(format!("`python.sdists` names {name} twice"), "name each distribution once");
        }
        if python.exclude.contains(name) || python.from_runtime.contains(name) {
            problems.at_top(
                format!("`python.sdists` lets {name} be built, but it is also left out"),
                "keep it in one of `sdists`, `exclude` and `from-runtime`",
            );
        }
    }
    if let Some(build) = &python.build {
        build.problems(&python.lock, python.sdists.is_empty(), problems);
    }
}
