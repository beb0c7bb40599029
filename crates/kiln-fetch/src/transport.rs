//! Connections: TLS with the host's trust store or a CA bundle, proxies, and timeouts.

use crate::credentials::redacted_text;
use crate::host_names::HostNames;
use crate::loopback::is_loopback;
use crate::{FetchError, NetworkSettings};
use reqwest::Certificate;
use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;
use url::Url;

/// The HTTP clients underneath. Each is built for its first request: loading the host's trust store takes time that
/// a run without downloads saves.
pub(crate) struct Transport {
    settings: NetworkSettings,
    trusted: Option<Vec<Certificate>>,
    usual: OnceLock<Result<reqwest::Client, String>>,
    direct: OnceLock<Result<reqwest::Client, String>>,
}

impl Transport {
    /// Reads the CA bundle, if there is one.
    pub(crate) fn new(settings: &NetworkSettings) -> Result<Self, FetchError> {
        let trusted = settings.ca_bundle.as_deref().map(certificates).transpose()?;
        Ok(Self { settings: settings.clone(), trusted, usual: OnceLock::new(), direct: OnceLock::new() })
    }

    /// The client for a URL: through the proxy that the environment names, unless the URL is this very host, which
    /// no proxy can reach.
    pub(crate) fn for_url(&self, url: &Url) -> Result<&reqwest::Client, FetchError> {
        let built = match is_loopback(url) {
            true => self.direct.get_or_init(|| self.build(reqwest::Client::builder().no_proxy())),
            false => self.usual.get_or_init(|| self.build(reqwest::Client::builder())),
        };
        built.as_ref().map_err(|why| FetchError::Setting {
            from: "of the network client (trust store, proxy, user agent)".to_owned(),
            why: why.clone(),
        })
    }

    fn build(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
        // One provider serves the whole process. Whoever installed one first keeps it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = builder
            .user_agent(&self.settings.user_agent)
            .connect_timeout(self.settings.connect_timeout)
            .read_timeout(self.settings.read_timeout)
            .dns_resolver(HostNames::default())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false);
        if let Some(trusted) = &self.trusted {
            builder = builder.tls_certs_only(trusted.iter().cloned());
        }
        builder.build().map_err(|error| {
            let why = innermost(&error);
            let given = self.variables(|name| name.starts_with("SSL_CERT_"));
            given.map_or(why.clone(), |given| format!("{why}: {given}"))
        })
    }

    /// Through which proxy a URL is asked for, as far as the environment says; for messages.
    pub(crate) fn proxy_of(&self, url: &Url) -> Option<String> {
        if is_loopback(url) {
            return None;
        }
        let own = format!("{}_proxy", url.scheme());
        self.variables(|name| {
            let name = name.to_ascii_lowercase();
            name == own || name == "all_proxy"
        })
    }

    /// Variables that are set, with their values, which must not show a password.
    fn variables(&self, is_one: impl Fn(&str) -> bool) -> Option<String> {
        let set = self.settings.variables.iter().filter(|(name, value)| !value.is_empty() && is_one(name));
        let told: Vec<String> = set.map(|(name, value)| format!("{name}={}", redacted_text(value))).collect();
        (!told.is_empty()).then(|| format!("{} is set", told.join(" and ")))
    }
}

/// The most specific message of a chain of errors: what went wrong, without the layers that passed it on.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, FetchError> {
    let setting = |why: String| FetchError::Setting { from: format!("CA bundle {}", path.display()), why };
    let text = fs_err::read(path).map_err(|error| setting(error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&text)
        .map_err(|_| setting("it is not a file of PEM certificates".to_owned()))?;
    if certificates.is_empty() {
        return Err(setting("it holds no PEM certificate".to_owned()));
    }
    Ok(certificates)
}
