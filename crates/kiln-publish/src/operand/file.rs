//! Files: records, indexes of workspaces, lists of components, and archives with or without a record.

use crate::PublishError;
use crate::content::{Content, beside, content_at};
use crate::named_build::{NamedBuild, Operand};
use crate::operand::beside::{Ahead, Beside, is_document};
use crate::operand::workspace::workspace;
use crate::published::digest_of;
use crate::reference::build_of_archive;
use crate::scan::{Found, ImagePlace, ZipBefore, ZipPlace, image_files, listed_record, record_of, zip_files};
use fs_err as fs;
use kiln_audit::Known;
use kiln_invocation::Environment;
use kiln_pack::{Limits, ZipReader};
use kiln_record::{ArtifactKind, ArtifactName, Digest, IndexRecord, Record, RecordError};
use kiln_sbom::{LISTED_LIMIT, read_listed};
use kiln_store::read_regular;
use std::collections::BTreeSet;
use std::io::{BufReader, Read as _};
use std::path::Path;

/// What a file names.
pub(super) fn operand(
    environment: &Environment,
    path: &Path,
    text: &str,
    beside: Beside<'_>,
) -> Result<Operand, PublishError> {
    let start = start_of(path)?;
    if let Some(form) = unread_bill(&start) {
        return Err(PublishError::NotUsable {
            what: text.to_owned(),
            reason: format!(
                "it is a bill of materials as {form}, and kiln reads CycloneDX 1.3 to 1.7 and SPDX 2.2 and 2.3 in JSON: name it in that form"
            ),
        });
    }
    if is_document(path) {
        return of_json(path, text);
    }
    let form = kind(path, &start)?;
    if form == Kind::Other && !environment.has_workspace() && !crate::reference::record_beside(path).is_file()
    {
        // Nothing else is asked, so that what is large need not be read for its digest.
        return Err(unknown(text));
    }
    let hashed = || beside.ahead.map_or_else(|| digest_of(path), Ahead::finish);
    // Two things to read, of which each takes its time.
    let (hashed, claimed) = rayon::join(hashed, || claimed(path));
    let (digest, size) = hashed?;
    if let Some(build) = described(environment, path, digest, claimed?, text)? {
        return Ok(Operand::Build(Box::new(build)));
    }
    let found = Found {
        name: name_of(path),
        kind: ArtifactKind::LambdaZip,
        output: Some((file_name(path), size, digest)),
    };
    let mut build = match form {
        Kind::Zip => {
            let before = beside.before.and_then(|before| match before {
                Operand::Build(build) => match &build.content {
                    Some(Content::Zip(zip)) => Some(ZipBefore { zip, record: &build.record }),
                    _ => None,
                },
                Operand::Workspace(_) => None,
            });
            let zip = ZipPlace::new(path);
            let files = zip_files(&zip, before.as_ref())?;
            let record = record_of(found, &files, None);
            let content = Some(Content::Zip(zip));
            // It may be a program, and is no file of the archive.
            let label = match files.leading {
                0 => text.to_owned(),
                leading => format!("{text} (a zip behind {leading} other bytes)"),
            };
            NamedBuild { content, attributes: files.attributes, ..NamedBuild::recorded(record, label) }
        }
        Kind::Tar => image(ImagePlace::open(path)?, found, text, None)?,
        Kind::Other => return Err(unknown(text)),
    };
    build.known = Known::Content;
    Ok(Operand::Build(Box::new(build)))
}

fn unknown(text: &str) -> PublishError {
    PublishError::Reference {
        text: text.to_owned(),
        reason: "no record.json beside it and no build in the ledger describe a file with this digest, and it is neither a zip nor a tar that could be read without one".to_owned(),
    }
}

/// An image that was read.
pub(crate) fn image(
    place: ImagePlace,
    found: Found,
    text: &str,
    manifest: Option<&Digest>,
) -> Result<NamedBuild, PublishError> {
    let image = image_files(&place, text, manifest, &BTreeSet::new())?;
    // What identifies an image is its manifest; the file around it has a digest of its own only where there is one file.
    let output = match (image.manifest, found.output) {
        (Some(manifest), _) => Some(("image".to_owned(), image.size, manifest)),
        (None, output) => output.map(|(name, _, digest)| (name, image.size, digest)),
    };
    let found = Found { output, kind: ArtifactKind::Image, ..found };
    let record = record_of(found, &image.files, Some(&image));
    Ok(NamedBuild {
        known: Known::Content,
        attributes: image.files.attributes,
        content: Some(Content::Image(place)),
        ..NamedBuild::recorded(record, text)
    })
}

/// The record beside a file, whether or not it describes that.
fn claimed(path: &Path) -> Result<Option<Record>, PublishError> {
    let beside = crate::reference::record_beside(path);
    if !beside.is_file() {
        return Ok(None);
    }
    let record = Record::from_json(&read_regular(&beside)?);
    record
        .map(Some)
        .map_err(|reason| PublishError::UnreadRecord { path: beside.display().to_string(), reason })
}

/// The build that the record beside a file, which is `claimed` to be its own, or the ledger describes it as.
fn described(
    environment: &Environment,
    path: &Path,
    digest: Digest,
    claimed: Option<Record>,
    text: &str,
) -> Result<Option<NamedBuild>, PublishError> {
    let content = |record: &Record| content_at(path, record);
    if let Some(record) = claimed
        && record.outputs.iter().any(|output| output.digest == digest)
    {
        let content = content(&record);
        return Ok(Some(NamedBuild { content, ..NamedBuild::recorded(record, text) }));
    }
    let found = if environment.has_workspace() { build_of_archive(environment, digest, text)? } else { None };
    Ok(found.map(|build| NamedBuild { content: content(&build.record), ..build }))
}

fn of_json(path: &Path, text: &str) -> Result<Operand, PublishError> {
    let error = |reason: String| PublishError::NotUsable { what: text.to_owned(), reason };
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LISTED_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LISTED_LIMIT {
        return Err(error(format!("it is larger than {LISTED_LIMIT} bytes")));
    }
    let is_record = path.file_name().is_some_and(|name| name == "record.json");
    let json: serde_json::Value = serde_json::from_slice(&bytes).map_err(|reason| match is_record {
        true => PublishError::UnreadRecord { path: text.to_owned(), reason: RecordError::Json(reason) },
        false => error(format!("it is not JSON: {reason}")),
    })?;
    if let Some(listed) = read_listed(&json).map_err(|reason| error(reason.to_string()))? {
        let name = listed.subject.as_deref().and_then(|name| name.parse().ok());
        let record = listed_record(name.unwrap_or_else(|| name_of(path)), listed.components);
        let label = format!("{text} ({})", listed.format);
        return Ok(Operand::Build(Box::new(NamedBuild {
            known: Known::Components,
            aside: listed.aside,
            ..NamedBuild::recorded(record, label)
        })));
    }
    let is_index = json.get("artifacts").is_some_and(serde_json::Value::is_object);
    if let (true, Some(folder)) = (is_index, path.parent()) {
        return workspace(folder, text);
    }
    if let Ok(index) = IndexRecord::from_json(&bytes) {
        let names: Vec<String> = index.platforms.iter().map(|one| one.artifact.to_string()).collect();
        return Err(error(format!(
            "it is an image for several platforms, each of which is a build of its own: {}",
            names.join(", ")
        )));
    }
    if json.get("format").is_none() {
        return Err(error(no_document(&json).to_owned()));
    }
    let record = Record::from_json(&bytes)
        .map_err(|reason| PublishError::UnreadRecord { path: text.to_owned(), reason })?;
    let found = path.parent().map(|folder| beside(folder, &record));
    let absent = found.as_ref().and_then(|found| found.absent());
    let content = found.and_then(|found| found.content());
    Ok(Operand::Build(Box::new(NamedBuild { content, absent, ..NamedBuild::recorded(record, text) })))
}

/// What a JSON document is that is none of those that are read.
fn no_document(json: &serde_json::Value) -> &'static str {
    if json.get("schemaVersion").is_some() {
        "it is a document of an image: name the folder of the layout, or the archive, that it is in"
    } else if json.get("_type").is_some() || json.get("payloadType").is_some() {
        "it is a statement about a build: name the record.json or the archive of that build, or hold it against its key: kiln verify --key"
    } else {
        "it is JSON, and neither a record of a build, an index over artifacts nor a bill of materials (CycloneDX, SPDX)"
    }
}

#[derive(PartialEq, Eq)]
enum Kind {
    Zip,
    Tar,
    Other,
}

/// What a file is by its bytes. A zip is known by its end, and may stand behind something else.
fn kind(path: &Path, start: &[u8]) -> Result<Kind, PublishError> {
    Ok(match start {
        [b'P', b'K', 3 | 5, 4 | 6, ..] => Kind::Zip,
        bytes if bytes.get(257..262) == Some(b"ustar") => Kind::Tar,
        _ => {
            let file = BufReader::new(fs::File::open(path)?);
            match ZipReader::open_after_leading(file, &Limits::default()) {
                Ok(_) => Kind::Zip,
                Err(_) => Kind::Other,
            }
        }
    })
}

/// The first bytes of a file.
fn start_of(path: &Path) -> Result<Vec<u8>, PublishError> {
    let mut start = Vec::new();
    fs::File::open(path)?.take(4096).read_to_end(&mut start)?;
    Ok(start)
}

/// What form a bill of materials has that is not read, by its first bytes.
fn unread_bill(start: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(start);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if text.starts_with('<') {
        return if text.contains("cyclonedx.org/schema/bom") {
            Some("CycloneDX in XML")
        } else if text.contains("spdx.org/rdf") {
            Some("SPDX in RDF/XML")
        } else {
            None
        };
    }
    if text.starts_with('{') {
        return text.contains("spdx.org/rdf/3").then_some("SPDX 3 in JSON-LD");
    }
    let is_tag_value = text.lines().take(20).any(|line| line.starts_with("SPDXVersion:"));
    is_tag_value.then_some("SPDX in tag-value form")
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A name for what has none: that of its file or folder, as far as it can be one.
pub(super) fn name_of(path: &Path) -> ArtifactName {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = [".oci.tar", ".tar", ".zip", ".json", ".cdx", ".spdx"]
        .iter()
        .fold(name.as_str(), |name, ending| name.strip_suffix(ending).unwrap_or(name));
    let kept: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    let kept: String = kept.trim_start_matches(['-', '.']).chars().take(64).collect();
    kept.parse().unwrap_or_else(|_| "unnamed".parse().expect("a constant of letters is a name"))
}
