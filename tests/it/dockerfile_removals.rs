//! What a Dockerfile removes is not shipped, whatever a builder and a storage driver make layers of.

use crate::harness::{EngineBuild, Kiln, NEWER, OtherEngine, Sandbox, block_on, busybox, engine, engine_at};
use kiln_engine::{Builder, Engine, EngineError};
use kiln_record::{Record, exit};

const PYTHON: &str = "/usr/bin/python3.13";

/// Programs that a RUN runs, each: folders removed and made again in one and over several, and things that become others.
const RUNS: [&str; 4] = [
    "for name in ('again', 'twice', 'gone', 'becomes-file', 'deep/er'):\n    os.makedirs('/srv/' + name)\n    \
     open('/srv/%s/secret' % name, 'w').write('s')\n    open('/srv/%s/kept' % name, 'w').write('k')\n\
     open('/srv/becomes-folder', 'w').write('f')\nos.symlink('again', '/srv/link-becomes-folder')\n\
     os.link('/srv/gone/kept', '/srv/hard')\nos.mkdir('/srv/empty')\nos.rmdir('/srv/empty')\nos.mkdir('/srv/empty')",
    "shutil.rmtree('/srv/again')\nos.mkdir('/srv/again')\nopen('/srv/again/new', 'w').write('n')\n\
     shutil.rmtree('/srv/twice')\nshutil.rmtree('/srv/gone')\nshutil.rmtree('/srv/becomes-file')\n\
     open('/srv/becomes-file', 'w').write('f')\nos.remove('/srv/becomes-folder')\nos.mkdir('/srv/becomes-folder')\n\
     open('/srv/becomes-folder/in', 'w').write('i')\nos.remove('/srv/link-becomes-folder')\n\
     os.mkdir('/srv/link-becomes-folder')\nopen('/srv/link-becomes-folder/in', 'w').write('i')\n\
     shutil.rmtree('/srv/deep')\nos.makedirs('/srv/deep/er')\nopen('/srv/deep/er/new', 'w').write('n')\n\
     shutil.rmtree('/usr/share/base-files')\nos.mkdir('/usr/share/base-files')",
    "os.mkdir('/srv/twice')\nopen('/srv/twice/kept', 'w').write('k')\nos.remove('/srv/becomes-file')\n\
     os.mkdir('/srv/becomes-file')\nopen('/srv/becomes-file/in', 'w').write('i')\nopen('/srv/hard', 'a').write('!')",
    "open('/usr/share/base-files/new', 'w').write('n')\nopen('/srv/again/newer', 'w').write('n')",
];

const LEFT: [&str; 10] = [
    "srv/again/new",
    "srv/again/newer",
    "srv/becomes-file/in",
    "srv/becomes-folder/in",
    "srv/deep/er/new",
    "srv/hard",
    "srv/link-becomes-folder/in",
    "srv/twice/kept",
    "usr/share/base-files/new",
    "srv/last",
];

/// What the classic builder goes on from and ships with fuse-overlayfs, although it was removed: what was in a folder that a RUN
/// removes and makes again, or moves another to, be it copied or made by a RUN. Files and folders that are not made again are
/// gone, as are those that only a later RUN makes again.
const LOST: [&str; 6] = [
    "copied/empty/gone",
    "copied/onto/gone",
    "copied/plain/gone",
    "made/empty/gone",
    "made/onto/gone",
    "made/plain/gone",
];

fn workspace() -> Sandbox {
    let sandbox = Sandbox::new();
    let runs: String = RUNS
        .iter()
        .map(|program| {
            let program = format!("import os, shutil\n{program}\n");
            format!("RUN {}\n", serde_json::json!([PYTHON, "-c", program]))
        })
        .collect();
    sandbox
        .write(
            "manifests/app.toml",
            "kind = \"image\"\ndockerfile = \"app/Dockerfile\"\n\n[target]\narchitecture = \"x86_64\"\n",
        )
        .write("manifests/app/last", "l")
        .write(
            "manifests/app/Dockerfile",
            format!(
                "FROM localhost/kiln/python-3.13\n{runs}COPY last /srv/\nCMD [\"{PYTHON}\", \"-c\", \"pass\"]\n"
            ),
        );
    sandbox
}

/// The engines that are tried, by the name of what they are.
fn engines() -> Vec<(&'static str, Option<OtherEngine>)> {
    let start = |storage| Some(OtherEngine::start(storage).unwrap());
    let newer = |storage| Some(OtherEngine::start_docker(NEWER, storage).unwrap());
    vec![
        ("the engine of all tests", None),
        ("another with vfs", start("vfs")),
        ("another with overlay2", start("overlay2")),
        ("a newer one with vfs", newer("vfs")),
        ("a newer one with containerd's image store", newer("containerd")),
    ]
}

/// What a RUN makes, each a folder with the file `gone`. A folder of this name is also copied, and the base has one.
const MADE: &str = "for at in file folder plain empty again/in later deep/in/side onto; do mkdir -p /made/$at; touch /made/$at/gone; \
    done; mkdir /made/other; touch /made/other/kept";

/// What the next one removes: a file, a folder, folders that it makes again, one that it moves another to, and one that only
/// the RUN after it makes again.
const REMOVED: &str = "for at in /made /copied; do rm $at/file/gone; rm -r $at/folder $at/plain $at/empty $at/again $at/later; mkdir $at/plain $at/empty; \
    touch $at/plain/new; mkdir -p \
    $at/again/in; rm -r $at/deep/in; mkdir -p $at/deep/in/side; rm -r $at/onto; mv $at/other $at/onto; done; rm -r \
    /usr/share/doc; mkdir /usr/share/doc; rm -r /usr/share/initramfs-tools/hooks; mkdir \
    /usr/share/initramfs-tools/hooks";

/// The files that were removed and are there all the same.
fn still_there(engine: &Engine, image: &str, builder: Builder) -> Result<Vec<String>, EngineError> {
    let run = |program: &str| format!("RUN {}", serde_json::json!(["/bin/busybox", "sh", "-c", program]));
    let (made, removed, later) =
        (run(MADE), run(REMOVED), run("mkdir -p /made/later /copied/later /made/last"));
    let mut build = EngineBuild::new(image, builder, &["COPY copied /copied", &made, &removed, &later]);
    for at in ["file", "folder", "plain", "empty", "again/in", "later", "deep/in/side", "onto"] {
        build.files.push((format!("copied/{at}/gone"), b"gone".to_vec()));
    }
    build.files.push(("copied/other/kept".to_owned(), b"kept".to_vec()));
    let there = build.files_of(engine)?;
    for kept in ["made/onto/kept", "copied/onto/kept", "made/last", "made/later", "made/again/in"] {
        assert!(there.iter().any(|path| path == kept), "{kept}: {there:?}");
    }
    let is_gone = |path: &String| {
        path.ends_with("/gone")
            || path.starts_with("usr/share/doc/")
            || path.starts_with("usr/share/initramfs-tools/hooks/")
    };
    Ok(there.into_iter().filter(is_gone).collect())
}

/// What is said of each engine is what it does, and BuildKit loses nothing on any of them.
#[test]
fn builders_lose_what_they_are_said_to_lose() {
    let image = busybox();
    for (name, other) in engines() {
        if let Some(other) = &other {
            other.give_image(&image);
        }
        let engine = block_on(async {
            match &other {
                Some(other) => engine_at(other.host(), "removals").await.unwrap(),
                None => engine("removals").await,
            }
        });
        let info = block_on(engine.info()).unwrap();
        match still_there(&engine, &image, Builder::BuildKit) {
            Ok(lost) => assert!(info.buildkit_reads_context && lost.is_empty(), "{name}: {info:?}: {lost:?}"),
            Err(EngineError::BuildFailed { why, .. }) if !info.buildkit_reads_context => {
                assert!(why.contains("failed to read downloaded context"), "{name}: {why}");
            }
            Err(error) => panic!("{name}: {error}"),
        }
        let lost = still_there(&engine, &image, Builder::Classic).unwrap();
        match info.storage_driver.as_str() {
            "fuse-overlayfs" => {
                assert!(!info.classic_keeps_removals);
                assert_eq!(lost, LOST, "{name}");
            }
            _ => {
                assert!(info.classic_keeps_removals, "{name}: {info:?}");
                assert_eq!(lost, [""; 0], "{name}: {info:?}");
            }
        }
    }
}

#[test]
fn what_is_removed_is_not_shipped() {
    let sandbox = workspace();
    let mut first = None;
    // What a driver does to layers is above; here it is who ships them.
    let engines = engines().into_iter().filter(|(name, _)| !name.ends_with("vfs"));
    for (name, other) in &engines.collect::<Vec<_>>() {
        let host = other.as_ref().map(OtherEngine::host);
        let info = match other {
            Some(other) => other.info(),
            None => block_on(async { engine("removals").await.info().await.unwrap() }),
        };
        for buildkit in ["0", "1"] {
            let store = tempfile::tempdir().unwrap();
            let mut kiln: Kiln = sandbox
                .kiln()
                .with_store_of_base(&store.path().join("store"))
                .with_variable("DOCKER_BUILDKIT", buildkit);
            if let Some(host) = &host {
                kiln = kiln.with_variable("DOCKER_HOST", host);
            }
            let before = sandbox.dist();
            let outcome = kiln.run(["build", "app", "--force", "--color", "never"]);
            let refused = match buildkit {
                "0" if !info.classic_keeps_removals => Some([
                    "the classic builder of this engine, which stores layers with",
                    "leave DOCKER_BUILDKIT unset",
                ]),
                "1" if !info.buildkit_reads_context => {
                    Some(["BuildKit of this engine, which is Docker", "set DOCKER_BUILDKIT=0"])
                }
                _ => None,
            };
            if let Some(says) = refused {
                outcome.ends_with(exit::BUILD_STEP_FAILED).says(&says);
                assert!(sandbox.dist() == before, "{name}: nothing is published");
                continue;
            }
            outcome.ends_with(exit::SUCCESS);
            let how = format!("{name}, DOCKER_BUILDKIT={buildkit}");
            let record = Record::from_json(&sandbox.read("dist/app/record.json")).unwrap();
            let mut there: Vec<&str> = record.files.iter().map(|file| file.path.as_str()).collect();
            let mut left = LEFT.to_vec();
            there.sort_unstable();
            left.sort_unstable();
            assert_eq!(there, left, "{how}");
            let image = record.image.unwrap();
            assert!(!image.removed.is_empty(), "{how}: what the base has there is gone");
            assert!(
                image.removed.iter().all(|path| path.as_str().starts_with("usr/share/base-files/")),
                "{how}: {:?}",
                image.removed
            );
            let dist = sandbox.dist();
            let differing: Vec<&str> = first
                .get_or_insert_with(|| dist.clone())
                .iter()
                .zip(&dist)
                .filter(|(first, this)| first != this)
                .map(|(first, _)| first.0.as_str())
                .collect();
            assert_eq!(differing, [""; 0], "{how}: the same bytes");
        }
    }
}
