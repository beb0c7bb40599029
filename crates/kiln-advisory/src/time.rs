//! Times as documents of others write them.

use kiln_record::Epoch;

/// A time of RFC 3339, with or without a fraction, in whichever zone; none for any other text.
pub(crate) fn time(text: &str) -> Option<Epoch> {
    let head = text.get(..19).filter(|_| text.len() <= 64 && text.is_ascii())?;
    let local: Epoch = format!("{}Z", head.replace(['t', ' '], "T")).parse().ok()?;
    let mut rest = &text[19..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        rest = fraction.get(digits..).filter(|_| digits > 0)?;
    }
    if matches!(rest, "Z" | "z") {
        return Some(local);
    }
    let (sign, zone) = (rest.get(..1)?, rest.get(1..)?);
    let (hours, minutes) = zone.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2)?;
    let ahead = hours.parse::<u64>().ok()? * 3600 + minutes.parse::<u64>().ok()? * 60;
    let seconds = match sign {
        "-" => local.seconds().checked_add(ahead)?,
        "+" => local.seconds().checked_sub(ahead)?,
        _ => return None,
    };
    Epoch::from_seconds(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_of_others_are_read() {
        for (text, expected) in [
            ("2024-05-01T12:34:56Z", Some("2024-05-01T12:34:56Z")),
            ("2024-05-01T12:34:56.123456789Z", Some("2024-05-01T12:34:56Z")),
            ("2023-01-08T18:02:03.647787998-06:00", Some("2023-01-09T00:02:03Z")),
            ("2023-01-08T18:02:03+01:30", Some("2023-01-08T16:32:03Z")),
            ("2023-01-08", None),
            ("2023-01-08T18:02:03", None),
            ("2023-01-08T18:02:03.Z", None),
            ("2023-01-08T18:02:03+1", None),
            ("é023-01-08T18:02:03Z", None),
        ] {
            assert_eq!(time(text).map(|at| at.to_string()).as_deref(), expected, "{text}");
        }
    }
}
