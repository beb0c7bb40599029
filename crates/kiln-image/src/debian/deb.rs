//! Binary packages: an `ar` archive of a control and a data tarball (deb(5)).

use super::control::single;
use super::xz::xz_reader;
use crate::ImageError;
use flate2::read::GzDecoder;
use kiln_pack::BoundedTar;
use kiln_record::{Mode, TreePath, excerpt};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Read};

/// Unpacked bytes of one package. Debian's largest packages have some 3 GB; no base needs one of those.
const UNPACKED_LIMIT: u64 = 2 << 30;
/// Bytes of the control tarball, unpacked, and of its `control` file.
const CONTROL_LIMIT: u64 = 16 << 20;
/// Entries of the data tarball.
const ENTRY_LIMIT: usize = 200_000;

/// An unpacked package.
#[derive(Debug)]
pub(crate) struct Deb {
    /// The text of its control file: one paragraph, ending in a line feed.
    pub(crate) control: String,
    /// What it installs, in the order of the archive.
    pub(crate) entries: Vec<DebEntry>,
    /// Paths of files whose set-user-ID or set-group-ID bit was dropped.
    pub(crate) privileged: Vec<TreePath>,
}

/// Something that a package installs.
#[derive(Debug)]
pub(crate) struct DebEntry {
    /// Where, relative to the root.
    pub(crate) path: TreePath,
    /// What.
    pub(crate) kind: DebEntryKind,
}

#[derive(Debug)]
pub(crate) enum DebEntryKind {
    Directory,
    File { content: Vec<u8>, mode: Mode },
    Symlink { target: String },
    Hardlink { target: TreePath },
}

/// Reads a package from a stream. `place` says where a path goes, or `None` for what is left out; the content of what
/// is left out is not kept. The error is a fragment.
pub(crate) fn read_deb(
    mut reader: impl Read,
    place: &dyn Fn(&TreePath) -> Result<Option<TreePath>, String>,
) -> Result<Deb, String> {
    let mut magic = [0; 8];
    reader.read_exact(&mut magic).map_err(|error| format!("it has no archive header: {error}"))?;
    if &magic != b"!<arch>\n" {
        return Err("it is not an ar archive".to_owned());
    }
    let mut is_first = true;
    let mut control = None;
    let mut data = None;
    while let Some((name, size)) = read_member_header(&mut reader)? {
        let mut member = (&mut reader).take(size);
        if is_first {
            let mut version = Vec::new();
            (&mut member).take(64).read_to_end(&mut version).map_err(|e| e.to_string())?;
            if name != "debian-binary" || !version.starts_with(b"2.") {
                return Err("its first member is not `debian-binary` with format 2".to_owned());
            }
            is_first = false;
        } else if let Some(compression) = name.strip_prefix("control.tar") {
            if control.is_some() {
                return Err("it has two control members".to_owned());
            }
            control = Some(read_control(decompressor(compression, &mut member, CONTROL_LIMIT)?)?);
        } else if let Some(compression) = name.strip_prefix("data.tar") {
            if control.is_none() || data.is_some() {
                return Err("its members are not one control and one data member in this order".to_owned());
            }
            data = Some(read_data(decompressor(compression, &mut member, UNPACKED_LIMIT)?, place)?);
        } else if !name.starts_with('_') {
            // Names with an underscore are the reserved place for additions (deb(5)).
            return Err(format!("its member `{}` is unknown", excerpt(&name)));
        }
        io::copy(&mut member, &mut io::sink()).map_err(|e| e.to_string())?;
        if member.limit() != 0 {
            return Err(format!("it ends inside `{name}`"));
        }
        if size % 2 == 1 {
            io::copy(&mut (&mut reader).take(1), &mut io::sink()).map_err(|e| e.to_string())?;
        }
    }
    match (control, data) {
        (Some(control), Some((entries, privileged))) => Ok(Deb { control, entries, privileged }),
        _ => Err("it lacks its control or its data member".to_owned()),
    }
}

/// The files, links and folders that a package lists and that are wanted, sorted. `label` is what it is called in errors.
///
/// # Errors
/// [`ImageError::Package`] if it is malformed.
pub fn listed_files(
    label: &str,
    reader: impl Read,
    is_wanted: &dyn Fn(&TreePath) -> bool,
) -> Result<Vec<TreePath>, ImageError> {
    let listed = RefCell::new(BTreeSet::new());
    // Nothing is placed anywhere, so that no content is kept.
    let place = |path: &TreePath| {
        if is_wanted(path) {
            listed.borrow_mut().insert(path.clone());
        }
        Ok(None)
    };
    read_deb(reader, &place).map_err(|reason| ImageError::Package { package: label.to_owned(), reason })?;
    Ok(listed.into_inner().into_iter().collect())
}

/// Name and size of the next `ar` member; `None` at the end.
fn read_member_header(reader: &mut impl Read) -> Result<Option<(String, u64)>, String> {
    let mut header = Vec::new();
    reader.take(60).read_to_end(&mut header).map_err(|e| e.to_string())?;
    if header.is_empty() {
        return Ok(None);
    }
    if header.len() != 60 || &header[58..] != b"`\n" {
        return Err("a member header is damaged".to_owned());
    }
    let text = |range: std::ops::Range<usize>| str::from_utf8(&header[range]).map(str::trim).ok();
    let name = text(0..16).map(|name| name.strip_suffix('/').unwrap_or(name).to_owned());
    let size = text(48..58).and_then(|size| size.parse().ok());
    name.zip(size).map(Some).ok_or_else(|| "a member header is damaged".to_owned())
}

fn decompressor<'r>(
    suffix: &str,
    member: &'r mut dyn Read,
    limit: u64,
) -> Result<Limited<Box<dyn Read + 'r>>, String> {
    let inner: Box<dyn Read + 'r> = match suffix {
        "" => Box::new(member),
        ".gz" => Box::new(GzDecoder::new(member)),
        ".xz" => Box::new(xz_reader(member).map_err(|e| e.to_string())?),
        other => return Err(format!("kiln does not read members compressed as `{}`", excerpt(other))),
    };
    Ok(Limited { inner, left: limit })
}

/// The `control` file of the control tarball; maintainer scripts and the rest are not read.
fn read_control(tarball: impl Read) -> Result<String, String> {
    let mut archive = BoundedTar::new(tarball);
    for entry in archive.entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| format!("the control tarball is damaged: {e}"))?;
        if entry.header().entry_type().is_file() && matches!(&*entry.path_bytes(), b"./control" | b"control")
        {
            let mut text = String::new();
            entry.read_to_string(&mut text).map_err(|e| format!("cannot read the control file: {e}"))?;
            // Reading it as control data here keeps a malformed file out of the package database.
            single("control", &text).map_err(|e| e.to_string())?;
            return Ok(format!("{}\n", text.trim_matches('\n')));
        }
    }
    Err("the control tarball has no control file".to_owned())
}

type Data = (Vec<DebEntry>, Vec<TreePath>);

fn read_data(
    tarball: impl Read,
    place: &dyn Fn(&TreePath) -> Result<Option<TreePath>, String>,
) -> Result<Data, String> {
    let mut entries = Vec::new();
    let mut privileged = Vec::new();
    let mut count = 0;
    let mut archive = BoundedTar::new(tarball);
    for entry in archive.entries().map_err(|e| e.to_string())? {
        let mut entry = entry.map_err(|e| format!("the data tarball is damaged: {e}"))?;
        count += 1;
        if count > ENTRY_LIMIT {
            return Err(format!("it has more than {ENTRY_LIMIT} entries"));
        }
        let Some(path) = tree_path(&entry.path_bytes())? else { continue };
        let damaged = |what: &dyn std::fmt::Display| format!("`{path}` is damaged: {what}");
        let kind = entry.header().entry_type();
        let bits = entry.header().mode().map_err(|e| damaged(&e))?;
        let link = entry.link_name_bytes().map(|name| name.into_owned());
        let Some(placed) = place(&path)? else { continue };
        let kind = match kind {
            tar::EntryType::Directory => DebEntryKind::Directory,
            tar::EntryType::Regular => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(|e| damaged(&e))?;
                if bits & 0o6000 != 0 {
                    privileged.push(placed.clone());
                }
                DebEntryKind::File { content, mode: Mode::from_bits(bits) }
            }
            tar::EntryType::Symlink => {
                let target = link.and_then(|l| String::from_utf8(l).ok()).filter(|target| {
                    (1..=4096).contains(&target.len()) && !target.chars().any(char::is_control)
                });
                DebEntryKind::Symlink {
                    target: target.ok_or_else(|| damaged(&"its link target is malformed"))?,
                }
            }
            tar::EntryType::Link => {
                let target = tree_path(&link.unwrap_or_default())?;
                let target = target.ok_or_else(|| damaged(&"it is a hard link to the root"))?;
                let target = place(&target)?
                    .ok_or_else(|| damaged(&format!("it is a hard link to `{target}`, which is left out")))?;
                DebEntryKind::Hardlink { target }
            }
            other => return Err(damaged(&format!("entries of the type {other:?} are not installed"))),
        };
        entries.push(DebEntry { path: placed, kind });
    }
    Ok((entries, privileged))
}

/// The path of a tar entry: `./usr/bin/x`; `None` for the root itself.
fn tree_path(bytes: &[u8]) -> Result<Option<TreePath>, String> {
    let text =
        str::from_utf8(bytes).map_err(|_| format!("the path `{}` is not UTF-8", bytes.escape_ascii()))?;
    let text = text.strip_prefix("./").unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() || text == "." {
        return Ok(None);
    }
    TreePath::new(text).map(Some).map_err(|error| error.to_string())
}

/// A reader that fails where a plain `take` would end without a word.
struct Limited<R> {
    inner: R,
    left: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("it unpacks to more bytes than kiln allows")),
        }
        Ok(n)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;

    /// What a test package installs.
    pub(crate) enum Item<'a> {
        Dir(&'a str),
        File(&'a str, u32, &'a [u8]),
        Symlink(&'a str, &'a str),
        Hardlink(&'a str, &'a str),
        Device(&'a str),
    }

    fn tarball(items: &[Item<'_>]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for item in items {
            let mut header = tar::Header::new_gnu();
            let (path, kind, mode, link, content): (_, _, _, _, &[u8]) = match item {
                Item::Dir(path) => (path, tar::EntryType::Directory, 0o755, "", b""),
                Item::File(path, mode, content) => (path, tar::EntryType::Regular, *mode, "", content),
                Item::Symlink(path, target) => (path, tar::EntryType::Symlink, 0o777, target, b""),
                Item::Hardlink(path, target) => (path, tar::EntryType::Link, 0o644, target, b""),
                Item::Device(path) => (path, tar::EntryType::Char, 0o666, "", b""),
            };
            // Written into the header directly: the tar crate refuses to write the hostile names that are tested here.
            let old = header.as_old_mut();
            old.name[..path.len()].copy_from_slice(path.as_bytes());
            old.linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(content.len() as u64);
            header.set_mtime(7);
            header.set_cksum();
            builder.append(&header, content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn member(name: &str, content: &[u8]) -> Vec<u8> {
        let mut out =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).into_bytes();
        out.extend(content);
        if content.len() % 2 == 1 {
            out.push(b'\n');
        }
        out
    }

    fn xz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// Makes a `.deb`.
    pub(crate) fn deb(name: &str, version: &str, items: &[Item<'_>]) -> Vec<u8> {
        let control =
            format!("Package: {name}\nVersion: {version}\nArchitecture: amd64\nDescription: test\n");
        let control = tarball(&[Item::File("./control", 0o644, control.as_bytes())]);
        [
            b"!<arch>\n".to_vec(),
            member("debian-binary", b"2.0\n"),
            member("control.tar.xz", &xz(&control)),
            member("data.tar.xz", &xz(&tarball(items))),
        ]
        .concat()
    }

    fn read(bytes: &[u8]) -> Result<Deb, String> {
        read_deb(bytes, &|path| Ok(Some(path.clone())))
    }

    #[test]
    fn entries_of_every_kind() {
        let bytes = deb(
            "a",
            "1",
            &[
                Item::Dir("./"),
                Item::Dir("./usr/"),
                Item::File("./usr/x", 0o4755, b"x"),
                Item::Symlink("./usr/l", "../x"),
                Item::Hardlink("./usr/h", "./usr/x"),
            ],
        );
        let deb = read(&bytes).unwrap();
        assert!(deb.control.starts_with("Package: a\n"));
        let paths: Vec<&str> = deb.entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["usr", "usr/x", "usr/l", "usr/h"]);
        assert!(
            matches!(&deb.entries[3].kind, DebEntryKind::Hardlink { target } if target.as_str() == "usr/x")
        );
        assert_eq!(deb.privileged.len(), 1);
    }

    #[test]
    fn hostile_entries_are_refused() {
        for (item, part) in [
            (Item::File("../x", 0o644, b""), "`..`"),
            (Item::File("/etc/x", 0o644, b""), "absolute"),
            (Item::File("./a/../../x", 0o644, b""), "`..`"),
            (Item::File("a\nb", 0o644, b""), "control character"),
            (Item::Symlink("./l", ""), "link target"),
            (Item::Hardlink("./l", "../../etc/shadow"), "`..`"),
            (Item::Device("./null"), "not installed"),
        ] {
            let error = read(&deb("a", "1", &[item])).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn damaged_archives_are_refused() {
        let good = deb("a", "1", &[Item::File("./x", 0o644, b"content")]);
        assert!(read(&good).is_ok());
        for length in [0, 7, 8, 30, 68, 70, 75, 200, good.len() / 2, good.len() - 5] {
            assert!(read(&good[..length]).is_err(), "{length}");
        }
        let magic = b"!<arch>\n".to_vec();
        let binary = member("debian-binary", b"2.0\n");
        for members in [
            vec![],
            vec![member("debian-binary", b"3.0\n")],
            vec![member("control.tar", b"")],
            vec![binary.clone(), member("data.tar", &[])],
            vec![binary.clone(), member("control.tar", &[0; 1024])],
            vec![binary.clone(), member("control.tar.zst", &[])],
            vec![binary, member("other", &[])],
        ] {
            assert!(read(&[vec![magic.clone()], members].concat().concat()).is_err());
        }
    }

    /// Checksums of the tar headers keep names, modes and targets; the content has the lock's digest.
    #[test]
    fn no_byte_flip_changes_where_files_go() {
        let good = deb("a", "1", &[Item::File("./x", 0o644, b"content"), Item::Symlink("./l", "x")]);
        let places = |deb: &Deb| deb.entries.iter().map(|entry| entry.path.clone()).collect::<Vec<_>>();
        let expected = places(&read(&good).unwrap());
        let mut refused = 0;
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x15;
            match read(&bad) {
                Ok(deb) => assert_eq!(places(&deb), expected, "byte {at}"),
                Err(reason) => {
                    assert!(!reason.is_empty() && reason.len() < 300, "byte {at}: {reason}");
                    refused += 1;
                }
            }
        }
        assert!(refused > 300, "{refused} of {}", good.len());
    }
}
