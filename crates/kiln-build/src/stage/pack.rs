//! Packed: the archive is written beside the published one and read back, or is the published one; and is within its
//! limits.
//!
//! Writing needs no judgement, and takes as long as many checks: so an archive is begun as a [`Draft`] while its content is
//! judged. A draft is nothing that anybody can see, and only what was verified makes more of it.

use super::collect::Collected;
use super::standing::Standing;
use super::verify::{Judgement, Verified};
use crate::long_hashes::of_written;
use crate::{BuildError, Judged, image};
use kiln_audit::{Budget, ImageSizes, check_image_limits, check_limits};
use kiln_check::Underway;
use kiln_collect::{Collection, OpenArchives, denied, tree_of_archive};
use kiln_guest::Bases;
use kiln_invocation::{Event, InvocationError, Stage, blocking};
use kiln_pack::ZipWriter;
use kiln_publish::described;
use kiln_record::{ArtifactName, Check, Entry, Finding, HashingWriter, Output};
use kiln_store::{Publication, Store};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

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

/// A zip that is being written beside the published one, and read back, while what is in it is judged. Dropped, it is given
/// up, and leaves nothing.
pub(crate) struct Draft {
    writing: Option<JoinHandle<Result<Written, BuildError>>>,
    given_up: Arc<AtomicBool>,
}

/// A complete archive, and what is to be said of it.
type Written = (Publication, Vec<Output>);

impl Collected {
    /// Writes the archive as soon as the checks are `underway`, which decide how long a build takes; nothing of an image, which
    /// is put together of what was judged, and of what is published already.
    pub(crate) fn draft(
        &self,
        bases: &Bases,
        standing: Option<&Standing>,
        underway: &Underway,
    ) -> Option<Draft> {
        let is_there = standing.is_some_and(|standing| standing.record.tree == self.collection.tree.digest());
        if self.plan.manifest.kind.is_image() || is_there {
            return None;
        }
        let (dist, store) = (bases.run().dist().to_owned(), bases.store().clone());
        let (name, collection) = (self.plan.manifest.name.clone(), Arc::clone(&self.collection));
        let given_up = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&given_up);
        let underway = underway.clone();
        let writing = tokio::spawn(async move {
            underway.wait().await;
            blocking(move || write_archive(&dist, &store, &name, &collection, &asked)).await
        });
        Some(Draft { writing: Some(writing), given_up })
    }
}

impl Draft {
    /// What was written.
    async fn written(mut self) -> Result<Written, BuildError> {
        let Some(writing) = self.writing.take() else { return Err(InvocationError::Interrupted.into()) };
        match writing.await {
            Ok(written) => written,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(InvocationError::Interrupted.into()),
        }
    }

    /// Ends it, and waits until nothing is left of it. What went wrong with it concerns nobody any more.
    pub(crate) async fn give_up(mut self) {
        self.given_up.store(true, Ordering::Relaxed);
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.given_up.store(true, Ordering::Relaxed);
    }
}

impl Verified {
    /// Takes the archive that was written beside the published one, or writes it, and judges its size. Where `standing` is what
    /// would be written, it is judged instead.
    pub(crate) async fn pack(
        self,
        bases: &Bases,
        standing: Option<Standing>,
        draft: Option<Draft>,
    ) -> Judged<Packed> {
        let mut judgement = self.into_judgement();
        let (run, store) = (bases.run().clone(), bases.store().clone());
        let standing = standing.filter(|standing| standing.is_what_was_judged(&judgement));
        if standing.is_none() {
            run.tell(Event::Stage { artifact: judgement.plan.manifest.name.clone(), stage: Stage::Pack });
        }
        let drafted = match draft {
            Some(draft) if standing.is_none() => Some(draft.written().await?),
            Some(draft) => {
                draft.give_up().await;
                None
            }
            None => None,
        };
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
                    let (written, outputs) = match drafted {
                        Some(written) => written,
                        None => {
                            let (name, collection) = (&judgement.plan.manifest.name, &judgement.collection);
                            write_archive(run.dist(), &store, name, collection, &AtomicBool::new(false))?
                        }
                    };
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

/// Writes an archive and reads it back, unless that is given up.
fn write_archive(
    dist: &Path,
    store: &Store,
    name: &ArtifactName,
    collection: &Collection,
    given_up: &AtomicBool,
) -> Result<Written, BuildError> {
    let still_wanted = || match given_up.load(Ordering::Relaxed) {
        true => Err(InvocationError::Interrupted),
        false => Ok(()),
    };
    still_wanted()?;
    let file_name = format!("{name}.zip");
    let mut publication = Publication::begin(dist, name)?;
    let file = publication.create(&file_name)?;
    let file = HashingWriter::new(BufWriter::with_capacity(256 * 1024, file));
    // A pair is the finding `case-collision`, and here somebody has accepted it.
    let mut zip = ZipWriter::new(file).with_case_pairs();
    let mut wheel_files = OpenArchives::new(store);
    for (path, entry) in collection.tree.iter() {
        still_wanted()?;
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

    let (found, sha512) = std::thread::scope(|scope| {
        let hashing = scope.spawn(|| of_written(file.path()));
        // What is on the disk already need not be waited for when it is published.
        let synced = scope.spawn(|| file.sync_all());
        let found = tree_of_archive(file.path());
        let (Ok(sha512), Ok(synced)) = (hashing.join(), synced.join()) else {
            return Err(InvocationError::Interrupted.into());
        };
        synced?;
        Ok::<_, BuildError>((found?.digest(), sha512?))
    })?;
    let expected = collection.tree.digest();
    if found != expected {
        return Err(BuildError::ArchiveDiffers { artifact: name.clone(), expected, found });
    }
    let output = Output { sha512: Some(sha512), ..described(file_name, "application/zip", size, digest) };
    Ok((publication, vec![output]))
}
