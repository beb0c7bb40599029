//! What can go wrong, by what the reader can do about it.

use kiln_record::{Advice, Digest, RunError, TreePath, exit};
use std::io;

/// Why an archive index, a package or an image was refused.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The keyring file cannot be used.
    #[error("cannot use the keyring: {reason}")]
    Keyring {
        /// What is wrong with it.
        reason: String,
    },
    /// The document is not one cleartext-signed text and nothing else.
    #[error("not a cleartext-signed document: {reason}")]
    NotSigned {
        /// What is wrong, with the line where there is one.
        reason: String,
    },
    /// The document is signed, but by no key of the keyring that may be believed.
    #[error("no good signature by a key of the keyring: {}", reasons.join("; "))]
    BadSignature {
        /// One reason for each signature of the document.
        reasons: Vec<String>,
    },
    /// A text from an archive does not follow its format.
    #[error("{what}, line {line}: {reason}")]
    Malformed {
        /// Which text: `Release`, `Packages`, the control file of a package.
        what: String,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Compressed or archived data holds more than it may.
    #[error("{what} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// What was read.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// A dependency cannot be met from the index.
    #[error("cannot resolve {chain}: {reason}")]
    Unresolved {
        /// The way from a wanted package to the dependency: `python3.11 -> libfoo (>= 2)`.
        chain: String,
        /// Why nothing satisfies it.
        reason: String,
    },
    /// A package file is damaged or hostile.
    #[error("cannot unpack {package}: {reason}")]
    Package {
        /// The package's name and version.
        package: String,
        /// What is wrong.
        reason: String,
    },
    /// A package file is not the one that is locked.
    #[error(
        "{package} is not the locked file: expected {expected} ({expected_size} bytes), found {found} ({found_size} bytes)"
    )]
    PackageDigest {
        /// The package's name and version.
        package: String,
        /// The locked digest.
        expected: Digest,
        /// The locked size in bytes.
        expected_size: u64,
        /// The digest of what was read.
        found: Digest,
        /// The number of bytes read; reading stops one byte after the locked size.
        found_size: u64,
    },
    /// Two packages ship one path with different content.
    #[error(
        "`/{path}` is in {first} and in {second} with different content: exclude one of the two packages"
    )]
    Collision {
        /// The path in the root file system.
        path: TreePath,
        /// The package that is first by name.
        first: String,
        /// The other package.
        second: String,
    },
    /// Not a usable image reference.
    #[error("`{text}` is not an image reference: {reason}")]
    Reference {
        /// The reference as written.
        text: String,
        /// What is wrong with it, and what to write instead.
        reason: String,
    },
    /// A document of a registry is not what it should be.
    #[error("not a usable {what}: {reason}")]
    Document {
        /// What it should be: a manifest, a list of referrers.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An image cannot be assembled from its parts.
    #[error("cannot assemble the image: {reason}")]
    Image {
        /// What is wrong.
        reason: String,
    },
    /// Reading or writing failed.
    #[error("cannot {action}")]
    Io {
        /// What was being done, such as `write the layer`.
        action: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl ImageError {
    /// Wraps an I/O error with what was being done.
    pub(crate) fn io(action: &str) -> impl FnOnce(io::Error) -> Self {
        let action = action.to_owned();
        move |source| Self::Io { action, source }
    }
}

impl RunError for ImageError {
    fn advice(&self) -> Advice<'_> {
        match self {
            // What an archive or a registry served.
            Self::NotSigned { .. }
            | Self::BadSignature { .. }
            | Self::Malformed { .. }
            | Self::TooLarge { .. }
            | Self::Package { .. }
            | Self::PackageDigest { .. }
            | Self::Document { .. } => Advice::exit(exit::FETCH_FAILED),
            // What a base is defined as, or what its image holds.
            Self::Keyring { .. }
            | Self::Unresolved { .. }
            | Self::Collision { .. }
            | Self::Reference { .. }
            | Self::Image { .. } => Advice::exit(exit::INPUT_INVALID),
            Self::Io { source, .. } => Advice::of(source),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(ImageError, kiln_record::Exit, usize)> = vec![
            (ImageError::BadSignature { reasons: Vec::new() }, exit::FETCH_FAILED, 0),
            (ImageError::Document { what: "x".to_owned(), reason: "x".to_owned() }, exit::FETCH_FAILED, 0),
            (ImageError::Image { reason: "x".to_owned() }, exit::INPUT_INVALID, 0),
            (ImageError::Reference { text: "x".to_owned(), reason: "x".to_owned() }, exit::INPUT_INVALID, 0),
            (ImageError::io("write")(io::ErrorKind::StorageFull.into()), exit::STORE_FAILURE, 0),
            (ImageError::io("read")(io::ErrorKind::UnexpectedEof.into()), exit::INPUT_INVALID, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
