//! Whether each wheel admits the interpreter that it will run under.

use crate::interpreter::Interpreter;
use crate::specifier::Constraint;
use crate::wheel::Wheel;
use kiln_record::{Code, Finding};
use pep440_rs::Version;
use std::str::FromStr as _;

/// A `requires-python-mismatch` for each wheel whose own `Requires-Python` excludes the base's interpreter:
/// pip would not install it, and a lock made for another Python has such wheels.
///
/// Metadata that is no list of specifiers by PEP 440 is passed over: pip ignores it as well.
#[must_use]
pub fn wheels_requiring_other_python(wheels: &[&Wheel], interpreter: &Interpreter) -> Vec<Finding> {
    let Ok(version) = Version::from_str(&interpreter.version) else { return Vec::new() };
    wheels
        .iter()
        .filter_map(|wheel| {
            let required = wheel.requires_python.as_deref()?;
            let admitted = Constraint::pep440(required).ok()?.contains(&version);
            if admitted {
                return None;
            }
            Some(
                Finding::new(
                    Code::RequiresPythonMismatch,
                    wheel.name.as_str(),
                    format!(
                        "{} {} requires Python `{required}`, but the base has Python {version}",
                        wheel.name, wheel.version
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
    use kiln_record::Metadata;
    use std::collections::BTreeMap;

    fn findings(required: Option<&str>) -> usize {
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
        };
        let interpreter = Interpreter {
            version: "3.11.2".to_owned(),
            markers: BTreeMap::new(),
            soabi: String::new(),
            extension_suffixes: Vec::new(),
            tags: Vec::new(),
            stdlib: Vec::new(),
            builtins: Vec::new(),
            distributions: Vec::new(),
            glibc: None,
            pip: None,
            pip_wheel: None,
            index: None,
            machine: "x86_64".to_owned(),
        };
        wheels_requiring_other_python(&[&wheel], &interpreter).len()
    }

    #[test]
    fn only_a_constraint_that_excludes_the_interpreter_counts() {
        assert_eq!(findings(None), 0);
        assert_eq!(findings(Some(">=3.8")), 0);
        assert_eq!(findings(Some("nonsense")), 0);
        assert_eq!(findings(Some(">=3.12")), 1);
        assert_eq!(findings(Some("<3.11")), 1);
    }
}
