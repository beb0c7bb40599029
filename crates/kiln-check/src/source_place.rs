//! Where in the workspace a place of the artifact comes from.

use kiln_collect::{Collection, Content};
use kiln_record::{Finding, Place, TreePath};
use std::path::Path;

/// A finding whose place is one of the artifact, with that of the workspace that the file is from; without a place, if it is
/// from elsewhere.
pub(crate) fn in_workspace(root: &Path, collection: &Collection, mut finding: Finding) -> Finding {
    finding.place = finding.place.and_then(|place| of_workspace(root, collection, &place));
    finding
}

/// The place of the workspace that a place of the artifact is from; none if it is from elsewhere, or is no place of it.
pub(crate) fn of_workspace(root: &Path, collection: &Collection, place: &Place) -> Option<Place> {
    let Content::File(file) = collection.content.get(&TreePath::new(&place.file).ok()?)? else { return None };
    Some(Place { file: file.strip_prefix(root).ok()?.to_str()?.to_owned(), line: place.line })
}
