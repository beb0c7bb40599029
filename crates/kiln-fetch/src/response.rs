//! A document that was fetched.

use crate::redacted;
use std::fmt;
use url::Url;

/// A document that fits in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// Its bytes, decompressed if the server compressed them for the transfer.
    pub bytes: Vec<u8>,
    /// Where it was found after redirects, without credentials: what relative links in it refer to.
    pub final_url: Url,
    /// The `Content-Type` header in lower case, without parameters.
    pub content_type: Option<String>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("bytes", &self.bytes.len())
            .field("final_url", &redacted(&self.final_url))
            .field("content_type", &self.content_type)
            .finish()
    }
}
