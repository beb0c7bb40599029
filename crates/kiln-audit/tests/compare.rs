//! Two builds, one difference: what changed is named, with the bytes and the cause.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its own input has failed")]

mod sample;
mod size_steps;

use kiln_audit::{
    BasePackages, CauseKind, ComponentChange, ComponentChangeKind, Diff, FailOn, FileChangeKind, Rule,
    Sample, Verdict, compare,
};
use kiln_record::{
    Cause, Code, Component, ComponentId, Digest, Ecosystem, Entry, FactChange, Finding, Gap, Level, Mode,
    Record, TreePath, canonical_json,
};
use sample::{Build, build};

fn diff(change: impl FnOnce(&mut Build)) -> Diff {
    let before = build();
    let mut after = before.clone();
    change(&mut after);
    compare(&before.record(), &after.record(), &[])
}

fn diff_records(change: impl FnOnce(&mut Record)) -> Diff {
    let before = build().record();
    let mut after = before.clone();
    change(&mut after);
    compare(&before, &after, &[])
}

fn only(diff: &Diff) -> &ComponentChange {
    assert_eq!(diff.components.len(), 1, "{:#?}", diff.components);
    &diff.components[0]
}

#[test]
fn a_build_is_identical_to_itself() {
    let diff = diff(|_| {});
    assert_eq!(diff.verdict, Verdict::Identical);
    assert_eq!(diff.exceeds(&FailOn::ALL), []);
    assert!(diff.to_text().starts_with("sample: identical, sha256:"));
    assert_eq!(diff.to_text().lines().count(), 1);
}

/// A base can move without a byte of the artifact: every form says which packages did, as somebody may have waited for one.
#[test]
fn a_moved_base_under_the_same_bytes_is_told_with_its_packages() {
    let mut diff = diff(|after| after.base = "another base");
    assert_eq!(diff.verdict, Verdict::Identical);
    let system = |version: &str| [("libssl3".to_owned(), version.to_owned())].into();
    let [base] = &mut diff.inputs[..] else { panic!("{:?}", diff.inputs) };
    base.packages = Some(BasePackages::between(&system("3.0.15"), &system("3.0.16")));
    for form in [diff.to_text(), diff.to_markdown().replace("&gt;", ">")] {
        assert!(form.contains("identical, sha256:") && form.contains(": libssl3 3.0.15 -> "), "{form}");
        assert!(!form.contains("step "), "equal sizes are held against nothing: {form}");
    }
}

#[test]
fn identical_builds_are_one_line_of_markdown() {
    assert_eq!(diff(|_| {}).to_markdown().lines().count(), 1);
}

#[test]
fn what_is_stated_of_lambdas_environment_is_compared() {
    let diff = diff_records(|record| {
        let change = FactChange {
            fact: "tmp-size".to_owned(),
            value: "1024 MB".to_owned(),
            reason: "it unpacks a model".to_owned(),
        };
        record.environment.push(change);
    });
    let [property] = &diff.properties[..] else { panic!("{:?}", diff.properties) };
    assert_eq!((property.name.as_str(), property.after.as_deref()), ("in Lambda, tmp-size", Some("1024 MB")));
}

#[test]
fn diff_after_removing_one_dependency() {
    let diff = diff(|b| {
        b.parts.retain(|p| p.name != "extra");
        b.part("main").requires.clear();
        b.lock = "2";
    });
    let change = only(&diff);
    assert_eq!(
        (change.kind, change.before_version.as_deref()),
        (ComponentChangeKind::Removed, Some("2.1.0"))
    );
    assert_eq!((change.before_bytes, change.after_bytes), (40_500, 0));
    assert_eq!(change.cause.kind, CauseKind::Lock);
    assert_eq!(change.cause.inputs, ["requirements.txt"]);
    assert_eq!((diff.bytes.total, diff.bytes.removed), (-40_500, -40_500));
    let text = diff.to_text();
    for words in [
        "removed",
        "extra 2.1.0",
        "-39.6 KiB  no longer in the lock requirements.txt; no longer required by main\n",
        "-40,500 B = removed -40,500 B",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    assert_eq!(diff.exceeds(&FailOn::ALL), [FailOn::Removed, FailOn::Any]);
    assert_eq!(diff.files.iter().filter(|f| f.kind == FileChangeKind::Removed).count(), 2);
}

#[test]
fn a_removed_component_whose_gap_is_known_tells_the_marker() {
    let before = build();
    let mut after = before.clone();
    after.parts.retain(|p| p.name != "extra");
    after.base = "2";
    let mut record = after.record();
    record.gaps = vec![Gap {
        distribution: "extra".to_owned(),
        version: "2.1.0".to_owned(),
        cause: Cause::Marker {
            marker: "python_version < \"3.13\"".to_owned(),
            values: vec!["python_version = \"3.13\"".to_owned()],
        },
    }];
    let diff = compare(&before.record(), &record, &[]);
    let change = only(&diff);
    assert_eq!(change.cause.kind, CauseKind::Base);
    for words in [
        "python_version < \"3.13\"",
        "python_version = \"3.13\"",
        "base changed: python-3.13",
        "still required by main",
    ] {
        assert!(change.cause.text.contains(words), "{words}: {}", change.cause.text);
    }
    assert_eq!(diff.gaps[0].distribution, "extra");
    assert!(diff.to_text().contains("Left out"));
}

#[test]
fn the_same_version_with_other_bytes_is_unexplained_when_nothing_explains_it() {
    // The wheel changed behind an unchanged lock.
    let swapped = diff(|b| {
        b.part("other").wheel = "2";
        b.part("other").seed = "other bytes";
        b.source = "2";
    });
    let change = swapped.components.iter().find(|c| c.name == "other").unwrap();
    assert_eq!((change.kind, change.cause.kind), (ComponentChangeKind::Rebuilt, CauseKind::Unexplained));
    assert_eq!(swapped.anomalies[0].rule, Rule::Unexplained);
    assert_eq!(
        swapped.exceeds(&[FailOn::Unexplained, FailOn::Rebuilt, FailOn::Removed]),
        [FailOn::Unexplained, FailOn::Rebuilt]
    );
    // The same with a lock that names the new wheel.
    let locked = diff(|b| {
        b.part("other").wheel = "2";
        b.part("other").seed = "other bytes";
        b.lock = "2";
    });
    assert_eq!(only(&locked).cause.kind, CauseKind::Lock);
    assert!(locked.anomalies.is_empty());
    // The same wheel installed to other files: a changed lock is no excuse.
    let installed = diff(|b| {
        b.part("other").seed = "other bytes";
        b.lock = "2";
    });
    assert_eq!(only(&installed).cause.kind, CauseKind::Unexplained);
}

#[test]
fn upgrades_and_downgrades_follow_pep_440_and_name_the_lock() {
    let up = diff(|b| {
        b.part("extra").version = "2.10.0";
        b.part("extra").files[0].1 = 45_000;
        b.lock = "2";
    });
    assert_eq!(only(&up).kind, ComponentChangeKind::Upgraded);
    assert_eq!(only(&up).cause.kind, CauseKind::Lock);
    assert_eq!((up.bytes.version_changes, up.bytes.total), (5000, 5000));
    assert!(up.to_text().contains("extra 2.1.0 -> 2.10.0"));
    let down = diff(|b| {
        b.part("extra").version = "2.1.0rc1";
        b.lock = "2";
    });
    assert_eq!(only(&down).kind, ComponentChangeKind::Downgraded);
    assert_eq!(down.exceeds(&[FailOn::Downgrade]), [FailOn::Downgrade]);
}

#[test]
fn a_version_that_moved_without_any_input_is_unexplained() {
    let diff = diff(|b| b.part("extra").version = "2.2.0");
    assert_eq!(only(&diff).cause.kind, CauseKind::Unexplained);
}

/// A bill of materials has an expression where a package has a classifier.
#[test]
fn a_licence_in_other_words_is_the_same_licence() {
    let licensed = |classifier: &str, expression: Option<&str>| {
        let mut record = build().record();
        let component = record.components.iter_mut().find(|one| one.ecosystem == Ecosystem::Python).unwrap();
        component.metadata.license_classifiers = vec![classifier.to_owned()];
        component.metadata.license_expression = expression.map(str::to_owned);
        record
    };
    let relicensed = |after: &Record| {
        let diff = compare(&licensed("MIT License", None), after, &[]);
        diff.components.iter().find_map(|one| one.relicensed.clone())
    };
    assert_eq!(relicensed(&licensed("MIT License", Some("MIT"))), None);
    let other = relicensed(&licensed("MIT License", Some("MIT-0")));
    assert_eq!(other, Some(("MIT License".to_owned(), "MIT-0".to_owned())));
}

#[test]
fn own_code_is_explained_by_its_source() {
    let diff = diff(|b| b.source = "2");
    let change = only(&diff);
    assert_eq!((change.kind, change.cause.kind), (ComponentChangeKind::Changed, CauseKind::Source));
    assert_eq!(diff.exceeds(&[FailOn::Rebuilt, FailOn::Unexplained]), []);
    assert_eq!(diff.files[0].kind, FileChangeKind::Content);
}

#[test]
fn a_change_of_mode_alone_is_told_as_such() {
    let diff = diff_records(|record| {
        let file = record.files.iter_mut().find(|f| f.path.as_str() == "main/core.py").unwrap();
        if let Entry::File { mode, .. } = &mut file.entry {
            *mode = Mode::Executable;
        }
        record.tree = record.to_tree().digest();
    });
    assert_eq!(diff.files.len(), 1);
    assert_eq!(diff.files[0].kind, FileChangeKind::Mode);
    assert_eq!(diff.bytes.total, 0);
    assert_eq!(only(&diff).cause.kind, CauseKind::Unexplained);
    assert!(diff.to_text().contains("main/core.py (0644 -> 0755)"));
}

#[test]
fn a_file_that_moved_is_one_change() {
    let diff = diff_records(|record| {
        let file = record.files.iter_mut().find(|f| f.path.as_str() == "main/core.py").unwrap();
        file.path = TreePath::new("main/heart.py").unwrap();
        record.tree = record.to_tree().digest();
    });
    assert_eq!(diff.files.len(), 1);
    assert_eq!(diff.files[0].kind, FileChangeKind::Moved);
    assert_eq!(diff.files[0].from.as_ref().unwrap().as_str(), "main/core.py");
}

#[test]
fn another_archive_of_the_same_tree_is_same_content() {
    let changed = diff(|b| b.archive = 1_000_001);
    assert_eq!(changed.verdict, Verdict::SameContent);
    assert_eq!(changed.anomalies[0].rule, Rule::Unexplained);
    let before = build();
    let mut after = before.clone();
    after.archive = 1_000_001;
    let mut record = after.record();
    record.tools.insert("libdeflate".to_owned(), "1.27".to_owned());
    let explained = compare(&before.record(), &record, &[]);
    assert_eq!(explained.container.as_ref().unwrap().kind, CauseKind::Tool);
    assert!(explained.anomalies.is_empty());
    assert!(explained.to_text().contains("tool changed: tool libdeflate"));
}

#[test]
fn a_library_inside_a_wheel_counts_with_its_wheel() {
    let native = |record: &mut Record, name: &str, size: u64| {
        let id = ComponentId::new(Ecosystem::Native, &format!("other/{name}"));
        let owner = record.components.iter().find(|c| c.name == "other").unwrap();
        let library = Component {
            id: id.clone(),
            ecosystem: Ecosystem::Native,
            name: name.to_owned(),
            version: None,
            origin: None,
            within: Some(owner.id.clone()),
            ..owner.clone()
        };
        record.components.push(library);
        let mut file = record.files[0].clone();
        file.path = TreePath::new(&format!("other.libs/{name}")).unwrap();
        if let Entry::File { size: bytes, .. } = &mut file.entry {
            *bytes = size;
        }
        file.component = id;
        record.files.push(file);
    };
    let mut before = build().record();
    native(&mut before, "libx-1a.so", 1000);
    let mut upgraded = build();
    upgraded.part("other").version = "3.1";
    upgraded.lock = "2";
    let mut after = upgraded.record();
    native(&mut after, "libx-2b.so", 3000);
    let diff = compare(&before, &after, &[]);
    assert_eq!(diff.components.len(), 3);
    assert_eq!((diff.bytes.version_changes, diff.bytes.total), (2000, 2000));
    let text = diff.to_text();
    assert!(!text.contains("added       libx"), "{text}");
    assert!(diff.components.iter().all(|c| c.cause.kind == CauseKind::Lock));
}

#[test]
fn the_parts_of_the_byte_change_add_up() {
    let diff = diff(|b| {
        b.parts.retain(|p| p.name != "extra");
        b.part("other").version = "4.0";
        b.part("other").files[0].1 = 2_600_000;
        b.part("main").files[1].1 = 49_000;
        b.lock = "2";
        let mut added = b.parts[0].clone();
        added.name = "fresh";
        added.files = vec![("fresh.py", 7)];
        b.parts.push(added);
    });
    let bytes = diff.bytes;
    assert_eq!(bytes.added, 7);
    assert_eq!(bytes.removed, -40_500);
    assert_eq!(bytes.version_changes, 600_000);
    assert_eq!(bytes.same_version, -1000);
    assert_eq!(
        bytes.total,
        bytes.added
            + bytes.removed
            + bytes.version_changes
            + bytes.same_version
            + bytes.application
            + bytes.unowned
    );
    let before = i64::try_from(diff.before.unpacked_size).unwrap();
    assert_eq!(before + bytes.total, i64::try_from(diff.after.unpacked_size).unwrap());
    assert_eq!(diff.bytes_by_component[0].id.as_str(), "python/other");
    assert!(diff.anomalies.iter().any(|a| a.rule == Rule::Component && a.subject == "python/other"));
}

#[test]
fn five_builds_then_six_per_cent_more_is_flagged_and_the_five_are_not() {
    let mut builds: Vec<Build> = (0..5)
        .map(|i| {
            let mut build = build();
            build.archive = 10_000_000 + 700 * (i % 3);
            build.part("other").files[0].1 = 30_000_000 + 900 * (i % 2);
            build
        })
        .collect();
    let mut grown = builds[4].clone();
    grown.archive = grown.archive * 106 / 100;
    grown.part("other").files[0].1 = 31_800_000;
    grown.lock = "2";
    builds.push(grown);
    let records: Vec<Record> = builds.iter().map(Build::record).collect();
    let samples: Vec<Sample> = records
        .iter()
        .zip(1..)
        .map(|(r, number)| Sample { number, archive: r.outputs[0].size, unpacked: r.unpacked_size })
        .collect();
    for i in 1..records.len() {
        let diff = compare(&records[i - 1], &records[i], &samples[..i]);
        let flagged = diff.exceeds(&[FailOn::Size]) == [FailOn::Size];
        assert_eq!(flagged, i == 5, "build {}:\n{}", i + 1, diff.to_text());
        if flagged {
            let text = diff.to_text();
            for words in
                ["median step", "MAD", "floor", "scale", "z 6.0 (limit 3.5)", "5 earlier builds", "+6.0 %"]
            {
                assert!(text.contains(words), "{words}:\n{text}");
            }
        }
    }
}

#[test]
fn sizes_of_unlike_builds_are_not_held_against_each_other() {
    let diff = diff_records(|r| r.target.architecture = kiln_record::Architecture::Arm64);
    assert!(diff.sizes.is_empty());
    assert_eq!(diff.properties[0].name, "architecture");
}

#[test]
fn new_findings_are_told_but_not_those_with_another_wording() {
    let mut before = build().record();
    before.findings = vec![Finding::new(Code::ProvidedByRuntime, "boto3", "version 1")];
    let mut after = before.clone();
    after.findings = vec![
        Finding::new(Code::ProvidedByRuntime, "boto3", "version 2"),
        Finding::new(Code::ProvidedByLayer, "aws-xray-sdk", "the layer has it"),
    ];
    let diff = compare(&before, &after, &[]);
    assert_eq!(diff.findings_new.len(), 1);
    assert_eq!(diff.findings_new[0].level, Level::Note);
    assert!(diff.findings_gone.is_empty());
}

#[test]
fn json_is_versioned_and_markdown_holds_hostile_names() {
    let mut before = build().record();
    before.components[1].name = "evil|name\u{1b}[2J @team <script>".to_owned();
    let mut after = build().record();
    after.components.remove(1);
    let gone = ComponentId::new(Ecosystem::Python, "extra");
    after.files.retain(|f| f.component != gone);
    after.tree = after.to_tree().digest();
    let diff = compare(&before, &after, &[]);
    let json = String::from_utf8(canonical_json(&diff).unwrap()).unwrap();
    assert!(json.contains("\"format\": \"1.2\""));
    assert!(json.contains("\"kind\": \"removed\""));
    let markdown = diff.to_markdown();
    assert!(markdown.contains("evil\\|name"), "{markdown}");
    assert!(!markdown.contains("<script>") && !markdown.contains("@team") && !markdown.contains('\u{1b}'));
    assert!(!diff.to_text().contains('\u{1b}'));
}

#[test]
fn hostile_records_are_survived() {
    let mut record = build().record();
    let own = record.components[0].id.clone();
    record.components[0].within = Some(own);
    record.components.push(record.components[1].clone());
    record.unpacked_size = u64::MAX;
    for file in &mut record.files {
        if let Entry::File { size, .. } = &mut file.entry {
            *size = u64::MAX;
        }
    }
    record.tree = record.plan;
    let forwards = compare(&build().record(), &record, &[]);
    let backwards = compare(&record, &build().record(), &[]);
    assert!(!forwards.to_text().is_empty() && !backwards.to_markdown().is_empty());
}

#[test]
fn a_base_inside_an_image_is_compared_by_its_packages() {
    let image = |record: &mut Record, version: &str, bytes: u64| {
        let python = record.components[0].clone();
        record.components.push(Component {
            id: ComponentId::new(Ecosystem::Debian, "libc6"),
            ecosystem: Ecosystem::Debian,
            name: "libc6".to_owned(),
            version: Some(version.to_owned()),
            bytes,
            files: 3,
            from_base: true,
            within: None,
            ..python
        });
        record.kind = kiln_record::ArtifactKind::Image;
        record.image = Some(kiln_record::ImageRecord {
            manifest: Digest::of(version.as_bytes()),
            config: Digest::of(b"config"),
            variant: None,
            base: kiln_record::ImageBase {
                name: "python-3.13".parse().unwrap(),
                reference: "localhost/kiln/python-3.13".to_owned(),
                manifest: Digest::of(version.as_bytes()),
                manifest_sha512: None,
                files: 3,
                bytes,
                unowned_bytes: 0,
                surface: None,
            },
            layers: Vec::new(),
            size: 1000,
            unpacked_size: bytes,
            python_folder: None,
            runs: kiln_record::ImageRuns::default(),
            attributes: std::collections::BTreeMap::new(),
            removed: std::collections::BTreeSet::new(),
            annotations: std::collections::BTreeMap::new(),
        });
    };
    let (mut before, mut after) = (build().record(), build().record());
    image(&mut before, "2.36-9", 100);
    image(&mut after, "2.41-1", 120);
    let diff = compare(&before, &after, &[]);
    assert_eq!(diff.verdict, Verdict::Different, "the tree is the same, and what is beneath it is not");
    assert_eq!(diff.bytes.total, 0, "the sums are of the artifact's own files");
    let [change] = diff.components.as_slice() else { panic!("{:?}", diff.components) };
    assert_eq!(
        (change.kind, change.before_bytes, change.after_bytes),
        (ComponentChangeKind::Upgraded, 100, 120)
    );
    assert_eq!(diff.bytes_by_component[0].delta, 20);

    let mut config = before.clone();
    config.image.as_mut().unwrap().runs.user = Some("1:1".to_owned());
    config.outputs[0].digest = Digest::of(b"another");
    let diff = compare(&before, &config, &[]);
    assert_eq!(diff.verdict, Verdict::SameContent);
    assert_eq!(diff.properties[0].name, "image user");
}
