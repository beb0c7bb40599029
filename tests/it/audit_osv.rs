//! Known vulnerabilities of releases, from an export of advisories that is made here: no workspace, no engine, no network.

use crate::harness::{Release, audit, repository, validate_junit, validate_sarif};
use fs_err as fs;
use kiln_record::exit;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// An advisory as databases write it, of one package.
fn advisory(id: &str, aliases: &[&str], ecosystem: &str, name: &str, kind: &str, events: Value) -> Value {
    json!({
        "schema_version": "1.6.0", "id": id, "modified": "2026-03-04T05:06:07.89Z", "published": "2026-01-01T00:00:00Z",
        "aliases": aliases, "summary": format!("{name} can be had by others"), "details": "At length.",
        "references": [{"type": "WEB", "url": "https://example.org/advisory"}],
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": name, "purl": "pkg:generic/unused"},
            "ranges": [{"type": kind, "events": events}], "versions": [], "database_specific": {"source": "https://example.org"},
        }],
    })
}

fn export(folder: &Path) {
    let critical = json!([{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]);
    let until_fixed = |fixed: &str| json!([{"introduced": "0"}, {"fixed": fixed}]);
    let mut rated = advisory("GHSA-aaaa", &["CVE-2026-1"], "PyPI", "Alpha", "ECOSYSTEM", until_fixed("1.3"));
    rated["severity"] = critical;
    rated["database_specific"] = json!({"severity": "CRITICAL"});
    let same = advisory("PYSEC-2026-1", &["CVE-2026-1"], "PyPI", "alpha", "ECOSYSTEM", until_fixed("1.3"));
    let unrated =
        advisory("PYSEC-2026-2", &["CVE-2026-2"], "PyPI", "beta", "ECOSYSTEM", json!([{"introduced": "0"}]));
    let mut withdrawn =
        advisory("PYSEC-2026-3", &[], "PyPI", "beta", "ECOSYSTEM", json!([{"introduced": "0"}]));
    withdrawn["withdrawn"] = json!("2026-02-01T00:00:00Z");
    let commits = advisory("OSV-2026-4", &[], "PyPI", "beta", "GIT", json!([{"introduced": "0"}]));
    let fixed = advisory("PYSEC-2026-5", &[], "PyPI", "alpha", "ECOSYSTEM", until_fixed("1.2"));
    let absent = advisory("CVE-2026-6", &[], "PyPI", "gone", "ECOSYSTEM", until_fixed("9"));
    let linked = advisory(
        "RUSTSEC-2026-7",
        &["CVE-2026-7"],
        "crates.io",
        "ring",
        "SEMVER",
        json!([{"introduced": "0.0.0-0"}, {"fixed": "0.17.12"}]),
    );
    let mut system = advisory(
        "DEBIAN-CVE-2026-8",
        &[],
        "Debian:13",
        "openssl",
        "ECOSYSTEM",
        until_fixed("3.5.1-1+deb13u2"),
    );
    system["upstream"] = json!(["CVE-2026-8"]);
    let older =
        advisory("DEBIAN-CVE-2026-9", &[], "Debian:12", "openssl", "ECOSYSTEM", json!([{"introduced": "0"}]));
    let elsewhere = advisory("GHSA-bbbb", &[], "npm", "alpha", "SEMVER", json!([{"introduced": "0"}]));
    for document in
        [rated, same, unrated, withdrawn, commits, fixed, absent, linked, system, older, elsewhere]
    {
        let ecosystem = document["affected"][0]["package"]["ecosystem"]
            .as_str()
            .unwrap()
            .split(':')
            .next()
            .unwrap()
            .to_owned();
        let folder = folder.join(ecosystem);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{}.json", document["id"].as_str().unwrap())), document.to_string())
            .unwrap();
    }
}

/// Changes a record as a build with more in it would have it.
fn changed(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut record: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut record);
    fs::write(path, record.to_string()).unwrap();
}

fn component<'a>(record: &'a mut Value, id: &str) -> &'a mut Value {
    record["components"].as_array_mut().unwrap().iter_mut().find(|one| one["id"] == id).unwrap()
}

/// A function and an image, and an export.
fn place() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    export(&at.join("osv"));
    let mut orders = Release::new("orders");
    orders.distribution("alpha", "1.2", "alpha.py", b"1").distribution("beta", "0.9", "beta.py", b"2");
    orders.write(&at.join("orders"));
    changed(&at.join("orders/record.json"), |record| {
        component(record, "application/orders")["requires"] = json!(["python/alpha"]);
        component(record, "python/alpha")["requires"] = json!(["python/beta"]);
        component(record, "python/alpha")["embedded"] = json!([
            {"name": "ring", "version": "0.17.8", "purl": "pkg:cargo/ring@0.17.8", "sha256": null, "stated_in": "alpha-1.2.dist-info/sboms/a.json"},
            {"name": "zlib", "version": "1.3", "purl": "pkg:generic/zlib@1.3", "sha256": null, "stated_in": "alpha-1.2.dist-info/sboms/a.json"},
        ]);
        record["gaps"] = json!([{"distribution": "gone", "version": "1", "cause": {"cause": "excluded"}}]);
        record["imports"] = json!({"distributions": {"alpha": {"state": "yes"}, "beta": {"state": "yes"}},
            "never_imported": ["beta"], "imported_lazily": [], "computed": []});
        record["checks"] = json!([{"name": "elf", "outcome": {"state": "ran", "subjects": 2, "unit": "ELF files"}},
            {"name": "smoke", "outcome": {"state": "not-checked", "reason": "no events"}}]);
    });
    let mut web = Release::new("web");
    web.on_base("one", &[("libssl3t64", "3.5.1-1+deb13u1", 10), ("odd", "1", 1)]).write(&at.join("web"));
    changed(&at.join("web/record.json"), |record| {
        component(record, "debian/libssl3t64")["package"] = json!({
            "architecture": "amd64", "source": "openssl", "distribution": {"id": "debian", "version": "13"}});
    });
    folder
}

fn found(document: &Value) -> Vec<(&str, Option<&str>, &str)> {
    let findings =
        document["builds"].as_array().unwrap().iter().flat_map(|build| build["findings"].as_array().unwrap());
    findings
        .map(|one| (one["id"].as_str().unwrap(), one["severity"].as_str(), one["name"].as_str().unwrap()))
        .collect()
}

/// What the schema of CycloneDX 1.6 has against a document.
fn violations(document: &Value) -> Vec<String> {
    let schema = |name: &str| -> Value {
        let path = repository().join(format!("tests/schema/{name}.SNAPSHOT.schema.json"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let base = "http://cyclonedx.org/schema/";
    let registry = jsonschema::Registry::new()
        .add(format!("{base}spdx.SNAPSHOT.schema.json"), schema("spdx"))
        .unwrap()
        .add(format!("{base}jsf-0.82.SNAPSHOT.schema.json"), schema("jsf-0.82"))
        .unwrap()
        .prepare()
        .unwrap();
    let schema = schema("bom-1.6");
    let validator =
        jsonschema::options().with_registry(&registry).should_validate_formats(true).build(&schema).unwrap();
    validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn a_release_is_held_against_an_export() {
    let folder = place();
    let at = folder.path();
    let outcome = audit(at, &["audit", "orders", "web/record.json", "--osv", "osv", "--format", "json"]);
    let document = outcome.json();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let expected = [
        ("CVE-2026-1", Some("critical"), "alpha"),
        ("CVE-2026-2", None, "beta"),
        ("CVE-2026-7", None, "ring"),
        ("OSV-2026-4", None, "beta"),
        ("CVE-2026-8", None, "openssl"),
    ];
    assert_eq!(found(&document), expected);
    let [first, second, third, fourth, ..] = &document["builds"][0]["findings"].as_array().unwrap()[..]
    else {
        panic!()
    };
    assert_eq!((&first["fixed"], &first["score"]), (&json!(["1.3"]), &json!("9.8")));
    assert_eq!(first["advisories"], json!(["GHSA-aaaa", "PYSEC-2026-1"]));
    assert_eq!(
        (&second["via"], &second["files"][0]),
        (&json!(["orders", "alpha"]), &json!("beta-0.9.dist-info/METADATA"))
    );
    assert!(second["draft"].as_str().unwrap().starts_with("vulnerable_code_not_in_execute_path"), "{second}");
    assert_eq!((&third["via"], &third["component"]), (&json!(["orders", "alpha"]), &json!("python/alpha")));
    assert!(fourth["undecided"].as_str().unwrap().contains("commits"), "{fourth}");
    assert_eq!(document["builds"][0]["absent"][0]["id"], "CVE-2026-6");
    // What was not looked up is told.
    let names = |build: usize| -> Vec<&str> {
        let rows = document["builds"][build]["not_checked"].as_array().unwrap();
        rows.iter().map(|row| row["name"].as_str().unwrap()).collect()
    };
    assert_eq!((names(0), names(1)), (vec!["orders", "zlib"], vec!["odd", "web"]));
    let stated = &document["export"];
    assert_eq!((&stated["documents"], &stated["withdrawn"]), (&json!(11), &json!(1)));
    assert_eq!(stated["newest"], "2026-03-04T05:06:07Z");

    // A zip of the same documents is the same export, and bytes that are no document are told.
    let zipped =
        Command::new("zip").args(["-q", "-r", "../osv.zip", "."]).current_dir(at.join("osv")).status();
    assert!(zipped.unwrap().success());
    let zipped = audit(at, &["audit", "orders", "--osv", "osv.zip", "--format", "json"]).json();
    assert_eq!(zipped["export"], document["export"]);
    assert_eq!(zipped["builds"][0], document["builds"][0]);

    // What a bill says is not inside is not inside, and what it names without an ecosystem is not taken for something else.
    let bill = json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [
        {"type": "application", "name": "orders"},
        {"type": "library", "name": "gone", "version": "1", "purl": "pkg:pypi/gone@1", "scope": "excluded"},
    ]});
    fs::write(at.join("bill.cdx.json"), bill.to_string()).unwrap();
    let told = audit(at, &["audit", "bill.cdx.json", "--osv", "osv", "--format", "json"]).json();
    let (build, absent) = (&told["builds"][0], &told["builds"][0]["absent"][0]);
    assert_eq!((&build["findings"], &build["checked"]), (&json!([]), &json!(0)), "{told}");
    assert_eq!((&absent["id"], &absent["reason"]), (&json!("CVE-2026-6"), &json!("its scope is `excluded`")));
    assert_eq!(build["not_checked"][0]["reason"], "of no ecosystem that is looked up");

    // kiln's own bill of a build comes to what the build comes to.
    for (name, known, expected) in [("orders", 0_usize, &expected[..4]), ("web", 1, &expected[4..])] {
        let file = format!("{name}.cdx.json");
        fs::write(at.join(&file), audit(at, &["sbom", name]).stdout).unwrap();
        let told = audit(at, &["audit", &file, "--osv", "osv", "--format", "json"]).json();
        assert_eq!(found(&told), expected, "{told}");
        let (build, known) = (&told["builds"][0], &document["builds"][known]);
        assert_eq!((&build["checked"], &build["absent"]), (&known["checked"], &known["absent"]), "{told}");
        let mut rows = build["not_checked"].as_array().unwrap().iter();
        let own = rows.find(|row| row["name"] == name).unwrap();
        assert_eq!((&own["version"], &own["reason"]), (&Value::Null, &json!("the artifact's own code")));
    }

    let text = audit(at, &["audit", "orders", "--osv", "osv"]).stdout;
    for part in [
        "orders: 3 vulnerabilities, 1 that cannot be told; 3 parts looked up, 2 not",
        "critical 9.8  CVE-2026-1          alpha 1.2, fixed in 1.3",
        "through orders > alpha; beta-0.9.dist-info/METADATA",
        "not in it     CVE-2026-6          gone 1: excluded by the manifest",
        "not checked: orders: the artifact's own code",
        "export: 11 documents, the newest of 2026-03-04T05:06:07Z",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let markdown = audit(at, &["audit", "orders", "--osv", "osv", "--format", "markdown"]).stdout;
    assert!(markdown.contains("| critical 9.8 | CVE-2026-1 | alpha 1.2 | 1.3 |"), "{markdown}");
    let judged = |format: &str| audit(at, &["audit", "orders", "--osv", "osv", "--format", format]);
    validate_junit(&judged("junit").stdout);
    validate_sarif(&judged("sarif").stdout);
    let sarif = judged("sarif").json();
    assert_eq!(sarif["runs"][0]["results"].as_array().unwrap().len(), 4);
    assert!(audit(at, &["audit", "orders", "--osv", "none"]).code == Some(30));

    // In a folder of several, one that cannot be read is told, and hides none of the others.
    fs::create_dir_all(at.join("release/bad")).unwrap();
    fs::rename(at.join("orders"), at.join("release/orders")).unwrap();
    fs::write(at.join("release/bad/record.json"), "{\n  \"x").unwrap();
    let judged = |format: &str| audit(at, &["audit", "release", "--osv", "osv", "--format", format]);
    let outcome = judged("json");
    let told = outcome.json();
    assert_eq!((outcome.code, found(&told)), (Some(30), expected[..4].to_vec()), "{outcome}");
    let unread = &told["unread"][0];
    assert_eq!((&unread["file"], &unread["line"]), (&json!("release/bad/record.json"), &json!(2)), "{told}");
    assert!(outcome.stderr.contains("release: bad cannot be read: release/bad/record.json: "), "{outcome}");
    let annotations = judged("github").stdout;
    assert!(annotations.contains("::error file=release/bad/record.json,line=2,"), "{annotations}");
    assert!(annotations.contains("CVE-2026-1"), "{annotations}");
}

#[test]
fn statements_silence_until_they_end_and_gates_count_what_is_not_known() {
    let folder = place();
    let at = folder.path();
    let gate = |more: &[&str]| audit(at, &[&["audit", "orders", "--osv", "osv"][..], more].concat());
    let denied = gate(&["--fail-on", "critical"]);
    assert_eq!(denied.code, Some(12), "{denied}");
    assert!(
        denied.stderr.contains("3 vulnerabilities, 2 of which nobody rated")
            && denied.stderr.contains("1 that cannot be told"),
        "{denied}"
    );

    let statement = |vulnerability: &str, product: &str, until: &str| {
        format!(
            "[[statement]]\nvulnerability = \"{vulnerability}\"\nproduct = \"{product}\"\nstatus = \"not_affected\"\njustification = \"vulnerable_code_not_present\"\nreason = \"built without\"\nauthor = \"Sam\"\nuntil = \"{until}\"\n"
        )
    };
    let all = |until: &str| {
        let mut text = "format = \"1\"\n".to_owned();
        for (vulnerability, product) in [
            ("GHSA-aaaa", "pkg:pypi/alpha@1.2"),
            ("CVE-2026-2", "pkg:pypi/beta"),
            ("OSV-2026-4", "pkg:pypi/beta"),
            ("CVE-2026-7", "pkg:cargo/ring"),
        ] {
            text += &statement(vulnerability, product, until);
        }
        text + &statement("CVE-1999-1", "pkg:pypi/alpha", until)
    };
    fs::write(at.join("vex.toml"), all("2999-01-01")).unwrap();
    let passed = gate(&["--vex", "vex.toml", "--fail-on", "any"]);
    assert_eq!(passed.code, Some(0), "{passed}");
    for part in [
        "0 vulnerabilities, 4 silenced",
        "not_affected (vulnerable_code_not_present), by Sam in vex.toml:2, until 2999-01-01: built without",
        "about nothing that was found: vex.toml:34",
    ] {
        assert!(passed.stdout.contains(part), "{part}\n{passed}");
    }
    fs::write(at.join("ended.toml"), all("2026-01-01")).unwrap();
    let ended = gate(&["--vex", "ended.toml", "--fail-on", "critical"]);
    assert_eq!(ended.code, Some(12), "{ended}");
    assert!(ended.stdout.contains("ended.toml:2: `not_affected` ended on 2026-01-01"), "{ended}");
    fs::write(at.join("wrong.toml"), "format = \"1\"\n[[statement]]\nvulnerability = \"A\"\n").unwrap();
    let wrong = gate(&["--vex", "wrong.toml"]);
    assert_eq!(wrong.code, Some(30), "{wrong}");
    assert!(wrong.stderr.contains("wrong.toml: line 2: missing field"), "{wrong}");

    // What is written is read back, by who knows the artifact alone.
    let written = gate(&["--vex", "vex.toml", "--as", "openvex"]);
    let document = written.json();
    let count = |status: &str| {
        document["statements"].as_array().unwrap().iter().filter(|one| one["status"] == status).count()
    };
    assert_eq!((count("not_affected"), count("under_investigation")), (5, 0), "{written}");
    let absent = &document["statements"][0];
    assert_eq!(
        (&absent["vulnerability"]["name"], &absent["justification"]),
        (&json!("CVE-2026-6"), &json!("component_not_present"))
    );
    fs::write(at.join("vex.json"), &written.stdout).unwrap();
    let again = gate(&["--vex", "vex.json", "--fail-on", "any"]);
    assert_eq!(again.code, Some(0), "{again}");
    // A draft silences nothing.
    let draft = gate(&["--as", "openvex"]);
    assert!(
        draft.stdout.contains("draft, which a person has to confirm: vulnerable_code_not_in_execute_path"),
        "{draft}"
    );
    fs::write(at.join("draft.json"), &draft.stdout).unwrap();
    assert_eq!(gate(&["--vex", "draft.json", "--fail-on", "any"]).code, Some(12));
    let cyclonedx = gate(&["--vex", "vex.toml", "--as", "cyclonedx"]).json();
    assert_eq!(violations(&cyclonedx), [""; 0]);
    assert_eq!(cyclonedx["vulnerabilities"].as_array().unwrap().len(), 5);
    assert_eq!(cyclonedx["vulnerabilities"][1]["analysis"]["state"], "not_affected");

    // A document that cannot be read may be the one that matters.
    fs::write(at.join("osv/PyPI/broken.json"), "{").unwrap();
    let broken = gate(&["--vex", "vex.toml", "--fail-on", "critical"]);
    assert_eq!(broken.code, Some(12), "{broken}");
    assert!(broken.stdout.contains("not read: PyPI/broken.json"), "{broken}");
}

#[test]
fn what_was_found_checked_and_changed_is_stated() {
    let folder = place();
    let at = folder.path();
    let statement = |name: &str| -> Value {
        let text = fs::read_to_string(at.join(name)).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let statement: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
        let record: Value =
            serde_json::from_slice(&fs::read(at.join("orders/record.json")).unwrap()).unwrap();
        let digest = record["outputs"][0]["digest"].as_str().unwrap();
        assert_eq!(statement["subject"][0]["digest"]["sha256"], digest.trim_start_matches("sha256:"));
        statement
    };
    assert_eq!(audit(at, &["audit", "orders", "--osv", "osv", "--statement", "vulns.json"]).code, Some(0));
    let vulns = statement("vulns.json");
    assert_eq!(vulns["predicateType"], "https://in-toto.io/attestation/vulns/v0.2");
    let scanner = &vulns["predicate"]["scanner"];
    assert_eq!(
        (&scanner["result"][0]["id"], scanner["result"].as_array().unwrap().len()),
        (&json!("CVE-2026-1"), 4)
    );
    assert_eq!(scanner["db"]["lastUpdate"], "2026-03-04T05:06:07Z");
    assert!(vulns["predicate"]["metadata"]["scanStartedOn"].is_string());
    let several = audit(at, &["audit", "orders", "web", "--osv", "osv", "--statement", "no.json"]);
    assert!(several.code == Some(2) && !at.join("no.json").exists(), "{several}");

    assert_eq!(audit(at, &["show", "orders", "--statement", "checks.json"]).code, Some(0));
    let checks = statement("checks.json");
    assert_eq!(checks["predicateType"], "https://in-toto.io/attestation/test-result/v0.1");
    let predicate = &checks["predicate"];
    assert_eq!(predicate["result"], "WARNED", "one was not made");
    assert_eq!(predicate["warnedTests"], json!(["smoke: not checked"]));
    assert_eq!(predicate["passedTests"], json!(["elf", "import of alpha", "import of beta"]));

    let mut before = Release::new("orders");
    before.distribution("alpha", "1.1", "alpha.py", b"0").write(&at.join("before"));
    let diff = audit(at, &["diff", "before", "orders", "--statement", "change.json"]);
    let change = statement("change.json");
    assert_eq!(change["predicateType"], "urn:kiln:change:1");
    let unexplained = change["predicate"]["unexplained"].as_u64().unwrap();
    assert_eq!(unexplained > 0, diff.code == Some(12), "{diff}");
    assert!(unexplained > 0, "no input changed, and components did");
    let same = audit(at, &["diff", "orders", "orders", "--statement", "change.json"]);
    assert_eq!(
        (same.code, statement("change.json")["predicate"]["unexplained"].as_u64()),
        (Some(0), Some(0))
    );
}

#[test]
fn whoever_names_no_export_is_told_what_one_is_and_the_whole_command() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = audit(folder.path(), &["audit", "dist/orders", "dist/web"]);
    outcome.ends_with(exit::USAGE).says(&[
        "--osv EXPORT is missing",
        "a folder or zip of advisories in the form of OSV",
        "where they are: https://google.github.io/osv.dev/data/#data-dumps",
        "then: kiln audit dist/orders dist/web --osv osv",
    ]);
}

/// A folder that archives were brought to is not what an archive was unpacked to: it has no file of an artifact, and no finding.
#[test]
fn a_folder_of_archives_is_no_unpacked_artifact() {
    let folder = place();
    let at = folder.path();
    let words = ["audit", "brought", "--osv", "osv", "--fail-on", "high"];
    fs::create_dir(at.join("brought")).unwrap();
    fs::copy(at.join("orders/orders.zip"), at.join("brought/orders.zip")).unwrap();
    fs::write(at.join("brought/orders.cdx.json"), b"{}").unwrap();
    fs::write(at.join("brought/SHA256SUMS"), b"").unwrap();
    audit(at, &words).ends_with(exit::DIFFERENCE_DENIED).says(&["brought/orders.zip: "]);

    fs::copy(at.join("orders/orders.zip"), at.join("brought/payments.zip")).unwrap();
    for words in [&words[..], &["show", "brought"], &["explain", "brought"], &["diff", "brought", "orders"]] {
        audit(at, words).ends_with(exit::INPUT_INVALID).says(&[
            "brought: it has archives and no record beside them; name one: `brought/orders.zip`, `brought/payments.zip`",
        ]);
    }
    // Of an archive that is gone, a record is held against the advisories, and that is said.
    fs::remove_file(at.join("orders/orders.zip")).unwrap();
    audit(at, &["audit", "orders", "--osv", "osv"])
        .ends_with(exit::SUCCESS)
        .says(&["note: orders/orders.zip is not there: what is told of it is what its record says"]);
    // What an archive was unpacked to may hold some.
    fs::write(at.join("brought/app.py"), b"").unwrap();
    audit(at, &["show", "brought"]).ends_with(exit::SUCCESS).prints(&["application/brought"]);
}
