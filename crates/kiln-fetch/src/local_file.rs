//! `file:` URLs: an index or archive that is a folder on this host.

use crate::target::Target;
use crate::{FetchError, Response, Sink, redacted};
use kiln_record::{Digest, Hasher};
use std::io::{self, ErrorKind, Read as _};
use std::path::PathBuf;
use url::Url;

/// Reads a whole file, or the `index.html` of a folder.
pub(crate) fn read(url: &Url, limit: u64) -> Result<Response, FetchError> {
    let mut path = path_of(url)?;
    let mut final_url = url.clone();
    if path.is_dir() {
        path.push("index.html");
        if !final_url.path().ends_with('/') {
            final_url.set_path(&format!("{}/", url.path()));
        }
    }
    let mut bytes = Vec::new();
    open(url, &path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| read_error(url, &error))?;
    if bytes.len() as u64 > limit {
        return Err(FetchError::TooLarge { url: redacted(url), limit });
    }
    let content_type = match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => Some("text/html".to_owned()),
        Some("json") => Some("application/json".to_owned()),
        _ => None,
    };
    Ok(Response { bytes, final_url, content_type })
}

/// Copies a file into a sink.
pub(crate) fn copy(url: &Url, target: &Target<'_>, sink: &mut dyn Sink) -> Result<(Digest, u64), FetchError> {
    let mut file = open(url, &path_of(url)?)?;
    sink.restart().map_err(|source| target.sink_error(source))?;
    let mut hasher = Hasher::default();
    let mut found = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(read_error(url, &error)),
        };
        found += count as u64;
        target.check_growth(found)?;
        hasher.update(&buffer[..count]);
        sink.write_all(&buffer[..count]).map_err(|source| target.sink_error(source))?;
        (target.progress)(count as u64);
    }
    sink.flush().map_err(|source| target.sink_error(source))?;
    Ok((hasher.finish(), found))
}

fn path_of(url: &Url) -> Result<PathBuf, FetchError> {
    url.to_file_path().map_err(|()| FetchError::BadReply {
        url: redacted(url),
        why: "it does not name a file on this host".to_owned(),
    })
}

fn open(url: &Url, path: &std::path::Path) -> Result<fs_err::File, FetchError> {
    // A pipe or device would block or never end, so the kind is checked before opening.
    let kind = fs_err::metadata(path).map_err(|error| read_error(url, &error))?;
    if !kind.is_file() {
        return Err(FetchError::BadReply { url: redacted(url), why: "it is not a regular file".to_owned() });
    }
    fs_err::File::open(path).map_err(|error| read_error(url, &error))
}

fn read_error(url: &Url, error: &io::Error) -> FetchError {
    let url = redacted(url);
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => FetchError::NotFound { url },
        ErrorKind::PermissionDenied => FetchError::Forbidden { url, why: "permission denied".to_owned() },
        _ => FetchError::Unreachable { url, attempts: 1, why: error.to_string() },
    }
}
