//! Dockerfiles that builders could read in different ways (`tests/dockerfiles/`): each is refused at its line, or built from
//! what is pinned alone, by either builder of each engine.

use crate::harness::{Kiln, OtherEngine, Sandbox, block_on, engine, engine_at, repository};
use crate::lacking;
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

/// Builds all of them by one builder, and holds what came of each against its verdict.
fn check(kiln: impl Fn(&Sandbox) -> Kiln, how: &str) {
    let corpus = corpus();
    let sandbox = workspace(&corpus);
    let store = tempfile::tempdir().unwrap();
    let outcome =
        kiln(&sandbox).with_store(&store.path().join("store")).run(["build", "--all", "--color", "never"]);
    assert_ne!(outcome.code, Some(i32::from(exit::SUCCESS)), "{how}: {outcome}");
    let words = outcome.stderr.split_whitespace().filter(|word| *word != "│");
    let said = words.collect::<Vec<_>>().join(" ");
    for (name, verdict) in &corpus {
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
            }
        }
    }
}

#[test]
fn builders_of_the_engine_use_what_is_pinned_alone() {
    block_on(async { load_unpinned(&engine("corpus").await).await });
    for buildkit in ["0", "1"] {
        check(
            |sandbox| sandbox.kiln().with_variable("DOCKER_BUILDKIT", buildkit),
            &format!("DOCKER_BUILDKIT={buildkit}"),
        );
    }
    let removed = block_on(async { engine("corpus").await.remove_image(UNPINNED).await }).unwrap();
    assert!(removed);
}

#[test]
fn builders_of_a_newer_engine_use_what_is_pinned_alone() {
    for (storage, lack) in
        [("vfs", lacking::NEWER_ENGINE), ("containerd", lacking::NEWER_ENGINE_WITH_CONTAINERD)]
    {
        let Some(other) = lack.unless(OtherEngine::start_newer(storage)) else { continue };
        let host = other.host();
        block_on(async { load_unpinned(&engine_at(host.clone(), "corpus").await.unwrap()).await });
        for buildkit in ["0", "1"] {
            check(
                |sandbox| {
                    sandbox
                        .kiln()
                        .with_variable("DOCKER_HOST", &host)
                        .with_variable("DOCKER_BUILDKIT", buildkit)
                },
                &format!("{} with {storage}, DOCKER_BUILDKIT={buildkit}", other.info().version),
            );
        }
    }
}
