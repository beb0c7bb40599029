//! Reading files that others may have put there: only regular ones are opened, as a pipe would be waited for without end.

use fs_err as fs;
use std::io::{self, Read as _};
use std::path::Path;

/// The largest document that is read whole, in bytes.
const LARGEST_DOCUMENT: u64 = 1 << 30;

/// Opens a file, or what a link leads to, if it is a regular one.
///
/// # Errors
/// If it is none (`InvalidData`, with its path), or cannot be opened.
pub fn open_regular(path: impl AsRef<Path>) -> io::Result<fs::File> {
    let path = path.as_ref();
    if fs::metadata(path)?.is_file() {
        fs::File::open(path)
    } else {
        Err(refused(path, "it is no regular file"))
    }
}

/// Reads a document of at most 1 GiB whole.
///
/// # Errors
/// As [`open_regular`]; if it is larger.
pub fn read_regular(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    let mut bytes = Vec::new();
    open_regular(path)?.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_DOCUMENT {
        return Err(refused(path, "it is larger than the 1 GiB that a document may have"));
    }
    Ok(bytes)
}

fn refused(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_with_its_path() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("record.json"), b"{}").unwrap();
        assert_eq!(read_regular(folder.path().join("record.json")).unwrap(), b"{}");
        let error = read_regular(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with(": it is no regular file"), "{error}");
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(open_regular(&socket).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(read_regular(folder.path().join("gone")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
