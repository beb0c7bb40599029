//! Writing an image out: as a tar or as the folder of an OCI layout, from blobs of the store.

use super::layers::read_back;
use crate::BuildError;
use crate::long_hashes::of_written;
use kiln_collect::Collection;
use kiln_guest::AssembledImage;
use kiln_image::{
    CONFIG_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, blob_path, layout_documents, write_archive, write_oci_tar,
};
use kiln_plan::{ArtifactPlan, ImageOutput};
use kiln_publish::described;
use kiln_record::{Digest, HashingWriter, LayerRole, LongHasher, Output};
use kiln_store::{Publication, Store};
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::path::Path;

/// The folder of a layout.
const LAYOUT: &str = "oci";

/// Writes the image beside the published one; its own layers are read back and must hold the tree that was verified.
pub(crate) fn write(
    dist: &Path,
    store: &Store,
    plan: &ArtifactPlan,
    collection: &Collection,
    assembled: &AssembledImage,
) -> Result<(Publication, Vec<Output>), BuildError> {
    let name = &plan.manifest.name;
    let own: Vec<_> = assembled
        .record
        .layers
        .iter()
        .filter(|layer| layer.role != LayerRole::Base)
        .map(|layer| (layer.digest, assembled.codec))
        .collect();
    let mount = plan.manifest.mount().trim_start_matches('/');
    let found = read_back(store, &own, mount)?.digest();
    let expected = collection.tree.digest();
    if found != expected {
        return Err(BuildError::ArchiveDiffers { artifact: name.clone(), expected, found });
    }
    let mut publication = Publication::begin(dist, name)?;
    let output = plan.manifest.image.as_ref().map(|image| image.output).unwrap_or_default();
    let outputs = match output {
        ImageOutput::OciTar => {
            vec![tar(store, &mut publication, &format!("{name}.oci.tar"), |writer, content| {
                write_oci_tar(writer, &assembled.image, name.as_str(), content)
            })?]
        }
        ImageOutput::DockerArchive => {
            let tag = format!("{name}:{}", &assembled.image.config_digest.hex()[..12]);
            vec![tar(store, &mut publication, &format!("{name}.docker.tar"), |writer, content| {
                write_archive(writer, &assembled.image, Some(&tag), content)
            })?]
        }
        ImageOutput::OciLayout => layout(store, &mut publication, plan, assembled)?,
    };
    Ok((publication, outputs))
}

type Content<'a> = &'a mut dyn FnMut(&Digest) -> io::Result<Box<dyn Read>>;
type Sink = HashingWriter<BufWriter<fs_err::File>>;

fn tar(
    store: &Store,
    publication: &mut Publication,
    file_name: &str,
    write: impl FnOnce(&mut Sink, Content<'_>) -> Result<(), kiln_image::ImageError>,
) -> Result<Output, BuildError> {
    let file = publication.create(file_name)?;
    let mut writer = HashingWriter::new(BufWriter::with_capacity(1 << 18, file));
    let mut content = |digest: &Digest| -> io::Result<Box<dyn Read>> {
        let blob = store.open_blob(digest).map_err(io::Error::other)?;
        Ok(Box::new(BufReader::with_capacity(1 << 18, blob)))
    };
    write(&mut writer, &mut content)?;
    let (mut buffer, digest, size) = writer.finish();
    buffer.flush()?;
    let file = buffer.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    let sha512 = Some(of_written(file.path())?);
    Ok(Output { sha512, ..described(file_name.to_owned(), "application/x-tar", size, digest) })
}

/// The files of a layout, the manifest first: its digest is the image's.
fn layout(
    store: &Store,
    publication: &mut Publication,
    plan: &ArtifactPlan,
    assembled: &AssembledImage,
) -> Result<Vec<Output>, BuildError> {
    let image = &assembled.image;
    let mut outputs = Vec::new();
    let mut put = |publication: &mut Publication, path: &str, media_type: &str, bytes: &[u8]| {
        let file_name = format!("{LAYOUT}/{path}");
        publication.write(&file_name, bytes)?;
        outputs.push(described(file_name, media_type, bytes.len() as u64, Digest::of(bytes)));
        Ok::<_, BuildError>(())
    };
    put(publication, &blob_path(&image.manifest_digest), MANIFEST_MEDIA_TYPE, &image.manifest)?;
    put(publication, &blob_path(&image.config_digest), CONFIG_MEDIA_TYPE, &image.config)?;
    for (path, bytes) in layout_documents(image, plan.manifest.name.as_str())? {
        put(publication, &path, "application/json", &bytes)?;
    }
    let mut written = std::collections::BTreeSet::new();
    for layer in image.layers.iter().filter(|layer| written.insert(layer.digest)) {
        let file_name = format!("{LAYOUT}/{}", blob_path(&layer.digest));
        let mut writer = HashingWriter::new(publication.create(&file_name)?);
        io::copy(&mut store.open_blob(&layer.digest)?, &mut writer)?;
        let (_, digest, size) = writer.finish();
        if digest != layer.digest {
            store.discard(&layer.digest)?;
            return Err(kiln_store::StoreError::BlobDamaged { digest: layer.digest, found: digest }.into());
        }
        outputs.push(described(file_name, &layer.media_type, size, digest));
    }
    // What the image is known by.
    outputs[0].sha512 = Some(LongHasher::of(&image.manifest));
    Ok(outputs)
}
