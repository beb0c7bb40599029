//! Numbers of the zip format (PKWARE APPNOTE.TXT 6.3.10).

/// Signature of a local file header (4.3.7).
pub(crate) const LOCAL_HEADER: u32 = 0x0403_4b50;
/// Signature of a data descriptor (4.3.9).
pub(crate) const DATA_DESCRIPTOR: u32 = 0x0807_4b50;
/// Signature of a central directory header (4.3.12).
pub(crate) const CENTRAL_HEADER: u32 = 0x0201_4b50;
/// Signature of the ZIP64 end of central directory record (4.3.14).
pub(crate) const ZIP64_END: u32 = 0x0606_4b50;
/// Signature of the ZIP64 end of central directory locator (4.3.15).
pub(crate) const ZIP64_LOCATOR: u32 = 0x0706_4b50;
/// Signature of the end of central directory record (4.3.16).
pub(crate) const END: u32 = 0x0605_4b50;

/// Length of a local file header without name and extra field.
pub(crate) const LOCAL_HEADER_SIZE: usize = 30;
/// Length of a central directory header without name, extra field and comment.
pub(crate) const CENTRAL_HEADER_SIZE: usize = 46;
/// Length of the end record without its comment.
pub(crate) const END_SIZE: usize = 22;
/// Length of the ZIP64 locator.
pub(crate) const ZIP64_LOCATOR_SIZE: usize = 20;
/// Length of the ZIP64 end record without extensible data.
pub(crate) const ZIP64_END_SIZE: usize = 56;

/// General purpose flags (4.4.4).
pub(crate) mod flag {
    /// The data is encrypted.
    pub(crate) const ENCRYPTED: u16 = 1;
    /// CRC and sizes follow the data.
    pub(crate) const DATA_DESCRIPTOR: u16 = 1 << 3;
    /// Compressed patched data.
    pub(crate) const PATCHED: u16 = 1 << 5;
    /// Strong encryption.
    pub(crate) const STRONG_ENCRYPTION: u16 = 1 << 6;
    /// Name and comment are UTF-8.
    pub(crate) const UTF8: u16 = 1 << 11;
    /// Local header values are masked by central directory encryption.
    pub(crate) const MASKED: u16 = 1 << 13;
}

/// Compression methods (4.4.5).
pub(crate) mod method {
    /// No compression.
    pub(crate) const STORE: u16 = 0;
    /// Deflate.
    pub(crate) const DEFLATE: u16 = 8;
}

/// Extra field of ZIP64 sizes and offset (4.5.3).
pub(crate) const EXTRA_ZIP64: u16 = 0x0001;
/// Extra field with another, UTF-8 name (4.6.9, Info-ZIP).
pub(crate) const EXTRA_UNICODE_PATH: u16 = 0x7075;

/// A 16-bit value that means "see the ZIP64 field".
pub(crate) const MARKER_16: u16 = u16::MAX;
/// A 32-bit value that means "see the ZIP64 field".
pub(crate) const MARKER_32: u32 = u32::MAX;

/// File type bits of a Unix mode.
pub(crate) const TYPE_MASK: u32 = 0o170_000;
/// Type of a regular file.
pub(crate) const TYPE_FILE: u32 = 0o100_000;
/// Type of a folder.
pub(crate) const TYPE_FOLDER: u32 = 0o040_000;
/// Type of a symbolic link.
pub(crate) const TYPE_LINK: u32 = 0o120_000;

/// Reads little-endian numbers from the front of a slice; `None` when it is too short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl<'a> Fields<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
