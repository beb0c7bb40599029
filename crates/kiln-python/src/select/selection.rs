//! Which distributions of a lock go into an artifact, and the reason for each that does not.

use super::choice::Choice;
use super::elsewhere::Elsewhere;
use super::judge::Judge;
use super::nothing::nothing_selected;
use super::python_release::{patch_levels, requires_python};
use super::reach::{Question, Reached, reach};
use crate::interpreter::TargetEnvironment;
use crate::lock::{Lock, Locked};
use crate::specifier::{normal_extra, same_version};
use kiln_record::{ArtifactName, Cause, Code, DistributionName, Finding, Gap, Runtime};
use std::collections::{BTreeMap, BTreeSet};

/// The distributions that an artifact needs, and an account of all others.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// What is installed, sorted by name. `extras` holds those that are asked for.
    pub wanted: Vec<Locked>,
    /// What is not, with the reason, sorted by name and version.
    pub gaps: Vec<Gap>,
    /// Judgements, in order of code and subject.
    pub findings: Vec<Finding>,
    /// How the lock names what is installed, for messages: `` `six==1.17.0` (requirements.txt:3)``.
    pub named: BTreeMap<DistributionName, String>,
    /// What conditions of the lock are asked with.
    pub asked: AskedOfLock,
}

/// What conditions of a lock are asked with: the extras and groups that are chosen, by the names that the lock has for them.
#[derive(Clone, Debug, Default)]
pub struct AskedOfLock {
    /// Dependency groups, those among them that the lock chooses by itself.
    pub groups: Vec<String>,
    /// Extras of the project.
    pub extras: Vec<String>,
    /// The names that `uv.lock` gives to extras and groups that exclude each other, as far as they are asked for.
    pub conflicting: Vec<String>,
}

/// Selects what an artifact needs from a lock.
///
/// Every distribution of the lock is either wanted or a gap. A declared requirement that the lock does not
/// hold for the target is `declared-not-installed`; what counts as such in a requirements file, which does
/// not tell a requirement's own condition from one that the locking tool added, is documented at
/// `Judge::left_out`.
#[must_use]
pub fn select(lock: &Lock, environment: &TargetEnvironment, runtime: &Runtime, choice: &Choice) -> Selection {
    let mut judge = Judge { lock, environment, runtime, findings: Vec::new() };
    judge.findings.extend(requires_python(lock, environment, choice));
    judge.environments();
    judge.names_exist(choice);

    let groups = chosen_groups(lock, choice);
    let extras: BTreeSet<String> = choice.extras.iter().map(|e| normal_extra(e)).collect();
    judge.conflicts(&groups, &extras);
    let verdicts = judge.verdicts(&groups, &extras);
    let mut applicable: BTreeMap<&DistributionName, Vec<usize>> = BTreeMap::new();
    for (index, locked) in lock.distributions.iter().enumerate() {
        if verdicts.applies(index) {
            applicable.entry(&locked.name).or_default().push(index);
        }
    }
    let mut cut = choice.excluded.clone();
    cut.extend(choice.from_runtime.iter().filter(|name| runtime.provides(name.as_str())).cloned());

    let reaching = |cut| {
        reach(&Question { lock, environment, applicable: &applicable, groups: &groups, extras: &extras, cut })
    };
    // What would be installed if nothing were left to the runtime; of a lock that is no graph, whatever
    // applies.
    let installed_else =
        (lock.format.is_graph() && cut != choice.excluded).then(|| reaching(&choice.excluded));
    let reached = if lock.format.is_graph() {
        let reached = reaching(&cut);
        judge.unreached(&reached, &verdicts);
        reached
    } else {
        judge.left_out(&verdicts, &cut);
        whatever_applies(lock, &applicable, &cut)
    };
    judge.findings.extend(patch_levels(lock, environment, &reached, &groups, &extras));
    let elsewhere = Elsewhere::new(lock, environment, &applicable, &groups, &extras);
    let mut selection = Selection::default();
    for (index, locked) in lock.distributions.iter().enumerate() {
        // Projects that are no packages have requirements, but are not distributions.
        if locked.folder.as_ref().is_some_and(|folder| !folder.is_package) {
            continue;
        }
        let is_own = lock.is_own_project(index);
        let cause = if is_own && !choice.excluded.contains(&locked.name) {
            judge.own_project(locked, choice).or_else(|| {
                add_wanted(&mut selection.wanted, locked.clone(), &mut judge.findings, &lock.name);
                None
            })
        } else if !verdicts.applies(index) {
            Some(verdicts.cause(index))
        } else if choice.excluded.contains(&locked.name) {
            Some(Cause::Excluded)
        } else if cut.contains(&locked.name)
            && installed_else.as_ref().is_none_or(|installed| installed.distributions.contains_key(&index))
        {
            judge.provided_by_runtime(locked);
            Some(Cause::Runtime { runtime: runtime.name.clone() })
        } else if let Some(asked) = reached.distributions.get(&index) {
            let layer = layer_of(choice, locked);
            if let Some((layer, version)) = layer {
                judge.provided_by_layer(locked, layer, version);
            }
            match layer {
                Some((layer, version)) if same_version(&locked.version, version) => {
                    Some(Cause::Layer { layer: layer.clone(), version: version.to_owned() })
                }
                _ => {
                    judge.has_files(locked);
                    let mut wanted = locked.clone();
                    wanted.extras = asked.iter().cloned().collect();
                    add_wanted(&mut selection.wanted, wanted, &mut judge.findings, &lock.name);
                    None
                }
            }
        } else {
            let reached = installed_else.as_ref().filter(|_| cut.contains(&locked.name)).unwrap_or(&reached);
            Some(elsewhere.cause(index, reached, environment))
        };
        if let Some(cause) = cause {
            let version = locked.version.clone();
            selection.gaps.push(Gap { distribution: locked.name.to_string(), version, cause });
        }
    }
    selection.asked = AskedOfLock {
        groups: groups.iter().cloned().collect(),
        extras: extras.iter().cloned().collect(),
        conflicting: reached.active.iter().cloned().collect(),
    };
    judge.no_own_project(choice);
    account_for_replaced(&mut selection);
    let named = selection.wanted.iter().map(|locked| {
        (locked.name.clone(), format!("`{}=={}` ({})", locked.name, locked.version, lock.place(locked)))
    });
    selection.named = named.collect();
    selection.findings = judge.findings;
    if selection.wanted.is_empty() {
        let nothing = nothing_selected(lock, &selection.gaps, &selection.findings);
        selection.findings.extend(nothing);
    }
    selection.findings.sort_by(|a, b| (a.code, &a.subject).cmp(&(b.code, &b.subject)));
    selection
}

/// What is needed of a lock that is no graph: each distribution stands for itself.
fn whatever_applies(
    lock: &Lock,
    applicable: &BTreeMap<&DistributionName, Vec<usize>>,
    cut: &BTreeSet<DistributionName>,
) -> Reached {
    let indices = applicable.values().flatten().filter(|i| !cut.contains(&lock.distributions[**i].name));
    let distributions = indices.map(|i| (*i, lock.distributions[*i].extras.iter().cloned().collect()));
    Reached { distributions: distributions.collect(), ..Reached::default() }
}

/// Puts wanted distributions and gaps in order. What is installed in another version is replaced rather than
/// missing.
fn account_for_replaced(selection: &mut Selection) {
    selection.wanted.sort_by(|a, b| (&a.name, a.line).cmp(&(&b.name, b.line)));
    // What is installed after all, by another line or from another index, is not left out.
    let wanted: BTreeSet<(&str, &str)> =
        selection.wanted.iter().map(|w| (w.name.as_str(), w.version.as_str())).collect();
    selection.gaps.retain(|gap| !wanted.contains(&(&*gap.distribution, &*gap.version)));
    for gap in &mut selection.gaps {
        let Some(other) = selection.wanted.iter().find(|w| w.name.as_str() == gap.distribution) else {
            continue;
        };
        let (marker, values) = match &gap.cause {
            Cause::Marker { marker, values } => (Some(marker.clone()), values.clone()),
            Cause::Unreachable => (None, Vec::new()),
            _ => continue,
        };
        gap.cause = Cause::Replaced { by: other.version.clone(), marker, values };
    }
    selection.gaps.sort_by(|a, b| (&a.distribution, &a.version).cmp(&(&b.distribution, &b.version)));
    selection.gaps.dedup();
}

/// The groups that the manifest asks for by the names of the lock, with `main` and what belongs to it.
fn chosen_groups(lock: &Lock, choice: &Choice) -> BTreeSet<String> {
    let named = choice.groups.iter().map(|group| {
        let normal = normal_extra(group);
        if lock.groups.contains(group) { group.clone() } else { normal }
    });
    named.chain(["main".to_owned()]).chain(lock.default_groups.iter().cloned()).collect()
}

/// Two lines of one version are one distribution; two versions of one distribution cannot both be installed.
fn add_wanted(wanted: &mut Vec<Locked>, new: Locked, findings: &mut Vec<Finding>, lock: &str) {
    let Some(there) = wanted.iter_mut().find(|w| w.name == new.name) else {
        wanted.push(new);
        return;
    };
    if same_version(&there.version, &new.version) {
        there.files.extend(new.files);
        there.files.sort();
        there.files.dedup();
        there.extras.extend(new.extras);
        there.extras.sort();
        there.extras.dedup();
        return;
    }
    let file = |locked: &Locked| locked.file.as_ref().map_or_else(String::new, |file| format!("{file} "));
    let cause = format!(
        "{lock} has two versions of {} that both apply to the target: {} ({}line {}) and {} ({}line {})",
        new.name,
        there.version,
        file(there),
        there.line,
        new.version,
        file(&new),
        new.line
    );
    findings.push(
        Finding::new(Code::LockedNotInstalled, new.name.as_str(), cause)
            .remedy("lock again, so that the markers of the two exclude each other"),
    );
}

/// The layer that has a distribution: the last one wins.
fn layer_of<'a>(choice: &'a Choice, locked: &Locked) -> Option<(&'a ArtifactName, &'a str)> {
    let mut layers = choice.layers.iter().rev();
    layers.find_map(|layer| Some((&layer.name, layer.distributions.get(&locked.name)?.as_str())))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::LayerContent;
    use crate::interpreter::interpreter;
    use crate::lock::poetry_tests::{PROJECT, lock_2_1};
    use crate::{parse_poetry, parse_requirements};
    use kiln_record::{Architecture, Level};

    fn names(names: &[&str]) -> BTreeSet<DistributionName> {
        names.iter().map(|n| n.parse().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn select_on(lock: &Lock, version: &str, choice: &Choice) -> Selection {
        let base = interpreter(version, (2, 41), "x86_64");
        let minor = base.python().1;
        let runtime = Runtime::named(&format!("python3.{minor}")).unwrap();
        let environment = TargetEnvironment::new(&base, runtime, Architecture::Amd64).unwrap();
        let selection = select(lock, &environment, runtime, choice);
        let accounted: BTreeSet<String> = selection
            .wanted
            .iter()
            .map(|w| w.name.to_string())
            .chain(selection.gaps.iter().map(|g| g.distribution.clone()))
            .collect();
        let is_project = |d: &Locked| d.folder.as_ref().is_some_and(|f| f.path == "." || !f.is_package);
        let mut distributions = lock.distributions.iter().filter(|d| !is_project(d));
        assert!(distributions.all(|d| accounted.contains(d.name.as_str())), "{selection:?}");
        selection
    }

    /// Holds that a file was read, or that every problem names one of the files, a line that it has, and a reason.
    #[track_caller]
    pub(crate) fn read_or_refused<T>(result: Result<T, Vec<crate::InputProblem>>, files: &[(&str, &str)]) {
        let Err(problems) = result else { return };
        assert!(!problems.is_empty());
        for problem in problems {
            let of_file = files.iter().find(|(name, _)| *name == problem.file);
            let (_, text) = of_file.unwrap_or_else(|| panic!("of another file: {problem:?}"));
            let lines = text.split('\n').count();
            assert!(
                problem.line.is_none_or(|line| (1..=lines).contains(&line)),
                "{lines} lines: {problem:?}"
            );
            assert!(!problem.message.is_empty(), "{problem:?}");
        }
    }

    pub(crate) fn wanted(selection: &Selection) -> Vec<&str> {
        selection.wanted.iter().map(|w| w.name.as_str()).collect()
    }

    pub(crate) fn denied(selection: &Selection) -> Vec<(&str, &str)> {
        let denied = selection.findings.iter().filter(|f| f.level == Level::Deny);
        denied.map(|f| (f.code.as_str(), f.subject.as_str())).collect()
    }

    /// A requirements file from lines; each gets a hash.
    fn requirements_lines(lines: &[&str]) -> Lock {
        let hash = "a".repeat(64);
        let text: String = lines.iter().map(|l| format!("{l} --hash=sha256:{hash}\n")).collect();
        parse_requirements("requirements.txt", &text, &mut |_| None).unwrap()
    }

    fn poetry() -> Lock {
        parse_poetry("poetry.lock", &lock_2_1(), "pyproject.toml", PROJECT).unwrap()
    }

    #[test]
    fn a_lock_for_another_python_is_denied_line_by_line() {
        let lock = requirements_lines(&[
            "idna==3.10 ; python_version == \"3.12\"",
            "six==1.17.0 ; python_version == \"3.12\"",
            "colorama==0.4.6 ; python_version == \"3.12\" and sys_platform == \"win32\"",
        ]);
        let selection = select_on(&lock, "3.13.5", &Choice::default());
        assert!(selection.wanted.is_empty());
        assert_eq!(
            denied(&selection),
            [("declared-not-installed", "idna"), ("declared-not-installed", "six")]
        );
        let finding = &selection.findings[0];
        assert_eq!(
            finding.cause,
            "`idna==3.10` (requirements.txt:1) is declared, but its marker `python_version == \"3.12\"` is false: \
             the target has python_version = \"3.13\""
        );
        assert_eq!(finding.remedy.len(), 2);
        assert!(finding.remedy[0].contains("--python-version 3.13"), "{:?}", finding.remedy);
        assert!(finding.remedy[1].ends_with("the lock is for: 3.12"), "{:?}", finding.remedy);
        let here = select_on(&lock, "3.12.3", &Choice::default());
        assert_eq!((wanted(&here), denied(&here)), (vec!["idna", "six"], vec![]));
    }

    #[test]
    fn what_a_lock_leaves_out_on_purpose_is_a_gap() {
        // As `poetry export` writes a project for "^3.9": every line carries the project's own range.
        let exported = requirements_lines(&[
            "idna==3.10 ; python_version >= \"3.9\" and python_version < \"4.0\"",
            "six==1.17.0 ; python_version >= \"3.9\" and python_version < \"4.0\"",
            "tomli==2.0.1 ; python_version >= \"3.9\" and python_version < \"3.11\"",
            "colorama==0.4.6 ; python_version >= \"3.9\" and sys_platform == \"win32\"",
        ]);
        // As `uv export` writes it: only what differs has a marker.
        let universal = requirements_lines(&[
            "idna==3.10",
            "six==1.17.0",
            "exceptiongroup==1.2 ; python_full_version < '3.11'",
            "audioop-lts==0.2 ; python_full_version >= '3.14'",
            "numpy==1.26 ; python_full_version < '3.12'",
            "numpy==2.3 ; python_full_version >= '3.12'",
            "futures==3 ; python_version < '3'",
        ]);
        for lock in [&exported, &universal] {
            let selection = select_on(lock, "3.13.5", &Choice::default());
            assert_eq!(denied(&selection), [], "{selection:?}");
        }
        let selection = select_on(&universal, "3.13.5", &Choice::default());
        assert_eq!(wanted(&selection), ["idna", "numpy", "six"]);
        assert_eq!(selection.wanted[1].version, "2.3");
        let gap = selection.gaps.iter().find(|g| g.distribution == "exceptiongroup").unwrap();
        assert_eq!(
            gap.cause,
            Cause::Marker {
                marker: "python_full_version < '3.11'".to_owned(),
                values: vec!["python_full_version = \"3.13.9\"".to_owned()]
            }
        );
    }

    /// The base of these tests has 3.11.2, the target 3.11.13.
    #[test]
    fn the_bug_fix_release_is_the_targets() {
        let lock = requirements_lines(&[
            "new==1 ; python_full_version >= '3.11.4'",
            "old==1 ; python_full_version < '3.11.3'",
            "later==1 ; implementation_version >= '3.11.20'",
            "both==1 ; python_full_version >= '3.11.1'",
            "plain==1 ; python_full_version >= '3.11'",
        ]);
        let selection = select_on(&lock, "3.11.2", &Choice::default());
        assert_eq!((wanted(&selection), denied(&selection)), (vec!["both", "new", "plain"], vec![]));
        let found: Vec<(&str, Level)> =
            selection.findings.iter().map(|f| (f.subject.as_str(), f.level)).collect();
        let expect =
            [("both", Level::Note), ("later", Level::Warn), ("new", Level::Warn), ("old", Level::Warn)];
        assert_eq!(found, expect);
        assert!(selection.findings.iter().all(|f| f.code == Code::PatchLevelDecides));
        let new = &selection.findings[2];
        assert!(new.cause.contains("python3.11 has Python 3.11.13 (seen on"), "{}", new.cause);
        assert!(new.detail[0].contains("does not hold for the base, Python 3.11.2"), "{:?}", new.detail);
        assert!(selection.findings[1].detail[0].contains("from 3.11.20 on"), "{:?}", selection.findings[1]);
        // A target whose release nobody states is what the base is, which is said.
        let base = interpreter("3.11.2", (2, 41), "x86_64");
        let runtime = Runtime { python_patch: None, ..Runtime::clone(Runtime::named("python3.11").unwrap()) };
        let environment = TargetEnvironment::new(&base, &runtime, Architecture::Amd64).unwrap();
        let selection = select(&lock, &environment, &runtime, &Choice::default());
        assert_eq!(wanted(&selection), ["both", "old", "plain"]);
        assert!(selection.findings.iter().any(|f| f.cause.contains("does not know the bug-fix release")));
    }

    #[test]
    fn a_project_is_for_the_release_of_the_target() {
        for (required, level, part) in [
            (">=3.11.4", Some(Level::Warn), "does not hold for the base, Python 3.11.2"),
            (">=3.11.1", None, ""),
            ("<3.11.4", Some(Level::Deny), "python = \"3.11.N\""),
            ("~3.12", Some(Level::Deny), "kiln lock --base python-3.12 --runtime python3.12"),
        ] {
            let mut lock = requirements_lines(&["idna==3.10"]);
            lock.requires_python = Some(crate::RequiresPython {
                text: required.to_owned(),
                file: "pyproject.toml".to_owned(),
                line: 3,
                constraint: crate::poetry_constraint(required).unwrap(),
            });
            let findings = select_on(&lock, "3.11.2", &Choice::default()).findings;
            assert_eq!(findings.first().map(|f| f.level), level, "{required}");
            let all: Vec<&String> = findings.iter().flat_map(|f| f.detail.iter().chain(&f.remedy)).collect();
            assert!(part.is_empty() || all.iter().any(|text| text.contains(part)), "{all:?}");
        }
    }

    /// The project of a requirements file in its own folder, and of a Poetry lock beside it.
    #[test]
    fn the_project_itself_is_left_out_in_every_format_unless_it_is_asked_for() {
        let text = format!("-e .\nsix==1.17.0 --hash=sha256:{}\n", "a".repeat(64));
        let project = "[project]\nname = \"Acme_Fn\"\nversion = \"1.0\"\ndependencies = [\"six\"]\n";
        let requirements = parse_requirements("app/requirements.txt", &text, &mut |path| {
            (path == "app/pyproject.toml").then(|| project.to_owned())
        })
        .unwrap();
        let asked = Choice { has_source: true, ..Choice::default() };
        let package = PROJECT.replace("package-mode = false", "version = \"0.1\"");
        let poetry = parse_poetry("poetry.lock", &lock_2_1(), "pyproject.toml", &package).unwrap();
        for (lock, own) in [(requirements, "acme-fn"), (poetry, "waf")] {
            let selection = select_on(&lock, "3.12.9", &asked);
            assert_eq!((wanted(&selection), denied(&selection)), (vec!["six"], vec![]));
            let gap = selection.gaps.iter().find(|gap| gap.distribution == own).unwrap();
            assert_eq!(gap.cause, Cause::OwnProject);
            let without = select_on(&lock, "3.12.9", &Choice::default());
            assert!(without.findings.iter().any(|f| f.code == Code::ProjectLeftOut && f.subject == own));
            let installed = Choice { install_project: true, ..Choice::default() };
            let selection = select_on(&lock, "3.12.9", &installed);
            assert!(wanted(&selection).contains(&own), "{selection:?}");
            assert_eq!(denied(&selection), []);
            let excluded = Choice { excluded: names(&[own]), ..Choice::default() };
            let selection = select_on(&lock, "3.12.9", &excluded);
            assert!(selection.gaps.iter().any(|gap| gap.distribution == own && gap.cause == Cause::Excluded));
        }
        let installed = Choice { install_project: true, ..Choice::default() };
        let none = select_on(&requirements_lines(&["six==1.17.0"]), "3.12.9", &installed);
        assert_eq!(denied(&none), [("declared-not-installed", "requirements.txt")]);
    }

    #[test]
    fn files_with_a_weak_hash_alone_are_named() {
        let weak =
            |name: &str| crate::WeakFile { file_name: Some(name.to_owned()), algorithm: "md5".to_owned() };
        let mut lock = poetry();
        let six = lock.distributions.iter().position(|locked| locked.name.as_str() == "six").unwrap();
        lock.distributions[six]
            .files
            .retain(|file| file.file_name.as_ref().is_none_or(|n| n.ends_with(".gz")));
        lock.distributions[six].weak = vec![weak("six-1.17.0-py2.py3-none-any.whl")];
        let selection = select_on(&lock, "3.12.9", &Choice::default());
        assert_eq!(denied(&selection), [("lock-missing", "six")]);
        let finding = selection.findings.iter().find(|f| f.code == Code::LockMissing).unwrap();
        assert!(
            finding.cause.contains("locked with md5 alone: six-1.17.0-py2.py3-none-any.whl"),
            "{}",
            finding.cause
        );
        assert!(finding.cause.ends_with("and a weaker hash is no proof"), "{}", finding.cause);
        // A longer one is no weaker one.
        lock.distributions[six].weak[0].algorithm = "sha512".to_owned();
        let selection = select_on(&lock, "3.12.9", &Choice::default());
        let finding = selection.findings.iter().find(|f| f.code == Code::LockMissing).unwrap();
        let says = ["locked with sha512 alone: six-1.17.0", "by SHA-256, as indexes and its store name them"];
        assert!(says.iter().all(|says| finding.cause.contains(says)), "{}", finding.cause);
        // A wheel for another platform with a weak hash is of no concern.
        lock.distributions[six].weak = vec![weak("six-1.17.0-cp312-cp312-win_amd64.whl")];
        assert_eq!(denied(&select_on(&lock, "3.12.9", &Choice::default())), []);
    }

    #[test]
    fn a_lock_of_which_nothing_is_chosen_is_told() {
        let mut lock = poetry();
        lock.declared.retain(|declared| declared.group != "main");
        let selection = select_on(&lock, "3.12.9", &Choice::default());
        let finding = selection.findings.iter().find(|f| f.code == Code::NothingSelected);
        let finding = finding.unwrap_or_else(|| panic!("{selection:?}"));
        assert!(finding.detail[0].contains("dev") && finding.remedy[0].contains("`groups`"), "{finding:?}");
        let chosen = Choice { groups: vec!["dev".to_owned()], ..Choice::default() };
        let chosen = select_on(&lock, "3.12.9", &chosen);
        assert!(chosen.findings.iter().all(|f| f.code != Code::NothingSelected));
    }

    #[test]
    fn one_line_that_applies_does_not_excuse_the_others() {
        let mixed = [
            "a==1 ; python_version == '3.12'",
            "b==1 ; python_version == '3.12'",
            "c==1 ; python_version >= '3.9'",
        ];
        let selection = select_on(&requirements_lines(&mixed), "3.13.5", &Choice::default());
        assert_eq!(denied(&selection).len(), 2);
        let single = ["a==1", "b==1", "c==1 ; python_version == '3.12'"];
        let selection = select_on(&requirements_lines(&single), "3.13.5", &Choice::default());
        assert_eq!(denied(&selection), [("declared-not-installed", "c")]);
    }

    #[test]
    fn requires_python_names_place_constraint_version_and_ways_out() {
        let selection = select_on(&poetry(), "3.13.5", &Choice::default());
        let finding = selection.findings.iter().find(|f| f.code == Code::RequiresPythonMismatch).unwrap();
        assert_eq!(
            finding.cause,
            "pyproject.toml:7 requires Python `~3.12`, but python3.13 has Python 3.13.9 (seen on 2026-01-02 in a report about AWS's base image)"
        );
        let way = "kiln lock --base python-3.12 --runtime python3.12; then kiln build";
        assert!(finding.remedy[0].contains(way) && finding.remedy[1].contains("poetry lock"));
        assert_eq!(denied(&select_on(&poetry(), "3.12.9", &Choice::default())), []);
    }

    #[test]
    fn an_image_that_is_for_no_runtime_is_advised_another_base() {
        let remedies = |choice: &Choice| {
            let selection = select_on(&poetry(), "3.13.5", choice);
            let found = selection.findings.iter().find(|f| f.code == Code::RequiresPythonMismatch).unwrap();
            found.remedy.clone()
        };
        let on_base = Choice { runs_on_base: true, ..Choice::default() };
        let made = remedies(&on_base);
        assert!(
            made[0].contains("kiln lock --base python-3.12 --runtime python3.12; then kiln build"),
            "{made:?}"
        );
        let there = Choice { bases: BTreeMap::from([((3, 12), "own-3.12".to_owned())]), ..on_base.clone() };
        let there = remedies(&there);
        assert!(there[0].contains("to use Python 3.12: base = \"own-3.12\" in the manifest"), "{there:?}");
        for remedy in made.iter().chain(&there) {
            assert!(!remedy.contains("runtime =") && !remedy.contains("[[runtime]]"), "{remedy}");
        }
        let function = remedies(&Choice { runs_on_base: false, ..on_base });
        assert!(function[0].contains("runtime = \"python3.12\""), "{function:?}");
    }

    #[test]
    fn poetry_installs_what_is_reached_and_says_why_the_rest_is_not() {
        let selection = select_on(&poetry(), "3.12.9", &Choice::default());
        assert_eq!(wanted(&selection), ["six"]);
        let causes: Vec<(&str, &Cause)> =
            selection.gaps.iter().map(|g| (g.distribution.as_str(), &g.cause)).collect();
        assert_eq!(causes[0], ("anyio", &Cause::Extra { extras: vec!["async".to_owned()] }));
        assert!(matches!(causes[1], ("colorama", Cause::Marker { .. })));
        assert_eq!(causes[3], ("pytest", &Cause::Group { groups: vec!["dev".to_owned()] }));

        let choice =
            Choice { extras: vec!["async".to_owned()], groups: vec!["dev".to_owned()], ..Choice::default() };
        let selection = select_on(&poetry(), "3.12.9", &choice);
        assert_eq!(wanted(&selection), ["anyio", "idna", "pytest", "six", "typing-extensions"]);
        assert_eq!(denied(&selection), []);
    }

    #[test]
    fn what_only_an_excluded_distribution_requires_is_not_installed() {
        let choice =
            Choice { extras: vec!["async".to_owned()], excluded: names(&["anyio"]), ..Choice::default() };
        let selection = select_on(&poetry(), "3.12.9", &choice);
        assert_eq!(wanted(&selection), ["six"]);
        let cause = |name: &str| &selection.gaps.iter().find(|g| g.distribution == name).unwrap().cause;
        assert_eq!(cause("anyio"), &Cause::Excluded);
        assert_eq!(cause("idna"), &Cause::Unreachable);
    }

    #[test]
    fn layers_and_the_runtime_provide() {
        let lock = requirements_lines(&["boto3==1.40", "idna==3.10", "six==1.17.0", "attrs==25"]);
        let layer = LayerContent {
            name: "base-layer".parse().unwrap(),
            distributions: [("idna", "3.10"), ("attrs", "24")]
                .map(|(n, v)| (n.parse().unwrap(), v.to_owned()))
                .into(),
        };
        let choice = Choice { from_runtime: names(&["boto3"]), layers: vec![layer], ..Choice::default() };
        let selection = select_on(&lock, "3.13.5", &choice);
        assert_eq!(wanted(&selection), ["attrs", "six"]);
        assert_eq!(denied(&selection), []);
        let found: Vec<(&str, &str, Level)> =
            selection.findings.iter().map(|f| (f.code.as_str(), f.subject.as_str(), f.level)).collect();
        assert_eq!(
            found,
            [
                ("provided-by-runtime", "boto3", Level::Warn),
                ("provided-by-layer", "attrs", Level::Note),
                ("provided-by-layer", "idna", Level::Note),
            ]
        );
        assert!(matches!(&selection.gaps[1].cause, Cause::Layer { version, .. } if version == "3.10"));
    }

    #[test]
    fn of_forked_versions_only_the_one_that_would_be_installed_is_left_to_the_runtime() {
        let from = "source = { registry = \"https://index.example/simple\" }";
        let edge = |version: &str, marker: &str| {
            format!("{{ name = \"boto3\", version = \"{version}\", {from}, marker = \"{marker}\" }}")
        };
        let package =
            |version: &str| format!("[[package]]\nname = \"boto3\"\nversion = \"{version}\"\n{from}\n\n");
        let older = "python_full_version < '3.12'";
        let text = format!(
            "version = 1\nrequires-python = \">=3.10\"\n\n[[package]]\nname = \"app\"\nversion = \"1\"\nsource = {{ \
             virtual = \".\" }}\ndependencies = [{}, {}]\n\n[package.metadata]\nrequires-dist = [{{ name = \"boto3\" \
             }}]\n\n{}{}",
            edge("1.40", older),
            edge("1.41", "python_full_version >= '3.12'"),
            package("1.40"),
            package("1.41"),
        );
        let project = "[project]\nname = \"app\"\nversion = \"1\"\nrequires-python = \">=3.10\"\ndependencies = [\"boto3\"]\n";
        let lock = crate::parse_uv("uv.lock", &text, "pyproject.toml", project).unwrap();
        let choice = Choice { from_runtime: names(&["boto3"]), ..Choice::default() };
        let selection = select_on(&lock, "3.13.5", &choice);
        let causes: Vec<&str> = selection.findings.iter().map(|finding| finding.cause.as_str()).collect();
        assert!(causes.len() == 1 && causes[0].starts_with("boto3 1.41 is left out"), "{causes:?}");
        assert!(matches!(&selection.gaps[0].cause, Cause::Marker { marker, .. } if marker == older));
        assert!(matches!(&selection.gaps[1].cause, Cause::Runtime { .. }), "{:?}", selection.gaps);
        assert_eq!((denied(&selection), wanted(&selection)), (vec![], vec![]));
    }

    #[test]
    fn slips_of_the_pen_are_denied() {
        let lock = requirements_lines(&["boto3==1.40", "idna==3.10"]);
        let choice = Choice {
            excluded: names(&["bto3"]),
            from_runtime: names(&["idna"]),
            groups: vec!["develop".to_owned()],
            ..Choice::default()
        };
        let selection = select_on(&lock, "3.13.5", &choice);
        assert_eq!(
            denied(&selection),
            [
                ("declared-not-installed", "develop"),
                ("locked-not-installed", "bto3"),
                ("locked-not-installed", "idna")
            ]
        );
        assert!(selection.findings[1].remedy[0].contains("boto3"));
        assert_eq!(wanted(&selection), ["boto3", "idna"]);
    }

    #[test]
    fn a_declared_name_that_the_lock_lacks_is_denied() {
        let mut lock = poetry();
        lock.distributions.retain(|d| d.name.as_str() != "six");
        let selection = select_on(&lock, "3.12.9", &Choice::default());
        assert_eq!(denied(&selection), [("declared-not-installed", "six")]);
        assert!(selection.findings[0].cause.contains("pyproject.toml:8"), "{:?}", selection.findings);
        let mut lock = poetry();
        lock.distributions.retain(|d| d.name.as_str() != "idna");
        let choice = Choice { extras: vec!["async".to_owned()], ..Choice::default() };
        let selection = select_on(&lock, "3.12.9", &choice);
        assert_eq!(denied(&selection), [("locked-not-installed", "idna")]);
        assert!(selection.findings[0].cause.starts_with("anyio requires idna"));
    }

    #[test]
    fn files_without_hashes_and_sources_outside_an_index_are_denied_when_wanted() {
        let mut lock = poetry();
        lock.distributions[4].files.clear();
        assert_eq!(denied(&select_on(&lock, "3.12.9", &Choice::default())), [("lock-missing", "six")]);
        lock.distributions[4].not_from_index = Some("git https://example.org/six.git".to_owned());
        let selection = select_on(&lock, "3.12.9", &Choice::default());
        assert!(selection.findings[0].cause.contains("example.org"));
    }
}
