//! Compression of single files (RFC 1951), by one exact compressor.

use crate::{PackError, Result};
use libdeflater::{CompressionLvl, Compressor, DecompressionError, Decompressor};
use memchr::memmem;
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

/// Expands a deflate stream of which the exact size and the CRC-32 of the content are known.
///
/// # Errors
/// As [`inflate`], and if the content has another checksum.
pub fn inflate_checked(stream: &[u8], size: u64, crc32: u32) -> Result<Vec<u8>> {
    Framed::of(stream).inflate(size, crc32)
}

/// A deflate stream with room around it: with a header before it and checksum and size behind it, it is a file of gzip (RFC 1952), in
/// which these have to follow the stream's end at once. So one pass over it tells what else takes two.
pub(crate) struct Framed(pub(crate) Vec<u8>);

impl Framed {
    /// Magic numbers, deflate, and no name, time or system.
    pub(crate) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    /// Bytes of checksum and size behind it.
    pub(crate) const END: usize = 8;

    /// With a stream.
    pub(crate) fn of(stream: &[u8]) -> Self {
        Self([&Self::HEADER[..], stream, &[0; Self::END]].concat())
    }

    /// The stream.
    pub(crate) fn stream(&self) -> &[u8] {
        &self.0[Self::HEADER.len()..self.0.len() - Self::END]
    }

    /// See [`inflate_checked`].
    pub(crate) fn inflate(mut self, size: u64, crc32: u32) -> Result<Vec<u8>> {
        if let Some(content) = self.in_one_pass(size, crc32) {
            return Ok(content);
        }
        let content = inflate(self.stream(), size)?;
        match crc32fast::hash(&content) == crc32 {
            true => Ok(content),
            false => Err(PackError::content("compressed data", "its checksum is not the one announced")),
        }
    }

    /// None where something is wrong, and where the stream has the same eight bytes inside, so that its end could be there.
    fn in_one_pass(&mut self, size: u64, crc32: u32) -> Option<Vec<u8>> {
        let length = self.stream().len();
        if size > (length as u64).saturating_mul(MAX_EXPANSION) {
            return None;
        }
        let end = [crc32.to_le_bytes(), u32::try_from(size).ok()?.to_le_bytes()].concat();
        let framed = Self::HEADER.len();
        self.0[framed + length..].copy_from_slice(&end);
        if memmem::find(&self.0[framed..], &end) != Some(length) {
            return None;
        }
        let mut content = vec![0; usize::try_from(size).ok()?];
        let found = DECOMPRESSOR.with_borrow_mut(|one| one.gzip_decompress(&self.0, &mut content));
        // It has held the content against whatever stands behind the stream. Only if that is what is announced, it stands at the end.
        (found == Ok(content.len()) && crc32fast::hash(&content) == crc32).then_some(content)
    }
}

thread_local! {
    // What it did before does not matter to the next stream.
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
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
