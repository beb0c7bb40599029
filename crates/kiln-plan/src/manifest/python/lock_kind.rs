//! Formats of dependency locks.

/// The format of a dependency lock, told by its file name as the tools that write it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// `poetry.lock`, with `pyproject.toml`.
    Poetry,
    /// `uv.lock`, with `pyproject.toml`.
    Uv,
    /// `Pipfile.lock`, with `Pipfile`.
    Pipfile,
    /// `pylock.toml` or `pylock.<name>.toml` (PEP 751).
    Pylock,
    /// Any other name: a requirements file with hashes.
    Requirements,
}

impl LockKind {
    /// The format of a lock with this path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let name = path.rsplit('/').next().unwrap_or(path);
        match name {
            "poetry.lock" => Self::Poetry,
            "uv.lock" => Self::Uv,
            "Pipfile.lock" => Self::Pipfile,
            _ if name.starts_with("pylock.") && name.ends_with(".toml") => Self::Pylock,
            _ => Self::Requirements,
        }
    }
}
