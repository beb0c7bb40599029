//! What may differ between two forms of one file without saying anything about it: each rule has a name, and each file that
//! it was needed for is told.

use serde_json::Value;

/// A rule that brings a file into a form in which what it names does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rule {
    /// The source's time, size or hash in the head of compiled Python (PEP 552): bytes 4 to 15.
    BytecodeHead,
    /// The order of the lines of a RECORD, and the hash and size of bytecode in it.
    RecordLines,
    /// The serial number and the time of a bill of materials.
    SbomIdentity,
}

impl Rule {
    const ALL: [Self; 3] = [Self::BytecodeHead, Self::RecordLines, Self::SbomIdentity];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::BytecodeHead => "bytecode-head",
            Self::RecordLines => "record-lines",
            Self::SbomIdentity => "sbom-identity",
        }
    }

    /// Whether the rule is for files of this name.
    fn is_for(self, path: &str) -> bool {
        match self {
            Self::BytecodeHead => path.ends_with(".pyc"),
            Self::RecordLines => path.ends_with(".dist-info/RECORD"),
            Self::SbomIdentity => {
                [".cdx.json", ".spdx.json", "bom.json"].iter().any(|ending| path.ends_with(ending))
            }
        }
    }

    fn apply(self, content: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::BytecodeHead => {
                let mut content = content.to_vec();
                content.get_mut(4..16)?.fill(0);
                Some(content)
            }
            Self::RecordLines => {
                let text = std::str::from_utf8(content).ok()?;
                let mut lines: Vec<String> = text.lines().map(without_bytecode_hash).collect();
                lines.sort();
                Some(lines.join("\n").into_bytes())
            }
            Self::SbomIdentity => {
                let mut document: Value = serde_json::from_slice(content).ok()?;
                let object = document.as_object_mut()?;
                object.remove("serialNumber");
                object.remove("documentNamespace");
                for (holder, time) in [("metadata", "timestamp"), ("creationInfo", "created")] {
                    if let Some(holder) = object.get_mut(holder).and_then(Value::as_object_mut) {
                        holder.remove(time);
                    }
                }
                serde_json::to_vec(&document).ok()
            }
        }
    }
}

/// A line of a RECORD; that of a compiled file without what its head decides.
fn without_bytecode_hash(line: &str) -> String {
    match line.rsplitn(3, ',').last() {
        Some(path) if path.trim_matches('"').ends_with(".pyc") => path.to_owned(),
        _ => line.to_owned(),
    }
}

/// The rule under which two contents of one path are the same, if there is one.
pub(crate) fn same_under(path: &str, a: &[u8], b: &[u8]) -> Option<Rule> {
    Rule::ALL.into_iter().filter(|rule| rule.is_for(path)).find(|rule| {
        let (a, b) = (rule.apply(a), rule.apply(b));
        a.is_some() && a == b
    })
}

#[cfg(test)]
mod tests {
    use super::{Rule, same_under};

    #[test]
    fn each_rule_hides_what_it_names_and_nothing_else() {
        let compiled =
            |time: u8, code: u8| [&[1, 2, 3, 4, 0, 0, 0, 0, time, 0, 0, 0, 9, 9, 9, 9][..], &[code]].concat();
        assert_eq!(same_under("a/b.pyc", &compiled(1, 7), &compiled(2, 7)), Some(Rule::BytecodeHead));
        assert_eq!(same_under("a/b.pyc", &compiled(1, 7), &compiled(1, 8)), None);
        assert_eq!(same_under("a/b.bin", &compiled(1, 7), &compiled(2, 7)), None);
        let (a, b) = (&b"b,sha256=1,2\na.pyc,sha256=2,3\n"[..], &b"a.pyc,sha256=9,9\nb,sha256=1,2\n"[..]);
        assert_eq!(same_under("x.dist-info/RECORD", a, b), Some(Rule::RecordLines));
        assert_eq!(same_under("x.dist-info/RECORD", b"b,sha256=1,2\n", b"b,sha256=3,2\n"), None);
        let bill = |serial: &str, name: &str| {
            format!(r#"{{"serialNumber":"{serial}","metadata":{{"timestamp":"{serial}"}},"name":"{name}"}}"#)
        };
        let same = |a: &str, b: &str| same_under("x.cdx.json", a.as_bytes(), b.as_bytes());
        assert_eq!(same(&bill("1", "n"), &bill("2", "n")), Some(Rule::SbomIdentity));
        assert_eq!(same(&bill("1", "n"), &bill("1", "m")), None);
    }
}
