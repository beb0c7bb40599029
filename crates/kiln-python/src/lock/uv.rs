//! `uv.lock`, version 1, with the `pyproject.toml` of the project that is built.
//!
//! The lock is one graph for a whole workspace. Its edges carry conditions, and name version and source
//! wherever it holds a name more than once; so what a project needs is what its own edges lead to, and the
//! `resolution-markers` of packages, which record how uv split its search, decide nothing.

use super::file_place::FilePlace;
use super::locked::{
    ConflictItem, Lock, LockFormat, Locked, LockedDependency, LockedFile, LockedIndex, SourceFolder,
};
use super::uv_fresh::{Comparison, Package, same_versions};
use crate::input::{
    InputProblem, Lines, ProblemKind, file_name_of, get_str, get_strings, get_table, parse_toml, too_large,
    without_credentials,
};
use crate::project::{Notation, RequiresPython, read_project};
use crate::specifier::{Constraint, Marker, all_markers, normal_extra};
use kiln_record::{Digest, DistributionName};
use pep440_rs::Version;
use std::collections::BTreeSet;
use std::str::FromStr;
use toml::de::{DeTable, DeValue};

/// Reads a uv lock and the project file of one of the projects that it is for, and checks that the two belong
/// together. The name in the project file says which project of a workspace is meant.
///
/// # Errors
/// Every problem of both files; a lock that was made for another state of the project file is
/// [`ProblemKind::LockStale`].
pub fn parse_uv(
    lock_file: &str,
    lock: &str,
    project_file: &str,
    project: &str,
) -> Result<Lock, Vec<InputProblem>> {
    let lock_root = parse_toml(lock_file, lock)?;
    let project_root = parse_toml(project_file, project)?;
    let (root, project_table) = (lock_root.get_ref(), project_root.get_ref());
    let mut reader = Reader { file: lock_file, lines: Lines::new(lock), problems: Vec::new() };
    if !reader.version(root) {
        return Err(reader.problems);
    }
    let project = match read_project(project_file, project, project_table, Notation::Uv) {
        Ok(project) => project,
        Err(found) => {
            reader.problems.extend(found);
            return Err(reader.problems);
        }
    };
    let requires_python = reader.requires_python(root);
    let environments: Vec<String> =
        get_strings(root, "supported-markers").into_iter().map(str::to_owned).collect();
    for marker in &environments {
        if let Err(error) = Marker::parse(marker) {
            let at = root.get("supported-markers").map(|v| v.span().start);
            reader.problem(ProblemKind::Invalid, at, error.to_string());
        }
    }
    let name = get_table(project_table, "project").and_then(|table| get_str(table, "name")).map(normal_extra);
    let (distributions, position, package) = reader.packages(root, name.as_deref(), project_file);
    if reader.problems.is_empty() {
        let comparison = Comparison {
            lock: root,
            package,
            project: &project,
            project_table,
            requires_python: requires_python.as_ref(),
        };
        for (difference, at) in comparison.differences() {
            let message = format!("the lock was made for another {project_file}: {difference}");
            reader.problem(ProblemKind::LockStale, at.or_else(|| package.map(start)), message);
            if let Some(problem) = reader.problems.last_mut() {
                problem.remedy.push(format!("or take back the change in {project_file}"));
            }
        }
    }
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    let requires_python = match (project.requires_python, requires_python) {
        // The project's own words are the ones to change, if they say what the lock says.
        (Some(own), Some(locked)) if same_versions(&own.constraint, &locked.constraint) => Some(own),
        (own, locked) => locked.or(own),
    };
    Ok(Lock {
        format: LockFormat::Uv,
        name: lock_file.to_owned(),
        requires_python,
        declared: project.declared,
        distributions,
        groups: project.groups.into_iter().collect(),
        extras: project.extras.into_iter().collect(),
        default_groups: Vec::new(),
        environments,
        overridden: overridden(root),
        conflicts: name.map(|name| conflicts(root, &name)).unwrap_or_default(),
        root: position,
        made_by: Some("uv lock".to_owned()),
        remarks: Vec::new(),
    })
}

/// The names that `[manifest] overrides` decides about.
fn overridden(root: &DeTable<'_>) -> Vec<DistributionName> {
    let overrides =
        get_table(root, "manifest").and_then(|manifest| manifest.get("overrides")?.get_ref().as_array());
    let tables =
        overrides.into_iter().flat_map(|list| list.iter()).filter_map(|entry| entry.get_ref().as_table());
    tables.filter_map(|entry| get_str(entry, "name")?.parse().ok()).collect()
}

fn start(package: Package<'_, '_>) -> usize {
    package.0
}

struct Reader<'a> {
    file: &'a str,
    lines: Lines,
    problems: Vec<InputProblem>,
}

impl Reader<'_> {
    fn problem(&mut self, kind: ProblemKind, at: Option<usize>, message: impl Into<String>) {
        let line = at.map(|offset| self.lines.of(offset));
        self.problems.push(
            InputProblem::new(kind, self.file, line, message)
                .remedy("make the lock again: uv lock (it keeps the versions that still fit)"),
        );
    }

    fn version(&mut self, root: &DeTable<'_>) -> bool {
        let Some(value) = root.get("version") else {
            self.problem(ProblemKind::Invalid, None, "not a lock of uv: it has no `version`");
            return false;
        };
        let version = value.get_ref().as_integer().map(|number| number.as_str().to_owned());
        if version.as_deref() != Some("1") {
            let shown = version.unwrap_or_else(|| "?".to_owned());
            let message = format!("lock version {shown} is not supported; 1 is");
            self.problem(ProblemKind::Unsupported, Some(value.span().start), message);
            if let Some(problem) = self.problems.last_mut() {
                let way = "let uv write what kiln reads, and name that: uv export --format pylock.toml -o pylock.toml";
                problem.remedy = vec![way.to_owned()];
            }
        }
        self.problems.is_empty()
    }

    fn requires_python(&mut self, root: &DeTable<'_>) -> Option<RequiresPython> {
        let value = root.get("requires-python")?;
        let at = value.span().start;
        match Constraint::pep440(value.get_ref().as_str().unwrap_or("?")) {
            Ok(constraint) => Some(RequiresPython {
                text: constraint.to_string(),
                file: self.file.to_owned(),
                line: self.lines.of(at),
                constraint,
            }),
            Err(error) => {
                self.problem(ProblemKind::Invalid, Some(at), error.to_string());
                None
            }
        }
    }

    /// All packages, with the place of the project itself among them and its table.
    fn packages<'a, 'i>(
        &mut self,
        root: &'a DeTable<'i>,
        name: Option<&str>,
        project_file: &str,
    ) -> (Vec<Locked>, Option<usize>, Option<Package<'a, 'i>>) {
        let packages = root.get("package").and_then(|packages| packages.get_ref().as_array());
        if let Some(problem) = too_large(self.file, 0, packages.map_or(0, |packages| packages.len())) {
            self.problems.push(problem);
            return (Vec::new(), None, None);
        }
        let mut locked = Vec::new();
        let mut project = None;
        for package in packages.into_iter().flat_map(|packages| packages.iter()) {
            let at = package.span().start;
            let Some(table) = package.get_ref().as_table() else {
                self.problem(ProblemKind::Invalid, Some(at), "a package is not a table");
                continue;
            };
            let read = read_package(self.file, table, self.lines.of(at)).and_then(|mut one| {
                if project.is_none() && one.folder.is_some() && Some(one.name.as_str()) == name {
                    project = Some((at, table));
                    // Only the project itself has its groups chosen.
                    one.dependencies.extend(grouped(table, "dev-dependencies")?);
                }
                Ok(one)
            });
            match read {
                Ok(one) => locked.push(one),
                Err(message) => self.problem(ProblemKind::Invalid, Some(at), message),
            }
        }
        match (name, project) {
            (Some(name), None) if self.problems.is_empty() => {
                let message = format!("the lock is not for {project_file}: it has no project `{name}`");
                self.problem(ProblemKind::LockStale, None, message);
            }
            (None, _) => match workspace(root) {
                Ok(workspace) => locked.push(workspace),
                Err(message) => self.problem(ProblemKind::Invalid, None, message),
            },
            _ => {}
        }
        locked.sort_by_key(|one| one.line);
        let mut seen = BTreeSet::new();
        for one in &locked {
            if !seen.insert((&one.name, &one.version, &one.source)) {
                let message = format!("{} {} is in the lock twice", one.name, one.version);
                self.problems.push(InputProblem::new(
                    ProblemKind::Invalid,
                    self.file,
                    Some(one.line),
                    message,
                ));
            }
        }
        let line = match (project, name) {
            (Some((at, _)), _) => Some(self.lines.of(at)),
            (None, None) => Some(0),
            _ => None,
        };
        let position = line.and_then(|line| locked.iter().position(|one| one.line == line));
        (locked, position, project)
    }
}

/// What stands for the project where the workspace has none at its top, but dependency groups.
fn workspace(root: &DeTable<'_>) -> Result<Locked, String> {
    let name = "workspace".parse::<DistributionName>().map_err(|e| format!("{e}"))?;
    let manifest = get_table(root, "manifest");
    Ok(Locked {
        dependencies: manifest
            .map(|table| grouped(table, "dependency-groups"))
            .transpose()?
            .unwrap_or_default(),
        name,
        version: "dynamic".to_owned(),
        file: None,
        line: 0,
        markers: Vec::new(),
        groups: Vec::new(),
        optional: false,
        extras: Vec::new(),
        files: Vec::new(),
        weak: Vec::new(),
        not_from_index: None,
        source: None,
        index: LockedIndex::Unsaid,
        place: None,
        folder: Some(SourceFolder { path: ".".to_owned(), is_package: false }),
    })
}

fn read_package(lock_file: &str, table: &DeTable<'_>, line: usize) -> Result<Locked, String> {
    let name: DistributionName =
        get_str(table, "name").ok_or("a package has no name")?.parse().map_err(|e| format!("{e}"))?;
    // A project whose version is computed has none in the lock.
    let version = get_str(table, "version").unwrap_or("dynamic");
    if version != "dynamic" {
        Version::from_str(version).map_err(|e| format!("{name}: {e}"))?;
    }
    let source = get_table(table, "source").ok_or_else(|| format!("{name} has no source"))?;
    let place = ["url", "path", "directory", "editable"]
        .iter()
        .find_map(|key| get_str(source, key))
        .map(|reference| FilePlace::of(lock_file, reference));
    let (source, folder, is_index) =
        read_source(source).ok_or_else(|| format!("the source of {name} is not known"))?;
    let mut files = Vec::new();
    let wheels = table.get("wheels").and_then(|w| w.get_ref().as_array());
    for wheel in wheels.into_iter().flat_map(|wheels| wheels.iter()) {
        let wheel = wheel.get_ref().as_table().ok_or_else(|| format!("a wheel of {name} is not a table"))?;
        files.extend(read_file(wheel).map_err(|e| format!("a wheel of {name}: {e}"))?);
    }
    if let Some(sdist) = get_table(table, "sdist") {
        files.extend(read_file(sdist).map_err(|e| format!("the sdist of {name}: {e}"))?);
    }
    files.sort();
    files.dedup();
    let mut dependencies = table
        .get("dependencies")
        .map(|list| dependencies(list.get_ref(), None))
        .transpose()?
        .unwrap_or_default();
    dependencies.extend(grouped(table, "optional-dependencies")?);
    Ok(Locked {
        name,
        version: version.to_owned(),
        file: None,
        line,
        markers: Vec::new(),
        groups: Vec::new(),
        optional: false,
        extras: Vec::new(),
        files: if is_index || place.is_some() { files } else { Vec::new() },
        weak: Vec::new(),
        dependencies,
        not_from_index: (!is_index).then(|| source.clone()),
        index: if is_index { LockedIndex::Url(source.clone()) } else { LockedIndex::Unsaid },
        source: Some(source),
        place,
        folder,
    })
}

/// A source as text, the folder that it is, if it is one of the same source tree, and whether it is an index.
fn read_source(source: &DeTable<'_>) -> Option<(String, Option<SourceFolder>, bool)> {
    for key in ["registry", "git", "url", "path", "directory", "editable", "virtual"] {
        let Some(place) = get_str(source, key) else { continue };
        let place = without_credentials(place);
        let folder = matches!(key, "directory" | "editable" | "virtual")
            .then(|| SourceFolder { path: place.clone(), is_package: key != "virtual" });
        let is_index = key == "registry";
        return Some((if is_index { place } else { format!("{key} {place}") }, folder, is_index));
    }
    None
}

/// The tables of lists below a key: extras and groups. Each list gets the condition that its name is asked
/// for.
fn grouped(table: &DeTable<'_>, key: &str) -> Result<Vec<LockedDependency>, String> {
    let mut found = Vec::new();
    for (name, list) in get_table(table, key).into_iter().flat_map(|lists| lists.iter()) {
        let name = normal_extra(name.get_ref());
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(format!("`{name}` is not the name of an extra or group"));
        }
        let condition = if key == "optional-dependencies" {
            format!("extra == '{name}'")
        } else {
            format!("'{name}' in dependency_groups")
        };
        found.extend(dependencies(list.get_ref(), Some(&condition))?);
    }
    Ok(found)
}

fn dependencies(list: &DeValue<'_>, condition: Option<&str>) -> Result<Vec<LockedDependency>, String> {
    let list = list.as_array().ok_or("dependencies are not an array")?;
    let mut found = Vec::new();
    for entry in list.iter() {
        let entry = entry.get_ref().as_table().ok_or("a dependency is not a table")?;
        let name: DistributionName =
            get_str(entry, "name").ok_or("a dependency has no name")?.parse().map_err(|e| format!("{e}"))?;
        let marker = get_str(entry, "marker").map(str::to_owned);
        if let Some(marker) = &marker {
            Marker::parse(marker).map_err(|e| format!("{name}: {e}"))?;
        }
        // One version, with its local part, or what the file of a workspace asks for.
        let version = get_str(entry, "version").map(|version| format!("==={version}"));
        let constraint = version.as_deref().or_else(|| get_str(entry, "specifier"));
        found.push(LockedDependency {
            marker: all_markers(marker.into_iter().chain(condition.map(str::to_owned))),
            constraint: constraint.map(Constraint::pep440).transpose().map_err(|e| format!("{name}: {e}"))?,
            extras: get_strings(entry, "extra")
                .into_iter()
                .chain(get_strings(entry, "extras"))
                .map(normal_extra)
                .collect(),
            source: get_table(entry, "source").and_then(read_source).map(|(source, ..)| source),
            name,
        });
    }
    Ok(found)
}

/// A file with its SHA-256; `None` if it has another hash or none.
fn read_file(table: &DeTable<'_>) -> Result<Option<LockedFile>, String> {
    let place = ["filename", "path", "url"].into_iter().find_map(|key| get_str(table, key));
    let Some(hex) = get_str(table, "hash").and_then(|hash| hash.strip_prefix("sha256:")) else {
        return Ok(None);
    };
    let digest = Digest::from_hex(hex).map_err(|e| e.to_string())?;
    Ok(Some(LockedFile { file_name: place.and_then(file_name_of), digest }))
}

/// The sets of extras and groups of the project that exclude each other.
fn conflicts(root: &DeTable<'_>, name: &str) -> Vec<Vec<ConflictItem>> {
    let sets = root.get("conflicts").and_then(|sets| sets.get_ref().as_array());
    let sets = sets.into_iter().flat_map(|sets| sets.iter()).filter_map(|set| set.get_ref().as_array());
    sets.map(|set| {
        let items = set.iter().filter_map(|item| item.get_ref().as_table());
        let own = items.filter(|item| get_str(item, "package").map(normal_extra).as_deref() == Some(name));
        own.filter_map(|item| {
            let extra = get_str(item, "extra").map(|extra| ConflictItem::Extra(normal_extra(extra)));
            extra.or_else(|| get_str(item, "group").map(|group| ConflictItem::Group(normal_extra(group))))
        })
        .collect::<Vec<ConflictItem>>()
    })
    .filter(|set| set.len() > 1)
    .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::Choice;
    use crate::select::tests::{denied, read_or_refused, select_on, wanted};
    use kiln_record::{Cause, Code};

    pub(crate) const PROJECT: &str = include_str!("samples/uv.toml");
    /// A lock for [`PROJECT`]; `HASH(x)` in the sample stands for the hash of `x`.
    pub(crate) fn lock() -> String {
        let mut text = LOCK.to_owned();
        while let Some((before, after)) = text.split_once("HASH(") {
            let (name, rest) = after.split_once(')').unwrap();
            text = format!("{before}hash = \"sha256:{}\"{rest}", Digest::of(name.as_bytes()).hex());
        }
        text
    }

    const LOCK: &str = include_str!("samples/uv.lock.in");

    fn parse(lock: &str, project: &str) -> Result<Lock, Vec<InputProblem>> {
        parse_uv("uv.lock", lock, "pyproject.toml", project)
    }

    fn choice(groups: &[&str], extras: &[&str], excluded: &[&str]) -> Choice {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Choice {
            groups: texts(groups),
            extras: texts(extras),
            excluded: excluded.iter().map(|name| name.parse().unwrap()).collect(),
            ..Choice::default()
        }
    }

    #[test]
    fn a_lock_and_its_project() {
        let lock = parse(&lock(), PROJECT).unwrap();
        assert_eq!(lock.groups, ["dev", "lint", "main"]);
        assert_eq!(lock.extras, ["all", "fast-json", "new", "old"]);
        assert_eq!(lock.distributions[lock.root.unwrap()].name.as_str(), "odd-app");
        assert_eq!(lock.requires_python.as_ref().unwrap().file, "pyproject.toml");
        let httpx = lock.distributions.iter().find(|d| d.name.as_str() == "httpx").unwrap();
        assert_eq!((httpx.line, httpx.files.len(), httpx.dependencies.len()), (30, 2, 4));
        let names: Vec<&str> = httpx.files.iter().filter_map(|f| f.file_name.as_deref()).collect();
        assert_eq!(names, ["httpx-0.28.1-py3-none-any.whl", "httpx-0.28.1.tar.gz"]);
        let orjson = lock.distributions.iter().find(|d| d.name.as_str() == "orjson").unwrap();
        assert_eq!(
            orjson.not_from_index.as_deref(),
            Some("git https://example.org/orjson.git?rev=main#0123")
        );
        let set = ["new", "old"].map(|extra| ConflictItem::Extra(extra.to_owned()));
        assert_eq!(lock.conflicts, [set.to_vec()]);
    }

    #[test]
    fn what_the_project_leads_to_is_selected() {
        let lock = parse(&lock(), PROJECT).unwrap();
        let plain = select_on(&lock, "3.12.1", &choice(&[], &[], &["core"]));
        assert_eq!((wanted(&plain), denied(&plain)), (vec!["h2", "httpx", "idna", "six"], vec![]));
        let idna = &plain.wanted[2];
        assert_eq!(
            (idna.version.as_str(), idna.source.as_deref()),
            ("3.10", Some("https://other.example/simple"))
        );
        let cause = |name: &str| &plain.gaps.iter().find(|g| g.distribution == name).unwrap().cause;
        assert_eq!(cause("core"), &Cause::Excluded);
        assert_eq!(cause("orjson"), &Cause::Extra { extras: vec!["all".to_owned(), "fast-json".to_owned()] });
        assert_eq!(cause("ruff"), &Cause::Group { groups: vec!["dev".to_owned(), "lint".to_owned()] });
        assert!(matches!(cause("tomli"), Cause::Marker { .. }));

        let older = select_on(&lock, "3.10.13", &choice(&["dev"], &["new"], &["core"]));
        assert_eq!(wanted(&older), ["h2", "httpx", "idna", "numpy", "pytest", "ruff", "six", "tomli"]);
        assert_eq!((older.wanted[2].version.as_str(), older.wanted[3].version.as_str()), ("2.10", "2.3.0"));
        assert_eq!(denied(&older), []);
        let old = select_on(&lock, "3.12.1", &choice(&[], &["old"], &["core"]));
        assert_eq!(old.wanted[3].version, "1.26.4");
    }

    #[test]
    fn projects_of_the_workspace_are_taken_from_their_folders() {
        let lock = parse(&lock(), PROJECT).unwrap();
        let selection = select_on(&lock, "3.12.1", &Choice::default());
        assert_eq!(denied(&selection), []);
        let core = selection.wanted.iter().find(|one| one.name.as_str() == "core").unwrap();
        assert_eq!(core.place, Some(FilePlace::Folder("packages/core".to_owned())));
        assert!(selection.gaps.iter().all(|gap| gap.distribution != "tool" && gap.distribution != "odd-app"));
    }

    #[test]
    fn extras_in_conflict_are_denied() {
        let lock = parse(&lock(), PROJECT).unwrap();
        let both = select_on(&lock, "3.12.1", &choice(&[], &["old", "new"], &["core"]));
        assert_eq!(denied(&both), [("declared-not-installed", "uv.lock"), ("locked-not-installed", "numpy")]);
    }

    #[test]
    fn a_workspace_without_a_project_at_its_top_has_groups() {
        let project =
            "[dependency-groups]\ndev = [\"six>=1\"]\n[tool.uv.workspace]\nmembers = [\"packages/*\"]\n";
        let lock = "version = 1\n[manifest]\nmembers = [\"core\"]\n[manifest.dependency-groups]\n\
                    dev = [{ name = \"six\", specifier = \">=1\" }]\n[[package]]\nname = \"six\"\n\
                    version = \"1.17.0\"\nsource = { registry = \"https://index.example/simple\" }\n";
        let read = parse(lock, project).unwrap();
        assert_eq!(wanted(&select_on(&read, "3.12.1", &choice(&["dev"], &[], &[]))), ["six"]);
        let nothing = select_on(&read, "3.12.1", &Choice::default());
        assert!(wanted(&nothing).is_empty() && nothing.findings[0].code == Code::NothingSelected);
        let members = format!(
            "{lock}[[package]]\nname = \"core\"\nversion = \"0.1.0\"\nsource = {{ editable = \"packages/core\" }}\n"
        );
        let read =
            parse_uv("manifests/repo/uv.lock", &members, "manifests/repo/pyproject.toml", project).unwrap();
        let nothing = select_on(&read, "3.12.1", &Choice::default());
        assert_eq!(denied(&nothing), [("nothing-selected", "manifests/repo/uv.lock")]);
        assert!(nothing.findings[0].detail[0].contains("core (repo/packages/core/pyproject.toml)"));
        assert!(nothing.findings[0].remedy[0].contains("project = \"repo/packages/core/pyproject.toml\""));
        let stale = parse(lock, &project.replace(">=1", ">=2")).unwrap_err();
        assert_eq!(stale[0].kind, ProblemKind::LockStale);
    }

    /// uv writes an extra that names others as what those ask for; its first versions wrote the name.
    #[test]
    fn extras_of_the_project_that_name_others_are_compared_as_what_they_ask_for() {
        let project = "[project]\nname = \"kit\"\nversion = \"1\"\nrequires-python = \">=3.11\"\n\n\
                       [project.optional-dependencies]\nall = [\"kit[fast, more]\"]\nfast = [\"six\"]\n\
                       more = [\"idna>=3 ; sys_platform == 'linux'\", \"Kit[fast, more]\"]\n";
        let six = ["all", "fast", "more"]
            .map(|extra| format!("{{ name = \"six\", marker = \"extra == '{extra}'\" }}"));
        let idna = ["all", "more"].map(|extra| {
            let marker = format!("sys_platform == 'linux' and extra == '{extra}'");
            format!("{{ name = \"idna\", marker = \"{marker}\", specifier = \">=3\" }}")
        });
        let itself = ["all", "more"].map(|extra| {
            format!("{{ name = \"kit\", extras = [\"fast\", \"more\"], marker = \"extra == '{extra}'\" }}")
        });
        let lock = |requires: &[String]| {
            format!(
                "version = 1\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"kit\"\nversion = \"1\"\nsource = \
                 {{ virtual = \".\" }}\n\n[package.metadata]\nrequires-dist = [{}]\nprovides-extras = [\"all\", \
                 \"fast\", \"more\"]\n",
                requires.join(", ")
            )
        };
        let flat = [six.as_slice(), idna.as_slice()].concat();
        let written = [&six[1..2], &idna[1..], &itself].concat();
        for fresh in [&flat, &written] {
            assert_eq!(parse(&lock(fresh), project).map(|_| ()), Ok(()));
        }
        for stale in [&flat[1..], &flat[..4], &written[..3]] {
            let found = parse(&lock(stale), project).unwrap_err();
            assert_eq!(found[0].kind, ProblemKind::LockStale, "{found:?}");
        }
    }

    #[test]
    fn a_stale_lock_says_what_differs() {
        for (from, to, expect) in [
            (">= 0.25", ">= 0.26", "httpx [http2] >= 0.26"),
            (", < 1 ;", ";", "httpx>=0.25,<1"),
            ("[http2]", "", "httpx  >= 0.25"),
            ("'Windows'", "'Linux'", "platform_system != 'Linux'"),
            ("\"tomli ; python_version < '3.11'\",", "", "the lock has `tomli`"),
            ("\"ruff\"", "\"ruff>1\"", "`ruff>1` of the group `dev`"),
            ("Fast_JSON", "faster", "the extra `faster` is new"),
            ("lint = ", "types = []\nlint = ", ""),
            ("dev = [\"pytest\", {include-group = \"lint\"}]", "", "the group `dev` is gone"),
            ("idna<4", "idna<3", "`idna<3` among the constraints"),
            ("~=3.10", ">=3.11", "Python `>=3.10, <4`, the project for `>=3.11`"),
            ("'linux'", "'win32'", "environments"),
            ("Odd.App", "other", "no project `other`"),
        ] {
            let changed = PROJECT.replace(from, to);
            assert_ne!(changed, PROJECT, "{from}");
            match parse(&lock(), &changed) {
                Ok(_) => assert_eq!(expect, "", "{from}"),
                Err(found) => {
                    assert!(found.iter().all(|p| p.kind == ProblemKind::LockStale), "{found:?}");
                    assert!(found.iter().any(|p| p.message.contains(expect)), "{expect}: {found:?}");
                    assert!(found.iter().all(|p| p.remedy[0].contains("uv lock")));
                }
            }
        }
        for (from, to) in [
            ("platform_system != 'Windows'", "sys_platform != 'win32'"),
            (">= 0.25, < 1", "<1,>=0.25"),
            ("Fast_JSON", "fast-json"),
            ("python_version < '3.11'", "python_full_version < '3.11.0'"),
            ("~=3.10", "<4,>=3.10"),
            ("version = \"0.1.0\"", "dynamic = [\"version\"]"),
        ] {
            let changed = PROJECT.replace(from, to);
            assert!(changed != PROJECT && parse(&lock(), &changed).is_ok(), "{from}");
        }
    }

    #[test]
    fn damaged_text_is_read_or_refused_with_its_line() {
        let good = lock();
        let check = |lock: &str, project: &str| {
            read_or_refused(parse(lock, project), &[("uv.lock", lock), ("pyproject.toml", project)]);
        };
        for end in (0..good.len()).step_by(97) {
            check(&good[..end], PROJECT);
            check(&format!("{}{{{}", &good[..end], &good[end..]), PROJECT);
        }
        for end in (0..PROJECT.len()).step_by(23) {
            check(&good, &PROJECT[..end]);
        }
    }

    #[test]
    fn broken_files_are_problems() {
        let good = lock();
        for (lock, expect) in [
            (good.replace("version = 1\n", "version = 2\n"), "lock version 2"),
            (good.replace("version = 1\n", ""), "no `version`"),
            (good.replace("name = \"six\"", "name = \"s ix\""), "s ix"),
            (good.replace("\"1.17.0\"", "\"x\""), "six"),
            (good.replace("marker = \"python", "marker = \"pithon"), "pithon"),
            (good.replace("editable = \"packages", "odd = \"packages"), "source of core"),
            (good.replace("sha256:", "sha256:zz"), "h2"),
            (good.replace("dev = [{", "\"d'ev\" = [{"), "d'ev"),
            (good.replace("https://other.example", "https://index.example"), "twice"),
            (good.replace("[{ name = \"six\" }]", "[3]"), "dependency"),
            ("[".repeat(100_000), "TOML"),
        ] {
            let found = parse(&lock, PROJECT).unwrap_err();
            assert!(found.iter().any(|p| p.message.contains(expect)), "{expect}: {found:?}");
        }
        assert!(parse(&good, "x = ").unwrap_err()[0].message.contains("TOML"));
        assert!(parse("version = 1", "").is_ok());
    }
}
