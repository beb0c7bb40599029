//! Crates for a step: brought by the checksums of `Cargo.lock`, and laid out as a directory source of cargo.
//!
//! Source: The Cargo Book, "Source Replacement", there "Directory Sources".

use crate::StepError;
use flate2::bufread::MultiGzDecoder;
use futures_util::StreamExt as _;
use kiln_fetch::{CratePlace, IndexFile, Url, crate_url, downloads_of};
use kiln_invocation::{InvocationError, Network, blocking};
use kiln_pack::{Limits, PackError, TarContent, read_tar};
use kiln_plan::{CrateArchive, LockedCrate, NamedCrate};
use kiln_record::{
    Digest, Embedded, LongHasher, Mode, TreePath, counted, digest_of_value, license_expression,
};
use kiln_store::{Memo, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the rules by which crates are laid out.
pub(super) const CRATE_RULES: u32 = 1;
/// The version of the rules by which is read what a crate states.
const STATED_RULES: u32 = 1;
/// The largest `Cargo.toml` that is read, in bytes.
const MANIFEST_BYTES: usize = 1 << 20;
/// The longest licence or name that is taken from one, in bytes, and the most authors.
const LONGEST: usize = 1024;
const MOST_AUTHORS: usize = 16;
/// What a crate may ask for; the registry takes at most 10 MB packed.
const LIMITS: Limits = Limits {
    max_members: 50_000,
    max_member_size: 256 << 20,
    max_total_size: 512 << 20,
    max_ratio: u64::MAX,
};
/// The largest archive that is brought without a checksum, in bytes, and how many are at once.
const ARCHIVE_BYTES: u64 = 64 << 20;
const AT_ONCE: usize = 8;
/// Where the checksum of a crate stands in the address of its archive.
const BY_CHECKSUM: &str = "{sha256-checksum}";
/// The longest `config.json` of an index.
const CONFIG_BYTES: u64 = 64 << 10;

/// Files by their path in the directory source, with what is written to a container.
pub(super) type LaidOut = BTreeMap<TreePath, (Mode, Vec<u8>)>;

/// Brings the archives of crates into the store. What is there already is not fetched, and no registry is asked for.
pub(crate) async fn bring(network: &Network, lock: &str, crates: &[LockedCrate]) -> Result<(), StepError> {
    let missing: Vec<&LockedCrate> =
        crates.iter().filter(|locked| !network.store().contains(&locked.checksum)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    network.may_ask(|| {
        let names: Vec<String> = missing.iter().take(3).map(|locked| locked.file_name()).collect();
        let more = if missing.len() > names.len() { ", …" } else { "" };
        format!(
            "{} of {} of {lock} ({}{more})",
            missing.len(),
            counted(crates.len(), "crates"),
            names.join(", ")
        )
    })?;
    let template = template(network).await?;
    let each = missing.into_iter().map(|locked| {
        let template = &template;
        async move {
            let url = crate_url(template, &locked.name, &locked.version, &locked.checksum)
                .map_err(|error| InvocationError::Crates { reason: format!("`{template}`: {error}") })?;
            let file = IndexFile {
                file_name: locked.file_name(),
                url,
                digest: Some(locked.checksum),
                size: None,
                requires_python: None,
                yanked: false,
                metadata: false,
            };
            network.download(&file, &[locked.checksum], lock).await
        }
    });
    futures_util::future::try_join_all(each).await?;
    Ok(())
}

/// Where the registry keeps archives.
async fn template(network: &Network) -> Result<String, StepError> {
    let setting = network.crates()?;
    match &setting.place {
        CratePlace::Downloads(template) => Ok(template.clone()),
        CratePlace::Index(index) => {
            let error =
                |why: String| InvocationError::Crates { reason: format!("{}: {why}", setting.from) }.into();
            let url: Url = index.join("config.json").map_err(|why| error(why.to_string()))?;
            let response = network.client().await?.get(&url, CONFIG_BYTES, None).await?;
            downloads_of(&response.bytes)
                .ok_or_else(|| error("its index does not say where archives are".to_owned()))
        }
    }
}

/// The archives of crates, as the registry has them, whatever digest somebody states: each, or why it cannot be had.
///
/// # Errors
/// Where no registry can be asked, or the store cannot be written.
pub async fn archives(
    network: &Network,
    crates: &[NamedCrate],
) -> Result<Vec<Result<CrateArchive, String>>, StepError> {
    if crates.is_empty() {
        return Ok(Vec::new());
    }
    let template = template(network).await?;
    let each = crates.iter().map(|named| archive(network, &template, named));
    Ok(futures_util::stream::iter(each).buffered(AT_ONCE).collect().await)
}

async fn archive(network: &Network, template: &str, named: &NamedCrate) -> Result<CrateArchive, String> {
    let NamedCrate { name, version, stated } = named;
    if stated.is_none() && template.contains(BY_CHECKSUM) {
        return Err("the registry is asked by checksum, and nobody states one of it".to_owned());
    }
    let url = crate_url(template, name, version, &stated.unwrap_or_else(|| Digest::of(b"")))
        .map_err(|error| format!("`{template}`: {error}"))?;
    let brought = async || -> Result<Vec<u8>, StepError> {
        network.may_reach(&url, || format!("{name}-{version}.crate"))?;
        Ok(network.client().await?.get(&url, ARCHIVE_BYTES, None).await?.bytes)
    };
    // What else the registry has is taken, too: that it is another is told when the part is judged. So the store is not asked for
    // what is stated: it has files of whoever states it.
    let bytes = brought().await.map_err(|error| error.to_string())?;
    let named = named.clone();
    blocking::<_, StepError>(move || {
        let digest = Digest::of(&bytes);
        let locked = LockedCrate { name: named.name, version: named.version, checksum: digest };
        let Stated { license, sha512, is_named, .. } = stated_by(&locked, &bytes);
        let LockedCrate { name, version, .. } = locked;
        Ok(is_named.then_some(CrateArchive { name, version, license, digest, sha512 }))
    })
    .await
    .map_err(|error| error.to_string())?
    .ok_or_else(|| "what the registry has under its name is no crate of that name and version".to_owned())
}

/// Unpacks the archives to a directory source at a place, with a configuration for cargo that uses it: `config.toml`.
pub(super) fn lay_out(store: &Store, at: &str, crates: &[LockedCrate]) -> Result<LaidOut, StepError> {
    let mut files = LaidOut::new();
    for locked in crates {
        let bytes = store.read_blob(&locked.checksum)?;
        unpack(locked, &bytes, &mut files)
            .map_err(|source| InvocationError::Archive { file: locked.file_name(), source })?;
    }
    let config = format!(
        "[source.crates-io]\nreplace-with = \"kiln\"\n\n[source.kiln]\ndirectory = \"{at}\"\n\n[net]\noffline = true\n"
    );
    insert(&mut files, "config.toml", Mode::Plain, config.into_bytes()).map_err(StepError::Pack)?;
    Ok(files)
}

fn unpack(locked: &LockedCrate, bytes: &[u8], files: &mut LaidOut) -> Result<(), PackError> {
    let folder = format!("{}-{}", locked.name, locked.version);
    let mut sums: BTreeMap<String, String> = BTreeMap::new();
    read_tar(MultiGzDecoder::new(bytes), &LIMITS, |item| {
        let content = match item.content {
            TarContent::Folder => return Ok(()),
            TarContent::File(content) => content,
            TarContent::Symlink(_) | TarContent::HardLink(_) => {
                return Err(malformed(&item.path, "it is a link, which crates do not have"));
            }
        };
        let Some(inside) = item.path.as_str().strip_prefix(&folder).and_then(|rest| rest.strip_prefix('/'))
        else {
            return Err(malformed(&item.path, "it lies beside the one folder of a crate"));
        };
        sums.insert(inside.to_owned(), Digest::of(&content).hex());
        insert(files, item.path.as_str(), Mode::from_bits(item.mode), content)
    })?;
    let checksum = serde_json::json!({ "files": sums, "package": locked.checksum.hex() });
    insert(files, &format!("{folder}/.cargo-checksum.json"), Mode::Plain, checksum.to_string().into_bytes())
}

fn insert(files: &mut LaidOut, path: &str, mode: Mode, content: Vec<u8>) -> Result<(), PackError> {
    files.insert(TreePath::new(path)?, (mode, content));
    Ok(())
}

fn malformed(path: &TreePath, reason: &str) -> PackError {
    PackError::Malformed { place: format!("`{path}`"), reason: reason.to_owned() }
}

/// What the archive of a crate says of the crate: what a bill of materials must name, and a lock does not.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stated {
    /// `package.license`, as an expression where it means one.
    license: Option<String>,
    /// `package.authors`, without their addresses.
    authors: Option<String>,
    /// The SHA-512 of the archive, in lower-case hexadecimal.
    sha512: String,
    /// Whether its `Cargo.toml` has the name and version that it is known by.
    #[serde(default)]
    is_named: bool,
}

/// What all crates of a lock state, in the order of the lock. It is remembered, so that a step whose result is remembered, too,
/// needs no archive.
#[derive(Serialize, Deserialize)]
struct AllStated(Vec<Stated>);

impl Memo for AllStated {
    const KIND: &'static str = "crates";

    fn content(&self) -> Vec<Digest> {
        Vec::new()
    }
}

/// The crates as parts of what was made with them. That they were given is known; which of them are linked is not.
pub(super) async fn parts(
    network: &Network,
    lock: &str,
    crates: &[LockedCrate],
) -> Result<Vec<Embedded>, StepError> {
    let Ok(stated_in) = TreePath::new(lock) else { return Ok(Vec::new()) };
    let key = digest_of_value(&(STATED_RULES, crates))?;
    let known = network.store().recall::<AllStated>(&key)?.filter(|known| known.0.len() == crates.len());
    let stated = match known {
        Some(known) => known,
        None => {
            bring(network, lock, crates).await?;
            let (store, crates) = (network.store().clone(), crates.to_vec());
            blocking::<_, StepError>(move || {
                let read = |locked: &LockedCrate| Ok(stated_by(locked, &store.read_blob(&locked.checksum)?));
                let all = AllStated(crates.iter().map(read).collect::<Result<_, StepError>>()?);
                store.remember(&key, &all)?;
                Ok(all)
            })
            .await?
        }
    };
    let part = |(locked, stated): (&LockedCrate, Stated)| Embedded {
        version: Some(locked.version.clone()),
        // Names and versions of crates need no escape but for the `+` of build metadata.
        purl: Some(format!("pkg:cargo/{}@{}", locked.name, locked.version.replace('+', "%2B"))),
        sha256: Some(locked.checksum),
        sha512: Some(stated.sha512),
        license: stated.license,
        author: stated.authors,
        ..Embedded::named(locked.name.clone(), stated_in.clone())
    };
    Ok(crates.iter().zip(stated.0).map(part).collect())
}

/// Reads what an archive states. One that cannot be read states nothing here: the step that is given it says why.
fn stated_by(locked: &LockedCrate, bytes: &[u8]) -> Stated {
    let manifest = format!("{}-{}/Cargo.toml", locked.name, locked.version);
    let mut text = None;
    let read: Result<(), PackError> = read_tar(MultiGzDecoder::new(bytes), &LIMITS, |item| {
        if let TarContent::File(content) = item.content
            && item.path.as_str() == manifest
            && content.len() <= MANIFEST_BYTES
        {
            text = String::from_utf8(content).ok();
        }
        Ok(())
    });
    if read.is_err() {
        text = None;
    }
    let manifest = text.and_then(|text: String| text.parse::<toml::Table>().ok()).unwrap_or_default();
    let package = manifest.get("package").and_then(toml::Value::as_table);
    let field = |name: &str| package.and_then(|package| package.get(name));
    let words = |text: &str| {
        let words = text.split(|c: char| c.is_control() || c.is_whitespace());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let license = field("license").and_then(toml::Value::as_str).map(words);
    let authors: Vec<String> = field("authors")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|author| author.as_str()?.split('<').next())
        .map(words)
        .filter(|name| !name.is_empty() && name.len() <= LONGEST)
        .take(MOST_AUTHORS)
        .collect();
    Stated {
        license: license
            .filter(|license| !license.is_empty() && license.len() <= LONGEST)
            .map(|license| license_expression(&license).unwrap_or(license)),
        authors: (!authors.is_empty()).then(|| authors.join(", ")),
        sha512: LongHasher::of(bytes),
        is_named: [("name", &locked.name), ("version", &locked.version)]
            .into_iter()
            .all(|(key, value)| field(key).and_then(toml::Value::as_str) == Some(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn archive(manifest: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(manifest.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, "demo-1.0.0/Cargo.toml", manifest.as_bytes()).unwrap();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&tar.into_inner().unwrap()).unwrap();
        packed.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Stated {
        let locked =
            LockedCrate { name: "demo".to_owned(), version: "1.0.0".to_owned(), checksum: Digest::of(bytes) };
        stated_by(&locked, bytes)
    }

    #[test]
    fn a_crate_states_its_licence_and_authors() {
        let bytes = archive(
            "[package]\nname = \"demo\"\nversion = \"1.0.0\"\nlicense = \"MIT/Apache-2.0\"\nauthors = [\"A B <a@example.org>\", \"C\"]\n",
        );
        let found = read(&bytes);
        assert_eq!(found.license.as_deref(), Some("MIT OR Apache-2.0"));
        assert_eq!(found.authors.as_deref(), Some("A B, C"));
        assert_eq!(found.sha512, LongHasher::of(&bytes));
        assert!(found.is_named);
        let other = archive("[package]\nname = \"other\"\nversion = \"1.0.0\"\n");
        assert!(!read(&other).is_named);
    }

    #[test]
    fn what_cannot_be_read_states_nothing_but_its_digest() {
        let deep = format!("[package]\nlicense = {}", "[".repeat(100_000));
        for bytes in [b"no archive".to_vec(), archive("[package"), archive("package = 1"), archive(&deep)] {
            let found = read(&bytes);
            assert_eq!((found.license, found.authors, found.is_named), (None, None, false));
            assert_eq!(found.sha512.len(), 128);
        }
    }
}
