//! What a test may do without on a machine that does not have it. A test that needs anything else fails
//! there.
//!
//! Whoever runs the tests is told at once, past what the test harness captures, and once more at the end: the target
//! `summary` counts what was lacking.

use fs_err as fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A part of one test that needs something that not every machine has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lack {
    /// The test, with its module.
    pub(crate) test: &'static str,
    /// What it needs, as it reads after "without".
    pub(crate) what: &'static str,
}

const ENGINES: &str = "engines::engines_storage_drivers_and_cold_stores_do_not_reach_the_bytes";

/// It takes root and `dockerd`.
pub(crate) const ENGINE_WITH_VFS: Lack = Lack { test: ENGINES, what: "a second engine that uses vfs" };
/// It takes root, `dockerd`, and a file system below that the kernel lets be overlaid.
pub(crate) const ENGINE_WITH_OVERLAY2: Lack =
    Lack { test: ENGINES, what: "a second engine that uses overlay2" };
/// The same.
pub(crate) const ENGINE_TO_VARY: Lack = Lack {
    test: "rebuild::an_engine_that_a_step_depends_on_is_named",
    what: "a second engine with another storage driver",
};
/// It takes root, and an engine that a group may use.
pub(crate) const ANOTHER_USER: Lack =
    Lack { test: "reproducible::same_bytes_everywhere", what: "another user who may use the engine" };
/// It takes root.
pub(crate) const AUDITOR: Lack =
    Lack { test: "ledger::an_auditor_who_is_another_user_reads_the_history", what: "another user" };
/// The mirror keeps the packages for some months, and the store of the tests for as long as it is there.
pub(crate) const GOLDEN_BASE: Lack =
    Lack { test: "container_images::the_golden_image", what: "the packages of the committed base" };

/// The digests that are shown are of a build on it.
pub(crate) const PRINTED_BASE: Lack =
    Lack { test: "printed::what_is_told_of_builds", what: "the packages of the committed base" };

/// An image that is laid out as AWS's needs an interpreter that can be moved to another folder.
pub(crate) const PYTHON_312: Lack = Lack {
    test: "aws_bases::a_poetry_project_for_python_3_12_builds_in_two_commands",
    what: "a Python 3.12 with a shared library",
};

/// Everything that may be lacking.
pub(crate) const ALL: [Lack; 8] = [
    ENGINE_WITH_VFS,
    ENGINE_WITH_OVERLAY2,
    ENGINE_TO_VARY,
    ANOTHER_USER,
    AUDITOR,
    GOLDEN_BASE,
    PRINTED_BASE,
    PYTHON_312,
];

impl Lack {
    /// What was found, or nothing, said aloud with the reason.
    pub(crate) fn unless<T>(&self, found: Result<T, String>) -> Option<T> {
        let note = self.note();
        match found {
            Ok(found) => {
                if self.why().is_some() {
                    fs::remove_file(note).unwrap();
                }
                Some(found)
            }
            Err(why) => {
                say(&format!("{} runs without {}: {why}", self.test, self.what));
                fs::create_dir_all(note.parent().unwrap()).unwrap();
                fs::write(note, why).unwrap();
                None
            }
        }
    }

    /// Why it was lacking when the test ran last, if it was.
    pub(crate) fn why(&self) -> Option<String> {
        fs::read_to_string(self.note()).ok()
    }

    fn note(&self) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lacking");
        folder.join(format!("{} without {}", self.test.replace("::", "."), self.what))
    }
}

/// Tells whoever runs the tests, whether the test passes or not.
pub(crate) fn say(line: &str) {
    // What a closed stream does not show is in the summary.
    let _ = writeln!(std::io::stderr(), "{line}");
}
