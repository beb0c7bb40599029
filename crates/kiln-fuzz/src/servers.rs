//! What servers answer, and the configuration files of the host's other tools.

use crate::invariant::holds;
use crate::sections::sections;
use kiln_fetch::{
    IndexSources, Response, Url, apt_mirrors, configured_crates, configured_index, crate_url, downloads_of,
    further_indexes, index_files,
};
use kiln_record::Digest;
use std::collections::BTreeMap;

/// Pages of a package index, as JSON where they begin with a brace and as HTML elsewhere: files have names that are names
/// of files, and URLs that may be followed and hold no login.
pub fn index_page(data: &[u8]) {
    let kind = if data.trim_ascii_start().starts_with(b"{") { "application/json" } else { "text/html" };
    let url = holds("https://me:secret@index.example.org/simple/demo/".parse::<Url>(), "a URL");
    let response = Response { bytes: data.to_vec(), final_url: url, content_type: Some(kind.to_owned()) };
    let files = match index_files(&response) {
        Ok(files) => files,
        Err(error) => {
            assert!(!error.to_string().contains("me:secret"), "{error}");
            return;
        }
    };
    assert!(files.is_sorted_by(|a, b| (&a.file_name, a.url.as_str()) <= (&b.file_name, b.url.as_str())));
    for file in &files {
        assert!(!file.file_name.contains(['/', '\\']) && !matches!(file.file_name.as_str(), "" | "." | ".."));
        assert!(matches!(file.url.scheme(), "http" | "https"), "{:?}", file.url.as_str());
        assert!(file.url.username().is_empty() && file.url.password().is_none(), "{:?}", file.url.as_str());
        assert!(file.url.fragment().is_none());
        assert!(!format!("{file:?}").contains("secret@"));
    }
}

/// Configuration files of pip, uv, apt and cargo, each section being one of the name that decides how it is read.
pub fn host_settings(data: &[u8]) {
    let files: Vec<(String, String)> =
        sections(data).into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
    let ending = |endings: &[&str]| -> Vec<(String, String)> {
        files
            .iter()
            .filter(|(name, _)| endings.iter().any(|ending| name.ends_with(ending)))
            .cloned()
            .collect()
    };
    let (pip, uv) = (ending(&["pip.conf"]), ending(&["uv.toml", "pyproject.toml"]));
    let env = BTreeMap::new();
    let sources = IndexSources { env: &env, pip_config: &pip, uv_config: &uv };
    let _ = configured_index(&sources);
    let _ = further_indexes(&sources);
    for mirror in apt_mirrors(&ending(&[".sources", ".list"])) {
        assert!(mirror.url.path().ends_with('/'), "a mirror is a folder");
    }
    let _ = configured_crates(None, &ending(&["config.toml"]), &ending(&["config.json"]));
    for (_, text) in ending(&["config.json"]) {
        if let Some(template) = downloads_of(text.as_bytes()) {
            let _ = crate_url(&template, "demo", "1.0.0", &Digest::of(b""));
        }
    }
}
