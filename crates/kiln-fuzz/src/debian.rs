//! Debian archives: packages, indexes, versions and signatures.

use crate::invariant::holds;
use crate::sections::{sections, text_of};
use kiln_image::ContentsReader;
use kiln_image::debian::{
    Keyring, LockedPackage, PackageIndex, Release, RootFs, RootFsRules, UnpackedPackage, Version,
    decompress_xz, listed_files, resolve, verify_cleartext,
};
use kiln_record::{Architecture, Digest, Epoch};

/// What the control file of a package in the corpus says.
const CONTROL: &str = "Package: demo\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: Demo <demo@example.org>\n\
                       Description: a package for tests\n";
/// The most that an index may hold here, in bytes.
const INDEX_LIMIT: u64 = 1 << 20;

/// Packages: what can be unpacked and merged gives one layer, the same each time, that can be read. Data that is no `ar`
/// archive is taken for the data tarball of a package.
pub fn deb(data: &[u8]) {
    let package;
    let bytes = if data.starts_with(b"!<arch>\n") {
        data
    } else {
        package = around(data);
        &package
    };
    let locked = LockedPackage {
        name: "demo".to_owned(),
        version: "1.0-1".to_owned(),
        architecture: "amd64".to_owned(),
        size: bytes.len() as u64,
        digest: Digest::of(bytes),
    };
    if UnpackedPackage::read(&locked, bytes).is_err() {
        return;
    }
    holds(listed_files("demo", bytes, &|_| true), "what is unpacked is listed");
    let layer = || -> Option<Vec<u8>> {
        let mut root = RootFs::new();
        root.add(holds(UnpackedPackage::read(&locked, bytes), "what was read is read again")).ok()?;
        let epoch = holds(Epoch::from_seconds(0), "a time");
        let rules = RootFsRules { epoch, architecture: Architecture::Amd64 };
        let assembled = root.finish(&rules).ok()?;
        let mut tar = Vec::new();
        let layer = holds(assembled.write_layer(&mut tar), "a root file system is written");
        assert_eq!((layer.digest, layer.size), (Digest::of(&tar), tar.len() as u64));
        Some(tar)
    };
    let Some(once) = layer() else { return };
    assert!(layer().as_ref() == Some(&once), "one package gives one layer");
    let mut reader = ContentsReader::new();
    holds(reader.add(once.as_slice()), "what was written is read");
    holds(reader.finish(), "what was written is read");
}

/// A package around a data tarball.
fn around(data: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..9].copy_from_slice(b"./control");
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", CONTROL.len()).as_bytes());
    header[156] = b'0';
    header[257..263].copy_from_slice(b"ustar\0");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..154].copy_from_slice(format!("{sum:06o}").as_bytes());
    header[154] = 0;
    let mut control = header.to_vec();
    control.extend(CONTROL.as_bytes());
    control.resize(control.len().next_multiple_of(512) + 1024, 0);
    let mut ar = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("control.tar", &control), ("data.tar", data)] {
        ar.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len()).bytes(),
        );
        ar.extend(content);
        if content.len() % 2 == 1 {
            ar.push(b'\n');
        }
    }
    ar
}

/// `Release` and `Packages`, the latter compressed or not: what an index names is found by its name, and what is resolved
/// is closed under what it depends on.
pub fn debian_index(data: &[u8]) {
    let unpacked;
    let bytes = if data.starts_with(b"\xfd7zXZ") {
        let Ok(index) = decompress_xz(data, INDEX_LIMIT) else { return };
        assert!(index.len() as u64 <= INDEX_LIMIT);
        unpacked = index;
        &unpacked
    } else {
        data
    };
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(release) = Release::parse(text)
    {
        let _ = (release.published(), release.usable_until(), release.is_for("stable"));
        let _ = release.package_index("main", "amd64");
    }
    let Ok(index) = PackageIndex::parse(bytes) else { return };
    let wanted: Vec<String> = std::str::from_utf8(bytes)
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.strip_prefix("Package: "))
        .take(3)
        .map(str::to_owned)
        .collect();
    let Ok(chosen) = resolve(&index, "amd64", &wanted, &[]) else { return };
    for name in &wanted {
        assert!(chosen.iter().any(|package| package.name == *name), "`{name}` is wanted and chosen");
    }
    assert!(chosen.windows(2).all(|pair| pair[0].name < pair[1].name), "sorted, and each once");
    let names: Vec<String> = chosen.iter().map(|package| package.name.clone()).collect();
    let again = holds(resolve(&index, "amd64", &names, &[]), "what is chosen needs nothing else");
    assert_eq!(again.len(), chosen.len(), "what is chosen needs nothing else");
}

/// Versions: what is written is read back, and the order is total.
pub fn debian_version(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let versions: Vec<Version> = text.lines().take(8).filter_map(|line| line.parse().ok()).collect();
    for a in &versions {
        assert_eq!(&holds(a.to_string().parse::<Version>(), "a version is read back"), a);
        for b in &versions {
            assert_eq!(a.cmp(b), b.cmp(a).reverse(), "{a} and {b}");
            assert_eq!(a == b, a.cmp(b).is_eq(), "{a} and {b}");
            for c in &versions {
                assert!(!(a <= b && b <= c) || a <= c, "{a}, {b} and {c}");
            }
        }
    }
}

/// Keyrings and signed documents, in the sections `keyring` and `document`, or a keyring alone: what is signed is text of
/// the document, with no white space at line ends, and by a key of the keyring.
pub fn openpgp(data: &[u8]) {
    let files = sections(data);
    let Some(document) = text_of(&files, "document") else {
        let _ = Keyring::parse(data);
        return;
    };
    let Ok(keyring) = Keyring::parse(text_of(&files, "keyring").unwrap_or_default().as_bytes()) else {
        return;
    };
    let Ok(signed) = verify_cleartext(document.as_bytes(), &keyring, None) else { return };
    assert!(keyring.fingerprints().any(|fingerprint| fingerprint == signed.signer));
    let text = holds(String::from_utf8(signed.text), "what is signed is text");
    for line in text.lines() {
        assert_eq!(line.trim_end_matches([' ', '\t', '\r']), line);
        assert!(document.contains(line), "what is signed is in the document");
    }
}
