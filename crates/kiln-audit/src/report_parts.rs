//! What the forms of a diff share: its parts in words.
//!
//! Texts in records come from strangers, so control characters never reach a terminal, and Markdown's own characters
//! never leave their cell.

use crate::causes::{BasePackages, InputChange, gap_text};
use crate::compare::{ContainerField, Diff, Side, Verdict};
use crate::components::{ComponentChange, ComponentChangeKind};
use crate::files::{FileChange, FileChangeKind};
use crate::known::Known;
use crate::quantity::{binary, delta, exact, signed};
use kiln_record::{ComponentId, Ecosystem, Finding, InputRole, counted};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Files listed one by one; beyond that only their number per kind is told.
pub(crate) const LISTED_FILES: usize = 12;
/// As many as this are told one by one, however alike they are; of more, as many are named.
pub(crate) const NAMED: usize = 3;
/// Components listed one by one.
pub(crate) const LISTED_COMPONENTS: usize = 40;

impl Diff {
    /// The artifact; both, if two are compared.
    pub(crate) fn artifacts(&self) -> String {
        let (before, after) = (&self.before.artifact, &self.after.artifact);
        if before == after { after.to_string() } else { format!("{before} -> {after}") }
    }

    /// Whether one of the two is a list of components, so that there are no files and no sizes.
    pub(crate) fn lists_components_only(&self) -> bool {
        self.before.known.max(self.after.known) == Known::Components
    }

    /// Whether two builds of the same bytes are alike in all that is said of them, too.
    pub(crate) fn has_nothing_else(&self) -> bool {
        !self.has_more_than_inputs() && self.input_lines().is_empty() && self.not_compared.is_empty()
    }

    /// Whether anything but inputs is to be told of two builds of the same bytes.
    pub(crate) fn has_more_than_inputs(&self) -> bool {
        let lists = [self.security_lines(), self.gap_lines()];
        let findings = self.findings_new.len() + self.findings_gone.len();
        findings + self.anomalies.len() + self.components.len() > 0
            || lists.iter().any(|lines| !lines.is_empty())
    }

    /// Inputs that differ and that a person chose. Wheels follow from locks.
    pub fn chosen_inputs(&self) -> impl Iterator<Item = &InputChange> {
        self.inputs.iter().filter(|input| {
            !matches!(
                input.role,
                InputRole::Distribution | InputRole::Sdist | InputRole::BuildRequirement | InputRole::Crate
            )
        })
    }

    /// What it comes to, in a line.
    #[must_use]
    pub fn headline(&self) -> String {
        match self.verdict {
            Verdict::Identical => format!("identical, {}", digest(&self.after)),
            Verdict::SameContent => match &self.container {
                Some(cause) => format!("same content in another archive ({})", plain(&cause.text)),
                None if self.before.archive.is_none() || self.after.archive.is_none() => {
                    "same content; one of the two is no archive".to_owned()
                }
                None if !self.container_fields.is_empty() => {
                    let fields: BTreeSet<&str> =
                        self.container_fields.iter().map(|field| field.field.as_str()).collect();
                    let fields: Vec<&str> = fields.into_iter().collect();
                    format!("content equal, only these fields of the container differ: {}", fields.join(", "))
                }
                None => "same content in another archive".to_owned(),
            },
            Verdict::SameComponents => "the same components; files were not compared".to_owned(),
            Verdict::Different => {
                let total = delta(self.before.unpacked_size, self.after.unpacked_size);
                let shown = self.shown_components();
                let counts: Vec<String> = [
                    ComponentChangeKind::Removed,
                    ComponentChangeKind::Downgraded,
                    ComponentChangeKind::Rebuilt,
                    ComponentChangeKind::Added,
                    ComponentChangeKind::Upgraded,
                    ComponentChangeKind::Replaced,
                    ComponentChangeKind::Rehomed,
                    ComponentChangeKind::Relicensed,
                    ComponentChangeKind::Moved,
                    ComponentChangeKind::Changed,
                ]
                .into_iter()
                .map(|kind| (shown.iter().filter(|c| c.kind == kind).count(), kind))
                .filter(|(count, _)| *count > 0)
                .map(|(count, kind)| match kind {
                    ComponentChangeKind::Changed => "own code changed".to_owned(),
                    kind => format!("{count} {}", kind.word()),
                })
                .collect();
                let counts = if counts.is_empty() { "no component".to_owned() } else { counts.join(", ") };
                if self.lists_components_only() {
                    return format!("different ({counts}); files and sizes were not compared");
                }
                format!("different ({counts}; {} unpacked)", signed(total))
            }
        }
    }

    /// Components in order of importance. Libraries inside a component that changes as a whole are part of it.
    #[must_use]
    pub fn shown_components(&self) -> Vec<&ComponentChange> {
        let differing: BTreeSet<&ComponentId> = self.components.iter().map(|c| &c.id).collect();
        let mut shown: Vec<&ComponentChange> = self
            .components
            .iter()
            .filter(|c| !c.within.as_ref().is_some_and(|outer| differing.contains(outer)))
            .collect();
        shown
            .sort_by_cached_key(|c| (c.kind, Reverse(self.bytes_with_parts(c).unsigned_abs()), c.id.clone()));
        shown
    }

    /// The bytes that came or went with a component, those of libraries inside it included.
    #[must_use]
    pub fn bytes_with_parts(&self, change: &ComponentChange) -> i64 {
        self.components
            .iter()
            .filter(|c| c.id == change.id || c.within.as_ref() == Some(&change.id))
            .fold(0_i64, |sum, c| sum.saturating_add(delta(c.before_bytes, c.after_bytes)))
    }

    /// The files worth a line, most telling first: the artifact's own, then those of components that stay, then those that
    /// come or go as a whole with theirs; large ones before small ones.
    pub fn listed_files(&self, most: usize) -> impl Iterator<Item = &FileChange> {
        let whole: BTreeSet<&ComponentId> = self
            .components
            .iter()
            .filter(|c| matches!(c.kind, ComponentChangeKind::Removed | ComponentChangeKind::Added))
            .map(|c| &c.id)
            .collect();
        let rank = |file: &FileChange| match file.component.ecosystem() {
            Ecosystem::Application => 0,
            _ if !whole.contains(&file.component) => 1,
            _ => 2,
        };
        let mut listed: Vec<(u8, Reverse<u64>, &FileChange)> =
            self.files.iter().map(|file| (rank(file), Reverse(step(file).unsigned_abs()), file)).collect();
        listed.sort_by(|a, b| (a.0, a.1, &a.2.path).cmp(&(b.0, b.1, &b.2.path)));
        listed.into_iter().take(most).map(|(_, _, file)| file)
    }

    /// What differs in the archive around the same content.
    #[must_use]
    pub fn container_lines(&self) -> Vec<String> {
        self.container_fields.iter().map(container_field).collect()
    }

    /// What a build may do, or was held against, on one side only.
    #[must_use]
    pub fn security_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .privileged
            .iter()
            .map(|path| plain(&format!("runs as its owner or group now: /{path}")))
            .collect();
        let more = self.executables.len().saturating_sub(LISTED_FILES);
        let executables = self.executables.iter().take(LISTED_FILES);
        lines.extend(executables.map(|path| plain(&format!("executable now: {path}"))));
        if more > 0 {
            lines.push(format!("and {more} more executables"));
        }
        lines.extend(self.needs.iter().map(|need| {
            let file = need.files.first().map(ToString::to_string).unwrap_or_default();
            plain(&match (need.after, need.files.len()) {
                (false, _) => format!("{} is needed by nothing any more", need.library),
                (true, 1) => format!("{} is needed now, by {file}", need.library),
                (true, files) => format!("{} is needed now, by {file} and {} more", need.library, files - 1),
            })
        }));
        lines.extend(self.linked.iter().map(|linked| {
            let versions = |versions: &BTreeSet<String>| match versions.is_empty() {
                true => "none".to_owned(),
                false => versions
                    .iter()
                    .map(|one| if one.is_empty() { "some" } else { one })
                    .collect::<Vec<_>>()
                    .join(", "),
            };
            let (before, after) = (versions(&linked.before), versions(&linked.after));
            plain(&format!("linked in: {} {before} -> {after}", linked.name))
        }));
        lines.extend(self.checks.iter().map(|check| match (check.after, &check.reason) {
            (true, _) => format!("check {}: made now, and not before", check.name),
            (false, None) => format!("check {}: made before, and not now", check.name),
            (false, Some(reason)) => {
                plain(&format!("check {}: made before, and not now: {reason}", check.name))
            }
        }));
        lines.extend(self.imports.iter().map(|import| {
            plain(&match (import.after, &import.reason) {
                (true, _) => format!("{} can be imported now", import.distribution),
                (false, reason) => {
                    let reason = reason.as_deref().unwrap_or("no reason is recorded");
                    format!("{} cannot be imported any more: {reason}", import.distribution)
                }
            })
        }));
        lines
    }

    /// The change of unpacked bytes, by reason, in a line.
    #[must_use]
    pub fn byte_parts(&self) -> String {
        let parts: Vec<String> = [
            ("removed", self.bytes.removed),
            ("added", self.bytes.added),
            ("other versions", self.bytes.version_changes),
            ("same version", self.bytes.same_version),
            ("own code", self.bytes.application),
            ("without owner", self.bytes.unowned),
        ]
        .into_iter()
        .filter(|(_, bytes)| *bytes != 0)
        .map(|(name, bytes)| format!("{name} {}", exact(bytes)))
        .collect();
        if parts.is_empty() {
            return "as many as before in every component".to_owned();
        }
        format!("{} = {}", exact(self.bytes.total), parts.join(", "))
    }

    /// How many files differ in which way.
    #[must_use]
    pub fn file_counts(&self) -> String {
        let counts: Vec<String> = [
            (FileChangeKind::Added, "added"),
            (FileChangeKind::Removed, "removed"),
            (FileChangeKind::Content, "changed"),
            (FileChangeKind::Mode, "mode only"),
            (FileChangeKind::Kind, "kind"),
            (FileChangeKind::Moved, "moved"),
        ]
        .into_iter()
        .map(|(kind, word)| (self.files.iter().filter(|f| f.kind == kind).count(), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
        counts.join(", ")
    }

    /// Inputs that a person chose; the others are in the JSON form.
    pub(crate) fn input_lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self
            .chosen_inputs()
            .flat_map(|input| {
                let what = match (&input.before, &input.after) {
                    (None, _) => "new".to_owned(),
                    (_, None) => "gone".to_owned(),
                    (Some(a), Some(b)) => format!("{} -> {}", short(&a.hex()), short(&b.hex())),
                };
                let stated = input.stated.as_deref().map(|stated| format!("; {}", plain(stated)));
                let mut lines = vec![format!(
                    "{} {}: {what}{}",
                    kebab(input.role),
                    plain(&input.name),
                    stated.unwrap_or_default()
                )];
                lines.extend(input.packages.iter().flat_map(|packages| package_lines(&input.name, packages)));
                lines
            })
            .collect();
        lines.extend(self.properties.iter().map(|p| {
            let value = |v: &Option<String>| v.as_deref().map_or("none".to_owned(), plain);
            format!("{}: {} -> {}", plain(&p.name), value(&p.before), value(&p.after))
        }));
        lines
    }

    pub(crate) fn gap_lines(&self) -> Vec<String> {
        self.gaps
            .iter()
            .map(|gap| match (&gap.before, &gap.after) {
                (_, Some(now)) => plain(&format!("{} {}: {}", gap.distribution, now.version, gap_text(now))),
                (_, None) => plain(&format!("{}: not left out any more", gap.distribution)),
            })
            .collect()
    }
}

#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) text: String,
}

impl Lines {
    pub(crate) fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    pub(crate) fn head(&mut self, title: &str) {
        self.line("");
        self.line(title);
    }

    pub(crate) fn more(&mut self, all: usize, listed: usize, what: &str) {
        if all > listed {
            self.line(&format!("  and {} more {what} (--format json lists all)", all - listed));
        }
    }
}

pub(crate) fn side(side: &Side) -> String {
    let build = side.build.as_deref().map_or_else(String::new, |build| format!("{}  ", plain(build)));
    let (packed, unpacked) = (binary(side.archive_size), binary(side.unpacked_size));
    match side.known {
        Known::Components => format!("{build}a list of components"),
        Known::Content if side.archive.is_none() => format!("{build}{unpacked} in a folder"),
        Known::Record | Known::Content => {
            format!("{build}{}  {packed} packed, {unpacked} unpacked", digest(side))
        }
    }
}

fn digest(side: &Side) -> String {
    side.archive.map_or_else(|| "no archive".to_owned(), |d| format!("sha256:{}", short(&d.hex())))
}

/// Enough of a digest to tell two apart on a screen.
fn short(hex: &str) -> String {
    hex.chars().take(12).collect()
}

/// A component with its version before and now.
#[must_use]
pub fn title(change: &ComponentChange) -> String {
    let version = match (&change.before_version, &change.after_version) {
        (Some(a), Some(b)) if a != b => format!(" {a} -> {b}"),
        (_, Some(version)) | (Some(version), None) => format!(" {version}"),
        (None, None) => String::new(),
    };
    plain(&format!("{}{version}", change.name))
}

/// The bytes by which an entry grew.
fn step(change: &FileChange) -> i64 {
    let size = |state: &Option<crate::files::FileState>| state.map_or(0, |s| s.size);
    delta(size(&change.before), size(&change.after))
}

fn file(change: &FileChange) -> String {
    let path = plain(change.path.as_str());
    let bytes = signed(step(change));
    let mode = |state: &Option<crate::files::FileState>| {
        state.and_then(|s| s.mode).map_or("link".to_owned(), |m| m.to_string())
    };
    let what = match change.kind {
        FileChangeKind::Added | FileChangeKind::Removed | FileChangeKind::Content => {
            format!("{path} ({bytes})")
        }
        FileChangeKind::Mode | FileChangeKind::Kind => {
            format!("{path} ({} -> {})", mode(&change.before), mode(&change.after))
        }
        FileChangeKind::Moved => {
            format!("{} -> {path}", change.from.as_ref().map_or(String::new(), |f| plain(f.as_str())))
        }
    };
    format!("{:<8} {what}", file_word(change.kind))
}

/// The first names, and how many there are besides.
pub(crate) fn first_of(names: &[&str]) -> String {
    let named = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// What happened to a file, in a word.
fn file_word(kind: FileChangeKind) -> &'static str {
    match kind {
        FileChangeKind::Added => "added",
        FileChangeKind::Removed => "removed",
        FileChangeKind::Content => "changed",
        FileChangeKind::Mode => "mode",
        FileChangeKind::Kind => "kind",
        FileChangeKind::Moved => "moved",
    }
}

/// Files of a component that changed alike, as a line: how many, and the first of them.
fn files_line(row: &[&FileChange], step: i64) -> Option<String> {
    let first = row.first()?;
    let names: Vec<&str> = row.iter().map(|file| file.path.as_str()).collect();
    let id: &ComponentId = &first.component;
    Some(format!(
        "{:<8} {} of {id} ({}): {}",
        file_word(first.kind),
        counted(row.len(), "files"),
        signed(step),
        first_of(&names)
    ))
}

/// A file, or several of a component that changed alike, with where the first of them differs first.
pub(crate) fn files(row: &[&FileChange]) -> (String, Vec<String>) {
    match row {
        [] => (String::new(), Vec::new()),
        [one] => (file(one), file_difference(one)),
        [first, ..] => {
            let bytes = row.iter().fold(0_i64, |sum, one| sum.saturating_add(step(one)));
            let line = files_line(row, bytes).map_or_else(String::new, |line| plain(&line));
            let of_first = |line: String| format!("of {}, {line}", plain(first.path.as_str()));
            (line, file_difference(first).into_iter().take(1).map(of_first).collect())
        }
    }
}

/// A component that differs, or several that differ alike: how to call it, and what else there is to say.
pub(crate) fn components(row: &[&ComponentChange]) -> (String, Vec<String>) {
    match row {
        [] => (String::new(), Vec::new()),
        [one] => (title(one), component_notes(one)),
        [first, ..] => {
            let names: Vec<String> = row.iter().map(|one| title(one)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let named = vec![first_of(&names)];
            (counted(row.len(), "components"), [named, component_notes(first)].concat())
        }
    }
}

pub(crate) fn finding(finding: &Finding) -> String {
    format!("{} {}: {}", finding.level, finding.code, plain(&finding.cause))
}

fn container_field(field: &ContainerField) -> String {
    let (before, after) = (plain(&field.before), plain(&field.after));
    match (&field.example, field.members) {
        (Some(example), 1) => format!("{}: {before} -> {after}, of {}", field.field, plain(example)),
        (Some(example), members) => {
            format!(
                "{}: {before} -> {after}, of {} and {}",
                field.field,
                plain(example),
                counted(members - 1, "more members")
            )
        }
        (None, _) => format!("{}: {before} -> {after}", field.field),
    }
}

/// Where a file differs first, if that was looked at.
#[must_use]
pub fn file_difference(change: &FileChange) -> Vec<String> {
    let Some(found) = &change.difference else { return Vec::new() };
    let mut lines = vec![format!(
        "first at {}: {} -> {}",
        plain(&found.place),
        plain(&found.before),
        plain(&found.after)
    )];
    lines.extend(found.notes.iter().map(|note| plain(note)));
    lines
}

/// What else changed of a component than its content.
#[must_use]
pub fn component_notes(change: &ComponentChange) -> Vec<String> {
    let pair =
        |what: &str, pair: &(String, String)| format!("{what}: {} -> {}", plain(&pair.0), plain(&pair.1));
    let relicensed = change.relicensed.as_ref().map(|both| pair("licence", both));
    relicensed.into_iter().chain(change.rehomed.as_ref().map(|both| pair("taken from", both))).collect()
}

/// A kebab-case name of a value that serialises as one.
pub(crate) fn kebab(value: impl std::fmt::Debug) -> String {
    let mut words = String::new();
    for (place, letter) in format!("{value:?}").char_indices() {
        if place > 0 && letter.is_ascii_uppercase() {
            words.push('-');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// A text without control characters, direction marks and other format characters that could rewrite a terminal line.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if hidden {
            let _ = write!(out, "{}", c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// A text that stays in its Markdown table cell and is only text there.
#[must_use]
pub fn cell(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // An at sign would mention whoever has that name.
            '@' => out.push_str("&#64;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '~' | '#' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

/// The packages that moved in a base.
fn package_lines(base: &str, packages: &BasePackages) -> Vec<String> {
    if let Some(why) = &packages.not_known {
        return vec![plain(&format!("packages of {base}: which of them moved is not known: {why}"))];
    }
    if packages.moved.is_empty() {
        return vec![plain(&format!("packages of {base}: none moved"))];
    }
    let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".to_owned());
    let moved = packages.moved.iter().take(LISTED_FILES);
    let mut lines: Vec<String> = moved
        .map(|one| {
            let (before, after) = (version(&one.before), version(&one.after));
            plain(&format!("package of {base}: {} {before} -> {after}", one.name))
        })
        .collect();
    if packages.moved.len() > LISTED_FILES {
        lines.push(plain(&format!(
            "and {} of {base}",
            counted(packages.moved.len() - LISTED_FILES, "more packages")
        )));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_texts_stay_texts() {
        assert_eq!(plain("a\u{1b}[31mb\u{202e}c\n"), "a\\u{1b}[31mb\\u{202e}c\\u{a}");
        assert_eq!(cell("a|b`<img> @all"), "a\\|b\\`&lt;img&gt; &#64;all");
    }
}
