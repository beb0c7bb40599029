use crate::files_below;
use kiln_record::Digest;
use kiln_store::{Store, StoreError};
use std::collections::BTreeMap;

#[test]
fn values_come_back_and_damage_is_a_miss() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    let key = Digest::of(b"inputs");
    let value: BTreeMap<String, u64> = [("a".to_owned(), 1), ("b".to_owned(), 57)].into();
    assert_eq!(store.cache_get::<BTreeMap<String, u64>>("probe", &key).unwrap(), None);
    store.cache_put("probe", &key, &value).unwrap();
    assert_eq!(store.cache_get("probe", &key).unwrap(), Some(value.clone()));
    assert_eq!(store.cache_get::<BTreeMap<String, u64>>("wheel", &key).unwrap(), None, "kinds are separate");
    assert_eq!(store.cache_get::<Vec<u64>>("probe", &key).unwrap(), None, "another shape");

    let file = root.path().join(files_below(root.path()).iter().find(|p| p.starts_with("cache/")).unwrap());
    let bytes = fs_err::read(&file).unwrap();
    let valid_json_other_value = String::from_utf8(bytes.clone()).unwrap().replace("57", "58");
    for damaged in [&bytes[..bytes.len() - 1], b"", b"\n", &bytes[..40], valid_json_other_value.as_bytes()] {
        fs_err::write(&file, damaged).unwrap();
        assert_eq!(store.cache_get::<BTreeMap<String, u64>>("probe", &key).unwrap(), None);
    }
    store.cache_put("probe", &key, &value).unwrap();
    assert_eq!(store.cache_get("probe", &key).unwrap(), Some(value));
}

#[test]
fn kinds_cannot_leave_the_cache() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    for kind in ["", "..", "a/b", "A", "."] {
        let error = store.cache_put(kind, &Digest::of(b""), &1).unwrap_err();
        assert!(matches!(error, StoreError::CacheKind(_)), "{kind}: {error}");
    }
}
