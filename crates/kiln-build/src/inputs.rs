//! What builds need of servers: brought into the store, and named. Nothing is built.

use crate::BuildError;
use crate::error::Judged;
use crate::prepare::{Prepared, choose, prepare, read_files};
use kiln_collect::Denied;
use kiln_guest::{Bases, EngineSlot, GuestError, bring_packages, bring_registry_image, target_runtime};
use kiln_invocation::{
    Environment, Event, Events, InvocationError, Stage, all_stated, blocking, lock, read_usable_workspace,
};
use kiln_plan::{BaseKind, InvalidFiles, LayerInput, PinnedBase, Workspace};
use kiln_python::LayerContent;
use kiln_record::{ArtifactName, Defect, Digest, Entry};
use kiln_store::{StatCache, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The kinds of remembered values that a build needs beside the files that it is made of: choices among what locks name.
pub const REMEMBERED_INPUTS: [&str; 3] =
    [kiln_wheel::CHOICES[0], kiln_wheel::CHOICES[1], kiln_step::upstream::CACHE];

/// What builds need of servers.
#[derive(Clone, Debug, Default)]
pub struct ServedInputs {
    /// The artifacts that can be built with it, with the layers that they use.
    pub artifacts: BTreeSet<ArtifactName>,
    /// The files, each in the store, with the name that it has where it is from.
    pub files: BTreeMap<Digest, String>,
    /// What is remembered of choices: the kind and the key.
    pub remembered: BTreeSet<(&'static str, Digest)>,
}

/// Brings everything that builds of artifacts need of servers into the store: packages and images of bases, distributions and
/// what they are built with, crates, upstream sources. All of the workspace if `artifacts` is absent.
///
/// # Errors
/// If something cannot be had, or an artifact cannot be planned.
pub async fn served_inputs(
    environment: &Environment,
    artifacts: Option<&[ArtifactName]>,
    events: &Events,
    engine: EngineSlot,
) -> Result<(ServedInputs, Store), BuildError> {
    let lock = lock(environment, events).await?;
    let workspace = Arc::new(read_usable_workspace(&environment.root)?);
    if artifacts.is_none() {
        all_stated(&environment.root, &workspace)?;
    }
    let chosen = choose(&workspace, artifacts)?;
    let bases = Bases::open(environment, events, engine, lock)?;
    let _stop = bases.run().stop_on_drop();
    let mut inputs = ServedInputs { artifacts: chosen.clone(), ..ServedInputs::default() };
    let mut prepared: BTreeMap<ArtifactName, Prepared> = BTreeMap::new();
    let mut contents: BTreeMap<ArtifactName, LayerContent> = BTreeMap::new();
    for name in layers_first(&workspace, chosen) {
        events.send(Event::Stage { artifact: name.clone(), stage: Stage::Plan });
        let planned = planned(&bases, &workspace, &name, &prepared).await?;
        let gathering = Gathering { bases: &bases, prepared: &planned, inputs: &mut inputs };
        let layers = planned.plan.manifest.layers.iter().filter_map(|layer| contents.get(layer).cloned());
        match gathering.all(layers.collect()).await? {
            Ok(content) => contents.insert(name.clone(), content),
            Err(Denied(findings)) => {
                return Err(match findings.into_iter().next() {
                    Some(finding) => BuildError::Denied(Box::new(finding)),
                    None => Defect::new(format!("{name} is denied for nothing")).into(),
                });
            }
        };
        prepared.insert(name, planned);
    }
    Ok((inputs, bases.store().clone()))
}

/// Layers before those that use them: these are chosen with them in mind.
pub(crate) fn layers_first(workspace: &Workspace, chosen: BTreeSet<ArtifactName>) -> Vec<ArtifactName> {
    let uses_none =
        |name: &ArtifactName| workspace.manifests.get(name).is_none_or(|manifest| manifest.layers.is_empty());
    let (mut first, users): (Vec<_>, Vec<_>) = chosen.into_iter().partition(uses_none);
    first.extend(users);
    first
}

pub(crate) async fn planned(
    bases: &Bases,
    workspace: &Arc<Workspace>,
    name: &ArtifactName,
    others: &BTreeMap<ArtifactName, Prepared>,
) -> Result<Prepared, BuildError> {
    let Some(manifest) = workspace.manifests.get(name) else {
        let problems = workspace.broken.get(name).cloned().unwrap_or_default();
        return Err(InvocationError::from(InvalidFiles(problems)).into());
    };
    let read = {
        let (run, store, manifest) = (bases.run().clone(), bases.store().clone(), manifest.clone());
        let stat = StatCache::load(&run.state().join("stat"));
        blocking(move || read_files(&run, &store, &manifest, &stat)).await?
    };
    let layers: Vec<LayerInput> =
        manifest.layers.iter().filter_map(|layer| Some(others.get(layer)?.layer())).collect();
    prepare(workspace, manifest, read, layers).map_err(BuildError::Denied)
}

/// Brings what one artifact needs.
struct Gathering<'a> {
    bases: &'a Bases,
    prepared: &'a Prepared,
    inputs: &'a mut ServedInputs,
}

impl Gathering<'_> {
    /// Brings everything, and says what the artifact would hold as a layer.
    async fn all(mut self, layers: Vec<LayerContent>) -> Judged<LayerContent> {
        let plan = &self.prepared.plan;
        for base in plan.bases() {
            self.base(base).await?;
            if !matches!(base.definition.kind, BaseKind::Scratch) && !self.bases.can_run(base).await? {
                // Its Python is asked in the twin for the engine's own architecture.
                let info = self.bases.engine().await?.info().await.map_err(GuestError::from)?;
                let here = info.platform.architecture;
                if let Ok(twin) = base.twin(here) {
                    self.base(&twin).await?;
                }
            }
        }
        let store = self.bases.store().clone();
        kiln_step::upstream::bring_all(self.bases.network(), &plan.manifest, &plan.upstreams).await?;
        for upstream in &plan.upstreams {
            let Some(tree) = kiln_step::upstream::known(&store, &upstream.tree)? else {
                return Err(Defect::new("an upstream source was brought and is not in the store").into());
            };
            for (path, entry) in tree.iter() {
                if let Entry::File { digest, .. } = entry {
                    self.inputs.files.entry(*digest).or_insert_with(|| path.as_str().to_owned());
                }
            }
            self.inputs.remembered.insert((kiln_step::upstream::CACHE, upstream.tree));
        }
        for locked in self.prepared.files.steps.bring_crates(self.bases.network()).await? {
            self.inputs.files.insert(locked.checksum, locked.file_name());
        }
        let runtime = target_runtime(self.bases, &plan.manifest, &plan.base).await?;
        let brought = match kiln_wheel::inputs(self.bases, plan, &runtime, layers).await? {
            Ok(brought) => brought,
            Err(denied) => return Ok(Err(denied)),
        };
        self.inputs.files.extend(brought.files.into_iter().map(|(name, digest)| (digest, name)));
        self.inputs.remembered.extend(brought.choices);
        Ok(Ok(LayerContent { name: plan.manifest.name.clone(), distributions: brought.distributions }))
    }

    async fn base(&mut self, base: &PinnedBase) -> Result<(), BuildError> {
        match &base.definition.kind {
            BaseKind::Scratch => {}
            BaseKind::Debian(debian) => {
                let packages = &base.lock.packages;
                bring_packages(self.bases.network(), &base.definition.name, debian, packages).await?;
                for package in packages {
                    let name = package.path.rsplit('/').next().unwrap_or(&package.path);
                    self.inputs.files.insert(package.digest, name.to_owned());
                }
            }
            BaseKind::Registry(registry) => {
                let image = bring_registry_image(self.bases, base, registry).await?;
                let name = &base.definition.name;
                self.inputs.files.insert(image.manifest_digest, format!("{name} manifest.json"));
                self.inputs.files.insert(image.config_digest, format!("{name} config.json"));
                for layer in &image.layers {
                    self.inputs.files.insert(layer.digest, format!("{name} layer"));
                }
            }
        }
        Ok(())
    }
}
