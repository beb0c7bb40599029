//! The packages that a root file system says it has: dpkg's database (dpkg(1), "FILES"; deb-control(5)).

use super::control::{Stanza, Stanzas};
use super::copyright;
use super::relation::parse_relations;
use crate::ImageError;
use crate::contents::{ImageContents, OsPackage};
use crate::package_files::PackageFiles;
use kiln_record::{Ecosystem, TreePath};
use std::collections::{BTreeMap, BTreeSet};

const STATUS: &str = "var/lib/dpkg/status";
const STATUS_FOLDER: &str = "var/lib/dpkg/status.d";
const INFO: &str = "var/lib/dpkg/info";
const DOCUMENTS: &str = "usr/share/doc/";
/// Packages of one system.
const PACKAGE_LIMIT: usize = 20_000;

/// Whether a path is where a package says what its licence is (Debian policy 12.5).
pub(crate) fn is_copyright(path: &str) -> bool {
    path.strip_prefix(DOCUMENTS)
        .and_then(|rest| rest.strip_suffix("/copyright"))
        .is_some_and(|p| !p.contains('/'))
}

/// Reads the database, and counts what each package accounts for; none if there is no database.
pub(crate) fn installed_packages(
    contents: &ImageContents,
    read: &BTreeMap<TreePath, Vec<u8>>,
) -> Result<Option<Vec<OsPackage>>, ImageError> {
    let texts: Vec<String> = read
        .iter()
        .filter(|(path, _)| path.as_str() == STATUS || path.is_within(STATUS_FOLDER))
        .map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    if texts.is_empty() {
        return Ok(None);
    }
    let mut packages: BTreeMap<String, OsPackage> = BTreeMap::new();
    let mut needs = Needs::default();
    for text in &texts {
        for stanza in Stanzas::new("dpkg/status", text) {
            let stanza = stanza?;
            // What was removed and has configuration left is listed, too.
            if stanza.get("Status").is_some_and(|status| !status.ends_with(" installed")) {
                continue;
            }
            let name = stanza.require("dpkg/status", "Package")?.to_owned();
            if packages.len() == PACKAGE_LIMIT {
                return Err(
                    stanza.malformed("dpkg/status", format!("there are more than {PACKAGE_LIMIT} packages"))
                );
            }
            let first_line = |field: &str| {
                stanza.get(field).and_then(|text| text.lines().next()).map(|line| line.trim().to_owned())
            };
            let (source, source_version) = source(&stanza);
            needs.add(&name, &stanza);
            packages.insert(
                name.clone(),
                OsPackage {
                    ecosystem: Ecosystem::Debian,
                    version: stanza.require("dpkg/status", "Version")?.to_owned(),
                    architecture: stanza.get("Architecture").unwrap_or_default().to_owned(),
                    maintainer: first_line("Maintainer"),
                    summary: first_line("Description"),
                    homepage: first_line("Homepage"),
                    license: None,
                    source,
                    source_version,
                    requires: BTreeSet::new(),
                    name,
                    bytes: 0,
                    files: 0,
                },
            );
        }
    }
    let mut files = PackageFiles::of(contents);
    let mut packages: Vec<OsPackage> = packages.into_values().collect();
    needs.resolve(&mut packages);
    for package in &mut packages {
        package.license = contents
            .resolve(&format!("{DOCUMENTS}{}/copyright", package.name))
            .and_then(|path| copyright::license(&String::from_utf8_lossy(read.get(&path)?)));
        let list = [
            format!("{INFO}/{}.list", package.name),
            format!("{INFO}/{}:{}.list", package.name, package.architecture),
        ]
        .into_iter()
        .find_map(|path| read.get(&TreePath::new(&path).ok()?));
        let Some(list) = list else { continue };
        for line in String::from_utf8_lossy(list).lines() {
            files.count(package, line);
        }
    }
    Ok(Some(packages))
}

/// The source package, and its version where it is another than the package's own: `gcc-14 (14.2.0-19)`.
fn source(stanza: &Stanza<'_>) -> (Option<String>, Option<String>) {
    let Some(text) = stanza.get("Source").filter(|text| !text.is_empty()) else { return (None, None) };
    match text.split_once('(') {
        Some((name, version)) => {
            (Some(name.trim().to_owned()), Some(version.trim_end_matches(')').trim().to_owned()))
        }
        None => (Some(text.to_owned()), None),
    }
}

/// What packages ask for, until all are known. A field that is malformed says nothing: dpkg judged it when it installed the package.
#[derive(Default)]
struct Needs {
    /// The alternatives of each need, by package.
    asked: BTreeMap<String, Vec<Vec<String>>>,
    /// Who has a virtual package.
    provided: BTreeMap<String, BTreeSet<String>>,
}

impl Needs {
    fn add(&mut self, name: &str, stanza: &Stanza<'_>) {
        for field in ["Pre-Depends", "Depends"] {
            let relations = parse_relations(stanza.get(field).unwrap_or_default()).unwrap_or_default();
            let names = relations.into_iter().map(|group| group.into_iter().map(|one| one.name).collect());
            self.asked.entry(name.to_owned()).or_default().extend(names);
        }
        for group in parse_relations(stanza.get("Provides").unwrap_or_default()).unwrap_or_default() {
            for virtual_package in group {
                self.provided.entry(virtual_package.name).or_default().insert(name.to_owned());
            }
        }
    }

    /// Says of each package which installed ones it depends on. Of alternatives, those that are there: one is enough, and which is
    /// used is not said.
    fn resolve(self, packages: &mut [OsPackage]) {
        let installed: BTreeSet<String> = packages.iter().map(|package| package.name.clone()).collect();
        for package in packages {
            let asked = self.asked.get(&package.name).into_iter().flatten().flatten();
            for name in asked {
                if installed.contains(name) {
                    package.requires.insert(name.clone());
                } else {
                    package.requires.extend(self.provided.get(name).into_iter().flatten().cloned());
                }
            }
            package.requires.remove(&package.name);
        }
    }
}
