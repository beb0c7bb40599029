//! Paths inside a container.

use kiln_record::excerpt;
use std::fmt;
use std::str::FromStr;

/// An absolute path inside a container: not the root itself, without empty, `.` or `..` components, control
/// characters, colons or commas (both separate options in engine requests). Never a path of this host.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestPath(String);

/// Why a text is not a guest path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path inside a container: {reason}")]
pub struct GuestPathError {
    /// The text as given, control characters escaped.
    pub path: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl GuestPath {
    /// Checks a path. One trailing slash is dropped.
    ///
    /// # Errors
    /// [`GuestPathError`] if it is not absolute, is the root, or could mean something else to the engine.
    pub fn new(text: &str) -> Result<Self, GuestPathError> {
        let error = |reason| Err(GuestPathError { path: excerpt(text), reason });
        let Some(rest) = text.strip_prefix('/') else {
            return error("it is not absolute");
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return error("the root cannot be replaced");
        }
        if text.len() > 1024 {
            return error("it is longer than 1024 bytes");
        }
        if rest.chars().any(|c| c.is_control() || matches!(c, ':' | ',' | '\\')) {
            return error("it holds a control character, colon, comma or backslash");
        }
        if rest.split('/').any(|component| matches!(component, "" | "." | "..")) {
            return error("it has an empty, `.` or `..` component");
        }
        Ok(Self(format!("/{rest}")))
    }

    /// The path as text, with its leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without its leading slash: its name in an archive of the root.
    #[must_use]
    pub fn below_root(&self) -> &str {
        &self.0[1..]
    }

    /// Whether this path is `other` or lies below it.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.strip_prefix(other.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for GuestPath {
    type Err = GuestPathError;

    fn from_str(text: &str) -> Result<Self, GuestPathError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_absolute_paths() {
        for bad in ["", "/", "//", "a", "/a/../b", "/a//b", "/./a", "/a:b", "/a,b", "/a\nb", "/..", "/a//"] {
            assert!(GuestPath::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(GuestPath::new("/var/task/").unwrap().as_str(), "/var/task");
        assert_eq!(GuestPath::new("/var/task").unwrap().below_root(), "var/task");
    }

    #[test]
    fn within_is_by_component() {
        let path = |text| GuestPath::new(text).unwrap();
        assert!(path("/a/b").is_within(&path("/a")));
        assert!(path("/a").is_within(&path("/a")));
        assert!(!path("/ab").is_within(&path("/a")));
    }
}
