//! Archives that parts are distributed as, where what is inside an artifact are their bytes in another form.

use crate::Digest;
use serde::{Deserialize, Serialize};

/// The archive that a part is distributed as: a crate of a registry, a package of a base.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Archive {
    /// Its file name, such as `memchr-2.7.4.crate`.
    pub file_name: String,
    /// Its digest.
    pub digest: Digest,
    /// Its SHA-512 in lower-case hexadecimal.
    pub sha512: String,
    /// The licence that it declares, if it was read for that: an SPDX expression, or a name in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// The file in it that the part is, where it holds more than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
}

/// The name and version of a crate of cargo's default registry, by its package URL. One that says where else the crate is from is of
/// no registry.
#[must_use]
pub fn crate_of_url(purl: &str) -> Option<(String, String)> {
    let (name, version) = purl.strip_prefix("pkg:cargo/")?.split_once('@')?;
    let version = version.replace("%2B", "+").replace("%2b", "+");
    let is_part = |text: &str, also: &[u8]| {
        text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|c| c.is_ascii_alphanumeric() || also.contains(&c))
    };
    (is_part(name, b"-_") && is_part(&version, b"-_+.")).then(|| (name.to_owned(), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_of_the_registry_are_known_by_their_package_url() {
        let read = |purl: &str| crate_of_url(purl).map(|(name, version)| format!("{name} {version}"));
        assert_eq!(read("pkg:cargo/ahash@0.8.12").as_deref(), Some("ahash 0.8.12"));
        let built = "pkg:cargo/wasi@0.11.0%2Bwasi-snapshot-preview1";
        assert_eq!(read(built).as_deref(), Some("wasi 0.11.0+wasi-snapshot-preview1"));
        for other in [
            "pkg:cargo/own@1.0.0?download_url=file://.",
            "pkg:cargo/own@1.0.0?vcs_url=git%2Bhttps://example.org/own",
            "pkg:cargo/own@1.0.0#sub",
            "pkg:cargo/own",
            "pkg:cargo/../own@1.0.0",
            "pkg:cargo/own@..",
            "pkg:generic/zlib@1.3",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
