//! Versions of CycloneDX.

use std::fmt;
use std::str::FromStr;

/// A version of the specification. Readers lag behind: 1.6 is the newest that the common ones all take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpecVersion {
    /// Of June 2023.
    V1_5,
    /// Of April 2024.
    #[default]
    V1_6,
    /// Of October 2025.
    V1_7,
}

/// A text that is not a version of the specification that kiln writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a CycloneDX version that kiln writes: use 1.5, 1.6 or 1.7")]
pub struct UnknownSpecVersion(pub String);

impl SpecVersion {
    /// The version as documents write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_5 => "1.5",
            Self::V1_6 => "1.6",
            Self::V1_7 => "1.7",
        }
    }

    /// The identifier of the version's JSON schema.
    #[must_use]
    pub fn schema(self) -> &'static str {
        match self {
            Self::V1_5 => "http://cyclonedx.org/schema/bom-1.5.schema.json",
            Self::V1_6 => "http://cyclonedx.org/schema/bom-1.6.schema.json",
            Self::V1_7 => "http://cyclonedx.org/schema/bom-1.7.schema.json",
        }
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SpecVersion {
    type Err = UnknownSpecVersion;

    fn from_str(text: &str) -> Result<Self, UnknownSpecVersion> {
        match text {
            "1.5" => Ok(Self::V1_5),
            "1.6" => Ok(Self::V1_6),
            "1.7" => Ok(Self::V1_7),
            other => Err(UnknownSpecVersion(other.to_owned())),
        }
    }
}
