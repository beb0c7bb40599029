//! Where a workspace asks for what moved: the line of the project file for a distribution, as the build read it, with the commit that changed
//! it; and the pin of a base.

use crate::base_packages::name_packages;
use crate::named_build::NamedBuild;
use crate::source_files::SourceFiles;
use kiln_audit::{CauseKind, ComponentChangeKind, Diff};
use kiln_invocation::Environment;
use kiln_record::{Digest, DistributionName, Ecosystem, InputRole, excerpt};
use std::borrow::Cow;
use std::fmt;

/// Adds to a comparison where the workspace asks for what moved: the line of the project file for a distribution whose lock moved, the pin of
/// a base and its packages.
pub fn name_declarations(
    environment: &Environment,
    before: &NamedBuild,
    after: &NamedBuild,
    diff: &mut Diff,
) {
    name_packages(environment, before, after, diff);
    for change in diff.components.iter_mut().filter(|change| change.cause.kind == CauseKind::Base) {
        let moved = diff.inputs.iter().filter(|input| change.cause.inputs.contains(&input.name));
        if let Some(stated) = moved.filter_map(|input| input.stated.as_ref()).next() {
            change.cause.text.push_str(&format!("; {stated}"));
        }
    }
    if !environment.has_workspace() {
        return;
    }
    let (then, now) = (Projects::of(environment, before), Projects::of(environment, after));
    for change in &mut diff.components {
        if change.cause.kind != CauseKind::Lock || change.id.ecosystem() != Ecosystem::Python {
            continue;
        }
        let told = match (then.line_about(&change.name), now.line_about(&change.name)) {
            (_, Some(asked)) if change.kind != ComponentChangeKind::Removed => {
                let was = then.line_about(&change.name).filter(|was| was.line != asked.line);
                let is_new = was.is_some() || then.line_about(&change.name).is_none();
                let was = was.map(|was| format!(", was `{}`", excerpt(&was.line)));
                let commit = if is_new { now.commit(&asked.path) } else { String::new() };
                format!("; asked for at {asked}{}{commit}", was.unwrap_or_default())
            }
            (Some(asked), None) => {
                let commit = now.commit(&asked.path);
                format!("; was asked for at {asked}, and is not any more{commit}")
            }
            _ => continue,
        };
        change.cause.text.push_str(&told);
    }
}

/// The project files of a build, as it read them.
struct Projects<'a> {
    files: SourceFiles<'a>,
    texts: Vec<(Cow<'a, str>, String)>,
}

/// A line that asks for a distribution.
struct Asked {
    path: String,
    number: usize,
    line: String,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} (`{}`)", self.path, self.number, excerpt(&self.line))
    }
}

impl<'a> Projects<'a> {
    fn of(environment: &'a Environment, build: &'a NamedBuild) -> Self {
        let files = SourceFiles::of(environment, build);
        let projects = build.record.inputs.iter().filter(|input| input.role == InputRole::Project);
        // Another file says nothing of this build.
        let texts = projects.filter_map(|input| {
            let text = files.text(&input.name, &|bytes| Digest::of(bytes) == input.digest)?;
            Some((Cow::Borrowed(input.name.as_str()), text))
        });
        let mut texts: Vec<(Cow<'a, str>, String)> = texts.collect();
        if texts.is_empty() {
            texts = Self::beside_locks(&files, build);
        }
        Self { files, texts }
    }

    /// Of locks that do not say what they were made from: the files that are usual for that, as the commit of the build has them.
    fn beside_locks(files: &SourceFiles<'_>, build: &NamedBuild) -> Vec<(Cow<'a, str>, String)> {
        let locks = build.record.inputs.iter().filter(|input| input.role == InputRole::Lock);
        let places = locks.flat_map(|input| {
            let (folder, file) = match input.name.rsplit_once('/') {
                Some((folder, file)) => (format!("{folder}/"), file),
                None => (String::new(), input.name.as_str()),
            };
            let list = file.strip_suffix(".txt").map(|stem| format!("{folder}{stem}.in"));
            list.into_iter().chain([format!("{folder}pyproject.toml")])
        });
        let read = places.filter_map(|path| files.committed(&path).map(|text| (Cow::Owned(path), text)));
        read.collect()
    }

    fn line_about(&self, name: &str) -> Option<Asked> {
        self.texts.iter().find_map(|(path, text)| {
            let (number, line) = line_about(text, name)?;
            Some(Asked { path: path.clone().into_owned(), number, line })
        })
    }

    /// The commit that changed a project file last, as a clause; nothing where that is not known.
    fn commit(&self, path: &str) -> String {
        let text = self.texts.iter().find(|(known, _)| *known == path).map(|(_, text)| text);
        let commit = text.and_then(|text| self.files.last_change(path, text));
        commit
            .map(|commit| format!(", changed by commit {}", &commit[..commit.len().min(12)]))
            .unwrap_or_default()
    }
}

/// The first line that asks for a distribution, with what it says: a requirement of a list or of a file of requirements, or the key of a
/// table of dependencies.
fn line_about(text: &str, name: &str) -> Option<(usize, String)> {
    let asks = |requirement: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let end = requirement.find(|c| !word(c)).unwrap_or(requirement.len());
        requirement[..end].parse::<DistributionName>().is_ok_and(|found| found.as_str() == name)
    };
    // What is before the first table of a project file is none of its own, so a file without tables is one of requirements.
    let is_project = text.lines().any(|line| header(line.trim()).is_some());
    let mut table: Option<String> = None;
    let mut list: Option<String> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(header) = header(line).filter(|_| list.is_none()) {
            // A distribution may have a table of its own.
            let (above, last) = header.rsplit_once('.').unwrap_or(("", header));
            if has_names(above) && asks(last.trim_matches(['"', '\''])) {
                return Some((number, line.to_owned()));
            }
            table = Some(header.to_owned());
            continue;
        }
        let opened = line
            .split_once('=')
            .filter(|(_, value)| list.is_none() && value.trim_start().starts_with('['))
            .map(|(key, _)| key.trim().to_owned());
        let is_open = opened.is_some();
        list = opened.or(list);
        let found = match (&table, &list) {
            (None, None) if !is_project => {
                Some(line.trim_start_matches(['-', ' '])).filter(|line| asks(line))
            }
            (Some(table), _) if has_names(table) && asks(line.trim_start_matches(['"', '\''])) => Some(line),
            (Some(table), Some(list)) if has_requirements(table, list) => {
                requirements(line).find(|one| asks(one))
            }
            _ => None,
        };
        if let Some(found) = found {
            return Some((number, found.trim_end_matches(" \\").to_owned()));
        }
        if line.starts_with(']') || (is_open && line.ends_with(']')) {
            list = None;
        }
    }
    None
}

/// The name of the table that a line begins.
fn header(line: &str) -> Option<&str> {
    let line = line.split(" #").next().unwrap_or(line).trim_end();
    let inside = line.strip_prefix('[')?.strip_suffix(']')?;
    let inside = inside.strip_prefix('[').and_then(|inside| inside.strip_suffix(']')).unwrap_or(inside);
    // Extras and lists are no tables.
    let is_name =
        !inside.is_empty() && inside.chars().all(|c| c.is_ascii_alphanumeric() || "._-\"' ".contains(c));
    is_name.then_some(inside)
}

/// Whether the keys of a table are distributions.
fn has_names(table: &str) -> bool {
    let last = table.rsplit('.').next().unwrap_or(table);
    matches!(last, "dependencies" | "dev-dependencies" | "packages" | "dev-packages" | "overrides")
        // Those of PDM hold lists, by the name of the group.
        && table != "tool.pdm.dev-dependencies"
}

/// Whether a list in a table of a project file is one of requirements.
fn has_requirements(table: &str, list: &str) -> bool {
    list.ends_with("dependencies")
        || matches!(
            table,
            "dependency-groups" | "project.optional-dependencies" | "tool.pdm.dev-dependencies"
        )
}

/// The requirements in a line of a list. Groups that are included, and options, are none.
fn requirements(line: &str) -> impl Iterator<Item = &str> {
    quoted(line).filter_map(|(before, text)| (!before.trim_end().ends_with('=')).then_some(text))
}

/// What stands between quotes in a line, each with what is before it, from the quote before on.
fn quoted(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.find(['"', '\''])?;
        let quote = rest[start..].chars().next()?;
        let before = &rest[..start];
        let inside = &rest[start + 1..];
        let end = inside.find(quote)?;
        rest = &inside[end + 1..];
        Some((before, &inside[..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::line_about;

    #[test]
    fn the_line_that_asks_is_found() {
        let found = |text: &str, name: &str| line_about(text, name);
        let at = |number: usize, line: &str| Some((number, line.to_owned()));
        let project = "[build-system]\nrequires = [\"six\"]\n[project]\nname = \"app\"\nkeywords = [\n  \"six\",\n]\ndependencies = \
                       [\n    \"Requests_Oauthlib<2\",\n    'requests[socks]<2.33',\n    \"six\",\n]\n";
        assert_eq!(found(project, "requests"), at(10, "requests[socks]<2.33"));
        assert_eq!(found(project, "requests-oauthlib"), at(9, "Requests_Oauthlib<2"));
        assert_eq!(found(project, "six"), at(11, "six"));
        assert_eq!(found(project, "urllib3"), None);
        let one_line =
            "[project]\ndependencies = [\"boto3\", \"requests<2; python_version > '3.8'\"]\nname = \"six\"\n";
        assert_eq!(found(one_line, "boto3"), at(2, "boto3"));
        assert_eq!(found(one_line, "requests"), at(2, "requests<2; python_version > '3.8'"));
        assert_eq!(found(one_line, "six"), None);
        let poetry = "[tool.poetry.dependencies]\nrequests = \"^2\"\n";
        assert_eq!(found(poetry, "requests"), at(2, "requests = \"^2\""));
        // A group that is included is none, and other tables name distributions for other reasons.
        let groups = "[tool.deptry.per_rule_ignores]\nDEP002 = [\"boto3\"]\n[dependency-groups]\ndev = [{include-group = \"six\"}, \
                      \"pytest==8\"]\nlambda = [\n  { include-group = \"boto3\" },\n  \"Boto3>=1\",\n]\n[project.scripts]\nsix = \"six:main\"\n";
        assert_eq!(found(groups, "six"), None);
        assert_eq!(found(groups, "boto3"), at(7, "Boto3>=1"));
        assert_eq!(found(groups, "pytest"), at(4, "pytest==8"));
        let pdm = "[project]\nname = \"app\"\ndependencies = []\n[tool.pdm.dev-dependencies]\nlambda = [\n    \"boto3>=1\",\n]\nsix = [\"tabulate\"]\n\
                   [tool.pdm.resolution.overrides]\nurllib3 = \"<2\"\n";
        assert_eq!(found(pdm, "boto3"), at(6, "boto3>=1"));
        assert_eq!(found(pdm, "tabulate"), at(8, "tabulate"));
        assert_eq!(found(pdm, "six"), None);
        assert_eq!(found(pdm, "urllib3"), at(10, "urllib3 = \"<2\""));
        let extras = "[project]\nname = \"app\"\n[project.optional-dependencies]\naws = [\"boto3[crt]>=1\"]\n[tool.poetry.extras]\nall = [\"six\"]\n";
        assert_eq!(found(extras, "boto3"), at(4, "boto3[crt]>=1"));
        assert_eq!(found(extras, "six"), None);
        let tables = "[tool.poetry.group.dev.dependencies]\nsix = [\n  { version = \"1\", python = \"<3.12\" },\n]\n\
                      [tool.poetry.dependencies.requests]\nversion = \"2\"\n[packages]\n\"boto3\" = \"*\"\n";
        assert_eq!(found(tables, "six"), at(2, "six = ["));
        assert_eq!(found(tables, "requests"), at(5, "[tool.poetry.dependencies.requests]"));
        assert_eq!(found(tables, "boto3"), at(8, "\"boto3\" = \"*\""));
        let requirements = "# tabulate\n-r other.in\nrequests<3  # why\ntabulate\n";
        assert_eq!(found(requirements, "tabulate"), at(4, "tabulate"));
        assert_eq!(found(requirements, "requests"), at(3, "requests<3  # why"));
    }
}
