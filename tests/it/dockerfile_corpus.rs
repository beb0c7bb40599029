//! Dockerfiles that builders could read in different ways (`tests/dockerfiles/`): each is refused at its line, or built from
//! what is pinned alone, by either builder of each engine.

use crate::harness::{Kiln, NEWER, OtherEngine, Sandbox, block_on, engine, engine_at, repository};
use fs_err as fs;
use kiln_engine::{Engine, contract};
use kiln_record::{Record, exit};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

/// An image that every engine has, and nothing pins.
const UNPINNED: &str = "localhost/kiln-evil:latest";

/// What is to become of a Dockerfile.
enum Verdict {
    /// It is refused, at a line if it has lines, and for this reason.
    Refused { line: Option<i64>, why: String },
    /// It is built, and these files are in its image.
    Built { files: Vec<String> },
}

fn corpus() -> BTreeMap<String, Verdict> {
    let verdicts = fs::read_to_string(repository().join("tests/dockerfiles/verdicts.toml")).unwrap();
    let verdicts: toml::Table = verdicts.parse().unwrap();
    let verdict = |row: &toml::Value| match row.get("refused") {
        Some(why) => Verdict::Refused {
            line: row.get("line").map(|line| line.as_integer().unwrap()),
            why: why.as_str().unwrap().to_owned(),
        },
        None => {
            let files = row["files"].as_array().unwrap().iter();
            Verdict::Built { files: files.map(|file| file.as_str().unwrap().to_owned()).collect() }
        }
    };
    let found: BTreeMap<String, Verdict> =
        verdicts.iter().map(|(name, row)| (name.clone(), verdict(row))).collect();
    let folder = fs::read_dir(repository().join("tests/dockerfiles")).unwrap();
    let there: BTreeSet<String> = folder
        .filter_map(|entry| {
            entry.unwrap().file_name().to_str()?.strip_suffix(".Dockerfile").map(str::to_owned)
        })
        .collect();
    assert_eq!(there, found.keys().cloned().collect(), "each Dockerfile has a verdict");
    assert!(found.len() >= 50);
    found
}

/// A workspace with an artifact of each Dockerfile.
fn workspace(corpus: &BTreeMap<String, Verdict>) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in corpus.keys() {
        let manifest = format!(
            "kind = \"image\"\n\n[target]\narchitecture = \"x86_64\"\n\n[dockerfile]\npath = \"{name}/Dockerfile\"\nreproducible \
             = \"assume\"\n"
        );
        let file = repository().join(format!("tests/dockerfiles/{name}.Dockerfile"));
        sandbox
            .write(&format!("manifests/{name}.toml"), manifest)
            .write(&format!("manifests/{name}/Dockerfile"), fs::read(file).unwrap())
            .write(&format!("manifests/{name}/a"), "a");
    }
    sandbox
}

async fn load_unpinned(engine: &Engine) {
    let image = contract::image_archive(&[("PWNED", 0o644, b"PWNED")], &[], UNPINNED);
    engine.load(Cursor::new(image)).await.unwrap();
}

/// What kiln does not let a builder of an engine build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refuses {
    Nothing,
    /// Dockerfiles with a RUN.
    Runs,
    All,
}

/// How many Dockerfiles came to what.
#[derive(Debug, Default)]
struct Counts {
    /// They are refused for their text.
    refused: usize,
    /// They are built from what is pinned.
    built: usize,
    /// Their builder is refused.
    not_by_this_builder: usize,
}

/// Builds them by one builder, and holds what came of each against its verdict.
fn check(
    corpus: &BTreeMap<String, Verdict>,
    kiln: impl Fn(&Sandbox) -> Kiln,
    refuses: Refuses,
    how: &str,
) -> Counts {
    let mut counts = Counts::default();
    let sandbox = workspace(corpus);
    let store = tempfile::tempdir().unwrap();
    let outcome = kiln(&sandbox)
        .with_store_of_base(&store.path().join("store"))
        .run(["build", "--all", "--color", "never"]);
    assert_ne!(outcome.code, Some(i32::from(exit::SUCCESS)), "{how}: {outcome}");
    let words = outcome.stderr.split_whitespace().filter(|word| *word != "│");
    let said = words.collect::<Vec<_>>().join(" ");
    for (name, verdict) in corpus {
        let record = sandbox.path(&format!("dist/{name}/record.json"));
        match verdict {
            Verdict::Refused { line, why } => {
                assert!(!record.exists(), "{how}: {name} is published");
                let line = line.map_or_else(String::new, |line| format!(":{line}:"));
                let place = format!("manifests/{name}/Dockerfile{line}");
                let at = said.match_indices(&place).any(|(at, _)| {
                    let near = |at: usize| (0..=at).rev().find(|at| said.is_char_boundary(*at)).unwrap();
                    said[near(at.saturating_sub(1000))..near((at + 1500).min(said.len()))].contains(why)
                });
                assert!(at, "{how}: {place} is not refused for {why:?}\n{outcome}");
                counts.refused += 1;
            }
            Verdict::Built { .. } if refuses == Refuses::All || refuses == Refuses::Runs && runs(name) => {
                assert!(!record.exists(), "{how}: {name} is published");
                let says = format!("{name}, on base `python-3.13`, is not built by");
                assert!(said.contains(&says), "{how}: {name} is not refused\n{outcome}");
                counts.not_by_this_builder += 1;
            }
            Verdict::Built { files } => {
                assert!(record.exists(), "{how}: {name} is not built\n{outcome}");
                let record = Record::from_json(&fs::read(&record).unwrap()).unwrap();
                assert_eq!(record.image.as_ref().unwrap().base.name.as_str(), "python-3.13", "{how}: {name}");
                let there: Vec<&str> = record.files.iter().map(|file| file.path.as_str()).collect();
                for file in files {
                    assert!(there.contains(&file.as_str()), "{how}: {name} has no {file}: {there:?}");
                }
                let bad = there.iter().find(|path| path.contains("PWNED") || path.contains(".kiln-"));
                assert_eq!(bad, None, "{how}: {name}");
                counts.built += 1;
            }
        }
    }
    counts
}

/// Whether a Dockerfile of the corpus has a RUN, be it in another case or over several lines.
fn runs(name: &str) -> bool {
    let text = fs::read_to_string(repository().join(format!("tests/dockerfiles/{name}.Dockerfile"))).unwrap();
    let text = text.replace("\\\r\n", "").replace("\\\n", "").to_lowercase();
    text.lines().any(|line| line.trim_start().starts_with("run"))
}

/// Builds Dockerfiles by builders of an engine (`DOCKER_BUILDKIT`), as far as it lets them.
fn check_engine(corpus: &BTreeMap<String, Verdict>, host: Option<&str>, name: &str, builders: &[&str]) {
    let connect = || async {
        match host {
            Some(host) => engine_at(host.to_owned(), "corpus").await.unwrap(),
            None => engine("corpus").await,
        }
    };
    let info = block_on(async {
        let engine = connect().await;
        load_unpinned(&engine).await;
        engine.info().await.unwrap()
    });
    for &buildkit in builders {
        let how = format!("{name}, Docker {}, DOCKER_BUILDKIT={buildkit}", info.version);
        let refuses = match buildkit {
            "0" if !info.classic_keeps_removals => Refuses::Runs,
            "1" if !info.buildkit_reads_context => Refuses::All,
            _ => Refuses::Nothing,
        };
        let counts = check(
            corpus,
            |sandbox| {
                let kiln = sandbox.kiln().with_variable("DOCKER_BUILDKIT", buildkit);
                match host {
                    Some(host) => kiln.with_variable("DOCKER_HOST", host),
                    None => kiln,
                }
            },
            refuses,
            &how,
        );
        let all = counts.refused + counts.built + counts.not_by_this_builder;
        assert_eq!(all, corpus.len(), "{how}: {counts:?}");
        assert_eq!(counts.not_by_this_builder == 0, refuses == Refuses::Nothing, "{how}: {counts:?}");
    }
    let removed = block_on(async { connect().await.remove_image(UNPINNED).await }).unwrap();
    assert!(removed, "{name}");
}

#[test]
fn builders_of_the_engine_use_what_is_pinned_alone() {
    check_engine(&corpus(), None, "the engine of all tests", &["0", "1"]);
}

/// The engine of all tests may have a driver with which its classic builder is not used.
#[test]
fn the_classic_builder_with_another_driver_uses_what_is_pinned_alone() {
    let other = OtherEngine::start("overlay2").unwrap();
    check_engine(&corpus(), Some(&other.host()), "overlay2", &["0"]);
}

#[test]
fn builders_of_a_newer_engine_use_what_is_pinned_alone() {
    let other = OtherEngine::start_docker(NEWER, "overlay2").unwrap();
    check_engine(&corpus(), Some(&other.host()), "overlay2", &["0", "1"]);
}

/// They read Dockerfiles as with another store; it is images that they find in this one.
#[test]
fn builders_of_a_newer_engine_with_containerd_use_what_is_pinned_alone() {
    let other = OtherEngine::start_docker(NEWER, "containerd").unwrap();
    let mut corpus = corpus();
    // Images of other stages and of frontends, and what is built.
    corpus.retain(|name, _| ["image", "onbuild", "syntax"].iter().any(|part| name.contains(part)));
    assert!(corpus.len() >= 17, "{:?}", corpus.keys());
    check_engine(&corpus, Some(&other.host()), "containerd's image store", &["0", "1"]);
}
