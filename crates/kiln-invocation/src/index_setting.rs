//! Indexes that `kiln.toml` names, as this machine reaches them.

use crate::InvocationError;
use kiln_fetch::{Index, IndexSetting, without_credentials};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// How long the `keyring` command may take: it may ask a person to unlock something.
const KEYRING_WAIT: Duration = Duration::from_secs(120);

/// An index that `kiln.toml` names, as this machine reaches it.
#[derive(Clone, Debug)]
pub struct NamedIndexSetting {
    /// Its URL with its login, or why it cannot be used here.
    pub setting: Result<IndexSetting, String>,
    /// Whether it takes the place of the index that is configured elsewhere.
    pub default: bool,
    /// The program to ask for its password, where `kiln.toml` says so.
    pub keyring: Option<PathBuf>,
}

impl NamedIndexSetting {
    /// The index, with the password that the keyring has if none is known yet.
    pub async fn index(&self, name: &str) -> Result<Index, InvocationError> {
        let error = |reason: String| InvocationError::Index { index: name.to_owned(), reason };
        let mut index = Index::from(self.setting.clone().map_err(error)?);
        if let Some(program) = &self.keyring
            && index.url.password().is_none()
        {
            let user = index.url.username().to_owned();
            if user.is_empty() {
                let variable = name.to_ascii_uppercase().replace('-', "_");
                return Err(error(format!(
                    "the keyring is to be asked for its password, but nothing says for which user: set KILN_INDEX_{variable}_USERNAME, or write https://USER@… in its URL"
                )));
            }
            let refused = |reason| InvocationError::Keyring { index: name.to_owned(), reason };
            let password = ask_keyring(program, &index, &user).await.map_err(refused)?;
            // It fails only for URLs that cannot hold a login, which this one has.
            let _ = index.url.set_password(Some(&password));
        }
        Ok(index)
    }
}

/// Asks the `keyring` command for the password of an index, then of its host: as pip does.
async fn ask_keyring(program: &Path, index: &Index, user: &str) -> Result<String, String> {
    let url = without_credentials(&index.url);
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let mut last = String::new();
    for service in [url.as_str(), &host] {
        let mut command = tokio::process::Command::new(program);
        command.args(["get", service, user]).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let asked = tokio::time::timeout(KEYRING_WAIT, command.output()).await;
        let output = match asked {
            Err(_) => {
                return Err(format!("`keyring get` did not answer within {} s", KEYRING_WAIT.as_secs()));
            }
            Ok(Err(error)) => return Err(format!("`keyring` cannot be started: {error}")),
            Ok(Ok(output)) => output,
        };
        let password = String::from_utf8_lossy(&output.stdout).trim_end_matches(['\r', '\n']).to_owned();
        if output.status.success() && !password.is_empty() {
            return Ok(password);
        }
        last = output.status.to_string();
    }
    Err(format!("`keyring get` has no password of its user for {url} or {host} ({last})"))
}
