//! Images for several platforms: the index over what was built for each, published under the manifest's own name.

use crate::PublishError;
use crate::deployment::enter_index_in_index;
use crate::document::{described, written};
use crate::published::{is_record, not_as_recorded, published_record};
use crate::published_image::{Blob, manifest_and_blobs};
use crate::published_index::{index_bytes, published_index};
use kiln_collect::CollectError;
use kiln_image::{INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, blob_path, index_layout_documents, write_index_tar};
use kiln_invocation::{Ending, Event, Run, Stage, blocking};
use kiln_plan::{ImageOutput, PlatformSet};
use kiln_record::{
    ArtifactName, Defect, Digest, FORMAT_VERSION, HashingWriter, IndexRecord, IndexedPlatform, Output,
    Platform, digest_of_value,
};
use kiln_store::{LedgerEntry, Publication, StatCache, Store};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};

/// The version of the rules by which manifests become an index and its files.
const INDEX_RULES: u32 = 1;
/// The kind of cache value that says which files are those of an index, by what it was made from.
const CACHE: &str = "published-index";

/// What came of an image for several platforms, beyond each of them.
#[derive(Debug)]
pub struct IndexResult {
    /// The name of its manifest.
    pub artifact: ArtifactName,
    /// How it ended: skipped, if one of its platforms is not published.
    pub ending: Ending,
    /// What is published of it now, if this run got that far.
    pub record: Option<IndexRecord>,
    /// Why it failed, if it did.
    pub error: Option<PublishError>,
}

/// Publishes the index over what the builds of its platforms gave. Without one of them there is no index, and an earlier one
/// stays as it was.
pub async fn publish_index(
    run: &Run,
    store: &Store,
    stat: &StatCache,
    set: &PlatformSet,
    builds: Vec<Option<LedgerEntry>>,
    force: bool,
) -> IndexResult {
    let builds: Option<Vec<LedgerEntry>> = builds.into_iter().collect();
    let outcome = match builds {
        None => Ok((Ending::Skipped, None)),
        Some(builds) => {
            let (run, store) = (run.clone(), store.clone());
            let (stat, set) = (stat.clone(), set.clone());
            let published = blocking(move || {
                let index = Index { run: &run, store: &store, stat: &stat, set: &set, builds: &builds };
                let plan = index.plan()?;
                match index.unchanged(&plan)?.filter(|_| !force) {
                    Some(record) => Ok((Ending::Unchanged, Some(record))),
                    None => Ok((Ending::Published, Some(index.publish(plan)?))),
                }
            });
            published.await
        }
    };
    let (ending, record, error) = match outcome {
        Ok((ending, record)) => (ending, record, None),
        Err(error) => (Ending::Failed, None, Some(error)),
    };
    run.tell(Event::Ended { artifact: set.name.clone(), ending: ending.clone() });
    IndexResult { artifact: set.name.clone(), ending, record, error }
}

struct Index<'a> {
    run: &'a Run,
    store: &'a Store,
    stat: &'a StatCache,
    set: &'a PlatformSet,
    /// What is published of its platforms, in their order.
    builds: &'a [LedgerEntry],
}

impl Index<'_> {
    /// The digest of all that it is made from.
    fn plan(&self) -> Result<Digest, PublishError> {
        let PlatformSet { name, artifacts, output, annotations } = self.set;
        let records: Vec<Digest> = self.builds.iter().map(|build| build.record).collect();
        let format = FORMAT_VERSION.to_string();
        Ok(digest_of_value(&(format, INDEX_RULES, name, artifacts, output, annotations, records))?)
    }

    fn folder(&self) -> std::path::PathBuf {
        self.run.dist().join(self.set.name.as_str())
    }

    /// The published index, if it is the one that would be made and every file of it is still what was published.
    fn unchanged(&self, plan: &Digest) -> Result<Option<IndexRecord>, PublishError> {
        let Some(files) = self.store.cache_get::<BTreeMap<String, Digest>>(CACHE, plan)? else {
            return Ok(None);
        };
        let folder = self.folder();
        for (file, expected) in &files {
            let path = folder.join(file);
            if !path.is_file() || self.stat.digest_of(&path)?.0 != *expected {
                return Ok(None);
            }
        }
        published_index(&folder)
    }

    fn publish(&self, plan: Digest) -> Result<IndexRecord, PublishError> {
        let name = &self.set.name;
        self.run.tell(Event::Stage { artifact: name.clone(), stage: Stage::Pack });
        let mut platforms = Vec::new();
        let mut blobs: BTreeMap<Digest, Blob> = BTreeMap::new();
        let mut epoch = None;
        for (artifact, build) in self.set.artifacts.iter().zip(self.builds) {
            let folder = self.run.dist().join(artifact.as_str());
            let record = published_record(&folder, artifact)?;
            let Some(image) = record.image.as_ref().filter(|_| is_record(&record, &build.record)) else {
                return Err(not_as_recorded(&record, &folder.join("record.json")));
            };
            let (manifest, of_image) = manifest_and_blobs(&folder, &record, image)?;
            epoch = epoch.max(Some(record.epoch));
            platforms.push(IndexedPlatform {
                platform: Platform { architecture: record.target.architecture },
                variant: image.variant.clone(),
                artifact: artifact.clone(),
                record: build.record,
                manifest: image.manifest,
                manifest_size: manifest.len() as u64,
                size: image.size,
            });
            let manifest = Blob::of(MANIFEST_MEDIA_TYPE, &manifest);
            blobs.extend(of_image.into_iter().chain([manifest]).map(|blob| (blob.digest, blob)));
        }
        let epoch = epoch.unwrap_or(self.run.now());
        let mut annotations = self.set.annotations.clone();
        annotations.insert("org.opencontainers.image.created".to_owned(), epoch.to_string());
        let mut record = IndexRecord {
            format: FORMAT_VERSION,
            artifact: name.clone(),
            plan,
            epoch,
            // The digest of its bytes, which follow from the rest.
            index: plan,
            annotations,
            platforms,
            outputs: Vec::new(),
        };
        let index = index_bytes(&record)?;
        record.index = Digest::of(&index);

        let mut publication = Publication::begin(self.run.dist(), name)?;
        record.outputs = match self.set.output {
            ImageOutput::OciLayout => layout(&mut publication, name, &index, &blobs)?,
            _ => vec![archive(&mut publication, name, &index, &blobs)?],
        };
        let mut files: BTreeMap<String, Digest> =
            record.outputs.iter().map(|output| (output.file_name.clone(), output.digest)).collect();
        let documents = [
            (IndexRecord::FILE, written(record.to_json())?),
            ("SHA256SUMS", written(record.sums())?.into_bytes()),
        ];
        for (file_name, bytes) in documents {
            publication.write(file_name, &bytes)?;
            files.insert(file_name.to_owned(), Digest::of(&bytes));
        }
        let sealed = publication.seal()?;
        let turn = self.run.publishing_turn()?;
        sealed.place()?;
        // What cannot be written now cannot be written at the end of the run either, which says so.
        let _ = enter_index_in_index(self.run.dist(), &record);
        drop(turn);
        self.store.cache_put(CACHE, &plan, &files)?;
        // What was just written is still in memory: hashed now, the next run need not read it.
        for file in files.keys() {
            let _ = self.stat.digest_of(&self.folder().join(file));
        }
        Ok(record)
    }
}

fn archive(
    publication: &mut Publication,
    name: &ArtifactName,
    index: &[u8],
    blobs: &BTreeMap<Digest, Blob>,
) -> Result<Output, PublishError> {
    let file_name = format!("{name}.oci.tar");
    let file = publication.create(&file_name)?;
    let mut writer = HashingWriter::new(BufWriter::with_capacity(1 << 18, file));
    let sizes = blobs.iter().map(|(digest, blob)| (*digest, blob.size)).collect();
    // The sizes are the blobs', so none is asked for that is not among them.
    write_index_tar(&mut writer, index, name.as_str(), &sizes, |digest| {
        blobs
            .get(digest)
            .ok_or_else(|| io::Error::other(Defect::new(format!("{digest} is in none of its platforms"))))?
            .open()
    })?;
    let (mut buffer, digest, size) = writer.finish();
    buffer.flush()?;
    Ok(described(file_name, "application/x-tar", size, digest))
}

/// The files of a layout, the index first: its digest is the image's.
fn layout(
    publication: &mut Publication,
    name: &ArtifactName,
    index: &[u8],
    blobs: &BTreeMap<Digest, Blob>,
) -> Result<Vec<Output>, PublishError> {
    let documents = index_layout_documents(index, name.as_str())?;
    let documents = documents.into_iter().map(|(path, bytes)| (path, "application/json", bytes));
    let documents =
        [(blob_path(&Digest::of(index)), INDEX_MEDIA_TYPE, index.to_vec())].into_iter().chain(documents);
    let mut outputs = Vec::new();
    for (path, media_type, bytes) in documents {
        let file_name = format!("oci/{path}");
        publication.write(&file_name, &bytes)?;
        outputs.push(described(file_name, media_type, bytes.len() as u64, Digest::of(&bytes)));
    }
    for (expected, blob) in blobs {
        let file_name = format!("oci/{}", blob_path(expected));
        let mut writer = HashingWriter::new(publication.create(&file_name)?);
        io::copy(&mut blob.open()?, &mut writer)?;
        let (_, digest, size) = writer.finish();
        if digest != *expected {
            return Err(CollectError::SourceChanged { path: expected.to_string() }.into());
        }
        outputs.push(described(file_name, &blob.media_type, size, digest));
    }
    Ok(outputs)
}
