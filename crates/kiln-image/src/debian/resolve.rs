//! Which packages a base consists of: the closure of `Depends` and `Pre-Depends`.

use super::packages::{Package, PackageIndex};
use super::relation::{Relation, VersionOperator, is_package_name};
use crate::ImageError;
use kiln_record::excerpt;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Longest chain and number of packages; Debian has some 65,000 packages in all.
const PACKAGE_LIMIT: usize = 10_000;

/// Finds the packages that `wanted` needs on an architecture, sorted by name.
///
/// A dependency is met by the first of its alternatives that is chosen already, else by the first that can be met: by
/// the package of that name in its highest fitting version, else by the provider that is first by name. Names in
/// `excluded` count as met and are left out, with everything that only they need; the caller states in the lock which
/// those are. `Recommends` is not followed, and packages that Debian marks essential are not added.
///
/// # Errors
/// [`ImageError::Unresolved`] with the chain from a wanted package, if a name is unknown, a dependency cannot be met,
/// two chosen packages conflict, or a wanted package is excluded.
pub fn resolve<'i>(
    index: &'i PackageIndex,
    architecture: &str,
    wanted: &[String],
    excluded: &[String],
) -> Result<Vec<&'i Package>, ImageError> {
    let mut resolution = Resolution {
        index,
        architecture,
        excluded: excluded.iter().map(String::as_str).collect(),
        chosen: BTreeMap::new(),
        by_any_name: BTreeMap::new(),
        queue: VecDeque::new(),
    };
    // All wanted packages are chosen before any dependency is looked at, in an order of their own: the order in which
    // they are written does not matter.
    for name in wanted.iter().collect::<BTreeSet<_>>() {
        resolution.want(name)?;
    }
    while let Some(package) = resolution.queue.pop_front() {
        for alternatives in package.pre_depends.iter().chain(&package.depends) {
            resolution.meet(package, alternatives)?;
        }
    }
    resolution.check_conflicts()?;
    Ok(resolution.chosen.into_values().map(|choice| choice.package).collect())
}

struct Choice<'i> {
    package: &'i Package,
    /// The package that needed it, and how it said so.
    because: Option<(&'i str, String)>,
}

struct Resolution<'i, 'a> {
    index: &'i PackageIndex,
    architecture: &'a str,
    excluded: BTreeSet<&'a str>,
    chosen: BTreeMap<&'i str, Choice<'i>>,
    /// The chosen packages by their own and by every provided name.
    by_any_name: BTreeMap<&'i str, Vec<&'i Package>>,
    queue: VecDeque<&'i Package>,
}

impl<'i> Resolution<'i, '_> {
    fn want(&mut self, name: &str) -> Result<(), ImageError> {
        let error = |reason: String| ImageError::Unresolved { chain: excerpt(name), reason };
        if !is_package_name(name) {
            return Err(error("this is not a package name".to_owned()));
        }
        if self.excluded.contains(name) {
            return Err(error("the package is both wanted and excluded".to_owned()));
        }
        let package = self.index.get(name, self.architecture).ok_or_else(|| {
            let providers = self.index.providers(name);
            let hint = if providers.is_empty() {
                String::new()
            } else {
                format!("; it is a virtual name: want one of {}", providers.join(", "))
            };
            error(format!("the index has no package of this name for {}{hint}", self.architecture))
        })?;
        self.choose(package, None)
    }

    fn choose(&mut self, package: &'i Package, because: Option<(&'i str, String)>) -> Result<(), ImageError> {
        if self.chosen.len() >= PACKAGE_LIMIT {
            let chain = package.name.clone();
            return Err(ImageError::Unresolved {
                chain,
                reason: format!("more than {PACKAGE_LIMIT} packages"),
            });
        }
        self.chosen.insert(&package.name, Choice { package, because });
        let provided = package.provides.iter().flatten().map(|relation| relation.name.as_str());
        for name in provided.chain([package.name.as_str()]) {
            self.by_any_name.entry(name).or_default().push(package);
        }
        self.queue.push_back(package);
        Ok(())
    }

    fn meet(&mut self, package: &'i Package, alternatives: &'i [Relation]) -> Result<(), ImageError> {
        if alternatives
            .iter()
            .any(|relation| self.named(relation).any(|package| satisfies(package, relation)))
        {
            return Ok(());
        }
        for relation in alternatives {
            if self.excluded.contains(relation.name.as_str()) {
                return Ok(());
            }
            if let Some(found) = self.find(relation) {
                return self.choose(found, Some((&package.name, relation.to_string())));
            }
        }
        // An excluded package may also have been what provides the name.
        let provided_by_excluded = |relation: &Relation| {
            self.index.providers(&relation.name).iter().any(|name| self.excluded.contains(name.as_str()))
        };
        if alternatives.iter().any(provided_by_excluded) {
            return Ok(());
        }
        let text = alternatives.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        let reasons: Vec<String> = alternatives.iter().map(|relation| self.why_not(relation)).collect();
        let chain = format!("{} -> {text}", self.chain(&package.name));
        Err(ImageError::Unresolved { chain, reason: reasons.join("; ") })
    }

    /// The chosen packages that have a relation's name, their own or provided.
    fn named(&self, relation: &Relation) -> impl Iterator<Item = &'i Package> {
        self.by_any_name.get(relation.name.as_str()).into_iter().flatten().copied()
    }

    /// The package that would meet a relation. A name that is chosen already in another version cannot.
    fn find(&self, relation: &Relation) -> Option<&'i Package> {
        let free = |name: &str| !self.chosen.contains_key(name) && !self.excluded.contains(name);
        let fits = |package: &&'i Package| free(&package.name) && satisfies(package, relation);
        let real = self.index.candidates(&relation.name, self.architecture).into_iter().find(fits);
        real.or_else(|| {
            let providers = self.index.providers(&relation.name).iter();
            providers.flat_map(|name| self.index.candidates(name, self.architecture)).find(fits)
        })
    }

    fn why_not(&self, relation: &Relation) -> String {
        let candidates = self.index.candidates(&relation.name, self.architecture);
        match (self.chosen.get(relation.name.as_str()), candidates.first()) {
            (Some(choice), _) => {
                format!("{} {} is chosen already", choice.package.name, choice.package.version)
            }
            (None, Some(best)) => format!("the index has {} only up to {}", best.name, best.version),
            (None, None) => format!("the index has no `{}` for {}", relation.name, self.architecture),
        }
    }

    /// `python3.11 -> libpython3.11-stdlib (= 3.11.2-6)`: from a wanted package to this one.
    fn chain(&self, name: &str) -> String {
        let mut links = Vec::new();
        let mut at = name;
        while let Some(Choice { because: Some((parent, relation)), .. }) = self.chosen.get(at) {
            links.push(relation.as_str());
            at = parent;
        }
        links.push(at);
        links.reverse();
        links.join(" -> ")
    }

    fn check_conflicts(&self) -> Result<(), ImageError> {
        for choice in self.chosen.values() {
            let package = choice.package;
            for relation in package.conflicts.iter().flatten() {
                // A package may conflict with a name that it provides itself: it replaces all others.
                let mut others = self.named(relation).filter(|other| other.name != package.name);
                if let Some(other) = others.find(|other| satisfies(other, relation)) {
                    return Err(ImageError::Unresolved {
                        chain: self.chain(&package.name),
                        reason: format!(
                            "{} {} conflicts with {relation}, which {} brings as {} {}",
                            package.name,
                            package.version,
                            self.chain(&other.name),
                            other.name,
                            other.version
                        ),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Whether a package meets a relation, by its own name or by one that it provides. A restriction on the version is met
/// by a provided name only if that is provided in a version (policy 7.5).
fn satisfies(package: &Package, relation: &Relation) -> bool {
    let by_name = package.name == relation.name
        && relation.version.as_ref().is_none_or(|(operator, named)| operator.admits(&package.version, named));
    by_name
        || package.provides.iter().flatten().filter(|provided| provided.name == relation.name).any(
            |provided| match (&relation.version, &provided.version) {
                (None, _) => true,
                (Some((operator, named)), Some((VersionOperator::Equal, version))) => {
                    operator.admits(version, named)
                }
                (Some(_), _) => false,
            },
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of `name version | field: value | field: value`.
    fn index(lines: &str) -> PackageIndex {
        let mut text = String::new();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut parts = line.split(';').map(str::trim);
            let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
            text.push_str(&format!(
                "Package: {name}\nVersion: {version}\nArchitecture: amd64\nSize: 1\nFilename: pool/{name}.deb\nSHA256: {}\n",
                "0".repeat(64)
            ));
            parts.for_each(|field| text.push_str(&format!("{field}\n")));
            text.push('\n');
        }
        PackageIndex::parse(text.as_bytes()).unwrap()
    }

    fn strings(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    #[track_caller]
    fn check(lines: &str, wanted: &str, excluded: &str, expect: Result<&str, &str>) {
        let index = index(lines);
        let found = resolve(&index, "amd64", &strings(wanted), &strings(excluded))
            .map(|all| all.iter().map(|p| format!("{}={}", p.name, p.version)).collect::<Vec<_>>().join(" "))
            .map_err(|error| error.to_string());
        match expect {
            Ok(expect) => assert_eq!(found.as_deref(), Ok(expect)),
            Err(part) => {
                let message = found.unwrap_err();
                assert!(message.contains(part), "{message}");
            }
        }
    }

    #[test]
    fn closure_in_name_order() {
        check("z 1; Depends: m (>= 1)\n m 1; Pre-Depends: a\n a 2\n other 1", "z", "", Ok("a=2 m=1 z=1"));
    }

    #[test]
    fn cycles_end() {
        check("a 1; Depends: b\n b 1; Depends: a", "a", "", Ok("a=1 b=1"));
    }

    #[test]
    fn highest_fitting_version() {
        let lines = "a 1; Depends: b (<< 3)\n b 1\n b 2\n b 10";
        check(lines, "a", "", Ok("a=1 b=2"));
        check(lines, "b", "", Ok("b=10"));
    }

    #[test]
    fn alternatives_prefer_what_is_chosen() {
        let lines = "a 1; Depends: x | y\n x 1\n y 1";
        check(lines, "a", "", Ok("a=1 x=1"));
        check(lines, "a y", "", Ok("a=1 y=1"));
        check("a 1; Depends: gone | y\n y 1", "a", "", Ok("a=1 y=1"));
    }

    #[test]
    fn virtual_names() {
        let lines = "a 1; Depends: mail\n z 1; Provides: mail\n p 1; Provides: mail (= 2)";
        check(lines, "a", "", Ok("a=1 p=1"));
        check(lines, "a z", "", Ok("a=1 z=1"));
        check(&lines.replace("Depends: mail", "Depends: mail (>= 2)"), "a z", "", Ok("a=1 p=1 z=1"));
        check(lines, "mail", "", Err("want one of p, z"));
    }

    #[test]
    fn excluded_packages_count_as_met() {
        let lines =
            "a 1; Depends: debconf (>= 0.5) | debconf-2.0, b\n debconf 1; Depends: perl\n perl 1\n b 1";
        check(lines, "a", "debconf", Ok("a=1 b=1"));
        check(lines, "a", "", Ok("a=1 b=1 debconf=1 perl=1"));
        check(lines, "a", "a", Err("both wanted and excluded"));
        check("a 1; Depends: v\n p 1; Provides: v", "a", "p", Ok("a=1"));
    }

    #[test]
    fn errors_name_the_chain() {
        let lines = "python3.11 1; Depends: lib (= 1)\n lib 1; Depends: libfoo (>= 2)\n libfoo 1";
        check(
            lines,
            "python3.11",
            "",
            Err("python3.11 -> lib (= 1) -> libfoo (>= 2): the index has libfoo only up to 1"),
        );
        check("a 1; Depends: nope", "a", "", Err("a -> nope: the index has no `nope` for amd64"));
        check("a 1", "b", "", Err("cannot resolve b"));
        check("a 1; Depends: b (= 1)\n b 1\n b 2", "a b", "", Err("b 2 is chosen already"));
    }

    #[test]
    fn conflicts_are_refused() {
        check("a 1; Breaks: b (<< 2)\n b 1", "a b", "", Err("a 1 conflicts with b (<< 2)"));
        check("a 1; Conflicts: v; Provides: v", "a", "", Ok("a=1"));
    }

    #[test]
    fn architectures() {
        let mut index = index("a 1");
        index.add(b"Package: n\nVersion: 1\nArchitecture: all\nSize: 1\nFilename: n.deb\nSHA256: 0000000000000000000000000000000000000000000000000000000000000000\n").unwrap();
        assert!(index.get("a", "arm64").is_none());
        assert!(index.get("n", "arm64").is_some());
        assert_eq!(index.len(), 2);
    }
}
