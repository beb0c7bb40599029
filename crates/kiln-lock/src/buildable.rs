//! Source distributions that may be built: what is known of what they require, for a resolver that must not build them.

use crate::indexes::Indexes;
use crate::no_answer::NoAnswer;
use kiln_fetch::IndexFile;
use kiln_guest::Bases;
use kiln_invocation::blocking;
use kiln_python::{Pinned, SdistMetadata, best_sdist, dependency_metadata, is_file_of, sdist_metadata};
use kiln_record::DistributionName;
use kiln_wheel::UnpackedSource;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Most source distributions that one resolution looks into.
const MOST: usize = 200;

/// The distributions that may be built, and what is known so far of what they require.
#[derive(Debug, Default)]
pub(crate) struct Buildable {
    pub listed: Vec<DistributionName>,
    stated: Mutex<BTreeMap<(DistributionName, String), SdistMetadata>>,
}

impl Buildable {
    pub(crate) fn new(listed: &[DistributionName]) -> Self {
        Self { listed: listed.to_vec(), ..Self::default() }
    }

    /// What is known, as configuration of uv; none if nothing is.
    pub(crate) fn configuration(&self) -> Option<String> {
        let stated = self.stated.lock().unwrap_or_else(PoisonError::into_inner);
        let each = stated.iter().map(|((name, version), metadata)| (name, version.as_str(), metadata));
        (!stated.is_empty()).then(|| dependency_metadata(each))
    }

    /// A remark on each pinned distribution whose requirements were taken from its source distribution.
    pub(crate) fn remarks(&self, pinned: &[Pinned]) -> Vec<String> {
        let stated = self.stated.lock().unwrap_or_else(PoisonError::into_inner);
        pinned
            .iter()
            .filter(|one| stated.contains_key(&(one.name.clone(), one.version.clone())))
            .map(|one| {
                format!(
                    "what {} {} requires was read from its source distribution, which was not built: kiln build holds its wheel against the lock",
                    one.name, one.version
                )
            })
            .collect()
    }

    /// Reads what a source distribution of the index says. Whether it could be read.
    pub(crate) async fn look_into(
        &self,
        bases: &Bases,
        indexes: &Indexes<'_>,
        (name, version): (DistributionName, String),
    ) -> Result<bool, NoAnswer> {
        {
            let stated = self.stated.lock().unwrap_or_else(PoisonError::into_inner);
            if stated.len() >= MOST || stated.contains_key(&(name.clone(), version.clone())) {
                return Ok(false);
            }
        }
        let index = indexes.of(bases, &name).await?;
        let files = index.files(bases.network().client().await?, &name).await?;
        let files: Vec<IndexFile> =
            files.into_iter().filter(|file| is_file_of(&file.file_name, &name, &version)).collect();
        let Some(file) = best_sdist(&files, |file| &file.file_name) else { return Ok(false) };
        let Some(digest) = file.digest else { return Ok(false) };
        bases.network().download(file, &[digest], "the index").await?;
        let (store, file_name) = (bases.store().clone(), file.file_name.clone());
        let source = blocking(move || UnpackedSource::read(&store, &file_name, &digest)).await?;
        let metadata = sdist_metadata(source.pkg_info().as_deref(), source.egg_requires().as_deref());
        self.stated.lock().unwrap_or_else(PoisonError::into_inner).insert((name, version), metadata);
        Ok(true)
    }
}
