//! Podman, which answers as Docker does and does some things otherwise.
//!
//! - It unpacks an archive below the root and not into the volumes that are mounted there, and gives a volume to the user of
//!   the first program that has it. So there is no loader here: each folder is a volume that is made before, with its owner,
//!   and each input is an archive of its own.
//! - It refuses options of memory folders that Docker passes on. Scratch folders are volumes of memory instead.
//! - Without root it mounts no volume, and scratch folders are its memory folders after all: of those it takes no number of files.
//! - It puts memory that everybody may write to over three folders of a read-only root. What is given there instead is closed.
//! - It takes the name of a variable without a value for a wish to have the engine's own, and has a word for having none.
//! - It leaves names out of the archives that it gives (`LEFT_OUT`).
//! - Of a container that is removed while it runs, it says that its program ended well.
//! - Its init ends with a code of its own where there is no program to start.
//! - Its tests of health are timers of systemd; they are run from here instead.

use crate::run::User;
use crate::{GuestPath, Unkept};
use bollard::errors::Error as BollardError;
use bollard::models::{SystemVersion, VolumeCreateRequest};
use bollard::{BollardRequest, body_full};
use futures_util::{FutureExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The oldest release that has been seen to work: its interface is the first with a word for having no other variables.
pub(super) const OLDEST: &str = "Podman 4.3";
const OLDEST_NUMBERS: (u32, u32) = (4, 3);

/// Where it says what it is in its own interface, in a version that 4.3 and 5 have.
const OWN_INFO: &str = "/v4.0.0/libpod/info";
/// The bytes that volumes of memory are counted in.
const PAGE: u64 = 4096;
/// How its line begins and ends that there is no program to start.
const NO_PROGRAM: (&[u8], &[u8]) =
    (b"ERROR (catatonit:", b"failed to exec pid1: No such file or directory\n");
/// The exit code of a program that is not there, by the shell's rule.
const NOT_FOUND: i64 = 127;

/// A folder of one container.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) path: GuestPath,
    pub(super) owner: User,
    /// The bytes and the files that it may have, if it is memory.
    pub(super) memory: Option<(u64, u64)>,
    pub(super) read_only: bool,
}

/// What Podman says of its machine in an interface of its own. In the one that is Docker's, it says nothing of whose the control
/// groups are.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Host {
    cgroup_controllers: Option<Vec<String>>,
    cgroup_manager: String,
    cgroup_version: String,
    security: Security,
}

#[derive(Debug, Deserialize)]
struct Security {
    rootless: bool,
}

impl Host {
    /// Asks for it. bollard has no word for that, and one for something else whose answer it gives as it is.
    pub(super) async fn ask(client: &bollard::Docker) -> Result<Self, BollardError> {
        let client = client.clone().with_request_modifier(of_own_interface);
        let mut chunks = client.export_container("info");
        let mut answer = Vec::new();
        while let Some(chunk) = chunks.next().await {
            answer.extend_from_slice(&chunk?);
        }
        let Answer { host } = serde_json::from_slice(&answer)?;
        Ok(host)
    }

    /// Whether its user is not root.
    pub(super) fn is_rootless(&self) -> bool {
        self.security.rootless
    }

    /// What it does not hold programs to. Without root it has the control groups that systemd gives out, whatever is listed.
    pub(super) fn unkept(&self) -> Vec<Unkept> {
        if !self.is_rootless() {
            return Vec::new();
        }
        let given = self.cgroup_controllers.iter().flatten();
        let given: Vec<&str> = match self.cgroup_version == "v2" && self.cgroup_manager == "systemd" {
            true => given.map(String::as_str).collect(),
            false => Vec::new(),
        };
        let limits = [("memory", Unkept::Memory), ("pids", Unkept::Processes)];
        let lacking = limits.into_iter().filter(|(group, _)| !given.contains(group)).map(|(_, limit)| limit);
        lacking.chain([Unkept::ScratchFiles]).collect()
    }
}

#[derive(Deserialize)]
struct Answer {
    host: Host,
}

/// A request for what Podman says of itself, whatever was asked for.
fn of_own_interface(mut request: BollardRequest) -> BollardRequest {
    let uri = request.uri();
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority())
        && let Ok(own) = format!("{scheme}://{authority}{OWN_INFO}").parse()
    {
        *request.uri_mut() = own;
    }
    request
}

/// The version of Podman, if that is what answers.
pub(super) fn version_of(answer: &SystemVersion) -> Option<&str> {
    let components = answer.components.iter().flatten();
    components.into_iter().find(|part| part.name == "Podman Engine").map(|part| part.version.as_str())
}

/// Whether a version is no older than [`OLDEST`].
pub(super) fn is_new_enough(version: &str) -> bool {
    let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    numbers.next().is_some_and(|major| (major, numbers.next().unwrap_or(0)) >= OLDEST_NUMBERS)
}

/// Says in a request for a container that it has no variables but those of the request, which bollard has no word for.
pub(super) fn with_no_other_variables(mut request: BollardRequest) -> BollardRequest {
    if !request.uri().path().ends_with("/containers/create") {
        return request;
    }
    let body = std::mem::replace(request.body_mut(), body_full(bytes::Bytes::new()));
    // All of it is there already.
    let Some(Ok(body)) = body.collect().now_or_never() else { return request };
    let mut bytes = body.to_bytes();
    if let Ok(serde_json::Value::Object(mut wanted)) = serde_json::from_slice(&bytes) {
        wanted.insert("UnsetEnvAll".to_owned(), true.into());
        bytes = serde_json::Value::Object(wanted).to_string().into();
    }
    *request.body_mut() = body_full(bytes);
    request
}

/// What became of a program, where `catatonit` says that there was none: it ends with a code of its own then.
pub(super) fn exit_code(exit_code: i64, stdout: &[u8], stderr: &[u8]) -> i64 {
    let is_said = stderr.starts_with(NO_PROGRAM.0)
        && stderr.ends_with(NO_PROGRAM.1)
        && stdout.is_empty()
        && stderr.iter().filter(|byte| **byte == b'\n').count() == 1;
    if exit_code == 1 && is_said { NOT_FOUND } else { exit_code }
}

impl Volume {
    /// What makes it. The owner is among the options: Podman would find another one otherwise.
    pub(super) fn request(&self, name: String, labels: BTreeMap<String, String>) -> VolumeCreateRequest {
        let User { uid, gid } = self.owner;
        let mut how = format!("uid={uid},gid={gid}");
        let mut options = vec![("nocopy", String::new())];
        if let Some((bytes, files)) = self.memory {
            // In pages: Podman takes `size` for a quota of a disk.
            how = format!("{how},mode=1777,nr_blocks={},nr_inodes={files}", bytes.div_ceil(PAGE));
            options.push(("type", "tmpfs".to_owned()));
        }
        options.push(("o", how));
        VolumeCreateRequest {
            name: Some(name),
            driver_opts: Some(options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            labels: Some(labels.into_iter().collect()),
            ..VolumeCreateRequest::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        for (version, is_it) in [
            ("4.3.1", true),
            ("4.10.0", true),
            ("5.4.2", true),
            ("4.2.1", false),
            ("3.4.4", false),
            ("", false),
        ] {
            assert_eq!(is_new_enough(version), is_it, "{version}");
        }
    }

    #[test]
    fn limits_are_those_whose_control_groups_its_user_was_given() {
        let all = [Unkept::Memory, Unkept::Processes, Unkept::ScratchFiles];
        for (controllers, version, manager, rootless, unkept) in [
            ("[\"memory\", \"pids\"]", "v1", "cgroupfs", false, &all[..0]),
            ("[]", "v1", "cgroupfs", true, &all[..]),
            ("null", "v1", "systemd", true, &all[..]),
            ("[\"memory\", \"pids\"]", "v2", "cgroupfs", true, &all[..]),
            ("[\"memory\", \"pids\"]", "v2", "systemd", true, &all[2..]),
            ("[\"memory\"]", "v2", "systemd", true, &all[1..]),
        ] {
            let host = format!(
                "{{\"cgroupControllers\": {controllers}, \"cgroupVersion\": \"{version}\", \"cgroupManager\": \
                 \"{manager}\", \"security\": {{\"rootless\": {rootless}}}}}"
            );
            let host: Host = serde_json::from_str(&host).unwrap();
            assert_eq!(host.unkept(), unkept, "{host:?}");
        }
    }

    #[test]
    fn a_container_is_asked_for_without_other_variables() {
        let request = |path: &str| {
            let body = body_full(bytes::Bytes::from_static(b"{\"Env\":[\"A=1\"]}"));
            let mut request = BollardRequest::new(body);
            *request.uri_mut() = path.parse().unwrap();
            let body = with_no_other_variables(request).into_body().collect().now_or_never().unwrap();
            String::from_utf8(body.unwrap().to_bytes().to_vec()).unwrap()
        };
        assert_eq!(request("/v1.41/containers/create"), "{\"Env\":[\"A=1\"],\"UnsetEnvAll\":true}");
        assert_eq!(request("/v1.41/volumes/create"), "{\"Env\":[\"A=1\"]}");
    }
}
