//! The cache as a run uses it.

use crate::connection::Connection;
use crate::settings::RemoteSettings;
use crate::{RemoteError, Result, blobs};
use kiln_record::Digest;
use kiln_store::{Memo, Store};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::OnceCell;

/// A shared cache. It is connected to when something first needs it.
#[derive(Debug)]
pub struct Remote {
    settings: RemoteSettings,
    connection: OnceCell<Connection>,
    // Who waits for the same connection does not wait for it again.
    has_failed: AtomicBool,
}

impl Remote {
    /// Takes its settings. Nothing is connected yet.
    #[must_use]
    pub fn new(settings: RemoteSettings) -> Self {
        Self { settings, connection: OnceCell::new(), has_failed: AtomicBool::new(false) }
    }

    /// Its address, which is whose word its results are.
    #[must_use]
    pub fn address(&self) -> String {
        self.settings.address.to_string()
    }

    /// Whether what is made here is sent to it.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.settings.write
    }

    async fn connection(&self) -> Result<&Connection> {
        self.connection
            .get_or_try_init(|| async {
                if self.has_failed.load(Ordering::Acquire) {
                    let why = "it did not when it was asked before".to_owned();
                    return Err(RemoteError::Unreachable { address: self.address(), why });
                }
                let opened = Connection::open(&self.settings).await;
                self.has_failed.store(opened.is_err(), Ordering::Release);
                opened
            })
            .await
    }

    /// Brings a blob of a known size, in bytes, into the store. Says whether the server had it.
    ///
    /// # Errors
    /// If it cannot be asked, gives other bytes, or the store cannot take them.
    pub async fn fetch(&self, store: &Store, digest: &Digest, size: u64) -> Result<bool> {
        self.connection().await?.fetch(store, &BTreeMap::from([(*digest, size)])).await
    }

    /// Sends a blob of the store, unless the server has it.
    ///
    /// # Errors
    /// If it cannot be asked or refuses, or the store lacks the blob.
    pub async fn send(&self, store: &Store, digest: &Digest) -> Result<()> {
        let (reading, of) = (store.clone(), *digest);
        let size = blobs::on_disk(move || Ok(reading.size_of(&of)?)).await?;
        let blobs = BTreeMap::from([(*digest, size)]);
        self.connection().await?.send(store, &blobs).await
    }

    /// The result that the server has of a key. All of its content is in the store then, under the digests that it has;
    /// whether it is a result that the key can have is for the caller to say. None if the server has not all of it.
    ///
    /// # Errors
    /// If it cannot be asked, what it gives is of something else, or the store cannot take it.
    pub async fn recall<M: Memo + Send + 'static>(&self, store: &Store, key: &Digest) -> Result<Option<M>> {
        self.connection().await?.recall(store, key).await
    }

    /// Tells the server a result, with its content, which the store has.
    ///
    /// # Errors
    /// If it cannot be asked or refuses, or the store lacks a part.
    pub async fn remember<M: Memo>(&self, store: &Store, key: &Digest, memo: &M) -> Result<()> {
        self.connection().await?.remember(store, key, memo).await
    }
}
