//! Which files of a project's folder its build backend would install, where simple rules tell.
//!
//! Sources: the documentation of setuptools ("package discovery"), Hatch ("wheel builder"), Poetry
//! ("packages"), uv ("build backend") and Flit. All files below a package are taken, with data: what a
//! backend leaves out by its own rules is not known here.

use crate::input::{get_str, get_strings, get_table};
use kiln_record::DistributionName;
use std::collections::{BTreeMap, BTreeSet};
use toml::de::{DeTable, DeValue};

/// The build backends whose layouts are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Setuptools,
    Hatch,
    Poetry,
    Uv,
    Flit,
    Pdm,
}

impl Backend {
    /// The backend that a project names; setuptools if it names none, as for every installer.
    ///
    /// # Errors
    /// What it names, as a fragment, if that is none of these.
    pub(crate) fn of(root: &DeTable<'_>) -> Result<Self, String> {
        let named = get_table(root, "build-system").and_then(|build| get_str(build, "build-backend"));
        match named {
            Some("hatchling.build") => Ok(Self::Hatch),
            Some("poetry.core.masonry.api" | "poetry.masonry.api") => Ok(Self::Poetry),
            Some("uv_build") => Ok(Self::Uv),
            Some("flit_core.buildapi" | "flit.buildapi") => Ok(Self::Flit),
            Some("pdm.backend") => Ok(Self::Pdm),
            Some("setuptools.build_meta" | "setuptools.build_meta:__legacy__") => Ok(Self::Setuptools),
            Some(other) => Err(format!("the project is built by `{other}`")),
            // Poetry's projects without packages have no build system.
            None if get_table(root, "tool").is_some_and(|tool| tool.get("poetry").is_some()) => {
                Ok(Self::Poetry)
            }
            None => Ok(Self::Setuptools),
        }
    }
}

/// What is wrong, and what to do.
pub(super) type Refusal = (String, String);

/// Sources of what has to be compiled.
const COMPILED: [&str; 9] = [".pyx", ".c", ".cc", ".cpp", ".cxx", ".rs", ".f", ".f90", ".go"];

/// Top-level folders that are no packages (setuptools, `FlatLayoutPackageFinder.DEFAULT_EXCLUDE`, shortened).
const NOT_PACKAGES: [&str; 21] = [
    "ci",
    "bin",
    "debian",
    "doc",
    "docs",
    "documentation",
    "manpages",
    "news",
    "newsfragments",
    "changelog",
    "test",
    "tests",
    "example",
    "examples",
    "scripts",
    "tools",
    "util",
    "utils",
    "build",
    "benchmark",
    "benchmarks",
];

/// Modules beside a project file that are none of its own.
const NOT_MODULES: [&str; 6] =
    ["setup.py", "conftest.py", "noxfile.py", "tasks.py", "fabfile.py", "toxfile.py"];

/// A package or module: its path in the folder, and in the installation.
type Part = (String, String);

/// The files to install, by their paths in the installation.
pub(crate) fn installed_files(
    name: &DistributionName,
    backend: Backend,
    root: &DeTable<'_>,
    paths: &[String],
    read: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let folder = Folder { paths, module: name.as_str().replace('-', "_") };
    let tool = |key: &str| get_table(root, "tool").and_then(|tool| get_table(tool, key));
    let files = match backend {
        Backend::Setuptools => {
            refuse_setup_code(read)?;
            setuptools(&folder, tool("setuptools"))?
        }
        Backend::Hatch => folder.parts(hatch(&folder, tool("hatch"))?),
        Backend::Poetry => folder.parts(poetry(&folder, tool("poetry"))?),
        Backend::Uv => folder.parts(uv(&folder, tool("uv").and_then(|uv| get_table(uv, "build-backend")))?),
        Backend::Flit => {
            let module =
                tool("flit").and_then(|flit| get_table(flit, "module")).and_then(|m| get_str(m, "name"));
            let module = module.map_or_else(|| folder.module.clone(), str::to_owned);
            folder.parts(vec![folder.named(&module, &["", "src"])?])
        }
        Backend::Pdm => {
            only_keys(tool("pdm").and_then(|pdm| get_table(pdm, "build")), "[tool.pdm.build]", &[])?;
            folder.parts(vec![folder.named(&folder.module, &["src", ""])?])
        }
    };
    let compiled = files.values().find(|path| COMPILED.iter().any(|ending| path.ends_with(ending)));
    if let Some(path) = compiled {
        return Err((
            format!("`{path}` has to be compiled, which needs the project's build backend"),
            "build a wheel for the target".to_owned(),
        ));
    }
    if !files.keys().any(|path| path.ends_with(".py")) {
        return Err(folder.not_found(&folder.module));
    }
    Ok(files)
}

/// Refuses a table with keys whose meaning is not known here.
fn only_keys(table: Option<&DeTable<'_>>, shown: &str, known: &[&str]) -> Result<(), Refusal> {
    let unknown = table
        .into_iter()
        .flat_map(|table| table.iter())
        .find(|(key, _)| !known.contains(&key.get_ref().as_ref()));
    match unknown {
        None => Ok(()),
        Some((key, _)) => Err((
            format!(
                "`{}` in {shown} changes what is installed, in a way that kiln does not follow",
                key.get_ref()
            ),
            "remove it, if the packages are found without it".to_owned(),
        )),
    }
}

struct Folder<'a> {
    paths: &'a [String],
    /// The module that a project of this name has if nothing says otherwise.
    module: String,
}

impl Folder<'_> {
    fn has(&self, path: &str) -> bool {
        self.paths.iter().any(|known| known == path)
    }

    fn below<'s>(&'s self, folder: &'s str) -> impl Iterator<Item = (&'s str, &'s str)> {
        self.paths.iter().filter_map(move |path| {
            let rest = if folder.is_empty() {
                path.as_str()
            } else {
                path.strip_prefix(folder)?.strip_prefix('/')?
            };
            Some((path.as_str(), rest))
        })
    }

    /// A package or module in the first of the roots that has it.
    fn named(&self, module: &str, roots: &[&str]) -> Result<Part, Refusal> {
        let path = module.replace('.', "/");
        for root in roots {
            let at = if root.is_empty() { path.clone() } else { format!("{root}/{path}") };
            if self.has(&format!("{at}/__init__.py"))
                || (path.contains('/') && self.below(&at).next().is_some())
            {
                return Ok((at, path));
            }
            if self.has(&format!("{at}.py")) {
                return Ok((format!("{at}.py"), format!("{path}.py")));
            }
        }
        Err(self.not_found(module))
    }

    fn not_found(&self, module: &str) -> Refusal {
        (
            format!(
                "neither a package `{module}` nor a module `{module}.py` is found, in src/ or beside pyproject.toml"
            ),
            "say where its packages are, in the backend's own table".to_owned(),
        )
    }

    /// All files of packages and modules.
    fn parts(&self, parts: Vec<Part>) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for (from, to) in parts {
            if self.has(&from) {
                files.insert(to, from);
                continue;
            }
            files.extend(self.below(&from).map(|(path, rest)| (format!("{to}/{rest}"), path.to_owned())));
        }
        files
    }
}

fn hatch(folder: &Folder<'_>, table: Option<&DeTable<'_>>) -> Result<Vec<Part>, Refusal> {
    let build = table.and_then(|hatch| get_table(hatch, "build"));
    only_keys(build, "[tool.hatch.build]", &["targets"])?;
    let targets = build.and_then(|build| get_table(build, "targets"));
    let wheel = targets.and_then(|targets| get_table(targets, "wheel"));
    only_keys(wheel, "[tool.hatch.build.targets.wheel]", &["packages"])?;
    let packages = wheel.map(|wheel| get_strings(wheel, "packages")).unwrap_or_default();
    if packages.is_empty() {
        return Ok(vec![folder.named(&folder.module, &["", "src"])?]);
    }
    // Of each path only the last part is kept.
    let part = |path: &&str| {
        let path = path.trim_start_matches("./").trim_end_matches('/');
        (path.to_owned(), path.rsplit('/').next().unwrap_or(path).to_owned())
    };
    Ok(packages.iter().map(part).collect())
}

fn poetry(folder: &Folder<'_>, table: Option<&DeTable<'_>>) -> Result<Vec<Part>, Refusal> {
    let refuse = |what: &str| {
        Err((
            format!("{what} in [tool.poetry] changes what is installed, in a way that kiln does not follow"),
            "name whole packages in `packages`".to_owned(),
        ))
    };
    let Some(table) = table else { return Ok(vec![folder.named(&folder.module, &["", "src"])?]) };
    if let Some(key) = ["include", "exclude", "build"].into_iter().find(|key| table.get(*key).is_some()) {
        return refuse(&format!("`{key}`"));
    }
    let Some(packages) = table.get("packages").and_then(|packages| packages.get_ref().as_array()) else {
        return Ok(vec![folder.named(&folder.module, &["", "src"])?]);
    };
    let mut parts = Vec::new();
    for package in packages.iter().filter_map(|package| package.get_ref().as_table()) {
        let include = get_str(package, "include").unwrap_or_default().trim_end_matches('/');
        if include.is_empty()
            || include.contains('*')
            || package.get("to").is_some()
            || package.get("format").is_some()
        {
            return refuse("a pattern, `to` or `format` of `packages`");
        }
        let from =
            get_str(package, "from").map_or_else(|| include.to_owned(), |from| format!("{from}/{include}"));
        parts.push((from, include.to_owned()));
    }
    Ok(parts)
}

fn uv(folder: &Folder<'_>, table: Option<&DeTable<'_>>) -> Result<Vec<Part>, Refusal> {
    let known = ["module-name", "module-root", "source-include", "source-exclude", "default-excludes"];
    only_keys(table, "[tool.uv.build-backend]", &known)?;
    let root = table.and_then(|table| get_str(table, "module-root")).unwrap_or("src").trim_end_matches('/');
    let named = table.and_then(|table| table.get("module-name")).map(|value| match value.get_ref() {
        DeValue::String(name) => vec![name.to_string()],
        _ => table
            .map(|table| get_strings(table, "module-name"))
            .unwrap_or_default()
            .into_iter()
            .map(str::to_owned)
            .collect(),
    });
    let modules = named.unwrap_or_else(|| vec![folder.module.clone()]);
    modules.iter().map(|module| folder.named(module, &[root])).collect()
}

/// Refuses what a setup script or its configuration could say.
fn refuse_setup_code(read: &mut dyn FnMut(&str) -> Option<String>) -> Result<(), Refusal> {
    let remedy = || "move what it says into pyproject.toml, and remove the file".to_owned();
    if let Some(text) = read("setup.cfg")
        && text.lines().any(|line| line.starts_with("[metadata") || line.starts_with("[options"))
    {
        return Err(("setup.cfg says what is installed, which kiln does not read".to_owned(), remedy()));
    }
    let Some(script) = read("setup.py") else { return Ok(()) };
    let trivial =
        ["import setuptools", "from setuptools import setup", "setup()", "setuptools.setup()", "#!"];
    let mut lines = script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    match lines.find(|line| !trivial.contains(line)) {
        None => Ok(()),
        Some(_) => Err((
            "setup.py is code that says what is installed, and may compile something".to_owned(),
            remedy(),
        )),
    }
}

fn setuptools(folder: &Folder<'_>, table: Option<&DeTable<'_>>) -> Result<BTreeMap<String, String>, Refusal> {
    let known = [
        "packages",
        "package-dir",
        "py-modules",
        "include-package-data",
        "package-data",
        "zip-safe",
        "license-files",
        "dynamic",
    ];
    only_keys(table, "[tool.setuptools]", &known)?;
    let mut root = String::new();
    for (package, path) in
        table.and_then(|table| get_table(table, "package-dir")).into_iter().flat_map(|t| t.iter())
    {
        match (package.get_ref().as_ref(), path.get_ref().as_str()) {
            ("", Some(path)) => path.trim_start_matches("./").trim_end_matches('/').clone_into(&mut root),
            _ => {
                return Err((
                    format!("`package-dir` puts the package `{}` somewhere else", package.get_ref()),
                    "give it a folder of its own name".to_owned(),
                ));
            }
        }
    }
    let modules = table.map(|table| get_strings(table, "py-modules")).unwrap_or_default();
    let modules: Vec<Part> =
        modules.iter().map(|module| folder.named(module, &[&root])).collect::<Result<_, _>>()?;
    let mut files = folder.parts(modules.clone());
    let find = match table.and_then(|table| table.get("packages")).map(|packages| packages.get_ref()) {
        Some(DeValue::Table(packages)) => {
            only_keys(Some(packages), "[tool.setuptools.packages]", &["find"])?;
            let find = get_table(packages, "find");
            only_keys(
                find,
                "[tool.setuptools.packages.find]",
                &["where", "include", "exclude", "namespaces"],
            )?;
            find
        }
        Some(_) => {
            let listed = table.map(|table| get_strings(table, "packages")).unwrap_or_default();
            let listed: BTreeSet<String> = listed.into_iter().map(str::to_owned).collect();
            files.extend(folder.packages(&root, &listed));
            return Ok(files);
        }
        None if !modules.is_empty() => return Ok(files),
        None => {
            let src = if root.is_empty() { "src" } else { &root };
            if folder.below(src).next().is_some() {
                let all = folder.dotted(src, true);
                files.extend(folder.packages(src, &all));
                let loose =
                    folder.below(src).filter(|(_, rest)| !rest.contains('/') && rest.ends_with(".py"));
                files.extend(loose.map(|(path, rest)| (rest.to_owned(), path.to_owned())));
                return Ok(files);
            }
            return flat(folder);
        }
    };
    let strings = |key: &str| find.map(|find| get_strings(find, key)).unwrap_or_default();
    let (include, exclude, places) = (strings("include"), strings("exclude"), strings("where"));
    let namespaces = find.and_then(|find| find.get("namespaces")).and_then(|value| value.get_ref().as_bool());
    let places = if places.is_empty() { vec![if root.is_empty() { "." } else { &root }] } else { places };
    for place in places {
        let place = place.trim_start_matches("./").trim_end_matches('/');
        let place = if place == "." { "" } else { place };
        let mut found = folder.dotted(place, namespaces.unwrap_or(true));
        found.retain(|package| {
            (include.is_empty() || include.iter().any(|pattern| matches(pattern, package)))
                && !exclude.iter().any(|pattern| matches(pattern, package))
        });
        files.extend(folder.packages(place, &found));
    }
    Ok(files)
}

/// The one package, or the one module, beside the project file.
fn flat(folder: &Folder<'_>) -> Result<BTreeMap<String, String>, Refusal> {
    let all = folder.dotted("", true);
    let tops: BTreeSet<&str> = all
        .iter()
        .filter_map(|package| package.split('.').next())
        .filter(|top| !NOT_PACKAGES.contains(top) && !top.starts_with('_'))
        .collect();
    let loose: Vec<&str> = folder
        .below("")
        .map(|(path, _)| path)
        .filter(|path| !path.contains('/') && path.ends_with(".py") && !NOT_MODULES.contains(path))
        .collect();
    match (tops.iter().copied().collect::<Vec<_>>().as_slice(), &loose[..]) {
        ([top], _) => Ok(folder.parts(vec![((*top).to_owned(), (*top).to_owned())])),
        ([], [module]) => Ok(BTreeMap::from([((*module).to_owned(), (*module).to_owned())])),
        ([], []) => Err(folder.not_found(&folder.module)),
        (several, _) => Err((
            format!(
                "there is more than one package or module beside pyproject.toml: {}",
                several.iter().chain(&loose).copied().collect::<Vec<_>>().join(", ")
            ),
            "name those to install: packages = [\"…\"] under [tool.setuptools]".to_owned(),
        )),
    }
}

impl Folder<'_> {
    /// The packages below a folder, dotted: those with an `__init__.py`, or all that hold a module or a
    /// package.
    fn dotted(&self, root: &str, namespaces: bool) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (_, rest) in self.below(root) {
            let Some((parent, file)) = rest.rsplit_once('/') else { continue };
            let is_package = if namespaces { file.ends_with(".py") } else { file == "__init__.py" };
            let named = parent.split('/').all(|part| {
                !part.starts_with(|c: char| c.is_ascii_digit())
                    && part.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
            });
            if is_package && named {
                let parts: Vec<&str> = parent.split('/').collect();
                found.extend(
                    (1..=parts.len())
                        .filter(|n| namespaces || *n == parts.len())
                        .map(|n| parts[..n].join(".")),
                );
            }
        }
        found
    }

    /// The files of packages that are listed one by one: those in their folders, with data in folders that
    /// are no packages themselves.
    fn packages(&self, root: &str, listed: &BTreeSet<String>) -> BTreeMap<String, String> {
        let known = self.dotted(root, true);
        let mut files = BTreeMap::new();
        for (path, rest) in self.below(root) {
            let Some((parent, _)) = rest.rsplit_once('/') else { continue };
            let mut package = parent.replace('/', ".");
            while !known.contains(&package) {
                match package.rsplit_once('.') {
                    Some((above, _)) => package.truncate(above.len()),
                    None => break,
                }
            }
            if listed.contains(&package) {
                files.insert(rest.to_owned(), path.to_owned());
            }
        }
        files
    }
}

/// Whether a name fits a pattern in which `*` stands for any text, as in Python's `fnmatch`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
        }),
    }
}
