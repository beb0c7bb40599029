//! Bytecode: the script that compiles an artifact's modules in its base, its request and its report.

use super::report::only_report;
use crate::error::PythonError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The script. Run it in the base as `python3 -S -s -B -c COMPILE REQUEST` with `PYTHONHASHSEED` set.
pub const COMPILE: &str = include_str!("compile.py");

const MARKER: &[u8] = b"KILN-COMPILE-REPORT ";

/// What to compile, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CompileRequest {
    /// The folder with the modules, where Lambda has it: tracebacks name this place.
    pub root: String,
    /// Where the bytecode goes.
    pub out: String,
    /// Whether to begin with the last module.
    pub reverse: bool,
}

impl CompileRequest {
    /// The request as the script's argument.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

/// What the script reports.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompileReport {
    /// The four bytes that the interpreter's bytecode starts with, in hexadecimal.
    pub magic: String,
    /// The interpreter's part of the names of bytecode files, such as `cpython-313`.
    pub tag: String,
    /// Modules that cannot be compiled, relative to the folder, with the reason.
    pub failed: BTreeMap<String, String>,
}

impl CompileReport {
    /// Finds the report in what the script wrote to standard output.
    ///
    /// # Errors
    /// [`PythonError::ImportReport`] if there is none or it is not what the script writes.
    pub fn from_stdout(stdout: &[u8]) -> Result<Self, PythonError> {
        let error = |reason: String| PythonError::ImportReport { reason };
        let line = only_report(stdout, MARKER).map_err(error)?;
        serde_json::from_slice(line).map_err(|e| error(e.to_string()))
    }

    /// Whether a file is bytecode of this interpreter that is used without looking at its source.
    #[must_use]
    pub fn is_used_unchecked(&self, bytecode: &[u8]) -> bool {
        let magic = bytecode.iter().take(4).map(|byte| format!("{byte:02x}")).collect::<String>();
        magic == self.magic && bytecode.get(4..8) == Some(&[1, 0, 0, 0])
    }

    /// Where the bytecode of a module is: `a/__pycache__/b.cpython-313.pyc` for `a/b.py`.
    #[must_use]
    pub fn bytecode_path(&self, module: &str) -> String {
        let (folder, name) = module.rsplit_once('/').map_or(("", module), |(folder, name)| (folder, name));
        let stem = name.strip_suffix(".py").unwrap_or(name);
        let slash = if folder.is_empty() { "" } else { "/" };
        format!("{folder}{slash}__pycache__/{stem}.{}.pyc", self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_is_used() {
        let stdout = b"\nKILN-COMPILE-REPORT {\"magic\": \"a70d0d0a\", \"tag\": \"cpython-311\", \"failed\": {\"a/b.py\": \"E\"}}\n";
        let report = CompileReport::from_stdout(stdout).unwrap();
        assert!(report.is_used_unchecked(b"\xa7\x0d\x0d\x0a\x01\0\0\0rest"));
        assert!(!report.is_used_unchecked(b"\xa7\x0d\x0d\x0a\0\0\0\0rest"), "it has a time");
        assert!(!report.is_used_unchecked(b"\xa8\x0d\x0d\x0a\x01\0\0\0rest"), "of another Python");
        assert_eq!(report.bytecode_path("a/b.py"), "a/__pycache__/b.cpython-311.pyc");
        assert_eq!(report.bytecode_path("b.py"), "__pycache__/b.cpython-311.pyc");
        assert!(CompileReport::from_stdout(b"").is_err());
    }
}
