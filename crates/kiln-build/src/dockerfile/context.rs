//! What a Dockerfile can copy: its context on disk without what `.dockerignore` leaves out, and what upstream sources, steps
//! and the lock bring into it.

use super::ignore::Ignore;
use crate::environment::Context;
use crate::source::{SourceTree, read_context};
use crate::step::ReadyStep;
use crate::upstream::ReadyUpstream;
use crate::{BuildError, distribution::ReadyWheel};
use fs_err as fs;
use kiln_pack::TarWriter;
use kiln_plan::{ArtifactPlan, DockerfileSection, Manifest, Problem};
use kiln_record::{Digest, Entry, Mode, Tree, TreePath};
use kiln_store::StatCache;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

/// Reads the files of the context that a Dockerfile can see.
pub(crate) fn read(root: &Path, manifest: &Manifest, stat: &mut StatCache) -> Result<SourceTree, BuildError> {
    let Some(section) = manifest.dockerfile() else { return Ok(SourceTree::default()) };
    let ignore = ignore_file(root, section)?;
    read_context(root, &manifest.file, &section.context, &|path| ignore.leaves_out(path), stat)
}

/// The patterns: those beside the Dockerfile under its own name, else those of the context.
fn ignore_file(root: &Path, section: &DockerfileSection) -> Result<Ignore, BuildError> {
    for path in [format!("{}.dockerignore", section.path), format!("{}/.dockerignore", section.context)] {
        let full = root.join(&path);
        if !full.is_file() {
            continue;
        }
        let bytes = fs::read(&full)?;
        let text = String::from_utf8(bytes)
            .map_err(|_| BuildError::Input(vec![Problem::in_file(&path, "it is not UTF-8 text")]))?;
        return Ignore::parse(&path, &text).map_err(|problem| BuildError::Input(vec![problem]));
    }
    Ok(Ignore::default())
}

/// A context: its tree, and where the content of each file is.
pub(super) struct BuildContext {
    pub(super) tree: Tree,
    content: BTreeMap<TreePath, Place>,
    /// The name of the Dockerfile that the engine is given, which nothing else has.
    pub(super) dockerfile: TreePath,
}

enum Place {
    Disk(PathBuf),
    Store(Digest),
    Memory(Vec<u8>),
}

impl BuildContext {
    /// Puts a context together. `text` is the Dockerfile as the engine gets it.
    pub(super) fn new(
        plan: &ArtifactPlan,
        source: &SourceTree,
        upstreams: &[ReadyUpstream],
        steps: &[ReadyStep],
        wheels: &[ReadyWheel],
        text: &str,
    ) -> Result<Self, BuildError> {
        let name = format!(".kiln-{}.dockerfile", &Digest::of(text.as_bytes()).hex()[..16]);
        let dockerfile = TreePath::new(&name).map_err(other)?;
        let mut this = Self { tree: Tree::new(), content: BTreeMap::new(), dockerfile: dockerfile.clone() };
        let manifest = &plan.manifest;
        for (path, entry) in source.tree.iter() {
            let place = source.files.get(path).map(|file| Place::Disk(file.clone()));
            this.put(manifest, path.clone(), entry.clone(), place)?;
        }
        let brought = upstreams
            .iter()
            .map(|ready| (&ready.tree, manifest.own_folder(ready.section.into.as_deref())))
            .chain(steps.iter().map(|ready| (&ready.shipped, None)));
        for (tree, into) in brought {
            for (path, entry) in tree.iter() {
                let path = match into {
                    Some(folder) => path.below(folder).map_err(other)?,
                    None => path.clone(),
                };
                this.put(manifest, path, entry.clone(), in_store(entry))?;
            }
        }
        if let Some(folder) = manifest.dockerfile().and_then(|section| section.wheels.as_ref()) {
            for ready in wheels {
                let path = TreePath::new(&format!("{folder}/{}", ready.file_name)).map_err(other)?;
                let entry = Entry::File { digest: ready.digest, size: ready.size, mode: Mode::Plain };
                let place = in_store(&entry);
                this.put(manifest, path, entry, place)?;
            }
        }
        let bytes = text.as_bytes().to_vec();
        let entry = Entry::File { digest: Digest::of(&bytes), size: bytes.len() as u64, mode: Mode::Plain };
        this.put(manifest, dockerfile, entry, Some(Place::Memory(bytes)))?;
        this.tree.check_folders().map_err(|error| collision(manifest, error.to_string()))?;
        Ok(this)
    }

    fn put(
        &mut self,
        manifest: &Manifest,
        path: TreePath,
        entry: Entry,
        place: Option<Place>,
    ) -> Result<(), BuildError> {
        self.tree.insert(path.clone(), entry).map_err(|error| collision(manifest, error.to_string()))?;
        if let Some(place) = place {
            self.content.insert(path, place);
        }
        Ok(())
    }

    /// The context as a tar, every entry of one time.
    pub(super) fn tar(&self, context: &Context, time: u64) -> Result<File, BuildError> {
        // A file without a name: it is gone when the engine has it, however this process ends.
        let mut file = tempfile::tempfile_in(context.store.root())?;
        let mut tar = TarWriter::new(BufWriter::with_capacity(1 << 18, &mut file), time);
        for (path, entry) in self.tree.iter() {
            match entry {
                Entry::Symlink { target } => tar.add_symlink(path, target)?,
                Entry::File { mode, digest, .. } => {
                    let bytes = match self.content.get(path) {
                        Some(Place::Disk(file)) => fs::read(file)?,
                        Some(Place::Store(digest)) => context.store.read_blob(digest)?,
                        Some(Place::Memory(bytes)) => bytes.clone(),
                        None => return Err(BuildError::Interrupted),
                    };
                    if Digest::of(&bytes) != *digest {
                        return Err(BuildError::SourceChanged { path: path.to_string() });
                    }
                    tar.add_file(path, *mode, &bytes)?;
                }
            }
        }
        tar.finish()?.flush()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(file)
    }
}

fn in_store(entry: &Entry) -> Option<Place> {
    match entry {
        Entry::File { digest, .. } => Some(Place::Store(*digest)),
        Entry::Symlink { .. } => None,
    }
}

fn other(error: impl ToString) -> BuildError {
    std::io::Error::other(error.to_string()).into()
}

fn collision(manifest: &Manifest, message: String) -> BuildError {
    BuildError::Input(vec![
        Problem::in_file(&manifest.file, format!("the context of the Dockerfile: {message}"))
            .help("give what upstream sources and steps bring a folder of its own with `into`, and the wheels another with `wheels`"),
    ])
}
