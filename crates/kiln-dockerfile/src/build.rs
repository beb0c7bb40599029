//! Artifacts of a Dockerfile. An engine builds it, from pinned bases and without a network; what it gives is taken apart,
//! brought into one form, and put together again here, so that neither the engine, its builder nor its storage can show.
//!
//! What was built is remembered by the digest of all that it was built from: an unchanged build runs nothing.

use crate::DockerfileError;
use crate::absent::absent;
use crate::by_actions::{self, Given};
use crate::context::BuildContext;
use crate::error::no_shell;
use crate::made::{Made, SOURCE_DATE_EPOCH, brought};
use crate::remembered::{DOCKERFILE_RULES, Remembered, difference};
use crate::taken_apart::taken_apart;
use crate::told::fits;
use kiln_collect::{Part, SourceTree};
use kiln_engine::{BuildSpec, Builder, EngineError, EngineInfo};
use kiln_guest::{BaseImage, Bases, GuestError, Log, SavedImage, again, container_files, engine_name};
use kiln_invocation::{Asked, Event, blocking};
use kiln_plan::{ArtifactPlan, DockerfileSection, PinnedBase, RecipePlan, Reproducible};
use kiln_record::{counted, digest_of_value};
use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The largest log of a build, in bytes.
const LOG_LIMIT: u64 = 64 << 20;
/// The memory of a program of a build, in bytes, where the builder takes that.
const MEMORY_LIMIT: u64 = (2 << 30) - 1;
/// By how much the engine's disk may fill during a build, in bytes, where it can be seen.
const DISK_LIMIT: u64 = 20 << 30;
/// The version of the rules by which the classic builder is used. A step here forgets what it built before.
const CLASSIC_RULES: u32 = 2;
/// The shell of a RUN in an image that names none.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// Everything that one build is.
struct Job<'a> {
    plan: &'a ArtifactPlan,
    section: &'a DockerfileSection,
    recipe: &'a RecipePlan,
    base: Arc<BaseImage>,
    context: BuildContext,
    /// The Dockerfile as it is written for the engine, a line for each instruction.
    instructions: Vec<String>,
    args: BTreeMap<String, String>,
}

/// Makes what an artifact's Dockerfile says ready: remembered, or built now. None if it has none.
pub async fn make(
    bases: &Bases,
    plan: &ArtifactPlan,
    source: &SourceTree,
    parts: &[Part],
) -> Result<Option<Arc<Made>>, DockerfileError> {
    let (Some(section), Some(recipe)) = (plan.manifest.dockerfile(), &plan.recipe) else {
        return Ok(None);
    };
    let dockerfile = &recipe.dockerfile;
    let base = bases.base_image(&plan.base).await?;
    let instructions =
        dockerfile.for_engine(|name| recipe.bases.get(name).map(in_engine).unwrap_or_default());
    let text = instructions.iter().map(|line| format!("{line}\n")).collect::<String>();
    let files = BuildContext::new(plan, source, parts, &text, &dockerfile.files)?;
    let mut args = section.args.clone();
    if dockerfile.declared.contains(SOURCE_DATE_EPOCH) {
        args.entry(SOURCE_DATE_EPOCH.to_owned()).or_insert_with(|| plan.epoch.seconds().to_string());
    }
    // The builders do not mean the same by every instruction.
    let classic = (bases.engine_settings().buildkit == Some(false)).then_some(CLASSIC_RULES);
    let key = digest_of_value(&(
        (DOCKERFILE_RULES, kiln_image::CONTENTS_RULES, classic),
        files.tree.digest(),
        (&section.target, &args, section.network, section.timeout, section.reproducible),
        recipe.bases.iter().map(|(name, base)| (name, base.lock.manifest)).collect::<Vec<_>>(),
        (plan.base.lock.manifest, plan.base.platform, plan.epoch),
    ))?;
    let job = Job { plan, section, recipe, base, context: files, instructions, args };
    let _flight = bases.network().flight(&key).await;
    let shared = bases.network().shared();
    let asked = Asked { artifact: &plan.manifest.name, what: "the Dockerfile", key: &key };
    let known = match section.network {
        // What came over the network then may be something else now.
        true => None,
        false => {
            let base = Arc::clone(&job.base);
            shared.recall(&asked, move |store, told| fits(store, &base, told)).await?
        }
    };
    let made = match known {
        Some(known) => known,
        None if section.network => job.build(bases).await?,
        None => shared.remember(&asked, job.build(bases).await?).await?,
    };
    let store = bases.store().clone();
    let base = Arc::clone(&job.base);
    let syntax = dockerfile.syntax.clone();
    blocking(move || Ok(Some(Arc::new(Made::new(&store, base, made, syntax)?)))).await
}

/// The name that the engine's builder is told for a base. It is no registry's, so that none is asked, be it the one that
/// the base comes from or a mirror of it.
fn in_engine(base: &PinnedBase) -> String {
    engine_name(&base.definition.name, &base.lock.manifest)
}

impl Job<'_> {
    async fn build(&self, bases: &Bases) -> Result<Remembered, DockerfileError> {
        let engine = bases.engine().await?;
        let info = engine.info().await?;
        let here = info.platform;
        if here != self.plan.base.platform {
            return Err(self.failed(
                format!("is for {}, and the engine builds for {here}", self.plan.base.platform),
                Vec::new(),
                vec!["point DOCKER_HOST at an engine of that platform".to_owned()],
            ));
        }
        let by_actions = bases.executor().map(|_| self.by_actions());
        match &by_actions {
            Some(given) => by_actions::check(given)?,
            None => self.can_be_built_by(engine.builder(), &info)?,
        }
        for (name, base) in &self.recipe.bases {
            let id = bases.image(base).await?;
            let Some(image) = bases.engine().await?.image(&id).await? else { continue };
            if !image.shell.is_empty()
                && image.shell != SHELL
                && self.recipe.dockerfile.default_shell.contains(name)
            {
                return Err(self.failed(
                    format!(
                        "has here-documents, which `{name}` would run by a shell of its own: {}",
                        image.shell.join(" ")
                    ),
                    Vec::new(),
                    vec![format!("say it in the Dockerfile: SHELL {:?}", image.shell)],
                ));
            }
            if let Some(first) = image.on_build.first() {
                return Err(self.failed(
                    format!("starts from `{name}`, which adds instructions that nobody reads here: ONBUILD {first}"),
                    Vec::new(),
                    vec!["write them in the Dockerfile, and start from what that image is made from".to_owned()],
                ));
            }
        }
        let once = async || match &by_actions {
            Some(given) => by_actions::build(bases, given).await,
            None => self.build_once(bases).await,
        };
        let mut first = once().await?;
        if self.section.reproducible == Reproducible::Check {
            let second = again(once()).await?;
            first.difference = difference(bases.store(), &first, &second)?;
        }
        Ok(first)
    }

    /// What is built without a builder.
    fn by_actions(&self) -> Given<'_> {
        let bases = self.recipe.bases.values();
        Given {
            plan: self.plan,
            context: &self.context,
            instructions: &self.instructions,
            lines: &self.recipe.dockerfile.lines,
            images: bases.map(|base| (in_engine(base), base.clone())).collect(),
            args: &self.args,
            declared: &self.recipe.dockerfile.declared,
            base: &self.base,
            time: Duration::from_secs(u64::from(self.section.timeout)),
        }
    }

    /// Whether what this builder of the engine makes is what the file says.
    fn can_be_built_by(&self, builder: Builder, info: &EngineInfo) -> Result<(), DockerfileError> {
        // No other instruction removes anything.
        let mut words = self.instructions.iter().filter_map(|line| line.split_whitespace().next());
        let removes = words.any(|word| word.eq_ignore_ascii_case("RUN"));
        let (why, hints) = match builder {
            Builder::Classic if removes && !info.classic_keeps_removals => (
                format!(
                    "stores layers with {}: what a RUN removes could still be in the image, and in every container of it",
                    info.storage_driver
                ),
                [
                    "let BuildKit build it: leave DOCKER_BUILDKIT unset, or set it to 1",
                    "or use an engine whose storage driver is overlay2 or vfs (`docker info` names it)",
                ],
            ),
            Builder::BuildKit if !info.buildkit_reads_context => (
                format!(
                    "is Docker {} with containerd's image store: that BuildKit does not read the context that it is sent, and asks the network for one",
                    info.version
                ),
                [
                    "let the classic builder build it: set DOCKER_BUILDKIT=0",
                    "or use Docker 28 or newer, or the engine's own image store (`containerd-snapshotter` in its daemon.json)",
                ],
            ),
            Builder::Buildah => (
                "is Podman's: its log does not tell of all that it does, and kiln uses no builder that it cannot hold to the file"
                    .to_owned(),
                [
                    "let Docker build it: point DOCKER_HOST, or a context, at one",
                    "or make a container image of a base and files without a Dockerfile (docs/images.md), which every engine takes part in",
                ],
            ),
            Builder::Classic | Builder::BuildKit => return Ok(()),
        };
        let reason = format!("is not built by {builder} of this engine, which {why}");
        Err(self.failed(reason, Vec::new(), hints.map(str::to_owned).to_vec()))
    }

    /// Lets the engine build it, and takes the image out and away.
    async fn build_once(&self, bases: &Bases) -> Result<Remembered, DockerfileError> {
        static BUILDS: AtomicU64 = AtomicU64::new(0);
        let engine = bases.engine().await?;
        // References have no capitals.
        let name = self.plan.manifest.name.as_str().to_ascii_lowercase().replace('_', "-");
        for (id, name) in self.not_named(bases).await? {
            engine.name_image(&id, &name).await?;
        }
        let session = engine.session().id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
        let number = BUILDS.fetch_add(1, Ordering::Relaxed);
        let tag = format!("localhost/kiln-build/{name}:{session}-{number}");
        let tar = self.context.tar(bases.store(), self.plan.epoch.seconds())?;
        let builder = engine.builder();
        let spec = BuildSpec {
            name: self.section.path.clone(),
            context: Box::new(BufReader::with_capacity(1 << 18, tar)),
            dockerfile: self.context.dockerfile.to_string(),
            instructions: self.instructions.clone(),
            images: self.recipe.bases.values().map(in_engine).collect(),
            args: self.args.clone(),
            network: self.section.network,
            platform: self.plan.base.platform,
            builder,
            tag: tag.clone(),
            deadline: Duration::from_secs(u64::from(self.section.timeout)),
            memory_bytes: MEMORY_LIMIT,
            disk_bytes: DISK_LIMIT,
            output_bytes: LOG_LIMIT,
        };
        let subject = name.to_string();
        let events = bases.run().events().clone();
        let built = engine
            .build(spec, move |line| {
                events.send(Event::Line { subject: subject.clone(), stream: line.stream, text: line.text })
            })
            .await;
        let built = match built {
            Ok(image) => self.take(bases, &tag, image.platform).await,
            Err(EngineError::BuildFailed { why, last, instruction, .. }) => {
                let hints = self.hints(bases.run().root(), &why, &last, builder);
                let line = instruction.and_then(|index| self.recipe.dockerfile.lines.get(index).copied());
                let reason = format!("cannot be built by {builder}: {}", in_a_line(&why));
                Err(self.failed(reason, last, hints).in_line(line))
            }
            Err(EngineError::Unaccounted { what, .. }) => Err(self.failed(
                format!("was not built by {builder} from its pins alone: {what}"),
                Vec::new(),
                vec!["that is not what kiln wrote for it: use the other builder (DOCKER_BUILDKIT) or another engine, and report which one did it".to_owned()],
            )),
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

    /// The bases that the engine does not have by the name that its builder is told: each its identity there, and that name.
    async fn not_named(&self, bases: &Bases) -> Result<Vec<(String, String)>, DockerfileError> {
        let engine = bases.engine().await?;
        let mut others = Vec::new();
        for base in self.recipe.bases.values() {
            let (id, name) = (bases.image(base).await?, in_engine(base));
            if engine.image(&name).await?.is_none_or(|there| there.id != id) {
                others.push((id, name));
            }
        }
        Ok(others)
    }

    async fn take(
        &self,
        bases: &Bases,
        tag: &str,
        platform: kiln_record::Platform,
    ) -> Result<Remembered, DockerfileError> {
        // Whoever may use the engine may move a name in it.
        if let Some((_, name)) = self.not_named(bases).await?.first() {
            return Err(self.failed(
                format!("was not built from its pins alone: in the engine, {name} became the name of another image meanwhile"),
                Vec::new(),
                vec!["build again, while nobody else gives or takes names of images of this engine".to_owned()],
            ));
        }
        let saved = SavedImage::export(bases.engine().await?, bases.store(), tag).await?;
        let container = container_files(bases.engine().await?, bases.store(), tag).await?;
        let of_base = self.base.layers.iter().map(|layer| layer.diff_id);
        let stands_on_base = saved.read.diff_ids.len() >= self.base.layers.len()
            && of_base.eq(saved.read.diff_ids.iter().copied().take(self.base.layers.len()));
        if !stands_on_base || platform != self.plan.base.platform {
            return Err(GuestError::EngineImageDiffers {
                base: self.plan.base.definition.name.clone(),
                expected: format!("an image of {} on its layers", self.plan.base.platform),
                found: format!("one of {platform} with {}", counted(saved.read.diff_ids.len(), "layers")),
            }
            .into());
        }
        let (store, base) = (bases.store().clone(), Arc::clone(&self.base));
        let own = self.context.own.clone();
        blocking(move || taken_apart(&store, &base, &saved, container, &own)).await
    }

    fn failed(&self, reason: String, lines: Vec<String>, hints: Vec<String>) -> DockerfileError {
        DockerfileError::failed(self.plan, reason, lines, hints)
    }

    /// What a failure means, where that can be told.
    fn hints(&self, root: &Path, why: &str, last: &[String], builder: Builder) -> Vec<String> {
        let log = Log::of_lines(std::iter::once(why).chain(last.iter().map(String::as_str)));
        let mut hints = Vec::new();
        if !self.section.network && log.asked_for_a_network() {
            hints.push(format!(
                "a Dockerfile has no network: bring what it needs into its context ({})",
                brought(self.section)
            ));
            hints.push(
                "or say network = true under [dockerfile]: the build is then reported as not hermetic"
                    .to_owned(),
            );
        }
        if let Some(library) = log.missed_library() {
            hints.push(format!(
                "what the stage starts from has no {library}: install its package there, or start from an image that has it"
            ));
        }
        hints.extend(log.missed_program().as_deref().and_then(no_shell));
        let unknown = "unknown instruction";
        match builder {
            Builder::BuildKit if log.has(&[unknown]) => hints.push(
                "the engine's own frontend reads the file, which may be older than what it is written for; `# syntax=` is not used"
                    .to_owned(),
            ),
            Builder::Classic
                if log.has(&[
                    "Unknown flag",
                    "unknown flag",
                    "the --mount option requires BuildKit",
                    "the --chmod option requires BuildKit",
                    unknown,
                ]) =>
            {
                hints.push("only BuildKit knows that: set DOCKER_BUILDKIT=1, or use a newer engine".to_owned());
            }
            Builder::BuildKit | Builder::Classic | Builder::Buildah => {}
        }
        let absent = absent(root, self.plan, &self.context, why);
        if absent.is_empty() && log.has(&["COPY failed", "not found", "no such file"]) && why.contains("COPY")
        {
            hints.push(format!("the context is {}; look at its .dockerignore", self.section.context));
        }
        hints.extend(absent);
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
