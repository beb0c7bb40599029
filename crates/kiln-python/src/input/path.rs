//! Paths by which a file refers to another (pip documentation, "requirements file format").

use std::fmt;

/// The path that `reference` in the file `including` means, as a path of the same kind: pip takes it relative
/// to the folder of the file that includes it.
///
/// # Errors
/// Why the reference cannot be followed.
pub(crate) fn included_path(including: &str, reference: &str) -> Result<String, Unfollowed> {
    if reference.is_empty() {
        return Err(Unfollowed::Empty);
    }
    if reference.contains("://") || reference.starts_with("file:") {
        return Err(Unfollowed::Url);
    }
    if reference.starts_with('/') {
        return Err(Unfollowed::Absolute);
    }
    let mut parts: Vec<&str> = including.split('/').collect();
    parts.pop();
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(Unfollowed::Outside);
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// Why a reference leads to no file of the source tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfollowed {
    Empty,
    Url,
    Absolute,
    Outside,
}

impl fmt::Display for Unfollowed {
    /// A lower-case fragment.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it names no file",
            Self::Url => "it is a URL, which nothing pins",
            Self::Absolute => "it is an absolute path, which is another file on another machine",
            Self::Outside => "it leaves the source tree",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_including_file() {
        for (including, reference, expect) in [
            ("requirements.txt", "base.txt", Some("base.txt")),
            ("a/b/requirements.txt", "base.txt", Some("a/b/base.txt")),
            ("a/b/requirements.txt", "../c/./d.txt", Some("a/c/d.txt")),
            ("a/r.txt", "../../d.txt", None),
            ("r.txt", "../d.txt", None),
            ("r.txt", "/etc/passwd", None),
            ("r.txt", "https://example.org/r.txt", None),
            ("r.txt", "file:r.txt", None),
            ("r.txt", "", None),
        ] {
            assert_eq!(
                included_path(including, reference).ok().as_deref(),
                expect,
                "{including} {reference}"
            );
        }
    }
}
