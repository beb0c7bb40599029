//! apt's source lists: which Debian mirrors this host is configured for.
//!
//! Source: `sources.list(5)`, both the one-line style (`*.list`) and the deb822 style (`*.sources`).

use crate::redacted;
use std::fmt;
use url::Url;

/// A copy of the Debian archive.
#[derive(Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Its root, the folder that holds `dists` and `pool`; it may hold credentials.
    pub url: Url,
    /// Where the setting came from, for messages.
    pub from: String,
}

impl fmt::Debug for Mirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mirror").field("url", &redacted(&self.url)).field("from", &self.from).finish()
    }
}

/// The mirrors of the main Debian archive that apt is configured for, in the order of file names and lines, each once.
///
/// An entry counts if it is enabled, is for binary packages, has the component `main`, has a suite that is not a
/// security suite, and its URI is `http`, `https` or `file` with a path that ends in `/debian`. Other entries are
/// third parties' or other archives, and lines that apt would refuse are left to apt to report.
///
/// `sources` holds paths, for messages and to tell the two styles apart, and texts.
#[must_use]
pub fn apt_mirrors(sources: &[(String, String)]) -> Vec<Mirror> {
    let mut files: Vec<&(String, String)> = sources.iter().collect();
    files.sort();
    let mut mirrors: Vec<Mirror> = Vec::new();
    for (path, text) in files {
        let entries = if path.ends_with(".sources") { deb822(text) } else { one_line(text) };
        for entry in entries.iter().filter(|entry| entry.is_main_archive()) {
            for mut url in entry.uris.iter().filter_map(|uri| archive_url(uri)) {
                if !url.path().ends_with('/') {
                    url.set_path(&format!("{}/", url.path()));
                }
                if mirrors.iter().all(|known| known.url != url) {
                    mirrors.push(Mirror { url, from: format!("{path}, line {}", entry.line) });
                }
            }
        }
    }
    mirrors
}

#[derive(Default)]
struct Entry<'a> {
    line: usize,
    binary: bool,
    disabled: bool,
    uris: Vec<&'a str>,
    suites: Vec<&'a str>,
    components: Vec<&'a str>,
}

impl Entry<'_> {
    fn is_main_archive(&self) -> bool {
        self.binary
            && !self.disabled
            && self.components.contains(&"main")
            // A suite that ends in a slash is a flat repository; security lives in an archive of its own.
            && self.suites.iter().any(|suite| {
                !suite.ends_with('/') && !suite.ends_with("-security") && !suite.contains("/updates")
            })
    }
}

fn archive_url(uri: &str) -> Option<Url> {
    let url = Url::parse(uri).ok()?;
    let main = matches!(url.scheme(), "http" | "https" | "file")
        && url.path().trim_end_matches('/').ends_with("/debian")
        && url.query().is_none();
    main.then_some(url)
}

fn one_line(text: &str) -> Vec<Entry<'_>> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| one_line_entry(line).map(|entry| Entry { line: index + 1, ..entry }))
        .collect()
}

fn one_line_entry(line: &str) -> Option<Entry<'_>> {
    let line = line.split('#').next().unwrap_or_default().trim_start();
    let (kind, rest) = line.split_once(|c: char| c.is_whitespace())?;
    let rest = rest.trim_start();
    let rest = match rest.strip_prefix('[') {
        Some(options) => options.split_once(']')?.1,
        None => rest,
    };
    let mut words = rest.split_whitespace();
    Some(Entry {
        line: 0,
        binary: kind == "deb",
        disabled: false,
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
    })
}

fn deb822(text: &str) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    let mut current = Entry::default();
    let mut field = String::new();
    for (index, line) in text.lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            entries.push(std::mem::take(&mut current));
            field.clear();
            continue;
        }
        let value = if line.starts_with([' ', '\t']) {
            line
        } else {
            let Some((name, value)) = line.split_once(':') else { continue };
            field = name.trim().to_ascii_lowercase();
            value
        };
        if current.line == 0 {
            current.line = index + 1;
        }
        let words = value.split_whitespace();
        match field.as_str() {
            "types" => current.binary |= words.into_iter().any(|word| word == "deb"),
            "enabled" => {
                current.disabled = words
                    .into_iter()
                    .any(|word| matches!(word.to_ascii_lowercase().as_str(), "no" | "false" | "0" | "off"));
            }
            "uris" => current.uris.extend(words),
            "suites" => current.suites.extend(words),
            "components" => current.components.extend(words),
            _ => {}
        }
    }
    entries.push(current);
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sources: &[(&str, &str)], expect: &[&str]) {
        let sources: Vec<(String, String)> =
            sources.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        let found: Vec<String> =
            apt_mirrors(&sources).iter().map(|mirror| format!("{} {}", mirror.url, mirror.from)).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn deb822_stanzas() {
        let text = "# c\nTypes: deb deb-src\nURIs: http://mirror.example/debian\n  https://second.example/debian/\nSuites: bookworm bookworm-updates\nComponents: main contrib\nSigned-By:\n -----BEGIN\n .\n x\n\nTypes: deb\nURIs: http://mirror.example/debian-security\nSuites: bookworm-security\nComponents: main\n\nTypes: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\nTypes: deb-src\nURIs: http://source.example/debian\nSuites: bookworm\nComponents: main\n";
        check(
            &[("debian.sources", text)],
            &[
                "http://mirror.example/debian/ debian.sources, line 2",
                "https://second.example/debian/ debian.sources, line 2",
            ],
        );
    }

    #[test]
    fn one_line_entries() {
        let text = "# deb http://no.example/debian bookworm main\ndeb [arch=amd64 signed-by=/k.gpg] https://u:p@mirror.example/debian bookworm main # c\ndeb-src http://a.example/debian bookworm main\ndeb http://third.example/repo stable main\ndeb http://b.example/debian bookworm contrib\ndeb http://c.example/debian bookworm/updates main\ndeb http://d.example/debian bookworm-security main\ndeb cdrom:[x]/debian bookworm main\ndeb http://e.example/debian ./\ndeb\ndeb [ x\n";
        check(&[("sources.list", text)], &["https://u:p@mirror.example/debian/ sources.list, line 2"]);
    }

    #[test]
    fn order_follows_the_file_names_and_repeats_are_dropped() {
        let line = |host: &str| format!("deb http://{host}.example/debian bookworm main\n");
        check(
            &[("z.list", &line("z")), ("a.list", &(line("a") + &line("z")))],
            &["http://a.example/debian/ a.list, line 1", "http://z.example/debian/ a.list, line 2"],
        );
        check(&[], &[]);
    }

    #[test]
    fn credentials_are_not_in_debug() {
        let mirrors =
            apt_mirrors(&[("x.list".into(), "deb http://u:hunter2@m.example/debian b main".into())]);
        assert!(!format!("{mirrors:?}").contains("hunter2"));
        assert_eq!(mirrors.len(), 1);
    }
}
