//! What publishers state of what they publish, held against the files themselves.

use kiln_record::{Code, Component, Digest, Finding, Linked, TreePath, counted, crate_of_url};
use std::collections::{BTreeMap, BTreeSet};

/// Crates that are named in one finding.
const NAMED: usize = 20;

/// `license-differs`: the licence texts that a component brings have nothing in common with what it declares.
#[must_use]
pub fn check_license_texts(component: &Component) -> Option<Finding> {
    let declared = component.metadata.declared_license()?;
    let texts = component.license_texts().contradicting;
    if texts.is_empty() {
        return None;
    }
    let name = &component.name;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let cause = format!("{name} declares {declared}, and the text that it brings is {}", texts.join(" and "));
    let finding = Finding::new(Code::LicenseDiffers, name, cause);
    let files = component.license_files.iter().filter_map(|(path, license)| Some((path, license.as_ref()?)));
    Some(
        files
            .fold(finding, |finding, (path, license)| finding.detail(format!("{path} is {license}")))
            .remedy(format!("ask the publisher of {name} which holds; what was concluded from the text is in the bill of materials"))
            .remedy("or accept it in the policy, with the reason"),
    )
}

/// `sbom-contradicted`: a component's own bill of materials states another digest of a crate than the registry's archive has, which
/// `archive` tells by name and version.
#[must_use]
pub fn check_hashes(
    component: &Component,
    archive: impl Fn(&str, &str) -> Option<Digest>,
) -> Option<Finding> {
    let mut others = Vec::new();
    for part in &component.embedded {
        let (Some(stated), Some((crate_name, version))) =
            (part.sha256, part.purl.as_deref().and_then(crate_of_url))
        else {
            continue;
        };
        if let Some(digest) = archive(&crate_name, &version).filter(|digest| *digest != stated) {
            let bill = &part.stated_in;
            others
                .push(format!("{crate_name} {version}: {bill} states {stated}, and kiln.lock has {digest}"));
        }
    }
    if others.is_empty() {
        return None;
    }
    let name = &component.name;
    let cause = match others.len() {
        1 => format!("the bill of materials of {name} states another digest of a crate than its archive has"),
        n => {
            let crates = counted(n, "crates");
            format!(
                "the bill of materials of {name} states other digests of {crates} than their archives have"
            )
        }
    };
    let finding = Finding::new(Code::SbomContradicted, name, cause);
    let finding = others.iter().take(NAMED).fold(finding, |finding, other| finding.detail(other.clone()));
    Some(
        finding
            .remedy(format!("ask the publisher of {name} which archives it was built from"))
            .remedy("or accept it in the policy, with the reason"),
    )
}

/// `sbom-contradicted`: the bytes of a component's native files show crates that its own list of crates does not name. `linked` has
/// what is linked into each of them.
#[must_use]
pub fn check_bills<'a>(
    component: &Component,
    linked: impl Iterator<Item = (&'a TreePath, &'a Linked)>,
) -> Option<Finding> {
    let mut bills: BTreeSet<&str> = BTreeSet::new();
    let mut crates: BTreeMap<String, &TreePath> = BTreeMap::new();
    for (path, part) in linked {
        let silent = part.contradicts(component);
        if !silent.is_empty() {
            bills.extend(silent);
            let version = part.version.as_deref().unwrap_or_default();
            crates.entry(format!("{} {version}", part.name)).or_insert(path);
        }
    }
    if crates.is_empty() {
        return None;
    }
    let name = &component.name;
    let bills: Vec<&str> = bills.into_iter().collect();
    let cause = match crates.len() {
        1 => format!("a crate is linked into {name} that its own bill of materials does not name"),
        n => format!("{n} crates are linked into {name} that its own bill of materials does not name"),
    };
    let mut finding = Finding::new(Code::SbomContradicted, name, cause)
        .detail(format!("the list of crates is in {}", bills.join(" and ")));
    for (named, path) in crates.iter().take(NAMED) {
        finding = finding.detail(format!("{named}, by paths of its sources in {path}"));
    }
    if crates.len() > NAMED {
        finding = finding.detail(format!("and {} more", crates.len() - NAMED));
    }
    Some(
        finding
            .remedy(format!("ask the publisher of {name} how its list was made; what is linked in is in this artifact's own"))
            .remedy("or accept it in the policy, with the reason"),
    )
}
