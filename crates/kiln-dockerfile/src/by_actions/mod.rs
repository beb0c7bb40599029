//! A Dockerfile built without a builder: kiln does what each instruction says, and every RUN is a program on a server's workers.
//!
//! What it reads is the text that an engine would get, and what comes of it is taken apart as what an engine made is, so that
//! both give the same bytes. Where builders differ, BuildKit is followed. What nothing here does is refused before anything runs;
//! what a worker does not tell of a root (`change.rs`) is refused where it can be seen.

mod change;
mod copy;
mod instruction;
mod paths;
mod stage;
mod words;

use crate::DockerfileError;
use crate::content::{Batch, Kept, Places, bring};
use crate::context::BuildContext;
use crate::error::no_shell;
use crate::remembered::Remembered;
use crate::taken_apart::{Taken, in_form};
use crate::users::Users;
use copy::Copying;
use instruction::Instruction;
use kiln_engine::{EngineError, Limits, RootChange, RunSpec};
use kiln_guest::{BaseImage, Bases, Log};
use kiln_image::{Change, FileSystem, NodeContent, write_changes};
use kiln_invocation::{Event, blocking};
use kiln_plan::{ArtifactPlan, PinnedBase};
use kiln_record::{BaseName, Defect, Digest, TreePath};
use kiln_store::Spool;
pub(crate) use paths::matches_name;
use stage::{PATH, Stage};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, BufWriter, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest log of a program, in bytes.
const LOG_LIMIT: u64 = 64 << 20;
/// The most bytes that a program may change of its root.
const CHANGE_LIMIT: u64 = 20 << 30;
/// The most files, folders and links in a root.
const ENTRIES: u64 = 1_000_000;
/// The memory that a program is said to have.
const MEMORY: u64 = 2 << 30;
/// What nothing is called.
const SCRATCH: &str = "scratch";
/// What to do instead.
const INSTEAD: &str = "build this artifact with a container engine: KILN_EXECUTE=off";

/// What is built.
pub(crate) struct Given<'a> {
    pub(crate) plan: &'a ArtifactPlan,
    pub(crate) context: &'a BuildContext,
    /// The instructions as an engine would get them.
    pub(crate) instructions: &'a [String],
    /// The lines that they begin in.
    pub(crate) lines: &'a [usize],
    /// The bases that they name, by the names that they have for them.
    pub(crate) images: BTreeMap<String, PinnedBase>,
    pub(crate) args: &'a BTreeMap<String, String>,
    /// The arguments that it declares anywhere.
    pub(crate) declared: &'a BTreeSet<String>,
    /// The base that the wanted stage stands on.
    pub(crate) base: &'a BaseImage,
    /// How long it may take.
    pub(crate) time: Duration,
}

/// What a stage stands on, and what is copied from.
#[derive(Clone)]
enum From {
    Nothing,
    Stage(usize),
    Image(Box<PinnedBase>),
}

/// A stage as it is written.
struct Written {
    name: Option<String>,
    on: From,
    instructions: Vec<Instruction>,
}

/// A base with its files.
struct OfBase {
    image: Arc<BaseImage>,
    files: FileSystem,
    pinned: PinnedBase,
}

/// A stage on a base with its files.
type BuiltStage = Stage<Arc<OfBase>>;

/// Whether all that a Dockerfile says is done here.
///
/// # Errors
/// The first instruction that is not, with its line.
pub(crate) fn check(given: &Given<'_>) -> Result<(), DockerfileError> {
    if given.plan.manifest.dockerfile().is_some_and(|section| section.network) {
        let reason = "is not built by remote execution, whose workers have no network: the manifest says `network = true`";
        let hints = vec![
            "bring what it fetches by [[upstream]], [[step]] or `wheels`".to_owned(),
            INSTEAD.to_owned(),
        ];
        return Err(DockerfileError::failed(given.plan, reason.to_owned(), Vec::new(), hints));
    }
    for instruction in given.read() {
        if let Some((why, hint)) = instruction.refused() {
            let reason = format!("is not built by remote execution: {} {why}", instruction.named());
            let hints = vec![hint.to_owned(), INSTEAD.to_owned()];
            let error = DockerfileError::failed(given.plan, reason, Vec::new(), hints);
            return Err(error.in_line(instruction.known_line()));
        }
    }
    Ok(())
}

/// Builds it once.
///
/// # Errors
/// If an instruction cannot be done or a program fails, with its line.
pub(crate) async fn build(bases: &Bases, given: &Given<'_>) -> Result<Remembered, DockerfileError> {
    let (global, written) = given.stages()?;
    let needed = needed(&written, given);
    let mut building = Building {
        bases,
        given,
        global,
        of_bases: BTreeMap::new(),
        places: Places::new(),
        stages: Vec::new(),
        context: given.context.file_system(),
        began: Instant::now(),
    };
    let count = written
        .iter()
        .zip(&needed)
        .filter(|(_, needed)| **needed)
        .map(|(stage, _)| stage.instructions.len())
        .sum();
    let mut number = 0;
    for (stage, is_needed) in written.iter().zip(needed) {
        let built = match is_needed {
            true => Some(building.stage(stage, &mut number, count).await?),
            false => None,
        };
        building.stages.push((stage.name.clone(), built));
    }
    let last = building.stages.pop().and_then(|(_, stage)| stage);
    let last = last.ok_or_else(|| Defect::new("a Dockerfile without a stage"))?;
    building.finish(last).await
}

/// Which stages the last one needs.
fn needed(stages: &[Written], given: &Given<'_>) -> Vec<bool> {
    let mut needed = vec![false; stages.len()];
    for index in (0..stages.len()).rev() {
        needed[index] |= index + 1 == stages.len();
        if !needed[index] {
            continue;
        }
        let named = stages[index].instructions.iter().filter_map(|instruction| instruction.flag("from"));
        let names: Vec<Option<String>> = stages.iter().map(|stage| stage.name.clone()).collect();
        let copied = named.filter_map(|name| given.from(name, &names[..index]));
        for from in copied.chain([stages[index].on.clone()]) {
            if let From::Stage(stage) = from {
                needed[stage] = true;
            }
        }
    }
    needed
}

impl Given<'_> {
    fn read(&self) -> impl Iterator<Item = Instruction> + '_ {
        let lines = self.lines.iter().copied().chain(std::iter::repeat(0));
        self.instructions.iter().zip(lines).map(|(text, line)| Instruction::read(text, line))
    }

    /// What a name means after stages of these names; none if it is nothing that is known.
    fn from(&self, name: &str, stages: &[Option<String>]) -> Option<From> {
        let by_name = stages.iter().position(|stage| stage.as_deref() == Some(name));
        let by_number = || name.parse::<usize>().ok().filter(|number| *number < stages.len());
        match by_name.or_else(by_number) {
            Some(stage) => Some(From::Stage(stage)),
            None if name == SCRATCH => Some(From::Nothing),
            None => self.images.get(name).cloned().map(|base| From::Image(Box::new(base))),
        }
    }

    /// The arguments before the first stage, and the stages.
    fn stages(&self) -> Result<(BTreeMap<String, String>, Vec<Written>), DockerfileError> {
        let platform = self.plan.base.platform;
        let mut global: Stage<()> =
            Stage::new(Some(()), FileSystem::new(), kiln_record::ImageRuns::default());
        for prefix in ["TARGET", "BUILD"] {
            let known = [
                ("PLATFORM", platform.to_string()),
                ("OS", "linux".to_owned()),
                ("ARCH", platform.architecture.oci().to_owned()),
                ("VARIANT", String::new()),
            ];
            global.values.extend(known.map(|(name, value)| (format!("{prefix}{name}"), value)));
        }
        let mut stages: Vec<Written> = Vec::new();
        for instruction in self.read() {
            if instruction.keyword == "FROM" {
                let words = instruction.words();
                let names: Vec<Option<String>> = stages.iter().map(|stage| stage.name.clone()).collect();
                let image = words.first().map_or("", String::as_str);
                let on = self.from(image, &names);
                let on = on.ok_or_else(|| Defect::new(format!("{image} is named, and is no base")))?;
                stages.push(Written { name: words.get(2).cloned(), on, instructions: Vec::new() });
                continue;
            }
            match stages.last_mut() {
                Some(stage) => stage.instructions.push(instruction),
                None => global
                    .declare(instruction.text(), self.args, &BTreeMap::new())
                    .map_err(|why| self.not_here(&instruction, &why))?,
            }
        }
        Ok((global.values, stages))
    }

    /// That an instruction cannot be done, whoever builds.
    fn wrong(&self, instruction: &Instruction, why: &str) -> DockerfileError {
        let reason = format!("cannot be built: {} {why}", instruction.named());
        let error = DockerfileError::failed(self.plan, reason, Vec::new(), Vec::new());
        error.in_line(instruction.known_line())
    }

    /// That an instruction is not done here.
    fn not_here(&self, instruction: &Instruction, why: &str) -> DockerfileError {
        let reason = format!("is not built by remote execution: {} {why}", instruction.named());
        let error = DockerfileError::failed(self.plan, reason, Vec::new(), vec![INSTEAD.to_owned()]);
        error.in_line(instruction.known_line())
    }
}

/// A build under way.
struct Building<'a> {
    bases: &'a Bases,
    given: &'a Given<'a>,
    /// The arguments before the first stage.
    global: BTreeMap<String, String>,
    of_bases: BTreeMap<BaseName, Arc<OfBase>>,
    /// Where content of bases is.
    places: Places,
    /// The stages so far, those that are needed with what they are.
    stages: Vec<(Option<String>, Option<BuiltStage>)>,
    context: FileSystem,
    began: Instant,
}

impl Building<'_> {
    async fn stage(
        &mut self,
        written: &Written,
        number: &mut usize,
        count: usize,
    ) -> Result<BuiltStage, DockerfileError> {
        let mut stage = match &written.on {
            From::Nothing => Stage::new(None, FileSystem::new(), kiln_record::ImageRuns::default()),
            From::Stage(earlier) => self.earlier(*earlier)?.child(),
            From::Image(base) => {
                let base = self.of_base(base).await?;
                Stage::new(Some(Arc::clone(&base)), base.files.clone(), base.image.config.runs.clone())
            }
        };
        for instruction in &written.instructions {
            *number += 1;
            let of = written.name.as_ref().map(|name| format!("{name} ")).unwrap_or_default();
            self.tell(format!("[{of}{number}/{count}] {}", instruction.text));
            let wrong = |why: String| self.given.not_here(instruction, &why);
            match instruction.keyword.as_str() {
                "ARG" => {
                    stage.declare(instruction.text(), self.given.args, &self.global).map_err(wrong)?;
                }
                "WORKDIR" => {
                    // BuildKit makes it as it would for `--chown`.
                    let owner = self.user(&stage, instruction, Users::owner)?;
                    stage.enter(instruction.text(), owner).map_err(wrong)?;
                }
                "COPY" => self.copy(&mut stage, instruction).await?,
                "RUN" => self.run(&mut stage, instruction).await?,
                _ => stage.configure(instruction).map_err(wrong)?,
            }
        }
        Ok(stage)
    }

    fn earlier(&self, index: usize) -> Result<&BuiltStage, DockerfileError> {
        let stage = self.stages.get(index).and_then(|(_, stage)| stage.as_ref());
        Ok(stage.ok_or_else(|| Defect::new(format!("stage {index} is needed, and was not built")))?)
    }

    fn tell(&self, text: String) {
        let subject = self.given.plan.manifest.name.to_string();
        self.bases.run().tell(Event::Line { subject, stream: kiln_engine::Stream::Stdout, text });
    }

    /// A base with its files; what says who its users are is in the store then.
    async fn of_base(&mut self, pinned: &PinnedBase) -> Result<Arc<OfBase>, DockerfileError> {
        let name = &pinned.definition.name;
        if let Some(known) = self.of_bases.get(name) {
            return Ok(Arc::clone(known));
        }
        let image = self.bases.base_image(pinned).await?;
        let (store, layers) = (self.bases.store().clone(), image.layers.clone());
        let (files, places) = blocking::<_, DockerfileError>(move || {
            let (files, places) = Kept::new(&store).base_with_places(&layers)?;
            let users = ["etc/passwd", "etc/group", "etc/shadow"];
            let users = users.iter().filter_map(|path| content(paths::at(&files, path)?));
            bring(&store, users.collect::<Vec<_>>(), &places)?;
            Ok((files, places))
        })
        .await?;
        self.places.extend(places);
        let base = Arc::new(OfBase { image, files, pinned: pinned.clone() });
        self.of_bases.insert(name.clone(), Arc::clone(&base));
        Ok(base)
    }

    fn users(&self, stage: &BuiltStage) -> Result<Users, DockerfileError> {
        self.keep(&stage.files, &["etc/passwd", "etc/group"])?;
        Users::of(&stage.files, &mut Kept::new(self.bases.store()))
    }

    /// Sees to it that the content of some files is in the store.
    fn keep(&self, files: &FileSystem, paths: &[&str]) -> Result<(), DockerfileError> {
        let wanted = paths.iter().filter_map(|path| content(paths::at(files, path)?));
        self.stored(&wanted.collect())
    }

    fn stored(&self, wanted: &BTreeSet<Digest>) -> Result<(), DockerfileError> {
        self.given.context.store(self.bases.store(), wanted)?;
        bring(self.bases.store(), wanted.iter().copied(), &self.places)
    }

    /// Who an instruction is done as.
    fn user(
        &self,
        stage: &BuiltStage,
        instruction: &Instruction,
        look_up: fn(&Users, &str) -> Option<(u32, u32)>,
    ) -> Result<(u32, u32), DockerfileError> {
        let stated = stage.runs.user.as_deref().unwrap_or("0");
        look_up(&self.users(stage)?, stated).ok_or_else(|| {
            let why = format!("is done as `{stated}`, whom /etc/passwd and /etc/group do not know");
            self.given.wrong(instruction, &why)
        })
    }

    async fn copy(
        &mut self,
        stage: &mut BuiltStage,
        instruction: &Instruction,
    ) -> Result<(), DockerfileError> {
        let names: Vec<Option<String>> = self.stages.iter().map(|(name, _)| name.clone()).collect();
        let from = match instruction.flag("from") {
            None => self.context.clone(),
            Some(name) => match self.given.from(name, &names) {
                Some(From::Stage(stage)) => self.earlier(stage)?.files.clone(),
                Some(From::Image(base)) => self.of_base(&base).await?.files.clone(),
                Some(From::Nothing) => FileSystem::new(),
                None => return Err(Defect::new(format!("{name} is named, and is no base")).into()),
            },
        };
        let wrong = |why: String| self.given.wrong(instruction, &why);
        let expanded = |text: &str| {
            words::expanded(text, &stage.values).map_err(|why| self.given.not_here(instruction, &why))
        };
        let owner = match instruction.flag("chown") {
            None => None,
            Some(stated) => {
                let stated = expanded(stated)?;
                let owner = self.users(stage)?.owner(&stated);
                let unknown = || wrong(format!("names `{stated}`, whom the image does not know"));
                Some(owner.ok_or_else(unknown)?)
            }
        };
        let mode = match instruction.flag("chmod") {
            None => None,
            Some(stated) => {
                let stated = expanded(stated)?;
                let mode = u32::from_str_radix(&stated, 8).ok().filter(|mode| *mode <= 0o7777);
                Some(mode.ok_or_else(|| wrong(format!("has the mode `{stated}`, which is not octal")))?)
            }
        };
        let mut sources =
            instruction.words().iter().map(|word| expanded(word)).collect::<Result<Vec<_>, _>>()?;
        let named = sources.pop().unwrap_or_default();
        let mut target = paths::absolute(stage.working_dir(), &named);
        if named.is_empty() || named == "." || named.ends_with('/') || named.ends_with("/.") {
            target.push('/');
        }
        let mut files = stage.files.clone();
        Copying { sources, target, owner, mode }.copy(&from, &mut files).map_err(wrong)?;
        stage.take(files);
        Ok(())
    }

    async fn run(
        &mut self,
        stage: &mut BuiltStage,
        instruction: &Instruction,
    ) -> Result<(), DockerfileError> {
        let wrong = |why: String| self.given.not_here(instruction, &why);
        let user = self.user(stage, instruction, Users::named)?;
        if let Some((path, _)) = stage.files.iter().find(|(path, _)| path.as_str().starts_with("tmp/")) {
            return Err(wrong(format!(
                "would not see `/{path}`: a worker has a /tmp of its own. Copy that to another folder"
            )));
        }
        let mut env = stage.values.clone();
        // Those that need no declaration.
        for (name, value) in self.given.args.iter().filter(|(name, _)| !self.given.declared.contains(*name)) {
            env.entry(name.clone()).or_insert_with(|| value.clone());
        }
        env.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
        let home = self.users(stage)?.home(user.0).unwrap_or("/").to_owned();
        env.entry("HOME".to_owned()).or_insert(home);
        let working_dir = paths::resolved(&stage.files, stage.working_dir()).map_err(wrong)?;
        let image = match &stage.base {
            Some(base) => self.bases.image(&base.pinned).await?,
            None => String::new(),
        };
        let Some(left) = self.given.time.checked_sub(self.began.elapsed()).filter(|left| !left.is_zero())
        else {
            return Err(self.too_long(Vec::new()));
        };
        let limits = Limits {
            memory_bytes: MEMORY,
            scratch_bytes: None,
            descriptors: None,
            pids: 4096,
            cpus: None,
            output_bytes: LOG_LIMIT,
            output_files: ENTRIES,
            deadline: left,
        };
        let command = instruction.command(&stage.shell);
        let is_there = |program: &String| {
            let path = paths::resolved(&stage.files, program);
            path.is_ok_and(|path| paths::at(&stage.files, &path).is_some())
        };
        let missing =
            command.first().filter(|program| program.starts_with('/') && !is_there(program)).cloned();
        let name = format!("{} line {}", self.given.plan.manifest.name, instruction.line);
        let spec = RunSpec {
            env,
            working_dir: format!("/{working_dir}"),
            user: format!("{}:{}", user.0, user.1),
            ..RunSpec::new(name, image, command, limits)
        };
        let before = stage.base.as_ref().map(|base| base.files.clone()).unwrap_or_default();
        let over = self.layer(stage.files.changes_since(&before)).await?;
        let changed = self.bases.store().spool()?;
        let root = RootChange {
            over: Some(Box::new(over.reader()?)),
            to: Box::new(BufWriter::with_capacity(1 << 18, changed.writer()?)),
            bytes: CHANGE_LIMIT,
        };
        let (log, events) = (Log::default(), self.bases.run().events().clone());
        let (kept, subject) = (log.clone(), self.given.plan.manifest.name.to_string());
        let on_line = move |line: kiln_engine::Line| {
            kept.push(&line.text);
            events.send(Event::Line { subject: subject.clone(), stream: line.stream, text: line.text });
        };
        let failed = |how: String, hints: Vec<String>| {
            let reason = format!("cannot be built by remote execution: {} {how}", instruction.named());
            let error = DockerfileError::failed(self.given.plan, reason, log.lines(), hints);
            error.in_line(instruction.known_line())
        };
        match self.bases.engine().await?.change(spec, root, on_line).await {
            Ok(outcome) if outcome.exit_code == 0 => {}
            Ok(outcome) => {
                let how = match outcome.exit_code {
                    127 => {
                        "ended with exit code 127: there is no such program, or a shell found none".to_owned()
                    }
                    code => format!("ended with exit code {code}"),
                };
                let mut hints = self.hints(&log);
                hints.extend(missing.as_deref().filter(|_| outcome.exit_code == 127).and_then(no_shell));
                return Err(failed(how, hints));
            }
            Err(EngineError::Deadline { last, .. }) => return Err(self.too_long(last)),
            Err(EngineError::OutputTooLarge { what, limit, .. }) => {
                return Err(failed(format!("gave more than {limit} bytes of {what}"), Vec::new()));
            }
            Err(EngineError::TooManyFiles { limit, .. }) => {
                return Err(failed(format!("left more than {limit} files, folders and links"), Vec::new()));
            }
            Err(error) => return Err(error.into()),
        }
        let (store, before) = (self.bases.store().clone(), stage.files.clone());
        let after = blocking::<_, DockerfileError>(move || {
            let (mut files, mut batch) = (before, Batch::new(&store));
            files.add(changed.reader()?, |_, reader| batch.take(reader))?;
            batch.flush()?;
            Ok(files)
        })
        .await?;
        change::fits(&stage.files, &after, user).map_err(wrong)?;
        stage.take(after);
        Ok(())
    }

    /// Changes as a layer.
    async fn layer(&self, changes: BTreeMap<TreePath, Change>) -> Result<Spool, DockerfileError> {
        self.stored(&contents(&changes))?;
        let store = self.bases.store().clone();
        // As in the context that an engine gets.
        let time = self.given.plan.epoch.seconds();
        blocking(move || {
            let spool = store.spool()?;
            let writer = BufWriter::with_capacity(1 << 18, spool.writer()?);
            let writer = write_changes(writer, &changes, time, |digest| {
                let blob = store.open_blob(digest).map_err(io::Error::other)?;
                Ok(Box::new(BufReader::with_capacity(1 << 16, blob)) as Box<dyn Read>)
            })?;
            writer.into_inner().map_err(io::IntoInnerError::into_error)?;
            Ok(spool)
        })
        .await
    }

    fn too_long(&self, last: Vec<String>) -> DockerfileError {
        let reason = format!("was not built within {} s", self.given.time.as_secs());
        let hint = format!("raise `timeout` under [dockerfile] in {}", self.given.plan.manifest.file);
        DockerfileError::failed(self.given.plan, reason, last, vec![hint])
    }

    /// What the end of a log means, where that can be told.
    fn hints(&self, log: &Log) -> Vec<String> {
        let mut hints = Vec::new();
        if log.asked_for_a_network() {
            hints.push("a Dockerfile has no network: bring what it needs into its context".to_owned());
        }
        if log.has(&["Operation not permitted", "Invalid argument"]) {
            hints.push(
                "a worker gives programs no other owners: name them with COPY --chown, and leave chown out"
                    .to_owned(),
            );
            hints.push(INSTEAD.to_owned());
        }
        hints
    }

    /// Brings the last stage into one form.
    async fn finish(self, stage: BuiltStage) -> Result<Remembered, DockerfileError> {
        let before = stage.base.as_ref().map(|base| base.files.clone()).unwrap_or_default();
        let stands_on = stage.base.as_ref().map_or(&[][..], |base| &base.image.layers);
        if stands_on != self.given.base.layers {
            return Err(Defect::new("a Dockerfile's stage stands on another base than its plan says").into());
        }
        self.stored(&contents(&stage.files.changes_since(&before)))?;
        let taken =
            Taken { before, state: stage.files, last: stage.last, count: stage.layers, runs: stage.runs };
        let (store, own) = (self.bases.store().clone(), self.given.context.own.clone());
        blocking(move || in_form(taken, &store, &own, &mut Kept::new(&store))).await
    }
}

fn content(node: &kiln_image::Node) -> Option<Digest> {
    match node.content {
        NodeContent::File { digest, .. } => Some(digest),
        _ => None,
    }
}

/// The content of the files that changes put.
fn contents(changes: &BTreeMap<TreePath, Change>) -> BTreeSet<Digest> {
    let nodes = changes.values().filter_map(|change| match change {
        Change::Put(node) => content(node),
        Change::Remove => None,
    });
    nodes.collect()
}
