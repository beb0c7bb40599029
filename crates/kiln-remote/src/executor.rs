//! A server that runs programs: actions are sent there with everything that they need, run by whoever has room, and what
//! they left is asked for.

use crate::blobs::{Open, batches};
use crate::connection::{Connection, TRIES};
use crate::execution::{Executed, follow};
use crate::notice::Notices;
use crate::settings::ExecutorSettings;
use crate::{RemoteError, Result};
use kiln_record::{Digest, HashingWriter};
use kiln_store::StoreError;
use std::collections::BTreeMap;
use std::io::{Read, Seek as _, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A server that runs programs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Executor {
    connection: Connection,
    settings: ExecutorSettings,
    /// How many actions are not over.
    actions: Arc<AtomicUsize>,
}

impl Executor {
    /// Connects, and asks whether it runs programs. What is waited for afterwards is told.
    ///
    /// # Errors
    /// If it does not answer, or cannot do what kiln needs.
    pub async fn open(settings: &ExecutorSettings, notices: Notices) -> Result<Self> {
        let mut connection = Connection::open(&settings.remote()).await?;
        // Without it nothing goes on, and who is restarted comes back.
        (connection.tries, connection.notices) = (TRIES, notices);
        if !connection.executes {
            let why = "it runs no programs".to_owned();
            return Err(RemoteError::Unfit { address: connection.address, why });
        }
        Ok(Self { connection, settings: settings.clone(), actions: Arc::default() })
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.connection.address
    }

    /// What a worker must be like, as its operator calls that.
    #[must_use]
    pub fn properties(&self) -> &BTreeMap<String, String> {
        &self.settings.properties
    }

    /// Who is told what is waited for.
    #[must_use]
    pub fn notices(&self) -> &Notices {
        &self.connection.notices
    }

    /// What it lacks of some blobs, each with its size.
    ///
    /// # Errors
    /// If it cannot be asked.
    pub async fn lacks(&self, blobs: &BTreeMap<Digest, u64>) -> Result<Vec<(Digest, u64)>> {
        self.connection.missing(blobs).await
    }

    /// Sends what it lacks of some blobs, each with its size.
    ///
    /// # Errors
    /// If it cannot be asked or refuses, or a blob cannot be read.
    pub async fn send(&self, blobs: &BTreeMap<Digest, u64>, open: &Open) -> Result<()> {
        self.connection.send_from(open, blobs).await
    }

    /// Lets it run an action that it has all blobs of, for `time` at most once it began. The action is given up with what is
    /// returned.
    #[must_use]
    pub fn execute(&self, action: (Digest, u64), time: Duration) -> Execution {
        let (keep, gone) = oneshot::channel();
        let connection = self.connection.clone();
        let (queue, properties) = (self.settings.queue, self.settings.properties.clone());
        let counted = Counted::new(&self.actions);
        let task = tokio::spawn(async move {
            let _counted = counted;
            follow(&connection, action, time, queue, &properties, gone).await
        });
        Execution { task, _keep: keep }
    }

    /// Waits until the server was told of every action that was given up, if it can be told in time.
    pub async fn settled(&self, patience: Duration) {
        let _ = tokio::time::timeout(patience, async {
            while self.actions.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Gives blobs in the order in which they are wanted, each of them hashed. What is larger than a message comes through a
    /// file.
    ///
    /// # Errors
    /// If it lacks one, gives other bytes, or `take` says so.
    pub async fn read(
        &self,
        wanted: &[(Digest, u64)],
        take: &mut (dyn FnMut(Fetched<'_>) -> std::io::Result<()> + Send),
    ) -> Result<()> {
        let lost =
            |digest: &Digest| RemoteError::Lost { address: self.connection.address.clone(), digest: *digest };
        let mut next = 0;
        while let Some((digest, size)) = wanted.get(next) {
            if *size == 0 {
                if *digest != Digest::of(b"") {
                    return Err(RemoteError::other_bytes(&self.connection.address, digest, &Digest::of(b"")));
                }
                take(Fetched::Bytes(&[])).map_err(StoreError::from)?;
                next += 1;
                continue;
            }
            if !self.connection.goes_in_batches(*size) {
                let attempt = async || {
                    let file = tempfile::tempfile_in(&self.settings.folder).map_err(StoreError::from)?;
                    let mut to = HashingWriter::new(file);
                    let is_there = self.connection.read_large(digest, *size, &mut to).await?;
                    Ok::<_, RemoteError>(is_there.then_some(to))
                };
                let read = match attempt().await {
                    // It broke off in the middle: once more from the beginning.
                    Err(RemoteError::Unreachable { .. }) => attempt().await,
                    read => read,
                };
                let to = read?.ok_or_else(|| lost(digest))?;
                let (mut file, found, _) = to.finish();
                if found != *digest {
                    return Err(RemoteError::other_bytes(&self.connection.address, digest, &found));
                }
                file.seek(SeekFrom::Start(0)).map_err(StoreError::from)?;
                take(Fetched::File(file)).map_err(StoreError::from)?;
                next += 1;
                continue;
            }
            let small = wanted.get(next..).unwrap_or_default().iter();
            let small =
                small.take_while(|(_, size)| *size > 0 && self.connection.goes_in_batches(*size)).copied();
            for batch in batches(small.collect(), self.connection.batch) {
                // The same blob may be wanted twice, and is asked for once.
                let once: BTreeMap<Digest, u64> = batch.iter().copied().collect();
                let once: Vec<(Digest, u64)> = once.into_iter().collect();
                let blobs = self.connection.read_batch(&once).await?;
                for (digest, _) in &batch {
                    let bytes = blobs.get(digest).ok_or_else(|| lost(digest))?;
                    take(Fetched::Bytes(bytes)).map_err(StoreError::from)?;
                    next += 1;
                }
            }
        }
        Ok(())
    }
}

/// Counts an action until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(actions: &Arc<AtomicUsize>) -> Self {
        actions.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(actions))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A blob that was asked for, and is the one.
#[derive(Debug)]
pub enum Fetched<'a> {
    /// Its bytes.
    Bytes(&'a [u8]),
    /// A file with them, at its start.
    File(std::fs::File),
}

impl Fetched<'_> {
    /// Hands its bytes to whoever reads them.
    ///
    /// # Errors
    /// What `read` says.
    pub fn with<T>(self, read: impl FnOnce(&mut dyn Read) -> std::io::Result<T>) -> std::io::Result<T> {
        match self {
            Self::Bytes(mut bytes) => read(&mut bytes),
            Self::File(mut file) => read(&mut file),
        }
    }
}

/// An action under way. It is cancelled when this is dropped.
#[derive(Debug)]
pub struct Execution {
    task: JoinHandle<Result<Executed>>,
    _keep: oneshot::Sender<()>,
}

impl Execution {
    /// Waits for its end.
    ///
    /// # Errors
    /// If the server does not answer, gives up, or has nobody who takes it.
    pub async fn end(mut self) -> Result<Executed> {
        match (&mut self.task).await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(StoreError::from(std::io::Error::other("the run ends")).into()),
        }
    }
}
