//! Where downloaded bytes go.

use std::io::{self, Seek as _, SeekFrom, Write};

/// A writer that can begin again, because an attempt that broke off may have written a part.
pub trait Sink: Write + Send {
    /// Forgets everything written so far. Called at the beginning of every attempt, the first included.
    ///
    /// # Errors
    /// Whatever prevents it, such as a full disk.
    fn restart(&mut self) -> io::Result<()>;
}

impl Sink for Vec<u8> {
    fn restart(&mut self) -> io::Result<()> {
        self.clear();
        Ok(())
    }
}

impl Sink for std::fs::File {
    fn restart(&mut self) -> io::Result<()> {
        self.set_len(0)?;
        self.seek(SeekFrom::Start(0)).map(drop)
    }
}

/// A sink that opens a new writer for every attempt, for writers that cannot go back (a store's blob writer).
#[derive(Debug)]
pub struct Reopened<W, F> {
    open: F,
    current: Option<W>,
}

impl<W, F: FnMut() -> io::Result<W>> Reopened<W, F> {
    /// Takes the function that opens a writer. It is first called when a download begins.
    pub fn new(open: F) -> Self {
        Self { open, current: None }
    }

    /// The writer of the last attempt; `None` if none began.
    pub fn into_inner(self) -> Option<W> {
        self.current
    }
}

impl<W: Write, F: FnMut() -> io::Result<W>> Write for Reopened<W, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.current {
            Some(writer) => writer.write(bytes),
            None => Err(io::Error::other("nothing is open")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.current.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<W: Write + Send, F: FnMut() -> io::Result<W> + Send> Sink for Reopened<W, F> {
    fn restart(&mut self) -> io::Result<()> {
        // The old writer goes first: two open at once could exceed a limit on temporary files.
        self.current = None;
        self.current = Some((self.open)()?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarting_forgets() {
        let mut bytes = Vec::new();
        bytes.write_all(b"partial").unwrap();
        bytes.restart().unwrap();
        assert_eq!(bytes, b"");

        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"partial").unwrap();
        file.restart().unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1);

        let mut opened = 0;
        let mut sink = Reopened::new(|| {
            opened += 1;
            Ok(Vec::new())
        });
        assert!(sink.write_all(b"early").is_err());
        sink.restart().unwrap();
        sink.write_all(b"a").unwrap();
        sink.restart().unwrap();
        sink.write_all(b"b").unwrap();
        assert_eq!(sink.into_inner().unwrap(), b"b");
        assert_eq!(opened, 2);
    }
}
