use kiln_record::{Digest, Epoch};
use kiln_store::{StatCache, StoreError};
use std::os::unix::fs::MetadataExt as _;

/// A start long before anything in these tests: what is then saved is saved for the file system's clock alone.
fn long_ago() -> Epoch {
    Epoch::from_seconds(1_000_000_000).unwrap()
}

#[test]
fn an_unchanged_file_is_read_once() {
    let root = tempfile::tempdir().unwrap();
    let (file, saved) = (root.path().join("f"), root.path().join("cache"));
    fs_err::write(&file, b"content").unwrap();
    let cache = StatCache::load(&saved);
    let first = cache.digest_of(&file).unwrap();
    assert_eq!(first, (Digest::of(b"content"), 7));
    assert_eq!(cache.digest_of(&file).unwrap(), first);
    assert_eq!(cache.content_reads(), 1);
    cache.save(long_ago()).unwrap();

    let next = StatCache::load(&saved);
    assert_eq!(next.digest_of(&file).unwrap(), first);
    assert_eq!(next.content_reads(), 0);
    let mut names: Vec<_> =
        fs_err::read_dir(root.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["cache", "f"], "asking the clock leaves nothing");
}

#[test]
fn a_change_of_equal_size_is_seen_even_with_its_time_set_back() {
    let root = tempfile::tempdir().unwrap();
    let (file, saved) = (root.path().join("f"), root.path().join("cache"));
    fs_err::write(&file, b"aaaa").unwrap();
    let old = fs_err::metadata(&file).unwrap().modified().unwrap();
    let cache = StatCache::load(&saved);
    cache.digest_of(&file).unwrap();
    cache.save(long_ago()).unwrap();

    fs_err::write(&file, b"bbbb").unwrap();
    fs_err::OpenOptions::new().write(true).open(&file).unwrap().file().set_modified(old).unwrap();
    for cache in [cache, StatCache::load(&saved)] {
        let before = cache.content_reads();
        assert_eq!(cache.digest_of(&file).unwrap().0, Digest::of(b"bbbb"));
        assert_eq!(cache.content_reads(), before + 1);
    }
}

/// The racy case: written, read and written again as fast as possible, often within one tick of the clock.
#[test]
fn a_change_right_after_reading_is_never_missed() {
    let root = tempfile::tempdir().unwrap();
    let (file, saved) = (root.path().join("f"), root.path().join("cache"));
    let cache = StatCache::load(&saved);
    for round in 0..60_u8 {
        fs_err::write(&file, [round, 1]).unwrap();
        assert_eq!(cache.digest_of(&file).unwrap().0, Digest::of(&[round, 1]));
        fs_err::write(&file, [round, 2]).unwrap();
        cache.save(long_ago()).unwrap();
        let next = StatCache::load(&saved);
        assert_eq!(next.digest_of(&file).unwrap().0, Digest::of(&[round, 2]), "round {round}");
        assert_eq!(cache.digest_of(&file).unwrap().0, Digest::of(&[round, 2]), "round {round}");
    }
}

#[test]
fn a_damaged_cache_is_empty() {
    let root = tempfile::tempdir().unwrap();
    let (file, saved) = (root.path().join("f"), root.path().join("cache"));
    fs_err::write(&file, b"x").unwrap();
    for damage in [&b""[..], b"{", b"[]", b"{\"format\":2,\"files\":{}}", b"\xff\xff"] {
        fs_err::write(&saved, damage).unwrap();
        let cache = StatCache::load(&saved);
        assert_eq!(cache.digest_of(&file).unwrap().0, Digest::of(b"x"));
        assert_eq!(cache.content_reads(), 1);
        cache.save(long_ago()).unwrap();
    }
    assert_eq!(fs_err::metadata(&saved).unwrap().mode() & 0o777, 0o644);
}

#[test]
fn what_is_no_file_is_refused_without_opening_it() {
    let root = tempfile::tempdir().unwrap();
    let pipe = root.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let cache = StatCache::load(&root.path().join("cache"));
    for path in [pipe.as_path(), root.path()] {
        assert!(matches!(cache.digest_of(path), Err(StoreError::NotAFile(_))));
    }
    assert!(matches!(cache.digest_of(&root.path().join("missing")), Err(StoreError::Io(_))));
    cache.save(long_ago()).unwrap();
    assert!(!root.path().join("cache").exists(), "nothing learnt, nothing written");
}
