//! Which distributions of a lock are needed: those that the project declares, and what they require in turn.

use crate::error::PythonError;
use crate::interpreter::{Asked, TargetEnvironment};
use crate::lock::{Lock, Locked, LockedDependency};
use crate::project::is_asked_for;
use crate::specifier::Constraint;
use kiln_record::DistributionName;
use pep440_rs::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// Where to begin, and what to leave out.
pub(crate) struct Question<'a> {
    pub(crate) lock: &'a Lock,
    pub(crate) environment: &'a TargetEnvironment,
    /// The distributions of the lock, by name, that apply to the target, as indices.
    pub(crate) applicable: &'a BTreeMap<&'a DistributionName, Vec<usize>>,
    /// The dependency groups to begin with.
    pub(crate) groups: &'a BTreeSet<String>,
    /// The project's extras to begin with.
    pub(crate) extras: &'a BTreeSet<String>,
    /// What something else brings along, with all that it requires.
    pub(crate) cut: &'a BTreeSet<DistributionName>,
}

/// What is needed.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// Indices into the lock's distributions, with the extras that are asked for.
    pub(crate) distributions: BTreeMap<usize, BTreeSet<String>>,
    /// Declared requirements whose name the lock does not have for the target, as indices.
    pub(crate) missing_declared: BTreeSet<usize>,
    /// Requirements of locked distributions that the lock does not have: what, and by which distribution.
    pub(crate) missing_required: BTreeSet<(DistributionName, DistributionName)>,
    /// Conditions that kept a distribution out, the first for each; the keys are indices into the lock's
    /// distributions.
    pub(crate) false_markers: BTreeMap<usize, String>,
    /// Markers that cannot be evaluated, with the distribution they are about.
    pub(crate) errors: BTreeMap<DistributionName, PythonError>,
    /// The names that `uv.lock` gives to extras and groups that are asked for.
    pub(crate) active: BTreeSet<String>,
    /// What each requirement accepts of the lock.
    pub(crate) accepted: BTreeMap<DistributionName, Vec<Accepted>>,
}

/// What one requirement accepts, as indices into the lock's distributions.
#[derive(Debug)]
pub(crate) struct Accepted {
    /// The distribution that has the requirement; none for what the project declares.
    by: Option<usize>,
    versions: Vec<usize>,
}

/// Follows the requirements of a lock from what the project declares. Every (distribution, extra) pair is
/// looked at once, so circles end.
pub(crate) fn reach(question: &Question<'_>) -> Reached {
    match question.lock.root {
        None => reach_one_version_each(question),
        Some(root) => {
            // A condition can ask for an extra that another distribution is only found to need on the way, so
            // the way is gone until no further extra turns up; uv goes it twice.
            let mut active = BTreeSet::new();
            for _ in 0..MOST_ROUNDS {
                let reached = reach_from(question, root, &active);
                let found = active_extras(question, root, &reached);
                if found == active {
                    return Reached { active, ..reached };
                }
                active = found;
            }
            reach_from(question, root, &active)
        }
    }
}

/// Most names of which one version is chosen among several.
const MOST_CHOICES: usize = 100;

/// Follows the requirements of a lock that may hold several versions of one name without a word on when each is meant, as
/// Poetry's did before 2.1: of those that are reached, the newest is taken that all who require it accept, as Poetry does.
fn reach_one_version_each(question: &Question<'_>) -> Reached {
    let mut applicable = question.applicable.clone();
    let mut reached = reach_declared(question);
    for _ in 0..MOST_CHOICES {
        let Some((name, index)) = choice_of_version(question.lock, &reached) else { break };
        let Some(versions) = applicable.get_mut(&name) else { break };
        *versions = vec![index];
        reached = reach_declared(&Question { applicable: &applicable, ..*question });
    }
    reached
}

/// A name of which several versions are reached, and the one to take. First come those that nothing requires of which the
/// version is still open.
fn choice_of_version(lock: &Lock, reached: &Reached) -> Option<(DistributionName, usize)> {
    let mut versions: BTreeMap<&DistributionName, Vec<usize>> = BTreeMap::new();
    for index in reached.distributions.keys() {
        versions.entry(&lock.distributions.get(*index)?.name).or_default().push(*index);
    }
    let is_open = |index: Option<usize>| {
        let name = index.and_then(|index| Some(&lock.distributions.get(index)?.name));
        name.and_then(|name| versions.get(name)).is_some_and(|versions| versions.len() > 1)
    };
    let mut chosen = Vec::new();
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        let accepted = reached.accepted.get(*name)?;
        let newest = versions
            .iter()
            .filter(|index| accepted.iter().all(|accepted| accepted.versions.contains(index)))
            .max_by_key(|index| Version::from_str(&lock.distributions[**index].version).ok());
        if let Some(index) = newest {
            chosen.push((accepted.iter().any(|accepted| is_open(accepted.by)), (*name).clone(), *index));
        }
    }
    chosen.into_iter().min().map(|(_, name, index)| (name, index))
}

/// Most times that the way through a lock is gone.
const MOST_ROUNDS: usize = 8;

/// The names that `uv.lock` gives, in its markers, to the extras and groups that are chosen: its conditions
/// for conflicting ones are written `extra == 'extra-3-app-gpu'`, with the length of the project's name in
/// front.
fn active_extras(question: &Question<'_>, root: usize, reached: &Reached) -> BTreeSet<String> {
    let mut active = BTreeSet::new();
    for (index, extras) in &reached.distributions {
        let Some(locked) = question.lock.distributions.get(*index) else { continue };
        let name = &locked.name;
        active.extend(extras.iter().map(|extra| format!("extra-{}-{name}-{extra}", name.as_str().len())));
        if *index == root {
            active.insert(format!("project-{}-{name}", name.as_str().len()));
            let groups = question.groups.iter();
            active.extend(groups.map(|group| format!("group-{}-{name}-{group}", name.as_str().len())));
        }
    }
    active
}

/// Follows the requirements of a lock from the project itself, which the lock lists.
fn reach_from(question: &Question<'_>, root: usize, active: &BTreeSet<String>) -> Reached {
    let mut reached = Reached::default();
    let groups: Vec<String> = question.groups.iter().cloned().collect();
    let mut open: Vec<(usize, BTreeSet<String>)> = vec![(root, question.extras.clone())];
    while let Some((index, extras)) = open.pop() {
        let Some(locked) = question.lock.distributions.get(index) else { continue };
        let known = reached.distributions.get(&index);
        if known.is_some_and(|known| extras.is_subset(known)) {
            continue;
        }
        let all: BTreeSet<String> = known.into_iter().flatten().cloned().chain(extras).collect();
        reached.distributions.insert(index, all.clone());
        let extras: Vec<String> = all.union(active).cloned().collect();
        let asked = Asked { extras: &extras, groups: if index == root { &groups } else { &[] } };
        for dependency in &locked.dependencies {
            if is_cut(question, &dependency.name) {
                continue;
            }
            let found = dependency_candidates(question, dependency);
            let marker = dependency.marker.as_deref();
            match marker.map(|marker| question.environment.evaluate_asked(marker, &asked)) {
                None => {}
                Some(Ok(verdict)) if verdict.value => {}
                Some(Ok(_)) => {
                    note_false(&mut reached, &found, marker);
                    continue;
                }
                Some(Err(error)) => {
                    reached.errors.entry(dependency.name.clone()).or_insert(error);
                    continue;
                }
            }
            if found.is_empty() {
                reached.missing_required.insert((dependency.name.clone(), locked.name.clone()));
            }
            open.extend(found.into_iter().map(|i| (i, dependency.extras.iter().cloned().collect())));
        }
    }
    reached
}

/// Whether something else brings a distribution along with all that it requires. A project of the workspace
/// that is left out has its code in the artifact's own sources, so what it requires is still needed.
fn is_cut(question: &Question<'_>, name: &DistributionName) -> bool {
    let is_folder =
        |index: &usize| question.lock.distributions.get(*index).is_some_and(|locked| locked.folder.is_some());
    question.cut.contains(name)
        && !question.applicable.get(name).is_some_and(|all| !all.is_empty() && all.iter().all(is_folder))
}

fn note_false(reached: &mut Reached, found: &[usize], marker: Option<&str>) {
    for (index, marker) in found.iter().zip(marker.into_iter().cycle()) {
        reached.false_markers.entry(*index).or_insert_with(|| marker.to_owned());
    }
}

/// Follows the requirements of a lock from what the project file declares.
fn reach_declared(question: &Question<'_>) -> Reached {
    let mut reached = Reached::default();
    let mut open: Vec<(usize, BTreeSet<String>)> = Vec::new();
    for (index, declared) in question.lock.declared.iter().enumerate() {
        if !is_asked_for(declared, question.groups, question.extras) || question.cut.contains(&declared.name)
        {
            continue;
        }
        let found = candidates(question, &declared.name, declared.constraint.as_ref(), None);
        let condition = (&declared.name, declared.marker.as_deref());
        if !holds(question, &mut reached, condition, &found, &BTreeSet::new()) {
            continue;
        }
        reached
            .accepted
            .entry(declared.name.clone())
            .or_default()
            .push(Accepted { by: None, versions: found.clone() });
        match found {
            found if found.is_empty() => {
                reached.missing_declared.insert(index);
            }
            found => open.extend(found.into_iter().map(|i| (i, declared.extras.iter().cloned().collect()))),
        }
    }
    while let Some((index, extras)) = open.pop() {
        let known = reached.distributions.get(&index);
        if known.is_some_and(|known| extras.is_subset(known)) {
            continue;
        }
        let all: BTreeSet<String> = known.into_iter().flatten().cloned().chain(extras).collect();
        reached.distributions.insert(index, all.clone());
        let Some(locked) = question.lock.distributions.get(index) else { continue };
        for dependency in &locked.dependencies {
            let found = dependency_candidates(question, dependency);
            let condition = (&dependency.name, dependency.marker.as_deref());
            if question.cut.contains(&dependency.name)
                || !holds(question, &mut reached, condition, &found, &all)
            {
                continue;
            }
            reached
                .accepted
                .entry(dependency.name.clone())
                .or_default()
                .push(Accepted { by: Some(index), versions: found.clone() });
            if found.is_empty() {
                reached.missing_required.insert((dependency.name.clone(), locked.name.clone()));
            }
            open.extend(found.into_iter().map(|i| (i, dependency.extras.iter().cloned().collect())));
        }
    }
    reached
}

fn holds(
    question: &Question<'_>,
    reached: &mut Reached,
    (name, marker): (&DistributionName, Option<&str>),
    found: &[usize],
    extras: &BTreeSet<String>,
) -> bool {
    let Some(marker) = marker else { return true };
    let extras: Vec<String> = extras.iter().cloned().collect();
    match question.environment.evaluate(marker, &extras) {
        Ok(verdict) if verdict.value => true,
        Ok(_) => {
            note_false(reached, found, Some(marker));
            false
        }
        Err(error) => {
            reached.errors.entry(name.clone()).or_insert(error);
            false
        }
    }
}

fn dependency_candidates(question: &Question<'_>, dependency: &LockedDependency) -> Vec<usize> {
    candidates(question, &dependency.name, dependency.constraint.as_ref(), dependency.source.as_deref())
}

/// The applicable distributions of a name. Locks before 2.1 tell several versions of one name apart only by
/// the constraints of those that require them; `uv.lock` names version and index wherever there is more than
/// one.
fn candidates(
    question: &Question<'_>,
    name: &DistributionName,
    constraint: Option<&Constraint>,
    source: Option<&str>,
) -> Vec<usize> {
    let mut all = question.applicable.get(name).cloned().unwrap_or_default();
    if source.is_some() {
        all.retain(|i| question.lock.distributions.get(*i).is_some_and(|l| l.source.as_deref() == source));
    }
    let Some(constraint) = constraint.filter(|_| all.len() > 1) else { return all };
    let version = |index: &usize| -> Option<Version> {
        let locked: &Locked = question.lock.distributions.get(*index)?;
        Version::from_str(&locked.version).ok()
    };
    let fitting: Vec<usize> =
        all.iter().copied().filter(|index| version(index).is_some_and(|v| constraint.contains(&v))).collect();
    if fitting.is_empty() && source.is_none() { all } else { fitting }
}

#[cfg(test)]
mod tests {
    use crate::Choice;
    use crate::lock::poetry_tests::content_hash_of;
    use crate::parse_poetry;
    use crate::select::tests::{denied, select_on};

    /// A lock of version 1.1, in which nothing but constraints tells two versions of one name apart.
    fn versions(project: &str, packages: &[(&str, &str, &str)]) -> Vec<String> {
        let mut lock = String::new();
        for (name, version, requires) in packages {
            lock.push_str(&format!(
                "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\ncategory = \"main\"\noptional = false\n\n\
                 [package.dependencies]\n{requires}\n\n"
            ));
        }
        let project = format!("[tool.poetry.dependencies]\npython = \"^3.9\"\n{project}");
        let hash = content_hash_of(&project);
        lock.push_str(&format!(
            "[metadata]\nlock-version = \"1.1\"\ncontent-hash = \"{hash}\"\n\n[metadata.files]\n"
        ));
        let lock = parse_poetry("poetry.lock", &lock, "pyproject.toml", &project).unwrap();
        let selection = select_on(&lock, "3.13.5", &Choice::default());
        let two = denied(&selection).into_iter().filter(|(code, _)| *code == "locked-not-installed");
        let two = two.map(|(_, name)| format!("{name}: two versions"));
        selection.wanted.iter().map(|one| format!("{} {}", one.name, one.version)).chain(two).collect()
    }

    #[test]
    fn of_several_versions_the_newest_is_taken_that_everything_accepts() {
        let b = [("b", "1.0", ""), ("b", "2.0", ""), ("b", "3.0", "")];
        let of = |project: &str, more: &[(&str, &str, &str)]| versions(project, &[&b, more].concat());
        assert_eq!(of("b = \">=1\"\n", &[]), ["b 3.0"]);
        assert_eq!(of("b = \">=1\"\na = \"*\"\n", &[("a", "1.0", "b = \"<3\"")]), ["a 1.0", "b 2.0"]);
        // Which one `a` is decides before what it requires does.
        let a = [("a", "1.0", "b = \"<2\""), ("a", "2.0", "b = \"*\"")];
        assert_eq!(of("a = \"*\"\n", &a), ["a 2.0", "b 3.0"]);
        let apart = of("b = \"<2\"\na = \"*\"\n", &[("a", "1.0", "b = \">2\"")]);
        assert!(apart.contains(&"b: two versions".to_owned()), "{apart:?}");
    }
}
