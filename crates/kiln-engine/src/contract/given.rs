//! What the checks give to engines, and what they keep of what is given back.

use crate::{GuestPath, InputTree, Limits, OutputFolder, RunSpec};
use kiln_record::Digest;
use std::io::{self, Cursor, Read as _, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const BUSYBOX: &str = "/bin/busybox";

/// One file of a tar: path, mode, content.
pub type File<'a> = (&'a str, u32, &'a [u8]);

/// An image archive with one layer, as `docker save` writes it, with its blobs where an OCI layout has them.
#[must_use]
pub fn image_archive(files: &[File<'_>], env: &[&str], name: &str) -> Vec<u8> {
    let layer = tar_of(files);
    let layer_digest = Digest::of(&layer);
    let config = serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Env": env },
        "rootfs": { "type": "layers", "diff_ids": [layer_digest] },
    })
    .to_string();
    let blob = |digest: Digest| format!("blobs/sha256/{}", digest.hex());
    let (config_path, layer_path) = (blob(Digest::of(config.as_bytes())), blob(layer_digest));
    let manifest = serde_json::json!([{ "Config": config_path, "RepoTags": [name], "Layers": [layer_path] }])
        .to_string();
    tar_of(&[
        (&config_path, 0o644, config.as_bytes()),
        (&layer_path, 0o644, &layer),
        ("manifest.json", 0o644, manifest.as_bytes()),
    ])
}

/// A tar of files, with the folders they need, in the order given.
#[must_use]
pub fn tar_of(files: &[File<'_>]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, mode, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        // Not root, so that the checks see whether engines take owners from here.
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_mtime(0);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, path, *bytes).expect("a short name, and memory");
    }
    archive.into_inner().expect("memory")
}

/// A run of a busybox applet with ample limits.
#[must_use]
pub fn spec(image: &str, words: &[&str]) -> RunSpec {
    let limits = Limits {
        memory_bytes: 64 << 20,
        scratch_bytes: None,
        descriptors: None,
        pids: 32,
        cpus: Some(1.0),
        output_bytes: 64 << 20,
        output_files: 1000,
        deadline: Duration::from_secs(60),
    };
    RunSpec::new("contract", image, [BUSYBOX].iter().chain(words).copied(), limits)
}

pub(super) fn tree(path: &str, files: &[File<'_>]) -> InputTree {
    InputTree::new(GuestPath::new(path).expect("a path"), Cursor::new(tar_of(files)))
}

/// What is collected of an output, for the test to look at after the run.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    /// The folder that is collected into this.
    #[must_use]
    pub fn folder(&self, path: &str) -> OutputFolder {
        OutputFolder::new(GuestPath::new(path).expect("a path"), self.clone())
    }

    /// The tar.
    #[must_use]
    pub fn tar(&self) -> Vec<u8> {
        self.0.lock().expect("no test panics meanwhile").clone()
    }

    /// The files in it.
    #[must_use]
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        files_of(&self.tar())
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no test panics meanwhile").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Takes nothing.
pub(super) struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("enough"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) fn files_of(tar: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(tar);
    let mut files = Vec::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("a tar");
        if entry.header().entry_type() == tar::EntryType::Regular {
            let name = entry.path().expect("a path").display().to_string();
            let name = name.strip_prefix("./").unwrap_or(&name).to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("a tar");
            files.push((name, bytes));
        }
    }
    files
}
