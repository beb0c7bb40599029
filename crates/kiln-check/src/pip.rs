//! The base's own pip as a second installer: it installs the same wheels, and the two trees are compared.

use crate::CheckError;
use kiln_collect::{Collection, Part, Verdict};
use kiln_engine::InputTree;
use kiln_guest::{Bases, Program, guest, input_tree};
use kiln_invocation::blocking;
use kiln_pack::{Limits, PackError, TarContent, read_tar};
use kiln_plan::{ArtifactPlan, Installer, PinnedBase};
use kiln_python::{InstalledFiles, InstallerFile, RUN_PIP, compare_installed, needs_content};
use kiln_record::{Check, CheckName, Component, Defect, Digest, Ecosystem, Entry, Mode, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A wheel to install: its file in the store, and what it is.
pub struct PipWheel {
    /// Its file name.
    pub file_name: String,
    /// Its file in the store.
    pub digest: Digest,
    /// The distribution.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl PipWheel {
    /// The wheel that a component came as, if it came as one.
    #[must_use]
    pub fn of(component: &Component) -> Option<Self> {
        let origin = component.origin.as_ref()?;
        Some(Self {
            file_name: origin.file_name.clone(),
            digest: origin.digest,
            name: component.name.clone(),
            version: component.version.clone()?,
        })
    }
}

/// Installs an artifact's wheels with the base's pip, too, where its manifest says so.
///
/// # Errors
/// If the base's pip cannot be run, or fails.
pub async fn pip_check(
    bases: &Bases,
    plan: &ArtifactPlan,
    collection: &Collection,
    parts: &[Part],
) -> Result<Verdict, CheckError> {
    const CHECK: CheckName = CheckName::PipInstall;
    let by_pip = plan.manifest.python.as_ref().is_some_and(|python| python.install == Installer::Pip);
    if !by_pip {
        return Ok(Verdict::default());
    }
    let architecture = plan.manifest.target.architecture;
    if !bases.can_run(&plan.base).await? {
        let reason = format!("no {} engine", architecture.lambda());
        return Ok(Verdict::of_checks(vec![Check::not_checked(CHECK, reason)]));
    }
    let prefix = plan.manifest.python_folder();
    let wheels = parts.iter().filter_map(|part| PipWheel::of(&part.component)).collect();
    let pips = pip_install(bases, &plan.base, wheels, plan.manifest.name.as_str()).await?;
    let mut ours = InstalledFiles::new();
    for (path, entry) in collection.tree.iter() {
        let Entry::File { digest, size, mode } = entry else { continue };
        let Some(place) = below(path.as_str(), prefix) else { continue };
        let is_own =
            collection.owners.get(path).is_some_and(|owner| owner.ecosystem() == Ecosystem::Application);
        if is_own && !pips.contains_key(place) {
            continue;
        }
        let content = if needs_content(place) { Some(collection.read(bases.store(), path)?) } else { None };
        let executable = *mode == Mode::Executable;
        ours.insert(place.to_owned(), InstallerFile { executable, digest: *digest, size: *size, content });
    }
    let found = compare_installed(&ours, &pips);
    let checks = vec![Check::ran(CHECK, pips.len(), "files of pip")];
    Ok(Verdict { findings: found.findings(), checks })
}

/// A path as it is in a folder, if it is in there.
#[must_use]
pub fn below<'a>(path: &'a str, prefix: Option<&str>) -> Option<&'a str> {
    match prefix {
        None => Some(path),
        Some(prefix) => path.strip_prefix(prefix)?.strip_prefix('/'),
    }
}

/// Runs the base's pip: offline, from the wheels of the lock alone, each by its hash.
///
/// # Errors
/// If it cannot be run, or fails.
pub async fn pip_install(
    bases: &Bases,
    base: &PinnedBase,
    wheels: Vec<PipWheel>,
    subject: &str,
) -> Result<InstalledFiles, CheckError> {
    if wheels.is_empty() {
        return Ok(InstalledFiles::new());
    }
    let engine = bases.engine().await?;
    let image = bases.image(base).await?;
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
    // pip unpacks beside its target's file system first, which is in memory.
    let program = Program::new(format!("{subject} pip"), image, arguments.map(str::to_owned).to_vec())
        .environment(env)
        .working_dir("/tmp")
        .inputs([wheel_folder(bases.store(), wheels).await?])
        .outputs(bases.store(), [guest("/out")?])?
        .processes(64)
        .output_bytes(1 << 30)
        .deadline(Duration::from_secs(600));
    let ran = program.run(engine, bases.run().events(), subject).await?;
    if !ran.ending.is_success() {
        return Err(ran.failed("pip", &base.definition.name).into());
    }
    blocking::<_, CheckError>(move || {
        let mut files = InstalledFiles::new();
        for (_, spool) in &ran.outputs {
            read_tar(spool.reader()?, &Limits::default(), |item| {
                if let TarContent::File(content) = item.content {
                    let path = item.path.to_string();
                    let file = InstallerFile::new(&path, item.mode & 0o100 != 0, content);
                    files.insert(path, file);
                }
                Ok::<(), PackError>(())
            })?;
        }
        Ok(files)
    })
    .await
}

/// The wheels and a requirements file that names each by version and hash.
async fn wheel_folder(store: &Store, wheels: Vec<PipWheel>) -> Result<InputTree, CheckError> {
    let reading = store.clone();
    input_tree(store, "/wheels", 0, move |tar| {
        let tree_path = |text: &str| TreePath::new(text).map_err(|error| Defect::new(error.to_string()));
        let by_name: BTreeMap<&String, &PipWheel> = wheels.iter().map(|w| (&w.file_name, w)).collect();
        let requirements: String = by_name
            .values()
            .map(|w| format!("{}=={} --hash=sha256:{}\n", w.name, w.version, w.digest.hex()))
            .collect();
        // A tar is written in the order of its paths.
        let own = "requirements.txt";
        let names: BTreeSet<&str> = by_name.keys().map(|name| name.as_str()).chain([own]).collect();
        for name in names {
            let content = match by_name.get(&name.to_owned()) {
                Some(wheel) => reading.read_blob(&wheel.digest)?,
                None => requirements.as_bytes().to_vec(),
            };
            tar.add_file(&tree_path(name)?, Mode::Plain, &content)?;
        }
        Ok(())
    })
    .await
}
