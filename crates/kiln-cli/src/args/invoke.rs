//! The command line of `kiln invoke`.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Invoke {
    /// The function: ARTIFACT as it is published, or a published file that lies elsewhere with its record
    pub(crate) function: String,
    /// The event: a file with JSON, - for standard input, or the JSON itself
    #[arg(long, short, value_name = "FILE|-|JSON", default_value = "{}")]
    pub(crate) event: String,
    /// A variable that the function gets besides those under [check] of its manifest, or instead of one; may be given more
    /// than once
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
}

/// A name and a value around the first equals sign.
fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is not NAME=VALUE".to_owned()),
    }
}
