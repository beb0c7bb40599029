//! The forms that programs read, held against readers that are not ours.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its own input has failed")]

mod sample;

use kiln_record::{Code, Finding, Level, Place};
use kiln_report::{Case, Judgement, Remark, github_annotations, junit, markdown, sarif};
use sample::{HOSTILE, Part, hostile, record};

fn judgements() -> Vec<Judgement> {
    let record = hostile(record(&[Part("requests", "2.31.0", 3, 1_000)]));
    let denied = Finding::new(Code::NoCompatibleWheel, "numpy", "numpy 2.3.0 (app/a b.lock:41) has no wheel")
        .detail("there is a wheel for cp312")
        .remedy("lock another version")
        .at(Place::line("app/a b.lock", 41));
    let mut app = Judgement {
        name: "shop".to_owned(),
        declared_in: Some("manifests/shop.toml".to_owned()),
        cases: record.checks.iter().map(Case::from).collect(),
        remarks: [&denied].into_iter().chain(&record.findings).map(Remark::from).collect(),
    };
    app.cases.push(Case::ran("build"));
    app.remarks.push(Remark::new("wrong-machine", Level::Note, "x.so", "it is for aarch64"));
    let broken = Judgement {
        name: "old".to_owned(),
        cases: vec![Case::broken(
            "build",
            format!("old.toml:3: `hander` is no key\n  because {HOSTILE}"),
            vec![Remark {
                place: Some(Place::line("manifests/old.toml", 3)),
                ..Remark::new("input-invalid", Level::Deny, "manifests/old.toml", "`hander` is no key")
            }],
        )],
        ..Judgement::default()
    };
    vec![app, broken]
}

#[test]
fn sarif_has_a_rule_and_a_place_for_each_result() {
    let text = sarif("0.1.0", &judgements()).unwrap();
    assert_eq!(text, sarif("0.1.0", &judgements()).unwrap());
    let log: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((log["version"].as_str(), log["runs"].as_array().map(Vec::len)), (Some("2.1.0"), Some(1)));
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 4);
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(rule["help"]["text"].as_str().unwrap().len() > 20, "{rule}");
        assert!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].is_string());
        assert_eq!(result["partialFingerprints"]["kiln/v1"].as_str().unwrap().len(), 64);
    }
    let place = &results[0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "app/a%20b.lock");
    assert_eq!(
        (place["region"]["startLine"].as_u64(), results[0]["level"].as_str()),
        (Some(41), Some("error"))
    );
    // What has no place of its own is shown where the artifact is declared.
    let declared = &results[2]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
    assert_eq!(
        (declared.as_str(), results[2]["level"].as_str()),
        (Some("manifests/shop.toml"), Some("note"))
    );
    // Why something broke off is a result as well: code scanning shows nothing else.
    let broken = &results[3]["locations"][0]["physicalLocation"];
    assert_eq!((&results[3]["ruleId"], &broken["region"]["startLine"]), (&"input-invalid".into(), &3.into()));
    assert_eq!(broken["artifactLocation"]["uri"], "manifests/old.toml");
    let run = &run["invocations"][0];
    assert_eq!(run["executionSuccessful"], false);
    let levels: Vec<&str> = run["toolExecutionNotifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["level"].as_str().unwrap())
        .collect();
    assert_eq!(levels, ["note", "error"], "what was not run, and what broke off");
}

#[test]
fn junit_counts_what_it_has() {
    let text = junit(&judgements());
    let document = roxmltree::Document::parse(&text).unwrap();
    let suites: Vec<_> =
        document.root_element().children().filter(|node| node.has_tag_name("testsuite")).collect();
    assert_eq!(suites.len(), 2);
    let count = |suite: &roxmltree::Node<'_, '_>, tag: &str| {
        suite.descendants().filter(|one| one.has_tag_name(tag)).count()
    };
    for suite in &suites {
        for (attribute, tag) in
            [("tests", "testcase"), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")]
        {
            assert_eq!(suite.attribute(attribute).unwrap(), count(suite, tag).to_string(), "{attribute}");
        }
    }
    assert_eq!(
        (count(&suites[0], "failure"), count(&suites[0], "skipped"), count(&suites[1], "error")),
        (1, 1, 1)
    );
    let failure = document.descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert_eq!(failure.attribute("type"), Some("no-compatible-wheel"));
    let text = failure.text().unwrap();
    assert!(text.starts_with("app/a b.lock:41\nnumpy 2.3.0"), "{text}");
    assert!(text.contains("there is a wheel for cp312\n→ lock another version"), "{text}");
    // A stranger's text is text, whatever is in it.
    let seen = HOSTILE.replace(['\u{202e}', '\u{1b}'], "\u{fffd}");
    assert!(document.descendants().any(|node| node.text().is_some_and(|text| text.contains(&seen))));
}

#[test]
fn annotations_are_a_line_each_and_markdown_stays_in_its_cells() {
    let judgements = judgements();
    let annotations = github_annotations(&judgements);
    let lines: Vec<&str> = annotations.lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with(
        "::error file=app/a b.lock,line=41,title=no-compatible-wheel shop%3A numpy::numpy 2.3.0"
    ));
    assert_eq!(
        lines[3],
        "::error file=manifests/old.toml,line=3,title=input-invalid old%3A manifests/old.toml::`hander` is no key"
    );
    assert!(lines.iter().all(|line| line.starts_with("::error ")
        || line.starts_with("::warning ")
        || line.starts_with("::notice ")));
    let markdown = markdown(&judgements);
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    assert!(markdown.lines().filter(|line| line.starts_with('|')).all(|line| cells(line) == 6), "{markdown}");
    assert!(!markdown.contains("<script>") && markdown.contains("smoke was not run"), "{markdown}");
}
