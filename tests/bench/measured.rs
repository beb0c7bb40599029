//! One run, with how long it took and the most memory that it had.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often the kernel is asked for the peak.
const LOOK: Duration = Duration::from_millis(2);

/// What a run took.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    /// In bytes; what a process takes in its last two milliseconds is not seen.
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
        let start = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_kiln-under-test"))
            .args(arguments)
            .env("KILN_STORE", folder.join("../store"))
            .env("DOCKER_HOST", "tcp://127.0.0.1:1")
            .current_dir(folder)
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        let mut peak = 0;
        let ended = loop {
            if let Some(ended) = child.try_wait().expect("the binary is waited for") {
                break ended;
            }
            peak = peak.max(high_water(&status).unwrap_or(0));
            std::thread::sleep(LOOK);
        };
        assert!(ended.success(), "kiln {} ends with success", arguments.join(" "));
        Measured { wall: start.elapsed(), peak: peak * 1024 }
    };
    median((0..runs).map(|_| one()).collect())
}

/// `VmHWM` of proc_pid_status(5), in KiB.
fn high_water(status: &Path) -> Option<u64> {
    let text = fs_err::read_to_string(status).ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
}
