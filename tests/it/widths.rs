//! What is printed for a person, on terminals of several widths: nothing is cut, lines go on below their column, and what goes
//! into a pipe keeps its lines.

use crate::harness::{Kiln, Release, audit, needs};
use kiln_record::{InputRole, exit};
use regex::Regex;
use std::path::Path;
use std::process::Command;

/// What a terminal of a width shows of a command.
fn shown(at: &Path, width: usize, arguments: &str) -> String {
    let line = format!("stty cols {width} rows 50 && exec {} {arguments}", Kiln::program().display());
    let output = Command::new("script").args(["-qec", &line, "/dev/null"]).current_dir(at).output().unwrap();
    String::from_utf8(output.stdout).unwrap().replace('\r', "")
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn lines_end_where_a_terminal_does_and_nothing_is_lost() {
    needs(&[("script", "bsdutils")]);
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut release = Release::new("app");
    release.distribution("alpha", "1.2", "alpha.py", b"VALUE = 1\n");
    release.distribution("a-distribution-of-a-long-name", "2.0.0rc1", "long.py", b"VALUE = 2\n");
    release.write(&at.join("monday"));
    release.without("alpha").distribution(
        "a-distribution-of-a-long-name",
        "2.0.1",
        "long.py",
        b"VALUE = 3\n",
    );
    release.own("app.py", b"import long\n").moves(InputRole::Lock).moves(InputRole::Source);
    release.write(&at.join("tuesday"));
    let colours = Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    for command in [
        "diff monday tuesday",
        "show tuesday",
        "explain tuesday",
        "verify tuesday",
        "history monday tuesday",
        "find a-distribution-of-a-long-name monday tuesday",
    ] {
        let arguments: Vec<&str> = command.split(' ').collect();
        let piped = audit(at, &arguments).ends_with(exit::SUCCESS);
        assert!(piped.stdout.lines().any(|line| line.chars().count() > 50), "{command}: {piped}");
        let all = words(&piped.stdout);
        for width in [50, 80, 120] {
            for colour in ["never", "always"] {
                let shown = shown(at, width, &format!("{command} --color {colour} --quiet"));
                let plain = colours.replace_all(&shown, "");
                for line in plain.lines() {
                    let last = words(line).last().map_or(0, |word| word.chars().count());
                    let columns = line.chars().count();
                    // A digest is not broken.
                    let fits = columns <= width || columns - last <= width && last + 24 > width;
                    assert!(fits, "{command} at {width}, {colour}: {line:?}\n{plain}");
                }
                assert_eq!(words(&plain), all, "{command} at {width}, {colour}:\n{plain}");
            }
        }
    }
    // A document is no text: its lines are what they are, on a terminal, too.
    let json = shown(at, 50, "diff monday tuesday --format json");
    assert_eq!(json, audit(at, &["diff", "monday", "tuesday", "--format", "json"]).stdout);
}
