//! Running a step once or twice.

use super::output::Outputs;
use super::{Content, Given, Job, Remembered, crates};
use crate::environment::{Context, blocking};
use crate::error::FailedStep;
use crate::import_check::{USER, guest};
use crate::{BuildError, Event};
use kiln_engine::{EngineError, InputTree, Limits, RunOutcome, RunSpec};
use kiln_pack::TarWriter;
use kiln_plan::{ArtifactPlan, PinnedBase, Reproducible, STEP_SCRATCH, StepSection};
use kiln_record::{Digest, Entry, Tree, TreePath};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufReader, BufWriter, Seek as _, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The second run begins at least a second after the end of the first, so that a clock in the outputs shows.
const PAUSE: Duration = Duration::from_millis(1100);
/// Lines of a failed step's log that are repeated.
const TAIL: usize = 20;
/// The most bytes of everything that a step wrote, as a tar.
const OUTPUT_BYTES: u64 = 1 << 30;
const PIDS: u32 = 1024;
/// What the shells and engines of the world answer if there is no such program.
const NOT_FOUND: i64 = 127;
/// Where programs are looked for if neither the base nor the manifest says so.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a step, twice if it is to be checked. What it made is in the store afterwards.
pub(super) async fn make(context: &Context, job: &Job<'_>) -> Result<Remembered, BuildError> {
    let (engine, base) = (context.engine().await?, base_of(job));
    if engine.info().await?.platform.architecture != base.platform.architecture {
        let reason = format!("cannot run: there is no {} engine here", base.platform.architecture.lambda());
        return Err(failed(job, reason, Vec::new()));
    }
    // Compilers take what memory and processors there are: no more of them at once than wheels are read.
    for given in &job.given {
        if let Content::Crates(locked) = &given.content {
            crates::bring(context, &given.name, locked).await?;
        }
    }
    let _turn = context.reading_turn().await?;
    let outputs = once(context, job, false).await?;
    let store = context.clone();
    let files = blocking(move || outputs.store(&store)).await?;
    let mut difference = None;
    if job.section.reproducible == Reproducible::Check {
        tokio::time::sleep(PAUSE).await;
        let again = once(context, job, true).await?;
        let (context, first) = (context.clone(), files.clone());
        difference = blocking(move || again.difference(&context, &first)).await?;
    }
    Ok(Remembered { files, difference })
}

fn base_of<'j>(job: &Job<'j>) -> &'j PinnedBase {
    &job.plan.steps[job.index].base
}

async fn once(context: &Context, job: &Job<'_>, again: bool) -> Result<Outputs, BuildError> {
    let (section, artifact) = (job.section, &job.plan.manifest.name);
    context.events.send(Event::Step { artifact: artifact.clone(), step: section.name.clone(), again });
    let mut inputs = Vec::new();
    for given in &job.given {
        inputs.push(input(context, given, job.plan.epoch.seconds()).await?);
    }
    let folders: BTreeSet<&str> = section.outputs.iter().map(|output| output.folder.as_str()).collect();
    let spec = RunSpec {
        name: format!("{artifact} step {}", section.name),
        image: context.bases.image(context, base_of(job)).await?,
        argv: section.argv.clone(),
        env: job.env.clone(),
        working_dir: section.working_dir.clone(),
        user: USER.to_owned(),
        inputs,
        outputs: folders.into_iter().map(guest).collect::<Result<_, _>>()?,
        scratch: vec![guest(STEP_SCRATCH)?],
        limits: Limits {
            memory_bytes: section.memory,
            pids: PIDS,
            cpus: None,
            output_bytes: OUTPUT_BYTES,
            deadline: Duration::from_secs(section.timeout.into()),
        },
    };
    let tail: Arc<Mutex<VecDeque<String>>> = Arc::default();
    let (lines, events, subject) =
        (Arc::clone(&tail), context.events.clone(), format!("{artifact} {}", section.name));
    let outcome = context
        .engine()
        .await?
        .run(spec, move |line| {
            let text: String =
                line.text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            if !text.trim().is_empty() {
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                if lines.len() == TAIL {
                    lines.pop_front();
                }
                lines.push_back(text);
            }
            events.send(Event::Line { subject: subject.clone(), text: line.text });
        })
        .await;
    let log: Vec<String> = tail.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(EngineError::Deadline { seconds, .. }) => {
            return Err(failed(job, format!("was not done after {seconds} s, and was ended"), log));
        }
        Err(EngineError::OutputTooLarge { what, limit, .. }) => {
            return Err(failed(job, format!("wrote more than {limit} bytes of {what}"), log));
        }
        Err(error) => return Err(error.into()),
    };
    judge(job, &outcome, &log)?;
    let section = section.clone();
    let outputs = blocking(move || Ok(Outputs::read(&section, &outcome))).await?;
    outputs.map_err(|reason| failed(job, reason, log))
}

fn judge(job: &Job<'_>, outcome: &RunOutcome, log: &[String]) -> Result<(), BuildError> {
    let program = &job.section.argv[0];
    let reason = match outcome.exit_code {
        0 => return Ok(()),
        _ if outcome.oom_killed => {
            format!("ran out of memory, of which it may use {} MB", job.section.memory / 1_000_000)
        }
        NOT_FOUND => {
            format!("failed with exit code {NOT_FOUND}: is there a program `{program}` in the base?")
        }
        code => format!("failed with exit code {code}"),
    };
    Err(failed(job, reason, log.to_vec()))
}

fn failed(job: &Job<'_>, reason: String, lines: Vec<String>) -> BuildError {
    let base = base_of(job).definition.name.clone();
    let has = |parts: &[&str]| lines.iter().any(|line| parts.iter().any(|part| line.contains(part)));
    let mut hints = Vec::new();
    if reason.starts_with("made no ") || reason.starts_with("left ") {
        hints.push(
            "an output names a file or folder that the program leaves; `/tmp` is gone when it ends"
                .to_owned(),
        );
    }
    if reason.starts_with("ran out of memory") {
        hints.push(format!("let it have more: memory = \"4 GB\" in the step, in {}", job.plan.manifest.file));
    }
    if reason.starts_with("was not done") {
        hints.push(format!(
            "let it take longer: timeout = \"30 min\" in the step, in {}",
            job.plan.manifest.file
        ));
    }
    if has(&[
        "Name or service not known",
        "Temporary failure in name resolution",
        "Network is unreachable",
        "Could not resolve host",
        "No address associated with hostname",
    ]) {
        hints.push("a step has no network: what it needs is an input of it, or in its base".to_owned());
    }
    if has(&["Read-only file system", "Permission denied"]) {
        hints.push("a step may write to /tmp and to the folders of its outputs, and nowhere else".to_owned());
    }
    if has(&["not found", "No such file or directory"]) || reason.contains("is there a program") {
        hints.push(format!(
            "if a program is missing, add its package to images/{base}.toml, or name another base with `base`"
        ));
    }
    BuildError::Step(Box::new(FailedStep {
        artifact: job.plan.manifest.name.clone(),
        step: job.section.name.clone(),
        base,
        reason,
        lines,
        hints,
    }))
}

/// The variables of a step.
pub(super) fn variables(
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
async fn input(context: &Context, given: &Given, epoch: u64) -> Result<InputTree, BuildError> {
    let (context, given, path) = (context.clone(), given.clone(), guest(&given.at)?);
    blocking(move || {
        // A file without a name: it is gone when the container has it, however this process ends.
        let mut file = tempfile::tempfile_in(context.store.root())?;
        let mut tar = TarWriter::new(BufWriter::with_capacity(1 << 18, &mut file), epoch);
        let tree = match &given.content {
            Content::Files(source) => Some(&source.tree),
            Content::Made(tree) => Some(&**tree),
            Content::Crates(locked) => {
                for (path, (mode, content)) in crates::lay_out(&context, &given.at, locked)? {
                    tar.add_file(&path, mode, &content)?;
                }
                None
            }
        };
        for (path, entry) in tree.into_iter().flat_map(Tree::iter) {
            match entry {
                Entry::Symlink { target } => tar.add_symlink(path, target)?,
                Entry::File { digest, mode, .. } => {
                    tar.add_file(path, *mode, &content(&context, &given, path, digest)?)?;
                }
            }
        }
        tar.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(InputTree::new(path, BufReader::with_capacity(1 << 18, file)))
    })
    .await
}

/// The content of a file, which must have the digest that was planned.
fn content(
    context: &Context,
    given: &Given,
    path: &TreePath,
    digest: &Digest,
) -> Result<Vec<u8>, BuildError> {
    let Content::Files(source) = &given.content else { return Ok(context.store.read_blob(digest)?) };
    let file = source.files.get(path).ok_or(BuildError::Interrupted)?;
    let bytes = fs_err::read(file)?;
    if Digest::of(&bytes) == *digest {
        Ok(bytes)
    } else {
        Err(BuildError::SourceChanged { path: file.display().to_string() })
    }
}
