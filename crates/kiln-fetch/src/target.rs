//! What a download must be, checked while it comes and at its end.

use crate::attempt::{Body, Failure};
use crate::credentials::percent_decoded;
use crate::{FetchError, Sink, redacted};
use kiln_record::{Digest, Hasher};
use url::Url;

/// The most a download may bring if nobody knows its size beforehand: 2 GiB, which is what a wheel may unpack to and more
/// than any package has.
const UNSIZED_LIMIT: u64 = 2 << 30;

/// What a download must be.
pub(crate) struct Target<'a> {
    pub(crate) url: &'a Url,
    pub(crate) expected: Option<&'a Digest>,
    pub(crate) size: Option<u64>,
    pub(crate) progress: &'a (dyn Fn(u64) + Sync),
}

impl Target<'_> {
    pub(crate) async fn receive(
        &self,
        body: &mut Body,
        sink: &mut dyn Sink,
        reported: &mut u64,
    ) -> Result<(Digest, u64), Failure> {
        if let (Some(size), Some(stated)) = (self.size, body.stated_length())
            && size != stated
        {
            return Err(Failure::Final(self.size_mismatch(stated)));
        }
        sink.restart().map_err(|source| self.sink_error(source))?;
        let mut hasher = Hasher::default();
        let mut found = 0_u64;
        while let Some(chunk) = body.chunk().await? {
            found += chunk.len() as u64;
            self.check_growth(found)?;
            hasher.update(&chunk);
            sink.write_all(&chunk).map_err(|source| self.sink_error(source))?;
            if found > *reported {
                (self.progress)(found - *reported);
                *reported = found;
            }
        }
        if body.stated_length().is_none() && self.size.is_some_and(|size| found < size) {
            // Without a stated length, a connection that was cut looks like the end of the file.
            return Err(Failure::passing("the transfer ended early"));
        }
        sink.flush().map_err(|source| self.sink_error(source))?;
        Ok((hasher.finish(), found))
    }

    /// Stops a reply that is longer than it may be while it is still coming.
    pub(crate) fn check_growth(&self, found: u64) -> Result<(), FetchError> {
        match self.size {
            Some(size) if found > size => Err(self.size_mismatch(found)),
            None if found > UNSIZED_LIMIT => {
                Err(FetchError::TooLarge { url: redacted(self.url), limit: UNSIZED_LIMIT })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn sink_error(&self, source: std::io::Error) -> FetchError {
        FetchError::Sink { url: redacted(self.url), source }
    }

    pub(crate) fn check(&self, digest: Digest, found: u64) -> Result<(Digest, u64), FetchError> {
        match (self.size, self.expected) {
            (Some(size), _) if size != found => Err(self.size_mismatch(found)),
            (_, Some(&expected)) if expected != digest => Err(FetchError::DigestMismatch {
                url: redacted(self.url),
                file: file_name(self.url),
                expected,
                found: digest,
            }),
            _ => Ok((digest, found)),
        }
    }

    fn size_mismatch(&self, found: u64) -> FetchError {
        FetchError::SizeMismatch {
            url: redacted(self.url),
            file: file_name(self.url),
            expected: self.size.unwrap_or_default(),
            found,
        }
    }
}

/// The last component of a URL's path, decoded.
pub(crate) fn file_name(url: &Url) -> String {
    percent_decoded(url.path().rsplit('/').next().unwrap_or_default())
}
