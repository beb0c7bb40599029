//! An image that somebody has, read whole: for who holds it against another one.

use crate::PublishError;
use crate::scan::{ImagePlace, image_files, laid};
use kiln_image::Laid;
use kiln_record::{Attributes, Digest, Tree, TreePath};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What an archive or a layout holds.
#[derive(Clone, Debug)]
pub enum HeldImages {
    /// An image.
    One(Box<ReadImage>),
    /// Images for several platforms, each with the digest of its manifest.
    Several(Vec<(String, Digest)>),
}

/// An image in an archive or a layout.
#[derive(Clone, Debug)]
pub struct ReadImage {
    /// The digest of its manifest; Docker's own archives have none.
    pub manifest: Option<Digest>,
    /// Its config, as it is written.
    pub config: Vec<u8>,
    /// Every file and link of all its layers, by paths from the root.
    pub tree: Tree,
    /// Modes, owners and extended attributes that are not the usual ones.
    pub attributes: BTreeMap<TreePath, Attributes>,
    /// The content of the files that were asked for, but for very large ones.
    pub contents: BTreeMap<TreePath, Vec<u8>>,
}

/// Reads the image of an archive or a layout; each layer must be what the config says. Of several images the one whose manifest has
/// the digest `wanted` is read.
///
/// # Errors
/// If it cannot be read, or is no image.
pub fn read_image(
    path: &Path,
    wanted: Option<&Digest>,
    contents: &BTreeSet<TreePath>,
) -> Result<HeldImages, PublishError> {
    let place = ImagePlace::open(path)?;
    // The only image is meant, whatever its digest is.
    let chosen = match laid(&place, wanted)? {
        Laid::Image(_) => wanted,
        Laid::Several(_) => match laid(&place, None)? {
            Laid::Image(_) => None,
            Laid::Several(all) => return Ok(HeldImages::Several(all)),
        },
    };
    let image = image_files(&place, &path.display().to_string(), chosen, contents)?;
    Ok(HeldImages::One(Box::new(ReadImage {
        manifest: image.manifest,
        config: image.config_document,
        tree: image.files.tree,
        attributes: image.files.attributes,
        contents: image.files.wanted,
    })))
}
