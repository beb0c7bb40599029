//! `poetry.lock`, lock versions 1.0 to 2.1, with the `pyproject.toml` that it belongs to.

use super::file_place::FilePlace;
use super::locked::{
    Lock, LockFormat, Locked, LockedDependency, LockedFile, LockedIndex, SourceFolder, WeakFile,
};
use super::poetry_hash::is_fresh;
use crate::input::{
    InputProblem, Lines, ProblemKind, get_str, get_strings, get_table, parse_toml, too_large,
    without_credentials,
};
use crate::project::{
    Declared, Notation, Project, RequiresPython, identity, poetry_marker, read_project, version_of,
};
use crate::specifier::{Marker, normal_extra, poetry_constraint};
use kiln_record::{Digest, DistributionName};
use std::collections::BTreeSet;
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Reads a Poetry lock and the project file beside it, and checks that the two belong together.
///
/// # Errors
/// Every problem of both files; a lock that was made for another state of the project file is
/// [`ProblemKind::LockStale`].
pub fn parse_poetry(
    lock_file: &str,
    lock: &str,
    project_file: &str,
    project: &str,
) -> Result<Lock, Vec<InputProblem>> {
    let lock_root = parse_toml(lock_file, lock)?;
    let project_root = parse_toml(project_file, project)?;
    let mut problems = Vec::new();
    let read_project = match read_project(project_file, project, project_root.get_ref(), Notation::Poetry) {
        Ok(project) => Some(project),
        Err(found) => {
            problems.extend(found);
            None
        }
    };
    let mut reader = Reader { file: lock_file, lines: Lines::new(lock), problems };
    let lock_version = reader.version(lock_root.get_ref());
    let mut distributions = reader.packages(lock_root.get_ref());
    if let Some(version) = lock_version {
        let asked = read_project.as_ref().map_or(&[][..], |project| &project.declared);
        let unmet = unmet(asked, &distributions);
        reader.freshness(lock_root.get_ref(), project_root.get_ref(), (project_file, &unmet), version);
    }
    distributions.extend(own_project(lock_file, project_file, project, project_root.get_ref()));
    let requires_python = reader.requires_python(lock_root.get_ref());
    match read_project {
        Some(project) if reader.problems.is_empty() => {
            Ok(join(lock_file, project, distributions, requires_python, lock))
        }
        _ => Err(reader.problems),
    }
}

/// What the project file asks for and the lock does not have, in its order. Poetry keeps no more than a hash of what a lock was made
/// for, so what is asked for no longer, and a change that the locked versions still fit, cannot be told.
fn unmet(asked: &[Declared], locked: &[Locked]) -> Vec<String> {
    let found = asked.iter().filter_map(|asked| {
        let Declared { name, text, line, constraint, .. } = asked;
        let there: Vec<&Locked> = locked.iter().filter(|locked| locked.name == *name).collect();
        if there.is_empty() {
            return Some(format!("line {line} of it asks for `{text}`, which the lock does not have"));
        }
        let fits = |locked: &&Locked| {
            let version = locked.version.parse();
            locked.not_from_index.is_some()
                || version
                    .is_ok_and(|version| constraint.as_ref().is_none_or(|asked| asked.contains(&version)))
        };
        let versions: Vec<&str> = there.iter().map(|locked| locked.version.as_str()).collect();
        (!there.iter().any(fits)).then(|| {
            format!("line {line} of it asks for `{text}`, and the lock has {}", versions.join(" and "))
        })
    });
    found.collect()
}

/// The project itself, which a Poetry lock does not list, if it is a package of a known name and version. It belongs to
/// the lock only where it lies beside it.
fn own_project(lock_file: &str, project_file: &str, text: &str, root: &DeTable<'_>) -> Option<Locked> {
    let poetry = get_table(root, "tool").and_then(|tool| get_table(tool, "poetry"));
    let mode = poetry.and_then(|poetry| poetry.get("package-mode")?.get_ref().as_bool());
    let folder = project_file.rsplit_once('/').map_or("", |(folder, _)| folder);
    if mode == Some(false) || lock_file.rsplit_once('/').map_or("", |(folder, _)| folder) != folder {
        return None;
    }
    let (name, version) = identity(project_file, text).ok()?;
    Some(Locked {
        name,
        version: version.unwrap_or_else(|| "dynamic".to_owned()),
        file: Some(project_file.to_owned()),
        line: 1,
        markers: Vec::new(),
        groups: Vec::new(),
        optional: false,
        extras: Vec::new(),
        files: Vec::new(),
        weak: Vec::new(),
        dependencies: Vec::new(),
        not_from_index: Some(format!("directory {folder}")),
        source: None,
        index: LockedIndex::Unsaid,
        place: Some(FilePlace::Folder(folder.to_owned())),
        folder: Some(SourceFolder { path: ".".to_owned(), is_package: true }),
    })
}

fn join(
    lock_file: &str,
    project: Project,
    distributions: Vec<Locked>,
    locked_python: Option<RequiresPython>,
    text: &str,
) -> Lock {
    let made_by = text
        .lines()
        .next()
        .filter(|line| line.starts_with("# This file is automatically @generated by Poetry"));
    Lock {
        format: LockFormat::Poetry,
        name: lock_file.to_owned(),
        requires_python: project.requires_python.or(locked_python),
        declared: project.declared,
        distributions,
        groups: project.groups.into_iter().collect(),
        extras: project.extras.into_iter().collect(),
        default_groups: Vec::new(),
        environments: Vec::new(),
        overridden: Vec::new(),
        conflicts: Vec::new(),
        root: None,
        made_by: made_by.map(|_| "poetry lock".to_owned()),
        remarks: Vec::new(),
    }
}

struct Reader<'a> {
    file: &'a str,
    lines: Lines,
    problems: Vec<InputProblem>,
}

impl Reader<'_> {
    fn problem(
        &mut self,
        kind: ProblemKind,
        at: Option<usize>,
        message: impl Into<String>,
    ) -> &mut InputProblem {
        let line = at.map(|offset| self.lines.of(offset));
        let index = self.problems.len();
        self.problems.push(InputProblem::new(kind, self.file, line, message));
        &mut self.problems[index]
    }

    fn version(&mut self, root: &DeTable<'_>) -> Option<(u64, u64)> {
        let Some(metadata) = get_table(root, "metadata") else {
            self.problem(ProblemKind::Invalid, None, "not a Poetry lock: it has no [metadata]")
                .remedy
                .push("make the lock again: poetry lock".to_owned());
            return None;
        };
        let text = get_str(metadata, "lock-version").unwrap_or("(none)");
        let at = metadata.get("lock-version").map(|v| v.span().start);
        let version =
            text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
        match version {
            // As Poetry itself does, 1.1 and later of it (`_READ_VERSION_RANGE` in `poetry/packages/locker.py`).
            Some(version @ (1 | 2, _)) => Some(version),
            _ => {
                self.problem(
                    ProblemKind::Unsupported,
                    at,
                    format!("lock version {text} is not supported; 1.x and 2.x are"),
                )
                .remedy
                .push("make the lock again with Poetry 1.2 or later: poetry lock".to_owned());
                None
            }
        }
    }

    fn freshness(
        &mut self,
        root: &DeTable<'_>,
        project: &DeTable<'_>,
        (project_file, unmet): (&str, &[String]),
        version: (u64, u64),
    ) {
        let metadata = get_table(root, "metadata");
        let hash = metadata.and_then(|m| get_str(m, "content-hash")).unwrap_or("");
        if is_fresh(project, version, hash) {
            return;
        }
        let at = metadata.and_then(|m| m.get("content-hash")).map(|v| v.span().start);
        let relock = if version < (2, 1) {
            "make the lock again: poetry lock (before Poetry 2: poetry lock --no-update, to keep the versions)"
        } else {
            "make the lock again: poetry lock (it keeps the versions that still fit)"
        };
        let why = match unmet {
            [] => "its dependencies have changed since".to_owned(),
            [one] => one.clone(),
            [one, more @ ..] => format!("{one} (and {} more)", more.len()),
        };
        let message = format!("the lock was made for another {project_file}: {why}");
        let problem = self.problem(ProblemKind::LockStale, at, message);
        problem.remedy.push(relock.to_owned());
        problem.remedy.push(format!("or take back the change to the dependencies in {project_file}"));
    }

    fn requires_python(&mut self, root: &DeTable<'_>) -> Option<RequiresPython> {
        let value = get_table(root, "metadata")?.get("python-versions")?;
        let text = value.get_ref().as_str()?;
        let constraint = poetry_constraint(text).ok()?;
        let line = self.lines.of(value.span().start);
        Some(RequiresPython { text: text.to_owned(), file: self.file.to_owned(), line, constraint })
    }

    fn packages(&mut self, root: &DeTable<'_>) -> Vec<Locked> {
        let count = root.get("package").and_then(|p| p.get_ref().as_array()).map_or(0, |p| p.len());
        if let Some(problem) = too_large(self.file, 0, count) {
            self.problems.push(problem);
            return Vec::new();
        }
        // Lock versions 1.0 and 1.1 list the files of all packages in one table.
        let shared_files = get_table(root, "metadata").and_then(|m| get_table(m, "files"));
        let Some(packages) = root.get("package") else { return Vec::new() };
        let Some(packages) = packages.get_ref().as_array() else {
            self.problem(
                ProblemKind::Invalid,
                Some(packages.span().start),
                "`package` is not an array of tables",
            );
            return Vec::new();
        };
        let mut locked = Vec::new();
        for package in packages.iter() {
            let at = package.span().start;
            let Some(table) = package.get_ref().as_table() else {
                self.problem(ProblemKind::Invalid, Some(at), "a package is not a table");
                continue;
            };
            match self.package(at, table, shared_files) {
                Ok(package) => locked.push(package),
                Err(message) => {
                    self.problem(ProblemKind::Invalid, Some(at), message)
                        .remedy
                        .push("make the lock again: poetry lock".to_owned());
                }
            }
        }
        // In the order of the file, whatever the TOML reader does with arrays.
        locked.sort_by_key(|l| l.line);
        let mut seen = BTreeSet::new();
        for package in &locked {
            if !seen.insert((&package.name, &package.version)) && package.not_from_index.is_none() {
                let message = format!("{} {} is in the lock twice", package.name, package.version);
                self.problems.push(InputProblem::new(
                    ProblemKind::Invalid,
                    self.file,
                    Some(package.line),
                    message,
                ));
            }
        }
        locked
    }

    fn package(
        &mut self,
        at: usize,
        table: &DeTable<'_>,
        shared_files: Option<&DeTable<'_>>,
    ) -> Result<Locked, String> {
        let written = get_str(table, "name").ok_or("a package has no name")?;
        let name: DistributionName = written.parse().map_err(|e| format!("{e}"))?;
        let version = get_str(table, "version").ok_or_else(|| format!("{name} has no version"))?;
        pep440_rs::Version::from_str(version).map_err(|e| format!("{name}: {e}"))?;

        let files = table.get("files").or_else(|| shared_files.and_then(|files| files.get(written)));
        let (mut list, mut weak) = (Vec::new(), Vec::new());
        for file in files.and_then(|f| f.get_ref().as_array()).into_iter().flat_map(|a| a.iter()) {
            let Some(file) = file.get_ref().as_table() else { continue };
            let file_name = get_str(file, "file").map(str::to_owned);
            match get_str(file, "hash").and_then(|hash| hash.split_once(':')) {
                Some(("sha256", hex)) => {
                    let digest = Digest::from_hex(hex).map_err(|e| format!("a file of {name}: {e}"))?;
                    list.push(LockedFile { file_name, digest });
                }
                Some((algorithm, _)) => weak.push(WeakFile { file_name, algorithm: algorithm.to_owned() }),
                None => {}
            }
        }
        list.sort();
        list.dedup();

        let mut groups: Vec<String> = get_strings(table, "groups").into_iter().map(str::to_owned).collect();
        if let Some(category) = get_str(table, "category") {
            groups.push(category.to_owned());
        }
        groups.sort();
        groups.dedup();

        let index = match get_table(table, "source")
            .map(|source| (get_str(source, "type"), get_str(source, "url")))
        {
            // Poetry names the index of everything that is not from the public one.
            None => LockedIndex::Default,
            Some((Some("legacy"), Some(url))) => LockedIndex::Url(without_credentials(url)),
            Some(_) => LockedIndex::Unsaid,
        };
        let place = get_table(table, "source").and_then(|source| {
            let direct = matches!(get_str(source, "type"), Some("url" | "file" | "directory"));
            Some(FilePlace::of(self.file, get_str(source, "url").filter(|_| direct)?))
        });
        let not_from_index = get_table(table, "source").and_then(|source| {
            let kind = get_str(source, "type").unwrap_or("unknown");
            let url = get_str(source, "url").unwrap_or("");
            (kind != "legacy").then(|| format!("{kind} {}", without_credentials(url)))
        });
        Ok(Locked {
            markers: markers(table).map_err(|e| format!("{name}: {e}"))?,
            dependencies: dependencies(table).map_err(|e| format!("{name}: {e}"))?,
            optional: table.get("optional").and_then(|o| o.get_ref().as_bool()).unwrap_or(false),
            name,
            version: version.to_owned(),
            file: None,
            line: self.lines.of(at),
            groups,
            extras: Vec::new(),
            files: list,
            weak,
            not_from_index,
            source: None,
            index,
            place,
            folder: None,
        })
    }
}

/// The `markers` of a package (lock version 2.1): one for all groups, or one for each. A group without one
/// needs the package always.
fn markers(table: &DeTable<'_>) -> Result<Vec<String>, String> {
    let Some(value) = table.get("markers") else { return Ok(Vec::new()) };
    let found: Vec<String> = match value.get_ref() {
        DeValue::String(marker) => vec![marker.to_string()],
        DeValue::Table(by_group) => {
            let groups = get_strings(table, "groups");
            if groups.iter().any(|group| by_group.get(*group).is_none()) {
                return Ok(Vec::new());
            }
            by_group.iter().filter_map(|(_, marker)| marker.get_ref().as_str().map(str::to_owned)).collect()
        }
        _ => return Err("`markers` is neither a string nor a table".to_owned()),
    };
    for marker in &found {
        Marker::parse(marker).map_err(|e| e.to_string())?;
    }
    Ok(found)
}

fn dependencies(table: &DeTable<'_>) -> Result<Vec<LockedDependency>, String> {
    let Some(table) = get_table(table, "dependencies") else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for (name, value) in table {
        let name: DistributionName = name.get_ref().parse().map_err(|e| format!("{e}"))?;
        let choices: Vec<&DeValue<'_>> = match value.get_ref() {
            DeValue::Array(items) => items.iter().map(Spanned::get_ref).collect(),
            other => vec![other],
        };
        for choice in choices {
            let (marker, extras) = match choice {
                DeValue::Table(table) => (
                    poetry_marker(table)?,
                    get_strings(table, "extras").into_iter().map(normal_extra).collect(),
                ),
                _ => (None, Vec::new()),
            };
            found.push(LockedDependency {
                name: name.clone(),
                marker,
                constraint: version_of(choice),
                extras,
                source: None,
            });
        }
    }
    Ok(found)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const PROJECT: &str = r#"
[tool.poetry]
name = "waf"
package-mode = false

[tool.poetry.dependencies]
python = "~3.12"
six = "1.17.0"
anyio = {version = "^4", optional = true}

[tool.poetry.extras]
async = ["anyio"]

[tool.poetry.group.dev.dependencies]
pytest = "^8"
"#;

    /// The hash that Poetry writes for a project file.
    pub(crate) fn content_hash_of(project: &str) -> String {
        crate::lock::poetry_hash::content_hash(DeTable::parse(project).unwrap().get_ref())
    }

    /// A lock of version 2.1 for [`PROJECT`], of which the hash fits.
    pub(crate) fn lock_2_1() -> String {
        let hash = content_hash_of(PROJECT);
        let file = |name: &str| {
            format!("{{file = \"{name}\", hash = \"sha256:{}\"}}", Digest::of(name.as_bytes()).hex())
        };
        format!(
            r#"# This file is automatically @generated by Poetry 2.1.1 and should not be changed by hand.

[[package]]
name = "anyio"
version = "4.9.0"
optional = true
python-versions = ">=3.9"
groups = ["main"]
markers = "extra == \"async\""
files = [{}]

[package.dependencies]
idna = ">=2.8"
typing_extensions = {{version = ">=4.5", markers = "python_version < \"3.13\""}}

[[package]]
name = "colorama"
version = "0.4.6"
optional = false
python-versions = ">=3.7"
groups = ["dev"]
markers = "sys_platform == \"win32\""
files = [{}]

[[package]]
name = "idna"
version = "3.10"
optional = true
python-versions = ">=3.6"
groups = ["main"]
markers = "extra == \"async\""
files = [{}]

[[package]]
name = "pytest"
version = "8.3.5"
optional = false
python-versions = ">=3.8"
groups = ["dev"]
files = [{}]

[package.dependencies]
colorama = {{version = "*", markers = "sys_platform == \"win32\""}}

[[package]]
name = "six"
version = "1.17.0"
optional = false
python-versions = ">=2.7"
groups = ["main"]
files = [{}, {}]

[[package]]
name = "typing-extensions"
version = "4.13.0"
optional = true
python-versions = ">=3.8"
groups = ["main"]
markers = "extra == \"async\" and python_version < \"3.13\""
files = [{}]

[extras]
async = ["anyio"]

[metadata]
lock-version = "2.1"
python-versions = "~3.12"
content-hash = "{hash}"
"#,
            file("anyio-4.9.0-py3-none-any.whl"),
            file("colorama-0.4.6-py2.py3-none-any.whl"),
            file("idna-3.10-py3-none-any.whl"),
            file("pytest-8.3.5-py3-none-any.whl"),
            file("six-1.17.0-py2.py3-none-any.whl"),
            file("six-1.17.0.tar.gz"),
            file("typing_extensions-4.13.0-py3-none-any.whl"),
        )
    }

    fn parse(lock: &str, project: &str) -> Result<Lock, Vec<InputProblem>> {
        parse_poetry("poetry.lock", lock, "pyproject.toml", project)
    }

    #[test]
    fn a_lock_and_its_project() {
        let lock = parse(&lock_2_1(), PROJECT).unwrap();
        assert_eq!(lock.groups, ["dev", "main"]);
        assert_eq!(lock.extras, ["async"]);
        let python = lock.requires_python.as_ref().unwrap();
        assert_eq!((python.text.as_str(), python.file.as_str(), python.line), ("~3.12", "pyproject.toml", 7));
        let declared: Vec<(&str, usize, &str, &[String])> = lock
            .declared
            .iter()
            .map(|d| (d.text.as_str(), d.line, d.group.as_str(), &d.enabled_by[..]))
            .collect();
        assert_eq!(
            declared,
            [
                ("six = \"1.17.0\"", 8, "main", &[][..]),
                ("anyio = {version = \"^4\", optional = true}", 9, "main", &["async".to_owned()][..]),
                ("pytest = \"^8\"", 15, "dev", &[][..]),
            ]
        );
        let six = lock.distributions.iter().find(|d| d.name.as_str() == "six").unwrap();
        assert_eq!((six.version.as_str(), six.files.len(), six.optional), ("1.17.0", 2, false));
        assert_eq!(lock_2_1().lines().nth(six.line), Some("name = \"six\""));
        let anyio = &lock.distributions[0];
        assert_eq!(anyio.markers, ["extra == \"async\""]);
        assert_eq!(anyio.dependencies.len(), 2);
        assert_eq!(anyio.dependencies[1].marker.as_deref(), Some("python_version < \"3.13\""));
    }

    #[test]
    fn files_in_the_metadata_of_version_1_1() {
        let project = "[tool.poetry.dependencies]\npython = \"^3.9\"\nsix = \"*\"\n";
        let hash = content_hash_of(project);
        let digest = Digest::of(b"").hex();
        let lock = format!(
            "[[package]]\nname = \"six\"\nversion = \"1.17.0\"\ncategory = \"main\"\noptional = false\n\n\
             [metadata]\nlock-version = \"1.1\"\ncontent-hash = \"{hash}\"\n\n[metadata.files]\n\
             six = [{{file = \"six-1.17.0-py2.py3-none-any.whl\", hash = \"sha256:{digest}\"}}]\n"
        );
        let lock = parse(&lock, project).unwrap();
        assert_eq!(lock.distributions[0].files.len(), 1);
        assert_eq!(lock.distributions[0].groups, ["main"]);
    }

    #[test]
    fn new_style_projects_and_groups() {
        let project = r#"
[project]
name = "x"
requires-python = ">=3.11"
dependencies = ["six>=1.17 ; python_version < '4'"]
optional-dependencies.fast = ["Anyio[trio]"]

[tool.poetry.dependencies]
six = {source = "mirror"}

[dependency-groups]
lint = ["idna"]
all = [{include-group = "lint"}, {include-group = "all"}]
"#;
        let root = DeTable::parse(project).unwrap();
        let project = read_project("pyproject.toml", project, root.get_ref(), Notation::Poetry).ok().unwrap();
        let declared: Vec<(&str, &str, Option<&str>)> = project
            .declared
            .iter()
            .map(|d| (d.name.as_str(), d.group.as_str(), d.marker.as_deref()))
            .collect();
        assert_eq!(
            declared,
            [
                ("six", "main", Some("python_version < '4'")),
                ("anyio", "main", None),
                ("idna", "lint", None),
                ("idna", "all", None),
            ]
        );
        assert_eq!(project.declared[1].extras, ["trio"]);
        assert_eq!(project.declared[1].enabled_by, ["fast"]);
        assert_eq!(project.requires_python.unwrap().line, 4);
    }

    #[test]
    fn a_stale_lock_says_where_and_what_to_do() {
        let found = parse(&lock_2_1(), &PROJECT.replace("1.17.0", "1.16.0")).unwrap_err();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, ProblemKind::LockStale);
        assert!(found[0].line.is_some() && found[0].remedy[0].contains("poetry lock"));
        let why = "the lock was made for another pyproject.toml: ";
        let line = PROJECT.lines().position(|line| line.starts_with("six")).unwrap() + 1;
        let asks = format!("{why}line {line} of it asks for `six");
        assert!(found[0].message.starts_with(&asks), "{}", found[0].message);
        assert!(found[0].message.ends_with(", and the lock has 1.17.0"), "{}", found[0].message);
        let more = PROJECT.replace("six =", "attrs = \"*\"\nsix =");
        let found = parse(&lock_2_1(), &more).unwrap_err();
        assert!(
            found[0].message.contains("attrs") && found[0].message.ends_with("which the lock does not have")
        );
        let fits = PROJECT.replace("1.17.0", ">=1.17");
        let found = parse(&lock_2_1(), &fits).unwrap_err();
        assert_eq!(found[0].message, format!("{why}its dependencies have changed since"));
        assert_eq!(found[0].finding().unwrap().code.as_str(), "lock-stale");
    }

    #[test]
    fn broken_files_are_problems() {
        let lock = lock_2_1();
        let cases = [
            (
                lock.replace("[[package]]\nname = \"idna\"", "[[package]]\nname = \"id na\""),
                PROJECT.to_owned(),
                "id na",
            ),
            (lock.replace("version = \"3.10\"", "version = \"x\""), PROJECT.to_owned(), "idna"),
            (lock.replace("lock-version = \"2.1\"", "lock-version = \"3.0\""), PROJECT.to_owned(), "3.0"),
            (lock.replace("extra == \\\"async\\\"", "extra ="), PROJECT.to_owned(), "marker"),
            (lock.replace("sha256:", "sha256:zz"), PROJECT.to_owned(), "sha256"),
            ("[".to_owned(), PROJECT.to_owned(), "TOML"),
            (String::new(), PROJECT.to_owned(), "metadata"),
            (lock.clone(), "x = ".to_owned(), "TOML"),
            (lock.clone(), PROJECT.replace("~3.12", "~~3"), "~~"),
            (lock.clone(), PROJECT.replace("six =", "\"s i x\" ="), "s i x"),
        ];
        for (lock, project, expect) in cases {
            let found = parse(&lock, &project).unwrap_err();
            assert!(found.iter().any(|p| p.message.contains(expect)), "{expect}: {found:?}");
        }
        assert!(parse(&"[".repeat(100_000), PROJECT).is_err());
    }

    #[test]
    fn a_package_from_git_is_marked() {
        let lock = lock_2_1().replace(
            "[extras]",
            "[package.source]\ntype = \"git\"\nurl = \"https://example.org/t.git\"\n\n[extras]",
        );
        let lock = parse(&lock, PROJECT).unwrap();
        assert_eq!(
            lock.distributions.last().unwrap().not_from_index.as_deref(),
            Some("git https://example.org/t.git")
        );
    }

    #[test]
    fn places_that_are_no_index_are_told_apart() {
        let with = |kind: &str, url: &str| {
            let source = format!("[package.source]\ntype = \"{kind}\"\nurl = \"{url}\"\n\n[extras]");
            parse(&lock_2_1().replace("[extras]", &source), PROJECT).unwrap().distributions.pop().unwrap()
        };
        let wheel = "https://u:p@example.org/t-1-py3-none-any.whl";
        let one = with("url", wheel);
        assert_eq!(one.place, Some(FilePlace::Url(wheel.replace("u:p@", ""))));
        assert!(!one.files.is_empty());
        assert_eq!(with("directory", "libs/own").place, Some(FilePlace::Folder("libs/own".to_owned())));
        assert_eq!(
            with("file", "w/t-1-py3-none-any.whl").place,
            Some(FilePlace::File("w/t-1-py3-none-any.whl".to_owned()))
        );
        let private = with("legacy", "https://u:p@acme.example/simple");
        assert_eq!(private.index, LockedIndex::Url("https://acme.example/simple".to_owned()));
        assert_eq!(private.place, None);
        let all = parse(&lock_2_1(), PROJECT).unwrap().distributions;
        assert!(all.iter().all(|one| one.index == LockedIndex::Default && one.place.is_none()));
    }
}
