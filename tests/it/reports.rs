//! What is found out in every form: for code scanning, CI systems, GitHub, comments, programs and browsers.

use crate::harness::{LocalIndex, Outcome, Sandbox, WheelFile, validate_junit, validate_sarif, wheel};
use fs_err as fs;
use kiln_record::exit;
use serde_json::Value;

const CODE: &str = "import alpha\n\ndef handler(event, context):\n    return alpha.VALUE\n";

fn alpha(version: &str) -> WheelFile {
    wheel("alpha", version, "py3-none-any", &[], &[("alpha.py", b"VALUE = 1\n")])
}

fn run(sandbox: &Sandbox, arguments: &[&str]) -> Outcome {
    sandbox.kiln().run(arguments)
}

/// A lock whose only distribution is not for the target: the build is denied at a line of the lock.
fn denied() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, &alpha("1.0").requirement("python_version == \"3.12\""));
    sandbox
}

const LOCK: &str = "manifests/app/requirements.txt";

/// The line of the lock that names the distribution.
fn line_of_alpha(sandbox: &Sandbox) -> u64 {
    let text = String::from_utf8(sandbox.read(LOCK)).unwrap();
    text.lines().zip(1..).find(|(line, _)| line.starts_with("alpha")).unwrap().1
}

#[test]
fn a_denied_build_is_shown_at_its_line_in_every_form() {
    let sandbox = denied();
    let line = line_of_alpha(&sandbox);
    let build = |format: &str| {
        run(&sandbox, &["build", "app", "--format", format]).ends_with(exit::FINDINGS_DENIED).stdout
    };
    let log = build("sarif");
    validate_sarif(&log);
    let log: Value = serde_json::from_str(&log).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let result = results.iter().find(|one| one["ruleId"] == "declared-not-installed").unwrap();
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], LOCK);
    assert_eq!(
        (place["region"]["startLine"].as_u64(), result["level"].as_str()),
        (Some(line), Some("error"))
    );

    let suite = build("junit");
    validate_junit(&suite);
    for part in [
        "<testsuite name=\"app\" tests=\"3\" failures=\"1\" errors=\"0\" skipped=\"1\">",
        "name=\"declared-not-installed: alpha\"",
        &format!(">{LOCK}:{line}\n"),
    ] {
        assert!(suite.contains(part), "{part}: {suite}");
    }

    let annotation = format!("::error file={LOCK},line={line},title=declared-not-installed app%3A alpha::");
    assert!(build("github").lines().any(|line| line.starts_with(&annotation)), "{annotation}");

    let markdown = build("markdown");
    let row =
        format!("| deny | declared-not-installed | alpha | {} |", LOCK.to_owned() + &format!(":{line}"));
    assert!(markdown.contains("| app | denied |") && markdown.contains(&row), "{row}: {markdown}");

    // What the code itself does wrong is shown in the code.
    let code = Sandbox::new();
    code.function("app", "3.13", "def handler(event, context):\n    import nowhere\n", "");
    let told = run(&code, &["build", "app", "--format", "github"]).ends_with(exit::FINDINGS_DENIED).stdout;
    let at = "::error file=manifests/app/src/app.py,line=2,title=import-unresolved app%3A nowhere::";
    assert!(told.lines().any(|line| line.starts_with(at)), "{told}");

    // In a job of GitHub Actions the same is said beside what a person reads.
    let kiln = sandbox.kiln().with_variable("GITHUB_ACTIONS", "true");
    let told = kiln.run(["build", "app"]).ends_with(exit::FINDINGS_DENIED);
    assert!(told.stderr.lines().any(|line| line.starts_with(&annotation)), "{told}");
    assert!(told.stdout.starts_with("app  denied"), "{told}");
    let other = run(&sandbox, &["build", "app"]).ends_with(exit::FINDINGS_DENIED);
    assert!(!other.stderr.contains("::error"), "{other}");
}

#[test]
fn a_form_that_a_command_does_not_have_is_refused_with_those_that_it_has() {
    let sandbox = denied();
    for (arguments, has) in [
        (&["pins", "--format", "sarif"][..], "it has: human, json, markdown"),
        (&["build", "app", "--format", "html"], "it has: human, json, markdown, sarif, junit, github"),
        (&["lock", "app", "--format", "markdown"], "it has: human, json"),
        (&["export", "env", "--format", "markdown"], "it has: human"),
        (&["report", "app", "--format", "json"], "it has: human, html"),
    ] {
        let refused = run(&sandbox, arguments).ends_with(exit::USAGE).says(&["has no form", has]);
        assert!(arguments.contains(&"json") || refused.stdout.is_empty(), "{refused}");
    }
    run(&sandbox, &["pins", "--format", "xml"])
        .ends_with(exit::USAGE)
        .says(&["[possible values: human, json, markdown]"]);
}

#[test]
fn an_error_is_a_document_where_one_was_asked_for() {
    let sandbox = denied();
    let error = |arguments: &[&str], code| run(&sandbox, arguments).ends_with(code).json()["error"].clone();
    let nothing = error(&["show", "nothing", "--format", "json"], exit::INPUT_INVALID);
    assert_eq!((nothing["kind"].as_str(), nothing["file"].as_str()), (Some("input-invalid"), None));
    assert_eq!(nothing["code"], i32::from(exit::INPUT_INVALID));
    assert!(nothing["message"].as_str().unwrap().contains("nothing"), "{nothing}");

    sandbox.append("kiln.toml", "surprise = 1\n");
    let lines = String::from_utf8(sandbox.read("kiln.toml")).unwrap().lines().count();
    let broken = error(&["build", "app", "--format", "json"], exit::INPUT_INVALID);
    assert_eq!((broken["file"].as_str(), broken["line"].as_u64()), (Some("kiln.toml"), Some(lines as u64)));
    assert_eq!(broken["key"], "surprise");
    assert!(broken["problems"][0]["message"].as_str().unwrap().contains("surprise"), "{broken}");
    let annotated = sandbox.kiln().with_variable("GITHUB_ACTIONS", "true").run(["build", "app"]);
    let annotated = annotated.ends_with(exit::INPUT_INVALID);
    let expected =
        format!("::error file=kiln.toml,line={lines},title=input-invalid kiln%3A kiln.toml%3A surprise::");
    assert!(annotated.stderr.lines().any(|line| line.starts_with(&expected)), "{annotated}");
}

/// A key that no manifest has, and one that kiln.toml does not: the one ends an artifact's build, the other the run.
#[test]
fn an_error_is_shown_at_its_line_in_every_form() {
    for file in ["manifests/app.toml", "kiln.toml"] {
        let sandbox = denied();
        sandbox.append(file, "surprise = 1\n");
        let text = String::from_utf8(sandbox.read(file)).unwrap();
        let line = text.lines().position(|line| line == "surprise = 1").unwrap() + 1;
        let build = |format: &str| {
            run(&sandbox, &["build", "app", "--format", format]).ends_with(exit::INPUT_INVALID).stdout
        };
        let log = build("sarif");
        validate_sarif(&log);
        let log: Value = serde_json::from_str(&log).unwrap();
        let results = log["runs"][0]["results"].as_array().unwrap();
        assert_eq!(results.len(), 1, "{log}");
        let place = &results[0]["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], file);
        assert_eq!(place["region"]["startLine"], line);
        assert_eq!(results[0]["ruleId"], "input-invalid");
        assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], false);

        let suite = build("junit");
        validate_junit(&suite);
        let at = format!("{file}:{line}: ");
        assert!(suite.contains("errors=\"1\"") && suite.contains(&at), "{suite}");
        assert!(build("markdown").contains(&at));

        let annotation = format!("::error file={file},line={line},title=input-invalid ");
        let shown = |text: &str| text.lines().filter(|line| line.starts_with(&annotation)).count();
        assert_eq!(shown(&build("github")), 1);
        // A job of GitHub Actions is told once.
        let kiln = sandbox.kiln().with_variable("GITHUB_ACTIONS", "true");
        for format in ["human", "github"] {
            let told = kiln.run(["build", "app", "--format", format]).ends_with(exit::INPUT_INVALID);
            assert_eq!(shown(&format!("{}{}", told.stdout, told.stderr)), 1, "{told}");
        }
    }
}

#[test]
fn builds_have_pages_and_every_command_a_form_for_comments() {
    let (one, two) = (alpha("1.0"), alpha("2.0"));
    let index = LocalIndex::serve(&[one.clone(), two.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, &one.requirement(""));
    run(&sandbox, &["build", "app"]).ends_with(exit::SUCCESS);
    sandbox.write(LOCK, two.requirement(""));
    let built = run(&sandbox, &["build", "app", "--format", "junit"]).ends_with(exit::SUCCESS).stdout;
    validate_junit(&built);
    assert!(
        built.contains("<testcase classname=\"app\" name=\"elf\">") && built.contains("failures=\"0\""),
        "{built}"
    );

    let page = |arguments: &[&str]| run(&sandbox, arguments).ends_with(exit::SUCCESS).stdout;
    let diff = page(&["diff", "app@1", "app@2", "--format", "html"]);
    for part in [
        "<title>app@1 → app@2</title>",
        "Different, and each change has a cause",
        "upgraded",
        "default-src 'none'",
    ] {
        assert!(diff.contains(part), "{part}: {diff}");
    }
    assert_eq!(diff, page(&["diff", "app@1", "app@2", "--format", "html"]), "no clock is in it");
    // What has no line is told at the manifest.
    let words = ["diff", "app@1", "app@2", "--fail-on", "any", "--format", "github"];
    let told = run(&sandbox, &words).ends_with(exit::DIFFERENCE_DENIED).stdout;
    let at_manifest = |line: &str| line.contains(" file=manifests/app.toml,");
    assert!(!told.is_empty() && told.lines().all(at_manifest), "{told}");
    let advisory = serde_json::json!({"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z", "affected": [{
        "package": {"ecosystem": "PyPI", "name": "alpha"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
    }]});
    sandbox.write("osv/a.json", advisory.to_string());
    let told = page(&["audit", "app", "--osv", "osv", "--format", "github"]);
    assert!(told.contains("GHSA-1") && told.lines().all(at_manifest), "{told}");
    let report = page(&["report", "app", "app@1"]);
    for part in ["<h1>2 builds</h1>", "app@2", "app → alpha", "not run"] {
        assert!(report.contains(part), "{part}: {report}");
    }
    assert_eq!(
        page(&["report", "dist/app/record.json"]),
        page(&["report", "dist/app/record.json", "--format", "html"])
    );

    page(&["report", "--site", "site"]);
    let first = fs::read_to_string(sandbox.path("site/index.html")).unwrap();
    assert!(first.contains("<a href=\"app.html\">app</a>"), "{first}");
    assert!(fs::read_to_string(sandbox.path("site/app.html")).unwrap().contains("<h1>app</h1>"));
    run(&sandbox, &["report", "--site", "site", "--dist", "nowhere"])
        .ends_with(exit::INPUT_INVALID)
        .says(&["no artifact is published in nowhere"]);

    for (arguments, part) in [
        (&["show", "app"][..], "| python/alpha | 2.0 |"),
        (&["history", "app"], "| app&#64;1 |"),
        (&["pins"], "| base python-3.13 |"),
        (&["explain", "app"], "| alpha | 2.0 | yes | yes | yes | yes | yes |"),
        (&["explain", "app", "alpha"], "| locked | manifests/app/requirements.txt:"),
        (&["verify"], "| same | dist/app |"),
        (&["verify", "dist/app/app.zip"], "| same | dist/app/app.zip |"),
        (&["diff", "app@1", "app@2"], "| alpha | upgraded | 1.0 | 2.0 |"),
        (&["build", "app"], "| app | unchanged | app&#64;2 |"),
    ] {
        let markdown = page(&[arguments, &["--format", "markdown"]].concat());
        assert!(markdown.contains(part), "{part}: {markdown}");
    }
    // What was altered is denied in each of them.
    let mut zip = sandbox.read("dist/app/app.zip");
    zip.push(0);
    sandbox.write("dist/app/app.zip", zip);
    let altered = |format: &str| {
        run(&sandbox, &["verify", "--format", format]).ends_with(exit::NOT_REPRODUCIBLE).stdout
    };
    validate_sarif(&altered("sarif"));
    validate_junit(&altered("junit"));
    assert!(altered("sarif").contains("\"ruleId\": \"verify-differs\""));
    assert!(altered("junit").contains("<failure type=\"verify-differs\""));
    let told = altered("github");
    let start = "::error file=dist/app,title=verify-differs published%3A dist/app::app.zip has digest ";
    assert!(told.starts_with(start), "{told}");
    // A file is called once, and is the place.
    fs::remove_file(sandbox.path("dist/app/app.cdx.json")).unwrap();
    let arguments = ["verify", "dist/app", "--format", "github"];
    let told = run(&sandbox, &arguments).ends_with(exit::NOT_REPRODUCIBLE).stdout;
    for line in [
        "::error file=dist/app/app.zip,title=verify-differs dist/app/app.zip::not the file that dist/app/record.json describes",
        "::error file=dist/app/app.cdx.json,title=verify-differs dist/app/app.cdx.json::missing, and dist/app/record.json has it\n",
    ] {
        assert!(told.contains(line), "{told}");
    }
    assert!(altered("markdown").contains("| differs | dist/app |"));

    // Beside a record that cannot be read, the others are looked at.
    for (path, content) in sandbox.dist() {
        if let Some(file) = path.strip_prefix("app/") {
            sandbox.write(&format!("release/app/{file}"), content);
        }
    }
    sandbox.write("release/bad/record.json", "{\n  \"x").write("release/bad/bad.zip", "x");
    let verified = |arguments: &[&str]| run(&sandbox, arguments).ends_with(exit::INPUT_INVALID);
    let told = verified(&["verify", "release", "--format", "github"]).stdout;
    for line in [
        "::error file=release/app/app.zip,title=verify-differs release/app/app.zip::",
        "::error file=release/bad/record.json,line=2,title=input-invalid release/bad/record.json::release/bad/record.json: not a kiln record: ",
    ] {
        assert!(told.contains(line), "{told}");
    }
    let rows = verified(&["verify", "release", "--format", "json"]).json();
    let unread: Vec<_> = rows.as_array().unwrap().iter().filter(|row| !row["unread"].is_null()).collect();
    assert!(unread.len() == 1 && unread[0]["file"] == "release/bad/record.json", "{rows}");
    assert_eq!(unread[0]["line"], 2);
    for words in [["verify", "release/bad"], ["show", "release/bad/record.json"]] {
        let alone = verified(&[words[0], words[1], "--format", "json"]).json();
        let (file, line) = (&alone["error"]["file"], &alone["error"]["line"]);
        assert!(file == "release/bad/record.json" && line == 2, "{alone}");
    }
}
