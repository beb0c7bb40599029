//! The file in which people of a project say which vulnerabilities do not matter, why, and until when.

use crate::AdvisoryError;
use crate::vex::{Justification, Product, Statement, Status};
use kiln_record::{Digest, Epoch, excerpt};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::ops::Range;

/// The largest file that is read, in bytes, and the most statements.
const LARGEST: usize = 8 << 20;
const MOST: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    #[serde(default)]
    statement: Vec<toml::Spanned<Stated>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stated {
    vulnerability: String,
    product: Option<String>,
    digest: Option<String>,
    status: Status,
    justification: Option<Justification>,
    reason: String,
    author: String,
    until: String,
}

/// Reads statements of people.
///
/// # Errors
/// [`AdvisoryError::Statements`] with the line: an unknown key or label, a statement without product, reason, author or end, or
/// `not_affected` without a justification.
pub fn read_vex_file(path: &str, text: &str) -> Result<Vec<Statement>, AdvisoryError> {
    let error = |reason: String| AdvisoryError::Statements { path: path.to_owned(), reason };
    if text.len() > LARGEST {
        return Err(error(format!("it has {} bytes, and {LARGEST} are read", text.len())));
    }
    let file: File = toml::from_str(text).map_err(|wrong| {
        let line = wrong.span().map(|span| format!("line {}: ", line(text, &span))).unwrap_or_default();
        error(format!("{line}{}", excerpt(wrong.message())))
    })?;
    if file.format != "1" {
        return Err(error(format!("`format` is `{}`, and this kiln reads \"1\"", excerpt(&file.format))));
    }
    if file.statement.len() > MOST {
        return Err(error(format!("it has more than {MOST} statements")));
    }
    let statements = file.statement.into_iter().map(|stated| {
        let line = line(text, &stated.span());
        statement(stated.into_inner(), format!("{path}:{line}"))
            .map_err(|reason| error(format!("line {line}: {reason}")))
    });
    statements.collect()
}

fn line(text: &str, span: &Range<usize>) -> usize {
    text.get(..span.start).map_or(1, |before| before.matches('\n').count() + 1)
}

fn statement(stated: Stated, place: String) -> Result<Statement, String> {
    for (key, value) in
        [("vulnerability", &stated.vulnerability), ("reason", &stated.reason), ("author", &stated.author)]
    {
        if value.trim().is_empty() {
            return Err(format!("`{key}` is empty"));
        }
    }
    if stated.product.is_none() && stated.digest.is_none() {
        return Err("neither `product` (a package URL) nor `digest` says what it is about".to_owned());
    }
    if stated.status == Status::NotAffected && stated.justification.is_none() {
        return Err("`status = \"not_affected\"` needs a `justification`".to_owned());
    }
    if stated.status != Status::NotAffected && stated.justification.is_some() {
        return Err("a `justification` is for `status = \"not_affected\"` alone".to_owned());
    }
    let product = stated.product.as_deref().map(|text| match text.parse::<packageurl::PackageUrl<'_>>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("`{}` is no package URL, such as pkg:pypi/urllib3@2.4.0", excerpt(text))),
    });
    let digest = stated.digest.as_deref().map(|text| {
        text.parse::<Digest>().map_err(|_| format!("`{}` is no digest, such as sha256:…", excerpt(text)))
    });
    // The day itself counts, as with exceptions of a policy.
    let until: Epoch = format!("{}T23:59:59Z", stated.until)
        .parse()
        .map_err(|_| format!("`until = \"{}\"` is not a date, such as 2027-01-31", excerpt(&stated.until)))?;
    Ok(Statement {
        names: BTreeSet::from([stated.vulnerability]),
        products: vec![Product {
            sha256: digest.transpose()?,
            purl: product.transpose()?,
            parts: Vec::new(),
        }],
        status: stated.status,
        justification: stated.justification,
        reason: Some(stated.reason),
        author: stated.author,
        at: None,
        until: Some(until),
        place,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "format = \"1\"\n\n[[statement]]\nvulnerability = \"CVE-2026-1\"\nproduct = \"pkg:pypi/words@1.0\"\nstatus = \"not_affected\"\njustification = \"vulnerable_code_not_present\"\nreason = \"we build it without\"\nauthor = \"Sam\"\nuntil = \"2027-01-31\"\n";

    #[test]
    fn a_statement_is_read_with_its_line() {
        let statements = read_vex_file("vex.toml", WHOLE).unwrap();
        let [one] = &statements[..] else { panic!("{statements:?}") };
        assert_eq!((one.place.as_str(), one.status), ("vex.toml:3", Status::NotAffected));
        let at = |text: &str| text.parse().unwrap();
        assert!(!one.has_ended(at("2027-01-31T23:59:59Z")) && one.has_ended(at("2027-02-01T00:00:00Z")));
    }

    #[test]
    fn each_mistake_is_told_with_its_line() {
        for (from, to, expected) in [
            ("format = \"1\"", "format = \"2\"", "this kiln reads"),
            ("reason = \"we build it without\"\n", "", "line 3: missing field `reason`"),
            ("reason = \"we build it without\"", "reason = \" \"", "line 3: `reason` is empty"),
            ("product = \"pkg:pypi/words@1.0\"\n", "", "line 3: neither `product`"),
            ("pkg:pypi/words@1.0", "words", "line 3: `words` is no package URL"),
            ("justification = \"vulnerable_code_not_present\"\n", "", "needs a `justification`"),
            ("status = \"not_affected\"", "status = \"fixed\"", "for `status = \"not_affected\"` alone"),
            ("status = \"not_affected\"", "status = \"fine\"", "line 6: unknown variant `fine`"),
            ("2027-01-31", "tomorrow", "is not a date"),
            ("author", "writer", "unknown field `writer`"),
        ] {
            let error = read_vex_file("vex.toml", &WHOLE.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(error.starts_with("vex.toml: ") && error.contains(expected), "{error}");
        }
    }
}
