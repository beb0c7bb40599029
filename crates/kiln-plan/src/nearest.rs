//! What somebody meant who wrote a name that is none.

/// What a name was probably meant to be: the most similar one, if it is as similar as a slip of the finger makes it.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const SIMILAR: f64 = 0.8;
    let similar = |other: &str| strsim::jaro_winkler(&name.to_lowercase(), &other.to_lowercase());
    let known = known.into_iter().filter(|other| !is_another_number(name, other));
    let best = known.map(|other| (similar(other), other)).filter(|(score, _)| *score >= SIMILAR);
    best.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, other)| other)
}

/// Whether two names are the same but for their numbers, and those no slip: `python3.14` is not meant by who writes `python3.13`.
fn is_another_number(one: &str, other: &str) -> bool {
    let words = |name: &str| name.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    let digits = |name: &str| {
        let mut digits: Vec<char> = name.chars().filter(char::is_ascii_digit).collect();
        digits.sort_unstable();
        digits
    };
    words(one) == words(other) && digits(one) != digits(other)
}

/// The same as a question before what else helps.
pub(crate) fn asked<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |nearest| format!("did you mean `{nearest}`? "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_told_from_another_name() {
        let known = ["orders", "NotifyFunction", "python3.13"];
        assert_eq!(nearest("ordes", known), Some("orders"));
        assert_eq!(nearest("notifyfunction", known), Some("NotifyFunction"));
        assert_eq!(nearest("python3.31", known), Some("python3.13"));
        assert_eq!(nearest("python3.14", known), None);
        assert_eq!(nearest("waf", known), None);
    }
}
