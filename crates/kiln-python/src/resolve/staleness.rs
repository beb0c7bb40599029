//! Whether a lock that kiln wrote belongs to its input and its target.

use super::declaration::Declaration;
use crate::interpreter::TargetEnvironment;
use crate::lock::{Lock, LockHeader, LockTarget};
use kiln_record::{Code, Finding, Place};
use pep440_rs::Version;
use std::str::FromStr;

/// Judges whether a lock is the one of an artifact: made for its target, and from what its input asks for.
/// `declaration` is what the manifest's `requirements` says, if it names one; `command` makes the lock again.
#[must_use]
pub fn is_of_input(
    lock_file: &str,
    lock_text: &str,
    declaration: Option<&Declaration>,
    environment: &TargetEnvironment,
    command: &str,
) -> Vec<Finding> {
    let stale = |cause: String| Finding::new(Code::LockStale, lock_file, cause).at(Place::file(lock_file));
    let header = match (LockHeader::read(lock_text), declaration) {
        (None, None) => return Vec::new(),
        (None, Some(declaration)) => {
            let cause = format!(
                "it was not made by kiln, so nothing says that it belongs to {}, which the manifest names as its input",
                declaration.file
            );
            return vec![
                stale(cause)
                    .remedy(format!("make it: {command}"))
                    .remedy("or remove `requirements` from [python] of the manifest"),
            ];
        }
        (Some(Err(message)), _) => return vec![stale(message).remedy(format!("make it again: {command}"))],
        (Some(Ok(header)), _) => header,
    };
    let mut findings = Vec::new();
    match LockTarget::of(environment) {
        Some(target) if target == header.target => {}
        other => {
            let now = other.map_or_else(|| "a base without glibc".to_owned(), |target| target.to_string());
            let mut finding =
                stale(format!("the lock was made for {}, but the artifact is for {now}", header.target));
            // What makes it again for this artifact would take it from the other.
            if header.command != command {
                finding = finding.remedy(format!(
                    "if it is the lock of another artifact, too (it was made by: {}), give each a lock of its own",
                    header.command
                ));
            }
            findings.push(
                finding
                    .remedy(format!("lock again: {command}"))
                    .remedy("or take back the change to the base or the target"),
            );
        }
    }
    if let Some(declaration) = declaration
        && declaration.digest() != header.declared
    {
        let cause = if declaration.file == header.input {
            format!("the lock was made before {} changed: it asks for something else now", declaration.file)
        } else {
            format!("the lock was made from {}, but the manifest names {}", header.input, declaration.file)
        };
        findings.push(
            stale(cause)
                .remedy(format!("lock again: {command}"))
                .remedy("or take back the change, of the file or of `groups` and `extras` in the manifest"),
        );
    }
    findings
}

/// What is asked for on the target and not in the lock, or in another version than asked for.
#[must_use]
pub fn declared_not_locked(
    declaration: &Declaration,
    lock: &Lock,
    environment: &TargetEnvironment,
    command: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for wanted in &declaration.wanted {
        let declared = &wanted.declared;
        let at = Place::line(&declared.file, declared.line);
        let place = format!("`{}` ({at})", declared.text);
        let applies = match &declared.marker {
            None => true,
            Some(marker) => match environment.evaluate(marker, &[]) {
                Ok(verdict) => verdict.value,
                // Whoever made the lock evaluated it, and a lock cannot be judged by what cannot be evaluated
                // here.
                Err(_) => continue,
            },
        };
        if !applies {
            continue;
        }
        let locked: Vec<_> =
            lock.distributions.iter().filter(|locked| locked.name == declared.name).collect();
        let cause = if locked.is_empty() {
            format!("{place} is declared, but {} does not have it", lock.name)
        } else {
            let fits = locked.iter().any(|locked| {
                let version = Version::from_str(&locked.version);
                declared.constraint.as_ref().is_none_or(|constraint| {
                    version.as_ref().is_ok_and(|version| constraint.contains(version))
                })
            });
            // An override replaces what the project itself asks for, too.
            if fits || !declaration.overrides.is_empty() {
                continue;
            }
            format!("{place} is declared, but {} has {}", lock.name, locked[0].version)
        };
        findings.push(
            Finding::new(Code::DeclaredNotInstalled, declared.name.as_str(), cause)
                .at(at)
                .detail("the lock was edited by hand, or damaged")
                .remedy(format!("lock again: {command}")),
        );
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::interpreter;
    use crate::resolve::resolution::tests::{header, resolution};
    use crate::{declare_requirements, parse_requirements, render_lock};
    use kiln_record::{Architecture, Digest, Runtime};

    fn environment(version: &str, runtime: &str) -> TargetEnvironment {
        let base = interpreter(version, (2, 36), "x86_64");
        TargetEnvironment::new(&base, Runtime::named(runtime).unwrap(), Architecture::Amd64).unwrap()
    }

    fn declare(text: &str) -> Declaration {
        declare_requirements("app/r.in", text, &mut |_| None).unwrap()
    }

    #[test]
    fn a_lock_of_another_input_or_target_is_stale() {
        let input = declare("uvicorn[standard]\nclick\n");
        let text = render_lock(&header(input.digest()), &resolution());
        let judge = |text: &str, declaration: Option<&Declaration>, environment: &TargetEnvironment| {
            let found = is_of_input("app/r.txt", text, declaration, environment, "kiln lock app");
            found
                .iter()
                .map(|finding| format!("{}: {}", finding.code.as_str(), finding.cause))
                .collect::<Vec<_>>()
        };
        let here = environment("3.11.9", "python3.11");
        assert_eq!(judge(&text, Some(&input), &here), [""; 0]);
        assert_eq!(judge(&text, Some(&declare("# x\nclick\nuvicorn[standard]")), &here), [""; 0]);
        assert_eq!(judge("six==1\n", None, &here), [""; 0]);
        let found = judge(&text, Some(&declare("click\n")), &here);
        assert!(found[0].starts_with("lock-stale: the lock was made before app/r.in changed"), "{found:?}");
        let found = judge(&text, None, &environment("3.13.5", "python3.13"));
        assert!(
            found[0].contains(
                "for python 3.11 x86_64 glibc 2.26, but the artifact is for python 3.13 x86_64 glibc 2.34"
            ),
            "{found:?}"
        );
        let found = judge("six==1\n", Some(&input), &here);
        assert!(found[0].contains("not made by kiln"), "{found:?}");

        let other = environment("3.13.5", "python3.13");
        let first =
            |command: &str| is_of_input("app/r.txt", &text, None, &other, command)[0].remedy[0].clone();
        assert_eq!(first("kiln lock app"), "lock again: kiln lock app");
        assert_eq!(
            first("kiln lock two"),
            "if it is the lock of another artifact, too (it was made by: kiln lock app), give each a lock of its own"
        );
    }

    #[test]
    fn what_is_asked_for_must_be_locked() {
        let text = render_lock(&header(Digest::of(b"")), &resolution());
        let lock = parse_requirements("app/r.txt", &text, &mut |_| None).unwrap();
        let here = environment("3.11.2", "python3.11");
        let judge = |text: &str| {
            let found = declared_not_locked(&declare(text), &lock, &here, "kiln lock app");
            found.into_iter().map(|finding| (finding.subject, finding.cause)).collect::<Vec<_>>()
        };
        assert_eq!(judge("click>=8\nuvicorn\nsix ; python_version < '3'\n"), []);
        let found = judge("six\nclick>=9\n");
        assert!(found[0].1.contains("app/r.txt does not have it"), "{found:?}");
        assert!(
            found[1].1.contains("`click>=9` (app/r.in:2)") && found[1].1.contains("has 8.1.7"),
            "{found:?}"
        );
    }
}
