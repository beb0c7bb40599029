//! Whether a condition of a lock holds, by the rules of the lock's format.

use crate::error::PythonError;
use crate::interpreter::{Asked, TargetEnvironment, Verdict};
use crate::lock::LockFormat;

/// Evaluates a marker of a lock as selecting does: extras and groups are sets in `uv.lock` and `pylock.toml`, and in the
/// other formats a marker holds if it does for any of the extras.
///
/// # Errors
/// As [`TargetEnvironment::evaluate`].
pub fn holds(
    environment: &TargetEnvironment,
    format: LockFormat,
    marker: &str,
    extras: &[String],
    groups: &[String],
) -> Result<Verdict, PythonError> {
    match format {
        LockFormat::Pylock | LockFormat::Uv => environment.evaluate_asked(marker, &Asked { extras, groups }),
        _ => environment.evaluate(marker, extras),
    }
}
