//! Watching a service until its test passes or fails, by the engine's own means.

use super::run::Job;
use super::{Docker, status};
use crate::health::{Health, HealthTest, Watched};
use crate::lines::Capture;
use crate::{EngineError, Line, RunSpec};
use bollard::models::{HealthConfig, HealthStatusEnum};
use bollard::query_parameters::AttachContainerOptionsBuilder;
use std::time::Duration;

/// How often the engine is asked. Nothing is told by it when a test ends.
pub(super) const ASK_EVERY: Duration = Duration::from_millis(200);
/// Characters kept of what a test wrote.
pub(super) const OUTPUT: usize = 2000;

impl Docker {
    /// See [`crate::Engine::watch`].
    pub(crate) async fn watch(
        &self,
        spec: RunSpec,
        test: HealthTest,
        on_line: impl Fn(Line) + Send + Sync,
    ) -> Result<Watched, EngineError> {
        let (mut job, inputs, _) = self.job(spec).await?;
        // Podman leaves it to timers of systemd, which not every machine has.
        job.health = (!self.shared.is_podman()).then(|| config(&test));
        let (container, loader) = self.prepare(&job, inputs).await?;
        let result = self.follow_health(container.name(), &job, &test, &on_line).await;
        container.remove().await;
        if let Some(loader) = loader {
            loader.remove().await;
        }
        match result {
            Err(_) if self.live.is_stopping() => Err(EngineError::Stopped),
            result => result,
        }
    }

    async fn follow_health(
        &self,
        container: &str,
        job: &Job,
        test: &HealthTest,
        on_line: &(impl Fn(Line) + Send + Sync),
    ) -> Result<Watched, EngineError> {
        let options = AttachContainerOptionsBuilder::new().stdout(true).stderr(true).stream(true).build();
        let attached = self
            .shared
            .client
            .attach_container(container, Some(options))
            .await
            .map_err(|e| self.failed(format!("attach to `{}`", job.name), e))?;
        self.shared
            .client
            .start_container(container, None)
            .await
            .map_err(|e| self.failed(format!("start `{}`", job.name), e))?;
        let mut capture = Capture::new(job.limits.output_bytes);
        let health = {
            let reading = async {
                self.read(attached.output, job, &mut capture, on_line).await?;
                // A program that closes its output goes on; what becomes of it is asked elsewhere.
                std::future::pending::<Result<Health, EngineError>>().await
            };
            tokio::select! {
                ended = reading => ended?,
                known = self.known_health(container, job), if !self.shared.is_podman() => known?,
                tested = self.tested_health(container, job, test), if self.shared.is_podman() => tested?,
                () = tokio::time::sleep(job.limits.deadline) => Health::Undecided,
            }
        };
        Ok(Watched { health, last: capture.last_lines() })
    }

    /// Asks until the engine knows.
    async fn known_health(&self, container: &str, job: &Job) -> Result<Health, EngineError> {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            let details = match self.shared.client.inspect_container(container, None).await {
                Ok(details) => details,
                Err(error) if status(&error) == Some(404) => return Err(super::run::removed(job)),
                Err(error) => return Err(self.failed(format!("ask about `{}`", job.name), error)),
            };
            let state = details.state.unwrap_or_default();
            let health = state.health.unwrap_or_default();
            match health.status {
                Some(HealthStatusEnum::HEALTHY) => return Ok(Health::Healthy),
                // The engine calls a container unhealthy, too, once it has ended.
                _ if state.running == Some(false) => {
                    return Ok(Health::Ended { exit_code: state.exit_code.unwrap_or_default() });
                }
                Some(HealthStatusEnum::UNHEALTHY) => {
                    let last = health.log.unwrap_or_default().pop().unwrap_or_default();
                    let output: String =
                        last.output.unwrap_or_default().trim().chars().take(OUTPUT).collect();
                    return Ok(Health::Unhealthy { exit_code: last.exit_code.unwrap_or(1), output });
                }
                _ => {}
            }
        }
    }
}

fn config(test: &HealthTest) -> HealthConfig {
    let nanoseconds = |time: Duration| Some(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    let words = std::iter::once("CMD".to_owned()).chain(test.command.iter().cloned());
    HealthConfig {
        test: Some(words.collect()),
        interval: nanoseconds(test.interval),
        timeout: nanoseconds(test.timeout),
        start_period: nanoseconds(test.start_period),
        retries: Some(i64::from(test.retries)),
        ..HealthConfig::default()
    }
}
