//! One event for a function as it is published, in the base that it was built for, with its layers: by the runner of the smoke
//! check, so that both give a function the same.

use crate::BuildError;
use crate::built::{archive, changed, pinned_base};
use crate::prepare::plans;
use kiln_check::{Function, FunctionEvent, Served, bootstrap_path};
use kiln_engine::InputTree;
use kiln_guest::{
    AssembledImage, Bases, EngineSlot, GuestError, Loaded, input_tree, numeric_user, target_runtime,
};
use kiln_invocation::{Environment, Events, blocking, lock, read_usable_workspace};
use kiln_pack::{LayerCodec, Limits, Member, ZipReader};
use kiln_plan::{Manifest, PinnedBase, Workspace};
use kiln_publish::{PublishError, claimed, stored_image};
use kiln_python::{EventReport, Expectation, Match, SmokeLimits, SmokeProblem, smoke_outcome};
use kiln_record::{
    ArtifactKind, ArtifactName, CheckOutcome, Digest, ImageRecord, InputRole, Record, Runtime, TreePath,
};
use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What to run.
#[derive(Clone, Debug)]
pub struct InvokeRequest {
    /// An artifact, a build of the ledger whose archive is still published, or a file that a record describes.
    pub build: String,
    /// The event, which is JSON.
    pub event: Vec<u8>,
    /// Variables that it gets besides those of its manifest, or instead of them.
    pub variables: BTreeMap<String, String>,
}

/// What came of an event.
#[derive(Debug)]
pub struct Invoked {
    /// How to call the build in output.
    pub label: String,
    /// The artifact.
    pub artifact: ArtifactName,
    /// The base that it ran in, or that its image stands on.
    pub base: String,
    /// What the function made of the event.
    pub event: EventReport,
    /// What it was allowed to use.
    pub limits: SmokeLimits,
    /// What is wrong, if it did not answer.
    pub problem: Option<SmokeProblem>,
    /// What is to be known of how it was run, a clause each.
    pub notes: Vec<String>,
}

/// Gives one event to a function as it is published. What the function prints is told as it comes
/// ([`Event::Line`](kiln_invocation::Event::Line)).
///
/// # Errors
/// If the build, its archive, its base or its layers cannot be had, or the engine does not do its part. What the function makes
/// of the event is no error here.
pub async fn invoke(
    environment: &Environment,
    request: &InvokeRequest,
    events: &Events,
    engine: EngineSlot,
) -> Result<Invoked, BuildError> {
    let lock = lock(environment, events).await?;
    let named = claimed(environment, &request.build)?;
    let error = |reason: String| BuildError::from(not_usable(&request.build, reason));
    if let Some(lacks) = named.known.lacks() {
        return Err(error(format!("what it runs in is not known, since it has no record: {lacks}")));
    }
    let record = named.record;
    match record.kind {
        ArtifactKind::LambdaZip | ArtifactKind::LambdaImage => {}
        ArtifactKind::LambdaLayer => {
            return Err(error("a layer is not invoked; name a function that uses it".to_owned()));
        }
        ArtifactKind::Image => {
            return Err(error("it is the image of a service, which handles no events of Lambda".to_owned()));
        }
    }
    let workspace = read_usable_workspace(&environment.root)?;
    let manifest = configured(&workspace, &record, &request.variables).ok_or_else(|| {
        error(format!(
            "this workspace states no artifact {}, and only its manifest says what the function is configured with",
            record.artifact
        ))
    })?;
    let bases = Bases::open(environment, events, engine, lock)?;
    let _stop = bases.run().stop_on_drop();
    let base = pinned_base(&workspace, &record)?.map_err(error)?;
    if !bases.can_run(&base).await? {
        let architecture = record.target.architecture.lambda();
        return Err(error(format!("it is for {architecture}, and there is no {architecture} engine here")));
    }
    let runtime = target_runtime(&bases, &manifest, &base).await?;
    let mut notes = Vec::new();
    notes.extend(source_moved(&bases, &record).await?);

    let event = [FunctionEvent { name: "event".to_owned(), content: request.event.clone(), cold: true }];
    let place = Place { environment, bases: &bases, manifest: &manifest, base: &base, runtime: &runtime };
    let served = match &record.image {
        Some(image) => place.in_image(&request.build, &record, image, &event).await?,
        None => place.in_base(&request.build, &record, &event, &mut notes).await?,
    };
    let (report, limits) = match served {
        Served::Handled { report, limits } => (report, limits),
        Served::NoServer => {
            return Err(error(format!(
                "base {} has no Python, which serves the Runtime API",
                base.definition.name
            )));
        }
        Served::Tampered(why) => {
            return Err(error(format!(
                "what came of the event is not what the server of the Runtime API reports: {why}; see whether the function \
                 interferes with processes that are not its own"
            )));
        }
    };
    let answered = Expectation {
        name: "event".to_owned(),
        fails: false,
        error_type: None,
        answer: None,
        matching: Match::Subset,
    };
    let outcome = smoke_outcome(&report, &[answered], &runtime, &limits);
    notes.extend(outcome.checks.into_iter().filter_map(|check| match check.outcome {
        CheckOutcome::NotChecked { reason } => Some(reason),
        CheckOutcome::Ran { .. } => None,
    }));
    let Some(event) = report.events.into_iter().next() else {
        return Err(error("the server of the Runtime API reports no event".to_owned()));
    };
    Ok(Invoked {
        label: named.label,
        artifact: record.artifact,
        base: base.definition.name.to_string(),
        event,
        limits,
        problem: outcome.problems.into_iter().next(),
        notes,
    })
}

fn not_usable(what: &str, reason: String) -> PublishError {
    PublishError::NotUsable { what: what.to_owned(), reason }
}

/// The manifest of a build: what was built with it, and what the workspace configures it with today.
fn configured(
    workspace: &Workspace,
    record: &Record,
    variables: &BTreeMap<String, String>,
) -> Option<Manifest> {
    let mut manifest = workspace.manifests.get(&record.artifact)?.clone();
    manifest.kind = record.kind;
    manifest.handler.clone_from(&record.handler);
    manifest.layers.clone_from(&record.layers);
    manifest.environment.clone_from(&record.environment);
    manifest.check.env.extend(variables.clone());
    let own = workspace.settings.runtimes.iter().find(|runtime| runtime.name == record.target.runtime);
    if let Some(runtime) = own.or_else(|| Runtime::named(&record.target.runtime)) {
        manifest.target.runtime = Some(Arc::clone(runtime));
    }
    Some(manifest)
}

/// What is to be said where the source would give another build by now.
async fn source_moved(bases: &Bases, record: &Record) -> Result<Option<String>, BuildError> {
    let (run, store) = (bases.run().clone(), bases.store().clone());
    let (artifact, built) = (record.artifact.clone(), record.plan);
    blocking(move || {
        let unknown = |why: String| format!("whether the source would still give this build was not told: {why}");
        Ok(match plans(&run, &store, &artifact).map(|mut plans| plans.remove(&artifact)) {
            Ok(Some(Ok(plan))) if plan.digest == built => None,
            Ok(Some(Ok(_))) => Some(format!(
                "this is what was built, and the workspace has changed since: kiln build {artifact} makes it anew"
            )),
            Ok(Some(Err(finding))) => Some(unknown(finding.cause)),
            Ok(None) => Some(unknown("it has no plan".to_owned())),
            Err(error) => Some(unknown(error.to_string())),
        })
    })
    .await
}

/// Where a function runs.
struct Place<'a> {
    environment: &'a Environment,
    bases: &'a Bases,
    manifest: &'a Manifest,
    base: &'a PinnedBase,
    runtime: &'a Runtime,
}

impl Place<'_> {
    /// In its base, as Lambda has it.
    async fn in_base(
        &self,
        build: &str,
        record: &Record,
        events: &[FunctionEvent],
        notes: &mut Vec<String>,
    ) -> Result<Served, BuildError> {
        let zip = self.zip_of(build, record)?;
        let mut layers = Vec::new();
        for layer in &record.layers {
            let of_layer = claimed(self.environment, layer.as_str())?.record;
            let checked =
                record.inputs.iter().find(|i| i.role == InputRole::Layer && i.name == layer.as_str());
            if checked.is_none_or(|checked| checked.digest != of_layer.tree) {
                notes.push(format!(
                    "the layer {layer} is published with other files than those that it was checked with"
                ));
            }
            layers.push(self.zip_of(layer.as_str(), &of_layer)?);
        }
        let image = self.bases.image(self.base).await?;
        let (task, in_task) = self.unpacked("/var/task", vec![zip]).await?;
        let mut trees = vec![task];
        let mut in_layer = false;
        if !layers.is_empty() {
            let (opt, has_bootstrap) = self.unpacked("/opt", layers).await?;
            trees.push(opt);
            in_layer = has_bootstrap;
        }
        let function = Function {
            manifest: self.manifest,
            base: self.base,
            runtime: self.runtime,
            image: &image,
            runs: None,
            trees,
            bootstrap: self.runtime.python.is_none().then(|| bootstrap_path(in_task, in_layer)),
        };
        Ok(function.serve(self.bases, "invoke", events).await?)
    }

    /// In its own image, as it is published.
    async fn in_image(
        &self,
        build: &str,
        record: &Record,
        image: &ImageRecord,
        events: &[FunctionEvent],
    ) -> Result<Served, BuildError> {
        let named = Path::new(build);
        let folder = match named.is_file() {
            true => named.parent().map(Path::to_owned).unwrap_or_default(),
            false => self.environment.dist.join(record.artifact.as_str()),
        };
        let (store, read, of_image) = (self.bases.store().clone(), record.clone(), image.clone());
        let published =
            blocking::<_, BuildError>(move || Ok(stored_image(&folder, &read, &of_image, &store)?)).await?;
        let is_zstd = image.layers.iter().any(|layer| layer.media_type.ends_with("+zstd"));
        let assembled = AssembledImage {
            image: published,
            codec: if is_zstd { LayerCodec::Zstd } else { LayerCodec::Gzip },
            record: image.clone(),
            components: Vec::new(),
            user: numeric_user(&image.runs),
            python: None,
        };
        let Some(loaded) = Loaded::new(self.bases, self.manifest, self.base, &assembled).await? else {
            let architecture = record.target.architecture.lambda();
            let reason = format!("it is for {architecture}, and there is no {architecture} engine here");
            return Err(not_usable(build, reason).into());
        };
        let function = Function {
            manifest: self.manifest,
            base: self.base,
            runtime: self.runtime,
            image: loaded.id().await?,
            runs: Some(&loaded.runs),
            trees: Vec::new(),
            bootstrap: None,
        };
        let served = function.serve(self.bases, "invoke", events).await;
        // Whatever came of it, the engine keeps nothing.
        loaded.remove().await;
        Ok(served?)
    }

    /// The zip of a build, which must be what its record says.
    fn zip_of(&self, build: &str, record: &Record) -> Result<PathBuf, BuildError> {
        let gone = || {
            let place = self.environment.dist.join(record.artifact.as_str());
            let reason =
                format!("its archive is not under {} any more; build it, or name a file", place.display());
            BuildError::from(not_usable(build, reason))
        };
        let Some(path) = archive(self.environment, build, record) else {
            return Err(changed(self.environment, record).unwrap_or_else(gone));
        };
        let expected = record.archive().map(|output| output.digest);
        if Some(Digest::of(&fs_err::read(&path)?)) != expected {
            return Err(PublishError::not_as_recorded(&record.artifact, &path).into());
        }
        Ok(path)
    }

    /// Zips at `place`, later ones over earlier ones, as Lambda unpacks layers; and whether there is a program `bootstrap`.
    async fn unpacked(&self, place: &str, zips: Vec<PathBuf>) -> Result<(InputTree, bool), BuildError> {
        let mut readers = Vec::new();
        let mut members: BTreeMap<TreePath, (usize, Member)> = BTreeMap::new();
        for (number, zip) in zips.iter().enumerate() {
            let file = BufReader::new(fs_err::File::open(zip)?);
            let reader = ZipReader::open(file, &Limits::default())?;
            members.extend(
                reader.members().iter().map(|member| (member.path.clone(), (number, member.clone()))),
            );
            readers.push(reader);
        }
        let has_bootstrap = members.keys().any(|path| path.as_str() == "bootstrap");
        let tree = input_tree::<BuildError>(self.bases.store(), place, 0, move |tar| {
            for (path, (number, member)) in &members {
                let Some(reader) = readers.get_mut(*number) else { continue };
                let content = reader.read(member)?;
                match member.is_symlink {
                    true => {
                        tar.add_symlink(path, &String::from_utf8_lossy(&content)).map_err(GuestError::from)?
                    }
                    false => tar.add_file(path, member.mode(), &content).map_err(GuestError::from)?,
                }
            }
            Ok(())
        })
        .await?;
        Ok((tree, has_bootstrap))
    }
}
