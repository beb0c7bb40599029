//! Everything that can be named where a build is asked for, in a folder without a workspace, without an engine, and with no variable
//! that says where anything is.

use crate::harness::{Release, audit, runs};
use fs_err as fs;
use kiln_record::{Digest, InputRole, Output, exit};
use std::io::{Cursor, Write as _};
use std::path::Path;
use std::process::Command;

fn release() -> Release {
    let mut release = Release::new("app");
    release
        .own("data/words.txt", "once upon a time ".repeat(200).as_bytes())
        .distribution("alpha", "1.2", "alpha/__init__.py", b"VALUE = 1\n")
        .distribution("beta", "2.0", "vendor/beta.py", b"VALUE = 2\n");
    // A distribution that somebody copied into a folder of the source.
    let info: Vec<String> =
        release.files.keys().filter(|path| path.starts_with("beta-2.0")).cloned().collect();
    for path in info {
        let (mode, content, owner) = release.files.remove(&path).unwrap();
        let content = String::from_utf8(content).unwrap().replace("vendor/", "").into_bytes();
        release.files.insert(format!("vendor/{path}"), (mode, content, owner));
    }
    release
}

/// The files of a release as somebody has them who packs them with another tool.
fn unpacked(release: &Release, folder: &Path) {
    for (path, (mode, content, _)) in &release.files {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode.bits());
        fs::set_permissions(&path, mode).unwrap();
    }
}

#[test]
fn nothing_that_reads_needs_a_workspace() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    release().write(&at.join("release"));
    for named in ["release", "release/record.json", "release/app.zip"] {
        audit(at, &["show", named]).ends_with(exit::SUCCESS).prints(&[named, "python/alpha", "lambda-zip"]);
        audit(at, &["diff", named, "release"]).ends_with(exit::SUCCESS).prints(&["app: identical, sha256:"]);
        let explained =
            audit(at, &["explain", named, "alpha", "--format", "json"]).ends_with(exit::SUCCESS).json();
        assert_eq!(explained["components"][0]["id"], "python/alpha");
    }
    audit(at, &["verify", "release/app.zip"]).ends_with(exit::SUCCESS).prints(&["same release/app.zip"]);
    let lines = |words: &[&str]| audit(at, words).ends_with(exit::SUCCESS).stdout.lines().count();
    audit(at, &["verify", "release"]).ends_with(exit::SUCCESS).prints(&[
        "same release: ",
        "each as its record says; not held against a ledger: none here has such a build",
    ]);
    assert_eq!(lines(&["verify", "release"]), 1);
    assert_eq!(lines(&["verify", "-v", "release"]), 3 * fs::read_dir(at.join("release")).unwrap().count());
    let stored = audit(at, &["history", "release/record.json"]).ends_with(exit::SUCCESS);
    stored.prints(&["app"]);
    // Nothing was written.
    assert_eq!(fs::read_dir(at).unwrap().count(), 1);

    for (arguments, says) in [
        (&["diff", "app@1", "release"][..], "no workspace here whose ledger could know an artifact `app`"),
        (&["show", "app"], "name a record.json, an archive, a dist folder"),
        (&["verify"], "there is no kiln.toml"),
        (&["build", "--all"], "there is no kiln.toml"),
        (&["history"], "there is no workspace here"),
        (&["diff", "release", "nowhere/record.json"], "there is no such file"),
        (&["diff", "git:HEAD", "release"], "git cannot be run"),
    ] {
        let outcome = audit(at, arguments);
        outcome.ends_with(exit::INPUT_INVALID).says(&[says]);
    }
}

#[test]
fn zips_of_other_tools_have_the_same_content_in_another_container() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    release().write(&at.join("kiln"));
    unpacked(&release(), &at.join("files"));
    let inputs = at.join("files");
    let tool = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(&inputs).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    };
    tool("zip", &["-q", "-r", "../by-zip.zip", "."]);
    let script = "import os, zipfile\n\
                  with zipfile.ZipFile('../by-python.zip', 'w', zipfile.ZIP_DEFLATED) as archive:\n\
                  \x20   for root, folders, files in os.walk('.'):\n\
                  \x20       for name in files: archive.write(os.path.join(root, name))\n";
    tool("python3", &["-c", script]);
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .unix_permissions(0o644);
    for (path, (_, content, _)) in release().files.iter().rev() {
        zip.start_file(path.as_str(), stored).unwrap();
        zip.write_all(content).unwrap();
    }
    fs::write(at.join("by-rust.zip"), zip.finish().unwrap().into_inner()).unwrap();

    for (other, fields) in [
        ("by-zip.zip", &["entries of folders", "extra fields", "time"][..]),
        ("by-python.zip", &["time", "order"]),
        ("by-rust.zip", &["compression", "order"]),
    ] {
        let told = audit(at, &["diff", "kiln/app.zip", other, "--format", "json"]).ends_with(exit::SUCCESS);
        let json = told.json();
        assert_eq!(json["verdict"], "same-content", "{told}");
        assert_eq!(
            (json["before"]["known"].as_str(), json["after"]["known"].as_str()),
            (Some("record"), Some("content"))
        );
        assert_eq!(json["components"], serde_json::json!([]), "{told}");
        let named: Vec<&str> = json["container_fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["field"].as_str().unwrap())
            .collect();
        for field in fields {
            assert!(named.contains(field), "{field}: {told}");
        }
        let human = audit(at, &["diff", "kiln/app.zip", other]).ends_with(exit::SUCCESS);
        human.prints(&[
            "content equal, only these fields of the container differ: ",
            "Not compared",
            "after: it was read from its files",
        ]);
    }
    // Two of others, with no record at all; and the folder itself.
    audit(at, &["diff", "by-zip.zip", "by-python.zip"]).ends_with(exit::SUCCESS).prints(&["content equal"]);
    audit(at, &["diff", "files", "by-python.zip"])
        .ends_with(exit::SUCCESS)
        .prints(&["same content; one of the two is no archive"]);
    // A distribution is found by its metadata, at any depth.
    let shown = audit(at, &["show", "by-zip.zip"]).ends_with(exit::SUCCESS);
    shown.prints(&[
        "python/alpha",
        "1.2",
        "python/beta",
        "2.0",
        "application/by-zip",
        "it was read from its files: inputs, causes",
    ]);

    // Another version in the zip of another tool.
    let mut newer = release();
    newer.without("alpha").distribution("alpha", "1.3", "alpha/__init__.py", b"VALUE = 2\n");
    let other = at.join("newer");
    unpacked(&newer, &other);
    runs(
        "python3",
        &[
            "-m",
            "zipfile",
            "-c",
            at.join("newer.zip").to_str().unwrap(),
            &format!("{}/", other.join("alpha").display()),
            other.join("app.py").to_str().unwrap(),
            other.join("alpha-1.3.dist-info").to_str().unwrap(),
        ],
    );
    let told = audit(at, &["diff", "kiln", "newer.zip", "--fail-on", "added"]).ends_with(exit::SUCCESS);
    told.prints(&["upgraded", "alpha 1.2 -> 1.3", "removed", "beta 2.0", "cause not known"]);
}

#[test]
fn bills_of_materials_of_any_tool_are_compared_by_their_components() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    release().write(&at.join("release"));
    let cyclonedx = |version: &str, alpha: &str| {
        serde_json::json!({
            "bomFormat": "CycloneDX", "specVersion": version, "version": 1,
            "components": [
                {"type": "library", "name": "alpha", "version": alpha, "purl": format!("pkg:pypi/alpha@{alpha}"),
                 "licenses": [{"license": {"name": "MIT"}}]},
                {"type": "library", "name": "beta", "version": "2.0", "purl": "pkg:pypi/beta@2.0"},
            ],
        })
        .to_string()
    };
    fs::write(at.join("same.cdx.json"), cyclonedx("1.4", "1.2")).unwrap();
    fs::write(at.join("newer.cdx.json"), cyclonedx("1.7", "1.3")).unwrap();
    fs::write(at.join("future.cdx.json"), cyclonedx("2.0", "1.3")).unwrap();
    let spdx = serde_json::json!({
        "spdxVersion": "SPDX-2.3", "name": "app", "SPDXID": "SPDXRef-DOCUMENT",
        "packages": [{"SPDXID": "SPDXRef-1", "name": "alpha", "versionInfo": "1.2", "externalRefs": [
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": "pkg:pypi/alpha@1.2"}]}],
    });
    fs::write(at.join("app.spdx.json"), spdx.to_string()).unwrap();

    for format in ["human", "markdown"] {
        let shown = audit(at, &["show", "same.cdx.json", "--format", format]).ends_with(exit::SUCCESS);
        assert!(!shown.stdout.contains("0 B"), "a list of components has no sizes: {shown}");
    }
    let same = audit(at, &["diff", "release", "same.cdx.json"]).ends_with(exit::SUCCESS);
    same.prints(&["the same components; files were not compared", "(CycloneDX 1.4)", "files, modes, sizes"]);
    let newer =
        audit(at, &["diff", "same.cdx.json", "newer.cdx.json", "--format", "json"]).ends_with(exit::SUCCESS);
    let json = newer.json();
    assert_eq!(
        (json["verdict"].as_str(), json["components"][0]["kind"].as_str()),
        (Some("different"), Some("upgraded"))
    );
    assert_eq!(
        (json["files"].as_array().unwrap().len(), json["not_compared"].as_array().unwrap().len()),
        (0, 2)
    );
    audit(at, &["diff", "app.spdx.json", "newer.cdx.json", "--fail-on", "added"])
        .ends_with(exit::DIFFERENCE_DENIED)
        .prints(&["SPDX 2.3", "alpha 1.2 -> 1.3", "beta 2.0"]);
    // Sizes that are not known cannot be said to have stayed.
    audit(at, &["diff", "same.cdx.json", "newer.cdx.json", "--fail-on", "size:+10%"])
        .ends_with(exit::DIFFERENCE_DENIED);
    audit(at, &["show", "future.cdx.json"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["it is CycloneDX 2.0", "reads CycloneDX 1.3"]);
}

#[test]
fn whole_workspaces_are_one_table() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let named = |name: &'static str| {
        let mut release = Release::new(name);
        release.distribution("alpha", "1.2", "alpha.py", b"VALUE = 1\n");
        release
    };
    for name in ["same", "changed", "gone"] {
        named(name).write(&at.join("monday").join(name));
    }
    for name in ["same", "fresh"] {
        named(name).write(&at.join("tuesday").join(name));
    }
    let mut changed = named("changed");
    changed.without("alpha").moves(InputRole::Lock);
    changed.write(&at.join("tuesday/changed"));

    let human = audit(at, &["diff", "monday", "tuesday"]).ends_with(exit::SUCCESS);
    human.clone().prints(&[
        "monday -> tuesday\n4 artifacts: 1 new, 1 gone, 1 changed, 1 unchanged\n",
        "  changed  changed ",
        "  fresh    new ",
        "  gone     gone ",
        "  same     unchanged ",
        "  total ",
        "changed: different (1 removed;",
        "no longer in the lock requirements.txt",
    ]);
    let summary = audit(at, &["diff", "monday", "tuesday", "--summary"]).ends_with(exit::SUCCESS);
    assert!(!summary.stdout.contains("no longer in the lock"), "{summary}");
    let json = audit(at, &["diff", "monday", "tuesday", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(
        json["counts"],
        serde_json::json!({"new": 1, "gone": 1, "changed": 1, "same_content": 0, "unchanged": 1, "not_read": 0})
    );
    assert_eq!(json["artifacts"][0]["diff"]["components"][0]["kind"], "removed");
    let markdown = audit(at, &["diff", "monday", "tuesday", "--format", "markdown"]).ends_with(exit::SUCCESS);
    markdown.prints(&["| artifact | | packed |", "| gone | gone |", "### changed: different"]);
    for (gate, ends) in [
        ("removed-artifact", exit::DIFFERENCE_DENIED),
        ("new-artifact", exit::DIFFERENCE_DENIED),
        ("removed", exit::DIFFERENCE_DENIED),
        ("downgrade,added", exit::SUCCESS),
    ] {
        audit(at, &["diff", "monday", "tuesday", "--summary", "--fail-on", gate]).ends_with(ends);
    }
    // A record that cannot be read is no artifact that stayed.
    fs::write(at.join("tuesday/same/record.json"), b"{").unwrap();
    audit(at, &["diff", "monday", "tuesday", "--summary"])
        .ends_with(exit::DIFFERENCE_DENIED)
        .prints(&["same     not read"]);
    // Whatever is allowed, and whatever else is asked for.
    for gate in [&["--allow", "unexplained"][..], &["--allow", "unexplained", "--fail-on", "new-artifact"]] {
        let words = [&["diff", "monday", "tuesday", "--summary"], gate].concat();
        let denied = audit(at, &words).ends_with(exit::DIFFERENCE_DENIED);
        denied
            .says(&["denied: what could not be read may be anything"])
            .does_not_say("help: what nothing explains");
    }
    audit(at, &["diff", "monday", "tuesday/changed"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["monday/changed"]);
    audit(at, &["sbom", "monday"]).ends_with(exit::INPUT_INVALID).says(&[
        "it has 3 artifacts, and one is asked for; name one: monday/changed, monday/gone, monday/same",
    ]);
    // What cannot be read is named as well.
    for name in ["changed", "gone"] {
        fs::write(at.join("monday").join(name).join("record.json"), b"{").unwrap();
    }
    audit(at, &["sbom", "monday"]).ends_with(exit::INPUT_INVALID).says(&[
        "it has 3 artifacts, and one is asked for; name one: monday/same; changed cannot be read: ",
        "monday/changed/record.json: ",
        "; gone cannot be read: ",
    ]);
}

#[test]
fn a_folder_of_several_is_shown_in_a_line_each_and_reported_in_one_page() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut orders = Release::new("orders");
    orders.distribution("alpha", "1.2", "alpha.py", b"1").write(&at.join("dist/orders"));
    let mut web = Release::new("web");
    web.on_base("debian", &[("libc6", "2.41", 100), ("zlib1g", "1.3", 50)]).write(&at.join("dist/web"));
    let digest = |release: &Release| release.made().1.archive().unwrap().digest;
    let (of_zip, of_image) = (digest(&orders), web.image.as_ref().unwrap().manifest);

    let human = audit(at, &["show", "dist"]).ends_with(exit::SUCCESS).stdout;
    let lines: Vec<Vec<&str>> = human.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["dist:", "2", "artifacts"]);
    let short = |digest: Digest| digest.to_string()[.."sha256:".len() + 12].to_owned();
    assert_eq!(
        (&lines[1][..2], lines[1].last()),
        (&["lambda-zip", "orders"][..], Some(&short(of_zip).as_str()))
    );
    assert!(lines[1].join(" ").contains(" 1 package "), "{human}");
    assert_eq!((&lines[2][..2], lines[2].last()), (&["image", "web"][..], Some(&short(of_image).as_str())));
    assert!(lines[2].join(" ").contains(" 2 packages "), "{human}");
    let json = audit(at, &["show", "dist", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let row = &json["artifacts"][0];
    let size = orders.made().0.len();
    assert_eq!(
        (&row["artifact"], &row["kind"], &row["size"], &row["packages"], &row["digest"]),
        (&"orders".into(), &"lambda-zip".into(), &size.into(), &1.into(), &of_zip.to_string().into())
    );
    audit(at, &["show", "dist", "--format", "markdown"])
        .ends_with(exit::SUCCESS)
        .prints(&["### dist", "| web | image |"]);
    for option in [&["--files"][..], &["--statement", "checks.json"]] {
        audit(at, &[&["show", "dist"], option].concat())
            .ends_with(exit::USAGE)
            .says(&["is about one build, and dist has 2 artifacts", "name one: dist/orders, dist/web"]);
    }
    // Of an archive that is gone, what is told is the word of the record, and that is said.
    let (zip, kept) = (at.join("dist/orders/orders.zip"), at.join("kept"));
    fs::rename(&zip, &kept).unwrap();
    let gone = "dist/orders/orders.zip is not there: what is told of it is what its record says";
    for named in ["dist", "dist/orders", "dist/orders/record.json"] {
        let show =
            |words: &[&str]| audit(at, &[&["show", named][..], words].concat()).ends_with(exit::SUCCESS);
        show(&[]).prints(&[gone]);
        show(&["--format", "markdown"]).prints(&["dist/orders/orders.zip is not there"]);
        let json = show(&["--format", "json"]).json();
        let row = if named == "dist" { &json["artifacts"][0] } else { &json };
        assert_eq!(row["absent"], gone, "{json:#}");
        let page = audit(at, &["report", named]).ends_with(exit::SUCCESS);
        page.prints(&[&format!("<p>{gone}.</p>")]).says(&[&format!("note: {gone}")]);
    }
    for words in [
        &["sbom", "dist/orders"][..],
        &["explain", "dist/orders"],
        &["diff", "dist/orders", "dist/orders"],
        &["diff", "dist", "dist"],
    ] {
        audit(at, words).ends_with(exit::SUCCESS).says(&[&format!("note: {gone}")]);
    }
    fs::rename(&kept, &zip).unwrap();
    audit(at, &["sbom", "dist/orders"]).ends_with(exit::SUCCESS).does_not_say("note: ");
    assert!(audit(at, &["show", "dist", "--format", "json"]).json()["artifacts"][0].get("absent").is_none());
    // One page, with what the pages of both have.
    let page = audit(at, &["report", "dist"]).ends_with(exit::SUCCESS).stdout;
    let both = audit(at, &["report", "dist/orders", "dist/web"]).ends_with(exit::SUCCESS).stdout;
    assert!(page == both && page.contains("alpha") && page.contains("zlib1g"));

    // What cannot be read is told, and is no success.
    fs::write(at.join("dist/orders/orders.zip"), b"other").unwrap();
    audit(at, &["show", "dist"]).ends_with(exit::INPUT_INVALID).prints(&[
        "not read",
        "orders",
        "it is not what the record.json beside it says",
        "image",
    ]);
    audit(at, &["report", "dist"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["dist: orders cannot be read", "name the others alone: dist/web"]);
}

#[test]
fn a_layout_beside_a_record_is_held_against_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut release = Release::new("web");
    release.on_base("debian", &[("libc6", "2.41", 100)]);
    let mut record = release.made().1;
    let blob = format!("oci/blobs/sha256/{}", Digest::of(b"layer").hex());
    let files: [(&str, &[u8]); 3] =
        [("oci/index.json", b"{}"), ("oci/oci-layout", b"{ }"), (blob.as_str(), b"layer")];
    record.outputs = files
        .iter()
        .map(|(name, bytes)| Output {
            file_name: (*name).to_owned(),
            sha512: None,
            media_type: "application/octet-stream".to_owned(),
            size: bytes.len() as u64,
            digest: Digest::of(bytes),
            sha256_base64: Digest::of(bytes).base64(),
        })
        .collect();
    let write = |place: &str| {
        fs::create_dir_all(at.join(place).join("oci/blobs/sha256")).unwrap();
        fs::write(at.join(place).join("record.json"), record.to_json().unwrap()).unwrap();
        for (name, bytes) in files {
            fs::write(at.join(place).join(name), bytes).unwrap();
        }
    };
    write("mine/web");
    audit(at, &["verify", "mine/web"]).ends_with(exit::SUCCESS).prints(&["4 files, each as its record says"]);
    for (name, bytes) in files {
        write("other/web");
        // What is in it is held against the record, and what is there beside that as well.
        let differs = |file: &str| {
            for folder in ["other/web", "other"] {
                let outcome = audit(at, &["verify", folder]).ends_with(exit::NOT_REPRODUCIBLE);
                outcome.prints(&[&format!("differs other/web/{file}")]);
            }
        };
        fs::write(at.join("other/web").join(name), b"other").unwrap();
        differs(name);
        fs::remove_file(at.join("other/web").join(name)).unwrap();
        differs(name);
        fs::create_dir(at.join("other/web").join(name)).unwrap();
        differs(name);
        fs::remove_dir(at.join("other/web").join(name)).unwrap();
        write("other/web");
        fs::write(at.join("other/web/oci/blobs/more"), b"more").unwrap();
        differs("oci/blobs/more");
        fs::remove_file(at.join("other/web/oci/blobs/more")).unwrap();
        audit(at, &["diff", "mine/web", "other/web"]).ends_with(exit::SUCCESS).prints(&["identical"]);
        let refused = |words: &[&str]| {
            let outcome = audit(at, words).ends_with(exit::INPUT_INVALID);
            outcome.says(&["other/web/oci: it is not what the record.json beside it says"]);
        };
        for changed in [&b"other"[..], &bytes[1..]] {
            fs::write(at.join("other/web").join(name), changed).unwrap();
            refused(&["diff", "mine/web", "other/web"]);
            refused(&["show", "other/web"]);
        }
        fs::remove_file(at.join("other/web").join(name)).unwrap();
        refused(&["diff", "mine/web", "other/web"]);
        let gate = ["diff", "mine", "other", "--fail-on", "any"];
        audit(at, &gate).ends_with(exit::DIFFERENCE_DENIED).says(&["web: the artifact could not be read"]);
    }
    // A record alone is one that says so.
    fs::remove_dir_all(at.join("other/web/oci")).unwrap();
    audit(at, &["diff", "mine/web", "other/web"]).ends_with(exit::SUCCESS);
}

#[test]
fn hostile_archives_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    release().write(&at.join("release"));
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("../outside", options).unwrap();
    fs::write(at.join("outside.zip"), zip.finish().unwrap().into_inner()).unwrap();
    fs::write(at.join("cut.zip"), &fs::read(at.join("release/app.zip")).unwrap()[..200]).unwrap();
    fs::write(at.join("noise.bin"), b"no archive").unwrap();
    fs::write(at.join("broken.json"), b"{").unwrap();
    fs::create_dir(at.join("empty")).unwrap();
    for (name, says) in [
        ("outside.zip", "cannot be read as a zip"),
        ("cut.zip", "its end is missing"),
        ("noise.bin", "neither a zip nor a tar"),
        ("broken.json", "it is not JSON"),
        ("empty", "there is no build in it"),
    ] {
        audit(at, &["diff", "release", name]).ends_with(exit::INPUT_INVALID).says(&[name, says]);
    }
}
