//! The bases that kiln knows for Lambda's runtimes: what `images/NAME.toml` says where nobody wrote one yet.
//!
//! Where Debian has the runtime's Python, the base is Debian's: it is small, every package of it is pinned, and this
//! project's own workspace uses it. Else it is the image that AWS publishes for the runtime, whose layout AWS documents
//! ("Deploy Python Lambda functions with container images"; the Dockerfiles of `aws/aws-lambda-base-images`).

use super::BaseDefinition;
use kiln_record::{BaseName, Environment, Platform, Runtime};
use std::collections::BTreeMap;

/// Where the definitions of Debian bases say that the archive's public keys are, relative to the workspace.
pub const DEBIAN_KEYRING: &str = "images/keys/debian-archive-keyring.gpg";
/// The public keys of Debian's archive, as the package debian-archive-keyring has them.
const DEBIAN_KEYS: &[u8] = include_bytes!("../../../../images/keys/debian-archive-keyring.gpg");

/// The Pythons that Debian has, and the definitions of this project's own workspace for them.
const OF_DEBIAN: [((u32, u32), &str); 2] = [
    ((3, 11), include_str!("../../../../images/python-3.11.toml")),
    ((3, 13), include_str!("../../../../images/python-3.13.toml")),
];
/// What those say of platforms, in whose place others stand.
const DEBIAN_PLATFORMS: &str = "platforms = [\"linux/amd64\", \"linux/arm64\"]";

/// The repository of AWS's images for Lambda.
const AWS: &str = "public.ecr.aws/lambda";
/// The variables that AWS's images set otherwise than Lambda does.
const AWS_OWN: [(&str, &str); 2] = [("LANG", "en_US.UTF-8"), ("TZ", ":/etc/localtime")];
/// Those that they set as Lambda does, so that the interpreter finds its library. Programs in a base get no others.
const AWS_AS_LAMBDA: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR"];

/// A base that kiln knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownBase {
    /// The definition, as it is written.
    pub text: String,
    /// Keys that it names, with their path relative to the workspace.
    pub keyring: Option<(&'static str, &'static [u8])>,
    /// The image that it is, where it is one of a registry.
    pub reference: Option<String>,
}

/// The base that kiln knows for a runtime, for these platforms. None for a target of a workspace's own without a Python.
#[must_use]
pub fn known_base(runtime: &Runtime, platforms: &[Platform]) -> Option<KnownBase> {
    let platforms: Vec<String> = platforms.iter().map(|platform| format!("\"{platform}\"")).collect();
    let platforms = format!("platforms = [{}]", platforms.join(", "));
    let debian = OF_DEBIAN.iter().find(|(python, _)| Some(*python) == runtime.python);
    if let Some((_, text)) = debian {
        let text = text.replacen(DEBIAN_PLATFORMS, &platforms, 1);
        return Some(KnownBase { text, keyring: Some((DEBIAN_KEYRING, DEBIAN_KEYS)), reference: None });
    }
    let (image, interpreter) = match runtime.python {
        Some((major, minor)) => {
            (format!("python:{major}.{minor}"), format!("python = \"/var/lang/bin/python{major}.{minor}\"\n"))
        }
        None => (image_of(runtime)?, String::new()),
    };
    let reference = format!("{AWS}/{image}");
    let text = format!(
        "# AWS's own image for {} ({}), with the runtime in /var/lang and /var/runtime. To bring it from a mirror, see\n\
         # [[registry]] in kiln.toml: the reference stays as it is.\n\
         kind = \"registry\"\n{platforms}\n\n[registry]\nreference = \"{reference}\"\n\n[image]\n{interpreter}\n\
         [image.env]\n{}",
        runtime.name,
        runtime.system.name,
        aws_environment(runtime)
    );
    Some(KnownBase { text, keyring: None, reference: Some(reference) })
}

/// What the images of AWS set, one variable to a line.
fn aws_environment(runtime: &Runtime) -> String {
    let lambda = Environment::of(runtime, &[]);
    let as_lambda = AWS_AS_LAMBDA.into_iter().filter_map(|name| Some((name, lambda.variable(name)?)));
    let own = AWS_OWN.into_iter().map(|(name, value)| (name, value.to_owned()));
    own.chain(as_lambda).map(|(name, value)| format!("{name} = \"{value}\"\n")).collect()
}

/// `nodejs20.x` is `nodejs:20`, `provided.al2023` is `provided:al2023`.
fn image_of(runtime: &Runtime) -> Option<String> {
    Runtime::named(&runtime.name)?;
    if let Some(version) = runtime.name.strip_prefix("nodejs") {
        return Some(format!("nodejs:{}", version.strip_suffix(".x")?));
    }
    runtime.name.strip_prefix("provided.").map(|system| format!("provided:{system}"))
}

/// What the base of a runtime is usually called: `python-3.12`, `provided.al2023`.
#[must_use]
pub fn usual_base_name(runtime: &Runtime) -> String {
    match runtime.python {
        Some((major, minor)) => format!("python-{major}.{minor}"),
        None => runtime.name.clone(),
    }
}

/// What to do for a base with the Python of a runtime: the bases of the workspace that have it, else the command that makes
/// one. `others` are the workspace's bases, each with its Python where its definition says which.
#[must_use]
pub fn base_for(runtime: &Runtime, others: &BTreeMap<BaseName, Option<(u32, u32)>>) -> String {
    let wanted = format!("name a base with the Python of {}", runtime.name);
    let fitting: Vec<&str> = others
        .iter()
        .filter(|(_, python)| python.is_some() && **python == runtime.python)
        .map(|(name, _)| name.as_str())
        .collect();
    if !fitting.is_empty() {
        return format!("{wanted}: {}", fitting.join(", "));
    }
    if known_base(runtime, &[]).is_none() {
        return format!("{wanted}: write one in images/");
    }
    let usual = usual_base_name(runtime);
    let is_taken = others.keys().any(|name| name.as_str() == usual);
    let name = if is_taken { format!("lambda-{usual}") } else { usual };
    format!("{wanted}; there is none yet, this makes one: kiln lock --base {name} --runtime {}", runtime.name)
}

impl BaseDefinition {
    /// The Python that it says it has: by the interpreter's name, or by its packages.
    #[must_use]
    pub fn python(&self) -> Option<(u32, u32)> {
        let packages = match &self.kind {
            super::BaseKind::Debian(debian) => debian.packages.as_slice(),
            super::BaseKind::Registry(_) | super::BaseKind::Scratch => &[],
        };
        let names = std::iter::once(&self.image.python).chain(packages);
        names.filter_map(|name| python_of(name)).next()
    }
}

/// `/usr/bin/python3.11`, `python3.11-minimal`.
fn python_of(name: &str) -> Option<(u32, u32)> {
    let name = name.rsplit('/').next()?.strip_prefix("python")?;
    let (major, minor) = name.strip_suffix("-minimal").unwrap_or(name).split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BaseKind;
    use kiln_record::runtimes;
    use std::sync::Arc;

    fn definition(name: &str, text: &str) -> BaseDefinition {
        let file = format!("images/{name}.toml");
        BaseDefinition::parse(name.parse().unwrap(), &file, &Arc::from(text)).unwrap()
    }

    #[test]
    fn every_runtime_has_a_base_with_its_python() {
        let platforms = ["linux/arm64".parse().unwrap()];
        for runtime in runtimes() {
            let known = known_base(runtime, &platforms).unwrap();
            let definition = definition(&usual_base_name(runtime), &known.text);
            assert_eq!(definition.platforms, platforms, "{}", runtime.name);
            assert_eq!(definition.python(), runtime.python, "{}", runtime.name);
            match &definition.kind {
                BaseKind::Debian(debian) => {
                    assert_eq!(format!("images/{}", debian.keyring), known.keyring.unwrap().0);
                    assert_eq!(known.reference, None);
                }
                BaseKind::Registry(registry) => {
                    let image = registry.reference.strip_prefix("public.ecr.aws/lambda/").unwrap();
                    assert_eq!(image.split_once(':').map(|(_, tag)| tag.is_empty()), Some(false), "{image}");
                    assert_eq!((known.keyring, known.reference), (None, Some(registry.reference.clone())));
                    let environment = &definition.image.env;
                    let set: Vec<&str> = environment.keys().map(String::as_str).collect();
                    let expected =
                        ["LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT", "LANG", "LD_LIBRARY_PATH", "PATH", "TZ"];
                    assert_eq!(set, expected, "{}", runtime.name);
                    let lambda = Environment::of(runtime, &[]);
                    for name in AWS_AS_LAMBDA {
                        assert_eq!(environment.get(name).cloned(), lambda.variable(name), "{name}");
                    }
                }
                BaseKind::Scratch => panic!("{}", runtime.name),
            }
        }
    }

    #[test]
    fn bases_that_are_there_are_named_before_a_command() {
        let runtime = Runtime::named("python3.12").unwrap();
        let mut others = BTreeMap::from([("other".parse().unwrap(), Some((3, 13)))]);
        assert!(base_for(runtime, &others).ends_with("kiln lock --base python-3.12 --runtime python3.12"));
        others.insert("python-3.12".parse().unwrap(), None);
        assert!(base_for(runtime, &others).ends_with("--base lambda-python-3.12 --runtime python3.12"));
        others.insert("ours".parse().unwrap(), Some((3, 12)));
        assert_eq!(base_for(runtime, &others), "name a base with the Python of python3.12: ours");
    }
}
