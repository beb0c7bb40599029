//! Wheels as parts of an artifact: what installing them gives.

use crate::bring::distribution::ReadyWheel;
use kiln_collect::{BroughtBy, Content, Part, PartFile, below, component};
use kiln_python::{FileSource, Wheel, install};
use kiln_record::{Component, ComponentId, DistributionName, Ecosystem, Finding, Origin, TreePath};
use std::collections::{BTreeMap, BTreeSet};

/// Installs wheels below `folder`: each path belongs to one distribution, and what two of them claim with different content
/// is a finding. `edges` says which distribution requires which.
#[must_use]
pub fn parts(
    wheels: &[ReadyWheel],
    edges: &BTreeMap<DistributionName, BTreeSet<DistributionName>>,
    folder: Option<&str>,
) -> (Vec<Part>, Vec<Finding>) {
    let installed = install(&wheels.iter().map(|ready| &ready.wheel).collect::<Vec<&Wheel>>(), folder);
    let there: BTreeSet<&DistributionName> = wheels.iter().map(|ready| &ready.wheel.name).collect();
    let each = wheels.iter().map(|ready| {
        let wheel = &ready.wheel;
        let files = wheel.files.iter().filter_map(|file| {
            let path = below(&file.path, folder).ok()?;
            if installed.owners.get(&path) != Some(&wheel.name) {
                return None;
            }
            let entry = installed.tree.get(&path)?.clone();
            let (content, elf, bundled) = match &file.source {
                FileSource::Generated(bytes) => (Some(Content::Made(bytes.as_slice().into())), None, false),
                FileSource::Member(member) => {
                    let stream = ready.members.get(member);
                    let content =
                        stream.map(|stream| Content::Member { archive: ready.digest, stream: *stream });
                    let elf = ready.elf.get(member).cloned();
                    (content, elf, ready.elf.contains_key(member) && is_bundled(member))
                }
            };
            Some(PartFile { path, stated: file.path.clone(), entry, content, elf, bundled })
        });
        let requires = edges.get(&wheel.name).into_iter().flatten().filter(|name| there.contains(name));
        let unreadable = ready.unreadable_elf.iter();
        Part {
            folder: None,
            files: files.collect(),
            component: described(ready, requires.map(id).collect()),
            brought_by: BroughtBy::Distribution,
            modules: wheel.top_level.clone(),
            unreadable_elf: unreadable
                .filter_map(|(member, reason)| Some((below(member, folder).ok()?, reason.clone())))
                .collect(),
        }
    });
    (each.collect(), installed.findings)
}

/// Whether a member is a library that the wheel bundles, as auditwheel places them: in `<name>.libs/`.
fn is_bundled(member: &TreePath) -> bool {
    member.as_str().split('/').next().is_some_and(|folder| folder.ends_with(".libs"))
}

fn id(name: &DistributionName) -> ComponentId {
    ComponentId::new(Ecosystem::Python, name.as_str())
}

fn described(ready: &ReadyWheel, requires: BTreeSet<ComponentId>) -> Component {
    Component {
        version: Some(ready.wheel.version.clone()),
        origin: Some(Origin {
            file_name: ready.file_name.clone(),
            size: ready.size,
            digest: ready.digest,
            sha512: Some(ready.sha512.clone()),
            source: ready.source.clone(),
        }),
        metadata: ready.wheel.metadata.clone(),
        requires,
        embedded: ready.embedded.clone(),
        unread_sboms: ready.unread_sboms.clone(),
        license_files: ready.license_files.clone(),
        built_from: ready.built_from.clone(),
        ..component(id(&ready.wheel.name), Ecosystem::Python, ready.wheel.name.as_str())
    }
}
