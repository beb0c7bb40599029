//! What a comparison of two builds tells, and how an entry that differs is judged.

use crate::RebuildError;
use crate::content::Contents;
use crate::stabilise::{Rule, same_under};
use kiln_collect::how_differ;
use kiln_record::{
    Code, ComponentId, Digest, Entry, Exit, Hasher, Level as FindingLevel, Record, TreePath, exit,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Read as _;
use std::path::Path;

/// How equal a rebuild is to what it was made after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every published file has the same bytes.
    E0,
    /// The same files, links and modes, in another container.
    E1,
    /// The same but for what named rules bring into one form.
    E2,
    /// The same but for files of which a policy's exception says, with a reason, that they are not reproducible.
    E3,
    /// Something differs that nothing explains.
    X,
}

impl Level {
    /// Its name in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::E0 => "E0",
            Self::E1 => "E1",
            Self::E2 => "E2",
            Self::E3 => "E3",
            Self::X => "X",
        }
    }

    /// What it means, as a clause.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::E0 => "identical bytes",
            Self::E1 => "identical files in another container",
            Self::E2 => "identical but for what named rules bring into one form",
            Self::E3 => "identical but for what an exception with a reason excuses",
            Self::X => "different",
        }
    }

    /// The exit code of a command that found it.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self {
            Self::E0 => exit::SUCCESS,
            Self::E1 => exit::REBUILT_E1,
            Self::E2 => exit::REBUILT_E2,
            Self::E3 => exit::REBUILT_E3,
            Self::X => exit::NOT_REPRODUCIBLE,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.as_str(), self.meaning())
    }
}

/// An entry that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryDifference {
    /// Its path; empty for the container itself.
    pub path: String,
    /// How it differs, as a clause: what was published comes first.
    pub how: String,
    /// What owns it in the rebuild, if it is there.
    pub component: Option<String>,
    /// The rule or the exception's reason by which it does not count.
    pub excused: Option<String>,
}

/// A rule that was needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stabilised {
    /// Its name.
    pub rule: &'static str,
    /// How many files it was needed for.
    pub files: usize,
}

/// What a comparison told.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// How equal they are.
    pub level: Level,
    /// What was published, by its digest.
    pub expected: Option<Digest>,
    /// What was built, by its digest.
    pub found: Option<Digest>,
    /// What differs, in path order; what nothing excuses comes first.
    pub differences: Vec<EntryDifference>,
    /// The rules that were needed.
    pub stabilised: Vec<Stabilised>,
    /// The keys in which the records differ; none if they are the same or there is none.
    pub record_keys: Vec<String>,
    /// What was not compared, and why.
    pub not_compared: Vec<String>,
}

impl Comparison {
    /// Takes the level that the differences come to, and the rules that they needed.
    pub(crate) fn judged_by(&mut self, judge: &Judge<'_>) {
        self.stabilised = judge
            .rules
            .iter()
            .map(|(rule, files)| Stabilised { rule: rule.as_str(), files: *files })
            .collect();
        let ruled: usize = judge.rules.values().sum();
        if self.differences.iter().all(|difference| difference.excused.is_some()) {
            self.level = if ruled == self.differences.len() { Level::E2 } else { Level::E3 };
        }
        self.differences.sort_by_key(|difference| difference.excused.is_some());
    }
}

/// Judges entries that differ.
pub(crate) struct Judge<'a> {
    record: &'a Record,
    /// Where the record's paths are below those that are judged; empty if they are the same.
    mount: &'a str,
    /// How many files each rule was needed for.
    rules: BTreeMap<Rule, usize>,
}

impl<'a> Judge<'a> {
    pub(crate) fn new(record: &'a Record, mount: &'a str) -> Self {
        Self { record, mount, rules: BTreeMap::new() }
    }

    /// What the record says that a file is of.
    pub(crate) fn owner(&self, path: &TreePath) -> Option<&'a ComponentId> {
        let place = match self.mount {
            "" => path.as_str(),
            mount => path.as_str().strip_prefix(mount)?.strip_prefix('/')?,
        };
        self.record.files.iter().find(|file| file.path.as_str() == place).map(|file| &file.component)
    }

    pub(crate) fn difference(
        &mut self,
        path: &TreePath,
        pair: (Option<&Entry>, Option<&Entry>),
        then: &mut Contents<'_>,
        here: &mut Contents<'_>,
    ) -> EntryDifference {
        let owner = self.owner(path);
        let mut excused = owner.and_then(|owner| self.exception(owner.name()));
        let how = match pair {
            (Some(_), None) => "it is not in the rebuild".to_owned(),
            (None, _) => "it is in the rebuild only".to_owned(),
            (
                Some(before @ Entry::File { digest, mode, .. }),
                Some(after @ Entry::File { digest: other, mode: now, .. }),
            ) => {
                if digest == other {
                    format!("its mode was {mode} and is {now}")
                } else {
                    match (then.of(path, before), here.of(path, after)) {
                        (Some(a), Some(b)) => {
                            if mode == now
                                && let Some(rule) = same_under(path.as_str(), &a, &b)
                            {
                                *self.rules.entry(rule).or_default() += 1;
                                excused = Some(format!("the rule {}", rule.as_str()));
                            }
                            how_differ(&a, &b)
                        }
                        _ => format!("its digest was {digest} and is {other} (what it was is not to be had)"),
                    }
                }
            }
            (Some(_), Some(_)) => "it is a link, or leads elsewhere, in one of them".to_owned(),
        };
        EntryDifference { path: path.to_string(), how, component: owner.map(ToString::to_string), excused }
    }

    /// The reason of an exception that says that what made this is not reproducible.
    fn exception(&self, maker: &str) -> Option<String> {
        let finding = self.record.findings.iter().find(|finding| {
            matches!(finding.code, Code::StepNotReproducible | Code::SdistNotReproducible)
                && finding.level == FindingLevel::Note
                && finding.subject == maker
        })?;
        // What the policy adds when it excuses a finding; a level that was merely lowered has no reason.
        finding.cause.split_once("; accepted").map(|(_, reason)| format!("accepted{reason}"))
    }
}

/// The keys of two records that differ.
pub(crate) fn differing_keys<T: Serialize>(a: &T, b: &T) -> Vec<String> {
    let value = |record: &T| match serde_json::to_value(record) {
        Ok(serde_json::Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    let (a, b) = (value(a), value(b));
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    keys.into_iter().filter(|key| a.get(*key) != b.get(*key)).cloned().collect()
}

pub(crate) fn digest_of(file: &Path) -> Result<Digest, RebuildError> {
    let mut file = fs_err::File::open(file)?;
    let mut hasher = Hasher::default();
    let mut piece = vec![0; 1 << 18];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finish()),
            length => hasher.update(&piece[..length]),
        }
    }
}
