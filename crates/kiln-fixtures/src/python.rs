//! A Python for an engine in memory: a test says what each of kiln's own programs answers.

use kiln_engine::Session;
use kiln_engine_memory::{Guest, MemoryEngine};
use kiln_python::{IMPORT_CHECK, Interpreter, PROBE};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where the base of a [`Sandbox`](crate::Sandbox) has its Python.
pub const PYTHON: &str = "/usr/bin/python3";

type Answer = Box<dyn Fn(&mut Guest, &Value) -> i64 + Send + Sync>;

/// An interpreter that runs kiln's own programs, each as a test says, and nothing else.
pub struct Python(BTreeMap<&'static str, Answer>);

impl Default for Python {
    fn default() -> Self {
        Self::new()
    }
}

impl Python {
    /// It answers the probe as [`interpreter`], and imports everything.
    #[must_use]
    pub fn new() -> Self {
        Self(BTreeMap::new())
            .answering(PROBE, |guest, _| {
                guest.write_stdout(json!(interpreter()).to_string().as_bytes());
                0
            })
            .answering(IMPORT_CHECK, |guest, request| {
                report(guest, "KILN-IMPORT-REPORT", &imported(request));
                0
            })
    }

    /// It answers a program as the function does, which is given the program's request, if that is JSON.
    #[must_use]
    pub fn answering(
        mut self,
        program: &'static str,
        answer: impl Fn(&mut Guest, &Value) -> i64 + Send + Sync + 'static,
    ) -> Self {
        self.0.insert(program, Box::new(answer));
        self
    }

    /// An engine whose images all have this Python, and no other program.
    #[must_use]
    pub fn into_engine(self) -> MemoryEngine {
        let pid = std::process::id();
        let session = Session {
            id: "fixtures".to_owned(),
            host: "here".to_owned(),
            pid,
            started: Session::start_of(pid),
        };
        MemoryEngine::new(session).with_program(PYTHON, move |guest| {
            let mut words = guest.argv().to_vec().into_iter().skip_while(|word| word != "-c").skip(1);
            let (program, request) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let request = serde_json::from_str(&request).unwrap_or(Value::Null);
            match self.0.get(program.as_str()) {
                Some(answer) => answer(guest, &request),
                None => {
                    guest.write_stderr(b"nobody wrote this program\n");
                    2
                }
            }
        })
    }
}

/// What a CPython 3.13 on Linux with glibc 2.36 says of itself.
#[must_use]
pub fn interpreter() -> Interpreter {
    let markers = [
        ("implementation_name", "cpython"),
        ("implementation_version", "3.13.5"),
        ("os_name", "posix"),
        ("platform_machine", "x86_64"),
        ("platform_python_implementation", "CPython"),
        ("platform_release", "6.1.0"),
        ("platform_system", "Linux"),
        ("platform_version", "#1 SMP"),
        ("python_full_version", "3.13.5"),
        ("python_version", "3.13"),
        ("sys_platform", "linux"),
    ];
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
    Interpreter {
        version: "3.13.5".to_owned(),
        markers: markers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        soabi: "cpython-313-x86_64-linux-gnu".to_owned(),
        extension_suffixes: owned(&[".cpython-313-x86_64-linux-gnu.so", ".abi3.so", ".so"]),
        tags: owned(&["cp313-cp313-manylinux_2_17_x86_64", "cp313-cp313-linux_x86_64", "py3-none-any"]),
        stdlib: owned(&["json", "os", "sys"]),
        builtins: owned(&["sys"]),
        distributions: Vec::new(),
        glibc: Some((2, 36)),
        pip: None,
        pip_wheel: None,
        index: None,
        machine: "x86_64".to_owned(),
    }
}

/// The report of an import check in which everything that the request asks for is there.
#[must_use]
pub fn imported(request: &Value) -> Value {
    let handler = request["handler"].as_str().map(|handler| {
        let (module, attribute) = handler.rsplit_once('.').unwrap();
        json!({
            "outcome": "found", "module": module, "attribute": attribute,
            "file": format!("{}/{}.py", request["task_root"].as_str().unwrap(), module.replace('.', "/")),
            "near": [], "problem": null,
        })
    });
    let module = |name: &Value, own| json!({ "name": name, "problem": null, "own": own });
    let names = |key: &str| request[key].as_array().cloned().unwrap_or_default();
    let mut modules: Vec<Value> = names("modules").iter().map(|name| module(name, false)).collect();
    modules.extend(names("own_modules").iter().map(|name| module(name, true)));
    json!({
        "version": "3.13.5",
        "handler": handler,
        "modules": modules,
        "stand_ins": [],
        "layer_modules": [],
        "scan": {
            "files": names("sources").len(), "imports": 0, "unresolved": [], "dynamic": [], "unreadable": [],
            "first": [], "lazy": [],
        },
        "loaded": [],
    })
}

/// Writes a report as kiln's own programs do: on a line of its own, after its mark.
pub fn report(guest: &mut Guest, mark: &str, report: &Value) {
    guest.write_stdout(format!("\n{mark} {report}\n").as_bytes());
}
