//! What the outcome of an import check means: findings, and what was left unchecked.

use super::check::{
    HandlerOutcome, HandlerReport, ImportProblem, ImportReport, ImportRequest, ModuleReport, StandInReport,
    Unreported, place_of,
};
use super::surroundings::Surroundings;
use crate::guest::report::LINES_SHOWN;
use kiln_record::{ArtifactName, Check, CheckName, Code, Finding, Level, Runtime};
use std::collections::BTreeMap;

/// What the outcome of an import check means for the build.
///
/// `layers` are the layers that the artifact is used with, for messages. Modules that stand-ins were served
/// for are reported as `provided-by-runtime`, as a note where nothing needs them; those from a layer as `provided-by-layer`; a failure that only
/// a stand-in can be blamed for is reported as not checked rather than as wrong. The last check, if there is
/// one, says what was left out.
#[must_use]
pub fn import_findings(
    report: Result<&ImportReport, &Unreported>,
    request: &ImportRequest,
    runtime: &Runtime,
    layers: &[ArtifactName],
    around: &Surroundings,
) -> (Vec<Finding>, Vec<Check>) {
    let report = match report {
        Ok(report) => report,
        Err(unreported) => {
            let all = || request.modules.iter().chain(&request.own_modules);
            let all = || all().map(String::as_str).collect::<Vec<_>>().join(", ");
            let subject = request.handler.clone().unwrap_or_else(all);
            if let Some(why) = &unreported.tampered {
                let mut finding = tampered(&subject, why);
                finding.detail.clone_from(&unreported.stderr);
                let check = Check::not_checked(CheckName::Import, "the check was tampered with");
                return (vec![finding], vec![check]);
            }
            let mut finding = Finding::new(Code::ImportFailed, subject, unreported.cause())
                .remedy("run nothing at import time that ends the process, waits or needs much memory");
            finding.detail.clone_from(&unreported.stderr);
            let check = Check::not_checked(CheckName::Import, "the process ended before it could report");
            return (vec![finding], vec![check]);
        }
    };
    let mut judged = Judged {
        request,
        layers,
        around,
        findings: Vec::new(),
        seen: BTreeMap::new(),
        unchecked: Vec::new(),
    };
    if let Some(handler) = &report.handler {
        judged.handler(handler);
    }
    for module in &report.modules {
        if let Some(problem) = &module.problem {
            judged.problem(&module.name, problem);
        }
    }
    let Judged { mut findings, unchecked, .. } = judged;
    findings.extend(provided_by_runtime(report, runtime, around));
    findings.extend(provided_by_layer(report, layers));

    let tried = |own: bool| report.modules.iter().filter(move |m| m.own == own && !m.after_handler).count();
    let others = tried(false) + usize::from(report.handler.is_some());
    let mut checks = vec![Check::ran(CheckName::Import, others, "modules")];
    if report.modules.iter().any(|module| module.own) {
        checks.push(Check::ran(CheckName::ImportOwn, tried(true), "modules"));
    }
    let after: Vec<&ModuleReport> =
        report.modules.iter().filter(|module| module.after_handler && module.problem.is_none()).collect();
    for (name, own) in [(CheckName::Import, false), (CheckName::ImportOwn, true)] {
        let names: Vec<&str> = after.iter().filter(|m| m.own == own).map(|m| m.name.as_str()).collect();
        if !names.is_empty() {
            let reason = format!(
                "{}: not to be imported alone, but in the handler's process, by its own word",
                names.join(", ")
            );
            checks.push(Check::not_checked(name, reason));
        }
    }
    if !report.stand_ins.is_empty() {
        let names: Vec<&str> = report.stand_ins.iter().map(|s| s.name.as_str()).collect();
        let mut reason = format!(
            "the base does not have {}, which runtime {} provides: what is asked of these modules was not checked",
            names.join(", "),
            runtime.name
        );
        if !unchecked.is_empty() {
            reason.push_str(&format!(
                ", nor what follows in {} once a value of theirs is needed",
                unchecked.join(", ")
            ));
        }
        checks.push(Check::not_checked(CheckName::ImportProvided, reason));
    }
    (findings, checks)
}

/// The finding for code that answers for a check.
fn tampered(subject: &str, why: &str) -> Finding {
    Finding::new(
        Code::CheckTampered,
        subject,
        format!("importing it interferes with the check: its process {why}"),
    )
    .remedy("see what runs when it is imported: it writes to descriptors, ends processes or replaces functions that are not its own")
}

fn provided_by_runtime<'a>(
    report: &'a ImportReport,
    runtime: &'a Runtime,
    around: &'a Surroundings,
) -> impl Iterator<Item = Finding> {
    let mut by_distribution: BTreeMap<&str, Vec<&StandInReport>> = BTreeMap::new();
    for stand_in in &report.stand_ins {
        let name = runtime.provider_of_module(&stand_in.name).map_or(&*stand_in.name, |p| &p.distribution);
        by_distribution.entry(name).or_default().push(stand_in);
    }
    by_distribution.into_iter().map(|(distribution, stand_ins)| {
        let modules: Vec<String> = stand_ins.iter().map(|s| format!("`{}`", s.name)).collect();
        let optional = stand_ins.iter().all(|stand_in| stand_in.optional);
        let how = if optional { "is imported where it may be missing, and" } else { "is imported but" };
        let mut finding = Finding::new(
            Code::ProvidedByRuntime,
            distribution,
            format!(
                "{} {how} not packaged: runtime {} has it, in a version that AWS chooses and moves",
                modules.join(", "),
                runtime.name
            ),
        );
        if optional {
            finding.level = Level::Note;
        }
        for stand_in in stand_ins {
            // An import of the own code can be changed, one of a distribution's cannot.
            let own = report.scan.first.iter().find(|first| first.module == stand_in.name);
            finding.place = finding.place.or_else(|| place_of(&own?.at));
            if let Some(place) = own.map(|first| &first.at).or(stand_in.asked_by.as_ref()) {
                finding = finding.detail(format!("imported at {place}"));
            }
        }
        let (left_out, decide) = around.own_version(distribution);
        finding.detail.extend(left_out);
        finding
            .remedy(decide)
            .remedy("to rely on the runtime, say so: provided-by-runtime = \"note\" under [policy.levels] of the manifest")
    })
}

fn provided_by_layer(report: &ImportReport, layers: &[ArtifactName]) -> impl Iterator<Item = Finding> {
    let layers = match layers {
        [] => "a layer".to_owned(),
        [one] => format!("layer {one}"),
        many => format!(
            "one of the layers {}",
            many.iter().map(ArtifactName::as_str).collect::<Vec<_>>().join(", ")
        ),
    };
    report.layer_modules.iter().map(move |module| {
        Finding::new(Code::ProvidedByLayer, &*module.name, format!("it was imported from {layers}"))
            .detail(format!("loaded {}", module.file))
    })
}

/// Findings as they are made.
struct Judged<'a> {
    request: &'a ImportRequest,
    /// The layers that the manifest names.
    layers: &'a [ArtifactName],
    around: &'a Surroundings,
    findings: Vec<Finding>,
    /// The finding for each kind of failure, so that one missing module is reported once.
    seen: BTreeMap<(Option<String>, String, String), usize>,
    /// Modules whose import stopped at a stand-in's value.
    unchecked: Vec<String>,
}

impl Judged<'_> {
    fn handler(&mut self, report: &HandlerReport) {
        let handler = self.request.handler.clone().unwrap_or_default();
        let module = report.module.clone().unwrap_or_default();
        let attribute = report.attribute.clone().unwrap_or_default();
        let missing = |cause: String| Finding::new(Code::HandlerMissing, handler.as_str(), cause);
        let finding = match report.outcome {
            HandlerOutcome::Found => return,
            HandlerOutcome::ImportFailed => {
                if let Some(problem) = &report.problem {
                    self.problem(&module, problem);
                }
                return;
            }
            HandlerOutcome::Malformed => {
                missing(format!("`{handler}` is not `module.function`: Lambda splits it at the last dot"))
                    .remedy("write for example `index.handler` for the function `handler` in `index.py`")
            }
            HandlerOutcome::Builtin => missing(format!(
                "`{module}` is built into Python, and Lambda refuses such a module as the handler's"
            ))
            .remedy("rename the file, and the handler with it"),
            HandlerOutcome::ModuleMissing => {
                let mut finding = missing(format!("there is no module `{module}` in the artifact"));
                for near in &report.near {
                    finding = finding
                        .remedy(format!("if `{near}` is meant, set `handler = \"{near}.{attribute}\"`"));
                }
                let otherwise = otherwise(&report.near);
                finding.remedy(format!(
                    "{otherwise}check that `path`, `include` and `exclude` under `[source]` bring `{}.py` to the top of the artifact",
                    module.replace('.', "/")
                ))
            }
            HandlerOutcome::AttributeMissing | HandlerOutcome::NotCallable => {
                let what = if report.outcome == HandlerOutcome::NotCallable {
                    format!("`{attribute}` in module `{module}` cannot be called")
                } else {
                    format!("module `{module}` has no `{attribute}`")
                };
                let mut finding = missing(what);
                finding.detail.extend(report.file.iter().map(|file| format!("loaded {file}")));
                finding.detail.extend(report.problem.iter().flat_map(|p| last_lines(&p.traceback)));
                finding.place =
                    report.problem.as_ref().and_then(|problem| place_of(problem.place.as_deref()?));
                if module == "__main__" {
                    finding.remedy(
                        "rename the file: `__main__` is the program that Lambda starts, not the function's",
                    )
                } else if report.file.as_deref().is_some_and(|file| !self.is_in_artifact(file)) {
                    finding.remedy(format!(
                        "rename the file: Python has a module `{module}` of its own, which is found first"
                    ))
                } else {
                    for near in &report.near {
                        finding = finding
                            .remedy(format!("if `{near}` is meant, set `handler = \"{module}.{near}\"`"));
                    }
                    let otherwise = otherwise(&report.near);
                    finding.remedy(format!("{otherwise}define `def {attribute}(event, context)` in it"))
                }
            }
        };
        self.findings.push(finding);
    }

    fn is_in_artifact(&self, file: &str) -> bool {
        std::iter::once(&self.request.task_root).chain(&self.request.layer_paths).any(|root| {
            file.strip_prefix(root.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// An exception while importing `module`.
    fn problem(&mut self, module: &str, problem: &ImportProblem) {
        let key = match (&problem.missing, &problem.ended) {
            (Some(missing), _) => (Some(missing.clone()), String::new(), String::new()),
            (None, Some(ended)) => (None, module.to_owned(), ended.clone()),
            (None, None) => (None, problem.error.clone(), problem.message.clone()),
        };
        if let Some(there) = self.seen.get(&key).and_then(|index| self.findings.get_mut(*index)) {
            let line = format!("importing `{module}` fails for the same reason");
            if there.subject != module && !there.detail.contains(&line) {
                there.detail.push(line);
            }
            return;
        }
        let said = said(problem);
        let finding = if let Some(ended) = problem.ended.as_ref().filter(|_| problem.tampered) {
            tampered(module, ended)
        } else if let Some(ended) = &problem.ended {
            Finding::new(Code::ImportFailed, module, format!("importing it {ended}"))
                .remedy("run nothing at import time that ends the process, waits or needs much memory")
                .remedy(format!(
                    "or, if it is never imported in Lambda, name it: `skip = [\"{module}\"]` under `[check]`"
                ))
        } else if problem.stand_in {
            self.unchecked.push(module.to_owned());
            Finding::new(
                Code::ProvidedByRuntime,
                module,
                format!("importing it stops where it needs a value from a module that only the runtime has: {said}"),
            )
            .remedy("move calls to AWS from import time into the handler, or into a function that it calls")
            .remedy("or package the module: add its distribution to the project's dependencies and lock again")
        } else if problem.error.rsplit('.').next() == Some("PackageNotFoundError") {
            // A kind of ModuleNotFoundError, but about metadata.
            let name = problem
                .missing
                .as_deref()
                .unwrap_or_else(|| problem.message.rsplit(' ').next().unwrap_or_default());
            let cause = format!(
                "importing it asks for the metadata of `{name}`, and no distribution of that name is in the artifact: {said}"
            );
            let ways = self.around.metadata_remedies(name).into_iter();
            ways.fold(Finding::new(Code::ImportFailed, module, cause), Finding::remedy)
                .remedy("or let the code do without: catch `importlib.metadata.PackageNotFoundError`")
        } else if let Some(missing) = &problem.missing {
            self.missing_module(module, missing)
        } else if let Some(argument) = &problem.exit {
            Finding::new(Code::ImportFailed, module, format!("importing it calls `sys.exit({argument})`"))
                .remedy("call it only when the file is run as a program: `if __name__ == \"__main__\":`")
        } else {
            let finding = Finding::new(Code::ImportFailed, module, format!("importing it raises {said}"));
            with_remedy(finding, problem)
        };
        self.seen.insert(key, self.findings.len());
        let mut detail = last_lines(&problem.traceback);
        detail.extend(finding.detail);
        let place = problem.place.as_deref().and_then(place_of);
        self.findings.push(Finding { detail, place, ..finding });
    }

    fn missing_module(&self, module: &str, missing: &str) -> Finding {
        let finding = Finding::new(
            Code::ImportFailed,
            missing,
            if missing == module {
                "it is to be imported but not in the artifact".to_owned()
            } else {
                format!("importing `{module}` needs it, and it is not in the artifact")
            },
        );
        let folder = if self.request.handler.is_some() { "function" } else { "layer" };
        let top = missing.split('.').next().unwrap_or(missing);
        let add = format!(
            "if it is a distribution's, add the one that holds `{top}` to the project's dependencies and lock again"
        );
        self.around
            .explain_missing(missing, finding, &add)
            .remedy(format!("if it is your own, check that `include` and `exclude` under `[source]` bring it into the {folder}"))
            .remedy(Surroundings::layer_remedy(self.layers))
    }
}

/// The error as Python prints it.
fn said(problem: &ImportProblem) -> String {
    if problem.message.is_empty() {
        problem.error.clone()
    } else {
        format!("{}: {}", problem.error, problem.message)
    }
}

/// The file of the artifact that Python's own code was given, as it has the name of one of Python's, where that is what failed.
fn taken_for_pythons(problem: &ImportProblem) -> Option<&str> {
    let is_of_artifact = |text: &str| ["/var/task/", "/opt/"].iter().any(|root| text.contains(root));
    let raised_in = problem.traceback.iter().rfind(|line| line.trim_start().starts_with("File \""))?;
    if is_of_artifact(raised_in) || !problem.message.contains("cannot import name") {
        return None;
    }
    problem.message.split(['(', ')', '\'', ' ']).find(|word| is_of_artifact(word))
}

fn with_remedy(finding: Finding, problem: &ImportProblem) -> Finding {
    let mentions = |text: &str| problem.traceback.iter().any(|line| line.contains(text));
    match problem.error.as_str() {
        "KeyError" if mentions("environ") => {
            let name = problem.message.trim_matches('\'');
            finding.remedy(format!(
                "the code needs an environment variable when it is imported: give the check a value for it with \
                 `env = {{ {name} = \"…\" }}` under `[check]` of the manifest"
            ))
        }
        "ImportError" if problem.message.contains("attempted relative import") => finding.remedy(
            "Lambda imports the handler's module as the handler names it: put the module into a package and name that \
             too (`package.module.function`), or import without the leading dot",
        ),
        "ImportError" if problem.message.ends_with(" is part of the interpreter") => finding.remedy(
            "Python gives its own module under that name, and this file is never run: give the file another name",
        ),
        "ImportError" if taken_for_pythons(problem).is_some() => finding.remedy(format!(
            "Python's own code asks for a module of its own and gets `{}`: give that file another name",
            taken_for_pythons(problem).unwrap_or_default()
        )),
        "ImportError" if problem.message.contains("cannot import name") => finding.remedy(
            "the installed version does not have that name: lock a version that does, or change the import",
        ),
        "ImportError" => finding.remedy(
            "a native library is missing or does not fit: see the last line of the traceback",
        ),
        "PermissionError" | "OSError"
            if ["[Errno 13]", "[Errno 30]"].iter().any(|number| problem.message.starts_with(number)) =>
        {
            finding.remedy("in Lambda, code can write to `/tmp` alone: write there, and not at import time if it can wait")
        }
        "SyntaxError" | "IndentationError" | "TabError" => {
            finding.remedy("correct the file, or use a base and runtime whose Python knows the syntax")
        }
        _ => finding.remedy(
            "what runs at import time must run without network and without an event: correct it, or move it into the handler",
        ),
    }
}

/// How a way out begins that is left when none of those is meant.
fn otherwise<T>(near: &[T]) -> &'static str {
    if near.is_empty() { "" } else { "else " }
}

fn last_lines(lines: &[String]) -> Vec<String> {
    lines[lines.len().saturating_sub(LINES_SHOWN)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IMPORT_CHECK;
    use crate::TellsCompiled;
    use std::path::Path;
    use std::process::Command;

    fn runtime() -> &'static Runtime {
        Runtime::named("python3.13").unwrap()
    }

    /// Runs the script with the host's `python3` on made-up files; `None` where the host has none. (The
    /// end-to-end tests run it in a base, where there always is one.) Paths starting with `@` lie in a layer.
    fn run(files: &[(&str, &str)], handler: Option<&str>, modules: &[&str]) -> Option<Judgement> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = match path.strip_prefix('@') {
                Some(path) => folder.path().join("layer").join(path),
                None => folder.path().join("task").join(path),
            };
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, text).unwrap();
        }
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let own = files.iter().map(|(path, _)| (*path).to_owned()).filter(|path| !path.starts_with('@'));
        let request = ImportRequest {
            handler: handler.map(str::to_owned),
            modules: modules.iter().map(|m| (*m).to_owned()).collect(),
            task_root: text(&folder.path().join("task")),
            layer_paths: vec![text(&folder.path().join("layer"))],
            search_path: ["task", "layer"].map(|name| text(&folder.path().join(name))).to_vec(),
            runtime_modules: runtime().provides.iter().flat_map(|p| p.modules.clone()).collect(),
            as_it_is: false,
            lambda: true,
            own_modules: Vec::new(),
            sources: own.collect(),
            stdlib: Vec::new(),
            seconds: 5,
            user: None,
            tells_compiled: TellsCompiled::Nothing,
            besides: Vec::new(),
            scratch: Vec::new(),
            fresh: None,
            environment: BTreeMap::new(),
        };
        let output = Command::new("python3")
            .args(["-I", "-S", "-c", IMPORT_CHECK, &request.to_json()])
            .output()
            .ok()?;
        let report = ImportReport::from_stdout(&output.stdout);
        let unreported = Unreported::new(output.status.code().map(i64::from), &output.stderr);
        let layers = ["tools".parse().unwrap()];
        let (findings, checks) = import_findings(
            report.as_ref().map_err(|_| &unreported),
            &request,
            runtime(),
            &layers,
            &Surroundings::default(),
        );
        Some(Judgement { findings, checks })
    }

    struct Judgement {
        findings: Vec<Finding>,
        checks: Vec<Check>,
    }

    /// Code, level, subject and a part of the cause of every finding.
    #[track_caller]
    fn check(files: &[(&str, &str)], handler: &str, expected: &[(Code, Level, &str, &str)]) {
        let Some(Judgement { findings, .. }) = run(files, Some(handler), &[]) else { return };
        let found: Vec<_> = findings.iter().map(|f| (f.code, f.level, f.subject.as_str())).collect();
        let wanted: Vec<_> =
            expected.iter().map(|(code, level, subject, _)| (*code, *level, *subject)).collect();
        assert_eq!(found, wanted, "{findings:#?}");
        for (finding, (.., cause)) in findings.iter().zip(expected) {
            assert!(finding.cause.contains(cause), "{finding:#?}");
            assert!(!finding.remedy.is_empty() || finding.level == Level::Note, "{finding:#?}");
        }
    }

    #[test]
    fn a_sound_handler_is_found_whatever_it_prints() {
        let text = "import os\nprint('KILN-IMPORT-REPORT {}')\nos.write(1, b'x')\ndef handler(e, c): pass\n";
        check(&[("index.py", text)], "index.handler", &[]);
        check(&[("src/app/main.py", "def go(e, c): pass\n")], "src/app/main.go", &[]);
    }

    #[test]
    fn handlers_that_lambda_would_not_find() {
        use Code::HandlerMissing as Missing;
        use Level::Deny;
        let index = [("src/index.py", "def lambda_handler(e, c): pass\nvalue = 1\n")];
        check(&index, "index", &[(Missing, Deny, "index", "not `module.function`")]);
        check(&index, "time.sleep", &[(Missing, Deny, "time.sleep", "built into Python")]);
        check(&index, "index.handler", &[(Missing, Deny, "index.handler", "no module `index`")]);
        check(&index, "src.index.handler", &[(Missing, Deny, "src.index.handler", "has no `handler`")]);
        check(&index, "src.index.value", &[(Missing, Deny, "src.index.value", "cannot be called")]);
        let shadow = [("json.py", "def handler(e, c): pass\n")];
        check(&shadow, "json.handler", &[(Missing, Deny, "json.handler", "has no `handler`")]);
        if let Some(judgement) = run(&index, Some("src.index.handler"), &[]) {
            assert_eq!(
                judgement.findings[0].remedy[0],
                "if `lambda_handler` is meant, set `handler = \"src.index.lambda_handler\"`"
            );
        }
    }

    #[test]
    fn failing_imports_say_what_is_missing() {
        use Code::ImportFailed as Failed;
        use Level::Deny;
        let check_index = |text: &str, expected: (Code, Level, &str, &str)| {
            check(&[("index.py", text)], "index.handler", &[expected]);
        };
        check_index("import absent.part\n", (Failed, Deny, "absent", "`index` needs it"));
        check_index("from json import absent\n", (Failed, Deny, "index", "cannot import name 'absent'"));
        check_index("def handler(:\n", (Failed, Deny, "index", "SyntaxError"));
        check_index("import os\nos.environ['TABLE']\n", (Failed, Deny, "index", "KeyError: 'TABLE'"));
        check_index("import sys\nsys.exit(3)\n", (Failed, Deny, "index", "`sys.exit(3)`"));
        check_index("from .x import y\n", (Failed, Deny, "index", "relative import"));
        check_index(
            "import os, sys\nprint('last words', flush=True)\nos._exit(7)\n",
            (Failed, Deny, "index.handler", "ended itself while importing it, with exit code 7"),
        );
        let helped = [
            ("index.py", "\nimport helper\n"),
            ("helper.py", "import json\n\njson.loads('no')\n"),
            ("odd.py", "def odd(:\n"),
        ];
        for (modules, place) in [(["index"], "helper.py:3"), (["odd"], "odd.py:1"), (["absent"], "")] {
            let Some(judgement) = run(&helped, None, &modules) else { return };
            let found = judgement.findings[0].place.as_ref().map(ToString::to_string);
            assert_eq!(found.unwrap_or_default(), place, "{:#?}", judgement.findings);
        }
        let Some(judgement) = run(&[("a.py", "import gone\n"), ("b.py", "import gone\n")], None, &["a", "b"])
        else {
            return;
        };
        assert_eq!(judgement.findings.len(), 1);
        assert_eq!(judgement.findings[0].subject, "gone");
        assert_eq!(judgement.findings[0].detail.last().unwrap(), "importing `b` fails for the same reason");
    }

    #[test]
    fn the_runtimes_modules_are_stood_in_for() {
        let text = "import abc\nimport boto3\nfrom boto3.dynamodb.conditions import Key\n\
                    from botocore.exceptions import BotoCoreError, ClientError\n\
                    s3 = boto3.client('s3')\ntable = boto3.resource('dynamodb').Table('x')\n\
                    class Error(ClientError):\n    def __init__(self, m): self.m = m\n\
                    class Session(boto3.session.Session, abc.ABC): pass\nSession(1).client('x').y['z'].read()\n\
                    try:\n    raise Error('x')\nexcept (BotoCoreError, ClientError) as e:\n    assert e.m == 'x'\n\
                    try:\n    raise ValueError\nexcept s3.exceptions.NoSuchKey:\n    raise SystemExit\nexcept ValueError:\n    pass\n\
                    for page in s3.get_paginator('x').paginate(): raise SystemExit\n\
                    @boto3.wrap(1)\ndef one(): return 1\n@boto3.wrap\ndef two(): return 2\nassert (one(), two()) == (1, 2)\n\
                    isinstance(1, boto3.Session), isinstance(1, boto3.client)\n\
                    def handler(e: boto3.Session | None, c: s3.meta): pass\n";
        let warned = |subject| (Code::ProvidedByRuntime, Level::Warn, subject, "runtime python3.13 has it");
        check(&[("index.py", text)], "index.handler", &[warned("boto3"), warned("botocore")]);
        let Some(judgement) =
            run(&[("index.py", "import boto3\ndef handler(e, c): pass\n")], Some("index.handler"), &[])
        else {
            return;
        };
        assert_eq!(judgement.checks[0], Check::ran(CheckName::Import, 1, "modules"));
        assert_eq!(judgement.checks[1].name, CheckName::ImportProvided);
        assert!(judgement.findings[0].detail[0].ends_with("index.py:1"), "{:?}", judgement.findings);
    }

    #[test]
    fn what_may_be_missing_is_a_note() {
        let optional = "try:\n    import boto3\nexcept ImportError:\n    boto3 = None\n";
        let lazy = "def later():\n    import boto3\n";
        let told = "has = False\ntry:\n    import boto3\n    has = True\nexcept ImportError:\n";
        let asked = "if has:\n    from boto3 import session\n";
        let end = "def handler(e, c): pass\n";
        let noted = (Code::ProvidedByRuntime, Level::Note, "boto3", "imported where it may be missing");
        let warned = (Code::ProvidedByRuntime, Level::Warn, "boto3", "imported but not packaged");
        let index = |text: &str| ("index.py", format!("{text}{end}"));
        for (texts, expected) in [
            (vec![index(optional)], noted),
            (
                vec![index("import contextlib\nwith contextlib.suppress(ImportError):\n    import boto3\n")],
                noted,
            ),
            (vec![index(&format!("{told}    pass\n{asked}"))], noted),
            (vec![index(&format!("{told}    has = 1\n{asked}"))], warned),
            (vec![index(&format!("{optional}{lazy}"))], warned),
            (vec![index(optional), ("other.py", lazy.to_owned())], warned),
            (vec![index("try:\n    import gone\nexcept ImportError:\n    import boto3\n")], warned),
        ] {
            let files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
            check(&files, "index.handler", &[expected]);
        }
        // What is loaded of others counts as well.
        let loaded = (Code::ProvidedByLayer, Level::Note, "tool", "from layer tools");
        for (own, other, expected) in [("", optional, noted), (optional, "import boto3\n", warned)] {
            let (path, text) = index(&format!("{own}import tool\n"));
            check(&[(path, text.as_str()), ("@tool.py", other)], "index.handler", &[expected, loaded]);
        }
    }

    #[test]
    fn only_values_of_stand_ins_excuse_a_failure() {
        let excused = "import boto3, json\njson.loads(boto3.client('x').get()['SecretString'])\n";
        check(
            &[("index.py", excused)],
            "index.handler",
            &[
                (
                    Code::ProvidedByRuntime,
                    Level::Warn,
                    "index",
                    "needs a value from a module that only the runtime has",
                ),
                (Code::ProvidedByRuntime, Level::Warn, "boto3", "imported but not packaged"),
            ],
        );
        let wrong = "import boto3, json\nboto3.client('x')\njson.absent\n";
        check(
            &[("index.py", wrong)],
            "index.handler",
            &[
                (Code::ImportFailed, Level::Deny, "index", "AttributeError"),
                (Code::ProvidedByRuntime, Level::Warn, "boto3", "imported but not packaged"),
            ],
        );
        let real = [("boto3/__init__.py", ""), ("index.py", "import boto3.absent\n")];
        check(
            &real,
            "index.handler",
            &[(Code::ImportFailed, Level::Deny, "boto3.absent", "`index` needs it")],
        );
    }

    /// What Lambda's client has not loaded is found in the function first, be it the handler's module or what another needs.
    #[test]
    fn a_module_with_a_name_of_pythons_own_takes_its_place_as_in_lambda() {
        let own = [("signal.py", "def handler(e, c): pass\n"), ("random.py", "")];
        check(&own, "signal.handler", &[]);
        let needed = [("index.py", "import tempfile\ndef handler(e, c): pass\n"), ("random.py", "")];
        let expected = (Code::ImportFailed, Level::Deny, "index", "cannot import name 'Random'");
        check(&needed, "index.handler", &[expected]);
        let loaded = [("json.py", "def handler(e, c): pass\n")];
        check(
            &loaded,
            "json.handler",
            &[(Code::HandlerMissing, Level::Deny, "json.handler", "no `handler`")],
        );
    }

    #[test]
    fn modules_from_layers_are_named() {
        let files = [("index.py", "import tools.x\ndef handler(e, c): pass\n"), ("@tools/x.py", "")];
        check(
            &files,
            "index.handler",
            &[(Code::ProvidedByLayer, Level::Note, "tools", "it was imported from layer tools")],
        );
    }

    #[test]
    fn a_file_under_a_name_of_the_standard_library_is_run_or_said_not_to_be() {
        let files = [
            ("json.py", "raise SystemExit(0)\n"),
            ("sys.py", ""),
            ("logging.py", "x = 1\n"),
            ("a/json.py", ""),
        ];
        let asked = ["json", "sys", "logging", "a.json", "shutil"];
        let Some(Judgement { findings, .. }) = run(&files, None, &asked) else { return };
        let found: Vec<_> = findings.iter().map(|f| (f.code, f.subject.as_str())).collect();
        assert_eq!(found, [(Code::ImportFailed, "json"), (Code::ImportFailed, "sys")], "{findings:#?}");
        assert!(findings[0].cause.contains("`sys.exit(0)`"), "{findings:#?}");
        assert!(findings[1].cause.contains("`sys` is part of the interpreter"), "{findings:#?}");
        assert!(findings[1].remedy[0].contains("another name"), "{findings:#?}");
    }

    #[test]
    fn a_silent_end_is_a_failed_import() {
        let request = ImportRequest {
            handler: Some("index.handler".to_owned()),
            modules: Vec::new(),
            task_root: "/var/task".to_owned(),
            layer_paths: Vec::new(),
            search_path: Vec::new(),
            runtime_modules: Vec::new(),
            as_it_is: false,
            lambda: true,
            own_modules: Vec::new(),
            sources: Vec::new(),
            stdlib: Vec::new(),
            seconds: 5,
            user: None,
            tells_compiled: TellsCompiled::Nothing,
            besides: Vec::new(),
            scratch: Vec::new(),
            fresh: None,
            environment: BTreeMap::new(),
        };
        for (exit_code, cause) in [
            (None, "did not end in time"),
            (Some(0), "with exit code 0"),
            (Some(137), "was killed"),
            (Some(139), "signal 11"),
        ] {
            let unreported = Unreported::new(exit_code, b"one\n\x1b[31mtwo\n");
            let (findings, checks) =
                import_findings(Err(&unreported), &request, runtime(), &[], &Surroundings::default());
            assert!(findings[0].cause.contains(cause), "{findings:?}");
            assert_eq!(findings[0].detail, ["one", "two"]);
            assert_eq!(
                checks[0],
                Check::not_checked(CheckName::Import, "the process ended before it could report")
            );
        }
    }
}
