//! Whether each wheel admits the Python that it will run under.

use crate::interpreter::TargetEnvironment;
use crate::select::hangs_on_release;
use crate::specifier::Constraint;
use crate::wheel::Wheel;
use kiln_record::{Code, Finding};
use pep440_rs::Version;
use std::str::FromStr as _;

/// A `requires-python-mismatch` for each wheel whose own `Requires-Python` excludes the target's Python:
/// pip would not install it, and a lock made for another Python has such wheels. Where that hangs on the bug-fix release
/// and the base is on the other side, it is `patch-level-decides`.
///
/// Metadata that is no list of specifiers by PEP 440 is passed over: pip ignores it as well.
#[must_use]
pub fn wheels_requiring_other_python(wheels: &[&Wheel], environment: &TargetEnvironment) -> Vec<Finding> {
    wheels
        .iter()
        .filter_map(|wheel| {
            let required = wheel.requires_python.as_deref()?;
            let constraint = Constraint::pep440(required).ok()?;
            let accepts =
                |release: &str| Version::from_str(release).ok().map(|version| constraint.contains(&version));
            if accepts(environment.release())? {
                let matters = environment.releases_differ(accepts).filter(|matters| !matters.base)?;
                let subject = format!("{} {} requires Python `{required}`, which", wheel.name, wheel.version);
                return Some(hangs_on_release(wheel.name.as_str(), &subject, &matters, environment));
            }
            Some(
                Finding::new(
                    Code::RequiresPythonMismatch,
                    wheel.name.as_str(),
                    format!(
                        "{} {} requires Python `{required}`, but {}",
                        wheel.name,
                        wheel.version,
                        environment.release_told()
                    ),
                )
                .remedy(format!("lock a version of {} for this Python", wheel.name))
                .remedy("or use a base and runtime with a Python that it admits"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::interpreter;
    use kiln_record::{Architecture, Metadata, Runtime};

    fn findings(required: Option<&str>) -> Vec<Code> {
        let wheel = Wheel {
            name: "one".parse().unwrap(),
            version: "1".to_owned(),
            files: Vec::new(),
            metadata: Metadata::default(),
            requires_dist: Vec::new(),
            requires_python: required.map(str::to_owned),
            extras: Vec::new(),
            top_level: Vec::new(),
            dist_info: "one-1.dist-info".to_owned(),
            embedded_sboms: Vec::new(),
            license_files: Vec::new(),
        };
        let base = interpreter("3.11.2", (2, 36), "x86_64");
        let runtime = Runtime::named("python3.11").unwrap();
        let environment = TargetEnvironment::new(&base, runtime, Architecture::Amd64).unwrap();
        wheels_requiring_other_python(&[&wheel], &environment).into_iter().map(|f| f.code).collect()
    }

    #[test]
    fn only_a_constraint_that_excludes_the_interpreter_counts() {
        for fits in [None, Some(">=3.8"), Some("nonsense")] {
            assert_eq!(findings(fits), []);
        }
        for other in [">=3.12", "<3.11", "<3.11.10"] {
            assert_eq!(findings(Some(other)), [Code::RequiresPythonMismatch], "{other}");
        }
        // The base's 3.11.2 is none that it admits, the target's is.
        assert_eq!(findings(Some(">=3.11.4")), [Code::PatchLevelDecides]);
    }
}
