//! Hashed requirements files, as pip-compile, `poetry export` and `uv export` write them (pip documentation,
//! "requirements file format" and "secure installs").

use crate::dependency::Dependency;
use crate::lock::{Declared, InputProblem, Lock, LockFormat, Locked, LockedFile, ProblemKind, too_large};
use kiln_record::{Digest, DistributionName};
use pep440_rs::Operator;
use std::collections::BTreeMap;

/// Reads a requirements file in which every requirement has one version and at least one SHA-256 hash.
///
/// # Errors
/// Every problem of the file, in line order.
pub fn parse_requirements(file: &str, text: &str) -> Result<Lock, Vec<InputProblem>> {
    if let Some(problem) = too_large(file, text.len(), 0) {
        return Err(vec![problem]);
    }
    let made_by = made_by(text);
    let mut reader = Reader {
        file,
        made_by: made_by.as_deref(),
        problems: Vec::new(),
        lock: Vec::new(),
        declared: Vec::new(),
    };
    for (line, content) in logical_lines(text) {
        let content = without_comment(&content);
        if !content.trim().is_empty() {
            reader.line(line, content.trim());
        }
    }
    reader.check_repeated_names();
    reader.problems.extend(too_large(file, 0, reader.lock.len()));
    if reader.problems.is_empty() {
        Ok(Lock {
            format: LockFormat::Requirements,
            name: file.to_owned(),
            requires_python: None,
            declared: reader.declared,
            distributions: reader.lock,
            groups: vec!["main".to_owned()],
            extras: Vec::new(),
            default_groups: Vec::new(),
            environments: Vec::new(),
            conflicts: Vec::new(),
            root: None,
            made_by,
            remarks: Vec::new(),
        })
    } else {
        reader.problems.sort_by_key(|problem| problem.line);
        Err(reader.problems)
    }
}

struct Reader<'a> {
    file: &'a str,
    made_by: Option<&'a str>,
    problems: Vec<InputProblem>,
    lock: Vec<Locked>,
    declared: Vec<Declared>,
}

impl Reader<'_> {
    fn problem(&mut self, kind: ProblemKind, line: usize, message: impl Into<String>, remedy: &[String]) {
        let mut problem = InputProblem::new(kind, self.file, Some(line), message);
        problem.remedy = remedy.to_vec();
        self.problems.push(problem);
    }

    /// How to make a complete file.
    fn relock(&self) -> Vec<String> {
        let mut ways = Vec::new();
        if let Some(command) = self.made_by {
            if command.contains("--generate-hashes") || command.contains("uv export") {
                ways.push(format!("make the file again: {command}"));
            } else {
                ways.push(format!("make the file again with hashes: {command} --generate-hashes"));
            }
        } else {
            ways.push(
                "make a hashed file: uv pip compile --generate-hashes requirements.in -o requirements.txt"
                    .to_owned(),
            );
            ways.push("or: pip-compile --generate-hashes requirements.in".to_owned());
        }
        ways
    }

    fn line(&mut self, line: usize, content: &str) {
        if content.starts_with('-') {
            self.option(line, content);
            return;
        }
        // Options begin at the first ` --`: a requirement itself holds no such thing.
        let mut words = content.split_ascii_whitespace();
        let mut requirement = String::new();
        let mut options: Vec<&str> = Vec::new();
        for word in words.by_ref() {
            if word.starts_with("--") {
                options.push(word);
                break;
            }
            if !requirement.is_empty() {
                requirement.push(' ');
            }
            requirement.push_str(word);
        }
        options.extend(words);
        let dependency = match Dependency::parse(&requirement) {
            Ok(dependency) => dependency,
            Err(_) if looks_like_a_path(&requirement) => {
                let message = format!(
                    "not supported: `{requirement}` is a path or URL, which no hash pins to an index's file"
                );
                self.problem(
                    ProblemKind::Unsupported,
                    line,
                    message,
                    &["name the distribution and its version, with hashes".to_owned()],
                );
                return;
            }
            Err(error) => {
                self.problem(ProblemKind::Invalid, line, error.to_string(), &[]);
                return;
            }
        };
        if let Some(url) = &dependency.url {
            let message =
                format!("not supported: {} is taken from `{url}` instead of an index", dependency.name);
            self.problem(
                ProblemKind::Unsupported,
                line,
                message,
                &["pin a version that an index has, with hashes".to_owned()],
            );
            return;
        }
        let Some(files) = self.hashes(line, &dependency.name, &options) else { return };
        let version = match &dependency.specifiers[..] {
            [one] if matches!(one.operator(), Operator::Equal | Operator::ExactEqual) => {
                one.version().to_string()
            }
            _ => {
                let message = format!("`{requirement}` is not pinned to one version with `==`");
                let remedy = self.relock();
                self.problem(ProblemKind::LockMissingHashes, line, message, &remedy);
                return;
            }
        };
        if files.is_empty() {
            let message = format!("`{requirement}` has no `--hash=sha256:…`");
            let remedy = self.relock();
            self.problem(ProblemKind::LockMissingHashes, line, message, &remedy);
            return;
        }
        self.declared.push(Declared {
            name: dependency.name.clone(),
            text: requirement,
            file: self.file.to_owned(),
            line,
            marker: dependency.marker.clone(),
            constraint: None,
            group: "main".to_owned(),
            extras: dependency.extras.clone(),
            enabled_by: Vec::new(),
        });
        self.lock.push(Locked {
            name: dependency.name,
            version,
            file: None,
            line,
            markers: dependency.marker.into_iter().collect(),
            groups: vec!["main".to_owned()],
            optional: false,
            extras: dependency.extras,
            files,
            dependencies: Vec::new(),
            not_from_index: None,
            source: None,
            folder: None,
        });
    }

    /// The SHA-256 hashes among a requirement's options; `None` after a problem.
    fn hashes(&mut self, line: usize, name: &DistributionName, options: &[&str]) -> Option<Vec<LockedFile>> {
        let mut files = Vec::new();
        let mut other = Vec::new();
        let mut words = options.iter();
        while let Some(word) = words.next() {
            let value = match word.split_once('=') {
                Some(("--hash", value)) => value,
                None if *word == "--hash" => words.next().copied().unwrap_or(""),
                _ => {
                    let message = format!("not supported: option `{word}` of {name}");
                    self.problem(
                        ProblemKind::Unsupported,
                        line,
                        message,
                        &["remove the option: wheels are installed as they are".to_owned()],
                    );
                    return None;
                }
            };
            match value.split_once(':') {
                Some(("sha256", hex)) => match Digest::from_hex(hex) {
                    Ok(digest) => files.push(LockedFile { file_name: None, digest }),
                    Err(error) => {
                        self.problem(
                            ProblemKind::Invalid,
                            line,
                            format!("a hash of {name}: {error}"),
                            &self.relock(),
                        );
                        return None;
                    }
                },
                Some((algorithm @ ("sha384" | "sha512"), _)) => other.push(algorithm),
                _ => {
                    self.problem(
                        ProblemKind::Invalid,
                        line,
                        format!("`{value}` is not a hash of the form `sha256:…`"),
                        &self.relock(),
                    );
                    return None;
                }
            }
        }
        if files.is_empty()
            && let Some(algorithm) = other.first()
        {
            let message = format!("{name} has only {algorithm} hashes; kiln works with sha256");
            let remedy = self.relock();
            self.problem(ProblemKind::LockMissingHashes, line, message, &remedy);
            return None;
        }
        files.sort();
        files.dedup();
        Some(files)
    }

    fn option(&mut self, line: usize, content: &str) {
        let end = content.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(content.len());
        let (option, value) = content.split_at(end);
        let value = value.trim_start_matches(|c: char| c == '=' || c.is_ascii_whitespace());
        // `-rfile` is as good as `-r file`.
        let (option, value) = match option.get(..2) {
            Some(short) if !option.starts_with("--") && option.len() > 2 => (short, &content[2..]),
            _ => (option, value),
        };
        let (message, remedy) = match option {
            // What these ask for is what kiln does anyway.
            "--require-hashes" | "--prefer-binary" | "--pre" => return,
            "--only-binary" if value == ":all:" => return,
            "-r" | "--requirement" => (
                format!("not supported yet: the file includes `{value}`"),
                "put all requirements into one file: pip-compile and uv write one from several inputs",
            ),
            "-c" | "--constraint" => (
                format!("not supported yet: the file refers to the constraints in `{value}`"),
                "give the constraints to the command that makes the lock; a complete lock needs none",
            ),
            "-e" | "--editable" => (
                format!("not supported: `{value}` is editable, so nothing pins its content"),
                "list your own code as the artifact's source, and the rest as pinned requirements",
            ),
            "-i" | "--index-url" | "--extra-index-url" | "--no-index" | "-f" | "--find-links"
            | "--trusted-host" => (
                format!("not supported yet: `{option}` in a requirements file"),
                "state the package index in kiln.toml and leave it out here (pip-compile: --no-emit-index-url \
                 --no-emit-find-links); the hashes already pin every file",
            ),
            "--no-binary" => (
                format!("not supported: `--no-binary {value}` asks for builds from source"),
                "remove the option and lock versions that have wheels",
            ),
            other => (format!("not supported: option `{other}`"), "remove the option"),
        };
        self.problem(ProblemKind::Unsupported, line, message, &[remedy.to_owned()]);
    }

    /// The same name twice needs a marker on each line, else both would always apply.
    fn check_repeated_names(&mut self) {
        let mut seen: BTreeMap<&DistributionName, Vec<&Locked>> = BTreeMap::new();
        for locked in &self.lock {
            seen.entry(&locked.name).or_default().push(locked);
        }
        let mut problems = Vec::new();
        for (name, lines) in seen {
            if let [.., last] = &lines[..]
                && lines.len() > 1
                && let Some(always) = lines.iter().find(|l| l.markers.is_empty())
                && lines.iter().any(|l| l.version != always.version)
            {
                let versions: Vec<String> =
                    lines.iter().map(|l| format!("{} (line {})", l.version, l.line)).collect();
                let message = format!("{name} is pinned to several versions: {}", versions.join(", "));
                problems.push(
                    InputProblem::new(ProblemKind::Invalid, self.file, Some(last.line), message)
                        .remedy("keep one of the lines, or give each a marker that excludes the others"),
                );
            }
        }
        self.problems.extend(problems);
    }
}

fn looks_like_a_path(requirement: &str) -> bool {
    requirement.starts_with(['.', '/']) || requirement.contains("://") || requirement.ends_with(".whl")
}

/// Joins lines that end in a backslash, as pip does: a comment line ends the joining. Gives the number of the first.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let line = if index == 0 { line.strip_prefix('\u{feff}').unwrap_or(line) } else { line };
        let comment = line.trim_start().starts_with('#');
        let joined = if comment { None } else { line.strip_suffix('\\') };
        let (number, mut content) = open.take().unwrap_or((index + 1, String::new()));
        if comment {
            // The space lets the comment be recognised after what was joined before it.
            content.push(' ');
        }
        content.push_str(joined.unwrap_or(line));
        if joined.is_some() {
            content.push(' ');
            open = Some((number, content));
        } else {
            lines.push((number, content));
        }
    }
    lines.extend(open);
    lines
}

/// A comment begins at a `#` that starts the line or follows white space.
fn without_comment(line: &str) -> &str {
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        if c == '#' && before.is_whitespace() {
            return &line[..at];
        }
        before = c;
    }
    line
}

/// The command in the header that pip-compile and uv write.
pub(crate) fn made_by(text: &str) -> Option<String> {
    let mut header = text.lines().take(12).take_while(|line| line.starts_with('#'));
    header.by_ref().find(|line| line.contains("autogenerated by"))?;
    let command = header
        .map(|line| line.trim_start_matches('#').trim())
        .find(|line| line.starts_with("pip-compile") || line.starts_with("uv "))?;
    let printable = command.len() <= 500 && !command.chars().any(char::is_control);
    printable.then(|| command.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn problems(text: &str) -> Vec<InputProblem> {
        parse_requirements("requirements.txt", text).unwrap_err()
    }

    #[test]
    fn styles_of_the_three_tools() {
        let text = format!(
            "#\n# This file is autogenerated by pip-compile with Python 3.12\n# by the following command:\n#\n\
             #    pip-compile --generate-hashes requirements.in\n#\n\
             certifi==2025.1.31 \\\n    --hash=sha256:{A} \\\n    --hash=sha256:{B}\n    # via requests\n\
             colorama==0.4.6 ; python_version >= \"3.9\" and sys_platform == \"win32\" --hash=sha256:{A}\n\
             uvicorn[standard]==0.30.0 ; python_full_version < '4' \\\n    --hash=sha256:{B} # inline\n\
             --only-binary :all:\n"
        );
        let lock = parse_requirements("requirements.txt", &text).unwrap();
        let lines: Vec<(&str, &str, usize, usize)> = lock
            .distributions
            .iter()
            .map(|d| (d.name.as_str(), d.version.as_str(), d.line, d.files.len()))
            .collect();
        assert_eq!(
            lines,
            [("certifi", "2025.1.31", 7, 2), ("colorama", "0.4.6", 11, 1), ("uvicorn", "0.30.0", 12, 1)]
        );
        assert_eq!(
            lock.distributions[1].markers,
            ["python_version >= \"3.9\" and sys_platform == \"win32\""]
        );
        assert_eq!(lock.distributions[2].extras, ["standard"]);
        assert_eq!(lock.declared.len(), 3);
        assert_eq!(lock.declared[0].text, "certifi==2025.1.31");
        assert_eq!(lock.made_by.as_deref(), Some("pip-compile --generate-hashes requirements.in"));
    }

    #[test]
    fn an_incomplete_lock_names_every_line_and_the_way_out() {
        let found = problems(&format!("six==1.17.0\nidna>=3 --hash=sha256:{A}\nattrs --hash=sha256:{A}\n"));
        assert_eq!(found.iter().map(|p| p.line.unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(found.iter().all(|p| p.kind == ProblemKind::LockMissingHashes));
        assert!(found[0].message.contains("six==1.17.0") && found[0].remedy[0].contains("--generate-hashes"));
        assert_eq!(found[0].finding().unwrap().code.as_str(), "lock-missing");
        assert_eq!(problems("six==1.* --hash=sha256:00\n").len(), 1);
        let found = problems(&format!("six==1.*  --hash=sha256:{A}\n"));
        assert_eq!(found[0].kind, ProblemKind::LockMissingHashes);
        let found = problems(&format!("six==1 --hash=sha512:{A}{A}\n"));
        assert!(found[0].message.contains("sha512"));
    }

    #[test]
    fn what_is_not_supported_says_so() {
        for text in [
            "-r other.txt",
            "-rother.txt",
            "--constraint=c.txt",
            "-e .",
            "./a.whl",
            "--index-url https://example.org/simple",
            "a @ https://example.org/a.whl",
            "git+https://example.org/a",
            "--no-binary :all:",
            "--frob",
        ] {
            let found = problems(text);
            assert_eq!(found[0].kind, ProblemKind::Unsupported, "{text}: {found:?}");
            assert!(!found[0].remedy.is_empty(), "{text}");
        }
    }

    #[test]
    fn one_name_with_two_versions_needs_markers() {
        let found = problems(&format!("six==1 --hash=sha256:{A}\nsix==2 --hash=sha256:{B}\n"));
        assert!(found[0].message.contains("1 (line 1), 2 (line 2)"), "{found:?}");
        let fine = format!(
            "six==1 ; python_version < '3.9' --hash=sha256:{A}\nsix==2 ; python_version >= '3.9' --hash=sha256:{B}\n"
        );
        assert!(parse_requirements("r.txt", &fine).is_ok());
    }

    #[test]
    fn hostile_text_gives_problems_not_panics() {
        for text in [
            "\\",
            "=\\\n=",
            "-",
            "--",
            "-é",
            "é==1",
            "a==1 --hash",
            "a==1 --hash=",
            "a==1 --hash=sha256:é",
            "\u{feff}#",
        ] {
            drop(parse_requirements("r.txt", text));
        }
        assert!(parse_requirements("r.txt", "").unwrap().distributions.is_empty());
    }
}
