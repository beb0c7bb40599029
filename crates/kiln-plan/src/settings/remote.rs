//! `[remote]` in `kiln.toml`: a cache that machines share.

use serde::Deserialize;

/// A cache that machines share. What is built does not depend on it, so it is in no digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RemoteSetting {
    /// A server of the Remote Execution API: `grpcs://HOST[:PORT][/INSTANCE]`, or `grpc://HOST:PORT[/INSTANCE]` without TLS.
    pub cache: Option<String>,
    /// Whether what is made here is sent there.
    #[serde(default)]
    pub write: bool,
}
