//! Lists in messages.

use std::fmt::Display;

/// The first few of a list, one a line.
#[must_use]
pub fn listed(items: &[impl Display]) -> String {
    const MOST: usize = 8;
    if items.is_empty() {
        return "\n    nothing of this version".to_owned();
    }
    let mut text = indented(&items[..items.len().min(MOST)]);
    if let Some(others @ 1..) = items.len().checked_sub(MOST) {
        text.push_str(&format!("\n    and {others} more"));
    }
    text
}

/// Lines below a message.
#[must_use]
pub fn indented(lines: &[impl Display]) -> String {
    lines.iter().map(|line| format!("\n    {line}")).collect()
}

/// The end of the log of what failed.
#[must_use]
pub fn end_of_log(lines: &[String]) -> String {
    let log = if lines.is_empty() { "" } else { "; the end of its log:" };
    format!("{log}{}", indented(lines))
}
