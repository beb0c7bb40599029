//! What files compile to, handed on from one import check to the next: compiling takes longer than importing.
//!
//! The program of the check compiles, in its own process, and what it tells is kept by what decides it: the base, and the trees of
//! distributions. It is given again where the engine reads the store, and is used for the very same text alone. No answer
//! depends on it, so that it is in the key of none, and without it a check takes its time.

use crate::CheckError;
use kiln_engine::InputTree;
use kiln_guest::{Bases, Given, guest};
use kiln_invocation::blocking;
use kiln_python::{COMPILED_PLACE, Compiled, CompiledOf};
use kiln_record::{Defect, Digest, Entry, Mode, Tree, TreePath, digest_of_value};
use kiln_store::{Memo, Store, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The version of what is told, and of how it is told.
const RULES: u32 = 1;

/// The most files of a kind that are kept: each is what one check told beside what it was given.
const MOST: usize = 16;

/// Files in the pool of unpacked trees, with their sizes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Kept(Vec<(Digest, u64)>);

impl Memo for Kept {
    const KIND: &'static str = "import-bytecode";

    fn content(&self) -> Vec<Digest> {
        Vec::new()
    }
}

/// By what everything is kept that files of a check compile to.
#[derive(Clone, Debug)]
pub(crate) struct CompiledKeys {
    keys: BTreeMap<CompiledOf, Digest>,
    /// What a program of this check was given: what it tells is beside that.
    given: Arc<Mutex<BTreeSet<CompiledOf>>>,
}

impl CompiledKeys {
    /// The keys for a base by its content, and for trees as they are given to a program.
    pub(crate) fn new(base: &Digest, trees: &[Given]) -> Result<Self, Defect> {
        let mut keys =
            BTreeMap::from([(CompiledOf::Base, digest_of_value(&(RULES, CompiledOf::Base.name(), base))?)]);
        let digests: Option<Vec<_>> =
            trees.iter().map(|given| Some((given.place().to_owned(), given.digest()?))).collect();
        if let Some(digests) = digests {
            let key = digest_of_value(&(RULES, CompiledOf::Trees.name(), base, digests))?;
            keys.insert(CompiledOf::Trees, key);
        }
        Ok(Self { keys, given: Arc::default() })
    }

    /// The key for a base alone.
    pub(crate) fn of_base(base: &Digest) -> Result<Self, Defect> {
        let mut all = Self::new(base, &[])?;
        all.keys.remove(&CompiledOf::Trees);
        Ok(all)
    }

    /// What is there of it, for a container; nothing where the engine does not read the store, or what was kept is gone.
    pub(crate) async fn given(&self, bases: &Bases, image: &str) -> Result<Option<InputTree>, CheckError> {
        if !bases.run().recalls() || !bases.engine_reads_store(image).await? {
            return Ok(None);
        }
        let (mut tree, mut given) = (Tree::new(), BTreeSet::new());
        for (of, key) in &self.keys {
            if let Some(kept) = bases.store().recall::<Kept>(key)? {
                kept.add_to(&mut tree, *of)?;
                given.insert(*of);
            }
        }
        if tree.is_empty() {
            return Ok(None);
        }
        let store = bases.store().clone();
        let folder = blocking::<_, CheckError>(move || {
            let gone = |_: &TreePath, _: &mut dyn io::Write| {
                Err(StoreError::from(io::Error::from(io::ErrorKind::NotFound)))
            };
            Ok(store.unpack(&tree, gone).ok())
        })
        .await?;
        let Some(folder) = folder else { return Ok(None) };
        self.given.lock().unwrap_or_else(PoisonError::into_inner).append(&mut given);
        Ok(Some(InputTree::folder(guest(COMPILED_PLACE)?, folder)))
    }

    /// Keeps what a program told beside what it was given.
    pub(crate) fn keep(&self, store: &Store, told: Vec<Compiled>) -> Result<(), CheckError> {
        let mut known = self.given.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for Compiled { of, bytes } in told {
            let Some(key) = self.keys.get(&of) else { continue };
            let mut kept = match known.insert(of) {
                // It was given nothing of this kind, so that this is all of it.
                true => Kept::default(),
                false => store.recall::<Kept>(key)?.unwrap_or_default(),
            };
            if kept.0.len() >= MOST {
                continue;
            }
            let new = (Digest::of(&bytes), bytes.len() as u64);
            let mut tree = Tree::new();
            Kept(vec![new]).add_to(&mut tree, of)?;
            store.unpack(&tree, |_, to| to.write_all(&bytes).map_err(StoreError::from))?;
            kept.0.push(new);
            store.remember(key, &kept)?;
        }
        Ok(())
    }
}

impl Kept {
    fn add_to(&self, tree: &mut Tree, of: CompiledOf) -> Result<(), Defect> {
        for (number, (digest, size)) in self.0.iter().enumerate() {
            let name = format!("{}-{number}", of.name());
            let entry = Entry::File { digest: *digest, size: *size, mode: Mode::Plain };
            let path = TreePath::new(&name).map_err(|error| Defect::new(error.to_string()))?;
            tree.insert(path, entry).map_err(|error| Defect::new(error.to_string()))?;
        }
        Ok(())
    }
}
