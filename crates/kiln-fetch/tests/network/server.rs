//! A small HTTP server for tests: one thread a connection, one request a connection, replies made by a closure.
//!
//! It is bounded in connections, header bytes and waiting time, and stops when it is dropped.

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use url::Url;

const CONNECTIONS: usize = 200;
const PATIENCE: Duration = Duration::from_secs(10);

/// A request as it arrived; header names in lower case.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// Its number, from 0.
    pub(crate) number: usize,
}

/// What to answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    framing: Framing,
    pause_before: Duration,
    pause_within: Duration,
}

/// How the end of the body is told.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// `Content-Length` with the true length.
    Length,
    /// `Content-Length` with another length.
    Claimed(usize),
    /// One chunk, and its end.
    Chunked,
    /// Until the connection closes.
    Close,
    /// The body again and again in chunks, until the client hangs up or this many bytes were taken.
    Endless(usize),
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            framing: Framing::Length,
            pause_before: Duration::ZERO,
            pause_within: Duration::ZERO,
        }
    }

    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::status(200) }
    }

    /// The same with another status.
    pub(crate) fn code(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn redirect(location: impl Into<String>) -> Self {
        Self::status(302).header("Location", location)
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn framing(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// Waits before the reply.
    pub(crate) fn late(self, pause_before: Duration) -> Self {
        Self { pause_before, ..self }
    }

    /// Waits after the first half of the body.
    pub(crate) fn stalling(self, pause_within: Duration) -> Self {
        Self { pause_within, ..self }
    }

    fn send(&self, stream: &mut impl Write, taken: &AtomicUsize) -> io::Result<()> {
        std::thread::sleep(self.pause_before);
        let mut head = format!("HTTP/1.1 {} Test\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut body = self.body.clone();
        match self.framing {
            Framing::Length => head.push_str(&format!("Content-Length: {}\r\n", body.len())),
            Framing::Claimed(length) => head.push_str(&format!("Content-Length: {length}\r\n")),
            Framing::Chunked => {
                head.push_str("Transfer-Encoding: chunked\r\n");
                body = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n0\r\n\r\n"].concat();
            }
            Framing::Close => {}
            Framing::Endless(_) => head.push_str("Transfer-Encoding: chunked\r\n"),
        }
        stream.write_all(head.as_bytes())?;
        stream.write_all(b"\r\n")?;
        if let Framing::Endless(most) = self.framing {
            let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat();
            for _ in 0..most / body.len() {
                stream.write_all(&chunk)?;
                taken.fetch_add(body.len(), Ordering::SeqCst);
            }
            return stream.write_all(b"0\r\n\r\n");
        }
        let (first, second) = body.split_at(body.len() / 2);
        stream.write_all(first)?;
        stream.flush()?;
        std::thread::sleep(self.pause_within);
        stream.write_all(second)?;
        stream.flush()
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running server.
pub(crate) struct Server {
    address: SocketAddr,
    scheme: &'static str,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    handler: Box<Handler>,
    tls: Option<Arc<rustls::ServerConfig>>,
    requests: Mutex<Vec<Request>>,
    stopped: AtomicBool,
    active: AtomicUsize,
    most_active: AtomicUsize,
    /// Bytes of endless bodies that clients took.
    taken: AtomicUsize,
}

impl Server {
    pub(crate) fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::run(Box::new(handler), None)
    }

    /// A server with the certificate in `tls/`, which `tls/authority.pem` has signed for 127.0.0.1.
    pub(crate) fn start_tls(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let certificate = CertificateDer::from_pem_slice(include_bytes!("tls/server.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::run(Box::new(handler), Some(Arc::new(config)))
    }

    fn run(handler: Box<Handler>, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let state = Arc::new(State {
            handler,
            tls,
            requests: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(false),
            active: AtomicUsize::new(0),
            most_active: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
        });
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().take(CONNECTIONS) {
                if shared.stopped.load(Ordering::SeqCst) {
                    break;
                }
                let shared = Arc::clone(&shared);
                if let Ok(stream) = stream {
                    // A client that hangs up in the middle is part of some tests.
                    std::thread::spawn(move || shared.serve(stream).unwrap_or_default());
                }
            }
        });
        Self { address, scheme, state, thread: Some(thread) }
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}://{}{path}", self.scheme, self.address)).unwrap()
    }

    /// The same, with user information.
    pub(crate) fn url_for(&self, login: &str, path: &str) -> Url {
        Url::parse(&format!("{}://{login}@{}{path}", self.scheme, self.address)).unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.path).collect()
    }

    /// How much of endless bodies was taken, in bytes.
    pub(crate) fn taken(&self) -> usize {
        self.state.taken.load(Ordering::SeqCst)
    }

    /// `host:port`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// The most requests that were being answered at one moment.
    pub(crate) fn most_active(&self) -> usize {
        self.state.most_active.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread from waiting for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        match &self.tls {
            None => self.answer(&mut stream),
            Some(config) => {
                let connection =
                    rustls::ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
                let mut stream = rustls::StreamOwned::new(connection, stream);
                self.answer(&mut stream)?;
                stream.conn.send_close_notify();
                stream.flush()
            }
        }
    }

    fn answer(&self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && head.len() < 64 * 1024 {
            if stream.read(&mut byte)? == 0 {
                return Ok(());
            }
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.lines();
        let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let request = {
            let mut requests = self.requests.lock().unwrap();
            let request = Request { path, headers, number: requests.len() };
            requests.push(request.clone());
            request
        };
        let active = self.active.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_active.fetch_max(active, Ordering::SeqCst);
        let sent = (self.handler)(&request).send(stream, &self.taken);
        self.active.fetch_sub(1, Ordering::SeqCst);
        sent
    }
}
