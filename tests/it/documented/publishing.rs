//! `docs/publishing.md`: a release is sent to a registry, and a shell is told what was published.

use crate::harness::page::{Walk, inline_code, text};
use crate::harness::{MANIFEST_TYPE, Registry, Sandbox};
use kiln_record::{Digest, exit};
use serde_json::Value;

const PAGE: &str = "docs/publishing.md";
const CODE: &str = "def handler(event, context):\n    return 1\n";
/// Says what it was asked to do, and copies nothing.
const AWS: &str = "test \"$1 $2\" = 's3 cp' && test -f \"$3\" && echo \"$3 to $4\"";

#[test]
fn artifacts_are_pushed_and_the_key_of_an_archive_is_its_digest() {
    let registry = Registry::start();
    let sandbox = Sandbox::new();
    sandbox.function("dashboard", "3.13", CODE, "").function("orders", "3.13", CODE, "");
    sandbox.write("manifests/powertools-layer/src/powers.py", "VALUE = 1\n").write(
        "manifests/powertools-layer.toml",
        "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \"x86_64\"\n\n\
         [source]\npath = \"powertools-layer/src\"\ninto = \"python\"\n",
    );
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let kiln = sandbox.kiln().with_variable("ARTIFACT_BUCKET", "a-bucket");

    let to = format!("{}/team", registry.address());
    let mut walk = Walk::of(PAGE, &[("registry.example.org/team", &to)])
        .with_program("aws", AWS)
        .with_program("sam", "echo \"$@\"");
    let pushed = walk.next(&kiln);
    for name in ["dashboard", "powertools-layer"] {
        let (kind, manifest) = registry.document(&format!("team/{name}"), "2026-11-25").unwrap();
        assert_eq!(kind, MANIFEST_TYPE);
        let digest = Digest::of(&manifest);
        let bill = format!("{name}.cdx.json");
        pushed.clone().prints(&[
            &format!("{to}/{name}@{digest}\n"),
            "  tag 2026-11-25               ",
            " blobs sent, ",
            &format!("  attached  {bill}"),
            "  attached  record.json                      sha256:",
            "  attached  heads.json                       sha256:",
        ]);
    }
    // The two lines are of one shell: the first sets what the second says.
    let digest = Digest::of(&sandbox.read("dist/orders/orders.zip")).hex();
    let copied = walk.together(&kiln, 2);
    copied.prints(&[&format!("dist/orders/orders.zip to s3://a-bucket/orders/{digest}.zip")]);

    // The table of what deployments are told has commands as well.
    let exports = inline_code(&text(PAGE)).into_iter().filter(|code| code.contains("kiln export "));
    let [terraform, cloudformation, sam, github, shell] = &exports.collect::<Vec<_>>()[..] else {
        panic!("the table has five commands")
    };
    walk.run(&kiln, terraform);
    let variables: Value = serde_json::from_slice(&sandbox.read("kiln.auto.tfvars.json")).unwrap();
    assert_eq!(variables["kiln_artifacts"]["orders"]["sha256"], digest.as_str());
    let key = format!("orders/{digest}.zip");
    walk.run(&kiln, cloudformation);
    let parameters = String::from_utf8(sandbox.read("parameters.json")).unwrap();
    assert!(parameters.contains("OrdersS3Key") && parameters.contains(&key), "{parameters}");
    walk.run(&kiln, sam).prints(&["deploy --parameter-overrides ", &format!("OrdersS3Key={key}")]);
    walk.run(&kiln, github).prints(&[&format!("orders-sha256={digest}")]);
    walk.run(&kiln, &format!("{shell}; echo \"$KILN_ORDERS_PATH\"")).prints(&["dist/orders/orders.zip\n"]);
}
