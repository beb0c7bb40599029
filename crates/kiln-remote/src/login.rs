//! Who a server is asked as: a token in a file, or what a credential helper says.

use crate::address::Address;
use crate::{RemoteError, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::metadata::{Ascii, AsciiMetadataKey, AsciiMetadataValue, MetadataValue};

/// The most bytes of a token, and of a helper's answer.
const MAX_LOGIN: u64 = 64 << 10;
/// How long a helper may take: it may ask a person to log in.
const HELPER_WAIT: Duration = Duration::from_secs(120);

/// Who a server is asked as.
#[derive(Clone, Debug, Default)]
pub enum Login {
    /// Nobody in particular.
    #[default]
    None,
    /// Whoever has the token in this file; it is sent as `authorization: Bearer`.
    TokenFile(PathBuf),
    /// Whoever this program says, called as Bazel calls its credential helpers (the proposal "Credential Helpers" of
    /// Bazel, 2022): with the argument `get`, and with `{"uri":"https://HOST:PORT"}` to read, it writes
    /// `{"headers":{"Authorization":["Bearer …"]}}`.
    Helper(PathBuf),
}

/// What is sent with each call. It has no `Debug`, so that no derived one can show it.
pub(crate) type Headers = Vec<(AsciiMetadataKey, MetadataValue<Ascii>)>;

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    headers: BTreeMap<String, Vec<String>>,
}

impl Login {
    /// What is sent with each call. No message shows any of it.
    pub(crate) async fn headers(&self, address: &Address) -> Result<Headers> {
        let error = |why: String| RemoteError::Login { address: address.to_string(), why };
        if !matches!(self, Self::None) && !address.is_tls() && !address.is_loopback() {
            return Err(error("it would be sent without TLS; use grpcs://".to_owned()));
        }
        match self {
            Self::None => Ok(Headers::new()),
            Self::TokenFile(path) => {
                let token = token(path).map_err(error)?;
                header("authorization", &format!("Bearer {token}")).map(|header| vec![header]).map_err(error)
            }
            Self::Helper(program) => {
                let asked = tokio::time::timeout(HELPER_WAIT, ask(program, &address.http())).await;
                let late =
                    || format!("{} did not answer within {} s", program.display(), HELPER_WAIT.as_secs());
                let answer = asked.map_err(|_| error(late()))?.map_err(error)?;
                let all = answer.headers.iter();
                let each = all.flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
                each.map(|(name, value)| header(name, value).map_err(error)).collect()
            }
        }
    }
}

fn token(path: &Path) -> Result<String, String> {
    let length = fs_err::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MAX_LOGIN {
        return Err(format!("{} has {length} bytes, and a token has {MAX_LOGIN} at most", path.display()));
    }
    let text = fs_err::read_to_string(path).map_err(|error| error.to_string())?;
    match text.trim() {
        "" => Err(format!("{} is empty", path.display())),
        token => Ok(token.to_owned()),
    }
}

/// A header, unless it is one that a header cannot be.
fn header(name: &str, value: &str) -> Result<(AsciiMetadataKey, AsciiMetadataValue), String> {
    let named = name.to_ascii_lowercase().parse::<AsciiMetadataKey>();
    let key = named.map_err(|_| "the name of a header is malformed".to_owned())?;
    let value = value.parse::<AsciiMetadataValue>();
    let mut value = value.map_err(|_| format!("the header {key} has characters that no header can have"))?;
    value.set_sensitive(true);
    Ok((key, value))
}

async fn ask(program: &Path, uri: &str) -> Result<Answer, String> {
    let failed = |why: String| format!("{}: {why}", program.display());
    let mut child = tokio::process::Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(error.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        let question = serde_json::json!({ "uri": uri }).to_string();
        // Whoever needs no question closes it.
        let _ = stdin.write_all(question.as_bytes()).await;
    }
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let read = stdout.take(MAX_LOGIN + 1).read_to_end(&mut bytes).await;
        read.map_err(|error| failed(error.to_string()))?;
    }
    if bytes.len() as u64 > MAX_LOGIN {
        return Err(failed(format!("it said more than {MAX_LOGIN} bytes")));
    }
    let status = child.wait().await.map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(format!("it failed ({status})")));
    }
    // What it said may be a secret.
    serde_json::from_slice(&bytes).map_err(|_| failed("it said no headers as JSON".to_owned()))
}
