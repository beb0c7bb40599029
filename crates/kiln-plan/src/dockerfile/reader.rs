//! What a Dockerfile names and asks for, instruction by instruction, and what is written of it for an engine.

use super::instruction::{Flag, Instruction, Keyword, Says, json};
use super::own_base::SCRATCH;
use super::pins::Pins;
use super::text::Text;
use super::variables::{self, Variables};
use super::written::{LONGEST, Written};
use super::{brought, mount};
use crate::base::{BaseDefinition, BaseLock};
use crate::manifest::DockerfileSection;
use crate::problem::Problems;
use kiln_record::{BaseName, Platform};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

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

/// The shell of a RUN that names none (Dockerfile reference, "SHELL").
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// One way through a Dockerfile.
pub(super) struct Reader<'a> {
    pub(super) pins: Pins<'a>,
    variables: Variables,
    /// Its stages so far.
    stages: Vec<Stage>,
    /// What is written of it, with the stage of each instruction and the line that it begins in.
    written: Vec<(Option<usize>, Written, usize)>,
    /// The build arguments that it declares anywhere.
    pub(super) declared: BTreeSet<String>,
    /// What its here-documents become: files of the context.
    pub(super) files: BTreeMap<String, Arc<str>>,
    /// What it takes of its context, as it is written, with the stage that does.
    pub(super) taken: Vec<(usize, String)>,
    /// The bases whose own shell, if one had one, would change what is written.
    pub(super) default_shell: BTreeSet<BaseName>,
    pub(super) problems: Problems<'a>,
    text: &'a str,
}

/// A stage of a Dockerfile.
struct Stage {
    name: Option<String>,
    /// What it stands on: an image, or what a stage before it does.
    on: Option<BaseName>,
    /// Its shell, if it or a stage that it stands on names one.
    shell: Option<Vec<String>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        file: &'a str,
        text: &'a Arc<str>,
        section: &'a DockerfileSection,
        platform: Platform,
        known: &'a mut BTreeMap<BaseName, (BaseDefinition, Option<BaseLock>)>,
    ) -> Self {
        Self {
            pins: Pins { file, section, platform, known, found: BTreeSet::new() },
            variables: Variables::new(platform),
            stages: Vec::new(),
            written: Vec::new(),
            declared: BTreeSet::new(),
            files: BTreeMap::new(),
            taken: Vec::new(),
            default_shell: BTreeSet::new(),
            problems: Problems::new(file, text),
            text,
        }
    }

    /// Reads every instruction.
    pub(super) fn read(&mut self, text: &Text) {
        for line in &text.lines {
            let Some(instruction) = Instruction::read(line, &mut self.problems) else { continue };
            let Some(written) = self.instruction(&instruction) else { continue };
            if written.length() > LONGEST {
                self.problems.at(
                    line.whole(),
                    format!("it is {} bytes in one line, and builders read {LONGEST}", written.length()),
                    "bring long texts as files of the context",
                );
            }
            let number = self.text[..line.whole().start].matches('\n').count() + 1;
            self.written.push((self.stages.len().checked_sub(1), written, number));
        }
        if self.stages.is_empty() && self.problems.count() == 0 {
            self.problems.at_top("it is not a Dockerfile: it has no FROM", "begin it with FROM and an image");
        }
    }

    /// An instruction as it is written; none, and a problem, if it is refused.
    fn instruction(&mut self, instruction: &Instruction<'_>) -> Option<Written> {
        let keyword = instruction.keyword;
        if self.stages.is_empty() && !matches!(keyword, Keyword::From | Keyword::Arg) {
            self.problems.at(
                instruction.line.whole(),
                format!("it is not a Dockerfile: `{}` stands before the first FROM", keyword.word()),
                "begin it with FROM and an image",
            );
            return None;
        }
        match keyword {
            Keyword::From => self.from(instruction),
            Keyword::Run => self.run(instruction),
            Keyword::Copy => self.copy(instruction),
            Keyword::Add => self.add(instruction),
            Keyword::Arg => {
                self.arg(instruction);
                Some(plainly(instruction))
            }
            Keyword::Shell => {
                let Says::List(words) = &instruction.says else {
                    self.problems.at(
                        instruction.span(),
                        "`SHELL` takes a list in JSON alone",
                        "write SHELL [\"/bin/bash\", \"-c\"]",
                    );
                    return None;
                };
                let stage = self.stages.last_mut()?;
                stage.shell = Some(words.clone());
                Some(plainly(instruction))
            }
            _ => Some(plainly(instruction)),
        }
    }

    fn arg(&mut self, instruction: &Instruction<'_>) {
        let Says::Text(text) = &instruction.says else { return };
        self.declared.extend(variables::names(text).into_iter().map(str::to_owned));
        if !self.stages.is_empty() {
            return;
        }
        if let Err(message) = self.variables.declare(text, &self.pins.section.args) {
            let help = "give it a default, or a value in `args` of the manifest";
            self.problems.at(instruction.span(), message, help);
        }
    }

    fn from(&mut self, instruction: &Instruction<'_>) -> Option<Written> {
        for flag in &instruction.flags {
            self.platform(instruction, flag);
        }
        let words = instruction.words();
        let (image, name) = match words.as_slice() {
            [image] => (image, None),
            [image, word, name] if word.eq_ignore_ascii_case("AS") => (image, Some(name.to_lowercase())),
            _ => {
                self.problems.at(
                    instruction.span(),
                    "it is not a Dockerfile: `FROM` takes an image, and `AS` with a name",
                    "write FROM IMAGE AS NAME",
                );
                return None;
            }
        };
        let mut written = Written::text("FROM ");
        let mut stage = Stage { name: None, on: None, shell: None };
        match self.expanded(image, instruction.span()) {
            None => {}
            Some(image) => match self.stage(&image) {
                Some(earlier) => {
                    let earlier = &self.stages[earlier];
                    (stage.on, stage.shell) = (earlier.on.clone(), earlier.shell.clone());
                    written.push(earlier.name.clone().unwrap_or_default());
                }
                None => {
                    stage.on = self.pins.image(&image, instruction.span(), &mut self.problems);
                    self.push_image(&mut written, stage.on.clone());
                }
            },
        }
        if let Some(name) = name.filter(|name| self.is_free(name, instruction)) {
            written.push(format!(" AS {name}"));
            stage.name = Some(name);
        }
        self.stages.push(stage);
        Some(written)
    }

    fn push_image(&self, written: &mut Written, base: Option<BaseName>) {
        match base {
            Some(base) if !self.pins.is_scratch(&base) => written.push_base(base),
            _ => written.push(SCRATCH),
        }
    }

    /// Whether a stage can be called so: names mean the same to all builders, and one thing only.
    fn is_free(&mut self, name: &str, instruction: &Instruction<'_>) -> bool {
        let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c));
        let problem = if !is_plain {
            Some(format!("`{name}` is no name of a stage: builders read it differently"))
        } else if name == SCRATCH {
            Some("a stage is called `scratch`, which is nothing".to_owned())
        } else if self.stages.iter().any(|stage| stage.name.as_deref() == Some(name)) {
            Some(format!("it is not a Dockerfile: two stages are called `{name}`"))
        } else {
            None
        };
        let is_free = problem.is_none();
        if let Some(message) = problem {
            self.problems.at(
                instruction.span(),
                message,
                "name it with letters, digits and `-_.`, a letter first, and each stage otherwise",
            );
        }
        is_free
    }

    /// The stage of a name.
    fn stage(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.stages.iter().position(|stage| stage.name.as_ref() == Some(&name))
    }

    fn expanded(&mut self, text: &str, span: Range<usize>) -> Option<String> {
        let expanded = match text.contains(['"', '\'', '\\']) {
            true => Err(format!("`{text}` has a quote or a backslash, which is not read here")),
            false => self.variables.expand(text),
        };
        let (message, help) = match expanded {
            Ok(expanded) if !expanded.is_empty() => return Some(expanded),
            Ok(_) => {
                (format!("`{text}` is empty"), "give the ARG a default, or a value in `args` of the manifest")
            }
            Err(message) => (
                message,
                "declare it with ARG before the first FROM, with a default or a value in `args` of the manifest",
            ),
        };
        self.problems.at(span, message, help);
        None
    }

    /// `--platform` may only say what the manifest says.
    fn platform(&mut self, instruction: &Instruction<'_>, flag: &Flag) {
        let span = instruction.line.span(flag.range.clone());
        let value = flag.value.as_deref().unwrap_or_default();
        let Some(stated) = self.expanded(value, span.clone()) else { return };
        let platform = self.pins.platform;
        if stated != platform.to_string() {
            self.problems.at(
                span,
                format!("`--platform={stated}` is another platform than the target's, {platform}"),
                "remove it: the manifest's target decides",
            );
        }
    }

    /// Another stage by name or number, or an image, as it is written.
    fn taken_from(&mut self, text: &str, span: Range<usize>, written: &mut Written) {
        let earlier = self.stages.len().saturating_sub(1);
        let by_number =
            text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<usize>().ok()).flatten();
        match self.stage(text).or(by_number) {
            Some(stage) if stage < earlier => {
                let name = self.stages[stage].name.clone();
                written.push(name.unwrap_or_else(|| stage.to_string()));
            }
            Some(_) => self.problems.at(
                span,
                format!("`{text}` is no stage that ends before this one"),
                "name a stage: FROM image AS name before it",
            ),
            None => {
                let base = self.pins.image(text, span, &mut self.problems);
                self.push_image(written, base);
            }
        }
    }

    fn copy(&mut self, instruction: &Instruction<'_>) -> Option<Written> {
        let mut written = Written::text("COPY ");
        for flag in &instruction.flags {
            match &flag.value {
                Some(value) if flag.name == "from" => {
                    let span = instruction.line.span(flag.range.clone());
                    written.push("--from=");
                    self.taken_from(value, span, &mut written);
                    written.push(" ");
                }
                _ => written.push(flag.written()),
            }
        }
        let words = self.sources(instruction)?;
        if instruction.flags.iter().all(|flag| flag.name != "from") {
            self.take(&words[..words.len() - 1]);
        }
        written.push(paths(&words));
        Some(written)
    }

    /// Notes what is taken of the context.
    fn take(&mut self, paths: &[String]) {
        let stage = self.stages.len().saturating_sub(1);
        self.taken.extend(paths.iter().map(|path| (stage, path.clone())));
    }

    fn add(&mut self, instruction: &Instruction<'_>) -> Option<Written> {
        let words = self.sources(instruction)?;
        let sources = &words[..words.len().saturating_sub(1)];
        self.take(sources);
        for source in sources.iter().filter(|_| !self.pins.section.network) {
            // URLs and the short form of ssh alike (Dockerfile reference, "ADD").
            let message = if source.contains(':') {
                format!("`ADD {source}` fetches what no lock knows")
            } else if source.contains('$') {
                format!("`ADD {source}` may fetch: what it adds depends on a variable")
            } else {
                continue;
            };
            self.problems.at(
                instruction.span(),
                message,
                "copy files with COPY; bring what is elsewhere by an [[upstream]] or a [[step]]; or allow `network = true` under [dockerfile], which is reported",
            );
        }
        let flags: String = instruction.flags.iter().map(Flag::written).collect();
        Some(Written::text(format!("ADD {flags}{}", paths(&words))))
    }

    /// What a COPY or ADD names, its target last: files of the context in the place of here-documents.
    fn sources(&mut self, instruction: &Instruction<'_>) -> Option<Vec<String>> {
        let mut words = instruction.words();
        let brought = brought::files(instruction, &mut words, &mut self.problems)?;
        self.files.extend(brought);
        if words.len() < 2 {
            self.problems.at(
                instruction.span(),
                format!("`{}` takes what is copied, and where to", instruction.keyword.word()),
                "write both",
            );
            return None;
        }
        Some(words)
    }

    fn run(&mut self, instruction: &Instruction<'_>) -> Option<Written> {
        let mut written = Written::text("RUN ");
        for flag in &instruction.flags {
            let span = instruction.line.span(flag.range.clone());
            let value = flag.value.as_deref().unwrap_or_default();
            match flag.name {
                "mount" => self.mount(instruction, flag, &mut written)?,
                "network" if value != "none" && !self.pins.section.network => self.problems.at(
                    span,
                    format!("`--network={value}` asks for a network"),
                    "remove it; or allow `network = true` under [dockerfile], which is reported",
                ),
                "security" if value != "sandbox" => self.problems.at(
                    span,
                    format!("`--security={value}` runs it with the host's rights"),
                    "remove it",
                ),
                // What it says is so in any case.
                "security" => {}
                _ => written.push(flag.written()),
            }
        }
        match (&instruction.says, brought::script(instruction, &mut self.problems)?) {
            (_, Some(script)) => {
                let stage = self.stages.last()?;
                let shell = stage.shell.clone().unwrap_or_else(|| {
                    self.default_shell.extend(stage.on.clone());
                    SHELL.map(str::to_owned).to_vec()
                });
                written.push(json(&[shell, vec![script]].concat()));
            }
            (Says::List(words), None) => written.push(json(words)),
            (Says::Text(text), None) => written.push(text.as_str()),
        }
        Some(written)
    }

    fn mount(&mut self, instruction: &Instruction<'_>, flag: &Flag, written: &mut Written) -> Option<()> {
        let fields = mount::fields(instruction, flag, &mut self.problems)?;
        if let Some(path) = mount::of_context(&fields) {
            self.take(&[path]);
        }
        written.push("--mount=");
        for (index, field) in fields.iter().enumerate() {
            written.push(if index == 0 { "" } else { "," });
            match &field.from {
                Some(from) => {
                    written.push("from=");
                    let span = instruction.line.span(field.range.clone());
                    self.taken_from(from, span, written);
                }
                None => written.push(field.text.as_str()),
            }
        }
        written.push(" ");
        Some(())
    }

    /// Holds the arguments that the manifest gives against those that are declared.
    pub(super) fn arguments(&mut self) {
        let args = &self.pins.section.args;
        if args.keys().any(|name| name.starts_with("BUILDKIT_")) {
            self.problems.at_top(
                "`args` of the manifest has a `BUILDKIT_…`, which tells the builder what to run or to fetch",
                "remove it: arguments are for the Dockerfile",
            );
        }
        for name in args.keys().filter(|name| !self.declared.contains(*name)) {
            if !PREDEFINED.contains(&name.as_str()) {
                self.problems.at_top(
                    format!("it has no `ARG {name}`, which the manifest gives a value"),
                    "remove it from `args`, or declare it",
                );
            }
        }
    }

    /// The base that the wanted stage stands on, and what is written of it and of the stages before it, with its lines; what
    /// later stages take of the context is forgotten.
    pub(super) fn wanted(&mut self) -> Option<(BaseName, Vec<(Written, usize)>)> {
        let last = self.stages.len().checked_sub(1)?;
        let stage = match &self.pins.section.target {
            None => last,
            Some(target) => match self.stage(target) {
                Some(stage) => stage,
                None => {
                    let known: Vec<&str> =
                        self.stages.iter().filter_map(|stage| stage.name.as_deref()).collect();
                    let help = match known.is_empty() {
                        true => "its stages have no names".to_owned(),
                        false => format!("its stages are: {}", known.join(", ")),
                    };
                    self.problems.at_top(
                        format!("it has no stage `{target}`, which the manifest asks for with `target`"),
                        help,
                    );
                    return None;
                }
            },
        };
        let base = self.stages[stage].on.clone()?;
        self.taken.retain(|(of, _)| *of <= stage);
        let written = std::mem::take(&mut self.written).into_iter();
        let upto = written.take_while(|(of, ..)| of.is_none_or(|of| of <= stage));
        Some((base, upto.map(|(_, written, line)| (written, line)).collect()))
    }
}

/// An instruction that names nothing from elsewhere.
fn plainly(instruction: &Instruction<'_>) -> Written {
    let flags: String = instruction.flags.iter().map(Flag::written).collect();
    let says = match &instruction.says {
        Says::List(words) => json(words),
        Says::Text(text) => text.clone(),
    };
    Written::text(format!("{} {flags}{says}", instruction.keyword.word()))
}

/// Paths as words where nobody can read them otherwise, else as a list.
fn paths(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/*?-+@:=%,~${}".contains(c);
    let all = |word: &String| !word.is_empty() && !word.starts_with('-') && word.chars().all(plain);
    if words.iter().all(all) { words.join(" ") } else { json(words) }
}
