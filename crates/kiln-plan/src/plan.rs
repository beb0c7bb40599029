//! Plans: one artifact with every input pinned by digest, and the digest of all of that.

use crate::{BaseDefinition, BaseLock, Manifest, PlatformLock, PolicySection, Workspace};
use kiln_record::{
    ArtifactName, Code, Digest, Epoch, FORMAT_VERSION, Finding, Input, InputRole, Platform, digest_of_value,
};
use serde::Serialize;

/// What the caller read from the workspace for one artifact.
#[derive(Clone, Debug, Default)]
pub struct PlanInputs {
    /// Digest of the artifact's own source tree, if it has a source.
    pub source: Option<Digest>,
    /// Path in the workspace and digest of the dependency lock.
    pub lock: Option<(String, Digest)>,
    /// Paths and digests of the files that the lock includes.
    pub included: Vec<(String, Digest)>,
    /// Path in the workspace and digest of the project file beside the lock.
    pub project: Option<(String, Digest)>,
    /// Paths and digests of the files that its checks use: events, and what is expected of their answers.
    pub check_files: Vec<(String, Digest)>,
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
            }),
            None => refuse(format!("it is not locked for {platform}")),
        }
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
    /// The workspace's policy with the manifest's laid over it.
    pub policy: PolicySection,
    /// The time that stands for the build.
    pub epoch: Epoch,
    /// Every input known before the build, sorted.
    pub inputs: Vec<Input>,
    /// The digest of everything that decides bytes or findings.
    pub digest: Digest,
}

/// What a plan's digest covers. Field names are part of the digest: they change with the format version only.
#[derive(Serialize)]
struct Covered<'a> {
    format: String,
    inputs: &'a [Input],
    layers: Vec<(String, Digest)>,
    epoch: Epoch,
    definition: Digest,
    rules: Option<Digest>,
}

/// Plans one artifact.
///
/// # Errors
/// A finding where the base is not pinned.
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
    let policy = workspace.settings.policy.with(&manifest.policy);
    let epoch = read
        .epoch
        .unwrap_or_else(|| read.layers.iter().map(|layer| layer.epoch).fold(base.pinned, Epoch::max));

    let mut inputs = vec![
        Input { role: InputRole::Manifest, name: manifest.file.clone(), digest: manifest_digest(manifest) },
        Input { role: InputRole::Settings, name: "policy".to_owned(), digest: value_digest(&policy) },
        Input {
            role: InputRole::Base,
            name: format!("{} {platform}", definition.name),
            digest: base.lock.manifest,
        },
    ];
    let files = [(InputRole::Lock, &read.lock), (InputRole::Project, &read.project)];
    inputs.extend(files.into_iter().filter_map(|(role, file)| {
        file.as_ref().map(|(name, digest)| Input { role, name: name.clone(), digest: *digest })
    }));
    inputs.extend(read.included.iter().map(|(name, digest)| Input {
        role: InputRole::Lock,
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
    inputs.sort();

    let digest = value_digest(&Covered {
        format: FORMAT_VERSION.to_string(),
        inputs: &inputs,
        layers: read.layers.iter().map(|layer| (layer.name.to_string(), layer.plan)).collect(),
        epoch,
        definition: definition.digest,
        rules: read.rules,
    });
    Ok(ArtifactPlan { manifest: manifest.clone(), base, policy, epoch, inputs, digest })
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
        python: &'a Option<crate::PythonSection>,
        check: &'a crate::CheckSection,
        // Absent where the manifest has no such section, so that older manifests keep their digests.
        #[serde(skip_serializing_if = "Option::is_none")]
        package: &'a Option<crate::PackageSection>,
        #[serde(skip_serializing_if = "<[crate::SmokeEvent]>::is_empty")]
        smoke: &'a [crate::SmokeEvent],
        #[serde(skip_serializing_if = "Option::is_none")]
        image: &'a Option<crate::ImageSection>,
        budget: &'a crate::BudgetSection,
    }
    value_digest(&Stated {
        name: &manifest.name,
        kind: manifest.kind,
        target: &manifest.target,
        handler: &manifest.handler,
        layers: &manifest.layers,
        source: &manifest.source,
        python: &manifest.python,
        check: &manifest.check,
        package: &manifest.package,
        smoke: &manifest.smoke,
        image: &manifest.image,
        budget: &manifest.budget,
    })
}

fn value_digest<T: Serialize>(value: &T) -> Digest {
    digest_of_value(value).expect("plain structs with string keys always have a JSON form")
}
