//! The end of what a program said, and what its words mean.

use kiln_record::{excerpt, printed};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// As many lines are kept.
const KEPT: usize = 20;

/// What resolvers, libraries and tools write when there is no network.
const OFFLINE: [&str; 9] = [
    "Temporary failure in name resolution",
    "Temporary failure resolving",
    "Name or service not known",
    "No address associated with hostname",
    "Network is unreachable",
    "Could not resolve host",
    "NewConnectionError",
    "bad address",
    "getaddrinfo failed",
];

/// The last lines of a program, without escape sequences, control characters and empty lines. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    /// A log of lines that are known already.
    #[must_use]
    pub fn of_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let log = Self::default();
        lines.into_iter().for_each(|line| log.push(line));
        log
    }

    /// Adds a line.
    pub fn push(&self, line: &str) {
        let text = printed(line.trim_end()).replace(char::is_control, " ");
        if text.trim().is_empty() {
            return;
        }
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(text);
    }

    /// The lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether any line has one of these texts.
    #[must_use]
    pub fn has(&self, texts: &[&str]) -> bool {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().any(|line| texts.iter().any(|text| line.contains(text)))
    }

    /// Whether the program asked for a network.
    #[must_use]
    pub fn asked_for_a_network(&self) -> bool {
        self.has(&OFFLINE)
    }

    /// Whether the program wrote where it may not.
    #[must_use]
    pub fn was_refused_to_write(&self) -> bool {
        self.has(&["Read-only file system", "Permission denied"])
    }

    /// The shared library that the loader last missed, by the name that it looked for: a program without it ends with exit
    /// code 127, as one does that is not there.
    #[must_use]
    pub fn missed_library(&self) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().rev().find_map(|line| {
            // The words of glibc, with a colon after the name, and of musl.
            let (_, rest) = line
                .split_once("error while loading shared libraries: ")
                .or_else(|| line.split_once("Error loading shared library "))?;
            let name = rest.split(':').next()?.trim();
            let is_name = !name.is_empty() && !name.contains(char::is_whitespace) && name.contains(".so");
            is_name.then(|| excerpt(name))
        })
    }

    /// The program that could not be started because it is not there, as runc and crun say it.
    #[must_use]
    pub fn missed_program(&self) -> Option<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().rev().find_map(|line| {
            let (_, rest) = line.split_once("exec: \"").or_else(|| line.split_once("executable file `"))?;
            let (program, why) = rest.split_once(['"', '`'])?;
            ["no such file or directory", "not found"]
                .iter()
                .any(|known| why.contains(known))
                .then(|| excerpt(program))
        })
    }

    /// Whether something that it looked for was not there.
    #[must_use]
    pub fn missed_something(&self) -> bool {
        self.has(&["not found", "No such file or directory"])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_without_what_a_terminal_obeys() {
        let lines: Vec<String> = (0..30).map(|n| format!("line {n}\u{1b}[31m")).collect();
        let log = Log::of_lines(lines.iter().map(String::as_str).chain(["", "  \r"]));
        let kept = log.lines();
        assert_eq!((kept.len(), kept[0].as_str()), (KEPT, "line 10"));
    }

    #[test]
    fn words_have_meanings() {
        let log = Log::of_lines(["curl: (6) Could not resolve host: example.test"]);
        assert!(log.asked_for_a_network() && !log.was_refused_to_write());
        let log = Log::of_lines(["sh: 1: gcc: not found", "touch: /usr/x: Read-only file system"]);
        assert!(!log.asked_for_a_network() && log.was_refused_to_write() && log.missed_something());
        assert_eq!((log.missed_library(), log.missed_program()), (None, None));
        for line in [
            "runc run failed: unable to start container process: exec: \"/bin/sh\": stat /bin/sh: no such file or directory",
            "crun: executable file `/bin/sh` not found: No such file or directory",
        ] {
            assert_eq!(Log::of_lines([line]).missed_program().as_deref(), Some("/bin/sh"), "{line}");
        }
        for (line, name) in [
            (
                "/opt/tool: error while loading shared libraries: libxml2.so.2: cannot open shared object file: No such file or directory",
                Some("libxml2.so.2"),
            ),
            (
                "Error loading shared library libz.so.1: No such file or directory (needed by /usr/bin/tool)",
                Some("libz.so.1"),
            ),
            ("tool: error while loading shared libraries: unexpected PLT reloc type 0x25", None),
        ] {
            assert_eq!(Log::of_lines([line]).missed_library().as_deref(), name, "{line}");
        }
    }
}
