//! Components: what an artifact is made of, and which bytes each part accounts for.

use crate::{Archive, Digest, LicenseTexts, TreePath, license_expression};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// Where a component comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Ecosystem {
    /// The artifact's own code.
    Application,
    /// A Python distribution, installed from a wheel.
    Python,
    /// A Debian binary package.
    Debian,
    /// A binary package of rpm, as Amazon Linux has them.
    Rpm,
    /// A native library that a wheel carries inside (`*.libs`, or an ELF file beside its modules).
    Native,
}

impl Ecosystem {
    /// Every ecosystem.
    pub const ALL: &'static [Self] =
        &[Self::Application, Self::Python, Self::Debian, Self::Rpm, Self::Native];

    /// Whether its components are packages of an operating system.
    #[must_use]
    pub fn is_of_system(self) -> bool {
        matches!(self, Self::Debian | Self::Rpm)
    }

    /// The name in ids and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Python => "python",
            Self::Debian => "debian",
            Self::Rpm => "rpm",
            Self::Native => "native",
        }
    }
}

/// What identifies a component within one artifact: `python/pydantic`, `application/dashboard`,
/// `native/numpy/libgfortran-040039e1.so.5.0.0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentId {
    // First, so that ids are in the order of their texts.
    text: String,
    ecosystem: Ecosystem,
}

/// A text that is not the id of a component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a component: an ecosystem, a slash and a name")]
pub struct ComponentIdError(pub String);

impl ComponentId {
    /// Names a component of an ecosystem.
    #[must_use]
    pub fn new(ecosystem: Ecosystem, name: &str) -> Self {
        Self { text: format!("{}/{name}", ecosystem.as_str()), ecosystem }
    }

    /// The ecosystem that it belongs to.
    #[must_use]
    pub fn ecosystem(&self) -> Ecosystem {
        self.ecosystem
    }

    /// Its name within the ecosystem: what follows the first slash.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.text[self.ecosystem.as_str().len() + 1..]
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for ComponentId {
    type Err = ComponentIdError;

    fn from_str(text: &str) -> Result<Self, ComponentIdError> {
        let ecosystem = text
            .split_once('/')
            .and_then(|(ecosystem, _)| Ecosystem::ALL.iter().find(|known| known.as_str() == ecosystem));
        match ecosystem {
            Some(ecosystem) => Ok(Self { text: text.to_owned(), ecosystem: *ecosystem }),
            None => Err(ComponentIdError(text.to_owned())),
        }
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for ComponentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ComponentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One part of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Component {
    /// Its identity in this artifact.
    pub id: ComponentId,
    /// Where it comes from.
    pub ecosystem: Ecosystem,
    /// The name by its ecosystem's rules (PEP 503 for Python).
    pub name: String,
    /// The version, if it has one; the application of a workspace has none.
    pub version: Option<String>,
    /// Unpacked bytes of the files it owns.
    pub bytes: u64,
    /// Number of entries it owns.
    pub files: u64,
    /// The file it was taken from (a wheel, a `.deb`).
    pub origin: Option<Origin>,
    /// SHA-512 of its one file, in lower-case hexadecimal. Absent where it was taken from an archive, owns more than a file, and in
    /// older records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_sha512: Option<String>,
    /// What its system's database says of it beyond name and version, for a package of an operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<SystemPackage>,
    /// The repository that it was taken from, for an upstream source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Upstream>,
    /// What that file was built from, if it was not downloaded but made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_from: Option<BuiltFrom>,
    /// The step that made it, for files that one made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<MadeBy>,
    /// What it says about itself.
    pub metadata: Metadata,
    /// Components of this artifact that it requires, by id, as its metadata says for the target environment.
    pub requires: BTreeSet<ComponentId>,
    /// The component that carries this one inside, for native libraries in a wheel.
    pub within: Option<ComponentId>,
    /// Whether the base of an image brings it, so that its files are beneath the artifact's tree and not in it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub from_base: bool,
    /// Parts that its own bills of materials (PEP 770) say are inside it: its publisher's word, not established by kiln.
    /// Of what a step made, the crates that it was made with. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub embedded: Vec<Embedded>,
    /// Bills of materials of its own that could not be read, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unread_sboms: BTreeMap<TreePath, String>,
    /// The files in which it brings the text of its licence, relative to the installation folder: each with the licence of SPDX's
    /// list whose text it is, if it is that of one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub license_files: BTreeMap<TreePath, Option<String>>,
}

impl Component {
    /// What its licence texts tell, beside what it declares.
    #[must_use]
    pub fn license_texts(&self) -> LicenseTexts {
        LicenseTexts::new(self.metadata.declared_license().as_deref(), self.license_files.values())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A part that a component's own bill of materials says is inside it: a crate linked into an extension module, a C
/// library. Or a crate that a step was given, by its lock.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Embedded {
    /// Its name, with its group in front (`group/name`) where it has one.
    pub name: String,
    /// Its version, if stated.
    pub version: Option<String>,
    /// Its package URL, if stated and valid.
    pub purl: Option<String>,
    /// The SHA-256 of what was taken in, if stated.
    pub sha256: Option<Digest>,
    /// The SHA-512 of the same, in lower-case hexadecimal, if stated or taken from the archive itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha512: Option<String>,
    /// The bill of materials that says so, relative to the installation folder; or the lock, relative to the workspace.
    pub stated_in: TreePath,
    /// Its licence, if stated: an SPDX expression, or a name in the publisher's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Who made it, if stated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Whether it is said to be at work where the component runs; absent where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<EmbeddedScope>,
    /// Parts of the same component that it needs, by what identifies them ([`Embedded::identity`]).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub requires: BTreeSet<String>,
    /// The archive that it is distributed as, if kiln knows it from elsewhere than from what states the part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
}

impl Embedded {
    /// A part of which only this is known.
    #[must_use]
    pub fn named(name: String, stated_in: TreePath) -> Self {
        Self {
            name,
            version: None,
            purl: None,
            sha256: None,
            sha512: None,
            stated_in,
            license: None,
            author: None,
            scope: None,
            requires: BTreeSet::new(),
            archive: None,
        }
    }

    /// What identifies a part among those of one component: its package URL, else name and version.
    #[must_use]
    pub fn identity(&self) -> String {
        match (&self.purl, &self.version) {
            (Some(purl), _) => purl.clone(),
            (None, Some(version)) => format!("{}@{version}", self.name),
            (None, None) => self.name.clone(),
        }
    }
}

/// Whether a part is at work where its component runs (CycloneDX, `component.scope`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EmbeddedScope {
    /// It is.
    Required,
    /// It may be.
    Optional,
    /// It took part in making the component and is not in it, or only where tests or documents are.
    Excluded,
}

/// The archive that a component was installed from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Origin {
    /// Its file name, such as `six-1.17.0-py2.py3-none-any.whl`.
    pub file_name: String,
    /// Its length in bytes.
    pub size: u64,
    /// The digest that the lock names, unless the file was built here.
    pub digest: Digest,
    /// SHA-512 in lower-case hexadecimal: what BSI TR-03183-2 asks an SBOM to state.
    pub sha512: Option<String>,
    /// Where the lock takes it from; absent for the default package index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<OriginSource>,
}

/// Where a lock takes a distribution from, if that is not the default package index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OriginSource {
    /// An index that `kiln.toml` names.
    Index {
        /// Its name there: where it is differs from machine to machine.
        name: String,
    },
    /// One file on a server.
    Url {
        /// Its URL, without login, query and fragment.
        url: String,
    },
    /// An archive that is a file of the workspace.
    File {
        /// Its path, relative to the workspace.
        path: String,
    },
    /// A project in a folder of the workspace, of which kiln made the archive.
    Folder {
        /// Its path, relative to the workspace.
        path: String,
        /// The digest of the tree of its files that are installed.
        tree: Digest,
    },
}

/// What the database of an operating system says of a package beyond its name and version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SystemPackage {
    /// Its architecture, such as `x86_64` or `noarch`.
    pub architecture: String,
    /// The source package that it was built from, if the database says so.
    pub source: Option<String>,
    /// The version of that source package, if the database says one: it is another than the package's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<String>,
    /// The distribution whose package it is, if the system says what it is.
    pub distribution: Option<Distribution>,
}

/// A distribution of Linux, as its os-release(5) names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Distribution {
    /// `ID`, such as `amzn`.
    pub id: String,
    /// `VERSION_ID`, such as `2023`, if it has one.
    pub version: Option<String>,
    /// `CPE_NAME`, if it has one that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpe: Option<String>,
}

/// A git repository, and what of it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Upstream {
    /// The address of the repository, without credentials.
    pub git: String,
    /// The tag, branch or commit that the manifest names.
    pub revision: String,
    /// The commit that the lock names, in full.
    pub commit: String,
    /// The folder whose content was taken; absent for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

/// How a wheel came from a source distribution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BuiltFrom {
    /// The source distribution; its digest is the one that the lock names.
    pub sdist: Origin,
    /// Why no wheel was taken, in words.
    pub reason: String,
    /// The base that it was built in.
    pub base: String,
    /// The digest of that base's OCI manifest.
    pub base_digest: Digest,
    /// What called it to be built: the build backend, as `pyproject.toml` writes it.
    pub backend: String,
    /// The wheels that were installed to build it, sorted by name.
    pub requirements: Vec<BuildRequirement>,
    /// The version of the rules by which it was built and its wheel was brought into one form.
    pub rules: u32,
    /// Whether building it twice gave one wheel.
    pub reproducible: bool,
}

/// A wheel that was installed to build a source distribution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BuildRequirement {
    /// The distribution, by PEP 503.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The wheel's file name.
    pub file_name: String,
    /// The digest that the lock of build requirements names.
    pub digest: Digest,
}

/// The step that made files, as a pure value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MadeBy {
    /// The digest of everything that it was given: what its result is remembered by.
    pub digest: Digest,
    /// The base that it ran in.
    pub base: String,
    /// The digest of that base's OCI manifest.
    pub base_digest: Digest,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The trees that it was given, by the folder of the container that they were in.
    pub inputs: BTreeMap<String, MadeFrom>,
    /// The version of the rules by which it ran and its files were brought into one form.
    pub rules: u32,
    /// Whether running it twice gave the same files; absent if it ran once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproducible: Option<bool>,
}

/// A tree that a step was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct MadeFrom {
    /// A path of the workspace (of a lock, where crates were given), or the name of another step.
    pub name: String,
    /// The digest of the tree; of the crates of a lock, that of their list, from which the tree follows.
    pub tree: Digest,
}

/// What a component says about itself. Every field is absent where the component is silent: nothing is guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Metadata {
    /// A valid SPDX expression (`License-Expression`, PEP 639).
    pub license_expression: Option<String>,
    /// Licence text or name in its own words, where there is no expression.
    pub license: Option<String>,
    /// Names from the `License ::` trove classifiers.
    pub license_classifiers: Vec<String>,
    /// Who made it, name first.
    pub supplier: Option<Supplier>,
    /// One line on what it is.
    pub summary: Option<String>,
    /// Its home page.
    pub homepage: Option<String>,
    /// Where its source is developed.
    pub source: Option<String>,
}

impl Metadata {
    /// The expression that it declares, from the source that says most: expression, then its own words, then the one classifier.
    /// Words that mean no single expression hide the classifiers.
    #[must_use]
    pub fn declared_license(&self) -> Option<String> {
        let said = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|t| !t.is_empty() && *t != "UNKNOWN").map(str::to_owned)
        };
        if let Some(words) = said(&self.license_expression).or_else(|| said(&self.license)) {
            return license_expression(&words);
        }
        match self.license_classifiers.as_slice() {
            [one] => license_expression(one),
            _ => None,
        }
    }
}

/// A person or organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Supplier {
    /// Name, if stated.
    pub name: Option<String>,
    /// Mail address, if stated.
    pub email: Option<String>,
}
