use super::*;

enum Item<'a> {
    Folder(&'a str),
    File(&'a str, &'a [u8]),
    Link(&'a str, &'a str),
}

fn tar(items: &[Item<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for item in items {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(0);
        match item {
            Item::Folder(path) => {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, path, std::io::empty()).unwrap();
            }
            Item::File(path, bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, path, *bytes).unwrap();
            }
            Item::Link(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

fn contents(layers: &[&[Item<'_>]]) -> ImageContents {
    let mut reader = ContentsReader::new();
    for layer in layers {
        reader.add(tar(layer).as_slice()).unwrap();
    }
    reader.finish().unwrap()
}

fn paths(contents: &ImageContents) -> Vec<&str> {
    contents.entries.keys().map(TreePath::as_str).collect()
}

#[test]
fn layers_lie_over_each_other_as_an_engine_unpacks_them() {
    let base: &[Item<'_>] = &[
        Item::Folder("a/"),
        Item::File("a/one", b"1"),
        Item::File("a/two", b"22"),
        Item::Folder("b/"),
        Item::File("b/three", b"333"),
        Item::File("c", b"4444"),
    ];
    let over: &[Item<'_>] = &[
        Item::File("a/.wh.one", b""),
        Item::File("b/.wh..wh..opq", b""),
        Item::File("b/new", b"55555"),
        Item::File(".wh.c", b""),
    ];
    let contents = contents(&[base, over]);
    assert_eq!(paths(&contents), ["a", "a/two", "b", "b/new"]);
    assert_eq!(contents.size(), (2, 7));
}

#[test]
fn links_are_followed_inside_the_image() {
    let contents = contents(&[&[
        Item::Link("lib", "usr/lib"),
        Item::Link("lib64", "/usr/lib64"),
        Item::Folder("usr/lib/x86_64-linux-gnu/"),
        Item::File("usr/lib/x86_64-linux-gnu/libz.so.1.3", b"elf"),
        Item::Link("usr/lib/x86_64-linux-gnu/libz.so.1", "libz.so.1.3"),
        Item::Folder("usr/lib64/"),
        Item::Link("usr/lib64/ld-linux-x86-64.so.2", "../lib/x86_64-linux-gnu/libz.so.1.3"),
        Item::File("usr/lib/python3/x.so", b"elf"),
        Item::Link("loop", "loop"),
        Item::Link("up", "../../../usr/lib"),
    ]]);
    assert_eq!(contents.loaders(), ["/lib64/ld-linux-x86-64.so.2"]);
    assert_eq!(
        contents.libraries(&[]).into_iter().collect::<Vec<_>>(),
        ["ld-linux-x86-64.so.2", "libz.so.1", "libz.so.1.3"]
    );
    assert!(contents.libraries(&["/usr/lib/python3"]).contains("x.so"));
    assert!(contents.has_file("/lib/x86_64-linux-gnu/libz.so.1"));
    assert!(!contents.has_file("/lib/x86_64-linux-gnu") && !contents.has_file("loop"));
    assert!(contents.has_file("/up/x86_64-linux-gnu/libz.so.1"), "the root has no parent");
}

#[test]
fn packages_account_for_their_files_once() {
    let status = b"Package: a\nStatus: install ok installed\nVersion: 1.0-1\nArchitecture: amd64\nMaintainer: A <a@example.org>\n\
        Description: the first\n more\n\nPackage: b\nStatus: install ok installed\nVersion: 2\nArchitecture: all\n\n\
        Package: gone\nStatus: deinstall ok config-files\nVersion: 3\nArchitecture: all\n";
    let contents = contents(&[&[
        Item::Link("bin", "usr/bin"),
        Item::Folder("usr/bin/"),
        Item::File("usr/bin/tool", b"12345"),
        Item::File("usr/share/doc", b"67"),
        Item::File("var/lib/dpkg/status", status),
        Item::File("var/lib/dpkg/info/a:amd64.list", b"/.\n/usr\n/usr/bin\n/bin/tool\n/bin\n"),
        Item::File("var/lib/dpkg/info/b.list", b"/usr/bin/tool\n/usr/share/doc\n/not/there\n"),
    ]]);
    let packages = contents.packages.unwrap();
    let told: Vec<_> = packages.iter().map(|p| (p.name.as_str(), p.bytes, p.files)).collect();
    assert_eq!(told, [("a", 5, 2), ("b", 2, 1)]);
    assert_eq!(packages[0].summary.as_deref(), Some("the first"));
    assert_eq!(packages[0].maintainer.as_deref(), Some("A <a@example.org>"));
}

#[test]
fn a_system_tells_its_name_and_the_versions_of_its_libraries() {
    let libc: &[u8] = b"\x7fELF\0GLIBC_2.2.5\0GLIBC_2.41\0GLIBC_2.9\0GLIBC_PRIVATE\0";
    let contents = contents(&[&[
        Item::File("usr/lib/os-release", b"NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"),
        Item::Link("etc/os-release", "../usr/lib/os-release"),
        Item::File("usr/lib/x86_64-linux-gnu/libc.so.6", libc),
        Item::Link("usr/lib/x86_64-linux-gnu/libstdc++.so.6", "libstdc++.so.6.0.33"),
        Item::File(
            "usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.33",
            b"\0GLIBCXX_3.4.9\0GLIBCXX_3.4.33\0CXXABI_1.3.15\0",
        ),
    ]]);
    assert_eq!(contents.system.as_deref(), Some("Debian GNU/Linux 13 (trixie)"));
    let told: Vec<_> =
        contents.interfaces.iter().map(|(name, version)| format!("{name} {version}")).collect();
    assert_eq!(told, ["CXXABI 1.3.15", "GLIBC 2.41", "GLIBCXX 3.4.33"]);
    assert_eq!(contents.packages, None, "nothing is said of packages");
}

#[test]
fn hostile_layers_are_refused() {
    let error = ContentsReader::new().add([7; 1024].as_slice()).unwrap_err().to_string();
    assert!(error.contains("damaged"), "{error}");
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.as_old_mut().name[..9].copy_from_slice(b"../escape");
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, std::io::empty()).unwrap();
    let hostile = builder.into_inner().unwrap();
    let error = ContentsReader::new().add(hostile.as_slice()).unwrap_err().to_string();
    assert!(error.contains("../escape") || error.contains(".."), "{error}");
}

#[test]
fn what_is_below_goes_and_what_sorts_between_stays() {
    let left = |path: &str, itself: bool| -> Vec<String> {
        let all = ["a", "a b", "a.b", "a/x", "a/x/y", "a0", "b"];
        let mut map = all.iter().map(|path| (TreePath::new(path).unwrap(), ())).collect();
        forget(&mut map, path, itself);
        map.keys().map(TreePath::to_string).collect()
    };
    assert_eq!(left("a", true), ["a b", "a.b", "a0", "b"]);
    assert_eq!(left("a", false), ["a", "a b", "a.b", "a0", "b"]);
    assert_eq!(left("a/x", true), ["a", "a b", "a.b", "a0", "b"]);
    assert_eq!(left("x", true).len(), 7);
    assert!(left("", false).is_empty());
}
