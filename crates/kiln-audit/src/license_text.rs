//! Which licence a text is.
//!
//! The crate `spdx` compares pairs of words with the texts of SPDX's list, without copyright lines, blanks and punctuation. Only the
//! licences that packages use, and those that are close to one of them, are compared with.

use spdx::detection::{Store, TextData};
use spdx::text::LICENSE_TEXTS;
use std::sync::LazyLock;

/// How like a text must be, of 1. A paragraph more or less is another licence (MIT and MIT-0 differ by 0.15), another name
/// of the holder is not.
const LIKE: f32 = 0.93;

/// The licences that texts are compared with, by SPDX's ids.
const KNOWN: [&str; 60] = [
    "0BSD",
    "AFL-2.1",
    "AFL-3.0",
    "AGPL-3.0-only",
    "Apache-1.1",
    "Apache-2.0",
    "Artistic-2.0",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-2-Clause-Patent",
    "BSD-3-Clause",
    "BSD-3-Clause-Clear",
    "BSD-3-Clause-LBNL",
    "BSD-4-Clause",
    "BSD-Source-Code",
    "BSL-1.0",
    "BlueOak-1.0.0",
    "CC-BY-4.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "CDDL-1.0",
    "CNRI-Python",
    "ECL-2.0",
    "EPL-1.0",
    "EPL-2.0",
    "EUPL-1.2",
    "GPL-2.0-only",
    "GPL-3.0-only",
    "HPND",
    "ICU",
    "ISC",
    "LGPL-2.0-only",
    "LGPL-2.1-only",
    "LGPL-3.0-only",
    "MIT",
    "MIT-0",
    "MIT-CMU",
    "MIT-Modern-Variant",
    "MPL-1.1",
    "MPL-2.0",
    "MS-PL",
    "NCSA",
    "OFL-1.1",
    "OpenSSL",
    "PSF-2.0",
    "PostgreSQL",
    "Python-2.0",
    "Ruby",
    "SSPL-1.0",
    "UPL-1.0",
    "Unicode-3.0",
    "Unlicense",
    "W3C",
    "WTFPL",
    "X11",
    "ZPL-2.1",
    "Zlib",
    "bzip2-1.0.6",
    "curl",
    "libpng-2.0",
];

static TEXTS: LazyLock<Store> = LazyLock::new(|| {
    let mut texts = Store::new();
    for (id, text) in LICENSE_TEXTS.iter().filter(|(id, _)| KNOWN.contains(id)) {
        texts.add_license((*id).to_owned(), TextData::new(text));
    }
    texts
});

/// The licence of SPDX's list that a text is, if it is that of one and of nothing else. A GNU licence is told as the one without
/// later versions, which its text does not tell.
#[must_use]
pub fn license_of_text(text: &str) -> Option<&'static str> {
    let told = TEXTS.analyze(&TextData::new(text));
    KNOWN.into_iter().find(|id| told.score >= LIKE && *id == told.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_of_the_list_is_its_own() {
        assert_eq!(TEXTS.len(), KNOWN.len(), "SPDX has each of them");
        for (id, text) in LICENSE_TEXTS.iter().filter(|(id, _)| KNOWN.contains(id)) {
            assert_eq!(license_of_text(text), Some(*id));
        }
    }

    #[test]
    fn the_words_of_a_holder_change_nothing_and_a_paragraph_does() {
        let mit = LICENSE_TEXTS.iter().find(|(id, _)| *id == "MIT").unwrap().1;
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
