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

#[cfg(test)]
mod tests {
    use super::parse_seconds;

    #[test]
    fn times_are_read_up_to_the_longest() {
        assert_eq!(parse_seconds("10 s", 60), Some(10));
        assert_eq!(parse_seconds(" 2 min ", 120), Some(120));
        for bad in ["", "10", "10s", "0 s", "61 s", "2 min", "1.5 s", "-1 s", "1 h", "99999999999 min"] {
            assert_eq!(parse_seconds(bad, 60), None, "{bad}");
        }
    }
}
