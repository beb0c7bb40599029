//! `[remote]` and `[engine]` in `kiln.toml`: a cache that machines share, and where programs run.

use crate::duration::parse_seconds;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where programs run: steps, builds from source, and checks. What is built does not depend on it, so it is in no digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EngineKind {
    /// In containers of an engine, such as Docker.
    #[default]
    Container,
    /// On the workers of the server that `remote.execute` names.
    Remote,
}

/// Where programs run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct EngineSetting {
    /// `container` or `remote`.
    #[serde(default)]
    pub kind: EngineKind,
}

/// A cache that machines share. What is built does not depend on it, so it is in no digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoteSetting {
    /// A server of the Remote Execution API: `grpcs://HOST[:PORT][/INSTANCE]`, or `grpc://HOST:PORT[/INSTANCE]` without TLS; or
    /// a repository of a container registry, for downloads alone: `oci://HOST[:PORT]/REPOSITORY`.
    pub cache: Option<String>,
    /// Whether what is made here is sent there.
    #[serde(default)]
    pub write: bool,
    /// A server that runs programs, in the same form, or `unix:/PATH` for a socket of this machine. It is used where
    /// `engine.kind` is `remote`.
    pub execute: Option<String>,
    /// What a worker must be like, as its operator calls that.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// How long a program may wait for a worker, in `s` or `min`.
    pub queue: Option<String>,
    /// Whether workers are asked to run a program as a certain user, by the properties `unixUID` and `unixGID`.
    pub users: Option<bool>,
}

impl RemoteSetting {
    /// How long a program may wait for a worker, in seconds; as long as is usual if nothing is stated.
    #[must_use]
    pub fn queue_seconds(&self) -> u32 {
        self.queue.as_deref().and_then(|text| parse_seconds(text, LONGEST)).unwrap_or(QUEUE)
    }

    /// Whether the time that a program may wait is one.
    pub(super) fn has_usable_queue(&self) -> bool {
        self.queue.as_deref().is_none_or(|text| parse_seconds(text, LONGEST).is_some())
    }
}

/// How long a program may wait for a worker where nothing is stated, and the longest that can be, in seconds.
const QUEUE: u32 = 600;
const LONGEST: u32 = 360 * 60;
