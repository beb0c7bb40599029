//! Which distributions code needs, and for which Python: what project files and locks beside it say.

use crate::artifact::{Lock, Told};
use crate::folder::{Folder, upwards};
use kiln_record::{ArtifactName, runtimes};
use pep440_rs::{Version, VersionSpecifiers};
use std::str::FromStr as _;
use toml::{Table, Value};

/// Locks of other tools, which kiln reads as they are.
const LOCKS: [&str; 4] = ["poetry.lock", "uv.lock", "Pipfile.lock", "pylock.toml"];

fn at(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// Whether a folder is that of a project: whether its files say what it needs.
pub(crate) fn has_project(folder: &Folder, path: &str) -> bool {
    ["pyproject.toml", "requirements.txt", "requirements.in", "Pipfile"]
        .iter()
        .any(|name| folder.has_file(&at(path, name)))
}

fn project(folder: &Folder, path: &str) -> Option<Table> {
    folder.text(&at(path, "pyproject.toml"))?.parse().ok()
}

fn value<'a>(table: &'a Table, keys: &[&str]) -> Option<&'a Value> {
    let (last, tables) = keys.split_last()?;
    tables.iter().try_fold(table, |table, key| table.get(*key)?.as_table())?.get(*last)
}

/// The name in a project file.
pub(crate) fn project_name(folder: &Folder, path: &str) -> Option<String> {
    let table = project(folder, path)?;
    let name = value(&table, &["project", "name"]).or_else(|| value(&table, &["tool", "poetry", "name"]))?;
    name.as_str().map(str::to_owned)
}

/// The lock of what code in a folder needs. A deployment tool looks for requirements in that folder alone, so folders above it
/// are asked only for the locks of whole projects if `alone`.
pub(crate) fn lock(folder: &Folder, code: &str, alone: bool, name: &ArtifactName) -> Option<Lock> {
    for path in upwards(code) {
        if let Some(lock) = LOCKS.iter().map(|name| at(path, name)).find(|lock| folder.has_file(lock)) {
            let nearest = upwards(code).find(|path| folder.has_file(&at(path, "pyproject.toml")));
            let project = nearest.filter(|nearest| *nearest != path && !lock.ends_with("pylock.toml"));
            return Some(Lock {
                path: lock,
                requirements: None,
                project: project.map(|project| at(project, "pyproject.toml")),
            });
        }
        for file in ["requirements.txt", "requirements.in"] {
            let file = at(path, file);
            match folder.text(&file) {
                Some(text) if (path == code || !alone) && asks_for_something(text) => {
                    return Some(of_requirements(&file, text, name));
                }
                _ => {}
            }
        }
    }
    let project_file =
        upwards(code).find(|path| project(folder, path).is_some_and(|table| needs_something(&table)))?;
    Some(made(at(project_file, "pyproject.toml"), name))
}

fn made(requirements: String, name: &ArtifactName) -> Lock {
    Lock {
        path: format!("manifests/{name}.requirements.txt"),
        requirements: Some(requirements),
        project: None,
    }
}

fn of_requirements(file: &str, text: &str, name: &ArtifactName) -> Lock {
    match text.contains("--hash=") && file.ends_with(".txt") {
        true => Lock { path: file.to_owned(), requirements: None, project: None },
        false => made(file.to_owned(), name),
    }
}

fn asks_for_something(text: &str) -> bool {
    text.lines().map(str::trim).any(|line| !line.is_empty() && !line.starts_with('#'))
}

fn needs_something(table: &Table) -> bool {
    let listed = value(table, &["project", "dependencies"]).and_then(Value::as_array);
    let poetry = value(table, &["tool", "poetry", "dependencies"]).and_then(Value::as_table);
    listed.is_some_and(|list| !list.is_empty())
        || poetry.is_some_and(|table| table.keys().any(|name| name != "python"))
}

/// The runtime that stands as the example where there are several.
const USUAL: &str = "python3.13";

/// The runtime of the one Python that the project is for.
pub(crate) fn runtime(folder: &Folder, code: &str) -> Told<String> {
    let not = |why: String, such_as: &str| Told::Not { why, such_as: such_as.to_owned() };
    let of_python = || runtimes().iter().filter_map(|runtime| Some((runtime.name.clone(), runtime.python?)));
    for path in upwards(code) {
        let file = at(path, ".python-version");
        if let Some(text) = folder.text(&file) {
            let version = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
            let named = of_python().find(|(_, (major, minor))| {
                let short = format!("{major}.{minor}");
                version.is_some_and(|version| version == short || version.starts_with(&format!("{short}.")))
            });
            return named.map_or_else(
                || not(format!("{file} names no Python that Lambda has"), "python3.13"),
                |(name, _)| Told::Is(name),
            );
        }
        let Some(table) = project(folder, path) else { continue };
        let constraint = value(&table, &["project", "requires-python"])
            .or_else(|| value(&table, &["tool", "poetry", "dependencies", "python"]));
        let Some(constraint) = constraint.and_then(Value::as_str) else { continue };
        let admitted: Vec<String> = of_python()
            .filter(|(_, (major, minor))| admits(constraint, *major, *minor))
            .map(|(name, _)| name)
            .collect();
        let file = at(path, "pyproject.toml");
        return match admitted.as_slice() {
            [one] => Told::Is(one.clone()),
            [] => not(format!("{file} admits no Python that Lambda has"), "python3.13"),
            several => {
                // One whose base is Debian's can be pinned and tried wherever Debian's mirrors are.
                let usual = several.iter().find(|name| *name == USUAL).unwrap_or(&several[several.len() - 1]);
                not(format!("{file} admits {}", several.join(", ")), usual)
            }
        };
    }
    not("no file tells it".to_owned(), "python3.13")
}

/// Whether a constraint, of PEP 440 or as Poetry writes them, admits a release of a Python.
fn admits(constraint: &str, major: u32, minor: u32) -> bool {
    let parts =
        constraint.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "*").map(|part| {
            if let Some(version) = part.strip_prefix('^') {
                let next =
                    version.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap_or(0) + 1;
                return format!(">={version},<{next}");
            }
            match part.strip_prefix('~').filter(|rest| !rest.starts_with('=')) {
                Some(version) => {
                    let short: Vec<&str> = version.trim().split('.').take(2).collect();
                    format!(">={},=={}.*", version.trim(), short.join("."))
                }
                None if part.starts_with(|c: char| c.is_ascii_digit()) => format!("=={part}"),
                None => part.to_owned(),
            }
        });
    let Ok(specifiers) = VersionSpecifiers::from_str(&parts.collect::<Vec<_>>().join(",")) else {
        return false;
    };
    // Some release of it: the first, and one that is later than any.
    [0, 60]
        .iter()
        .any(|patch| specifiers.contains(&Version::new([u64::from(major), u64::from(minor), *patch])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constraints_on_python() {
        let check = |constraint: &str, expected: &[u32]| {
            let admitted: Vec<u32> = (9..=14).filter(|minor| admits(constraint, 3, *minor)).collect();
            assert_eq!(admitted, expected, "{constraint}");
        };
        check("~3.13", &[13]);
        check("~3.12.4", &[12]);
        check("^3.12", &[12, 13, 14]);
        check(">=3.13,<3.14", &[13]);
        check(">=3.13.2,<3.14", &[13]);
        check("==3.11.*", &[11]);
        check("3.11.*", &[11]);
        check("3.11", &[11]);
        check("~=3.13.0", &[13]);
        check(">3.12", &[12, 13, 14]);
        check("nonsense", &[]);
        check("^", &[]);
    }
}
