//! Which files git tracks, by its index (git documentation, "index format", versions 2 to 4).

use std::collections::BTreeSet;

/// The mode of an entry that is another repository.
const GITLINK: u32 = 0o160_000;
/// The longest path in bytes, as on Linux, and the most that all of them are together.
const MAX_PATH: usize = 4096;
const MAX_PATHS: usize = 256 << 20;

/// What a repository tracks: paths relative to its working tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracked {
    files: BTreeSet<String>,
    /// Other repositories, whose files are theirs.
    links: BTreeSet<String>,
}

impl Tracked {
    /// Reads an index whose object names have `hash` bytes: 20, or 32 in a repository of SHA-256.
    ///
    /// # Errors
    /// What is wrong with it, or which of its forms is not understood.
    pub fn of_index(bytes: &[u8], hash: usize) -> Result<Self, String> {
        const SHORT: &str = "git's index ends too early";
        let number = |at: usize| -> Result<u32, String> {
            let four = bytes.get(at..at + 4).and_then(|four| <[u8; 4]>::try_from(four).ok());
            four.map(u32::from_be_bytes).ok_or_else(|| SHORT.to_owned())
        };
        if bytes.get(..4) != Some(b"DIRC") {
            return Err("git's index does not begin as one".to_owned());
        }
        let version = number(4)?;
        if !(2..=4).contains(&version) {
            return Err(format!("git's index has version {version}, of which kiln knows 2 to 4"));
        }
        let mut tracked = Self::default();
        let mut total = 0;
        let mut at = 12;
        let mut name: Vec<u8> = Vec::new();
        for _ in 0..number(8)? {
            let start = at;
            let mode = number(at + 24)?;
            let flags_at = at + 40 + hash;
            let flags = bytes.get(flags_at..flags_at + 2).ok_or(SHORT)?;
            at = flags_at + if flags[0] & 0x40 != 0 && version >= 3 { 4 } else { 2 };
            if version == 4 {
                let (strip, next) = prefix_length(bytes, at).ok_or(SHORT)?;
                name.truncate(
                    name.len().checked_sub(strip).ok_or("git's index has a name before its start")?,
                );
                at = next;
            } else {
                name.clear();
            }
            let end =
                bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == 0)).ok_or(SHORT)?;
            name.extend_from_slice(&bytes[at..at + end]);
            at = match version {
                4 => at + end + 1,
                _ => start + (at + end - start + 8) / 8 * 8,
            };
            total += name.len();
            if name.len() > MAX_PATH || total > MAX_PATHS {
                return Err("git's index has longer names than a file system".to_owned());
            }
            // A name that is no text is of no file that can be packed.
            if let Ok(path) = std::str::from_utf8(&name) {
                let set = if mode == GITLINK { &mut tracked.links } else { &mut tracked.files };
                set.insert(path.to_owned());
            }
        }
        while let Some(extension) = bytes.get(at..at + 4) {
            if at + hash >= bytes.len() {
                break;
            }
            if extension == b"link" {
                return Err("git's index is split over two files".to_owned());
            }
            at = at.saturating_add(8).saturating_add(number(at + 4)? as usize);
        }
        Ok(tracked)
    }

    /// Whether git tracks a file.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.files.contains(path) || path.match_indices('/').any(|(end, _)| self.links.contains(&path[..end]))
    }

    /// Whether git tracks anything in a folder, or the file itself.
    #[must_use]
    pub fn has_below(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        self.has(path)
            || self.files.range(folder.clone()..).next().is_some_and(|file| file.starts_with(&folder))
    }
}

/// How many bytes of the name before are not of this one, and where the rest of it begins.
fn prefix_length(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut byte = *bytes.get(at)?;
    let mut length = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        at += 1;
        byte = *bytes.get(at)?;
        length = length.checked_add(1)?.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
    }
    Some((length, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index of a version with these entries, and a checksum that nobody reads.
    fn index(version: u32, entries: &[(&str, u32)]) -> Vec<u8> {
        let mut bytes = b"DIRC".to_vec();
        bytes.extend(version.to_be_bytes());
        bytes.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
        let mut before = 0;
        for (name, mode) in entries {
            let start = bytes.len();
            bytes.extend([0; 24]);
            bytes.extend(mode.to_be_bytes());
            bytes.extend([0; 12 + 20]);
            bytes.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
            if version == 4 {
                bytes.push(before);
                before = u8::try_from(name.len()).unwrap();
            }
            bytes.extend(name.as_bytes());
            bytes.push(0);
            while version < 4 && !(bytes.len() - start).is_multiple_of(8) {
                bytes.push(0);
            }
        }
        bytes.extend([0; 20]);
        bytes
    }

    #[test]
    fn every_version_is_read() {
        let entries = [("a.py", 0o100_644), ("lib/b.py", 0o100_755), ("sub", GITLINK)];
        for version in 2..=4 {
            let tracked = Tracked::of_index(&index(version, &entries), 20).unwrap();
            assert!(tracked.has("a.py") && tracked.has("lib/b.py") && tracked.has("sub/any.py"), "{version}");
            assert!(!tracked.has("b.py") && !tracked.has("lib"), "{version}");
            assert!(tracked.has_below("lib") && !tracked.has_below("li"), "{version}");
        }
    }

    #[test]
    fn what_is_no_index_is_an_error() {
        let whole = index(2, &[("a.py", 0o100_644)]);
        for bad in [&b""[..], b"DIRC", b"PACK\0\0\0\x02\0\0\0\0", &whole[..40], &index(5, &[])] {
            assert!(Tracked::of_index(bad, 20).is_err(), "{bad:?}");
        }
        let mut split = index(2, &[]);
        split.splice(12..12, *b"link\0\0\0\0");
        assert!(Tracked::of_index(&split, 20).is_err_and(|error| error.contains("split")));
    }

    /// Names of version 4 begin with the one before: few bytes can say many.
    #[test]
    fn names_are_bounded_one_by_one_and_together() {
        let long = "a/".repeat(2047);
        let entries = vec![(format!("{long}b"), 0o100_644), (format!("{long}c"), 0o100_644)];
        let bytes = |entries: &[(String, u32)], repeated: usize| {
            let mut bytes = b"DIRC\0\0\0\x04".to_vec();
            bytes.extend(u32::try_from(entries.len() + repeated).unwrap().to_be_bytes());
            let mut entry = |strip: u8, name: &[u8]| {
                bytes.extend([0; 62]);
                bytes.push(strip);
                bytes.extend(name);
                bytes.push(0);
            };
            let mut first = true;
            for (name, _) in entries {
                entry(0, if first { name.as_bytes() } else { b"" });
                first = false;
            }
            for _ in 0..repeated {
                entry(1, b"d");
            }
            bytes
        };
        assert!(Tracked::of_index(&bytes(&entries, 2), 20).unwrap().has(&format!("{long}d")));
        let many = bytes(&entries, MAX_PATHS / 4095);
        assert!(many.len() < 8 << 20, "{} bytes say {MAX_PATHS}", many.len());
        for bad in [many, bytes(&[(format!("{long}bcd"), 0)], 0)] {
            let error = Tracked::of_index(&bad, 20).unwrap_err();
            assert!(error.contains("longer names"), "{error}");
        }
    }
}
