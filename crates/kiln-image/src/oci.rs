//! OCI images: config, manifest, and an archive that every engine loads (OCI image specification 1.1).

use crate::media_type::{CONFIG_MEDIA_TYPE, INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE};
use crate::{BaseConfig, ImageError, manifest_blobs};
use kiln_pack::BoundedTar;
use kiln_record::{Digest, Epoch, HealthCheck, ImageRuns, Platform, canonical_json, excerpt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

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
    /// The variant of the processor, if its base states one.
    pub variant: Option<String>,
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
                return Err(error(format!("`{}` is not an environment variable", excerpt(name))));
            }
            if env.insert(name, value).is_some() {
                return Err(error(format!("the environment variable `{name}` is there twice")));
            }
        }
        let runs = ImageRuns {
            entrypoint: spec.entrypoint.clone(),
            command: spec.command.clone(),
            user: spec.user.clone(),
            working_dir: spec.working_dir.clone(),
            environment: env.into_iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            labels: spec.labels.clone(),
            ..ImageRuns::default()
        };
        let history = layers.iter().map(|_| history_entry(spec.created, "kiln")).collect();
        Self::write(&Described {
            platform: spec.platform,
            variant: None,
            runs: &runs,
            created: spec.created,
            annotations: BTreeMap::new(),
            history,
            layers,
        })
    }

    /// Makes config and manifest of an image on top of a base: the base's layers and history, then the image's own layers,
    /// each with what it holds in a word. What `runs` says is all that the config says; the rest of a base's config
    /// (`OnBuild`, `Shell`) is for whoever builds with a Dockerfile.
    ///
    /// # Errors
    /// [`ImageError::Image`] if there is no layer at all, or a variable's name cannot be one.
    pub fn on_base(
        base: &BaseConfig,
        base_layers: Vec<Layer>,
        own: Vec<(Layer, &str)>,
        stated: &Stated<'_>,
    ) -> Result<Self, ImageError> {
        let error = |reason: String| ImageError::Image { reason };
        for (name, value) in &stated.runs.environment {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                return Err(error(format!("`{}` is not an environment variable", excerpt(name))));
            }
        }
        if base_layers.iter().map(|layer| layer.diff_id).ne(base.diff_ids.iter().copied()) {
            return Err(error("the layers given for the base are not those of its config".to_owned()));
        }
        let mut history = base.history.clone();
        history.extend(own.iter().map(|(_, what)| history_entry(stated.created, &format!("kiln: {what}"))));
        let layers: Vec<Layer> =
            base_layers.into_iter().chain(own.into_iter().map(|(layer, _)| layer)).collect();
        if layers.is_empty() {
            return Err(error("it has no layer".to_owned()));
        }
        Self::write(&Described {
            platform: base.platform,
            variant: base.variant.clone(),
            runs: stated.runs,
            created: stated.created,
            annotations: stated.annotations.clone(),
            history,
            layers,
        })
    }

    /// Reads an image that somebody else may have made: its manifest, and the config that this names.
    ///
    /// # Errors
    /// [`ImageError`] if the two are not those of an image for a platform that kiln knows.
    pub fn read(manifest: Vec<u8>, config: Vec<u8>) -> Result<Self, ImageError> {
        let stated = BaseConfig::read(&config)?;
        let (_, layers) = manifest_blobs(&manifest)?;
        if layers.len() != stated.diff_ids.len() {
            return Err(ImageError::Image { reason: "manifest and config name different layers".to_owned() });
        }
        let layers = layers.into_iter().zip(&stated.diff_ids).map(|(layer, diff_id)| Layer {
            digest: layer.digest,
            diff_id: *diff_id,
            size: layer.size,
            media_type: layer.media_type,
        });
        Ok(Self {
            layers: layers.collect(),
            config_digest: Digest::of(&config),
            manifest_digest: Digest::of(&manifest),
            config,
            manifest,
            platform: stated.platform,
            variant: stated.variant,
        })
    }

    fn write(described: &Described<'_>) -> Result<Self, ImageError> {
        let Described { platform, variant, runs, created, annotations, history, layers } = described;
        let mut config = json!({
            "architecture": platform.architecture.oci(),
            "os": "linux",
            "created": created,
            "config": execution(runs),
            "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| l.diff_id).collect::<Vec<_>>()},
            "history": history,
        });
        if let Some(variant) = variant {
            config["variant"] = json!(variant);
        }
        let config = canonical(&config)?;
        let config_digest = Digest::of(&config);
        let descriptors: Vec<Value> = layers
            .iter()
            .map(|l| json!({"mediaType": l.media_type, "digest": l.digest, "size": l.size}))
            .collect();
        let mut annotations = annotations.clone();
        annotations.insert("org.opencontainers.image.created".to_owned(), created.to_string());
        let manifest = canonical(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_MEDIA_TYPE,
            "config": {"mediaType": CONFIG_MEDIA_TYPE, "digest": config_digest, "size": config.len()},
            "layers": descriptors,
            "annotations": annotations,
        }))?;
        let manifest_digest = Digest::of(&manifest);
        Ok(Self {
            config,
            manifest,
            config_digest,
            manifest_digest,
            layers: layers.clone(),
            platform: *platform,
            variant: variant.clone(),
        })
    }
}

/// What an image on a base says of itself.
#[derive(Debug, Clone)]
pub struct Stated<'a> {
    /// How it is started, all of it.
    pub runs: &'a ImageRuns,
    /// Annotations of the manifest; that of the time is added.
    pub annotations: BTreeMap<String, String>,
    /// The one time in the image.
    pub created: Epoch,
}

struct Described<'a> {
    platform: Platform,
    variant: Option<String>,
    runs: &'a ImageRuns,
    created: Epoch,
    annotations: BTreeMap<String, String>,
    history: Vec<Value>,
    layers: Vec<Layer>,
}

fn history_entry(created: Epoch, created_by: &str) -> Value {
    json!({"created": created, "created_by": created_by})
}

/// The execution parameters of a config (OCI image specification, "Image Configuration"; the health check is Docker's).
fn execution(runs: &ImageRuns) -> serde_json::Map<String, Value> {
    let mut run = serde_json::Map::new();
    let mut set = |key: &str, value: Value| run.insert(key.to_owned(), value);
    if !runs.environment.is_empty() {
        let env: Vec<String> =
            runs.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        set("Env", json!(env));
    }
    if !runs.entrypoint.is_empty() {
        set("Entrypoint", json!(runs.entrypoint));
    }
    if !runs.command.is_empty() {
        set("Cmd", json!(runs.command));
    }
    if !runs.labels.is_empty() {
        set("Labels", json!(runs.labels));
    }
    if let Some(user) = &runs.user {
        set("User", json!(user));
    }
    if let Some(working_dir) = &runs.working_dir {
        set("WorkingDir", json!(working_dir));
    }
    let as_set = |names: &std::collections::BTreeSet<String>| -> BTreeMap<String, Value> {
        names.iter().map(|name| (name.clone(), json!({}))).collect()
    };
    if !runs.ports.is_empty() {
        set("ExposedPorts", json!(as_set(&runs.ports)));
    }
    if !runs.volumes.is_empty() {
        set("Volumes", json!(as_set(&runs.volumes)));
    }
    if let Some(signal) = &runs.stop_signal {
        set("StopSignal", json!(signal));
    }
    if let Some(health) = &runs.health_check {
        set("Healthcheck", health_check(health));
    }
    run
}

/// Docker counts in nanoseconds.
fn health_check(health: &HealthCheck) -> Value {
    let nanoseconds = |seconds: u32| u64::from(seconds) * 1_000_000_000;
    let test: Vec<&str> = std::iter::once("CMD").chain(health.command.iter().map(String::as_str)).collect();
    let mut value = json!({
        "Test": test,
        "Interval": nanoseconds(health.interval),
        "Timeout": nanoseconds(health.timeout),
        "Retries": health.retries,
    });
    if health.start_period > 0 {
        value["StartPeriod"] = json!(nanoseconds(health.start_period));
    }
    value
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
    layer_content: impl FnMut(&Digest) -> io::Result<Box<dyn Read>>,
) -> Result<(), ImageError> {
    let names = tag
        .iter()
        .flat_map(|tag| [("io.containerd.image.name", *tag), ("org.opencontainers.image.ref.name", *tag)]);
    let index = layout_index(image, &names.collect())?;
    let docker = canonical(&json!([{
        "Config": blob_path(&image.config_digest),
        "RepoTags": tag.into_iter().collect::<Vec<_>>(),
        "Layers": image.layers.iter().map(|layer| blob_path(&layer.digest)).collect::<Vec<_>>(),
    }]))?;
    write_tar(
        writer,
        image,
        &[("index.json", &index), ("manifest.json", &docker), ("oci-layout", OCI_LAYOUT)],
        layer_content,
    )
}

/// Writes an image as an OCI layout in one tar, named in its index by `reference`.
///
/// # Errors
/// As [`write_archive`].
pub fn write_oci_tar<W: Write>(
    writer: W,
    image: &Image,
    reference: &str,
    layer_content: impl FnMut(&Digest) -> io::Result<Box<dyn Read>>,
) -> Result<(), ImageError> {
    let documents = layout_documents(image, reference)?;
    let documents: Vec<(&str, &[u8])> =
        documents.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    write_tar(writer, image, &documents, layer_content)
}

/// The files of an OCI layout that are no blobs, by their path in it: `index.json`, which names the image by `reference`,
/// and `oci-layout`.
///
/// # Errors
/// [`ImageError::Image`], never for an image of this crate.
pub fn layout_documents(image: &Image, reference: &str) -> Result<Vec<(String, Vec<u8>)>, ImageError> {
    let names = BTreeMap::from([("org.opencontainers.image.ref.name", reference)]);
    Ok(vec![
        ("index.json".to_owned(), layout_index(image, &names)?),
        ("oci-layout".to_owned(), OCI_LAYOUT.to_vec()),
    ])
}

/// The `platform` of a descriptor.
pub(crate) fn platform_value(platform: Platform, variant: Option<&str>) -> Value {
    let mut value = json!({"os": "linux", "architecture": platform.architecture.oci()});
    if let Some(variant) = variant {
        value["variant"] = json!(variant);
    }
    value
}

pub(crate) const OCI_LAYOUT: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}\n";

fn layout_index(image: &Image, names: &BTreeMap<&str, &str>) -> Result<Vec<u8>, ImageError> {
    let mut descriptor = json!({
        "mediaType": MANIFEST_MEDIA_TYPE,
        "digest": image.manifest_digest,
        "size": image.manifest.len(),
        "platform": platform_value(image.platform, image.variant.as_deref()),
    });
    if !names.is_empty() {
        descriptor["annotations"] = json!(names);
    }
    canonical(&json!({
        "schemaVersion": 2,
        "mediaType": INDEX_MEDIA_TYPE,
        "manifests": [descriptor],
    }))
}

/// Writes blobs, sorted by digest, and then the documents.
fn write_tar<W: Write>(
    writer: W,
    image: &Image,
    documents: &[(&str, &[u8])],
    layer_content: impl FnMut(&Digest) -> io::Result<Box<dyn Read>>,
) -> Result<(), ImageError> {
    let mut blobs: BTreeMap<Digest, Blob<'_>> = BTreeMap::new();
    for layer in &image.layers {
        blobs.insert(layer.digest, Blob::Content(layer.size));
    }
    blobs.insert(image.config_digest, Blob::Document(&image.config));
    blobs.insert(image.manifest_digest, Blob::Document(&image.manifest));
    write_blobs(writer, &blobs, documents, layer_content)
}

/// Writes blobs and documents as one tar.
pub(crate) fn write_blobs<W: Write>(
    writer: W,
    blobs: &BTreeMap<Digest, Blob<'_>>,
    documents: &[(&str, &[u8])],
    mut content: impl FnMut(&Digest) -> io::Result<Box<dyn Read>>,
) -> Result<(), ImageError> {
    let write_error = || ImageError::io("write the image archive");
    let mut builder = tar::Builder::new(io::BufWriter::with_capacity(1 << 16, writer));
    for folder in ["blobs/", "blobs/sha256/"] {
        let mut header = header(tar::EntryType::Directory, 0o755, 0);
        builder.append_data(&mut header, folder, io::empty()).map_err(write_error())?;
    }
    // Sorted by digest; the map's order is the archive's.
    for (digest, blob) in blobs {
        match blob {
            Blob::Document(bytes) => append(&mut builder, &blob_path(digest), bytes).map_err(write_error())?,
            Blob::Content(size) => {
                let content = content(digest).map_err(ImageError::io(&format!("read the blob {digest}")))?;
                // One byte more than expected shows that the content is longer; the archive is refused either way.
                let mut checked = CheckedReader::new(content.take(*size));
                let mut header = header(tar::EntryType::Regular, 0o644, *size);
                builder.append_data(&mut header, blob_path(digest), &mut checked).map_err(write_error())?;
                checked.check(digest, *size)?;
            }
        }
    }
    for (name, bytes) in documents {
        append(&mut builder, name, bytes).map_err(write_error())?;
    }
    let mut writer = builder.into_inner().map_err(write_error())?;
    writer.flush().map_err(write_error())
}

/// A blob of an archive: its bytes, or how many of them are to be asked for.
pub(crate) enum Blob<'a> {
    Document(&'a [u8]),
    Content(u64),
}

pub(crate) fn canonical(value: &Value) -> Result<Vec<u8>, ImageError> {
    canonical_json(value).map_err(|error| ImageError::Image { reason: error.to_string() })
}

/// Where a blob is in a layout.
#[must_use]
pub fn blob_path(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// Where the blobs are in an archive of an image that kiln wrote: the offset of each one's first byte, and its length.
///
/// # Errors
/// [`ImageError::Io`] if it cannot be read, or is no archive.
pub fn archived_blobs<R: Read + io::Seek>(archive: R) -> Result<BTreeMap<Digest, (u64, u64)>, ImageError> {
    let mut archive = BoundedTar::new(archive);
    let mut blobs = BTreeMap::new();
    for entry in archive.entries_with_seek().map_err(ImageError::io("read the archive"))? {
        let entry = entry.map_err(ImageError::io("read the archive"))?;
        let path = entry.path().map_err(ImageError::io("read the archive"))?;
        let hex = path.to_str().and_then(|path| path.strip_prefix("blobs/sha256/"));
        if let Some(digest) = hex.and_then(|hex| format!("sha256:{hex}").parse().ok()) {
            blobs.insert(digest, (entry.raw_file_position(), entry.size()));
        }
    }
    Ok(blobs)
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
    use crate::LAYER_MEDIA_TYPE;

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
    fn an_image_on_a_base_continues_it() {
        let base = Image::assemble(&spec(), vec![layer(b"one")]).unwrap();
        let config = BaseConfig::read(&base.config).unwrap();
        assert_eq!(config.runs.environment["PATH"], "/usr/bin");
        assert_eq!((config.runs.user.as_deref(), config.diff_ids.len()), (Some("65534:65534"), 1));
        let runs = ImageRuns {
            entrypoint: vec!["python3".to_owned()],
            ports: std::collections::BTreeSet::from(["8080/tcp".to_owned()]),
            stop_signal: Some("SIGINT".to_owned()),
            health_check: Some(HealthCheck {
                command: vec!["true".to_owned()],
                interval: 5,
                timeout: 1,
                start_period: 0,
                retries: 2,
            }),
            ..config.runs.clone()
        };
        let stated = Stated {
            runs: &runs,
            annotations: BTreeMap::from([("org.example".to_owned(), "x".to_owned())]),
            created: Epoch::from_seconds(1_700_000_001).unwrap(),
        };
        let own = || vec![(layer(b"two"), "dependencies"), (layer(b"three"), "application")];
        let image = Image::on_base(&config, base.layers.clone(), own(), &stated).unwrap();
        assert_eq!(Image::on_base(&config, base.layers.clone(), own(), &stated).unwrap(), image);

        assert_eq!(Image::read(image.manifest.clone(), image.config.clone()).unwrap(), image);
        let back = BaseConfig::read(&image.config).unwrap();
        assert_eq!(back.runs, runs, "what is written is what is read");
        assert_eq!(back.history.len(), 3);
        assert_eq!(back.history[0], config.history[0]);
        let parsed = oci_spec::image::ImageConfiguration::from_reader(image.config.as_slice()).unwrap();
        assert_eq!(parsed.rootfs().diff_ids().len(), 3);
        assert_eq!(parsed.config().clone().unwrap().exposed_ports().clone().unwrap(), ["8080/tcp"]);
        let manifest = oci_spec::image::ImageManifest::from_reader(image.manifest.as_slice()).unwrap();
        assert_eq!(manifest.annotations().clone().unwrap()["org.example"], "x");
        assert_eq!(manifest.layers().len(), 3);

        let of_v8 = BaseConfig { variant: Some("v8".to_owned()), ..config.clone() };
        let image = Image::on_base(&of_v8, base.layers.clone(), own(), &stated).unwrap();
        assert_eq!(BaseConfig::read(&image.config).unwrap().variant, of_v8.variant, "as its base");
        let documents = layout_documents(&image, "x").unwrap();
        let index = oci_spec::image::ImageIndex::from_reader(documents[0].1.as_slice()).unwrap();
        assert_eq!(index.manifests()[0].platform().clone().unwrap().variant().as_deref(), Some("v8"));

        let other = Image::on_base(&config, vec![layer(b"other")], own(), &stated);
        assert!(matches!(other, Err(ImageError::Image { .. })), "not the base's layers");
    }

    #[test]
    fn an_oci_tar_is_a_layout_and_nothing_else() {
        let image = Image::assemble(&spec(), vec![layer(b"one")]).unwrap();
        let mut bytes = Vec::new();
        write_oci_tar(&mut bytes, &image, "dashboard", |_| Ok(Box::new(&b"one"[..]))).unwrap();
        let names: Vec<String> = tar::Archive::new(bytes.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert!(!names.contains(&"manifest.json".to_owned()));
        let documents = layout_documents(&image, "dashboard").unwrap();
        let index = oci_spec::image::ImageIndex::from_reader(documents[0].1.as_slice()).unwrap();
        let annotations = index.manifests()[0].annotations().clone().unwrap();
        assert_eq!(annotations["org.opencontainers.image.ref.name"], "dashboard");
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
