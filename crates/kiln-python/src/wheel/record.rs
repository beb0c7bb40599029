//! RECORD: the list of a distribution's files with their hashes (PEP 376, PEP 427, "Recording installed
//! projects").

use crate::error::PythonError;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kiln_record::{Digest, TreePath, excerpt};
use sha2::{Sha384, Sha512};
use std::collections::BTreeMap;

/// A hash as RECORD states it. MD5 and SHA-1 are forbidden by the specification, so they are not represented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RecordHash {
    /// What every wheel builder writes.
    Sha256(Digest),
    /// Allowed ("sha256 or better"); checked by reading the content.
    Sha384(Vec<u8>),
    /// Allowed, as SHA-384 is.
    Sha512(Vec<u8>),
}

impl RecordHash {
    /// Whether content of another algorithm than SHA-256 has this hash; `None` for SHA-256, whose digest is
    /// known without the content.
    pub(crate) fn matches(&self, content: &[u8]) -> Option<bool> {
        use sha2::Digest as _;
        match self {
            Self::Sha256(_) => None,
            Self::Sha384(expected) => Some(Sha384::digest(content)[..] == expected[..]),
            Self::Sha512(expected) => Some(Sha512::digest(content)[..] == expected[..]),
        }
    }
}

/// One line of RECORD.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordRow {
    /// The hash; absent for RECORD itself and its signatures.
    pub(crate) hash: Option<RecordHash>,
    /// The length in bytes, if stated.
    pub(crate) size: Option<u64>,
}

/// Reads the RECORD of a wheel. Lines that name a folder (a final `/`) carry no file and are passed over.
///
/// # Errors
/// [`PythonError::RecordMismatch`] for text that is not CSV with a path, a hash and a size, for a path that
/// leaves the tree, and for a path that is listed twice with different hashes.
pub(crate) fn parse_record(file_name: &str, text: &str) -> Result<BTreeMap<String, RecordRow>, PythonError> {
    let mut rows = BTreeMap::new();
    for (line, fields) in csv_rows(text) {
        let mismatch = |reason: String| PythonError::RecordMismatch {
            file_name: file_name.to_owned(),
            path: format!("RECORD line {line}"),
            reason,
        };
        let mut fields = fields.map_err(|reason| mismatch(reason.to_owned()))?.into_iter();
        let path = fields.next().unwrap_or_default();
        let (hash, size) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        if (path.is_empty() && hash.is_empty()) || path.ends_with('/') {
            continue;
        }
        let path = path.strip_prefix("./").unwrap_or(&path);
        let path = TreePath::new(path).map_err(|e| mismatch(format!("names a path that is refused: {e}")))?;
        let hash = if hash.is_empty() { None } else { Some(parse_hash(&hash).map_err(mismatch)?) };
        let size = if size.is_empty() {
            None
        } else {
            Some(size.parse().map_err(|_| mismatch(format!("has `{}` as size", excerpt(&size))))?)
        };
        let row = RecordRow { hash, size };
        if rows.get(path.as_str()).is_some_and(|there| *there != row) {
            return Err(mismatch(format!("lists `{path}` again with another hash or size")));
        }
        rows.insert(path.as_str().to_owned(), row);
    }
    Ok(rows)
}

/// Writes a RECORD: rows in path order, line feeds, its own row last in meaning but sorted like the others,
/// without a hash.
#[must_use]
pub fn render_record<'a>(
    files: impl Iterator<Item = (&'a TreePath, Digest, u64)>,
    record: &TreePath,
) -> String {
    let mut rows: BTreeMap<&str, String> = files
        .map(|(path, digest, size)| {
            let hash = URL_SAFE_NO_PAD.encode(digest.as_bytes());
            (path.as_str(), format!("{},sha256={hash},{size}\n", csv_field(path.as_str())))
        })
        .collect();
    rows.insert(record.as_str(), format!("{},,\n", csv_field(record.as_str())));
    rows.into_values().collect()
}

fn parse_hash(text: &str) -> Result<RecordHash, String> {
    let shown = excerpt(text);
    let (algorithm, value) =
        text.split_once('=').ok_or_else(|| format!("has `{shown}` where a hash belongs"))?;
    let bytes = URL_SAFE_NO_PAD
        .decode(value.trim_end_matches('='))
        .map_err(|_| format!("has a hash that is not urlsafe base64: `{shown}`"))?;
    let length = bytes.len();
    match algorithm {
        "sha256" => <[u8; 32]>::try_from(bytes).map(|b| RecordHash::Sha256(Digest::from_bytes(b))).ok(),
        "sha384" => (length == 48).then_some(RecordHash::Sha384(bytes)),
        "sha512" => (length == 64).then_some(RecordHash::Sha512(bytes)),
        _ => {
            return Err(format!(
                "has a hash by `{}`: the specification allows sha256, sha384 and sha512",
                excerpt(algorithm)
            ));
        }
    }
    .ok_or_else(|| format!("has a {algorithm} hash of {length} bytes"))
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

type CsvRow = Result<Vec<String>, &'static str>;

/// Splits text as Python's `csv` module does by default: `,` between fields, `"` around them, doubled inside.
fn csv_rows(text: &str) -> impl Iterator<Item = (usize, CsvRow)> {
    // Fields with line breaks are legal CSV but no legal path, so a line is a row.
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| (i + 1, csv_row(line)))
}

fn csv_row(line: &str) -> CsvRow {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let mut field = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            loop {
                let end = quoted.find('"').ok_or("has a quoted field without an end")?;
                field.push_str(&quoted[..end]);
                quoted = &quoted[end + 1..];
                match quoted.strip_prefix('"') {
                    Some(after) => {
                        field.push('"');
                        quoted = after;
                    }
                    None => break,
                }
            }
            rest = quoted;
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(fields),
            None => return Err("has text after a quoted field"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

    fn rows(text: &str) -> Result<BTreeMap<String, RecordRow>, String> {
        parse_record("a-1-py3-none-any.whl", text).map_err(|e| e.to_string())
    }

    #[test]
    fn quoting_and_line_ends_are_those_of_pythons_csv() {
        let rows =
            rows(&format!("\"a,\"\"b.py\",{EMPTY},0\r\n./c.py,{EMPTY},\nd/,,\n\na/RECORD,,\n")).unwrap();
        let hash = Some(RecordHash::Sha256(Digest::of(b"")));
        assert_eq!(rows["a,\"b.py"], RecordRow { hash: hash.clone(), size: Some(0) });
        assert_eq!(rows["c.py"], RecordRow { hash, size: None });
        assert_eq!(rows["a/RECORD"], RecordRow { hash: None, size: None });
        assert_eq!(rows.len(), 3);
    }

    #[test]
    fn bad_lines_are_named() {
        for (text, expected) in [
            ("../a,,", "line 1` names a path that is refused"),
            ("a\n\"b,,", "line 2` has a quoted field without an end"),
            ("\"a\"b,,", "has text after a quoted field"),
            ("a,md5=abc,1", "`md5`"),
            ("a,sha256=abcd,1", "hash of 3 bytes"),
            ("a,sha256=?,1", "not urlsafe base64"),
            ("a,abc,1", "where a hash belongs"),
            ("a,,-1", "`-1` as size"),
            (&format!("a,{EMPTY},0\na,{EMPTY},1"), "again"),
        ] {
            let error = rows(text).unwrap_err();
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn longer_hashes_are_checked_on_the_content() {
        use sha2::Digest as _;
        let text = format!("a,sha512={},0", URL_SAFE_NO_PAD.encode(Sha512::digest(b"x")));
        let rows = rows(&text).unwrap();
        let hash = rows["a"].hash.clone().unwrap();
        assert_eq!((hash.matches(b"x"), hash.matches(b"y")), (Some(true), Some(false)));
    }

    #[test]
    fn what_is_written_reads_back() {
        let (file, record) = (TreePath::new("a,b.py").unwrap(), TreePath::new("a/RECORD").unwrap());
        let text = render_record([(&file, Digest::of(b""), 0)].into_iter(), &record);
        assert_eq!(text, format!("\"a,b.py\",{EMPTY},0\na/RECORD,,\n"));
        assert_eq!(rows(&text).unwrap().len(), 2);
    }
}
