//! What installed distributions require of each other, by their own metadata.

use crate::interpreter::{Asked, TargetEnvironment};
use crate::select::{Choice, Selection, hangs_on_release};
use crate::specifier::Dependency;
use crate::wheel::Wheel;
use kiln_record::{Cause, Code, DistributionName, Finding, Level, Runtime};
use pep440_rs::{Version, VersionSpecifiers};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// Requirements among installed distributions, and those that nothing meets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requirements {
    /// For each installed distribution the installed ones that it requires, itself excepted.
    pub edges: BTreeMap<DistributionName, BTreeSet<DistributionName>>,
    /// A finding for each required distribution that is neither installed nor in a layer nor taken from the
    /// runtime: `locked-not-installed` if the lock has it, else `declared-not-installed`;
    /// `provided-by-runtime` if the lock does not have it but the runtime does. `requirement-conflict` for each that
    /// is there in a version that another one does not accept, and `patch-level-decides` where a condition hangs on
    /// the bug-fix release of Python.
    pub findings: Vec<Finding>,
}

/// Evaluates `Requires-Dist` of every wheel for the target.
///
/// Extras count where the lock asks for them ([`Locked::extras`](crate::Locked)) or where a requirement of
/// another wheel does. A line that is no dependency specifier is passed over: old metadata has such lines,
/// and pip's resolver has judged them when the lock was made.
#[must_use]
pub fn requires(
    wheels: &[&Wheel],
    environment: &TargetEnvironment,
    selection: &Selection,
    choice: &Choice,
    runtime: &Runtime,
) -> Requirements {
    let installed: BTreeMap<&DistributionName, &Wheel> = wheels.iter().map(|w| (&w.name, *w)).collect();
    let mut requirements = Requirements::default();
    let mut unmet: BTreeMap<DistributionName, BTreeSet<String>> = BTreeMap::new();
    let mut versions: BTreeMap<DistributionName, BTreeSet<Wish>> = BTreeMap::new();
    let mut hanging: BTreeMap<DistributionName, Finding> = BTreeMap::new();
    let mut extras: BTreeMap<&DistributionName, BTreeSet<String>> = BTreeMap::new();
    for locked in &selection.wanted {
        if let Some((name, _)) = installed.get_key_value(&locked.name) {
            extras.entry(*name).or_default().extend(locked.extras.iter().cloned());
        }
    }
    // Extras may be asked for by distributions that were looked at before, so each addition opens its target
    // again.
    let mut open: BTreeSet<&DistributionName> = installed.keys().copied().collect();
    while let Some(name) = open.pop_first() {
        let Some(wheel) = installed.get(name) else { continue };
        let asked: Vec<String> = extras.get(name).into_iter().flatten().cloned().collect();
        let edges = requirements.edges.entry(name.clone()).or_default();
        for line in &wheel.requires_dist {
            let Ok(dependency) = Dependency::parse(line) else { continue };
            let who = format!("{} {} requires `{line}`", wheel.name, wheel.version);
            match dependency.marker.as_ref().map(|marker| environment.evaluate(marker, &asked)) {
                None => {}
                Some(Ok(verdict)) => {
                    hanging.extend(hangs(&dependency, &who, &asked, environment));
                    if !verdict.value {
                        continue;
                    }
                }
                // What decides is not known here. Only where it would bring something that is not there is that a gap.
                Some(Err(error)) => {
                    if !installed.contains_key(&dependency.name) {
                        hanging
                            .insert(dependency.name.clone(), not_evaluated(&dependency.name, &who, &error));
                    }
                    continue;
                }
            }
            if !dependency.specifiers.is_empty() {
                let wish = Wish { who: who.clone(), accepts: dependency.specifiers.to_string() };
                versions.entry(dependency.name.clone()).or_default().insert(wish);
            }
            match installed.get_key_value(&dependency.name) {
                Some((target, _)) => {
                    if *target != name {
                        edges.insert(dependency.name.clone());
                    }
                    let known = extras.entry(*target).or_default();
                    let before = known.len();
                    known.extend(dependency.extras);
                    if known.len() > before {
                        open.insert(*target);
                    }
                }
                None => {
                    unmet.entry(dependency.name).or_default().insert(who);
                }
            }
        }
    }
    for (name, wishes) in &versions {
        let there = installed.get(name).map(|wheel| (wheel.version.as_str(), None)).or_else(|| {
            let mut layers = choice.layers.iter().rev();
            layers.find_map(|layer| Some((layer.distributions.get(name)?.as_str(), Some(&layer.name))))
        });
        if let Some((version, layer)) = there.filter(|_| !choice.overridden.contains(name)) {
            let place = match layer {
                Some(layer) => format!("layer {layer} has {name} {version}"),
                None => match selection.named.get(name) {
                    Some(named) => format!("{named} is locked"),
                    None => format!("{name} {version} is installed"),
                },
            };
            requirements.findings.extend(conflict(name, version, &place, wishes));
        }
    }
    let told = |name: &DistributionName| {
        let mut findings = selection.findings.iter();
        findings.any(|finding| finding.code == Code::PatchLevelDecides && finding.subject == name.as_str())
    };
    requirements
        .findings
        .extend(hanging.into_iter().filter(|(name, _)| !told(name)).map(|(_, finding)| finding));
    for (name, requirers) in unmet {
        if let Some(mut finding) = judge(&name, selection, choice, runtime) {
            finding.detail.splice(0..0, requirers);
            requirements.findings.push(finding);
        }
    }
    requirements
}

/// What a distribution asks of another one's version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    /// Who asks, with the whole requirement.
    who: String,
    /// The versions that it accepts.
    accepts: String,
}

/// The finding for an installed version that somebody does not accept. A version that is no PEP 440 version fits nothing
/// and is told elsewhere.
fn conflict(name: &DistributionName, version: &str, place: &str, wishes: &BTreeSet<Wish>) -> Option<Finding> {
    let parsed = Version::from_str(version).ok()?;
    let accepts = |wish: &&Wish| {
        VersionSpecifiers::from_str(&wish.accepts).is_ok_and(|specifiers| specifiers.contains(&parsed))
    };
    let (met, broken): (Vec<&Wish>, Vec<&Wish>) = wishes.iter().partition(accepts);
    let first = broken.first()?;
    let mut finding =
        Finding::new(Code::RequirementConflict, name.as_str(), format!("{}, but {place}", first.who));
    finding.detail.extend(broken.iter().skip(1).map(|wish| format!("{}, too", wish.who)));
    finding.detail.extend(met.iter().map(|wish| format!("{}, which {version} meets", wish.who)));
    Some(
        finding
            .remedy("lock again with a resolver, which finds versions that fit each other, or says that there are none")
            .remedy("or, if it is known to work, accept it with an [[policy.exception]] for `requirement-conflict` and this name"),
    )
}

/// The finding for a condition of metadata that hangs on the bug-fix release.
fn hangs(
    dependency: &Dependency,
    who: &str,
    asked: &[String],
    environment: &TargetEnvironment,
) -> Option<(DistributionName, Finding)> {
    let marker = dependency.marker.as_deref()?;
    let matters = environment.patch_matters(marker, &Asked { extras: asked, groups: &[] })?;
    let subject = format!("{who}, a condition that");
    let finding = hangs_on_release(dependency.name.as_str(), &subject, &matters, environment);
    Some((dependency.name.clone(), finding))
}

fn not_evaluated(name: &DistributionName, who: &str, error: &dyn std::fmt::Display) -> Finding {
    let cause = format!("whether it is needed is not known: {who}, and {error}");
    let finding = Finding::new(Code::NotChecked, name.as_str(), cause);
    finding.remedy(format!("let the project require {name} itself, if the function needs it"))
}

/// The finding for a required distribution that is not installed, if it is wrong that it is not.
fn judge(
    name: &DistributionName,
    selection: &Selection,
    choice: &Choice,
    runtime: &Runtime,
) -> Option<Finding> {
    if choice.layers.iter().any(|layer| layer.distributions.contains_key(name)) {
        return None;
    }
    // The lock has it and it was to be installed: what stopped it is a finding of its own.
    if selection.wanted.iter().any(|locked| locked.name == *name) {
        return None;
    }
    let gap = selection.gaps.iter().find(|gap| gap.distribution == name.as_str());
    let locked = |cause: String| Finding::new(Code::LockedNotInstalled, name.as_str(), cause);
    let marker_remedy = "lock again for this Python and platform, so that the lock agrees with the metadata";
    Some(match gap.map(|gap| (&gap.version, &gap.cause)) {
        Some((_, Cause::Runtime { .. } | Cause::Layer { .. })) => return None,
        Some((version, Cause::Excluded)) => {
            let finding = locked(format!("{name} {version} is required but excluded by the manifest"));
            Finding { level: Level::Warn, ..finding }.remedy(format!(
                "if nothing imports it, ignore this; else take `{name}` out of `exclude` under `[python]`"
            ))
        }
        Some((version, Cause::Marker { marker, values })) => locked(format!(
            "{name} {version} is required, but its marker in the lock `{marker}` is false: {}",
            values.join(", ")
        ))
        .remedy(marker_remedy),
        Some((version, Cause::Group { groups })) => locked(format!(
            "{name} {version} is required, but the lock has it only in group {}",
            groups.join(", ")
        ))
        .remedy("choose that group with `groups` under `[python]`, or lock again"),
        Some((version, Cause::Extra { extras })) => locked(format!(
            "{name} {version} is required, but the lock has it only for extra {}",
            extras.join(", ")
        ))
        .remedy("choose that extra, or lock again"),
        // Its code is in the artifact's own sources.
        Some((_, Cause::OwnProject)) => return None,
        Some((version, Cause::Unreachable | Cause::Replaced { .. } | Cause::NoWheel { .. })) => locked(
            format!("{name} {version} is required by the metadata of what is installed, but not by the lock"),
        )
        .remedy(marker_remedy),
        None if runtime.provides(name.as_str()) => Finding::new(
            Code::ProvidedByRuntime,
            name.as_str(),
            format!(
                "it is required but not in the lock: runtime {} has it, in a version that AWS moves",
                runtime.name
            ),
        )
        .remedy("lock again with all dependencies, to decide the version yourself")
        .remedy(format!("or keep it in the lock and name `{name}` in `from-runtime` under `[python]`")),
        None => Finding::new(
            Code::DeclaredNotInstalled,
            name.as_str(),
            "it is required by what is installed, but the lock does not have it".to_owned(),
        )
        .remedy("lock again with all dependencies: the lock is not complete")
        .remedy(match choice.layers.as_slice() {
            [] => "if a layer has it, name the layer in `layers` of the manifest".to_owned(),
            named => {
                // What they have was looked at.
                let named: Vec<&str> = named.iter().map(|layer| layer.name.as_str()).collect();
                format!("if a layer other than {} has it, name that one, too, in `layers`", named.join(", "))
            }
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interpreter, LayerContent, Locked};
    use kiln_record::{Architecture, Gap, Metadata};

    fn wheel(name: &str, requires: &[&str]) -> Wheel {
        Wheel {
            name: name.parse().unwrap(),
            version: "1".to_owned(),
            files: Vec::new(),
            metadata: Metadata::default(),
            requires_dist: requires.iter().map(|r| (*r).to_owned()).collect(),
            requires_python: None,
            extras: Vec::new(),
            top_level: Vec::new(),
            dist_info: format!("{name}-1.dist-info"),
            embedded_sboms: Vec::new(),
            license_files: Vec::new(),
        }
    }

    fn environment() -> TargetEnvironment {
        let markers = [
            ("implementation_name", "cpython"),
            ("implementation_version", "3.13.5"),
            ("os_name", "posix"),
            ("platform_machine", "x86_64"),
            ("platform_python_implementation", "CPython"),
            ("platform_release", "6"),
            ("platform_system", "Linux"),
            ("platform_version", "1"),
            ("python_full_version", "3.13.5"),
            ("python_version", "3.13"),
            ("sys_platform", "linux"),
        ];
        let base = Interpreter {
            version: "3.13.5".to_owned(),
            markers: markers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            soabi: "cpython-313-x86_64-linux-gnu".to_owned(),
            extension_suffixes: Vec::new(),
            tags: vec!["py3-none-any".to_owned()],
            stdlib: Vec::new(),
            builtins: Vec::new(),
            distributions: Vec::new(),
            glibc: Some((2, 41)),
            pip: None,
            pip_wheel: None,
            index: None,
            machine: "x86_64".to_owned(),
        };
        TargetEnvironment::new(&base, Runtime::named("python3.13").unwrap(), Architecture::Amd64).unwrap()
    }

    fn check(wheels: &[Wheel], selection: &Selection, choice: &Choice) -> Requirements {
        let wheels: Vec<&Wheel> = wheels.iter().collect();
        requires(&wheels, &environment(), selection, choice, Runtime::named("python3.13").unwrap())
    }

    fn edges(requirements: &Requirements, of: &str) -> Vec<String> {
        requirements.edges[&of.parse().unwrap()].iter().map(ToString::to_string).collect()
    }

    fn gap(name: &str, cause: Cause) -> Gap {
        Gap { distribution: name.to_owned(), version: "2".to_owned(), cause }
    }

    #[test]
    fn markers_and_extras_decide() {
        let wheels = [
            wheel(
                "app",
                &["lib[fast] >=1", "old; python_version < '3'", "not a specifier", "app[all]; extra == 'x'"],
            ),
            wheel("lib", &["speed; extra == 'fast'", "docs; extra == 'docs'"]),
            wheel("speed", &["app"]),
        ];
        let requirements = check(&wheels, &Selection::default(), &Choice::default());
        assert_eq!(requirements.findings, []);
        assert_eq!(edges(&requirements, "app"), ["lib"]);
        assert_eq!(edges(&requirements, "lib"), ["speed"]);
        assert_eq!(edges(&requirements, "speed"), ["app"]);
    }

    #[test]
    fn installed_versions_are_held_against_what_others_require() {
        let mut lib = wheel("lib", &[]);
        lib.version = "1.26.5".to_owned();
        let wheels = [
            wheel("app", &["lib >=1.21.1,<1.26", "lib >=2 ; sys_platform == 'win32'"]),
            wheel("other", &["lib >=1.26", "lib >=3 ; extra == 'new'"]),
            lib,
        ];
        let named = [("lib".parse().unwrap(), "`lib==1.26.5` (requirements.txt:9)".to_owned())].into();
        let selection = Selection { named, ..Selection::default() };
        let found = check(&wheels, &selection, &Choice::default()).findings;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].code, found[0].level), (Code::RequirementConflict, Level::Deny));
        assert_eq!(
            found[0].cause,
            "app 1 requires `lib >=1.21.1,<1.26`, but `lib==1.26.5` (requirements.txt:9) is locked"
        );
        assert_eq!(found[0].detail, ["other 1 requires `lib >=1.26`, which 1.26.5 meets"]);
        let choice = Choice { overridden: ["lib".parse().unwrap()].into(), ..Choice::default() };
        assert_eq!(check(&wheels, &selection, &choice).findings, []);
        // What a layer has counts as what is installed.
        let layer = LayerContent {
            name: "tools".parse().unwrap(),
            distributions: [("lib".parse().unwrap(), "1.27".to_owned())].into(),
        };
        let choice = Choice { layers: vec![layer], ..Choice::default() };
        let found = check(&wheels[..1], &Selection::default(), &choice).findings;
        assert!(found[0].cause.ends_with("but layer tools has lib 1.27"), "{found:?}");
    }

    #[test]
    fn conditions_that_hang_on_what_is_not_known_are_told() {
        let wheels = [
            wheel(
                "app",
                &[
                    "a ; python_full_version < '3.13.7'",
                    "b ; platform_release >= '5'",
                    "c ; python_version >= '3.9'",
                ],
            ),
            wheel("c", &[]),
        ];
        let found = check(&wheels, &Selection::default(), &Choice::default()).findings;
        let found: Vec<(&str, Code)> = found.iter().map(|f| (f.subject.as_str(), f.code)).collect();
        assert_eq!(found, [("a", Code::PatchLevelDecides), ("b", Code::NotChecked)]);
    }

    #[test]
    fn extras_of_the_lock_count() {
        let selection = Selection {
            wanted: vec![Locked {
                name: "lib".parse().unwrap(),
                version: "1".to_owned(),
                file: None,
                line: 1,
                markers: Vec::new(),
                groups: Vec::new(),
                optional: false,
                extras: vec!["fast".to_owned()],
                files: Vec::new(),
                weak: Vec::new(),
                dependencies: Vec::new(),
                not_from_index: None,
                source: None,
                index: crate::LockedIndex::Unsaid,
                place: None,
                folder: None,
            }],
            ..Selection::default()
        };
        let requirements =
            check(&[wheel("lib", &["speed; extra == 'fast'"])], &selection, &Choice::default());
        assert_eq!(requirements.findings[0].code, Code::DeclaredNotInstalled);
        assert_eq!(requirements.findings[0].detail, ["lib 1 requires `speed; extra == 'fast'`"]);
    }

    #[test]
    fn what_is_not_installed_is_judged_by_where_it_is() {
        let wheels = [wheel("a", &["absent", "boto3", "botocore", "cut", "layered", "marked"])];
        let selection = Selection {
            gaps: vec![
                gap("botocore", Cause::Runtime { runtime: "python3.13".to_owned() }),
                gap("cut", Cause::Excluded),
                gap(
                    "marked",
                    Cause::Marker {
                        marker: "python_version < '3'".to_owned(),
                        values: vec!["python_version = \"3.13\"".to_owned()],
                    },
                ),
            ],
            ..Selection::default()
        };
        let layer = LayerContent {
            name: "tools".parse().unwrap(),
            distributions: [("layered".parse().unwrap(), "1".to_owned())].into_iter().collect(),
        };
        let choice = Choice { layers: vec![layer], ..Choice::default() };
        let found: Vec<(String, Code, Level)> = check(&wheels, &selection, &choice)
            .findings
            .into_iter()
            .map(|f| (f.subject, f.code, f.level))
            .collect();
        assert_eq!(
            found,
            [
                ("absent".to_owned(), Code::DeclaredNotInstalled, Level::Deny),
                ("boto3".to_owned(), Code::ProvidedByRuntime, Level::Warn),
                ("cut".to_owned(), Code::LockedNotInstalled, Level::Warn),
                ("marked".to_owned(), Code::LockedNotInstalled, Level::Deny),
            ]
        );
    }
}
