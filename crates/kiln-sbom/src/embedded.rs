//! Bills of materials that a wheel carries inside (PEP 770): what its publisher says is linked into it or bundled.
//!
//! They come from many tools, in many versions and qualities, and they overlap. So what is taken from them (names, versions,
//! package URLs, hashes, licences, authors, scopes, and which part needs which) is bounded and joined, and stays marked as
//! its publisher's word.

use crate::text;
use kiln_record::{
    Digest, DistributionName, Embedded, EmbeddedScope, TreePath, is_sha512, license_expression,
};
use packageurl::PackageUrl;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// The largest bill that is read, in bytes; the largest seen has 200 kB.
pub const EMBEDDED_LIMIT: u64 = 16 << 20;
/// The most parts taken from one bill, and the deepest nesting followed.
const MOST: usize = 20_000;
const DEEPEST: usize = 16;
/// The longest name, version or URL in bytes; what is longer is no name.
const LONGEST: usize = 1024;
/// The most edges taken from one bill.
const MOST_EDGES: usize = 200_000;
/// The most licences, and authors, taken of one part.
const MOST_LICENSES: usize = 16;

/// Why a bill of materials inside a wheel is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddedError {
    /// It is larger than [`EMBEDDED_LIMIT`].
    #[error("it has {0} bytes, more than a bill of materials needs")]
    TooLarge(u64),
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(String),
    /// It is not a CycloneDX document, such as SPDX.
    #[error("it is not a CycloneDX document")]
    NotCycloneDx,
    /// It lists more parts than are believed.
    #[error("it lists more than {MOST} parts")]
    TooMany,
}

/// Reads the parts that a CycloneDX document (JSON, any version) inside the distribution `holder` lists, in its order.
///
/// The document's own subject and entries that repeat the holder itself are left out, and so are entries without a name.
/// A package URL that is none, and a hash that is no SHA-256, are left out of the part.
///
/// # Errors
/// [`EmbeddedError`] if the document is not one, or is out of bounds.
pub fn read_embedded(
    holder: &DistributionName,
    stated_in: &TreePath,
    document: &[u8],
) -> Result<Vec<Embedded>, EmbeddedError> {
    if document.len() as u64 > EMBEDDED_LIMIT {
        return Err(EmbeddedError::TooLarge(document.len() as u64));
    }
    let json: Value =
        serde_json::from_slice(document).map_err(|error| EmbeddedError::NotJson(error.to_string()))?;
    if json.get("bomFormat").and_then(Value::as_str) != Some("CycloneDX") {
        return Err(EmbeddedError::NotCycloneDx);
    }
    let mut bill = Bill { holder, stated_in, parts: Vec::new(), by_reference: BTreeMap::new() };
    bill.walk(&json, 0)?;
    bill.link(&json);
    Ok(bill.parts)
}

/// Joins the parts of several bills: of those with one identity (package URL, else name and version) the first stays, and
/// takes from another what it does not say itself. Sorted.
#[must_use]
pub fn merge_embedded(parts: impl IntoIterator<Item = Embedded>) -> Vec<Embedded> {
    let mut merged: BTreeMap<String, Embedded> = BTreeMap::new();
    for part in parts {
        let key = part.identity();
        match merged.get_mut(&key) {
            Some(there) => {
                there.sha256 = there.sha256.or(part.sha256);
                there.sha512 = there.sha512.take().or(part.sha512);
                there.license = there.license.take().or(part.license);
                there.author = there.author.take().or(part.author);
                there.scope = there.scope.or(part.scope);
                there.requires.extend(part.requires);
                there.archive = there.archive.take().or(part.archive);
            }
            None => {
                merged.insert(key, part);
            }
        }
    }
    let mut merged: Vec<Embedded> = merged.into_values().collect();
    merged.sort();
    merged
}

/// A document while it is read.
struct Bill<'a> {
    holder: &'a DistributionName,
    stated_in: &'a TreePath,
    parts: Vec<Embedded>,
    /// The place of a part by the document's own reference to it (`bom-ref`).
    by_reference: BTreeMap<String, usize>,
}

impl Bill<'_> {
    fn walk(&mut self, json: &Value, depth: usize) -> Result<(), EmbeddedError> {
        let Some(components) = json.get("components").and_then(Value::as_array) else { return Ok(()) };
        for component in components {
            if let Some(part) = part(component, self.stated_in).filter(|part| !is_holder(part, self.holder)) {
                if let Some(reference) = component.get("bom-ref").and_then(Value::as_str) {
                    self.by_reference.insert(reference.to_owned(), self.parts.len());
                }
                self.parts.push(part);
            }
            if self.parts.len() > MOST {
                return Err(EmbeddedError::TooMany);
            }
            if depth < DEEPEST {
                self.walk(component, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Takes over which part needs which. What the document's subject or the wheel needs is not said of a part.
    fn link(&mut self, json: &Value) {
        let dependencies = json.get("dependencies").and_then(Value::as_array);
        let mut edges = 0;
        for dependency in dependencies.into_iter().flatten() {
            let reference = dependency.get("ref").and_then(Value::as_str);
            let Some(from) = reference.and_then(|r| self.by_reference.get(r)).copied() else { continue };
            let needed = dependency.get("dependsOn").and_then(Value::as_array);
            let needed: BTreeSet<String> = needed
                .into_iter()
                .flatten()
                .take(MOST)
                .filter_map(|to| self.by_reference.get(to.as_str()?))
                .filter(|to| **to != from)
                .map(|to| self.parts[*to].identity())
                .collect();
            edges += needed.len();
            if edges > MOST_EDGES {
                return;
            }
            self.parts[from].requires.extend(needed);
        }
    }
}

fn part(component: &Value, stated_in: &TreePath) -> Option<Embedded> {
    let name = words(component.get("name"))?;
    let name = match words(component.get("group")) {
        Some(group) => format!("{group}/{name}"),
        None => name,
    };
    let hash = |algorithm: &str| {
        let hashes = component.get("hashes").and_then(Value::as_array).into_iter().flatten();
        let mut found = hashes.filter(|hash| hash.get("alg").and_then(Value::as_str) == Some(algorithm));
        found.find_map(|hash| Some(hash.get("content")?.as_str()?.to_ascii_lowercase()))
    };
    let sha256 = hash("SHA-256").and_then(|hex| Digest::from_hex(&hex).ok());
    let sha512 = hash("SHA-512").filter(|hex| is_sha512(hex));
    Some(Embedded {
        version: words(component.get("version")),
        purl: words(component.get("purl")).filter(|purl| PackageUrl::from_str(purl).is_ok()),
        sha256,
        sha512,
        license: license(component),
        author: author(component),
        scope: component.get("scope").and_then(Value::as_str).and_then(|scope| match scope {
            "required" => Some(EmbeddedScope::Required),
            "optional" => Some(EmbeddedScope::Optional),
            "excluded" => Some(EmbeddedScope::Excluded),
            _ => None,
        }),
        ..Embedded::named(name, stated_in.clone())
    })
}

/// A text of the document on one line, if it is one and no longer than names are.
fn words(value: Option<&Value>) -> Option<String> {
    let text = text::line(value?.as_str()?);
    (!text.is_empty() && text.len() <= LONGEST).then_some(text)
}

/// The licence: an expression where all that is stated makes one, else the names in the document's words.
fn license(component: &Value) -> Option<String> {
    let mut all = Vec::new();
    for choice in component.get("licenses").and_then(Value::as_array)?.iter().take(MOST_LICENSES) {
        let license = choice.get("license");
        let stated = [
            choice.get("expression"),
            license.and_then(|l| l.get("id")),
            license.and_then(|l| l.get("name")),
        ];
        all.extend(stated.into_iter().find_map(words));
    }
    let expressions: Option<Vec<String>> = all.iter().map(|one| license_expression(one)).collect();
    let joined = match expressions {
        Some(mut one) if one.len() == 1 => one.pop()?,
        Some(several) if !several.is_empty() => several
            .iter()
            .map(|one| if one.contains(' ') { format!("({one})") } else { one.clone() })
            .collect::<Vec<_>>()
            .join(" AND "),
        _ => all.join(", "),
    };
    (!joined.is_empty()).then_some(joined)
}

/// Who made a part: its authors in the form of either version, else its supplier or publisher.
fn author(component: &Value) -> Option<String> {
    let authors = component.get("authors").and_then(Value::as_array);
    let names: Vec<String> =
        authors.into_iter().flatten().take(MOST_LICENSES).filter_map(|one| words(one.get("name"))).collect();
    if !names.is_empty() {
        return Some(names.join(", "));
    }
    let named = |field: &str| words(component.get(field)?.get("name"));
    words(component.get("author"))
        .or_else(|| named("manufacturer"))
        .or_else(|| named("supplier"))
        .or_else(|| words(component.get("publisher")))
}

/// Whether a part is the wheel that carries the bill: tools list their subject among its own parts.
fn is_holder(part: &Embedded, holder: &DistributionName) -> bool {
    let named = match part.purl.as_deref().map(PackageUrl::from_str) {
        Some(Ok(purl)) if purl.ty() == "pypi" => purl.name().to_owned(),
        _ => return false,
    };
    named.parse::<DistributionName>().is_ok_and(|name| name == *holder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(document: &Value) -> Result<Vec<Embedded>, EmbeddedError> {
        let path = TreePath::new("demo-1.dist-info/sboms/x.cdx.json").unwrap();
        read_embedded(&"demo".parse().unwrap(), &path, document.to_string().as_bytes())
    }

    #[test]
    fn parts_are_read_at_every_depth_and_the_wheel_itself_is_not_one() {
        let hex = "AB".repeat(32);
        let parts = read(&json!({
            "bomFormat": "CycloneDX", "specVersion": "1.4",
            "metadata": { "component": { "name": "demo", "purl": "pkg:pypi/demo@1" } },
            "components": [
                { "name": "Demo", "purl": "pkg:pypi/Demo@1", "components": [
                    { "name": "libxau", "version": "1.0.9", "purl": "pkg:rpm/almalinux/libXau@1.0.9",
                      "hashes": [{ "alg": "MD5", "content": "00" }, { "alg": "SHA-256", "content": hex }] },
                ] },
                { "group": "org.x", "name": "core\n2", "purl": "not a purl" },
                { "version": "1" },
            ],
        }))
        .unwrap();
        let told: Vec<(&str, Option<&str>, bool)> =
            parts.iter().map(|p| (p.name.as_str(), p.purl.as_deref(), p.sha256.is_some())).collect();
        assert_eq!(
            told,
            [("libxau", Some("pkg:rpm/almalinux/libXau@1.0.9"), true), ("org.x/core 2", None, false)]
        );
    }

    #[test]
    fn what_is_no_bill_is_refused_with_the_reason() {
        assert_eq!(read(&json!({ "spdxVersion": "SPDX-2.3" })), Err(EmbeddedError::NotCycloneDx));
        let path = TreePath::new("a").unwrap();
        let holder = "demo".parse().unwrap();
        assert!(matches!(read_embedded(&holder, &path, b"<bom/>"), Err(EmbeddedError::NotJson(_))));
        // Deeper than the JSON reader goes: refused, not followed.
        let deep = "[".repeat(100_000);
        assert!(matches!(read_embedded(&holder, &path, deep.as_bytes()), Err(EmbeddedError::NotJson(_))));
        let many: Vec<Value> = (0..=MOST).map(|i| json!({ "name": i.to_string() })).collect();
        assert_eq!(
            read(&json!({ "bomFormat": "CycloneDX", "components": many })),
            Err(EmbeddedError::TooMany)
        );
    }

    #[test]
    fn bills_that_overlap_are_joined_in_one_order() {
        let part = |name: &str, version: &str, purl: Option<&str>, file: &str| Embedded {
            version: Some(version.to_owned()),
            purl: purl.map(str::to_owned),
            sha256: (file == "b").then(|| Digest::of(b"x")),
            ..Embedded::named(name.to_owned(), TreePath::new(file).unwrap())
        };
        let both = [
            part("openssl", "4.0.3", Some("pkg:generic/openssl@4.0.3"), "a"),
            part("OpenSSL", "4.0.3", Some("pkg:generic/openssl@4.0.3"), "b"),
            part("openssl", "4.0.3", None, "b"),
            part("aes", "1", None, "b"),
        ];
        let merged = merge_embedded(both);
        let names: Vec<&str> = merged.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["aes", "openssl", "openssl"]);
        assert!(merged.iter().any(|p| p.stated_in.as_str() == "a" && p.sha256.is_some()));
    }
}
