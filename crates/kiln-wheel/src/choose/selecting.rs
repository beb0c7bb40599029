//! Which distributions an artifact needs: its lock, its target and its manifest, brought together.

use super::binding::{Bindings, Question};
use super::declared as declarations;
use super::lock_text::parse_lock;
use super::planned::planned_file;
use crate::{Judged, WheelError};
use kiln_collect::Denied;
use kiln_guest::Bases;
use kiln_invocation::{Event, Stage};
use kiln_plan::{ArtifactPlan, InvalidFiles, LockKind, Manifest, PinnedBase, Problem, base_for};
use kiln_python::{
    Choice, Declaration, Interpreter, InvalidInput, LayerContent, Lock, LockFormat, Selection,
    TargetEnvironment, select,
};
use kiln_record::{Code, DistributionName, Finding, InputRole, Place, Runtime};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What was selected, and what it was selected from. The findings of the selection are not judged yet.
pub struct Selecting {
    /// The base's Python.
    pub interpreter: Arc<Interpreter>,
    /// What markers and tags are held against.
    pub target: TargetEnvironment,
    /// The lock.
    pub lock: Lock,
    /// What the manifest chooses of it.
    pub choice: Choice,
    /// What came of the two.
    pub selection: Selection,
    /// Which index each selected distribution is asked of.
    pub bindings: Bindings,
    /// Whether the lock, or what it was made from, tells what the project asks for from what others require.
    pub tells_declared: bool,
}

/// Selects what a plan needs from its lock; none if the manifest has no `[python]` section. `layers` are what the artifact's
/// layers hold.
pub async fn select_for(
    bases: &Bases,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    layers: Vec<LayerContent>,
) -> Judged<Option<Selecting>> {
    if runtime.python.is_none() {
        if plan.recipe.is_some() && plan.manifest.python.is_some() {
            // Without an interpreter nobody knows what of the lock is meant, and nothing would be held against it.
            let message = format!(
                "there is a [python] section, but the base `{}` of the Dockerfile has no Python to choose for",
                plan.base.definition.name
            );
            return Err(InvalidFiles(vec![
                Problem::in_file(&plan.manifest.file, message)
                    .help("let the wanted stage start from a base with Python, or remove the section"),
            ])
            .into());
        }
        return Ok(Ok(None));
    }
    // What is imported in one Python says nothing about another, whether there are distributions or not.
    let interpreter = bases.interpreter(&plan.base).await?;
    let target = match target_environment(&plan.manifest, &plan.base, runtime, &interpreter) {
        Ok(target) => target,
        Err(finding) => return Ok(Err(Denied(vec![*finding]))),
    };
    let Some(section) = &plan.manifest.python else { return Ok(Ok(None)) };
    bases.run().tell(Event::Stage { artifact: plan.manifest.name.clone(), stage: Stage::Select });
    let mut lock = match read_lock(bases.run().root(), plan)? {
        Ok(lock) => lock,
        Err(findings) => return Ok(Err(Denied(findings))),
    };
    let declaration = match declarations::of_lock(bases.run().root(), plan, &target)? {
        Ok(declaration) => declaration,
        Err(findings) => return Ok(Err(Denied(findings))),
    };
    // A lock that kiln made of a declaration holds its groups and extras, and nothing beside them.
    let (groups, extras) = match &declaration {
        Some(declaration) => {
            lock.requires_python.clone_from(&declaration.requires_python);
            (Vec::new(), Vec::new())
        }
        None => (section.groups.clone(), section.extras.clone()),
    };
    let choice = Choice {
        groups,
        extras,
        install_project: section.install_project,
        has_source: !plan.manifest.sources.is_empty(),
        excluded: section.exclude.iter().cloned().collect(),
        overridden: lock
            .overridden
            .iter()
            .cloned()
            .chain(declaration.iter().flat_map(Declaration::overridden))
            .collect(),
        from_runtime: section.from_runtime.iter().cloned().collect(),
        bases: bases_by_python(&plan.base),
        runs_on_base: plan.manifest.target.runtime.is_none(),
        layers,
    };
    let mut selection = select(&lock, &target, runtime, &choice);
    selection.findings.extend(lock.remarks.iter().map(|remark| {
        let place = Place::line(&remark.file, remark.line);
        Finding::new(Code::OptionPassedOver, place.to_string(), remark.message.clone())
            .at(place)
            .remedy(remark.remedy.clone())
    }));
    if let Some(declaration) = &declaration {
        selection.findings.extend(declarations::not_locked(plan, declaration, &lock, &target));
        selection.gaps.extend(declarations::gaps(declaration, &lock, &target));
        selection.gaps.sort_by(|a, b| (&a.distribution, &a.version).cmp(&(&b.distribution, &b.version)));
        selection.gaps.dedup();
    }
    // Of a lock that kiln made, the declaration says what is asked for: its lines do not.
    if let Some(declaration) = &declaration {
        lock.declared = declaration.wanted.iter().map(|wanted| wanted.chosen()).collect();
    }
    let tells_declared = lock.format.is_graph()
        || declaration.is_some()
        || (lock.format == LockFormat::Pipfile && !lock.declared.is_empty());
    let default = bases.default_index_url(&plan.base).await;
    let relock = declarations::relock(plan, &lock);
    let question = Question {
        indexes: &plan.indexes,
        settings: bases.network().indexes(),
        default: default.as_ref(),
        lock: &lock,
        relock: &relock,
    };
    let (bindings, findings) = question.bind(&selection.wanted);
    selection.findings.extend(findings);
    Ok(Ok(Some(Selecting { interpreter, target, lock, choice, selection, bindings, tells_declared })))
}

/// A base of the workspace for each Python that one says it has.
fn bases_by_python(base: &PinnedBase) -> BTreeMap<(u32, u32), String> {
    base.others.iter().filter_map(|(name, python)| Some(((*python)?, name.to_string()))).collect()
}

/// What the project asks for itself, under the groups and extras that are chosen.
pub fn declared(lock: &Lock, choice: &Choice) -> BTreeSet<DistributionName> {
    let is_chosen = |group: &String| {
        group == "main" || choice.groups.contains(group) || lock.default_groups.contains(group)
    };
    lock.declared
        .iter()
        .filter(|declared| is_chosen(&declared.group))
        .filter(|declared| {
            declared.enabled_by.is_empty() || declared.enabled_by.iter().any(|e| choice.extras.contains(e))
        })
        .map(|declared| declared.name.clone())
        .collect()
}

/// Reads the dependency lock. What a person must fix in it is a finding where the lock is missing or stale, and a
/// problem otherwise.
fn read_lock(root: &Path, plan: &ArtifactPlan) -> Result<Result<Lock, Vec<Finding>>, WheelError> {
    let Some(section) = &plan.manifest.python else {
        return Ok(Err(Vec::new()));
    };
    let lock_path = section.lock.clone();
    if !root.join(&lock_path).is_file() {
        return Ok(Err(vec![lock_missing(plan, &lock_path)]));
    }
    let text = planned_file(root, plan, InputRole::Lock, &lock_path)?;
    let project = match section.project_path() {
        // Pipenv's lock says enough alone; the others are read together with their project.
        Some(path) if section.lock_kind() != LockKind::Pipfile || root.join(&path).is_file() => {
            Some(planned_file(root, plan, InputRole::Project, &path)?)
        }
        _ => None,
    };
    // Only files that the plan names are included: what was not planned is not read.
    let parsed = parse_lock(section, &text, project.as_ref(), &mut |path| {
        planned_file(root, plan, InputRole::Lock, path).ok().map(|file| file.text.to_string())
    });
    match parsed {
        Ok(lock) => Ok(Ok(lock)),
        Err(problems) => {
            let findings: Vec<Finding> =
                problems.iter().filter_map(kiln_python::InputProblem::finding).collect();
            if findings.len() == problems.len() {
                Ok(Err(findings))
            } else {
                Err(InvalidInput(problems).into())
            }
        }
    }
}

fn lock_missing(plan: &ArtifactPlan, lock_path: &str) -> Finding {
    let finding = Finding::new(
        Code::LockMissing,
        lock_path,
        format!("{} names the lock {lock_path}, which does not exist", plan.manifest.file),
    );
    let tool = match plan.manifest.python.as_ref().map(kiln_plan::PythonSection::lock_kind) {
        Some(LockKind::Poetry) => Some("poetry lock"),
        Some(LockKind::Uv) => Some("uv lock"),
        Some(LockKind::Pipfile) => Some("pipenv lock"),
        Some(LockKind::Pylock) => Some("uv export --format pylock.toml -o pylock.toml, or: pip lock"),
        _ => None,
    };
    let artifact = &plan.manifest.name;
    let declares = plan.manifest.python.as_ref().is_some_and(|python| python.requirements.is_some());
    match tool {
        Some(tool) => finding.remedy(format!("make it, in the project's folder: {tool}")),
        None if declares => finding.remedy(format!("make it: kiln lock {artifact}")),
        None => finding
            .remedy(format!(
                "name what you want with `requirements` under [python], such as requirements.in, and run: kiln lock {artifact}"
            ))
            .remedy(format!("or make it yourself: uv pip compile --generate-hashes -o {lock_path} requirements.in")),
    }
}

/// What markers and tags of distributions are held against: what the base's Python and the runtime have in common.
///
/// # Errors
/// The finding that the two do not fit together.
pub fn target_environment(
    manifest: &Manifest,
    base: &PinnedBase,
    runtime: &Runtime,
    interpreter: &Interpreter,
) -> Result<TargetEnvironment, Box<Finding>> {
    TargetEnvironment::new(interpreter, runtime, manifest.target.architecture).map_err(|error| {
        Box::new(
            Finding::new(Code::RequiresPythonMismatch, base.definition.name.as_str(), error.to_string())
                .detail(format!("base and target are named in {}", manifest.file))
                .remedy(base_for(runtime, &base.others))
                .remedy(format!("or change target.runtime to the one with Python {}", interpreter.version)),
        )
    })
}
