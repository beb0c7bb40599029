//! TOML that keeps where everything stands, and the values of its tables.

use super::problem::{InputProblem, ProblemKind};
use super::text::{Lines, too_large};
use toml::Spanned;
use toml::de::DeTable;

/// Reads TOML, keeping where everything stands.
pub(crate) fn parse_toml<'i>(file: &str, text: &'i str) -> Result<Spanned<DeTable<'i>>, Vec<InputProblem>> {
    if let Some(problem) = too_large(file, text.len(), 0) {
        return Err(vec![problem]);
    }
    DeTable::parse(text).map_err(|error| {
        let line = error.span().map(|span| Lines::new(text).of(span.start));
        let message = error.message().lines().next().unwrap_or("it cannot be read").to_owned();
        vec![InputProblem::new(ProblemKind::Invalid, file, line, format!("not valid TOML: {message}"))]
    })
}

pub(crate) fn get_table<'a, 'i>(table: &'a DeTable<'i>, key: &str) -> Option<&'a DeTable<'i>> {
    table.get(key)?.get_ref().as_table()
}

pub(crate) fn get_str<'a>(table: &'a DeTable<'_>, key: &str) -> Option<&'a str> {
    table.get(key)?.get_ref().as_str()
}

/// The strings of an array; a value that is not a string is left out.
pub(crate) fn get_strings<'a>(table: &'a DeTable<'_>, key: &str) -> Vec<&'a str> {
    let array = table.get(key).and_then(|v| v.get_ref().as_array());
    array.map(|items| items.iter().filter_map(|item| item.get_ref().as_str()).collect()).unwrap_or_default()
}
