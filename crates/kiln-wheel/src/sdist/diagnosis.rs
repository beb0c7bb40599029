//! What the end of a failed build's log means, where that can be told.

use kiln_guest::Log;
use kiln_plan::{BuildPlan, Manifest};

/// Ways out, most likely first; none where the log says nothing that is known.
pub(super) fn hints(log: &Log, build: &BuildPlan, manifest: &Manifest) -> Vec<String> {
    let base = &build.base.definition.name;
    let lines = log.lines();
    let mut hints = Vec::new();
    if log.asked_for_a_network() {
        hints.push(
            "a build has no network: what it needs is in the source distribution, in the base, or in the lock of build requirements"
                .to_owned(),
        );
    }
    if log.was_refused_to_write() {
        hints.push("a build may write to its own source folder and to TMPDIR, and nowhere else".to_owned());
    }
    if log.has(&["Python.h: No such file"]) {
        hints.push(format!(
            "base `{base}` has no headers of Python: add its development package, such as libpython3-dev, to images/{base}.toml"
        ));
    }
    if let Some(library) = log.missed_library() {
        hints.push(format!(
            "base `{base}` has no {library}, which a program of the build needs: add the package that holds it to images/{base}.toml and pin the base again, kiln lock --base {base}"
        ));
    }
    let no_program = lines.iter().any(|line| {
        (line.contains("No such file or directory") || line.contains("not found"))
            && ["gcc", "g++", "cc", "c++", "clang", "make", "cmake", "rustc", "cargo"].iter().any(|program| {
                line.split(|c: char| !c.is_ascii_alphanumeric() && c != '+').any(|w| w == *program)
            })
    });
    if no_program {
        hints.push(format!(
            "base `{base}` lacks a program that the build starts: name a base that has it with `base` under [python.build] in {}",
            manifest.file
        ));
    }
    let module = lines.iter().find_map(|line| line.strip_prefix("ModuleNotFoundError: No module named "));
    if let Some(module) = module {
        let lock = build.lock.as_deref().unwrap_or("the lock of build requirements");
        hints.push(format!(
            "the build imports {module}, which it does not ask for: add the distribution that has it to {lock}"
        ));
    }
    hints
}
