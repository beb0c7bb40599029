//! Which components differ, how, and how many bytes each accounts for.

use crate::causes::{self, ChangeCause, Changed};
use crate::known::{Known, Subject};
use crate::quantity::delta;
use crate::version;
use kiln_record::{
    Component, ComponentId, Ecosystem, Entry, OriginSource, Record, TreePath, license_expression,
};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Where it was taken from before and now, where that differs.
    pub rehomed: Option<(String, String)>,
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
    /// The same version is taken from another place: an index, a server, a file.
    Rehomed,
    /// The same version has another licence.
    Relicensed,
    /// The same files are at other paths.
    Moved,
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
            Self::Rehomed => "re-homed",
            Self::Relicensed => "relicensed",
            Self::Moved => "moved",
            Self::Changed => "changed",
        }
    }
}

pub(crate) fn is_application(id: &ComponentId) -> bool {
    id.ecosystem() == Ecosystem::Application
}

/// A record's components with the files they own.
pub(crate) struct Contents<'a> {
    components: BTreeMap<&'a ComponentId, &'a Component>,
    files: BTreeMap<&'a ComponentId, BTreeMap<&'a TreePath, &'a Entry>>,
    with_files: bool,
}

impl<'a> Contents<'a> {
    /// What a record says; without files, if the other side has none.
    pub(crate) fn of(record: &'a Record, with_files: bool, keep: &dyn Fn(&Component) -> bool) -> Self {
        let mut files: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for file in record.files.iter().filter(|_| with_files) {
            files.entry(&file.component).or_default().insert(&file.path, &file.entry);
        }
        let components = record.components.iter().filter(|component| keep(component));
        Self { components: components.map(|c| (&c.id, c)).collect(), files, with_files }
    }

    fn bytes(&self, id: &ComponentId) -> u64 {
        // What a base brings is not in the tree; the record says how much it is.
        let of_base = self.components.get(id).filter(|component| component.from_base && self.with_files);
        if let Some(component) = of_base {
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

pub(crate) fn component_changes(
    before: &Subject<'_>,
    after: &Subject<'_>,
    old: &Contents<'_>,
    new: &Contents<'_>,
    changed: &Changed,
) -> Vec<ComponentChange> {
    let ids: BTreeSet<&ComponentId> = old.components.keys().chain(new.components.keys()).copied().collect();
    let are_records = before.known == Known::Record && after.known == Known::Record;
    let mut changes = Vec::new();
    for id in ids {
        let pair = old.components.get(id).zip(new.components.get(id));
        let relicensed = pair.and_then(|(was, is)| relicensed(was, is, are_records));
        let rehomed = pair.and_then(|(was, is)| rehomed(was, is));
        let (kind, cause) = match (old.components.get(id), new.components.get(id)) {
            (Some(gone), None) => {
                (ComponentChangeKind::Removed, causes::of_removal(changed, gone, before.record, after.record))
            }
            (None, Some(added)) => (ComponentChangeKind::Added, changed.of_choice(added)),
            (Some(was), Some(is)) if was.version != is.version => {
                (version_change(was, is), changed.of_choice(is))
            }
            (Some(was), Some(is))
                if old.files.get(id) != new.files.get(id)
                    || (old.with_files && is_rebuilt_in_base(was, is)) =>
            {
                let kind = match is.ecosystem {
                    Ecosystem::Application => ComponentChangeKind::Changed,
                    _ if have_same_content(old.files.get(id), new.files.get(id)) => {
                        ComponentChangeKind::Moved
                    }
                    _ => ComponentChangeKind::Rebuilt,
                };
                let cause = match is.origin.as_ref().and_then(|origin| origin.source.as_ref()) {
                    Some(OriginSource::Folder { .. } | OriginSource::File { .. }) => changed.of_workspace(),
                    _ => changed.of_content(is.ecosystem, same_origin(was, is, old, new)),
                };
                (kind, cause)
            }
            (Some(_), Some(is)) if rehomed.is_some() => (ComponentChangeKind::Rehomed, changed.of_choice(is)),
            (Some(_), Some(is)) if relicensed.is_some() => {
                (ComponentChangeKind::Relicensed, changed.of_choice(is))
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
            relicensed,
            rehomed,
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

/// Whether the same files are there under other names.
fn have_same_content(
    old: Option<&BTreeMap<&TreePath, &Entry>>,
    new: Option<&BTreeMap<&TreePath, &Entry>>,
) -> bool {
    let content = |files: Option<&BTreeMap<&TreePath, &Entry>>| {
        let mut all: Vec<String> = files
            .into_iter()
            .flatten()
            .map(|(path, entry)| format!("{} {entry:?}", path.file_name()))
            .collect();
        all.sort_unstable();
        all
    };
    old.is_some() && content(old) == content(new)
}

/// The licence before and now, if it is another. That a tool states none is no news where the other side is another tool's.
fn relicensed(was: &Component, is: &Component, are_records: bool) -> Option<(String, String)> {
    let (before, after) = (license(was), license(is));
    let both_state_one = before != NO_LICENSE && after != NO_LICENSE;
    // A bill of materials states as an expression what the package says in other words.
    let means_the_same = match (license_expression(&before), license_expression(&after)) {
        (Some(was), Some(is)) => was == is,
        _ => before == after,
    };
    (!means_the_same && (are_records || both_state_one)).then_some((before, after))
}

/// Where it was taken from before and now, if that is another place.
fn rehomed(was: &Component, is: &Component) -> Option<(String, String)> {
    let (before, after) = (was.origin.as_ref()?, is.origin.as_ref()?);
    let place = |source: Option<&OriginSource>| match source {
        None => "the default index".to_owned(),
        Some(OriginSource::Index { name }) => format!("the index {name}"),
        Some(OriginSource::Url { url }) => url.clone(),
        Some(OriginSource::File { path } | OriginSource::Folder { path, .. }) => {
            format!("{path} of the workspace")
        }
    };
    let (before, after) = (place(before.source.as_ref()), place(after.source.as_ref()));
    (before != after).then_some((before, after))
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

/// What stands for a licence that is not stated.
const NO_LICENSE: &str = "none stated";

fn license(component: &Component) -> String {
    let metadata = &component.metadata;
    match (&metadata.license_expression, &metadata.license) {
        (Some(expression), _) => expression.clone(),
        (None, Some(words)) => words.lines().next().unwrap_or_default().chars().take(100).collect(),
        (None, None) if metadata.license_classifiers.is_empty() => NO_LICENSE.to_owned(),
        (None, None) => metadata.license_classifiers.join(", "),
    }
}

pub(crate) fn byte_delta(old: &Contents<'_>, new: &Contents<'_>, changes: &[ComponentChange]) -> ByteDelta {
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
                Some(
                    ComponentChangeKind::Rebuilt
                    | ComponentChangeKind::Rehomed
                    | ComponentChangeKind::Relicensed
                    | ComponentChangeKind::Moved
                    | ComponentChangeKind::Changed,
                )
                | None => &mut bytes.same_version,
            },
        };
        *part = part.saturating_add(delta);
        bytes.total = bytes.total.saturating_add(delta);
    }
    bytes
}

pub(crate) fn bytes_by_component(old: &Contents<'_>, new: &Contents<'_>) -> Vec<ComponentBytes> {
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
