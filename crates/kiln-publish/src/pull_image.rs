//! Images out of a registry, as OCI layouts in one tar: what kiln publishes, to the last byte, where it was published so.

use crate::PublishError;
use crate::repository::{Found, Repository, keep};
use crate::space::{ask_for_space, room_for};
use fs_err as fs;
use kiln_image::{Descriptor, Image, ImageError, manifest_blobs, write_index_tar, write_oci_tar};
use kiln_invocation::{Event, Events, blocking};
use kiln_record::{Digest, HashingWriter};
use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

/// The largest config that is read, in bytes.
const LARGEST_CONFIG: u64 = 8 << 20;

/// Blobs in a folder, each under its digest.
struct Blobs {
    folder: tempfile::TempDir,
    sizes: BTreeMap<Digest, u64>,
}

impl Blobs {
    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.path().join(digest.hex())
    }

    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(BufReader::with_capacity(1 << 18, fs::File::open(self.path(digest))?)))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        let digest = Digest::of(bytes);
        fs::write(self.path(&digest), bytes)?;
        self.sizes.insert(digest, bytes.len() as u64);
        Ok(())
    }
}

/// Writes the image of one manifest as `<name>.oci.tar`.
pub(crate) async fn pull_image_archive(
    repository: &Repository,
    name: &str,
    found: &Found,
    into: &Path,
    events: &Events,
) -> Result<(PathBuf, Digest), PublishError> {
    let blobs = bring(repository, std::slice::from_ref(found), into, events).await?;
    let (config, _) = manifest_blobs(&found.bytes)?;
    let (manifest, name, into) = (found.bytes.clone(), name.to_owned(), into.to_owned());
    blocking(move || {
        let mut stated = Vec::new();
        blobs.open(&config.digest)?.read_to_end(&mut stated)?;
        let image = Image::read(manifest, stated)?;
        archive(&into, &name, |writer| write_oci_tar(writer, &image, &name, |digest| blobs.open(digest)))
    })
    .await
}

/// Writes an index and all its platforms as `<name>.oci.tar`.
pub(crate) async fn pull_index_archive(
    repository: &Repository,
    name: &str,
    index: &[u8],
    manifests: &[Found],
    into: &Path,
    events: &Events,
) -> Result<(PathBuf, Digest), PublishError> {
    let mut blobs = bring(repository, manifests, into, events).await?;
    for found in manifests {
        blobs.put(&found.bytes)?;
    }
    let (index, name, into) = (index.to_vec(), name.to_owned(), into.to_owned());
    blocking(move || {
        archive(&into, &name, |writer| {
            write_index_tar(writer, &index, &name, &blobs.sizes, |digest| blobs.open(digest))
        })
    })
    .await
}

/// Brings the configs and layers that manifests name, each once.
async fn bring(
    repository: &Repository,
    manifests: &[Found],
    into: &Path,
    events: &Events,
) -> Result<Blobs, PublishError> {
    let mut blobs = Blobs { folder: tempfile::tempdir_in(into)?, sizes: BTreeMap::new() };
    let mut wanted: BTreeMap<Digest, Descriptor> = BTreeMap::new();
    for found in manifests {
        let (config, layers) = manifest_blobs(&found.bytes)?;
        if config.size > LARGEST_CONFIG {
            let url = config.digest.to_string();
            return Err(kiln_fetch::FetchError::TooLarge { url, limit: LARGEST_CONFIG }.into());
        }
        ask_for_space(&layers, 1, into, &repository.at(&found.digest))?;
        wanted.extend(layers.into_iter().chain([config]).map(|blob| (blob.digest, blob)));
    }
    // Once as blobs, once in the archive.
    room_for(wanted.values().map(|blob| blob.size), 2, into, &repository.reference.to_string())?;
    for (digest, blob) in wanted {
        let file = digest.hex()[..12].to_owned();
        events.send(Event::DownloadStarted { file: file.clone(), size: Some(blob.size) });
        let (mut sink, _) = fs::File::create(blobs.path(&digest))?.into_parts();
        let outcome = repository.registry.pull_blob(repository.name(), &digest, blob.size, &mut sink).await;
        events.send(Event::DownloadEnded { file });
        outcome?;
        blobs.sizes.insert(digest, blob.size);
    }
    Ok(blobs)
}

/// Writes an archive under a name that it gets when it is whole.
fn archive(
    into: &Path,
    name: &str,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), ImageError>,
) -> Result<(PathBuf, Digest), PublishError> {
    let mut temporary = tempfile::NamedTempFile::new_in(into)?;
    let mut writer = HashingWriter::new(BufWriter::with_capacity(1 << 18, temporary.as_file_mut()));
    write(&mut writer)?;
    let (mut buffer, digest, _) = writer.finish();
    buffer.flush()?;
    drop(buffer);
    let path = keep(temporary, &into.join(format!("{name}.oci.tar")), &digest)?;
    Ok((path, digest))
}
