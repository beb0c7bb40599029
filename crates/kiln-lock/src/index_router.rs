//! One index for the resolver in place of many: a server on this host that asks, for each name, the index that the name
//! is bound to, and no other.
//!
//! uv can bind what a project itself asks for to an index, but not what that requires in turn, and an order of indexes
//! is a race that whoever publishes a name elsewhere can win. Behind this server there is no order: a name has one
//! index. It also keeps every login in this process.

use crate::LockError;
use fs_err as fs;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use kiln_fetch::{FetchError, Index, IndexFile};
use kiln_guest::Bases;
use kiln_invocation::{InvocationError, blocking};
use kiln_pack::{Limits, ZipReader};
use kiln_plan::{NamedIndex, PinnedBase};
use kiln_record::DistributionName;
use kiln_wheel::{claimed, claimed_twice};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::{BufReader, Read as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The most that the metadata of a wheel may have, in bytes.
const METADATA_LIMIT: u64 = 16 << 20;
/// The type of a page of the simple API as JSON (PEP 691).
const PAGE: &str = "application/vnd.pypi.simple.v1+json";

/// The server; it stops when it is dropped.
pub(crate) struct IndexRouter {
    url: String,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    bases: Bases,
    base: PinnedBase,
    indexes: Vec<NamedIndex>,
    /// The first part of every path: other users of this host do not know it, and get nothing.
    secret: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Files that were listed and are had from here, by number.
    files: Vec<IndexFile>,
    /// The first problem with an index: uv would only say that there is none.
    problem: Option<LockError>,
}

impl IndexRouter {
    /// Starts a server for the indexes of a workspace, on a free port of the loopback interface.
    pub(crate) async fn start(
        bases: &Bases,
        base: &PinnedBase,
        indexes: &[NamedIndex],
    ) -> Result<Self, LockError> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let mut secret = [0; 16];
        fs::File::open("/dev/urandom")?.read_exact(&mut secret)?;
        let secret = hex::encode(secret);
        let url = format!("http://{}/{secret}/simple/", listener.local_addr()?);
        let shared = Arc::new(Shared {
            bases: bases.clone(),
            base: base.clone(),
            indexes: indexes.to_vec(),
            secret,
            state: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let shared = Arc::clone(&shared);
                        async move { Ok::<_, Infallible>(shared.answer(&request).await) }
                    });
                    // A connection that breaks is the client's affair.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { url, shared, task })
    }

    /// The root of its simple API.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What went wrong with an index since the last time, if anything did.
    pub(crate) fn problem(&self) -> Option<LockError> {
        self.shared.state().problem.take()
    }

    /// The name of the index that a distribution is bound to; none for the default one.
    pub(crate) fn bound(&self, name: &DistributionName) -> Option<String> {
        let claim = claimed(&self.shared.indexes, name).ok().flatten();
        claim.filter(|index| !index.default).map(|index| index.name.clone())
    }
}

impl Drop for IndexRouter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().trim_start_matches('/').strip_prefix(&self.secret);
        let parts: Vec<&str> = path.unwrap_or_default().split('/').collect();
        let answered = match (request.method(), &parts[..]) {
            (&Method::GET, ["", "simple", name, ""]) => self.page(name).await,
            (&Method::GET, ["", "file", number, name]) => self.file(number, name).await,
            _ => Ok(None),
        };
        match answered {
            Ok(Some((kind, bytes))) => reply(StatusCode::OK, kind, bytes),
            Ok(None) => reply(StatusCode::NOT_FOUND, "text/plain", Bytes::new()),
            Err(error) => {
                self.state().problem.get_or_insert(error);
                // Any other status would make uv try again or look elsewhere.
                reply(StatusCode::FORBIDDEN, "text/plain", Bytes::new())
            }
        }
    }

    /// The page of a distribution, from the one index that it is bound to.
    async fn page(&self, name: &str) -> Result<Option<(&'static str, Bytes)>, LockError> {
        let Ok(name) = name.parse::<DistributionName>() else { return Ok(None) };
        let claim = claimed(&self.indexes, &name)
            .map_err(|claims| LockError::Denied(Box::new(claimed_twice(&name, &claims))))?;
        let index: Index = match claim {
            Some(claim) => self.bases.network().named_index(&claim.name).await?,
            None => self.bases.index(&self.base).await?,
        };
        let files = match index.files(self.bases.network().client().await?, &name).await {
            Ok(files) => files,
            Err(FetchError::NoSuchDistribution { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // What may need a login is had from here; the rest uv fetches itself.
        let direct = claim.is_none() && index.url.username().is_empty() && index.url.password().is_none();
        let listed: Vec<Value> = files.into_iter().map(|file| self.listed(file, direct)).collect();
        let page = json!({ "meta": { "api-version": "1.0" }, "name": name.as_str(), "files": listed });
        Ok(Some((PAGE, Bytes::from(page.to_string()))))
    }

    fn listed(&self, file: IndexFile, direct: bool) -> Value {
        let hashes: BTreeMap<&str, String> =
            file.digest.iter().map(|digest| ("sha256", digest.hex())).collect();
        let mut entry = json!({
            "filename": file.file_name,
            "hashes": hashes,
            "yanked": file.yanked,
        });
        // uv takes an absent key for unknown, and `null` for an error.
        if let Some(size) = file.size {
            entry["size"] = size.into();
        }
        if let Some(python) = &file.requires_python {
            entry["requires-python"] = python.as_str().into();
        }
        let has_metadata = file.metadata || (!direct && file.file_name.ends_with(".whl"));
        entry["core-metadata"] = has_metadata.into();
        entry["url"] = if direct {
            file.url.as_str().into()
        } else {
            let mut state = self.state();
            state.files.push(file.clone());
            format!("../../file/{}/{}", state.files.len() - 1, file.file_name).into()
        };
        entry
    }

    /// A file that was listed, or the metadata in it.
    async fn file(&self, number: &str, name: &str) -> Result<Option<(&'static str, Bytes)>, LockError> {
        let file = number.parse::<usize>().ok().and_then(|number| self.state().files.get(number).cloned());
        let Some(file) = file else { return Ok(None) };
        let wants_metadata = name.ends_with(".metadata");
        if wants_metadata && file.metadata {
            let mut url = file.url.clone();
            url.set_path(&format!("{}.metadata", url.path()));
            let response = self.bases.network().client().await?.get(&url, METADATA_LIMIT, None).await?;
            return Ok(Some(("application/octet-stream", response.bytes.into())));
        }
        let digest = self.bases.network().store_file(&file).await?;
        let store = self.bases.network().store().clone();
        let bytes = blocking(move || {
            if wants_metadata {
                metadata(&file.file_name, store.open_blob(&digest)?)
            } else {
                Ok(store.read_blob(&digest)?)
            }
        })
        .await?;
        Ok(Some(("application/octet-stream", bytes.into())))
    }
}

/// The METADATA of a wheel.
fn metadata(file_name: &str, file: fs::File) -> Result<Vec<u8>, LockError> {
    let damaged = |source| InvocationError::Archive { file: file_name.to_owned(), source }.into();
    let mut archive = ZipReader::open(BufReader::new(file), &Limits::default()).map_err(damaged)?;
    let is_metadata = |path: &str| {
        path.split_once('/')
            .is_some_and(|(folder, rest)| folder.ends_with(".dist-info") && rest == "METADATA")
    };
    let member = archive.members().iter().find(|member| is_metadata(member.path.as_str())).cloned();
    match member {
        Some(member) => archive.read(&member).map_err(damaged),
        None => {
            let reason = "it has no .dist-info/METADATA".to_owned();
            Err(LockError::Tool { tool: file_name.to_owned(), reason })
        }
    }
}

fn reply(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    // Another run has another path.
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}
