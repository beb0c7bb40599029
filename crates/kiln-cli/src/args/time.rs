//! Times on the command line.

use std::time::Duration;

/// A number of days or hours, such as `30d`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is not a time such as 30d or 12h");
    let hours = match text.chars().last() {
        Some('d') => 24,
        Some('h') => 1,
        _ => return Err(error()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| error())?;
    Ok(Duration::from_secs(u64::from(number) * hours * 3600))
}
