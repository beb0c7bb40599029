//! Bills of materials that other tools wrote, read as lists of components: what a release is compared by where nothing else of
//! it is at hand.
//!
//! Only names, versions, package URLs and licences are taken, within bounds. What has no name is passed over and counted.

use crate::text;
use crate::unknown;
use kiln_record::{Component, ComponentId, DistributionName, Ecosystem, Metadata, excerpt};
use packageurl::PackageUrl;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// The largest bill that is read, in bytes.
pub const LISTED_LIMIT: u64 = 256 << 20;
/// The most components taken from one, and the deepest nesting followed.
const MOST: usize = 200_000;
const DEEPEST: usize = 16;
/// The longest name, version or URL in bytes; what is longer is no name.
const LONGEST: usize = 1024;
/// The versions of the two formats that are read.
const CYCLONEDX: [&str; 5] = ["1.3", "1.4", "1.5", "1.6", "1.7"];
const SPDX: [&str; 2] = ["SPDX-2.2", "SPDX-2.3"];

/// What a bill of materials lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its format and version, such as `CycloneDX 1.5`.
    pub format: String,
    /// What it is about, as it says.
    pub subject: Option<String>,
    /// The components, sorted by id. They own no files.
    pub components: Vec<Component>,
    /// How many entries were passed over: files, and what has no name.
    pub passed_over: usize,
}

/// Why a text is no list of components.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListedError {
    /// It is of a version that is not read.
    #[error("it is {found}, and this kiln reads {known}")]
    Version {
        /// What it says that it is.
        found: String,
        /// What is read.
        known: String,
    },
    /// What should be the list is something else.
    #[error("its `{key}` is no list")]
    NoList {
        /// The key.
        key: &'static str,
    },
    /// It lists more than is believed.
    #[error("it lists more than {MOST} components")]
    TooMany,
}

/// Reads a CycloneDX or SPDX document in JSON; none if the value is neither.
///
/// # Errors
/// [`ListedError`] if it is of an unknown version, or out of bounds.
pub fn read_listed(json: &Value) -> Result<Option<Listed>, ListedError> {
    let field = |name: &str| json.get(name).and_then(Value::as_str);
    if field("bomFormat") == Some("CycloneDX") {
        let version = field("specVersion").unwrap_or("of no version");
        known("CycloneDX ", version, &CYCLONEDX)?;
        is_list(json, "components")?;
        let mut all = Entries::default();
        cyclonedx(json, 0, &mut all)?;
        let subject = json.pointer("/metadata/component/name").and_then(Value::as_str);
        return Ok(Some(all.listed(format!("CycloneDX {version}"), subject)));
    }
    if let Some(version) = field("spdxVersion") {
        known("", version, &SPDX)?;
        is_list(json, "packages")?;
        let mut all = Entries::default();
        spdx(json, &mut all)?;
        return Ok(Some(all.listed(version.replace('-', " "), field("name"))));
    }
    Ok(None)
}

/// A document without the list lists nothing; one with something else in its place is not understood.
fn is_list(json: &Value, key: &'static str) -> Result<(), ListedError> {
    match json.get(key) {
        None | Some(Value::Array(_)) => Ok(()),
        Some(_) => Err(ListedError::NoList { key }),
    }
}

fn known(format: &str, version: &str, read: &[&str]) -> Result<(), ListedError> {
    if read.contains(&version) {
        return Ok(());
    }
    let known = format!("{format}{}", read.join(", "));
    Err(ListedError::Version { found: format!("{format}{}", excerpt(version)), known })
}

/// One entry of a document.
struct Entry {
    name: String,
    version: Option<String>,
    purl: Option<String>,
    metadata: Metadata,
}

#[derive(Default)]
struct Entries {
    all: Vec<Entry>,
    passed_over: usize,
}

impl Entries {
    fn put(&mut self, entry: Option<Entry>) -> Result<(), ListedError> {
        match entry {
            Some(entry) => self.all.push(entry),
            None => self.passed_over += 1,
        }
        if self.all.len() > MOST { Err(ListedError::TooMany) } else { Ok(()) }
    }

    fn listed(self, format: String, subject: Option<&str>) -> Listed {
        let mut by_id: BTreeMap<ComponentId, Vec<(ComponentId, Entry)>> = BTreeMap::new();
        for entry in self.all {
            let id = id(&entry);
            by_id.entry(id.clone()).or_default().push((id, entry));
        }
        let mut components = BTreeMap::new();
        for mut copies in by_id.into_values() {
            copies.sort_by(|a, b| a.1.version.cmp(&b.1.version));
            copies.dedup_by(|a, b| a.1.version == b.1.version);
            // Of several versions of one thing, each but the oldest is called by its version, too.
            for (index, (id, entry)) in copies.into_iter().enumerate() {
                let id = match (&entry.version, index) {
                    (Some(version), 1..) => {
                        ComponentId::new(id.ecosystem(), &format!("{}/{version}", id.name()))
                    }
                    _ => id,
                };
                components.insert(id.clone(), component(id, entry));
            }
        }
        let subject = subject.map(excerpt);
        Listed {
            format,
            subject,
            components: components.into_values().collect(),
            passed_over: self.passed_over,
        }
    }
}

fn cyclonedx(json: &Value, depth: usize, all: &mut Entries) -> Result<(), ListedError> {
    for one in json.get("components").and_then(Value::as_array).into_iter().flatten() {
        let is_file = one.get("type").and_then(Value::as_str) == Some("file");
        let name = line(one, "name").filter(|_| !is_file);
        let name = name.map(|name| match line(one, "group") {
            Some(group) => format!("{group}/{name}"),
            None => name,
        });
        all.put(name.map(|name| Entry {
            name,
            version: line(one, "version"),
            purl: line(one, "purl"),
            metadata: cyclonedx_license(one),
        }))?;
        if depth < DEEPEST {
            cyclonedx(one, depth + 1, all)?;
        }
    }
    Ok(())
}

fn cyclonedx_license(component: &Value) -> Metadata {
    let mut metadata = Metadata::default();
    for choice in component.get("licenses").and_then(Value::as_array).into_iter().flatten() {
        let license = choice.get("license");
        let id = license.and_then(|license| line(license, "id"));
        let name = license.and_then(|license| line(license, "name"));
        if metadata.license_expression.is_none() {
            metadata.license_expression = line(choice, "expression").or(id);
        }
        metadata.license = metadata.license.or(name);
    }
    metadata
}

fn spdx(json: &Value, all: &mut Entries) -> Result<(), ListedError> {
    let array = |name: &str| json.get(name).and_then(Value::as_array).into_iter().flatten();
    // The package that the document is about is no part of itself.
    let mut described: BTreeSet<&str> = array("documentDescribes").filter_map(Value::as_str).collect();
    described.extend(
        array("relationships")
            .filter(|relation| relation.get("relationshipType").and_then(Value::as_str) == Some("DESCRIBES"))
            .filter_map(|relation| relation.get("relatedSpdxElement").and_then(Value::as_str)),
    );
    for package in array("packages") {
        if package.get("SPDXID").and_then(Value::as_str).is_some_and(|id| described.contains(id)) {
            continue;
        }
        let references = package.get("externalRefs").and_then(Value::as_array).into_iter().flatten();
        let mut purls = references
            .filter(|one| one.get("referenceType").and_then(Value::as_str) == Some("purl"))
            .filter_map(|one| line(one, "referenceLocator"));
        let stated = |name: &str| line(package, name).filter(|text| text != "NONE");
        all.put(line(package, "name").map(|name| Entry {
            name,
            version: stated("versionInfo"),
            purl: purls.next(),
            metadata: Metadata {
                license_expression: stated("licenseDeclared").or_else(|| stated("licenseConcluded")),
                ..Metadata::default()
            },
        }))?;
    }
    Ok(())
}

/// A field as one line, if it is one.
fn line(value: &Value, name: &str) -> Option<String> {
    let text = text::line(value.get(name)?.as_str()?);
    (!text.is_empty() && text.len() <= LONGEST && unknown::known(&text).is_some()).then_some(text)
}

/// What identifies an entry: its package URL without version and qualifiers, else its name. Ecosystems that kiln has no word for
/// are named in front.
fn id(entry: &Entry) -> ComponentId {
    let purl = entry.purl.as_deref().and_then(|purl| PackageUrl::from_str(purl).ok());
    let Some(purl) = purl else {
        return ComponentId::new(Ecosystem::Native, &format!("generic/{}", entry.name));
    };
    match purl.ty() {
        "pypi" => match purl.name().parse::<DistributionName>() {
            Ok(name) => ComponentId::new(Ecosystem::Python, name.as_str()),
            Err(_) => ComponentId::new(Ecosystem::Python, purl.name()),
        },
        "deb" => ComponentId::new(Ecosystem::Debian, purl.name()),
        "rpm" => ComponentId::new(Ecosystem::Rpm, purl.name()),
        other => {
            let namespace = purl.namespace().map(|namespace| format!("{namespace}/")).unwrap_or_default();
            ComponentId::new(Ecosystem::Native, &format!("{other}/{namespace}{}", purl.name()))
        }
    }
}

/// The version of an entry. In package URLs of rpm and of some tools for Debian, an epoch is a qualifier, and no part of it.
fn version(entry: &Entry) -> Option<String> {
    let version = entry.version.clone()?;
    let purl = entry.purl.as_deref().and_then(|purl| PackageUrl::from_str(purl).ok());
    let epoch = purl.as_ref().and_then(|purl| purl.qualifiers().get("epoch"));
    match epoch {
        Some(epoch) if epoch != "0" && !version.contains(':') => Some(format!("{epoch}:{version}")),
        _ => Some(version),
    }
}

fn component(id: ComponentId, entry: Entry) -> Component {
    let ecosystem = id.ecosystem();
    let version = version(&entry);
    let name = match ecosystem {
        Ecosystem::Python | Ecosystem::Debian | Ecosystem::Rpm => {
            id.name().split('/').next().unwrap_or_default().to_owned()
        }
        Ecosystem::Application | Ecosystem::Native => entry.name,
    };
    Component {
        id,
        ecosystem,
        name,
        version,
        bytes: 0,
        files: 0,
        origin: None,
        file_sha512: None,
        package: None,
        upstream: None,
        built_from: None,
        made_by: None,
        metadata: entry.metadata,
        requires: BTreeSet::new(),
        within: None,
        from_base: false,
        embedded: Vec::new(),
        unread_sboms: BTreeMap::new(),
        license_files: BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ids(listed: &Listed) -> Vec<(&str, Option<&str>)> {
        listed.components.iter().map(|one| (one.id.as_str(), one.version.as_deref())).collect()
    }

    #[test]
    fn the_documents_of_other_tools_are_lists_of_components() {
        for version in CYCLONEDX {
            let document = json!({
                "bomFormat": "CycloneDX", "specVersion": version,
                "metadata": {"component": {"type": "application", "name": "app"}},
                "components": [
                    {"type": "library", "name": "Ruamel.Yaml", "version": "1.0", "purl": "pkg:pypi/ruamel.yaml@1.0",
                     "licenses": [{"license": {"id": "MIT"}}]},
                    {"type": "library", "name": "libc6", "version": "2.41", "purl": "pkg:deb/debian/libc6@2.41?arch=amd64",
                     "components": [{"type": "library", "group": "g", "name": "inner", "version": "3"}]},
                    {"type": "file", "name": "/usr/bin/x"},
                    {"type": "library"},
                ],
            });
            let listed = read_listed(&document).unwrap().unwrap();
            assert_eq!((listed.format, listed.passed_over), (format!("CycloneDX {version}"), 2));
            let listed = read_listed(&document).unwrap().unwrap();
            assert_eq!(
                ids(&listed),
                [
                    ("debian/libc6", Some("2.41")),
                    ("native/generic/g/inner", Some("3")),
                    ("python/ruamel-yaml", Some("1.0"))
                ]
            );
            assert_eq!(listed.components[2].metadata.license_expression.as_deref(), Some("MIT"));
        }
        let document = json!({
            "spdxVersion": "SPDX-2.3", "name": "app", "documentDescribes": ["SPDXRef-root"],
            "packages": [
                {"SPDXID": "SPDXRef-root", "name": "app"},
                {"SPDXID": "SPDXRef-1", "name": "six", "versionInfo": "1.17.0", "licenseDeclared": "NOASSERTION",
                 "licenseConcluded": "MIT",
                 "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:pypi/six@1.17.0"}]},
            ],
        });
        let listed = read_listed(&document).unwrap().unwrap();
        assert_eq!(
            (ids(&listed), listed.format.as_str()),
            (vec![("python/six", Some("1.17.0"))], "SPDX 2.3")
        );
        assert_eq!(listed.components[0].metadata.license_expression.as_deref(), Some("MIT"));
        assert_eq!(read_listed(&json!({"artifact": "app"})), Ok(None));
    }

    #[test]
    fn several_versions_of_one_thing_are_each_listed() {
        let one = |version: &str| json!({"type": "library", "name": "six", "version": version, "purl": "pkg:pypi/six"});
        let document = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [one("2"), one("1"), one("1")]});
        let listed = read_listed(&document).unwrap().unwrap();
        assert_eq!(ids(&listed), [("python/six", Some("1")), ("python/six/2", Some("2"))]);
    }

    #[test]
    fn unknown_versions_are_named() {
        let error = read_listed(&json!({"bomFormat": "CycloneDX", "specVersion": "2.0"})).unwrap_err();
        assert!(
            error.to_string().starts_with("it is CycloneDX 2.0, and this kiln reads CycloneDX 1.3"),
            "{error}"
        );
        let error = read_listed(&json!({"spdxVersion": "SPDX-3.0"})).unwrap_err();
        assert!(error.to_string().contains("SPDX-2.3"), "{error}");
    }
}
