//! `docs/pins.md`: what moved upstream, and what would move here.

use crate::harness::page::Walk;
use crate::harness::{LocalIndex, Sandbox, wheel};
use crate::lock_artifact::{function, tools};
use kiln_record::exit;

const CODE: &str = "import parcels\n\ndef handler(event, context):\n    return parcels.WEIGHT\n";

#[test]
fn what_would_move_is_told_and_nothing_is_written() {
    let index = LocalIndex::empty();
    let parcels =
        |version: &str| wheel("parcels", version, "py3-none-any", &[], &[("parcels.py", b"WEIGHT = 1\n")]);
    let lock: toml::Table = tools().parse().unwrap();
    let version = lock["tool"]["uv"]["version"].as_str().unwrap();
    index.add_described(&wheel("uv", version, "py3-none-manylinux_2_28_x86_64", &[], &[]));
    index.add_described(&parcels("1.0"));
    let sandbox = Sandbox::new().with_index(&index);
    sandbox.write("kiln.lock", tools());
    function(&sandbox, "dashboard", "3.13", CODE, ("requirements.in", "parcels >=1\n"), "");
    sandbox.kiln().run(["lock", "dashboard"]).ends_with(exit::SUCCESS);
    index.add_described(&parcels("1.1"));
    // Every pin is of today, and is to be looked at monthly, as the page has it. Of the base, an older version of one package was
    // pinned.
    sandbox.replace("kiln.toml", "format = \"1\"\n", "format = \"1\"\nreview = \"monthly\"\n");
    let file = "images/python-3.13.lock";
    let mut base: toml::Table = String::from_utf8(sandbox.read(file)).unwrap().parse().unwrap();
    base["pinned"] = lock["tool"]["uv"]["pinned"].clone();
    let package =
        base["platform"]["linux/amd64"]["package"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    let name = package["name"].as_str().unwrap().to_owned();
    package["version"] = "0.1".into();
    package["digest"] = format!("sha256:{}", "1".repeat(64)).into();
    sandbox.write(file, toml::to_string(&base).unwrap());
    // Nothing stands on the other bases.
    for entry in fs_err::read_dir(sandbox.path("images")).unwrap().map(Result::unwrap) {
        if entry.path().is_file() && !entry.file_name().to_str().unwrap().starts_with("python-3.13.") {
            fs_err::remove_file(entry.path()).unwrap();
        }
    }

    let mut walk = Walk::of("docs/pins.md", &[]);
    walk.next(&sandbox.kiln()).prints(&["base python-3.13  1 moved", "parcels", "1.1"]);
    let before = [sandbox.read(file), sandbox.read("manifests/dashboard/lock.txt")];
    let [base, lock] = walk.take(&sandbox.kiln());
    base.prints(&[
        "base python-3.13  1 moved",
        &format!("{name} linux/amd64"),
        "to bring: kiln lock --base python-3.13",
    ]);
    lock.prints(&["manifests/dashboard/lock.txt: would change: 1 distribution", "to bring", "1.0 → 1.1"]);
    let after = [sandbox.read(file), sandbox.read("manifests/dashboard/lock.txt")];
    assert!(before == after, "nothing was written");
}
