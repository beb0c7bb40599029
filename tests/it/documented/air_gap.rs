//! `docs/air-gap.md`: what builds need is carried to a machine that asks nobody.

use crate::harness::page::Walk;
use crate::harness::{LocalIndex, Sandbox, wheel};
use kiln_record::exit;

#[test]
fn a_bundle_is_made_on_one_machine_and_used_on_another() {
    let greeting = wheel("greeting", "1.0", "py3-none-any", &[], &[("greeting.py", b"HELLO = 'hello'\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&greeting));
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import greeting\n\ndef handler(event, context):\n    return greeting.HELLO\n";
    sandbox.function("app", "3.13", code, &greeting.requirement(""));
    let there = sandbox.copy();
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);

    // The digest is printed on the one machine, and typed on the other.
    let mut walk = Walk::of("docs/air-gap.md", &[]);
    let made = walk.next(&sandbox.kiln());
    let digest = made.stdout.split_whitespace().find(|word| word.starts_with("sha256:"));
    let digest = digest.unwrap_or_else(|| panic!("it says the digest\n{made}")).to_owned();
    there.write("kiln-bundle.tar", sandbox.read("kiln-bundle.tar"));
    drop(index);
    let kiln = there.kiln().with_store(&there.folder().join("store")).with_variable("KILN_DEBIAN_MIRROR", "");
    let command = walk.command();
    assert!(command.contains("sha256:…"), "{command}");
    let wrong = format!("sha256:{}", "0".repeat(64));
    walk.run(&kiln, &format!("{} # exit code 22", command.replace("sha256:…", &wrong)));
    walk.run(&kiln, &command.replace("sha256:…", &digest));
    walk.next(&kiln).prints(&["published"]);
    assert!(there.dist() == sandbox.dist(), "the same bytes");
}
