//! How severe an advisory says that it is.

use cvss::Cvss;
use serde::Serialize;
use std::str::FromStr as _;

/// The qualitative severity of CVSS, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// None at all, by its own score.
    None,
    /// Below 4.
    Low,
    /// Below 7.
    Medium,
    /// Below 9.
    High,
    /// 9 and more.
    Critical,
}

impl Severity {
    /// The name in output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// As a database writes it in words.
    fn of_word(word: &str) -> Option<Self> {
        match word.to_ascii_lowercase().as_str() {
            "low" | "minor" => Some(Self::Low),
            "medium" | "moderate" => Some(Self::Medium),
            "high" | "important" => Some(Self::High),
            "critical" => Some(Self::Critical),
            _ => None,
        }
    }
}

/// One rating of an advisory, as its document has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rating {
    /// What kind of rating: `CVSS_V3`, or `database` for a word of whose database it is.
    pub method: String,
    /// A vector, or a word.
    pub value: String,
}

impl Rating {
    /// What it comes to, and the score in tenths where it is a vector that can be read.
    #[must_use]
    pub fn judged(&self) -> Option<(Severity, Option<u32>)> {
        if !self.method.starts_with("CVSS") {
            return Severity::of_word(&self.value).map(|severity| (severity, None));
        }
        let vector = Cvss::from_str(&self.value).ok()?;
        // A vector that lacks a metric would come to a score of 0.
        let stated: Vec<&str> =
            self.value.split('/').filter_map(|part| Some(part.split_once(':')?.0)).collect();
        if !mandatory(&vector).iter().all(|metric| stated.contains(metric)) {
            return None;
        }
        let severity = match vector.severity() {
            cvss::Severity::None => Severity::None,
            cvss::Severity::Low => Severity::Low,
            cvss::Severity::Medium => Severity::Medium,
            cvss::Severity::High => Severity::High,
            cvss::Severity::Critical => Severity::Critical,
        };
        // One digit behind the point is all that a score has.
        let tenths = format!("{:.1}", vector.score()).replace('.', "").parse().ok();
        Some((severity, tenths))
    }
}

/// The metrics that a vector must have (the base metrics of each specification).
fn mandatory(vector: &Cvss) -> &'static [&'static str] {
    match vector {
        Cvss::CvssV20(_) => &["AV", "AC", "Au", "C", "I", "A"],
        Cvss::CvssV30(_) | Cvss::CvssV31(_) => &["AV", "AC", "PR", "UI", "S", "C", "I", "A"],
        _ => &["AV", "AC", "AT", "PR", "UI", "VC", "VI", "VA", "SC", "SI", "SA"],
    }
}

#[cfg(test)]
mod tests {
    use super::{Rating, Severity};

    #[test]
    fn vectors_are_scored_and_words_are_words() {
        let judged = |method: &str, value: &str| {
            Rating { method: method.to_owned(), value: value.to_owned() }.judged()
        };
        let v3 = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H";
        assert_eq!(judged("CVSS_V3", v3), Some((Severity::Critical, Some(98))));
        let v4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N";
        assert_eq!(judged("CVSS_V4", v4), Some((Severity::Critical, Some(93))));
        assert_eq!(judged("CVSS_V2", "AV:N/AC:L/Au:N/C:P/I:P/A:P"), Some((Severity::High, Some(75))));
        assert_eq!(judged("database", "MODERATE"), Some((Severity::Medium, None)));
        assert_eq!(judged("CVSS_V3", "CVSS:3.1/AV:N"), None);
        assert_eq!(judged("CVSS_V9", ""), None);
        assert_eq!(judged("database", "odd"), None);
    }
}
