//! Paths that a user writes in a file of the workspace.

use kiln_record::excerpt;

/// A path relative to a folder of the workspace, as a path relative to the workspace's root, with `.` and
/// `..` resolved. It stays inside the workspace, so that no host path reaches an output.
///
/// # Errors
/// What is wrong with it, as a clause.
pub(crate) fn in_workspace(folder: &str, text: &str) -> Result<String, String> {
    let path = resolved(folder, text)?;
    if path.is_empty() || path == folder {
        return Err(format!(
            "`{text}` names {}, which holds what is not part of one artifact",
            if path.is_empty() { "the workspace itself" } else { folder }
        ));
    }
    Ok(path)
}

/// The same for a path that may also name the folder, or the workspace itself, which is the empty path.
///
/// # Errors
/// What is wrong with it, as a clause.
pub(crate) fn resolved(folder: &str, text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('/') || text.contains('\\') || text.chars().any(char::is_control) {
        return Err(format!("`{}` is not a relative path with `/` between its parts", excerpt(text)));
    }
    let mut parts: Vec<&str> = vec![folder];
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_some() => {}
            ".." => return Err(format!("`{text}` leads out of the workspace")),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::{in_workspace, resolved};

    #[test]
    fn paths_stay_in_the_workspace() {
        assert_eq!(in_workspace("manifests", "app/src").unwrap(), "manifests/app/src");
        assert_eq!(in_workspace("manifests", "./app//src/").unwrap(), "manifests/app/src");
        assert_eq!(in_workspace("manifests", "../functions/app").unwrap(), "functions/app");
        for bad in ["", ".", "/etc", "..", "../..", "../../x", "a/../../..", "a\\b", "../manifests", "a\nb"] {
            assert!(in_workspace("manifests", bad).is_err(), "{bad:?}");
        }
        assert_eq!(resolved("manifests", "..").unwrap(), "");
        assert_eq!(resolved("manifests", ".").unwrap(), "manifests");
        assert!(resolved("manifests", "../..").is_err() && resolved("manifests", "").is_err());
    }
}
