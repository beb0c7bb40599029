//! `[[registry]]` in `kiln.toml`: mirrors of container registries.

use serde::Deserialize;

/// A mirror: what stands in place of the beginning of a reference when an image is brought. What a reference means, and
/// what a base is, does not depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RegistryMirrorSetting {
    /// What references begin with: a registry, such as `public.ecr.aws`, or a path in one.
    pub prefix: String,
    /// What stands there instead, such as `mirror.example.org/ecr-public`. With `http://` in front, kiln asks without TLS.
    pub mirror: String,
}
