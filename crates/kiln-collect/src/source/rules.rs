//! What is left out of a source folder although the manifest does not say so: one set of rules, each with a name.
//!
//! A rule looks at names and at files of the folder itself, never at what a machine has configured or at what git tracks, so
//! that a clone, an unpacked archive of it and a folder in which somebody worked give the same bytes.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use kiln_audit::is_environment_file;
use kiln_record::{Defect, TreePath};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::LazyLock;

/// The version of the rules: equal versions leave the same out of equal folders.
pub const SOURCE_RULES: u32 = 2;

/// Why something is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceRule {
    /// What version control keeps beside the files.
    VersionControl,
    /// Bytecode, which depends on who ran the code last.
    Bytecode,
    /// What a `.gitignore` names.
    GitIgnored,
    /// A folder with a `pyvenv.cfg`, or one that conda made.
    VirtualEnvironment,
    /// What tools keep to be faster the next time.
    ToolCache,
    /// What editors and operating systems leave behind.
    EditorDebris,
    /// What a build of the same project made.
    BuildFolder,
    /// Settings and secrets of one machine.
    LocalSettings,
    /// Locks, project files and what else describes how the code is built.
    ProjectFile,
    /// The workspace's own files, where its root or its folder of manifests is the source folder.
    Workspace,
}

impl SourceRule {
    /// Every rule, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::VersionControl,
        Self::Bytecode,
        Self::GitIgnored,
        Self::VirtualEnvironment,
        Self::ToolCache,
        Self::EditorDebris,
        Self::BuildFolder,
        Self::LocalSettings,
        Self::ProjectFile,
        Self::Workspace,
    ];

    /// The name in records and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VersionControl => "source-version-control",
            Self::Bytecode => "source-bytecode",
            Self::GitIgnored => "source-git-ignored",
            Self::VirtualEnvironment => "source-virtual-environment",
            Self::ToolCache => "source-tool-cache",
            Self::EditorDebris => "source-editor-debris",
            Self::BuildFolder => "source-build-folder",
            Self::LocalSettings => "source-local-settings",
            Self::ProjectFile => "source-project-file",
            Self::Workspace => "source-workspace",
        }
    }

    /// Whether `include` can bring back what it leaves out.
    #[must_use]
    pub fn can_be_overruled(self) -> bool {
        !matches!(self, Self::VersionControl | Self::Bytecode | Self::Workspace)
    }
}

impl fmt::Display for SourceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names of any folder, by rule. `/` at the end: only a folder.
const NAMES: [(SourceRule, &[&str]); 4] = [
    (
        SourceRule::VersionControl,
        &[
            ".git",
            ".hg/",
            ".svn/",
            ".bzr/",
            "CVS/",
            ".gitignore",
            ".gitattributes",
            ".gitmodules",
            ".hgignore",
        ],
    ),
    (SourceRule::Bytecode, &["__pycache__/", "*.pyc", "*.pyo"]),
    (
        SourceRule::ToolCache,
        &[
            ".mypy_cache/",
            ".pytest_cache/",
            ".ruff_cache/",
            ".tox/",
            ".nox/",
            ".hypothesis/",
            ".pytype/",
            ".pyre/",
            ".ipynb_checkpoints/",
            ".eggs/",
            ".coverage",
            ".coverage.*",
            "htmlcov/",
            ".pdm-build/",
            ".pixi/",
            ".aws-sam/",
            ".serverless/",
            ".terraform/",
        ],
    ),
    (
        SourceRule::EditorDebris,
        &[
            ".idea/",
            ".vscode/",
            ".vs/",
            ".DS_Store",
            "._*",
            ".AppleDouble/",
            "__MACOSX/",
            "Thumbs.db",
            "desktop.ini",
            "*.swp",
            "*.swo",
            "*~",
            "#*#",
            ".#*",
            "*.orig",
            "*.rej",
        ],
    ),
];

/// Names in which people keep settings and secrets of one machine, besides [environments](is_environment_file): logins of
/// tools, and private keys as ssh-keygen calls them. `/` at the end: only a folder.
const OF_A_MACHINE: [&str; 15] = [
    ".envrc",
    ".netrc",
    "_netrc",
    ".pypirc",
    ".pgpass",
    ".git-credentials",
    ".aws/",
    ".gnupg/",
    ".ssh/",
    "id_dsa",
    "id_ecdsa",
    "id_ecdsa_sk",
    "id_ed25519",
    "id_ed25519_sk",
    "id_rsa",
];

/// Names at the top of a source folder alone: deeper, they may be part of what the code reads.
const AT_THE_TOP: [(SourceRule, &[&str]); 2] = [
    (SourceRule::BuildFolder, &["build/", "dist/", "*.egg-info/"]),
    (
        SourceRule::ProjectFile,
        &[
            "pyproject.toml",
            "setup.py",
            "setup.cfg",
            "MANIFEST.in",
            "tox.ini",
            "noxfile.py",
            "poetry.lock",
            "poetry.toml",
            "uv.lock",
            "uv.toml",
            "pdm.lock",
            "Pipfile",
            "Pipfile.lock",
            "pylock.toml",
            "pylock.*.toml",
            "requirements*.txt",
            "requirements*.in",
            "constraints*.txt",
            ".python-version",
            ".pre-commit-config.yaml",
        ],
    ),
];

/// What of a workspace's root is the workspace's own.
const OF_THE_ROOT: [&str; 6] = ["kiln.toml", "kiln.lock", ".kiln/", "dist/", "images/", "manifests/"];

/// Something in a source folder, as a rule sees it.
pub(super) struct Candidate<'a> {
    /// Its path relative to the source folder.
    pub(super) path: &'a str,
    /// Whether it is a folder.
    pub(super) folder: bool,
    /// Whether a folder has a file of this name in it.
    pub(super) has: &'a dyn Fn(&str) -> bool,
}

/// A rule with what it leaves out: files, and folders.
type Sets = (SourceRule, GlobSet, GlobSet);

/// Those of every source folder: for any name in it, and for names at its top. A workspace of a thousand has a thousand folders.
static EVERYWHERE: LazyLock<Result<[Vec<Sets>; 2], Defect>> = LazyLock::new(|| {
    let all = |rules: &[(SourceRule, &[&str])]| {
        rules.iter().map(|(rule, patterns)| sets(*rule, patterns)).collect::<Result<Vec<_>, _>>()
    };
    Ok([all(&NAMES)?, all(&AT_THE_TOP)?])
});

/// The rules for one source folder.
pub(super) struct SourceRules {
    names: &'static [Sets],
    top: &'static [Sets],
    /// What is the workspace's own, where it is in the folder.
    workspace: Option<Sets>,
    /// Files that the manifest names as a lock or a project, relative to the source folder.
    stated: BTreeSet<String>,
}

/// Which patterns of a rule are for files, and which for folders.
fn sets(rule: SourceRule, patterns: &[&str]) -> Result<Sets, Defect> {
    let (mut files, mut folders) = (GlobSetBuilder::new(), GlobSetBuilder::new());
    for pattern in patterns {
        let (name, folder_alone) = pattern.strip_suffix('/').map_or((*pattern, false), |name| (name, true));
        let glob = GlobBuilder::new(name).literal_separator(true).build();
        let glob = glob.map_err(|error| Defect::new(error.to_string()))?;
        if !folder_alone {
            files.add(glob.clone());
        }
        folders.add(glob);
    }
    let built = |set: GlobSetBuilder| set.build().map_err(|error| Defect::new(error.to_string()));
    Ok((rule, built(files)?, built(folders)?))
}

impl SourceRules {
    /// The rules for `folder`, which like `stated` is relative to the workspace; `.` is its root.
    ///
    /// # Errors
    /// Never: the patterns are constants.
    pub(super) fn new(folder: &str, stated: &BTreeSet<String>) -> Result<Self, Defect> {
        let [names, top] = EVERYWHERE.as_ref().map_err(Clone::clone)?;
        let workspace = match folder {
            "." => Some(sets(SourceRule::Workspace, &OF_THE_ROOT)?),
            "manifests" => Some(sets(SourceRule::Workspace, &["*.toml", "*.lock"])?),
            _ => None,
        };
        let stated = stated
            .iter()
            .filter_map(|path| match folder {
                "." => Some(path.clone()),
                _ => Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned()),
            })
            .collect();
        Ok(Self { names, top, workspace, stated })
    }

    /// The rule that leaves something out; `ignored` says whether a `.gitignore` names it.
    #[must_use]
    pub(super) fn of(&self, candidate: &Candidate<'_>, ignored: bool) -> Option<SourceRule> {
        let Candidate { path, folder, has } = *candidate;
        let name = path.rsplit('/').next().unwrap_or(path);
        let matches = |(rule, files, folders): &Sets| {
            (if folder { folders } else { files }).is_match(name).then_some(*rule)
        };
        let local = || is_of_a_machine(name, folder).then_some(SourceRule::LocalSettings);
        let by_name = self.names.iter().find_map(matches).or_else(local);
        if let Some(rule @ (SourceRule::VersionControl | SourceRule::Bytecode)) = by_name {
            return Some(rule);
        }
        let mut tops = self.workspace.iter().chain(self.top);
        let at_top = if name == path { tops.find_map(matches) } else { None };
        if at_top == Some(SourceRule::Workspace) {
            return at_top;
        }
        if folder && (has("pyvenv.cfg") || has("conda-meta/history")) {
            return Some(SourceRule::VirtualEnvironment);
        }
        if by_name.is_some() {
            return by_name;
        }
        if folder && has("CACHEDIR.TAG") {
            return Some(SourceRule::ToolCache);
        }
        // A package may be called `build`.
        if at_top.is_some_and(|rule| rule != SourceRule::BuildFolder || !has("__init__.py")) {
            return at_top;
        }
        if self.stated.contains(path) {
            return Some(SourceRule::ProjectFile);
        }
        ignored.then_some(SourceRule::GitIgnored)
    }
}

/// Whether something of this name is for settings and secrets of one machine.
fn is_of_a_machine(name: &str, folder: bool) -> bool {
    let is = |known: &&str| known.strip_suffix('/').map_or(**known == *name, |known| folder && known == name);
    is_environment_file(name) || OF_A_MACHINE.iter().any(is)
}

/// Whether a file is for settings and secrets of one machine, by its name or by that of a folder that it is in.
#[must_use]
pub fn is_local_settings(path: &TreePath) -> bool {
    is_of_a_machine(path.file_name(), false)
        || path.parent().split('/').any(|name| is_of_a_machine(name, true))
}

/// Whether a pattern of `include` asks for just what a rule would leave out: it matches, and one of its parts is that name,
/// letter by letter. `**` asks for nothing of that kind.
#[must_use]
pub(super) fn names_it(pattern: &str, left_out: &str) -> bool {
    let name = left_out.rsplit('/').next().unwrap_or(left_out);
    let mut parts = pattern.split('/');
    let Some(index) = parts.position(|part| part == name) else { return false };
    // What is before the name must lead to it.
    let upto = pattern.split('/').take(index + 1).collect::<Vec<_>>().join("/");
    let glob = GlobBuilder::new(&upto).literal_separator(true).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Option<SourceRule>) {
        let stated = BTreeSet::from(["manifests/app/deps/lock.txt".to_owned()]);
        let rules = SourceRules::new("manifests/app", &stated).unwrap();
        let (path, folder) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
        assert_eq!(rules.of(&Candidate { path, folder, has: &|_| false }, false), expect, "{path}");
    }

    #[test]
    fn each_rule_knows_its_files_by_name() {
        use SourceRule::*;
        let rows: [(&str, Option<SourceRule>); 38] = [
            ("app.py", None),
            (".hidden", None),
            (".env.example", None),
            ("lib/build/", None),
            ("lib/pyproject.toml", None),
            ("vendored/acme-1.0.egg-info/", None),
            ("orig.py", None),
            (".git/", Some(VersionControl)),
            ("sub/.git", Some(VersionControl)),
            ("sub/.gitignore", Some(VersionControl)),
            ("a/__pycache__/", Some(Bytecode)),
            ("a/x.pyc", Some(Bytecode)),
            ("a/.mypy_cache/", Some(ToolCache)),
            (".coverage.host.1", Some(ToolCache)),
            (".terraform/", Some(ToolCache)),
            ("a/.DS_Store", Some(EditorDebris)),
            ("._app.py", Some(EditorDebris)),
            ("app.py.orig", Some(EditorDebris)),
            ("app.py~", Some(EditorDebris)),
            (".env", Some(LocalSettings)),
            (".env.prod", Some(LocalSettings)),
            ("sub/.env.local", Some(LocalSettings)),
            (".env.prod.sample", None),
            (".env.template", None),
            ("id_rsa", Some(LocalSettings)),
            ("keys/id_ed25519", Some(LocalSettings)),
            ("id_rsa.pub", None),
            (".ssh/", Some(LocalSettings)),
            (".ssh", None),
            (".aws/", Some(LocalSettings)),
            ("certificates.pem", None),
            (".git-credentials", Some(LocalSettings)),
            ("build/", Some(BuildFolder)),
            ("build", None),
            ("app.egg-info/", Some(BuildFolder)),
            ("pyproject.toml", Some(ProjectFile)),
            ("requirements-dev.txt", Some(ProjectFile)),
            ("deps/lock.txt", Some(ProjectFile)),
        ];
        for (path, expect) in rows {
            check(path, expect);
        }
        let names: BTreeSet<&str> = SourceRule::ALL.iter().map(|rule| rule.as_str()).collect();
        assert_eq!(names.len(), SourceRule::ALL.len());
    }

    #[test]
    fn a_file_is_of_a_machine_by_its_name_or_by_its_folder() {
        for (path, expect) in [
            (".env", true),
            ("a/.env.prod", true),
            (".ssh/config", true),
            ("home/.aws/credentials", true),
            (".env.example", false),
            ("ssh/config", false),
            ("app.py", false),
        ] {
            assert_eq!(is_local_settings(&TreePath::new(path).unwrap()), expect, "{path}");
        }
    }

    #[test]
    fn what_a_folder_holds_tells_what_it_is() {
        let rules = SourceRules::new("app", &BTreeSet::new()).unwrap();
        let of = |path: &str, there: &str| {
            rules.of(&Candidate { path, folder: true, has: &|name| name == there }, false)
        };
        assert_eq!(of("env", "pyvenv.cfg"), Some(SourceRule::VirtualEnvironment));
        assert_eq!(of("deep/conda", "conda-meta/history"), Some(SourceRule::VirtualEnvironment));
        assert_eq!(of("target", "CACHEDIR.TAG"), Some(SourceRule::ToolCache));
        assert_eq!(of("build", "setup.py"), Some(SourceRule::BuildFolder));
        assert_eq!(of("build", "__init__.py"), None, "a package");
    }

    #[test]
    fn the_workspace_is_not_part_of_what_lies_beside_it() {
        for (folder, path, expect) in [
            (".", "kiln.toml", Some(SourceRule::Workspace)),
            (".", "manifests/", Some(SourceRule::Workspace)),
            (".", "app.py", None),
            (".", "sub/manifests/", None),
            ("manifests", "app.toml", Some(SourceRule::Workspace)),
            ("manifests", "app/settings.toml", None),
        ] {
            let rules = SourceRules::new(folder, &BTreeSet::new()).unwrap();
            let (path, is_folder) = path.strip_suffix('/').map_or((path, false), |path| (path, true));
            let candidate = Candidate { path, folder: is_folder, has: &|_| false };
            assert_eq!(rules.of(&candidate, false), expect, "{folder} {path}");
        }
    }

    #[test]
    fn a_pattern_brings_back_what_it_names_and_no_more() {
        for (pattern, left_out, expect) in [
            ("**", ".env", false),
            ("*", ".env", false),
            (".*", ".env", false),
            (".env", ".env", true),
            ("**/.env", "sub/.env", true),
            (".env", "sub/.env", false),
            ("build/**", "build", true),
            ("src/**", "src/.DS_Store", false),
            ("src/build/x.json", "src/build", true),
            ("*.py", "setup.py", false),
        ] {
            assert_eq!(names_it(pattern, left_out), expect, "{pattern} {left_out}");
        }
    }
}
