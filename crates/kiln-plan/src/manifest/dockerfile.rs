//! The `dockerfile` key: the file that an image is built by, and how.

use super::path::{beside_manifest, beside_manifest_or_at_it};
use super::reproducible::Reproducible;
use crate::duration::parse_seconds;
use crate::problem::Problems;
use crate::spanned::Spanned;
use crate::workspace_path::in_workspace;
use kiln_record::{ArtifactKind, BaseName, TreePath, excerpt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long a build may take if the manifest does not say, in seconds.
const TIMEOUT: u32 = 30 * 60;
/// The longest that it may take.
const LONGEST: u32 = 6 * 3600;

/// The `dockerfile` key: the file, or a table with more about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DockerfileSection {
    /// The file, relative to the workspace.
    pub path: String,
    /// The folder that it copies from, relative to the workspace.
    pub context: String,
    /// The stage to build; the last if absent.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Bases of the workspace that stand for images that it names.
    pub bases: BTreeMap<String, BaseName>,
    /// Whether its programs have a network.
    pub network: bool,
    /// The folder of the context in which it finds the wheels of the lock.
    pub wheels: Option<String>,
    /// How long a build may take, in seconds.
    pub timeout: u32,
    /// Whether it is built twice.
    pub reproducible: Reproducible,
}

/// The key as written.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct DockerfileTable {
    path: String,
    context: Option<String>,
    target: Option<String>,
    #[serde(default)]
    args: BTreeMap<String, String>,
    #[serde(default)]
    bases: BTreeMap<String, BaseName>,
    #[serde(default)]
    network: bool,
    wheels: Option<String>,
    timeout: Option<String>,
    #[serde(default)]
    reproducible: Reproducible,
}

/// Either form of the key.
pub(super) struct DockerfileKey(DockerfileTable);

impl<'de> Deserialize<'de> for DockerfileKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = DockerfileKey;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the path of a Dockerfile, or a table with `path`")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<DockerfileKey, E> {
                let table = DockerfileTable {
                    path: path.to_owned(),
                    context: None,
                    target: None,
                    args: BTreeMap::new(),
                    bases: BTreeMap::new(),
                    network: false,
                    wheels: None,
                    timeout: None,
                    reproducible: Reproducible::default(),
                };
                Ok(DockerfileKey(table))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<DockerfileKey, A::Error> {
                let table = serde::de::value::MapAccessDeserializer::new(map);
                DockerfileTable::deserialize(table).map(DockerfileKey)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for DockerfileKey {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Dockerfile".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let table = generator.subschema_for::<DockerfileTable>();
        schemars::json_schema!({
            "description": "The path of a Dockerfile, or a table with `path`.",
            "anyOf": [{ "type": "string" }, table],
        })
    }
}

impl DockerfileSection {
    /// Reads the key.
    pub(super) fn parse(
        key: Spanned<DockerfileKey>,
        kind: ArtifactKind,
        has_python: bool,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let span = key.span();
        let DockerfileKey(table) = key.into_inner();
        if !kind.is_image() {
            problems.at(
                span.clone(),
                format!("a Dockerfile makes an image, and this is a {kind}"),
                "make it a lambda-image or an image; a [[step]] runs programs for any kind",
            );
        }
        let path = beside_manifest(&table.path, span.clone(), problems)?;
        let context = match &table.context {
            Some(context) => beside_manifest_or_at_it(context, span.clone(), problems)?,
            None => path.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned(),
        };
        if context == "manifests" {
            problems.at(
                span.clone(),
                format!("the context of {path} would be manifests/, with other artifacts' files"),
                "put the Dockerfile and what it copies into a folder, or name that with `context`",
            );
        }
        if let Some(wheels) = &table.wheels {
            if let Err(error) = TreePath::new(wheels) {
                problems.at(
                    span.clone(),
                    format!("`dockerfile.wheels`: {error}"),
                    "name a folder of the context, such as \"wheels\"",
                );
            }
            if !has_python {
                problems.at(
                    span.clone(),
                    "`wheels` under [dockerfile] has no meaning without a [python] section",
                    "add [python] with the `lock` whose wheels are meant",
                );
            }
        }
        let timeout = table.timeout.as_deref().map_or(TIMEOUT, |text| {
            parse_seconds(text, LONGEST).unwrap_or_else(|| {
                problems.at(
                    span,
                    format!("`dockerfile.timeout`: `{}` is not a time", excerpt(text)),
                    "write seconds or minutes, up to 360 min: timeout = \"20 min\"",
                );
                TIMEOUT
            })
        });
        Some(Self {
            path,
            context,
            target: table.target,
            args: table.args,
            bases: table.bases,
            network: table.network,
            wheels: table.wheels,
            timeout,
            reproducible: table.reproducible,
        })
    }
}

/// Where in a manifest's text its Dockerfile is named, if it has one: what must be read besides the manifest.
/// A manifest that cannot be read has none; reading it says why.
#[must_use]
pub fn dockerfile_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Peek {
        dockerfile: Option<toml::Value>,
    }
    let peek: Peek = toml::from_str(text).ok()?;
    let path = match peek.dockerfile? {
        toml::Value::String(path) => path,
        toml::Value::Table(mut table) => match table.remove("path")? {
            toml::Value::String(path) => path,
            _ => return None,
        },
        _ => return None,
    };
    in_workspace("manifests", &path).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(toml: &str) -> DockerfileSection {
        #[derive(Deserialize)]
        struct Manifest {
            dockerfile: Spanned<DockerfileKey>,
        }
        let text = toml.into();
        let mut problems = Problems::new("manifests/app.toml", &text);
        let manifest: Manifest = toml::from_str(toml).unwrap();
        let section =
            DockerfileSection::parse(manifest.dockerfile, ArtifactKind::Image, false, &mut problems);
        problems.or(section).unwrap()
    }

    #[test]
    fn the_key_is_a_path_or_a_table() {
        let short = section("dockerfile = \"app/Dockerfile\"");
        assert_eq!(
            (short.path.as_str(), short.context.as_str()),
            ("manifests/app/Dockerfile", "manifests/app")
        );
        let long = section(
            "[dockerfile]\npath = \"../docker/app.dockerfile\"\ncontext = \"../src\"\nnetwork = true\n",
        );
        assert_eq!(
            (long.path.as_str(), long.context.as_str(), long.network),
            ("docker/app.dockerfile", "src", true)
        );
        let refused = toml::from_str::<toml::Table>("dockerfile = 3").unwrap();
        assert!(DockerfileKey::deserialize(refused["dockerfile"].clone()).is_err());
        assert_eq!(
            dockerfile_of("dockerfile = \"app/Dockerfile\""),
            Some("manifests/app/Dockerfile".to_owned())
        );
        assert_eq!(dockerfile_of("[dockerfile]\npath = \"../x\""), Some("x".to_owned()));
        for text in ["kind = \"image\"", "dockerfile = 1", "dockerfile = \"/etc\"", "broken ="] {
            assert_eq!(dockerfile_of(text), None, "{text}");
        }
    }
}
