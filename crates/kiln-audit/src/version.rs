//! Which of two versions is the newer one.

use kiln_record::Ecosystem;
use pep440_rs::Version;
use std::cmp::Ordering;
use std::str::FromStr as _;

/// Compares two versions by the rules of their ecosystem: PEP 440 for Python, deb-version(7) for Debian, rpm-version(7) for rpm. `None` where
/// there is no rule, or a text is no version by it.
pub(crate) fn order(ecosystem: Ecosystem, a: &str, b: &str) -> Option<Ordering> {
    match ecosystem {
        Ecosystem::Python => Some(Version::from_str(a).ok()?.cmp(&Version::from_str(b).ok()?)),
        Ecosystem::Debian => Some(by_parts(a, b, debian_part)),
        Ecosystem::Rpm => Some(by_parts(a, b, rpm_part)),
        Ecosystem::Application | Ecosystem::Native => None,
    }
}

/// Epoch, then version, then revision or release: both are written `[epoch:]version[-release]`.
fn by_parts(a: &str, b: &str, order: impl Fn(&str, &str) -> Ordering) -> Ordering {
    let parts = |text: &str| -> (u64, String, String) {
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        (epoch.parse().unwrap_or(0), upstream.to_owned(), revision.to_owned())
    };
    let (a, b) = (parts(a), parts(b));
    a.0.cmp(&b.0).then_with(|| order(&a.1, &b.1)).then_with(|| order(&a.2, &b.2))
}

/// Runs of other characters and runs of digits, in turn.
fn debian_part(mut a: &str, mut b: &str) -> Ordering {
    // A tilde sorts before the end, letters before everything else.
    let weight = |c: Option<u8>| match c {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(c),
        Some(c) => i32::from(c) + 256,
    };
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = split(a, |c| !c.is_ascii_digit());
        let (text_b, rest_b) = split(b, |c| !c.is_ascii_digit());
        let (text_a, text_b) = (text_a.as_bytes(), text_b.as_bytes());
        for i in 0..text_a.len().max(text_b.len()) {
            match weight(text_a.get(i).copied()).cmp(&weight(text_b.get(i).copied())) {
                Ordering::Equal => {}
                other => return other,
            }
        }
        let (number_a, next_a) = split(rest_a, |c| c.is_ascii_digit());
        let (number_b, next_b) = split(rest_b, |c| c.is_ascii_digit());
        let (number_a, number_b) = (number_a.trim_start_matches('0'), number_b.trim_start_matches('0'));
        // Without leading zeros, the longer number is the larger: no number is too long to compare.
        match number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b)) {
            Ordering::Equal => {}
            other => return other,
        }
        (a, b) = (next_a, next_b);
    }
    Ordering::Equal
}

/// Runs of letters and runs of digits; what stands between them separates, and is otherwise nothing. `~` is older than the
/// end, `^` is newer than the end and older than everything else.
fn rpm_part(mut a: &str, mut b: &str) -> Ordering {
    loop {
        let separates = |c: char| !c.is_ascii_alphanumeric() && c != '~' && c != '^';
        (a, b) = (a.trim_start_matches(separates), b.trim_start_matches(separates));
        let mark = |text: &str| match text.bytes().next() {
            Some(b'~') => -1,
            None => 0,
            Some(b'^') => 1,
            Some(_) => 2,
        };
        match (mark(a), mark(b)) {
            (0, 0) => return Ordering::Equal,
            (2, 2) => {}
            (of_a, of_b) if of_a == of_b => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (of_a, of_b) => return of_a.cmp(&of_b),
        }
        let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
        let (part_a, part_b) = match (is_number(a), is_number(b)) {
            (true, true) => {
                let ((part_a, rest_a), (part_b, rest_b)) =
                    (split(a, |c| c.is_ascii_digit()), split(b, |c| c.is_ascii_digit()));
                (a, b) = (rest_a, rest_b);
                (part_a.trim_start_matches('0'), part_b.trim_start_matches('0'))
            }
            (false, false) => {
                let ((part_a, rest_a), (part_b, rest_b)) =
                    (split(a, |c| c.is_ascii_alphabetic()), split(b, |c| c.is_ascii_alphabetic()));
                (a, b) = (rest_a, rest_b);
                (part_a, part_b)
            }
            // A number is newer than a word.
            (of_a, _) => return if of_a { Ordering::Greater } else { Ordering::Less },
        };
        let longer = if is_number(part_a) || is_number(part_b) {
            part_a.len().cmp(&part_b.len())
        } else {
            Ordering::Equal
        };
        match longer.then_with(|| part_a.cmp(part_b)) {
            Ordering::Equal => {}
            other => return other,
        }
    }
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        for (ecosystem, older, newer) in [
            (Ecosystem::Python, "1.9", "1.10"),
            (Ecosystem::Python, "2.0rc1", "2.0"),
            (Ecosystem::Python, "2.0", "1!0.1"),
            (Ecosystem::Debian, "1.2~rc1-1", "1.2-1"),
            (Ecosystem::Debian, "1.2-1", "1.2-1+deb12u1"),
            (Ecosystem::Debian, "9.9", "1:0.1"),
            (Ecosystem::Rpm, "2.34-52.amzn2023.0.8", "2.34-52.amzn2023.0.10"),
            (Ecosystem::Rpm, "1.0~rc1-1", "1.0-1"),
            (Ecosystem::Rpm, "1.0-1", "1.0^git1-1"),
            (Ecosystem::Rpm, "1.0^git1-1", "1.0.1-1"),
            (Ecosystem::Rpm, "1.0a-1", "1.0.1-1"),
            (Ecosystem::Rpm, "1.1.1k-1", "1:1.0.2-1"),
            (Ecosystem::Rpm, "20230101-1", "20240101-1"),
            (Ecosystem::Debian, "1.9", "1.10"),
            (Ecosystem::Debian, "1.a", "1.+"),
        ] {
            assert_eq!(order(ecosystem, older, newer), Some(Ordering::Less), "{older} {newer}");
            assert_eq!(order(ecosystem, newer, older), Some(Ordering::Greater), "{older} {newer}");
        }
        assert_eq!(order(Ecosystem::Python, "1.0", "1.0.0"), Some(Ordering::Equal));
        assert_eq!(order(Ecosystem::Debian, "1.01-0", "1.1"), Some(Ordering::Equal));
        assert_eq!(order(Ecosystem::Python, "not a version", "1"), None);
    }
}
