//! Byte counts as text.

/// Digits in groups of three: `52,428,800`.
pub(crate) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A size in the binary unit that keeps it short: `832 B`, `12.3 KiB`, `50.0 MiB`.
#[must_use]
pub fn binary(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A change of size with its sign: `+12.3 KiB`, `-832 B`, `0 B`.
#[must_use]
pub fn signed(delta: i64) -> String {
    match delta {
        0 => "0 B".to_owned(),
        d if d > 0 => format!("+{}", binary(d.unsigned_abs())),
        d => format!("-{}", binary(d.unsigned_abs())),
    }
}

/// A change of size to the byte: `+12,595 B`, `-832 B`, `0 B`.
pub(crate) fn exact(delta: i64) -> String {
    let sign = match delta {
        0 => "",
        d if d > 0 => "+",
        _ => "-",
    };
    format!("{sign}{} B", grouped(delta.unsigned_abs()))
}

/// `after - before`, at the ends of the range where it does not fit.
pub(crate) fn delta(before: u64, after: u64) -> i64 {
    let difference = i128::from(after) - i128::from(before);
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_readable() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(52_428_800), "52,428,800");
        assert_eq!(binary(1023), "1023 B");
        assert_eq!(binary(52_428_800), "50.0 MiB");
        assert_eq!(binary(u64::MAX), "16777216.0 TiB");
        assert_eq!(exact(-2048), "-2,048 B");
        assert_eq!(signed(-2048), "-2.0 KiB");
        assert_eq!(delta(u64::MAX, 0), i64::MIN);
    }
}
