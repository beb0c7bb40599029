//! The workspace that follows from a project: which files are to be written, and what was not told.

use crate::artifact::{Artifact, Kind, Source, Told};
use crate::dependencies;
use crate::dockerfile::{self, Pin};
use crate::existing::{Difference, differences, states, take_names};
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
    /// What manifests that stay as they are say otherwise than the project.
    pub differences: Vec<Difference>,
    /// What was passed over, and why.
    pub remarks: Vec<String>,
    /// The runtimes whose base is written here and is an image of a registry, each with that image.
    pub from_registries: BTreeMap<String, String>,
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
        plan.differences.retain(|one| !again.contains(&one.path));
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
        } else if terraform::is_read(path) {
            modules.entry(crate::folder::parent(path)).or_default().push((path, text));
        }
    }
    terraform::read(folder, &modules, &mut reading);
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
    layers(&mut artifacts);
    remarks.extend(not_taken(&artifacts, options));
    take_names(folder, &mut artifacts, &mut remarks);
    artifacts.sort_by(|one, other| one.name.cmp(&other.name));
    let mut plan = written(folder, artifacts, remarks)?;
    // Whoever said it: names and texts of the project are in remarks, and nothing that a terminal acts on.
    for remark in &mut plan.remarks {
        *remark = remark.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    }
    Ok(plan)
}

/// That an option was not taken, because it is for what names none.
fn not_taken(artifacts: &[Artifact], options: &Options) -> Vec<String> {
    let own = |value: fn(&Artifact) -> Option<String>, given: &str| -> Vec<String> {
        let of_one = |one: &Artifact| {
            let own = value(one).filter(|own| own != given)?;
            Some(format!("{} is for {own}", one.name))
        };
        artifacts.iter().filter_map(of_one).collect()
    };
    let runtime = |one: &Artifact| one.runtime.value().filter(|_| one.dockerfile.is_none()).cloned();
    let architecture = |one: &Artifact| Some(one.architecture.as_ref()?.value()?.lambda().to_owned());
    let mut remarks = Vec::new();
    let mut say = |option: &str, given: &str, own: Vec<String>| {
        if !own.is_empty() {
            remarks.push(format!(
                "{option} {given} is for what names none, and was not taken where the project says otherwise: {}",
                own.join(", ")
            ));
        }
    };
    if let Some(given) = &options.runtime {
        say("--runtime", given, own(runtime, given));
    }
    if let Some(given) = options.architecture.map(Architecture::lambda) {
        say("--architecture", given, own(architecture, given));
    }
    remarks
}

/// Adds to an artifact what other files of the project say.
fn complete(folder: &Folder, artifact: &mut Artifact, is_deployed: bool, options: &Options, others: &[&str]) {
    let is_told = matches!(artifact.architecture, Some(Told::Is(_)));
    if let Some(architecture) = options.architecture.filter(|_| !is_told) {
        artifact.architecture = Some(Told::Is(architecture));
        artifact.places.insert("target.architecture".to_owned(), "--architecture".to_owned());
    }
    if let Told::Is(source) = &mut artifact.source {
        let code = source.path.clone();
        let of_layer = code.strip_suffix("python").filter(|_| artifact.kind == Kind::Layer);
        let of_layer = of_layer.and_then(|of| if of.is_empty() { Some(of) } else { of.strip_suffix('/') });
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
        artifact.places.insert("target.runtime".to_owned(), "--runtime".to_owned());
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
fn layers(artifacts: &mut [Artifact]) {
    let known: BTreeSet<ArtifactName> =
        artifacts.iter().filter(|one| one.kind == Kind::Layer).map(|one| one.name.clone()).collect();
    let mut users: BTreeMap<ArtifactName, Users> = BTreeMap::new();
    for artifact in artifacts.iter_mut().filter(|one| one.kind.is_function()) {
        let (known, unknown): (Vec<_>, Vec<_>) =
            std::mem::take(&mut artifact.layers).into_iter().partition(|layer| known.contains(layer));
        artifact.layers = known;
        artifact.untold_layers.extend(
            unknown
                .into_iter()
                .map(|layer| format!("its layer {layer}, of {}, has no code here", artifact.stated_by)),
        );
        for layer in &artifact.layers {
            let users = users.entry(layer.clone()).or_default();
            users.runtimes.extend(artifact.runtime.value().cloned());
            users.machines.insert(artifact.machine());
        }
    }
    // A layer is for what its functions are for, if that is one thing.
    for layer in artifacts.iter_mut().filter(|one| one.kind == Kind::Layer) {
        let Some(users) = users.get(&layer.name) else { continue };
        if layer.runtime.value().is_none()
            && let Some(runtime) = users.runtimes.first().filter(|_| users.runtimes.len() == 1)
        {
            layer.runtime = Told::Is(runtime.clone());
        }
        if layer.architecture.as_ref().is_some_and(|told| told.value().is_some()) {
            continue;
        }
        let not = |why: &str| Told::Not { why: why.to_owned(), such_as: "x86_64".to_owned() };
        let machines: Vec<Option<Architecture>> = users.machines.iter().copied().collect();
        layer.architecture = Some(match machines.as_slice() {
            [Some(one)] => Told::Is(*one),
            [None] => not("the architecture of its functions is not told"),
            _ => not("its functions are not all for one architecture that is told"),
        });
    }
}

/// What the functions that a layer is deployed with are for.
#[derive(Default)]
struct Users {
    runtimes: BTreeSet<String>,
    /// None for one that is stated and not told.
    machines: BTreeSet<Option<Architecture>>,
}

fn written(folder: &Folder, artifacts: Vec<Artifact>, remarks: Vec<String>) -> Result<InitPlan, InitError> {
    let mut plan = InitPlan { remarks, ..InitPlan::default() };
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    files.insert(
        "kiln.toml".to_owned(),
        b"# The workspace. Every key is optional but this one.\nformat = \"1\"\n".to_vec(),
    );
    let mut bases: BTreeMap<String, (&Runtime, BTreeSet<Platform>)> = BTreeMap::new();
    let mut images_by_reference: BTreeMap<String, ImageBase> = BTreeMap::new();
    let of_runtimes = artifacts.iter().filter(|artifact| artifact.dockerfile.is_none());
    let mut taken: BTreeSet<String> = of_runtimes.filter_map(base_of).collect();
    for mut artifact in artifacts {
        if let Some((file, _)) = &artifact.dockerfile {
            if artifact.handler.value().is_none() {
                artifact.handler = dockerfile::handler(file, folder.text(file).unwrap_or_default());
            }
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
                    let meant = match reference == image {
                        true => String::new(),
                        false => format!(
                            "# It says {} there, for which builders take this one.\n",
                            image.chars().filter(|c| !c.is_control()).take(100).collect::<String>()
                        ),
                    };
                    let base = images_by_reference.entry(reference).or_insert_with_key(|reference| {
                        let name = free_name(folder, &name, reference, &taken);
                        taken.insert(name.clone());
                        ImageBase {
                            name,
                            head: format!("# What {file} starts from.\n{meant}"),
                            platforms: BTreeSet::new(),
                        }
                    });
                    base.platforms.extend(platforms(&artifact));
                    artifact.bases.insert(image, base.name.clone());
                }
            }
        } else if let (Some(base), Some(runtime)) =
            (base_of(&artifact), artifact.runtime.value().and_then(|name| Runtime::named(name)))
        {
            bases.entry(base).or_insert_with(|| (runtime, BTreeSet::new())).1.extend(platforms(&artifact));
        }
        let mut found = found(&artifact);
        let path = format!("manifests/{}.toml", artifact.name);
        if let Some(there) = folder.text(&path) {
            plan.differences.extend(differences(&artifact, &path, there));
            // Somebody told it there.
            found.untold.retain(|line| !line.split_once(": ").is_some_and(|(key, _)| states(there, key)));
        }
        plan.found.push(found);
        files.insert(path, manifest(&artifact).into_bytes());
    }
    for (reference, ImageBase { name, head, platforms }) in images_by_reference {
        let platforms: Vec<String> = platforms.iter().map(|platform| format!("\"{platform}\"")).collect();
        let text = format!(
            "{head}kind = \"registry\"\nplatforms = [{}]\n\n[registry]\nreference = {}\n",
            platforms.join(", "),
            quoted(&reference)
        );
        files.insert(format!("images/{name}.toml"), text.into_bytes());
    }
    for (name, (runtime, platforms)) in bases {
        let is_arm_alone = !platforms.contains(&Platform { architecture: Architecture::Amd64 });
        let platforms: Vec<Platform> = match is_arm_alone {
            true => BOTH.map(|architecture| Platform { architecture }).to_vec(),
            false => platforms.into_iter().collect(),
        };
        let known = known_base(runtime, &platforms).ok_or_else(|| InitError::NoBase(runtime.name.clone()))?;
        let text = match is_arm_alone {
            true => known.text.replacen("platforms = ", &format!("{WHY_BOTH}platforms = "), 1),
            false => known.text,
        };
        let path = format!("images/{name}.toml");
        if let Some(reference) = known.reference.filter(|_| !folder.has_file(&path)) {
            plan.from_registries.insert(runtime.name.clone(), reference);
        }
        files.insert(path, text.into_bytes());
        if let Some((path, keys)) = known.keyring {
            files.insert(path.to_owned(), keys.to_vec());
        }
    }
    for (path, content) in files {
        match folder.has_file(&path) {
            true => {
                plan.differences.extend(without_platforms(folder, &path, &content));
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

/// What a base that is there is not for, and the project needs it for.
fn without_platforms(folder: &Folder, path: &str, planned: &[u8]) -> Option<Difference> {
    let platforms = |text: &str| text.parse::<toml::Table>().ok()?.remove("platforms");
    let (there, planned) = (platforms(folder.text(path)?)?, platforms(str::from_utf8(planned).ok()?)?);
    let (has, needed) = (there.as_array()?, planned.as_array()?);
    (!needed.iter().all(|platform| has.contains(platform))).then(|| Difference {
        path: path.to_owned(),
        key: "platforms".to_owned(),
        there: Some(there.to_string()),
        project: planned.to_string(),
        stated_by: None,
    })
}

/// A base that stands for an image of Dockerfiles.
struct ImageBase {
    name: String,
    /// The lines that say where it is from.
    head: String,
    platforms: BTreeSet<Platform>,
}

/// The name of a base for an image: the first that no other base of the project has.
fn free_name(folder: &Folder, name: &str, reference: &str, taken: &BTreeSet<String>) -> String {
    let is_of_another = |name: &str| {
        folder.text(&format!("images/{name}.toml")).is_some_and(|text| {
            let table: Option<toml::Table> = text.parse().ok();
            let there = table.as_ref().and_then(|table| table.get("registry")?.get("reference")?.as_str());
            there != Some(reference)
        })
    };
    let first = [name.to_owned(), format!("{name}-image")];
    let mut others = first.into_iter().chain((2..).map(|number| format!("{name}-image-{number}")));
    others.find(|name| !taken.contains(name) && !is_of_another(name)).unwrap_or_default()
}

/// Every architecture of Lambda.
const BOTH: [Architecture; 2] = [Architecture::Amd64, Architecture::Arm64];
/// Why a base is for both, where all that is built on it is for arm64.
const WHY_BOTH: &str = "# Its functions are for arm64. The other platform tells what its Python is like where an engine runs no programs of\n# arm64; see docs/python.md.\n";

/// The platforms that an artifact's base is for: both, where the architecture is stated and not told.
fn platforms(artifact: &Artifact) -> impl Iterator<Item = Platform> + use<> {
    let machine = artifact.machine();
    BOTH.into_iter()
        .filter(move |one| machine.is_none_or(|machine| machine == *one))
        .map(|architecture| Platform { architecture })
}

/// What git is told to leave alone, unless it is.
fn ignored(folder: &Folder) -> Option<PlannedFile> {
    let there = folder.text(".gitignore");
    let is_named =
        |name: &str| there.unwrap_or_default().lines().any(|line| line.trim().trim_matches('/') == name);
    let lines: Vec<String> = [".kiln", "dist", "restored"]
        .into_iter()
        .filter(|name| !is_named(name))
        .map(|name| format!("/{name}/\n"))
        .collect();
    if lines.is_empty() {
        return None;
    }
    let break_before =
        if there.is_some_and(|text| !text.is_empty() && !text.ends_with('\n')) { "\n" } else { "" };
    let content = format!(
        "{break_before}# kiln: what it builds and gives back, and its history on this machine\n{}",
        lines.concat()
    );
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
        one("source", why(&artifact.source));
    }
    one("handler", why(&artifact.handler).filter(|_| artifact.kind.is_function()));
    one("architecture", artifact.architecture.as_ref().and_then(why));
    artifact.untold_layers.iter().for_each(|layer| one("layers", Some(layer)));
    Found {
        artifact: artifact.name.clone(),
        kind: artifact.kind.as_str(),
        stated_by: artifact.stated_by.clone(),
        untold,
    }
}
