//! Layers of images: a tar as a compressed blob, with the digests of both known when its last byte is written.
//!
//! A tar is cut into blocks of [`BLOCK`] bytes, and each becomes a gzip member or Zstandard frame of its own: RFC 1952 and
//! RFC 8878 say that such a sequence is one file, and every reader of layers holds to it. So memory is bounded by a few
//! blocks, blocks are compressed side by side, and the bytes depend neither on how many at once nor on how the tar was
//! written.

use crate::{PackError, Result};
use kiln_record::{Digest, Hasher, HashingWriter};
use libdeflater::{CompressionLvl, Compressor};
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use std::io::{self, Read, Write};

/// Bytes of the tar that are compressed at a time: part of the format version.
pub const BLOCK: usize = 4 << 20;
/// Blocks that wait to be compressed side by side.
const BLOCKS_AHEAD: usize = 4;
/// As for zips: the size of zlib's best on what layers hold, at several times its speed.
const GZIP_LEVEL: i32 = 6;
const ZSTD_LEVEL: i32 = 9;

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LayerCodec {
    /// gzip (RFC 1952) by libdeflate.
    Gzip,
    /// Zstandard (RFC 8878) by its reference implementation.
    Zstd,
    /// Not at all.
    None,
}

impl LayerCodec {
    /// Name, exact version, level and block size: what the bytes of a layer follow from besides its tar. It goes into every
    /// record of an image.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Gzip => "gzip of libdeflate 1.26.1 level 6, 4 MiB members",
            Self::Zstd => "zstd 1.5.7 level 9, 4 MiB frames",
            Self::None => "none",
        }
    }

    fn compress(self, block: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => {
                let mut compressor = Compressor::new(CompressionLvl::new(GZIP_LEVEL).unwrap_or_default());
                let mut member = vec![0; compressor.gzip_compress_bound(block.len())];
                let length = compressor
                    .gzip_compress(block, &mut member)
                    .map_err(|error| io::Error::other(error.to_string()))?;
                member.truncate(length);
                Ok(member)
            }
            Self::Zstd => zstd::bulk::compress(block, ZSTD_LEVEL),
            Self::None => Ok(block.to_vec()),
        }
    }
}

/// What is known of a layer that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSums {
    /// The digest of the blob.
    pub digest: Digest,
    /// The length of the blob in bytes.
    pub size: u64,
    /// The digest of the tar (OCI image specification: DiffID).
    pub diff_id: Digest,
    /// The length of the tar in bytes.
    pub tar_size: u64,
}

/// Writes a tar as the blob of a layer.
pub struct LayerWriter<W: Write> {
    codec: LayerCodec,
    sink: HashingWriter<W>,
    tar: Hasher,
    tar_size: u64,
    full: Vec<Vec<u8>>,
    block: Vec<u8>,
}

impl<W: Write> std::fmt::Debug for LayerWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerWriter")
            .field("codec", &self.codec)
            .field("tar_size", &self.tar_size)
            .finish_non_exhaustive()
    }
}

impl<W: Write> LayerWriter<W> {
    /// Starts a blob.
    pub fn new(writer: W, codec: LayerCodec) -> Self {
        Self {
            codec,
            sink: HashingWriter::new(writer),
            tar: Hasher::default(),
            tar_size: 0,
            full: Vec::new(),
            block: Vec::new(),
        }
    }

    /// Writes what is left, and tells what was written.
    ///
    /// # Errors
    /// [`PackError::Io`].
    pub fn finish(mut self) -> Result<(W, LayerSums)> {
        // Nothing at all is still a valid stream.
        if !self.block.is_empty() || self.tar_size == 0 {
            self.full.push(std::mem::take(&mut self.block));
        }
        self.write_full()?;
        let (mut writer, digest, size) = self.sink.finish();
        writer.flush()?;
        Ok((writer, LayerSums { digest, size, diff_id: self.tar.finish(), tar_size: self.tar_size }))
    }

    fn write_full(&mut self) -> io::Result<()> {
        let codec = self.codec;
        let compressed: Vec<io::Result<Vec<u8>>> =
            self.full.par_iter().map(|block| codec.compress(block)).collect();
        self.full.clear();
        for member in compressed {
            self.sink.write_all(&member?)?;
        }
        Ok(())
    }
}

impl<W: Write> Write for LayerWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        let bytes = &bytes[..taken];
        self.tar.update(bytes);
        self.tar_size += taken as u64;
        self.block.extend_from_slice(bytes);
        if self.block.len() == BLOCK {
            self.full.push(std::mem::replace(&mut self.block, Vec::with_capacity(BLOCK)));
            if self.full.len() == BLOCKS_AHEAD {
                self.write_full()?;
            }
        }
        Ok(taken)
    }

    /// A block is written when it is full, whatever is asked for: its size decides the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The tar in a blob that one of the codecs, or another compressor of the same format, wrote.
///
/// # Errors
/// [`PackError::Io`] if the reader for Zstandard cannot be made.
pub fn layer_tar<'r>(blob: impl Read + 'r, codec: LayerCodec) -> Result<Box<dyn Read + 'r>> {
    Ok(match codec {
        LayerCodec::Gzip => Box::new(flate2::read::MultiGzDecoder::new(blob)),
        LayerCodec::Zstd => Box::new(zstd::stream::read::Decoder::new(blob).map_err(PackError::from)?),
        LayerCodec::None => Box::new(blob),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that repeat and bytes that do not, from a fixed sequence.
    fn tar(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        (0..length)
            .map(|i| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                if i / 1000 % 2 == 0 { b'a' } else { (state >> 33) as u8 }
            })
            .collect()
    }

    fn written(tar: &[u8], codec: LayerCodec, chunk: usize) -> (Vec<u8>, LayerSums) {
        let mut writer = LayerWriter::new(Vec::new(), codec);
        tar.chunks(chunk).for_each(|chunk| writer.write_all(chunk).unwrap());
        writer.finish().unwrap()
    }

    #[test]
    fn a_layer_reads_back_and_its_sums_are_those_of_its_bytes() {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 6 * BLOCK + 17] {
            let tar = tar(length);
            for codec in [LayerCodec::Gzip, LayerCodec::Zstd, LayerCodec::None] {
                let (blob, sums) = written(&tar, codec, 1 << 20);
                assert_eq!((sums.digest, sums.size), (Digest::of(&blob), blob.len() as u64));
                assert_eq!((sums.diff_id, sums.tar_size), (Digest::of(&tar), length as u64));
                let mut back = Vec::new();
                layer_tar(blob.as_slice(), codec).unwrap().read_to_end(&mut back).unwrap();
                assert!(back == tar, "{codec:?} of {length} bytes");
            }
        }
    }

    #[test]
    fn the_size_of_writes_does_not_show() {
        let tar = tar(2 * BLOCK + 5);
        for codec in [LayerCodec::Gzip, LayerCodec::Zstd] {
            let (whole, _) = written(&tar, codec, tar.len());
            let (pieces, _) = written(&tar, codec, 4093);
            assert!(whole == pieces, "{codec:?}");
        }
    }

    /// These digests change only with the major format version: another compressor makes other images.
    #[test]
    fn golden_digests() {
        let tar = tar(BLOCK + 100_000);
        let digests = [LayerCodec::Gzip, LayerCodec::Zstd].map(|c| written(&tar, c, 1 << 16).1.digest.hex());
        assert_eq!(
            digests,
            [
                "194b6115c779a292c5b578dcad011807e65e59931b85926a9a38b248cb2312a7",
                "da64e871832105675fe292cb1d76e43d94a1958ff8c055a20ca9a7e0c47daaa2",
            ]
        );
    }
}
