//! What a rebuild should come to: read from a record, or from provenance alone.

use crate::RebuildError;
use kiln_record::{ArtifactName, Digest, Epoch, Record};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a build was, as far as it can be held against another.
#[derive(Clone, Debug)]
pub struct Expected {
    /// How to call it.
    pub label: String,
    /// The artifact.
    pub artifact: ArtifactName,
    /// The time that stands for the build.
    pub epoch: Epoch,
    /// The digest of its tree.
    pub tree: Digest,
    /// The digests of its published files, by name.
    pub outputs: BTreeMap<String, Digest>,
    /// The kiln that made it.
    pub kiln: Option<String>,
    /// Its record; provenance does not list files.
    pub record: Option<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    subject: Vec<Subject>,
    predicate: Predicate,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
    media_type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: Definition,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition {
    build_type: String,
    external_parameters: External,
    internal_parameters: Internal,
}

#[derive(Deserialize)]
struct External {
    artifact: ArtifactName,
}

#[derive(Deserialize)]
struct Internal {
    epoch: Epoch,
    tree: Digest,
    #[serde(default)]
    tools: BTreeMap<String, String>,
}

/// What a subject is that is no file: an image by its manifest.
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Expected {
    /// What a record says.
    #[must_use]
    pub fn of_record(record: Record, label: &str) -> Self {
        Self {
            label: label.to_owned(),
            artifact: record.artifact.clone(),
            epoch: record.epoch,
            tree: record.tree,
            outputs: record.outputs.iter().map(|output| (output.file_name.clone(), output.digest)).collect(),
            kiln: record.tools.get("kiln").cloned(),
            record: Some(record),
        }
    }

    /// What provenance says: an in-toto statement that kiln wrote, alone on its line.
    ///
    /// # Errors
    /// If it is none, or is of another builder.
    pub fn of_provenance(bytes: &[u8], label: &str) -> Result<Self, RebuildError> {
        let refused = |reason: String| RebuildError::NotUsable { what: label.to_owned(), reason };
        let line = bytes.split(|byte| *byte == b'\n').find(|line| !line.is_empty()).unwrap_or_default();
        let statement: Statement = serde_json::from_slice(line)
            .map_err(|error| refused(format!("it is no provenance of a build by kiln: {error}")))?;
        let definition = statement.predicate.build_definition;
        if !definition.build_type.starts_with("urn:kiln:build:") {
            return Err(refused(format!(
                "it is of another builder: its build type is `{}`",
                definition.build_type
            )));
        }
        let artifact = definition.external_parameters.artifact;
        let mut outputs = BTreeMap::new();
        for subject in statement.subject {
            if subject.media_type.as_deref() == Some(MANIFEST) && subject.name == artifact.as_str() {
                continue;
            }
            let hex = subject.digest.get("sha256").map(String::as_str).unwrap_or_default();
            let digest = Digest::from_hex(hex)
                .map_err(|_| refused(format!("its subject `{}` has no SHA-256", subject.name)))?;
            outputs.insert(subject.name, digest);
        }
        if outputs.is_empty() {
            return Err(refused("it names no file that was built".to_owned()));
        }
        let internal = definition.internal_parameters;
        Ok(Self {
            label: label.to_owned(),
            artifact,
            epoch: internal.epoch,
            tree: internal.tree,
            outputs,
            kiln: internal.tools.get("kiln").cloned(),
            record: None,
        })
    }
}
