//! What differs in archives around the same content: fields that no reader of the content sees, and that change its digest.

use crate::deflate::Method;
use crate::limits::Limits;
use crate::zip_directory::{Directory, DirectoryEntry, Leading};
use crate::{BoundedTar, PackError, Result};
use kiln_record::HashingWriter;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek, SeekFrom};

/// The longest name in a tar in bytes, as on Linux.
const LONGEST_NAME: usize = 4096;

/// The field that says what stands before the first member of a zip: it may be a program.
pub const LEADING: &str = "bytes before the first member";
/// How much of that is shown, in bytes.
const FIRST_LINE: u64 = 80;

/// A field that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldDifference {
    /// Which: `time`, `order`, `compression`, `extra fields` and the like.
    pub field: &'static str,
    /// How many members it differs for; 0 for one of the archive itself.
    pub members: u64,
    /// The first of them, in path order.
    pub example: Option<String>,
    /// Its value there before.
    pub before: String,
    /// Its value there now.
    pub after: String,
}

/// The fields in which the containers of two zips differ. Members that only one of them has are content, and are not looked at,
/// but for entries of folders.
///
/// # Errors
/// [`PackError`] if one of the two is malformed.
pub fn zip_differences<R: Read + Seek>(
    mut before: R,
    mut after: R,
    limits: &Limits,
) -> Result<Vec<FieldDifference>> {
    let old = Directory::read(&mut before, limits, Leading::Allowed)?;
    let new = Directory::read(&mut after, limits, Leading::Allowed)?;
    let mut fields = Fields::default();
    fields.of_archive(LEADING, leading(&mut before, &old)?, leading(&mut after, &new)?);
    let names = |directory: &Directory| -> Vec<String> {
        directory.entries.iter().filter(|entry| !entry.is_folder()).map(|entry| entry.name.clone()).collect()
    };
    let folders = |directory: &Directory| directory.entries.iter().filter(|entry| entry.is_folder()).count();
    fields.of_archive("entries of folders", folders(&old).to_string(), folders(&new).to_string());
    let (old_names, new_names) = (names(&old), names(&new));
    let both: BTreeSet<&String> = new_names.iter().collect();
    let both: BTreeSet<&String> = old_names.iter().filter(|name| both.contains(name)).collect();
    let in_both = |names: &[String]| -> Vec<String> {
        names.iter().filter(|name| both.contains(name)).cloned().collect()
    };
    let (old_order, new_order) = (in_both(&old_names), in_both(&new_names));
    if let Some(at) = old_order.iter().zip(&new_order).position(|(a, b)| a != b) {
        let place = |name: &String| format!("{name} at place {}", at + 1);
        fields.of_archive("order", place(&old_order[at]), place(&new_order[at]));
    }
    let new: BTreeMap<&str, &DirectoryEntry> =
        new.entries.iter().map(|entry| (entry.name.as_str(), entry)).collect();
    let mut old: Vec<&DirectoryEntry> = old.entries.iter().filter(|entry| !entry.is_folder()).collect();
    old.sort_by(|a, b| a.name.cmp(&b.name));
    for a in old {
        if let Some(b) = new.get(a.name.as_str()) {
            members(&mut fields, a, b);
        }
    }
    Ok(fields.all)
}

/// What stands before the first member: how much, and its first line.
fn leading<R: Read + Seek>(reader: &mut R, directory: &Directory) -> Result<String> {
    if directory.leading == 0 {
        return Ok("none".to_owned());
    }
    reader.seek(SeekFrom::Start(0))?;
    let mut hasher = HashingWriter::new(io::sink());
    io::copy(&mut reader.take(directory.leading), &mut hasher)?;
    let (_, digest, size) = hasher.finish();
    reader.seek(SeekFrom::Start(0))?;
    let mut start = Vec::new();
    reader.take(directory.leading.min(FIRST_LINE)).read_to_end(&mut start)?;
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(format!("{size} bytes, {digest}, beginning with `{}`", line.escape_ascii()))
}

fn members(fields: &mut Fields, a: &DirectoryEntry, b: &DirectoryEntry) {
    let mut put = |field, before: String, after: String| fields.of_member(field, &a.name, before, after);
    let method = |entry: &DirectoryEntry| match entry.method {
        Method::Store => "stored".to_owned(),
        Method::Deflate => "deflated".to_owned(),
    };
    let size = |entry: &DirectoryEntry| format!("{} bytes", entry.compressed_size);
    put("time", dos_time(a.container.time), dos_time(b.container.time));
    put("compression", method(a), method(b));
    if a.method == b.method && a.size == b.size && a.crc32 == b.crc32 {
        put("compressed size", size(a), size(b));
    }
    put("permissions", format!("{:06o}", a.unix_mode), format!("{:06o}", b.unix_mode));
    let host = |entry: &DirectoryEntry| match (entry.container.versions >> 8) & 0xff {
        0 => "MS-DOS".to_owned(),
        3 => "Unix".to_owned(),
        10 => "NTFS".to_owned(),
        19 => "macOS".to_owned(),
        other => format!("number {other}"),
    };
    put("host system", host(a), host(b));
    let writer = |entry: &DirectoryEntry| (entry.container.versions & 0xff).to_string();
    put("version of the writer", writer(a), writer(b));
    let needed = |entry: &DirectoryEntry| (entry.container.versions >> 16).to_string();
    put("version that is needed", needed(a), needed(b));
    let extra = |entry: &DirectoryEntry| match &entry.container.extra[..] {
        [] => "none".to_owned(),
        ids => ids.iter().map(|id| format!("{id:#06x}")).collect::<Vec<_>>().join(" "),
    };
    put("extra fields", extra(a), extra(b));
    let flags = |entry: &DirectoryEntry| format!("{:#06x}", entry.flags);
    put("flags", flags(a), flags(b));
    let attributes = |entry: &DirectoryEntry| {
        format!("{} and {}", entry.container.internal_attributes, entry.container.dos_attributes)
    };
    put("attributes", attributes(a), attributes(b));
    let comment =
        |entry: &DirectoryEntry| (if entry.container.has_comment { "one" } else { "none" }).to_owned();
    put("comments", comment(a), comment(b));
}

/// The fields in which the entries of two tars differ.
///
/// # Errors
/// [`PackError`] if one of the two is damaged, or has more entries than are read.
pub fn tar_differences(before: impl Read, after: impl Read, limits: &Limits) -> Result<Vec<FieldDifference>> {
    let (old, new) = (tar_headers(before, limits)?, tar_headers(after, limits)?);
    let mut fields = Fields::default();
    let new_names: BTreeMap<&str, &TarHeader> =
        new.iter().map(|header| (header.name.as_str(), header)).collect();
    let old_names: BTreeSet<&str> = old.iter().map(|header| header.name.as_str()).collect();
    let (a, b) = (
        old.iter().filter(|header| new_names.contains_key(header.name.as_str())),
        new.iter().filter(|header| old_names.contains(header.name.as_str())),
    );
    if let Some((at, (a, b))) = a.zip(b).enumerate().find(|(_, (a, b))| a.name != b.name) {
        let place = |header: &TarHeader| format!("{} at place {}", header.name, at + 1);
        fields.of_archive("order", place(a), place(b));
    }
    let mut old: Vec<&TarHeader> = old.iter().collect();
    old.sort_by(|a, b| a.name.cmp(&b.name));
    for a in old {
        let Some(b) = new_names.get(a.name.as_str()) else { continue };
        for ((field, before), (_, after)) in a.fields.iter().zip(&b.fields) {
            fields.of_member(field, &a.name, before.clone(), after.clone());
        }
    }
    Ok(fields.all)
}

/// The fields in which the headers of two gzip streams differ (RFC 1952): of their first members, which is all that most have.
///
/// # Errors
/// [`PackError`] if one of the two is no gzip stream.
pub fn gzip_differences(before: &[u8], after: &[u8]) -> Result<Vec<FieldDifference>> {
    let (old, new) = (gzip_header(before)?, gzip_header(after)?);
    let mut fields = Fields::default();
    for ((field, a), (_, b)) in old.into_iter().zip(new) {
        fields.of_archive(field, a, b);
    }
    Ok(fields.all)
}

fn gzip_header(bytes: &[u8]) -> Result<[(&'static str, String); 6]> {
    let decoder = flate2::bufread::GzDecoder::new(bytes);
    let header =
        decoder.header().ok_or_else(|| PackError::malformed("the gzip stream", "it has no header"))?;
    let text = |bytes: Option<&[u8]>| {
        bytes.map_or("none".to_owned(), |text| kiln_record::excerpt(&String::from_utf8_lossy(text)))
    };
    let system = match header.operating_system() {
        0 => "FAT".to_owned(),
        3 => "Unix".to_owned(),
        255 => "not told".to_owned(),
        other => format!("number {other}"),
    };
    // The ninth byte tells of the compressor; the crate passes it over.
    let effort = bytes.get(8).map_or(String::new(), |byte| byte.to_string());
    let extra = header.extra().map_or("none".to_owned(), |extra| format!("{} bytes", extra.len()));
    Ok([
        ("time", header.mtime().to_string()),
        ("name", text(header.filename())),
        ("comment", text(header.comment())),
        ("extra field", extra),
        ("effort of the compressor", effort),
        ("system", system),
    ])
}

struct TarHeader {
    name: String,
    fields: Vec<(&'static str, String)>,
}

fn tar_headers(reader: impl Read, limits: &Limits) -> Result<Vec<TarHeader>> {
    let mut archive = BoundedTar::new(reader);
    let mut headers = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if headers.len() as u64 == limits.max_members {
            let (what, found) = ("number of members".to_owned(), limits.max_members + 1);
            return Err(PackError::Limit { what, found, limit: limits.max_members });
        }
        let extensions = match entry.pax_extensions()? {
            None => "none".to_owned(),
            Some(all) => {
                let keys: Vec<String> =
                    all.flatten().map(|one| String::from_utf8_lossy(one.key_bytes()).into_owned()).collect();
                kiln_record::excerpt(&keys.join(" "))
            }
        };
        let name = String::from_utf8_lossy(&entry.path_bytes()).trim_end_matches('/').to_owned();
        if name.len() > LONGEST_NAME {
            let what = "bytes of a name".to_owned();
            return Err(PackError::Limit { what, found: name.len() as u64, limit: LONGEST_NAME as u64 });
        }
        let header = entry.header();
        let text =
            |bytes: Option<&[u8]>| bytes.map_or(String::new(), |b| String::from_utf8_lossy(b).into_owned());
        let number =
            |value: std::io::Result<u64>| value.map_or("unreadable".to_owned(), |value| value.to_string());
        let format = match (header.as_gnu(), header.as_ustar()) {
            (Some(_), _) => "GNU",
            (None, Some(_)) => "ustar",
            (None, None) => "old",
        };
        let fields = vec![
            ("time", number(header.mtime())),
            ("mode", header.mode().map_or("unreadable".to_owned(), |mode| format!("{mode:04o}"))),
            ("owner", number(header.uid())),
            ("group", number(header.gid())),
            ("name of the owner", text(header.username_bytes())),
            ("name of the group", text(header.groupname_bytes())),
            ("format", format.to_owned()),
            ("extensions", extensions),
        ];
        headers.push(TarHeader { name, fields });
    }
    Ok(headers)
}

#[derive(Default)]
struct Fields {
    all: Vec<FieldDifference>,
}

impl Fields {
    fn of_archive(&mut self, field: &'static str, before: String, after: String) {
        if before != after {
            self.all.push(FieldDifference { field, members: 0, example: None, before, after });
        }
    }

    fn of_member(&mut self, field: &'static str, name: &str, before: String, after: String) {
        if before == after {
            return;
        }
        match self.all.iter_mut().find(|found| found.field == field && found.members > 0) {
            Some(found) => found.members += 1,
            None => {
                let example = Some(name.to_owned());
                self.all.push(FieldDifference { field, members: 1, example, before, after });
            }
        }
    }
}

/// A time of MS-DOS as people write it: seconds count by two, years from 1980.
fn dos_time(time: u32) -> String {
    let (date, time) = (time >> 16, time & 0xffff);
    format!(
        "{}-{:02}-{:02} {:02}:{:02}:{:02}",
        1980 + (date >> 9),
        (date >> 5) & 15,
        date & 31,
        time >> 11,
        (time >> 5) & 63,
        (time & 31) * 2
    )
}
