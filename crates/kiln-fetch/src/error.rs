//! Why something could not be fetched, by what the reader can do about it.

use kiln_record::{Advice, Digest, RunError, exit};
use std::io;

/// Why something could not be fetched. URLs are redacted: they hold neither user names, passwords nor queries.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// A setting is not usable: the reader corrects it where it is written.
    #[error("the setting {from} is not usable: {why}")]
    Setting {
        /// Where it is written: a variable, or a file with line and key.
        from: String,
        /// What is wrong with it.
        why: String,
    },
    /// pip or uv are told to use no index at all.
    #[error("{from} says that no package index is to be used")]
    NoIndex {
        /// Where that is written.
        from: String,
    },
    /// The network may not be used.
    #[error("{url} is needed, but the network is switched off")]
    Offline {
        /// What would have been fetched.
        url: String,
    },
    /// No complete answer came, after every attempt.
    #[error("{url} could not be reached in {attempts} attempt(s): {why}")]
    Unreachable {
        /// What was asked for.
        url: String,
        /// How many attempts were made.
        attempts: u32,
        /// The last problem.
        why: String,
    },
    /// The server's certificate is not signed by an authority that this host trusts, or is for another name.
    #[error("the certificate of {url} is not trusted: {why}")]
    Untrusted {
        /// What was asked for.
        url: String,
        /// What is wrong with the certificate.
        why: String,
    },
    /// The server has no such file.
    #[error("{url} does not exist")]
    NotFound {
        /// What was asked for.
        url: String,
    },
    /// The server wants other credentials, or none will do.
    #[error("access to {url} was refused: {why}")]
    Forbidden {
        /// What was asked for.
        url: String,
        /// The server's status.
        why: String,
    },
    /// The bytes are not those the lock names. Never retried: a server that changes its files is news.
    #[error("{file} from {url} has the digest {found}, not {expected}")]
    DigestMismatch {
        /// Where it came from.
        url: String,
        /// The file name.
        file: String,
        /// The digest that was known beforehand.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The length is not the one the lock names.
    #[error("{file} from {url} has {found} bytes, not {expected}")]
    SizeMismatch {
        /// Where it came from.
        url: String,
        /// The file name.
        file: String,
        /// The length that was known beforehand, in bytes.
        expected: u64,
        /// The length that the server states or sent; reading stops soon after it exceeds the expected one.
        found: u64,
    },
    /// The reply is longer than anything reasonable.
    #[error("{url} is larger than the limit of {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The reply is not what the protocol asks for.
    #[error("{url} sent a reply that cannot be used: {why}")]
    BadReply {
        /// What was asked for.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The index does not know the distribution.
    #[error("the index {index} (from {from}) has no distribution `{name}`")]
    NoSuchDistribution {
        /// The name asked for.
        name: String,
        /// The index.
        index: String,
        /// Where the index was set.
        from: String,
    },
    /// The index did not list a distribution's files; the source says why.
    #[error("the index set by {from} did not list the files of `{name}`")]
    Listing {
        /// The name asked for.
        name: String,
        /// Where the index was set.
        from: String,
        /// The underlying problem.
        source: Box<FetchError>,
    },
    /// A file of a Debian archive is gone from every place it could be: the lock has aged out.
    #[error("{file} is gone from {}", tried.join(" and from "))]
    PackageGone {
        /// The file's path in the archive.
        file: String,
        /// The archives that were asked.
        tried: Vec<String>,
    },
    /// A registry did not do what was asked of it.
    #[error("{repository}: cannot {action}: {why}")]
    Registry {
        /// Registry and repository.
        repository: String,
        /// What was asked.
        action: String,
        /// What it says.
        why: String,
        /// Whether it wants another login, or none will do.
        refused: bool,
    },
    /// git could not bring what was asked for.
    #[error("{url}: {why}")]
    Git {
        /// The repository.
        url: String,
        /// What git says, or what is wrong with what it brought.
        why: String,
    },
    /// A repository answers, and what was asked for is not in it or has no place in an artifact.
    #[error("{url}: {why}")]
    NotInRepository {
        /// The repository.
        url: String,
        /// What is not there, or what is.
        why: String,
    },
    /// What came could not be stored on this host.
    #[error("the content of {url} could not be written")]
    Sink {
        /// What was fetched.
        url: String,
        /// The write error.
        source: io::Error,
    },
}

impl FetchError {
    /// The problem underneath, for a reader that decides by kind: itself unless it is a [`FetchError::Listing`].
    #[must_use]
    pub fn root(&self) -> &Self {
        match self {
            Self::Listing { source, .. } => source.root(),
            other => other,
        }
    }
}

impl RunError for FetchError {
    fn advice(&self) -> Advice<'_> {
        match self {
            Self::NoSuchDistribution { .. } => Advice::exit(exit::FETCH_FAILED)
                .hint("correct the name where the lock's source has it, and lock again")
                .hint(
                    "or name the index that has it: index = \"https://…\" under [python] in kiln.toml, or [[index]] for some names",
                ),
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => Advice::exit(exit::FETCH_FAILED)
                .hint(
                    "the server sent other bytes than the lock names: a broken proxy, a mirror out of date, or an attack",
                )
                .hint("nothing was kept; find out which before going on"),
            // It came, and this host could not keep it.
            Self::Sink { source, .. } => Advice::of(source),
            Self::Setting { .. }
            | Self::NoIndex { .. }
            | Self::Offline { .. }
            | Self::Unreachable { .. }
            | Self::Untrusted { .. }
            | Self::NotFound { .. }
            | Self::Forbidden { .. }
            | Self::TooLarge { .. }
            | Self::BadReply { .. }
            | Self::Listing { .. }
            | Self::PackageGone { .. }
            | Self::Registry { .. }
            | Self::Git { .. }
            | Self::NotInRepository { .. } => Advice::exit(exit::FETCH_FAILED),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(FetchError, kiln_record::Exit, usize)> = vec![
            (FetchError::NotFound { url: "x".to_owned() }, exit::FETCH_FAILED, 0),
            (
                FetchError::NoSuchDistribution {
                    name: "x".to_owned(),
                    index: "x".to_owned(),
                    from: "x".to_owned(),
                },
                exit::FETCH_FAILED,
                2,
            ),
            (
                FetchError::SizeMismatch { url: "x".to_owned(), file: "x".to_owned(), expected: 1, found: 2 },
                exit::FETCH_FAILED,
                2,
            ),
            (
                FetchError::Sink { url: "x".to_owned(), source: io::ErrorKind::StorageFull.into() },
                exit::STORE_FAILURE,
                0,
            ),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
