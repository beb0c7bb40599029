//! A Python package index on 127.0.0.1 that serves a few wheels and then stops by itself.

use super::WheelFile;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The index; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct LocalIndex {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Response body by request path.
    pages: Mutex<BTreeMap<String, Vec<u8>>>,
    requests: AtomicUsize,
    stopped: std::sync::atomic::AtomicBool,
}

impl LocalIndex {
    /// Serves wheels with their true hashes.
    pub(crate) fn serve(wheels: &[WheelFile]) -> Self {
        let index = Self::empty();
        for wheel in wheels {
            index.add(wheel, &wheel.digest().hex(), &wheel.bytes);
        }
        index
    }

    /// Serves nothing yet.
    pub(crate) fn empty() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if state.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { return };
                let state = Arc::clone(&state);
                std::thread::spawn(move || answer(stream, &state));
            }
        });
        Self { address, shared }
    }

    /// Lists a wheel with a hash, or without one if that is empty, and serves bytes for it; a test may make the three
    /// disagree.
    pub(crate) fn add(&self, wheel: &WheelFile, listed_sha256: &str, bytes: &[u8]) {
        let mut pages = self.shared.pages.lock().unwrap();
        let project = wheel.name().to_lowercase().replace(['_', '.'], "-");
        let file = format!("/files/{}", wheel.file_name);
        let fragment =
            if listed_sha256.is_empty() { String::new() } else { format!("#sha256={listed_sha256}") };
        let page =
            pages.entry(format!("/simple/{project}/")).or_insert_with(|| b"<!DOCTYPE html>\n".to_vec());
        page.extend_from_slice(format!("<a href=\"{file}{fragment}\">{}</a>\n", wheel.file_name).as_bytes());
        pages.insert(file, bytes.to_vec());
    }

    /// The URL to configure.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/simple/", self.address)
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::Relaxed)
    }
}

impl Drop for LocalIndex {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that waits for a connection.
        let _ = TcpStream::connect(self.address);
    }
}

fn answer(mut stream: TcpStream, state: &Shared) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or_default() == 0 {
            return;
        }
        let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or_default() == 0 {
                return;
            }
            if header == "\r\n" {
                break;
            }
        }
        state.requests.fetch_add(1, Ordering::Relaxed);
        let page = state.pages.lock().unwrap().get(&path).cloned();
        let (status, body) = match page {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", b"not found".to_vec()),
        };
        let kind = if path.starts_with("/simple/") { "text/html" } else { "application/octet-stream" };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}
