//! What is linked into a native file, as far as its bytes tell.
//!
//! A linker keeps no list. What is left are the words in which libraries tell their version, paths of sources in the messages of
//! a program that fails, and the list that `cargo auditable` writes. So what is found is a lower bound, and is called that.

use aho_corasick::AhoCorasick;
use kiln_record::{LinkEvidence, Linked};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::LazyLock;

/// The most parts that are told of one file.
const MOST: usize = 4096;
/// The longest name or version.
const LONGEST: usize = 128;
/// The largest list of `cargo auditable`, unpacked; that of a program with 1,000 crates has some 100 kB.
const LARGEST_LIST: u64 = 8 << 20;

/// How a sign is read.
#[derive(Clone, Copy)]
enum Sign {
    /// The version follows, and then one of these bytes.
    Version { name: &'static str, end: &'static [u8] },
    /// A folder `NAME-VERSION` follows; for some signs beneath another folder.
    Crate { beneath: bool, evidence: LinkEvidence },
    /// The name of a folder with a version, then a slash: Rust's own sources.
    Rust,
    /// Nothing follows: no other library has a function of this name, or these messages.
    Symbol { name: &'static str },
}

/// What is looked for.
const SIGNS: [(&str, Sign); 18] = [
    ("OpenSSL ", Sign::Version { name: "openssl", end: b" " }),
    ("libcurl/", Sign::Version { name: "curl", end: b" \0" }),
    ("libcurl v", Sign::Version { name: "curl", end: b" \0" }),
    (" deflate ", Sign::Version { name: "zlib", end: b" " }),
    (" inflate ", Sign::Version { name: "zlib", end: b" " }),
    ("a bug in bzip2/libbzip2, ", Sign::Version { name: "bzip2", end: b"," }),
    ("libpng version ", Sign::Version { name: "libpng", end: b" \n\0" }),
    ("libjpeg-turbo version ", Sign::Version { name: "libjpeg-turbo", end: b" \0" }),
    ("expat_", Sign::Version { name: "expat", end: b"\0" }),
    ("OpenBLAS ", Sign::Version { name: "openblas", end: b" \0" }),
    ("stable release version ", Sign::Version { name: "glibc", end: b".\0" }),
    // Its messages of errors, which no other C library has in this order; a program that is linked statically has no version of it.
    (
        "Illegal byte sequence\0Domain error\0Result not representable\0Not a tty\0",
        Sign::Symbol { name: "musl" },
    ),
    ("/registry/src/", Sign::Crate { beneath: true, evidence: LinkEvidence::SourcePath }),
    // Where Rust's own builds have what its standard library is made of.
    ("/rust/deps/", Sign::Crate { beneath: false, evidence: LinkEvidence::RustSource }),
    ("/cargo/registry/", Sign::Crate { beneath: false, evidence: LinkEvidence::SourcePath }),
    ("/usr/src/rustc-", Sign::Rust),
    ("ffi_prep_cif_machdep", Sign::Symbol { name: "libffi" }),
    ("cffistatic_ffi_call", Sign::Symbol { name: "libffi" }),
];

static LOOKED_FOR: LazyLock<Option<AhoCorasick>> =
    LazyLock::new(|| AhoCorasick::new(SIGNS.iter().map(|(sign, _)| sign)).ok());

/// The parts that the bytes of a file tell of. `auditable` is its section `.dep-v0`; `needed` are the libraries that it loads, which
/// therefore are not linked in.
pub(crate) fn linked(
    bytes: &[u8],
    auditable: Option<&[u8]>,
    needed: &[String],
    own: Option<&str>,
) -> Vec<Linked> {
    let mut parts: BTreeSet<Linked> = auditable.map(listed).unwrap_or_default();
    let looked_for = LOOKED_FOR.as_ref();
    for found in looked_for.into_iter().flat_map(|signs| signs.find_iter(bytes)) {
        if parts.len() >= MOST {
            break;
        }
        let rest = &bytes[found.end()..];
        let part = match SIGNS[found.pattern().as_usize()].1 {
            Sign::Version { name, end } => version(rest, end).map(|version| library(name, Some(version))),
            Sign::Symbol { name } => {
                // A library that loads it has the name, too.
                let loads =
                    needed.iter().map(String::as_str).chain(own).any(|library| library.starts_with(name));
                (!loads).then(|| library(name, None))
            }
            Sign::Crate { beneath, evidence } => folder_of_crate(rest, beneath, evidence),
            Sign::Rust => of_rust(rest),
        };
        parts.extend(part);
    }
    without_less_certain(parts)
}

/// A library that has no registry.
fn library(name: &str, version: Option<String>) -> Linked {
    let (purl, evidence) = match &version {
        Some(version) => (format!("pkg:generic/{name}@{version}"), LinkEvidence::VersionString),
        None => (format!("pkg:generic/{name}"), LinkEvidence::Symbol),
    };
    Linked { name: name.to_owned(), version, purl, evidence, archive: None }
}

fn rust_crate(name: &str, version: &str, evidence: LinkEvidence) -> Linked {
    let purl = format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"));
    Linked { name: name.to_owned(), version: Some(version.to_owned()), purl, evidence, archive: None }
}

/// A version, `3.0.13` or `3.0.2k`, and what must come after it.
fn version(rest: &[u8], end: &[u8]) -> Option<String> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'.' || *byte == b'-';
    let length = rest.iter().take(LONGEST).take_while(|byte| is_part(byte)).count();
    let mut text = &rest[..length];
    let mut after = rest.get(length).copied().unwrap_or(0);
    if text.ends_with(b".") && end.contains(&b'.') {
        text = &text[..length - 1];
        after = b'.';
    }
    let text = str::from_utf8(text).ok()?;
    let mut numbers = text.split('.');
    let is_version =
        numbers.next().is_some_and(|first| !first.is_empty() && first.bytes().all(|c| c.is_ascii_digit()))
            && numbers.next().is_some_and(|second| second.starts_with(|c: char| c.is_ascii_digit()));
    (is_version && end.contains(&after)).then(|| text.to_owned())
}

/// The crate whose folder a path goes through.
fn folder_of_crate(rest: &[u8], beneath: bool, evidence: LinkEvidence) -> Option<Linked> {
    let mut folders = rest.get(..rest.len().min(2 * LONGEST))?.split(|byte| *byte == b'/');
    let registry = if beneath { Some(str::from_utf8(folders.next()?).ok()?) } else { None };
    let folder = str::from_utf8(folders.next()?).ok()?;
    // Only a folder is followed by more of the path.
    folders.next()?;
    let part = named_with_version(folder, evidence)?;
    match registry.is_none_or(is_default_registry) {
        true => Some(part),
        // Somebody else may have a crate of that name in the default one.
        false => {
            let purl = part.purl.replacen("pkg:cargo/", "pkg:generic/", 1);
            Some(Linked { purl, ..part })
        }
    }
}

/// Whether cargo keeps the sources of its default registry in a folder of this name: a host, and a hash that tells registries of one
/// host apart.
fn is_default_registry(folder: &str) -> bool {
    // Where its index was a repository, before 2023, the hash alone was its own.
    let of_repository = "1ecc6299db9ec823";
    folder.rsplit_once('-').is_some_and(|(host, hash)| host.ends_with(".crates.io") || hash == of_repository)
}

/// `gimli-0.29.0` and `wasi-0.11.0+wasi-snapshot-preview1`: the version begins after the last hyphen that a digit and a dot follow.
fn named_with_version(folder: &str, evidence: LinkEvidence) -> Option<Linked> {
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_+.".contains(&c))
    };
    let at = folder.match_indices('-').map(|(at, _)| at).find(|at| {
        let version = &folder[at + 1..];
        let major = version.split('.').next().unwrap_or_default();
        !major.is_empty() && major.bytes().all(|c| c.is_ascii_digit()) && version.split('.').count() >= 3
    })?;
    let (name, version) = (&folder[..at], &folder[at + 1..]);
    (is_word(name) && is_word(version) && folder.len() <= LONGEST)
        .then(|| rust_crate(name, version, evidence))
}

/// Rust's standard library, or a crate that its sources carry: `1.85.1/library/std/…`, `1.85.1/vendor/gimli-0.31.1/…`.
fn of_rust(rest: &[u8]) -> Option<Linked> {
    let mut folders = rest.get(..rest.len().min(2 * LONGEST))?.split(|byte| *byte == b'/');
    let version = str::from_utf8(folders.next()?).ok()?;
    let is_version =
        version.split('.').count() == 3 && version.bytes().all(|c| c.is_ascii_digit() || c == b'.');
    if !is_version {
        return None;
    }
    match folders.next()? {
        b"library" => Some(Linked {
            name: "rust-std".to_owned(),
            version: Some(version.to_owned()),
            purl: format!("pkg:generic/rust-std@{version}"),
            evidence: LinkEvidence::RustSource,
            archive: None,
        }),
        b"vendor" => {
            let folder = str::from_utf8(folders.next()?).ok()?;
            folders.next()?;
            named_with_version(folder, LinkEvidence::RustSource)
        }
        _ => None,
    }
}

/// The list of `cargo auditable`: JSON, compressed as zlib does.
fn listed(section: &[u8]) -> BTreeSet<Linked> {
    #[derive(Deserialize)]
    struct List {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        source: String,
        #[serde(default)]
        kind: Option<String>,
    }
    let mut text = Vec::new();
    let unpacked = flate2::read::ZlibDecoder::new(section).take(LARGEST_LIST).read_to_end(&mut text);
    let list: Option<List> = unpacked.ok().and_then(|_| serde_json::from_slice(&text).ok());
    let packages = list.map(|list| list.packages).unwrap_or_default();
    packages
        .into_iter()
        .take(MOST)
        .filter(|package| package.kind.as_deref() != Some("build"))
        .filter_map(|package| {
            let folder = format!("{}-{}", package.name, package.version);
            let mut part = named_with_version(&folder, LinkEvidence::Auditable)?;
            // What is in no registry has no package URL of one.
            if package.source != "crates.io" {
                part.purl = format!("pkg:generic/{}@{}", package.name, package.version);
            }
            Some(part)
        })
        .collect()
}

/// Of one part, what tells most: a version over a mere name, a list over a path.
fn without_less_certain(parts: BTreeSet<Linked>) -> Vec<Linked> {
    let mut by_name: BTreeMap<(String, Option<String>), Linked> = BTreeMap::new();
    let versioned: BTreeSet<String> =
        parts.iter().filter(|part| part.version.is_some()).map(|part| part.name.clone()).collect();
    for part in parts {
        if part.version.is_none() && versioned.contains(&part.name) {
            continue;
        }
        let key = (part.name.clone(), part.version.clone());
        let known = by_name.entry(key).or_insert_with(|| part.clone());
        if part.evidence < known.evidence {
            *known = part;
        }
    }
    by_name.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn told(bytes: &[u8]) -> Vec<String> {
        linked(bytes, None, &[], None).into_iter().map(|part| part.purl).collect()
    }

    /// From a program that musl 1.2.3 was linked into statically, and from one of glibc.
    #[test]
    fn musl_is_known_by_its_messages_and_has_no_version() {
        let musl = b"\0No error information\0Illegal byte sequence\0Domain error\0Result not representable\0Not a tty\0Permission denied\0";
        assert_eq!(told(musl), ["pkg:generic/musl"]);
        let glibc = b"\0Invalid or incomplete multibyte or wide character\0Numerical argument out of domain\0Not a tty\0";
        assert_eq!(told(glibc), [""; 0]);
    }

    #[test]
    fn libraries_tell_their_version() {
        let bytes = b"x\0OpenSSL 3.0.13 30 Jan 2024\0 deflate 1.2.13 Copyright 1995-2022 \0libcurl/7.83.1\0\
            This is a bug in bzip2/libbzip2, 1.0.8, 13-Jul-2019.\0\
            GNU C Library (Debian GLIBC 2.41-12) stable release version 2.41.\nCopyright\0";
        assert_eq!(
            told(bytes),
            [
                "pkg:generic/bzip2@1.0.8",
                "pkg:generic/curl@7.83.1",
                "pkg:generic/glibc@2.41",
                "pkg:generic/openssl@3.0.13",
                "pkg:generic/zlib@1.2.13"
            ]
        );
    }

    #[test]
    fn words_that_only_look_like_it_tell_nothing() {
        for text in
            ["OpenSSL error", "OpenSSL 3", "OpenSSL 3.0.13", " deflate 1.2\0", "libcurl/\0", "expat_2", ""]
        {
            assert_eq!(told(text.as_bytes()), [""; 0], "{text}");
        }
    }

    #[test]
    fn paths_of_sources_name_crates() {
        let bytes = b"/root/.cargo/registry/src/any.crates.io-1949cf8c6b5b557f/serde_json-1.0.140/src/de.rs\0\
            /root/.cargo/registry/src/registry.example-1949cf8c6b5b557f/acme-core-1.2.0/src/lib.rs\0\
            /root/.cargo/registry/src/any.example-1ecc6299db9ec823/libc-0.2.170/src/lib.rs\0\
            /rust/deps/addr2line-0.24.2/src/lib.rs\0/usr/src/rustc-1.85.1/library/std/src/io.rs\0\
            /usr/src/rustc-1.85.1/vendor/gimli-0.31.1/src/read/mod.rs\0\
            /usr/share/cargo/registry/wasi-0.11.0+wasi-snapshot-preview1/src/lib.rs\0/rust/deps/no-version/src\0";
        assert_eq!(
            told(bytes),
            [
                "pkg:generic/acme-core@1.2.0",
                "pkg:cargo/addr2line@0.24.2",
                "pkg:cargo/gimli@0.31.1",
                "pkg:cargo/libc@0.2.170",
                "pkg:generic/rust-std@1.85.1",
                "pkg:cargo/serde_json@1.0.140",
                "pkg:cargo/wasi@0.11.0%2Bwasi-snapshot-preview1"
            ]
        );
        let of_rust: Vec<String> = linked(bytes, None, &[], None)
            .into_iter()
            .filter(|part| part.evidence == LinkEvidence::RustSource)
            .map(|part| part.name)
            .collect();
        assert_eq!(of_rust, ["addr2line", "gimli", "rust-std"]);
    }

    #[test]
    fn a_library_that_is_loaded_is_not_linked_in() {
        let bytes = b"\0ffi_prep_cif_machdep\0";
        assert_eq!(told(bytes), ["pkg:generic/libffi"]);
        assert_eq!(linked(bytes, None, &["libffi.so.8".to_owned()], None), []);
        assert_eq!(linked(bytes, None, &[], Some("libffi.so.8")), []);
    }

    #[test]
    fn the_list_of_cargo_auditable_is_read_and_bounded() {
        let json = br#"{"packages":[{"name":"a","version":"1.0.0","source":"crates.io"},
            {"name":"own","version":"0.1.0","source":"local","root":true},
            {"name":"cc","version":"1.2.3","source":"crates.io","kind":"build"}]}"#;
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(json).unwrap();
        let packed = packed.finish().unwrap();
        let parts = linked(b"/rust/deps/a-1.0.0/src/lib.rs", Some(&packed), &[], None);
        let told: Vec<(&str, LinkEvidence)> = parts.iter().map(|p| (p.purl.as_str(), p.evidence)).collect();
        assert_eq!(
            told,
            [
                ("pkg:cargo/a@1.0.0", LinkEvidence::Auditable),
                ("pkg:generic/own@0.1.0", LinkEvidence::Auditable)
            ]
        );
        assert_eq!(linked(b"", Some(b"not zlib"), &[], None), []);
    }
}
