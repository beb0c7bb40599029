//! What a program left, counted while it comes: bytes, and files, folders and links.

use crate::{EngineError, Limits};
use tar::{EntryType, Header};

const BLOCK: usize = 512;

/// Counts the outputs of one run against their limits, as tars that come in pieces.
#[derive(Debug)]
pub struct Measured<'a> {
    run: &'a str,
    limits: &'a Limits,
    bytes_left: u64,
    members: u64,
    /// What has come of the next header.
    header: Vec<u8>,
    /// How much is to come before the next header.
    content_left: u64,
}

impl<'a> Measured<'a> {
    /// Nothing yet, of a run of that name.
    #[must_use]
    pub fn new(run: &'a str, limits: &'a Limits) -> Self {
        let header = Vec::with_capacity(BLOCK);
        Self { run, limits, bytes_left: limits.output_bytes, members: 0, header, content_left: 0 }
    }

    /// Says that the tar of another output begins.
    pub fn begin(&mut self) {
        self.header.clear();
        self.content_left = 0;
    }

    /// Counts the folder of an output whose tar does not tell of it.
    pub(crate) fn count_folder(&mut self) {
        self.members += 1;
    }

    /// Counts a piece of what is named `what`.
    ///
    /// # Errors
    /// [`EngineError::OutputTooLarge`] or [`EngineError::TooManyFiles`].
    pub fn count(&mut self, what: &str, mut piece: &[u8]) -> Result<(), EngineError> {
        self.bytes_left = self
            .bytes_left
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| too_large(self.run, what, self.limits))?;
        while !piece.is_empty() {
            let passed = usize::try_from(self.content_left).unwrap_or(usize::MAX).min(piece.len());
            self.content_left -= passed as u64;
            piece = &piece[passed..];
            let taken = (BLOCK - self.header.len()).min(piece.len());
            self.header.extend_from_slice(&piece[..taken]);
            piece = &piece[taken..];
            if self.header.len() == BLOCK {
                self.end_of_header()?;
            }
        }
        Ok(())
    }

    fn end_of_header(&mut self) -> Result<(), EngineError> {
        let header = Header::from_byte_slice(&self.header);
        // Who reads the tar judges a header that is none; what follows it counts as bytes alone.
        let size = header.entry_size().unwrap_or(u64::MAX - BLOCK as u64);
        let is_member = !matches!(
            header.entry_type(),
            EntryType::XHeader | EntryType::XGlobalHeader | EntryType::GNULongName | EntryType::GNULongLink
        );
        if is_member && header.as_bytes().iter().any(|byte| *byte != 0) {
            self.members += 1;
        }
        self.content_left = size.saturating_add(BLOCK as u64 - 1) / BLOCK as u64 * BLOCK as u64;
        self.header.clear();
        if self.members > self.limits.output_files {
            return Err(EngineError::TooManyFiles {
                name: self.run.to_owned(),
                limit: self.limits.output_files,
            });
        }
        Ok(())
    }
}

/// That something of a run's outputs has more bytes than all of them may have.
#[must_use]
pub(crate) fn too_large(run: &str, what: &str, limits: &Limits) -> EngineError {
    EngineError::OutputTooLarge { name: run.to_owned(), what: what.to_owned(), limit: limits.output_bytes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{self, Read as _};
    use std::time::Duration;

    fn limits(output_bytes: u64, output_files: u64) -> Limits {
        Limits {
            memory_bytes: 1 << 30,
            scratch_bytes: None,
            descriptors: None,
            pids: 1,
            cpus: None,
            output_bytes,
            output_files,
            deadline: Duration::from_secs(1),
        }
    }

    /// A tar of two files, one with a name that needs a header of its own, and what is measured of it piece by piece.
    fn measured(limits: &Limits, piece: usize) -> Result<u64, EngineError> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, size) in [("a".to_owned(), 0), ("b/".repeat(80) + "c", 1_300)] {
            let mut header = Header::new_gnu();
            header.set_size(size);
            archive.append_data(&mut header, name, io::repeat(0xff).take(size)).unwrap();
        }
        let bytes = archive.into_inner().unwrap();
        let mut measured = Measured::new("x", limits);
        for _ in 0..2 {
            measured.begin();
            for piece in bytes.chunks(piece) {
                measured.count("output /out", piece)?;
            }
        }
        Ok(measured.members)
    }

    #[test]
    fn files_are_counted_however_their_tar_is_cut() {
        for piece in [1, 511, 512, 513, 1 << 20] {
            assert_eq!(measured(&limits(1 << 20, 4), piece).unwrap(), 4, "{piece}");
            assert!(
                matches!(
                    measured(&limits(1 << 20, 3), piece),
                    Err(EngineError::TooManyFiles { limit: 3, .. })
                ),
                "{piece}"
            );
        }
    }

    #[test]
    fn all_bytes_of_all_outputs_count() {
        let of_one = 512 * (1 + 1 + 1 + 1 + 3 + 2);
        assert!(measured(&limits(2 * of_one, 4), 100).is_ok());
        assert!(matches!(measured(&limits(2 * of_one - 1, 4), 100), Err(EngineError::OutputTooLarge { .. })));
    }
}
