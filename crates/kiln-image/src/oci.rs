//! OCI images: config, manifest, and an archive that every engine loads (OCI image specification 1.1).

use crate::ImageError;
use kiln_record::{Digest, Epoch, Platform, canonical_json};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

/// The media type of an uncompressed layer.
pub const LAYER_MEDIA_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG_MEDIA_TYPE: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST_MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// What an image says about itself, besides its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageSpec {
    /// What it runs on.
    pub platform: Platform,
    /// Environment variables; they are written sorted by name.
    pub env: Vec<(String, String)>,
    /// The user that containers run as, `65534:65534`; root if there is none.
    pub user: Option<String>,
    /// The folder that containers start in.
    pub working_dir: Option<String>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// Further arguments, which a caller replaces.
    pub command: Vec<String>,
    /// Labels of the config.
    pub labels: BTreeMap<String, String>,
    /// The one time in the image.
    pub created: Epoch,
}

/// A layer by reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the blob.
    pub digest: Digest,
    /// The digest of the uncompressed tar; equal to `digest` for the layers that kiln makes.
    pub diff_id: Digest,
    /// The length of the blob in bytes.
    pub size: u64,
    /// The media type of the blob.
    pub media_type: String,
}

/// An assembled image: the two documents that name everything else by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The config, as canonical JSON.
    pub config: Vec<u8>,
    /// The manifest, as canonical JSON.
    pub manifest: Vec<u8>,
    /// The digest of the config: the image's ID in Docker's classic store.
    pub config_digest: Digest,
    /// The digest of the manifest: the image's digest in registries, and its ID in Docker's containerd store.
    pub manifest_digest: Digest,
    /// The layers, bottom first.
    pub layers: Vec<Layer>,
    /// What it runs on.
    pub platform: Platform,
}

impl Image {
    /// Makes config and manifest. Equal arguments give equal bytes: keys and variables are sorted and the only time is the
    /// spec's.
    ///
    /// # Errors
    /// [`ImageError::Image`] if there is no layer or a variable's name is empty, repeated or contains `=`.
    pub fn assemble(spec: &ImageSpec, layers: Vec<Layer>) -> Result<Self, ImageError> {
        let error = |reason: String| ImageError::Image { reason };
        if layers.is_empty() {
            return Err(error("it has no layer".to_owned()));
        }
        let mut env = BTreeMap::new();
        for (name, value) in &spec.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(error(format!("`{}` is not an environment variable", name.escape_debug())));
            }
            if env.insert(name, value).is_some() {
                return Err(error(format!("the environment variable `{name}` is there twice")));
            }
        }
        let mut run = serde_json::Map::new();
        let mut set = |key: &str, value: Value| run.insert(key.to_owned(), value);
        if !env.is_empty() {
            let env: Vec<String> = env.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            set("Env", json!(env));
        }
        if !spec.entrypoint.is_empty() {
            set("Entrypoint", json!(spec.entrypoint));
        }
        if !spec.command.is_empty() {
            set("Cmd", json!(spec.command));
        }
        if !spec.labels.is_empty() {
            set("Labels", json!(spec.labels));
        }
        if let Some(user) = &spec.user {
            set("User", json!(user));
        }
        if let Some(working_dir) = &spec.working_dir {
            set("WorkingDir", json!(working_dir));
        }
        let history: Vec<Value> =
            layers.iter().map(|_| json!({"created": spec.created, "created_by": "kiln"})).collect();
        let config = canonical(&json!({
            "architecture": spec.platform.architecture.oci(),
            "os": "linux",
            "created": spec.created,
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| l.diff_id).collect::<Vec<_>>()},
            "history": history,
        }))?;
        let config_digest = Digest::of(&config);
        let descriptors: Vec<Value> = layers
            .iter()
            .map(|l| json!({"mediaType": l.media_type, "digest": l.digest, "size": l.size}))
            .collect();
        let manifest = canonical(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA_TYPE,
            "config": {"mediaType": CONFIG_MEDIA_TYPE, "digest": config_digest, "size": config.len()},
            "layers": descriptors,
            "annotations": {"org.opencontainers.image.created": spec.created},
        }))?;
        let manifest_digest = Digest::of(&manifest);
        Ok(Self { config, manifest, config_digest, manifest_digest, layers, platform: spec.platform })
    }
}

/// Writes an image as one tar that is both an OCI layout and a `docker save` archive: Docker 20.10 loads only the latter,
/// newer engines and registries' tools read the former. The blobs are shared, so nothing is there twice.
///
/// The tag is written as it is given: a full name such as `localhost/kiln/python-3.13:0123456789ab` means the same to every
/// engine. Layer content is asked for by digest and checked while it is written.
///
/// # Errors
/// [`ImageError::Io`] if reading or writing fails, [`ImageError::Image`] if a layer's content has another digest or size.
pub fn write_archive<W: Write>(
    writer: W,
    image: &Image,
    tag: Option<&str>,
    mut layer_content: impl FnMut(&Digest) -> io::Result<Box<dyn Read>>,
) -> Result<(), ImageError> {
    let write_error = || ImageError::io("write the image archive");
    let mut descriptor = json!({
        "mediaType": MANIFEST_MEDIA_TYPE,
        "digest": image.manifest_digest,
        "size": image.manifest.len(),
        "platform": {"os": "linux", "architecture": image.platform.architecture.oci()},
    });
    if let Some(tag) = tag {
        descriptor["annotations"] =
            json!({"io.containerd.image.name": tag, "org.opencontainers.image.ref.name": tag});
    }
    let index = canonical(&json!({
        "schemaVersion": 2,
        "mediaType": INDEX_MEDIA_TYPE,
        "manifests": [descriptor],
    }))?;
    let docker = canonical(&json!([{
        "Config": blob_path(&image.config_digest),
        "RepoTags": tag.into_iter().collect::<Vec<_>>(),
        "Layers": image.layers.iter().map(|layer| blob_path(&layer.digest)).collect::<Vec<_>>(),
    }]))?;

    let mut blobs: BTreeMap<Digest, Blob<'_>> = BTreeMap::new();
    for layer in &image.layers {
        blobs.insert(layer.digest, Blob::Layer(layer.size));
    }
    blobs.insert(image.config_digest, Blob::Document(&image.config));
    blobs.insert(image.manifest_digest, Blob::Document(&image.manifest));

    let mut builder = tar::Builder::new(io::BufWriter::with_capacity(1 << 16, writer));
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = header(tar::EntryType::Directory, 0o755, 0);
        builder.append_data(&mut header, folder, io::empty()).map_err(write_error())?;
    }
    // Sorted by digest; the map's order is the archive's.
    for (digest, blob) in &blobs {
        match blob {
            Blob::Document(bytes) => append(&mut builder, &blob_path(digest), bytes).map_err(write_error())?,
            Blob::Layer(size) => {
                let content =
                    layer_content(digest).map_err(ImageError::io(&format!("read the layer {digest}")))?;
                // One byte more than expected shows that the content is longer; the archive is refused either way.
                let mut checked = CheckedReader::new(content.take(*size));
                let mut header = header(tar::EntryType::Regular, 0o644, *size);
                builder.append_data(&mut header, blob_path(digest), &mut checked).map_err(write_error())?;
                checked.check(digest, *size)?;
            }
        }
    }
    for (name, bytes) in [
        ("index.json", index.as_slice()),
        ("manifest.json", &docker),
        ("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}\n"),
    ] {
        append(&mut builder, name, bytes).map_err(write_error())?;
    }
    let mut writer = builder.into_inner().map_err(write_error())?;
    writer.flush().map_err(write_error())
}

enum Blob<'a> {
    Document(&'a [u8]),
    Layer(u64),
}

fn canonical(value: &Value) -> Result<Vec<u8>, ImageError> {
    canonical_json(value).map_err(|error| ImageError::Image { reason: error.to_string() })
}

fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// A tar header without owner names and with time 0: nothing that reads an archive uses them.
fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn append<W: Write>(builder: &mut tar::Builder<W>, path: &str, bytes: &[u8]) -> io::Result<()> {
    builder.append_data(&mut header(tar::EntryType::Regular, 0o644, bytes.len() as u64), path, bytes)
}

/// A reader that knows the digest of what passed through it.
struct CheckedReader<R> {
    inner: io::Take<R>,
    hasher: kiln_record::Hasher,
    count: u64,
}

impl<R: Read> CheckedReader<R> {
    fn new(inner: io::Take<R>) -> Self {
        Self { inner, hasher: kiln_record::Hasher::default(), count: 0 }
    }

    fn check(self, expected: &Digest, size: u64) -> Result<(), ImageError> {
        let mut rest = self.inner.into_inner();
        let longer = rest.read(&mut [0]).map_err(ImageError::io(&format!("read the layer {expected}")))?;
        let found = self.hasher.finish();
        if found != *expected || self.count != size || longer != 0 {
            let reason =
                format!("the content given for the layer {expected} ({size} bytes) is another: {found}");
            return Err(ImageError::Image { reason });
        }
        Ok(())
    }
}

impl<R: Read> Read for CheckedReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.count += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ImageSpec {
        ImageSpec {
            platform: "linux/amd64".parse().unwrap(),
            env: vec![("PATH".to_owned(), "/usr/bin".to_owned()), ("LANG".to_owned(), "C.UTF-8".to_owned())],
            user: Some("65534:65534".to_owned()),
            working_dir: Some("/var/task".to_owned()),
            entrypoint: Vec::new(),
            command: vec!["python3".to_owned()],
            labels: BTreeMap::from([("b".to_owned(), "2".to_owned()), ("a".to_owned(), "1".to_owned())]),
            created: Epoch::from_seconds(1_700_000_000).unwrap(),
        }
    }

    fn layer(content: &[u8]) -> Layer {
        let digest = Digest::of(content);
        let media_type = LAYER_MEDIA_TYPE.to_owned();
        Layer { digest, diff_id: digest, size: content.len() as u64, media_type }
    }

    fn archive(image: &Image, content: &'static [u8]) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        write_archive(&mut bytes, image, Some("localhost/kiln/x:1"), |_| Ok(Box::new(content)))?;
        Ok(bytes)
    }

    #[test]
    fn documents_are_valid_and_deterministic() {
        let image = Image::assemble(&spec(), vec![layer(b"one")]).unwrap();
        let mut shuffled = spec();
        shuffled.env.reverse();
        assert_eq!(Image::assemble(&shuffled, vec![layer(b"one")]).unwrap(), image);

        let config = oci_spec::image::ImageConfiguration::from_reader(image.config.as_slice()).unwrap();
        assert_eq!(config.created().as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!(config.rootfs().diff_ids(), &[layer(b"one").diff_id.to_string()]);
        let run = config.config().clone().unwrap();
        assert_eq!(run.env().clone().unwrap(), ["LANG=C.UTF-8", "PATH=/usr/bin"]);
        assert_eq!(run.working_dir().as_deref(), Some("/var/task"));
        let manifest = oci_spec::image::ImageManifest::from_reader(image.manifest.as_slice()).unwrap();
        assert_eq!(manifest.config().digest().to_string(), image.config_digest.to_string());
        assert_eq!(manifest.layers()[0].size(), 3);
    }

    /// These digests change only with the format: a change here changes every base.
    #[test]
    fn golden_digests() {
        let image = Image::assemble(&spec(), vec![layer(b"one")]).unwrap();
        let archive = Digest::of(&archive(&image, b"one").unwrap());
        assert_eq!(
            [image.config_digest, image.manifest_digest, archive].map(|digest| digest.hex()),
            [
                "41637cb6e108c2f61edd60f2f92436a8afa37daf31883ddb10a9b861aaf0fc9e",
                "ed3a5984af84bc6a9dac41b3debed371bdc7639a6665d369fee0055ced61ce66",
                "3345ca7dbe7d6df84a5715b37e27dae73f846c6dbc5b99370ebfdb2abd884c5a",
            ]
        );
    }

    #[test]
    fn the_archive_is_layout_and_docker_archive_in_one() {
        let image = Image::assemble(&spec(), vec![layer(b"one")]).unwrap();
        let bytes = archive(&image, b"one").unwrap();
        assert_eq!(archive(&image, b"one").unwrap(), bytes);
        let mut files = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            files.insert(entry.path().unwrap().to_str().unwrap().to_owned(), content);
        }
        let index = oci_spec::image::ImageIndex::from_reader(files["index.json"].as_slice()).unwrap();
        let manifest = &files[&format!("blobs/sha256/{}", index.manifests()[0].digest().digest())];
        assert_eq!(*manifest, image.manifest);
        let docker: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
        assert_eq!(files[docker[0]["Config"].as_str().unwrap()], image.config);
        assert_eq!(files[docker[0]["Layers"][0].as_str().unwrap()], b"one");
        assert_eq!(docker[0]["RepoTags"], json!(["localhost/kiln/x:1"]));
        oci_spec::image::OciLayout::from_reader(files["oci-layout"].as_slice()).unwrap();
    }

    #[test]
    fn other_layer_content_is_refused() {
        let image = Image::assemble(&spec(), vec![layer(b"one")]).unwrap();
        for content in [&b"two"[..], b"on", b"ones", b""] {
            assert!(matches!(archive(&image, content), Err(ImageError::Image { .. })), "{content:?}");
        }
    }

    #[test]
    fn malformed_specs_are_refused() {
        assert!(Image::assemble(&spec(), Vec::new()).is_err());
        for env in [("", "x"), ("A=B", "x"), ("PATH", "again"), ("A", "\0")] {
            let mut bad = spec();
            bad.env.push((env.0.to_owned(), env.1.to_owned()));
            assert!(Image::assemble(&bad, vec![layer(b"one")]).is_err(), "{env:?}");
        }
    }
}
