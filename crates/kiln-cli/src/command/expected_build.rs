//! What rebuilding and restoring share: the build that is named, its source, and a place to build it in.

use crate::args::Global;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::settings::{Call, Needs, Settings, store};
use crate::signals;
use crate::variables::HOME;
use fs_err as fs;
use kiln_attest::{Envelope, IN_TOTO_PAYLOAD};
use kiln_publish::{entry_where, history, resolve};
use kiln_rebuild::{
    Expected, Place, RebuildError, Rebuilt, RebuiltIndex, Scratch, Source, linked_source, rebuild,
    rebuild_index,
};
use kiln_record::{ArtifactName, Digest, IndexRecord, Record};
use kiln_store::{LedgerEntry, SourceLink};
use std::path::{Path, PathBuf};

/// What is known of what is to be built again.
#[derive(Clone)]
pub(crate) enum Wanted {
    Build(Box<Expected>),
    /// An image for several platforms.
    Index(IndexRecord),
}

impl Wanted {
    pub(crate) fn artifact(&self) -> &ArtifactName {
        match self {
            Self::Build(expected) => &expected.artifact,
            Self::Index(index) => &index.artifact,
        }
    }
}

/// A build that is named.
pub(crate) struct Named {
    pub(crate) label: String,
    pub(crate) wanted: Wanted,
    /// The published file that was named, if one was.
    pub(crate) file: Option<PathBuf>,
    /// Its number in the ledger of the workspace here, if it has one there.
    pub(crate) number: Option<u64>,
    /// What that ledger knows of its commit.
    pub(crate) link: Option<SourceLink>,
}

impl Call<'_> {
    /// The workspace here, if there is one; else why there is none.
    fn here(&self) -> Result<Settings, Failure> {
        Settings::new(self.global, self.variables, Needs::Workspace)
    }

    /// Where the store is.
    fn store(&self) -> Result<PathBuf, Failure> {
        let home = self.variables.get(HOME).map(PathBuf::from);
        store(self.variables, home.as_deref())
    }

    /// The build that a text names: a file, a folder that something is published in, or what the ledger here has.
    pub(crate) fn named(&self, text: &str) -> Result<Named, Failure> {
        let path = Path::new(text);
        if let Some(record) = record_in(path) {
            return self.in_file(&record, None, text);
        }
        if path.is_file() {
            let (record, file) = described(path, text)?;
            return self.in_file(&record, file, text);
        }
        let here = match self.here() {
            // Elsewhere, nothing but what is named could say what was built.
            Err(_) if path.is_dir() => {
                return Err(Failure::input(format!("{text} holds no record.json, and so nothing says what was built"))
                    .hint("name a record.json, its .intoto.jsonl, an artifact with its record.json, or the folder that one is published in"));
            }
            here => here?,
        };
        // An image for several platforms is published, and only its platforms are in the ledger.
        let published = here.environment.dist.join(text);
        if text.parse::<ArtifactName>().is_ok() && published.join(IndexRecord::FILE).is_file() {
            return self.in_file(&published.join(IndexRecord::FILE), None, text);
        }
        let build = resolve(&here.environment, text)?;
        let artifact = &build.record.artifact;
        let is_it = |entry: &LedgerEntry| Some(entry.number) == build.number;
        let entry = entry_where(&here.environment, artifact, is_it)?;
        Ok(Named {
            wanted: Wanted::Build(Box::new(Expected::of_record(build.record, &build.label))),
            label: build.label,
            file: None,
            number: build.number,
            link: entry.and_then(|entry| entry.source),
        })
    }

    /// What a document says, and what a ledger that has the same build knows of its commit.
    fn in_file(&self, document: &Path, file: Option<PathBuf>, text: &str) -> Result<Named, Failure> {
        let wanted = read(document, text)?;
        let entries = |artifact: &ArtifactName| {
            let known = self.here().ok().and_then(|here| history(&here.environment, artifact).ok());
            known.unwrap_or_default()
        };
        let entry = match &wanted {
            Wanted::Index(index) => index
                .platforms
                .first()
                .and_then(|one| entries(&one.artifact).into_iter().find(|entry| entry.record == one.record)),
            Wanted::Build(expected) => {
                let json = expected.record.as_ref().and_then(|record| record.to_json().ok());
                let digest = json.map(|bytes| Digest::of(&bytes));
                entries(&expected.artifact).into_iter().find(|entry| match digest {
                    Some(digest) => entry.record == digest,
                    None => entry
                        .archive
                        .is_some_and(|archive| expected.outputs.values().any(|one| *one == archive)),
                })
            }
        };
        // The builds of an index have numbers, and it has none.
        let number = entry.as_ref().map(|entry| entry.number).filter(|_| matches!(wanted, Wanted::Build(_)));
        let label = text.to_owned();
        Ok(Named { label, wanted, file, number, link: entry.and_then(|entry| entry.source) })
    }

    /// A place with the source that is given or known, and what is to be said of that.
    pub(crate) fn place(
        &self,
        named: &Named,
        given: Option<&str>,
    ) -> Result<(Source, Scratch, Vec<String>), Failure> {
        let (source, remarks) = match given {
            Some(text) => (Source::parse(text).map_err(Failure::usage)?, Vec::new()),
            None => {
                let root = self.here().map(|here| here.environment.root).unwrap_or_default();
                linked_source(named.link.as_ref(), &root, &named.label)?
            }
        };
        let (place, store) = (source.clone(), self.store()?);
        let place = signals::run(|_| Box::pin(async move { Place::of(&place, &store).await }))?;
        let global = Global { workspace: Some(place.root().to_owned()), ..self.global.clone() };
        let settings = Settings::new(&global, self.variables, Needs::Servers)?;
        Ok((source, Scratch::new(place, settings.environment), remarks))
    }
}

/// The record of what is published in a folder.
fn record_in(folder: &Path) -> Option<PathBuf> {
    let found = ["record.json", IndexRecord::FILE].map(|name| folder.join(name));
    found.into_iter().find(|file| file.is_file())
}

/// The document that says what a file should be, and the file if it is an artifact.
fn described(path: &Path, label: &str) -> Result<(PathBuf, Option<PathBuf>), Failure> {
    if path.extension().is_some_and(|ending| ending == "jsonl" || ending == "json") {
        return Ok((path.to_owned(), None));
    }
    match path.parent().and_then(record_in) {
        Some(record) => Ok((record, Some(path.to_owned()))),
        None => {
            let reason = "there is no record.json beside it".to_owned();
            Err(RebuildError::NotUsable { what: label.to_owned(), reason }.into())
        }
    }
}

/// What a document says of a build: a record, the record of an index, or provenance.
fn read(path: &Path, label: &str) -> Result<Wanted, Failure> {
    let bytes = fs::read(path).map_err(RebuildError::from)?;
    if path.extension().is_some_and(|ending| ending == "jsonl") {
        // Who signed it decides nothing here: what is built is held against what it says.
        let statement = match Envelope::from_json(&bytes) {
            Ok(envelope) if envelope.payload_type() == IN_TOTO_PAYLOAD => envelope.unverified().to_owned(),
            _ => bytes,
        };
        return Ok(Wanted::Build(Box::new(Expected::of_provenance(&statement, label)?)));
    }
    if let Ok(index) = IndexRecord::from_json(&bytes) {
        return Ok(Wanted::Index(index));
    }
    let record = Record::from_json(&bytes).map_err(|error| RebuildError::NotUsable {
        what: path.display().to_string(),
        reason: error.to_string(),
    })?;
    Ok(Wanted::Build(Box::new(Expected::of_record(record, label))))
}

/// What `build --expect` holds a build against.
pub(crate) fn expectation(path: &Path, label: &str) -> Result<Expected, Failure> {
    let (document, _) = described(path, label)?;
    match read(&document, label)? {
        Wanted::Build(expected) => Ok(*expected),
        Wanted::Index(index) => {
            let names: Vec<String> = index.platforms.iter().map(|one| one.artifact.to_string()).collect();
            Err(Failure::usage(format!(
                "{label} is of an image for several platforms, each of which is a build"
            ))
            .hint(format!("name the record.json of one: {}", names.join(", "))))
        }
    }
}

/// What was built again.
pub(crate) enum Again {
    Build(Box<Rebuilt>),
    Index(Box<RebuiltIndex>),
}

impl Again {
    /// The folder with its files.
    pub(crate) fn folder(&self) -> &Path {
        match self {
            Self::Build(rebuilt) => &rebuilt.folder,
            Self::Index(rebuilt) => &rebuilt.folder,
        }
    }
}

/// Builds what is wanted in a place, and hands place and result on.
pub(crate) fn built(
    scratch: Scratch,
    wanted: &Wanted,
    progress: &Progress,
) -> Result<(Scratch, Again), Failure> {
    let (events, wanted) = (progress.events(), wanted.clone());
    signals::run(|engine| {
        Box::pin(async move {
            let again = match &wanted {
                Wanted::Build(expected) => {
                    let none = std::collections::BTreeSet::new();
                    let rebuilt = rebuild(&scratch, expected, &none, &events, engine).await?;
                    Again::Build(Box::new(rebuilt))
                }
                Wanted::Index(index) => {
                    Again::Index(Box::new(rebuild_index(&scratch, index, &events, engine).await?))
                }
            };
            Ok::<_, RebuildError>((scratch, again))
        })
    })
}
