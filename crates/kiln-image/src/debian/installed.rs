//! The packages that a root file system says it has: dpkg's database (dpkg(1), "FILES"; deb-control(5)).

use super::control::Stanzas;
use crate::ImageError;
use crate::contents::{ImageContents, OsPackage};
use crate::package_files::PackageFiles;
use kiln_record::{Ecosystem, TreePath};
use std::collections::BTreeMap;

const STATUS: &str = "var/lib/dpkg/status";
const STATUS_FOLDER: &str = "var/lib/dpkg/status.d";
const INFO: &str = "var/lib/dpkg/info";
/// Packages of one system.
const PACKAGE_LIMIT: usize = 20_000;

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
                    source: None,
                    name,
                    bytes: 0,
                    files: 0,
                },
            );
        }
    }
    let mut files = PackageFiles::of(contents);
    let mut packages: Vec<OsPackage> = packages.into_values().collect();
    for package in &mut packages {
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
