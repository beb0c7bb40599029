//! Artifacts that an auditor is handed and nobody plans for: zips behind a program, zips in the wide format, archives of old tools, and
//! bills of materials in forms that are not read, which are named for what they are.

use crate::harness::audit;
use fs_err as fs;
use kiln_record::exit;
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
