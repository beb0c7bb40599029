//! The `[[index]]` tables of `kiln.toml`: package indexes with names, and which distributions each of them is
//! asked for.
//!
//! A distribution name belongs to exactly one index. What is bound to an index by `packages` is never asked
//! of another, so a package of the same name elsewhere cannot take its place, whatever its version.

use crate::Problem;
use crate::spanned::Spanned;
use globset::{Glob, GlobMatcher};
use kiln_record::{DistributionName, excerpt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// A package index that the workspace names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedIndex {
    /// Its name: what a lock that kiln makes says, and what the variables for its login are made of.
    pub name: String,
    /// Where it is.
    pub place: IndexPlace,
    /// Whether it takes the place of the index that pip or uv is configured for: it is asked for every name
    /// that is bound to no other.
    pub default: bool,
    /// Whether it is asked for nothing but its `packages`. Otherwise a lock that names an index for each
    /// distribution may bind further names to it.
    pub exclusive: bool,
    /// The names that are bound to it.
    pub packages: Vec<NamePattern>,
    /// Whether the `keyring` command is asked for its password.
    pub keyring: bool,
}

/// Where a named index is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexPlace {
    /// At a URL.
    Url(String),
    /// At the URL that a variable of the environment holds, so that no file of the workspace has to.
    Variable(String),
}

/// A glob over distribution names in normal form (PEP 503): `*` stands for any text.
#[derive(Clone, Debug)]
pub struct NamePattern {
    text: String,
    matcher: GlobMatcher,
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for NamePattern {}

impl Serialize for NamePattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it, as a fragment.
    fn parse(text: &str) -> Result<Self, String> {
        let normal = !text.is_empty()
            && text.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'*'))
            && !text.contains("--");
        if !normal {
            return Err(format!("`{}` is no pattern for names in normal form", excerpt(text)));
        }
        if text.bytes().all(|c| c == b'*') {
            return Err(format!("`{text}` binds every name to one index"));
        }
        let glob = Glob::new(text).map_err(|error| error.kind().to_string())?;
        Ok(Self { text: text.to_owned(), matcher: glob.compile_matcher() })
    }

    /// Whether it stands for a name.
    #[must_use]
    pub fn matches(&self, name: &DistributionName) -> bool {
        self.matcher.is_match(name.as_str())
    }

    /// As written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl NamedIndex {
    /// Whether a name is bound to it.
    #[must_use]
    pub fn claims(&self, name: &DistributionName) -> bool {
        self.packages.iter().any(|pattern| pattern.matches(name))
    }

    /// What decides findings and is the same on every machine: not where the index is.
    pub(crate) fn stated(&self) -> impl Serialize + '_ {
        (&self.name, self.default, self.exclusive, &self.packages)
    }
}

/// The name that stands for whatever is configured elsewhere, and that no table may have.
const RESERVED: &str = "default";

#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct IndexTable {
    name: Spanned<String>,
    url: Option<Spanned<String>>,
    url_env: Option<Spanned<String>>,
    #[serde(default)]
    default: bool,
    exclusive: Option<bool>,
    #[serde(default)]
    packages: Vec<Spanned<String>>,
    #[serde(default)]
    keyring: bool,
}

/// Checks the tables. `python_index` tells whether `[python] index` names the default index, too.
pub(crate) fn named_indexes(
    file: &str,
    text: &Arc<str>,
    tables: Vec<Spanned<IndexTable>>,
    python_index: bool,
) -> Result<Vec<NamedIndex>, Problem> {
    let mut indexes: Vec<NamedIndex> = Vec::new();
    let mut variables = BTreeSet::new();
    for table in tables {
        let span = table.span();
        let table = table.into_inner();
        let problem = |span: Range<usize>, message: String, help: &str| {
            Problem::in_file(file, message).at(text, span).help(help)
        };
        let name = table.name.get_ref();
        let is_name = name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
            && name.starts_with(|c: char| c.is_ascii_lowercase())
            && !name.ends_with('-');
        if !is_name || name == RESERVED {
            return Err(problem(
                table.name.span(),
                format!("`{}` is not a name for an index", excerpt(name)),
                "use lower-case letters, digits and `-`, such as \"acme\"; `default` is what is configured elsewhere",
            ));
        }
        if !variables.insert(name.to_ascii_uppercase().replace('-', "_")) {
            return Err(problem(
                table.name.span(),
                format!("two indexes are named `{name}`"),
                "give one another name: its login is found by it",
            ));
        }
        let place = place(&table, span.clone(), file, &problem)?;
        let mut packages = Vec::new();
        for pattern in &table.packages {
            let parsed = NamePattern::parse(pattern.get_ref()).map_err(|message| {
                problem(
                    pattern.span(),
                    message,
                    "write names in lower case with `-`, such as \"acme-lib\" or \"acme-*\"; an index for all other names has default = true",
                )
            })?;
            if let Some(other) = indexes.iter().find(|other| other.packages.contains(&parsed)) {
                return Err(problem(
                    pattern.span(),
                    format!("`{}` is bound to the indexes `{}` and `{name}`", parsed.as_str(), other.name),
                    "bind it to one of them",
                ));
            }
            packages.push(parsed);
        }
        if table.default && (python_index || indexes.iter().any(|other| other.default)) {
            return Err(problem(
                span,
                format!("the index `{name}` is not the only default"),
                "leave default = true at one of them, and remove `index` under [python]",
            ));
        }
        let exclusive = table.exclusive.unwrap_or(!table.default);
        if exclusive && table.default {
            return Err(problem(
                span,
                format!("the index `{name}` is asked for every other name, so it cannot be exclusive"),
                "remove `exclusive`, or `default`",
            ));
        }
        if exclusive && packages.is_empty() {
            return Err(problem(
                span,
                format!("nothing is bound to the index `{name}`, so it would never be asked"),
                "list in `packages` what it has, such as packages = [\"acme-*\"]",
            ));
        }
        indexes.push(NamedIndex {
            name: name.clone(),
            place,
            default: table.default,
            exclusive,
            packages,
            keyring: table.keyring,
        });
    }
    Ok(indexes)
}

/// Where the index of a table is.
fn place(
    table: &IndexTable,
    span: Range<usize>,
    file: &str,
    problem: &impl Fn(Range<usize>, String, &str) -> Problem,
) -> Result<IndexPlace, Problem> {
    let name = table.name.get_ref();
    match (&table.url, &table.url_env) {
        (Some(url), None) => {
            no_password(
                file,
                &format!("the URL of the index `{name}`"),
                url.get_ref(),
                "kiln reads KILN_INDEX_<NAME>_USERNAME and KILN_INDEX_<NAME>_PASSWORD, or netrc, or keyring = true",
            )?;
            Ok(IndexPlace::Url(url.get_ref().clone()))
        }
        (None, Some(variable)) => {
            let is_variable = variable.get_ref().bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
            if !is_variable || variable.get_ref().is_empty() {
                return Err(problem(
                    variable.span(),
                    format!("`{}` is not the name of a variable", excerpt(variable.get_ref())),
                    "write it without `$`, such as url-env = \"ACME_INDEX_URL\"",
                ));
            }
            Ok(IndexPlace::Variable(variable.get_ref().clone()))
        }
        _ => Err(problem(
            span,
            format!("the index `{name}` needs either `url` or `url-env`"),
            "write url = \"https://…/simple/\", or url-env = \"VARIABLE\" where the host is not to be in this file",
        )),
    }
}

/// Refuses a URL with a password, without the lines around it: they hold the password.
pub(crate) fn no_password(file: &str, what: &str, url: &str, instead: &str) -> Result<(), Problem> {
    if !has_password(url) {
        return Ok(());
    }
    Err(Problem::in_file(file, format!("{what} holds a password, and this file is no place for one"))
        .help(format!("take it out: {instead}")))
}

/// Whether the authority of a URL has a password.
fn has_password(url: &str) -> bool {
    let authority =
        url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or(""));
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}

#[cfg(test)]
mod tests {
    use crate::Settings;

    fn read(text: &str) -> Result<Settings, String> {
        Settings::parse("kiln.toml", &format!("format = \"1\"\n{text}").into()).map_err(|p| p.to_string())
    }

    #[track_caller]
    fn refused(text: &str, part: &str) {
        let message = read(text).unwrap_err();
        assert!(message.contains(part), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[test]
    fn names_are_bound_by_globs() {
        let settings = read(
            "[[index]]\nname = \"acme\"\nurl-env = \"ACME_URL\"\npackages = [\"acme-*\", \"internal-lib\"]\n\
             [[index]]\nname = \"mirror\"\nurl = \"https://me@mirror.example/simple\"\ndefault = true\n",
        )
        .unwrap();
        let [acme, mirror] = &settings.indexes[..] else { panic!("{settings:?}") };
        let claimed = |name: &str| acme.claims(&name.parse().unwrap());
        assert!(claimed("acme-lib") && claimed("Acme_Lib.x") && claimed("internal-lib"));
        assert!(!claimed("acme") && !claimed("my-acme-lib") && !claimed("internal-lib2"));
        assert!(acme.exclusive && !acme.default && mirror.default && !mirror.exclusive);
        assert!(!mirror.claims(&"six".parse().unwrap()));
    }

    #[test]
    fn what_is_unclear_is_refused() {
        let table = |keys: &str| format!("[[index]]\nname = \"acme\"\n{keys}");
        let url = "url = \"https://a.example/simple/\"\n";
        refused(&table("packages = [\"a-*\"]"), "needs either `url` or `url-env`");
        refused(&table(&format!("{url}url-env = \"X\"\npackages = [\"a\"]")), "needs either");
        refused(&table("url = \"https://me:hunter2@a.example/\"\npackages = [\"a\"]"), "holds a password");
        refused("[python]\nindex = \"https://me:hunter2@a.example/\"\n", "`python.index` holds a password");
        refused("[debian]\nmirror = \"https://me:hunter2@a.example/\"\n", "`debian.mirror` holds a password");
        refused(&table("url-env = \"$X\"\npackages = [\"a\"]"), "not the name of a variable");
        refused(&table(url), "would never be asked");
        refused(&table(&format!("{url}packages = [\"Acme_Lib\"]")), "normal form");
        refused(&table(&format!("{url}packages = [\"*\"]")), "every name");
        refused(&table(&format!("{url}default = true\nexclusive = true")), "cannot be exclusive");
        refused(&format!("{0}{0}", table(&format!("{url}packages = [\"a\"]\n"))), "two indexes are named");
        refused(
            &format!(
                "{}{}",
                table(&format!("{url}packages = [\"a-*\"]\n")),
                "[[index]]\nname = \"b\"\nurl = \"x\"\npackages = [\"a-*\"]\n"
            ),
            "bound to the indexes `acme` and `b`",
        );
        refused("[[index]]\nname = \"default\"\nurl = \"x\"\npackages = [\"a\"]", "not a name");
        refused(
            &format!(
                "[python]\nindex = \"https://x.example/\"\n{}",
                table(&format!("{url}default = true\n"))
            ),
            "not the only default",
        );
    }
}
