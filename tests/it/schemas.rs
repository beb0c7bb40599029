//! The schemas in `docs/schemas/` say what kiln says: they allow every file and document of ours, and refuse what its
//! readers refuse. What a run prints as JSON is held against its schema in every test (`harness/kiln.rs`).

use crate::harness::{LocalIndex, Sandbox, repository, schemas, wheel};
use kiln_plan::{BaseDefinition, Manifest, Settings};
use kiln_record::exit;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A manifest and settings with every key there is.
const EVERY_KEY: [(&str, &str); 2] = [
    ("manifest", include_str!("../schema/every-section.toml")),
    ("workspace", include_str!("../schema/every-setting.toml")),
];

/// A file's name and text, and the schema that it is held against.
struct Document {
    schema: &'static str,
    name: String,
    text: String,
}

impl Document {
    fn json(&self) -> Value {
        let table: toml::Table = self.text.parse().unwrap();
        serde_json::to_value(table).unwrap()
    }
}

/// The files of this repository that people and kiln write.
fn own_files() -> Vec<Document> {
    let root = repository();
    let mut documents = Vec::new();
    let mut add = |schema, path: PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        documents.push(Document { schema, name, text: fs_err::read_to_string(path).unwrap() });
    };
    add("workspace", root.join("kiln.toml"));
    add("tools-lock", root.join("kiln.lock"));
    for (folder, ending, schema) in
        [("images", "toml", "base"), ("images", "lock", "base-lock"), ("manifests", "toml", "manifest")]
    {
        let files = fs_err::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
        files
            .filter(|file| file.extension().is_some_and(|found| found == ending))
            .for_each(|path| add(schema, path));
    }
    documents
}

#[test]
fn schemas_are_schemas() {
    for (name, schema) in kiln_cli::schemas() {
        assert!(jsonschema::draft202012::meta::is_valid(schema.as_value()), "{name}");
        assert!(schema.get("title").is_some(), "{name} says what it is of");
    }
}

#[test]
fn our_own_files_are_as_their_schemas_say() {
    let files = own_files();
    for schema in ["workspace", "tools-lock", "base", "base-lock", "manifest"] {
        assert!(files.iter().any(|file| file.schema == schema), "there is a {schema}");
    }
    for file in files {
        if let Err(refusals) = schemas::refusals(file.schema, &file.json()) {
            panic!("{}: {refusals}", file.name);
        }
    }
}

/// What kiln's own reader has against a text.
fn read(schema: &str, text: &str) -> Result<(), String> {
    let text = text.into();
    match schema {
        "workspace" => Settings::parse("kiln.toml", &text).map(drop).map_err(|problem| problem.to_string()),
        "base" => BaseDefinition::parse("one".parse().unwrap(), "images/one.toml", &text)
            .map(drop)
            .map_err(|problem| problem.to_string()),
        "manifest" => Manifest::parse("one".parse().unwrap(), "manifests/one.toml", &text, &[])
            .map(drop)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect()),
        other => panic!("nobody writes a {other}"),
    }
}

/// Every way to spoil one value somewhere in a document: a key that nobody knows, a key less, another type.
fn spoilt(document: &Value) -> Vec<Value> {
    match document {
        Value::Object(members) => {
            let with = |key: &str, value: Option<Value>| {
                let mut members = members.clone();
                match value {
                    Some(value) => members.insert(key.to_owned(), value),
                    None => members.remove(key),
                };
                Value::Object(members)
            };
            let mut all = vec![with("surprise", Some(json!("?"))), json!(7)];
            for (key, value) in members {
                all.push(with(key, None));
                all.extend(spoilt(value).into_iter().map(|value| with(key, Some(value))));
            }
            all
        }
        Value::Array(items) => {
            let mut all = vec![json!(true)];
            for (index, item) in items.iter().enumerate() {
                all.extend(spoilt(item).into_iter().map(|item| {
                    let mut items = items.clone();
                    items[index] = item;
                    Value::Array(items)
                }));
            }
            all
        }
        Value::String(_) => vec![json!(7), json!(["?"]), json!({ "surprise": true })],
        _ => vec![json!("?"), json!([7])],
    }
}

/// The words of serde for what a type does not allow. What else a reader refuses, no schema can say.
const OF_TYPES: [&str; 4] = ["unknown field", "missing field", "invalid type", "unknown variant"];

#[test]
fn schemas_and_readers_refuse_the_same_keys_and_types() {
    let mut files = own_files();
    for (schema, text) in EVERY_KEY {
        files.push(Document { schema, name: format!("a {schema} with every key"), text: text.to_owned() });
    }
    let (mut tried, mut unknown) = (0, 0);
    for file in files.iter().filter(|file| matches!(file.schema, "workspace" | "base" | "manifest")) {
        let schemas = kiln_cli::schemas();
        let schema = jsonschema::validator_for(schemas[file.schema].as_value()).unwrap();
        for document in spoilt(&file.json()) {
            let Ok(text) = toml::to_string(&document) else { continue };
            let read = read(file.schema, &text);
            let refusal = schema.validate(&document).map_err(|error| error.to_string());
            tried += 1;
            match (&read, &refusal) {
                (Err(why), Ok(())) if OF_TYPES.iter().any(|words| why.contains(words)) => {
                    panic!("{}: only kiln refuses it ({why}):\n{text}", file.name)
                }
                (Ok(()), Err(why)) => panic!("{}: only the schema refuses it ({why}):\n{text}", file.name),
                _ => {}
            }
            unknown += usize::from(read.is_err_and(|why| why.contains("unknown field `surprise`")));
        }
    }
    assert!(tried > 1000 && unknown > 50, "{tried} documents, {unknown} of them with an unknown key");
}

/// The keys that a schema knows, of all its tables, but for tables with keys of the user's own.
fn keys(schema: &Value) -> BTreeSet<String> {
    let tables = schema["$defs"].as_object().into_iter().flat_map(|tables| tables.values()).chain([schema]);
    tables.filter_map(|table| table["properties"].as_object()).flat_map(|keys| keys.keys().cloned()).collect()
}

#[test]
fn a_document_with_every_key_has_every_key() {
    for (name, text) in EVERY_KEY {
        let table: toml::Table = text.parse().unwrap();
        let document = serde_json::to_value(table).unwrap();
        assert_eq!(schemas::refusals(name, &document), Ok(()));
        let schema = &kiln_cli::schemas()[name];
        let written = document.to_string();
        let missing: Vec<String> = keys(schema.as_value())
            .into_iter()
            .filter(|key| !written.contains(&format!("\"{key}\":")))
            .collect();
        assert!(missing.is_empty(), "the {name} in tests/schema lacks {missing:?}");
    }
}

/// What no type of serde's own says.
#[test]
fn schemas_refuse_values_that_no_reader_takes() {
    for (schema, document) in [
        ("workspace", json!({ "format": "2" })),
        ("workspace", json!({ "format": "1", "policy": { "levels": { "no-such-code": "warn" } } })),
        ("workspace", json!({ "format": "1", "debian": { "mirror": null } })),
        ("base", json!({ "kind": "registry", "platforms": ["windows/amd64"] })),
        ("manifest", json!({ "kind": "image", "target": {}, "dockerfile": 7 })),
        (
            "manifest",
            json!({ "kind": "image", "target": {}, "dockerfile": { "path": "Dockerfile", "shell": "sh" } }),
        ),
        ("manifest", json!({ "kind": "image", "target": {}, "python": { "lock": "l", "sdists": ["a b"] } })),
        ("record", json!({ "format": "1" })),
        ("output/pins", json!({})),
    ] {
        assert!(schemas::refusals(schema, &document).is_err(), "{schema}: {document}");
    }
    for (schema, document) in [
        ("workspace", json!({ "format": "1" })),
        ("manifest", json!({ "kind": "image", "target": {}, "dockerfile": "Dockerfile" })),
    ] {
        assert_eq!(schemas::refusals(schema, &document), Ok(()));
    }
}

#[test]
fn what_is_built_and_told_is_as_its_schema_says() {
    let greeting = wheel("greeting", "1.0", "py3-none-any", &[], &[("greeting.py", b"HELLO = 'hello'\n")]);
    let index = LocalIndex::serve(std::slice::from_ref(&greeting));
    let sandbox = Sandbox::new().with_index(&index);
    let code = "import greeting\n\ndef handler(event, context):\n    return greeting.HELLO\n";
    sandbox.function("app", "3.13", code, &greeting.requirement(""));
    let kiln = sandbox.kiln();
    kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
    sandbox.append("manifests/app/src/app.py", "# Later.\n");
    kiln.run(["build", "--all", "--format", "json"]).ends_with(exit::SUCCESS);
    for (schema, path) in [
        ("record", "dist/app/record.json"),
        ("index", "dist/index.json"),
        ("ledger-entry", ".kiln/ledger/app/000002/entry.json"),
        ("heads", ".kiln/heads.json"),
    ] {
        let document: Value = serde_json::from_slice(&sandbox.read(path)).unwrap();
        schemas::validate(schema, &document);
        let mut less = document.clone();
        less.as_object_mut().unwrap().remove("format");
        assert!(schemas::refusals(schema, &less).is_err(), "{path} says its format");
    }
    // Each is held against its schema on the way.
    for arguments in [
        &["pins"][..],
        &["explain", "app"],
        &["explain", "app", "greeting"],
        &["explain", "app", "greeting.py"],
        &["diff", "app@1", "app@2"],
        &["history"],
        &["show", "app"],
        &["verify", "dist/app/app.zip"],
        &["verify"],
        &["export", "terraform"],
        &["export", "cloudformation"],
    ] {
        let arguments = [arguments, &["--format", "json"]].concat();
        assert!(!kiln.run(arguments).ends_with(exit::SUCCESS).stdout.is_empty());
    }
}
