//! Dockerfiles: the `dockerfile` key of a manifest, and what a Dockerfile takes from elsewhere. Every image that it names is
//! a base of the workspace, or has a digest; what would reach out of the build is refused.

mod variables;

use crate::{
    BaseDefinition, BaseKind, BaseLock, ImageSettings, PlatformLock, Problem, RegistryDefinition,
    Reproducible,
};
use kiln_record::{ArtifactKind, BaseName, Digest, Epoch, FormatVersion, Platform};
use parse_dockerfile::{Flag, Instruction, Source, UnescapedString};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use variables::Variables;

/// How engines have the bases that kiln assembles, and so how a Dockerfile names one.
pub const ENGINE_BASES: &str = "localhost/kiln/";
/// The image that is nothing (Dockerfile reference, "FROM").
const SCRATCH: &str = "scratch";
/// How long a build may take if the manifest does not say, in seconds.
const TIMEOUT: u32 = 30 * 60;
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

/// The `dockerfile` key: the file, or a table with more about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DockerfileSection {
    /// The file, relative to the workspace.
    pub path: String,
    /// The folder that it copies from, relative to the workspace.
    pub context: String,
    /// The stage to build; the last if absent.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Bases of the workspace that stand for images that it names.
    pub bases: BTreeMap<String, BaseName>,
    /// Whether its programs have a network.
    pub network: bool,
    /// The folder of the context in which it finds the wheels of the lock.
    pub wheels: Option<String>,
    /// How long a build may take, in seconds.
    pub timeout: u32,
    /// Whether it is built twice.
    pub reproducible: Reproducible,
}

/// The key as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DockerfileTable {
    path: String,
    context: Option<String>,
    target: Option<String>,
    #[serde(default)]
    args: BTreeMap<String, String>,
    #[serde(default)]
    bases: BTreeMap<String, BaseName>,
    #[serde(default)]
    network: bool,
    wheels: Option<String>,
    timeout: Option<String>,
    #[serde(default)]
    reproducible: Reproducible,
}

/// Either form of the key.
pub(crate) struct DockerfileKey(DockerfileTable);

impl<'de> Deserialize<'de> for DockerfileKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = DockerfileKey;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the path of a Dockerfile, or a table with `path`")
            }

            fn visit_str<E: serde::de::Error>(self, path: &str) -> Result<DockerfileKey, E> {
                let table = DockerfileTable {
                    path: path.to_owned(),
                    context: None,
                    target: None,
                    args: BTreeMap::new(),
                    bases: BTreeMap::new(),
                    network: false,
                    wheels: None,
                    timeout: None,
                    reproducible: Reproducible::default(),
                };
                Ok(DockerfileKey(table))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<DockerfileKey, A::Error> {
                let table = serde::de::value::MapAccessDeserializer::new(map);
                DockerfileTable::deserialize(table).map(DockerfileKey)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl DockerfileKey {
    /// Checks the key on its own.
    pub(crate) fn section(
        self,
        kind: ArtifactKind,
        problem: &mut impl FnMut(String, &str),
    ) -> Option<DockerfileSection> {
        let Self(table) = self;
        if !kind.is_image() {
            problem(
                format!("a Dockerfile makes an image, and this is a {kind}"),
                "make it a lambda-image or an image; a [[step]] runs programs for any kind",
            );
        }
        let mut inside = |text: &str| {
            crate::workspace_path::in_workspace("manifests", text)
                .map_err(|message| {
                    problem(message, "write a path relative to the manifest's folder, inside the workspace");
                })
                .ok()
        };
        let path = inside(&table.path)?;
        let context = match &table.context {
            Some(context) => inside(context)?,
            None => path.rsplit_once('/').map(|(folder, _)| folder.to_owned()).unwrap_or_default(),
        };
        if context == "manifests" || context.is_empty() {
            problem(
                format!(
                    "the context of {path} would be {}, with other artifacts' files",
                    if context.is_empty() { "the workspace" } else { "manifests/" }
                ),
                "put the Dockerfile and what it copies into a folder, or name that with `context`",
            );
        }
        if let Some(wheels) = &table.wheels
            && let Err(error) = kiln_record::TreePath::new(wheels)
        {
            problem(
                format!("`dockerfile.wheels`: {error}"),
                "name a folder of the context, such as \"wheels\"",
            );
        }
        let timeout = match table.timeout.as_deref().map(crate::step::seconds) {
            None => TIMEOUT,
            Some(Some(seconds)) => seconds,
            Some(None) => {
                problem(
                    format!(
                        "`dockerfile.timeout`: `{}` is not a time",
                        table.timeout.as_deref().unwrap_or_default().escape_debug()
                    ),
                    "write seconds or minutes, up to 360 min: timeout = \"20 min\"",
                );
                TIMEOUT
            }
        };
        Some(DockerfileSection {
            path,
            context,
            target: table.target,
            args: table.args,
            bases: table.bases,
            network: table.network,
            wheels: table.wheels,
            timeout,
            reproducible: table.reproducible,
        })
    }
}

/// Where in a manifest's text its Dockerfile is named, if it has one: what must be read besides the manifest. A manifest
/// that cannot be read has none; reading it says why.
#[must_use]
pub fn dockerfile_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Peek {
        dockerfile: Option<toml::Value>,
    }
    let peek: Peek = toml::from_str(text).ok()?;
    let path = match peek.dockerfile? {
        toml::Value::String(path) => path,
        toml::Value::Table(mut table) => match table.remove("path")? {
            toml::Value::String(path) => path,
            _ => return None,
        },
        _ => return None,
    };
    crate::workspace_path::in_workspace("manifests", &path).ok()
}

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

#[derive(Clone, Debug, PartialEq, Eq)]
enum Edit {
    /// An image by the name that the engine has it by.
    Base(BaseName),
    /// Nothing: what is there is decided already.
    Nothing,
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

struct Reader<'a> {
    file: &'a str,
    text: &'a Arc<str>,
    section: &'a DockerfileSection,
    platform: Platform,
    known: &'a mut BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
    /// Names of the stages so far.
    names: BTreeSet<String>,
    found: BTreeSet<BaseName>,
    edits: Vec<(Range<usize>, Edit)>,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, span: Range<usize>, message: String, help: &str) {
        self.problems.push(Problem::in_file(self.file, message).at(self.text, span).help(help));
    }

    fn expanded(&mut self, text: &UnescapedString<'_>, variables: &Variables) -> Option<String> {
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
    fn platform_option(&mut self, option: &Flag<'_>, variables: &Variables) {
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
    fn image(&mut self, image: &str, span: Range<usize>) -> Option<BaseName> {
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

/// A name for the base that an image would be: the end of its repository, and its tag.
fn slug(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    let text: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
        .take(48)
        .collect();
    text.trim_matches(['-', '.']).to_owned()
}

/// A base with its lock, for what a Dockerfile pins itself.
fn own_base(
    file: &str,
    name: &str,
    kind: BaseKind,
    stated: Digest,
    platform: Platform,
) -> (BaseDefinition, BaseLock) {
    // The name is made of what names are made of.
    let name: BaseName = name.parse().unwrap_or_else(|_| unreachable!("{name} is a name"));
    let definition = BaseDefinition {
        name: name.clone(),
        file: file.to_owned(),
        kind,
        platforms: vec![platform],
        image: ImageSettings::default(),
        digest: stated,
    };
    let facts = PlatformLock { manifest: stated, config: None, release: None, packages: Vec::new() };
    let lock = BaseLock {
        format: FormatVersion { major: 1, minor: 0 },
        base: name,
        definition: stated,
        // It says nothing of a time, and so decides none.
        pinned: Epoch::from_seconds(0).unwrap_or_else(|_| unreachable!("0 is a time")),
        command: format!("written in {file}"),
        platform: BTreeMap::from([(platform, facts)]),
    };
    (definition, lock)
}

fn scratch(file: &str, platform: Platform) -> (BaseDefinition, BaseLock) {
    own_base(file, SCRATCH, BaseKind::Scratch, Digest::of(SCRATCH.as_bytes()), platform)
}

fn pinned_here(
    file: &str,
    image: &str,
    name: &str,
    digest: Digest,
    platform: Platform,
) -> (BaseDefinition, BaseLock) {
    let slug = slug(name);
    let short = &digest.hex()[..12];
    let name = if slug.is_empty() { short.to_owned() } else { format!("{slug}-{short}") };
    let reference = image.to_owned();
    own_base(file, &name, BaseKind::Registry(RegistryDefinition { reference }), digest, platform)
}

#[cfg(test)]
mod tests;
