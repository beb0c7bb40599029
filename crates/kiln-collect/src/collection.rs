//! One tree with owners: parts are merged, and every path belongs to a component.

use crate::CollectError;
use crate::part::{self, BroughtBy, Content, Part, PartFile};
use kiln_audit::{ElfFacts, format_size};
use kiln_pack::{Compressed, Method, TarWriter, compress, inflate_checked, member_at, raw_stream_at};
use kiln_record::{
    Code, Component, ComponentId, Digest, Ecosystem, Entry, Finding, Mode, Transformation, Tree, TreePath,
};
use kiln_store::Store;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::io::{self, Read, Write};

/// Files above this many bytes are copied in pieces.
const HELD_AT_ONCE: u64 = 16 << 20;

/// A tree with its content and owners.
#[derive(Clone, Debug, Default)]
pub struct Collection {
    /// What is there.
    pub tree: Tree,
    /// Where the content of each file is.
    pub content: BTreeMap<TreePath, Content>,
    /// The component of each path.
    pub owners: BTreeMap<TreePath, ComponentId>,
    /// The components, with the bytes that they own, sorted by id.
    pub components: Vec<Component>,
    /// What merging found.
    pub findings: Vec<Finding>,
    /// Facts about the ELF files that come from wheels.
    pub elf: BTreeMap<TreePath, ElfFacts>,
    /// What packing left out or changed.
    pub transformations: Vec<Transformation>,
    /// The paths that packing left out.
    pub left_out: BTreeSet<TreePath>,
}

impl Collection {
    /// Merges parts. What distributions bring was brought into agreement by their installer; parts that come later may
    /// not say anything else of a path than those before them.
    #[must_use]
    pub fn new(artifact: &str, parts: &[Part]) -> Self {
        let mut collection = Self::default();
        let (installed, own): (Vec<&Part>, Vec<&Part>) =
            parts.iter().partition(|part| part.brought_by == BroughtBy::Distribution);
        for part in installed {
            for file in &part.files {
                // An installer gives each path to one distribution.
                let _ = collection.tree.insert(file.path.clone(), file.entry.clone());
                collection.owners.insert(file.path.clone(), part.component.id.clone());
                if let Some(content) = &file.content {
                    collection.content.insert(file.path.clone(), content.clone());
                }
                if let Some(facts) = &file.elf {
                    collection.elf.insert(file.path.clone(), facts.clone());
                }
            }
        }
        for (index, part) in own.iter().enumerate() {
            collection.add_own(part, &own[..index]);
        }
        // The libraries that a distribution bundles are components of their own.
        for (part, file) in parts.iter().flat_map(|part| part.files.iter().map(move |file| (part, file))) {
            if file.bundled && collection.owners.contains_key(&file.path) {
                let name = format!("{}/{}", part.component.name, file.path.file_name());
                collection.owners.insert(file.path.clone(), ComponentId::new(Ecosystem::Native, &name));
            }
        }
        if let Err(error) = collection.tree.check_folders() {
            collection.findings.push(
                Finding::new(Code::PathCollision, artifact, error.to_string())
                    .remedy("rename or exclude one of them"),
            );
        }
        collection.refuse_case_collisions();
        collection.components = components(artifact, parts, &collection);
        collection
    }

    /// Adds what no distribution brings, after the parts before it.
    fn add_own(&mut self, part: &Part, before: &[&Part]) {
        let name = &part.component.name;
        let whose = match part.brought_by {
            BroughtBy::Upstream => format!("the upstream source {name}"),
            BroughtBy::Step => format!("the step {name}"),
            BroughtBy::Source | BroughtBy::Distribution => "your own file".to_owned(),
        };
        for PartFile { path, stated, entry, content, .. } in &part.files {
            if let Some(owner) = self.owners.get(path)
                && self.tree.get(path) != Some(entry)
            {
                if let (Some(folder), true) = (&part.folder, *owner == part.component.id) {
                    let mut others =
                        before.iter().filter(|other| other.files.iter().any(|file| file.path == *path));
                    let other = others.next().and_then(|other| other.folder.as_deref()).unwrap_or(folder);
                    self.findings.push(
                        Finding::new(
                            Code::PathCollision,
                            path.as_str(),
                            format!("the source folders {other} and {folder} both have `{path}`, with different content"),
                        )
                        .remedy(format!("leave one out: add it to `exclude` of {other} or of {folder}"))
                        .remedy("or give one of the folders another place with `into`"),
                    );
                    continue;
                }
                let is_python = owner.ecosystem() == Ecosystem::Python;
                let owner = owner.as_str().rsplit('/').next().unwrap_or_default();
                let mut finding = Finding::new(
                    Code::PathCollision,
                    path.as_str(),
                    format!("{whose} and {owner} both claim `{path}`, with different content"),
                )
                .remedy(match part.brought_by {
                    BroughtBy::Upstream => format!(
                        "rename one of them, or leave it out: add `{stated}` to `exclude` under `[[upstream]]`"
                    ),
                    BroughtBy::Step => format!(
                        "let the step {name} make it elsewhere, or give its output another folder with `into`"
                    ),
                    BroughtBy::Source | BroughtBy::Distribution => format!(
                        "rename your file, or leave it out: add `{stated}` to `exclude` under `[source]`"
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
            self.tree.remove(path);
            if self.tree.insert(path.clone(), entry.clone()).is_ok() {
                self.owners.insert(path.clone(), part.component.id.clone());
                if let Some(content) = content {
                    self.content.insert(path.clone(), content.clone());
                }
            }
        }
    }

    /// Paths that differ only in case are one path where the archive is unpacked on other systems. Lambda's file system tells
    /// them apart, so that a person may accept such a pair.
    fn refuse_case_collisions(&mut self) {
        let mut folded: BTreeMap<String, &TreePath> = BTreeMap::new();
        for path in self.owners.keys() {
            let Some(other) = folded.insert(path.as_str().to_lowercase(), path) else { continue };
            let owner = |path: &TreePath| self.owners.get(path).map(ToString::to_string).unwrap_or_default();
            self.findings.push(
                Finding::new(
                    Code::CaseCollision,
                    path.as_str(),
                    format!(
                        "`{other}` of {} and `{path}` of {} differ only in case",
                        owner(other),
                        owner(path)
                    ),
                )
                .remedy("rename one of them, or leave it out")
                .remedy(format!(
                    "or, if nobody unpacks the archive but Lambda, accept it: [[policy.exception]] with code = \"case-collision\", subject = \"{path}\", a reason and until"
                )),
            );
        }
    }

    /// Counts anew what each component owns, and forgets those of which nothing is left.
    pub fn recount(&mut self) {
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
    pub fn largest(&self) -> Vec<String> {
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
    pub fn read(&self, store: &Store, path: &TreePath) -> Result<Vec<u8>, CollectError> {
        match self.content.get(path) {
            Some(Content::Made(bytes)) => Ok(bytes.to_vec()),
            Some(Content::File(file)) => self.read_file(path, file),
            Some(Content::Stored(digest)) => Ok(store.read_blob(digest)?),
            Some(Content::Member { archive, stream: member }) => {
                let mut file = store.open_blob(archive)?;
                let stream = raw_stream_at(&mut file, member.offset, member.compressed_size)?;
                Ok(match member.deflated {
                    true => inflate_checked(&stream, member.size, member.crc32)?,
                    false => stream,
                })
            }
            None => Err(CollectError::SourceChanged { path: path.to_string() }),
        }
    }

    /// Adds the file at a path to a tar, under another path. A large one is never in memory as a whole.
    pub fn add_to<W: Write>(
        &self,
        tar: &mut TarWriter<W>,
        store: &Store,
        path: &TreePath,
        place: &TreePath,
    ) -> Result<(), CollectError> {
        match self.tree.get(path) {
            Some(Entry::File { mode, size, .. }) if *size > HELD_AT_ONCE => {
                Ok(tar.copy_file(place, *mode, *size, &mut self.open(store, path)?)?)
            }
            Some(Entry::File { mode, .. }) => Ok(tar.add_file(place, *mode, &self.read(store, path)?)?),
            _ => Err(CollectError::SourceChanged { path: path.to_string() }),
        }
    }

    /// Writes the content of a path, unpacked. A large one is never in memory as a whole.
    ///
    /// # Errors
    /// As [`Collection::read`], or if `to` takes no more.
    pub fn write_to(&self, store: &Store, path: &TreePath, to: &mut dyn Write) -> Result<(), CollectError> {
        match self.tree.get(path) {
            Some(Entry::File { size, .. }) if *size > HELD_AT_ONCE => {
                io::copy(&mut self.open(store, path)?, to)?;
            }
            _ => to.write_all(&self.read(store, path)?)?,
        }
        Ok(())
    }

    /// The content of a path, unpacked while it is read.
    fn open<'a>(&'a self, store: &Store, path: &TreePath) -> Result<Box<dyn Read + 'a>, CollectError> {
        Ok(match self.content.get(path) {
            Some(Content::Made(bytes)) => Box::new(&bytes[..]),
            Some(Content::Stored(digest)) => Box::new(store.open_blob(digest)?),
            Some(Content::Member { archive, stream: member }) => {
                let method = if member.deflated { Method::Deflate } else { Method::Store };
                member_at(store.open_blob(archive)?, member.offset, member.compressed_size, method)?
            }
            Some(Content::File(_)) | None => Box::new(io::Cursor::new(self.read(store, path)?)),
        })
    }

    /// The content of a path as a zip entry: a wheel's own stream where there is one, else compressed here.
    pub fn compressed(
        &self,
        files: &mut OpenArchives<'_>,
        path: &TreePath,
    ) -> Result<Compressed, CollectError> {
        match self.content.get(path) {
            Some(Content::Member { archive, stream: member }) => {
                let stream = raw_stream_at(files.open(archive)?, member.offset, member.compressed_size)?;
                Ok(Compressed {
                    method: if member.deflated { Method::Deflate } else { Method::Store },
                    stream,
                    crc32: member.crc32,
                    size: member.size,
                })
            }
            _ => Ok(compress(&self.read(files.store, path)?)),
        }
    }

    /// Takes a file out.
    pub fn take_out(&mut self, path: &TreePath) -> Option<(ComponentId, u64)> {
        let entry = self.tree.remove(path)?;
        self.content.remove(path);
        self.elf.remove(path);
        self.left_out.insert(path.clone());
        Some((self.owners.remove(path)?, entry.size()))
    }

    /// Gives a file other content; its mode and owner stay.
    pub fn replace(&mut self, path: &TreePath, digest: Digest, size: u64, content: Content) {
        let mode = match self.tree.remove(path) {
            Some(Entry::File { mode, .. }) => mode,
            _ => Mode::Plain,
        };
        // The path was just made free.
        let _ = self.tree.insert(path.clone(), Entry::File { digest, size, mode });
        self.content.insert(path.clone(), content);
    }

    fn read_file(&self, path: &TreePath, file: &std::path::Path) -> Result<Vec<u8>, CollectError> {
        let bytes = fs_err::read(file)?;
        match self.tree.get(path) {
            Some(Entry::File { digest, .. }) if *digest == Digest::of(&bytes) => Ok(bytes),
            _ => Err(CollectError::SourceChanged { path: file.display().to_string() }),
        }
    }
}

/// Open archives of the store, each opened once.
pub struct OpenArchives<'a> {
    store: &'a Store,
    open: BTreeMap<Digest, fs_err::File>,
}

impl<'a> OpenArchives<'a> {
    /// None is open yet.
    #[must_use]
    pub fn new(store: &'a Store) -> Self {
        Self { store, open: BTreeMap::new() }
    }

    fn open(&mut self, archive: &Digest) -> Result<&mut fs_err::File, CollectError> {
        Ok(match self.open.entry(*archive) {
            btree_map::Entry::Occupied(open) => open.into_mut(),
            btree_map::Entry::Vacant(free) => free.insert(self.store.open_blob(archive)?),
        })
    }
}

/// All components with the bytes that they own, sorted by id.
fn components(artifact: &str, parts: &[Part], collection: &Collection) -> Vec<Component> {
    let mut sums: BTreeMap<&ComponentId, (u64, u64)> = BTreeMap::new();
    for (path, entry) in collection.tree.iter() {
        if let Some(owner) = collection.owners.get(path) {
            let sum = sums.entry(owner).or_default();
            *sum = (sum.0 + entry.size(), sum.1 + 1);
        }
    }
    let counted = |id: &ComponentId| sums.get(id).copied();
    let distributions = || parts.iter().filter(|part| part.brought_by == BroughtBy::Distribution);
    let there: BTreeSet<&ComponentId> = distributions().map(|part| &part.component.id).collect();
    let required: BTreeSet<&ComponentId> =
        distributions().flat_map(|part| &part.component.requires).collect();
    let application = ComponentId::new(Ecosystem::Application, artifact);
    let mut components: BTreeMap<ComponentId, Component> = BTreeMap::new();
    for part in parts {
        let mut component = part.component.clone();
        let is_distribution = part.brought_by == BroughtBy::Distribution;
        match counted(&component.id) {
            Some(sum) => (component.bytes, component.files) = sum,
            // One that owns nothing is there all the same; of own files it would say nothing.
            None if is_distribution => {}
            None => continue,
        }
        if component.id == application {
            // What nothing else requires is what the application asked for.
            component.requires = there.difference(&required).map(|id| (*id).clone()).collect();
        }
        components.insert(component.id.clone(), component);
    }
    for (id, (bytes, files)) in &sums {
        let Some((distribution, file)) =
            id.as_str().strip_prefix("native/").and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        let mut component = part::component((*id).clone(), Ecosystem::Native, file);
        component.within = Some(ComponentId::new(Ecosystem::Python, distribution));
        (component.bytes, component.files) = (*bytes, *files);
        components.insert((*id).clone(), component);
    }
    components.into_values().collect()
}
