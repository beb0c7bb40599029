//! The document of `kiln audit`.

use kiln_advisory::{Audit, Export, Finding, NotChecked, Rating, Statement, Unread};
use kiln_publish::NamedBuild;
use kiln_record::{Digest, Epoch};
use serde::Serialize;

/// The document of `--format json`. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct Document<'a> {
    format: &'static str,
    pub(super) export: ExportRow<'a>,
    pub(super) builds: Vec<BuildRow<'a>>,
    /// Statements of `--vex` that are about nothing that was found, by file and place.
    pub(super) statements_about_nothing: Vec<&'a str>,
    /// What `--fail-on` denies, and why.
    pub(super) denied: Vec<String>,
    /// Artifacts in a folder that was named, of which nothing could be looked up.
    pub(super) unread: Vec<UnreadBuildRow<'a>>,
}

/// A build that cannot be read.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct UnreadBuildRow<'a> {
    pub(super) artifact: &'a str,
    pub(super) reason: &'a str,
    /// The file that is wrong, if it is one that is known.
    file: Option<&'a str>,
    line: Option<u32>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct ExportRow<'a> {
    /// How many documents it has.
    pub(super) documents: u64,
    /// Of those, the ones that were taken back.
    pub(super) withdrawn: u64,
    /// The SHA-256 of the sorted list of all documents: SHA-256 in hexadecimal, two spaces, path, line feed.
    pub(super) digest: Digest,
    /// When the newest document last changed.
    pub(super) newest: Option<Epoch>,
    /// How many could not be read.
    pub(super) not_read_count: u64,
    /// The first of those.
    pub(super) not_read: Vec<UnreadRow<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct UnreadRow<'a> {
    pub(super) path: &'a str,
    pub(super) reason: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct BuildRow<'a> {
    pub(super) build: &'a str,
    artifact: &'a str,
    /// The digest of its archive, if it has one.
    archive: Option<Digest>,
    /// How many parts were looked up.
    pub(super) checked: u64,
    pub(super) findings: Vec<FindingRow<'a>>,
    /// What the lock or a bill names, has a vulnerability, and is not in the artifact.
    pub(super) absent: Vec<AbsentRow<'a>>,
    /// What was not looked up.
    pub(super) not_checked: Vec<NotCheckedRow<'a>>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct FindingRow<'a> {
    pub(super) id: &'a str,
    /// All of its names.
    names: Vec<&'a str>,
    /// The advisories that say so.
    advisories: &'a [String],
    pub(super) summary: Option<&'a str>,
    /// `critical`, `high`, `medium`, `low` or `none`: the highest of what its ratings come to.
    pub(super) severity: Option<&'static str>,
    /// The highest score of a vector, such as `9.8`.
    pub(super) score: Option<String>,
    ratings: Vec<RatingRow<'a>>,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    purl: &'a str,
    component: &'a str,
    /// The components that lead to it, from one that nothing requires.
    pub(super) via: &'a [String],
    /// The first files that it accounts for, or is inside.
    pub(super) files: &'a [String],
    pub(super) file_count: u64,
    /// Versions that have the fix, oldest first.
    pub(super) fixed: &'a [String],
    /// Why it cannot be told whether this version has it.
    pub(super) undecided: Option<&'a str>,
    /// The statement that it does not matter.
    pub(super) silenced: Option<SilencedRow<'a>>,
    /// Statements that silence nothing: ended, or that it is affected.
    pub(super) told: &'a [String],
    /// What the build's own evidence suggests, which a person has to confirm.
    pub(super) draft: Option<&'static str>,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct RatingRow<'a> {
    method: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct SilencedRow<'a> {
    pub(super) status: &'static str,
    pub(super) justification: Option<&'static str>,
    pub(super) reason: Option<&'a str>,
    pub(super) author: &'a str,
    /// The last second in which it counts.
    pub(super) until: Option<Epoch>,
    /// The file, and where in it.
    pub(super) place: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct AbsentRow<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) version: &'a str,
    pub(super) reason: &'a str,
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct NotCheckedRow<'a> {
    component: &'a str,
    pub(super) name: &'a str,
    pub(super) version: Option<&'a str>,
    pub(super) reason: &'a str,
}

impl<'a> Document<'a> {
    pub(super) fn of(
        export: &'a Export,
        audits: &'a [(&NamedBuild, Audit)],
        idle: Vec<&'a str>,
        denied: Vec<String>,
    ) -> Self {
        let unread = |one: &'a Unread| UnreadRow { path: &one.path, reason: &one.reason };
        Self {
            format: "1.0",
            export: ExportRow {
                documents: export.documents,
                withdrawn: export.withdrawn,
                digest: export.digest,
                newest: export.newest,
                not_read_count: export.unread_count,
                not_read: export.unread.iter().map(unread).collect(),
            },
            builds: audits.iter().map(|(build, audit)| BuildRow::of(build, audit)).collect(),
            statements_about_nothing: idle,
            denied,
            unread: Vec::new(),
        }
    }

    /// The same with builds that could not be read.
    pub(super) fn with_unread(self, unread: &'a [super::Unread]) -> Self {
        let row = |one: &'a super::Unread| UnreadBuildRow {
            artifact: one.name.as_str(),
            reason: &one.reason,
            file: one.place.as_ref().map(|place| place.file.as_str()),
            line: one.place.as_ref().and_then(|place| place.line),
        };
        Self { unread: unread.iter().map(row).collect(), ..self }
    }
}

impl<'a> BuildRow<'a> {
    fn of(build: &'a NamedBuild, audit: &'a Audit) -> Self {
        let not_checked = |one: &'a NotChecked| NotCheckedRow {
            component: one.component.as_str(),
            name: &one.name,
            version: one.version.as_deref(),
            reason: &one.reason,
        };
        Self {
            build: &build.label,
            artifact: build.record.artifact.as_str(),
            archive: build.record.archive().map(|archive| archive.digest),
            checked: audit.checked,
            findings: audit.findings.iter().map(FindingRow::from).collect(),
            absent: audit
                .absent
                .iter()
                .map(|one| AbsentRow {
                    id: &one.id,
                    name: &one.subject.name,
                    version: &one.subject.version,
                    reason: &one.reason,
                })
                .collect(),
            not_checked: audit.not_checked.iter().map(not_checked).collect(),
        }
    }
}

impl<'a> From<&'a Finding> for FindingRow<'a> {
    fn from(finding: &'a Finding) -> Self {
        let rating = |one: &'a Rating| RatingRow { method: &one.method, value: &one.value };
        let silenced = |said: &'a Statement| SilencedRow {
            status: said.status.as_str(),
            justification: said.justification.map(|one| one.as_str()),
            reason: said.reason.as_deref(),
            author: &said.author,
            until: said.until,
            place: &said.place,
        };
        Self {
            id: &finding.id,
            names: finding.names.iter().map(String::as_str).collect(),
            advisories: &finding.advisories,
            summary: finding.summary.as_deref(),
            severity: finding.severity.map(|severity| severity.as_str()),
            score: finding.score.map(|tenths| format!("{}.{}", tenths / 10, tenths % 10)),
            ratings: finding.ratings.iter().map(rating).collect(),
            name: &finding.subject.name,
            version: &finding.subject.version,
            purl: &finding.subject.purl,
            component: finding.subject.component.as_str(),
            via: &finding.subject.via,
            files: &finding.subject.files,
            file_count: finding.subject.file_count,
            fixed: &finding.fixed,
            undecided: finding.undecided.as_deref(),
            silenced: finding.silenced.as_ref().map(silenced),
            told: &finding.told,
            draft: finding.draft(),
        }
    }
}
