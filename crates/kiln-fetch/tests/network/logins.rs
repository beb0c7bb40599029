//! Credentials reach the server they are for, no other, and no text.

use crate::server::{Reply, Request, Server};
use crate::{client, settings};
use kiln_fetch::{Client, Index, NetworkSettings};
use std::sync::Arc;

/// `ann:hunter2` as a Basic login.
const BASIC: &str = "Basic YW5uOmh1bnRlcjI=";

fn login(request: &Request) -> Option<&str> {
    request.headers.get("authorization").map(String::as_str)
}

#[tokio::test]
async fn a_login_in_the_url_is_sent_and_never_shown() {
    let server = Server::start(|request| match request.path.as_str() {
        "/good" => Reply::ok("x"),
        "/missing" => Reply::status(404),
        "/away" => Reply::redirect("ftp://ann:hunter2@files.example/x?sig=hunter2"),
        "/broken" => Reply::redirect("http://ann:hunter2@[x"),
        _ => Reply::status(403),
    });
    let client = client();
    for path in ["/good", "/missing", "/denied?token=hunter2", "/away", "/broken"] {
        let url = server.url_for("ann:hunter2", path);
        let shown = match client.get(&url, 100, None).await {
            Ok(response) => format!("{response:?} {}", response.final_url),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains("hunter2") && !shown.contains("ann:"), "{shown}");
    }
    assert_eq!(server.requests().len(), 5);
    assert!(server.requests().iter().all(|request| login(request) == Some(BASIC)));
}

#[tokio::test]
async fn netrc_is_used_for_its_host() {
    let server = Server::start(|_| Reply::ok("x"));
    let with = |host: &str| {
        let netrc = format!("machine {host} login ann password hunter2");
        Client::new(&NetworkSettings { netrc: Some(netrc), ..settings() }).unwrap()
    };
    with("127.0.0.1").get(&server.url("/a"), 100, None).await.unwrap();
    with("other.example").get(&server.url("/b"), 100, None).await.unwrap();
    with("127.0.0.1").get(&server.url_for("bob", "/c"), 100, None).await.unwrap();
    let logins: Vec<Option<String>> =
        server.requests().iter().map(|request| login(request).map(str::to_owned)).collect();
    assert_eq!(logins, [Some(BASIC.to_owned()), None, Some("Basic Ym9iOg==".to_owned())]);
}

#[tokio::test]
async fn a_redirect_elsewhere_leaves_the_login_behind() {
    let other = Arc::new(Server::start(|_| Reply::ok("x")));
    let target = other.url("/file").to_string();
    let server = Server::start(move |request| match request.path.as_str() {
        "/start" => Reply::redirect("/same"),
        _ => Reply::redirect(target.clone()),
    });
    let response = client().get(&server.url_for("ann:hunter2", "/start"), 100, None).await.unwrap();
    assert_eq!(response.final_url, other.url("/file"));
    assert_eq!(login(&other.requests()[0]), None);
    // The library that sends requests must not add what the redirect's target would see either.
    assert_eq!(other.requests()[0].headers.get("referer"), None);
}

#[tokio::test]
async fn an_indexs_login_is_used_for_its_files() {
    let server = Server::start(|request| match (login(request), request.path.as_str()) {
        (None, _) => Reply::status(401),
        (_, "/simple/six/") => {
            Reply::ok("<a href=\"/files/six.whl\">six.whl</a>").header("Content-Type", "text/html")
        }
        _ => Reply::ok("wheel"),
    });
    let client = client();
    let index = Index { url: server.url_for("ann:hunter2", "/simple"), from: "PIP_INDEX_URL".to_owned() };
    let files = index.files(&client, &"six".parse().unwrap()).await.unwrap();
    assert!(!format!("{files:?} {index:?} {}", files[0].url).contains("hunter2"));
    let mut sink = Vec::new();
    client.download(&files[0].url, None, None, &mut sink, &|_| ()).await.unwrap();
    assert_eq!(sink, b"wheel");
    assert_eq!(server.requests().iter().filter_map(login).collect::<Vec<_>>(), [BASIC, BASIC]);
}
