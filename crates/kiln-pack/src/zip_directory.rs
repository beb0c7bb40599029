//! The directory at the end of a zip, and the record that says where it is.

use crate::deflate::Method;
use crate::limits::Limits;
use crate::read_or::read_or;
use crate::zip_format::{
    CENTRAL_HEADER, CENTRAL_HEADER_SIZE, END, END_SIZE, EXTRA_UNICODE_PATH, EXTRA_ZIP64, Fields, MARKER_16,
    MARKER_32, TYPE_FILE, TYPE_FOLDER, TYPE_LINK, TYPE_MASK, ZIP64_END, ZIP64_END_SIZE, ZIP64_LOCATOR,
    ZIP64_LOCATOR_SIZE, flag, method,
};
use crate::{PackError, Result};
use kiln_record::TreePath;
use std::io::{Read, Seek, SeekFrom};

/// The largest directory that is read, in bytes: 200,000 members with names of 280 bytes.
const MAX_DIRECTORY: u64 = 64 << 20;

/// The whole directory.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Where it starts.
    pub(crate) offset: u64,
    /// Bytes before the first member, which belong to none.
    pub(crate) leading: u64,
    /// Its entries, folders included.
    pub(crate) entries: Vec<DirectoryEntry>,
}

/// What the directory says about one member.
#[derive(Debug)]
pub(crate) struct DirectoryEntry {
    /// The name as written; a folder's ends with a slash.
    pub(crate) name: String,
    /// The name as a path.
    pub(crate) path: TreePath,
    /// General purpose flags.
    pub(crate) flags: u16,
    pub(crate) method: Method,
    pub(crate) crc32: u32,
    pub(crate) compressed_size: u64,
    pub(crate) size: u64,
    /// Upper half of the external attributes.
    pub(crate) unix_mode: u32,
    /// Where the local header starts.
    pub(crate) header_offset: u64,
    /// What only whoever compares containers looks at.
    pub(crate) container: ContainerFields,
}

/// Whether bytes may stand before the first member: a shebang, or a program that unpacks what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leading {
    Refused,
    Allowed,
}

/// The fields of an entry that say nothing about its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContainerFields {
    /// Version of the writer, host system in the upper half, and the version that a reader needs.
    pub(crate) versions: u32,
    /// Time and date in the form of MS-DOS.
    pub(crate) time: u32,
    pub(crate) internal_attributes: u16,
    /// Lower half of the external attributes.
    pub(crate) dos_attributes: u16,
    /// Ids of extra fields, in their order.
    pub(crate) extra: Vec<u16>,
    pub(crate) has_comment: bool,
}

impl Directory {
    /// Finds and reads the directory.
    pub(crate) fn read<R: Read + Seek>(reader: &mut R, limits: &Limits, leading: Leading) -> Result<Self> {
        let place = find(reader, leading)?;
        if place.count > limits.max_members {
            return Err(PackError::Limit {
                what: "number of members".to_owned(),
                found: place.count,
                limit: limits.max_members,
            });
        }
        if place.size > MAX_DIRECTORY {
            return Err(PackError::Limit {
                what: "bytes of the zip's directory".to_owned(),
                found: place.size,
                limit: MAX_DIRECTORY,
            });
        }
        let mut bytes =
            vec![0; usize::try_from(place.size).map_err(|_| damaged("its directory is too large"))?];
        reader.seek(SeekFrom::Start(place.offset))?;
        read_or(reader, &mut bytes, || damaged("its directory is incomplete"))?;
        let mut fields = Fields(&bytes);
        let mut entries = Vec::new();
        for _ in 0..place.count {
            entries.push(DirectoryEntry::read(&mut fields, place.shift)?);
        }
        if !fields.0.is_empty() {
            return Err(damaged("its directory has more entries than its end record says"));
        }
        let first = entries.iter().map(|entry| entry.header_offset).min().unwrap_or(place.offset);
        let leading = if leading == Leading::Allowed { first } else { 0 };
        Ok(Self { offset: place.offset, leading, entries })
    }
}

struct Place {
    offset: u64,
    size: u64,
    count: u64,
    /// What is added to every offset: of an archive that something was put in front of, they count from its own first byte.
    shift: u64,
}

/// Finds the directory through the end record.
fn find<R: Read + Seek>(reader: &mut R, leading: Leading) -> Result<Place> {
    let length = reader.seek(SeekFrom::End(0))?;
    // The end record and the longest possible comment, and the ZIP64 locator before them.
    let tail_length = length.min((END_SIZE + usize::from(u16::MAX) + ZIP64_LOCATOR_SIZE) as u64);
    let tail_offset = length - tail_length;
    reader.seek(SeekFrom::Start(tail_offset))?;
    let mut tail = vec![0; usize::try_from(tail_length).unwrap_or(0)];
    read_or(reader, &mut tail, || damaged("it became shorter while it was read"))?;

    // Every place that could be the end record: the signature, and a comment that ends where the file ends.
    let mut candidates = (0..tail.len().saturating_sub(END_SIZE - 1)).filter(|&at| {
        let mut fields = Fields(&tail[at..]);
        fields.u32() == Some(END)
            && fields.take(END_SIZE - 6).is_some()
            && fields.u16().is_some_and(|comment| fields.0.len() == usize::from(comment))
    });
    let at = candidates.next().ok_or_else(|| damaged("it is not a zip, or its end is missing"))?;
    if candidates.next().is_some() {
        return Err(damaged("it has two end records, so that readers differ about its content"));
    }

    let short = || damaged("its end record is incomplete");
    let mut fields = Fields(&tail[at + 4..]);
    let disk = fields.u16().ok_or_else(short)?;
    let directory_disk = fields.u16().ok_or_else(short)?;
    let count_here = fields.u16().ok_or_else(short)?;
    let count = fields.u16().ok_or_else(short)?;
    let size = fields.u32().ok_or_else(short)?;
    let offset = fields.u32().ok_or_else(short)?;
    let end_offset = tail_offset + at as u64;

    let locator = at.checked_sub(ZIP64_LOCATOR_SIZE).map(|start| &tail[start..at]);
    let (place, directory_end) = match locator {
        Some(locator) if Fields(locator).u32() == Some(ZIP64_LOCATOR) => {
            let (wide, wide_offset) = find_wide(reader, locator, end_offset, leading)?;
            let agrees = (count == MARKER_16 || u64::from(count) == wide.count)
                && (size == MARKER_32 || u64::from(size) == wide.size)
                && (offset == MARKER_32 || u64::from(offset) == wide.offset);
            if !agrees {
                return Err(damaged("its two end records disagree"));
            }
            (wide, wide_offset)
        }
        _ => {
            if disk != 0 || directory_disk != 0 || count_here != count {
                return Err(damaged("it is one part of several"));
            }
            (Place { offset: offset.into(), size: size.into(), count: count.into(), shift: 0 }, end_offset)
        }
    };
    let not_there =
        || damaged("its directory does not reach from where its end record says to the end record");
    let shift = directory_end
        .checked_sub(place.size)
        .and_then(|start| start.checked_sub(place.offset))
        .filter(|shift| *shift == 0 || leading == Leading::Allowed)
        .ok_or_else(not_there)?;
    Ok(Place { offset: place.offset + shift, shift, ..place })
}

/// Reads the ZIP64 end record, which must lie directly before its locator.
fn find_wide<R: Read + Seek>(
    reader: &mut R,
    locator: &[u8],
    end_offset: u64,
    leading: Leading,
) -> Result<(Place, u64)> {
    let wrong = || damaged("its ZIP64 end record is not where its locator says, or not understood");
    let mut fields = Fields(locator);
    let (_signature, disk, offset, disks) = (fields.u32(), fields.u32(), fields.u64(), fields.u32());
    let offset = offset.ok_or_else(wrong)?;
    let expected = end_offset.checked_sub((ZIP64_LOCATOR_SIZE + ZIP64_END_SIZE) as u64);
    // A record with extensible data would be longer; nobody writes one.
    let is_there =
        |expected: &u64| *expected == offset || (leading == Leading::Allowed && *expected > offset);
    let offset = expected.filter(is_there).ok_or_else(wrong)?;
    if disk != Some(0) || disks != Some(1) {
        return Err(wrong());
    }
    reader.seek(SeekFrom::Start(offset))?;
    let mut record = [0; ZIP64_END_SIZE];
    read_or(reader, &mut record, wrong)?;
    let mut fields = Fields(&record);
    let signature = fields.u32();
    let record_size = fields.u64();
    let _versions = fields.u32();
    let disks = (fields.u32(), fields.u32());
    let count_here = fields.u64();
    let count = fields.u64().ok_or_else(wrong)?;
    let size = fields.u64().ok_or_else(wrong)?;
    let start = fields.u64().ok_or_else(wrong)?;
    // The size does not count its own field and the signature.
    let understood = signature == Some(ZIP64_END)
        && record_size == Some((ZIP64_END_SIZE - 12) as u64)
        && disks == (Some(0), Some(0))
        && count_here == Some(count);
    if understood { Ok((Place { offset: start, size, count, shift: 0 }, offset)) } else { Err(wrong()) }
}

impl DirectoryEntry {
    fn read(fields: &mut Fields<'_>, shift: u64) -> Result<Self> {
        let short = || damaged("its directory ends within an entry");
        let mut fixed = Fields(fields.take(CENTRAL_HEADER_SIZE).ok_or_else(short)?);
        if fixed.u32() != Some(CENTRAL_HEADER) {
            return Err(damaged("its directory holds something other than entries"));
        }
        let versions = fixed.u32().ok_or_else(short)?;
        let flags = fixed.u16().ok_or_else(short)?;
        let method_number = fixed.u16().ok_or_else(short)?;
        let time = fixed.u32().ok_or_else(short)?;
        let crc32 = fixed.u32().ok_or_else(short)?;
        let compressed_size = fixed.u32().ok_or_else(short)?;
        let size = fixed.u32().ok_or_else(short)?;
        let name_length = fixed.u16().ok_or_else(short)?;
        let extra_length = fixed.u16().ok_or_else(short)?;
        let comment_length = fixed.u16().ok_or_else(short)?;
        let disk = fixed.u16().ok_or_else(short)?;
        let internal_attributes = fixed.u16().ok_or_else(short)?;
        let external_attributes = fixed.u32().ok_or_else(short)?;
        let header_offset = fixed.u32().ok_or_else(short)?;
        let name = fields.take(usize::from(name_length)).ok_or_else(short)?;
        let extra = fields.take(usize::from(extra_length)).ok_or_else(short)?;
        fields.take(usize::from(comment_length)).ok_or_else(short)?;

        let name = decode_name(name, flags)?;
        let unsupported =
            |feature: &str| PackError::Unsupported { member: name.clone(), feature: feature.to_owned() };
        if flags & (flag::ENCRYPTED | flag::STRONG_ENCRYPTION | flag::MASKED) != 0 {
            return Err(unsupported("is encrypted"));
        }
        if flags & flag::PATCHED != 0 {
            return Err(unsupported("is a patch"));
        }
        let method = match method_number {
            method::STORE => Method::Store,
            method::DEFLATE => Method::Deflate,
            other => return Err(unsupported(&format!("is compressed by method {other}"))),
        };
        let mut entry = Self {
            path: TreePath::new(name.strip_suffix('/').unwrap_or(&name))?,
            flags,
            method,
            crc32,
            compressed_size: compressed_size.into(),
            size: size.into(),
            unix_mode: external_attributes >> 16,
            header_offset: header_offset.into(),
            container: ContainerFields {
                versions,
                time,
                internal_attributes,
                dos_attributes: external_attributes as u16,
                extra: extra_ids(extra),
                has_comment: comment_length > 0,
            },
            name,
        };
        entry.widen(extra, disk)?;
        entry.header_offset = entry
            .header_offset
            .checked_add(shift)
            .ok_or_else(|| PackError::malformed(entry.quoted(), "it begins beyond the end of the archive"))?;
        entry.check_unicode_path(extra)?;
        entry.check_kind()?;
        Ok(entry)
    }

    /// Replaces marker values by those of the ZIP64 field, which holds only what is marked, in this order (APPNOTE
    /// 4.5.3).
    fn widen(&mut self, extra: &[u8], disk: u16) -> Result<()> {
        let mut wide = Fields(self.extra_field(extra, EXTRA_ZIP64)?.unwrap_or_default());
        let place = self.quoted();
        let lacks =
            || PackError::malformed(place.as_str(), "the directory lacks the ZIP64 values that it announces");
        for value in [&mut self.size, &mut self.compressed_size, &mut self.header_offset] {
            if *value == u64::from(MARKER_32) {
                *value = wide.u64().ok_or_else(lacks)?;
            }
        }
        let disk = if disk == MARKER_16 { wide.u32().ok_or_else(lacks)? } else { disk.into() };
        if disk != 0 {
            return Err(PackError::malformed(place.as_str(), "it is in another part of the archive"));
        }
        Ok(())
    }

    /// Refuses members that are neither files, folders nor links, and sizes that their kind cannot have.
    fn check_kind(&self) -> Result<()> {
        let kind = self.unix_mode & TYPE_MASK;
        let consistent = if self.is_folder() {
            // The name makes it a folder for every reader, even where a careless writer gave it a file's type. An empty
            // deflate stream has two bytes.
            self.size == 0 && self.compressed_size <= 2 && matches!(kind, 0 | TYPE_FOLDER | TYPE_FILE)
        } else {
            matches!(kind, 0 | TYPE_FILE | TYPE_LINK)
        };
        if !consistent {
            let feature = "is neither a file nor a folder nor a symbolic link".to_owned();
            return Err(PackError::Unsupported { member: self.name.clone(), feature });
        }
        if self.method == Method::Store && self.size != self.compressed_size {
            return Err(PackError::malformed(self.quoted(), "it is stored, but its two sizes differ"));
        }
        Ok(())
    }

    pub(crate) fn is_folder(&self) -> bool {
        self.name.ends_with('/')
    }

    pub(crate) fn quoted(&self) -> String {
        format!("`{}`", self.path)
    }

    pub(crate) fn method_number(&self) -> u16 {
        match self.method {
            Method::Store => method::STORE,
            Method::Deflate => method::DEFLATE,
        }
    }

    /// The data of an extra field, if it is there. Twice is ambiguous.
    pub(crate) fn extra_field<'a>(&self, extra: &'a [u8], wanted: u16) -> Result<Option<&'a [u8]>> {
        let mut fields = Fields(extra);
        let mut found = None;
        while let Some(id) = fields.u16() {
            let data = fields.u16().and_then(|length| fields.take(length.into()));
            // Padding shorter than a field header is common and harmless; a field that runs over the end is neither.
            let Some(data) = data else {
                if id == 0 {
                    break;
                }
                return Err(PackError::malformed(self.quoted(), "its extra fields are damaged"));
            };
            if id == wanted && found.replace(data).is_some() {
                return Err(PackError::malformed(self.quoted(), "it has one extra field twice"));
            }
        }
        Ok(found)
    }

    /// Refuses a second name that is not the first: readers differ in which they use.
    pub(crate) fn check_unicode_path(&self, extra: &[u8]) -> Result<()> {
        match self.extra_field(extra, EXTRA_UNICODE_PATH)? {
            // One byte of version and a CRC of the name precede it.
            Some(data) if data.get(5..) != Some(self.name.as_bytes()) => {
                Err(PackError::malformed(self.quoted(), "it has a second name that differs"))
            }
            _ => Ok(()),
        }
    }
}

/// The ids of extra fields, as far as they can be told apart.
fn extra_ids(extra: &[u8]) -> Vec<u16> {
    let mut fields = Fields(extra);
    let mut ids = Vec::new();
    while let Some(id) = fields.u16() {
        if fields.u16().and_then(|length| fields.take(length.into())).is_none() {
            break;
        }
        ids.push(id);
    }
    ids
}

fn decode_name(name: &[u8], flags: u16) -> Result<String> {
    let shown = || format!("`{}`", name.escape_ascii());
    if !name.is_ascii() && flags & flag::UTF8 == 0 {
        return Err(PackError::malformed(shown(), "its name is not ASCII and not marked as UTF-8"));
    }
    match std::str::from_utf8(name) {
        Ok(name) => Ok(name.to_owned()),
        Err(_) => Err(PackError::malformed(shown(), "its name is marked as UTF-8, but is not")),
    }
}

fn damaged(reason: &str) -> PackError {
    PackError::malformed("the zip", reason)
}
