//! Running git: nothing is asked of a person, nothing hangs, and what it says and stores is bounded.
//!
//! A server that accepts and says nothing would hold git for ever, and one that never stops would fill the disk. git's own
//! limits (`http.lowSpeedLimit`, ssh's `ConnectTimeout`) come first, since git then says what went wrong; a watch over its
//! silence, its time and its folder holds for every protocol.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;
use tokio::time::Instant;

/// Variables of git that point at another repository: they are set where kiln runs in a hook, and no git that kiln runs may
/// see them.
const GIT_REPOSITORY_VARIABLES: [&str; 8] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
];
/// The most that is kept of what git says about itself, in bytes.
const LONGEST_TALK: usize = 64 << 10;
/// How often the watch looks.
const LOOK: Duration = Duration::from_millis(500);

/// What a call of git may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The longest time without a byte of it, on either stream. Progress counts.
    pub(crate) silence: Duration,
    /// The longest time altogether.
    pub(crate) time: Duration,
    /// The most that it may print, in bytes.
    pub(crate) output: usize,
    /// The most that its folder may hold, in bytes.
    pub(crate) folder: u64,
}

/// What came of a call.
pub(crate) struct Said {
    pub(crate) status: ExitStatus,
    pub(crate) output: Vec<u8>,
    /// What it said about itself.
    pub(crate) talk: String,
}

/// Why a call did not end by itself.
pub(crate) enum GitFailure {
    NotStarted(io::Error),
    /// It was ended, and why.
    Ended(String),
}

/// git with its arguments, set up so that it asks nobody and runs no program because an address says so (git-config,
/// "protocol.allow").
pub(crate) fn git(folder: Option<&Path>, silence: Duration, arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    if let Some(folder) = folder {
        command.arg("-C").arg(folder);
    }
    command
        .args(["-c", "core.hooksPath=/dev/null", "-c", "transfer.fsckObjects=true"])
        // Bytes a second, and for how many seconds less is borne (git-config, "http.lowSpeedLimit").
        .args(["-c", "http.lowSpeedLimit=256"])
        .args(["-c", &format!("http.lowSpeedTime={}", silence.as_secs().max(1))])
        .args(arguments)
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    for variable in GIT_REPOSITORY_VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// The ssh that git is to use, with limits of its own: it would outlive a git that was ended. A user's own command is left
/// as it is.
pub(crate) async fn ssh_setting(silence: Duration) -> Option<String> {
    let own = git(None, silence, &["config", "--get", "core.sshCommand"]).output().await.ok()?;
    let seconds = silence.as_secs().max(1);
    // git hands it to a shell; `GIT_SSH` would otherwise lose to this setting.
    own.stdout.trim_ascii().is_empty().then(|| {
        format!(
            "core.sshCommand=${{GIT_SSH:-ssh}} -o ConnectTimeout={seconds} -o ServerAliveInterval={seconds} -o ServerAliveCountMax=2"
        )
    })
}

/// Runs a command within bounds. `folder` is watched while it runs.
pub(crate) async fn run(
    mut command: Command,
    folder: Option<&Path>,
    bounds: Bounds,
) -> Result<Said, GitFailure> {
    let mut child = command.spawn().map_err(GitFailure::NotStarted)?;
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(GitFailure::Ended("it has no output".to_owned()));
    };
    let (mut output, mut talk) = (Vec::new(), Vec::new());
    let (mut out, mut err) = (true, true);
    let began = Instant::now();
    let mut heard = began;
    let mut look = tokio::time::interval(LOOK);
    let ended = |why: String| Err(GitFailure::Ended(why));
    let (mut out_piece, mut err_piece) = (vec![0; 1 << 16], vec![0; 1 << 12]);
    while out || err {
        tokio::select! {
            length = read(&mut stdout, &mut out_piece), if out => {
                out = length > 0;
                output.extend_from_slice(&out_piece[..length]);
                heard = Instant::now();
                if output.len() > bounds.output {
                    return ended(format!("git printed more than {} bytes", bounds.output));
                }
            }
            length = read(&mut stderr, &mut err_piece), if err => {
                err = length > 0;
                heard = Instant::now();
                talk.extend_from_slice(&err_piece[..length]);
                // The end says why; progress goes before it.
                let surplus = talk.len().saturating_sub(LONGEST_TALK);
                talk.drain(..surplus);
            }
            _ = look.tick() => {
                if heard.elapsed() > bounds.silence {
                    return ended(format!("nothing came for {:?}, and git was ended", bounds.silence));
                }
                if began.elapsed() > bounds.time {
                    return ended(format!("it took longer than {:?}, and git was ended", bounds.time));
                }
                if let Some(folder) = folder.map(Path::to_owned) {
                    let limit = bounds.folder;
                    let large = tokio::task::spawn_blocking(move || is_larger(&folder, limit)).await;
                    if large.unwrap_or(false) {
                        return ended(format!("more than {limit} bytes came, and git was ended"));
                    }
                }
            }
        }
    }
    let left = bounds.time.saturating_sub(began.elapsed());
    match tokio::time::timeout(left, child.wait()).await {
        Ok(Ok(status)) => Ok(Said { status, output, talk: String::from_utf8_lossy(&talk).into_owned() }),
        Ok(Err(error)) => ended(error.to_string()),
        Err(_) => ended(format!("it took longer than {:?}, and git was ended", bounds.time)),
    }
}

/// The next piece of a stream; one that breaks has ended.
async fn read(stream: &mut (impl AsyncRead + Unpin), piece: &mut [u8]) -> usize {
    stream.read(piece).await.unwrap_or(0)
}

/// Whether what lies under a folder takes more of the disk than allowed. What vanishes meanwhile counts nothing.
fn is_larger(folder: &Path, limit: u64) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let mut total = 0_u64;
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            total = total.saturating_add(metadata.blocks().saturating_mul(512));
        }
        if total > limit {
            return true;
        }
    }
    false
}
