//! What SPDX documents of every version list: the artifact and its parts, an id for each, and licences as one expression.

use crate::SbomError;
use crate::cyclonedx::archive_hashes;
use crate::graph::Graph;
use crate::model::{Component, LicenseChoice};
use crate::organization::{maker, own_license, package_url};
use crate::spec_version::SpecVersion;
use crate::unknown::{UNKNOWN, known};
use kiln_record::{Output, Record, is_license_expression};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Licences in words of their own: the words, by the reference that stands for them in expressions.
pub(crate) type OwnWords = BTreeMap<String, String>;

/// The packages of a document.
pub(crate) struct Packages<'a> {
    pub(crate) graph: Graph<'a>,
    pub(crate) archive: &'a Output,
    /// The artifact first, then its parts.
    pub(crate) components: Vec<Component>,
    /// Of each reference an id. References are texts of any kind; an id has letters, digits, dots and hyphens only.
    pub(crate) ids: BTreeMap<String, String>,
}

impl<'a> Packages<'a> {
    pub(crate) fn of(record: &'a Record) -> Result<Self, SbomError> {
        let archive =
            record.archive().ok_or_else(|| SbomError::NoArchive { artifact: record.artifact.to_string() })?;
        let graph = Graph::new(record);
        let artifact = Component {
            kind: if record.image.is_some() { "container" } else { "application" },
            bom_ref: Some(graph.primary.clone()),
            supplier: record.organization.as_ref().map(maker),
            name: record.artifact.to_string(),
            version: Some(archive.digest.to_string()),
            hashes: archive_hashes(archive),
            licenses: own_license(record, SpecVersion::default()),
            purl: Some(package_url(record)?),
            ..Component::default()
        };
        let components: Vec<Component> =
            std::iter::once(artifact).chain(graph.components(SpecVersion::default())?).collect();
        let ids = components
            .iter()
            .filter_map(|component| component.bom_ref.clone())
            .enumerate()
            .map(|(number, reference)| (reference.clone(), id(number, &reference)))
            .collect();
        Ok(Self { graph, archive, components, ids })
    }

    /// What needs what, by id.
    pub(crate) fn edges(&self) -> impl Iterator<Item = (&str, &str, Vec<&str>)> {
        self.graph.dependencies(SpecVersion::default()).into_iter().filter_map(|dependency| {
            let (reference, from) = self.ids.get_key_value(&dependency.reference)?;
            let needed = dependency.depends_on.iter().filter_map(|one| self.ids.get(one));
            Some((reference.as_str(), from.as_str(), needed.map(String::as_str).collect()))
        })
    }
}

fn id(number: usize, reference: &str) -> String {
    let plain: String = reference
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .take(100)
        .collect();
    format!("{number}-{plain}")
}

/// The licence that is declared of a component.
pub(crate) fn declared(component: &Component, own: &mut OwnWords) -> String {
    license(component.licenses.iter().filter(|one| !one.is_concluded()), own)
}

/// The licence that is concluded from what a component brings, else the one that the workspace states.
pub(crate) fn concluded(component: &Component, own: &mut OwnWords) -> String {
    let mut brought = component.evidence.iter().flat_map(|evidence| &evidence.licenses).peekable();
    if brought.peek().is_some() {
        return license(brought, own);
    }
    license(component.licenses.iter().filter(|one| one.is_concluded()), own)
}

/// Licences as one expression. A licence in words of its own becomes a reference, with the words beside it.
fn license<'a>(choices: impl Iterator<Item = &'a LicenseChoice>, own: &mut OwnWords) -> String {
    let mut all: Vec<String> = Vec::new();
    for choice in choices {
        let one = match choice {
            LicenseChoice::Expression { expression, .. } => expression.clone(),
            LicenseChoice::License { license } => match (&license.id, &license.name) {
                (Some(id), _) => id.clone(),
                (None, Some(name)) if known(name).is_none() => return UNKNOWN.to_owned(),
                (None, name) => {
                    let words =
                        license.text.as_ref().map(|text| text.content.clone()).or_else(|| name.clone());
                    reference(name.as_deref().unwrap_or_default(), words.as_deref(), own)
                }
            },
        };
        for named in references(&one) {
            own.entry(named.to_owned()).or_insert_with(|| named.to_owned());
        }
        all.push(one);
    }
    let several = all.len() > 1;
    let all: Vec<String> = all
        .into_iter()
        .map(|one| if several && one.contains(' ') { format!("({one})") } else { one })
        .collect();
    let whole = all.join(" AND ");
    if is_license_expression(&whole) { whole } else { UNKNOWN.to_owned() }
}

/// The references to licences in words of their own that an expression has.
pub(crate) fn references(expression: &str) -> impl Iterator<Item = &str> {
    let names = expression.split(|c: char| !(c.is_ascii_alphanumeric() || ".-".contains(c)));
    names.filter(|name| name.starts_with("LicenseRef-"))
}

fn reference(name: &str, words: Option<&str>, own: &mut OwnWords) -> String {
    let words = words.unwrap_or(name);
    let id = format!("LicenseRef-{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, words.as_bytes()));
    own.entry(id.clone()).or_insert_with(|| words.to_owned());
    id
}
