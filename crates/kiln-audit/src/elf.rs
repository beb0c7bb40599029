//! What an ELF file says about where it can be loaded.
//!
//! Only the tables that the dynamic loader itself uses are read: program headers, the dynamic segment, and through it
//! string table, version needs and symbols (System V ABI, chapter 5; LSB core, symbol versioning). What is judged
//! ignores section headers: `strip` may remove them without changing what is loaded, and they may say anything. A few of them are
//! kept as claims. Every table is bounded, because wheels are hostile until checked.

use crate::AuditError;
use crate::linkage::linked;
use kiln_record::{Binary, Linked};
use object::elf;
use object::endian::Endian;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionHeader};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Reads what an ELF file needs from the system that loads it.
///
/// `Ok(None)` means that the bytes are no ELF file. Objects and core files (`ET_REL`, `ET_CORE`) have no dynamic
/// segment and give facts without needs.
///
/// # Errors
/// [`AuditError::Elf`] if the file claims to be ELF and a table that the loader would read is truncated, points
/// outside the file, or is larger than any linker writes.
pub fn inspect_elf(bytes: &[u8]) -> Result<Option<ElfFacts>, AuditError> {
    if !bytes.starts_with(&elf::ELFMAG) {
        return Ok(None);
    }
    match bytes.get(4).copied() {
        Some(1) => inspect::<elf::FileHeader32<object::Endianness>>(bytes).map(Some),
        Some(2) => inspect::<elf::FileHeader64<object::Endianness>>(bytes).map(Some),
        _ => Err(AuditError::Elf("it is neither of the 32-bit nor of the 64-bit class")),
    }
}

/// What an ELF file says about itself. Serialised only to be remembered by the digest of the file's archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ElfFacts {
    /// `e_machine` of the header: 62 is x86-64, 183 is AArch64 (System V ABI).
    pub machine: u16,
    /// Whether it is of the 64-bit class.
    pub class64: bool,
    /// Whether its numbers are little-endian, as on every Lambda architecture.
    pub little_endian: bool,
    /// Whether it is a shared object or a position-independent executable (`ET_DYN`).
    pub shared_object: bool,
    /// The program interpreter (`PT_INTERP`), which only executables have.
    pub interpreter: Option<String>,
    /// Libraries it needs (`DT_NEEDED`), in the order of the file.
    pub needed: Vec<String>,
    /// Its own library name (`DT_SONAME`).
    pub soname: Option<String>,
    /// Where it looks for libraries first (`DT_RUNPATH`, else `DT_RPATH`).
    pub runpath: Option<String>,
    /// The newest version it needs of each versioned interface: `GLIBC`, `GLIBCXX`, `CXXABI`, `GCC` and any other.
    /// Weak needs, which the loader forgives, do not count.
    pub versions: BTreeMap<String, NeededVersion>,
    /// The C library it was linked against.
    pub libc: Libc,
    /// What its linker called this build of it (`.note.gnu.build-id`), in hexadecimal.
    #[serde(default)]
    pub build_id: Option<String>,
    /// What compilers and linkers say of themselves (`.comment`).
    #[serde(default)]
    pub compilers: Vec<String>,
    /// What is linked into it, as far as its bytes tell.
    #[serde(default)]
    pub linked: Vec<Linked>,
}

impl ElfFacts {
    /// What a record says of the file.
    #[must_use]
    pub fn to_binary(&self) -> Binary {
        Binary {
            soname: self.soname.clone(),
            needed: self.needed.clone(),
            build_id: self.build_id.clone(),
            compilers: self.compilers.clone(),
            linked: self.linked.clone(),
        }
    }
}

/// A version of an interface that an ELF file needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeededVersion {
    /// The numbers, such as 2 and 34.
    pub number: Vec<u32>,
    /// The version as the file writes it, such as `GLIBC_2.34`.
    pub text: String,
    /// The library that must provide it, such as `libc.so.6`.
    pub library: String,
    /// One symbol that is wanted at this version, if the symbol table tells.
    pub symbol: Option<String>,
}

/// The C library that an ELF file was linked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Libc {
    /// The GNU C library: what Lambda's systems have.
    Glibc,
    /// musl, as on Alpine: its objects do not load beside glibc.
    Musl,
    /// Neither is named: it is static, or needs no C library.
    Unknown,
}

// Bounds, each far above what linkers write, so that a hostile file costs a bounded amount of work.
const MAX_SEGMENTS: usize = 1024;
const MAX_SECTIONS: usize = 65_536;
const MAX_DYNAMIC: usize = 65_536;
const MAX_NEEDED: usize = 4096;
const MAX_VERSIONS: usize = 8192;
const MAX_SYMBOLS: usize = 1_000_000;
const MAX_TEXT: usize = 4096;

fn inspect<H: FileHeader>(bytes: &[u8]) -> Result<ElfFacts, AuditError> {
    let bad = AuditError::Elf;
    let header = H::parse(bytes).map_err(|_| bad("its header is truncated or of an unknown version"))?;
    let endian = header.endian().map_err(|_| bad("its byte order is unknown"))?;
    let segments =
        header.program_headers(endian, bytes).map_err(|_| bad("its program headers lie outside the file"))?;
    if segments.len() > MAX_SEGMENTS {
        return Err(bad("it has more program headers than any linker writes"));
    }
    let mut image = Image { bytes, big: endian.is_big_endian(), loads: Vec::new() };
    let mut interpreter = None;
    let mut dynamic: &[H::Dyn] = &[];
    for segment in segments {
        match segment.p_type(endian) {
            elf::PT_LOAD => image.loads.push(Load {
                address: segment.p_vaddr(endian).into(),
                offset: segment.p_offset(endian).into(),
                size: segment.p_filesz(endian).into(),
            }),
            elf::PT_INTERP => {
                let (offset, _) = segment.file_range(endian);
                let offset =
                    usize::try_from(offset).map_err(|_| bad("its interpreter lies outside the file"))?;
                interpreter = Some(text_at(bytes, offset).ok_or(bad("its interpreter is not a text"))?);
            }
            elf::PT_DYNAMIC => {
                dynamic = segment
                    .dynamic(endian, bytes)
                    .map_err(|_| bad("its dynamic segment lies outside the file"))?
                    .unwrap_or(&[]);
            }
            _ => {}
        }
    }
    let dynamic = Dynamic::read::<H>(endian, dynamic)?;
    let strings = match dynamic.strings {
        Some(address) => Some(image.offset(address).ok_or(bad("its string table lies outside the file"))?),
        None => None,
    };
    let string = |at: u64| -> Result<String, AuditError> {
        let start = strings.ok_or(bad("it names strings but has no string table"))?;
        let at = usize::try_from(at).ok().and_then(|at| start.checked_add(at));
        at.and_then(|at| text_at(bytes, at)).ok_or(bad("a name lies outside its string table"))
    };
    let needed = dynamic.needed.iter().map(|at| string(*at)).collect::<Result<Vec<String>, AuditError>>()?;
    let versions = image.needed_versions(&dynamic, &string, header.is_class_64())?;
    let libc = libc(interpreter.as_deref(), &needed, &versions);
    let soname = dynamic.soname.map(string).transpose()?;
    let sections = Sections::read(header, endian, bytes);
    let linked = linked(bytes, sections.auditable, &needed, soname.as_deref());
    Ok(ElfFacts {
        machine: header.e_machine(endian).0,
        class64: header.is_class_64(),
        little_endian: endian.is_little_endian(),
        shared_object: header.e_type(endian) == elf::ET_DYN,
        interpreter,
        needed,
        soname,
        runpath: dynamic.runpath.or(dynamic.rpath).map(string).transpose()?,
        versions,
        libc,
        build_id: sections.build_id,
        compilers: sections.compilers,
        linked,
    })
}

/// What sections say that no loader reads: claims, of which nothing is judged. A table that does not fit is passed over.
#[derive(Default)]
struct Sections<'a> {
    build_id: Option<String>,
    compilers: Vec<String>,
    auditable: Option<&'a [u8]>,
}

impl<'a> Sections<'a> {
    fn read<H: FileHeader>(header: &H, endian: H::Endian, bytes: &'a [u8]) -> Self {
        let mut this = Self::default();
        let Ok(sections) = header.sections(endian, bytes) else { return this };
        if sections.len() > MAX_SECTIONS {
            return this;
        }
        for section in sections.iter() {
            let (Ok(name), Ok(data)) = (sections.section_name(endian, section), section.data(endian, bytes))
            else {
                continue;
            };
            match name {
                b".note.gnu.build-id" => this.build_id = build_id(endian.is_big_endian(), data),
                b".comment" => this.compilers = texts(data),
                b".dep-v0" => this.auditable = Some(data),
                _ => {}
            }
        }
        this
    }
}

/// The note's content: three lengths and kinds, `GNU` and a zero, then the id.
fn build_id(big: bool, note: &[u8]) -> Option<String> {
    let word = |at: usize| {
        let raw: [u8; 4] = note.get(at..at + 4)?.try_into().ok()?;
        Some(if big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    };
    let length = usize::try_from(word(4)?).ok().filter(|length| (4..=64).contains(length))?;
    let is_gnu = word(0)? == 4 && note.get(12..16)? == b"GNU\0";
    let id = note.get(16..16 + length).filter(|_| is_gnu)?;
    Some(id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Different texts with a zero after each.
fn texts(data: &[u8]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for text in data.split(|byte| *byte == 0).filter(|text| !text.is_empty() && text.len() <= 256).take(64) {
        let text = String::from_utf8_lossy(text).into_owned();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

fn libc(interpreter: Option<&str>, needed: &[String], versions: &BTreeMap<String, NeededVersion>) -> Libc {
    let loader = interpreter.unwrap_or("").rsplit('/').next().unwrap_or("");
    if loader.starts_with("ld-musl-") || needed.iter().any(|n| n.starts_with("libc.musl-") || n == "libc.so")
    {
        Libc::Musl
    } else if loader.starts_with("ld-linux")
        || versions.contains_key("GLIBC")
        || needed.iter().any(|n| n == "libc.so.6" || n.starts_with("ld-linux"))
    {
        Libc::Glibc
    } else {
        Libc::Unknown
    }
}

/// The entries of the dynamic segment that matter here; addresses and string offsets are not resolved yet.
#[derive(Default)]
struct Dynamic {
    needed: Vec<u64>,
    soname: Option<u64>,
    runpath: Option<u64>,
    rpath: Option<u64>,
    strings: Option<u64>,
    verneed: Option<u64>,
    versym: Option<u64>,
    symbols: Option<u64>,
    hash: Option<u64>,
    gnu_hash: Option<u64>,
}

impl Dynamic {
    fn read<H: FileHeader>(endian: H::Endian, entries: &[H::Dyn]) -> Result<Self, AuditError> {
        let mut this = Self::default();
        if entries.len() > MAX_DYNAMIC {
            return Err(AuditError::Elf("its dynamic segment is larger than any linker writes"));
        }
        for entry in entries {
            let value: u64 = entry.d_val(endian).into();
            match entry.d_tag(endian) {
                elf::DT_NULL => break,
                elf::DT_NEEDED => this.needed.push(value),
                elf::DT_SONAME => this.soname = Some(value),
                elf::DT_RUNPATH => this.runpath = Some(value),
                elf::DT_RPATH => this.rpath = Some(value),
                elf::DT_STRTAB => this.strings = Some(value),
                elf::DT_VERNEED => this.verneed = Some(value),
                elf::DT_VERSYM => this.versym = Some(value),
                elf::DT_SYMTAB => this.symbols = Some(value),
                elf::DT_HASH => this.hash = Some(value),
                elf::DT_GNU_HASH => this.gnu_hash = Some(value),
                _ => {}
            }
        }
        if this.needed.len() > MAX_NEEDED {
            return Err(AuditError::Elf("it needs more libraries than any linker writes"));
        }
        Ok(this)
    }
}

struct Load {
    address: u64,
    offset: u64,
    size: u64,
}

/// The file as the loader maps it.
struct Image<'a> {
    bytes: &'a [u8],
    big: bool,
    loads: Vec<Load>,
}

impl Image<'_> {
    /// The file offset of an address, if a loaded segment maps it.
    fn offset(&self, address: u64) -> Option<usize> {
        let load =
            self.loads.iter().find(|l| address.checked_sub(l.address).is_some_and(|at| at < l.size))?;
        let offset = usize::try_from(load.offset.checked_add(address - load.address)?).ok()?;
        (offset < self.bytes.len()).then_some(offset)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        let raw = self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if self.big { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
    }

    fn u32(&self, at: usize) -> Option<u32> {
        let raw = self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if self.big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    }

    /// Walks the version needs: for each library a list of versions, both chained by relative offsets.
    fn needed_versions(
        &self,
        dynamic: &Dynamic,
        string: &dyn Fn(u64) -> Result<String, AuditError>,
        class64: bool,
    ) -> Result<BTreeMap<String, NeededVersion>, AuditError> {
        const TRUNCATED: AuditError = AuditError::Elf("its version needs lie outside the file");
        const WEAK: u16 = 2;
        let mut newest: BTreeMap<String, (NeededVersion, u16)> = BTreeMap::new();
        let Some(start) = dynamic.verneed else { return Ok(BTreeMap::new()) };
        let mut need = self.offset(start).ok_or(TRUNCATED)?;
        let mut seen = 0;
        loop {
            let count = self.u16(need + 2).ok_or(TRUNCATED)?;
            let library = string(u64::from(self.u32(need + 4).ok_or(TRUNCATED)?))?;
            let mut aux = forward(need, self.u32(need + 8)).ok_or(TRUNCATED)?;
            for _ in 0..count {
                seen += 1;
                if seen > MAX_VERSIONS {
                    return Err(AuditError::Elf("it needs more versions than any linker writes"));
                }
                let flags = self.u16(aux + 4).ok_or(TRUNCATED)?;
                let index = self.u16(aux + 6).ok_or(TRUNCATED)? & 0x7fff;
                let text = string(u64::from(self.u32(aux + 8).ok_or(TRUNCATED)?))?;
                if flags & WEAK == 0
                    && let Some((interface, number)) = version_number(&text)
                {
                    let version = NeededVersion { number, text, library: library.clone(), symbol: None };
                    match newest.get(&interface) {
                        Some((known, _)) if known.number >= version.number => {}
                        _ => {
                            newest.insert(interface, (version, index));
                        }
                    }
                }
                match self.u32(aux + 12).ok_or(TRUNCATED)? {
                    0 => break,
                    next => aux = forward(aux, Some(next)).ok_or(TRUNCATED)?,
                }
            }
            match self.u32(need + 12).ok_or(TRUNCATED)? {
                0 => break,
                next => need = forward(need, Some(next)).ok_or(TRUNCATED)?,
            }
            seen += 1;
            if seen > MAX_VERSIONS {
                return Err(AuditError::Elf("it needs more versions than any linker writes"));
            }
        }
        self.name_symbols(dynamic, string, class64, &mut newest);
        Ok(newest.into_iter().map(|(interface, (version, _))| (interface, version)).collect())
    }

    /// Finds one imported symbol for each version. This only makes messages better, so a table that does not fit is
    /// passed over.
    fn name_symbols(
        &self,
        dynamic: &Dynamic,
        string: &dyn Fn(u64) -> Result<String, AuditError>,
        class64: bool,
        newest: &mut BTreeMap<String, (NeededVersion, u16)>,
    ) {
        let offset = |address: Option<u64>| address.and_then(|a| self.offset(a));
        let (Some(symbols), Some(versym)) = (offset(dynamic.symbols), offset(dynamic.versym)) else { return };
        // Imported symbols come before the hashed ones in a GNU hash table; a System V table counts all symbols.
        let count = offset(dynamic.gnu_hash)
            .or(offset(dynamic.hash))
            .and_then(|table| self.u32(table + 4))
            .map_or(0, |count| (count as usize).min(MAX_SYMBOLS));
        let (symbol_size, section_at) = if class64 { (24, 6) } else { (16, 14) };
        let mut unnamed: BTreeMap<u16, Vec<&mut NeededVersion>> = BTreeMap::new();
        for (version, index) in newest.values_mut() {
            unnamed.entry(*index).or_default().push(version);
        }
        for index in 1..count {
            if unnamed.is_empty() {
                return;
            }
            let Some(version) = self.u16(versym + index * 2) else { return };
            let symbol = symbols + index * symbol_size;
            let (Some(name), Some(section)) = (self.u32(symbol), self.u16(symbol + section_at)) else {
                return;
            };
            // Section 0 marks an import; a definition may carry the same index by chance in a hostile file only.
            if section != 0 {
                continue;
            }
            // The first one is named: each is looked for once, however many versions and symbols there are.
            let Some(versions) = unnamed.remove(&(version & 0x7fff)) else { continue };
            let name = string(u64::from(name)).ok().filter(|name| !name.is_empty());
            for known in versions {
                known.symbol.clone_from(&name);
            }
        }
    }
}

/// An offset further on in the file.
fn forward(at: usize, by: Option<u32>) -> Option<usize> {
    // The sum of two in-file offsets cannot overflow later small additions.
    at.checked_add(by? as usize).filter(|at| *at < usize::MAX / 2)
}

/// A NUL-terminated text without control characters, of at most [`MAX_TEXT`] bytes.
fn text_at(bytes: &[u8], at: usize) -> Option<String> {
    let rest = bytes.get(at..)?;
    let end = rest.iter().take(MAX_TEXT).position(|b| *b == 0)?;
    let text = std::str::from_utf8(&rest[..end]).ok()?;
    (!text.contains(|c: char| c.is_control())).then(|| text.to_owned())
}

/// Splits `GLIBC_2.34` into its interface and numbers.
///
/// glibc has marker versions that are features, not numbers: an object that uses them is refused by older loaders.
/// `GLIBC_ABI_DT_RELR` came with 2.36, the two TLS markers with 2.42 (release notes of glibc).
fn version_number(text: &str) -> Option<(String, Vec<u32>)> {
    match text {
        "GLIBC_ABI_DT_RELR" => return Some(("GLIBC".to_owned(), vec![2, 36])),
        "GLIBC_ABI_GNU_TLS" | "GLIBC_ABI_GNU2_TLS" => return Some(("GLIBC".to_owned(), vec![2, 42])),
        _ => {}
    }
    let (interface, number) = text.rsplit_once('_')?;
    let number = number.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u32>>>()?;
    (!interface.is_empty()).then(|| (interface.to_owned(), number))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small shared object with one version need, made by hand so that no compiler is needed.
    pub(crate) fn shared_object(machine: u16, library: &str, version: &str) -> Vec<u8> {
        let mut strings = vec![0];
        let mut name = |text: &str| {
            let at = strings.len() as u32;
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            at
        };
        let (library, version, soname, symbol) =
            (name(library), name(version), name("libsample.so.1"), name("sample_call"));
        // Layout: header 64, two program headers 112, then dynamic, verneed, symbols, versym, hash, strings.
        let dynamic_at = 176_u64;
        let verneed_at = dynamic_at + 9 * 16;
        let symbols_at = verneed_at + 32;
        let versym_at = symbols_at + 48;
        let hash_at = versym_at + 4;
        let strings_at = hash_at + 8;
        let end = strings_at + strings.len() as u64;
        let mut out = Vec::new();
        out.extend_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend(3_u16.to_le_bytes());
        out.extend(machine.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        for word in [0_u64, 64, 0] {
            out.extend(word.to_le_bytes());
        }
        out.extend(0_u32.to_le_bytes());
        for half in [64_u16, 56, 2, 64, 0, 0] {
            out.extend(half.to_le_bytes());
        }
        for (kind, offset, size) in [(1_u32, 0, end), (2, dynamic_at, 9 * 16)] {
            out.extend(kind.to_le_bytes());
            out.extend(5_u32.to_le_bytes());
            for word in [offset, offset, offset, size, size, 8] {
                out.extend(word.to_le_bytes());
            }
        }
        for (tag, value) in [
            (1_u64, u64::from(library)),
            (14, u64::from(soname)),
            (5, strings_at),
            (6, symbols_at),
            (4, hash_at),
            (0x6fff_fff0, versym_at),
            (0x6fff_fffe, verneed_at),
            (0x6fff_ffff, 1),
            (0, 0),
        ] {
            out.extend(tag.to_le_bytes());
            out.extend(value.to_le_bytes());
        }
        out.extend(1_u16.to_le_bytes());
        out.extend(1_u16.to_le_bytes());
        for word in [library, 16, 0] {
            out.extend(word.to_le_bytes());
        }
        out.extend(0_u32.to_le_bytes());
        out.extend(0_u16.to_le_bytes());
        out.extend(2_u16.to_le_bytes());
        out.extend(version.to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        out.extend([0; 24]);
        out.extend(symbol.to_le_bytes());
        out.extend([0; 20]);
        out.extend([0, 0, 2, 0]);
        out.extend([1, 0, 0, 0, 2, 0, 0, 0]);
        out.extend(strings);
        assert_eq!(out.len() as u64, end);
        out
    }

    #[test]
    fn reads_what_the_loader_reads() {
        let facts = inspect_elf(&shared_object(62, "libc.so.6", "GLIBC_2.34")).unwrap().unwrap();
        assert_eq!((facts.machine, facts.class64, facts.shared_object), (62, true, true));
        assert_eq!(facts.needed, ["libc.so.6"]);
        assert_eq!(facts.soname.as_deref(), Some("libsample.so.1"));
        assert_eq!(facts.libc, Libc::Glibc);
        let glibc = &facts.versions["GLIBC"];
        assert_eq!(glibc.number, [2, 34]);
        assert_eq!(glibc.library, "libc.so.6");
        assert_eq!(glibc.symbol.as_deref(), Some("sample_call"));
    }

    #[test]
    fn marker_versions_count_as_the_release_that_brought_them() {
        let facts = inspect_elf(&shared_object(62, "libc.so.6", "GLIBC_ABI_DT_RELR")).unwrap().unwrap();
        assert_eq!(facts.versions["GLIBC"].number, [2, 36]);
        let private = inspect_elf(&shared_object(62, "libc.so.6", "GLIBC_PRIVATE")).unwrap().unwrap();
        assert!(private.versions.is_empty());
    }

    #[test]
    fn musl_is_told_apart() {
        let facts = inspect_elf(&shared_object(62, "libc.musl-x86_64.so.1", "X_1")).unwrap().unwrap();
        assert_eq!(facts.libc, Libc::Musl);
    }

    #[test]
    fn what_is_not_elf_is_none() {
        assert_eq!(inspect_elf(b"PK\x03\x04"), Ok(None));
        assert_eq!(inspect_elf(b""), Ok(None));
        assert!(inspect_elf(b"\x7fELF").is_err());
    }

    /// A file that is cut off is refused, and of a damaged one nothing is told that does not stand in it.
    #[test]
    fn every_truncation_and_every_changed_byte_is_survived() {
        let good = shared_object(62, "libc.so.6", "GLIBC_2.34");
        // Which symbol needs a version is told where it is to be found, and is no reason to refuse a file.
        let told_of = |bytes: &[u8]| {
            inspect_elf(bytes).map(|facts| {
                facts.map(|mut facts| {
                    facts.versions.values_mut().for_each(|version| version.symbol = None);
                    facts
                })
            })
        };
        let whole = told_of(&good).unwrap();
        for end in 0..good.len() {
            match told_of(&good[..end]) {
                Ok(None) => assert!(end < 4, "{end}"),
                Ok(told) => assert_eq!(told, whole, "{end}"),
                Err(AuditError::Elf(reason)) => assert!(end >= 4 && !reason.is_empty(), "{end}"),
            }
        }
        let mut refused = 0;
        for at in 4..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bad = good.clone();
                bad[at] = value;
                let Ok(told) = inspect_elf(&bad) else {
                    refused += 1;
                    continue;
                };
                let told = told.expect("its first bytes are those of an ELF file");
                let names = told.needed.iter().chain(&told.soname).chain(&told.runpath);
                for name in names.chain(told.versions.values().map(|version| &version.text)) {
                    let there = bad.windows(name.len().max(1)).any(|part| part == name.as_bytes());
                    assert!(there || name.is_empty(), "{name:?} was made up: byte {at} is {value}");
                }
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn chains_that_turn_in_circles_end() {
        // A version list whose next entry is itself, announced 65,535 times, in a library list that points at itself
        // one byte on.
        let mut bad = shared_object(62, "libc.so.6", "GLIBC_2.34");
        let verneed = 176 + 9 * 16;
        bad[verneed + 2..verneed + 4].copy_from_slice(&u16::MAX.to_le_bytes());
        bad[verneed + 12..verneed + 16].copy_from_slice(&1_u32.to_le_bytes());
        assert_eq!(inspect_elf(&bad), Err(AuditError::Elf("a name lies outside its string table")));
    }

    #[test]
    fn the_running_test_itself_is_an_elf_file() {
        if !cfg!(target_os = "linux") {
            return;
        }
        let mut bytes = Vec::new();
        let mut file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        let facts = inspect_elf(&bytes).unwrap().unwrap();
        assert_eq!(facts.libc, Libc::Glibc);
        assert!(facts.versions["GLIBC"].number >= vec![2, 17]);
        assert!(facts.versions["GLIBC"].symbol.is_some());
        assert!(facts.interpreter.is_some());
    }
}
