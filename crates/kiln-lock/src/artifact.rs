//! `kiln lock ARTIFACT`: what a manifest's `requirements` ask for, resolved for its target and written as a lock.

use crate::LockError;
use crate::buildable::Buildable;
use crate::index_router::IndexRouter;
use crate::indexes::Indexes;
use crate::moved::{FileFacts, MovedFile, bytes_to_bring, moved_files};
use crate::no_answer::NoAnswer;
use crate::pending::is_young_enough;
use crate::resolution::resolve;
use crate::tool::{ToolReport, read_tools, resolver};
use crate::uv::{Freedom, Question, Uv, only_source};
use kiln_fetch::IndexFile;
use kiln_guest::{Bases, EngineSlot, target_runtime};
use kiln_invocation::{
    Environment, Event, Events, InvocationError, artifacts_of, known_names, lock, read_workspace, text_file,
};
use kiln_plan::{BuildSection, InvalidFiles, LockKind, Manifest, PinnedBase, Problem, Workspace};
use kiln_python::{
    Constraint, Declaration, HeldBack, InvalidInput, LockChange, LockHeader, LockTarget, Offer, Pinned,
    TargetEnvironment, declare_requirements, held_back, lock_changes, parse_requirements, render_lock,
};
use kiln_record::{ArtifactName, BaseName, Code, DistributionName, Finding, Platform, Runtime};
use kiln_store::write_atomically;
use kiln_wheel::{command, declare, environment_of_base, left_out, target_environment};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// A glibc that no wheel is too new for: what a resolution gives for it, the target's own holds back.
const NO_LIMIT: (u32, u32) = (2, 99);

/// What to lock.
#[derive(Clone, Debug, Default)]
pub struct ArtifactLockRequest {
    /// The artifacts.
    pub artifacts: Vec<ArtifactName>,
    /// Whether everything may move; else what the lock has stays where it still fits.
    pub upgrade: bool,
    /// What may move even so.
    pub upgrade_packages: Vec<DistributionName>,
    /// Whether only to say what would be written.
    pub check: bool,
}

/// What locking an artifact told.
#[derive(Clone, Debug)]
pub struct ArtifactLock {
    /// The artifact.
    pub artifact: ArtifactName,
    /// The lock, relative to the workspace.
    pub file: String,
    /// What it was made from, relative to the workspace.
    pub input: String,
    /// What it was resolved for.
    pub target: String,
    /// What resolved it.
    pub tool: String,
    /// How many distributions it has.
    pub distributions: usize,
    /// Whether the lock differs from the one that was there.
    pub differs: bool,
    /// Whether it was written.
    pub written: bool,
    /// What moved.
    pub changes: Vec<LockChange>,
    /// What the indexes say of the files of what moved.
    pub moved: BTreeMap<DistributionName, MovedFile>,
    /// Bytes of the files that this target takes of what moved, where the indexes say how long they are.
    pub bytes: Option<u64>,
    /// What the target keeps at an older version.
    pub held_back: Vec<HeldBack>,
    /// What the lock that was there keeps at an older version, although a newer one fits.
    pub kept: Vec<Kept>,
    /// What else should be known, such as what could not be checked.
    pub remarks: Vec<String>,
}

/// A distribution that stays where it was locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The distribution.
    pub name: DistributionName,
    /// The version that is locked.
    pub locked: String,
    /// The version that it would get anew.
    pub fits: String,
}

/// Makes the locks of artifacts. The resolver is pinned first where it is not yet, which the second value tells.
///
/// # Errors
/// The first artifact that cannot be locked. Its lock is then as it was; those before it are written.
pub async fn lock_artifacts(
    environment: &Environment,
    request: &ArtifactLockRequest,
    events: &Events,
    engine: EngineSlot,
) -> Result<(Vec<ArtifactLock>, Option<ToolReport>), LockError> {
    let lock = lock(environment, events).await?;
    let workspace = read_workspace(&environment.root)?;
    let bases = Bases::open(environment, events, engine, lock)?;
    let _stop = bases.run().stop_on_drop();
    bases.store().sweep()?;
    let mut ready: Option<Uv> = None;
    let (mut locks, mut report) = (Vec::new(), None);
    // Everything that can be refused is refused before the first lock is written.
    let mut asked = Vec::new();
    for name in &artifacts_of(&workspace, &request.artifacts) {
        // Upstream sources may be all that there is to lock.
        let only_upstreams = workspace.manifests.get(name).is_some_and(|manifest| {
            let resolves = manifest.python.as_ref().is_some_and(|python| python.requirements.is_some());
            !manifest.upstreams.is_empty() && !resolves
        });
        if !only_upstreams {
            asked.extend(Asked::all(&bases, &workspace, name)?);
        }
    }
    for one in asked.iter().filter(|one| one.base.definition.file.starts_with("images/")) {
        is_young_enough(&workspace, &one.base.definition.name, one.base.pinned, environment.now)?;
    }
    names_are_locked(&environment.root, &asked, &request.upgrade_packages)?;
    for asked in asked {
        let index = bases.index(&asked.base).await?;
        if ready.is_none() {
            let (uv, pinned) = resolver(&bases, &index, !request.check).await?;
            ready = Some(uv);
            report = pinned;
        }
        let named = &workspace.settings.indexes;
        let router = match named.is_empty() {
            true => None,
            false => Some(IndexRouter::start(&bases, &asked.base, named).await?),
        };
        let indexes = Indexes { default: &index, named, router: router.as_ref() };
        if let Some(uv) = &ready {
            locks.push(lock_one(&bases, &asked, request, &indexes, uv).await?);
        }
    }
    Ok((locks, report))
}

/// A lock of an artifact whose files say enough to make it.
struct Asked<'a> {
    manifest: &'a Manifest,
    base: PinnedBase,
    declaration: Declaration,
    /// The lock.
    file: &'a str,
    /// What may be a source distribution.
    sdists: &'a [DistributionName],
    /// Whether it is of what source distributions are built with, and not of what is installed.
    for_building: bool,
    /// The command that its lock names: that of the first artifact with this lock.
    command: String,
}

impl<'a> Asked<'a> {
    /// The locks of an artifact that kiln makes: of what is installed, and of what builds.
    fn all(bases: &Bases, workspace: &'a Workspace, name: &ArtifactName) -> Result<Vec<Self>, LockError> {
        let python = workspace.manifests.get(name).and_then(|manifest| manifest.python.as_ref());
        let build = python.and_then(|python| python.build.as_ref());
        let builds = build.is_some_and(|build| build.requirements.is_some());
        let mut all = Vec::new();
        // Where only what builds is kiln's to lock, the other lock is that of another tool.
        if !builds || python.is_some_and(|python| python.requirements.is_some()) {
            all.push(Self::new(bases, workspace, name)?);
        }
        if builds && let Some(manifest) = workspace.manifests.get(name) {
            all.extend(Self::of_build(bases, workspace, manifest)?);
        }
        Ok(all)
    }

    /// The lock of what source distributions are built with.
    fn of_build(
        bases: &Bases,
        workspace: &'a Workspace,
        manifest: &'a Manifest,
    ) -> Result<Option<Self>, LockError> {
        let build = manifest.python.as_ref().and_then(|python| python.build.as_ref());
        let Some((build, input, file)) =
            build.and_then(|build| Some((build, build.requirements.as_ref()?, build.lock.as_deref()?)))
        else {
            return Ok(None);
        };
        let refuse = |message: String, help: &str| {
            Err(InvalidFiles(vec![Problem::in_file(&manifest.file, message).help(help)]).into())
        };
        let root = bases.run().root();
        if !root.join(input).is_file() {
            return refuse(
                format!("`python.build.requirements` names {input}, which does not exist"),
                "write there what builds, such as: setuptools>=77",
            );
        }
        let base_of = |manifest: &'a Manifest, build: &'a BuildSection| {
            (
                build.base.as_ref().unwrap_or_else(|| workspace.base_of(manifest)),
                &build.requirements,
                &manifest.target,
            )
        };
        let mut first = manifest;
        for other in workspace.manifests.values() {
            let Some(theirs) = other.python.as_ref().and_then(|python| python.build.as_ref()) else {
                continue;
            };
            if theirs.lock.as_deref() != Some(file) {
                continue;
            }
            if base_of(other, theirs) != base_of(manifest, build) {
                return refuse(
                    format!(
                        "{} uses the same lock of build requirements, {file}, for something else",
                        other.name
                    ),
                    "give each its own lock, or the same requirements, base and target",
                );
            }
            if other.name < first.name {
                first = other;
            }
        }
        let base =
            pinned(workspace, manifest, build.base.as_ref().unwrap_or_else(|| workspace.base_of(manifest)))?;
        let text = text_file(root, input)?;
        let declaration = declare_requirements(&text.path, &text.text, &mut |path| {
            text_file(root, path).ok().map(|file| file.text.to_string())
        })
        .map_err(InvalidInput)?;
        let command = command(first);
        Ok(Some(Self { manifest, base, declaration, file, sdists: &[], for_building: true, command }))
    }

    fn new(bases: &Bases, workspace: &'a Workspace, name: &ArtifactName) -> Result<Self, LockError> {
        let manifest = workspace.manifests.get(name).ok_or_else(|| InvocationError::Unknown {
            kind: "artifact",
            name: name.to_string(),
            known: known_names(workspace),
        })?;
        let refuse = |message: String, help: String| {
            Err(InvalidFiles(vec![Problem::in_file(&manifest.file, message).help(help)]).into())
        };
        let Some(section) = &manifest.python else {
            return refuse(
                "it has no [python] section, so there is nothing to lock".to_owned(),
                match manifest.dockerfile() {
                    Some(_) => "its images are pinned in the Dockerfile, or as bases: kiln lock --base NAME"
                        .to_owned(),
                    None => {
                        "name a lock with `lock` under [python], and what it is made from with `requirements`"
                            .to_owned()
                    }
                },
            );
        };
        let Some(input) = &section.requirements else {
            let tool = match section.lock_kind() {
                LockKind::Poetry => Some("poetry lock"),
                LockKind::Uv => Some("uv lock"),
                LockKind::Pipfile => Some("pipenv lock"),
                LockKind::Pylock | LockKind::Requirements => None,
            };
            return match tool {
                Some(tool) => refuse(
                    format!("{} is made by another tool, with: {tool}", section.lock),
                    "to let kiln make a lock, name the project file with `requirements` and another file with `lock`"
                        .to_owned(),
                ),
                None => refuse(
                    format!("nothing says what {} is made from", section.lock),
                    match workspace.manifests.values().find(|other| makes(other, &section.lock)) {
                        Some(other) => format!(
                            "it is the lock of {}, too, whose manifest says it with `requirements`: give each its own lock, or both the same requirements, groups, extras, sdists, base and target",
                            other.name
                        ),
                        None => "add requirements = \"….in\", or a pyproject.toml, under [python]".to_owned(),
                    },
                ),
            };
        };
        let root = bases.run().root();
        if !root.join(input).is_file() {
            return refuse(
                format!("`requirements` names {input}, which does not exist"),
                "write there what you want, such as: requests>=2.31,<3".to_owned(),
            );
        }
        let others = workspace.manifests.values().filter(|other| {
            other.python.as_ref().is_some_and(|python| python.lock == section.lock) && other.name != *name
        });
        let mut first = manifest;
        for other in others {
            let Some(python) = &other.python else { continue };
            let same = python.requirements == section.requirements
                && python.groups == section.groups
                && python.extras == section.extras
                && python.sdists == section.sdists
                && other.target == manifest.target
                && workspace.base_of(other) == workspace.base_of(manifest);
            if !same {
                return refuse(
                    format!("{} uses the same lock, {}, for something else", other.name, section.lock),
                    "give each its own lock, or the same requirements, groups, extras, sdists, base and target"
                        .to_owned(),
                );
            }
            if other.name < first.name {
                first = other;
            }
        }
        let base = pinned(workspace, manifest, workspace.base_of(manifest))?;
        let text = text_file(root, input)?;
        let declaration = declare(section, &text.path, &text.text, &mut |path| {
            text_file(root, path).ok().map(|file| file.text.to_string())
        })
        .map_err(InvalidInput)?;
        Ok(Self {
            manifest,
            base,
            declaration,
            file: &section.lock,
            sdists: &section.sdists,
            for_building: false,
            command: command(first),
        })
    }
}

/// Whether a manifest says what a lock is made from.
fn makes(manifest: &Manifest, lock: &str) -> bool {
    manifest.python.as_ref().is_some_and(|python| python.lock == lock && python.requirements.is_some())
}

fn pinned(workspace: &Workspace, manifest: &Manifest, base: &BaseName) -> Result<PinnedBase, LockError> {
    let (definition, lock) = &workspace.bases[base];
    let platform = Platform { architecture: manifest.target.architecture };
    let base = PinnedBase::new(definition, lock.as_ref(), platform).map_err(LockError::Denied)?;
    Ok(base.among(&workspace.bases))
}

/// Refuses names to upgrade that none of the locks has. A name that is declared and not yet locked is resolved anew, as is
/// everything where there is no lock.
fn names_are_locked(root: &Path, asked: &[Asked<'_>], names: &[DistributionName]) -> Result<(), LockError> {
    let mut known = BTreeSet::new();
    for asked in asked {
        let Some(text) = lock_that_is_there(root, asked.file)? else { return Ok(()) };
        let Ok(lock) = parse_requirements(asked.file, &text, &mut |_| None) else { return Ok(()) };
        known.extend(lock.distributions.into_iter().map(|locked| locked.name));
        known.extend(asked.declaration.wanted.iter().map(|wanted| wanted.declared.name.clone()));
    }
    let files: BTreeSet<&str> = asked.iter().map(|asked| asked.file).collect();
    let files = files.into_iter().collect::<Vec<_>>().join(", ");
    let problem = |name: &DistributionName| {
        let message = format!("`--upgrade-package` names {name}, which is not locked there");
        let known: Vec<&str> = known.iter().map(DistributionName::as_str).collect();
        let help = match known.len() {
            0 => "nothing is locked there".to_owned(),
            _ => format!("locked there: {}", known.join(", ")),
        };
        Problem::in_file(&files, message).help(help)
    };
    let problems: Vec<Problem> = names.iter().filter(|name| !known.contains(*name)).map(problem).collect();
    if problems.is_empty() { Ok(()) } else { Err(InvalidFiles(problems).into()) }
}

fn lock_that_is_there(root: &Path, file: &str) -> Result<Option<Arc<str>>, LockError> {
    if root.join(file).is_file() { Ok(Some(text_file(root, file)?.text)) } else { Ok(None) }
}

async fn lock_one(
    bases: &Bases,
    asked: &Asked<'_>,
    request: &ArtifactLockRequest,
    indexes: &Indexes<'_>,
    uv: &Uv,
) -> Result<ArtifactLock, LockError> {
    let (manifest, declaration) = (&asked.manifest, &asked.declaration);
    let interpreter = bases.interpreter(&asked.base).await?;
    let base = &asked.base.definition.name;
    let runtime = target_runtime(bases, manifest, &asked.base).await?;
    let environment = if asked.for_building {
        environment_of_base(manifest, &runtime, &asked.base, &interpreter).map(|(environment, _)| environment)
    } else {
        target_environment(manifest, &asked.base, &runtime, &interpreter)
    }
    .map_err(|mut finding| {
        finding.cause = format!("{}: {} ({})", manifest.name, finding.cause, manifest.file);
        LockError::Denied(finding)
    })?;
    let Some(target) = LockTarget::of(&environment) else {
        let message = format!("the base `{base}` has no glibc, so no wheel with native code fits");
        return Err(InvalidFiles(vec![
            Problem::in_file(&manifest.file, message).help("use a base with the C library of the runtime"),
        ])
        .into());
    };
    check_python(base, declaration, &environment, manifest.target.runtime.is_none())?;

    let root = bases.run().root();
    let file = asked.file;
    let path = root.join(file);
    let there = lock_that_is_there(root, file)?;
    // A file that is no lock is nothing to stay close to.
    let usable = there.as_ref().filter(|text| parse_requirements(file, text, &mut |_| None).is_ok());
    let freedom = Freedom {
        previous: usable.filter(|_| !request.upgrade).map(ToString::to_string),
        upgrade: request.upgrade_packages.clone(),
    };
    let sdists = Buildable::new(asked.sdists);
    let (interpreter, glibc) = (&*interpreter, target.glibc);
    let router = indexes.router;
    let question =
        Question { declaration, interpreter, target: &environment, glibc, sdists: &sdists, router };
    let tell = |activity| {
        bases.run().tell(Event::Locking { subject: manifest.name.to_string(), activity });
    };
    tell("resolve");
    let pinned = resolve(bases, indexes, uv, &question, &freedom)
        .await
        .map_err(|none| unresolved(asked, &runtime, &target, none))?;
    let warnings = uv.take_warnings();
    let header = LockHeader {
        command: asked.command.clone(),
        target: target.clone(),
        input: declaration.file.clone(),
        declared: declaration.digest(),
        tool: uv.name(),
    };
    let text = render_lock(&header, &pinned);
    let differs = there.as_ref().is_none_or(|there| !says_the_same(there, &text));

    tell("compare");
    let mut remarks: Vec<String> = declaration
        .remarks
        .iter()
        .map(|remark| format!("{}:{}: {}", remark.file, remark.line, remark.message))
        .collect();
    remarks.extend(warnings.into_iter().map(|warning| format!("uv: {warning}")));
    remarks.extend(left_out(declaration, &environment).into_iter().map(|(declared, cause)| {
        format!("{}:{}: {} is left out: {cause}", declared.file, declared.line, declared.name)
    }));
    remarks.extend(sdists.remarks(&pinned));
    remarks.extend(bases.network().further_indexes().iter().map(|from| {
        format!("{from} names a further index, which is not asked: nothing there says what is to come from it; name it in kiln.toml with [[index]] and `packages`")
    }));
    let (held_back, kept) = match all_held_back(bases, &question, indexes, uv, &pinned, &freedom).await {
        Ok(both) => both,
        Err(reason) => {
            remarks.push(format!("whether the target holds anything back was not checked: {reason}"));
            (Vec::new(), Vec::new())
        }
    };
    // The same questions for another C library warn of the same.
    drop(uv.take_warnings());
    let changes = lock_changes(usable.map(|text| &**text), &pinned);
    let both = (usable.map(|text| &**text), &*pinned);
    let moved = moved_files(bases, indexes, &environment, both, &changes).await;
    let bytes = bytes_to_bring(&changes, &moved);
    let written = differs && !request.check;
    if written && !changes.is_empty() && read_tools(root)?.is_some_and(|lock| !lock.crates.is_empty()) {
        remarks.push("other wheels may have other crates inside: kiln lock --crates".to_owned());
    }
    if written {
        if there.is_some() && !changes.is_empty() {
            let moves = changes.iter().map(|change| moved_line(change, moved.get(&change.name))).collect();
            bases.run().tell(Event::Moving { file: file.to_owned(), moves, bytes });
        }
        bases.run().go_on()?;
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        write_atomically(&path, text.as_bytes())?;
    }
    Ok(ArtifactLock {
        artifact: manifest.name.clone(),
        file: file.to_owned(),
        input: declaration.file.clone(),
        target: if asked.for_building {
            format!("builds in base {base}: {target}")
        } else {
            format!("{} on {}: {target}", runtime.name, runtime.system.name)
        },
        tool: header.tool,
        distributions: pinned.len(),
        differs,
        written,
        changes,
        moved,
        bytes,
        held_back,
        kept,
        remarks,
    })
}

fn moved_line(change: &LockChange, moved: Option<&MovedFile>) -> String {
    let name = &change.name;
    let line = match (&change.before, &change.after) {
        (Some(before), Some(after)) if before == after => format!("{name} {after}, other files"),
        (Some(before), Some(after)) => format!("{name} {before} → {after}"),
        (None, Some(after)) => format!("{name} + {after}"),
        (before, None) => format!("{name} - {}", before.as_deref().unwrap_or_default()),
    };
    let license = |facts: &Option<FileFacts>| facts.as_ref().and_then(|facts| facts.license.clone());
    match moved.map(|moved| (license(&moved.before), license(&moved.after))) {
        Some((Some(before), Some(after))) if before != after => format!("{line}, licence {before} → {after}"),
        Some((None, Some(license))) => format!("{line}, licence {license}"),
        _ => line,
    }
}

/// Whether two locks differ in nothing but the version of the tool that made them.
fn says_the_same(before: &str, after: &str) -> bool {
    let without_tool = |text: &str| -> String {
        text.lines().filter(|line| !line.starts_with("# with: ")).map(|line| format!("{line}\n")).collect()
    };
    without_tool(before) == without_tool(after)
}

/// How a base for another Python comes to be.
const ANOTHER_RUNTIME: &str =
    "kiln makes and pins a base for each runtime of Lambda: kiln lock --base NAME --runtime RUNTIME";

fn check_python(
    base: &BaseName,
    declaration: &Declaration,
    target: &TargetEnvironment,
    runs_on_base: bool,
) -> Result<(), LockError> {
    let Some(requires) = &declaration.requires_python else { return Ok(()) };
    if requires.accepts(target.release()) {
        return Ok(());
    }
    let cause = format!(
        "{}:{} requires Python `{}`, but {} (base `{base}`)",
        requires.file,
        requires.line,
        requires.text,
        target.release_told()
    );
    let finding = Finding::new(Code::RequiresPythonMismatch, "python", cause)
        .remedy(match runs_on_base {
            true => "use a base whose Python the constraint accepts",
            false => "use a base and a runtime whose Python the constraint accepts",
        })
        .remedy(ANOTHER_RUNTIME)
        .remedy(format!("or let {}:{} accept it", requires.file, requires.line));
    Err(LockError::Denied(Box::new(finding)))
}

fn unresolved(asked: &Asked<'_>, runtime: &Runtime, target: &LockTarget, none: NoAnswer) -> LockError {
    match none {
        NoAnswer::Broken(error) => error,
        NoAnswer::Refused { lines, unsatisfiable } => LockError::Unresolved {
            artifact: asked.manifest.name.clone(),
            input: asked.declaration.file.as_str().into(),
            target: format!("{} ({target})", runtime.name).into(),
            only_source: only_source(&lines),
            lines,
            unsatisfiable,
        },
    }
}

/// What the target holds back, and what the old lock does: the same question is asked for a glibc without limit, and the index is asked what it has.
async fn all_held_back(
    bases: &Bases,
    question: &Question<'_>,
    indexes: &Indexes<'_>,
    uv: &Uv,
    pinned: &[Pinned],
    freedom: &Freedom,
) -> Result<(Vec<HeldBack>, Vec<Kept>), String> {
    let broken = |none: NoAnswer| match none {
        NoAnswer::Broken(error) => error.to_string(),
        NoAnswer::Refused { lines, .. } => lines.into_iter().next().unwrap_or_default(),
    };
    let versions = |pinned: &[Pinned]| -> BTreeMap<DistributionName, String> {
        pinned.iter().map(|one| (one.name.clone(), one.version.clone())).collect()
    };
    // What an older lock keeps, the target does not hold back: it is asked without one.
    let free = Freedom::default();
    let here = match &freedom.previous {
        Some(_) => versions(&resolve(bases, indexes, uv, question, &free).await.map_err(broken)?),
        None => versions(pinned),
    };
    let unlimited = Question { glibc: NO_LIMIT, ..*question };
    let elsewhere = versions(&resolve(bases, indexes, uv, &unlimited, &free).await.map_err(broken)?);

    let mut asked_for: BTreeMap<&DistributionName, &Constraint> = BTreeMap::new();
    for wanted in &question.declaration.wanted {
        let declared = &wanted.declared;
        let applies = declared
            .marker
            .as_ref()
            .is_none_or(|marker| question.target.evaluate(marker, &[]).is_ok_and(|verdict| verdict.value));
        if let (true, Some(constraint)) = (applies, &declared.constraint) {
            asked_for.insert(&declared.name, constraint);
        }
    }
    let differing =
        here.iter().filter(|(name, version)| elsewhere.get(*name).is_some_and(|other| other != *version));
    let names: BTreeSet<&DistributionName> = differing
        .map(|(name, _)| name)
        .chain(asked_for.keys().copied())
        .filter(|name| here.contains_key(*name))
        .collect();
    let client = bases.network().client().await.map_err(|error| error.to_string())?;
    let listings = names.iter().map(|name| async move {
        let index = indexes.of(bases, name).await.map_err(|error| error.to_string())?;
        Ok((*name, index.files(client, name).await.map_err(|error| error.to_string())?))
    });
    let listings: Result<Vec<(&DistributionName, Vec<IndexFile>)>, String> =
        futures_util::future::try_join_all(listings).await;
    let listings = listings?;
    let mut all = Vec::new();
    for (name, files) in listings {
        let offers: Vec<Offer<'_>> = files
            .iter()
            .map(|file| Offer {
                file_name: &file.file_name,
                requires_python: file.requires_python.as_deref(),
                yanked: file.yanked,
            })
            .collect();
        let constraint = asked_for.get(name).copied();
        let elsewhere = elsewhere.get(name).map(String::as_str);
        let Some(here) = here.get(name) else { continue };
        let Some(mut held) = held_back(name, here, elsewhere, constraint, &offers, question.target) else {
            continue;
        };
        if let Some(locked) = pinned.iter().find(|one| one.name == *name) {
            held.locked.clone_from(&locked.version);
        }
        all.push(held);
    }
    let kept = pinned
        .iter()
        .filter_map(|one| {
            let fits = here.get(&one.name).filter(|fits| **fits != one.version)?;
            Some(Kept { name: one.name.clone(), locked: one.version.clone(), fits: fits.clone() })
        })
        .collect();
    Ok((all, kept))
}
