//! Lines of a requirements file that name a place instead of a version: a URL with a hash, a wheel or a
//! project of the workspace (pip documentation, "requirement specifiers").

use super::file_place::FilePlace;
use super::locked::LockedFile;
use crate::input::{InputProblem, ProblemKind, fragment_hash};
use crate::project::identity;
use crate::specifier::Dependency;
use crate::wheel::WheelName;
use kiln_record::{Digest, DistributionName};

/// What a line names.
pub(crate) struct Direct {
    pub(crate) name: DistributionName,
    pub(crate) version: String,
    pub(crate) place: FilePlace,
    /// The hash in the URL's fragment.
    pub(crate) hash: Option<LockedFile>,
}

/// Reads the place that a requirement names, if it names one: after `@`, or as the whole of it. `file` is the
/// requirements file, `line` where it says so; `read` gives the text of a file of the workspace.
pub(crate) fn direct(
    file: &str,
    line: usize,
    requirement: &str,
    dependency: Option<&Dependency>,
    read: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Direct, InputProblem> {
    let reference = match dependency.and_then(|dependency| dependency.url.as_deref()) {
        Some(url) => url,
        None => requirement.split(" ;").next().unwrap_or(requirement).trim(),
    };
    let problem = |kind: ProblemKind, message: String| InputProblem::new(kind, file, Some(line), message);
    let place = FilePlace::of(file, reference);
    let (name, version) = match &place {
        FilePlace::Refused { text, reason } => {
            return Err(problem(ProblemKind::Unsupported, format!("not supported: `{text}`: {reason}"))
                .remedy("name a version that an index has, or a wheel by its URL with a hash")
                .remedy("or a wheel or a project of the workspace by its path, relative to this file"));
        }
        FilePlace::Url(_) | FilePlace::File(_) => {
            let file_name = place.file_name().unwrap_or_default();
            let wheel = WheelName::parse(&file_name)
                .map_err(|error| problem(ProblemKind::Invalid, error.to_string()))?;
            (wheel.name, wheel.version)
        }
        FilePlace::Folder(folder) => {
            let in_folder = |name: &str| match folder.as_str() {
                "" => name.to_owned(),
                folder => format!("{folder}/{name}"),
            };
            let path = in_folder("pyproject.toml");
            let Some(text) = read(&path) else {
                if ["setup.py", "setup.cfg"].iter().any(|name| read(&in_folder(name)).is_some()) {
                    let message = format!(
                        "the project in `{}` has a setup.py or setup.cfg alone, and kiln runs no code to learn what a project is",
                        shown(folder)
                    );
                    return Err(problem(ProblemKind::Unsupported, message)
                        .remedy(format!("write what it is into {path}: [build-system] with requires = [\"setuptools\"] and build-backend = \"setuptools.build_meta\", and [project] with name, version and dependencies; then remove setup.py and setup.cfg, or what they say: packages are found by setuptools' own rules"))
                        .remedy("or make a wheel with its own tools (python -m build --wheel), keep it in the workspace, and name that in place of the folder: ./wheels/NAME.whl")
                        .remedy("or ship its code as another folder of the artifact, with `[[source]]`, and lock what it requires"));
                }
                let message =
                    format!("the folder `{}` has no pyproject.toml that can be read", shown(folder));
                return Err(problem(ProblemKind::Invalid, message).remedy(
                    "correct the path, which is relative to this file, or write the project's pyproject.toml",
                ));
            };
            let (name, version) = identity(&path, &text)?;
            (name, version.unwrap_or_else(|| "dynamic".to_owned()))
        }
    };
    if let Some(asked) = dependency.filter(|dependency| dependency.name != name) {
        let message = format!("`{}` is asked for, but its place is one of `{name}`", asked.name);
        return Err(problem(ProblemKind::Invalid, message).remedy("correct the name, or the place"));
    }
    let hash = match fragment_hash(reference) {
        Some(hex) => match Digest::from_hex(hex) {
            Ok(digest) => Some(LockedFile { file_name: None, digest }),
            Err(error) => return Err(problem(ProblemKind::Invalid, format!("a hash of {name}: {error}"))),
        },
        None => None,
    };
    Ok(Direct { name, version, place, hash })
}

/// A folder of the workspace as messages name it.
fn shown(folder: &str) -> &str {
    if folder.is_empty() { "." } else { folder }
}

/// The problem of a URL without a hash.
pub(crate) fn without_hash(file: &str, line: usize, name: &DistributionName) -> InputProblem {
    let message = format!("{name} is taken from a URL without a hash, so nothing says which bytes are meant");
    InputProblem::new(ProblemKind::LockMissingHashes, file, Some(line), message).remedy(
        "add the SHA-256 of the file that you have checked: #sha256=… after the URL, or --hash=sha256:…",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LockedIndex;
    use crate::lock::requirements::tests::{A, read};

    const WHEEL: &str = "own_lib-1.0-py3-none-any.whl";

    #[test]
    fn places_are_read_with_their_hashes() {
        let project =
            ("libs/shared/pyproject.toml", "[project]\nname = \"acme-shared\"\nversion = \"2.0\"\n");
        let lock = read(
            &format!(
                "own-lib @ https://x.example/{WHEEL}#sha256={A} ; python_version >= '3'\n\
                 other @ https://x.example/other-3-py3-none-any.whl --hash=sha256:{A}\n\
                 ./more-1-py3-none-any.whl\n-e ../libs/shared\n"
            ),
            &[project],
        )
        .unwrap();
        let found: Vec<(&str, &str, usize, &FilePlace)> = lock
            .distributions
            .iter()
            .map(|one| {
                (one.name.as_str(), one.version.as_str(), one.files.len(), one.place.as_ref().unwrap())
            })
            .collect();
        let url = |name: &str| FilePlace::Url(format!("https://x.example/{name}"));
        assert_eq!(
            found,
            [
                ("own-lib", "1.0", 1, &url(WHEEL)),
                ("other", "3", 1, &url("other-3-py3-none-any.whl")),
                ("more", "1", 0, &FilePlace::File("reqs/more-1-py3-none-any.whl".to_owned())),
                ("acme-shared", "2.0", 0, &FilePlace::Folder("libs/shared".to_owned())),
            ]
        );
        assert_eq!(lock.distributions[0].markers, ["python_version >= '3'"]);
        assert!(lock.distributions.iter().all(|one| one.index == LockedIndex::Unsaid));
    }

    #[test]
    fn a_project_that_only_its_code_describes_has_ways_out() {
        for name in ["setup.py", "setup.cfg"] {
            let file = format!("libs/old/{name}");
            let found =
                read("-e ../libs/old\n", &[(file.as_str(), "from setuptools import setup\n")]).unwrap_err();
            assert_eq!(found[0].kind, ProblemKind::Unsupported);
            assert!(found[0].message.contains("setup.py or setup.cfg alone"), "{found:?}");
            assert!(found[0].remedy[0].contains("libs/old/pyproject.toml") && found[0].remedy.len() == 3);
        }
    }

    #[test]
    fn a_project_at_the_top_of_the_workspace_has_its_file_there() {
        let project = "[project]\nname = \"app\"\nversion = \"1\"\n";
        let mut read = |path: &str| (path == "pyproject.toml").then(|| project.to_owned());
        let lock = crate::parse_requirements("requirements.txt", "-e .\n", &mut read).unwrap();
        assert_eq!(lock.distributions[0].name.as_str(), "app");
        assert!(lock.is_own_project(0));
        let found = crate::parse_requirements("requirements.txt", "-e .\n", &mut |_| None).unwrap_err();
        assert!(found[0].message.starts_with("the folder `.` has no"), "{found:?}");
    }

    #[test]
    fn what_pins_nothing_is_refused_with_a_way_out() {
        for (text, part) in [
            (format!("own-lib @ https://u:secret@x.example/{WHEEL}"), "without a hash"),
            (format!("other @ https://x.example/{WHEEL}#sha256={A}"), "one of `own-lib`"),
            (format!("own-lib @ https://x.example/{WHEEL}#sha256=zz"), "a hash of own-lib"),
            ("own @ git+https://u:secret@x.example/own".to_owned(), "https and http"),
            ("-e ../../own".to_owned(), "out of the workspace"),
            ("/srv/own".to_owned(), "absolute path"),
            ("./none".to_owned(), "no pyproject.toml"),
        ] {
            let found = read(&text, &[]).unwrap_err();
            assert!(found[0].message.contains(part), "{text}: {found:?}");
            assert!(
                found[0].line == Some(1) && !format!("{found:?}").contains("secret"),
                "{text}: {found:?}"
            );
        }
    }
}
