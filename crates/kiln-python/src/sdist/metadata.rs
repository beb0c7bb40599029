//! What a source distribution says it requires, before it is built.

use crate::wheel::parse_metadata;
use kiln_record::DistributionName;
use serde_json::json;

/// What a source distribution requires, by what its makers wrote into it when they made it. Only its wheel
/// says for sure: a build holds the wheel against the lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SdistMetadata {
    /// `Requires-Dist` values.
    pub requires_dist: Vec<String>,
    /// `Requires-Python`.
    pub requires_python: Option<String>,
    /// Extras that it offers.
    pub extras: Vec<String>,
}

/// Reads `PKG-INFO` and, where setuptools made the source distribution, `requires.txt` beside it in the
/// `.egg-info` folder: its `PKG-INFO` did not always have the requirements.
#[must_use]
pub fn sdist_metadata(pkg_info: Option<&str>, egg_requires: Option<&str>) -> SdistMetadata {
    let core = parse_metadata(pkg_info.unwrap_or_default());
    let mut metadata = SdistMetadata {
        requires_dist: core.requires_dist,
        requires_python: core.requires_python,
        extras: core.extras,
    };
    if metadata.requires_dist.is_empty()
        && let Some(text) = egg_requires
    {
        let (requires, extras) = parse_egg_requires(text);
        metadata.requires_dist = requires;
        metadata.extras.extend(extras);
        metadata.extras.sort();
        metadata.extras.dedup();
    }
    metadata
}

/// Reads `requires.txt`: requirements, then sections `[extra]`, `[:marker]` or `[extra:marker]`.
fn parse_egg_requires(text: &str) -> (Vec<String>, Vec<String>) {
    let (mut requires, mut extras) = (Vec::new(), Vec::new());
    let mut condition = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let (extra, marker) = section.split_once(':').unwrap_or((section, ""));
            let mut parts = Vec::new();
            if !marker.is_empty() {
                parts.push(format!("({marker})"));
            }
            if !extra.is_empty() {
                parts.push(format!("extra == '{extra}'"));
                extras.push(extra.to_owned());
            }
            condition = parts.join(" and ");
        } else if condition.is_empty() {
            requires.push(line.to_owned());
        } else {
            requires.push(format!("{line} ; {condition}"));
        }
    }
    (requires, extras)
}

/// The metadata as configuration of uv (`dependency-metadata`), so that it need not build to resolve. Strings
/// of JSON are strings of TOML, but for DELETE, which JSON writes as it is and TOML does not.
pub fn dependency_metadata<'a>(
    stated: impl IntoIterator<Item = (&'a DistributionName, &'a str, &'a SdistMetadata)>,
) -> String {
    let mut text = String::new();
    for (name, version, metadata) in stated {
        text.push_str(&format!(
            "[[dependency-metadata]]\nname = {}\nversion = {}\nrequires-dist = {}\nprovides-extra = {}\n",
            json!(name.as_str()),
            json!(version),
            json!(metadata.requires_dist),
            json!(metadata.extras)
        ));
        if let Some(python) = &metadata.requires_python {
            text.push_str(&format!("requires-python = {}\n", json!(python)));
        }
    }
    text.replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setuptools_says_it_in_a_file_of_its_own() {
        let egg = "six>=1\n\n[:python_version < \"3\"]\nenum34\n\n[test]\npytest\n\n[tls:sys_platform == \"win32\"]\nx\n";
        let metadata =
            sdist_metadata(Some("Metadata-Version: 1.1\nName: a\nRequires-Python: >=3.8\n"), Some(egg));
        assert_eq!(
            metadata.requires_dist,
            [
                "six>=1",
                "enum34 ; (python_version < \"3\")",
                "pytest ; extra == 'test'",
                "x ; (sys_platform == \"win32\") and extra == 'tls'",
            ]
        );
        assert_eq!((metadata.extras.len(), metadata.requires_python.as_deref()), (2, Some(">=3.8")));
        for line in &metadata.requires_dist {
            assert!(crate::specifier::Dependency::parse(line).is_ok(), "{line}");
        }
        let newer = sdist_metadata(Some("Metadata-Version: 2.1\nRequires-Dist: b\n"), Some("ignored\n"));
        assert_eq!(newer.requires_dist, ["b"]);
    }

    #[test]
    fn uv_is_told_in_toml() {
        let metadata = sdist_metadata(None, Some("six ; python_version > \"3\"\n"));
        let name: DistributionName = "a".parse().unwrap();
        let text = dependency_metadata([(&name, "1.0", &metadata)]);
        let table: toml::Table = text.parse().unwrap();
        let entry = &table["dependency-metadata"][0];
        assert_eq!(entry["name"].as_str(), Some("a"));
        assert_eq!(entry["requires-dist"][0].as_str(), Some("six ; python_version > \"3\""));
    }
}
