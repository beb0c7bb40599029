//! Reads of a fixed length from archives that may be cut off.

use crate::{PackError, Result};
use std::io::Read;

/// Fills a buffer; a premature end becomes the given error.
pub(crate) fn read_or<R: Read>(
    reader: &mut R,
    bytes: &mut [u8],
    ended: impl FnOnce() -> PackError,
) -> Result<()> {
    match reader.read_exact(bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(ended()),
        other => Ok(other?),
    }
}
