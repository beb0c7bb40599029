//! A Dockerfile as it is written for an engine: an instruction a line, and nothing else.

use kiln_record::BaseName;

/// The longest line, in bytes: builders read 64 KiB of one (`bufio.MaxScanTokenSize`).
pub(super) const LONGEST: usize = 65_000;

/// An instruction, in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// An image by the name that the engine has it by.
    Base(BaseName),
}

impl Written {
    /// An instruction of which no part is an image.
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self(vec![Piece::Text(text.into())])
    }

    /// Goes on with words.
    pub(super) fn push(&mut self, text: impl Into<String>) {
        self.0.push(Piece::Text(text.into()));
    }

    /// Goes on with an image.
    pub(super) fn push_base(&mut self, base: BaseName) {
        self.0.push(Piece::Base(base));
    }

    /// The line, with images as `name` calls them.
    pub(super) fn line(&self, name: impl Fn(&BaseName) -> String) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Base(base) => name(base),
        });
        pieces.collect()
    }

    /// How long it is without the images that it names, in bytes.
    pub(super) fn length(&self) -> usize {
        self.line(|_| String::new()).len()
    }
}
