//! What a worker has to show before anything is believed that ran there.
//!
//! Programs of kiln are given absolute paths, and are said to have no network. Servers whose workers put the root of an action
//! into some folder, or beside files of their own, cannot keep either; a small program of ours, alone in a root, tells.

use crate::content::{Source, Sources};
use crate::tree::{File, Folder, Node};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiln_engine::{Limits, RunSpec};
use kiln_record::Digest;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// The program: what `handshake.s` beside it says, assembled.
const PROGRAM: &str = include_str!("handshake.base64");
/// Where it is in its root.
pub(crate) const PATH: &str = "/kiln/handshake";
/// How long the program may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the program ends with where there is more than its root, and where there is a network.
const MORE: i32 = 11;
const NETWORK: i32 = 12;

/// The program, if it is for the workers of this machine's kind.
pub(crate) fn program() -> io::Result<Option<Vec<u8>>> {
    if !cfg!(target_arch = "x86_64") {
        return Ok(None);
    }
    let text: String = PROGRAM.split_whitespace().collect();
    STANDARD.decode(text).map(Some).map_err(io::Error::other)
}

/// A root that has the program and nothing else.
pub(crate) fn root(program: Vec<u8>) -> io::Result<(Folder, Sources)> {
    let mut root = Folder::new(0o755, 0);
    let digest = Digest::of(&program);
    let file = File { digest, size: program.len() as u64, mode: 0o755, time: 0 };
    root.put("/kiln", Node::Folder(Arc::new(Folder::new(0o755, 0))))?;
    root.put(PATH, Node::File(file))?;
    Ok((root, Sources::from([(digest, Source::Bytes(program.into()))])))
}

/// The program as a run, without the root that it is in.
pub(crate) fn spec() -> RunSpec {
    let limits = Limits {
        memory_bytes: 64 << 20,
        scratch_bytes: None,
        descriptors: None,
        pids: 16,
        cpus: None,
        output_bytes: 1 << 20,
        output_files: 1,
        deadline: DEADLINE,
    };
    RunSpec::new("the handshake", "", [PATH], limits)
}

/// Why a worker cannot be used, by what the program ended with there.
pub(crate) fn refused(exit_code: i32) -> Option<String> {
    match exit_code {
        0 => None,
        MORE => Some(
            "its workers show programs files of their own: there is a /usr that kiln did not send".to_owned(),
        ),
        NETWORK => Some("programs on its workers have a network".to_owned()),
        code => Some(format!(
            "its workers do not put the root of an action at `/`: {PATH} in it could not be run (exit code {code})"
        )),
    }
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_program_sees_that_this_machine_is_no_root_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handshake");
        fs_err::write(&path, program().unwrap().unwrap()).unwrap();
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let ended = std::process::Command::new(&path).status().unwrap();
        assert_eq!(ended.code(), Some(MORE), "every machine that this is tested on has a /usr");
        assert!(refused(MORE).unwrap().contains("/usr"));
        assert!(refused(127).unwrap().contains("at `/`"));
        assert_eq!(refused(0), None);
    }
}
