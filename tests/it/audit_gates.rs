//! What makes a comparison or a build fail, stated as people state it: each wrong value is refused with what would be right, and each
//! right one is held against both builds, or it is said that it could not be.

use crate::harness::{Release, Sandbox, audit};
use fs_err as fs;
use kiln_record::{Code, InputRole, JudgedBy, PolicyLevel, StatedException, exit};
use std::path::Path;

fn release() -> Release {
    let mut release = Release::new("app");
    release.distribution("alpha", "1.2", "alpha.py", b"VALUE = 1\n");
    release
}

/// Two releases, of which the second has one more file, and a bill of materials of the second.
fn releases(at: &Path) {
    release().write(&at.join("monday"));
    let mut after = release();
    after.own("more.txt", b"more\n").moves(InputRole::Source);
    after.write(&at.join("tuesday"));
    fs::copy(at.join("tuesday/app.zip"), at.join("foreign.zip")).unwrap();
    let components = [
        serde_json::json!({"type": "library", "name": "alpha", "version": "1.2", "purl": "pkg:pypi/alpha@1.2"}),
    ];
    let bill = serde_json::json!({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components});
    fs::write(at.join("listed.cdx.json"), bill.to_string()).unwrap();
}

#[test]
fn each_wrong_gate_is_refused_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    releases(at);
    for (arguments, says) in [
        (&["--fail-on", ""][..], "no reason to fail is named; possible values: removed"),
        (&["--fail-on", "size,"], "no reason to fail is named"),
        (&["--fail-on", "Size"], "did you mean `size`?"),
        (&["--fail-on", "removd"], "did you mean `removed`?"),
        (&["--fail-on", "glibc-too-new"], "`glibc-too-new` is not a reason to fail"),
        (&["--fail-on", "size:5%"], "a growth begins with `+`"),
        (&["--fail-on", "size:+5"], "it has no unit"),
        (&["--fail-on", "size:+5 mb"], "its unit is none of %, B, kB"),
        (&["--fail-on", "size:-5%"], "nothing is denied for having become smaller"),
        (&["--fail-on", "size:+%"], "what follows `+` is no number"),
        (&["--fail-on", "size:+10%,removed,size:+x"], "`size:+x` is not a reason to fail"),
        (&["--allow", "size"], "[possible values: unexplained]"),
        (&["--allow", ""], "[possible values: unexplained]"),
        (&["--allow", "unexplained", "--fail-on", "unexplained"], "say opposite things"),
        (&["--history", "nowhere"], "there is no such file"),
    ] {
        let outcome = audit(at, &[&["diff", "monday", "tuesday"], arguments].concat());
        assert!([Some(2), Some(30)].contains(&outcome.code), "{arguments:?}: {outcome}");
        outcome.says(&[says]);
    }
}

#[test]
fn each_right_gate_holds_as_stated() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    releases(at);
    let (denied, passed) = (exit::DIFFERENCE_DENIED, exit::SUCCESS);
    for (before, after, gates, ends) in [
        ("monday", "tuesday", "size:+0%", denied),
        ("monday", "tuesday", "size:+0B", denied),
        ("tuesday", "monday", "size:+0%", passed),
        ("monday", "monday", "size:+0%,size:+0B,any", passed),
        ("monday", "tuesday", "size:+1GiB,removed,downgrade", passed),
        ("monday", "tuesday", "size:+1GiB,size:+1B", denied),
        ("monday", "tuesday", "any", denied),
        ("monday", "tuesday", "size,size,size", passed),
    ] {
        audit(at, &["diff", before, after, "--fail-on", gates]).ends_with(ends);
    }
    // A history of one build says as much as none: a large step counts, a small one does not.
    audit(at, &["diff", "monday", "tuesday", "--history", "monday/record.json", "--fail-on", "size"])
        .ends_with(passed)
        .prints(&["from 1 record of monday/record.json", "too few to know what is usual"]);
    // What is about artifacts of workspaces says nothing of two builds, and that is told.
    audit(at, &["diff", "monday", "tuesday", "--fail-on", "new-artifact"]).ends_with(passed).says(&[
        "--fail-on new-artifact is about the artifacts of workspaces",
        "nothing was held against it",
    ]);
    let junit = audit(at, &["diff", "monday", "tuesday", "--fail-on", "new-artifact", "--format", "junit"]);
    junit.ends_with(passed).prints(&["fail-on new-artifact", "skipped"]);
}

#[test]
fn a_gate_on_what_nobody_knows_does_not_pass() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    releases(at);
    for (after, gate, why) in [
        ("foreign.zip", "check", "only a record tells which checks were made"),
        ("foreign.zip", "rehomed", "only a record tells which index or server a component is from"),
        ("listed.cdx.json", "check", "only a record tells which checks were made"),
        ("listed.cdx.json", "size", "has no size"),
        ("listed.cdx.json", "size:+10%", "has no size"),
        ("listed.cdx.json", "privileged", "has no modes"),
        ("listed.cdx.json", "rebuilt", "has no content"),
    ] {
        let told =
            audit(at, &["diff", "monday", after, "--fail-on", gate]).ends_with(exit::DIFFERENCE_DENIED);
        told.says(&[
            "cannot be told: ",
            why,
            &format!("denied: --fail-on {}", gate.split(':').next().unwrap()),
        ]);
        let sarif = audit(at, &["diff", "monday", after, "--fail-on", gate, "--format", "sarif"]);
        sarif.prints(&["cannot be told: ", why]);
    }
    // What can be read of a zip is held against it.
    audit(
        at,
        &["diff", "monday", "foreign.zip", "--fail-on", "privileged,removed,rebuilt,relicensed,size:+1MB"],
    )
    .ends_with(exit::SUCCESS);
}

#[test]
fn artifacts_on_one_side_only_are_in_every_form_and_unread_ones_pass_no_gate() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (day, names) in [("monday", ["same", "gone"]), ("tuesday", ["same", "fresh"])] {
        for name in names {
            Release::new(name).write(&at.join(day).join(name));
        }
    }
    let gates = ["--fail-on", "new-artifact,removed-artifact"];
    for format in ["human", "json", "markdown", "sarif", "junit", "github"] {
        let told = audit(at, &[&["diff", "monday", "tuesday", "--format", format], &gates[..]].concat());
        let told = told.ends_with(exit::DIFFERENCE_DENIED);
        told.clone().prints(&["fresh", "gone"]);
        if ["sarif", "junit", "github"].contains(&format) {
            told.prints(&["--fail-on new-artifact", "the artifact is new", "the artifact is gone"]);
        }
    }
    fs::write(at.join("tuesday/same/record.json"), b"{").unwrap();
    let told = audit(at, &["diff", "monday", "tuesday", "--allow", "unexplained", "--fail-on", "size:+10%"]);
    told.ends_with(exit::DIFFERENCE_DENIED).says(&["same: the artifact could not be read", "size:+10%"]);
}

#[test]
fn the_policy_that_judged_is_in_the_record_and_a_change_of_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (mut before, mut after) = (release(), release());
    let accepted = |until: &str| StatedException {
        code: Code::GlibcTooNew,
        subject: Some("native/example.so".to_owned()),
        reason: "only on the build servers".to_owned(),
        owner: Some("the platform team".to_owned()),
        until: until.to_owned(),
    };
    let level = |level| [(Code::CredentialLeak, level)].into();
    before.policy =
        Some(JudgedBy { levels: level(PolicyLevel::Deny), exceptions: vec![accepted("2026-12-31")] });
    after.policy =
        Some(JudgedBy { levels: level(PolicyLevel::Allow), exceptions: vec![accepted("2027-12-31")] });
    before.write(&at.join("monday"));
    after.write(&at.join("tuesday"));
    for format in ["human", "markdown"] {
        let told = audit(at, &["show", "tuesday", "--format", format]).ends_with(exit::SUCCESS);
        let told = told.stdout.replace(['\\', '`'], "");
        for part in [
            "credential-leak = allow",
            "glibc-too-new native/example.so until 2027-12-31, by the platform team: only on the build servers",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
    audit(at, &["report", "tuesday"]).ends_with(exit::SUCCESS).prints(&[
        "Judged under this policy",
        "<code>credential-leak</code>: allow",
        "is accepted until 2027-12-31, by the platform team: only on the build servers",
    ]);
    let told = audit(at, &["diff", "monday", "tuesday", "--format", "json"]).ends_with(exit::SUCCESS).json();
    let properties = told["properties"].as_array().unwrap();
    let changed = |name: &str| {
        let of = properties.iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{told:#}"));
        (of["before"].as_str().unwrap().to_owned(), of["after"].as_str().unwrap().to_owned())
    };
    assert_eq!(changed("policy for credential-leak"), ("deny".to_owned(), "allow".to_owned()));
    let (was, is) = changed("exception for glibc-too-new native/example.so");
    assert!(
        was.starts_with("until 2026-12-31, by the platform team: ") && is.starts_with("until 2027-12-31")
    );
    audit(at, &["diff", "monday", "tuesday"]).ends_with(exit::SUCCESS).prints(&[
        "policy for credential-leak",
        "deny",
        "allow",
    ]);
}

#[test]
fn a_policy_as_people_write_it() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    let key = format!("AKIA{}", "QWERTZUIOPASDFGH");
    sandbox.write("manifests/app/src/settings.py", format!("KEY = '{key}'\n"));
    let manifest = String::from_utf8(sandbox.read("manifests/app.toml")).unwrap();
    let policy = |text: &str| {
        sandbox.write("manifests/app.toml", format!("{manifest}\n{text}"));
        sandbox.kiln().run(["build", "app", "--color", "never"])
    };
    let exception = |rest: &str| format!("[[policy.exception]]\ncode = \"credential-leak\"\n{rest}");
    for (wrong, says) in [
        ("[policy.levels]\nno-such-code = \"warn\"\n".to_owned(), "no-such-code"),
        ("[policy.levels]\ncredential-leak = \"error\"\n".to_owned(), "error"),
        ("[policy.levels]\nrecord-mismatch = \"note\"\n".to_owned(), "the policy accepts `record-mismatch`"),
        (exception("until = \"2999-01-01\"\n"), "reason"),
        (exception("reason = \"known\"\n"), "until"),
        (exception("reason = \" \"\nuntil = \"2999-01-01\"\n"), "has no reason"),
        (exception("reason = \"known\"\nuntil = \"2027-02-29\"\n"), "which is not a date"),
        (exception("reason = \"known\"\nuntil = \"next year\"\n"), "which is not a date"),
        (exception("reason = \"known\"\nowner = \"\"\nuntil = \"2999-01-01\"\n"), "has an empty `owner`"),
        (exception("reason = \"known\"\nexpires = \"2999-01-01\"\n"), "expires"),
    ] {
        policy(&wrong).ends_with(exit::INPUT_INVALID).says(&["manifests/app.toml", says]);
    }
    let denies = "[policy.levels]\ncredential-leak = \"deny\"\n\n";
    policy(denies).ends_with(exit::FINDINGS_DENIED).says(&["deny[credential-leak]"]);
    let ended = format!("{denies}{}", exception("reason = \"a test key\"\nuntil = \"2020-01-01\"\n"));
    policy(&ended).ends_with(exit::FINDINGS_DENIED).says(&["deny[credential-leak]", "exception-expired"]);
    // A subject is the finding's own, and no pattern.
    let other = exception("subject = \"settings*\"\nreason = \"a test key\"\nuntil = \"2999-01-01\"\n");
    policy(&format!("{denies}{other}")).ends_with(exit::FINDINGS_DENIED);
    let terms =
        "subject = \"settings.py\"\nreason = \"a test key\"\nowner = \"anna\"\nuntil = \"2999-01-01\"\n";
    policy(&format!("{denies}{}{other}", exception(terms))).ends_with(exit::SUCCESS);
    sandbox
        .kiln()
        .run(["show", "app"])
        .ends_with(exit::SUCCESS)
        .documents("note[exception-unused] credential-leak settings*");
    let record: serde_json::Value = serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap();
    let findings = record["findings"].as_array().unwrap();
    let of = |code: &str| -> Vec<&str> {
        let these = findings.iter().filter(|one| one["code"] == code);
        these.map(|one| one["cause"].as_str().unwrap()).collect()
    };
    let accepted = of("credential-leak");
    assert!(accepted[0].contains("accepted until 2999-01-01T23:59:59Z, by anna: a test key"), "{accepted:?}");
    assert_eq!(
        of("exception-unused"),
        ["the manifest's exception for `credential-leak settings*` accepts nothing that was found"]
    );
    assert_eq!(record["policy"]["levels"]["credential-leak"], "deny");
    assert_eq!(record["policy"]["exceptions"][0]["owner"], "anna");

    // Of the workspace's exceptions only a build of everything knows which accept nothing.
    sandbox.append(
        "kiln.toml",
        &format!(
            "\n{}\n{}",
            exception("reason = \"a test key\"\nuntil = \"2999-01-01\"\n"),
            exception("subject = \"gone.py\"\nreason = \"an old key\"\nuntil = \"2999-01-01\"\n")
        ),
    );
    let told = "kiln.toml: the exception for `credential-leak gone.py` accepts nothing that was found in any artifact";
    let whole = sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).says(&[told]);
    assert_eq!(whole.stderr.matches("kiln.toml: the exception").count(), 1, "{}", whole.stderr);
    let part = sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    assert!(!part.stderr.contains("kiln.toml: the exception"), "{}", part.stderr);
    let document = sandbox.kiln().run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(document["unused_exceptions"], serde_json::json!(["credential-leak gone.py"]));
}
