//! Artifacts for arm64: built and checked as far as that is honest on a host that may not run arm64.

use crate::harness::{LocalIndex, Sandbox, repository, shared_object, wheel};
use fs_err as fs;
use kiln_record::{CheckName, CheckOutcome, Code, Record, exit};

const CODE: &str = "import markupsafe\nimport yaml\n\ndef handler(event, context):\n    return str(markupsafe.escape('<'))\n";

/// A workspace whose base is locked for both platforms, from one state of the archive.
fn sandbox(platforms: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let definition = fs::read_to_string(repository().join("images/python-3.13.toml")).unwrap();
    sandbox.write(
        "images/both.toml",
        definition
            .replace("platforms = [\"linux/amd64\", \"linux/arm64\"]", &format!("platforms = [{platforms}]")),
    );
    sandbox.kiln().run(["lock", "--base", "both"]).ends_with(exit::SUCCESS);
    sandbox
}

fn function(sandbox: &Sandbox, code: &str, requirements: &str) {
    sandbox
        .function("app", "3.13", code, requirements)
        .replace("manifests/app.toml", "base = \"python-3.13\"", "base = \"both\"")
        .replace("manifests/app.toml", "architecture = \"x86_64\"", "architecture = \"arm64\"");
}

/// Whether this machine runs programs of arm64 after all: natively, or through the kernel's binfmt.
pub(crate) fn runs_arm64() -> bool {
    cfg!(target_arch = "aarch64")
        || fs::read_to_string("/proc/sys/fs/binfmt_misc/qemu-aarch64")
            .is_ok_and(|text| text.contains("enabled"))
}

/// Real wheels: locked for the target, chosen by its tags, and with nothing of x86_64 in the archive.
#[test]
fn built_and_checked_as_far_as_this_host_can() {
    let sandbox = sandbox("\"linux/amd64\", \"linux/arm64\"");
    function(&sandbox, CODE, "");
    sandbox
        .append(
            "manifests/app.toml",
            "\n[python]\nrequirements = \"app/requirements.in\"\nlock = \"app/requirements.txt\"\n",
        )
        .write("manifests/app/event.json", "{}")
        .append("manifests/app.toml", "\n[[smoke]]\nname = \"one\"\nevent = \"app/event.json\"\n")
        .write(
            "manifests/app/requirements.in",
            "markupsafe\npyyaml\nzstandard; platform_machine == 'x86_64'\n",
        );
    sandbox.kiln().run(["lock", "app"]).ends_with(exit::SUCCESS);
    let lock = String::from_utf8(sandbox.read("manifests/app/requirements.txt")).unwrap();
    assert!(lock.contains("aarch64"), "the lock says what it was made for:\n{lock}");
    assert!(!lock.contains("zstandard"), "a marker for another machine:\n{lock}");

    let built = sandbox.kiln().run(["build", "app", "--color", "never"]).ends_with(exit::SUCCESS);
    let record: Record = serde_json::from_slice(&sandbox.read("dist/app/record.json")).unwrap();
    let natives: Vec<&str> =
        record.files.iter().map(|file| file.path.as_str()).filter(|name| name.ends_with(".so")).collect();
    assert!(natives.len() >= 2, "both have native code: {natives:?}");
    assert!(natives.iter().all(|name| name.contains("aarch64")), "{natives:?}");
    let ran = |name: CheckName| {
        record.checks.iter().any(|c| c.name == name && matches!(c.outcome, CheckOutcome::Ran { .. }))
    };
    assert!(ran(CheckName::Elf) && ran(CheckName::Reconcile), "{:?}", record.checks);
    let not_checked = record.findings.iter().any(|finding| finding.code == Code::NotChecked);
    if runs_arm64() {
        assert!(ran(CheckName::Import) && ran(CheckName::Smoke) && !not_checked, "{:?}", record.checks);
    } else {
        built
            .says(&["not-checked", "import", "there is no arm64 engine here"])
            .documents("warn[not-checked] app: import");
        let why_not = |name: CheckName| {
            let check = record.checks.iter().find(|check| check.name == name);
            match &check.unwrap_or_else(|| panic!("{name}")).outcome {
                CheckOutcome::NotChecked { reason } => reason.clone(),
                CheckOutcome::Ran { .. } => panic!("{name} ran"),
            }
        };
        assert!(why_not(CheckName::Import).contains("no arm64 engine"));
        let asked = "its Python was asked on linux/amd64, which is locked with the same versions";
        assert!(why_not(CheckName::Probe).contains(asked));
        assert!(not_checked);
    }

    // The same bytes and the same record from a store that has seen nothing.
    let again = sandbox.copy();
    fs::remove_dir_all(again.path("dist")).unwrap();
    fs::remove_dir_all(again.path(".kiln")).unwrap();
    again.kiln().run(["build", "app"]).ends_with(exit::SUCCESS);
    assert_eq!(again.dist(), sandbox.dist());
}

/// A wheel whose file name says aarch64 and whose code is for x86_64.
#[test]
fn code_of_this_host_is_refused() {
    let object = shared_object("int answer(void) { return 42; }");
    assert_eq!(object[18], 62, "this host compiles for x86_64");
    let file = "native/fast.cpython-313-aarch64-linux-gnu.so";
    let wheel = wheel(
        "native",
        "1.0",
        "cp313-cp313-manylinux2014_aarch64",
        &[],
        &[("native/__init__.py", b""), (file, &object)],
    );
    let index = LocalIndex::serve(std::slice::from_ref(&wheel));
    let sandbox = sandbox("\"linux/amd64\", \"linux/arm64\"").with_index(&index);
    function(
        &sandbox,
        "import native\n\ndef handler(event, context):\n    return None\n",
        &wheel.requirement(""),
    );
    sandbox.denied().says(&["deny[wrong-machine] app", file, "is for x86_64, but the target is aarch64"]);
}

/// Without a twin that can be asked, what the interpreter is would be a guess; a host that runs it asks it.
#[test]
fn base_without_a_twin_cannot_be_asked() {
    let sandbox = sandbox("\"linux/arm64\"");
    function(&sandbox, "def handler(event, context):\n    return None\n", "");
    if runs_arm64() {
        sandbox.kiln().run(["build", "app"]).ends_with(exit::SUCCESS).does_not_say("not-checked");
        return;
    }
    let stopped =
        sandbox.kiln().run(["build", "app", "--color", "never"]).ends_with(exit::ENGINE_UNAVAILABLE);
    stopped.says(&[
        "base `both` for linux/arm64 cannot be asked about its Python",
        "both is not locked for linux/amd64",
        "add it to `platforms` in images/both.toml",
        "kiln lock --base both",
    ]);
    sandbox.assert_nothing_published();
}

/// What a lock for one machine lacks is no lock for another.
#[test]
fn lock_for_x86_64_has_no_wheel_for_arm64() {
    let sandbox = sandbox("\"linux/amd64\", \"linux/arm64\"");
    let wheel = wheel("native", "1.0", "cp313-cp313-manylinux2014_x86_64", &[], &[("native.py", b"")]);
    let index = LocalIndex::serve(std::slice::from_ref(&wheel));
    let sandbox = sandbox.with_index(&index);
    function(
        &sandbox,
        "import native\n\ndef handler(event, context):\n    return None\n",
        &wheel.requirement(""),
    );
    sandbox
        .denied()
        .says(&["deny[no-compatible-wheel] app: native", "one is for x86_64, the target is aarch64"]);
}
