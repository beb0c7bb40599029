//! Which packages of a base moved. Its digest is all that a record of a zip has of it; the packages are in the lock that pins it, and in
//! records of images that stand on it.

use crate::content::Content;
use crate::named_build::NamedBuild;
use crate::scan::ImagePlace;
use crate::source_files::SourceFiles;
use fs_err as fs;
use kiln_audit::{BasePackages, Diff};
use kiln_invocation::Environment;
use kiln_plan::BaseLock;
use kiln_record::{Digest, Ecosystem, InputRole, Platform, Record};
use kiln_store::read_regular;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The most records that are looked through for an image on a base.
const MOST_RECORDS: usize = 500;

/// The versions of packages by their names.
type Packages = BTreeMap<String, String>;

/// Says of each base that moved which of its packages did, where its pin is, and which commit moved that.
pub(crate) fn name_packages(
    environment: &Environment,
    before: &NamedBuild,
    after: &NamedBuild,
    diff: &mut Diff,
) {
    let (then, now) = (Side::new(environment, before), Side::new(environment, after));
    for input in &mut diff.inputs {
        let is_base = matches!(input.role, InputRole::Base | InputRole::BuildBase | InputRole::StepBase);
        let (true, Some(old), Some(new)) = (is_base, input.before, input.after) else { continue };
        input.stated = now.stated(&input.name, &new);
        // The packages of an image's own base are components of it.
        let is_image = before.record.kind.is_image() && after.record.kind.is_image();
        if is_image && input.role == InputRole::Base {
            continue;
        }
        input.packages =
            Some(match (then.packages(&input.name, &old, &now), now.packages(&input.name, &new, &then)) {
                (Some(old), Some(new)) => BasePackages::between(&old, &new),
                (old, new) => {
                    BasePackages { not_known: Some(why(old.is_some(), new.is_some())), moved: Vec::new() }
                }
            });
    }
}

fn why(old: bool, new: bool) -> String {
    let side = match (old, new) {
        (false, false) => "before and after",
        (false, true) => "before",
        _ => "after",
    };
    format!(
        "no lock and no record of an image on it is at hand that lists those of the base {side}; in the workspace, at the commit of each \
         build, its lock does"
    )
}

/// What is at hand of one of two builds.
struct Side<'a> {
    files: SourceFiles<'a>,
    environment: &'a Environment,
    /// The folder that holds the folder of the build.
    beside: Option<PathBuf>,
}

impl<'a> Side<'a> {
    fn new(environment: &'a Environment, build: &NamedBuild) -> Self {
        let file = match &build.content {
            Some(Content::Zip(zip)) => Some(zip.path()),
            Some(Content::Folder(path) | Content::Image(ImagePlace::Folder(path))) => Some(path.as_path()),
            Some(Content::Image(ImagePlace::Archive(path, _))) => Some(path.as_path()),
            None => None,
        };
        let beside = file.and_then(Path::parent).and_then(Path::parent).map(Path::to_owned);
        Self { files: SourceFiles::of(environment, build), environment, beside }
    }

    /// The lock of a base as the build had it: the path, its text, and what it says of the platform.
    fn lock(&self, name: &str, manifest: &Digest) -> Option<(String, String, BaseLock, Platform)> {
        if !self.environment.has_workspace() {
            return None;
        }
        let (base, platform) = name.split_once(' ')?;
        let platform: Platform = platform.parse().ok()?;
        let path = format!("images/{base}.lock");
        let read = |bytes: &[u8]| -> Option<BaseLock> {
            let text: Arc<str> = std::str::from_utf8(bytes).ok()?.into();
            BaseLock::parse(&path, &text).ok()
        };
        let is_it = |bytes: &[u8]| {
            read(bytes).is_some_and(|lock| {
                lock.platform.get(&platform).is_some_and(|locked| locked.manifest == *manifest)
            })
        };
        let text = self.files.text(&path, &is_it)?;
        let lock = read(text.as_bytes())?;
        Some((path, text, lock, platform))
    }

    /// Where the pin of a base is.
    fn stated(&self, name: &str, manifest: &Digest) -> Option<String> {
        let (path, text, lock, _) = self.lock(name, manifest)?;
        let digest = manifest.to_string();
        let line = text.lines().position(|line| line.contains(&digest))? + 1;
        let commit = self.files.last_change(&path, &text);
        let commit = commit.map(|commit| format!(", changed by commit {}", &commit[..commit.len().min(12)]));
        Some(format!("pinned at {path}:{line} on {}{}", lock.pinned, commit.unwrap_or_default()))
    }

    /// The packages of a base. What is at hand of the other build may know those of this one, too.
    fn packages(&self, name: &str, manifest: &Digest, other: &Self) -> Option<Packages> {
        let locked = [self, other].into_iter().find_map(|side| {
            let (_, _, lock, platform) = side.lock(name, manifest)?;
            let packages = &lock.platform.get(&platform)?.packages;
            (!packages.is_empty()).then(|| {
                let all = packages.iter().map(|one| (one.name.clone(), one.version.clone()));
                all.collect()
            })
        });
        locked.or_else(|| self.of_images(manifest)).or_else(|| other.of_images(manifest))
    }

    /// The packages that the record of an image on the base lists: of one that is published beside the build, or of the ledger.
    fn of_images(&self, manifest: &Digest) -> Option<Packages> {
        let folders = self.beside.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let beside = folders.take(MOST_RECORDS).filter_map(|folder| {
            let bytes = read_regular(folder.path().join("record.json")).ok()?;
            packages_of(&Record::from_json(&bytes).ok()?, manifest)
        });
        let ledger = self.environment.ledger();
        let artifacts = ledger.artifacts().unwrap_or_default();
        let newest = artifacts.into_iter().take(MOST_RECORDS).filter_map(|artifact| {
            let number = ledger.newest(&artifact).ok().flatten()?;
            packages_of(&ledger.record(&artifact, number).ok()?, manifest)
        });
        beside.chain(newest).next()
    }
}

/// The packages of the base of an image, if it is that one and they were read.
fn packages_of(record: &Record, manifest: &Digest) -> Option<Packages> {
    let image = record.image.as_ref().filter(|image| image.base.manifest == *manifest)?;
    let of_base = record
        .components
        .iter()
        .filter(|one| one.from_base && matches!(one.ecosystem, Ecosystem::Debian | Ecosystem::Rpm));
    let packages: Packages =
        of_base.filter_map(|one| Some((one.name.clone(), one.version.clone()?))).collect();
    // An image that takes packages of its base away lists the others only.
    (!packages.is_empty() && image.removed.is_empty()).then_some(packages)
}
