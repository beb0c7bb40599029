//! Where in the workspace a place of the artifact comes from.

use kiln_collect::{Collection, Content};
use kiln_record::{Finding, Place, TreePath};
use std::path::Path;

/// A finding whose place is one of the artifact, with that of the workspace that the file is from; without a place, if it is
/// from elsewhere.
pub(crate) fn in_workspace(root: &Path, collection: &Collection, mut finding: Finding) -> Finding {
    finding.place = finding.place.and_then(|place| {
        let path = TreePath::new(&place.file).ok()?;
        let Some(Content::File(file)) = collection.content.get(&path) else { return None };
        let file = file.strip_prefix(root).ok()?.to_str()?;
        Some(Place { file: file.to_owned(), ..place })
    });
    finding
}
