//! Whether a service works, by the test that its image states.

use std::time::Duration;

/// A program that the engine runs in the container again and again; exit code 0 means that the service works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthTest {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Time between two runs.
    pub interval: Duration,
    /// Time that a run may take.
    pub timeout: Duration,
    /// Time from the start in which failures do not count.
    pub start_period: Duration,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
}

/// What became of a service that was watched until it was known whether it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Whether it works.
    pub health: Health,
    /// The last lines that it wrote.
    pub last: Vec<String>,
}

/// Whether a service works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its test passed.
    Healthy,
    /// Its test failed as often as it may.
    Unhealthy {
        /// The exit code of the last run.
        exit_code: i64,
        /// What the last run wrote, cut.
        output: String,
    },
    /// Its program ended before a test passed.
    Ended {
        /// The program's exit code.
        exit_code: i64,
    },
    /// Nothing was known when the time was over.
    Undecided,
}
