//! How the shared cache is reached: `[remote]` of `kiln.toml`, and the environment.

use crate::failure::Failure;
use crate::variables::{self as var, Variables};
use kiln_invocation::WORKSPACE_FILE;
use kiln_plan::RemoteSetting;
use kiln_remote::{Address, Limits, Login, RemoteSettings};
use std::path::PathBuf;

/// What says that no cache is used, whatever the workspace names.
const OFF: &str = "off";

/// The shared cache, if there is one. A variable is of this machine, and decides.
pub(crate) fn remote_settings(
    named: &RemoteSetting,
    variables: &Variables,
) -> Result<Option<RemoteSettings>, Failure> {
    let (text, from) = match (variables.get(var::KILN_REMOTE), &named.cache) {
        (Some(OFF), _) | (None, None) => return Ok(None),
        (Some(text), _) => (text, var::KILN_REMOTE),
        (None, Some(text)) => (text.as_str(), WORKSPACE_FILE),
    };
    let address: Address = text.parse().map_err(|error| Failure::input(format!("{from}: {error}")))?;
    let write = match variables.get(var::KILN_REMOTE_WRITE) {
        None => named.write,
        Some("true") => true,
        Some("false") => false,
        Some(other) => {
            let message = format!("{} is `{other}`, which is neither true nor false", var::KILN_REMOTE_WRITE);
            return Err(Failure::usage(message));
        }
    };
    let helper = variables.get(var::KILN_REMOTE_CREDENTIAL_HELPER);
    let login = match (helper, variables.get(var::KILN_REMOTE_TOKEN_FILE)) {
        (Some(program), _) => Login::Helper(PathBuf::from(program)),
        (None, Some(_)) if from == WORKSPACE_FILE => {
            return Err(Failure::input(format!(
                "{} is set, and {WORKSPACE_FILE} names the cache: a workspace does not choose who gets a token",
                var::KILN_REMOTE_TOKEN_FILE
            ))
            .hint(format!("name the cache that it is for as well: {}={address}", var::KILN_REMOTE)));
        }
        (None, Some(file)) => Login::TokenFile(PathBuf::from(file)),
        (None, None) => Login::None,
    };
    Ok(Some(RemoteSettings { address, write, login, limits: Limits::default() }))
}
