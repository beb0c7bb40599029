//! The log: the entries of all artifacts in one order, in `.kiln/log`.
//!
//! Each line is an entry: `ARTIFACT NUMBER sha256:DIGEST`, the digest being that of its `entry.json`. Lines are only ever
//! added: the entries that are new since the last time, by artifact and number. That order is written down, since no other
//! would keep: clocks go back, and histories of several machines are joined.

use crate::atomic::read_bounded;
use crate::{Ledger, Result, StoreError, write_atomically};
use kiln_record::{ArtifactName, Digest};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The largest log that is read, in bytes: of half a million builds.
const MAX_LOG: u64 = 64 << 20;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The artifact.
    pub artifact: ArtifactName,
    /// The number of the build.
    pub number: u64,
    /// The digest of its `entry.json`, also where that is lost by now.
    pub entry: Digest,
}

impl fmt::Display for LogLine {
    /// The line with the line feed at its end, which is what a proof is about.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} {}", self.artifact, self.number, self.entry)
    }
}

impl LogLine {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let one = Self {
            artifact: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            entry: words.next()?.parse().ok()?,
        };
        (one.to_string().strip_suffix('\n') == Some(line)).then_some(one)
    }
}

impl Ledger {
    /// The name of the log, beside the ledger's folder.
    pub const LOG: &str = "log";

    /// Where the log is.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.root().with_file_name(Self::LOG)
    }

    /// The log with every entry of the ledger: the lines of the file, each held against the ledger, and those that are not in
    /// it yet.
    ///
    /// # Errors
    /// [`StoreError::StateDamaged`] if a line is none; [`StoreError::LedgerBroken`] if the ledger has another entry than the
    /// log, or none.
    pub fn log(&self) -> Result<Vec<LogLine>> {
        let path = self.log_path();
        let bytes = read_bounded(&path, MAX_LOG)?.unwrap_or_default();
        let damaged = |reason: String| StoreError::StateDamaged { path: path.clone(), reason };
        let text = std::str::from_utf8(&bytes).map_err(|error| damaged(error.to_string()))?;
        if !text.is_empty() && !text.ends_with('\n') {
            return Err(damaged("its last line is cut off".to_owned()));
        }
        let mut lines = Vec::new();
        let mut logged: BTreeMap<ArtifactName, u64> = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = LogLine::parse(line)
                .ok_or_else(|| damaged(format!("line {} names no entry of the ledger", number + 1)))?;
            let before = logged.entry(line.artifact.clone()).or_default();
            if line.number != *before + 1 {
                return Err(damaged(format!("line {} does not follow build {before}", number + 1)));
            }
            *before = line.number;
            self.hold(&line)?;
            lines.push(line);
        }
        for artifact in self.artifacts()? {
            let newest = self.newest(&artifact)?.unwrap_or(0);
            let first = logged.get(&artifact).copied().unwrap_or(0) + 1;
            for number in first..=newest {
                let (_, link) = self.place(&artifact, number)?;
                let entry = link.stated.unwrap_or(link.digest);
                lines.push(LogLine { artifact: artifact.clone(), number, entry });
            }
        }
        Ok(lines)
    }

    /// The same, and writes it down. The caller holds the workspace's lock.
    ///
    /// # Errors
    /// As [`Ledger::log`]; [`StoreError::Io`].
    pub fn extend_log(&self) -> Result<Vec<LogLine>> {
        let lines = self.log()?;
        let text: String = lines.iter().map(ToString::to_string).collect();
        if read_bounded(&self.log_path(), MAX_LOG)?.unwrap_or_default() != text.as_bytes() {
            write_atomically(&self.log_path(), text.as_bytes())?;
        }
        Ok(lines)
    }

    /// The bytes of an entry's file.
    ///
    /// # Errors
    /// [`StoreError::LedgerBroken`] if it cannot be read, or is known to be lost.
    pub fn entry_bytes(&self, artifact: &ArtifactName, number: u64) -> Result<Vec<u8>> {
        let path = self.entry_path(artifact, number);
        let bytes = read_bounded(&path, MAX_LOG)?;
        bytes.ok_or_else(|| StoreError::LedgerBroken { path, reason: "it is missing".to_owned() })
    }

    /// Holds a line against the ledger.
    fn hold(&self, line: &LogLine) -> Result<()> {
        let LogLine { artifact, number, entry } = line;
        let path = self.entry_path(artifact, *number);
        let broken = |reason: String| StoreError::LedgerBroken { path: path.clone(), reason };
        if self.newest(artifact)?.is_none_or(|newest| newest < *number) {
            return Err(broken(format!("it is missing: the log states build {number} of {artifact}")));
        }
        let (_, link) = self.place(artifact, *number)?;
        if link.digest != *entry && link.stated != Some(*entry) {
            return Err(broken(format!(
                "its digest is {}, but the log states {entry} for it: one of the two was changed",
                link.digest
            )));
        }
        Ok(())
    }
}
