//! Statements on whether a vulnerability matters for a product (VEX).

use crate::subject::Subject;
use kiln_record::{Digest, Epoch};
use packageurl::PackageUrl;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::str::FromStr as _;

/// What is said of a vulnerability in a product (OpenVEX, "Status Labels").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nothing need be done.
    NotAffected,
    /// Something should be done.
    Affected,
    /// The product has the fix, whatever its version says.
    Fixed,
    /// Nobody knows yet.
    UnderInvestigation,
}

impl Status {
    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAffected => "not_affected",
            Self::Affected => "affected",
            Self::Fixed => "fixed",
            Self::UnderInvestigation => "under_investigation",
        }
    }

    /// Whether a vulnerability of which this is said need not be looked at.
    #[must_use]
    pub fn silences(self) -> bool {
        matches!(self, Self::NotAffected | Self::Fixed)
    }
}

/// Why a product is not affected (OpenVEX, "Status Justifications").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Justification {
    /// The component is not in it.
    ComponentNotPresent,
    /// The component is, and its vulnerable code is not.
    VulnerableCodeNotPresent,
    /// The code is, and is never run.
    VulnerableCodeNotInExecutePath,
    /// The code is run, and nobody can make use of that.
    VulnerableCodeCannotBeControlledByAdversary,
    /// Something in the product keeps it from being used.
    InlineMitigationsAlreadyExist,
}

impl Justification {
    /// The label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ComponentNotPresent => "component_not_present",
            Self::VulnerableCodeNotPresent => "vulnerable_code_not_present",
            Self::VulnerableCodeNotInExecutePath => "vulnerable_code_not_in_execute_path",
            Self::VulnerableCodeCannotBeControlledByAdversary => {
                "vulnerable_code_cannot_be_controlled_by_adversary"
            }
            Self::InlineMitigationsAlreadyExist => "inline_mitigations_already_exist",
        }
    }
}

/// What a statement is about: an artifact by its digest, or a component by its package URL; or a component within such an
/// artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    /// The SHA-256 of the artifact's archive or of an image's manifest, or of the archive that a component was taken from.
    pub sha256: Option<Digest>,
    /// A package URL; without a version, each is meant.
    pub purl: Option<String>,
    /// Components of it that are meant, by package URL; empty for all.
    pub parts: Vec<String>,
}

/// What somebody says of a vulnerability in a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The vulnerability by each of its names.
    pub names: BTreeSet<String>,
    /// The products.
    pub products: Vec<Product>,
    /// What is said.
    pub status: Status,
    /// Why, in a label.
    pub justification: Option<Justification>,
    /// Why, in words.
    pub reason: Option<String>,
    /// Who says so.
    pub author: String,
    /// When it was said.
    pub at: Option<Epoch>,
    /// The last second in which it counts.
    pub until: Option<Epoch>,
    /// The file, and where in it.
    pub place: String,
}

impl Statement {
    /// Whether it is about a vulnerability by one of these names in a subject of an artifact with these digests.
    #[must_use]
    pub fn is_about(&self, names: &BTreeSet<String>, subject: &Subject, artifact: &BTreeSet<Digest>) -> bool {
        !self.names.is_disjoint(names) && self.products.iter().any(|product| product.is(subject, artifact))
    }

    /// Whether its time is over.
    #[must_use]
    pub fn has_ended(&self, now: Epoch) -> bool {
        self.until.is_some_and(|until| until < now)
    }
}

impl Product {
    fn is(&self, subject: &Subject, artifact: &BTreeSet<Digest>) -> bool {
        let is_part = self.parts.is_empty() || self.parts.iter().any(|part| is_same(part, &subject.purl));
        match (&self.purl, self.sha256) {
            // A component, by what it is called and what it is.
            (Some(purl), digest) if is_same(purl, &subject.purl) => {
                is_part
                    && digest
                        .is_none_or(|digest| Some(digest) == subject.digest || artifact.contains(&digest))
            }
            // The artifact, whatever it is called.
            (_, Some(digest)) => {
                artifact.contains(&digest) && is_part && (self.purl.is_none() || !self.parts.is_empty())
            }
            _ => false,
        }
    }
}

/// Whether a stated package URL means an actual one: type, namespace and name are equal, and so is the version where one is
/// stated. Qualifiers are passed over: they say where something is from.
fn is_same(stated: &str, actual: &str) -> bool {
    let (Ok(stated), Ok(actual)) = (PackageUrl::from_str(stated), PackageUrl::from_str(actual)) else {
        return false;
    };
    let name = |purl: &PackageUrl<'_>| {
        crate::subject::normalised(if purl.ty() == "pypi" { "PyPI" } else { "" }, purl.name())
    };
    stated.ty() == actual.ty()
        && stated.namespace() == actual.namespace()
        && name(&stated) == name(&actual)
        && stated.version().is_none_or(|version| Some(version) == actual.version())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::tests::python;

    #[test]
    fn a_product_is_an_artifact_or_a_component() {
        let (artifact, other) = (Digest::of(b"artifact"), Digest::of(b"other"));
        let digests = BTreeSet::from([artifact]);
        let mut subject = python("words", "1.0");
        subject.digest = Some(Digest::of(b"wheel"));
        let product = |purl: Option<&str>, sha256, parts: &[&str]| Product {
            purl: purl.map(str::to_owned),
            sha256,
            parts: parts.iter().map(|one| (*one).to_owned()).collect(),
        };
        for (product, expected) in [
            (product(Some("pkg:pypi/words@1.0"), None, &[]), true),
            (product(Some("pkg:pypi/Words"), None, &[]), true),
            (product(Some("pkg:pypi/words@1.0?file_name=x.whl"), None, &[]), true),
            (product(Some("pkg:pypi/words@2"), None, &[]), false),
            (product(Some("pkg:pypi/words@1.0"), Some(Digest::of(b"wheel")), &[]), true),
            (product(Some("pkg:pypi/words@1.0"), Some(artifact), &[]), true),
            (product(Some("pkg:pypi/words@1.0"), Some(other), &[]), false),
            (product(None, Some(artifact), &[]), true),
            (product(None, Some(artifact), &["pkg:pypi/words"]), true),
            (product(None, Some(artifact), &["pkg:pypi/else"]), false),
            (product(None, Some(other), &["pkg:pypi/words"]), false),
            (product(Some("pkg:oci/app"), Some(artifact), &["pkg:pypi/words"]), true),
            (product(Some("pkg:oci/app"), None, &["pkg:pypi/words"]), false),
            (product(Some("pkg:pypi/else"), Some(artifact), &[]), false),
            (product(None, None, &[]), false),
            (product(Some("words"), None, &[]), false),
        ] {
            assert_eq!(product.is(&subject, &digests), expected, "{product:?}");
        }
    }
}
