//! Running a step once or twice.

use crate::job::{Content, Given, Job, Remembered};
use crate::output::{MadeFile, Untaken};
use crate::{StepError, crates, output};
use kiln_audit::format_size;
use kiln_collect::CollectError;
use kiln_engine::InputTree;
use kiln_guest::{Bases, Ending, FailedStep, Log, Program, again, guest, input_tree};
use kiln_invocation::{Event, blocking};
use kiln_plan::{ArtifactPlan, PinnedBase, Reproducible, STEP_SCRATCH, StepSection};
use kiln_record::{Defect, Digest, Entry, Tree, TreePath};
use kiln_store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// The most bytes of everything that a step wrote, as a tar.
const OUTPUT_BYTES: u64 = 1 << 30;
const PIDS: u32 = 1024;
/// By how much later the inputs of a second run are from, in seconds: what depends on their times differs then.
const LATER: u64 = 86_400;
/// Where programs are looked for if neither the base nor the manifest says so.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why a step failed.
enum Reason {
    /// There is no engine that runs its base.
    NoEngine(String),
    /// How its program ended.
    Ended { ending: Ending, program: String, memory: u64, library: Option<String> },
    /// What it left cannot be taken.
    Untaken(Untaken),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEngine(architecture) => write!(f, "cannot run: there is no {architecture} engine here"),
            Self::Untaken(untaken) => untaken.fmt(f),
            Self::Ended { ending, program, memory, library } => match ending {
                Ending::OutOfMemory => {
                    write!(f, "ran out of memory, of which it may use {}", format_size(*memory))
                }
                Ending::NoSuchProgram => match library {
                    Some(library) => {
                        write!(f, "failed with exit code 127: a program needs {library}, which is not there")
                    }
                    None => {
                        write!(f, "failed with exit code 127: is there a program `{program}` in the base?")
                    }
                },
                Ending::TimedOut { seconds } => write!(f, "was not done after {seconds} s, and was ended"),
                Ending::OutputTooLarge { what, limit } => {
                    write!(f, "wrote more than {limit} bytes of {what}")
                }
                Ending::TooManyFiles { limit } => {
                    write!(f, "left more than {limit} files, folders and links")
                }
                Ending::Exit(code) => write!(f, "failed with exit code {code}"),
            },
        }
    }
}

/// Runs a step, twice if it is to be checked. What it made is in the store afterwards.
pub(crate) async fn make(bases: &Bases, job: &Job<'_>) -> Result<Remembered, StepError> {
    let (engine, base) = (bases.engine().await?, base_of(job));
    if engine.info().await?.platform.architecture != base.platform.architecture {
        let reason = Reason::NoEngine(base.platform.architecture.lambda().to_owned());
        return Err(failed(job, &reason, &Log::default()));
    }
    // Compilers take what memory and processors there are: no more of them at once than wheels are read.
    for given in &job.given {
        if let Content::Crates(locked) = &given.content {
            crates::bring(bases.network(), &given.name, locked).await?;
        }
    }
    let _turn = bases.run().reading_turn().await?;
    let is_checked = job.section.reproducible == Reproducible::Check;
    let (files, second) = match bases.executor() {
        // Where many machines are, both may run at once; the second begins later all the same.
        Some(_) if is_checked => {
            let (first, second) = (Box::pin(once(bases, job, false)), Box::pin(once(bases, job, true)));
            let (files, second) = tokio::try_join!(first, again(second))?;
            (files, Some(second))
        }
        _ => {
            let files = once(bases, job, false).await?;
            let second = if is_checked { Some(again(once(bases, job, true)).await?) } else { None };
            (files, second)
        }
    };
    let mut difference = None;
    if let Some(second) = second {
        let (store, first) = (bases.store().clone(), files.clone());
        difference = blocking(move || output::difference(&store, &first, &second)).await?;
    }
    Ok(Remembered { files, difference })
}

fn base_of<'j>(job: &Job<'j>) -> &'j PinnedBase {
    &job.plan.steps[job.index].base
}

/// What one run made; its content is in the store.
async fn once(bases: &Bases, job: &Job<'_>, again: bool) -> Result<Vec<MadeFile>, StepError> {
    let (section, artifact) = (job.section, &job.plan.manifest.name);
    bases.run().tell(Event::Step { artifact: artifact.clone(), step: section.name.clone(), again });
    let mut inputs = Vec::new();
    for given in &job.given {
        inputs.push(input(bases.store(), given, job.plan.epoch.seconds()).await?);
    }
    let folders: BTreeSet<&str> = section.outputs.iter().map(|output| output.folder.as_str()).collect();
    let label = format!("{artifact} step {}", section.name);
    let program = Program::new(label, bases.image(base_of(job)).await?, section.argv.clone())
        .environment(job.env.clone())
        .working_dir(section.working_dir.as_str())
        .inputs(inputs)
        .inputs_later_by(if again { LATER } else { 0 })
        .outputs(bases.store(), folders.into_iter().map(guest).collect::<Result<Vec<_>, _>>()?)?
        .scratch(vec![guest(STEP_SCRATCH)?])
        .memory(section.memory)
        .processes(PIDS)
        .output_bytes(OUTPUT_BYTES)
        .deadline(Duration::from_secs(section.timeout.into()))
        .varied(bases.run().variations(), &base_of(job).definition)?;
    let subject = format!("{artifact} {}", section.name);
    let ran = program.run(bases.engine().await?, bases.run().events(), &subject).await?;
    if !ran.ending.is_success() {
        let (program, memory) = (section.argv[0].clone(), section.memory);
        let library = ran.log.missed_library();
        return Err(failed(job, &Reason::Ended { ending: ran.ending, program, memory, library }, &ran.log));
    }
    let (section, store) = (section.clone(), bases.store().clone());
    let (folders, log) = (ran.outputs, ran.log);
    let files = blocking(move || output::take(&section, &folders, &store)).await?;
    files.map_err(|untaken| failed(job, &Reason::Untaken(untaken), &log))
}

fn failed(job: &Job<'_>, reason: &Reason, log: &Log) -> StepError {
    let base = base_of(job).definition.name.clone();
    let manifest = &job.plan.manifest.file;
    let mut hints = Vec::new();
    let library = log.missed_library();
    let mut missed = log.missed_something();
    match reason {
        Reason::Untaken(_) => hints.push(
            "an output names a file or folder that the program leaves; `/tmp` is gone when it ends"
                .to_owned(),
        ),
        Reason::Ended { ending: Ending::OutOfMemory, .. } => {
            hints.push(format!("let it have more: memory = \"4 GB\" in the step, in {manifest}"));
        }
        Reason::Ended { ending: Ending::TimedOut { .. }, .. } => {
            hints.push(format!("let it take longer: timeout = \"30 min\" in the step, in {manifest}"));
        }
        Reason::Ended { ending: Ending::NoSuchProgram, .. } => missed = true,
        Reason::Ended { .. } | Reason::NoEngine(_) => {}
    }
    if log.asked_for_a_network() {
        hints.push("a step has no network: what it needs is an input of it, or in its base".to_owned());
    }
    if log.was_refused_to_write() {
        hints.push("a step may write to /tmp and to the folders of its outputs, and nowhere else".to_owned());
    }
    if let Some(library) = library {
        hints.push(format!(
            "the base has no {library}: add the package that holds it to images/{base}.toml and pin the base again, kiln lock --base {base}; or name another base with `base`"
        ));
        hints.push(format!(
            "if the step brings {library} itself, say where: env = {{ LD_LIBRARY_PATH = \"/…\" }} in the step, in {manifest}"
        ));
    } else if missed {
        hints.push(format!(
            "if a program is missing, add its package to images/{base}.toml, or name another base with `base`"
        ));
    }
    StepError::Failed(Box::new(FailedStep {
        artifact: job.plan.manifest.name.clone(),
        step: job.section.name.clone(),
        base,
        place: None,
        reason: reason.to_string(),
        lines: log.lines(),
        hints,
    }))
}

/// The variables of a step.
pub(crate) fn variables(
    plan: &ArtifactPlan,
    section: &StepSection,
    base: &PinnedBase,
) -> BTreeMap<String, String> {
    let mut variables = base.definition.image.env.clone();
    variables.retain(|name, _| !name.starts_with("PYTHON") && !name.starts_with("LC_"));
    variables.entry("PATH".to_owned()).or_insert_with(|| PATH.to_owned());
    variables.extend(section.env.clone());
    let fixed = [
        ("HOME", STEP_SCRATCH.to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("LC_ALL", "C.UTF-8".to_owned()),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
        ("PYTHONHASHSEED", "0".to_owned()),
        ("SOURCE_DATE_EPOCH", plan.epoch.seconds().to_string()),
        ("TMPDIR", STEP_SCRATCH.to_owned()),
        ("TZ", "UTC".to_owned()),
    ];
    variables.extend(fixed.map(|(name, value)| (name.to_owned(), value)));
    variables
}

/// A tree as an input of a container.
async fn input(store: &Store, given: &Given, time: u64) -> Result<InputTree, StepError> {
    let (reading, given) = (store.clone(), given.clone());
    let at = given.at.clone();
    input_tree(store, &at, time, move |tar| {
        let tree = match &given.content {
            Content::Files(source) => Some(&source.tree),
            Content::Made(tree) => Some(&**tree),
            Content::Crates(locked) => {
                for (path, (mode, content)) in crates::lay_out(&reading, &given.at, locked)? {
                    tar.add_file(&path, mode, &content)?;
                }
                None
            }
        };
        for (path, entry) in tree.into_iter().flat_map(Tree::iter) {
            match entry {
                Entry::Symlink { target } => tar.add_symlink(path, target)?,
                Entry::File { digest, mode, .. } => {
                    tar.add_file(path, *mode, &content(&reading, &given, path, digest)?)?;
                }
            }
        }
        Ok(())
    })
    .await
}

/// The content of a file, which must have the digest that was planned.
fn content(store: &Store, given: &Given, path: &TreePath, digest: &Digest) -> Result<Vec<u8>, StepError> {
    let Content::Files(source) = &given.content else { return Ok(store.read_blob(digest)?) };
    let file = source
        .files
        .get(path)
        .ok_or_else(|| Defect::new(format!("{path} was planned and is in no source")))?;
    let bytes = fs_err::read(file)?;
    if Digest::of(&bytes) == *digest {
        Ok(bytes)
    } else {
        Err(CollectError::SourceChanged { path: file.display().to_string() }.into())
    }
}
