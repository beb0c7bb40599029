//! The texts that the licences of an artifact's parts ask to be passed on: licences and notices, as the parts bring them.

use crate::PublishError;
use crate::at_hand::contents;
use crate::named_build::NamedBuild;
use kiln_audit::Known;
use kiln_record::{Component, ComponentId, Digest, Ecosystem, Entry, FileRecord, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// A part of an artifact that others made, with what it brings to be passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its name, and its version where it has one.
    pub name: String,
    /// Its licence: concluded, else declared, if either is an expression.
    pub license: Option<String>,
    /// Its texts by the path in the artifact, each once.
    pub texts: BTreeMap<TreePath, String>,
}

/// The largest text that is passed on, in bytes.
const LARGEST: u64 = 1 << 20;

/// What is to be passed on with a build: each distribution and whatever lies inside one, by name. What an image's base brings is not
/// among it: its packages have their own in `/usr/share/doc`.
///
/// # Errors
/// [`PublishError::NotUsable`] if its files are not at hand, or are not those of the record.
pub fn notices(build: &NamedBuild) -> Result<Vec<Notice>, PublishError> {
    let refused =
        |reason: &str| PublishError::NotUsable { what: build.label.clone(), reason: reason.to_owned() };
    if build.known != Known::Record {
        return Err(refused("it has no record, which says whose text is which"));
    }
    if build.content.is_none() {
        return Err(refused(
            "a notice has the texts themselves, and its archive is not at hand; name the published file",
        ));
    }
    let of_others = |component: &&Component| component.ecosystem == Ecosystem::Python && !component.from_base;
    let components: BTreeMap<&ComponentId, &Component> =
        build.record.components.iter().filter(of_others).map(|one| (&one.id, one)).collect();
    let wanted: Vec<&FileRecord> = build
        .record
        .files
        .iter()
        .filter(|file| components.contains_key(&file.component) && is_notice(&file.path))
        .filter(|file| file.entry.size() <= LARGEST)
        .collect();
    let paths: BTreeSet<TreePath> = wanted.iter().map(|file| file.path.clone()).collect();
    let mut found = contents(build, &paths)?;
    let mut texts: BTreeMap<&ComponentId, BTreeMap<TreePath, String>> = BTreeMap::new();
    for file in wanted {
        let Entry::File { digest, .. } = &file.entry else { continue };
        let bytes = found.remove(&file.path).filter(|bytes| Digest::of(bytes) == *digest);
        let bytes = bytes.ok_or_else(|| refused("its archive is not the one that the record describes"))?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let own = texts.entry(&file.component).or_default();
        if !own.values().any(|known| *known == text) {
            own.insert(file.path.clone(), text);
        }
    }
    let each = components.values().map(|component| Notice {
        name: match &component.version {
            Some(version) => format!("{} {version}", component.name),
            None => component.name.clone(),
        },
        license: component.license_texts().concluded.or_else(|| component.metadata.declared_license()),
        texts: texts.remove(&component.id).unwrap_or_default(),
    });
    Ok(each.collect())
}

/// Whether a file has the text of a licence or what is to be passed on with it, by the names that PEP 639 takes as usual.
fn is_notice(path: &TreePath) -> bool {
    let name = path.file_name().to_ascii_lowercase();
    let is_code = [".py", ".pyc", ".so"].iter().any(|end| name.ends_with(end));
    !is_code
        && ["licen", "copying", "notice", "unlicen", "authors"].iter().any(|start| name.starts_with(start))
}
