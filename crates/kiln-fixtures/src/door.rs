//! The door of a server of the Remote Execution API: TLS, and a token for whoever wants in.

use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bazel_remote_apis::google::bytestream::byte_stream_server::ByteStreamServer;
use bazel_remote_apis::google::longrunning::operations_server::OperationsServer;
use reapi::action_cache_server::ActionCacheServer;
use reapi::capabilities_server::CapabilitiesServer;
use reapi::content_addressable_storage_server::ContentAddressableStorageServer;
use reapi::execution_server::ExecutionServer;
use std::convert::Infallible;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::sync::oneshot;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;
use tonic::transport::{Channel, Endpoint, Identity, Server, ServerTlsConfig};

/// Takes calls with TLS and hands those that know the token to a server that has neither. It is closed when it is dropped.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    turned_away: Arc<AtomicUsize>,
    _open: oneshot::Sender<()>,
}

impl Door {
    /// Opens one to a server on this host, `http://HOST:PORT`, with a certificate for `localhost` and its key in PEM. Without a
    /// token, everybody is let in.
    #[must_use]
    pub fn open(to: &str, certificate: &str, key: &str, token: Option<&str>) -> Self {
        let (to, tls) =
            (to.to_owned(), ServerTlsConfig::new().identity(Identity::from_pem(certificate, key)));
        let login = token.map(|token| format!("Bearer {token}"));
        let turned_away = Arc::<AtomicUsize>::default();
        let ((open, closed), (tell, told)) = (oneshot::channel::<()>(), std::sync::mpsc::channel());
        let counts = Arc::clone(&turned_away);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let behind = Endpoint::from_shared(to).unwrap().connect_lazy();
                let guard = Guard { behind, login: login.map(Into::into), turned_away: counts };
                let router = Server::builder()
                    .tls_config(tls)
                    .unwrap()
                    .add_service(guard.of::<CapabilitiesServer<()>>())
                    .add_service(guard.of::<ExecutionServer<()>>())
                    .add_service(guard.of::<OperationsServer<()>>())
                    .add_service(guard.of::<ActionCacheServer<()>>())
                    .add_service(guard.of::<ContentAddressableStorageServer<()>>())
                    .add_service(guard.of::<ByteStreamServer<()>>());
                let serving = router.serve_with_incoming(TcpListenerStream::new(listener));
                tokio::select! {
                    served = serving => served.unwrap(),
                    _ = closed => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), turned_away, _open: open }
    }

    /// Its address, with TLS.
    #[must_use]
    pub fn address(&self) -> String {
        format!("grpcs://localhost:{}", self.address.port())
    }

    /// How many calls did not know the token.
    #[must_use]
    pub fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::SeqCst)
    }
}

#[derive(Clone)]
struct Guard {
    behind: Channel,
    login: Option<Arc<str>>,
    turned_away: Arc<AtomicUsize>,
}

impl Guard {
    fn of<S>(&self) -> Guarded<S> {
        Guarded { guard: self.clone(), service: PhantomData }
    }
}

/// A service of the server behind the door.
struct Guarded<S> {
    guard: Guard,
    service: PhantomData<fn() -> S>,
}

impl<S> Clone for Guarded<S> {
    fn clone(&self) -> Self {
        self.guard.of()
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Guarded<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let told = request.headers().get("authorization");
        let knows = self.guard.login.as_deref().is_none_or(|login| told.is_some_and(|told| told == login));
        if !knows {
            self.guard.turned_away.fetch_add(1, Ordering::SeqCst);
        }
        let mut behind = self.guard.behind.clone();
        Box::pin(async move {
            if !knows {
                return Ok(Status::unauthenticated("the token is not known").into_http());
            }
            let answer = match poll_fn(|context| behind.poll_ready(context)).await {
                Ok(()) => behind.call(request).await,
                Err(error) => Err(error),
            };
            Ok(answer.unwrap_or_else(|error| Status::unavailable(error.to_string()).into_http()))
        })
    }
}
