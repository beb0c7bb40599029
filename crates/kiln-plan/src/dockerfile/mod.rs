//! Dockerfiles, and what they take from elsewhere. Every image that one names is a base of the workspace, or has a digest;
//! what would reach out of the build is refused.

mod own_base;
mod reader;
mod variables;

pub use reader::ENGINE_BASES;

use crate::Problem;
use crate::base::{BaseDefinition, BaseLock};
use crate::manifest::DockerfileSection;
use kiln_record::{BaseName, Platform};
use parse_dockerfile::Instruction;
use reader::{Edit, Reader};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use variables::Variables;

/// Arguments that every Dockerfile may have without declaring them (Dockerfile reference, "Predefined ARGs").
const PREDEFINED: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

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
    /// The text as an engine gets it: every image under the name that the engine has it by, so that nothing is looked up.
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

    /// Reads a Dockerfile. `bases` are those of the workspace; images that the file pins itself are added to them.
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
        let mut reader = Reader {
            file,
            text,
            section,
            platform,
            known: bases,
            names: BTreeSet::new(),
            found: BTreeSet::new(),
            edits: Vec::new(),
            problems: Vec::new(),
        };
        let mut variables = Variables::new(platform);
        for arg in parsed.global_args() {
            let at = arg.arguments.span.clone();
            if let Err(message) = variables.declare(&arg.arguments.value, &section.args) {
                reader.problem(at, message, "give it a default, or a value in `args` of the manifest");
            }
        }
        let syntax = parsed.parser_directives.syntax.as_ref().map(|directive| {
            // The whole line: what stood in its place would end the directives.
            let span = directive.span();
            let start = text[..span.start].rfind('\n').map_or(0, |end| end + 1);
            let end = text[span.end..].find('\n').map_or(text.len(), |end| span.end + end + 1);
            reader.edits.push((start..end, Edit::Nothing));
            directive.value.value.to_owned()
        });
        // A stage stands on an image, or on a stage before it.
        let mut stands_on: Vec<Option<BaseName>> = Vec::new();
        let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
        for (number, stage) in parsed.stages().enumerate() {
            let image = reader.expanded(&stage.from.image, &variables);
            for option in &stage.from.options {
                reader.platform_option(option, &variables);
            }
            let on = image.and_then(|image| match by_name.get(&image.to_lowercase()) {
                Some(earlier) => stands_on[*earlier].clone(),
                None => reader.image(&image, stage.from.image.span.clone()),
            });
            stands_on.push(on);
            if let Some((_, name)) = &stage.from.as_ {
                by_name.insert(name.value.to_lowercase(), number);
                reader.names.insert(name.value.to_lowercase());
            }
            for instruction in stage.instructions {
                reader.instruction(instruction, number);
            }
        }
        let declared: BTreeSet<&str> = parsed
            .instructions
            .iter()
            .filter_map(|instruction| match instruction {
                Instruction::Arg(arg) => Some(variables::names(&arg.arguments.value)),
                _ => None,
            })
            .flatten()
            .collect();
        if section.args.keys().any(|name| name.starts_with("BUILDKIT_")) {
            reader.problem(
                0..0,
                "`args` of the manifest has a `BUILDKIT_…`, which tells the builder what to run or to fetch"
                    .to_owned(),
                "remove it: arguments are for the Dockerfile",
            );
        }
        for name in section.args.keys().filter(|name| !declared.contains(name.as_str())) {
            if !PREDEFINED.contains(&name.as_str()) {
                reader.problem(
                    0..0,
                    format!("it has no `ARG {name}`, which the manifest gives a value"),
                    "remove it from `args`, or declare it",
                );
            }
        }
        let wanted = match &section.target {
            None => stands_on.len().checked_sub(1),
            Some(target) => by_name.get(&target.to_lowercase()).copied().or_else(|| {
                let known: Vec<&str> = by_name.keys().map(String::as_str).collect();
                let message =
                    format!("it has no stage `{target}`, which the manifest asks for with `target`");
                let help = match known.is_empty() {
                    true => "its stages have no names".to_owned(),
                    false => format!("its stages are: {}", known.join(", ")),
                };
                reader.problem(0..0, message, &help);
                None
            }),
        };
        let base = wanted.and_then(|stage| stands_on[stage].clone());
        let Reader { found, edits, problems, .. } = reader;
        match base {
            Some(base) if problems.is_empty() => Ok(Self {
                file: file.to_owned(),
                text: Arc::clone(text),
                base,
                bases: found,
                declared: declared.into_iter().map(str::to_owned).collect(),
                syntax,
                edits,
            }),
            _ => Err(problems),
        }
    }
}

#[cfg(test)]
mod tests;
