//! A header blob: the tags of one package (`rpm/docs/manual/format_header.md`, `format_v4.md`).

use super::numbers::{Order, part};

/// Tags of one header; rpm's own limit.
const TAG_LIMIT: usize = 0xffff;
/// Elements of one tag: a package has fewer files.
const COUNT_LIMIT: usize = 1_000_000;

const NAME: u32 = 1000;
const VERSION: u32 = 1001;
const RELEASE: u32 = 1002;
const EPOCH: u32 = 1003;
const SUMMARY: u32 = 1004;
const VENDOR: u32 = 1011;
const LICENSE: u32 = 1014;
const URL: u32 = 1020;
const ARCH: u32 = 1022;
const SOURCE_RPM: u32 = 1044;
const DIR_INDEXES: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const DIR_NAMES: u32 = 1118;

const INT32: u32 = 4;
const STRING: u32 = 6;
const STRING_ARRAY: u32 = 8;
const I18N_STRING: u32 = 9;

/// What kiln takes of a header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) epoch: Option<u32>,
    pub(super) version: String,
    pub(super) release: String,
    pub(super) architecture: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) vendor: Option<String>,
    pub(super) license: Option<String>,
    pub(super) url: Option<String>,
    pub(super) source_rpm: Option<String>,
    /// Absolute paths.
    pub(super) files: Vec<String>,
}

/// The index and the data of a blob.
struct Tags<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

impl<'a> Tags<'a> {
    /// Type, place and number of elements of a tag.
    fn find(&self, wanted: u32) -> Option<(u32, usize, usize)> {
        let big = Order::Big;
        let entry = self.index.chunks_exact(16).find(|entry| big.u32(entry, 0) == Some(wanted))?;
        let count = big.size(entry, 12).filter(|count| *count <= COUNT_LIMIT)?;
        Some((big.u32(entry, 4)?, big.size(entry, 8)?, count))
    }

    fn strings(&self, tag: u32) -> Option<Vec<&'a [u8]>> {
        let (kind, offset, count) = self.find(tag)?;
        if ![STRING, STRING_ARRAY, I18N_STRING].contains(&kind) {
            return None;
        }
        let mut rest = self.data.get(offset..)?;
        let mut strings = Vec::new();
        for _ in 0..count {
            let end = rest.iter().position(|byte| *byte == 0)?;
            strings.push(&rest[..end]);
            rest = &rest[end + 1..];
        }
        Some(strings)
    }

    /// The first string of a tag: of a translated one, that in the C locale.
    fn string(&self, tag: u32) -> Option<String> {
        let strings = self.strings(tag)?;
        let text = String::from_utf8_lossy(strings.first()?).into_owned();
        // What rpm has no value for is written so.
        Some(text).filter(|text| !text.is_empty() && text != "(none)")
    }

    fn numbers(&self, tag: u32) -> Option<Vec<u32>> {
        let (kind, offset, count) = self.find(tag)?;
        if kind != INT32 {
            return None;
        }
        let data = part(self.data, offset, count.checked_mul(4)?)?;
        data.chunks_exact(4).map(|number| Order::Big.u32(number, 0)).collect()
    }
}

impl Header {
    /// Reads a blob; `left` is how long its paths may be together.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(blob: &[u8], left: &mut usize) -> Result<Self, String> {
        let tags =
            tags(blob).ok_or_else(|| "a header is damaged: its index does not fit its length".to_owned())?;
        let name = tags.string(NAME).ok_or_else(|| "a header has no name".to_owned())?;
        let need = |tag: u32, what: &str| {
            tags.string(tag).ok_or_else(|| format!("the header of {} has no {what}", name.escape_debug()))
        };
        Ok(Self {
            epoch: tags.numbers(EPOCH).and_then(|numbers| numbers.first().copied()),
            version: need(VERSION, "version")?,
            release: need(RELEASE, "release")?,
            architecture: tags.string(ARCH),
            summary: tags.string(SUMMARY),
            vendor: tags.string(VENDOR),
            license: tags.string(LICENSE),
            url: tags.string(URL),
            source_rpm: tags.string(SOURCE_RPM),
            files: files(&tags, left).ok_or_else(|| {
                format!("the paths of {} are longer than any system's", name.escape_debug())
            })?,
            name,
        })
    }
}

/// `index length`, `data length`, index, data: numbers are big-endian on every machine.
fn tags(blob: &[u8]) -> Option<Tags<'_>> {
    let (entries, length) = (Order::Big.size(blob, 0)?, Order::Big.size(blob, 4)?);
    if entries == 0 || entries > TAG_LIMIT {
        return None;
    }
    let index = part(blob, 8, entries * 16)?;
    Some(Tags { index, data: part(blob, 8 + entries * 16, length)? })
}

/// The paths of a package: folders, and the names in them with the number of the folder of each. None if they are longer
/// than what is left.
fn files(tags: &Tags<'_>, left: &mut usize) -> Option<Vec<String>> {
    let (Some(names), Some(folders), Some(places)) =
        (tags.strings(BASE_NAMES), tags.strings(DIR_NAMES), tags.numbers(DIR_INDEXES))
    else {
        return Some(Vec::new());
    };
    let mut paths = Vec::new();
    for (name, place) in names.iter().zip(&places) {
        let Some(folder) = usize::try_from(*place).ok().and_then(|place| folders.get(place)) else {
            continue;
        };
        *left = left.checked_sub(folder.len() + name.len())?;
        if let (Ok(folder), Ok(name)) = (str::from_utf8(folder), str::from_utf8(name)) {
            paths.push(format!("{folder}{name}"));
        }
    }
    Some(paths)
}
