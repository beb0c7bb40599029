//! Where the engine is and who we are: everything the environment decides, handed in by the caller.

use std::path::PathBuf;
use std::time::Duration;

/// What decides which engine is used. The command line fills it from the environment; nothing here reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSettings {
    /// `DOCKER_HOST`: `unix://`, `tcp://`, `http://`, `https://` or `ssh://`. It wins over any context.
    pub docker_host: Option<String>,
    /// Whether `DOCKER_TLS_VERIFY` is set to anything but nothing: `tcp://` then means TLS with client certificates.
    pub tls_verify: bool,
    /// `DOCKER_CERT_PATH`: the folder with `ca.pem`, `cert.pem` and `key.pem`; otherwise `config_dir`.
    pub cert_path: Option<PathBuf>,
    /// `DOCKER_CONFIG`, otherwise `.docker` in the home folder: contexts, and credentials for registries.
    pub config_dir: Option<PathBuf>,
    /// `DOCKER_CONTEXT`: a context to use instead of the current one.
    pub context: Option<String>,
    /// `DOCKER_BUILDKIT`: whether Dockerfiles are built by BuildKit, as they are if it is absent.
    pub buildkit: Option<bool>,
    /// How long the engine may say nothing of a registry that it asks for kiln.
    pub silence: Duration,
    /// Who asks, for the labels of containers.
    pub session: Session,
}

/// One process of kiln, as its containers are labelled: with it, a later run can tell leftovers from work under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Unique among all kilns that share the engine; letters, digits, `_`, `.` and `-`.
    pub id: String,
    /// The name of the host that the process runs on.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// When the process started, in clock ticks since boot; tells a process from a later one with the same number.
    /// See [`Session::start_of`].
    pub started: Option<u64>,
}

impl Session {
    /// The start time of a process of this host: field 22 of `/proc/PID/stat` (proc_pid_stat(5)); `None` if there is no
    /// such process, or no such file system.
    #[must_use]
    pub fn start_of(pid: u32) -> Option<u64> {
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The second field is the program's name in parentheses and may hold anything, even parentheses.
        let (_, after_name) = stat.rsplit_once(')')?;
        after_name.split_ascii_whitespace().nth(19)?.parse().ok()
    }

    /// Whether the process that a label names is still there. When that cannot be told it counts as alive, so that
    /// work under way is never removed.
    pub(crate) fn is_alive(pid: u32, started: Option<u64>) -> bool {
        let gone = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).is_none_or(|pid| {
            matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
        });
        if gone {
            return false;
        }
        match (started, Self::start_of(pid)) {
            (Some(labelled), Some(now)) => labelled == now,
            _ => true,
        }
    }

    /// Whether the id can be part of a container's name.
    pub(crate) fn has_usable_id(&self) -> bool {
        (1..=64).contains(&self.id.len())
            && self.id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_an_earlier_one_with_its_number_is_not() {
        let pid = std::process::id();
        let started = Session::start_of(pid);
        assert!(Session::is_alive(pid, started));
        assert!(Session::is_alive(pid, None));
        if let Some(started) = started {
            assert!(!Session::is_alive(pid, Some(started + 1)));
        }
        assert!(!Session::is_alive(u32::MAX, None));
        assert!(!Session::is_alive(0, None));
    }
}
