//! Compression of single files (RFC 1951), by one exact compressor.

use crate::{PackError, Result};
use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use std::cell::RefCell;

/// Name, exact version and level of the compressor. The bytes of an archive follow from it, so it goes into every record
/// and changes only with the major format version.
pub const COMPRESSOR: &str = "libdeflate 1.26.1 level 6";

const LEVEL: i32 = 6;

/// Deflate expands one byte to at most 1032: two bits for a match of 258 bytes.
pub(crate) const MAX_EXPANSION: u64 = 1032;

/// How a zip member's data is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// As it is (APPNOTE 4.4.5, method 0).
    Store,
    /// Deflated (method 8).
    Deflate,
}

/// The data of one zip member, ready to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// How the stream is to be read.
    pub method: Method,
    /// The bytes that go into the archive.
    pub stream: Vec<u8>,
    /// CRC-32 of the content (ISO 3309, as in zip).
    pub crc32: u32,
    /// Length of the content in bytes.
    pub size: u64,
}

/// Compresses a file; one that does not become smaller is stored. The result depends on the bytes alone.
#[must_use]
pub fn compress(bytes: &[u8]) -> Compressed {
    thread_local! {
        // A compressor is half a megabyte, and thousands of files are small. Its output does not depend on what it did
        // before: every call of its one-shot interface starts from reset tables, and a test holds that.
        static COMPRESSOR: RefCell<Compressor> =
            RefCell::new(Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default()));
    }
    let deflated = COMPRESSOR.with_borrow_mut(|compressor| {
        let mut stream = vec![0; compressor.deflate_compress_bound(bytes.len())];
        // The buffer has the size that the library asks for, so there is no failure; if there were, storing is right.
        let length = compressor.deflate_compress(bytes, &mut stream).ok()?;
        stream.truncate(length);
        stream.shrink_to_fit();
        Some(stream)
    });
    let (method, stream) = match deflated {
        Some(stream) if stream.len() < bytes.len() => (Method::Deflate, stream),
        _ => (Method::Store, bytes.to_vec()),
    };
    Compressed { method, stream, crc32: crc32fast::hash(bytes), size: bytes.len() as u64 }
}

/// Compresses files side by side. The results have the order of the files and do not depend on the number of threads.
#[must_use]
pub fn compress_all<B: AsRef<[u8]> + Sync>(files: &[B]) -> Vec<Compressed> {
    files.par_iter().map(|bytes| compress(bytes.as_ref())).collect()
}

/// Expands a deflate stream of which the exact size is known.
///
/// # Errors
/// [`PackError::Content`] if the stream is invalid, expands to another size, or has bytes after its end: such bytes would
/// travel along unseen wherever the stream is reused.
pub fn inflate(stream: &[u8], size: u64) -> Result<Vec<u8>> {
    let invalid = |reason: &str| PackError::content("compressed data", reason);
    // An announced size is not worth an allocation that no stream of this length can fill.
    if size > (stream.len() as u64).saturating_mul(MAX_EXPANSION) {
        return Err(invalid("it is shorter than the announced size allows"));
    }
    let length = usize::try_from(size).map_err(|_| invalid("it is larger than memory"))?;
    let mut bytes = vec![0; length];
    let mut decompressor = Decompressor::new();
    // The library does not say how much of the stream it used. If all but the last byte will do, the last is too many.
    // This goes first because a failing attempt leaves rubbish in the buffer.
    if let Some((_, start)) = stream.split_last()
        && decompressor.deflate_decompress(start, &mut bytes).is_ok()
    {
        return Err(invalid("there are bytes after the end of the stream"));
    }
    match decompressor.deflate_decompress(stream, &mut bytes) {
        Ok(found) if found == length => Ok(bytes),
        Ok(found) => Err(invalid(&format!("it holds {found} bytes where {size} are announced"))),
        Err(DecompressionError::InsufficientSpace) => {
            Err(invalid(&format!("it holds more than the {size} bytes that are announced")))
        }
        Err(DecompressionError::BadData) => Err(invalid("it is not a valid deflate stream")),
    }
}
