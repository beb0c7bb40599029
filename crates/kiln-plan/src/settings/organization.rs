//! `[organization]` in `kiln.toml`: who makes the artifacts.

use crate::Problem;
use crate::spanned::Spanned;
use kiln_record::{Organization, is_license_expression, license_expression};
use std::sync::Arc;

/// Holds the table against what documents can say.
pub(super) fn checked(
    file: &str,
    text: &Arc<str>,
    table: Option<Spanned<Organization>>,
) -> Result<Option<Organization>, Problem> {
    let Some(table) = table else { return Ok(None) };
    let span = table.span();
    let organization = table.into_inner();
    let problem = |message: String, help: String| {
        Err(Problem::in_file(file, message).at(text, span.clone()).help(help))
    };
    let Organization { name, url, contact, license } = &organization;
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return problem(
            "`organization.name` is empty, or more than a line".to_owned(),
            "state the name that customers know".to_owned(),
        );
    }
    if let Some(url) =
        url.as_deref().filter(|url| !url.starts_with("https://") && !url.starts_with("http://"))
    {
        return problem(
            format!("`organization.url` is `{url}`, which is no web address"),
            "begin it with https://".to_owned(),
        );
    }
    if let Some(contact) = contact.as_deref().filter(|contact| !is_mail_address(contact)) {
        return problem(
            format!("`organization.contact` is `{contact}`, which is no mail address"),
            "state one address, such as security@example.org".to_owned(),
        );
    }
    if let Some((message, help)) =
        license.as_deref().and_then(|license| license_problem("organization.license", license))
    {
        return problem(message, help);
    }
    Ok(Some(organization))
}

/// What is wrong with a licence that a key states, and what to do, if it is no expression.
pub(super) fn license_problem(key: &str, license: &str) -> Option<(String, String)> {
    if is_license_expression(license) {
        return None;
    }
    let help = match license_expression(license) {
        Some(meant) => format!("write it as SPDX does: `{meant}`"),
        None => "use names of SPDX's list joined by AND, OR and WITH, or `LicenseRef-proprietary`".to_owned(),
    };
    Some((format!("`{key}` is `{license}`, which is no SPDX expression"), help))
}

fn is_mail_address(text: &str) -> bool {
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,;@".contains(c))
    };
    text.split_once('@')
        .is_some_and(|(local, domain)| is_plain(local) && is_plain(domain) && domain.contains('.'))
}
