//! Licence expressions of SPDX (specification 2.3, annex D; PEP 639 for distributions).
//!
//! Packages say their licence in many words. What means exactly one expression becomes it; anything else stays what it is.

use spdx::Expression;
use std::collections::BTreeSet;

/// The longest text that is read as an expression, in bytes; those of real packages have at most some hundred.
const LONGEST: usize = 4096;

/// Whether a text is a valid expression: every name on SPDX's list and not deprecated, or a `LicenseRef-`.
#[must_use]
pub fn is_license_expression(text: &str) -> bool {
    text.len() <= LONGEST && depth(text) <= 32 && Expression::parse(text).is_ok()
}

/// The expression that a text means, if it means exactly one: itself, what older rules wrote (`GPL-2.0+`, `MIT/Apache-2.0`), or
/// the usual name of one licence (`Apache License, Version 2.0`). `BSD License` or `Apache Software License` mean several, so
/// there is none.
#[must_use]
pub fn license_expression(text: &str) -> Option<String> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    if is_license_expression(text) {
        return Some(text.to_owned());
    }
    if let Some(name) = alias(text) {
        return Some(name.to_owned());
    }
    let modern: Vec<String> = words(text).iter().map(|word| modern(word)).collect();
    let modern = modern.concat();
    is_license_expression(&modern).then_some(modern)
}

/// What the texts of a package's licence files tell, held against what it declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LicenseTexts {
    /// Its licence, where the texts bear one out: what is declared, if there is the text of all of that; what they are, if nothing is
    /// declared that can be read or something else. Nothing is concluded where one of them is the text of no known licence.
    pub concluded: Option<String>,
    /// The licences that the texts are and that have nothing in common with what is declared.
    pub contradicting: BTreeSet<String>,
}

impl LicenseTexts {
    /// `declared` is an expression; `texts` have, for each licence file, the licence of SPDX's list whose text it is.
    #[must_use]
    pub fn new<'a>(declared: Option<&str>, texts: impl Iterator<Item = &'a Option<String>>) -> Self {
        let Some(texts) = texts.map(Option::as_deref).collect::<Option<BTreeSet<&str>>>() else {
            return Self::default();
        };
        if texts.is_empty() {
            return Self::default();
        }
        // The text of a GNU licence is one, whether or not later versions count.
        let of_text = || {
            let all: Vec<&str> = texts.iter().copied().collect();
            (!texts.iter().any(|id| is_gnu(id))).then(|| all.join(" AND "))
        };
        let Some(declared) = declared.filter(|text| is_license_expression(text)) else {
            return Self { concluded: of_text(), contradicting: BTreeSet::new() };
        };
        let named: BTreeSet<String> = licenses_of(declared).iter().map(|id| text_of(id).to_owned()).collect();
        let brought: BTreeSet<String> = texts.iter().map(|id| text_of(id).to_owned()).collect();
        if named.is_disjoint(&brought) {
            let contradicting = texts.iter().map(|id| (*id).to_owned()).collect();
            return Self { concluded: of_text(), contradicting };
        }
        let mut all = Vec::new();
        if named.is_subset(&brought) {
            let further = texts.iter().filter(|id| !named.contains(text_of(id))).copied();
            all.push(declared);
            all.extend(further);
        }
        let several = all.len() > 1;
        let all: Vec<String> = all
            .into_iter()
            .map(|one| if several && one.contains(" OR ") { format!("({one})") } else { one.to_owned() })
            .collect();
        let concluded = Some(all.join(" AND ")).filter(|text| !text.is_empty());
        Self { concluded, contradicting: BTreeSet::new() }
    }
}

/// The licences that an expression names.
fn licenses_of(expression: &str) -> BTreeSet<String> {
    let Ok(parsed) = Expression::parse(expression) else { return BTreeSet::new() };
    let named = parsed.requirements().map(|one| one.req.license.to_string());
    named.collect()
}

/// What tells the text of a licence from others: the GNU licences have one text with and without later versions, and Python's has
/// that of its foundation inside.
fn text_of(id: &str) -> &str {
    let id = id.strip_suffix("-only").or_else(|| id.strip_suffix("-or-later")).unwrap_or(id);
    match id.strip_suffix('+').unwrap_or(id) {
        "Python-2.0" | "Python-2.0.1" => "PSF-2.0",
        id => id,
    }
}

fn is_gnu(id: &str) -> bool {
    ["GPL-", "LGPL-", "AGPL-", "GFDL-"].iter().any(|family| id.starts_with(family))
}

/// How deep a text's parentheses go; a parser that calls itself is not asked beyond some depth.
fn depth(text: &str) -> usize {
    let (mut deepest, mut now) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'(' => now += 1,
            b')' => now = now.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(now);
    }
    deepest
}

/// The words of an expression and what is between them.
fn words(text: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-+".contains(c);
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_name(c) != is_name(first)).unwrap_or(rest.len());
        words.push(&rest[..end]);
        rest = &rest[end..];
    }
    words
}

/// A word as today's list has it: the GNU licences say whether later versions count, and crates wrote `/` for "or".
fn modern(word: &str) -> String {
    if word == "/" {
        return " OR ".to_owned();
    }
    let (name, later) = match word.strip_suffix('+') {
        Some(name) => (name, true),
        None => (word, false),
    };
    if is_gnu(name) && !name.ends_with("-only") && !name.ends_with("-or-later") {
        let suffix = if later { "-or-later" } else { "-only" };
        return format!("{name}{suffix}");
    }
    word.to_owned()
}

/// The licence that a usual name means.
fn alias(text: &str) -> Option<&'static str> {
    let plain: String = text.to_ascii_lowercase().replace([',', '"'], " ");
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = plain.strip_prefix("the ").unwrap_or(&plain);
    ALIASES.iter().find(|(name, _)| *name == plain).map(|(_, id)| *id)
}

/// Names in lower case, without commas, quotes and a leading "the", and the one licence that each means.
const ALIASES: [(&str, &str); 62] = [
    ("3-clause bsd", "BSD-3-Clause"),
    ("3-clause bsd license", "BSD-3-Clause"),
    ("2-clause bsd", "BSD-2-Clause"),
    ("2-clause bsd license", "BSD-2-Clause"),
    ("apache 2", "Apache-2.0"),
    ("apache 2.0", "Apache-2.0"),
    ("apache 2.0 license", "Apache-2.0"),
    ("apache license 2.0", "Apache-2.0"),
    ("apache license v2.0", "Apache-2.0"),
    ("apache license version 2.0", "Apache-2.0"),
    ("apache software license 2.0", "Apache-2.0"),
    ("apache-2", "Apache-2.0"),
    ("apache2", "Apache-2.0"),
    ("apache2.0", "Apache-2.0"),
    ("boost software license 1.0", "BSL-1.0"),
    ("boost software license 1.0 (bsl-1.0)", "BSL-1.0"),
    ("bsd 2 clause", "BSD-2-Clause"),
    ("bsd 2-clause", "BSD-2-Clause"),
    ("bsd 2-clause license", "BSD-2-Clause"),
    ("bsd 3 clause", "BSD-3-Clause"),
    ("bsd 3-clause", "BSD-3-Clause"),
    ("bsd 3-clause license", "BSD-3-Clause"),
    ("bsd-2", "BSD-2-Clause"),
    ("bsd-3", "BSD-3-Clause"),
    ("expat", "MIT"),
    ("gnu general public license v2 (gplv2)", "GPL-2.0-only"),
    ("gnu general public license v2 or later (gplv2+)", "GPL-2.0-or-later"),
    ("gnu general public license v3 (gplv3)", "GPL-3.0-only"),
    ("gnu general public license v3 or later (gplv3+)", "GPL-3.0-or-later"),
    ("gnu lesser general public license v2 or later (lgplv2+)", "LGPL-2.0-or-later"),
    ("gnu lesser general public license v3 (lgplv3)", "LGPL-3.0-only"),
    ("gnu lesser general public license v3 or later (lgplv3+)", "LGPL-3.0-or-later"),
    ("gnu affero general public license v3", "AGPL-3.0-only"),
    ("gnu affero general public license v3 or later (agplv3+)", "AGPL-3.0-or-later"),
    ("gplv2", "GPL-2.0-only"),
    ("gplv2+", "GPL-2.0-or-later"),
    ("gplv3", "GPL-3.0-only"),
    ("gplv3+", "GPL-3.0-or-later"),
    ("isc license", "ISC"),
    ("isc license (iscl)", "ISC"),
    ("lgplv2+", "LGPL-2.0-or-later"),
    ("lgplv2.1", "LGPL-2.1-only"),
    ("lgplv2.1+", "LGPL-2.1-or-later"),
    ("lgplv3", "LGPL-3.0-only"),
    ("lgplv3+", "LGPL-3.0-or-later"),
    ("mit licence", "MIT"),
    ("mit license", "MIT"),
    ("mit license (mit)", "MIT"),
    ("mit no attribution license (mit-0)", "MIT-0"),
    ("modified bsd", "BSD-3-Clause"),
    ("modified bsd license", "BSD-3-Clause"),
    ("mozilla public license 2.0", "MPL-2.0"),
    ("mozilla public license 2.0 (mpl 2.0)", "MPL-2.0"),
    ("mpl 2.0", "MPL-2.0"),
    ("new bsd", "BSD-3-Clause"),
    ("new bsd license", "BSD-3-Clause"),
    ("simplified bsd", "BSD-2-Clause"),
    ("unlicense (unlicense)", "Unlicense"),
    ("zero-clause bsd (0bsd)", "0BSD"),
    ("zlib/libpng license", "Zlib"),
    ("zope public license 2.1", "ZPL-2.1"),
    ("zpl 2.1", "ZPL-2.1"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_one_licence_is_its_expression() {
        let same =
            ["MIT", "MIT OR AFL-2.1", "Apache-2.0 WITH LLVM-exception", "LicenseRef-own AND BSD-3-Clause"];
        for text in same {
            assert_eq!(license_expression(text).as_deref(), Some(text));
        }
        for (text, expression) in [
            ("Apache License, Version 2.0", "Apache-2.0"),
            ("The MIT License (MIT)", "MIT"),
            ("MIT/Apache-2.0", "MIT OR Apache-2.0"),
            ("GPL-2.0+", "GPL-2.0-or-later"),
            ("(LGPL-3.0 OR MIT)", "(LGPL-3.0-only OR MIT)"),
        ] {
            assert_eq!(license_expression(text).as_deref(), Some(expression), "{text}");
        }
    }

    #[test]
    fn what_means_several_or_none_is_left_as_it_is() {
        for text in
            ["BSD License", "Apache Software License", "Dual License", "", "see LICENSE", "MIT AND", "BSD"]
        {
            assert_eq!(license_expression(text), None, "{text}");
        }
        assert_eq!(license_expression(&"(".repeat(4000)), None);
        assert_eq!(license_expression(&"MIT OR ".repeat(4000)), None);
    }

    #[test]
    fn texts_bear_out_what_is_declared_or_tell_otherwise() {
        let told = |declared: Option<&str>, texts: &[Option<&str>]| {
            let texts: Vec<Option<String>> = texts.iter().map(|id| id.map(str::to_owned)).collect();
            let told = LicenseTexts::new(declared, texts.iter());
            let contradicting: Vec<String> = told.contradicting.into_iter().collect();
            (told.concluded.unwrap_or_default(), contradicting.join(" "))
        };
        let concluded = |text: &str| (text.to_owned(), String::new());
        assert_eq!(told(Some("MIT"), &[Some("MIT")]), concluded("MIT"));
        assert_eq!(
            told(Some("MIT OR Apache-2.0"), &[Some("Apache-2.0"), Some("MIT")]),
            concluded("MIT OR Apache-2.0")
        );
        assert_eq!(
            told(Some("MIT OR Apache-2.0"), &[Some("Apache-2.0"), Some("MIT"), Some("ISC")]),
            concluded("(MIT OR Apache-2.0) AND ISC")
        );
        assert_eq!(told(Some("GPL-2.0-or-later"), &[Some("GPL-2.0-only")]), concluded("GPL-2.0-or-later"));
        assert_eq!(told(Some("PSF-2.0"), &[Some("Python-2.0")]), concluded("PSF-2.0"));
        assert_eq!(told(None, &[Some("BSD-3-Clause")]), concluded("BSD-3-Clause"));
        // aws-lambda-powertools 3.x states the one and brings the other.
        assert_eq!(told(Some("MIT"), &[Some("MIT-0")]), ("MIT-0".to_owned(), "MIT-0".to_owned()));
        assert_eq!(told(Some("MIT"), &[Some("GPL-3.0-only")]), (String::new(), "GPL-3.0-only".to_owned()));
        for (declared, texts) in [
            (Some("MIT"), &[Some("MIT"), None][..]),
            (Some("MIT AND ISC"), &[Some("MIT")]),
            (None, &[Some("GPL-3.0-only")]),
            (Some("MIT"), &[]),
        ] {
            assert_eq!(told(declared, texts), concluded(""), "{declared:?} {texts:?}");
        }
    }

    #[test]
    fn every_alias_means_a_licence_of_the_list() {
        for (name, id) in ALIASES {
            assert!(is_license_expression(id), "{id}");
            assert_eq!(alias(name), Some(id), "{name} is not as texts are compared, or twice");
        }
    }
}
