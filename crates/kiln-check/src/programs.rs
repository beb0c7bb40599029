//! Programs that Lambda starts itself: `bootstrap` of a runtime without a language, and each file of `/opt/extensions`, which is started
//! before the function.
//!
//! AWS's developer guide, "Building a custom runtime" and "Lambda Extensions API". A program that the kernel cannot start
//! (`execve(2)`: `ENOEXEC`, `ENOENT`) ends the function's init with `Runtime.InvalidEntrypoint` or `Extension.LaunchError`.

use crate::CheckError;
use crate::reach::leads_to;
use kiln_collect::Collection;
use kiln_plan::ArtifactPlan;
use kiln_record::{ArtifactKind, Code, Entry, Finding, Mode, Runtime, TreePath};
use kiln_store::Store;

/// Judges the programs of an artifact by their first bytes, and extensions by their mode. Which machine a program is for is judged
/// with all native code; that there is an executable `bootstrap` at all, with where things lie ([`crate::reach()`]).
///
/// # Errors
/// If a file cannot be read any more.
pub fn programs(
    store: &Store,
    plan: &ArtifactPlan,
    runtime: &Runtime,
    collection: &Collection,
) -> Result<Vec<Finding>, CheckError> {
    let kind = plan.manifest.kind;
    let folder = match kind {
        ArtifactKind::LambdaLayer => Some("extensions"),
        ArtifactKind::LambdaImage if plan.manifest.mount().is_empty() => Some("opt/extensions"),
        _ => None,
    };
    let starts_bootstrap = runtime.python.is_none() && !kind.is_image();
    let mut findings = Vec::new();
    for (path, _) in collection.tree.iter() {
        let is_extension = folder.is_some_and(|folder| path.parent() == folder);
        if !(is_extension || starts_bootstrap && path.as_str() == "bootstrap") {
            continue;
        }
        let Some((target, Entry::File { mode, size, .. })) = leads_to(&collection.tree, path) else {
            continue;
        };
        let start = match size {
            0 => Vec::new(),
            _ => collection.read(store, &target)?,
        };
        findings.extend(if is_extension {
            extension(path, *mode, &start)
        } else if start.is_empty() {
            // That is told with where things lie.
            None
        } else {
            bootstrap(&runtime.name, &start)
        });
    }
    Ok(findings)
}

/// What keeps the kernel from starting an executable file, if something does, and what is to be done.
fn not_startable(content: &[u8]) -> Option<(&'static str, &'static str)> {
    const INTERPRETER: &str = "begin a script with its interpreter: `#!/bin/sh`";
    if content.starts_with(b"\x7fELF") {
        return None;
    }
    let Some(script) = content.strip_prefix(b"#!") else {
        return Some(match content {
            [] => ("it is empty", INTERPRETER),
            [0xEF, 0xBB, 0xBF, b'#', b'!', ..] => (
                "a byte order mark stands before its `#!`, which is then none",
                "write it without the mark: `sed -i '1s/^\\xEF\\xBB\\xBF//'`",
            ),
            _ => ("it is neither a program nor a script that begins with `#!`", INTERPRETER),
        });
    };
    let line = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
    line.ends_with(b"\r").then_some((
        "its first line ends with a carriage return, which is taken for a part of the interpreter's name",
        "write it with line ends of Unix: `sed -i 's/\\r$//'`",
    ))
}

/// `bootstrap-missing`, of a file that is there and starts nothing.
fn bootstrap(runtime: &str, content: &[u8]) -> Option<Finding> {
    let (why, fix) = not_startable(content)?;
    let cause = format!("runtime {runtime} starts `bootstrap`, and {why}");
    Some(Finding::new(Code::BootstrapMissing, "bootstrap", cause).remedy(fix))
}

/// `extension-not-startable`: what keeps an extension from being started, if something does.
fn extension(path: &TreePath, mode: Mode, content: &[u8]) -> Option<Finding> {
    let finding = |why: &str, fix: &str| {
        let cause =
            format!("Lambda starts `/opt/extensions/{}` before the function, and {why}", path.file_name());
        Finding::new(Code::ExtensionNotStartable, path.as_str(), cause).remedy(fix)
    };
    let elsewhere = "or, if it is no extension, put it elsewhere: Lambda starts every file of that folder";
    if mode != Mode::Executable {
        let fix = "make it executable and commit that: `chmod +x`; in a step, make it so there";
        return Some(finding("it is not executable", fix).remedy(elsewhere));
    }
    if let Some((why, fix)) = not_startable(content) {
        let found = finding(why, fix);
        return Some(if content.starts_with(b"#!") { found } else { found.remedy(elsewhere) });
    }
    let script = content.strip_prefix(b"#!")?;
    let line = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let interpreter = line.split_whitespace().next().unwrap_or_default();
    (!interpreter.starts_with('/')).then(|| {
        finding(
            &format!("its first line names no interpreter by its path: `#!{line}`"),
            "write where it is, such as `#!/bin/sh` or `#!/usr/bin/env python3`",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_cannot_start_is_told() {
        let path = TreePath::new("extensions/agent").unwrap();
        let cause = |mode, content: &[u8]| extension(&path, mode, content).map(|finding| finding.cause);
        for good in [&b"\x7fELF\x02"[..], b"#!/bin/sh\necho\n", b"#! /usr/bin/env python3"] {
            assert_eq!(cause(Mode::Executable, good), None);
            assert!(cause(Mode::Plain, good).is_some_and(|cause| cause.ends_with("it is not executable")));
        }
        for (bad, says) in [
            (&b""[..], "it is empty"),
            (b"echo hello\n", "neither a program nor a script"),
            (b"#!/bin/sh\r\necho\r\n", "carriage return"),
            (b"\xEF\xBB\xBF#!/bin/sh\n", "byte order mark"),
            (b"#!python\n", "no interpreter by its path: `#!python`"),
        ] {
            assert!(cause(Mode::Executable, bad).is_some_and(|cause| cause.contains(says)), "{says}");
        }
    }

    #[test]
    fn a_bootstrap_may_name_its_interpreter_relative_to_its_folder() {
        assert!(bootstrap("provided.al2023", b"#!bin/run\n").is_none());
        assert!(bootstrap("provided.al2023", b"echo hello\n").is_some());
    }
}
