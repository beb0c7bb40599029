//! Ten pairs of releases, each with one thing that an auditor looks for: it is found, with its cause, in every form.

use crate::harness::{Outcome, Release, audit, python, validate_junit, validate_sarif};
use fs_err as fs;
use kiln_record::{
    Check, CheckName, ComponentId, Digest, Ecosystem, Exit, InputRole, Mode, OriginSource, exit,
};
use serde_json::Value;

/// What a comparison of two releases says, in its forms.
struct Told {
    human: Outcome,
    json: Value,
    markdown: Outcome,
    page: String,
    /// SARIF, JUnit and annotations, which have what is to be judged.
    judged: Vec<String>,
}

fn release() -> Release {
    let mut release = Release::new("app");
    release.distribution("alpha", "1.2", "alpha.py", b"VALUE = 1\n").distribution(
        "beta",
        "2.0",
        "beta.py",
        b"VALUE = 2\n",
    );
    release
}

/// Compares a release with another one, in a folder that holds nothing else.
fn told(before: &Release, after: &Release, arguments: &[&str], ends: Exit) -> Told {
    let folder = tempfile::tempdir().unwrap();
    before.write(&folder.path().join("monday"));
    after.write(&folder.path().join("tuesday"));
    let run = |format: &str| {
        let all = [&["diff", "monday", "tuesday", "--format", format], arguments].concat();
        audit(folder.path(), &all).ends_with(ends)
    };
    let told = Told {
        human: run("human"),
        json: run("json").json(),
        markdown: run("markdown"),
        page: text_of(&run("html").stdout),
        judged: ["sarif", "junit", "github"].map(|format| text_of(&run(format).stdout)).to_vec(),
    };
    validate_sarif(&run("sarif").stdout);
    validate_junit(&run("junit").stdout);
    told.is_in_every_form();
    told
}

/// A text without tags and escapes, and with one blank between words.
fn text_of(markup: &str) -> String {
    // What is before the content of a page is style.
    let markup = markup.find("<main").map_or(markup, |start| &markup[start..]);
    let mut text = String::new();
    let mut is_tag = false;
    for c in markup.chars() {
        match c {
            // Attributes say the same in JUnit.
            '<' if !markup.starts_with("<?xml") => is_tag = true,
            '>' if is_tag => is_tag = false,
            c if !is_tag => text.push(c),
            _ => {}
        }
    }
    let unescaped = [
        ("&gt;", ">"),
        ("&lt;", "<"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&amp;", "&"),
        ("%0A", " "),
        ("%3A", ":"),
        ("%2C", ","),
        ("%25", "%"),
    ];
    let text = unescaped.iter().fold(text, |text, (from, to)| text.replace(from, to));
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Told {
    /// Fails the test unless every form has each component that differs with its cause, each new executable, and what is unusual.
    #[track_caller]
    fn is_in_every_form(&self) {
        let texts = |list: &str, key: &str| -> Vec<String> {
            let all = self.json[list].as_array().unwrap().iter();
            all.filter_map(|one| if key.is_empty() { one.as_str() } else { one[key].as_str() })
                .map(str::to_owned)
                .collect()
        };
        let causes = self.json["components"].as_array().unwrap().iter();
        let causes = causes.filter_map(|one| one["cause"]["text"].as_str()).map(str::to_owned);
        let changes: Vec<String> =
            texts("components", "name").into_iter().chain(causes).chain(texts("executables", "")).collect();
        let unusual = [texts("anomalies", "text"), texts("anomalies", "subject")];
        assert!(!changes.is_empty() || !unusual[0].is_empty());
        let forms = self.judged.iter().map(|form| (form, &unusual[0])).chain([(&self.page, &unusual[1])]);
        for (form, unusual) in forms {
            for part in changes.iter().chain(unusual) {
                assert!(form.contains(part.as_str()), "no {part:?}\n{form}");
            }
        }
    }

    /// Fails the test unless the forms for people have these words.
    #[track_caller]
    fn says(&self, parts: &[&str]) -> &Self {
        let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let markdown = flat(&self.markdown.stdout).replace('\\', "").replace("&gt;", ">");
        for part in parts {
            assert!(flat(&self.human.stdout).contains(part), "no {part:?}\n{}", self.human);
            // In Markdown the columns of a table stand between.
            let words: Vec<&str> = part.split(' ').collect();
            assert!(words.iter().all(|word| markdown.contains(word)), "no {part:?}\n{}", self.markdown);
            // Pages write arrows and capitals of their own.
            let words =
                words.iter().filter(|word| **word != "->").map(|word| word.trim_matches(['(', ')', ':']));
            let page = self.page.to_lowercase();
            for word in words {
                assert!(page.contains(&word.to_lowercase()), "no {word:?} of {part:?}\n{}", self.page);
            }
        }
        self
    }

    /// The one component that differs.
    #[track_caller]
    fn component(&self) -> &Value {
        let all = self.json["components"].as_array().unwrap();
        assert_eq!(all.len(), 1, "{:#}", self.json);
        &all[0]
    }
}

#[test]
fn a_dropped_package_is_told_with_the_lock() {
    let mut after = release();
    after.without("beta").moves(InputRole::Lock);
    let told = told(&release(), &after, &["--fail-on", "removed"], exit::DIFFERENCE_DENIED);
    told.says(&["removed beta 2.0", "no longer in the lock requirements.txt"]);
    assert_eq!(
        (told.component()["kind"].as_str(), told.component()["cause"]["kind"].as_str()),
        (Some("removed"), Some("lock"))
    );
}

#[test]
fn a_wheel_that_was_uploaded_again_is_the_same_version_with_other_content() {
    let mut after = release();
    after.distribution("beta", "2.0", "beta.py", b"VALUE = 'other'\n").moves(InputRole::Lock);
    let told = told(&release(), &after, &["--fail-on", "rebuilt"], exit::DIFFERENCE_DENIED);
    told.says(&[
        "rebuilt beta 2.0",
        "lock changed: requirements.txt",
        "changed beta.py",
        "first at line 1: VALUE = 2 -> VALUE = 'other'",
    ]);
    assert_eq!(told.component()["cause"]["kind"], "lock");
    assert_eq!(told.json["files"][0]["difference"]["place"], "line 1");
}

#[test]
fn a_changed_mode_is_a_new_executable() {
    let (mut before, mut after) = (release(), release());
    before.own("tool.sh", b"#!/bin/sh\n");
    after.own("tool.sh", b"#!/bin/sh\n").moves(InputRole::Source);
    after.files.get_mut("tool.sh").unwrap().0 = Mode::Executable;
    let told = told(&before, &after, &[], exit::SUCCESS);
    told.says(&["mode tool.sh (0644 -> 0755)", "source changed: src", "executable now: tool.sh"]);
    assert_eq!(told.json["executables"], serde_json::json!(["tool.sh"]));
}

#[test]
fn a_new_setuid_file_is_an_alarm() {
    let packages = [("libc6", "2.41-1", 100)];
    let (mut before, mut after) = (release(), release());
    before.own("srv/helper", b"x").on_base("base-1", &packages);
    after.own("srv/helper", b"x").on_base("base-1", &packages).mode("srv/helper", 0o4755);
    after.moves(InputRole::Manifest);
    let told = told(&before, &after, &["--fail-on", "privileged"], exit::DIFFERENCE_DENIED);
    told.says(&["/srv/helper runs as its owner or group", "owner and mode /srv/helper: none -> 0:0 4755"]);
    assert_eq!(told.json["privileged"], serde_json::json!(["srv/helper"]));
    assert_eq!(told.json["anomalies"][0]["rule"], "privileged");
}

#[test]
fn a_base_that_moved_tells_its_packages() {
    let (mut before, mut after) = (release(), release());
    before.on_base("base-1", &[("libc6", "2.36-9", 100), ("zlib1g", "1.2", 10)]);
    after.on_base("base-2", &[("libc6", "2.41-1", 120), ("zlib1g", "1.2", 10)]);
    let told = told(&before, &after, &[], exit::SUCCESS);
    told.says(&["upgraded libc6 2.36-9 -> 2.41-1", "base changed: python-3.13"]);
    assert_eq!(
        (told.component()["id"].as_str(), told.component()["cause"]["kind"].as_str()),
        (Some("debian/libc6"), Some("base"))
    );
}

#[test]
fn a_swapped_index_is_told_although_no_byte_differs() {
    let mut after = release();
    let origin = after.components.get_mut(&python("beta")).unwrap().origin.as_mut().unwrap();
    origin.source = Some(OriginSource::Index { name: "mirror".to_owned() });
    after.moves(InputRole::Lock);
    let told = told(&release(), &after, &["--fail-on", "rehomed"], exit::DIFFERENCE_DENIED);
    told.says(&["re-homed beta 2.0", "taken from: the default index -> the index mirror"]);
    assert_eq!(told.json["verdict"], "identical");
    assert_eq!(
        (told.component()["kind"].as_str(), told.component()["cause"]["kind"].as_str()),
        (Some("rehomed"), Some("lock"))
    );
}

#[test]
fn a_native_library_that_changed_inside_an_unchanged_wheel_name_is_unexplained() {
    let library = |content: &[u8]| {
        let mut release = release();
        let id = ComponentId::new(Ecosystem::Native, "beta/libz-1a.so");
        let mut native = release.components[&python("beta")].clone();
        (native.id, native.ecosystem, native.version, native.origin) =
            (id.clone(), Ecosystem::Native, None, None);
        native.name = "libz-1a.so".to_owned();
        native.within = Some(python("beta"));
        release.components.insert(id.clone(), native);
        release.files.insert("beta.libs/libz-1a.so".to_owned(), (Mode::Plain, content.to_vec(), id));
        release
    };
    let (before, mut after) = (library(b"\x7fELF one"), library(b"\x7fELF two"));
    after.moves(InputRole::Source);
    let told = told(&before, &after, &[], exit::DIFFERENCE_DENIED);
    told.says(&["rebuilt libz-1a.so", "no input that could account for it has changed", "unexplained"]);
    assert_eq!(told.component()["cause"]["kind"], "unexplained");
    told.human.says(&["denied", "unexplained", "--allow unexplained"]);
}

#[test]
fn a_licence_that_changed_is_told_with_both() {
    let mut after = release();
    after.components.get_mut(&python("beta")).unwrap().metadata.license = Some("BUSL-1.1".to_owned());
    after.moves(InputRole::Lock);
    let told = told(&release(), &after, &["--fail-on", "relicensed"], exit::DIFFERENCE_DENIED);
    told.says(&["relicensed beta 2.0", "licence: MIT -> BUSL-1.1"]);
    assert_eq!(told.component()["relicensed"], serde_json::json!(["MIT", "BUSL-1.1"]));
}

#[test]
fn a_downgrade_is_one_by_the_rules_of_versions() {
    let (mut before, mut after) = (release(), release());
    before.without("beta").distribution("beta", "1.10", "beta.py", b"VALUE = 2\n");
    after.without("beta").distribution("beta", "1.9", "beta.py", b"VALUE = 3\n").moves(InputRole::Lock);
    let told = told(&before, &after, &["--fail-on", "downgrade"], exit::DIFFERENCE_DENIED);
    told.says(&["downgraded beta 1.10 -> 1.9", "lock changed: requirements.txt"]);
    assert_eq!(told.component()["kind"], "downgraded");
}

#[test]
fn unexplained_bytes_are_denied_unless_they_are_allowed() {
    let mut after = release();
    after.own("app.py", b"import alpha, os\n");
    let denied = told(&release(), &after, &[], exit::DIFFERENCE_DENIED);
    denied.says(&[
        "changed app",
        "no input that could account for it has changed",
        "first at line 1: import alpha -> import alpha, os",
    ]);
    assert_eq!(denied.component()["cause"]["kind"], "unexplained");
    told(&release(), &after, &["--allow", "unexplained"], exit::SUCCESS);
    // Own files come first, whatever is larger.
    let mut large = after.clone();
    large
        .distribution("beta", "2.0", "beta.py", &b"x".repeat(10_000))
        .moves(InputRole::Lock)
        .moves(InputRole::Source);
    let told = told(&release(), &large, &[], exit::SUCCESS);
    let (own, other) =
        (told.human.stdout.find("changed  app.py"), told.human.stdout.find("changed  beta.py"));
    assert!(own.is_some() && own < other, "{}", told.human);
}

#[test]
fn a_check_that_is_lost_is_told() {
    let (mut before, mut after) = (release(), release());
    before.checks =
        vec![Check::ran(CheckName::Import, 3, "modules"), Check::ran(CheckName::Elf, 1, "ELF files")];
    after.checks =
        vec![Check::not_checked(CheckName::Import, "the manifest switches it off"), before.checks[1].clone()];
    after.moves(InputRole::Manifest);
    let told = told(&before, &after, &["--fail-on", "check"], exit::DIFFERENCE_DENIED);
    told.says(&["check import: made before, and not now: the manifest switches it off"]);
    assert_eq!(told.json["checks"][0]["name"], "import");
}

#[test]
fn sizes_are_gated_without_a_ledger() {
    let mut after = release();
    after.own("model.bin", &noise(300_000)).moves(InputRole::Source);
    for (gate, ends) in [
        ("size", exit::DIFFERENCE_DENIED),
        ("size:+10%", exit::DIFFERENCE_DENIED),
        ("size:+5MB,removed", exit::SUCCESS),
        ("size:+5MB,size:+100kB", exit::DIFFERENCE_DENIED),
        ("size:+1MiB", exit::SUCCESS),
    ] {
        told(&release(), &after, &["--fail-on", gate], ends);
    }
    let folder = tempfile::tempdir().unwrap();
    release().write(&folder.path().join("monday"));
    after.write(&folder.path().join("tuesday"));
    // A history of builds that go up and down like this makes it usual; the report says which history that was.
    for (number, bytes) in [(1, 300_000), (2, 100), (3, 300_000), (4, 100), (5, 100)] {
        let mut earlier = release();
        earlier.own("model.bin", &noise(bytes));
        let (_, record) = earlier.made();
        fs::create_dir_all(folder.path().join("history")).unwrap();
        fs::write(folder.path().join(format!("history/{number}.json")), record.to_json().unwrap()).unwrap();
    }
    let usual =
        audit(folder.path(), &["diff", "monday", "tuesday", "--history", "history", "--fail-on", "size"]);
    usual
        .ends_with(exit::SUCCESS)
        .prints(&["Size against history, from 5 records of history", "5 earlier builds"]);
    audit(folder.path(), &["diff", "monday", "tuesday", "--history", "monday/app.zip"])
        .ends_with(exit::SUCCESS);
    audit(folder.path(), &["diff", "monday", "tuesday", "--fail-on", "size:10%"])
        .ends_with(exit::USAGE)
        .says(&["`size:10%` is not a reason to fail", "size:+10%"]);
}

/// Bytes that no compressor makes smaller and every run makes equal.
fn noise(length: usize) -> Vec<u8> {
    (0..length.div_ceil(32))
        .flat_map(|n| Digest::of(&n.to_le_bytes()).as_bytes().to_vec())
        .take(length)
        .collect()
}

#[test]
fn what_is_alike_is_one_line_for_people_and_all_of_it_elsewhere() {
    let release = |content: &[u8]| {
        let mut release = release();
        for number in 0..20 {
            let (name, path) = (format!("part-{number:02}"), format!("part_{number:02}.py"));
            release.distribution(&name, "1.0", &path, content);
            // The wheel is said to be the same one.
            release.components.get_mut(&python(&name)).unwrap().origin.as_mut().unwrap().digest =
                Digest::of(b"wheel");
        }
        release
    };
    let told = told(&release(b"VALUE = 1\n"), &release(b"VALUE = 2\n"), &[], exit::DIFFERENCE_DENIED);
    told.says(&["20 components rebuilt (0 B): part-00, part-01, part-02 and 17 more: no input that could account for it"]);
    let human = &told.human.stdout;
    assert_eq!(human.matches("no input that could account").count(), 2, "{}", told.human);
    assert!(human.lines().count() < 60 && !human.contains("part-19"), "{}", told.human);
    assert!(!told.markdown.stdout.contains("part-19"), "{}", told.markdown);
    // Pages have them folded, and programs get each.
    assert!(told.page.contains("all 20") && told.page.contains("part-19"), "{}", told.page);
    assert_eq!(told.json["anomalies"].as_array().unwrap().len(), 20);
    assert!(told.judged[0].matches("diff-unexplained").count() >= 20, "{}", told.judged[0]);
}
