//! Reading an archive back as the tree that it holds.

use crate::CollectError;
use kiln_pack::{Limits, PackError, ZipReader};
use kiln_record::{Entry, HashingWriter, Mode, Tree};
use std::io::{self, BufReader};
use std::path::Path;

/// The tree that a zip holds, every entry read and checked.
///
/// # Errors
/// If it cannot be read, or holds what no tree can.
pub fn tree_of_archive(path: &Path) -> Result<Tree, CollectError> {
    let mut archive = ZipReader::open(BufReader::new(fs_err::File::open(path)?), &Limits::default())?;
    let mut tree = Tree::new();
    for member in archive.members().to_vec() {
        let entry = if member.is_symlink {
            Entry::Symlink { target: String::from_utf8_lossy(&archive.read(&member)?).into_owned() }
        } else {
            let mut content = HashingWriter::new(io::sink());
            archive.copy(&member, &mut content)?;
            let (_, digest, size) = content.finish();
            Entry::File { digest, size, mode: Mode::from_bits(member.unix_mode.unwrap_or(0o644)) }
        };
        tree.insert(member.path.clone(), entry).map_err(|error| PackError::Malformed {
            place: format!("`{}`", member.path),
            reason: error.to_string(),
        })?;
    }
    Ok(tree)
}
