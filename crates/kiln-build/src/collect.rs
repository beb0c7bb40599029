//! Collecting: wheels and source files become one tree, and every path gets an owner.

use crate::distribution::{MemberStream, ReadyWheel};
use crate::step::ReadyStep;
use crate::{BuildError, environment::Context};
use kiln_audit::{ElfFacts, format_size};
use kiln_pack::{Compressed, Method, compress, inflate, raw_stream_at};
use kiln_plan::LockedUpstream;
use kiln_python::{FileSource, Wheel, install};
use kiln_record::{
    Code, Component, ComponentId, Digest, DistributionName, Ecosystem, Entry, Finding, Metadata, Origin,
    Transformation, Tree, TreePath, Upstream,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// Where the content of a path is.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// In a wheel of the store.
    Wheel { wheel: Digest, member: MemberStream },
    /// In memory: what installing made.
    Made(Arc<[u8]>),
    /// In a file of the workspace, which must still have the digest of the tree.
    File(PathBuf),
    /// In the store: what a rule of the `[package]` section made.
    Stored(Digest),
}

/// Who brings files that are of no distribution.
#[derive(Clone, Copy)]
pub(crate) enum OwnOrigin<'a> {
    /// The artifact's own source.
    Source,
    /// An upstream source.
    Upstream(&'a LockedUpstream),
    /// A step.
    Step(&'a ReadyStep),
}

/// Files that no distribution brings: the artifact's own, an upstream source's or a step's.
pub(crate) struct OwnFiles<'a> {
    /// Their component.
    pub(crate) name: &'a str,
    pub(crate) tree: &'a Tree,
    /// Where their content is on disk; what is not there is in the store.
    pub(crate) files: &'a BTreeMap<TreePath, PathBuf>,
    /// The folder of the artifact that they go to.
    pub(crate) into: Option<String>,
    pub(crate) origin: OwnOrigin<'a>,
}

/// A tree with its content and owners.
#[derive(Clone, Debug, Default)]
pub(crate) struct Collection {
    pub(crate) tree: Tree,
    pub(crate) content: BTreeMap<TreePath, Content>,
    pub(crate) owners: BTreeMap<TreePath, ComponentId>,
    pub(crate) components: Vec<Component>,
    pub(crate) findings: Vec<Finding>,
    /// Facts about the ELF files that come from wheels.
    pub(crate) elf: BTreeMap<TreePath, ElfFacts>,
    /// What packing left out or changed.
    pub(crate) transformations: Vec<Transformation>,
    /// The paths that packing left out.
    pub(crate) left_out: BTreeSet<TreePath>,
}

impl Collection {
    /// Merges the wheels, below `prefix`, and what no distribution brings. `edges` says which distribution requires which.
    pub(crate) fn new(
        artifact: &str,
        wheels: &[ReadyWheel],
        edges: &BTreeMap<DistributionName, BTreeSet<DistributionName>>,
        own: &[OwnFiles<'_>],
        prefix: Option<&str>,
    ) -> Result<Self, BuildError> {
        let installed = install(&wheels.iter().map(|ready| &ready.wheel).collect::<Vec<&Wheel>>(), prefix);
        let mut collection = Self { tree: installed.tree, findings: installed.findings, ..Self::default() };
        for (path, owner) in installed.owners {
            collection.owners.insert(path, python_id(&owner));
        }
        for ready in wheels {
            let id = python_id(&ready.wheel.name);
            for file in &ready.wheel.files {
                let Ok(path) = below(&file.path, prefix) else { continue };
                if collection.owners.get(&path) != Some(&id) {
                    continue;
                }
                let content = match &file.source {
                    FileSource::Generated(bytes) => Content::Made(bytes.as_slice().into()),
                    FileSource::Member(member) => match ready.members.get(member) {
                        Some(stream) => Content::Wheel { wheel: ready.digest, member: *stream },
                        None => continue,
                    },
                };
                if let FileSource::Member(member) = &file.source
                    && let Some(facts) = ready.elf.get(member)
                {
                    collection.elf.insert(path.clone(), facts.clone());
                }
                collection.content.insert(path, content);
            }
        }
        for files in own {
            collection.add_own(files);
        }
        collection.name_native_libraries(wheels, prefix);
        if let Err(error) = collection.tree.check_folders() {
            collection.findings.push(
                Finding::new(Code::PathCollision, artifact, error.to_string())
                    .remedy("rename or exclude one of them"),
            );
        }
        collection.refuse_case_collisions();
        collection.components = components(artifact, wheels, edges, own, &collection);
        Ok(collection)
    }

    fn add_own(&mut self, own: &OwnFiles<'_>) {
        let component = ComponentId::new(Ecosystem::Application, own.name);
        let whose = match own.origin {
            OwnOrigin::Source => "your own file".to_owned(),
            OwnOrigin::Upstream(_) => format!("the upstream source {}", own.name),
            OwnOrigin::Step(_) => format!("the step {}", own.name),
        };
        for (path, entry) in own.tree.iter() {
            let Ok(target) = below(path, own.into.as_deref()) else { continue };
            if let Some(owner) = self.owners.get(&target)
                && self.tree.get(&target) != Some(entry)
            {
                let is_python = owner.ecosystem() == Ecosystem::Python;
                let owner = owner.as_str().rsplit('/').next().unwrap_or_default();
                let mut finding = Finding::new(
                    Code::PathCollision,
                    target.as_str(),
                    format!("{whose} and {owner} both claim `{target}`, with different content"),
                )
                .remedy(match own.origin {
                    OwnOrigin::Source => format!(
                        "rename your file, or leave it out: add `{path}` to `exclude` under `[source]`"
                    ),
                    OwnOrigin::Upstream(_) => format!(
                        "rename one of them, or leave it out: add `{path}` to `exclude` under `[[upstream]]`"
                    ),
                    OwnOrigin::Step(_) => format!(
                        "let the step {} make it elsewhere, or give its output another folder with `into`",
                        own.name
                    ),
                });
                if is_python {
                    finding = finding.remedy(format!(
                        "or leave the distribution out: add `{owner}` to `exclude` under `[python]`"
                    ));
                }
                self.findings.push(finding);
                continue;
            }
            self.tree.remove(&target);
            if self.tree.insert(target.clone(), entry.clone()).is_ok() {
                self.owners.insert(target.clone(), component.clone());
                match (own.files.get(path), entry) {
                    (Some(file), _) => {
                        self.content.insert(target, Content::File(file.clone()));
                    }
                    (None, Entry::File { digest, .. }) => {
                        self.content.insert(target, Content::Stored(*digest));
                    }
                    (None, Entry::Symlink { .. }) => {}
                }
            }
        }
    }

    /// Paths that differ only in case are one path where the archive is unpacked on other systems, and no archive of ours
    /// holds them.
    fn refuse_case_collisions(&mut self) {
        let mut folded: BTreeMap<String, &TreePath> = BTreeMap::new();
        for path in self.owners.keys() {
            let Some(other) = folded.insert(path.as_str().to_lowercase(), path) else { continue };
            let owner = |path: &TreePath| self.owners.get(path).map(ToString::to_string).unwrap_or_default();
            self.findings.push(
                Finding::new(
                    Code::PathCollision,
                    path.as_str(),
                    format!(
                        "`{other}` of {} and `{path}` of {} differ only in case",
                        owner(other),
                        owner(path)
                    ),
                )
                .remedy("rename one of them, or leave it out"),
            );
        }
    }

    /// Gives the libraries that a wheel carries in `<name>.libs/` components of their own.
    fn name_native_libraries(&mut self, wheels: &[ReadyWheel], prefix: Option<&str>) {
        for ready in wheels {
            for member in ready.elf.keys() {
                let folder = member.as_str().split('/').next().unwrap_or_default();
                if !folder.ends_with(".libs") {
                    continue;
                }
                let Ok(path) = below(member, prefix) else { continue };
                if self.owners.contains_key(&path) {
                    let name = format!("{}/{}", ready.wheel.name, member.file_name());
                    self.owners.insert(path, ComponentId::new(Ecosystem::Native, &name));
                }
            }
        }
    }

    /// Counts anew what each component owns, and forgets those of which nothing is left.
    pub(crate) fn recount(&mut self) {
        let mut sums: BTreeMap<&ComponentId, (u64, u64)> = BTreeMap::new();
        for (path, entry) in self.tree.iter() {
            if let Some(owner) = self.owners.get(path) {
                let sum = sums.entry(owner).or_default();
                *sum = (sum.0 + entry.size(), sum.1 + 1);
            }
        }
        for component in &mut self.components {
            (component.bytes, component.files) = sums.get(&component.id).copied().unwrap_or_default();
        }
        self.components.retain(|component| component.files > 0);
    }

    /// The largest components with the largest file of each, for whoever has to make an artifact smaller.
    pub(crate) fn largest(&self) -> Vec<String> {
        const SHOWN: usize = 5;
        let mut largest: BTreeMap<&ComponentId, (u64, &TreePath)> = BTreeMap::new();
        for (path, entry) in self.tree.iter() {
            let Some(owner) = self.owners.get(path) else { continue };
            let there = largest.entry(owner).or_insert((entry.size(), path));
            if entry.size() > there.0 {
                *there = (entry.size(), path);
            }
        }
        let mut components: Vec<&Component> = self.components.iter().collect();
        components.sort_by_key(|component| (Reverse(component.bytes), &component.id));
        components
            .iter()
            .take(SHOWN)
            .filter_map(|component| {
                let (size, path) = largest.get(&component.id)?;
                let all = format_size(component.bytes);
                Some(format!("{} has {all} unpacked, {} of it in {path}", component.name, format_size(*size)))
            })
            .collect()
    }

    /// The content of a path, unpacked.
    pub(crate) fn read(&self, context: &Context, path: &TreePath) -> Result<Vec<u8>, BuildError> {
        match self.content.get(path) {
            Some(Content::Made(bytes)) => Ok(bytes.to_vec()),
            Some(Content::File(file)) => self.read_file(path, file),
            Some(Content::Stored(digest)) => Ok(context.store.read_blob(digest)?),
            Some(Content::Wheel { wheel, member }) => {
                let mut file = context.store.open_blob(wheel)?;
                let stream = raw_stream_at(&mut file, member.offset, member.compressed_size)?;
                Ok(if member.deflated { inflate(&stream, member.size)? } else { stream })
            }
            None => Err(BuildError::SourceChanged { path: path.to_string() }),
        }
    }

    /// The content of a path as a zip entry: a wheel's own stream where there is one, else compressed here.
    pub(crate) fn compressed(
        &self,
        files: &mut WheelFiles<'_>,
        path: &TreePath,
    ) -> Result<Compressed, BuildError> {
        match self.content.get(path) {
            Some(Content::Wheel { wheel, member }) => {
                let stream = raw_stream_at(files.open(wheel)?, member.offset, member.compressed_size)?;
                Ok(Compressed {
                    method: if member.deflated { Method::Deflate } else { Method::Store },
                    stream,
                    crc32: member.crc32,
                    size: member.size,
                })
            }
            _ => Ok(compress(&self.read(files.context, path)?)),
        }
    }

    fn read_file(&self, path: &TreePath, file: &std::path::Path) -> Result<Vec<u8>, BuildError> {
        let bytes = fs_err::read(file)?;
        match self.tree.get(path) {
            Some(Entry::File { digest, .. }) if *digest == Digest::of(&bytes) => Ok(bytes),
            _ => Err(BuildError::SourceChanged { path: file.display().to_string() }),
        }
    }
}

/// Open wheels, each opened once.
pub(crate) struct WheelFiles<'a> {
    context: &'a Context,
    open: BTreeMap<Digest, fs_err::File>,
}

impl<'a> WheelFiles<'a> {
    pub(crate) fn new(context: &'a Context) -> Self {
        Self { context, open: BTreeMap::new() }
    }

    fn open(&mut self, wheel: &Digest) -> Result<&mut fs_err::File, BuildError> {
        if !self.open.contains_key(wheel) {
            self.open.insert(*wheel, self.context.store.open_blob(wheel)?);
        }
        self.open.get_mut(wheel).ok_or(BuildError::Interrupted)
    }
}

fn below(path: &TreePath, prefix: Option<&str>) -> Result<TreePath, kiln_record::TreePathError> {
    match prefix {
        Some(prefix) => path.below(prefix),
        None => Ok(path.clone()),
    }
}

fn python_id(name: &DistributionName) -> ComponentId {
    ComponentId::new(Ecosystem::Python, name.as_str())
}

/// All components with the bytes that they own, sorted by id.
fn components(
    artifact: &str,
    wheels: &[ReadyWheel],
    edges: &BTreeMap<DistributionName, BTreeSet<DistributionName>>,
    own: &[OwnFiles<'_>],
    collection: &Collection,
) -> Vec<Component> {
    let mut sums: BTreeMap<&ComponentId, (u64, u64)> = BTreeMap::new();
    for (path, entry) in collection.tree.iter() {
        if let Some(owner) = collection.owners.get(path) {
            let sum = sums.entry(owner).or_default();
            sum.0 += entry.size();
            sum.1 += 1;
        }
    }
    let there: BTreeSet<ComponentId> = wheels.iter().map(|ready| python_id(&ready.wheel.name)).collect();
    let mut components: BTreeMap<ComponentId, Component> = BTreeMap::new();
    for ready in wheels {
        let id = python_id(&ready.wheel.name);
        let (bytes, files) = sums.get(&id).copied().unwrap_or_default();
        let requires = edges.get(&ready.wheel.name).into_iter().flatten().map(python_id);
        components.insert(
            id.clone(),
            Component {
                id,
                ecosystem: Ecosystem::Python,
                name: ready.wheel.name.to_string(),
                version: Some(ready.wheel.version.clone()),
                bytes,
                files,
                origin: Some(Origin {
                    file_name: ready.file_name.clone(),
                    size: ready.size,
                    digest: ready.digest,
                    sha512: Some(ready.sha512.clone()),
                    source: ready.source.clone(),
                }),
                metadata: ready.wheel.metadata.clone(),
                requires: requires.filter(|id| there.contains(id)).collect(),
                within: None,
                from_base: false,
                embedded: ready.embedded.clone(),
                unread_sboms: ready.unread_sboms.clone(),
                upstream: None,
                built_from: ready.built_from.clone(),
                made_by: None,
            },
        );
    }
    // What nothing else requires is what the application asked for.
    let required: BTreeSet<ComponentId> =
        components.values().flat_map(|component| component.requires.iter().cloned()).collect();
    let application = ComponentId::new(Ecosystem::Application, artifact);
    for files in own {
        let id = ComponentId::new(Ecosystem::Application, files.name);
        let Some((bytes, count)) = sums.get(&id).copied() else { continue };
        let (upstream, step) = match files.origin {
            OwnOrigin::Source => (None, None),
            OwnOrigin::Upstream(locked) => (Some(locked), None),
            OwnOrigin::Step(ready) => (None, Some(ready)),
        };
        components.insert(
            id.clone(),
            Component {
                requires: if id == application {
                    there.difference(&required).cloned().collect()
                } else {
                    BTreeSet::new()
                },
                id,
                ecosystem: Ecosystem::Application,
                name: files.name.to_owned(),
                // The commit, since a tag can be moved.
                version: upstream.map(|locked| locked.commit.clone()),
                bytes,
                files: count,
                origin: None,
                upstream: upstream.map(|locked| Upstream {
                    git: locked.git.clone(),
                    revision: locked.revision.clone(),
                    commit: locked.commit.clone(),
                    folder: locked.folder.clone(),
                }),
                built_from: None,
                made_by: step.map(|ready| ready.made_by.clone()),
                metadata: Metadata::default(),
                within: None,
                from_base: false,
                embedded: step.map(|ready| ready.crates.clone()).unwrap_or_default(),
                unread_sboms: BTreeMap::new(),
            },
        );
    }
    for (id, (bytes, files)) in &sums {
        if id.ecosystem() != Ecosystem::Native {
            continue;
        }
        let Some((distribution, file)) = id.name().split_once('/') else { continue };
        components.insert(
            (*id).clone(),
            Component {
                id: (*id).clone(),
                ecosystem: Ecosystem::Native,
                name: file.to_owned(),
                version: None,
                bytes: *bytes,
                files: *files,
                origin: None,
                metadata: Metadata::default(),
                requires: BTreeSet::new(),
                within: Some(ComponentId::new(Ecosystem::Python, distribution)),
                from_base: false,
                embedded: Vec::new(),
                unread_sboms: BTreeMap::new(),
                upstream: None,
                built_from: None,
                made_by: None,
            },
        );
    }
    components.into_values().collect()
}
