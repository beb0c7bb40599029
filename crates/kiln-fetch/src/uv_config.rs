//! uv's configuration files: where they are, and the index they name.
//!
//! Source: uv's documentation, "Configuration files" and "Package indexes".

use crate::FetchError;
use crate::index_setting::{IndexSetting, index_setting, is_true};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The files that uv would read outside a project (Linux locations), the strongest last. They need not exist.
///
/// `UV_CONFIG_FILE` replaces all others, and `UV_NO_CONFIG` switches them off. A project's own `uv.toml` or
/// `pyproject.toml` is stronger than these; whoever knows the project adds it at the end.
#[must_use]
pub fn uv_config_paths(env: &BTreeMap<String, String>, home: Option<&Path>) -> Vec<PathBuf> {
    let variable = |name: &str| env.get(name).filter(|text| !text.is_empty());
    if variable("UV_NO_CONFIG").is_some_and(|text| is_true(text)) {
        return Vec::new();
    }
    if let Some(path) = variable("UV_CONFIG_FILE") {
        return vec![PathBuf::from(path)];
    }
    let mut paths = vec![PathBuf::from("/etc/uv/uv.toml")];
    // Of several system files uv reads the first it finds: the strongest is last here.
    let folders = variable("XDG_CONFIG_DIRS").map_or("/etc/xdg", String::as_str);
    paths.extend(
        folders.split(':').rev().filter(|folder| !folder.is_empty()).map(|f| Path::new(f).join("uv/uv.toml")),
    );
    let user = variable("XDG_CONFIG_HOME").map(PathBuf::from).or(home.map(|home| home.join(".config")));
    paths.extend(user.map(|folder| folder.join("uv/uv.toml")));
    paths
}

/// The index that the files name; the strongest file is the last.
pub(crate) fn index(files: &[(String, String)]) -> Result<Option<IndexSetting>, FetchError> {
    for (path, text) in files.iter().rev() {
        if let Some(setting) = index_of_file(path, text)? {
            return Ok(Some(setting));
        }
    }
    Ok(None)
}

/// Where the files name further indexes. A file that cannot be read is told of by [`index`].
pub(crate) fn further(files: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files {
        let Ok(document) = toml::from_str::<Table>(text) else { continue };
        let is_project = Path::new(path).file_name().is_some_and(|name| name == "pyproject.toml");
        let table = match is_project {
            true => document.get("tool").and_then(|tool| tool.get("uv")).and_then(Value::as_table),
            false => Some(&document),
        };
        let Some(table) = table else { continue };
        let is_further = |index: &Value| index.get("default").and_then(Value::as_bool) != Some(true);
        if table.get("index").and_then(Value::as_array).is_some_and(|all| all.iter().any(is_further)) {
            found.push(format!("{path}, [[index]]"));
        }
        let pip = table.get("pip").and_then(Value::as_table);
        for (shown, holder) in [("extra-index-url", Some(table)), ("[pip] extra-index-url", pip)] {
            if holder.is_some_and(|holder| holder.contains_key("extra-index-url")) {
                found.push(format!("{path}, {shown}"));
            }
        }
    }
    found
}

fn index_of_file(path: &str, text: &str) -> Result<Option<IndexSetting>, FetchError> {
    let document: Table = toml::from_str(text).map_err(|error| {
        // Only the message: the error's own text quotes the line, which may hold a password.
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        FetchError::Setting {
            from: format!("{path}, line {line}"),
            why: format!("it is no TOML: {}", error.message()),
        }
    })?;
    let table = if Path::new(path).file_name().is_some_and(|name| name == "pyproject.toml") {
        match document.get("tool").and_then(|tool| tool.get("uv")).and_then(Value::as_table) {
            Some(table) => table,
            None => return Ok(None),
        }
    } else {
        &document
    };
    if table.get("no-index").and_then(Value::as_bool) == Some(true) {
        return Err(FetchError::NoIndex { from: format!("{path}, no-index") });
    }
    let default = table.get("index").and_then(Value::as_array).and_then(|indexes| {
        indexes.iter().find(|index| index.get("default").and_then(Value::as_bool) == Some(true))
    });
    let candidates = [
        ("[[index]] url", "url", default.and_then(|index| index.get("url"))),
        ("index-url", "index-url", table.get("index-url")),
        ("[pip] index-url", "index-url", table.get("pip").and_then(|pip| pip.get("index-url"))),
    ];
    for (shown, key, value) in candidates {
        let Some(value) = value else { continue };
        let line = value.as_str().and_then(|value| line_of_value(text, key, value));
        let from = match line {
            Some(line) => format!("{path}, line {line}, {shown}"),
            None => format!("{path}, {shown}"),
        };
        return match value.as_str() {
            Some(value) => index_setting(value, from).map(Some),
            None => Err(FetchError::Setting { from, why: "it is not a text".to_owned() }),
        };
    }
    Ok(None)
}

/// The line on which a key has a value, for messages; `None` if it is written in an unusual way.
fn line_of_value(text: &str, key: &str, value: &str) -> Option<usize> {
    text.lines().position(|line| line.trim_start().starts_with(key) && line.contains(value)).map(|i| i + 1)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&c| c == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)], expect: &str) {
        let files: Vec<(String, String)> =
            files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let text = match index(&files) {
            Ok(Some(setting)) => format!("{} from {}", setting.url, setting.from),
            Ok(None) => "nothing".to_owned(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(text, expect);
    }

    #[test]
    fn keys_and_files_have_an_order() {
        let all = "index-url = 'https://b.example/'\n[pip]\nindex-url = 'https://c.example/'\n[[index]]\nurl = 'https://x.example/'\n[[index]]\nurl = 'https://a.example/'\ndefault = true\n";
        check(&[("uv.toml", all)], "https://a.example/ from uv.toml, line 7, [[index]] url");
        let without_default = all.replace("default = true", "explicit = true");
        check(&[("uv.toml", &without_default)], "https://b.example/ from uv.toml, line 1, index-url");
        let pip_only = "[pip]\nindex-url = 'https://c.example/'\n";
        check(&[("uv.toml", pip_only)], "https://c.example/ from uv.toml, line 2, [pip] index-url");
        check(
            &[("a/uv.toml", all), ("b/uv.toml", pip_only)],
            "https://c.example/ from b/uv.toml, line 2, [pip] index-url",
        );
        check(&[("uv.toml", "offline = true\n")], "nothing");
    }

    #[test]
    fn a_project_keeps_its_settings_in_a_table() {
        let text = "index-url = 'https://no.example/'\n[tool.uv]\nindex-url = 'https://a.example/'\n";
        check(&[("/x/pyproject.toml", text)], "https://a.example/ from /x/pyproject.toml, line 3, index-url");
        check(&[("/x/pyproject.toml", "[project]\nname = 'x'\n")], "nothing");
    }

    #[test]
    fn problems_are_located_and_not_quoted() {
        let files = [("uv.toml".to_owned(), "a = 1\nindex-url = 'https://u:hunter2@a.example/\n".to_owned())];
        let error = index(&files).unwrap_err().to_string();
        assert!(error.contains("uv.toml, line 2"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        check(
            &[("uv.toml", "index-url = 1\n")],
            "error: the setting uv.toml, index-url is not usable: it is not a text",
        );
        check(
            &[("uv.toml", "no-index = true\n")],
            "error: uv.toml, no-index says that no package index is to be used",
        );
    }

    #[test]
    fn paths_follow_uv() {
        let env = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let shown = |pairs: &[(&str, &str)]| -> Vec<String> {
            uv_config_paths(&env(pairs), Some(Path::new("/home/a")))
                .iter()
                .map(|p| p.display().to_string())
                .collect()
        };
        assert_eq!(shown(&[]), ["/etc/uv/uv.toml", "/etc/xdg/uv/uv.toml", "/home/a/.config/uv/uv.toml"]);
        assert_eq!(shown(&[("UV_CONFIG_FILE", "/u.toml")]), ["/u.toml"]);
        assert!(shown(&[("UV_NO_CONFIG", "1")]).is_empty());
        assert_eq!(
            shown(&[("XDG_CONFIG_DIRS", "/x:/y"), ("XDG_CONFIG_HOME", "/c")]),
            ["/etc/uv/uv.toml", "/y/uv/uv.toml", "/x/uv/uv.toml", "/c/uv/uv.toml"]
        );
    }
}
