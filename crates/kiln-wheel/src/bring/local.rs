//! Distributions of the workspace itself: wheels that lie in it, and projects of which kiln makes the wheel.
//!
//! A project's wheel is made here, in this process and of its files alone: no build backend runs. It then goes the way of
//! every other wheel, so that what is installed, recorded and judged does not depend on where it came from.

use super::distribution::{Chosen, Found, judged};
use crate::WheelError;
use crate::choose::parse_lock;
use fs_err as fs;
use kiln_collect::CollectError;
use kiln_invocation::{InvocationError, Network, blocking, text_file};
use kiln_pack::{ZipWriter, compress};
use kiln_plan::{ArtifactPlan, InvalidFiles, PlanInputs, Problem, PythonSection};
use kiln_python::{
    FilePlace, InvalidInput, Lock, Locked, SourceProject, TargetEnvironment, best_wheel, is_file_of,
    read_source_project, render_record,
};
use kiln_record::{
    Code, Defect, Digest, Entry, Finding, InputRole, Mode, OriginSource, Tree, TreePath, digest_of_value,
};
use kiln_store::{StatCache, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The kind of cache value: which wheels and folders of the workspace a lock names.
const CACHE: &str = "local-places";
/// Folders of a project that hold none of its code.
const NOT_CODE: [&str; 3] = ["__pycache__", "node_modules", "build"];

/// A project as it would be installed.
struct Member {
    project: SourceProject,
    /// What its wheel holds, but RECORD.
    tree: Tree,
    content: BTreeMap<TreePath, Content>,
}

/// How the digest and the length of a file are found: planning remembers them, and a build reads the file.
type DigestOf<'a> = &'a mut dyn FnMut(&Path) -> Result<(Digest, u64), WheelError>;

enum Content {
    File(PathBuf),
    Made(String),
}

/// Paths and digests of the wheels and projects that a lock names: inputs of a build like its sources. What cannot be
/// read is left out here and told when the artifact needs it.
pub fn planned_places(
    root: &Path,
    store: &Store,
    stat: &StatCache,
    section: &PythonSection,
    inputs: &PlanInputs,
) -> Result<Vec<(String, Digest)>, WheelError> {
    let Some(lock) = &inputs.lock else { return Ok(Vec::new()) };
    let key = digest_of_value(&(lock, &inputs.project, &inputs.included, section.install_project))?;
    let places = match store.cache_get::<BTreeSet<(bool, String)>>(CACHE, &key)? {
        Some(places) => places,
        None => {
            let places = places_of(root, section)?;
            store.cache_put(CACHE, &key, &places)?;
            places
        }
    };
    let mut planned = Vec::new();
    for (is_folder, path) in places {
        if is_folder {
            let digest_of = &mut |file: &Path| Ok(stat.digest_of(file)?);
            if let Ok(Ok(member)) = read_member(root, &path, digest_of) {
                planned.push((path, member.tree.digest()));
            }
        } else if root.join(&path).is_file() {
            let digest = stat.digest_of(&root.join(&path))?.0;
            planned.push((path, digest));
        }
    }
    Ok(planned)
}

/// The places that a lock names, each with whether it is a folder.
fn places_of(root: &Path, section: &PythonSection) -> Result<BTreeSet<(bool, String)>, WheelError> {
    // Problems are told when the lock is read for the build.
    let lock = match text_file(root, &section.lock) {
        Err(InvocationError::Input(_)) => return Ok(BTreeSet::new()),
        other => other?,
    };
    let project = section.project_path().and_then(|path| text_file(root, &path).ok());
    let parsed = parse_lock(section, &lock, project.as_ref(), &mut |path| {
        text_file(root, path).ok().map(|file| file.text.to_string())
    });
    let Ok(parsed) = parsed else { return Ok(BTreeSet::new()) };
    let all = parsed.distributions.iter().enumerate();
    let brought = all.filter(|(index, _)| section.install_project || !parsed.is_own_project(*index));
    Ok(brought
        .filter_map(|(_, locked)| match locked.place.clone() {
            Some(FilePlace::File(path)) => Some((false, path)),
            Some(FilePlace::Folder(path)) => Some((true, path)),
            _ => None,
        })
        .collect())
}

/// Brings a wheel or project of the workspace into the store and reads it.
pub(crate) async fn bring(
    network: &Network,
    plan: &ArtifactPlan,
    lock: &Lock,
    locked: &Locked,
    place: &FilePlace,
    target: &TargetEnvironment,
) -> Result<Found, WheelError> {
    let at = lock.place(locked);
    let refuse = |message: String, help: &str| {
        InvalidFiles(vec![Problem::in_file(&at.to_string(), message).help(help.to_owned())]).into()
    };
    let root = network.run().root();
    let (path, is_folder) = match place {
        FilePlace::File(path) => (path, false),
        FilePlace::Folder(path) => (path, true),
        FilePlace::Url(_) | FilePlace::Refused { .. } => {
            return Err(Defect::new(format!("{at} is no place in the workspace")).into());
        }
    };
    let full = root.join(path);
    let there = if is_folder { full.is_dir() } else { full.is_file() };
    if !there {
        let kind = if is_folder { "folder" } else { "file" };
        return Err(refuse(
            format!("{} is taken from {path}, which is no {kind} of the workspace", locked.name),
            "correct the path, which is relative to the lock, or put it there",
        ));
    }
    if !fs::canonicalize(&full)?.starts_with(fs::canonicalize(root)?) {
        return Err(refuse(
            format!("{} is taken from {path}, and a link leads that out of the workspace", locked.name),
            "copy or move it into the workspace",
        ));
    }
    let planned = plan.inputs.iter().find(|input| input.role == InputRole::Source && input.name == *path);
    let changed = || CollectError::SourceChanged { path: path.clone() }.into();
    let (chosen, source) = if is_folder {
        let digest_of = &mut |file: &Path| {
            let bytes = fs::read(file)?;
            Ok((Digest::of(&bytes), bytes.len() as u64))
        };
        let member = read_member(root, path, digest_of)?.map_err(|problem| InvalidInput(vec![problem]))?;
        let project = &member.project;
        if project.name != locked.name {
            return Err(refuse(
                format!("{} is taken from {path}, which is the project `{}`", locked.name, project.name),
                "lock again, or correct the path",
            ));
        }
        if locked.version != "dynamic" && !is_file_of(&project.wheel_name(), &locked.name, &locked.version) {
            let cause = format!(
                "{at} has {} {}, but {path}/pyproject.toml says version {}",
                locked.name, locked.version, project.version
            );
            let finding = Finding::new(Code::LockStale, lock.name.as_str(), cause)
                .remedy("lock again")
                .remedy(format!("or take back the change of the version in {path}/pyproject.toml"));
            return Ok(Found::Finding(Box::new(finding)));
        }
        let tree = member.tree.digest();
        if planned.map(|input| input.digest) != Some(tree) {
            return Err(changed());
        }
        let file_name = project.wheel_name();
        let store = network.store().clone();
        let digest = blocking::<_, WheelError>(move || Ok(store.put(&member.wheel()?)?)).await?;
        (Chosen { file_name, digest }, OriginSource::Folder { path: path.clone(), tree })
    } else {
        let file_name = place.file_name().unwrap_or_default();
        if let Err(none) = best_wheel(&[&file_name], |name| name, target) {
            return Ok(Found::Finding(Box::new(none.finding(&locked.name, &locked.version, &at))));
        }
        let bytes = fs::read(&full)?;
        let digest = Digest::of(&bytes);
        if planned.map(|input| input.digest) != Some(digest) {
            return Err(changed());
        }
        if !locked.files.is_empty() && locked.files.iter().all(|file| file.digest != digest) {
            let cause = format!("{path} has the digest {digest}, which {at} does not name");
            let finding = Finding::new(Code::LockStale, lock.name.as_str(), cause).remedy(
                "find out who changed the file; if it is the right one, write its hash into the lock",
            );
            return Ok(Found::Finding(Box::new(finding)));
        }
        let store = network.store().clone();
        blocking::<_, WheelError>(move || Ok(store.put(&bytes)?)).await?;
        (Chosen { file_name, digest }, OriginSource::File { path: path.clone() })
    };
    judged(network, chosen, &lock.name, locked, Some(source)).await
}

/// Reads a project in a folder of the workspace.
fn read_member(
    root: &Path,
    folder: &str,
    digest_of: DigestOf<'_>,
) -> Result<Result<Member, kiln_python::InputProblem>, WheelError> {
    let full = root.join(folder);
    let (mut paths, mut links) = (Vec::new(), Vec::new());
    let mut pending = vec![full.clone()];
    while let Some(current) = pending.pop() {
        for entry in fs::read_dir(&current)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || name.ends_with(".pyc") {
                continue;
            }
            if kind.is_dir() {
                if !NOT_CODE.contains(&name.as_str()) && !name.ends_with(".egg-info") {
                    pending.push(path);
                }
                continue;
            }
            let relative = path.strip_prefix(&full).unwrap_or(&path).to_string_lossy().into_owned();
            if kind.is_file() { paths.push(relative) } else { links.push(relative) }
        }
    }
    paths.sort();
    let project = read_source_project(folder, &paths, &mut |path| fs::read_to_string(full.join(path)).ok());
    let project = match project {
        Ok(project) => project,
        Err(problem) => return Ok(Err(problem)),
    };
    let invalid = |path: &str, message: String, help: &str| {
        InvalidFiles(vec![Problem::in_file(&format!("{folder}/{path}"), message).help(help.to_owned())])
            .into()
    };
    let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    let folders: BTreeSet<Option<String>> = project.files.values().map(|path| parent(path)).collect();
    if let Some(link) = links.iter().find(|link| folders.contains(&parent(link)) && parent(link).is_some()) {
        return Err(invalid(
            link,
            "it is a link, or no regular file".to_owned(),
            "put the file itself there",
        ));
    }
    let mut member = Member { tree: Tree::new(), content: BTreeMap::new(), project };
    let files = member.project.files.clone();
    for (to, from) in &files {
        let path = TreePath::new(to).map_err(|error| invalid(from, error.to_string(), "rename it"))?;
        let file = full.join(from);
        let (digest, size) = digest_of(&file)?;
        let mode = Mode::from_bits(fs::metadata(&file)?.permissions().mode());
        member.add(path, Entry::File { digest, size, mode }, Content::File(file))?;
    }
    for (path, text) in member.project.dist_info() {
        let entry =
            Entry::File { digest: Digest::of(text.as_bytes()), size: text.len() as u64, mode: Mode::Plain };
        let path =
            TreePath::new(&path).map_err(|error| invalid(&path, error.to_string(), "rename the project"))?;
        member.add(path, entry, Content::Made(text))?;
    }
    Ok(Ok(member))
}

impl Member {
    fn add(&mut self, path: TreePath, entry: Entry, content: Content) -> Result<(), WheelError> {
        self.tree.insert(path.clone(), entry).map_err(|error| Defect::new(error.to_string()))?;
        self.content.insert(path, content);
        Ok(())
    }

    /// The wheel: the same bytes for the same files.
    fn wheel(&self) -> Result<Vec<u8>, WheelError> {
        let record =
            TreePath::new(&self.project.record_path()).map_err(|error| Defect::new(error.to_string()))?;
        let rows = self.tree.iter().filter_map(|(path, entry)| match entry {
            Entry::File { digest, size, .. } => Some((path, *digest, *size)),
            Entry::Symlink { .. } => None,
        });
        let text = render_record(rows, &record);
        // RECORD takes its place among the others: a zip is in the order of its paths.
        let mut members: BTreeMap<&TreePath, Option<&Content>> =
            self.content.iter().map(|(path, content)| (path, Some(content))).collect();
        members.insert(&record, None);
        let mut zip = ZipWriter::new(Vec::new());
        for (path, content) in members {
            let bytes = match content {
                Some(Content::File(file)) => fs::read(file)?,
                Some(Content::Made(text)) => text.clone().into_bytes(),
                None => text.clone().into_bytes(),
            };
            let mode = match self.tree.get(path) {
                Some(Entry::File { digest, .. }) if *digest != Digest::of(&bytes) => {
                    return Err(CollectError::SourceChanged { path: path.to_string() }.into());
                }
                Some(Entry::File { mode, .. }) => *mode,
                _ => Mode::Plain,
            };
            zip.add_file(path, mode, &compress(&bytes))?;
        }
        Ok(zip.finish()?)
    }
}
