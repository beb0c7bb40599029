//! What the tree alone tells: metadata without modules, own files among those of others, packages that hide each other.

use crate::harness::{LocalIndex, Sandbox, wheel};
use kiln_record::exit;

const CODE: &str = "def handler(event, context):\n    return None\n";

/// The metadata says that it is installed, and nothing is there to import: a wheel that was built from the wrong folder.
#[test]
fn metadata_without_its_module() {
    let hollow = wheel("hollow", "1.0", "py3-none-any", &[], &[]);
    let meta = wheel("meta", "1.0", "py3-none-any", &["whole"], &[]);
    let whole = wheel("whole", "1.0", "py3-none-any", &[], &[("whole.py", b"")]);
    let wheels = [hollow, meta, whole];
    let index = LocalIndex::serve(&wheels);
    let sandbox = Sandbox::new().with_index(&index);
    let lock: String = wheels.iter().map(|file| file.requirement("")).collect();
    sandbox.function("app", "3.13", CODE, &lock);
    sandbox
        .denied()
        .says(&[
            "deny[metadata-without-module] app: hollow 1.0",
            "hollow 1.0 has its metadata in the artifact, but no file beside it, and it requires nothing",
            "→ look at its wheel: it was built without its modules",
        ])
        .documents("deny[metadata-without-module] app: hollow")
        .does_not_say("meta 1.0");
}

#[test]
fn own_files_inside_the_package_of_a_distribution() {
    let outer = wheel("outer", "1.0", "py3-none-any", &[], &[("outer/__init__.py", b"")]);
    let index = LocalIndex::serve(std::slice::from_ref(&outer));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function("app", "3.13", CODE, &outer.requirement(""));
    sandbox.write("manifests/app/src/outer/patched.py", "");
    sandbox
        .kiln()
        .run(["build", "--all"])
        .ends_with(exit::SUCCESS)
        .says(&[
            "warn[unowned-file] app: outer/patched.py",
            "1 of the artifact's own files lies inside a package of outer, whose RECORD does not list it",
        ])
        .documents("warn[unowned-file] app: outer/patched.py");
}

/// A copy of a distribution that somebody committed beside the code.
#[test]
fn a_distribution_that_no_lock_names() {
    let sandbox = Sandbox::new();
    sandbox.function("app", "3.13", CODE, "");
    sandbox.write("manifests/app/src/tool.py", "");
    let metadata = "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n";
    sandbox.write("manifests/app/src/tool-1.0.dist-info/METADATA", metadata);
    sandbox
        .denied()
        .says(&["tool 1.0 is in the tree, but no lock names it", "found in `tool-1.0.dist-info`"])
        .documents("deny[installed-not-locked] app: tool 1.0");
}

/// protobuf and its like: an empty `google/__init__.py` in one place hides all of `google` in the other.
#[test]
fn a_stray_init_breaks_a_namespace_package() {
    let [first, second] = ["first", "second"].map(|name| {
        let file = format!("space/{name}.py");
        wheel(&format!("space-{name}"), "1.0", "py3-none-any", &[], &[(&file, b"")])
    });
    let index = LocalIndex::serve(&[first.clone(), second.clone()]);
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.function(
        "app",
        "3.13",
        "import space.first, space.second\nhandler = print\n",
        &first.requirement(""),
    );
    sandbox.replace("manifests/app.toml", "handler =", "layers = [\"tools\"]\nhandler =");
    sandbox.write("manifests/tools/requirements.txt", second.requirement(""));
    sandbox.write(
        "manifests/tools.toml",
        "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \"x86_64\"\n\n\
         [python]\nlock = \"tools/requirements.txt\"\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    sandbox.write("manifests/app/src/space/__init__.py", "");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::FINDINGS_DENIED).says(&[
        "deny[namespace-broken] app: space",
        "`space/__init__.py` of app makes `space` a regular package, so that tools with `space/second.py` cannot be imported \
         beside it",
        "→ remove `space/__init__.py`, if it is your own and empty",
    ]).documents("deny[namespace-broken] app: space");
    let extends = "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n";
    sandbox.write("manifests/app/src/space/__init__.py", extends);
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
}
