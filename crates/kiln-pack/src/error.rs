//! Why an archive cannot be written or is not accepted.

use kiln_record::{Advice, RunError, TreePath, TreePathError, exit};
use std::io;

/// A tree that has no archive, or an archive that is damaged, ambiguous, hostile or beyond its limits.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// Reading or writing the archive failed.
    #[error("could not read or write the archive: {0}")]
    Io(#[from] io::Error),
    /// An entry was added out of order.
    #[error("`{path}` was added after `{after}`, but entries must ascend by the bytes of their paths")]
    Order {
        /// The late entry.
        path: TreePath,
        /// The entry before it.
        after: TreePath,
    },
    /// One path appears twice.
    #[error("`{0}` appears twice")]
    Duplicate(TreePath),
    /// Two paths differ only in case.
    #[error("`{path}` and `{other}` differ only in case: on many file systems one would replace the other")]
    Case {
        /// The later path.
        path: TreePath,
        /// The earlier path.
        other: TreePath,
    },
    /// A path is a file or link, and also a folder of another path.
    #[error("`{file}` is a file or link, but `{below}` needs it to be a folder")]
    FileAsFolder {
        /// The file or link.
        file: TreePath,
        /// The path below it.
        below: TreePath,
    },
    /// Beyond what a zip can hold without the ZIP64 extension.
    #[error("at `{path}` the zip would hold more than {limit}, which needs the ZIP64 extension")]
    NeedsZip64 {
        /// The entry that does not fit.
        path: TreePath,
        /// What it exceeds.
        limit: &'static str,
    },
    /// Data handed in for an entry contradicts itself.
    #[error("`{0}` has a stored stream whose length is not the file's size")]
    Inconsistent(TreePath),
    /// A symbolic link points nowhere that an archive can express.
    #[error(
        "the link `{path}` has a target that is empty, longer than 4096 bytes or holds a control character"
    )]
    LinkTarget {
        /// The link.
        path: TreePath,
    },
    /// A member's name is not a path inside a tree.
    #[error("a member's name is not acceptable: {0}")]
    Name(#[from] TreePathError),
    /// The archive contradicts its format or itself. Ambiguous archives are refused, because two readers would unpack
    /// two different trees.
    #[error("{place}: {reason}")]
    Malformed {
        /// Where: a member's name or a part of the archive.
        place: String,
        /// What is wrong.
        reason: String,
    },
    /// A member uses something that kiln does not unpack.
    #[error("`{member}` {feature}, which is not supported")]
    Unsupported {
        /// The member's name.
        member: String,
        /// What it uses, after the name.
        feature: String,
    },
    /// The archive is larger, or would become larger, than the caller allows.
    #[error("{what}: {found} where at most {limit} are allowed")]
    Limit {
        /// What is too much.
        what: String,
        /// How much there is.
        found: u64,
        /// How much there may be.
        limit: u64,
    },
    /// Compressed data is not valid, or not what was announced.
    #[error("{place}: {reason}")]
    Content {
        /// The member's name, or `compressed data`.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

impl PackError {
    pub(crate) fn malformed(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Malformed { place: place.into(), reason: reason.into() }
    }

    pub(crate) fn content(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Content { place: place.into(), reason: reason.into() }
    }
}

impl RunError for PackError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::Io(error) => Advice::of(error),
            // Whoever writes an archive sees to these.
            Self::Order { .. } | Self::Inconsistent(_) => Advice::exit(exit::UNEXPECTED),
            Self::Duplicate(_)
            | Self::Case { .. }
            | Self::FileAsFolder { .. }
            | Self::NeedsZip64 { .. }
            | Self::LinkTarget { .. }
            | Self::Name(_)
            | Self::Malformed { .. }
            | Self::Unsupported { .. }
            | Self::Limit { .. }
            | Self::Content { .. } => Advice::exit(exit::INPUT_INVALID),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(PackError, kiln_record::Exit, usize)> = vec![
            (PackError::malformed("x", "y"), exit::INPUT_INVALID, 0),
            (PackError::Inconsistent(TreePath::new("x").unwrap()), exit::UNEXPECTED, 0),
            (
                PackError::Case { path: TreePath::new("x").unwrap(), other: TreePath::new("X").unwrap() },
                exit::INPUT_INVALID,
                0,
            ),
            (PackError::Io(io::ErrorKind::StorageFull.into()), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
