//! Reads zips from elsewhere.
//!
//! A zip says everything twice, in its directory and in the header before each member, and tolerant readers differ in
//! which they believe and in what they skip. An archive on which readers could disagree is refused here: headers and
//! directory must agree, members must follow each other without gap or overlap from the first byte to the directory, and
//! the directory must reach to the end record.

use crate::deflate::{Framed, Method};
use crate::limits::{Budget, Limits};
use crate::path_guard::PathGuard;
use crate::read_or::read_or;
use crate::zip_directory::{Directory, DirectoryEntry, Leading};
use crate::zip_format::{DATA_DESCRIPTOR, Fields, LOCAL_HEADER, LOCAL_HEADER_SIZE, MARKER_32, flag};
use crate::zip_format::{EXTRA_ZIP64, TYPE_FILE, TYPE_LINK, TYPE_MASK};
use crate::{PackError, Result};
use kiln_record::{Mode, TreePath};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};

/// A file or link in a zip. Folders are not members: they are implied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it is in the tree.
    pub path: TreePath,
    /// Whether it is a symbolic link, whose content is its target.
    pub is_symlink: bool,
    /// File type and permission bits, if the archive has any. Taken from the upper half of the external attributes
    /// whatever the host system, as pip does.
    pub unix_mode: Option<u32>,
    /// How its data is kept.
    pub method: Method,
    /// CRC-32 of its content.
    pub crc32: u32,
    /// Length of its data in the archive in bytes.
    pub compressed_size: u64,
    /// Length of its content in bytes.
    pub size: u64,
    /// Where its data starts in the archive, in bytes.
    pub data_offset: u64,
}

impl Member {
    /// The mode that an installer gives it: executable if it is a regular file that anybody may execute (pip's rule).
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.unix_mode {
            Some(mode) if mode & TYPE_MASK == TYPE_FILE && mode & 0o111 != 0 => Mode::Executable,
            _ => Mode::Plain,
        }
    }

    /// Writes its content into a sink, with size and CRC verified at the end: what was written before an error is not to be used.
    /// Unlike [`ZipReader::read`] it holds no more than a piece of a large member in memory. `reader` is any of the archive, so that
    /// members can be read side by side.
    ///
    /// # Errors
    /// As [`ZipReader::read`], and what the sink says.
    pub fn copy_from<R: Read + Seek>(&self, reader: &mut R, sink: &mut dyn Write) -> Result<()> {
        if self.size.max(self.compressed_size) <= HELD_AT_ONCE {
            return Ok(sink.write_all(&read_member(reader, self)?)?);
        }
        reader.seek(SeekFrom::Start(self.data_offset))?;
        let mut data = BufReader::with_capacity(PIECE, reader.take(self.compressed_size));
        let wrong = |reason: &str| PackError::content(format!("`{}`", self.path), reason);
        let mut checked = Checked { sink, crc: crc32fast::Hasher::new(), written: 0, size: self.size };
        let used = match self.method {
            Method::Store => io::copy(&mut data, &mut checked)?,
            Method::Deflate => {
                let mut inflater = flate2::bufread::DeflateDecoder::new(&mut data);
                io::copy(&mut inflater, &mut checked).map_err(|error| match error.kind() {
                    io::ErrorKind::InvalidInput
                    | io::ErrorKind::InvalidData
                    | io::ErrorKind::UnexpectedEof => {
                        wrong("it is not a valid deflate stream of the announced size")
                    }
                    _ => error.into(),
                })?;
                inflater.total_in()
            }
        };
        if checked.written != self.size {
            return Err(wrong("its length is not the one announced"));
        }
        if used != self.compressed_size {
            return Err(wrong("there are bytes after the end of the stream"));
        }
        if checked.crc.finalize() != self.crc32 {
            return Err(wrong("its checksum is not the one announced"));
        }
        Ok(())
    }
}

/// An open zip whose structure has been checked in full. Contents are checked when they are read.
#[derive(Debug)]
pub struct ZipReader<R> {
    reader: R,
    members: Vec<Member>,
    leading: u64,
}

/// A member that is not larger is held in memory as a whole, in bytes: that is faster.
const HELD_AT_ONCE: u64 = 16 << 20;
/// Bytes that are read at once of one that is.
const PIECE: usize = 1 << 17;

/// A sink that counts and checks what goes through it, and takes no more than was announced.
struct Checked<'a> {
    sink: &'a mut dyn Write,
    crc: crc32fast::Hasher,
    written: u64,
    size: u64,
}

impl Write for Checked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written + bytes.len() as u64 > self.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds more than announced"));
        }
        let length = self.sink.write(bytes)?;
        self.crc.update(&bytes[..length]);
        self.written += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl<R: Read + Seek> ZipReader<R> {
    /// Reads and checks the directory and all headers. No content is read.
    ///
    /// # Errors
    /// [`PackError`] if the archive is malformed, ambiguous, encrypted, compressed by something other than deflate,
    /// holds a path that leaves the tree, a path twice or anything but files, folders and links, or exceeds a limit.
    pub fn open(reader: R, limits: &Limits) -> Result<Self> {
        Self::open_as(reader, limits, Leading::Refused)
    }

    /// The same of an archive that bytes may stand in front of: a shebang, or a program that unpacks it. What they are is not looked at;
    /// [`ZipReader::leading`] says how many there are.
    ///
    /// # Errors
    /// As [`ZipReader::open`].
    pub fn open_after_leading(reader: R, limits: &Limits) -> Result<Self> {
        Self::open_as(reader, limits, Leading::Allowed)
    }

    fn open_as(mut reader: R, limits: &Limits, leading: Leading) -> Result<Self> {
        let directory = Directory::read(&mut reader, limits, leading)?;
        let mut budget = Budget::new(limits);
        let mut guard = PathGuard::new(false);
        for entry in &directory.entries {
            budget.count(&entry.name, entry.size, entry.compressed_size)?;
            let folders = match entry.is_folder() {
                true => guard.add_folder(&entry.path)?,
                false => guard.add_file(&entry.path)?,
            };
            budget.count_more(folders.len())?;
        }
        let data_offsets = check_headers(&mut reader, &directory)?;
        let leading = directory.leading;
        let members = directory
            .entries
            .into_iter()
            .zip(data_offsets)
            .filter(|(entry, _)| !entry.is_folder())
            .map(|(entry, data_offset)| Member {
                is_symlink: entry.unix_mode & TYPE_MASK == TYPE_LINK,
                unix_mode: (entry.unix_mode != 0).then_some(entry.unix_mode),
                path: entry.path,
                method: entry.method,
                crc32: entry.crc32,
                compressed_size: entry.compressed_size,
                size: entry.size,
                data_offset,
            })
            .collect();
        Ok(Self { reader, members, leading })
    }

    /// How many bytes stand before the first member.
    #[must_use]
    pub fn leading(&self) -> u64 {
        self.leading
    }

    /// The files and links, in the order of the archive's directory.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The same, without the archive.
    #[must_use]
    pub fn into_members(self) -> Vec<Member> {
        self.members
    }

    /// A member's data as it is in the archive. Nothing about it is verified; [`ZipReader::read`] does that.
    ///
    /// # Errors
    /// [`PackError::Malformed`] if the archive has become shorter; [`PackError::Io`].
    pub fn raw_stream(&mut self, member: &Member) -> Result<Vec<u8>> {
        raw_stream_at(&mut self.reader, member.data_offset, member.compressed_size)
    }

    /// A member's content, with size and CRC verified.
    ///
    /// # Errors
    /// [`PackError::Content`] if the data is invalid or not what was announced; as [`ZipReader::raw_stream`].
    pub fn read(&mut self, member: &Member) -> Result<Vec<u8>> {
        read_member(&mut self.reader, member)
    }

    /// Writes a member's content into a sink, as [`Member::copy_from`] does.
    ///
    /// # Errors
    /// As [`Member::copy_from`].
    pub fn copy(&mut self, member: &Member, sink: &mut dyn Write) -> Result<()> {
        member.copy_from(&mut self.reader, sink)
    }

    /// The underlying reader.
    pub fn into_inner(self) -> R {
        self.reader
    }
}

/// A member's content, unpacked while it is read, from an archive that was checked before.
///
/// # Errors
/// [`PackError::Io`]. What is wrong with the data is told by reading.
pub fn member_at<'a, R: Read + Seek + 'a>(
    mut reader: R,
    data_offset: u64,
    compressed_size: u64,
    method: Method,
) -> Result<Box<dyn Read + 'a>> {
    reader.seek(SeekFrom::Start(data_offset))?;
    let data = BufReader::with_capacity(PIECE, reader.take(compressed_size));
    Ok(match method {
        Method::Store => Box::new(data),
        Method::Deflate => Box::new(flate2::bufread::DeflateDecoder::new(data)),
    })
}

/// Reads a member's data again from an archive that was checked before, given the numbers that were kept of it.
///
/// # Errors
/// [`PackError::Malformed`] if the archive is shorter than the numbers say; [`PackError::Io`].
pub fn raw_stream_at<R: Read + Seek>(
    reader: &mut R,
    data_offset: u64,
    compressed_size: u64,
) -> Result<Vec<u8>> {
    stream_between(reader, (data_offset, compressed_size), &[], 0)
}

/// A stream of the archive, given where it starts and how long it is, with bytes before it and room behind it.
fn stream_between<R: Read + Seek>(
    reader: &mut R,
    (data_offset, compressed_size): (u64, u64),
    before: &[u8],
    behind: usize,
) -> Result<Vec<u8>> {
    let short = || PackError::malformed("the zip", "it ends within a member");
    reader.seek(SeekFrom::Start(data_offset))?;
    if let (true, Ok(length)) = (compressed_size <= HELD_AT_ONCE, usize::try_from(compressed_size)) {
        // Zeroes from the allocator: this is compiled where it is used, for size, which fills a vector byte by byte.
        let mut bytes = vec![0; before.len() + length + behind];
        bytes[..before.len()].copy_from_slice(before);
        let stream = &mut bytes[before.len()..before.len() + length];
        return match reader.read_exact(stream) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(short()),
            Err(error) => Err(error.into()),
        };
    }
    // So long a stream is not believed before it is there.
    let mut bytes = before.to_vec();
    if reader.take(compressed_size).read_to_end(&mut bytes)? as u64 != compressed_size {
        return Err(short());
    }
    bytes.resize(bytes.len() + behind, 0);
    Ok(bytes)
}

/// A member's content, checked.
fn read_member<R: Read + Seek>(reader: &mut R, member: &Member) -> Result<Vec<u8>> {
    let place = || format!("`{}`", member.path);
    if member.method == Method::Deflate {
        let stream = (member.data_offset, member.compressed_size);
        let framed = Framed(stream_between(reader, stream, &Framed::HEADER, Framed::END)?);
        return framed.inflate(member.size, member.crc32).map_err(|error| match error {
            PackError::Content { reason, .. } => PackError::content(place(), reason),
            other => other,
        });
    }
    let content = raw_stream_at(reader, member.data_offset, member.compressed_size)?;
    if content.len() as u64 != member.size {
        return Err(PackError::content(place(), "its length is not the one announced"));
    }
    if crc32fast::hash(&content) != member.crc32 {
        return Err(PackError::content(place(), "its checksum is not the one announced"));
    }
    Ok(content)
}

/// Checks the header before each member and that members fill the archive up to the directory. Returns where each
/// entry's data starts, in the directory's order.
fn check_headers<R: Read + Seek>(reader: &mut R, directory: &Directory) -> Result<Vec<u64>> {
    let mut order: Vec<usize> = (0..directory.entries.len()).collect();
    order.sort_by_key(|&index| directory.entries[index].header_offset);
    let mut data_offsets = vec![0; order.len()];
    let mut expected = directory.leading;
    for (place, &index) in order.iter().enumerate() {
        let entry = &directory.entries[index];
        if entry.header_offset != expected {
            let reason = if entry.header_offset < expected {
                "it overlaps the member before it"
            } else {
                "there are bytes before it that belong to no member"
            };
            return Err(PackError::malformed(entry.quoted(), reason));
        }
        let (data_offset, described) = check_header(reader, entry)?;
        let end = data_offset
            .checked_add(entry.compressed_size)
            .filter(|end| *end <= directory.offset)
            .ok_or_else(|| PackError::malformed(entry.quoted(), "it reaches into the directory"))?;
        let next =
            order.get(place + 1).map_or(directory.offset, |&index| directory.entries[index].header_offset);
        expected = end;
        if described {
            expected += check_descriptor(reader, entry, end, next)?;
        }
        data_offsets[index] = data_offset;
    }
    if expected != directory.offset {
        return Err(PackError::malformed(
            "the zip",
            "there are bytes before its directory that belong to no member",
        ));
    }
    Ok(data_offsets)
}

/// Checks one header; returns where the data starts and whether a descriptor follows it.
fn check_header<R: Read + Seek>(reader: &mut R, entry: &DirectoryEntry) -> Result<(u64, bool)> {
    let differs = |what: &str| {
        PackError::malformed(
            entry.quoted(),
            format!("its header and the directory disagree about its {what}"),
        )
    };
    let short = || PackError::malformed(entry.quoted(), "its header is incomplete");
    reader.seek(SeekFrom::Start(entry.header_offset))?;
    let mut fixed = [0; LOCAL_HEADER_SIZE];
    read_or(reader, &mut fixed, short)?;
    let mut fields = Fields(&fixed);
    if fields.u32() != Some(LOCAL_HEADER) {
        return Err(PackError::malformed(entry.quoted(), "there is no header where the directory says"));
    }
    let _version = fields.u16();
    let flags = fields.u16().ok_or_else(short)?;
    let method = fields.u16().ok_or_else(short)?;
    let _time_and_date = fields.u32();
    let crc32 = fields.u32().ok_or_else(short)?;
    let compressed_size = fields.u32().ok_or_else(short)?;
    let size = fields.u32().ok_or_else(short)?;
    let name_length = fields.u16().ok_or_else(short)?;
    let extra_length = fields.u16().ok_or_else(short)?;
    let mut variable = vec![0; usize::from(name_length) + usize::from(extra_length)];
    read_or(reader, &mut variable, short)?;
    let (name, extra) = variable.split_at(usize::from(name_length));

    if name != entry.name.as_bytes() {
        return Err(differs("name"));
    }
    let compared = flag::ENCRYPTED | flag::DATA_DESCRIPTOR | flag::UTF8;
    if flags & compared != entry.flags & compared {
        return Err(differs("flags"));
    }
    if method != entry.method_number() {
        return Err(differs("compression method"));
    }
    let (mut size, mut compressed_size) = (u64::from(size), u64::from(compressed_size));
    if size == u64::from(MARKER_32) || compressed_size == u64::from(MARKER_32) {
        let mut wide = Fields(entry.extra_field(extra, EXTRA_ZIP64)?.unwrap_or_default());
        // In a local header the field holds both sizes, whichever of them is a marker (APPNOTE 4.5.3).
        let (Some(wide_size), Some(wide_compressed)) = (wide.u64(), wide.u64()) else {
            return Err(PackError::malformed(
                entry.quoted(),
                "its header lacks the ZIP64 sizes that it announces",
            ));
        };
        if size == u64::from(MARKER_32) {
            size = wide_size;
        }
        if compressed_size == u64::from(MARKER_32) {
            compressed_size = wide_compressed;
        }
    }
    entry.check_unicode_path(extra)?;
    let described = flags & flag::DATA_DESCRIPTOR != 0;
    // Where a descriptor follows, these fields are zero; some writers fill them in afterwards all the same.
    for (what, here, there) in [
        ("checksum", u64::from(crc32), u64::from(entry.crc32)),
        ("compressed size", compressed_size, entry.compressed_size),
        ("size", size, entry.size),
    ] {
        if here != there && !(described && here == 0) {
            return Err(differs(what));
        }
    }
    Ok((entry.header_offset + (LOCAL_HEADER_SIZE + variable.len()) as u64, described))
}

/// Checks the descriptor between `end` and `next` and returns its length. It has a signature or not, and sizes of four
/// or eight bytes (APPNOTE 4.3.9): the room up to the next member decides, and the values must fit.
fn check_descriptor<R: Read + Seek>(
    reader: &mut R,
    entry: &DirectoryEntry,
    end: u64,
    next: u64,
) -> Result<u64> {
    let wrong = || PackError::malformed(entry.quoted(), "what follows its data is not its descriptor");
    let room = next.checked_sub(end).filter(|room| matches!(room, 12 | 16 | 20 | 24)).ok_or_else(wrong)?;
    let mut bytes = vec![0; usize::try_from(room).map_err(|_| wrong())?];
    reader.seek(SeekFrom::Start(end))?;
    read_or(reader, &mut bytes, wrong)?;
    let mut fields = Fields(&bytes);
    if matches!(room, 16 | 24) && fields.u32() != Some(DATA_DESCRIPTOR) {
        return Err(wrong());
    }
    let crc32 = fields.u32();
    let sizes = if matches!(room, 20 | 24) {
        (fields.u64(), fields.u64())
    } else {
        (fields.u32().map(u64::from), fields.u32().map(u64::from))
    };
    if crc32 == Some(entry.crc32) && sizes == (Some(entry.compressed_size), Some(entry.size)) {
        Ok(room)
    } else {
        Err(wrong())
    }
}
