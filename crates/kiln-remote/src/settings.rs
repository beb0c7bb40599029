//! Where a shared cache is, and how it may be used. None of this is in any digest.

use crate::address::Address;
use crate::login::Login;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How a shared cache is reached and used.
#[derive(Clone, Debug)]
pub struct RemoteSettings {
    /// Where it is.
    pub address: Address,
    /// Whether what is made here is sent to it.
    pub write: bool,
    /// Who it is asked as.
    pub login: Login,
    /// What is waited for, and for how long.
    pub limits: Limits,
}

/// How a server that runs programs is reached and used.
#[derive(Clone, Debug)]
pub struct ExecutorSettings {
    /// Where it is.
    pub address: Address,
    /// Who it is asked as.
    pub login: Login,
    /// What is waited for, and for how long.
    pub limits: Limits,
    /// What a worker must be like, as its operator calls that: `OSFamily` is `linux`.
    pub properties: BTreeMap<String, String>,
    /// How long an action may wait for a worker.
    pub queue: Duration,
    /// Whether a worker is asked to run a program as a certain user, by the properties `unixUID` and `unixGID`.
    pub as_user: bool,
    /// A folder for what is on its way.
    pub folder: PathBuf,
}

impl ExecutorSettings {
    pub(crate) fn remote(&self) -> RemoteSettings {
        RemoteSettings {
            address: self.address.clone(),
            write: true,
            login: self.login.clone(),
            limits: self.limits,
        }
    }
}

/// What is waited for, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For the answer to a call, and for the next piece of a long one.
    pub silence: Duration,
    /// The fewest bytes a second, on average, that are waited for after the first [`Limits::silence`]: a cache that is
    /// slower is no gain.
    pub slowest: u64,
    /// What a worker may need around a program: to lay out what it is given and to collect what it left.
    pub around: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            slowest: 64 << 10,
            around: Duration::from_secs(120),
        }
    }
}

impl Limits {
    /// How long the transfer of so many bytes may take.
    pub(crate) fn time_for(&self, bytes: u64) -> Duration {
        self.silence + Duration::from_secs(bytes / self.slowest.max(1))
    }
}
