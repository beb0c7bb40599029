//! The licence of a Debian package: its copyright file in the machine-readable format (DEP 5, "copyright-format/1.0").
//!
//! Files in free words are left unread: what they say is not known, and nothing is guessed.

use super::control::Stanzas;
use kiln_record::{is_license_expression, license_expression};
use std::collections::BTreeSet;

/// The largest file that is read, in bytes; the largest of Debian have some hundred kB.
const LARGEST: usize = 1 << 20;
/// More different licences than any package has.
const MOST: usize = 64;

/// The licences of all files of a package as one SPDX expression, if the file is machine-readable. What SPDX's list lacks is a
/// `LicenseRef-Debian-` with the name that the package gives it.
pub(crate) fn license(text: &str) -> Option<String> {
    if text.len() > LARGEST {
        return None;
    }
    let mut stanzas = Stanzas::new("copyright", text);
    let header = stanzas.next()?.ok()?;
    let format = header.get("Format").or_else(|| header.get("Format-Specification"))?;
    if !format.contains("copyright-format/1") && !format.to_ascii_lowercase().contains("dep5") {
        return None;
    }
    let mut licenses = BTreeSet::new();
    for stanza in std::iter::once(Ok(header)).chain(stanzas) {
        // A file that breaks off in the middle says less than all.
        let stanza = stanza.ok()?;
        if stanza.get("Files").is_none() && stanza.get("Format").is_none() {
            continue;
        }
        let Some(name) = stanza.get("License").and_then(|license| license.lines().next()) else { continue };
        licenses.insert(expression(name.trim())?);
        if licenses.len() > MOST {
            return None;
        }
    }
    let several = licenses.len() > 1;
    let parts: Vec<String> = licenses
        .into_iter()
        .map(|one| if several && one.contains(" OR ") { format!("({one})") } else { one })
        .collect();
    let whole = parts.join(" AND ");
    is_license_expression(&whole).then_some(whole)
}

/// A synopsis of the format as an expression: names joined by `and`, `or` and commas, of which `and` binds more than `or`, and a
/// comma less than both.
fn expression(synopsis: &str) -> Option<String> {
    if synopsis.is_empty() || synopsis.len() > 1024 {
        return None;
    }
    let mut joined = String::new();
    for group in synopsis.split(',').map(str::trim).filter(|group| !group.is_empty()) {
        let (operator, rest) = match group.split_once(' ') {
            Some(("and", rest)) => (" AND ", rest),
            Some(("or", rest)) => (" OR ", rest),
            _ => (" AND ", group),
        };
        let group = alternatives(rest);
        match joined.is_empty() {
            true => joined = group,
            false => joined = format!("({joined}){operator}({group})"),
        }
    }
    (!joined.is_empty()).then_some(joined)
}

fn alternatives(group: &str) -> String {
    let alternatives = group.split(" or ").map(|all| {
        let all: Vec<String> = all.split(" and ").map(|one| name(one.trim())).collect();
        all.join(" AND ")
    });
    alternatives.collect::<Vec<_>>().join(" OR ")
}

/// One licence, by the short names of the format.
fn name(short: &str) -> String {
    let of_spdx = match short {
        "Expat" => Some("MIT"),
        "Apache" | "Apache-2" => Some("Apache-2.0"),
        "Artistic" => Some("Artistic-1.0"),
        "BSD-2-clause" => Some("BSD-2-Clause"),
        "BSD-3-clause" => Some("BSD-3-Clause"),
        "BSD-4-clause" => Some("BSD-4-Clause"),
        "CC0" => Some("CC0-1.0"),
        "Perl" => return "(Artistic-1.0-Perl OR GPL-1.0-or-later)".to_owned(),
        "Python" | "PSF-2" => Some("PSF-2.0"),
        "W3C-Software" => Some("W3C"),
        "ZLIB" | "zlib" => Some("Zlib"),
        _ => None,
    };
    if let Some(id) = of_spdx {
        return id.to_owned();
    }
    let (plain, exception) = match short.split_once(" with ") {
        Some((plain, exception)) => (plain, Some(exception)),
        None => (short, None),
    };
    let license = license_expression(&with_minor(plain)).filter(|found| !found.contains(' '));
    match (license, exception) {
        (Some(license), None) => license,
        (Some(license), Some(exception)) => {
            let name = exception.strip_suffix(" exception").unwrap_or(exception);
            let id = match name {
                "Autoconf" if license.starts_with("GPL-3") => Some("Autoconf-exception-3.0"),
                "Autoconf" => Some("Autoconf-exception-2.0"),
                "Bison" => Some("Bison-exception-2.2"),
                "Font" => Some("Font-exception-2.0"),
                "GCC" | "GCC Runtime Library" | "GCC-Runtime-Library" => Some("GCC-exception-3.1"),
                "Libtool" => Some("Libtool-exception"),
                "LLVM" => Some("LLVM-exception"),
                _ => None,
            };
            id.map_or_else(|| reference(short), |id| format!("{license} WITH {id}"))
        }
        (None, _) => reference(short),
    }
}

/// The GNU licences are named by their major version alone in this format: `GPL-2+` is `GPL-2.0+`.
fn with_minor(short: &str) -> String {
    let (name, plus) = match short.strip_suffix('+') {
        Some(name) => (name, "+"),
        None => (short, ""),
    };
    match name.rsplit_once('-') {
        Some((family @ ("GPL" | "LGPL" | "AGPL" | "MPL"), version))
            if version.len() == 1 && version.bytes().all(|c| c.is_ascii_digit()) =>
        {
            format!("{family}-{version}.0{plus}")
        }
        _ => short.to_owned(),
    }
}

/// A name that SPDX's list lacks.
fn reference(short: &str) -> String {
    let name: String =
        short.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    format!("LicenseRef-Debian-{}", name.trim_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stanzas: &str) -> Option<String> {
        let format = "https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/";
        license(&format!("Format: {format}\nUpstream-Name: x\n\n{stanzas}"))
    }

    #[test]
    fn licences_of_all_files_are_one_expression() {
        let text = "Files: *\nCopyright: x\nLicense: Expat\n Permission is\n .\n granted\n\n\
                    Files: a b\nCopyright: y\nLicense: GPL-2+ or Artistic\n\nLicense: GPL-2+\n text\n";
        assert_eq!(of(text).as_deref(), Some("(GPL-2.0-or-later OR Artistic-1.0) AND MIT"));
        for (synopsis, expression) in [
            ("LGPL-2.1+", "LGPL-2.1-or-later"),
            ("GPL-3+ with GCC Runtime Library exception", "GPL-3.0-or-later WITH GCC-exception-3.1"),
            ("GPL-2+ with OpenSSL exception", "LicenseRef-Debian-GPL-2--with-OpenSSL-exception"),
            ("public-domain", "LicenseRef-Debian-public-domain"),
            ("GPL-2+ or Artistic, and BSD-3-clause", "(GPL-2.0-or-later OR Artistic-1.0) AND (BSD-3-Clause)"),
        ] {
            let text = format!("Files: *\nCopyright: x\nLicense: {synopsis}\n");
            assert_eq!(of(&text).as_deref(), Some(expression), "{synopsis}");
        }
    }

    #[test]
    fn free_words_are_left_unread() {
        assert_eq!(license("This package was debianized by somebody.\n\nLicense: MIT\n"), None);
        assert_eq!(license(""), None);
        assert_eq!(of("Files: *\nnot a field\n"), None);
    }
}
