//! Package indexes: JSON, HTML, folders, and indexes that misbehave.

use crate::client;
use crate::server::{Reply, Server};
use kiln_fetch::{FetchError, Index};
use kiln_record::Digest;
use url::Url;

const JSON: &str = "application/vnd.pypi.simple.v1+json";

async fn list(url: Url, name: &str) -> Result<Vec<String>, FetchError> {
    let index = Index { url: url.clone(), from: "UV_INDEX_URL".to_owned() };
    let files = index.files(&client(), &name.parse().unwrap()).await?;
    let root = url.join("/").unwrap();
    Ok(files
        .into_iter()
        .map(|file| {
            format!(
                "{} {} {} {} {} {}",
                file.file_name,
                file.url.as_str().replace(root.as_str(), "/"),
                file.digest.map_or("-".to_owned(), |digest| digest.hex()[..8].to_owned()),
                file.size.map_or("-".to_owned(), |size| size.to_string()),
                file.requires_python.unwrap_or("-".to_owned()),
                if file.yanked { "yanked" } else { "current" },
            )
        })
        .collect())
}

/// Lists `pkg` from an index that answers with one page.
async fn page(content_type: &'static str, body: &str) -> Result<Vec<String>, FetchError> {
    let body = body.to_owned();
    let server = Server::start(move |_| Reply::ok(body.clone()).header("Content-Type", content_type));
    let found = list(server.url("/simple/"), "pkg").await;
    found.map_err(|error| match error {
        FetchError::Listing { source, .. } => *source,
        other => other,
    })
}

#[tokio::test]
async fn json() {
    let hex = Digest::of(b"").hex();
    let body = format!(
        r#"{{"meta": {{"api-version": "1.4", "_last-serial": 1}}, "name": "pkg", "versions": [], "files": [
            {{"filename": "pkg-2.whl", "url": "../../files/pkg-2.whl#f", "hashes": {{"sha256": "{hex}", "md5": "x"}},
              "size": 7, "requires-python": ">=3.8", "yanked": "broken", "upload-time": "2026-01-01T00:00:00Z"}},
            {{"filename": "pkg-1.whl", "url": "https://files.example/pkg-1.whl", "hashes": {{}}, "yanked": false,
              "requires-python": null}}]}}"#
    );
    assert_eq!(
        page(JSON, &body).await.unwrap(),
        [
            "pkg-1.whl https://files.example/pkg-1.whl - - - current",
            "pkg-2.whl /files/pkg-2.whl e3b0c442 7 >=3.8 yanked"
        ]
    );
}

#[tokio::test]
async fn html() {
    let hex = Digest::of(b"").hex();
    let body = format!(
        "<html><body><a href='../../files/pkg-1.0%2Bcu.whl#egg=x&amp;sha256={hex}' data-requires-python='&gt;=3.8'>pkg</a>\
         <a href=\"pkg-2.tar.gz#md5=0\" data-yanked>x</a></body></html>"
    );
    assert_eq!(
        page("text/html; charset=UTF-8", &body).await.unwrap(),
        [
            "pkg-1.0+cu.whl /files/pkg-1.0%2Bcu.whl e3b0c442 - >=3.8 current",
            "pkg-2.tar.gz /simple/pkg/pkg-2.tar.gz - - - yanked"
        ]
    );
    let based = "<base href=\"https://files.example/d/\"><a href=\"pkg-1.whl\">x</a>";
    assert_eq!(
        page("application/vnd.pypi.simple.v1+html", based).await.unwrap(),
        ["pkg-1.whl https://files.example/d/pkg-1.whl - - - current"]
    );
}

#[tokio::test]
async fn one_request_with_the_normalised_name() {
    let server = Server::start(|request| match request.path.as_str() {
        "/corp/simple/zope-interface/" => Reply::redirect("/moved/zope-interface/"),
        "/moved/zope-interface/" => Reply::ok("<a href=\"z.whl\">z</a>").header("Content-Type", "text/html"),
        _ => Reply::status(404),
    });
    let found = list(server.url("/corp/simple"), "Zope.Interface").await.unwrap();
    assert_eq!(found, ["z.whl /moved/zope-interface/z.whl - - - current"]);
    assert_eq!(server.paths(), ["/corp/simple/zope-interface/", "/moved/zope-interface/"]);
    let accept = server.requests()[0].headers["accept"].clone();
    assert!(accept.starts_with(JSON) && accept.contains("text/html;q="), "{accept}");

    let error = list(server.url_for("u:hunter2", "/corp/simple/"), "other").await.unwrap_err();
    let shown = error.to_string().replace(&server.url("/").authority().to_owned(), "HOST");
    assert_eq!(
        shown,
        "the index http://***@HOST/corp/simple/ (from UV_INDEX_URL) has no distribution `other`"
    );
}

#[tokio::test]
async fn other_problems_name_the_setting_and_keep_their_cause() {
    let server = Server::start(|_| Reply::status(403));
    let error = list(server.url("/simple/"), "six").await.unwrap_err();
    assert_eq!(error.to_string(), "the index set by UV_INDEX_URL did not list the files of `six`");
    assert!(matches!(error.root(), FetchError::Forbidden { .. }));
}

#[tokio::test]
async fn unusable_pages_are_refused() {
    let json = |files: &str| format!(r#"{{"meta": {{"api-version": "1.0"}}, "files": [{files}]}}"#);
    for (content_type, body, why) in [
        ("text/plain", "x".to_owned(), "its type is `text/plain`, not JSON or HTML of the simple API"),
        (
            JSON,
            r#"{"meta": {"api-version": "2.0"}, "files": []}"#.to_owned(),
            "it is version 2.0 of the simple API; kiln knows version 1",
        ),
        (
            "text/html",
            "<meta name=\"pypi:repository-version\" content=\"2.0\">".to_owned(),
            "it is version 2.0 of the simple API; kiln knows version 1",
        ),
        (JSON, json(r#"{"filename": "../x", "url": "x", "hashes": {}}"#), "`../x` cannot be a file name"),
        ("text/html", "<a href=\"..%2Fx\">x</a>".to_owned(), "`../x` cannot be a file name"),
        ("text/html", "<a href=\"d/\">x</a>".to_owned(), "`` cannot be a file name"),
        (
            JSON,
            json(r#"{"filename": "x", "url": "x", "hashes": {"sha256": "zz"}}"#),
            "the sha256 of `x` is malformed",
        ),
        (
            JSON,
            json(r#"{"filename": "x", "url": "file:///etc/passwd"}"#),
            "its link file:///etc/passwd may not be followed",
        ),
        (
            JSON,
            json(r#"{"filename": "x", "url": "http://u:hunter2@[x"}"#),
            "its link `http://***@[x` is no URL",
        ),
    ] {
        let error = page(content_type, &body).await.unwrap_err();
        let FetchError::BadReply { why: found, .. } = &error else { panic!("{error}") };
        assert_eq!(found, why);
    }
    let deep = "[".repeat(100_000);
    for broken in ["{", "[]", r#"{"files": []}"#, deep.as_str()] {
        let error = page(JSON, broken).await.unwrap_err().to_string();
        assert!(error.contains("it is not the simple API's JSON"), "{error}");
    }
}

#[tokio::test]
async fn a_folder_is_an_index() {
    let folder = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(folder.path().join("simple/pkg")).unwrap();
    fs_err::write(folder.path().join("pkg-1.whl"), "wheel").unwrap();
    fs_err::write(folder.path().join("simple/pkg/index.html"), "<a href=\"../../pkg-1.whl\">x</a>").unwrap();
    let index = Index {
        url: Url::from_directory_path(folder.path().join("simple")).unwrap(),
        from: "test".to_owned(),
    };
    let files = index.files(&client(), &"pkg".parse().unwrap()).await.unwrap();
    let mut sink = Vec::new();
    client().download(&files[0].url, None, None, &mut sink, &|_| ()).await.unwrap();
    assert_eq!(sink, b"wheel");
    let error = index.files(&client(), &"other".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, FetchError::NoSuchDistribution { .. }), "{error}");
}
