//! Which package of its base brought a library that is linked into what a step made.
//!
//! A step has nothing to link with but its base and what it is given. So where the bytes show Rust's standard library or glibc, and one
//! package of the base lists the file of that library, in that version, it is taken to have come in that package. Bytes that show no
//! version tell too little: of musl nothing is told.

use crate::StepError;
use kiln_guest::{Bases, StaticLibrary, static_libraries};
use kiln_plan::{ArtifactPlan, StepInput};
use kiln_record::{Archive, LinkEvidence, Linked};
use std::collections::BTreeSet;

/// The packages that brought what is linked into files of a step, in the order of `linked`.
///
/// # Errors
/// If a package of a base cannot be had or read.
pub async fn linked_from_bases(
    bases: &Bases,
    plan: &ArtifactPlan,
    step: &str,
    linked: &[&Linked],
) -> Result<Vec<Option<Archive>>, StepError> {
    let mut libraries = Vec::new();
    if linked.iter().any(|part| Sought::of(part).is_some()) {
        for index in steps_behind(plan, step) {
            libraries.extend(static_libraries(bases.network(), &plan.steps[index].base).await?);
        }
    }
    Ok(linked.iter().map(|part| brought_in(part, linked, &libraries)).collect())
}

/// A step and those whose outputs it is given, and theirs.
fn steps_behind(plan: &ArtifactPlan, step: &str) -> BTreeSet<usize> {
    let steps = &plan.manifest.steps;
    let at = |name: &str| steps.iter().position(|other| other.name == *name);
    let mut all = BTreeSet::new();
    let mut next: Vec<usize> = at(step).into_iter().collect();
    while let Some(index) = next.pop() {
        if all.insert(index) {
            next.extend(steps[index].inputs.iter().filter_map(|input| match input {
                StepInput::Step { step, .. } => at(step),
                StepInput::Files { .. } | StepInput::Crates { .. } => None,
            }));
        }
    }
    all
}

/// The file that a linked part is in a base.
enum Sought<'a> {
    /// An archive of Rust's: `libNAME-HASH.rlib`.
    Rust { name: String, version: Option<&'a str> },
    /// The C library of GNU.
    Glibc { version: Option<&'a str> },
}

impl<'a> Sought<'a> {
    /// What else is linked in may come from elsewhere than the base.
    fn of(part: &'a Linked) -> Option<Self> {
        let version = part.version.as_deref();
        match (part.evidence, part.name.as_str()) {
            (LinkEvidence::RustSource, "rust-std") => Some(Self::Rust { name: "std".to_owned(), version }),
            // The package has the version of Rust, and not that of the crate: it is that of the standard library beside it.
            (LinkEvidence::RustSource, name) => {
                Some(Self::Rust { name: name.replace('-', "_"), version: None })
            }
            (LinkEvidence::VersionString, "glibc") => Some(Self::Glibc { version }),
            _ => None,
        }
    }

    fn is(&self, library: &StaticLibrary) -> bool {
        let file = library.path.file_name();
        match self {
            Self::Rust { name, version } => {
                let hash = file.strip_prefix("lib").and_then(|rest| rest.strip_prefix(name.as_str()));
                let is_named = hash.is_some_and(|rest| rest.starts_with('-') && rest.ends_with(".rlib"));
                is_named && library.path.as_str().contains("/rustlib/") && is_of(library, *version)
            }
            Self::Glibc { version } => {
                file == "libc.a" && !library.path.as_str().contains("musl") && is_of(library, *version)
            }
        }
    }
}

/// Whether a library's package is of an upstream version: `1.85.1+dfsg1-1` is of `1.85.1`.
fn is_of(library: &StaticLibrary, upstream: Option<&str>) -> bool {
    let Some(upstream) = upstream else { return true };
    let version = library.version.split_once(':').map_or(library.version.as_str(), |(_, rest)| rest);
    let rest = version.strip_prefix(upstream);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.'))
}

/// The one package that has a part of a file, which has these parts.
fn brought_in(part: &Linked, all: &[&Linked], libraries: &[StaticLibrary]) -> Option<Archive> {
    let sought = Sought::of(part)?;
    let mut found = libraries.iter().filter(|library| sought.is(library)).map(|library| &library.package);
    let first = found.next()?;
    if !found.all(|other| other.digest == first.digest) {
        return None;
    }
    let is_without_version = matches!(sought, Sought::Rust { version: None, .. });
    let of_std = || {
        let mut std = all.iter().filter(|other| other.name == "rust-std" && other.version.is_some());
        std.next().and_then(|std| brought_in(std, all, libraries))
    };
    (!is_without_version || of_std().is_some_and(|std| std.digest == first.digest)).then(|| first.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_record::{Digest, TreePath};

    fn library(path: &str, file: &str, version: &str) -> StaticLibrary {
        StaticLibrary {
            path: TreePath::new(path).unwrap(),
            version: version.to_owned(),
            package: Archive {
                file_name: file.to_owned(),
                digest: Digest::of(file.as_bytes()),
                sha512: "0".repeat(128),
                license: None,
                member: Some(path.to_owned()),
            },
        }
    }

    fn part(name: &str, version: Option<&str>, evidence: LinkEvidence) -> Linked {
        Linked {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            purl: format!("pkg:generic/{name}"),
            evidence,
            archive: None,
        }
    }

    /// The paths are those of Debian 13's packages.
    #[test]
    fn a_library_is_from_the_one_package_that_lists_it_in_its_version() {
        let rust = "usr/lib/rustlib/x86_64-unknown-linux-gnu/lib";
        let mut libraries = vec![
            library(&format!("{rust}/libstd-8389830094602f5a.rlib"), "std.deb", "1.85.1+dfsg1-1+deb13u1"),
            library(
                &format!("{rust}/librustc_demangle-1f6d1da47aa1d1f7.rlib"),
                "std.deb",
                "1.85.1+dfsg1-1+deb13u1",
            ),
            library("usr/lib/x86_64-linux-gnu/libc.a", "libc6-dev.deb", "2.41-12+deb13u5"),
            library("usr/lib/x86_64-linux-musl/libc.a", "musl-dev.deb", "1.2.5-3"),
        ];
        let std = part("rust-std", Some("1.85.1"), LinkEvidence::RustSource);
        let found = |part: &Linked, libraries: &[StaticLibrary]| {
            brought_in(part, &[part, &std], libraries).map(|archive| archive.file_name)
        };
        assert_eq!(found(&std, &libraries).as_deref(), Some("std.deb"));
        let demangle = part("rustc-demangle", Some("0.1.24"), LinkEvidence::RustSource);
        assert_eq!(found(&demangle, &libraries).as_deref(), Some("std.deb"));
        // In a file whose standard library is of no known version, or of another one, it is from elsewhere.
        let other = part("rust-std", Some("1.96.0"), LinkEvidence::RustSource);
        assert_eq!(brought_in(&demangle, &[&demangle], &libraries), None);
        assert_eq!(brought_in(&demangle, &[&demangle, &other], &libraries), None);
        let glibc = part("glibc", Some("2.41"), LinkEvidence::VersionString);
        assert_eq!(found(&glibc, &libraries).as_deref(), Some("libc6-dev.deb"));
        let musl = part("musl", None, LinkEvidence::Symbol);
        assert_eq!(found(&musl, &libraries), None);
        // Another version, a part that no list has, and what a crate of its own may have brought.
        assert_eq!(found(&part("rust-std", Some("1.85"), LinkEvidence::RustSource), &libraries), None);
        assert_eq!(found(&part("rust-std", Some("1.96.0"), LinkEvidence::RustSource), &libraries), None);
        assert_eq!(found(&part("gimli", Some("0.31.1"), LinkEvidence::RustSource), &libraries), None);
        assert_eq!(found(&part("demangle", Some("1.0.0"), LinkEvidence::RustSource), &libraries), None);
        assert_eq!(found(&part("zlib", Some("1.3"), LinkEvidence::VersionString), &libraries), None);
        // Of two packages with the same library nobody knows which it was.
        libraries.push(library(&format!("{rust}/libstd-0000000000000000.rlib"), "web.deb", "1.85.1-2"));
        assert_eq!(found(&std, &libraries), None);
    }
}
