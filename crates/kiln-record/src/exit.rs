//! The exit codes of the `kiln` binary. They are part of its interface: a number never changes its meaning.

/// Everything asked for was done, and nothing denies it.
pub const SUCCESS: u8 = 0;
/// A defect in kiln itself; please report it.
pub const UNEXPECTED: u8 = 1;
/// The command line was not understood.
pub const USAGE: u8 = 2;
/// At least one finding has the level `deny`; nothing was published for the artifacts concerned.
pub const FINDINGS_DENIED: u8 = 10;
/// Two builds that should be equal are not, a file is not the one its record describes, or a lock is not the one that
/// locking would write.
pub const NOT_REPRODUCIBLE: u8 = 11;
/// A comparison found something that `--fail-on` names.
pub const DIFFERENCE_DENIED: u8 = 12;
/// A step in a container failed.
pub const BUILD_STEP_FAILED: u8 = 20;
/// The container engine cannot be reached, or refused a request.
pub const ENGINE_UNAVAILABLE: u8 = 21;
/// A download failed, or brought other bytes than the lock names.
pub const FETCH_FAILED: u8 = 22;
/// A manifest, lock, base definition or other input is missing or wrong.
pub const INPUT_INVALID: u8 = 30;
/// The store, the ledger or the output folder could not be read or written.
pub const STORE_FAILURE: u8 = 40;
/// Stopped by Ctrl-C or a termination signal.
pub const INTERRUPTED: u8 = 130;
