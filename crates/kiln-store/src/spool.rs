//! Files without a name.

use crate::Result;
use crate::atomic::PRIVATE_FILE;
use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// See [`Store::spool`](crate::Store::spool).
#[derive(Debug)]
pub struct Spool(fs::File);

impl Spool {
    /// Creates the file and takes its name away.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file =
            fs::OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE_FILE).open(path)?;
        fs::remove_file(path)?;
        Ok(Self(file))
    }

    /// Writes on where the last writing or reading ended: once everything is written, it is read.
    ///
    /// # Errors
    /// [`StoreError::Io`](crate::StoreError::Io).
    pub fn writer(&self) -> Result<impl Write + Send + 'static> {
        Ok(self.0.try_clone()?)
    }

    /// Reads it from its beginning. Only one reader reads at a time: they share their place.
    ///
    /// # Errors
    /// [`StoreError::Io`](crate::StoreError::Io).
    pub fn reader(&self) -> Result<SpoolReader> {
        let mut file = self.0.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(SpoolReader(BufReader::with_capacity(64 << 10, file)))
    }
}

/// Reads a [`Spool`].
#[derive(Debug)]
pub struct SpoolReader(BufReader<fs::File>);

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for SpoolReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}
