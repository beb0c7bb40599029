//! Dockerfiles, and what they take from elsewhere. Every image that one names is a base of the workspace, or
//! has a digest; what would reach out of the build is refused.
//!
//! What an engine is given is not the file but what was understood of it, written anew: an instruction a line, without
//! comments, directives, continued lines or here-documents. So no builder reads anything that nobody has judged.

mod brought;
mod heredoc;
mod instruction;
mod mount;
mod own_base;
mod pins;
mod reader;
mod text;
mod variables;
mod written;

pub use pins::ENGINE_BASES;

use crate::Problem;
use crate::base::{BaseDefinition, BaseLock};
use crate::manifest::DockerfileSection;
use kiln_record::{BaseName, Platform};
use reader::Reader;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use written::Written;

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
    /// The frontend of its own that it asks for (`# syntax=`), which is not used.
    pub syntax: Option<String>,
    /// What its here-documents became: files of the context, with what they hold.
    pub files: BTreeMap<String, Arc<str>>,
    /// What the wanted stage and those before it take of the context, as it is written: paths, patterns and variables.
    pub taken: BTreeSet<String>,
    /// The bases in which scripts of its here-documents are run by `/bin/sh -c`: what is written is right for those that name
    /// no other shell.
    pub default_shell: BTreeSet<BaseName>,
    /// What is written of it for the engine, to the end of the wanted stage.
    written: Vec<Written>,
    /// The line of the file that each of these instructions begins in.
    pub lines: Vec<usize>,
}

impl Dockerfile {
    /// The instructions as an engine gets them, each in one line, with every image under the name that the engine has it by,
    /// so that nothing is looked up. The last stage is the wanted one.
    #[must_use]
    pub fn for_engine(&self, name: impl Fn(&BaseName) -> String) -> Vec<String> {
        self.written.iter().map(|written| written.line(&name)).collect()
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
        let mut reader = Reader::new(file, text, section, platform, bases);
        let read = text::read(text, &mut reader.problems);
        reader.read(&read);
        reader.arguments();
        let wanted = reader.wanted();
        let Reader { pins, declared, files, taken, default_shell, problems, .. } = reader;
        let (base, written) = problems.or(wanted)?;
        let (written, lines) = written.into_iter().unzip();
        Ok(Self {
            file: file.to_owned(),
            text: Arc::clone(text),
            base,
            bases: pins.found,
            declared,
            syntax: read.syntax,
            files,
            taken: taken.into_iter().map(|(_, path)| path).collect(),
            default_shell,
            written,
            lines,
        })
    }
}

#[cfg(test)]
mod tests;
