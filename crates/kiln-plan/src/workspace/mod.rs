//! The workspace: every manifest and base together, with the references between them checked.

mod references;

use crate::Problem;
use crate::artifact_lock::ArtifactLockFile;
use crate::base::{BaseDefinition, BaseLock};
use crate::dockerfile::Dockerfile;
use crate::manifest::{BaseChoice, DockerfileSection, Manifest, artifact_lock_path};
use crate::platforms::PlatformSet;
use crate::settings::Settings;
use kiln_record::{ArtifactName, BaseName, Platform};
use references::references;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A text file of the workspace.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Its path relative to the workspace, with `/`.
    pub path: String,
    /// Its content.
    pub text: Arc<str>,
}

/// The text files that make a workspace.
#[derive(Clone, Debug, Default)]
pub struct WorkspaceFiles {
    /// `kiln.toml`.
    pub settings: Option<TextFile>,
    /// `images/*.toml`.
    pub definitions: Vec<TextFile>,
    /// `images/*.lock`.
    pub locks: Vec<TextFile>,
    /// `manifests/*.toml`.
    pub manifests: Vec<TextFile>,
    /// The Dockerfiles that manifests name, those that are there; [`crate::dockerfile_of`] says which to
    /// read.
    pub dockerfiles: Vec<TextFile>,
    /// `manifests/*.lock`: those of artifacts with upstream sources are read, any other is not kiln's.
    pub artifact_locks: Vec<TextFile>,
}

/// A validated workspace.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// What holds for all of it.
    pub settings: Settings,
    /// The bases, with their locks where there are any.
    pub bases: BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
    /// The artifacts. A manifest for several platforms is an artifact for each.
    pub manifests: BTreeMap<ArtifactName, Manifest>,
    /// The Dockerfiles of artifacts that are built by one, read.
    pub recipes: BTreeMap<ArtifactName, Arc<Dockerfile>>,
    /// The images for several platforms, by the names of their manifests.
    pub platform_sets: BTreeMap<ArtifactName, PlatformSet>,
    /// The locks of upstream sources, where there are any, by the names of the manifests' files.
    pub artifact_locks: BTreeMap<ArtifactName, ArtifactLockFile>,
}

impl Workspace {
    /// Reads all files and checks what they say about each other.
    ///
    /// # Errors
    /// All problems of all files.
    pub fn parse(files: &WorkspaceFiles) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let settings = match &files.settings {
            Some(file) => Settings::parse(&file.path, &file.text).unwrap_or_else(|problem| {
                problems.push(problem);
                Settings::default()
            }),
            None => Settings::default(),
        };
        let mut bases = read_bases(files, &mut problems);

        let mut manifests: BTreeMap<ArtifactName, Manifest> = BTreeMap::new();
        let mut platform_sets = BTreeMap::new();
        for file in &files.manifests {
            let stated = stem(&file.path, ".toml")
                .parse::<ArtifactName>()
                .map_err(|error| vec![Problem::in_file(&file.path, error.to_string())])
                .and_then(|name| Manifest::parse(name, &file.path, &file.text, &settings.runtimes));
            let (artifacts, set) = match stated {
                Ok(stated) => stated.per_platform(),
                Err(found) => {
                    problems.extend(found);
                    continue;
                }
            };
            for manifest in artifacts {
                problems.extend(manifests.get(&manifest.name).map(|other| same_name(&manifest, other)));
                manifests.insert(manifest.name.clone(), manifest);
            }
            platform_sets.extend(set.map(|set| (set.name.clone(), set)));
        }
        let mut recipes = BTreeMap::new();
        for manifest in manifests.values() {
            let Some(section) = manifest.dockerfile() else { continue };
            match read_recipe(manifest, section, &files.dockerfiles, &mut bases) {
                Ok(recipe) => {
                    recipes.insert(manifest.name.clone(), Arc::new(recipe));
                }
                Err(found) => problems.extend(found),
            }
        }
        problems.extend(platform_sets.keys().filter_map(|name| manifests.get(name)).map(|manifest| {
            let message = format!("`{}` on one platform is called as another manifest is", manifest.file);
            Problem::in_file(&format!("manifests/{}.toml", manifest.name), message).help(RENAME)
        }));
        let mut artifact_locks = BTreeMap::new();
        for manifest in manifests.values().filter(|manifest| !manifest.upstreams.is_empty()) {
            let name = manifest.stated_name();
            let path = artifact_lock_path(name);
            let Some(file) = files.artifact_locks.iter().find(|file| file.path == path) else { continue };
            match ArtifactLockFile::parse(name, &file.text) {
                Ok(lock) => {
                    artifact_locks.insert(name.clone(), lock);
                }
                Err(problem) => problems.push(problem),
            }
        }
        let workspace = Self { settings, bases, manifests, recipes, platform_sets, artifact_locks };
        // A file that cannot be read is not missing: what names it is checked when it can be.
        if problems.is_empty() {
            problems.extend(workspace.manifests.values().flat_map(|manifest| {
                let recipe = workspace.recipes.get(&manifest.name).map(|recipe| &**recipe);
                references(manifest, recipe, &workspace.manifests, &workspace.bases)
            }));
        }
        if problems.is_empty() { Ok(workspace) } else { Err(problems) }
    }

    /// The base that an artifact is built and checked in: the one that its manifest names, or that the wanted
    /// stage of its Dockerfile stands on.
    ///
    /// # Panics
    /// Never for a manifest of this workspace: its Dockerfile was read with it.
    #[must_use]
    pub fn base_of<'a>(&'a self, manifest: &'a Manifest) -> &'a BaseName {
        match &manifest.base {
            BaseChoice::Named { name, .. } => name,
            BaseChoice::OfDockerfile(_) => &self.recipes[&manifest.name].base,
        }
    }
}

/// Reads the bases, each with its lock if there is one.
fn read_bases(
    files: &WorkspaceFiles,
    problems: &mut Vec<Problem>,
) -> BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)> {
    let mut bases = BTreeMap::new();
    for file in &files.definitions {
        let definition = stem(&file.path, ".toml")
            .parse::<BaseName>()
            .map_err(|error| Problem::in_file(&file.path, error.to_string()))
            .and_then(|name| BaseDefinition::parse(name, &file.path, &file.text));
        match definition {
            Ok(definition) => {
                bases.insert(definition.name.clone(), (definition, None));
            }
            Err(problem) => problems.push(problem),
        }
    }
    for file in &files.locks {
        match BaseLock::parse(&file.path, &file.text) {
            Ok(lock) if lock.base.as_str() != stem(&file.path, ".lock") => problems.push(
                Problem::in_file(&file.path, format!("it is the lock of base `{}`", lock.base))
                    .help("give it that base's name"),
            ),
            Ok(lock) => match bases.get_mut(&lock.base) {
                Some((_, slot)) => *slot = Some(lock),
                None if files
                    .definitions
                    .iter()
                    .any(|file| stem(&file.path, ".toml") == lock.base.as_str()) => {}
                None => problems.push(
                    Problem::in_file(&file.path, format!("there is no images/{}.toml", lock.base))
                        .help("remove the lock, or bring the definition back"),
                ),
            },
            Err(problem) => problems.push(problem),
        }
    }
    bases
}

/// Reads the Dockerfile of a manifest.
fn read_recipe(
    manifest: &Manifest,
    section: &DockerfileSection,
    dockerfiles: &[TextFile],
    bases: &mut BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
) -> Result<Dockerfile, Vec<Problem>> {
    let Some(file) = dockerfiles.iter().find(|file| file.path == section.path) else {
        let message = format!("`dockerfile` names {}, which does not exist", section.path);
        return Err(vec![
            Problem::in_file(&manifest.file, message)
                .help("write its path relative to the manifest's folder"),
        ]);
    };
    let platform = Platform { architecture: manifest.target.architecture };
    Dockerfile::parse(&file.path, &file.text, section, platform, bases)
}

/// What helps where two manifests state artifacts of one name.
const RENAME: &str = "give one of the two another name";

/// Two artifacts of one name: one is a manifest's only one, the other is one platform of another's.
fn same_name(one: &Manifest, other: &Manifest) -> Problem {
    let (single, platform) = if one.stated_as.is_none() { (one, other) } else { (other, one) };
    let message = format!("`{}` is what {} is called on one platform", single.name, platform.file);
    Problem::in_file(&single.file, message).help(RENAME)
}

fn stem<'a>(path: &'a str, ending: &str) -> &'a str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(ending).unwrap_or(name)
}
