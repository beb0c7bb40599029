//! A web server on 127.0.0.1 that answers with what a function says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The server; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct LocalServer {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// The path with its query.
    pub(crate) path: String,
    /// Header lines, without line ends.
    pub(crate) headers: Vec<String>,
    /// What was sent, as far as its length was said.
    pub(crate) body: Vec<u8>,
}

/// What is answered; the connection is closed after it.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The file is there, with this content.
    Found(Arc<[u8]>),
    /// There is no such file.
    Missing,
    /// A whole HTTP response.
    Verbatim(Vec<u8>),
    /// The beginning of one, and then nothing until the client goes away.
    Stalling(Vec<u8>),
}

impl LocalServer {
    pub(crate) fn serve(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let (seen, answer) = (Arc::clone(&stopped), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), answer) = (stream, Arc::clone(&answer)) else { return };
                std::thread::spawn(move || {
                    // A client that goes away early is the client's business.
                    let _ = converse(stream, &*answer);
                });
            }
        });
        Self { address, stopped }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn converse(mut stream: TcpStream, answer: &dyn Fn(&Request) -> Reply) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut lines = reader.by_ref().lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let mut words = first.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        headers.push(line);
    }
    let is_length = |header: &&String| header.to_ascii_lowercase().starts_with("content-length:");
    let length = headers.iter().find(is_length).and_then(|header| header.rsplit(' ').next()?.parse().ok());
    let mut body = Vec::new();
    reader.take(length.unwrap_or(0)).read_to_end(&mut body)?;
    let (status, body) = match answer(&Request { method, path, headers, body }) {
        Reply::Verbatim(bytes) => return stream.write_all(&bytes),
        Reply::Stalling(bytes) => {
            stream.write_all(&bytes)?;
            stream.set_read_timeout(Some(Duration::from_secs(60)))?;
            return std::io::copy(&mut stream, &mut std::io::sink()).map(drop);
        }
        Reply::Found(body) => ("200 OK", body),
        Reply::Missing => ("404 Not Found", Arc::from(b"not found".as_slice())),
    };
    let length = body.len();
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(&body)
}
