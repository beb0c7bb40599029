//! `[[runtime]]` in `kiln.toml`: targets that a workspace adds to Lambda's runtimes.

use crate::Problem;
use crate::spanned::Spanned;
use kiln_record::{OperatingSystem, Provided, PythonPatch, Runtime, runtimes};
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
    reason: Option<Spanned<String>>,
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
        let reason = table.reason.as_ref().map(|reason| reason.get_ref().trim()).filter(|r| !r.is_empty());
        let lambdas = Runtime::named(&table.name);
        let taken = own.iter().any(|known| known.name == table.name);
        if taken || (lambdas.is_some() && (reason.is_none() || table.like.is_some())) {
            let help = match lambdas.filter(|_| !taken) {
                Some(_) => {
                    "to state other facts of it, say in `reason` how they are known, without `like`; for a target of your own choose another name, and take over with `like` what a runtime of Lambda has"
                }
                None => "choose another name; `like` takes over what another runtime has",
            };
            return Err(problem(span, format!("there is a runtime `{}` already", table.name), help));
        }
        let like = match &table.like {
            // Without another one, a row of Lambda's is what is corrected.
            None => lambdas.map(Arc::clone),
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
        let stated = table.python.as_ref().map(|value| release(value, reason, &problem)).transpose()?;
        if let (Some((python, _)), Some(value), Some(lambdas)) = (&stated, &table.python, lambdas)
            && lambdas.python != Some(*python)
        {
            return Err(problem(
                value.span(),
                format!("`{}` is not a release of the Python that {} has", value.get_ref(), lambdas.name),
                "state its bug-fix release, or describe another target under another name",
            ));
        }
        let (python, patch) = match stated {
            Some((python, patch)) => (Some(python), patch),
            None => {
                (like.as_ref().and_then(|l| l.python), like.as_ref().and_then(|l| l.python_patch.clone()))
            }
        };
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
            python,
            python_patch: patch,
            provides: table
                .provides
                .or_else(|| like.as_ref().map(|l| l.provides.clone()))
                .unwrap_or_default(),
            name: table.name,
        }));
    }
    Ok(own)
}

/// A version of Python with or without its bug-fix release, which is a claim about somebody else's machine and needs
/// its reason.
fn release(
    value: &Spanned<String>,
    reason: Option<&str>,
    problem: &dyn Fn(std::ops::Range<usize>, String, &str) -> Problem,
) -> Result<((u32, u32), Option<PythonPatch>), Problem> {
    let text = value.get_ref();
    match (numbers(text).as_deref(), reason) {
        (Some([major, minor]), _) => Ok(((*major, *minor), None)),
        (Some([major, minor, patch]), Some(reason)) => Ok((
            (*major, *minor),
            Some(PythonPatch { number: *patch, known: format!("kiln.toml: {reason}") }),
        )),
        (Some([_, _, _]), None) => Err(problem(
            value.span(),
            format!("`{text}` states a bug-fix release without a `reason`"),
            "say how it is known, such as reason = \"sys.version of the deployed function, 2026-05-04\"",
        )),
        _ => Err(problem(
            value.span(),
            format!("`{text}` is not a version of two or three numbers"),
            "write it such as \"3.13\", or with the bug-fix release \"3.13.9\" and a reason",
        )),
    }
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use crate::Settings;
    use std::sync::Arc;

    fn parse(tables: &str) -> Result<Settings, crate::InvalidFiles> {
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
    fn the_release_of_a_runtime_is_stated_with_its_reason() {
        let settings = parse(
            "[[runtime]]\nname = \"python3.11\"\npython = \"3.11.9\"\nreason = \"pinned runtime version\"\n\
             [[runtime]]\nname = \"acme\"\nlike = \"python3.12\"\n\
             [[runtime]]\nname = \"older\"\nlike = \"python3.12\"\npython = \"3.11\"\n",
        )
        .unwrap();
        let [lambdas, acme, older] = &settings.runtimes[..] else { panic!("{:?}", settings.runtimes) };
        assert_eq!(lambdas.python_release().as_deref(), Some("3.11.9"));
        assert_eq!(lambdas.python_patch.as_ref().unwrap().known, "kiln.toml: pinned runtime version");
        assert_eq!((lambdas.system.glibc, lambdas.provides("boto3")), ((2, 26), true));
        assert_eq!(acme.python_release().as_deref(), Some("3.12.12"));
        assert_eq!((older.python, older.python_release()), (Some((3, 11)), None));
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        for (table, line, words) in [
            ("name = \"python3.12\"\nglibc = \"2.28\"", 2, "already"),
            ("name = \"python3.12\"\nreason = \" \"", 2, "already"),
            ("name = \"python3.12\"\npython = \"3.12.3\"", 2, "already"),
            ("name = \"python3.12\"\npython = \"3.11.3\"\nreason = \"x\"", 4, "`3.11.3`"),
            ("name = \"a\"\nlike = \"python3.12\"\npython = \"3.12.3\"", 5, "without a `reason`"),
            ("name = \"a\"\nlike = \"python3.12\"\npython = \"3\"", 5, "two or three numbers"),
            ("name = \"a\"", 2, "no glibc version"),
            ("name = \"a\"\nglibc = \"two\"", 4, "`two`"),
            ("name = \"a\"\nlike = \"python2\"", 4, "`python2`"),
            ("name = \"a\"\nlike = \"python3.12\"\ninterfaces = { GCC = \"x\" }", 5, "`x`"),
        ] {
            let problem = &parse(&format!("[[runtime]]\n{table}\n")).unwrap_err().0[0];
            assert!(problem.message.contains(words), "{problem}");
            assert_eq!(problem.line(), Some(line), "{problem}");
        }
    }
}
