//! Blobs: from the server into the store, and from the store to the server, in batches or, where they are large, in pieces.

use crate::connection::{Connection, SHA256, read_digest, with_size};
use crate::{RemoteError, Result};
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bazel_remote_apis::google::bytestream::byte_stream_client::ByteStreamClient;
use bazel_remote_apis::google::bytestream::{ReadRequest, WriteRequest};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use kiln_record::Digest;
use kiln_store::{Store, StoreError};
use reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::Instant;
use tonic::Code;
use tonic::transport::Channel;

/// The most blobs of one batch.
const BATCH_BLOBS: usize = 1000;
/// The most digests of one question for what is missing.
const ASKED: usize = 5000;
/// Blobs up to this size go in batches.
const SMALL: u64 = 1 << 20;
/// The bytes of a piece of a large blob.
const PIECE: usize = 512 << 10;
/// What messages have around the bytes of their blobs.
const AROUND: usize = 1 << 20;
/// The number of a blob that was not compressed, among the compressors.
const IDENTITY: i32 = reapi::compressor::Value::Identity as i32;
/// The status of a blob that is not there (google.rpc.Code).
const NOT_FOUND: i32 = Code::NotFound as i32;

/// A blob that is read piece by piece.
struct Opened(Box<dyn Read + Send>);

/// Opens a blob by its digest, wherever it is on this machine.
pub type Open = Arc<dyn Fn(&Digest) -> Result<Box<dyn Read + Send>> + Send + Sync>;

impl Connection {
    fn storage(&self) -> ContentAddressableStorageClient<Channel> {
        let most = usize::try_from(self.batch).unwrap_or(usize::MAX).saturating_add(AROUND);
        ContentAddressableStorageClient::new(self.channel.clone()).max_decoding_message_size(most)
    }

    pub(crate) fn goes_in_batches(&self, size: u64) -> bool {
        size <= SMALL.min(self.batch)
    }

    /// Brings blobs into the store, each of them hashed before it has a name there. Says whether the server had all.
    pub(crate) async fn fetch(&self, store: &Store, wanted: &BTreeMap<Digest, u64>) -> Result<bool> {
        let (store_, all) = (store.clone(), wanted.clone());
        let lacking: Vec<(Digest, u64)> =
            on_disk(move || Ok(all.into_iter().filter(|(digest, _)| !store_.contains(digest)).collect()))
                .await?;
        let (small, large): (Vec<_>, Vec<_>) =
            lacking.into_iter().partition(|(_, size)| self.goes_in_batches(*size));
        for batch in batches(small, self.batch) {
            if !self.fetch_batch(store, batch).await? {
                return Ok(false);
            }
        }
        for (digest, size) in large {
            if !self.fetch_large(store, &digest, size).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The bytes of small blobs, each of them hashed, as far as the server has them. They fit into one message.
    pub(crate) async fn read_batch(&self, batch: &[(Digest, u64)]) -> Result<BTreeMap<Digest, Vec<u8>>> {
        let asked = reapi::BatchReadBlobsRequest {
            instance_name: self.instance(),
            digests: batch.iter().map(|(digest, size)| with_size(digest, *size)).collect(),
            acceptable_compressors: vec![IDENTITY],
            digest_function: SHA256,
        };
        let bytes = batch.iter().map(|(_, size)| size).sum();
        let answer = self
            .call("read blobs", bytes, || {
                let (mut client, request) = (self.storage(), self.request(asked.clone()));
                async move { client.batch_read_blobs(request).await }
            })
            .await?;
        let mut wanted: BTreeSet<Digest> = batch.iter().map(|(digest, _)| *digest).collect();
        let mut blobs = BTreeMap::new();
        for one in answer.responses {
            let named = read_digest(one.digest.as_ref()).map(|(digest, _)| digest);
            let Some(digest) = named.filter(|digest| wanted.remove(digest)) else {
                return Err(self.wrong("a blob that it was not asked for"));
            };
            match one.status.map_or(0, |status| status.code) {
                0 => {
                    let found = Digest::of(&one.data);
                    if found != digest {
                        return Err(RemoteError::other_bytes(&self.address, &digest, &found));
                    }
                    blobs.insert(digest, one.data);
                }
                NOT_FOUND => {}
                code => {
                    let why = format!("it has no {digest}: status {code}");
                    return Err(RemoteError::Refused {
                        address: self.address.clone(),
                        what: "read blobs",
                        why,
                    });
                }
            }
        }
        Ok(blobs)
    }

    async fn fetch_batch(&self, store: &Store, batch: Vec<(Digest, u64)>) -> Result<bool> {
        let blobs = self.read_batch(&batch).await?;
        let has_all = batch.iter().all(|(digest, _)| blobs.contains_key(digest));
        let store = store.clone();
        on_disk(move || {
            let mut batch = store.batch();
            for bytes in blobs.values() {
                batch.put(bytes)?;
            }
            Ok(batch.commit()?)
        })
        .await?;
        Ok(has_all)
    }

    async fn fetch_large(&self, store: &Store, digest: &Digest, size: u64) -> Result<bool> {
        kiln_store::has_room(store.root(), &format!("the blob {digest}"), size)?;
        let mut writer = store.writer()?;
        if !self.read_large(digest, size, &mut writer).await? {
            return Ok(false);
        }
        let (digest, address) = (*digest, self.address.clone());
        on_disk(move || match writer.commit(Some(&digest)) {
            Err(StoreError::DigestMismatch { expected, found }) => {
                Err(RemoteError::other_bytes(&address, &expected, &found))
            }
            other => Ok(other.map(|_| true)?),
        })
        .await
    }

    /// Writes the bytes of a blob as they come, and no more than it has; whoever takes them hashes them. Says whether the server
    /// had it.
    pub(crate) async fn read_large(
        &self,
        digest: &Digest,
        size: u64,
        to: &mut (impl Write + Send),
    ) -> Result<bool> {
        let limit = self.settings.limits.time_for(size);
        let until = Instant::now() + limit;
        let asked = ReadRequest {
            resource_name: self.resource("", digest, size),
            read_offset: 0,
            // No limit but the blob's end.
            read_limit: 0,
        };
        let opened = self.call_for("read a blob", 0, || {
            let request = self.request(asked.clone());
            let mut client = ByteStreamClient::new(self.channel.clone());
            async move { client.read(request).await }
        });
        let Some(mut pieces) = opened.await? else { return Ok(false) };
        let mut written = 0_u64;
        loop {
            let silence = until.min(Instant::now() + self.settings.limits.silence);
            let piece = match tokio::time::timeout_at(silence, pieces.message()).await {
                Err(_) => return Err(self.late("read a blob", limit)),
                Ok(Err(status)) if status.code() == Code::NotFound => return Ok(false),
                Ok(Err(status)) => return Err(self.refused("read a blob", &status)),
                Ok(Ok(None)) => return Ok(true),
                Ok(Ok(Some(piece))) => piece.data,
            };
            written = written.saturating_add(piece.len() as u64);
            if written > size {
                return Err(self.wrong(format!("the blob {digest} is longer than its {size} bytes")));
            }
            to.write_all(&piece).map_err(StoreError::from)?;
        }
    }

    /// Sends what the server lacks of some blobs of the store.
    pub(crate) async fn send(&self, store: &Store, blobs: &BTreeMap<Digest, u64>) -> Result<()> {
        let store = store.clone();
        let open: Open = Arc::new(move |digest| Ok(Box::new(store.open_blob(digest)?)));
        self.send_from(&open, blobs).await
    }

    /// Sends what the server lacks of some blobs, wherever they are here.
    pub(crate) async fn send_from(&self, open: &Open, blobs: &BTreeMap<Digest, u64>) -> Result<()> {
        let missing = self.missing(blobs).await?;
        let (small, large): (Vec<_>, Vec<_>) =
            missing.into_iter().partition(|(_, size)| self.goes_in_batches(*size));
        for batch in batches(small, self.batch) {
            let open = Arc::clone(open);
            let read = on_disk(move || {
                let one = |(digest, size): (Digest, u64)| {
                    let mut bytes = Vec::new();
                    let read = open(&digest)?.take(size.saturating_add(1)).read_to_end(&mut bytes);
                    read.map_err(StoreError::from)?;
                    Ok((digest, bytes))
                };
                batch.into_iter().map(one).collect()
            });
            self.send_batch(read.await?).await?;
        }
        for (digest, size) in large {
            self.send_large(open, digest, size).await?;
        }
        Ok(())
    }

    /// What the server lacks.
    pub(crate) async fn missing(&self, blobs: &BTreeMap<Digest, u64>) -> Result<Vec<(Digest, u64)>> {
        let all: Vec<(Digest, u64)> = blobs.iter().map(|(digest, size)| (*digest, *size)).collect();
        let mut missing = Vec::new();
        for some in all.chunks(ASKED) {
            let asked = reapi::FindMissingBlobsRequest {
                instance_name: self.instance(),
                blob_digests: some.iter().map(|(digest, size)| with_size(digest, *size)).collect(),
                digest_function: SHA256,
            };
            let answer = self
                .call("say which blobs it lacks", 0, || {
                    let (mut client, request) = (self.storage(), self.request(asked.clone()));
                    async move { client.find_missing_blobs(request).await }
                })
                .await?;
            for digest in &answer.missing_blob_digests {
                let named = read_digest(Some(digest)).map(|(digest, _)| digest);
                let Some((digest, size)) = named.and_then(|digest| blobs.get_key_value(&digest)) else {
                    return Err(self.wrong("it lacks a blob that it was not asked for"));
                };
                missing.push((*digest, *size));
            }
        }
        Ok(missing)
    }

    /// Sends small blobs at once.
    pub(crate) async fn send_batch(&self, blobs: Vec<(Digest, Vec<u8>)>) -> Result<()> {
        let bytes = blobs.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        let requests = blobs.into_iter().map(|(digest, data)| reapi::batch_update_blobs_request::Request {
            digest: Some(with_size(&digest, data.len() as u64)),
            data,
            compressor: IDENTITY,
        });
        let asked = reapi::BatchUpdateBlobsRequest {
            instance_name: self.instance(),
            requests: requests.collect(),
            digest_function: SHA256,
        };
        let answer = self
            .call("take blobs", bytes, || {
                let (mut client, request) = (self.storage(), self.request(asked.clone()));
                async move { client.batch_update_blobs(request).await }
            })
            .await?;
        let failed = answer.responses.into_iter().filter_map(|one| one.status).find(|one| one.code != 0);
        match failed {
            Some(status) => {
                let why = kiln_record::excerpt(&status.message);
                Err(RemoteError::Refused { address: self.address.clone(), what: "take blobs", why })
            }
            None => Ok(()),
        }
    }

    async fn send_large(&self, open: &Open, digest: Digest, size: u64) -> Result<()> {
        let mut number = [0_u8; 16];
        let filled = SystemRandom::new().fill(&mut number);
        filled.map_err(|_| StoreError::from(std::io::Error::other("the system gives no random numbers")))?;
        let upload = format!("uploads/{}/", uuid(number));
        let resource_name = self.resource(&upload, &digest, size);
        let asked = || {
            let request = self.request(pieces(Arc::clone(open), digest, size, resource_name.clone()));
            let mut client = ByteStreamClient::new(self.channel.clone());
            async move { client.write(request).await }
        };
        let answer = self.call("take a blob", size, asked).await?;
        // A server that has the blob already may say so at once.
        if u64::try_from(answer.committed_size) == Ok(size) {
            return Ok(());
        }
        Err(self.wrong(format!("of the {size} bytes of {digest} it took {}", answer.committed_size)))
    }

    /// The name of a blob as the byte stream has it (remote_execution.proto, `ContentAddressableStorage`).
    fn resource(&self, upload: &str, digest: &Digest, size: u64) -> String {
        let instance = self.instance();
        let before = if instance.is_empty() { String::new() } else { format!("{instance}/") };
        format!("{before}{upload}blobs/{}/{size}", digest.hex())
    }
}

/// A blob in pieces. A reader that cannot go on ends the stream early, which no server takes for the blob.
fn pieces(open: Open, digest: Digest, size: u64, resource_name: String) -> Pieces {
    let begin = (None::<Opened>, 0_u64, false);
    let next = move |(file, offset, ended): (Option<Opened>, u64, bool)| {
        let (open, resource_name) = (Arc::clone(&open), resource_name.clone());
        let piece = async move {
            if ended {
                return None;
            }
            let reading = on_disk(move || {
                let mut file = match file {
                    Some(file) => file,
                    None => Opened(open(&digest)?),
                };
                let mut data = Vec::with_capacity(PIECE);
                let read = (&mut file.0).take(PIECE as u64).read_to_end(&mut data);
                read.map_err(StoreError::from)?;
                Ok((file, data))
            });
            let (file, data) = reading.await.ok()?;
            let (at, next) = (offset, offset + data.len() as u64);
            let finish_write = next >= size || data.is_empty();
            let write_offset = i64::try_from(at).unwrap_or(i64::MAX);
            let piece = WriteRequest { resource_name, write_offset, finish_write, data };
            Some((piece, (Some(file), next, finish_write)))
        };
        piece.boxed()
    };
    Pieces(futures_util::stream::unfold(begin, next).boxed())
}

/// A blob in pieces, as a type without a lifetime: with one, the compiler does not see that a call with it may change threads.
struct Pieces(BoxStream<'static, WriteRequest>);

impl Stream for Pieces {
    type Item = WriteRequest;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<WriteRequest>> {
        self.0.poll_next_unpin(context)
    }
}

/// Blobs in groups that fit into one message.
pub(crate) fn batches(blobs: Vec<(Digest, u64)>, most: u64) -> Vec<Vec<(Digest, u64)>> {
    let mut all: Vec<Vec<(Digest, u64)>> = Vec::new();
    let mut bytes = 0_u64;
    for (digest, size) in blobs {
        match all.last_mut() {
            Some(last) if last.len() < BATCH_BLOBS && bytes.saturating_add(size) <= most => {
                bytes += size;
                last.push((digest, size));
            }
            _ => {
                bytes = size;
                all.push(vec![(digest, size)]);
            }
        }
    }
    all
}

/// Random bytes as a UUID of version 4 (RFC 9562, section 5.4).
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Work of the disk, on a thread that may block.
pub(crate) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(StoreError::from(std::io::Error::other("the run ends")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_bounds_and_lose_nothing() {
        let blobs: Vec<(Digest, u64)> =
            (0..2500_u64).map(|n| (Digest::of(&n.to_le_bytes()), n % 7 * 1000)).collect();
        let grouped = batches(blobs.clone(), 10_000);
        assert!(grouped.iter().all(|batch| batch.len() <= BATCH_BLOBS));
        assert!(grouped.iter().all(|batch| batch.iter().map(|(_, size)| size).sum::<u64>() <= 10_000));
        assert_eq!(grouped.concat(), blobs);
        assert_eq!(batches(vec![blobs[6]], 1), [[blobs[6]]], "what is too long for one is alone");
    }

    #[test]
    fn a_uuid_says_its_version() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
