//! Sizes as people write them.

/// Reads a size in bytes: a number with `B`, `kB`, `MB`, `GB` (powers of 1000) or `KiB`, `MiB`, `GiB` (powers
/// of 1024).
///
/// # Errors
/// A message that says which forms are understood.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let error =
        || format!("`{text}` is not a size: write a number and a unit, such as 500 kB, 6 MB or 5 MiB");
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit.trim() {
        "B" => 1,
        "kB" | "KB" => 1000,
        "MB" => 1000 * 1000,
        "GB" => 1000 * 1000 * 1000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(error()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().map_err(|_| error())?;
    // Up to nine decimals, in integers: a float would round differently from what was written.
    if fraction.len() > 9 {
        return Err(error());
    }
    let scale = 10u64.pow(u32::try_from(fraction.len()).map_err(|_| error())?);
    let fraction: u64 = fraction.parse().map_err(|_| error())?;
    let bytes = whole.checked_mul(unit).ok_or_else(error)?;
    let part = u128::from(fraction) * u128::from(unit) / u128::from(scale);
    bytes.checked_add(u64::try_from(part).map_err(|_| error())?).ok_or_else(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("6 MB"), Ok(6_000_000));
        assert_eq!(parse_size("1.5MiB"), Ok(1_572_864));
        assert_eq!(parse_size("0.1 kB"), Ok(100));
        for bad in ["", "6", "6 mb", "-1 MB", "1.2.3 MB", "MB", "99999999999999999999 B", "1e3 B"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
