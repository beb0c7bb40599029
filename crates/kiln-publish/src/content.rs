//! Where the files of a build are, if they are at hand.

use crate::published::digest_of;
use crate::scan::ImagePlace;
use kiln_record::Record;
use std::path::{Path, PathBuf};

/// Where the files of a build are.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A zip.
    Zip(PathBuf),
    /// A folder that an archive was unpacked to.
    Folder(PathBuf),
    /// An image in a layout or an archive.
    Image(ImagePlace),
}

/// A record's archive, where it is.
pub(crate) fn content_at(path: &Path, record: &Record) -> Option<Content> {
    if record.kind.is_image() {
        return ImagePlace::open(path).ok().map(Content::Image);
    }
    Some(Content::Zip(path.to_owned()))
}

/// The archive beside a record, if it is what the record says.
pub(crate) fn content_beside(folder: &Path, record: &Record) -> Option<Content> {
    let output = record.archive()?;
    if output.file_name.starts_with("oci/") {
        let layout = folder.join("oci");
        let is_there = layout.is_dir();
        return is_there.then_some(Content::Image(ImagePlace::Folder(layout)));
    }
    let path: PathBuf = folder.join(&output.file_name);
    let is_it = path.is_file() && digest_of(&path).is_ok_and(|found| found == (output.digest, output.size));
    if is_it { content_at(&path, record) } else { None }
}
