//! Where a lock says that the files of a distribution are, if that is not for an index to say: one wheel on a
//! server, a wheel in the workspace, or a project in the workspace.

use crate::input::{Unfollowed, file_name_of, included_path, without_credentials};

/// A place that a lock names in place of an index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FilePlace {
    /// A wheel on a server: its URL, without login and fragment.
    Url(String),
    /// A wheel in the workspace: its path, relative to the workspace.
    File(String),
    /// A project in a folder of the workspace: its path, relative to the workspace.
    Folder(String),
    /// Somewhere that nothing is taken from.
    Refused {
        /// As the lock has it, without credentials.
        text: String,
        /// Why: a lower-case fragment.
        reason: String,
    },
}

impl FilePlace {
    /// What a reference in a lock means: a URL, or a path relative to the lock's folder. `lock_file` is the
    /// lock's own path, relative to the workspace.
    pub(crate) fn of(lock_file: &str, reference: &str) -> Self {
        let reference = reference.trim();
        let bare = reference.split('#').next().unwrap_or(reference);
        let refused =
            |reason: &str| Self::Refused { text: without_credentials(bare), reason: reason.to_owned() };
        let path = match bare.strip_prefix("file:") {
            Some(path) if path.starts_with("//") => {
                return refused("it is an absolute path, which is another file on another machine");
            }
            Some(path) => path,
            None if bare.contains("://") => {
                let is_wheel = file_name_of(bare).is_some_and(|name| name.ends_with(".whl"));
                return match bare.split_once("://") {
                    Some(("https" | "http", _)) if is_wheel => Self::Url(without_credentials(bare)),
                    Some(("https" | "http", _)) => {
                        refused("it is not a wheel, and kiln builds nothing from a URL")
                    }
                    _ => refused("kiln takes files from https and http alone"),
                };
            }
            None => bare,
        };
        if path.contains('\\') {
            return refused("it has a `\\`, and paths are written with `/`");
        }
        match included_path(lock_file, path) {
            // Of a lock at the top of the workspace it is the project that the lock belongs to.
            Ok(path) if path.is_empty() && lock_file.contains('/') => refused("it is the workspace itself"),
            Ok(path) if path.ends_with(".whl") => Self::File(path),
            Ok(path)
                if [".tar.gz", ".zip", ".tar.bz2", ".tgz"].iter().any(|ending| path.ends_with(ending)) =>
            {
                refused("it is a source distribution, and kiln builds nothing from a path")
            }
            Ok(path) => Self::Folder(path),
            Err(Unfollowed::Outside) => refused("it leads out of the workspace"),
            Err(other) => refused(&other.to_string()),
        }
    }

    /// The name of the file that it is, where it is one.
    #[must_use]
    pub fn file_name(&self) -> Option<String> {
        match self {
            Self::Url(place) | Self::File(place) => file_name_of(place),
            Self::Folder(_) | Self::Refused { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_places_in_the_workspace() {
        let place = |reference: &str| FilePlace::of("functions/app/requirements.txt", reference);
        let wheel = "a-1.0-py3-none-any.whl";
        assert_eq!(
            place(&format!("https://u:p@x.example/d/{wheel}?token=1#sha256=00&egg=a")),
            FilePlace::Url(format!("https://x.example/d/{wheel}?token=1"))
        );
        assert_eq!(
            place(&format!("./wheels/{wheel}")),
            FilePlace::File(format!("functions/app/wheels/{wheel}"))
        );
        assert_eq!(place("../../libs/own/"), FilePlace::Folder("libs/own".to_owned()));
        assert_eq!(place("file:../own"), FilePlace::Folder("functions/own".to_owned()));
        assert_eq!(FilePlace::of("Pipfile.lock", "."), FilePlace::Folder(String::new()));
        for (reference, part) in [
            ("../../../own", "out of the workspace"),
            ("../..", "workspace itself"),
            ("/srv/own", "absolute path"),
            ("file:///srv/own", "absolute path"),
            ("git+https://u:p@x.example/a.whl", "https and http"),
            ("https://u:p@x.example/a-1.0.tar.gz", "not a wheel"),
            ("a-1.0.tar.gz", "source distribution"),
            ("own\\a", "`\\`"),
        ] {
            let FilePlace::Refused { text, reason } = place(reference) else {
                panic!("{reference} is refused")
            };
            assert!(reason.contains(part) && !text.contains("u:p"), "{reference}: {text} {reason}");
        }
    }
}
