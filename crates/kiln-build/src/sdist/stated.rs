//! What source distributions say they require, for a resolver that must not build them.

use super::source::UnpackedSource;
use crate::distribution::download;
use crate::environment::{Context, blocking};
use crate::index::Indexes;
use crate::uv::{Freedom, NoAnswer, Question, Uv, wanted_builds};
use kiln_fetch::IndexFile;
use kiln_python::{Pinned, SdistMetadata, best_sdist, dependency_metadata, is_file_of, sdist_metadata};
use kiln_record::DistributionName;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Most source distributions that one resolution looks into.
const MOST: usize = 200;

/// The distributions that may be built, and what is known so far of what they require.
#[derive(Debug, Default)]
pub(crate) struct Buildable {
    pub(crate) listed: Vec<DistributionName>,
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
    async fn look_into(
        &self,
        context: &Context,
        indexes: &Indexes<'_>,
        (name, version): (DistributionName, String),
    ) -> Result<bool, NoAnswer> {
        {
            let stated = self.stated.lock().unwrap_or_else(PoisonError::into_inner);
            if stated.len() >= MOST || stated.contains_key(&(name.clone(), version.clone())) {
                return Ok(false);
            }
        }
        let index = indexes.of(context, &name).await?;
        let files = index.files(context.client().await?, &name).await?;
        let files: Vec<IndexFile> =
            files.into_iter().filter(|file| is_file_of(&file.file_name, &name, &version)).collect();
        let Some(file) = best_sdist(&files, |file| &file.file_name) else { return Ok(false) };
        let Some(digest) = file.digest else { return Ok(false) };
        download(context, file, &[digest], "the index").await?;
        let (reader, file_name) = (context.clone(), file.file_name.clone());
        let source = blocking(move || UnpackedSource::read(&reader, &file_name, &digest)).await?;
        let metadata = sdist_metadata(source.pkg_info().as_deref(), source.egg_requires().as_deref());
        self.stated.lock().unwrap_or_else(PoisonError::into_inner).insert((name, version), metadata);
        Ok(true)
    }
}

/// Resolves a declaration. A listed source distribution that uv would have to build to know what it requires is looked
/// into instead, and uv is asked again.
pub(crate) async fn resolve(
    context: &Context,
    indexes: &Indexes<'_>,
    uv: &Uv,
    question: &Question<'_>,
    freedom: &Freedom,
) -> Result<Vec<Pinned>, NoAnswer> {
    loop {
        let refused = match uv.resolve(question, freedom).await {
            Err(NoAnswer::Refused { lines, unsatisfiable }) => (lines, unsatisfiable),
            other => return other,
        };
        let mut learnt = false;
        for wanted in wanted_builds(&refused.0) {
            if question.sdists.listed.contains(&wanted.0) {
                learnt |= question.sdists.look_into(context, indexes, wanted).await?;
            }
        }
        if !learnt {
            return Err(NoAnswer::Refused { lines: refused.0, unsatisfiable: refused.1 });
        }
    }
}
