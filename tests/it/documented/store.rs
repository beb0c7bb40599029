//! `docs/store.md`: how large the store is, what of it can go, and whether it is intact.

use crate::harness::page::Walk;
use crate::harness::{LocalIndex, Sandbox, wheel};
use kiln_record::{Digest, exit};
use kiln_store::Store;

#[test]
fn the_store_is_measured_emptied_and_read() {
    let greeting = wheel("greeting", "1.0", "py3-none-any", &[], &[("greeting.py", b"HELLO = 'hello'\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&greeting));
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import greeting\n\ndef handler(event, context):\n    return greeting.HELLO\n";
    sandbox.function("app", "3.13", code, &greeting.requirement(""));
    let folder = sandbox.folder().join("store");
    let kiln = sandbox.kiln().with_store(&folder);
    kiln.run(["build", "--all"]).ends_with(exit::SUCCESS);
    let stray = Store::open(&folder).unwrap().put(b"nobody names this").unwrap();
    let has = |digest: &Digest| Store::open(&folder).unwrap().contains(digest);

    let mut walk = Walk::of("docs/store.md", &[]);
    let root = fs_err::canonicalize(sandbox.root()).unwrap().display().to_string();
    walk.next(&kiln).prints(&["blobs that are named by", &root, "unpacked trees"]);
    let told = walk.next(&kiln);
    assert!(has(&stray), "nothing was removed\n{told}");
    let removed = walk.next(&kiln);
    assert!(
        !has(&stray) && has(&greeting.digest()),
        "what nothing names is gone, and nothing else\n{removed}"
    );
    walk.next(&kiln).prints(&["1 blob, each what its name says"]);
    // As in CI, where a store is kept small; this one is larger than the room that it is given here.
    let command = walk.command();
    let small = command.replace("2GB", "1MB");
    assert_ne!(small, command);
    walk.run(&kiln, &small);
    assert!(has(&greeting.digest()), "a lock names it");
    kiln.run(["build", "--all", "--offline", "--force"]).ends_with(exit::SUCCESS);
}
