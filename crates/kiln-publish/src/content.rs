//! Where the files of a build are, if they are at hand.

use crate::published::digest_of;
use crate::scan::{ImagePlace, ZipPlace};
use kiln_record::{Output, Record};
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// Where the files of a build are.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A zip.
    Zip(ZipPlace),
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
    Some(Content::Zip(ZipPlace::new(path)))
}

/// What lies beside a record under the name of its archive.
pub(crate) enum Beside {
    /// The archive.
    Archive(Content),
    /// Another file, or a layout with other files: where.
    Another(PathBuf),
    /// Nothing: where it should be.
    Gone(PathBuf),
    /// Nothing, as the record describes none.
    Nothing,
}

impl Beside {
    /// The archive, if it is what the record says.
    pub(crate) fn content(self) -> Option<Content> {
        match self {
            Self::Archive(content) => Some(content),
            Self::Another(_) | Self::Gone(_) | Self::Nothing => None,
        }
    }

    /// Why all that is told of the build is the word of its record, where what that describes is not beside it.
    pub(crate) fn absent(&self) -> Option<String> {
        let (path, how) = match self {
            Self::Archive(_) | Self::Nothing => return None,
            Self::Another(path) => (path, "is not what its record describes"),
            Self::Gone(path) => (path, "is not there"),
        };
        Some(format!("{} {how}: what is told of it is what its record says", path.display()))
    }
}

/// Looks for the archive beside a record; of an image in a layout, for the folder with it, of which each file that the record names is
/// read. What else lies in a layout is none of the image: nothing that the record names leads to it.
pub(crate) fn beside(folder: &Path, record: &Record) -> Beside {
    let Some(output) = record.archive() else { return Beside::Nothing };
    let is = |output: &Output| {
        let found = digest_of(&folder.join(&output.file_name));
        found.is_ok_and(|found| found == (output.digest, output.size))
    };
    if output.file_name.starts_with("oci/") {
        let layout = folder.join("oci");
        return match layout.is_dir() {
            true if record.outputs.par_iter().all(is) => {
                Beside::Archive(Content::Image(ImagePlace::Folder(layout)))
            }
            true => Beside::Another(layout),
            false => Beside::Gone(layout),
        };
    }
    let path: PathBuf = folder.join(&output.file_name);
    if !path.is_file() {
        return Beside::Gone(path);
    }
    let is_it = is(output);
    match content_at(&path, record).filter(|_| is_it) {
        Some(content) => Beside::Archive(content),
        None => Beside::Another(path),
    }
}
