//! Records, and bills of materials inside wheels.

use crate::invariant::holds;
use kiln_audit::compare;
use kiln_record::{DistributionName, IndexRecord, Record, TreePath, canonical_json};
use kiln_sbom::{SpecVersion, cyclonedx, merge_embedded, provenance, read_embedded, spdx, spdx3};

/// Records: what is written is read back equal, and everything that is made of one can be made of any.
pub fn record(data: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(data)
        && is_exact(&value)
    {
        let canonical = holds(canonical_json(&value), "JSON is written");
        let again: serde_json::Value = holds(serde_json::from_slice(&canonical), "canonical JSON is JSON");
        assert_eq!(holds(canonical_json(&again), "JSON is written"), canonical, "one value, one text");
    }
    if let Ok(index) = IndexRecord::from_json(data) {
        let json = holds(index.to_json(), "an index is written");
        assert_eq!(holds(IndexRecord::from_json(&json), "what was written is read"), index);
        holds(index.sums(), "its sums are written");
    }
    if let Ok(record) = Record::from_json(data) {
        holds(record.check(), "what is read does not contradict itself");
    }
    let Ok(stated) = serde_json::from_slice::<Record>(data) else { return };
    let record = consistent(stated);
    let json = holds(record.to_json(), "a record is written");
    let again = holds(Record::from_json(&json), "what was written is read");
    assert_eq!(again, record);
    assert_eq!(holds(again.to_json(), "a record is written"), json, "one record, one text");
    let _ = (record.packed_size(), record.to_tree().check_folders());
    let diff = compare(&record, &record, &[]);
    holds(canonical_json(&diff), "a comparison is written");
    assert!(diff.components.is_empty(), "a record is as it is");
    for version in [SpecVersion::V1_5, SpecVersion::V1_7] {
        if let Ok(bom) = cyclonedx(&record, version) {
            let _: serde_json::Value = holds(serde_json::from_slice(&bom), "a bill of materials is JSON");
        }
    }
    for bom in [spdx(&record), spdx3(&record)].into_iter().flatten() {
        let _: serde_json::Value = holds(serde_json::from_slice(&bom), "a bill of materials is JSON");
    }
    if let Ok(statement) = provenance(&record) {
        let _: serde_json::Value = holds(serde_json::from_slice(&statement), "provenance is JSON");
        let lines = statement.iter().filter(|byte| **byte == b'\n').count();
        assert!(lines <= 1, "provenance is one line");
    }
}

/// Whether all numbers are whole, as in all that kiln hashes: `serde_json` reads others to the last digit but one.
fn is_exact(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Number(number) => !number.is_f64(),
        serde_json::Value::Array(values) => values.iter().all(is_exact),
        serde_json::Value::Object(members) => members.values().all(is_exact),
        _ => true,
    }
}

/// The record with the digests and sums that its files have: who makes a record up can compute them, and an input that
/// changes one byte cannot.
fn consistent(mut record: Record) -> Record {
    record.format = kiln_record::FORMAT_VERSION;
    record.files.sort_by(|a, b| a.path.cmp(&b.path));
    record.files.dedup_by(|a, b| a.path == b.path);
    record.tree = record.to_tree().digest();
    record.unpacked_size = record.to_tree().size();
    for component in record.components.iter_mut().filter(|component| !component.from_base) {
        let own = record.files.iter().filter(|file| file.component == component.id);
        (component.bytes, component.files) = own
            .fold((0, 0), |(bytes, files), file| (u64::saturating_add(bytes, file.entry.size()), files + 1));
    }
    for output in &mut record.outputs {
        output.sha256_base64 = output.digest.base64();
    }
    record
}

/// Bills of materials: what is taken from one is joined once and for all.
pub fn sbom(data: &[u8]) {
    let (Ok(holder), Ok(place)) =
        ("demo".parse::<DistributionName>(), TreePath::new("demo-1.dist-info/sboms/demo.cdx.json"))
    else {
        return;
    };
    let Ok(parts) = read_embedded(&holder, &place, data) else { return };
    let count = parts.len();
    for part in &parts {
        assert!(!part.name.is_empty(), "a part has a name");
    }
    let merged = merge_embedded(parts.iter().cloned());
    assert!(merged.len() <= count);
    assert_eq!(merge_embedded(merged.iter().cloned()), merged, "joined parts stay as they are");
    assert!(merged.is_sorted(), "sorted");
}
