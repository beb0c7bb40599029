//! Wheel tags: which wheels an interpreter loads, and which of several is the best (packaging specification "platform
//! compatibility tags", PEP 600 for manylinux). The order is that of `packaging.tags` before release 26, which moved the plain
//! `linux` tag to the front: a tag that states no glibc stays the last resort here.

use crate::{PythonError, TargetEnvironment};
use kiln_record::{Code, DistributionName, Finding};
use pep440_rs::Version;
use std::cmp::Reverse;
use std::collections::BTreeSet;
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

/// Why none of a distribution's files can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoWheel {
    /// The tag sets of the wheels that exist, sorted; none if there is no wheel.
    pub exist: Vec<String>,
    /// Which tags would fit, in short.
    pub accepted: String,
    /// Source distributions among the files, sorted.
    pub sources: Vec<String>,
    /// Why wheels that look close do not fit, in words.
    pub near: Vec<String>,
}

impl NoWheel {
    /// The finding for a distribution that cannot be installed. `place` is where the lock names it.
    #[must_use]
    pub fn finding(&self, name: &DistributionName, version: &str, place: &str) -> Finding {
        let mut finding = self.described(Code::NoCompatibleWheel, name, version, place);
        if let Some(source) = self.sources.first() {
            finding =
                finding.detail(format!("the source distribution {source} exists, and is of no use here"));
        }
        finding
            .remedy(format!("lock another version of {name} that has a wheel for these tags"))
            .remedy("lock again on, or for, the target's Python and platform, in case the lock lacks the hash of a wheel that exists")
    }

    /// The finding for a distribution that could be built, if the manifest let it. `listed` are those that it lets be
    /// built.
    #[must_use]
    pub fn not_listed(
        &self,
        name: &DistributionName,
        version: &str,
        place: &str,
        manifest: &str,
        listed: &[DistributionName],
    ) -> Finding {
        let mut finding = self.described(Code::SdistNotListed, name, version, place);
        for source in &self.sources {
            finding = finding
                .detail(format!("there is a source distribution, {source}: building it runs its code"));
        }
        let mut all: Vec<String> = listed.iter().chain([name]).map(|name| format!("\"{name}\"")).collect();
        all.sort();
        finding
            .remedy(format!(
                "to let it be built, write `sdists = [{}]` under [python] in {manifest}",
                all.join(", ")
            ))
            .remedy("and, under [python.build], `lock` for what it is built with and `base` for a base with a compiler, if it has native code: see docs/python.md")
            .remedy(format!("or lock another version of {name} that has a wheel for these tags"))
    }

    /// Why no wheel is taken, as a clause.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.exist[..] {
            [] => "the lock names no wheel of it".to_owned(),
            exist => format!("no locked wheel fits; there are wheels for {}", exist.join(", ")),
        }
    }

    fn described(&self, code: Code, name: &DistributionName, version: &str, place: &str) -> Finding {
        let cause = if self.exist.is_empty() {
            format!("{name} {version} ({place}) has no wheel among the files whose hashes the lock names")
        } else {
            format!(
                "{name} {version} ({place}) has no wheel that both the base and the target runtime can load"
            )
        };
        let mut finding = Finding::new(code, name.as_str(), cause);
        for tags in &self.exist {
            finding = finding.detail(format!("there is a wheel for {tags}"));
        }
        for line in &self.near {
            finding = finding.detail(line.clone());
        }
        finding.detail(format!("accepted here: {}", self.accepted))
    }
}

/// Chooses the best of a distribution's files for an environment: the first of the environment's tags that any of
/// them has, then the highest build tag, then the first file name. Files that are no wheels are never chosen.
///
/// # Errors
/// [`NoWheel`] if no file fits.
pub fn best_wheel<'a, T>(
    candidates: &'a [T],
    file_name: impl Fn(&T) -> &str,
    environment: &TargetEnvironment,
) -> Result<&'a T, NoWheel> {
    let mut wheels: Vec<(&'a T, String, WheelName)> = Vec::new();
    for candidate in candidates {
        let file = file_name(candidate).to_owned();
        if let Ok(wheel) = WheelName::parse(&file) {
            wheels.push((candidate, file, wheel));
        }
    }
    let rank = |wheel: &WheelName| wheel.tags.iter().filter_map(|tag| environment.rank(tag)).min();
    let chosen = wheels
        .iter()
        .filter_map(|(candidate, file, wheel)| Some((*candidate, file, wheel, rank(wheel)?)))
        .min_by_key(|(_, file, wheel, rank)| (*rank, Reverse(wheel.build.clone()), (*file).clone()))
        .map(|(candidate, ..)| candidate);
    chosen.ok_or_else(|| {
        let sources: BTreeSet<String> = candidates
            .iter()
            .map(|c| file_name(c).to_owned())
            .filter(|f| [".tar.gz", ".zip", ".tar.bz2", ".tar.xz"].iter().any(|end| f.ends_with(end)))
            .collect();
        let exist: BTreeSet<String> = wheels.iter().map(|(_, file, _)| tag_part(file).to_owned()).collect();
        let near: BTreeSet<String> = wheels.iter().filter_map(|(.., w)| environment.why_not(w)).collect();
        NoWheel {
            exist: exist.into_iter().collect(),
            accepted: environment.summary(),
            sources: sources.into_iter().collect(),
            near: near.into_iter().collect(),
        }
    })
}

fn tag_part(file_name: &str) -> &str {
    let stem = file_name.strip_suffix(".whl").unwrap_or(file_name);
    stem.rmatch_indices('-').nth(2).map_or(stem, |(at, _)| &stem[at + 1..])
}

/// The wheel tags of CPython 3.`minor` on Linux, best first. Without glibc, only wheels that name no C library fit.
/// Musl builds never load on Lambda, whose runtimes have glibc.
pub(crate) fn cpython_tags(minor: u32, glibc: Option<(u32, u32)>, machine: &str) -> Vec<String> {
    let platforms = linux_platforms(glibc, machine);
    let python = format!("cp3{minor}");
    let mut tags = Vec::new();
    let mut add = |python: &str, abi: &str| {
        tags.extend(platforms.iter().map(|platform| format!("{python}-{abi}-{platform}")));
    };
    add(&python, &python);
    add(&python, "abi3");
    add(&python, "none");
    // The stable ABI begins with 3.2 (PEP 384).
    for older in (2..minor).rev() {
        add(&format!("cp3{older}"), "abi3");
    }
    let generic: Vec<String> = [format!("py3{minor}"), "py3".to_owned()]
        .into_iter()
        .chain((0..minor).rev().map(|older| format!("py3{older}")))
        .collect();
    for python in &generic {
        add(python, "none");
    }
    tags.push(format!("{python}-none-any"));
    tags.extend(generic.iter().map(|python| format!("{python}-none-any")));
    tags
}

fn linux_platforms(glibc: Option<(u32, u32)>, machine: &str) -> Vec<String> {
    let mut platforms = Vec::new();
    if let Some((2, minor)) = glibc {
        // The oldest glibc that a manylinux tag exists for: 2.5 on x86 (PEP 513), 2.17 elsewhere (PEP 599).
        let oldest = if machine == "x86_64" { 5 } else { 17 };
        for version in (oldest..=minor.min(999)).rev() {
            platforms.push(format!("manylinux_2_{version}_{machine}"));
            match version {
                17 => platforms.push(format!("manylinux2014_{machine}")),
                12 => platforms.push(format!("manylinux2010_{machine}")),
                5 => platforms.push(format!("manylinux1_{machine}")),
                _ => {}
            }
        }
    }
    platforms.push(format!("linux_{machine}"));
    platforms
}

/// The glibc version that a manylinux platform tag asks for.
pub(crate) fn glibc_of_platform(platform: &str) -> Option<(u32, u32)> {
    let rest = platform.strip_prefix("manylinux")?;
    if let Some(rest) = rest.strip_prefix('_') {
        let mut parts = rest.splitn(3, '_');
        return Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?));
    }
    match rest.split_once('_')?.0 {
        "1" => Some((2, 5)),
        "2010" => Some((2, 12)),
        "2014" => Some((2, 17)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::tests::interpreter;
    use kiln_record::{Architecture, Runtime};

    fn environment(version: &str, glibc: (u32, u32), runtime: &str) -> TargetEnvironment {
        let base = interpreter(version, glibc, "x86_64");
        TargetEnvironment::new(&base, Runtime::named(runtime).unwrap(), Architecture::Amd64).unwrap()
    }

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

    /// The beginning, the middle and the end of `packaging.tags.sys_tags()` on such an interpreter.
    #[test]
    fn order_is_that_of_packaging() {
        let tags = cpython_tags(13, Some((2, 34)), "x86_64");
        assert_eq!(tags[0], "cp313-cp313-manylinux_2_34_x86_64");
        assert_eq!(tags[17], "cp313-cp313-manylinux_2_17_x86_64");
        assert_eq!(tags[18], "cp313-cp313-manylinux2014_x86_64");
        assert_eq!(tags[33], "cp313-cp313-linux_x86_64");
        assert_eq!(tags[34], "cp313-abi3-manylinux_2_34_x86_64");
        assert_eq!(tags.last().unwrap(), "py30-none-any");
        let at = |tag: &str| tags.iter().position(|t| t == tag).unwrap();
        assert!(at("cp313-none-manylinux1_x86_64") < at("cp312-abi3-manylinux_2_34_x86_64"));
        assert!(at("cp32-abi3-linux_x86_64") < at("py313-none-manylinux_2_34_x86_64"));
        assert!(at("py313-none-linux_x86_64") < at("py3-none-manylinux_2_34_x86_64"));
        assert!(at("cp313-none-any") < at("py313-none-any"));
        assert!(!tags.iter().any(|t| t.contains("musllinux")));
    }

    /// Digests of all tags, one a line, from `packaging.tags` 24.2 for CPython on x86-64 with glibc 2.34.
    #[test]
    fn all_tags_are_those_of_packaging() {
        for (minor, count, digest) in [
            (9, 726, "0295fcff54bd92c0ac75a84bd2c642ab4f14d971df6307174f924bc98d9e50c9"),
            (11, 864, "4fde829ba10bd750a3aa016036378f91ae0f9fa6c12098a7cff726ba424cc746"),
            (13, 1002, "7a2616cb78cdefb6b1ff3b251b82a8ba921901a2aaf29bace6c5df557427dea5"),
        ] {
            let tags = cpython_tags(minor, Some((2, 34)), "x86_64");
            assert_eq!(tags.len(), count);
            assert_eq!(kiln_record::Digest::of(tags.join("\n").as_bytes()).hex(), digest);
        }
    }

    #[test]
    fn the_runtime_caps_glibc() {
        let env = environment("3.11.2", (2, 36), "python3.11");
        let pick = |files: &[&'static str]| best_wheel(files, |f| f, &env).copied();
        assert_eq!(
            pick(&[
                "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
                "a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
                "a-1-py3-none-any.whl",
                "a-1-cp311-cp311-musllinux_1_2_x86_64.whl",
            ]),
            Ok("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
        );
        assert_eq!(pick(&["a-1-1-py3-none-any.whl", "a-1-2-py3-none-any.whl"]), Ok("a-1-2-py3-none-any.whl"));
        assert_eq!(
            pick(&["a-1-cp37-abi3-manylinux2014_x86_64.whl", "a-1-py3-none-any.whl"]),
            Ok("a-1-cp37-abi3-manylinux2014_x86_64.whl")
        );
        let none = pick(&[
            "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
            "a-1-cp312-cp312-manylinux_2_17_x86_64.whl",
            "a-1-cp311-cp311-manylinux_2_17_aarch64.whl",
            "a-1.tar.gz",
        ])
        .unwrap_err();
        assert_eq!(none.exist.len(), 3);
        assert_eq!(none.sources, ["a-1.tar.gz"]);
        let name: DistributionName = "a".parse().unwrap();
        assert_eq!(none.finding(&name, "1", "requirements.txt:3").code, Code::NoCompatibleWheel);
        let other = ["b".parse().unwrap()];
        let finding = none.not_listed(&name, "1", "requirements.txt:3", "manifests/app.toml", &other);
        assert_eq!(finding.code, Code::SdistNotListed);
        assert!(finding.remedy[0].contains("sdists = [\"a\", \"b\"]"), "{finding:?}");
        let text = format!("{finding:?}");
        for part in
            ["2.28", "2.26", "python3.11", "aarch64", "cp312", "source distribution", "requirements.txt:3"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
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
