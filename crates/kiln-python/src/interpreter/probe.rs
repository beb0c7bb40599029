//! What a base's Python says about itself: the probe and its answer.

use super::tags::cpython_tags;
use crate::error::PythonError;
use crate::specifier::Variable;
use kiln_record::{Architecture, PythonPatch};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The probe's script. It is run as `python3 -I -c PROBE` inside a base and prints one JSON document.
pub const PROBE: &str = include_str!("../guest/probe.py");

/// Longest answer that is read, in bytes; a full one has about 100 KiB.
const LONGEST: usize = 8 * 1024 * 1024;

/// The interpreter of a base image. It depends on nothing but the base, so it is kept by the base's digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interpreter {
    /// `platform.python_version()`, such as `3.11.2`.
    pub version: String,
    /// The eleven environment marker variables. `platform_release` and `platform_version` describe the kernel
    /// of whatever machine ran the probe; [`TargetEnvironment`](crate::TargetEnvironment) does not use them.
    pub markers: BTreeMap<String, String>,
    /// The part of extension module names that fixes interpreter and platform:
    /// `cpython-311-x86_64-linux-gnu`.
    pub soabi: String,
    /// File name suffixes that this interpreter loads extension modules from, in its order.
    pub extension_suffixes: Vec<String>,
    /// Wheel tags that the base itself loads, best first.
    pub tags: Vec<String>,
    /// Top-level modules of the standard library, sorted.
    pub stdlib: Vec<String>,
    /// Modules compiled into the interpreter, sorted.
    pub builtins: Vec<String>,
    /// Name and version of what is installed in the base, sorted.
    pub distributions: Vec<(String, String)>,
    /// Major and minor version of glibc; `None` where the C library is another.
    pub glibc: Option<(u32, u32)>,
    /// The version of pip, installed or in a bundled wheel.
    pub pip: Option<String>,
    /// Where the base keeps a pip wheel.
    pub pip_wheel: Option<String>,
    /// The package index that its pip is configured for, else pip's own default.
    pub index: Option<String>,
    /// `platform.machine()`: `x86_64`, `aarch64`.
    pub machine: String,
}

impl Interpreter {
    /// Reads the probe's output.
    ///
    /// # Errors
    /// [`PythonError::Probe`] if it is not the document that [`PROBE`] prints.
    pub fn from_probe(stdout: &[u8]) -> Result<Self, PythonError> {
        let error = |reason: String| PythonError::Probe { reason };
        if stdout.len() > LONGEST {
            return Err(error(format!("the answer is longer than {LONGEST} bytes")));
        }
        let this: Self = serde_json::from_slice(stdout).map_err(|e| {
            let shown: String = String::from_utf8_lossy(stdout).chars().take(200).collect();
            error(format!("{e}; it begins {shown:?}"))
        })?;
        if major_minor(&this.version).is_none() {
            return Err(error(format!("`{}` is not a version of Python", this.version)));
        }
        if let Some(missing) = Variable::ENVIRONMENT.iter().find(|v| !this.markers.contains_key(v.name())) {
            return Err(error(format!("the marker variable `{}` is missing", missing.name())));
        }
        if this.tags.is_empty() {
            return Err(error("it loads no wheel at all".to_owned()));
        }
        Ok(this)
    }

    /// Major and minor version.
    #[must_use]
    pub fn python(&self) -> (u32, u32) {
        // `from_probe` refuses a version without two numbers; a hand-made value without them matches no
        // runtime.
        major_minor(&self.version).unwrap_or((0, 0))
    }

    /// Its bug-fix release, where it runs what it is judged for itself.
    #[must_use]
    pub fn patch(&self) -> Option<PythonPatch> {
        let digits: String =
            self.version.split('.').nth(2)?.chars().take_while(char::is_ascii_digit).collect();
        Some(PythonPatch { number: digits.parse().ok()?, known: "the base's own".to_owned() })
    }

    /// What the same build of Python would say of itself on another architecture: for a base that cannot be
    /// run here, from its twin that can. Version, standard library and distributions do not depend on the
    /// machine; its name in markers, ABI and file suffixes does, and so do the wheel tags.
    ///
    /// # Errors
    /// [`PythonError::NotTransposable`] where the answer is not that of a plain CPython on Linux with glibc,
    /// whose tags follow from version and machine.
    pub fn transposed(&self, architecture: Architecture) -> Result<Self, PythonError> {
        let (from, to) = (self.machine.as_str(), architecture.machine());
        let error = |reason: String| PythonError::NotTransposable { from: from.to_owned(), to, reason };
        let (_, minor) = self.python();
        if self.glibc.is_none() {
            return Err(error("its C library is not glibc".to_owned()));
        }
        if self.soabi != format!("cpython-3{minor}-{from}-linux-gnu") {
            return Err(error(format!("its ABI is `{}`", self.soabi)));
        }
        if self.tags != cpython_tags(minor, self.glibc, from) {
            return Err(error("its wheel tags are not those of a plain CPython".to_owned()));
        }
        let rename = |text: &String| text.replace(&format!("{from}-linux-gnu"), &format!("{to}-linux-gnu"));
        let mut markers = self.markers.clone();
        markers.insert(Variable::PlatformMachine.name().to_owned(), to.to_owned());
        Ok(Self {
            markers,
            soabi: rename(&self.soabi),
            extension_suffixes: self.extension_suffixes.iter().map(rename).collect(),
            tags: cpython_tags(minor, self.glibc, to),
            machine: to.to_owned(),
            ..self.clone()
        })
    }
}

fn major_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A CPython on Linux as a Debian base has it.
    pub(crate) fn interpreter(version: &str, glibc: (u32, u32), machine: &str) -> Interpreter {
        let python = version.rsplit_once('.').unwrap().0;
        let minor: u32 = python.split_once('.').unwrap().1.parse().unwrap();
        let markers = [
            ("implementation_name", "cpython"),
            ("implementation_version", version),
            ("os_name", "posix"),
            ("platform_machine", machine),
            ("platform_python_implementation", "CPython"),
            ("platform_release", "6.1.0-1-amd64"),
            ("platform_system", "Linux"),
            ("platform_version", "#1 SMP"),
            ("python_full_version", version),
            ("python_version", python),
            ("sys_platform", "linux"),
        ];
        Interpreter {
            version: version.to_owned(),
            markers: markers.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            soabi: format!("cpython-3{minor}-{machine}-linux-gnu"),
            extension_suffixes: vec![".abi3.so".to_owned(), ".so".to_owned()],
            tags: cpython_tags(minor, Some(glibc), machine),
            stdlib: vec!["json".to_owned(), "sys".to_owned()],
            builtins: vec!["sys".to_owned()],
            distributions: Vec::new(),
            glibc: Some(glibc),
            pip: None,
            pip_wheel: None,
            index: None,
            machine: machine.to_owned(),
        }
    }

    #[test]
    fn an_answer_reads_back() {
        let there = interpreter("3.11.2", (2, 36), "x86_64");
        let read = Interpreter::from_probe(&serde_json::to_vec(&there).unwrap()).unwrap();
        assert_eq!(read, there);
        assert_eq!(read.python(), (3, 11));
    }

    #[test]
    fn an_answer_is_transposed_to_another_machine_and_back() {
        let mut amd64 = interpreter("3.13.5", (2, 41), "x86_64");
        amd64.extension_suffixes.insert(0, ".cpython-313-x86_64-linux-gnu.so".to_owned());
        let arm64 = amd64.transposed(Architecture::Arm64).unwrap();
        assert_eq!(arm64.extension_suffixes[0], ".cpython-313-aarch64-linux-gnu.so");
        assert_eq!(arm64.markers["platform_machine"], "aarch64");
        assert_eq!(arm64.tags, interpreter("3.13.5", (2, 41), "aarch64").tags);
        assert!(!arm64.tags.iter().any(|tag| tag.contains("x86_64") || tag.contains("manylinux2010")));
        assert_eq!(arm64.transposed(Architecture::Amd64).unwrap(), amd64);
        assert_eq!((&arm64.version, &arm64.stdlib), (&amd64.version, &amd64.stdlib));
    }

    #[test]
    fn what_does_not_follow_from_version_and_machine_is_not_transposed() {
        let plain = interpreter("3.13.5", (2, 41), "x86_64");
        let refused = |change: &dyn Fn(&mut Interpreter)| {
            let mut other = plain.clone();
            change(&mut other);
            other.transposed(Architecture::Arm64).unwrap_err().to_string()
        };
        assert!(refused(&|i| i.soabi = "cpython-313t-x86_64-linux-gnu".to_owned()).contains("cpython-313t"));
        assert!(refused(&|i| i.glibc = None).contains("glibc"));
        assert!(refused(&|i| drop(i.tags.remove(0))).contains("wheel tags"));
    }

    #[test]
    fn other_answers_are_refused() {
        assert!(Interpreter::from_probe(b"Segmentation fault").is_err());
        let mut short = interpreter("3.11.2", (2, 36), "x86_64");
        short.markers.remove("os_name");
        let error = Interpreter::from_probe(&serde_json::to_vec(&short).unwrap()).unwrap_err().to_string();
        assert!(error.contains("os_name"), "{error}");
        let mut odd = interpreter("3.11.2", (2, 36), "x86_64");
        odd.version = "three".to_owned();
        assert!(Interpreter::from_probe(&serde_json::to_vec(&odd).unwrap()).is_err());
    }

    /// Runs a script as the probe is run in a base; `None` on a machine without Python, where only the
    /// end-to-end tests run it.
    fn run(script: &str) -> Option<Vec<u8>> {
        let output = std::process::Command::new("python3").args(["-I", "-c", script]).output().ok()?;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout)
    }

    #[test]
    fn the_probe_describes_the_python_that_runs_it() {
        let Some(stdout) = run(PROBE) else { return };
        let found = Interpreter::from_probe(&stdout).unwrap();
        assert_eq!(found.markers["python_full_version"], found.version);
        assert!(found.stdlib.iter().any(|m| m == "json") && found.builtins.iter().any(|m| m == "sys"));
        assert!(found.tags.iter().any(|t| t == "py3-none-any"));
    }

    #[test]
    fn the_probe_knows_tags_without_pip() {
        let alone =
            format!("import sys; sys.modules.update(pip=None, packaging=None, ensurepip=None)\n{PROBE}");
        let Some(stdout) = run(&alone) else { return };
        let found = Interpreter::from_probe(&stdout).unwrap();
        assert_eq!(found.pip, None);
        // A build of Python with debug or free-threaded ABI has other tags.
        if found.soabi.starts_with(&format!("cpython-3{}-", found.python().1)) {
            assert_eq!(found.tags, cpython_tags(found.python().1, found.glibc, &found.machine));
        }
    }
}
