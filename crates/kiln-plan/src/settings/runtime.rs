//! `[[runtime]]` in `kiln.toml`: targets that a workspace adds to Lambda's runtimes.

use crate::Problem;
use crate::spanned::Spanned;
use kiln_record::{OperatingSystem, Provided, Runtime, runtimes};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A target as a user describes it: on its own, or by what differs from a runtime of Lambda.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct RuntimeTable {
    name: String,
    like: Option<Spanned<String>>,
    system: Option<String>,
    glibc: Option<Spanned<String>>,
    #[serde(default)]
    interfaces: BTreeMap<String, Spanned<String>>,
    libraries: Option<Vec<String>>,
    loaders: Option<Vec<String>>,
    python: Option<Spanned<String>>,
    provides: Option<Vec<Provided>>,
}

/// Reads the targets of a workspace.
///
/// # Errors
/// The first thing that is wrong: a name that is taken, a version that is none, a target without a glibc
/// version.
pub(crate) fn own_runtimes(
    file: &str,
    text: &Arc<str>,
    tables: Vec<Spanned<RuntimeTable>>,
) -> Result<Vec<Arc<Runtime>>, Problem> {
    let mut own: Vec<Arc<Runtime>> = Vec::new();
    for table in tables {
        let span = table.span();
        let problem = |span: std::ops::Range<usize>, message: String, help: &str| {
            Problem::in_file(file, message).at(text, span).help(help)
        };
        let table = table.into_inner();
        if table.name.is_empty() || table.name.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(problem(
                span,
                "a runtime has no usable name".to_owned(),
                "give it one without spaces",
            ));
        }
        if Runtime::named(&table.name).is_some() || own.iter().any(|known| known.name == table.name) {
            return Err(problem(
                span,
                format!("there is a runtime `{}` already", table.name),
                "choose another name; `like` takes over what a runtime of Lambda has",
            ));
        }
        let like = match &table.like {
            Some(name) => {
                let known =
                    Runtime::named(name.get_ref()).or_else(|| own.iter().find(|r| r.name == *name.get_ref()));
                let known = known.ok_or_else(|| {
                    let names: Vec<&str> = runtimes().iter().map(|r| r.name.as_str()).collect();
                    problem(
                        name.span(),
                        format!("`{}` is not a runtime that kiln knows", name.get_ref()),
                        &format!("use one of: {}", names.join(", ")),
                    )
                })?;
                Some(Arc::clone(known))
            }
            None => None,
        };
        let pair = |value: &Spanned<String>| {
            numbers(value.get_ref())
                .and_then(|n| <[u32; 2]>::try_from(n).ok())
                .map(|[a, b]| (a, b))
                .ok_or_else(|| {
                    problem(
                        value.span(),
                        format!("`{}` is not a version of two numbers", value.get_ref()),
                        "write it such as \"2.34\"",
                    )
                })
        };
        let glibc = table.glibc.as_ref().map(pair).transpose()?;
        let python = table.python.as_ref().map(pair).transpose()?;
        let mut interfaces = like.as_ref().map(|l| l.system.interfaces.clone()).unwrap_or_default();
        for (interface, version) in table.interfaces {
            if numbers(version.get_ref()).is_none() {
                return Err(problem(
                    version.span(),
                    format!("`{}` is not a version", version.get_ref()),
                    "write it such as \"3.4.29\"",
                ));
            }
            interfaces.insert(interface, version.into_inner());
        }
        let Some(glibc) = glibc.or(like.as_ref().map(|l| l.system.glibc)) else {
            return Err(problem(
                span,
                format!("the runtime `{}` has no glibc version", table.name),
                "add glibc = \"2.34\", or like = \"python3.13\" to take over what that has",
            ));
        };
        let from = |field: Option<Vec<String>>, like: Option<&Vec<String>>| {
            field.or_else(|| like.cloned()).unwrap_or_default()
        };
        own.push(Arc::new(Runtime {
            system: OperatingSystem {
                name: table
                    .system
                    .or_else(|| like.as_ref().map(|l| l.system.name.clone()))
                    .unwrap_or_else(|| table.name.clone()),
                glibc,
                interfaces,
                libraries: from(table.libraries, like.as_ref().map(|l| &l.system.libraries)),
                loaders: from(table.loaders, like.as_ref().map(|l| &l.system.loaders)),
            },
            python: python.or(like.as_ref().and_then(|l| l.python)),
            provides: table
                .provides
                .or_else(|| like.as_ref().map(|l| l.provides.clone()))
                .unwrap_or_default(),
            name: table.name,
        }));
    }
    Ok(own)
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use crate::Settings;
    use std::sync::Arc;

    fn parse(tables: &str) -> Result<Settings, crate::Problem> {
        Settings::parse("kiln.toml", &Arc::from(format!("format = \"1\"\n{tables}")))
    }

    #[test]
    fn a_target_is_described_by_what_differs_or_on_its_own() {
        let settings = parse(
            "[[runtime]]\nname = \"acme-python3.12\"\nlike = \"python3.12\"\nglibc = \"2.28\"\n\
             interfaces = { GLIBCXX = \"3.4.25\" }\n\
             [[runtime]]\nname = \"edge\"\nsystem = \"Edge 1\"\nglibc = \"2.31\"\nlibraries = [\"libc.so.6\"]\n",
        )
        .unwrap();
        let [acme, edge] = &settings.runtimes[..] else { panic!("{:?}", settings.runtimes) };
        assert_eq!((acme.system.glibc, acme.python), ((2, 28), Some((3, 12))));
        assert_eq!(acme.system.interfaces["GLIBCXX"], "3.4.25");
        assert_eq!(acme.system.interfaces["CXXABI"], "1.3.13");
        assert!(acme.provides("boto3") && acme.has_library("libz.so.1"));
        assert_eq!((edge.system.name.as_str(), edge.python), ("Edge 1", None));
        assert!(edge.has_library("libc.so.6") && !edge.has_library("libz.so.1"));
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (table, line, words) in [
            ("name = \"python3.12\"\nglibc = \"2.28\"", 2, "already"),
            ("name = \"a\"", 2, "no glibc version"),
            ("name = \"a\"\nglibc = \"two\"", 4, "`two`"),
            ("name = \"a\"\nlike = \"python2\"", 4, "`python2`"),
            ("name = \"a\"\nlike = \"python3.12\"\ninterfaces = { GCC = \"x\" }", 5, "`x`"),
        ] {
            let problem = parse(&format!("[[runtime]]\n{table}\n")).unwrap_err();
            assert!(problem.message.contains(words), "{problem}");
            assert_eq!(problem.line(), Some(line), "{problem}");
        }
    }
}
