//! The digest of a batch of trail events.

use serde_json::{Map, Value, json};

/// Counts events by name, and those that were denied, by who tried.
///
/// # Errors
/// What is wrong with the batch.
pub fn of_batch(batch: &[u8]) -> Result<Vec<u8>, String> {
    let batch: Value = serde_json::from_slice(batch).map_err(|error| error.to_string())?;
    let records = batch.get("Records").and_then(Value::as_array).ok_or("the batch has no `Records`")?;
    let (mut names, mut denied) = (Map::new(), Map::new());
    for record in records {
        let name = record.get("eventName").and_then(Value::as_str).ok_or("a record has no `eventName`")?;
        count(&mut names, name);
        let code = record.get("errorCode").and_then(Value::as_str).unwrap_or_default();
        if code.contains("AccessDenied") || code.contains("Unauthorized") {
            let who = record.pointer("/userIdentity/arn").and_then(Value::as_str).unwrap_or("unknown");
            count(&mut denied, who);
        }
    }
    let digest = json!({"events": records.len(), "by_name": names, "denied": denied});
    serde_json::to_vec(&digest).map_err(|error| error.to_string())
}

fn count(counts: &mut Map<String, Value>, name: &str) {
    let before = counts.get(name).and_then(Value::as_u64).unwrap_or_default();
    counts.insert(name.to_owned(), json!(before + 1));
}
