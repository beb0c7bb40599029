//! `Cargo.lock`: the crates that a Rust project is built from, each by the checksum of its archive.
//!
//! Source: cargo's `core/resolver/encode.rs`; versions 3 and 4 of the format, which differ in how sources are
//! written.

use crate::Problem;
use kiln_record::{Digest, excerpt};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use toml::Spanned;

/// What the sources of cargo's default registry end with, as a git index and as a sparse one.
const DEFAULT_REGISTRY: &str = "crates.io-index";

/// A crate of a lock, from cargo's default registry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LockedCrate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of its archive.
    pub checksum: Digest,
}

impl LockedCrate {
    /// The name of its archive.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}-{}.crate", self.name, self.version)
    }
}

#[derive(Deserialize)]
struct File {
    version: Option<Spanned<u32>>,
    #[serde(default)]
    package: Vec<Spanned<Package>>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// Reads the crates of a lock, sorted. What has no source is of the workspace itself.
///
/// # Errors
/// What cannot be read, and what is from anywhere but cargo's default registry.
pub fn parse_cargo_lock(file: &str, text: &Arc<str>) -> Result<Vec<LockedCrate>, Vec<Problem>> {
    let parsed: File = Problem::toml(file, text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let mut problem = |span: std::ops::Range<usize>, message: String, help: &str| {
        problems.push(Problem::in_file(file, message).at(text, span).help(help));
    };
    match &parsed.version {
        Some(version) if matches!(version.get_ref(), 3 | 4) => {}
        Some(version) => problem(
            version.span(),
            format!("it is a lock of version {}, and kiln reads 3 and 4", version.get_ref()),
            "make it with another version of cargo",
        ),
        None => problem(0..0, "it does not state its version".to_owned(), "make it with cargo 1.53 or newer"),
    }
    let mut crates = Vec::new();
    for package in parsed.package {
        let span = package.span();
        let Package { name, version, source, checksum } = package.into_inner();
        let Some(source) = source else { continue };
        let what = format!("{} {}", excerpt(&name), excerpt(&version));
        let is_part = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_+.".contains(c))
        };
        if !is_part(&name) || !is_part(&version) || name.starts_with('.') {
            problem(
                span,
                format!("`{what}` is not a crate with its version"),
                "make the lock anew with cargo",
            );
            continue;
        }
        if !source.ends_with(DEFAULT_REGISTRY) {
            problem(
                span,
                format!(
                    "{what} is from {}, and kiln brings crates of cargo's default registry only",
                    excerpt(&source)
                ),
                "take it from there, or have its source in the workspace as an input of its own",
            );
            continue;
        }
        match checksum.as_deref().map(Digest::from_hex) {
            Some(Ok(checksum)) => crates.push(LockedCrate { name, version, checksum }),
            _ => problem(
                span,
                format!("{what} has no checksum, so nothing says what it is"),
                "make the lock anew with cargo",
            ),
        }
    }
    crates.sort();
    if problems.is_empty() { Ok(crates) } else { Err(problems) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(packages: &str) -> Result<Vec<LockedCrate>, String> {
        let text: Arc<str> = format!("version = 4\n\n{packages}").into();
        parse_cargo_lock("app/Cargo.lock", &text)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    fn package(name: &str, rest: &str) -> String {
        format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\n{rest}\n")
    }

    #[test]
    fn crates_are_known_by_their_checksum() {
        let sum = format!("checksum = \"{}\"", "a".repeat(64));
        let registry = "source = \"registry+https://example.org/crates.io-index\"\n";
        let crates = lock(
            &(package("own", "")
                + &package("b", &format!("{registry}{sum}"))
                + &package("a", &format!("{registry}{sum}"))),
        )
        .unwrap();
        assert_eq!(
            crates.iter().map(LockedCrate::file_name).collect::<Vec<_>>(),
            ["a-1.0.0.crate", "b-1.0.0.crate"]
        );
        let wrong = |rest: &str, says: &str| {
            let told = lock(&package("a", rest)).unwrap_err();
            assert!(told.contains("app/Cargo.lock:3") && told.contains(says), "{told}");
        };
        wrong(registry, "no checksum");
        wrong("source = \"git+https://example.org/a\"", "default registry only");
        assert!(lock(&package("../a", &format!("{registry}{sum}"))).unwrap_err().contains("is not a crate"));
        let old: Arc<str> = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\n".into();
        assert!(parse_cargo_lock("Cargo.lock", &old).unwrap_err()[0].message.contains("version"));
    }
}
