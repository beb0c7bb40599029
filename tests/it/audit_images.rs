//! Images of others, as engines and registries keep them, read without an engine.

use crate::harness::{Release, audit};
use fs_err as fs;
use kiln_engine::contract::{image_archive, tar_of};
use kiln_image::{Image, ImageSpec, Layer, write_oci_tar};
use kiln_record::{Digest, Ecosystem, Epoch, InputRole, exit};
use std::collections::BTreeMap;
use std::io::Write as _;
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

/// rpm's own database of three packages, one of them with an epoch.
const RPM: &[u8] = include_bytes!("../../crates/kiln-image/src/rpm/testdata/rpmdb.sqlite.gz");

/// The same files as an OCI layout in a tar.
fn oci(files: &Files<'_>) -> Vec<u8> {
    laid_out(files, "application/vnd.oci.image.layer.v1.tar", |tar| tar)
}

/// The same with a layer that is kept in another form than as its tar.
fn laid_out(files: &Files<'_>, media_type: &str, keep: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let tar = tar_of(files);
    let diff_id = Digest::of(&tar);
    let layer = keep(tar);
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
    let (size, media_type) = (layer.len() as u64, media_type.to_owned());
    let image = Image::assemble(&spec, vec![Layer { digest, diff_id, size, media_type }]).unwrap();
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
fn how_equal_layers_are_compressed_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let zipped = |name: &str, level: u32, header: fn(flate2::GzBuilder) -> flate2::GzBuilder| {
        let image = laid_out(&files(0o755), "application/vnd.oci.image.layer.v1.tar+gzip", |tar| {
            let builder = header(flate2::GzBuilder::new().operating_system(255));
            let mut encoder = builder.write(Vec::new(), flate2::Compression::new(level));
            encoder.write_all(&tar).unwrap();
            encoder.finish().unwrap()
        });
        fs::write(at.join(name), image).unwrap();
    };
    zipped("plain.oci.tar", 6, |builder| builder);
    zipped("timed.oci.tar", 6, |builder| {
        builder.mtime(1_700_000_000).filename("layer.tar").operating_system(3)
    });
    zipped("best.oci.tar", 9, |builder| builder);
    zipped("quick.oci.tar", 2, |builder| builder);
    fs::write(at.join("open.oci.tar"), oci(&files(0o755))).unwrap();
    let fields = |before: &str, after: &str| -> Vec<String> {
        let json = audit(at, &["diff", before, after, "--format", "json"]).ends_with(exit::SUCCESS).json();
        assert_eq!(json["verdict"], "same-content", "{json:#}");
        let all = json["container_fields"].as_array().unwrap().iter();
        all.map(|one| {
            let text = |key: &str| one[key].as_str().unwrap().to_owned();
            format!("{}: {} -> {}", text("field"), text("before"), text("after"))
        })
        .collect()
    };
    assert_eq!(
        fields("plain.oci.tar", "timed.oci.tar"),
        [
            "time in the header of gzip of layer 1: 0 -> 1700000000",
            "name in the header of gzip of layer 1: none -> layer.tar",
            "system in the header of gzip of layer 1: not told -> Unix",
        ]
    );
    let effort = fields("plain.oci.tar", "best.oci.tar");
    assert_eq!(effort, ["effort of the compressor in the header of gzip of layer 1: 0 -> 2"]);
    assert_eq!(fields("plain.oci.tar", "open.oci.tar"), ["compression of layer 1: gzip -> none"]);
    // A level that the header does not tell.
    let quick = fields("plain.oci.tar", "quick.oci.tar");
    assert!(quick.len() == 1 && quick[0].starts_with("compressed stream of layer 1: "), "{quick:?}");
}

#[test]
fn packages_of_rpm_are_told_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut database = Vec::new();
    std::io::copy(&mut flate2::read::GzDecoder::new(RPM), &mut database).unwrap();
    let image = |name: &str, database: &[u8]| {
        let files: Files<'_> = vec![
            ("usr/lib/os-release", 0o644, b"ID=amzn\nVERSION_ID=2023\n"),
            ("var/lib/rpm/rpmdb.sqlite", 0o644, database),
            ("srv/app.py", 0o644, b"import os\n"),
        ];
        fs::write(at.join(name), image_archive(&files, &[], "example:1")).unwrap();
    };
    image("monday.tar", &database);
    // The releases of packages, in place: rpm keeps their texts in headers.
    let (was, is) = (b"1.amzn2023.0.12", b"1.amzn2023.0.13");
    let places =
        (0..database.len() - was.len()).filter(|at| database[*at..].starts_with(was)).collect::<Vec<_>>();
    for place in places {
        database[place..place + is.len()].copy_from_slice(is);
    }
    image("tuesday.tar", &database);
    let told = audit(at, &["diff", "monday.tar", "tuesday.tar", "--format", "json"]).ends_with(exit::SUCCESS);
    let json = told.json();
    let components: Vec<&serde_json::Value> = json["components"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| one["id"].as_str().unwrap().starts_with("rpm/"))
        .collect();
    let libs =
        components.iter().find(|one| one["id"] == "rpm/openssl-libs").unwrap_or_else(|| panic!("{told}"));
    assert!(libs["before_version"].as_str().unwrap().ends_with("3.0.8-1.amzn2023.0.12"), "{told}");
    assert!(components.iter().all(|one| one["kind"] == "upgraded"), "{told}");
    audit(at, &["show", "monday.tar"])
        .ends_with(exit::SUCCESS)
        .prints(&["rpm/openssl-libs", "3.0.8-1.amzn2023.0.12"]);
}

#[test]
fn packages_of_rpm_of_a_base_that_moved_are_told_of_zips_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (day, base, version) in
        [("monday", "1", "1:3.0.8-1.amzn2023.0.12"), ("tuesday", "2", "1:3.0.8-1.amzn2023.0.13")]
    {
        let mut image = Release::new("web");
        // The manifest of a base is the digest that the input of a zip on it has.
        let manifest = format!("python-3.13 {base}");
        image.on_base_of(
            Ecosystem::Rpm,
            &manifest,
            &[("openssl-libs", version, 100), ("zlib", "1.2.11-1", 10)],
        );
        image.write(&at.join(day).join("web"));
        let mut zip = Release::new("app");
        zip.inputs.insert((InputRole::Base, "python-3.13"), base.to_owned());
        zip.write(&at.join(day).join("app"));
    }
    for format in ["human", "markdown", "html"] {
        let told =
            audit(at, &["diff", "monday/app", "tuesday/app", "--format", format]).ends_with(exit::SUCCESS);
        told.prints(&["openssl-libs", "0.12", "0.13"]);
    }
    let json =
        audit(at, &["diff", "monday/app", "tuesday/app", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let base = json["inputs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["role"] == "base" && !one["packages"].is_null());
    let moved = &base.unwrap_or_else(|| panic!("{json:#}"))["packages"]["moved"];
    assert_eq!(moved.as_array().unwrap().len(), 1, "{json:#}");
    assert_eq!(moved[0]["name"], "openssl-libs");
    // Of the images themselves each is a component.
    let told = audit(at, &["diff", "monday/web", "tuesday/web"]).ends_with(exit::SUCCESS);
    told.prints(&[
        "upgraded    openssl-libs 1:3.0.8-1.amzn2023.0.12 -> 1:3.0.8-1.amzn2023.0.13",
        "base changed",
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
