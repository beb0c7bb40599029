//! A build's distributions, installed again by the pip of its base, and held against its archive.

use crate::BuildError;
use crate::built::{archive, changed, pinned_base};
use kiln_check::{PipWheel, below, pip_install};
use kiln_guest::{Bases, EngineSlot};
use kiln_invocation::{Environment, Events, blocking, lock, read_usable_workspace};
use kiln_pack::{Limits, ZipReader};
use kiln_publish::{PublishError, claimed};
use kiln_python::{InstalledFiles, InstallerComparison, InstallerFile, Rule, compare_installed};
use kiln_record::{ArtifactKind, Ecosystem, Finding, Record};
use std::collections::BTreeSet;
use std::io::BufReader;
use std::path::Path;

/// What cross-checking a build told.
#[derive(Debug)]
pub struct CrossCheck {
    /// How to call the build in output.
    pub label: String,
    /// The base whose pip installed.
    pub base: String,
    /// How many distributions there are.
    pub distributions: usize,
    /// How many files are the same.
    pub same: usize,
    /// Differences that a rule of `docs/python.md` explains, with the rule's name.
    pub explained: Vec<(String, &'static str)>,
    /// A finding for each difference that no rule explains.
    pub findings: Vec<Finding>,
}

/// Installs the distributions of a build with the pip of its base, and holds the result against the artifact.
///
/// `build` is a reference as [`claimed`] takes it, or a file that a record describes. The wheels are those of the store.
///
/// # Errors
/// If the build, its archive, its base or its wheels cannot be had, or pip fails.
pub async fn cross_check(
    environment: &Environment,
    build: &str,
    events: &Events,
    engine: EngineSlot,
) -> Result<CrossCheck, BuildError> {
    let lock = lock(environment, events).await?;
    let named = claimed(environment, build)?;
    let error = |reason: String| PublishError::NotUsable { what: build.to_owned(), reason }.into();
    if let Some(lacks) = named.known.lacks() {
        return Err(error(format!("its wheels are not known, since it has no record: {lacks}")));
    }
    let record = named.record;
    if record.kind.is_image() {
        return Err(error(format!(
            "it is {} {}; with install = \"pip\" under [python], its wheels are compared while it is built",
            if record.kind == ArtifactKind::Image { "an" } else { "a" },
            record.kind
        )));
    }
    let archive = archive(environment, build, &record).ok_or_else(|| {
        let gone = || {
            error(format!(
                "its archive is not under {} any more; build it, or name a file",
                environment.dist.join(record.artifact.as_str()).display()
            ))
        };
        changed(environment, &record).unwrap_or_else(gone)
    })?;
    let bases = Bases::open(environment, events, engine, lock)?;
    let _stop = bases.run().stop_on_drop();
    let base = pinned_base(&read_usable_workspace(&environment.root)?, &record)?.map_err(error)?;
    let wheels: Vec<PipWheel> = record
        .components
        .iter()
        // Wheels that lie in an image are installed nowhere.
        .filter(|component| component.files > 0 && !component.from_base)
        .filter_map(|component| {
            let origin = component.origin.as_ref()?;
            Some(PipWheel {
                file_name: origin.file_name.clone(),
                digest: origin.digest,
                name: component.name.clone(),
                version: component.version.clone()?,
            })
        })
        .collect();
    if let Some(lost) = wheels.iter().find(|wheel| !bases.store().contains(&wheel.digest)) {
        return Err(error(format!(
            "{} is not in the store; bring it: kiln build --force {}",
            lost.file_name, record.artifact
        )));
    }
    let architecture = record.target.architecture;
    if !wheels.is_empty() && !bases.can_run(&base).await? {
        return Err(error(format!("there is no {} engine here to run its pip", architecture.lambda())));
    }
    let distributions = wheels.len();
    let found = if wheels.is_empty() {
        InstallerComparison::default()
    } else {
        let pips = pip_install(&bases, &base, wheels, record.artifact.as_str()).await?;
        blocking::<_, BuildError>(move || {
            let ours = installed_in(&archive, &record, &pips)?;
            Ok(explain_packaging(compare_installed(&ours, &pips), &ours, &record))
        })
        .await?
    };
    let explained = |(path, rule): &(String, Rule)| (path.clone(), rule.as_str());
    Ok(CrossCheck {
        label: named.label,
        base: base.definition.name.to_string(),
        distributions,
        same: found.same,
        explained: found.explained.iter().map(explained).collect(),
        findings: found.findings(),
    })
}

/// Explains what a `[package]` section did after installing, as the record tells: each file that was changed or made, and
/// as many files that are not there as were left out.
fn explain_packaging(
    mut found: InstallerComparison,
    ours: &InstalledFiles,
    record: &Record,
) -> InstallerComparison {
    let prefix = python_folder(record);
    let changed: BTreeSet<&str> = record
        .transformations
        .iter()
        .flat_map(|rule| rule.changed.keys())
        .filter_map(|path| below(path.as_str(), prefix))
        .collect();
    let left_out: u64 = record
        .transformations
        .iter()
        .filter(|rule| rule.changed.is_empty() && rule.bytes_after == 0)
        .map(|rule| rule.files)
        .sum();
    let missing = found.unexplained.iter().filter(|(path, _)| !ours.contains_key(path)).count() as u64;
    let (explained, rest): (Vec<_>, Vec<_>) =
        std::mem::take(&mut found.unexplained).into_iter().partition(|(path, _)| {
            match ours.contains_key(path) {
                true => changed.contains(path.as_str()),
                false => missing <= left_out,
            }
        });
    found.unexplained = rest;
    found.explained.extend(explained.into_iter().map(|(path, _)| (path, Rule::Packaging)));
    found.explained.sort();
    found
}

/// The folder of a zip that distributions are in.
fn python_folder(record: &Record) -> Option<&'static str> {
    (record.kind == ArtifactKind::LambdaLayer).then_some("python")
}

/// What a zip holds of distributions. The application's own files are left out, unless pip brings the same path.
fn installed_in(
    archive: &Path,
    record: &Record,
    pips: &InstalledFiles,
) -> Result<InstalledFiles, BuildError> {
    let own: BTreeSet<&str> = record
        .files
        .iter()
        .filter(|file| file.component.ecosystem() == Ecosystem::Application)
        .map(|file| file.path.as_str())
        .collect();
    let prefix = python_folder(record);
    let mut zip = ZipReader::open(BufReader::new(fs_err::File::open(archive)?), &Limits::default())?;
    let mut files = InstalledFiles::new();
    for member in zip.members().to_vec() {
        let Some(place) = below(member.path.as_str(), prefix) else { continue };
        if own.contains(member.path.as_str()) && !pips.contains_key(place) {
            continue;
        }
        let executable = member.unix_mode.is_some_and(|mode| mode & 0o100 != 0);
        files.insert(place.to_owned(), InstallerFile::new(place, executable, zip.read(&member)?));
    }
    Ok(files)
}
