//! Transformations: what packing left out or changed, by which rule, and what that saved.

use crate::{ComponentId, Digest, TreePath};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// One rule that the manifest asked for, with everything that it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Transformation {
    /// The rule by its stable name, such as `drop-tests` or `strip-debug`.
    pub rule: String,
    /// The version of the rule: equal versions do the same to equal files.
    pub version: u32,
    /// How many files it left out, changed or made.
    pub files: u64,
    /// Bytes of those files before.
    pub bytes_before: u64,
    /// Bytes of those files after; 0 for what was left out.
    pub bytes_after: u64,
    /// The same for each component that owns such a file.
    pub components: BTreeMap<ComponentId, TransformedComponent>,
    /// Files of the artifact that are this rule's work, with the digest of the content that it changed; none where it made
    /// the file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<TreePath, Option<Digest>>,
    /// What the rule applied to and left as it was, with the reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub left: BTreeMap<TreePath, String>,
    /// What a rule of the source folders left out, by its path in the workspace, with a `/` at the end of a folder's. They are
    /// what `files` counts; what is in such a folder was not looked at.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub not_taken: BTreeSet<String>,
}

/// A rule's effect on the files of one component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TransformedComponent {
    /// How many files.
    pub files: u64,
    /// Their bytes before.
    pub bytes_before: u64,
    /// Their bytes after.
    pub bytes_after: u64,
}

impl Transformation {
    /// A rule that did nothing yet.
    #[must_use]
    pub fn new(rule: &str, version: u32) -> Self {
        Self {
            rule: rule.to_owned(),
            version,
            files: 0,
            bytes_before: 0,
            bytes_after: 0,
            components: BTreeMap::new(),
            changed: BTreeMap::new(),
            left: BTreeMap::new(),
            not_taken: BTreeSet::new(),
        }
    }

    /// Counts one file.
    pub fn count(&mut self, owner: &ComponentId, before: u64, after: u64) {
        let component = self.components.entry(owner.clone()).or_default();
        for (files, b, a) in [
            (&mut self.files, &mut self.bytes_before, &mut self.bytes_after),
            (&mut component.files, &mut component.bytes_before, &mut component.bytes_after),
        ] {
            *files += 1;
            *b += before;
            *a += after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ecosystem;

    #[test]
    fn files_are_counted_in_total_and_for_their_owner() {
        let mut rule = Transformation::new("drop-tests", 1);
        let [a, b] = ["a", "b"].map(|name| ComponentId::new(Ecosystem::Python, name));
        rule.count(&a, 10, 0);
        rule.count(&a, 5, 0);
        rule.count(&b, 7, 3);
        assert_eq!((rule.files, rule.bytes_before, rule.bytes_after), (3, 22, 3));
        assert_eq!(rule.components[&a], TransformedComponent { files: 2, bytes_before: 15, bytes_after: 0 });
        let text = serde_json::to_string(&rule).unwrap();
        assert!(!text.contains("changed"), "{text}");
        assert_eq!(serde_json::from_str::<Transformation>(&text).unwrap(), rule);
    }
}
