//! Reading a lock of any format, with the project file that it belongs to.

use super::foreign::foreign;
use super::locked::{Lock, LockFormat};
use super::pipfile::parse_pipfile;
use super::poetry::parse_poetry;
use super::pylock::parse_pylock;
use super::requirements::parse_requirements;
use super::uv::parse_uv;
use crate::input::{InputProblem, ProblemKind};

/// A file's text, with the path that messages and places name the file by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedText<'a> {
    /// Relative to the workspace.
    pub path: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// Reads a lock. `project` is the file that it was made from, which Poetry's and uv's locks cannot be read
/// without, and which Pipenv's is compared with if it is there; the other formats have none. `include` gives
/// the text of a file that a requirements file includes, as for [`parse_requirements`].
///
/// # Errors
/// Every problem of the files.
pub fn read_lock(
    format: LockFormat,
    lock: NamedText<'_>,
    project: Option<NamedText<'_>>,
    include: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Lock, Vec<InputProblem>> {
    let needed = || {
        project.ok_or_else(|| {
            let message = "the lock is read together with the project file beside it, which is not there";
            vec![InputProblem::new(ProblemKind::Invalid, lock.path, None, message)]
        })
    };
    if let Some(problem) = foreign(lock.path, lock.text) {
        return Err(vec![problem]);
    }
    match format {
        LockFormat::Requirements => parse_requirements(lock.path, lock.text, include),
        LockFormat::Pylock => parse_pylock(lock.path, lock.text),
        LockFormat::Poetry => {
            let project = needed()?;
            parse_poetry(lock.path, lock.text, project.path, project.text)
        }
        LockFormat::Uv => {
            let project = needed()?;
            parse_uv(lock.path, lock.text, project.path, project.text)
        }
        LockFormat::Pipfile => {
            parse_pipfile(lock.path, lock.text, project.map(|pipfile| (pipfile.path, pipfile.text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{pipfile, poetry, uv};

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn project(text: &str) -> Option<NamedText<'_>> {
        Some(NamedText { path: "app/project", text })
    }

    #[test]
    fn each_format_is_read_by_its_own_rules() {
        let pylock = "lock-version = \"1.0\"\n[[packages]]\nname = \"six\"\nversion = \"1.17.0\"\n";
        let poetry = (poetry::tests::lock_2_1(), poetry::tests::PROJECT);
        let uv = (uv::tests::lock(), uv::tests::PROJECT);
        let pipfile = (pipfile::tests::sample(), pipfile::tests::PIPFILE);
        for (format, name, text, project) in [
            (LockFormat::Requirements, "app/lock", "".to_owned(), None),
            (LockFormat::Pylock, "app/pylock.toml", pylock.to_owned(), None),
            (LockFormat::Poetry, "app/poetry.lock", poetry.0, project(poetry.1)),
            (LockFormat::Uv, "app/uv.lock", uv.0, project(uv.1)),
            (LockFormat::Pipfile, "app/Pipfile.lock", pipfile.0, project(pipfile.1)),
        ] {
            let file = NamedText { path: name, text: &text };
            let lock = read_lock(format, file, project, &mut nothing).unwrap();
            assert_eq!((lock.format, lock.name.as_str()), (format, name));
            assert_eq!(lock.distributions.is_empty(), format == LockFormat::Requirements, "{format:?}");
        }
    }

    #[test]
    fn only_some_formats_need_their_project() {
        let text = pipfile::tests::sample();
        let alone = NamedText { path: "Pipfile.lock", text: &text };
        assert!(read_lock(LockFormat::Pipfile, alone, None, &mut nothing).unwrap().declared.is_empty());
        // With a `Pipfile` that is another, the lock is stale.
        let problems =
            read_lock(LockFormat::Pipfile, alone, project("[packages]\nsix = \"*\"\n"), &mut nothing);
        assert_eq!(problems.unwrap_err()[0].kind, ProblemKind::LockStale);
        for format in [LockFormat::Poetry, LockFormat::Uv] {
            let problems = read_lock(format, alone, None, &mut nothing).unwrap_err();
            assert_eq!(problems[0].place().to_string(), "Pipfile.lock");
            assert!(problems[0].message.contains("project file"), "{problems:?}");
        }
    }

    #[test]
    fn includes_are_asked_for() {
        let hash = format!("--hash=sha256:{}", "a".repeat(64));
        let lock = NamedText { path: "app/requirements.txt", text: "-r base.txt\n" };
        let mut asked = Vec::new();
        let lock = read_lock(LockFormat::Requirements, lock, None, &mut |path| {
            asked.push(path.to_owned());
            Some(format!("six==1.17.0 {hash}\n"))
        })
        .unwrap();
        assert_eq!(asked, ["app/base.txt"]);
        assert_eq!(lock.distributions[0].file.as_deref(), Some("app/base.txt"));
    }
}
