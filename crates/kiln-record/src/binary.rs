//! Native files: what each says of itself, and what is linked into it as far as its bytes tell.

use crate::{Archive, Component, Embedded};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A native file of an artifact (ELF).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Binary {
    /// Its own library name (`DT_SONAME`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// Libraries that it needs when it is loaded (`DT_NEEDED`), in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<String>,
    /// What its linker called this very build of it, in hexadecimal (`.note.gnu.build-id`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// The compilers and linkers that took part, in their own words (`.comment`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compilers: Vec<String>,
    /// What is linked into it, as far as its bytes tell: a lower bound. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub linked: Vec<Linked>,
}

impl Binary {
    /// Whether its bytes list everything that was linked in, as what `cargo auditable` builds does.
    #[must_use]
    pub fn is_explained(&self) -> bool {
        self.linked.iter().any(|part| part.evidence == LinkEvidence::Auditable)
    }
}

/// Something that is linked into a native file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Linked {
    /// Its name.
    pub name: String,
    /// Its version, if the bytes tell.
    pub version: Option<String>,
    /// Its package URL.
    pub purl: String,
    /// What tells.
    pub evidence: LinkEvidence,
    /// The archive that it is distributed as, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
}

impl Linked {
    /// The part of a component's own bills of materials that this is: one name and version, in the same kind of registry.
    #[must_use]
    pub fn stated_by<'a>(&self, holder: &'a Component) -> Option<&'a Embedded> {
        holder.embedded.iter().find(|part| {
            part.purl.as_deref() == Some(self.purl.as_str())
                || (part.name.eq_ignore_ascii_case(&self.name) && part.version == self.version)
        })
    }

    /// The bills of a component that list crates and not this one, though its bytes are there. A list of crates says nothing of
    /// what is no crate, nor of what Rust's standard library is made of.
    #[must_use]
    pub fn contradicts<'a>(&self, holder: &'a Component) -> BTreeSet<&'a str> {
        let is_crate = |purl: &str| purl.starts_with("pkg:cargo/");
        let is_listed = matches!(self.evidence, LinkEvidence::Auditable | LinkEvidence::SourcePath);
        if !is_crate(&self.purl) || !is_listed || self.stated_by(holder).is_some() {
            return BTreeSet::new();
        }
        let crates = holder.embedded.iter().filter(|part| part.purl.as_deref().is_some_and(is_crate));
        crates.map(|part| part.stated_in.as_str()).collect()
    }
}

/// What tells that something is linked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LinkEvidence {
    /// The list that `cargo auditable` puts into what it builds (section `.dep-v0`).
    Auditable,
    /// The words in which a library tells its version.
    VersionString,
    /// The path of a source file, which a message of a program that fails would show.
    SourcePath,
    /// The same, of Rust's own sources: its standard library and what that is made of, which no list of cargo's names.
    RustSource,
    /// A function, or a list of messages, that only this library has.
    Symbol,
}

impl LinkEvidence {
    /// The name in documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auditable => "auditable",
            Self::VersionString => "version-string",
            Self::SourcePath => "source-path",
            Self::RustSource => "rust-source",
            Self::Symbol => "symbol",
        }
    }
}
