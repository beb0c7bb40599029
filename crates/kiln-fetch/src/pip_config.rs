//! pip's configuration files: where they are, and the index they name.
//!
//! Source: pip's documentation, "Configuration", and `configparser` in raw mode for the syntax.

use crate::FetchError;
use crate::index_setting::{IndexSetting, index_setting, is_true};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The files that pip would read on this host (Linux locations), the strongest last. They need not exist.
///
/// System files, then the user's, then the active virtual environment's, then `PIP_CONFIG_FILE`. A set
/// `PIP_CONFIG_FILE` replaces the user's files, and `/dev/null` there means that no file is read. The file beside a
/// Python installation is not known without running that Python.
#[must_use]
pub fn pip_config_paths(env: &BTreeMap<String, String>, home: Option<&Path>) -> Vec<PathBuf> {
    let variable = |name: &str| env.get(name).filter(|text| !text.is_empty());
    let explicit = variable("PIP_CONFIG_FILE");
    if explicit.is_some_and(|path| path == "/dev/null") {
        return Vec::new();
    }
    let mut paths: Vec<PathBuf> = variable("XDG_CONFIG_DIRS")
        .map_or("/etc/xdg", String::as_str)
        .split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join("pip/pip.conf"))
        .collect();
    paths.push(PathBuf::from("/etc/pip.conf"));
    if explicit.is_none() {
        paths.extend(home.map(|home| home.join(".pip/pip.conf")));
        let folder = variable("XDG_CONFIG_HOME").map(PathBuf::from).or(home.map(|home| home.join(".config")));
        paths.extend(folder.map(|folder| folder.join("pip/pip.conf")));
    }
    paths.extend(variable("VIRTUAL_ENV").map(|folder| Path::new(folder).join("pip.conf")));
    paths.extend(explicit.map(PathBuf::from));
    paths
}

/// The index that the files name; the strongest file is the last. `[install]` in any file is stronger than
/// `[global]` in any other, because pip joins its files before it orders the sections.
pub(crate) fn index(files: &[(String, String)]) -> Result<Option<IndexSetting>, FetchError> {
    let (mut url, mut no_index) = (None, None);
    for section in ["install", "global"] {
        for (path, text) in files.iter().rev() {
            for entry in entries(path, text)?.into_iter().rev().filter(|e| e.section == section) {
                let from = format!("{path}, line {}, [{section}] {}", entry.line, entry.key);
                match entry.key.as_str() {
                    "index-url" if url.is_none() => url = Some((entry.value, from)),
                    "no-index" if no_index.is_none() => no_index = Some((is_true(&entry.value), from)),
                    _ => {}
                }
            }
        }
    }
    if let Some((true, from)) = no_index {
        return Err(FetchError::NoIndex { from });
    }
    url.map(|(text, from)| index_setting(&text, from)).transpose()
}

/// Where the files name further indexes. A file that cannot be read is told of by [`index`].
pub(crate) fn further(files: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files {
        let entries = entries(path, text).unwrap_or_default();
        let further = entries.iter().filter(|entry| {
            matches!(entry.section.as_str(), "global" | "install") && entry.key == "extra-index-url"
        });
        found.extend(further.map(|e| format!("{path}, line {}, [{}] {}", e.line, e.section, e.key)));
    }
    found
}

struct Entry {
    section: String,
    key: String,
    value: String,
    line: usize,
}

/// Reads the entries with a value. Keys are as pip normalises them: lower case, `-` for `_`, without leading `--`.
fn entries(path: &str, text: &str) -> Result<Vec<Entry>, FetchError> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut section: Option<String> = None;
    let mut continues = false;
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let error = |why: &str| FetchError::Setting {
            from: format!("{path}, line {}", number + 1),
            why: why.to_owned(),
        };
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with(|c: char| c.is_whitespace()) && continues {
            if let Some(last) = entries.last_mut() {
                if !last.value.is_empty() {
                    last.value.push('\n');
                }
                last.value.push_str(content);
            }
        } else if let Some(inner) = content.strip_prefix('[').and_then(|inner| inner.split(']').next()) {
            section = Some(inner.to_owned());
            continues = false;
        } else {
            let section = section.clone().ok_or_else(|| error("a key comes before any [section]"))?;
            let (key, value) = content
                .split_once(['=', ':'])
                .ok_or_else(|| error("it is neither a [section] nor `key = value`"))?;
            let key = key.trim().to_ascii_lowercase().replace('_', "-");
            let key = key.strip_prefix("--").unwrap_or(&key).to_owned();
            entries.push(Entry { section, key, value: value.trim().to_owned(), line: number + 1 });
            continues = true;
        }
    }
    entries.retain(|entry| !entry.value.is_empty());
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str], expect: &str) {
        let files: Vec<(String, String)> =
            files.iter().enumerate().map(|(i, text)| (format!("f{i}"), (*text).to_owned())).collect();
        let text = match index(&files) {
            Ok(Some(setting)) => format!("{} from {}", setting.url, setting.from),
            Ok(None) => "nothing".to_owned(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(text, expect);
    }

    #[test]
    fn sections_and_files_have_an_order() {
        let global = "[global]\nindex-url = https://g.example/\n";
        let install = "; c\n[install]\n--Index_URL: https://i.example/\n";
        check(&[global], "https://g.example/ from f0, line 2, [global] index-url");
        check(&[install, global], "https://i.example/ from f0, line 3, [install] index-url");
        check(
            &[global, "[global]\nindex-url=https://h.example/"],
            "https://h.example/ from f1, line 2, [global] index-url",
        );
        check(
            &[global, "[global]\nindex-url=\n[download]\nindex-url=https://no.example/"],
            "https://g.example/ from f0, line 2, [global] index-url",
        );
        check(
            &["[global]\nindex-url =\n  https://g.example/\n"],
            "https://g.example/ from f0, line 2, [global] index-url",
        );
        check(&["[global]\ncert = /etc/ssl/certs/ca.crt\n", ""], "nothing");
    }

    #[test]
    fn problems_are_located_and_not_quoted() {
        check(
            &["index-url = https://u:p@g.example/"],
            "error: the setting f0, line 1 is not usable: a key comes before any [section]",
        );
        check(
            &["[global]\nhunter2"],
            "error: the setting f0, line 2 is not usable: it is neither a [section] nor `key = value`",
        );
        check(
            &["[global]\nno-index = yes\nindex-url=https://g.example/"],
            "error: f0, line 2, [global] no-index says that no package index is to be used",
        );
    }

    #[test]
    fn paths_follow_pip() {
        let env = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
        };
        let home = Some(Path::new("/home/a"));
        let shown = |env: &BTreeMap<String, String>| -> Vec<String> {
            pip_config_paths(env, home).iter().map(|path| path.display().to_string()).collect()
        };
        assert_eq!(
            shown(&env(&[])),
            [
                "/etc/xdg/pip/pip.conf",
                "/etc/pip.conf",
                "/home/a/.pip/pip.conf",
                "/home/a/.config/pip/pip.conf"
            ]
        );
        assert_eq!(
            shown(&env(&[("XDG_CONFIG_HOME", "/c"), ("XDG_CONFIG_DIRS", "/x:/y"), ("VIRTUAL_ENV", "/v")])),
            [
                "/x/pip/pip.conf",
                "/y/pip/pip.conf",
                "/etc/pip.conf",
                "/home/a/.pip/pip.conf",
                "/c/pip/pip.conf",
                "/v/pip.conf"
            ]
        );
        assert_eq!(
            shown(&env(&[("PIP_CONFIG_FILE", "/p.conf")])),
            ["/etc/xdg/pip/pip.conf", "/etc/pip.conf", "/p.conf"]
        );
        assert!(shown(&env(&[("PIP_CONFIG_FILE", "/dev/null")])).is_empty());
    }
}
