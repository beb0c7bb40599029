//! One run, with how long it took and the most memory that it had.

use crate::run::{kiln, watched};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What a run took.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    /// In bytes.
    pub(crate) peak: u64,
}

/// The run in the middle by its time, with the highest peak of all.
pub(crate) fn median(mut runs: Vec<Measured>) -> Measured {
    runs.sort_by_key(|run| run.wall);
    let peak = runs.iter().map(|run| run.peak).max().unwrap_or(0);
    Measured { wall: runs[runs.len() / 2].wall, peak }
}

/// Runs the binary in a folder, with a store beside it, and an engine that nobody can reach.
pub(crate) fn program(runs: usize, folder: &Path, arguments: &[&str]) -> Measured {
    let one = || {
        let mut command = Command::new(kiln());
        command
            .args(arguments)
            .env("KILN_STORE", folder.join("../store"))
            .env("DOCKER_HOST", "tcp://127.0.0.1:1")
            .current_dir(folder)
            .stdout(Stdio::null());
        let (ended, wall, peak) = watched(&mut command);
        assert!(ended.success(), "kiln {} ends with success", arguments.join(" "));
        Measured { wall, peak: peak * 1024 }
    };
    median((0..runs).map(|_| one()).collect())
}
