//! What a Dockerfile names and asks for, instruction by instruction.

use super::own_base::{SCRATCH, pinned_here, scratch, slug};
use super::variables::{self, Variables};
use crate::base::{BaseDefinition, BaseKind, BaseLock};
use crate::manifest::DockerfileSection;
use crate::problem::Problems;
use kiln_record::{BaseName, Digest, Platform};
use parse_dockerfile::{Flag, Instruction, Source, UnescapedString};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// How engines have the bases that kiln assembles, and so how a Dockerfile names one.
pub const ENGINE_BASES: &str = "localhost/kiln/";

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

/// What is written otherwise for the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// An image by the name that the engine has it by.
    Base(BaseName),
    /// Nothing: what is there is decided already.
    Nothing,
}

/// One way through a Dockerfile.
pub(super) struct Reader<'a> {
    text: &'a Arc<str>,
    file: &'a str,
    section: &'a DockerfileSection,
    platform: Platform,
    known: &'a mut BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
    /// Names of the stages so far.
    names: BTreeSet<String>,
    /// The bases that it names.
    pub(super) found: BTreeSet<BaseName>,
    /// What is written otherwise for the engine.
    pub(super) edits: Vec<(Range<usize>, Edit)>,
    pub(super) problems: Problems<'a>,
}

/// The stages of a Dockerfile.
pub(super) struct Stages {
    /// What each of them stands on: an image, or what a stage before it does.
    stand_on: Vec<Option<BaseName>>,
    by_name: BTreeMap<String, usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        file: &'a str,
        text: &'a Arc<str>,
        section: &'a DockerfileSection,
        platform: Platform,
        known: &'a mut BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
    ) -> Self {
        let problems = Problems::new(file, text);
        let (names, found, edits) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        Self { text, file, section, platform, known, names, found, edits, problems }
    }

    /// The frontend that it asks for, whose line is taken out.
    pub(super) fn syntax(&mut self, parsed: &parse_dockerfile::Dockerfile<'_>) -> Option<String> {
        let directive = parsed.parser_directives.syntax.as_ref()?;
        // The whole line: what stood in its place would end the directives.
        let span = directive.span();
        let start = self.text[..span.start].rfind('\n').map_or(0, |end| end + 1);
        let end = self.text[span.end..].find('\n').map_or(self.text.len(), |end| span.end + end + 1);
        self.edits.push((start..end, Edit::Nothing));
        Some(directive.value.value.to_owned())
    }

    /// Reads every stage.
    pub(super) fn stages(&mut self, parsed: &parse_dockerfile::Dockerfile<'_>) -> Stages {
        let mut variables = Variables::new(self.platform);
        for arg in parsed.global_args() {
            let at = arg.arguments.span.clone();
            if let Err(message) = variables.declare(&arg.arguments.value, &self.section.args) {
                self.problems.at(at, message, "give it a default, or a value in `args` of the manifest");
            }
        }
        let mut stages = Stages { stand_on: Vec::new(), by_name: BTreeMap::new() };
        for (number, stage) in parsed.stages().enumerate() {
            let image = self.expanded(&stage.from.image, &variables);
            for option in &stage.from.options {
                self.platform_option(option, &variables);
            }
            let on = image.and_then(|image| match stages.by_name.get(&image.to_lowercase()) {
                Some(earlier) => stages.stand_on[*earlier].clone(),
                None => self.image(&image, stage.from.image.span.clone()),
            });
            stages.stand_on.push(on);
            if let Some((_, name)) = &stage.from.as_ {
                stages.by_name.insert(name.value.to_lowercase(), number);
                self.names.insert(name.value.to_lowercase());
            }
            for instruction in stage.instructions {
                self.instruction(instruction, number);
            }
        }
        stages
    }

    /// The build arguments that it declares; the manifest may give a value to these only.
    pub(super) fn arguments(&mut self, parsed: &parse_dockerfile::Dockerfile<'_>) -> BTreeSet<String> {
        let declared: BTreeSet<String> = parsed
            .instructions
            .iter()
            .filter_map(|instruction| match instruction {
                Instruction::Arg(arg) => Some(variables::names(&arg.arguments.value)),
                _ => None,
            })
            .flatten()
            .map(str::to_owned)
            .collect();
        if self.section.args.keys().any(|name| name.starts_with("BUILDKIT_")) {
            self.problems.at_top(
                "`args` of the manifest has a `BUILDKIT_…`, which tells the builder what to run or to fetch",
                "remove it: arguments are for the Dockerfile",
            );
        }
        for name in self.section.args.keys().filter(|name| !declared.contains(*name)) {
            if !PREDEFINED.contains(&name.as_str()) {
                self.problems.at_top(
                    format!("it has no `ARG {name}`, which the manifest gives a value"),
                    "remove it from `args`, or declare it",
                );
            }
        }
        declared
    }

    /// The base that the wanted stage stands on.
    pub(super) fn wanted(&mut self, stages: Stages) -> Option<BaseName> {
        let Stages { mut stand_on, by_name } = stages;
        let Some(target) = &self.section.target else { return stand_on.pop().flatten() };
        let Some(stage) = by_name.get(&target.to_lowercase()) else {
            let known: Vec<&str> = by_name.keys().map(String::as_str).collect();
            let help = match known.is_empty() {
                true => "its stages have no names".to_owned(),
                false => format!("its stages are: {}", known.join(", ")),
            };
            self.problems.at_top(
                format!("it has no stage `{target}`, which the manifest asks for with `target`"),
                help,
            );
            return None;
        };
        stand_on.swap_remove(*stage)
    }

    fn expanded(&mut self, text: &UnescapedString<'_>, variables: &Variables) -> Option<String> {
        match variables.expand(&text.value) {
            Ok(expanded) if !expanded.is_empty() => Some(expanded),
            Ok(_) => {
                self.problems.at(
                    text.span.clone(),
                    format!("`{}` is empty", text.value),
                    "give the ARG a default, or a value in `args` of the manifest",
                );
                None
            }
            Err(message) => {
                self.problems.at(
                    text.span.clone(),
                    message,
                    "declare it with ARG before the first FROM, with a default or a value in `args` of the manifest",
                );
                None
            }
        }
    }

    /// `--platform` may only say what the manifest says.
    fn platform_option(&mut self, option: &Flag<'_>, variables: &Variables) {
        let Some(value) = option.value.as_ref().filter(|_| option.name.value == "platform") else { return };
        let Some(stated) = self.expanded(value, variables) else { return };
        if stated != self.platform.to_string() {
            self.problems.at(
                option.span(),
                format!("`--platform={stated}` is another platform than the target's, {}", self.platform),
                "remove it: the manifest's target decides",
            );
        }
        self.edits.push((option.span(), Edit::Nothing));
    }

    /// An image that is taken from elsewhere, as the base that pins it.
    fn image(&mut self, image: &str, span: Range<usize>) -> Option<BaseName> {
        let base = match self.pin(image) {
            Ok(base) => base,
            Err((message, help)) => {
                self.problems.at(span, message, &help);
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
            self.problems.at(
                value.span.clone(),
                format!("`{text}` depends on a variable, which engines do not replace here"),
                "name a stage: FROM image AS name before it",
            );
            return;
        }
        self.image(&text, value.span.clone());
    }

    fn instruction(&mut self, instruction: &Instruction<'_>, stage: usize) {
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
                    self.problems.at(
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
                    self.problems.at(
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
                    "cache" => self.problems.at(
                        option.span(),
                        "`--mount=type=cache` gives it what an earlier build left there, which no lock knows",
                        "remove it: what the build needs must be in its context",
                    ),
                    other => self.problems.at(
                        option.span(),
                        format!("`--mount=type={other}` gives it something that is in no lock"),
                        "remove it: the build needs no secrets, as nothing is fetched in it",
                    ),
                }
            }
            "network" if value.value != "none" && !self.section.network => self.problems.at(
                option.span(),
                format!("`--network={}` asks for a network", value.value),
                "remove it; or allow `network = true` under [dockerfile], which is reported",
            ),
            "security" if value.value != "sandbox" => self.problems.at(
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
