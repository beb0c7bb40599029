//! Hashed requirements files, as pip-compile, `poetry export` and `uv export` write them (pip documentation,
//! "requirements file format" and "secure installs").

use super::file_place::FilePlace;
use super::header::{LockHeader, made_by};
use super::locked::{Lock, LockFormat, Locked, LockedFile, LockedIndex};
use super::requirements_direct::{direct, without_hash};
use super::requirements_lines::{DEEPEST, MOST_FILES, index_comment, logical_lines, without_comment, words};
use crate::input::{
    InputProblem, NAME_INDEX, ProblemKind, Remark, included_path, too_large, without_credentials,
};
use crate::project::Declared;
use crate::specifier::{Dependency, normal_extra};
use kiln_record::{Digest, DistributionName};
use pep440_rs::{Operator, Version, VersionSpecifiers};
use std::collections::{BTreeMap, BTreeSet};

/// Reads a requirements file in which every requirement has one version and at least one SHA-256 hash.
///
/// `read` gives the text of a file that is included with `-r` or `-c`, or `None` if there is none. Its
/// argument is a path of the kind that `file` is, resolved against the folder of the including file; it never
/// leaves the tree that `file` is relative to. Version and hashes may also come from a constraints file, as
/// in pip. What names an index is passed over with a remark: every requirement that is accepted has hashes,
/// which leave an index no choice.
///
/// # Errors
/// Every problem of the files: those of `file` first, then by file and line.
pub fn parse_requirements(
    file: &str,
    text: &str,
    read: &mut dyn FnMut(&str) -> Option<String>,
) -> Result<Lock, Vec<InputProblem>> {
    let made_by = made_by(text);
    let mut reader = Reader {
        main: file,
        file: file.to_owned(),
        open: Vec::new(),
        known: BTreeSet::new(),
        length: 0,
        read,
        made_by: made_by.as_deref(),
        by_kiln: LockHeader::read(text).is_some(),
        problems: Vec::new(),
        remarks: Vec::new(),
        asked: Vec::new(),
        constraints: Vec::new(),
        from_source: Vec::new(),
        lock: Vec::new(),
        declared: Vec::new(),
    };
    reader.text(file.to_owned(), text, Role::Requirements);
    // What names too many is not looked into.
    if reader.too_many().is_none() {
        reader.finish();
        reader.check_repeated_names();
    }
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
            overridden: Vec::new(),
            conflicts: Vec::new(),
            root: None,
            remarks: reader.remarks,
            made_by,
        })
    } else {
        let mut problems = reader.problems;
        problems.sort_by(|a, b| (a.file != file, &a.file, a.line).cmp(&(b.file != file, &b.file, b.line)));
        Err(problems)
    }
}

/// What the lines of a file are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    /// They are installed.
    Requirements,
    /// They narrow what others install.
    Constraints,
}

/// One line that names a distribution.
struct Line {
    dependency: Dependency,
    text: String,
    files: Vec<LockedFile>,
    file: String,
    line: usize,
    /// The index that a comment binds it to.
    index: Option<String>,
    /// The version and place that it names instead of asking an index.
    direct: Option<(String, FilePlace)>,
}

impl Line {
    /// The one version that it accepts.
    fn pin(&self) -> Option<&Version> {
        match &self.dependency.specifiers[..] {
            [one] if matches!(one.operator(), Operator::Equal | Operator::ExactEqual) => Some(one.version()),
            _ => None,
        }
    }
}

struct Reader<'a> {
    main: &'a str,
    /// The file that is being read.
    file: String,
    /// The files that include each other up to it.
    open: Vec<String>,
    known: BTreeSet<(String, Role)>,
    /// Bytes of all files so far.
    length: usize,
    read: &'a mut dyn FnMut(&str) -> Option<String>,
    made_by: Option<&'a str>,
    /// Whether `kiln lock` wrote the file.
    by_kiln: bool,
    problems: Vec<InputProblem>,
    remarks: Vec<Remark>,
    asked: Vec<Line>,
    constraints: Vec<Line>,
    /// What `--no-binary` names, with its place.
    from_source: Vec<(String, String, usize)>,
    lock: Vec<Locked>,
    declared: Vec<Declared>,
}

impl Reader<'_> {
    fn problem(&mut self, kind: ProblemKind, line: usize, message: impl Into<String>, remedy: &[String]) {
        let mut problem = InputProblem::new(kind, &self.file, Some(line), message);
        problem.remedy = remedy.to_vec();
        self.problems.push(problem);
    }

    fn remark(&mut self, line: usize, message: String, remedy: &str) {
        self.remarks.push(Remark { file: self.file.clone(), line, message, remedy: remedy.to_owned() });
    }

    /// Reads the text of one file, and of those that it includes.
    fn text(&mut self, file: String, text: &str, role: Role) {
        self.length = self.length.saturating_add(text.len());
        if let Some(problem) = too_large(&file, self.length, 0) {
            self.problems.push(problem);
            return;
        }
        let including = std::mem::replace(&mut self.file, file.clone());
        self.known.insert((file.clone(), role));
        self.open.push(file);
        let mut own = self.asked.len()..self.asked.len();
        for (line, whole) in logical_lines(text) {
            let content = without_comment(&whole).trim();
            if content.starts_with('-') {
                self.options(line, content);
                own = self.asked.len()..self.asked.len();
            } else if !content.is_empty() {
                own.start = self.asked.len();
                self.line(line, content, role);
                own.end = self.asked.len();
            }
            if let Some(problem) = self.too_many() {
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
                break;
            }
            // What kiln writes stands in a line of its own after the requirement.
            if let (Some(name), Some(asked)) = (index_comment(&whole), self.asked.get_mut(own.clone())) {
                asked.iter_mut().for_each(|asked| asked.index = Some(name.to_owned()));
            }
        }
        self.open.pop();
        self.file = including;
    }

    /// The problem of more lines than a lock may have.
    fn too_many(&self) -> Option<InputProblem> {
        too_large(self.main, 0, self.asked.len() + self.constraints.len())
    }

    fn include(&mut self, line: usize, option: &str, reference: &str, role: Role) {
        let remedy = ["put all requirements into one file: pip-compile and uv write one from several inputs"]
            .map(str::to_owned);
        let path = match included_path(&self.file, reference) {
            Ok(path) => path,
            Err(reason) => {
                let reference = without_credentials(reference);
                let message = format!("not supported: `{option} {reference}`: {reason}");
                self.problem(ProblemKind::Unsupported, line, message, &remedy);
                return;
            }
        };
        if self.open.contains(&path) {
            let circle = self.open.join("` includes `");
            let message = format!("`{circle}` includes `{path}` again");
            self.problem(ProblemKind::Invalid, line, message, &["remove one of the lines".to_owned()]);
        } else if self.known.contains(&(path.clone(), role)) {
            // A file that two others include says the same both times.
        } else if self.open.len() >= DEEPEST || self.known.len() >= MOST_FILES {
            let message =
                format!("`{path}` is one file too many: {DEEPEST} inside each other, or {MOST_FILES} in all");
            self.problem(ProblemKind::Unsupported, line, message, &remedy);
        } else {
            match (self.read)(&path) {
                Some(text) => self.text(path, &text, role),
                None => {
                    let message = format!("the file `{path}`, which the line includes, cannot be read");
                    let remedy = "add the file, or remove the line that includes it".to_owned();
                    self.problem(ProblemKind::Invalid, line, message, &[remedy]);
                }
            }
        }
    }

    /// How to make a complete file.
    fn relock(&self) -> Vec<String> {
        let mut ways = Vec::new();
        if let Some(command) = self.made_by {
            let hashes = ["--generate-hashes", "uv export", "kiln lock"];
            if hashes.iter().any(|part| command.contains(part)) {
                ways.push(format!("make the file again: {command}"));
            } else {
                ways.push(format!("make the file again with hashes: {command} --generate-hashes"));
            }
        } else {
            let file = &self.main;
            ways.push(
                "name it with `requirements` under [python], another file with `lock`, and run: kiln lock ARTIFACT"
                    .to_owned(),
            );
            ways.push(format!(
                "or make a hashed file: uv pip compile --generate-hashes requirements.in -o {file}"
            ));
        }
        ways
    }

    fn line(&mut self, line: usize, content: &str, role: Role) {
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
                self.direct(line, &requirement, None, &options, role);
                return;
            }
            Err(error) => {
                self.problem(ProblemKind::Invalid, line, error.to_string(), &[]);
                return;
            }
        };
        if dependency.url.is_some() {
            self.direct(line, &requirement, Some(&dependency), &options, role);
            return;
        }
        if role == Role::Constraints && !dependency.extras.is_empty() {
            let message = format!("the constraint `{requirement}` names extras, which pip does not allow");
            self.problem(ProblemKind::Invalid, line, message, &["remove the extras".to_owned()]);
            return;
        }
        let Some(files) = self.hashes(line, &dependency.name, &options) else { return };
        let found = Line {
            dependency,
            text: requirement,
            files,
            file: self.file.clone(),
            line,
            index: None,
            direct: None,
        };
        match role {
            Role::Requirements => self.asked.push(found),
            Role::Constraints => self.constraints.push(found),
        }
    }

    /// A requirement that names a place: a URL, or a path.
    fn direct(
        &mut self,
        line: usize,
        requirement: &str,
        dependency: Option<&Dependency>,
        options: &[&str],
        role: Role,
    ) {
        let file = self.file.clone();
        let found = match direct(&file, line, requirement, dependency, &mut *self.read) {
            Ok(found) => found,
            Err(problem) => {
                self.problems.push(problem);
                return;
            }
        };
        if role == Role::Constraints {
            let message = format!("not supported: the constraint `{}` is a place", found.name);
            self.problem(ProblemKind::Unsupported, line, message, &["make it a requirement".to_owned()]);
            return;
        }
        let Some(mut files) = self.hashes(line, &found.name, options) else { return };
        files.extend(found.hash);
        files.sort();
        files.dedup();
        if files.is_empty() && matches!(found.place, FilePlace::Url(_)) {
            self.problems.push(without_hash(&file, line, &found.name));
            return;
        }
        let (extras, marker) = match dependency {
            Some(dependency) => (dependency.extras.clone(), dependency.marker.clone()),
            None => (Vec::new(), None),
        };
        let specifiers = VersionSpecifiers::empty();
        let text = without_credentials(requirement);
        let dependency = Dependency { name: found.name, extras, specifiers, url: None, marker };
        let direct = Some((found.version, found.place));
        self.asked.push(Line { dependency, text, files, file, line, index: None, direct });
    }

    /// Joins the requirements with the constraints, when all files are read.
    fn finish(&mut self) {
        let constraints = std::mem::take(&mut self.constraints);
        for asked in std::mem::take(&mut self.asked) {
            self.file.clone_from(&asked.file);
            self.requirement(asked, &constraints);
        }
        self.main.clone_into(&mut self.file);
        for (name, file, line) in std::mem::take(&mut self.from_source) {
            let is_locked = self.lock.iter().any(|locked| locked.name.as_str() == normal_extra(&name));
            if is_locked || (name == ":all:" && !self.lock.is_empty()) {
                let message = format!("not supported: `--no-binary {name}` asks for builds from source");
                self.problems.push(
                    InputProblem::new(ProblemKind::Unsupported, &file, Some(line), message)
                        .remedy("remove the option and lock versions that have wheels"),
                );
            }
        }
    }

    fn requirement(&mut self, asked: Line, constraints: &[Line]) {
        let Line { line, text, .. } = &asked;
        let (line, text) = (*line, text.clone());
        let marker = &asked.dependency.marker;
        let mut version = asked.pin().cloned();
        let mut files = asked.files.clone();
        // A constraint under a condition of its own says something only for a requirement under the same.
        let own = constraints.iter().filter(|constraint| {
            constraint.dependency.name == asked.dependency.name
                && (constraint.dependency.marker.is_none() || constraint.dependency.marker == *marker)
        });
        for constraint in own {
            let place = format!("`{}` ({}:{})", constraint.text, constraint.file, constraint.line);
            let pin = constraint.pin().filter(|pin| asked.dependency.accepts(pin));
            version = version.or_else(|| pin.cloned());
            if version.as_ref().is_some_and(|version| !constraint.dependency.accepts(version)) {
                let message = format!("`{text}` does not fit the constraint {place}");
                let remedy = self.relock();
                self.problem(ProblemKind::Invalid, line, message, &remedy);
                return;
            }
            if files.is_empty() {
                files.clone_from(&constraint.files);
            } else if !constraint.files.is_empty() {
                // As in pip, a file needs a hash on both sides.
                files.retain(|file| constraint.files.contains(file));
                if files.is_empty() {
                    let message = format!("`{text}` shares no hash with the constraint {place}");
                    let remedy = self.relock();
                    self.problem(ProblemKind::Invalid, line, message, &remedy);
                    return;
                }
            }
        }
        let (version, place) = match asked.direct {
            Some((version, place)) => (Some(version), Some(place)),
            None => (version.map(|version| version.to_string()), None),
        };
        let lacks = match &version {
            _ if place.is_some() => String::new(),
            None => format!("`{text}` is not pinned to one version with `==`"),
            Some(_) if files.is_empty() => format!("`{text}` has no `--hash=sha256:…`"),
            Some(_) => String::new(),
        };
        let (Some(version), true) = (version, lacks.is_empty()) else {
            let remedy = self.relock();
            self.problem(ProblemKind::LockMissingHashes, line, lacks, &remedy);
            return;
        };
        self.declared.push(Declared {
            name: asked.dependency.name.clone(),
            text,
            file: asked.file.clone(),
            line,
            marker: marker.clone(),
            constraint: None,
            group: "main".to_owned(),
            extras: asked.dependency.extras.clone(),
            enabled_by: Vec::new(),
        });
        self.lock.push(Locked {
            name: asked.dependency.name,
            version,
            file: (asked.file != self.main).then_some(asked.file),
            line,
            markers: asked.dependency.marker.into_iter().collect(),
            groups: vec!["main".to_owned()],
            optional: false,
            extras: asked.dependency.extras,
            files,
            weak: Vec::new(),
            dependencies: Vec::new(),
            not_from_index: None,
            source: None,
            index: match asked.index {
                Some(name) => LockedIndex::Named(name),
                // kiln names the index of everything that is not from the default one.
                None if self.by_kiln => LockedIndex::Default,
                None => LockedIndex::Unsaid,
            },
            place,
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
                // pip takes the longer ones; the weak ones are found in files of before it refused them.
                Some((algorithm @ ("sha384" | "sha512" | "sha224" | "sha1" | "md5"), _)) => {
                    other.push(algorithm);
                }
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
            let message = format!("{name} is locked with {algorithm} alone; kiln takes files by SHA-256");
            let remedy = self.relock();
            self.problem(ProblemKind::LockMissingHashes, line, message, &remedy);
            return None;
        }
        files.sort();
        files.dedup();
        Some(files)
    }

    /// A line of options. Some take a value: `--name=value`, `--name value`, `-nvalue`.
    fn options(&mut self, line: usize, content: &str) {
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
            let alone = ["--require-hashes", "--prefer-binary", "--pre", "--no-index"];
            let value = match value {
                None if !alone.contains(&option.as_str()) => words.next().unwrap_or_default(),
                value => value.unwrap_or_default(),
            };
            self.option(line, &option, &value);
        }
    }

    fn option(&mut self, line: usize, option: &str, value: &str) {
        let (message, remedy) = match option {
            // What these ask for is what kiln does anyway.
            "--require-hashes" | "--prefer-binary" | "--pre" | "--only-binary" => return,
            "-r" | "--requirement" => return self.include(line, option, value, Role::Requirements),
            "-c" | "--constraint" => return self.include(line, option, value, Role::Constraints),
            "-i" | "--index-url" | "--extra-index-url" | "--no-index" | "-f" | "--find-links"
            | "--trusted-host" => {
                // The value may hold a password, so it is not repeated.
                let message =
                    format!("`{option}` is passed over: the hashes pin every file, wherever it comes from");
                self.remark(line, message, NAME_INDEX);
                return;
            }
            "--hash" => {
                let message =
                    "a hash in a line of its own belongs to no requirement, and is passed over as pip does";
                let remedy = "end the line before it with ` \\`, if the hash belongs to that";
                return self.remark(line, message.to_owned(), remedy);
            }
            "--no-binary" => {
                for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                    if name == ":none:" {
                        self.from_source.clear();
                    } else {
                        self.from_source.push((name.to_owned(), self.file.clone(), line));
                    }
                }
                return;
            }
            "-e" | "--editable" => return self.direct(line, value, None, &[], Role::Requirements),
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
                let place = |l: &Locked| match &l.file {
                    Some(file) => format!("{} ({file} line {})", l.version, l.line),
                    None => format!("{} (line {})", l.version, l.line),
                };
                let versions: Vec<String> = lines.iter().map(|l| place(l)).collect();
                let message = format!("{name} is pinned to several versions: {}", versions.join(", "));
                problems.push(
                    InputProblem::new(
                        ProblemKind::Invalid,
                        last.file.as_deref().unwrap_or(self.main),
                        Some(last.line),
                        message,
                    )
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

#[cfg(test)]
pub(crate) mod tests;
