//! Reads a bundle, and fills a store with it once all of it was checked.

use crate::layout::{
    ARTIFACT_TYPE, BLOBS, INDEX_FILE, LAYOUT_FILE, artifact_type, blob_path, named_manifest,
};
use crate::{BundleError, Content};
use fs_err as fs;
use kiln_image::{Descriptor, manifest_blobs};
use kiln_record::{Digest, HashingWriter, counted, excerpt};
use kiln_store::{Store, digests_in, has_room, open_regular};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// The largest document of a bundle, in bytes.
const LARGEST_DOCUMENT: u64 = 512 << 20;
/// How many files one may have.
const MOST_FILES: usize = 4_000_000;

/// A bundle on disk whose documents were read. Its files are checked by [`Bundle::fill`].
#[derive(Debug)]
pub struct Bundle {
    place: Place,
    digest: Digest,
    content: Content,
    files: Vec<Descriptor>,
}

/// What came of filling a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Files that were not in the store.
    pub new: usize,
    /// How long these are together, in bytes.
    pub bytes: u64,
    /// Files that were there.
    pub there: usize,
}

/// Where a layout is.
#[derive(Debug)]
enum Place {
    /// In a tar, each file at an offset and with a length.
    Tar(fs::File, BTreeMap<String, (u64, u64)>),
    /// In a folder, with the length of each file.
    Folder(PathBuf, BTreeMap<String, u64>),
}

impl Bundle {
    /// Opens a bundle and reads its documents. `expected` is its digest, where it is known.
    ///
    /// # Errors
    /// If it is no bundle, not whole, or another one than expected.
    pub fn open(path: &Path, expected: Option<&Digest>) -> Result<Self, BundleError> {
        let place = Place::open(path)?;
        if place.document(LAYOUT_FILE.0, 4096)?.trim_ascii() != LAYOUT_FILE.1.trim_ascii() {
            return Err(BundleError::Foreign { why: format!("its {} is another one", LAYOUT_FILE.0) });
        }
        let named = named_manifest(&place.document(INDEX_FILE, LARGEST_DOCUMENT)?)?;
        if let Some(expected) = expected
            && *expected != named.digest
        {
            return Err(BundleError::Other { expected: *expected, found: named.digest });
        }
        let manifest = place.checked("its manifest", &named)?;
        if artifact_type(&manifest).as_deref() != Some(ARTIFACT_TYPE) {
            return Err(BundleError::Foreign {
                why: "it holds an image, or something else in a layout".to_owned(),
            });
        }
        let (config, files) = manifest_blobs(&manifest)?;
        let content = Content::read(&place.checked("its description", &config)?)?;
        let bundle = Self { place, digest: named.digest, content, files };
        bundle.holds_what_it_names(&named, &config)?;
        Ok(bundle)
    }

    /// The digest of its manifest, which stands for all of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// What it says that it holds.
    #[must_use]
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Holds its files against its documents: every one that is named is there, and nothing beside them.
    fn holds_what_it_names(&self, manifest: &Descriptor, config: &Descriptor) -> Result<(), BundleError> {
        let named: BTreeSet<Digest> = self.files.iter().map(|file| file.digest).collect();
        if !named.iter().eq(self.content.files.keys()) {
            let why = "its manifest and its description name different files".to_owned();
            return Err(BundleError::Foreign { why });
        }
        if !named.contains(&self.content.kiln.digest) {
            return Err(BundleError::Foreign { why: "it has no kiln".to_owned() });
        }
        for file in &self.files {
            match self.place.size(&blob_path(&file.digest)) {
                Some(size) if size == file.size => {}
                found => {
                    let name = excerpt(self.content.files.get(&file.digest).map_or("", String::as_str));
                    let why = match found {
                        None => format!("{name} ({}) is missing", file.digest),
                        Some(found) => format!("{name} has {found} bytes of {}", file.size),
                    };
                    return Err(BundleError::Partial { why });
                }
            }
        }
        let mut paths: BTreeSet<String> = named.iter().map(blob_path).collect();
        paths.extend([LAYOUT_FILE.0.to_owned(), INDEX_FILE.to_owned()]);
        paths.extend([manifest, config].map(|document| blob_path(&document.digest)));
        match self.place.paths().find(|path| !paths.contains(*path)) {
            Some(stray) => {
                Err(BundleError::Foreign { why: format!("nothing in it names its file {}", excerpt(stray)) })
            }
            None => Ok(()),
        }
    }

    /// Checks every file, and then puts what is missing into the store, with what was chosen. Where anything is wrong, the store is
    /// as it was. `kinds` are the kinds of remembered values that are taken.
    ///
    /// # Errors
    /// If a file is not what its digest says, or a remembered value is of another kind or about other files.
    pub fn fill(&self, store: &Store, kinds: &[&str]) -> Result<Filled, BundleError> {
        let mut values = Vec::new();
        for one in &self.content.remembered {
            if !kinds.contains(&one.kind.as_str()) {
                return Err(BundleError::Kind { kind: excerpt(&one.kind) });
            }
            if let Some(other) =
                digests_in(one.value.as_bytes()).find(|digest| !self.content.files.contains_key(digest))
            {
                let why = format!("it chooses {other}, which is not among its files");
                return Err(BundleError::Foreign { why });
            }
            let value: serde_json::Value = serde_json::from_str(&one.value).map_err(|error| {
                BundleError::Foreign { why: format!("what it remembers is no JSON: {error}") }
            })?;
            values.push((one, value));
        }
        let missing: Vec<&Descriptor> =
            self.files.iter().filter(|file| !store.contains(&file.digest)).collect();
        let bytes = missing.iter().map(|file| file.size).fold(0, u64::saturating_add);
        has_room(store.root(), "the files of the bundle", bytes)?;
        for file in &self.files {
            let mut hasher = HashingWriter::new(io::sink());
            io::copy(&mut self.place.file(&blob_path(&file.digest))?, &mut hasher)?;
            self.is(file, hasher.finish().1)?;
        }
        for file in &missing {
            let mut writer = store.writer()?;
            io::copy(&mut self.place.file(&blob_path(&file.digest))?, &mut writer)?;
            // Read twice: a file that somebody changes meanwhile gets in no more than one that was wrong.
            writer.commit(Some(&file.digest))?;
        }
        for (one, value) in values {
            store.cache_put(&one.kind, &one.key, &value)?;
        }
        Ok(Filled { new: missing.len(), bytes, there: self.files.len() - missing.len() })
    }

    fn is(&self, file: &Descriptor, found: Digest) -> Result<(), BundleError> {
        if found == file.digest {
            return Ok(());
        }
        let what = excerpt(self.content.files.get(&file.digest).map_or("a file", String::as_str));
        Err(BundleError::Altered { what, expected: file.digest, found })
    }
}

impl Place {
    fn open(path: &Path) -> Result<Self, BundleError> {
        if path.is_dir() {
            return Self::of_folder(path);
        }
        let file = open_regular(path)?;
        let length = file.metadata()?.len();
        let mut places = BTreeMap::new();
        let partial = |error: io::Error| match error.raw_os_error() {
            Some(_) => BundleError::Io(error),
            None => BundleError::Foreign { why: format!("it cannot be read as a tar: {error}") },
        };
        let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 16, &file));
        for entry in archive.entries_with_seek().map_err(partial)? {
            let entry = entry.map_err(|error| match places.is_empty() {
                true => partial(error),
                false => BundleError::Partial {
                    why: format!("it ends after {}: {error}", counted(places.len(), "files")),
                },
            })?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let (at, size) = (entry.raw_file_position(), entry.size());
            match entry.header().entry_type() {
                tar::EntryType::Directory if name == "blobs/" || name == BLOBS => continue,
                tar::EntryType::Regular => {}
                _ => {
                    let why = format!("{} is neither a file nor a folder of a layout", excerpt(&name));
                    return Err(BundleError::Foreign { why });
                }
            }
            if at.checked_add(size).is_none_or(|end| end > length) {
                return Err(BundleError::Partial { why: format!("it ends within {}", excerpt(&name)) });
            }
            if places.len() >= MOST_FILES {
                return Err(BundleError::Foreign { why: format!("it has more than {MOST_FILES} files") });
            }
            if places.insert(name.clone(), (at, size)).is_some() {
                return Err(BundleError::Foreign { why: format!("it has {} twice", excerpt(&name)) });
            }
        }
        drop(archive);
        if places.is_empty() {
            return Err(BundleError::Foreign { why: "there is nothing in it".to_owned() });
        }
        Ok(Self::Tar(file, places))
    }

    fn of_folder(path: &Path) -> Result<Self, BundleError> {
        let mut sizes = BTreeMap::new();
        for (folder, prefix) in [(path.to_owned(), ""), (path.join(BLOBS), BLOBS)] {
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let (name, found) = (entry.file_name().to_string_lossy().into_owned(), entry.metadata()?);
                if found.is_file() {
                    sizes.insert(format!("{prefix}{name}"), found.len());
                } else if !(found.is_dir() && prefix.is_empty() && name == "blobs") {
                    let why = format!("{} is neither a file nor a folder of a layout", excerpt(&name));
                    return Err(BundleError::Foreign { why });
                }
            }
        }
        Ok(Self::Folder(path.to_owned(), sizes))
    }

    fn paths(&self) -> Box<dyn Iterator<Item = &String> + '_> {
        match self {
            Self::Tar(_, places) => Box::new(places.keys()),
            Self::Folder(_, sizes) => Box::new(sizes.keys()),
        }
    }

    fn size(&self, path: &str) -> Option<u64> {
        match self {
            Self::Tar(_, places) => places.get(path).map(|(_, size)| *size),
            Self::Folder(_, sizes) => sizes.get(path).copied(),
        }
    }

    fn file(&self, path: &str) -> Result<Box<dyn Read + '_>, BundleError> {
        let missing = || BundleError::Partial { why: format!("{} is missing", excerpt(path)) };
        match self {
            Self::Tar(file, places) => {
                let (at, size) = places.get(path).ok_or_else(missing)?;
                let mut part = file.try_clone()?;
                part.seek(SeekFrom::Start(*at))?;
                Ok(Box::new(BufReader::with_capacity(1 << 18, part).take(*size)))
            }
            Self::Folder(root, sizes) => {
                let size = sizes.get(path).ok_or_else(missing)?;
                let file = open_regular(root.join(path))?;
                Ok(Box::new(BufReader::with_capacity(1 << 18, file).take(*size)))
            }
        }
    }

    fn document(&self, path: &str, most: u64) -> Result<Vec<u8>, BundleError> {
        let Some(size) = self.size(path) else {
            return Err(BundleError::Foreign {
                why: format!("it has no {path}, which every OCI layout has"),
            });
        };
        if size > most {
            return Err(BundleError::Foreign { why: format!("its {path} has {size} bytes") });
        }
        let mut bytes = Vec::new();
        self.file(path)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn checked(&self, what: &str, named: &Descriptor) -> Result<Vec<u8>, BundleError> {
        let path = blob_path(&named.digest);
        if self.size(&path).is_none() {
            return Err(BundleError::Partial { why: format!("{what} ({}) is missing", named.digest) });
        }
        let bytes = self.document(&path, LARGEST_DOCUMENT)?;
        let found = Digest::of(&bytes);
        if found != named.digest {
            return Err(BundleError::Altered { what: what.to_owned(), expected: named.digest, found });
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Form, Program, Remembered, write};

    /// A store with two files, and the content of a bundle of them.
    fn stored() -> (tempfile::TempDir, Store, Content) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let [kiln, wheel] = [b"a program" as &[u8], b"a wheel"].map(|bytes| store.put(bytes).unwrap());
        let program = Program { version: "1".to_owned(), platform: "linux/x86_64".to_owned(), digest: kiln };
        let mut content = Content::new(BTreeSet::from(["app".parse().unwrap()]), program);
        content.files.insert(wheel, "a-1.0-py3-none-any.whl".to_owned());
        let value = format!("{{\"digest\":\"{wheel}\"}}");
        let key = Digest::of(b"key");
        content.remembered.insert(Remembered { kind: "chosen".to_owned(), key, value });
        (folder, store, content)
    }

    #[test]
    fn both_forms_hold_the_same_and_give_it_back() {
        let (folder, store, content) = stored();
        let (tar, layout) = (folder.path().join("b.tar"), folder.path().join("b"));
        let written = write(&store, &content, &tar, Form::Tar).unwrap();
        assert_eq!(written.digest, write(&store, &content, &layout, Form::Folder).unwrap().digest);
        assert_eq!(written.file, Some(Digest::of(&fs::read(&tar).unwrap())));
        for (number, path) in [tar, layout].iter().enumerate() {
            let bundle = Bundle::open(path, Some(&written.digest)).unwrap();
            assert_eq!(bundle.content(), &content);
            let into = Store::open(&folder.path().join(number.to_string())).unwrap();
            let filled = bundle.fill(&into, &["chosen"]).unwrap();
            assert_eq!(filled, Filled { new: 2, bytes: 16, there: 0 });
            assert!(content.files.keys().all(|digest| into.contains(digest)));
            let value: Option<serde_json::Value> = into.cache_get("chosen", &Digest::of(b"key")).unwrap();
            assert!(value.is_some());
            assert_eq!(bundle.fill(&into, &["chosen"]).unwrap().new, 0);
        }
    }

    #[test]
    fn what_is_remembered_is_of_a_known_kind_and_about_files_that_are_there() {
        let (folder, store, content) = stored();
        let path = folder.path().join("b.tar");
        let refused = |content: &Content, kinds: &[&str]| {
            write(&store, content, &path, Form::Tar).unwrap();
            let into = Store::open(&folder.path().join("into")).unwrap();
            let error = Bundle::open(&path, None).unwrap().fill(&into, kinds).unwrap_err();
            assert!(into.blob_sizes().unwrap().is_empty(), "{error}");
            error.to_string()
        };
        assert!(
            refused(&content, &["step"]).contains("a remembered `chosen`, which a bundle does not carry")
        );
        for (value, why) in [
            (format!("\"{}\"", Digest::of(b"another")), "which is not among its files"),
            ("{".to_owned(), "is no JSON"),
        ] {
            let mut other = content.clone();
            let one = Remembered { kind: "chosen".to_owned(), key: Digest::of(b"1"), value };
            other.remembered = BTreeSet::from([one]);
            assert!(refused(&other, &["chosen"]).contains(why));
        }
    }

    #[test]
    fn a_later_format_is_told_from_damage() {
        let (folder, store, mut content) = stored();
        content.format.major += 1;
        let path = folder.path().join("b.tar");
        write(&store, &content, &path, Form::Tar).unwrap();
        assert!(matches!(Bundle::open(&path, None), Err(BundleError::Later { .. })));
    }
}
