//! A place where two files differ, and the words for it.

use serde::Serialize;

/// The longest name that a place has of something inside a file, in characters.
const LONGEST_SHOWN: usize = 60;
/// How many of several names are shown.
const NAMED: usize = 5;
/// Bytes that are shown of a place in a binary file.
const SHOWN_BYTES: usize = 8;

/// Where two files differ first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FirstDifference {
    /// The place: `line 3`, `/metadata/name`, `section .text, byte 16`.
    pub place: String,
    /// What is there before.
    pub before: String,
    /// What is there now.
    pub after: String,
    /// What else the two tell by their format, such as a library that is needed now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// A short text without anything that a terminal would act on. Quotes need no escape here.
pub(crate) fn excerpt(text: &str) -> String {
    kiln_record::excerpt(text).replace("\\'", "'").replace("\\\"", "\"")
}

/// A name of something inside a file.
pub(crate) fn short(name: &str) -> String {
    match name.char_indices().nth(LONGEST_SHOWN) {
        Some((end, _)) => format!("{}…", excerpt(&name[..end])),
        None => excerpt(name),
    }
}

/// The first of some names, and how many there are besides.
pub(crate) fn few(names: &[String]) -> String {
    let listed = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(NAMED) {
        None | Some(0) => listed,
        Some(more) => format!("{listed} and {more} more"),
    }
}

impl FirstDifference {
    /// A difference at a place, without notes.
    pub fn at(place: impl Into<String>, before: impl Into<String>, after: impl Into<String>) -> Self {
        Self { place: place.into(), before: before.into(), after: after.into(), notes: Vec::new() }
    }
}

/// How many bytes two contents begin with alike.
pub(crate) fn common(before: &[u8], after: &[u8]) -> usize {
    before.iter().zip(after).take_while(|(a, b)| a == b).count()
}

/// Bytes: the first that differs, with those that follow.
pub(crate) fn bytes(within: &str, before: &[u8], after: &[u8]) -> Option<FirstDifference> {
    let common = common(before, after);
    if common == before.len() && common == after.len() {
        return None;
    }
    let shown = |bytes: &[u8]| match bytes.get(common..).unwrap_or_default() {
        [] => "its end".to_owned(),
        rest => {
            let hex: Vec<String> = rest.iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect();
            hex.join(" ")
        }
    };
    Some(FirstDifference::at(format!("{within}byte {common}"), shown(before), shown(after)))
}
