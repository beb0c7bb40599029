//! A cache against servers that are honest, and against each way in which one is not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_fixtures::{CacheServer, Lie};
use kiln_record::Digest;
use kiln_remote::{Limits, Login, Remote, RemoteError, RemoteSettings};
use kiln_store::{Memo, Store};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

/// A result that stands for some blobs.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Made(Vec<Digest>);

impl Memo for Made {
    const KIND: &'static str = "made";

    fn content(&self) -> Vec<Digest> {
        self.0.clone()
    }
}

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(5),
    silence: Duration::from_secs(5),
    // A large blob has two seconds more.
    slowest: 1 << 20,
    around: Duration::from_secs(1),
};

fn settings(address: &str) -> RemoteSettings {
    RemoteSettings { address: address.parse().unwrap(), write: true, login: Login::None, limits: LIMITS }
}

fn remote(server: &CacheServer) -> Remote {
    Remote::new(settings(&server.address()))
}

struct Machine {
    store: Store,
    _folder: tempfile::TempDir,
}

fn machine() -> Machine {
    let folder = tempfile::tempdir().unwrap();
    Machine { store: Store::open(folder.path()).unwrap(), _folder: folder }
}

/// Small files in more than one batch, one that is empty, and one that goes in pieces.
fn contents() -> Vec<Vec<u8>> {
    let small = (0..40_u8).map(|n| vec![n; 100_000]);
    small.chain([Vec::new(), large()]).collect()
}

fn large() -> Vec<u8> {
    (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

fn key() -> Digest {
    Digest::of(b"key")
}

/// A server that one machine told a result.
async fn told() -> (CacheServer, Made) {
    let (server, here) = (CacheServer::start().await, machine());
    let made = Made(here.store.put_all(&contents()).unwrap());
    remote(&server).remember(&here.store, &key(), &made).await.unwrap();
    (server, made)
}

#[tokio::test]
async fn what_one_machine_made_another_has() {
    let (server, made) = told().await;
    let there = machine();
    let recalled = remote(&server).recall::<Made>(&there.store, &key()).await.unwrap();
    assert_eq!(recalled.as_ref(), Some(&made));
    for (digest, bytes) in made.0.iter().zip(contents()) {
        assert_eq!(there.store.read_blob(digest).unwrap(), bytes);
    }
    // Seven million bytes in 42 files are a few batches and one stream.
    assert!(server.calls() < 20, "{} calls", server.calls());
    assert_eq!(remote(&server).recall::<Made>(&there.store, &Digest::of(b"other")).await.unwrap(), None);
    let before = server.calls();
    remote(&server).remember(&there.store, &key(), &made).await.unwrap();
    assert!(server.calls() <= before + 4, "nothing is sent that it has");
}

#[tokio::test]
async fn blobs_come_and_go_alone() {
    let (server, here, there) = (CacheServer::start().await, machine(), machine());
    let (digest, size) = (here.store.put(&large()).unwrap(), 3_000_000);
    assert!(!remote(&server).fetch(&there.store, &digest, size).await.unwrap());
    remote(&server).send(&here.store, &digest).await.unwrap();
    assert!(remote(&server).fetch(&there.store, &digest, size).await.unwrap());
    assert_eq!(there.store.read_blob(&digest).unwrap(), large());
}

/// What a lie comes to, in a machine that has nothing, and how long that takes.
async fn met(lie: Lie) -> (Result<Option<Made>, RemoteError>, Duration, bool) {
    let (server, made) = told().await;
    server.lies(lie);
    let there = machine();
    let key = if lie == Lie::OtherResult { Digest::of(b"other") } else { key() };
    let start = Instant::now();
    let met = remote(&server).recall::<Made>(&there.store, &key).await;
    let has_all = made.0.iter().all(|digest| there.store.contains(digest));
    for digest in &made.0 {
        // Whatever is there is what its name says.
        if there.store.contains(digest) {
            assert_eq!(Digest::of(&there.store.read_blob(digest).unwrap()), *digest);
        }
    }
    (met, start.elapsed(), has_all)
}

#[tokio::test]
async fn no_lie_is_taken() {
    for (lie, why) in [
        (Lie::OtherBytes, "has the digest"),
        (Lie::TooLong, "has the digest"),
        (Lie::Unasked, "was not asked for"),
        (Lie::OtherResult, "is one of"),
        (Lie::NoContent, "does not list its own"),
    ] {
        let (met, _, has_all) = met(lie).await;
        let error = met.unwrap_err();
        assert!(matches!(error, RemoteError::Wrong { .. }), "{lie:?}: {error}");
        assert!(error.to_string().contains(why), "{lie:?}: {error}");
        assert!(!has_all, "{lie:?}");
    }
    for lie in [Lie::NoBlobs, Lie::NoResult] {
        assert_eq!(met(lie).await.0.unwrap(), None, "{lie:?}: what is not whole is not there");
    }
}

#[tokio::test]
async fn a_large_blob_that_is_another_or_has_no_end_is_refused() {
    let (server, _) = told().await;
    let digest = Digest::of(&large());
    for (lie, why) in
        [(Lie::OtherBytes, "has the digest"), (Lie::TooLong, "is longer than its 3000000 bytes")]
    {
        server.lies(lie);
        let there = machine();
        let error = remote(&server).fetch(&there.store, &digest, 3_000_000).await.unwrap_err();
        assert!(error.to_string().contains(why), "{lie:?}: {error}");
        assert!(!there.store.contains(&digest), "{lie:?}");
    }
}

#[tokio::test]
async fn a_server_without_an_end_is_left() {
    for lie in [Lie::Silent, Lie::Drip] {
        let (met, took, _) = met(lie).await;
        let error = met.unwrap_err();
        assert!(matches!(error, RemoteError::Unreachable { .. }), "{lie:?}: {error}");
        assert!(error.to_string().contains("not done after"), "{lie:?}: {error}");
        assert!(took < Duration::from_secs(60), "{lie:?}: {took:?}");
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_used_says_why() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("grpc://{}", nobody.local_addr().unwrap());
    let there = machine();
    let asked = |remote: Remote| {
        let store = there.store.clone();
        async move { remote.recall::<Made>(&store, &key()).await.unwrap_err() }
    };
    // It takes the connection and says nothing.
    let error = asked(Remote::new(settings(&address))).await;
    assert!(matches!(error, RemoteError::Unreachable { .. }), "{error}");
    drop(nobody);
    let gone = Remote::new(settings(&address));
    let error = gone.recall::<Made>(&there.store, &key()).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
    let again = gone.recall::<Made>(&there.store, &key()).await.unwrap_err();
    assert!(again.to_string().contains("it did not when it was asked before"), "{again}");

    let (server, made) = told().await;
    server.lies(Lie::OtherDigests);
    let error = asked(remote(&server)).await;
    assert!(error.to_string().contains("SHA-256"), "{error}");
    server.lies(Lie::ReadOnly);
    let here = machine();
    let other = Made(vec![here.store.put(b"other").unwrap()]);
    let error = remote(&server).remember(&here.store, &key(), &other).await.unwrap_err();
    assert!(matches!(&error, RemoteError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("you may only read"), "{error}");
    assert_eq!(remote(&server).recall::<Made>(&there.store, &key()).await.unwrap(), Some(made));
}

#[tokio::test]
async fn logins_are_sent_where_they_belong() {
    let (server, _) = told().await;
    let (there, folder) = (machine(), tempfile::tempdir().unwrap());
    let with = |address: &str, login: Login| Remote::new(RemoteSettings { login, ..settings(address) });
    let token = folder.path().join("token");
    fs_err::write(&token, "s3cret\n").unwrap();
    let ask = |remote: Remote| {
        let store = there.store.clone();
        async move { remote.fetch(&store, &Digest::of(b"nothing"), 7).await }
    };
    ask(with(&server.address(), Login::TokenFile(token.clone()))).await.unwrap();
    assert_eq!(server.login().as_deref(), Some("Bearer s3cret"));

    let helper = folder.path().join("helper");
    let script = "#!/bin/sh\n[ \"$1\" = get ] || exit 1\nread -r asked\ncase \"$asked\" in *'\"uri\":\"http://127.0.0.1:'*) ;; *) exit 2;; esac\n\
                  echo '{\"headers\":{\"Authorization\":[\"Basic abc\"]},\"expires\":\"2030-01-01T00:00:00Z\"}'\n";
    fs_err::write(&helper, script).unwrap();
    fs_err::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).unwrap();
    ask(with(&server.address(), Login::Helper(helper.clone()))).await.unwrap();
    assert_eq!(server.login().as_deref(), Some("Basic abc"));

    // Never in the clear, and never in a message.
    let error = ask(with("grpc://10.0.0.1:1", Login::TokenFile(token.clone()))).await.unwrap_err();
    assert!(error.to_string().contains("without TLS"), "{error}");
    fs_err::write(&token, "s3cret\u{7f}").unwrap();
    let error = ask(with(&server.address(), Login::TokenFile(token.clone()))).await.unwrap_err();
    assert!(!error.to_string().contains("s3cret"), "{error}");
    fs_err::write(&token, "\n").unwrap();
    let error = ask(with(&server.address(), Login::TokenFile(token))).await.unwrap_err();
    assert!(error.to_string().contains("is empty"), "{error}");
    fs_err::write(&helper, "#!/bin/sh\necho s3cret\nexit 3\n").unwrap();
    let error = ask(with(&server.address(), Login::Helper(helper))).await.unwrap_err().to_string();
    assert!(error.contains("it failed") && !error.contains("s3cret"), "{error}");
}
