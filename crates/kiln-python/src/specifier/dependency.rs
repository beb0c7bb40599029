//! Dependency specifiers: `name[extra] >=1.0 ; marker` (packaging specification "dependency specifiers").

use super::marker::{Marker, normal_extra};
use super::version::accepts;
use crate::error::PythonError;
use kiln_record::DistributionName;
use pep440_rs::{Version, VersionSpecifiers};
use std::str::FromStr;

/// One dependency, as `Requires-Dist`, a requirements file or `[project] dependencies` writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dependency {
    /// The distribution it asks for.
    pub(crate) name: DistributionName,
    /// Its extras, in normal form, sorted.
    pub(crate) extras: Vec<String>,
    /// The versions it accepts; empty accepts all.
    pub(crate) specifiers: VersionSpecifiers,
    /// The direct reference after `@`, instead of versions.
    pub(crate) url: Option<String>,
    /// The marker as written, checked.
    pub(crate) marker: Option<String>,
}

impl Dependency {
    /// Whether it accepts a version.
    pub(crate) fn accepts(&self, version: &Version) -> bool {
        self.specifiers.iter().all(|specifier| accepts(specifier, version))
    }

    /// Reads one dependency specifier.
    ///
    /// # Errors
    /// [`PythonError::Dependency`] or [`PythonError::Marker`] for text that is none.
    pub(crate) fn parse(text: &str) -> Result<Self, PythonError> {
        let error =
            |reason: String| PythonError::Dependency { text: text.chars().take(200).collect(), reason };
        let rest = text.trim();
        let length =
            rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')).count();
        let name = rest[..length].parse::<DistributionName>().map_err(|e| error(e.to_string()))?;
        let mut rest = rest[length..].trim_start();

        let mut extras = Vec::new();
        if let Some(inside) = rest.strip_prefix('[') {
            let (list, after) =
                inside.split_once(']').ok_or_else(|| error("`[` is not closed".to_owned()))?;
            for extra in list.split(',').map(str::trim).filter(|e| !e.is_empty()) {
                let valid = extra.parse::<DistributionName>().is_ok();
                if !valid {
                    return Err(error(format!("`{extra}` is not the name of an extra")));
                }
                extras.push(normal_extra(extra));
            }
            extras.sort();
            extras.dedup();
            rest = after.trim_start();
        }

        if let Some(reference) = rest.strip_prefix('@') {
            // A URL may hold `;`, so the marker of a direct reference needs a space before it.
            let reference = reference.trim_start();
            let (url, marker) = match reference.find(" ;") {
                Some(at) => (reference[..at].trim_end(), Some(&reference[at + 2..])),
                None => (reference.trim_end(), None),
            };
            if url.is_empty() {
                return Err(error("there is nothing after `@`".to_owned()));
            }
            let marker = marker.map(checked_marker).transpose()?;
            return Ok(Self {
                name,
                extras,
                specifiers: VersionSpecifiers::empty(),
                url: Some(url.to_owned()),
                marker,
            });
        }

        let (versions, marker) = match rest.split_once(';') {
            Some((versions, marker)) => (versions.trim(), Some(marker)),
            None => (rest.trim_end(), None),
        };
        let versions = versions.strip_prefix('(').and_then(|v| v.strip_suffix(')')).unwrap_or(versions);
        let specifiers = VersionSpecifiers::from_str(versions).map_err(|e| {
            // The library's message spans several lines; its first says what is wrong.
            error(e.to_string().lines().next().unwrap_or("the versions cannot be read").to_owned())
        })?;
        Ok(Self { name, extras, specifiers, url: None, marker: marker.map(checked_marker).transpose()? })
    }
}

fn checked_marker(text: &str) -> Result<String, PythonError> {
    let text = text.trim();
    Marker::parse(text)?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found() {
        let d = Dependency::parse("Uvicorn[Standard, http_2] (>=0.20,<1) ; python_version < '4'").unwrap();
        assert_eq!(d.name.as_str(), "uvicorn");
        assert_eq!(d.extras, ["http-2", "standard"]);
        assert_eq!(d.specifiers.to_string(), ">=0.20, <1");
        assert_eq!(d.marker.as_deref(), Some("python_version < '4'"));
        let d = Dependency::parse("six").unwrap();
        assert!(d.specifiers.is_empty() && d.marker.is_none() && d.extras.is_empty());
        let d = Dependency::parse("a @ https://example.org/a.whl;x ; os_name == 'posix'").unwrap();
        assert_eq!(d.url.as_deref(), Some("https://example.org/a.whl;x"));
        assert_eq!(d.marker.as_deref(), Some("os_name == 'posix'"));
    }

    #[test]
    fn broken_ones_are_refused() {
        for text in
            ["", "==1", "a[", "a[b", "a[ü]", "a >", "a =1", "a ; ", "a ; x", "a @", "a b", "ü", "a (>=1"]
        {
            assert!(Dependency::parse(text).is_err(), "{text:?}");
        }
    }
}
