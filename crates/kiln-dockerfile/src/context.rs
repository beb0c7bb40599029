//! What a Dockerfile can copy: its context on disk without what `.dockerignore` leaves out, and what upstream sources, steps
//! and the lock bring into it.

use crate::DockerfileError;
use fs_err as fs;
use kiln_collect::{BroughtBy, CollectError, Content, Part, SourceTree, read_context as read_folder};
use kiln_guest::tar_file;
use kiln_image::{FileSystem, Node, NodeContent};
use kiln_plan::{ArtifactPlan, DockerfileSection, Ignore, InvalidFiles, Manifest, Problem};
use kiln_record::{Defect, Digest, Entry, Hasher, HashingWriter, Mode, Tree, TreePath};
use kiln_store::{StatCache, Store, has_room};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// Reads the files of the context that a Dockerfile can see.
///
/// # Errors
/// If the folder or its `.dockerignore` cannot be read.
pub fn read_context(
    root: &Path,
    manifest: &Manifest,
    stat: &StatCache,
) -> Result<SourceTree, DockerfileError> {
    let Some(section) = manifest.dockerfile() else { return Ok(SourceTree::default()) };
    let ignore = ignore_file(root, section)?;
    let is_workspace = section.context == ".";
    let leaves_out = |path: &TreePath| is_workspace && is_of_workspace(path) || ignore.leaves_out(path);
    Ok(read_folder(root, &manifest.file, &section.context, &leaves_out, stat)?)
}

/// Whether a path in the workspace is kiln's own: what states how an image is built is no part of it, and no other artifact's
/// manifest may change it.
pub(crate) fn is_of_workspace(path: &TreePath) -> bool {
    let first = path.as_str().split('/').next().unwrap_or_default();
    matches!(first, "images" | "manifests" | "kiln.toml" | "kiln.lock")
}

/// The patterns: those beside the Dockerfile under its own name, else those of the context.
fn ignore_file(root: &Path, section: &DockerfileSection) -> Result<Ignore, DockerfileError> {
    for path in [format!("{}.dockerignore", section.path), format!("{}/.dockerignore", section.context)] {
        let full = root.join(&path);
        if !full.is_file() {
            continue;
        }
        let bytes = fs::read(&full)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| InvalidFiles(vec![Problem::in_file(&path, "it is not UTF-8 text")]))?;
        return Ignore::parse(&path, &text).map_err(|problem| InvalidFiles(vec![problem]).into());
    }
    Ok(Ignore::default())
}

/// Hashes what is read through it.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}

/// A context: its tree, and where the content of each file is.
pub(crate) struct BuildContext {
    pub(crate) tree: Tree,
    content: BTreeMap<TreePath, Content>,
    /// The name of the Dockerfile that the engine is given, which nothing else has.
    pub(crate) dockerfile: TreePath,
    /// The names that kiln added, that one included: no image is to have them.
    pub(crate) own: BTreeSet<String>,
}

impl BuildContext {
    /// Puts a context together. `text` is the Dockerfile as the engine gets it, and `brought` are the files that it copies
    /// in the place of here-documents.
    pub(crate) fn new(
        plan: &ArtifactPlan,
        source: &SourceTree,
        parts: &[Part],
        text: &str,
        brought: &BTreeMap<String, Arc<str>>,
    ) -> Result<Self, DockerfileError> {
        let name = format!(".kiln-{}.dockerfile", &Digest::of(text.as_bytes()).hex()[..16]);
        let dockerfile = TreePath::new(&name).map_err(|error| Defect::new(error.to_string()))?;
        let mut this = Self {
            tree: Tree::new(),
            content: BTreeMap::new(),
            dockerfile: dockerfile.clone(),
            own: BTreeSet::from([name]),
        };
        let manifest = &plan.manifest;
        for (path, entry) in source.tree.iter() {
            let place = source.files.get(path).map(|file| Content::File(file.clone()));
            this.put(manifest, path.clone(), entry.clone(), place)?;
        }
        let wheels = manifest.dockerfile().and_then(|section| section.wheels.as_ref());
        for part in parts {
            match (part.brought_by, wheels, &part.component.origin) {
                (BroughtBy::Distribution, Some(folder), Some(wheel)) => {
                    let path = TreePath::new(&format!("{folder}/{}", wheel.file_name))
                        .map_err(|error| collision(manifest, error.to_string()))?;
                    let entry = Entry::File { digest: wheel.digest, size: wheel.size, mode: Mode::Plain };
                    this.put(manifest, path, entry, Some(Content::Stored(wheel.digest)))?;
                }
                // A Dockerfile installs what it wants of them.
                (BroughtBy::Distribution, ..) => {}
                _ => {
                    for file in &part.files {
                        let (path, entry) = (file.path.clone(), file.entry.clone());
                        this.put(manifest, path, entry, file.content.clone())?;
                    }
                }
            }
        }
        let mut made = vec![(dockerfile, text)];
        for (path, text) in brought {
            let path = TreePath::new(path).map_err(|error| Defect::new(error.to_string()))?;
            this.own.extend(path.as_str().split('/').next().map(str::to_owned));
            made.push((path, text));
        }
        for (path, text) in made {
            let (digest, size) = (Digest::of(text.as_bytes()), text.len() as u64);
            let content = Content::Made(text.as_bytes().to_vec().into());
            this.put(manifest, path, Entry::File { digest, size, mode: Mode::Plain }, Some(content))?;
        }
        this.tree.check_folders().map_err(|error| collision(manifest, error.to_string()))?;
        Ok(this)
    }

    fn put(
        &mut self,
        manifest: &Manifest,
        path: TreePath,
        entry: Entry,
        place: Option<Content>,
    ) -> Result<(), DockerfileError> {
        self.tree.insert(path.clone(), entry).map_err(|error| collision(manifest, error.to_string()))?;
        if let Some(place) = place {
            self.content.insert(path, place);
        }
        Ok(())
    }

    /// Whether it has a file, or a folder with files.
    pub(crate) fn has(&self, path: &TreePath) -> bool {
        self.tree.iter().any(|(there, _)| there.is_within(path.as_str()))
    }

    /// The context as a file system of root's.
    pub(crate) fn file_system(&self) -> FileSystem {
        let mut files = FileSystem::new();
        for (path, entry) in self.tree.iter() {
            let (content, mode) = match entry {
                Entry::Symlink { target } => (NodeContent::Symlink { target: target.clone() }, 0o777),
                Entry::File { digest, size, mode } => {
                    (NodeContent::File { digest: *digest, size: *size }, mode.bits())
                }
            };
            let node = Node { content, mode, user: 0, group: 0, xattrs: BTreeMap::new() };
            files.put(path.clone(), node);
        }
        files
    }

    /// Puts the content of files into the store, where it is not.
    pub(crate) fn store(&self, store: &Store, wanted: &BTreeSet<Digest>) -> Result<(), DockerfileError> {
        for (path, entry) in self.tree.iter() {
            let Entry::File { digest, size, .. } = entry else { continue };
            if !wanted.contains(digest) || store.contains(digest) {
                continue;
            }
            let mut writer = HashingWriter::new(store.writer()?);
            io::copy(&mut self.open(path, store, *size)?, &mut writer)?;
            let (writer, found, _) = writer.finish();
            if found != *digest {
                return Err(CollectError::SourceChanged { path: path.to_string() }.into());
            }
            writer.commit(Some(digest))?;
        }
        Ok(())
    }

    /// The content of a file.
    fn open(&self, path: &TreePath, store: &Store, size: u64) -> Result<Box<dyn Read>, DockerfileError> {
        Ok(match self.content.get(path) {
            Some(Content::File(file)) => {
                let file = fs::File::open(file)?;
                if file.metadata()?.len() != size {
                    return Err(CollectError::SourceChanged { path: path.to_string() }.into());
                }
                Box::new(file)
            }
            Some(Content::Stored(digest)) => Box::new(store.open_blob(digest)?),
            Some(Content::Made(bytes)) => Box::new(io::Cursor::new(bytes.to_vec())),
            Some(Content::Member { .. }) | None => {
                return Err(Defect::new(format!("{path} has no content of its own")).into());
            }
        })
    }

    /// The context as a tar, every entry of one time.
    pub(crate) fn tar(&self, store: &Store, time: u64) -> Result<File, DockerfileError> {
        has_room(store.root(), "the context of a Dockerfile", self.tree.size())?;
        tar_file(store, time, |tar| {
            for (path, entry) in self.tree.iter() {
                match entry {
                    Entry::Symlink { target } => tar.add_symlink(path, target)?,
                    Entry::File { mode, digest, size } => {
                        let content = self.open(path, store, *size)?;
                        let mut hashed = Hashed { inner: content, hasher: Hasher::default() };
                        tar.copy_file(path, *mode, *size, &mut hashed)?;
                        if hashed.hasher.finish() != *digest {
                            return Err(CollectError::SourceChanged { path: path.to_string() }.into());
                        }
                    }
                }
            }
            Ok(())
        })
    }
}

fn collision(manifest: &Manifest, message: String) -> DockerfileError {
    InvalidFiles(vec![
        Problem::in_file(&manifest.file, format!("the context of the Dockerfile: {message}"))
            .help("give what upstream sources and steps bring a folder of its own with `into`, and the wheels another with `wheels`"),
    ]).into()
}
