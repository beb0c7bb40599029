//! Holding the report of an import check against what was asked: what code under check could have had a hand in is an
//! answer to the question, of a size that an answer has, or no answer.

use super::check::{
    HandlerOutcome, HandlerReport, ImportProblem, ImportReport, ImportRequest, ModuleReport, ScanReport,
    place_of,
};
use kiln_record::counted;
use std::collections::BTreeSet;

// What the script keeps to, too: lines of a traceback and their length, a text, names, files, places of the scan.
const LINES: usize = 24;
const LINE: usize = 400;
const TEXT: usize = 2000;
const NAMES: usize = 1000;
const FILES: usize = 20_000;
const PLACES: usize = 500;
/// How many names a handler may be near to.
const NEAR: usize = 10;

impl ImportReport {
    /// Holds the report against its request.
    ///
    /// # Errors
    /// A clause about the first thing that no answer to this request has.
    pub fn hold(&self, request: &ImportRequest) -> Result<(), String> {
        text("the version", &self.version, 40)?;
        if let Some(why) = &self.tampered {
            return Err(why.clone());
        }
        match (&self.handler, &request.handler) {
            (Some(report), Some(asked)) => handler(report, asked, request)?,
            (None, None) => {}
            (None, Some(asked)) => return Err(format!("it says nothing of {asked}")),
            (Some(_), None) => return Err("it tells of a handler, and there is none".to_owned()),
        }
        modules(&self.modules, request)?;
        if self.modules.iter().any(|module| module.after_handler)
            && self.handler.as_ref().is_none_or(|handler| handler.outcome != HandlerOutcome::Found)
        {
            return Err("it tells of modules after a handler that was not found".to_owned());
        }
        let provided: BTreeSet<&str> = request.runtime_modules.iter().map(String::as_str).collect();
        for stand_in in &self.stand_ins {
            if !provided.contains(stand_in.name.as_str()) {
                return Err("it tells of a stand-in that nobody provides".to_owned());
            }
            optional("the place of an import", stand_in.asked_by.as_deref(), TEXT)?;
        }
        distinct("stand-ins", self.stand_ins.iter().map(|stand_in| &stand_in.name), NAMES)?;
        distinct("modules of layers", self.layer_modules.iter().map(|module| &module.name), NAMES)?;
        for module in &self.layer_modules {
            below(&module.file, &request.layer_paths)?;
        }
        distinct("loaded files", self.loaded.iter(), FILES)?;
        let mut roots = vec![if request.as_it_is { "/" } else { &request.task_root }.to_owned()];
        roots.extend(request.layer_paths.iter().cloned());
        self.loaded.iter().try_for_each(|file| below(file, &roots))?;
        scan(&self.scan, request)
    }
}

fn handler(report: &HandlerReport, asked: &str, request: &ImportRequest) -> Result<(), String> {
    use HandlerOutcome::{
        AttributeMissing, Builtin, Found, ImportFailed, Malformed, ModuleMissing, NotCallable,
    };
    let (module, attribute) = asked.rsplit_once('.').unwrap_or(("", asked));
    let is_whole = !module.is_empty() && !attribute.is_empty();
    let named = is_whole.then(|| (module.replace('/', "."), attribute.to_owned()));
    if report.module.clone().zip(report.attribute.clone()) != named
        || is_whole == (report.outcome == Malformed)
    {
        return Err(format!("it tells of another handler than {asked}"));
    }
    let may_have_problem = match report.outcome {
        ImportFailed => report.problem.is_some(),
        ModuleMissing | AttributeMissing => true,
        Found | Malformed | Builtin | NotCallable => report.problem.is_none(),
    };
    if !may_have_problem {
        return Err("what it tells of the handler contradicts itself".to_owned());
    }
    optional("the handler's file", report.file.as_deref(), TEXT)?;
    if report.near.len() > NEAR {
        return Err("it has more names near the handler's than it looks for".to_owned());
    }
    report.near.iter().try_for_each(|near| text("a name near the handler's", near, TEXT))?;
    report.problem.as_ref().map_or(Ok(()), |found| problem(found, request))
}

/// Exactly the modules in question, in their order.
fn modules(reports: &[ModuleReport], request: &ImportRequest) -> Result<(), String> {
    let others = request.modules.iter().take(NAMES).map(|name| (name, false));
    let asked: Vec<_> =
        others.chain(request.own_modules.iter().take(NAMES).map(|name| (name, true))).collect();
    if reports.len() != asked.len() {
        return Err(format!(
            "it tells of {}, and was asked for {}",
            counted(reports.len(), "modules"),
            asked.len()
        ));
    }
    for (report, (name, own)) in reports.iter().zip(asked) {
        if (&report.name, report.own) != (name, own) {
            return Err(format!("it does not tell of {name} where that was asked for"));
        }
        report.problem.as_ref().map_or(Ok(()), |found| problem(found, request))?;
    }
    Ok(())
}

fn problem(problem: &ImportProblem, request: &ImportRequest) -> Result<(), String> {
    text("the class of an exception", &problem.error, LINE)?;
    text("the text of an exception", &problem.message, TEXT)?;
    for other in [&problem.missing, &problem.exit, &problem.ended] {
        optional("a part of an exception", other.as_deref(), TEXT)?;
    }
    let is_own = |at: &String| place_of(at).is_some_and(|place| request.sources.contains(&place.file));
    if !problem.place.iter().all(is_own) {
        return Err("it places an exception in a file that is none of the artifact's own".to_owned());
    }
    if problem.traceback.len() > LINES {
        return Err(format!("a traceback has more than {LINES} lines"));
    }
    problem.traceback.iter().try_for_each(|line| text("a line of a traceback", line, LINE))
}

fn scan(scan: &ScanReport, request: &ImportRequest) -> Result<(), String> {
    let sources: BTreeSet<&str> = request.sources.iter().map(String::as_str).collect();
    let is_place = |place: &str| place.split_once(':').is_some_and(|(file, _)| sources.contains(file));
    let lists =
        [scan.unresolved.len(), scan.dynamic.len(), scan.unreadable.len(), scan.first.len(), scan.lazy.len()];
    if scan.files > sources.len() || lists.into_iter().any(|length| length > PLACES) {
        return Err("it has read more than there is".to_owned());
    }
    let mut places =
        scan.dynamic.iter().chain(&scan.unreadable).chain(scan.first.iter().map(|first| &first.at));
    if !places.all(|place| is_place(place))
        || !scan.unresolved.iter().all(|import| sources.contains(import.file.as_str()))
    {
        return Err("it has read a file that is none of the artifact's own".to_owned());
    }
    let names = scan.unresolved.iter().map(|import| &import.module);
    let names = names.chain(scan.first.iter().map(|first| &first.module)).chain(&scan.lazy);
    names.chain(&scan.unreadable).try_for_each(|name| text("what is imported", name, 2 * TEXT))
}

fn below(file: &str, roots: &[String]) -> Result<(), String> {
    let is_below = |root: &String| {
        file.strip_prefix(root.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
    };
    text("the path of a file", file, TEXT)?;
    if roots.iter().any(is_below) { Ok(()) } else { Err("it has loaded a file from elsewhere".to_owned()) }
}

fn distinct<'a>(
    what: &str,
    names: impl Iterator<Item = &'a String> + Clone,
    most: usize,
) -> Result<(), String> {
    let count = names.clone().count();
    if count > most || names.collect::<BTreeSet<_>>().len() != count {
        return Err(format!("it has too many {what}, or one twice"));
    }
    Ok(())
}

fn optional(what: &str, value: Option<&str>, most: usize) -> Result<(), String> {
    value.map_or(Ok(()), |value| text(what, value, most))
}

fn text(what: &str, value: &str, most: usize) -> Result<(), String> {
    if value.chars().take(most + 1).count() > most {
        return Err(format!("{what} has more than {most} characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TellsCompiled;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    fn request() -> ImportRequest {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        ImportRequest {
            handler: Some("src/app.go".to_owned()),
            modules: owned(&["dep"]),
            own_modules: owned(&["a", "b"]),
            sources: owned(&["a.py", "b.py"]),
            stdlib: Vec::new(),
            seconds: 1,
            task_root: "/var/task".to_owned(),
            layer_paths: owned(&["/opt/python"]),
            search_path: Vec::new(),
            runtime_modules: owned(&["boto3"]),
            as_it_is: false,
            lambda: true,
            user: Some((65534, 65534)),
            tells_compiled: TellsCompiled::Nothing,
            besides: Vec::new(),
            scratch: Vec::new(),
            fresh: None,
            environment: BTreeMap::new(),
        }
    }

    fn report() -> Value {
        let module = |name: &str, own: bool| json!({"name": name, "problem": null, "own": own});
        json!({
            "version": "3.13.5",
            "handler": {"outcome": "found", "module": "src.app", "attribute": "go", "file": "/var/task/src/app.py",
                "near": [], "problem": null},
            "modules": [module("dep", false), module("a", true), module("b", true)],
            "stand_ins": [{"name": "boto3", "asked_by": "/var/task/a.py:1"}],
            "layer_modules": [{"name": "x", "file": "/opt/python/x.py"}],
            "loaded": ["/opt/python/x.py", "/var/task/src/app.py"],
            "scan": {"files": 2, "imports": 1, "unresolved": [], "dynamic": ["a.py:1"], "unreadable": [],
                "first": [{"module": "x", "at": "b.py:2"}], "lazy": ["x"]},
        })
    }

    fn held(report: &Value) -> Result<(), String> {
        let line = format!("KILN-IMPORT-REPORT {report}\n");
        ImportReport::from_stdout(line.as_bytes()).unwrap().hold(&request())
    }

    #[test]
    fn an_answer_to_the_request_is_one() {
        assert_eq!(held(&report()), Ok(()));
        let mut after = report();
        after["modules"][2]["after_handler"] = true.into();
        assert_eq!(held(&after), Ok(()));
    }

    #[test]
    fn everything_else_is_refused() {
        let long = "A".repeat(10_000);
        let problem = json!({"error": "E", "message": long, "missing": null, "exit": null, "stand_in": false,
            "traceback": [], "ended": null});
        let placed = |place: &str| {
            let mut problem = problem.clone();
            (problem["message"], problem["place"]) = (json!("no"), json!(place));
            problem
        };
        let mut sound = report();
        sound["modules"][0]["problem"] = placed("a.py:1");
        assert_eq!(held(&sound), Ok(()));
        let many: Vec<String> = (0..=FILES).map(|n| format!("/var/task/{n}.py")).collect();
        let rows: Vec<(&str, Value)> = vec![
            ("/tampered", json!("goes on after its answer")),
            ("/handler", Value::Null),
            ("/handler/module", json!("app")),
            ("/handler/attribute", json!("gone")),
            ("/handler/outcome", json!("malformed")),
            ("/handler/outcome", json!("import-failed")),
            ("/handler/near", json!(vec!["x"; 20])),
            ("/handler/file", json!(long)),
            ("/handler/problem", problem.clone()),
            ("/modules", json!([])),
            ("/modules/0/name", json!("other")),
            ("/modules/1/own", json!(false)),
            ("/modules/1/problem", problem.clone()),
            ("/stand_ins/0/name", json!("os")),
            ("/stand_ins/0/asked_by", json!(long)),
            ("/layer_modules/0/file", json!("/var/task/x.py")),
            ("/loaded/0", json!("/usr/lib/x.py")),
            ("/loaded/0", json!("/var/taskless/x.py")),
            ("/loaded/0", json!("/var/task/src/app.py")),
            ("/loaded", json!(many)),
            ("/modules/0/problem", placed("c.py:1")),
            ("/modules/0/problem", placed("/var/task/a.py:1")),
            ("/modules/0/problem", placed("a.py:-1")),
            ("/scan/files", json!(3)),
            ("/scan/dynamic", json!(vec!["a.py:1"; PLACES + 1])),
            ("/scan/dynamic", json!([long])),
            ("/scan/first/0/at", json!("c.py:2")),
            ("/scan/first/0/module", json!(long)),
            ("/scan/lazy/0", json!(long)),
            (
                "/scan/unresolved",
                json!([{"file": "c.py", "line": 1, "module": "x", "lazy": false, "conditional": false}]),
            ),
        ];
        for (place, value) in rows {
            let mut changed = report();
            let shown: String = value.to_string().chars().take(60).collect();
            match changed.pointer_mut(place) {
                Some(there) => *there = value,
                None => changed[&place[1..]] = value,
            }
            assert!(held(&changed).is_err(), "{place}: {shown}");
        }
    }
}
