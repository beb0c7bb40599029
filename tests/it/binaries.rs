//! Native code that the base may load and the target cannot.

use crate::harness::{
    LocalIndex, Sandbox, WheelFile, repository, shared_object, shared_object_linked_to,
    shared_object_needing, wheel,
};
use kiln_record::{CheckName, CheckOutcome, Record, exit};

const CODE: &str = "import native\n\ndef handler(event, context):\n    return None\n";

/// An extension module without the headers of Python: its one entry point and what that hands over.
const EXTENSION: &str = r#"
extern void *PyModule_Create2(void *, int);
static struct { long count; void *type, *init; long index; void *copy; const char *name, *doc; long size; void *rest[5]; }
    definition = {1, 0, 0, 0, 0, "native", 0, -1, {0}};
void *PyInit_native(void) { CALL; return PyModule_Create2(&definition, 1013); }
"#;

pub(crate) fn extension(call: &str) -> String {
    EXTENSION.replace("CALL", call)
}

/// An extension module that this machine can load.
fn plain_extension() -> Vec<u8> {
    shared_object(&extension("(void)0"))
}

/// Builds a function that imports `native` from a wheel with this one file; the build must be denied.
fn denied(python: &str, wheel: &WheelFile) -> crate::harness::Outcome {
    let index = LocalIndex::serve(std::slice::from_ref(wheel));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", python, CODE, &wheel.requirement(""));
    sandbox.denied()
}

#[test]
fn compiled_for_other_python() {
    let object = plain_extension();
    let file = "native.cpython-312-x86_64-linux-gnu.so";
    let wheel = wheel("native", "1.0", "cp313-cp313-manylinux2014_x86_64", &[], &[(file, &object)]);
    denied("3.13", &wheel).says(&[
        "deny[wrong-python-abi] app: native.cpython-312-x86_64-linux-gnu.so",
        "`native.cpython-312-x86_64-linux-gnu.so` of native 1.0 is compiled for Python 3.12, but python3.13 runs Python \
         3.13",
        "→ lock a wheel of native 1.0 tagged cp313, abi3 or none, for x86_64",
        "→ or target the runtime that it is for, if Lambda has one: python3.12",
    ]).documents("deny[wrong-python-abi] app");
}

#[test]
fn compiled_for_other_machine() {
    // Bytes 18 and 19 of an ELF header are its machine; 183 is aarch64.
    let mut object = plain_extension();
    object[18..20].copy_from_slice(&183_u16.to_le_bytes());
    let file = "native.cpython-313-x86_64-linux-gnu.so";
    let wheel = wheel("native", "1.0", "cp313-cp313-manylinux2014_x86_64", &[], &[(file, &object)]);
    denied("3.13", &wheel).says(&[
        "deny[wrong-machine] app: native.cpython-313-x86_64-linux-gnu.so",
        "of native 1.0 is for aarch64, but the target is x86_64",
        "→ lock a wheel of native 1.0 for x86_64",
        "→ or change the architecture of the target in the manifest",
    ]);
}

#[test]
fn compiled_for_other_machine_in_the_source_folder() {
    let mut object = plain_extension();
    object[18..20].copy_from_slice(&183_u16.to_le_bytes());
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "def handler(event, context):\n    return None\n", "");
    sandbox.write("manifests/app/src/vendor/tool.so", &object);
    sandbox
        .denied()
        .says(&[
            "deny[wrong-machine] app: vendor/tool.so",
            "`vendor/tool.so` of app is for aarch64, but the target is x86_64",
        ])
        .documents("deny[wrong-machine] app: vendor/tool.so");
}

/// A wheel whose tag promises glibc 2.17 and whose module needs 2.34: the base has 2.36.
fn promises_too_much() -> WheelFile {
    let code = format!(
        "extern void pthread_create(void);\n{}",
        extension("if (!definition.count) pthread_create()")
    );
    let object = shared_object_needing("pthread_create", "GLIBC_2.34", &code);
    let file = "native.cpython-311-x86_64-linux-gnu.so";
    wheel("native", "1.0", "cp311-cp311-manylinux2014_x86_64", &[], &[(file, &object)])
}

#[test]
fn a_library_that_is_cut_off_tells_nothing() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", "handler = print\n", "");
    sandbox.write("manifests/app/src/broken.so", &plain_extension()[..40]);
    sandbox
        .denied()
        .says(&["broken.so of app is an ELF file that cannot be understood"])
        .documents("deny[elf-unreadable] app: broken.so");
}

#[test]
fn needs_newer_glibc_than_target() {
    let wheel = promises_too_much();
    denied("3.11", &wheel)
        .says(&[
            "deny[glibc-too-new] app: native.cpython-311-x86_64-linux-gnu.so",
            "of native 1.0 needs GLIBC_2.34 (glibc 2.34), but python3.11 has Amazon Linux 2 with glibc 2.26",
            "the symbol `pthread_create` of libc.so.6 is wanted at GLIBC_2.34",
            "python3.12",
            "→",
        ])
        .documents("deny[glibc-too-new] app: native")
        .does_not_say("import-failed");
}

#[test]
fn an_exception_of_the_policy_publishes_what_the_base_loads() {
    let wheel = promises_too_much();
    let index = LocalIndex::serve(std::slice::from_ref(&wheel));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.11", CODE, &wheel.requirement(""));
    let exception = "\n[[policy.exception]]\ncode = \"glibc-too-new\"\nsubject = \
                     \"native.cpython-311-x86_64-linux-gnu.so\"\nreason = \"only run on our own hosts\"\nuntil = \
                     \"2020-01-31\"\n";
    sandbox.append("manifests/app.toml", exception);
    sandbox
        .denied()
        .says(&[
            "deny[glibc-too-new] app",
            "the exception for this ended on 2020-01-31",
            "only run on our own hosts",
            "warn[exception-expired] app",
        ])
        .documents("warn[exception-expired] app");
    sandbox.replace("manifests/app.toml", "2020-01-31", "2999-12-31");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let shown = sandbox.kiln().run(["show", "app"]).ends_with(exit::SUCCESS).stdout;
    assert!(shown.contains("note[glibc-too-new] native.cpython-311-x86_64-linux-gnu.so: "), "{shown}");
    assert!(
        shown.contains("accepted until 2999-12-31") && shown.contains("only run on our own hosts"),
        "{shown}"
    );
}

#[test]
fn no_compatible_wheel() {
    let object = plain_extension();
    let wheels: Vec<WheelFile> = [
        "cp312-cp312-manylinux2014_x86_64",
        "cp313-cp313-manylinux2014_aarch64",
        "cp313-cp313-musllinux_1_2_x86_64",
    ]
    .iter()
    .map(|tag| wheel("native", "1.0", tag, &[], &[("native.so", &object)]))
    .collect();
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let hashes: String =
        wheels.iter().map(|wheel| format!(" --hash=sha256:{}", wheel.digest().hex())).collect();
    sandbox.function("app", "3.13", CODE, &format!("native==1.0{hashes}\n"));
    sandbox.denied().says(&[
        "deny[no-compatible-wheel] app: native",
        "native 1.0 (manifests/app/requirements.txt:1) has no wheel that both the base and the target runtime can load",
        "there is a wheel for cp312-cp312-manylinux2014_x86_64",
        "there is a wheel for cp313-cp313-manylinux2014_aarch64",
        "accepted here: ",
        "→ lock another version of native",
    ]).documents("deny[no-compatible-wheel] app: native");
}

#[test]
fn a_wheel_for_a_newer_glibc_than_the_target_is_not_chosen() {
    let object = plain_extension();
    let [newer, older] = ["manylinux_2_35_x86_64", "manylinux_2_17_x86_64"].map(|platform| {
        let file = format!("native/{platform}.so");
        let files: [(&str, &[u8]); 2] = [("native/__init__.py", b""), (&file, &object)];
        wheel("native", "1.0", &format!("cp311-cp311-{platform}"), &[], &files)
    });
    let index = LocalIndex::serve(&[newer.clone(), older.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    let both = format!(
        "native==1.0 --hash=sha256:{} --hash=sha256:{}\n",
        newer.digest().hex(),
        older.digest().hex()
    );
    sandbox.function("app", "3.11", CODE, &both);
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let record = String::from_utf8(sandbox.read("dist/app/record.json")).unwrap();
    assert!(record.contains("manylinux_2_17_x86_64.whl") && !record.contains("manylinux_2_35"), "{record}");
}

/// The base has SQLite's library, because Debian's Python links to it; Lambda's system does not.
#[test]
fn a_library_that_only_the_base_has_is_missing() {
    let object = shared_object_linked_to("libsqlite3.so.0", &extension("(void)0"));
    let file = "native.cpython-313-x86_64-linux-gnu.so";
    let native = wheel("native", "1.0", "cp313-cp313-manylinux2014_x86_64", &[], &[(file, &object)]);
    denied("3.13", &native)
        .says(&[
            "deny[needed-library-missing] app: native.cpython-313-x86_64-linux-gnu.so",
            "of native 1.0 needs `libsqlite3.so.0`, which is neither in the artifact, nor in its layers, nor on python3.13 \
             (Amazon Linux 2023)",
            "→ use a wheel of native that brings `libsqlite3.so.0` along",
        ]).documents("deny[needed-library-missing] app")
        .does_not_say("import-failed");

    // The same library in `lib/` of a layer is where Lambda's loader looks.
    let index = LocalIndex::serve(std::slice::from_ref(&native));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, &native.requirement(""));
    sandbox.write("manifests/app/src/lib/libsqlite3.so.0", shared_object("int unused;"));
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let record = Record::from_json(&sandbox.read("dist/app/record.json")).unwrap();
    let check = record.checks.iter().find(|check| check.name == CheckName::Libraries).unwrap();
    assert!(matches!(check.outcome, CheckOutcome::Ran { subjects: 2.., .. }), "{check:?}");
}

/// A workspace judges for a system of its own: an older libstdc++ than Lambda's, and a library more.
#[test]
fn a_target_of_ones_own_is_judged_by_what_kiln_toml_says_of_it() {
    let object = shared_object_linked_to("libsqlite3.so.0", &extension("(void)0"));
    let file = "native.cpython-313-x86_64-linux-gnu.so";
    let native = wheel("native", "1.0", "cp313-cp313-manylinux2014_x86_64", &[], &[(file, &object)]);
    let index = LocalIndex::serve(std::slice::from_ref(&native));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, &native.requirement(""));
    sandbox.replace("manifests/app.toml", "runtime = \"python3.13\"", "runtime = \"acme-python3.13\"");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::INPUT_INVALID).says(&[
        "`acme-python3.13` is not a Lambda runtime that kiln knows",
        "or describe it in kiln.toml with [[runtime]]",
    ]);
    sandbox.append(
        "kiln.toml",
        "\n[[runtime]]\nname = \"acme-python3.13\"\nlike = \"python3.13\"\nsystem = \"Acme Linux 4\"\nlibraries = \
         [\"libc.so.6\", \"libsqlite3.so.0\"]\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    sandbox.replace("kiln.toml", "\"libsqlite3.so.0\"", "\"libz.so.1\"");
    sandbox
        .kiln()
        .run(["build", "--all"])
        .ends_with(exit::FINDINGS_DENIED)
        .says(&["needs `libsqlite3.so.0`", "nor on acme-python3.13 (Acme Linux 4)"]);
}

/// False alarms would be worse than none: what the manylinux tags of real wheels promise for Amazon Linux 2 holds.
#[test]
fn real_compiled_wheels_for_amazon_linux_2_raise_no_alarm() {
    let sandbox = Sandbox::new();
    let lock = fs_err::read_to_string(repository().join("tests/conformance/python-3.11.txt")).unwrap();
    let code = "import cryptography.fernet, grpc, lxml.etree, numpy, orjson, pandas, PIL.Image, psycopg2, pydantic\n\n\
                def handler(event, context):\n    return None\n";
    sandbox.function("app", "3.11", code, &lock);
    sandbox.append("manifests/app.toml", "\n[policy.levels]\nzip-too-large = \"note\"\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS).does_not_say("warn[");
    let record = Record::from_json(&sandbox.read("dist/app/record.json")).unwrap();
    let ran = |name: CheckName| {
        let check = record.checks.iter().find(|check| check.name == name).unwrap();
        let CheckOutcome::Ran { subjects, .. } = check.outcome else { panic!("{check:?}") };
        subjects
    };
    assert!(
        ran(CheckName::Elf) > 100 && ran(CheckName::Libraries) > 200,
        "{} {}",
        ran(CheckName::Elf),
        ran(CheckName::Libraries)
    );
}
