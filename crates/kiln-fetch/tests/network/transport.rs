//! Redirects and certificates.

use crate::server::{Reply, Server};
use crate::{client, settings, tls_file};
use kiln_fetch::{Client, FetchError, NetworkSettings};
use std::time::Duration;
use url::Url;

#[tokio::test]
async fn redirects_are_followed_within_limits() {
    let server = Server::start(|request| match request.path.as_str() {
        "/a/start" => Reply::redirect("../b/end?x=1"),
        "/b/end?x=1" => Reply::ok("found").header("Content-Type", "Text/HTML; charset=utf-8"),
        "/lost" => Reply::status(301),
        "/local" => Reply::redirect("file:///etc/hostname"),
        other => Reply::redirect(format!("{other}x")),
    });
    let client = client();
    let response = client.get(&server.url("/a/start"), 100, None).await.unwrap();
    assert_eq!(response.bytes, b"found");
    assert_eq!(response.final_url, server.url("/b/end?x=1"));
    assert_eq!(response.content_type.as_deref(), Some("text/html"));

    let before = server.requests().len();
    for (path, why) in [
        ("/loop", "more than 10 redirects"),
        ("/lost", "a redirect (301) without a location"),
        ("/local", "a redirect from http to file:///etc/hostname"),
    ] {
        let error = client.get(&server.url(path), 100, None).await.unwrap_err().to_string();
        assert!(error.ends_with(why), "{error}");
    }
    assert_eq!(server.requests().len() - before, 13);
}

#[tokio::test]
async fn only_trusted_certificates_are_accepted() {
    let server = Server::start_tls(|_| Reply::ok("secret"));
    assert_eq!(client().get(&server.url("/x"), 100, None).await.unwrap().bytes, b"secret");
    assert_eq!(server.requests().len(), 1);

    // The server's own certificate is no authority for it.
    let other = NetworkSettings { ca_bundle: Some(tls_file("server.pem")), ..settings() };
    let error = Client::new(&other).unwrap().get(&server.url("/x"), 100, None).await.unwrap_err();
    assert!(matches!(error, FetchError::Untrusted { .. }), "{error}");

    // Signed by the right authority, but for another name.
    let mut elsewhere = server.url("/x");
    elsewhere.set_host(Some("localhost")).unwrap();
    let error = client().get(&elsewhere, 100, None).await.unwrap_err();
    assert!(matches!(error, FetchError::Untrusted { .. }), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn redirects_never_leave_tls() {
    let plain = Server::start(|_| Reply::ok("plain"));
    let target = plain.url("/x").to_string();
    let server = Server::start_tls(move |_| Reply::redirect(target.clone()));
    let error = client().get(&server.url("/"), 100, None).await.unwrap_err();
    assert!(error.to_string().contains("a redirect from https to http://"), "{error}");
    assert!(plain.requests().is_empty());

    // The other direction is what servers are asked to do.
    let secure = Server::start_tls(|_| Reply::ok("secure"));
    let target = secure.url("/x").to_string();
    let server = Server::start(move |_| Reply::redirect(target.clone()));
    assert_eq!(client().get(&server.url("/"), 100, None).await.unwrap().bytes, b"secure");
}

#[tokio::test]
async fn a_handshake_that_never_ends_ends() {
    // A server that speaks plain HTTP waits for the end of a request that never comes.
    let server = Server::start(|_| Reply::ok("plain"));
    let mut url = Url::parse("https://127.0.0.1/x").unwrap();
    url.set_port(server.url("/").port()).unwrap();
    let limited = NetworkSettings { connect_timeout: Duration::from_millis(150), attempts: 1, ..settings() };
    let error = Client::new(&limited).unwrap().get(&url, 100, None).await.unwrap_err();
    let FetchError::Unreachable { why, .. } = &error else { panic!("{error}") };
    assert_eq!(why, "no connection was made in time");
}

#[test]
fn a_broken_bundle_is_reported_before_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    for content in
        [None, Some("no certificate"), Some("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n")]
    {
        if let Some(content) = content {
            fs_err::write(&path, content).unwrap();
        }
        let settings = NetworkSettings { ca_bundle: Some(path.clone()), ..settings() };
        let error = Client::new(&settings).unwrap_err();
        let FetchError::Setting { from, .. } = &error else { panic!("{error}") };
        assert_eq!(*from, format!("CA bundle {}", path.display()));
    }
}
