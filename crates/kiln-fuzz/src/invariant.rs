//! What a target says when something does not hold.

use std::fmt::Debug;

/// The value of what cannot fail here, whatever the input is.
#[track_caller]
pub(crate) fn holds<T, E: Debug>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error:?}"),
    }
}
