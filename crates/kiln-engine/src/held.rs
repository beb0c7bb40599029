//! What an engine without a daemon keeps in its own process: images and runs.

use crate::ContainerInfo;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Notify;

/// Images by id, and the names that lead to them. Ids are digests of manifests, as with containerd's image store.
pub struct HeldImages<T> {
    images: BTreeMap<String, Arc<T>>,
    names: BTreeMap<String, String>,
}

impl<T> Default for HeldImages<T> {
    fn default() -> Self {
        Self { images: BTreeMap::new(), names: BTreeMap::new() }
    }
}

impl<T> fmt::Debug for HeldImages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HeldImages").field(&self.names).finish()
    }
}

impl<T> HeldImages<T> {
    /// Takes an image. One that is there stays; the names lead to it from now on.
    pub fn put(&mut self, id: &str, names: Vec<String>, image: T) {
        for name in names {
            self.names.insert(name, id.to_owned());
        }
        self.images.entry(id.to_owned()).or_insert_with(|| Arc::new(image));
    }

    /// An image by name, by id, or by the digest of a reference.
    #[must_use]
    pub fn find(&self, reference: &str) -> Option<Arc<T>> {
        let digest = reference.rsplit_once('@').map_or(reference, |(_, digest)| digest);
        let id = self.names.get(&tagged(reference)).map_or(digest, String::as_str);
        self.images.get(id).cloned()
    }

    /// Lets a name lead to an image. Whether there is such an image.
    pub fn name(&mut self, reference: &str, name: &str) -> bool {
        let digest = reference.rsplit_once('@').map_or(reference, |(_, digest)| digest);
        let id = self.names.get(&tagged(reference)).cloned().unwrap_or_else(|| digest.to_owned());
        let there = self.images.contains_key(&id);
        if there {
            self.names.insert(tagged(name), id);
        }
        there
    }

    /// Removes a name, and the image with its last one; or an image by id with all its names. Whether there was any.
    pub fn remove(&mut self, reference: &str) -> bool {
        if let Some(id) = self.names.remove(&tagged(reference)) {
            if !self.names.values().any(|other| *other == id) {
                self.images.remove(&id);
            }
            return true;
        }
        self.names.retain(|_, id| id != reference);
        self.images.remove(reference).is_some()
    }

    /// The names that begin so, each with its image.
    pub fn named<'a>(&'a self, beginning: &'a str) -> impl Iterator<Item = (&'a str, &'a T)> {
        let names = self.names.iter().filter(move |(name, _)| name.starts_with(beginning));
        names.filter_map(|(name, id)| Some((name.as_str(), self.images.get(id)?.as_ref())))
    }
}

/// Docker's rule: a name without tag means `latest`.
fn tagged(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains(':') || last.contains('@') {
        reference.to_owned()
    } else {
        format!("{reference}:latest")
    }
}

/// Programs that are running, by the name of each run.
#[derive(Debug, Default)]
pub struct HeldRuns(BTreeMap<String, (ContainerInfo, Arc<Notify>)>);

impl HeldRuns {
    /// Enters a run. What is returned is told when somebody removes it.
    pub fn begin(&mut self, info: ContainerInfo) -> Arc<Notify> {
        let removed = Arc::new(Notify::new());
        self.0.insert(info.container.clone(), (info, Arc::clone(&removed)));
        removed
    }

    /// A run has ended by itself.
    pub fn end(&mut self, container: &str) {
        self.0.remove(container);
    }

    /// Removes runs, and tells who waits for them. How many there were.
    pub fn remove_where(&mut self, condition: impl Fn(&ContainerInfo) -> bool) -> usize {
        let before = self.0.len();
        self.0.retain(|_, (info, removed)| {
            let remove = condition(info);
            if remove {
                // Kept for whoever waits later: a permit, not a wake-up that nobody hears.
                removed.notify_one();
            }
            !remove
        });
        before - self.0.len()
    }

    /// What is running.
    pub fn iter(&self) -> impl Iterator<Item = &ContainerInfo> {
        self.0.values().map(|(info, _)| info)
    }
}
