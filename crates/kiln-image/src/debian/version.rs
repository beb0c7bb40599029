//! Debian package versions and their order (Debian policy 5.6.12; deb-version(7)).

use kiln_record::excerpt;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A version: `[epoch:]upstream[-revision]`. Compared as dpkg compares, so `1.0` and `0:1.00` are equal.
#[derive(Clone)]
pub struct Version {
    text: String,
    epoch: u32,
    // Where the upstream part starts and ends in the text; the revision follows after one hyphen.
    upstream: (usize, usize),
}

impl Version {
    /// The version as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn upstream(&self) -> &str {
        &self.text[self.upstream.0..self.upstream.1]
    }

    fn revision(&self) -> &str {
        self.text.get(self.upstream.1 + 1..).unwrap_or("")
    }
}

impl FromStr for Version {
    type Err = String;

    /// Reads a version; the error is a fragment that says what is wrong with it.
    fn from_str(text: &str) -> Result<Self, String> {
        let error = |reason: &str| Err(format!("`{}` is not a version: {reason}", excerpt(text)));
        if text.len() > 512 {
            return error("it is longer than 512 bytes");
        }
        if !text.bytes().all(|c| c.is_ascii_alphanumeric() || b".+-~:".contains(&c)) {
            return error("it holds a character other than letters, digits and `. + - ~ :`");
        }
        let (epoch, start) = match text.split_once(':') {
            None => (0, 0),
            Some((epoch, _)) => match epoch.parse::<u32>() {
                Ok(number) if epoch.bytes().all(|c| c.is_ascii_digit()) => (number, epoch.len() + 1),
                _ => return error("its epoch is not a number"),
            },
        };
        let end = match text.rfind('-') {
            Some(hyphen) if hyphen >= start => {
                if hyphen + 1 == text.len() {
                    return error("its revision is empty");
                }
                hyphen
            }
            _ => text.len(),
        };
        if start == end {
            return error("its upstream part is empty");
        }
        Ok(Self { text: text.to_owned(), epoch, upstream: (start, end) })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream(), other.upstream()))
            .then_with(|| compare_part(self.revision(), other.revision()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// The weight of a character outside a number: a tilde is before the end of the text, letters before all else.
fn weight(c: Option<u8>) -> i32 {
    match c {
        None => 0,
        Some(c) if c.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(c) if c.is_ascii_alphabetic() => i32::from(c),
        Some(c) => i32::from(c) + 256,
    }
}

/// Compares texts and numbers in turn, numbers of any length.
fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    let is_text = |part: &[u8]| part.first().is_some_and(|c| !c.is_ascii_digit());
    while !a.is_empty() || !b.is_empty() {
        while is_text(a) || is_text(b) {
            let order = weight(a.first().copied()).cmp(&weight(b.first().copied()));
            if order != Ordering::Equal {
                return order;
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let (number_a, rest_a) = split_number(a);
        let (number_b, rest_b) = split_number(b);
        let order = number_a.len().cmp(&number_b.len()).then_with(|| number_a.cmp(number_b));
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
    Ordering::Equal
}

/// The leading number without leading zeros, and what follows.
fn split_number(part: &[u8]) -> (&[u8], &[u8]) {
    let end = part.iter().position(|c| !c.is_ascii_digit()).unwrap_or(part.len());
    let zeros = part[..end].iter().take_while(|c| **c == b'0').count();
    (&part[zeros..end], &part[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn order_is_that_of_dpkg() {
        // Each row was checked with `dpkg --compare-versions`.
        let rising = [
            "0~~",
            "0~~a",
            "0~",
            "0",
            "0.0",
            "1~rc1-1",
            "1",
            "1-1",
            "1-1+b1",
            "1-1+deb12u1",
            "1-2",
            "1.0~beta-1",
            "1.0",
            "1.0-0.1",
            "1.0a",
            "1.0a1",
            "1.0+dfsg-1",
            "1.0.1",
            "1.2",
            "1.10",
            "2.36-9",
            "2.36-9+deb12u7",
            "2.36-9+deb12u13",
            "10",
            "1:0.1",
            "1:1.2",
            "2:0",
        ];
        for (i, a) in rising.iter().enumerate() {
            for (j, b) in rising.iter().enumerate() {
                assert_eq!(version(a).cmp(&version(b)), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn equal_versions_may_be_written_differently() {
        for (a, b) in [("1.0", "0:1.0"), ("1.0", "1.00"), ("1.0", "1.0-0"), ("1a01", "1a1")] {
            assert_eq!(version(a), version(b), "{a} {b}");
        }
    }

    #[test]
    fn numbers_may_be_longer_than_any_integer() {
        assert!(version("1.99999999999999999999999999999") < version("1.100000000000000000000000000000"));
    }

    #[test]
    fn malformed_versions_are_refused() {
        for bad in ["", "a:1", ":1", "1:", "1-", "-1", "1 2", "1_2", "99999999999:1", "é"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn order_is_total(texts in proptest::array::uniform3("([0-2]:)?[0-9][0-9a.+~-]{0,6}(-[0-9a.+~]{1,3})?")) {
            let all: Vec<Version> = texts.iter().filter_map(|text| text.parse().ok()).collect();
            for a in &all {
                proptest::prop_assert_eq!(a.cmp(a), Ordering::Equal);
                for b in &all {
                    proptest::prop_assert_eq!(a.cmp(b), b.cmp(a).reverse());
                    for c in &all {
                        if a <= b && b <= c {
                            proptest::prop_assert!(a <= c, "{a} {b} {c}");
                        }
                    }
                }
            }
        }

        /// What is accepted is written as it was read, and whatever is refused has a reason.
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}", fields in "([A-Za-z]{0,8}:? ?[0-9a-z|,():<>=\n-]{0,12}\n){0,6}") {
            match text.parse::<Version>() {
                Ok(version) => proptest::prop_assert_eq!(version.to_string(), text.trim()),
                Err(error) => proptest::prop_assert!(!error.to_string().is_empty()),
            }
            if let Ok(reference) = text.parse::<crate::Reference>() {
                proptest::prop_assert_eq!(reference.to_string().parse::<crate::Reference>().unwrap(), reference);
            }
            for refused in [
                crate::debian::Release::parse(&fields).err().map(|error| error.to_string()),
                crate::debian::PackageIndex::parse(fields.as_bytes()).err().map(|error| error.to_string()),
                super::super::relation::parse_relations(&fields).err().map(|error| error.to_string()),
            ]
            .into_iter()
            .flatten()
            {
                proptest::prop_assert!(!refused.is_empty());
            }
        }
    }
}
