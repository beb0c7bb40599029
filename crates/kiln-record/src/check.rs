//! Checks: what a build was held against, and what it was not.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! check_names {
    ($($(#[$doc:meta])* $variant:ident = $text:literal;)*) => {
        /// What a check establishes where it ran and found nothing. Names are never renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum CheckName {
            $($(#[$doc])* #[serde(rename = $text)] $variant,)*
        }

        impl CheckName {
            /// Every name, in the order in which checks run.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name as written in records.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

check_names! {
    /// Each file of a source folder in a git repository is part of a commit, as far as git tracks it.
    Tracked = "tracked";
    /// Of each distribution that the lock has it is known whether it is in the artifact, and why not.
    Distributions = "distributions";
    /// The base's own Python was asked what wheels and markers mean to it.
    Probe = "probe";
    /// Programs were held to all that is stated of them: limits, what they can write to, and who they are.
    Confinement = "confinement";
    /// Steps give the same files when they are run twice.
    Step = "step";
    /// Source distributions give the same wheel when they are built twice.
    Sdist = "sdist";
    /// The Dockerfile gives the same files when it is built twice.
    Dockerfile = "dockerfile";
    /// The Dockerfile was read by the frontend that it asks for.
    DockerfileSyntax = "dockerfile-syntax";
    /// The image says what it starts.
    Start = "start";
    /// Modules give the same bytecode when they are compiled twice.
    Bytecode = "bytecode";
    /// What is declared, locked, fetched and installed is the same.
    Reconcile = "reconcile";
    /// The base's own pip installs the same wheels to the same files.
    PipInstall = "pip-install";
    /// Every ELF file is for the target's machine, Python and C library.
    Elf = "elf";
    /// Every shared library that an ELF file needs is where the artifact runs.
    Libraries = "libraries";
    /// Links lead somewhere, bytecode has its source, and nothing is there twice.
    Tree = "tree";
    /// No name is taken from another module or hides characters, and no code runs before anything is imported.
    Names = "names";
    /// No file names a folder of the machine that it was made on, or holds a credential.
    Leaks = "leaks";
    /// A function and its layers do not hide each other's files.
    Layers = "layers";
    /// No path of an image takes the place of one that its base brings.
    BasePaths = "base-paths";
    /// Each file that a base brings belongs to a package.
    BasePackages = "base-packages";
    /// The handler and the modules of the distributions can be imported.
    Import = "import";
    /// The artifact's own modules can be imported.
    ImportOwn = "import-own";
    /// What is asked of modules that only the runtime provides is there.
    ImportProvided = "import-provided";
    /// Every module that the artifact's own code imports, wherever it does, is there and is declared.
    ImportsRead = "imports-read";
    /// The service passes the health check of its image.
    Health = "health";
    /// The function handles its events as the manifest says.
    Smoke = "smoke";
    /// The function's own runtime client was what handed it the events.
    SmokeClient = "smoke-client";
    /// The artifact is as small as Lambda and its manifest ask.
    Limits = "limits";
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One kind of check of a build: whether it ran, and on how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Check {
    /// Which.
    pub name: CheckName,
    /// What came of it.
    pub outcome: CheckOutcome,
}

/// Whether a check ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum CheckOutcome {
    /// It ran on this many subjects.
    Ran {
        /// How many things were looked at.
        subjects: u64,
        /// What they are: `distributions`, `ELF files`.
        unit: String,
    },
    /// It did not run, or left something out.
    NotChecked {
        /// Why.
        reason: String,
    },
}

impl Check {
    /// A check that ran.
    #[must_use]
    pub fn ran(name: CheckName, subjects: usize, unit: &str) -> Self {
        Self { name, outcome: CheckOutcome::Ran { subjects: subjects as u64, unit: unit.to_owned() } }
    }

    /// A check that did not run.
    #[must_use]
    pub fn not_checked(name: CheckName, reason: impl Into<String>) -> Self {
        Self { name, outcome: CheckOutcome::NotChecked { reason: reason.into() } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_kebab_case_and_written_as_they_are_read() {
        let texts: BTreeSet<&str> = CheckName::ALL.iter().map(|name| name.as_str()).collect();
        assert_eq!(texts.len(), CheckName::ALL.len());
        for name in CheckName::ALL {
            let text = name.as_str();
            assert!(text.bytes().all(|c| c.is_ascii_lowercase() || c == b'-'), "{text}");
            assert_eq!(serde_json::to_value(name).unwrap(), text);
            assert_eq!(serde_json::from_value::<CheckName>(text.into()).unwrap(), *name);
            assert_eq!(format!("{name:<20}|"), format!("{text:<20}|"));
        }
        assert!(serde_json::from_str::<CheckName>("\"imports\"").is_err());
    }
}
