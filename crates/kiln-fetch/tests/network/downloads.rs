//! Documents and downloads: verification, limits, retries, timeouts.

use crate::server::{Framing, Reply, Server};
use crate::{client, settings};
use kiln_fetch::{Client, FetchError, NetworkSettings, Reopened, Sink};
use kiln_record::Digest;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use url::Url;

const CONTENT: &[u8] = b"the bytes that the lock names";

async fn fetch(client: &Client, url: &Url, size: Option<u64>) -> (Result<Vec<u8>, FetchError>, u64) {
    let progress = AtomicU64::new(0);
    let mut sink = Vec::new();
    let result = client
        .download(url, Some(&Digest::of(CONTENT)), size, &mut sink, &|delta| {
            progress.fetch_add(delta, Ordering::Relaxed);
        })
        .await
        .map(|(digest, found)| {
            assert_eq!((digest, found), (Digest::of(CONTENT), CONTENT.len() as u64));
            sink
        });
    (result, progress.into_inner())
}

/// The outcome of downloading [`CONTENT`] from one server, and how many requests that took.
async fn check(
    handler: impl Fn(usize) -> Reply + Send + Sync + 'static,
    size: Option<u64>,
) -> (String, usize) {
    let server = Server::start(move |request| handler(request.number));
    let url = server.url("/pool/a-1.0.whl");
    let (result, progress) = fetch(&client(), &url, size).await;
    let outcome = match result {
        Ok(bytes) => {
            assert_eq!(bytes, CONTENT);
            assert_eq!(progress, CONTENT.len() as u64, "progress counts each byte once");
            "ok".to_owned()
        }
        Err(error) => error.to_string().replace(url.as_str(), "URL"),
    };
    (outcome, server.requests().len())
}

const SIZE: Option<u64> = Some(CONTENT.len() as u64);

#[tokio::test]
async fn content_is_verified_whatever_the_framing() {
    for framing in [Framing::Length, Framing::Chunked, Framing::Close] {
        for size in [SIZE, None] {
            let (outcome, requests) = check(move |_| Reply::ok(CONTENT).framing(framing), size).await;
            assert_eq!((outcome.as_str(), requests), ("ok", 1), "{framing:?} {size:?}");
        }
    }
}

#[tokio::test]
async fn other_bytes_are_refused_at_once() {
    let other = b"the bytes that the lock nameZ";
    let (outcome, requests) = check(|_| Reply::ok(*other), SIZE).await;
    let (expected, found) = (Digest::of(CONTENT), Digest::of(other));
    assert_eq!(outcome, format!("a-1.0.whl from URL has the digest {found}, not {expected}"));
    assert_eq!(requests, 1);
}

#[tokio::test]
async fn another_length_is_refused_at_once() {
    for (framing, found) in [(Framing::Length, 39), (Framing::Chunked, 39), (Framing::Close, 39)] {
        let longer = [CONTENT, b" and more!"].concat();
        let (outcome, requests) = check(move |_| Reply::ok(longer.clone()).framing(framing), SIZE).await;
        assert_eq!(outcome, format!("a-1.0.whl from URL has {found} bytes, not 29"), "{framing:?}");
        assert_eq!(requests, 1);
    }
    let (outcome, requests) = check(|_| Reply::ok(&CONTENT[..9]), SIZE).await;
    assert_eq!((outcome.as_str(), requests), ("a-1.0.whl from URL has 9 bytes, not 29", 1));
}

#[tokio::test]
async fn a_broken_transfer_begins_again() {
    let truncated = |framing| {
        move |number| match number {
            0 => Reply::ok(&CONTENT[..20]).framing(framing),
            _ => Reply::ok(CONTENT),
        }
    };
    let (outcome, requests) = check(truncated(Framing::Claimed(CONTENT.len())), SIZE).await;
    assert_eq!((outcome.as_str(), requests), ("ok", 2));
    // Without a stated length only the size that is known beforehand tells.
    let (outcome, requests) = check(truncated(Framing::Close), SIZE).await;
    assert_eq!((outcome.as_str(), requests), ("ok", 2));
    let (outcome, requests) =
        check(|_| Reply::ok(&CONTENT[..20]).framing(Framing::Claimed(CONTENT.len())), SIZE).await;
    assert!(outcome.starts_with("URL could not be reached in 2 attempt(s): "), "{outcome}");
    assert_eq!(requests, 2);
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_again() {
    for status in [408, 429, 500, 502, 503, 504] {
        let (outcome, requests) = check(
            move |number| match number {
                0 => Reply::status(status).header("Retry-After", "0"),
                _ => Reply::ok(CONTENT),
            },
            SIZE,
        )
        .await;
        assert_eq!((outcome.as_str(), requests), ("ok", 2), "{status}");
    }
    let (outcome, requests) = check(|_| Reply::status(503), SIZE).await;
    assert_eq!(
        outcome,
        "URL could not be reached in 2 attempt(s): the server answered 503 Service Unavailable"
    );
    assert_eq!(requests, 2);
}

#[tokio::test]
async fn other_statuses_are_final() {
    for (status, expect) in [
        (404, "URL does not exist"),
        (410, "URL does not exist"),
        (401, "access to URL was refused: the server answered 401 Unauthorized"),
        (403, "access to URL was refused: the server answered 403 Forbidden"),
        (204, "URL sent a reply that cannot be used: the server answered 204 No Content"),
        (206, "URL sent a reply that cannot be used: the server answered 206 Partial Content"),
        (304, "URL sent a reply that cannot be used: the server answered 304 Not Modified"),
        (418, "URL sent a reply that cannot be used: the server answered 418 I'm a teapot"),
    ] {
        let (outcome, requests) = check(move |_| Reply::status(status), SIZE).await;
        assert_eq!((outcome.as_str(), requests), (expect, 1));
    }
}

#[tokio::test]
async fn silence_ends() {
    let settings = NetworkSettings { read_timeout: Duration::from_millis(150), attempts: 1, ..settings() };
    let client = Client::new(&settings).unwrap();
    let pause = Duration::from_secs(2);
    for reply in [Reply::ok(CONTENT).late(pause), Reply::ok(CONTENT).stalling(pause)] {
        let server = Server::start(move |_| reply.clone());
        let (result, _) = fetch(&client, &server.url("/x"), SIZE).await;
        let Err(FetchError::Unreachable { attempts: 1, why, .. }) = result else { panic!("{result:?}") };
        assert_eq!(why, "the server was silent for 150ms; KILN_SILENCE allows more");
    }
}

#[tokio::test]
async fn who_was_silent_twice_is_not_asked_again() {
    let settings = NetworkSettings { read_timeout: Duration::from_millis(100), attempts: 8, ..settings() };
    let client = Client::new(&settings).unwrap();
    let server = Server::start(|_| Reply::ok(CONTENT).late(Duration::from_secs(2)));
    let (result, _) = fetch(&client, &server.url("/x"), SIZE).await;
    assert!(matches!(result, Err(FetchError::Unreachable { attempts: 2, .. })), "{result:?}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn nobody_listens() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = Url::parse(&format!("http://{free}/x")).unwrap();
    let (result, _) = fetch(&client(), &url, SIZE).await;
    let Err(FetchError::Unreachable { attempts: 2, why, .. }) = result else { panic!("{result:?}") };
    assert!(why.contains("refused"), "{why}");
}

#[tokio::test]
async fn documents_have_a_limit() {
    for framing in [Framing::Length, Framing::Chunked, Framing::Close, Framing::Claimed(1 << 40)] {
        let server = Server::start(move |_| Reply::ok(vec![b'x'; 100]).framing(framing));
        let url = server.url("/big");
        if !matches!(framing, Framing::Claimed(_)) {
            assert_eq!(client().get(&url, 100, None).await.unwrap().bytes.len(), 100);
        }
        let error = client().get(&url, 99, None).await.unwrap_err();
        assert!(matches!(error, FetchError::TooLarge { limit: 99, .. }), "{error}");
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn documents_may_come_compressed() {
    let server = Server::start(|request| match request.path.as_str() {
        "/plain" => Reply::ok(gzip(b"text")).header("Content-Encoding", "gzip"),
        "/bomb" => Reply::ok(gzip(&vec![0; 1 << 20])).header("Content-Encoding", "gzip"),
        "/broken" => Reply::ok("text").header("Content-Encoding", "gzip"),
        _ => Reply::ok("text").header("Content-Encoding", "br"),
    });
    let client = client();
    let get = async |path: &str| client.get(&server.url(path), 10_000, None).await;
    assert_eq!(get("/plain").await.unwrap().bytes, b"text");
    assert!(matches!(get("/bomb").await, Err(FetchError::TooLarge { .. })));
    assert!(matches!(get("/broken").await, Err(FetchError::BadReply { .. })));
    let error = get("/other").await.unwrap_err().to_string();
    assert!(error.ends_with("it is compressed with `br`, which was not asked for"), "{error}");
    // Files are never compressed for the transfer: their bytes are what the lock names.
    let mut sink = Vec::new();
    client.download(&server.url("/plain"), None, None, &mut sink, &|_| ()).await.unwrap();
    assert_eq!(sink, gzip(b"text"));
    assert_eq!(server.requests().last().unwrap().headers["accept-encoding"], "identity");
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for Full {
    fn restart(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_full_disk_is_not_the_servers_fault() {
    let server = Server::start(|_| Reply::ok(CONTENT));
    let error = client().download(&server.url("/x"), None, None, &mut Full, &|_| ()).await.unwrap_err();
    let FetchError::Sink { source, .. } = &error else { panic!("{error}") };
    assert_eq!(source.kind(), io::ErrorKind::StorageFull);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_writer_can_be_opened_anew_for_each_attempt() {
    let server = Server::start(|request| match request.number {
        0 => Reply::ok(&CONTENT[..20]).framing(Framing::Claimed(CONTENT.len())),
        _ => Reply::ok(CONTENT),
    });
    let mut sink = Reopened::new(|| Ok(Vec::new()));
    client().download(&server.url("/x"), Some(&Digest::of(CONTENT)), SIZE, &mut sink, &|_| ()).await.unwrap();
    assert_eq!(sink.into_inner().unwrap(), CONTENT);
}

#[tokio::test]
async fn requests_at_once_are_limited() {
    let server = Server::start(|_| Reply::ok(CONTENT).late(Duration::from_millis(30)));
    let client = Client::new(&NetworkSettings { parallel: 2, ..settings() }).unwrap();
    let running: Vec<_> = (0..6)
        .map(|number| {
            let (client, url) = (client.clone(), server.url(&format!("/{number}")));
            tokio::spawn(async move { fetch(&client, &url, SIZE).await.0 })
        })
        .collect();
    for task in running {
        assert_eq!(task.await.unwrap().unwrap(), CONTENT);
    }
    assert_eq!(server.requests().len(), 6);
    assert!((1..=2).contains(&server.most_active()), "{}", server.most_active());
}

#[tokio::test]
async fn offline_means_no_request() {
    let server = Server::start(|_| Reply::ok(CONTENT));
    let client = Client::new(&NetworkSettings { offline: true, ..settings() }).unwrap();
    let url = server.url_for("u:hunter2", "/x");
    let error = client.get(&url, 1000, None).await.unwrap_err();
    assert!(matches!(error, FetchError::Offline { .. }));
    assert!(!error.to_string().contains("hunter2"));
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn files_on_this_host_need_no_network() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("a b.whl"), CONTENT).unwrap();
    let root = Url::from_directory_path(folder.path()).unwrap();
    let client = Client::new(&NetworkSettings { offline: true, ..settings() }).unwrap();

    let (result, progress) = fetch(&client, &root.join("a%20b.whl").unwrap(), SIZE).await;
    assert_eq!((result.unwrap().as_slice(), progress), (CONTENT, 29));
    let (result, _) = fetch(&client, &root.join("a%20b.whl").unwrap(), Some(28)).await;
    assert!(matches!(result, Err(FetchError::SizeMismatch { found: 29, .. })));
    let (result, _) = fetch(&client, &root.join("none").unwrap(), SIZE).await;
    assert!(matches!(result, Err(FetchError::NotFound { .. })));
    let (result, _) = fetch(&client, &root, SIZE).await;
    assert!(matches!(result, Err(FetchError::BadReply { .. })), "a folder is no file");
    let error = client.get(&root.join("a%20b.whl").unwrap(), 28, None).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }));
    let (result, _) = fetch(&client, &Url::parse("ftp://mirror.example/x").unwrap(), SIZE).await;
    assert!(matches!(result, Err(FetchError::BadReply { .. })));
}
