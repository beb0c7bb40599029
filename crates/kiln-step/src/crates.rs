//! Crates for a step: brought by the checksums of `Cargo.lock`, and laid out as a directory source of cargo.
//!
//! Source: The Cargo Book, "Source Replacement", there "Directory Sources".

use crate::StepError;
use flate2::bufread::MultiGzDecoder;
use kiln_fetch::{CratePlace, IndexFile, Url, crate_url, downloads_of};
use kiln_invocation::{InvocationError, Network};
use kiln_pack::{Limits, PackError, TarContent, read_tar};
use kiln_plan::LockedCrate;
use kiln_record::{Digest, Embedded, Mode, TreePath};
use kiln_store::Store;
use std::collections::BTreeMap;

/// The version of the rules by which crates are laid out.
pub(super) const CRATE_RULES: u32 = 1;
/// What a crate may ask for; the registry takes at most 10 MB packed.
const LIMITS: Limits = Limits {
    max_members: 50_000,
    max_member_size: 256 << 20,
    max_total_size: 512 << 20,
    max_ratio: u64::MAX,
};
/// The longest `config.json` of an index.
const CONFIG_BYTES: u64 = 64 << 10;

/// Files by their path in the directory source, with what is written to a container.
pub(super) type LaidOut = BTreeMap<TreePath, (Mode, Vec<u8>)>;

/// Brings the archives of crates into the store. What is there already is not fetched, and no registry is asked for.
pub(super) async fn bring(network: &Network, lock: &str, crates: &[LockedCrate]) -> Result<(), StepError> {
    let missing: Vec<&LockedCrate> =
        crates.iter().filter(|locked| !network.store().contains(&locked.checksum)).collect();
    if missing.is_empty() {
        return Ok(());
    }
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

/// The crates as parts of what was made with them. That they were given is known; which of them are linked is not.
pub(super) fn parts(lock: &str, crates: &[LockedCrate]) -> Vec<Embedded> {
    let Ok(stated_in) = TreePath::new(lock) else { return Vec::new() };
    let part = |locked: &LockedCrate| Embedded {
        version: Some(locked.version.clone()),
        // Names and versions of crates need no escape but for the `+` of build metadata.
        purl: Some(format!("pkg:cargo/{}@{}", locked.name, locked.version.replace('+', "%2B"))),
        sha256: Some(locked.checksum),
        ..Embedded::named(locked.name.clone(), stated_in.clone())
    };
    crates.iter().map(part).collect()
}
