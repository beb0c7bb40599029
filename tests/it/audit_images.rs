//! Images of others, as engines and registries keep them, read without an engine.

use crate::harness::audit;
use fs_err as fs;
use kiln_engine::contract::{image_archive, tar_of};
use kiln_image::{Image, ImageSpec, Layer, write_oci_tar};
use kiln_record::{Digest, Epoch, exit};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

type Files<'a> = Vec<(&'a str, u32, &'a [u8])>;

const STATUS: &[u8] =
    b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.36-9\n\n\
    Package: tool\nStatus: install ok installed\nArchitecture: all\nVersion: 1.0\n";

fn files(mode: u32) -> Files<'static> {
    vec![
        ("var/lib/dpkg/status", 0o644, STATUS),
        ("var/lib/dpkg/info/libc6:amd64.list", 0o644, b"/.\n/lib\n/lib/libc.so.6\n"),
        ("var/lib/dpkg/info/tool.list", 0o644, b"/usr/bin/tool\n"),
        ("usr/lib/libc.so.6", 0o755, b"\x7fELF c library"),
        ("usr/bin/tool", mode, b"#!/bin/sh\n"),
        ("srv/app.py", 0o644, b"import alpha\n"),
        ("srv/site-packages/alpha.py", 0o644, b"VALUE = 1\n"),
        ("srv/site-packages/alpha-1.2.dist-info/METADATA", 0o644, b"Name: alpha\nVersion: 1.2\n"),
        (
            "srv/site-packages/alpha-1.2.dist-info/RECORD",
            0o644,
            b"alpha.py,,\nalpha-1.2.dist-info/METADATA,,\n",
        ),
    ]
}

/// The same files as an OCI layout in a tar.
fn oci(files: &Files<'_>) -> Vec<u8> {
    let layer = tar_of(files);
    let digest = Digest::of(&layer);
    let spec = ImageSpec {
        platform: "linux/amd64".parse().unwrap(),
        env: Vec::new(),
        user: None,
        working_dir: None,
        entrypoint: Vec::new(),
        command: Vec::new(),
        labels: BTreeMap::new(),
        created: Epoch::from_seconds(1_700_000_000).unwrap(),
    };
    let (size, media_type) = (layer.len() as u64, "application/vnd.oci.image.layer.v1.tar".to_owned());
    let image = Image::assemble(&spec, vec![Layer { digest, diff_id: digest, size, media_type }]).unwrap();
    let mut bytes = Vec::new();
    write_oci_tar(&mut bytes, &image, "example", |_| Ok(Box::new(std::io::Cursor::new(layer.clone()))))
        .unwrap();
    bytes
}

fn unpack(archive: &Path, folder: &Path) {
    fs::create_dir(folder).unwrap();
    let done = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(folder).status().unwrap();
    assert!(done.success());
}

#[test]
fn images_in_archives_and_layouts_are_read_without_an_engine() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("saved.tar"), image_archive(&files(0o755), &[], "example:1")).unwrap();
    fs::write(at.join("image.oci.tar"), oci(&files(0o755))).unwrap();
    unpack(&at.join("image.oci.tar"), &at.join("layout"));

    // The same files, whichever form they are in.
    for (before, after) in
        [("saved.tar", "image.oci.tar"), ("image.oci.tar", "layout"), ("layout", "saved.tar")]
    {
        let json = audit(at, &["diff", before, after, "--format", "json"]).ends_with(exit::SUCCESS).json();
        assert!(["same-content", "identical"].contains(&json["verdict"].as_str().unwrap()), "{json:#}");
        assert_eq!(json["components"], serde_json::json!([]));
    }
    let shown = audit(at, &["show", "layout", "--files"]).ends_with(exit::SUCCESS);
    shown.prints(&[
        "python/alpha",
        "debian/libc6",
        "2.36-9",
        "usr/bin/tool  debian/tool",
        "usr/lib/libc.so.6  debian/libc6",
    ]);

    // Equal files of other owners in another order: the tars of the layers tell.
    let mut turned = files(0o755);
    turned.reverse();
    fs::write(at.join("turned.tar"), image_archive(&turned, &[], "example:3")).unwrap();
    let told = audit(at, &["diff", "saved.tar", "turned.tar"]).ends_with(exit::SUCCESS);
    told.prints(&["only these fields of the container differ: order of layer 1"]);

    let mut other = files(0o4755);
    other[0].2 = b"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2.41-1\n";
    other[3].2 = b"\x7fELF another c library";
    other[6].2 = b"VALUE = 2\n";
    fs::write(at.join("other.tar"), image_archive(&other, &[], "example:2")).unwrap();
    let told = audit(at, &["diff", "saved.tar", "other.tar", "--fail-on", "privileged"])
        .ends_with(exit::DIFFERENCE_DENIED);
    told.prints(&[
        "upgraded    libc6 2.36-9 -> 2.41-1",
        "rebuilt     alpha 1.2",
        "removed     tool 1.0",
        "/usr/bin/tool runs as its owner or group",
        "first at line 1: VALUE = 1 -> VALUE = 2",
        "cause not known",
    ]);
}

#[test]
fn a_layer_that_is_not_what_the_config_says_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut bytes = image_archive(&files(0o755), &[], "example:1");
    let place = bytes.windows(9).position(|window| window == b"VALUE = 1").unwrap();
    bytes[place + 8] = b'7';
    fs::write(at.join("saved.tar"), bytes).unwrap();
    audit(at, &["show", "saved.tar"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["saved.tar: its layer", "and its config says"]);
    fs::write(at.join("plain.tar"), tar_of(&files(0o755))).unwrap();
    audit(at, &["show", "plain.tar"]).says(&["neither an OCI layout nor an archive of an image"]);
}
