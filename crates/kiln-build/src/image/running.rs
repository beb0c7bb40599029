//! The assembled image in the engine, as it will run: loaded for the checks, watched by its own health check, and taken
//! away again.

use super::AssembledImage;
use crate::environment::{Context, blocking};
use crate::import_check::{guest, without_addresses};
use crate::{BuildError, Event};
use kiln_engine::{Engine, GuestPath, Health, HealthTest, Limits, RunSpec};
use kiln_image::{LAYER_MEDIA_TYPE, Layer, write_archive};
use kiln_pack::{LayerCodec, layer_tar};
use kiln_plan::ArtifactPlan;
use kiln_record::{Check, Code, Digest, Finding, HealthCheck, ImageRuns};
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _};
use std::time::Duration;

/// The longest that a service is watched.
const LONGEST_WATCH: Duration = Duration::from_secs(300);
/// How often its test is run here, where it states a longer time: the test is the image's, the waiting is not.
const TEST_EVERY: u32 = 1;
/// What a service may use where the manifest does not say.
const MEMORY: u64 = 2 << 30;

/// An image in the engine. It goes away with [`Loaded::remove`].
pub(crate) struct Loaded {
    engine: Engine,
    tag: String,
    /// What the engine calls it.
    pub(crate) id: String,
    /// How it is started.
    pub(crate) runs: ImageRuns,
    /// As whom, in numbers; none if only the image knows who that is.
    pub(crate) user: Option<String>,
    /// The Python of its program, where that is not its base's.
    pub(crate) python: Option<String>,
}

impl Loaded {
    /// Brings an image into the engine; none if the engine's containers are of another architecture.
    pub(crate) async fn new(
        context: &Context,
        plan: &ArtifactPlan,
        assembled: &AssembledImage,
    ) -> Result<Option<Self>, BuildError> {
        let engine = context.engine().await?;
        if engine.info().await?.platform.architecture != plan.manifest.target.architecture {
            return Ok(None);
        }
        let name = &plan.manifest.name;
        // Another kiln may check an equal image at the same time: each takes only its own name away.
        let session = engine.session().id.replace(|c: char| !c.is_ascii_alphanumeric() && c != '-', "-");
        let tag = format!("localhost/kiln/{name}:{}-{session}", &assembled.image.config_digest.hex()[..12]);
        let archive = {
            let (context, assembled, tag) = (context.clone(), assembled.clone(), tag.clone());
            blocking(move || archive(&context, &assembled, &tag)).await?
        };
        engine.load(BufReader::with_capacity(1 << 18, archive)).await?;
        let diff_ids: Vec<Digest> = assembled.image.layers.iter().map(|layer| layer.diff_id).collect();
        match engine.image(&tag).await? {
            Some(found) if found.diff_ids == diff_ids => Ok(Some(Self {
                engine: engine.clone(),
                tag,
                id: found.id,
                user: assembled.user.clone(),
                python: assembled.python.clone(),
                runs: assembled.record.runs.clone(),
            })),
            other => Err(BuildError::EngineImageDiffers {
                base: plan.base.definition.name.clone(),
                expected: assembled.image.config_digest.to_string(),
                found: other.map_or_else(|| "none".to_owned(), |found| found.id),
            }),
        }
    }

    /// Takes the image away again. It is only a copy, and what the engine does not let go is loaded over by the next run.
    pub(crate) async fn remove(self) {
        let _ = self.engine.remove_image(&self.tag).await;
    }
}

/// The image as every engine loads it. Engines of the time of Docker 20.10 read no zstd, so its layers go in as tars; the
/// config, and with it what runs, is the same.
fn archive(context: &Context, assembled: &AssembledImage, tag: &str) -> Result<std::fs::File, BuildError> {
    let mut image = assembled.image.clone();
    let mut blobs = std::collections::BTreeMap::new();
    if assembled.codec == LayerCodec::Zstd {
        for layer in &mut image.layers {
            let blob = BufReader::with_capacity(1 << 18, context.store.open_blob(&layer.digest)?);
            let size = io::copy(&mut layer_tar(blob, LayerCodec::Zstd)?, &mut io::sink())?;
            blobs.insert(layer.diff_id, layer.digest);
            *layer = Layer {
                digest: layer.diff_id,
                size,
                diff_id: layer.diff_id,
                media_type: LAYER_MEDIA_TYPE.to_owned(),
            };
        }
    }
    let mut file = tempfile::tempfile_in(context.store.root())?;
    let mut writer = BufWriter::with_capacity(1 << 18, &mut file);
    write_archive(&mut writer, &image, Some(tag), |digest| -> io::Result<Box<dyn Read>> {
        let stored = blobs.get(digest).unwrap_or(digest);
        let blob = context.store.open_blob(stored).map_err(io::Error::other)?;
        let blob = BufReader::with_capacity(1 << 18, blob);
        if blobs.contains_key(digest) {
            layer_tar(blob, LayerCodec::Zstd).map_err(io::Error::other)
        } else {
            Ok(Box::new(blob))
        }
    })?;
    writer.flush()?;
    drop(writer);
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// Folders that a service can write to when it is checked: `/tmp`, and the volumes that it states.
pub(crate) fn writable(runs: &ImageRuns) -> Result<Vec<GuestPath>, BuildError> {
    let mut folders = vec![guest("/tmp")?];
    for volume in &runs.volumes {
        let volume = guest(volume)?;
        let overlaps = |other: &GuestPath| volume.is_within(other) || other.is_within(&volume);
        if !folders.iter().any(overlaps) {
            folders.push(volume);
        }
    }
    Ok(folders)
}

/// Starts the service as its config says and runs its health check in it.
pub(crate) async fn health(
    context: &Context,
    plan: &ArtifactPlan,
    loaded: Option<&Loaded>,
) -> Result<(Vec<Finding>, Check), BuildError> {
    const CHECK: &str = "health";
    let Some(loaded) = loaded else {
        let architecture = plan.manifest.target.architecture.lambda();
        return Ok((Vec::new(), Check::not_checked(CHECK, format!("no {architecture} engine"))));
    };
    let runs = &loaded.runs;
    let Some(stated) = &runs.health_check else {
        let reason = "the image states no `health-check`, so nothing was started";
        return Ok((Vec::new(), Check::not_checked(CHECK, reason)));
    };
    let argv: Vec<String> = runs.entrypoint.iter().chain(&runs.command).cloned().collect();
    let Some(user) = loaded.user.clone() else {
        let reason = format!(
            "the base's user `{}` is a name; state a numeric `user` under [image]",
            runs.user.as_deref().unwrap_or_default()
        );
        return Ok((Vec::new(), Check::not_checked(CHECK, reason)));
    };
    let mut env = runs.environment.clone();
    env.extend(plan.manifest.check.env.clone());
    let spec = RunSpec {
        name: format!("{} health", plan.manifest.name),
        image: loaded.id.clone(),
        argv,
        env,
        working_dir: runs.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
        user,
        inputs: Vec::new(),
        outputs: Vec::new(),
        scratch: writable(runs)?,
        limits: Limits {
            memory_bytes: plan.manifest.check.memory.map_or(MEMORY, |megabytes| u64::from(megabytes) << 20),
            pids: 1024,
            cpus: None,
            output_bytes: 80 << 20,
            deadline: deadline(stated),
        },
    };
    let interval = stated.interval.min(TEST_EVERY);
    let test = HealthTest {
        command: stated.command.clone(),
        interval: Duration::from_secs(u64::from(interval)),
        timeout: Duration::from_secs(u64::from(stated.timeout)),
        start_period: Duration::from_secs(u64::from(stated.start_period)),
        // As much time to become healthy as the longer interval would have given.
        retries: stated.retries.saturating_mul(stated.interval.div_ceil(interval.max(1))).clamp(1, 30),
    };
    let subject = plan.manifest.name.to_string();
    let events = context.events.clone();
    let watched = context
        .engine()
        .await?
        .watch(spec, test, move |line| events.send(Event::Line { subject: subject.clone(), text: line.text }))
        .await?;
    let check = Check::ran(CHECK, 1, "services");
    let cause = match &watched.health {
        Health::Healthy => return Ok((Vec::new(), check)),
        Health::Unhealthy { exit_code, output } => {
            let said = if output.is_empty() { String::new() } else { format!(": {}", first_lines(output)) };
            format!("its health check `{}` fails with exit code {exit_code}{said}", stated.command.join(" "))
        }
        Health::Ended { exit_code } => format!(
            "the service ended with exit code {exit_code} before its health check `{}` passed",
            stated.command.join(" ")
        ),
        Health::Undecided => format!(
            "its health check `{}` did not pass within {} s",
            stated.command.join(" "),
            deadline(stated).as_secs()
        ),
    };
    let mut finding =
        Finding::new(Code::HealthCheckFailed, plan.manifest.name.as_str(), without_addresses(&cause));
    for line in watched.last.iter().rev().take(12).rev() {
        finding = finding.detail(without_addresses(line));
    }
    finding = finding
        .detail(format!(
            "it was started as {} by user {} without a network but loopback; only {} can be written",
            runs.entrypoint.iter().chain(&runs.command).cloned().collect::<Vec<_>>().join(" "),
            runs.user.as_deref().unwrap_or("root"),
            std::iter::once("/tmp").chain(runs.volumes.iter().map(String::as_str)).collect::<Vec<_>>().join(", ")
        ))
        .remedy("see what it wrote; give it what it needs under [image] (`environment`, `volumes`) or [check] (`env`)")
        .remedy("or correct `health-check`");
    Ok((vec![finding], check))
}

fn deadline(stated: &HealthCheck) -> Duration {
    let tests = u64::from(stated.retries) * (u64::from(stated.timeout) + u64::from(stated.interval));
    Duration::from_secs(u64::from(stated.start_period) + tests + 30).min(LONGEST_WATCH)
}

fn first_lines(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>().join(" / ")
}

/// The user that an image states, if it is in numbers: a name means whatever its `/etc/passwd` says.
pub(crate) fn numeric_user(runs: &ImageRuns) -> Option<String> {
    let user = match runs.user.as_deref() {
        None | Some("") | Some("root") => "0:0",
        Some(user) => user,
    };
    let (uid, gid) = user.split_once(':').unwrap_or((user, "0"));
    let number = |text: &str| text.parse::<u32>().is_ok();
    (number(uid) && number(gid)).then(|| format!("{uid}:{gid}"))
}
