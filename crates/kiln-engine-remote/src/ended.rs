//! What an action came to: whether that can be believed, what was printed, and what was left.
//!
//! Whoever loses a machine in the middle of an action hears of it, and lets it begin again. Whoever loses what the machine puts roots
//! together with may hear that the program ended, and even that it ended well: its files were gone, and nobody looked
//! why. So a result that a lost machine could have come to is asked for again, as another action, and believed if it comes to the same.

use crate::action::Action;
use crate::content::{Source, Sources};
use crate::engine::{Asked, LIST, RemoteEngine};
use crate::outputs::{Kind, Untaken, Writing, nothing, read};
use crate::tree::read_digest;
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use kiln_engine::backend::{Capture, OnLine};
use kiln_engine::{EngineError, OutputFolder, RunOutcome, Stream};
use kiln_record::Digest;
use kiln_remote::{Ending, Executed, Fetched, Notice, Open, RemoteError};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// The exit codes of a program that is not there, by the shell's rule, and as the sandbox of BuildStream's workers has it.
const NOT_FOUND: i64 = 127;
const NOT_EXECUTED: &[u8] = b"bwrap: execvp ";
/// How often an action is tried whose blobs the server has lost.
const SENT_AGAIN: u32 = 3;
/// How often an action is begun whose results are not believed.
const BEGUN: u32 = 3;
/// How often one is begun that something breaks under. Whatever that is, is started again, which takes seconds.
const BROKEN: u32 = 5;
/// How long is waited before the first of these; each time twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The end of an action, with the lists of the folders that it left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) ending: Ending,
    pub(crate) result: reapi::ActionResult,
    lists: BTreeMap<Digest, Vec<u8>>,
}

/// Why an end may be that of a machine, and not of a program. Displayed as a clause after the program's name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Doubt {
    /// Something broke, in the server's words.
    Broken(String),
    /// The program failed: what it reads may have been gone.
    Failed(i32),
    /// An output is not even the empty folder that it was.
    NoFolder(String),
    /// All outputs are as they were.
    Untouched,
    /// The server does not have what it says was left or printed.
    Lost(Digest),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(words) => write!(f, "did not end by itself: {words}"),
            Self::Failed(code) => write!(f, "ended with exit code {code}"),
            Self::NoFolder(path) => write!(f, "left no {path}"),
            Self::Untouched => f.write_str("left nothing"),
            Self::Lost(digest) => write!(f, "left {digest}, which the server has not"),
        }
    }
}

impl RemoteEngine {
    /// Lets an action run until its end can be believed.
    pub(crate) async fn believed(
        &self,
        asked: &Asked,
        mut action: Action,
        of_image: &Arc<Sources>,
        salt: &str,
    ) -> Result<Ended, EngineError> {
        let (mut before, mut doubted, mut broken) = (None, 0, 0);
        loop {
            let executed = self.result_of(asked, &action, Arc::clone(of_image)).await?;
            let (doubt, lists) = self.doubt(asked, &executed).await?;
            let Executed { ending, result } = executed;
            let worker = result.execution_metadata.as_ref().map(|of| of.worker.clone()).unwrap_or_default();
            let Some(doubt) = doubt else { return Ok(Ended { ending, result, lists }) };
            let (again, of) = match &doubt {
                Doubt::Broken(words) => {
                    broken += 1;
                    if broken == BROKEN {
                        return Err(EngineError::Broken {
                            action: format!("run `{}`", asked.name),
                            why: format!("{} could not, {BROKEN} times: {words}", self.executor.address()),
                        });
                    }
                    (broken, BROKEN - 1)
                }
                _ => {
                    doubted += 1;
                    if doubted == BEGUN || before.as_ref() == Some(&doubt) {
                        return Ok(Ended { ending, result, lists });
                    }
                    (doubted, BEGUN - 1)
                }
            };
            let at =
                if worker.is_empty() { worker } else { format!(" on {}", kiln_record::excerpt(&worker)) };
            let (name, why) = (asked.name.clone(), format!("{doubt}{at}"));
            self.executor.notices().send(Notice::BegunAgain { name, why, again, of });
            if matches!(doubt, Doubt::Broken(_)) {
                tokio::time::sleep(FIRST_PAUSE * (1 << (broken - 1))).await;
            } else {
                before = Some(doubt);
            }
            action.begin_again(format!("{salt} again {}", doubted + broken));
        }
    }

    /// Sends what the server lacks and lets it run the action; once more where it has lost something meanwhile.
    async fn result_of(
        &self,
        asked: &Asked,
        action: &Action,
        of_image: Arc<Sources>,
    ) -> Result<kiln_remote::Executed, EngineError> {
        let failed = |error| told(format!("run `{}`", asked.name), error);
        let own = Arc::new(action.sources.clone());
        let open: Open = Arc::new(move |digest: &Digest| {
            let source: Option<&Source> = own.get(digest).or_else(|| of_image.get(digest));
            let opened = match source {
                Some(source) => source.open(),
                None => Err(io::Error::other(format!("the blob {digest} is nowhere"))),
            };
            opened.map_err(RemoteError::file)
        });
        let mut lost = String::new();
        for _ in 0..SENT_AGAIN {
            self.executor.send(&action.blobs, &open).await.map_err(failed)?;
            let executed = self.executor.execute(action.digest, asked.limits.deadline).end().await;
            match executed.map_err(failed)? {
                kiln_remote::Executed { ending: Ending::BlobsMissing(words), .. } => lost = words,
                executed => return Ok(executed),
            }
        }
        Err(EngineError::Broken {
            action: format!("run `{}`", asked.name),
            why: format!("{} loses what it was sent: {lost}", self.executor.address()),
        })
    }

    /// Why the end of an action may not be its program's, with the lists that were read to know.
    async fn doubt(
        &self,
        asked: &Asked,
        executed: &Executed,
    ) -> Result<(Option<Doubt>, BTreeMap<Digest, Vec<u8>>), EngineError> {
        let (result, mut lists) = (&executed.result, BTreeMap::new());
        match &executed.ending {
            Ending::Exit => {}
            Ending::Broken(words) => return Ok((Some(Doubt::Broken(words.clone())), lists)),
            // It had its time, or never ran.
            Ending::TimedOut | Ending::BlobsMissing(_) => return Ok((None, lists)),
        }
        let failed = |error| told(format!("read what `{}` left", asked.name), error);
        let mut named = BTreeMap::new();
        for (raw, digest) in
            [(&result.stdout_raw, &result.stdout_digest), (&result.stderr_raw, &result.stderr_digest)]
        {
            named.extend(read_digest(digest.as_ref()).filter(|_| raw.is_empty()));
        }
        let mut is_touched = asked.paths.is_empty();
        for path in &asked.paths {
            is_touched |= is_no_folder(result, path);
            let list = folder_at(result, path).and_then(|folder| read_digest(folder.tree_digest.as_ref()));
            // What makes no sense is told where it is collected.
            let Some((digest, size)) = list.filter(|(_, size)| *size <= LIST) else { continue };
            let list = match self.bytes_of(digest, size).await {
                Ok(list) => list,
                Err(RemoteError::Lost { digest, .. }) => return Ok((Some(Doubt::Lost(digest)), lists)),
                Err(error) => return Err(failed(error)),
            };
            match read(&list, asked.limits.output_files) {
                Ok(left) => {
                    is_touched |= left.len() > 1;
                    named.extend(left.into_iter().filter_map(|left| match left.kind {
                        Kind::File { digest, size, .. } => Some((digest, size)),
                        Kind::Folder | Kind::Link(_) => None,
                    }));
                }
                Err(_) => is_touched = true,
            }
            lists.insert(digest, list);
        }
        // Nobody has to keep what is empty.
        named.retain(|_, size| *size > 0);
        let lost = self.executor.lacks(&named).await.map_err(failed)?;
        let doubt = if let Some((digest, _)) = lost.first() {
            Some(Doubt::Lost(*digest))
        } else if result.exit_code != 0 {
            Some(Doubt::Failed(result.exit_code))
        } else {
            let is_missing =
                |path: &&String| folder_at(result, path).is_none() && !is_no_folder(result, path);
            let missing = asked.folders.iter().zip(&asked.paths).find(|(_, path)| is_missing(path));
            let missing = missing.map(|(folder, _)| Doubt::NoFolder(folder.clone()));
            missing.or_else(|| (!is_touched).then_some(Doubt::Untouched))
        };
        Ok((doubt, lists))
    }

    /// Takes what a program printed, and how it ended.
    pub(crate) async fn outcome(
        &self,
        asked: &Asked,
        ended: &Ended,
        on_line: OnLine<'_>,
    ) -> Result<RunOutcome, EngineError> {
        let result = &ended.result;
        let mut capture = Capture::new(asked.limits.output_bytes);
        let printed = [
            (Stream::Stdout, result.stdout_raw.as_slice(), result.stdout_digest.as_ref()),
            (Stream::Stderr, result.stderr_raw.as_slice(), result.stderr_digest.as_ref()),
        ];
        for (stream, raw, named) in printed {
            self.print(asked, &mut capture, stream, raw, named, on_line).await?;
        }
        capture.finish(&|line| on_line(line));
        if ended.ending == Ending::TimedOut {
            return Err(EngineError::Deadline {
                name: asked.name.clone(),
                seconds: asked.limits.deadline.as_secs(),
                last: capture.last_lines(),
            });
        }
        let not_found = result.exit_code == 1 && capture.stderr.starts_with(NOT_EXECUTED);
        Ok(RunOutcome {
            exit_code: if not_found { NOT_FOUND } else { i64::from(result.exit_code) },
            stdout: capture.stdout,
            stderr: capture.stderr,
            oom_killed: false,
        })
    }

    /// Takes what was printed to a stream.
    async fn print(
        &self,
        asked: &Asked,
        capture: &mut Capture,
        stream: Stream,
        raw: &[u8],
        named: Option<&reapi::Digest>,
        on_line: OnLine<'_>,
    ) -> Result<(), EngineError> {
        let what = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let too_large = || EngineError::OutputTooLarge {
            name: asked.name.clone(),
            what: "stdout and stderr".to_owned(),
            limit: asked.limits.output_bytes,
        };
        if !raw.is_empty() {
            return capture.push(stream, raw, &|line| on_line(line)).map_err(|_| too_large());
        }
        let Some(named) = named else { return Ok(()) };
        let Some((digest, size)) = read_digest(Some(named)) else {
            return Err(self.wrong(asked, format!("{what} has no digest")));
        };
        if size > asked.limits.output_bytes {
            return Err(too_large());
        }
        let bytes = self.bytes_of(digest, size).await;
        let bytes = bytes.map_err(|error| told(format!("read {what} of `{}`", asked.name), error))?;
        capture.push(stream, &bytes, &|line| on_line(line)).map_err(|_| too_large())
    }

    async fn bytes_of(&self, digest: Digest, size: u64) -> Result<Vec<u8>, RemoteError> {
        let mut bytes = Vec::new();
        let mut take =
            |fetched: Fetched<'_>| fetched.with(|content| content.read_to_end(&mut bytes)).map(drop);
        self.executor.read(&[(digest, size)], &mut take).await?;
        Ok(bytes)
    }

    /// Brings what the outputs hold.
    pub(crate) async fn collect(
        &self,
        asked: &Asked,
        outputs: Vec<OutputFolder>,
        ended: &Ended,
    ) -> Result<(), EngineError> {
        let result = &ended.result;
        let (mut members, mut bytes) = (0_u64, 0_u64);
        for (OutputFolder { path, mut to }, named) in outputs.into_iter().zip(&asked.paths) {
            let failed = |error| told(format!("collect {path} of `{}`", asked.name), error);
            if is_no_folder(result, named) {
                return Err(EngineError::Broken {
                    action: format!("collect {path} of `{}`", asked.name),
                    why: "the program put something else in the place of the folder".to_owned(),
                });
            }
            let left = match folder_at(result, named) {
                // It took the folder away.
                None => read(&nothing(), asked.limits.output_files.saturating_sub(members)),
                Some(folder) => {
                    let Some((digest, size)) =
                        read_digest(folder.tree_digest.as_ref()).filter(|(_, size)| *size <= LIST)
                    else {
                        return Err(self.wrong(asked, format!("{path} has no list that can be read")));
                    };
                    let fetched;
                    let list = match ended.lists.get(&digest) {
                        Some(list) => list,
                        None => {
                            fetched = self.bytes_of(digest, size).await.map_err(failed)?;
                            &fetched
                        }
                    };
                    read(list, asked.limits.output_files.saturating_sub(members))
                }
            };
            let left = left.map_err(|untaken| self.untaken(asked, path.as_str(), untaken))?;
            members += left.len() as u64;
            let files: Vec<(Digest, u64)> = left
                .iter()
                .filter_map(|left| match left.kind {
                    Kind::File { digest, size, .. } => Some((digest, size)),
                    Kind::Folder | Kind::Link(_) => None,
                })
                .collect();
            // As in a tar: a block for each name, and content in blocks.
            let blocks = left.len() as u64 * 512;
            let content = files.iter().map(|(_, size)| size.div_ceil(512).saturating_mul(512));
            bytes = content.fold(bytes.saturating_add(blocks), u64::saturating_add);
            if bytes > asked.limits.output_bytes {
                return Err(EngineError::OutputTooLarge {
                    name: asked.name.clone(),
                    what: format!("output {path}"),
                    limit: asked.limits.output_bytes,
                });
            }
            let untaken = |error: io::Error| EngineError::Broken {
                action: format!("collect {path} of `{}`", asked.name),
                why: error.to_string(),
            };
            let mut writing = Writing::new(left, &mut to);
            self.bring(asked, path.as_str(), &files, |content| writing.content(content)).await?;
            writing.finish().map_err(untaken)?;
        }
        Ok(())
    }

    /// The list of the root that a program left.
    pub(crate) async fn root_list(&self, asked: &Asked, ended: &Ended) -> Result<Vec<u8>, EngineError> {
        let folder = asked.paths.iter().find_map(|path| folder_at(&ended.result, path));
        let named = folder.and_then(|folder| read_digest(folder.tree_digest.as_ref()));
        let Some((digest, size)) = named.filter(|(_, size)| *size <= LIST) else {
            return Err(self.wrong(asked, "its root has no list that can be read".to_owned()));
        };
        if let Some(list) = ended.lists.get(&digest) {
            return Ok(list.clone());
        }
        let list = self.bytes_of(digest, size).await;
        list.map_err(|error| told(format!("collect the root of `{}`", asked.name), error))
    }

    /// Hands on the content of files that were left, one after the other.
    pub(crate) async fn bring(
        &self,
        asked: &Asked,
        what: &str,
        files: &[(Digest, u64)],
        mut write: impl FnMut(&mut dyn Read) -> io::Result<()> + Send,
    ) -> Result<(), EngineError> {
        let action = || format!("collect {what} of `{}`", asked.name);
        let mut fault = None;
        let mut take = |fetched: Fetched<'_>| {
            fetched.with(&mut write).map_err(|error| {
                let kept = io::Error::new(error.kind(), error.to_string());
                fault = Some(error);
                kept
            })
        };
        let read = self.executor.read(files, &mut take).await;
        match (read, fault) {
            (_, Some(fault)) => Err(EngineError::Broken { action: action(), why: fault.to_string() }),
            (read, None) => read.map_err(|error| told(action(), error)),
        }
    }

    /// What it means that a list of what was left cannot be taken.
    pub(crate) fn untaken(&self, asked: &Asked, of: &str, untaken: Untaken) -> EngineError {
        match untaken {
            Untaken::TooMany => {
                EngineError::TooManyFiles { name: asked.name.clone(), limit: asked.limits.output_files }
            }
            Untaken::Wrong(why) => self.wrong(asked, format!("the list of {of}: {why}")),
        }
    }

    fn wrong(&self, asked: &Asked, what: String) -> EngineError {
        EngineError::Broken {
            action: format!("run `{}`", asked.name),
            why: format!("what {} says of it is wrong: {what}", self.executor.address()),
        }
    }
}

fn folder_at<'r>(result: &'r reapi::ActionResult, path: &str) -> Option<&'r reapi::OutputDirectory> {
    result.output_directories.iter().find(|folder| folder.path.trim_end_matches('/') == path)
}

/// Whether something else is in the place of an output.
fn is_no_folder(result: &reapi::ActionResult, path: &str) -> bool {
    let files = result.output_files.iter().map(|file| file.path.as_str());
    let links = result.output_symlinks.iter().map(|link| link.path.as_str());
    files.chain(links).any(|other| other.trim_end_matches('/') == path)
}

/// What an error of the server is here.
fn told(action: String, error: RemoteError) -> EngineError {
    match error {
        RemoteError::Unreachable { address, why } => {
            EngineError::ExecutorUnavailable { endpoint: address, why }
        }
        RemoteError::GivenUp { .. } => EngineError::Stopped,
        other => EngineError::Broken { action, why: other.to_string() },
    }
}
