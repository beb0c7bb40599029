//! Times as people write them.

/// Reads a time in whole seconds: a number with `s` or `min`, from one second to the longest that it may be.
pub(crate) fn parse_seconds(text: &str, longest: u32) -> Option<u32> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: u32 = number.parse().ok()?;
    let seconds = match unit {
        "s" => number,
        "min" => number.checked_mul(60)?,
        _ => return None,
    };
    (1..=longest).contains(&seconds).then_some(seconds)
}
