//! Packed: the archive is written beside the published one and read back, or is the published one; and is within its
//! limits.

use super::standing::Standing;
use super::verify::{Judgement, Verified};
use crate::long_hashes::of_written;
use crate::{BuildError, Judged, image};
use kiln_audit::{Budget, ImageSizes, check_image_limits, check_limits};
use kiln_collect::{OpenArchives, denied, tree_of_archive};
use kiln_guest::Bases;
use kiln_invocation::{Event, Stage, blocking};
use kiln_pack::ZipWriter;
use kiln_publish::described;
use kiln_record::{ArtifactName, Check, Entry, Finding, HashingWriter, Output};
use kiln_store::{Publication, Store};
use std::io::{BufWriter, Write as _};
use std::path::Path;

/// The archive is there and within its limits; nothing is published yet.
pub(crate) struct Packed {
    judgement: Judgement,
    archive: Archive,
    outputs: Vec<Output>,
}

/// Where a packed archive is.
pub(super) enum Archive {
    /// Beside the published one.
    Written(Publication),
    /// It is the published one.
    Standing(Box<Standing>),
}

impl Verified {
    /// Writes the archive beside the published one, reads it back, and judges its size. Where `standing` is what would be
    /// written, it is judged instead.
    pub(crate) async fn pack(self, bases: &Bases, standing: Option<Standing>) -> Judged<Packed> {
        let mut judgement = self.into_judgement();
        let (run, store) = (bases.run().clone(), bases.store().clone());
        let standing = standing.filter(|standing| standing.is_what_was_judged(&judgement));
        if standing.is_none() {
            run.tell(Event::Stage { artifact: judgement.plan.manifest.name.clone(), stage: Stage::Pack });
        }
        blocking(move || {
            let (archive, outputs) = match (standing, &judgement.assembled) {
                (Some(standing), _) => {
                    let outputs = standing.record.outputs.clone();
                    (Archive::Standing(Box::new(standing)), outputs)
                }
                (None, Some(assembled)) => {
                    let (plan, collection) = (&judgement.plan, &judgement.collection);
                    let (written, outputs) = image::write(run.dist(), &store, plan, collection, assembled)?;
                    (Archive::Written(written), outputs)
                }
                (None, None) => {
                    let (written, outputs) = write_archive(run.dist(), &store, &judgement)?;
                    (Archive::Written(written), outputs)
                }
            };
            let (mut found, check) = limits(&judgement, outputs.first().map_or(0, |output| output.size));
            for finding in &mut found {
                finding.detail.extend(judgement.collection.largest());
            }
            judgement.verdict.findings.extend(found);
            judgement.verdict.checks.push(check);
            if let Some(denied) = denied(&judgement.plan, &judgement.verdict.findings, run.now()) {
                return Ok(Err(denied));
            }
            Ok(Ok(Packed { judgement, archive, outputs }))
        })
        .await
    }
}

impl Packed {
    /// What was judged, where its archive is, and the files that are to be published.
    pub(super) fn into_parts(self) -> (Judgement, Archive, Vec<Output>) {
        (self.judgement, self.archive, self.outputs)
    }
}

/// Holds an artifact against the limits of its kind and the budget of its manifest.
fn limits(judgement: &Judgement, archive: u64) -> (Vec<Finding>, Check) {
    let manifest = &judgement.plan.manifest;
    let own = judgement.collection.tree.size();
    let budget =
        Budget { zip: manifest.budget.zip, unpacked: manifest.budget.unpacked, image: manifest.budget.image };
    if let Some(assembled) = &judgement.assembled {
        let sizes = ImageSizes { layers: assembled.record.size, base: assembled.record.base.bytes, own };
        return check_image_limits(manifest.kind, &sizes, &budget);
    }
    let layers: Vec<(ArtifactName, u64)> =
        judgement.layers.iter().map(|layer| (layer.name.clone(), layer.collection.tree.size())).collect();
    check_limits(manifest.kind, archive, own, &layers, &budget)
}

fn write_archive(
    dist: &Path,
    store: &Store,
    judgement: &Judgement,
) -> Result<(Publication, Vec<Output>), BuildError> {
    let name = &judgement.plan.manifest.name;
    let collection = &judgement.collection;
    let file_name = format!("{name}.zip");
    let mut publication = Publication::begin(dist, name)?;
    let file = publication.create(&file_name)?;
    let file = HashingWriter::new(BufWriter::with_capacity(256 * 1024, file));
    // A pair is the finding `case-collision`, and here somebody has accepted it.
    let mut zip = ZipWriter::new(file).with_case_pairs();
    let mut wheel_files = OpenArchives::new(store);
    for (path, entry) in collection.tree.iter() {
        match entry {
            Entry::File { mode, .. } => {
                zip.add_file(path, *mode, &collection.compressed(&mut wheel_files, path)?)?
            }
            Entry::Symlink { target } => zip.add_symlink(path, target)?,
        }
    }
    let (mut buffer, digest, size) = zip.finish()?.finish();
    buffer.flush()?;
    let file = buffer.into_inner().map_err(std::io::IntoInnerError::into_error)?;

    let found = tree_of_archive(file.path())?.digest();
    let expected = collection.tree.digest();
    if found != expected {
        return Err(BuildError::ArchiveDiffers { artifact: name.clone(), expected, found });
    }
    let sha512 = Some(of_written(file.path())?);
    Ok((publication, vec![Output { sha512, ..described(file_name, "application/zip", size, digest) }]))
}
