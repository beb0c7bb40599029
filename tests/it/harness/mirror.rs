//! A Debian mirror on 127.0.0.1: the machine's own mirror, file by file as it is asked for, with faults that
//! a test adds. Packages of the committed bases stay there when the machine's mirror has newer ones: the
//! store that tests share is their archive.

use super::{Kiln, LocalServer, Reply, repository};
use kiln_fetch::{Client, FetchError, Mirror, NetworkSettings, apt_mirrors};
use kiln_record::Digest;
use kiln_store::Store;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

/// The most that one file of the mirror may hold.
const LIMIT: u64 = 256 << 20;

/// The mirror; it stops when it is dropped.
#[derive(Debug)]
pub(crate) struct LocalMirror {
    server: LocalServer,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What a test says about a path: its content, or that it is gone.
    faults: Mutex<BTreeMap<String, Option<Arc<[u8]>>>>,
    asked: Mutex<Vec<String>>,
}

impl LocalMirror {
    pub(crate) fn serve() -> Self {
        let shared = Arc::new(Shared::default());
        let state = Arc::clone(&shared);
        let server = LocalServer::serve(move |request| {
            let path = request.path.trim_start_matches('/').to_owned();
            state.asked.lock().unwrap().push(path.clone());
            let fault = state.faults.lock().unwrap().get(&path).cloned();
            let content = fault.unwrap_or_else(|| kept(&path).or_else(|| original(&path)));
            content.map_or(Reply::Missing, Reply::Found)
        });
        Self { server, shared }
    }

    /// One without faults.
    pub(crate) fn of_all_tests() -> &'static Self {
        static MIRROR: OnceLock<LocalMirror> = OnceLock::new();
        MIRROR.get_or_init(Self::serve)
    }

    /// The URL to configure.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.server.address())
    }

    /// Serves other bytes for a path.
    pub(crate) fn replace(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = kept(path)
            .or_else(|| original(path))
            .unwrap_or_else(|| panic!("the mirror has no {path}"))
            .to_vec();
        change(&mut bytes);
        self.shared.faults.lock().unwrap().insert(path.to_owned(), Some(bytes.into()));
    }

    /// Has no file at a path any more.
    pub(crate) fn remove(&self, path: &str) {
        self.shared.faults.lock().unwrap().insert(path.to_owned(), None);
    }

    /// The paths asked for since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }
}

/// A package of a committed base, if the store has it.
fn kept(path: &str) -> Option<Arc<[u8]>> {
    static LOCKED: OnceLock<BTreeMap<String, Digest>> = OnceLock::new();
    let digest = LOCKED.get_or_init(locked).get(path)?;
    let bytes = Store::open(&Kiln::shared_store()).unwrap().read_blob(digest).ok()?;
    Some(bytes.into())
}

/// Where the packages of the committed bases are in the archive, with their digests.
fn locked() -> BTreeMap<String, Digest> {
    let mut locked = BTreeMap::new();
    for entry in fs_err::read_dir(repository().join("images")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let lock: toml::Table = fs_err::read_to_string(file).unwrap().parse().unwrap();
        for platform in lock["platform"].as_table().unwrap().values() {
            for package in platform["package"].as_array().unwrap() {
                let text = |key: &str| package[key].as_str().unwrap().to_owned();
                locked.insert(text("path"), text("digest").parse().unwrap());
            }
        }
    }
    locked
}

/// A file of the machine's mirror, the same for the whole run of the tests; `None` if the mirror does not
/// have it.
fn original(path: &str) -> Option<Arc<[u8]>> {
    type Files = BTreeMap<String, Arc<OnceLock<Option<Arc<[u8]>>>>>;
    static FILES: OnceLock<Mutex<Files>> = OnceLock::new();
    let file =
        Arc::clone(FILES.get_or_init(Mutex::default).lock().unwrap().entry(path.to_owned()).or_default());
    file.get_or_init(|| {
        let (runtime, client, mirror) = upstream();
        let url = format!("{}/{path}", mirror.url.as_str().trim_end_matches('/')).parse().unwrap();
        match runtime.block_on(client.get(&url, LIMIT, None)) {
            Ok(response) => Some(response.bytes.into()),
            Err(FetchError::NotFound { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    })
    .clone()
}

/// Where that mirror is.
pub(crate) fn machines_mirror() -> String {
    upstream().2.url.to_string()
}

/// The mirror that kiln itself would use on this machine.
fn upstream() -> &'static (tokio::runtime::Runtime, Client, Mirror) {
    static UPSTREAM: OnceLock<(tokio::runtime::Runtime, Client, Mirror)> = OnceLock::new();
    UPSTREAM.get_or_init(|| {
        let named = std::env::vars().find(|(name, _)| name == "KILN_DEBIAN_MIRROR");
        let mirror = match named {
            Some((from, url)) => Mirror { url: url.parse().unwrap(), from },
            None => apt_mirrors(&apt_sources())
                .into_iter()
                .next()
                .expect("apt has a mirror, or KILN_DEBIAN_MIRROR does"),
        };
        (tokio::runtime::Runtime::new().unwrap(), Client::new(&NetworkSettings::default()).unwrap(), mirror)
    })
}

fn apt_sources() -> Vec<(String, String)> {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = fs_err::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files
        .into_iter()
        .filter_map(|file| Some((file.display().to_string(), fs_err::read_to_string(&file).ok()?)))
        .collect()
}
