//! Markers, constraints, and what programs in a base report.

use crate::invariant::holds;
use kiln_python::{
    CompileReport, Compiled, Constraint, Expectation, ImportReport, ImportRequest, Interpreter, Match,
    SdistReport, SmokeLimits, SmokeReport, Surroundings, TargetEnvironment, TellsCompiled, declare_project,
    import_findings, poetry_constraint, scan_findings, smoke_outcome,
};
use kiln_record::{Architecture, Runtime, runtimes};
use pep440_rs::Version;
use std::str::FromStr as _;
use std::sync::{Arc, OnceLock};

/// What a base's Python says of itself, for whatever is chosen for it.
const PROBED: &str = r#"{
  "version": "3.13.2",
  "markers": {
    "implementation_name": "cpython", "implementation_version": "3.13.2", "os_name": "posix",
    "platform_machine": "x86_64", "platform_python_implementation": "CPython", "platform_release": "6.1.0",
    "platform_system": "Linux", "platform_version": "1", "python_full_version": "3.13.2",
    "python_version": "3.13", "sys_platform": "linux"
  },
  "soabi": "cpython-313-x86_64-linux-gnu",
  "extension_suffixes": [".cpython-313-x86_64-linux-gnu.so", ".abi3.so", ".so"],
  "tags": ["cp313-cp313-manylinux_2_17_x86_64", "cp313-abi3-manylinux_2_17_x86_64", "py3-none-any"],
  "stdlib": ["json", "sys"], "builtins": ["sys"], "distributions": [["pip", "25.0"]],
  "glibc": [2, 34], "pip": "25.0", "pip_wheel": null, "index": null, "machine": "x86_64"
}"#;

/// What an artifact is for.
pub(crate) struct Target {
    pub(crate) interpreter: Interpreter,
    pub(crate) environment: TargetEnvironment,
    pub(crate) runtime: Arc<Runtime>,
}

/// One target for all inputs.
pub(crate) fn target() -> &'static Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let interpreter = holds(Interpreter::from_probe(PROBED.as_bytes()), "the probe's answer");
        let is_it = |runtime: &&Arc<Runtime>| runtime.python == Some((3, 13));
        let runtime = holds(runtimes().iter().find(is_it).ok_or("there is none"), "the runtime");
        let environment = TargetEnvironment::new(&interpreter, runtime, Architecture::Amd64);
        Target { environment: holds(environment, "the target"), runtime: Arc::clone(runtime), interpreter }
    })
}

/// Markers: one has the same value in parentheses, beside itself, and each time that it is evaluated.
pub fn marker(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let environment = &target().environment;
    for extras in [vec![], vec!["a".to_owned(), "b".to_owned()]] {
        let Ok(verdict) = environment.evaluate(text, &extras) else { continue };
        for (what, other) in [
            ("it again", text.to_owned()),
            ("in parentheses", format!("({text})")),
            ("and itself", format!("({text}) and ({text})")),
            ("or itself", format!("({text}) or ({text})")),
            ("or itself, unbound", format!("{text} or {text}")),
        ] {
            // It may be too long or too deep by now, and is refused then.
            if let Ok(again) = environment.evaluate(&other, &extras) {
                assert_eq!(again, verdict, "{what}: {text}");
            }
        }
    }
}

/// A constraint in the first line, versions in the others: PEP 440's notation accepts what Poetry's does where it can say
/// the same, and the marker for versions of Python is one.
pub fn constraint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut lines = text.lines();
    let stated = lines.next().unwrap_or_default();
    let fixed = ["0", "0.0.3", "1.0", "1.2.3", "1.2.4.dev1", "2.0a1", "3.9", "3.13.2", "3.14", "4!1.0"];
    let versions: Vec<Version> =
        lines.take(16).chain(fixed).filter_map(|line| Version::from_str(line).ok()).collect();
    if let Ok(constraint) = Constraint::pep440(stated) {
        for version in &versions {
            assert!(!constraint.is_any() || constraint.contains(version), "{stated} accepts {version}");
        }
    }
    let Ok(constraint) = poetry_constraint(stated) else { return };
    assert!(!constraint.is_any() || constraint.to_python_marker().is_none());
    if let Some(marker) = constraint.to_python_marker()
        && marker.len() < 4096
    {
        // As Poetry does it, `3.13` in a constraint is one version, and in a marker all of 3.13: the values may differ.
        holds(target().environment.evaluate(&marker, &[]), "what is written for a marker is one");
    }
    let project = format!(
        "[tool.poetry]\nname = \"demo\"\nversion = \"1\"\n[tool.poetry.dependencies]\nsix = {}\n",
        toml::Value::String(stated.to_owned())
    );
    let Ok(declared) = declare_project("pyproject.toml", &project, &[], &[]) else { return };
    let Some(wanted) = declared.wanted.first() else { return };
    let specifiers = wanted.specifier.strip_prefix("six").unwrap_or_default().trim();
    let written = holds(Constraint::pep440(specifiers), "what is written are specifiers");
    // Of versions that no release has, the two notations may think differently: Poetry's ends are open to them.
    for version in versions.iter().filter(|version| version.is_stable() && !version.is_local()) {
        assert_eq!(
            written.contains(version),
            constraint.contains(version),
            "`{stated}` as `{specifiers}`: {version}"
        );
    }
}

/// What programs in a base wrote to standard output: whatever it is, it becomes findings or an error.
pub fn guest_report(data: &[u8]) {
    let target = target();
    if let Ok(interpreter) = Interpreter::from_probe(data) {
        let _ = (interpreter.python(), interpreter.transposed(Architecture::Arm64));
        let _ = TargetEnvironment::new(&interpreter, &target.runtime, Architecture::Amd64);
    }
    let _ = (CompileReport::from_stdout(data), SdistReport::from_stdout(data));
    let (told, rest) = Compiled::taken_off(data);
    assert!(told.iter().map(|one| one.bytes.len()).sum::<usize>() <= data.len() - rest.len());
    assert_eq!(Compiled::taken_off(rest), (Vec::new(), rest), "what is taken off is all of it");
    let data = rest;
    if let Ok(report) = ImportReport::from_stdout(data) {
        let request = ImportRequest {
            handler: Some("app.main.handler".to_owned()),
            modules: vec!["demo".to_owned()],
            own_modules: vec!["app.main".to_owned()],
            sources: vec!["app/main.py".to_owned()],
            stdlib: target.interpreter.stdlib.clone(),
            seconds: 10,
            task_root: "/var/task".to_owned(),
            layer_paths: vec!["/opt/python".to_owned()],
            search_path: Vec::new(),
            runtime_modules: vec!["boto3".to_owned()],
            as_it_is: false,
            lambda: true,
            user: None,
            tells_compiled: TellsCompiled::All,
            besides: Vec::new(),
            scratch: Vec::new(),
            fresh: None,
            environment: [].into(),
        };
        let around = Surroundings { installed: [].into(), declared: None, gaps: Vec::new() };
        let (findings, _) = import_findings(Ok(&report), &request, &target.runtime, &[], &around);
        let _ = scan_findings(&report, &around, &findings);
    }
    if let Ok(report) = SmokeReport::from_stdout(data) {
        let expected: Vec<Expectation> = report
            .events
            .iter()
            .map(|event| Expectation {
                name: event.name.clone(),
                fails: false,
                error_type: None,
                answer: Some(("expected.json".to_owned(), serde_json::json!({"statusCode": 200}))),
                matching: Match::Subset,
            })
            .collect();
        let limits = SmokeLimits {
            timeout: 3,
            init: 10,
            lambda_init: 10,
            memory: 128,
            out_of_memory: false,
            timeout_stated: false,
            memory_stated: false,
        };
        let _ = smoke_outcome(&report, &expected, &target.runtime, &limits);
    }
}
