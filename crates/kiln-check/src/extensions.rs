//! Extensions: what lies in `/opt/extensions` is started before the function, each file of it, and must be able to be.
//!
//! AWS's developer guide, "Lambda Extensions API": each file in that folder is an executable. One that cannot be started ends the
//! function's init with `Extension.LaunchError`.

use crate::CheckError;
use crate::reach::leads_to;
use kiln_collect::Collection;
use kiln_plan::ArtifactPlan;
use kiln_record::{ArtifactKind, Code, Entry, Finding, Mode, TreePath};
use kiln_store::Store;

/// Judges the files in the folder of extensions. Which machine a program is for is judged with all native code.
///
/// # Errors
/// If a file cannot be read any more.
pub fn extensions(
    store: &Store,
    plan: &ArtifactPlan,
    collection: &Collection,
) -> Result<Vec<Finding>, CheckError> {
    let folder = match plan.manifest.kind {
        ArtifactKind::LambdaLayer => "extensions",
        ArtifactKind::LambdaImage if plan.manifest.mount().is_empty() => "opt/extensions",
        _ => return Ok(Vec::new()),
    };
    let mut findings = Vec::new();
    for (path, _) in collection.tree.iter().filter(|(path, _)| path.parent() == folder) {
        let Some((target, Entry::File { mode, size, .. })) = leads_to(&collection.tree, path) else {
            continue;
        };
        let start = match size {
            0 => Vec::new(),
            _ => collection.read(store, &target)?,
        };
        findings.extend(not_startable(path, *mode, &start));
    }
    Ok(findings)
}

/// What keeps a file from being started, if something does.
fn not_startable(path: &TreePath, mode: Mode, content: &[u8]) -> Option<Finding> {
    let finding = |why: &str| {
        let cause =
            format!("Lambda starts `/opt/extensions/{}` before the function, and {why}", path.file_name());
        Finding::new(Code::ExtensionNotStartable, path.as_str(), cause)
    };
    let elsewhere = "or, if it is no extension, put it elsewhere: Lambda starts every file of that folder";
    if mode != Mode::Executable {
        let fix = "make it executable and commit that: `chmod +x`; in a step, make it so there";
        return Some(finding("it is not executable").remedy(fix).remedy(elsewhere));
    }
    if content.starts_with(b"\x7fELF") {
        return None;
    }
    let Some(script) = content.strip_prefix(b"#!") else {
        let why = if content.is_empty() {
            "it is empty"
        } else {
            "it is neither a program nor a script that begins with `#!`"
        };
        return Some(
            finding(why).remedy("begin a script with its interpreter: `#!/bin/sh`").remedy(elsewhere),
        );
    };
    let line = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    if line.ends_with('\r') {
        let why =
            "its first line ends with a carriage return, which is taken for a part of the interpreter's name";
        return Some(finding(why).remedy("write it with line ends of Unix: `sed -i 's/\\r$//'`"));
    }
    let interpreter = line.split_whitespace().next().unwrap_or_default();
    (!interpreter.starts_with('/')).then(|| {
        finding(&format!("its first line names no interpreter by its path: `#!{line}`"))
            .remedy("write where it is, such as `#!/bin/sh` or `#!/usr/bin/env python3`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_cannot_start_is_told() {
        let path = TreePath::new("extensions/agent").unwrap();
        let cause = |mode, content: &[u8]| not_startable(&path, mode, content).map(|finding| finding.cause);
        for good in [&b"\x7fELF\x02"[..], b"#!/bin/sh\necho\n", b"#! /usr/bin/env python3"] {
            assert_eq!(cause(Mode::Executable, good), None);
            assert!(cause(Mode::Plain, good).is_some_and(|cause| cause.ends_with("it is not executable")));
        }
        for (bad, says) in [
            (&b""[..], "it is empty"),
            (b"echo hello\n", "neither a program nor a script"),
            (b"#!/bin/sh\r\necho\r\n", "carriage return"),
            (b"#!python\n", "no interpreter by its path: `#!python`"),
        ] {
            assert!(cause(Mode::Executable, bad).is_some_and(|cause| cause.contains(says)), "{says}");
        }
    }
}
