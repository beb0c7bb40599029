//! Comparing what was named: the records, and the archives where these are at hand.

use crate::PublishError;
use crate::at_hand::contents;
use crate::container::{container_fields, leading_difference};
use crate::content::Content;
use crate::inside::difference;
use crate::named_build::NamedBuild;
use crate::operand::image;
use crate::scan::Found;
use kiln_audit::{
    Diff, FileChange, FileChangeKind, Known, LARGEST_EXPLAINED, SizeHistory, Verdict, compare_subjects,
};
use kiln_record::{ArtifactKind, Digest, Ecosystem, TreePath};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// The most files whose first difference is looked for.
const EXPLAINED_FILES: usize = 40;

/// What changed between two builds. Where the archives of both are at hand, what differs is looked at in them, too.
///
/// # Errors
/// If an archive that is at hand cannot be read.
pub fn compared(
    before: &NamedBuild,
    after: &NamedBuild,
    history: &SizeHistory,
) -> Result<Diff, PublishError> {
    let (before, after) = (on_one_footing(before, after)?, on_one_footing(after, before)?);
    let mut diff = compare_subjects(&before.subject(), &after.subject(), history);
    (diff.before.build, diff.after.build) = (Some(before.label.clone()), Some(after.label.clone()));
    if diff.verdict == Verdict::SameContent {
        diff.container_fields = container_fields(&before, &after)?;
    } else if diff.verdict == Verdict::Different {
        diff.container_fields = leading_difference(&before, &after)?;
    }
    explain_files(&before, &after, &mut diff)?;
    Ok(diff)
}

/// A build as it can be compared with another. A record of an image names the files above its base; of an image that was read
/// all are known. So one that was built here is read as well, and where it is not at hand, components are all that can be compared.
fn on_one_footing<'a>(
    build: &'a NamedBuild,
    other: &NamedBuild,
) -> Result<Cow<'a, NamedBuild>, PublishError> {
    let (is_record, other_is_read) = (build.known == Known::Record, other.known == Known::Content);
    if other_is_read && is_record && build.record.kind.is_image() {
        if let Some(Content::Image(place)) = &build.content {
            let found =
                Found { name: build.record.artifact.clone(), kind: ArtifactKind::Image, output: None };
            let manifest = build.record.image.as_ref().map(|image| image.manifest);
            return image(place.clone(), found, &build.label, manifest.as_ref()).map(Cow::Owned);
        }
        return Ok(Cow::Owned(NamedBuild { known: Known::Components, ..build.clone() }));
    }
    Ok(Cow::Borrowed(build))
}

/// Says of files with other content where that differs first: own files before others.
fn explain_files(before: &NamedBuild, after: &NamedBuild, diff: &mut Diff) -> Result<(), PublishError> {
    if before.content.is_none() || after.content.is_none() {
        return Ok(());
    }
    let small = |file: &&FileChange| {
        let size = |state: &Option<kiln_audit::FileState>| {
            state.is_some_and(|state| state.size <= LARGEST_EXPLAINED)
        };
        file.kind == FileChangeKind::Content && size(&file.before) && size(&file.after)
    };
    let mut files: Vec<(bool, TreePath)> = diff
        .files
        .iter()
        .filter(small)
        .map(|file| (file.component.ecosystem() != Ecosystem::Application, file.path.clone()))
        .collect();
    files.sort();
    let wanted: BTreeSet<TreePath> = files.into_iter().take(EXPLAINED_FILES).map(|(_, path)| path).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let (old, new) = (contents(before, &wanted)?, contents(after, &wanted)?);
    for file in &mut diff.files {
        let (Some(a), Some(b)) = (old.get(&file.path), new.get(&file.path)) else { continue };
        // What is at hand must be what the records speak of.
        let is = |state: &Option<kiln_audit::FileState>, bytes: &[u8]| {
            state.and_then(|state| state.digest) == Some(Digest::of(bytes))
        };
        if is(&file.before, a) && is(&file.after, b) {
            file.difference = difference(file.path.as_str(), a, b);
        }
    }
    Ok(())
}
