//! Pages are well-formed, keep strangers' texts texts, load nothing, are the same each time, and stay small.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its own input has failed")]

mod sample;

use html5gum::{DefaultEmitter, Token, Tokenizer};
use kiln_audit::{
    ArtifactChange, ArtifactState, Diff, Known, Sample, SizeHistory, Subject, WorkspaceDiff, compare,
    compare_subjects,
};
use kiln_record::{Digest, Record};
use kiln_report::{BuildReport, Comparison, SiteEntry, build_page, diff_page, site_index, workspace_page};
use sample::{HOSTILE, Part, hostile, record};
use std::collections::{BTreeMap, BTreeSet};

const BEFORE: [Part<'static>; 5] = [
    Part("boto3", "1.38.0", 40, 60_000),
    Part("requests", "2.31.0", 20, 9_000),
    Part("urllib3", "2.4.0", 36, 11_000),
    Part("tabulate", "0.9.0", 3, 30_000),
    Part("idna", "3.10", 10, 30_000),
];
const AFTER: [Part<'static>; 5] = [
    Part("boto3", "1.38.0", 40, 60_000),
    Part("requests", "2.32.0", 20, 9_400),
    Part("urllib3", "2.5.0", 36, 11_700),
    Part("idna", "3.10", 10, 30_000),
    Part("pydantic", "2.11.0", 60, 41_000),
];

fn history() -> Vec<Sample> {
    (1..9)
        .map(|number| Sample {
            number,
            archive: 900_000 + number * 3_000,
            unpacked: 3_100_000 + number * 9_000,
        })
        .collect()
}

fn page_of(before: &Record, after: &Record) -> String {
    let history = history();
    let diff = compare(before, after, &history);
    diff_page("0.1.0", Comparison { diff: &diff, before, after, history: &history })
}

/// An artifact of two workspaces that is on both sides, or on one of them.
fn artifact(name: &str, state: ArtifactState, sizes: [u64; 2], diff: Option<Diff>) -> ArtifactChange {
    let sizes = (sizes[0], sizes[1]);
    let reason = (state == ArtifactState::NotRead).then(|| "its record is no JSON".to_owned());
    ArtifactChange { artifact: name.parse().unwrap(), state, packed: sizes, unpacked: sizes, reason, diff }
}

/// The page on two workspaces in which the same two builds are the change of several artifacts.
fn workspaces(before: &Record, after: &Record, changed: usize) -> String {
    let history = history();
    let (mut artifacts, mut diffs) = (Vec::new(), Vec::new());
    for number in 0..changed {
        let name = |record: &Record| Record {
            artifact: format!("shop-{number}").parse().unwrap(),
            ..record.clone()
        };
        let diff = compare(&name(before), &name(after), &history);
        diffs.push(diff.clone());
        let sizes = [before.unpacked_size, after.unpacked_size];
        artifacts.push(artifact(&format!("shop-{number}"), ArtifactState::Changed, sizes, Some(diff)));
    }
    artifacts.push(artifact("cart", ArtifactState::New, [0, 5_000_000], None));
    artifacts.push(artifact("basket", ArtifactState::Gone, [4_000_000, 0], None));
    artifacts.push(artifact("broken", ArtifactState::NotRead, [0, 0], None));
    let diff = WorkspaceDiff::new("monday".to_owned(), "tuesday".to_owned(), artifacts);
    let parts: Vec<Comparison<'_>> =
        diffs.iter().map(|diff| Comparison { diff, before, after, history: &history }).collect();
    workspace_page("0.1.0", &diff, &parts)
}

fn all_pages(before: &Record, after: &Record) -> [String; 4] {
    let history = history();
    let report = BuildReport {
        name: "shop@9",
        record: after,
        known: Known::Record,
        absent: None,
        history: &history,
        history_source: Some("the ledger"),
    };
    let entry = SiteEntry { name: "shop", page: "shop.html", record: after };
    [
        page_of(before, after),
        build_page("0.1.0", &[report, BuildReport { name: "shop@8", ..report }]),
        site_index("0.1.0", &[entry]),
        workspaces(before, after, 2),
    ]
}

/// What a reader of HTML finds in a page.
#[derive(Debug, Default)]
struct Found {
    elements: BTreeMap<String, usize>,
    attributes: BTreeSet<String>,
    ids: Vec<String>,
    links: Vec<String>,
    labels: Vec<String>,
    policy: String,
    texts: String,
    raw: BTreeMap<String, String>,
}

/// Elements of HTML that have no end.
const VOID: [&str; 3] = ["meta", "br", "input"];

/// Reads a page as browsers do, and holds that every element ends where it should.
fn read(page: &str) -> Found {
    let mut found = Found::default();
    let mut open: Vec<String> = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut emitter = DefaultEmitter::default();
    // What is in script and style is no markup.
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(page, emitter) {
        match token.unwrap() {
            Token::StartTag(tag) => {
                let name = text(&tag.name);
                for (key, value) in &tag.attributes {
                    let (key, value) = (text(key), text(value));
                    match key.as_str() {
                        "id" => found.ids.push(value.clone()),
                        "href" => found.links.push(value.clone()),
                        "aria-labelledby" => found.labels.push(value.clone()),
                        "content" if value.starts_with("default-src") => found.policy = value.clone(),
                        _ => {}
                    }
                    found.attributes.insert(key);
                }
                *found.elements.entry(name.clone()).or_default() += 1;
                if !VOID.contains(&name.as_str()) {
                    open.push(name);
                }
            }
            Token::EndTag(tag) => {
                assert_eq!(open.pop().as_deref(), Some(text(&tag.name).as_str()), "elements end in order");
            }
            Token::String(bytes) => match open.last().map(String::as_str) {
                Some(raw @ ("script" | "style")) => {
                    found.raw.entry(raw.to_owned()).or_default().push_str(&text(&bytes))
                }
                _ => found.texts.push_str(&text(&bytes)),
            },
            Token::Error(error) => panic!("{error:?} in {open:?}"),
            Token::Comment(_) | Token::Doctype(_) => {}
        }
    }
    assert!(open.is_empty(), "{open:?} do not end");
    found
}

/// What no page of ours has, whatever is in it.
const LOADING: [&str; 9] = ["img", "iframe", "link", "object", "embed", "form", "base", "video", "image"];

#[track_caller]
fn is_sound(page: &str) -> Found {
    let found = read(page);
    let ids: BTreeSet<&String> = found.ids.iter().collect();
    assert_eq!(ids.len(), found.ids.len(), "ids are unique");
    for link in found
        .links
        .iter()
        .filter_map(|link| link.strip_prefix('#'))
        .chain(found.labels.iter().map(String::as_str))
    {
        assert!(ids.iter().any(|id| *id == link), "#{link} is somewhere");
    }
    for element in LOADING {
        assert!(!found.elements.contains_key(element), "{element}");
    }
    assert_eq!((found.elements["script"], found.elements["style"], found.elements["main"]), (1, 1, 1));
    assert_eq!(found.elements["h1"], 1);
    assert!(!found.attributes.iter().any(|name| name.starts_with("on") || name == "style" || name == "src"));
    for raw in ["script", "style"] {
        let hash = Digest::of(found.raw[raw].as_bytes()).base64();
        assert!(found.policy.contains(&format!("{raw}-src 'sha256-{hash}'")), "{}", found.policy);
    }
    assert!(found.policy.starts_with("default-src 'none'; "), "{}", found.policy);
    found
}

#[test]
fn pages_are_sound_and_the_same_each_time() {
    let (before, after) = (record(&BEFORE), record(&AFTER));
    let pages = all_pages(&before, &after);
    pages.iter().for_each(|page| drop(is_sound(page)));
    assert_eq!(pages, all_pages(&before, &after));
    let texts = read(&pages[0]).texts;
    for words in [
        "tabulate",
        "0.9.0",
        "pydantic",
        "no longer in the lock",
        "the manifest states no event",
        "shop → requests → urllib3",
    ] {
        let words = words.replace("shop → requests", "shop → boto3 → requests");
        assert!(texts.contains(&words), "{words}");
    }
    assert!(pages[1].contains("shop → boto3 → requests → urllib3"));
}

#[test]
fn what_strangers_write_stays_text() {
    let before = record(&BEFORE);
    let after = hostile(record(&AFTER));
    let (plain, spoilt) = (all_pages(&before, &record(&AFTER)), all_pages(&before, &after));
    for (plain, spoilt) in plain.iter().zip(&spoilt) {
        let (plain, spoilt_found) = (is_sound(plain), is_sound(spoilt));
        assert_eq!(plain.raw, spoilt_found.raw, "neither script nor style changes");
        let mut attributes = spoilt_found.attributes.clone();
        attributes.retain(|name| !plain.attributes.contains(name));
        assert!(attributes.is_empty(), "{attributes:?}");
        assert!(!spoilt.contains(['\u{202e}', '\u{1b}']), "nothing turns a line around");
    }
    let seen = HOSTILE.replace(['\u{202e}', '\u{1b}'], "\u{fffd}");
    assert!(read(&spoilt[0]).texts.contains(&seen), "it is shown as what it is");
}

/// How far two colours are apart, from 1 to 21, as WCAG 2 counts.
fn contrast(a: &str, b: &str) -> f64 {
    let luminance = |colour: &str| {
        let channel = |start: usize| {
            let value = f64::from(u8::from_str_radix(&colour[start..start + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn every_text_can_be_read_on_what_is_behind_it() {
    let style = &read(&page_of(&record(&BEFORE), &record(&AFTER))).raw["style"];
    let schemes: Vec<BTreeMap<&str, &str>> = style
        .split(":root {")
        .skip(1)
        .take(2)
        .map(|rest| {
            rest.split('}').next().unwrap().split(';').filter_map(|one| one.trim().split_once(": ")).collect()
        })
        .collect();
    assert_eq!(schemes.len(), 2, "light and dark");
    for scheme in schemes {
        let on = |texts: &[&str], behind: &[&str]| {
            for (text, behind) in
                texts.iter().flat_map(|text| behind.iter().map(move |behind| (text, behind)))
            {
                let ratio = contrast(scheme[text], scheme[behind]);
                assert!(ratio >= 4.5, "{text} on {behind}: {ratio:.2}");
            }
        };
        on(&["--ink", "--faint", "--accent"], &["--paper", "--card"]);
        on(&["--ink", "--good"], &["--good-soft"]);
        on(&["--ink", "--warn"], &["--warn-soft"]);
        on(&["--ink", "--bad"], &["--bad-soft"]);
        on(
            &["--map-ink"],
            &[
                "--map-same",
                "--map-added",
                "--map-removed",
                "--map-changed",
                "--own",
                "--python",
                "--system",
                "--native",
            ],
        );
    }
}

#[test]
fn workspaces_have_a_table_of_artifacts_and_a_part_for_each_that_differs() {
    let page = workspaces(&record(&BEFORE), &record(&AFTER), 2);
    let found = is_sound(&page);
    for words in [
        "monday → tuesday",
        "Not all of it could be read",
        "5 artifacts: 1 new, 1 gone, 2 changed, 1 not read.",
        "its record is no JSON",
        "without 1 artifact that could not be read",
        "no longer in the lock",
    ] {
        assert!(found.texts.contains(words), "{words}: {}", found.texts);
    }
    assert_eq!(
        (found.elements["article"], found.elements["h2"]),
        (2, 4),
        "levels of headings follow each other"
    );
    let links: Vec<&String> = found.links.iter().filter(|link| link.starts_with("#artifact-")).collect();
    assert_eq!(links.len(), 6, "from the table and from both maps");
}

/// A folder of artifacts is no longer than one of them may be.
#[test]
fn a_page_on_two_workspaces_is_small_however_much_differs() {
    let names: Vec<String> = (0..100).map(|number| format!("distribution-{number}")).collect();
    let parts = |version: &'static str, bytes| -> Vec<Part<'_>> {
        names.iter().map(|name| Part(name, version, 20, bytes)).collect()
    };
    let page = workspaces(&record(&parts("1.0", 700)), &record(&parts("1.1", 800)), 20);
    is_sound(&page);
    assert!(page.len() < 2_000_000, "{}", page.len());
}

/// What a list of components does not have is not shown as nothing.
#[test]
fn sizes_that_are_not_known_are_not_shown_as_nothing() {
    let (before, mut after) = (record(&BEFORE), record(&AFTER));
    after.files.clear();
    after.outputs.clear();
    after.unpacked_size = 0;
    after.components.iter_mut().for_each(|one| (one.bytes, one.files) = (0, 0));
    let none = BTreeMap::new();
    let listed = Subject { record: &after, known: Known::Components, attributes: &none };
    let diff = compare_subjects(&Subject::of(&before), &listed, &SizeHistory::default());
    let comparison = Comparison { diff: &diff, before: &before, after: &after, history: &[] };
    let report = BuildReport {
        name: "shop.cdx.json",
        record: &after,
        known: Known::Components,
        absent: None,
        history: &[],
        history_source: None,
    };
    for page in [diff_page("0.1.0", comparison), build_page("0.1.0", &[report])] {
        let found = is_sound(&page);
        assert!(found.texts.contains("not known") && !page.contains(">0 B<"), "{page}");
        assert!(!found.elements.contains_key("svg"), "there is nothing to draw: {}", found.texts);
    }
}

/// The page says of sizes what the rule said, with the approved build in mind and by the name of the history.
#[test]
fn sizes_are_judged_once() {
    let (before, after) = (record(&BEFORE), record(&AFTER));
    let history = history();
    let judged = SizeHistory {
        samples: history.clone(),
        baseline: Some(history[0]),
        source: Some("8 records of a folder".to_owned()),
    };
    let diff = compare_subjects(&Subject::of(&before), &Subject::of(&after), &judged);
    let page =
        diff_page("0.1.0", Comparison { diff: &diff, before: &before, after: &after, history: &history });
    let texts = is_sound(&page).texts;
    assert!(texts.contains("The history is from 8 records of a folder."), "{texts}");
    for step in &diff.sizes {
        assert!(texts.contains(&step.held_against()) && texts.contains(&step.spread()), "{texts}");
    }
    // Without a history, the build before is one.
    let alone = compare(&before, &after, &[]);
    let page = diff_page("0.1.0", Comparison { diff: &alone, before: &before, after: &after, history: &[] });
    let found = is_sound(&page);
    assert!(found.texts.contains("1 earlier build: too few to know what is usual"), "{}", found.texts);
    assert_eq!(found.elements["polyline"], 2);
}

#[test]
fn identical_builds_have_a_page() {
    let one = record(&BEFORE);
    let found = is_sound(&page_of(&one, &one));
    assert!(found.texts.contains("Both builds are the same bytes."), "{}", found.texts);
}

#[test]
fn a_page_on_two_builds_of_20_000_files_is_small() {
    let names: Vec<String> = (0..200).map(|number| format!("distribution-{number}")).collect();
    let parts = |version: &'static str, bytes| -> Vec<Part<'_>> {
        names.iter().map(|name| Part(name, version, 100, bytes)).collect()
    };
    let (before, after) = (record(&parts("1.0", 700)), record(&parts("1.1", 800)));
    assert!(before.files.len() > 20_000 && compare(&before, &after, &[]).files.len() > 19_000);
    let page = page_of(&before, &after);
    let found = is_sound(&page);
    assert!(page.len() < 2_000_000, "{}", page.len());
    assert!(found.texts.contains("and 19000 more files, which kiln diff --format json lists"));
}

#[test]
fn what_has_no_record_is_not_called_good() {
    let after = record(&[]);
    for known in [Known::Content, Known::Components] {
        let report = BuildReport {
            name: "theirs.zip",
            record: &after,
            known,
            absent: None,
            history: &[],
            history_source: None,
        };
        let page = build_page("0.1.0", &[report]);
        assert!(page.contains("Read, and not judged") && page.contains("checks are not known"), "{page}");
        for claim in
            ["Nothing to look at", "all that is locked is there", "None.", "<th scope=\"row\">plan</th>"]
        {
            assert!(!page.contains(claim), "{claim}: {page}");
        }
    }
}

#[test]
fn an_archive_that_is_not_beside_its_record_is_told() {
    let one = record(&BEFORE);
    let absent = Some("dist/shop.zip is not there");
    let known = Known::Record;
    let report =
        BuildReport { name: "shop", record: &one, known, absent, history: &[], history_source: None };
    let found = is_sound(&build_page("0.1.0", &[report]));
    assert!(found.texts.contains("dist/shop.zip is not there."), "{}", found.texts);
}
