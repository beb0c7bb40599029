//! What of a build can be looked up in advisories, and what cannot.

use kiln_find::ways_to;
use kiln_record::{
    Cause, Component, ComponentId, Digest, DistributionName, Ecosystem, EmbeddedScope, OriginSource, Record,
};
use packageurl::PackageUrl;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

/// The most files that a subject names; all are counted.
const FILES: usize = 20;
/// Why own code is not looked up.
const OWN_CODE: &str = "the artifact's own code";

/// Whose advisories something is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Registry {
    /// The Python package index.
    PyPi,
    /// The registry of crates of Rust.
    CratesIo,
    /// A release of Debian, by its number.
    Debian {
        /// `VERSION_ID` of its os-release, such as `13`.
        release: String,
    },
}

impl Registry {
    /// The name that OSV has for the ecosystem, without a release.
    #[must_use]
    pub fn ecosystem(&self) -> &'static str {
        match self {
            Self::PyPi => "PyPI",
            Self::CratesIo => "crates.io",
            Self::Debian { .. } => "Debian",
        }
    }

    /// The ecosystem that a document names, without its release, if it is one of these.
    pub(crate) fn known(ecosystem: &str) -> Option<&'static str> {
        let name = ecosystem.split(':').next()?;
        ["PyPI", "crates.io", "Debian"].into_iter().find(|known| *known == name)
    }

    /// Whether an advisory's ecosystem is this one; of Debian without a release, each is meant.
    pub(crate) fn is_of(&self, ecosystem: &str) -> bool {
        match (self, ecosystem.split_once(':')) {
            (Self::Debian { release }, Some(("Debian", stated))) => release == stated,
            (_, Some(_)) => false,
            (_, None) => ecosystem == self.ecosystem(),
        }
    }
}

/// The name of a package as its ecosystem compares it.
pub(crate) fn normalised(ecosystem: &str, name: &str) -> String {
    match ecosystem {
        "PyPI" => {
            name.parse::<DistributionName>().map_or_else(|_| name.to_owned(), |name| name.as_str().to_owned())
        }
        _ => name.to_owned(),
    }
}

/// Something in a build that advisories may be about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Whose advisories it is in.
    pub registry: Registry,
    /// The name that advisories know it by: of a package of Debian, its source package.
    pub name: String,
    /// The version of that.
    pub version: String,
    /// The component of the build that it is, or is inside.
    pub component: ComponentId,
    /// Its package URL.
    pub purl: String,
    /// The digest of what was taken in, if known: of a wheel, a package.
    pub digest: Option<Digest>,
    /// The components that lead to it, from one that nothing requires; empty for such a one.
    pub via: Vec<String>,
    /// The first files of the artifact that it accounts for, or is inside.
    pub files: Vec<String>,
    /// How many those are.
    pub file_count: u64,
    /// What the build's own evidence says of its use: it is never imported, neither when the handler is loaded nor, as far as can
    /// be read, within functions.
    pub never_imported: bool,
}

impl Subject {
    /// Name and version.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// Something in a build that no advisory was looked up for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NotChecked {
    /// What it is: a component, or a part of one.
    pub name: String,
    /// Its version, if it has one.
    pub version: Option<String>,
    /// The component that it is, or is inside.
    pub component: ComponentId,
    /// Why.
    pub reason: String,
}

/// All of a build, by whether it can be looked up.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    /// What can be.
    pub checked: Vec<Subject>,
    /// What cannot.
    pub unchecked: Vec<NotChecked>,
    /// What the build's lock or a bill inside it names and the artifact does not have, with the reason.
    pub absent: Vec<(Subject, String)>,
    /// What the artifact is known by.
    pub(crate) artifact: BTreeSet<Digest>,
}

impl Subjects {
    /// Adds what a bill of the build says is not inside, and so is no component of its record, with the reason.
    #[must_use]
    pub fn with_absent(mut self, absent: &[(Component, String)]) -> Self {
        for (component, reason) in absent {
            if let Ok((registry, name, version)) = registered(component) {
                let subject = part(registry, &name, &version, component.id.clone());
                self.absent.push((subject, reason.clone()));
            }
        }
        self
    }

    /// Adds what it says something else brings.
    #[must_use]
    pub fn with_elsewhere(mut self, elsewhere: &[(Component, String)]) -> Self {
        self.unchecked.extend(elsewhere.iter().map(|(component, reason)| NotChecked {
            name: component.name.clone(),
            version: component.version.clone(),
            component: component.id.clone(),
            reason: not_in_it(reason),
        }));
        self.unchecked.sort();
        self
    }

    /// Tells the artifact's own code by what it is, where a bill of the build has it among all else.
    #[must_use]
    pub fn with_own(mut self, own: &BTreeSet<ComponentId>) -> Self {
        for one in self.unchecked.iter_mut().filter(|one| own.contains(&one.component)) {
            // What the bill has as its version are its bytes.
            one.version = None;
            OWN_CODE.clone_into(&mut one.reason);
        }
        self.unchecked.sort();
        self
    }
}

/// Sorts what a record holds. `has_imports` of a record that nothing was imported for says nothing of use.
#[must_use]
pub fn subjects(record: &Record) -> Subjects {
    let (ways, files) = (ways_to(record), Files::of(record));
    let image = record.image.as_ref().map(|image| image.manifest);
    let artifact = record.outputs.iter().map(|output| output.digest).chain(image).collect();
    let mut all = Subjects { artifact, ..Subjects::default() };
    let unused: BTreeSet<&str> = record
        .imports
        .iter()
        .flat_map(|imports| {
            let lazily: BTreeSet<&str> = imports.imported_lazily.iter().map(String::as_str).collect();
            imports.never_imported.iter().map(String::as_str).filter(move |name| !lazily.contains(name))
        })
        .collect();
    let computes = record.imports.as_ref().is_some_and(|imports| !imports.computed.is_empty());
    for component in &record.components {
        let via = match &component.within {
            Some(within) => with(&ways, within),
            None => ways.get(&component.id).cloned().unwrap_or_default(),
        };
        let (named, count) = files.of_component(&component.id);
        match registered(component) {
            Ok((registry, name, version)) => all.checked.push(Subject {
                purl: purl(&registry, &component.name, component.version.as_deref().unwrap_or(&version)),
                never_imported: !computes
                    && component.ecosystem == Ecosystem::Python
                    && component.within.is_none()
                    && !component.from_base
                    && unused.contains(component.name.as_str()),
                registry,
                name,
                version,
                component: component.id.clone(),
                digest: component.origin.as_ref().map(|origin| origin.digest),
                via,
                files: named,
                file_count: count,
            }),
            Err(reason) => all.unchecked.push(NotChecked {
                name: component.name.clone(),
                version: component.version.clone(),
                component: component.id.clone(),
                reason: reason.to_owned(),
            }),
        }
        parts(component, &with(&ways, &component.id), &files, &mut all);
    }
    linked(record, &ways, &mut all);
    for gap in &record.gaps {
        let is_elsewhere =
            matches!(gap.cause, Cause::Runtime { .. } | Cause::Layer { .. } | Cause::OwnProject);
        let id = ComponentId::new(Ecosystem::Python, &gap.distribution);
        if is_elsewhere {
            all.unchecked.push(NotChecked {
                name: gap.distribution.clone(),
                version: Some(gap.version.clone()),
                component: id,
                reason: not_in_it(&gap.cause),
            });
            continue;
        }
        let subject = part(Registry::PyPi, &gap.distribution, &gap.version, id);
        all.absent.push((subject, gap.cause.to_string()));
    }
    all.checked.sort();
    all.checked.dedup_by(|a, b| (&a.purl, &a.component) == (&b.purl, &b.component));
    all.unchecked.sort();
    all.unchecked.dedup();
    all
}

fn not_in_it(cause: &impl std::fmt::Display) -> String {
    format!("not in this artifact: {cause}")
}

/// Whose advisories a component is in, and by which name and version; else why in none.
fn registered(component: &Component) -> Result<(Registry, String, String), &'static str> {
    let version = component.version.clone().ok_or("it has no version");
    let source = component.built_from.as_ref().map_or(component.origin.as_ref(), |built| Some(&built.sdist));
    match component.ecosystem {
        Ecosystem::Application if component.upstream.is_some() => {
            Err("a source from a repository, known by its commit alone")
        }
        Ecosystem::Application => Err(OWN_CODE),
        Ecosystem::Python
            if matches!(source.and_then(|one| one.source.as_ref()), Some(OriginSource::Folder { .. })) =>
        {
            Err("a project of the workspace, which is in no index")
        }
        Ecosystem::Python => Ok((Registry::PyPi, normalised("PyPI", &component.name), version?)),
        Ecosystem::Debian => {
            let package = component.package.as_ref();
            let release = package
                .and_then(|package| package.distribution.as_ref())
                .filter(|distribution| distribution.id == "debian")
                .and_then(|distribution| distribution.version.clone())
                .ok_or("a package of Debian or its kin, of which it is not known which release")?;
            let name =
                package.and_then(|package| package.source.clone()).unwrap_or_else(|| component.name.clone());
            let source_version = package.and_then(|package| package.source_version.clone());
            Ok((Registry::Debian { release }, name, source_version.map_or(version, Ok)?))
        }
        Ecosystem::Rpm => Err("a package of rpm, whose advisories are not in this form"),
        Ecosystem::Native => match component.id.name().split_once('/') {
            // Lists of components of others have what kiln has no word for by the type of its package URL.
            Some(("cargo", name)) => {
                Ok((Registry::CratesIo, name.split('/').next().unwrap_or(name).to_owned(), version?))
            }
            // A list of components names anything; in a record, what is native is inside something.
            _ if component.within.is_none() => Err("of no ecosystem that is looked up"),
            _ => Err("a native library, which no ecosystem names"),
        },
    }
}

/// What a component's own bill says is inside it.
fn parts(component: &Component, via: &[String], files: &Files<'_>, all: &mut Subjects) {
    let (named, count) = files.of_component(&component.id);
    for part in &component.embedded {
        let is_excluded = part.scope == Some(EmbeddedScope::Excluded);
        match part.purl.as_deref().map(of_purl) {
            Some(Some((registry, name, version))) => {
                let subject = Subject {
                    digest: part.sha256,
                    via: via.to_vec(),
                    files: named.clone(),
                    file_count: count,
                    ..self::part(registry, &name, &version, component.id.clone())
                };
                match is_excluded {
                    true => all.absent.push((
                        subject,
                        format!("`{}` says that it took part in making it and is not inside", part.stated_in),
                    )),
                    false => all.checked.push(subject),
                }
            }
            _ if is_excluded => {}
            purl => all.unchecked.push(NotChecked {
                name: part.name.clone(),
                version: part.version.clone(),
                component: component.id.clone(),
                reason: unknown(purl.is_some()).to_owned(),
            }),
        }
    }
}

/// What the bytes of native files show.
fn linked(record: &Record, ways: &BTreeMap<ComponentId, Vec<String>>, all: &mut Subjects) {
    let owners: BTreeMap<_, _> = match record.binaries.is_empty() {
        true => BTreeMap::new(),
        false => record.files.iter().map(|file| (&file.path, &file.component)).collect(),
    };
    let mut by_part: BTreeMap<(String, ComponentId), Subject> = BTreeMap::new();
    for (path, binary) in &record.binaries {
        let Some(owner) = owners.get(path) else { continue };
        for found in &binary.linked {
            match of_purl(&found.purl) {
                Some((registry, name, version)) => {
                    let subject = part(registry, &name, &version, (*owner).clone());
                    let known = by_part.entry((subject.purl.clone(), (*owner).clone())).or_insert(subject);
                    known.via = with(ways, owner);
                    known.file_count += 1;
                    if known.files.len() < FILES {
                        known.files.push(path.to_string());
                    }
                }
                None => all.unchecked.push(NotChecked {
                    name: found.name.clone(),
                    version: found.version.clone(),
                    component: (*owner).clone(),
                    reason: unknown(true).to_owned(),
                }),
            }
        }
    }
    // Where the bytes show what a bill says too, the files are those that have it.
    for (key, subject) in by_part {
        all.checked.retain(|known| (&known.purl, &known.component) != (&key.0, &key.1));
        all.checked.push(subject);
    }
}

fn unknown(has_purl: bool) -> &'static str {
    match has_purl {
        true => "linked in or listed, and of no ecosystem that is looked up",
        false => "listed without a package URL",
    }
}

/// A part of a component.
fn part(registry: Registry, name: &str, version: &str, component: ComponentId) -> Subject {
    Subject {
        purl: purl(&registry, name, version),
        name: normalised(registry.ecosystem(), name),
        registry,
        version: version.to_owned(),
        component,
        digest: None,
        via: Vec::new(),
        files: Vec::new(),
        file_count: 0,
        never_imported: false,
    }
}

/// Whose advisories a package URL is in; those of Debian need a release, which parts do not have.
fn of_purl(text: &str) -> Option<(Registry, String, String)> {
    let purl = PackageUrl::from_str(text).ok()?;
    let registry = match purl.ty() {
        "pypi" => Registry::PyPi,
        "cargo" => Registry::CratesIo,
        _ => return None,
    };
    Some((registry, purl.name().to_owned(), purl.version()?.to_owned()))
}

fn purl(registry: &Registry, name: &str, version: &str) -> String {
    let (kind, namespace) = match registry {
        Registry::PyPi => ("pypi", None),
        Registry::CratesIo => ("cargo", None),
        Registry::Debian { .. } => ("deb", Some("debian")),
    };
    let made = PackageUrl::new(kind, name.to_owned()).and_then(|mut purl| {
        if let Some(namespace) = namespace {
            purl.with_namespace(namespace)?;
        }
        purl.with_version(version.to_owned())?;
        Ok(purl.to_string())
    });
    made.unwrap_or_else(|_| format!("pkg:{kind}/{name}@{version}"))
}

fn with(ways: &BTreeMap<ComponentId, Vec<String>>, id: &ComponentId) -> Vec<String> {
    let mut way = ways.get(id).cloned().unwrap_or_default();
    way.push(id.name().to_owned());
    way
}

/// The files of each component.
struct Files<'a>(BTreeMap<&'a ComponentId, (Vec<String>, u64)>);

impl<'a> Files<'a> {
    fn of(record: &'a Record) -> Self {
        let mut all: BTreeMap<&ComponentId, (Vec<String>, u64)> = BTreeMap::new();
        for file in &record.files {
            let (files, count) = all.entry(&file.component).or_default();
            *count += 1;
            if files.len() < FILES {
                files.push(file.path.to_string());
            }
        }
        Self(all)
    }

    fn of_component(&self, id: &ComponentId) -> (Vec<String>, u64) {
        self.0.get(id).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A distribution in a version.
    pub(crate) fn python(name: &str, version: &str) -> Subject {
        part(Registry::PyPi, name, version, ComponentId::new(Ecosystem::Python, name))
    }

    #[test]
    fn an_ecosystem_is_compared_with_its_release() {
        let debian = Registry::Debian { release: "13".to_owned() };
        for (ecosystem, expected) in [
            ("Debian:13", true),
            ("Debian", true),
            ("Debian:12", false),
            ("PyPI", false),
            ("debian:13", false),
        ] {
            assert_eq!(debian.is_of(ecosystem), expected, "{ecosystem}");
        }
        assert!(Registry::PyPi.is_of("PyPI") && !Registry::PyPi.is_of("PyPI:1"));
        assert_eq!(Registry::known("Debian:13:x"), Some("Debian"));
        assert_eq!(Registry::known("npm"), None);
    }

    #[test]
    fn package_urls_are_by_their_types() {
        assert_eq!(python("Some_Words", "1+local").purl, "pkg:pypi/some-words@1%2Blocal");
        assert_eq!(python("Some_Words", "1").name, "some-words");
        assert_eq!(of_purl("pkg:generic/openssl@3"), None);
        assert_eq!(of_purl("pkg:cargo/ring@0.17.8").unwrap().2, "0.17.8");
        assert_eq!(of_purl("pkg:cargo/ring"), None);
    }
}
