//! A server of the Remote Execution API that runs nothing: it says what came of an action, honestly or in one bad way.

use crate::cache_server::Service;
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bazel_remote_apis::google::bytestream::byte_stream_server::ByteStreamServer;
use bazel_remote_apis::google::longrunning::operations_server::{Operations, OperationsServer};
use bazel_remote_apis::google::longrunning::{
    CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
    ListOperationsResponse, Operation, WaitOperationRequest, operation,
};
use bazel_remote_apis::google::protobuf::{Any, Empty};
use bazel_remote_apis::google::rpc;
use kiln_record::Digest;
use prost::Message;
use reapi::capabilities_server::{Capabilities, CapabilitiesServer};
use reapi::content_addressable_storage_server::ContentAddressableStorageServer;
use reapi::execution_server::{Execution, ExecutionServer as Executions};
use reapi::execution_stage::Value as Stage;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status, async_trait};

/// How a server that runs programs is no good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// It is.
    #[default]
    None,
    /// It runs no programs.
    NotAnExecutor,
    /// Nobody ever takes an action, which it says again and again.
    Queued,
    /// It takes an action, and never says anything of it.
    Silent,
    /// It does not even say that it took one.
    Deaf,
    /// It says that a program runs, and then nothing more.
    Endless,
    /// It gives up.
    Aborted,
    /// It says each time that it lacks what it was sent.
    LosesInputs,
    /// It lacks what the action needs when that comes first, and not again.
    LostInputsOnce,
    /// It lost the machine of an action, and says of the first that it ended well, without its outputs.
    NoOutputsOnce,
    /// It says that of each.
    NoOutputs,
    /// It says of the first that it ended well and left its outputs as they were, since they were gone when that was looked at.
    UntouchedOnce,
    /// What the first left and printed is not there.
    NoBlobsOnce,
    /// The first failed, as its files were gone.
    FailedOnce,
    /// Each fails.
    Failed,
    /// Each of them ends in another way that cannot be believed.
    NeverTheSame,
    /// It says of the first two that something broke.
    BrokenTwice,
    /// It says that of each.
    Broken,
    /// It is restarted in the middle of an action, and takes it up again.
    Restarted,
    /// What an action left has other bytes than it says.
    OtherBytes,
    /// What an action left is not there.
    NoBlobs,
    /// A file that was left has a name that leads out of its folder.
    OutsideName,
    /// What was left has folders in folders, without end as far as anybody counts.
    Bomb,
    /// The list of what was left has no list of a folder in it.
    NoList,
    /// It says that an action is done, and nothing else.
    NoResult,
    /// Its workers put roots elsewhere.
    OtherRoot,
    /// Its workers have a network.
    Network,
}

/// A server on the loopback interface, for as long as the runtime of the test. Whatever it is to run, it says that the program printed
/// `ran` and left a file `made` with that content in each of its outputs.
#[derive(Clone, Debug)]
pub struct ExecutionServer {
    address: SocketAddr,
    runs: Runs,
}

#[derive(Clone, Debug)]
struct Runs {
    storage: Service,
    fault: Arc<Mutex<Fault>>,
    /// The action that it was last asked for.
    last: Arc<Mutex<Option<reapi::Digest>>>,
    /// The digests of all of them.
    actions: Arc<Mutex<BTreeSet<String>>>,
    /// How many it was asked for before it was no good.
    before: Arc<AtomicUsize>,
    executed: Arc<AtomicUsize>,
    cancelled: Arc<AtomicUsize>,
}

type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl ExecutionServer {
    /// Starts one that is honest.
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let runs = Runs {
            storage: Service::default(),
            fault: Arc::default(),
            last: Arc::default(),
            actions: Arc::default(),
            before: Arc::default(),
            executed: Arc::default(),
            cancelled: Arc::default(),
        };
        let router = Server::builder()
            .add_service(CapabilitiesServer::new(runs.clone()))
            .add_service(Executions::new(runs.clone()))
            .add_service(OperationsServer::new(runs.clone()))
            .add_service(ContentAddressableStorageServer::new(runs.storage.clone()))
            .add_service(ByteStreamServer::new(runs.storage.clone()));
        tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { address, runs }
    }

    /// Lets it be no good from now on.
    pub fn is(&self, fault: Fault) {
        *self.runs.fault.lock().unwrap() = fault;
        self.runs.before.store(self.executed(), Ordering::SeqCst);
    }

    /// Lets the next calls that ask for blobs or bring some find nobody.
    pub fn goes_away_for(&self, calls: usize) {
        self.runs.storage.goes_away_for(calls);
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> String {
        format!("grpc://{}", self.address)
    }

    /// How many actions it was asked to run.
    #[must_use]
    pub fn executed(&self) -> usize {
        self.runs.executed.load(Ordering::SeqCst)
    }

    /// How many actions that were.
    #[must_use]
    pub fn actions(&self) -> usize {
        self.runs.actions.lock().unwrap().len()
    }

    /// How many actions were given up.
    #[must_use]
    pub fn cancelled(&self) -> usize {
        self.runs.cancelled.load(Ordering::SeqCst)
    }
}

impl Runs {
    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap()
    }

    fn put(&self, bytes: &[u8]) -> reapi::Digest {
        self.storage.put(bytes);
        reapi::Digest { hash: Digest::of(bytes).hex(), size_bytes: i64::try_from(bytes.len()).unwrap() }
    }

    fn message<M: Message + Default>(&self, digest: Option<&reapi::Digest>) -> M {
        let digest = Digest::from_hex(&digest.unwrap().hash).unwrap();
        M::decode(self.storage.get(&digest).expect("it was sent before").as_slice()).unwrap()
    }

    /// What an action left that is the `nth` since the server is no good, from 1.
    fn result(&self, action: Option<&reapi::Digest>, nth: usize, printed: &[u8]) -> reapi::ActionResult {
        let action: reapi::Action = self.message(action);
        assert!(action.do_not_cache, "what it comes to is not for others");
        let command: reapi::Command = self.message(action.command_digest.as_ref());
        let is_handshake = command.arguments == ["/kiln/handshake"];
        let exit_code = match self.fault() {
            Fault::OtherRoot if is_handshake => 127,
            Fault::Network if is_handshake => 12,
            Fault::FailedOnce if nth == 1 => 1,
            Fault::Failed => 1,
            Fault::NeverTheSame => i32::try_from(nth).unwrap(),
            _ => 0,
        };
        let list = self.list(nth);
        let folder = |path: &String| reapi::OutputDirectory {
            path: path.clone(),
            tree_digest: Some(self.put(&list.encode_to_vec())),
            ..reapi::OutputDirectory::default()
        };
        let folders = match self.fault() {
            Fault::NoOutputs => Vec::new(),
            Fault::NoOutputsOnce if nth == 1 => Vec::new(),
            _ => command.output_paths.iter().map(folder).collect(),
        };
        reapi::ActionResult {
            exit_code,
            stdout_digest: Some(self.put(printed)),
            output_directories: folders,
            execution_metadata: Some(reapi::ExecutedActionMetadata {
                worker: format!("worker-{nth}"),
                ..reapi::ExecutedActionMetadata::default()
            }),
            ..reapi::ActionResult::default()
        }
    }

    fn list(&self, nth: usize) -> reapi::Tree {
        let mut made = reapi::FileNode {
            name: "made".to_owned(),
            digest: Some(self.put(b"ran")),
            ..reapi::FileNode::default()
        };
        let folder = |name: &str, list: &reapi::Directory| {
            let digest = Some(self.put(&list.encode_to_vec()));
            reapi::DirectoryNode { name: name.to_owned(), digest }
        };
        let mut tree = reapi::Tree::default();
        let mut root = reapi::Directory::default();
        match self.fault() {
            Fault::OutsideName => made.name = "../made".to_owned(),
            Fault::UntouchedOnce if nth == 1 => return reapi::Tree { root: Some(root), ..tree },
            Fault::NoBlobsOnce if nth > 1 => {}
            Fault::NoBlobs | Fault::NoBlobsOnce => {
                made.digest.as_mut().unwrap().hash = Digest::of(b"nowhere").hex()
            }
            Fault::OtherBytes => {
                let hash = Digest::of(b"other").hex();
                self.storage.put_as(&Digest::of(b"other"), b"ran");
                made.digest.as_mut().unwrap().hash = hash;
            }
            Fault::NoList => {
                let digest = Some(reapi::Digest { hash: Digest::of(b"nowhere").hex(), size_bytes: 7 });
                root.directories.push(reapi::DirectoryNode { name: "below".to_owned(), digest });
            }
            Fault::Bomb => {
                let mut below = reapi::Directory::default();
                for _ in 0..60 {
                    let both = ["a", "b"].map(|name| folder(name, &below));
                    tree.children.push(below);
                    below = reapi::Directory { directories: both.to_vec(), ..reapi::Directory::default() };
                }
                root = below;
            }
            _ => {}
        }
        root.files.push(made);
        tree.root = Some(root);
        tree
    }

    fn told(&self, stage: Stage, done: Option<operation::Result>) -> Operation {
        let metadata = reapi::ExecuteOperationMetadata {
            stage: stage as i32,
            ..reapi::ExecuteOperationMetadata::default()
        };
        Operation {
            name: "operations/1".to_owned(),
            metadata: Some(Any { type_url: String::new(), value: metadata.encode_to_vec() }),
            done: done.is_some(),
            result: done,
        }
    }

    fn done(&self, code: Code, message: &str, result: Option<reapi::ActionResult>) -> Operation {
        let status = rpc::Status { code: code as i32, message: message.to_owned(), ..rpc::Status::default() };
        let response =
            reapi::ExecuteResponse { result, status: Some(status), ..reapi::ExecuteResponse::default() };
        let any = Any { type_url: String::new(), value: response.encode_to_vec() };
        self.told(Stage::Completed, Some(operation::Result::Response(any)))
    }
}

#[async_trait]
impl Capabilities for Runs {
    async fn get_capabilities(
        &self,
        _: Request<reapi::GetCapabilitiesRequest>,
    ) -> Result<Response<reapi::ServerCapabilities>, Status> {
        let cache = reapi::CacheCapabilities {
            digest_functions: vec![reapi::digest_function::Value::Sha256 as i32],
            ..reapi::CacheCapabilities::default()
        };
        let execution = reapi::ExecutionCapabilities {
            exec_enabled: self.fault() != Fault::NotAnExecutor,
            ..reapi::ExecutionCapabilities::default()
        };
        Ok(Response::new(reapi::ServerCapabilities {
            cache_capabilities: Some(cache),
            execution_capabilities: Some(execution),
            ..reapi::ServerCapabilities::default()
        }))
    }
}

#[async_trait]
impl Execution for Runs {
    type ExecuteStream = Sent<Operation>;
    type WaitExecutionStream = Sent<Operation>;

    async fn execute(
        &self,
        request: Request<reapi::ExecuteRequest>,
    ) -> Result<Response<Self::ExecuteStream>, Status> {
        let asked = request.into_inner();
        let before = self.executed.fetch_add(1, Ordering::SeqCst);
        let nth = before + 1 - self.before.load(Ordering::SeqCst);
        *self.last.lock().unwrap() = asked.action_digest.clone();
        self.actions.lock().unwrap().extend(asked.action_digest.iter().map(|digest| digest.hash.clone()));
        assert!(asked.skip_cache_lookup, "a result that is known is none of a run");
        let queued = self.told(Stage::Queued, None);
        let running = self.told(Stage::Executing, None);
        let good = || self.done(Code::Ok, "", Some(self.result(asked.action_digest.as_ref(), nth, b"ran")));
        let missing = || self.done(Code::FailedPrecondition, "At least one blob is missing", None);
        let all = match self.fault() {
            Fault::Silent => return Ok(Response::new(Box::pin(tokio_stream::pending()))),
            Fault::Deaf => std::future::pending().await,
            Fault::Endless => {
                let told = tokio_stream::iter([Ok(running)]);
                return Ok(Response::new(Box::pin(told.chain(tokio_stream::pending()))));
            }
            Fault::Queued => {
                let again = tokio_stream::iter(std::iter::repeat_with(move || Ok(queued.clone())));
                return Ok(Response::new(Box::pin(again.throttle(Duration::from_millis(20)))));
            }
            Fault::Aborted => vec![Ok(self.done(Code::Aborted, "Job was retried 5 unsuccessfully", None))],
            fault if fault == Fault::Broken || fault == Fault::BrokenTwice && nth <= 2 => {
                vec![Ok(self.done(Code::Internal, "the worker has no storage", None))]
            }
            Fault::LosesInputs => vec![Ok(missing())],
            Fault::LostInputsOnce if before == 0 => {
                self.storage.forget();
                vec![Ok(missing())]
            }
            Fault::Restarted => vec![Ok(running), Err(Status::unavailable("the server ends"))],
            Fault::NoResult => vec![
                Ok(self.told(Stage::Completed, None)),
                Ok(Operation { done: true, ..self.told(Stage::Completed, None) }),
            ],
            _ => vec![Ok(queued), Ok(running), Ok(good())],
        };
        Ok(Response::new(Box::pin(tokio_stream::iter(all))))
    }

    async fn wait_execution(
        &self,
        request: Request<reapi::WaitExecutionRequest>,
    ) -> Result<Response<Self::WaitExecutionStream>, Status> {
        assert_eq!(request.into_inner().name, "operations/1");
        let last = self.last.lock().unwrap().clone();
        let result = self.result(last.as_ref(), 1, b"taken up again");
        let done = self.done(Code::Ok, "", Some(result));
        Ok(Response::new(Box::pin(tokio_stream::iter([Ok(done)]))))
    }
}

#[async_trait]
impl Operations for Runs {
    async fn list_operations(
        &self,
        _: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn get_operation(&self, _: Request<GetOperationRequest>) -> Result<Response<Operation>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn delete_operation(&self, _: Request<DeleteOperationRequest>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }

    async fn cancel_operation(
        &self,
        request: Request<CancelOperationRequest>,
    ) -> Result<Response<Empty>, Status> {
        assert_eq!(request.into_inner().name, "operations/1");
        self.cancelled.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(Empty {}))
    }

    async fn wait_operation(&self, _: Request<WaitOperationRequest>) -> Result<Response<Operation>, Status> {
        Err(Status::unimplemented("nobody asks"))
    }
}
