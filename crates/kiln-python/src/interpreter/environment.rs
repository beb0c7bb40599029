//! The environment that an artifact will run in, as far as packaging cares: marker values and loadable wheel
//! tags.

use super::probe::Interpreter;
use super::tags::cpython_tags;
use crate::error::PythonError;
use crate::specifier::{Marker, Variable};
use kiln_record::{Architecture, Runtime};
use std::collections::{BTreeMap, BTreeSet};

/// Marker values as the *target* has them, and the wheel tags that both the base and the target can load.
#[derive(Clone, Debug)]
pub struct TargetEnvironment {
    values: BTreeMap<String, String>,
    tags: Vec<String>,
    ranks: BTreeMap<String, usize>,
    python: (u32, u32),
    release: String,
    release_known: Option<String>,
    base_version: String,
    base_glibc: Option<(u32, u32)>,
    glibc: Option<(u32, u32)>,
    runtime: String,
    runtime_system: String,
    runtime_glibc: (u32, u32),
    machine: &'static str,
}

/// Whether a marker holds, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it holds.
    pub value: bool,
    /// Each variable that the marker names with its value in the target, such as `python_version = "3.13"`,
    /// sorted.
    pub values: Vec<String>,
}

/// How a condition hangs on the bug-fix release of Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PatchMatters {
    /// Whether it holds for the target.
    pub(crate) target: bool,
    /// Whether it holds for the base's Python.
    pub(crate) base: bool,
    /// The first later release of the same minor version for which it is otherwise than for the target.
    pub(crate) later: Option<String>,
}

/// The highest bug-fix release that is tried; no minor version of Python has had more than 25.
const NEWEST_PATCH: u32 = 40;

/// What the one who evaluates a marker asks for.
pub(crate) struct Asked<'a> {
    /// Extras, in normal form.
    pub(crate) extras: &'a [String],
    /// Dependency groups.
    pub(crate) groups: &'a [String],
}

impl TargetEnvironment {
    /// Joins what the base has with what the runtime has.
    ///
    /// `platform_release` and `platform_version` are left out: they describe the kernel of whatever machine
    /// evaluates them, and a build must not depend on that. The full version of Python is the runtime's, as
    /// far as its bug-fix release is known, and the base's otherwise.
    ///
    /// # Errors
    /// [`PythonError::PythonDiffers`] if the base's interpreter is not CPython of the runtime's version (its
    /// bug-fix release may be another); [`PythonError::MachineDiffers`] if the base
    /// is for another machine.
    pub fn new(
        base: &Interpreter,
        runtime: &Runtime,
        architecture: Architecture,
    ) -> Result<Self, PythonError> {
        let implementation = base.markers.get("implementation_name").map_or("", String::as_str);
        if runtime.python != Some(base.python()) || implementation != "cpython" {
            let prefix =
                if implementation == "cpython" { String::new() } else { format!("{implementation} ") };
            return Err(PythonError::PythonDiffers {
                base: format!("{prefix}{}", base.version),
                runtime: runtime.name.clone(),
                expected: runtime.python.map_or_else(
                    || "no Python".to_owned(),
                    |(major, minor)| format!("CPython {major}.{minor}"),
                ),
            });
        }
        let machine = architecture.machine();
        if base.machine != machine {
            return Err(PythonError::MachineDiffers {
                base: base.machine.clone(),
                expected: machine.to_owned(),
            });
        }
        let python = base.python();
        let glibc = base.glibc.map(|base| base.min(runtime.system.glibc));
        let loads: BTreeSet<&str> = base.tags.iter().map(String::as_str).collect();
        let mut tags = cpython_tags(python.1, glibc, machine);
        tags.retain(|tag| loads.contains(tag.as_str()));
        let ranks = tags.iter().enumerate().map(|(rank, tag)| (tag.clone(), rank)).collect();
        let mut values = base.markers.clone();
        values.retain(|name, _| {
            Variable::ENVIRONMENT.iter().any(|v| {
                v.name() == name && !matches!(v, Variable::PlatformRelease | Variable::PlatformVersion)
            })
        });
        let release = runtime.python_release().unwrap_or_else(|| base.version.clone());
        // CPython's own version is that of the language.
        for variable in [Variable::PythonFullVersion, Variable::ImplementationVersion] {
            values.insert(variable.name().to_owned(), release.clone());
        }
        Ok(Self {
            values,
            tags,
            ranks,
            python,
            release,
            release_known: runtime.python_patch.as_ref().map(|patch| patch.known.clone()),
            base_version: base.version.clone(),
            base_glibc: base.glibc,
            glibc,
            runtime: runtime.name.clone(),
            runtime_system: runtime.system.name.clone(),
            runtime_glibc: runtime.system.glibc,
            machine,
        })
    }

    /// Wheel tags that both the base and the target load, best first.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// The values of the nine marker variables that do not depend on the machine that builds.
    #[must_use]
    pub fn marker_values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// The lower of the base's and the runtime's glibc; `None` if the base has another C library.
    #[must_use]
    pub fn glibc(&self) -> Option<(u32, u32)> {
        self.glibc
    }

    /// Major and minor version of Python, the same in base and target.
    #[must_use]
    pub fn python(&self) -> (u32, u32) {
        self.python
    }

    /// The full version of the target's Python, such as `3.11.13`.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The full version of the base's Python, which is what the checks run.
    #[must_use]
    pub fn base_release(&self) -> &str {
        &self.base_version
    }

    /// The target's Python for messages, with how it is known: `python3.11 has Python 3.11.13 (seen on 2025-06-16)`.
    #[must_use]
    pub fn release_told(&self) -> String {
        match &self.release_known {
            Some(known) => format!("{} has Python {} ({known})", self.runtime, self.release),
            None => format!(
                "kiln does not know the bug-fix release of {}: the base's, {}, is taken",
                self.runtime, self.release
            ),
        }
    }

    /// Whether the workspace states that release itself.
    #[must_use]
    pub fn is_release_stated(&self) -> bool {
        self.release_known.as_deref().is_some_and(|known| known.starts_with("kiln.toml"))
    }

    /// The target's name.
    #[must_use]
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// Evaluates a marker for the target. With several extras it holds if it holds for any of them, as in
    /// pip.
    ///
    /// # Errors
    /// [`PythonError::Marker`] if the text is no marker, or if its value depends on the kernel.
    pub fn evaluate(&self, marker: &str, extras: &[String]) -> Result<Verdict, PythonError> {
        let parsed = Marker::parse(marker)?;
        let none = [String::new()];
        let asked = if extras.is_empty() { &none } else { extras };
        let mut value = Some(false);
        for extra in asked {
            let value_of = |variable| match variable {
                Variable::Extras => Some(extras.join(",")),
                other => self.value(other, extra),
            };
            match parsed.evaluate(&value_of) {
                Some(true) => {
                    value = Some(true);
                    break;
                }
                Some(false) => {}
                None => value = None,
            }
        }
        self.verdict(&parsed, marker, value, &Asked { extras, groups: &[] })
    }

    /// Evaluates a marker for the target with extras and groups as sets: `extra == 'a' and extra != 'b'` asks
    /// for one and against the other, as `uv.lock` and PEP 751 mean it.
    pub(crate) fn evaluate_asked(&self, marker: &str, asked: &Asked<'_>) -> Result<Verdict, PythonError> {
        let parsed = Marker::parse(marker)?;
        let (extras, groups) = (asked.extras.join(","), asked.groups.join(","));
        let value = parsed.evaluate(&|variable| match variable {
            Variable::Extra | Variable::Extras => Some(extras.clone()),
            Variable::DependencyGroups => Some(groups.clone()),
            other => self.value(other, ""),
        });
        self.verdict(&parsed, marker, value, asked)
    }

    /// Whether a marker's value is another for another bug-fix release of the same Python; `None` if it is the same
    /// for all of them, or no marker.
    pub(crate) fn patch_matters(&self, marker: &str, asked: &Asked<'_>) -> Option<PatchMatters> {
        let parsed = Marker::parse(marker).ok()?;
        let is_release = |v| matches!(v, Variable::PythonFullVersion | Variable::ImplementationVersion);
        if !parsed.variables().into_iter().any(is_release) {
            return None;
        }
        let (extras, groups) = (asked.extras.join(","), asked.groups.join(","));
        let at = |release: &str| {
            parsed.evaluate(&|variable| match variable {
                Variable::Extra | Variable::Extras => Some(extras.clone()),
                Variable::DependencyGroups => Some(groups.clone()),
                v if is_release(v) => Some(release.to_owned()),
                other => self.value(other, ""),
            })
        };
        self.releases_differ(at)
    }

    /// The same for any condition on the full version of Python.
    pub(crate) fn releases_differ(&self, holds: impl Fn(&str) -> Option<bool>) -> Option<PatchMatters> {
        let (target, base) = (holds(&self.release)?, holds(&self.base_version)?);
        let (major, minor) = self.python;
        let own = self.release.split('.').nth(2).and_then(|patch| patch.parse::<u32>().ok()).unwrap_or(0);
        let mut differs = target != base;
        let mut later = None;
        for patch in 0..=NEWEST_PATCH {
            let release = format!("{major}.{minor}.{patch}");
            if holds(&release)? != target {
                differs = true;
                if patch > own && later.is_none() {
                    later = Some(release);
                }
            }
        }
        differs.then_some(PatchMatters { target, base, later })
    }

    fn verdict(
        &self,
        parsed: &Marker,
        marker: &str,
        value: Option<bool>,
        asked: &Asked<'_>,
    ) -> Result<Verdict, PythonError> {
        let value = value.ok_or_else(|| PythonError::Marker {
            marker: marker.chars().take(200).collect(),
            reason: "its value depends on the kernel that it runs on, which AWS chooses and changes"
                .to_owned(),
        })?;
        let values = parsed
            .variables()
            .into_iter()
            .map(|variable| {
                let value = match variable {
                    Variable::Extra | Variable::Extras => asked.extras.join(", "),
                    Variable::DependencyGroups => asked.groups.join(", "),
                    other => self.value(other, "").unwrap_or_else(|| "?".to_owned()),
                };
                format!("{} = \"{value}\"", variable.name())
            })
            .collect();
        Ok(Verdict { value, values })
    }

    pub(crate) fn value(&self, variable: Variable, extra: &str) -> Option<String> {
        match variable {
            Variable::Extra => Some(extra.to_owned()),
            Variable::Extras | Variable::DependencyGroups => Some(String::new()),
            other => self.values.get(other.name()).cloned(),
        }
    }

    /// The place of a tag in [`TargetEnvironment::tags`].
    pub(crate) fn rank(&self, tag: &str) -> Option<usize> {
        self.ranks.get(tag).copied()
    }

    /// `platform.machine()` of base and target.
    #[must_use]
    pub fn machine(&self) -> &'static str {
        self.machine
    }

    /// Who has the C library that caps wheels: `python3.11 on Amazon Linux 2`, or the base where its is
    /// older.
    pub(crate) fn holder_of_glibc(&self) -> String {
        if self.glibc == Some(self.runtime_glibc) {
            format!("{} on {}", self.runtime, self.runtime_system)
        } else {
            "the base".to_owned()
        }
    }

    /// Which wheels fit, in one line.
    pub(crate) fn summary(&self) -> String {
        let (major, minor) = self.python;
        let platform = match self.glibc {
            Some((a, b)) => format!("manylinux up to {a}.{b} for {} or any", self.machine),
            None => "any".to_owned(),
        };
        format!("cp{major}{minor}, or abi3 and py3 for an earlier Python 3; {platform}")
    }

    /// What C library the base and the runtime have, as a clause:
    /// `the base has glibc 2.36, and python3.11 (Amazon Linux 2) has glibc 2.26`.
    pub(crate) fn c_libraries(&self) -> String {
        let base =
            self.base_glibc.map_or_else(|| "another C library".to_owned(), |(a, b)| format!("glibc {a}.{b}"));
        let (major, minor) = self.runtime_glibc;
        format!(
            "the base has {base}, and {} ({}) has glibc {major}.{minor}",
            self.runtime, self.runtime_system
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::interpreter;

    fn target(version: &str, runtime: &str) -> Result<TargetEnvironment, PythonError> {
        let base = interpreter(version, (2, 41), "x86_64");
        TargetEnvironment::new(&base, Runtime::named(runtime).unwrap(), Architecture::Amd64)
    }

    #[test]
    fn a_verdict_carries_the_values() {
        let env = target("3.13.5", "python3.13").unwrap();
        let verdict = env.evaluate("python_version == '3.12' and sys_platform == 'linux'", &[]).unwrap();
        assert!(!verdict.value);
        assert_eq!(verdict.values, ["python_version = \"3.13\"", "sys_platform = \"linux\""]);
        let extras = ["a".to_owned(), "b".to_owned()];
        assert!(env.evaluate("extra == 'b'", &extras).unwrap().value);
        assert!(!env.evaluate("extra == 'b'", &[]).unwrap().value);
    }

    #[test]
    fn the_kernel_is_never_asked() {
        let env = target("3.13.5", "python3.13").unwrap();
        assert!(!env.marker_values().contains_key("platform_release"));
        assert!(env.evaluate("platform_release >= '5'", &[]).is_err());
        assert!(!env.evaluate("platform_release >= '5' and os_name == 'nt'", &[]).unwrap().value);
    }

    #[test]
    fn base_and_target_must_agree() {
        let error = target("3.13.5", "python3.12").unwrap_err().to_string();
        assert!(error.contains("3.13.5") && error.contains("python3.12"), "{error}");
        assert!(target("3.13.5", "provided.al2023").is_err());
        let base = interpreter("3.13.5", (2, 41), "x86_64");
        let runtime = Runtime::named("python3.13").unwrap();
        assert!(matches!(
            TargetEnvironment::new(&base, runtime, Architecture::Arm64),
            Err(PythonError::MachineDiffers { .. })
        ));
        let mut pypy = base;
        pypy.markers.insert("implementation_name".to_owned(), "pypy".to_owned());
        assert!(TargetEnvironment::new(&pypy, runtime, Architecture::Amd64).is_err());
    }

    #[test]
    fn glibc_is_the_lower_one() {
        assert_eq!(target("3.13.5", "python3.13").unwrap().glibc(), Some((2, 34)));
        assert_eq!(target("3.11.2", "python3.11").unwrap().tags()[0], "cp311-cp311-manylinux_2_26_x86_64");
    }

    #[test]
    fn arm_has_its_own_tags() {
        let base = interpreter("3.13.1", (2, 41), "aarch64");
        let env = TargetEnvironment::new(&base, Runtime::named("python3.13").unwrap(), Architecture::Arm64)
            .unwrap();
        assert_eq!(env.tags()[0], "cp313-cp313-manylinux_2_34_aarch64");
        assert!(!env.tags().iter().any(|t| t.contains("manylinux1_") || t.contains("x86")));
    }
}
