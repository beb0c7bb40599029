//! What a `pyproject.toml` asks for: `[project]`, `[dependency-groups]`, `[tool.poetry]` and `[tool.uv]`.

use super::declaration::{Declaration, Wanted};
use crate::input::{InputProblem, Lines, ProblemKind, get_str, get_strings, get_table, parse_toml};
use crate::project::{Declared, Notation, Project, is_asked_for, read_project, specifier};
use crate::specifier::{Dependency, normal_extra, poetry_constraint};
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Keys with which Poetry takes a dependency from elsewhere than the index.
const ELSEWHERE: [&str; 5] = ["git", "path", "url", "file", "source"];

/// Reads what a project file asks for, with these groups and extras.
///
/// # Errors
/// Every problem of the file, among them groups and extras that it does not have.
pub fn declare_project(
    file: &str,
    text: &str,
    groups: &[String],
    extras: &[String],
) -> Result<Declaration, Vec<InputProblem>> {
    let document = parse_toml(file, text)?;
    let root = document.get_ref();
    let tool = |name: &str| get_table(root, "tool").and_then(|tool| get_table(tool, name));
    let poetry = tool("poetry");
    // Where Poetry has a table, uv's says nothing.
    let uv = tool("uv").filter(|_| poetry.is_none());
    let standard = get_table(root, "project");
    let notation = if poetry.is_some() { Notation::Poetry } else { Notation::Uv };
    let project = read_project(file, text, root, notation)?;
    let mut problems = Vec::new();

    if let Some(standard) = standard.filter(|_| poetry.is_none()) {
        refuse_dynamic(file, standard, &mut problems);
    }
    let name = [standard, poetry].into_iter().flatten().find_map(|table| get_str(table, "name"));
    let name = name.map(normal_extra).unwrap_or_default();
    let chosen = Chosen::new(file, &project, &name, groups, extras, &mut problems);
    let origins = Origins {
        file,
        details: poetry.map(|poetry| PoetryDetails::read(&Lines::new(text), poetry)),
        standard,
        uv_sources: uv.and_then(|uv| get_table(uv, "sources")),
    };
    let mut wanted: Vec<Wanted> = Vec::new();
    for declared in project.declared {
        if declared.name.as_str() == name || !chosen.asks_for(&declared) {
            continue;
        }
        if wanted.iter().any(|known| known.declared.name == declared.name && known.declared == declared) {
            continue;
        }
        if let Some(problem) = origins.refusal(&declared) {
            problems.push(problem);
            continue;
        }
        match specifier(&declared, origins.wants_prereleases(&declared)) {
            Ok(specifier) => {
                let origin = chosen.origin(file, &declared);
                wanted.push(Wanted { declared, specifier, origin });
            }
            Err(message) => problems.push(
                InputProblem::new(
                    ProblemKind::Unsupported,
                    file,
                    Some(declared.line),
                    format!("{}: {message}", declared.name),
                )
                .remedy("write one range with exclusions, such as >=1,<4,!=2.*")
                .remedy("or lock with `poetry lock` and name poetry.lock"),
            ),
        }
    }
    let mut listed =
        |key: &str| uv.map(|uv| specifiers_of_uv(file, uv, key, &mut problems)).unwrap_or_default();
    let constraints = listed("constraint-dependencies");
    let overrides = listed("override-dependencies");
    if problems.is_empty() {
        Ok(Declaration {
            file: file.to_owned(),
            wanted,
            constraints,
            overrides,
            requires_python: project.requires_python,
            prereleases: uv.is_some_and(|uv| get_str(uv, "prerelease") == Some("allow")),
            remarks: Vec::new(),
        })
    } else {
        problems.sort_by_key(|problem| problem.line);
        Err(problems)
    }
}

/// What a project leaves to its build backend is not known here.
fn refuse_dynamic(file: &str, standard: &DeTable<'_>, problems: &mut Vec<InputProblem>) {
    let dynamic = get_strings(standard, "dynamic");
    for key in ["dependencies", "optional-dependencies"].into_iter().filter(|key| dynamic.contains(key)) {
        let message = format!("`dynamic` leaves `{key}` to a build backend, which kiln does not run");
        problems.push(
            InputProblem::new(ProblemKind::Unsupported, file, None, message)
                .remedy("write them under [project], or lock with another tool"),
        );
    }
}

/// The groups and extras that are chosen, by the names that the project has for them.
struct Chosen {
    groups: BTreeSet<String>,
    extras: BTreeSet<String>,
}

impl Chosen {
    fn new(
        file: &str,
        project: &Project,
        name: &str,
        groups: &[String],
        extras: &[String],
        problems: &mut Vec<InputProblem>,
    ) -> Self {
        let mut groups = names_of_project(file, "group", groups, &project.groups, problems);
        groups.insert("main".to_owned());
        let extras = names_of_project(file, "extra", extras, &project.extras, problems);
        let mut chosen = Self { groups, extras };
        // An extra can ask for other extras of the project by its own name.
        loop {
            let more: BTreeSet<String> = project
                .declared
                .iter()
                .filter(|d| d.name.as_str() == name && chosen.asks_for(d))
                .flat_map(|d| d.extras.iter().cloned())
                .filter(|extra| !chosen.extras.contains(extra))
                .collect();
            if more.is_empty() {
                return chosen;
            }
            chosen.extras.extend(more);
        }
    }

    fn asks_for(&self, declared: &Declared) -> bool {
        is_asked_for(declared, &self.groups, &self.extras)
    }

    /// The file, with the group or the extras by which a requirement is asked for.
    fn origin(&self, file: &str, declared: &Declared) -> String {
        if declared.group != "main" {
            return format!("{file} (group {})", declared.group);
        }
        if declared.enabled_by.is_empty() {
            return file.to_owned();
        }
        let by = declared.enabled_by.iter().filter(|extra| self.extras.contains(*extra));
        format!("{file} (extra {})", by.map(String::as_str).collect::<Vec<_>>().join(", "))
    }
}

/// The names asked for, as the project has them.
fn names_of_project(
    file: &str,
    what: &str,
    asked: &[String],
    known: &BTreeSet<String>,
    problems: &mut Vec<InputProblem>,
) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for name in asked {
        let normal = normal_extra(name);
        match known.iter().find(|known| *known == name || normal_extra(known) == normal) {
            Some(known) => drop(found.insert(known.clone())),
            None => {
                let there: Vec<&str> = known.iter().map(String::as_str).collect();
                let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
                let message = format!(
                    "the manifest asks for the {what} `{name}`, which the project does not have ({what}s: {there})"
                );
                problems.push(InputProblem::new(ProblemKind::Invalid, file, None, message).remedy(format!(
                    "correct or remove `{name}` in `{what}s` under [python] of the manifest"
                )));
            }
        }
    }
    found
}

/// Where the project file takes requirements from.
struct Origins<'a, 'i> {
    file: &'a str,
    /// What Poetry's tables say, if there are any.
    details: Option<PoetryDetails>,
    standard: Option<&'a DeTable<'i>>,
    /// `[tool.uv.sources]`.
    uv_sources: Option<&'a DeTable<'i>>,
}

impl Origins<'_, '_> {
    /// The problem of a requirement that is taken from elsewhere than the index.
    fn refusal(&self, declared: &Declared) -> Option<InputProblem> {
        let name = &declared.name;
        let refuse = |line: usize, message: String| {
            InputProblem::new(ProblemKind::Unsupported, self.file, Some(line), message)
                .remedy("take it from an index; own code belongs in [source]")
                .remedy("or lock with the project's own tool and name its lock")
        };
        if Dependency::parse(&declared.text).is_ok_and(|dependency| dependency.url.is_some()) {
            return Some(refuse(declared.line, format!("not supported: {name} is taken from a URL")));
        }
        let mut sources = self.uv_sources.into_iter().flat_map(|sources| sources.iter());
        if sources.any(|(key, _)| normal_extra(key.get_ref()) == name.as_str()) {
            return Some(refuse(
                declared.line,
                format!("not supported: [tool.uv.sources] takes {name} from elsewhere than the index"),
            ));
        }
        let refused = &self.details.as_ref()?.refused;
        let here = refused.get(&(name.to_string(), declared.line)).or_else(|| {
            // With [project] dependencies, Poetry's own table only says where they are from.
            self.standard.filter(|standard| standard.get("dependencies").is_some())?;
            refused.iter().find(|((other, _), _)| other == name.as_str()).map(|(_, refused)| refused)
        });
        here.map(|(line, message)| refuse(*line, message.clone()))
    }

    fn wants_prereleases(&self, declared: &Declared) -> bool {
        self.details.as_ref().is_some_and(|details| details.prereleases.contains(declared.name.as_str()))
    }
}

/// The specifiers of a list under `[tool.uv]`.
fn specifiers_of_uv(
    file: &str,
    uv: &DeTable<'_>,
    key: &str,
    problems: &mut Vec<InputProblem>,
) -> Vec<String> {
    let mut specifiers = Vec::new();
    for text in get_strings(uv, key) {
        match Dependency::parse(text) {
            Ok(dependency) if dependency.url.is_none() => specifiers.push(text.to_owned()),
            _ => {
                let message =
                    format!("[tool.uv] `{key}` has an entry that is no version of an index's distribution");
                problems.push(
                    InputProblem::new(ProblemKind::Unsupported, file, None, message).remedy("remove it"),
                );
            }
        }
    }
    specifiers
}

/// What Poetry's tables say beside versions.
struct PoetryDetails {
    /// Where and why an entry cannot be locked from an index, by name and the line at which the entry is
    /// declared.
    refused: BTreeMap<(String, usize), (usize, String)>,
    /// Distributions whose pre-releases are wanted.
    prereleases: BTreeSet<String>,
}

impl PoetryDetails {
    fn read(lines: &Lines, poetry: &DeTable<'_>) -> Self {
        let mut details = Self { refused: BTreeMap::new(), prereleases: BTreeSet::new() };
        let groups = get_table(poetry, "group").into_iter().flat_map(|groups| groups.iter());
        let of_groups =
            groups.filter_map(|(_, group)| get_table(group.get_ref().as_table()?, "dependencies"));
        let tables = [get_table(poetry, "dependencies"), get_table(poetry, "dev-dependencies")];
        for (key, value) in tables.into_iter().flatten().chain(of_groups).flat_map(|table| table.iter()) {
            if key.get_ref() == "python" {
                continue;
            }
            let name = normal_extra(key.get_ref());
            let choices: Vec<&Spanned<DeValue<'_>>> = match value.get_ref() {
                DeValue::Array(items) => items.iter().collect(),
                _ => vec![value],
            };
            for choice in choices {
                let at = if std::ptr::eq(choice, value) { key.span() } else { choice.span() };
                let line = lines.of(at.start);
                if let Some(message) = details.refusal(&name, choice.get_ref()) {
                    details.refused.insert((name.clone(), line), (line, message));
                }
            }
        }
        details
    }

    fn refusal(&mut self, name: &str, choice: &DeValue<'_>) -> Option<String> {
        let version = match choice {
            DeValue::String(text) => Some(text.as_ref()),
            DeValue::Table(table) => {
                if let Some(key) = ELSEWHERE.iter().find(|key| table.get(**key).is_some()) {
                    return Some(format!(
                        "not supported: `{key}` takes {name} from elsewhere than the index"
                    ));
                }
                if table.get("allow-prereleases").and_then(|value| value.get_ref().as_bool()) == Some(true) {
                    self.prereleases.insert(name.to_owned());
                }
                get_str(table, "version")
            }
            _ => None,
        };
        match version.map(poetry_constraint) {
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(format!("{name}: {error}")),
            None => Some(format!("{name} has no version")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declare(text: &str, groups: &[&str], extras: &[&str]) -> Result<Declaration, Vec<InputProblem>> {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        declare_project("app/pyproject.toml", text, &owned(groups), &owned(extras))
    }

    #[track_caller]
    fn check(text: &str, groups: &[&str], extras: &[&str], expected: &[&str]) -> Declaration {
        let found = declare(text, groups, extras).unwrap();
        let specifiers: Vec<&str> = found.wanted.iter().map(|wanted| wanted.specifier.as_str()).collect();
        assert_eq!(specifiers, expected);
        found
    }

    const STANDARD: &str = r#"
[project]
name = "My.App"
requires-python = ">=3.11"
dependencies = ["requests >=2.31", "idna ; sys_platform == 'win32'"]
[project.optional-dependencies]
s3 = ["boto3"]
fast = ["orjson>=3"]
all = ["my-app[s3,fast]"]
[dependency-groups]
test = ["pytest>=8", { include-group = "lint" }]
lint = ["ruff"]
[tool.uv]
constraint-dependencies = ["urllib3<3"]
"#;

    #[test]
    fn the_packaging_standards() {
        let base = ["requests>=2.31", "idna ; sys_platform == 'win32'"];
        let found = check(STANDARD, &[], &[], &base);
        assert_eq!(found.constraints, ["urllib3<3"]);
        assert_eq!(found.requires_python.unwrap().text, ">=3.11");
        check(STANDARD, &[], &["S3"], &[&base[..], &["boto3"]].concat());
        check(STANDARD, &[], &["all"], &[&base[..], &["boto3", "orjson>=3"]].concat());
        let found =
            check(STANDARD, &["test"], &["fast"], &[&base[..], &["orjson>=3", "pytest>=8", "ruff"]].concat());
        let origins: Vec<&str> = found.wanted.iter().map(|wanted| wanted.origin.as_str()).collect();
        assert_eq!(
            origins[2..],
            [
                "app/pyproject.toml (extra fast)",
                "app/pyproject.toml (group test)",
                "app/pyproject.toml (group test)"
            ]
        );
    }

    #[test]
    fn names_must_exist() {
        let problems = declare(STANDARD, &["tests"], &["s4"]).unwrap_err();
        assert_eq!(problems.len(), 2);
        assert!(
            problems[0].message.contains("group `tests`") && problems[0].message.contains("lint, main, test")
        );
        assert!(problems[1].message.contains("extra `s4`") && problems[1].message.contains("all, fast, s3"));
    }

    #[test]
    fn poetry_means_what_poetry_says() {
        let text = r#"
[tool.poetry]
name = "app"
[tool.poetry.dependencies]
python = "^3.11"
a = "^0.2.3"
b = "^0.0.3"
c = "~1.2"
d = "1.2.*"
e = "*"
f = "1.4"
g = { version = ">=1,<2", extras = ["X_y"] }
h = [
  { version = "^1.0", python = "<3.12" },
  { version = "^2.0", python = ">=3.12", markers = "platform_machine == 'x86_64'" },
]
i = { version = "^2", platform = "linux" }
j = { version = "^3", optional = true }
k = { version = "*", optional = true }
l = { version = "^1", allow-prereleases = true }
m = "^1 || ^2"
[tool.poetry.extras]
more = ["j"]
[tool.poetry.group.dev.dependencies]
n = "^7"
"#;
        let main = [
            "a>=0.2.3,<0.3",
            "b>=0.0.3,<0.0.4",
            "c>=1.2,<1.3",
            "d==1.2.*",
            "e",
            "f==1.4",
            "g[x-y]>=1,<2",
            "h>=1.0,<2 ; python_version < \"3.12\"",
            "h>=2.0,<3 ; (platform_machine == 'x86_64') and (python_version >= \"3.12\")",
            "i>=2,<3 ; sys_platform == \"linux\"",
        ];
        let rest = ["l>=1,<2,>=0.dev0", "m>=1,<3"];
        let found = check(text, &[], &[], &[&main[..], &rest[..]].concat());
        assert_eq!(found.requires_python.unwrap().text, "^3.11");
        check(text, &["dev"], &["more"], &[&main[..], &["j>=3,<4"], &rest[..], &["n>=7,<8"]].concat());
    }

    #[test]
    fn what_is_not_from_an_index_is_refused() {
        for (text, part) in [
            ("[tool.poetry.dependencies]\nown = { path = \"../own\" }", "`path` takes own"),
            ("[tool.poetry.dependencies]\nown = { git = \"https://x/y\", rev = \"1\" }", "`git` takes own"),
            (
                "[tool.poetry.dependencies]\nown = { version = \"^1\", source = \"mine\" }",
                "`source` takes own",
            ),
            ("[tool.poetry.dependencies]\nown = \">=1,<2 || 5.0\"", "cannot express"),
            ("[tool.poetry.dependencies]\nown = \"one\"", "own"),
            ("[tool.poetry.dependencies]\nown = {}", "has no version"),
            ("[project]\ndependencies = [\"own @ https://u:secret@example.org/own.whl\"]", "from a URL"),
            (
                "[project]\ndependencies = [\"own\"]\n[tool.uv.sources]\nown = { path = \"x\" }",
                "[tool.uv.sources]",
            ),
            (
                "[project]\ndependencies = [\"own\"]\n[tool.poetry.dependencies]\nown = { git = \"x\" }",
                "`git` takes own",
            ),
            ("[project]\ndynamic = [\"dependencies\"]", "build backend"),
        ] {
            let problems = declare(text, &[], &[]).unwrap_err();
            assert!(problems[0].message.contains(part), "{text}: {}", problems[0].message);
            assert!(!problems[0].message.contains("secret"));
        }
        // What is not asked for does not matter.
        let unused = "[tool.poetry.dependencies]\na = \"^1\"\n[tool.poetry.group.dev.dependencies]\nown = { path = \"x\" }";
        check(unused, &[], &[], &["a>=1,<2"]);
    }
}
