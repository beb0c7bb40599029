//! Image references, by the grammar of the OCI distribution specification.

use crate::ImageError;
use kiln_record::{Digest, excerpt};
use std::fmt;
use std::str::FromStr;

/// Where an image is: `registry/repository[:tag][@sha256:digest]`.
///
/// The registry must be written: the short names that some engines complete by habit (`python:3.13`) mean different
/// images on different machines, so they are refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// The registry's host, with its port if one is written.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path of the repository in the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one is written.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is written.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Whether the reference names one image for ever: whether it has a digest.
    #[must_use]
    pub fn is_pinned(&self) -> bool {
        self.digest.is_some()
    }

    /// The same repository and tag, at a digest.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }

    /// `registry/repository@digest`, without a tag: what is pulled. `None` without a digest.
    #[must_use]
    pub fn by_digest(&self) -> Option<String> {
        self.digest.map(|digest| format!("{}/{}@{digest}", self.registry, self.repository))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let error = |reason: &str| ImageError::Reference { text: excerpt(text), reason: reason.to_owned() };
        if text.len() > 512 {
            return Err(ImageError::Reference {
                text: format!("{}…", text.chars().take(64).collect::<String>().escape_debug()),
                reason: "it is longer than 512 bytes".to_owned(),
            });
        }
        if text.contains("://") {
            return Err(error("it is a URL: write it without the scheme"));
        }
        let (name, digest) = match text.split_once('@') {
            None => (text, None),
            Some((name, digest)) => {
                let digest: Digest =
                    digest.parse().map_err(|e: kiln_record::DigestError| error(&e.to_string()))?;
                (name, Some(digest))
            }
        };
        // A colon after the last slash starts the tag; before it, a port.
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (name, None),
        };
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(error(
                "the tag must have 1 to 128 letters, digits, `_`, `.` and `-`, and not start with `.` or `-`",
            ));
        }
        let Some((registry, repository)) =
            name.split_once('/').filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost")
        else {
            return Err(error(
                "it does not say which registry: write it in front, `registry.example.org/name:tag`",
            ));
        };
        if !is_registry(registry) {
            return Err(error("the registry is not a host name with an optional port"));
        }
        if !repository.split('/').all(is_path_component) {
            return Err(error(
                "the repository must consist of lower-case letters and digits, separated by `.`, `_`, `__`, `-` or `/`",
            ));
        }
        // The specification limits registry and repository together.
        if name.len() > 255 {
            return Err(error("registry and repository are longer than 255 characters"));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
        && !tag.starts_with(['.', '-'])
}

fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let port_is_valid = port.is_none_or(|port| {
        port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|number| number != 0)
    });
    let host_is_valid = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        }),
    };
    port_is_valid && host_is_valid
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let is_alphanumeric = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    if !bytes.first().is_some_and(is_alphanumeric) || !bytes.last().is_some_and(is_alphanumeric) {
        return false;
    }
    bytes.split(is_alphanumeric).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|c| *c == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_display() {
        let digest = Digest::of(b"x");
        for text in [
            "registry.example.org/lambda/python:3.13".to_owned(),
            "127.0.0.1:5000/a".to_owned(),
            "localhost/kiln/base:1".to_owned(),
            "[::1]:5000/a:b".to_owned(),
            format!("registry.example.org/a/b__c--d.e@{digest}"),
            format!("registry.example.org:443/a:latest@{digest}"),
        ] {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), text);
            assert_eq!(reference.is_pinned(), text.contains('@'));
        }
        let reference: Reference = "127.0.0.1:5000/lambda/python:3.13".parse().unwrap();
        assert_eq!(reference.registry(), "127.0.0.1:5000");
        assert_eq!(reference.repository(), "lambda/python");
        assert_eq!(reference.tag(), Some("3.13"));
        assert_eq!(reference.by_digest(), None);
        let pinned = reference.pinned(digest);
        assert_eq!(pinned.by_digest().unwrap(), format!("127.0.0.1:5000/lambda/python@{digest}"));
    }

    #[test]
    fn malformed_references_are_refused() {
        for bad in [
            "",
            "python",
            "python:3.13",
            "library/python",
            "https://registry.example.org/a",
            "registry.example.org/",
            "registry.example.org/A",
            "registry.example.org/a//b",
            "registry.example.org/a_-b",
            "registry.example.org/a___b",
            "registry.example.org/a:.x",
            "registry.example.org/a:",
            "registry.example.org:0/a",
            "registry.example.org:99999/a",
            "-registry.example.org/a",
            "registry..org/a",
            "registry.example.org/a@sha512:00",
            "registry.example.org/a@sha256:00",
            "registry.example.org/a b",
            "registry.example.org/é",
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
        assert!("a".repeat(600).parse::<Reference>().is_err());
    }
}
