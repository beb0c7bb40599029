//! What changed between two builds, and why.

use crate::anomaly::{
    Anomaly, COMPONENT_FLOOR, COMPONENT_OF_STEP, COMPONENT_SHARE, Measure, Rule, Sample, SizeStep, size_step,
};
use crate::causes::{self, CauseKind, ChangeCause, Changed, InputChange, PropertyChange};
use crate::files::{self, FileChange};
use crate::packaging::Packagings;
use crate::quantity::{delta, signed};
use crate::version;
use kiln_record::{
    ArtifactName, Component, ComponentId, Digest, Ecosystem, Entry, Finding, FormatVersion, Gap, Level,
    OriginSource, Record, TreePath,
};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// The version of [`Diff`] as JSON. A minor step adds fields.
pub const DIFF_FORMAT: FormatVersion = FormatVersion { major: 1, minor: 0 };

/// Compares two records. `history` holds sizes of the builds up to and including `before`, oldest first; without any,
/// `before` itself is the history.
///
/// Both records may come from elsewhere: nothing in them is trusted to be sorted, unique or consistent.
#[must_use]
pub fn compare(before: &Record, after: &Record, history: &[Sample]) -> Diff {
    let renamed = own_component_as_in(before, after);
    let after = renamed.as_ref().unwrap_or(after);
    let changed = Changed::between(before, after);
    let (old, new) = (Contents::of(before), Contents::of(after));
    let components = component_changes(before, after, &old, &new, &changed);
    let verdict = verdict(before, after);
    let bytes = byte_delta(&old, &new, &components);
    let bytes_by_component = bytes_by_component(&old, &new);
    let only = [Sample { number: 0, archive: archive_size(before), unpacked: before.unpacked_size }];
    let history = if history.is_empty() { &only[..] } else { history };
    let sizes = if comparable(before, after) {
        vec![
            size_step(Measure::Archive, history, archive_size(before), archive_size(after)),
            size_step(Measure::Unpacked, history, before.unpacked_size, after.unpacked_size),
        ]
    } else {
        Vec::new()
    };
    let container = (verdict == Verdict::SameContent).then(|| changed.of_container());
    let anomalies = anomalies(&sizes, &components, &bytes_by_component, bytes.total, container.as_ref());
    let (findings_new, findings_gone) = (new_findings(before, after), new_findings(after, before));
    Diff {
        format: DIFF_FORMAT,
        before: Side::of(before),
        after: Side::of(after),
        verdict,
        anomalies,
        components,
        bytes,
        bytes_by_component,
        sizes,
        container,
        inputs: changed.inputs,
        properties: changed.properties,
        gaps: gap_changes(before, after),
        findings_new,
        findings_gone,
        files: files::changes(before, after),
        packagings: Packagings::between(before, after),
    }
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
    /// What a person should look at, most important first.
    pub anomalies: Vec<Anomaly>,
    /// Components that differ, by id.
    pub components: Vec<ComponentChange>,
    /// The change of unpacked bytes, by reason.
    pub bytes: ByteDelta,
    /// The change of unpacked bytes, by component, largest first.
    pub bytes_by_component: Vec<ComponentBytes>,
    /// Both sizes, judged against the history; empty if the builds are not of one kind, architecture and artifact.
    pub sizes: Vec<SizeStep>,
    /// Why the archive differs, if only the archive does.
    pub container: Option<ChangeCause>,
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
    /// The digest of its plan.
    pub plan: Digest,
    /// The digest of its tree.
    pub tree: Digest,
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
    /// Content differs.
    Different,
}

/// A component that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComponentChange {
    /// Its id.
    pub id: ComponentId,
    /// Its name.
    pub name: String,
    /// What happened to it.
    pub kind: ComponentChangeKind,
    /// The component that carries it inside.
    pub within: Option<ComponentId>,
    /// Its version before.
    pub before_version: Option<String>,
    /// Its version now.
    pub after_version: Option<String>,
    /// Its licence before and now, where they differ.
    pub relicensed: Option<(String, String)>,
    /// Unpacked bytes before.
    pub before_bytes: u64,
    /// Unpacked bytes now.
    pub after_bytes: u64,
    /// What accounts for it.
    pub cause: ChangeCause,
}

/// What happened to a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ComponentChangeKind {
    /// It is gone.
    Removed,
    /// It has an older version.
    Downgraded,
    /// It has the same version and other content.
    Rebuilt,
    /// It is new.
    Added,
    /// It has a newer version.
    Upgraded,
    /// It has another version, and no rule says which is newer.
    Replaced,
    /// It is the artifact's own code, which has no version, and has other content.
    Changed,
}

/// Unpacked bytes that came (or went, if negative), by reason. The parts add up to the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ByteDelta {
    /// All.
    pub total: i64,
    /// Components with another version, and the libraries inside them.
    pub version_changes: i64,
    /// New components.
    pub added: i64,
    /// Components that are gone; never positive.
    pub removed: i64,
    /// Components of the same version: with pinned inputs anything but 0 needs a reason.
    pub same_version: i64,
    /// The artifact's own code.
    pub application: i64,
    /// Files that no component of the record owns.
    pub unowned: i64,
}

/// Unpacked bytes of one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ComponentBytes {
    /// Its id.
    pub id: ComponentId,
    /// Before.
    pub before: u64,
    /// Now.
    pub after: u64,
    /// The difference.
    pub delta: i64,
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

/// What makes a comparison fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailOn {
    /// A component is gone.
    Removed,
    /// A component is new.
    Added,
    /// A component has an older version.
    Downgrade,
    /// Something changed that no changed input accounts for.
    Unexplained,
    /// A size is unusual (a warning, not a notice).
    Size,
    /// A component has other content in the same version; the artifact's own code is not meant.
    Rebuilt,
    /// The archives are not the same bytes.
    Any,
}

/// A text that is no reason to fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a reason to fail: use removed, added, downgrade, unexplained, size, rebuilt or any")]
pub struct UnknownFailOn(pub String);

impl FailOn {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::Removed,
        Self::Added,
        Self::Downgrade,
        Self::Unexplained,
        Self::Size,
        Self::Rebuilt,
        Self::Any,
    ];

    /// The reason as written on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Added => "added",
            Self::Downgrade => "downgrade",
            Self::Unexplained => "unexplained",
            Self::Size => "size",
            Self::Rebuilt => "rebuilt",
            Self::Any => "any",
        }
    }
}

impl FromStr for FailOn {
    type Err = UnknownFailOn;

    fn from_str(text: &str) -> Result<Self, UnknownFailOn> {
        Self::ALL.into_iter().find(|f| f.as_str() == text).ok_or_else(|| UnknownFailOn(text.to_owned()))
    }
}

impl fmt::Display for FailOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Diff {
    /// Those of the reasons that hold; empty if the comparison passes.
    #[must_use]
    pub fn exceeds(&self, reasons: &[FailOn]) -> Vec<FailOn> {
        let kind = |kind| self.components.iter().any(|c| c.kind == kind);
        let mut holding: Vec<FailOn> = reasons
            .iter()
            .copied()
            .filter(|reason| match reason {
                FailOn::Removed => kind(ComponentChangeKind::Removed),
                FailOn::Added => kind(ComponentChangeKind::Added),
                FailOn::Downgrade => kind(ComponentChangeKind::Downgraded),
                FailOn::Unexplained => self.anomalies.iter().any(|a| a.rule == Rule::Unexplained),
                FailOn::Size => self
                    .anomalies
                    .iter()
                    .any(|a| matches!(a.rule, Rule::Step | Rule::Creep) && a.level >= Level::Warn),
                FailOn::Rebuilt => kind(ComponentChangeKind::Rebuilt),
                FailOn::Any => self.verdict != Verdict::Identical,
            })
            .collect();
        holding.sort_unstable();
        holding.dedup();
        holding
    }
}

impl Side {
    fn of(record: &Record) -> Self {
        Self {
            artifact: record.artifact.clone(),
            build: None,
            plan: record.plan,
            tree: record.tree,
            archive: record.archive().map(|a| a.digest),
            archive_size: archive_size(record),
            unpacked_size: record.unpacked_size,
        }
    }
}

fn archive_size(record: &Record) -> u64 {
    record.packed_size()
}

/// Whether sizes of two builds may be held against one history.
fn comparable(before: &Record, after: &Record) -> bool {
    before.artifact == after.artifact
        && before.kind == after.kind
        && before.target.architecture == after.target.architecture
}

fn verdict(before: &Record, after: &Record) -> Verdict {
    let archive = |record: &Record| record.archive().map(|a| a.digest);
    // An image has its base inside, whatever its own tree is.
    let base = |record: &Record| record.image.as_ref().map(|image| image.base.manifest);
    if before.tree != after.tree || base(before) != base(after) {
        Verdict::Different
    } else if archive(before) == archive(after) {
        Verdict::Identical
    } else {
        Verdict::SameContent
    }
}

fn is_application(id: &ComponentId) -> bool {
    id.ecosystem() == Ecosystem::Application
}

/// A record's components with the files they own.
struct Contents<'a> {
    components: BTreeMap<&'a ComponentId, &'a Component>,
    files: BTreeMap<&'a ComponentId, BTreeMap<&'a TreePath, &'a Entry>>,
}

impl<'a> Contents<'a> {
    fn of(record: &'a Record) -> Self {
        let mut files: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for file in &record.files {
            files.entry(&file.component).or_default().insert(&file.path, &file.entry);
        }
        Self { components: record.components.iter().map(|c| (&c.id, c)).collect(), files }
    }

    fn bytes(&self, id: &ComponentId) -> u64 {
        // What a base brings is not in the tree; the record says how much it is.
        if let Some(component) = self.components.get(id).filter(|component| component.from_base) {
            return component.bytes;
        }
        let files = self.files.get(id).into_iter().flatten();
        files.fold(0_u64, |sum, (_, entry)| sum.saturating_add(entry.size()))
    }

    /// The outermost component around one. The chain is short, and a hostile one may be a circle.
    fn root(&self, id: &'a ComponentId) -> &'a ComponentId {
        let mut at = id;
        for _ in 0..8 {
            match self.components.get(at).and_then(|c| c.within.as_ref()) {
                Some(outer) => at = outer,
                None => break,
            }
        }
        at
    }
}

fn component_changes(
    before: &Record,
    after: &Record,
    old: &Contents<'_>,
    new: &Contents<'_>,
    changed: &Changed,
) -> Vec<ComponentChange> {
    let ids: BTreeSet<&ComponentId> = old.components.keys().chain(new.components.keys()).copied().collect();
    let mut changes = Vec::new();
    for id in ids {
        let (kind, cause) = match (old.components.get(id), new.components.get(id)) {
            (Some(gone), None) => {
                (ComponentChangeKind::Removed, causes::of_removal(changed, gone, before, after))
            }
            (None, Some(added)) => (ComponentChangeKind::Added, changed.of_choice(added.ecosystem)),
            (Some(was), Some(is)) if was.version != is.version => {
                (version_change(was, is), changed.of_choice(is.ecosystem))
            }
            (Some(was), Some(is))
                if old.files.get(id) != new.files.get(id) || is_rebuilt_in_base(was, is) =>
            {
                (
                    if is.ecosystem == Ecosystem::Application {
                        ComponentChangeKind::Changed
                    } else {
                        ComponentChangeKind::Rebuilt
                    },
                    match is.origin.as_ref().and_then(|origin| origin.source.as_ref()) {
                        Some(OriginSource::Folder { .. } | OriginSource::File { .. }) => {
                            changed.of_workspace()
                        }
                        _ => changed.of_content(is.ecosystem, same_origin(was, is, old, new)),
                    },
                )
            }
            _ => continue,
        };
        let (was, is) = (old.components.get(id).copied(), new.components.get(id).copied());
        let Some(shown) = is.or(was) else { continue };
        changes.push(ComponentChange {
            id: id.clone(),
            name: shown.name.clone(),
            kind,
            within: shown.within.clone(),
            before_version: was.and_then(|c| c.version.clone()),
            after_version: is.and_then(|c| c.version.clone()),
            relicensed: match (was.map(license), is.map(license)) {
                (Some(a), Some(b)) if a != b => Some((a, b)),
                _ => None,
            },
            before_bytes: old.bytes(id),
            after_bytes: new.bytes(id),
            cause,
        });
    }
    changes
}

/// Whether a package of the base is another one in the same version.
fn is_rebuilt_in_base(was: &Component, is: &Component) -> bool {
    let origin = |component: &Component| component.origin.as_ref().map(|origin| origin.digest);
    (was.from_base || is.from_base) && (origin(was) != origin(is) || was.bytes != is.bytes)
}

fn version_change(was: &Component, is: &Component) -> ComponentChangeKind {
    let (Some(a), Some(b)) = (&was.version, &is.version) else { return ComponentChangeKind::Replaced };
    match version::order(is.ecosystem, a, b) {
        Some(Ordering::Less) => ComponentChangeKind::Upgraded,
        Some(Ordering::Greater) => ComponentChangeKind::Downgraded,
        Some(Ordering::Equal) => ComponentChangeKind::Rebuilt,
        None => ComponentChangeKind::Replaced,
    }
}

/// Whether both came from the same archive; a library inside a wheel came from the wheel's.
fn same_origin(was: &Component, is: &Component, old: &Contents<'_>, new: &Contents<'_>) -> bool {
    let origin = |component: &Component, contents: &Contents<'_>| {
        let outer = component.within.as_ref().and_then(|id| contents.components.get(id));
        component.origin.as_ref().or(outer.and_then(|c| c.origin.as_ref())).map(|o| o.digest)
    };
    origin(was, old) == origin(is, new)
}

fn license(component: &Component) -> String {
    let metadata = &component.metadata;
    match (&metadata.license_expression, &metadata.license) {
        (Some(expression), _) => expression.clone(),
        (None, Some(words)) => words.lines().next().unwrap_or_default().chars().take(100).collect(),
        (None, None) if metadata.license_classifiers.is_empty() => "none stated".to_owned(),
        (None, None) => metadata.license_classifiers.join(", "),
    }
}

fn byte_delta(old: &Contents<'_>, new: &Contents<'_>, changes: &[ComponentChange]) -> ByteDelta {
    let kinds: BTreeMap<&ComponentId, ComponentChangeKind> =
        changes.iter().map(|c| (&c.id, c.kind)).collect();
    let ids: BTreeSet<&ComponentId> = old.files.keys().chain(new.files.keys()).copied().collect();
    let mut bytes = ByteDelta::default();
    for id in ids {
        let delta = delta(old.bytes(id), new.bytes(id));
        let contents = if new.components.contains_key(id) { new } else { old };
        let part = match contents.components.get(id) {
            None => &mut bytes.unowned,
            Some(component) if component.ecosystem == Ecosystem::Application => &mut bytes.application,
            // A library inside a wheel counts with the wheel: its name often changes with every version.
            Some(_) => match kinds.get(contents.root(id)) {
                Some(ComponentChangeKind::Added) => &mut bytes.added,
                Some(ComponentChangeKind::Removed) => &mut bytes.removed,
                Some(
                    ComponentChangeKind::Upgraded
                    | ComponentChangeKind::Downgraded
                    | ComponentChangeKind::Replaced,
                ) => &mut bytes.version_changes,
                Some(ComponentChangeKind::Rebuilt | ComponentChangeKind::Changed) | None => {
                    &mut bytes.same_version
                }
            },
        };
        *part = part.saturating_add(delta);
        bytes.total = bytes.total.saturating_add(delta);
    }
    bytes
}

fn bytes_by_component(old: &Contents<'_>, new: &Contents<'_>) -> Vec<ComponentBytes> {
    let of_base = old.components.iter().chain(&new.components).filter(|(_, component)| component.from_base);
    let ids = old.files.keys().chain(new.files.keys()).chain(of_base.map(|(id, _)| id));
    let ids: BTreeSet<&ComponentId> = ids.copied().collect();
    let mut all: Vec<ComponentBytes> = ids
        .into_iter()
        .map(|id| {
            let (before, after) = (old.bytes(id), new.bytes(id));
            ComponentBytes { id: id.clone(), before, after, delta: delta(before, after) }
        })
        .filter(|c| c.delta != 0)
        .collect();
    all.sort_by(|a, b| b.delta.unsigned_abs().cmp(&a.delta.unsigned_abs()).then_with(|| a.id.cmp(&b.id)));
    all
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

impl ComponentChangeKind {
    /// The kind in one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Downgraded => "downgraded",
            Self::Rebuilt => "rebuilt",
            Self::Added => "added",
            Self::Upgraded => "upgraded",
            Self::Replaced => "replaced",
            Self::Changed => "changed",
        }
    }
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
