//! Whether a `uv.lock` belongs to the `pyproject.toml` beside it.
//!
//! uv writes what a project asked for into the lock, as `[package.metadata]`, and compares that with the
//! project file (`uv lock --check`). The same is done here for the one project file that is at hand. Not
//! compared are the targets of `[tool.uv.sources]`, and the files of other projects of a workspace.

use crate::input::{get_str, get_strings, get_table};
use crate::project::{Declared, Project, RequiresPython};
use crate::specifier::{Constraint, Dependency, all_markers, normal_extra, releases, same_condition};
use pep440_rs::{Version, VersionSpecifiers};
use std::collections::BTreeSet;
use std::str::FromStr;
use toml::de::{DeTable, DeValue};

/// A lock and a project file.
pub(crate) struct Comparison<'a, 'i> {
    pub(crate) lock: &'a DeTable<'i>,
    /// The project in the lock; `None` for a workspace without a project at its top.
    pub(crate) package: Option<Package<'a, 'i>>,
    pub(crate) project: &'a Project,
    pub(crate) project_table: &'a DeTable<'i>,
    /// The range of the lock.
    pub(crate) requires_python: Option<&'a RequiresPython>,
}

/// Most requirements of one list that are compared.
const MOST_REQUIREMENTS: usize = 2000;

/// What one side asks for.
struct Asked {
    name: String,
    extras: BTreeSet<String>,
    /// `None` where something else than versions decides: a folder, a repository, a URL.
    specifiers: Option<BTreeSet<String>>,
    marker: Option<String>,
    text: String,
}

impl Comparison<'_, '_> {
    /// What differs, with its place in the lock where it has one: lower-case fragments.
    pub(crate) fn differences(&self) -> Vec<(String, Option<usize>)> {
        let mut found = Vec::new();
        self.python(&mut found);
        let metadata = match self.package {
            Some((_, package)) => get_table(package, "metadata"),
            None => get_table(self.lock, "manifest"),
        };
        if self.package.is_some()
            && !self.is_dynamic("dependencies")
            && !self.is_dynamic("optional-dependencies")
        {
            let locked = metadata.and_then(|table| table.get("requires-dist"));
            self.compare(
                self.asked_of_main(locked.map(|l| l.get_ref())),
                locked.map(|l| l.get_ref()),
                "",
                &mut found,
            );
            if let Some(locked) = metadata.filter(|table| table.get("provides-extras").is_some()) {
                let locked: BTreeSet<String> =
                    get_strings(locked, "provides-extras").into_iter().map(normal_extra).collect();
                for extra in self.project.extras.symmetric_difference(&locked) {
                    found.push((format!("the extra `{extra}` {}", appeared(!locked.contains(extra))), None));
                }
            }
        }
        let key = if self.package.is_some() { "requires-dev" } else { "dependency-groups" };
        self.groups(metadata.and_then(|table| get_table(table, key)), &mut found);
        if self.is_top() {
            self.rules(&mut found);
            self.environments(&mut found);
        }
        found
    }

    fn is_dynamic(&self, key: &str) -> bool {
        let project = get_table(self.project_table, "project");
        project.is_some_and(|table| get_strings(table, "dynamic").contains(&key))
    }

    /// Whether the project file is the one at the top of the workspace.
    fn is_top(&self) -> bool {
        let source = self.package.and_then(|(_, package)| get_table(package, "source"));
        source.is_none_or(|source| {
            ["virtual", "editable", "directory"].into_iter().any(|key| get_str(source, key) == Some("."))
        })
    }

    fn python(&self, found: &mut Vec<(String, Option<usize>)>) {
        let (Some(own), Some(locked)) = (&self.project.requires_python, self.requires_python) else { return };
        let at = self.lock.get("requires-python").map(|value| value.span().start);
        let members = get_table(self.lock, "manifest").map_or(0, |m| get_strings(m, "members").len());
        let fits = if members > 1 {
            // The lock of a workspace is for the Pythons that all its projects accept.
            python_releases(&own.constraint, &locked.constraint)
                .iter()
                .all(|version| !locked.constraint.contains(version) || own.constraint.contains(version))
        } else {
            same_versions(&own.constraint, &locked.constraint)
        };
        if !fits {
            found.push((format!("it is for Python `{}`, the project for `{}`", locked.text, own.text), at));
        }
    }

    fn groups(&self, locked: Option<&DeTable<'_>>, found: &mut Vec<(String, Option<usize>)>) {
        let names: BTreeSet<String> = locked
            .into_iter()
            .flat_map(|groups| groups.iter())
            .map(|(name, _)| normal_extra(name.get_ref()))
            .collect();
        for group in self.project.groups.iter().filter(|group| *group != "main") {
            let list = locked.and_then(|groups| {
                groups.iter().find(|(name, _)| normal_extra(name.get_ref()) == *group).map(|(_, list)| list)
            });
            let declared: Vec<&Declared> =
                self.project.declared.iter().filter(|d| d.group == *group).collect();
            if list.is_none() && !declared.is_empty() {
                found.push((format!("the group `{group}` {}", appeared(true)), None));
                continue;
            }
            let place = format!(" of the group `{group}`");
            let own = declared.into_iter().filter_map(|one| asked(&one.text, None)).collect();
            self.compare(own, list.map(|l| l.get_ref()), &place, found);
        }
        for group in names.difference(&self.project.groups) {
            found.push((format!("the group `{group}` {}", appeared(false)), None));
        }
    }

    /// The environments that the resolution is limited to.
    fn environments(&self, found: &mut Vec<(String, Option<usize>)>) {
        let uv = get_table(self.project_table, "tool").and_then(|tool| get_table(tool, "uv"));
        let mut own = uv.map(|uv| get_strings(uv, "environments")).unwrap_or_default();
        own.extend(uv.and_then(|uv| get_str(uv, "environments")));
        let locked = get_strings(self.lock, "supported-markers");
        let among = |one: &str, all: &[&str]| {
            all.iter().any(|other| same_condition(Some(one), Some(other), &|version| self.accepts(version)))
        };
        if own.iter().any(|one| !among(one, &locked)) || locked.iter().any(|one| !among(one, &own)) {
            let at = self.lock.get("supported-markers").map(|value| value.span().start);
            found.push(("the environments that it is for have changed".to_owned(), at));
        }
    }

    /// Whether the lock is for a Python.
    fn accepts(&self, version: &Version) -> bool {
        self.requires_python.is_none_or(|python| python.constraint.contains(version))
    }

    /// Constraints and overrides, which the lock keeps for the whole workspace.
    fn rules(&self, found: &mut Vec<(String, Option<usize>)>) {
        let manifest = get_table(self.lock, "manifest");
        let uv = get_table(self.project_table, "tool").and_then(|tool| get_table(tool, "uv"));
        for (own, locked, what) in [
            ("constraint-dependencies", "constraints", " among the constraints"),
            ("override-dependencies", "overrides", " among the overrides"),
        ] {
            let list = uv.and_then(|uv| uv.get(own)).and_then(|list| list.get_ref().as_array());
            let texts =
                list.into_iter().flat_map(|list| list.iter()).filter_map(|item| item.get_ref().as_str());
            let own: Vec<Asked> = texts.filter_map(|text| asked(text, None)).collect();
            let locked = manifest.and_then(|manifest| manifest.get(locked));
            self.compare(own, locked.map(|l| l.get_ref()), what, found);
        }
    }

    /// What the project asks for itself. uv writes `project[fast]` among its requirements as what the extra `fast` asks for;
    /// its first versions wrote it as it stands.
    fn asked_of_main(&self, locked: Option<&DeValue<'_>>) -> Vec<Asked> {
        let name = self.package.and_then(|(_, package)| get_str(package, "name")).map(normal_extra);
        let mut entries = locked.and_then(DeValue::as_array).into_iter().flat_map(|list| list.iter());
        let is_flat = !entries.any(|entry| {
            let entry = entry.get_ref().as_table().and_then(|entry| get_str(entry, "name")).map(normal_extra);
            entry == name
        });
        let own = || self.project.declared.iter().filter(|declared| declared.group == "main");
        let condition =
            |declared: &Declared| declared.enabled_by.first().map(|extra| format!("extra == '{extra}'"));
        let mut found: Vec<Asked> = Vec::new();
        for declared in own() {
            let mut open: Vec<Asked> = asked(&declared.text, condition(declared)).into_iter().collect();
            let mut seen = BTreeSet::new();
            while let Some(one) = open.pop() {
                if !is_flat || Some(&one.name) != name.as_ref() || one.extras.is_empty() {
                    found.push(one);
                    continue;
                }
                for extra in one.extras {
                    if found.len() + open.len() > MOST_REQUIREMENTS
                        || !seen.insert((extra.clone(), one.marker.clone()))
                    {
                        continue;
                    }
                    let of_extra = own().filter(|declared| declared.enabled_by.first() == Some(&extra));
                    open.extend(of_extra.filter_map(|declared| asked(&declared.text, one.marker.clone())));
                }
            }
        }
        found
    }

    fn compare(
        &self,
        own: Vec<Asked>,
        locked: Option<&DeValue<'_>>,
        place: &str,
        found: &mut Vec<(String, Option<usize>)>,
    ) {
        let entries = locked.and_then(DeValue::as_array);
        let locked: Vec<(Asked, usize)> = entries
            .into_iter()
            .flat_map(|list| list.iter())
            .filter_map(|entry| Some((locked_asked(entry.get_ref().as_table()?)?, entry.span().start)))
            .collect();
        if locked.len() > MOST_REQUIREMENTS || own.len() > MOST_REQUIREMENTS {
            found.push((
                format!("more than {MOST_REQUIREMENTS} requirements{place} cannot be compared"),
                None,
            ));
            return;
        }
        let is_own = |one: &Asked| own.iter().any(|other| self.same(other, one));
        let was = |name: &str| {
            let mut others = locked.iter().filter(|(other, _)| other.name == name && !is_own(other));
            let first = others.next();
            first.filter(|_| others.next().is_none())
        };
        let mut told = Vec::new();
        for one in &own {
            if locked.iter().any(|(other, _)| self.same(one, other)) {
                continue;
            }
            match was(&one.name) {
                Some((other, at)) if other.text != one.text => {
                    told.push(*at);
                    let message = format!(
                        "the project asks for `{}`{place}, and the lock was made for `{}`",
                        one.text, other.text
                    );
                    found.push((message, Some(*at)));
                }
                _ => found.push((format!("`{}`{place} is not what the lock has", one.text), None)),
            }
        }
        for (one, at) in &locked {
            if !is_own(one) && !told.contains(at) {
                found.push((format!("the lock has `{}`{place}, the project has not", one.text), Some(*at)));
            }
        }
    }

    fn same(&self, own: &Asked, locked: &Asked) -> bool {
        if own.name != locked.name || own.extras != locked.extras {
            return false;
        }
        // Several sources for one name, each under its own marker, make several entries of one requirement.
        let sources = get_table(self.project_table, "tool")
            .and_then(|tool| get_table(tool, "uv"))
            .and_then(|uv| get_table(uv, "sources"));
        let mut sources = sources.into_iter().flat_map(|sources| sources.iter());
        let split = sources.any(|(name, source)| {
            normal_extra(name.get_ref()) == own.name && source.get_ref().as_array().is_some()
        });
        if split {
            return true;
        }
        let versions = match (&own.specifiers, &locked.specifiers) {
            (Some(own), Some(locked)) => own == locked,
            _ => true,
        };
        versions
            && same_condition(own.marker.as_deref(), locked.marker.as_deref(), &|version| {
                self.accepts(version)
            })
    }
}

fn appeared(is_new: bool) -> &'static str {
    if is_new { "is new in the project" } else { "is gone from the project" }
}

/// What a dependency specifier asks for, under a further condition.
fn asked(text: &str, condition: Option<String>) -> Option<Asked> {
    let dependency = Dependency::parse(text).ok()?;
    Some(Asked {
        name: dependency.name.to_string(),
        extras: dependency.extras.into_iter().collect(),
        specifiers: dependency.url.is_none().then(|| texts(&dependency.specifiers)),
        marker: all_markers(dependency.marker.into_iter().chain(condition)),
        text: text.to_owned(),
    })
}

/// What an entry of the lock's metadata asks for.
fn locked_asked(entry: &DeTable<'_>) -> Option<Asked> {
    let name = normal_extra(get_str(entry, "name")?);
    let specifier = get_str(entry, "specifier").unwrap_or("");
    let elsewhere = ["git", "url", "path", "directory", "editable", "virtual"];
    let is_elsewhere = elsewhere.into_iter().any(|key| entry.get(key).is_some());
    Some(Asked {
        extras: get_strings(entry, "extras").into_iter().map(normal_extra).collect(),
        specifiers: (!is_elsewhere).then(|| {
            VersionSpecifiers::from_str(specifier).map_or_else(|_| BTreeSet::new(), |all| texts(&all))
        }),
        marker: get_str(entry, "marker").map(str::to_owned),
        text: format!("{name}{specifier}"),
        name,
    })
}

fn texts(specifiers: &VersionSpecifiers) -> BTreeSet<String> {
    specifiers.iter().map(ToString::to_string).collect()
}

fn python_releases(a: &Constraint, b: &Constraint) -> Vec<Version> {
    let texts = format!("{a},{b}");
    let named = texts.split(',').map(|part| part.trim_start_matches(|c: char| !c.is_ascii_digit()).trim());
    releases(named)
}

/// Whether two constraints accept the same Pythons.
pub(crate) fn same_versions(a: &Constraint, b: &Constraint) -> bool {
    python_releases(a, b).iter().all(|version| a.contains(version) == b.contains(version))
}

/// A package of the lock, with where it stands.
pub(crate) type Package<'a, 'i> = (usize, &'a DeTable<'i>);
