//! Which engine the settings mean: `DOCKER_HOST`, a Docker context, or the local socket, in the order of the Docker
//! command line.

use crate::{EngineError, EngineSettings};
use kiln_record::{Digest, excerpt};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    /// For messages: the address, and the context it comes from.
    pub(crate) shown: String,
}

/// How to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    Unix(String),
    Http(String),
    Tls { address: String, certificates: Certificates },
    Ssh(String),
}

/// A client's certificate and key, and the authority that signed the engine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificates {
    pub(crate) authority: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

const LOCAL: &str = "unix:///var/run/docker.sock";
// Docker's own files are far smaller; more than this is not one of them.
const LARGEST_FILE: u64 = 4 << 20;

#[derive(Deserialize)]
struct CurrentContext {
    #[serde(rename = "currentContext")]
    current: Option<String>,
}

#[derive(Deserialize)]
struct ContextMeta {
    #[serde(rename = "Endpoints", default)]
    endpoints: BTreeMap<String, ContextEndpoint>,
}

#[derive(Deserialize)]
struct ContextEndpoint {
    #[serde(rename = "Host")]
    host: Option<String>,
    #[serde(rename = "SkipTLSVerify", default)]
    skip_verify: bool,
}

impl Endpoint {
    /// Follows the settings. `DOCKER_HOST` wins over `DOCKER_CONTEXT`, which wins over the current context.
    pub(crate) fn of(settings: &EngineSettings) -> Result<Self, EngineError> {
        let given =
            |text: &Option<String>| text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned);
        if let Some(host) = given(&settings.docker_host) {
            return Self::plain(&host, "DOCKER_HOST", settings);
        }
        let context = match given(&settings.context) {
            Some(name) => Some((name, "DOCKER_CONTEXT".to_owned())),
            None => current_context(settings.config_dir.as_deref())?,
        };
        match context {
            Some((name, origin)) if name != "default" => Self::of_context(&name, &origin, settings),
            _ => Self::plain(LOCAL, "the default engine", settings),
        }
    }

    fn plain(host: &str, origin: &str, settings: &EngineSettings) -> Result<Self, EngineError> {
        let certificates = || {
            let folder = settings.cert_path.as_ref().or(settings.config_dir.as_ref()).ok_or_else(|| {
                EngineError::Settings {
                    what: "DOCKER_TLS_VERIFY".to_owned(),
                    why: "no folder with certificates is known; set DOCKER_CERT_PATH".to_owned(),
                }
            })?;
            Ok(Certificates {
                authority: folder.join("ca.pem"),
                certificate: folder.join("cert.pem"),
                key: folder.join("key.pem"),
            })
        };
        let tls =
            if settings.tls_verify || host.starts_with("https://") { Some(certificates()?) } else { None };
        Ok(Self { address: Address::parse(host, origin, tls)?, shown: host.to_owned() })
    }

    fn of_context(name: &str, origin: &str, settings: &EngineSettings) -> Result<Self, EngineError> {
        let what = format!("context `{}` ({origin})", excerpt(name));
        let error = |why: String| EngineError::Settings { what: what.clone(), why };
        let Some(config) = settings.config_dir.as_deref() else {
            return Err(error("Docker's configuration folder is not known; set DOCKER_CONFIG".to_owned()));
        };
        // The folder's name is the digest of the context's name, so no name can leave the folder.
        let id = Digest::of(name.as_bytes()).hex();
        let file = config.join("contexts/meta").join(&id).join("meta.json");
        let Some(text) = read_if_there(&file).map_err(|e| error(e.to_string()))? else {
            return Err(error(format!(
                "there is no such context ({} is missing); `docker context ls` lists those that exist",
                file.display()
            )));
        };
        let meta: ContextMeta =
            serde_json::from_str(&text).map_err(|e| error(format!("{}: {e}", file.display())))?;
        let endpoint = meta.endpoints.get("docker");
        let Some(host) = endpoint.and_then(|endpoint| endpoint.host.as_deref()) else {
            return Err(error(format!("{} names no docker endpoint", file.display())));
        };
        if endpoint.is_some_and(|endpoint| endpoint.skip_verify) {
            return Err(error(
                "it skips TLS verification, which kiln does not; give the context its ca.pem".to_owned(),
            ));
        }
        let folder = config.join("contexts/tls").join(&id).join("docker");
        let certificates = Certificates {
            authority: folder.join("ca.pem"),
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        };
        let tls = certificates.authority.exists().then_some(certificates);
        Ok(Self { address: Address::parse(host, &what, tls)?, shown: format!("{host} (context {name})") })
    }
}

impl Address {
    fn parse(host: &str, origin: &str, tls: Option<Certificates>) -> Result<Self, EngineError> {
        let error = |why: &str| {
            Err(EngineError::Settings { what: format!("{origin} `{}`", excerpt(host)), why: why.to_owned() })
        };
        let Some((scheme, rest)) = host.split_once("://") else {
            return error("it has no scheme; write unix:///path, tcp://host:port or ssh://user@host");
        };
        if rest.is_empty() || rest.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return error("nothing usable follows the scheme");
        }
        let authority = rest.trim_end_matches('/').to_owned();
        match (scheme, tls) {
            ("unix", _) => Ok(Self::Unix(rest.to_owned())),
            ("ssh", _) => Ok(Self::Ssh(authority)),
            ("tcp" | "https", Some(certificates)) => Ok(Self::Tls { address: authority, certificates }),
            ("https", None) => {
                error("https needs certificates; set DOCKER_CERT_PATH or give the context its TLS files")
            }
            ("tcp" | "http", _) => Ok(Self::Http(authority)),
            _ => error("this scheme is not supported; use unix, tcp, https or ssh"),
        }
    }
}

fn current_context(config: Option<&Path>) -> Result<Option<(String, String)>, EngineError> {
    let Some(file) = config.map(|folder| folder.join("config.json")) else { return Ok(None) };
    let error = |why: String| EngineError::Settings { what: file.display().to_string(), why };
    let Some(text) = read_if_there(&file).map_err(|e| error(e.to_string()))? else { return Ok(None) };
    let parsed: CurrentContext = serde_json::from_str(&text).map_err(|e| error(e.to_string()))?;
    Ok(parsed
        .current
        .filter(|name| !name.is_empty())
        .map(|name| (name, format!("currentContext in {}", file.display()))))
}

/// Reads one of Docker's configuration files; `None` if it does not exist.
pub(crate) fn read_if_there(file: &Path) -> io::Result<Option<String>> {
    match fs_err::metadata(file) {
        Ok(metadata) if metadata.len() > LARGEST_FILE => {
            Err(io::Error::other(format!("{} is larger than {LARGEST_FILE} bytes", file.display())))
        }
        Ok(_) => fs_err::read_to_string(file).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Session;

    fn settings(config_dir: Option<&Path>) -> EngineSettings {
        EngineSettings {
            docker_host: None,
            tls_verify: false,
            cert_path: None,
            config_dir: config_dir.map(Path::to_owned),
            context: None,
            buildkit: None,
            silence: std::time::Duration::from_secs(20),
            session: Session { id: "t".to_owned(), host: "h".to_owned(), pid: 1, started: None },
        }
    }

    fn context(folder: &Path, name: &str, meta: &str) -> PathBuf {
        let id = Digest::of(name.as_bytes()).hex();
        let meta_folder = folder.join("contexts/meta").join(&id);
        fs_err::create_dir_all(&meta_folder).unwrap();
        fs_err::write(meta_folder.join("meta.json"), meta).unwrap();
        folder.join("contexts/tls").join(id).join("docker")
    }

    #[test]
    fn the_local_socket_is_the_default() {
        let folder = tempfile::tempdir().unwrap();
        for settings in [settings(None), settings(Some(folder.path()))] {
            assert_eq!(
                Endpoint::of(&settings).unwrap().address,
                Address::Unix("/var/run/docker.sock".to_owned())
            );
        }
    }

    #[test]
    fn docker_host_wins_and_schemes_decide() {
        let of = |host: &str, tls: bool| {
            let mut settings = settings(Some(Path::new("/c")));
            settings.docker_host = Some(host.to_owned());
            settings.tls_verify = tls;
            settings.context = Some("ignored".to_owned());
            Endpoint::of(&settings).map(|endpoint| endpoint.address)
        };
        assert_eq!(of("unix:///run/d.sock", false).unwrap(), Address::Unix("/run/d.sock".to_owned()));
        assert_eq!(of("tcp://127.0.0.1:2375/", false).unwrap(), Address::Http("127.0.0.1:2375".to_owned()));
        assert_eq!(of("ssh://me@example.org", false).unwrap(), Address::Ssh("me@example.org".to_owned()));
        let Address::Tls { certificates, .. } = of("tcp://127.0.0.1:2376", true).unwrap() else { panic!() };
        assert_eq!(certificates.authority, Path::new("/c/ca.pem"));
        for bad in ["127.0.0.1:2375", "npipe:////./pipe/x", "tcp://", "ssh://a b"] {
            let message = of(bad, false).unwrap_err().to_string();
            assert!(message.contains("DOCKER_HOST"), "{message}");
        }
    }

    #[test]
    fn contexts_are_read_as_docker_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let tls = context(
            folder.path(),
            "far",
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://engine.example:2376","SkipTLSVerify":false}}}"#,
        );
        fs_err::write(folder.path().join("config.json"), r#"{"currentContext":"far","auths":{}}"#).unwrap();
        let endpoint = Endpoint::of(&settings(Some(folder.path()))).unwrap();
        assert_eq!(endpoint.address, Address::Http("engine.example:2376".to_owned()));
        assert!(endpoint.shown.contains("context far"));
        fs_err::create_dir_all(&tls).unwrap();
        fs_err::write(tls.join("ca.pem"), "").unwrap();
        assert!(matches!(Endpoint::of(&settings(Some(folder.path()))).unwrap().address, Address::Tls { .. }));
        let mut named = settings(Some(folder.path()));
        named.context = Some("default".to_owned());
        assert!(matches!(Endpoint::of(&named).unwrap().address, Address::Unix(_)));
    }

    #[test]
    fn broken_contexts_say_where_and_why() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str| {
            let mut settings = settings(Some(folder.path()));
            settings.context = Some(name.to_owned());
            Endpoint::of(&settings).unwrap_err().to_string()
        };
        assert!(of("../../missing").contains("docker context ls"));
        context(folder.path(), "broken", "{");
        assert!(of("broken").contains("meta.json"));
        context(folder.path(), "empty", "{}");
        assert!(of("empty").contains("no docker endpoint"));
        context(
            folder.path(),
            "lax",
            r#"{"Endpoints":{"docker":{"Host":"tcp://h:1","SkipTLSVerify":true}}}"#,
        );
        assert!(of("lax").contains("skips TLS"));
        fs_err::write(folder.path().join("config.json"), "[").unwrap();
        assert!(
            Endpoint::of(&settings(Some(folder.path()))).unwrap_err().to_string().contains("config.json")
        );
    }
}
