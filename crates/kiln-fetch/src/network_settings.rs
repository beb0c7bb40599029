//! How the network is used: everything that the caller decides.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How to use the network.
#[derive(Clone)]
pub struct NetworkSettings {
    /// A file of PEM certificates to trust *instead of* the host's trust store.
    pub ca_bundle: Option<PathBuf>,
    /// The `User-Agent` header.
    pub user_agent: String,
    /// The longest time to connect to a server, TLS included.
    pub connect_timeout: Duration,
    /// The longest silence of a server, before and within its reply.
    pub read_timeout: Duration,
    /// How often a request is tried before it fails; 0 counts as 1. After an attempt in which the server was silent there is one
    /// more and no other.
    pub attempts: u32,
    /// How many requests run at once; 0 counts as 1.
    pub parallel: usize,
    /// The text of a netrc file, for servers that want a login.
    pub netrc: Option<String>,
    /// The variables of the environment that decide on proxies and certificates, by name: they are named where something fails.
    pub variables: BTreeMap<String, String>,
    /// Refuses every request but those for `file:` URLs.
    pub offline: bool,
}

impl Default for NetworkSettings {
    /// The host's trust store, 10 s to connect, 20 s of silence, 4 attempts, 8 requests at once.
    fn default() -> Self {
        Self {
            ca_bundle: None,
            user_agent: "kiln".to_owned(),
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(20),
            attempts: 4,
            parallel: 8,
            netrc: None,
            variables: BTreeMap::new(),
            offline: false,
        }
    }
}

impl fmt::Debug for NetworkSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkSettings")
            .field("ca_bundle", &self.ca_bundle)
            .field("user_agent", &self.user_agent)
            .field("connect_timeout", &self.connect_timeout)
            .field("read_timeout", &self.read_timeout)
            .field("attempts", &self.attempts)
            .field("parallel", &self.parallel)
            .field("netrc", &self.netrc.as_ref().map(|_| "***"))
            .field("offline", &self.offline)
            // A proxy's address may hold a password.
            .field("variables", &self.variables.keys())
            .finish()
    }
}
