//! What changed between two builds, and why.

use crate::anomaly::{
    Anomaly, COMPONENT_FLOOR, COMPONENT_OF_STEP, COMPONENT_SHARE, Measure, Rule, Sample, SizeStep, size_step,
};
use crate::causes::{CauseKind, ChangeCause, Changed, InputChange, PropertyChange};
use crate::components::{
    ByteDelta, ComponentBytes, ComponentChange, Contents, byte_delta, bytes_by_component,
};
use crate::components::{component_changes, is_application};
use crate::files::{self, FileChange};
use crate::known::{Known, SizeHistory, Subject};
use crate::native_changes::{LinkedChange, NeedChange, linked_changes, need_changes};
use crate::packaging::Packagings;
use crate::quantity::{delta, signed};
use crate::security::{self, CheckChange, ImportChange};
use kiln_record::{
    ArtifactName, ComponentId, Digest, Ecosystem, Finding, FormatVersion, Gap, Level, Record, TreePath,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The version of [`Diff`] as JSON. A minor step adds fields, and values that a field may have.
pub const DIFF_FORMAT: FormatVersion = FormatVersion { major: 1, minor: 2 };

/// Compares two records. `history` holds sizes of the builds up to and including `before`, oldest first; without any,
/// `before` itself is the history.
///
/// Both records may come from elsewhere: nothing in them is trusted to be sorted, unique or consistent.
#[must_use]
pub fn compare(before: &Record, after: &Record, history: &[Sample]) -> Diff {
    let history = SizeHistory { samples: history.to_vec(), ..SizeHistory::default() };
    compare_subjects(&Subject::of(before), &Subject::of(after), &history)
}

/// Compares two things of which not everything may be known. What could not be compared is told.
#[must_use]
pub fn compare_subjects(before: &Subject<'_>, after: &Subject<'_>, history: &SizeHistory) -> Diff {
    let renamed = own_component_as_in(before.record, after.record);
    let after = Subject { record: renamed.as_ref().unwrap_or(after.record), ..*after };
    let after = &after;
    let least = before.known.max(after.known);
    let changed = Changed::between(before, after);
    let (before_record, after_record) = (before.record, after.record);
    let of_both = |component: &kiln_record::Component| match component.ecosystem {
        // A list of components has no own code, and names the parts of a wheel in its own way.
        Ecosystem::Application => least != Known::Components,
        Ecosystem::Native => least != Known::Components || before.known == after.known,
        Ecosystem::Python | Ecosystem::Debian | Ecosystem::Rpm => true,
    };
    let old = Contents::of(before_record, least != Known::Components, &of_both);
    let new = Contents::of(after_record, least != Known::Components, &of_both);
    let components = component_changes(before, after, &old, &new, &changed);
    let verdict = verdict(before_record, after_record, least, &components);
    let bytes = byte_delta(&old, &new, &components);
    let bytes_by_component = bytes_by_component(&old, &new);
    let only =
        [Sample { number: 0, archive: archive_size(before_record), unpacked: before_record.unpacked_size }];
    let samples = if history.samples.is_empty() { &only[..] } else { &history.samples };
    let sizes = sizes(before, after, samples, history.baseline.as_ref());
    let container =
        (verdict == Verdict::SameContent && least == Known::Record).then(|| changed.of_container());
    let files =
        if least == Known::Components { Vec::new() } else { files::changes(before_record, after_record) };
    let checks = security::check_changes(before, after);
    let privileged = security::newly_privileged(before, after);
    let mut anomalies = anomalies(&sizes, &components, &bytes_by_component, bytes.total, container.as_ref());
    anomalies.extend(privileged.iter().map(|path| Anomaly {
        rule: Rule::Privileged,
        level: Level::Warn,
        subject: path.to_string(),
        text: format!("/{path} runs as its owner or group (setuid, setgid), and did not before"),
    }));
    anomalies.extend(checks.iter().filter(|check| check.before).map(|check| Anomaly {
        rule: Rule::Check,
        level: Level::Warn,
        subject: check.name.to_string(),
        text: match &check.reason {
            Some(reason) => format!("the check {} was made before, and is not now: {reason}", check.name),
            None => format!("the check {} was made before, and the record has nothing of it now", check.name),
        },
    }));
    anomalies.sort_by(|a, b| (b.level, a.rule, &a.subject).cmp(&(a.level, b.rule, &b.subject)));
    let of_records = |findings: fn(&Record, &Record) -> Vec<Finding>, a, b| {
        if least == Known::Record { findings(a, b) } else { Vec::new() }
    };
    Diff {
        format: DIFF_FORMAT,
        before: Side::of(before),
        after: Side::of(after),
        verdict,
        not_compared: not_compared(before, after),
        anomalies,
        components,
        bytes,
        bytes_by_component,
        size_history: history.source.clone(),
        sizes,
        container,
        container_fields: Vec::new(),
        inputs: changed.inputs,
        properties: changed.properties,
        gaps: if least == Known::Record { gap_changes(before_record, after_record) } else { Vec::new() },
        findings_new: of_records(new_findings, before_record, after_record),
        findings_gone: of_records(new_findings, after_record, before_record),
        checks,
        imports: security::import_changes(before_record, after_record),
        needs: need_changes(before, after),
        linked: linked_changes(before, after),
        privileged,
        executables: security::new_executables(&files),
        files,
        packagings: (least == Known::Record)
            .then(|| Packagings::between(before_record, after_record))
            .flatten(),
    }
}

fn sizes(
    before: &Subject<'_>,
    after: &Subject<'_>,
    history: &[Sample],
    baseline: Option<&Sample>,
) -> Vec<SizeStep> {
    if before.known.max(after.known) == Known::Components || !comparable(before, after) {
        return Vec::new();
    }
    let (a, b) = (before.record, after.record);
    let unpacked = size_step(Measure::Unpacked, history, baseline, a.unpacked_size, b.unpacked_size);
    // What was read from a folder has no archive.
    if a.archive().is_none() || b.archive().is_none() {
        return vec![unpacked];
    }
    vec![size_step(Measure::Archive, history, baseline, archive_size(a), archive_size(b)), unpacked]
}

/// What could not be compared, and why.
fn not_compared(before: &Subject<'_>, after: &Subject<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (word, subject) in [("before", before), ("after", after)] {
        lines.extend(subject.known.lacks().map(|lacks| format!("{word}: {lacks}")));
    }
    lines
}

/// The record with its own component called as the other artifact's is: two packagings of a function have the same code under
/// two names. None where the names agree already.
fn own_component_as_in(before: &Record, after: &Record) -> Option<Record> {
    if before.artifact == after.artifact {
        return None;
    }
    let id = |record: &Record| ComponentId::new(Ecosystem::Application, record.artifact.as_str());
    let (from, to) = (id(after), id(before));
    let mut renamed = after.clone();
    for component in &mut renamed.components {
        if component.id == from {
            component.id.clone_from(&to);
            component.name = before.artifact.to_string();
        }
    }
    for file in &mut renamed.files {
        if file.component == from {
            file.component.clone_from(&to);
        }
    }
    Some(renamed)
}

/// What changed between two builds.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Diff {
    /// The version of this structure.
    pub format: FormatVersion,
    /// The build compared with.
    pub before: Side,
    /// The build compared.
    pub after: Side,
    /// How equal they are.
    pub verdict: Verdict,
    /// What could not be compared, and why: one of the two is no build of kiln's, or a list of components.
    pub not_compared: Vec<String>,
    /// What a person should look at, most important first.
    pub anomalies: Vec<Anomaly>,
    /// Components that differ, by id.
    pub components: Vec<ComponentChange>,
    /// The change of unpacked bytes, by reason.
    pub bytes: ByteDelta,
    /// The change of unpacked bytes, by component, largest first.
    pub bytes_by_component: Vec<ComponentBytes>,
    /// Where the history is from that sizes were held against; none where the build before was all of it.
    pub size_history: Option<String>,
    /// Both sizes, judged against the history; empty if the builds are not of one kind, architecture and artifact.
    pub sizes: Vec<SizeStep>,
    /// Why the archive differs, if only the archive does.
    pub container: Option<ChangeCause>,
    /// What differs in the archive around the same content, where both archives were at hand.
    pub container_fields: Vec<ContainerField>,
    /// Inputs that differ.
    pub inputs: Vec<InputChange>,
    /// Target, handler, layers, what is stated of Lambda's environment, format and tools, where they differ.
    pub properties: Vec<PropertyChange>,
    /// Locked distributions whose absence, or reason for it, is new or gone.
    pub gaps: Vec<GapChange>,
    /// Findings that were not there before.
    pub findings_new: Vec<Finding>,
    /// Findings that are not there any more.
    pub findings_gone: Vec<Finding>,
    /// Checks that were made on one side only.
    pub checks: Vec<CheckChange>,
    /// Distributions whose modules can be imported on one side only.
    pub imports: Vec<ImportChange>,
    /// Libraries that native files need on one side only.
    pub needs: Vec<NeedChange>,
    /// What is linked into native files in other versions, as far as their bytes tell.
    pub linked: Vec<LinkedChange>,
    /// Paths that run as their owner or group now, and did not before.
    pub privileged: Vec<TreePath>,
    /// Files that can be executed now, and were not there or could not be.
    pub executables: Vec<TreePath>,
    /// Entries that differ, in path order.
    pub files: Vec<FileChange>,
    /// What each brings along, if the two are of different kinds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packagings: Option<Packagings>,
}

/// What identifies one of the two builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Side {
    /// The artifact.
    pub artifact: ArtifactName,
    /// Which build of it, as the caller names it, such as `dashboard@7`; a record does not know.
    pub build: Option<String>,
    /// How much of it is known.
    pub known: Known,
    /// The digest of its plan; none of what has no record.
    pub plan: Option<Digest>,
    /// The digest of its tree; none of a list of components.
    pub tree: Option<Digest>,
    /// The digest of its archive, if the record lists one.
    pub archive: Option<Digest>,
    /// Bytes of its archive.
    pub archive_size: u64,
    /// Bytes of its files when unpacked.
    pub unpacked_size: u64,
}

/// How equal two builds are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The archives have the same bytes.
    Identical,
    /// Paths, modes and content are the same; only the archive around them differs.
    SameContent,
    /// Both list the same components; nothing else could be compared.
    SameComponents,
    /// Content differs.
    Different,
}

/// A field of the archive that differs around the same content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ContainerField {
    /// Which, such as `time` or `order`.
    pub field: String,
    /// How many members it differs for; 0 for one of the archive itself.
    pub members: u64,
    /// The first of them.
    pub example: Option<String>,
    /// Its value there before.
    pub before: String,
    /// Its value there now.
    pub after: String,
}

/// A locked distribution that is left out on one side, or for another reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GapChange {
    /// Its name.
    pub distribution: String,
    /// How it was left out.
    pub before: Option<Gap>,
    /// How it is left out.
    pub after: Option<Gap>,
}

impl Side {
    fn of(subject: &Subject<'_>) -> Self {
        let record = subject.record;
        Self {
            artifact: record.artifact.clone(),
            build: None,
            known: subject.known,
            plan: (subject.known == Known::Record).then_some(record.plan),
            tree: (subject.known != Known::Components).then_some(record.tree),
            archive: record.archive().map(|a| a.digest),
            archive_size: archive_size(record),
            unpacked_size: record.unpacked_size,
        }
    }
}

fn archive_size(record: &Record) -> u64 {
    record.packed_size()
}

/// Whether sizes of two builds may be held against one history. What was read has no name and no kind of its own.
fn comparable(before: &Subject<'_>, after: &Subject<'_>) -> bool {
    let (a, b) = (before.record, after.record);
    if before.known != Known::Record || after.known != Known::Record {
        return a.kind.is_image() == b.kind.is_image();
    }
    a.artifact == b.artifact && a.kind == b.kind && a.target.architecture == b.target.architecture
}

fn verdict(before: &Record, after: &Record, least: Known, components: &[ComponentChange]) -> Verdict {
    let archive = |record: &Record| record.archive().map(|a| a.digest);
    if least == Known::Components {
        return if components.is_empty() { Verdict::SameComponents } else { Verdict::Different };
    }
    // An image has its base inside, whatever its own tree is.
    let base = |record: &Record| record.image.as_ref().map(|image| image.base.manifest);
    if before.tree != after.tree || (least == Known::Record && base(before) != base(after)) {
        Verdict::Different
    } else if archive(before) == archive(after) && archive(before).is_some() {
        Verdict::Identical
    } else {
        Verdict::SameContent
    }
}

fn anomalies(
    sizes: &[SizeStep],
    components: &[ComponentChange],
    by_component: &[ComponentBytes],
    total: i64,
    container: Option<&ChangeCause>,
) -> Vec<Anomaly> {
    let mut anomalies = Vec::new();
    for change in components.iter().filter(|c| c.cause.kind == CauseKind::Unexplained) {
        anomalies.push(Anomaly {
            rule: Rule::Unexplained,
            level: Level::Warn,
            subject: change.id.to_string(),
            text: format!(
                "{} {} ({}): {}",
                change.name,
                change.kind.word(),
                signed(delta(change.before_bytes, change.after_bytes)),
                change.cause.text
            ),
        });
    }
    if let Some(cause) = container.filter(|c| c.kind == CauseKind::Unexplained) {
        anomalies.push(Anomaly {
            rule: Rule::Unexplained,
            level: Level::Warn,
            subject: "archive".to_owned(),
            text: format!("the archive has other bytes around the same content: {}", cause.text),
        });
    }
    anomalies.extend(sizes.iter().flat_map(SizeStep::anomalies));
    for change in by_component.iter().filter(|c| c.before > 0 && c.after > 0 && !is_application(&c.id)) {
        let size = change.delta.unsigned_abs();
        if size >= COMPONENT_FLOOR
            && size as f64 >= COMPONENT_SHARE * change.before as f64
            && size as f64 >= COMPONENT_OF_STEP * total.unsigned_abs() as f64
        {
            anomalies.push(Anomaly {
                rule: Rule::Component,
                level: Level::Note,
                subject: change.id.to_string(),
                text: format!(
                    "{} changed by {} ({:+.0} % of itself)",
                    change.id,
                    signed(change.delta),
                    100.0 * change.delta as f64 / change.before as f64
                ),
            });
        }
    }
    anomalies.sort_by(|a, b| (b.level, a.rule, &a.subject).cmp(&(a.level, b.rule, &b.subject)));
    anomalies
}

fn gap_changes(before: &Record, after: &Record) -> Vec<GapChange> {
    let index = |record: &Record| -> BTreeMap<String, Gap> {
        record.gaps.iter().map(|g| (g.distribution.clone(), g.clone())).collect()
    };
    let (mut old, mut new) = (index(before), index(after));
    let names: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    names
        .into_iter()
        .map(|name| GapChange { before: old.remove(&name), after: new.remove(&name), distribution: name })
        .filter(|change| change.before != change.after)
        .collect()
}

/// Findings of `b` that `a` does not have. Their texts may differ: sizes in them move with every build.
fn new_findings(a: &Record, b: &Record) -> Vec<Finding> {
    let known: BTreeSet<_> = a.findings.iter().map(|f| (f.code, &f.subject, f.level)).collect();
    b.findings.iter().filter(|f| !known.contains(&(f.code, &f.subject, f.level))).cloned().collect()
}
