//! A real registry on 127.0.0.1, from Debian's package of it, and a proxy in front of it that lies.

use super::{LocalServer, Reply, Request, assembled, block_on, engine};
use futures_util::StreamExt as _;
use kiln_engine::contract::tar_of;
use kiln_record::Digest;
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use testcontainers::bollard::models::PortBinding;
use testcontainers::bollard::query_parameters::{BuildImageOptionsBuilder, PushImageOptionsBuilder};
use testcontainers::bollard::{Docker, body_full};
use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::runners::AsyncRunner as _;
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};
use tokio::runtime::Runtime;

/// The media type of a manifest, as the OCI image specification has it.
pub(crate) const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub(crate) const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// Debian's own configuration asks for a login.
const CONFIG: &str = "version: 0.1\nstorage: {filesystem: {rootdirectory: /data}}\nhttp: {addr: ':5000'}\n";

/// The registry; its container is removed when it is dropped.
pub(crate) struct Registry {
    runtime: Runtime,
    container: Option<ContainerAsync<GenericImage>>,
    address: SocketAddr,
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::configured(CONFIG, "")
    }

    /// One that wants a login; `users` is a file as `htpasswd -B` writes it.
    pub(crate) fn with_users(users: &str) -> Self {
        Self::configured(&format!("{CONFIG}auth: {{htpasswd: {{realm: kiln, path: /users}}}}\n"), users)
    }

    fn configured(configuration: &str, users: &str) -> Self {
        let exclude = ["adduser", "init-system-helpers", "lsb-base"];
        let image = assembled("registry", &["docker-registry"], &exclude, "/usr/bin/docker-registry");
        let (name, tag) = image.rsplit_once(':').unwrap();
        let local = |config: &mut testcontainers::bollard::models::HostConfig| {
            let binding = PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: None };
            config.publish_all_ports = None;
            config.port_bindings = Some([("5000/tcp".to_owned(), Some(vec![binding]))].into());
        };
        let runtime = Runtime::new().unwrap();
        let (container, port) = runtime.block_on(async {
            let container = GenericImage::new(name, tag)
                .with_exposed_port(5000.tcp())
                .with_wait_for(WaitFor::message_on_stderr("listening on"))
                .with_copy_to("/config.yml", configuration.as_bytes().to_vec())
                .with_copy_to("/users", users.as_bytes().to_vec())
                .with_cmd(["/usr/bin/docker-registry", "serve", "/config.yml"])
                .with_host_config_modifier(local)
                .with_startup_timeout(Duration::from_secs(60))
                .start()
                .await
                .unwrap();
            let port = container.get_host_port_ipv4(5000).await.unwrap();
            (container, port)
        });
        Self { runtime, container: Some(container), address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Pushes an image that is `base` and one more file, and returns its digest. The engine forgets the image.
    pub(crate) fn push(&self, repository: &str, tag: &str, base: &str, content: &str) -> Digest {
        let recipe = format!("FROM {base}\nCOPY marker /marker\n");
        self.push_recipe(repository, tag, &recipe, &[("marker", 0o644, content.as_bytes())])
    }

    /// Pushes what a Dockerfile makes of some files, and returns its digest. The engine forgets the image.
    pub(crate) fn push_recipe(
        &self,
        repository: &str,
        tag: &str,
        recipe: &str,
        files: &[kiln_engine::contract::File<'_>],
    ) -> Digest {
        let name = format!("{}/{repository}", self.address);
        let reference = format!("{name}:{tag}");
        let recipe = ("Dockerfile", 0o644, recipe.as_bytes());
        let files: Vec<_> = std::iter::once(recipe).chain(files.iter().copied()).collect();
        let files = tar_of(&files);
        self.runtime.block_on(async {
            let docker = Docker::connect_with_defaults().unwrap();
            let build = BuildImageOptionsBuilder::new().t(&reference).rm(true).build();
            let mut steps = docker.build_image(build, None, Some(body_full(files.into())));
            while let Some(step) = steps.next().await {
                step.unwrap();
            }
            let push = PushImageOptionsBuilder::new().tag(tag).build();
            let mut steps = Box::pin(docker.push_image(&name, Some(push), None));
            while let Some(step) = steps.next().await {
                step.unwrap();
            }
            let engine = engine("registry").await;
            let image = engine.image(&reference).await.unwrap().unwrap();
            let prefix = format!("{name}@");
            let digest = image.repo_digests.iter().find_map(|known| known.strip_prefix(&prefix)).unwrap();
            assert!(engine.remove_image(&reference).await.unwrap());
            digest.parse().unwrap()
        })
    }

    /// A manifest, as the registry has it.
    pub(crate) fn manifest(&self, repository: &str, digest: &Digest) -> serde_json::Value {
        let accept = "Accept: application/vnd.docker.distribution.manifest.v2+json";
        let path = format!("/v2/{repository}/manifests/{digest}");
        let answer = forward(self.address, "GET", &path, &[accept.to_owned()]);
        let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        serde_json::from_slice(&answer[body..]).unwrap()
    }

    /// The length of a manifest in bytes.
    pub(crate) fn manifest_size(&self, repository: &str, digest: &Digest) -> usize {
        let accept = "Accept: application/vnd.docker.distribution.manifest.v2+json";
        let path = format!("/v2/{repository}/manifests/{digest}");
        let answer = forward(self.address, "GET", &path, &[accept.to_owned()]);
        answer.len() - (answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4)
    }

    /// Puts a document under a tag, and returns its digest.
    pub(crate) fn put_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        document: &[u8],
    ) -> Digest {
        let head = format!(
            "PUT /v2/{repository}/manifests/{tag} HTTP/1.1\r\nHost: {}\r\nContent-Type: {media_type}\r\nContent-Length: \
             {}\r\nConnection: close\r\n\r\n",
            self.address,
            document.len()
        );
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(document).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        Digest::of(document)
    }

    /// A document of the registry under a tag or digest, whatever it is, with its media type; `None` if there is none.
    pub(crate) fn document(&self, repository: &str, reference: &str) -> Option<(String, Vec<u8>)> {
        let accept = format!("Accept: {MANIFEST_TYPE}, {INDEX_TYPE}");
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = forward(self.address, "GET", &path, &[accept]);
        let body = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8_lossy(&answer[..body]).into_owned();
        let kind = head.lines().find_map(|line| line.strip_prefix("Content-Type: "))?.to_owned();
        head.starts_with("HTTP/1.1 200").then(|| (kind, answer[body..].to_vec()))
    }

    /// Stops it for good.
    pub(crate) fn stop(&mut self) {
        if let Some(container) = self.container.take() {
            self.runtime.block_on(container.rm()).unwrap();
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Forgets an image that was pulled, if it was.
pub(crate) fn forget(reference: &str) {
    block_on(async { engine("forget").await.remove_image(reference).await.unwrap() });
}

/// A proxy that answers some requests with the answer to others.
#[derive(Debug)]
pub(crate) struct LyingProxy {
    server: LocalServer,
    /// Path asked for, path answered.
    lies: Arc<Mutex<BTreeMap<String, String>>>,
}

impl LyingProxy {
    pub(crate) fn before(registry: &Registry) -> Self {
        let lies = Arc::new(Mutex::new(BTreeMap::<String, String>::new()));
        let (known, upstream) = (Arc::clone(&lies), registry.address);
        let server = LocalServer::serve(move |request| {
            let lie = known.lock().unwrap().get(&request.path).cloned();
            let path = lie.unwrap_or_else(|| request.path.clone());
            Reply::Verbatim(forward(upstream, &request.method, &path, &request.headers))
        });
        Self { server, lies }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// From now on, `asked` is answered with what is at `answered`, and nothing else is changed.
    pub(crate) fn lie(&self, asked: &str, answered: &str) {
        *self.lies.lock().unwrap() = [(asked.to_owned(), answered.to_owned())].into();
    }
}

/// What a proxy makes of a request and of the true answer to it.
type Fault = Box<dyn Fn(&Request, Vec<u8>) -> Reply + Send + Sync>;

/// A proxy that answers requests as faults say.
pub(crate) struct FaultyProxy {
    server: LocalServer,
    fault: Arc<Mutex<Option<Fault>>>,
}

impl FaultyProxy {
    pub(crate) fn before(registry: &Registry) -> Self {
        let fault = Arc::new(Mutex::new(None::<Fault>));
        let (known, upstream) = (Arc::clone(&fault), registry.address);
        let server = LocalServer::serve(move |request| {
            let answer = forward(upstream, &request.method, &request.path, &request.headers);
            match &*known.lock().unwrap() {
                Some(fault) => fault(request, answer),
                None => Reply::Verbatim(answer),
            }
        });
        Self { server, fault }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// From now on, requests whose path holds `part` are answered so, and no others otherwise than they should.
    pub(crate) fn fails(
        &self,
        part: &'static str,
        fault: impl Fn(&Request, Vec<u8>) -> Reply + Send + Sync + 'static,
    ) {
        let chosen: Fault = Box::new(move |request, answer| match request.path.contains(part) {
            true => fault(request, answer),
            false => Reply::Verbatim(answer),
        });
        *self.fault.lock().unwrap() = Some(chosen);
    }

    /// From now on, everything is as it should be.
    pub(crate) fn mends(&self) {
        *self.fault.lock().unwrap() = None;
    }
}

/// Sends a request on and returns the whole answer.
fn forward(to: SocketAddr, method: &str, path: &str, headers: &[String]) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\n");
    let is_ours = |header: &&String| !header.to_lowercase().starts_with("connection:");
    let has_host = headers.iter().any(|header| header.to_lowercase().starts_with("host:"));
    let host = (!has_host).then(|| format!("Host: {to}"));
    for header in headers.iter().filter(is_ours).chain(&host) {
        request.push_str(&format!("{header}\r\n"));
    }
    request.push_str("Connection: close\r\n\r\n");
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}
