//! Artifacts that an auditor is handed and nobody plans for: zips behind a program, zips in the wide format, archives of old tools, and
//! bills of materials in forms that are not read, which are named for what they are.

use crate::harness::{Release, audit};
use fs_err as fs;
use kiln_record::{Digest, exit};
use std::path::Path;
use std::process::Command;

/// Runs a Python program of this machine in a folder.
fn python(at: &Path, program: &str) {
    let done = Command::new("python3").args(["-c", program]).current_dir(at).status().unwrap();
    assert!(done.success());
}

#[test]
fn a_zip_behind_something_else_is_read_and_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    python(
        at,
        "import zipfile, zipapp, os
os.mkdir('app'); open('app/__main__.py', 'w').write('print(1)\\n')
zipapp.create_archive('app', 'app.pex', interpreter='/usr/bin/env python3')
zipapp.create_archive('app', 'plain.zip')
stub = b'#!/bin/sh\\nexec unzip -p \"$0\"\\n'
open('behind.run', 'wb').write(stub + open('plain.zip', 'rb').read())
open('other.run', 'wb').write(stub.replace(b'-p', b'-c') + open('plain.zip', 'rb').read())
open('junk.run', 'wb').write(stub + b'no archive')
",
    );
    for (file, bytes) in [("app.pex", 23), ("behind.run", 29)] {
        let shown = audit(at, &["show", file, "--files"]).ends_with(exit::SUCCESS);
        shown.prints(&["__main__.py", &format!("a zip behind {bytes} other bytes")]);
        let told =
            audit(at, &["diff", "plain.zip", file, "--format", "json"]).ends_with(exit::SUCCESS).json();
        assert_eq!(told["verdict"], "same-content", "{told:#}");
        let fields = told["container_fields"].as_array().unwrap();
        let leading = fields.iter().find(|field| field["field"] == "bytes before the first member").unwrap();
        assert_eq!(leading["before"], "none");
        assert!(
            leading["after"].as_str().unwrap().starts_with(&format!("{bytes} bytes, sha256:")),
            "{told:#}"
        );
        assert!(leading["after"].as_str().unwrap().contains("beginning with `#!/"), "{told:#}");
    }
    // Another program before the same zip is no equal artifact, and is told where contents differ as well.
    let told = audit(at, &["diff", "behind.run", "other.run"]).ends_with(exit::SUCCESS);
    told.prints(&["bytes before the first member", "beginning with `#!/bin/sh`"]);
    python(
        at,
        "import zipfile\nwith zipfile.ZipFile('other.run', 'a') as z: z.writestr('more.py', 'x = 1')\n",
    );
    let told = audit(at, &["diff", "behind.run", "other.run"]).ends_with(exit::SUCCESS);
    told.prints(&["more.py", "bytes before the first member"]);
    audit(at, &["show", "junk.run"]).ends_with(exit::INPUT_INVALID).says(&["neither a zip nor a tar"]);
}

#[test]
fn a_zip_in_the_wide_format_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    python(
        at,
        "import zipfile
for name, wide in (('wide.zip', True), ('plain.zip', False)):
    with zipfile.ZipFile(name, 'w') as z:
        for file in ('a.py', 'b.py'):
            with z.open(file, 'w', force_zip64=wide) as out:
                out.write(b'x = 1\\n')
# 65,536 members need the wide end record.
with zipfile.ZipFile('many.zip', 'w') as z:
    for n in range(65536):
        z.writestr('f/%d' % n, b'')
",
    );
    let told =
        audit(at, &["diff", "plain.zip", "wide.zip", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(told["verdict"], "same-content", "{told:#}");
    audit(at, &["show", "many.zip"]).ends_with(exit::SUCCESS);
}

#[test]
fn bills_of_materials_in_other_forms_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let forms = [
        (
            "app.spdx",
            "SPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\nPackageName: six\n",
            "SPDX in tag-value form",
        ),
        (
            "bom.xml",
            "<?xml version=\"1.0\"?>\n<bom xmlns=\"http://cyclonedx.org/schema/bom/1.5\" version=\"1\"></bom>\n",
            "CycloneDX in XML",
        ),
        (
            "three.spdx.json",
            "{\"@context\": \"https://spdx.org/rdf/3.0.1/spdx-context.jsonld\", \"@graph\": []}",
            "SPDX 3 in JSON-LD",
        ),
        ("old.rdf", "<rdf:RDF xmlns:spdx=\"http://spdx.org/rdf/terms#\"></rdf:RDF>", "SPDX in RDF/XML"),
    ];
    for (file, content, form) in forms {
        fs::write(at.join(file), content).unwrap();
        let told = audit(at, &["show", file]).ends_with(exit::INPUT_INVALID);
        told.says(&[&format!("{file}: it is a bill of materials as {form}"), "in JSON"]);
    }
}

/// A name out of an archive is no line of a comment, where a runner of CI would read a command.
#[test]
fn what_is_explained_as_markdown_stays_text() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut release = Release::new("app");
    release.own("::error::pwn.py", b"1").write(&at.join("evil"));
    let explain = |words: &[&str]| {
        audit(at, &[&["explain", "evil/app.zip"][..], words].concat()).ends_with(exit::SUCCESS)
    };
    explain(&["::error::pwn.py"]).prints(&["::error::pwn.py\n  belongs to   "]);
    let told = explain(&["::error::pwn.py", "--format", "markdown"]);
    assert!(!told.stdout.lines().any(|line| line.trim_start().starts_with("::")), "{told}");
    told.prints(&["#### ::error::pwn", "| belongs to | "]);
    explain(&["--format", "markdown"]).prints(&["| name | version | size | needed by |", "| app |"]);
}

#[test]
fn what_is_no_build_is_called_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Release::new("app").write(&at.join("dist/app"));
    fs::create_dir(at.join("empty")).unwrap();
    std::os::unix::fs::symlink("nowhere", at.join("dangling")).unwrap();
    std::os::unix::fs::symlink("dist/app", at.join("linked")).unwrap();
    python(at, "import os; os.mkfifo('pipe')");
    fs::create_dir(at.join("layout")).unwrap();
    fs::write(at.join("layout/oci-layout"), "{\"imageLayoutVersion\": \"1.0.0\"}").unwrap();
    fs::write(at.join("layout/index.json"), "{\"schemaVersion\": 2, \"manifests\": []}").unwrap();
    for (file, content) in [
        ("nothing", ""),
        ("list.json", "[]"),
        ("text.json", "\"x\""),
        ("other.json", "{\"name\": \"app\"}"),
        ("manifest.json", "{\"schemaVersion\": 2, \"layers\": []}"),
        ("statement.json", "{\"_type\": \"https://in-toto.io/Statement/v1\"}"),
        ("bad.cdx.json", "{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.5\", \"components\": \"x\"}"),
        ("bad.spdx.json", "{\"spdxVersion\": \"SPDX-2.3\", \"packages\": {}}"),
        ("none.cdx.json", "{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.5\"}"),
    ] {
        fs::write(at.join(file), content).unwrap();
    }
    let no_document =
        "it is JSON, and neither a record of a build, an index over artifacts nor a bill of materials";
    for (named, says) in [
        ("-", "standard input is not read"),
        ("missing", "there is no such file"),
        ("missing/app", "there is no such file"),
        ("dangling", "it is a link that leads to nothing"),
        ("pipe", "it is neither a regular file nor a folder"),
        ("/dev/null", "it is neither a regular file nor a folder"),
        ("empty", "there is no build in it"),
        ("nothing", "neither a zip nor a tar"),
        ("list.json", no_document),
        ("text.json", no_document),
        ("other.json", no_document),
        ("manifest.json", "name the folder of the layout"),
        ("statement.json", "it is a statement about a build"),
        ("bad.cdx.json", "its `components` is no list"),
        ("bad.spdx.json", "its `packages` is no list"),
        ("layout", "layout: cannot assemble the image: its index leads to no image"),
        ("/proc/self/mem", "/proc/self/mem: "),
        ("127.0.0.1:1/team/app", "add :TAG or @sha256:"),
        ("registry.example/team/app", "add :TAG or @sha256:"),
    ] {
        for command in ["show", "report", "sbom"] {
            audit(at, &[command, named]).ends_with(exit::INPUT_INVALID).says(&[named, says]);
        }
        audit(at, &["diff", "dist/app", named]).ends_with(exit::INPUT_INVALID).says(&[named, says]);
    }
    // Nobody listens there, and it is asked, since it has a tag.
    audit(at, &["show", "127.0.0.1:1/team/app:1"])
        .ends_with(exit::FETCH_FAILED)
        .says(&["127.0.0.1:1/team/app"]);
    audit(at, &["show", "linked"]).ends_with(exit::SUCCESS);
    // A list is no build that a bill of materials could be made of, and an empty one lists nothing.
    audit(at, &["show", "none.cdx.json"]).ends_with(exit::SUCCESS).prints(&["it is a list of components"]);
    audit(at, &["sbom", "none.cdx.json"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["is a list of components itself, and no build"]);
    for command in ["rebuild", "restore"] {
        audit(at, &[command, "empty"])
            .ends_with(exit::INPUT_INVALID)
            .says(&["empty holds no record.json, and so nothing says what was built"]);
        audit(at, &[command, "nothing"])
            .ends_with(exit::INPUT_INVALID)
            .says(&["there is no record.json beside it"]);
    }
    audit(at, &["explain", "layout"]).ends_with(exit::INPUT_INVALID).says(&["its index leads to no image"]);
}

#[test]
fn what_is_large_and_no_archive_is_not_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    // Of holes alone, and more than could be read in the time that a test may take.
    let file = fs::File::create(folder.path().join("huge.zip")).unwrap();
    file.set_len(1 << 36).unwrap();
    audit(folder.path(), &["show", "huge.zip"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["neither a zip nor a tar"]);
}

#[test]
fn a_folder_under_another_name_is_called_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for name in ["one", "two"] {
        Release::new(name).write(&at.join("released").join(name));
    }
    let record = fs::read(at.join("released/one/record.json")).unwrap();
    let other = Digest::of(b"other");
    let named = serde_json::json!({
        "kind": "lambda-zip", "file": "one/one.zip", "size": 1, "unpacked_size": 1, "digest": other, "tree": other,
        "source_code_hash": other.base64(), "record": Digest::of(&record), "runtime": "python3.13", "architecture": "x86_64",
        "handler": null, "layers": [],
    });
    let index = serde_json::json!({"format": "1.0", "artifacts": {"one": named, "gone": named}});
    fs::write(at.join("released/index.json"), index.to_string()).unwrap();
    for arguments in [&["verify", "released"][..], &["verify", "released/index.json"]] {
        let told = audit(at, arguments).ends_with(exit::NOT_REPRODUCIBLE);
        told.clone().prints(&["released/index.json", "gone is named, and released/gone is not there"]);
        assert!(!told.stdout.contains("dist/") && !told.stdout.contains("--repair"), "{told}");
    }
}

#[test]
fn what_two_zips_have_in_common_is_compared_and_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // The content of the same member has the same checksum and length in both, and differs.
    python(
        at,
        "import zipfile, zlib
table = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0xedb88320 if n & 1 else 0)
    table.append(n)
def with_checksum(data, wanted):
    state = wanted ^ 0xffffffff
    for _ in range(4):
        index = next(i for i in range(256) if table[i] >> 24 == state >> 24)
        state = ((state ^ table[index]) << 8 | index) & 0xffffffff
    return data + (state ^ zlib.crc32(data) ^ 0xffffffff).to_bytes(4, 'little')
one = b'x = 1\\n####'
two = with_checksum(b'x = 2\\n', zlib.crc32(one))
assert one != two and len(one) == len(two) and zlib.crc32(one) == zlib.crc32(two)
for name, content in (('one.zip', one), ('two.zip', two)):
    with zipfile.ZipFile(name, 'w') as z:
        z.writestr('same.py', 'y = 1\\n' * 99, zipfile.ZIP_DEFLATED)
        z.writestr('x.py', content)
whole = open('one.zip', 'rb').read()
place = whole.index(b'x = 1')
open('damaged.zip', 'wb').write(whole[:place] + b'z' + whole[place + 1:])
# The time in the header before a member, which the directory says as well.
open('header.zip', 'wb').write(whole[:10] + bytes([whole[10] ^ 1]) + whole[11:])
",
    );
    let told = audit(at, &["diff", "one.zip", "two.zip", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(told["verdict"], "different", "{told:#}");
    let files = told["files"].as_array().unwrap();
    assert_eq!(files.len(), 1, "{told:#}");
    assert_eq!(files[0]["path"], "x.py");
    audit(at, &["diff", "one.zip", "damaged.zip"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["`x.py`", "its checksum is not the one announced"]);
    let told =
        audit(at, &["diff", "one.zip", "header.zip", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(told["verdict"], "same-content", "{told:#}");
    assert_eq!(
        told["container_fields"][0]["field"], "bytes that no field of the directory names, first at 10",
        "{told:#}"
    );
}
