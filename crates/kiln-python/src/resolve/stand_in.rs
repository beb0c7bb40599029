//! A stand-in for the target's interpreter. uv asks the Python that it resolves for what it is, by running
//! it; the target cannot be run here, and of the platforms that uv knows by name none has the C library of
//! every runtime. So uv is given a script that answers for the target.

use crate::error::PythonError;
use crate::interpreter::{Interpreter, TargetEnvironment};
use serde_json::json;
use std::collections::BTreeMap;

/// A shell script that answers uv's question with the target's Python, machine and glibc. `folder` is a
/// folder that holds nothing: the script says that the interpreter is installed there.
///
/// The answer has the fields of uv's `get_interpreter_info`. It is no stable interface, so uv is pinned, and
/// a version that asks for more is not pinned: see `kiln lock --tools`.
///
/// # Errors
/// [`PythonError::Resolution`] if a value of the probe cannot be written into the script.
pub fn stand_in_interpreter(
    interpreter: &Interpreter,
    target: &TargetEnvironment,
    glibc: (u32, u32),
    folder: &str,
) -> Result<String, PythonError> {
    script(&Answer {
        markers: target.marker_values().clone(),
        extension_suffixes: &interpreter.extension_suffixes,
        machine: target.machine(),
        glibc,
        folder,
    })
}

/// A script of the same form for no target in particular, to try whether a version of uv asks what it
/// answers.
///
/// # Errors
/// As [`stand_in_interpreter`].
pub fn stand_in_for_trial(folder: &str) -> Result<String, PythonError> {
    let markers = [
        ("implementation_name", "cpython"),
        ("implementation_version", "3.13.0"),
        ("os_name", "posix"),
        ("platform_machine", "x86_64"),
        ("platform_python_implementation", "CPython"),
        ("platform_system", "Linux"),
        ("python_full_version", "3.13.0"),
        ("python_version", "3.13"),
        ("sys_platform", "linux"),
    ];
    script(&Answer {
        markers: markers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        extension_suffixes: &[".abi3.so".to_owned(), ".so".to_owned()],
        machine: "x86_64",
        glibc: (2, 34),
        folder,
    })
}

struct Answer<'a> {
    markers: BTreeMap<String, String>,
    extension_suffixes: &'a [String],
    machine: &'a str,
    glibc: (u32, u32),
    folder: &'a str,
}

fn script(answer: &Answer<'_>) -> Result<String, PythonError> {
    let Answer { markers, extension_suffixes, machine, glibc, folder } = answer;
    let mut markers = markers.clone();
    // The kernel of the machine that locks decides nothing.
    for name in ["platform_release", "platform_version"] {
        markers.insert(name.to_owned(), String::new());
    }
    let python = format!("{folder}/python3");
    let scheme = json!({
        "platlib": folder, "purelib": folder, "include": folder, "scripts": folder, "data": folder,
    });
    let virtualenv =
        json!({ "platlib": "lib", "purelib": "lib", "include": "include", "scripts": "bin", "data": "" });
    let os = json!({ "name": "manylinux", "major": glibc.0, "minor": glibc.1 });
    let answer = json!({
        "result": "success",
        "markers": markers,
        "sys_base_prefix": folder,
        "sys_base_exec_prefix": folder,
        "sys_prefix": folder,
        "sys_base_executable": python,
        "sys_executable": python,
        "sys_path": [],
        "site_packages": [],
        "stdlib": folder,
        "extension_suffixes": extension_suffixes,
        "standalone": false,
        "scheme": scheme,
        "virtualenv": virtualenv,
        "os": os,
        "arch": machine,
        // Where older versions look for the two.
        "platform": { "os": os, "arch": machine },
        "cpu_info": { "unavailable": "a stand-in answers for a Python that is not here" },
        "manylinux_compatible": true,
        "gil_disabled": false,
        "debug_enabled": false,
        "pointer_size": "64",
    });
    // Between single quotes, a shell takes everything as it is but a single quote.
    let text = answer.to_string().replace('\'', "\\u0027");
    if text.contains('\0') {
        return Err(PythonError::Resolution { line: "a value of the probe holds a zero byte".to_owned() });
    }
    Ok(format!("#!/bin/sh\nprintf '%s\\n' '{text}'\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::interpreter;
    use kiln_record::{Architecture, Runtime};

    #[test]
    fn it_answers_for_the_target() {
        let mut base = interpreter("3.11.2", (2, 36), "x86_64");
        base.markers.insert("platform_system".to_owned(), "It's Linux".to_owned());
        let target =
            TargetEnvironment::new(&base, Runtime::named("python3.11").unwrap(), Architecture::Amd64)
                .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("python3");
        fs_err::write(&script, stand_in_interpreter(&base, &target, (2, 26), "/nowhere").unwrap()).unwrap();
        let ran = std::process::Command::new("/bin/sh")
            .arg(&script)
            .env_clear()
            .args(["-I", "-c", "x"])
            .output()
            .unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(answer["os"], json!({ "name": "manylinux", "major": 2, "minor": 26 }));
        assert_eq!(answer["markers"]["python_full_version"], "3.11.13");
        assert_eq!(answer["markers"]["platform_system"], "It's Linux");
        assert_eq!(answer["markers"]["platform_release"], "");
        assert_eq!(answer["markers"].as_object().unwrap().len(), 11);
        assert_eq!(answer["arch"], "x86_64");
    }
}
