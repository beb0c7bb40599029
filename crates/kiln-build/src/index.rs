//! Package indexes: which one a distribution is asked of, and how each is reached from this machine.
//!
//! Every name belongs to one index: the one that `kiln.toml` binds it to, or that the lock names, or else the default
//! one. Where the two disagree, or nothing decides, the build is denied before any index is asked.

use crate::BuildError;
use crate::environment::Context;
use crate::index_router::IndexRouter;
use kiln_fetch::{Index, IndexSetting, Url, is_same_index, without_credentials};
use kiln_plan::{IndexPlace, NamedIndex, PinnedBase};
use kiln_python::{Lock, Locked, LockedIndex};
use kiln_record::{Code, DistributionName, Finding};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// The file that names indexes.
const FILE: &str = "kiln.toml";
/// How long the `keyring` command may take: it may ask a person to unlock something.
const KEYRING_WAIT: Duration = Duration::from_secs(120);

/// An index that `kiln.toml` names, as this machine reaches it.
#[derive(Clone, Debug)]
pub struct NamedIndexSetting {
    /// Its URL with its login, or why it cannot be used here.
    pub setting: Result<IndexSetting, String>,
    /// Whether it takes the place of the index that is configured elsewhere.
    pub default: bool,
    /// The program to ask for its password, where `kiln.toml` says so.
    pub keyring: Option<PathBuf>,
}

impl NamedIndexSetting {
    /// The index, with the password that the keyring has if none is known yet.
    pub(crate) async fn index(&self, name: &str) -> Result<Index, BuildError> {
        let error = |reason: String| BuildError::Index { index: name.to_owned(), reason };
        let mut index = Index::from(self.setting.clone().map_err(error)?);
        if let Some(program) = &self.keyring
            && index.url.password().is_none()
        {
            let user = index.url.username().to_owned();
            if user.is_empty() {
                let variable = name.to_ascii_uppercase().replace('-', "_");
                return Err(error(format!(
                    "the keyring is to be asked for its password, but nothing says for which user: set KILN_INDEX_{variable}_USERNAME, or write https://USER@… in its URL"
                )));
            }
            let refused = |reason| BuildError::Keyring { index: name.to_owned(), reason };
            let password = ask_keyring(program, &index, &user).await.map_err(refused)?;
            // It fails only for URLs that cannot hold a login, which this one has.
            let _ = index.url.set_password(Some(&password));
        }
        Ok(index)
    }
}

/// Asks the `keyring` command for the password of an index, then of its host: as pip does.
async fn ask_keyring(program: &Path, index: &Index, user: &str) -> Result<String, String> {
    let url = without_credentials(&index.url);
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let mut last = String::new();
    for service in [url.as_str(), &host] {
        let mut command = tokio::process::Command::new(program);
        command.args(["get", service, user]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let asked = tokio::time::timeout(KEYRING_WAIT, command.output()).await;
        let output = match asked {
            Err(_) => {
                return Err(format!("`keyring get` did not answer within {} s", KEYRING_WAIT.as_secs()));
            }
            Ok(Err(error)) => return Err(format!("`keyring` cannot be started: {error}")),
            Ok(Ok(output)) => output,
        };
        let password = String::from_utf8_lossy(&output.stdout).trim_end_matches(['\r', '\n']).to_owned();
        if output.status.success() && !password.is_empty() {
            return Ok(password);
        }
        last = output.status.to_string();
    }
    Err(format!("`keyring get` has no password of its user for {url} or {host} ({last})"))
}

/// Which index each distribution of an artifact is asked of.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings {
    /// Those of another index than the default one.
    named: BTreeMap<DistributionName, String>,
}

impl Bindings {
    /// The name of the index that a distribution is bound to; none for the default one.
    pub(crate) fn of(&self, name: &DistributionName) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }
}

/// The one index that `kiln.toml` binds a name to.
///
/// # Errors
/// The two or more that it is bound to.
pub(crate) fn claimed<'a>(
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

/// The indexes of a workspace.
pub(crate) struct Indexes<'a> {
    pub(crate) default: &'a Index,
    pub(crate) named: &'a [NamedIndex],
    /// What stands for all of them, where any are named.
    pub(crate) router: Option<&'a IndexRouter>,
}

impl Indexes<'_> {
    /// The one that a distribution is bound to.
    pub(crate) async fn of(&self, context: &Context, name: &DistributionName) -> Result<Index, BuildError> {
        match claimed(self.named, name) {
            Ok(None) => Ok(self.default.clone()),
            Ok(Some(index)) => context.named_index(&index.name).await,
            Err(claims) => Err(BuildError::Denied(Box::new(claimed_twice(name, &claims)))),
        }
    }
}

/// The finding for a name that more than one index claims.
pub(crate) fn claimed_twice(name: &DistributionName, claims: &[&str]) -> Finding {
    let cause = format!("{FILE} binds {name} to more than one index: {}", claims.join(", "));
    Finding::new(Code::IndexNotBound, name.as_str(), cause)
        .remedy(format!("write the patterns of `packages` in {FILE} so that only one of them has it"))
}

/// What decides the index of a distribution.
pub(crate) struct Question<'a> {
    /// What `kiln.toml` says.
    pub(crate) indexes: &'a [NamedIndex],
    /// How the named indexes are reached.
    pub(crate) settings: &'a BTreeMap<String, NamedIndexSetting>,
    /// The default index, where one is configured.
    pub(crate) default: Option<&'a Url>,
    /// The lock.
    pub(crate) lock: &'a Lock,
    /// The command that makes the lock again.
    pub(crate) relock: &'a str,
}

impl Question<'_> {
    /// Binds the distributions that are installed to indexes.
    pub(crate) fn bind(&self, wanted: &[Locked]) -> (Bindings, Vec<Finding>) {
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

impl Context {
    /// The index of a name in `kiln.toml`, with its login. The keyring is asked once.
    pub(crate) async fn named_index(&self, name: &str) -> Result<Index, BuildError> {
        let mut known = self.named_indexes.lock().await;
        if let Some(index) = known.get(name) {
            return Ok(index.clone());
        }
        let Some(setting) = self.environment.indexes.get(name) else {
            let reason = format!("{FILE} does not name it");
            return Err(BuildError::Index { index: name.to_owned(), reason });
        };
        let index = setting.index(name).await?;
        known.insert(name.to_owned(), index.clone());
        Ok(index)
    }

    /// Where the default index is, if that can be told; the keyring is not asked for it.
    pub(crate) async fn default_index_url(&self, base: &PinnedBase) -> Option<Url> {
        match self.environment.indexes.values().find(|setting| setting.default) {
            Some(named) => named.setting.as_ref().ok().map(|setting| setting.url.clone()),
            None => self.bases.index(self, base).await.ok().map(|index| index.url),
        }
    }

    /// The default index that the workspace or the environment names.
    pub(crate) async fn configured_index(&self) -> Result<Option<Index>, BuildError> {
        if let Some((name, _)) = self.environment.indexes.iter().find(|(_, setting)| setting.default) {
            return self.named_index(name).await.map(Some);
        }
        Ok(self.environment.index.clone().map(Index::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
