//! Dockerfiles, and what they take from elsewhere. Every image that one names is a base of the workspace, or
//! has a digest; what would reach out of the build is refused.

mod own_base;
mod reader;
mod variables;

pub use reader::ENGINE_BASES;

use crate::Problem;
use crate::base::{BaseDefinition, BaseLock};
use crate::manifest::DockerfileSection;
use kiln_record::{BaseName, Platform};
use reader::{Edit, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// A Dockerfile that was read, with every image that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    /// The file, relative to the workspace.
    pub file: String,
    /// Its text.
    pub text: Arc<str>,
    /// The base that the wanted stage stands on, whatever stages lie between.
    pub base: BaseName,
    /// All bases that it names, that one included.
    pub bases: BTreeSet<BaseName>,
    /// The build arguments that it declares anywhere.
    pub declared: BTreeSet<String>,
    /// Whether it asks for a frontend of its own (`# syntax=`), which is not used.
    pub syntax: Option<String>,
    /// What is written otherwise for the engine.
    edits: Vec<(Range<usize>, Edit)>,
}

impl Dockerfile {
    /// The text as an engine gets it: every image under the name that the engine has it by, so that nothing
    /// is looked up.
    #[must_use]
    pub fn for_engine(&self, name: impl Fn(&BaseName) -> String) -> String {
        let mut text = self.text.to_string();
        let mut edits: Vec<&(Range<usize>, Edit)> = self.edits.iter().collect();
        edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
        for (span, edit) in edits {
            let written = match edit {
                Edit::Base(base) => name(base),
                Edit::Nothing => String::new(),
            };
            text.replace_range(span.clone(), &written);
        }
        text
    }

    /// Reads a Dockerfile. `bases` are those of the workspace; images that the file pins itself are added to
    /// them.
    ///
    /// # Errors
    /// Every problem that was found, each at its line.
    pub fn parse(
        file: &str,
        text: &Arc<str>,
        section: &DockerfileSection,
        platform: Platform,
        bases: &mut BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
    ) -> Result<Self, Vec<Problem>> {
        let parsed = parse_dockerfile::parse(text).map_err(|error| {
            let message = error.to_string();
            vec![Problem::in_file(file, format!("it is not a Dockerfile: {message}"))]
        })?;
        let mut reader = Reader::new(file, text, section, platform, bases);
        let syntax = reader.syntax(&parsed);
        let stages = reader.stages(&parsed);
        let declared = reader.arguments(&parsed);
        let base = reader.wanted(stages);
        let Reader { found: bases, edits, problems, .. } = reader;
        let base = problems.or(base)?;
        Ok(Self { file: file.to_owned(), text: Arc::clone(text), base, bases, declared, syntax, edits })
    }
}

#[cfg(test)]
mod tests;
