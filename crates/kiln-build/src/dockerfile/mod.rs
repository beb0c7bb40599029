//! Artifacts of a Dockerfile. An engine builds it, from pinned bases and without a network; what it gives is taken apart,
//! brought into one form, and put together again here, so that neither the engine, its builder nor its storage can show.
//!
//! What was built is remembered by the digest of all that it was built from: an unchanged build runs nothing.

mod context;
mod ignore;
mod made;
mod normal;

pub(crate) use context::read as read_context;
pub(crate) use made::{Made, collection, found_distributions, judge, reconciled};

use crate::base::engine_name;
use crate::base_image::{BaseImage, BaseLayer};
use crate::difference::how_differ;
use crate::distribution::ReadyWheel;
use crate::environment::{Context, blocking};
use crate::saved_image::SavedImage;
use crate::source::SourceTree;
use crate::step::ReadyStep;
use crate::upstream::ReadyUpstream;
use crate::{BuildError, Event, FailedStep};
use context::BuildContext;
use kiln_engine::{BuildSpec, EngineError};
use kiln_image::{BaseConfig, Change, FileSystem, NodeContent, Reference, write_changes};
use kiln_plan::{ArtifactPlan, BaseKind, DockerfileSection, PinnedBase, RecipePlan, Reproducible};
use kiln_record::{Digest, ImageRuns, TreePath, digest_of_value};
use normal::{AppliedRules, Contents, normalise};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The version of the rules by which a Dockerfile is built and brought into one form. A step here makes kiln build it again.
pub(crate) const DOCKERFILE_RULES: u32 = 1;

/// The kind of cache value: what a Dockerfile made, by the digest of what it was built from.
const CACHE: &str = "dockerfile";
/// The time of every entry of a layer, as in all layers of kiln's.
const LAYER_TIME: u64 = 0;
/// How long the second build waits, so that it begins in another second.
const PAUSE: Duration = Duration::from_millis(1100);
/// As many bytes are stored at once.
const BATCH: usize = 64 << 20;
/// Files that are larger are not held in memory.
const LARGE: u64 = 16 << 20;
/// The largest log of a build, in bytes.
const LOG_LIMIT: u64 = 64 << 20;
/// Files whose content is needed of the base, too: they say who users are.
const USERS: [&str; 3] = ["etc/passwd", "etc/group", "etc/shadow"];

/// What is remembered of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// How the image is started.
    runs: ImageRuns,
    /// Its user and group in numbers, if that can be told.
    user: Option<String>,
    /// What each of its own layers changes.
    layers: Vec<BTreeMap<TreePath, Change>>,
    /// Those layers as tars in the store.
    tars: Vec<BaseLayer>,
    /// What the rules changed.
    rules: AppliedRules,
    difference: Option<Difference>,
}

/// What is not the same in two builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Difference {
    /// The first path that differs.
    path: String,
    /// How, as a clause.
    how: String,
    /// How many paths differ.
    paths: usize,
}

/// What a Dockerfile copies from, besides its own context.
pub(crate) struct CopiedFrom<'a> {
    pub(crate) upstreams: &'a [ReadyUpstream],
    pub(crate) steps: &'a [ReadyStep],
    pub(crate) wheels: &'a [ReadyWheel],
}

/// Everything that one build is.
struct Job<'a> {
    plan: &'a ArtifactPlan,
    section: &'a DockerfileSection,
    recipe: &'a RecipePlan,
    base: Arc<BaseImage>,
    context: BuildContext,
    args: BTreeMap<String, String>,
}

/// Makes what an artifact's Dockerfile says ready: remembered, or built now. None if it has none.
pub(crate) async fn make(
    context: &Context,
    plan: &ArtifactPlan,
    source: &SourceTree,
    brought: &CopiedFrom<'_>,
) -> Result<Option<Arc<Made>>, BuildError> {
    let (Some(section), Some(recipe)) = (plan.manifest.dockerfile(), &plan.recipe) else {
        return Ok(None);
    };
    let dockerfile = &recipe.dockerfile;
    let base = context.bases.base_image(context, &plan.base).await?;
    let text = dockerfile.for_engine(|name| recipe.bases.get(name).map(in_engine).unwrap_or_default());
    let files = BuildContext::new(plan, source, brought.upstreams, brought.steps, brought.wheels, &text)?;
    let mut args = section.args.clone();
    if dockerfile.declared.contains(SOURCE_DATE_EPOCH) {
        args.entry(SOURCE_DATE_EPOCH.to_owned()).or_insert_with(|| plan.epoch.seconds().to_string());
    }
    // The builders do not mean the same by every instruction.
    let is_classic = context.environment.engine.buildkit == Some(false);
    let key = digest_of_value(&(
        (DOCKERFILE_RULES, kiln_image::CONTENTS_RULES, is_classic),
        files.tree.digest(),
        (&section.target, &args, section.network, section.timeout, section.reproducible),
        recipe.bases.iter().map(|(name, base)| (name, base.lock.manifest)).collect::<Vec<_>>(),
        (plan.base.lock.manifest, plan.base.platform, plan.epoch),
    ))?;
    let job = Job { plan, section, recipe, base, context: files, args };
    let _flight = context.flight(&key).await;
    let known = match section.network {
        // What came over the network then may be something else now.
        true => None,
        false => remembered(context, &key)?,
    };
    let made = match known {
        Some(known) => known,
        None => {
            let made = job.build(context).await?;
            let (context, network) = (context.clone(), section.network);
            blocking(move || {
                if !network {
                    context.store.cache_put(CACHE, &key, &made)?;
                }
                Ok(made)
            })
            .await?
        }
    };
    let context = context.clone();
    let base = Arc::clone(&job.base);
    let syntax = dockerfile.syntax.clone();
    blocking(move || Ok(Some(Arc::new(Made::new(&context, base, made, syntax)?)))).await
}

/// The variable by which build programs are told the one time of a build (reproducible-builds.org, "SOURCE_DATE_EPOCH").
const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";

/// The name that an engine has a base by.
fn in_engine(base: &PinnedBase) -> String {
    match &base.definition.kind {
        BaseKind::Registry(registry) => {
            let reference = registry.reference.parse::<Reference>().ok();
            let pinned = reference.and_then(|reference| reference.pinned(base.lock.manifest).by_digest());
            pinned.unwrap_or_else(|| registry.reference.clone())
        }
        BaseKind::Debian(_) | BaseKind::Scratch => engine_name(&base.definition.name, &base.lock.manifest),
    }
}

/// What an earlier run made, if the store still has all of it.
fn remembered(context: &Context, key: &Digest) -> Result<Option<Remembered>, BuildError> {
    let known = context.store.cache_get::<Remembered>(CACHE, key)?;
    Ok(known.filter(|known| {
        let files = known.layers.iter().flat_map(BTreeMap::values).filter_map(|change| match change {
            Change::Put(node) => match &node.content {
                NodeContent::File { digest, .. } => Some(digest),
                _ => None,
            },
            Change::Remove => None,
        });
        known.tars.iter().all(|tar| context.store.contains(&tar.diff_id))
            && files.into_iter().all(|digest| context.store.contains(digest))
    }))
}

impl Job<'_> {
    async fn build(&self, context: &Context) -> Result<Remembered, BuildError> {
        let here = context.engine().await?.info().await?.platform;
        if here != self.plan.base.platform {
            return Err(self.failed(
                format!("is for {}, and the engine builds for {here}", self.plan.base.platform),
                Vec::new(),
                vec!["point DOCKER_HOST at an engine of that platform".to_owned()],
            ));
        }
        for (name, base) in &self.recipe.bases {
            let id = context.bases.image(context, base).await?;
            let hidden =
                context.engine().await?.image(&id).await?.map(|image| image.on_build).unwrap_or_default();
            if let Some(first) = hidden.first() {
                return Err(self.failed(
                    format!("starts from `{name}`, which adds instructions that nobody reads here: ONBUILD {first}"),
                    Vec::new(),
                    vec!["write them in the Dockerfile, and start from what that image is made from".to_owned()],
                ));
            }
        }
        let mut first = self.build_once(context).await?;
        if self.section.reproducible == Reproducible::Check {
            tokio::time::sleep(PAUSE).await;
            let second = self.build_once(context).await?;
            first.difference = difference(context, &first, &second)?;
        }
        Ok(first)
    }

    /// Lets the engine build it, and takes the image out and away.
    async fn build_once(&self, context: &Context) -> Result<Remembered, BuildError> {
        static BUILDS: AtomicU64 = AtomicU64::new(0);
        let engine = context.engine().await?;
        let name = &self.plan.manifest.name;
        let session = engine.session().id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
        let number = BUILDS.fetch_add(1, Ordering::Relaxed);
        let tag = format!("localhost/kiln-build/{name}:{session}-{number}");
        let tar = self.context.tar(context, self.plan.epoch.seconds())?;
        let builder = engine.builder();
        let spec = BuildSpec {
            name: self.section.path.clone(),
            context: Box::new(BufReader::with_capacity(1 << 18, tar)),
            dockerfile: self.context.dockerfile.to_string(),
            target: self.section.target.clone(),
            args: self.args.clone(),
            network: self.section.network,
            platform: self.plan.base.platform,
            builder,
            tag: tag.clone(),
            deadline: Duration::from_secs(u64::from(self.section.timeout)),
            output_bytes: LOG_LIMIT,
        };
        let subject = name.to_string();
        let events = context.events.clone();
        let built = engine
            .build(spec, move |line| events.send(Event::Line { subject: subject.clone(), text: line.text }))
            .await;
        let built = match built {
            Ok(image) => self.take(context, &tag, image.platform).await,
            Err(EngineError::BuildFailed { why, last, .. }) => {
                let hints = self.hints(&why, &last, &builder.to_string());
                Err(self.failed(format!("cannot be built by {builder}: {}", in_a_line(&why)), last, hints))
            }
            Err(EngineError::Deadline { last, seconds, .. }) => {
                let hints =
                    vec![format!("raise `timeout` under [dockerfile] in {}", self.plan.manifest.file)];
                Err(self.failed(format!("was not built within {seconds} s"), last, hints))
            }
            Err(error) => Err(error.into()),
        };
        // Whatever came of it, the engine keeps nothing under this name.
        let _ = engine.remove_image(&tag).await;
        built
    }

    async fn take(
        &self,
        context: &Context,
        tag: &str,
        platform: kiln_record::Platform,
    ) -> Result<Remembered, BuildError> {
        let saved = SavedImage::export(context, tag).await?;
        let of_base = self.base.layers.iter().map(|layer| layer.diff_id);
        let stands_on_base = saved.read.diff_ids.len() >= self.base.layers.len()
            && of_base.eq(saved.read.diff_ids.iter().copied().take(self.base.layers.len()));
        if !stands_on_base || platform != self.plan.base.platform {
            return Err(BuildError::EngineImageDiffers {
                base: self.plan.base.definition.name.clone(),
                expected: format!("an image of {} on its layers", self.plan.base.platform),
                found: format!("one of {platform} with {} layers", saved.read.diff_ids.len()),
            });
        }
        let (context, base) = (context.clone(), Arc::clone(&self.base));
        let own = self.context.dockerfile.clone();
        blocking(move || taken_apart(&context, &base, &saved, &own)).await
    }

    fn failed(&self, reason: String, lines: Vec<String>, hints: Vec<String>) -> BuildError {
        BuildError::Dockerfile(Box::new(FailedStep {
            artifact: self.plan.manifest.name.clone(),
            step: self.section.path.clone(),
            base: self.plan.base.definition.name.clone(),
            reason,
            lines,
            hints,
        }))
    }

    /// What a failure means, where that can be told.
    fn hints(&self, why: &str, last: &[String], builder: &str) -> Vec<String> {
        let said = |texts: &[&str]| {
            let all = std::iter::once(why).chain(last.iter().map(String::as_str));
            all.into_iter().any(|line| texts.iter().any(|text| line.contains(text)))
        };
        let mut hints = Vec::new();
        let offline = [
            "Temporary failure in name resolution",
            "Temporary failure resolving",
            "Name or service not known",
            "Network is unreachable",
            "Could not resolve host",
            "NewConnectionError",
            "bad address",
        ];
        if !self.section.network && said(&offline) {
            hints.push(
                "a Dockerfile has no network: bring what it needs into its context (`wheels` under [dockerfile] gives the locked wheels; [[upstream]] and [[step]] bring the rest)"
                    .to_owned(),
            );
            hints.push(
                "or say network = true under [dockerfile]: the build is then reported as not hermetic"
                    .to_owned(),
            );
        }
        if !builder.starts_with("the classic") && said(&["unknown instruction"]) {
            hints.push(
                "the engine's own frontend reads the file, which may be older than what it is written for; `# syntax=` is not used"
                    .to_owned(),
            );
        }
        if builder.starts_with("the classic")
            && said(&[
                "Unknown flag",
                "unknown flag",
                "the --mount option requires BuildKit",
                "the --chmod option requires BuildKit",
                "unknown instruction",
            ])
        {
            hints.push("only BuildKit knows that: set DOCKER_BUILDKIT=1, or use a newer engine".to_owned());
        }
        if said(&["COPY failed", "not found", "no such file"]) && why.contains("COPY") {
            hints.push(format!("the context is {}; look at its .dockerignore", self.section.context));
        }
        hints
    }
}

/// A builder's words in a line: they repeat whole programs, and end with what came of them.
fn in_a_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let chars: Vec<char> = line.chars().collect();
    match chars.len() {
        0 => "it does not say why".to_owned(),
        1..=200 => line,
        length => {
            let (start, end): (String, String) =
                (chars[..140].iter().collect(), chars[length - 50..].iter().collect());
            format!("{start} … {end}")
        }
    }
}

/// Content in memory and in the store.
struct Kept<'a> {
    context: &'a Context,
    memory: BTreeMap<Digest, Vec<u8>>,
}

impl Contents for Kept<'_> {
    type Error = BuildError;

    fn read(&mut self, digest: &Digest) -> Result<Vec<u8>, BuildError> {
        match self.memory.get(digest) {
            Some(bytes) => Ok(bytes.clone()),
            None => Ok(self.context.store.read_blob(digest)?),
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> Result<Digest, BuildError> {
        Ok(self.context.store.put(bytes)?)
    }
}

/// Reads what the image has over its base, brings it into one form, and writes its layers.
fn taken_apart(
    context: &Context,
    base: &BaseImage,
    saved: &SavedImage,
    own: &TreePath,
) -> Result<Remembered, BuildError> {
    let mut kept = Kept { context, memory: BTreeMap::new() };
    let mut before = FileSystem::new();
    for layer in &base.layers {
        let tar = BufReader::with_capacity(1 << 18, context.store.open_blob(&layer.diff_id)?);
        before.add(tar, |path, reader| {
            let mut hasher = kiln_record::HashingWriter::new(io::sink());
            if USERS.contains(&path.as_str()) {
                let mut bytes = Vec::new();
                reader.read_to_end(&mut bytes)?;
                hasher.write_all(&bytes)?;
                kept.memory.insert(Digest::of(&bytes), bytes);
            } else {
                io::copy(reader, &mut hasher)?;
            }
            let (_, digest, size) = hasher.finish();
            Ok((digest, size))
        })?;
    }
    let mut state = before.clone();
    // Which layer a path had its last change in.
    let mut last: BTreeMap<TreePath, usize> = BTreeMap::new();
    let count = saved.read.diff_ids.len() - base.layers.len();
    for index in 0..count {
        let earlier = state.clone();
        let mut batch = Batch { context, contents: Vec::new(), bytes: 0 };
        state.add(saved.layer(base.layers.len() + index)?, |_, reader| batch.take(reader))?;
        batch.flush()?;
        let paths: BTreeSet<&TreePath> = state.iter().chain(earlier.iter()).map(|(path, _)| path).collect();
        for path in paths.into_iter().filter(|path| state.get(path) != earlier.get(path)) {
            last.insert(path.clone(), index);
        }
    }
    let rules = normalise(&mut state, &before, own, &mut kept)?;
    let mut layers = vec![BTreeMap::new(); count];
    for (path, change) in state.changes_since(&before) {
        let index = last.get(&path).copied().unwrap_or_default();
        layers.get_mut(index).ok_or(BuildError::Interrupted)?.insert(path, change);
    }
    layers.retain(|layer| !layer.is_empty());
    let mut tars = Vec::new();
    for layer in &layers {
        let writer = kiln_record::HashingWriter::new(context.store.writer()?);
        let writer = write_changes(writer, &with_folders(layer, &state), LAYER_TIME, |digest| {
            let blob = context.store.open_blob(digest).map_err(io::Error::other)?;
            Ok(Box::new(BufReader::with_capacity(1 << 16, blob)) as Box<dyn Read>)
        })?;
        let (writer, diff_id, size) = writer.finish();
        writer.commit(Some(&diff_id))?;
        tars.push(BaseLayer { diff_id, size });
    }
    let user = numeric_user(&saved.read, &state, &mut kept)?;
    let mut runs = saved.read.runs.clone();
    // What one builder writes where nothing is stated, and the other does not.
    runs.working_dir = runs.working_dir.filter(|folder| folder != "/");
    Ok(Remembered { runs, user, layers, tars, rules, difference: None })
}

/// What a layer changes, with the folders on the way to it as they are in the end. An engine that unpacks each layer into a
/// folder of its own would make those that are missing, with a mode and an owner of its choice.
fn with_folders(layer: &BTreeMap<TreePath, Change>, state: &FileSystem) -> BTreeMap<TreePath, Change> {
    let ends = |path: &TreePath| path.as_str().match_indices('/').map(|(end, _)| end).collect::<Vec<_>>();
    let folders: BTreeSet<TreePath> = layer
        .keys()
        .flat_map(|path| ends(path).into_iter().filter_map(|end| TreePath::new(&path.as_str()[..end]).ok()))
        .collect();
    let mut whole = layer.clone();
    for folder in folders {
        if let Some(node) = state.get(&folder) {
            whole.entry(folder).or_insert_with(|| Change::Put(node.clone()));
        }
    }
    whole
}

/// Content on its way to the store.
struct Batch<'a> {
    context: &'a Context,
    contents: Vec<Vec<u8>>,
    bytes: usize,
}

impl Batch<'_> {
    fn take(&mut self, reader: &mut dyn Read) -> io::Result<(Digest, u64)> {
        let mut bytes = Vec::new();
        (&mut *reader).take(LARGE + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGE {
            let mut writer =
                kiln_record::HashingWriter::new(self.context.store.writer().map_err(io::Error::other)?);
            writer.write_all(&bytes)?;
            io::copy(reader, &mut writer)?;
            let (writer, digest, size) = writer.finish();
            writer.commit(Some(&digest)).map_err(io::Error::other)?;
            return Ok((digest, size));
        }
        let taken = (Digest::of(&bytes), bytes.len() as u64);
        self.bytes += bytes.len();
        self.contents.push(bytes);
        if self.bytes > BATCH {
            self.flush().map_err(io::Error::other)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> Result<(), BuildError> {
        let contents = std::mem::take(&mut self.contents);
        self.context.store.put_all(&contents.iter().collect::<Vec<_>>())?;
        self.bytes = 0;
        Ok(())
    }
}

/// The user and group that a config names, in numbers, by the image's own lists of them.
fn numeric_user(
    config: &BaseConfig,
    state: &FileSystem,
    kept: &mut Kept<'_>,
) -> Result<Option<String>, BuildError> {
    let stated = config.runs.user.as_deref().unwrap_or("0");
    let (user, group) = stated.split_once(':').map_or((stated, None), |(user, group)| (user, Some(group)));
    let mut list = |path: &str| -> Result<String, BuildError> {
        let node = TreePath::new(path).ok().and_then(|path| state.get(&path));
        match node.map(|node| &node.content) {
            Some(NodeContent::File { digest, .. }) => {
                Ok(String::from_utf8_lossy(&kept.read(digest)?).into_owned())
            }
            _ => Ok(String::new()),
        }
    };
    let (passwd, groups) = (list("etc/passwd")?, list("etc/group")?);
    let field = |list: &str, name: &str, by: usize, wanted: usize| {
        let mut lines = list.lines().map(|line| line.split(':').collect::<Vec<_>>());
        lines
            .find(|fields| fields.get(by) == Some(&name))
            .and_then(|fields| fields.get(wanted).map(|f| (*f).to_owned()))
    };
    let number = |text: &str| text.parse::<u32>().is_ok();
    let (uid, usual) = match number(user) {
        true => (Some(user.to_owned()), field(&passwd, user, 2, 3)),
        false => (field(&passwd, user, 0, 2), field(&passwd, user, 0, 3)),
    };
    let gid = match group {
        None => Some(usual.unwrap_or_else(|| "0".to_owned())),
        Some(group) if number(group) => Some(group.to_owned()),
        Some(group) => field(&groups, group, 0, 2),
    };
    Ok(uid.zip(gid).filter(|(uid, gid)| number(uid) && number(gid)).map(|(uid, gid)| format!("{uid}:{gid}")))
}

/// What differs between two builds.
fn difference(
    context: &Context,
    first: &Remembered,
    second: &Remembered,
) -> Result<Option<Difference>, BuildError> {
    let merged = |made: &Remembered| -> BTreeMap<TreePath, Change> {
        made.layers
            .iter()
            .flat_map(|layer| layer.iter().map(|(path, change)| (path.clone(), change.clone())))
            .collect()
    };
    let (a, b) = (merged(first), merged(second));
    let paths: BTreeSet<&TreePath> = a.keys().chain(b.keys()).collect();
    let differing: Vec<&TreePath> = paths.into_iter().filter(|path| a.get(path) != b.get(path)).collect();
    let Some(path) = differing.first() else {
        let same = first.runs == second.runs && first.tars == second.tars;
        return Ok((!same).then(|| Difference {
            path: "the image".to_owned(),
            how: "its config or the layers that its files are in".to_owned(),
            paths: 0,
        }));
    };
    let how = match (a.get(path), b.get(path)) {
        (Some(Change::Put(a)), Some(Change::Put(b))) => match (&a.content, &b.content) {
            (NodeContent::File { digest: one, .. }, NodeContent::File { digest: other, .. })
                if one != other =>
            {
                how_differ(&context.store.read_blob(one)?, &context.store.read_blob(other)?)
            }
            _ => "its mode, owner or kind".to_owned(),
        },
        (Some(_), _) => "only the first build has it so".to_owned(),
        (None, _) => "only the second build has it so".to_owned(),
    };
    Ok(Some(Difference { path: path.to_string(), how, paths: differing.len() }))
}
