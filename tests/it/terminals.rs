//! What a build shows on a terminal while it runs, and what it leaves there.

use crate::harness::{Kiln, Sandbox, needs};
use kiln_record::exit;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const NAMES: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
const ROWS: usize = 40;

/// A terminal of tmux, which ends with it.
struct Terminal<'a> {
    socket: &'a Path,
}

impl Terminal<'_> {
    fn tmux<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = Command::new("tmux").arg("-S").arg(self.socket).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command in it and keeps what there is to be seen then, until `last` is.
    fn frames(&self, columns: usize, script: &Path, last: &str) -> Vec<String> {
        let (width, height) = (columns.to_string(), ROWS.to_string());
        let shell = format!("sh {}; sleep 600", script.display());
        self.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, &shell]);
        let (mut frames, until) = (Vec::new(), Instant::now() + Duration::from_secs(120));
        loop {
            let frame = self.tmux(&["capture-pane", "-p"]);
            let is_last = frame.contains(last);
            frames.push(frame);
            if is_last {
                return frames;
            }
            assert!(Instant::now() < until, "{:?}", frames.last());
            std::thread::sleep(Duration::from_millis(40));
        }
    }
}

impl Drop for Terminal<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

/// Whether a line is one that moves: it begins with a spinner of dots.
fn moves(line: &str) -> bool {
    line.starts_with(|first: char| ('\u{2800}'..='\u{28ff}').contains(&first))
}

#[test]
fn every_artifact_at_work_has_one_line_and_the_end_leaves_none() {
    needs(&[("tmux", "tmux")]);
    let sandbox = Sandbox::new();
    for name in NAMES {
        sandbox.function(name, "3.13", "def handler(event, context):\n    return 1\n", "");
    }
    let command = |kiln: &Kiln, arguments: &[&str]| {
        let command = kiln.command(arguments);
        let word = |word: &OsStr| format!("'{}'", word.to_str().unwrap());
        let variables = command
            .get_envs()
            .filter_map(|(name, value)| Some(format!("{}={}", name.to_str().unwrap(), word(value?))));
        let words = std::iter::once(command.get_program()).chain(command.get_args()).map(word);
        let line: Vec<String> = variables.chain(words).collect();
        format!(
            "cd {} && env -i TERM=$TERM {}\n",
            sandbox.folder().join("workspace").display(),
            line.join(" ")
        )
    };
    for columns in [50, 80, 120] {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("build");
        fs_err::write(&script, command(&sandbox.kiln(), &["build", "--all", "--force", "--check-again"]))
            .unwrap();
        let socket = folder.path().join("tmux");
        let frames = Terminal { socket: &socket }.frames(columns, &script, " in ");
        let mut seen = 0;
        for frame in &frames {
            for name in NAMES {
                let lines = frame.lines().filter(|line| moves(line) && line.contains(name)).count();
                assert!(lines <= 1, "{name} at {columns}:\n{frame}");
                seen += lines;
            }
        }
        assert!(seen > 0, "nothing was seen at work at {columns}: {frames:?}");
        let last = frames.last().unwrap();
        assert!(!last.lines().any(|line| moves(line) || line.contains(" artifacts")), "{columns}:\n{last}");
        assert!(last.contains("4 published"), "{columns}:\n{last}");
        for line in last.lines() {
            assert!(line.chars().count() <= columns);
        }
    }
}

#[test]
fn a_terminal_that_can_only_write_lines_gets_nothing_else() {
    needs(&[("script", "bsdutils")]);
    let sandbox = Sandbox::new();
    sandbox.function("alpha", "3.13", "def handler(event, context):\n    return 1\n", "");
    // What is on a terminal of its own, both streams.
    let on_terminal = |variables: &[(&str, &str)], arguments: &[&str]| {
        let kiln = sandbox.kiln().in_shell("exec script -qec \"$*\" /dev/null");
        let kiln = variables.iter().fold(kiln, |kiln, (name, value)| kiln.with_variable(name, value));
        kiln.run(arguments)
    };
    let commands = [
        (vec!["help", "build"], "Usage:", exit::SUCCESS),
        (vec!["build", "alpha", "--nothing"], "unexpected argument", exit::USAGE),
        (vec!["build", "beta"], "error", exit::INPUT_INVALID),
        (vec!["build", "alpha", "--force"], "1 published", exit::SUCCESS),
    ];
    for (arguments, shown, code) in &commands {
        for plain in [("TERM", "dumb"), ("NO_COLOR", "1"), ("CLICOLOR", "0")] {
            let outcome = on_terminal(&[("TERM", "xterm-256color"), plain], arguments).ends_with(*code);
            assert!(outcome.stdout.contains(shown), "{plain:?}\n{outcome}");
            assert!(!outcome.stdout.contains('\u{1b}'), "{plain:?}\n{outcome}");
        }
        let outcome = on_terminal(&[("TERM", "xterm-256color")], arguments).ends_with(*code);
        assert!(outcome.stdout.contains('\u{1b}'), "{outcome}");
    }
}
