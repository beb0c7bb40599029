//! Images out of a registry, in the form in which their record says that they were published, to the last byte; without a record as an OCI
//! layout in one tar.

use crate::PublishError;
use crate::repository::{Found, Repository, in_registry, keep};
use crate::space::{ask_for_space, room_for};
use fs_err as fs;
use kiln_image::{
    Descriptor, Image, ImageError, blob_path, index_layout_documents, layout_documents, manifest_blobs,
    write_archive, write_index_tar, write_oci_tar,
};
use kiln_invocation::{Event, Events, blocking};
use kiln_record::{Digest, HashingWriter, Output};
use kiln_store::open_regular;
use std::collections::BTreeMap;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::{Path, PathBuf};

/// The largest config that is read, in bytes.
const LARGEST_CONFIG: u64 = 8 << 20;

/// The files that an image is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// A layout in one tar, `<name>.oci.tar`.
    #[default]
    OciTar,
    /// What `docker load` takes, `<name>.docker.tar`.
    DockerArchive,
    /// A layout in the folder `oci`.
    Layout,
}

impl Form {
    /// The form of what was published, by its files.
    pub(crate) fn of(outputs: &[Output]) -> Self {
        match outputs.first().map(|output| output.file_name.as_str()) {
            Some(name) if name.starts_with("oci/") => Self::Layout,
            Some(name) if name.ends_with(".docker.tar") => Self::DockerArchive,
            _ => Self::OciTar,
        }
    }
}

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
        Ok(Box::new(BufReader::with_capacity(1 << 18, open_regular(self.path(digest))?)))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), PublishError> {
        let digest = Digest::of(bytes);
        fs::write(self.path(&digest), bytes)?;
        self.sizes.insert(digest, bytes.len() as u64);
        Ok(())
    }
}

/// Writes the image of one manifest.
pub(crate) async fn pull_image_files(
    repository: &Repository,
    (name, form): (&str, Form),
    found: &Found,
    into: &Path,
    events: &Events,
) -> Result<Vec<(PathBuf, Digest)>, PublishError> {
    let mut blobs = bring(repository, std::slice::from_ref(found), into, events).await?;
    blobs.put(&found.bytes)?;
    let place = repository.at(&found.digest);
    let (config, _) = manifest_blobs(&found.bytes).map_err(in_registry(&place))?;
    let (manifest, name, into) = (found.bytes.clone(), name.to_owned(), into.to_owned());
    blocking(move || {
        let mut stated = Vec::new();
        blobs.open(&config.digest)?.read_to_end(&mut stated)?;
        let image = Image::read(manifest, stated).map_err(in_registry(&place))?;
        match form {
            Form::OciTar => archive(&into, &format!("{name}.oci.tar"), |writer| {
                write_oci_tar(writer, &image, &name, |digest| blobs.open(digest))
            }),
            Form::DockerArchive => archive(&into, &format!("{name}.docker.tar"), |writer| {
                let tag = format!("{name}:{}", &image.config_digest.hex()[..12]);
                write_archive(writer, &image, Some(&tag), |digest| blobs.open(digest))
            }),
            Form::Layout => layout(&into, &layout_documents(&image, &name)?, &blobs),
        }
    })
    .await
}

/// Writes an index and all its platforms.
pub(crate) async fn pull_index_files(
    repository: &Repository,
    (name, form): (&str, Form),
    index: &[u8],
    manifests: &[Found],
    into: &Path,
    events: &Events,
) -> Result<Vec<(PathBuf, Digest)>, PublishError> {
    let mut blobs = bring(repository, manifests, into, events).await?;
    for found in manifests {
        blobs.put(&found.bytes)?;
    }
    let (index, name, into) = (index.to_vec(), name.to_owned(), into.to_owned());
    blocking(move || {
        if form == Form::Layout {
            blobs.put(&index)?;
            return layout(&into, &index_layout_documents(&index, &name)?, &blobs);
        }
        archive(&into, &format!("{name}.oci.tar"), |writer| {
            write_index_tar(writer, &index, &name, &blobs.sizes, |digest| blobs.open(digest))
        })
    })
    .await
}

/// Writes the files of a layout, the index last: without it there is none.
fn layout(
    into: &Path,
    documents: &[(String, Vec<u8>)],
    blobs: &Blobs,
) -> Result<Vec<(PathBuf, Digest)>, PublishError> {
    let root = into.join("oci");
    let mut files = Vec::new();
    let mut put = |path: &str, content: &mut dyn Read| -> Result<(), PublishError> {
        let target = root.join(path);
        let folder = target.parent().unwrap_or(&root);
        fs::create_dir_all(folder)?;
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        let mut writer = HashingWriter::new(temporary.as_file_mut());
        io::copy(content, &mut writer)?;
        let (_, digest, _) = writer.finish();
        files.push((keep(temporary, &target, &digest)?, digest));
        Ok(())
    };
    for digest in blobs.sizes.keys() {
        put(&blob_path(digest), &mut blobs.open(digest)?)?;
    }
    for (path, bytes) in documents.iter().rev() {
        put(path, &mut bytes.as_slice())?;
    }
    Ok(files)
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
        let place = repository.at(&found.digest);
        let (config, layers) = manifest_blobs(&found.bytes).map_err(in_registry(&place))?;
        if config.size > LARGEST_CONFIG {
            let url = format!("the config {} of {place}", config.digest);
            return Err(kiln_fetch::FetchError::TooLarge { url, limit: LARGEST_CONFIG }.into());
        }
        ask_for_space(&layers, 1, into, &place)?;
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
    file_name: &str,
    write: impl FnOnce(&mut dyn io::Write) -> Result<(), ImageError>,
) -> Result<Vec<(PathBuf, Digest)>, PublishError> {
    let mut temporary = tempfile::NamedTempFile::new_in(into)?;
    let mut writer = HashingWriter::new(BufWriter::with_capacity(1 << 18, temporary.as_file_mut()));
    write(&mut writer)?;
    let (mut buffer, digest, _) = writer.finish();
    buffer.flush()?;
    drop(buffer);
    let path = keep(temporary, &into.join(file_name), &digest)?;
    Ok(vec![(path, digest)])
}
