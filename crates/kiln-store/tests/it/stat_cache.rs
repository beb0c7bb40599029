use kiln_record::{Digest, Epoch};
use kiln_store::{StatCache, StoreError};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A time that many seconds after the file last changed in any way.
fn after(file: &Path, seconds: i64) -> Epoch {
    let metadata = fs_err::metadata(file).unwrap();
    let changed = metadata.mtime().max(metadata.ctime());
    Epoch::from_seconds(u64::try_from(changed + seconds).unwrap()).unwrap()
}

#[test]
fn an_unchanged_file_is_read_once() {
    let root = tempfile::tempdir().unwrap();
    let (file, saved) = (root.path().join("f"), root.path().join("cache"));
    fs_err::write(&file, b"content").unwrap();
    let mut cache = StatCache::load(&saved);
    let first = cache.digest_of(&file).unwrap();
    assert_eq!(first, (Digest::of(b"content"), 7));
    assert_eq!(cache.digest_of(&file).unwrap(), first);
    assert_eq!(cache.content_reads(), 1);
    cache.save(after(&file, 10)).unwrap();

    let mut next = StatCache::load(&saved);
    assert_eq!(next.digest_of(&file).unwrap(), first);
    assert_eq!(next.content_reads(), 0);
}

#[test]
fn a_change_of_equal_size_is_seen() {
    let root = tempfile::tempdir().unwrap();
    let (file, saved) = (root.path().join("f"), root.path().join("cache"));
    fs_err::write(&file, b"aaaa").unwrap();
    let old = fs_err::metadata(&file).unwrap().modified().unwrap();
    let mut cache = StatCache::load(&saved);
    cache.digest_of(&file).unwrap();
    cache.save(after(&file, 10)).unwrap();

    // Even with the modification time set back: the change time cannot be. It needs a tick to move.
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs_err::write(&file, b"bbbb").unwrap();
    fs_err::OpenOptions::new().write(true).open(&file).unwrap().file().set_modified(old).unwrap();
    let mut next = StatCache::load(&saved);
    assert_eq!(next.digest_of(&file).unwrap().0, Digest::of(b"bbbb"));
    assert_eq!(next.content_reads(), 1);
}

/// A file touched while the run began may change again without its times moving, so it is not remembered.
#[test]
fn a_file_modified_around_the_start_of_the_run_is_read_again() {
    let root = tempfile::tempdir().unwrap();
    let (file, saved) = (root.path().join("f"), root.path().join("cache"));
    fs_err::write(&file, b"aaaa").unwrap();
    for (seconds, reads) in [(-5, 1), (0, 1), (1, 1), (2, 1), (3, 0)] {
        let _ = fs_err::remove_file(&saved);
        let mut cache = StatCache::load(&saved);
        cache.digest_of(&file).unwrap();
        cache.save(after(&file, seconds)).unwrap();
        let mut next = StatCache::load(&saved);
        next.digest_of(&file).unwrap();
        assert_eq!(next.content_reads(), reads, "{seconds} s after the change");
    }
}

#[test]
fn a_damaged_cache_is_empty() {
    let root = tempfile::tempdir().unwrap();
    let (file, saved) = (root.path().join("f"), root.path().join("cache"));
    fs_err::write(&file, b"x").unwrap();
    for damage in [&b""[..], b"{", b"[]", b"{\"format\":2,\"files\":{}}", b"\xff\xff"] {
        fs_err::write(&saved, damage).unwrap();
        let mut cache = StatCache::load(&saved);
        assert_eq!(cache.digest_of(&file).unwrap().0, Digest::of(b"x"));
        assert_eq!(cache.content_reads(), 1);
        cache.save(after(&file, 10)).unwrap();
    }
    assert_eq!(fs_err::metadata(&saved).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn what_is_no_file_is_refused_without_opening_it() {
    let root = tempfile::tempdir().unwrap();
    let pipe = root.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let mut cache = StatCache::load(&root.path().join("cache"));
    for path in [pipe.as_path(), root.path()] {
        assert!(matches!(cache.digest_of(path), Err(StoreError::NotAFile(_))));
    }
    assert!(matches!(cache.digest_of(&root.path().join("missing")), Err(StoreError::Io(_))));
    cache.save(Epoch::from_seconds(0).unwrap()).unwrap();
    assert!(!root.path().join("cache").exists(), "nothing learnt, nothing written");
}
