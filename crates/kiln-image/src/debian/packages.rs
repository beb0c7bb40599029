//! `Packages` indexes: what an archive's component offers for an architecture.

use super::control::{Stanza, Stanzas};
use super::relation::{Alternatives, is_package_name, parse_relations};
use super::version::Version;
use crate::ImageError;
use kiln_record::{Digest, TreePath, excerpt};
use std::collections::BTreeMap;

/// A binary package as the index describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Its architecture by Debian name, or `all`.
    pub architecture: String,
    /// The length of the `.deb` in bytes.
    pub size: u64,
    /// The digest of the `.deb`.
    pub digest: Digest,
    /// Where the `.deb` is below the mirror's root (`Filename`).
    pub path: String,
    /// What must be there for it to work.
    pub depends: Vec<Alternatives>,
    /// What must be there before it is unpacked.
    pub pre_depends: Vec<Alternatives>,
    /// Names that it stands for as well; each entry is one relation.
    pub provides: Vec<Alternatives>,
    /// What it cannot be installed beside (`Conflicts` and `Breaks`).
    pub conflicts: Vec<Alternatives>,
    /// Whether Debian holds it to be always installed; kiln installs only what is asked for.
    pub essential: bool,
    /// The `Multi-Arch` field.
    pub multi_arch: Option<String>,
    /// Name and version of the source package, where they differ from the package's own.
    pub source: Option<(String, String)>,
    /// Who maintains it: `Name <mail>`.
    pub maintainer: Option<String>,
    /// Its section, such as `libs`.
    pub section: Option<String>,
    /// The first line of its description.
    pub description: Option<String>,
    /// Its home page.
    pub homepage: Option<String>,
}

impl Package {
    fn parse(stanza: &Stanza<'_>) -> Result<Self, ImageError> {
        let error = |reason: String| stanza.malformed("Packages", reason);
        let require = |name: &str| stanza.require("Packages", name);
        let optional = |name: &str| stanza.get(name).filter(|v| !v.is_empty()).map(str::to_owned);
        let relations = |name: &str| {
            parse_relations(stanza.get(name).unwrap_or("")).map_err(|r| error(format!("{name}: {r}")))
        };
        let name = require("Package")?;
        if !is_package_name(name) {
            return Err(error(format!("`{}` is not a package name", excerpt(name))));
        }
        let version: Version = require("Version")?.parse().map_err(error)?;
        let path = require("Filename")?;
        let path = path.strip_prefix("./").unwrap_or(path);
        TreePath::new(path).map_err(|e| error(format!("Filename: {e}")))?;
        let source = stanza.get("Source").map(|source| match source.split_once('(') {
            Some((name, version)) => {
                (name.trim().to_owned(), version.trim_end_matches(')').trim().to_owned())
            }
            None => (source.to_owned(), version.to_string()),
        });
        let mut conflicts = relations("Conflicts")?;
        conflicts.extend(relations("Breaks")?);
        Ok(Self {
            architecture: require("Architecture")?.to_owned(),
            size: require("Size")?.parse().map_err(|_| error("`Size` is not a number".to_owned()))?,
            digest: Digest::from_hex(require("SHA256")?).map_err(|e| error(e.to_string()))?,
            path: path.to_owned(),
            depends: relations("Depends")?,
            pre_depends: relations("Pre-Depends")?,
            provides: relations("Provides")?,
            conflicts,
            essential: stanza.get("Essential") == Some("yes"),
            multi_arch: optional("Multi-Arch"),
            source,
            maintainer: optional("Maintainer"),
            section: optional("Section"),
            description: stanza
                .get("Description")
                .and_then(|d| d.lines().next())
                .map(|l| l.trim().to_owned()),
            homepage: optional("Homepage"),
            name: name.to_owned(),
            version,
        })
    }
}

/// All packages of one or more indexes, by name.
#[derive(Debug, Clone, Default)]
pub struct PackageIndex {
    by_name: BTreeMap<String, Vec<Package>>,
    // Which packages provide a virtual name: sorted, so that choices do not depend on the order of the index.
    providers: BTreeMap<String, Vec<String>>,
}

impl PackageIndex {
    /// Reads a decompressed `Packages` file.
    ///
    /// # Errors
    /// [`ImageError::Malformed`] with the line of the paragraph.
    pub fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let mut index = Self::default();
        index.add(bytes)?;
        Ok(index)
    }

    /// Adds the packages of another component's index.
    ///
    /// # Errors
    /// As [`PackageIndex::parse`].
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        let text = str::from_utf8(bytes).map_err(|error| ImageError::Malformed {
            what: "Packages".to_owned(),
            line: bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1,
            reason: "not UTF-8".to_owned(),
        })?;
        for stanza in Stanzas::new("Packages", text) {
            let package = Package::parse(&stanza?)?;
            for relation in package.provides.iter().flatten() {
                let providers = self.providers.entry(relation.name.clone()).or_default();
                if let Err(at) = providers.binary_search(&package.name) {
                    providers.insert(at, package.name.clone());
                }
            }
            self.by_name.entry(package.name.clone()).or_default().push(package);
        }
        Ok(())
    }

    /// Number of packages, every version and architecture counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.values().map(Vec::len).sum()
    }

    /// Whether there is no package.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The highest version of a package for an architecture, or for all of them.
    #[must_use]
    pub fn get(&self, name: &str, architecture: &str) -> Option<&Package> {
        self.candidates(name, architecture).into_iter().next()
    }

    /// Every version of a package for an architecture, highest first.
    pub(crate) fn candidates(&self, name: &str, architecture: &str) -> Vec<&Package> {
        let mut all: Vec<&Package> = self
            .by_name
            .get(name)
            .into_iter()
            .flatten()
            .filter(|package| package.architecture == architecture || package.architecture == "all")
            .collect();
        // The digest decides between two files of one version, so that the order of indexes does not.
        all.sort_by(|a, b| b.version.cmp(&a.version).then_with(|| a.digest.cmp(&b.digest)));
        all
    }

    /// Names of the packages that provide a virtual name, sorted.
    pub(crate) fn providers(&self, name: &str) -> &[String] {
        self.providers.get(name).map_or(&[], Vec::as_slice)
    }
}
