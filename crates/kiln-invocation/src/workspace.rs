//! Reads a workspace's text files from disk.

use crate::InvocationError;
use fs_err as fs;
use kiln_plan::{InvalidFiles, Problem, TOOLS_LOCK, TextFile, Workspace, WorkspaceFiles, dockerfile_of};
use kiln_record::ArtifactName;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The file that marks the root of a workspace.
pub const WORKSPACE_FILE: &str = "kiln.toml";

/// The nearest folder at or above `start` that holds `kiln.toml`.
#[must_use]
pub fn find_workspace(start: &Path) -> Option<PathBuf> {
    start.ancestors().find(|folder| folder.join(WORKSPACE_FILE).is_file()).map(Path::to_owned)
}

/// Reads `kiln.toml`, `images/` and `manifests/`.
///
/// # Errors
/// What cannot be read, or all problems of what was read.
pub fn read_workspace(root: &Path) -> Result<Workspace, InvocationError> {
    Workspace::parse(&workspace_files(root)?).map_err(|problems| InvalidFiles(problems).into())
}

/// Reads the same as far as it can be used: what is wrong with one artifact is kept with that artifact.
///
/// # Errors
/// What cannot be read, or all problems of what was read if one is in `kiln.toml`.
pub fn read_usable_workspace(root: &Path) -> Result<Workspace, InvocationError> {
    Workspace::parse_usable(&workspace_files(root)?).map_err(|problems| InvalidFiles(problems).into())
}

fn workspace_files(root: &Path) -> Result<WorkspaceFiles, InvocationError> {
    let mut unreadable = Vec::new();
    let mut all = |folder, ending| {
        let (files, problems) = text_files(root, folder, ending)?;
        unreadable.extend(problems);
        Ok::<_, InvocationError>(files)
    };
    let (definitions, locks) = (all("images", ".toml")?, all("images", ".lock")?);
    let (manifests, artifact_locks) = (all("manifests", ".toml")?, all("manifests", ".lock")?);
    let named: BTreeSet<String> = manifests.iter().filter_map(|file| dockerfile_of(&file.text)).collect();
    let dockerfiles = named.into_iter().filter(|path| root.join(path).is_file());
    let (dockerfiles, problems) = texts(root, dockerfiles)?;
    unreadable.extend(problems);
    let settings = Some(text_file(root, WORKSPACE_FILE)?);
    let tools_lock = root.join(TOOLS_LOCK).is_file().then(|| text_file(root, TOOLS_LOCK)).transpose()?;
    Ok(WorkspaceFiles {
        settings,
        definitions,
        locks,
        manifests,
        dockerfiles,
        artifact_locks,
        tools_lock,
        unreadable,
    })
}

/// Reads what pinning a base needs: settings and definitions, and its present lock if that can be read. Manifests do not
/// matter, and a lock that is broken is what the command is there to replace.
pub fn read_workspace_for_locking(root: &Path, base: &str) -> Result<Workspace, InvocationError> {
    let mut files = base_files(root)?;
    let ours = format!("images/{base}.lock");
    files.locks.retain(|lock| lock.path == ours);
    files.unreadable.retain(|problem| !problem.file.ends_with(".lock"));
    Workspace::parse(&files).or_else(|_| {
        files.locks.clear();
        Workspace::parse(&files).map_err(|problems| InvalidFiles(problems).into())
    })
}

/// Reads bases with their locks, and no manifests: a list of pins does not depend on what uses them.
pub fn read_workspace_for_pins(root: &Path) -> Result<Workspace, InvocationError> {
    Workspace::parse(&base_files(root)?).map_err(|problems| InvalidFiles(problems).into())
}

fn base_files(root: &Path) -> Result<WorkspaceFiles, InvocationError> {
    let settings = Some(text_file(root, WORKSPACE_FILE)?);
    let (definitions, mut unreadable) = text_files(root, "images", ".toml")?;
    let (locks, problems) = text_files(root, "images", ".lock")?;
    unreadable.extend(problems);
    Ok(WorkspaceFiles { settings, definitions, locks, unreadable, ..WorkspaceFiles::default() })
}

/// The artifacts that names mean: that of an image for several platforms means each of these.
pub fn artifacts_of(workspace: &Workspace, names: &[ArtifactName]) -> Vec<ArtifactName> {
    let one = |name: &ArtifactName| match workspace.platform_sets.get(name) {
        Some(set) => set.artifacts.clone(),
        None => vec![name.clone()],
    };
    names.iter().flat_map(one).collect()
}

/// How much of a file is read to see whether it reads like a manifest.
const HEAD: u64 = 16 << 10;

/// Holds that all that is stated in a workspace is what its manifests state: that there is one, and that none has a name by which
/// it would be passed over.
///
/// # Errors
/// [`InvocationError::NoArtifacts`] and [`InvocationError::StrayManifests`].
pub fn all_stated(root: &Path, workspace: &Workspace) -> Result<(), InvocationError> {
    let files = stray_manifests(root)?;
    if !files.is_empty() {
        return Err(InvocationError::StrayManifests { files });
    }
    if workspace.manifests.is_empty() && workspace.broken.is_empty() && workspace.platform_sets.is_empty() {
        return Err(InvocationError::NoArtifacts { folder: root.display().to_string() });
    }
    Ok(())
}

/// Files right in `manifests/` that begin like a manifest under another name, but for copies of one that editors keep.
fn stray_manifests(root: &Path) -> Result<Vec<String>, InvocationError> {
    let folder = root.join("manifests");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(&folder)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    let is_copy =
        |name: &str| names.iter().any(|other| other.ends_with(".toml") && name.starts_with(other.as_str()));
    let mut stray = Vec::new();
    for name in
        names.iter().filter(|name| !name.ends_with(".toml") && !name.starts_with('.') && !is_copy(name))
    {
        let mut head = Vec::new();
        fs::File::open(folder.join(name))?.take(HEAD).read_to_end(&mut head)?;
        let head = String::from_utf8_lossy(&head);
        // Keys come before tables.
        let keys = head.lines().map(str::trim).take_while(|line| !line.starts_with('['));
        let is_kind =
            |line: &str| line.strip_prefix("kind").is_some_and(|rest| rest.trim_start().starts_with('='));
        if keys.into_iter().any(is_kind) {
            stray.push(format!("manifests/{name}"));
        }
    }
    Ok(stray)
}

/// What can be named where artifacts are asked for, sorted.
pub fn known_names(workspace: &Workspace) -> Vec<String> {
    let names: BTreeSet<&ArtifactName> = workspace
        .manifests
        .keys()
        .chain(workspace.broken.keys())
        .chain(workspace.platform_sets.keys())
        .collect();
    names.into_iter().map(ToString::to_string).collect()
}

/// The text files of a folder, and what is wrong with those that are no text.
fn text_files(
    root: &Path,
    folder: &str,
    ending: &str,
) -> Result<(Vec<TextFile>, Vec<Problem>), InvocationError> {
    let path = root.join(folder);
    if !path.is_dir() {
        return Ok((Vec::new(), Vec::new()));
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(&path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(ending) && !name.starts_with('.') && entry.path().is_file() {
            names.push(name);
        }
    }
    names.sort();
    texts(root, names.iter().map(|name| format!("{folder}/{name}")))
}

fn texts(
    root: &Path,
    paths: impl Iterator<Item = String>,
) -> Result<(Vec<TextFile>, Vec<Problem>), InvocationError> {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        match text_file(root, &path) {
            Ok(file) => files.push(file),
            Err(InvocationError::Input(InvalidFiles(found))) => problems.extend(found),
            Err(error) => return Err(error),
        }
    }
    Ok((files, problems))
}

/// What text that is not UTF-8 is, where its first bytes tell.
fn not_utf8(path: &str, bytes: &[u8]) -> Problem {
    let order = match bytes {
        [0xff, 0xfe, ..] => Some("LE"),
        [0xfe, 0xff, ..] => Some("BE"),
        // A zero byte beside each letter of the first line.
        [first, 0, ..] if *first != 0 => Some("LE"),
        [0, first, ..] if *first != 0 => Some("BE"),
        _ => None,
    };
    match order {
        Some(order) => Problem::in_file(path, "it is UTF-16 text, as `>` in Windows PowerShell writes, and not UTF-8")
            .help(format!("write it anew in UTF-8: iconv -f UTF-16{order} -t UTF-8 (in PowerShell: … | Out-File -Encoding utf8)")),
        None => Problem::in_file(path, "it is not UTF-8 text"),
    }
}

/// Reads one UTF-8 file of the workspace.
pub fn text_file(root: &Path, path: &str) -> Result<TextFile, InvocationError> {
    let bytes = fs::read(root.join(path))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(TextFile { path: path.to_owned(), text: text.into() }),
        Err(error) => Err(InvalidFiles(vec![not_utf8(path, error.as_bytes())]).into()),
    }
}
