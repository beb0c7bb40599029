//! What a requirements file without hashes asks for, with the files that it includes.

use super::declaration::{Declaration, Wanted};
use crate::input::{
    InputProblem, NAME_INDEX, ProblemKind, Remark, included_path, too_large, without_credentials,
};
use crate::lock::{DEEPEST, MOST_FILES, logical_lines, without_comment, words};
use crate::project::{Declared, specifier};
use crate::specifier::{Constraint, Dependency};
use std::collections::BTreeSet;

/// Reads a requirements file that says what is wanted, with the files that it includes by `-r` and `-c`.
/// `read` gives the text of such a file, as for [`parse_requirements`](crate::parse_requirements).
///
/// # Errors
/// Every problem of the files.
pub fn declare_requirements(
    file: &str,
    text: &str,
    read: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Declaration, Vec<InputProblem>> {
    let declaration = Declaration {
        file: file.to_owned(),
        wanted: Vec::new(),
        constraints: Vec::new(),
        overrides: Vec::new(),
        requires_python: None,
        prereleases: false,
        remarks: Vec::new(),
    };
    let mut reader = Reader {
        read,
        declaration,
        problems: Vec::new(),
        open: Vec::new(),
        known: BTreeSet::new(),
        length: 0,
    };
    reader.text(file, text, false);
    if reader.problems.is_empty() { Ok(reader.declaration) } else { Err(reader.problems) }
}

struct Reader<'a> {
    read: &'a mut dyn FnMut(&str) -> Option<String>,
    declaration: Declaration,
    problems: Vec<InputProblem>,
    open: Vec<String>,
    known: BTreeSet<(String, bool)>,
    length: usize,
}

impl Reader<'_> {
    fn problem(&mut self, kind: ProblemKind, line: usize, message: impl Into<String>, remedy: &str) {
        let file = self.open.last().cloned().unwrap_or_default();
        self.problems.push(InputProblem::new(kind, &file, Some(line), message).remedy(remedy));
    }

    fn text(&mut self, file: &str, text: &str, narrows: bool) {
        self.length = self.length.saturating_add(text.len());
        if let Some(problem) = too_large(file, self.length, self.declaration.wanted.len()) {
            self.problems.push(problem);
            return;
        }
        self.known.insert((file.to_owned(), narrows));
        self.open.push(file.to_owned());
        for (line, content) in logical_lines(text) {
            let content = without_comment(&content).trim();
            if content.starts_with('-') {
                self.option(line, content, narrows);
            } else if !content.is_empty() {
                self.line(line, content, narrows);
            }
        }
        self.open.pop();
    }

    fn line(&mut self, line: usize, content: &str, narrows: bool) {
        let (requirement, options) = content.split_once(" --").unwrap_or((content, ""));
        if options.starts_with("hash") {
            let message = format!("`{}` has hashes: this file is a lock already", requirement.trim());
            self.problem(
                ProblemKind::Invalid,
                line,
                message,
                "name it with `lock` under [python] and remove `requirements`, or take the hashes out",
            );
            return;
        }
        let dependency = match Dependency::parse(requirement) {
            Ok(dependency) if dependency.url.is_none() && options.is_empty() => dependency,
            Ok(Dependency { url: None, .. }) => {
                let message = format!("not supported: the options after `{}`", requirement.trim());
                self.problem(ProblemKind::Unsupported, line, message, "remove them");
                return;
            }
            Err(error) if !requirement.contains('/') && !requirement.starts_with("file:") => {
                self.problem(
                    ProblemKind::Invalid,
                    line,
                    error.to_string(),
                    "write a requirement such as name>=1,<2",
                );
                return;
            }
            _ => return self.place(line, requirement.trim()),
        };
        let file = self.open.last().cloned().unwrap_or_default();
        let declared = Declared {
            name: dependency.name,
            text: requirement.trim().to_owned(),
            file: file.clone(),
            line,
            marker: dependency.marker,
            constraint: Some(Constraint::from(dependency.specifiers)),
            group: "main".to_owned(),
            extras: dependency.extras,
            enabled_by: Vec::new(),
        };
        match specifier(&declared, false) {
            Ok(specifier) if narrows => self.declaration.constraints.push(specifier),
            Ok(specifier) => self.declaration.wanted.push(Wanted { declared, specifier, origin: file }),
            Err(message) => self.problem(ProblemKind::Unsupported, line, message, "write one range"),
        }
    }

    /// A requirement that names a place.
    fn place(&mut self, line: usize, requirement: &str) {
        let message = format!(
            "not supported: `{}` is a path or URL, which no hash of an index pins",
            without_credentials(requirement)
        );
        let remedy = "name a distribution that an index has; own code belongs in [source]";
        self.problem(ProblemKind::Unsupported, line, message, remedy);
    }

    fn option(&mut self, line: usize, content: &str, narrows: bool) {
        let mut words = words(content).into_iter();
        while let Some(word) = words.next() {
            let (option, value) = match (word.split_once('='), word.get(..2)) {
                (Some((option, value)), _) if option.starts_with("--") => {
                    (option.to_owned(), Some(value.to_owned()))
                }
                (_, Some(short)) if !word.starts_with("--") && word.len() > 2 => {
                    (short.to_owned(), Some(word[2..].trim_start_matches('=').to_owned()))
                }
                _ => (word, None),
            };
            match option.as_str() {
                "-r" | "--requirement" | "-c" | "--constraint" => {
                    let reference = value.or_else(|| words.next()).unwrap_or_default();
                    self.include(line, &option, &reference, narrows || option.contains('c'));
                }
                "--pre" => self.declaration.prereleases = true,
                "-i" | "--index-url" | "--extra-index-url" | "-f" | "--find-links" | "--trusted-host" => {
                    // The value may carry a password, so it is not repeated.
                    let _ = value.or_else(|| words.next());
                    let file = self.open.last().cloned().unwrap_or_default();
                    let message = format!(
                        "`{option}` is passed over: the index is the one that kiln is configured for"
                    );
                    self.declaration.remarks.push(Remark {
                        file,
                        line,
                        message,
                        remedy: NAME_INDEX.to_owned(),
                    });
                }
                "-e" | "--editable" => {
                    let reference = value.or_else(|| words.next()).unwrap_or_default();
                    self.place(line, &format!("-e {reference}"));
                }
                "--only-binary" => drop(value.or_else(|| words.next())),
                "--prefer-binary" | "--require-hashes" => {}
                _ => {
                    let message = format!("not supported: option `{option}`");
                    self.problem(ProblemKind::Unsupported, line, message, "remove it");
                    return;
                }
            }
        }
    }

    fn include(&mut self, line: usize, option: &str, reference: &str, narrows: bool) {
        let including = self.open.last().cloned().unwrap_or_default();
        let path = match included_path(&including, reference) {
            Ok(path) => path,
            Err(reason) => {
                let message =
                    format!("not supported: `{option} {}`: {reason}", without_credentials(reference));
                self.problem(ProblemKind::Unsupported, line, message, "include a file of the workspace");
                return;
            }
        };
        if self.open.contains(&path) {
            let message = format!("`{path}` includes itself");
            self.problem(ProblemKind::Invalid, line, message, "remove one of the lines");
        } else if self.known.contains(&(path.clone(), narrows)) {
            // Says the same a second time.
        } else if self.open.len() >= DEEPEST || self.known.len() >= MOST_FILES {
            let message = format!("`{path}` is one file too many");
            self.problem(ProblemKind::Unsupported, line, message, "put all requirements into one file");
        } else if let Some(text) = (self.read)(&path) {
            self.text(&path, &text, narrows);
        } else {
            let message = format!("the file `{path}`, which the line includes, cannot be read");
            self.problem(
                ProblemKind::Invalid,
                line,
                message,
                "add the file, or remove the line that includes it",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declare(text: &str) -> Result<Declaration, Vec<InputProblem>> {
        declare_requirements("app/r.in", text, &mut |path| {
            (path == "app/more.txt").then(|| "idna<4 # why\n".to_owned())
        })
    }

    fn specifiers(declaration: &Declaration) -> Vec<&str> {
        declaration.wanted.iter().map(|wanted| wanted.specifier.as_str()).collect()
    }

    #[test]
    fn lines_become_specifiers() {
        let text = "Requests[Socks] >= 2.31, <3\n# why\n-r more.txt\n-c more.txt\nidna ; python_version < '4'\n--pre\n\
                    -i https://me:secret@index.example/simple\nsix==1.17.0 \\\n  # pinned\n";
        let found = declare(text).unwrap();
        assert_eq!(
            specifiers(&found),
            ["requests[socks]>=2.31,<3", "idna<4", "idna ; python_version < '4'", "six==1.17.0"]
        );
        assert_eq!(found.constraints, ["idna<4"]);
        assert!(found.prereleases);
        assert_eq!(found.wanted[1].origin, "app/more.txt");
        assert!(found.remarks[0].message.contains("`-i`") && !found.remarks[0].message.contains("secret"));
    }

    #[test]
    fn the_digest_is_of_what_is_asked_for() {
        let digest = |text: &str| declare(text).unwrap().digest();
        assert_eq!(digest("six\nidna>=3\n"), digest("# new\nidna >= 3\n\nSix # old\n"));
        for other in ["six\nidna>=4\n", "six\n", "six\nidna>=3\n--pre\n", "six\nidna>=3\n-c more.txt\n"] {
            assert_ne!(digest("six\nidna>=3\n"), digest(other), "{other}");
        }
    }

    #[test]
    fn what_cannot_be_locked_is_refused_with_its_line() {
        for (text, part) in [
            ("six==1 --hash=sha256:00", "a lock already"),
            ("-e .", "`-e .` is a path or URL"),
            ("./own.whl", "path or URL"),
            ("own @ https://me:secret@example.org/own.whl", "path or URL"),
            ("git+https://me:secret@example.org/own", "path or URL"),
            ("six = 1", "six"),
            ("-r none.txt", "`app/none.txt`"),
            ("-r r.in", "includes itself"),
            ("--no-binary six", "`--no-binary`"),
            ("six --global-option=x", "options after `six`"),
        ] {
            let problems = declare(&format!("\n{text}\n")).unwrap_err();
            assert_eq!(problems[0].line, Some(2), "{text}");
            assert!(problems[0].message.contains(part), "{text}: {}", problems[0].message);
            assert!(!problems[0].message.contains("secret") && !problems[0].remedy.is_empty());
        }
    }
}
