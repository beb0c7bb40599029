//! What a Dockerfile removes is not shipped, whatever a builder and a storage driver make layers of.

use crate::harness::{Kiln, OtherEngine, Sandbox};
use crate::lacking;
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

#[test]
fn what_is_removed_is_not_shipped() {
    let sandbox = workspace();
    let other = lacking::ENGINE_OF_REMOVALS.unless(OtherEngine::start("vfs"));
    let mut engines: Vec<(&str, Option<String>)> = vec![("the engine of all tests", None)];
    engines.extend(other.iter().map(|engine| ("vfs", Some(engine.host()))));
    let mut first = None;
    for (name, host) in &engines {
        // With fuse-overlayfs, the classic builder itself goes on from a layer that has the removed files: containers have
        // them, and nothing can tell (docs/dockerfiles.md).
        let builders: &[&str] = if host.is_some() { &["0", "1"] } else { &["1"] };
        for buildkit in builders {
            let store = tempfile::tempdir().unwrap();
            let mut kiln: Kiln = sandbox
                .kiln()
                .with_store(&store.path().join("store"))
                .with_variable("DOCKER_BUILDKIT", buildkit);
            if let Some(host) = host {
                kiln = kiln.with_variable("DOCKER_HOST", host);
            }
            kiln.run(["build", "app", "--force", "--color", "never"]).ends_with(exit::SUCCESS);
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
            assert!(first.get_or_insert_with(|| dist.clone()) == &dist, "{how}: the same bytes");
        }
    }
}
