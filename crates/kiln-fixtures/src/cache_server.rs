//! A server of the Remote Execution API in memory: a cache that is honest, or lies in one way.

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bazel_remote_apis::google::bytestream::byte_stream_server::{ByteStream, ByteStreamServer};
use bazel_remote_apis::google::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use kiln_record::Digest;
use reapi::action_cache_server::{ActionCache, ActionCacheServer};
use reapi::capabilities_server::{Capabilities, CapabilitiesServer};
use reapi::content_addressable_storage_server::{ContentAddressableStorage, ContentAddressableStorageServer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// How a server is no good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lie {
    /// It is.
    #[default]
    None,
    /// Every blob has another first byte.
    OtherBytes,
    /// Every blob goes on after its end.
    TooLong,
    /// Results are there, and no blob is.
    NoBlobs,
    /// It gives blobs that it was not asked for.
    Unasked,
    /// Whatever result is asked for, it gives the one that it has.
    OtherResult,
    /// A result lists nothing but what it says of itself.
    NoContent,
    /// A result says something that is no result at all.
    NoResult,
    /// It never says whether it has a result.
    Silent,
    /// A byte of a blob, now and then, for ever.
    Drip,
    /// It takes nothing.
    ReadOnly,
    /// It keeps blobs by another digest.
    OtherDigests,
}

/// What such a server holds and was asked.
#[derive(Debug, Default)]
struct Held {
    blobs: BTreeMap<Digest, Vec<u8>>,
    results: BTreeMap<String, reapi::ActionResult>,
    /// The value of `authorization` of the last call, if it had one.
    login: Option<String>,
}

/// A server on the loopback interface, for as long as the runtime of the test.
#[derive(Clone, Debug)]
pub struct CacheServer {
    address: SocketAddr,
    service: Service,
}

/// What holds the blobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service {
    held: Arc<Mutex<Held>>,
    lie: Arc<Mutex<Lie>>,
    calls: Arc<AtomicUsize>,
    /// How many of the next calls find nobody.
    away: Arc<AtomicUsize>,
}

impl CacheServer {
    /// Starts one that is honest and empty.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Service::default();
        let router = Server::builder()
            .add_service(CapabilitiesServer::new(service.clone()))
            .add_service(ActionCacheServer::new(service.clone()))
            .add_service(ContentAddressableStorageServer::new(service.clone()))
            .add_service(ByteStreamServer::new(service.clone()));
        tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, service }
    }

    /// Lets it lie from now on.
    pub fn lies(&self, lie: Lie) {
        *self.service.lie.lock().unwrap() = lie;
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("grpc://{}", self.address)
    }

    /// How many calls were made.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.service.calls.load(Ordering::SeqCst)
    }

    /// How many results it holds.
    #[must_use]
    pub fn results(&self) -> usize {
        self.service.held.lock().unwrap().results.len()
    }

    /// Whether it holds a blob.
    #[must_use]
    pub fn has(&self, digest: &Digest) -> bool {
        self.service.held.lock().unwrap().blobs.contains_key(digest)
    }

    /// Puts other bytes in the place of some that it holds: results that name them name the others then, by their true digest.
    /// For what only who may write can do.
    pub fn poison(&self, from: &str, to: &str) {
        let mut held = self.service.held.lock().unwrap();
        let changed: Vec<(Digest, Vec<u8>)> = held
            .blobs
            .iter()
            .filter_map(|(digest, bytes)| {
                let text = std::str::from_utf8(bytes).ok()?;
                text.contains(from).then(|| (*digest, text.replace(from, to).into_bytes()))
            })
            .collect();
        for (before, bytes) in changed {
            let digest = Digest::of(&bytes);
            for result in held.results.values_mut() {
                for file in &mut result.output_files {
                    if let Some(named) = file.digest.as_mut().filter(|named| named.hash == before.hex()) {
                        named.hash = digest.hex();
                        named.size_bytes = i64::try_from(bytes.len()).unwrap();
                    }
                }
            }
            held.blobs.insert(digest, bytes);
        }
    }

    /// What the last call logged in with.
    #[must_use]
    pub fn login(&self) -> Option<String> {
        self.service.held.lock().unwrap().login.clone()
    }
}

impl Service {
    /// Takes a blob.
    pub(crate) fn put(&self, bytes: &[u8]) {
        self.put_as(&Digest::of(bytes), bytes);
    }

    /// Takes bytes as a blob that they may not be.
    pub(crate) fn put_as(&self, digest: &Digest, bytes: &[u8]) {
        self.held.lock().unwrap().blobs.insert(*digest, bytes.to_vec());
    }

    /// The bytes of a blob.
    pub(crate) fn get(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.held.lock().unwrap().blobs.get(digest).cloned()
    }

    /// Loses every blob.
    pub(crate) fn forget(&self) {
        self.held.lock().unwrap().blobs.clear();
    }

    /// Lets the next calls find nobody.
    pub(crate) fn goes_away_for(&self, calls: usize) {
        self.away.store(calls, Ordering::SeqCst);
    }

    fn is_here(&self) -> Result<(), Status> {
        let left = self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map_or(Ok(()), |_| Err(Status::unavailable("the server is restarted")))
    }

    fn lie(&self) -> Lie {
        *self.lie.lock().unwrap()
    }

    fn called<T>(&self, request: Request<T>) -> T {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let login = request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        self.held.lock().unwrap().login = login;
        request.into_inner()
    }

    /// A blob as it is given out.
    fn blob(&self, digest: &Digest) -> Option<Vec<u8>> {
        let mut bytes = self.held.lock().unwrap().blobs.get(digest).cloned()?;
        match self.lie() {
            Lie::NoBlobs => return None,
            Lie::OtherBytes => bytes.iter_mut().take(1).for_each(|byte| *byte ^= 1),
            Lie::TooLong => bytes.extend([0; 100]),
            _ => {}
        }
        Some(bytes)
    }
}

fn digest(digest: Option<&reapi::Digest>) -> Digest {
    Digest::from_hex(&digest.unwrap().hash).unwrap()
}

fn named(bytes: &[u8]) -> reapi::Digest {
    reapi::Digest { hash: Digest::of(bytes).hex(), size_bytes: i64::try_from(bytes.len()).unwrap() }
}

type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[async_trait]
impl Capabilities for Service {
    async fn get_capabilities(
        &self,
        request: Request<reapi::GetCapabilitiesRequest>,
    ) -> Result<Response<reapi::ServerCapabilities>, Status> {
        self.called(request);
        let function = match self.lie() {
            Lie::OtherDigests => reapi::digest_function::Value::Md5,
            _ => reapi::digest_function::Value::Sha256,
        };
        let cache = reapi::CacheCapabilities {
            digest_functions: vec![function as i32],
            action_cache_update_capabilities: Some(reapi::ActionCacheUpdateCapabilities {
                update_enabled: true,
            }),
            ..reapi::CacheCapabilities::default()
        };
        Ok(Response::new(reapi::ServerCapabilities {
            cache_capabilities: Some(cache),
            ..reapi::ServerCapabilities::default()
        }))
    }
}

#[async_trait]
impl ActionCache for Service {
    async fn get_action_result(
        &self,
        request: Request<reapi::GetActionResultRequest>,
    ) -> Result<Response<reapi::ActionResult>, Status> {
        let asked = self.called(request);
        let lie = self.lie();
        if lie == Lie::Silent {
            std::future::pending::<()>().await;
        }
        let mut held = self.held.lock().unwrap();
        let found = match lie {
            Lie::OtherResult => held.results.values().next(),
            _ => held.results.get(&asked.action_digest.unwrap().hash),
        };
        let mut found = found.cloned().ok_or_else(|| Status::not_found("no such result"))?;
        if lie == Lie::NoContent {
            found.output_files.retain(|file| file.path == "result.json");
        }
        if lie == Lie::NoResult {
            let bytes = b"{\"format\":[]}".to_vec();
            found.output_files.iter_mut().find(|file| file.path == "result.json").unwrap().digest =
                Some(named(&bytes));
            held.blobs.insert(Digest::of(&bytes), bytes);
        }
        Ok(Response::new(found))
    }

    async fn update_action_result(
        &self,
        request: Request<reapi::UpdateActionResultRequest>,
    ) -> Result<Response<reapi::ActionResult>, Status> {
        let told = self.called(request);
        let result = told.action_result.unwrap();
        let mut held = self.held.lock().unwrap();
        // As servers do that look after what results need.
        let action = digest(told.action_digest.as_ref());
        let named = result.output_files.iter().map(|file| digest(file.digest.as_ref()));
        if named.chain([action]).any(|blob| !held.blobs.contains_key(&blob)) {
            return Err(Status::failed_precondition("a blob of the result is missing"));
        }
        held.results.insert(action.hex(), result.clone());
        Ok(Response::new(result))
    }
}

#[async_trait]
impl ContentAddressableStorage for Service {
    type GetTreeStream = Sent<reapi::GetTreeResponse>;
    type GetChunkMappingStream = Sent<reapi::GetChunkMappingResponse>;

    async fn find_missing_blobs(
        &self,
        request: Request<reapi::FindMissingBlobsRequest>,
    ) -> Result<Response<reapi::FindMissingBlobsResponse>, Status> {
        self.is_here()?;
        let mut missing_blob_digests = self.called(request).blob_digests;
        let held = self.held.lock().unwrap();
        missing_blob_digests.retain(|blob| !held.blobs.contains_key(&digest(Some(blob))));
        Ok(Response::new(reapi::FindMissingBlobsResponse { missing_blob_digests }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<reapi::BatchUpdateBlobsRequest>,
    ) -> Result<Response<reapi::BatchUpdateBlobsResponse>, Status> {
        self.is_here()?;
        let asked = self.called(request);
        if self.lie() == Lie::ReadOnly {
            return Err(Status::permission_denied("you may only read"));
        }
        let mut held = self.held.lock().unwrap();
        for one in asked.requests {
            assert_eq!(Digest::of(&one.data), digest(one.digest.as_ref()));
            held.blobs.insert(Digest::of(&one.data), one.data);
        }
        Ok(Response::new(reapi::BatchUpdateBlobsResponse::default()))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<reapi::BatchReadBlobsRequest>,
    ) -> Result<Response<reapi::BatchReadBlobsResponse>, Status> {
        self.is_here()?;
        let asked = self.called(request);
        let total: i64 = asked.digests.iter().map(|digest| digest.size_bytes).sum();
        assert!(total < 4 << 20, "a batch fits into a message");
        let mut responses = Vec::new();
        for wanted in asked.digests {
            let found = self.blob(&digest(Some(&wanted)));
            let code = if found.is_some() { 0 } else { tonic::Code::NotFound as i32 };
            let status = bazel_remote_apis::google::rpc::Status { code, ..Default::default() };
            responses.push(reapi::batch_read_blobs_response::Response {
                digest: Some(wanted),
                data: found.unwrap_or_default(),
                status: Some(status),
                ..Default::default()
            });
        }
        if self.lie() == Lie::Unasked {
            let data = b"unasked".to_vec();
            let digest = Some(named(&data));
            responses.push(reapi::batch_read_blobs_response::Response { digest, data, ..Default::default() });
        }
        Ok(Response::new(reapi::BatchReadBlobsResponse { responses }))
    }

    async fn get_tree(
        &self,
        _: Request<reapi::GetTreeRequest>,
    ) -> Result<Response<Self::GetTreeStream>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn split_blob(
        &self,
        _: Request<reapi::SplitBlobRequest>,
    ) -> Result<Response<reapi::SplitBlobResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn get_chunk_mapping(
        &self,
        _: Request<reapi::GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn splice_blob(
        &self,
        _: Request<reapi::SpliceBlobRequest>,
    ) -> Result<Response<reapi::SpliceBlobResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn register_chunk_mapping(
        &self,
        _: Request<Streaming<reapi::RegisterChunkMappingRequest>>,
    ) -> Result<Response<reapi::RegisterChunkMappingResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}

#[async_trait]
impl ByteStream for Service {
    type ReadStream = Sent<ReadResponse>;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let name = self.called(request).resource_name;
        let hash = name.split('/').rev().nth(1).unwrap();
        let bytes =
            self.blob(&Digest::from_hex(hash).unwrap()).ok_or_else(|| Status::not_found("no blob"))?;
        let pieces: Vec<Vec<u8>> = bytes.chunks(100_000).map(<[u8]>::to_vec).collect();
        let pieces = tokio_stream::iter(pieces).map(|data| Ok(ReadResponse { data }));
        if self.lie() == Lie::Drip {
            let bytes = tokio_stream::iter(std::iter::repeat_with(|| Ok(ReadResponse { data: vec![0] })));
            return Ok(Response::new(Box::pin(bytes.throttle(Duration::from_millis(50)))));
        }
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn write(
        &self,
        request: Request<Streaming<WriteRequest>>,
    ) -> Result<Response<WriteResponse>, Status> {
        let mut pieces = self.called(request);
        let (mut bytes, mut name) = (Vec::new(), String::new());
        let mut is_whole = false;
        while let Some(piece) = pieces.message().await? {
            assert_eq!(usize::try_from(piece.write_offset).unwrap(), bytes.len());
            name = if name.is_empty() { piece.resource_name } else { name };
            bytes.extend(piece.data);
            is_whole = piece.finish_write;
        }
        assert!(is_whole && name.starts_with("uploads/"), "{name}");
        let hash = name.split('/').rev().nth(1).unwrap();
        assert_eq!(Digest::of(&bytes).hex(), hash);
        let committed_size = i64::try_from(bytes.len()).unwrap();
        self.held.lock().unwrap().blobs.insert(Digest::of(&bytes), bytes);
        Ok(Response::new(WriteResponse { committed_size }))
    }

    async fn query_write_status(
        &self,
        _: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}
