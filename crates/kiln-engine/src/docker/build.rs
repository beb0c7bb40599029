//! Building from a Dockerfile, by either builder of an engine.

use super::Docker;
use super::account::Account;
use super::build_limits::limited;
use crate::archive::stream_of_reader;
use crate::lines::{Capture, Overflow};
use crate::{BuildSpec, Builder, EngineError, ImageInfo, Line, Stream};
use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use futures_util::StreamExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long BuildKit's session may stay open after the engine said that the image is there.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Docker {
    /// See [`crate::Engine::builder`].
    pub(crate) fn builder(&self) -> Builder {
        match self.shared.buildkit {
            _ if self.shared.is_podman() => Builder::Buildah,
            Some(false) => Builder::Classic,
            _ => Builder::BuildKit,
        }
    }

    /// See [`crate::Engine::build`].
    pub(crate) async fn build(
        &self,
        spec: BuildSpec,
        on_line: impl Fn(Line) + Send + Sync,
    ) -> Result<ImageInfo, EngineError> {
        if spec.builder == Builder::Buildah {
            return Err(EngineError::Unsupported {
                action: format!("build {} with {}", spec.name, spec.builder),
            });
        }
        let (name, tag, deadline) = (spec.name.clone(), spec.tag.clone(), spec.deadline);
        let mut capture = Capture::new(spec.output_bytes);
        let disk = spec.disk_bytes;
        let built = tokio::select! {
            built = tokio::time::timeout(deadline, self.follow_build(spec, &mut capture, &on_line)) => built,
            full = self.disk_fills(&name, disk) => Ok(Err(full)),
        };
        capture.finish(&on_line);
        let last = capture.last_lines();
        match built {
            Err(_) => return Err(EngineError::Deadline { name, seconds: deadline.as_secs(), last }),
            Ok(Err(EngineError::BuildFailed { why, instruction, .. })) => {
                return Err(EngineError::BuildFailed { name, why, instruction, last });
            }
            Ok(Err(error)) => return Err(error),
            Ok(Ok(())) => {}
        }
        let missing = || EngineError::ImageMissing { reference: tag.clone() };
        self.image(&tag).await?.ok_or_else(missing)
    }

    async fn follow_build(
        &self,
        spec: BuildSpec,
        capture: &mut Capture,
        on_line: &(impl Fn(Line) + Send + Sync),
    ) -> Result<(), EngineError> {
        static BUILDS: AtomicU64 = AtomicU64::new(0);
        let mut account = Account::new(spec.builder, spec.instructions, spec.images, spec.network);
        let unaccounted = |what: String| EngineError::Unaccounted { name: spec.name.clone(), what };
        let args = spec.args.into_iter().collect();
        let mut options = BuildImageOptionsBuilder::new()
            .dockerfile(&spec.dockerfile)
            .t(&spec.tag)
            // What an earlier build left must not stand for this one: kiln has its own cache, by digest.
            .nocache(true)
            .rm(true)
            .forcerm(true)
            .buildargs(&args)
            .networkmode(if spec.network { "default" } else { "none" })
            .platform(&spec.platform.to_string());
        options = limited(options, spec.builder, spec.memory_bytes);
        if spec.builder == Builder::BuildKit {
            let number = BUILDS.fetch_add(1, Ordering::Relaxed);
            let session = format!("{}-{number}", self.session.id);
            options = options.version(BuilderVersion::BuilderBuildKit).session(&session);
        }
        let (body, reader) = stream_of_reader(spec.context);
        let answers =
            self.shared.transfers.build_image(options.build(), None, Some(bollard::body_try_stream(body)));
        let mut answers = Box::pin(answers);
        let mut is_there = false;
        loop {
            let answer = if is_there {
                // bollard's stream ends with the session, which nothing but the engine's hanging up ends.
                match tokio::time::timeout(LAST_WORDS, answers.next()).await {
                    Ok(answer) => answer,
                    Err(_) => break,
                }
            } else {
                answers.next().await
            };
            let Some(answer) = answer else { break };
            let info = match answer {
                Ok(info) => info,
                Err(error) => {
                    drop(answers);
                    if let Ok(Err(cause)) = reader.await
                        && cause.kind() != std::io::ErrorKind::BrokenPipe
                    {
                        let why = format!("its context could not be read: {cause}");
                        return Err(EngineError::Broken { action: format!("build {}", spec.name), why });
                    }
                    return Err(match self.failed(format!("build {}", spec.name), error) {
                        EngineError::Refused { why, .. } | EngineError::Broken { why, .. } => {
                            // What bollard puts before the builder's own words.
                            failed(why.trim_start_matches("Docker stream error: ").to_owned(), &account)
                        }
                        other => other,
                    });
                }
            };
            if let Some(detail) = &info.error_detail {
                return Err(failed(detail.message.clone().unwrap_or_default(), &account));
            }
            heard(&info, &mut account).map_err(unaccounted)?;
            is_there |= told(&info, capture, on_line).map_err(|Overflow| EngineError::OutputTooLarge {
                name: spec.name.clone(),
                what: "the log".to_owned(),
                limit: spec.output_bytes,
            })?;
        }
        account.close().map_err(unaccounted)
    }
}

/// Holds what an answer says of the builder's work against what it was asked for.
fn heard(info: &BuildInfo, account: &mut Account) -> Result<(), String> {
    if let Some(text) = &info.stream {
        account.line(text)?;
    }
    if let Some(status) = &info.status {
        account.status(status)?;
    }
    if let Some(BuildInfoAux::BuildKit(status)) = &info.aux {
        for vertex in &status.vertexes {
            account.vertex(&vertex.name)?;
            account.ended(&vertex.name, &vertex.error);
        }
    }
    Ok(())
}

fn failed(why: String, account: &Account) -> EngineError {
    EngineError::BuildFailed { name: String::new(), why, instruction: account.failed(), last: Vec::new() }
}

/// Passes on what an answer says; whether it says that the image is there.
fn told(
    info: &BuildInfo,
    capture: &mut Capture,
    on_line: &(impl Fn(Line) + Send + Sync),
) -> Result<bool, Overflow> {
    if let Some(text) = &info.stream {
        capture.push(Stream::Stdout, text.as_bytes(), on_line)?;
        return Ok(text.starts_with("Successfully tagged"));
    }
    if let Some(BuildInfoAux::BuildKit(status)) = &info.aux {
        for vertex in status.vertexes.iter().filter(|vertex| vertex.started.is_some()) {
            if vertex.completed.is_none() {
                capture.push(Stream::Stdout, format!("{}\n", vertex.name).as_bytes(), on_line)?;
            }
        }
        for log in &status.logs {
            let stream = if log.stream == 2 { Stream::Stderr } else { Stream::Stdout };
            capture.push(stream, &log.msg, on_line)?;
        }
    }
    Ok(false)
}
