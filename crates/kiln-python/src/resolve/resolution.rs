//! What uv resolved, and the lock that `kiln lock ARTIFACT` writes of it: a requirements file with hashes
//! whose header says for which target and from which input it was made.

use crate::error::PythonError;
use crate::lock::LockHeader;
use kiln_record::{Digest, DistributionName};
use pep440_rs::Version;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// One distribution that was resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The distribution.
    pub name: DistributionName,
    /// The extras of it that are asked for, sorted.
    pub extras: Vec<String>,
    /// Its version.
    pub version: String,
    /// The digests of its files.
    pub hashes: BTreeSet<Digest>,
    /// Who asks for it.
    pub via: BTreeSet<String>,
    /// The index in `kiln.toml` that it is bound to, unless that is the default one.
    pub index: Option<String>,
}

/// Reads what `uv pip compile --generate-hashes --annotation-style split` wrote. `origins` are the names of
/// the inputs `0.in`, `1.in` and so on.
///
/// # Errors
/// [`PythonError::Resolution`] if a line has another form than expected: nothing is left out in silence.
pub fn read_resolution(text: &str, origins: &[String]) -> Result<Vec<Pinned>, PythonError> {
    let error = |line: &str| PythonError::Resolution { line: line.chars().take(200).collect() };
    let mut all: Vec<Pinned> = Vec::new();
    for line in text.lines() {
        let content = line.trim().trim_end_matches('\\').trim_end();
        if content.is_empty() {
            continue;
        }
        if let Some(hash) = content.strip_prefix("--hash=sha256:") {
            let last = all.last_mut().ok_or_else(|| error(line))?;
            last.hashes.insert(Digest::from_hex(hash).map_err(|_| error(line))?);
        } else if let Some(comment) = content.strip_prefix('#') {
            let reason = comment.trim();
            let reason = reason.strip_prefix("via").map_or(reason, str::trim);
            let (Some(last), false) = (all.last_mut(), reason.is_empty()) else { continue };
            if let Some(file) = reason.strip_prefix("-r ") {
                let number = file.strip_suffix(".in").and_then(|number| number.parse::<usize>().ok());
                let origin = number.and_then(|number| origins.get(number)).ok_or_else(|| error(line))?;
                last.via.insert(origin.clone());
            } else if !reason.starts_with('-') {
                last.via.insert(reason.to_owned());
            }
        } else if line.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            let (name, version) = content.split_once("==").ok_or_else(|| error(line))?;
            let (name, extras) = match name.split_once('[') {
                Some((name, extras)) => (name, extras.strip_suffix(']').ok_or_else(|| error(line))?),
                None => (name, ""),
            };
            Version::from_str(version).map_err(|_| error(line))?;
            all.push(Pinned {
                name: name.parse().map_err(|_| error(line))?,
                extras: extras.split(',').filter(|extra| !extra.is_empty()).map(str::to_owned).collect(),
                version: version.to_owned(),
                hashes: BTreeSet::new(),
                via: BTreeSet::new(),
                index: None,
            });
        } else {
            return Err(error(line));
        }
    }
    if let Some(without) = all.iter().find(|pinned| pinned.hashes.is_empty()) {
        return Err(error(&format!("{}=={} has no hash", without.name, without.version)));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// The text of a lock: the same for the same header and distributions, whatever their order.
#[must_use]
pub fn render_lock(header: &LockHeader, pinned: &[Pinned]) -> String {
    let mut text = header.to_string();
    let sorted: BTreeMap<&DistributionName, &Pinned> = pinned.iter().map(|one| (&one.name, one)).collect();
    for one in sorted.values() {
        let extras =
            if one.extras.is_empty() { String::new() } else { format!("[{}]", one.extras.join(",")) };
        text.push_str(&format!("{}{extras}=={}", one.name, one.version));
        for hash in &one.hashes {
            text.push_str(&format!(" \\\n    --hash=sha256:{}", hash.hex()));
        }
        text.push('\n');
        if let Some(index) = &one.index {
            text.push_str(&format!("    # index: {index}\n"));
        }
        let via: Vec<&str> = one.via.iter().map(String::as_str).collect();
        match via[..] {
            [] => {}
            [one] => text.push_str(&format!("    # via {one}\n")),
            _ => {
                text.push_str("    # via\n");
                via.iter().for_each(|by| text.push_str(&format!("    #   {by}\n")));
            }
        }
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{LockTarget, LockedIndex, parse_requirements};

    pub(crate) fn resolution() -> Vec<Pinned> {
        let text = format!(
            "uvicorn[standard]==0.30.0 \\\n    --hash=sha256:{b} \\\n    --hash=sha256:{a}\n    # via -r 0.in\n\
             click==8.1.7 \\\n    --hash=sha256:{a}\n    # via\n    #   -c constraints.txt\n    #   -r 1.in\n    #   uvicorn\n",
            a = "a".repeat(64),
            b = "b".repeat(64)
        );
        read_resolution(&text, &["app/r.in".to_owned(), "app/p.toml (group x y)".to_owned()]).unwrap()
    }

    pub(crate) fn header(declared: Digest) -> LockHeader {
        LockHeader {
            command: "kiln lock app".to_owned(),
            target: LockTarget { python: (3, 11), machine: "x86_64".to_owned(), glibc: (2, 26) },
            input: "app/r.in".to_owned(),
            declared,
            tool: "uv 1.2.3".to_owned(),
        }
    }

    #[test]
    fn the_index_of_a_distribution_is_written_and_read_back() {
        let mut pinned = resolution();
        pinned[0].index = Some("acme".to_owned());
        let text = render_lock(&header(Digest::of(b"")), &pinned);
        assert!(text.contains("\n    # index: acme\n    # via"), "{text}");
        let lock = parse_requirements("lock.txt", &text, &mut |_| None).unwrap();
        let indexes: Vec<&LockedIndex> = lock.distributions.iter().map(|one| &one.index).collect();
        assert_eq!(indexes, [&LockedIndex::Named("acme".to_owned()), &LockedIndex::Default]);
        // In a file that kiln did not write, silence says nothing.
        let without_header = text.split_once("click").map(|(_, rest)| format!("click{rest}")).unwrap();
        let lock = parse_requirements("lock.txt", &without_header, &mut |_| None).unwrap();
        assert_eq!(lock.distributions[0].index, LockedIndex::Named("acme".to_owned()));
        assert_eq!(lock.distributions[1].index, LockedIndex::Unsaid);
    }

    #[test]
    fn a_lock_is_written_in_one_way() {
        let header = header(Digest::of(b""));
        let text = render_lock(&header, &resolution());
        let expected = format!(
            "# Written by `kiln lock app`. Do not edit: run the command again.\n# kiln-lock: 1\n\
             # for: python 3.11 x86_64 glibc 2.26\n# from: app/r.in {}\n# with: uv 1.2.3\n\
             click==8.1.7 \\\n    --hash=sha256:{a}\n    # via\n    #   app/p.toml (group x y)\n    #   uvicorn\n\
             uvicorn[standard]==0.30.0 \\\n    --hash=sha256:{a} \\\n    --hash=sha256:{b}\n    # via app/r.in\n",
            Digest::of(b""),
            a = "a".repeat(64),
            b = "b".repeat(64)
        );
        assert_eq!(text, expected);
        let mut reversed = resolution();
        reversed.reverse();
        assert_eq!(render_lock(&header, &reversed), text);
        assert_eq!(LockHeader::read(&text), Some(Ok(header)));
        let lock = parse_requirements("app/r.txt", &text, &mut |_| None).unwrap();
        assert_eq!(lock.made_by.as_deref(), Some("kiln lock app"));
        assert_eq!(lock.distributions[1].extras, ["standard"]);
        assert_eq!(lock.distributions[1].files.len(), 2);
    }

    #[test]
    fn other_output_is_not_taken() {
        for text in [
            "six",
            "six==one",
            "    six==1",
            "--hash=sha256:00",
            "six==1\n",
            "-e .",
            "six==1 \\\n  # via -r 9.in",
        ] {
            assert!(read_resolution(text, &[]).is_err(), "{text}");
        }
        assert_eq!(read_resolution("# nothing\n", &[]).unwrap(), []);
    }

    #[test]
    fn headers_that_are_none() {
        assert_eq!(LockHeader::read("six==1\n"), None);
        assert_eq!(LockHeader::read("#\n# This file is autogenerated by pip-compile\n"), None);
        let text = render_lock(&header(Digest::of(b"")), &[]);
        for (from, to, part) in [
            ("# kiln-lock: 1", "# kiln-lock: 2", "format 2"),
            ("# for: python 3.11", "# for: ruby 3.11", "no target"),
            ("sha256:", "md5:", "no digest"),
            ("# with: uv 1.2.3\n", "", "`# with: …`"),
        ] {
            let error = LockHeader::read(&text.replace(from, to)).unwrap().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
