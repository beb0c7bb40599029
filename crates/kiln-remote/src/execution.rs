//! One action on its way: queued, run, taken up again where a connection broke, and given up when nobody waits for it.

use crate::connection::{Connection, SHA256, TRIES, is_passing, pause, with_size};
use crate::{RemoteError, Result};
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bazel_remote_apis::google::longrunning::operations_client::OperationsClient;
use bazel_remote_apis::google::longrunning::{CancelOperationRequest, Operation, operation};
use bazel_remote_apis::google::rpc;
use kiln_record::{Digest, excerpt};
use prost::Message as _;
use reapi::execution_client::ExecutionClient;
use reapi::execution_stage::Value as Stage;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

/// The most bytes of one message about an action: what a program printed may be in it.
const MAX_MESSAGE: usize = 96 << 20;
/// How often an action that a worker lost may begin anew, all in all.
const TAKEN_AGAIN: u32 = 6;

/// What became of an action.
#[derive(Debug)]
pub struct Executed {
    /// How it ended.
    pub ending: Ending,
    /// What it left and printed.
    pub result: reapi::ActionResult,
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with the exit code of the result.
    Exit,
    /// The worker ended it, as it took too long.
    TimedOut,
    /// The server lacks something that it needs, in its words; it may be sent again.
    BlobsMissing(String),
    /// Not by itself: something broke where it ran, in the server's words.
    Broken(String),
}

/// How far an action is, and until when that may last.
struct Progress {
    queue: Duration,
    /// What a program may take, with what a worker needs around it.
    time: Duration,
    stage: Stage,
    since: Instant,
    last: Instant,
}

impl Progress {
    fn new(queue: Duration, time: Duration) -> Self {
        let now = Instant::now();
        let all = queue.saturating_add(time.saturating_mul(TAKEN_AGAIN));
        Self { queue, time, stage: Stage::Unknown, since: now, last: now + all }
    }

    fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Executing | Stage::Completed)
    }

    /// Until when it may stay where it is.
    fn until(&self) -> Instant {
        let may_last = match self.stage {
            Stage::Executing | Stage::Completed => self.time,
            // A server that does not say how far it is may be running it.
            Stage::Unknown => self.queue.saturating_add(self.time),
            Stage::CacheCheck | Stage::Queued => self.queue,
        };
        self.last.min(self.since + may_last)
    }

    fn told(&mut self, operation: &Operation) {
        let metadata = operation.metadata.as_ref();
        let Some(Ok(told)) =
            metadata.map(|any| reapi::ExecuteOperationMetadata::decode(any.value.as_slice()))
        else {
            return;
        };
        let stage = told.stage();
        // What is only told again has not moved.
        if stage != self.stage {
            (self.stage, self.since) = (stage, Instant::now());
        }
    }
}

/// Follows an action to its end. When `gone` ends, nobody waits for it any more.
pub(crate) async fn follow(
    connection: &Connection,
    action: (Digest, u64),
    time: Duration,
    queue: Duration,
    properties: &BTreeMap<String, String>,
    mut gone: oneshot::Receiver<()>,
) -> Result<Executed> {
    let mut progress = Progress::new(queue, time.saturating_add(connection.settings.limits.around));
    let (mut name, mut broken) = (None::<String>, 0);
    loop {
        let opening = open(connection, &action, name.clone());
        let mut opening = std::pin::pin!(tokio::time::timeout_at(progress.until(), opening));
        let opened = tokio::select! {
            biased;
            opened = &mut opening => opened,
            _ = &mut gone => {
                // It may have begun: what comes first tells what to cancel.
                let patience = connection.settings.limits.connect;
                if let Ok(Ok(Ok(mut told))) = tokio::time::timeout(patience, opening).await {
                    give_up(connection, &mut told, name).await;
                }
                return Err(RemoteError::GivenUp { address: connection.address.clone() });
            }
        };
        let mut status = match opened {
            Ok(Ok(mut told)) => loop {
                let next = tokio::select! {
                    biased;
                    _ = &mut gone => {
                        give_up(connection, &mut told, name).await;
                        return Err(RemoteError::GivenUp { address: connection.address.clone() });
                    }
                    next = tokio::time::timeout_at(progress.until(), told.message()) => next,
                };
                match next {
                    Err(_) => {
                        give_up(connection, &mut told, name).await;
                        return Err(overdue(connection, &progress, properties));
                    }
                    Ok(Err(status)) => break status,
                    Ok(Ok(None)) => break Status::unavailable("it ended before the action did"),
                    Ok(Ok(Some(operation))) => {
                        progress.told(&operation);
                        if !operation.name.is_empty() {
                            name = Some(operation.name.clone());
                        }
                        if operation.done {
                            return executed(connection, operation);
                        }
                    }
                }
            },
            Ok(Err(status)) => status,
            Err(_) => return Err(overdue(connection, &progress, properties)),
        };
        if status.code() == Code::NotFound && name.is_some() {
            // The server does not know it any more. It is a pure function: it may begin anew.
            name = None;
            status = Status::unavailable("it forgot the action");
        }
        if let Some(ending) = of_status(status.code() as i32, status.message()) {
            return Ok(Executed { ending, result: reapi::ActionResult::default() });
        }
        if !is_passing(&status) || broken >= TRIES {
            return Err(connection.refused("run an action", &status));
        }
        let pause = pause(broken);
        broken += 1;
        connection.asks_again(&status, broken);
        tokio::select! {
            _ = &mut gone => return Err(RemoteError::GivenUp { address: connection.address.clone() }),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn open(
    connection: &Connection,
    action: &(Digest, u64),
    name: Option<String>,
) -> Result<Streaming<Operation>, Status> {
    let mut client = ExecutionClient::new(connection.channel.clone()).max_decoding_message_size(MAX_MESSAGE);
    let answer = match name {
        Some(name) => {
            let asked = reapi::WaitExecutionRequest { name };
            client.wait_execution(connection.request(asked)).await
        }
        None => {
            let asked = reapi::ExecuteRequest {
                instance_name: connection.instance(),
                // Whether a result that is known will do was decided before.
                skip_cache_lookup: true,
                action_digest: Some(with_size(&action.0, action.1)),
                digest_function: SHA256,
                ..reapi::ExecuteRequest::default()
            };
            client.execute(connection.request(asked)).await
        }
    };
    answer.map(tonic::Response::into_inner)
}

/// Cancels an action, which has a name once the server told of it.
async fn give_up(connection: &Connection, told: &mut Streaming<Operation>, name: Option<String>) {
    let patience = connection.settings.limits.connect;
    let name = match name {
        Some(name) => Some(name),
        None => match tokio::time::timeout(patience, told.message()).await {
            Ok(Ok(Some(operation))) => Some(operation.name),
            _ => None,
        },
    };
    if let Some(name) = name.filter(|name| !name.is_empty()) {
        let mut client = OperationsClient::new(connection.channel.clone());
        let request = connection.request(CancelOperationRequest { name });
        // A server that cannot ends it with its time.
        let _ = tokio::time::timeout(patience, client.cancel_operation(request)).await;
    }
}

fn overdue(
    connection: &Connection,
    progress: &Progress,
    properties: &BTreeMap<String, String>,
) -> RemoteError {
    if progress.is_running() || progress.last <= Instant::now() {
        return connection.late("run an action", progress.time);
    }
    if progress.stage == Stage::Unknown {
        return connection.silent("run an action", progress.queue.saturating_add(progress.time));
    }
    let properties: Vec<String> = properties.iter().map(|(name, value)| format!("{name}={value}")).collect();
    RemoteError::Queued {
        address: connection.address.clone(),
        seconds: progress.queue.as_secs(),
        properties: if properties.is_empty() {
            "nothing in particular".to_owned()
        } else {
            properties.join(", ")
        },
    }
}

/// What a status of an action means where it is no failure of the server. Servers tell of a missing blob by
/// `FAILED_PRECONDITION`, and some by `INTERNAL`.
fn of_status(code: i32, message: &str) -> Option<Ending> {
    let missing = message.to_ascii_lowercase().contains("missing");
    if code == Code::DeadlineExceeded as i32 {
        Some(Ending::TimedOut)
    } else if (code == Code::FailedPrecondition as i32 || code == Code::Internal as i32) && missing {
        Some(Ending::BlobsMissing(excerpt(message)))
    } else {
        None
    }
}

/// Whether a status says that a worker, or what it needs, broke under an action. It says nothing of the action.
fn is_broken(code: i32) -> bool {
    [Code::Internal, Code::Unavailable, Code::Unknown].contains(&Code::from_i32(code))
}

/// What an operation that is done says.
fn executed(connection: &Connection, operation: Operation) -> Result<Executed> {
    let of = |status: &rpc::Status| match of_status(status.code, &status.message) {
        Some(ending) => Ok(ending),
        None if is_broken(status.code) => Ok(Ending::Broken(excerpt(&status.message))),
        None => {
            let status = Status::new(Code::from_i32(status.code), status.message.clone());
            Err(connection.refused("run an action", &status))
        }
    };
    let response = match operation.result {
        Some(operation::Result::Response(any)) => any,
        Some(operation::Result::Error(status)) => {
            return Ok(Executed { ending: of(&status)?, result: reapi::ActionResult::default() });
        }
        None => return Err(connection.wrong("an action is done and has no result")),
    };
    let response = reapi::ExecuteResponse::decode(response.value.as_slice())
        .map_err(|error| connection.wrong(format!("the result of an action: {error}")))?;
    let ending = match response.status.filter(|status| status.code != 0) {
        Some(status) => of(&status)?,
        None if response.result.is_none() => {
            return Err(connection.wrong("an action is done and has no result"));
        }
        None => Ending::Exit,
    };
    Ok(Executed { ending, result: response.result.unwrap_or_default() })
}
