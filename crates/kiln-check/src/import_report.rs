//! Asking the program of the import check: what is remembered is not asked again, and of a function whose own code
//! changed the distributions are not tried again.

use crate::CheckError;
use crate::lanes::{Loads, stem};
use crate::supervised::LIBRARY_PATH;
use kiln_collect::{Collection, ReadyLayer};
use kiln_guest::{AnswerKey, Bases, Ending, Given, Question, ReadyQuestion, note_asked, was_asked};
use kiln_plan::ArtifactPlan;
use kiln_python::{
    Compiled, ImportReport, ImportRequest, LayerModule, ModuleReport, StandInReport, TellsCompiled,
    Unreported,
};
use kiln_record::{Ecosystem, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// Whether the checks of a function or layer are likely to ask programs in its base something that is not remembered.
///
/// # Errors
/// If the store cannot be read.
pub fn asks_base(bases: &Bases, plan: &ArtifactPlan) -> Result<bool, CheckError> {
    let manifest = &plan.manifest;
    let is_tried = manifest.target.runtime.as_ref().is_some_and(|runtime| runtime.python.is_some());
    Ok(!manifest.kind.is_image()
        && ((is_tried && !was_asked(bases, &plan.digest)?) || !manifest.smoke.is_empty()))
}

/// What a program of the import check told.
pub(crate) struct Asked {
    pub(crate) report: Result<ImportReport, Unreported>,
    /// What it wrote, where that is new.
    answer: Option<(AnswerKey, Vec<u8>)>,
    /// What files compile to, where it was asked for that.
    pub(crate) compiled: Vec<Compiled>,
}

/// What was told at last, and what of it may be remembered.
pub(crate) struct Told {
    pub(crate) report: Result<ImportReport, Unreported>,
    answers: Vec<(AnswerKey, Vec<u8>)>,
}

impl Told {
    /// Remembers what was told, so that it is not asked again. A process that ended without an answer may have had too little
    /// time or memory, and is asked again.
    pub(crate) fn remember(self, bases: &Bases, plan: &ArtifactPlan) -> Result<(), CheckError> {
        let ended = |report: &ImportReport| {
            let problems = report.modules.iter().filter_map(|module| module.problem.as_ref());
            problems.into_iter().any(|problem| problem.ended.is_some() || problem.tampered)
        };
        if self.report.as_ref().is_ok_and(|report| !ended(report)) {
            for (key, stdout) in self.answers {
                key.remember(bases, stdout)?;
            }
            note_asked(bases, &plan.digest)?;
        }
        Ok(())
    }
}

impl From<Asked> for Told {
    fn from(asked: Asked) -> Self {
        Self { report: asked.report, answers: asked.answer.into_iter().collect() }
    }
}

/// A question on its way: answered before, or with all that its program is given.
pub(crate) enum Posed {
    Recalled(Box<Asked>),
    Ready(Box<ReadyQuestion>),
}

impl Posed {
    /// What its program tells, or told.
    pub(crate) async fn answer(
        self,
        bases: &Bases,
        request: &ImportRequest,
        subject: &str,
    ) -> Result<Asked, CheckError> {
        match self {
            Self::Recalled(asked) => Ok(*asked),
            Self::Ready(question) => Asked::of(bases, *question, request, subject).await,
        }
    }
}

impl Asked {
    /// What an earlier run was told, if that answers what is asked.
    pub(crate) fn recalled(
        bases: &Bases,
        question: &Question,
        request: &ImportRequest,
    ) -> Result<Option<Self>, CheckError> {
        let Some(key) = question.key() else { return Ok(None) };
        let stdout = key.recall(bases)?;
        let report = stdout.and_then(|stdout| held(&stdout, request).ok()?.ok());
        Ok(report.map(|report| Self { report: Ok(report), answer: None, compiled: Vec::new() }))
    }

    /// Runs the program.
    async fn of(
        bases: &Bases,
        question: ReadyQuestion,
        request: &ImportRequest,
        subject: &str,
    ) -> Result<Self, CheckError> {
        let key = question.key();
        let mut ran = question.ask(bases, subject).await?;
        let compiled = match request.tells_compiled {
            TellsCompiled::Nothing => Vec::new(),
            TellsCompiled::More | TellsCompiled::All => {
                let (told, rest) = Compiled::taken_off(&ran.stdout);
                ran.stdout = rest.to_vec();
                told
            }
        };
        let report = match ran.ending {
            Ending::TimedOut { .. } => Err(Unreported::new(None, ran.log.lines().join("\n").as_bytes())),
            Ending::Exit(0) => match held(&ran.stdout, request) {
                Ok(Ok(report)) => Ok(report),
                Ok(Err(why)) => Err(Unreported::tampered(why, &ran.stderr)),
                Err(()) => Err(Unreported::new(Some(0), &ran.stderr)),
            },
            // A report counts for nothing where its program did not end as one that reports.
            ending => Err(Unreported::new(ending.code(), &ran.stderr)),
        };
        Ok(Self { report, answer: key.map(|key| (key, ran.stdout)), compiled })
    }
}

/// The report in an output, held against its request; the outer error if there is none.
fn held(stdout: &[u8], request: &ImportRequest) -> Result<Result<ImportReport, String>, ()> {
    let report = ImportReport::from_stdout(stdout).map_err(|_| ())?;
    Ok(report.hold(request).map(|()| report))
}

/// The distributions and the artifact's own code as questions of their own.
pub(crate) struct InParts {
    /// Every module of a distribution, where there is nothing of the artifact's own; in two parts, if there are many, that are asked
    /// side by side.
    pub(crate) distributions: Vec<ImportRequest>,
    /// The rest, where all is.
    pub(crate) own: ImportRequest,
}

impl InParts {
    /// The two requests that say together what one says; none where a file of the artifact's own is found by a name that a
    /// distribution, a layer or the standard library has, so that what is imported by it depends on both.
    pub(crate) fn of(
        request: &ImportRequest,
        collection: &Collection,
        layers: &[ReadyLayer],
    ) -> Option<Self> {
        let (mut own, mut others) = (BTreeSet::new(), BTreeSet::new());
        others.extend(request.stdlib.iter().map(String::as_str));
        others.extend(request.modules.iter().map(|module| stem(module)));
        for (path, _) in collection.tree.iter() {
            let first = path.as_str().split('/').next().map(stem);
            if is_own(collection, path) { own.extend(first) } else { others.extend(first) }
        }
        let of_layers = layers.iter().flat_map(|layer| layer.collection.tree.iter());
        others.extend(of_layers.flat_map(|(path, _)| path.as_str().split('/').map(stem)));
        let apart = !request.modules.is_empty() && !own.is_empty() && own.is_disjoint(&others);
        // What the loader takes for every process may be the function's own.
        let obeys = |name: &String| name.starts_with("LD_") && name != LIBRARY_PATH;
        let loaded = request.environment.keys().any(obeys)
            || collection
                .tree
                .iter()
                .any(|(path, _)| is_own(collection, path) && path.file_name().contains(".so"));
        (apart && !loaded).then(|| Self {
            distributions: Loads::of(collection)
                .lanes(&request.modules)
                .into_iter()
                .map(|modules| ImportRequest {
                    handler: None,
                    own_modules: Vec::new(),
                    sources: Vec::new(),
                    modules,
                    ..request.clone()
                })
                .collect(),
            own: ImportRequest {
                modules: Vec::new(),
                tells_compiled: match request.tells_compiled {
                    TellsCompiled::Nothing => TellsCompiled::Nothing,
                    TellsCompiled::More | TellsCompiled::All => TellsCompiled::More,
                },
                besides: own.iter().map(|name| (*name).to_owned()).collect(),
                ..request.clone()
            },
        })
    }

    /// The trees of the first question.
    pub(crate) fn without_own(given: Given) -> Given {
        given.without(is_own)
    }

    /// All answers as one to the whole request: those to the questions for distributions, then that to the last. None where a
    /// distribution cannot be imported without the artifact's own code: whether it can be with it is for one question to tell.
    pub(crate) fn joined(request: &ImportRequest, mut asked: Vec<Asked>) -> Option<Told> {
        let own = asked.pop()?;
        let mut modules: BTreeMap<String, ModuleReport> = BTreeMap::new();
        let mut stand_ins: Vec<StandInReport> = Vec::new();
        let mut layer_modules: Vec<LayerModule> = Vec::new();
        let mut answers = Vec::new();
        for one in asked {
            let report = one.report.ok()?;
            if report.modules.iter().any(|module| module.problem.is_some()) {
                return None;
            }
            modules.extend(report.modules.into_iter().map(|module| (module.name.clone(), module)));
            stand_ins.extend(report.stand_ins);
            layer_modules.extend(report.layer_modules);
            answers.extend(one.answer);
        }
        // Whichever was asked first, the same one is told of.
        stand_ins.sort_by(|a, b| a.asked_by.cmp(&b.asked_by));
        layer_modules.sort_by(|a, b| a.file.cmp(&b.file));
        let report = match own.report {
            Err(unreported) => Err(unreported),
            Ok(mut report) => {
                let in_order: Option<Vec<_>> =
                    request.modules.iter().map(|name| modules.remove(name)).collect();
                report.modules.splice(0..0, in_order?);
                report.stand_ins.extend(stand_ins);
                let needed: BTreeSet<String> =
                    report.stand_ins.iter().filter(|one| !one.optional).map(|one| one.name.clone()).collect();
                sorted_once(&mut report.stand_ins, |one| &one.name);
                for one in &mut report.stand_ins {
                    one.optional = !needed.contains(&one.name);
                }
                report.layer_modules.extend(layer_modules);
                sorted_once(&mut report.layer_modules, |one| &one.name);
                report.hold(request).ok()?;
                Ok(report)
            }
        };
        answers.extend(own.answer);
        Some(Told { report, answers })
    }
}

/// Sorts by a name, and leaves the first of each.
fn sorted_once<T>(all: &mut Vec<T>, name: impl Fn(&T) -> &String) {
    all.sort_by(|a, b| name(a).cmp(name(b)));
    all.dedup_by(|later, first| name(later) == name(first));
}

fn is_own(collection: &Collection, path: &TreePath) -> bool {
    collection.owners.get(path).is_some_and(|owner| owner.ecosystem() == Ecosystem::Application)
}
