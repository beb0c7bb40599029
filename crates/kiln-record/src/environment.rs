//! The environment that Lambda runs functions in as data: one fact a row, with its source and what a check does about it.
//!
//! The table (`environment.toml`) is the one place where its numbers and paths stand: limits of checks, the variables that
//! they set and the pages that tell of them are read from it. A manifest may state another value of some facts.

use crate::{ArtifactName, Runtime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Whether a check gives a function what Lambda does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Imitated {
    /// It does.
    Yes,
    /// A function can tell the difference.
    Partly,
    /// It does not.
    No,
}

/// What one thing is where Lambda runs a function.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fact {
    /// The name in manifests and output, in kebab-case.
    pub name: String,
    /// What it is about, in words.
    pub what: String,
    /// Whether only Python's runtimes have it.
    #[serde(default)]
    runtimes: Family,
    /// The first Python whose runtime has it; every one if absent.
    since: Option<(u32, u32)>,
    /// The value in Lambda: one, or the places of a list.
    #[serde(default)]
    pub value: Vec<String>,
    /// What a check uses instead, where nothing is stated.
    checked: Option<String>,
    /// The variable that has the value.
    variable: Option<String>,
    /// Further variables, with placeholders.
    #[serde(default)]
    variables: BTreeMap<String, String>,
    lambda: Option<String>,
    /// Whether a check does the same.
    pub imitated: Imitated,
    here: Option<String>,
    /// The bounds of what a manifest may state instead.
    change: Option<Bounds>,
    /// The key under `[check]` that states it.
    stated: Option<String>,
    /// How it is known.
    pub sources: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Family {
    #[default]
    All,
    Python,
}

/// The least and the most of a number; a text has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    least: Option<u64>,
    most: Option<u64>,
}

/// Another value of a fact than the table's, as a manifest states it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FactChange {
    /// The fact.
    pub fact: String,
    /// Its value.
    pub value: String,
    /// Why.
    pub reason: String,
}

impl Fact {
    /// Which runtimes have it, for people.
    #[must_use]
    pub fn runtimes(&self) -> String {
        match (self.runtimes, self.since) {
            (Family::All, _) => "all".to_owned(),
            (Family::Python, None) => "Python's".to_owned(),
            (Family::Python, Some((major, minor))) => format!("python{major}.{minor} and later"),
        }
    }

    /// What it is in Lambda, for people.
    #[must_use]
    pub fn in_lambda(&self) -> String {
        self.filled(self.lambda.as_deref().unwrap_or("{value}"))
    }

    /// What a check does, for people.
    #[must_use]
    pub fn here(&self) -> String {
        self.filled(self.here.as_deref().unwrap_or("the same"))
    }

    /// Holds a value that a manifest states against what the fact may be.
    ///
    /// # Errors
    /// What is wrong with it, and what to write instead.
    pub fn check(&self, stated: &str) -> Result<(), (String, String)> {
        let error = format!("`{}` is not to be changed", self.name);
        if let Some(key) = &self.stated {
            return Err((error, format!("state it as `{key}` under [check]")));
        }
        let Some(bounds) = self.change else {
            return Err((error, format!("these are: {}", changeable().join(", "))));
        };
        let (Some(least), Some(most)) = (bounds.least, bounds.most) else {
            return match stated.trim().is_empty() || stated.chars().any(char::is_control) {
                true => Err((format!("`{}` needs a value", self.name), "write it on one line".to_owned())),
                false => Ok(()),
            };
        };
        let unit = self.value.first().and_then(|value| value.split_once(' ')).map_or("", |(_, unit)| unit);
        let number = stated.trim().strip_suffix(unit).and_then(|number| number.trim().parse::<u64>().ok());
        if number.is_some_and(|number| (least..=most).contains(&number)) {
            return Ok(());
        }
        let unit = if unit.is_empty() { String::new() } else { format!(" {unit}") };
        Err((
            format!("`{stated}` is no value that `{}` may have", self.name),
            format!("write {least}{unit} to {most}{unit}"),
        ))
    }

    fn applies(&self, python: Option<(u32, u32)>) -> bool {
        match (self.runtimes, python) {
            (Family::All, _) => true,
            (Family::Python, None) => false,
            (Family::Python, Some(python)) => self.since.is_none_or(|since| since <= python),
        }
    }

    fn filled(&self, text: &str) -> String {
        let separator = if self.variable.is_some() { ":" } else { "`, `" };
        let is_amount =
            self.value.first().is_some_and(|value| value.starts_with(|c: char| c.is_ascii_digit()));
        let value = match is_amount {
            true => self.value.concat(),
            false => format!("`{}`", self.value.join(separator)),
        };
        let value = value.replace("{python}", "X.Y");
        let most = self.change.and_then(|change| change.most).map(|most| most.to_string());
        text.replace("{value}", &value)
            .replace("{checked}", self.checked.as_deref().unwrap_or_default())
            .replace("{most}", most.as_deref().unwrap_or_default())
    }
}

/// Every fact, whatever the runtime, in the order of the table.
#[must_use]
pub fn facts() -> &'static [Fact] {
    static TABLE: OnceLock<Vec<Fact>> = OnceLock::new();
    TABLE.get_or_init(|| {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            fact: Vec<Fact>,
        }
        let file: Result<File, _> = toml::from_str(include_str!("environment.toml"));
        file.expect("the table is part of the program and covered by a test").fact
    })
}

/// The names of the facts that a manifest may state another value of.
#[must_use]
pub fn changeable() -> Vec<&'static str> {
    let own = facts().iter().filter(|fact| fact.change.is_some() && fact.stated.is_none());
    own.map(|fact| fact.name.as_str()).collect()
}

/// What Lambda's configuration lets a number be: the least and the most, in the unit of the table.
#[must_use]
pub fn bounds(fact: &str) -> Option<(u64, u64)> {
    let bounds = facts().iter().find(|known| known.name == fact)?.change?;
    bounds.least.zip(bounds.most)
}

/// What a function of one runtime finds, with the changes of its manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    facts: Vec<Fact>,
    runtime: String,
}

impl Environment {
    /// The environment of a runtime. A change must have passed [`Fact::check`].
    #[must_use]
    pub fn of(runtime: &Runtime, changes: &[FactChange]) -> Self {
        let mut facts: Vec<Fact> =
            facts().iter().filter(|fact| fact.applies(runtime.python)).cloned().collect();
        let python = runtime.python.map(|(major, minor)| format!("{major}.{minor}")).unwrap_or_default();
        for fact in &mut facts {
            let change = changes.iter().find(|change| change.fact == fact.name);
            match change {
                Some(change) => fact.value = vec![change.value.trim().to_owned()],
                None => {
                    for value in &mut fact.value {
                        *value = value.replace("{python}", &python);
                    }
                }
            }
        }
        Self { facts, runtime: runtime.name.clone() }
    }

    /// The facts of all runtimes, for whatever is none of Lambda's that kiln knows.
    #[must_use]
    pub fn of_all(changes: &[FactChange]) -> Self {
        let mut facts = facts().to_vec();
        for fact in &mut facts {
            if let Some(change) = changes.iter().find(|change| change.fact == fact.name) {
                fact.value = vec![change.value.clone()];
            }
        }
        Self { facts, runtime: String::new() }
    }

    /// The facts, in the order of the table.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// Where modules are looked for before the interpreter's own folders, in order; nowhere without Python.
    #[must_use]
    pub fn search_path(&self) -> &[String] {
        self.fact("search-path").map_or(&[], |fact| &fact.value)
    }

    /// Where the dynamic loader looks before the system's folders.
    #[must_use]
    pub fn library_path(&self) -> Vec<&str> {
        let places = self.fact("library-path").map_or(&[][..], |fact| &fact.value);
        places.iter().flat_map(|places| places.split(':')).collect()
    }

    /// How much a function may write to `/tmp`, in bytes.
    #[must_use]
    pub fn tmp_bytes(&self) -> u64 {
        self.number("tmp-size") << 20
    }

    /// The open files that a process may have.
    #[must_use]
    pub fn descriptors(&self) -> u32 {
        u32::try_from(self.number("descriptors")).unwrap_or(u32::MAX)
    }

    /// The processes and threads that there may be.
    #[must_use]
    pub fn processes(&self) -> u32 {
        u32::try_from(self.number("processes")).unwrap_or(u32::MAX)
    }

    /// How long Lambda waits until a function asks for its first event, in seconds.
    #[must_use]
    pub fn init_seconds(&self) -> u64 {
        self.number("init-time")
    }

    /// How long a check waits for that, in seconds.
    #[must_use]
    pub fn checked_init_seconds(&self) -> u32 {
        u32::try_from(self.checked("init-time")).unwrap_or(u32::MAX)
    }

    /// How long a check waits for an answer where nothing is stated, in seconds.
    #[must_use]
    pub fn checked_timeout_seconds(&self) -> u32 {
        u32::try_from(self.checked("timeout")).unwrap_or(u32::MAX)
    }

    /// The memory of a function in a check where nothing is stated, in bytes.
    #[must_use]
    pub fn checked_memory_bytes(&self) -> u64 {
        self.checked("memory") << 20
    }

    /// The most bytes of an answer.
    #[must_use]
    pub fn answer_bytes(&self) -> u64 {
        self.number("answer-size")
    }

    /// The most bytes of the function's own variables.
    #[must_use]
    pub fn variables_bytes(&self) -> u64 {
        self.number("variables-size")
    }

    /// The variables that Lambda sets for a function, as far as a check does. `memory` is what it is configured with, in MB.
    #[must_use]
    pub fn variables(
        &self,
        function: &ArtifactName,
        handler: Option<&str>,
        memory: Option<u32>,
    ) -> BTreeMap<String, String> {
        let memory = memory.map_or_else(|| self.number("memory"), u64::from).to_string();
        let mut all = BTreeMap::new();
        for fact in &self.facts {
            if let Some(name) = &fact.variable {
                all.insert(name.clone(), fact.value.join(":"));
            }
            for (name, value) in &fact.variables {
                let value = value
                    .replace("{value}", &fact.value.concat())
                    .replace("{runtime}", &self.runtime)
                    .replace("{function}", function.as_str())
                    .replace("{memory}", &memory)
                    .replace("{handler}", handler.unwrap_or_default());
                all.insert(name.clone(), value);
            }
        }
        all
    }

    /// A variable that is the same for every function; none if Lambda sets none of the name, or another for each function.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        self.facts.iter().find_map(|fact| match fact.variables.get(name) {
            Some(value) => Some(value.clone()).filter(|value| !value.contains('{')),
            None => (fact.variable.as_deref() == Some(name)).then(|| fact.value.join(":")),
        })
    }

    fn fact(&self, name: &str) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.name == name)
    }

    fn number(&self, name: &str) -> u64 {
        self.fact(name).and_then(|fact| number(fact.value.first()?)).unwrap_or_default()
    }

    fn checked(&self, name: &str) -> u64 {
        self.fact(name).and_then(|fact| number(fact.checked.as_deref()?)).unwrap_or_default()
    }
}

/// The number of an amount such as `512 MB`.
fn number(amount: &str) -> Option<u64> {
    amount.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn of(runtime: &str, changes: &[(&str, &str)]) -> Environment {
        let change = |(fact, value): &(&str, &str)| FactChange {
            fact: (*fact).to_owned(),
            value: (*value).to_owned(),
            reason: "seen".to_owned(),
        };
        Environment::of(Runtime::named(runtime).unwrap(), &changes.iter().map(change).collect::<Vec<_>>())
    }

    #[test]
    fn the_table_is_valid() {
        let names: BTreeSet<&str> = facts().iter().map(|fact| fact.name.as_str()).collect();
        assert_eq!(names.len(), facts().len());
        for fact in facts() {
            assert!(fact.imitated == Imitated::Yes || fact.here.is_some(), "{} says why", fact.name);
            assert!(!fact.sources.is_empty(), "{} has a source", fact.name);
            assert!(!fact.in_lambda().contains(['{', '}']), "{}", fact.name);
            assert!(!fact.here().contains(['{', '}']), "{}", fact.name);
            let bounds = fact.change.and_then(|change| change.least.zip(change.most));
            let own = fact.value.first().and_then(|value| number(value));
            assert!(
                bounds.is_none_or(|(least, most)| (least..=most).contains(&own.unwrap())),
                "{}",
                fact.name
            );
        }
        let python = of("python3.13", &[]);
        assert_eq!(python.search_path()[1], "/opt/python/lib/python3.13/site-packages");
        assert_eq!((python.tmp_bytes(), python.descriptors(), python.processes()), (512 << 20, 1024, 1024));
        assert_eq!((python.init_seconds(), python.checked_init_seconds()), (10, 60));
        assert_eq!((python.checked_timeout_seconds(), python.checked_memory_bytes()), (30, 2 << 30));
        assert_eq!((python.answer_bytes(), python.variables_bytes()), (6_291_556, 4096));
        assert!(of("provided.al2023", &[]).search_path().is_empty());
        let has = |name: &str| of(name, &[]).facts().iter().any(|fact| fact.name == "provided-modules");
        assert!(has("python3.12") && !has("python3.11") && !has("nodejs22.x"));
    }

    #[test]
    fn variables_are_lambdas_and_credentials_open_nothing() {
        let function = "demo".parse().unwrap();
        let variables = of("python3.11", &[]).variables(&function, Some("a.b"), None);
        for (name, value) in [
            ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.11"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/demo"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("TZ", ":UTC"),
            ("_HANDLER", "a.b"),
        ] {
            assert_eq!(variables[name], value);
        }
        assert!(
            variables["PATH"].ends_with(":/opt/bin") && variables["LD_LIBRARY_PATH"].contains(":/lib64:/usr")
        );
        assert!(!variables.contains_key("HOME") && !variables.contains_key("LANG"));
        let environment = of("python3.11", &[]);
        for name in ["PATH", "LD_LIBRARY_PATH", "LAMBDA_TASK_ROOT"] {
            assert_eq!(environment.variable(name).as_ref(), variables.get(name), "{name}");
        }
        assert_eq!((environment.variable("_HANDLER"), environment.variable("HOME")), (None, None));
        assert!(variables.values().all(|value| !value.contains(['{', '}'])), "{variables:?}");
    }

    #[test]
    fn a_change_is_bounded_and_reaches_what_is_read() {
        let check = |name: &str, value: &str| {
            facts()
                .iter()
                .find(|fact| fact.name == name)
                .unwrap()
                .check(value)
                .map_err(|(error, help)| error + "; " + &help)
        };
        assert_eq!(check("tmp-size", "10240 MB"), Ok(()));
        assert_eq!(check("descriptors", "2048"), Ok(()));
        assert_eq!(check("time-zone", ":Europe/Zurich"), Ok(()));
        for (name, value, says) in [
            ("tmp-size", "100 MB", "write 512 MB to 10240 MB"),
            ("tmp-size", "2 GB", "write 512 MB"),
            ("descriptors", "many", "write 16 to 1048576"),
            ("memory", "256 MB", "state it as `memory` under [check]"),
            ("user", "root", "these are: tmp-size, path,"),
            ("path", " ", "needs a value"),
        ] {
            assert!(check(name, value).unwrap_err().contains(says), "{name} = {value}");
        }
        let changed = of(
            "python3.13",
            &[("tmp-size", "2048 MB"), ("time-zone", ":X"), ("path", "/a:/b"), ("region", "eu-west-1")],
        );
        assert_eq!(changed.tmp_bytes(), 2 << 30);
        let variables = changed.variables(&"demo".parse().unwrap(), None, Some(256));
        let of = |name: &str| variables[name].as_str();
        assert_eq!([of("TZ"), of("PATH"), of("AWS_DEFAULT_REGION")], [":X", "/a:/b", "eu-west-1"]);
        assert_eq!(of("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), "256");
    }
}
