//! A Python package index on 127.0.0.1 that serves a few wheels and then stops by itself.

use super::WheelFile;
use kiln_pack::{Limits, ZipReader};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Cursor, Write as _};
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
    /// The paths that were asked for, in order, whatever was answered.
    log: Mutex<Vec<String>>,
    /// The `Authorization` header without which nothing is served.
    login: Mutex<Option<String>>,
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

    /// Lists a wheel as newer indexes do: in JSON, with its length, and with its metadata beside it. All wheels of one name are
    /// listed like that, or none.
    pub(crate) fn add_described(&self, wheel: &WheelFile) {
        let mut archive = ZipReader::open(Cursor::new(&wheel.bytes), &Limits::default()).unwrap();
        let member =
            archive.members().iter().find(|member| member.path.as_str().ends_with("/METADATA")).cloned();
        let metadata = archive.read(&member.unwrap()).unwrap();
        let mut pages = self.shared.pages.lock().unwrap();
        let project = wheel.name().to_lowercase().replace(['_', '.'], "-");
        let file = format!("/files/{}", wheel.file_name);
        let page = pages.entry(format!("/simple/{project}/")).or_insert_with(|| {
            let page = json!({"meta": {"api-version": "1.1"}, "name": project, "versions": [], "files": []});
            page.to_string().into_bytes()
        });
        let mut listed: Value = serde_json::from_slice(page).unwrap();
        listed["files"].as_array_mut().unwrap().push(json!({
            "filename": wheel.file_name,
            "url": file,
            "hashes": {"sha256": wheel.digest().hex()},
            "size": wheel.bytes.len(),
            "core-metadata": true,
        }));
        *page = listed.to_string().into_bytes();
        pages.insert(format!("{file}.metadata"), metadata);
        pages.insert(file, wheel.bytes.clone());
    }

    /// The URL to configure.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/simple/", self.address)
    }

    /// Serves nothing without this login from now on.
    pub(crate) fn with_login(self, user: &str, password: &str) -> Self {
        let header = format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
        *self.shared.login.lock().unwrap() = Some(header);
        self
    }

    /// The paths that were asked for.
    pub(crate) fn log(&self) -> Vec<String> {
        self.shared.log.lock().unwrap().clone()
    }

    /// Where a wheel that it serves is.
    pub(crate) fn file_url(&self, wheel: &WheelFile) -> String {
        format!("http://{}/files/{}", self.address, wheel.file_name)
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

/// Base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let mut three = [0; 4];
            three[1..=chunk.len()].copy_from_slice(chunk);
            let bits = u32::from_be_bytes(three);
            (0..4).map(move |i| match i <= chunk.len() {
                true => char::from(ALPHABET[(bits >> (18 - 6 * i)) as usize & 63]),
                false => '=',
            })
        })
        .collect()
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
        let is_head = line.starts_with("HEAD ");
        let mut authorization = None;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).unwrap_or_default() == 0 {
                return;
            }
            if header == "\r\n" {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("authorization")
            {
                authorization = Some(value.trim().to_owned());
            }
        }
        state.requests.fetch_add(1, Ordering::Relaxed);
        state.log.lock().unwrap().push(path.clone());
        let login = state.login.lock().unwrap().clone();
        let page = state.pages.lock().unwrap().get(&path).cloned();
        let (status, body) = match page {
            _ if login.is_some() && authorization != login => ("401 Unauthorized", b"who are you?".to_vec()),
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", b"not found".to_vec()),
        };
        let kind = match path.starts_with("/simple/") {
            true if body.starts_with(b"{") => "application/vnd.pypi.simple.v1+json",
            true => "text/html",
            false => "application/octet-stream",
        };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        let body = if is_head { Vec::new() } else { body };
        if stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).is_err() {
            return;
        }
    }
}
