//! Why a bundle cannot be made or used.

use kiln_image::ImageError;
use kiln_record::{Advice, Defect, Digest, FormatVersion, RunError, exit};
use kiln_store::StoreError;

/// Why a bundle cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is something else.
    #[error("it is no bundle of kiln: {why}")]
    Foreign {
        /// What shows that.
        why: String,
    },
    /// It ends too early, or lacks files that it names.
    #[error("it is not whole: {why}")]
    Partial {
        /// What is missing.
        why: String,
    },
    /// A file in it is not what its name says.
    #[error("{what} in it is not {expected}: its bytes have the digest {found}")]
    Altered {
        /// Which file.
        what: String,
        /// What it should be.
        expected: Digest,
        /// What it is.
        found: Digest,
    },
    /// It is another one than the one that is asked for.
    #[error("it is the bundle {found}, and {expected} is asked for")]
    Other {
        /// The digest that was given.
        expected: Digest,
        /// The digest of this one.
        found: Digest,
    },
    /// A later kiln made it.
    #[error("its format is {found}, and this kiln knows {known}")]
    Later {
        /// The format.
        found: FormatVersion,
        /// The newest that is known here.
        known: FormatVersion,
    },
    /// It chooses something that no bundle may choose.
    #[error("it has a remembered `{kind}`, which a bundle does not carry")]
    Kind {
        /// The kind.
        kind: String,
    },
    /// Its documents.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Files.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What cannot be.
    #[error(transparent)]
    Defect(#[from] Defect),
}

impl RunError for BundleError {
    fn advice(&self) -> Advice<'_> {
        let refused = Advice::exit(exit::FETCH_FAILED);
        match self {
            Self::Foreign { .. } | Self::Image(_) => {
                refused.hint("a bundle is what kiln bundle create writes; nothing was taken from this file")
            }
            Self::Partial { .. } => {
                refused.hint("copy it again, and compare the digest that kiln bundle create printed; nothing was taken from it")
            }
            Self::Altered { .. } | Self::Other { .. } | Self::Kind { .. } => refused
                .hint("it was damaged or changed on its way: nothing was taken from it; get it again, and find out how that came about"),
            Self::Later { .. } => refused.hint("use the kiln that made it: the file `kiln` in it is that program"),
            Self::Store(error) => Advice::of(error),
            Self::Io(error) => Advice::of(error),
            Self::Defect(error) => Advice::of(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let digest = Digest::of(b"");
        let rows: Vec<(BundleError, kiln_record::Exit, usize)> = vec![
            (BundleError::Foreign { why: "x".to_owned() }, exit::FETCH_FAILED, 1),
            (BundleError::Partial { why: "x".to_owned() }, exit::FETCH_FAILED, 1),
            (
                BundleError::Altered { what: "x".to_owned(), expected: digest, found: digest },
                exit::FETCH_FAILED,
                1,
            ),
            (BundleError::Other { expected: digest, found: digest }, exit::FETCH_FAILED, 1),
            (BundleError::Kind { kind: "x".to_owned() }, exit::FETCH_FAILED, 1),
            (
                BundleError::Later {
                    found: FormatVersion { major: 2, minor: 0 },
                    known: FormatVersion { major: 1, minor: 0 },
                },
                exit::FETCH_FAILED,
                1,
            ),
            (std::io::Error::from(std::io::ErrorKind::StorageFull).into(), exit::STORE_FAILURE, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
