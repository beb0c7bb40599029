//! git against servers that do not answer.

use kiln_fetch::Repository;
use std::net::TcpListener;
use std::time::Duration;

/// A server that accepts every connection and says nothing, whatever the protocol.
#[tokio::test]
async fn a_silent_server_does_not_hold_git() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let kept = std::thread::spawn(move || listener.incoming().take(3).collect::<Vec<_>>());
    for url in
        [format!("http://{address}/x.git"), format!("git://{address}/x.git"), format!("ssh://a@{address}/x")]
    {
        let repository = Repository::new(&url).silent_for(Duration::from_secs(2));
        let error = repository.resolve("v1").await.unwrap_err().to_string();
        let told = ["nothing came for", "too slow", "timed out", "Operation too slow"];
        assert!(told.iter().any(|words| error.contains(words)), "{url}: {error}");
    }
    drop(kept);
}

/// A fetch is held to the same limits as a question.
#[tokio::test]
async fn a_silent_server_does_not_hold_a_fetch() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("git://{}/x.git", listener.local_addr().unwrap());
    let kept = std::thread::spawn(move || listener.incoming().take(3).collect::<Vec<_>>());
    let folder = tempfile::tempdir().unwrap();
    let repository = Repository::new(&url).silent_for(Duration::from_secs(1));
    let error = repository.fetch(&"a".repeat(40), None, folder.path()).await.unwrap_err().to_string();
    assert!(error.contains("nothing came for"), "{error}");
    drop(kept);
}
