//! Every place that advises something is in a list that says how its advice is held against the facts, so that one more is
//! noticed.

use crate::harness::repository;
use crate::hints;
use std::collections::BTreeMap;
use std::path::Path;

/// Why advice of a file is not given where it is followed already.
enum Kind {
    /// Rows of `hints.rs`, by their names, have a world in which it is followed.
    Held(&'static [&'static str]),
    /// It ends the run at what is wrong, before anything else is looked at, and is gone with that.
    Ends,
    /// It is about what the artifact has or lacks: whoever follows it has another artifact, of which the finding is not made.
    Gone,
    /// Its words follow from what a program wrote or answered when it ran.
    Ran,
}
use Kind::{Ends, Gone, Held, Ran};

/// The files below `crates/`, how many places of each advise something, and how that is held.
#[rustfmt::skip]
const PLACES: &[(&str, usize, Kind)] = &[
    ("kiln-advisory/src/error.rs", 3, Ends),
    ("kiln-audit/src/binary.rs", 8, Gone),
    ("kiln-audit/src/hygiene.rs", 6, Gone),
    ("kiln-audit/src/layering.rs", 4, Gone),
    ("kiln-audit/src/leaks.rs", 5, Gone),
    ("kiln-audit/src/libraries.rs", 7, Gone),
    ("kiln-audit/src/limits.rs", 8, Gone),
    ("kiln-audit/src/names.rs", 8, Gone),
    ("kiln-audit/src/namespaces.rs", 4, Gone),
    ("kiln-audit/src/policy.rs", 4, Gone),
    ("kiln-audit/src/reconcile.rs", 8, Gone),
    ("kiln-audit/src/stated.rs", 6, Gone),
    ("kiln-build/src/error.rs", 4, Ends),
    ("kiln-build/src/recording.rs", 1, Ends),
    ("kiln-bundle/src/error.rs", 4, Ends),
    ("kiln-check/src/against_base.rs", 7, Gone),
    ("kiln-check/src/health.rs", 2, Held(&["health"])),
    ("kiln-check/src/import_check.rs", 6, Gone),
    ("kiln-check/src/leaks.rs", 2, Gone),
    ("kiln-check/src/native.rs", 1, Ran),
    ("kiln-check/src/programs.rs", 4, Gone),
    ("kiln-check/src/reach.rs", 12, Held(&["beside"])),
    ("kiln-check/src/replaced_library.rs", 1, Gone),
    ("kiln-check/src/smoke.rs", 5, Ran),
    ("kiln-check/src/variables.rs", 2, Gone),
    ("kiln-cli/src/command/approve.rs", 1, Ends),
    ("kiln-cli/src/command/audit.rs", 4, Ends),
    ("kiln-cli/src/command/build.rs", 1, Ends),
    ("kiln-cli/src/command/bundle.rs", 3, Ends),
    ("kiln-cli/src/command/diff.rs", 4, Ends),
    ("kiln-cli/src/command/doctor.rs", 1, Gone),
    ("kiln-cli/src/command/expected_build.rs", 2, Ends),
    ("kiln-cli/src/command/explain.rs", 4, Ends),
    ("kiln-cli/src/command/explain_build.rs", 1, Ends),
    ("kiln-cli/src/command/find.rs", 1, Ends),
    ("kiln-cli/src/command/gather.rs", 2, Ends),
    ("kiln-cli/src/command/history.rs", 3, Ends),
    ("kiln-cli/src/command/init.rs", 4, Ends),
    ("kiln-cli/src/command/invoke.rs", 1, Ends),
    ("kiln-cli/src/command/lock_artifact.rs", 1, Ends),
    ("kiln-cli/src/command/mod.rs", 1, Ends),
    ("kiln-cli/src/command/new.rs", 2, Ends),
    ("kiln-cli/src/command/push.rs", 1, Ends),
    ("kiln-cli/src/command/rebuild.rs", 1, Ends),
    ("kiln-cli/src/command/report.rs", 2, Ends),
    ("kiln-cli/src/command/restore.rs", 1, Ends),
    ("kiln-cli/src/command/sbom.rs", 5, Ends),
    ("kiln-cli/src/command/show.rs", 3, Ends),
    ("kiln-cli/src/command/show_workspace.rs", 1, Ends),
    ("kiln-cli/src/command/verify.rs", 1, Ends),
    ("kiln-cli/src/command/verify_release.rs", 1, Ends),
    ("kiln-cli/src/failure.rs", 3, Ends),
    ("kiln-cli/src/lib.rs", 1, Ends),
    ("kiln-cli/src/remote.rs", 2, Ends),
    ("kiln-cli/src/settings.rs", 2, Ends),
    ("kiln-cli/src/signing.rs", 2, Ends),
    ("kiln-collect/src/collection.rs", 7, Ends),
    ("kiln-collect/src/error.rs", 1, Ends),
    ("kiln-collect/src/source.rs", 3, Ends),
    ("kiln-collect/src/source_verdict.rs", 6, Gone),
    ("kiln-dockerfile/src/build.rs", 7, Ran),
    ("kiln-dockerfile/src/by_actions/mod.rs", 4, Ends),
    ("kiln-dockerfile/src/context.rs", 1, Ends),
    ("kiln-dockerfile/src/error.rs", 3, Ends),
    ("kiln-dockerfile/src/made.rs", 11, Held(&["epoch", "user", "wheels"])),
    ("kiln-engine/src/error.rs", 2, Ends),
    ("kiln-fetch/src/error.rs", 4, Ends),
    ("kiln-find/src/error.rs", 2, Ends),
    ("kiln-guest/src/bases.rs", 1, Ends),
    ("kiln-guest/src/error.rs", 9, Ends),
    ("kiln-invocation/src/error.rs", 19, Ends),
    ("kiln-invocation/src/workspace.rs", 1, Ends),
    ("kiln-lock/src/artifact.rs", 7, Ends),
    ("kiln-lock/src/base.rs", 4, Ends),
    ("kiln-lock/src/error.rs", 12, Ends),
    ("kiln-lock/src/new_base.rs", 1, Ends),
    ("kiln-lock/src/tool.rs", 2, Ends),
    ("kiln-plan/src/artifact_lock.rs", 5, Ends),
    ("kiln-plan/src/base/definition.rs", 3, Ends),
    ("kiln-plan/src/base/lock.rs", 3, Ends),
    ("kiln-plan/src/base/pinned.rs", 1, Ends),
    ("kiln-plan/src/cargo_lock.rs", 1, Ends),
    ("kiln-plan/src/dockerignore.rs", 1, Ends),
    ("kiln-plan/src/problem.rs", 3, Ends),
    ("kiln-plan/src/settings/component.rs", 1, Ends),
    ("kiln-plan/src/settings/index.rs", 2, Ends),
    ("kiln-plan/src/settings/mod.rs", 2, Ends),
    ("kiln-plan/src/settings/organization.rs", 1, Ends),
    ("kiln-plan/src/settings/policy.rs", 4, Ends),
    ("kiln-plan/src/settings/runtime.rs", 1, Ends),
    ("kiln-plan/src/settings/trust.rs", 3, Ends),
    ("kiln-plan/src/tools_lock.rs", 4, Ends),
    ("kiln-plan/src/workspace/mod.rs", 5, Ends),
    ("kiln-plan/src/workspace/references.rs", 1, Ends),
    ("kiln-publish/src/error.rs", 15, Ends),
    ("kiln-python/src/guest/imports/findings.rs", 29, Held(&["handler", "env", "skip", "never", "level"])),
    ("kiln-python/src/guest/imports/scan.rs", 4, Held(&["tests"])),
    ("kiln-python/src/guest/imports/surroundings.rs", 4, Held(&["add", "exclude", "layer", "group"])),
    ("kiln-python/src/guest/smoke/outcome.rs", 5, Held(&["environ", "error-type", "expect", "network", "ship", "status"])),
    ("kiln-python/src/input/problem.rs", 1, Gone),
    ("kiln-python/src/install/merge.rs", 3, Gone),
    ("kiln-python/src/install/other_python.rs", 2, Gone),
    ("kiln-python/src/install/pip.rs", 1, Gone),
    ("kiln-python/src/install/requires.rs", 12, Gone),
    ("kiln-python/src/lock/pipfile.rs", 2, Ends),
    ("kiln-python/src/lock/poetry.rs", 2, Ends),
    ("kiln-python/src/lock/pylock.rs", 1, Ends),
    ("kiln-python/src/lock/requirements.rs", 2, Ends),
    ("kiln-python/src/lock/requirements_direct.rs", 8, Ends),
    ("kiln-python/src/lock/uv.rs", 2, Ends),
    ("kiln-python/src/project/source.rs", 3, Ends),
    ("kiln-python/src/resolve/declare_project.rs", 7, Ends),
    ("kiln-python/src/resolve/declare_requirements.rs", 1, Ends),
    ("kiln-python/src/resolve/staleness.rs", 9, Ends),
    ("kiln-python/src/select/judge.rs", 15, Gone),
    ("kiln-python/src/select/judge_place.rs", 9, Gone),
    ("kiln-python/src/select/nothing.rs", 5, Held(&["group"])),
    ("kiln-python/src/select/python_release.rs", 4, Held(&["patch"])),
    ("kiln-python/src/select/selection.rs", 1, Gone),
    ("kiln-python/src/wheel/best_wheel.rs", 5, Gone),
    ("kiln-rebuild/src/error.rs", 8, Ends),
    ("kiln-record/src/error.rs", 2, Ends),
    ("kiln-record/src/finding.rs", 1, Gone),
    ("kiln-step/src/error.rs", 6, Ends),
    ("kiln-step/src/run.rs", 8, Ran),
    ("kiln-step/src/step.rs", 3, Ends),
    ("kiln-step/src/upstream.rs", 1, Ends),
    ("kiln-store/src/error.rs", 7, Ends),
    ("kiln-wheel/src/bring/distribution.rs", 3, Gone),
    ("kiln-wheel/src/bring/local.rs", 5, Ends),
    ("kiln-wheel/src/choose/binding.rs", 8, Ends),
    ("kiln-wheel/src/choose/planned.rs", 1, Ends),
    ("kiln-wheel/src/choose/selecting.rs", 8, Gone),
    ("kiln-wheel/src/error.rs", 7, Ends),
    ("kiln-wheel/src/package/bytecode.rs", 4, Gone),
    ("kiln-wheel/src/package/leave_out.rs", 2, Gone),
    ("kiln-wheel/src/sdist/diagnosis.rs", 6, Ran),
    ("kiln-wheel/src/sdist/environment.rs", 6, Ran),
    ("kiln-wheel/src/sdist/mod.rs", 7, Ran),
    ("kiln-wheel/src/sdist/unused.rs", 1, Ran),
];

/// What advises: methods that take a way out, and lists of them.
const CALLS: [&str; 7] =
    [".hint(", ".hints(", ".remedy(", ".help(", "hints.push(", "remedy.push(", "remedies.push("];

/// How many places of a file advise something, its tests left out.
fn places(text: &str) -> usize {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    CALLS.iter().map(|call| code.matches(call).count()).sum()
}

fn sources(folder: &Path, found: &mut BTreeMap<String, usize>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let count = places(&fs_err::read_to_string(&path).unwrap());
            let name = path.strip_prefix(repository().join("crates")).unwrap().to_str().unwrap();
            if count > 0 {
                found.insert(name.to_owned(), count);
            }
        }
    }
}

#[test]
fn every_place_that_advises_is_listed_with_how_it_is_held() {
    let mut found = BTreeMap::new();
    for entry in fs_err::read_dir(repository().join("crates")).unwrap() {
        let folder = entry.unwrap().path().join("src");
        if folder.is_dir() {
            sources(&folder, &mut found);
        }
    }
    let listed: BTreeMap<String, usize> =
        PLACES.iter().map(|(file, count, _)| ((*file).to_owned(), *count)).collect();
    assert_eq!(listed.len(), PLACES.len(), "each file is listed once");
    let differ = |one: &BTreeMap<String, usize>, other: &BTreeMap<String, usize>| -> Vec<String> {
        let new = one.iter().filter(|(file, count)| other.get(*file) != Some(count));
        new.map(|(file, count)| format!("{file}: {count}")).collect()
    };
    let (new, old) = (differ(&found, &listed), differ(&listed, &found));
    assert!(
        new.is_empty() && old.is_empty(),
        "give new advice a row in hints.rs, or say here how it is held: there are {new:#?}, listed are {old:#?}"
    );
    let mut held: Vec<&str> = PLACES
        .iter()
        .flat_map(|(_, _, kind)| match kind {
            Held(rows) => *rows,
            Ends | Gone | Ran => &[],
        })
        .copied()
        .collect();
    held.sort_unstable();
    held.dedup();
    let mut rows: Vec<&str> = hints::names().collect();
    rows.sort_unstable();
    assert_eq!(held, rows, "each row is of a file, and each file's rows are there");
}
