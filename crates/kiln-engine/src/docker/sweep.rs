//! Labels, and the containers that a killed process left behind.

use super::Docker;
use crate::{ContainerInfo, EngineError, Session};
use bollard::query_parameters::ListContainersOptionsBuilder;
use std::collections::BTreeMap;

pub(super) const SESSION: &str = "kiln.session";
const HOST: &str = "kiln.host";
const PID: &str = "kiln.pid";
const STARTED: &str = "kiln.pid-start";
const NAME: &str = "kiln.name";

impl Docker {
    /// What every container of this process carries.
    pub(super) fn labels(&self, name: &str) -> BTreeMap<String, String> {
        let session = &self.session;
        let mut labels = BTreeMap::from([
            (SESSION.to_owned(), session.id.clone()),
            (HOST.to_owned(), session.host.clone()),
            (PID.to_owned(), session.pid.to_string()),
            (NAME.to_owned(), name.to_owned()),
        ]);
        if let Some(started) = session.started {
            labels.insert(STARTED.to_owned(), started.to_string());
        }
        labels
    }

    /// See [`crate::Engine::containers`].
    pub(crate) async fn containers(&self) -> Result<Vec<ContainerInfo>, EngineError> {
        let filters = [("label", vec![SESSION])].into_iter().collect();
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        // One may be gone, and forgotten, when the answer that has it still is here.
        let leaving = self.live.removing();
        let listed = self.settled(|| self.shared.client.list_containers(Some(options.clone()))).await;
        let listed = listed.map_err(|e| self.failed("list containers", e))?;
        let mut containers: Vec<ContainerInfo> = listed
            .into_iter()
            .filter_map(|container| {
                let labels: BTreeMap<String, String> =
                    container.labels.unwrap_or_default().into_iter().collect();
                Some(ContainerInfo {
                    container: container.names?.first()?.trim_start_matches('/').to_owned(),
                    ..described(&labels)?
                })
            })
            .filter(|ContainerInfo { container, .. }| {
                !leaving.contains(container) && !self.live.is_removing(container)
            })
            .collect();
        containers.sort();
        Ok(containers)
    }

    /// See [`crate::Engine::sweep`].
    pub(crate) async fn sweep(&self) -> Result<usize, EngineError> {
        let mut removed = 0;
        for container in self.containers().await? {
            if container.is_left_over(&self.session) && self.remove_container(&container.container).await? {
                removed += 1;
            }
        }
        self.sweep_volumes().await?;
        Ok(removed)
    }
}

/// What labels tell of a container, but for its own name.
pub(super) fn described(labels: &BTreeMap<String, String>) -> Option<ContainerInfo> {
    let label = |key: &str| labels.get(key).cloned().unwrap_or_default();
    Some(ContainerInfo {
        container: String::new(),
        name: label(NAME),
        session: Session {
            id: label(SESSION),
            host: label(HOST),
            pid: label(PID).parse().ok()?,
            started: label(STARTED).parse().ok(),
        },
    })
}
