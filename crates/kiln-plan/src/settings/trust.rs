//! `[trust]` in `kiln.toml`: from where anything may come, and how old pins may be.

use crate::base::{BaseDefinition, BaseKind};
use crate::period::Period;
use crate::problem::{Problem, line_of_key};
use crate::spanned::Spanned;
use serde::Deserialize;
use std::ops::Range;
use std::sync::Arc;

/// What a workspace trusts. What it does not say is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// Registries of images, or paths in them.
    registries: Option<Allowed>,
    /// The beginnings of addresses of package indexes.
    indexes: Option<Allowed>,
    /// Suites of Debian.
    suites: Option<Allowed>,
    /// How long ago something may have been pinned that a build uses, and where that is stated.
    max_age: Option<(Period, Place)>,
}

/// A list with the place that states it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Allowed {
    names: Vec<String>,
    place: Place,
}

/// A place in `kiln.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    file: String,
    text: Arc<str>,
    span: Range<usize>,
}

#[derive(Default, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct TrustTable {
    /// Registries of images, or paths in them, such as `public.ecr.aws/lambda`.
    registries: Option<Spanned<Vec<String>>>,
    /// The beginnings of the addresses of package indexes, such as `https://pypi.example.org/`.
    indexes: Option<Spanned<Vec<String>>>,
    /// Suites of Debian, such as `trixie`.
    suites: Option<Spanned<Vec<String>>>,
    /// How long ago something may have been pinned that a build uses.
    max_age: Option<Spanned<Period>>,
}

impl TrustTable {
    pub(super) fn read(self, file: &str, text: &Arc<str>) -> Trust {
        let place = |span| Place { file: file.to_owned(), text: Arc::clone(text), span };
        let allowed = |list: Option<Spanned<Vec<String>>>| {
            list.map(|list| Allowed { place: place(list.span()), names: list.into_inner() })
        };
        Trust {
            registries: allowed(self.registries),
            indexes: allowed(self.indexes),
            suites: allowed(self.suites),
            max_age: self.max_age.map(|age| (*age.get_ref(), place(age.span()))),
        }
    }
}

impl Place {
    fn line(&self) -> usize {
        self.text.get(..self.span.start).unwrap_or_default().matches('\n').count() + 1
    }

    /// What is not trusted, at the line that something else is stated in.
    fn refuses(&self, what: &str, key: &str, names: &[String]) -> (String, String) {
        let list = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        (
            format!("{what} is not among what `trust.{key}` allows ({}:{})", self.file, self.line()),
            format!("allowed: {list}; use one of these, or have it added there"),
        )
    }
}

impl Trust {
    /// Whether a package index may be asked, by its address without a login.
    ///
    /// # Errors
    /// A problem that points at the list of those that may.
    pub fn index(&self, address: &str) -> Result<(), Problem> {
        let Some(Allowed { names, place }) = &self.indexes else { return Ok(()) };
        let is_below = |allowed: &String| {
            let allowed = allowed.trim_end_matches('/');
            address.strip_prefix(allowed).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if names.iter().any(is_below) {
            return Ok(());
        }
        let (message, help) = place.refuses(&format!("the package index {address}"), "indexes", names);
        Err(Problem::in_file(&place.file, message).at(&place.text, place.span.clone()).help(help))
    }

    /// Whether something may be used that was pinned some days ago.
    ///
    /// # Errors
    /// A problem that points at the age that is allowed.
    pub fn age(&self, what: &str, days: u64, command: &str) -> Result<(), Problem> {
        let Some((most, place)) = &self.max_age else { return Ok(()) };
        if days <= most.days() {
            return Ok(());
        }
        let message =
            format!("{what} was pinned {days} days ago, and `trust.max-age` allows {} days", most.days());
        Err(Problem::in_file(&place.file, message)
            .at(&place.text, place.span.clone())
            .help(format!("pin it again: {command}")))
    }

    /// What of a base is not trusted, at the line of its definition.
    pub(crate) fn of_base(&self, definition: &BaseDefinition, text: Option<&Arc<str>>) -> Option<Problem> {
        let (key, what, told) = match &definition.kind {
            BaseKind::Debian(debian) => {
                let Allowed { names, place } = self.suites.as_ref()?;
                if names.contains(&debian.suite) {
                    return None;
                }
                ("suite", format!("the suite `{}`", debian.suite), (place, "suites", names))
            }
            BaseKind::Registry(registry) => {
                let Allowed { names, place } = self.registries.as_ref()?;
                if names.iter().any(|allowed| is_in_registry(&registry.reference, allowed)) {
                    return None;
                }
                ("reference", format!("`{}`", registry.reference), (place, "registries", names))
            }
            BaseKind::Scratch => return None,
        };
        let (place, list, names) = told;
        let (message, help) = place.refuses(&what, list, names);
        let problem = Problem::in_file(&definition.file, message).help(help);
        Some(match text.and_then(|text| Some((text, line_of_key(text, key)?))) {
            Some((text, span)) => problem.at(text, span),
            None => problem,
        })
    }
}

/// Whether a reference is of a registry, or of a path in it.
fn is_in_registry(reference: &str, allowed: &str) -> bool {
    let allowed = allowed.trim_end_matches('/');
    let Some(rest) = reference.strip_prefix(allowed) else { return false };
    match rest.chars().next() {
        None | Some('/' | '@') => true,
        // `registry.example.org` must not allow `registry.example.org:5000`, which is another one.
        Some(':') => allowed.contains('/'),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;

    fn trust(text: &str) -> Trust {
        Settings::parse("kiln.toml", &format!("format = \"1\"\n[trust]\n{text}").into()).unwrap().trust
    }

    #[test]
    fn indexes_are_allowed_by_the_beginning_of_their_address() {
        let trust = trust("indexes = [\"https://pypi.example.org/simple/\"]\n");
        for good in [
            "https://pypi.example.org/simple",
            "https://pypi.example.org/simple/",
            "https://pypi.example.org/simple/x",
        ] {
            trust.index(good).unwrap();
        }
        for bad in [
            "https://pypi.example.org/simple-not",
            "https://pypi.example.org.evil/simple",
            "http://pypi.example.org/simple",
        ] {
            let problem = trust.index(bad).unwrap_err();
            assert_eq!((problem.file.as_str(), problem.line()), ("kiln.toml", Some(3)));
        }
        Trust::default().index("https://anything.example").unwrap();
    }

    #[test]
    fn a_registry_is_allowed_by_its_whole_name_or_a_path() {
        for (reference, allowed, is) in [
            ("r.example/a:1", "r.example", true),
            ("r.example/team/a:1", "r.example/team", true),
            ("r.example/team/a@sha256:0", "r.example/team/", true),
            ("r.example/team:1", "r.example/team", true),
            ("r.example/teammate/a:1", "r.example/team", false),
            ("r.example:5000/a:1", "r.example", false),
            ("r.example.evil/a:1", "r.example", false),
            ("evil/r.example/a:1", "r.example", false),
        ] {
            assert_eq!(is_in_registry(reference, allowed), is, "{reference} in {allowed}");
        }
    }

    #[test]
    fn an_age_is_allowed_to_the_day() {
        let trust = trust("max-age = \"30 days\"\n");
        trust.age("base x", 30, "kiln lock --base x").unwrap();
        let problem = trust.age("base x", 31, "kiln lock --base x").unwrap_err();
        assert_eq!(problem.line(), Some(3));
        assert!(
            problem.message.contains("31 days ago") && problem.help.unwrap().contains("kiln lock --base x")
        );
    }
}
