//! Explaining: for each distribution whether it is declared, locked, fetched, installed and importable, and why not.
//!
//! It works from what is in the workspace and the store now, so that it can be asked about an artifact that was never built,
//! or whose build is denied: that is when people ask. It fetches nothing and imports nothing. What only a build knows (is it
//! installed, can it be imported) comes from the latest one in the ledger, if there is one.

use crate::BuildError;
use crate::prepare::plans;
use kiln_collect::Denied;
use kiln_fetch::without_queries;
use kiln_guest::{Bases, EngineSlot, target_runtime};
use kiln_invocation::{Environment, Events, lock};
use kiln_plan::ArtifactPlan;
use kiln_publish::{NamedBuild, newest_build};
use kiln_python::{FilePlace, LayerContent, Lock, Locked, Wheel, best_wheel, distance, holds, requires};
use kiln_record::{
    ArtifactName, BuiltFrom, Cause, Code, ComponentId, Digest, DistributionName, Ecosystem, Entry, Finding,
    Importable, InputRole, Record, Target, TreePath,
};
use kiln_wheel::{Builder, ReadyWheel, Selecting, declared, select_for};
use std::collections::{BTreeMap, BTreeSet};

/// Everything that is known of an artifact's distributions.
#[derive(Debug)]
pub struct Explanation {
    /// The artifact.
    pub artifact: ArtifactName,
    /// What it is for.
    pub target: Target,
    /// The base, and the version of its Python.
    pub base: String,
    /// The lock's path in the workspace; none without a `[python]` section.
    pub lock: Option<String>,
    /// Every distribution that is declared or locked, by name.
    pub distributions: Vec<ExplainedDistribution>,
    /// What is wrong so far; a build would tell the same.
    pub findings: Vec<Finding>,
    /// The latest build, which says what is installed and can be imported.
    pub build: Option<NamedBuild>,
    /// Whether that build was made from what is in the workspace now.
    pub build_is_current: bool,
}

/// One distribution over the five lists.
#[derive(Debug, Default)]
pub struct ExplainedDistribution {
    /// Its name.
    pub name: String,
    /// Its locked version.
    pub version: Option<String>,
    /// Where the project asks for it: the text, and `file:line`.
    pub declared: Vec<(String, String)>,
    /// Where the lock names it, as `file:line`.
    pub locked: Option<String>,
    /// The conditions on it, each with its truth for the target and the values that decide.
    pub markers: Vec<ExplainedMarker>,
    /// Why it is not in the artifact, if it is not to be.
    pub gap: Option<Cause>,
    /// Distributions that require it and are left out themselves, with the reason.
    pub parents_left_out: Vec<(String, String)>,
    /// Distributions of the artifact that require it.
    pub required_by: Vec<String>,
    /// The shortest way from what the project asks for to it, itself included.
    pub chain: Vec<String>,
    /// The wheel or project of the workspace that it is, if it comes from there.
    pub place: Option<String>,
    /// Its wheel, if the store has it.
    pub wheel: Option<ExplainedWheel>,
    /// The other locked files whose names the lock tells, each with the reason that it was not taken.
    pub other_files: Vec<(String, String)>,
    /// How many files the lock allows by their hash alone.
    pub unnamed_files: usize,
    /// Whether the latest build has it, in this version; none without a build.
    pub installed: Option<bool>,
    /// Whether the latest build could import it; none where the build does not tell.
    pub importable: Option<Importable>,
}

/// A condition with its value.
#[derive(Debug)]
pub struct ExplainedMarker {
    /// As the lock writes it.
    pub marker: String,
    /// Its value; none if it cannot be evaluated.
    pub value: Option<bool>,
    /// The variables in it with their values, or why it cannot be evaluated.
    pub values: Vec<String>,
}

/// The wheel that was chosen.
#[derive(Debug)]
pub struct ExplainedWheel {
    /// Its file name.
    pub file_name: String,
    /// Its digest, which the lock names.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it was built from, if it was built here.
    pub built_from: Option<BuiltFrom>,
    /// The tag by which it was chosen.
    pub tag: Option<String>,
    /// How many files it installs.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Its largest files.
    pub largest: Vec<(String, u64)>,
    /// Its native files.
    pub native: Vec<String>,
}

/// What a path of an artifact is.
#[derive(Debug)]
pub struct ExplainedPath {
    /// The path.
    pub path: String,
    /// What is there.
    pub entry: Entry,
    /// The component that owns it.
    pub component: String,
    /// Where its content comes from, in words.
    pub origin: String,
    /// The rules that changed or made it, with the digest before.
    pub rules: Vec<(String, Option<Digest>)>,
}

/// Explains an artifact.
///
/// # Errors
/// If the workspace cannot be read, there is no such artifact, or its base cannot be probed.
pub async fn explain(
    environment: &Environment,
    artifact: &ArtifactName,
    events: &Events,
    engine: EngineSlot,
) -> Result<Explanation, BuildError> {
    let lock = lock(environment, events).await?;
    let bases = Bases::open(environment, events, engine, lock)?;
    let _stop = bases.run().stop_on_drop();
    let plans = plans(bases.run(), bases.store(), artifact)?;
    let plan = match &plans[artifact] {
        Ok(plan) => plan,
        Err(finding) => return Err(BuildError::Denied(finding.clone())),
    };
    let runtime = target_runtime(&bases, &plan.manifest, &plan.base).await?;
    let build = newest_build(environment, artifact).ok();
    let build_is_current = build.as_ref().is_some_and(|build| build.record.plan == plan.digest);
    let mut explanation = Explanation {
        artifact: artifact.clone(),
        target: plan.target.clone(),
        base: plan.base.definition.name.to_string(),
        lock: plan.manifest.python.as_ref().map(|python| python.lock.clone()),
        distributions: Vec::new(),
        findings: Vec::new(),
        build,
        build_is_current,
    };
    let layers = layer_contents(&bases, plan, &plans).await?;
    let selecting = match select_for(&bases, plan, &runtime, layers).await? {
        Ok(Some(selecting)) => selecting,
        Ok(None) => return Ok(explanation),
        Err(Denied(findings)) => {
            explanation.findings = findings;
            return Ok(explanation);
        }
    };
    explanation.base = format!("{} with Python {}", explanation.base, selecting.interpreter.version);
    let mut wheels = Vec::new();
    let builder = Builder::new(&bases, plan, &runtime, &selecting.bindings);
    for locked in &selecting.selection.wanted {
        if let Some(wheel) = builder.known(locked, &selecting.target).await? {
            wheels.push(wheel);
        }
    }
    let refs: Vec<&Wheel> = wheels.iter().map(|ready| &ready.wheel).collect();
    let Selecting { target, selection, choice, .. } = &selecting;
    let requirements = requires(&refs, target, selection, choice, &runtime);
    // Of wheels that are not here yet it is not known what they meet; two that are here contradict each other or do not.
    let all = wheels.len() == selection.wanted.len();
    let known = requirements.findings.into_iter().filter(|f| all || f.code == Code::RequirementConflict);
    explanation.findings.extend(selection.findings.iter().cloned().chain(known));
    let record = explanation.build.as_ref().map(|build| &build.record);
    explanation.distributions = distributions(plan, &selecting, &wheels, requirements.edges, record);
    Ok(explanation)
}

/// What the layers of an artifact would hold: what their own locks select.
async fn layer_contents(
    bases: &Bases,
    plan: &ArtifactPlan,
    plans: &BTreeMap<ArtifactName, Result<ArtifactPlan, Box<Finding>>>,
) -> Result<Vec<LayerContent>, BuildError> {
    let mut contents = Vec::new();
    for name in &plan.manifest.layers {
        let Ok(layer) = &plans[name] else { continue };
        let runtime = target_runtime(bases, &layer.manifest, &layer.base).await?;
        let selected = select_for(bases, layer, &runtime, Vec::new()).await?;
        let distributions = match selected {
            Ok(Some(selecting)) => {
                let wanted = selecting.selection.wanted.into_iter();
                wanted.map(|locked| (locked.name, locked.version)).collect()
            }
            _ => BTreeMap::new(),
        };
        contents.push(LayerContent { name: name.clone(), distributions });
    }
    Ok(contents)
}

fn distributions(
    plan: &ArtifactPlan,
    selecting: &Selecting,
    wheels: &[ReadyWheel],
    mut edges: BTreeMap<DistributionName, BTreeSet<DistributionName>>,
    record: Option<&Record>,
) -> Vec<ExplainedDistribution> {
    let Selecting { target, lock, selection, .. } = selecting;
    let wanted: BTreeSet<&DistributionName> = selection.wanted.iter().map(|locked| &locked.name).collect();
    for locked in &selection.wanted {
        let needs = locked.dependencies.iter().map(|d| &d.name).filter(|name| wanted.contains(name));
        edges.entry(locked.name.clone()).or_default().extend(needs.cloned());
    }
    let chains = chains(lock, selecting, &edges);

    let mut rows: BTreeMap<(String, Option<String>), ExplainedDistribution> = BTreeMap::new();
    for locked in &selection.wanted {
        let ready = wheels.iter().find(|ready| ready.wheel.name == locked.name);
        let mut row = ExplainedDistribution {
            required_by: edges
                .iter()
                .filter(|(_, needs)| needs.contains(&locked.name))
                .map(|(name, _)| name.to_string())
                .collect(),
            chain: chains.get(&locked.name).cloned().unwrap_or_default(),
            wheel: ready.map(|ready| explained_wheel(ready, target)),
            ..row(lock, locked, selecting)
        };
        other_files(&mut row, locked, ready, selecting);
        row.gap = no_wheel(plan, locked, ready, selecting);
        row.place = locked.place.as_ref().and_then(|place| match place {
            FilePlace::Url(_) | FilePlace::Refused { .. } => None,
            FilePlace::File(path) | FilePlace::Folder(path) => Some(path.clone()),
        });
        if let Some(record) = record {
            row.installed = Some(record.components.iter().any(|component| {
                component.name == locked.name.as_str()
                    && component.version.as_deref().is_some_and(|v| v == locked.version)
            }));
            let imports = record.imports.as_ref();
            // What that build imported was another version where this one is not in it.
            row.importable = imports
                .filter(|_| row.installed == Some(true))
                .and_then(|imports| imports.distributions.get(locked.name.as_str()).cloned());
        }
        rows.insert((row.name.clone(), row.version.clone()), row);
    }
    for gap in &selection.gaps {
        let locked = lock
            .distributions
            .iter()
            .find(|locked| locked.name.as_str() == gap.distribution && locked.version == gap.version);
        let mut row = match locked {
            Some(locked) => row(lock, locked, selecting),
            None => {
                ExplainedDistribution { name: gap.distribution.clone(), ..ExplainedDistribution::default() }
            }
        };
        row.gap = Some(gap.cause.clone());
        row.parents_left_out = selection
            .gaps
            .iter()
            .filter(|parent| parent.distribution != gap.distribution)
            .filter(|parent| {
                lock.distributions.iter().any(|locked| {
                    locked.name.as_str() == parent.distribution
                        && locked.version == parent.version
                        && locked.dependencies.iter().any(|d| d.name.as_str() == gap.distribution)
                })
            })
            .map(|parent| (parent.distribution.clone(), parent.cause.to_string()))
            .collect();
        if record.is_some() {
            row.installed = Some(false);
        }
        rows.insert((row.name.clone(), row.version.clone()), row);
    }
    // What is declared and nowhere in the lock.
    for declared in &lock.declared {
        let name = declared.name.as_str();
        if !rows.keys().any(|(known, _)| known == name) {
            let row = ExplainedDistribution {
                name: name.to_owned(),
                declared: declarations(lock, &declared.name),
                ..ExplainedDistribution::default()
            };
            rows.insert((name.to_owned(), None), row);
        }
    }
    rows.into_values().collect()
}

/// What the lock says of one of its distributions.
fn row(lock: &Lock, locked: &Locked, selecting: &Selecting) -> ExplainedDistribution {
    let Selecting { selection, target, .. } = selecting;
    let asked = &selection.asked;
    // A requirement is asked with the extras of whoever has it, and the project's own conditions with the project's.
    let extras_of = |other: &Locked| match lock.distributions.iter().position(|one| std::ptr::eq(one, other))
    {
        Some(index) if lock.root == Some(index) => asked.extras.clone(),
        _ => {
            let wanted = selection.wanted.iter().find(|w| w.name == other.name && w.version == other.version);
            wanted.map(|wanted| wanted.extras.clone()).unwrap_or_default()
        }
    };
    let requirements = lock.distributions.iter().flat_map(|other| {
        let of_name = other.dependencies.iter().filter(|dependency| dependency.name == locked.name);
        of_name.filter_map(move |dependency| Some((dependency.marker.clone()?, other)))
    });
    let declared = lock.declared.iter().filter(|d| d.name == locked.name).filter_map(|d| d.marker.clone());
    let of_project = locked.markers.iter().cloned().chain(declared);
    let all = of_project
        .map(|marker| (marker, asked.extras.clone()))
        .chain(requirements.map(|(marker, other)| (marker, extras_of(other))));
    let mut markers: BTreeMap<String, ExplainedMarker> = BTreeMap::new();
    for (marker, extras) in all {
        let extras: Vec<String> = extras.into_iter().chain(asked.conflicting.iter().cloned()).collect();
        let explained = match holds(target, lock.format, &marker, &extras, &asked.groups) {
            Ok(verdict) => ExplainedMarker { marker, value: Some(verdict.value), values: verdict.values },
            Err(error) => ExplainedMarker { marker, value: None, values: vec![error.to_string()] },
        };
        // One that holds for anybody who asks under it holds.
        let there = markers.get(&explained.marker).is_some_and(|there| there.value == Some(true));
        if !there {
            markers.insert(explained.marker.clone(), explained);
        }
    }
    ExplainedDistribution {
        name: locked.name.to_string(),
        version: Some(locked.version.clone()),
        declared: declarations(lock, &locked.name),
        locked: Some(format!("{}:{}", locked.file.as_deref().unwrap_or(&lock.name), locked.line)),
        markers: markers.into_values().collect(),
        ..ExplainedDistribution::default()
    }
}

fn declarations(lock: &Lock, name: &DistributionName) -> Vec<(String, String)> {
    let declared = lock.declared.iter().filter(|declared| declared.name == *name);
    declared.map(|d| (without_queries(&d.text), format!("{}:{}", d.file, d.line))).collect()
}

fn explained_wheel(ready: &ReadyWheel, target: &kiln_python::TargetEnvironment) -> ExplainedWheel {
    const SHOWN: usize = 5;
    let mut largest: Vec<(String, u64)> =
        ready.wheel.files.iter().map(|file| (file.path.to_string(), file.size)).collect();
    let bytes = largest.iter().map(|(_, size)| size).sum();
    let files = largest.len();
    largest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    largest.truncate(SHOWN);
    ExplainedWheel {
        file_name: ready.file_name.clone(),
        digest: ready.digest,
        size: ready.size,
        built_from: ready.built_from.clone(),
        tag: target.fitting_tag(&ready.file_name).ok(),
        files,
        bytes,
        largest,
        native: ready.elf.keys().map(ToString::to_string).collect(),
    }
}

/// The locked files that were not taken, with the reason for each whose name the lock tells.
fn other_files(
    row: &mut ExplainedDistribution,
    locked: &Locked,
    ready: Option<&ReadyWheel>,
    selecting: &Selecting,
) {
    for file in &locked.files {
        let sdist = |ready: &ReadyWheel| Some(ready.built_from.as_ref()?.sdist.digest);
        if ready.is_some_and(|ready| ready.digest == file.digest || sdist(ready) == Some(file.digest)) {
            continue;
        }
        let Some(name) = &file.file_name else {
            row.unnamed_files += 1;
            continue;
        };
        let reason = match selecting.target.fitting_tag(name) {
            Err(reason) => reason,
            Ok(tag) if ready.is_some() => format!("it fits by {tag}, which comes later"),
            Ok(tag) => format!("it fits by {tag}"),
        };
        row.other_files.push((name.clone(), reason));
    }
    // What decides comes first, as some releases have sixty wheels; what may be taken yet comes last.
    let may_be_taken = |reason: &str| ready.is_none() && reason.starts_with("it fits");
    let is_close = |reason: &str| if reason.starts_with("it fits") { 0 } else { 1 + distance(reason) };
    row.other_files.sort_by_key(|(name, reason)| (may_be_taken(reason), is_close(reason), name.clone()));
}

/// That no locked wheel fits, where the lock names its files, so that this is known before anything is fetched.
fn no_wheel(
    plan: &ArtifactPlan,
    locked: &Locked,
    ready: Option<&ReadyWheel>,
    selecting: &Selecting,
) -> Option<Cause> {
    let is_built = plan.manifest.python.as_ref().is_some_and(|python| python.sdists.contains(&locked.name));
    let names: Option<Vec<&str>> = locked.files.iter().map(|file| file.file_name.as_deref()).collect();
    let names =
        names.filter(|names| !names.is_empty() && ready.is_none() && locked.place.is_none() && !is_built)?;
    match best_wheel(&names, |name| name, &selecting.target) {
        Ok(_) => None,
        Err(none) => Some(Cause::NoWheel { exist: none.exist, accepted: none.accepted }),
    }
}

/// The shortest way to each distribution from what the project asks for. Where a lock does not tell, what nothing else
/// requires stands for that.
fn chains(
    lock: &Lock,
    selecting: &Selecting,
    edges: &BTreeMap<DistributionName, BTreeSet<DistributionName>>,
) -> BTreeMap<DistributionName, Vec<String>> {
    let required: BTreeSet<&DistributionName> = edges.values().flatten().collect();
    let roots: Vec<DistributionName> = if selecting.tells_declared {
        declared(lock, &selecting.choice).into_iter().collect()
    } else {
        let wanted = selecting.selection.wanted.iter().map(|locked| &locked.name);
        wanted.filter(|name| !required.contains(name)).cloned().collect()
    };
    let mut chains: BTreeMap<DistributionName, Vec<String>> = BTreeMap::new();
    let mut open: Vec<DistributionName> = roots.clone();
    for root in roots {
        chains.insert(root.clone(), vec![root.to_string()]);
    }
    while !open.is_empty() {
        let mut next = Vec::new();
        for name in open {
            let way = chains[&name].clone();
            for needed in edges.get(&name).into_iter().flatten() {
                if !chains.contains_key(needed) {
                    let mut longer = way.clone();
                    longer.push(needed.to_string());
                    chains.insert(needed.clone(), longer);
                    next.push(needed.clone());
                }
            }
        }
        open = next;
    }
    chains
}

/// Says what a path of a build is, or the file of a module by its dotted name.
#[must_use]
pub fn explain_path(record: &Record, text: &str) -> Option<ExplainedPath> {
    let module = text.replace('.', "/");
    let wanted = [text.to_owned(), format!("{module}.py"), format!("{module}/__init__.py")];
    let prefixes = ["", "python/"];
    let file = record.files.iter().find(|file| {
        wanted
            .iter()
            .any(|path| prefixes.iter().any(|prefix| file.path.as_str() == format!("{prefix}{path}")))
    })?;
    let component = record.components.iter().find(|component| component.id == file.component);
    let upstream = component.and_then(|component| component.upstream.as_ref());
    let origin = component.and_then(|component| component.origin.as_ref());
    let built = component.and_then(|component| component.built_from.as_ref());
    let origin = match origin {
        None if let Some(made_by) = component.and_then(|component| component.made_by.as_ref()) => {
            let name = component.map(|component| component.name.as_str()).unwrap_or_default();
            let given: Vec<String> = made_by
                .inputs
                .iter()
                .map(|(at, from)| format!("{} at {at} ({})", from.name, from.tree))
                .collect();
            let given =
                if given.is_empty() { String::new() } else { format!(", given {}", given.join(", ")) };
            format!(
                "made by the step {name} in base {} ({}): {}{given}",
                made_by.base,
                made_by.base_digest,
                made_by.argv.join(" ")
            )
        }
        None if let Some(upstream) = upstream => {
            let folder =
                upstream.folder.as_ref().map(|folder| format!(", below {folder}")).unwrap_or_default();
            format!("from {} at {}, commit {}{folder}", upstream.git, upstream.revision, upstream.commit)
        }
        Some(origin) if built.is_some() => {
            let sdist = built.map(|built| format!("{} ({})", built.sdist.file_name, built.sdist.digest));
            format!("built from {}, to {} ({})", sdist.unwrap_or_default(), origin.file_name, origin.digest)
        }
        Some(origin) => format!("installed from {} ({})", origin.file_name, origin.digest),
        None => {
            let source = record.inputs.iter().find(|input| input.role == InputRole::Source);
            let dockerfile = record.inputs.iter().find(|input| input.role == InputRole::Dockerfile);
            match (file.component.ecosystem(), source) {
                (Ecosystem::Native, _) => {
                    let name = file.component.name().split('/').next().unwrap_or_default();
                    let id = ComponentId::new(Ecosystem::Python, name);
                    let holder = record.components.iter().find(|component| component.id == id);
                    match holder.and_then(|holder| holder.origin.as_ref()) {
                        Some(origin) => format!("bundled in {} ({})", origin.file_name, origin.digest),
                        None => format!("bundled in the wheel of {name}"),
                    }
                }
                (Ecosystem::Debian | Ecosystem::Rpm, _) => {
                    format!("a package that {} installed", dockerfile.map_or("a step", |file| &file.name))
                }
                _ if let Some(file) = dockerfile => {
                    format!("made by {} ({})", file.name, file.digest)
                }
                (_, Some(source)) => format!("the artifact's own file, below {}", source.name),
                (_, None) => "made while the artifact was built".to_owned(),
            }
        }
    };
    Some(ExplainedPath {
        path: file.path.to_string(),
        entry: file.entry.clone(),
        component: file.component.to_string(),
        origin,
        rules: rules_of(record, &file.path),
    })
}

fn rules_of(record: &Record, path: &TreePath) -> Vec<(String, Option<Digest>)> {
    record
        .transformations
        .iter()
        .filter_map(|rule| Some((rule.rule.clone(), *rule.changed.get(path)?)))
        .collect()
}
