//! What of a package is not unpacked, and where the rest goes: the documented rules of a Debian base.

use kiln_record::TreePath;

/// One rule for what is left out, with its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// The folder, below the root, that is left out with everything in it.
    pub folder: &'static str,
    /// Why nothing in a base needs it.
    pub reason: &'static str,
}

/// Folders that no base needs. Licences stay: of `/usr/share/doc`, every `copyright` file is kept.
pub const LEFT_OUT: &[LeftOut] = &[
    LeftOut { folder: "usr/share/bug", reason: "templates for bug reports" },
    LeftOut { folder: "usr/share/doc", reason: "documentation other than copyright files" },
    LeftOut { folder: "usr/share/doc-base", reason: "an index of documentation that is not there" },
    LeftOut { folder: "usr/share/info", reason: "documentation" },
    LeftOut { folder: "usr/share/lintian", reason: "notes for package checkers" },
    LeftOut { folder: "usr/share/locale", reason: "translations; the locale of a build is C.UTF-8" },
    LeftOut { folder: "usr/share/man", reason: "documentation" },
    LeftOut { folder: "var/cache", reason: "caches differ from machine to machine" },
    LeftOut { folder: "var/log", reason: "logs hold times; the folder itself is made empty" },
];

/// Folders at the root that are links into `/usr` on every Debian since bookworm.
pub(crate) const MERGED: [&str; 6] = ["bin", "lib", "lib32", "lib64", "libx32", "sbin"];

/// Whether the rules leave a path out: it lies in a folder of [`LEFT_OUT`], or is Python bytecode, which differs with
/// the time of its source and is made again by whoever needs it.
#[must_use]
pub fn is_left_out(path: &TreePath) -> bool {
    let text = path.as_str();
    if text.split('/').any(|component| component == "__pycache__") {
        return true;
    }
    // `usr/share/doc/PACKAGE/copyright`, and a link `usr/share/doc/PACKAGE` to the folder of another package, which
    // cannot be told from a folder here; an empty folder harms nobody.
    if let Some(rest) = text.strip_prefix("usr/share/doc/") {
        let inner = rest.split_once('/').map_or("copyright", |(_, inner)| inner);
        return inner != "copyright";
    }
    text != "usr/share/doc" && LEFT_OUT.iter().any(|rule| path.is_within(rule.folder))
}

/// Where a path of a package goes: `lib/x` to `usr/lib/x`, everything else stays.
pub(crate) fn placed(path: &TreePath) -> Result<TreePath, String> {
    let first = path.as_str().split('/').next().unwrap_or_default();
    if MERGED.contains(&first) {
        return path.below("usr").map_err(|error| error.to_string());
    }
    Ok(path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out() {
        let out = |text: &str| is_left_out(&TreePath::new(text).unwrap());
        for text in [
            "usr/share/man/man1/x.1.gz",
            "usr/share/doc/x/changelog.gz",
            "usr/share/doc/x/examples/copyright",
            "usr/lib/python3/__pycache__/x.pyc",
            "var/cache/ldconfig/aux-cache",
        ] {
            assert!(out(text), "{text}");
        }
        for text in [
            "usr/share/doc/x/copyright",
            "usr/share/doc/x",
            "usr/share/manuals",
            "usr/bin/man",
            "usr/share/doc",
        ] {
            assert!(!out(text), "{text}");
        }
    }

    #[test]
    fn merged_usr() {
        let placed = |text: &str| placed(&TreePath::new(text).unwrap()).unwrap().to_string();
        assert_eq!(placed("lib/x86_64-linux-gnu/libc.so.6"), "usr/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(placed("bin"), "usr/bin");
        assert_eq!(placed("libexec/x"), "libexec/x");
        assert_eq!(placed("usr/lib/x"), "usr/lib/x");
    }
}
