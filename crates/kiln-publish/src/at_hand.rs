//! Files of a build whose archive is at hand.

use crate::PublishError;
use crate::content::Content;
use crate::named_build::NamedBuild;
use crate::scan::{Contents, folder_contents, image_files, zip_contents};
use kiln_audit::Known;
use kiln_record::TreePath;
use std::collections::BTreeSet;

/// Files of a build that are at hand: the content of some paths.
pub(crate) fn contents(build: &NamedBuild, wanted: &BTreeSet<TreePath>) -> Result<Contents, PublishError> {
    match &build.content {
        None => Ok(Contents::new()),
        Some(Content::Zip(zip)) => zip_contents(zip, wanted),
        Some(Content::Folder(path)) => folder_contents(path, wanted),
        Some(Content::Image(place)) => {
            // A function's files are below its folder; what is called by a path from the root already stays.
            let mount = match build.known {
                Known::Record => build.record.kind.mount().trim_start_matches('/'),
                Known::Content | Known::Components => "",
            };
            let placed: BTreeSet<_> = wanted
                .iter()
                .filter_map(|path| if mount.is_empty() { Some(path.clone()) } else { path.below(mount).ok() })
                .collect();
            let manifest = build.record.image.as_ref().map(|image| image.manifest);
            let image = image_files(place, &build.label, manifest.as_ref(), &placed)?;
            let start = if mount.is_empty() { String::new() } else { format!("{mount}/") };
            let stripped = image.files.wanted.into_iter().filter_map(|(path, bytes)| {
                let path = TreePath::new(path.as_str().strip_prefix(&start)?).ok()?;
                Some((path, bytes))
            });
            Ok(stripped.collect())
        }
    }
}
