//! What the import check is told, and what it reports.

use crate::error::PythonError;
use crate::guest::report::{LINES_SHOWN, clean_text, only_report};
use kiln_record::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The script: what keeps what files compile to, what runs judged code apart, what reads imports, and what makes them. Run it in the base as
/// `python3 -I -S -B -c IMPORT_CHECK REQUEST`, where the request is [`ImportRequest::to_json`], with the
/// artifact at its task root, as a program that may change its user. It needs Python 3.9 and the standard
/// library.
///
/// `-I -S` keeps everything that is not the base's standard library from being run by the script itself.
pub const IMPORT_CHECK: &str = concat!(
    include_str!("compiled.py"),
    "\n",
    include_str!("../supervisor.py"),
    "\n",
    include_str!("import_scan.py"),
    "\n",
    include_str!("stand_ins.py"),
    "\n",
    include_str!("import_check.py")
);

/// What the report's line starts with.
const MARKER: &[u8] = b"KILN-IMPORT-REPORT ";

/// Longest report in bytes. Each answer is bounded, and so is what is kept of them.
const REPORT_LIMIT: usize = 16 << 20;

/// What an import check tells of what files compile to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TellsCompiled {
    /// Nothing.
    Nothing,
    /// What there is beside what it was given, if it was given what the trees compile to.
    More,
    /// All that there is beside what it was given.
    All,
}

/// What to import, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportRequest {
    /// The handler, `module.attribute`; none for a layer.
    pub handler: Option<String>,
    /// Further modules to import, dotted, each in a process of its own.
    pub modules: Vec<String>,
    /// The artifact's own modules to import, dotted, each in a process of its own.
    pub own_modules: Vec<String>,
    /// The artifact's own Python files, relative to `task_root`, whose imports are read.
    pub sources: Vec<String>,
    /// Top-level modules of the standard library of the base's interpreter.
    pub stdlib: Vec<String>,
    /// How long one module may take, in seconds.
    pub seconds: u32,
    /// The folder that the artifact is unpacked to: `/var/task`, or `/opt/python` for a layer.
    pub task_root: String,
    /// Folders of layers on the search path, such as `/opt/python`.
    pub layer_paths: Vec<String>,
    /// Both, in the order in which modules are looked for.
    pub search_path: Vec<String>,
    /// Top-level modules that the runtime provides; a stand-in is served for those that are nowhere else.
    pub runtime_modules: Vec<String>,
    /// Whether the interpreter searches where it would by itself, as in the artifact's own image, and not
    /// where Lambda's would.
    pub as_it_is: bool,
    /// Whether the code under check finds what it would in Lambda: no HOME that is not stated, no semaphores.
    pub lambda: bool,
    /// The user and group that the code under check runs as; nobody else's where a test runs the script.
    pub user: Option<(u32, u32)>,
    /// What it tells, before its report, of what files compile to ([`Compiled`](super::Compiled)).
    pub tells_compiled: TellsCompiled,
    /// The names at the top of the trees, without what follows a dot, of whose files it tells nothing: the artifact's own.
    pub besides: Vec<String>,
    /// Folders that this user can write to. They are emptied from one process to the next.
    pub scratch: Vec<String>,
    /// The interpreter and its options where each process must be a fresh one, for what happens at its start.
    pub fresh: Option<Vec<String>>,
    /// Variables that the code under check sees and the script itself must not start with.
    pub environment: BTreeMap<String, String>,
}

impl ImportRequest {
    /// The request as the script's argument.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// What the script reports.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportReport {
    /// The interpreter's version, such as `3.11.2`.
    pub version: String,
    /// What became of the handler, if one was asked for.
    pub handler: Option<HandlerReport>,
    /// How the handler's process tried to deceive, if it did, as a clause.
    #[serde(default)]
    pub tampered: Option<String>,
    /// What became of each further module, in the order of the request.
    pub modules: Vec<ModuleReport>,
    /// Top-level modules that a stand-in was served for.
    pub stand_ins: Vec<StandInReport>,
    /// Top-level modules that came from a layer.
    pub layer_modules: Vec<LayerModule>,
    /// What the artifact's own files import.
    pub scan: ScanReport,
    /// Files of the artifact and its layers that the handler and the artifact's own modules loaded, as
    /// absolute paths.
    pub loaded: Vec<String>,
}

/// What reading the artifact's own files told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanReport {
    /// How many files were read.
    pub files: usize,
    /// How many imports they have.
    pub imports: usize,
    /// Imports of modules that are nowhere, and that no `except ImportError` expects to fail.
    pub unresolved: Vec<UnresolvedImport>,
    /// Where a module's name is computed, as `file:line`.
    pub dynamic: Vec<String>,
    /// Files that this interpreter cannot parse, as `file:line: message`.
    pub unreadable: Vec<String>,
    /// Top-level modules that are there, with the first place that imports them.
    pub first: Vec<FirstImport>,
    /// Top-level modules that are imported within functions only.
    pub lazy: Vec<String>,
}

/// An import of a module that is nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnresolvedImport {
    /// The file, relative to the artifact.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The module, dotted.
    pub module: String,
    /// Whether it stands in a function, so that it fails when that is called.
    pub lazy: bool,
    /// Whether it stands under a condition that is not known.
    pub conditional: bool,
}

/// The first place that imports a module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstImport {
    /// The top-level module.
    pub module: String,
    /// `file:line`.
    pub at: String,
}

/// What became of the handler.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandlerReport {
    /// The outcome.
    pub outcome: HandlerOutcome,
    /// The module that Lambda would import, dotted.
    pub module: Option<String>,
    /// The attribute that Lambda would call.
    pub attribute: Option<String>,
    /// The file that the module was loaded from.
    pub file: Option<String>,
    /// Modules or functions that may have been meant.
    pub near: Vec<String>,
    /// The exception, if there was one.
    pub problem: Option<ImportProblem>,
}

/// How looking for the handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HandlerOutcome {
    /// It is there and can be called.
    Found,
    /// It is not `module.attribute`.
    Malformed,
    /// Its module is built into the interpreter, which Lambda refuses.
    Builtin,
    /// Its module does not exist.
    ModuleMissing,
    /// Importing its module raised an exception.
    ImportFailed,
    /// Its module has no such attribute.
    AttributeMissing,
    /// The attribute cannot be called.
    NotCallable,
}

/// What became of one module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModuleReport {
    /// Its dotted name.
    pub name: String,
    /// The exception, if importing it raised one.
    pub problem: Option<ImportProblem>,
    /// Whether it is one of the artifact's own.
    pub own: bool,
    /// Whether it failed by itself, and this is what the handler's process says of importing it later.
    #[serde(default)]
    pub after_handler: bool,
}

/// An exception that left an import.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportProblem {
    /// Its class, such as `ImportError`.
    pub error: String,
    /// Its text.
    pub message: String,
    /// The module that could not be found, if that is the reason or the reason's reason.
    pub missing: Option<String>,
    /// The argument of `sys.exit`, if that was called.
    pub exit: Option<String>,
    /// Whether a value that a stand-in gave is to blame, where the real module would have given another.
    pub stand_in: bool,
    /// The last line of the artifact's own that it passed, as `file:line`, by the word of the code that raised it: advice.
    #[serde(default)]
    pub place: Option<String>,
    /// The last lines of the traceback.
    pub traceback: Vec<String>,
    /// How the process that imported it ended without an exception: a clause such as
    /// `ends the process by signal 11`.
    pub ended: Option<String>,
    /// Whether its process tried to deceive the check.
    #[serde(default)]
    pub tampered: bool,
}

/// A place that the script tells, which is `file:line`.
pub(super) fn place_of(at: &str) -> Option<Place> {
    let (file, line) = at.rsplit_once(':')?;
    Some(Place { file: file.to_owned(), line: Some(line.parse().ok()?) })
}

/// A top-level module that a stand-in was served for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StandInReport {
    /// Its name.
    pub name: String,
    /// The file and line that first imported it.
    pub asked_by: Option<String>,
    /// Whether every import of it, in the artifact's own files and in what was loaded, may fail: it stands under an
    /// `except ImportError`.
    #[serde(default)]
    pub optional: bool,
}

/// A top-level module that came from a layer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerModule {
    /// Its name.
    pub name: String,
    /// A file that was loaded.
    pub file: String,
}

impl ImportReport {
    /// Finds the report in what the script wrote to standard output. Its texts come from the code under check, and are
    /// without escape sequences and control characters.
    ///
    /// # Errors
    /// [`PythonError::ImportReport`] if there is none, which happens when the handler ends its process
    /// (describe that with [`Unreported`]), or if it is not what the script writes, and nothing else.
    pub fn from_stdout(stdout: &[u8]) -> Result<Self, PythonError> {
        let error = |reason: String| PythonError::ImportReport { reason };
        let line = only_report(stdout, MARKER).map_err(error)?;
        if line.len() > REPORT_LIMIT {
            return Err(error(format!("it is longer than {REPORT_LIMIT} bytes")));
        }
        let mut report: Self = serde_json::from_slice(line).map_err(|e| error(e.to_string()))?;
        report.clean();
        Ok(report)
    }

    fn clean(&mut self) {
        clean_text(&mut self.version);
        if let Some(handler) = &mut self.handler {
            let texts = [&mut handler.module, &mut handler.attribute, &mut handler.file];
            texts.into_iter().flatten().chain(&mut handler.near).for_each(clean_text);
        }
        for module in &mut self.modules {
            clean_text(&mut module.name);
        }
        for stand_in in &mut self.stand_ins {
            clean_text(&mut stand_in.name);
            stand_in.asked_by.iter_mut().for_each(clean_text);
        }
        for module in &mut self.layer_modules {
            clean_text(&mut module.name);
            clean_text(&mut module.file);
        }
        let scan = &mut self.scan;
        let texts = scan.dynamic.iter_mut().chain(&mut scan.unreadable).chain(&mut scan.lazy);
        let texts = texts.chain(scan.unresolved.iter_mut().flat_map(|u| [&mut u.file, &mut u.module]));
        let texts = texts.chain(scan.first.iter_mut().flat_map(|f| [&mut f.module, &mut f.at]));
        texts.chain(&mut self.loaded).for_each(clean_text);
        let problems = self.modules.iter_mut().filter_map(|m| m.problem.as_mut());
        for problem in problems.chain(self.handler.as_mut().and_then(|h| h.problem.as_mut())) {
            let texts = [&mut problem.missing, &mut problem.exit, &mut problem.ended].into_iter().flatten();
            let texts = texts.chain([&mut problem.error, &mut problem.message]).chain(&mut problem.traceback);
            texts.for_each(clean_text);
        }
    }
}

/// A run of the script that ended without a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreported {
    /// The exit code of the container: 128 and more stand for signals. None if it was stopped at its
    /// deadline.
    pub exit_code: Option<i64>,
    /// The last lines of standard error.
    pub stderr: Vec<String>,
    /// What shows that the check was tampered with, as a clause about the handler's process.
    pub tampered: Option<String>,
}

impl Unreported {
    /// Describes a run by its exit code (none: stopped at its deadline) and what it wrote to standard error.
    #[must_use]
    pub fn new(exit_code: Option<i64>, stderr: &[u8]) -> Self {
        let tail = &stderr[stderr.len().saturating_sub(8192)..];
        let text = String::from_utf8_lossy(tail);
        let shown = text.split(['\n', '\r']).map(|line| {
            let mut line = line.to_owned();
            clean_text(&mut line);
            line.chars().take(400).collect::<String>()
        });
        let mut stderr: Vec<String> = shown.filter(|line| !line.trim().is_empty()).collect();
        stderr.drain(..stderr.len().saturating_sub(LINES_SHOWN));
        Self { exit_code, stderr, tampered: None }
    }

    /// A run whose report is not an answer to what was asked.
    #[must_use]
    pub fn tampered(why: impl Into<String>, stderr: &[u8]) -> Self {
        Self { tampered: Some(why.into()), ..Self::new(Some(0), stderr) }
    }

    /// What happened, as a clause.
    pub(crate) fn cause(&self) -> String {
        match self.exit_code {
            None => "importing it did not end in time".to_owned(),
            Some(code @ (137 | 9 | -9)) => {
                format!(
                    "the process was killed while importing it (exit code {code}): it used too much memory or time"
                )
            }
            Some(code) if !(0..=128).contains(&code) => {
                let signal = if code > 128 { code - 128 } else { -code };
                format!("the process crashed while importing it (signal {signal})")
            }
            Some(code) => format!("the process ended itself while importing it, with exit code {code}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_report_is_read_and_cleaned() {
        let report = r#"{"version": "3.13.5", "handler": null, "modules": [{"name": "a", "problem": {"error": "E",
            "message": "\u001b[31mred\n", "missing": null, "exit": null, "stand_in": false, "traceback": ["\u0007"],
            "ended": null}, "own": false}], "stand_ins": [], "layer_modules": [], "loaded": [], "scan": {"files": 0, "imports": 0,
            "unresolved": [], "dynamic": [], "unreadable": [], "first": [], "lazy": []}}"#
            .replace('\n', "");
        let stdout = format!("\nKILN-IMPORT-REPORT {report}\n");
        assert!(ImportReport::from_stdout(format!("noise{stdout}").as_bytes()).is_err());
        assert!(ImportReport::from_stdout(format!("{stdout}{stdout}").as_bytes()).is_err());
        let report = ImportReport::from_stdout(stdout.as_bytes()).unwrap();
        let problem = report.modules[0].problem.as_ref().unwrap();
        assert_eq!(problem.message, "red ");
        assert_eq!(problem.traceback, ["\u{fffd}"]);
    }

    #[test]
    fn what_is_no_report_is_an_error() {
        for bad in
            [&b""[..], b"hello", b"KILN-IMPORT-REPORT ", b"KILN-IMPORT-REPORT {}", b"KILN-IMPORT-REPORT \xff"]
        {
            assert!(ImportReport::from_stdout(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_request_is_one_line_of_json() {
        let request = ImportRequest {
            handler: Some("a.b".to_owned()),
            modules: vec!["m".to_owned()],
            task_root: "/var/task".to_owned(),
            layer_paths: vec!["/opt/python".to_owned()],
            search_path: vec!["/var/task".to_owned(), "/opt/python".to_owned()],
            runtime_modules: vec!["boto3".to_owned()],
            as_it_is: false,
            lambda: true,
            own_modules: vec!["a".to_owned()],
            sources: vec!["a.py".to_owned()],
            stdlib: vec!["os".to_owned()],
            seconds: 30,
            user: Some((65534, 65534)),
            tells_compiled: TellsCompiled::Nothing,
            besides: Vec::new(),
            scratch: Vec::new(),
            fresh: None,
            environment: BTreeMap::new(),
        };
        let back: serde_json::Value = serde_json::from_str(&request.to_json()).unwrap();
        assert_eq!(back["layer_paths"][0], "/opt/python");
        assert_eq!(back["handler"], "a.b");
        assert!(!request.to_json().contains('\n'));
    }
}
