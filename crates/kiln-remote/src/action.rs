//! Results as the action cache has them.
//!
//! What kiln remembers a result by is a digest already. A server keeps results by the digest of an action, and some of them
//! read the action that a digest names; so each key has one, whose command nobody runs. The result lists everything that
//! it stands for among its files, so that a server which looks after what results need keeps that, too.

use crate::blobs::on_disk;
use crate::connection::{Connection, SHA256, read_digest, with_size};
use crate::{RemoteError, Result};
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use kiln_record::Digest;
use kiln_store::{Memo, Store};
use prost::Message as _;
use reapi::action_cache_client::ActionCacheClient;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the form that results have on a server. A step here makes all that is there unknown.
const FORMAT: &str = "kiln-result 1";
/// The file of a result that says what it is.
const VALUE: &str = "result.json";
/// The folder of the blobs that it stands for, each by its digest.
const CONTENT: &str = "content";
/// The most bytes of a result's list, as a message.
const MAX_LIST: usize = 96 << 20;
/// The most bytes of what a result says.
const MAX_VALUE: u64 = 256 << 20;
/// The most files of a result; a step has no more.
const MAX_FILES: usize = 500_001;
/// The most bytes of all of them; a step has no more.
const MAX_BYTES: u64 = 4 << 30;

/// What a result says: what it is of, so that one cannot be taken for another, and what it is.
#[derive(Serialize, Deserialize)]
struct Said<K, M> {
    format: K,
    kind: K,
    key: Digest,
    result: M,
}

/// The action of a key, with the messages that it names.
struct KeyAction {
    action: Vec<u8>,
    command: Vec<u8>,
    root: Vec<u8>,
}

impl KeyAction {
    fn new(kind: &str, key: &Digest) -> Self {
        let words = ["kiln", "result", kind, &key.to_string()];
        let command = reapi::Command {
            arguments: words.map(str::to_owned).to_vec(),
            output_paths: vec![CONTENT.to_owned(), VALUE.to_owned()],
            ..reapi::Command::default()
        };
        let (command, root) = (command.encode_to_vec(), reapi::Directory::default().encode_to_vec());
        let action = reapi::Action {
            command_digest: Some(with_size(&Digest::of(&command), command.len() as u64)),
            input_root_digest: Some(with_size(&Digest::of(&root), root.len() as u64)),
            salt: FORMAT.as_bytes().to_vec(),
            ..reapi::Action::default()
        };
        Self { action: action.encode_to_vec(), command, root }
    }

    fn digest(&self) -> reapi::Digest {
        with_size(&Digest::of(&self.action), self.action.len() as u64)
    }
}

impl Connection {
    fn actions(&self) -> ActionCacheClient<tonic::transport::Channel> {
        ActionCacheClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_LIST)
            .max_encoding_message_size(MAX_LIST)
    }

    /// The result of a key, with its content in the store; none if the server has not all of it.
    pub(crate) async fn recall<M: Memo + Send + 'static>(
        &self,
        store: &Store,
        key: &Digest,
    ) -> Result<Option<M>> {
        let asked = reapi::GetActionResultRequest {
            instance_name: self.instance(),
            action_digest: Some(KeyAction::new(M::KIND, key).digest()),
            digest_function: SHA256,
            ..reapi::GetActionResultRequest::default()
        };
        let answer = self.call_for("look up a result", 0, || {
            let (mut client, request) = (self.actions(), self.request(asked.clone()));
            async move { client.get_action_result(request).await }
        });
        let Some(result) = answer.await? else { return Ok(None) };
        let (value, content) = self.files_of(&result, key)?;
        if !self.fetch(store, &BTreeMap::from([value])).await? {
            return Ok(None);
        }
        let (reading, of, address) = (store.clone(), *key, self.address.clone());
        let memo = on_disk(move || {
            let bytes = reading.read_blob(&value.0)?;
            // It is of no use by itself, and read once.
            reading.discard(&value.0)?;
            said::<M>(&bytes, &of).map_err(|why| RemoteError::Wrong { address, why })
        })
        .await?;
        let Some(memo) = memo else { return Ok(None) };
        let mut wanted = BTreeMap::new();
        for digest in memo.content() {
            let Some(size) = content.get(&digest) else {
                return Err(self.wrong(format!("the result of {key} does not list its own {digest}")));
            };
            wanted.insert(digest, *size);
        }
        Ok(self.fetch(store, &wanted).await?.then_some(memo))
    }

    /// What a result lists: the file that says what it is, and what it stands for.
    fn files_of(
        &self,
        result: &reapi::ActionResult,
        key: &Digest,
    ) -> Result<((Digest, u64), BTreeMap<Digest, u64>)> {
        let wrong = |what: &str| self.wrong(format!("the result of {key} {what}"));
        if result.exit_code != 0 {
            return Err(wrong("is that of a program that failed"));
        }
        if result.output_files.len() > MAX_FILES {
            return Err(wrong("has more files than a result can have"));
        }
        let (mut value, mut content, mut bytes) = (None, BTreeMap::new(), 0_u64);
        for file in &result.output_files {
            let named = read_digest(file.digest.as_ref()).ok_or_else(|| wrong("has a malformed digest"))?;
            if file.path == VALUE {
                value = Some(named);
            } else if content.insert(named.0, named.1).is_none() {
                bytes = bytes.saturating_add(named.1);
            }
        }
        let value = value.ok_or_else(|| wrong("does not say what it is"))?;
        if value.1 > MAX_VALUE || bytes > MAX_BYTES {
            return Err(wrong("is larger than a result can be"));
        }
        Ok((value, content))
    }

    /// Tells the server a result, after everything that it stands for.
    pub(crate) async fn remember<M: Memo>(&self, store: &Store, key: &Digest, memo: &M) -> Result<()> {
        if !self.takes_results {
            let why = "it does not let clients write results".to_owned();
            return Err(RemoteError::Unfit { address: self.address.clone(), why });
        }
        let said = Said { format: FORMAT, kind: M::KIND, key: *key, result: memo };
        let said = serde_json::to_vec(&said).map_err(|source| kiln_store::StoreError::Serialize {
            what: format!("a shared {} result", M::KIND),
            source,
        })?;
        let (reading, content) = (store.clone(), memo.content());
        let (value, sizes) = on_disk(move || {
            let mut sizes = BTreeMap::new();
            for digest in content {
                sizes.insert(digest, reading.size_of(&digest)?);
            }
            let value = (reading.put(&said)?, said.len() as u64);
            Ok((value, sizes))
        })
        .await?;
        let mut blobs = sizes.clone();
        blobs.insert(value.0, value.1);
        self.send(store, &blobs).await?;
        let of = KeyAction::new(M::KIND, key);
        let action_digest = of.digest();
        let messages = [of.action, of.command, of.root];
        self.send_batch(messages.into_iter().map(|bytes| (Digest::of(&bytes), bytes)).collect()).await?;
        let file = |path: String, digest: &Digest, size: u64| reapi::OutputFile {
            path,
            digest: Some(with_size(digest, size)),
            ..reapi::OutputFile::default()
        };
        store.discard(&value.0)?;
        let content =
            sizes.iter().map(|(digest, size)| file(format!("{CONTENT}/{}", digest.hex()), digest, *size));
        let result = reapi::ActionResult {
            output_files: content.chain([file(VALUE.to_owned(), &value.0, value.1)]).collect(),
            ..reapi::ActionResult::default()
        };
        let asked = reapi::UpdateActionResultRequest {
            instance_name: self.instance(),
            action_digest: Some(action_digest),
            action_result: Some(result),
            results_cache_policy: None,
            digest_function: SHA256,
        };
        self.call("take a result", 0, || {
            let (mut client, request) = (self.actions(), self.request(asked.clone()));
            async move { client.update_action_result(request).await }
        })
        .await?;
        Ok(())
    }
}

/// What bytes say of a key, or why they cannot be of it. What has no form that this kiln reads is as good as absent: another
/// kiln may write one.
fn said<M: Memo + DeserializeOwned>(bytes: &[u8], key: &Digest) -> Result<Option<M>, String> {
    let Ok(said) = serde_json::from_slice::<Said<String, M>>(bytes) else { return Ok(None) };
    if said.format != FORMAT || said.kind != M::KIND || said.key != *key {
        return Err(format!(
            "the result of {key} is one of {} ({})",
            said.key,
            kiln_record::excerpt(&said.kind)
        ));
    }
    Ok(Some(said.result))
}
