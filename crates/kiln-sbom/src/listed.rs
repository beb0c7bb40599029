//! Bills of materials that other tools wrote, read as lists of components: what a release is compared by where nothing else of
//! it is at hand.
//!
//! Only names, versions, package URLs and licences are taken, within bounds. What has no name is passed over and counted. Of a
//! document of kiln's it is told apart what it says of its own: the artifact's code, what was left out, releases of Debian.

use crate::text;
use crate::unknown;
use kiln_record::{
    Component, ComponentId, Distribution, DistributionName, Ecosystem, Metadata, SystemPackage, excerpt,
};
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
/// How causes begin by which something else has a distribution.
const ELSEWHERE: [&str; 3] = ["provided by the runtime ", "provided by the layer ", "the project itself,"];

/// What a bill of materials lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its format and version, such as `CycloneDX 1.5`.
    pub format: String,
    /// What it is about, as it says.
    pub subject: Option<String>,
    /// The components, sorted by id. They own no files.
    pub components: Vec<Component>,
    /// What it says of some that is not so of others.
    pub aside: Aside,
    /// How many entries were passed over: files, and what has no name.
    pub passed_over: usize,
}

/// What a bill of materials says is not as the rest of what it names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aside {
    /// What is not inside what it is about, and so is none of its components, with the reason. Sorted by id.
    pub absent: Vec<(Component, String)>,
    /// What something else brings, such as the runtime, with that. Sorted by id.
    pub elsewhere: Vec<(Component, String)>,
    /// Of its components, the artifact's own code.
    pub own: BTreeSet<ComponentId>,
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
        omitted(json, &mut all)?;
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
    package: Option<SystemPackage>,
    excluded: bool,
    is_own: bool,
}

/// Each version of a thing once, with the reason.
type LeftOut = BTreeMap<(ComponentId, Option<String>), (Component, String)>;

#[derive(Default)]
struct Entries {
    all: Vec<Entry>,
    /// What is not inside, and what something else brings, with the reason.
    absent: LeftOut,
    elsewhere: LeftOut,
    passed_over: usize,
}

impl Entries {
    fn put(&mut self, entry: Option<Entry>) -> Result<(), ListedError> {
        match entry {
            Some(entry) => self.all.push(entry),
            None => self.passed_over += 1,
        }
        self.are_bounded()
    }

    fn are_bounded(&self) -> Result<(), ListedError> {
        let count = self.all.len() + self.absent.len() + self.elsewhere.len();
        if count > MOST { Err(ListedError::TooMany) } else { Ok(()) }
    }

    fn listed(mut self, format: String, subject: Option<&str>) -> Listed {
        let mut by_id: BTreeMap<ComponentId, Vec<(ComponentId, Entry)>> = BTreeMap::new();
        for entry in self.all {
            let id = id(&entry);
            by_id.entry(id.clone()).or_default().push((id, entry));
        }
        let (mut components, mut own) = (BTreeMap::new(), BTreeSet::new());
        for mut copies in by_id.into_values() {
            // What is inside, be it excluded elsewhere, is inside.
            copies.sort_by(|a, b| (&a.1.version, a.1.excluded).cmp(&(&b.1.version, b.1.excluded)));
            copies.dedup_by(|a, b| a.1.version == b.1.version);
            // Of several versions of one thing, each but the oldest is called by its version, too.
            for (index, (id, entry)) in copies.into_iter().enumerate() {
                let id = match (&entry.version, index) {
                    (Some(version), 1..) => {
                        ComponentId::new(id.ecosystem(), &format!("{}/{version}", id.name()))
                    }
                    _ => id,
                };
                if entry.excluded {
                    leave_out(&mut self.absent, component(id, entry), "its scope is `excluded`");
                    continue;
                }
                if entry.is_own {
                    own.insert(id.clone());
                }
                components.insert(id.clone(), component(id, entry));
            }
        }
        let subject = subject.map(excerpt);
        Listed {
            format,
            subject,
            components: components.into_values().collect(),
            aside: Aside {
                absent: self.absent.into_values().collect(),
                elsewhere: self.elsewhere.into_values().collect(),
                own,
            },
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
        // kiln writes of each component of a record which ecosystem it is of.
        let ecosystem = property(one, "kiln:ecosystem");
        let entry = name.map(|name| Entry {
            name,
            // A copy that does not say which version it is of is known by its files.
            version: line(one, "version")
                .filter(|version| ecosystem != Some("python") || !version.starts_with("sha256:")),
            purl: line(one, "purl"),
            metadata: cyclonedx_license(one),
            package: line(one, "purl")
                .filter(|_| ecosystem == Some("debian"))
                .and_then(|purl| package(&purl)),
            excluded: one.get("scope").and_then(Value::as_str) == Some("excluded"),
            // What is from a repository has its commit.
            is_own: ecosystem == Some("application") && property(one, "kiln:commit").is_none(),
        });
        let is_external = one.get("isExternal").and_then(Value::as_bool) == Some(true)
            || property(one, "kiln:external") == Some("true");
        match entry {
            // What all of it runs on is no part that it lacks.
            Some(_) if is_external && one.get("type").and_then(Value::as_str) == Some("platform") => {}
            Some(entry) if is_external => {
                let id = id(&entry);
                leave_out(&mut all.elsewhere, component(id, entry), "expected where it runs");
                all.are_bounded()?;
            }
            entry => all.put(entry)?,
        }
        if depth < DEEPEST {
            cyclonedx(one, depth + 1, all)?;
        }
    }
    Ok(())
}

/// What kiln says of distributions of the lock that are left out.
fn omitted(json: &Value, all: &mut Entries) -> Result<(), ListedError> {
    let properties = json.pointer("/metadata/properties").and_then(Value::as_array);
    for one in properties.into_iter().flatten() {
        let name = line(one, "name")
            .and_then(|name| name.strip_prefix("kiln:omitted:")?.parse::<DistributionName>().ok());
        let said = line(one, "value");
        let Some((name, (version, cause))) = name.zip(said.as_deref().and_then(|said| said.split_once(": ")))
        else {
            continue;
        };
        let entry = Entry {
            name: name.as_str().to_owned(),
            version: Some(version.to_owned()),
            purl: None,
            metadata: Metadata::default(),
            package: None,
            excluded: true,
            is_own: false,
        };
        let id = ComponentId::new(Ecosystem::Python, name.as_str());
        let is_elsewhere = ELSEWHERE.iter().any(|words| cause.starts_with(words));
        let left_out = if is_elsewhere { &mut all.elsewhere } else { &mut all.absent };
        leave_out(left_out, component(id, entry), cause);
        all.are_bounded()?;
    }
    Ok(())
}

fn leave_out(all: &mut LeftOut, component: Component, reason: &str) {
    all.insert((component.id.clone(), component.version.clone()), (component, reason.to_owned()));
}

/// A property of a component.
fn property<'a>(component: &'a Value, name: &str) -> Option<&'a str> {
    let properties = component.get("properties").and_then(Value::as_array).into_iter().flatten();
    let mut values = properties
        .filter(|one| one.get("name").and_then(Value::as_str) == Some(name))
        .filter_map(|one| one.get("value").and_then(Value::as_str));
    values.next()
}

/// What a package URL says of a package of a distribution of Linux beyond its name.
fn package(purl: &str) -> Option<SystemPackage> {
    let purl = PackageUrl::from_str(purl).ok()?;
    let stated = |name: &str| purl.qualifiers().get(name).map(ToString::to_string);
    let distro = stated("distro")?;
    let (id, release) = distro.rsplit_once('-')?;
    let upstream = stated("upstream");
    let (source, source_version) = match upstream.as_deref().map(|text| text.split_once('@')) {
        Some(Some((source, version))) => (Some(source.to_owned()), Some(version.to_owned())),
        _ => (upstream, None),
    };
    Some(SystemPackage {
        architecture: stated("arch").unwrap_or_default(),
        source,
        source_version,
        distribution: Some(Distribution { id: id.to_owned(), version: Some(release.to_owned()), cpe: None }),
    })
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
            package: None,
            excluded: false,
            is_own: false,
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
        package: entry.package,
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
    use kiln_record::Cause;
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
    fn what_is_excluded_everywhere_is_told_apart() {
        let one = |name: &str, scope: &str| json!({"type": "library", "name": name, "version": "1", "purl": format!("pkg:pypi/{name}@1"), "scope": scope});
        let components = [
            one("six", "excluded"),
            one("idna", "excluded"),
            one("idna", "required"),
            one("attrs", "optional"),
        ];
        let document = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components});
        let listed = read_listed(&document).unwrap().unwrap();
        assert_eq!(ids(&listed), [("python/attrs", Some("1")), ("python/idna", Some("1"))]);
        let absent = listed.aside.absent.iter().map(|(one, reason)| (one.id.as_str(), reason.as_str()));
        assert_eq!(absent.collect::<Vec<_>>(), [("python/six", "its scope is `excluded`")]);
    }

    #[test]
    fn what_kiln_says_of_its_own_is_told_apart() {
        let layer = Cause::Layer { layer: "base".parse().unwrap(), version: "2".to_owned() };
        let runtime = Cause::Runtime { runtime: "python3.13".to_owned() };
        let omitted = |name: &str, cause: &Cause| json!({"name": format!("kiln:omitted:{name}"), "value": format!("1: {cause}")});
        let own = |ecosystem: &str| json!([{"name": "kiln:ecosystem", "value": ecosystem}]);
        let document = json!({
            "bomFormat": "CycloneDX", "specVersion": "1.6",
            "metadata": {"properties": [
                omitted("a", &layer), omitted("b", &runtime), omitted("c", &Cause::OwnProject), omitted("d", &Cause::Excluded),
                {"name": "kiln:omitted:d", "value": "2: replaced by 3"},
            ]},
            "components": [
                {"type": "application", "name": "app", "version": "sha256:0", "properties": own("application")},
                {"type": "library", "name": "copy", "version": "sha256:1", "purl": "pkg:pypi/copy", "properties": own("python")},
                {"type": "library", "name": "libstdc++6", "version": "14", "properties": own("debian"),
                 "purl": "pkg:deb/debian/libstdc%2B%2B6@14?arch=amd64&distro=debian-13&upstream=gcc-14%4014.2"},
                {"type": "library", "name": "libc6", "version": "2", "purl": "pkg:deb/debian/libc6@2?distro=debian-13"},
                {"type": "platform", "name": "python3.13", "properties": [{"name": "kiln:external", "value": "true"}]},
                {"type": "library", "name": "e", "purl": "pkg:pypi/e", "isExternal": true},
            ],
        });
        let listed = read_listed(&document).unwrap().unwrap();
        let app = ("native/generic/app", Some("sha256:0"));
        let libraries =
            [("debian/libc6", Some("2")), ("debian/libstdc++6", Some("14")), app, ("python/copy", None)];
        assert_eq!(ids(&listed), libraries);
        let named =
            |all: &[(Component, String)]| all.iter().map(|(one, _)| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(named(&listed.aside.absent), ["d", "d"], "each of several versions");
        assert_eq!(named(&listed.aside.elsewhere), ["a", "b", "c", "e"]);
        assert_eq!(
            listed.aside.own.iter().map(ComponentId::as_str).collect::<Vec<_>>(),
            ["native/generic/app"]
        );
        let package = listed.components[1].package.as_ref().unwrap();
        assert_eq!(
            (package.source.as_deref(), package.source_version.as_deref()),
            (Some("gcc-14"), Some("14.2"))
        );
        let release = package.distribution.as_ref().and_then(|distribution| distribution.version.as_deref());
        assert_eq!(release, Some("13"));
        assert_eq!(
            listed.components[0].package, None,
            "of others it is not known which source package it is of"
        );
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
