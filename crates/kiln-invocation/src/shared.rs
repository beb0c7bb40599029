//! Results and blobs of a cache that machines share, for one run: the store first, the cache behind it, and nothing lost with
//! either.
//!
//! What was made here and what was told by others are kept apart. Whoever stops naming a cache no longer takes its word, for
//! what it told earlier either.

use crate::registry_cache::{RegistryCache, RegistryCacheError};
use crate::{Environment, Event, InvocationError, Run, SharedCache, blocking};
use kiln_record::{ArtifactName, Digest};
use kiln_remote::{Remote, RemoteError};
use kiln_store::{Memo, Store, ToldResult};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Something whose result is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// For which artifact.
    pub artifact: &'a ArtifactName,
    /// What it is of, in words: `the step site`.
    pub what: &'a str,
    /// The digest of everything that decides it.
    pub key: &'a Digest,
}

/// The results and blobs of a run. Cheap to clone.
#[derive(Clone)]
pub struct Shared {
    run: Run,
    store: Store,
    cache: Option<Arc<Cache<Remote>>>,
    downloads: Option<Arc<Cache<RegistryCache>>>,
    /// Where programs run, if that is not here.
    executor: Option<Arc<str>>,
    told: Arc<Mutex<BTreeMap<ArtifactName, BTreeSet<ToldResult>>>>,
}

/// A shared cache, as long as it is one.
struct Cache<S> {
    server: S,
    is_lost: AtomicBool,
    is_written: AtomicBool,
}

impl<S> Cache<S> {
    fn new(server: S, write: bool) -> Arc<Self> {
        Arc::new(Self { server, is_lost: AtomicBool::new(false), is_written: AtomicBool::new(write) })
    }

    /// The server, unless it was lost.
    fn reading(&self) -> Option<&S> {
        (!self.is_lost.load(Ordering::Acquire)).then_some(&self.server)
    }

    /// The server, if it is to be told what is made here.
    fn writing(&self) -> Option<&S> {
        self.reading().filter(|_| self.is_written.load(Ordering::Acquire))
    }

    /// Gives the server up, for good or for writing alone. Told once.
    fn lost(&self, run: &Run, why: &dyn std::error::Error, still_read: bool) {
        let was = match still_read {
            true => !self.is_written.swap(false, Ordering::AcqRel),
            false => self.is_lost.swap(true, Ordering::AcqRel),
        };
        if !was {
            run.tell(Event::CacheLost { why: why.to_string(), still_read });
        }
    }
}

impl Cache<Remote> {
    /// What the server gave, or nothing from now on. Told once.
    fn given<T>(&self, run: &Run, answer: Result<T, RemoteError>) -> Result<Option<T>, InvocationError> {
        match answer {
            Ok(given) => Ok(Some(given)),
            Err(RemoteError::Store(error)) => Err(error.into()),
            Err(error) => {
                self.lost(run, &error, false);
                Ok(None)
            }
        }
    }

    /// The same where something was sent: a server that refuses that may still be read.
    fn sent(&self, run: &Run, answer: Result<(), RemoteError>) -> Result<(), InvocationError> {
        match answer {
            Err(error @ (RemoteError::Refused { .. } | RemoteError::Unfit { .. })) => {
                self.lost(run, &error, true);
                Ok(())
            }
            answer => self.given(run, answer).map(drop),
        }
    }
}

impl Cache<RegistryCache> {
    /// What the registry answered, or nothing from now on. One that is only read may refuse to be written.
    fn given<T>(
        &self,
        run: &Run,
        answer: Result<T, RegistryCacheError>,
        still_read: bool,
    ) -> Result<Option<T>, InvocationError> {
        match answer {
            Ok(given) => Ok(Some(given)),
            Err(RegistryCacheError::Run(error)) => Err(error),
            Err(error) => {
                self.lost(run, &error, still_read);
                Ok(None)
            }
        }
    }
}

impl Shared {
    /// Those of a run in an environment, with its cache if there is one. Nothing is connected yet.
    pub(crate) fn new(environment: &Environment, run: &Run, store: &Store) -> Self {
        // Nothing that anybody made is taken where all is made anew, to be compared.
        let named = environment.remote.clone().filter(|_| environment.trial.results.is_none());
        let (mut cache, mut downloads) = (None, None);
        match named {
            Some(SharedCache::Remote(settings)) => {
                let write = settings.write;
                cache = Some(Cache::new(Remote::new(settings), write));
            }
            Some(SharedCache::Registry(settings)) => {
                let (engine, network) = (environment.engine.clone(), environment.network.clone());
                let write = settings.write;
                downloads = Some(Cache::new(RegistryCache::new(settings, engine, network), write));
            }
            None => {}
        }
        let executor = environment.executor.as_ref().map(|executor| Arc::from(executor.address.to_string()));
        Self { run: run.clone(), store: store.clone(), cache, downloads, executor, told: Arc::default() }
    }

    fn reading(&self) -> Option<(&Cache<Remote>, &Remote)> {
        let cache = self.cache.as_deref()?;
        Some((cache, cache.reading()?))
    }

    fn writing(&self) -> Option<(&Cache<Remote>, &Remote)> {
        let cache = self.cache.as_deref()?;
        Some((cache, cache.writing()?))
    }

    /// The result of a key: what was made here, what the shared cache told earlier, or what it tells now. What it tells is used
    /// only if `fits` finds nothing wrong with it; its content is in the store by then.
    ///
    /// # Errors
    /// If the store cannot be read or written. A cache that cannot be used is told once, and counts as empty.
    pub async fn recall<M: Memo + Send + 'static>(
        &self,
        asked: &Asked<'_>,
        fits: impl FnOnce(&Store, &M) -> Result<(), String> + Send + 'static,
    ) -> Result<Option<M>, InvocationError> {
        if let Some(known) = self.known(asked)? {
            return Ok(Some(known));
        }
        let Some((cache, remote)) = self.reading() else { return Ok(None) };
        let told = remote.recall::<M>(&self.store, asked.key).await;
        let Some(memo) = cache.given(&self.run, told)?.flatten() else { return Ok(None) };
        let (store, key, from) = (self.store.clone(), *asked.key, remote.address());
        let fitting = blocking::<_, InvocationError>(move || {
            if let Err(why) = fits(&store, &memo) {
                let why = format!("its result of {key} {why}");
                return Ok(Err(RemoteError::Wrong { address: from, why }));
            }
            store.remember_told(&key, &from, &memo)?;
            Ok(Ok(memo))
        });
        let memo = cache.given(&self.run, fitting.await?)?;
        if memo.is_some() {
            self.note(&remote.address(), asked);
        }
        Ok(memo)
    }

    /// The result of a key that is on this machine: what was made here, or what the shared cache told earlier.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn known<M: Memo>(&self, asked: &Asked<'_>) -> Result<Option<M>, InvocationError> {
        if let Some(known) = self.store.recall(asked.key)? {
            return Ok(Some(known));
        }
        let cache = self.cache.as_deref().map(|cache| cache.server.address());
        for from in self.executor.as_deref().into_iter().chain(cache.as_deref()) {
            if let Some(told) = self.store.recall_told(asked.key, from)? {
                self.note(from, asked);
                return Ok(Some(told));
            }
        }
        Ok(None)
    }

    /// Remembers what was made here, and tells the shared cache if that is to be done. What a server's workers made is kept as that
    /// server's word, and handed on to nobody.
    ///
    /// # Errors
    /// If the store cannot be written. A cache that cannot be written is told once.
    pub async fn remember<M: Memo + Send + Sync + 'static>(
        &self,
        asked: &Asked<'_>,
        memo: M,
    ) -> Result<M, InvocationError> {
        let (store, of, executor) = (self.store.clone(), *asked.key, self.executor.clone());
        let memo = blocking::<_, InvocationError>(move || {
            match executor {
                Some(executor) => store.remember_told(&of, &executor, &memo)?,
                None => store.remember(&of, &memo)?,
            }
            Ok(memo)
        })
        .await?;
        if let Some(executor) = self.executor.as_deref() {
            self.note(executor, asked);
        } else if let Some((cache, remote)) = self.writing() {
            cache.sent(&self.run, remote.remember(&self.store, asked.key, &memo).await)?;
        }
        Ok(memo)
    }

    /// Brings a blob of a known digest and size, in bytes, out of the shared cache into the store, and says whether that was
    /// possible. A container registry states the size itself; another cache is not asked for what has none.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub async fn fetch(&self, digest: &Digest, size: Option<u64>) -> Result<bool, InvocationError> {
        if let Some((cache, registry)) =
            self.downloads.as_deref().and_then(|cache| Some((cache, cache.reading()?)))
        {
            let fetched = registry.fetch(&self.store, digest, size).await;
            return Ok(cache.given(&self.run, fetched, false)?.unwrap_or_default());
        }
        let (Some((cache, remote)), Some(size)) = (self.reading(), size) else { return Ok(false) };
        let fetched = remote.fetch(&self.store, digest, size).await;
        Ok(cache.given(&self.run, fetched)?.unwrap_or_default())
    }

    /// Sends a blob of the store to the shared cache, if that is to be done.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn send(&self, digest: &Digest) -> Result<(), InvocationError> {
        if let Some((cache, registry)) =
            self.downloads.as_deref().and_then(|cache| Some((cache, cache.writing()?)))
        {
            let sent = registry.send(&self.store, digest).await;
            return cache.given(&self.run, sent, true).map(drop);
        }
        match self.writing() {
            Some((cache, remote)) => cache.sent(&self.run, remote.send(&self.store, digest).await),
            None => Ok(()),
        }
    }

    /// What this run took on the word of others for an artifact, sorted: of the shared cache, or of where its programs ran.
    #[must_use]
    pub fn told(&self, artifact: &ArtifactName) -> Vec<ToldResult> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.get(artifact).into_iter().flatten().cloned().collect()
    }

    fn note(&self, from: &str, asked: &Asked<'_>) {
        let from = from.to_owned();
        let result = ToldResult { what: asked.what.to_owned(), key: *asked.key, from: from.clone() };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.entry(asked.artifact.clone()).or_default().insert(result) {
            let (artifact, what) = (asked.artifact.clone(), asked.what.to_owned());
            self.run.tell(Event::Told { artifact, what, from });
        }
    }
}
