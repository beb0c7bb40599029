//! One run of the binary: how long it took, what it computed and held, and how much it said.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often the kernel is asked for the peak. What a process takes in its last moment, shorter than this, is not seen.
const LOOK: Duration = Duration::from_millis(2);
/// Ticks of a second in `/proc/*/stat`, the same on every architecture (`USER_HZ`).
const TICKS: f64 = 100.0;

/// What a run cost.
#[derive(Debug)]
pub(crate) struct Run {
    /// From its start to its end.
    pub(crate) took: Duration,
    /// Seconds of all cores together, of which the kernel counts hundredths.
    pub(crate) cpu: f64,
    /// The most memory that it had resident, in MiB.
    pub(crate) memory: u64,
    /// Bytes that it printed.
    pub(crate) printed: u64,
}

/// The binary to be measured: the one that was named by `--kiln FILE`, else the one that was compiled with the benchmark.
pub(crate) fn kiln() -> PathBuf {
    let mut words = std::env::args().skip_while(|word| word != "--kiln").skip(1);
    words.next().map_or_else(|| env!("CARGO_BIN_EXE_kiln-under-test").into(), PathBuf::from)
}

/// Runs the binary in a folder and prints a row.
pub(crate) fn row(what: &str, folder: &Path, arguments: &[&str]) {
    let run = best(3, folder, arguments);
    let Run { took, cpu, memory, printed } = run;
    println!("{what}: {cpu:.2} s of CPU, {took:.2?}, {memory} MiB of memory, {printed} bytes");
}

/// The run of a few that computed least: what else the machine does only ever adds to it.
pub(crate) fn best(runs: usize, folder: &Path, arguments: &[&str]) -> Run {
    let runs = (0..runs).map(|_| run(folder, arguments));
    runs.min_by(|a, b| a.cpu.total_cmp(&b.cpu).then(a.took.cmp(&b.took))).expect("there is a run")
}

/// One run, which has to succeed, or to say that there are differences.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Run {
    let said = folder.join("said");
    let file = fs_err::File::create(&said).expect("a file").into_parts().0;
    let before = children();
    let mut command = Command::new(kiln());
    command.args(arguments).current_dir(folder).stdout(file).stderr(Stdio::inherit());
    let (ended, took, peak) = watched(&mut command);
    assert!(ended.success(), "{arguments:?} ends well: {ended}");
    let printed = fs_err::metadata(&said).expect("what was said").len();
    Run { took, cpu: (children() - before) / TICKS, memory: peak.div_ceil(1024), printed }
}

/// Runs a program to its end: how it ended, how long that took, and the most memory that it had resident, in KiB.
pub(crate) fn watched(command: &mut Command) -> (ExitStatus, Duration, u64) {
    let start = Instant::now();
    let mut child = command.spawn().expect("the binary starts");
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    let ended = loop {
        if let Some(ended) = child.try_wait().expect("the binary is waited for") {
            break ended;
        }
        peak = peak.max(high_water(&status).unwrap_or(0));
        std::thread::sleep(LOOK);
    };
    (ended, start.elapsed(), peak)
}

/// Ticks that children which were waited for have computed, in user and kernel mode: fields 16 and 17 of proc(5).
fn children() -> f64 {
    let stat = fs_err::read_to_string("/proc/self/stat").expect("what the kernel counts");
    // The name of the program is in parentheses, and may hold blanks.
    let after = stat.rsplit_once(") ").expect("a name").1;
    after.split(' ').skip(13).take(2).map(|word| word.parse::<f64>().expect("a number")).sum()
}

/// The most memory that a process has had resident, in KiB; none once it has ended.
fn high_water(status: &Path) -> Option<u64> {
    let text = fs_err::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
