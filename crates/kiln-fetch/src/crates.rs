//! The crates registry that the host's cargo is configured for, and where it keeps the archives of crates.
//!
//! Source: The Cargo Book, "Source Replacement" and "Registry Index", there "Index Configuration".

use kiln_record::Digest;
use std::path::{Path, PathBuf};
use toml::{Table, Value};
use url::Url;

/// The longest chain of replaced sources that is followed.
const DEEPEST: usize = 8;

/// Where crates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrateSetting {
    /// The place.
    pub place: CratePlace,
    /// Who says so, for messages.
    pub from: String,
}

/// A registry of crates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CratePlace {
    /// The `dl` of a registry's `config.json`.
    Downloads(String),
    /// A sparse index, whose `config.json` says it.
    Index(Url),
}

/// The configuration files of cargo for a home folder of its own, the strongest last.
#[must_use]
pub fn cargo_config_paths(cargo_home: &Path) -> Vec<PathBuf> {
    vec![cargo_home.join("config"), cargo_home.join("config.toml")]
}

/// What configures the registry: a variable with a `dl` template, a source replacement in cargo's configuration files, or
/// the `config.json` that cargo keeps of the index that it uses.
///
/// # Errors
/// What cannot be understood, as a message.
pub fn configured_crates(
    variable: Option<(&str, &str)>,
    configs: &[(String, String)],
    kept: &[(String, String)],
) -> Result<Option<CrateSetting>, String> {
    if let Some((name, template)) = variable {
        let place = CratePlace::Downloads(template.to_owned());
        return Ok(Some(CrateSetting { place, from: name.to_owned() }));
    }
    for (path, text) in configs.iter().rev() {
        let document: Table = toml::from_str(text).map_err(|error| format!("{path}: {}", error.message()))?;
        if let Some(index) = replacement(&document).map_err(|error| format!("{path}: {error}"))? {
            return Ok(Some(CrateSetting { place: CratePlace::Index(index), from: path.clone() }));
        }
    }
    Ok(kept.iter().find_map(|(path, text)| {
        let place = CratePlace::Downloads(downloads_of(text.as_bytes())?);
        Some(CrateSetting { place, from: path.clone() })
    }))
}

/// The index that replaces the default registry in a configuration file.
fn replacement(document: &Table) -> Result<Option<Url>, String> {
    let table = |key: &str, name: &str| document.get(key)?.get(name)?.as_table();
    let text = |table: &Table, key: &str| table.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut name = "crates-io".to_owned();
    for _ in 0..DEEPEST {
        let source = table("source", &name);
        if let Some(next) = source.and_then(|source| text(source, "replace-with")) {
            name = next;
            continue;
        }
        let registry = source.and_then(|source| text(source, "registry"));
        let index = registry.or_else(|| text(table("registries", &name)?, "index"));
        return match index {
            None if name == "crates-io" => Ok(None),
            None => Err(format!("the source `{name}` that replaces crates-io has no `registry`")),
            Some(index) => match index.strip_prefix("sparse+") {
                Some(url) => {
                    let url = if url.ends_with('/') { url.to_owned() } else { format!("{url}/") };
                    url.parse().map(Some).map_err(|error| format!("the source `{name}`: {error}"))
                }
                None => Err(format!("the source `{name}` is no sparse index, and kiln reads no other")),
            },
        };
    }
    Err("its sources replace each other".to_owned())
}

/// The `dl` of an index's `config.json`.
#[must_use]
pub fn downloads_of(config: &[u8]) -> Option<String> {
    let json: serde_json::Value = serde_json::from_slice(config).ok()?;
    Some(json.get("dl")?.as_str()?.to_owned())
}

/// Where the archive of a crate is, by a `dl` template.
///
/// # Errors
/// If that is no URL.
pub fn crate_url(
    template: &str,
    name: &str,
    version: &str,
    checksum: &Digest,
) -> Result<Url, url::ParseError> {
    let marks = ["{crate}", "{version}", "{prefix}", "{lowerprefix}", "{sha256-checksum}"];
    if !marks.iter().any(|mark| template.contains(mark)) {
        return format!("{}/{name}/{version}/download", template.trim_end_matches('/')).parse();
    }
    let prefix = prefix(name);
    template
        .replace("{crate}", name)
        .replace("{version}", version)
        .replace("{prefix}", &prefix)
        .replace("{lowerprefix}", &prefix.to_lowercase())
        .replace("{sha256-checksum}", &checksum.hex())
        .parse()
}

/// The folder of a crate in an index.
fn prefix(name: &str) -> String {
    let part = |range: std::ops::Range<usize>| name.get(range).unwrap_or_default();
    match name.len() {
        0 => String::new(),
        1 => "1".to_owned(),
        2 => "2".to_owned(),
        3 => format!("3/{}", part(0..1)),
        _ => format!("{}/{}", part(0..2), part(2..4)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Option<CrateSetting>, String> {
        configured_crates(None, &[("config.toml".to_owned(), text.to_owned())], &[])
    }

    #[test]
    fn the_registry_is_the_one_that_cargo_uses() {
        let found = config(
            "[source.crates-io]\nreplace-with = 'mirror'\n[source.mirror]\nregistry = 'sparse+http://127.0.0.1/index'\n",
        );
        let place = found.unwrap().unwrap().place;
        assert_eq!(place, CratePlace::Index("http://127.0.0.1/index/".parse().unwrap()));
        assert_eq!(config("[net]\nretry = 2\n").unwrap(), None);
        assert!(
            config("[source.crates-io]\nreplace-with = 'crates-io'\n").unwrap_err().contains("each other")
        );
        assert!(config("[source.crates-io]\nreplace-with = 'x'\n").unwrap_err().contains("`x`"));
        assert!(config("not toml").unwrap_err().contains("config.toml"));
        let kept = [("config.json".to_owned(), "{\"dl\": \"http://127.0.0.1/dl\"}".to_owned())];
        let setting = configured_crates(None, &[], &kept).unwrap().unwrap();
        assert_eq!(setting.place, CratePlace::Downloads("http://127.0.0.1/dl".to_owned()));
        let setting =
            configured_crates(Some(("VARIABLE", "http://127.0.0.1/v")), &[], &kept).unwrap().unwrap();
        assert_eq!(setting.from, "VARIABLE");
    }

    #[test]
    fn archives_are_where_the_template_says() {
        let digest = Digest::of(b"");
        let url = |template: &str| crate_url(template, "Serde_json", "1.0.1", &digest).unwrap().to_string();
        assert_eq!(url("http://127.0.0.1/dl/"), "http://127.0.0.1/dl/Serde_json/1.0.1/download");
        let marked = url("http://127.0.0.1/{prefix}/{lowerprefix}/{crate}-{version}?{sha256-checksum}");
        assert_eq!(marked, format!("http://127.0.0.1/Se/rd/se/rd/Serde_json-1.0.1?{}", digest.hex()));
        assert_eq!((prefix("a"), prefix("abc")), ("1".to_owned(), "3/a".to_owned()));
    }
}
