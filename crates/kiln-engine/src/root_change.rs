//! A program that changes its root: what lies over the image before, and who takes what became of it.

use std::fmt;
use std::io::{Read, Write};

/// The root of a program that may change it.
pub struct RootChange {
    /// A layer that is put over the image before the program starts, as an uncompressed tar.
    pub over: Option<Box<dyn Read + Send>>,
    /// Takes what the program changed, as a layer: an uncompressed tar of what is new or other, with whiteouts for what is gone.
    /// Entries belong to the program's user, whoever they belonged to before.
    pub to: Box<dyn Write + Send>,
    /// The most bytes of it.
    pub bytes: u64,
}

impl fmt::Debug for RootChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RootChange").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
