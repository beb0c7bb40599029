//! Findings: judgements about a build. A wrong build is a finding; a broken run is an error.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a finding does to the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Reported as a fact; nothing to do.
    Note,
    /// Reported as something to look at; the artifact is published.
    Warn,
    /// The artifact is not published.
    Deny,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warn => "warn",
            Self::Deny => "deny",
        })
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $level:ident;)*) => {
        /// The stable code of a finding, in kebab-case. Codes are never renamed or reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum Code {
            $($(#[$doc])* #[cfg_attr(feature = "schema", schemars(rename = $text))] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The code as written in output and policies.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The level where no policy says otherwise.
            #[must_use]
            pub fn default_level(self) -> Level {
                match self {
                    $(Self::$variant => Level::$level,)*
                }
            }
        }
    };
}

codes! {
    /// A distribution that the project declares is not installed.
    DeclaredNotInstalled = "declared-not-installed", Deny;
    /// A distribution of the lock that the target needs is not installed.
    LockedNotInstalled = "locked-not-installed", Deny;
    /// A distribution is there that no lock names.
    InstalledNotLocked = "installed-not-locked", Deny;
    /// A distribution's metadata is there and its modules are not.
    MetadataWithoutModule = "metadata-without-module", Deny;
    /// A file of the artifact's own lies inside a package that a distribution brings.
    UnownedFile = "unowned-file", Warn;
    /// A regular package hides modules of the same name elsewhere on the search path.
    NamespaceBroken = "namespace-broken", Deny;
    /// An installed file differs from what its distribution's RECORD says, or is missing.
    RecordMismatch = "record-mismatch", Deny;
    /// Two owners claim one path with different content.
    PathCollision = "path-collision", Deny;
    /// Two paths differ only in case.
    CaseCollision = "case-collision", Deny;
    /// The base's interpreter is outside `requires-python`.
    RequiresPythonMismatch = "requires-python-mismatch", Deny;
    /// Whether something is installed hangs on the bug-fix release of Python.
    PatchLevelDecides = "patch-level-decides", Warn;
    /// The lock holds distributions, and none of them is installed.
    NothingSelected = "nothing-selected", Warn;
    /// The project that a lock belongs to is not installed, and the artifact has no sources of its own.
    ProjectLeftOut = "project-left-out", Warn;
    /// An installed distribution is not in a version that another one requires.
    RequirementConflict = "requirement-conflict", Deny;
    /// A file of a source folder is shipped, and git neither tracks nor ignores it.
    UntrackedFile = "untracked-file", Warn;
    /// A file of a source folder is left out by a rule for what nobody tracks, and git tracks it.
    TrackedFileLeftOut = "tracked-file-left-out", Warn;
    /// There is no lock, or it lacks hashes.
    LockMissing = "lock-missing", Deny;
    /// The lock does not belong to the project file beside it.
    LockStale = "lock-stale", Deny;
    /// Nothing, or more than one thing, says which package index a distribution belongs to.
    IndexNotBound = "index-not-bound", Deny;
    /// A base image is named without the digest that pins it.
    BaseNotPinned = "base-not-pinned", Deny;
    /// No wheel of the lock can be loaded by both the base and the target.
    NoCompatibleWheel = "no-compatible-wheel", Deny;
    /// Only a source distribution fits, and the manifest does not let it be built.
    SdistNotListed = "sdist-not-listed", Deny;
    /// The manifest lets a source distribution be built of which none is used.
    SdistNotUsed = "sdist-not-used", Warn;
    /// A source distribution requires something to be built with that the lock of build requirements does not have.
    BuildRequirementNotLocked = "build-requirement-not-locked", Deny;
    /// A source distribution with sources for a compiler was built to a wheel without native code.
    ExtensionNotBuilt = "extension-not-built", Warn;
    /// Building a source distribution twice gives two wheels.
    SdistNotReproducible = "sdist-not-reproducible", Deny;
    /// Running a step twice gives other files.
    StepNotReproducible = "step-not-reproducible", Deny;
    /// Building a Dockerfile twice gave other files.
    DockerfileNotReproducible = "dockerfile-not-reproducible", Deny;
    /// A Dockerfile is built with a network.
    NotHermetic = "not-hermetic", Warn;
    /// An image is to run as somebody whom it does not know.
    UserUnknown = "user-unknown", Deny;
    /// An image has something that is neither file, folder nor link.
    SpecialFile = "special-file", Deny;
    /// The handler's module, or a module it imports, cannot be imported.
    ImportFailed = "import-failed", Deny;
    /// The artifact's own code imports a module that is nowhere.
    ImportUnresolved = "import-unresolved", Deny;
    /// The artifact's own code imports a distribution that is there only because another one needs it.
    ImportedNotDeclared = "imported-not-declared", Warn;
    /// The handler's module or attribute does not exist.
    HandlerMissing = "handler-missing", Deny;
    /// A runtime without a language has no program that can be started.
    BootstrapMissing = "bootstrap-missing", Deny;
    /// An archive has nothing in it.
    NothingShipped = "nothing-shipped", Deny;
    /// A layer has files where its runtime does not look for them, or no file where it does.
    LayerOutOfReach = "layer-out-of-reach", Warn;
    /// A program in a layer's `extensions` that Lambda cannot start.
    ExtensionNotStartable = "extension-not-startable", Deny;
    /// The variables of a function are larger than Lambda takes.
    VariablesTooLarge = "variables-too-large", Deny;
    /// What is judged interfered with the process that judges it.
    CheckTampered = "check-tampered", Deny;
    /// The function did not handle an event as its manifest says.
    SmokeFailed = "smoke-failed", Deny;
    /// The base's own pip installs the same wheels to other files.
    InstallerDiffers = "installer-differs", Deny;
    /// A module or distribution is left out because the Lambda runtime has it.
    ProvidedByRuntime = "provided-by-runtime", Warn;
    /// A module or distribution is left out because a declared layer has it.
    ProvidedByLayer = "provided-by-layer", Note;
    /// An option of a lock is passed over.
    OptionPassedOver = "option-passed-over", Note;
    /// A check could not run here, so that the artifact is published without it.
    NotChecked = "not-checked", Warn;
    /// A native file cannot be understood, so that nothing is known of what it needs.
    ElfUnreadable = "elf-unreadable", Deny;
    /// An ELF file is for another machine.
    WrongMachine = "wrong-machine", Deny;
    /// An extension module is for another Python.
    WrongPythonAbi = "wrong-python-abi", Deny;
    /// An ELF file needs a newer glibc than the target runtime has.
    GlibcTooNew = "glibc-too-new", Deny;
    /// An ELF file needs a newer libstdc++ or libgcc than the target runtime has.
    LibstdcxxTooNew = "libstdcxx-too-new", Deny;
    /// A shared library that an ELF file needs is not where the artifact runs.
    NeededLibraryMissing = "needed-library-missing", Deny;
    /// An ELF file looks for libraries in folders of the machine that built it.
    RpathOutside = "rpath-outside", Note;
    /// The zip is larger than Lambda accepts.
    ZipTooLarge = "zip-too-large", Deny;
    /// The unpacked files, with layers, are larger than Lambda accepts.
    UnzippedTooLarge = "unzipped-too-large", Deny;
    /// The image is larger than Lambda accepts.
    ImageTooLarge = "image-too-large", Deny;
    /// A function's image has nothing that asks Lambda for events.
    RuntimeClientMissing = "runtime-client-missing", Deny;
    /// An archive has more files than its format counts.
    TooManyFiles = "too-many-files", Deny;
    /// A path holds characters that are not seen, or that turn the order of others around.
    MisleadingFileName = "misleading-file-name", Deny;
    /// A distribution brings a module under a name that belongs to Python, the runtime or another distribution.
    ModuleTakenOver = "module-taken-over", Deny;
    /// A distribution brings code that an interpreter runs before anything is imported.
    StartupCode = "startup-code", Warn;
    /// A file of an image runs as its owner or group, or with capabilities, whoever starts it.
    PrivilegedFile = "privileged-file", Warn;
    /// A file of an image takes the place of one that its base brings.
    ReplacesBaseFile = "replaces-base-file", Warn;
    /// The service does not pass the health check of its own image.
    HealthCheckFailed = "health-check-failed", Deny;
    /// The artifact is larger than its manifest allows.
    BudgetExceeded = "budget-exceeded", Deny;
    /// A pattern or rule of the manifest's `[package]` section applies to no file.
    PatternWithoutMatch = "pattern-without-match", Warn;
    /// Compiling a module twice gives two results.
    BytecodeNotReproducible = "bytecode-not-reproducible", Deny;
    /// A function ships something that a layer of it also has, in another version or with other content.
    LayerShadowed = "layer-shadowed", Warn;
    /// Two layers of a function have different content at one path.
    LayerOverlap = "layer-overlap", Warn;
    /// A file names a folder of the machine that it was made on.
    BuildPathLeak = "build-path-leak", Warn;
    /// A file holds something that looks like a credential.
    CredentialLeak = "credential-leak", Warn;
    /// There is bytecode without the source that it was compiled from.
    BytecodeWithoutSource = "bytecode-without-source", Warn;
    /// A link leads to nothing in the artifact.
    DanglingLink = "dangling-link", Warn;
    /// The text of a distribution's licence is that of another licence than it declares.
    LicenseDiffers = "license-differs", Note;
    /// A distribution's own bill of materials does not name what its native files show.
    SbomContradicted = "sbom-contradicted", Note;
    /// The same content is in the artifact several times.
    DuplicateContent = "duplicate-content", Note;
    /// An exception of the policy is past its end date.
    ExceptionExpired = "exception-expired", Warn;
    /// An exception that an artifact's manifest states accepts nothing that was found.
    ExceptionUnused = "exception-unused", Note;
}

impl Code {
    /// Whether this code says that the artifact does not hold what its lock or its files say, or that what was found of it
    /// cannot be believed. Such a finding cannot be
    /// given another level or an exception: what is wanted out is left out by name, and that is recorded.
    #[must_use]
    pub fn is_integrity(self) -> bool {
        matches!(
            self,
            Self::DeclaredNotInstalled
                | Self::LockedNotInstalled
                | Self::InstalledNotLocked
                | Self::MetadataWithoutModule
                | Self::RecordMismatch
                | Self::PathCollision
                | Self::NoCompatibleWheel
                | Self::SdistNotListed
                | Self::BuildRequirementNotLocked
                | Self::LockMissing
                | Self::LockStale
                | Self::IndexNotBound
                | Self::BaseNotPinned
                | Self::CheckTampered
        )
    }
}

/// A text that is not a finding code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a finding code")]
pub struct UnknownCode(pub String);

impl FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A judgement about one subject of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Finding {
    /// What kind of judgement.
    pub code: Code,
    /// What it does to the build, after the policy.
    pub level: Level,
    /// What it is about: a distribution, a path, a module, a limit.
    pub subject: String,
    /// What is wrong, in one sentence with the values that matter.
    pub cause: String,
    /// Further lines: where in which file, a traceback's end, the tags that exist.
    pub detail: Vec<String>,
    /// What to do, one way out each.
    pub remedy: Vec<String>,
    /// The place in the workspace that it is about, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
}

/// A place in a file that somebody wrote or a tool made, such as a line of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Place {
    /// The file, relative to the workspace, with `/`.
    pub file: String,
    /// The line, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

impl fmt::Display for Place {
    /// As compilers write it: `app/requirements.lock:12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

impl Place {
    /// A whole file.
    #[must_use]
    pub fn file(file: &str) -> Self {
        Self { file: file.to_owned(), line: None }
    }

    /// A line of a file.
    #[must_use]
    pub fn line(file: &str, line: usize) -> Self {
        Self { file: file.to_owned(), line: u32::try_from(line).ok() }
    }
}

impl Finding {
    /// A finding at its code's default level.
    #[must_use]
    pub fn new(code: Code, subject: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            code,
            level: code.default_level(),
            subject: subject.into(),
            cause: cause.into(),
            detail: Vec::new(),
            remedy: Vec::new(),
            place: None,
        }
    }

    /// Says which file of the workspace it is about, and which line.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds a line of detail.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.detail.push(line.into());
        self
    }

    /// Adds a way out.
    #[must_use]
    pub fn remedy(mut self, line: impl Into<String>) -> Self {
        self.remedy.push(line.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_kebab_case_and_read_back() {
        let texts: BTreeSet<&str> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.as_str().bytes().all(|c| c.is_ascii_lowercase() || c == b'-'), "{code}");
            assert_eq!(code.as_str().parse(), Ok(*code));
        }
    }
}
