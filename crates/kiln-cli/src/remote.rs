//! How the shared cache, and the server that programs run on, are reached: `[remote]` of `kiln.toml`, and the environment.

use crate::failure::Failure;
use crate::variables::{self as var, Variables};
use kiln_invocation::{RegistryCacheSettings, SharedCache, WORKSPACE_FILE};
use kiln_plan::{EngineKind, RemoteSetting, Settings};
use kiln_remote::{Address, ExecutorSettings, Limits, Login, RemoteSettings};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What says that no cache is used, whatever the workspace names.
const OFF: &str = "off";
/// How the address of a cache begins that is a repository of a container registry.
const IN_REGISTRY: &str = "oci://";

/// The shared cache, if there is one. A variable is of this machine, and decides.
pub(crate) fn remote_settings(
    named: &RemoteSetting,
    variables: &Variables,
) -> Result<Option<SharedCache>, Failure> {
    let (text, from) = match (variables.get(var::KILN_REMOTE), &named.cache) {
        (Some(OFF), _) | (None, None) => return Ok(None),
        (Some(text), _) => (text, var::KILN_REMOTE),
        (None, Some(text)) => (text.as_str(), WORKSPACE_FILE),
    };
    let write = match variables.get(var::KILN_REMOTE_WRITE) {
        None => named.write,
        Some("true") => true,
        Some("false") => false,
        Some(other) => {
            let message = format!("{} is `{other}`, which is neither true nor false", var::KILN_REMOTE_WRITE);
            return Err(Failure::usage(message));
        }
    };
    if let Some(repository) = text.strip_prefix(IN_REGISTRY) {
        let cache = RegistryCacheSettings::new(repository, write).map_err(|error| {
            Failure::input(format!("{from}: {IN_REGISTRY} is followed by HOST[:PORT]/REPOSITORY: {error}"))
        })?;
        return Ok(Some(SharedCache::Registry(cache)));
    }
    let address: Address = text.parse().map_err(|error| Failure::input(format!("{from}: {error}")))?;
    let login = login(variables, "the cache", from, var::KILN_REMOTE, &address)?;
    Ok(Some(SharedCache::Remote(RemoteSettings { address, write, login, limits: Limits::default() })))
}

/// The server that programs run on, if they do not run in containers here. A variable is of this machine, and decides.
pub(crate) fn executor_settings(
    settings: &Settings,
    variables: &Variables,
    store: &Path,
) -> Result<Option<ExecutorSettings>, Failure> {
    let named = &settings.remote;
    let (text, from) = match (variables.get(var::KILN_EXECUTE), settings.engine.kind, &named.execute) {
        (Some(OFF), ..) | (None, EngineKind::Container, _) => return Ok(None),
        (Some(text), ..) => (text, var::KILN_EXECUTE),
        (None, EngineKind::Remote, Some(text)) => (text.as_str(), WORKSPACE_FILE),
        (None, EngineKind::Remote, None) => {
            let message = format!("{WORKSPACE_FILE}: the engine's kind is `remote`, and no server is named");
            return Err(Failure::input(message).hint(format!(
                "name one: execute = \"grpcs://HOST\" under [remote], or {}=ADDRESS",
                var::KILN_EXECUTE
            )));
        }
    };
    let address: Address = text.parse().map_err(|error| Failure::input(format!("{from}: {error}")))?;
    let login = login(variables, "the server that programs run on", from, var::KILN_EXECUTE, &address)?;
    Ok(Some(ExecutorSettings {
        address,
        login,
        limits: Limits::default(),
        properties: named.properties.clone(),
        queue: Duration::from_secs(named.queue_seconds().into()),
        as_user: named.users.unwrap_or(true),
        folder: store.to_owned(),
    }))
}

/// Who a server is asked as, that `from` names and `variable` could.
fn login(
    variables: &Variables,
    what: &str,
    from: &str,
    variable: &str,
    address: &Address,
) -> Result<Login, Failure> {
    let helper = variables.get(var::KILN_REMOTE_CREDENTIAL_HELPER);
    Ok(match (helper, variables.get(var::KILN_REMOTE_TOKEN_FILE)) {
        (Some(program), _) => Login::Helper(PathBuf::from(program)),
        (None, Some(_)) if from == WORKSPACE_FILE => {
            return Err(Failure::input(format!(
                "{} is set, and {WORKSPACE_FILE} names {what}: a workspace does not choose who gets a token",
                var::KILN_REMOTE_TOKEN_FILE
            ))
            .hint(format!("name {what} that it is for as well: {variable}={address}")));
        }
        (None, Some(file)) => Login::TokenFile(PathBuf::from(file)),
        (None, None) => Login::None,
    })
}
