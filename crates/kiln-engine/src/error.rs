//! What can go wrong between kiln and a container engine.

use crate::GuestPath;
use kiln_record::{Advice, Digest, RunError, exit};

/// Why an engine could not do what was asked. A program that merely exits with a code is no error: see
/// [`crate::RunOutcome`].
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A setting that says where the engine is cannot be used.
    #[error("use the engine setting {what}: {why}")]
    Settings {
        /// The setting, as the user knows it: `DOCKER_HOST`, a context, a file.
        what: String,
        /// What is wrong with it and what to do.
        why: String,
    },
    /// Nothing answers at the endpoint.
    #[error(
        "reach the container engine at {endpoint}: {why}; start it, or point DOCKER_HOST or a context at one"
    )]
    Unavailable {
        /// Where the engine should be.
        endpoint: String,
        /// The cause.
        why: String,
    },
    /// The engine is there, and this user may not speak to it.
    #[error(
        "open the socket of the container engine at {endpoint}: permission denied: this user may not use it"
    )]
    Forbidden {
        /// Where the engine is.
        endpoint: String,
    },
    /// Nothing that runs programs answers at the address of remote execution.
    #[error(
        "run programs on {endpoint}: {why}; start it, or name another server with KILN_EXECUTE, or `off` for a container engine"
    )]
    ExecutorUnavailable {
        /// Where the server should be.
        endpoint: String,
        /// The cause.
        why: String,
    },
    /// The engine is older than kiln needs.
    #[error(
        "use the engine at {endpoint}: it offers {found}, kiln needs {needed} or newer; upgrade the engine"
    )]
    TooOld {
        /// Where the engine is.
        endpoint: String,
        /// What it offers: the newest version of the API, or its own.
        found: String,
        /// The oldest that kiln works with.
        needed: String,
    },
    /// The engine has no such image.
    #[error("find image {reference} in the engine; load or pull it first")]
    ImageMissing {
        /// The reference that was looked for.
        reference: String,
    },
    /// The engine's description of an image makes no sense to kiln.
    #[error("understand image {reference}: {why}")]
    ImageUnusable {
        /// The image.
        reference: String,
        /// What is wrong.
        why: String,
    },
    /// A reference is malformed, or lacks the digest it must have.
    #[error("use image reference `{reference}`: {why}")]
    InvalidReference {
        /// The reference, control characters escaped.
        reference: String,
        /// What is wrong and what to write instead.
        why: String,
    },
    /// A pulled image is not the one that was asked for.
    #[error(
        "pull {reference}: the engine holds {found} instead of {expected}; do not use this registry before the cause is known"
    )]
    DigestMismatch {
        /// The reference that was asked for.
        reference: String,
        /// The digest in it.
        expected: Digest,
        /// The digests that the engine reports, or `no digest`.
        found: String,
    },
    /// The engine could not pull an image.
    #[error("pull {reference}: {why}")]
    PullFailed {
        /// The reference that was asked for.
        reference: String,
        /// The cause, with what to do where it is known.
        why: String,
    },
    /// The registry did not tell the digest of a reference.
    #[error("resolve {reference}: {why}")]
    ResolveFailed {
        /// The reference that was asked for.
        reference: String,
        /// The cause, with what to do where it is known.
        why: String,
    },
    /// An image archive could not be loaded.
    #[error("load an image into the engine: {why}")]
    LoadFailed {
        /// The cause.
        why: String,
    },
    /// The builder gave up on a Dockerfile.
    #[error("build {name}: {why}{}", last_lines(.last))]
    BuildFailed {
        /// What was built.
        name: String,
        /// The builder's own words.
        why: String,
        /// Which of its instructions failed, counted from 0, if the builder's account tells that.
        instruction: Option<usize>,
        /// The last lines of its log, oldest first.
        last: Vec<String>,
    },
    /// The builder used something, or did something, that it was not asked for.
    #[error("build {name} from what it names alone: {what}")]
    Unaccounted {
        /// What was built.
        name: String,
        /// What the builder said that it does.
        what: String,
    },
    /// The engine does not do what is asked at all.
    #[error("{action}: this engine does not do that")]
    Unsupported {
        /// What was asked.
        action: String,
    },
    /// Credentials for a registry could not be read.
    #[error("read credentials for {registry}: {why}")]
    Credentials {
        /// The registry.
        registry: String,
        /// The cause, with the file or program concerned.
        why: String,
    },
    /// A run was asked for that no engine could do.
    #[error("run `{name}`: {why}")]
    InvalidRun {
        /// The name of the run.
        name: String,
        /// What is wrong with its description.
        why: String,
    },
    /// An input tree could not be brought into the container.
    #[error("bring input {path} into `{name}`: {why}")]
    Input {
        /// The name of the run.
        name: String,
        /// Where the tree should have been.
        path: GuestPath,
        /// The cause.
        why: String,
    },
    /// The program did not finish in time and was killed.
    #[error("finish `{name}` within {seconds} s: it was killed{}", last_lines(.last))]
    Deadline {
        /// The name of the run.
        name: String,
        /// The time it had.
        seconds: u64,
        /// The last lines it wrote, oldest first.
        last: Vec<String>,
    },
    /// The program wrote more than it may.
    #[error("keep {what} of `{name}`: more than {limit} bytes; raise the limit if that much is expected")]
    OutputTooLarge {
        /// The name of the run.
        name: String,
        /// What was too large: a stream or an output path.
        what: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The program left more files, folders and links than it may.
    #[error(
        "keep the outputs of `{name}`: more than {limit} files, folders and links; raise the limit if that many are expected"
    )]
    TooManyFiles {
        /// The name of the run.
        name: String,
        /// How many there may be.
        limit: u64,
    },
    /// The engine answered a request with an error.
    #[error("{action}: the engine refused ({status}): {why}")]
    Refused {
        /// What was asked.
        action: String,
        /// The HTTP status.
        status: u16,
        /// The engine's own words.
        why: String,
    },
    /// The connection broke, or something outside removed what was in use.
    #[error("{action}: {why}")]
    Broken {
        /// What was under way.
        action: String,
        /// The cause.
        why: String,
    },
    /// [`crate::Engine::shutdown`] was called: nothing new is started.
    #[error("start a container: kiln is stopping")]
    Stopped,
}

fn last_lines(lines: &[String]) -> String {
    if lines.is_empty() {
        "; it wrote nothing".to_owned()
    } else {
        format!("; its last lines:\n  {}", lines.join("\n  "))
    }
}

impl EngineError {
    /// Whether the engine could not start a program because it is for another machine: what the kernel says of such a
    /// program (`ENOEXEC`), in the engine's words.
    #[must_use]
    pub fn is_foreign_program(&self) -> bool {
        self.to_string().contains("exec format error")
    }
}

impl RunError for EngineError {
    fn advice(&self) -> Advice<'_> {
        if let Self::Forbidden { .. } = self {
            return Advice::exit(exit::ENGINE_UNAVAILABLE)
                .hint("let the user into the group that the socket is of, and log in anew: sudo usermod -aG docker \"$USER\"")
                .hint("or use an engine of the user's own, such as rootless Docker: DOCKER_HOST or a context names it");
        }
        Advice::exit(match self {
            Self::Deadline { .. } | Self::Unaccounted { .. } => exit::BUILD_STEP_FAILED,
            Self::Stopped => exit::INTERRUPTED,
            _ => exit::ENGINE_UNAVAILABLE,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_its_exit_code_and_what_to_do() {
        let rows: Vec<(EngineError, kiln_record::Exit, usize)> = vec![
            (EngineError::Unsupported { action: "x".to_owned() }, exit::ENGINE_UNAVAILABLE, 0),
            (
                EngineError::Deadline { name: "x".to_owned(), seconds: 1, last: Vec::new() },
                exit::BUILD_STEP_FAILED,
                0,
            ),
            (
                EngineError::Unaccounted { name: "x".to_owned(), what: "x".to_owned() },
                exit::BUILD_STEP_FAILED,
                0,
            ),
            (EngineError::Forbidden { endpoint: "x".to_owned() }, exit::ENGINE_UNAVAILABLE, 2),
            (EngineError::Stopped, exit::INTERRUPTED, 0),
        ];
        for (error, exit, hints) in rows {
            assert_eq!((error.exit(), error.hints().len()), (exit, hints), "{error}");
        }
    }
}
