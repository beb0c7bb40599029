//! Debian archives: suite files, package indexes, packages, and what mirrors no longer have.

use crate::client;
use crate::server::{Reply, Server};
use kiln_fetch::{Archive, ArchiveFile, FetchError, Mirror, SuiteFile};
use kiln_record::{Architecture, Digest};

const DEB: &[u8] = b"!<arch>\n";
const PATH: &str = "pool/main/g/gcc-12/libstdc++6_12.2.0-14+deb12u1_amd64.deb";

fn mirror(server: &Server, path: &str) -> Mirror {
    Mirror { url: server.url(path), from: "test".to_owned() }
}

async fn deb(archive: &Archive, path: &str) -> Result<Vec<u8>, FetchError> {
    let file = ArchiveFile { path, digest: Digest::of(DEB), size: DEB.len() as u64 };
    let mut sink = Vec::new();
    archive.deb(&client(), &file, &mut sink, &|_| ()).await.map(|()| sink)
}

#[tokio::test]
async fn indexes_come_by_digest_or_by_name() {
    let packages = b"Package: bash\n";
    let digest = Digest::of(packages);
    let hashed = format!("/debian/dists/bookworm/main/binary-arm64/by-hash/SHA256/{}", digest.hex());
    let named = "/debian/dists/bookworm/main/binary-arm64/Packages.xz".to_owned();
    let file = SuiteFile {
        suite: "bookworm",
        component: "main",
        architecture: Architecture::Arm64,
        name: "Packages.xz",
        digest,
        size: packages.len() as u64,
    };
    for (served, expect) in [(hashed.clone(), vec![hashed.clone()]), (named.clone(), vec![hashed, named])] {
        let server = Server::start(move |request| match request.path.as_str() {
            "/debian/dists/bookworm/InRelease" => Reply::ok("signed"),
            path if path == served => Reply::ok(*packages),
            _ => Reply::status(404),
        });
        let archive = Archive { mirror: mirror(&server, "/debian"), snapshots: Vec::new() };
        assert_eq!(archive.package_index(&client(), &file).await.unwrap(), packages);
        assert_eq!(server.paths(), expect);
        assert_eq!(archive.in_release(&client(), "bookworm").await.unwrap(), b"signed");
    }
}

#[tokio::test]
async fn a_named_index_that_moved_on_is_refused() {
    let server = Server::start(|request| match request.path.contains("by-hash") {
        true => Reply::status(404),
        false => Reply::ok("newer"),
    });
    let archive = Archive { mirror: mirror(&server, "/debian/"), snapshots: Vec::new() };
    let file = SuiteFile {
        suite: "trixie",
        component: "main",
        architecture: Architecture::Amd64,
        name: "Packages.xz",
        digest: Digest::of(b"older"),
        size: 5,
    };
    let error = archive.package_index(&client(), &file).await.unwrap_err();
    assert!(matches!(error, FetchError::DigestMismatch { .. }), "{error}");
    let error = archive.package_index(&client(), &SuiteFile { size: 1 << 40, ..file }).await.unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn packages_come_from_the_mirror_or_a_snapshot() {
    let empty = Server::start(|_| Reply::status(404));
    let denying = Server::start(|_| Reply::status(403));
    let full = Server::start(|_| Reply::ok(DEB));
    let wrong = Server::start(|_| Reply::ok("!<ARCH>\n"));
    let archive = |first: &Server, others: &[&Server]| Archive {
        mirror: mirror(first, "/debian/"),
        snapshots: others.iter().map(|server| mirror(server, "/archive/20260101T000000Z")).collect(),
    };

    assert_eq!(deb(&archive(&full, &[&empty]), PATH).await.unwrap(), DEB);
    assert_eq!(full.paths(), [format!("/debian/{PATH}")]);
    assert!(empty.paths().is_empty());

    assert_eq!(deb(&archive(&empty, &[&denying, &full]), PATH).await.unwrap(), DEB);
    assert_eq!(full.paths()[1], format!("/archive/20260101T000000Z/{PATH}"));

    let error = deb(&archive(&empty, &[&empty]), PATH).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{PATH} is gone from {} and from {}",
            empty.url("/debian/"),
            empty.url("/archive/20260101T000000Z")
        )
    );

    // An archive that could not be asked might have it: it is not said to be gone.
    let error = deb(&archive(&empty, &[&denying]), PATH).await.unwrap_err();
    assert!(matches!(error, FetchError::Forbidden { .. }), "{error}");

    // Other bytes are an alarm, not a reason to look elsewhere.
    let asked = full.requests().len();
    let error = deb(&archive(&wrong, &[&full]), PATH).await.unwrap_err();
    assert!(matches!(error, FetchError::DigestMismatch { .. }), "{error}");
    assert_eq!(full.requests().len(), asked);
}

#[tokio::test]
async fn paths_stay_inside_the_archive() {
    let server = Server::start(|_| Reply::ok(DEB));
    let archive = Archive { mirror: mirror(&server, "/debian/"), snapshots: Vec::new() };
    for path in ["../secret", "/etc/passwd", "pool/../../x", "", "pool//x", "a\nb"] {
        let error = deb(&archive, path).await.unwrap_err();
        assert!(matches!(error, FetchError::BadReply { .. }), "{error}");
    }
    assert!(archive.in_release(&client(), "../..").await.is_err());
    // What has a meaning in a URL has none in a path.
    deb(&archive, "pool/a?b#c%2e").await.unwrap();
    assert_eq!(server.paths(), ["/debian/pool/a%3Fb%23c%252e"]);
}
