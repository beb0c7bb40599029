//! The file name of a wheel (binary distribution format, PEP 427).

use crate::error::PythonError;
use kiln_record::DistributionName;
use pep440_rs::Version;
use std::str::FromStr;

/// A wheel's file name, taken apart: `{name}-{version}(-{build})?-{python}-{abi}-{platform}.whl`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WheelName {
    /// The distribution.
    pub name: DistributionName,
    /// The version, in PEP 440's normal form.
    pub version: String,
    /// The build tag: a number and what follows it.
    pub build: Option<(u64, String)>,
    /// Every combination of its compressed tag sets: `py2.py3-none-any` holds two.
    pub tags: Vec<String>,
}

/// Most tags that one file name may stand for; the largest seen in practice is 24.
const MOST_TAGS: usize = 512;

impl WheelName {
    /// Takes a wheel's file name apart.
    ///
    /// # Errors
    /// [`PythonError::WheelName`] if the name is not one by the binary distribution format.
    pub fn parse(file_name: &str) -> Result<Self, PythonError> {
        let error = |reason: &str| PythonError::WheelName {
            file_name: file_name.chars().take(200).collect(),
            reason: reason.to_owned(),
        };
        if file_name.len() > 512 {
            return Err(error("it is longer than 512 bytes"));
        }
        let stem = file_name.strip_suffix(".whl").ok_or_else(|| error("it does not end in `.whl`"))?;
        let parts: Vec<&str> = stem.split('-').collect();
        let (name, version, build, tags) = match parts[..] {
            [name, version, python, abi, platform] => (name, version, None, [python, abi, platform]),
            [name, version, build, python, abi, platform] => {
                (name, version, Some(build), [python, abi, platform])
            }
            _ => return Err(error("it does not have five or six parts between `-`")),
        };
        let name = name.parse::<DistributionName>().map_err(|e| error(&e.to_string()))?;
        let version = Version::from_str(version).map_err(|_| error("its version is not one by PEP 440"))?;
        let build = match build {
            None => None,
            Some(text) => {
                let digits = text.bytes().take_while(u8::is_ascii_digit).count();
                let number = text[..digits]
                    .parse()
                    .map_err(|_| error("its build tag does not begin with a number"))?;
                Some((number, text[digits..].to_owned()))
            }
        };
        let [python, abi, platform] = tags.map(|set| set.to_ascii_lowercase());
        let part_is_valid =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if ![&python, &abi, &platform].iter().all(|set| set.split('.').all(part_is_valid)) {
            return Err(error("a tag is empty or has characters other than letters, digits and `_`"));
        }
        let count: usize = [&python, &abi, &platform].iter().map(|set| set.split('.').count()).product();
        if count > MOST_TAGS {
            return Err(error("its tag sets stand for too many tags"));
        }
        let mut expanded = Vec::with_capacity(count);
        for python in python.split('.') {
            for abi in abi.split('.') {
                for platform in platform.split('.') {
                    expanded.push(format!("{python}-{abi}-{platform}"));
                }
            }
        }
        Ok(Self { name, version: version.to_string(), build, tags: expanded })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name =
            WheelName::parse("Foo_Bar-1.0.0-3b-py2.py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl");
        let name = name.unwrap();
        assert_eq!(name.name.as_str(), "foo-bar");
        assert_eq!(name.version, "1.0.0");
        assert_eq!(name.build, Some((3, "b".to_owned())));
        assert_eq!(name.tags.len(), 4);
        assert_eq!(name.tags[3], "py3-none-manylinux2014_x86_64");
        for bad in [
            "a-1.0.tar.gz",
            "a-1.0-py3-none.whl",
            "a-1.0-x-py3-none-any.whl",
            "a-one-py3-none-any.whl",
            "-1.0-py3-none-any.whl",
            "a-1.0-py3--any.whl",
            "a-1.0-py3-none-any/../x.whl",
            "a-1-2-3-4-5-6-7.whl",
        ] {
            assert!(WheelName::parse(bad).is_err(), "{bad}");
        }
        let many = vec!["a"; 40].join(".");
        assert!(WheelName::parse(&format!("a-1-{many}-{many}-any.whl")).is_err());
    }
}
