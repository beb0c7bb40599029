//! What `RUN --mount` gives a program (Dockerfile reference, "RUN --mount").

use super::instruction::{Flag, Instruction};
use crate::problem::Problems;
use std::ops::Range;

/// The keys of a mount, each with the others that mean the same.
const KEYS: [&[&str]; 7] = [
    &["type"],
    &["from"],
    &["source", "src"],
    &["target", "dst", "destination"],
    &["readonly", "ro", "readwrite", "rw"],
    &["size"],
    &["mode"],
];

/// One key of a mount with its value.
pub(super) struct Field {
    /// As it is written.
    pub(super) text: String,
    /// What the mount is taken from, if it says that.
    pub(super) from: Option<String>,
    /// Where that is in the line.
    pub(super) range: Range<usize>,
}

/// What a mount has of the context, if it is of that: all of it where it says no source.
pub(super) fn of_context(fields: &[Field]) -> Option<String> {
    let value = |names: &[&str]| {
        let mut pairs = fields.iter().filter_map(|field| field.text.split_once('='));
        pairs.find(|(key, _)| names.contains(key)).map(|(_, value)| value)
    };
    let is_bind = value(&["type"]).is_none_or(|kind| kind.eq_ignore_ascii_case("bind"));
    let is_of_context = is_bind && fields.iter().all(|field| field.from.is_none());
    is_of_context.then(|| value(&["source", "src"]).unwrap_or_default().to_owned())
}

/// The keys of a mount, each known and there once; none, and a problem, if it is refused.
pub(super) fn fields(
    instruction: &Instruction<'_>,
    flag: &Flag,
    problems: &mut Problems<'_>,
) -> Option<Vec<Field>> {
    let value = flag.value.as_deref().unwrap_or_default();
    let (mut fields, mut seen, mut at) = (Vec::new(), Vec::new(), flag.value_start());
    let span = instruction.line.span(flag.range.clone());
    let mut refuse = |message: String, help: &str| {
        problems.at(span.clone(), message, help);
        None
    };
    let types = value.split(',').filter_map(|field| field.split_once('='));
    for (_, kind) in types.filter(|(key, _)| key.eq_ignore_ascii_case("type")) {
        match kind.to_ascii_lowercase().as_str() {
            "bind" | "tmpfs" => {}
            "cache" => {
                return refuse(
                    "`--mount=type=cache` gives it what an earlier build left there, which no lock knows"
                        .to_owned(),
                    "remove it: what the build needs must be in its context",
                );
            }
            other => {
                return refuse(
                    format!("`--mount=type={other}` gives it something that is in no lock"),
                    "remove it: the build needs no secrets, as nothing is fetched in it",
                );
            }
        }
    }
    for field in value.split(',') {
        let (name, text) = match field.split_once('=') {
            Some((name, text)) => (name, Some(text)),
            None => (field, None),
        };
        // Builders read the keys without regard to case.
        let key = name.to_ascii_lowercase();
        let Some(known) = KEYS.iter().position(|keys| keys.contains(&key.as_str())) else {
            return refuse(
                format!("`--mount={value}` has `{name}`, which is not known here"),
                "write it plainly: --mount=type=bind,from=STAGE,source=PATH,target=PATH",
            );
        };
        if seen.contains(&known) {
            return refuse(
                format!(
                    "`--mount={value}` has `{name}` twice: one builder takes the first, another the last"
                ),
                "remove one of the two",
            );
        }
        seen.push(known);
        let start = at + field.len() - text.map_or(0, str::len);
        let range = start..at + field.len();
        at += field.len() + 1;
        let text = text.map(str::to_owned);
        let written = text.as_ref().map_or_else(|| key.clone(), |text| format!("{key}={text}"));
        let from = text.filter(|_| key == "from");
        fields.push(Field { text: written, from, range });
    }
    Some(fields)
}
