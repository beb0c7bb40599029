//! `[[component]]` in `kiln.toml`: what the workspace states of components that others make.

use super::organization::license_problem;
use crate::Problem;
use crate::spanned::Spanned;
use kiln_record::{ComponentStatement, cpe_name, excerpt, is_sha512};
use packageurl::PackageUrl;
use std::collections::BTreeSet;
use std::ops::Range;
use std::str::FromStr as _;
use std::sync::Arc;

/// Holds the tables against what documents can say, and sorts them.
pub(super) fn checked(
    file: &str,
    text: &Arc<str>,
    tables: Vec<Spanned<ComponentStatement>>,
) -> Result<Vec<ComponentStatement>, Problem> {
    let mut all = BTreeSet::new();
    let mut purls = BTreeSet::new();
    for table in tables {
        let span = table.span();
        let statement = table.into_inner();
        check(&statement, |message, help| problem(file, text, &span, message, help))?;
        if !purls.insert(statement.purl.clone()) {
            let message = format!("`component.purl`: `{}` is stated twice", statement.purl);
            return Err(problem(
                file,
                text,
                &span,
                message,
                "put what is stated of it in one table".to_owned(),
            ));
        }
        all.insert(statement);
    }
    Ok(all.into_iter().collect())
}

fn problem(file: &str, text: &Arc<str>, span: &Range<usize>, message: String, help: String) -> Problem {
    Problem::in_file(file, message).at(text, span.clone()).help(help)
}

fn check(statement: &ComponentStatement, problem: impl Fn(String, String) -> Problem) -> Result<(), Problem> {
    let ComponentStatement { purl, supplier, license, cpe, archive, digest, sha512, reason } = statement;
    let read = PackageUrl::from_str(purl).map_err(|error| {
        problem(
            format!("`component.purl` is `{purl}`, which is no package URL: {error}"),
            "take it from the bill of materials, such as pkg:deb/debian/libgcc-s1".to_owned(),
        )
    })?;
    if !read.qualifiers().is_empty() || read.subpath().is_some() {
        return Err(problem(
            format!("`component.purl` is `{purl}`, and is to be without qualifiers"),
            "leave out what follows `?` or `#`: the type, name and version decide".to_owned(),
        ));
    }
    let has_hash = digest.is_some() || sha512.is_some();
    if supplier.is_none() && license.is_none() && cpe.is_none() && archive.is_none() && !has_hash {
        return Err(problem(
            format!("`component` states nothing of `{purl}`"),
            "state its `license`, `supplier`, `cpe` or `archive`".to_owned(),
        ));
    }
    let lines = [
        ("supplier", supplier.as_deref()),
        ("archive", archive.as_deref()),
        ("reason", Some(reason.as_str())),
    ];
    for (key, value) in lines.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        if value.trim().is_empty() || value.chars().any(char::is_control) {
            return Err(problem(
                format!("`component.{key}` is empty, or more than a line"),
                match key {
                    "reason" => "say how it is known, such as `its copyright file, read 2026-05-04`",
                    "archive" => "state the file's name, or the URL that it is to be had at",
                    _ => "state the name that others know",
                }
                .to_owned(),
            ));
        }
    }
    if archive.is_some() != has_hash {
        return Err(problem(
            format!("`component` states an archive of `{purl}` and no hash, or a hash and not of what"),
            "state `archive` with its `digest`, its `sha512`, or both".to_owned(),
        ));
    }
    if let Some(text) = sha512.as_deref().filter(|text| !is_sha512(text)) {
        return Err(problem(
            format!("`component.sha512` is `{}`, which is no SHA-512", excerpt(text)),
            "write its 128 hexadecimal digits, as sha512sum prints them".to_owned(),
        ));
    }
    if let Some(text) = cpe.as_deref().filter(|text| cpe_name(text).as_deref() != Some(text)) {
        return Err(problem(
            format!("`component.cpe` is `{}`, which is no name in CPE 2.3", excerpt(text)),
            "take it from NVD's dictionary, such as cpe:2.3:a:haxx:curl:7.83.1:*:*:*:*:*:*:*".to_owned(),
        ));
    }
    let of_one_version = [("archive", archive.is_some()), ("cpe", cpe.as_deref().is_some_and(names_version))];
    if let Some((key, _)) =
        of_one_version.iter().find(|(_, is_stated)| *is_stated && read.version().is_none())
    {
        return Err(problem(
            format!("`component.{key}` is of one version, and `{purl}` is about all"),
            "add the version that it is of, such as pkg:generic/curl@7.83.1".to_owned(),
        ));
    }
    match license.as_deref().and_then(|license| license_problem("component.license", license)) {
        Some((message, help)) => Err(problem(message, help)),
        None => Ok(()),
    }
}

/// Whether a name in CPE 2.3 is that of one version.
fn names_version(cpe: &str) -> bool {
    // A colon that is no end of an attribute is quoted.
    let version = cpe.replace("\\:", "").split(':').nth(5).map(str::to_owned);
    version.is_some_and(|version| version != "*" && version != "-")
}
