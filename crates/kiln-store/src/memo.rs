//! Results that are remembered by what decides them, with content of their own in the store.

use crate::{Result, Store};
use kiln_record::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A result that is worth remembering: what a step made, what a file is when it is stripped. It is kept by the digest of
/// everything that decides it, and stands for nothing once the store has lost a part of its content.
pub trait Memo: Serialize + DeserializeOwned {
    /// The kind of cache value, as [`Store::cache_get`] takes it.
    const KIND: &'static str;

    /// The content that it stands for.
    fn content(&self) -> Vec<Digest>;
}

impl Store {
    /// What was remembered under a key, if the store still has all of its content.
    ///
    /// # Errors
    /// As [`Store::cache_get`].
    pub fn recall<M: Memo>(&self, key: &Digest) -> Result<Option<M>> {
        let memo = self.cache_get::<M>(M::KIND, key)?;
        Ok(memo.filter(|memo| memo.content().iter().all(|digest| self.contains(digest))))
    }

    /// Remembers a result, replacing what was remembered under its key.
    ///
    /// # Errors
    /// As [`Store::cache_put`].
    pub fn remember<M: Memo>(&self, key: &Digest, memo: &M) -> Result<()> {
        self.cache_put(M::KIND, key, memo)
    }

    /// What somebody else made, as the place `from` told it, if the store still has all of its content. What was made here is
    /// never among that.
    ///
    /// # Errors
    /// As [`Store::cache_get`].
    pub fn recall_told<M: Memo>(&self, key: &Digest, from: &str) -> Result<Option<M>> {
        let told = self.cache_get::<Told<M>>(&told_kind::<M>(), key)?.filter(|told| told.from == from);
        let memo = told.map(|told| told.result);
        Ok(memo.filter(|memo| memo.content().iter().all(|digest| self.contains(digest))))
    }

    /// Remembers what the place `from` told, apart from what was made here.
    ///
    /// # Errors
    /// As [`Store::cache_put`].
    pub fn remember_told<M: Memo>(&self, key: &Digest, from: &str, memo: &M) -> Result<()> {
        self.cache_put(&told_kind::<M>(), key, &Told { from: from.to_owned(), result: memo })
    }
}

/// A result with whose word it is.
#[derive(Serialize, Deserialize)]
struct Told<M> {
    from: String,
    result: M,
}

fn told_kind<M: Memo>() -> String {
    format!("{}-told", M::KIND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Made(Digest);

    impl Memo for Made {
        const KIND: &'static str = "made";

        fn content(&self) -> Vec<Digest> {
            vec![self.0]
        }
    }

    #[test]
    fn what_has_lost_its_content_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (key, made) = (Digest::of(b"key"), Made(store.put(b"content").unwrap()));
        assert_eq!(store.recall::<Made>(&key).unwrap(), None);
        store.remember(&key, &made).unwrap();
        assert_eq!(store.recall(&key).unwrap(), Some(Made(made.0)));
        store.discard(&made.0).unwrap();
        assert_eq!(store.recall::<Made>(&key).unwrap(), None);
    }

    #[test]
    fn what_was_told_is_known_as_the_word_of_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (key, made) = (Digest::of(b"key"), Made(store.put(b"content").unwrap()));
        store.remember_told(&key, "grpcs://one.example", &made).unwrap();
        assert_eq!(store.recall::<Made>(&key).unwrap(), None, "nothing was made here");
        assert_eq!(store.recall_told::<Made>(&key, "grpcs://other.example").unwrap(), None);
        assert_eq!(store.recall_told(&key, "grpcs://one.example").unwrap(), Some(Made(made.0)));
        store.discard(&made.0).unwrap();
        assert_eq!(store.recall_told::<Made>(&key, "grpcs://one.example").unwrap(), None);
    }
}
