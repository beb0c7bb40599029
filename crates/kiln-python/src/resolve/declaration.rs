//! What someone asks for before anything is resolved: the input of `kiln lock`.

use crate::input::Remark;
use crate::project::{Declared, RequiresPython};
use crate::specifier::Dependency;
use kiln_record::{Digest, DistributionName, digest_of_value};
use std::collections::BTreeSet;

/// The version of the rules by which a declaration becomes a digest. A step makes every lock stale.
const DECLARATION_RULES: u32 = 1;

/// What is asked for, with the groups and extras of one artifact chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// The file that was read.
    pub file: String,
    /// What is asked for, in the order of the files.
    pub wanted: Vec<Wanted>,
    /// What narrows versions without asking for anything, as specifiers.
    pub constraints: Vec<String>,
    /// What replaces the requirements of others, as specifiers.
    pub overrides: Vec<String>,
    /// The Pythons that the project is for.
    pub requires_python: Option<RequiresPython>,
    /// Whether pre-releases are wanted of everything.
    pub prereleases: bool,
    /// What the files say and locking passes over.
    pub remarks: Vec<Remark>,
}

/// One requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// As the file has it.
    pub declared: Declared,
    /// As a dependency specifier of the packaging specifications.
    pub specifier: String,
    /// The file, with the group or extra that asks for it: what a lock names as the reason.
    pub origin: String,
}

impl Wanted {
    /// As declared, with its group and extra taken as chosen: a declaration holds nothing else.
    #[must_use]
    pub fn chosen(&self) -> Declared {
        Declared { group: "main".to_owned(), enabled_by: Vec::new(), ..self.declared.clone() }
    }
}

impl Declaration {
    /// The distributions that the overrides decide about.
    pub fn overridden(&self) -> impl Iterator<Item = DistributionName> {
        self.overrides.iter().filter_map(|text| Some(Dependency::parse(text).ok()?.name))
    }

    /// The digest of what is asked for, whatever its order, layout and comments. A lock names it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let sorted = |lines: &[String]| lines.iter().cloned().collect::<BTreeSet<String>>();
        let wanted: BTreeSet<&str> = self.wanted.iter().map(|wanted| wanted.specifier.as_str()).collect();
        let python = self.requires_python.as_ref().map(|python| python.text.as_str());
        digest_of_value(&(
            DECLARATION_RULES,
            wanted,
            sorted(&self.constraints),
            sorted(&self.overrides),
            python,
            self.prereleases,
        ))
        .expect("texts and lists of texts have a JSON form")
    }
}
