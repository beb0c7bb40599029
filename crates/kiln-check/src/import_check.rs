//! The import check: the artifact, unpacked where Lambda would have it, is imported in its base.

use crate::CheckError;
use crate::compiled::CompiledKeys;
use crate::environment::{environment, environment_in_image, is_lambda, layer_paths};
use crate::import_report::{Asked, InParts, Posed};
use crate::reach::out_of_reach_in;
use crate::replaced_library::explained;
use crate::skipped::{dotted, is_named_by};
use crate::source_place::in_workspace;
use crate::supervised::{Parted, numbers};
use crate::text::without_addresses;
use crate::underway::{AtLast, Underway};
use futures_util::future::try_join_all;
use kiln_collect::{Collection, ReadyLayer, denied};
use kiln_engine::GuestPath;
use kiln_guest::{Bases, Given, Loaded, NOBODY, Program, Question, guest, writable};
use kiln_invocation::blocking;
use kiln_plan::{ArtifactPlan, Manifest};
use kiln_python::{
    Compiled, IMPORT_CHECK, ImportReport, ImportRequest, Surroundings, TellsCompiled, import_findings,
    scan_findings,
};
use kiln_record::{
    ArtifactKind, ArtifactName, Check, CheckName, Code, ComponentId, Digest, Ecosystem, Environment, Finding,
    ImportRecord, Importable, Runtime, TreePath,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Longer than any import that Lambda would wait for (its init phase ends after 10 s), as a loaded machine may be slow.
const DEADLINE: Duration = Duration::from_secs(300);
/// How long one module may take, in seconds; Lambda's init phase ends after 10 s, and a loaded machine may be slow.
const MODULE_SECONDS: u32 = 40;
/// The most bytes that the names of own files take in the request, which is one argument of a program (at most 128 KiB).
const OWN_LIMIT: usize = 80_000;
/// As much as any program may write, and what files compile to: of each kind 12 MiB, in base64.
const OUTPUT: u64 = 64 << 20;
/// Lambda's largest memory would be 10,240 MB; importing needs far less.
const MEMORY: u64 = 2 << 30;

/// What the import check told.
#[derive(Default)]
pub struct Imported {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What was looked at, and what was not.
    pub checks: Vec<Check>,
    /// What the record says of each distribution.
    pub record: Option<ImportRecord>,
}

/// Reads the imports of the artifact's own files, then imports the handler, its own modules and the distributions that it
/// asks for, in the pinned base. `underway` is told when no more is to be brought to that.
#[expect(clippy::too_many_arguments, reason = "each is another part of what is known of an artifact")]
pub async fn import(
    bases: &Bases,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    collection: &Arc<Collection>,
    around: &Surroundings,
    layers: &[ReadyLayer],
    image: Option<&Loaded>,
    underway: &Underway,
) -> Result<Imported, CheckError> {
    let _at_last = AtLast(underway);
    let manifest = &plan.manifest;
    if runtime.python.is_none() {
        let check =
            Check::not_checked(CheckName::Import, format!("{} has no Python", of_runtime(manifest, runtime)));
        return Ok(Imported { checks: vec![check], ..Imported::default() });
    }
    let lambda = Environment::of(runtime, &manifest.environment);
    let place = Place::of(plan, &lambda, image)?;
    let layer_trees: Vec<Arc<Collection>> = match manifest.kind {
        ArtifactKind::LambdaLayer => vec![Arc::clone(collection)],
        _ => layers.iter().map(|layer| Arc::clone(&layer.collection)).collect(),
    };
    let given = || {
        let tree = |path, trees| Given::new(path, trees, manifest.kind == ArtifactKind::Image);
        let task = (manifest.kind == ArtifactKind::LambdaZip)
            .then(|| tree("/var/task", vec![Arc::clone(collection)]));
        let opt = (!layer_trees.is_empty()).then(|| tree("/opt", layer_trees.clone()));
        (task, opt)
    };

    let mut of_layers = layer_paths(&lambda);
    let in_order = of_layers.clone();
    let (task_root, layer_paths) = match manifest.kind {
        ArtifactKind::LambdaLayer => (of_layers.pop().unwrap_or_default(), of_layers),
        ArtifactKind::LambdaZip if !layers.is_empty() => ("/var/task".to_owned(), of_layers),
        ArtifactKind::LambdaZip | ArtifactKind::LambdaImage => ("/var/task".to_owned(), Vec::new()),
        // Where a Dockerfile starts its program is where that looks for modules first.
        ArtifactKind::Image if manifest.dockerfile().is_some() => (place.working_dir.clone(), Vec::new()),
        ArtifactKind::Image => (format!("/{}", manifest.source_folder().unwrap_or_default()), Vec::new()),
    };
    // Of its own two folders a layer's first is not the one that its code is in.
    let search_path = match manifest.kind {
        ArtifactKind::LambdaLayer => in_order,
        _ => std::iter::once(&task_root).chain(&layer_paths).cloned().collect(),
    };
    let own = OwnCode::new(plan, collection, &task_root, &layer_paths);
    let interpreter = bases.interpreter(&plan.base).await?;
    let mut own_modules = own.modules;
    let mut modules: BTreeSet<String> = distribution_modules(manifest.kind, around);
    match manifest.kind {
        ArtifactKind::LambdaLayer => modules.extend(manifest.check.modules.iter().cloned()),
        _ => own_modules.extend(manifest.check.modules.iter().cloned()),
    }
    let parted = Parted::new(place.env, manifest.mount());
    let python =
        image.and_then(|image| image.python.as_deref()).unwrap_or(&plan.base.definition.image.python);
    let trees = layer_trees.iter().map(|tree| ("/opt", &**tree));
    let trees =
        trees.chain((manifest.kind == ArtifactKind::LambdaZip).then_some(("/var/task", &**collection)));
    let is_fresh = image.is_some() || parted.changes_what_is_loaded(trees, &interpreter.extension_suffixes);
    let request = ImportRequest {
        handler: manifest.handler.clone(),
        modules: modules.into_iter().collect(),
        own_modules: own_modules.into_iter().collect(),
        sources: own.sources,
        stdlib: interpreter.stdlib.clone(),
        seconds: MODULE_SECONDS,
        task_root,
        layer_paths,
        search_path,
        // An image has what its base provides, and needs no stand-ins.
        runtime_modules: runtime.provides.iter().flat_map(|p| p.modules.iter().cloned()).collect(),
        as_it_is: image.is_some(),
        lambda: is_lambda(manifest.kind),
        user: bases.has_second_user().then(|| numbers(&place.user)).transpose()?,
        scratch: place.scratch.iter().map(ToString::to_string).chain(["/dev/shm".to_owned()]).collect(),
        tells_compiled: match bases.has_second_user() && !is_fresh {
            true => TellsCompiled::All,
            false => TellsCompiled::Nothing,
        },
        besides: Vec::new(),
        fresh: is_fresh.then(|| {
            std::iter::once(python).chain(place.options.iter().copied()).map(str::to_owned).collect()
        }),
        environment: parted.judged,
    };
    let question = |request: &ImportRequest, given: Vec<Given>| {
        let argv = [python, "-I", "-S", "-B", "-c", IMPORT_CHECK, &request.to_json()];
        let program = Program::new(format!("{} import", manifest.name), "", argv.map(str::to_owned).to_vec())
            .environment(parted.own.clone())
            .working_dir(place.working_dir.clone())
            .user(place.user.clone())
            .supervised()
            .reports()
            .scratch(place.scratch.clone())
            .memory(MEMORY)
            .output_bytes(OUTPUT)
            .deadline(DEADLINE);
        let program = if is_lambda(manifest.kind) { program.as_in_lambda(&lambda, MEMORY) } else { program };
        Question::new(bases, &place.content, program, given)
    };
    let pose = async |request: &ImportRequest,
                      question: Question,
                      compiled: &CompiledKeys|
           -> Result<Option<Posed>, CheckError> {
        if let Some(recalled) = Asked::recalled(bases, &question, request)? {
            return Ok(Some(Posed::Recalled(Box::new(recalled))));
        }
        if !bases.can_run(&plan.base).await? {
            return Ok(None);
        }
        let id = match image {
            Some(image) => image.id().await?.to_owned(),
            None => bases.image(&plan.base).await?,
        };
        let ready = question.bring(bases, &id).await?;
        let aid = match is_fresh {
            true => None,
            false => compiled.given(bases, &id).await?,
        };
        Ok(Some(Posed::Ready(Box::new(ready.aided(aid)))))
    };
    let keep = async |told: Vec<Compiled>, keys: CompiledKeys| -> Result<(), CheckError> {
        let store = bases.store().clone();
        if told.is_empty() { Ok(()) } else { blocking(move || keys.keep(&store, told)).await }
    };
    let answer = async |request: &ImportRequest, posed: Option<Posed>| -> Result<Option<Asked>, CheckError> {
        match posed {
            Some(posed) => Ok(Some(posed.answer(bases, request, manifest.name.as_str()).await?)),
            None => Ok(None),
        }
    };
    let mut told = None;
    if manifest.kind == ArtifactKind::LambdaZip
        && let Some(parts) = InParts::of(&request, collection, layers)
    {
        let without = || -> Vec<Given> {
            let (task, opt) = given();
            task.map(InParts::without_own).into_iter().chain(opt).collect()
        };
        let compiled = CompiledKeys::new(&place.content, &without())?;
        let mut questions = Vec::new();
        for request in &parts.distributions {
            questions.push((request, question(request, without())?));
        }
        let (task, opt) = given();
        questions.push((&parts.own, question(&parts.own, task.into_iter().chain(opt).collect())?));
        // What is brought for the first, which takes longest, is there for the others.
        let mut turn = Underway::default();
        turn.tell();
        let last = questions.len() - 1;
        let mut asking = Vec::new();
        for (number, (request, question)) in questions.into_iter().enumerate() {
            let next = if number == last { underway.clone() } else { Underway::default() };
            let (mine, after) = (std::mem::replace(&mut turn, next.clone()), next);
            let (pose, answer, compiled) = (&pose, &answer, &compiled);
            asking.push(async move {
                mine.wait().await;
                let at_last = AtLast(&after);
                let posed = pose(request, question, compiled).await?;
                drop(at_last);
                answer(request, posed).await
            });
        }
        let Some(mut asked) = try_join_all(asking).await?.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(not_run(manifest));
        };
        let all = asked.iter_mut().flat_map(|one| std::mem::take(&mut one.compiled)).collect();
        keep(all, compiled).await?;
        told = InParts::joined(&request, asked);
    }
    let told = match told {
        Some(told) => told,
        None => {
            let (task, opt) = given();
            let compiled = CompiledKeys::of_base(&place.content)?;
            let question = question(&request, task.into_iter().chain(opt).collect())?;
            let posed = pose(&request, question, &compiled).await?;
            underway.tell();
            match answer(&request, posed).await? {
                Some(mut asked) => {
                    keep(std::mem::take(&mut asked.compiled), compiled).await?;
                    asked.into()
                }
                None => return Ok(not_run(manifest)),
            }
        }
    };
    let report = &told.report;
    let names: Vec<ArtifactName> = layers.iter().map(|layer| layer.name.clone()).collect();
    let (mut findings, mut checks) = import_findings(report.as_ref(), &request, runtime, &names, around);
    if let Err(unreported) = report {
        let about = (manifest, runtime);
        findings = findings
            .into_iter()
            .map(|finding| explained(finding, unreported, about, collection, layers))
            .collect();
    }
    let mut record = None;
    if let Ok(report) = report {
        let (found, check) = scan_findings(report, around, &findings);
        let there = Vendored::of(report, manifest, collection, layers);
        findings.extend(
            found
                .into_iter()
                .filter(|finding| finding.code != Code::ImportUnresolved || !there.has(&finding.subject)),
        );
        checks.push(check);
        record = Some(import_record(report, around, collection, manifest));
    }
    for finding in &mut findings {
        if let Some(place) = &mut finding.place {
            place.file.insert_str(0, &own.folder);
            *finding = in_workspace(bases.run().root(), collection, finding.clone());
        }
        if matches!(finding.code, Code::ImportFailed | Code::ImportUnresolved) {
            *finding = told_where(finding.clone(), bases, plan, runtime, layers);
        }
    }
    findings.extend(own.unmatched);
    checks.extend(own.skipped.map(|reason| Check::not_checked(CheckName::ImportOwn, reason)));
    for finding in &mut findings {
        let texts = std::iter::once(&mut finding.cause).chain(&mut finding.detail);
        texts.for_each(|text| *text = without_addresses(text));
    }
    // What is denied is asked again, as somebody who tries again expects.
    if denied(plan, &findings, bases.run().now()).is_none() {
        told.remember(bases, plan)?;
    }
    Ok(Imported { findings, checks, record })
}

/// What is told where no engine runs the base.
fn not_run(manifest: &Manifest) -> Imported {
    let architecture = manifest.target.architecture.lambda();
    let finding = Finding::new(
        Code::NotChecked,
        "import",
        format!("nothing was imported: there is no {architecture} engine here"),
    )
    .remedy(format!("build on a machine, or with an engine, of {architecture}"));
    let checks = [CheckName::Import, CheckName::ImportOwn, CheckName::ImportsRead]
        .map(|check| Check::not_checked(check, format!("no {architecture} engine")))
        .to_vec();
    Imported { findings: vec![finding], checks, record: None }
}

/// Where the code was seen to find modules besides the usual folders: it put such a folder on `sys.path` itself.
struct Vendored<'a> {
    /// The paths of the artifact and its layers, as the report would have them.
    files: BTreeSet<String>,
    /// The folders, with a `/` at the end.
    folders: BTreeSet<&'a str>,
}

impl<'a> Vendored<'a> {
    /// Reads it off the files that were loaded; one that is not there was not loaded, whatever the report says.
    fn of(
        report: &'a ImportReport,
        manifest: &Manifest,
        collection: &Collection,
        layers: &[ReadyLayer],
    ) -> Self {
        let mount = manifest.mount();
        let own = collection.owners.keys().map(|path| format!("{mount}/{path}"));
        let of_layers = layers.iter().flat_map(|layer| layer.collection.owners.keys());
        let files: BTreeSet<String> = own.chain(of_layers.map(|path| format!("/opt/{path}"))).collect();
        let modules = || report.scan.unresolved.iter().map(|unresolved| unresolved.module.as_str());
        let loaded = report.loaded.iter().filter(|file| files.contains(file.as_str()));
        let folders =
            loaded.flat_map(|file| modules().filter_map(move |module| folder_of(file, module))).collect();
        Self { files, folders }
    }

    /// Whether a module is in one of them.
    fn has(&self, module: &str) -> bool {
        let place = module.replace('.', "/");
        self.folders.iter().any(|folder| {
            let inside = format!("{folder}{place}/");
            self.files.contains(&format!("{folder}{place}.py"))
                || self.files.range(inside.clone()..).next().is_some_and(|file| file.starts_with(&inside))
                || self.files.range(format!("{folder}{place}.")..).next().is_some_and(|file| {
                    file.starts_with(&format!("{folder}{place}.")) && file.ends_with(".so")
                })
        })
    }
}

/// The folder in which a file is that module, if it is.
fn folder_of<'a>(file: &'a str, module: &str) -> Option<&'a str> {
    let place = module.replace('.', "/");
    let without = file.strip_suffix("/__init__.py").or_else(|| file.strip_suffix(".py"));
    let without =
        without.or_else(|| file.strip_suffix(".so").and_then(|file| file.split_once('.')).map(|(f, _)| f))?;
    without.strip_suffix(place.as_str()).filter(|folder| folder.ends_with('/'))
}

/// Adds what brings a missing module: the Dockerfile that installs it, a layer in which Python does not look where it is, or a
/// folder of the workspace beside a source folder.
fn told_where(
    mut finding: Finding,
    bases: &Bases,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    layers: &[ReadyLayer],
) -> Finding {
    if finding.code == Code::ImportUnresolved
        && let Some(section) = plan.manifest.dockerfile()
    {
        let install = format!(
            "install the distribution that has it in a RUN of {}, from the wheels of the lock (docs/dockerfiles.md)",
            section.path
        );
        finding.remedy.insert(0, install);
    }
    for layer in layers {
        if let Some(path) = out_of_reach_in(&finding.subject, runtime, &layer.collection.tree) {
            let name = &layer.name;
            finding = finding
                .detail(format!(
                    "its layer {name} has it at `{path}`, where Python does not look for modules"
                ))
                .remedy(format!("bring it to python/ of the layer: see `into` under `[source]` of {name}"));
        }
    }
    // What lies elsewhere in the workspace is no input of the artifact: it is told where nothing is recorded.
    let run = bases.run();
    if denied(plan, std::slice::from_ref(&finding), run.now()).is_none() {
        return finding;
    }
    let top = finding.subject.split('.').next().unwrap_or_default().to_owned();
    for section in &plan.manifest.sources {
        let Some((above, _)) = section.path.rsplit_once('/') else { continue };
        let beside = format!("{above}/{top}");
        let taken = plan.manifest.sources.iter().any(|other| other.path == beside);
        if !taken && run.root().join(&beside).is_dir() {
            finding = finding.remedy(format!(
                "or take the folder {beside}, which lies beside {}: write `[[source]]` for both, this one with `into = \"{top}\"`",
                section.path
            ));
        } else if run.root().join(format!("{beside}.py")).is_file() {
            finding = finding.remedy(format!(
                "or take {beside}.py, which lies beside {}: write `[[source]]` for both folders",
                section.path
            ));
        }
    }
    finding
}

/// Where and as whom the artifact is imported.
struct Place {
    /// What the image has, whatever the engine calls it.
    content: Digest,
    /// The interpreter's options.
    options: &'static [&'static str],
    env: BTreeMap<String, String>,
    working_dir: String,
    user: String,
    scratch: Vec<GuestPath>,
}

impl Place {
    /// In its own image as that is started, or in the base as Lambda has it.
    fn of(plan: &ArtifactPlan, lambda: &Environment, image: Option<&Loaded>) -> Result<Self, CheckError> {
        Ok(match image {
            Some(image) => Self {
                content: image.content,
                options: &["-B"],
                env: environment_in_image(&plan.manifest, lambda, &image.runs),
                working_dir: image.runs.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
                user: user_in_image(plan, image),
                scratch: writable(&image.runs)?,
            },
            None => Self {
                content: plan.base.content()?,
                options: &["-I", "-S", "-B"],
                env: environment(&plan.manifest, &plan.base, lambda),
                working_dir: plan.manifest.mount().to_owned(),
                user: NOBODY.to_owned(),
                scratch: vec![guest("/tmp")?],
            },
        })
    }
}

/// Lambda runs every function as a user of its own; a service runs as whom its image says.
fn user_in_image(plan: &ArtifactPlan, image: &Loaded) -> String {
    match plan.manifest.kind {
        ArtifactKind::Image => image.user.clone().unwrap_or_else(|| NOBODY.to_owned()),
        _ => NOBODY.to_owned(),
    }
}

/// What a check says has or has not something: the runtime of a zip, the base of an image.
fn of_runtime(manifest: &Manifest, runtime: &Runtime) -> String {
    let what = if manifest.kind.is_image() { "base" } else { "runtime" };
    format!("{what} {}", runtime.name)
}

/// The modules to import that distributions offer: all of a layer's, and of a function's those that the project asks for.
/// Names with an underscore in front are for the distribution's own use.
fn distribution_modules(kind: ArtifactKind, around: &Surroundings) -> BTreeSet<String> {
    around
        .installed
        .iter()
        .filter(|(name, _)| {
            kind == ArtifactKind::LambdaLayer
                || around.declared.as_ref().is_none_or(|declared| declared.contains(*name))
        })
        .flat_map(|(_, modules)| modules)
        .filter(|module| !module.split('.').any(|part| part.starts_with('_')))
        .cloned()
        .collect()
}

/// The artifact's own Python files.
struct OwnCode {
    /// The folder of the artifact that is searched for modules, with a `/` at the end, or nothing for its root.
    folder: String,
    /// Paths below that folder.
    sources: Vec<String>,
    /// Those that can be imported, dotted.
    modules: BTreeSet<String>,
    /// What is not imported, and why.
    skipped: Option<String>,
    /// What the manifest says not to import, and there is nothing of.
    unmatched: Vec<Finding>,
}

impl OwnCode {
    /// `roots` are further folders that modules are looked for in; those of a layer are below its own.
    fn new(plan: &ArtifactPlan, collection: &Collection, task_root: &str, roots: &[String]) -> Self {
        let below = task_root.strip_prefix(plan.manifest.mount()).unwrap_or_default();
        let is_root = plan.manifest.dockerfile().is_some() && below.trim_matches('/').is_empty();
        let folder = if below.is_empty() { String::new() } else { format!("{}/", below.trim_matches('/')) };
        let mut this = Self {
            folder: folder.clone(),
            sources: Vec::new(),
            modules: BTreeSet::new(),
            skipped: None,
            unmatched: Vec::new(),
        };
        let skip = &plan.manifest.check.skip;
        let mut unused: BTreeSet<&String> = skip.iter().collect();
        if is_root {
            // All files of a system are not one program's modules.
            this.skipped = Some("the Dockerfile states no WORKDIR for the program".to_owned());
            return this;
        }
        let mut skipped = BTreeSet::new();
        let mut bytes = 0;
        let own = collection.owners.iter().filter(|(_, owner)| owner.ecosystem() == Ecosystem::Application);
        for path in own.map(|(path, _)| path.as_str()) {
            let Some(source) = path.strip_prefix(&folder).filter(|path| path.ends_with(".py")) else {
                continue;
            };
            bytes += source.len() * 2;
            if bytes > OWN_LIMIT {
                skipped.insert("more files than are looked at".to_owned());
                unused.clear();
                break;
            }
            let dotted = dotted(source);
            unused.retain(|pattern| !is_named_by(pattern, &dotted));
            // What is not the function's code is neither imported nor read for its imports.
            if skip.iter().any(|pattern| is_named_by(pattern, &dotted)) {
                skipped.insert(format!("{dotted} (`skip` in the manifest)"));
                continue;
            }
            this.sources.push(source.to_owned());
            let inside = roots
                .iter()
                .filter_map(|root| root.strip_prefix(task_root)?.strip_prefix('/'))
                .find_map(|root| source.strip_prefix(root)?.strip_prefix('/'));
            match own_module(inside.unwrap_or(source)) {
                Some(module) => {
                    this.modules.insert(module);
                }
                None => {
                    skipped.insert(source.to_owned());
                }
            }
        }
        let unmatched = |pattern: &String| {
            let cause =
                format!("`{pattern}` in `skip` under [check] is the name of no module of the artifact's own");
            Finding::new(Code::PatternWithoutMatch, pattern.as_str(), cause)
                .remedy("correct it: it takes the whole dotted name, or `package.*` for all below a package")
                .remedy("or remove it, if what it was for is gone")
        };
        this.unmatched = unused.into_iter().map(unmatched).collect();
        if !skipped.is_empty() {
            let names: Vec<String> = skipped.into_iter().collect();
            let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            let more = names.len().saturating_sub(5);
            this.skipped = Some(match more {
                0 => format!("not imported: {shown}"),
                more => format!("not imported: {shown} and {more} more"),
            });
        }
        this
    }
}

/// The module in a file of the application; none for what is a program, a test, or has no name that can be imported.
fn own_module(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = path.strip_suffix(".py")?.split('/').collect();
    if parts.last() == Some(&"__init__") {
        parts.pop();
    }
    let is_name = |part: &&str| {
        !part.starts_with(|c: char| c.is_ascii_digit())
            && part.chars().all(|c| c == '_' || c.is_alphanumeric())
    };
    let is_program = |part: &&str| {
        matches!(*part, "__main__" | "conftest" | "setup" | "test" | "tests")
            || part.starts_with("test_")
            || part.ends_with("_test")
    };
    (!parts.is_empty() && parts.iter().all(is_name) && !parts.iter().any(is_program)).then(|| parts.join("."))
}

/// What the report says of each distribution.
fn import_record(
    report: &ImportReport,
    around: &Surroundings,
    collection: &Collection,
    manifest: &Manifest,
) -> ImportRecord {
    let mount = format!("{}/", manifest.mount());
    let used: BTreeSet<&str> = report
        .loaded
        .iter()
        .filter_map(|file| TreePath::new(file.strip_prefix(&mount)?).ok())
        .filter_map(|path| collection.owners.get(&path))
        .filter(|owner| owner.ecosystem() == Ecosystem::Python)
        .map(ComponentId::name)
        .collect();
    let mut record = ImportRecord { computed: report.scan.dynamic.clone(), ..ImportRecord::default() };
    for (name, offered) in &around.installed {
        let tried = report.modules.iter().filter(|m| !m.own && offered.contains(&m.name));
        let tried: Vec<_> = tried.collect();
        let failed = tried.iter().find_map(|module| Some((&module.name, module.problem.as_ref()?)));
        let state = match failed {
            Some((module, problem)) if !problem.stand_in => Importable::No {
                reason: without_addresses(&match &problem.ended {
                    Some(ended) => format!("importing {module} {ended}"),
                    None => format!("importing {module} raises {}: {}", problem.error, problem.message),
                }),
            },
            Some((module, _)) => Importable::NotChecked {
                reason: format!("importing {module} needs a value from a module that only the runtime has"),
            },
            None if tried.iter().any(|module| module.after_handler) => Importable::NotChecked {
                reason: "it can be imported in the handler's process, by its own word, and not alone"
                    .to_owned(),
            },
            None if !tried.is_empty() || used.contains(name.as_str()) => Importable::Yes,
            None if offered.is_empty() => Importable::NotChecked { reason: "it offers no module".to_owned() },
            None => Importable::NotChecked {
                reason: "neither declared nor imported by the artifact's own code".to_owned(),
            },
        };
        record.distributions.insert(name.to_string(), state);
        if manifest.kind != ArtifactKind::LambdaLayer && !offered.is_empty() && !used.contains(name.as_str())
        {
            record.never_imported.push(name.to_string());
            if offered.iter().any(|module| {
                report.scan.lazy.iter().any(|top| module.split('.').next() == Some(top.as_str()))
            }) {
                record.imported_lazily.push(name.to_string());
            }
        }
    }
    record
}
