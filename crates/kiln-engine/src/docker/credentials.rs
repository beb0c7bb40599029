//! Credentials for a registry, from where `docker login` puts them: Docker's `config.json` and credential helpers.

use super::Docker;
use crate::endpoint::read_if_there;
use crate::image::{check_reference, registry_of};
use crate::{Credentials, EngineError, EngineSettings};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use kiln_record::excerpt;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

const HELPER_TIME: Duration = Duration::from_secs(60);

#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers", default)]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Auth {
    auth: Option<String>,
    identitytoken: Option<String>,
}

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

impl Docker {
    /// See [`crate::Engine::credentials`].
    pub(crate) async fn credentials(&self, reference: &str) -> Result<Option<Credentials>, EngineError> {
        check_reference(reference)?;
        let Some(folder) = self.shared.config_dir.as_deref() else { return Ok(None) };
        let registry = match registry_of(reference) {
            Some(registry) => registry.to_owned(),
            // No registry in the name means the engine's own default, and only the engine knows which that is.
            None => {
                let info = self.shared.client.info().await;
                let info = info.map_err(|e| self.failed("ask the engine for its default registry", e))?;
                info.index_server_address.unwrap_or_default()
            }
        };
        look_up(&folder.join("config.json"), &registry).await
    }
}

/// The credentials that `docker login` stored for a registry, by its host and port; `None` if there are none. No engine is
/// asked.
///
/// # Errors
/// [`EngineError::Credentials`] if Docker's configuration or a credential helper fails.
pub async fn registry_credentials(
    settings: &EngineSettings,
    registry: &str,
) -> Result<Option<Credentials>, EngineError> {
    match settings.config_dir.as_deref() {
        Some(folder) => look_up(&folder.join("config.json"), registry).await,
        None => Ok(None),
    }
}

async fn look_up(file: &Path, registry: &str) -> Result<Option<Credentials>, EngineError> {
    let error = |why: String| EngineError::Credentials { registry: registry.to_owned(), why };
    let Some(text) = read_if_there(file).map_err(|e| error(e.to_string()))? else { return Ok(None) };
    let config: Config =
        serde_json::from_str(&text).map_err(|e| error(format!("{}: {e}", file.display())))?;
    if let Some(helper) =
        config.helpers.get(registry).or(config.store.as_ref()).filter(|name| !name.is_empty())
    {
        return ask_helper(helper, registry).await.map_err(error);
    }
    // Older logins wrote addresses instead of names.
    let entry = config.auths.iter().find(|(key, _)| key.as_str() == registry || host_of(key) == registry);
    let Some((_, entry)) = entry else { return Ok(None) };
    let identity_token = entry.identitytoken.clone().filter(|token| !token.is_empty());
    let Some(encoded) = entry.auth.as_deref().filter(|text| !text.is_empty()) else {
        return Ok(identity_token.map(|token| Credentials {
            registry: registry.to_owned(),
            username: String::new(),
            password: String::new(),
            identity_token: Some(token),
        }));
    };
    let malformed =
        || error(format!("{}: the entry is not base64 of `user:password`; log in again", file.display()));
    let decoded = STANDARD
        .decode(encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(malformed)?;
    let (username, password) = decoded.split_once(':').ok_or_else(malformed)?;
    Ok(Some(Credentials {
        registry: registry.to_owned(),
        username: username.to_owned(),
        password: password.trim_end_matches('\0').to_owned(),
        identity_token,
    }))
}

fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Docker's credential helper protocol: the registry on stdin, JSON on stdout.
async fn ask_helper(helper: &str, registry: &str) -> Result<Option<Credentials>, String> {
    if !helper.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')) {
        return Err(format!("`{}` is not the name of a credential helper", excerpt(helper)));
    }
    let program = format!("docker-credential-{helper}");
    let fault = |why: String| format!("{program}: {why}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| fault(e.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read fails below, with its own words.
        let _ = stdin.write_all(registry.as_bytes()).await;
    }
    let output = tokio::time::timeout(HELPER_TIME, child.wait_with_output())
        .await
        .map_err(|_| fault(format!("no answer within {} s", HELPER_TIME.as_secs())))?
        .map_err(|e| fault(e.to_string()))?;
    if !output.status.success() {
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // The protocol has no other sign for "nothing stored".
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(fault(format!("{}: {}", output.status, said.trim())));
    }
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout).map_err(|e| fault(e.to_string()))?;
    let token = answer.username == "<token>";
    Ok(Some(Credentials {
        registry: registry.to_owned(),
        username: if token { String::new() } else { answer.username },
        password: if token { String::new() } else { answer.secret.clone() },
        identity_token: token.then_some(answer.secret),
    }))
}

impl From<Credentials> for DockerCredentials {
    fn from(credentials: Credentials) -> Self {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Self {
            username: given(credentials.username),
            password: given(credentials.password),
            serveraddress: Some(credentials.registry),
            identitytoken: credentials.identity_token,
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn of(config: &str, registry: &str) -> Result<Option<Credentials>, EngineError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.json");
        fs_err::write(&file, config).unwrap();
        look_up(&file, registry).await
    }

    #[tokio::test]
    async fn logins_are_found_by_registry() {
        let config = format!(
            r#"{{"auths":{{"example.org:5000":{{"auth":"{}"}},"https://old.example/v1/":{{"auth":"{}"}},"t.example":{{"identitytoken":"T"}}}}}}"#,
            STANDARD.encode("me:a:b~"),
            STANDARD.encode("old:x")
        );
        let found = of(&config, "example.org:5000").await.unwrap().unwrap();
        assert_eq!((found.username.as_str(), found.password.as_str()), ("me", "a:b~"));
        assert!(!format!("{found:?}").contains("a:b~"), "a secret in debug output");
        assert_eq!(of(&config, "old.example").await.unwrap().unwrap().username, "old");
        assert_eq!(of(&config, "t.example").await.unwrap().unwrap().identity_token.as_deref(), Some("T"));
        assert_eq!(of(&config, "other.example").await.unwrap(), None);
        assert_eq!(of("{}", "example.org").await.unwrap(), None);
    }

    #[tokio::test]
    async fn broken_configuration_is_told() {
        assert!(of("{", "r.example").await.unwrap_err().to_string().contains("config.json"));
        let bad = r#"{"auths":{"r.example":{"auth":"!!"}}}"#;
        assert!(of(bad, "r.example").await.unwrap_err().to_string().contains("log in again"));
        let helper = r#"{"credHelpers":{"r.example":"../evil"}}"#;
        assert!(of(helper, "r.example").await.unwrap_err().to_string().contains("not the name"));
        let missing = r#"{"credsStore":"kiln-test-missing"}"#;
        assert!(
            of(missing, "r.example")
                .await
                .unwrap_err()
                .to_string()
                .contains("docker-credential-kiln-test-missing")
        );
    }
}
