//! Merging packages, on small packages made here.

use super::super::deb::tests::{Item, deb};
use super::super::loader_cache::tests::{library, look_up};
use super::*;
use std::collections::BTreeMap;

fn locked(name: &str, bytes: &[u8]) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: "1".to_owned(),
        architecture: "amd64".to_owned(),
        size: bytes.len() as u64,
        digest: Digest::of(bytes),
    }
}

fn assemble(packages: &[(&str, &[Item<'_>])]) -> Result<AssembledRootFs, ImageError> {
    let mut root = RootFs::new();
    for (name, items) in packages {
        let bytes = deb(name, "1", items);
        root.add_deb(&locked(name, &bytes), bytes.as_slice())?;
    }
    root.finish(&RootFsRules {
        epoch: Epoch::from_seconds(1_700_000_000).unwrap(),
        architecture: Architecture::Amd64,
    })
}

fn layer(root: &AssembledRootFs) -> (Vec<u8>, crate::Layer) {
    let mut bytes = Vec::new();
    let layer = root.write_layer(&mut bytes).unwrap();
    assert_eq!((layer.digest, layer.size), (Digest::of(&bytes), bytes.len() as u64));
    (bytes, layer)
}

/// The entries of a tar as `kind mode target`.
fn listing(tar: &[u8]) -> BTreeMap<String, String> {
    let mut archive = tar::Archive::new(tar);
    let mut all = BTreeMap::new();
    let mut before = String::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(
            (header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()),
            (0, 0, 1_700_000_000)
        );
        assert_eq!(
            (header.username_bytes().unwrap(), header.groupname_bytes().unwrap()),
            (&b""[..], &b""[..])
        );
        let path = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let bare = path.trim_end_matches('/').to_owned();
        assert!(before < bare, "{before} {bare}");
        before.clone_from(&bare);
        let link =
            entry.link_name_bytes().map(|l| String::from_utf8(l.into_owned()).unwrap()).unwrap_or_default();
        let kind = char::from(header.entry_type().as_byte());
        all.insert(path, format!("{kind} {:04o} {link}", header.mode().unwrap()).trim_end().to_owned());
    }
    all
}

fn content(root: &AssembledRootFs, path: &str) -> String {
    String::from_utf8(root.file(&TreePath::new(path).unwrap()).unwrap().to_vec()).unwrap()
}

const A: &[Item<'_>] = &[
    Item::Dir("./lib/"),
    Item::File("./lib/x86_64-linux-gnu/liba.so.1.2", 0o644, b"liba"),
    Item::Symlink("./lib/x86_64-linux-gnu/liba.so.1", "liba.so.1.2"),
    Item::File("./usr/share/doc/a/changelog.gz", 0o644, b"log"),
    Item::File("./usr/share/doc/a/copyright", 0o600, b"licence"),
    Item::File("./etc/shared", 0o644, b"same"),
];
const B: &[Item<'_>] = &[
    Item::Symlink("./lib", "usr/lib"),
    Item::File("./usr/lib/x86_64-linux-gnu/libb.so", 0o644, b"libb"),
    Item::File("./bin/tool", 0o4755, b"tool"),
    Item::Hardlink("./bin/alias", "./bin/tool"),
    Item::File("./etc/shared", 0o644, b"same"),
];

#[test]
fn usr_is_merged_and_rules_apply() {
    let root = assemble(&[("a", A), ("b", B)]).unwrap();
    let entries = listing(&layer(&root).0);
    for (path, expect) in [
        ("bin", "2 0777 usr/bin"),
        ("lib", "2 0777 usr/lib"),
        ("sbin", "2 0777 usr/sbin"),
        ("tmp/", "5 1777"),
        ("root/", "5 0700"),
        ("var/task/", "5 0755"),
        ("var/run", "2 0777 /run"),
        ("usr/bin/alias", "0 0755"),
        ("usr/bin/tool", "1 0755 usr/bin/alias"),
        ("usr/lib/x86_64-linux-gnu/liba.so.1", "2 0777 liba.so.1.2"),
        ("usr/lib/x86_64-linux-gnu/libb.so", "0 0644"),
        ("usr/share/doc/a/copyright", "0 0644"),
    ] {
        assert_eq!(entries.get(path).map(String::as_str), Some(expect), "{path}");
    }
    assert!(!entries.contains_key("usr/share/doc/a/changelog.gz"));
    assert!(!entries.contains_key("lib64"), "there is no /usr/lib64 here");
    assert_eq!(root.report().privileged, [TreePath::new("usr/bin/tool").unwrap()]);
    assert!(root.report().generated.contains(&TreePath::new("etc/passwd").unwrap()));
}

#[test]
fn order_of_packages_cannot_be_seen() {
    let c: &[Item<'_>] = &[
        Item::File("./etc/shared", 0o644, b"same"),
        Item::Hardlink("./etc/linked", "./etc/shared"),
        Item::Dir("./usr/share/empty/"),
    ];
    let all = [("a", A), ("b", B), ("c", c)];
    let expect = layer(&assemble(&all).unwrap()).1;
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let packages = order.map(|at| all[at]);
        assert_eq!(layer(&assemble(&packages).unwrap()).1, expect, "{order:?}");
    }
}

#[test]
fn different_content_at_one_path_names_both_packages() {
    for items in [
        &[Item::File("./etc/shared", 0o644, b"other")][..],
        &[Item::File("./etc/shared", 0o755, b"same")],
        &[Item::Symlink("./etc/shared", "x")],
        &[Item::Dir("./etc/shared")],
    ] {
        for packages in [[("a", A), ("z", items)], [("z", items), ("a", A)]] {
            let error = assemble(&packages).unwrap_err().to_string();
            assert!(error.contains("`/etc/shared` is in a and in z"), "{error}");
        }
    }
}

#[test]
fn paths_below_links_are_refused() {
    let error = assemble(&[
        ("a", &[Item::Symlink("./usr/share/x", "/etc")]),
        ("b", &[Item::File("./usr/share/x/passwd", 0o644, b"")]),
    ])
    .unwrap_err()
    .to_string();
    assert!(error.contains("cannot unpack b") && error.contains("which a ships"), "{error}");
    let error = assemble(&[("a", &[Item::Symlink("./var/lib/dpkg", "/etc")])]).unwrap_err().to_string();
    assert!(error.contains("which a ships"), "{error}");
}

#[test]
fn hard_links_must_stay_in_their_package() {
    let link: &[Item<'_>] = &[Item::Hardlink("./etc/mine", "./etc/shared")];
    assert!(assemble(&[("a", A), ("z", link)]).is_err());
}

#[test]
fn a_file_that_is_not_the_locked_one_is_refused() {
    let bytes = deb("a", "1", A);
    let mut root = RootFs::new();
    let good = locked("a", &bytes);
    for bad in [
        LockedPackage { digest: Digest::of(b""), ..good.clone() },
        LockedPackage { size: good.size - 1, ..good.clone() },
        LockedPackage { size: good.size + 1, ..good.clone() },
        LockedPackage { size: 0, ..good.clone() },
        LockedPackage { size: u64::MAX, ..good.clone() },
    ] {
        let error = root.add_deb(&bad, bytes.as_slice()).unwrap_err();
        assert!(matches!(error, ImageError::PackageDigest { .. }), "{error}");
    }
    for bad in [
        LockedPackage { name: "b".to_owned(), ..good.clone() },
        LockedPackage { version: "2".to_owned(), ..good.clone() },
        LockedPackage { architecture: "all".to_owned(), ..good.clone() },
    ] {
        let error = root.add_deb(&bad, bytes.as_slice()).unwrap_err().to_string();
        assert!(error.contains("its control file says"), "{error}");
    }
    root.add_deb(&good, bytes.as_slice()).unwrap();
    assert!(root.add_deb(&good, bytes.as_slice()).unwrap_err().to_string().contains("already"));
}

#[test]
fn files_that_scripts_would_have_made() {
    let root = assemble(&[(
        "ca-certificates",
        &[
            Item::File("./usr/share/ca-certificates/b.crt", 0o644, b"B"),
            Item::File("./usr/share/ca-certificates/a.crt", 0o644, b"A\n"),
            Item::File("./usr/share/ca-certificates/note.txt", 0o644, b"N\n"),
            Item::File("./usr/share/base-passwd/passwd.master", 0o644, b"root:*:0:0:root:/root:/bin/bash\n"),
        ],
    )])
    .unwrap();
    assert_eq!(content(&root, "etc/ssl/certs/ca-certificates.crt"), "A\nB\n");
    let passwd = content(&root, "etc/passwd");
    assert!(passwd.starts_with("root:*:0:") && passwd.contains("\nnobody:x:65534:"), "{passwd}");
    assert_eq!(content(&root, "etc/group"), "root:x:0:\nnogroup:x:65534:\n");
    assert!(content(&root, "etc/nsswitch.conf").contains("hosts: files dns"));
    assert_eq!(
        content(&root, "var/lib/dpkg/status"),
        "Package: ca-certificates\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\nDescription: test\n\n"
    );
    let list = content(&root, "var/lib/dpkg/info/ca-certificates.list");
    assert!(list.starts_with("/.\n/usr/share/base-passwd/passwd.master\n"), "{list}");
    let paths: BTreeMap<&str, Option<&str>> =
        root.paths().map(|(path, owner)| (path.as_str(), owner)).collect();
    assert_eq!(paths["usr/share/ca-certificates/a.crt"], Some("ca-certificates"));
    assert_eq!(paths["etc/passwd"], None);
}

#[test]
fn files_of_packages_win_over_generated_ones() {
    let root = assemble(&[("a", &[Item::File("./etc/nsswitch.conf", 0o644, b"mine")])]).unwrap();
    assert_eq!(content(&root, "etc/nsswitch.conf"), "mine");
}

#[test]
fn the_loader_finds_libraries_by_their_own_names() {
    let machine = Architecture::Amd64.elf_machine();
    let real = library(Some("liba.so.1"), machine);
    let unlinked = library(Some("libb.so.2"), machine);
    let other_machine = library(Some("libc.so.3"), 3);
    let linked = library(Some("libd.so.4"), machine);
    let root = assemble(&[(
        "a",
        &[
            Item::File("./lib/x86_64-linux-gnu/liba.so.1.5", 0o644, &real),
            Item::Symlink("./lib/x86_64-linux-gnu/liba.so.1", "liba.so.1.5"),
            Item::Symlink("./usr/lib/x86_64-linux-gnu/liba.so", "/lib/x86_64-linux-gnu/liba.so.1"),
            Item::File("./usr/lib/libb.so.2.1", 0o644, &unlinked),
            Item::File("./usr/lib/libc.so.3", 0o644, &other_machine),
            Item::File("./usr/lib/libtext.so", 0o644, b"GROUP ( liba.so )"),
            Item::File("./usr/lib/private/libd.so.4", 0o644, &linked),
            Item::Symlink("./usr/lib/libd.so.4", "../lib/./private/libd.so.4"),
            Item::Symlink("./usr/lib/libloop.so", "libloop.so"),
        ],
    )])
    .unwrap();
    let cache = root.file(&TreePath::new("etc/ld.so.cache").unwrap()).unwrap();
    for (name, expect) in [
        ("liba.so.1", Some("/usr/lib/x86_64-linux-gnu/liba.so.1")),
        ("liba.so", None),
        ("libb.so.2", Some("/usr/lib/libb.so.2.1")),
        ("libc.so.3", None),
        ("libd.so.4", Some("/usr/lib/libd.so.4")),
        ("libloop.so", None),
    ] {
        assert_eq!(look_up(cache, name).as_deref(), expect, "{name}");
    }
}

#[test]
fn long_paths_and_links_are_kept() {
    let long = format!("usr/share/{}/{}", "d".repeat(60), "f".repeat(60));
    let target = format!("../{}", "t".repeat(150));
    let mut root = assemble(&[("a", A)]).unwrap();
    let path = TreePath::new(&long).unwrap();
    root.root.generate(path, b"content".to_vec());
    let link = TreePath::new(&format!("{long}-link")).unwrap();
    let node = Node::Symlink { target: target.clone() };
    root.root.nodes.insert(link, PlacedNode { node, owner: None });
    let entries = listing(&layer(&root).0);
    assert_eq!(entries[&long], "0 0644");
    assert_eq!(entries[&format!("{long}-link")], format!("2 0777 {target}"));
}

/// This digest changes only with the format: a change here changes every base.
#[test]
fn golden_layer() {
    let layer = layer(&assemble(&[("a", A), ("b", B)]).unwrap()).1;
    assert_eq!(
        (layer.size, layer.digest.hex().as_str()),
        (29_184, "35c7b73f701f6ecbdb835fd58fffd1a439d91804121c55dcc208915f7fcd4b4d")
    );
}
