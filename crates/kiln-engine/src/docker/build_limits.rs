//! What a build may use, as far as an engine's interface for builds takes limits, and the disk of an engine on this host.

use super::Docker;
use crate::{Builder, EngineError};
use bollard::query_parameters::BuildImageOptionsBuilder;
use std::path::Path;
use std::time::Duration;

/// How often the disk is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// The weight of a build among containers that want the processors, of which each has 1024.
const WEIGHT: i32 = 512;

/// States limits to the builder that takes any: BuildKit has none for a build.
pub(super) fn limited(
    options: BuildImageOptionsBuilder,
    builder: Builder,
    memory_bytes: u64,
) -> BuildImageOptionsBuilder {
    match builder {
        Builder::Classic => {
            // The client's type for it ends at 2 GiB.
            let memory = i32::try_from(memory_bytes).unwrap_or(i32::MAX);
            // Memory and swap together: no swap.
            options.memory(memory).memswap(memory).cpushares(WEIGHT)
        }
        Builder::BuildKit | Builder::Buildah => options,
    }
}

impl Docker {
    /// Returns when there are so many bytes less on the disk of an engine on this host; never for another, whose disk cannot
    /// be seen. Whatever else is written meanwhile counts, too.
    pub(super) async fn disk_fills(&self, name: &str, limit: u64) -> EngineError {
        let is_here = self.shared.endpoint.contains("unix://");
        let root = match self.shared.client.info().await {
            Ok(info) if is_here => info.docker_root_dir.filter(|root| Path::new(root).is_dir()),
            _ => None,
        };
        let free = |root: &str| rustix::fs::statvfs(root).ok().map(|disk| disk.f_bavail * disk.f_frsize);
        let Some((root, before)) = root.and_then(|root| free(&root).map(|free| (root, free))) else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep(LOOK).await;
            if free(&root).is_some_and(|now| before.saturating_sub(now) > limit) {
                return EngineError::OutputTooLarge {
                    name: name.to_owned(),
                    what: format!("what is written to {root}"),
                    limit,
                };
            }
        }
    }
}
