//! The workspace: every manifest and base together, with the references between them checked.

mod references;

use crate::artifact_lock::ArtifactLockFile;
use crate::base::{BaseDefinition, BaseLock};
use crate::dockerfile::Dockerfile;
use crate::manifest::{BaseChoice, DockerfileSection, Manifest, artifact_lock_path, platform_name};
use crate::platforms::PlatformSet;
use crate::settings::Settings;
use crate::tools_lock::{CrateArchive, ToolsLock};
use crate::{InvalidFiles, Problem};
use kiln_record::{Architecture, ArtifactName, BaseName, Platform};
use references::{Known, references};
use std::collections::{BTreeMap, BTreeSet};
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
    /// `kiln.lock`, if it is there.
    pub tools_lock: Option<TextFile>,
    /// What is wrong with files that are there and no text.
    pub unreadable: Vec<Problem>,
}

/// A workspace. Everything that [`Workspace::broken`] does not name was found good.
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
    /// The archives of crates that distributions have inside, of which `kiln.lock` has the digests.
    pub crates: Vec<CrateArchive>,
    /// What is wrong with artifacts that are stated and cannot be built, or with what they stand on. They are not among the
    /// manifests. One whose manifest cannot be read has the name of that file.
    pub broken: BTreeMap<ArtifactName, Vec<Problem>>,
    /// What is wrong and concerns no artifact, such as a base that none stands on.
    pub problems: Vec<Problem>,
}

impl Workspace {
    /// Reads all files and checks what they say about each other.
    ///
    /// # Errors
    /// All problems of all files.
    pub fn parse(files: &WorkspaceFiles) -> Result<Self, Vec<Problem>> {
        let (workspace, of_settings) = Self::examine(files);
        let problems = workspace.all_problems(of_settings);
        if problems.is_empty() { Ok(workspace) } else { Err(problems) }
    }

    /// Reads all files as far as they can be used: what is wrong with an artifact, or with a base that it stands on, is kept
    /// in [`Workspace::broken`].
    ///
    /// # Errors
    /// All problems of all files, if `kiln.toml` has one: it holds for everything.
    pub fn parse_usable(files: &WorkspaceFiles) -> Result<Self, Vec<Problem>> {
        let (workspace, of_settings) = Self::examine(files);
        if of_settings.is_empty() { Ok(workspace) } else { Err(workspace.all_problems(of_settings)) }
    }

    /// Everything that is wrong, each once.
    fn all_problems(&self, of_settings: Vec<Problem>) -> Vec<Problem> {
        let mut all: Vec<Problem> = Vec::new();
        let found = self.problems.iter().chain(self.broken.values().flatten()).cloned();
        for problem in of_settings.into_iter().chain(found) {
            if !all.contains(&problem) {
                all.push(problem);
            }
        }
        all
    }

    fn examine(files: &WorkspaceFiles) -> (Self, Vec<Problem>) {
        let settings = files.settings.as_ref().map(|file| Settings::parse(&file.path, &file.text));
        let (settings, of_settings) = match settings.transpose() {
            Ok(settings) => (settings.unwrap_or_default(), Vec::new()),
            Err(InvalidFiles(problems)) => (Settings::default(), problems),
        };
        let mut problems = Vec::new();
        let lock = files.tools_lock.as_ref().map(|file| ToolsLock::parse(&file.path, &file.text));
        let (crates, of_crates) = match lock.transpose() {
            Ok(lock) => (lock.map(|lock| lock.crates).unwrap_or_default(), None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        let (mut bases, mut broken_bases) = read_bases(files, &mut problems);
        bases.retain(|name, (definition, _)| {
            let file = files.definitions.iter().find(|file| file.path == definition.file);
            let problem = settings.trust.of_base(definition, file.map(|file| &file.text));
            let is_trusted = problem.is_none();
            if let Some(problem) = problem {
                broken_bases.entry(name.clone()).or_default().push(problem);
            }
            is_trusted
        });
        let Stated { manifests, platform_sets, mut broken } = read_manifests(files, &settings, &mut problems);
        // Without the crates, an artifact that may have some is another.
        if let Some(problem) = of_crates {
            for manifest in manifests.values().filter(|manifest| manifest.python.is_some()) {
                add(&mut broken, &manifest.name, [problem.clone()]);
            }
            if broken.is_empty() {
                problems.push(problem);
            }
        }
        let mut recipes = BTreeMap::new();
        for manifest in manifests.values() {
            let Some(section) = manifest.dockerfile() else { continue };
            match read_recipe(manifest, section, files, &mut bases) {
                Ok(recipe) => {
                    let untrusted = recipe.bases.iter().filter_map(|base| {
                        let (definition, _) = bases.get(base)?;
                        let file = files.dockerfiles.iter().find(|file| file.path == definition.file);
                        settings.trust.of_base(definition, file.map(|file| &file.text))
                    });
                    add(&mut broken, &manifest.name, untrusted.collect::<Vec<_>>());
                    recipes.insert(manifest.name.clone(), Arc::new(recipe));
                }
                Err(problems) => add(&mut broken, &manifest.name, problems),
            }
        }
        let mut artifact_locks = BTreeMap::new();
        for manifest in manifests.values().filter(|manifest| !manifest.upstreams.is_empty()) {
            let name = manifest.stated_name();
            let path = artifact_lock_path(name);
            if let Some(problem) = files.unreadable.iter().find(|problem| problem.file == path) {
                add(&mut broken, &manifest.name, [problem.clone()]);
            }
            let Some(file) = files.artifact_locks.iter().find(|file| file.path == path) else { continue };
            match ArtifactLockFile::parse(name, &file.text) {
                Ok(lock) => {
                    artifact_locks.insert(name.clone(), lock);
                }
                Err(problem) => add(&mut broken, &manifest.name, [problem]),
            }
        }
        let known =
            Known { manifests: &manifests, broken: &broken, bases: &bases, broken_bases: &broken_bases };
        let of_references = manifests.values().map(|manifest| {
            let recipe = recipes.get(&manifest.name).map(|recipe| &**recipe);
            (&manifest.name, references(manifest, recipe, &known))
        });
        for (name, problems) in of_references.collect::<Vec<_>>() {
            add(&mut broken, name, problems);
        }
        // A problem of a base is told with the artifacts on it, or else alone.
        let mut alone: Vec<Problem> = broken_bases.into_values().flatten().collect();
        alone.retain(|problem| !broken.values().flatten().any(|told| told == problem));
        problems.extend(alone);

        let mut workspace = Self {
            settings,
            bases,
            manifests,
            recipes,
            platform_sets,
            artifact_locks,
            crates,
            broken,
            problems,
        };
        workspace.manifests.retain(|name, _| !workspace.broken.contains_key(name));
        (workspace, of_settings)
    }

    /// What a build of everything is of: every name that a manifest gives, an image for several platforms by its own, but for
    /// what is built on request. What cannot be read is among them, as nobody can tell what it asks for.
    #[must_use]
    pub fn in_all(&self) -> BTreeSet<&ArtifactName> {
        let on_request = self.on_request();
        let stated = self.manifests.values().map(Manifest::stated_name).chain(self.platform_sets.keys());
        stated.filter(|name| !on_request.contains(name)).chain(self.broken.keys()).collect()
    }

    /// What a build of everything leaves out, by the names that manifests give.
    #[must_use]
    pub fn on_request(&self) -> BTreeSet<&ArtifactName> {
        let asked = self.manifests.values().filter(|manifest| manifest.on_request);
        asked.map(Manifest::stated_name).collect()
    }

    /// Every name that an artifact of this workspace may be published under. Where a manifest cannot be read, nobody can
    /// tell whether it is for several platforms.
    #[must_use]
    pub fn artifact_names(&self) -> BTreeSet<ArtifactName> {
        let platforms = self.broken.keys().flat_map(|name| {
            [Architecture::Amd64, Architecture::Arm64]
                .into_iter()
                .filter_map(|architecture| platform_name(name, architecture).ok())
        });
        self.manifests.keys().chain(self.broken.keys()).cloned().chain(platforms).collect()
    }

    /// Every name that an image for several platforms may be published under.
    #[must_use]
    pub fn index_names(&self) -> BTreeSet<ArtifactName> {
        self.platform_sets.keys().chain(self.broken.keys()).cloned().collect()
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

/// Adds problems of an artifact, if there are any.
fn add(
    broken: &mut BTreeMap<ArtifactName, Vec<Problem>>,
    name: &ArtifactName,
    problems: impl IntoIterator<Item = Problem>,
) {
    let mut problems = problems.into_iter().peekable();
    if problems.peek().is_some() {
        broken.entry(name.clone()).or_default().extend(problems);
    }
}

/// The bases, each with its lock if there is one.
type Bases = BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>;

/// Reads the bases; those that have a problem apart. `problems` gets what concerns none.
fn read_bases(
    files: &WorkspaceFiles,
    problems: &mut Vec<Problem>,
) -> (Bases, BTreeMap<BaseName, Vec<Problem>>) {
    let mut bases = Bases::new();
    let mut broken: BTreeMap<BaseName, Vec<Problem>> = BTreeMap::new();
    let mut found = |path: &str, problem: Problem| match base_of_file(path) {
        Ok(name) => broken.entry(name).or_default().push(problem),
        // What has no name that a base can have is none's.
        Err(_) => problems.push(problem),
    };
    for problem in files.unreadable.iter().filter(|problem| problem.file.starts_with("images/")) {
        found(&problem.file, problem.clone());
    }
    for file in &files.definitions {
        let definition = base_of_file(&file.path)
            .map_err(InvalidFiles::from)
            .and_then(|name| BaseDefinition::parse(name, &file.path, &file.text));
        match definition {
            Ok(definition) => {
                bases.insert(definition.name.clone(), (definition, None));
            }
            Err(InvalidFiles(problems)) => {
                problems.into_iter().for_each(|problem| found(&file.path, problem));
            }
        }
    }
    let is_defined = |base: &BaseName| {
        let mut definitions = files.definitions.iter().map(|file| &file.path);
        let unreadable = files.unreadable.iter().map(|problem| &problem.file);
        definitions.by_ref().chain(unreadable).any(|path| *path == format!("images/{base}.toml"))
    };
    for file in &files.locks {
        match BaseLock::parse(&file.path, &file.text) {
            Ok(lock) if lock.base.as_str() != stem(&file.path, ".lock") => {
                let message = format!("it is the lock of base `{}`", lock.base);
                found(&file.path, Problem::in_file(&file.path, message).help("give it that base's name"));
            }
            Ok(lock) => match bases.get_mut(&lock.base) {
                Some((_, slot)) => *slot = Some(lock),
                None if is_defined(&lock.base) => {}
                None => {
                    let message = format!("there is no images/{}.toml", lock.base);
                    let help = "remove the lock, or bring the definition back";
                    found(&file.path, Problem::in_file(&file.path, message).help(help));
                }
            },
            Err(problem) => found(&file.path, problem),
        }
    }
    bases.retain(|name, _| !broken.contains_key(name));
    (bases, broken)
}

/// The base that a definition or a lock is of, by its path.
fn base_of_file(path: &str) -> Result<BaseName, Problem> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.strip_suffix(".toml").or_else(|| name.strip_suffix(".lock")).unwrap_or(name);
    name.parse().map_err(|error: kiln_record::NameError| Problem::in_file(path, error.to_string()))
}

/// What manifests state.
#[derive(Default)]
struct Stated {
    manifests: BTreeMap<ArtifactName, Manifest>,
    platform_sets: BTreeMap<ArtifactName, PlatformSet>,
    broken: BTreeMap<ArtifactName, Vec<Problem>>,
}

/// Reads the manifests, each for itself. `problems` gets what is wrong with a file that cannot be an artifact's.
fn read_manifests(files: &WorkspaceFiles, settings: &Settings, problems: &mut Vec<Problem>) -> Stated {
    let mut stated = Stated::default();
    let unreadable = files.unreadable.iter().map(|problem| (&problem.file, Err(problem)));
    let readable = files.manifests.iter().map(|file| (&file.path, Ok(&file.text)));
    for (path, text) in readable.chain(unreadable) {
        let Some(name) = path.strip_prefix("manifests/").and_then(|name| name.strip_suffix(".toml")) else {
            continue;
        };
        let name = match name.parse::<ArtifactName>() {
            Ok(name) => name,
            Err(error) => {
                problems.push(Problem::in_file(path, error.to_string()));
                continue;
            }
        };
        let manifest = text
            .map_err(|problem| vec![problem.clone()])
            .and_then(|text| Manifest::parse(name.clone(), path, text, &settings.runtimes));
        match manifest {
            Ok(manifest) => stated.add(manifest),
            Err(found) => add(&mut stated.broken, &name, found),
        }
    }
    for name in stated.platform_sets.keys() {
        if let Some(manifest) = stated.manifests.get(name) {
            let message = format!("`{}` on one platform is called as another manifest is", manifest.file);
            let problem = Problem::in_file(&format!("manifests/{name}.toml"), message).help(RENAME);
            add(&mut stated.broken, name, [problem]);
        }
    }
    stated
}

impl Stated {
    /// Adds the artifacts that a manifest states.
    fn add(&mut self, stated: Manifest) {
        let (artifacts, set) = stated.per_platform();
        for manifest in artifacts {
            if let Some(other) = self.manifests.get(&manifest.name) {
                let problem = same_name(&manifest, other);
                add(&mut self.broken, &manifest.name, [problem]);
            }
            self.manifests.insert(manifest.name.clone(), manifest);
        }
        self.platform_sets.extend(set.map(|set| (set.name.clone(), set)));
    }
}

/// Reads the Dockerfile of a manifest.
fn read_recipe(
    manifest: &Manifest,
    section: &DockerfileSection,
    files: &WorkspaceFiles,
    bases: &mut Bases,
) -> Result<Dockerfile, Vec<Problem>> {
    if let Some(problem) = files.unreadable.iter().find(|problem| problem.file == section.path) {
        return Err(vec![problem.clone()]);
    }
    let Some(file) = files.dockerfiles.iter().find(|file| file.path == section.path) else {
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
