//! Package indexes: which one a distribution is asked of, and how each is reached from this machine.
//!
//! Every name belongs to one index: the one that `kiln.toml` binds it to, or that the lock names, or else the default
//! one. Where the two disagree, or nothing decides, the build is denied before any index is asked.

use kiln_fetch::{Url, is_same_index};
use kiln_invocation::NamedIndexSetting;
use kiln_plan::{IndexPlace, NamedIndex};
use kiln_python::{Lock, Locked, LockedIndex};
use kiln_record::{Code, DistributionName, Finding};
use std::collections::{BTreeMap, BTreeSet};

/// The file that names indexes.
const FILE: &str = "kiln.toml";

/// Which index each distribution of an artifact is asked of.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// Those of another index than the default one.
    named: BTreeMap<DistributionName, String>,
}

impl Bindings {
    /// The name of the index that a distribution is bound to; none for the default one.
    pub fn of(&self, name: &DistributionName) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }
}

/// The one index that `kiln.toml` binds a name to.
///
/// # Errors
/// The two or more that it is bound to.
pub fn claimed<'a>(
    indexes: &'a [NamedIndex],
    name: &DistributionName,
) -> Result<Option<&'a NamedIndex>, Vec<&'a str>> {
    let claims: Vec<&NamedIndex> = indexes.iter().filter(|index| index.claims(name)).collect();
    match claims[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(claims.iter().map(|index| index.name.as_str()).collect()),
    }
}

/// The finding for a name that more than one index claims.
pub fn claimed_twice(name: &DistributionName, claims: &[&str]) -> Finding {
    let cause = format!("{FILE} binds {name} to more than one index: {}", claims.join(", "));
    Finding::new(Code::IndexNotBound, name.as_str(), cause)
        .remedy(format!("write the patterns of `packages` in {FILE} so that only one of them has it"))
}

/// What decides the index of a distribution.
pub struct Question<'a> {
    /// What `kiln.toml` says.
    pub indexes: &'a [NamedIndex],
    /// How the named indexes are reached.
    pub settings: &'a BTreeMap<String, NamedIndexSetting>,
    /// The default index, where one is configured.
    pub default: Option<&'a Url>,
    /// The lock.
    pub lock: &'a Lock,
    /// The command that makes the lock again.
    pub relock: &'a str,
}

impl Question<'_> {
    /// Binds the distributions that are installed to indexes.
    pub fn bind(&self, wanted: &[Locked]) -> (Bindings, Vec<Finding>) {
        let mut bindings = Bindings::default();
        let mut findings = Vec::new();
        // What no named index explains: the default index stands in for one such place, not for two.
        let mut elsewhere: BTreeMap<Option<&str>, Vec<&Locked>> = BTreeMap::new();
        for locked in wanted.iter().filter(|locked| locked.place.is_none()) {
            match self.one(locked) {
                Ok(Bound::To(index)) if index.default => {}
                Ok(Bound::To(index)) => drop(bindings.named.insert(locked.name.clone(), index.name.clone())),
                Ok(Bound::Default) => {}
                Ok(Bound::Stated(url)) => elsewhere.entry(url).or_default().push(locked),
                Err(finding) => findings.push(*finding),
            }
        }
        if elsewhere.len() > 1 {
            let is_default = |text: &str| {
                let url = text.parse().ok();
                self.default.zip(url).is_some_and(|(default, url)| is_same_index(default, &url))
            };
            for (url, all) in elsewhere {
                if let Some(url) = url.filter(|url| !is_default(url)) {
                    findings.push(self.not_configured(url, &all));
                }
            }
        }
        findings.sort_by(|a, b| a.subject.cmp(&b.subject));
        (bindings, findings)
    }

    fn one<'l>(&self, locked: &'l Locked) -> Result<Bound<'_, 'l>, Box<Finding>> {
        let name = &locked.name;
        let claim = claimed(self.indexes, name).map_err(|claims| Box::new(claimed_twice(name, &claims)))?;
        let place = format!("{} {} ({})", name, locked.version, self.lock.place(locked));
        let disagree = |stated: String, claim: &NamedIndex| {
            let cause =
                format!("{place} is locked from {stated}, but {FILE} binds the name to `{}`", claim.name);
            let finding = Finding::new(Code::IndexNotBound, name.as_str(), cause)
                .at(self.lock.place(locked))
                .remedy(format!("lock it from `{}`: {}", claim.name, self.relock))
                .remedy(format!(
                    "or take the name out of `packages` of the index `{}` in {FILE}",
                    claim.name
                ));
            Err(Box::new(finding))
        };
        let stated = match &locked.index {
            LockedIndex::Unsaid => return Ok(claim.map_or(Bound::Default, Bound::To)),
            LockedIndex::Default => match claim {
                Some(claim) if !claim.default => return disagree("the default index".to_owned(), claim),
                _ => return Ok(Bound::Stated(None)),
            },
            LockedIndex::Named(stated) => {
                let Some(index) = self.indexes.iter().find(|index| index.name == *stated) else {
                    let cause =
                        format!("{place} is bound to the index `{stated}`, which {FILE} does not name");
                    return Err(Box::new(
                        Finding::new(Code::IndexNotBound, name.as_str(), cause)
                            .remedy(format!(
                                "name it in {FILE}: [[index]] with name = \"{stated}\", its url or url-env, and packages = [\"{name}\"]"
                            ))
                            .remedy(format!("or lock it from another index: {}", self.relock)),
                    ));
                };
                index
            }
            LockedIndex::Url(url) => match (self.at(url), claim) {
                (Some(index), _) => index,
                (None, None) => return Ok(Bound::Stated(Some(url))),
                (None, Some(claim)) => {
                    let unknown = self.settings.get(&claim.name).and_then(|it| it.setting.as_ref().err());
                    let mut finding = match disagree(url.clone(), claim) {
                        Err(finding) => finding,
                        Ok(bound) => return Ok(bound),
                    };
                    finding.detail.extend(unknown.map(|why| {
                        format!("whether that is the index `{}` cannot be told here: {why}", claim.name)
                    }));
                    return Err(finding);
                }
            },
        };
        match claim {
            Some(claim) if claim.name != stated.name => {
                disagree(format!("the index `{}`", stated.name), claim)
            }
            None if stated.exclusive => {
                let cause = format!(
                    "{place} is locked from the index `{}`, but {FILE} does not bind the name to it",
                    stated.name
                );
                Err(Box::new(
                    Finding::new(Code::IndexNotBound, name.as_str(), cause)
                        .remedy(format!(
                            "add \"{name}\" to `packages` of the index `{}` in {FILE}",
                            stated.name
                        ))
                        .remedy(format!("or lock it from the default index: {}", self.relock)),
                ))
            }
            _ => Ok(Bound::To(stated)),
        }
    }

    /// The named index at a URL.
    fn at(&self, url: &str) -> Option<&NamedIndex> {
        let url = url.parse().ok()?;
        self.indexes.iter().find(|index| {
            let setting = self.settings.get(&index.name).and_then(|known| known.setting.as_ref().ok());
            setting.is_some_and(|setting| is_same_index(&setting.url, &url))
        })
    }

    fn not_configured(&self, url: &str, all: &[&Locked]) -> Finding {
        const SHOWN: usize = 8;
        let names: BTreeSet<&str> = all.iter().map(|locked| locked.name.as_str()).collect();
        let first = names.first().copied().unwrap_or_default();
        let shown: Vec<&str> = names.iter().copied().take(SHOWN).collect();
        let more = names.len().saturating_sub(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let place = self.lock.place(all[0]);
        let cause = format!(
            "{} takes from {url} what no index in {FILE} is bound to ({place}): {}{more}",
            self.lock.name,
            shown.join(", ")
        );
        let mut finding = Finding::new(Code::IndexNotBound, first, cause)
            .at(place)
            .detail("the lock names more than one index, and the default one stands in for one of them only")
            .remedy(format!(
                "name it in {FILE}: [[index]] with a name, its url or url-env, and packages = [{}]",
                shown.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
            ));
        for index in self.indexes {
            let why = self.settings.get(&index.name).and_then(|known| known.setting.as_ref().err());
            if let (Some(why), IndexPlace::Variable(_)) = (why, &index.place) {
                finding =
                    finding.detail(format!("where the index `{}` is cannot be told here: {why}", index.name));
            }
        }
        finding
    }
}

/// What was found for one distribution.
enum Bound<'a, 'l> {
    /// This index.
    To(&'a NamedIndex),
    /// The default one, because nothing says otherwise.
    Default,
    /// What the lock says: a URL that no named index has, or the default index of its format.
    Stated(Option<&'l str>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use kiln_fetch::IndexSetting;
    use kiln_plan::Settings;
    use kiln_python::parse_requirements;

    const HASH: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const ACME: &str =
        "[[index]]\nname = \"acme\"\nurl = \"https://acme.example/simple/\"\npackages = [\"acme-*\"]\n";
    const FREE: &str =
        "[[index]]\nname = \"free\"\nurl = \"https://free.example/simple/\"\nexclusive = false\n";

    fn stated(text: &str) -> LockedIndex {
        match text {
            "" => LockedIndex::Unsaid,
            "default" => LockedIndex::Default,
            url if url.contains("://") => LockedIndex::Url(url.to_owned()),
            name => LockedIndex::Named(name.to_owned()),
        }
    }

    /// Binds distributions, given with what their lock says of their index, and shows names with their indexes, or what
    /// the findings say.
    #[track_caller]
    fn check(tables: &str, locked: &[(&str, &str)], expect: &[&str]) {
        let settings = Settings::parse("kiln.toml", &format!("format = \"1\"\n{tables}").into()).unwrap();
        let lines: String =
            locked.iter().map(|(name, _)| format!("{name}==1 --hash=sha256:{HASH}\n")).collect();
        let mut lock = parse_requirements("lock.txt", &lines, &mut |_| None).unwrap();
        for (one, (_, index)) in lock.distributions.iter_mut().zip(locked) {
            one.index = stated(index);
        }
        let reached: BTreeMap<String, NamedIndexSetting> = settings
            .indexes
            .iter()
            .map(|index| {
                let setting = match &index.place {
                    IndexPlace::Url(url) => {
                        Ok(IndexSetting { url: url.parse().unwrap(), from: FILE.to_owned() })
                    }
                    IndexPlace::Variable(name) => Err(format!("{name} is not set")),
                };
                (index.name.clone(), NamedIndexSetting { setting, default: index.default, keyring: None })
            })
            .collect();
        let default = "https://me:hunter2@mirror.example/simple".parse().unwrap();
        let question = Question {
            indexes: &settings.indexes,
            settings: &reached,
            default: Some(&default),
            lock: &lock,
            relock: "lock again",
        };
        let (bindings, findings) = question.bind(&lock.distributions);
        let mut found: Vec<String> = lock
            .distributions
            .iter()
            .filter(|one| findings.iter().all(|finding| finding.subject != one.name.as_str()))
            .map(|one| format!("{}: {}", one.name, bindings.of(&one.name).unwrap_or("default")))
            .collect();
        found.extend(findings.iter().map(|finding| finding.cause.clone()));
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for (found, expect) in found.iter().zip(expect) {
            assert!(found.contains(expect), "{found} has {expect}");
            assert!(!found.contains("hunter2"));
        }
    }

    #[test]
    fn a_name_is_asked_of_the_index_that_it_is_bound_to() {
        check(ACME, &[("acme-lib", ""), ("six", "")], &["acme-lib: acme", "six: default"]);
        check(ACME, &[("acme-lib", "acme"), ("six", "default")], &["acme-lib: acme", "six: default"]);
        let url = "https://acme.example/simple";
        check(
            ACME,
            &[("acme-lib", url), ("six", "https://any.example/")],
            &["acme-lib: acme", "six: default"],
        );
    }

    #[test]
    fn lock_and_settings_have_to_agree() {
        check(
            ACME,
            &[("acme-lib", "default")],
            &["from the default index, but kiln.toml binds the name to `acme`"],
        );
        check(
            ACME,
            &[("acme-lib", "https://pub.example/")],
            &["from https://pub.example/, but kiln.toml binds"],
        );
        check(
            ACME,
            &[("six", "acme")],
            &["from the index `acme`, but kiln.toml does not bind the name to it"],
        );
        check(ACME, &[("six", "other")], &["the index `other`, which kiln.toml does not name"]);
        check("", &[("six", "acme")], &["the index `acme`, which kiln.toml does not name"]);
        let two = format!("{ACME}{}", ACME.replace("acme\"", "b\"").replace("acme-*", "*-lib"));
        check(&two, &[("acme-lib", "")], &["binds acme-lib to more than one index: acme, b"]);
        // One that is not exclusive may be named by the lock alone, and takes no name from another.
        check(FREE, &[("six", "https://free.example/simple")], &["six: free"]);
        check(&format!("{ACME}{FREE}"), &[("acme-lib", "free")], &["the index `free`, but kiln.toml binds"]);
    }

    #[test]
    fn the_default_index_stands_in_for_one_other_only() {
        let (a, b) = ("https://a.example/simple", "https://b.example/simple");
        check("", &[("six", a), ("idna", a)], &["six: default", "idna: default"]);
        check(
            "",
            &[("six", a), ("idna", b)],
            &["from https://b.example/simple", "from https://a.example/simple"],
        );
        // What the default index is known to be needs no table.
        check(
            "",
            &[("six", "https://mirror.example/simple/"), ("idna", b)],
            &["six: default", "takes from https://b.example/simple"],
        );
        check(
            "",
            &[("six", "default"), ("idna", b)],
            &["six: default", "takes from https://b.example/simple"],
        );
        check(ACME, &[("six", a), ("acme-lib", "acme")], &["six: default", "acme-lib: acme"]);
        let unset = ACME.replace("url = \"https://acme.example/simple/\"", "url-env = \"ACME\"");
        check(&unset, &[("acme-lib", a)], &["but kiln.toml binds the name to `acme`"]);
    }
}
