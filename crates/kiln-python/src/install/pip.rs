//! Another installer's tree held against kiln's: every difference is explained by a rule, or is told.
//!
//! The rules are those of `docs/python.md`, "How a wheel is installed"; there is one for each row of the
//! table.

use crate::wheel::{RecordHash, parse_record};
use kiln_record::{Code, Digest, Finding};
use std::collections::{BTreeMap, BTreeSet};

/// The version of the rules. A step makes kiln compare again.
pub const INSTALLER_RULES: u32 = 1;

/// Runs the pip of a base: the one that Debian ships as a wheel for virtual environments, or else the one
/// that the interpreter finds.
pub const RUN_PIP: &str = "import glob, runpy, sys\n\
                           sys.path[:0] = glob.glob('/usr/share/python-wheels/pip-*.whl')[:1]\n\
                           sys.argv[0] = 'pip'\nrunpy.run_module('pip', run_name='__main__')\n";

/// One installed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallerFile {
    /// Whether its owner may execute it.
    pub executable: bool,
    /// The digest of its content.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Its content, where a rule needs it; see [`needs_content`].
    pub content: Option<Vec<u8>>,
}

impl InstallerFile {
    /// A file at a path, from its content.
    #[must_use]
    pub fn new(path: &str, executable: bool, content: Vec<u8>) -> Self {
        Self {
            executable,
            digest: Digest::of(&content),
            size: content.len() as u64,
            content: needs_content(path).then_some(content),
        }
    }
}

/// Installed files by their path in the folder of the installation.
pub type InstalledFiles = BTreeMap<String, InstallerFile>;

/// Whether a rule looks into a file at this path.
#[must_use]
pub fn needs_content(path: &str) -> bool {
    path.starts_with("bin/") || is_record(path)
}

/// Why a difference is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Who installed is not part of an artifact.
    InstallersTrace,
    /// RECORD is written anew.
    Record,
    /// Commands find their interpreter on the search path.
    InterpreterLine,
    /// Scripts can be executed.
    Mode,
    /// Data below `lib/` is kept.
    KeptData,
    /// pip adds a command to its own distribution, and to no other.
    PipsOwnCommand,
    /// The manifest's `[package]` section leaves out, changes or makes files after they were installed.
    Packaging,
}

impl Rule {
    /// The rule's name in the documentation's table.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InstallersTrace => "traces of installers",
            Self::Record => "RECORD",
            Self::InterpreterLine => "interpreter lines of commands",
            Self::Mode => "modes",
            Self::KeptData => "data below lib/",
            Self::PipsOwnCommand => "pip's own command",
            Self::Packaging => "rules of [package]",
        }
    }
}

/// What a comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstallerComparison {
    /// How many files are the same to the byte, with the same mode.
    pub same: usize,
    /// Differences that a rule explains.
    pub explained: Vec<(String, Rule)>,
    /// Differences that no rule explains, with what differs.
    pub unexplained: Vec<(String, String)>,
}

/// How many differences become findings of their own.
const FINDINGS: usize = 20;

impl InstallerComparison {
    /// A finding for each difference that no rule explains.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings: Vec<Finding> = self
            .unexplained
            .iter()
            .take(FINDINGS)
            .map(|(path, what)| {
                Finding::new(Code::InstallerDiffers, path, what).remedy(
                    "look at the wheel that brings it; if pip is right, please report it as a defect of kiln",
                )
            })
            .collect();
        let more = self.unexplained.len().saturating_sub(FINDINGS);
        if let (Some(last), true) = (findings.last_mut(), more > 0) {
            last.detail.push(format!("paths that differ, too: {more}"));
        }
        findings
    }
}

/// Holds pip's files against kiln's.
#[must_use]
pub fn compare_installed(ours: &InstalledFiles, pips: &InstalledFiles) -> InstallerComparison {
    let mut found = InstallerComparison::default();
    for (path, theirs) in pips {
        if is_installers_trace(path) {
            match ours.get(path) {
                None => found.explained.push((path.clone(), Rule::InstallersTrace)),
                Some(_) => found.unexplained.push((
                    path.clone(),
                    "it says who installed, and should not be in the artifact".to_owned(),
                )),
            }
            continue;
        }
        match ours.get(path) {
            None if is_pips_own_command(path, ours) => {
                found.explained.push((path.clone(), Rule::PipsOwnCommand));
            }
            None => found
                .unexplained
                .push((path.clone(), "pip installs it, and the artifact lacks it".to_owned())),
            Some(own) => compare_file(path, own, theirs, &mut found),
        }
    }
    for path in ours.keys().filter(|path| !pips.contains_key(*path)) {
        if path.starts_with("lib/") {
            found.explained.push((path.clone(), Rule::KeptData));
        } else if !is_installers_trace(path) {
            found
                .unexplained
                .push((path.clone(), "the artifact has it, and pip does not install it".to_owned()));
        }
    }
    check_records(ours, &mut found);
    found
}

fn compare_file(path: &str, own: &InstallerFile, theirs: &InstallerFile, found: &mut InstallerComparison) {
    let before = found.explained.len() + found.unexplained.len();
    if own.executable != theirs.executable {
        if own.executable && path.starts_with("bin/") {
            found.explained.push((path.to_owned(), Rule::Mode));
        } else {
            let shown = |executable| if executable { "0755" } else { "0644" };
            found.unexplained.push((
                path.to_owned(),
                format!("its mode is {} and pip's {}", shown(own.executable), shown(theirs.executable)),
            ));
        }
    }
    if own.digest != theirs.digest {
        if is_record(path) {
            found.explained.push((path.to_owned(), Rule::Record));
        } else if is_same_command(own, theirs) {
            found.explained.push((path.to_owned(), Rule::InterpreterLine));
        } else {
            found.unexplained.push((
                path.to_owned(),
                format!(
                    "its content is another: {} bytes with {}, and pip's {} bytes with {}",
                    own.size, own.digest, theirs.size, theirs.digest
                ),
            ));
        }
    }
    if found.explained.len() + found.unexplained.len() == before {
        found.same += 1;
    }
}

/// A path's place in a `.dist-info` folder at the top, if that is where it is.
fn in_dist_info(path: &str) -> Option<&str> {
    path.split_once(".dist-info/").filter(|(folder, _)| !folder.contains('/')).map(|(_, rest)| rest)
}

fn is_installers_trace(path: &str) -> bool {
    matches!(in_dist_info(path), Some("INSTALLER" | "REQUESTED" | "direct_url.json"))
}

/// Whether a path is the command `pip3.13` that pip makes for the running Python when it installs itself.
fn is_pips_own_command(path: &str, ours: &InstalledFiles) -> bool {
    let minor = path.strip_prefix("bin/pip3.").unwrap_or_default();
    !minor.is_empty()
        && minor.bytes().all(|byte| byte.is_ascii_digit())
        && ours.contains_key("pip/__main__.py")
}

fn is_record(path: &str) -> bool {
    in_dist_info(path) == Some("RECORD")
}

/// Whether two commands differ in their interpreter line alone, and ours names no path of a build.
fn is_same_command(own: &InstallerFile, theirs: &InstallerFile) -> bool {
    let (Some(own), Some(theirs)) = (&own.content, &theirs.content) else { return false };
    let rest = |content: &[u8]| -> Option<Vec<u8>> {
        let end = content.iter().position(|byte| *byte == b'\n').unwrap_or(content.len());
        content.starts_with(b"#!").then(|| content[end..].to_vec())
    };
    own.starts_with(b"#!/usr/bin/env python3") && rest(own).is_some() && rest(own) == rest(theirs)
}

/// RECORD differs from pip's, but it must be right: what it lists is there, and what is there is listed.
fn check_records(ours: &InstalledFiles, found: &mut InstallerComparison) {
    let mut listed = BTreeSet::new();
    for (record, file) in ours.iter().filter(|(path, _)| is_record(path)) {
        let text = String::from_utf8_lossy(file.content.as_deref().unwrap_or_default());
        let rows = match parse_record(record, &text) {
            Ok(rows) => rows,
            Err(error) => {
                found.unexplained.push((record.clone(), error.to_string()));
                continue;
            }
        };
        for (path, row) in rows {
            let right = ours.get(&path).is_some_and(|there| {
                path == *record
                    || (row.hash == Some(RecordHash::Sha256(there.digest)) && row.size == Some(there.size))
            });
            if !right {
                found
                    .unexplained
                    .push((record.clone(), format!("it lists {path} otherwise than it is there")));
            }
            listed.insert(path);
        }
    }
    for path in ours.keys().filter(|path| !listed.contains(*path)) {
        found.unexplained.push((path.clone(), "it is in no RECORD".to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, bool, &str)]) -> InstalledFiles {
        let file = |(path, executable, content): &(&str, bool, &str)| {
            ((*path).to_owned(), InstallerFile::new(path, *executable, content.as_bytes().to_vec()))
        };
        let mut files: InstalledFiles = list.iter().map(file).collect();
        let rows = files
            .iter()
            .map(|(path, file)| (kiln_record::TreePath::new(path).unwrap(), file.digest, file.size));
        let rows: Vec<_> = rows.collect();
        let record = kiln_record::TreePath::new("a-1.dist-info/RECORD").unwrap();
        let rows = rows.iter().map(|(path, digest, size)| (path, *digest, *size));
        let text = crate::render_record(rows, &record);
        files.insert(record.to_string(), InstallerFile::new(record.as_str(), false, text.into_bytes()));
        files
    }

    fn explained(ours: &[(&str, bool, &str)], pips: &[(&str, bool, &str)]) -> Vec<(String, &'static str)> {
        let found = compare_installed(&files(ours), &files(pips));
        assert_eq!(found.unexplained, []);
        found.explained.into_iter().map(|(path, rule)| (path, rule.as_str())).collect()
    }

    #[test]
    fn rules_explain_what_is_meant() {
        assert_eq!(explained(&[("a.py", false, "1")], &[("a.py", false, "1")]), []);
        let record = ("a-1.dist-info/RECORD".to_owned(), "RECORD");
        assert_eq!(
            explained(
                &[("bin/a", true, "#!/usr/bin/env python3\nx"), ("lib/data", false, "")],
                &[("bin/a", false, "#!/usr/bin/python3.13\nx"), ("a-1.dist-info/INSTALLER", false, "pip")],
            ),
            [
                ("a-1.dist-info/INSTALLER".to_owned(), "traces of installers"),
                record,
                ("bin/a".to_owned(), "modes"),
                ("bin/a".to_owned(), "interpreter lines of commands"),
                ("lib/data".to_owned(), "data below lib/"),
            ]
        );
    }

    #[test]
    fn pip_may_add_a_command_to_itself_alone() {
        let of_pip = [("pip/__main__.py", false, "")];
        let with_command = [of_pip[0], ("bin/pip3.13", true, "#!/usr/bin/python3.13\n")];
        assert!(explained(&of_pip, &with_command).contains(&("bin/pip3.13".to_owned(), "pip's own command")));
        let found = compare_installed(&files(&[]), &files(&with_command[1..]));
        assert_eq!(found.unexplained.len(), 1);
    }

    #[test]
    fn anything_else_is_told() {
        let told = |ours: &[(&str, bool, &str)], pips: &[(&str, bool, &str)]| -> Vec<String> {
            let found = compare_installed(&files(ours), &files(pips));
            assert_eq!(found.findings().len(), found.unexplained.len());
            found.unexplained.into_iter().map(|(path, what)| format!("{path}: {what}")).collect()
        };
        assert_eq!(told(&[], &[("a.py", false, "")]), ["a.py: pip installs it, and the artifact lacks it"]);
        assert_eq!(
            told(&[("a.py", false, "")], &[]),
            ["a.py: the artifact has it, and pip does not install it"]
        );
        assert_eq!(
            told(&[("a.py", true, "")], &[("a.py", false, "")]),
            ["a.py: its mode is 0755 and pip's 0644"]
        );
        assert_eq!(told(&[("a.py", false, "1")], &[("a.py", false, "2")]).len(), 1);
        // A script whose interpreter line names the build's Python, and one with another body.
        assert_eq!(
            told(&[("bin/a", true, "#!/build/python\nx")], &[("bin/a", true, "#!/usr/bin/python\nx")]).len(),
            1
        );
        assert_eq!(
            told(&[("bin/a", true, "#!/usr/bin/env python3\ny")], &[("bin/a", true, "#!/usr/bin/python\nx")])
                .len(),
            1
        );
        let trace = [("a-1.dist-info/INSTALLER", false, "kiln")];
        assert_eq!(told(&trace, &trace).len(), 1);
    }

    #[test]
    fn records_must_be_right() {
        let mut ours = files(&[("a.py", false, "1")]);
        ours.insert("b.py".to_owned(), InstallerFile::new("b.py", false, b"2".to_vec()));
        ours.insert("a.py".to_owned(), InstallerFile::new("a.py", false, b"3".to_vec()));
        let found = compare_installed(&ours, &ours);
        let told: Vec<&str> = found.unexplained.iter().map(|(_, what)| what.as_str()).collect();
        assert_eq!(told, ["it lists a.py otherwise than it is there", "it is in no RECORD"]);
    }
}
