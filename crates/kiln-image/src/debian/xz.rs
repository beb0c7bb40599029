//! Decompression with limits on output and memory.

use crate::ImageError;
use liblzma::read::XzDecoder;
use liblzma::stream::Stream;
use std::io::{self, Read};

/// Memory that an xz decoder may ask for, in bytes: `xz -9` needs 65 MiB to decompress.
const DECODER_MEMORY: u64 = 256 << 20;

/// Decompresses a whole `.xz` file that may hold `limit` bytes at most.
///
/// # Errors
/// [`ImageError::TooLarge`] above the limit, [`ImageError::Document`] if the data is damaged.
pub fn decompress_xz(bytes: &[u8], limit: u64) -> Result<Vec<u8>, ImageError> {
    let what = "the decompressed package index";
    let damaged = |error: io::Error| ImageError::Document {
        what: "package index".to_owned(),
        reason: format!("it cannot be decompressed: {error}"),
    };
    let mut out = Vec::new();
    xz_reader(bytes)
        .map_err(damaged)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut out)
        .map_err(damaged)?;
    if out.len() as u64 > limit {
        return Err(ImageError::TooLarge { what: what.to_owned(), limit });
    }
    Ok(out)
}

/// A streaming xz reader with bounded memory.
pub(crate) fn xz_reader<R: Read>(reader: R) -> io::Result<XzDecoder<R>> {
    let stream = Stream::new_stream_decoder(DECODER_MEMORY, liblzma::stream::CONCATENATED)?;
    Ok(XzDecoder::new_stream(reader, stream))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn compress(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn limit_and_damage() {
        let packed = compress(&[7; 100_000]);
        assert_eq!(decompress_xz(&packed, 100_000).unwrap(), vec![7; 100_000]);
        assert!(matches!(decompress_xz(&packed, 99_999), Err(ImageError::TooLarge { limit: 99_999, .. })));
        assert!(decompress_xz(&packed[..packed.len() - 20], 100_000).is_err());
        assert!(decompress_xz(b"not xz", 100).is_err());
        assert!(decompress_xz(b"", 100).is_err());
    }
}
