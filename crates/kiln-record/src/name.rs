//! Validated names.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The names of bases become file names and image tags.
    #[error(
        "`{0}` is not a valid name: use lower-case letters, digits, `.` and `-`, starting with a letter or digit, at most 64 characters"
    )]
    Invalid(String),
    /// The name of an artifact becomes a file name.
    #[error(
        "`{0}` is not a valid name: use letters, digits, `.`, `_` and `-`, starting with a letter or digit, at most 64 characters"
    )]
    Artifact(String),
    /// The documents of an artifact of this name would have the names of signatures.
    #[error(
        "`{0}` cannot be the name of an artifact: its provenance would be called as a signature is; choose another"
    )]
    LikeSignature(String),
    /// Not a distribution name by the packaging specifications.
    #[error(
        "`{0}` is not a valid distribution name: letters, digits, `.`, `_` and `-`, starting and ending with a letter or digit"
    )]
    Distribution(String),
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $parse(text).map(Self)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The name of an artifact: the stem of its manifest's file name. Functions are called in capitals and with underscores where
    /// they come from, and keep that.
    ArtifactName,
    artifact_name
);
name!(
    /// The name of a base: the stem of its definition's file name.
    BaseName,
    file_name
);
name!(
    /// The name of a Python distribution, normalised by PEP 503: lower case, runs of `-`, `_` and `.` as one `-`.
    DistributionName,
    distribution
);

fn file_name(text: &str) -> Result<String, NameError> {
    let valid = (1..=64).contains(&text.len())
        && text.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
        && text.as_bytes()[0].is_ascii_alphanumeric()
        && !text.ends_with('.')
        && !text.contains("..");
    if valid { Ok(text.to_owned()) } else { Err(NameError::Invalid(text.to_owned())) }
}

fn artifact_name(text: &str) -> Result<String, NameError> {
    let plain: String = text.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect();
    match file_name(&plain) {
        Ok(_) if is_like_signature(&plain) => Err(NameError::LikeSignature(text.to_owned())),
        Ok(_) if !text.starts_with('_') => Ok(text.to_owned()),
        _ => Err(NameError::Artifact(text.to_owned())),
    }
}

/// Whether `NAME.intoto.jsonl` or `NAME.cdx.json` is what a signed file beside an artifact is called: the statement of a release, which a
/// registry may have with twelve digits in front, or the signed form of another artifact's document.
fn is_like_signature(name: &str) -> bool {
    let is_digits = |prefix: &str| prefix.len() == 12 && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    let rest = name.split_once('-').filter(|(prefix, _)| is_digits(prefix)).map_or(name, |(_, rest)| rest);
    rest == "release" || [".signed", ".run", ".vsa"].iter().any(|end| rest.ends_with(end))
}

fn distribution(text: &str) -> Result<String, NameError> {
    let valid = text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric());
    if !valid {
        return Err(NameError::Distribution(text.to_owned()));
    }
    let mut normal = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '.' | '_' | '-' if normal.ends_with('-') => {}
            '.' | '_' | '-' => normal.push('-'),
            c => normal.push(c.to_ascii_lowercase()),
        }
    }
    Ok(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distribution_names_are_normalised() {
        let name = |text: &str| text.parse::<DistributionName>().map(|n| n.to_string());
        assert_eq!(name("Flask-SQLAlchemy").unwrap(), "flask-sqlalchemy");
        assert_eq!(name("zope.interface").unwrap(), "zope-interface");
        assert_eq!(name("a_-.b").unwrap(), "a-b");
        assert!(name("-a").is_err());
        assert!(name("a b").is_err());
        assert!(name("").is_err());
    }

    #[test]
    fn artifact_names_are_file_names() {
        assert!("waf-log-parser".parse::<ArtifactName>().is_ok());
        for good in ["OrdersFunction", "orders_fn", "Orders_Fn-2", "a.b"] {
            assert_eq!(good.parse::<ArtifactName>().unwrap().as_str(), good);
            assert_eq!(good.parse::<BaseName>().is_ok(), good == "a.b", "{good}");
        }
        for like in ["release", "orders.signed", "a.run", "b.VSA", "0123456789ab-release"] {
            assert_eq!(like.parse::<ArtifactName>(), Err(NameError::LikeSignature(like.to_owned())));
        }
        for good in ["releases", "my-release", "run", "orders-run", "release.arm64"] {
            assert!(good.parse::<ArtifactName>().is_ok(), "{good}");
        }
        for bad in ["", "../x", ".hidden", "a/b", "a..b", "-a", "_a", "a.", "a b", "é", "a\n"] {
            assert!(bad.parse::<ArtifactName>().is_err(), "{bad}");
            assert!(bad.parse::<BaseName>().is_err(), "{bad}");
        }
    }
}
