//! Which of a distribution's wheels an environment takes, and why it takes none.

use super::file_name::WheelName;
use crate::interpreter::{TargetEnvironment, glibc_of_platform};
use kiln_record::{Code, DistributionName, Finding, Place};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Why none of a distribution's files can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoWheel {
    /// The tag sets of the wheels that exist, those first that come closest; none if there is no wheel.
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
    pub fn finding(&self, name: &DistributionName, version: &str, place: &Place) -> Finding {
        let mut finding = self.described(Code::NoCompatibleWheel, name, version, place);
        if let Some(source) = self.sources.first() {
            finding =
                finding.detail(format!("the source distribution {source} exists, and is of no use here"));
        }
        finding
            .remedy(format!("lock another version of {name} that has a wheel for these tags"))
            .remedy("lock again on, or for, the target's Python and platform, in case the lock lacks the hash of a wheel that exists")
    }

    /// The finding for a distribution that could be built, if the manifest let it. `listed` are those that it
    /// lets be built.
    #[must_use]
    pub fn not_listed(
        &self,
        name: &DistributionName,
        version: &str,
        place: &Place,
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

    fn described(&self, code: Code, name: &DistributionName, version: &str, place: &Place) -> Finding {
        let cause = if self.exist.is_empty() {
            format!("{name} {version} ({place}) has no wheel among the files whose hashes the lock names")
        } else {
            format!(
                "{name} {version} ({place}) has no wheel that both the base and the target runtime can load"
            )
        };
        let mut finding = Finding::new(code, name.as_str(), cause).at(place.clone());
        // What decides comes first: some releases have sixty wheels.
        for line in self.near.iter().take(NEAR_SHOWN) {
            finding = finding.detail(line.clone());
        }
        finding = finding.detail(format!("accepted here: {}", self.accepted));
        for tags in self.exist.iter().take(EXISTING_SHOWN) {
            finding = finding.detail(format!("there is a wheel for {tags}"));
        }
        match self.exist.len().saturating_sub(EXISTING_SHOWN) {
            0 => finding,
            more => finding.detail(format!("and {more} more")),
        }
    }
}

/// How many reasons of wheels that look close are shown.
const NEAR_SHOWN: usize = 3;
/// How many of the wheels that exist are shown.
const EXISTING_SHOWN: usize = 12;

/// Chooses the best of a distribution's files for an environment: the first of the environment's tags that
/// any of them has, then the highest build tag, then the first file name. Files that are no wheels are never
/// chosen.
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
        let whys = wheels.iter().map(|(_, file, wheel)| (tag_part(file), environment.why_not(wheel)));
        let whys: Vec<(&str, Option<String>)> = whys.collect();
        let exist: BTreeSet<(usize, &str)> =
            whys.iter().map(|(tags, why)| (distance(why.as_deref().unwrap_or_default()), *tags)).collect();
        let near: BTreeSet<(usize, String)> =
            whys.iter().filter_map(|(_, why)| why.clone()).map(|why| (distance(&why), why)).collect();
        NoWheel {
            exist: exist.into_iter().map(|(_, tags)| tags.to_owned()).collect(),
            accepted: environment.summary(),
            sources: sources.into_iter().collect(),
            near: near.into_iter().map(|(_, why)| why).collect(),
        }
    })
}

/// By how little a wheel does not fit, by the reason that is told: another C library, then another Python, then another machine,
/// then more than one of these.
#[must_use]
pub fn distance(reason: &str) -> usize {
    const STARTS: [&str; 4] = ["one needs glibc", "one is for cp", "one is for pp", "one is for"];
    STARTS.iter().position(|start| reason.starts_with(start)).unwrap_or(STARTS.len())
}

fn tag_part(file_name: &str) -> &str {
    let stem = file_name.strip_suffix(".whl").unwrap_or(file_name);
    stem.rmatch_indices('-').nth(2).map_or(stem, |(at, _)| &stem[at + 1..])
}

impl TargetEnvironment {
    /// The best of the environment's tags that a wheel's file name has, or why it has none.
    ///
    /// # Errors
    /// The reason that the wheel does not fit, as a clause.
    pub fn fitting_tag(&self, file_name: &str) -> Result<String, String> {
        let wheel = WheelName::parse(file_name).map_err(|_| "it is no wheel".to_owned())?;
        let best = wheel.tags.iter().filter_map(|tag| Some((self.rank(tag)?, tag))).min();
        match best {
            Some((_, tag)) => Ok(tag.clone()),
            None => {
                Err(self.why_not(&wheel).unwrap_or_else(|| format!("it is for none of: {}", self.summary())))
            }
        }
    }

    /// In what respect alone a wheel does not fit; `None` where more than one thing is wrong.
    fn why_not(&self, wheel: &WheelName) -> Option<String> {
        let mut newest: Option<(u32, u32)> = None;
        let mut other_python = None;
        for tag in &wheel.tags {
            let mut parts = tag.splitn(3, '-');
            let (python, abi, platform) = (parts.next()?, parts.next()?, parts.next()?);
            let fits_with = |platform: &str| self.rank(&format!("{python}-{abi}-{platform}")).is_some();
            let linux = format!("linux_{}", self.machine());
            if platform.ends_with(self.machine())
                && fits_with(&linux)
                && let Some(needed) = glibc_of_platform(platform)
            {
                newest = Some(newest.map_or(needed, |n| n.min(needed)));
            }
            let platform_fits = platform == "any"
                || self.rank(&format!("py3-none-{platform}")).is_some()
                || platform == linux;
            if platform_fits && other_python.is_none() {
                other_python = Some(format!("{python}-{abi}"));
            }
            // Another machine: everything else fits.
            if let Some(machine) = ["x86_64", "aarch64"].into_iter().find(|m| *m != self.machine())
                && platform.ends_with(machine)
                && platform.contains("linux")
                && !platform.starts_with("musl")
                && fits_with(&linux)
            {
                return Some(format!("one is for {machine}, the target is {}", self.machine()));
            }
        }
        if let Some((major, minor)) = newest {
            return Some(format!("one needs glibc {major}.{minor}: {}", self.c_libraries()));
        }
        other_python.map(|tag| {
            let (major, minor) = self.python();
            format!("one is for {tag}, {} has Python {major}.{minor}", self.runtime())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::interpreter;
    use kiln_record::{Architecture, Runtime};

    fn environment(version: &str, glibc: (u32, u32), runtime: &str) -> TargetEnvironment {
        let base = interpreter(version, glibc, "x86_64");
        TargetEnvironment::new(&base, Runtime::named(runtime).unwrap(), Architecture::Amd64).unwrap()
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
        let platforms = none.exist.iter().map(|tags| tags.rsplit('-').next().unwrap()).collect::<Vec<_>>();
        assert_eq!(platforms, ["manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux_2_17_aarch64"]);
        assert_eq!(none.sources, ["a-1.tar.gz"]);
        let name: DistributionName = "a".parse().unwrap();
        assert_eq!(
            none.finding(&name, "1", &Place::line("requirements.txt", 3)).code,
            Code::NoCompatibleWheel
        );
        let other = ["b".parse().unwrap()];
        let finding =
            none.not_listed(&name, "1", &Place::line("requirements.txt", 3), "manifests/app.toml", &other);
        assert_eq!(finding.code, Code::SdistNotListed);
        assert!(finding.remedy[0].contains("sdists = [\"a\", \"b\"]"), "{finding:?}");
        let text = format!("{finding:?}");
        for part in
            ["2.28", "2.26", "python3.11", "aarch64", "cp312", "source distribution", "requirements.txt:3"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
