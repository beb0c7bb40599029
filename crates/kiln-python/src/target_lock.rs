//! The lock that `kiln lock ARTIFACT` writes: a requirements file with hashes whose header says for which target and from
//! which input it was made.

use crate::declaration::Declaration;
use crate::lock::Lock;
use crate::select::same_version;
use crate::{PythonError, TargetEnvironment, parse_requirements};
use kiln_record::{Code, Digest, DistributionName, Finding};
use pep440_rs::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// The version of the header's form.
const FORMAT: &str = "1";

/// What a lock was resolved for. A bug-fix release of Python does not make it another target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockTarget {
    /// Major and minor version of Python.
    pub python: (u32, u32),
    /// `x86_64` or `aarch64`.
    pub machine: String,
    /// The glibc that wheels may need.
    pub glibc: (u32, u32),
}

impl LockTarget {
    /// The target of an artifact; `None` where the base has no glibc.
    #[must_use]
    pub fn of(environment: &TargetEnvironment) -> Option<Self> {
        Some(Self {
            python: environment.python(),
            machine: environment.machine().to_owned(),
            glibc: environment.glibc()?,
        })
    }

    fn parse(text: &str) -> Option<Self> {
        let pair = |text: &str| {
            let (major, minor) = text.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        };
        match text.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            ["python", python, machine, "glibc", glibc] => {
                Some(Self { python: pair(python)?, machine: machine.to_owned(), glibc: pair(glibc)? })
            }
            _ => None,
        }
    }
}

impl fmt::Display for LockTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (python, glibc) = (self.python, self.glibc);
        write!(f, "python {}.{} {} glibc {}.{}", python.0, python.1, self.machine, glibc.0, glibc.1)
    }
}

/// The header of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHeader {
    /// The command that makes it again.
    pub command: String,
    /// What it was resolved for.
    pub target: LockTarget,
    /// The file that was locked, relative to the workspace.
    pub input: String,
    /// What the file asked for: [`Declaration::digest`].
    pub declared: Digest,
    /// What resolved it, such as `uv 0.13.9`.
    pub tool: String,
}

impl LockHeader {
    /// Reads the header of a requirements file; `None` if `kiln lock` did not write it.
    ///
    /// # Errors
    /// What is wrong with the header, as a fragment.
    #[must_use]
    pub fn read(text: &str) -> Option<Result<Self, String>> {
        let mut lines = text.lines();
        let command = lines.next()?.strip_prefix("# Written by `kiln lock ")?.split_once('`')?.0;
        let mut field = |name: &str| -> Result<String, String> {
            let line = lines.next().unwrap_or_default();
            match line.strip_prefix("# ").and_then(|line| line.strip_prefix(name)?.strip_prefix(": ")) {
                Some(value) if !value.is_empty() => Ok(value.to_owned()),
                _ => Err(format!("its header has no line `# {name}: …` where it should be")),
            }
        };
        let mut read = || -> Result<Self, String> {
            let format = field("kiln-lock")?;
            if format != FORMAT {
                return Err(format!("its header has format {format}; this kiln reads {FORMAT}"));
            }
            let target = field("for")?;
            let from = field("from")?;
            let (input, digest) = from.rsplit_once(' ').unwrap_or_default();
            let declared = digest.parse().map_err(|_| "its header has no digest of its input".to_owned())?;
            Ok(Self {
                command: format!("kiln lock {command}"),
                target: LockTarget::parse(&target)
                    .ok_or_else(|| format!("its header is for `{target}`, which is no target"))?,
                input: input.to_owned(),
                declared,
                tool: field("with")?,
            })
        };
        Some(read())
    }
}

/// One distribution that was resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The distribution.
    pub name: DistributionName,
    /// The extras of it that are asked for, sorted.
    pub extras: Vec<String>,
    /// Its version.
    pub version: String,
    /// The digests of its files.
    pub hashes: BTreeSet<Digest>,
    /// Who asks for it.
    pub via: BTreeSet<String>,
    /// The index in `kiln.toml` that it is bound to, unless that is the default one.
    pub index: Option<String>,
}

/// Reads what `uv pip compile --generate-hashes --annotation-style split` wrote. `origins` are the names of the inputs
/// `0.in`, `1.in` and so on.
///
/// # Errors
/// [`PythonError::Resolution`] if a line has another form than expected: nothing is left out in silence.
pub fn read_resolution(text: &str, origins: &[String]) -> Result<Vec<Pinned>, PythonError> {
    let error = |line: &str| PythonError::Resolution { line: line.chars().take(200).collect() };
    let mut all: Vec<Pinned> = Vec::new();
    for line in text.lines() {
        let content = line.trim().trim_end_matches('\\').trim_end();
        if content.is_empty() {
            continue;
        }
        if let Some(hash) = content.strip_prefix("--hash=sha256:") {
            let last = all.last_mut().ok_or_else(|| error(line))?;
            last.hashes.insert(Digest::from_hex(hash).map_err(|_| error(line))?);
        } else if let Some(comment) = content.strip_prefix('#') {
            let reason = comment.trim();
            let reason = reason.strip_prefix("via").map_or(reason, str::trim);
            let (Some(last), false) = (all.last_mut(), reason.is_empty()) else { continue };
            if let Some(file) = reason.strip_prefix("-r ") {
                let number = file.strip_suffix(".in").and_then(|number| number.parse::<usize>().ok());
                let origin = number.and_then(|number| origins.get(number)).ok_or_else(|| error(line))?;
                last.via.insert(origin.clone());
            } else if !reason.starts_with('-') {
                last.via.insert(reason.to_owned());
            }
        } else if line.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let (name, version) = content.split_once("==").ok_or_else(|| error(line))?;
            let (name, extras) = match name.split_once('[') {
                Some((name, extras)) => (name, extras.strip_suffix(']').ok_or_else(|| error(line))?),
                None => (name, ""),
            };
            Version::from_str(version).map_err(|_| error(line))?;
            all.push(Pinned {
                name: name.parse().map_err(|_| error(line))?,
                extras: extras.split(',').filter(|extra| !extra.is_empty()).map(str::to_owned).collect(),
                version: version.to_owned(),
                hashes: BTreeSet::new(),
                via: BTreeSet::new(),
                index: None,
            });
        } else {
            return Err(error(line));
        }
    }
    if let Some(without) = all.iter().find(|pinned| pinned.hashes.is_empty()) {
        return Err(error(&format!("{}=={} has no hash", without.name, without.version)));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// The text of a lock: the same for the same header and distributions, whatever their order.
#[must_use]
pub fn render_lock(header: &LockHeader, pinned: &[Pinned]) -> String {
    let mut text = format!(
        "# Written by `{}`. Do not edit: run the command again.\n# kiln-lock: {FORMAT}\n# for: {}\n# from: {} {}\n\
         # with: {}\n",
        header.command, header.target, header.input, header.declared, header.tool
    );
    let sorted: BTreeMap<&DistributionName, &Pinned> = pinned.iter().map(|one| (&one.name, one)).collect();
    for one in sorted.values() {
        let extras =
            if one.extras.is_empty() { String::new() } else { format!("[{}]", one.extras.join(",")) };
        text.push_str(&format!("{}{extras}=={}", one.name, one.version));
        for hash in &one.hashes {
            text.push_str(&format!(" \\\n    --hash=sha256:{}", hash.hex()));
        }
        text.push('\n');
        if let Some(index) = &one.index {
            text.push_str(&format!("    # index: {index}\n"));
        }
        let via: Vec<&str> = one.via.iter().map(String::as_str).collect();
        match via[..] {
            [] => {}
            [one] => text.push_str(&format!("    # via {one}\n")),
            _ => {
                text.push_str("    # via\n");
                via.iter().for_each(|by| text.push_str(&format!("    #   {by}\n")));
            }
        }
    }
    text
}

/// What became of a distribution from one lock to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its version is newer.
    Upgraded,
    /// Its version is older.
    Downgraded,
    /// Its version is the same, its files are not.
    Rehashed,
}

impl ChangeKind {
    /// One word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Upgraded => "upgraded",
            Self::Downgraded => "downgraded",
            Self::Rehashed => "rehashed",
        }
    }
}

/// One distribution that differs between two locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockChange {
    /// The distribution.
    pub name: DistributionName,
    /// What became of it.
    pub kind: ChangeKind,
    /// Its version before.
    pub before: Option<String>,
    /// Its version now.
    pub after: Option<String>,
}

/// What differs between a lock, if there is one that can be read, and what was resolved; sorted by name.
#[must_use]
pub fn lock_changes(before: Option<&str>, after: &[Pinned]) -> Vec<LockChange> {
    let before = before.and_then(|text| parse_requirements("lock", text, &mut |_| None).ok());
    let mut old: BTreeMap<DistributionName, (String, BTreeSet<Digest>)> = before
        .into_iter()
        .flat_map(|lock| lock.distributions)
        .map(|locked| (locked.name, (locked.version, locked.files.iter().map(|file| file.digest).collect())))
        .collect();
    let mut changes = Vec::new();
    for now in after {
        let was = old.remove(&now.name);
        let kind = match &was {
            None => ChangeKind::Added,
            Some((version, hashes)) if same_version(version, &now.version) => {
                if *hashes == now.hashes {
                    continue;
                }
                ChangeKind::Rehashed
            }
            Some((version, _)) => match (Version::from_str(version), Version::from_str(&now.version)) {
                (Ok(was), Ok(is)) if is < was => ChangeKind::Downgraded,
                _ => ChangeKind::Upgraded,
            },
        };
        changes.push(LockChange {
            name: now.name.clone(),
            kind,
            before: was.map(|(version, _)| version),
            after: Some(now.version.clone()),
        });
    }
    changes.extend(old.into_iter().map(|(name, (version, _))| LockChange {
        name,
        kind: ChangeKind::Removed,
        before: Some(version),
        after: None,
    }));
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}

/// Judges whether a lock is the one of an artifact: made for its target, and from what its input asks for. `declaration` is
/// what the manifest's `requirements` says, if it names one; `command` makes the lock again.
#[must_use]
pub fn is_of_input(
    lock_file: &str,
    lock_text: &str,
    declaration: Option<&Declaration>,
    environment: &TargetEnvironment,
    command: &str,
) -> Vec<Finding> {
    let stale = |cause: String| Finding::new(Code::LockStale, lock_file, cause);
    let header = match (LockHeader::read(lock_text), declaration) {
        (None, None) => return Vec::new(),
        (None, Some(declaration)) => {
            let cause = format!(
                "it was not made by kiln, so nothing says that it belongs to {}, which the manifest names as its input",
                declaration.file
            );
            return vec![
                stale(cause)
                    .remedy(format!("make it: {command}"))
                    .remedy("or remove `requirements` from [python] of the manifest"),
            ];
        }
        (Some(Err(message)), _) => return vec![stale(message).remedy(format!("make it again: {command}"))],
        (Some(Ok(header)), _) => header,
    };
    let mut findings = Vec::new();
    match LockTarget::of(environment) {
        Some(target) if target == header.target => {}
        other => {
            let now = other.map_or_else(|| "a base without glibc".to_owned(), |target| target.to_string());
            findings.push(
                stale(format!("the lock was made for {}, but the artifact is for {now}", header.target))
                    .remedy(format!("lock again: {command}"))
                    .remedy("or take back the change to the base or the target"),
            );
        }
    }
    if let Some(declaration) = declaration
        && declaration.digest() != header.declared
    {
        let cause = if declaration.file == header.input {
            format!("the lock was made before {} changed: it asks for something else now", declaration.file)
        } else {
            format!("the lock was made from {}, but the manifest names {}", header.input, declaration.file)
        };
        findings.push(
            stale(cause)
                .remedy(format!("lock again: {command}"))
                .remedy("or take back the change, of the file or of `groups` and `extras` in the manifest"),
        );
    }
    findings
}

/// What is asked for on the target and not in the lock, or in another version than asked for.
#[must_use]
pub fn declared_not_locked(
    declaration: &Declaration,
    lock: &Lock,
    environment: &TargetEnvironment,
    command: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for wanted in &declaration.wanted {
        let declared = &wanted.declared;
        let place = format!("`{}` ({}:{})", declared.text, declared.file, declared.line);
        let applies = match &declared.marker {
            None => true,
            Some(marker) => match environment.evaluate(marker, &[]) {
                Ok(verdict) => verdict.value,
                // Whoever made the lock evaluated it, and a lock cannot be judged by what cannot be evaluated here.
                Err(_) => continue,
            },
        };
        if !applies {
            continue;
        }
        let locked: Vec<_> =
            lock.distributions.iter().filter(|locked| locked.name == declared.name).collect();
        let cause = if locked.is_empty() {
            format!("{place} is declared, but {} does not have it", lock.name)
        } else {
            let fits = locked.iter().any(|locked| {
                let version = Version::from_str(&locked.version);
                declared.constraint.as_ref().is_none_or(|constraint| {
                    version.as_ref().is_ok_and(|version| constraint.contains(version))
                })
            });
            // An override replaces what the project itself asks for, too.
            if fits || !declaration.overrides.is_empty() {
                continue;
            }
            format!("{place} is declared, but {} has {}", lock.name, locked[0].version)
        };
        findings.push(
            Finding::new(Code::DeclaredNotInstalled, declared.name.as_str(), cause)
                .detail("the lock was edited by hand, or damaged")
                .remedy(format!("lock again: {command}")),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::tests::interpreter;
    use crate::{LockedIndex, declare_requirements};
    use kiln_record::{Architecture, Runtime};

    fn environment(version: &str, runtime: &str) -> TargetEnvironment {
        let base = interpreter(version, (2, 36), "x86_64");
        TargetEnvironment::new(&base, Runtime::named(runtime).unwrap(), Architecture::Amd64).unwrap()
    }

    fn declare(text: &str) -> Declaration {
        declare_requirements("app/r.in", text, &mut |_| None).unwrap()
    }

    fn resolution() -> Vec<Pinned> {
        let text = format!(
            "uvicorn[standard]==0.30.0 \\\n    --hash=sha256:{b} \\\n    --hash=sha256:{a}\n    # via -r 0.in\n\
             click==8.1.7 \\\n    --hash=sha256:{a}\n    # via\n    #   -c constraints.txt\n    #   -r 1.in\n    #   uvicorn\n",
            a = "a".repeat(64),
            b = "b".repeat(64)
        );
        read_resolution(&text, &["app/r.in".to_owned(), "app/p.toml (group x y)".to_owned()]).unwrap()
    }

    fn header(declared: Digest) -> LockHeader {
        LockHeader {
            command: "kiln lock app".to_owned(),
            target: LockTarget::of(&environment("3.11.2", "python3.11")).unwrap(),
            input: "app/r.in".to_owned(),
            declared,
            tool: "uv 1.2.3".to_owned(),
        }
    }

    #[test]
    fn the_index_of_a_distribution_is_written_and_read_back() {
        let mut pinned = resolution();
        pinned[0].index = Some("acme".to_owned());
        let text = render_lock(&header(Digest::of(b"")), &pinned);
        assert!(text.contains("\n    # index: acme\n    # via"), "{text}");
        let lock = parse_requirements("lock.txt", &text, &mut |_| None).unwrap();
        let indexes: Vec<&LockedIndex> = lock.distributions.iter().map(|one| &one.index).collect();
        assert_eq!(indexes, [&LockedIndex::Named("acme".to_owned()), &LockedIndex::Default]);
        // In a file that kiln did not write, silence says nothing.
        let without_header = text.split_once("click").map(|(_, rest)| format!("click{rest}")).unwrap();
        let lock = parse_requirements("lock.txt", &without_header, &mut |_| None).unwrap();
        assert_eq!(lock.distributions[0].index, LockedIndex::Named("acme".to_owned()));
        assert_eq!(lock.distributions[1].index, LockedIndex::Unsaid);
    }

    #[test]
    fn a_lock_is_written_in_one_way() {
        let header = header(Digest::of(b""));
        let text = render_lock(&header, &resolution());
        let expected = format!(
            "# Written by `kiln lock app`. Do not edit: run the command again.\n# kiln-lock: 1\n\
             # for: python 3.11 x86_64 glibc 2.26\n# from: app/r.in {}\n# with: uv 1.2.3\n\
             click==8.1.7 \\\n    --hash=sha256:{a}\n    # via\n    #   app/p.toml (group x y)\n    #   uvicorn\n\
             uvicorn[standard]==0.30.0 \\\n    --hash=sha256:{a} \\\n    --hash=sha256:{b}\n    # via app/r.in\n",
            Digest::of(b""),
            a = "a".repeat(64),
            b = "b".repeat(64)
        );
        assert_eq!(text, expected);
        let mut reversed = resolution();
        reversed.reverse();
        assert_eq!(render_lock(&header, &reversed), text);
        assert_eq!(LockHeader::read(&text), Some(Ok(header)));
        let lock = parse_requirements("app/r.txt", &text, &mut |_| None).unwrap();
        assert_eq!(lock.made_by.as_deref(), Some("kiln lock app"));
        assert_eq!(lock.distributions[1].extras, ["standard"]);
        assert_eq!(lock.distributions[1].files.len(), 2);
    }

    #[test]
    fn headers_that_are_none() {
        assert_eq!(LockHeader::read("six==1\n"), None);
        assert_eq!(LockHeader::read("#\n# This file is autogenerated by pip-compile\n"), None);
        let text = render_lock(&header(Digest::of(b"")), &[]);
        for (from, to, part) in [
            ("# kiln-lock: 1", "# kiln-lock: 2", "format 2"),
            ("# for: python 3.11", "# for: ruby 3.11", "no target"),
            ("sha256:", "md5:", "no digest"),
            ("# with: uv 1.2.3\n", "", "`# with: …`"),
        ] {
            let error = LockHeader::read(&text.replace(from, to)).unwrap().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn other_output_is_not_taken() {
        for text in [
            "six",
            "six==one",
            "    six==1",
            "--hash=sha256:00",
            "six==1\n",
            "-e .",
            "six==1 \\\n  # via -r 9.in",
        ] {
            assert!(read_resolution(text, &[]).is_err(), "{text}");
        }
        assert_eq!(read_resolution("# nothing\n", &[]).unwrap(), []);
    }

    #[test]
    fn changes_are_told_apart() {
        let before = render_lock(&header(Digest::of(b"")), &resolution());
        let hash = |c: &str| BTreeSet::from([Digest::from_hex(&c.repeat(64)).unwrap()]);
        let one = |name: &str, version: &str, hashes| Pinned {
            name: name.parse().unwrap(),
            extras: Vec::new(),
            version: version.to_owned(),
            hashes,
            via: BTreeSet::new(),
            index: None,
        };
        let kinds = |after: &[Pinned]| -> Vec<(String, &str)> {
            let changes = lock_changes(Some(&before), after);
            changes.iter().map(|change| (change.name.to_string(), change.kind.as_str())).collect()
        };
        let named = |rows: &[(&str, &'static str)]| -> Vec<(String, &str)> {
            rows.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
        };
        assert_eq!(kinds(&resolution()), []);
        assert_eq!(
            kinds(&[one("click", "8.1.10", hash("a")), one("idna", "3", hash("a"))]),
            named(&[("click", "upgraded"), ("idna", "added"), ("uvicorn", "removed")])
        );
        assert_eq!(
            kinds(&[one("click", "8.1.7", hash("c")), one("uvicorn", "0.9", hash("a"))]),
            named(&[("click", "rehashed"), ("uvicorn", "downgraded")])
        );
        assert_eq!(lock_changes(None, &resolution()).len(), 2);
    }

    #[test]
    fn a_lock_of_another_input_or_target_is_stale() {
        let input = declare("uvicorn[standard]\nclick\n");
        let text = render_lock(&header(input.digest()), &resolution());
        let judge = |text: &str, declaration: Option<&Declaration>, environment: &TargetEnvironment| {
            let found = is_of_input("app/r.txt", text, declaration, environment, "kiln lock app");
            found
                .iter()
                .map(|finding| format!("{}: {}", finding.code.as_str(), finding.cause))
                .collect::<Vec<_>>()
        };
        let here = environment("3.11.9", "python3.11");
        assert_eq!(judge(&text, Some(&input), &here), [""; 0]);
        assert_eq!(judge(&text, Some(&declare("# x\nclick\nuvicorn[standard]")), &here), [""; 0]);
        assert_eq!(judge("six==1\n", None, &here), [""; 0]);
        let found = judge(&text, Some(&declare("click\n")), &here);
        assert!(found[0].starts_with("lock-stale: the lock was made before app/r.in changed"), "{found:?}");
        let found = judge(&text, None, &environment("3.13.5", "python3.13"));
        assert!(
            found[0].contains(
                "for python 3.11 x86_64 glibc 2.26, but the artifact is for python 3.13 x86_64 glibc 2.34"
            ),
            "{found:?}"
        );
        let found = judge("six==1\n", Some(&input), &here);
        assert!(found[0].contains("not made by kiln"), "{found:?}");
    }

    #[test]
    fn what_is_asked_for_must_be_locked() {
        let text = render_lock(&header(Digest::of(b"")), &resolution());
        let lock = parse_requirements("app/r.txt", &text, &mut |_| None).unwrap();
        let here = environment("3.11.2", "python3.11");
        let judge = |text: &str| {
            let found = declared_not_locked(&declare(text), &lock, &here, "kiln lock app");
            found.into_iter().map(|finding| (finding.subject, finding.cause)).collect::<Vec<_>>()
        };
        assert_eq!(judge("click>=8\nuvicorn\nsix ; python_version < '3'\n"), []);
        let found = judge("six\nclick>=9\n");
        assert!(found[0].1.contains("app/r.txt does not have it"), "{found:?}");
        assert!(
            found[1].1.contains("`click>=9` (app/r.in:2)") && found[1].1.contains("has 8.1.7"),
            "{found:?}"
        );
    }
}
