//! Which builds hold something: over the ledger, over folders, without a workspace.

use crate::harness::{LocalIndex, Sandbox, WheelFile, wheel};
use kiln_record::{Record, exit};
use serde_json::{Value, json};

const CODE: &str = "import words\n\n\ndef handler(event, context):\n    return words.HELLO\n";

fn released(name: &str, version: &str) -> WheelFile {
    let requires: &[&str] = if name == "words" { &["letters>=1"] } else { &[] };
    wheel(name, version, "py3-none-any", requires, &[(&format!("{name}.py"), b"HELLO = 1\n")])
}

/// A function of which each build has other letters, and two of them words.
fn workspace(index: &LocalIndex) -> Sandbox {
    let sandbox = Sandbox::new().with_index(index);
    for letters in ["1.0", "1.5", "1.5", "2.0"] {
        let lock = released("letters", letters).requirement("") + &released("words", "1.0").requirement("");
        if !sandbox.path("manifests/app.toml").is_file() {
            sandbox.function("app", "3.13", CODE, &lock);
        }
        sandbox.write("manifests/app/requirements.txt", lock);
        sandbox.append("manifests/app/src/app.py", "# another build\n");
        sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    }
    sandbox
}

fn found(document: &Value) -> Vec<(String, Value)> {
    let rows = document["found"].as_array().unwrap().iter();
    rows.map(|row| (row["version"].as_str().unwrap_or_default().to_owned(), row["builds"].clone())).collect()
}

#[test]
fn what_builds_hold_is_found_by_version_digest_base_and_library() {
    let index = LocalIndex::serve(&[
        released("letters", "1.0"),
        released("letters", "1.5"),
        released("letters", "2.0"),
        released("words", "1.0"),
    ]);
    let sandbox = workspace(&index);
    let find =
        |query: &str| sandbox.kiln().run(["find", query, "--format", "json"]).ends_with(exit::SUCCESS).json();

    let letters = find("Letters<2");
    let expected = vec![("1.0".to_owned(), json!([[1, 1]])), ("1.5".to_owned(), json!([[2, 3]]))];
    assert_eq!(found(&letters), expected);
    let second = &letters["found"][1];
    assert_eq!((&second["via"], &second["in_newest"]), (&json!(["app", "words"]), &json!(false)));
    let history = sandbox.kiln().run(["history", "--format", "json"]).json();
    assert_eq!(second["since"], history["app"][1]["at"]);
    assert_eq!(letters["builds"], 4);
    assert_eq!(found(&find("pkg:pypi/letters@2.0")), [("2.0".to_owned(), json!([[4, 4]]))]);
    assert_eq!(found(&find("letters>=3")), []);
    let text = sandbox.kiln().run(["find", "words"]).ends_with(exit::SUCCESS);
    text.prints(&["python      words 1.0  @1-4 since ", "the newest among them", "through app"]);
    let markdown = sandbox.kiln().run(["find", "letters", "--format", "markdown"]);
    markdown.prints(&["| app | python letters | 2.0 | &#64;4 since", "| yes | through app &gt; words |"]);

    // By digest: a wheel, a file, a published zip; by base.
    let record = Record::from_json(&sandbox.read("dist/app/record.json")).unwrap();
    let zip = record.archive().unwrap().digest.to_string();
    assert_eq!(find(&zip)["found"][0]["kind"], "output");
    let wheel = released("letters", "1.5").digest().to_string();
    assert_eq!(find(&format!("file:{wheel}"))["found"][0]["builds"], json!([[2, 3]]));
    let file = record.files.iter().find(|file| file.path.as_str() == "words.py").unwrap();
    let kiln_record::Entry::File { digest, .. } = &file.entry else { panic!("{file:?}") };
    let rows = find(&digest.to_string())["found"].as_array().unwrap().clone();
    let row = rows.into_iter().find(|row| row["kind"] == "file" && row["name"] == "words.py");
    let row = row.unwrap();
    assert_eq!((&row["builds"], &row["via"]), (&json!([[1, 4]]), &json!(["python/words"])));
    assert_eq!(find("base:python-3.13")["found"][0]["builds"], json!([[1, 4]]));
    assert_eq!(found(&find("library:libssl*")), []);

    // The index is only a cache: one that is damaged, or gone, or of before, changes no answer.
    let kept = sandbox.path(".kiln/find/app.parts.json");
    let mut damaged = sandbox.read(".kiln/find/app.parts.json");
    let last = damaged.len() - 3;
    damaged[last] ^= 1;
    for harm in [Some(damaged), Some(Vec::new()), None] {
        match harm {
            Some(bytes) => fs_err::write(&kept, bytes).unwrap(),
            None => fs_err::remove_file(&kept).unwrap(),
        }
        assert_eq!(find("Letters<2"), letters);
    }
    sandbox.append("manifests/app/src/app.py", "# once more\n");
    sandbox.kiln().run(["build", "--all"]).ends_with(exit::SUCCESS);
    assert_eq!(found(&find("letters>=2")), [("2.0".to_owned(), json!([[4, 5]]))]);

    // Without a workspace: what is published, a ledger, another workspace.
    let elsewhere = Sandbox::bare();
    fs_err::remove_file(elsewhere.path("kiln.toml")).unwrap();
    let at = |path: &str| sandbox.path(path).display().to_string();
    let kiln = elsewhere.kiln();
    let published =
        kiln.run(["find", "letters", &at("dist"), "--format", "json"]).ends_with(exit::SUCCESS).json();
    assert_eq!(published["found"][0]["place"], at("dist/app/record.json"));
    for words in
        [["find", "letters<2", "--ledger", &at(".kiln/ledger")], ["find", "letters<2", &at("."), "-q"]]
    {
        kiln.run(words).ends_with(exit::SUCCESS).prints(&["letters 1.5  @2-3 since"]);
    }
    kiln.run(["find", "letters"]).ends_with(exit::INPUT_INVALID).says(&["kiln find QUERY FOLDER"]);
    kiln.run(["find", "letters", "."]).ends_with(exit::INPUT_INVALID).says(&["no ledger and no record.json"]);
    kiln.run(["find", "letters<", "."])
        .ends_with(exit::USAGE)
        .says(&["cannot be looked for", "a query is a name"]);
}
