//! Folders of this machine that containers see: where engine and host share a disk, a tree need not be sent.
//!
//! Nobody is believed about that. A socket may lead to another machine, into a virtual machine that shares some folders, or
//! into a container that has others; so a file with a text that nobody can know is written into a folder, and read back
//! through a container that has the folder bound.

use super::{Docker, failed, podman, status};
use crate::run::InputContent;
use crate::{EngineError, GuestPath, InputTree, Surroundings};
use bollard::models::{ContainerCreateBody, HostConfig, Mount, MountType};
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use fs_err as fs;
use futures_util::StreamExt as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Where the folder is bound that is tried.
const PLACE: &str = "/kiln-seen";
/// The bytes of a nonce.
const NONCE: usize = 32;
/// The most bytes of an archive that has the nonce and nothing else.
const MOST: usize = 64 << 10;
/// What an engine's security options have if its containers see other owners, or may not read every folder that is bound.
const OTHERWISE: [&str; 3] = ["name=userns", "name=rootless", "name=selinux"];

/// A folder of this machine at a path of a container.
pub(super) type Bound = (GuestPath, PathBuf);

impl Docker {
    /// See [`crate::Engine::reads_folder`].
    pub(crate) async fn reads_folder(
        &self,
        folder: &Path,
        inside: &Path,
        image: &str,
    ) -> Result<bool, EngineError> {
        if let Some(seen) = self.shared.seen.get(folder) {
            return Ok(seen);
        }
        let seen = self.sees(folder, inside, image).await?;
        self.shared.seen.set(folder, seen);
        Ok(seen)
    }

    async fn sees(&self, folder: &Path, inside: &Path, image: &str) -> Result<bool, EngineError> {
        let Ok(below) = inside.strip_prefix(folder) else { return Ok(false) };
        let mut options = self.said().await?.security_options.iter().flatten();
        if self.shared.podman.as_ref().is_some_and(podman::Host::is_rootless)
            || options.any(|option| OTHERWISE.iter().any(|other| option.starts_with(other)))
        {
            return Ok(false);
        }
        let (name, nonce) = nonce_file(inside).map_err(|error| EngineError::Broken {
            action: format!("find out whether the engine reads {}", folder.display()),
            why: error.to_string(),
        })?;
        let found = self.read_through_container(folder, &below.join(&name), image).await;
        // It means nothing to anybody, and the next try has another name.
        let _ = fs::remove_file(inside.join(&name));
        Ok(found?.is_some_and(|found| found == nonce))
    }

    /// The content of a file in a folder as a container sees it; none if the engine cannot give it.
    async fn read_through_container(
        &self,
        folder: &Path,
        file: &Path,
        image: &str,
    ) -> Result<Option<Vec<u8>>, EngineError> {
        let never = || Some(vec!["never-started".to_owned()]);
        let place = GuestPath::new(PLACE).map_err(|error| EngineError::Broken {
            action: "bind a folder".to_owned(),
            why: error.to_string(),
        })?;
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            labels: Some(self.labels("shared-folder").into_iter().collect()),
            entrypoint: never(),
            cmd: never(),
            network_disabled: Some(true),
            host_config: Some(HostConfig {
                mounts: Some(vec![bind(&(place, folder.to_owned()))]),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let container = match self.create(body).await {
            Ok(container) => container,
            // There is no such folder where it looks, or it binds none.
            Err(EngineError::Refused { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let options =
            DownloadFromContainerOptionsBuilder::new().path(&format!("{PLACE}/{}", file.display())).build();
        let mut chunks = self.shared.client.download_from_container(container.name(), Some(options));
        let mut archive = Vec::new();
        let mut result = Ok(Some(()));
        while let Some(chunk) = chunks.next().await {
            match chunk {
                Ok(chunk) if archive.len() + chunk.len() <= MOST => archive.extend_from_slice(&chunk),
                Ok(_) => result = Ok(None),
                Err(error) if status(&error).is_some() => result = Ok(None),
                Err(error) => result = Err(failed(&self.shared.endpoint, "read a shared folder", error)),
            }
            if !matches!(result, Ok(Some(()))) {
                break;
            }
        }
        drop((chunks, container));
        Ok(result?.and_then(|()| only_file(&archive)))
    }

    /// Takes the folders out of the inputs that a container is to have bound.
    pub(super) fn bound(
        &self,
        inputs: Vec<InputTree>,
        outputs: &[GuestPath],
        surroundings: &Surroundings,
    ) -> (Vec<Bound>, Vec<InputTree>) {
        let mut bound = Vec::new();
        let mut sent = Vec::new();
        for input in inputs {
            match &input.content {
                InputContent::Folder(folder)
                    if surroundings.input_time == 0
                        && !outputs.contains(&input.path)
                        && self.shared.seen.has(folder) =>
                {
                    bound.push((input.path.clone(), folder.clone()));
                }
                _ => sent.push(input),
            }
        }
        (bound, sent)
    }
}

/// A mount that nobody writes to.
pub(super) fn bind((path, folder): &Bound) -> Mount {
    Mount {
        target: Some(path.to_string()),
        source: Some(folder.display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        ..Mount::default()
    }
}

/// Writes a new file with a nonce, and gives its name and content.
fn nonce_file(folder: &Path) -> std::io::Result<(String, Vec<u8>)> {
    let mut random = [0; NONCE];
    fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    let nonce: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let name = format!(".nonce-{}", &nonce[..16]);
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(folder.join(&name))?
        .write_all(nonce.as_bytes())?;
    Ok((name, nonce.into_bytes()))
}

/// The content of the one file of an archive.
fn only_file(archive: &[u8]) -> Option<Vec<u8>> {
    let mut archive = tar::Archive::new(archive);
    let mut entries = archive.entries().ok()?;
    let mut content = Vec::new();
    entries.next()?.ok()?.read_to_end(&mut content).ok()?;
    entries.next().is_none().then_some(content)
}
