//! Archives on their way into a container: the one that carries all inputs, and the bridge from a blocking reader or
//! writer to a request body.

use crate::run::User;
use crate::{GuestPath, InputContent, InputTree};
use bytes::Bytes;
use fs_err as fs;
use futures_util::stream::{self, Stream};
use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Whom inputs belong to.
const ROOT: User = User { uid: 0, gid: 0 };
const CHUNK: usize = 256 << 10;
// Chunks under way between the thread that makes them and the engine.
const CHUNKS_AHEAD: usize = 8;

/// Why the archive of all inputs could not be made.
#[derive(Debug)]
pub struct InputFault {
    /// The input concerned; `None` if it is the connection, whose own error says more.
    pub path: Option<GuestPath>,
    /// What is wrong.
    pub why: String,
}

/// Writes one archive with all inputs and, unless it is for the only input, empty output folders.
///
/// `time` is that of every entry. Paths are relative to the container's root, or to the only input if `at_input` is set. Owners, times and modes are
/// set here, so that whatever the caller's archive says, the program cannot write its inputs, but for those that are the
/// first content of an output.
///
/// # Errors
/// [`InputFault`] with the input that is no good, or none where `to` is what failed.
pub fn write_inputs(
    inputs: Vec<InputTree>,
    outputs: &[GuestPath],
    user: User,
    at_input: bool,
    time: u64,
    to: impl Write,
) -> Result<(), InputFault> {
    let lost = |why: io::Error| InputFault { path: None, why: why.to_string() };
    let mut archive = Builder::new(to);
    for output in outputs.iter().filter(|_| !at_input) {
        folder(&mut archive, Path::new(output.below_root()), user, time).map_err(lost)?;
    }
    for InputTree { path, content } in inputs {
        let root = if at_input { PathBuf::new() } else { PathBuf::from(path.below_root()) };
        let owner = if outputs.contains(&path) { user } else { ROOT };
        if !at_input {
            folder(&mut archive, &root, owner, time).map_err(lost)?;
        }
        match content {
            InputContent::Tar(tar) => copy_tree(&mut archive, &root, tar, owner, time),
            InputContent::Folder(folder) => copy_folder(&mut archive, &root, &folder, owner, time),
        }
        .map_err(|why| InputFault { path: Some(path), why: why.to_string() })?;
    }
    archive.finish().map_err(lost)
}

fn folder(archive: &mut Builder<impl Write>, path: &Path, owner: User, time: u64) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_mode(0o755);
    header.set_uid(owner.uid.into());
    header.set_gid(owner.gid.into());
    header.set_mtime(time);
    header.set_size(0);
    archive.append_data(&mut header, path, io::empty())
}

/// Copies a folder of this machine, in the order of its names.
fn copy_folder(
    archive: &mut Builder<impl Write>,
    root: &Path,
    from: &Path,
    owner: User,
    time: u64,
) -> io::Result<()> {
    let mut names =
        fs::read_dir(from)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let (path, from) = (root.join(&name), from.join(&name));
        let metadata = fs::symlink_metadata(&from)?;
        let mut header = Header::new_gnu();
        header.set_uid(owner.uid.into());
        header.set_gid(owner.gid.into());
        header.set_mtime(time);
        header.set_size(0);
        if metadata.is_dir() {
            folder(archive, &path, owner, time)?;
            copy_folder(archive, &path, &from, owner, time)?;
        } else if metadata.is_symlink() {
            header.set_entry_type(EntryType::Symlink);
            header.set_mode(0o777);
            archive.append_link(&mut header, &path, fs::read_link(&from)?)?;
        } else if metadata.is_file() {
            header.set_entry_type(EntryType::Regular);
            header.set_mode(metadata.mode() & 0o755);
            header.set_size(metadata.len());
            archive.append_data(&mut header, &path, fs::File::open(&from)?)?;
        } else {
            return Err(io::Error::other(format!("{} is neither file, folder nor link", from.display())));
        }
    }
    Ok(())
}

fn copy_tree(
    archive: &mut Builder<impl Write>,
    root: &Path,
    tar: Box<dyn Read + Send>,
    owner: User,
    time: u64,
) -> io::Result<()> {
    let mut folders: BTreeSet<PathBuf> = BTreeSet::new();
    let mut source = tar::Archive::new(tar);
    for entry in source.entries()? {
        let mut entry = entry?;
        let named = entry.path()?.into_owned();
        let Some(relative) = inside(&named) else {
            return Err(io::Error::other(format!("entry `{}` leaves the folder", named.display())));
        };
        if relative.as_os_str().is_empty() {
            continue;
        }
        let path = root.join(&relative);
        let kind = entry.header().entry_type();
        let mode = entry.header().mode()? & 0o755;
        let mut header = Header::new_gnu();
        header.set_uid(owner.uid.into());
        header.set_gid(owner.gid.into());
        header.set_mtime(time);
        header.set_size(0);
        header.set_entry_type(kind);
        // Folders that the archive does not name would belong to root.
        if owner != ROOT {
            let above = relative.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
            for path in above.collect::<Vec<_>>().into_iter().rev() {
                if folders.insert(path.to_owned()) {
                    folder(archive, &root.join(path), owner, time)?;
                }
            }
        }
        match kind {
            EntryType::Directory => {
                header.set_mode(0o755);
                archive.append_data(&mut header, &path, io::empty())?;
            }
            EntryType::Regular => {
                header.set_mode(mode);
                header.set_size(entry.size());
                archive.append_data(&mut header, &path, &mut entry)?;
            }
            EntryType::Symlink => {
                let target = entry.link_name()?.ok_or_else(|| io::Error::other("a link without target"))?;
                header.set_mode(0o777);
                archive.append_link(&mut header, &path, &target)?;
            }
            EntryType::Link => {
                let target = entry.link_name()?.ok_or_else(|| io::Error::other("a link without target"))?;
                let Some(target) = inside(&target) else {
                    return Err(io::Error::other(format!(
                        "hard link `{}` leaves the folder",
                        named.display()
                    )));
                };
                header.set_mode(mode);
                archive.append_link(&mut header, &path, root.join(target))?;
            }
            other => {
                return Err(io::Error::other(format!(
                    "entry `{}` is neither file, folder nor link ({other:?})",
                    named.display()
                )));
            }
        }
    }
    Ok(())
}

/// The path without `.` components; `None` if it is absolute or could leave its folder.
fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => clean.push(name),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

/// Runs a blocking writer on its own thread and gives what it writes as a stream. When the stream is dropped, the
/// writer's next write fails.
pub(crate) fn stream_of_writer<E: Send + 'static>(
    write: impl FnOnce(&mut dyn Write) -> Result<(), E> + Send + 'static,
) -> (impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static, JoinHandle<Result<(), E>>) {
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let thread = tokio::task::spawn_blocking(move || {
        let mut writer = io::BufWriter::with_capacity(CHUNK, ChunkWriter(sender.clone()));
        let result = write(&mut writer);
        let flushed = writer.flush();
        if result.is_err() || flushed.is_err() {
            // The request must not look complete to the engine.
            let _ = sender.blocking_send(Err(io::Error::other("the archive could not be completed")));
        }
        result
    });
    (chunks(receiver), thread)
}

/// Reads a blocking reader on its own thread and gives its bytes as a stream.
pub(crate) fn stream_of_reader(
    mut reader: impl Read + Send + 'static,
) -> (impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static, JoinHandle<io::Result<()>>) {
    stream_of_writer(move |writer| io::copy(&mut reader, writer).map(|_| ()))
}

fn chunks(
    receiver: mpsc::Receiver<Result<Bytes, io::Error>>,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    stream::unfold(receiver, |mut receiver| async { receiver.recv().await.map(|chunk| (chunk, receiver)) })
}

struct ChunkWriter(mpsc::Sender<Result<Bytes, io::Error>>);

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the engine stopped reading"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> GuestPath {
        GuestPath::new(text).unwrap()
    }

    fn tar_with(name: &[u8], kind: EntryType, link: &str) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(0o4777);
        header.set_uid(1000);
        header.set_gid(1000);
        header.set_mtime(77);
        header.set_size(0);
        if !link.is_empty() {
            header.set_link_name_literal(link).unwrap();
        }
        header.set_cksum();
        let mut builder = Builder::new(Vec::new());
        builder.append(&header, io::empty()).unwrap();
        builder.into_inner().unwrap()
    }

    fn rewritten(tar: Vec<u8>, at_input: bool) -> Result<Vec<String>, String> {
        let mut bytes = Vec::new();
        let inputs = vec![InputTree::new(path("/in/x"), io::Cursor::new(tar))];
        write_inputs(inputs, &[], User { uid: 7, gid: 8 }, at_input, 0, &mut bytes)
            .map_err(|fault| fault.why)?;
        let mut archive = tar::Archive::new(bytes.as_slice());
        let lines = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            format!(
                "{} {:o} {}:{} {}",
                entry.path().unwrap().display(),
                header.mode().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap(),
                header.mtime().unwrap(),
            )
        });
        Ok(lines.collect())
    }

    #[test]
    fn owners_times_and_modes_are_ours() {
        let tar = tar_with(b"./a/b", EntryType::Regular, "");
        assert_eq!(rewritten(tar.clone(), false).unwrap(), ["in/x 755 0:0 0", "in/x/a/b 755 0:0 0"]);
        assert_eq!(rewritten(tar, true).unwrap(), ["a/b 755 0:0 0"]);
    }

    #[test]
    fn entries_that_leave_or_are_devices_are_refused() {
        for name in [b"../a".as_slice(), b"/etc/x", b"a/../../b"] {
            assert!(rewritten(tar_with(name, EntryType::Regular, ""), false).unwrap_err().contains("leaves"));
        }
        assert!(rewritten(tar_with(b"a", EntryType::Link, "../b"), false).unwrap_err().contains("leaves"));
        assert!(rewritten(tar_with(b"a", EntryType::Block, ""), false).unwrap_err().contains("neither"));
        assert!(rewritten(vec![1; 1024], false).is_err());
        assert!(rewritten(tar_with(b"a", EntryType::Symlink, "../b"), false).is_ok());
    }

    #[test]
    fn outputs_belong_to_the_user() {
        let mut bytes = Vec::new();
        write_inputs(Vec::new(), &[path("/out")], User { uid: 7, gid: 8 }, false, 0, &mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (7, 8));
        assert_eq!(entry.path().unwrap(), Path::new("out"));
    }

    #[tokio::test]
    async fn a_failed_writer_does_not_look_complete() {
        use futures_util::StreamExt as _;
        let (stream, thread) = stream_of_writer(|writer| {
            writer.write_all(b"half").map_err(|_| "write")?;
            Err("broken")
        });
        let chunks: Vec<_> = stream.collect().await;
        assert!(chunks.last().unwrap().is_err());
        assert_eq!(thread.await.unwrap(), Err("broken"));
    }
}
