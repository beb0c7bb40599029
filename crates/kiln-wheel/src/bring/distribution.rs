//! Distributions: which file of the lock to take, bringing it into the store, and reading it once.

use crate::WheelError;
use kiln_audit::{ElfFacts, inspect_elf, license_of_text};
use kiln_collect::MemberStream;
use kiln_fetch::{FetchError, IndexFile, Url, redacted, without_credentials};
use kiln_guest::Bases;
use kiln_invocation::{InvocationError, Network, Rules, blocking};
use kiln_pack::{Limits, Method, PackError, ZipReader};
use kiln_plan::PinnedBase;
use kiln_python::{
    FilePlace, Locked, NoWheel, PythonError, TargetEnvironment, Wheel, WheelMember, best_sdist, best_wheel,
    is_file_of, read_wheel, read_wheel_without_record,
};
use kiln_record::{
    BuiltFrom, Code, Digest, Embedded, Finding, HashingWriter, LongHasher, OriginSource, Place, TreePath,
    digest_of_value,
};
use kiln_sbom::{merge_embedded, read_embedded};
use kiln_store::{Memo, Store};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Seek as _, SeekFrom, Write};

/// The version of the rule by which a wheel is chosen.
pub(crate) const CHOICE_RULES: u32 = 2;

/// A wheel in the store, with everything that reading it told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadyWheel {
    /// Its file name.
    pub file_name: String,
    /// Its digest: the one that the lock names.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// SHA-512 in hexadecimal, for documents.
    pub sha512: String,
    /// What installing it gives.
    pub wheel: Wheel,
    /// Where each member's stream is in the archive.
    pub members: BTreeMap<TreePath, MemberStream>,
    /// Facts about each ELF file, by member.
    pub elf: BTreeMap<TreePath, ElfFacts>,
    /// ELF files that could not be understood, with the reason.
    pub unreadable_elf: BTreeMap<TreePath, String>,
    /// What its own bills of materials say is inside it.
    pub embedded: Vec<Embedded>,
    /// Bills of materials that could not be read, with the reason.
    pub unread_sboms: BTreeMap<TreePath, String>,
    /// The files that have the text of its licence, each with the licence that it is, if it is a known one.
    pub license_files: BTreeMap<TreePath, Option<String>>,
    /// What is wrong with its own RECORD, if anything is: what it installs gets one of its members as they are.
    pub record_wrong: Option<String>,
    /// What it was built from, if it was built here. What is remembered of the file itself does not tell.
    #[serde(skip)]
    pub built_from: Option<BuiltFrom>,
    /// Where the lock takes it from; none for the default index. That is the lock's, not the wheel's.
    #[serde(skip)]
    pub source: Option<OriginSource>,
}

/// A file of the store, by the name that it has elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Chosen {
    pub file_name: String,
    pub digest: Digest,
}

impl Memo for Chosen {
    const KIND: &'static str = "chosen-wheel";

    fn content(&self) -> Vec<Digest> {
        vec![self.digest]
    }
}

/// What came of looking for a distribution's wheel.
pub enum Found {
    /// It is in the store.
    Wheel(Box<ReadyWheel>),
    /// None of the locked wheels can be loaded by base and target.
    NoWheel(Box<NoWheelFound>),
    /// It is in the store, and only if a person accepts the finding it may be used.
    IfAccepted(Box<ReadyWheel>, Box<Finding>),
    /// There is one, and it cannot be used.
    Finding(Box<Finding>),
}

/// Why there is no wheel, and what there is instead.
pub struct NoWheelFound {
    pub none: NoWheel,
    /// The source distribution among the locked files that could be built.
    pub sdist: Option<IndexFile>,
    /// The digests that the lock names.
    pub hashes: Vec<Digest>,
}

/// The digests that the lock names for a distribution, sorted.
pub(crate) fn locked_hashes(locked: &Locked) -> Vec<Digest> {
    let hashes: BTreeSet<Digest> = locked.files.iter().map(|file| file.digest).collect();
    hashes.into_iter().collect()
}

/// What a remembered choice is kept under. The choice depends on nothing else: not on what an index offers today. So a
/// build whose wheels are in the store asks no index, and one that asks an index with fewer files than were locked is
/// refused rather than made of other files.
pub(crate) fn choice_key(
    locked: &Locked,
    hashes: &[Digest],
    target: &TargetEnvironment,
) -> Result<Digest, WheelError> {
    Ok(digest_of_value(&(CHOICE_RULES, &locked.name, &locked.version, hashes, target.tags()))?)
}

/// A locked distribution with the place that names it, as what is missing.
fn described(locked: &Locked, lock_file: &str) -> String {
    format!("{} {}, which {lock_file}:{} names,", locked.name, locked.version, locked.line)
}

/// The file that an earlier run chose among those that the lock names, if it is one of these and the store still has it.
/// What is remembered may have come from elsewhere, and chooses nothing that is not locked.
pub(crate) fn chosen_before(
    store: &Store,
    key: &Digest,
    hashes: &[Digest],
    locked: &Locked,
) -> Result<Option<Chosen>, WheelError> {
    let is_locked = |chosen: &Chosen| {
        hashes.contains(&chosen.digest) && is_file_of(&chosen.file_name, &locked.name, &locked.version)
    };
    Ok(store.recall::<Chosen>(key)?.filter(is_locked))
}

/// The wheel of a locked distribution, if an earlier run chose it and the store still has it. Nothing is fetched.
pub async fn known(
    network: &Network,
    locked: &Locked,
    target: &TargetEnvironment,
) -> Result<Option<ReadyWheel>, WheelError> {
    if !matches!(locked.place, None | Some(FilePlace::Url(_))) {
        // Of the workspace: only a build makes its wheel.
        return Ok(None);
    }
    let hashes = locked_hashes(locked);
    let key = choice_key(locked, &hashes, target)?;
    match chosen_before(network.store(), &key, &hashes, locked)? {
        Some(chosen) => Ok(Some(read(network, chosen).await?)),
        None => Ok(None),
    }
}

/// Brings the wheel of a locked distribution into the store, unless it is there, and reads it, unless that was done.
/// `index` names the index that it is bound to; none is the default one, and no other is asked.
pub(crate) async fn bring(
    bases: &Bases,
    base: &PinnedBase,
    lock_file: &str,
    locked: &Locked,
    index: Option<&str>,
    target: &TargetEnvironment,
) -> Result<Found, WheelError> {
    let source = index.map(|name| OriginSource::Index { name: name.to_owned() });
    let hashes = locked_hashes(locked);
    let key = choice_key(locked, &hashes, target)?;
    let _flight = bases.network().flight(&key).await;
    if let Some(chosen) = chosen_before(bases.store(), &key, &hashes, locked)? {
        return judged(bases.network(), chosen, lock_file, locked, source).await;
    }

    let index = match index {
        Some(name) => bases.network().named_index(name).await.map_err(WheelError::from),
        None => bases.index(base).await.map_err(WheelError::from),
    };
    // A folder is no server. Without a network, that there is no index is not what is in the way.
    match &index {
        Ok(index) => bases.network().may_reach(&index.url, || described(locked, lock_file))?,
        Err(_) => bases.network().may_ask(|| described(locked, lock_file))?,
    }
    let index = index?;
    let client = bases.network().client().await?;
    let listed: Vec<IndexFile> = index
        .files(client, &locked.name)
        .await?
        .into_iter()
        .filter(|file| is_file_of(&file.file_name, &locked.name, &locked.version))
        .collect();
    let locked_files: Vec<&IndexFile> =
        listed.iter().filter(|file| file.digest.is_none_or(|digest| hashes.contains(&digest))).collect();
    if locked_files.is_empty() {
        return Err(WheelError::HashNotLocked {
            distribution: locked.name.to_string(),
            version: locked.version.clone(),
            lock: format!("{lock_file}:{}", locked.line),
            offered: listed
                .iter()
                .map(|file| {
                    format!(
                        "{} {}",
                        file.file_name,
                        file.digest.map_or("without a hash".to_owned(), |d| d.to_string())
                    )
                })
                .collect(),
            locked: hashes,
        });
    }
    let listed_hashes: BTreeSet<Digest> = locked_files.iter().filter_map(|file| file.digest).collect();
    let unlisted = hashes.iter().filter(|hash| !listed_hashes.contains(hash)).count();
    if unlisted > 0 && locked_files.iter().all(|file| file.digest.is_some()) {
        return Err(WheelError::NotAllListed {
            distribution: locked.name.to_string(),
            version: locked.version.clone(),
            lock: format!("{lock_file}:{}", locked.line),
            index: format!("{} ({})", redacted(&index.url), index.from),
            unlisted,
            locked: hashes.len(),
        });
    }
    let file = match best_wheel(&locked_files, |file| &file.file_name, target) {
        Ok(file) => *file,
        Err(none) => {
            let sdist = best_sdist(&locked_files, |file| &file.file_name).map(|file| (*file).clone());
            return Ok(Found::NoWheel(Box::new(NoWheelFound { none, sdist, hashes })));
        }
    };
    let digest = bases.network().download(file, &hashes, &format!("{lock_file}:{}", locked.line)).await?;
    let chosen = Chosen { file_name: file.file_name.clone(), digest };
    bases.store().remember(&key, &chosen)?;
    judged(bases.network(), chosen, lock_file, locked, source).await
}

/// Brings the wheel that a lock names by its URL, from there and nowhere else.
pub(crate) async fn bring_from_url(
    network: &Network,
    url: &str,
    lock_file: &str,
    locked: &Locked,
    target: &TargetEnvironment,
) -> Result<Found, WheelError> {
    let place = Place::line(lock_file, locked.line);
    let lock = place.to_string();
    let bad = |why: String| WheelError::Fetch(FetchError::Setting { from: lock.clone(), why });
    let parsed: Url = url.parse().map_err(|error| bad(format!("its URL is none: {error}")))?;
    let mut shown = without_credentials(&parsed);
    shown.set_query(None);
    let source = Some(OriginSource::Url { url: shown.to_string() });
    let hashes = locked_hashes(locked);
    let key = choice_key(locked, &hashes, target)?;
    let _flight = network.flight(&key).await;
    let file_name = FilePlace::Url(url.to_owned()).file_name().unwrap_or_default();
    if !is_file_of(&file_name, &locked.name, &locked.version) {
        return Err(bad(format!("{file_name} is not a file of {} {}", locked.name, locked.version)));
    }
    if let Err(none) = best_wheel(&[&file_name], |name| name, target) {
        return Ok(Found::Finding(Box::new(none.finding(&locked.name, &locked.version, &place))));
    }
    let there = hashes.iter().find(|digest| network.store().contains(digest)).copied();
    let digest = match there {
        Some(digest) => digest,
        None => {
            network.may_reach(&parsed, || described(locked, lock_file))?;
            let file = IndexFile {
                file_name: file_name.clone(),
                url: parsed,
                digest: if let [one] = hashes[..] { Some(one) } else { None },
                size: None,
                requires_python: None,
                yanked: false,
                metadata: false,
            };
            network.download(&file, &hashes, &lock).await?
        }
    };
    let chosen = Chosen { file_name, digest };
    network.store().remember(&key, &chosen)?;
    judged(network, chosen, lock_file, locked, source).await
}

/// Reads a wheel. One that is not what its own RECORD says is wrong. It still is the file that the lock names, so that a
/// person can accept it by the policy, whose exception the record then has.
pub(crate) async fn judged(
    network: &Network,
    chosen: Chosen,
    lock_file: &str,
    locked: &Locked,
    source: Option<OriginSource>,
) -> Result<Found, WheelError> {
    match read(network, chosen).await {
        Ok(ready) => {
            let wrong = ready.record_wrong.clone();
            let ready = Box::new(ReadyWheel { source, ..ready });
            let Some(wrong) = wrong else { return Ok(Found::Wheel(ready)) };
            let name = &locked.name;
            let finding = Finding::new(Code::RecordMismatch, name.as_str(), wrong)
                .detail(format!("the lock names this file at {lock_file}:{}, and its hash is right", locked.line))
                .remedy("do not use this file: ask its publisher what happened to it")
                .remedy(format!("lock another version of {name}"))
                .remedy(format!("or, if you have looked at it, accept it: [[policy.exception]] with code = \"record-mismatch\", subject = \"{name}\", a reason and until; RECORD is then written anew"));
            Ok(Found::IfAccepted(ready, Box::new(finding)))
        }
        Err(error) => Err(error),
    }
}

/// Reads a wheel of the store, unless that was done.
pub(crate) async fn read(network: &Network, chosen: Chosen) -> Result<ReadyWheel, WheelError> {
    // What reading tells is judged, and reading again is cheap: only the code that read it may say what it told.
    let Rules { makers, judges } = network.run().rules();
    let key = digest_of_value(&(makers, judges, &chosen))?;
    if let Some(ready) = network.store().cache_get::<ReadyWheel>("wheel", &key)? {
        return Ok(ready);
    }
    let _turn = network.run().reading_turn().await?;
    let network = network.clone();
    blocking(move || {
        let ready = read_from_store(network.store(), &chosen)?;
        network.store().cache_put("wheel", &key, &ready)?;
        Ok(ready)
    })
    .await
}

/// The largest bill of materials of a wheel that is read, in bytes.
const LARGEST_SBOM: u64 = 64 << 20;
/// The largest licence text that is looked at, in bytes; the longest of SPDX's list has some 70 kB.
const LARGEST_LICENSE: u64 = 256 << 10;
/// The largest ELF file that is looked into, in bytes: it is held in memory for that.
const LARGEST_ELF: usize = 512 << 20;

/// A member that goes by: its digest, and its content if that is to be looked into.
#[derive(Default)]
struct Inspected {
    hasher: kiln_record::Hasher,
    /// The beginning; the whole of an ELF file.
    kept: Vec<u8>,
    too_large: bool,
}

impl Inspected {
    /// The digest, and what an ELF file says of itself, or why nobody knows.
    fn finish(self) -> (Digest, Result<Option<ElfFacts>, String>) {
        let facts = match self.too_large {
            true => Err(format!("it is larger than {LARGEST_ELF} bytes")),
            false => inspect_elf(&self.kept).map_err(|error| error.to_string()),
        };
        (self.hasher.finish(), facts)
    }
}

impl Write for Inspected {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.hasher.update(bytes);
        let is_elf = |kept: &[u8]| kept.starts_with(ELF_MAGIC);
        if self.kept.len() < ELF_MAGIC.len() {
            let missing = (ELF_MAGIC.len() - self.kept.len()).min(bytes.len());
            self.kept.extend_from_slice(&bytes[..missing]);
            if is_elf(&self.kept) {
                self.kept.extend_from_slice(&bytes[missing..]);
            }
        } else if is_elf(&self.kept) && !self.too_large {
            self.kept.extend_from_slice(bytes);
        }
        if self.kept.len() > LARGEST_ELF {
            self.too_large = true;
            self.kept = ELF_MAGIC.to_vec();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// How an ELF file begins.
const ELF_MAGIC: &[u8] = b"\x7fELF";

fn read_from_store(store: &Store, chosen: &Chosen) -> Result<ReadyWheel, WheelError> {
    let mut file = store.open_blob(&chosen.digest)?;
    let (size, sha512) = sha512(store, &mut file, &chosen.digest)?;
    let damaged = |source: PackError| InvocationError::Archive { file: chosen.file_name.clone(), source };
    let mut archive = ZipReader::open(BufReader::new(file), &Limits::default()).map_err(damaged)?;
    let mut members = BTreeMap::new();
    let mut wheel_members = Vec::new();
    let mut elf = BTreeMap::new();
    let mut unreadable_elf = BTreeMap::new();
    for member in archive.members().to_vec() {
        let mut content = Inspected::default();
        archive.copy(&member, &mut content).map_err(damaged)?;
        let (digest, facts) = content.finish();
        match facts {
            Ok(Some(facts)) => {
                elf.insert(member.path.clone(), facts);
            }
            Ok(None) => {}
            Err(why) => {
                unreadable_elf.insert(member.path.clone(), why);
            }
        }
        wheel_members.push(WheelMember {
            path: member.path.clone(),
            executable: member.unix_mode.is_some_and(|mode| mode & 0o111 != 0),
            size: member.size,
            digest,
        });
        members.insert(
            member.path.clone(),
            MemberStream {
                offset: member.data_offset,
                compressed_size: member.compressed_size,
                size: member.size,
                crc32: member.crc32,
                deflated: member.method == Method::Deflate,
            },
        );
    }
    let by_path: BTreeMap<TreePath, kiln_pack::Member> =
        archive.members().iter().map(|member| (member.path.clone(), member.clone())).collect();
    let mut content = |path: &TreePath| match by_path.get(path) {
        Some(member) => archive.read(member).map_err(|error| error.to_string()),
        None => Err("it is not in the archive".to_owned()),
    };
    let mut record_wrong = None;
    let wheel = match read_wheel(&chosen.file_name, &wheel_members, &mut content) {
        Err(error @ PythonError::RecordMismatch { .. }) => {
            record_wrong = Some(error.to_string());
            read_wheel_without_record(&chosen.file_name, &wheel_members, &mut content)
        }
        read => read,
    }
    .map_err(|source| WheelError::Unusable { file: chosen.file_name.clone(), source })?;
    let mut embedded = Vec::new();
    let mut unread_sboms = BTreeMap::new();
    for path in &wheel.embedded_sboms {
        let Some(member) = by_path.get(path) else { continue };
        if member.size > LARGEST_SBOM {
            let why = format!("it is larger than {LARGEST_SBOM} bytes");
            unread_sboms.insert(path.clone(), why);
            continue;
        }
        let content = archive.read(member).map_err(damaged)?;
        match read_embedded(&wheel.name, path, &content) {
            Ok(parts) => embedded.extend(parts),
            Err(error) => {
                unread_sboms.insert(path.clone(), error.to_string());
            }
        }
    }
    let mut license_files = BTreeMap::new();
    for path in &wheel.license_files {
        let Some(member) = by_path.get(path) else { continue };
        let license = match member.size > LARGEST_LICENSE {
            true => None,
            false => license_of_text(&String::from_utf8_lossy(&archive.read(member).map_err(damaged)?)),
        };
        license_files.insert(path.clone(), license.map(str::to_owned));
    }
    Ok(ReadyWheel {
        license_files,
        embedded: merge_embedded(embedded),
        unread_sboms,
        file_name: chosen.file_name.clone(),
        digest: chosen.digest,
        size,
        sha512,
        wheel,
        members,
        elf,
        unreadable_elf,
        record_wrong,
        built_from: None,
        source: None,
    })
}

/// Length and SHA-512 of a blob of the store.
pub(crate) fn measure(store: &Store, digest: &Digest) -> Result<(u64, String), WheelError> {
    sha512(store, &mut store.open_blob(digest)?, digest)
}

/// Length and SHA-512 of a blob, with its digest checked on the way: from here on its content is trusted to be what the
/// lock names.
fn sha512(store: &Store, file: &mut fs_err::File, expected: &Digest) -> Result<(u64, String), WheelError> {
    let mut hasher = HashingWriter::new(LongHasher::default());
    io::copy(file, &mut hasher)?;
    let (long, found, size) = hasher.finish();
    if found != *expected {
        store.discard(expected)?;
        return Err(kiln_store::StoreError::BlobDamaged { digest: *expected, found }.into());
    }
    file.seek(SeekFrom::Start(0))?;
    Ok((size, long.finish()))
}
