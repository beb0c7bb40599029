//! The second digest of an archive, for readers who ask for one of this strength.

use sha2::{Digest as _, Sha512};
use std::io::Read as _;
use std::path::Path;

/// The SHA-512 of a file that was written, in lower-case hexadecimal.
pub(crate) fn sha512(path: &Path) -> std::io::Result<String> {
    let mut hasher = Sha512::new();
    let mut file = fs_err::File::open(path)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex::encode(hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}
