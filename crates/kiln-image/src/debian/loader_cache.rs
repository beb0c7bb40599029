//! The dynamic loader's cache, `/etc/ld.so.cache`, in glibc's format 1.1 (glibc, `sysdeps/generic/dl-cache.h`).
//!
//! The real `ldconfig` cannot run: nothing of a base runs while it is assembled. The loader would also find the
//! libraries without a cache, in its default folders; but `ldconfig -p`, and with it Python's
//! `ctypes.util.find_library`, reads the cache only.

use kiln_record::Architecture;
use object::LittleEndian;
use object::elf::{DT_SONAME, FileHeader64};
use object::read::elf::FileHeader as _;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The length of the header in bytes.
const HEADER: usize = 48;
/// The length of one entry in bytes.
const ENTRY: usize = 24;
/// More dynamic entries than any library has.
const DYNAMIC_LIMIT: usize = 4096;

/// Makes the cache for libraries by their `SONAME`, with the absolute path of each.
pub(crate) fn loader_cache(libraries: &BTreeMap<String, String>, architecture: Architecture) -> Vec<u8> {
    // FLAG_ELF_LIBC6 with FLAG_X8664_LIB64 or FLAG_AARCH64_LIB64.
    let flags: u32 = match architecture {
        Architecture::Amd64 => 0x0303,
        Architecture::Arm64 => 0x0A03,
    };
    let mut sorted: Vec<(&String, &String)> = libraries.iter().collect();
    // The loader searches by halving, in falling order.
    sorted.sort_by(|a, b| compare_names(b.0.as_bytes(), a.0.as_bytes()).then_with(|| b.0.cmp(a.0)));

    let table_end = HEADER + ENTRY * sorted.len();
    let mut entries = Vec::with_capacity(table_end);
    let mut strings = Vec::new();
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    for (name, path) in &sorted {
        let mut offset = |text: &str| {
            let at = table_end + strings.len();
            strings.extend_from_slice(text.as_bytes());
            strings.push(0);
            number(at)
        };
        entries.extend(flags.to_le_bytes());
        entries.extend(offset(name));
        entries.extend(offset(path));
        // The kernel version it needs and its hardware capabilities: none.
        entries.extend([0; 12]);
    }
    let mut cache = b"glibc-ld.so.cache1.1".to_vec();
    cache.extend(number(sorted.len()));
    cache.extend(number(strings.len()));
    // Little endian, three bytes of padding, no extensions, unused.
    cache.extend([2, 0, 0, 0]);
    cache.extend([0; 16]);
    cache.extend(entries);
    cache.extend(strings);
    cache
}

/// The order of glibc's `_dl_cache_libcmp`: runs of digits compare as numbers, and a digit is above all else.
fn compare_names(mut a: &[u8], mut b: &[u8]) -> Ordering {
    loop {
        match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(x), Some(y)) => match (x.is_ascii_digit(), y.is_ascii_digit()) {
                (true, false) => return Ordering::Greater,
                (false, true) => return Ordering::Less,
                (false, false) => {
                    if x != y {
                        return x.cmp(y);
                    }
                    (a, b) = (&a[1..], &b[1..]);
                }
                (true, true) => {
                    let (number_a, rest_a) = leading_number(a);
                    let (number_b, rest_b) = leading_number(b);
                    let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
                    if order != Ordering::Equal {
                        return order;
                    }
                    (a, b) = (rest_a, rest_b);
                }
            },
        }
    }
}

fn leading_number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let zeros = text[..end].iter().take_while(|c| **c == b'0').count();
    (&text[zeros..end], &text[end..])
}

/// The name that others ask a shared library for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SharedLibrary {
    /// It states this `SONAME`.
    Named(String),
    /// It states none: it is known by its file name.
    Unnamed,
}

/// Reads the dynamic section of a 64-bit little-endian library for an architecture; `None` if it is something else,
/// such as a linker script, or damaged: the loader would not load it either.
pub(crate) fn shared_library(content: &[u8], architecture: Architecture) -> Option<SharedLibrary> {
    let header = FileHeader64::<LittleEndian>::parse(content).ok()?;
    let endian = header.endian().ok()?;
    if header.e_machine(endian).0 != architecture.elf_machine() {
        return None;
    }
    let table = header.sections(endian, content).ok()?.dynamic_table(endian, content).ok()?;
    if table.is_empty() {
        return None;
    }
    let Some(entry) = table.iter().take(DYNAMIC_LIMIT).find(|entry| entry.tag == DT_SONAME) else {
        return Some(SharedLibrary::Unnamed);
    };
    let name = str::from_utf8(table.string(entry).ok()?).ok()?;
    let valid = !name.is_empty() && !name.contains('/') && !name.chars().any(char::is_control);
    valid.then(|| SharedLibrary::Named(name.to_owned()))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Makes the smallest ELF file with a dynamic section: header, strings, section, and three section headers.
    pub(crate) fn library(soname: Option<&str>, machine: u16) -> Vec<u8> {
        let strings = [b"\0", soname.unwrap_or("").as_bytes(), b"\0"].concat();
        let strings_at = 64;
        let dynamic_at = (strings_at + strings.len()).next_multiple_of(8);
        let mut dynamic: Vec<u8> = Vec::new();
        // DT_SONAME with the offset of the name, then DT_NULL.
        for value in [14_u64, 1, 0, 0].iter().skip(if soname.is_some() { 0 } else { 2 }) {
            dynamic.extend(value.to_le_bytes());
        }
        let sections_at = dynamic_at + dynamic.len();
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend(3_u16.to_le_bytes());
        file.extend(machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        file.extend([0; 16]);
        file.extend((sections_at as u64).to_le_bytes());
        file.extend([0; 4]);
        for field in [64_u16, 56, 0, 64, 3, 1] {
            file.extend(field.to_le_bytes());
        }
        file.extend(&strings);
        file.resize(dynamic_at, 0);
        file.extend(&dynamic);
        // Kind, offset, size, link: nothing, SHT_STRTAB, SHT_DYNAMIC.
        for (kind, at, size, link) in
            [(0_u32, 0, 0, 0_u32), (3, strings_at, strings.len(), 0), (6, dynamic_at, dynamic.len(), 1)]
        {
            file.extend([0; 4]);
            file.extend(kind.to_le_bytes());
            file.extend([0; 16]);
            file.extend((at as u64).to_le_bytes());
            file.extend((size as u64).to_le_bytes());
            file.extend(link.to_le_bytes());
            file.extend([0; 20]);
        }
        file
    }

    #[test]
    fn names_of_libraries() {
        let amd64 = Architecture::Amd64.elf_machine();
        let read = |bytes: &[u8]| shared_library(bytes, Architecture::Amd64);
        let named = library(Some("libx.so.1"), amd64);
        assert_eq!(read(&named), Some(SharedLibrary::Named("libx.so.1".to_owned())));
        assert_eq!(read(&library(None, amd64)), Some(SharedLibrary::Unnamed));
        assert_eq!(read(&library(Some("../x"), amd64)), None);
        assert_eq!(read(&library(Some("libx.so.1"), Architecture::Arm64.elf_machine())), None);
        for at in 0..named.len() {
            let mut changed = named.clone();
            changed[at] ^= 0xFF;
            let _ = read(&changed);
            let _ = read(&named[..at]);
        }
    }

    /// Reads a cache back as the loader does: by halving, in the order of its own comparison.
    pub(crate) fn look_up(cache: &[u8], name: &str) -> Option<String> {
        let number = |at: usize| u32::from_le_bytes(cache[at..at + 4].try_into().unwrap()) as usize;
        let string = |at: usize| {
            let end = cache[at..].iter().position(|byte| *byte == 0).unwrap();
            str::from_utf8(&cache[at..at + end]).unwrap()
        };
        let (mut left, mut right) = (0, number(20));
        while left < right {
            let middle = (left + right) / 2;
            let entry = HEADER + ENTRY * middle;
            match compare_names(name.as_bytes(), string(number(entry + 4)).as_bytes()) {
                Ordering::Equal => return Some(string(number(entry + 8)).to_owned()),
                Ordering::Less => left = middle + 1,
                Ordering::Greater => right = middle,
            }
        }
        None
    }

    #[test]
    fn every_library_is_found() {
        let names = [
            "libc.so.6",
            "libcrypt.so.1",
            "libcrypto.so.3",
            "libz.so.1",
            "libssl.so.3",
            "libm.so.6",
            "libmvec.so.1",
            "libstdc++.so.6",
            "ld-linux-x86-64.so.2",
            "libffi.so.8",
            "libffi.so.10",
            "libnss_dns.so.2",
        ];
        let libraries: BTreeMap<String, String> =
            names.iter().map(|name| ((*name).to_owned(), format!("/usr/lib/{name}"))).collect();
        let cache = loader_cache(&libraries, Architecture::Amd64);
        assert_eq!(&cache[..20], b"glibc-ld.so.cache1.1");
        for name in names {
            assert_eq!(look_up(&cache, name).as_deref(), Some(format!("/usr/lib/{name}").as_str()));
        }
        assert_eq!(look_up(&cache, "libnone.so.1"), None);
        assert_eq!(loader_cache(&BTreeMap::new(), Architecture::Arm64).len(), HEADER);
    }

    #[test]
    fn names_order_as_in_glibc() {
        for (less, more) in
            [("libffi.so.8", "libffi.so.10"), ("liba.so", "libb.so"), ("lib.so", "lib1.so"), ("a", "a1")]
        {
            assert_eq!(compare_names(less.as_bytes(), more.as_bytes()), Ordering::Less, "{less} {more}");
        }
    }

    #[test]
    fn other_files_are_no_libraries() {
        for content in [&b""[..], b"\x7fELF", b"GROUP ( libx.so )", &[0x7f; 400]] {
            assert_eq!(shared_library(content, Architecture::Amd64), None);
        }
    }
}
