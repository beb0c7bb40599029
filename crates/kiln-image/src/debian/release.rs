//! `Release` files: which indexes an archive's suite has, by digest.

use super::control::single;
use crate::ImageError;
use kiln_record::{Digest, Epoch, excerpt};
use std::collections::BTreeMap;

/// The content of a `Release` or of a verified `InRelease`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The suite, such as `stable`; it changes when a new Debian is released.
    pub suite: String,
    /// The name of the release, such as `bookworm`.
    pub codename: String,
    /// When it was made, as written: `Sat, 11 Jul 2026 10:16:37 UTC`.
    pub date: String,
    /// Until when it may be used, in the same form, if the archive sets a limit.
    pub valid_until: Option<String>,
    /// Architectures by Debian name.
    pub architectures: Vec<String>,
    /// Components, such as `main`.
    pub components: Vec<String>,
    /// Digest and size in bytes of every index, by its path below the suite's folder. SHA-256 only: MD5 and SHA-1
    /// sections are not read.
    pub files: BTreeMap<String, (Digest, u64)>,
    /// Whether indexes can be fetched by their digest, so that an update of the mirror cannot fall between two requests.
    pub acquire_by_hash: bool,
}

impl Release {
    /// Reads the text of a `Release` file.
    ///
    /// # Errors
    /// [`ImageError::Malformed`] if a field is missing or malformed.
    pub fn parse(text: &str) -> Result<Self, ImageError> {
        let stanza = single("Release", text)?;
        let words = |name: &str| -> Vec<String> {
            stanza.get(name).unwrap_or("").split_whitespace().map(str::to_owned).collect()
        };
        let mut files = BTreeMap::new();
        for line in stanza.require("Release", "SHA256")?.lines() {
            let error = |reason: &str| stanza.malformed("Release", format!("`{}`: {reason}", excerpt(line)));
            let [digest, size, path] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                return Err(error("not a digest, a size and a path"));
            };
            let digest = Digest::from_hex(digest).map_err(|_| error("not a sha256 digest"))?;
            let size = size.parse().map_err(|_| error("not a size"))?;
            if path.starts_with('/') || path.split('/').any(|part| matches!(part, "" | "." | "..")) {
                return Err(error("not a path below the suite"));
            }
            if files.insert(path.to_owned(), (digest, size)).is_some_and(|old| old != (digest, size)) {
                return Err(error("the path is there twice with different digests"));
            }
        }
        Ok(Self {
            suite: stanza.get("Suite").unwrap_or("").to_owned(),
            codename: stanza.require("Release", "Codename")?.to_owned(),
            date: stanza.require("Release", "Date")?.to_owned(),
            valid_until: stanza.get("Valid-Until").map(str::to_owned),
            architectures: words("Architectures"),
            components: words("Components"),
            files,
            acquire_by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
        })
    }

    /// Whether this is the release that was asked for, by suite or codename. A good signature does not say so: a mirror
    /// could serve the validly signed file of another release.
    #[must_use]
    pub fn is_for(&self, suite: &str) -> bool {
        !suite.is_empty() && (suite == self.codename || suite == self.suite)
    }

    /// The xz-compressed package index of a component: its path below the suite's folder, digest and size in bytes.
    #[must_use]
    pub fn package_index(&self, component: &str, architecture: &str) -> Option<(&str, Digest, u64)> {
        let path = format!("{component}/binary-{architecture}/Packages.xz");
        self.files.get_key_value(&path).map(|(path, (digest, size))| (path.as_str(), *digest, *size))
    }

    /// The date as a time, if it has the form that Debian writes.
    #[must_use]
    pub fn published(&self) -> Option<Epoch> {
        parse_date(&self.date)
    }

    /// The limit of use as a time, if there is one in the form that Debian writes.
    #[must_use]
    pub fn usable_until(&self) -> Option<Epoch> {
        self.valid_until.as_deref().and_then(parse_date)
    }
}

/// Reads `Sat, 11 Jul 2026 10:16:37 UTC` (RFC 5322 with the zone that Debian always writes).
#[must_use]
pub fn parse_date(text: &str) -> Option<Epoch> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let [day, month, year, time, "UTC" | "+0000" | "GMT"] = rest.split_whitespace().collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    format!("{year}-{month:02}-{day:0>2}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Origin: Example\nSuite: stable\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n\
        Valid-Until: Sat, 1 Aug 2026 10:16:37 UTC\nAcquire-By-Hash: yes\nArchitectures: all amd64\nComponents: main\n\
        MD5Sum:\n 00 1 x\nSHA256:\n e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855   0 \
        main/binary-amd64/Packages.xz\n";

    #[test]
    fn fields_and_files() {
        let release = Release::parse(TEXT).unwrap();
        assert_eq!(release.codename, "bookworm");
        assert!(
            release.is_for("bookworm")
                && release.is_for("stable")
                && !release.is_for("trixie")
                && !release.is_for("")
        );
        assert_eq!(release.architectures, ["all", "amd64"]);
        assert!(release.acquire_by_hash);
        let (path, digest, size) = release.package_index("main", "amd64").unwrap();
        assert_eq!((path, digest, size), ("main/binary-amd64/Packages.xz", Digest::of(b""), 0));
        assert_eq!(release.package_index("main", "arm64"), None);
        assert_eq!(release.published().unwrap().to_string(), "2026-07-11T10:16:37Z");
        assert_eq!(release.usable_until().unwrap().to_string(), "2026-08-01T10:16:37Z");
    }

    #[test]
    fn malformed_files_are_refused() {
        for (from, to) in [
            (" 0 main", " x main"),
            ("main/binary-amd64/Packages.xz", "../../etc/x"),
            ("e3b0", "zzzz"),
            ("SHA256:", "SHA1:"),
            ("Codename", "Other"),
        ] {
            assert!(Release::parse(&TEXT.replacen(from, to, 1)).is_err(), "{to}");
        }
    }
}
