//! The packages that rpm says a root file system has.

use super::header::Header;
use super::{berkeley, ndb, sqlite};
use crate::contents::{ImageContents, OsPackage};
use crate::package_files::PackageFiles;
use kiln_record::{Ecosystem, TreePath};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Folders that the database was in: that of most systems, of those with an `/usr` that is an image, of SUSE.
const FOLDERS: [&str; 3] = ["var/lib/rpm", "usr/share/rpm", "usr/lib/sysimage/rpm"];
const SQLITE: &str = "rpmdb.sqlite";
const SQLITE_LOG: &str = "rpmdb.sqlite-wal";
const NDB: &str = "Packages.db";
const BERKELEY: &str = "Packages";
/// Packages of one system.
const PACKAGE_LIMIT: usize = 20_000;
/// The bytes of all paths of a system: names may share one long folder, so they are more than the database is long.
const PATHS_LIMIT: usize = 256 << 20;

/// Whether a path is a file of rpm's database that is read.
pub(crate) fn is_database(path: &str) -> bool {
    path.rsplit_once('/').is_some_and(|(folder, name)| {
        FOLDERS.contains(&folder) && [SQLITE, SQLITE_LOG, NDB, BERKELEY].contains(&name)
    })
}

/// Reads the databases, and counts what each package accounts for; none if there is no database. Beside them, what could
/// not be read, each with the reason.
pub(crate) fn installed_packages(
    contents: &ImageContents,
    read: &BTreeMap<TreePath, Vec<u8>>,
) -> (Option<Vec<OsPackage>>, Vec<String>) {
    let (mut packages, mut unread) = (None::<Vec<OsPackage>>, Vec::new());
    let mut files = PackageFiles::of(contents);
    let mut known = Vec::new();
    for (folder, name) in FOLDERS.iter().flat_map(|folder| [SQLITE, NDB, BERKELEY].map(|name| (folder, name)))
    {
        let Some(path) = contents.resolve(&format!("{folder}/{name}")) else { continue };
        // One folder is often a link to another; what rpm leaves behind when it converts a database is empty.
        if known.contains(&path) || read.get(&path).is_some_and(Vec::is_empty) {
            continue;
        }
        known.push(path.clone());
        let log = contents.resolve(&format!("{folder}/{SQLITE_LOG}"));
        let log = log.filter(|_| name == SQLITE);
        match database(name, read.get(&path), log.and_then(|path| read.get(&path)), &mut files) {
            Ok(found) => packages.get_or_insert_default().extend(found),
            Err(reason) => unread.push(format!("/{path}: {reason}")),
        }
    }
    if let Some(packages) = &mut packages {
        packages.sort_by(|a, b| {
            (&a.name, &a.version, &a.architecture).cmp(&(&b.name, &b.version, &b.architecture))
        });
    }
    (packages, unread)
}

/// The packages of a database. Public keys stand among them, as packages that nothing was built of.
fn database(
    name: &str,
    file: Option<&Vec<u8>>,
    log: Option<&Vec<u8>>,
    files: &mut PackageFiles<'_>,
) -> Result<Vec<OsPackage>, String> {
    let file = file.ok_or("it is larger than kiln reads, or no file")?;
    let blobs: Vec<Cow<'_, [u8]>> = match name {
        SQLITE => sqlite::headers(file, log.map(Vec::as_slice))?.into_iter().map(Cow::Owned).collect(),
        NDB => ndb::headers(file)?.into_iter().map(Cow::Borrowed).collect(),
        _ => berkeley::headers(file)?.into_iter().map(Cow::Owned).collect(),
    };
    if blobs.len() > PACKAGE_LIMIT {
        return Err(format!("there are more than {PACKAGE_LIMIT} packages"));
    }
    let mut left = PATHS_LIMIT;
    let mut packages = Vec::new();
    for blob in blobs {
        let header = Header::read(&blob, &mut left)?;
        if header.name != "gpg-pubkey" {
            packages.push(package(header, files));
        }
    }
    Ok(packages)
}

fn package(header: Header, files: &mut PackageFiles<'_>) -> OsPackage {
    let epoch = header.epoch.filter(|epoch| *epoch > 0).map(|epoch| format!("{epoch}:")).unwrap_or_default();
    let mut package = OsPackage {
        ecosystem: Ecosystem::Rpm,
        version: format!("{epoch}{}-{}", header.version, header.release),
        architecture: header.architecture.unwrap_or_default(),
        maintainer: header.vendor,
        summary: header.summary,
        homepage: header.url,
        license: header.license,
        source: header.source_rpm,
        source_version: None,
        // What rpm requires are capabilities, and which package has one is not looked up.
        requires: BTreeSet::new(),
        name: header.name,
        bytes: 0,
        files: 0,
    };
    for path in &header.files {
        files.count(&mut package, path);
    }
    package
}
