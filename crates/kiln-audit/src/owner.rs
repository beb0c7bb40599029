//! Who brought a native file, as messages name it: a distribution with its version, `numpy 2.2.6`, or the application alone.

/// The name of whoever it is.
pub(crate) fn name_of(owner: &str) -> &str {
    owner.split(' ').next().unwrap_or(owner)
}

/// What to do about a file: `wheel` for a distribution's, which another wheel may bring otherwise, and `own` for the
/// application's, which has none.
pub(crate) fn way(owner: &str, wheel: impl FnOnce(&str) -> String, own: impl Into<String>) -> String {
    match owner.contains(' ') {
        true => wheel(name_of(owner)),
        false => own.into(),
    }
}
