//! `kiln export`: what was published, in the words of whatever deploys it.

use crate::args::{Export, ExportFormat};
use crate::failure::Failure;
use crate::printer::Printer;
use crate::settings::Settings;
use crate::variables::{self, Variables};
use kiln_audit::format_size;
use kiln_publish::{Exported, exported, settle_for_reading};
use kiln_record::{Digest, Exit, exit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

pub(crate) fn run(
    settings: &Settings,
    command: &Export,
    variables: &Variables,
    printer: Printer,
) -> Result<Exit, Failure> {
    let environment = settings.published_in(command.dist.as_deref())?;
    settle_for_reading(&environment)?;
    let mut artifacts = exported(&environment, &command.artifacts)?;
    if command.absolute || command.relative_to.is_some() {
        let folder = command.relative_to.as_deref().map(absolute).transpose()?;
        for one in &mut artifacts {
            let path = environment.root.join(&one.path);
            let path = folder.as_deref().map_or_else(|| path.clone(), |folder| relative(&path, folder));
            one.path = path.display().to_string();
        }
    }
    let naming = Naming {
        repository: command.repository.as_deref().map(|text| text.trim_end_matches('/')),
        prefix: command.s3_prefix.as_deref().unwrap_or_default().trim_matches('/'),
    };
    let text = match command.what {
        ExportFormat::Terraform => terraform(&artifacts, &naming)?,
        ExportFormat::Cloudformation => cloudformation(&artifacts, &naming)?,
        ExportFormat::Sam => lines(&parameters(&artifacts, &naming)?, |value| value.to_owned()),
        ExportFormat::Env => {
            lines(&flat(&artifacts, &naming, |name, key| variable(&format!("KILN_{name}_{key}")))?, quoted)
        }
        ExportFormat::Github => return github(&artifacts, &naming, variables, printer),
    };
    printer.data(&text);
    Ok(exit::SUCCESS)
}

/// A folder as it is from the root, without links.
fn absolute(folder: &Path) -> Result<PathBuf, Failure> {
    fs_err::canonicalize(folder).map_err(|error| Failure::usage(format!("--relative-to: {error}")))
}

/// A path as it is from a folder. Both are from the root, and without links.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let same = path.components().zip(folder.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(same).map(|_| Component::ParentDir);
    up.chain(path.components().skip(same)).collect()
}

/// How what is deployed is called elsewhere.
struct Naming<'a> {
    repository: Option<&'a str>,
    prefix: &'a str,
}

impl Naming<'_> {
    /// The object's key in a bucket, which says what is in it: a new content is a new key.
    fn s3_key(&self, one: &Exported) -> Option<String> {
        if one.kind.is_image() {
            return None;
        }
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        Some(format!("{}{slash}{}/{}.zip", self.prefix, one.artifact, one.digest.hex()))
    }

    /// The image by digest, where it is said which registry it goes to.
    fn image_uri(&self, one: &Exported) -> Option<String> {
        self.uri(one, one.image?)
    }

    fn uri(&self, one: &Exported, image: Digest) -> Option<String> {
        Some(format!("{}/{}@{image}", self.repository?, one.artifact))
    }
}

#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct Row<'a> {
    kind: &'a str,
    package_type: &'a str,
    path: &'a str,
    sha256: String,
    source_code_hash: &'a str,
    size: u64,
    unpacked_size: u64,
    s3_key: Option<String>,
    image_digest: Option<String>,
    image_uri: Option<String>,
    runtime: Option<&'a str>,
    architectures: Vec<&'a str>,
    handler: Option<&'a str>,
    layers: Vec<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    platforms: BTreeMap<&'a str, PlatformRow<'a>>,
}

/// One platform of an index, which is pushed to the index's repository.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
struct PlatformRow<'a> {
    artifact: &'a str,
    image_digest: String,
    image_uri: Option<String>,
}

impl<'a> Row<'a> {
    fn new(one: &'a Exported, naming: &Naming<'_>) -> Self {
        Self {
            kind: one.kind.as_str(),
            package_type: if one.kind.is_image() { "Image" } else { "Zip" },
            path: &one.path,
            sha256: one.digest.hex(),
            source_code_hash: &one.sha256_base64,
            size: one.size,
            unpacked_size: one.unpacked_size,
            s3_key: naming.s3_key(one),
            image_digest: one.image.map(|digest| digest.to_string()),
            image_uri: naming.image_uri(one),
            runtime: one.runtime.as_deref(),
            architectures: one.architectures.iter().map(|one| one.lambda()).collect(),
            handler: one.handler.as_deref(),
            layers: one.layers.iter().map(kiln_record::ArtifactName::as_str).collect(),
            platforms: one
                .platforms
                .iter()
                .map(|platform| {
                    let row = PlatformRow {
                        artifact: platform.artifact.as_str(),
                        image_digest: platform.image.to_string(),
                        image_uri: naming.uri(one, platform.image),
                    };
                    (platform.architecture.lambda(), row)
                })
                .collect(),
        }
    }
}

/// One variable, for a `.tfvars.json` file. Keys are only ever added.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub(crate) struct TerraformDocument<'a> {
    kiln_artifacts: BTreeMap<&'a str, Row<'a>>,
}

fn terraform(artifacts: &[Exported], naming: &Naming<'_>) -> Result<String, Failure> {
    let rows = artifacts.iter().map(|one| (one.artifact.as_str(), Row::new(one, naming)));
    super::document(&TerraformDocument { kiln_artifacts: rows.collect() })
}

/// The facts that are single texts, by keys of the caller's making. Two that come out the same are refused.
fn flat(
    artifacts: &[Exported],
    naming: &Naming<'_>,
    key: impl Fn(&str, &str) -> String,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut values = BTreeMap::new();
    for one in artifacts {
        let facts = [
            ("path", Some(one.path.clone())),
            ("sha256", Some(one.digest.hex())),
            ("source-code-hash", Some(one.sha256_base64.clone())),
            ("s3-key", naming.s3_key(one)),
            ("image-digest", one.image.map(|digest| digest.to_string())),
            ("image-uri", naming.image_uri(one)),
            ("runtime", one.runtime.clone()),
            // Of an index each platform is exported as the artifact that it is.
            ("architecture", single(&one.architectures).map(|one| one.lambda().to_owned())),
            ("handler", one.handler.clone()),
        ];
        for (fact, value) in facts {
            let Some(value) = value else { continue };
            let name = key(one.artifact.as_str(), fact);
            if values.insert(name.clone(), value).is_some() {
                return Err(Failure::input(format!(
                    "two artifacts would both be `{name}`: rename one of them"
                )));
            }
        }
    }
    Ok(values)
}

fn single<T: Copy>(all: &[T]) -> Option<T> {
    match all {
        [one] => Some(*one),
        _ => None,
    }
}

/// CloudFormation's parameters have letters and digits only.
fn parameters(artifacts: &[Exported], naming: &Naming<'_>) -> Result<BTreeMap<String, String>, Failure> {
    let capitalised = |text: &str| -> String {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        words.map(|word| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..])).collect()
    };
    flat(artifacts, naming, |name, fact| format!("{}{}", capitalised(name), capitalised(fact)))
}

/// A parameter, as CloudFormation's command line takes it from a file.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Parameter {
    parameter_key: String,
    parameter_value: String,
}

fn cloudformation(artifacts: &[Exported], naming: &Naming<'_>) -> Result<String, Failure> {
    let parameters = parameters(artifacts, naming)?.into_iter();
    let all: Vec<Parameter> = parameters
        .map(|(parameter_key, parameter_value)| Parameter { parameter_key, parameter_value })
        .collect();
    super::document(&all)
}

fn lines(values: &BTreeMap<String, String>, value_of: impl Fn(&str) -> String) -> String {
    values.iter().map(|(key, value)| format!("{key}={}\n", value_of(value))).collect()
}

/// A name that a shell takes for a variable.
fn variable(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

/// A value that a shell reads as it is.
fn quoted(value: &str) -> String {
    let is_plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:@+=".contains(c));
    if is_plain { value.to_owned() } else { format!("'{}'", value.replace('\'', "'\\''")) }
}

/// The outputs of a step and its summary: into the files that GitHub Actions names, else to stdout.
fn github(
    artifacts: &[Exported],
    naming: &Naming<'_>,
    variables: &Variables,
    printer: Printer,
) -> Result<Exit, Failure> {
    let outputs = lines(&flat(artifacts, naming, |name, fact| format!("{name}-{fact}"))?, str::to_owned);
    let mut summary = "| artifact | kind | size | unpacked | SHA-256 |\n|---|---|---:|---:|---|\n".to_owned();
    for one in artifacts {
        let digest = one.image.unwrap_or(one.digest);
        summary.push_str(&format!(
            "| {} | {} | {} | {} | `{}` |\n",
            one.artifact,
            one.kind,
            format_size(one.size),
            format_size(one.unpacked_size),
            digest.hex()
        ));
    }
    for (name, text) in [(variables::GITHUB_OUTPUT, &outputs), (variables::GITHUB_STEP_SUMMARY, &summary)] {
        match variables.get(name) {
            Some(file) => {
                append(Path::new(file), text)?;
                printer.talk(&format!("{name}: written"));
            }
            None => printer.data(text),
        }
    }
    Ok(exit::SUCCESS)
}

fn append(file: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::store(format!("{}: {error}", file.display()));
    let mut opened = fs_err::OpenOptions::new().create(true).append(true).open(file).map_err(failed)?;
    opened.write_all(text.as_bytes()).map_err(failed)
}
