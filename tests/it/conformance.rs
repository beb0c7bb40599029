//! kiln's installer beside the base's own pip, as users can have it, on distributions of kinds that the hundred of
//! `pip_oracle` lack.
//!
//! `tests/conformance/names.in` names them; `tests/conformance/write_requirements.py` locks their newest versions anew.

use crate::harness::{Sandbox, locked, rarer_distributions};
use crate::pip_oracle::{differences, kilns, pips};
use kiln_pack::{Limits, ZipReader, ZipWriter, compress};
use kiln_record::{Mode, exit};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Cursor;

/// Scripts, `.data` folders, headers, native code, a namespace, and names that are not their modules'.
const ODD: [&str; 9] = [
    "jmespath",
    "tabulate",
    "markupsafe",
    "greenlet",
    "jupyterlab-widgets",
    "zope-interface",
    "pyyaml",
    "backports-tarfile",
    "tqdm",
];

fn rules(check: &Value) -> BTreeSet<String> {
    let explained = check["explained"].as_array().unwrap();
    explained.iter().map(|difference| difference["rule"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn distributions_of_rarer_kinds_are_installed_as_pip_installs_them() {
    let sandbox = Sandbox::new();
    sandbox.function("all", "3.13", "handler = print\n", &rarer_distributions());
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);

    let (record, ours) = kilns(&sandbox, "all", "");
    let distributions = record.components.iter().filter(|c| c.origin.is_some()).count();
    assert!(distributions >= 35, "{distributions} distributions");
    let pips = pips("python-3.13", &[&record]);
    assert_eq!(differences(&ours, &pips), [""; 0]);

    // What users can ask is another judge with the same rules, and comes to the same.
    let check = sandbox.kiln().run(["verify", "--cross-check", "all", "--format", "json"]);
    let check = check.ends_with(exit::SUCCESS).json();
    assert_eq!(check["distributions"], distributions);
    assert_eq!(check["findings"], serde_json::json!([]));
    let same = ours.iter().filter(|(path, file)| pips.get(*path) == Some(*file)).count();
    assert_eq!(check["same"], same);
    assert_eq!(
        rules(&check).into_iter().collect::<Vec<_>>(),
        ["RECORD", "interpreter lines of commands", "pip's own command", "traces of installers"]
    );
}

#[test]
fn pip_as_the_installer_gives_the_same_artifact() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "import yaml, zope.interface\n\nhandler = print\n", &locked(&ODD));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let zip = sandbox.read("dist/app/app.zip");
    let checks = || {
        let record: Value = serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap();
        record["checks"].to_string()
    };
    assert!(!checks().contains("pip-install"));
    sandbox.replace("manifests/app.toml", "[python]\n", "[python]\ninstall = \"pip\"\n");
    sandbox.kiln().run(["build", "--all", "--format", "json"]).published_only(&["app"]);
    assert!(checks().contains("pip-install"), "{}", checks());
    assert!(sandbox.read("dist/app/app.zip") == zip, "the same bytes");
    sandbox.kiln().run(["build", "--all", "--format", "json"]).published_only(&[]);
    sandbox.replace("manifests/app.toml", "install = \"pip\"", "install = \"uv\"");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::INPUT_INVALID).says(&["unknown variant `uv`"]);
}

#[test]
fn a_file_that_pip_would_not_have_installed_is_told() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "handler = print\n", &locked(&ODD));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let shown = sandbox.kiln().run(["verify", "--cross-check", "app"]).ends_with(exit::SUCCESS);
    shown.prints(&["app@1: 9 distributions, installed by the pip of python-3.13", " 0 not", "RECORD"]);

    // Somebody changed a file of the zip, and added one.
    let mut archive =
        ZipReader::open(Cursor::new(sandbox.read("dist/app/app.zip")), &Limits::default()).unwrap();
    let mut zip = ZipWriter::new(Vec::new());
    for member in archive.members().to_vec() {
        let mut content = archive.read(&member).unwrap();
        let changed = member.path.as_str() == "tabulate/__init__.py";
        content.extend_from_slice(if changed { b"# and more\n" } else { b"" });
        let mode = Mode::from_bits(member.unix_mode.unwrap());
        zip.add_file(&member.path, mode, &compress(&content)).unwrap();
        if changed {
            let path = kiln_record::TreePath::new("tabulate/added.py").unwrap();
            zip.add_file(&path, Mode::Plain, &compress(b"")).unwrap();
        }
    }
    sandbox.write("elsewhere/app.zip", zip.finish().unwrap());
    sandbox.write("elsewhere/record.json", sandbox.read("dist/app/record.json"));
    let outcome = sandbox.kiln().run(["verify", "--color", "never", "--cross-check", "elsewhere/app.zip"]);
    outcome.ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[installer-differs] elsewhere/app.zip: tabulate/__init__.py and 3 more its content is another: ",
        "tabulate/added.py: the artifact has it, and pip does not install it",
        "RECORD: it lists tabulate/__init__.py otherwise than it is there",
    ]).documents("deny[installer-differs] elsewhere/app.zip");
    sandbox
        .kiln()
        .run(["verify", "--cross-check", "nothing"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["`nothing` has no build in the ledger"]);
    // Another base is no judge of this build.
    fs_err::remove_file(sandbox.path("images/python-3.13.lock")).unwrap();
    sandbox
        .kiln()
        .run(["verify", "--cross-check", "app"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["its packages are not locked"]);
}

/// What `[package]` does comes after installing: it is not held against the installer, and what it did not do still is.
#[test]
fn packing_rules_do_not_make_the_installers_differ() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "import yaml, zope.interface\n\nhandler = print\n", &locked(&ODD));
    sandbox.replace("manifests/app.toml", "[python]\n", "[python]\ninstall = \"pip\"\n");
    sandbox.append(
        "manifests/app.toml",
        "\n[package]\ndrop = [\"tests\", \"type-stubs\"]\nstrip = \"debug\"\nbytecode = \"unchecked-hash\"\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let told = sandbox.kiln().run(["verify", "--cross-check", "app"]).ends_with(exit::SUCCESS).stdout;
    assert!(told.contains("rules of [package]"), "{told}");
}
