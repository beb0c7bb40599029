//! A run as an action: its root with everything in it, its command, and what is collected.

use crate::content::{Source, Sources};
use crate::tree::{File, Folder, Node, Sealed, digest};
use crate::unpack::{Is, Tar};
use bazel_remote_apis::build::bazel::remote::execution::v2 as reapi;
use bazel_remote_apis::google::protobuf::Duration;
use kiln_engine::backend::{User, write_inputs};
use kiln_engine::{EngineError, GuestPath, InputContent, InputTree, RunSpec};
use kiln_record::{Digest, HashingWriter};
use prost::Message as _;
use reapi::platform::Property;
use std::collections::BTreeMap;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The mode of a folder in memory that everybody writes to.
const SCRATCH: u32 = 0o1777;
const FOLDER: u32 = 0o755;
/// The property of outputs that has their modes (Remote Execution API, `NodeProperties`).
const UNIX_MODE: &str = "unix_mode";

/// A tree of this machine that does not change, read before.
pub(crate) type KnownFolder = Arc<(Arc<Folder>, Sources)>;

/// An action with everything that it names.
#[derive(Debug)]
pub(crate) struct Action {
    message: reapi::Action,
    /// Its digest and size.
    pub(crate) digest: (Digest, u64),
    /// Every blob that it needs, with sizes.
    pub(crate) blobs: BTreeMap<Digest, u64>,
    /// Where those are that are not the image's.
    pub(crate) sources: Sources,
}

/// What an action has besides the run's own description.
#[derive(Debug)]
pub(crate) struct Around<'a> {
    /// What the image has.
    pub(crate) root: &'a Folder,
    pub(crate) user: User,
    /// Whether workers are asked to run it as that user.
    pub(crate) as_user: bool,
    pub(crate) properties: &'a BTreeMap<String, String>,
    /// Whether the whole root comes back.
    pub(crate) whole: bool,
    /// What no other action has.
    pub(crate) salt: String,
    /// A folder for files without names.
    pub(crate) folder: &'a Path,
}

/// Makes the action of a run. `known` gives trees that were read before.
pub(crate) fn action(
    spec: RunSpec,
    outputs: &[GuestPath],
    around: &Around<'_>,
    known: impl Fn(&Path) -> io::Result<Option<KnownFolder>>,
) -> Result<Action, EngineError> {
    let name = spec.name;
    let broken = |why: io::Error| EngineError::Broken {
        action: format!("lay out the root of `{name}`"),
        why: why.to_string(),
    };
    let (time, inputs) = (spec.surroundings.input_time, spec.inputs);
    let mut sources = Sources::new();
    let mut root = around.root.clone();
    let inputs_at = inputs.iter().map(|input| (&input.path, FOLDER));
    let outputs_at = outputs.iter().map(|path| (path, FOLDER));
    for (path, mode) in outputs_at.chain(inputs_at).chain(spec.scratch.iter().map(|path| (path, SCRATCH))) {
        mount(&mut root, path, Folder::new(mode, time)).map_err(broken)?;
    }
    for InputTree { path, content } in inputs {
        let faulty = |why: String| EngineError::Input { name: name.clone(), path: path.clone(), why };
        let at = root.resolve(path.as_str(), true).map_err(broken)?;
        match content {
            InputContent::Folder(folder) => {
                let tree = known(&folder).map_err(|error| faulty(error.to_string()))?;
                let tree = match tree {
                    Some(tree) => tree,
                    None => Arc::new(read_folder(&folder, time).map_err(|error| faulty(error.to_string()))?),
                };
                sources.extend(tree.1.iter().map(|(digest, source)| (*digest, source.clone())));
                let mut tree = tree.0.as_ref().clone();
                tree.mode = FOLDER;
                mount(&mut root, &path, tree).map_err(broken)?;
            }
            content @ InputContent::Tar(_) => {
                let mut file = tempfile::tempfile_in(around.folder).map_err(broken)?;
                let given = vec![InputTree { path: path.clone(), content }];
                write_inputs(given, &[], around.user, true, time, io::BufWriter::new(&mut file))
                    .map_err(|fault| faulty(fault.why))?;
                file.seek(SeekFrom::Start(0)).map_err(broken)?;
                let tar = spooled_file(file).map_err(broken)?;
                tar.unpack(Is::Input, &at.join("/"), &mut root, &mut sources)
                    .map_err(|error| faulty(error.to_string()))?;
            }
        }
    }
    let working = root.resolve(&spec.working_dir, true).map_err(broken)?;
    root.make(&working).map_err(broken)?;
    let mut sealed = Sealed::default();
    let input_root = root.seal(&mut sealed);
    let platform = platform(around);
    let mut output_paths = output_paths(&spec.working_dir, outputs);
    output_paths.extend(around.whole.then(|| root_path(&spec.working_dir)));
    output_paths.sort();
    output_paths.dedup();
    let modes = around.whole.then(|| UNIX_MODE.to_owned());
    #[expect(deprecated, reason = "servers of versions before 2.2 read the properties here")]
    let command = reapi::Command {
        arguments: spec.argv,
        environment_variables: variables(spec.env),
        output_paths,
        output_node_properties: modes.into_iter().collect(),
        working_directory: spec.working_dir.trim_matches('/').to_owned(),
        platform: Some(platform.clone()),
        ..reapi::Command::default()
    };
    let command = command.encode_to_vec();
    let deadline = spec.limits.deadline;
    let action = reapi::Action {
        command_digest: Some(digest(Digest::of(&command), command.len() as u64)),
        input_root_digest: Some(digest(input_root.0, input_root.1)),
        timeout: Some(Duration {
            seconds: i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX),
            nanos: i32::try_from(deadline.subsec_nanos()).unwrap_or_default(),
        }),
        // What it gives is remembered here, by what kiln knows it by.
        do_not_cache: true,
        salt: around.salt.clone().into_bytes(),
        platform: Some(platform),
    };
    let Sealed { lists, blobs } = sealed;
    let named = (Digest::of(b""), 0);
    let mut action = Action { message: action, digest: named, blobs, sources };
    for bytes in lists.into_values().chain([command]) {
        action.keep(bytes);
    }
    action.name();
    Ok(action)
}

impl Action {
    /// Makes another action of it that does the same, for which no server can give what it has of this one.
    pub(crate) fn begin_again(&mut self, salt: String) {
        self.message.salt = salt.into_bytes();
        self.name();
    }

    fn name(&mut self) {
        let message = self.message.encode_to_vec();
        self.digest = (Digest::of(&message), message.len() as u64);
        self.keep(message);
    }

    fn keep(&mut self, bytes: Vec<u8>) {
        let digest = Digest::of(&bytes);
        self.blobs.insert(digest, bytes.len() as u64);
        self.sources.insert(digest, Source::Bytes(bytes.into()));
    }
}

/// The paths of outputs as the API has them, in their order: from the working folder.
pub(crate) fn output_paths(working_dir: &str, outputs: &[GuestPath]) -> Vec<String> {
    let up = working_dir.split('/').filter(|name| !name.is_empty()).count();
    outputs.iter().map(|output| format!("{}{}", "../".repeat(up), output.below_root())).collect()
}

/// The path of the whole root, from the working folder.
pub(crate) fn root_path(working_dir: &str) -> String {
    let up = working_dir.split('/').filter(|name| !name.is_empty()).map(|_| "..").collect::<Vec<_>>();
    if up.is_empty() { ".".to_owned() } else { up.join("/") }
}

fn variables(mut variables: BTreeMap<String, String>) -> Vec<reapi::command::EnvironmentVariable> {
    variables.entry("HOME".to_owned()).or_insert_with(|| "/".to_owned());
    let one = |(name, value)| reapi::command::EnvironmentVariable { name, value };
    variables.into_iter().map(one).collect()
}

fn platform(around: &Around<'_>) -> reapi::Platform {
    let mut properties = around.properties.clone();
    if around.as_user {
        properties.insert("unixUID".to_owned(), around.user.uid.to_string());
        properties.insert("unixGID".to_owned(), around.user.gid.to_string());
    }
    let one = |(name, value)| Property { name, value };
    reapi::Platform { properties: properties.into_iter().map(one).collect() }
}

/// Puts a folder in the place of whatever is at a path.
fn mount(root: &mut Folder, path: &GuestPath, folder: Folder) -> io::Result<()> {
    let mut place = root.resolve(path.as_str(), true)?;
    let Some(name) = place.pop() else { return Err(io::Error::other("the root cannot be replaced")) };
    root.make(&place)?.nodes.insert(name, Node::Folder(Arc::new(folder)));
    Ok(())
}

fn spooled_file(file: std::fs::File) -> io::Result<Tar> {
    let size = file.metadata()?.len();
    Ok(Tar { file: Arc::new(file), offset: 0, size })
}

/// A folder of this machine as a tree, with the content of its files left where it is.
pub(crate) fn read_folder(path: &Path, time: u64) -> io::Result<(Arc<Folder>, Sources)> {
    let mut sources = Sources::new();
    let folder = read_below(path, time, &mut sources)?;
    Ok((Arc::new(folder), sources))
}

fn read_below(path: &Path, time: u64, sources: &mut Sources) -> io::Result<Folder> {
    let mut folder = Folder::new(FOLDER, time);
    for entry in fs_err::read_dir(path)? {
        let path: PathBuf = entry?.path();
        let unusable = |why: &str| io::Error::other(format!("{}: {why}", path.display()));
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| unusable("its name is no text"))?.to_owned();
        let metadata = fs_err::symlink_metadata(&path)?;
        let node = if metadata.is_dir() {
            Node::Folder(Arc::new(read_below(&path, time, sources)?))
        } else if metadata.is_symlink() {
            let target = fs_err::read_link(&path)?;
            Node::Link(target.to_str().ok_or_else(|| unusable("it leads to what is no text"))?.to_owned())
        } else if metadata.is_file() {
            let mut hashed = HashingWriter::new(io::sink());
            let size = io::copy(&mut fs_err::File::open(&path)?, &mut hashed)?;
            let (_, digest, _) = hashed.finish();
            sources.insert(digest, Source::File(path.clone()));
            Node::File(File { digest, size, mode: metadata.mode() & 0o755, time })
        } else {
            return Err(unusable("it is neither file, folder nor link"));
        };
        folder.nodes.insert(name, node);
    }
    Ok(folder)
}
