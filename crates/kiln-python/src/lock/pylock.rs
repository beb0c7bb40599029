//! `pylock.toml`, the lock format of PEP 751 (packaging specification "pylock.toml").

use super::file_place::FilePlace;
use super::header::made_by;
use super::locked::{Lock, LockFormat, Locked, LockedFile, LockedIndex, SourceFolder};
use crate::input::{
    InputProblem, Lines, ProblemKind, file_name_of, get_str, get_strings, get_table, parse_toml, too_large,
    without_credentials,
};
use crate::project::RequiresPython;
use crate::specifier::{Constraint, Marker, normal_extra};
use crate::wheel::WheelName;
use kiln_record::{Digest, DistributionName};
use pep440_rs::Version;
use std::collections::BTreeSet;
use std::str::FromStr;
use toml::de::{DeTable, DeValue};

/// Reads a lock of PEP 751, lock version 1.
///
/// Each package stands for itself: its marker says whether it is needed, given the environment, the extras
/// and the dependency groups. What `default-groups` names belongs to `main`. The format does not tell what
/// the project asks for directly from what that requires in turn, so `declared` is empty.
///
/// # Errors
/// Every problem of the file. A package that is not from an index is none: it is one when something chosen
/// needs it.
pub fn parse_pylock(file: &str, text: &str) -> Result<Lock, Vec<InputProblem>> {
    let root = parse_toml(file, text)?;
    let root = root.get_ref();
    let mut reader = Reader { file, lines: Lines::new(text), problems: Vec::new() };
    if !reader.version(root) {
        return Err(reader.problems);
    }
    let requires_python = reader.requires_python(root);
    let environments: Vec<String> =
        get_strings(root, "environments").into_iter().map(str::to_owned).collect();
    for marker in &environments {
        if let Err(error) = Marker::parse(marker) {
            reader.problem(
                ProblemKind::Invalid,
                root.get("environments").map(|v| v.span().start),
                error.to_string(),
            );
        }
    }
    let names =
        |key: &str| -> BTreeSet<String> { get_strings(root, key).into_iter().map(normal_extra).collect() };
    let default_groups: Vec<String> = names("default-groups").into_iter().collect();
    let mut groups = names("dependency-groups");
    groups.insert("main".to_owned());
    let extras = names("extras");
    if extras.len() + groups.len() > MOST_NAMES {
        let message = format!("the file names more than {MOST_NAMES} extras and groups");
        reader.problem(ProblemKind::Invalid, None, message);
    }
    let distributions = reader.packages(root);
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    Ok(Lock {
        format: LockFormat::Pylock,
        name: file.to_owned(),
        requires_python,
        declared: Vec::new(),
        root: distributions
            .iter()
            .position(|one| one.folder.as_ref().is_some_and(|folder| folder.path == ".")),
        distributions,
        groups: groups.into_iter().collect(),
        extras: extras.into_iter().collect(),
        default_groups,
        environments,
        overridden: Vec::new(),
        conflicts: Vec::new(),
        made_by: made_by(text),
        remarks: Vec::new(),
    })
}

/// Most extras and groups that a lock may name; each is tried for each package that does not apply.
const MOST_NAMES: usize = 1000;

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
                .remedy("make the lock again with the tool that made it"),
        );
    }

    fn version(&mut self, root: &DeTable<'_>) -> bool {
        let Some(value) = root.get("lock-version") else {
            self.problem(ProblemKind::Invalid, None, "not a lock of PEP 751: it has no `lock-version`");
            return false;
        };
        let text = value.get_ref().as_str().unwrap_or("");
        let known = text == "1" || text.starts_with("1.");
        if !known {
            self.problem(
                ProblemKind::Unsupported,
                Some(value.span().start),
                format!("lock version `{text}` is not supported; 1.0 is"),
            );
        }
        known
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

    fn packages(&mut self, root: &DeTable<'_>) -> Vec<Locked> {
        let Some(value) = root.get("packages") else { return Vec::new() };
        let Some(packages) = value.get_ref().as_array() else {
            self.problem(
                ProblemKind::Invalid,
                Some(value.span().start),
                "`packages` is not an array of tables",
            );
            return Vec::new();
        };
        if let Some(problem) = too_large(self.file, 0, packages.len()) {
            self.problems.push(problem);
            return Vec::new();
        }
        let mut locked = Vec::new();
        for package in packages.iter() {
            let at = package.span().start;
            match package.get_ref().as_table() {
                None => self.problem(ProblemKind::Invalid, Some(at), "a package is not a table"),
                Some(table) => match read_package(self.file, table, self.lines.of(at)) {
                    Ok(package) => locked.push(package),
                    Err(message) => self.problem(ProblemKind::Invalid, Some(at), message),
                },
            }
        }
        locked.sort_by_key(|l| l.line);
        locked
    }
}

fn read_package(lock_file: &str, table: &DeTable<'_>, line: usize) -> Result<Locked, String> {
    let name: DistributionName =
        get_str(table, "name").ok_or("a package has no name")?.parse().map_err(|e| format!("{e}"))?;
    let marker = get_str(table, "marker").map(str::to_owned);
    if let Some(marker) = &marker {
        Marker::parse(marker).map_err(|e| format!("{name}: {e}"))?;
    }
    let mut files = Vec::new();
    for wheel in table.get("wheels").and_then(|w| w.get_ref().as_array()).into_iter().flatten() {
        let wheel = wheel.get_ref().as_table().ok_or_else(|| format!("a wheel of {name} is not a table"))?;
        files.extend(read_file(wheel).map_err(|e| format!("a wheel of {name}: {e}"))?);
    }
    if let Some(sdist) = get_table(table, "sdist") {
        files.extend(read_file(sdist).map_err(|e| format!("the sdist of {name}: {e}"))?);
    }
    let archive = get_table(table, "archive");
    if let Some(archive) = archive {
        files.extend(read_file(archive).map_err(|e| format!("the archive of {name}: {e}"))?);
    }
    let place = [archive, get_table(table, "directory")]
        .into_iter()
        .flatten()
        .find_map(|source| get_str(source, "path").or_else(|| get_str(source, "url")))
        .map(|reference| FilePlace::of(lock_file, reference));
    let version = match get_str(table, "version") {
        Some(version) => {
            Version::from_str(version).map_err(|e| format!("{name}: {e}"))?;
            version.to_owned()
        }
        // The version may be left out where it can change, as for a source tree; a wheel's name has it.
        None => files
            .iter()
            .find_map(|file| WheelName::parse(file.file_name.as_deref()?).ok())
            .map(|wheel| wheel.version)
            .unwrap_or_else(|| "dynamic".to_owned()),
    };
    files.sort();
    files.dedup();
    let not_from_index = not_from_index(table);
    let folder = get_table(table, "directory").and_then(|folder| get_str(folder, "path")).map(|path| {
        // The project itself, which exporting tools add, is the folder of the lock.
        let path = path.trim_start_matches("./").trim_end_matches('/');
        SourceFolder { path: if path.is_empty() { "." } else { path }.to_owned(), is_package: true }
    });
    Ok(Locked {
        name,
        version,
        file: None,
        line,
        markers: marker.into_iter().collect(),
        groups: Vec::new(),
        optional: false,
        extras: Vec::new(),
        files: if not_from_index.is_some() && place.is_none() { Vec::new() } else { files },
        weak: Vec::new(),
        dependencies: Vec::new(),
        not_from_index,
        source: get_str(table, "index").map(without_credentials),
        index: get_str(table, "index")
            .map_or(LockedIndex::Unsaid, |url| LockedIndex::Url(without_credentials(url))),
        place,
        folder,
    })
}

/// What a package is taken from instead of an index. Source, archive and folder exclude the files of an
/// index.
fn not_from_index(table: &DeTable<'_>) -> Option<String> {
    ["vcs", "directory", "archive"].into_iter().find_map(|key| {
        let source = get_table(table, key)?;
        let kind = if key == "vcs" { get_str(source, "type").unwrap_or("vcs") } else { key };
        let place = get_str(source, "url").map(without_credentials);
        let place = place.or_else(|| get_str(source, "path").map(str::to_owned)).unwrap_or_default();
        Some(format!("{kind} {place}"))
    })
}

/// A file with its SHA-256; `None` if it has only other hashes.
fn read_file(table: &DeTable<'_>) -> Result<Option<LockedFile>, String> {
    let file_name = get_str(table, "name")
        .map(str::to_owned)
        .or_else(|| file_name_of(get_str(table, "path").or_else(|| get_str(table, "url"))?));
    let hashes = get_table(table, "hashes").ok_or("it has no hashes")?;
    let hex = hashes.iter().find(|(algorithm, _)| algorithm.get_ref().eq_ignore_ascii_case("sha256"));
    let Some((_, hex)) = hex else { return Ok(None) };
    let DeValue::String(hex) = hex.get_ref() else { return Err("its hash is not a string".to_owned()) };
    let digest = Digest::from_hex(hex).map_err(|e| e.to_string())?;
    Ok(Some(LockedFile { file_name, digest }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Choice;
    use crate::select::tests::{denied, read_or_refused, select_on, wanted};
    use kiln_record::{Cause, Code};

    /// A lock with an extra and a group, with and without names and URLs.
    fn sample() -> String {
        let hash = |text: &str| Digest::of(text.as_bytes()).hex();
        format!(
            r#"# This file was autogenerated by uv via the following command:
#    uv export --format pylock.toml --all-extras
lock-version = "1.0"
requires-python = ">=3.9"
environments = ["sys_platform == 'linux'", "sys_platform == 'win32'"]
extras = ["fast"]
dependency-groups = ["Docs"]
default-groups = ["app"]
created-by = "uv"

[[packages]]
name = "anyio"
version = "4.12.1"
marker = "python_full_version < '3.10'"
wheels = [{{ name = "anyio-4.12.1-py3-none-any.whl", hashes = {{ sha256 = "{}" }} }}]

[[packages]]
name = "anyio"
version = "4.16.0"
marker = "python_full_version >= '3.10'"
index = "https://me:secret@index.example/simple"
sdist = {{ url = "https://index.example/anyio-4.16.0.tar.gz", hashes = {{ sha256 = "{}" }} }}
wheels = [{{ url = "https://index.example/anyio-4.16.0%2Bcpu-py3-none-any.whl?x=1", hashes = {{ sha256 = "{}", md5 = "00" }} }}]

[[packages]]
name = "orjson"
version = "3.11.5"
marker = "'fast' in extras"

[[packages.wheels]]
path = "wheels/orjson-3.11.5-py3-none-any.whl"

[packages.wheels.hashes]
sha256 = "{}"

[[packages]]
name = "sphinx"
version = "8.2.3"
marker = "'docs' in dependency_groups and python_version >= '3.11'"
wheels = [{{ name = "sphinx-8.2.3-py3-none-any.whl", hashes = {{ sha256 = "{}" }} }}]

[[packages]]
name = "six"
marker = "'app' in dependency_groups"
wheels = [{{ name = "six-1.17.0-py2.py3-none-any.whl", hashes = {{ sha256 = "{}" }} }}]

[[packages]]
name = "own"
marker = "sys_platform == 'darwin'"
directory = {{ path = "packages/own", editable = true }}

[[packages]]
name = "tool"
marker = "'fast' in extras"
vcs = {{ type = "git", url = "https://token@example.org/tool.git", commit-id = "0123" }}
"#,
            hash("a"),
            hash("b"),
            hash("c"),
            hash("d"),
            hash("e"),
            hash("f"),
        )
    }

    #[test]
    fn all_parts_are_read() {
        let lock = parse_pylock("pylock.toml", &sample()).unwrap();
        let found: Vec<(&str, &str, usize, usize)> = lock
            .distributions
            .iter()
            .map(|d| (d.name.as_str(), d.version.as_str(), d.line, d.files.len()))
            .collect();
        assert_eq!(
            found,
            [
                ("anyio", "4.12.1", 11, 1),
                ("anyio", "4.16.0", 17, 2),
                ("orjson", "3.11.5", 25, 1),
                ("sphinx", "8.2.3", 36, 1),
                ("six", "1.17.0", 42, 1),
                ("own", "dynamic", 47, 0),
                ("tool", "dynamic", 52, 0),
            ]
        );
        let names: Vec<&str> = lock
            .distributions
            .iter()
            .flat_map(|d| d.files.iter().filter_map(|f| f.file_name.as_deref()))
            .collect();
        assert!(names.contains(&"anyio-4.16.0+cpu-py3-none-any.whl"), "{names:?}");
        assert!(names.contains(&"orjson-3.11.5-py3-none-any.whl"), "{names:?}");
        assert_eq!(lock.distributions[1].source.as_deref(), Some("https://index.example/simple"));
        assert_eq!(lock.distributions[5].not_from_index.as_deref(), Some("directory packages/own"));
        assert_eq!(lock.distributions[6].not_from_index.as_deref(), Some("git https://example.org/tool.git"));
        assert_eq!(
            (&lock.groups[..], &lock.extras[..]),
            (&["docs", "main"].map(str::to_owned)[..], &["fast".to_owned()][..])
        );
        assert_eq!(lock.default_groups, ["app"]);
        assert_eq!(lock.requires_python.unwrap().line, 4);
        assert_eq!(lock.made_by.as_deref(), Some("uv export --format pylock.toml --all-extras"));
    }

    #[test]
    fn markers_ask_for_extras_and_groups() {
        let lock = parse_pylock("pylock.toml", &sample()).unwrap();
        let plain = select_on(&lock, "3.12.1", &Choice::default());
        assert_eq!((wanted(&plain), denied(&plain)), (vec!["anyio", "six"], vec![]));
        assert_eq!(plain.wanted[0].version, "4.16.0");
        let cause = |name: &str| &plain.gaps.iter().find(|g| g.distribution == name).unwrap().cause;
        assert_eq!(cause("orjson"), &Cause::Extra { extras: vec!["fast".to_owned()] });
        assert_eq!(cause("sphinx"), &Cause::Group { groups: vec!["docs".to_owned()] });
        assert!(matches!(cause("own"), Cause::Marker { .. }));

        let choice =
            Choice { extras: vec!["Fast".to_owned()], groups: vec!["Docs".to_owned()], ..Choice::default() };
        let all = select_on(&lock, "3.12.1", &choice);
        assert_eq!(wanted(&all), ["anyio", "orjson", "six", "sphinx", "tool"]);
        assert_eq!(denied(&all), [("lock-missing", "tool")]);
        assert!(all.findings[0].cause.contains("git https://example.org/tool.git"), "{:?}", all.findings);
        assert_eq!(wanted(&select_on(&lock, "3.10.13", &choice)), ["anyio", "orjson", "six", "tool"]);
    }

    #[test]
    fn folders_are_source_trees() {
        let text = "lock-version = \"1.0\"\n[[packages]]\nname = \"app\"\ndirectory = { path = \".\" }\n\
                    [[packages]]\nname = \"own\"\ndirectory = { path = \"./packages/own/\", editable = true }\n";
        let lock = parse_pylock("pylock.toml", text).unwrap();
        assert_eq!(lock.root, Some(0));
        let selection = select_on(&lock, "3.12.1", &Choice::default());
        assert_eq!((wanted(&selection), denied(&selection)), (vec!["own"], vec![]));
        assert_eq!(selection.wanted[0].place, Some(FilePlace::Folder("packages/own".to_owned())));
        let outside = text.replace("./packages/own/", "../own");
        let selection =
            select_on(&parse_pylock("pylock.toml", &outside).unwrap(), "3.12.1", &Choice::default());
        assert_eq!(denied(&selection), [("lock-missing", "own")]);
        let denied = selection.findings.iter().find(|finding| finding.code == Code::LockMissing).unwrap();
        assert!(denied.cause.contains("leads out of the workspace"), "{denied:?}");
    }

    #[test]
    fn damaged_text_is_read_or_refused_with_its_line() {
        let good = sample();
        for end in (0..good.len()).step_by(23) {
            let cut = good.get(..end).unwrap_or("");
            read_or_refused(parse_pylock("p", cut), &[("p", cut)]);
            let damaged = format!("{}]{}", &good[..end], &good[end..]);
            read_or_refused(parse_pylock("p", &damaged), &[("p", &damaged)]);
        }
    }

    #[test]
    fn a_lock_for_other_environments_is_denied() {
        let text = sample().replace("sys_platform == 'linux'", "sys_platform == 'darwin'");
        let selection = select_on(&parse_pylock("pylock.toml", &text).unwrap(), "3.12.1", &Choice::default());
        assert_eq!(denied(&selection), [("locked-not-installed", "pylock.toml")]);
        let cause = &selection.findings[0].cause;
        assert!(
            cause.contains("`sys_platform == 'win32'`") && cause.contains("sys_platform = \"linux\""),
            "{cause}"
        );
    }

    #[test]
    fn broken_files_are_problems() {
        let good = sample();
        for (text, expect) in [
            (good.replace("lock-version = \"1.0\"", "lock-version = \"2.0\""), "2.0"),
            (good.replace("lock-version = \"1.0\"\n", ""), "lock-version"),
            (good.replace("'fast' in extras", "'fast' == extras"), "marker"),
            (good.replace("sys_platform == 'linux'", "sys_platform"), "marker"),
            (good.replace("name = \"orjson\"", "name = \"or json\""), "or json"),
            (good.replace("version = \"3.11.5\"", "version = \"x\""), "orjson"),
            (good.replace("sha256 = \"", "sha256 = \"zz"), "anyio"),
            (good.replace("hashes = {", "hash = {"), "no hashes"),
            (good.replace(">=3.9", ">>3"), ">>3"),
            ("lock-version = \"1.0\"\npackages = 3".to_owned(), "packages"),
            ("lock-version = \"1.0\"\npackages = [3]".to_owned(), "table"),
            ("[".repeat(100_000), "TOML"),
        ] {
            let found = parse_pylock("pylock.toml", &text).unwrap_err();
            assert!(found.iter().any(|p| p.message.contains(expect)), "{expect}: {found:?}");
        }
        assert!(parse_pylock("p", "lock-version = \"1.0\"").unwrap().distributions.is_empty());
    }
}
