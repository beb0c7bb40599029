//! Where a workspace asks for what moved: the line of the project file for a distribution, as the build read it, with the commit that changed
//! it; and the pin of a base.

use crate::base_packages::name_packages;
use crate::named_build::NamedBuild;
use crate::source_files::SourceFiles;
use kiln_audit::{CauseKind, ComponentChangeKind, Diff};
use kiln_invocation::Environment;
use kiln_record::{Digest, DistributionName, Ecosystem, InputRole, excerpt};
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
                let commit = if is_new { now.commit(asked.path) } else { String::new() };
                format!("; asked for at {asked}{}{commit}", was.unwrap_or_default())
            }
            (Some(asked), None) => {
                let commit = now.commit(asked.path);
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
    texts: Vec<(&'a str, String)>,
}

/// A line that asks for a distribution.
struct Asked<'a> {
    path: &'a str,
    number: usize,
    line: String,
}

impl fmt::Display for Asked<'_> {
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
            Some((input.name.as_str(), text))
        });
        let texts = texts.collect();
        Self { files, texts }
    }

    fn line_about(&self, name: &str) -> Option<Asked<'a>> {
        self.texts.iter().find_map(|(path, text)| {
            let (number, line) = line_about(text, name)?;
            Some(Asked { path, number, line })
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

/// Lists of a project file that hold no requirements of what is built.
const OTHER_LISTS: [&str; 9] = [
    "authors",
    "classifiers",
    "dynamic",
    "exclude",
    "include",
    "keywords",
    "license-files",
    "packages",
    "requires",
];

/// The first line that asks for a distribution, with what it says: a requirement of a list or of a file of requirements, or the key of a
/// table of dependencies.
fn line_about(text: &str, name: &str) -> Option<(usize, String)> {
    let asks = |requirement: &str| {
        let word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let end = requirement.find(|c| !word(c)).unwrap_or(requirement.len());
        requirement[..end].parse::<DistributionName>().is_ok_and(|found| found.as_str() == name)
    };
    let mut list: Option<&str> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let opened = line
            .split_once('=')
            .filter(|(_, value)| value.trim_start().starts_with('['))
            .map(|(key, _)| key.trim());
        list = opened.or(list);
        let found = match line.chars().next() {
            None | Some('#') => None,
            _ if list.is_some_and(|list| OTHER_LISTS.contains(&list)) => None,
            Some('"' | '\'') => quoted(line).find(|one| asks(one)),
            _ if opened.is_some() => quoted(line).find(|one| asks(one)),
            Some('[' | ']') => None,
            Some(_) => Some(line.trim_start_matches(['-', ' '])).filter(|line| asks(line)),
        };
        if let Some(found) = found {
            return Some((number, found.trim_end_matches(" \\").to_owned()));
        }
        if line.starts_with(']') || (opened.is_some() && line.ends_with(']')) {
            list = None;
        }
    }
    None
}

/// What stands between quotes in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.find(['"', '\''])?;
        let quote = rest[start..].chars().next()?;
        let inside = &rest[start + 1..];
        let end = inside.find(quote)?;
        rest = &inside[end + 1..];
        Some(&inside[..end])
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
        let requirements = "# tabulate\n-r other.in\nrequests<3  # why\ntabulate\n";
        assert_eq!(found(requirements, "tabulate"), at(4, "tabulate"));
        assert_eq!(found(requirements, "requests"), at(3, "requests<3  # why"));
    }
}
