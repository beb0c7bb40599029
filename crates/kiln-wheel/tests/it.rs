//! Distributions made here: chosen, brought, built from source and packaged, in a workspace whose index is a folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use kiln_collect::{BroughtBy, Collection, Content, Denied, Part, Verdict};
use kiln_engine_memory::Guest;
use kiln_fixtures::{Distribution, Python, Sandbox, report, sdist, wheel};
use kiln_plan::{ArtifactPlan, PlanInputs};
use kiln_python::BUILD_SDIST;
use kiln_record::{Code, Digest, DistributionName, Runtime, TreePath};
use kiln_wheel::WheelError;
use kiln_wheel::{Distributions, bring, package, parts, select_for};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A layer of what its lock names.
const LAYER: &str = r#"
kind = "lambda-layer"
base = "python"
[target]
runtime = "python3.13"
architecture = "x86_64"
[python]
lock = "lock.txt"
"#;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn runtime(plan: &ArtifactPlan) -> Runtime {
    Runtime::clone(plan.manifest.target.runtime.as_ref().unwrap())
}

/// A workspace with a layer: what its lock says, and what is in its manifest beside that.
async fn layer(python: Python, lock: &str, manifest: &str) -> Sandbox {
    let sandbox = Sandbox::new(python.into_engine(), &[]).await;
    sandbox.write("manifests/shared.toml", format!("{LAYER}{manifest}"));
    sandbox.write("manifests/lock.txt", lock);
    sandbox
}

fn plan(sandbox: &Sandbox) -> ArtifactPlan {
    let lock = Some(sandbox.input("manifests/lock.txt"));
    sandbox.plan("shared", &PlanInputs { lock, ..PlanInputs::default() })
}

/// Selects and brings what the lock names.
async fn brought(sandbox: &Sandbox) -> Result<Result<Distributions, Denied>, WheelError> {
    let (plan, bases) = (plan(sandbox), sandbox.bases().await);
    let runtime = runtime(&plan);
    match select_for(&bases, &plan, &runtime, Vec::new()).await? {
        Ok(selecting) => bring(&bases, &plan, &runtime, selecting.unwrap()).await,
        Err(denied) => Ok(Err(denied)),
    }
}

fn names(distributions: &Distributions) -> Vec<&str> {
    distributions.wheels.iter().map(|ready| ready.file_name.as_str()).collect()
}

fn all_parts(distributions: &Distributions) -> Vec<Part> {
    let (parts, findings) = parts(&distributions.wheels, &distributions.edges, Some("python"));
    assert_eq!(findings, []);
    parts
}

/// What denied a build: code and cause of each finding.
fn denied(outcome: Result<Result<Distributions, Denied>, WheelError>) -> Vec<(Code, String)> {
    let Err(Denied(findings)) = outcome.unwrap() else { panic!("it was not denied") };
    findings.into_iter().map(|finding| (finding.code, finding.cause)).collect()
}

fn alpha() -> Distribution {
    let files: [(&str, &[u8]); 4] = [
        ("alpha/__init__.py", b"import beta\n"),
        ("alpha/data.txt", b"data"),
        ("alpha/py.typed", b""),
        ("alpha/tests/test_it.py", b"assert True\n"),
    ];
    wheel("alpha", "1.0", "py3-none-any", &["beta>=1"], &files)
}

fn beta() -> Distribution {
    wheel("beta", "2.0", "py3-none-any", &[], &[("beta.py", b"B = 1\n")])
}

#[tokio::test]
async fn what_was_brought_once_is_brought_from_the_store() {
    let lock = alpha().requirement() + &beta().requirement();
    let sandbox = layer(Python::new(), &lock, "").await;
    [alpha(), beta()].iter().for_each(|distribution| sandbox.offer(distribution));
    let first = brought(&sandbox).await.unwrap().unwrap();
    assert_eq!(names(&first), ["alpha-1.0-py3-none-any.whl", "beta-2.0-py3-none-any.whl"]);
    fs_err::remove_dir_all(sandbox.root().join("index")).unwrap();
    let again = brought(&sandbox).await.unwrap().unwrap();
    assert_eq!(names(&again), names(&first), "no index is asked");
    assert_eq!((again.gaps.len(), again.wanted.len()), (0, 2));

    let of = |name: &str| -> DistributionName { name.parse().unwrap() };
    assert_eq!(again.edges[&of("alpha")], BTreeSet::from([of("beta")]));
    let parts = all_parts(&again);
    let part = &parts[0];
    assert_eq!((part.brought_by, part.component.id.as_str()), (BroughtBy::Distribution, "python/alpha"));
    assert_eq!(part.component.origin.as_ref().unwrap().digest, alpha().digest());
    assert_eq!(part.modules, ["alpha"]);
    let requires: Vec<&str> = part.component.requires.iter().map(|id| id.as_str()).collect();
    assert_eq!(requires, ["python/beta"]);
    let module = part.files.iter().find(|file| file.path == path("python/alpha/data.txt")).unwrap();
    assert!(matches!(&module.content, Some(Content::Member { archive, .. }) if *archive == alpha().digest()));
    assert_eq!(module.stated, path("alpha/data.txt"), "where the wheel has it");
    let record = part.files.iter().find(|file| file.path.file_name() == "RECORD").unwrap();
    assert!(matches!(record.content, Some(Content::Made(_))), "installing makes it");
    let collection = Collection::new("shared", &parts);
    let store = kiln_store::Store::open(&sandbox.environment().store).unwrap();
    assert_eq!(collection.read(&store, &path("python/alpha/data.txt")).unwrap(), b"data");
}

#[tokio::test]
async fn what_the_index_offers_is_held_against_the_lock() {
    let sandbox = layer(Python::new(), &beta().requirement(), "").await;
    let other = Distribution { bytes: alpha().bytes, ..beta() };
    sandbox.offer(&other);
    let error = brought(&sandbox).await.unwrap_err().to_string();
    let told = "beta 2.0: the index has no file with a hash that manifests/lock.txt:1 names";
    assert!(error.starts_with(told) && error.contains(&other.digest().to_string()), "{error}");

    let native = wheel("beta", "2.0", "cp313-cp313-macosx_11_0_arm64", &[], &[("beta.py", b"")]);
    let sandbox = layer(Python::new(), &native.requirement(), "").await;
    sandbox.offer(&native);
    assert_eq!(denied(brought(&sandbox).await)[0].0, Code::NoCompatibleWheel);

    let (gone, line) = (layer(Python::new(), &beta().requirement(), "").await, "beta");
    let error = brought(&gone).await.unwrap_err().to_string();
    assert!(error.contains(line), "{error}");
}

#[tokio::test]
async fn a_wheel_that_is_not_what_its_own_record_says_is_refused() {
    let files: [(&str, &[u8]); 2] = [
        ("beta.py", b"B = 1\n"),
        ("beta-2.0.dist-info/RECORD", b"beta.py,sha256=AAAA,6\nbeta-2.0.dist-info/RECORD,,\n"),
    ];
    let forged = forged("beta", "2.0", &files);
    let sandbox = layer(Python::new(), &forged.requirement(), "").await;
    sandbox.offer(&forged);
    let found = denied(brought(&sandbox).await);
    assert_eq!(found[0].0, Code::RecordMismatch, "{found:?}");
}

/// The exception is for the one distribution: its files are those of the archive, and RECORD lists them as they are.
#[tokio::test]
async fn a_wheel_whose_record_is_wrong_is_taken_where_a_person_accepts_it() {
    let files: [(&str, &[u8]); 2] = [
        ("alpha.py", b"A = 1\n"),
        ("alpha-1.0.dist-info/RECORD", b"alpha.py,sha256=AAAA,6\nalpha-1.0.dist-info/RECORD,,\n"),
    ];
    let forged = forged("alpha", "1.0", &files);
    let exception = |subject: &str, until: &str| {
        format!(
            "\n[[policy.exception]]\ncode = \"record-mismatch\"\nsubject = \"{subject}\"\nreason = \"looked at\"\nuntil = \"{until}\"\n"
        )
    };
    for (subject, until, taken) in
        [("alpha", "2999-01-01", true), ("beta", "2999-01-01", false), ("alpha", "2001-01-01", false)]
    {
        let sandbox = layer(Python::new(), &forged.requirement(), &exception(subject, until)).await;
        sandbox.offer(&forged);
        let outcome = brought(&sandbox).await;
        if !taken {
            assert_eq!(denied(outcome)[0].0, Code::RecordMismatch);
            continue;
        }
        let Ok(Ok(distributions)) = outcome else { panic!("{:?}", denied(outcome)) };
        assert_eq!(names(&distributions), ["alpha-1.0-py3-none-any.whl"]);
        assert!(distributions.verdict.findings.iter().any(|finding| finding.code == Code::RecordMismatch));
        let files = &distributions.wheels[0].wheel.files;
        assert!(files.iter().any(|file| file.path == path("alpha.py")), "{files:?}");
    }
}

/// A wheel with exactly these files, METADATA and WHEEL beside them.
fn forged(name: &str, version: &str, files: &[(&str, &[u8])]) -> Distribution {
    let good = wheel(name, version, "py3-none-any", &[], &[]);
    let info = format!("{name}-{version}.dist-info");
    let mut reader =
        kiln_pack::ZipReader::open(std::io::Cursor::new(&good.bytes), &kiln_pack::Limits::default()).unwrap();
    let mut members: BTreeMap<TreePath, Vec<u8>> = BTreeMap::new();
    for member in reader.members().to_vec() {
        members.insert(member.path.clone(), reader.read(&member).unwrap());
    }
    assert!(members.contains_key(&path(&format!("{info}/METADATA"))));
    members.extend(files.iter().map(|(place, bytes)| (path(place), bytes.to_vec())));
    let mut zip = kiln_pack::ZipWriter::new(Vec::new());
    for (path, bytes) in &members {
        zip.add_file(path, kiln_record::Mode::Plain, &kiln_pack::compress(bytes)).unwrap();
    }
    Distribution { bytes: zip.finish().unwrap(), ..good }
}

#[tokio::test]
async fn a_lock_that_is_missing_or_changed_meanwhile_stops_the_build() {
    let sandbox = layer(Python::new(), "", "").await;
    fs_err::remove_file(sandbox.root().join("manifests/lock.txt")).unwrap();
    let (plan, bases) = (sandbox.plan("shared", &PlanInputs::default()), sandbox.bases().await);
    let selected = select_for(&bases, &plan, &runtime(&plan), Vec::new()).await.unwrap();
    let Err(Denied(findings)) = selected else { panic!("it was not denied") };
    assert_eq!(findings[0].code, Code::LockMissing);
    drop(bases);

    let sandbox = layer(Python::new(), &beta().requirement(), "").await;
    let plan = self::plan(&sandbox);
    sandbox.write("manifests/lock.txt", alpha().requirement());
    let bases = sandbox.bases().await;
    let error = select_for(&bases, &plan, &runtime(&plan), Vec::new()).await.err().unwrap().to_string();
    assert_eq!(error, "manifests/lock.txt changed while it was being built");
}

#[tokio::test]
async fn packaging_leaves_out_what_is_asked_for_and_records_are_written_anew() {
    let lock = alpha().requirement() + &beta().requirement();
    let section =
        "[package]\nexclude = [\"python/beta.py\", \"nothing/*\"]\ndrop = [\"tests\", \"type-stubs\"]\n";
    let sandbox = layer(Python::new(), &lock, section).await;
    [alpha(), beta()].iter().for_each(|distribution| sandbox.offer(distribution));
    let brought = brought(&sandbox).await.unwrap().unwrap();
    let before = Arc::new(Collection::new("shared", &all_parts(&brought)));
    let plan = Arc::new(plan(&sandbox));
    let bases = sandbox.bases().await;
    let packaged =
        package(&bases, &plan, &runtime(&plan), Arc::clone(&before), &brought.wheels, Verdict::default())
            .await
            .unwrap();
    let (after, verdict) = packaged.unwrap();
    assert_eq!(verdict.findings.len(), 1);
    assert_eq!(
        (verdict.findings[0].code, verdict.findings[0].subject.as_str()),
        (Code::PatternWithoutMatch, "nothing/*")
    );
    let left: Vec<&str> = after.left_out.iter().map(TreePath::as_str).collect();
    assert_eq!(left, ["python/alpha/py.typed", "python/alpha/tests/test_it.py", "python/beta.py"]);
    let record = |collection: &Collection, name: &str| {
        let text = collection.read(bases.store(), &path(&format!("python/{name}.dist-info/RECORD"))).unwrap();
        String::from_utf8(text).unwrap()
    };
    assert!(record(&before, "alpha-1.0").contains("alpha/tests/test_it.py,"));
    let rewritten = record(&after, "alpha-1.0");
    assert!(!rewritten.contains("tests") && rewritten.contains("alpha/data.txt,"), "{rewritten}");
    let rules: Vec<(&str, u64)> =
        after.transformations.iter().map(|rule| (rule.rule.as_str(), rule.files)).collect();
    assert!(rules.contains(&("exclude", 1)) && rules.contains(&("drop-tests", 1)), "{rules:?}");
    assert!(rules.contains(&("rewrite-record", 2)), "{rules:?}");
    let beta = after.components.iter().find(|component| component.name == "beta").unwrap();
    assert!(
        beta.files > 0 && beta.bytes < before.components.iter().find(|c| c.name == "beta").unwrap().bytes
    );
}

/// A source distribution of `gamma`.
fn gamma() -> Distribution {
    sdist("gamma", "3.0", &[("backend.py", b"stands for a build backend"), ("gamma.py", b"G = 1\n")])
}

/// Stands for a build: it makes a wheel whose module holds what `module` says of the run, from 0.
fn building(module: fn(usize) -> String, runs: &Arc<AtomicUsize>) -> Python {
    let runs = Arc::clone(runs);
    Python::new().answering(BUILD_SDIST, move |guest, request| {
        assert_eq!(request["backend"], "backend");
        assert_eq!(guest.read("/kiln/source/gamma.py").unwrap(), b"G = 1\n");
        let run = runs.fetch_add(1, Ordering::SeqCst);
        assert_eq!(request["reverse"], run % 2 == 1, "the second time from the last to the first");
        let made = wheel("gamma", "3.0", "py3-none-any", &[], &[("gamma.py", module(run).as_bytes())]);
        guest
            .write(&format!("{}/{}", request["out"].as_str().unwrap(), made.file_name), &made.bytes)
            .unwrap();
        let told = serde_json::json!({ "requires": [], "missing": [], "wheel": made.file_name });
        report(guest, "KILN-SDIST-REPORT", &serde_json::json!({ "answer": told.to_string() }));
        0
    })
}

async fn layer_of_gamma(python: Python) -> Sandbox {
    let sandbox = layer(python, &gamma().requirement(), "sdists = [\"gamma\"]\n").await;
    sandbox.offer(&gamma());
    sandbox
}

#[tokio::test]
async fn a_source_distribution_is_built_twice_and_then_remembered() {
    let runs = Arc::new(AtomicUsize::new(0));
    let sandbox = layer_of_gamma(building(|_| "G = 1\n".to_owned(), &runs)).await;
    let first = brought(&sandbox).await.unwrap().unwrap();
    assert_eq!((names(&first), runs.load(Ordering::SeqCst)), (vec!["gamma-3.0-py3-none-any.whl"], 2));
    assert_eq!(first.verdict.findings, []);
    let built = first.wheels[0].built_from.as_ref().unwrap();
    assert_eq!((built.sdist.digest, built.reproducible), (gamma().digest(), true));
    fs_err::remove_dir_all(sandbox.root().join("index")).unwrap();
    let again = brought(&sandbox).await.unwrap().unwrap();
    assert_eq!((again.wheels[0].digest, runs.load(Ordering::SeqCst)), (first.wheels[0].digest, 2));
    assert_ne!(again.wheels[0].digest, Digest::of(&gamma().bytes));
}

#[tokio::test]
async fn a_build_that_is_not_the_same_twice_is_found() {
    let runs = Arc::new(AtomicUsize::new(0));
    let sandbox = layer_of_gamma(building(|run| format!("G = {run}\n"), &runs)).await;
    let outcome = brought(&sandbox).await.unwrap();
    let findings = match outcome {
        Ok(distributions) => distributions.verdict.findings,
        Err(Denied(findings)) => findings,
    };
    let found = findings.iter().find(|finding| finding.code == Code::SdistNotReproducible).unwrap();
    assert_eq!(
        found.cause,
        "gamma-3.0.tar.gz was built twice, and gamma.py is not the same: line 1 is `G = 0` and then `G = 1`"
    );
}

#[tokio::test]
async fn why_a_build_failed_is_told() {
    let check = async |answer: fn(&mut Guest) -> i64, reason: &str, hint: &str| {
        let python = Python::new().answering(BUILD_SDIST, move |guest, _| answer(guest));
        let error = brought(&layer_of_gamma(python).await).await.unwrap_err();
        let told = format!("the build of gamma-3.0.tar.gz in base `python` {reason}");
        assert!(error.to_string().starts_with(&told), "{error}");
        let WheelError::SdistBuild { hints, .. } = error else { panic!("{error:?}") };
        assert_eq!(hints.is_empty(), hint.is_empty(), "{hints:?}");
        assert!(hints.iter().all(|line| line.contains(hint)), "{hints:?}");
    };
    let no_headers = |guest: &mut Guest| {
        guest.write_stderr(b"x.c:1:10: fatal error: Python.h: No such file or directory\n");
        1
    };
    check(no_headers, "failed with exit code 1", "libpython3-dev").await;
    let no_module = |guest: &mut Guest| {
        guest.write_stderr(b"ModuleNotFoundError: No module named 'numpy'\n");
        1
    };
    check(no_module, "failed with exit code 1", "'numpy'").await;
    let other = |guest: &mut Guest| {
        let told = serde_json::json!({ "requires": [], "missing": [], "wheel": "delta-1-py3-none-any.whl" });
        report(guest, "KILN-SDIST-REPORT", &serde_json::json!({ "answer": told.to_string() }));
        0
    };
    check(other, "made delta-1-py3-none-any.whl, which is no wheel of gamma 3.0", "").await;
    let nothing = |guest: &mut Guest| {
        let told = serde_json::json!({ "requires": [], "missing": [], "wheel": null });
        report(guest, "KILN-SDIST-REPORT", &serde_json::json!({ "answer": told.to_string() }));
        0
    };
    check(nothing, "gave no wheel", "").await;
    let large = |guest: &mut Guest| {
        guest.run_out_of_memory();
        0
    };
    check(large, "ran out of memory, of which it may use 4 GB", "").await;
}

#[tokio::test]
async fn nothing_is_built_that_the_manifest_does_not_name() {
    let sandbox = layer(Python::new(), &gamma().requirement(), "").await;
    sandbox.offer(&gamma());
    let found = denied(brought(&sandbox).await);
    assert_eq!(found[0].0, Code::SdistNotListed, "{found:?}");
}

#[tokio::test]
async fn what_a_build_asks_for_must_be_locked() {
    let python = Python::new().answering(BUILD_SDIST, |guest, _| {
        let told = serde_json::json!({ "requires": ["cython>=3"], "missing": ["cython"], "wheel": null });
        report(guest, "KILN-SDIST-REPORT", &serde_json::json!({ "answer": told.to_string() }));
        0
    });
    let found = denied(brought(&layer_of_gamma(python).await).await);
    assert_eq!(found[0].0, Code::BuildRequirementNotLocked);
    assert!(found[0].1.contains("`cython>=3`"), "{found:?}");
}
