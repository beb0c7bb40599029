//! What a Dockerfile names and asks for, instruction by instruction.

use super::own_base::{SCRATCH, pinned_here, scratch, slug};
use super::variables::Variables;
use crate::Problem;
use crate::base::{BaseDefinition, BaseKind, BaseLock};
use crate::manifest::DockerfileSection;
use kiln_record::{BaseName, Digest, Platform};
use parse_dockerfile::{Flag, Instruction, Source, UnescapedString};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// How engines have the bases that kiln assembles, and so how a Dockerfile names one.
pub const ENGINE_BASES: &str = "localhost/kiln/";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// An image by the name that the engine has it by.
    Base(BaseName),
    /// Nothing: what is there is decided already.
    Nothing,
}

pub(super) struct Reader<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a Arc<str>,
    pub(super) section: &'a DockerfileSection,
    pub(super) platform: Platform,
    pub(super) known: &'a mut BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
    /// Names of the stages so far.
    pub(super) names: BTreeSet<String>,
    pub(super) found: BTreeSet<BaseName>,
    pub(super) edits: Vec<(Range<usize>, Edit)>,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    pub(super) fn problem(&mut self, span: Range<usize>, message: String, help: &str) {
        self.problems.push(Problem::in_file(self.file, message).at(self.text, span).help(help));
    }

    pub(super) fn expanded(&mut self, text: &UnescapedString<'_>, variables: &Variables) -> Option<String> {
        match variables.expand(&text.value) {
            Ok(expanded) if !expanded.is_empty() => Some(expanded),
            Ok(_) => {
                self.problem(
                    text.span.clone(),
                    format!("`{}` is empty", text.value),
                    "give the ARG a default, or a value in `args` of the manifest",
                );
                None
            }
            Err(message) => {
                self.problem(
                    text.span.clone(),
                    message,
                    "declare it with ARG before the first FROM, with a default or a value in `args` of the manifest",
                );
                None
            }
        }
    }

    /// `--platform` may only say what the manifest says.
    pub(super) fn platform_option(&mut self, option: &Flag<'_>, variables: &Variables) {
        let Some(value) = option.value.as_ref().filter(|_| option.name.value == "platform") else { return };
        let Some(stated) = self.expanded(value, variables) else { return };
        if stated != self.platform.to_string() {
            self.problem(
                option.span(),
                format!("`--platform={stated}` is another platform than the target's, {}", self.platform),
                "remove it: the manifest's target decides",
            );
        }
        self.edits.push((option.span(), Edit::Nothing));
    }

    /// An image that is taken from elsewhere, as the base that pins it.
    pub(super) fn image(&mut self, image: &str, span: Range<usize>) -> Option<BaseName> {
        let base = match self.pin(image) {
            Ok(base) => base,
            Err((message, help)) => {
                self.problem(span, message, &help);
                return None;
            }
        };
        if self.known.get(&base).is_some_and(|(definition, _)| definition.kind != BaseKind::Scratch) {
            self.edits.push((span, Edit::Base(base.clone())));
            self.found.insert(base.clone());
        }
        Some(base)
    }

    fn pin(&mut self, image: &str) -> Result<BaseName, (String, String)> {
        if let Some(base) = self.section.bases.get(image) {
            return match self.known.contains_key(base) {
                true => Ok(base.clone()),
                false => Err((
                    format!("there is no base `{base}`, which the manifest names for `{image}`"),
                    format!("add images/{base}.toml, or use one of: {}", self.names_of_bases()),
                )),
            };
        }
        if image == SCRATCH {
            let other = self.known.iter().find(|(name, (definition, _))| {
                name.as_str() == SCRATCH && definition.kind != BaseKind::Scratch
            });
            return match other {
                None => Ok(self.add(scratch(self.file, self.platform))),
                Some((_, (definition, _))) => Err((
                    format!("`scratch` is nothing in a Dockerfile, and {} calls a base so", definition.file),
                    "give that base another name".to_owned(),
                )),
            };
        }
        if let Some(name) = image.strip_prefix(ENGINE_BASES) {
            let name = name.split([':', '@']).next().unwrap_or(name);
            let known = name.parse::<BaseName>().ok().filter(|name| self.known.contains_key(name));
            return known.ok_or_else(|| {
                (
                    format!("there is no base `{name}`, which `{image}` means"),
                    format!("add images/{name}.toml, or use one of: {}", self.names_of_bases()),
                )
            });
        }
        let of_workspace = self.known.values().find(|(definition, _)| {
            matches!(&definition.kind, BaseKind::Registry(registry) if registry.reference == image)
        });
        if let Some((definition, _)) = of_workspace {
            return Ok(definition.name.clone());
        }
        if let Some((name, digest)) = image.split_once('@') {
            let digest: Digest = digest
                .parse()
                .map_err(|error| (format!("`{image}`: {error}"), "write the digest in full".to_owned()))?;
            let has_registry = name
                .split_once('/')
                .is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost");
            if !has_registry {
                return Err((
                    format!("`{image}` does not say which registry"),
                    "write the registry in front of the name: short names mean different images on different machines"
                        .to_owned(),
                ));
            }
            return Ok(self.add(pinned_here(self.file, image, name, digest, self.platform)));
        }
        let suggested = slug(image);
        Err((
            format!("`{image}` is not pinned: a tag can move"),
            format!(
                "write its registry and digest, as in `registry.example.org/{image}@sha256:…`; or leave the file as it is, describe the image in images/{suggested}.toml, run kiln lock --base {suggested}, and say in the manifest: bases = {{ \"{image}\" = \"{suggested}\" }} under [dockerfile]"
            ),
        ))
    }

    fn names_of_bases(&self) -> String {
        self.known.keys().map(BaseName::as_str).collect::<Vec<_>>().join(", ")
    }

    /// Adds a base that a Dockerfile pins; another may have pinned it for another platform.
    fn add(&mut self, (definition, lock): (BaseDefinition, BaseLock)) -> BaseName {
        let name = definition.name.clone();
        match self.known.get_mut(&name) {
            Some((there, Some(locked))) if there.digest == definition.digest => {
                locked.platform.extend(lock.platform);
                there.platforms.extend(definition.platforms);
                there.platforms.sort();
                there.platforms.dedup();
            }
            _ => {
                self.known.insert(name.clone(), (definition, Some(lock)));
            }
        }
        name
    }

    /// Another stage by name or number, or an image.
    fn taken_from(&mut self, value: &UnescapedString<'_>, stage: usize) {
        let text = value.value.to_string();
        let is_stage = self.names.contains(&text.to_lowercase())
            || text.parse::<usize>().is_ok_and(|number| number < stage);
        if is_stage {
            return;
        }
        if text.contains('$') {
            self.problem(
                value.span.clone(),
                format!("`{text}` depends on a variable, which engines do not replace here"),
                "name a stage: FROM image AS name before it",
            );
            return;
        }
        self.image(&text, value.span.clone());
    }

    pub(super) fn instruction(&mut self, instruction: &Instruction<'_>, stage: usize) {
        match instruction {
            Instruction::Copy(copy) => {
                for option in copy.options.iter().filter(|option| option.name.value == "from") {
                    if let Some(value) = &option.value {
                        self.taken_from(value, stage);
                    }
                }
            }
            Instruction::Add(add) if !self.section.network => {
                for source in &add.src {
                    let Source::Path(path) = source else { continue };
                    let message = if is_address(&path.value) {
                        format!("`ADD {}` fetches what no lock knows", path.value)
                    } else if path.value.contains('$') {
                        format!("`ADD {}` may fetch: what it adds depends on a variable", path.value)
                    } else {
                        continue;
                    };
                    self.problem(
                        path.span.clone(),
                        message,
                        "copy files with COPY; bring what is elsewhere by an [[upstream]] or a [[step]]; or allow `network = true` under [dockerfile], which is reported",
                    );
                }
            }
            Instruction::Run(run) => {
                for option in &run.options {
                    self.run_option(option, stage);
                }
            }
            Instruction::Onbuild(onbuild) => self.instruction(&onbuild.instruction, stage),
            _ => {}
        }
    }

    fn run_option(&mut self, option: &Flag<'_>, stage: usize) {
        let Some(value) = &option.value else { return };
        match &*option.name.value {
            "mount" => {
                if value.value.contains(['"', '\'', '$', '\\']) {
                    self.problem(
                        option.span(),
                        format!(
                            "`--mount={}` has a quote, a variable or a backslash, which is not read here",
                            value.value
                        ),
                        "write it plainly: --mount=type=bind,from=STAGE,source=PATH,target=PATH",
                    );
                    return;
                }
                // Builders read the keys without regard to case.
                let field = |key: &str| {
                    let mut at = value.span.start;
                    value.value.split(',').find_map(|field| {
                        let start = at;
                        at += field.len() + 1;
                        let (name, text) = field.split_once('=')?;
                        let text_start = start + name.len() + 1;
                        name.eq_ignore_ascii_case(key)
                            .then(|| (text.to_owned(), text_start..text_start + text.len()))
                    })
                };
                let kind =
                    field("type").map_or_else(|| "bind".to_owned(), |(kind, _)| kind.to_ascii_lowercase());
                match kind.as_str() {
                    "bind" => {
                        if let Some((from, span)) = field("from") {
                            self.taken_in_mount(&from, span, stage);
                        }
                    }
                    "tmpfs" => {}
                    "cache" => self.problem(
                        option.span(),
                        "`--mount=type=cache` gives it what an earlier build left there, which no lock knows"
                            .to_owned(),
                        "remove it: what the build needs must be in its context",
                    ),
                    other => self.problem(
                        option.span(),
                        format!("`--mount=type={other}` gives it something that is in no lock"),
                        "remove it: the build needs no secrets, as nothing is fetched in it",
                    ),
                }
            }
            "network" if value.value != "none" && !self.section.network => self.problem(
                option.span(),
                format!("`--network={}` asks for a network", value.value),
                "remove it; or allow `network = true` under [dockerfile], which is reported",
            ),
            "security" if value.value != "sandbox" => self.problem(
                option.span(),
                format!("`--security={}` runs it with the host's rights", value.value),
                "remove it",
            ),
            _ => {}
        }
    }

    fn taken_in_mount(&mut self, from: &str, span: Range<usize>, stage: usize) {
        let is_stage = self.names.contains(&from.to_lowercase())
            || from.parse::<usize>().is_ok_and(|number| number < stage);
        if !is_stage {
            self.image(from, span);
        }
    }
}

/// Whether ADD would fetch it (Dockerfile reference, "ADD": URLs and git repositories).
fn is_address(source: &str) -> bool {
    ["http://", "https://", "ftp://", "git://", "ssh://", "git@"]
        .iter()
        .any(|start| source.starts_with(start))
}
