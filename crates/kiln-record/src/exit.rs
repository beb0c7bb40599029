//! The exit codes of the `kiln` binary. They are part of its interface: a number never changes its meaning.
//!
//! `docs/findings.md` has a table of them, which is [`table`].

use std::fmt;

/// One of the ways in which `kiln` ends. There are no others than the constants of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    number: u8,
    name: &'static str,
    meaning: &'static str,
}

impl Exit {
    /// The number that the process ends with.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.number
    }

    /// The name of the constant, such as `INPUT_INVALID`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The name as documents write it, such as `input-invalid`.
    #[must_use]
    pub fn kind(self) -> String {
        self.name.to_lowercase().replace('_', "-")
    }

    /// What it says about the run, in one sentence.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.meaning.trim_start()
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.name)
    }
}

impl From<Exit> for i32 {
    /// The number, as operating systems hand it to whoever waits for the process.
    fn from(exit: Exit) -> Self {
        Self::from(exit.number)
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number)
    }
}

macro_rules! exits {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal;)*) => {
        $(
            $(#[doc = $doc])+
            pub const $name: Exit = Exit {
                number: $number,
                name: stringify!($name),
                meaning: concat!($($doc),+),
            };
        )*

        /// Every exit code, by number.
        pub const ALL: &[Exit] = &[$($name,)*];
    };
}

exits! {
    /// Everything asked for was done, and nothing denies it.
    SUCCESS = 0;
    /// A defect in kiln itself.
    UNEXPECTED = 1;
    /// The command line was not understood.
    USAGE = 2;
    /// A finding has the level `deny`; nothing was published for the artifacts concerned.
    FINDINGS_DENIED = 10;
    /// Two builds that should be equal are not, a file is not the one its record describes, or a lock is not the one
    /// that locking would write (`kiln lock --check`).
    NOT_REPRODUCIBLE = 11;
    /// A comparison found something that `--fail-on` names, or that nothing explains.
    DIFFERENCE_DENIED = 12;
    /// A rebuild has the same files in another container (`kiln rebuild`, level E1).
    REBUILT_E1 = 13;
    /// A rebuild is the same but for what named rules bring into one form (`kiln rebuild`, level E2).
    REBUILT_E2 = 14;
    /// A rebuild is the same but for what an exception with a reason excuses (`kiln rebuild`, level E3).
    REBUILT_E3 = 15;
    /// A signature, or what it vouches for, does not hold (`kiln verify --key`, `kiln log`).
    SIGNATURE_REFUSED = 16;
    /// A function did not answer its event: an error, no end in time, the end of its process (`kiln invoke`).
    FUNCTION_FAILED = 17;
    /// A step in a container failed.
    BUILD_STEP_FAILED = 20;
    /// The container engine cannot be reached, or refused a request.
    ENGINE_UNAVAILABLE = 21;
    /// A download failed, or brought other bytes than the lock names.
    FETCH_FAILED = 22;
    /// There is no workspace, or a manifest, lock, base definition or other input is missing or wrong.
    INPUT_INVALID = 30;
    /// The store, the ledger or the output folder could not be read or written.
    STORE_FAILURE = 40;
    /// Stopped by Ctrl-C or a termination signal.
    INTERRUPTED = 130;
}

/// All exit codes as a table in Markdown.
#[must_use]
pub fn table() -> String {
    let rows: String = ALL.iter().map(|exit| format!("| {} | {} |\n", exit.number, exit.meaning())).collect();
    format!("| code | meaning |\n|---|---|\n{rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_up_and_every_meaning_is_a_sentence() {
        assert!(ALL.windows(2).all(|pair| pair[0].number < pair[1].number));
        for exit in ALL {
            let meaning = exit.meaning();
            assert!(meaning.starts_with(char::is_uppercase) && meaning.ends_with('.'), "{exit}: {meaning}");
            assert!(!meaning.contains("  ") && !meaning.contains('|'), "{exit}: {meaning}");
        }
    }

    #[test]
    fn the_table_has_a_row_for_each() {
        let table = table();
        assert_eq!(table.lines().count(), ALL.len() + 2);
        assert!(
            table.contains(
                "| 12 | A comparison found something that `--fail-on` names, or that nothing explains. |\n"
            ),
            "{table}"
        );
    }
}
