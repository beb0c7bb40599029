//! Which licence a text is.
//!
//! The crate `spdx` compares pairs of words with the texts of SPDX's list, without copyright lines, blanks and punctuation. Only the
//! licences that packages use, and those that are close to one of them, are compared with: the whole list would be 6 MB of kiln.

use spdx::detection::{Store, TextData};
use std::sync::LazyLock;

/// How like a text must be, of 1. A paragraph more or less is another licence (MIT and MIT-0 differ by 0.15), another name
/// of the holder is not.
const LIKE: f32 = 0.93;

// `KNOWN`: the licences of `licenses.txt`, by SPDX's ids, each with its text.
include!(concat!(env!("OUT_DIR"), "/licenses.rs"));

static TEXTS: LazyLock<Store> = LazyLock::new(|| {
    let mut texts = Store::new();
    for (id, text) in KNOWN {
        texts.add_license((*id).to_owned(), TextData::new(text));
    }
    texts
});

/// The licence of SPDX's list that a text is, if it is that of one and of nothing else. A GNU licence is told as the one without
/// later versions, which its text does not tell.
#[must_use]
pub fn license_of_text(text: &str) -> Option<&'static str> {
    let told = TEXTS.analyze(&TextData::new(text));
    KNOWN.iter().map(|(id, _)| *id).find(|id| told.score >= LIKE && *id == told.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_of_the_list_is_its_own() {
        for (id, text) in KNOWN {
            assert_eq!(license_of_text(text), Some(*id));
        }
    }

    #[test]
    fn the_words_of_a_holder_change_nothing_and_a_paragraph_does() {
        let mit = KNOWN.iter().find(|(id, _)| *id == "MIT").unwrap().1;
        let theirs =
            mit.replace("<year> <copyright holders>", "2019-2026 Somebody and others, all rights reserved");
        assert_eq!(license_of_text(&format!("The MIT License (MIT)\n\n{theirs}\n")), Some("MIT"));
        let without = mit.replace("subject to the following conditions", "");
        let start = without.find("The above copyright notice").unwrap();
        let end = without.find("THE SOFTWARE IS PROVIDED").unwrap();
        assert_eq!(license_of_text(&format!("{}{}", &without[..start], &without[end..])), Some("MIT-0"));
        for text in ["", "All rights reserved.", "see https://example.org/license", &mit[..300]] {
            assert_eq!(license_of_text(text), None, "{text}");
        }
        assert_eq!(license_of_text(&format!("{mit}\n\n{}", include_str!("license_text.rs"))), None);
    }
}
