//! The few files that maintainer scripts would have made, written by fixed rules.

use super::loader_cache::{SharedLibrary, loader_cache, shared_library};
use super::nodes::{InstalledPackage, Node, Nodes, PlacedNode};
use super::rules::MERGED;
use crate::ImageError;
use kiln_record::{Architecture, TreePath};
use std::collections::BTreeMap;

/// Folders that every root has, with their modes: mount points, Lambda's folders, and where programs expect to write.
const FOLDERS: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("opt", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/sbin", 0o755),
    ("var", 0o755),
    ("var/lib", 0o755),
    ("var/log", 0o755),
    ("var/task", 0o755),
    ("var/tmp", 0o1777),
];

/// Accounts where `base-passwd` is not part of the base.
const PASSWD: &str = "root:x:0:0:root:/root:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\n";
/// The account that steps run as if nothing else is asked for.
const NOBODY: &str = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const NOGROUP: &str = "nogroup:x:65534:\n";

/// Where names are looked up: what Debian's own default says, without the services that a base does not have.
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
    protocols: files\nservices: files\n";

/// Adds what no package ships:
///
/// - the folders of a root, and the links of merged `/usr`; `/var/run` and `/var/lock` as links into `/run`;
/// - `/etc/passwd` and `/etc/group` from `base-passwd`'s masters or with root alone, always with `nobody`;
/// - `/etc/nsswitch.conf`, if missing;
/// - `/etc/ssl/certs/ca-certificates.crt`: every certificate that a package ships below `/usr/share/ca-certificates`, in
///   path order, and `/usr/lib/ssl/cert.pem` as a link to it, which is where OpenSSL looks;
/// - `/etc/ld.so.cache`;
/// - `/var/lib/dpkg/status` and the lists in `/var/lib/dpkg/info`, so that scanners see the packages.
///
/// Alternatives are not set up and nothing is compiled.
pub(super) fn complete(
    root: &mut Nodes,
    installed: &[InstalledPackage],
    architecture: Architecture,
) -> Result<(), ImageError> {
    for (folder, mode) in FOLDERS {
        // Overwrites the plain folder of a package, never a file or link: that is found when parents are checked.
        let path = path(folder)?;
        if root.nodes.get(&path).is_none_or(|placed| placed.node == Node::FOLDER) {
            root.nodes.insert(path, PlacedNode { node: Node::Folder { mode: *mode }, owner: None });
        }
    }
    for name in MERGED {
        let target = format!("usr/{name}");
        // A folder may only be implied by what lies in it.
        if root.nodes.keys().any(|path| path.is_within(&target)) {
            link(root, name, &target)?;
        }
    }
    link(root, "var/run", "/run")?;
    link(root, "var/lock", "/run/lock")?;
    add_accounts(root)?;
    add_missing(root, "etc/nsswitch.conf", || NSSWITCH.to_owned().into_bytes())?;
    add_certificates(root)?;
    add_loader_cache(root, architecture)?;
    add_package_database(root, installed)
}

fn path(text: &str) -> Result<TreePath, ImageError> {
    TreePath::new(text).map_err(|error| ImageError::Image { reason: error.to_string() })
}

fn link(root: &mut Nodes, at: &str, target: &str) -> Result<(), ImageError> {
    let node = Node::Symlink { target: target.to_owned() };
    root.nodes.entry(path(at)?).or_insert(PlacedNode { node, owner: None });
    Ok(())
}

fn add_missing(root: &mut Nodes, at: &str, content: impl FnOnce() -> Vec<u8>) -> Result<(), ImageError> {
    let path = path(at)?;
    if !root.nodes.contains_key(&path) {
        root.generate(path, content());
    }
    Ok(())
}

fn add_accounts(root: &mut Nodes) -> Result<(), ImageError> {
    for (file, master, default, last) in [
        ("etc/passwd", "usr/share/base-passwd/passwd.master", PASSWD, NOBODY),
        ("etc/group", "usr/share/base-passwd/group.master", GROUP, NOGROUP),
    ] {
        let mut content = root.file(&path(master)?).unwrap_or(default.as_bytes()).to_vec();
        let account = last.split(':').next().unwrap_or_default();
        let is_there = content
            .split(|byte| *byte == b'\n')
            .any(|line| line.strip_prefix(account.as_bytes()).is_some_and(|rest| rest.starts_with(b":")));
        if !is_there {
            content.extend_from_slice(last.as_bytes());
        }
        add_missing(root, file, || content)?;
    }
    Ok(())
}

fn add_certificates(root: &mut Nodes) -> Result<(), ImageError> {
    let mut bundle = Vec::new();
    for certificate in root.nodes.keys().filter(|path| path.is_within("usr/share/ca-certificates")) {
        if certificate.as_str().ends_with(".crt")
            && let Some(content) = root.file(certificate)
        {
            bundle.extend_from_slice(content);
            if !content.ends_with(b"\n") {
                bundle.push(b'\n');
            }
        }
    }
    if bundle.is_empty() {
        return Ok(());
    }
    add_missing(root, "etc/ssl/certs/ca-certificates.crt", || bundle)?;
    link(root, "usr/lib/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt")
}

/// The folders that Debian's loader looks in, first to last.
fn library_folders(architecture: Architecture) -> [&'static str; 3] {
    match architecture {
        Architecture::Amd64 => ["usr/lib/x86_64-linux-gnu", "usr/lib", "usr/lib64"],
        Architecture::Arm64 => ["usr/lib/aarch64-linux-gnu", "usr/lib", "usr/lib64"],
    }
}

fn add_loader_cache(root: &mut Nodes, architecture: Architecture) -> Result<(), ImageError> {
    let mut libraries = BTreeMap::new();
    for folder in library_folders(architecture) {
        for candidate in root.nodes.keys().filter(|path| path.parent() == folder) {
            let name = candidate.file_name();
            if !(name.starts_with("lib") || name.starts_with("ld-")) || !name.contains(".so") {
                continue;
            }
            let Some(library) =
                follow(root, candidate).and_then(|content| shared_library(content, architecture))
            else {
                continue;
            };
            let soname = match library {
                SharedLibrary::Named(soname) => soname,
                SharedLibrary::Unnamed => name.to_owned(),
            };
            // As ldconfig does: the path that bears the library's own name, where there is one.
            let named = format!("{folder}/{soname}");
            let path = if root.nodes.contains_key(&path(&named)?) { named } else { candidate.to_string() };
            libraries.entry(soname).or_insert_with(|| format!("/{path}"));
        }
    }
    if libraries.is_empty() {
        return Ok(());
    }
    let cache = loader_cache(&libraries, architecture);
    add_missing(root, "etc/ld.so.cache", || cache)
}

/// The content behind a path, following links.
fn follow<'r>(root: &'r Nodes, path: &TreePath) -> Option<&'r [u8]> {
    let mut at = path.clone();
    // A longer way round is a loop.
    for _ in 0..16 {
        match &root.nodes.get(&at)?.node {
            Node::File { .. } => return root.file(&at),
            Node::Folder { .. } => return None,
            Node::Symlink { target } => {
                let joined = match target.strip_prefix('/') {
                    Some(absolute) => absolute.to_owned(),
                    None => format!("{}/{target}", at.parent()),
                };
                let mut components: Vec<&str> = Vec::new();
                for component in joined.split('/') {
                    match component {
                        "" | "." => {}
                        ".." => {
                            components.pop();
                        }
                        other => components.push(other),
                    }
                }
                if components.first().is_some_and(|first| MERGED.contains(first)) {
                    components.insert(0, "usr");
                }
                at = TreePath::new(&components.join("/")).ok()?;
            }
        }
    }
    None
}

fn add_package_database(root: &mut Nodes, installed: &[InstalledPackage]) -> Result<(), ImageError> {
    if installed.is_empty() {
        return Ok(());
    }
    let mut status = String::new();
    for package in installed {
        // The status line stands right after the name, as dpkg writes it.
        for line in package.control.lines() {
            status.push_str(line);
            status.push('\n');
            if line.get(..8).is_some_and(|field| field.eq_ignore_ascii_case("package:")) {
                status.push_str("Status: install ok installed\n");
            }
        }
        status.push('\n');
        let mut list = "/.\n".to_owned();
        for path in &package.paths {
            list.push('/');
            list.push_str(path.as_str());
            list.push('\n');
        }
        let qualifier =
            if package.multi_arch_same { format!(":{}", package.architecture) } else { String::new() };
        let file = path(&format!("var/lib/dpkg/info/{}{qualifier}.list", package.name))?;
        root.generate(file, list.into_bytes());
    }
    // The format in which list files bear the architecture.
    root.generate(path("var/lib/dpkg/info/format")?, b"1\n".to_vec());
    root.generate(path("var/lib/dpkg/status")?, status.into_bytes());
    Ok(())
}
