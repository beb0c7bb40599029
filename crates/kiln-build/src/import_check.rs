//! The import check: the artifact, unpacked where Lambda would have it, is imported in its base.

use crate::collect::Collection;
use crate::distribution::ReadyWheel;
use crate::environment::{Context, blocking};
use crate::stage::ReadyLayer;
use crate::{BuildError, Event};
use kiln_engine::{EngineError, GuestPath, InputTree, Limits, RunSpec};
use kiln_pack::TarWriter;
use kiln_plan::ArtifactPlan;
use kiln_python::{
    IMPORT_CHECK, ImportReport, ImportRequest, Unreported, import_findings, lambda_environment,
    top_level_modules,
};
use kiln_record::{
    ArtifactKind, ArtifactName, Check, Code, ComponentId, Ecosystem, Entry, Finding, Tree, TreePath,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufReader, BufWriter, Seek as _, SeekFrom};
use std::sync::Arc;
use std::time::Duration;

/// The user that runs the check: not the owner of any file, as in Lambda.
pub(crate) const USER: &str = "65534:65534";
/// Longer than any import that Lambda would wait for (its init phase ends after 10 s), as a loaded machine may be slow.
const DEADLINE: Duration = Duration::from_secs(120);
/// Lambda's largest memory would be 10,240 MB; importing needs far less.
const MEMORY: u64 = 2 << 30;

/// Imports the handler, or a layer's modules, in the pinned base.
pub(crate) async fn run(
    context: &Context,
    plan: &ArtifactPlan,
    collection: &Arc<Collection>,
    wheels: &[ReadyWheel],
    layers: &[ReadyLayer],
) -> Result<(Vec<Finding>, Vec<Check>), BuildError> {
    let manifest = &plan.manifest;
    if manifest.runtime.python.is_none() {
        return Ok((
            Vec::new(),
            vec![Check::not_checked("import", format!("runtime {} has no Python", manifest.target.runtime))],
        ));
    }
    let engine = context.engine().await?;
    let platform = engine.info().await?.platform;
    if platform.architecture != manifest.target.architecture {
        let architecture = manifest.target.architecture.lambda();
        let finding = Finding::new(
            Code::NotChecked,
            "import",
            format!("nothing was imported: there is no {architecture} engine here"),
        )
        .remedy(format!("build on a machine, or with an engine, of {architecture}"));
        let check = Check::not_checked("import", format!("no {architecture} engine"));
        return Ok((vec![finding], vec![check]));
    }
    let image = context.bases.image(context, &plan.base).await?;

    let layer_trees: Vec<Arc<Collection>> = match manifest.kind {
        ArtifactKind::LambdaZip => layers.iter().map(|layer| Arc::clone(&layer.collection)).collect(),
        ArtifactKind::LambdaLayer => vec![Arc::clone(collection)],
    };
    let mut inputs = Vec::new();
    if manifest.kind == ArtifactKind::LambdaZip {
        inputs.push(input(context, "/var/task", vec![Arc::clone(collection)], plan).await?);
    }
    if !layer_trees.is_empty() {
        inputs.push(input(context, "/opt", layer_trees, plan).await?);
    }

    let layer_path = "/opt/python".to_owned();
    let (task_root, layer_paths) = match manifest.kind {
        ArtifactKind::LambdaLayer => (layer_path, Vec::new()),
        ArtifactKind::LambdaZip if layers.is_empty() => ("/var/task".to_owned(), Vec::new()),
        ArtifactKind::LambdaZip => ("/var/task".to_owned(), vec![layer_path]),
    };
    let request = ImportRequest {
        handler: manifest.handler.clone(),
        modules: modules(plan, collection, wheels),
        task_root,
        layer_paths,
        runtime_modules: manifest.runtime.provides.iter().flat_map(|p| p.modules.iter().cloned()).collect(),
    };
    let spec = RunSpec {
        name: format!("{} import", manifest.name),
        image,
        argv: vec![
            plan.base.definition.image.python.clone(),
            "-I".to_owned(),
            "-S".to_owned(),
            "-B".to_owned(),
            "-c".to_owned(),
            IMPORT_CHECK.to_owned(),
            request.to_json(),
        ],
        env: environment(plan),
        working_dir: manifest.kind.mount().to_owned(),
        user: USER.to_owned(),
        inputs,
        outputs: Vec::new(),
        scratch: vec![guest("/tmp")?],
        limits: Limits {
            memory_bytes: MEMORY,
            pids: 256,
            cpus: None,
            output_bytes: 32 << 20,
            deadline: DEADLINE,
        },
    };
    let subject = manifest.name.to_string();
    let events = context.events.clone();
    let outcome = engine
        .run(spec, move |line| events.send(Event::Line { subject: subject.clone(), text: line.text }))
        .await;
    let report = match outcome {
        Ok(outcome) => ImportReport::from_stdout(&outcome.stdout)
            .map_err(|_| Unreported::new(Some(outcome.exit_code), &outcome.stderr)),
        Err(EngineError::Deadline { last, .. }) => Err(Unreported::new(None, last.join("\n").as_bytes())),
        Err(error) => return Err(error.into()),
    };
    let names: Vec<ArtifactName> = layers.iter().map(|layer| layer.name.clone()).collect();
    let (mut findings, checks) = import_findings(report.as_ref(), &request, &manifest.runtime, &names);
    for finding in &mut findings {
        let texts = std::iter::once(&mut finding.cause).chain(&mut finding.detail);
        texts.for_each(|text| *text = without_addresses(text));
    }
    Ok((findings, checks))
}

/// The modules to import besides the handler: what the manifest names, and for a layer, which has no handler, the modules
/// that its distributions and its own source offer.
fn modules(plan: &ArtifactPlan, collection: &Collection, wheels: &[ReadyWheel]) -> Vec<String> {
    let mut modules: BTreeSet<String> = plan.manifest.check.modules.iter().cloned().collect();
    if plan.manifest.kind == ArtifactKind::LambdaLayer {
        modules.extend(wheels.iter().flat_map(|ready| ready.wheel.top_level.iter().cloned()));
        let own = ComponentId::new(Ecosystem::Application, plan.manifest.name.as_str());
        let paths: Vec<TreePath> = collection
            .owners
            .iter()
            .filter(|(_, owner)| **owner == own)
            .filter_map(|(path, _)| TreePath::new(path.as_str().strip_prefix("python/")?).ok())
            .collect();
        modules.extend(top_level_modules(paths.iter()));
    }
    modules.into_iter().collect()
}

/// A text without the addresses of objects, which differ from run to run: `<app.X object at 0x7f3a2c>`.
pub(crate) fn without_addresses(text: &str) -> String {
    let mut pieces = text.split("0x");
    let mut clean = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.bytes().take_while(u8::is_ascii_hexdigit).count();
        clean.push_str("0x");
        clean.push_str(if digits >= 6 { "…" } else { &piece[..digits] });
        clean.push_str(&piece[digits..]);
    }
    clean
}

/// The variables that Lambda always sets and that code may look at while it is imported, then the manifest's.
pub(crate) fn environment(plan: &ArtifactPlan) -> BTreeMap<String, String> {
    let manifest = &plan.manifest;
    let mut environment = plan.base.definition.image.env.clone();
    environment.extend(lambda_environment(&manifest.runtime, &manifest.name, manifest.handler.as_deref()));
    environment.insert("HOME".to_owned(), "/tmp".to_owned());
    if let Some(memory) = manifest.check.memory {
        environment.insert("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".to_owned(), memory.to_string());
    }
    environment.extend(manifest.check.env.clone());
    environment
}

/// Trees as one tar, later ones over earlier ones, as Lambda unpacks layers.
pub(crate) async fn input(
    context: &Context,
    path: &str,
    trees: Vec<Arc<Collection>>,
    plan: &ArtifactPlan,
) -> Result<InputTree, BuildError> {
    let context = context.clone();
    let epoch = plan.epoch.seconds();
    let path = guest(path)?;
    blocking(move || {
        let mut merged: BTreeMap<&TreePath, (&Entry, &Collection)> = BTreeMap::new();
        for collection in &trees {
            merged
                .extend(entries(&collection.tree).map(|(path, entry)| (path, (entry, collection.as_ref()))));
        }
        // A file without a name: it is gone when the container has it, however this process ends.
        let mut file = tempfile::tempfile_in(context.store.root())?;
        let mut tar = TarWriter::new(BufWriter::with_capacity(256 * 1024, &mut file), epoch);
        for (path, (entry, collection)) in merged {
            match entry {
                Entry::File { mode, .. } => tar.add_file(path, *mode, &collection.read(&context, path)?)?,
                Entry::Symlink { target } => tar.add_symlink(path, target)?,
            }
        }
        tar.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(InputTree::new(path, BufReader::with_capacity(256 * 1024, file)))
    })
    .await
}

fn entries(tree: &Tree) -> impl Iterator<Item = (&TreePath, &Entry)> {
    tree.iter()
}

/// A path inside a container that is known to be one.
pub(crate) fn guest(path: &str) -> Result<GuestPath, BuildError> {
    GuestPath::new(path).map_err(|error| std::io::Error::other(error.to_string()).into())
}
