//! A Dockerfile that an engine builds without the binary: what the engine itself makes of it.

use super::block_on;
use fs_err as fs;
use kiln_engine::{BuildSpec, Builder, Engine, EngineError};
use kiln_image::FileSystem;
use kiln_record::{Digest, HashingWriter};
use std::io::{self, Cursor};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A Dockerfile on an image that the engine has, and what its programs may use.
#[derive(Clone, Debug)]
pub(crate) struct EngineBuild {
    pub(crate) image: String,
    pub(crate) instructions: Vec<String>,
    pub(crate) files: Vec<(String, Vec<u8>)>,
    pub(crate) builder: Builder,
    pub(crate) deadline: Duration,
    pub(crate) memory_bytes: u64,
    pub(crate) disk_bytes: u64,
}

impl EngineBuild {
    /// Instructions after the first, which is the image's.
    pub(crate) fn new(image: &str, builder: Builder, instructions: &[&str]) -> Self {
        let from = std::iter::once(format!("FROM {image}"));
        Self {
            image: image.to_owned(),
            instructions: from.chain(instructions.iter().map(|line| (*line).to_owned())).collect(),
            files: Vec::new(),
            builder,
            deadline: Duration::from_secs(60),
            memory_bytes: 1 << 30,
            disk_bytes: 20 << 30,
        }
    }

    /// The paths of the files that a container of the image has.
    pub(crate) fn files_of(&self, engine: &Engine) -> Result<Vec<String>, EngineError> {
        static BUILDS: AtomicU64 = AtomicU64::new(0);
        let number = BUILDS.fetch_add(1, Ordering::Relaxed);
        let tag = format!("localhost/kiln-tests/build:{}-{number}", std::process::id());
        let spec = BuildSpec {
            name: "test/Dockerfile".to_owned(),
            context: Box::new(Cursor::new(self.context())),
            dockerfile: "Dockerfile".to_owned(),
            instructions: self.instructions.clone(),
            images: std::iter::once(self.image.clone()).collect(),
            args: std::collections::BTreeMap::new(),
            network: false,
            platform: block_on(engine.info())?.platform,
            builder: self.builder,
            tag: tag.clone(),
            deadline: self.deadline,
            memory_bytes: self.memory_bytes,
            disk_bytes: self.disk_bytes,
            output_bytes: 1 << 20,
        };
        block_on(async {
            engine.build(spec, |_| ()).await?;
            let mut tar = Vec::new();
            let exported = engine.file_system(&tag, |chunk| {
                tar.extend_from_slice(chunk);
                Ok(())
            });
            let exported = exported.await;
            engine.remove_image(&tag).await?;
            exported?;
            let mut files = FileSystem::new();
            let read = files.add(Cursor::new(tar), |_, reader| {
                let mut hasher = HashingWriter::new(io::sink());
                io::copy(reader, &mut hasher)?;
                let (_, digest, size): (_, Digest, u64) = hasher.finish();
                Ok((digest, size))
            });
            read.unwrap();
            Ok(files.iter().map(|(path, _)| path.to_string()).collect())
        })
    }

    fn context(&self) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Dockerfile"), self.instructions.join("\n") + "\n").unwrap();
        for (path, content) in &self.files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let output = Command::new("tar").arg("-C").arg(folder.path()).args(["-cf", "-", "."]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "tar: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }
}
