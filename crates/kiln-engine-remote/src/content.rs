//! Where the content of files is on this machine until a server has it.

use kiln_record::Digest;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Where the bytes of a blob are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// In a file of their own.
    File(PathBuf),
    /// In a part of a file that has more.
    Part { file: Arc<File>, offset: u64, size: u64 },
    /// In memory.
    Bytes(Arc<[u8]>),
}

/// Blobs by their digests.
pub(crate) type Sources = BTreeMap<Digest, Source>;

impl Source {
    /// The bytes from their start.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::File(path) => Box::new(fs_err::File::open(path)?),
            Self::Part { file, offset, size } => Box::new(Part::new(Arc::clone(file), *offset, *size)),
            Self::Bytes(bytes) => Box::new(io::Cursor::new(Arc::clone(bytes))),
        })
    }
}

/// Reads a part of a file that others read, too.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    file: Arc<File>,
    offset: u64,
    left: u64,
}

impl Part {
    pub(crate) fn new(file: Arc<File>, offset: u64, size: u64) -> Self {
        Self { file, offset, left: size }
    }
}

impl Read for Part {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(to.len());
        let read = self.file.read_at(&mut to[..most], self.offset)?;
        self.offset += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}
