//! The one time that may appear in an output.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Seconds since 1970-01-01 00:00:00 UTC, not before it; written as RFC 3339 in UTC with whole seconds.
///
/// An artifact's epoch is `SOURCE_DATE_EPOCH` if that is set, else the newest pin time among the locks it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

/// Why a text is not an epoch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a UTC time such as 2026-01-31T12:00:00Z between 1970 and 9999")]
pub struct EpochError(pub String);

/// 10000-01-01T00:00:00Z: RFC 3339 has four digits for the year.
const END: u64 = 253_402_300_800;

impl Epoch {
    /// Takes seconds since 1970.
    ///
    /// # Errors
    /// [`EpochError`] from the year 10000 on, which RFC 3339 cannot write.
    pub fn from_seconds(seconds: u64) -> Result<Self, EpochError> {
        if seconds < END { Ok(Self(seconds)) } else { Err(EpochError(seconds.to_string())) }
    }

    /// Seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.0 / 86_400);
        let second = self.0 % 86_400;
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

impl FromStr for Epoch {
    type Err = EpochError;

    fn from_str(text: &str) -> Result<Self, EpochError> {
        let error = || EpochError(text.to_owned());
        let b = text.as_bytes();
        let shape = b.len() == 20
            && (b[4], b[7], b[10], b[13], b[16], b[19]) == (b'-', b'-', b'T', b':', b':', b'Z')
            && text.is_ascii();
        if !shape {
            return Err(error());
        }
        let number = |range: std::ops::Range<usize>| {
            let part = &text[range];
            if part.bytes().all(|c| c.is_ascii_digit()) { part.parse::<u64>().ok() } else { None }
        };
        let fields: Option<Vec<u64>> =
            [0..4, 5..7, 8..10, 11..13, 14..16, 17..19].into_iter().map(number).collect();
        let [year, month, day, hour, minute, second] = fields.ok_or_else(error)?[..] else {
            return Err(error());
        };
        if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return Err(error());
        }
        let epoch = Self(days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second);
        // Reading it back refuses 31 April, 24:00 and leap seconds alike.
        if epoch.to_string() == text { Ok(epoch) } else { Err(error()) }
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Days since 1970-01-01 to year, month, day in the proleptic Gregorian calendar.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // Years are counted from March, so that the leap day comes last; 719,468 days lie between 0000-03-01 and 1970.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The inverse of [`civil_from_days`].
fn days_from_civil(year: u64, month: u64, day: u64) -> u64 {
    let year = year - u64::from(month <= 2);
    let year_of_era = year % 400;
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year / 400 * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_known_times() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (END - 1, "9999-12-31T23:59:59Z"),
        ] {
            let epoch = Epoch::from_seconds(seconds).unwrap();
            assert_eq!(epoch.to_string(), text);
            assert_eq!(text.parse(), Ok(epoch));
        }
    }

    #[test]
    fn refuses_what_is_not_a_utc_time() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01",
            "1969-12-31T23:59:59Z",
            "2026-01-01T00:00:00+01:00",
            "",
        ] {
            assert!(text.parse::<Epoch>().is_err(), "{text}");
        }
    }
}
