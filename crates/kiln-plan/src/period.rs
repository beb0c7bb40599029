//! How often something is looked at, or how old it may be, as people write it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A number of days: `weekly`, `monthly`, `quarterly`, `yearly`, or `30 days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(u32);

/// The words for some of them. A month is as long as the longest one.
const WORDS: [(&str, u32); 4] = [("weekly", 7), ("monthly", 31), ("quarterly", 92), ("yearly", 366)];

impl Period {
    /// How many days it has.
    #[must_use]
    pub fn days(self) -> u64 {
        u64::from(self.0)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (WORDS.iter().find(|(_, days)| *days == self.0), self.0) {
            (Some((word, _)), _) => f.write_str(word),
            (None, 1) => f.write_str("1 day"),
            (None, days) => write!(f, "{days} days"),
        }
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = WORDS.iter().find(|(word, _)| *word == text).map(|(_, days)| *days);
        let number = || {
            let (number, unit) = text.split_once(' ')?;
            let days = number.parse().ok().filter(|days| (1..=3660).contains(days));
            days.filter(|_| matches!(unit, "days" | "day"))
        };
        word.or_else(number).map(Self).ok_or_else(|| {
            format!(
                "`{}` is no period: write weekly, monthly, quarterly, yearly or a number of days up to 3660, such as \"30 days\"",
                text.escape_debug()
            )
        })
    }
}

impl TryFrom<String> for Period {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Period {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A number of days: `weekly`, `monthly`, `quarterly`, `yearly`, or such as `30 days`.",
            "type": "string",
            "pattern": "^(weekly|monthly|quarterly|yearly|[1-9][0-9]{0,3} days?)$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Period;

    #[test]
    fn periods_are_words_and_numbers_of_days() {
        for (text, days, shown) in [
            ("weekly", 7, "weekly"),
            ("monthly", 31, "monthly"),
            ("92 days", 92, "quarterly"),
            ("30 days", 30, "30 days"),
            ("1 day", 1, "1 day"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.days(), period.to_string().as_str()), (days, shown));
        }
        for wrong in ["", "month", "30", "30d", "0 days", "-1 days", "9999 days", "1.5 days", "Monthly"] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
    }
}
