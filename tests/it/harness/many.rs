//! A workspace of many small artifacts on many bases, none of which needs a server or an engine: functions of a runtime
//! without a language, whose bases are pinned and never brought. The benchmarks use it, too.

use fs_err as fs;
use kiln_plan::{BASE_LOCK_FORMAT, BaseDefinition, BaseLock, PlatformLock};
use kiln_record::{Architecture, Digest, Platform};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Writes the workspace. Artifact `n` is called `app-n` and stands on base `n` modulo the number of bases.
pub(crate) fn write(root: &Path, artifacts: usize, bases: usize) {
    put(root, "kiln.toml", "format = \"1\"\n");
    for base in 0..bases {
        put(root, &format!("images/{}.toml", name(base)), &definition(base));
        lock(root, base, "at first");
    }
    for artifact in 0..artifacts {
        let base = name(artifact % bases);
        let manifest = format!(
            "kind = \"lambda-zip\"\nbase = \"{base}\"\nhandler = \"bootstrap\"\n\n[target]\nruntime = \
             \"provided.al2023\"\narchitecture = \"x86_64\"\n\n[source]\npath = \"app-{artifact}/src\"\n"
        );
        put(root, &format!("manifests/app-{artifact}.toml"), &manifest);
        let program = format!("manifests/app-{artifact}/src/bootstrap");
        put(root, &program, &format!("#!/bin/sh\necho {artifact}\n"));
        fs::set_permissions(root.join(program), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
}

/// Pins a base to another image for each text.
pub(crate) fn lock(root: &Path, base: usize, image: &str) {
    let platform = Platform { architecture: Architecture::Amd64 };
    let file = format!("images/{}.toml", name(base));
    let read =
        BaseDefinition::parse(name(base).parse().expect("a name"), &file, &definition(base).as_str().into());
    let pinned = PlatformLock {
        manifest: Digest::of(format!("{base} {image}").as_bytes()),
        index: None,
        config: None,
        release: None,
        packages: Vec::new(),
    };
    let lock = BaseLock {
        format: BASE_LOCK_FORMAT,
        base: name(base).parse().expect("a name"),
        definition: read.expect("a definition").digest,
        pinned: "2026-01-02T03:04:05Z".parse().expect("a time"),
        command: format!("kiln lock --base {}", name(base)),
        platform: BTreeMap::from([(platform, pinned)]),
    };
    put(root, &format!("images/{}.lock", name(base)), &lock.to_toml().expect("a lock"));
}

fn name(base: usize) -> String {
    format!("base-{base}")
}

fn definition(base: usize) -> String {
    format!(
        "kind = \"registry\"\nplatforms = [\"linux/amd64\"]\n[registry]\nreference = \
         \"registry.invalid/base:{base}\"\n[image]\npython = \"/usr/bin/python3\"\n"
    )
}

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}
