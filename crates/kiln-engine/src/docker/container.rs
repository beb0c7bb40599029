//! One container: made under a name that is known before, and removed whatever becomes of the work.

use super::live::Phase;
use super::podman::Volume;
use super::{Docker, status};
use crate::EngineError;
use bollard::models::{ContainerCreateBody, ContainerCreateResponse};
use bollard::query_parameters::{CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder};
use futures_util::future::join_all;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

type Creation = JoinHandle<Result<ContainerCreateResponse, bollard::errors::Error>>;

// One count for the whole process: two connections with one session never choose the same name.
static NEXT: AtomicU64 = AtomicU64::new(1);
const RETRY: Duration = Duration::from_millis(100);
const REMOVAL_ATTEMPTS: u32 = 5;
// Someone pressed Ctrl-C and waits; what an engine cannot remove in this time, the next run sweeps.
const SHUTDOWN_TIME: Duration = Duration::from_secs(30);
const SHUTDOWN_PAUSE: Duration = Duration::from_millis(50);

/// A container that is removed, with its volumes, when this value is dropped: nobody waits for that but [`Docker::shutdown`], and whoever
/// removes its image.
#[derive(Debug)]
pub(super) struct Container {
    docker: Docker,
    name: String,
    creation: Option<Creation>,
    gone: bool,
}

impl Docker {
    /// Creates a container under the session's next name.
    pub(super) async fn create(&self, body: ContainerCreateBody) -> Result<Container, EngineError> {
        self.create_with(body, Vec::new()).await
    }

    /// Creates a container with volumes that go when it goes.
    pub(super) async fn create_with(
        &self,
        body: ContainerCreateBody,
        volumes: Vec<Volume>,
    ) -> Result<Container, EngineError> {
        let name = format!("kiln-{}-{}", self.session.id, NEXT.fetch_add(1, Ordering::Relaxed));
        {
            // Checked under the lock that `shutdown` takes, so that it sees either the flag or the name.
            let mut containers = self.live.containers();
            if self.live.is_stopping() {
                return Err(EngineError::Stopped);
            }
            containers.insert(name.clone(), Phase::Creating);
        }
        // A task of its own: when the caller loses interest half-way, the engine may still make the container, and
        // only an answer tells when it can be removed.
        let task = tokio::spawn({
            let (docker, name) = (self.clone(), name.clone());
            async move {
                let options = CreateContainerOptionsBuilder::new().name(&name).build();
                let result = match docker.with_volumes(&name, body, volumes).await {
                    Ok(body) => docker.shared.client.create_container(Some(options), body).await,
                    Err(error) => Err(error),
                };
                docker.live.set(&name, Phase::Created);
                result
            }
        });
        let mut container = Container { docker: self.clone(), name, creation: Some(task), gone: false };
        let result = match &mut container.creation {
            Some(task) => task.await,
            None => return Err(EngineError::Stopped),
        };
        container.creation = None;
        match result {
            Ok(Ok(_)) => Ok(container),
            Ok(Err(error)) => {
                if status(&error).is_some() && !self.shared.is_podman() {
                    // Refused: there is nothing of ours under this name.
                    container.gone = true;
                    self.live.forget(&container.name);
                }
                Err(self.failed("create a container", error))
            }
            Err(panic) => {
                Err(EngineError::Broken { action: "create a container".to_owned(), why: panic.to_string() })
            }
        }
    }

    /// Removes a container and its volumes; `true` if it was there.
    pub(super) async fn remove_container(&self, name: &str) -> Result<bool, EngineError> {
        let was_there = self.remove_container_alone(name).await?;
        self.remove_volumes_of(name).await?;
        Ok(was_there)
    }

    async fn remove_container_alone(&self, name: &str) -> Result<bool, EngineError> {
        let mut attempt = 0;
        loop {
            let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
            let error = match self.shared.client.remove_container(name, Some(options)).await {
                Ok(()) => return Ok(true),
                Err(error) => error,
            };
            attempt += 1;
            match status(&error) {
                Some(404) => return Ok(false),
                // Someone else removes it already; wait until it is gone.
                Some(409) if attempt < 10 * REMOVAL_ATTEMPTS => {}
                // Storage drivers can be busy for a moment after a kill.
                _ if attempt < REMOVAL_ATTEMPTS => {}
                _ => return Err(self.failed(format!("remove container {name}"), error)),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Removes every container of this process and refuses new ones. Returns how many were removed.
    pub(crate) async fn shutdown(&self) -> usize {
        self.live.stop();
        let until = tokio::time::Instant::now() + SHUTDOWN_TIME;
        let mut removed = 0;
        loop {
            let changed = self.live.changed();
            let waiting: Vec<(String, Phase)> =
                self.live.containers().iter().map(|(name, phase)| (name.clone(), *phase)).collect();
            let created = waiting.iter().filter(|(_, phase)| *phase == Phase::Created);
            let removals = created.map(|(name, _)| async move {
                let result = self.remove_container(name).await;
                if result.is_ok() {
                    self.live.forget(name);
                }
                result.is_ok_and(|was_there| was_there)
            });
            let Ok(results) = tokio::time::timeout_at(until, join_all(removals)).await else {
                return removed;
            };
            removed += results.into_iter().filter(|was_there| *was_there).count();
            if self.live.containers().is_empty() || tokio::time::Instant::now() > until {
                return removed;
            }
            // What is being made or removed tells when that is done; what could not be removed is tried again.
            let _ = tokio::time::timeout(SHUTDOWN_PAUSE, changed).await;
        }
    }
}

impl Container {
    /// The name that the engine knows it by.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Removes it now. If the engine cannot, it stays known, and [`crate::Engine::shutdown`] tries again.
    pub(super) async fn remove(mut self) {
        let removed = self.docker.remove_container(&self.name).await.is_ok();
        self.gone = true;
        if removed {
            self.docker.live.forget(&self.name);
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        // Without a runtime nothing can be sent; the next run sweeps by label.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (docker, name, creation) =
            (self.docker.clone(), std::mem::take(&mut self.name), self.creation.take());
        if creation.is_none() {
            docker.live.set(&name, Phase::Removing);
        }
        runtime.spawn(async move {
            if let Some(creation) = creation {
                let _ = creation.await;
                docker.live.set(&name, Phase::Removing);
            }
            match docker.remove_container(&name).await {
                Ok(_) => docker.live.forget(&name),
                // The shutdown tries again.
                Err(_) => docker.live.set(&name, Phase::Created),
            }
        });
    }
}
