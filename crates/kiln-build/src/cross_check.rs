//! The base's own pip as a second installer: it installs the same wheels, and the two trees are compared.

use crate::build::lock;
use crate::collect::Collection;
use crate::distribution::ReadyWheel;
use crate::environment::{Context, EngineSlot, blocking};
use crate::import_check::{USER, guest};
use crate::reference::resolve;
use crate::workspace::read_workspace;
use crate::{BuildError, Environment, Event, Events};
use kiln_engine::{InputTree, Limits, RunSpec};
use kiln_pack::{Limits as ArchiveLimits, PackError, TarContent, TarWriter, ZipReader, read_tar};
use kiln_plan::{ArtifactPlan, Installer, PinnedBase};
use kiln_python::{
    InstalledFiles, InstallerComparison, InstallerFile, RUN_PIP, Rule, compare_installed, needs_content,
};
use kiln_record::{
    ArtifactKind, Check, CheckName, Digest, Ecosystem, Entry, Finding, InputRole, Mode, Platform, Record,
    TreePath,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, BufWriter, Cursor, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A wheel to install: its file in the store, and what it is.
struct Wheel {
    file_name: String,
    digest: Digest,
    name: String,
    version: String,
}

/// Installs an artifact's wheels with the base's pip, too, where its manifest says so.
pub(crate) async fn run(
    context: &Context,
    plan: &ArtifactPlan,
    collection: &Collection,
    wheels: &[ReadyWheel],
) -> Result<(Vec<Finding>, Vec<Check>), BuildError> {
    let by_pip = plan.manifest.python.as_ref().is_some_and(|python| python.install == Installer::Pip);
    if !by_pip {
        return Ok((Vec::new(), Vec::new()));
    }
    let architecture = plan.manifest.target.architecture;
    if !context.bases.can_run(context, &plan.base).await? {
        let reason = format!("no {} engine", architecture.lambda());
        return Ok((Vec::new(), vec![Check::not_checked(CheckName::PipInstall, reason)]));
    }
    let prefix = plan.manifest.python_folder();
    let wheels: Vec<Wheel> = wheels
        .iter()
        .map(|ready| Wheel {
            file_name: ready.file_name.clone(),
            digest: ready.digest,
            name: ready.wheel.name.to_string(),
            version: ready.wheel.version.clone(),
        })
        .collect();
    let pips = pip_install(context, &plan.base, wheels, plan.manifest.name.as_str()).await?;
    let mut ours = InstalledFiles::new();
    for (path, entry) in collection.tree.iter() {
        let Entry::File { digest, size, mode } = entry else { continue };
        let Some(place) = below(path.as_str(), prefix) else { continue };
        let is_own =
            collection.owners.get(path).is_some_and(|owner| owner.ecosystem() == Ecosystem::Application);
        if is_own && !pips.contains_key(place) {
            continue;
        }
        let content = if needs_content(place) { Some(collection.read(context, path)?) } else { None };
        let executable = *mode == Mode::Executable;
        ours.insert(place.to_owned(), InstallerFile { executable, digest: *digest, size: *size, content });
    }
    let found = compare_installed(&ours, &pips);
    Ok((found.findings(), vec![Check::ran(CheckName::PipInstall, pips.len(), "files of pip")]))
}

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
/// `build` is a reference as [`resolve`] takes it, or a file that a record describes. The wheels are those of the store.
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
    let named = resolve(environment, build)?;
    let record = named.record;
    let error = |reason: String| BuildError::NotUsable { what: build.to_owned(), reason };
    if record.kind.is_image() {
        return Err(error(format!(
            "it is {} {}; with install = \"pip\" under [python], its wheels are compared while it is built",
            if record.kind == ArtifactKind::Image { "an" } else { "a" },
            record.kind
        )));
    }
    let archive = archive(environment, build, &record).ok_or_else(|| {
        error(format!(
            "its archive is not under {} any more; build it, or name a file",
            environment.dist.join(record.artifact.as_str()).display()
        ))
    })?;
    let context = Context::new(environment, events, engine, lock)?;
    let _stop = context.stop_on_drop();
    let base = pinned_base(environment, &record)?.map_err(error)?;
    let wheels: Vec<Wheel> = record
        .components
        .iter()
        .filter_map(|component| {
            let origin = component.origin.as_ref()?;
            Some(Wheel {
                file_name: origin.file_name.clone(),
                digest: origin.digest,
                name: component.name.clone(),
                version: component.version.clone()?,
            })
        })
        .collect();
    if let Some(lost) = wheels.iter().find(|wheel| !context.store.contains(&wheel.digest)) {
        return Err(error(format!(
            "{} is not in the store; bring it: kiln build --force {}",
            lost.file_name, record.artifact
        )));
    }
    let architecture = record.target.architecture;
    if !wheels.is_empty() && !context.bases.can_run(&context, &base).await? {
        return Err(error(format!("there is no {} engine here to run its pip", architecture.lambda())));
    }
    let distributions = wheels.len();
    let found = if wheels.is_empty() {
        InstallerComparison::default()
    } else {
        let pips = pip_install(&context, &base, wheels, record.artifact.as_str()).await?;
        blocking(move || {
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

/// The zip of a build: the file that was named, or the published one if it is still the build's.
fn archive(environment: &Environment, build: &str, record: &Record) -> Option<PathBuf> {
    let file = Path::new(build);
    let output = record.archive()?;
    let zip = output.file_name.rsplit_once('.').map(|(_, ending)| ending);
    if file.is_file() && file.extension().and_then(std::ffi::OsStr::to_str) == zip {
        return Some(file.to_owned());
    }
    let published = if file.is_file() {
        file.with_file_name(&output.file_name)
    } else {
        environment.dist.join(record.artifact.as_str()).join(&output.file_name)
    };
    let bytes = fs_err::read(&published).ok()?;
    (Digest::of(&bytes) == output.digest).then_some(published)
}

/// The base that a build was made with, or why the workspace does not have it any more.
fn pinned_base(environment: &Environment, record: &Record) -> Result<Result<PinnedBase, String>, BuildError> {
    let workspace = read_workspace(&environment.root)?;
    let Some(input) = record.inputs.iter().find(|input| input.role == InputRole::Base) else {
        return Ok(Err("its record names no base".to_owned()));
    };
    let name = input.name.split(' ').next().unwrap_or_default();
    let platform = Platform { architecture: record.target.architecture };
    let base = workspace.bases.iter().find(|(known, _)| known.as_str() == name).map(|(_, base)| base);
    let Some((definition, lock)) = base else {
        return Ok(Err(format!("its base {name} is not in this workspace")));
    };
    let base = PinnedBase::new(definition, lock.as_ref(), platform).map_err(BuildError::Denied)?;
    if base.lock.manifest != input.digest {
        return Ok(Err(format!(
            "it was built with {name} as {}, which is now pinned as {}: build it again",
            input.digest, base.lock.manifest
        )));
    }
    Ok(Ok(base))
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
    let mut zip = ZipReader::open(BufReader::new(fs_err::File::open(archive)?), &ArchiveLimits::default())?;
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

fn below<'a>(path: &'a str, prefix: Option<&str>) -> Option<&'a str> {
    match prefix {
        None => Some(path),
        Some(prefix) => path.strip_prefix(prefix)?.strip_prefix('/'),
    }
}

/// Runs the base's pip: offline, from the wheels of the lock alone, each by its hash.
async fn pip_install(
    context: &Context,
    base: &PinnedBase,
    wheels: Vec<Wheel>,
    subject: &str,
) -> Result<InstalledFiles, BuildError> {
    if wheels.is_empty() {
        return Ok(InstalledFiles::new());
    }
    let engine = context.engine().await?;
    let image = context.bases.image(context, base).await?;
    let inputs = vec![wheel_folder(context, wheels).await?];
    let arguments = [
        &base.definition.image.python,
        "-I",
        "-B",
        "-c",
        RUN_PIP,
        "install",
        "--no-index",
        "--find-links",
        "/wheels",
        "--no-deps",
        "--no-compile",
        "--no-cache-dir",
        "--disable-pip-version-check",
        "--no-warn-script-location",
        "--progress-bar",
        "off",
        "--require-hashes",
        "--requirement",
        "/wheels/requirements.txt",
        "--target",
        "/out",
    ];
    let mut env = base.definition.image.env.clone();
    env.insert("HOME".to_owned(), "/tmp".to_owned());
    let spec = RunSpec {
        name: format!("{subject} pip"),
        image,
        argv: arguments.map(str::to_owned).to_vec(),
        env,
        working_dir: "/tmp".to_owned(),
        user: USER.to_owned(),
        inputs,
        outputs: vec![guest("/out")?],
        // pip unpacks beside its target's file system first, which is in memory.
        scratch: vec![guest("/tmp")?],
        limits: Limits {
            memory_bytes: 2 << 30,
            pids: 64,
            cpus: None,
            output_bytes: 1 << 30,
            deadline: Duration::from_secs(600),
        },
    };
    let (tell, name) = (context.events.clone(), subject.to_owned());
    let outcome = engine
        .run(spec, move |line| tell.send(Event::Line { subject: name.clone(), text: line.text }))
        .await?;
    if outcome.exit_code != 0 {
        let text = String::from_utf8_lossy(&outcome.stderr);
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        return Err(BuildError::Guest {
            what: "pip",
            base: base.definition.name.clone(),
            code: outcome.exit_code,
            lines: lines[lines.len().saturating_sub(12)..].to_vec(),
        });
    }
    let tar = outcome.outputs.into_iter().next().map(|(_, tar)| tar).unwrap_or_default();
    blocking(move || {
        let mut files = InstalledFiles::new();
        read_tar(Cursor::new(&tar), &ArchiveLimits::default(), |item| {
            if let TarContent::File(content) = item.content {
                let path = item.path.to_string();
                let file = InstallerFile::new(&path, item.mode & 0o100 != 0, content);
                files.insert(path, file);
            }
            Ok::<(), PackError>(())
        })?;
        Ok(files)
    })
    .await
}

/// The wheels and a requirements file that names each by version and hash.
async fn wheel_folder(context: &Context, wheels: Vec<Wheel>) -> Result<InputTree, BuildError> {
    let context = context.clone();
    let path = guest("/wheels")?;
    blocking(move || {
        let tree_path =
            |text: &str| TreePath::new(text).map_err(|error| std::io::Error::other(error.to_string()));
        let by_name: BTreeMap<&String, &Wheel> = wheels.iter().map(|w| (&w.file_name, w)).collect();
        let requirements: String = by_name
            .values()
            .map(|w| format!("{}=={} --hash=sha256:{}\n", w.name, w.version, w.digest.hex()))
            .collect();
        let mut file = tempfile::tempfile_in(context.store.root())?;
        let mut tar = TarWriter::new(BufWriter::with_capacity(256 * 1024, &mut file), 0);
        // A tar is written in the order of its paths.
        let own = "requirements.txt";
        let names: BTreeSet<&str> = by_name.keys().map(|name| name.as_str()).chain([own]).collect();
        for name in names {
            let content = match by_name.get(&name.to_owned()) {
                Some(wheel) => context.store.read_blob(&wheel.digest)?,
                None => requirements.as_bytes().to_vec(),
            };
            tar.add_file(&tree_path(name)?, Mode::Plain, &content)?;
        }
        tar.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(InputTree::new(path, BufReader::with_capacity(256 * 1024, file)))
    })
    .await
}
