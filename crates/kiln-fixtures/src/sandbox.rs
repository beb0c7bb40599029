//! A workspace on disk with everything that a run needs, of which nothing is the machine's.

use crate::{Distribution, PYTHON};
use kiln_engine::contract::{File, image_archive, tar_of};
use kiln_engine::{Engine, EngineSettings};
use kiln_engine_memory::MemoryEngine;
use kiln_fetch::{IndexSetting, NetworkSettings, Url};
use kiln_guest::{Bases, EngineSlot};
use kiln_invocation::{Environment, Events, Rules, SharedCache, Trial, lock, read_workspace};
use kiln_plan::{
    ArtifactPlan, BASE_LOCK_FORMAT, BaseDefinition, BaseLock, PinnedBase, PlanInputs, PlatformLock,
    Workspace, plan,
};
use kiln_record::{Architecture, BaseName, Digest, Platform};
use kiln_remote::{Limits, Login, RemoteSettings};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// The name of the workspace's one base.
pub const BASE: &str = "python";

/// A manifest of a function in that base with its source in `manifests/app`; more can be written after it.
pub const FUNCTION: &str = r#"
kind = "lambda-zip"
base = "python"
handler = "app.handler"
[target]
runtime = "python3.13"
architecture = "x86_64"
[source]
path = "app"
"#;

const REFERENCE: &str = "registry.test/python:3.13";
const PLATFORM: Platform = Platform { architecture: Architecture::Amd64 };

/// A workspace with a base, in a folder of its own that goes away with it. The base is an image of a registry, which its
/// engine has by the digest of its lock.
pub struct Sandbox {
    folder: TempDir,
    engine: MemoryEngine,
    slot: EngineSlot,
    cache: Option<RemoteSettings>,
}

/// The one layer of a base with these files beside its Python.
#[must_use]
pub fn base_layer(files: &[(&str, &[u8])]) -> Vec<u8> {
    tar_of(&base_files(files))
}

fn base_files<'a>(files: &[(&'a str, &'a [u8])]) -> Vec<File<'a>> {
    let python: File<'_> = (&PYTHON[1..], 0o755, b"stands for an interpreter");
    [python].into_iter().chain(files.iter().map(|(path, bytes)| (*path, 0o644, *bytes))).collect()
}

impl Sandbox {
    /// A workspace for an engine, which is given the base. `files` are what the base has beside its Python.
    pub async fn new(engine: MemoryEngine, files: &[(&str, &[u8])]) -> Self {
        let slot: EngineSlot = Arc::new(OnceCell::new_with(Some(Engine::new(engine.clone()))));
        let connected = slot.get().unwrap();
        let archive = image_archive(&base_files(files), &["PATH=/usr/bin"], "fixture/python:1");
        connected.load(Cursor::new(archive)).await.unwrap();
        let image: Digest = connected.image("fixture/python:1").await.unwrap().unwrap().id.parse().unwrap();
        let this = Self { folder: tempfile::tempdir().unwrap(), engine, slot, cache: None };
        let definition = format!(
            "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n[registry]\nreference = \"{REFERENCE}\"\n\
             [image]\npython = \"{PYTHON}\"\n"
        );
        let name: BaseName = BASE.parse().unwrap();
        let read = BaseDefinition::parse(name.clone(), "images/python.toml", &definition.as_str().into());
        let lock = BaseLock {
            format: BASE_LOCK_FORMAT,
            base: name,
            definition: read.unwrap().digest,
            pinned: "2026-01-02T03:04:05Z".parse().unwrap(),
            command: "kiln lock --base python".to_owned(),
            platform: BTreeMap::from([(
                PLATFORM,
                PlatformLock {
                    manifest: image,
                    index: None,
                    config: None,
                    release: None,
                    packages: Vec::new(),
                },
            )]),
        };
        this.write("kiln.toml", "format = \"1\"\n");
        this.write("images/python.toml", &definition);
        this.write("images/python.lock", lock.to_toml().unwrap());
        this
    }

    /// Lets the next runs use a shared cache, and perhaps tell it what they make.
    pub fn share(&mut self, address: &str, write: bool) {
        let (login, limits) = (Login::None, Limits::default());
        self.cache = Some(RemoteSettings { address: address.parse().unwrap(), write, login, limits });
    }

    /// Lets the next runs use no shared cache.
    pub fn share_nothing(&mut self) {
        self.cache = None;
    }

    /// The workspace's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the workspace, with the folders that it is in.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.root().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, content).unwrap();
    }

    /// Lets the workspace's index, which is a folder, offer a file.
    pub fn offer(&self, distribution: &Distribution) {
        let Distribution { name, file_name, bytes, .. } = distribution;
        self.write(&format!("index/files/{file_name}"), bytes);
        let page = self.root().join(format!("index/{name}/index.html"));
        let before = fs_err::read_to_string(page).unwrap_or_default();
        let line = format!(
            "<a href=\"../files/{file_name}#sha256={}\">{file_name}</a>\n",
            distribution.digest().hex()
        );
        self.write(&format!("index/{name}/index.html"), before + &line);
    }

    /// What a run in the workspace is given. It reaches no server: its index is the folder of [`Sandbox::offer`].
    #[must_use]
    pub fn environment(&self) -> Environment {
        let folder = |name: &str| self.root().join(name);
        let session = Engine::new(self.engine.clone()).session().clone();
        Environment {
            kiln: "0.1.0 (fixture)".to_owned(),
            rules: Rules { makers: Digest::of(b"makers"), judges: Digest::of(b"judges") },
            root: self.root().to_owned(),
            dist: folder("dist"),
            state: folder(".kiln"),
            store: folder("store"),
            jobs: 2,
            now: "2026-03-01T00:00:00Z".parse().unwrap(),
            source_date_epoch: None,
            trust: Default::default(),
            network: NetworkSettings { offline: true, attempts: 1, ..NetworkSettings::default() },
            index: Some(IndexSetting {
                url: Url::from_directory_path(folder("index")).unwrap(),
                from: "the fixture".to_owned(),
            }),
            indexes: BTreeMap::new(),
            further_indexes: Vec::new(),
            debian_mirrors: Vec::new(),
            registry_mirrors: Vec::new(),
            remote: self.cache.clone().map(SharedCache::Remote),
            crates: Ok(None),
            engine: EngineSettings {
                docker_host: None,
                tls_verify: false,
                cert_path: None,
                config_dir: None,
                context: None,
                buildkit: None,
                silence: std::time::Duration::from_secs(20),
                session,
            },
            executor: None,
            tool_variables: BTreeMap::new(),
            trial: Trial::default(),
            recalls: true,
            lock_wait: Duration::from_secs(1),
        }
    }

    /// The engine, connected already.
    #[must_use]
    pub fn engine(&self) -> EngineSlot {
        Arc::clone(&self.slot)
    }

    /// The bases of a run that begins now. The workspace is locked until they are dropped.
    pub async fn bases(&self) -> Bases {
        self.bases_telling(&Events::none()).await
    }

    /// The bases of a run that tells its events.
    pub async fn bases_telling(&self, events: &Events) -> Bases {
        let environment = self.environment();
        let lock = lock(&environment, events).await.unwrap();
        Bases::open(&environment, events, self.engine(), lock).unwrap()
    }

    /// The workspace as its files state it now.
    #[must_use]
    pub fn workspace(&self) -> Workspace {
        read_workspace(self.root()).unwrap()
    }

    /// The base.
    #[must_use]
    pub fn base(&self) -> PinnedBase {
        let (definition, lock) = &self.workspace().bases[&BASE.parse::<BaseName>().unwrap()];
        PinnedBase::new(definition, lock.as_ref(), PLATFORM).unwrap()
    }

    /// The plan of an artifact.
    #[must_use]
    pub fn plan(&self, artifact: &str, inputs: &PlanInputs) -> ArtifactPlan {
        let workspace = self.workspace();
        plan(&workspace, &workspace.manifests[&artifact.parse().unwrap()], inputs).unwrap()
    }

    /// A path of the workspace with the digest of its file, as inputs of plans name it.
    #[must_use]
    pub fn input(&self, path: &str) -> (String, Digest) {
        (path.to_owned(), Digest::of(&fs_err::read(self.root().join(path)).unwrap()))
    }
}
