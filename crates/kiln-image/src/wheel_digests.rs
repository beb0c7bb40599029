//! The digests of a wheel that an image brings.

use kiln_record::{Digest, LongHasher};
use serde::{Deserialize, Serialize};

/// What a wheel that an image brings is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WheelDigests {
    /// Its digest.
    pub digest: Digest,
    /// Its SHA-512 in lower-case hexadecimal.
    pub sha512: String,
}

impl WheelDigests {
    /// Those of a wheel's bytes.
    #[must_use]
    pub fn of(wheel: &[u8]) -> Self {
        Self { digest: Digest::of(wheel), sha512: LongHasher::of(wheel) }
    }
}
