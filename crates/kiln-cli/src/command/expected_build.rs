//! What rebuilding and restoring share: the build that is named, its source, and a place to build it in.

use crate::args::Global;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::settings::{Call, Needs, Settings, store};
use crate::signals;
use crate::variables::HOME;
use fs_err as fs;
use kiln_attest::{Envelope, IN_TOTO_PAYLOAD};
use kiln_publish::{history, resolve};
use kiln_rebuild::{Expected, Place, RebuildError, Rebuilt, Scratch, Source, linked_source};
use kiln_record::{Digest, Record};
use kiln_store::SourceLink;
use std::path::{Path, PathBuf};

/// A build that is named.
pub(crate) struct Named {
    pub(crate) expected: Expected,
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

    /// The build that a text names.
    pub(crate) fn named(&self, text: &str) -> Result<Named, Failure> {
        let path = Path::new(text);
        if !path.is_file() {
            let here = self.here()?;
            let build = resolve(&here.environment, text)?;
            let entries = history(&here.environment, &build.record.artifact)?;
            let entry = entries.into_iter().find(|entry| Some(entry.number) == build.number);
            return Ok(Named {
                expected: Expected::of_record(build.record, &build.label),
                file: None,
                number: build.number,
                link: entry.and_then(|entry| entry.source),
            });
        }
        let (expected, file) = read(path, text)?;
        // A ledger that has the same record knows its commit.
        let digest = expected.record.as_ref().and_then(|record| record.to_json().ok());
        let digest = digest.map(|bytes| Digest::of(&bytes));
        let known = self.here().ok().and_then(|here| history(&here.environment, &expected.artifact).ok());
        let entry = known.into_iter().flatten().find(|entry| match digest {
            Some(digest) => entry.record == digest,
            None => entry.archive.is_some_and(|archive| expected.outputs.values().any(|one| *one == archive)),
        });
        let number = entry.as_ref().map(|entry| entry.number);
        Ok(Named { expected, file, number, link: entry.and_then(|entry| entry.source) })
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
                linked_source(named.link.as_ref(), &root, &named.expected.label)?
            }
        };
        let (place, store) = (source.clone(), self.store()?);
        let place = signals::run(|_| Box::pin(async move { Place::of(&place, &store).await }))?;
        let global = Global { workspace: Some(place.root().to_owned()), ..self.global.clone() };
        let settings = Settings::new(&global, self.variables, Needs::Servers)?;
        Ok((source, Scratch::new(place, settings.environment), remarks))
    }
}

/// What a file says of a build: a record, provenance, or an artifact with its record beside it.
pub(crate) fn read(path: &Path, label: &str) -> Result<(Expected, Option<PathBuf>), Failure> {
    let record = |file: &Path| -> Result<Expected, Failure> {
        let record = Record::from_json(&fs::read(file).map_err(RebuildError::from)?).map_err(|error| {
            RebuildError::NotUsable { what: file.display().to_string(), reason: error.to_string() }
        })?;
        Ok(Expected::of_record(record, label))
    };
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl") => {
            let bytes = fs::read(path).map_err(RebuildError::from)?;
            // Who signed it decides nothing here: what is built is held against what it says.
            let statement = match Envelope::from_json(&bytes) {
                Ok(envelope) if envelope.payload_type() == IN_TOTO_PAYLOAD => {
                    envelope.unverified().to_owned()
                }
                _ => bytes,
            };
            Ok((Expected::of_provenance(&statement, label)?, None))
        }
        Some("json") => Ok((record(path)?, None)),
        _ => {
            let beside = path.with_file_name("record.json");
            if !beside.is_file() {
                let reason = "there is no record.json beside it".to_owned();
                return Err(RebuildError::NotUsable { what: label.to_owned(), reason }.into());
            }
            Ok((record(&beside)?, Some(path.to_owned())))
        }
    }
}

/// Builds what is expected in a place, and hands place and result on.
pub(crate) fn built(
    scratch: Scratch,
    expected: &Expected,
    progress: &Progress,
) -> Result<(Scratch, Rebuilt), Failure> {
    let (events, expected) = (progress.events(), expected.clone());
    signals::run(|engine| {
        Box::pin(async move {
            let none = std::collections::BTreeSet::new();
            let rebuilt = kiln_rebuild::rebuild(&scratch, &expected, &none, &events, engine).await?;
            Ok::<_, RebuildError>((scratch, rebuilt))
        })
    })
}
