//! Registries that are broken or hostile: what they send is bounded while it comes, and a login goes where it belongs.

use crate::server::{Framing, Reply, Request, Server};
use crate::settings;
use kiln_fetch::{FetchError, NetworkSettings, Registry, RegistryLogin};
use kiln_record::Digest;
use std::time::Duration;

const BLOB: &[u8] = b"the bytes of a layer";
/// More than any limit, and still an end of the test.
const ENDLESS: Framing = Framing::Endless(256 << 20);

fn endless() -> Reply {
    Reply::ok(vec![b' '; 1 << 20]).framing(ENDLESS)
}

fn registry(server: &Server, login: Option<&RegistryLogin>) -> Registry {
    let settings = NetworkSettings { attempts: 1, ..settings() };
    Registry::new(&server.host(), &settings, login, false).unwrap()
}

fn login() -> RegistryLogin {
    RegistryLogin { username: "ann".to_owned(), password: "hunter2".to_owned(), identity_token: None }
}

/// A registry that wants a token of a realm of its own, which gives what the closure says.
fn with_realm(token: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        let host = request.headers.get("host").cloned().unwrap_or_default();
        match request.path.split('?').next().unwrap_or_default() {
            "/token" => token(request),
            _ if request.headers.get("authorization").is_some_and(|value| value == "Bearer t") => {
                Reply::ok("{}")
            }
            _ => Reply::status(401)
                .header("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\",service=\"s\"")),
        }
    })
}

#[tokio::test]
async fn endless_answers_are_cut_off_while_they_come() {
    let digest = Digest::of(BLOB);
    let limit = 16 << 20;

    let server = Server::start(|_| endless());
    let error = registry(&server, None).manifest("a", "latest").await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: 4_194_304, .. }), "{error}");
    assert!(server.taken() < limit, "a manifest: {}", server.taken());

    let error = registry(&server, None).referrers("a", &digest).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    assert!(server.taken() < 2 * limit, "referrers: {}", server.taken());

    let server = Server::start(|_| endless().code(500));
    let error = registry(&server, None).manifest("a", "latest").await.unwrap_err().to_string();
    assert!(error.contains("500") && error.len() < 500, "{error}");
    assert!(server.taken() < limit, "why it failed: {}", server.taken());

    let server = with_realm(|_| endless());
    let error = registry(&server, Some(&login())).log_in("a", false).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
    assert!(server.taken() < limit, "a token: {}", server.taken());

    let server = Server::start(|_| endless());
    let mut sink = Vec::new();
    let error = registry(&server, None).pull_blob("a", &digest, 1 << 20, &mut sink).await.unwrap_err();
    assert!(matches!(error, FetchError::SizeMismatch { .. }), "{error}");
    assert!(server.taken() < limit && sink.len() <= 1 << 20, "a blob: {}", server.taken());
}

#[tokio::test]
async fn a_blob_has_the_size_that_its_manifest_states() {
    for framing in [Framing::Length, Framing::Chunked, Framing::Close] {
        let server = Server::start(move |_| Reply::ok(BLOB).framing(framing));
        let registry = registry(&server, None);
        let digest = Digest::of(BLOB);
        let size = BLOB.len() as u64;
        let mut sink = Vec::new();
        registry.pull_blob("a", &digest, size, &mut sink).await.unwrap();
        assert_eq!(sink, BLOB);
        for stated in [0, 1, size - 1, size + 1, 1 << 50] {
            let mut sink = Vec::new();
            let error = registry.pull_blob("a", &digest, stated, &mut sink).await.unwrap_err();
            assert!(matches!(error, FetchError::SizeMismatch { .. }), "{framing:?} {stated}: {error}");
        }
        let other = Digest::of(b"other");
        let error = registry.pull_blob("a", &other, size, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, FetchError::DigestMismatch { .. }), "{framing:?}: {error}");
    }
}

#[tokio::test]
async fn tokens_that_no_header_can_carry_are_refused() {
    for token in ["a\\u0000secret", "a\\r\\nX-Other: secret", "\\u00e9secret", ""] {
        let server = with_realm(move |_| Reply::ok(format!("{{\"token\":\"{token}\"}}")));
        let registry = registry(&server, Some(&login()));
        for error in [
            registry.log_in("a", true).await.unwrap_err().to_string(),
            registry.manifest("a", "latest").await.unwrap_err().to_string(),
        ] {
            assert!(error.contains("token that") && !error.contains("secret"), "{error}");
        }
    }
    for answer in ["", "[", "\u{0}", "<html>"] {
        let server = with_realm(move |_| Reply::ok(answer));
        let error = registry(&server, None).log_in("a", false).await.unwrap_err().to_string();
        assert!(error.contains("no token"), "{error}");
    }
}

#[tokio::test]
async fn a_login_goes_to_the_realm_and_its_token_to_the_registry() {
    let server = with_realm(|request| {
        assert_eq!(request.headers["authorization"], "Basic YW5uOmh1bnRlcjI=");
        assert!(request.path.contains("scope=repository%3Ateam%2Fa%3Apull%2Cpush"), "{}", request.path);
        Reply::ok("{\"token\":\"t\"}")
    });
    let registry = registry(&server, Some(&login()));
    registry.log_in("team/a", true).await.unwrap();
    registry.push_manifest("team/a", "latest", "application/json", b"{}").await.unwrap();
    let tokens = server.paths().iter().filter(|path| path.starts_with("/token")).count();
    assert_eq!(tokens, 1, "one token serves all requests");
}

#[tokio::test]
async fn a_login_for_tls_goes_nowhere_without() {
    let plain = Server::start(|_| Reply::ok("{\"token\":\"t\"}"));
    let realm = plain.url("/token").to_string();
    let server = Server::start_tls(move |_| {
        Reply::status(401).header("WWW-Authenticate", format!("Bearer realm=\"{realm}\""))
    });
    // This machine is spoken to without TLS; a name that stands for it is not.
    let settings = NetworkSettings { attempts: 1, ..settings() };
    let registry = Registry::with_tls(&server.host(), &settings, Some(&login())).unwrap();
    let error = registry.log_in("a", false).await.unwrap_err().to_string();
    assert!(error.contains("less protection") && !error.contains("hunter2"), "{error}");
    let redirecting = plain.url("/elsewhere").to_string();
    let server = Server::start_tls(move |_| Reply::redirect(redirecting.clone()));
    let registry = Registry::with_tls(&server.host(), &settings, Some(&login())).unwrap();
    let error = registry.manifest("a", "latest").await.unwrap_err().to_string();
    assert!(error.contains("from https to"), "{error}");
    assert_eq!(plain.requests().len(), 0, "nobody without TLS was asked");
}

#[tokio::test]
async fn another_host_gets_no_login() {
    let storage = Server::start(|_| Reply::ok(BLOB));
    let place = storage.url("/blob").to_string();
    let server = Server::start(move |request| match request.headers.get("authorization") {
        None => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        Some(_) => Reply::redirect(place.clone()),
    });
    let registry = registry(&server, Some(&login()));
    let (digest, size) = (Digest::of(BLOB), BLOB.len() as u64);
    registry.pull_blob("a", &digest, size, &mut Vec::new()).await.unwrap();
    assert!(server.requests().iter().any(|request| request.headers.contains_key("authorization")));
    assert!(storage.requests().iter().all(|request| !request.headers.contains_key("authorization")));
}

#[tokio::test]
async fn a_silent_registry_and_a_slow_one_are_given_up() {
    let settings = NetworkSettings { attempts: 1, read_timeout: Duration::from_millis(300), ..settings() };
    let digest = Digest::of(BLOB);
    for reply in [
        Reply::ok(BLOB).late(Duration::from_secs(5)),
        Reply::ok(BLOB).stalling(Duration::from_secs(5)),
        Reply::status(500).late(Duration::from_secs(5)),
    ] {
        let server = Server::start(move |_| reply.clone());
        let registry = Registry::new(&server.host(), &settings, None, false).unwrap();
        for error in [
            registry.manifest("a", "latest").await.unwrap_err().to_string(),
            registry
                .pull_blob("a", &digest, BLOB.len() as u64, &mut Vec::new())
                .await
                .unwrap_err()
                .to_string(),
        ] {
            assert!(error.contains("silent"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_told_from_an_answer_that_is_of_no_use() {
    for (code, expected) in [(401, true), (403, true), (400, false), (500, false)] {
        let server = Server::start(move |_| Reply::status(code));
        let error = registry(&server, None).manifest("a", "latest").await.unwrap_err();
        assert!(
            matches!(error, FetchError::Registry { refused, .. } if refused == expected),
            "{code}: {error}"
        );
    }
}

#[tokio::test]
async fn what_a_registry_says_reaches_a_message_in_part() {
    let body =
        format!("{{\"errors\":[{{\"code\":\"DENIED\",\"message\":\"{}\"}}]}}", "\\u001b[31m".repeat(5_000));
    let server = Server::start(move |_| Reply::ok(body.clone()).code(403));
    let error = registry(&server, None).manifest("a", "latest").await.unwrap_err().to_string();
    assert!(error.contains("DENIED") && error.len() < 3_000 && !error.contains('\u{1b}'), "{error}");
}

#[tokio::test]
async fn lists_of_referrers_are_read_on_and_bounded() {
    let entry = |n: usize| {
        format!(
            "{{\"digest\":\"{}\",\"artifactType\":\"application/x\"}}",
            Digest::of(n.to_string().as_bytes())
        )
    };
    let page = move |from: usize, count: usize| {
        let entries: Vec<String> = (from..from + count).map(entry).collect();
        format!("{{\"manifests\":[{}]}}", entries.join(","))
    };
    let server = Server::start(move |request| match request.path.ends_with("?page=2") {
        true => Reply::ok(page(10, 5)),
        false => Reply::ok(page(0, 10)).header("Link", format!("<{}?page=2>; rel=\"next\"", request.path)),
    });
    let found = registry(&server, None).referrers("a", &Digest::of(BLOB)).await.unwrap();
    assert_eq!(found.len(), 15);
    assert_eq!(found[0].1.as_deref(), Some("application/x"));

    // Pages without end, and a list without end.
    let server = Server::start(move |request| {
        Reply::ok(page(0, 100)).header("Link", format!("<{}0>; rel=next", request.path))
    });
    let error = registry(&server, None).referrers("a", &Digest::of(BLOB)).await.unwrap_err().to_string();
    assert!(error.contains("more than 1000"), "{error}");

    // A registry without a list keeps it under a tag, or not at all.
    let server = Server::start(move |request| match request.path.contains("/manifests/sha256-") {
        true => Reply::ok(page(0, 2)),
        false => Reply::status(404),
    });
    assert_eq!(registry(&server, None).referrers("a", &Digest::of(BLOB)).await.unwrap().len(), 2);
    let server = Server::start(|_| Reply::status(404));
    assert!(registry(&server, None).referrers("a", &Digest::of(BLOB)).await.unwrap().is_empty());
}
