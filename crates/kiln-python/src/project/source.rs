//! A project in a folder of the workspace: what it would install, read from its `pyproject.toml` without
//! running its build backend.
//!
//! A build backend may do anything, so this is for projects of which nothing has to be built: pure Python
//! whose name, version and requirements stand in the file, in the layouts that the usual backends find by
//! themselves or are told of in simple words. Everything else is refused: a wheel that the project's own
//! tools made can be named instead.

use super::declared::specifier;
use super::layout::{Backend, Refusal, installed_files};
use super::pyproject::{Notation, Project, read_project};
use crate::input::{InputProblem, ProblemKind, get_str, get_strings, get_table, parse_toml};
use crate::specifier::normal_extra;
use kiln_record::DistributionName;
use pep440_rs::Version;
use std::collections::BTreeMap;
use std::str::FromStr;
use toml::de::DeTable;

/// The file that describes a project.
const PROJECT: &str = "pyproject.toml";

/// What a project installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceProject {
    /// Its name.
    pub name: DistributionName,
    /// Its version in normal form.
    pub version: String,
    /// What is installed: paths relative to the installation folder, with the paths relative to the project's
    /// folder.
    pub files: BTreeMap<String, String>,
    metadata: String,
    entry_points: Option<String>,
}

/// The name and version in a project file, for a lock whose line names the folder alone.
///
/// # Errors
/// Why there is none.
pub(crate) fn identity(file: &str, text: &str) -> Result<(DistributionName, Option<String>), InputProblem> {
    let root = parse_toml(file, text).map_err(|mut problems| problems.remove(0))?;
    let root = root.get_ref();
    let poetry = get_table(root, "tool").and_then(|tool| get_table(tool, "poetry"));
    let find = |key: &str| {
        [get_table(root, "project"), poetry].into_iter().flatten().find_map(|table| get_str(table, key))
    };
    let name = find("name").and_then(|name| name.parse().ok());
    match name {
        Some(name) => Ok((name, find("version").map(str::to_owned))),
        None => Err(InputProblem::new(ProblemKind::Invalid, file, None, "the project has no name")
            .remedy("write name = \"…\" and version = \"…\" under [project]")),
    }
}

/// Reads a project. `folder` is its path in the workspace, for messages; `paths` are all files in it,
/// relative to it; `read` gives the text of one of them.
///
/// # Errors
/// What cannot be known without running the project's build backend, or what is wrong.
pub fn read_source_project(
    folder: &str,
    paths: &[String],
    read: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<SourceProject, InputProblem> {
    let file = format!("{folder}/{PROJECT}");
    let refuse = |kind: ProblemKind, message: String, remedy: &str| {
        InputProblem::new(kind, &file, None, message).remedy(remedy).remedy(
            "or build a wheel of it with its own tools (uv build --wheel, python -m build), and name that file in the lock",
        )
    };
    let Some(text) = read(PROJECT) else {
        return Err(refuse(
            ProblemKind::Unsupported,
            format!("the folder {folder} has no {PROJECT}, so nothing says what its distribution is"),
            "write one, with name, version and dependencies under [project]",
        ));
    };
    let root = parse_toml(&file, &text).map_err(|mut problems| problems.remove(0))?;
    let root = root.get_ref();
    let tool = get_table(root, "tool");
    let poetry = tool.and_then(|tool| get_table(tool, "poetry"));
    let standard = get_table(root, "project");
    let backend = Backend::of(root).map_err(|message| {
        refuse(
            ProblemKind::Unsupported,
            format!("{message}, which kiln does not run"),
            "use a backend for pure Python",
        )
    })?;
    let notation = if backend == Backend::Poetry { Notation::Poetry } else { Notation::Uv };
    let own: Vec<&DeTable<'_>> =
        [standard, poetry.filter(|_| backend == Backend::Poetry)].into_iter().flatten().collect();
    let find = |key: &str| own.iter().find_map(|table| get_str(table, key));
    let dynamic = standard.map(|project| get_strings(project, "dynamic")).unwrap_or_default();
    let needed =
        ["version", "dependencies", "optional-dependencies", "scripts", "gui-scripts", "entry-points"];
    let computed = dynamic.iter().find(|key| needed.contains(key) && backend != Backend::Poetry);
    if let Some(key) = computed {
        return Err(refuse(
            ProblemKind::Unsupported,
            format!("`{key}` of the project is dynamic: only its build backend knows it"),
            &format!("write `{key}` under [project] and take it out of `dynamic`"),
        ));
    }
    let (name, version) = name_and_version(find("name"), find("version"))
        .map_err(|(message, remedy)| refuse(ProblemKind::Invalid, message, &remedy))?;
    let project = read_project(&file, &text, root, notation).map_err(|mut problems| problems.remove(0))?;

    let unsupported = |(message, remedy): Refusal| refuse(ProblemKind::Unsupported, message, remedy.as_str());
    let license = standard.and_then(|project| get_str(project, "license"));
    let mut metadata = format!("Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n");
    let texts = [("Summary", find("description")), ("License-Expression", license)];
    for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text?))) {
        metadata.push_str(&format!("{field}: {}\n", one_line(text)));
    }
    metadata.push_str(&requirements(&project).map_err(unsupported)?);
    let files = installed_files(&name, backend, root, paths, read).map_err(unsupported)?;
    Ok(SourceProject { name, version, files, metadata, entry_points: entry_points(&own) })
}

/// The name and version that a wheel of the project has.
fn name_and_version(
    name: Option<&str>,
    version: Option<&str>,
) -> Result<(DistributionName, String), Refusal> {
    let (Some(Ok(name)), Some(version)) = (name.map(str::parse), version) else {
        return Err((
            "the project has no name or no version".to_owned(),
            "write name = \"…\" and version = \"…\" under [project]".to_owned(),
        ));
    };
    match Version::from_str(version) {
        Ok(version) => Ok((name, version.to_string())),
        Err(error) => {
            Err((error.to_string(), "write a version such as version = \"1.0\" under [project]".to_owned()))
        }
    }
}

/// What the project requires, as lines of METADATA.
fn requirements(project: &Project) -> Result<String, Refusal> {
    let mut lines = String::new();
    if let Some(python) = &project.requires_python {
        let python = python
            .constraint
            .to_specifiers()
            .map_err(|message| (message, "write one range of Python versions".to_owned()))?;
        lines.push_str(&format!("Requires-Python: {python}\n"));
    }
    project.extras.iter().for_each(|extra| lines.push_str(&format!("Provides-Extra: {extra}\n")));
    for declared in project.declared.iter().filter(|declared| declared.group == "main") {
        let extras = if declared.enabled_by.is_empty() {
            vec![None]
        } else {
            declared.enabled_by.iter().map(Some).collect()
        };
        for extra in extras {
            let mut one = declared.clone();
            if let Some(extra) = extra {
                let asked = format!("extra == '{}'", normal_extra(extra));
                one.marker = Some(match &declared.marker {
                    Some(marker) => format!("({marker}) and {asked}"),
                    None => asked,
                });
            }
            let text = specifier(&one, false).map_err(|message| {
                (format!("`{}`: {message}", one.text), "write one range of versions".to_owned())
            })?;
            lines.push_str(&format!("Requires-Dist: {text}\n"));
        }
    }
    Ok(lines)
}

impl SourceProject {
    /// The file name of the wheel that it makes.
    #[must_use]
    pub fn wheel_name(&self) -> String {
        format!("{}-py3-none-any.whl", self.stem())
    }

    /// The files of its `.dist-info` folder but RECORD, by path.
    #[must_use]
    pub fn dist_info(&self) -> BTreeMap<String, String> {
        let folder = format!("{}.dist-info", self.stem());
        let wheel = "Wheel-Version: 1.0\nGenerator: kiln\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
        let mut files = BTreeMap::from([
            (format!("{folder}/METADATA"), self.metadata.clone()),
            (format!("{folder}/WHEEL"), wheel.to_owned()),
        ]);
        files.extend(self.entry_points.clone().map(|text| (format!("{folder}/entry_points.txt"), text)));
        files
    }

    /// The path of the wheel's RECORD.
    #[must_use]
    pub fn record_path(&self) -> String {
        format!("{}.dist-info/RECORD", self.stem())
    }

    fn stem(&self) -> String {
        format!("{}-{}", self.name.as_str().replace('-', "_"), self.version.replace('-', "_"))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `entry_points.txt` from `[project]`, else from Poetry's table.
fn entry_points(own: &[&DeTable<'_>]) -> Option<String> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut add = |section: &str, table: &DeTable<'_>| {
        let entries = table.iter().filter_map(|(name, value)| {
            Some((name.get_ref().to_string(), value.get_ref().as_str()?.to_owned()))
        });
        sections.entry(section.to_owned()).or_default().extend(entries);
    };
    for table in own {
        for (key, section) in [("scripts", "console_scripts"), ("gui-scripts", "gui_scripts")] {
            if let Some(scripts) = get_table(table, key) {
                add(section, scripts);
            }
        }
        for key in ["entry-points", "plugins"] {
            for (section, entries) in get_table(table, key).into_iter().flat_map(|all| all.iter()) {
                if let Some(entries) = entries.get_ref().as_table() {
                    add(section.get_ref(), entries);
                }
            }
        }
    }
    let mut text = String::new();
    for (section, entries) in sections.into_iter().filter(|(_, entries)| !entries.is_empty()) {
        text.push_str(&format!("[{section}]\n"));
        entries.iter().for_each(|(name, value)| text.push_str(&format!("{name} = {value}\n")));
        text.push('\n');
    }
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a project whose files are empty but for `pyproject.toml` and those with a text.
    fn project(toml: &str, files: &[&str], texts: &[(&str, &str)]) -> Result<SourceProject, InputProblem> {
        let paths: Vec<String> = files.iter().map(|path| (*path).to_owned()).collect();
        read_source_project("libs/own", &paths, &mut |path| match path {
            PROJECT => Some(toml.to_owned()),
            other => texts.iter().find(|(path, _)| *path == other).map(|(_, text)| (*text).to_owned()),
        })
    }

    const SETUPTOOLS: &str = "[project]\nname = \"acme-own\"\nversion = \"1.0\"\n";

    fn backend(name: &str, rest: &str) -> String {
        format!("[build-system]\nbuild-backend = \"{name}\"\n{SETUPTOOLS}{rest}")
    }

    #[track_caller]
    fn installs(toml: &str, files: &[&str], expect: &[&str]) {
        let found = project(toml, files, &[]).unwrap();
        assert_eq!(found.files.keys().map(String::as_str).collect::<Vec<_>>(), expect);
    }

    #[track_caller]
    fn refused(toml: &str, files: &[&str], texts: &[(&str, &str)], part: &str) {
        let problem = project(toml, files, texts).unwrap_err();
        assert!(problem.message.contains(part), "{problem:?}");
        assert!(problem.file == "libs/own/pyproject.toml" && !problem.remedy.is_empty(), "{problem:?}");
    }

    #[test]
    fn the_usual_layouts_are_found() {
        let flat = ["acme_own/__init__.py", "acme_own/data.json", "tests/test_x.py", "setup.py", "README.md"];
        installs(SETUPTOOLS, &flat, &["acme_own/__init__.py", "acme_own/data.json"]);
        let src = ["src/acme_own/__init__.py", "src/acme_own/sub/x.py", "src/loose.py", "tests/test_x.py"];
        installs(SETUPTOOLS, &src, &["acme_own/__init__.py", "acme_own/sub/x.py", "loose.py"]);
        installs(SETUPTOOLS, &["acme_own.py", "setup.py"], &["acme_own.py"]);
        for name in ["hatchling.build", "poetry.core.masonry.api", "flit_core.buildapi", "pdm.backend"] {
            installs(&backend(name, ""), &flat, &["acme_own/__init__.py", "acme_own/data.json"]);
        }
        for name in ["hatchling.build", "poetry.core.masonry.api", "uv_build"] {
            installs(&backend(name, ""), &src, &["acme_own/__init__.py", "acme_own/sub/x.py"]);
        }
    }

    #[test]
    fn what_a_backend_is_told_in_simple_words_is_followed() {
        let files =
            ["lib/own/__init__.py", "lib/own/sub/__init__.py", "lib/other/__init__.py", "lib/own/data/x.txt"];
        let setuptools =
            |keys: &str| format!("{SETUPTOOLS}[tool.setuptools]\npackage-dir = {{ \"\" = \"lib\" }}\n{keys}");
        installs(&setuptools("packages = [\"own\"]"), &files, &["own/__init__.py", "own/data/x.txt"]);
        let find = "[tool.setuptools.packages.find]\nwhere = [\"lib\"]\ninclude = [\"own*\"]\n";
        let all_own = ["own/__init__.py", "own/data/x.txt", "own/sub/__init__.py"];
        installs(&format!("{SETUPTOOLS}{find}"), &files, &all_own);
        let hatch = "[tool.hatch.build.targets.wheel]\npackages = [\"lib/own\"]\n";
        installs(&backend("hatchling.build", hatch), &files, &all_own);
        let uv = "[tool.uv.build-backend]\nmodule-root = \"lib\"\nmodule-name = [\"own\", \"other\"]\n";
        let found = project(&backend("uv_build", uv), &files, &[]).unwrap();
        assert_eq!(found.files.len(), 4);
        let poetry = "[tool.poetry]\nname = \"Own\"\nversion = \"2\"\npackages = [{ include = \"own\", from = \"lib\" }]\n\
                      [tool.poetry.dependencies]\npython = \"^3.9\"\nidna = \"^3\"\nx = { version = \"1.*\", optional = true }\n\
                      [tool.poetry.extras]\nmore = [\"x\"]\n[tool.poetry.scripts]\nown = \"own:main\"\n";
        let found = project(poetry, &files, &[]).unwrap();
        assert_eq!((found.wheel_name().as_str(), found.files.len()), ("own-2-py3-none-any.whl", 3));
        let info = found.dist_info();
        let metadata = &info["own-2.dist-info/METADATA"];
        for line in
            ["Requires-Dist: idna>=3,<4", "Provides-Extra: more", "extra == 'more'", "Requires-Python: >=3.9"]
        {
            assert!(metadata.contains(line), "{metadata} has {line}");
        }
        assert_eq!(info["own-2.dist-info/entry_points.txt"], "[console_scripts]\nown = own:main\n\n");
    }

    #[test]
    fn what_cannot_be_known_is_refused() {
        let files = ["acme_own/__init__.py"];
        refused(&backend("maturin", ""), &files, &[], "`maturin`, which kiln does not run");
        refused(&backend("mesonpy", ""), &files, &[], "`mesonpy`");
        refused(&SETUPTOOLS.replace("version = \"1.0\"", "dynamic = [\"version\"]"), &files, &[], "dynamic");
        refused("[project]\nname = \"own\"\n", &files, &[], "no name or no version");
        refused(SETUPTOOLS, &["acme_own/__init__.py", "acme_own/x.pyx"], &[], "has to be compiled");
        refused(
            SETUPTOOLS,
            &["a/__init__.py", "b/__init__.py"],
            &[],
            "more than one package or module beside pyproject.toml: a, b",
        );
        refused(SETUPTOOLS, &["README.md"], &[], "neither a package `acme_own`");
        let script = [("setup.py", "from setuptools import setup, Extension\nsetup(ext_modules=[])\n")];
        refused(SETUPTOOLS, &files, &script, "setup.py is code");
        refused(SETUPTOOLS, &files, &[("setup.cfg", "[metadata]\nname = x\n")], "setup.cfg");
        let hook = "[tool.hatch.build.hooks.custom]\n";
        refused(&backend("hatchling.build", hook), &files, &[], "`hooks` in [tool.hatch.build]");
        let trivial = [
            ("setup.py", "#!/usr/bin/env python\nfrom setuptools import setup\n\nsetup()\n"),
            ("setup.cfg", "[flake8]\n"),
        ];
        assert!(project(SETUPTOOLS, &files, &trivial).is_ok());
    }
}
