//! A workspace is built in parts by machines that know nothing of each other, and comes to what one machine makes.

use crate::harness::Sandbox;
use kiln_record::exit;
use kiln_store::Ledger;

const CODE: &str = "def handler(event, context):\n    return None\n";
/// Of two parts, `report` and `orders` are in the first, and `app`, `mail` and the layer in the second.
const FUNCTIONS: [&str; 4] = ["app", "mail", "orders", "report"];

fn workspace() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in FUNCTIONS {
        sandbox.function(name, "3.13", &format!("{CODE}# {name}\n"), "");
    }
    sandbox.write("manifests/shared/src/shared.py", "VALUE = 1\n");
    sandbox.write(
        "manifests/shared.toml",
        "kind = \"lambda-layer\"\nbase = \"python-3.13\"\n\n[target]\nruntime = \"python3.13\"\narchitecture = \"x86_64\"\n\n\
         [source]\npath = \"shared/src\"\ninto = \"python\"\n",
    );
    // The first part needs the layer as well, and builds it, too.
    sandbox.replace("manifests/orders.toml", "handler =", "layers = [\"shared\"]\nhandler =");
    sandbox.commit("everything");
    sandbox
}

#[test]
fn parts_that_are_gathered_are_what_one_machine_builds() {
    let whole = workspace();
    whole.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let parts: Vec<Sandbox> = ["1/2", "2/2"]
        .iter()
        .map(|shard| {
            let part = whole.copy();
            std::fs::remove_dir_all(part.path("dist")).unwrap();
            std::fs::remove_dir_all(part.path(".kiln")).unwrap();
            part.kiln().run(["build", "--all", "--shard", shard]).ends_with(exit::SUCCESS);
            part
        })
        .collect();
    let built =
        |part: &Sandbox| FUNCTIONS.map(|name| part.path(&format!("dist/{name}/record.json")).is_file());
    assert_eq!(built(&parts[0]), [false, false, true, true]);
    assert_eq!(built(&parts[1]), [true, true, false, false]);

    // A part that has no artifact publishes an index that names none.
    let empty = whole.copy();
    std::fs::remove_dir_all(empty.path("dist")).unwrap();
    empty.kiln().run(["build", "--all", "--shard", "1/64"]).ends_with(exit::SUCCESS);
    assert_eq!(empty.dist().len(), 1);
    let index: serde_json::Value = serde_json::from_slice(&empty.read("dist/index.json")).unwrap();
    assert_eq!(index["artifacts"], serde_json::json!({}));

    // What was signed of a part is about a ledger that is not the whole one's.
    parts[0].write("dist/ledger.checkpoint", "signed").write("dist/orders/orders.tlog-proof", "signed");
    let gathered = workspace();
    let folders: Vec<String> = parts.iter().map(|part| part.root().display().to_string()).collect();
    // One part is not the whole.
    let partial = gathered.kiln().run(["gather", &folders[0]]).ends_with(exit::INPUT_INVALID);
    partial
        .prints(&["published orders", "missing   app", "missing   mail"])
        .says(&["2 of the workspace were built by none of these"]);
    let empty = empty.path("dist").display().to_string();
    let all = gathered.kiln().run(["gather", &folders[0], &empty, &folders[1]]).ends_with(exit::SUCCESS);
    all.prints(&[
        "published app",
        "published mail",
        "unchanged orders",
        "unchanged report",
        "unchanged shared",
    ]);
    assert_eq!(gathered.dist(), whole.dist());
    gathered.kiln().run(["verify"]).ends_with(exit::SUCCESS).says(&["nothing is wrong"]);
    // What was gathered is known as built: its commit came along, and nothing is built again.
    let ledger = Ledger::open(&gathered.path(".kiln/ledger"));
    let entry = ledger.latest(&"app".parse().unwrap()).unwrap().unwrap();
    assert!(entry.source.is_some_and(|source| source.commit().is_some()));
    let again = gathered.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    again.says(&["5 unchanged"]);

    // Two builds of one artifact that differ are refused, and so is what was changed; nothing is written.
    let before = gathered.dist();
    let other = parts[1].copy();
    other.append("manifests/shared/src/shared.py", "OTHER = 2\n");
    other.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let other_root = other.root().display().to_string();
    let refused = gathered.kiln().run(["gather", &folders[0], &other_root]).ends_with(exit::NOT_REPRODUCIBLE);
    refused.says(&["nothing was changed", "shared was built twice, and not to the same", "kiln diff"]);
    let mut sums = parts[1].read("dist/app/app.zip");
    let last = sums.len() - 1;
    sums[last] ^= 1;
    parts[1].write("dist/app/app.zip", sums);
    let refused = gathered.kiln().run(["gather", &folders[1]]).ends_with(exit::NOT_REPRODUCIBLE);
    refused.says(&["app.zip has digest", "but its record describes one with"]);
    assert_eq!(gathered.dist(), before);
}

#[test]
fn what_is_no_shard_or_no_part_is_refused() {
    let sandbox = workspace();
    sandbox
        .kiln()
        .run(["build", "--all", "--shard", "3/2"])
        .ends_with(exit::USAGE)
        .says(&["a shard is NUMBER/OF"]);
    sandbox.kiln().run(["build", "app", "--shard", "1/2"]).ends_with(exit::USAGE).says(&["--shard"]);
    let foreign = Sandbox::new();
    foreign.function("elsewhere", "3.13", CODE, "");
    foreign.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    let folder = foreign.root().display().to_string();
    let refused = sandbox.kiln().run(["gather", &folder, "nowhere"]).ends_with(exit::NOT_REPRODUCIBLE);
    refused.says(&["no manifest of this workspace is called elsewhere", "nowhere is no folder"]);
    sandbox.assert_nothing_published();
}
