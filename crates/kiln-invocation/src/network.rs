//! Reaching servers: one client for a run, the indexes and registries it may ask, and downloads into the store that are
//! held against a digest.

use crate::shared::Shared;
use crate::{Environment, Event, InvocationError, NamedIndexSetting, Run, blocking};
use kiln_fetch::{
    Client, CrateSetting, Index, IndexFile, IndexSetting, Mirror, NetworkSettings, Reopened, Url,
    without_credentials,
};
use kiln_image::RegistryMirror;
use kiln_plan::{InvalidFiles, Problem, Trust};
use kiln_record::{Defect, Digest};
use kiln_store::{Store, has_room};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// The file that names indexes.
const FILE: &str = "kiln.toml";

/// What a run reaches servers with. The client is made when it is first needed: a run in which nothing changed connects
/// to nothing. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    run: Run,
    store: Store,
    shared: Shared,
    reached: Arc<Reached>,
}

/// What the environment says of servers, and what was learned of them.
struct Reached {
    settings: NetworkSettings,
    trust: Trust,
    index: Option<IndexSetting>,
    indexes: BTreeMap<String, NamedIndexSetting>,
    further_indexes: Vec<String>,
    debian_mirrors: Vec<Mirror>,
    registry_mirrors: Vec<RegistryMirror>,
    crates: Result<Option<CrateSetting>, String>,
    tool_variables: BTreeMap<String, String>,
    client: OnceCell<Client>,
    // The named indexes that were asked, with their logins.
    asked: tokio::sync::Mutex<BTreeMap<String, Index>>,
    // One download at a time for each file, however many artifacts need it.
    flights: Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
}

impl Network {
    /// Takes what the environment says of servers. Nothing is connected yet.
    #[must_use]
    pub fn new(environment: &Environment, run: &Run, store: &Store) -> Self {
        Self {
            run: run.clone(),
            store: store.clone(),
            shared: Shared::new(environment, run, store),
            reached: Arc::new(Reached {
                settings: environment.network.clone(),
                trust: environment.trust.clone(),
                index: environment.index.clone(),
                indexes: environment.indexes.clone(),
                further_indexes: environment.further_indexes.clone(),
                debian_mirrors: environment.debian_mirrors.clone(),
                registry_mirrors: environment.registry_mirrors.clone(),
                crates: environment.crates.clone(),
                tool_variables: environment.tool_variables.clone(),
                client: OnceCell::new(),
                asked: tokio::sync::Mutex::default(),
                flights: Mutex::default(),
            }),
        }
    }

    /// The run that this is part of.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Where downloads go.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// How servers are reached.
    #[must_use]
    pub fn settings(&self) -> &NetworkSettings {
        &self.reached.settings
    }

    /// Holds that servers may be asked for something.
    ///
    /// # Errors
    /// [`InvocationError::Offline`] with what would have been asked for, where the network is switched off.
    pub fn may_ask(&self, what: impl FnOnce() -> String) -> Result<(), InvocationError> {
        match self.reached.settings.offline {
            true => Err(InvocationError::Offline { what: what() }),
            false => Ok(()),
        }
    }

    /// Holds that what is at a URL may be asked for: a file of this machine always, anything else if servers may be asked.
    ///
    /// # Errors
    /// As [`may_ask`](Self::may_ask).
    pub fn may_reach(&self, url: &Url, what: impl FnOnce() -> String) -> Result<(), InvocationError> {
        if url.scheme() == "file" { Ok(()) } else { self.may_ask(what) }
    }

    /// The indexes that `kiln.toml` names.
    #[must_use]
    pub fn indexes(&self) -> &BTreeMap<String, NamedIndexSetting> {
        &self.reached.indexes
    }

    /// Where pip and uv are told of further indexes, none of which is asked.
    #[must_use]
    pub fn further_indexes(&self) -> &[String] {
        &self.reached.further_indexes
    }

    /// The Debian mirrors of the environment, used where neither base nor workspace names one.
    #[must_use]
    pub fn debian_mirrors(&self) -> &[Mirror] {
        &self.reached.debian_mirrors
    }

    /// Mirrors of container registries.
    #[must_use]
    pub fn registry_mirrors(&self) -> &[RegistryMirror] {
        &self.reached.registry_mirrors
    }

    /// Variables that a tool run on this machine needs to reach servers: certificates and proxies.
    #[must_use]
    pub fn tool_variables(&self) -> &BTreeMap<String, String> {
        &self.reached.tool_variables
    }

    /// Results and blobs, those of a cache that machines share among them.
    #[must_use]
    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The crates registry that the environment's cargo is configured for.
    ///
    /// # Errors
    /// If there is none, or what is configured cannot be used.
    pub fn crates(&self) -> Result<&CrateSetting, InvocationError> {
        match &self.reached.crates {
            Ok(Some(setting)) => Ok(setting),
            Ok(None) => Err(InvocationError::NoCrates),
            Err(reason) => Err(InvocationError::Crates { reason: reason.clone() }),
        }
    }

    /// The client; the first call makes it.
    ///
    /// # Errors
    /// If the trust store cannot be read.
    pub async fn client(&self) -> Result<&Client, InvocationError> {
        let settings = &self.reached.settings;
        self.reached
            .client
            .get_or_try_init(|| async { Client::new(settings) })
            .await
            .map_err(InvocationError::from)
    }

    /// The index of a name in `kiln.toml`, with its login. The keyring is asked once.
    ///
    /// # Errors
    /// If `kiln.toml` does not name it, or its login cannot be had.
    pub async fn named_index(&self, name: &str) -> Result<Index, InvocationError> {
        let mut asked = self.reached.asked.lock().await;
        if let Some(index) = asked.get(name) {
            return Ok(index.clone());
        }
        let Some(setting) = self.reached.indexes.get(name) else {
            let reason = format!("{FILE} does not name it");
            return Err(InvocationError::Index { index: name.to_owned(), reason });
        };
        let index = setting.index(name).await?;
        self.trusts(&index)?;
        asked.insert(name.to_owned(), index.clone());
        Ok(index)
    }

    /// The default index that the workspace or the environment names.
    ///
    /// # Errors
    /// If the login of one that the workspace names cannot be had.
    pub async fn configured_index(&self) -> Result<Option<Index>, InvocationError> {
        if let Some((name, _)) = self.reached.indexes.iter().find(|(_, setting)| setting.default) {
            return self.named_index(name).await.map(Some);
        }
        let index = self.reached.index.clone().map(Index::from);
        index.iter().try_for_each(|index| self.trusts(index))?;
        Ok(index)
    }

    /// Holds that the workspace lets an index be asked.
    ///
    /// # Errors
    /// A problem of `kiln.toml` where `trust.indexes` does not allow it.
    pub fn trusts(&self, index: &Index) -> Result<(), InvocationError> {
        let mut address = without_credentials(&index.url);
        address.set_query(None);
        Ok(self.reached.trust.index(address.as_str()).map_err(|problem| {
            let message = format!("{} (it is from {})", problem.message, index.from);
            InvalidFiles::from(Problem { message, ..problem })
        })?)
    }

    /// Waits until no one else brings the same file, and keeps others waiting until the guard is dropped.
    pub async fn flight(&self, digest: &Digest) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut flights = self.reached.flights.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(flights.entry(*digest).or_default())
        };
        lock.lock_owned().await
    }

    /// Brings a file into the store whose digest must be one of `hashes`; `lock` is the place that names them.
    ///
    /// # Errors
    /// If it cannot be had, or something else is served.
    pub async fn download(
        &self,
        file: &IndexFile,
        hashes: &[Digest],
        lock: &str,
    ) -> Result<Digest, InvocationError> {
        self.fetch_file(file, &|digest| {
            if hashes.contains(&digest) {
                return Ok(());
            }
            Err(InvocationError::ServedNotLocked {
                file: file.file_name.clone(),
                lock: lock.to_owned(),
                found: digest,
                locked: hashes.to_vec(),
            })
        })
        .await
    }

    /// Brings a file of an index into the store before anything is locked: any content will do that is what the index says.
    ///
    /// # Errors
    /// If it cannot be had, or is not what the index says.
    pub async fn store_file(&self, file: &IndexFile) -> Result<Digest, InvocationError> {
        let _flight = match &file.digest {
            Some(digest) => Some(self.flight(digest).await),
            None => None,
        };
        self.fetch_file(file, &|_| Ok(())).await
    }

    /// Downloads a file unless the store has it. `accept` sees the digest of what came before it is kept.
    async fn fetch_file(
        &self,
        file: &IndexFile,
        accept: &(dyn Fn(Digest) -> Result<(), InvocationError> + Sync),
    ) -> Result<Digest, InvocationError> {
        if let Some(digest) = file.digest
            && self.store.contains(&digest)
        {
            return Ok(digest);
        }
        if let Some(digest) = file.digest
            && accept(digest).is_ok()
            && self.shared.fetch(&digest, file.size).await?
        {
            return Ok(digest);
        }
        self.may_reach(&file.url, || file.file_name.clone())?;
        if let Some(size) = file.size {
            has_room(self.store.root(), &file.file_name, size)?;
        }
        let name = file.file_name.clone();
        self.run.tell(Event::DownloadStarted { file: name.clone(), size: file.size });
        let store = self.store.clone();
        let mut sink = Reopened::new(move || store.writer().map_err(io::Error::other));
        let progress = |bytes| self.run.tell(Event::Downloaded { file: name.clone(), bytes });
        let client = self.client().await?;
        let outcome = client.download(&file.url, file.digest.as_ref(), file.size, &mut sink, &progress).await;
        self.run.tell(Event::DownloadEnded { file: name.clone() });
        let (digest, _) = outcome?;
        accept(digest)?;
        let Some(writer) = sink.into_inner() else {
            return Err(Defect::new("a download ended well and nothing was written").into());
        };
        blocking::<_, InvocationError>(move || Ok(writer.commit(Some(&digest))?)).await?;
        self.shared.send(&digest).await?;
        Ok(digest)
    }
}
