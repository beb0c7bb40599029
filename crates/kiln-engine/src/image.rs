//! Images and the names they go by.

use crate::EngineError;
use kiln_record::{Digest, Platform, excerpt};

/// What the engine knows about an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// The engine's own id: the digest of the image config, or of the manifest where the engine keeps its images in
    /// containerd. Compare `diff_ids` to know what is inside.
    pub id: String,
    /// Digests of the uncompressed layers, lowest first (OCI image spec, `rootfs.diff_ids`).
    pub diff_ids: Vec<Digest>,
    /// `name@digest` for each registry the image was pulled from.
    pub repo_digests: Vec<String>,
    /// What the image runs on.
    pub platform: Platform,
    /// The environment in the image config, `KEY=value` each.
    pub config_env: Vec<String>,
    /// Instructions that a Dockerfile runs which starts from it (`ONBUILD`).
    pub on_build: Vec<String>,
    /// The shell of a `RUN` in a Dockerfile that starts from it, if it names one (`SHELL`).
    pub shell: Vec<String>,
    /// How many bytes it takes in the engine, if that says so.
    pub size: Option<u64>,
}

/// A name that the engine has an image by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedImage {
    /// The name, with its tag.
    pub reference: String,
    /// How many bytes the image takes, layers that others share counted in.
    pub size: u64,
}

/// How far the pull of one layer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullProgress {
    /// The layer, by the start of its digest; empty or the tag for the image as a whole.
    pub layer: String,
    /// What is done with it, in the engine's words.
    pub status: String,
    /// Bytes done, where the engine says so.
    pub current: Option<u64>,
    /// Bytes in all, where the engine says so.
    pub total: Option<u64>,
}

/// Refuses text that would mean something else inside a request's path.
///
/// # Errors
/// [`EngineError::InvalidReference`].
pub fn check_reference(reference: &str) -> Result<(), EngineError> {
    let plain = (1..=512).contains(&reference.len())
        && reference.bytes().all(|b| b.is_ascii_alphanumeric() || b"._/:@-+".contains(&b))
        && reference.as_bytes()[0].is_ascii_alphanumeric()
        && !reference.split('/').any(|part| matches!(part, "" | "." | ".."));
    if plain {
        Ok(())
    } else {
        Err(EngineError::InvalidReference {
            reference: excerpt(reference),
            why: "write name:tag or name@sha256:… with letters, digits and ._/:-".to_owned(),
        })
    }
}

/// The digest that a reference must carry.
///
/// # Errors
/// [`EngineError::InvalidReference`] if there is none.
pub fn pinned_digest(reference: &str) -> Result<Digest, EngineError> {
    check_reference(reference)?;
    let error = |why: String| EngineError::InvalidReference { reference: reference.to_owned(), why };
    let Some((name, digest)) = reference.split_once('@') else {
        return Err(error("it has no digest, and a tag can move; `kiln lock --base` pins it".to_owned()));
    };
    if name.is_empty() || digest.contains('@') {
        return Err(error("write name@sha256:…".to_owned()));
    }
    digest.parse().map_err(|e: kiln_record::DigestError| error(e.to_string()))
}

/// The registry that a reference names; `None` if it leaves that to the engine. The rule is Docker's: what stands before
/// the first slash is a registry if it has a dot or colon or is `localhost`.
pub(crate) fn registry_of(reference: &str) -> Option<&str> {
    let (first, _) = reference.split_once('/')?;
    (first.contains(['.', ':']) || first == "localhost").then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_without_digest_is_not_pinned() {
        let digest = Digest::of(b"");
        assert_eq!(pinned_digest(&format!("example.org:5000/a/b@{digest}")).unwrap(), digest);
        assert_eq!(pinned_digest(&format!("example.org/a:1@{digest}")).unwrap(), digest);
        assert!(pinned_digest("example.org/a:1").unwrap_err().to_string().contains("kiln lock --base"));
        for bad in ["", "@", "a@sha256:00", "a@md5:00", "a?b@x", "a/../b", "a b", "../a", "a//b"] {
            assert!(pinned_digest(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn registries_are_told_from_names() {
        assert_eq!(registry_of("example.org/a"), Some("example.org"));
        assert_eq!(registry_of("127.0.0.1:5000/a:1"), Some("127.0.0.1:5000"));
        assert_eq!(registry_of("localhost/a"), Some("localhost"));
        assert_eq!(registry_of("library/a"), None);
        assert_eq!(registry_of("a:1"), None);
    }
}
