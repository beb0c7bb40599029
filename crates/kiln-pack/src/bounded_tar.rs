//! Tars of anybody's, read with the `tar` crate, which keeps what extension headers say however long it is: a layer of a megabyte
//! can name a file in a gigabyte.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;
use tar::{Archive, Entries, Entry, EntryType};

/// The most that the headers before one entry may have in bytes, their extensions included. A path has 4,096, and the
/// attributes of a file 64 KiB on most file systems.
const MAX_HEADERS: u64 = 1 << 20;

/// How far a tar may be read.
#[derive(Clone, Debug, Default)]
struct Bound {
    at: Rc<Cell<u64>>,
    end: Rc<Cell<u64>>,
}

/// The reader below a [`BoundedTar`], which reads no further than content and headers of one entry.
#[derive(Debug)]
pub struct BoundedReader<R> {
    inner: R,
    bound: Bound,
}

impl<R: Read> Read for BoundedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (at, end) = (self.bound.at.get(), self.bound.end.get());
        let most = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 && !buffer.is_empty() {
            let reason = format!("the headers before an entry have more than {MAX_HEADERS} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        let read = self.inner.read(&mut buffer[..most])?;
        self.bound.at.set(at.saturating_add(read as u64));
        Ok(read)
    }
}

impl<R: Seek> Seek for BoundedReader<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = self.inner.seek(to)?;
        self.bound.at.set(at);
        Ok(at)
    }
}

/// A tar whose entries have headers of a bounded length. The reader must be at its start.
pub struct BoundedTar<R: Read> {
    archive: Archive<BoundedReader<R>>,
    bound: Bound,
}

impl<R: Read> BoundedTar<R> {
    /// A tar.
    pub fn new(reader: R) -> Self {
        let bound = Bound::default();
        bound.end.set(MAX_HEADERS);
        Self { archive: Archive::new(BoundedReader { inner: reader, bound: bound.clone() }), bound }
    }

    /// Its entries, in order.
    ///
    /// # Errors
    /// If it was read before.
    pub fn entries(&mut self) -> io::Result<BoundedEntries<'_, R>> {
        Ok(BoundedEntries { entries: self.archive.entries()?, bound: self.bound.clone() })
    }
}

impl<R: Read + Seek> BoundedTar<R> {
    /// Its entries, in order, whose content is passed over without reading it.
    ///
    /// # Errors
    /// If it was read before.
    pub fn entries_with_seek(&mut self) -> io::Result<BoundedEntries<'_, R>> {
        Ok(BoundedEntries { entries: self.archive.entries_with_seek()?, bound: self.bound.clone() })
    }
}

/// The entries of a [`BoundedTar`].
pub struct BoundedEntries<'a, R: Read> {
    entries: Entries<'a, BoundedReader<R>>,
    bound: Bound,
}

impl<'a, R: Read> Iterator for BoundedEntries<'a, R> {
    type Item = io::Result<Entry<'a, BoundedReader<R>>>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.entries.next()?;
        Some(entry.and_then(|entry| {
            // A sparse file is shorter in the tar than it is.
            let kept = match entry.header().entry_type() {
                EntryType::GNUSparse => entry.header().entry_size()?,
                _ => entry.size(),
            };
            self.bound.end.set(self.bound.at.get().saturating_add(kept).saturating_add(MAX_HEADERS));
            Ok(entry)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// A tar of two files, of which the second one has a long name in an extension header of GNU or of pax.
    fn tar(kind: EntryType, name: usize) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut put = |kind: EntryType, path: &str, content: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, content).unwrap();
        };
        put(EntryType::Regular, "large", &vec![7; 3 << 20]);
        let long = "a".repeat(name);
        let record = if kind == EntryType::XHeader {
            let rest = format!(" path={long}\n");
            let length = (1..).find(|n: &usize| n.to_string().len() + rest.len() == *n);
            format!("{}{rest}", length.unwrap_or_default())
        } else {
            long
        };
        put(kind, "extension", record.as_bytes());
        put(EntryType::Regular, "short", b"x");
        builder.into_inner().unwrap()
    }

    fn paths<R: Read>(entries: BoundedEntries<'_, R>) -> io::Result<Vec<usize>> {
        entries.map(|entry| Ok(entry?.path_bytes().len())).collect()
    }

    #[test]
    fn headers_are_bounded_and_content_is_not() {
        for kind in [EntryType::GNULongName, EntryType::XHeader] {
            let good = tar(kind, 1000);
            assert_eq!(paths(BoundedTar::new(good.as_slice()).entries().unwrap()).unwrap(), [5, 1000]);
            let seek = paths(BoundedTar::new(Cursor::new(&good)).entries_with_seek().unwrap()).unwrap();
            assert_eq!(seek, [5, 1000]);
            let bad = tar(kind, 2 << 20);
            for found in [
                paths(BoundedTar::new(bad.as_slice()).entries().unwrap()),
                paths(BoundedTar::new(Cursor::new(&bad)).entries_with_seek().unwrap()),
            ] {
                let error = found.unwrap_err().to_string();
                assert!(error.contains("the headers before an entry"), "{error}");
            }
        }
    }

    #[test]
    fn content_is_read_or_passed_over() {
        let bytes = tar(EntryType::GNULongName, 300);
        let mut archive = BoundedTar::new(bytes.as_slice());
        let mut sizes = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut content = Vec::new();
            entry.unwrap().read_to_end(&mut content).unwrap();
            sizes.push(content.len());
        }
        assert_eq!(sizes, [3 << 20, 1]);
    }
}
