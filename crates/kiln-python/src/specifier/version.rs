//! Versions, as locks and file names write them.

use pep440_rs::Version;
use std::str::FromStr;

/// Whether two versions are one by PEP 440; texts that are no versions are compared as they are.
pub(crate) fn same_version(a: &str, b: &str) -> bool {
    match (Version::from_str(a), Version::from_str(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
