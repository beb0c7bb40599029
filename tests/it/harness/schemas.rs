//! The schemas of what kiln reads, writes and prints.

use serde_json::Value;

/// Fails the test unless a schema allows a document.
#[track_caller]
pub(crate) fn validate(name: &str, document: &Value) {
    if let Err(refusals) = refusals(name, document) {
        panic!("docs/schemas/{name}.json refuses {document:#}: {refusals}");
    }
}

/// What a schema has against a document.
pub(crate) fn refusals(name: &str, document: &Value) -> Result<(), String> {
    let schemas = kiln_cli::schemas();
    let schema = schemas.get(name).unwrap_or_else(|| panic!("there is no schema {name}"));
    let validator = jsonschema::validator_for(schema.as_value()).expect("a schema");
    let refusals: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    if refusals.is_empty() { Ok(()) } else { Err(refusals.join("\n")) }
}

/// Fails the test unless a text is a document of SARIF 2.1.0, by the schema of OASIS.
#[track_caller]
pub(crate) fn validate_sarif(text: &str) {
    let mut schema: Value =
        serde_json::from_str(include_str!("../../schema/sarif-2.1.0.schema.json")).expect("JSON");
    // A bracket in this pattern is not closed, which only lenient readers of regular expressions take.
    for definition in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][definition]["properties"]["language"];
        language.as_object_mut().expect("a property").remove("pattern");
    }
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let document: Value = serde_json::from_str(text).expect("JSON");
    let refusals: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(refusals.is_empty(), "{}\n{text}", refusals.join("\n"));
}

/// The schema of what a run prints, if that is a JSON document.
pub(crate) fn of_output(words: &[String], stdout: &str) -> Option<String> {
    let has = |word: &str| words.iter().any(|known| known == word);
    let command = words.first()?.as_str();
    let is_error = |stdout: &str| {
        let document: Option<Value> = serde_json::from_str(stdout).ok();
        document.is_some_and(|document| document.get("error").is_some_and(Value::is_object))
    };
    if is_error(stdout) {
        return Some("output/error".to_owned());
    }
    if command == "export" {
        let what = ["terraform", "cloudformation"].into_iter().find(|what| has(what))?;
        return Some(format!("output/export-{what}"));
    }
    if !words.windows(2).any(|pair| pair == ["--format", "json"]) {
        return None;
    }
    let document: Value = serde_json::from_str(stdout).ok()?;
    let name = match command {
        "verify" if has("--cross-check") => "cross-check",
        "verify" if document.get("aspects").is_some() => "verify-release",
        // Without files it is about the workspace.
        "verify" if document.is_object() => "verify-workspace",
        "pins" if has("--check") => "pins-check",
        "pull" if has("--all") => "pull-all",
        "store" if has("du") => "store-du",
        "store" if has("gc") => "store-gc",
        "store" => "store-check",
        "bundle" if has("create") => "bundle-create",
        "bundle" => "bundle-use",
        "show" if has("--environment") => "show-environment",
        "show" if document.get("workspace").is_some() => "show-workspace",
        "show" if document.get("artifact").is_none() => "show-index",
        "diff" if document.get("artifacts").is_some() => "diff-workspace",
        "history" if document.is_array() => "history-records",
        "approve" => return Some("approval".to_owned()),
        "explain" if document.get("components").is_some() => "explain-build",
        "explain" if document.is_array() => "explain-distribution",
        "explain" if document.get("distributions").is_none() => "explain-path",
        command => command,
    };
    Some(format!("output/{name}"))
}
