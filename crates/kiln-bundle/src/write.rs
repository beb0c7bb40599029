//! Writes a bundle of what is in a store.

use crate::layout::{BLOBS, CONFIG_TYPE, FILE_TYPE, INDEX_FILE, LAYOUT_FILE, blob_path, index, manifest};
use crate::{BundleError, Content};
use fs_err as fs;
use kiln_image::{Descriptor, TITLE};
use kiln_record::{Defect, Digest, canonical_json};
use kiln_store::{Store, write_atomically};
use std::collections::BTreeMap;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

/// What form a bundle has on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One tar.
    Tar,
    /// A folder.
    Folder,
}

/// A bundle that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The digest of its manifest, which stands for all of it.
    pub digest: Digest,
    /// The digest of the tar itself; none of a folder.
    pub file: Option<Digest>,
    /// How many files it holds.
    pub files: usize,
    /// How long they are together, in bytes.
    pub bytes: u64,
}

/// Writes a bundle. Equal content gives equal bytes: files are sorted by digest, and no time, owner or path of this machine is
/// in it. It appears under its name when it is complete; a folder must not be there yet.
///
/// # Errors
/// If the store lacks something, or the bundle cannot be written.
pub fn write(store: &Store, content: &Content, path: &Path, form: Form) -> Result<Written, BundleError> {
    let described = canonical_json(content).map_err(|error| Defect::new(error.to_string()))?;
    let mut files = Vec::new();
    let mut bytes = 0_u64;
    for (digest, name) in &content.files {
        let size = store.size_of(digest)?;
        bytes += size;
        let annotations = BTreeMap::from([(TITLE.to_owned(), name.clone())]);
        files.push(Descriptor { media_type: FILE_TYPE.to_owned(), digest: *digest, size, annotations });
    }
    let manifest = manifest(&Descriptor::of(CONFIG_TYPE, &described), &files)?;
    let index = index(&manifest)?;
    let digest = Digest::of(&manifest);
    let documents =
        [(Digest::of(&manifest), manifest.as_slice()), (Digest::of(&described), described.as_slice())];
    let mut written = Written { digest, file: None, files: files.len(), bytes };
    match form {
        Form::Folder => {
            fs::create_dir(path)?;
            fs::create_dir_all(path.join(BLOBS))?;
            for file in &files {
                let mut blob = store.open_blob(&file.digest)?;
                let target = fs::File::create_new(path.join(blob_path(&file.digest)))?;
                copy_checked(&mut blob, BufWriter::new(target), &file.digest)?;
            }
            for (digest, bytes) in documents {
                write_atomically(&path.join(blob_path(&digest)), bytes)?;
            }
            write_atomically(&path.join(LAYOUT_FILE.0), LAYOUT_FILE.1)?;
            // The last one: a folder without it is no layout.
            write_atomically(&path.join(INDEX_FILE), &index)?;
        }
        Form::Tar => {
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            let unfinished = folder
                .join(format!(".{}.unfinished", path.file_name().unwrap_or_default().to_string_lossy()));
            let made = write_tar(store, &unfinished, &index, &documents, &files);
            let finished = made.and_then(|file| Ok((file, fs::rename(&unfinished, path)?)));
            if finished.is_err() {
                // It is of no use to anybody, and that it stays changes nothing.
                let _ = fs::remove_file(&unfinished);
            }
            written.file = Some(finished?.0);
        }
    }
    Ok(written)
}

fn write_tar(
    store: &Store,
    path: &Path,
    index: &[u8],
    documents: &[(Digest, &[u8])],
    files: &[Descriptor],
) -> Result<Digest, BundleError> {
    let file = kiln_record::HashingWriter::new(BufWriter::with_capacity(1 << 18, fs::File::create(path)?));
    let mut tar = tar::Builder::new(file);
    for folder in ["blobs/", BLOBS] {
        tar.append_data(&mut header(tar::EntryType::Directory, 0o755, 0), folder, io::empty())?;
    }
    let mut add = |name: &str, size: u64, content: &mut dyn Read| {
        tar.append_data(&mut header(tar::EntryType::Regular, 0o644, size), name, content)
    };
    // What says what the rest is comes first.
    add(LAYOUT_FILE.0, LAYOUT_FILE.1.len() as u64, &mut { LAYOUT_FILE.1 })?;
    add(INDEX_FILE, index.len() as u64, &mut { index })?;
    for (digest, bytes) in documents {
        add(&blob_path(digest), bytes.len() as u64, &mut { *bytes })?;
    }
    for file in files {
        add(&blob_path(&file.digest), file.size, &mut store.open_blob(&file.digest)?)?;
    }
    let (buffer, digest, _) = tar.into_inner()?.finish();
    buffer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    Ok(digest)
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn copy_checked(from: &mut dyn Read, to: impl Write, expected: &Digest) -> Result<(), BundleError> {
    let mut writer = kiln_record::HashingWriter::new(to);
    io::copy(from, &mut writer)?;
    writer.flush()?;
    let (_, found, _) = writer.finish();
    match found == *expected {
        true => Ok(()),
        false => Err(kiln_store::StoreError::BlobDamaged { digest: *expected, found }.into()),
    }
}
