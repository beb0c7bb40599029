//! The command line of what is known to be vulnerable.

use clap::{Args, ValueEnum};
use kiln_advisory::Severity;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// The builds, in the forms of kiln diff: dist, an artifact, a record.json, an archive, an SBOM, a reference in a registry
    #[arg(required = true)]
    pub(crate) builds: Vec<String>,
    /// An export of advisories in the form of OSV: a folder or zip of JSON documents, or a folder with such zips
    // Needed all the same: the command says what it is and where to get one, where it is not given.
    #[arg(long, value_name = "EXPORT")]
    pub(crate) osv: Option<PathBuf>,
    /// Statements on which of them do not matter: an OpenVEX document (.json) or a file of your own (.toml); may be given more
    /// than once
    #[arg(long, value_name = "FILE")]
    pub(crate) vex: Vec<PathBuf>,
    /// Ends with exit code 12 if there is a vulnerability at least this severe of which no statement says that it does not
    /// matter; what nobody rated, or what cannot be told, counts
    #[arg(long, value_enum, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<Least>,
    /// Writes statements on all of them to stdout: what the build's own evidence and --vex say
    #[arg(long = "as", value_enum, value_name = "STANDARD")]
    pub(crate) form: Option<VexForm>,
    /// Writes what was found to this file, too, as a dated in-toto statement about one build
    #[arg(long, value_name = "FILE")]
    pub(crate) statement: Option<PathBuf>,
}

/// The least severity that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Least {
    /// Whatever it is
    Any,
    /// CVSS from 0.1
    Low,
    /// CVSS from 4.0
    Medium,
    /// CVSS from 7.0
    High,
    /// CVSS from 9.0
    Critical,
}

impl Least {
    /// The severity.
    pub(crate) fn severity(self) -> Severity {
        match self {
            Self::Any => Severity::None,
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }

    /// The name on the command line.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            least => least.severity().as_str(),
        }
    }
}

/// A standard for statements on vulnerabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VexForm {
    /// OpenVEX 0.2.0
    Openvex,
    /// CycloneDX 1.6 with vulnerabilities alone
    Cyclonedx,
}
