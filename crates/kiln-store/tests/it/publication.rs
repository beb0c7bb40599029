use crate::{files_below, mode_of};
use kiln_record::ArtifactName;
use kiln_store::{Ledger, Publication, StoreError, is_unsettled, settle, write_atomically};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

fn artifact() -> ArtifactName {
    "web".parse().unwrap()
}

#[test]
fn a_publication_replaces_the_whole_folder() {
    let root = tempfile::tempdir().unwrap();
    let dist = root.path().join("dist");
    let mut first = Publication::begin(&dist, &artifact()).unwrap();
    first.write("web.zip", b"1").unwrap();
    first.write("gone", b"1").unwrap();
    first.write("record.json", b"{\"artifact\": \"web\"}").unwrap();
    assert!(!dist.join("web").exists(), "nothing is visible before the commit");
    first.commit().unwrap();
    let mut second = Publication::begin(&dist, &artifact()).unwrap();
    let mut file = second.create("web.zip").unwrap();
    file.write_all(b"2").unwrap();
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    drop(file);
    second.commit().unwrap();
    assert_eq!(files_below(&dist), ["web/web.zip"]);
    assert_eq!(fs_err::read(dist.join("web/web.zip")).unwrap(), b"2");
    assert_eq!(mode_of(&dist.join("web/web.zip")), 0o644);
    assert_eq!(mode_of(&dist.join("web")), 0o755);
}

#[test]
fn what_somebody_else_put_there_is_left_alone() {
    for (path, content) in
        [("web/notes.txt", "mine"), ("web/record.json", "{\"artifact\": \"other\"}"), ("web", "mine")]
    {
        let root = tempfile::tempdir().unwrap();
        let theirs = root.path().join(path);
        fs_err::create_dir_all(theirs.parent().unwrap()).unwrap();
        fs_err::write(&theirs, content).unwrap();
        let mut publication = Publication::begin(root.path(), &artifact()).unwrap();
        publication.write("web.zip", b"1").unwrap();
        assert!(matches!(publication.commit(), Err(StoreError::NotPublished(_))), "{path}");
        assert_eq!(fs_err::read_to_string(&theirs).unwrap(), content);
        assert_eq!(files_below(root.path()), [path]);
    }
}

#[test]
fn a_dropped_publication_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let mut first = Publication::begin(root.path(), &artifact()).unwrap();
    first.write("a", b"1").unwrap();
    first.commit().unwrap();
    let mut second = Publication::begin(root.path(), &artifact()).unwrap();
    second.write("a", b"2").unwrap();
    drop(second);
    assert_eq!(fs_err::read(root.path().join("web/a")).unwrap(), b"1");
    assert_eq!(files_below(root.path()), ["web/a"]);
    let dist = root.path().join("not/there");
    let third = Publication::begin(&dist, &artifact()).unwrap();
    assert!(dist.is_dir());
    drop(third);
    assert!(!dist.exists(), "it was made for what was dropped");
}

#[test]
fn names_are_plain_and_taken_once() {
    let root = tempfile::tempdir().unwrap();
    let mut publication = Publication::begin(root.path(), &artifact()).unwrap();
    for bad in ["", ".", "..", "../web.zip", "a/b", ".hidden", "a\nb"] {
        assert!(matches!(publication.write(bad, b""), Err(StoreError::FileName(_))), "{bad:?}");
    }
    publication.write("a", b"").unwrap();
    assert!(publication.write("a", b"").is_err());
}

#[test]
fn what_a_killed_run_staged_is_swept() {
    let root = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(root.path().join(".staging-web-99")).unwrap();
    fs_err::write(root.path().join(".staging-web-99/web.zip"), b"half").unwrap();
    fs_err::create_dir_all(root.path().join("web")).unwrap();
    fs_err::write(root.path().join("index.json"), b"{}").unwrap();
    let ledger = Ledger::open(&root.path().join("no/ledger"));
    assert!(is_unsettled(root.path()).unwrap());
    assert_eq!(settle(root.path(), &ledger).unwrap().removed, 1);
    assert_eq!(files_below(root.path()), ["index.json"]);
    assert!(!is_unsettled(root.path()).unwrap());
    assert_eq!(settle(&root.path().join("nowhere"), &ledger).unwrap().removed, 0);
}

/// Two files always hold the same generation, because both names change in one system call.
#[test]
fn a_reader_never_sees_the_folder_missing() {
    let root = tempfile::tempdir().unwrap();
    let publish = |generation: &[u8]| {
        let mut publication = Publication::begin(root.path(), &artifact()).unwrap();
        publication.write("a", generation).unwrap();
        publication.write("record.json", b"{\"artifact\": \"web\"}").unwrap();
        publication.commit().unwrap();
    };
    publish(b"0");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut looks = 0_u32;
            while !done.load(Ordering::Relaxed) || looks == 0 {
                assert!(root.path().join("web").is_dir(), "after {looks} looks");
                looks += 1;
            }
        });
        for generation in 1..20_u8 {
            publish(&[generation]);
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn a_file_is_replaced_whole_with_a_fixed_mode() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("index.json");
    fs_err::write(&path, b"old").unwrap();
    fs_err::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    write_atomically(&path, b"new").unwrap();
    assert_eq!(fs_err::read(&path).unwrap(), b"new");
    assert_eq!(mode_of(&path), 0o644);
    assert_eq!(files_below(root.path()), ["index.json"]);

    // A rename that fails (a folder is in the way) leaves neither the file nor the temporary.
    fs_err::create_dir(root.path().join("busy")).unwrap();
    fs_err::write(root.path().join("busy/x"), b"").unwrap();
    assert!(write_atomically(&root.path().join("busy"), b"new").is_err());
    assert!(write_atomically(&root.path().join("no/such/folder"), b"new").is_err());
    assert_eq!(files_below(root.path()), ["busy/x", "index.json"]);
}

#[test]
fn a_layout_is_published_with_its_folders_and_replaced() {
    let root = tempfile::tempdir().unwrap();
    let dist = root.path().join("dist");
    let artifact = "web".parse().unwrap();
    let blob = format!("oci/blobs/sha256/{}", "a".repeat(64));
    for content in [b"1", b"2"] {
        let mut publication = Publication::begin(&dist, &artifact).unwrap();
        publication.write("record.json", b"{\"artifact\": \"web\"}").unwrap();
        publication.write("oci/index.json", content).unwrap();
        publication.write(&blob, content).unwrap();
        publication.commit().unwrap();
        assert_eq!(fs_err::read(dist.join("web").join(&blob)).unwrap(), content);
    }
    assert_eq!(mode_of(&dist.join("web/oci/blobs")), 0o755);
    for bad in
        ["oci/x", "oci/blobs/sha256/abc", "oci/../record.json", "other/index.json", "oci/blobs/sha256/a/b"]
    {
        let mut publication = Publication::begin(&dist, &artifact).unwrap();
        assert!(publication.create(bad).is_err(), "{bad}");
    }
    // What somebody else put there is never replaced.
    fs_err::write(dist.join("web/oci/blobs/mine"), "x").unwrap();
    let publication = Publication::begin(&dist, &artifact).unwrap();
    assert!(publication.commit().is_err());
    assert!(dist.join("web/oci/blobs/mine").is_file());
}
