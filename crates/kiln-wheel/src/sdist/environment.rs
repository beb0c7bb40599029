//! What source distributions are built with: the wheels of the lock of build requirements, installed by kiln.

use crate::WheelError;
use crate::bring::distribution::{self, Found, ReadyWheel};
use crate::choose::{claimed, claimed_twice, command, planned_file};
use crate::parts::parts;
use kiln_collect::Collection;
use kiln_guest::Bases;
use kiln_invocation::blocking;
use kiln_plan::{ArtifactPlan, BuildPlan, BuildSection, LockKind, Manifest, PinnedBase, TextFile};
use kiln_python::{
    Choice, InputProblem, Interpreter, InvalidInput, Locked, Selection, TargetEnvironment, Wheel,
    declare_requirements, is_of_input, parse_pylock, parse_requirements, requires, select,
};
use kiln_record::{
    BuildRequirement, Code, Digest, DistributionName, Finding, InputRole, Level, Place, Runtime,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The build requirements, in the store and merged into one tree.
pub(crate) struct BuildEnvironment {
    /// The base that builds, as an environment of its own: what is built with need not run in Lambda.
    pub(super) target: TargetEnvironment,
    pub(super) collection: Arc<Collection>,
    pub(super) versions: BTreeMap<DistributionName, String>,
    pub(crate) wheels: Vec<ReadyWheel>,
    /// What the choice of each wheel is remembered by.
    pub(crate) choices: Vec<Digest>,
}

impl BuildEnvironment {
    /// Brings everything that the lock of build requirements names for the base. What stops that is a list of findings.
    pub(crate) async fn prepare(
        bases: &Bases,
        plan: &ArtifactPlan,
        runtime: &Runtime,
        build: &BuildPlan,
    ) -> Result<Result<Arc<Self>, Vec<Finding>>, WheelError> {
        let manifest = &plan.manifest;
        let base = &build.base;
        let interpreter = bases.interpreter(base).await?;
        let (target, runtime) = match environment_of_base(manifest, runtime, base, &interpreter) {
            Ok(both) => both,
            Err(finding) => return Ok(Err(vec![*finding])),
        };
        let (mut wheels, mut findings) = (Vec::new(), Vec::new());
        let (mut selection, mut choices) = (Selection::default(), Vec::new());
        if let Some(path) = &build.lock {
            let root = bases.run().root();
            if !root.join(path).is_file() {
                let cause = format!("{} names the lock {path}, which does not exist", manifest.file);
                let finding = Finding::new(Code::LockMissing, path.as_str(), cause);
                return Ok(Err(vec![
                    match section(manifest).and_then(|build| build.requirements.as_ref()) {
                        Some(_) => finding.remedy(format!("make it: kiln lock {}", manifest.name)),
                        None => finding
                            .remedy(format!("make it: uv pip compile --generate-hashes -o {path} build.in")),
                    },
                ]));
            }
            let file = planned_file(root, plan, InputRole::BuildLock, path)?;
            let stale = not_of_input(bases.run().root(), plan, &file, &target)?;
            if !stale.is_empty() {
                return Ok(Err(stale));
            }
            let lock = match LockKind::of(path) {
                LockKind::Pylock => parse_pylock(path, &file.text),
                _ => parse_requirements(path, &file.text, &mut |included| {
                    let file = planned_file(root, plan, InputRole::BuildLock, included).ok()?;
                    Some(file.text.to_string())
                }),
            };
            let lock = match lock {
                Ok(lock) => lock,
                Err(problems) => {
                    let findings: Vec<Finding> = problems.iter().filter_map(InputProblem::finding).collect();
                    let all = findings.len() == problems.len();
                    return if all { Ok(Err(findings)) } else { Err(InvalidInput(problems).into()) };
                }
            };
            selection = select(&lock, &target, &runtime, &Choice::default());
            findings
                .extend(selection.findings.iter().filter(|finding| finding.level == Level::Deny).cloned());
            for locked in &selection.wanted {
                choices.push(distribution::choice_key(
                    locked,
                    &distribution::locked_hashes(locked),
                    &target,
                )?);
            }
            let each =
                selection.wanted.iter().map(|locked| wheel_of(bases, plan, build, path, locked, &target));
            for found in futures_util::future::try_join_all(each).await? {
                match found {
                    Ok(wheel) => wheels.push(wheel),
                    Err(finding) => findings.push(*finding),
                }
            }
        }
        wheels.sort_by(|a, b| a.wheel.name.cmp(&b.wheel.name));
        let refs: Vec<&Wheel> = wheels.iter().map(|ready| &ready.wheel).collect();
        let needed = requires(&refs, &target, &selection, &Choice::default(), &runtime);
        for unmet in needed.findings {
            let lock = build.lock.as_deref();
            let cause = format!(
                "{} is required by what builds, but {} does not have it",
                unmet.subject,
                lock.unwrap_or("the lock")
            );
            let mut finding = Finding::new(Code::BuildRequirementNotLocked, unmet.subject, cause);
            finding.detail = unmet.detail;
            findings.push(with_remedies(finding, manifest, lock));
        }
        if !findings.is_empty() {
            return Ok(Err(findings));
        }
        let edges = needed.edges;
        let (collection, wheels) = blocking::<_, WheelError>(move || {
            let (parts, findings) = parts(&wheels, &edges, None);
            let mut collection = Collection::new("build", &parts);
            collection.findings.splice(0..0, findings);
            Ok((collection, wheels))
        })
        .await?;
        if !collection.findings.is_empty() {
            return Ok(Err(collection.findings));
        }
        let versions =
            wheels.iter().map(|ready| (ready.wheel.name.clone(), ready.wheel.version.clone())).collect();
        Ok(Ok(Arc::new(Self { target, collection: Arc::new(collection), versions, wheels, choices })))
    }

    /// What was installed, for the record.
    pub(super) fn requirements(&self) -> Vec<BuildRequirement> {
        self.wheels
            .iter()
            .map(|ready| BuildRequirement {
                name: ready.wheel.name.to_string(),
                version: ready.wheel.version.clone(),
                file_name: ready.file_name.clone(),
                digest: ready.digest,
            })
            .collect()
    }
}

/// What is wrong with a lock of build requirements that is not of what the manifest says that it is made from.
fn not_of_input(
    root: &Path,
    plan: &ArtifactPlan,
    lock: &TextFile,
    target: &TargetEnvironment,
) -> Result<Vec<Finding>, WheelError> {
    let input = plan.manifest.python.as_ref().and_then(|python| python.build_requirements());
    let Some(input) = input else { return Ok(Vec::new()) };
    let read = |path: &str| planned_file(root, plan, InputRole::Project, path);
    let text = read(input)?;
    let declaration =
        declare_requirements(&text.path, &text.text, &mut |path| Some(read(path).ok()?.text.to_string()))
            .map_err(InvalidInput)?;
    Ok(is_of_input(&lock.path, &lock.text, Some(&declaration), target, &command(&plan.manifest)))
}

/// The base that builds as an environment of its own, and as a runtime: what is built with runs there and nowhere else, so
/// that Lambda's C library does not matter.
pub fn environment_of_base(
    manifest: &Manifest,
    runtime: &Runtime,
    base: &PinnedBase,
    interpreter: &Interpreter,
) -> Result<(TargetEnvironment, Runtime), Box<Finding>> {
    let mut runtime = runtime.clone();
    runtime.provides.clear();
    runtime.python_patch = interpreter.patch();
    if let Some(glibc) = interpreter.glibc {
        runtime.system.glibc = glibc;
    }
    match TargetEnvironment::new(interpreter, &runtime, manifest.target.architecture) {
        Ok(target) => Ok((target, runtime)),
        Err(error) => {
            let name = base.definition.name.as_str();
            let finding = Finding::new(Code::RequiresPythonMismatch, name, error.to_string());
            Err(Box::new(
                finding
                    .detail(format!("source distributions of {} are built in this base", manifest.name))
                    .remedy(format!(
                        "name a base with the Python of {} with `base` under [python.build]",
                        runtime.name
                    )),
            ))
        }
    }
}

/// The wheel of a build requirement. It is never built itself: that would begin anew with what it is built with.
async fn wheel_of(
    bases: &Bases,
    plan: &ArtifactPlan,
    build: &BuildPlan,
    lock_file: &str,
    locked: &Locked,
    target: &TargetEnvironment,
) -> Result<Result<ReadyWheel, Box<Finding>>, WheelError> {
    let index = match claimed(&plan.indexes, &locked.name) {
        Ok(index) => index.map(|index| index.name.as_str()),
        Err(claims) => return Ok(Err(Box::new(claimed_twice(&locked.name, &claims)))),
    };
    Ok(match distribution::bring(bases, &build.base, lock_file, locked, index, target).await? {
        Found::Wheel(wheel) => Ok(*wheel),
        Found::Finding(finding) | Found::IfAccepted(_, finding) => Err(finding),
        Found::NoWheel(found) => {
            let place = Place::line(lock_file, locked.line);
            let finding = found.none.finding(&locked.name, &locked.version, &place);
            Err(Box::new(finding.detail("build requirements are installed from wheels alone")))
        }
    })
}

fn section(manifest: &Manifest) -> Option<&BuildSection> {
    manifest.python.as_ref()?.build.as_ref()
}

/// Adds how to get a lock of build requirements that is complete.
pub(super) fn with_remedies(finding: Finding, manifest: &Manifest, lock: Option<&str>) -> Finding {
    match (lock, section(manifest).and_then(|section| section.requirements.as_deref())) {
        (Some(_), Some(input)) => {
            finding.remedy(format!("name it in {input}, and lock it: kiln lock {}", manifest.name))
        }
        (Some(lock), None) => finding.remedy(format!(
            "add it to what {lock} is made from, and make that anew: uv pip compile --generate-hashes -o {lock} build.in"
        )),
        (None, _) => finding.remedy(format!(
            "name what builds with `requirements = \"….in\"` and `lock = \"….txt\"` under [python.build] in {}, and run: kiln lock {}",
            manifest.file, manifest.name
        )),
    }
}
