//! `pyproject.toml` as Poetry and uv read it: `[project]` and `[dependency-groups]` of the packaging
//! specifications, and the tool's own table beside them.

use super::declared::{Declared, RequiresPython};
use super::poetry_table::{poetry_marker, version_of};
use crate::input::{InputProblem, Lines, ProblemKind, get_str, get_strings, get_table};
use crate::specifier::{Constraint, Dependency, normal_extra, poetry_constraint};
use kiln_record::DistributionName;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a project asks for.
pub(crate) struct Project {
    pub(crate) requires_python: Option<RequiresPython>,
    /// In the order of the file.
    pub(crate) declared: Vec<Declared>,
    pub(crate) groups: BTreeSet<String>,
    pub(crate) extras: BTreeSet<String>,
}

/// Which tool's own table counts beside those of the packaging specifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    /// `[tool.poetry]`.
    Poetry,
    /// `[tool.uv]`.
    Uv,
}

type Value<'i> = Spanned<DeValue<'i>>;

/// Reads a project file that has been parsed as TOML.
pub(crate) fn read_project(
    file: &str,
    text: &str,
    root: &DeTable<'_>,
    notation: Notation,
) -> Result<Project, Vec<InputProblem>> {
    let mut reader = Reader {
        file,
        text,
        lines: Lines::new(text),
        problems: Vec::new(),
        project: Project {
            requires_python: None,
            declared: Vec::new(),
            groups: BTreeSet::from(["main".to_owned()]),
            extras: BTreeSet::new(),
        },
    };
    let poetry = get_table(root, "tool").and_then(|tool| get_table(tool, "poetry"));
    let standard = get_table(root, "project");
    reader.standard(standard);
    if let Some(poetry) = poetry.filter(|_| notation == Notation::Poetry) {
        // With [project] dependencies, Poetry's own table only adds details to them (Poetry documentation,
        // "managing dependencies").
        let only_details = standard
            .is_some_and(|p| p.get("dependencies").is_some() || p.get("optional-dependencies").is_some());
        reader.poetry(poetry, only_details);
    }
    if notation == Notation::Uv
        && let Some(uv) = get_table(root, "tool").and_then(|tool| get_table(tool, "uv"))
        && let Some(value) = uv.get("dev-dependencies")
    {
        reader.project.groups.insert("dev".to_owned());
        reader.specifiers(value, "dev", &[]);
    }
    if let Some(groups) = get_table(root, "dependency-groups") {
        reader.dependency_groups(groups);
    }
    let Reader { mut problems, mut project, .. } = reader;
    if problems.is_empty() {
        project.declared.sort_by_key(|d| d.line);
        Ok(project)
    } else {
        problems.sort_by_key(|p| p.line);
        Err(problems)
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    lines: Lines,
    problems: Vec<InputProblem>,
    project: Project,
}

impl Reader<'_> {
    fn problem(&mut self, at: &Range<usize>, message: impl Into<String>) {
        let line = Some(self.lines.of(at.start));
        self.problems.push(InputProblem::new(ProblemKind::Invalid, self.file, line, message));
    }

    fn standard(&mut self, project: Option<&DeTable<'_>>) {
        let Some(project) = project else { return };
        if let Some(value) = project.get("requires-python") {
            self.requires_python(value, false);
        }
        if let Some(value) = project.get("dependencies") {
            self.specifiers(value, "main", &[]);
        }
        if let Some(optional) = get_table(project, "optional-dependencies") {
            for (extra, value) in optional {
                let extra = normal_extra(extra.get_ref());
                self.project.extras.insert(extra.clone());
                self.specifiers(value, "main", &[extra]);
            }
        }
    }

    fn requires_python(&mut self, value: &Value<'_>, poetry: bool) {
        let Some(text) = value.get_ref().as_str() else {
            self.problem(&value.span(), "the Python constraint is not a string");
            return;
        };
        let read = if poetry { poetry_constraint(text) } else { Constraint::pep440(text) };
        match read {
            Ok(constraint) => {
                self.project.requires_python = Some(RequiresPython {
                    text: text.to_owned(),
                    file: self.file.to_owned(),
                    line: self.lines.of(value.span().start),
                    constraint,
                });
            }
            Err(error) => self.problem(&value.span(), error.to_string()),
        }
    }

    /// An array of dependency specifiers.
    fn specifiers(&mut self, value: &Value<'_>, group: &str, enabled_by: &[String]) {
        let Some(items) = value.get_ref().as_array() else {
            self.problem(&value.span(), "the dependencies are not an array");
            return;
        };
        for item in items.iter() {
            let Some(text) = item.get_ref().as_str() else {
                self.problem(&item.span(), "a dependency is not a string");
                continue;
            };
            match Dependency::parse(text) {
                Ok(dependency) => self.project.declared.push(Declared {
                    name: dependency.name,
                    text: text.to_owned(),
                    file: self.file.to_owned(),
                    line: self.lines.of(item.span().start),
                    marker: dependency.marker,
                    constraint: Some(Constraint::from(dependency.specifiers)),
                    group: group.to_owned(),
                    extras: dependency.extras,
                    enabled_by: enabled_by.to_vec(),
                }),
                Err(error) => self.problem(&item.span(), error.to_string()),
            }
        }
    }

    fn poetry(&mut self, poetry: &DeTable<'_>, only_details: bool) {
        // Which extras of the project ask for which optional dependency.
        let mut enabled_by: BTreeMap<String, Vec<String>> = BTreeMap::new();
        if let Some(extras) = get_table(poetry, "extras") {
            for (extra, names) in extras {
                let extra = normal_extra(extra.get_ref());
                self.project.extras.insert(extra.clone());
                for name in names.get_ref().as_array().into_iter().flat_map(|a| a.iter()) {
                    if let Some(name) = name.get_ref().as_str() {
                        enabled_by.entry(normal_extra(name)).or_default().push(extra.clone());
                    }
                }
            }
        }
        if let Some(dependencies) = get_table(poetry, "dependencies") {
            for (name, value) in dependencies {
                if name.get_ref() == "python" {
                    self.requires_python(value, true);
                } else if !only_details {
                    self.poetry_dependency(name, value, "main", &enabled_by);
                }
            }
        }
        if let Some(dependencies) = get_table(poetry, "dev-dependencies") {
            self.poetry_group(dependencies, "dev");
        }
        if let Some(groups) = get_table(poetry, "group") {
            for (group, table) in groups {
                let group = group.get_ref().as_ref();
                self.project.groups.insert(group.to_owned());
                if let Some(dependencies) =
                    table.get_ref().as_table().and_then(|t| get_table(t, "dependencies"))
                {
                    self.poetry_group(dependencies, group);
                }
            }
            // A group can include others; what it includes is declared in it as well.
            for (group, table) in groups {
                let table = table.get_ref().as_table();
                for included in table.map(|t| get_strings(t, "include-groups")).unwrap_or_default() {
                    self.include_group(group.get_ref(), included);
                }
            }
        }
    }

    fn poetry_group(&mut self, dependencies: &DeTable<'_>, group: &str) {
        self.project.groups.insert(group.to_owned());
        for (name, value) in dependencies {
            self.poetry_dependency(name, value, group, &BTreeMap::new());
        }
    }

    /// One entry of a Poetry dependency table: a constraint, a table, or several tables of which the markers
    /// decide.
    fn poetry_dependency(
        &mut self,
        key: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Value<'_>,
        group: &str,
        enabled_by: &BTreeMap<String, Vec<String>>,
    ) {
        let name: DistributionName = match key.get_ref().parse() {
            Ok(name) => name,
            Err(error) => {
                self.problem(&key.span(), format!("{error}"));
                return;
            }
        };
        let choices: Vec<&Value<'_>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().collect(),
            _ => vec![value],
        };
        for choice in choices {
            let constraint = version_of(choice.get_ref());
            let (marker, extras, optional) = match choice.get_ref() {
                DeValue::String(_) => (Ok(None), Vec::new(), false),
                DeValue::Table(table) => (
                    poetry_marker(table),
                    get_strings(table, "extras").into_iter().map(normal_extra).collect(),
                    table.get("optional").and_then(|o| o.get_ref().as_bool()).unwrap_or(false),
                ),
                _ => (
                    Err("a dependency is a version, a table, or an array of tables".to_owned()),
                    Vec::new(),
                    false,
                ),
            };
            let marker = match marker {
                Ok(marker) => marker,
                Err(message) => {
                    self.problem(&choice.span(), format!("{name}: {message}"));
                    continue;
                }
            };
            let enabled_by = if optional {
                enabled_by.get(name.as_str()).cloned().unwrap_or_default()
            } else {
                Vec::new()
            };
            // Optional, but in no extra: nothing can ask for it.
            if optional && enabled_by.is_empty() {
                continue;
            }
            let line = if std::ptr::eq(choice, value) { key.span() } else { choice.span() };
            self.project.declared.push(Declared {
                text: self.source(key, choice),
                name: name.clone(),
                file: self.file.to_owned(),
                line: self.lines.of(line.start),
                marker,
                constraint,
                group: group.to_owned(),
                extras,
                enabled_by,
            });
        }
    }

    /// The text of an entry as the file has it, if it is short enough to show.
    fn source(&self, key: &Spanned<std::borrow::Cow<'_, str>>, value: &Value<'_>) -> String {
        let written = self.text.get(value.span()).unwrap_or("");
        if written.is_empty() || written.len() > 120 || written.contains('\n') || written.starts_with('[') {
            key.get_ref().to_string()
        } else {
            format!("{} = {written}", key.get_ref())
        }
    }

    fn dependency_groups(&mut self, groups: &DeTable<'_>) {
        for (group, value) in groups {
            let group = normal_extra(group.get_ref());
            self.project.groups.insert(group.clone());
            for item in value.get_ref().as_array().into_iter().flat_map(|a| a.iter()) {
                let Some(text) = item.get_ref().as_str() else { continue };
                match Dependency::parse(text) {
                    Ok(dependency) => self.project.declared.push(Declared {
                        name: dependency.name,
                        text: text.to_owned(),
                        file: self.file.to_owned(),
                        line: self.lines.of(item.span().start),
                        marker: dependency.marker,
                        constraint: Some(Constraint::from(dependency.specifiers)),
                        group: group.clone(),
                        extras: dependency.extras,
                        enabled_by: Vec::new(),
                    }),
                    Err(error) => self.problem(&item.span(), error.to_string()),
                }
            }
        }
        for (group, value) in groups {
            let group = normal_extra(group.get_ref());
            // Included groups may include further ones; the set of those seen ends a circle.
            let mut open: Vec<String> = includes(value);
            let mut seen = BTreeSet::from([group.clone()]);
            while let Some(included) = open.pop() {
                if seen.insert(included.clone()) {
                    self.include_group(&group, &included);
                    let next = groups.iter().find(|(name, _)| normal_extra(name.get_ref()) == included);
                    open.extend(next.map(|(_, value)| includes(value)).unwrap_or_default());
                }
            }
        }
    }

    /// Repeats for `group` what is declared directly in `included`.
    fn include_group(&mut self, group: &str, included: &str) {
        let copies: Vec<Declared> = self
            .project
            .declared
            .iter()
            .filter(|d| d.group == included && group != included)
            .map(|d| Declared { group: group.to_owned(), ..d.clone() })
            .filter(|d| !self.project.declared.contains(d))
            .collect();
        self.project.declared.extend(copies);
    }
}

fn includes(group: &Value<'_>) -> Vec<String> {
    let items = group.get_ref().as_array();
    items
        .into_iter()
        .flat_map(|a| a.iter())
        .filter_map(|item| get_str(item.get_ref().as_table()?, "include-group").map(normal_extra))
        .collect()
}
