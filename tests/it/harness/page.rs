//! A page, the commands that it tells the reader to type, and a walk that types them.

use super::{Kiln, Outcome, repository};
use fs_err as fs;
use std::collections::{BTreeMap, VecDeque};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Every page, by its path in the repository.
pub(crate) fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    let mut pending = vec![PathBuf::from("docs")];
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(repository().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    pages.sort();
    pages
}

/// The text of a page.
pub(crate) fn text(page: &str) -> String {
    fs::read_to_string(repository().join(page)).unwrap()
}

/// The fenced blocks of a page: the language of each, and what is in it.
pub(crate) fn blocks(text: &str) -> Vec<(&str, &str)> {
    let fenced = text.split("\n```").skip(1).step_by(2);
    fenced.map(|block| block.split_once('\n').unwrap_or((block, ""))).collect()
}

/// The commands of a page, in order: every line of a block for a shell, in one with a dialogue those behind its prompt, and what
/// a step of a job runs.
pub(crate) fn commands(text: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for (language, block) in blocks(text) {
        let prompt = match language {
            "sh" => "",
            "console" => "$ ",
            // Longer scripts of jobs are read by the tests of their pages.
            "yaml" => "- run: ",
            _ => continue,
        };
        let block = block.replace("\\\n", " ");
        let typed = block.lines().filter_map(|line| line.trim_start().strip_prefix(prompt));
        commands.extend(typed.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned));
    }
    commands
}

/// The arguments of `kiln` in a line for a shell.
pub(crate) fn words(line: &str) -> Vec<String> {
    let quoted = line.split(['"', '\'']).enumerate().flat_map(|(index, part)| match index % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    let words: Vec<String> = quoted.collect();
    assert_eq!(words[0], "kiln", "{line}");
    words[1..].to_vec()
}

/// Whether a job on a page runs kiln, be it in a script of several lines.
pub(crate) fn has_job(text: &str) -> bool {
    let called = regex::Regex::new(r"(^|[\s'(;])kiln [a-z]").unwrap();
    blocks(text)
        .iter()
        .any(|(language, block)| ["yaml", "groovy"].contains(language) && called.is_match(block))
}

/// What sentences and tables of a page have as code, each on one line.
pub(crate) fn inline_code(text: &str) -> Vec<String> {
    let prose: String = text.split("\n```").step_by(2).map(|part| format!("{part}\n\n")).collect();
    let mut all = Vec::new();
    for paragraph in prose.split("\n\n") {
        let code = paragraph.split('`').skip(1).step_by(2);
        let code = code.map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "));
        all.extend(code);
    }
    all
}

/// The exit code that a page says of a command, in a remark behind it.
pub(crate) fn exit_code(command: &str) -> i32 {
    match command.split_once("# exit code ") {
        Some((_, code)) => code.trim().parse().unwrap_or_else(|_| panic!("{command}")),
        None => 0,
    }
}

/// A walk through a page: its commands are run one after the other, as they stand there, by a shell that finds `kiln`. All of
/// them have to be.
#[derive(Debug)]
pub(crate) struct Walk {
    page: String,
    commands: VecDeque<String>,
    programs: tempfile::TempDir,
}

impl Walk {
    /// Begins one. In the commands, each word of the page that stands for something else is replaced by that.
    pub(crate) fn of(page: &str, stands_for: &[(&str, &str)]) -> Self {
        let mut commands: VecDeque<String> = commands(&text(page)).into();
        assert!(!commands.is_empty(), "{page} has commands");
        for (word, _) in stands_for {
            assert!(commands.iter().any(|command| command.contains(word)), "no command of {page} has {word}");
        }
        if !stands_for.is_empty() {
            // In one pass: what is put in may have a word of the page in it.
            let words: Vec<String> = stands_for.iter().map(|(word, _)| regex::escape(word)).collect();
            let words = regex::Regex::new(&words.join("|")).unwrap();
            let whats: BTreeMap<&str, &str> = stands_for.iter().copied().collect();
            for command in &mut commands {
                *command =
                    words.replace_all(command, |found: &regex::Captures<'_>| whats[&found[0]]).into_owned();
            }
        }
        let programs = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(Kiln::program(), programs.path().join("kiln")).unwrap();
        Self { page: page.to_owned(), commands, programs }
    }

    /// Gives the shell one more program, which is a script.
    pub(crate) fn with_program(self, name: &str, script: &str) -> Self {
        let path = self.programs.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Gives the shell the programs of a folder, too.
    pub(crate) fn with_programs_of(self, folder: &Path) -> Self {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            std::os::unix::fs::symlink(entry.path(), self.programs.path().join(entry.file_name())).unwrap();
        }
        self
    }

    /// The next command, which is not run by that.
    #[track_caller]
    pub(crate) fn command(&mut self) -> String {
        self.commands.pop_front().unwrap_or_else(|| panic!("{} has one more command", self.page))
    }

    /// How a command is run here.
    pub(crate) fn shell(&self, kiln: &Kiln, command: &str) -> Kiln {
        let path = std::env::vars().find(|(name, _)| name == "PATH").map(|(_, path)| path).unwrap();
        let path = format!("{}:{path}", self.programs.path().display());
        kiln.clone().in_shell(command).with_variable("PATH", &path)
    }

    /// Runs a command; it ends with what the page says, which is 0 where it says nothing.
    #[track_caller]
    pub(crate) fn run(&self, kiln: &Kiln, command: &str) -> Outcome {
        let outcome = self.shell(kiln, command).run::<&str>([]);
        assert_eq!(outcome.code, Some(exit_code(command)), "{}: {command}\n{outcome}", self.page);
        outcome
    }

    /// Runs the next command.
    #[track_caller]
    pub(crate) fn next(&mut self, kiln: &Kiln) -> Outcome {
        let command = self.command();
        self.run(kiln, &command)
    }

    /// Runs the next commands.
    #[track_caller]
    pub(crate) fn take<const N: usize>(&mut self, kiln: &Kiln) -> [Outcome; N] {
        std::array::from_fn(|_| self.next(kiln))
    }

    /// Runs the next commands in one shell, which keeps what each sets.
    #[track_caller]
    pub(crate) fn together(&mut self, kiln: &Kiln, commands: usize) -> Outcome {
        let commands: Vec<String> = (0..commands).map(|_| self.command()).collect();
        self.run(kiln, &format!("set -e\n{}", commands.join("\n")))
    }

    /// Passes over the next command, which must begin so.
    #[track_caller]
    pub(crate) fn leave_out(&mut self, beginning: &str, because: &str) {
        let command = self.command();
        assert!(command.starts_with(beginning), "{command}: left out is what {because}");
    }
}

/// A walk that ends before the page does leaves out what is not said to be.
impl Drop for Walk {
    fn drop(&mut self) {
        let is_whole = self.commands.is_empty() || std::thread::panicking();
        assert!(is_whole, "{}: not run: {:?}", self.page, self.commands);
    }
}
