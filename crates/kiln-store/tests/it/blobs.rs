use crate::{files_below, mode_of};
use kiln_record::Digest;
use kiln_store::{Store, StoreError};
use std::io::{Read as _, Write as _};

#[test]
fn what_is_put_can_be_read_under_its_digest() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let digest = store.put(b"some content").unwrap();
    assert_eq!(digest, Digest::of(b"some content"));
    assert!(store.contains(&digest));
    assert_eq!(store.read_blob(&digest).unwrap(), b"some content");
    let mut text = String::new();
    store.open_blob(&digest).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "some content");
    assert_eq!(mode_of(&store.path_of(&digest)), 0o444);
    assert!(matches!(store.read_blob(&Digest::of(b"other")), Err(StoreError::BlobMissing { .. })));
}

#[test]
fn a_store_can_be_opened_again_but_not_one_of_a_later_kiln() {
    let root = tempfile::tempdir().unwrap();
    let digest = Store::open(root.path()).unwrap().put(b"x").unwrap();
    assert!(Store::open(root.path()).unwrap().contains(&digest));
    fs_err::write(root.path().join("format"), "kiln-store 2\n").unwrap();
    let error = Store::open(root.path()).unwrap_err();
    assert!(matches!(&error, StoreError::Format { found, .. } if found == "kiln-store 2"), "{error}");
    assert!(error.to_string().contains("use a newer kiln"), "{error}");
}

#[test]
fn other_content_than_expected_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let mut writer = store.writer().unwrap();
    writer.write_all(b"what the mirror").unwrap();
    writer.write_all(b" served today").unwrap();
    assert_eq!(writer.written(), 28);
    let expected = Digest::of(b"what the lock names");
    let error = writer.commit(Some(&expected)).unwrap_err();
    assert!(matches!(error, StoreError::DigestMismatch { expected: e, .. } if e == expected));

    let mut dropped = store.writer().unwrap();
    dropped.write_all(b"half a down").unwrap();
    drop(dropped);
    drop(store);
    assert_eq!(files_below(root.path()), ["format", "in-use"]);
}

#[test]
fn a_writer_outlives_the_store_it_came_from() {
    let root = tempfile::tempdir().unwrap();
    let mut writer = Store::open(root.path()).unwrap().writer().unwrap();
    writer.write_all(b"late").unwrap();
    let (digest, size) = writer.commit(None).unwrap();
    assert_eq!((digest, size), (Digest::of(b"late"), 4));
    assert!(Store::open(root.path()).unwrap().contains(&digest));
}

#[test]
fn many_files_are_stored_at_once() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    store.put(b"there already").unwrap();
    let files = [&b"one"[..], b"two", b"one", b"there already", b""];
    let digests = store.put_all(&files).unwrap();
    assert_eq!(digests, files.map(Digest::of));
    for (digest, content) in digests.iter().zip(files) {
        assert_eq!(store.read_blob(digest).unwrap(), content);
        assert_eq!(mode_of(&store.path_of(digest)), 0o444);
    }
    assert_eq!(store.put_all::<&[u8]>(&[]).unwrap(), []);
    drop(store);
    assert_eq!(
        files_below(root.path()).len(),
        6,
        "the format file, what says that it is used, and four blobs"
    );
}

#[test]
fn the_same_blob_from_many_threads_and_stores() {
    let root = tempfile::tempdir().unwrap();
    let content = vec![7; 300_000];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Store::open(root.path()).unwrap();
                for _ in 0..4 {
                    let mut writer = store.writer().unwrap();
                    writer.write_all(&content).unwrap();
                    assert_eq!(writer.commit(None).unwrap().1, 300_000);
                }
            });
        }
    });
    let store = Store::open(root.path()).unwrap();
    assert_eq!(store.read_blob(&Digest::of(&content)).unwrap(), content);
    drop(store);
    let files = files_below(root.path());
    assert_eq!(files.len(), 4, "two files of the store, one blob, and that it was verified: {files:?}");
}

#[test]
fn a_damaged_blob_is_noticed_and_removed() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let digest = store.put(b"precious").unwrap();
    fs_err::remove_file(store.path_of(&digest)).unwrap();
    fs_err::write(store.path_of(&digest), b"precioux").unwrap();
    assert!(matches!(store.read_blob(&digest), Err(StoreError::BlobDamaged { .. })));
    assert!(!store.contains(&digest));
    store.put(b"precious").unwrap();
    assert_eq!(store.read_blob(&digest).unwrap(), b"precious");

    // One that was cut short is replaced by whoever has the content.
    fs_err::remove_file(store.path_of(&digest)).unwrap();
    fs_err::write(store.path_of(&digest), b"prec").unwrap();
    store.put(b"precious").unwrap();
    assert_eq!(store.read_blob(&digest).unwrap(), b"precious");
}

#[test]
fn a_sweep_spares_writers_at_work() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let mut writer = store.writer().unwrap();
    writer.write_all(b"in flight").unwrap();
    // A killed process leaves its lock file, which nobody holds, and its folder.
    fs_err::create_dir(root.path().join("temp/1-0")).unwrap();
    fs_err::write(root.path().join("temp/1-0/0"), b"torn").unwrap();
    fs_err::write(root.path().join("temp/1-0.lock"), b"").unwrap();
    assert_eq!(Store::open(root.path()).unwrap().sweep().unwrap(), 1);
    assert!(!root.path().join("temp/1-0").exists());
    writer.commit(Some(&Digest::of(b"in flight"))).unwrap();
}

#[test]
fn a_damaged_blob_is_removed_when_it_is_asked_for_and_made_again() {
    let root = tempfile::tempdir().unwrap();
    let digest = Store::open(root.path()).unwrap().put(b"some content").unwrap();
    let spoil = |path: &std::path::Path| {
        fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        // As long as before.
        fs_err::write(path, b"some c0ntent").unwrap();
    };
    // Each is a run of its own.
    let run = || Store::open(root.path()).unwrap();
    assert!(run().contains(&digest));
    for ask in 0..5 {
        let store = run();
        spoil(&store.path_of(&digest));
        match ask {
            0 => assert!(!store.contains(&digest)),
            1 => assert!(matches!(store.open_blob(&digest), Err(StoreError::BlobDamaged { .. }))),
            2 => assert!(matches!(store.read_blob(&digest), Err(StoreError::BlobDamaged { .. }))),
            3 => assert_eq!(store.put_all(&[b"some content"]).unwrap(), [digest]),
            _ => {
                let mut writer = store.writer().unwrap();
                writer.write_all(b"some content").unwrap();
                writer.commit(Some(&digest)).unwrap();
            }
        }
        assert_eq!(store.take_damaged(), [digest], "it is told once");
        assert_eq!(store.take_damaged(), []);
        assert_eq!(store.contains(&digest), ask >= 3);
        store.put(b"some content").unwrap();
        assert_eq!(run().read_blob(&digest).unwrap(), b"some content");
    }
}

#[test]
fn a_store_that_is_made_is_its_owners_and_one_that_is_there_is_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let made = root.path().join("a/b/store");
    Store::open(&made).unwrap();
    assert_eq!(mode_of(&made), 0o700);
    let there = root.path().join("there");
    fs_err::create_dir(&there).unwrap();
    fs_err::set_permissions(&there, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    Store::open(&there).unwrap();
    assert_eq!(mode_of(&there), 0o755);
}

#[test]
fn a_format_line_that_was_cut_off_is_written_again() {
    let root = tempfile::tempdir().unwrap();
    let digest = Store::open(root.path()).unwrap().put(b"x").unwrap();
    for left in ["", "kiln", "kiln-store 1"] {
        fs_err::write(root.path().join("format"), left).unwrap();
        assert!(Store::open(root.path()).unwrap().contains(&digest), "{left:?}");
        assert_eq!(fs_err::read_to_string(root.path().join("format")).unwrap(), "kiln-store 1\n");
    }
    fs_err::write(root.path().join("format"), "something else").unwrap();
    assert!(Store::open(root.path()).is_err());
}
