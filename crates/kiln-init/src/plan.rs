//! The workspace that follows from a project: which files are to be written, and what was not told.

use crate::artifact::{Artifact, Kind, Source, Told};
use crate::dependencies;
use crate::dockerfile::{self, Pin};
use crate::folder::Folder;
use crate::handler::is_of_tests;
use crate::reading::Reading;
use crate::render::{base_of, manifest, quoted};
use crate::{InitError, plain, sam, serverless, terraform};
use kiln_plan::known_base;
use kiln_record::{Architecture, ArtifactName, Platform, Runtime};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What the caller tells because no file does.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The runtime of what names none.
    pub runtime: Option<String>,
    /// The architecture of what names none.
    pub architecture: Option<Architecture>,
}

/// A file of the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedFile {
    /// Where, relative to the workspace.
    pub path: String,
    /// All of its content; of a file that is there what is added to its end.
    pub content: Vec<u8>,
    /// Whether it is added to a file that is there.
    pub appends: bool,
    /// Whether it takes the place of what an earlier `kiln init` wrote there, as that wrote it. No other file that is there is
    /// written.
    pub replaces: bool,
}

/// An artifact that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub artifact: ArtifactName,
    /// The value of its `kind`.
    pub kind: &'static str,
    /// Who states it.
    pub stated_by: String,
    /// What no file tells, each as `handler: why`.
    pub untold: Vec<String>,
}

/// What is to be written, and what is to be said about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitPlan {
    /// The artifacts, sorted by name.
    pub found: Vec<Found>,
    /// What is to be written, sorted by path.
    pub files: Vec<PlannedFile>,
    /// What is there and stays as it is, relative to the workspace.
    pub kept: Vec<String>,
    /// What was passed over, and why.
    pub remarks: Vec<String>,
    /// What would be in the files that are there.
    there: BTreeMap<String, Vec<u8>>,
}

/// Reads a project and says which workspace it would be.
///
/// # Errors
/// [`InitError`] where the folder cannot be listed. A file that cannot be read is a remark.
pub fn plan(root: &Path, options: &Options) -> Result<InitPlan, InitError> {
    let folder = Folder::read(root)?;
    let mut plan = of_folder(root, &folder, options)?;
    if options.runtime.is_some() || options.architecture.is_some() {
        // What is told now was not told when it was asked for: what nobody has touched since is written again with it.
        let untold = of_folder(root, &folder, &Options::default())?.there;
        let (again, kept) = plan.kept.into_iter().partition(|path| {
            let is_as_written =
                || fs_err::read(root.join(path)).is_ok_and(|found| Some(&found) == untold.get(path));
            path.starts_with("manifests/") && plan.there.get(path) != untold.get(path) && is_as_written()
        });
        plan.kept = kept;
        let again: Vec<String> = again;
        plan.files.extend(again.into_iter().filter_map(|path| {
            let content = plan.there.get(&path)?.clone();
            Some(PlannedFile { path, content, appends: false, replaces: true })
        }));
        plan.files.sort_by(|one, other| one.path.cmp(&other.path));
    }
    Ok(plan)
}

fn of_folder(root: &Path, folder: &Folder, options: &Options) -> Result<InitPlan, InitError> {
    let name = root.file_name().map_or_else(|| "app".to_owned(), |name| name.to_string_lossy().into_owned());
    let mut reading = Reading { folder_name: name, artifacts: Vec::new(), remarks: folder.remarks.clone() };
    let mut modules: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for (path, text) in folder.texts() {
        if serverless::is_service(path) {
            serverless::read(folder, path, text, &mut reading);
        } else if sam::is_template(path) {
            sam::read(folder, path, text, &mut reading);
        } else if path.ends_with(".tf") {
            modules.entry(crate::folder::parent(path)).or_default().push((path, text));
        }
    }
    for files in modules.values() {
        terraform::read(folder, files, &mut reading);
    }
    let is_deployed = !reading.artifacts.is_empty();
    if !is_deployed {
        plain::read(folder, &mut reading);
    }
    dockerfile::read(folder, &mut reading);
    let Reading { mut artifacts, mut remarks, .. } = reading;
    // The folders of code that are somebody's alone.
    let owned: Vec<(ArtifactName, String)> = artifacts
        .iter()
        .filter_map(|one| Some((one.name.clone(), one.source.value()?.path.clone())))
        .filter(|(_, path)| is_deployed && !path.is_empty())
        .collect();
    for artifact in &mut artifacts {
        let others: Vec<&str> =
            owned.iter().filter(|(name, _)| *name != artifact.name).map(|(_, path)| path.as_str()).collect();
        complete(folder, artifact, is_deployed, options, &others);
    }
    layers(&mut artifacts, &mut remarks);
    artifacts.sort_by(|one, other| one.name.cmp(&other.name));
    let mut plan = written(folder, artifacts, remarks)?;
    // Whoever said it: names and texts of the project are in remarks, and nothing that a terminal acts on.
    for remark in &mut plan.remarks {
        *remark = remark.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    }
    Ok(plan)
}

/// Adds to an artifact what other files of the project say.
fn complete(folder: &Folder, artifact: &mut Artifact, is_deployed: bool, options: &Options, others: &[&str]) {
    if !artifact.architecture_is_stated
        && let Some(architecture) = options.architecture
    {
        (artifact.architecture, artifact.architecture_is_stated) = (architecture, true);
    }
    if let Told::Is(source) = &mut artifact.source {
        let code = source.path.clone();
        let of_layer = code.strip_suffix("/python").filter(|_| artifact.kind == Kind::Layer);
        artifact.lock = dependencies::lock(folder, of_layer.unwrap_or(&code), is_deployed, &artifact.name);
        if !is_deployed {
            artifact.runtime = dependencies::runtime(folder, &code);
        }
        leave_out(folder, source, others);
    }
    if artifact.runtime.value().is_none()
        && let Some(runtime) = &options.runtime
    {
        artifact.runtime = Told::Is(runtime.clone());
    }
    if let Some(name) = artifact.runtime.value().filter(|name| Runtime::named(name).is_none()) {
        let why = format!("kiln knows no runtime `{}`", name.chars().take(60).collect::<String>());
        artifact.runtime = Told::Not { why, such_as: "python3.13".to_owned() };
    }
}

/// Code that only tests need is no part of an artifact; of the workspace itself only what is Python's is, and no folder that
/// is the code of another artifact.
fn leave_out(folder: &Folder, source: &mut Source, others: &[&str]) {
    let children: BTreeSet<String> = folder.children(&source.path).map(str::to_owned).collect();
    let is_below = |path: &str, folder: &str| {
        path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let has_code = |child: &str| {
        folder.texts().any(|(path, _)| {
            is_below(path, child)
                && path.ends_with(".py")
                && !others.iter().any(|other| is_below(path, other))
        })
    };
    if source.path.is_empty() && source.include.is_empty() {
        let ours = ["images", "manifests"];
        source.include = children
            .iter()
            .filter(|child| !is_of_tests(child) && !ours.contains(&child.as_str()))
            .filter_map(|child| match child.ends_with(".py") {
                true => Some(child.clone()),
                false => has_code(child).then(|| format!("{child}/**")),
            })
            .collect();
        let included =
            |other: &str| source.include.iter().any(|one| is_below(other, one.trim_end_matches("/**")));
        source.exclude =
            others.iter().filter(|other| included(other)).map(|other| format!("{other}/**")).collect();
        return;
    }
    let tests = ["tests", "test"].into_iter().filter(|name| children.contains(*name));
    source.exclude.extend(tests.map(|name| format!("{name}/**")));
}

/// Holds the layers that functions name against those that there are.
fn layers(artifacts: &mut [Artifact], remarks: &mut Vec<String>) {
    let known: BTreeSet<ArtifactName> =
        artifacts.iter().filter(|one| one.kind == Kind::Layer).map(|one| one.name.clone()).collect();
    let mut users: BTreeMap<ArtifactName, BTreeSet<(String, bool)>> = BTreeMap::new();
    for artifact in artifacts.iter_mut().filter(|one| one.kind.is_function()) {
        artifact.layers.retain(|layer| {
            let is_known = known.contains(layer);
            if !is_known {
                remarks
                    .push(format!("{}: its layer {layer} has no code here, and was left out", artifact.name));
            }
            is_known
        });
        if let Some(runtime) = artifact.runtime.value() {
            let target = (runtime.clone(), artifact.architecture == Architecture::Arm64);
            artifact.layers.iter().for_each(|layer| {
                users.entry(layer.clone()).or_default().insert(target.clone());
            });
        }
    }
    // A layer is for what its functions are for, if that is one thing.
    for layer in artifacts.iter_mut().filter(|one| one.kind == Kind::Layer) {
        let targets = users.get(&layer.name).into_iter().flatten().collect::<Vec<_>>();
        if let [(runtime, is_arm)] = targets.as_slice() {
            if layer.runtime.value().is_none() {
                layer.runtime = Told::Is(runtime.clone());
            }
            if !layer.architecture_is_stated {
                layer.architecture = if *is_arm { Architecture::Arm64 } else { Architecture::Amd64 };
                layer.architecture_is_stated = true;
            }
        }
    }
}

fn written(folder: &Folder, artifacts: Vec<Artifact>, remarks: Vec<String>) -> Result<InitPlan, InitError> {
    let mut plan = InitPlan { remarks, ..InitPlan::default() };
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    files.insert(
        "kiln.toml".to_owned(),
        b"# The workspace. Every key is optional but this one.\nformat = \"1\"\n".to_vec(),
    );
    let mut bases: BTreeMap<String, (&Runtime, BTreeSet<Platform>)> = BTreeMap::new();
    for mut artifact in artifacts {
        if let Some((file, _)) = &artifact.dockerfile {
            let images = dockerfile::images(folder.text(file).unwrap_or_default());
            let unknown = images.iter().find_map(|image| match dockerfile::pin(image) {
                Pin::Unknown(why) => Some((image, why)),
                Pin::There | Pin::Base { .. } => None,
            });
            if let Some((image, why)) = unknown {
                plan.remarks.push(format!(
                    "{file}: `{}` {why}, so that it cannot be pinned; write FROM REGISTRY/…:TAG, and run kiln init again",
                    image.chars().take(100).collect::<String>()
                ));
                continue;
            }
            for image in images {
                if let Pin::Base { name, reference } = dockerfile::pin(&image) {
                    let platform = Platform { architecture: artifact.architecture };
                    let name = if bases.contains_key(&name) { format!("{name}-image") } else { name };
                    let meant = match reference == image {
                        true => String::new(),
                        false => format!(
                            "# It says {} there, for which builders take this one.\n",
                            image.chars().filter(|c| !c.is_control()).take(100).collect::<String>()
                        ),
                    };
                    let text = format!(
                        "# What {file} starts from.\n{meant}kind = \"registry\"\nplatforms = [\"{platform}\"]\n\n[registry]\nreference = {}\n",
                        quoted(&reference)
                    );
                    files.insert(format!("images/{name}.toml"), text.into_bytes());
                    artifact.bases.insert(image, name);
                }
            }
        } else if let (Some(base), Some(runtime)) =
            (base_of(&artifact), artifact.runtime.value().and_then(|name| Runtime::named(name)))
        {
            let platform = Platform { architecture: artifact.architecture };
            bases.entry(base).or_insert_with(|| (runtime, BTreeSet::new())).1.insert(platform);
        }
        plan.found.push(found(&artifact));
        files.insert(format!("manifests/{}.toml", artifact.name), manifest(&artifact).into_bytes());
    }
    for (name, (runtime, platforms)) in bases {
        let platforms: Vec<Platform> = platforms.into_iter().collect();
        let known = known_base(runtime, &platforms).ok_or_else(|| InitError::NoBase(runtime.name.clone()))?;
        files.insert(format!("images/{name}.toml"), known.text.into_bytes());
        if let Some((path, keys)) = known.keyring {
            files.insert(path.to_owned(), keys.to_vec());
        }
    }
    for (path, content) in files {
        match folder.has_file(&path) {
            true => {
                plan.kept.push(path.clone());
                plan.there.insert(path, content);
            }
            false => plan.files.push(PlannedFile { path, content, appends: false, replaces: false }),
        }
    }
    plan.files.extend(ignored(folder));
    plan.files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(plan)
}

/// What git is told to leave alone, unless it is.
fn ignored(folder: &Folder) -> Option<PlannedFile> {
    let there = folder.text(".gitignore");
    let is_named =
        |name: &str| there.unwrap_or_default().lines().any(|line| line.trim().trim_matches('/') == name);
    let lines: Vec<String> = [".kiln", "dist"]
        .into_iter()
        .filter(|name| !is_named(name))
        .map(|name| format!("/{name}/\n"))
        .collect();
    if lines.is_empty() {
        return None;
    }
    let break_before =
        if there.is_some_and(|text| !text.is_empty() && !text.ends_with('\n')) { "\n" } else { "" };
    let content =
        format!("{break_before}# kiln: what it builds, and its history on this machine\n{}", lines.concat());
    Some(PlannedFile {
        path: ".gitignore".to_owned(),
        content: content.into_bytes(),
        appends: folder.has_file(".gitignore"),
        replaces: false,
    })
}

fn found(artifact: &Artifact) -> Found {
    let mut untold = Vec::new();
    let mut one = |key: &str, why: Option<&str>| untold.extend(why.map(|why| format!("{key}: {why}")));
    fn why<T>(told: &Told<T>) -> Option<&str> {
        match told {
            Told::Is(_) => None,
            Told::Not { why, .. } => Some(why),
        }
    }
    if artifact.dockerfile.is_none() {
        one("runtime", why(&artifact.runtime));
        one("handler", why(&artifact.handler).filter(|_| artifact.kind.is_function()));
        one("source", why(&artifact.source));
    }
    Found {
        artifact: artifact.name.clone(),
        kind: artifact.kind.as_str(),
        stated_by: artifact.stated_by.clone(),
        untold,
    }
}
