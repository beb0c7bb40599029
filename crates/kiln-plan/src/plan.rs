//! Plans: one artifact with every input pinned by digest, and the digest of all of that.

use crate::{
    BaseDefinition, BaseLock, LockedUpstream, Manifest, NamedIndex, PlatformLock, PolicySection, Workspace,
    locked_upstreams,
};
use kiln_record::{
    Architecture, ArtifactName, BaseName, Code, Digest, Epoch, FORMAT_VERSION, Finding, Input, InputRole,
    Platform, digest_of_value,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the caller read from the workspace for one artifact.
#[derive(Clone, Debug, Default)]
pub struct PlanInputs {
    /// Digest of the artifact's own source tree, if it has a source.
    pub source: Option<Digest>,
    /// Path in the workspace and digest of the dependency lock.
    pub lock: Option<(String, Digest)>,
    /// Paths and digests of the files that the lock includes.
    pub included: Vec<(String, Digest)>,
    /// Paths and digests of the wheels and projects of the workspace that the lock names.
    pub local: Vec<(String, Digest)>,
    /// Path in the workspace and digest of the project file beside the lock.
    pub project: Option<(String, Digest)>,
    /// Paths and digests of the lock of build requirements and of the files that it includes.
    pub build_locks: Vec<(String, Digest)>,
    /// Paths and digests of what that lock is made from, if the manifest says so, and of the files that it includes.
    pub build_projects: Vec<(String, Digest)>,
    /// Paths and digests of the files that its checks use: events, and what is expected of their answers.
    pub check_files: Vec<(String, Digest)>,
    /// For each step that takes files of the workspace: its name, the path, and the digest of their tree.
    pub step_files: Vec<(String, String, Digest)>,
    /// Digest of the files that its Dockerfile can copy, if it has one.
    pub context: Option<Digest>,
    /// The layers that it is used with, already planned.
    pub layers: Vec<LayerInput>,
    /// The time that overrides the pin times (`SOURCE_DATE_EPOCH`).
    pub epoch: Option<Epoch>,
    /// The digest of everything in the program that decides bytes, documents or findings.
    pub rules: Option<Digest>,
}

/// A layer that a function is used with.
#[derive(Clone, Debug)]
pub struct LayerInput {
    /// Its name.
    pub name: ArtifactName,
    /// The digest of its plan.
    pub plan: Digest,
    /// Its epoch.
    pub epoch: Epoch,
}

/// A base that is pinned: the only way to get one is from a lock that belongs to its definition.
#[derive(Clone, Debug)]
pub struct PinnedBase {
    /// What the user stated.
    pub definition: BaseDefinition,
    /// The platform.
    pub platform: Platform,
    /// What it is on this platform.
    pub lock: PlatformLock,
    /// When it was pinned.
    pub pinned: Epoch,
    /// What it is on the definition's other platforms: the same source, pinned by the same command.
    pub elsewhere: BTreeMap<Platform, PlatformLock>,
}

impl PinnedBase {
    /// Joins a definition with its lock for one platform.
    ///
    /// # Errors
    /// A finding `base-not-pinned` that says which of lock, platform or agreement is missing, and the command that
    /// makes it.
    pub fn new(
        definition: &BaseDefinition,
        lock: Option<&BaseLock>,
        platform: Platform,
    ) -> Result<Self, Box<Finding>> {
        let refuse = |cause: String| Err(Box::new(base_not_pinned(definition, cause)));
        let Some(lock) = lock else {
            return refuse(match &definition.kind {
                crate::BaseKind::Registry(registry) => {
                    format!(
                        "`{}` names a tag, and a tag can move: no digest is locked for it",
                        registry.reference
                    )
                }
                crate::BaseKind::Debian(_) => "its packages are not locked".to_owned(),
                crate::BaseKind::Scratch => "nothing says for which platform".to_owned(),
            });
        };
        if lock.definition != definition.digest {
            return refuse(format!("{} has changed since it was locked on {}", definition.file, lock.pinned));
        }
        match lock.platform.get(&platform) {
            Some(facts) => Ok(Self {
                definition: definition.clone(),
                platform,
                lock: facts.clone(),
                pinned: lock.pinned,
                elsewhere: lock
                    .platform
                    .iter()
                    .filter(|(other, _)| **other != platform)
                    .map(|(other, facts)| (*other, facts.clone()))
                    .collect(),
            }),
            None => refuse(format!("it is not locked for {platform}")),
        }
    }
}

impl PinnedBase {
    /// The same base on another architecture.
    ///
    /// # Errors
    /// Why it is not known to have the same software: in words, for a message. A Debian base must have each package in one
    /// version on both platforms, but for a rebuild of the same source (`+b1`).
    pub fn twin(&self, architecture: Architecture) -> Result<Self, String> {
        let platform = Platform { architecture };
        let name = &self.definition.name;
        let Some(lock) = self.elsewhere.get(&platform) else {
            return Err(format!("{name} is not locked for {platform}, which could have told it"));
        };
        let there: BTreeMap<&str, &str> =
            lock.packages.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
        for package in &self.lock.packages {
            match there.get(package.name.as_str()) {
                Some(version) if source_version(version) != source_version(&package.version) => {
                    return Err(format!(
                        "{name} has {} {} on {} and {version} on {platform}",
                        package.name, package.version, self.platform
                    ));
                }
                _ => {}
            }
        }
        let mut elsewhere = self.elsewhere.clone();
        elsewhere.remove(&platform);
        elsewhere.insert(self.platform, self.lock.clone());
        Ok(Self {
            definition: self.definition.clone(),
            platform,
            lock: lock.clone(),
            pinned: self.pinned,
            elsewhere,
        })
    }
}

/// A Debian version without the number of a rebuild (Debian Policy 5.6.12, "binary NMUs"): the source is the same.
fn source_version(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((source, number)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => source,
        _ => version,
    }
}

/// The finding for a base without a usable lock.
#[must_use]
pub fn base_not_pinned(definition: &BaseDefinition, cause: impl Into<String>) -> Finding {
    Finding::new(Code::BaseNotPinned, definition.name.as_str(), cause)
        .detail(format!("base defined in {}", definition.file))
        .remedy(format!("pin it: kiln lock --base {}", definition.name))
}

/// An artifact with every input pinned.
#[derive(Clone, Debug)]
pub struct ArtifactPlan {
    /// What the user stated.
    pub manifest: Manifest,
    /// The base.
    pub base: PinnedBase,
    /// What source distributions are built with, if any may be.
    pub build: Option<BuildPlan>,
    /// What its steps run in, in the manifest's order.
    pub steps: Vec<StepPlan>,
    /// What its Dockerfile is built from and with, if it has one.
    pub recipe: Option<RecipePlan>,
    /// The workspace's policy with the manifest's laid over it.
    pub policy: PolicySection,
    /// The package indexes that the workspace names.
    pub indexes: Vec<NamedIndex>,
    /// The time that stands for the build.
    pub epoch: Epoch,
    /// What its upstream sources are, in the manifest's order.
    pub upstreams: Vec<LockedUpstream>,
    /// Every input known before the build, sorted.
    pub inputs: Vec<Input>,
    /// The digest of everything that decides bytes or findings.
    pub digest: Digest,
}

/// Where and from what source distributions are built.
#[derive(Clone, Debug)]
pub struct BuildPlan {
    /// The base that they are built in.
    pub base: PinnedBase,
    /// The lock of build requirements, relative to the workspace, if one is named.
    pub lock: Option<String>,
    /// The digests of that lock, of what it is made from, and of all that the two include.
    pub digests: Vec<Digest>,
}

/// What a step runs in.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// The base.
    pub base: PinnedBase,
}

/// What a Dockerfile is built from.
#[derive(Clone, Debug)]
pub struct RecipePlan {
    /// The digest of its text.
    pub text: Digest,
    /// Every base that it names.
    pub bases: BTreeMap<BaseName, PinnedBase>,
}

/// What a plan's digest covers. Field names are part of the digest: they change with the format version only.
#[derive(Serialize)]
struct Covered<'a> {
    format: String,
    inputs: &'a [Input],
    layers: Vec<(String, Digest)>,
    epoch: Epoch,
    definition: Digest,
    // Absent where nothing may be built, so that other plans keep their digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    build_definition: Option<Digest>,
    // Absent where there are no steps, for the same reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    step_definitions: Vec<Digest>,
    rules: Option<Digest>,
}

/// Plans one artifact.
///
/// # Errors
/// A finding where the base or an upstream source is not pinned.
///
/// # Panics
/// Never for a manifest of this workspace: its references were checked when the workspace was read.
pub fn plan(
    workspace: &Workspace,
    manifest: &Manifest,
    read: &PlanInputs,
) -> Result<ArtifactPlan, Box<Finding>> {
    let (definition, lock) = &workspace.bases[&manifest.base];
    let platform = Platform { architecture: manifest.target.architecture };
    let base = PinnedBase::new(definition, lock.as_ref(), platform)?;
    let stated = manifest.stated_name();
    let upstreams = locked_upstreams(stated, &manifest.upstreams, workspace.artifact_locks.get(stated))?;
    let build = build_plan(workspace, manifest, read, platform)?;
    let steps = step_plans(workspace, manifest, platform)?;
    let recipe = recipe_plan(workspace, manifest, platform)?;
    let policy = workspace.settings.policy.with(&manifest.policy);
    let pins = build.iter().map(|build| build.base.pinned);
    let pins = pins.chain(steps.iter().map(|step| step.base.pinned));
    let of_recipe = recipe.iter().flat_map(|recipe| recipe.bases.values());
    let pins = pins.chain(of_recipe.clone().map(|base| base.pinned));
    let pins = pins.chain(upstreams.iter().map(|upstream| upstream.pinned));
    let epochs = pins.chain(read.layers.iter().map(|layer| layer.epoch));
    let epoch = read.epoch.unwrap_or_else(|| epochs.fold(base.pinned, Epoch::max));

    let mut inputs = vec![
        Input { role: InputRole::Manifest, name: manifest.file.clone(), digest: manifest_digest(manifest) },
        Input { role: InputRole::Settings, name: "policy".to_owned(), digest: value_digest(&policy) },
        Input {
            role: InputRole::Base,
            name: format!("{} {platform}", definition.name),
            digest: base.lock.manifest,
        },
    ];
    if let (Some(recipe), Some(section)) = (&recipe, &manifest.dockerfile) {
        let name = section.path.clone();
        inputs.push(Input { role: InputRole::Dockerfile, name, digest: recipe.text });
        inputs.extend(read.context.map(|digest| Input {
            role: InputRole::Source,
            name: format!("{}/", section.context),
            digest,
        }));
        inputs.extend(recipe.bases.values().filter(|other| other.definition.name != definition.name).map(
            |other| {
                let name = format!("{} {platform}", other.definition.name);
                Input { role: InputRole::BuildBase, name, digest: other.lock.manifest }
            },
        ));
    }
    let indexes = &workspace.settings.indexes;
    if manifest.python.is_some() && !indexes.is_empty() {
        // Which name is bound to which index decides findings; where an index is decides nothing.
        let stated: Vec<_> = indexes.iter().map(NamedIndex::stated).collect();
        let digest = value_digest(&stated);
        inputs.push(Input { role: InputRole::Settings, name: "indexes".to_owned(), digest });
    }
    let files = [(InputRole::Lock, &read.lock), (InputRole::Project, &read.project)];
    inputs.extend(files.into_iter().filter_map(|(role, file)| {
        file.as_ref().map(|(name, digest)| Input { role, name: name.clone(), digest: *digest })
    }));
    inputs.extend(read.included.iter().map(|(name, digest)| Input {
        role: InputRole::Lock,
        name: name.clone(),
        digest: *digest,
    }));
    if let Some(build) = &build {
        inputs.push(Input {
            role: InputRole::BuildBase,
            name: format!("{} {platform}", build.base.definition.name),
            digest: build.base.lock.manifest,
        });
        let files = [(InputRole::BuildLock, &read.build_locks), (InputRole::Project, &read.build_projects)];
        inputs.extend(files.into_iter().flat_map(|(role, files)| {
            files.iter().map(move |(name, digest)| Input { role, name: name.clone(), digest: *digest })
        }));
    }
    inputs.extend(read.local.iter().map(|(name, digest)| Input {
        role: InputRole::Source,
        name: name.clone(),
        digest: *digest,
    }));
    inputs.extend(read.check_files.iter().map(|(name, digest)| Input {
        role: InputRole::Check,
        name: name.clone(),
        digest: *digest,
    }));
    if let (Some(source), Some(digest)) = (&manifest.source, read.source) {
        inputs.push(Input { role: InputRole::Source, name: source.path.clone(), digest });
    }
    inputs.extend(upstreams.iter().map(|upstream| Input {
        role: InputRole::Upstream,
        name: upstream.name.clone(),
        digest: upstream.tree,
    }));
    inputs.extend(steps.iter().map(|step| Input {
        role: InputRole::StepBase,
        name: format!("{} {platform}", step.base.definition.name),
        digest: step.base.lock.manifest,
    }));
    inputs.extend(read.step_files.iter().map(|(step, path, digest)| Input {
        role: InputRole::StepSource,
        name: format!("{step}: {path}"),
        digest: *digest,
    }));
    inputs.sort();
    inputs.dedup();

    let digest = value_digest(&Covered {
        format: FORMAT_VERSION.to_string(),
        inputs: &inputs,
        layers: read.layers.iter().map(|layer| (layer.name.to_string(), layer.plan)).collect(),
        epoch,
        definition: definition.digest,
        build_definition: build.as_ref().map(|build| build.base.definition.digest),
        step_definitions: steps
            .iter()
            .map(|step| step.base.definition.digest)
            .chain(of_recipe.map(|base| base.definition.digest))
            .collect(),
        rules: read.rules,
    });
    Ok(ArtifactPlan {
        manifest: manifest.clone(),
        base,
        build,
        steps,
        recipe,
        policy,
        indexes: indexes.clone(),
        epoch,
        upstreams,
        inputs,
        digest,
    })
}

/// What a manifest's source distributions are built with; none if it lists none.
fn build_plan(
    workspace: &Workspace,
    manifest: &Manifest,
    read: &PlanInputs,
    platform: Platform,
) -> Result<Option<BuildPlan>, Box<Finding>> {
    let Some(python) = manifest.python.as_ref().filter(|python| !python.sdists.is_empty()) else {
        return Ok(None);
    };
    let named = python.build.as_ref().and_then(|build| build.base.as_ref());
    let (definition, lock) = &workspace.bases[named.unwrap_or(&manifest.base)];
    let base = PinnedBase::new(definition, lock.as_ref(), platform)?;
    let digests = read.build_locks.iter().chain(&read.build_projects).map(|(_, digest)| *digest).collect();
    Ok(Some(BuildPlan { base, lock: python.build_lock().map(str::to_owned), digests }))
}

/// What a manifest's Dockerfile is built from.
fn recipe_plan(
    workspace: &Workspace,
    manifest: &Manifest,
    platform: Platform,
) -> Result<Option<RecipePlan>, Box<Finding>> {
    let Some(recipe) = &manifest.recipe else { return Ok(None) };
    let mut bases = BTreeMap::new();
    for name in &recipe.bases {
        let (definition, lock) = &workspace.bases[name];
        bases.insert(name.clone(), PinnedBase::new(definition, lock.as_ref(), platform)?);
    }
    Ok(Some(RecipePlan { text: Digest::of(recipe.text.as_bytes()), bases }))
}

/// What a manifest's steps run in.
fn step_plans(
    workspace: &Workspace,
    manifest: &Manifest,
    platform: Platform,
) -> Result<Vec<StepPlan>, Box<Finding>> {
    let each = manifest.steps.iter().map(|step| {
        let (definition, lock) = &workspace.bases[step.base.as_ref().unwrap_or(&manifest.base)];
        Ok(StepPlan { base: PinnedBase::new(definition, lock.as_ref(), platform)? })
    });
    each.collect()
}

/// The digest of what a manifest states, whatever its layout and comments.
fn manifest_digest(manifest: &Manifest) -> Digest {
    #[derive(Serialize)]
    struct Stated<'a> {
        name: &'a ArtifactName,
        kind: kiln_record::ArtifactKind,
        target: &'a kiln_record::Target,
        handler: &'a Option<String>,
        layers: &'a [ArtifactName],
        source: &'a Option<crate::SourceSection>,
        #[serde(skip_serializing_if = "<[crate::UpstreamSection]>::is_empty")]
        upstreams: &'a [crate::UpstreamSection],
        python: &'a Option<crate::PythonSection>,
        check: &'a crate::CheckSection,
        // Absent where the manifest has no such section, so that older manifests keep their digests.
        #[serde(skip_serializing_if = "Option::is_none")]
        package: &'a Option<crate::PackageSection>,
        #[serde(skip_serializing_if = "<[crate::SmokeEvent]>::is_empty")]
        smoke: &'a [crate::SmokeEvent],
        #[serde(skip_serializing_if = "Option::is_none")]
        image: &'a Option<crate::ImageSection>,
        #[serde(skip_serializing_if = "<[crate::StepSection]>::is_empty")]
        steps: &'a [crate::StepSection],
        #[serde(skip_serializing_if = "Option::is_none")]
        dockerfile: &'a Option<crate::DockerfileSection>,
        budget: &'a crate::BudgetSection,
    }
    value_digest(&Stated {
        name: &manifest.name,
        kind: manifest.kind,
        target: &manifest.target,
        handler: &manifest.handler,
        layers: &manifest.layers,
        source: &manifest.source,
        upstreams: &manifest.upstreams,
        python: &manifest.python,
        check: &manifest.check,
        package: &manifest.package,
        smoke: &manifest.smoke,
        image: &manifest.image,
        steps: &manifest.steps,
        dockerfile: &manifest.dockerfile,
        budget: &manifest.budget,
    })
}

fn value_digest<T: Serialize>(value: &T) -> Digest {
    digest_of_value(value).expect("plain structs with string keys always have a JSON form")
}
